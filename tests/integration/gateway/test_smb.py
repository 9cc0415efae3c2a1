"""Selective Message Blocking: while an agent is busy with an event, other events wait and the rest flows."""

import threading

import pytest

from tests.integration.gateway.conftest import Pair, Pushed, Zoned
from tests.integration.gateway.sif import Agent, Message, eventually, filler, learner, new_id


@pytest.fixture
def busy(pair: Pair) -> tuple[Agent, Agent, Message, list[bytes]]:
    """A platform that is busy with the first of three events."""
    mis, vle = pair
    assert mis.provide("LearnerPersonal").code == 0
    bodies = [mis.event_body(learner()) for _ in range(3)]
    assert [mis.post(body).code for body in bodies] == [0, 0, 0]
    event = vle.fetch()
    assert vle.ack(event, 2).code == 0
    return mis, vle, event, bodies


Busy = tuple[Agent, Agent, Message, list[bytes]]


def ask(mis: Agent, vle: Agent, packets: int = 1) -> list[str]:
    """Have *vle* ask, and *mis* answer; return the ids of the packets."""
    request = new_id()
    assert vle.request(msg_id=request, to=mis.id).code == 0
    assert mis.take().msg_id == request
    ids = [new_id() for _ in range(packets)]
    for number, msg_id in enumerate(ids, start=1):
        more = number < packets
        assert mis.respond(request, learner(), to=vle.id, packet=number, more=more, msg_id=msg_id).code == 0
    return ids


def test_an_event_that_an_agent_is_busy_with_freezes_the_other_events(busy: Busy) -> None:
    _, vle, _, _ = busy

    assert [vle.get().code for _ in range(3)] == [9, 9, 9]


def test_responses_are_given_out_although_the_event_is_still_first(busy: Busy) -> None:
    mis, vle, _, _ = busy

    ids = ask(mis, vle, packets=3)

    assert [vle.take().msg_id for _ in ids] == ids
    assert vle.get().code == 9


def test_what_was_queued_before_the_block_flows_too(pair: Pair) -> None:
    mis, vle = pair
    mis.provide("LearnerPersonal")
    mis.event(learner())
    event = vle.fetch()
    ids = ask(mis, vle)
    frozen = mis.event_body(learner())
    mis.post(frozen)

    vle.ack(event, 2)

    assert vle.take().msg_id == ids[0]
    assert vle.get().code == 9
    vle.ack(event, 3)
    assert vle.take().body == frozen


def test_the_zones_own_answers_flow_to_an_agent_that_is_busy(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    watcher = zoned.agent("watcher")
    watcher.register()
    watcher.subscribe("SIF_LogEntry")
    vle.register(buffer=4_096)
    mis.event(learner(more=filler(5_000)))
    entry = watcher.fetch()
    assert watcher.ack(entry, 2).code == 0

    assert watcher.request("SIF_ZoneStatus").code == 0

    assert watcher.take().kind == "SIF_Response"
    assert watcher.ack(entry, 3).code == 0


def test_the_final_ack_removes_the_event_and_thaws_the_rest_in_order(busy: Busy) -> None:
    mis, vle, event, bodies = busy
    late = mis.event_body(learner())
    mis.post(late)

    assert vle.ack(event, 3).code == 0

    assert [vle.take().body for _ in range(3)] == [*bodies[1:], late]
    assert vle.get().code == 9


def test_an_error_about_the_event_ends_the_block_and_is_kept(busy: Busy, zoned: Zoned) -> None:
    mis, vle, event, bodies = busy

    assert vle.ack(event, (12, 1)).code == 0

    assert vle.take().body == bodies[1]
    assert zoned.store.quarantine_body(zoned.kept(mis.id, (12, 1)).id) == bodies[0]


@pytest.mark.parametrize("wake", ["register", "wakeup", "administrator"])
def test_the_block_ends_and_the_event_is_given_again(busy: Busy, zoned: Zoned, wake: str) -> None:
    _, vle, event, bodies = busy

    if wake == "register":
        assert vle.register().code == 0
    elif wake == "wakeup":
        assert vle.control("SIF_Wakeup").code == 0
    else:
        eventually(lambda: zoned.store.blocked().get(vle.id) == event.msg_id)
        zoned.store.block(vle.id, "")

    assert [message.body for message in (vle.take(), vle.take(), vle.take())] == bodies


def test_an_event_that_is_given_again_may_be_blocked_again(busy: Busy) -> None:
    _, vle, event, _ = busy
    vle.control("SIF_Wakeup")
    assert vle.fetch().msg_id == event.msg_id

    assert vle.ack(event, 2).code == 0

    assert vle.get().code == 9


def test_sleep_does_not_end_a_block(busy: Busy, zoned: Zoned) -> None:
    _, vle, event, _ = busy

    vle.control("SIF_Sleep")

    assert zoned.store.blocked()[vle.id] == event.msg_id
    assert vle.ack(event, 3).code == 0


def test_one_event_blocks_at_a_time(busy: Busy) -> None:
    mis, vle, event, _ = busy
    ids = ask(mis, vle)
    response = vle.fetch()
    assert response.msg_id == ids[0]

    assert vle.ack(response, 2).code == (13, 2)

    assert vle.fetch().msg_id == ids[0]
    assert vle.ack(response).code == 0
    assert vle.ack(event, 3).code == 0


@pytest.mark.parametrize("kind", ["SIF_Request", "SIF_Response"])
def test_an_intermediate_ack_of_what_is_no_event_is_refused_and_changes_nothing(asking: Pair, kind: str) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request, to=mis.id)
    if kind == "SIF_Response":
        mis.take()
        mis.respond(request, to=vle.id)
    agent = vle if kind == "SIF_Response" else mis
    message = agent.fetch()

    assert agent.ack(message, 2).code == (13, 2)

    assert agent.fetch().body == message.body
    assert agent.ack(message).code == 0


