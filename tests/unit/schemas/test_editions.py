"""Editions of SIF UK: which one a message is written in, and what each of them has, demands and refuses."""

from collections.abc import Callable

import pytest
from lxml import etree

import schemas
from schemas import EDITIONS, NEWEST, WIRE_VERSIONS, Edition, Finding, SchemaSet
from schemas.model import line_of

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

EARLIER: tuple[Edition, ...] = ("1.0", "1.1", "1.2")
WHOLE_AND_PART = pytest.mark.parametrize("partial", [False, True], ids=["whole", "part"])
REF = "5D315C31F8A15621F126C31154AF9665"
IN_CARE = "<InCare><Current>No</Current><LAId>820</LAId></InCare>"
ENROLLED = (
    f'<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{REF}"«more»>«first»<LAId>820</LAId>'
    "<EstablishmentId>9901</EstablishmentId><NCYearGroup>8</NCYearGroup></CurrentSchoolEnrolment>"
)
SCHOOL_ID = f'<SIF_RefId SIF_RefObject="SchoolInfo">{REF}</SIF_RefId>'


def learner(inside: str, person: str = "") -> str:
    about = f'<PersonalInformation>\n<Name Type="C"/>\n{person}\n</PersonalInformation>'
    return f'<LearnerPersonal «xmlns» RefId="{REF}">\n{about}\n{inside}\n</LearnerPersonal>'


LATER_FIELDS = {
    "element at the top": (
        f'<ContactPersonal «xmlns» RefId="{REF}">\n<LocalId>C1</LocalId>'
        '<PersonalInformation><Name Type="C"/></PersonalInformation></ContactPersonal>',
        "LocalId",
        2,
    ),
    "attribute": (
        learner(IN_CARE + "\n" + ENROLLED.replace("«more»", ' MembershipType="C"').replace("«first»", "")),
        "CurrentSchoolEnrolment/@MembershipType",
        7,
    ),
    "element further down": (
        learner(IN_CARE + "\n" + ENROLLED.replace("«more»", "").replace("«first»", "\n" + SCHOOL_ID)),
        "CurrentSchoolEnrolment/SIF_RefId",
        8,
    ),
}


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize(
    ("version", "edition"),
    [
        ("2.0", "1.0"),
        ("2.0r1", "1.0"),
        ("2.1", "1.1"),
        ("2.2", "1.1"),
        ("2.3", "1.2"),
        ("2.4", "1.3"),
        ("2.4r2", "1.3"),
        ("2.5", "1.3"),
        ("2.9", "1.3"),
        ("3.0", "1.3"),
        ("", "1.3"),
        ("r", "1.3"),
        ("nonsense", "1.3"),
    ],
)
def test_edition_is_told_by_the_version_on_the_wire(version: str, edition: Edition) -> None:
    assert schemas.edition_of(version) == edition


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_version_that_findings_advise_stands_for_its_edition(edition: Edition) -> None:
    assert schemas.edition_of(WIRE_VERSIONS[edition]) == edition


@pytest.mark.parametrize(
    ("name", "since"),
    [("LearnerAttendance", "1.1"), ("TTRoom", "1.2"), ("WorkforceAbsence", "1.3")],
)
@WHOLE_AND_PART
def test_object_is_refused_before_its_edition_and_the_refusal_says_what_to_send(
    name: str, since: Edition, partial: bool, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample(f"{name}.minimal"))

    for edition in EDITIONS:
        findings = schema.check(element, partial=partial, edition=edition)
        if edition >= since:
            assert findings == ()
            continue
        finding = only(findings)
        assert (finding.path, finding.line, finding.rule) == ("", line_of(element), "edition")
        assert (finding.severity, finding.sif_code, finding.nearest) == ("refuse", 3, None)
        assert finding.message == (
            f'{name} came with UK {since}: send it in a message with Version="{WIRE_VERSIONS[since]}", or leave it out.'
        )


@pytest.mark.parametrize(("text", "path", "line"), LATER_FIELDS.values(), ids=LATER_FIELDS)
@WHOLE_AND_PART
def test_field_of_1_3_is_refused_before(
    text: str, path: str, line: int, partial: bool, schema: SchemaSet, parse: Parse
) -> None:
    element = parse(text)

    assert schema.check(element, partial=partial) == ()
    assert schema.check(element, partial=partial, edition="1.3") == ()
    for edition in EARLIER:
        finding = only(schema.check(element, partial=partial, edition=edition))
        assert (finding.path, finding.line, finding.rule, finding.sif_code) == (path, line, "edition", 3)
        assert finding.message == (
            f'{path} came with UK 1.3: send it in a message with Version="2.4", or leave it out.'
        )


def test_what_came_later_is_told_from_what_never_was(schema: SchemaSet, parse: Parse) -> None:
    element = parse(learner(IN_CARE + "<ModeOfTravel>WLK</ModeOfTravel><ModeOfTravelling/>"))

    findings = schema.check(element, partial=False, edition="1.0")

    rules = {finding.path: finding.rule for finding in findings}
    assert rules == {"ModeOfTravel": "edition", "ModeOfTravelling": "unknown-element"}


def test_later_name_in_another_namespace_is_no_later_field(schema: SchemaSet, parse: Parse) -> None:
    text = learner(IN_CARE + '<ModeOfTravel xmlns="urn:example">WLK</ModeOfTravel>')

    assert only(schema.check(parse(text), partial=False, edition="1.0")).rule == "unknown-element"


