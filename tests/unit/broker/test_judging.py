"""What schemas and rules find in what agents publish: refused, passed on with a warning, or only counted."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from lxml import etree

import schemas
from broker.batches import judged_row
from broker.holdings import Holding, ObjectKey
from broker.learners import CarePeriod, Enrolment, Learner, LearnerIndex, standing
from broker.pipeline import Accepted, Decision, decide, read
from broker.protocol.documents import MAX_ELEMENTS
from broker.protocol.envelope import LOOKED_AFTER, VERSION, Action, EventObject, build_event
from broker.protocol.errors import ConfigurationError, NotValid, NotWellFormed
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import intake_key
from broker.quality import Judged, KnownFacts, record_key
from broker.routing import Router
from broker.settings import load_zone
from broker.validation import Refusal, Validator
from schemas import Finding
from schemas.rules import RuleSet, Setting
from tests.instances import instance
from tests.unit.broker.builders import (
    ALEX,
    BILLIE,
    CONTACT,
    ENROLMENT,
    LOCAL,
    MERLIN,
    MIS,
    NS,
    OTHER_ENROLMENT,
    SCHOOL,
    TODAY,
    XSI,
    accepted,
    agent,
    agreement,
    delivered,
    element,
    event,
    header,
    personal,
    read_event,
    refused,
    registry,
)

PERSONAL = "LearnerPersonal"
OBJECTS = schemas.load().objects
ZONE = registry(
    agent(MIS, publish=OBJECTS, establishments=[LOCAL]), agent(MERLIN, subscribe=OBJECTS, establishments=[LOCAL])
)
EVERYTHING = agreement("a", dict.fromkeys(OBJECTS, ("*",)))
NAME = '<PersonalInformation><Name Type="C"/></PersonalInformation>'
WRONG_LETTER = "A820990120001"


def tell(
    body: bytes,
    index: LearnerIndex | None = None,
    rules: dict[str, Setting] | None = None,
    agents: tuple[str, ...] = (LOCAL,),
) -> Decision:
    validator = Validator(schemas.load(), RuleSet(rules))
    zone = registry(agent(MIS, publish=OBJECTS, establishments=agents), ZONE.agents[MERLIN])
    router = Router(zone, [EVERYTHING], TODAY)
    return decide(read_event(body), router, index or LearnerIndex(), validator=validator)


def add(more: str = "", local_id: str = "") -> bytes:
    known_as = f"<LocalId>{local_id}</LocalId>" if local_id else ""
    return event((PERSONAL, Action.ADD, personal(ALEX, f"{known_as}{NAME}{more}")))


def judged(decision: Decision) -> Judged:
    (found,) = decision.judged
    return found


def test_a_warning_does_not_keep_an_object_from_its_recipients() -> None:
    decision = tell(add(f"<UPN>{WRONG_LETTER}</UPN>"))

    assert set(delivered(decision)) == {MERLIN}
    assert [(f.rule, f.severity, f.path) for f in judged(decision).findings] == [("upn-check-letter", "warn", "UPN")]


def test_a_rule_that_a_zone_sets_to_refuse_refuses() -> None:
    decision = refused(tell(add(f"<UPN>{WRONG_LETTER}</UPN>"), rules={"upn-check-letter": "refuse"}))

    assert (decision.category, decision.code) == (1, 4)
    assert "check letter" in decision.summary
    assert WRONG_LETTER not in repr(decision)


def test_a_rule_on_trial_stops_nothing_and_tells_what_it_would_have_stopped() -> None:
    decision = tell(add(f"<UPN>{WRONG_LETTER}</UPN>"), rules={"upn-check-letter": "shadow"})

    assert isinstance(decision, Accepted)
    assert [f.severity for f in judged(decision).findings] == ["shadow"]


def test_a_rule_that_is_off_finds_nothing() -> None:
    assert judged(tell(add(f"<UPN>{WRONG_LETTER}</UPN>"), rules={"upn-check-letter": "off"})).findings == ()


def test_a_code_that_an_open_list_lacks_is_a_warning() -> None:
    found = judged(tell(add("<LearnerIdentity>MARTIAN</LearnerIdentity>"))).findings

    assert [(f.rule, f.severity) for f in found] == [("unknown-code", "warn")]


def test_what_the_schema_refuses_is_remembered_with_all_its_findings() -> None:
    decision = refused(tell(add("<ULN>12</ULN><GiftedTalented>Perhaps</GiftedTalented>")))

    assert [f.path for f in judged(decision).findings] == ["ULN", "GiftedTalented"]


def test_nothing_is_asked_of_a_record_that_is_deleted() -> None:
    body = event((PERSONAL, Action.DELETE, personal(ALEX, f"<UPN>{WRONG_LETTER}</UPN>")))

    assert judged(tell(body)).findings == ()
    assert judged(tell(body)).seen == frozenset({""})


def test_a_change_tells_of_what_it_holds_only() -> None:
    body = event((PERSONAL, Action.CHANGE, personal(ALEX, f"<UPN>{WRONG_LETTER}</UPN>")))

    assert judged(tell(body)).seen == frozenset({"@RefId", "UPN"})


def test_a_change_tells_of_no_part_that_it_leaves_out() -> None:
    body = event((PERSONAL, Action.CHANGE, personal(ALEX, NAME)))

    wanted = {"@RefId", "PersonalInformation", "PersonalInformation/Name", "PersonalInformation/Name/@Type"}
    assert judged(tell(body)).seen == wanted


@pytest.mark.parametrize(
    ("sent", "kept"), [("S-0001", "S-0001"), ("12/7", "12/7"), ("Zephyrine", ""), ("Ann 7", ""), ("7" * 65, "")]
)
def test_a_pupil_is_named_by_an_id_and_never_by_what_may_be_a_name(sent: str, kept: str) -> None:
    assert judged(tell(add(f"<UPN>{WRONG_LETTER}</UPN>", local_id=sent))).local_id == kept


@pytest.mark.parametrize(("source", "local_id"), [(MIS, "7-1"), (MERLIN, "")], ids=["its own", "another system's"])
def test_an_object_about_a_learner_is_known_by_the_senders_own_id_of_the_learner(
    source: AgentId, local_id: str
) -> None:
    index = LearnerIndex()
    index.learners = {ALEX: Learner(ALEX, local_id="7-1", sources={PERSONAL: source})}
    xml = (
        f'<LearnerSchoolEnrolment RefId="{ENROLMENT}" LearnerPersonalRefId="{ALEX}" SchoolInfoRefId="{SCHOOL}" '
        'MembershipType="C"><EntryDate>2026-09-01</EntryDate><NCYearGroupActual>7</NCYearGroupActual>'
        "<ExitDate>2026-08-01</ExitDate></LearnerSchoolEnrolment>"
    )

    found = judged(tell(event(("LearnerSchoolEnrolment", Action.ADD, xml)), index))

    assert (found.local_id, found.school, found.key) == (local_id, LOCAL, ENROLMENT)
    assert [f.rule for f in found.findings] == ["dates-in-order"]


def test_of_an_agent_for_several_schools_the_learners_school_is_meant() -> None:
    index = LearnerIndex()
    index.learners = {ALEX: Learner(ALEX, enrolments={ENROLMENT: Enrolment("8209902")})}
    body = add(f"<UPN>{WRONG_LETTER}</UPN>")

    assert judged(tell(body, index, agents=("8209901", "8209902"))).school == "8209902"
    assert judged(tell(body, agents=("8209901", "8209902"))).school == ""


def test_a_key_that_is_none_is_not_repeated() -> None:
    key = record_key(element('<LearnerPersonal RefId="Zephyrine"/>'), PERSONAL)

    assert "Zephyrine" not in key
    assert key == record_key(element('<LearnerPersonal RefId=" Zephyrine "/>'), PERSONAL)


def test_an_object_without_a_ref_id_is_known_by_its_keys() -> None:
    summary = etree.fromstring(instance("LearnerAttendanceSummary.minimal"))

    assert record_key(summary, "LearnerAttendanceSummary").count("|") == 4


# --- what rules may ask the zone --------------------------------------------------------------------------------------


def test_a_learner_counts_as_known_once_its_own_object_came() -> None:
    index = LearnerIndex()
    index.learners = {ALEX: Learner(ALEX, sources={"LearnerSchoolEnrolment": MIS})}
    facts = KnownFacts(TODAY, index, ALEX)

    assert facts.is_known(PERSONAL, ALEX) is False
    index.learners[ALEX] = replace(index.learners[ALEX], sources={PERSONAL: MIS})
    assert facts.is_known(PERSONAL, ALEX) is True


@pytest.mark.parametrize(("kind", "ref"), [(PERSONAL, BILLIE), ("SchoolInfo", SCHOOL)])
def test_of_others_the_zone_cannot_tell_since_their_order_is_not_kept(kind: str, ref: str) -> None:
    assert KnownFacts(TODAY, LearnerIndex(), ALEX).is_known(kind, ref) is None


def test_main_enrolments_are_those_that_have_begun_and_last() -> None:
    index = LearnerIndex()
    ended = date(2026, 7, 22)
    index.learners = {
        ALEX: Learner(
            ALEX,
            enrolments={
                ENROLMENT: Enrolment(LOCAL, main=True),
                OTHER_ENROLMENT: Enrolment(LOCAL, exit=ended, main=True),
                CONTACT: Enrolment(LOCAL, entry=TODAY + timedelta(1), main=True),
                SCHOOL: Enrolment(LOCAL),
            },
        )
    }

    assert KnownFacts(TODAY, index, ALEX).main_enrolments(ALEX) == {ENROLMENT}
    assert KnownFacts(TODAY, index, ALEX).main_enrolments(BILLIE) == frozenset()


# --- care by a school's flag and by the authority's records ----------------------------------------------------------

SOCIAL_CARE = AgentId("social-care")
RECORD = "5C" * 16
CARE = CarePeriod(date(2026, 9, 1), None, "820", "LA", current=True)
HELD = {ObjectKey(PERSONAL, ALEX): Holding((MIS,)), ObjectKey("LearnerLookedAfter", RECORD): Holding((SOCIAL_CARE,))}
BY_BOTH = {**HELD, ObjectKey("LearnerLookedAfter", RECORD): Holding((SOCIAL_CARE, MIS))}
KNOWN = Learner(ALEX, care={RECORD: CARE}, sources={PERSONAL: MIS}, holdings=HELD)
CONFLICT = "care-flag-agrees"


def index_with(learner: Learner) -> LearnerIndex:
    index = LearnerIndex()
    index.learners = {learner.ref_id: learner}
    return index


def flag(inside: str) -> bytes:
    return event((PERSONAL, Action.CHANGE, personal(ALEX, f"<InCare>{inside}</InCare>")))


def record(inside: str) -> bytes:
    keys = f'xmlns="{LOOKED_AFTER}" RefId="{RECORD}" LearnerPersonalRefId="{ALEX}"'
    return event(("LearnerLookedAfter", Action.CHANGE, f"<LearnerLookedAfter {keys}>{inside}</LearnerLookedAfter>"))


def conflicts(body: bytes, learner: Learner) -> list[str]:
    decision = accepted(tell(body, index_with(learner)))
    return [f"{one.object_type}/{f.path}" for one in decision.judged for f in one.findings if f.rule == CONFLICT]


@pytest.mark.parametrize(
    ("said", "differs"),
    [
        ("<Current>No</Current>", True),
        ("<Current>Yes</Current><LAId>821</LAId>", True),
        ("<Current>Yes</Current><LAId>820</LAId>", False),
        ("<Current>Yes</Current>", False),
    ],
    ids=["not in care", "another authority", "same", "authority not said"],
)
def test_a_flag_that_differs_from_the_care_records_is_reported_and_changes_nothing_about_them(
    said: str, *, differs: bool
) -> None:
    assert conflicts(flag(said), KNOWN) == (["LearnerPersonal/InCare"] if differs else [])

    (seen, *_) = accepted(tell(flag(said), index_with(KNOWN))).observed
    assert seen.learner is not None
    assert seen.learner.care == KNOWN.care
    assert standing(seen.learner, {}, TODAY).care_authority == "820"


def test_a_part_of_a_flag_is_taken_with_what_was_said_before() -> None:
    assert conflicts(flag("<LAId>821</LAId>"), replace(KNOWN, in_care=True, care_authority="820"))
    assert not conflicts(flag("<LAId>821</LAId>"), replace(KNOWN, in_care=None))


def test_records_that_differ_from_the_flag_are_reported() -> None:
    flagged = replace(KNOWN, in_care=True, care_authority="820", holdings=BY_BOTH)

    assert conflicts(record("<CareStatus>CE</CareStatus>"), flagged) == ["LearnerLookedAfter/"]
    assert conflicts(record("<CareStatus>LA</CareStatus>"), flagged) == []


@pytest.mark.parametrize(
    "learner",
    [
        replace(KNOWN, care={}),
        replace(KNOWN, shielded=True),
        replace(KNOWN, care={RECORD: replace(CARE, status="SB", current=False)}),
    ],
    ids=["no records", "shielded", "short breaks alone"],
)
def test_a_flag_is_not_compared_where_it_cannot_be_or_would_tell_too_much(learner: Learner) -> None:
    assert conflicts(flag("<Current>No</Current>"), learner) == []
    assert conflicts(flag("<Current>Yes</Current><LAId>821</LAId>"), learner) == []


def closed(body: bytes, learner: Learner) -> set[tuple[str, str, str]]:
    """Return the source, kind and key of each record whose faults of this rule alone *body* closes."""
    rows = [judged_row(one, AgentId("x")) for one in accepted(tell(body, index_with(learner))).judged if one.rule]
    assert all(row.rule == CONFLICT and row.seen == {""} and not row.flaws for row in rows)
    return {(row.source, row.object_type, row.key) for row in rows}


def test_what_agrees_again_closes_the_report_of_either_side() -> None:
    flagged = replace(KNOWN, in_care=True, care_authority="820", holdings=BY_BOTH)
    records = {(SOCIAL_CARE, "LearnerLookedAfter", RECORD)}

    assert closed(record("<CareStatus>LA</CareStatus>"), flagged) == {
        (MIS, PERSONAL, ALEX),
        (MIS, "LearnerLookedAfter", RECORD),
        *records,
    }
    assert closed(flag("<Current>Yes</Current><LAId>820</LAId>"), KNOWN) == records
    assert closed(record("<CareStatus>CE</CareStatus>"), flagged) == set()
    assert closed(flag("<Current>No</Current>"), KNOWN) == set()


def test_a_refused_message_closes_no_report() -> None:
    wrong = refused(tell(flag("<Current>Yes</Current></InCare><InCare>"), index_with(KNOWN)))

    assert [one for one in wrong.judged if one.rule] == []


# --- editions and namespaces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "is_fine"), [("2.0r1", False), ("2.1", False), ("2.3", False), (VERSION, True)])
def test_a_message_is_judged_by_the_edition_of_its_version(version: str, *, is_fine: bool) -> None:
    xml = instance("WorkforceContract").replace(f' xmlns="{NS[1:-1]}"', "", 1)
    body = build_event(header(), (("WorkforceContract", Action.ADD, xml.encode()),), version)

    decision = tell(body)

    assert isinstance(decision, Accepted) is is_fine
    if not is_fine:
        assert 'Version="2.4"' in refused(decision).summary


@pytest.mark.parametrize("name", ["LearnerLookedAfter", "LearnerEducationPlan", "LearnerTransfer"])
def test_objects_of_our_own_arrive_in_their_own_namespace(name: str) -> None:
    body = event((name, Action.ADD, instance(name)))

    (got,) = delivered(tell(body)).values()

    assert f'<{name} xmlns="urn:sifzone:looked-after:1.0" '.encode() in got
    assert got.count(b"urn:sifzone:looked-after:1.0") == 1


def test_an_object_in_the_namespace_of_another_is_refused_by_name() -> None:
    xml = f'<LearnerPersonal xmlns="urn:sifzone:looked-after:1.0" RefId="{ALEX}"/>'

    decision = refused(tell(event((PERSONAL, Action.ADD, xml))))

    assert "another namespace" in decision.summary
    assert NS[1:-1] in decision.summary


@pytest.mark.parametrize("name", ["AssessmentResponseComponent", "AssessmentResponseComponentGroup"])
def test_an_object_without_events_is_not_published(name: str) -> None:
    xml = instance(name).replace(f' xmlns="{NS[1:-1]}"', "", 1)

    decision = refused(tell(event((name, Action.ADD, xml))))

    assert (decision.category, decision.code) == (9, 3)
    assert "no events" in decision.summary


# --- a zone's own settings --------------------------------------------------------------------------------------------

ZONE_FILE = 'id = "quarrington"\n[agents.mis-8209901]\nname = "MIS"\npublish = ["LearnerPersonal"]\n'


def folder_with(tmp_path: Path, more: str = "", codes: str = "") -> Path:
    (tmp_path / "zone.toml").write_text(f"{more}\n{ZONE_FILE}" if "[" not in more else f"{ZONE_FILE}\n{more}")
    if codes:
        (tmp_path / "codes").mkdir()
        (tmp_path / "codes" / "own.toml").write_text(codes)
    return tmp_path


def checked(folder: Path, xml: str) -> list[tuple[str, str]]:
    loaded = EventObject(PERSONAL, Action.ADD, element(xml))
    facts = KnownFacts(TODAY, LearnerIndex(), "")
    return [(f.rule, f.severity) for f in load_zone(folder).validator.check(loaded, "1.3", facts)]


def test_a_zone_sets_what_rules_do(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, '[rules]\nupn-check-letter = "refuse"')

    assert checked(folder, personal(ALEX, f"{NAME}<UPN>{WRONG_LETTER}</UPN>")) == [("upn-check-letter", "refuse")]


def test_a_zone_adds_codes_of_its_own(tmp_path: Path) -> None:
    xml = personal(ALEX, f"{NAME}<FamilyStructure>KIN</FamilyStructure>")

    assert checked(folder_with(tmp_path), xml) == [("unknown-code", "refuse")]
    assert checked(folder_with(tmp_path, codes='[FamilyStructure.codes]\nKIN = "With kin"'), xml) == []


@pytest.mark.parametrize(
    ("more", "codes", "says"),
    [
        pytest.param('[rules]\nupn-check-leter = "warn"', "", "did you mean upn-check-letter?", id="rule"),
        pytest.param('[rules]\nupn-check-letter = "maybe"', "", "rules.upn-check-letter", id="setting"),
        pytest.param('schemas = "official"', "", "official", id="no-schemas"),
        pytest.param("", '[FamilyStucture.codes]\nX = "Y"', "did you mean FamilyStructure?", id="list"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_nearest_right_one(
    more: str, codes: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_zone(folder_with(tmp_path, more, codes))

    assert says in str(caught.value)


# --- objects about people of any kind, and about several learners -----------------------------------------------------

PICTURE = "PersonPicture"


def picture(person: str) -> bytes:
    xml = instance(PICTURE).replace(f' xmlns="{NS[1:-1]}"', "", 1)
    old = etree.fromstring(instance(PICTURE)).get("PersonRefId", "")
    return event((PICTURE, Action.ADD, xml.replace(old, person)))


def gets(body: bytes, scope: str, index: LearnerIndex) -> bool:
    shared = replace(EVERYTHING, scope=type(EVERYTHING.scope)(scope))
    decision = decide(read_event(body), Router(ZONE, [shared], TODAY), index)
    return AgentId(MERLIN) in delivered(decision)


def enrolled(*refs: str) -> LearnerIndex:
    index = LearnerIndex()
    index.learners = {ref: Learner(ref, enrolments={ENROLMENT: Enrolment(LOCAL)}) for ref in refs}
    return index


def test_the_picture_of_a_learner_goes_where_the_learner_is_in_scope() -> None:
    assert gets(picture(ALEX), "enrolled", enrolled(ALEX))
    assert not gets(picture(ALEX), "looked-after", enrolled(ALEX))


def test_the_picture_of_a_contact_goes_where_one_of_the_learners_is_in_scope() -> None:
    index = enrolled(ALEX)
    index.contacts = {BILLIE: frozenset({ALEX})}

    assert gets(picture(BILLIE), "enrolled", index)
    assert not gets(picture(BILLIE), "looked-after", index)


def test_the_picture_of_somebody_not_known_is_in_no_scope_but_all() -> None:
    assert not gets(picture(BILLIE), "enrolled", enrolled(ALEX))
    assert gets(picture(BILLIE), "all", enrolled(ALEX))


IDENTITY = "Identity"


def part(name: str, action: Action, inner: str) -> bytes:
    return event((name, action, f'<{name} RefId="{SCHOOL}">{inner}</{name}>'))


@pytest.mark.parametrize("action", [Action.CHANGE, Action.DELETE])
@pytest.mark.parametrize(
    ("name", "inner", "path"),
    [
        (IDENTITY, "<AuthenticationSource>MSActiveDirectory</AuthenticationSource>", "SIF_RefId"),
        ("PersonDietaryPreference", "<SIF_ExtendedElements/>", "PersonRefId"),
        ("LearnerBehaviourIncident", "<Incident><Comments>A child</Comments></Incident>", "Participants/Learners"),
    ],
)
def test_a_part_that_names_nobody_is_refused_since_nobody_can_tell_whose_scope_it_is_in(
    name: str, inner: str, path: str, action: Action
) -> None:
    with pytest.raises(NotValid, match=f"{name} does not name .* add {path}"):
        read(part(name, action, inner), MIS, intake_key(SCHOOL))


@pytest.mark.parametrize("name", [IDENTITY, "LearnerBehaviourIncident"])
def test_a_delete_of_the_key_alone_names_nobody_and_tells_nothing(name: str) -> None:
    body = part(name, Action.DELETE, "")

    read(body, MIS, intake_key(SCHOOL))
    assert gets(body, "enrolled", LearnerIndex())


def test_a_login_of_somebody_who_is_not_named_is_in_no_scope() -> None:
    inner = '<SIF_RefId SIF_RefObject="LearnerPersonal"/><AuthenticationSource>MSActiveDirectory</AuthenticationSource>'
    body = part(IDENTITY, Action.ADD, inner)

    assert not gets(body, "all", LearnerIndex())


@pytest.mark.parametrize("blanks", ["{}", " {} ", "\n{}"])
def test_a_shielded_learner_is_known_whatever_blanks_are_around_the_reference(blanks: str) -> None:
    index = enrolled(ALEX)
    index.learners[ALEX] = replace(index.learners[ALEX], shielded=True)

    assert not gets(incident(blanks.format(ALEX)), "all", index)


def incident(*learners: str) -> bytes:
    xml = instance("LearnerBehaviourIncident").replace(f' xmlns="{NS[1:-1]}"', "", 1)
    root = element(xml)
    people = root.find(f"{NS}Participants/{NS}Learners")
    assert people is not None
    first = people[0]
    for ref in learners:
        member = etree.fromstring(etree.tostring(first))
        member.set("LearnerPersonalRefId", ref)
        people.append(member)
    people.remove(first)
    text = etree.tostring(root, encoding="unicode").replace(f' xmlns="{NS[1:-1]}"', "", 1)
    return event(("LearnerBehaviourIncident", Action.ADD, text))


def test_an_incident_goes_where_one_of_its_learners_is_in_scope_without_the_others() -> None:
    shared = replace(EVERYTHING, scope=type(EVERYTHING.scope)("enrolled"))
    decision = decide(read_event(incident(ALEX, BILLIE)), Router(ZONE, [shared], TODAY), enrolled(ALEX))

    body = delivered(decision)[MERLIN]
    assert ALEX.encode() in body
    assert BILLIE.encode() not in body


def test_an_incident_none_of_whose_learners_is_in_scope_stays() -> None:
    assert not gets(incident(ALEX, BILLIE), "enrolled", LearnerIndex())


def test_a_shielded_learner_is_cut_out_of_an_incident_and_keeps_back_one_of_their_own() -> None:
    index = enrolled(ALEX, BILLIE)
    index.learners[BILLIE] = replace(index.learners[BILLIE], shielded=True)

    decision = decide(read_event(incident(ALEX, BILLIE)), Router(ZONE, [EVERYTHING], TODAY), index)
    assert BILLIE.encode() not in delivered(decision)[MERLIN]
    assert not gets(incident(BILLIE), "all", index)


@pytest.mark.parametrize(("name", "child"), [("LearnerLookedAfter", "ShieldCode"), ("LearnerTransfer", "Shield")])
def test_what_steers_the_zone_is_delivered_to_nobody(name: str, child: str) -> None:
    xml = instance(name)
    assert f"<{child}>" in xml
    keys = f'xmlns="{LOOKED_AFTER}" RefId="{SCHOOL}" LearnerPersonalRefId="{ALEX}"'
    emptied = f'<{child} xmlns:xsi="{XSI}" xsi:nil="true"/>'

    for action, sent in (
        (Action.ADD, xml[xml.index(f"<{name}") :]),
        (Action.CHANGE, f"<{name} {keys}><{child}>P</{child}></{name}>"),
        (Action.CHANGE, f"<{name} {keys}>{emptied}</{name}>"),
    ):
        # one who is shielded by it goes only where that is said
        router = Router(ZONE, [replace(EVERYTHING, shielded=True)], TODAY)
        got = delivered(decide(read_event(event((name, action, sent))), router, LearnerIndex()))[MERLIN]
        assert f"<{child}".encode() not in got


def test_every_kind_of_refusal_tells_data_quality_at_most_what_it_tells_the_sender() -> None:
    decision = tell(add("<ULN>12</ULN>"))

    assert isinstance(decision, Refusal)
    assert all(finding in decision.findings for finding in judged(decision).findings)
    assert accepted(tell(add())).judged[0].findings == ()


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_an_object_of_very_many_elements_is_refused_before_it_is_validated() -> None:
    emails = "<Email/>" * (MAX_ELEMENTS + 1)

    with pytest.raises(NotWellFormed, match="more than 20,000 elements"):
        read(add(f"<SIF_ExtendedElements>{emails}</SIF_ExtendedElements>"), MIS, None)


def test_what_would_be_delivered_larger_than_a_message_is_refused() -> None:
    body = add(f"<UIPI><!-- so that it is not passed on as it is -->{'>' * 7_000_000}</UIPI>")

    decision = refused(tell(body))

    assert (decision.category, decision.code) == (1, 3)
    assert "delivered larger" in decision.summary


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_of_a_record_at_most_a_hundred_faults_are_stored_and_none_is_long() -> None:
    findings = tuple(Finding(f"{number}/" + "x" * 5000, 1, "r", "warn", "y" * 5000, None, 3) for number in range(300))

    row = judged_row(Judged(PERSONAL, ALEX, LOCAL, "7-1", frozenset(), findings), MIS)

    assert len(row.flaws) == 100
    assert max(len(flaw.path) + len(flaw.message) for flaw in row.flaws) <= 1000


@pytest.mark.parametrize("ref", ["Zephyrine Smith", "1985-03-04", "0123456789", ALEX.lower()])
def test_what_has_not_the_form_of_a_refid_is_no_key(ref: str) -> None:
    assert record_key(element(personal(ref)), PERSONAL) not in ("", ref)
