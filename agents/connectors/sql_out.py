"""Writes tables of a database, each as an outward mapping has it; which object fills which column is the mapping's.

All tables are written in one transaction: a reader sees them as they were, or as they are to be. Where nothing differs
nothing is written. A table belongs to its agent alone: with ``mode = "sync"`` and ``"replace"``, rows of others are
deleted. Columns that the mapping does not name are left to the table's defaults.

Values are text, and go into columns of text as they are: a formula is none in a database. Who exports such a table to a
spreadsheet has to see to that there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Column, Connection, MetaData, Table, Text, bindparam, delete, insert, select, update

from agents.connectors.contract import TargetError, Written, refused
from agents.connectors.databases import (
    DatabaseOptions,
    Name,
    check_driver,
    connected,
    find_column,
    find_table,
    limit_time,
    place,
)
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping

_BATCH: Final = 1000

Row = Mapping[str, str]


class SqlOutOptions(DatabaseOptions):
    """Options of ``connector = "sql-out"``."""

    tables: dict[str, Name] = Field(
        default_factory=dict,
        description='The table for each of the mappings\' tables, where it has another name: { users = "app.people" }.',
    )
    mode: Literal["sync", "upsert", "replace"] = Field(
        default="sync",
        description="sync: insert, update and delete what differs, by key; upsert: delete nothing; replace: delete all "
        "rows and write them anew, when anything differs.",
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """A table of the database, ready to be written.

    Attributes:
        columns: The database's spelling of each of the mapping's columns, key first.
        longest: Characters that fit into a column, by the mapping's spelling, where there is a limit.
        nullable: Columns, in the mapping's spelling, in which nothing is NULL; in the others it is an empty text.
    """

    mapping: OutwardMapping
    table: Table
    columns: Mapping[str, str]
    longest: Mapping[str, int]
    nullable: frozenset[str]


class SqlTarget:
    """Tables of a database."""

    Options: ClassVar[type[BaseModel]] = SqlOutOptions

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Take the mappings, one for each table; the database is connected with each write.

        Raises:
            ConfigurationError: A folder, no mapping, two for one table, or the driver is not installed.
        """
        if path is not None or not mappings:
            raise ConfigurationError(
                'target: connector "sql-out" needs mapping = [...] and url = "...": leave out path'
            )
        if not isinstance(options, SqlOutOptions):
            raise TypeError(f"options of sql-out are needed, not {type(options).__name__}")
        names = [options.tables.get(mapping.table, mapping.table) for mapping in mappings]
        for name, count in Counter(names).items():
            if count > 1:
                raise ConfigurationError(f"target: {count} mappings fill table {name!r}: leave out all but one")
        unknown = sorted(options.tables.keys() - {mapping.table for mapping in mappings})
        if unknown:
            raise ConfigurationError(f"target: tables: no mapping makes {unknown[0]!r}: leave it out")
        check_driver(options)
        self._options, self._mappings = options, tuple(zip(mappings, names, strict=True))

    def write(self, objects: Objects) -> Written:
        """Write what differs.

        Rows with a text that is too long for its column are left out, and counted.

        Raises:
            TargetError: The database cannot be reached or refuses; a table or column is missing, or holds no text.
        """
        left_out: Counter[str] = Counter()
        counts: list[tuple[str, int]] = []
        changed = False
        with connected(self._options, TargetError, writes=True) as connection:
            for found in self._places(connection):
                rows = _made(found, objects, left_out)
                changed = self._write(connection, found, rows) or changed
                counts.append((found.mapping.table, len(rows)))
        return Written(changed, tuple(counts), tuple(sorted(left_out.items())))

    def check(self) -> str:
        """Return which tables are there.

        Raises:
            TargetError: The database cannot be reached; a table or column is missing, or holds no text.
        """
        with connected(self._options, TargetError) as connection:
            tables = [f"{found.table.fullname} ({len(found.columns)} columns)" for found in self._places(connection)]
        return f"{place(self._options)}: {', '.join(tables)}"

    def _places(self, connection: Connection) -> list[_Place]:
        return [_find(connection, mapping, name) for mapping, name in self._mappings]

    def _write(self, connection: Connection, found: _Place, rows: Mapping[str, Row]) -> bool:
        limit_time(connection, self._options.timeout.total_seconds())
        mode = self._options.mode
        new, changed, gone = _difference(connection, found, rows)
        if not (new or changed or (gone and mode != "upsert")):
            return False
        if mode == "replace":
            connection.execute(delete(found.table))
            new, changed, gone = list(rows), [], []
        key = found.table.c[found.columns[found.mapping.key]]
        if mode != "upsert":
            for some in _batches([{"old_key": one} for one in gone]):
                connection.execute(delete(found.table).where(key == bindparam("old_key")), some)
        for some in _batches([_values(found, rows[one]) | {"old_key": one} for one in changed]):
            values: dict[str, Any] = {name: bindparam(name) for name in found.columns.values()}
            connection.execute(update(found.table).where(key == bindparam("old_key")).values(values), some)
        for some in _batches([_values(found, rows[one]) for one in new]):
            connection.execute(insert(found.table), some)
        return True


