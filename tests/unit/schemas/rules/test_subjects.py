"""Where rules draw the line: dates, enrolments, attendance, care, transfers, addresses, references."""

import pytest

from schemas.rules import RuleSet
from tests.unit.schemas.rules import cases
from tests.unit.schemas.rules.cases import BOTH_SIDES, ENDED, Known, parse

EMPTY = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'


def paths(text: str, facts: Known | None = None) -> list[str]:
    element = parse(text)
    return [finding.path for finding in RuleSet().check(cases.object_type(element), element, facts or Known())]


@pytest.mark.parametrize("day", ["2026-03-02", "1906-01-01", "2013-02-11Z", "2013-02-11+01:00", "-0044-03-15"])
def test_birth_date_that_can_be_is_left_alone(day: str) -> None:
    assert paths(cases.born(day)) == []


def test_adults_have_birth_dates_too() -> None:
    text = cases.born("2026-03-03").replace("LearnerPersonal", "WorkforcePersonal")

    assert paths(text) == [cases.BIRTH]


def test_a_stay_of_one_day_is_in_order() -> None:
    assert paths(cases.learner(cases.previous("2018-09-04", "2018-09-04"))) == []


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        pytest.param("SC", ["EntryDate"], id="change-of-school"),
        pytest.param("DR", [], id="dual-registration"),
        pytest.param("AP", [], id="alternative-provision"),
        pytest.param("", [], id="type-not-known"),
    ],
)
def test_stays_may_overlap_only_where_the_learner_is_at_both_schools(type_: str, expected: list[str]) -> None:
    assert paths(cases.transfer(BOTH_SIDES, type_).replace("2025-10-06", "2025-09-06")) == expected


@pytest.mark.parametrize(
    ("text", "main", "expected"),
    [
        pytest.param(cases.enrolment(), {cases.OTHER_ENROLMENT}, ["@MembershipType"], id="another"),
        pytest.param(cases.enrolment(), {cases.ENROLMENT}, [], id="itself"),
        pytest.param(cases.enrolment(), set(), [], id="none"),
        pytest.param(cases.enrolment(status="S"), {cases.OTHER_ENROLMENT}, [], id="subsidiary"),
        pytest.param(cases.enrolment(""), {cases.OTHER_ENROLMENT}, ["@MembershipType"], id="part"),
        pytest.param(
            cases.enrolment("<EntryDate>2026-03-03</EntryDate>"), {cases.OTHER_ENROLMENT}, [], id="from-tomorrow"
        ),
        pytest.param(
            cases.enrolment("<ExitDate>2026-03-01</ExitDate>"), {cases.OTHER_ENROLMENT}, [], id="until-yesterday"
        ),
        pytest.param(cases.enrolment("<ExitDate>2026-03-02</ExitDate>"), {cases.OTHER_ENROLMENT}, [], id="until-today"),
        pytest.param(
            cases.enrolment("<ExitDate>2026-07-21</ExitDate>"),
            {cases.OTHER_ENROLMENT},
            [],
            id="leaving-while-the-next-school-has-enrolled",
        ),
        pytest.param(
            cases.enrolment(f"<ExitDate {EMPTY}/>"), {cases.OTHER_ENROLMENT}, ["@MembershipType"], id="not-leaving"
        ),
    ],
)
def test_one_main_enrolment_at_a_time(text: str, main: set[str], expected: list[str]) -> None:
    assert paths(text, Known(main=frozenset(main))) == expected


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        pytest.param(cases.attendance(118, 130, 10, 2), [], id="adds-up"),
        pytest.param(cases.attendance(118, 130, 10), [], id="rest-not-said"),
        pytest.param(cases.attendance(118, 130), [], id="absences-not-said"),
        pytest.param(cases.attendance(0, 0, 0, 0), [], id="nothing-possible"),
        pytest.param(cases.attendance(118, 120, 10), [("attendance-sums", "warn")], id="already-too-many"),
        pytest.param(cases.attendance(118, 140, 10, 2), [("attendance-gaps", "shadow")], id="unable-to-attend-counted"),
    ],
)
def test_sessions_add_up_as_far_as_they_are_said(text: str, rules: list[tuple[str, str]]) -> None:
    found = RuleSet().check("LearnerAttendanceSummary", parse(text), Known())

    assert [(finding.rule, finding.severity) for finding in found] == rules


@pytest.mark.parametrize("ranks", [(1,), (1, 2, 3), (3, 1, 2)])
def test_needs_may_come_in_any_order(ranks: tuple[int, ...]) -> None:
    assert paths(f"<LearnerSpecialNeeds>{cases.needs(*ranks)}</LearnerSpecialNeeds>") == []


