"""What authors of agents rely on, in the zone that their tests use and in a running one on RabbitMQ: one contract."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from lxml import etree

from agents import Agent, Answer, Event
from agents.settings import AgentSettings
from agents.testing import Agreement, Zone, ZoneAgent, sample
from broker.protocol.envelope import Action, build_event, event_objects, new_header, parse_message
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.query import Query
from broker.protocol.topology import INTAKE, intake_key
from broker.rabbitmq import PrivateNode
from broker.settings import load_zone
from broker.supervisor import RunningZone, read_url
from broker.transports import AmqpSettings, AmqpTransport, Outgoing
from tests.shared_node import settings_for

SCHOOL, PLATFORM, STRANGER, LIBRARY, BELL = AGENTS = ("mis-1", "platform", "stranger", "library", "bell")
SIGN = "SchoolInfo"
"""What the bell rings with in the running zone, for all to hear, so that a test knows that all before it has come."""
ZONE_AGENTS = (
    ZoneAgent(
        SCHOOL, establishments=["8209901"], publish=["LearnerPersonal"], subscribe=[SIGN], provide=["SchoolGroup"]
    ),
    ZoneAgent(PLATFORM, subscribe=["LearnerPersonal", SIGN], rights={"SchoolGroup": ["request"]}),
    ZoneAgent(STRANGER, subscribe=["LearnerPersonal", SIGN]),
    ZoneAgent(LIBRARY, subscribe=[SIGN]),
    ZoneAgent(BELL, publish=[SIGN]),
)
AGREEMENTS = (
    Agreement(
        {
            "LearnerPersonal": ["@RefId", "LocalId"],
            "SchoolGroup": ["@RefId", "@SchoolGroupTypeRefId", "@SchoolYear", "LocalId"],
        },
        [PLATFORM],
        id="learners",
    ),
    Agreement({SIGN: ["@RefId"]}, ["*"], [BELL], id="bell"),
)
SECONDS = 40.0


class World(Protocol):
    """A zone with agents in it, of either kind."""

    def agent(self, agent: str) -> Agent: ...

    def run_until_quiet(self) -> None: ...

    def inbox(self, agent: str) -> tuple[Event, ...]: ...

    def send(self, agent: str, body: bytes) -> None: ...


class RunningWorld:
    """Agents that run in threads of their own, and a zone's worker in its own process."""

    def __init__(self, running: RunningZone, folder: Path) -> None:
        self._running, self._folder = running, folder
        self._agents: dict[str, Agent] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._events: dict[str, list[Event]] = {agent: [] for agent in AGENTS}
        self._signs: dict[str, threading.Event] = {agent: threading.Event() for agent in AGENTS}
        self._sign = ""

    def agent(self, agent: str) -> Agent:
        self.stop(agent)
        url = self._url(agent)
        state = self._folder / agent
        settings = AgentSettings(id=AgentId(agent), file=self._folder / f"{agent}.toml", state=state)
        started = self._agents[agent] = Agent(settings, lambda: AmqpTransport(AmqpSettings(url=url)))
        started.on("LearnerPersonal")(self._events[agent].append)

        @started.on(SIGN)
        def heard(event: Event) -> None:
            if event.element.get("RefId") == self._sign:
                self._signs[agent].set()

        return started

    def run_until_quiet(self) -> None:
        for agent in AGENTS:
            if agent not in self._agents:
                self.agent(agent)
            if agent not in self._threads:
                self._threads[agent] = threading.Thread(target=self._agents[agent].run, daemon=True)
                self._threads[agent].start()
        for _ in range(2):  # a request, and its answer
            self._ring()

    def inbox(self, agent: str) -> tuple[Event, ...]:
        return tuple(self._events[agent])

    def send(self, agent: str, body: bytes) -> None:
        message = parse_message(body)
        key = intake_key(event_objects(message)[0].element.get("RefId", ""))
        with AmqpTransport(AmqpSettings(url=self._url(agent))) as transport:
            number = transport.publish(Outgoing(INTAKE, key, body, message.header.msg_id, message.kind, user_id=agent))
            while transport.confirmed < number:
                transport.poll(0.2)
            assert transport.refusals() == []

    def stop(self, agent: str) -> None:
        if agent in self._agents:
            self._agents[agent].stop()
            if agent in self._threads:
                self._threads.pop(agent).join(SECONDS)
            self._agents.pop(agent).close()

    def _ring(self) -> None:
        """Let a sign follow, through the one intake queue, all that was published, and wait until all have heard it."""
        for agent in self._agents.values():
            wait_until_sent(agent)
        self._sign = new_ref_id()
        for heard in self._signs.values():
            heard.clear()
        element = sample(SIGN)
        element.set("RefId", self._sign)
        self._agents[BELL].publish(element)
        for name in (SCHOOL, PLATFORM, STRANGER, LIBRARY):
            assert self._signs[name].wait(SECONDS), name

    def _url(self, agent: str) -> str:
        return read_url(self._running.zone.credentials(agent))


