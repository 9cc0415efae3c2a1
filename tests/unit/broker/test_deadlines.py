"""When each duty about looked-after learners and learners who move is due, and by whose calendar it was counted."""

from dataclasses import replace
from datetime import date
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.calendars import ENGLAND, DayKind, parse_calendars
from broker.deadlines import (
    NOT_DATED,
    RULES,
    RuleId,
    Whose,
    due,
    first_plan,
    next_review,
    safeguarding_file,
)
from tests.calendars import TERMS_OF_2025

TWO_WEEKS_OFF: Final = b"""
title = "Copperfen High School"
follows = "820"
closures = [{ starts = 2025-11-03, ends = 2025-11-07, reason = "Two weeks of half-term" }]
"""
CALENDARS: Final = parse_calendars({"820": TERMS_OF_2025, "8209902": TWO_WEEKS_OFF})
LARKRISE, COPPERFEN, ELSEWHERE = "8209901", "8209902", "9991234"
FRIDAY: Final = date(2025, 10, 3)


@pytest.mark.parametrize(
    ("rule", "expected", "kind", "calendar"),
    [
        (RuleId.T1, date(2025, 10, 24), DayKind.SCHOOL_DAY, "820"),
        (RuleId.T2, date(2025, 10, 24), DayKind.SCHOOL_DAY, "820"),
        (RuleId.T3, date(2025, 10, 24), DayKind.SCHOOL_DAY, "820"),
        (RuleId.T4, date(2025, 10, 8), DayKind.CALENDAR_DAY, ENGLAND),
        (RuleId.T5, date(2025, 10, 3), DayKind.CALENDAR_DAY, ENGLAND),
        (RuleId.T6, date(2025, 10, 8), DayKind.CALENDAR_DAY, ENGLAND),
        (RuleId.T6_NEW_TERM, date(2025, 10, 10), DayKind.SCHOOL_DAY, "820"),
        (RuleId.L1, date(2025, 10, 5), DayKind.CALENDAR_DAY, ENGLAND),
        (RuleId.L2, date(2025, 10, 17), DayKind.WORKING_DAY, ENGLAND),
        (RuleId.L3, date(2025, 10, 31), DayKind.WORKING_DAY, ENGLAND),
        (RuleId.L4_SECOND, date(2026, 1, 3), DayKind.MONTH, ENGLAND),
        (RuleId.L4_LATER, date(2026, 4, 3), DayKind.MONTH, ENGLAND),
        (RuleId.L5, date(2026, 3, 27), DayKind.TERM, "820"),
        (RuleId.L6, date(2025, 10, 10), DayKind.WORKING_DAY, ENGLAND),
        (RuleId.L7, date(2025, 10, 10), DayKind.WORKING_DAY, ENGLAND),
        (RuleId.L8, date(2025, 10, 3), DayKind.CALENDAR_DAY, ENGLAND),
        (RuleId.L9, date(2025, 11, 7), DayKind.SCHOOL_DAY, "820"),
        (RuleId.L10, date(2025, 10, 31), DayKind.WORKING_DAY, ENGLAND),
        (RuleId.Z1, date(2025, 10, 10), DayKind.SCHOOL_DAY, "820"),
    ],
)
def test_each_deadline_is_counted_in_its_kind_of_day_and_names_the_calendar(
    rule: RuleId, expected: date, kind: DayKind, calendar: str
) -> None:
    deadline = due(RULES[rule], FRIDAY, CALENDARS, LARKRISE)

    assert (deadline.due, deadline.kind, deadline.calendar, deadline.trigger) == (expected, kind, calendar, FRIDAY)


def test_each_duty_has_a_rule_or_a_reason_why_it_has_no_day() -> None:
    duties = {f"T{n}" for n in range(1, 7)} | {f"L{n}" for n in range(1, 13)}

    assert set(RULES) == set(RuleId)
    assert {rule.partition("-")[0] for rule in RULES} | set(NOT_DATED) == duties | {"Z1"}


def test_each_rule_says_who_is_to_do_what_from_when_and_where_it_stands() -> None:
    assert all(rule.what and rule.trigger and rule.who and rule.source for rule in RULES.values())


@pytest.mark.parametrize("rule", [RuleId.T1, RuleId.T2, RuleId.T3])
def test_the_old_schools_calendar_counts_for_its_file(rule: RuleId) -> None:
    leaving = date(2025, 10, 17)

    assert RULES[rule].whose is Whose.OLD_SCHOOL
    assert due(RULES[rule], leaving, CALENDARS, LARKRISE).due == date(2025, 11, 14)
    assert due(RULES[rule], leaving, CALENDARS, COPPERFEN).due == date(2025, 11, 21)


