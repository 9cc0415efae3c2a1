"""Reads daily attendance marks, a row for each mark or a column for each session, and says what is late or missing.

What the other columns mean is the mapping's. Nothing that is late is kept back: it is handed on, and reported.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel, Field

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.csv import CsvOptions, CsvSource
from agents.connectors.days import (
    CalendarFolder,
    Today,
    local_today,
    meets,
    parse_clock,
    parse_day,
    parse_moment,
    read_calendars,
    school_days_on,
)
from broker.calendars import Calendars
from mappings import Record

_MARK_COLUMNS: Final = frozenset({"Date", "Session", "Mark"})
_OF_A_MARK: Final = _MARK_COLUMNS | {"Minutes Late", "Arrived", "Recorded"}
_SESSION_COLUMN: Final = re.compile(r"([0-9/-]+[A-Za-z0-9/-]*) ?(AM|PM)", re.IGNORECASE | re.ASCII)
_TIMES: Final = (("Recorded", "23/11/2026 08:57", parse_moment), ("Arrived", "08:57", parse_clock))
_NO_MARK: Final = "-"
"""What school systems write where a mark is still to be given."""
_PRESENT: Final = frozenset({"/", "\\", "L", "U"})
_FARTHEST: Final = timedelta(days=366)
"""Absences are entered ahead, for as much as the rest of a school year; a day further off is a slip of the pen."""


class AttendanceOptions(CsvOptions):
    """Options of ``connector = "attendance"``."""

    calendars: CalendarFolder = Field(
        default=None, description="Folder with calendars, as a zone has them; all working days count when left out."
    )
    late_after: int = Field(
        default=1, ge=0, le=30, description="School days after its day on which a mark is still in time."
    )


@dataclass(slots=True)
class _Tally:
    """Who is in a report, and how many of them have a mark in each session."""

    pupils: dict[str, set[str]] = field(default_factory=dict)
    marks: Counter[tuple[str, date, str]] = field(default_factory=Counter)

    def add_pupil(self, school: str, fields: Mapping[str, str]) -> None:
        who = fields.get("UPN") or "\x1f".join(
            fields.get(name, "") for name in ("Legal Surname", "Legal Forename", "DOB")
        )
        self.pupils.setdefault(school, set()).add(who.upper())

    def expect(self, school: str, sessions: Iterable[tuple[date, str]], calendars: Calendars) -> None:
        """Count the sessions that a report has a column for, whoever has a mark, on days on which the school meets."""
        for day, session in sessions:
            if meets(calendars, school, day):
                self.marks[school, day, session] += 0

    def gaps(self, today: date) -> Iterator[SourceProblem]:
        """Yield a problem for each session up to today in which somebody has no mark, in their order."""
        for (school, day, session), number in sorted(self.marks.items()):
            absent = len(self.pupils.get(school, ())) - number
            if absent > 0 and day <= today:
                message = (
                    f"{absent} of the {number + absent} pupils in this report have no mark in this session: take the "
                    "register, or leave out who is not expected"
                )
                yield SourceProblem(f"{day:%d/%m/%Y} {session}", "no-mark", message)


class AttendanceSource:
    """Attendance marks as records, one for each, whichever form the report has."""

    Options: ClassVar[type[BaseModel]] = AttendanceOptions

    def __init__(self, options: AttendanceOptions, today: Today = local_today) -> None:
        self._options, self._today = options, today

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each mark, with the columns of the long form, and what is late, missing or impossible.

        Raises:
            SourceError: Not a CSV report, or without marks; the calendars cannot be used.

        Source:
            When a mark is late is our own rule.
        """
        calendars, today, tally = read_calendars(self._options.calendars), self._today(), _Tally()
        columns: dict[str, tuple[date, str]] = {}
        for item in CsvSource(self._options).read(path):
            if isinstance(item, SourceFields):
                columns, problems = _session_columns(item.names)
                if not columns and not item.names >= _MARK_COLUMNS:
                    missing = ", ".join(sorted(_MARK_COLUMNS - item.names))
                    raise SourceError(
                        f"the columns {missing} are missing, and there is none for a session such as "
                        "'23/11/2026 AM': export either form",
                        1,
                    )
                yield SourceFields(item.names - columns.keys() | (_OF_A_MARK if columns else frozenset()))
                yield from problems
            elif isinstance(item, SourceProblem):
                yield item
            else:
                school = _school(item.fields)
                if school not in tally.pupils:
                    tally.expect(school, columns.values(), calendars)
                tally.add_pupil(school, item.fields)
                for mark in _split(item, columns) if columns else (item,):
                    yield from self._mark(mark, tally, calendars, today)
        yield from tally.gaps(today)

    def _mark(self, mark: Record, tally: _Tally, calendars: Calendars, today: date) -> Iterator[Item]:
        code, day = mark.fields.get("Mark", _NO_MARK).upper(), parse_day(mark.fields.get("Date", ""))
        if day is not None and _impossible(day, code, today):
            message = "the mark is for a day that is still to come, too far off or one of presence: correct Date"
            yield SourceProblem(mark.position, "date-ahead", message, "refuse")
            return
        school, session = _school(mark.fields), mark.fields.get("Session", "").upper()
        if code == _NO_MARK:
            if day is None or day <= today:
                message = "there is no mark (column Mark): take the register, or enter the mark"
                yield SourceProblem(mark.position, "missing-mark", message)
            if day is not None:
                tally.marks[school, day, session] += 0  # the session took place: others' marks are expected too
            return
        if day is not None:
            tally.marks[school, day, session] += 1
        fields, problems = _completed(mark)
        yield from problems
        recorded = parse_moment(mark.fields.get("Recorded", ""))
        if day is not None and recorded is not None:
            limit = school_days_on(calendars, school, day, self._options.late_after)
            if recorded.date() > limit:
                message = (
                    f"recorded {(recorded.date() - day).days} days after its day, more than "
                    f"{self._options.late_after} of the school's: it is sent all the same"
                )
                yield SourceProblem(mark.position, "late-mark", message)
        yield Record(mark.position, fields)


