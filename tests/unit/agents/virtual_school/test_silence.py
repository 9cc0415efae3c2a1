"""From which schools no attendance came on a school day: which learner, which session, since when."""

from datetime import date

import pytest

from agents.virtual_school.database import Database
from agents.virtual_school.silence import WEEKDAYS, Silence, last_school_day, silent_on
from broker.calendars import Calendars
from tests.unit.agents.virtual_school.objects import (
    PRIMARY,
    SECONDARY,
    YAR,
    ZED,
    care,
    enrolment,
    facts_of,
    learner,
    mark,
    school,
    two_learners,
)

MONDAY = date(2026, 11, 16)
AT = "2026-11-16T18:00:00+00:00"


def silent(calendars: Calendars, *documents: str, on: date = MONDAY) -> dict[str, Silence]:
    """Return the silence by learner's initials."""
    objects = two_learners()
    objects.put(*documents)
    return {one.learner.initials: one for one in silent_on(facts_of(objects, on, on), on, calendars)}


def test_both_databases_know_since_when_nothing_came(both: Database, calendars: Calendars) -> None:
    objects = two_learners()
    objects.put(mark("2026-11-12", "PM", YAR, SECONDARY), mark("2026-11-17", "PM", YAR, SECONDARY), mark("2026-11-16"))
    both.write(objects, AT)

    first, second = silent_on(both.facts(MONDAY, MONDAY), MONDAY, calendars)

    assert (first.missing, first.last_mark) == (("PM",), MONDAY)
    assert (second.missing, second.last_mark, second.last_received) == (("AM", "PM"), date(2026, 11, 12), AT)


def test_a_school_that_sent_nothing_is_silent_with_the_day_since_when(calendars: Calendars) -> None:
    found = silent(calendars, mark("2026-11-12", "PM", YAR, SECONDARY), mark("2026-11-16"), mark("2026-11-16", "PM"))

    assert set(found) == {"W. Y."}
    one = found["W. Y."]
    assert (one.school_number, one.missing, one.last_mark) == ("8209902", ("AM", "PM"), date(2026, 11, 12))
    assert (one.whole_school, one.by) == (True, "820")


def test_a_single_missing_session_is_named(calendars: Calendars) -> None:
    found = silent(calendars, mark("2026-11-16"), mark("2026-11-16", "PM", YAR, SECONDARY))

    assert {initials: one.missing for initials, one in found.items()} == {"Z. Q.": ("PM",), "W. Y.": ("AM",)}
    assert not any(one.whole_school for one in found.values())


def test_a_mark_of_another_school_does_not_count_for_this_one(calendars: Calendars) -> None:
    found = silent(calendars, mark("2026-11-16", where=SECONDARY), mark("2026-11-16", "PM", where=SECONDARY))

    assert found["Z. Q."].missing == ("AM", "PM")


def test_one_learner_of_a_school_may_be_silent_while_the_school_is_not(calendars: Calendars) -> None:
    third = "9" * 32
    more = learner(third, "Xand", "Vera"), care("6", third), enrolment("8", third, PRIMARY)
    found = silent(calendars, *more, mark("2026-11-16"), mark("2026-11-16", "PM"))

    assert (found["V. X."].missing, found["V. X."].whole_school) == (("AM", "PM"), False)


def test_a_mark_without_a_session_is_one_for_both_and_a_lessons_mark_is_none(calendars: Calendars) -> None:
    lesson = mark("2026-11-16", "AM", YAR, SECONDARY).replace(">Session<", ">Lesson<")
    found = silent(calendars, mark("2026-11-16", ""), lesson)

    assert {initials: one.missing for initials, one in found.items()} == {"W. Y.": ("AM", "PM")}


@pytest.mark.parametrize(
    ("recorded", "late"),
    [
        ("2026-11-16T23:30:00", ()),
        ("2026-11-17T08:00:00", ("AM",)),
        ("2026-11-16T23:59:00Z", ()),
        ("2026-11-17T00:30:00+00:00", ("AM",)),
        ("nonsense", ()),
    ],
)
def test_a_mark_recorded_on_a_later_day_is_shown_as_late(
    calendars: Calendars, recorded: str, late: tuple[str, ...]
) -> None:
    marks = mark("2026-11-16", recorded=recorded), mark("2026-11-16", "PM")
    others = mark("2026-11-16", "AM", YAR, SECONDARY), mark("2026-11-16", "PM", YAR, SECONDARY)
    found = silent(calendars, *marks, *others)

    assert {initials: one.late for initials, one in found.items()} == ({"Z. Q.": late} if late else {})


@pytest.mark.parametrize(
    "day",
    [date(2026, 11, 14), date(2026, 11, 13), date(2026, 10, 28), date(2026, 12, 25)],
    ids=["Saturday", "teachers' training", "half-term", "Christmas"],
)
def test_nobody_is_silent_on_a_day_without_school(calendars: Calendars, day: date) -> None:
    assert silent(calendars, on=day) == {}


@pytest.mark.parametrize("why", ["left", "not yet", "former", "care over"])
def test_who_is_not_enrolled_or_not_in_care_is_not_missed(calendars: Calendars, why: str) -> None:
    change = {
        "left": enrolment("4", YAR, SECONDARY, more="<ExitDate>2026-11-13</ExitDate>"),
        "not yet": enrolment("4", YAR, SECONDARY, entry="2026-11-17"),
        "former": enrolment("4", YAR, SECONDARY).replace('MembershipType="C"', 'MembershipType="P"'),
        "care over": care("5", YAR, ended="2026-11-16"),
    }[why]

    assert set(silent(calendars, change)) == {"Z. Q."}


def test_without_a_calendar_the_schools_own_terms_say_what_a_school_day_is() -> None:
    def term(ref_id: str, starts: str, ends: str) -> str:
        dates = f"<SchoolYear>2027</SchoolYear><StartDate>{starts}</StartDate><EndDate>{ends}</EndDate>"
        return f'<TermInfo RefId="{ref_id * 32}" SchoolInfoRefId="{PRIMARY}">{dates}</TermInfo>'

    terms = term("7", "2026-09-02", "2026-10-23"), term("8", "2026-11-02", "2026-12-18")

    assert silent(Calendars(), *terms)["Z. Q."].by == "terms"
    assert silent(Calendars(), *terms)["W. Y."].by == WEEKDAYS
    assert set(silent(Calendars(), *terms, on=date(2026, 10, 28))) == {"W. Y."}


def test_a_school_whose_number_nobody_shares_is_still_heard(calendars: Calendars) -> None:
    cut = school(SECONDARY).replace("<LAId>820</LAId>", "")

    assert silent(calendars, cut)["W. Y."].by == WEEKDAYS


def test_the_last_school_day_before_a_monday_is_friday_and_before_that_no_bank_holiday(calendars: Calendars) -> None:
    assert last_school_day(MONDAY, calendars) == date(2026, 11, 13)
    assert last_school_day(date(2026, 12, 29), calendars) == date(2026, 12, 24)


def test_marks_of_other_days_are_not_taken_for_those_of_the_day(calendars: Calendars) -> None:
    found = silent(calendars, *(mark(f"2026-11-{day}", s) for day in (12, 17) for s in ("AM", "PM")))

    assert found["Z. Q."].last_mark == date(2026, 11, 12)
    assert found["Z. Q."].learner.ref_id == ZED