@pytest.mark.parametrize("what", ["a frozen event", "nobody's message", "a response"])
def test_a_final_ack_that_names_another_message_is_refused_and_changes_nothing(busy: Busy, what: str) -> None:
    mis, vle, event, bodies = busy
    frozen = Message(bodies[1])
    named = (mis.id, frozen.msg_id if what == "a frozen event" else new_id())
    if what == "a response":
        ask(mis, vle)
        named = (mis.id, vle.fetch().msg_id)

    assert vle.ack(named, 3).code == (13, 4)

    if what == "a response":
        assert vle.take().msg_id == named[1]
    assert vle.get().code == 9
    assert vle.ack(event, 3).code == 0
    assert vle.take().body == bodies[1]


def test_a_frozen_event_cannot_be_acknowledged(busy: Busy) -> None:
    _, vle, event, bodies = busy
    frozen = Message(bodies[1])

    assert vle.ack(frozen, 1).code == (12, 6)

    vle.ack(event, 3)
    assert vle.take().body == bodies[1]


def test_a_final_ack_without_an_intermediate_one_completes_an_event(pair: Pair) -> None:
    mis, vle = pair
    bodies = [mis.event_body(learner()) for _ in range(2)]
    for body in bodies:
        mis.post(body)

    assert vle.ack(vle.fetch(), 3).code == 0

    assert vle.take().body == bodies[1]


def test_an_intermediate_ack_that_comes_after_the_final_one_blocks_nothing(pair: Pair) -> None:
    mis, vle = pair
    bodies = [mis.event_body(learner()) for _ in range(2)]
    for body in bodies:
        mis.post(body)
    event = vle.fetch()

    assert [vle.ack(event, 3).code, vle.ack(event, 2).code] == [0, 0]

    assert vle.take().body == bodies[1]


def test_an_intermediate_ack_that_comes_twice_is_as_one(busy: Busy) -> None:
    _, vle, event, bodies = busy

    assert vle.ack(event, 2).code == 0

    assert vle.get().code == 9
    assert vle.ack(event, 3).code == 0
    assert vle.take().body == bodies[1]


def test_a_final_ack_that_comes_twice_removes_nothing_else(busy: Busy) -> None:
    _, vle, event, bodies = busy

    assert [vle.ack(event, 3).code, vle.ack(event, 3).code] == [0, 0]

    assert [message.body for message in vle.drain()] == bodies[1:]


@pytest.mark.parametrize("code", [8, (10, 1)], ids=str)
def test_what_keeps_a_message_does_not_end_the_block(busy: Busy, code: int | tuple[int, int]) -> None:
    _, vle, event, _ = busy

    assert vle.ack(event, code).code == 0

    assert vle.get().code == 9


def test_a_block_outlives_the_gateway(busy: Busy, zoned: Zoned) -> None:
    mis, vle, event, bodies = busy

    zoned.restart_gateway()

    assert [vle.get().code for _ in range(3)] == [9, 9, 9]
    ids = ask(mis, vle)
    assert vle.take().msg_id == ids[0]
    assert vle.ack(event, 3).code == 0
    assert [message.body for message in vle.drain()] == bodies[1:]