@pytest.mark.parametrize("edition", EDITIONS)
def test_in_care_is_demanded_of_whole_learners_until_1_1(edition: Edition, schema: SchemaSet, parse: Parse) -> None:
    without = parse(learner(""))

    assert schema.check(parse(learner(IN_CARE)), partial=False, edition=edition) == ()
    assert schema.check(without, partial=True, edition=edition) == ()
    findings = schema.check(without, partial=False, edition=edition)
    if edition < "1.2":
        finding = only(findings)
        assert (finding.path, finding.rule, finding.sif_code) == ("InCare", "missing", 6)
        assert finding.message.endswith("add it after PersonalInformation.")
    else:
        assert findings == ()


@pytest.mark.parametrize("edition", EDITIONS)
@WHOLE_AND_PART
def test_in_care_may_be_nil_since_it_may_be_missing(
    edition: Edition, partial: bool, schema: SchemaSet, parse: Parse
) -> None:
    nil = '<InCare xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>'

    findings = schema.check(parse(learner(nil)), partial=partial, edition=edition)

    assert [(f.path, f.rule) for f in findings] == ([("InCare", "nil")] if edition < "1.2" else [])


@pytest.mark.parametrize("edition", EDITIONS)
@WHOLE_AND_PART
def test_rights_elements_are_refused_in_1_2_alone(
    edition: Edition, partial: bool, schema: SchemaSet, parse: Parse
) -> None:
    element = parse(learner(IN_CARE + "<SIF_Metadata>\n<RightsElements/>\n</SIF_Metadata>"))

    findings = schema.check(element, partial=partial, edition=edition)

    if edition != "1.2":
        assert findings == ()
        return
    finding = only(findings)
    assert (finding.path, finding.line, finding.rule) == ("SIF_Metadata/RightsElements", 7, "edition")
    assert finding.message == (
        "SIF_Metadata/RightsElements is not in the edition of the standard that the message names: leave it out."
    )


@pytest.mark.parametrize("edition", EDITIONS)
@WHOLE_AND_PART
def test_two_numbers_of_one_type_are_let_through_until_1_1(
    edition: Edition, partial: bool, schema: SchemaSet, parse: Parse
) -> None:
    mobile = '<PhoneNumber Type="M">\n<Number>07700900{}</Number></PhoneNumber>'
    two = "<OtherPhoneNumberList>" + mobile.format(123) + mobile.format(124) + "</OtherPhoneNumberList>"

    findings = schema.check(parse(learner(IN_CARE, two)), partial=partial, edition=edition)

    path = "PersonalInformation/OtherPhoneNumberList/PhoneNumber/@Type"
    assert [(f.path, f.line, f.rule) for f in findings] == ([] if edition < "1.2" else [(path, 5, "unique")])


@pytest.mark.parametrize("edition", EDITIONS)
@WHOLE_AND_PART
def test_code_that_came_later_is_refused_before(
    edition: Edition, partial: bool, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample("LearnerSchoolEnrolment.minimal"))
    element.set("MembershipType", "U")

    findings = schema.check(element, partial=partial, edition=edition)

    if edition == "1.3":
        assert findings == ()
        return
    finding = only(findings)
    assert (finding.path, finding.rule, finding.sif_code) == ("@MembershipType", "unknown-code", 4)
    assert finding.message == "@MembershipType has a code that is not allowed: use one of C, G, M, S, P, F, O."


@pytest.mark.parametrize("name", ["LearnerEducationPlan", "LearnerLookedAfter", "LearnerTransfer"])
@pytest.mark.parametrize("edition", EDITIONS)
def test_objects_on_looked_after_children_are_the_same_in_every_edition(
    edition: Edition, name: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample(name))

    assert schema.check(element, partial=False, edition=edition) == ()
    assert schema.check(element, partial=True, edition=edition) == ()
    assert schema.trees_of(edition)[name] == schema.tree(name)
    element.append(etree.Element("Zebedee"))
    assert only(schema.check(element, partial=False, edition=edition)).rule == "unknown-element"


def test_trees_of_an_edition_have_its_objects_and_no_later_ones(schema: SchemaSet) -> None:
    for edition in EDITIONS:
        expected = {name for name in schema.objects if schema.note(name).since <= edition}
        assert schema.trees_of(edition).keys() == expected
    sizes = [len(schema.trees_of(edition)) for edition in EDITIONS]
    assert sizes == [18, 29, 43, 46]


def test_trees_of_the_newest_edition_are_those_of_the_schema(schema: SchemaSet) -> None:
    assert schema.trees_of(NEWEST) == {name: schema.tree(name) for name in schema.objects}


def test_trees_of_an_edition_have_its_fields_as_it_has_them(schema: SchemaSet) -> None:
    def fields(edition: Edition) -> dict[str, schemas.Node]:
        return {child.name: child for child in schema.trees_of(edition)["LearnerPersonal"].children}

    assert "ModeOfTravel" not in fields("1.0")
    assert "ModeOfTravel" in fields("1.1")
    assert [fields(edition)["InCare"].mandatory for edition in EDITIONS] == [True, True, False, False]
    assert [fields(edition)["InCare"].nillable for edition in EDITIONS] == [False, False, True, True]


@pytest.mark.parametrize("name", schemas.load().objects)
def test_every_instance_is_refused_before_1_3_for_nothing_but_its_edition(
    name: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    full, minimal = parse(sample(name)), parse(sample(f"{name}.minimal"))
    for edition in EARLIER:
        assert {f.rule for f in schema.check(full, partial=False, edition=edition)} <= {"edition", "unknown-code"}
        assert {(f.path, f.rule) for f in schema.check(minimal, partial=True, edition=edition)} <= {("", "edition")}
