"""What the law and local practice give a number of days for, about looked-after learners and learners who move.

Each deadline is a named rule; a due date is counted from its trigger by the right calendar, and says by which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from broker.calendars import ENGLAND, Calendars, CalendarTooShort, DayKind


class RuleId(StrEnum):
    """The deadlines' names; T are about moves, L about looked-after learners, Z the zone's own."""

    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T6_NEW_TERM = "T6-new-term"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4_SECOND = "L4-second"
    L4_LATER = "L4-later"
    L5 = "L5"
    L6 = "L6"
    L7 = "L7"
    L8 = "L8"
    L9 = "L9"
    L10 = "L10"
    Z1 = "Z1"


NOT_DATED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "L11": "admission priority of a looked-after child: the duty names no day",
        "L12": "series of short breaks: limits to how long each may be, no day by which something is to be done",
    }
)
"""Duties of the same list that name no day, and why."""


class Whose(StrEnum):
    """Whose calendar school days and terms are counted by."""

    OLD_SCHOOL = "old school"
    NEW_SCHOOL = "new school"
    SCHOOL = "the learner's school"


@dataclass(frozen=True, slots=True)
class Rule:
    """A deadline before anything has triggered it.

    Attributes:
        what: What is to be done.
        trigger: What the days are counted from; that day itself does not count.
        limit: How many days, terms or months; of :attr:`kind`. 0 is the day itself.
        whose: Whose calendar counts, where school days or terms do; other kinds are counted by England's.
        who: Who is to do it.
        source: A regulation, or whose practice it is.
        verified: Whether the number was read in the source, and not told by others.
    """

    id: RuleId
    what: str
    trigger: str
    limit: int
    kind: DayKind
    who: str
    source: str
    whose: Whose = Whose.SCHOOL
    verified: bool = True


_PUPIL_INFORMATION: Final = "Education (Pupil Information) (England) Regulations 2005, reg. 9, as amended in 2008"
_REGISTRATION: Final = "School Attendance (Pupil Registration) (England) Regulations 2024, reg. 13"
_CARE_PLANNING: Final = "Care Planning, Placement and Case Review (England) Regulations 2010"
_GUIDANCE: Final = "DfE guidance on looked-after children's education (2018), as local procedures quote it"
_LOCAL: Final = "local procedures"

RULES: Final[Mapping[RuleId, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in (
            Rule(
                RuleId.T1,
                "send the Common Transfer File and the educational record to the new school",
                "the learner's last day on the old school's register",
                15,
                DayKind.SCHOOL_DAY,
                "old school",
                _PUPIL_INFORMATION,
                Whose.OLD_SCHOOL,
            ),
            Rule(
                RuleId.T2,
                "send the Common Transfer File to the other school",
                "the dual registration becomes known",
                15,
                DayKind.SCHOOL_DAY,
                "first school",
                _PUPIL_INFORMATION,
                Whose.OLD_SCHOOL,
            ),
            Rule(
                RuleId.T3,
                "look for the new school; then send the Common Transfer File to XXXXXXX",
                "the learner's last day on the old school's register",
                15,
                DayKind.SCHOOL_DAY,
                "old school",
                _LOCAL,
                Whose.OLD_SCHOOL,
            ),
            # "Days" without a kind, here and in T6, are read as calendar days: the earliest of all readings.
            Rule(
                RuleId.T4,
                "return the new name on the register to the authority",
                "the learner's first day on the new school's register, outside the normal intake",
                5,
                DayKind.CALENDAR_DAY,
                "new school",
                _REGISTRATION,
                Whose.NEW_SCHOOL,
            ),
            Rule(
                RuleId.T5,
                "return the name to be deleted to the authority",
                "the name is deleted from the register",
                0,
                DayKind.CALENDAR_DAY,
                "old school",
                _REGISTRATION,
                Whose.OLD_SCHOOL,
                verified=False,
            ),
            Rule(
                RuleId.T6,
                "pass the child-protection file on, apart from all else, and get a receipt",
                "the learner's last day at the old school, within a term",
                5,
                DayKind.CALENDAR_DAY,
                "old school's designated safeguarding lead",
                "Keeping children safe in education",
                Whose.OLD_SCHOOL,
            ),
            Rule(
                RuleId.T6_NEW_TERM,
                "pass the child-protection file on, apart from all else, and get a receipt",
                "the day before the new school's term begins",
                5,
                DayKind.SCHOOL_DAY,
                "old school's designated safeguarding lead",
                "Keeping children safe in education",
                Whose.NEW_SCHOOL,
            ),
            Rule(
                RuleId.L1,
                "tell the school and its designated teacher",
                "the child becomes looked after, or the school place is found",
                2,  # 48 hours
                DayKind.CALENDAR_DAY,
                "social worker, virtual school",
                _LOCAL,
            ),
            Rule(
                RuleId.L2,
                "begin the education plan",
                "the child becomes looked after",
                10,
                DayKind.WORKING_DAY,
                "social worker; the school completes it",
                _GUIDANCE,
            ),
            Rule(
                RuleId.L3,
                "have the education plan ready for the first care review",
                "the child becomes looked after",
                20,
                DayKind.WORKING_DAY,
                "social worker, designated teacher",
                f"{_CARE_PLANNING}, reg. 33",
            ),
            Rule(
                RuleId.L4_SECOND,
                "hold the second care review",
                "the first care review",
                3,
                DayKind.MONTH,
                "independent reviewing officer",
                f"{_CARE_PLANNING}, reg. 33",
                verified=False,
            ),
            Rule(
                RuleId.L4_LATER,
                "hold the next care review",
                "the second care review, or a later one",
                6,
                DayKind.MONTH,
                "independent reviewing officer",
                f"{_CARE_PLANNING}, reg. 33",
                verified=False,
            ),
            Rule(
                RuleId.L5,
                "review the education plan",
                "the last meeting about the plan",
                1,
                DayKind.TERM,
                "designated teacher, social worker, virtual school",
                _GUIDANCE,
            ),
            Rule(
                RuleId.L6,
                "write the placement plan, where it could not be written before",
                "the placement begins",
                5,
                DayKind.WORKING_DAY,
                "responsible authority",
                f"{_CARE_PLANNING}, reg. 9",
            ),
            Rule(
                RuleId.L7,
                "give notice of an emergency placement to parents, area authority, school, health",
                "the placement begins",
                5,
                DayKind.WORKING_DAY,
                "responsible authority",
                f"{_CARE_PLANNING}, reg. 13",
                verified=False,
            ),
            Rule(
                RuleId.L8,
                "have a move in key stage 4 approved, before it is made",
                "the placement move",
                0,
                DayKind.CALENDAR_DAY,
                "responsible authority",
                f"{_CARE_PLANNING}, reg. 10",
            ),
            Rule(
                RuleId.L9,
                "arrange suitable education",
                "the emergency change of placement",
                20,
                DayKind.SCHOOL_DAY,
                "responsible authority",
                "general practice",
                verified=False,
            ),
            Rule(
                RuleId.L10,
                "pass the education plan's official record to the new school",
                "the learner's last day at the old school",
                20,
                DayKind.WORKING_DAY,
                "old and new designated teacher",
                _LOCAL,
            ),
            Rule(
                RuleId.Z1,
                "say that the Common Transfer File is loaded, or reject it",
                "the file is delivered",
                5,
                DayKind.SCHOOL_DAY,
                "new school",
                "our own rule: no regulation asks for a receipt, and a file that nobody loads helps nobody",
                Whose.NEW_SCHOOL,
            ),
        )
    }
)
"""The rules with the numbers of the law, or as published; a site counts with others by handing in a rule of its own."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A rule that something has triggered.

    Attributes:
        due: The last day on which it is met.
        kind: How its days were counted: that of the rule, unless the calendar did not reach so far.
        calendar: Name of the calendar they were counted by.
    """

    rule: RuleId
    trigger: date
    due: date
    kind: DayKind
    calendar: str

    def has_passed(self, today: date) -> bool:
        """Tell whether its last day is over."""
        return today > self.due


class PlanDates(NamedTuple):
    """Deadlines of a first education plan: to begin it, and to have it ready."""

    initiate_by: Deadline
    due: Deadline


_EARLIER_KIND: Final = {DayKind.SCHOOL_DAY: (DayKind.WORKING_DAY, 1), DayKind.TERM: (DayKind.MONTH, 2)}
"""What is counted instead where no calendar has the days, and how many each: no later than those would be."""


def due(rule: Rule, trigger: date, calendars: Calendars, *establishments: str) -> Deadline:
    """Return when *rule* is due that was triggered on *trigger*.

    Where no calendar has the school days or terms to be counted, working days are counted for school days, and two
    months for a term: these are over earlier, so that nothing is late unseen; the deadline says so by its kind.

    Args:
        establishments: The numbers that the school has or had whose calendar counts; none when it is not known.
    """
    england = calendars.england
    if rule.kind not in _EARLIER_KIND:
        return Deadline(rule.id, trigger, england.add(trigger, rule.limit, rule.kind), rule.kind, ENGLAND)
    calendar = calendars.of(*establishments)
    try:
        return Deadline(rule.id, trigger, calendar.add(trigger, rule.limit, rule.kind), rule.kind, calendar.name)
    except CalendarTooShort:
        kind, each = _EARLIER_KIND[rule.kind]
        return Deadline(rule.id, trigger, england.add(trigger, rule.limit * each, kind), kind, ENGLAND)


def first_plan(care_starts: date, calendars: Calendars, rules: Mapping[RuleId, Rule] = RULES) -> PlanDates:
    """Return when the education plan of a child in care from *care_starts* is to be begun, and to be ready."""
    return PlanDates(due(rules[RuleId.L2], care_starts, calendars), due(rules[RuleId.L3], care_starts, calendars))


def next_review(
    last_meeting: date,
    calendars: Calendars,
    *establishments: str,
    rules: Mapping[RuleId, Rule] = RULES,
    longest_gap: int | None = None,
) -> Deadline:
    """Return when an education plan is to be reviewed that was last talked about on *last_meeting*.

    Args:
        longest_gap: Months that some authorities allow at most between two meetings.
    """
    review = due(rules[RuleId.L5], last_meeting, calendars, *establishments)
    if longest_gap is None:
        return review
    latest = calendars.england.add(last_meeting, longest_gap, DayKind.MONTH)
    if review.due <= latest:
        return review
    return Deadline(review.rule, last_meeting, latest, DayKind.MONTH, ENGLAND)


def safeguarding_file(
    leaving: date,
    entry: date | None,
    calendars: Calendars,
    *new_school: str,
    rules: Mapping[RuleId, Rule] = RULES,
) -> Deadline:
    """Return when the child-protection file of a learner who left on *leaving* is to be with the new school.

    A learner who begins at the new school in another term than the one they left in has moved with a new term.

    Args:
        entry: First day at the new school; None when not known.
        new_school: Numbers that the new school has or had.
    """
    in_year = due(rules[RuleId.T6], leaving, calendars)
    if entry is None or entry <= leaving:
        return in_year
    calendar = calendars.of(*new_school)
    try:
        term = calendar.term_of(entry) or calendar.next_term(entry)
    except CalendarTooShort:
        return in_year
    if term.starts <= leaving:
        return in_year
    return due(rules[RuleId.T6_NEW_TERM], term.starts - timedelta(days=1), calendars, *new_school)


__all__ = [
    # rules
    "NOT_DATED",
    "RULES",
    "Rule",
    "RuleId",
    "Whose",
    # deadlines
    "Deadline",
    "PlanDates",
    "due",
    "first_plan",
    "next_review",
    "safeguarding_file",
]
