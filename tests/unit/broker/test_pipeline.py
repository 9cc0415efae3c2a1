"""What becomes of a message, from its bytes to the bytes that each recipient gets."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

import schemas
from broker.agreements import UNDELIVERED, Agreement, Scope
from broker.learners import Enrolment, Learner, LearnerIndex
from broker.pipeline import Accepted, Decision, decide, read
from broker.protocol.envelope import (
    NAMESPACE,
    Action,
    build_event,
    build_message,
    build_system_control,
    event_objects,
    local_name,
    parse_message,
)
from broker.protocol.errors import MessageTypeNotSupported, NotValid, WrongSource
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context
from broker.protocol.topology import intake_key
from broker.registry import PUBLISHING, AgentRecord, Channel, Live, Registration, Registry, Role, Topic, grants
from broker.requests import Question, Reply
from broker.routing import Router
from tests.instances import instance
from tests.unit.broker.builders import (
    ALEX,
    BILLIE,
    CONTACT,
    ELSEWHERE,
    ENROLMENT,
    LOCAL,
    MERLIN,
    MIS,
    MSG_ID,
    NS,
    SCHOOL,
    TODAY,
    VIRTUAL,
    XSI,
    accepted,
    add_personal,
    agent,
    agreement,
    current,
    delivered,
    event,
    header,
    personal,
    read_event,
    refused,
    registry,
    request,
    response,
    withheld,
)

SECRET = "Zephyrine"
PERSONAL = "LearnerPersonal"
OBJECTS = tuple(name for name in schemas.load().objects if schemas.load().note(name).events != "none")
ZONE = registry(
    agent(MIS, publish=OBJECTS, subscribe=OBJECTS, establishments=[LOCAL]),
    agent(MERLIN, subscribe=OBJECTS, establishments=[LOCAL]),
    agent(VIRTUAL, subscribe=OBJECTS, authority="820"),
    agent("nobody"),
)
EVERYTHING = dict.fromkeys(OBJECTS, ("*",))
NAME_ONLY = agreement("names", {PERSONAL: ("@RefId", "PersonalInformation/Name")}, to=(MERLIN,))
CARE = agreement("care", {PERSONAL: ("@RefId", "InCare")}, to=(VIRTUAL,))
IN_CARE = "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
NOT_IN_CARE = "<InCare><Current>No</Current><LAId>820</LAId></InCare>"
SUMMARY = "LearnerAttendanceSummary"


def tell(
    body: bytes,
    *agreements: Agreement,
    index: LearnerIndex | None = None,
    sender: AgentId = MIS,
    agents: Registry = ZONE,
    only: AgentId | None = None,
) -> Decision:
    return decide(read_event(body, sender), Router(agents, agreements, TODAY), index or LearnerIndex(), only=only)


def run(bodies: Sequence[bytes], *agreements: Agreement, index: LearnerIndex | None = None) -> list[Decision]:
    """Decide messages in order, each after what those before it told the index."""
    known = index or LearnerIndex()
    router = Router(ZONE, agreements, TODAY)
    decisions: list[Decision] = []
    for body in bodies:
        decision = decide(read_event(body), router, known)
        for observed in accepted(decision).observed:
            known.apply(observed)
        decisions.append(decision)
    return decisions


def change(inner: str, ref_id: str = ALEX) -> bytes:
    return event((PERSONAL, Action.CHANGE, personal(ref_id, inner)))


def delete(ref_id: str = ALEX, inner: str = "") -> bytes:
    return event((PERSONAL, Action.DELETE, personal(ref_id, inner)))


def index_of(*learners: Learner, **contacts: str) -> LearnerIndex:
    index = LearnerIndex()
    index.learners = {learner.ref_id: learner for learner in learners}
    index.contacts = {contact: frozenset({learner}) for contact, learner in contacts.items()}
    return index


def objects_in(body: bytes) -> list[tuple[str, str, str]]:
    """Return name, action and object of a delivered event, the object as text without namespace."""
    message = parse_message(body)
    pieces = re.findall(rb'<SIF_EventObject [^>]*">(.*?)</SIF_EventObject>', body, re.DOTALL)
    return [
        (o.object_type, o.action.value, piece.decode()) for o, piece in zip(event_objects(message), pieces, strict=True)
    ]


# --- who may send what -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "says"), [(MERLIN, "sends only as itself"), ("", "user_id")], ids=["another agent's", "none"]
)
def test_nobody_sends_as_another_agent(login: str, says: str) -> None:
    with pytest.raises(WrongSource, match=says) as caught:
        read(add_personal(), AgentId(login), ALEX)

    assert (caught.value.category, caught.value.code) == (3, 1)


@pytest.mark.parametrize(
    "body", [build_message("SIF_Register", header()), build_system_control(header(), "SIF_Ping")], ids=["reg", "ping"]
)
def test_the_intake_takes_no_control_messages(body: bytes) -> None:
    with pytest.raises(MessageTypeNotSupported, match=r"sif\.control"):
        read(body, MIS, None)


@pytest.mark.parametrize(
    ("action", "code"), [(Action.ADD, 10), (Action.CHANGE, 11), (Action.DELETE, 12)], ids=lambda x: str(x)
)
def test_publishing_without_a_right_is_refused_with_the_code_of_the_action(action: Action, code: int) -> None:
    body = event((PERSONAL, action, personal()), sender="nobody")

    given = refused(tell(body, NAME_ONLY, sender=AgentId("nobody")))

    assert (given.category, given.code, given.reason) == (4, code, f"sif-4-{code}")
    assert [part for part in ("nobody", PERSONAL, "zone.toml") if part not in given.summary] == []


@pytest.mark.parametrize("name", [PERSONAL, "LearnerPersonel"], ids=["known object", "unknown object"])
def test_an_agent_that_the_zone_does_not_have_is_told_so_first(name: str) -> None:
    stranger = AgentId("stranger")
    xml = personal().replace(PERSONAL, name)

    given = refused(tell(event((name, Action.ADD, xml), sender=stranger), sender=stranger))

    assert (given.category, given.code) == (4, 9)


def test_a_right_to_one_object_is_none_to_another() -> None:
    agents = registry(agent(MIS, publish=["SchoolInfo"]))

    assert refused(tell(add_personal(), agents=agents)).code == 10


def test_one_object_without_a_right_refuses_the_whole_event() -> None:
    agents = registry(agent(MIS, publish=[PERSONAL]), agent(MERLIN, subscribe=[PERSONAL]))
    body = event((PERSONAL, Action.ADD, personal()), ("SchoolInfo", Action.CHANGE, f'<SchoolInfo RefId="{SCHOOL}"/>'))

    assert refused(tell(body, NAME_ONLY, agents=agents)).code == 11


# --- the ordering key --------------------------------------------------------------------------------------------


def test_the_routing_key_is_that_of_the_learner_the_object_is_about() -> None:
    assert read_event(add_personal(ALEX), MIS, intake_key(ALEX)).learners == (ALEX,)
    for wrong in (intake_key(BILLIE), "", ALEX):
        with pytest.raises(NotValid, match="routing key"):
            read(add_personal(ALEX), MIS, wrong)


def test_objects_of_several_learners_do_not_travel_in_one_message() -> None:
    body = event((PERSONAL, Action.ADD, personal(ALEX)), (PERSONAL, Action.ADD, personal(BILLIE)))

    with pytest.raises(NotValid, match="several messages"):
        read(body, MIS, intake_key(ALEX))


def test_an_object_about_no_learner_may_have_any_key() -> None:
    body = event(("SchoolInfo", Action.CHANGE, f'<SchoolInfo RefId="{SCHOOL}"/>'))

    assert not any(read_event(body, MIS, "anything").learners)


@pytest.mark.parametrize("ref", ["", 'LearnerPersonalRefId=""', 'LearnerPersonalRefId="  "'])
def test_an_object_that_does_not_name_its_learner_is_told_what_to_add(ref: str) -> None:
    xml = f'<LearnerSchoolEnrolment RefId="{ENROLMENT}" {ref}/>'

    with pytest.raises(NotValid, match="add @LearnerPersonalRefId"):
        read(event(("LearnerSchoolEnrolment", Action.CHANGE, xml)), MIS, ENROLMENT)


def test_a_message_says_what_has_to_be_loaded_to_decide_it() -> None:
    siblings = f"<Sibling><LearnerPersonalRefId>{BILLIE}</LearnerPersonalRefId><UIPI>1</UIPI></Sibling>"
    body = event(
        (PERSONAL, Action.CHANGE, personal(ALEX, f"<SiblingList>{siblings}</SiblingList>")),
        ("ContactPersonal", Action.CHANGE, f'<ContactPersonal RefId=" {CONTACT}"/>'),
        ("TermInfo", Action.CHANGE, f'<TermInfo RefId="{ENROLMENT}" SchoolInfoRefId="{SCHOOL} "/>'),
    )

    inbound = read_event(body)

    assert {ALEX, BILLIE} <= set(inbound.learners)
    assert inbound.contacts == (CONTACT,)
    assert SCHOOL in inbound.schools


# --- whether it is valid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("agents", [ZONE, registry(agent(MIS, publish=[PERSONAL]))], ids=["may all", "may some"])
def test_an_unknown_object_is_refused_with_the_nearest_name(agents: Registry) -> None:
    body = event(("LearnerPersonel", Action.ADD, f'<LearnerPersonel RefId="{ALEX}">{SECRET}</LearnerPersonel>'))

    given = refused(tell(body, agents=agents))

    assert (given.category, given.code) == (9, 3)
    assert "did you mean LearnerPersonal?" in given.summary
    assert SECRET not in given.summary


BAD = {
    "code": (personal(ALEX, f'<PersonalInformation><Name Type="{SECRET}"/></PersonalInformation>'), 4),
    "date": (
        personal(
            ALEX,
            '<PersonalInformation><Name Type="C"/></PersonalInformation>'
            f"<UPNAllocationDate>{SECRET}</UPNAllocationDate>",
        ),
        4,
    ),
    "unknown element": (
        personal(ALEX, f'<PersonalInformation><Name Type="C"/></PersonalInformation><Shoes>{SECRET}</Shoes>'),
        3,
    ),
    "unknown attribute": (
        personal(ALEX, f'<PersonalInformation><Name Type="C" Shoes="{SECRET}"/></PersonalInformation>'),
        3,
    ),
    "text between elements": (
        personal(ALEX, f'{SECRET}<PersonalInformation><Name Type="C"/></PersonalInformation>'),
        3,
    ),
    "missing": (personal(ALEX, f"<LocalId>{SECRET}</LocalId>"), 6),
    "order": (
        personal(ALEX, f'<PersonalInformation><Name Type="C"/></PersonalInformation><LocalId>{SECRET}</LocalId>'),
        3,
    ),
    "RefId": (personal(SECRET), 4),
    "foreign": (
        personal(ALEX, f'<PersonalInformation><Name Type="C"/></PersonalInformation><x xmlns="urn:{SECRET}">a</x>'),
        3,
    ),
}


@pytest.mark.parametrize(("xml", "code"), BAD.values(), ids=BAD)
def test_an_invalid_object_is_refused_with_where_and_why_and_nothing_of_what_it_holds(xml: str, code: int) -> None:
    given = refused(tell(event((PERSONAL, Action.ADD, xml)), NAME_ONLY))

    assert (given.category, given.code) == (1, code)
    assert given.findings
    assert all(finding.message and finding.line for finding in given.findings)
    assert "Add of LearnerPersonal" in given.summary
    assert SECRET not in repr(given)


def test_every_fault_is_found_and_counted() -> None:
    xml = personal(ALEX, "<PersonalInformation><Name/></PersonalInformation><Shoes/><HomeLA>x</HomeLA>")

    given = refused(tell(event((PERSONAL, Action.ADD, xml))))

    assert len(given.findings) >= 2
    assert f"(and {len(given.findings) - 1} more)" in given.summary


def test_one_invalid_object_refuses_the_whole_event() -> None:
    body = event((PERSONAL, Action.ADD, personal()), (PERSONAL, Action.ADD, personal(ALEX, "")))

    assert refused(tell(body, NAME_ONLY)).category == 1


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("kind", [".minimal", ""])
def test_a_valid_object_arrives_whole_where_it_is_shared_whole(name: str, kind: str) -> None:
    sent = re.sub(r"<!--.*?-->", "", instance(f"{name}{kind}")).strip()
    body = event((name, Action.ADD, sent.replace(f' xmlns="{NAMESPACE}"', "", 1)))

    got = delivered(tell(body, agreement("a", EVERYTHING, to=(MERLIN,)), index=all_known(body)))

    assert list(got) == [MERLIN]
    one, other = (event_objects(parse_message(b))[0].element for b in (got[MERLIN], body))
    hidden = UNDELIVERED.get(name, ())
    for child in [child for child in other if local_name(child) in hidden]:
        other.remove(child)
    assert flat(one) == flat(other)


def all_known(body: bytes) -> LearnerIndex:
    """Return an index in which each learner mentioned is known and each contact is somebody's."""
    inbound = read_event(body)
    learners = [Learner(ref) for ref in inbound.learners if ref]
    return index_of(*learners, **dict.fromkeys(inbound.contacts, ALEX))


