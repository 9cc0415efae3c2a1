"""An academic year of looked-after learners, day by day: each deadline is what a walk over the days counts to.

Of 150 in the suite, of 2,000 with SIFZONE_LONG=1.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final

from broker.calendars import parse_calendars
from broker.deadlines import RuleId, first_plan, next_review
from broker.protocol.identifiers import Establishment, RefId
from broker.transfer_cases import (
    NOT_KNOWN,
    Care,
    CareChanged,
    ClockMoved,
    Ctf,
    CtfDelivered,
    CtfLoaded,
    CtfPrepared,
    CtfSent,
    EnrolmentConfirmed,
    EnrolmentEnded,
    EnrolmentStarted,
    Event,
    Notify,
    Opening,
    Party,
    RaiseOverdue,
    Record,
    RecordPassed,
    Status,
    TransferCase,
    Why,
    WriteCtf,
)
from broker.transfers import open_or_join, step

LEARNERS: Final = 2000 if os.environ.get("SIFZONE_LONG") == "1" else 150
FIRST, LAST = date(2025, 9, 1), date(2026, 8, 31)
DAY: Final = timedelta(days=1)
AUTHORITY: Final = b"""
title = "Schools of Quarrington"
terms = [
  { term = "AUT", starts = 2025-09-02, ends = 2025-12-19, half_term = { starts = 2025-10-27, ends = 2025-10-31 } },
  { term = "SPR", starts = 2026-01-05, ends = 2026-03-27, half_term = { starts = 2026-02-16, ends = 2026-02-20 } },
  { term = "SUM", starts = 2026-04-13, ends = 2026-07-21, half_term = { starts = 2026-05-25, ends = 2026-05-29 } },
  { term = "AUT", starts = 2026-09-02, ends = 2026-12-18, half_term = { starts = 2026-10-26, ends = 2026-10-30 } },
  { term = "SPR", starts = 2027-01-04, ends = 2027-03-24, half_term = { starts = 2027-02-15, ends = 2027-02-19 } },
  { term = "SUM", starts = 2027-04-12, ends = 2027-07-23, half_term = { starts = 2027-05-31, ends = 2027-06-04 } },
]
"""
LONG_HALF_TERM: Final = b"""
title = "Copperfen High School"
follows = "820"
inset = [2025-09-02, 2026-01-05, 2026-06-26, 2026-09-02]
closures = [{ starts = 2025-11-03, ends = 2025-11-07, reason = "Two weeks of half-term" }]
"""
CALENDARS: Final = parse_calendars({"820": AUTHORITY, "8209902": LONG_HALF_TERM})
PLAIN, LONG = Establishment("8209901"), Establishment("8209902")

# The same days once more, as people would write them on a wall planner; nothing of it comes from what is tested.
TERMS: Final = (
    ("2025-09-02", "2025-10-24"),
    ("2025-11-03", "2025-12-19"),
    ("2026-01-05", "2026-02-13"),
    ("2026-02-23", "2026-03-27"),
    ("2026-04-13", "2026-05-22"),
    ("2026-06-01", "2026-07-21"),
    ("2026-09-02", "2026-10-23"),
    ("2026-11-02", "2026-12-18"),
    ("2027-01-04", "2027-02-12"),
    ("2027-02-22", "2027-03-24"),
)
TERM_ENDS: Final = ("2025-12-19", "2026-03-27", "2026-07-21", "2026-12-18", "2027-03-24")
BANK_HOLIDAYS: Final = (
    "2025-08-25, 2025-12-25, 2025-12-26, 2026-01-01, 2026-04-03, 2026-04-06, "
    "2026-05-04, 2026-05-25, 2026-08-31, 2026-12-25, 2026-12-28, 2027-01-01"
)
LONG_OFF: Final = (
    "2025-09-02, 2026-01-05, 2026-06-26, 2026-09-02, 2025-11-03, 2025-11-04, 2025-11-05, 2025-11-06, 2025-11-07"
)


def works(day: date) -> bool:
    return day.strftime("%a") not in {"Sat", "Sun"} and str(day) not in BANK_HOLIDAYS


def meets(school: Establishment) -> Callable[[date], bool]:
    off = LONG_OFF if school == LONG else ""
    return lambda day: works(day) and str(day) not in off and any(a <= str(day) <= b for a, b in TERMS)


def walk(day: date, number: int, counts: Callable[[date], bool]) -> date:
    """Return the *number*-th day after *day* that counts, found by looking at each."""
    while number > 0:
        day += DAY
        if counts(day):
            number -= 1
    return day


@dataclass
class Life:
    """What happens to one learner in the year; None is what never happens."""

    learner: RefId
    care_from: date
    leaving: date
    entry: date | None
    old: Establishment
    new: Establishment
    sent: date | None
    delivered: date | None
    loaded: date | None
    pep_received: date | None
    receipt: date | None

    def events(self) -> list[tuple[date, Event]]:
        """Return what is told and on which day."""
        ctf = Ctf(f"{self.old}_CTF_{self.new}_001.xml", self.new, "ab" * 32)
        told: list[tuple[date | None, Callable[[datetime], Event]]] = [
            (
                self.leaving,
                lambda at: EnrolmentEnded(
                    at=at, actor="old", learner=self.learner, school=self.old, leaving=self.leaving
                ),
            ),
            (self.leaving, lambda at: CareChanged(at=at, actor="la", care=Care(self.care_from, True, "820"))),
            (self.entry, self.enrolment),
            (self.sent, lambda at: CtfPrepared(at=at, actor="old", ctf=ctf)),
            (self.sent, lambda at: CtfSent(at=at, actor="old", ctf=ctf)),
            (self.delivered, lambda at: CtfDelivered(at=at, actor="zone")),
            (self.loaded, lambda at: CtfLoaded(at=at, actor="new", school=self.new)),
            (self.loaded, lambda at: EnrolmentConfirmed(at=at, actor="new", school=self.new)),
            (self.pep_received, lambda at: self.record(at, Record.PEP_RECEIVED)),
            (self.receipt, lambda at: self.record(at, Record.SAFEGUARDING_RECEIPT)),
        ]
        return [(day, make(datetime.combine(day, time(12), UTC))) for day, make in told if day is not None]

    def enrolment(self, at: datetime) -> EnrolmentStarted:
        assert self.entry is not None
        return EnrolmentStarted(at=at, actor="new", learner=self.learner, school=self.new, entry=self.entry)

    def record(self, at: datetime, record: Record) -> RecordPassed:
        return RecordPassed(at=at, actor="dt", record=record, on=at.date())

    def file_due(self) -> date:
        return walk(self.leaving, 15, meets(self.old))

    def overdue(self) -> set[tuple[RuleId, date]]:
        """Return what is to be raised and on which day, by counting; what passed unknown counts from the entry."""
        if self.entry is None:
            return set()
        file = self.file_due()
        file = file if self.entry <= file else walk(self.entry, 15, meets(self.old))
        plan = walk(self.leaving, 20, works)
        plan = plan if self.entry <= plan else walk(self.entry, 20, works)
        safe_by, safe = self.safeguarding()
        if self.entry > safe:
            safe_by, safe = RuleId.T6, max(self.leaving, self.entry) + timedelta(days=5)
            safe = self.leaving + timedelta(days=5) if self.entry <= self.leaving + timedelta(days=5) else safe
        expected = [(RuleId.T1, file, self.sent), (RuleId.L10, plan, self.pep_received), (safe_by, safe, self.receipt)]
        if self.delivered:
            expected.append((RuleId.Z1, walk(self.delivered, 5, meets(self.new)), self.loaded))
        return {(rule, due + DAY) for rule, due, done in expected if due < LAST and (done is None or done > due + DAY)}

    def safeguarding(self) -> tuple[RuleId, date]:
        assert self.entry is not None
        new_terms = [date.fromisoformat(a) for a, _ in TERMS[::2] if str(self.leaving) < a]
        ends = next(b for b in TERM_ENDS if str(self.entry) <= b)
        start = next((day for day in new_terms if str(day) <= ends), None)
        if start is None:
            return RuleId.T6, self.leaving + timedelta(days=5)
        last_start = max(day for day in new_terms if str(day) <= ends)
        return RuleId.T6_NEW_TERM, walk(last_start - DAY, 5, meets(self.new))


def life(number: int, random: Random) -> Life:
    leaving = FIRST + timedelta(days=random.randint(1, 330))
    entry = leaving + timedelta(days=random.randint(1, 60)) if random.random() < 0.85 else None
    old, new = random.sample((PLAIN, LONG), 2)

    def later(day: date | None, most: int) -> date | None:
        return day + timedelta(days=random.randint(0, most)) if day and random.random() < 0.8 else None

    sent = later(entry, 40)
    delivered = later(sent, 3)
    return Life(
        RefId(f"{number:032X}"),
        FIRST - timedelta(days=random.randint(0, 2000)),
        leaving,
        entry,
        old,
        new,
        sent,
        delivered,
        later(delivered, 20),
        later(entry, 40),
        later(entry, 20),
    )


class Year:
    """A zone through the year, and what it raised on which day."""

    def __init__(self, lives: list[Life]) -> None:
        self.cases: dict[RefId, TransferCase] = {}
        self.raised: dict[RefId, set[tuple[RuleId, date]]] = {one.learner: set() for one in lives}
        self.lost: dict[RefId, date] = {}
        self.missing: dict[RefId, date] = {}
        self.diary: dict[date, list[tuple[RefId, Event]]] = {}
        for one in lives:
            for day, event in one.events():
                self.diary.setdefault(day, []).append((one.learner, event))

    def run(self) -> None:
        day = FIRST
        while day <= LAST:
            for learner, event in self.diary.get(day, ()):
                self.tell(learner, event)
            clock = ClockMoved(at=datetime.combine(day, time(12), UTC), actor="zone")
            for learner in [learner for learner, case in self.cases.items() if case.is_followed]:
                self.tell(learner, clock)
            day += DAY

    def tell(self, learner: RefId, event: Event) -> None:
        known = [self.cases[learner]] if learner in self.cases else []
        case = open_or_join(known, event, learner) if isinstance(event, Opening) else self.cases[learner]
        self.cases[learner], actions = step(case, event, CALENDARS)
        for action in actions:
            match action:
                case RaiseOverdue(deadline):
                    self.raised[learner].add((deadline.rule, event.today))
                case WriteCtf(destination=destination) if destination == NOT_KNOWN:
                    self.lost[learner] = event.today
                case Notify(party=Party.AUTHORITY, why=Why.MISSING_EDUCATION):
                    self.missing[learner] = event.today
                case _:
                    pass


def test_each_deadline_of_a_year_is_raised_on_the_day_that_a_count_day_by_day_gives() -> None:
    random = Random(2025)
    lives = [life(number, random) for number in range(LEARNERS)]
    year = Year(lives)

    year.run()

    for one in lives:
        searched = one.file_due() + DAY
        is_lost = searched <= LAST and (one.entry is None or one.entry > searched)
        assert year.raised[one.learner] == one.overdue(), one
        assert year.missing[one.learner] == one.leaving
        assert year.lost.get(one.learner) == (searched if is_lost else None), one
        if one.loaded and one.loaded <= LAST:
            assert year.cases[one.learner].status is Status.COMPLETE
    assert {rule for raised in year.raised.values() for rule, _ in raised} == {
        RuleId.T1,
        RuleId.L10,
        RuleId.T6,
        RuleId.T6_NEW_TERM,
        RuleId.Z1,
    }


def test_education_plans_of_a_year_are_due_on_the_days_that_a_count_day_by_day_gives() -> None:
    random = Random(903)
    for _ in range(LEARNERS):
        day = FIRST + timedelta(days=random.randint(0, 364))
        school = random.choice((PLAIN, LONG))
        plan = first_plan(day, CALENDARS)
        starts = [a for a, _ in TERMS[::2] if a > str(day)]

        assert plan.initiate_by.due == walk(day, 10, works)
        assert plan.due.due == walk(day, 20, works)
        assert str(next_review(day, CALENDARS, school).due) == next(end for end in TERM_ENDS if end > starts[0])
