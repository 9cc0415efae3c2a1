"""Reads OneRoster packages: a record for each row, with what the rows that it refers to say; the mapping does the rest.

A package is a zip, or a folder, which is named by its manifest. Rows come table by table, what others refer to first.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.oneroster_files import (
    COLUMNS,
    MANIFEST,
    METADATA,
    ORDER,
    REFERENCES,
    Manifest,
    Package,
    open_package,
    package_files,
)
from agents.connectors.tables import row_fault
from mappings import Record

_LOOKED_UP: Final = ("orgs", "academicSessions", "courses", "classes")
"""Tables whose rows are kept while others are read: small ones beside users and enrollments."""
_REMOVED: Final = frozenset({"tobedeleted", "inactive"})
_STUDENT: Final = "student"
_KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "orgs": ("type", ("local", "school")),
    "academicSessions": ("type", ("term",)),
    "users": ("role", (_STUDENT, "teacher")),
    "enrollments": ("role", (_STUDENT,)),
}
"""By table, the column that says what a row is, and the values that mappings tell apart."""
_OF_THE_ROW: Final = frozenset({"status", "dateLastModified"})
_NOT_READ: Final = frozenset({"password"})
"""Some systems send it, in plain text; it is not for anybody here."""
_ADDED: Final = frozenset({"table", "removed", "schoolYear", "demographics/birthDate", "demographics/sex"})
_REFERS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    table: tuple((column, to) for of, column, to, _ in REFERENCES if of == table and to in _LOOKED_UP)
    for table in ORDER
}
Fields = dict[str, str]


class OneRosterOptions(BaseModel):
    """Options of ``connector = "oneroster-in"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ends: Literal["day-after", "last-day"] = Field(
        default="day-after",
        description="What an endDate is there; records have the last day. By the standard it is the day after.",
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(
        default=1 << 30, description="Most that all files of a package have, unpacked, in bytes."
    )


@dataclass(slots=True)
class _Kept:
    """What is kept of a package while its rows are handed on: by table and id, by user and by class."""

    rows: dict[str, dict[str, Fields]] = field(default_factory=lambda: {name: {} for name in _LOOKED_UP})
    demographics: dict[str, Fields] = field(default_factory=dict)
    roles: dict[str, list[tuple[str, Fields]]] = field(default_factory=dict)
    teachers: dict[str, list[tuple[str, Fields]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Row:
    """A row: where it stands, and its filled cells by column."""

    position: str
    fields: Fields


class OneRosterSource:
    """Rows of a OneRoster package as records."""

    Options: ClassVar[type[BaseModel]] = OneRosterOptions

    def __init__(self, options: OneRosterOptions) -> None:
        self._options = options

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return all files that are read with *path*: any of them may have changed."""
        return package_files(path)

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each row, at a position such as ``users.csv row 12``.

        Fields are named by column. Besides:

        - ``table``: which one the row is of.
        - ``removed``: ``true`` where the status is tobedeleted or inactive. Such a row may have nothing but its id: it
          is there once with each ``role`` or ``type`` that what it was may have had.
        - ``COLUMN/FIELD``: a field of the row that COLUMN names, the first of several: ``schoolSourcedId/identifier``.
        - ``schoolYear`` of courses and classes, by their academic sessions.
        - of users: ``demographics/birthDate`` and ``demographics/sex``; in 1.2, ``role``, ``orgSourcedIds``,
          ``beginDate`` and ``endDate`` by the primary role, so that both versions read alike; groups ``roles`` and
          ``orgs``.
        - of classes: the group ``teachers``, the enrollments of who is no student.
        - of academicSessions: the group ``schools``, all orgs of that type.

        Raises:
            SourceError: No package, not whole, or not safe to unpack; before the first record as far as can be told.

        Source:
            1EdTech OneRoster 1.1 and 1.2, CSV binding; what is tolerated beyond it is our own rule.
        """
        package = open_package(path, self._options.max_bytes)
        manifest = package.manifest()
        yield from manifest.problems
        if "delta" in manifest.modes.values():
            message = "a delta: what is not in it is left as it is"
            yield SourceProblem(package.names[MANIFEST], "partial", message, incomplete=True)
        tables = [table for table in ORDER if table in manifest.modes]
        headings = {table: _headings(package, manifest, table) for table in tables}
        yield SourceFields(_all_names(headings))
        for _, problems in headings.values():
            yield from problems
        names = {table: found for table, (found, _) in headings.items()}
        kept = self._kept(package, names)
        for table in tables:
            yield from self._records(package, table, names[table], kept)

    def _rows(self, package: Package, table: str, names: list[str]) -> Iterator[_Row | SourceProblem]:
        """Yield the rows of a table that have an id."""
        rows = package.rows(table)
        next(rows, None)
        for number, cells in rows:
            position = f"{package.names[table]} row {number}"
            fault = row_fault(position, cells, len(names))
            if fault is not None:
                yield fault
                continue
            fields = {name: text for name, cell in zip(names, cells, strict=False) if name and (text := cell.strip())}
            if "sourcedId" in fields:
                if "endDate" in fields and self._options.ends == "day-after":
                    fields["endDate"] = _day_before(fields["endDate"])
                yield _Row(position, fields)
            elif fields:
                message = "has no sourcedId, so that nobody can tell what it is: fill it"
                yield SourceProblem(position, "sourced-id", message, "refuse")

    def _kept(self, package: Package, names: Mapping[str, list[str]]) -> _Kept:
        """Return what rows need of other tables."""
        kept = _Kept()
        for table in (*_LOOKED_UP, "roles", "demographics", "enrollments"):
            for row in self._rows(package, table, names[table]) if table in names else ():
                if isinstance(row, _Row) and not _is_removed(row.fields):
                    _keep(kept, table, row)
        for table, column in (("courses", "schoolYearSourcedId"), ("classes", "termSourcedIds")):
            for fields in kept.rows[table].values():
                _set_year(fields, column, kept)
        return kept

    def _records(self, package: Package, table: str, names: list[str], kept: _Kept) -> Iterator[Item]:
        for row in self._rows(package, table, names):
            if isinstance(row, SourceProblem):
                yield row
                continue
            for one in _as_all_it_may_be(table, row):
                yield _record(table, one, kept)


def _headings(package: Package, manifest: Manifest, table: str) -> tuple[list[str], list[SourceProblem]]:
    """Return a name for each column, the standard's however it is spelt, and what is wrong with them."""
    name = package.names[table]
    cells = next(package.rows(table), (1, []))[1]
    standard = COLUMNS[manifest.version][table] if table in COLUMNS[manifest.version] else COLUMNS["1.2"][table]
    spelt = {column.casefold(): column for version in COLUMNS.values() for column in version.get(table, ())}
    names = [spelt.get(cell.strip().casefold(), cell.strip()) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if "sourcedId" not in names:
        raise SourceError(f"{name}: there is no column sourcedId: export it with its headings", 1)
    double = {column for column, count in Counter(names).items() if column and count > 1}
    if "sourcedId" in double:
        raise SourceError(f"{name}: two columns are headed sourcedId: remove one", 1)
    place = f"{name} row 1"
    problems = [
        SourceProblem(place, "double-heading", f"several columns are headed {column[:60]!r}, none is read: remove one")
        for column in sorted(double)
    ]
    own = [column for column in names if column and column not in standard and not column.startswith(METADATA)]
    if own:
        shown = ", ".join(column[:60] for column in own[:5])
        problems.append(SourceProblem(place, "column", f"OneRoster has no column {shown}: name it {METADATA}..."))
    missing = [column for column in standard if column not in names]
    if missing:
        shown = ", ".join(missing[:5])
        problems.append(SourceProblem(place, "column", f"the columns {shown} are missing: they are taken as empty"))
    return ["" if column in double or column in _NOT_READ else column for column in names], problems


def _all_names(headings: Mapping[str, tuple[list[str], list[SourceProblem]]]) -> frozenset[str]:
    """Return all fields that records may have."""
    own = {name for names, _ in headings.values() for name in names}
    through = {
        f"{column}/{name}"
        for table in headings
        for column, to in _REFERS[table]
        if to in headings
        for name in (*headings[to][0], "schoolYear")
    }
    return frozenset(own | through | _ADDED) - {""}


def _keep(kept: _Kept, table: str, row: _Row) -> None:
    fields = row.fields
    if table in kept.rows:
        kept.rows[table].setdefault(fields["sourcedId"], fields)
    elif table == "demographics":
        kept.demographics[fields["sourcedId"]] = {
            f"demographics/{name}": fields[name] for name in ("birthDate", "sex") if name in fields
        }
    elif table == "roles":
        kept.roles.setdefault(fields.get("userSourcedId", ""), []).append((row.position, fields))
    elif fields.get("role", _STUDENT).casefold() != _STUDENT:
        kept.teachers.setdefault(fields.get("classSourcedId", ""), []).append((row.position, fields))


def _record(table: str, row: _Row, kept: _Kept) -> Record:
    """Return a row as a record, with what is known of the rows that it refers to."""
    fields, key = {**row.fields, "table": table}, row.fields["sourcedId"]
    groups: dict[str, tuple[Record, ...]] = {}
    if _is_removed(fields):
        fields["removed"] = "true"
    record = Record(row.position, fields, groups)
    if table == "users":
        fields |= kept.demographics.get(key, {})
        roles = kept.roles.get(key, [])
        _set_role(fields, [role for _, role in roles])
        groups["roles"] = tuple(_member(position, role, "roles", kept, record) for position, role in roles)
        orgs = [org for one in _ids(fields.get("orgSourcedIds", "")) if (org := kept.rows["orgs"].get(one))]
        groups["orgs"] = tuple(_member(row.position, org, "orgs", kept, record) for org in orgs)
    elif table == "classes":
        _set_year(fields, "termSourcedIds", kept)
        teachers = kept.teachers.get(key, [])
        groups["teachers"] = tuple(_member(position, one, "enrollments", kept, record) for position, one in teachers)
    elif table == "courses":
        _set_year(fields, "schoolYearSourcedId", kept)
    elif table == "academicSessions":
        schools = [org for org in kept.rows["orgs"].values() if org.get("type", "").casefold() == "school"]
        groups["schools"] = tuple(_member(row.position, org, "orgs", kept, record) for org in schools)
    fields |= _referred(table, fields, kept)
    return record


def _member(position: str, fields: Fields, table: str, kept: _Kept, parent: Record) -> Record:
    return Record(position, fields | _referred(table, fields, kept), parent=parent)


def _referred(table: str, fields: Fields, kept: _Kept) -> Fields:
    """Return the fields of the rows that a row refers to, as ``COLUMN/FIELD``."""
    found: Fields = {}
    for column, to in _REFERS[table]:
        ids = _ids(fields.get(column, ""))
        other = kept.rows[to].get(ids[0]) if ids else None
        if other is not None:
            found |= {f"{column}/{name}": value for name, value in other.items() if name not in _OF_THE_ROW}
    return found


def _set_role(fields: Fields, roles: list[Fields]) -> None:
    """Give a user of 1.2 what one of 1.1 says itself, by the primary role, else the first."""
    if not roles:
        return
    first = next((role for role in roles if role.get("roleType", "").casefold() == "primary"), roles[0])
    ordered = [first, *(role for role in roles if role is not first)]
    orgs = dict.fromkeys(role["orgSourcedId"] for role in ordered if "orgSourcedId" in role)
    said: Fields = {name: first[name] for name in ("role", "beginDate", "endDate") if name in first}
    if orgs:
        said["orgSourcedIds"] = ",".join(orgs)
    for name, value in said.items():
        fields.setdefault(name, value)


def _set_year(fields: Fields, column: str, kept: _Kept) -> None:
    years = (kept.rows["academicSessions"].get(one, {}).get("schoolYear") for one in _ids(fields.get(column, "")))
    year = next(filter(None, years), None)
    if year is not None:
        fields["schoolYear"] = year


def _ids(cell: str) -> list[str]:
    return [one for part in cell.split(",") if (one := part.strip())]


def _as_all_it_may_be(table: str, row: _Row) -> Iterator[_Row]:
    """Yield a row; one that is removed and does not say what it was, once for each thing that it may have been."""
    column, kinds = _KINDS.get(table, ("", ()))
    if not _is_removed(row.fields) or not column or column in row.fields:
        yield row
        return
    for kind in kinds:
        yield _Row(row.position, {**row.fields, column: kind})


def _is_removed(fields: Fields) -> bool:
    return fields.get("status", "").casefold() in _REMOVED


def _day_before(value: str) -> str:
    """Return the day before a date; what is none stays, for the mapping to report."""
    try:
        return (date.fromisoformat(value[:10]) - timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return value


__all__ = ["OneRosterOptions", "OneRosterSource"]