@pytest.mark.parametrize("code", [3, (12, 1)], ids=str)
def test_the_block_can_be_ended_as_soon_as_the_gateway_is_back(
    busy: Busy, zoned: Zoned, code: int | tuple[int, int]
) -> None:
    mis, vle, event, bodies = busy

    zoned.restart_gateway()

    assert vle.ack(event, code).code == 0
    assert [message.body for message in vle.drain()] == bodies[1:]
    if code != 3:
        assert zoned.store.quarantine_body(zoned.kept(mis.id, (12, 1)).id) == bodies[0]


# -- agents that are pushed to --------------------------------------------------------------------------------------


class Busying:
    """Acknowledges the first event with 2 and everything else with 1."""

    def __init__(self) -> None:
        self.events = 0

    def __call__(self, message: Message) -> int:
        if message.kind != "SIF_Event":
            return 1
        self.events += 1
        return 2 if self.events == 1 else 1


def test_a_push_that_is_acknowledged_with_2_freezes_events_until_the_final_ack(pushed: Pushed) -> None:
    mis, vle, target = pushed(Busying())
    mis.provide("LearnerPersonal")
    bodies = [mis.event_body(learner()) for _ in range(3)]
    for body in bodies:
        mis.post(body)
    event = target.next()

    for _ in range(2):
        asked = ask(mis, vle)
        assert [target.next().msg_id] == asked  # and no event before it, although they are older

    assert vle.ack(event, 3).code == 0
    assert [target.next().body, target.next().body] == bodies[1:]


@pytest.mark.parametrize("wake", ["register", "wakeup"])
def test_a_pushed_event_comes_again_when_its_block_ends_otherwise(pushed: Pushed, wake: str) -> None:
    mis, vle, target = pushed(Busying())
    body = mis.event_body(learner())
    mis.post(body)
    assert target.next().body == body

    answer = vle.register(push_to=target.url) if wake == "register" else vle.control("SIF_Wakeup")

    assert answer.code == 0
    assert target.next().body == body


@pytest.mark.parametrize("code", [1, 7])
def test_an_agent_that_is_pushed_to_ends_its_block_with_3_only(pushed: Pushed, code: int) -> None:
    mis, vle, target = pushed(Busying())
    mis.provide("LearnerPersonal")
    bodies = [mis.event_body(learner()) for _ in range(2)]
    for body in bodies:
        mis.post(body)
    event = target.next()
    asked = ask(mis, vle)
    assert [target.next().msg_id] == asked  # and no event before it, although that is older

    assert vle.ack(event, code).code == (13, 3)
    asked = ask(mis, vle)
    assert [target.next().msg_id] == asked

    assert vle.ack(event, 3).code == 0
    assert target.next().body == bodies[1]


def test_2_for_what_is_no_event_counts_as_1_where_nobody_can_be_told(pushed: Pushed) -> None:
    mis, vle, target = pushed(lambda _message: 2)
    mis.provide("LearnerPersonal")
    ids = ask(mis, vle, packets=2)

    assert [target.next().msg_id for _ in ids] == ids


def test_a_final_ack_that_overtakes_the_intermediate_one_completes_the_event(pushed: Pushed) -> None:
    said = threading.Event()

    def late(message: Message) -> int:
        if message.msg_id != first:
            return 1
        assert said.wait(10)
        return 2

    mis, vle, target = pushed(late)
    first = new_id()
    mis.event(learner(), msg_id=first)
    body = mis.event_body(learner())
    mis.post(body)
    event = target.next()

    assert vle.ack(event, 3).code == 0
    said.set()

    assert target.next().body == body


@pytest.mark.parametrize("how", ["register", "wakeup"])
def test_an_event_that_is_being_pushed_survives_a_wakeup_in_the_middle(pushed: Pushed, how: str) -> None:
    said = threading.Event()

    def slow(_message: Message) -> int:
        assert said.wait(10)
        return 1

    mis, vle, target = pushed(slow)
    bodies = [mis.event_body(learner()) for _ in range(2)]
    for body in bodies:
        mis.post(body)
    assert target.next().body == bodies[0]

    answer = vle.register(push_to=target.url) if how == "register" else vle.control("SIF_Wakeup")
    said.set()

    assert answer.code == 0
    assert target.next().body == bodies[1]