def flat(element: object) -> list[tuple[str, dict[str, str], str]]:
    return [(e.tag, dict(e.attrib), (e.text or "").strip()) for e in element.iter()]  # type: ignore[attr-defined]  # lxml


def test_a_change_needs_none_of_what_an_add_must_have() -> None:
    got = delivered(tell(change(IN_CARE), CARE))

    assert objects_in(got[VIRTUAL]) == [(PERSONAL, "Change", personal(ALEX, IN_CARE))]


# --- what is delivered -------------------------------------------------------------------------------------------


def test_each_recipient_gets_its_part_under_the_header_of_the_message() -> None:
    body = add_personal(ALEX, IN_CARE, f'<Name Type="C"><FamilyName>{SECRET}</FamilyName></Name>')

    decision = tell(body.replace(b'Version="2.4"', b'Version="2.1"'), NAME_ONLY, CARE)

    got = delivered(decision)
    assert objects_in(got[VIRTUAL]) == [(PERSONAL, "Add", personal(ALEX, IN_CARE))]
    assert SECRET.encode() in got[MERLIN]
    assert b"InCare" not in got[MERLIN]
    for one in got.values():
        message = parse_message(one)
        assert (message.header, message.version) == (header(), "2.1")
    assert {d.view for d in accepted(decision).deliveries} == {"names@00000000", "care@00000000"}
    assert withheld(decision) == {}


