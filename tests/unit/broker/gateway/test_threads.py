"""One thread for what waits for the disk, and one question for many who ask at a time."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from broker.gateway.threads import Aside, Together


def test_what_is_run_aside_runs_in_one_other_thread_in_turn() -> None:
    order: list[int] = []

    def note(number: int) -> str:
        order.append(number)
        return threading.current_thread().name

    async def ask() -> list[str]:
        aside = Aside()
        try:
            return await asyncio.gather(*(aside.run(note, number) for number in range(20)))
        finally:
            aside.close()

    names = asyncio.run(ask())

    assert order == list(range(20))
    assert len(set(names)) == 1
    assert names[0] != threading.current_thread().name


def test_what_is_raised_aside_is_raised_to_who_asked() -> None:
    async def ask() -> None:
        aside = Aside()
        try:
            await aside.run(int, "no number")
        finally:
            aside.close()

    with pytest.raises(ValueError, match="no number"):
        asyncio.run(ask())


def together(count: int, answer: "Answers") -> list[object]:
    async def ask() -> list[object]:
        aside = Aside()
        try:
            asked: Together[int, int] = Together(aside, answer)
            return await asyncio.gather(*(asked.ask(n) for n in range(count)), return_exceptions=True)
        finally:
            aside.close()

    return asyncio.run(ask())


class Answers:
    """Doubles each number, and remembers how it was asked."""

    def __init__(self, bad: int = -1) -> None:
        self.batches: list[int] = []
        self.bad = bad

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(len(items))
        if self.bad in items:
            raise OSError("the disk is full")
        return [2 * item for item in items]


def test_everybody_gets_the_answer_to_its_own_question() -> None:
    assert together(50, Answers()) == [2 * n for n in range(50)]


def test_many_who_ask_at_a_time_are_one_question() -> None:
    answers = Answers()

    together(300, answers)

    assert sum(answers.batches) == 300
    assert len(answers.batches) < 10


def test_one_question_is_never_larger_than_500() -> None:
    answers = Answers()

    together(1_200, answers)

    assert max(answers.batches) <= 500
    assert sum(answers.batches) == 1_200


def test_an_answer_that_fails_is_told_to_who_asked_and_to_nobody_after() -> None:
    async def ask() -> tuple[object, int]:
        aside = Aside()
        try:
            asked: Together[int, int] = Together(aside, Answers(bad=1))
            (failed,) = await asyncio.gather(asked.ask(1), return_exceptions=True)
            return failed, await asked.ask(2)
        finally:
            aside.close()

    failed, later = asyncio.run(ask())

    assert isinstance(failed, OSError)
    assert later == 4


def test_who_gives_up_waiting_disturbs_nobody() -> None:
    async def ask() -> int:
        aside = Aside()
        try:
            asked: Together[int, int] = Together(aside, Answers())
            given_up = asyncio.ensure_future(asked.ask(1))
            other = asyncio.ensure_future(asked.ask(2))
            await asyncio.sleep(0)
            given_up.cancel()
            return await other
        finally:
            aside.close()

    assert asyncio.run(ask()) == 4