def wait_until_sent(agent: Agent) -> None:
    """Wait until the zone has all that an agent has published, and all that it was asked is answered."""
    deadline = time.monotonic() + SECONDS
    while agent.waiting():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module", params=["in memory", "running"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A zone for the tests of this module, each of which has learners of its own."""
    if request.param == "in memory":
        with Zone(ZONE_AGENTS, AGREEMENTS) as zone:
            yield zone
        return
    folder = tmp_path_factory.mktemp("same")
    node: PrivateNode = request.getfixturevalue("rabbit_node")
    with ExitStack() as stack:
        begin = stack.enter_context(settings_for(node, "same-zone"))
        (folder / "agreements").mkdir()
        lines = [f'id = "same-zone"\npartitions = 1\n{begin}', *(agent.toml() for agent in ZONE_AGENTS)]
        (folder / "zone.toml").write_text("\n".join(lines))
        for agreement in AGREEMENTS:
            (folder / "agreements" / f"{agreement.id}.toml").write_text(agreement.toml())
        log = stack.enter_context((folder / "zone.log").open("w"))
        running = stack.enter_context(RunningZone(load_zone(folder), 1, log_file=log.fileno()))
        found = RunningWorld(running, folder)
        for agent in AGENTS:
            stack.callback(found.stop, agent)
        yield found


def learner(ref_id: str, local_id: str = "000412") -> etree._Element:
    """Return a whole learner."""
    element = sample("LearnerPersonal", minimal=True)
    element.set("RefId", ref_id)
    local = element.find("{*}LocalId")
    if local is None:
        local = etree.Element(f"{{{etree.QName(element).namespace}}}LocalId")
        element.insert(0, local)
    local.text = local_id
    return element


def about(events: tuple[Event, ...], ref_id: str) -> list[Event]:
    """Return the events about one learner."""
    return [event for event in events if event.element.get("RefId") == ref_id]


def refused(agent: Agent, ref_id: str) -> list[tuple[int, int]]:
    """Return category and code of what was refused of one object."""
    return [(one.category, one.code) for one in agent.refusals() if one.ref_id == ref_id]


def test_an_add_reaches_who_has_an_agreement_cut_to_it_and_nobody_else(world: World) -> None:
    ref_id = new_ref_id()
    school = world.agent(SCHOOL)
    school.publish(learner(ref_id))
    world.run_until_quiet()

    (event,) = about(world.inbox(PLATFORM), ref_id)
    assert (event.action, event.source_id) == (Action.ADD, SCHOOL)
    assert [etree.QName(child).localname for child in event.element] == ["LocalId"]
    assert about(world.inbox(STRANGER), ref_id) == []
    assert refused(school, ref_id) == []


def test_who_has_no_right_to_publish_is_refused_by_category_and_code(world: World) -> None:
    ref_id = new_ref_id()
    library = world.agent(LIBRARY)
    library.publish(learner(ref_id))
    world.run_until_quiet()

    assert refused(library, ref_id) == [(4, 10)]
    assert about(world.inbox(PLATFORM), ref_id) == []