def test_recipients_of_one_view_share_one_message() -> None:
    both = agreement("both", {PERSONAL: ("@RefId", "InCare")}, to=(MERLIN, VIRTUAL))

    (delivery,) = accepted(tell(change(IN_CARE), both)).deliveries

    assert delivery.recipients == (MERLIN, VIRTUAL)


def test_a_sender_never_gets_its_own_object() -> None:
    decision = tell(add_personal(), agreement("a", EVERYTHING))

    assert MIS not in {*delivered(decision), *withheld(decision)}


def test_two_agreements_for_one_recipient_are_one_delivery_of_both() -> None:
    more = agreement("more", {PERSONAL: ("@RefId", "HomeLA")}, to=(VIRTUAL,))

    decision = tell(change(f"{IN_CARE}<HomeLA>820</HomeLA>"), CARE, more)

    assert objects_in(delivered(decision)[VIRTUAL]) == [
        (PERSONAL, "Change", personal(ALEX, f"{IN_CARE}<HomeLA>820</HomeLA>"))
    ]
    assert [d.view for d in accepted(decision).deliveries] == ["care@00000000+more@00000000"]


def test_a_change_of_which_a_recipient_may_see_nothing_is_not_sent_to_it() -> None:
    decision = tell(change(IN_CARE), NAME_ONLY, CARE)

    assert set(delivered(decision)) == {VIRTUAL}
    assert withheld(decision) == {MERLIN: "nothing-shared-in-change"}


