"""What becomes an Add, a lean Change, or nothing."""

import hashlib
from collections.abc import Callable

import pytest
from lxml import etree

from agents.diff import XSI_NIL, Known, Outcome, compare, ordering_key, ref_key
from broker.protocol.envelope import NAMESPACE, Action
from schemas import SchemaSet
from tests.unit.agents.helpers import REF, SCHOOL, learner, parse, texts

Compare = Callable[..., Outcome | None]
IN_CARE = "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
SUMMARY = (
    f"<LearnerAttendanceSummary LearnerPersonalRefId='{REF}' SchoolInfoRefId='{SCHOOL}'><SchoolYear>2027</SchoolYear>"
    "<StartDate>2026-09-01</StartDate><EndDate>2027-08-31</EndDate><SessionsAttendedTotal>{}</SessionsAttendedTotal>"
    "<SessionsPossible>130</SessionsPossible></LearnerAttendanceSummary>"
)


@pytest.fixture
def run(schema: SchemaSet) -> Compare:
    """Compare with a fixed key; shapes are remembered from call to call."""
    shapes: dict[str, tuple[str, ...]] = {}

    def digest(data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=12, key=b"test").digest()

    def call(element: etree._Element, known: Known | None, **options: object) -> Outcome | None:
        outcome = compare(
            element,
            known,
            schema=schema,
            digest=digest,
            shape_paths=lambda shape: shapes.get(shape, ()),
            **options,  # type: ignore[arg-type]  # handed through
        )
        if outcome is not None:
            shapes.update(outcome.shapes)
        return outcome

    return call


def first(run: Compare, element: etree._Element, **options: object) -> Known:
    outcome = run(element, None, **options)
    assert outcome is not None
    return outcome.known


def test_an_unknown_object_is_an_add_of_the_whole(run: Compare) -> None:
    outcome = run(learner(IN_CARE), None)

    assert outcome is not None
    assert outcome.action is Action.ADD
    assert texts(outcome.element) == ["PersonalInformation", "InCare"]


def test_an_unchanged_object_gives_nothing(run: Compare) -> None:
    assert run(learner(IN_CARE), first(run, learner(IN_CARE))) is None


def test_a_change_holds_the_keys_and_the_parts_that_differ(run: Compare) -> None:
    outcome = run(learner(name="Plume"), first(run, learner()))

    assert outcome is not None
    assert outcome.action is Action.CHANGE
    assert outcome.element.get("RefId") == REF
    assert texts(outcome.element) == ["PersonalInformation"]


def test_a_change_holds_keys_that_are_elements(run: Compare) -> None:
    outcome = run(parse(SUMMARY.format(119)), first(run, parse(SUMMARY.format(118))))

    assert outcome is not None
    assert texts(outcome.element) == ["SchoolYear", "StartDate", "EndDate", "SessionsAttendedTotal"]


def test_a_change_is_valid_against_the_partial_schema(run: Compare, schema: SchemaSet) -> None:
    known = first(run, learner(IN_CARE), complete=True)

    outcome = run(learner("<UPN>A820990126002</UPN>"), known, complete=True)

    assert outcome is not None
    assert schema.check(outcome.element, partial=True) == ()


def test_what_an_export_leaves_out_is_left_alone_and_not_sent_again_when_it_comes_back(run: Compare) -> None:
    left_out = run(learner(""), first(run, learner(IN_CARE)))
    assert left_out is not None
    assert left_out.action is None

    back = run(learner(IN_CARE), left_out.known)

    assert back is not None
    assert back.action is None


def test_in_a_complete_source_what_is_gone_is_sent_as_nil(run: Compare) -> None:
    outcome = run(learner(""), first(run, learner(IN_CARE), complete=True), complete=True)

    assert outcome is not None
    assert outcome.action is Action.CHANGE
    (gone,) = outcome.element
    assert etree.QName(gone).localname == "InCare"
    assert gone.get(XSI_NIL) == "true"


