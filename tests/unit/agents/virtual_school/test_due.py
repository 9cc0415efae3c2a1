"""When education plans and transfer files of looked-after learners are due, and when they are late."""

from datetime import date

import pytest

from agents.virtual_school.due import Due, all_due, lacks_destination
from broker.calendars import Calendars
from tests.unit.agents.virtual_school.objects import (
    ZED,
    Kept,
    care,
    enrolment,
    facts_of,
    learner,
    plan,
    school,
    transfer,
)


def dues(calendars: Calendars, today: str, *documents: str) -> list[tuple[str, str, bool]]:
    """Return rule, day and lateness of what is due about a learner with these objects."""
    return [(str(d.rule), str(d.day), d.late) for d in found(calendars, today, *documents)]


def found(calendars: Calendars, today: str, *documents: str) -> tuple[Due, ...]:
    day = date.fromisoformat(today)
    return all_due(facts_of(Kept(learner(), school(), enrolment("3"), *documents), day), day, calendars)


@pytest.mark.parametrize(
    ("today", "late"),
    [
        ("2026-11-02", (False, False)),
        ("2026-11-16", (False, False)),  # ten working days after 2 November
        ("2026-11-17", (True, False)),
        ("2026-11-30", (True, False)),  # twenty
        ("2026-12-01", (True, True)),
    ],
)
def test_a_learner_without_a_plan_has_ten_working_days_to_begin_and_twenty_to_be_ready(
    calendars: Calendars, today: str, late: tuple[bool, bool]
) -> None:
    assert dues(calendars, today, care()) == [
        ("L2", "2026-11-16", late[0]),
        ("L3", "2026-11-30", late[1]),
    ]


def test_bank_holidays_do_not_count(calendars: Calendars) -> None:
    # 25 and 28 December 2026 (in lieu) and 1 January 2027 are bank holidays
    assert dues(calendars, "2026-12-18", care(since="2026-12-17"))[0] == ("L2", "2027-01-05", False)


@pytest.mark.parametrize(
    ("documents", "why"),
    [
        ((care(status="SB"),), "short breaks"),
        ((care(status="PL"),), "previously looked after"),
        ((care(ended="2026-11-10"),), "care has ended"),
        ((care(since="2027-02-01"),), "care has not begun"),
        ((), "not in care"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_needs_no_plan_has_none_due(calendars: Calendars, documents: tuple[str, ...], why: str) -> None:
    assert why
    assert dues(calendars, "2026-12-10", *documents) == []


@pytest.mark.parametrize(
    ("born", "counts"),
    [("2024-12-11", False), ("2024-12-10", True), ("2007-12-11", True), ("2007-12-10", False), ("", True)],
    ids=["not yet two", "two today", "still eighteen", "nineteen today", "no birth date"],
)
def test_plans_are_for_those_of_two_to_eighteen_years(calendars: Calendars, born: str, counts: bool) -> None:
    document = learner().replace("<BirthDate>2015-03-02</BirthDate>", f"<BirthDate>{born}</BirthDate>" if born else "")
    day = date(2026, 12, 10)

    assert bool(all_due(facts_of(Kept(document, care()), day), day, calendars)) is counts


def test_a_plan_says_itself_when_it_is_due(calendars: Calendars) -> None:
    dates = "<InitiateByDate>2026-11-12</InitiateByDate><DueDate>2026-11-26</DueDate>"

    assert dues(calendars, "2026-11-13", care(), plan(status="NS", more=dates)) == [
        ("L2", "2026-11-12", True),
        ("L3", "2026-11-26", False),
    ]
    assert dues(calendars, "2026-11-27", care(), plan(status="IP", more=dates)) == [("L3", "2026-11-26", True)]


def test_a_plan_without_dates_is_due_by_the_rules(calendars: Calendars) -> None:
    assert dues(calendars, "2026-11-10", care(), plan(status="IP")) == [("L3", "2026-11-30", False)]


def test_after_a_plan_is_done_the_next_review_is_due_in_the_next_term(calendars: Calendars) -> None:
    met = plan(more="<MeetingDate>2026-11-20</MeetingDate>")

    assert dues(calendars, "2027-03-25", care(), met) == [("L5", "2027-03-25", False)]
    assert dues(calendars, "2027-03-26", care(), met) == [("L5", "2027-03-25", True)]


def test_an_earlier_review_that_was_agreed_goes_before(calendars: Calendars) -> None:
    met = plan(more="<MeetingDate>2026-11-20</MeetingDate><NextReviewDate>2027-02-01</NextReviewDate>")

    assert dues(calendars, "2027-01-10", care(), met) == [("L5", "2027-02-01", False)]


def test_a_plan_of_an_earlier_period_of_care_is_none_for_this_one(calendars: Calendars) -> None:
    before = care("8", since="2024-01-08", ended="2024-06-28")
    old = plan(period="8", more="<MeetingDate>2024-02-01</MeetingDate>")

    assert [rule for rule, *_ in dues(calendars, "2026-11-10", before, care(), old)] == ["L2", "L3"]


def test_without_the_start_of_care_the_missing_plan_counts_as_late(calendars: Calendars) -> None:
    cut = care().replace("<CareStartDate>2026-11-02</CareStartDate>", "")

    assert dues(calendars, "2026-11-10", cut) == [("L2", "None", True)]


@pytest.mark.parametrize(
    ("status", "is_due"),
    [("PL", True), ("NT", True), ("CP", True), ("UN", True), ("RJ", True), ("SE", False), ("LD", False), ("CM", False)],
)
def test_a_transfer_file_is_due_until_it_is_sent(calendars: Calendars, status: str, is_due: bool) -> None:
    done = plan(more="<MeetingDate>2026-11-20</MeetingDate>")
    got = dues(calendars, "2026-11-21", care(), done, transfer(status=status))

    assert [one for one in got if one[0] == "T1"] == ([("T1", "2026-11-20", True)] if is_due else [])


def test_the_plans_record_is_due_until_it_is_passed_on(calendars: Calendars) -> None:
    record = "<PEPRecordDueDate DayKind='WorkingDay'>2026-11-27</PEPRecordDueDate>"

    open_ = dues(calendars, "2026-11-28", care(), transfer(status="SE", more=record))
    sent = transfer(status="SE", more=record + "<PEPRecordSent>Yes</PEPRecordSent>")
    assert ("L10", "2026-11-27", True) in open_
    assert "L10" not in [rule for rule, *_ in dues(calendars, "2026-11-28", care(), sent)]


@pytest.mark.parametrize(
    ("document", "lacks"),
    [
        (transfer(), False),
        (transfer(to=""), True),
        (transfer(status="UN"), True),
        (transfer(status="LP"), True),
        (transfer(status="CA", to=""), False),
    ],
    ids=["known", "no school", "unknown", "lost pupils", "cancelled"],
)
def test_a_transfer_without_a_next_school_lacks_its_destination(document: str, lacks: bool) -> None:
    (one,) = facts_of(Kept(learner(), document), date(2026, 11, 16)).transfers[ZED]

    assert lacks_destination(one) is lacks
