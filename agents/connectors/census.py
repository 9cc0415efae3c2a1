"""Reads attendance totals and exclusions as the school census has them: tables of pupils, sessions and exclusions.

All tables of one census are read together. Every row is used, or reported with its row and the reason: the counts of
both add up to the rows that there are. What the fields mean is the mapping's.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, Field, StringConstraints

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.csv import CsvOptions, CsvSource
from agents.connectors.days import parse_day
from mappings import Record

_CENSUS: Final = re.compile(r"(?<!\d)(20\d\d)[_ -]?(autumn|spring|summer)", re.IGNORECASE)
_SCHOOL: Final = re.compile(r"\d{7}", re.ASCII)
_NUMBER: Final = re.compile(r"(\d{1,6})(?:\.0+)?", re.ASCII)
_PUPILS: Final = {"pupilonrolltableid": "onroll", "pupilnolongeronrolltableid": "offroll"}
_SPANS: Final = ("termly", "summerhalfterm2")
"""What the columns and tables of a span of weeks begin with."""
_SATURDAY: Final = 5
_AUTHORISED: Final = frozenset({"C", "C1", "C2", "E", "F", "H", "I", "J1", "M", "R", "S", "T"})
_UNAUTHORISED: Final = frozenset({"G", "N", "O", "U"})
_ATTENDED: Final = frozenset({"/", "\\", "B", "J", "K", "L", "P", "V", "W"})
_NOT_POSSIBLE: Final = frozenset({"#", "D", "Q", "X", "Y", "Y1", "Y2", "Y3", "Y4", "Y5", "Y6", "Y7", "Z"})
"""Kinds of attendance codes, by the Department for Education's guidance of August 2024."""


class CensusOptions(CsvOptions):
    """Options of ``connector = "census"``."""

    census: Annotated[str, StringConstraints(pattern=r"(?i)^(20\d\d (autumn|spring|summer))?$")] = Field(
        default="", description='Which census it is, for example "2026 autumn"; by the names of the files if left out.'
    )
    schools: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9]{7}$")]] = Field(
        default_factory=dict,
        description='DfE numbers of schools by NativeId: { SCH1 = "8209901" }; a NativeId of 7 digits is one itself.',
    )