def test_in_a_complete_source_what_is_gone_deep_inside_is_sent_as_nil_in_its_place(run: Compare) -> None:
    email = "<Email Type='School'>z@pupils.example.org</Email>"
    phone = "<PhoneNumber Type='H'><Number>01632960101</Number></PhoneNumber>"
    known = first(run, learner("", more=email + phone), complete=True)

    outcome = run(learner("", more=phone), known, complete=True)

    assert outcome is not None
    person = outcome.element.find(f"{{{NAMESPACE}}}PersonalInformation")
    assert person is not None
    assert texts(person) == ["Name", "Email", "PhoneNumber"]
    assert person[1].get(XSI_NIL) == "true"


def test_what_the_schema_does_not_let_be_empty_is_not_sent_as_nil(run: Compare) -> None:
    known = first(run, learner("<SiblingList><Sibling/><Sibling/></SiblingList>"), complete=True)

    outcome = run(learner("<SiblingList><Sibling/></SiblingList>"), known, complete=True)

    assert outcome is not None
    assert not outcome.element.xpath("//*[@xsi:nil]", namespaces={"xsi": XSI_NIL[1:].partition("}")[0]})


def test_a_changed_attribute_is_a_change(run: Compare) -> None:
    refs = f"RefId='{REF}' LearnerPersonalRefId='{REF}' SchoolInfoRefId='{SCHOOL}'"
    enrolment = f"<LearnerSchoolEnrolment {refs} MembershipType='{{}}'/>"
    outcome = run(parse(enrolment.format("S")), first(run, parse(enrolment.format("C"))))

    assert outcome is not None
    assert outcome.action is Action.CHANGE
    assert outcome.element.get("MembershipType") == "S"


def test_after_a_refusal_a_changed_object_is_sent_whole(run: Compare) -> None:
    outcome = run(learner(IN_CARE, name="Plume"), first(run, learner(IN_CARE)), resend=Action.ADD)

    assert outcome is not None
    assert outcome.action is Action.ADD
    assert texts(outcome.element) == ["PersonalInformation", "InCare"]


def test_what_is_remembered_holds_no_content(run: Compare) -> None:
    known = first(run, learner("<UPN>A820990126001</UPN>", name="Marker"), complete=True)

    assert "Marker" not in repr(known)
    assert "A820990126001" not in repr(known)


def test_objects_are_known_by_their_keys_and_ordered_by_their_learner(schema: SchemaSet) -> None:
    assert ref_key(learner(), schema) == REF
    assert ref_key(parse(SUMMARY.format(1)), schema) == f"{REF}|{SCHOOL}|2027|2026-09-01|2027-08-31"
    assert ordering_key(parse(SUMMARY.format(1)), schema) == REF
    assert ordering_key(parse(f"<SchoolInfo RefId='{SCHOOL}'/>"), schema) == SCHOOL


@pytest.mark.parametrize(
    ("xml", "kept"),
    [
        ("<Identity RefId='{}'><SIF_RefId/><MainRole>Yes</MainRole>{}</Identity>", "SIF_RefId"),
        ("<LearnerEntitlement RefId='{}'><LearnerPersonalRefId/>{}</LearnerEntitlement>", "LearnerPersonalRefId"),
        ("<LearnerBehaviourIncident RefId='{}'>{}<Participants/></LearnerBehaviourIncident>", "Participants"),
    ],
    ids=["person", "learner", "learners"],
)
def test_a_change_names_those_it_is_about(xml: str, kept: str, run: Compare) -> None:
    known = first(run, parse(xml.format(REF, "<SIF_ExtendedElements/>")))
    outcome = run(parse(xml.format(REF, "<SIF_ExtendedElements>1</SIF_ExtendedElements>")), known)

    assert outcome is not None
    assert set(texts(outcome.element)) == {kept, "SIF_ExtendedElements"}
