"""The ten points by which a gateway for SIF 2.x agents is checked, each in pull and in push where both exist."""

import gzip
import http.client
import os
import queue
import signal
import threading
from collections.abc import Callable
from itertools import groupby

import pytest

from tests.integration.gateway.conftest import Pair, Pushed, Zoned
from tests.integration.gateway.sif import (
    CONTENT_TYPE,
    NS,
    SECTIONS,
    Agent,
    Message,
    Said,
    Target,
    contexts,
    eventually,
    filler,
    learner,
    listed,
    new_id,
)
from tests.integration.gateway.test_http_binding import large_packet

Both = Callable[[str], tuple[Agent, Agent, "Target | None"]]


@pytest.fixture
def both(pair: Pair, zoned: Zoned) -> Both:
    """Return a MIS that provides learners, and a platform that pulls or is pushed to as told."""

    def make(mode: str, reaction: Callable[[Message], Said] = lambda _message: 1) -> tuple[Agent, Agent, Target | None]:
        mis, vle = pair
        assert mis.provide("LearnerPersonal").code == 0
        target = zoned.target(vle.id, reaction) if mode == "push" else None
        assert vle.register(push_to=target.url if target is not None else "").code == 0
        return mis, vle, target

    return make


MODES = pytest.mark.parametrize("mode", ["pull", "push"])


def next_for(vle: Agent, target: Target | None) -> Message:
    return vle.take() if target is None else target.next()


def test_1_every_post_gets_status_200_and_an_ack_in_the_version_of_the_message(solo: Agent) -> None:
    for version in ("2.0r1", "2.1", "2.6"):
        solo.version = version
        for answer in (solo.control("SIF_Ping"), solo.get(), solo.event(learner()), solo.subscribe("NoSuchThing")):
            assert answer.status == 200
            assert answer.headers["content-length"] == str(len(answer.body))
            assert answer.body.startswith(b"<SIF_Message ")
            assert answer.root.get("Version") == version
            assert answer.findings == ()


def test_2_who_is_not_registered_gets_4_9_for_everything_but_a_registration(zoned: Zoned) -> None:
    agent = zoned.agent("everybody")
    commands = ("SIF_Ping", "SIF_Sleep", "SIF_Wakeup", "SIF_GetMessage", "SIF_GetZoneStatus", "SIF_GetAgentACL")

    codes = [agent.control(command).code for command in commands]
    codes += [agent.event(learner()).code, agent.request().code, agent.provision().code, agent.subscribe().code]

    assert set(codes) == {(4, 9)}
    assert agent.register().code == 0
    assert agent.control("SIF_Ping").code == 0


@MODES
def test_3_a_registration_is_0_with_all_rights_and_the_status_has_protocols(both: Both, mode: str) -> None:
    _, vle, target = both(mode)

    answer = vle.register(push_to=target.url if target is not None else "")
    acl = answer.data("SIF_AgentACL")
    status = vle.control("SIF_GetZoneStatus").data("SIF_ZoneStatus")

    assert answer.code == 0
    assert [section.tag for section in acl] == [f"{NS}SIF_{name}Access" for name in SECTIONS]
    objects = [item for section in acl for item in section]
    assert objects
    assert all(item.find(f"{NS}SIF_Contexts/{NS}SIF_Context") is not None for item in objects)
    assert status.find(f"{NS}SIF_SupportedProtocols/{NS}SIF_Protocol/{NS}SIF_Property") is not None


@MODES
def test_4_old_versions_and_wildcards_are_accepted_and_requests_in_2_0r1(both: Both, mode: str) -> None:
    mis, vle, target = both(mode)
    url = target.url if target is not None else ""
    assert vle.register(push_to=url, versions=("2.6", "2.*", "2.0r1", "1.5r1", "1.1")).code == 0
    vle.version = "2.0r1"
    request = new_id()

    assert vle.request(msg_id=request).code == 0
    assert mis.take().msg_id == request
    assert mis.respond(request, learner(), to=vle.id).code == 0

    assert next_for(vle, target).text("SIF_RequestMsgId") == request