def _school(fields: Mapping[str, str]) -> str:
    return fields.get("LA Number", "") + fields.get("Estab Number", "")


def _impossible(day: date, code: str, today: date) -> bool:
    return day > today + _FARTHEST or (day > today and code in _PRESENT)


def _session_columns(names: frozenset[str]) -> tuple[dict[str, tuple[date, str]], list[SourceProblem]]:
    """Return day and session of each column that is one, in their order, and what is wrong with such headings."""
    found: dict[str, tuple[date, str]] = {}
    problems: list[SourceProblem] = []
    for name in sorted(names):
        heading = _SESSION_COLUMN.fullmatch(name)
        if heading is None:
            continue
        day = parse_day(heading[1])
        if day is None:
            message = f"the column {name[:60]!r} has no right date: its marks are not read; correct the heading"
            problems.append(SourceProblem("row 1", "heading-date", message, "refuse"))
        elif (day, heading[2].upper()) in found.values():
            message = f"the column {name[:60]!r} is there for a session that another has, too: it is not read"
            problems.append(SourceProblem("row 1", "double-heading", message, "refuse"))
        else:
            found[name] = day, heading[2].upper()
    return dict(sorted(found.items(), key=lambda item: item[1])), problems


def _split(row: Record, columns: Mapping[str, tuple[date, str]]) -> Iterator[Record]:
    """Yield a record for each session of which the row has a mark; an empty cell says nothing."""
    pupil = {name: value for name, value in row.fields.items() if name not in columns and name not in _OF_A_MARK}
    for name, (day, session) in columns.items():
        if name in row.fields:
            fields = {**pupil, "Date": day.isoformat(), "Session": session, "Mark": row.fields[name]}
            yield Record(f"{row.position}, column {name}", fields)


def _completed(mark: Record) -> tuple[dict[str, str], list[SourceProblem]]:
    """Return the fields with times in the standard's form; one that cannot be read is left out and reported."""
    fields, problems = dict(mark.fields), []
    for column, example, parse in _TIMES:
        if column in fields:
            moment = parse(fields.pop(column))
            if moment is not None:
                fields[column] = moment.isoformat(timespec="seconds")
            else:
                message = f"{column} is not written as {example}: it is left out; correct it"
                problems.append(SourceProblem(mark.position, "time", message))
    return fields, problems


__all__ = ["AttendanceOptions", "AttendanceSource"]