def test_an_add_of_which_only_the_keys_are_shared_is_sent_as_its_keys() -> None:
    got = delivered(tell(add_personal(), CARE))

    assert objects_in(got[VIRTUAL]) == [(PERSONAL, "Add", f'<LearnerPersonal RefId="{ALEX}"/>')]


@pytest.mark.parametrize("inner", ["", "<LocalId>7</LocalId>"], ids=["bare", "with more than its keys"])
def test_a_delete_is_sent_as_its_keys(inner: str) -> None:
    got = delivered(tell(delete(ALEX, inner), NAME_ONLY))

    assert objects_in(got[MERLIN]) == [(PERSONAL, "Delete", f'<LearnerPersonal RefId="{ALEX}"/>')]


def test_a_delete_by_keys_that_are_elements_keeps_them() -> None:
    keys = f'<{SUMMARY} LearnerPersonalRefId="{ALEX}" SchoolInfoRefId="{SCHOOL}"><SchoolYear>2026</SchoolYear>'
    keys += f"<StartDate>2025-09-01</StartDate><EndDate>2026-07-20</EndDate></{SUMMARY}>"
    shared = agreement("a", {SUMMARY: (*schemas.load().keys(SUMMARY), "SIF_Metadata")}, to=(MERLIN,))

    got = delivered(tell(event((SUMMARY, Action.DELETE, keys)), shared))

    assert objects_in(got[MERLIN]) == [(SUMMARY, "Delete", keys)]


def test_an_object_about_no_learner_is_not_asked_for_its_scope() -> None:
    body = event(("SchoolInfo", Action.CHANGE, f'<SchoolInfo RefId="{SCHOOL}"><SchoolName>L</SchoolName></SchoolInfo>'))

    decision = tell(body, agreement("a", EVERYTHING, scope=Scope.ENROLLED))

    assert set(delivered(decision)) == {MERLIN, VIRTUAL}


# --- whose learners ----------------------------------------------------------------------------------------------

LOOKED_AFTER = agreement("care", {PERSONAL: ("*",)}, to=(VIRTUAL,), scope=Scope.LOOKED_AFTER)
ENROLLED = agreement("school", EVERYTHING, to=(MERLIN,), scope=Scope.ENROLLED)
RESIDENT = agreement("resident", {PERSONAL: ("*",)}, to=(VIRTUAL,), scope=Scope.RESIDENT)
SCOPE, ENTERING = "learner-not-in-scope", "learner-entering-scope"


def reached(decisions: Sequence[Decision], recipient: AgentId) -> list[bool]:
    return [recipient in delivered(decision) for decision in decisions]


def outcomes(decisions: Sequence[Decision], recipient: AgentId) -> list[str]:
    """Return of each message "delivered", or why it is not."""
    return ["delivered" if recipient in delivered(one) else withheld(one)[recipient] for one in decisions]


def asked_for(decision: Decision) -> list[tuple[str, str, set[AgentId]]]:
    """Return what is to be asked for after a message: kind of object, source, on whose behalf."""
    (observed,) = accepted(decision).observed
    learner = observed.learner
    return [(f.object_type, f.source, set(f.recipients)) for f in learner.fetches] if learner is not None else []


def ended(decision: Decision) -> list[tuple[str, str, tuple[AgentId, ...]]]:
    """Return what a message ends, in order: the learner, kind of object, for whom."""
    return [(ref_id, gone.key.object_type, gone.agents) for ref_id, gone in accepted(decision).removals]


@pytest.mark.parametrize(
    ("outside", "inside", "sharing", "recipient"),
    [
        pytest.param("", IN_CARE, LOOKED_AFTER, VIRTUAL, id="care"),
        pytest.param(current(ELSEWHERE), current(LOCAL), ENROLLED, MERLIN, id="school"),
        pytest.param("<HomeLA>821</HomeLA>", "<HomeLA>820</HomeLA>", RESIDENT, VIRTUAL, id="home"),
    ],
)
def test_for_a_learner_who_enters_a_scope_the_whole_record_is_asked_instead_of_delivering_the_event(
    outside: str, inside: str, sharing: Agreement, recipient: AgentId
) -> None:
    decisions = run([add_personal(ALEX, outside), change(inside), change("<LocalId>1</LocalId>")], sharing)

    assert outcomes(decisions, recipient) == [SCOPE, ENTERING, ENTERING]
    assert asked_for(decisions[0]) == []
    assert asked_for(decisions[1]) == asked_for(decisions[2]) == [(PERSONAL, MIS, {recipient})]


