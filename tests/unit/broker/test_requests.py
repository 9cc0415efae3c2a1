"""Who is to answer a request, and whether what answers it does: each fault has its code, each answer its state."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from broker.agreements import Agreement
from broker.pipeline import read
from broker.protocol.documents import MAX_ELEMENTS
from broker.protocol.errors import NotRegistered, NotValid, ZoneError
from broker.protocol.identifiers import AgentId, Context
from broker.protocol.query import QueryNotSupported
from broker.protocol.topology import intake_key
from broker.registry import AgentRecord, Channel, Live, Provision, Registration, Registry, Role, Topic, grants
from broker.requests import (
    AlreadyAnswered,
    Asked,
    Cancelled,
    ForZone,
    MayNotRespond,
    OutOfSequence,
    PacketTooLarge,
    Pending,
    Question,
    Removed,
    Reply,
    RequestState,
    SeveralContexts,
    TimedOut,
    UnknownRequest,
    decide_request,
    decide_response,
    ends_request,
)
from broker.routing import Router
from tests.unit.broker.builders import (
    ALEX,
    MERLIN,
    MIS,
    MSG_ID,
    SCHOOL,
    TODAY,
    VIRTUAL,
    agent,
    agreement,
    personal,
    request,
    response,
)

ZONE: Final = AgentId("quarrington")
PERSONAL: Final = "LearnerPersonal"
EXAMS: Final = Context("exams")
HERE, THERE = Topic(PERSONAL), Topic(PERSONAL, EXAMS)
NOW, HOUR = 1_790_000_000.0, timedelta(hours=1)
SHARED: Final = agreement("a", {PERSONAL: ("@RefId", "PersonalInformation/Name")})
WHOLE: Final = agreement("w", {PERSONAL: ("*",)}, shielded=True)
PROVIDES: Final = grants([(Role.PROVIDE, HERE)])
AGENTS: Final = (
    AgentRecord(MIS, "MIS", rights=grants([(Role.PROVIDE, HERE), (Role.RESPOND, HERE)]), standing=PROVIDES),
    agent(VIRTUAL, rights=[(Role.RESPOND, HERE), (Role.RESPOND, THERE)]),
    agent(MERLIN, rights=[(Role.REQUEST, HERE), (Role.REQUEST, THERE), (Role.REQUEST, Topic("TermInfo"))]),
    agent("nobody", rights=[(Role.REQUEST, Topic("TermInfo"))]),
)
RESPONDS: Final = Provision(grants([(Role.RESPOND, HERE)]))
EXTENDED: Final = (
    '<SIF_ExtendedQuery><SIF_Select Distinct="false" RowCount="All"><SIF_Element ObjectName="LearnerPersonal">LocalId'
    '</SIF_Element></SIF_Select><SIF_From ObjectName="LearnerPersonal"/></SIF_ExtendedQuery>'
)
ROWS: Final = (
    '<SIF_ExtendedQueryResults><SIF_ColumnHeaders><SIF_Element ObjectName="LearnerPersonal">LocalId</SIF_Element>'
    "</SIF_ColumnHeaders><SIF_Rows><R><C>17</C></R></SIF_Rows></SIF_ExtendedQueryResults>"
)


def failure(category: int | str = 8, code: int | str = 1) -> str:
    return (
        f"<SIF_Error><SIF_Category>{category}</SIF_Category><SIF_Code>{code}</SIF_Code>"
        "<SIF_Desc>It failed</SIF_Desc></SIF_Error>"
    )


def said(name: str, **more: Any) -> Registration:
    return replace(Registration(AgentId(name), name, "2.4", 1.0), **more)


def registry(*others: Registration, without: str = "", extended: bool = False) -> Registry:
    """Return the zone in which all have registered but *without*; *others* in the place of theirs."""
    known = {one.id: said(one.id) for one in AGENTS if one.id != without} | {one.agent: one for one in others}
    mine = Provision(PROVIDES, frozenset({HERE}) if extended else frozenset())
    return Registry.of(AGENTS, Live(known, {VIRTUAL: RESPONDS, MIS: mine}))


def question(body: bytes) -> Question:
    found = read(body, AgentId(MERLIN), None)
    assert isinstance(found, Question)
    return found


def ask(
    body: bytes, *, among: Registry | None = None, agreements: tuple[Agreement, ...] = (SHARED,), reply_to: str = ""
) -> Asked | ForZone:
    router = Router(among or registry(), agreements, TODAY)
    return decide_request(question(body), router, ZONE, NOW, HOUR, reply_to)


def refusal_of(body: bytes, **more: Any) -> tuple[int, int]:
    with pytest.raises(ZoneError) as caught:
        ask(body, **more)
    return caught.value.category, caught.value.code


# --- requests ----------------------------------------------------------------------------------------------------


def test_a_request_that_names_nobody_goes_to_the_provider_and_is_remembered() -> None:
    given = ask(request(versions=["2.*", "2.0r1", "2.*"], version="2.1"))

    assert given == Asked(
        Pending(MSG_ID, MERLIN, MIS, PERSONAL, HERE.context, "2.1", ("2.*", "2.0r1"), 65_536, NOW, NOW + 3600)
    )
    assert given.pending.is_open


def test_a_request_that_names_an_agent_goes_to_it() -> None:
    assert ask(request(destination_id=VIRTUAL)).pending.responder == VIRTUAL
    assert ask(request(destination_id=MIS)).pending.responder == MIS


def test_a_responder_in_another_context_answers_there() -> None:
    there = Provision(grants([(Role.RESPOND, THERE)]))
    among = registry().with_live(Live(registry().live.registrations, {VIRTUAL: there}))

    given = ask(request(destination_id=VIRTUAL, contexts=(EXAMS,)), among=among)

    assert (given.pending.responder, given.pending.context) == (VIRTUAL, EXAMS)
    assert refusal_of(request(destination_id=VIRTUAL), among=among) == (8, 4)


def test_a_person_asks_for_an_agent_that_need_not_have_registered_and_the_way_back_is_kept() -> None:
    given = ask(request(), among=registry(without=MERLIN), reply_to="person.1")

    assert (given.pending.requester, given.pending.reply_to) == (MERLIN, "person.1")


@pytest.mark.parametrize("name", ["SIF_ZoneStatus", "SIF_AgentACL"])
def test_the_zone_itself_answers_for_its_own_objects_whoever_asks(name: str) -> None:
    given = ask(request(name, contexts=(Context("sports"),)), agreements=())

    assert isinstance(given, ForZone)
    assert given.pending.responder == ZONE


@pytest.mark.parametrize(
    ("body", "more", "expected"),
    [
        (request("LearnerPersonel"), {}, (8, 3)),
        (request("SIF_Nonsense"), {}, (8, 3)),
        (request("SchoolInfo"), {}, (4, 5)),
        (request("TermInfo"), {}, (8, 4)),
        (request(contexts=(EXAMS,)), {}, (8, 4)),
        (request(contexts=(Context("sports"),)), {}, (12, 4)),
        (request(destination_id=AgentId("stranger")), {}, (8, 4)),
        (request(destination_id=AgentId("nobody")), {}, (8, 4)),
        (request(destination_id=VIRTUAL, contexts=(EXAMS,)), {}, (8, 4)),
        (request(), {"among": registry(without=MIS)}, (8, 4)),
        (request(destination_id=VIRTUAL), {"among": registry(without=VIRTUAL)}, (8, 4)),
        (request(), {"agreements": ()}, (4, 5)),
        (request(), {"agreements": (agreement("b", {PERSONAL: ("*",)}, to=(VIRTUAL,)),)}, (4, 5)),
        (request(), {"agreements": (agreement("b", {PERSONAL: ("*",)}, senders=(VIRTUAL,)),)}, (4, 5)),
        (request(), {"agreements": (agreement("b", {PERSONAL: ("*",)}, expires=TODAY - timedelta(1)),)}, (4, 5)),
        (request(buffer=65_537), {"among": registry(said(MERLIN, max_buffer=65_536))}, (8, 8)),
        (request(version="2.0r1"), {"among": registry(said(MIS, versions=("2.4", "2.1r*")))}, (12, 3)),
        (request(), {"among": registry(said(MIS, max_buffer=100))}, (8, 1)),
        (request(authentication_level=1), {}, (10, 3)),
        (request(encryption_level=4), {"among": registry(said(MIS, channel=Channel(3, 3)))}, (10, 3)),
        (request(query=EXTENDED), {"agreements": (WHOLE,)}, (8, 15)),
        (request(query=EXTENDED), {"among": registry(extended=True)}, (8, 15)),
        (request(query=EXTENDED.replace(PERSONAL, "SIF_ZoneStatus")), {}, (8, 15)),
    ],
    ids=[
        "no such object",
        "no such object of the zone's",
        "no right",
        "no provider",
        "no provider in the context",
        "no such context",
        "to a stranger",
        "to who does not answer",
        "to who answers in another context",
        "provider not registered",
        "named agent not registered",
        "no agreement",
        "an agreement with another",
        "an agreement of another",
        "an agreement that has expired",
        "more than its own buffer",
        "version",
        "larger than the responder's buffer",
        "authentication",
        "encryption",
        "extended, of who does not answer them",
        "extended, without the whole shared",
        "extended, of the zone",
    ],
)
def test_a_request_that_nobody_is_to_answer_is_refused(
    body: bytes, more: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert refusal_of(body, **more) == expected


def test_the_nearest_object_is_told() -> None:
    with pytest.raises(ZoneError, match="did you mean LearnerPersonal"):
        ask(request("LearnerPersonel"))


def test_what_is_demanded_of_the_way_is_met_by_one_as_secure() -> None:
    among = registry(said(MIS, channel=Channel(3, 4)))

    assert ask(request(authentication_level=3, encryption_level=4), among=among).pending.responder == MIS


def test_a_request_may_ask_for_as_much_as_its_sender_takes() -> None:
    assert ask(request(buffer=65_536), among=registry(said(MERLIN, max_buffer=65_536))).pending.max_buffer == 65_536


@pytest.mark.parametrize(
    ("other", "gets"),
    [
        (agreement("w", {PERSONAL: ("*",)}, shielded=True), True),
        (agreement("w", {PERSONAL: ("*",)}), False),
        (replace(agreement("w", {PERSONAL: ("@RefId", "LocalId")}, shielded=True)), False),
        (agreement("w", {PERSONAL: ("*",)}, shielded=True, to=(VIRTUAL,)), False),
        (agreement("w", {PERSONAL: ("*",)}, shielded=True, starts=TODAY + timedelta(1)), False),
    ],
    ids=["whole", "not of who is shielded", "a part", "with another", "not yet"],
)
def test_rows_are_for_whoever_may_have_the_whole_of_every_object(other: Agreement, gets: bool) -> None:
    agreements = (SHARED, other)

    if gets:
        assert ask(request(query=EXTENDED), among=registry(extended=True), agreements=agreements).pending.extended
    else:
        assert refusal_of(request(query=EXTENDED), among=registry(extended=True), agreements=agreements) == (8, 15)


def test_rows_with_a_second_object_need_an_agreement_on_it_too() -> None:
    joined = EXTENDED.replace('<SIF_Element ObjectName="LearnerPersonal">', '<SIF_Element ObjectName="SchoolInfo">')

    assert refusal_of(request(query=joined), among=registry(extended=True), agreements=(WHOLE,)) == (8, 15)


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (request(versions=()), NotValid),
        (request(versions=["2.*", " "]), NotValid),
        (request(buffer=""), NotValid),
        (request(buffer="many"), NotValid),
        (request(buffer="9" * 11), NotValid),
        (request(buffer="٣٣٣"), NotValid),
        (request(query="<SIF_Query/>"), NotValid),
        (request(contexts=(HERE.context, EXAMS)), SeveralContexts),
        (request(query=f'<SIF_Query><SIF_QueryObject ObjectName="{PERSONAL}"><SIF_Element>//*</SIF_Element>'
                       "</SIF_QueryObject></SIF_Query>"), QueryNotSupported),
    ],
    ids=[
        "no version",
        "an empty version",
        "no buffer",
        "buffer in words",
        "buffer too long",
        "other digits",
        "no object",
        "several contexts",
        "path",
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_not_read(body: bytes, error: type[ZoneError]) -> None:
    with pytest.raises(error):
        read(body, MERLIN, None)


@pytest.mark.parametrize(
    "body",
    [
        response(packet=""),
        response(packet="-1"),
        response(request_id="no id"),
        response().replace(b">No<", b">Perhaps<"),
        response(payload=""),
        response(payload=failure("x")),
        response(payload=failure(8, "")),
    ],
    ids=["no packet", "negative packet", "request", "more packets", "nothing in it", "category", "code"],
)
def test_a_response_that_is_none_is_not_read(body: bytes) -> None:
    with pytest.raises(NotValid):
        read(body, MIS, None)


def test_all_about_a_request_travels_under_its_key() -> None:
    other = f"{(int(intake_key(MSG_ID), 16) + 1) % 256:02x}"

    assert isinstance(read(request(), MERLIN, intake_key(MSG_ID)), Question)
    assert isinstance(read(response(), MIS, intake_key(MSG_ID)), Reply)
    for body, login in ((request(), MERLIN), (response(), MIS)):
        with pytest.raises(NotValid, match="routing key"):
            read(body, login, other)


# --- responses ---------------------------------------------------------------------------------------------------

OPEN: Final = Pending(MSG_ID, MERLIN, MIS, PERSONAL, HERE.context, "2.4", ("2.4", "2.0r*"), 65_536, NOW, NOW + 3600)


def reply(body: bytes) -> Reply:
    found = read(body, MIS, None)
    assert isinstance(found, Reply)
    return found


def respond(body: bytes, pending: Pending | None = OPEN, *, among: Registry | None = None) -> Pending:
    return decide_response(reply(body), pending, among or registry(), NOW + 60, HOUR).pending


def test_a_packet_that_is_the_last_ends_the_request_well() -> None:
    after = respond(response(personal(), packet=1))

    assert after == replace(OPEN, state=RequestState.DONE, next_packet=2, due_at=NOW + 60 + 3600)
    assert not after.is_open


def test_packets_come_one_after_the_other_and_each_gives_the_responder_more_time() -> None:
    first = respond(response(packet=1, more=True))
    second = respond(response(packet=2, more=True), first)
    third = respond(response(packet=3), second)

    assert [one.state for one in (first, second, third)] == [RequestState.ANSWERING] * 2 + [RequestState.DONE]
    assert [one.next_packet for one in (first, second, third)] == [2, 3, 4]
    assert first.due_at == NOW + 60 + 3600


def test_an_answer_without_objects_is_one() -> None:
    assert respond(response()).state is RequestState.DONE


@pytest.mark.parametrize("to", [None, MERLIN], ids=["nobody", "whoever asked"])
def test_a_response_is_addressed_to_whoever_asked_or_to_nobody(to: str | None) -> None:
    assert respond(response(to=to)).state is RequestState.DONE


LARGE: Final = personal(ALEX, "<LocalId>" + "7" * 65_536 + "</LocalId>")
MANY: Final = personal(ALEX, "<LocalId/>" * (MAX_ELEMENTS + 1))


@pytest.mark.parametrize(
    ("body", "pending", "more", "expected"),
    [
        (response(), None, {}, (8, 10)),
        (response(), replace(OPEN, responder=VIRTUAL), {}, (8, 10)),
        (response(), replace(OPEN, state=RequestState.DONE), {}, (8, 10)),
        (response(), replace(OPEN, state=RequestState.CANCELLED), {}, (8, 10)),
        (response(to=VIRTUAL), OPEN, {}, (8, 14)),
        (response(version="2.1"), OPEN, {}, (8, 13)),
        (response(packet=2), OPEN, {}, (8, 12)),
        (response(packet=0), OPEN, {}, (8, 12)),
        (response(packet=1, more=True), replace(OPEN, next_packet=2, state=RequestState.ANSWERING), {}, (8, 12)),
        (response(LARGE), OPEN, {}, (8, 11)),
        (response(), replace(OPEN, object_type="TermInfo"), {}, (4, 6)),
        (response(personal(), f'<SchoolInfo RefId="{SCHOOL}"/>'), OPEN, {}, (1, 3)),
        (response(payload=ROWS), OPEN, {}, (1, 3)),
        (response(MANY), replace(OPEN, max_buffer=10_000_000), {}, (1, 2)),
        (response(payload=failure(15)), OPEN, {}, (1, 3)),
        (response(payload=failure(11, 10_000)), OPEN, {}, (1, 3)),
        (response(personal(), authentication_level=1), OPEN, {}, (10, 3)),
        (response(encryption_level=1), OPEN, {"among": registry(without=MERLIN)}, (10, 3)),
    ],
    ids=[
        "unknown request",
        "another's request",
        "a request that is done",
        "a request that was cancelled",
        "to another",
        "version",
        "a packet is missing",
        "packet 0",
        "a packet that was there",
        "too large",
        "no right",
        "another object",
        "rows",
        "an object too large to look at",
        "no category of SIF's",
        "no code of SIF's",
        "authentication",
        "encryption, of who has left",
    ],
)
def test_what_is_no_answer_to_the_request_is_refused(
    body: bytes, pending: Pending | None, more: dict[str, Any], expected: tuple[int, int]
) -> None:
    with pytest.raises(ZoneError) as caught:
        respond(body, pending, **more)

    assert (caught.value.category, caught.value.code) == expected


def test_a_packet_as_large_as_the_buffer_fits() -> None:
    body = response(personal())

    assert respond(body, replace(OPEN, max_buffer=len(body))).state is RequestState.DONE
    with pytest.raises(PacketTooLarge):
        respond(body, replace(OPEN, max_buffer=len(body) - 1))


@pytest.mark.parametrize("version", ["2.4", "2.0", "2.0r1"])
def test_a_version_that_some_item_of_the_request_covers_is_right(version: str) -> None:
    assert respond(response(version=version)).state is RequestState.DONE


def test_the_context_is_the_requests_whatever_the_response_says() -> None:
    assert respond(response(contexts=(EXAMS,))).context == HERE.context


def test_what_a_person_is_answered_needs_no_channel_of_an_agent() -> None:
    after = respond(
        response(authentication_level=3), replace(OPEN, reply_to="person.1"), among=registry(without=MERLIN)
    )

    assert after.state is RequestState.DONE


def test_rows_answer_an_extended_query() -> None:
    assert respond(response(payload=ROWS), replace(OPEN, extended=True)).state is RequestState.DONE


@pytest.mark.parametrize("error", [(8, 8), (8, 16), (8, 18), (11, 9_999), (14, 1)], ids=str)
@pytest.mark.parametrize(
    ("packet", "state"), [(1, RequestState.FAILED), (2, RequestState.PARTIAL)], ids=["at once", "later"]
)
def test_an_error_ends_the_request_and_is_kept(error: tuple[int, int], packet: int, state: RequestState) -> None:
    before = replace(OPEN, next_packet=packet)

    after = respond(response(packet=packet, payload=failure(*error), more=True), before)

    assert (after.state, after.category, after.code) == (state, *error)


# --- how a request ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "packet", "state"),
    [
        (TimedOut.pair(), 1, RequestState.EXPIRED),
        (TimedOut.pair(), 2, RequestState.PARTIAL),
        (Removed.pair(), 1, RequestState.FAILED),
        (Removed.pair(), 2, RequestState.PARTIAL),
        (Cancelled.pair(), 1, RequestState.CANCELLED),
        (Cancelled.pair(), 2, RequestState.CANCELLED),
        ((1, 3), 1, RequestState.FAILED),
        ((1, 3), 2, RequestState.PARTIAL),
    ],
)
def test_the_zone_ends_a_request_in_the_state_that_says_how(
    pair: tuple[int, int], packet: int, state: RequestState
) -> None:
    after = replace(OPEN, next_packet=packet).closed(*pair)

    assert (after.state, after.category, after.code, after.is_open) == (state, *pair, False)


@pytest.mark.parametrize(
    ("state", "is_open"), [(state, state in (RequestState.ASKED, RequestState.ANSWERING)) for state in RequestState]
)
def test_packets_are_awaited_while_a_request_is_asked_and_being_answered(state: RequestState, is_open: bool) -> None:
    assert replace(OPEN, state=state).is_open is is_open


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (UnknownRequest(""), False),
        (AlreadyAnswered(""), False),
        (OutOfSequence(""), True),
        (PacketTooLarge(""), True),
        (MayNotRespond(""), True),
        (NotValid(""), True),
        (NotRegistered(""), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ZoneError) else str(value),
)
def test_a_request_ends_with_its_responders_fault_and_not_with_anothers_or_a_repetition(
    error: ZoneError, ends: bool
) -> None:
    assert ends_request(error) is ends


def test_a_packet_that_came_before_is_known_as_such_and_packet_0_never_came() -> None:
    with pytest.raises(AlreadyAnswered, match="packet 2"):
        respond(response(packet=1), replace(OPEN, next_packet=2))
    with pytest.raises(OutOfSequence) as caught:
        respond(response(packet=0), replace(OPEN, next_packet=2))

    assert ends_request(caught.value)
