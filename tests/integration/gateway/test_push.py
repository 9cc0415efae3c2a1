"""What the zone pushes, where to, in which form and order; and what agents do meanwhile."""

import gzip
import threading
import time

import pytest

from tests.integration.gateway.conftest import Pair, Pushed, Zoned
from tests.integration.gateway.sif import CONTENT_TYPE, Message, Said, learner, listed, new_id
from tests.integration.gateway.test_registration import ACCEPTS


def test_a_message_is_pushed_bare_to_the_exact_url_with_the_exact_headers(pushed: Pushed) -> None:
    mis, _, target = pushed(lambda _message: 1)
    body = mis.event_body(learner())
    mis.post(body)

    message = target.next()

    assert message.headers[":path"] == "/zone/in/"
    assert message.headers["content-type"] == CONTENT_TYPE
    assert message.headers["content-length"] == str(len(body))
    assert "transfer-encoding" not in message.headers
    assert "content-encoding" not in message.headers
    assert message.body == body


@pytest.mark.parametrize("tail", ["", "?zone=a&x=%41", "%7Eodd//path/;p=1"])
def test_the_url_is_posted_to_as_it_was_registered(pair: Pair, zoned: Zoned, tail: str) -> None:
    mis, vle = pair
    target = zoned.target(vle.id)
    assert vle.register(push_to=(target.url + tail).replace("&", "&amp;")).code == 0
    mis.event(learner())

    assert target.next().headers[":path"] == "/zone/in/" + tail


def test_messages_are_pushed_in_order_and_one_at_a_time(pushed: Pushed) -> None:
    busy = threading.Lock()
    overlaps: list[str] = []

    def slow(message: Message) -> Said:
        if not busy.acquire(blocking=False):
            overlaps.append(message.msg_id)
            return 1
        time.sleep(0.02)
        busy.release()
        return 1

    mis, _, target = pushed(slow)
    bodies = [mis.event_body(learner()) for _ in range(20)]
    for body in bodies:
        assert mis.post(body).code == 0

    assert [target.next().body for _ in bodies] == bodies
    assert overlaps == []


@pytest.mark.parametrize("code", [1, 3, 7])
def test_a_pushed_message_is_done_with_by_status(pushed: Pushed, code: int) -> None:
    mis, _, target = pushed(lambda _message: code)
    bodies = [mis.event_body(learner()) for _ in range(3)]
    for body in bodies:
        mis.post(body)

    assert [target.next().body for _ in bodies] == bodies  # what is not done with comes again before the next


@pytest.mark.parametrize("code", [(1, 3), (9, 3), (12, 1), (12, 3)], ids=str)
def test_a_pushed_message_that_is_refused_for_good_is_kept_and_the_next_pushed(
    pushed: Pushed, zoned: Zoned, code: tuple[int, int]
) -> None:
    mis, vle, target = pushed(lambda _message: code)
    bodies = [mis.event_body(learner()) for _ in range(2)]
    mis.post(bodies[0])
    entry = zoned.kept(mis.id, code)
    mis.post(bodies[1])

    assert [target.next().body, target.next().body] == bodies
    assert entry.recipient == vle.id
    assert zoned.store.quarantine_body(entry.id) == bodies[0]


class Refusing:
    """Answers in a bad way until it is told to be good."""

    def __init__(self, bad: Said) -> None:
        self.bad, self.good = bad, False

    def __call__(self, _message: Message) -> Said:
        return 1 if self.good else self.bad


@pytest.mark.parametrize("bad", [8, (10, 1), None], ids=["asleep", "try again", "connection dropped"])
def test_what_an_agent_cannot_take_now_is_pushed_again_before_anything_else(pushed: Pushed, bad: Said) -> None:
    reaction = Refusing(bad)
    mis, _, target = pushed(reaction)
    bodies = [mis.event_body(learner()) for _ in range(2)]
    for body in bodies:
        mis.post(body)
    assert target.next().body == bodies[0]

    reaction.good = True

    assert [target.next().body, target.next().body] == bodies


@pytest.mark.parametrize("how", ["register", "wakeup"])
def test_to_register_and_to_wake_up_bring_a_push_at_once(pushed: Pushed, how: str) -> None:
    reaction = Refusing((10, 1))
    mis, vle, target = pushed(reaction)
    body = mis.event_body(learner())
    mis.post(body)
    for _ in range(2):  # the pauses grow: the next one is of 1.6 seconds or more
        assert target.next().body == body
    reaction.good = True

    answer = vle.register(push_to=target.url) if how == "register" else vle.control("SIF_Wakeup")

    assert answer.code == 0
    assert target.next(1.2).body == body


def test_a_new_url_is_used_at_once(pushed: Pushed, zoned: Zoned) -> None:
    mis, vle, target = pushed(lambda _message: None)
    body = mis.event_body(learner())
    mis.post(body)
    target.next()
    elsewhere = zoned.target(vle.id)

    assert vle.register(push_to=elsewhere.url).code == 0

    assert elsewhere.next(1.5).body == body


