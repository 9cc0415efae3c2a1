"""What the gateway asks of the store, in a thread of its own, many askers at a time with one question."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Generic, ParamSpec, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
P = ParamSpec("P")

_MOST: Final = 500
"""Items of one question."""


class Aside:
    """One thread for everything that may wait for the disk, so that the event loop never does."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def run(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Return what *function* returns, once its turn has come."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(function, *args, **kwargs))

    def close(self) -> None:
        """Wait for what is under way."""
        self._executor.shutdown()


class Together(Generic[Item, Result]):
    """Asks one question for all that ask while another is being answered: a commit waits for the disk but once.

    Args:
        answer: Returns one result for each item, in order; called in the thread.
    """

    def __init__(self, aside: Aside, answer: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._aside, self._answer = aside, answer
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """Return the result for *item*; raises what answering it raised."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                results = await self._aside.run(self._answer, [item for item, _ in batch])
            except Exception as error:  # noqa: BLE001  # told to everybody who asked
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        self._task = None


__all__ = ["Aside", "Together"]
