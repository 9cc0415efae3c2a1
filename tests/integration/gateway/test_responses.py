"""SIF_Response: each check on a packet, what its sender hears, and that the requester never waits for ever."""

from collections.abc import Callable

import pytest

from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import Agent, Answer, Message, contexts, eventually, learner, listed, new_id

Asked = tuple[Agent, Agent, str]


@pytest.fixture
def asked(asking: Pair) -> Asked:
    """A request that its responder has been given."""
    mis, vle = asking
    request = new_id()
    assert vle.request(msg_id=request, versions=("2.1", "2.0r*"), buffer=8_192).code == 0
    assert mis.take().msg_id == request
    return mis, vle, request


def test_a_packet_is_passed_back_byte_for_byte(asked: Asked) -> None:
    mis, vle, request = asked
    body = packet(mis, vle, request)

    assert mis.post(body).code == 0

    assert vle.take().body == body


def packet(mis: Agent, vle: Agent, request: str, objects: str = "", number: int = 1, more: str = "No") -> bytes:
    return mis.message(
        "SIF_Response",
        f"<SIF_RequestMsgId>{request}</SIF_RequestMsgId><SIF_PacketNumber>{number}</SIF_PacketNumber>"
        f"<SIF_MorePackets>{more}</SIF_MorePackets><SIF_ObjectData>{objects or learner()}</SIF_ObjectData>",
        header=f"<SIF_DestinationId>{vle.id}</SIF_DestinationId>",
    )


def test_no_match_is_one_empty_packet(asked: Asked) -> None:
    mis, vle, request = asked

    assert mis.respond(request, to=vle.id).code == 0

    answer = vle.take()
    assert (answer.error, answer.objects, answer.text("SIF_MorePackets")) == (None, [], "No")


@pytest.mark.parametrize("category", [(8, 9), (8, 15), (12, 1)], ids=str)
def test_an_error_of_the_responders_ends_the_request(asked: Asked, zoned: Zoned, category: tuple[int, int]) -> None:
    mis, vle, request = asked

    assert mis.respond(request, to=vle.id, error=category).code == 0

    answer = vle.take()
    assert (answer.error, answer.text("SIF_MorePackets")) == (category, "No")
    eventually(lambda: zoned.has_ended(request))
    assert mis.respond(request, learner(), to=vle.id, packet=2).code == (8, 10)


def test_an_error_ack_besides_the_error_response_does_no_harm(asked: Asked, zoned: Zoned) -> None:
    mis, vle, request = asked

    assert mis.respond(request, to=vle.id, error=(8, 8)).code == 0
    assert mis.ack((vle.id, request), (8, 8)).code == 0

    assert vle.take().error == (8, 8)
    assert vle.drain() == []
    assert zoned.quarantined(vle.id) == []


def test_a_response_without_contexts_answers_a_request_in_a_context(pair: Pair) -> None:
    mis, vle = pair
    mis.provide("LearnerPersonal", contexts=("estab-8209901",))
    request = new_id()
    assert vle.request(msg_id=request, header=contexts("estab-8209901")).code == 0
    mis.take()

    assert mis.respond(request, learner(), to=vle.id).code == 0

    assert len(vle.take().objects) == 1


def wrong_destination(mis: Agent, _vle: Agent, request: str) -> Answer:
    return mis.respond(request, learner(), to="somebody-else")


def wrong_version(mis: Agent, vle: Agent, request: str) -> Answer:
    mis.version = "2.4"
    return mis.respond(request, learner(), to=vle.id)


def missing_packet(mis: Agent, vle: Agent, request: str) -> Answer:
    return mis.respond(request, learner(), to=vle.id, packet=2)


def too_large(mis: Agent, vle: Agent, request: str) -> Answer:
    return mis.respond(request, "".join(learner() for _ in range(30)), to=vle.id)


def another_object(mis: Agent, vle: Agent, request: str) -> Answer:
    return mis.respond(request, "<TermInfo/>", to=vle.id)


FAILED = {
    wrong_destination: (8, 14),
    wrong_version: (8, 13),
    missing_packet: (8, 12),
    too_large: (8, 11),
    another_object: (1, 3),
}


@pytest.mark.parametrize(("respond", "code"), FAILED.items(), ids=[function.__name__ for function in FAILED])
def test_a_packet_that_fails_a_check_is_refused_and_ends_the_request_for_its_requester(
    asked: Asked, zoned: Zoned, respond: Callable[[Agent, Agent, str], Answer], code: tuple[int, int]
) -> None:
    mis, vle, request = asked

    assert respond(mis, vle, request).code == code

    answer = vle.take()
    assert (answer.kind, answer.source) == ("SIF_Response", "conformance")
    assert (answer.text("SIF_RequestMsgId"), answer.error) == (request, code)
    assert (answer.text("SIF_PacketNumber"), answer.text("SIF_MorePackets")) == ("1", "No")
    eventually(lambda: zoned.has_ended(request))
    mis.version = "2.1"
    assert mis.respond(request, learner(), to=vle.id).code == (8, 10)


