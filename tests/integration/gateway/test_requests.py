"""SIF_Request: who is asked, what is refused, how it is cancelled or ends, and what the zone answers itself."""

from dataclasses import replace

import pytest

import schemas
from broker.requests import RequestState
from broker.storage import Batch
from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import NS, Agent, contexts, eventually, learner, listed, new_id, school

ELSEWHERE = "estab-8209901"
EXTENDED = (
    '<SIF_ExtendedQuery><SIF_Select Distinct="false" RowCount="All">'
    '<SIF_Element ObjectName="LearnerPersonal">LocalId</SIF_Element></SIF_Select>'
    '<SIF_From ObjectName="LearnerPersonal"/></SIF_ExtendedQuery>'
)


def cancel(agent: Agent, *ids: str, notify: str = "Standard") -> int | tuple[int, int]:
    named = "".join(f"<SIF_RequestMsgId>{msg_id}</SIF_RequestMsgId>" for msg_id in ids)
    content = f"<SIF_NotificationType>{notify}</SIF_NotificationType><SIF_RequestMsgIds>{named}</SIF_RequestMsgIds>"
    return agent.control("SIF_CancelRequests", content).code


def test_a_request_that_names_nobody_goes_to_the_provider_byte_for_byte(asking: Pair) -> None:
    mis, vle = asking
    wanted = '<SIF_QueryObject ObjectName="LearnerPersonal"><SIF_Element>LocalId</SIF_Element></SIF_QueryObject>'
    query = f"<SIF_Query>{wanted}</SIF_Query>"
    body = vle.message(
        "SIF_Request", f"<SIF_Version>2.*</SIF_Version><SIF_MaxBufferSize>65536</SIF_MaxBufferSize>{query}"
    )

    assert vle.post(body).code == 0

    assert mis.take().body == body