def _find(connection: Connection, mapping: OutwardMapping, name: str) -> _Place:
    """Return the table of a mapping, with every column of it.

    Raises:
        TargetError: It, or a column, is not there, or is not for text.
    """
    schema, bare, known = find_table(connection, name, TargetError)
    columns = {one: find_column(one, known, name, TargetError) for one in mapping.columns}
    for column in columns.values():
        if not known[column].is_text:
            raise TargetError(f"table {name!r}: column {column!r} is not for text: make it VARCHAR or TEXT")
    table = Table(bare, MetaData(), *(Column(column, Text) for column in columns.values()), schema=schema)
    longest = {one: length for one, column in columns.items() if (length := known[column].length) is not None}
    nullable = frozenset(one for one, column in columns.items() if known[column].nullable)
    return _Place(mapping, table, columns, longest, nullable)


def _made(found: _Place, objects: Objects, left_out: Counter[str]) -> dict[str, Row]:
    """Return the rows by key, without those that do not fit."""
    name = found.mapping.table
    made = found.mapping.rows(objects)
    left_out.update(refused(name, made.problems))
    rows: dict[str, Row] = {}
    for row in made.rows:
        too_long = next((one for one, longest in found.longest.items() if len(row[one]) > longest), None)
        if too_long is not None:
            left_out[f"{name}: {too_long} longer than {found.longest[too_long]}"] += 1
        elif not row[found.mapping.key]:
            left_out[f"{name}: {found.mapping.key} empty"] += 1
        else:
            rows[row[found.mapping.key]] = row
    return rows


def _difference(
    connection: Connection, found: _Place, rows: Mapping[str, Row]
) -> tuple[list[str], list[str], list[str]]:
    """Return the keys of the rows that are new, changed and gone, each in the order of keys.

    Raises:
        TargetError: Several rows have one key.
    """
    names = list(found.columns)
    at = names.index(found.mapping.key)
    present: set[str] = set()
    changed: list[str] = []
    statement = select(*(found.table.c[found.columns[one]] for one in names))
    for row in connection.execute(statement, execution_options={"yield_per": _BATCH}):
        values = [(value or "").rstrip(" ") for value in row]  # CHAR(n) fills up with blanks
        key = values[at]
        if key in present:
            raise TargetError(
                f"table {found.table.fullname!r} has several rows with one {found.mapping.key}: make that column unique"
            )
        present.add(key)
        if key in rows and values != [rows[key][one].rstrip(" ") for one in names]:
            changed.append(key)
    return sorted(rows.keys() - present), sorted(changed), sorted(present - rows.keys())


def _values(found: _Place, row: Row) -> dict[str, Any]:
    return {
        column: row[one] or (None if one in found.nullable and one != found.mapping.key else "")
        for one, column in found.columns.items()
    }


def _batches(values: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


__all__ = ["SqlOutOptions", "SqlTarget"]