@dataclass(slots=True)
class TableCount:
    """What became of the rows of one file: *used* and *reported* add up to *rows*."""

    file: str
    rows: int = 0
    used: int = 0
    reported: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a table, by headings in small letters."""

    count: TableCount
    number: str
    fields: Mapping[str, str] = field(repr=False)

    @property
    def position(self) -> str:
        return f"{self.count.file} {self.number}"

    def get(self, name: str) -> str:
        return self.fields.get(name, "")

    def use(self) -> None:
        self.count.used += 1

    def refuse(self, rule: str, message: str) -> SourceProblem:
        self.count.reported += 1
        return SourceProblem(self.position, rule, message, "refuse")


@dataclass(slots=True)
class _Pupil:
    row: _Row
    details: dict[str, dict[str, tuple[int, _Row]]] = field(default_factory=dict)  # by span and code
    exclusions: dict[tuple[str, str], tuple[dict[str, str], _Row]] = field(default_factory=dict)


@dataclass(slots=True)
class _Return:
    """All that one census says."""

    pupils: list[_Pupil] = field(default_factory=list)
    by_source: dict[str, _Pupil] = field(default_factory=dict)  # sourceid names the row of a pupil at a school
    by_school: dict[tuple[str, str, str], _Pupil] = field(default_factory=dict)

    def pupil_of(self, row: _Row) -> _Pupil | None:
        found = self.by_source.get(row.get("sourceid"))
        return found or self.by_school.get(_identity(row))


class CensusSource:
    """Pupils of a census as records, with their spans of attendance and their exclusions as groups."""

    Options: ClassVar[type[BaseModel]] = CensusOptions

    def __init__(self, options: CensusOptions) -> None:
        self._options = options
        self._done: dict[tuple[Path, str], tuple[str, Path]] = {}
        self._counts: list[TableCount] = []

    @property
    def counts(self) -> tuple[TableCount, ...]:
        """What became of the rows of the census that was read last, by file."""
        return tuple(self._counts)

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each pupil, with all that the tables of its census have of the pupil.

        Groups: ``Spans``, each with ``Reasons``, and ``Exclusions``. Dates are ISO, numbers whole.

        Raises:
            SourceError: It is not said which census it is, or its table of pupils is not there.

        Source:
            DfE school census, as authorities load it into tables; the months of a span are our own rule.
        """
        census = self._census(path)
        files = sorted(file for file in path.parent.glob("*.csv") if self._census(file, census) == census)
        digest = _digest(files)
        known, other = self._done.get((path.parent, census), ("", path))
        if known == digest and other != path:
            message = f"this census has been read already, with {other.name}: its records and problems are there"
            yield SourceProblem(path.name, "read-already", message, incomplete=True)
            return
        self._counts = []
        found = _Return()
        tables = {file: self._fields(file) for file in files}
        if not any(names & _PUPILS.keys() and "upn" in names for names in tables.values()):
            raise SourceError("there is no table of pupils beside it (pupilonroll or pupilnolongeronroll): export it")
        # Pupils first, whatever the files are called.
        for file, names in sorted(tables.items(), key=lambda item: "upn" not in item[1]):
            yield from self._table(file, names, found)
        for pupil in found.pupils:
            yield from self._pupil(pupil, census)
        for count in self._counts:
            if count.reported:
                message = f"{count.rows:,} rows, {count.used:,} used, {count.reported:,} reported"
                yield SourceProblem(count.file, "rows", message)
        self._done[path.parent, census] = digest, path

    def _census(self, path: Path, default: str = "") -> str:
        """Return ``2024 autumn``, by the file's name or the settings."""
        named = _CENSUS.search(path.name)
        census = f"{named[1]} {named[2]}".lower() if named else (self._options.census or default).lower()
        if not census:
            raise SourceError(
                "nothing says which census it is: name the file as 2026_autumn_pupilonroll.csv, or set census"
            )
        return census

    def _fields(self, path: Path) -> frozenset[str]:
        try:
            first = next(CsvSource(self._options).read(path), None)
        except SourceError as error:
            raise SourceError(f"{path.name}: {error.reason}", error.line) from error
        return frozenset(map(_small, first.names)) if isinstance(first, SourceFields) else frozenset()

    def _table(self, path: Path, names: frozenset[str], found: _Return) -> Iterator[SourceProblem]:
        """Yield what is wrong with a table, and put its rows where they belong."""
        count = TableCount(path.name)
        self._counts.append(count)
        kind = _kind(names)
        for item in CsvSource(self._options).read(path):
            if isinstance(item, SourceProblem):
                refused = item.severity == "refuse"
                count.rows += refused
                count.reported += refused
                yield SourceProblem(f"{path.name} {item.position}", item.rule, item.message, item.severity)
            elif isinstance(item, Record):
                count.rows += 1
                row = _Row(count, item.position, {_small(name): value for name, value in item.fields.items()})
                if kind == "pupils":
                    yield from self._add_pupil(row, found)
                elif kind == "exclusions":
                    yield from _add_exclusion(row, found)
                elif kind:
                    yield from _add_detail(row, kind, found)
                else:
                    count.reported += 1
        if not kind and count.rows:
            message = f"a table that is not read: its {count.rows:,} rows say nothing of attendance or exclusions"
            yield SourceProblem(path.name, "table", message)

    def _add_pupil(self, row: _Row, found: _Return) -> Iterator[SourceProblem]:
        if not self._school(row):
            message = "NativeId is neither a DfE number of 7 digits nor among the schools of the settings: add it there"
            yield row.refuse("school", message)
        elif not row.get("upn") and not (row.get("surname") and row.get("forename") and parse_day(row.get("dob"))):
            yield row.refuse("key", "nothing tells the pupil from others: fill upn, or surname, forename and dob")
        elif _identity(row) in found.by_school and not row.get("sourceid"):
            yield row.refuse("duplicate", "this pupil is in an earlier row of the same school: remove one of them")
        else:
            pupil = _Pupil(row)
            found.pupils.append(pupil)
            found.by_school.setdefault(_identity(row), pupil)
            if row.get("sourceid"):
                found.by_source.setdefault(row.get("sourceid"), pupil)

    def _school(self, row: _Row) -> str:
        native = row.get("nativeid")
        return self._options.schools.get(native) or (native if _SCHOOL.fullmatch(native) else "")

    def _pupil(self, pupil: _Pupil, census: str) -> Iterator[Item]:
        row, school = pupil.row, self._school(pupil.row)
        day = parse_day(row.get("dob"))
        fields = {
            "UPN": row.get("upn"),
            "Surname": row.get("surname"),
            "Forename": row.get("forename"),
            "DOB": day.isoformat() if day else "",
            "LA": school[:3],
            "Estab": school[3:],
        }
        groups: dict[str, tuple[Record, ...]] = {}
        record = Record(row.position, {name: value for name, value in fields.items() if value}, groups)
        spans: list[Record] = []
        for span in _SPANS:
            made, problems = _span(pupil, span, census, record)
            spans += made
            yield from problems
        excluded = [Record(line.position, values, parent=record) for values, line in pupil.exclusions.values()]
        groups.update({"Spans": tuple(spans), "Exclusions": tuple(excluded)})
        if not spans and not excluded:
            yield row.refuse("nothing", "no sessions that can be used, and no exclusion: nothing to tell of the pupil")
            return
        row.use()
        for _, line in pupil.exclusions.values():
            line.use()
        yield record


