"""What of an answer its requester gets: each object cut, or left out; what the zone says in its own name."""

from collections import Counter
from dataclasses import replace
from typing import Final

import pytest
from lxml import etree

import schemas
from broker.agreements import Agreement, Scope
from broker.answers import Shared, own_msg_id, pass_error, pass_rows, share_packet, zone_answer, zone_error
from broker.learners import Enrolment, Learner, LearnerIndex
from broker.pipeline import read
from broker.protocol.envelope import LOOKED_AFTER, Message, local_name, parse_message
from broker.protocol.errors import NotValid
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId
from broker.requests import Pending, Reply, RequestState
from broker.routing import Reason, Router
from broker.validation import shipped
from broker.zone_status import ZoneIdentity, build_acl, build_zone_status
from tests.unit.broker.builders import (
    ALEX,
    ANSWER_ID,
    BILLIE,
    CONTACT,
    ENROLMENT,
    LOCAL,
    MERLIN,
    MIS,
    MSG_ID,
    NS,
    TIMESTAMP,
    TODAY,
    agent,
    agreement,
    personal,
    registry,
    response,
)

ZONE: Final = AgentId("quarrington")
PERSONAL: Final = "LearnerPersonal"
SECRET: Final = "Zephyrine"
NAME: Final = '<PersonalInformation><Name Type="C"/></PersonalInformation>'
FULL: Final = f"<LocalId>17</LocalId>{NAME}"
WHOLE: Final = agreement("w", {PERSONAL: ("*",)})
NAMES: Final = agreement("n", {PERSONAL: ("@RefId", "PersonalInformation/Name")})
ENROLLED: Final = agreement("e", {PERSONAL: ("@RefId", "PersonalInformation/Name")}, scope=Scope.ENROLLED)
AGENTS: Final = registry(agent(MIS, establishments=[LOCAL]), agent(MERLIN, establishments=[LOCAL]))
PENDING: Final = Pending(MSG_ID, MERLIN, MIS, PERSONAL, DEFAULT_CONTEXT, "2.1", ("2.*",), 65_536, 0, 9)


def reply(body: bytes) -> Reply:
    found = read(body, MIS, None)
    assert isinstance(found, Reply)
    return found


def index_of(*learners: Learner) -> LearnerIndex:
    index = LearnerIndex()
    index.learners = {learner.ref_id: learner for learner in learners}
    return index


def share(body: bytes, *agreements: Agreement, index: LearnerIndex | None = None, pending: Pending = PENDING) -> Shared:
    router = Router(AGENTS, agreements, TODAY)
    return share_packet(reply(body), body, pending, router, index or LearnerIndex(), shipped())


def valid(body: bytes) -> Message:
    """Return the message in *body*, which is as the schema has it, a SIF_Response to whoever asked."""
    message = parse_message(body)
    assert schemas.check_message(etree.fromstring(body)) == ()
    assert message.kind == "SIF_Response"
    assert message.header.destination_id == MERLIN
    assert message.payload.findtext(NS + "SIF_RequestMsgId") == MSG_ID
    return message


def objects_in(body: bytes) -> list[str]:
    """Return the objects of a response, as text without a namespace."""
    (data,) = valid(body).payload.iter(NS + "SIF_ObjectData")
    return [etree.tostring(one, encoding="unicode").replace(f' xmlns="{NS[1:-1]}"', "") for one in data]


def told(body: bytes) -> tuple[str, str]:
    """Return number of the packet and whether more come."""
    payload = valid(body).payload
    return payload.findtext(NS + "SIF_PacketNumber") or "", payload.findtext(NS + "SIF_MorePackets") or ""


def error_in(body: bytes) -> dict[str, str]:
    (error,) = valid(body).payload.iter(NS + "SIF_Error")
    return {local_name(child): child.text or "" for child in error}


# --- objects -----------------------------------------------------------------------------------------------------


STAY: Final = "LearnerSchoolEnrolment"
ALL_STAYS: Final = agreement("w", {STAY: ("*",)})
STAYS: Final = replace(PENDING, object_type=STAY)
SPACED: Final = response(
    *(
        f'<{STAY}  RefId="{ref}" LearnerPersonalRefId="{ref}"><EntryDate >2026-09-01</EntryDate></{STAY}>'
        for ref in (ALEX, BILLIE)
    ),
    packet=2,
    more=True,
    version="2.1",
)