def test_after_good_packets_a_bad_one_ends_the_request_with_the_packet_that_was_due(asked: Asked) -> None:
    mis, vle, request = asked
    assert mis.respond(request, learner(), to=vle.id, more=True).code == 0

    assert mis.respond(request, learner(), to=vle.id, packet=3).code == (8, 12)

    good, last = vle.take(), vle.take()
    assert (good.text("SIF_PacketNumber"), good.error) == ("1", None)
    assert (last.text("SIF_PacketNumber"), last.error) == ("2", (8, 12))


def test_a_response_to_no_request_is_refused_and_tells_nobody(asking: Pair) -> None:
    mis, vle = asking

    assert mis.respond(new_id(), learner(), to=vle.id).code == (8, 10)

    assert vle.drain() == []


def test_a_response_of_another_agent_is_refused_and_ends_nothing(asked: Asked, zoned: Zoned) -> None:
    mis, vle, request = asked
    other, _ = zoned.pair()
    other.register()
    other.provision({"Respond": listed("LearnerPersonal")})

    assert other.respond(request, learner(), to=vle.id).code == (8, 10)

    assert mis.respond(request, learner(), to=vle.id).code == 0
    assert vle.take().source == mis.id


def test_a_response_after_the_last_packet_is_refused(asked: Asked, zoned: Zoned) -> None:
    mis, vle, request = asked
    assert mis.respond(request, learner(), to=vle.id).code == 0
    eventually(lambda: zoned.has_ended(request))

    assert mis.respond(request, learner(), to=vle.id, packet=2).code == (8, 10)

    assert len(vle.drain()) == 1


def test_a_packet_sent_twice_is_a_duplicate_and_passed_back_once(asked: Asked) -> None:
    mis, vle, request = asked
    body = packet(mis, vle, request, more="Yes")

    assert [mis.post(body).code, mis.post(body).code] == [0, 7]
    assert mis.respond(request, learner(), to=vle.id, packet=2).code == 0

    assert [message.text("SIF_PacketNumber") for message in vle.drain()] == ["1", "2"]


def test_a_packet_number_sent_twice_ends_nothing(asked: Asked) -> None:
    mis, vle, request = asked
    assert mis.respond(request, learner(), to=vle.id, more=True).code == 0

    assert mis.respond(request, learner(), to=vle.id, more=True).code == (8, 12)

    assert mis.respond(request, learner(), to=vle.id, packet=2).code == 0
    assert [message.text("SIF_PacketNumber") for message in vle.drain()] == ["1", "2"]


@pytest.mark.parametrize(("over", "code"), [(0, 0), (1, (8, 11))], ids=["fits", "one byte over"])
def test_packets_are_measured_in_bytes_of_utf_8(asked: Asked, over: int, code: int | tuple[int, int]) -> None:
    mis, vle, request = asked
    empty = packet(mis, vle, request, learner(local_id=""))
    room = 8_192 - len(packet(mis, vle, request, named("")))
    name = "é" * (room // 2) + "x" * (room % 2) + "y" * over
    body = packet(mis, vle, request, named(name))
    assert len(body) == 8_192 + over > len(empty)
    assert len(body.decode()) < 8_192

    assert mis.post(body).code == code

    answer: Message = vle.take()
    assert (answer.body == body) == (over == 0)


def named(text: str) -> str:
    return learner(
        ref_id="A1" * 16,
        more=f'<SIF_ExtendedElements><SIF_ExtendedElement Name="x">{text}</SIF_ExtendedElement></SIF_ExtendedElements>',
    )


@pytest.mark.parametrize(
    ("items", "version", "code"),
    [
        (("2.*",), "2.4", 0),
        (("*",), "2.0r1", 0),
        (("2.0r*",), "2.0r1", 0),
        (("2.0r*",), "2.0", 0),
        (("2.4", "2.1"), "2.1", 0),
        (("2.0r*",), "2.1", (8, 13)),
        (("1.*", "1.5r1"), "2.1", (8, 13)),
        (("2.4",), "2.1", (8, 13)),
    ],
    ids=str,
)
def test_the_version_of_an_answer_is_one_that_was_asked_for(
    asking: Pair, items: tuple[str, ...], version: str, code: int | tuple[int, int]
) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request, versions=items)
    mis.take()
    mis.version = version

    assert mis.respond(request, learner(), to=vle.id).code == code

    assert (vle.take().error or 0) == code


def test_a_2_1_answer_to_a_2_0r1_request_is_passed_back_in_2_1(asking: Pair) -> None:
    mis, vle = asking
    vle.version = "2.0r1"
    request = new_id()
    assert vle.request(msg_id=request).code == 0
    mis.take()

    assert mis.respond(request, learner(), to=vle.id).code == 0

    assert vle.take().root.get("Version") == "2.1"


def test_the_second_packet_may_be_sent_after_the_gateway_was_killed(asked: Asked, zoned: Zoned) -> None:
    mis, vle, request = asked
    assert mis.respond(request, learner(), to=vle.id, more=True).code == 0

    zoned.restart_gateway()
    assert mis.respond(request, learner(), to=vle.id, packet=2).code == 0

    assert [message.text("SIF_PacketNumber") for message in vle.drain()] == ["1", "2"]


def test_an_answer_may_come_right_after_the_responder_registered_again(asked: Asked) -> None:
    mis, vle, request = asked
    assert mis.register().code == 0

    assert mis.respond(request, learner(), to=vle.id).code == 0

    assert vle.take().error is None