@pytest.mark.parametrize(
    ("outside", "inside", "sharing", "recipient"),
    [
        pytest.param(NOT_IN_CARE, IN_CARE, LOOKED_AFTER, VIRTUAL, id="care"),
        pytest.param(current(ELSEWHERE), current(LOCAL), ENROLLED, MERLIN, id="school"),
        pytest.param("<HomeLA>821</HomeLA>", "<HomeLA>820</HomeLA>", RESIDENT, VIRTUAL, id="home"),
    ],
)
def test_a_learner_who_leaves_a_scope_is_ended_there_after_the_event_that_says_so(
    outside: str, inside: str, sharing: Agreement, recipient: AgentId
) -> None:
    decisions = run(
        [add_personal(ALEX, inside), change("<LocalId>1</LocalId>"), change(outside), change("<LocalId>2</LocalId>")],
        sharing,
    )

    # the event that ends it still arrives: the recipient learns that it ended
    assert outcomes(decisions, recipient) == ["delivered", "delivered", "delivered", SCOPE]
    assert [ended(decision) for decision in decisions] == [[], [], [(ALEX, PERSONAL, (recipient,))], []]


def test_nothing_is_asked_for_any_more_once_a_learner_has_left_before_it_came() -> None:
    decisions = run([add_personal(), change(IN_CARE), change(NOT_IN_CARE), change("<UPN>1</UPN>")], LOOKED_AFTER)

    assert outcomes(decisions, VIRTUAL) == [SCOPE, ENTERING, SCOPE, SCOPE]
    assert asked_for(decisions[2]) == []
    assert ended(decisions[2]) == []  # it has had nothing


BEGUN = "<EntryDate>2026-09-01</EntryDate><NCYearGroupActual>7</NCYearGroupActual>"


def enrolment(action: Action, inner: str) -> bytes:
    xml = f'<LearnerSchoolEnrolment RefId="{ENROLMENT}" LearnerPersonalRefId="{ALEX}" SchoolInfoRefId="{SCHOOL}" '
    return event(("LearnerSchoolEnrolment", action, f'{xml}MembershipType="C">{inner}</LearnerSchoolEnrolment>'))


def test_an_enrolment_that_ends_is_the_last_that_the_school_hears() -> None:
    index = index_of()
    index.schools[SCHOOL] = LOCAL
    decisions = run(
        [
            add_personal(ALEX, current()),
            enrolment(Action.ADD, BEGUN),
            enrolment(Action.CHANGE, f"<ExitDate>{TODAY}</ExitDate>"),
            change("<LocalId>1</LocalId>"),
            enrolment(Action.CHANGE, "<ExitDate>2026-09-14</ExitDate>"),
            change("<LocalId>2</LocalId>"),
            enrolment(Action.CHANGE, "<ExitDate>2026-09-13</ExitDate>"),
            enrolment(Action.DELETE, ""),
        ],
        ENROLLED,
        index=index,
    )

    assert reached(decisions, MERLIN) == [True, True, True, True, True, False, False, False]
    # what is left of the learner goes too, what depends on others first
    left = [(ALEX, "LearnerSchoolEnrolment", (MERLIN,)), (ALEX, PERSONAL, (MERLIN,))]
    assert [ended(decision) for decision in decisions] == [[], [], [], [], left, [], [], []]


def test_an_enrolment_lets_its_learner_enter_and_brings_the_record_before_itself() -> None:
    index = index_of()
    index.schools[SCHOOL] = LOCAL

    decisions = run([add_personal(), enrolment(Action.ADD, BEGUN)], ENROLLED, index=index)

    assert outcomes(decisions, MERLIN) == [SCOPE, ENTERING]
    assert asked_for(decisions[1]) == [(PERSONAL, MIS, {MERLIN}), ("LearnerSchoolEnrolment", MIS, {MERLIN})]


def test_a_deleted_learner_is_deleted_where_they_were_known_and_nowhere_after() -> None:
    decisions = run([add_personal(ALEX, IN_CARE), delete(), change("<LocalId>1</LocalId>")], LOOKED_AFTER)

    assert reached(decisions, VIRTUAL) == [True, True, False]


@pytest.mark.parametrize("ref_id", [ALEX, f" {ALEX}", f"{ALEX}&#10;"], ids=["plain", "blank before", "line end after"])
def test_a_shielded_learner_goes_nowhere_however_the_refid_is_written(ref_id: str) -> None:
    index = index_of(Learner(ALEX, shielded=True, enrolments={ENROLMENT: Enrolment(LOCAL)}))

    decision = tell(add_personal(ref_id, current()), agreement("a", EVERYTHING), ENROLLED, index=index)

    assert delivered(decision) == {}
    assert withheld(decision) == {MERLIN: "learner-shielded", VIRTUAL: "learner-shielded"}


def test_a_shield_cannot_be_lifted_by_deleting_and_adding() -> None:
    index = index_of(Learner(ALEX, shielded=True))

    decisions = run([delete(), add_personal()], agreement("a", EVERYTHING), index=index)

    assert [delivered(decision) for decision in decisions] == [{}, {}]


