"""From which schools no attendance came: learners in care, by school, on a school day; pure decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from agents.virtual_school.facts import Facts, enrolments_on, in_care
from agents.virtual_school.records import Learner, Mark
from broker.calendars import Calendars, CalendarTooShort, local_date

SESSIONS: Final = ("AM", "PM")
WEEKDAYS: Final = "weekdays"
"""By what a school day is told where neither a calendar nor the school's own terms have it: working days."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A learner of whom marks of a day are missing, or came late.

    Attributes:
        missing: Sessions without a mark: ``AM``, ``PM``.
        late: Sessions whose mark was recorded on a later day.
        last_mark: Day of the last mark before; None when none ever came.
        last_received: When anything last came about the learner by this school, UTC; empty when nothing did.
        whole_school: Whether the school sent no mark of this day for any learner in care.
        by: What says that it is a school day: a calendar, ``terms`` of the school, or :data:`WEEKDAYS`.
    """

    learner: Learner
    school_ref_id: str
    school_number: str
    missing: tuple[str, ...]
    late: tuple[str, ...]
    last_mark: date | None
    last_received: str
    whole_school: bool
    by: str


def silent_on(facts: Facts, day: date, calendars: Calendars) -> tuple[Silence, ...]:
    """Return those of whom marks of *day* are missing or late, by school and name; *facts* have the marks of the day.

    A mark that names no session is one for both; a mark of a lesson alone is none.
    """
    marks = _by_place(facts)
    rows: list[tuple[Learner, str, str, str]] = []
    for one in in_care(facts, day):
        for enrolment in enrolments_on(facts, one.learner.ref_id, day):
            number = facts.school_number(enrolment.school_ref_id) or one.learner.school_number
            by = _school_day(facts, day, calendars, enrolment.school_ref_id, number)
            if by:
                rows.append((one.learner, enrolment.school_ref_id, number, by))
    heard = {school for learner, school, *_ in rows if marks.get((learner.ref_id, school))}
    found = []
    for learner, school, number, by in rows:
        here = marks.get((learner.ref_id, school), ())
        have = {session for mark in here for session in _sessions(mark)}
        late = tuple(s for s in SESSIONS if any(s in _sessions(mark) and _came_late(mark) for mark in here))
        missing = tuple(session for session in SESSIONS if session not in have)
        if not missing and not late:
            continue
        last = facts.last_marks.get((learner.ref_id, school))
        received = next((r.at for r in facts.received.get(learner.ref_id, ()) if r.school_ref_id == school), "")
        found.append(
            Silence(
                learner, school, number, missing, late, last.day if last else None, received, school not in heard, by
            )
        )
    return tuple(sorted(found, key=lambda s: (s.school_number, s.school_ref_id, s.learner.name.casefold())))


def last_school_day(day: date, calendars: Calendars) -> date:
    """Return the last working day before *day*; which of a school's own days off it is, is for each school to say."""
    day -= timedelta(days=1)
    while not calendars.england.is_working_day(day):
        day -= timedelta(days=1)
    return day


def _school_day(facts: Facts, day: date, calendars: Calendars, school: str, number: str) -> str:
    """Return by what *day* is a school day; empty when it is none."""
    if number:
        calendar = calendars.of(number)
        try:
            return calendar.name if calendar.is_school_day(day) else ""
        except CalendarTooShort:
            pass
    if not calendars.england.is_working_day(day):
        return ""
    spans = [(term.starts, term.ends) for term in facts.terms.get(school, ()) if term.starts and term.ends]
    if any(starts <= day <= ends for starts, ends in spans):
        return "terms"
    # between terms that are known on both sides there is a holiday; beyond them, nobody knows
    if any(ends < day for _, ends in spans) and any(starts > day for starts, _ in spans):
        return ""
    return WEEKDAYS


def _by_place(facts: Facts) -> Mapping[tuple[str, str], tuple[Mark, ...]]:
    found: dict[tuple[str, str], list[Mark]] = {}
    for mark in facts.marks:
        if mark.domain != "Lesson":
            found.setdefault((mark.learner_ref_id, mark.school_ref_id), []).append(mark)
    return {place: tuple(marks) for place, marks in found.items()}


def _sessions(mark: Mark) -> tuple[str, ...]:
    return (mark.session,) if mark.session in SESSIONS else SESSIONS


def _came_late(mark: Mark) -> bool:
    try:
        at = datetime.fromisoformat(mark.recorded_at)
    except ValueError:
        return False
    recorded = at.date() if at.tzinfo is None else local_date(at)
    return mark.day is not None and recorded > mark.day


__all__ = ["SESSIONS", "WEEKDAYS", "Silence", "last_school_day", "silent_on"]