def test_nothing_is_touched_of_a_packet_that_is_shared_whole() -> None:
    assert share(SPACED, ALL_STAYS, pending=STAYS) == Shared(SPACED, 2, Counter(), (), "w@00000000")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbf", b""),
        (b'<?xml version="1.0" encoding="UTF-8"?>\n', b""),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", b"\n"),
    ],
    ids=["byte order mark", "declaration", "both"],
)
def test_what_agents_stumble_over_does_not_go_on(before: bytes, after: bytes) -> None:
    assert share(before + SPACED + after, ALL_STAYS, pending=STAYS).body == SPACED


def test_a_packet_of_which_one_object_stays_behind_is_written_anew() -> None:
    index = index_of(Learner(ALEX), Learner(BILLIE, shielded=True))

    found = share(SPACED, ALL_STAYS, pending=STAYS, index=index)

    assert BILLIE not in found.body.decode()
    assert len(objects_in(found.body)) == 1
    assert told(found.body) == ("2", "Yes")


@pytest.mark.parametrize("inside", [f"<!-- {SECRET} -->", f"<?note {SECRET}?>"], ids=["comment", "instruction"])
@pytest.mark.parametrize("shared", [WHOLE, NAMES], ids=["whole", "a part"])
def test_comments_and_instructions_never_leave(inside: str, shared: Agreement) -> None:
    body = response(personal(ALEX, FULL + inside))

    found = share(body, shared).body

    assert SECRET.encode() in body
    assert SECRET.encode() not in found
    assert len(objects_in(found)) == 1


def test_each_object_is_cut_to_what_agreements_share() -> None:
    body = response(personal(ALEX, FULL), personal(BILLIE, FULL), packet=3, more=True, version="2.1")

    shared = share(body, NAMES)

    assert objects_in(shared.body) == [personal(ALEX, NAME), personal(BILLIE, NAME)]
    assert (told(shared.body), parse_message(shared.body).version) == (("3", "Yes"), "2.1")
    header = parse_message(shared.body).header
    assert (header.msg_id, header.source_id, header.timestamp) == (ANSWER_ID, MIS, TIMESTAMP)
    assert (shared.shared, dict(shared.left_out), shared.views) == (2, {}, "n@00000000")


def test_an_object_may_be_a_part_as_the_query_asked_for_it() -> None:
    assert objects_in(share(response(personal(ALEX, "<LocalId>17</LocalId>")), WHOLE).body) == [
        personal(ALEX, "<LocalId>17</LocalId>")
    ]


def test_who_is_out_of_scope_is_left_out_and_the_others_go() -> None:
    here = Learner(ALEX, enrolments={"E": Enrolment(LOCAL)})
    body = response(personal(ALEX, FULL), personal(BILLIE, FULL))

    shared = share(body, ENROLLED, index=index_of(here, Learner(BILLIE)))

    assert objects_in(shared.body) == [personal(ALEX, NAME)]
    assert (shared.shared, dict(shared.left_out)) == (1, {Reason.NOT_IN_SCOPE: 1})


def test_a_learner_under_a_shield_is_left_out() -> None:
    body = response(personal(ALEX, FULL), personal(BILLIE, FULL))

    shared = share(body, WHOLE, index=index_of(Learner(ALEX, shielded=True), Learner(BILLIE)))

    assert objects_in(shared.body) == [personal(BILLIE, FULL)]
    assert dict(shared.left_out) == {Reason.SHIELDED: 1}


def test_without_an_agreement_all_are_left_out_and_an_empty_packet_goes() -> None:
    shared = share(response(personal(ALEX, FULL), more=True), agreement("x", {PERSONAL: ("*",)}, to=(ZONE,)))

    assert objects_in(shared.body) == []
    assert told(shared.body) == ("1", "Yes")
    assert (shared.shared, dict(shared.left_out), shared.views) == (0, {Reason.NO_AGREEMENT: 1}, "")


def test_of_an_object_of_which_nothing_is_shared_not_even_the_name_goes() -> None:
    shared = share(response(personal(ALEX, "<LocalId>17</LocalId>"), personal(BILLIE, FULL)), NAMES)

    assert objects_in(shared.body) == [personal(BILLIE, NAME)]
    assert dict(shared.left_out) == {Reason.NOTHING_SHARED: 1}