def test_deciding_changes_nothing_in_the_index() -> None:
    index = index_of(Learner(ALEX, in_care=True, care_authority="820"))
    before = dict(index.learners)

    tell(change(NOT_IN_CARE), LOOKED_AFTER, index=index)
    tell(event((PERSONAL, Action.DELETE, personal()), (PERSONAL, Action.ADD, personal())), LOOKED_AFTER, index=index)

    assert index.learners == before


CONTACT_XML = (
    f'<ContactPersonal RefId="{CONTACT}"><PersonalInformation><Name Type="C"/></PersonalInformation></ContactPersonal>'
)
CONTACT_ADD = event(("ContactPersonal", Action.ADD, CONTACT_XML))
HERE = Learner(ALEX, enrolments={ENROLMENT: Enrolment(LOCAL)})


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (index_of(HERE, **{CONTACT: ALEX}), None),
        (index_of(HERE, **{CONTACT: BILLIE}), "learner-not-in-scope"),
        (index_of(HERE), "learner-not-in-scope"),
        (index_of(Learner(ALEX, enrolments=HERE.enrolments, shielded=True), **{CONTACT: ALEX}), "learner-shielded"),
    ],
    ids=["of a learner in scope", "of another learner", "of nobody known", "of a shielded learner"],
)
def test_a_contact_goes_where_its_learners_go(index: LearnerIndex, reason: str | None) -> None:
    decision = tell(CONTACT_ADD, ENROLLED, index=index)

    assert withheld(decision).get(MERLIN) == reason
    assert (MERLIN in delivered(decision)) is (reason is None)


def test_a_link_lets_the_contact_through_from_then_on() -> None:
    xml = f'<LearnerContact LearnerPersonalRefId="{ALEX}" ContactPersonalRefId="{CONTACT}">'
    link = event(("LearnerContact", Action.CHANGE, f"{xml}<Relationship>MOT</Relationship></LearnerContact>"))

    decisions = run([CONTACT_ADD, link, CONTACT_ADD], ENROLLED, index=index_of(HERE))

    assert reached(decisions, MERLIN) == [False, True, True]


def test_a_sibling_out_of_scope_is_not_mentioned() -> None:
    siblings = "".join(
        f"<Sibling><LearnerPersonalRefId>{ref}</LearnerPersonalRefId><UIPI>{ref[:2]}</UIPI></Sibling>"
        for ref in (BILLIE, SCHOOL)
    )
    body = change(f"<LocalId>1</LocalId><SiblingList>{siblings}</SiblingList>")
    index = index_of(
        HERE,
        Learner(BILLIE, enrolments={"x": Enrolment(LOCAL)}, in_care=True, care_authority="820"),
        Learner(SCHOOL, enrolments={"y": Enrolment(ELSEWHERE)}),
    )

    got = delivered(tell(body, ENROLLED, agreement("all", EVERYTHING, to=(VIRTUAL,)), index=index))

    assert BILLIE.encode() in got[MERLIN]
    assert SCHOOL.encode() not in got[MERLIN]
    assert SCHOOL.encode() in got[VIRTUAL]


# --- several objects in one message ------------------------------------------------------------------------------


def test_several_objects_are_one_message_for_each_recipient_with_what_it_may_have() -> None:
    body = event(
        (PERSONAL, Action.CHANGE, personal(ALEX, IN_CARE)),
        (PERSONAL, Action.CHANGE, personal(ALEX, '<PersonalInformation><Name Type="C"/></PersonalInformation>')),
        (PERSONAL, Action.DELETE, personal(ALEX, "")),
    )

    decision = tell(body, NAME_ONLY, CARE)

    got = delivered(decision)
    assert [(action, piece.count("InCare")) for _, action, piece in objects_in(got[VIRTUAL])] == [
        ("Change", 2),
        ("Delete", 0),
    ]
    assert [action for _, action, _ in objects_in(got[MERLIN])] == ["Change", "Delete"]
    assert {parse_message(one).header.msg_id for one in got.values()} == {MSG_ID}
    assert withheld(decision) == {}


def test_each_object_is_decided_as_after_those_before_it() -> None:
    body = event(
        (PERSONAL, Action.CHANGE, personal(ALEX, IN_CARE)),
        (PERSONAL, Action.CHANGE, personal(ALEX, "<LocalId>1</LocalId>")),
        (PERSONAL, Action.CHANGE, personal(ALEX, NOT_IN_CARE)),
        (PERSONAL, Action.CHANGE, personal(ALEX, "<LocalId>2</LocalId>")),
    )

    decision = tell(body, LOOKED_AFTER)

    assert [piece.count("LocalId>1") for _, _, piece in objects_in(delivered(decision)[VIRTUAL])] == [0, 1, 0]
    assert len(accepted(decision).observed) == 4


def test_whoever_gets_none_of_several_objects_is_told_about_once() -> None:
    body = event(
        (PERSONAL, Action.CHANGE, personal(ALEX, IN_CARE)),
        (PERSONAL, Action.CHANGE, personal(ALEX, "<LocalId>1</LocalId>")),
    )

    decision = tell(body, CARE)

    assert set(delivered(decision)) == {VIRTUAL}
    assert withheld(decision) == {MERLIN: "no-agreement"}


