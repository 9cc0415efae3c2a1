"""Calendars of schools and authorities: which days count, and when terms begin and end.

Read from ``calendars/<name>.toml`` of a zone's folder; what is due when is the deadlines' work. All dates are local.
"""

import tomllib
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from broker.agreements import validation_problems
from broker.protocol.errors import ConfigurationError, ZoneError

ENGLAND: Final = "England"
"""Name of the calendar that has bank holidays alone; a file of this name adds some, such as one for a jubilee."""
LONDON: Final = ZoneInfo("Europe/London")

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
_AUGUST: Final = 8
"""Academic years are counted from the first of August: some schools begin in its last week."""
_AUTHORITY_LENGTH: Final = 3


class DayKind(StrEnum):
    """How the days of a deadline count, in the words of LearnerTransfer/CTFDueDate/@DayKind."""

    SCHOOL_DAY = "SchoolDay"
    WORKING_DAY = "WorkingDay"
    CALENDAR_DAY = "CalendarDay"
    TERM = "Term"
    MONTH = "Month"


class TermCode(StrEnum):
    """A term of an academic year, in the words of LearnerEducationPlan/Term; in their order."""

    AUTUMN = "AUT"
    SPRING = "SPR"
    SUMMER = "SUM"


class CalendarTooShort(ZoneError):
    """A calendar says nothing about the days that would have to be counted."""

    def __init__(self, calendar: str, day: date) -> None:
        self.calendar, self.day = calendar, day
        super().__init__(
            f"calendar {calendar!r} does not say which days from {day} are school days: add the terms of that "
            f"academic year to calendars/{calendar}.toml"
        )


class Span(NamedTuple):
    """Days from the first to the last, both of which count."""

    starts: date
    ends: date

    def has(self, day: date) -> bool:
        """Tell whether *day* is one of them."""
        return self.starts <= day <= self.ends


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """A term, its half-term holiday included.

    Attributes:
        starts: First day of the term, ``ends`` the last.
        half_term: The holiday within; None when there is none.
    """

    starts: date
    ends: date
    code: TermCode
    half_term: Span | None = field(default=None, compare=False)

    @property
    def academic_year(self) -> int:
        """The calendar year in which its academic year begins."""
        return academic_year(self.starts)

    def has(self, day: date) -> bool:
        """Tell whether *day* is in it, in half-term too."""
        return self.starts <= day <= self.ends


