"""Functions of an agent that are ``async``: in all that counts they are as plain ones."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from lxml import etree

from agents import Agent, Answer, Event, Limits
from agents.handlers import EventLoop, Provider, plain_provider
from agents.settings import AgentSettings
from agents.testing import Agreement, Zone, ZoneAgent, sample
from broker.protocol.envelope import Action, build_event, new_header
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.query import Query, parse_where
from broker.protocol.topology import DELIVERY
from broker.transports import MemoryTransport, Outgoing
from tests.unit.agents.zone import Zone as AnsweringZone

SCHOOL, PLATFORM = (
    ZoneAgent("mis-1", publish=["SchoolInfo"], provide=["SchoolGroup"]),
    ZoneAgent("platform", subscribe=["SchoolInfo"], rights={"SchoolGroup": ["request"]}),
)
ALL = Agreement({"SchoolInfo": ["*"], "SchoolGroup": ["*"]}, ["platform"])
QUERY = parse_where("SchoolGroup", (), ())


@pytest.fixture
def zone() -> Iterator[Zone]:
    """A school that publishes and provides, and a platform."""
    with Zone([SCHOOL, PLATFORM], [ALL]) as found:
        yield found


def school_info() -> etree._Element:
    element = sample("SchoolInfo")
    element.set("RefId", new_ref_id())
    return element


def test_events_are_handled_one_after_the_other_on_one_loop_with_what_the_log_is_bound_to(zone: Zone) -> None:
    seen: list[tuple[str, object]] = []
    loops: set[int] = set()

    @zone.agent("platform").on("SchoolInfo")
    async def save(event: Event) -> None:
        loops.add(id(asyncio.get_running_loop()))
        ref_id = event.element.get("RefId", "")
        seen.append((ref_id, "begins"))
        await asyncio.sleep(0)
        seen.append((ref_id, structlog.contextvars.get_contextvars()["agent"]))

    school = zone.agent("mis-1")
    for _ in range(3):
        school.publish(school_info())
    zone.run_until_quiet()

    order = [event.element.get("RefId", "") for event in zone.inbox("platform")]
    assert seen == [(ref_id, what) for ref_id in order for what in ("begins", "platform")]
    assert len(loops) == 1


def test_a_message_whose_handler_raises_is_kept_as_failed_and_the_next_goes_on(zone: Zone) -> None:
    platform, school = zone.agent("platform"), zone.agent("mis-1")
    saved: list[str] = []

    @platform.on("SchoolInfo")
    async def save(event: Event) -> None:
        if not saved:
            saved.append("none")
            raise asyncio.CancelledError
        saved.append(event.msg_id)

    school.publish(school_info())
    school.publish(school_info())
    zone.run_until_quiet()

    (failed,) = platform.failed()
    assert failed.reason == "a handler of SchoolInfo raised CancelledError"
    assert len(saved) == 2


async def _generated(_query: Query) -> AsyncIterator[etree._Element]:
    await asyncio.sleep(0)
    yield sample("SchoolGroup")


async def _collected(_query: Query) -> list[etree._Element]:
    await asyncio.sleep(0)
    return [sample("SchoolGroup")]


async def _of_a_generator(_query: Query) -> Iterator[etree._Element]:
    return iter([sample("SchoolGroup")])


@pytest.mark.parametrize("provider", [_generated, _collected, _of_a_generator])
def test_a_request_is_answered_by_whatever_kind_of_function_provides(zone: Zone, provider: Provider) -> None:
    school, platform = zone.agent("mis-1"), zone.agent("platform")
    school.provide("SchoolGroup")(provider)
    answers: list[Answer] = []

    @platform.answer("SchoolGroup")
    async def found(answer: Answer) -> None:
        answers.append(answer)

    zone.run_until_quiet()
    platform.request("SchoolGroup")
    zone.run_until_quiet()

    (answer,) = answers
    assert answer.error is None
    assert len(answer.elements) == 1


def test_a_generator_is_drawn_from_as_far_as_is_wanted_and_then_closed() -> None:
    drawn: list[str] = []

    async def groups(_query: Query) -> AsyncIterator[etree._Element]:
        try:
            for number in range(5):
                drawn.append(str(number))
                yield sample("SchoolGroup")
        finally:
            drawn.append("closed")

    with EventLoop() as loop:
        objects = iter(plain_provider(groups, loop)(QUERY))
        next(objects)
        next(objects)
        del objects
        assert drawn == ["0", "1", "closed"]


def test_what_a_function_leaves_running_goes_on_between_calls_and_ends_with_the_agent() -> None:
    told: list[str] = []
    at_work = threading.Event()

    async def beside() -> None:
        try:
            await asyncio.sleep(0)
            at_work.set()
            await asyncio.sleep(3600)
        finally:
            told.append("ended")

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(beside())

    with EventLoop() as loop:
        task = loop.run(begin())
        assert at_work.wait(10)
        assert told == []
    assert task.cancelled()
    assert told == ["ended"]
    assert "async" not in {thread.name for thread in threading.enumerate()}


def test_what_is_to_end_the_program_ends_it_and_not_the_loop() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def leave_beside() -> None:
        asyncio.create_task(leave())  # noqa: RUF006  # nobody waits for it
        await asyncio.sleep(0)

    async def answer() -> int:
        return 42

    with EventLoop() as loop:
        with pytest.raises(SystemExit):
            loop.run(leave())
        loop.run(leave_beside())
        assert loop.run(answer()) == 42


def test_an_agent_in_its_own_threads_waits_for_async_functions_too(tmp_path: Path) -> None:
    zone = AnsweringZone("mis-1")
    settings = AgentSettings(id=AgentId("mis-1"), file=tmp_path / "mis-1.toml")
    header = new_header(AgentId("zone"))
    body = build_event(header, (("SchoolInfo", Action.ADD, etree.tostring(school_info())),))
    with MemoryTransport(zone.broker, "zone") as transport:
        transport.publish(Outgoing(DELIVERY, "mis-1", body, header.msg_id, "SIF_Event"))
        transport.poll(0)
    handled: list[str] = []
    with Agent(settings, zone.connect) as agent, zone:

        @agent.on("SchoolInfo")
        async def save(event: Event) -> None:
            await asyncio.sleep(0)
            handled.append(event.msg_id)

        agent.run(once=True, limits=Limits(idle=timedelta(seconds=0.1)))
    assert handled == [header.msg_id]


def _what_mypy_refuses(agent: Agent) -> None:
    """Each wrong signature is an error, or mypy would say that its mark is not needed."""

    def takes_text(_event: str) -> None: ...

    def gives_number(_event: Event) -> int:
        return 1

    async def takes_answer(_answer: Answer) -> None: ...

    def gives_texts(_query: Query) -> list[str]:
        return []

    async def gives_nothing(_query: Query) -> None: ...

    agent.on("LearnerPersonal")(takes_text)  # type: ignore[type-var]  # not an Event
    agent.on("LearnerPersonal")(gives_number)  # type: ignore[type-var]  # a result that nobody takes
    agent.on("LearnerPersonal")(takes_answer)  # type: ignore[type-var]  # for answers
    agent.answer("LearnerPersonal")(takes_text)  # type: ignore[type-var]  # not an Answer
    agent.provide("SchoolGroup")(gives_texts)  # type: ignore[type-var]  # not objects
    agent.provide("SchoolGroup")(gives_nothing)  # type: ignore[type-var]  # nothing to go through
    agent.provide("SchoolGroup")(_generated)
    agent.provide("SchoolGroup")(_collected)
    agent.provide("SchoolGroup")(_of_a_generator)