def test_equal_parts_under_different_agreements_keep_their_agreements_apart() -> None:
    same = agreement("same", {PERSONAL: ("@RefId", "InCare", "UPN")}, to=(MERLIN,))
    body = event(*[(PERSONAL, Action.CHANGE, personal(ALEX, IN_CARE))] * 2)

    decision = tell(body, CARE, same)

    assert {(d.recipients, d.view) for d in accepted(decision).deliveries} == {
        ((VIRTUAL,), "care@00000000"),
        ((MERLIN,), "same@00000000"),
    }


# --- sending again -----------------------------------------------------------------------------------------------


def test_what_is_sent_again_goes_to_the_one_it_was_for_by_the_agreements_of_today() -> None:
    cut_before = change('<PersonalInformation><Name Type="C"/></PersonalInformation>')

    again = tell(cut_before, NAME_ONLY, CARE, only=MERLIN)
    ended = tell(cut_before, CARE, only=MERLIN)

    assert list(delivered(again)) == [MERLIN]
    assert (delivered(ended), withheld(ended)) == ({}, {MERLIN: "no-agreement"})


def test_what_is_sent_again_need_not_be_whole() -> None:
    cut_before = event((PERSONAL, Action.ADD, personal(ALEX, "")))

    assert isinstance(tell(cut_before, NAME_ONLY, only=MERLIN), Accepted)


# --- odd but valid documents -------------------------------------------------------------------------------------


def test_a_prefixed_message_is_decided_like_any_other() -> None:
    plain = add_personal(ALEX, IN_CARE).decode()
    prefixed = re.sub(r"<(/?)([A-Z])", r"<\1s:\2", plain).replace("xmlns=", f'xmlns:xsi="{XSI}" xmlns:s=')

    one, other = (delivered(tell(body.encode(), NAME_ONLY, CARE)) for body in (plain, prefixed))

    assert one.keys() == other.keys()
    for name, body in one.items():
        assert flat(event_objects(parse_message(body))[0].element) == flat(
            event_objects(parse_message(other[name]))[0].element
        )
        assert event_objects(parse_message(other[name]))[0].element.tag == NS + PERSONAL


# --- whole and untouched -----------------------------------------------------------------------------------------

STAY = "LearnerSchoolEnrolment"
ALL_OF_IT = agreement("all", {PERSONAL: ("*",), STAY: ("*",)}, to=(MERLIN,))
ENTERS = f'<{STAY} RefId="{ENROLMENT}" LearnerPersonalRefId="{ALEX}"><EntryDate>2026-09-01</EntryDate></{STAY}>'
SPACED = (
    event((STAY, Action.CHANGE, ENTERS))
    .replace(b"><SIF_ObjectData>", b">\n  <SIF_ObjectData >")
    .replace(b"<EntryDate>", b"<EntryDate   >")
)


def test_what_is_shared_whole_goes_on_byte_for_byte() -> None:
    assert delivered(tell(SPACED, ALL_OF_IT, NAME_ONLY)) == {MERLIN: SPACED}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbf", b""),
        (b'<?xml version="1.0" encoding="UTF-8"?>', b""),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\r\n', b"\r\n"),
    ],
    ids=["byte order mark", "declaration", "both, and blanks around it"],
)
def test_byte_order_mark_and_declaration_stay_behind(before: bytes, after: bytes) -> None:
    assert delivered(tell(before + SPACED + after, ALL_OF_IT)) == {MERLIN: SPACED}


@pytest.mark.parametrize("note", [f"<!--{SECRET}-->", f"<?note {SECRET}?>"], ids=["comment", "instruction"])
@pytest.mark.parametrize("place", [b"<SIF_ObjectData >", b"<EntryDate   >", b"</SIF_Event>"], ids=["in", "deep", "end"])
def test_comments_and_instructions_do_not_leave_the_zone(note: str, place: bytes) -> None:
    body = SPACED.replace(place, note.encode() + place)

    (got,) = delivered(tell(body, ALL_OF_IT)).values()

    assert SECRET.encode() in body
    assert SECRET.encode() not in got
    assert objects_in(got) == [(STAY, "Change", ENTERS)]


def test_what_the_message_schema_does_not_know_does_not_go_on() -> None:
    body = SPACED.replace(b"</SIF_Header>", f"<SIF_Shoes>{SECRET}</SIF_Shoes></SIF_Header>".encode())

    (got,) = delivered(tell(body, ALL_OF_IT)).values()

    assert SECRET.encode() not in got


DIRECTED = [
    pytest.param(((STAY, Action.CHANGE, ENTERS.encode()),), id="whole"),
    pytest.param(((PERSONAL, Action.ADD, personal().encode()),), id="one that is looked through"),
    pytest.param(((PERSONAL, Action.ADD, personal().encode()),) * 2, id="two objects"),
]


@pytest.mark.parametrize("objects", DIRECTED)
def test_a_directed_event_goes_on_without_its_destination(objects: tuple[tuple[str, Action, bytes], ...]) -> None:
    body = build_event(header()._replace(destination_id=VIRTUAL), objects)

    (got,) = delivered(tell(body, ALL_OF_IT)).values()

    assert parse_message(body).header.destination_id == VIRTUAL
    assert parse_message(got).header == parse_message(body).header._replace(destination_id=None)
    assert objects_in(got) == objects_in(body)