@pytest.mark.parametrize("position", [0, 1, 2], ids=["first", "between", "last"])
@pytest.mark.parametrize("shared", [WHOLE, NAMES], ids=["whole", "a part"])
def test_an_invalid_object_is_left_out_told_and_the_rest_goes(position: int, shared: Agreement) -> None:
    good = [personal(ALEX, NAME), personal(BILLIE, NAME)]
    broken = personal("C" * 32, f"<Shoes>{SECRET}</Shoes>")
    body = response(*good[:position], broken, *good[position:])

    found = share(body, shared)

    assert objects_in(found.body) == good
    assert (found.shared, dict(found.left_out)) == (2, {Reason.NOT_VALID: 1})
    (judged,) = found.judged
    assert (judged.object_type, judged.key) == (PERSONAL, "C" * 32)
    assert SECRET not in repr(judged)


def test_an_object_in_another_namespace_than_its_own_is_left_out() -> None:
    foreign = f'<LearnerPersonal xmlns="{LOOKED_AFTER}" RefId="{ALEX}"/>'

    found = share(response(foreign, personal(BILLIE, NAME)), WHOLE)

    assert objects_in(found.body) == [personal(BILLIE, NAME)]
    assert (dict(found.left_out), found.judged) == ({Reason.NOT_VALID: 1}, ())


def test_a_warning_keeps_nothing_back() -> None:
    body = response(personal(ALEX, f"{NAME}<UPN>A820990120001</UPN>"))

    assert share(body, WHOLE).body == body


def test_what_the_message_schema_does_not_know_stays_behind() -> None:
    body = response(personal(ALEX, FULL)).replace(b"</SIF_Header>", b"<SIF_Shoes>41</SIF_Shoes></SIF_Header>")

    found = share(body, WHOLE).body

    assert b"Shoes" not in found
    assert objects_in(found) == [personal(ALEX, FULL)]


def test_mentioned_learners_are_cut_out_of_what_is_shared() -> None:
    def sibling(ref: str) -> str:
        return f"<Sibling><LearnerPersonalRefId>{ref}</LearnerPersonalRefId><UIPI>1</UIPI></Sibling>"

    here = [Learner(ref, enrolments={"E": Enrolment(LOCAL)}) for ref in (ALEX, BILLIE)]
    body = response(personal(ALEX, f"{NAME}<SiblingList>{sibling(BILLIE)}{sibling('C' * 32)}</SiblingList>"))
    whole = agreement("e", {PERSONAL: ("*",)}, scope=Scope.ENROLLED)

    (found,) = objects_in(share(body, whole, index=index_of(*here)).body)

    assert BILLIE in found
    assert "C" * 32 not in found


def test_a_contact_goes_where_its_learners_go() -> None:
    other = "D" * 32
    index = index_of(Learner(ALEX, enrolments={"E": Enrolment(LOCAL)}), Learner(BILLIE))
    index.contacts = {CONTACT: frozenset({ALEX}), other: frozenset({BILLIE})}
    shares = agreement("c", {"ContactPersonal": ("*",)}, scope=Scope.ENROLLED)
    body = response(*(f'<ContactPersonal RefId="{ref}"/>' for ref in (CONTACT, other)))

    found = share(body, shares, index=index, pending=replace(PENDING, object_type="ContactPersonal"))

    assert (found.shared, dict(found.left_out)) == (1, {Reason.NOT_IN_SCOPE: 1})
    assert f'RefId="{CONTACT}"' in found.body.decode()
    assert other not in found.body.decode()


@pytest.mark.parametrize("paths", [("*",), ("@RefId", "LocalId")], ids=["whole", "a part"])
def test_who_asks_for_keys_alone_gets_them(paths: tuple[str, ...]) -> None:
    found = share(response(personal(ALEX, "")), agreement("k", {PERSONAL: paths}))

    assert (found.shared, dict(found.left_out)) == (1, {})
    assert [one.replace("/>", "></LearnerPersonal>") for one in objects_in(found.body)] == [personal(ALEX, "")]


@pytest.mark.parametrize(
    ("name", "xml"),
    [
        ("LearnerSchoolEnrolment", f'<LearnerSchoolEnrolment RefId="{ENROLMENT}"/>'),
        ("LearnerSchoolEnrolment", f'<LearnerSchoolEnrolment RefId="{ENROLMENT}"><EntryDate>2026-09-01</EntryDate>'
                                   "</LearnerSchoolEnrolment>"),
        ("LearnerEntitlement", f'<LearnerEntitlement RefId="{ENROLMENT}"/>'),
        ("PersonDietaryPreference", f'<PersonDietaryPreference RefId="{ENROLMENT}"/>'),
        ("LearnerBehaviourIncident", f'<LearnerBehaviourIncident RefId="{ENROLMENT}"/>'),
    ],
    ids=["keys", "attribute", "element", "person", "list of learners"],
)  # fmt: skip
@pytest.mark.parametrize("scope", list(Scope))
def test_what_does_not_name_whom_it_is_about_is_in_no_scope_not_even_all(name: str, xml: str, scope: Scope) -> None:
    found = share(
        response(xml), agreement("w", {name: ("*",)}, scope=scope), pending=replace(PENDING, object_type=name)
    )

    assert (found.shared, dict(found.left_out)) == (0, {Reason.NOT_IN_SCOPE: 1})
    assert ENROLMENT.encode() not in found.body