def test_responses_may_be_posted_while_the_push_of_their_request_is_open(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    codes: list[int | tuple[int, int]] = []
    answering = zoned.agent(mis.id)

    def answer_first(message: Message) -> Said:
        if message.kind != "SIF_Request":
            return 1
        for number in (1, 2, 3):
            said = answering.respond(message.msg_id, learner(), to=vle.id, packet=number, more=number < 3)
            codes.append(said.code)
        codes.append(answering.control("SIF_Ping").code)
        return 1

    target = zoned.target(mis.id, answer_first)
    assert mis.register(push_to=target.url).code == 0
    assert mis.provide("LearnerPersonal").code == 0
    began = time.monotonic()

    assert vle.request(to=mis.id).code == 0

    packets = [vle.take().text("SIF_PacketNumber") for _ in range(3)]
    assert packets == ["1", "2", "3"]
    assert codes == [0, 0, 0, 0]
    assert time.monotonic() - began < 10
    first = target.next()
    assert first.kind == "SIF_Request"
    assert vle.request(to=mis.id).code == 0
    assert target.next().msg_id != first.msg_id  # what is not done with comes again before the next


def test_an_agent_may_be_pushed_to_before_it_has_said_what_it_does(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    body = mis.event_body(learner())
    mis.post(body)
    vle.fetch()
    held, going_on = threading.Event(), threading.Event()

    def hold(_message: Message) -> Said:
        held.set()
        assert going_on.wait(10)
        return 1

    target = zoned.target(vle.id, hold)
    assert vle.register(push_to=target.url).code == 0
    assert held.wait(10)

    codes = [vle.control(command).code for command in ("SIF_Ping", "SIF_GetZoneStatus", "SIF_GetAgentACL")]
    codes.append(vle.provision({"Subscribe": listed("LearnerPersonal")}).code)
    going_on.set()

    assert codes == [0, 0, 0, 0]
    assert target.next().body == body


def test_an_agent_that_hangs_holds_nobody_else_up(pushed: Pushed) -> None:
    over = threading.Event()

    def hang(_message: Message) -> Said:
        over.wait(15)
        return 1

    mis, vle, stuck = pushed(hang)
    other_mis, _, other = pushed(lambda _message: 1)
    mis.event(learner())
    stuck.next()

    began = time.monotonic()
    other_mis.event(learner())
    other.next()
    assert vle.control("SIF_Ping").code == 0
    over.set()

    assert time.monotonic() - began < 5


@pytest.mark.parametrize("to", ["somebody-else", "vle"])
def test_no_event_is_pushed_that_is_directed_to_anybody(pushed: Pushed, to: str) -> None:
    mis, vle, target = pushed(lambda _message: 1)
    named = vle.id if to == "vle" else to
    msg_id = new_id()
    assert mis.event(learner(), msg_id=msg_id, header=f"<SIF_DestinationId>{named}</SIF_DestinationId>").code == 0

    message = target.next()

    assert message.msg_id == msg_id
    assert message.text("SIF_Header/SIF_DestinationId") in ("", vle.id)


@pytest.mark.parametrize(
    ("encodings", "compressed"),
    [("gzip;q=1.0, identity;q=0.5, *;q=0", True), ("identity", False), ("gzip;q=0, identity", False), ("", False)],
)
def test_large_messages_are_compressed_for_who_has_said_it_can_read_that(
    pair: Pair, zoned: Zoned, encodings: str, compressed: bool
) -> None:
    mis, vle = pair
    target = zoned.target(vle.id)
    properties = ACCEPTS.format(encodings) if encodings else ""
    assert vle.register(push_to=target.url, properties=properties).code == 0
    assert mis.provide("LearnerPersonal").code == 0
    request = new_id()
    vle.request(msg_id=request, to=mis.id, buffer=390_000)
    mis.take()
    assert mis.respond(request, "".join(learner() for _ in range(180)), to=vle.id).code == 0
    large = target.next()
    small = mis.event_body(learner())
    mis.post(small)
    event = target.next()

    assert large.headers.get("content-encoding") == ("gzip" if compressed else None)
    assert large.headers["content-length"] == str(len(large.body))
    assert large.headers["content-type"] == CONTENT_TYPE
    plain = Message(gzip.decompress(large.body)) if compressed else large
    assert len(plain.objects) == 180
    assert event.body == small


def test_after_a_kill_of_the_gateway_pushing_goes_on(pushed: Pushed, zoned: Zoned) -> None:
    mis, _, target = pushed(lambda _message: 1)
    bodies = [mis.event_body(learner()) for _ in range(4)]
    mis.post(bodies[0])
    assert target.next().body == bodies[0]

    zoned.restart_gateway()
    for body in bodies[1:]:
        assert mis.post(body).code == 0

    got = [target.next().body for _ in range(3)]
    if got[0] == bodies[0]:  # killed before it was written down: at most once more
        got = [*got[1:], target.next().body]
    assert got == bodies[1:]