def test_a_request_goes_to_the_provider_in_its_context(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    other, _ = zoned.pair()
    other.register()
    assert other.provide("LearnerPersonal").code == 0
    assert mis.provide("LearnerPersonal", contexts=(ELSEWHERE,)).code == 0
    request = new_id()

    assert vle.request(msg_id=request, header=contexts(ELSEWHERE)).code == 0

    assert mis.take().msg_id == request
    assert other.get().code == 9


def test_a_directed_request_goes_to_the_responder_that_it_names(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    other, _ = zoned.pair()
    other.register()
    assert other.provide("LearnerPersonal").code == 0
    assert mis.provision({"Respond": listed("LearnerPersonal")}).code == 0
    request = new_id()

    assert vle.request(msg_id=request, to=mis.id).code == 0

    assert mis.take().msg_id == request


@pytest.mark.parametrize("version", ["2.0r1", "2.0", "2.1", "2.4", "2.6"])
def test_a_request_is_taken_and_forwarded_in_any_version_of_2(asking: Pair, version: str) -> None:
    mis, vle = asking
    vle.version = version

    answer = vle.request(to=mis.id)

    assert (answer.code, answer.root.get("Version")) == (0, version)
    assert mis.take().root.get("Version") == version


def test_nobody_provides(pair: Pair) -> None:
    _, vle = pair

    assert vle.request().code == (8, 4)


def test_a_provider_in_another_context_is_none_here(pair: Pair) -> None:
    mis, vle = pair
    mis.provide("LearnerPersonal", contexts=(ELSEWHERE,))

    assert vle.request().code == (8, 4)


def test_the_agent_named_does_not_answer_for_the_object(pair: Pair) -> None:
    mis, vle = pair

    assert vle.request(to=mis.id).code == (8, 4)
    assert vle.request(to="nobody-at-all").code == (8, 4)


def test_the_agent_named_has_left(asking: Pair) -> None:
    mis, vle = asking
    mis.send("SIF_Unregister")

    assert vle.request(to=mis.id).code == (8, 4)


def test_what_an_agent_may_not_ask_for(asking: Pair) -> None:
    mis, _ = asking

    assert mis.request("LearnerPersonal").code == (4, 5)


@pytest.mark.usefixtures("asking")
def test_what_no_agreement_shares_cannot_be_asked_for(zoned: Zoned) -> None:
    _, stranger = zoned.pair()
    stranger.register()

    assert stranger.request("LearnerPersonal").code == (4, 5)


REFUSED = {
    "an object that there is not": ((8, 3), {"name": "LearnerPersonel"}),
    "a context that there is not": ((12, 4), {"header": contexts("nowhere")}),
    "several contexts": ((12, 7), {"header": contexts("SIF_Default", ELSEWHERE)}),
    "more than the requester has registered": ((8, 8), {"buffer": 393_217}),
    "an extended query to who did not declare support": ((8, 15), {"query": EXTENDED}),
    "no version that the answer may be in": ((1, 3), {"versions": ()}),
    "a query of no kind": ((1, 3), {"query": "<SIF_Question/>"}),
}


@pytest.mark.parametrize(("code", "asked"), REFUSED.values(), ids=REFUSED)
def test_a_request_is_refused_and_passed_on_to_nobody(
    asking: Pair, code: tuple[int, int], asked: dict[str, str]
) -> None:
    mis, vle = asking

    assert vle.request(**asked).code == code  # type: ignore[arg-type]  # one dictionary for keywords of several types

    assert mis.drain() == []


def test_a_request_in_a_version_that_the_responder_does_not_list_is_refused(asking: Pair) -> None:
    mis, vle = asking
    assert mis.register(versions=("2.4",)).code == 0

    assert vle.request().code == (12, 3)


def test_a_request_larger_than_the_responders_buffer_is_refused(asking: Pair) -> None:
    mis, vle = asking
    assert mis.register(buffer=4_096).code == 0
    wanted = "".join("<SIF_Element>LocalId</SIF_Element>" for _ in range(150))
    query = f'<SIF_Query><SIF_QueryObject ObjectName="LearnerPersonal">{wanted}</SIF_QueryObject></SIF_Query>'

    assert vle.request(query=query).code == (8, 1)


def test_a_request_sent_twice_is_passed_on_once(asking: Pair) -> None:
    mis, vle = asking
    request = new_id()

    assert [vle.request(msg_id=request).code, vle.request(msg_id=request).code] == [0, 7]

    assert [message.msg_id for message in mis.drain()] == [request]


def test_a_responder_that_is_asleep_gets_the_request_when_it_wakes_up(asking: Pair) -> None:
    mis, vle = asking
    mis.control("SIF_Sleep")
    request = new_id()

    assert vle.request(msg_id=request, to=mis.id).code == 0

    assert mis.get().code == 9
    mis.control("SIF_Wakeup")
    assert mis.take().msg_id == request


# -- how a request ends ---------------------------------------------------------------------------------------------


def test_a_cancelled_request_is_not_handed_out_and_its_requester_is_told(asking: Pair, zoned: Zoned) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request)
    eventually(lambda: zoned.store.requests([request]))

    assert cancel(vle, request) == 0

    answer = vle.take()
    assert (answer.kind, answer.text("SIF_RequestMsgId"), answer.error) == ("SIF_Response", request, (8, 18))
    assert answer.text("SIF_MorePackets") == "No"
    eventually(lambda: zoned.has_ended(request))
    assert mis.get().code == 9


def test_a_requester_that_wants_silence_is_told_nothing(asking: Pair, zoned: Zoned) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request)
    eventually(lambda: zoned.store.requests([request]))

    assert cancel(vle, request, notify="None") == 0

    eventually(lambda: zoned.store.requests([request])[request].state is RequestState.CANCELLED)
    assert vle.drain() == []
    assert mis.drain() == []


def test_packets_for_a_cancelled_request_are_refused(asking: Pair, zoned: Zoned) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request)
    mis.take()
    cancel(vle, request, notify="None")
    eventually(lambda: zoned.has_ended(request))

    assert mis.respond(request, learner(), to=vle.id).code == (8, 10)
    assert vle.drain() == []


def test_only_who_made_a_request_can_cancel_it(asking: Pair) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request)
    mis.take()

    assert cancel(mis, request) == 0

    assert mis.respond(request, learner(), to=vle.id).code == 0
    assert vle.take().error is None


