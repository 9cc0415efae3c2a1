"""What authors of agents write, plain or ``async``, made into what the runtime calls; when it is called is its affair.

The runtime is threads: one carries messages, one answers requests. All that is ``async`` runs on one event loop in a
thread of its own, which lives as long as the agent runs, so that what a function opens there (a client, a pool, a task)
is still good at its next call. Whoever calls waits for the result: order and once-only are those of plain functions.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from lxml import etree

from agents.answers import Provider as PlainProvider
from agents.carry import Answer, Event
from broker.protocol.query import Query

Handler = Callable[[Event], Awaitable[None] | None]
"""Called with each event; ``def`` or ``async def``."""
AnswerHandler = Callable[[Answer], Awaitable[None] | None]
"""Called with each packet of an answer; ``def`` or ``async def``."""
Provider = Callable[
    [Query], Iterable[etree._Element] | AsyncIterable[etree._Element] | Awaitable[Iterable[etree._Element]]
]
"""From a query to objects: a function or generator, plain or ``async``."""

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")


class EventLoop:
    """An event loop in a thread of its own between enter and exit; the thread is started when it is first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._ended = False

    def run(self, work: Awaitable[_Result]) -> _Result:
        """Return what *work* comes to, or raise what it raises; for any thread but the loop's own.

        Context variables are the caller's, so that what is logged has the same bound facts.
        """
        loop = self._started()
        return asyncio.run_coroutine_threadsafe(_awaited(work), loop).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the tasks that functions have left behind, and the loop."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._ended = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="async", daemon=True)
                self._thread.start()
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended:
            # What is to end the program leaves the loop as well as going to whoever waits for it: others still wait.
            with suppress(KeyboardInterrupt, SystemExit):
                loop.run_forever()


def plain(function: Callable[[_Given], Awaitable[None] | None], loop: EventLoop) -> Callable[[_Given], None]:
    """Return a handler that has done all its work when it returns."""

    def handle(given: _Given) -> None:
        done = function(given)
        if inspect.isawaitable(done):
            loop.run(done)

    return handle


def plain_provider(function: Provider, loop: EventLoop) -> PlainProvider:
    """Return a provider that gives its objects one by one; an async generator is asked for each when it is due."""

    def provide(query: Query) -> Iterable[etree._Element]:
        found = function(query)
        if isinstance(found, AsyncIterable):
            return _drawn(found, loop)
        return loop.run(found) if inspect.isawaitable(found) else found

    return provide


def _drawn(objects: AsyncIterable[etree._Element], loop: EventLoop) -> Iterator[etree._Element]:
    iterator = aiter(objects)
    try:
        while (element := loop.run(_next(iterator))) is not None:
            yield element
    finally:
        if inspect.isasyncgen(iterator):
            loop.run(iterator.aclose())


async def _next(objects: AsyncIterator[etree._Element]) -> etree._Element | None:
    return await anext(objects, None)


async def _awaited(work: Awaitable[_Result]) -> _Result:
    return await work


async def _cancel_all() -> None:
    own = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not own]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


__all__ = ["AnswerHandler", "EventLoop", "Handler", "Provider", "plain", "plain_provider"]
