"""Rows of a return, and the account of what became of each: used, reported, or said again by a later return."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from agents.connectors.contract import SourceError, SourceProblem
from agents.connectors.ssda903.codes import collection_year, standing
from agents.connectors.ssda903.tables import Column, Table, parse_day, parse_part_day

LONGEST_ID: Final = 20
"""Most characters of an authority's own id of a child; 10 in the XML form."""


@dataclass(slots=True, eq=False)
class Row:
    """One row of a file, or what the XML form has in its place.

    Attributes:
        place: ``row 12``, or ``child 3, EPISODE 2, line 40``.
        cells: Values in capitals by column, outer blanks off, empty ones left out.
        reported: Somebody has been told that it is not used.
    """

    table: Table
    file: str
    place: str
    cells: Mapping[str, str] = field(repr=False)
    reported: bool = False

    @property
    def position(self) -> str:
        """Where it is, for people."""
        return f"{self.file} {self.place}"

    def get(self, name: str) -> str:
        """Return a value; empty when there is none."""
        return self.cells.get(name, "")


@dataclass(slots=True)
class Child:
    """All rows of one child, by the name of their table.

    Attributes:
        says_uasc: The return tells of the child whether it seeks asylum without parents; no row in UASC then means no.
    """

    id: str = field(repr=False)
    rows: dict[str, list[Row]] = field(default_factory=dict, repr=False)
    says_uasc: bool = False

    def add(self, row: Row) -> None:
        """Add a row."""
        self.rows.setdefault(row.table.name, []).append(row)

    def of(self, table: str) -> list[Row]:
        """Return the rows of a table that nobody has refused."""
        return [row for row in self.rows.get(table, ()) if not row.reported]


@dataclass(frozen=True, slots=True)
class TableCount:
    """What became of the rows of one table of one file: ``rows = used + reported + repeated``.

    Attributes:
        repeated: Rows of an earlier return that the present one says again, or of children who are not in it.
    """

    file: str
    table: str
    rows: int
    used: int
    reported: int
    repeated: int


class Report:
    """Collects problems of a return, and counts its rows; nothing in it tells a value."""

    def __init__(self, max_rows: int) -> None:
        self._left = self._max_rows = max_rows
        self._problems: list[SourceProblem] = []
        self._rows: dict[tuple[str, str], Counter[str]] = {}

    def read(self, row: Row) -> None:
        """Count a row that a file has.

        Raises:
            SourceError: There are more than one authority has.
        """
        self._left -= 1
        if self._left < 0:
            raise SourceError(f"more than {self._max_rows:,} rows: set max_rows if this is one authority's return")
        self._count(row, "rows")

    def refuse(self, row: Row, rule: str, message: str) -> None:
        """Report a row that cannot be used."""
        self._unused(row, rule, message, "refuse")

    def leave(self, row: Row, rule: str, message: str) -> None:
        """Report a row that is right by itself and not used."""
        self._unused(row, rule, message, "warn")

    def warn(self, row: Row, rule: str, message: str) -> None:
        """Report something wrong with a row that is used all the same."""
        self._problems.append(SourceProblem(row.position, rule, message))

    def note(self, problem: SourceProblem) -> None:
        """Report something that is about no row."""
        self._problems.append(problem)

    def used(self, rows: Iterable[Row]) -> None:
        """Count rows as used, but those that were reported."""
        for row in rows:
            if not row.reported:
                self._count(row, "used")

    def repeated(self, row: Row) -> None:
        """Count a row of an earlier return of which nothing is needed."""
        self._count(row, "repeated")

    def take(self) -> list[SourceProblem]:
        """Return the problems since the last time."""
        problems, self._problems = self._problems, []
        return problems

    def counts(self) -> tuple[TableCount, ...]:
        """Return the counts by file and table."""
        return tuple(
            TableCount(file, table, count["rows"], count["used"], count["reported"], count["repeated"])
            for (file, table), count in self._rows.items()
        )

    def _unused(self, row: Row, rule: str, message: str, severity: Literal["refuse", "warn"]) -> None:
        if not row.reported:
            row.reported = True
            self._count(row, "reported")
        self._problems.append(SourceProblem(row.position, rule, message, severity))

    def _count(self, row: Row, what: str) -> None:
        self._rows.setdefault((row.file, row.table.name), Counter())[what] += 1


def clean(row: Row, year: int, report: Report) -> dict[str, str] | None:
    """Return the values of a row, dates as yyyy-mm-dd, without those that cannot be used; None when it is refused.

    A code has to be one of the collection year; in an episode that ended before it, one of the year in which it ended.
    """
    years = {year}
    ended = parse_day(row.get("DEC")) if row.table.name == "Episodes" else None
    if ended is not None and collection_year(ended) < year:
        years.add(collection_year(ended))
    values: dict[str, str] = {}
    for column in row.table.columns:
        text = row.get(column.name)
        if not text:
            if column.must == "value":
                report.refuse(row, "missing", f"{column.name} is empty: fill it")
                return None
            continue
        value = _value(row, column, text, years, report)
        if row.reported:
            return None
        if value:
            values[column.name] = value
    return values


def _value(row: Row, column: Column, text: str, years: set[int], report: Report) -> str:
    """Return a value as it is handed on; empty when it cannot be used, which is reported."""
    name = column.name
    if column.kind == "day":
        day = parse_day(text)
        if day is not None:
            return day.isoformat()
        wrong, rule = f"{name} is not a date of the form dd/mm/yyyy", "date"
    elif column.kind == "part-day":
        known = parse_part_day(text)
        if known is not None:
            return known
        wrong, rule = f"{name} is not a date of the form dd/mm/yyyy, with zz for what is not known", "date"
    elif column.kind == "code":
        found = standing(column.codes, text, years)
        if found == "other-year":
            message = f"{name} has a code that is not of this collection year: use the list of the return's year"
            report.warn(row, "code-year", message)
        if found != "unknown":
            return text
        wrong, rule = f"{name} has a code that is not in its list", "code"
    else:
        return text
    if column.must == "value" or (column.must == "cell" and column.kind == "day"):
        report.refuse(row, rule, f"{wrong}: correct it")
    else:
        report.warn(row, rule, f"{wrong}: it is left out; correct it")
    return ""


def day_of(values: Mapping[str, str], name: str) -> date | None:
    """Return a date of a row that is clean."""
    return date.fromisoformat(values[name]) if name in values else None
