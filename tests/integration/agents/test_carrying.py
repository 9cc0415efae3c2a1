"""Agents that publish and receive, over every transport: nothing lost, nothing twice, order kept."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from agents import Agent, Event, Limits, NotFinished
from broker.protocol.envelope import Action, build_event, new_header
from broker.protocol.errors import UnknownObject
from broker.protocol.identifiers import AgentId, MsgId, new_msg_id
from broker.protocol.topology import INTAKE, intake_key
from broker.transports import Incoming, MemoryBroker, MemoryTransport, Outgoing
from tests.integration.agents.conftest import Connect
from tests.integration.agents.zones import SmallZone, learner_of
from tests.unit.agents.helpers import REF, ctf, learner, pupil

QUICK = Limits(idle=timedelta(seconds=0.3), patience=timedelta(seconds=20))
SENT = Limits(idle=timedelta(milliseconds=1), patience=timedelta(seconds=20))
"""For who has only to send."""
SHORT = Limits(idle=timedelta(seconds=0.1), patience=timedelta(seconds=1))


def event_of(name: str, action: Action = Action.ADD, msg_id: str | None = None) -> tuple[bytes, str]:
    header = new_header(AgentId("mis-1"), MsgId(msg_id) if msg_id else None)
    body = build_event(header, (("LearnerPersonal", action, etree.tostring(learner(name=name))),))
    return body, header.msg_id


def counts(taken: list[Incoming]) -> Counter[str]:
    return Counter(f"{incoming.headers['object']} {incoming.headers['action']}" for incoming in taken)


def surnames(agent: Agent) -> list[str]:
    with agent.received() as objects:
        return [element.findtext(".//{*}FamilyName") or "" for element in objects.all("LearnerPersonal")]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_export_reaches_the_zone_and_the_same_again_sends_nothing(
    connect: Connect, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", *(pupil(n) for n in range(50)))
    with SmallZone(connect("zone")()) as zone:
        with Agent.from_file(mis_file, connect("mis-1")) as agent:
            agent.run(once=True, limits=SENT)
        until(lambda: len(zone.taken) == 100)
        assert counts(zone.taken) == {"LearnerPersonal Add": 50, "LearnerSchoolEnrolment Add": 50}
        assert {incoming.user_id for incoming in zone.taken} == {"mis-1"}

        ctf(tmp_path / "exports/2.xml", *(pupil(n, "Plume" if n == 7 else "Quill") for n in range(50)))
        with Agent.from_file(mis_file, connect("mis-1")) as agent:
            agent.run(once=True, limits=SENT)
        until(lambda: len(zone.taken) == 101)
        assert counts(zone.taken)["LearnerPersonal Change"] == 1


def test_what_is_received_is_kept_and_handlers_are_called_once_for_each_message(
    connect: Connect, platform_file: Path
) -> None:
    seen: list[tuple[str, Action]] = []
    zone = SmallZone(connect("zone")())
    body, msg_id = event_of("Quill")
    for _ in range(3):
        zone.send("platform", body, msg_id)
    zone.send("platform", *event_of("Plume", Action.CHANGE))
    with zone, Agent.from_file(platform_file, connect("platform")) as agent:

        @agent.on("LearnerPersonal")
        def save(event: Event) -> None:
            seen.append((event.msg_id, event.action))

        agent.run(once=True, limits=QUICK)
        assert surnames(agent) == ["Plume"]

    assert [action for _, action in seen] == [Action.ADD, Action.CHANGE]
    assert seen[0][0] == msg_id


def test_a_message_that_comes_again_after_a_restart_is_not_handled_again(connect: Connect, platform_file: Path) -> None:
    body, msg_id = event_of("Quill")
    later, later_id = event_of("Plume", Action.CHANGE)
    handled = []
    with SmallZone(connect("zone")()) as zone:
        for messages in ([(body, msg_id), (later, later_id)], [(body, msg_id)]):
            sender = SmallZone(connect("zone")())
            for message in messages:
                sender.send("platform", *message)
            sender.transport.close()
            with Agent.from_file(platform_file, connect("platform")) as agent:
                agent.on("LearnerPersonal")(lambda event: handled.append(event.msg_id))
                agent.run(once=True, limits=QUICK)
                assert surnames(agent) == ["Plume"]
        assert zone.taken == []

    assert handled == [msg_id, later_id]


def test_what_cannot_be_handled_is_kept_with_the_reason_and_blocks_nothing(
    connect: Connect, platform_file: Path
) -> None:
    zone = SmallZone(connect("zone")())
    zone.send("platform", b"<rubbish", new_msg_id())
    zone.send("platform", *event_of("Marker"))
    zone.send("platform", *event_of("Plume", Action.CHANGE))
    with zone, Agent.from_file(platform_file, connect("platform")) as agent:

        @agent.on("LearnerPersonal")
        def save(event: Event) -> None:
            if event.action is Action.ADD:
                raise ValueError("Marker")

        agent.run(once=True, limits=QUICK)
        failed = agent.failed()
        assert surnames(agent) == ["Plume"]

    assert len(failed) == 2
    assert "line 1" in failed[0].reason
    assert "ValueError" in failed[1].reason
    assert "Marker" not in failed[1].reason
    assert b"Marker" in failed[1].body


def test_a_refused_event_is_reported_and_its_object_is_an_add_again_once_it_has_changed(
    connect: Connect, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", pupil(1))
    with SmallZone(connect("zone")(), refuse=lambda event: event.headers["object"] == "LearnerPersonal") as zone:
        with Agent.from_file(mis_file, connect("mis-1")) as agent:
            agent.run(once=True, limits=QUICK)
            (refusal,) = agent.refusals()
        assert (refusal.object_type, refusal.action) == ("LearnerPersonal", "Add")
        zone.refuse = lambda _event: False
        ctf(tmp_path / "exports/2.xml", pupil(1, "Plume"))
        with Agent.from_file(mis_file, connect("mis-1")) as agent:
            agent.run(once=True, limits=SENT)

        until(lambda: counts(zone.taken)["LearnerPersonal Add"] == 2)
        assert counts(zone.taken)["LearnerPersonal Change"] == 0


def test_nothing_is_published_before_the_zone_has_registered_the_agent(
    connect: Connect, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", pupil(1))
    with SmallZone(connect("zone")(), registers=None) as zone, Agent.from_file(mis_file, connect("mis-1")) as agent:
        with pytest.raises(NotFinished, match=r"did not answer.*2 events wait"):
            agent.run(once=True, limits=SHORT)
        assert zone.taken == []


def test_an_agent_that_the_zone_does_not_register_ends_with_the_zones_reason(connect: Connect, mis_file: Path) -> None:
    agent = Agent.from_file(mis_file, connect("mis-1"))

    with (
        SmallZone(connect("zone")(), registers=False),
        agent,
        pytest.raises(NotFinished, match="ask for the right"),
    ):
        agent.run(once=True, limits=QUICK)


def test_published_by_hand_is_durable_compared_and_sent_when_the_agent_runs(connect: Connect, mis_file: Path) -> None:
    with SmallZone(connect("zone")()) as zone:
        with Agent.from_file(mis_file, connect("mis-1")) as agent:
            first = agent.publish(learner())
            assert agent.publish(learner()) is None
            second = agent.publish(learner(name="Plume"))
            third = agent.publish(learner(), Action.DELETE)
        with Agent.from_file(mis_file, connect("mis-1")) as agent:
            agent.run(once=True, limits=SENT)
        until(lambda: len(zone.taken) == 3)

        assert [incoming.message_id for incoming in zone.taken] == [first, second, third]
        assert {incoming.routing_key for incoming in zone.taken} == {intake_key(REF)}


def test_an_object_that_no_zone_has_is_refused_with_the_nearest_name(mis_file: Path, memory: MemoryBroker) -> None:
    agent = Agent.from_file(mis_file, lambda: MemoryTransport(memory, "mis-1"))

    with agent, pytest.raises(UnknownObject, match="did you mean LearnerPersonal"):
        agent.on("LearnerPersonnel")


def test_a_running_agent_reads_a_file_as_it_arrives_and_stops_when_told(
    connect: Connect, mis_file: Path, tmp_path: Path
) -> None:
    with SmallZone(connect("zone")()) as zone, Agent.from_file(mis_file, connect("mis-1")) as agent:
        thread = threading.Thread(target=agent.run)
        thread.start()
        ctf(tmp_path / "arriving.xml", pupil(1)).rename(tmp_path / "exports/1.xml")
        until(lambda: len(zone.taken) == 2)
        ctf(tmp_path / "exports/2.xml", pupil(1, "Plume"))
        until(lambda: len(zone.taken) == 3)
        agent.stop()
        thread.join(20)

        assert not thread.is_alive()


class Losing(MemoryTransport):
    """Loses its connection at every so many polls."""

    polls = 0

    def poll(self, timeout: float) -> list[Incoming]:
        Losing.polls += 1
        if Losing.polls % 7 == 0:
            self._broker.disconnect("mis-1")
        return super().poll(timeout)


def test_losses_of_the_network_lose_nothing_and_keep_order_for_each_learner(
    memory: MemoryBroker, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", *(pupil(n) for n in range(1000)))
    with SmallZone(MemoryTransport(memory, "zone")) as zone:
        with Agent.from_file(mis_file, lambda: Losing(memory, "mis-1")) as agent:
            agent.run(once=True, limits=SENT)
        until(lambda: len({incoming.message_id for incoming in zone.taken}) == 2000)

        first: dict[str, list[str]] = {}
        for incoming in {incoming.message_id: incoming for incoming in reversed(zone.taken)}.values():
            first.setdefault(learner_of(incoming), []).append(str(incoming.headers["object"]))
        assert Losing.polls > 7
        assert {tuple(reversed(names)) for names in first.values()} == {("LearnerPersonal", "LearnerSchoolEnrolment")}


def test_an_intake_that_takes_nothing_for_a_while_gets_everything_later_in_order(
    memory: MemoryBroker, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", *(pupil(n) for n in range(20)))
    rejected: list[str] = []

    class Rejecting(MemoryTransport):
        """Publishes to nowhere at first, so that the zone refuses it."""

        def publish(self, message: Outgoing) -> int:
            if message.exchange == INTAKE and message.message_id not in rejected and len(rejected) < 5:
                rejected.append(message.message_id)
                message = replace(message, exchange="sif.delivery", routing_key="nobody")
            return super().publish(message)

    with SmallZone(MemoryTransport(memory, "zone")) as zone:
        with Agent.from_file(mis_file, lambda: Rejecting(memory, "mis-1")) as agent:
            agent.run(once=True, limits=SENT)
        until(lambda: len(zone.taken) == 40)

        assert len(rejected) == 5
        orders: dict[str, list[str]] = {}
        for incoming in zone.taken:
            orders.setdefault(learner_of(incoming), []).append(str(incoming.headers["object"]))
        assert {tuple(names) for names in orders.values()} == {("LearnerPersonal", "LearnerSchoolEnrolment")}