def _digest(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()


@lru_cache(maxsize=1024)
def _small(name: str) -> str:
    """Return a heading in small letters, one and the same text for all rows."""
    return name.lower()


def _kind(names: frozenset[str]) -> str:
    """Return ``pupils``, ``exclusions``, the span of a table of sessions, or nothing for a table that is not read."""
    if names & _PUPILS.keys() and "upn" in names:
        return "pupils"
    if not names & _PUPILS.keys():
        return ""
    if {"startdate", "category", "reason1"} <= names:
        return "exclusions"
    if {"sessions", "attendancereason"} <= names:
        return "summerhalfterm2" if any(name.startswith("summerhalfterm2") for name in names) else "termly"
    return ""


def _identity(row: _Row) -> tuple[str, str, str]:
    """Return which pupil a row is of: the side of the register, the pupil's id there, and the school."""
    name = next((name for name in _PUPILS if name in row.fields), "")
    return name, row.get(name), row.get("nativeid")


def _number(text: str) -> int | None:
    found = _NUMBER.fullmatch(text)
    return int(found[1]) if found else None


def _add_detail(row: _Row, span: str, found: _Return) -> Iterator[SourceProblem]:
    pupil, code, sessions = found.pupil_of(row), row.get("attendancereason").upper(), _number(row.get("sessions"))
    if pupil is None:
        yield row.refuse("orphan", "its pupil is not in the table of pupils, or was refused there: mend that row")
    elif code not in _AUTHORISED | _UNAUTHORISED | _ATTENDED | _NOT_POSSIBLE:
        yield row.refuse("code", "attendancereason is empty or no attendance code: correct it")
    elif sessions is None:
        yield row.refuse("number", "sessions is empty or not a whole number: correct it")
    elif code in pupil.details.setdefault(span, {}):
        yield row.refuse("duplicate", "the pupil has this code in an earlier row: make one of both")
    else:
        pupil.details[span][code] = sessions, row


def _add_exclusion(row: _Row, found: _Return) -> Iterator[SourceProblem]:
    pupil, day = found.pupil_of(row), parse_day(row.get("startdate"))
    if pupil is None:
        yield row.refuse("orphan", "its pupil is not in the table of pupils, or was refused there: mend that row")
        return
    if day is None:
        yield row.refuse("date", "startdate is empty or not a date: correct it")
        return
    if day.weekday() >= _SATURDAY:
        yield row.refuse("weekend", "startdate is on a weekend, which has no sessions: correct it")
        return
    missing = [name for name in ("category", "reason1") if not row.get(name)]
    if missing:
        yield row.refuse("mandatory", f"{' and '.join(missing)} must be filled: fill it in the source")
        return
    # The census has no session: the first of the day is meant, as Monday morning is 1 and Friday afternoon is 10.
    session = str(day.weekday() * 2 + 1)
    if (day.isoformat(), session) in pupil.exclusions:
        yield row.refuse("duplicate", "another exclusion of the pupil begins on this day: correct one of them")
        return
    values = {
        "Category": row.get("category").upper(),
        "Reason": row.get("reason1").upper(),
        "StartDate": day.isoformat(),
        "StartSession": session,
    }
    sessions = _number(row.get("sessions"))
    if sessions is not None:
        values["Sessions"] = str(sessions)
    elif row.get("sessions"):
        message = "sessions is not a whole number: it is left out; correct it"
        yield SourceProblem(row.position, "number", message)
    pupil.exclusions[day.isoformat(), session] = values, row


def _span(pupil: _Pupil, span: str, census: str, parent: Record) -> tuple[list[Record], list[SourceProblem]]:
    """Return the record of one span of weeks, if its figures can be used, and what is wrong with them."""
    row, details = pupil.row, pupil.details.get(span, {})
    given = {name: row.get(f"{span}sessions{name}") for name in ("possible", "authorised", "unauthorised")}
    figures = {name: _number(text) for name, text in given.items()}
    wrong = [f"{span}sessions{name}" for name, text in given.items() if text and figures[name] is None]
    sums = {name: _sum(details, codes) for name, codes in _SUMMED.items()}
    authorised = sums["authorised"] if figures["authorised"] is None else figures["authorised"]
    unauthorised = sums["unauthorised"] if figures["unauthorised"] is None else figures["unauthorised"]
    possible = figures["possible"]
    reason = ""
    if wrong:
        reason = f"{', '.join(wrong)} not a whole number: correct it"
    elif possible is None:
        reason = f"{span}sessionspossible is empty: fill it" if details or any(given.values()) else ""
    elif authorised + unauthorised > possible:
        reason = f"{span}: more sessions of absence than are possible: correct one of them"
    if reason or possible is None:
        return [], _refused(row, details, reason)
    problems: list[SourceProblem] = []
    if any(figures[name] is not None and details and figures[name] != sums[name] for name in sums):
        message = f"{span}: the sessions by code do not add up to the totals of absence: both are sent as they are"
        problems.append(SourceProblem(row.position, "sums", message))
    for _, line in details.values():
        line.use()
    attended = possible - authorised - unauthorised
    starts, ends = _months(census, span)
    fields = {
        "SchoolYear": census[:4],
        "StartDate": starts.isoformat(),
        "EndDate": ends.isoformat(),
        "Possible": str(possible),
        "Attended": str(attended),
        "Authorised": str(authorised),
        "Unauthorised": str(unauthorised),
    }
    groups: dict[str, tuple[Record, ...]] = {}
    made = Record(row.position, fields, groups, parent)
    groups["Reasons"] = tuple(_reasons(row, attended, details, made))
    return [made], problems


_SUMMED: Final = {"authorised": _AUTHORISED, "unauthorised": _UNAUTHORISED}


def _sum(details: Mapping[str, tuple[int, _Row]], codes: frozenset[str]) -> int:
    return sum(sessions for code, (sessions, _) in details.items() if code in codes)


def _refused(row: _Row, details: Mapping[str, tuple[int, _Row]], reason: str) -> list[SourceProblem]:
    """Return why a span is not made; the rows of sessions that go with it are told of by their number."""
    if not reason:
        return []
    for _, line in details.values():
        line.count.reported += 1
    also = f"; its {len(details)} rows of sessions by code are not used either" if details else ""
    return [SourceProblem(row.position, "sessions", f"attendance is not made up: {reason}{also}", "refuse")]


def _reasons(row: _Row, attended: int, details: Mapping[str, tuple[int, _Row]], parent: Record) -> Iterator[Record]:
    """Yield sessions attended, then sessions by code, each with its kind."""
    yield _reason(row.position, "/", "Present", "NA", attended, parent)
    for code, (sessions, line) in sorted(details.items()):
        if code in _UNAUTHORISED:
            kind, status = "Late" if code == "U" else "Absent", "Unauthorised"
        elif code in _AUTHORISED:
            kind, status = "Absent", "Authorised"
        elif code in _ATTENDED:
            kind, status = "Late" if code == "L" else "Present", "NA"
        else:
            kind, status = "Other", "NA"
        if code != "/":  # those are among the sessions attended
            yield _reason(line.position, code, kind, status, sessions, parent)


def _reason(position: str, code: str, kind: str, status: str, total: int, parent: Record) -> Record:
    fields = {"Code": code, "Type": kind, "Status": status, "Total": str(total)}
    return Record(position, fields, parent=parent)


def _months(census: str, span: str) -> tuple[date, date]:
    """Return the months in which the sessions lie that a census tells of: those of the term before it."""
    year, term = int(census[:4]), census[5:]
    if term == "spring":
        return date(year - 1, 9, 1), date(year - 1, 12, 31)
    if term == "summer":
        return date(year, 1, 1), date(year, 3, 31)
    return (date(year, 4, 1), date(year, 5, 31)) if span == "termly" else (date(year, 6, 1), date(year, 7, 31))


__all__ = ["CensusOptions", "CensusSource", "TableCount"]