def test_a_deadline_passes_when_its_last_day_is_over() -> None:
    deadline = due(RULES[RuleId.T1], FRIDAY, CALENDARS, LARKRISE)

    assert not deadline.has_passed(date(2025, 10, 24))
    assert deadline.has_passed(date(2025, 10, 25))


@pytest.mark.parametrize(
    ("trigger", "school"),
    [
        pytest.param(FRIDAY, ELSEWHERE, id="no-calendar"),
        pytest.param(date(2026, 7, 10), LARKRISE, id="next-years-terms-not-known"),
    ],
)
def test_where_no_calendar_has_the_days_working_days_count_and_the_deadline_says_so(trigger: date, school: str) -> None:
    deadline = due(RULES[RuleId.T1], trigger, CALENDARS, school)

    assert (deadline.kind, deadline.calendar) == (DayKind.WORKING_DAY, ENGLAND)
    assert deadline.due == CALENDARS.england.add(trigger, 15, DayKind.WORKING_DAY)


@given(st.dates(date(2025, 9, 1), date(2026, 4, 10)), st.sampled_from((RuleId.T1, RuleId.L5, RuleId.L9)))
def test_what_is_counted_without_a_calendar_is_over_no_later_than_with_one(trigger: date, rule: RuleId) -> None:
    counted, by_calendar = (due(RULES[rule], trigger, CALENDARS, school) for school in (ELSEWHERE, LARKRISE))

    assert counted.due <= by_calendar.due


def test_an_education_plan_is_begun_in_ten_working_days_and_ready_in_twenty() -> None:
    plan = first_plan(date(2025, 12, 22), CALENDARS)

    assert (plan.initiate_by.due, plan.initiate_by.rule) == (date(2026, 1, 8), RuleId.L2)
    assert (plan.due.due, plan.due.rule) == (date(2026, 1, 22), RuleId.L3)


@pytest.mark.parametrize(
    ("meeting", "gap", "expected", "kind"),
    [
        pytest.param(date(2025, 9, 15), None, date(2026, 3, 27), DayKind.TERM, id="end-of-next-term"),
        pytest.param(date(2025, 12, 29), None, date(2026, 3, 27), DayKind.TERM, id="met-in-the-holidays"),
        pytest.param(date(2025, 9, 15), 4, date(2026, 1, 15), DayKind.MONTH, id="no-gap-above-four-months"),
        pytest.param(date(2025, 12, 15), 4, date(2026, 3, 27), DayKind.TERM, id="term-ends-before-four-months"),
    ],
)
def test_an_education_plan_is_reviewed_every_term(
    meeting: date, gap: int | None, expected: date, kind: DayKind
) -> None:
    review = next_review(meeting, CALENDARS, LARKRISE, longest_gap=gap)

    assert (review.due, review.kind, review.rule) == (expected, kind, RuleId.L5)


@pytest.mark.parametrize(
    ("leaving", "entry", "rule", "expected"),
    [
        pytest.param(FRIDAY, date(2025, 10, 6), RuleId.T6, date(2025, 10, 8), id="in-year"),
        pytest.param(FRIDAY, None, RuleId.T6, date(2025, 10, 8), id="entry-not-known"),
        pytest.param(date(2025, 10, 24), date(2025, 11, 3), RuleId.T6, date(2025, 10, 29), id="over-half-term"),
        pytest.param(date(2025, 12, 19), date(2026, 1, 6), RuleId.T6_NEW_TERM, date(2026, 1, 9), id="new-term"),
        pytest.param(
            date(2025, 12, 19), date(2025, 12, 29), RuleId.T6_NEW_TERM, date(2026, 1, 9), id="entered-between"
        ),
        pytest.param(date(2026, 7, 21), date(2026, 9, 2), RuleId.T6, date(2026, 7, 26), id="terms-not-known"),
    ],
)
def test_the_safeguarding_file_follows_in_five_days_or_in_the_first_five_of_a_new_term(
    leaving: date, entry: date | None, rule: RuleId, expected: date
) -> None:
    deadline = safeguarding_file(leaving, entry, CALENDARS, LARKRISE)

    assert (deadline.rule, deadline.due) == (rule, expected)


def test_an_authority_counts_with_a_number_of_its_own() -> None:
    local = {**RULES, RuleId.L2: replace(RULES[RuleId.L2], limit=5, source="local procedure")}

    assert first_plan(FRIDAY, CALENDARS, local).initiate_by.due == date(2025, 10, 10)