@MODES
def test_5_messages_are_forwarded_byte_for_byte(both: Both, mode: str) -> None:
    mis, vle, target = both(mode)
    body = mis.event_body(learner(local_id="Zoë")).replace(b"<SIF_ObjectData>", b"\n  <SIF_ObjectData\t>")
    assert mis.post(body).code == 0

    message = next_for(vle, target)

    assert message.body == body
    if target is not None:
        assert message.headers[":path"] == "/zone/in/"
        assert message.headers["content-type"] == CONTENT_TYPE
        assert message.headers["content-length"] == str(len(body))


@pytest.mark.parametrize(("code", "kept"), [(1, False), (7, False), ((12, 1), False), ((10, 1), True), (8, True)])
def test_6_pulled_messages_repeat_until_they_are_acknowledged(
    both: Both, code: int | tuple[int, int], kept: bool
) -> None:
    mis, vle, _ = both("pull")
    first, second = mis.event_body(learner()), mis.event_body(learner())
    for body in (first, second):
        mis.post(body)
    assert [vle.fetch().body, vle.fetch().body] == [first, first]

    assert vle.ack(vle.fetch(), code).code == 0

    assert vle.fetch().body == (first if kept else second)


@pytest.mark.parametrize(("code", "kept"), [(7, False), ((12, 1), False), ((10, 1), True), (8, True)])
def test_6_pushed_messages_repeat_until_they_are_acknowledged(
    pushed: Pushed, code: int | tuple[int, int], kept: bool
) -> None:
    said = iter([code])
    mis, _, target = pushed(lambda _message: next(said, 1))
    first, second = mis.event_body(learner()), mis.event_body(learner())
    for body in (first, second):
        mis.post(body)

    assert target.next().body == first
    assert target.next().body == (first if kept else second)


def test_7_nothing_waits_for_a_push_that_is_open(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    answering = zoned.agent(mis.id)

    def answer_first(message: Message) -> Said:
        assert answering.respond(message.msg_id, learner(), to=vle.id).code == 0
        assert vle.take().text("SIF_RequestMsgId") == message.msg_id  # before its request is acknowledged
        done.set()
        return 1

    done = threading.Event()
    target = zoned.target(mis.id, answer_first)
    assert mis.register(push_to=target.url).code == 0
    assert mis.provide("LearnerPersonal").code == 0

    assert vle.request().code == 0

    assert done.wait(10)
    assert zoned.agent("solo-0").register().code == 0


@pytest.mark.parametrize("wake", ["register", "wakeup", "final"])
@MODES
def test_8_only_events_freeze_until_the_agent_is_done(both: Both, mode: str, wake: str) -> None:
    mis, vle, target = both(mode)
    codes = iter([2])
    if target is not None:
        target.reaction = lambda message: next(codes, 1) if message.kind == "SIF_Event" else 1
    bodies = [mis.event_body(learner()) for _ in range(2)]
    for body in bodies:
        mis.post(body)
    event = vle.fetch() if target is None else target.next()
    if target is None:
        assert vle.ack(event, 2).code == 0
    request = new_id()
    assert vle.request(msg_id=request).code == 0
    mis.take()
    assert mis.respond(request, learner(), to=vle.id).code == 0
    assert next_for(vle, target).kind == "SIF_Response"

    if wake == "final":
        assert vle.ack(event, 3).code == 0
        assert vle.ack(event, 2).code == 0  # late, and ignored
    elif wake == "wakeup":
        assert vle.control("SIF_Wakeup").code == 0
    else:
        assert vle.register(push_to=target.url if target is not None else "").code == 0

    expected = bodies[1:] if wake == "final" else bodies
    assert [next_for(vle, target).body for _ in expected] == expected


def test_9_large_bodies_are_compressed_both_ways(asking: Pair) -> None:
    mis, vle = asking
    body = large_packet(mis, vle)
    vle.headers["Accept-Encoding"] = "gzip"

    assert mis.post(gzip.compress(body), {"Content-Encoding": "gzip"}).code == 0

    def fetch() -> bytes | None:
        answer = vle.get()
        return answer.body if answer.headers.get("content-encoding") == "gzip" else None

    assert body in gzip.decompress(eventually(fetch))


@pytest.mark.parametrize(("sign", "code"), [("x", 0), ("é", (8, 11))], ids=["one byte each", "two bytes each"])
def test_9_packets_are_counted_in_bytes(asking: Pair, sign: str, code: int | tuple[int, int]) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request, buffer=8_192)
    mis.take()

    answer = mis.respond(request, learner(more=filler(5_000, sign)), to=vle.id)

    assert answer.code == code


