"""The way of a message through the gateway: an event and a request, pulled and pushed."""

from tests.integration.gateway.conftest import Pair, Pushed
from tests.integration.gateway.sif import learner, new_id


def test_an_event_is_pulled_byte_for_byte_until_it_is_acknowledged(pair: Pair) -> None:
    mis, vle = pair
    body = mis.event_body(learner())

    assert mis.post(body).code == 0
    first, again = vle.fetch(), vle.fetch()

    assert first.body == again.body == body
    assert vle.ack(first).code == 0
    assert vle.get().code == 9


def test_an_event_is_pushed_byte_for_byte(pushed: Pushed) -> None:
    mis, _, target = pushed(lambda _message: 1)
    bodies = [mis.event_body(learner()) for _ in range(5)]

    assert [mis.post(body).code for body in bodies] == [0] * 5

    assert [target.next().body for _ in bodies] == bodies


def test_a_request_goes_to_the_provider_and_its_packets_come_back(pair: Pair) -> None:
    mis, vle = pair
    assert mis.provide("LearnerPersonal").code == 0
    request = new_id()

    assert vle.request(msg_id=request, to=mis.id).code == 0
    asked = mis.take()
    assert (asked.kind, asked.msg_id) == ("SIF_Request", request)
    refs = [new_id() for _ in range(3)]
    codes = [
        mis.respond(request, learner(ref), to=vle.id, packet=n, more=n < 3).code for n, ref in enumerate(refs, start=1)
    ]

    assert codes == [0, 0, 0]
    got = [vle.take() for _ in refs]
    assert [message.text("SIF_PacketNumber") for message in got] == ["1", "2", "3"]
    assert [message.objects[0].get("RefId") for message in got] == refs
    assert [message.text("SIF_MorePackets") for message in got] == ["Yes", "Yes", "No"]


def test_a_message_sent_twice_is_a_duplicate_and_delivered_once(pair: Pair) -> None:
    mis, vle = pair
    body = mis.event_body(learner())

    assert [mis.post(body).code, mis.post(body).code] == [0, 7]

    assert len(vle.drain()) == 1