def test_a_responder_that_is_pushed_to_is_told_of_a_cancellation(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    target = zoned.target(mis.id)
    mis.register(push_to=target.url)
    mis.provide("LearnerPersonal")
    request = new_id()
    vle.request(msg_id=request)
    assert target.next().msg_id == request

    cancel(vle, request)

    told = target.next()
    assert told.kind == "SIF_SystemControl"
    named = "SIF_SystemControlData/SIF_CancelRequests/SIF_RequestMsgIds/SIF_RequestMsgId"
    assert told.text(named) == request
    assert schemas.check_message(told.root) == ()


def test_a_request_that_nobody_answers_in_time_ends_with_8_16(asking: Pair, zoned: Zoned) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request)
    mis.take()
    pending = eventually(lambda: zoned.store.requests([request]))[request]

    zoned.store.commit(Batch(requests=[replace(pending, due_at=pending.asked_at - 1)]))

    answer = vle.take()
    assert (answer.text("SIF_RequestMsgId"), answer.error) == (request, (8, 16))
    assert mis.respond(request, learner(), to=vle.id).code == (8, 10)


def test_the_requests_of_a_responder_that_leaves_end_with_8_17(asking: Pair) -> None:
    mis, vle = asking
    request = new_id()
    vle.request(msg_id=request)
    mis.take()
    mis.respond(request, learner(), to=vle.id, more=True)

    assert mis.send("SIF_Unregister").code == 0

    first, last = vle.take(), vle.take()
    assert (first.error, last.error) == (None, (8, 17))
    assert (last.text("SIF_PacketNumber"), last.text("SIF_MorePackets")) == ("2", "No")


# -- the zone as provider -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.0r1", "2.1", "2.6"])
@pytest.mark.parametrize("name", ["SIF_ZoneStatus", "SIF_AgentACL"])
def test_the_zone_answers_requests_about_itself(solo: Agent, name: str, version: str) -> None:
    solo.version = version
    request = new_id()

    assert solo.request(name, msg_id=request).code == 0

    answer = solo.take()
    assert (answer.kind, answer.text("SIF_RequestMsgId"), answer.source) == ("SIF_Response", request, "conformance")
    assert answer.text("SIF_Header/SIF_DestinationId") == solo.id
    assert (answer.text("SIF_PacketNumber"), answer.text("SIF_MorePackets")) == ("1", "No")
    assert answer.root.get("Version") == version
    assert schemas.check_message(answer.root) == ()
    data = answer.root[0].find(NS + "SIF_ObjectData")
    assert data is not None
    assert data[0].tag == NS + name


def test_the_zones_answer_says_what_the_command_says(solo: Agent) -> None:
    solo.request("SIF_AgentACL")

    answer = solo.take()

    asked = solo.control("SIF_GetAgentACL").data("SIF_AgentACL")
    assert [len(section) for section in answer.objects[0]] == [len(section) for section in asked]


def test_an_answer_of_the_zones_that_is_larger_than_asked_for_is_an_error(pair: Pair) -> None:
    _, vle = pair

    assert vle.request("SIF_ZoneStatus", buffer=500).code == 0

    assert vle.take().error == (8, 8)


def test_the_zone_answers_no_extended_query(solo: Agent) -> None:
    assert solo.request(query=EXTENDED.replace("LearnerPersonal", "SIF_ZoneStatus")).code == (8, 15)


def test_several_requests_may_be_answered_in_turns(asking: Pair) -> None:
    mis, vle = asking
    first, second = new_id(), new_id()
    for request in (first, second):
        assert vle.request(msg_id=request).code == 0
        mis.take()

    codes = [
        mis.respond(request, learner(), to=vle.id, packet=packet, more=packet == 1).code
        for packet in (1, 2)
        for request in (first, second)
    ]

    assert codes == [0, 0, 0, 0]
    got = [vle.take() for _ in codes]
    order = {
        request: [m.text("SIF_PacketNumber") for m in got if m.text("SIF_RequestMsgId") == request]
        for request in (first, second)
    }
    assert order == {first: ["1", "2"], second: ["1", "2"]}


def test_the_answer_to_a_request_for_schools_is_cut_to_what_is_shared(pair: Pair) -> None:
    mis, vle = pair
    mis.provide("SchoolInfo")
    request = new_id()
    assert vle.request("SchoolInfo", msg_id=request).code == 0
    mis.take()

    assert mis.respond(request, school(name="Not shared"), to=vle.id).code == 0

    answer = vle.take()
    assert b"Not shared" not in answer.body
    assert [str(child.tag).removeprefix(NS) for child in answer.objects[0]] == ["LAId"]