def insist(agent: Agent, body: bytes, zoned: Zoned) -> None:
    """Send until there is an answer, as an agent does; mend what was killed meanwhile."""

    def sent() -> bool:
        zoned.running.check()
        try:
            code = agent.post(body).code
        except (OSError, http.client.HTTPException):
            agent.close()
            return False
        assert code in (0, 7)
        return True

    eventually(sent, 40)


@MODES
@pytest.mark.parametrize("victim", ["gateway", "worker"])
def test_10_nothing_is_lost_or_out_of_order_whoever_is_killed(both: Both, zoned: Zoned, mode: str, victim: str) -> None:
    mis, vle, target = both(mode)
    ref = new_id()
    bodies = [mis.event_body(learner(ref, f"{n:06}"), "Add" if n == 0 else "Change") for n in range(24)]
    got: list[bytes] = []

    for number, body in enumerate(bodies):
        if number % 8 == 5:
            pid = zoned.running.gateway_pid if victim == "gateway" else zoned.running.worker_pids[0]
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        insist(mis, body, zoned)

    def take() -> bool:
        zoned.running.check()
        try:
            message = target.next(0.1) if target is not None else vle.get().message
            if message is not None:
                assert target is not None or vle.ack(message).code == 0
                got.append(message.body)
        except (OSError, http.client.HTTPException):
            vle.close()
        except queue.Empty:
            pass
        return len(set(got)) == len(bodies)

    eventually(take, 40)
    if target is None:
        assert vle.drain() == []
        assert got == bodies
    else:  # what was pushed and not written down comes again
        assert target.is_quiet()
        assert [body for body, _ in groupby(got)] == bodies


def test_10_a_request_and_its_answer_survive_every_kill(asking: Pair, zoned: Zoned) -> None:
    mis, vle = asking
    request = new_id()

    assert vle.request(msg_id=request, header=contexts("SIF_Default")).code == 0
    zoned.restart_gateway()
    assert mis.fetch().msg_id == request
    zoned.restart_gateway()
    assert mis.respond(request, learner(), to=vle.id, more=True).code == 0
    zoned.restart_gateway()
    assert mis.ack((vle.id, request)).code == 0
    assert mis.respond(request, learner(), to=vle.id, packet=2).code == 0
    assert vle.fetch().text("SIF_PacketNumber") == "1"
    zoned.restart_gateway()

    assert [message.text("SIF_PacketNumber") for message in vle.drain()] == ["1", "2"]
    assert mis.get().code == 9


def test_10_what_an_agent_has_said_of_itself_survives_a_kill(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    assert mis.provide("LearnerPersonal").code == 0
    assert vle.subscribe("SchoolInfo").code == 0

    zoned.restart_gateway()

    status = vle.control("SIF_GetZoneStatus").data("SIF_ZoneStatus")
    subscribed = status.iterfind(f"{NS}SIF_Subscribers/{NS}SIF_Subscriber[@SourceId='{vle.id}']//{NS}SIF_Object")
    assert [item.get("ObjectName") for item in subscribed] == ["LearnerPersonal", "SchoolInfo"]
    assert mis.send("SIF_Unprovide", listed("LearnerPersonal")).code == 0