def test_an_object_that_breaks_its_schema_is_refused_and_delivered_to_nobody(world: World) -> None:
    ref_id = new_ref_id()
    school = world.agent(SCHOOL)
    broken = learner(ref_id)
    etree.SubElement(broken, f"{{{etree.QName(broken).namespace}}}ShoeSize").text = "38"
    school.publish(broken)
    world.run_until_quiet()

    assert refused(school, ref_id) == [(1, 3)]
    assert about(world.inbox(PLATFORM), ref_id) == []


def test_a_message_that_comes_twice_is_delivered_once(world: World) -> None:
    ref_id = new_ref_id()
    world.run_until_quiet()
    body = build_event(new_header(AgentId(SCHOOL)), (("LearnerPersonal", Action.ADD, etree.tostring(learner(ref_id))),))
    world.send(SCHOOL, body)
    world.send(SCHOOL, body)
    world.run_until_quiet()

    assert len(about(world.inbox(PLATFORM), ref_id)) == 1


def test_who_speaks_in_the_name_of_another_is_not_heard(world: World) -> None:
    ref_id = new_ref_id()
    world.run_until_quiet()
    objects = (("LearnerPersonal", Action.ADD, etree.tostring(learner(ref_id))),)
    world.send(LIBRARY, build_event(new_header(AgentId(SCHOOL)), objects))
    world.run_until_quiet()

    assert about(world.inbox(PLATFORM), ref_id) == []


def test_changes_and_deletes_follow_in_their_order(world: World) -> None:
    ref_id = new_ref_id()
    school, platform = world.agent(SCHOOL), world.agent(PLATFORM)
    school.publish(learner(ref_id))
    school.publish(learner(ref_id, "000413"))
    school.publish(learner(ref_id, "000413"))
    world.run_until_quiet()
    with platform.received() as kept:
        found = kept.get("LearnerPersonal", ref_id)
        assert found is not None
        assert found.findtext("{*}LocalId") == "000413"
    school.publish(learner(ref_id), Action.DELETE)
    world.run_until_quiet()

    actions = [event.action for event in about(world.inbox(PLATFORM), ref_id)]
    assert actions == [Action.ADD, Action.CHANGE, Action.DELETE]
    with platform.received() as kept:
        assert kept.get("LearnerPersonal", ref_id) is None


def test_a_request_is_answered_by_the_provider_and_the_answer_cut_to_the_agreement(world: World) -> None:
    school, platform = world.agent(SCHOOL), world.agent(PLATFORM)
    answers: list[Answer] = []
    platform.answer("SchoolGroup")(answers.append)

    @school.provide("SchoolGroup")
    def groups(_query: Query) -> list[etree._Element]:
        return [sample("SchoolGroup")]

    world.run_until_quiet()  # the zone has heard who provides
    request_id = platform.request("SchoolGroup")
    world.run_until_quiet()

    (answer,) = answers
    assert (answer.request_id, answer.source_id, answer.more, answer.error) == (request_id, SCHOOL, False, None)
    (group,) = answer.elements
    assert [etree.QName(child).localname for child in group] == ["LocalId"]


def test_a_request_without_the_right_ends_in_an_error_for_its_handler(world: World) -> None:
    stranger = world.agent(STRANGER)
    answers: list[Answer] = []
    stranger.answer("SchoolGroup")(answers.append)
    stranger.request("SchoolGroup")
    world.run_until_quiet()

    (answer,) = answers
    assert answer.error is not None
    assert answer.error[:2] == (4, 5)


def test_what_was_published_before_a_restart_is_sent_after_it_and_once(world: World) -> None:
    ref_id = new_ref_id()
    world.agent(SCHOOL).publish(learner(ref_id))
    again = world.agent(SCHOOL)
    assert again.waiting() == 1
    world.run_until_quiet()
    world.agent(SCHOOL)
    world.run_until_quiet()

    assert len(about(world.inbox(PLATFORM), ref_id)) == 1