# --- errors and rows ---------------------------------------------------------------------------------------------


def failure(desc: str = "It failed", more: str = "") -> str:
    return (
        f"<SIF_Error><SIF_Category>8</SIF_Category><SIF_Code>8</SIF_Code><SIF_Desc>{desc}</SIF_Desc>{more}</SIF_Error>"
    )


def test_an_error_goes_on_without_what_is_said_beyond_a_sentence() -> None:
    extended = f"<SIF_ExtendedDesc>{SECRET}</SIF_ExtendedDesc>"
    body = response(payload=failure("a &lt; b", extended), packet=2, more=True)

    passed = pass_error(reply(body), PENDING)

    assert error_in(passed) == {"SIF_Category": "8", "SIF_Code": "8", "SIF_Desc": "a < b"}
    assert SECRET.encode() not in passed
    assert told(passed) == ("2", "No")  # an error ends the request, whatever it says
    assert parse_message(passed).header.msg_id == ANSWER_ID


def test_of_a_long_error_the_beginning_goes_on() -> None:
    passed = pass_error(reply(response(payload=failure("x" * 200 + SECRET))), PENDING)

    assert error_in(passed)["SIF_Desc"] == "x" * 200


ROWS: Final = (
    '<SIF_ExtendedQueryResults><SIF_ColumnHeaders><SIF_Element ObjectName="LearnerPersonal">LocalId</SIF_Element>'
    "</SIF_ColumnHeaders><SIF_Rows><R><C>17</C></R></SIF_Rows></SIF_ExtendedQueryResults>"
)


def test_rows_go_on_as_they_came() -> None:
    body = response(payload=ROWS)

    assert pass_rows(reply(body), body) == body
    assert pass_rows(reply(body), b"\xef\xbb\xbf" + body) == body


def test_rows_with_comments_are_refused() -> None:
    body = response(payload=ROWS.replace("<R>", f"<!-- {SECRET} --><R>"))

    with pytest.raises(NotValid, match="comments") as caught:
        pass_rows(reply(body), body)

    assert SECRET not in str(caught.value)


# --- in the zone's own name --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (build_zone_status(ZoneIdentity(ZONE), AGENTS), "SIF_ZoneStatus"),
        (build_acl(AGENTS.agents[MERLIN]), "SIF_AgentACL"),
    ],
    ids=["status", "acl"],
)
def test_the_zone_answers_in_one_packet_in_the_version_of_the_request(content: bytes, name: str) -> None:
    body = zone_answer(ZONE, PENDING, content)

    message = valid(body)
    (data,) = message.payload.iter(NS + "SIF_ObjectData")
    assert [local_name(one) for one in data] == [name]
    assert (told(body), message.version, message.header.source_id) == (("1", "No"), "2.1", ZONE)


def test_the_zone_ends_a_request_in_the_packet_that_was_due() -> None:
    body = zone_error(ZONE, replace(PENDING, next_packet=4, state=RequestState.ANSWERING), 8, 16, "too < late")

    assert error_in(body) == {"SIF_Category": "8", "SIF_Code": "16", "SIF_Desc": "too < late"}
    assert told(body) == ("4", "No")
    assert parse_message(body).header.source_id == ZONE


def test_the_zones_own_message_has_the_same_id_each_time_and_another_for_each_packet_and_request() -> None:
    others = [
        replace(PENDING, next_packet=2),
        replace(PENDING, msg_id=ANSWER_ID),
        replace(PENDING, requester=MIS),
    ]

    assert own_msg_id(PENDING) == own_msg_id(replace(PENDING, state=RequestState.ANSWERING, shared=3))
    assert len({own_msg_id(one) for one in (PENDING, *others)}) == 4
    assert parse_message(zone_error(ZONE, PENDING, 8, 16, "")).header.msg_id == own_msg_id(PENDING)