# --- contexts ----------------------------------------------------------------------------------------------------

EXAMS = Context("exams")


def in_contexts(*contexts: Context, count: int = 1, action: Action = Action.ADD) -> bytes:
    objects = ((PERSONAL, action, personal().encode()),) * count
    return build_event(header()._replace(contexts=contexts), objects)


def zone_with_exams(*mine: Role) -> Registry:
    """Return a zone in which MERLIN gets exams alone, VIRTUAL both, and MIS has rights to exams."""
    there = Topic(PERSONAL, EXAMS)
    both = grants([(Role.SUBSCRIBE, Topic(PERSONAL)), (Role.SUBSCRIBE, there)])
    return registry(
        agent(MIS, publish=[PERSONAL], rights=[(role, there) for role in mine]),
        AgentRecord(MERLIN, "Merlin", standing=grants([(Role.SUBSCRIBE, there)])),
        AgentRecord(VIRTUAL, "Virtual school", standing=both),
    )


@pytest.mark.parametrize("count", [1, 2], ids=["one object", "two objects"])
@pytest.mark.parametrize(
    ("contexts", "gets"),
    [
        ((DEFAULT_CONTEXT,), {VIRTUAL}),
        ((EXAMS,), {MERLIN, VIRTUAL}),
        ((DEFAULT_CONTEXT, EXAMS), {MERLIN, VIRTUAL}),
    ],
    ids=["default", "another", "both"],
)
def test_an_event_goes_to_the_subscribers_of_its_contexts_once_each(
    contexts: tuple[Context, ...], gets: set[AgentId], count: int
) -> None:
    everybody = agreement("a", {PERSONAL: ("*",)})

    got = delivered(tell(in_contexts(*contexts, count=count), everybody, agents=zone_with_exams(Role.PUBLISH_ADD)))

    assert set(got) == gets
    assert {parse_message(body).header.contexts for body in got.values()} == {contexts}


@pytest.mark.parametrize(
    ("action", "code"), [(Action.ADD, 10), (Action.CHANGE, 11), (Action.DELETE, 12)], ids=lambda x: str(x)
)
def test_publishing_needs_the_right_in_each_context(action: Action, code: int) -> None:
    agents = zone_with_exams(*(role for role in Role if role is not PUBLISHING[action]))
    body = in_contexts(DEFAULT_CONTEXT, EXAMS, action=action)

    given = refused(tell(body, ALL_OF_IT, agents=agents))

    assert (given.category, given.code) == (4, code)
    assert "exams" in given.summary


def test_a_context_that_there_is_not_is_refused() -> None:
    given = refused(tell(in_contexts(DEFAULT_CONTEXT, Context("sports")), ALL_OF_IT))

    assert (given.category, given.code) == (12, 4)


# --- what a recipient can take -----------------------------------------------------------------------------------


def registered(**more: object) -> Registry:
    said = replace(Registration(MERLIN, "Merlin", "2.4", 1.0), **more)  # type: ignore[arg-type]  # fields by name
    return ZONE.with_live(Live({MERLIN: said}))


def demanding(level: int) -> bytes:
    return build_event(header()._replace(authentication_level=level), ((PERSONAL, Action.ADD, personal().encode()),))


@pytest.mark.parametrize(
    ("body", "agents", "reason"),
    [
        (add_personal(), registered(versions=("2.1",)), "version-not-listed"),
        (add_personal(), registered(max_buffer=100), "larger-than-buffer"),
        (demanding(2), registered(channel=Channel(1, 4)), "channel-not-secure-enough"),
    ],
    ids=["version", "buffer", "channel"],
)
def test_who_cannot_take_it_does_not_get_it_and_the_others_do(body: bytes, agents: Registry, reason: str) -> None:
    everybody = agreement("a", {PERSONAL: ("*",)})
    others = {VIRTUAL} if reason != "channel-not-secure-enough" else set()  # who never registered is nowhere secure

    decision = tell(body, everybody, agents=agents)

    assert set(delivered(decision)) == others
    assert withheld(decision)[MERLIN] == reason


def test_it_is_what_would_be_delivered_that_has_to_fit() -> None:
    body = add_personal(ALEX, "<HomeLA>820</HomeLA>")
    fits = registered(max_buffer=len(delivered(tell(body, NAME_ONLY))[MERLIN]))

    assert set(delivered(tell(body, NAME_ONLY, agents=fits))) == {MERLIN}
    assert withheld(tell(body, ALL_OF_IT, agents=fits)) == {MERLIN: "larger-than-buffer", VIRTUAL: "no-agreement"}


# --- what is no event --------------------------------------------------------------------------------------------


def test_requests_and_responses_are_read_as_such() -> None:
    assert isinstance(read(request(), MERLIN, None), Question)
    assert isinstance(read(response(personal()), MIS, None), Reply)
    for body in (request(), response()):
        with pytest.raises(WrongSource):
            read(body, VIRTUAL, None)