@pytest.mark.parametrize("ranks", [(0, 1), (2,), (1, 1), (1, 3)])
def test_needs_are_ranked_from_one_without_gaps_and_repeats(ranks: tuple[int, ...]) -> None:
    assert paths(f"<LearnerSpecialNeeds>{cases.needs(*ranks)}</LearnerSpecialNeeds>") == ["SENTypeList"]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        pytest.param("<Current>Yes</Current><LAId>  </LAId>", ["InCare/LAId"], id="blank"),
        pytest.param(f"<Current>Yes</Current><LAId {EMPTY}/>", ["InCare/LAId"], id="nil"),
        pytest.param("<Current>No</Current><LAId/>", [], id="not-in-care"),
        pytest.param("<Current>Unknown</Current><LAId/>", [], id="not-known"),
        pytest.param("<Current>Yes</Current>", [], id="authority-not-in-this-part"),
        pytest.param("<LAId/>", [], id="flag-not-in-this-part"),
    ],
)
def test_care_has_an_authority(inside: str, expected: list[str]) -> None:
    text = cases.learner(f"<InCare>{inside}</InCare>")

    assert paths(text) == expected
    assert {f.severity for f in RuleSet().check("LearnerPersonal", parse(text), Known())} <= {"warn"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(cases.care(), [], id="goes-on"),
        pytest.param(cases.care(ENDED, "CE"), [], id="ended"),
        pytest.param(
            "<LearnerLookedAfter><CareEndDate>2026-04-09</CareEndDate></LearnerLookedAfter>", [], id="end-corrected"
        ),
        pytest.param("<LearnerLookedAfter><CareStatus>CE</CareStatus></LearnerLookedAfter>", [], id="status-alone"),
        pytest.param(
            f"<LearnerLookedAfter><CareEndDate>2026-04-09</CareEndDate><CareEndReason {EMPTY}/></LearnerLookedAfter>",
            ["CareEndDate"],
            id="reason-taken-out-of-a-part",
        ),
        pytest.param(
            f"<LearnerLookedAfter><CareStatus>CE</CareStatus><CareEndDate {EMPTY}/></LearnerLookedAfter>",
            ["CareStatus"],
            id="end-taken-out-of-a-part",
        ),
    ],
)
def test_end_of_care_has_a_reason(text: str, expected: list[str]) -> None:
    assert paths(text) == expected


@pytest.mark.parametrize(
    ("current", "status", "expected"),
    [
        pytest.param("Yes", "LA", [], id="looked-after"),
        pytest.param("No", "CE", [], id="ceased"),
        pytest.param("Unknown", "PL", [], id="not-known"),
        pytest.param("Yes", "SB", [], id="short-breaks"),
        pytest.param("No", "SB", [], id="short-breaks-not-called-care"),
        pytest.param("Yes", "PL", ["CareStatus"], id="not-any-more"),
        pytest.param("No", "LA", ["CareStatus"], id="still"),
    ],
)
def test_current_and_status_say_the_same_of_care(current: str, status: str, expected: list[str]) -> None:
    text = f"<LearnerLookedAfter><Current>{current}</Current><CareStatus>{status}</CareStatus></LearnerLookedAfter>"

    assert paths(text) == expected


@pytest.mark.parametrize(
    ("end", "status", "expected"),
    [
        pytest.param("2026-03-03", "LA", [], id="tomorrow"),
        pytest.param("2026-03-02", "LA", ["CareEndDate"], id="today"),
        pytest.param("2026-03-01", "SB", ["CareEndDate"], id="short-breaks"),
        pytest.param("2026-03-01", "PL", [], id="said-to-have-ended"),
    ],
)
def test_care_does_not_go_on_after_its_end(end: str, status: str, expected: list[str]) -> None:
    text = (
        f"<LearnerLookedAfter><CareStatus>{status}</CareStatus><CareEndDate>{end}</CareEndDate>"
        "<CareEndReason>E4A</CareEndReason></LearnerLookedAfter>"
    )

    assert paths(text) == expected


@pytest.mark.parametrize("side", ["From", "To"])
def test_one_side_of_a_transfer_is_enough(side: str) -> None:
    assert paths(cases.transfer(f' {side}SchoolInfoRefId="{cases.SCHOOL}"')) == []


def test_part_of_a_transfer_need_not_name_a_school() -> None:
    assert paths("<LearnerTransfer><Status>SE</Status></LearnerTransfer>") == []


@pytest.mark.parametrize(
    "postcode",
    [
        *("M1 1AA", "B33 8TH", "CR2 6XH", "DN55 1PT", "W1A 1HQ", "EC1A 1BB", "GIR 0AA", "BFPO 57", "qz12ab", ""),
        *("M1   1AA", "ZZ99 3VZ"),
    ],
)
def test_postcodes_of_all_shapes_pass(postcode: str) -> None:
    assert paths(cases.address(postcode)) == []


def test_address_abroad_may_have_any_postcode() -> None:
    assert paths(cases.address("75008", "<Country>FRA</Country>")) == []
    assert paths(cases.address("75008", "<Country>GBR</Country>")) == [cases.POSTCODE]


def test_brothers_and_sisters_may_be_unknown() -> None:
    text = cases.learner(
        f"<SiblingList><Sibling><LearnerPersonalRefId>{cases.OTHER_LEARNER}</LearnerPersonalRefId></Sibling></SiblingList>"
    )

    assert paths(text, Known(unknown=frozenset({cases.OTHER_LEARNER}))) == []


def test_every_unknown_reference_is_named() -> None:
    facts = Known(unknown=frozenset({cases.SCHOOL, cases.OTHER_SCHOOL}))

    assert paths(cases.transfer(BOTH_SIDES), facts) == ["@FromSchoolInfoRefId", "@ToSchoolInfoRefId"]