@dataclass(frozen=True, slots=True)
class Calendar:
    """When one school, or the schools of one authority, meet.

    Attributes:
        name: Name of its file, which is the number of the establishment or of the authority.
        terms: In order; whole academic years without a gap, or none at all.
        closed: Days off that are not holidays, such as those when a school is snowed in.
        inset: Days on which teachers are trained and learners stay at home.
        bank_holidays: Those that :mod:`holidays` does not have yet.
    """

    name: str
    title: str = ""
    terms: tuple[Term, ...] = ()
    closed: tuple[Span, ...] = ()
    inset: frozenset[date] = frozenset()
    bank_holidays: frozenset[date] = frozenset()
    _school_days: tuple[date, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        days = (day for term in self.terms for day in _days(term.starts, term.ends) if self._meets(term, day))
        object.__setattr__(self, "_school_days", tuple(sorted(set(days))))

    def _meets(self, term: Term, day: date) -> bool:
        off = day in self.inset or (term.half_term is not None and term.half_term.has(day))
        return not off and self.is_working_day(day) and not any(span.has(day) for span in self.closed)

    @property
    def known(self) -> Span | None:
        """The days of the academic years that it has; None when it has none."""
        if not self.terms:
            return None
        return Span(date(self.terms[0].academic_year, 8, 1), date(self.terms[-1].academic_year + 1, 7, 31))

    def is_working_day(self, day: date) -> bool:
        """Tell whether *day* is neither on a weekend nor a bank holiday in England."""
        if day.weekday() >= _SATURDAY or day in self.bank_holidays:
            return False
        return day not in bank_holidays_of_england(day.year)

    def is_school_day(self, day: date) -> bool:
        """Tell whether learners go to school on *day*.

        Raises:
            CalendarTooShort: The calendar does not have the academic year.
        """
        self._check_known(day)
        place = bisect_right(self._school_days, day)
        return place > 0 and self._school_days[place - 1] == day

    def school_days_between(self, after: date, until: date) -> int:
        """Return the number of school days after *after*, up to *until* and with it; 0 when that is not later.

        Raises:
            CalendarTooShort: The calendar does not have an academic year of these days.
        """
        self._check_known(after)
        self._check_known(until)
        return max(0, bisect_right(self._school_days, until) - bisect_right(self._school_days, after))

    def term_of(self, day: date) -> Term | None:
        """Return the term that *day* is in, half-term included; None on a day between terms.

        Raises:
            CalendarTooShort: The calendar does not have the academic year.
        """
        self._check_known(day)
        return next((term for term in self.terms if term.has(day)), None)

    def next_term(self, day: date) -> Term:
        """Return the first term that starts after *day*.

        Raises:
            CalendarTooShort: The calendar has none.
        """
        self._check_known(day)
        term = next((term for term in self.terms if term.starts > day), None)
        if term is None:
            raise CalendarTooShort(self.name, self.terms[-1].ends + _DAY)
        return term

    def add(self, day: date, number: int, kind: DayKind) -> date:
        """Return the day that is *number* days, terms or months after *day*, which does not itself count.

        A month ends on the day of the same number, or on the last of a month that has no such day. Some terms on is the
        last day of the *number*-th term that starts after *day*; no term on is the last day of the term that *day* is
        in or, between terms, of the next. In all other kinds, 0 is *day* itself.

        Raises:
            CalendarTooShort: Terms or school days are to be counted that the calendar does not have.
            ValueError: *number* is negative.

        Source:
            That the day itself does not count is the usual reading of "within n days of"; months by the rule of the
            corresponding date (Dodds v Walker [1981] UKHL 3).
        """
        if number < 0:
            raise ValueError("a deadline is after its trigger: count forwards")
        match kind:
            case DayKind.CALENDAR_DAY:
                return day + timedelta(days=number)
            case DayKind.MONTH:
                return _months_on(day, number)
            case DayKind.WORKING_DAY:
                return self._working_days_on(day, number)
            case DayKind.SCHOOL_DAY:
                return self._school_days_on(day, number)
            case DayKind.TERM:
                return self._terms_on(day, number)

    def _working_days_on(self, day: date, number: int) -> date:
        while number:
            day += _DAY
            number -= self.is_working_day(day)
        return day

    def _school_days_on(self, day: date, number: int) -> date:
        if number == 0:
            return day
        self._check_known(day)
        place = bisect_right(self._school_days, day) + number - 1
        if place >= len(self._school_days):
            raise CalendarTooShort(self.name, self.terms[-1].ends + _DAY)
        return self._school_days[place]

    def _terms_on(self, day: date, number: int) -> date:
        term = self.term_of(day)
        if term is not None and number == 0:
            return term.ends
        term = self.next_term(day)
        for _ in range(number - 1):
            term = self.next_term(term.starts)
        return term.ends

    def _check_known(self, day: date) -> None:
        known = self.known
        if known is None or not known.has(day):
            raise CalendarTooShort(self.name, day)


@dataclass(frozen=True, slots=True)
class Calendars:
    """All calendars of a zone, by name."""

    by_name: Mapping[str, Calendar] = field(default_factory=dict)
    _england: Calendar = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_england", self.by_name.get(ENGLAND) or Calendar(ENGLAND))

    @property
    def england(self) -> Calendar:
        """What working days, calendar days and months are counted by."""
        return self._england

    def of(self, *establishments: str) -> Calendar:
        """Return the calendar of a school that has or had these numbers.

        That is its own, by the first number that has one; else its authority's; else England's, without school days.
        """
        numbers = [*establishments, *(number[:_AUTHORITY_LENGTH] for number in establishments)]
        return next((self.by_name[number] for number in numbers if number in self.by_name), self.england)


def academic_year(day: date) -> int:
    """Return the calendar year in which the academic year of *day* begins: 2025 from 1 August 2025.

    Source:
        DfE Common Transfer File, AcademicYear.
    """
    return day.year if day.month >= _AUGUST else day.year - 1


def local_date(moment: datetime) -> date:
    """Return the date in England at *moment*.

    Raises:
        ValueError: *moment* has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return moment.astimezone(LONDON).date()


@lru_cache(maxsize=256)
def bank_holidays_of_england(year: int) -> frozenset[date]:
    """Return the bank holidays of *year* in England, those in lieu included."""
    # Imported here: it takes a tenth of each command's start, and most commands ask for no day.
    import holidays

    return frozenset(holidays.country_holidays("GB", subdiv="ENG", years=year))


class _SpanFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    starts: date
    ends: date

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.ends < self.starts:
            raise ValueError("it ends before it starts: put the dates right")
        return self


class _TermFile(_SpanFile):
    term: TermCode
    half_term: _SpanFile | None = None

    @model_validator(mode="after")
    def _check_half_term(self) -> Self:
        if self.half_term and not self.starts <= self.half_term.starts <= self.half_term.ends <= self.ends:
            raise ValueError("half_term is not within the term: put the dates right")
        return self


class _ClosureFile(_SpanFile):
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class _CalendarFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    title: Annotated[str, Field(min_length=1, max_length=200)]
    follows: Annotated[str, Field(pattern=r"^([A-Za-z0-9]{1,64})?$")] = ""
    terms: tuple[_TermFile, ...] = ()
    closures: tuple[_ClosureFile, ...] = ()
    inset: tuple[date, ...] = ()
    bank_holidays: tuple[date, ...] = ()


def parse_calendar(text: bytes, name: str, others: Mapping[str, bytes] | None = None) -> Calendar:
    """Return the calendar in the TOML *text*; *name* is its file's name without ``.toml``.

    ::

        title = "Larkrise Primary School"
        follows = "820"                  # the authority's calendar: here is only what differs
        inset = [2025-09-01, 2026-01-05]

        [[terms]]                        # takes the place of the authority's
        term = "AUT"                     # AUT SPR SUM
        starts = 2025-09-02
        ends = 2025-12-19
        half_term = { starts = 2025-10-27, ends = 2025-10-31 }

        [[closures]]
        starts = 2026-01-12
        ends = 2026-01-13
        reason = "Snow"

    Args:
        others: The texts of the zone's other calendars by name, one of which it may follow.

    Raises:
        ConfigurationError: Lists every problem: syntax, unknown keys, dates out of order, terms that overlap, an
            academic year that is not whole (days would be missing from every count).
    """
    content = _read(text, name)
    others = others or {}
    followed: _CalendarFile | None = None
    if content.follows:
        if content.follows not in others:
            raise ConfigurationError(f"{name}: follows {content.follows!r}, and there is no such calendar: add it")
        followed = _read(others[content.follows], content.follows)
        if followed.follows:
            raise ConfigurationError(f"{name}: {content.follows!r} follows another: follow {followed.follows!r} itself")
    files = (followed, content) if followed else (content,)
    by_code = {(term.academic_year, term.code): term for file in files for term in map(_term, file.terms)}
    twice = len({(term.academic_year, term.code) for term in map(_term, content.terms)}) < len(content.terms)
    terms = tuple(sorted(by_code.values()))
    problems = [*(["a term is given twice: leave one of them"] if twice else ()), *_term_problems(terms)]
    if problems:
        raise ConfigurationError(f"{name}: " + "; ".join(problems))
    return Calendar(
        name,
        content.title,
        terms,
        tuple(Span(closure.starts, closure.ends) for file in files for closure in file.closures),
        frozenset(day for file in files for day in file.inset),
        frozenset(day for file in files for day in file.bank_holidays),
    )


def parse_calendars(texts: Mapping[str, bytes]) -> Calendars:
    """Return the calendars in *texts*, which are by name.

    The bank holidays that England's has beside the library's are every other's, too.

    Raises:
        ConfigurationError: One of them cannot be used.
    """
    parsed = {name: parse_calendar(text, name, texts) for name, text in sorted(texts.items())}
    national = parsed[ENGLAND].bank_holidays if ENGLAND in parsed else frozenset()
    return Calendars({name: _with_bank_holidays(calendar, national) for name, calendar in parsed.items()})


def load_calendars(folder: Path) -> Calendars:
    """Return the calendars in *folder* (``*.toml``), each named as its file; none when the folder is missing.

    Raises:
        ConfigurationError: A file cannot be read or used.
    """
    try:
        return parse_calendars({path.stem: path.read_bytes() for path in folder.glob("*.toml")})
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be read: {error}") from error


def _read(text: bytes, name: str) -> _CalendarFile:
    try:
        return _CalendarFile.model_validate(tomllib.loads(text.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}: not a TOML file: {error}") from error
    except ValidationError as error:
        problems = validation_problems(error, _CalendarFile, _TermFile, _ClosureFile)
        raise ConfigurationError(f"{name}: " + "; ".join(problems)) from error


def _term(file: _TermFile) -> Term:
    half_term = Span(file.half_term.starts, file.half_term.ends) if file.half_term else None
    return Term(file.starts, file.ends, file.term, half_term)


def _term_problems(terms: tuple[Term, ...]) -> Iterable[str]:
    for before, after in pairwise(terms):
        if after.starts <= before.ends:
            yield f"the term from {after.starts} starts before the one from {before.starts} has ended: put them right"
    if not terms:
        return
    for year in range(terms[0].academic_year, terms[-1].academic_year + 1):
        codes = [term.code for term in terms if term.academic_year == year]
        if codes != list(TermCode):
            found = ", ".join(codes) or "none"
            yield f"the academic year from {year} has the terms {found}: give AUT, SPR and SUM, in this order"


def _with_bank_holidays(calendar: Calendar, days: frozenset[date]) -> Calendar:
    return Calendar(
        calendar.name, calendar.title, calendar.terms, calendar.closed, calendar.inset, calendar.bank_holidays | days
    )


def _months_on(day: date, number: int) -> date:
    month = day.month - 1 + number
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


__all__ = [
    # calendars
    "ENGLAND",
    "LONDON",
    "Calendar",
    "CalendarTooShort",
    "Calendars",
    "DayKind",
    "Span",
    "Term",
    "TermCode",
    # reading them
    "load_calendars",
    "parse_calendar",
    "parse_calendars",
    # days
    "academic_year",
    "bank_holidays_of_england",
    "local_date",
]
