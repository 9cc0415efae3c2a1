"""Pushing that does not succeed: whatever an agent answers that is no ack, its message is kept and pushed again."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.gateway.push import Patience
from tests.integration.gateway.pushing import VLE, pushing
from tests.integration.gateway.sif import Agent, Message, Reply, Said, Target, ack_content, new_id

SHORT = Patience(shortest=0.02, longest=0.1, timeout=0.4)


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target(VLE)
    yield made
    made.close()


async def next_of(target: Target) -> Message:
    return await asyncio.to_thread(target.next, 5)


def other_message() -> bytes:
    return Agent(VLE, "").message("SIF_SystemControl", "<SIF_SystemControlData><SIF_Ping/></SIF_SystemControlData>")


ACK = Agent(VLE, "").message("SIF_Ack", ack_content("mis", new_id(), 1))
BAD = {
    "500": Reply(500, b"broken"),
    "503 with an ack in it": Reply(503, ACK),
    "404": Reply(404, b"no such zone"),
    "302": Reply(302, b""),
    "201 with an ack in it": Reply(201, ACK),
    "no body": Reply(),
    "garbage": Reply(body=b"OK"),
    "a page": Reply(body=b"<html><body>Welcome</body></html>"),
    "not an ack": Reply(body=other_message()),
    "an ack that says nothing": Reply(body=Agent(VLE, "").message("SIF_Ack")),
    "an ack cut short": Reply(body=ACK[:-20]),
    "an answer that ends too soon": Reply(body=ACK[:100], missing=500),
    "a doctype": Reply(body=b"<!DOCTYPE x>" + ACK),
    "more than any ack has": Reply(body=b" " * 400_000),
    "asleep": 8,
    "try again": (10, 1),
    "no channel": (10, 3),
    "the connection dropped": None,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_the_message_is_kept_and_pushed_again_before_the_next(tmp_path: Path, target: Target, bad: Said) -> None:
    said = itertools.chain([bad, bad], itertools.repeat(1))
    target.reaction = lambda _message: next(said)

    async def push() -> tuple[list[str], list[str]]:
        async with pushing(tmp_path, target.url, SHORT) as it:
            put = [await it.put(), await it.put()]
            return put, [(await next_of(target)).msg_id for _ in range(4)]

    put, got = asyncio.run(push())

    assert got == [put[0], put[0], *put]


def test_an_agent_that_hangs_is_given_up_after_the_timeout_and_pushed_to_again(tmp_path: Path, target: Target) -> None:
    over = threading.Event()
    first = itertools.count()

    def hang(_message: Message) -> Said:
        if next(first) == 0:
            over.wait(10)
        return 1

    target.reaction = hang

    async def push() -> float:
        async with pushing(tmp_path, target.url, SHORT) as it:
            msg_id = await it.put()
            assert (await next_of(target)).msg_id == msg_id
            began = time.monotonic()
            assert (await next_of(target)).msg_id == msg_id
            return time.monotonic() - began

    waited = asyncio.run(push())
    over.set()

    assert 0.3 < waited < 3


def test_an_agent_that_does_not_listen_is_tried_until_it_does(tmp_path: Path, target: Target) -> None:
    port = int(target.url.split(":")[2].split("/")[0])
    target.close()

    async def push() -> tuple[str, str]:
        async with pushing(tmp_path, target.url, SHORT) as it:
            msg_id = await it.put()
            await asyncio.sleep(0.3)
            again = Target(VLE, port=port)
            try:
                return msg_id, (await next_of(again)).msg_id
            finally:
                again.close()

    put, got = asyncio.run(push())

    assert put == got


def test_the_pauses_grow_up_to_the_longest(tmp_path: Path, target: Target) -> None:
    target.reaction = lambda _message: 8

    async def push() -> list[float]:
        async with pushing(tmp_path, target.url, Patience(shortest=0.05, longest=0.4, timeout=5)) as it:
            await it.put()
            times = []
            for _ in range(7):
                await next_of(target)
                times.append(time.monotonic())
            return times

    times = asyncio.run(push())

    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert all(pause > 0.5 * wanted for pause, wanted in zip(pauses, [0.05, 0.1, 0.2, 0.4, 0.4, 0.4], strict=True))
    assert max(pauses) < 3  # else doubled for ever


def test_a_success_makes_the_pauses_short_again(tmp_path: Path, target: Target) -> None:
    said = itertools.chain([8, 8, 8, 8, 1], itertools.repeat(8))  # pauses of 0.1, 0.2, 0.4, 0.8 seconds, then 0.1 again
    target.reaction = lambda _message: next(said)

    async def push() -> float:
        async with pushing(tmp_path, target.url, Patience(shortest=0.1, longest=60, timeout=5)) as it:
            await it.put()
            await it.put()
            for _ in range(6):
                await next_of(target)
            began = time.monotonic()
            await next_of(target)
            return time.monotonic() - began

    assert asyncio.run(push()) < 1  # as doubled before: 1.6, and a fifth less at least


def test_a_kick_ends_a_pause(tmp_path: Path, target: Target) -> None:
    target.reaction = lambda _message: 8

    async def push() -> float:
        async with pushing(tmp_path, target.url, Patience(shortest=30, longest=60, timeout=5)) as it:
            msg_id = await it.put()
            await next_of(target)
            await asyncio.sleep(0.2)  # until its answer was read
            began = time.monotonic()
            it.pusher.kick()
            assert (await next_of(target)).msg_id == msg_id
            return time.monotonic() - began

    assert asyncio.run(push()) < 2
