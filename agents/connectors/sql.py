"""Reads the rows of a table or a query of a database: all of them, or those that changed since the last time.

Nothing is ever written: one statement, in a transaction that is read-only where the database knows such, and rolled
back at its end. What the columns mean is the mapping's, how the database is reached that of databases.py. A query is
looked at before it is sent, but it is the login's rights that make certain: give it one that can only read.

What a column of changes must be, so that none is missed, is said in changes.py; rows without a value in it come each
time.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, field_validator, model_validator
from sqlalchemy import Connection, CursorResult, Executable, column, or_, select, table, text
from sqlalchemy.engine import make_url

from agents.connectors.changes import Greatest, GrowingTime, GrowingVersion
from agents.connectors.contract import Item, Marker, SourceError, SourceProblem
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
from agents.connectors.tables import MAX_CELL, MAX_COLUMNS
from mappings import Record

_FETCH: Final = 1000
"""Rows that are held at a time."""
_MAX_QUERY: Final = 20_000
_DIGITS: Final = 100
_SHOWN: Final = 40
_ALL: Final = "all"

_QUOTED: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*(?!M?!).*?\*/|\$(\w*)\$.*?\$\1\$""", re.DOTALL
)
"""What is no word of the statement; a comment that begins with an exclamation mark is one for MySQL."""
_READS: Final = re.compile(r"[\s(]*(select|with)\b", re.IGNORECASE)
_INTO: Final = re.compile(r"\binto\b", re.IGNORECASE)
_WRITES: Final = re.compile(
    r"\b(alter|backup|begin|bulk|commit|create|dbcc|declare|delete|deny|drop|exec|execute|grant|insert|kill|merge|"
    r"openquery|openrowset|reconfigure|restore|revoke|rollback|set|shutdown|truncate|update|use|waitfor)\b",
    re.IGNORECASE,
)
"""Words that SQL Server keeps to itself, so that no column has such a name without brackets; it needs no semicolon
between two statements."""


class VersionColumn(GrowingVersion):
    """``changes = { column = "version" }``."""

    column: Name = Field(description="A whole number that grows with each change of any row of the table.")


class TimestampColumn(GrowingTime):
    """``changes = { column = "updated_at", kind = "timestamp" }``."""

    column: Name = Field(description="When the row was last written.")


Changes = Literal["diff"] | VersionColumn | TimestampColumn


class SqlOptions(DatabaseOptions):
    """Options of ``connector = "sql"``."""

    query: str | None = Field(default=None, max_length=_MAX_QUERY, description="One SELECT; or table and columns.")
    table: Name | None = Field(default=None, description="A table or view, perhaps with its schema: dbo.Pupils.")
    columns: tuple[Name, ...] = Field(
        default=(), max_length=MAX_COLUMNS, description="Columns of the table that are read; all when left out."
    )
    changes: Changes = Field(
        default="diff", description='"diff" reads all each time; { column = ..., kind = ... } what has changed.'
    )

    @field_validator("query")
    @classmethod
    def _check_query(cls, query: str | None) -> str | None:
        return None if query is None else _one_select(query)

    @model_validator(mode="after")
    def _check_what(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError('write either query = "select ..." or table = "NAME"')
        if self.query is not None and make_url(self.url).get_backend_name() == "mssql":
            _refuse_writing(self.query)
        if self.columns and self.table is None:
            raise ValueError("columns belong to table: name them in the query instead")
        if self.columns and self.changes != "diff" and self.changes.column not in self.columns:
            raise ValueError("the column of changes is not among columns: add it")
        return self


class SqlFeed:
    """Rows of a database as records."""

    Options: ClassVar[type[BaseModel]] = SqlOptions

    def __init__(self, options: SqlOptions) -> None:
        """Take the options; nothing is connected yet.

        Raises:
            ConfigurationError: The driver of this kind of database is not installed.
        """
        check_driver(options)
        self._options = options

    @property
    def name(self) -> str:
        """What is read, without the login."""
        what = self._options.table or f"query {hashlib.sha256(str(self._options.query).encode()).hexdigest()[:8]}"
        return f"sql {place(self._options)} {what}"

    def read_since(self, marker: str) -> Iterator[Item | Marker]:
        """Yield a record for each row, ``row 1`` being the first that was read this time; last, a Marker.

        Dates and times are as ISO 8601 has them, numbers without exponent, truth is ``true`` or ``false``; what is NULL
        or blank is left out. A row with bytes or lists is reported and not read.

        Raises:
            SourceError: The database cannot be reached, or refuses the query; without its text, which quotes values.
        """
        changes = self._options.changes
        seen = None if changes == "diff" else Greatest.after(changes.column, changes, marker)
        with connected(self._options, SourceError) as connection:
            names, rows = self._execute(connection, None if seen is None else seen.lower)
            at = None if seen is None else _position(names, seen.name)
            for number, row in enumerate(rows, start=1):
                if seen is not None and at is not None:
                    seen.add(row[at])
                yield _record(f"row {number}", names, row)
        if seen is None:
            yield Marker(_ALL, complete=True)
            return
        if seen.ahead:
            message = f"{seen.ahead} rows have a time that is still to come in {seen.name!r}: correct them"
            yield SourceProblem("rows", "time-ahead", message)
        yield Marker(seen.kept or _ALL, complete=seen.is_whole)

    def check(self) -> str:
        """Return where the rows come from, their columns, and whether there is one.

        Raises:
            SourceError: The database cannot be reached, or refuses the query.
        """
        changes = self._options.changes
        with connected(self._options, SourceError) as connection:
            names, rows = self._execute(connection, None)
            if changes != "diff":
                _position(names, changes.column)
            first = next(rows, None)
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        found = "no row yet" if first is None else "at least one row"
        problem = None if first is None else _record("the first row", names, first)
        warning = f"; {problem.position}: {problem.message}" if isinstance(problem, SourceProblem) else ""
        return f"{place(self._options)}: {found}, {len(names)} columns: {shown}{warning}"

    def _execute(self, connection: Connection, lower: Any) -> tuple[list[str], Iterator[Sequence[Any]]]:
        """Return the columns' names and the rows, from *lower* on where that is not None."""
        options = self._options
        if options.table is not None:
            statement = _of_table(connection, options, options.table, lower)
        else:
            statement = _of_query(connection, str(options.query), options.changes, lower)
        result = connection.execute(statement, execution_options={"yield_per": _FETCH})
        return _names(result), _rows(connection, result, options.timeout.total_seconds())


def _of_table(connection: Connection, options: SqlOptions, name: str, lower: Any) -> Executable:
    schema, bare, columns = find_table(connection, name, SourceError)
    known = list(columns)
    source = table(bare, *(column(one) for one in known), schema=schema)
    wanted = [find_column(one, known, name, SourceError) for one in options.columns] or known
    statement = select(*(source.c[one] for one in wanted))
    if options.changes == "diff":
        return statement
    by = source.c[find_column(options.changes.column, known, name, SourceError)]
    return statement if lower is None else statement.where(or_(by >= lower, by.is_(None)))


def _one_select(query: str) -> str:
    """Return a query without what ends it.

    Raises:
        ValueError: It is not one statement that reads.
    """
    packed = query.strip().removesuffix(";").rstrip()
    bare = _QUOTED.sub(" ", packed)
    if ";" in bare:
        raise ValueError("is more than one statement: write one SELECT")
    if _READS.match(bare) is None:
        raise ValueError("does not begin with SELECT or WITH: a source only reads")
    if _INTO.search(bare):
        raise ValueError("has INTO, which writes: a source only reads")
    return packed


def _refuse_writing(query: str) -> None:
    found = _WRITES.search(_QUOTED.sub(" ", query))
    if found is not None:
        word = found[1].upper()
        raise ValueError(f"query has {word}, and a source only reads: write a column of that name as [{word}]")


def _of_query(connection: Connection, query: str, changes: Changes, lower: Any) -> Executable:
    """Return the query, or those of its rows that are from *lower* on."""
    literal = query.replace(":", "\\:")  # a colon in it is no parameter
    if changes == "diff" or lower is None:
        return text(literal)
    name = connection.dialect.identifier_preparer.quote(changes.column)
    rows = f"SELECT * FROM (\n{literal}\n) sifzone_rows WHERE {name} >= :lower OR {name} IS NULL"  # noqa: S608 - its own
    return text(rows).bindparams(lower=lower)


def _names(result: CursorResult[Any]) -> list[str]:
    """Return the names of the columns, with single blanks.

    Raises:
        SourceError: A column has no name, or that of another; there are too many.
    """
    names = [" ".join(name.split()) for name in result.keys()]  # noqa: SIM118 - a result is no mapping
    if len(names) > MAX_COLUMNS:
        raise SourceError(f"more than {MAX_COLUMNS} columns: ask for those that are mapped")
    if "" in names:
        raise SourceError(f"column {names.index('') + 1} has no name: give it one with AS")
    double = sorted(name for name, count in Counter(names).items() if count > 1)
    if double:
        raise SourceError(f"several columns are named {double[0]!r}: give each a name of its own with AS")
    return names


def _rows(connection: Connection, result: CursorResult[Any], seconds: float) -> Iterator[Sequence[Any]]:
    while True:
        limit_time(connection, seconds)
        some = result.fetchmany(_FETCH)
        if not some:
            return
        yield from some


def _position(names: Sequence[str], name: str) -> int:
    return names.index(find_column(name, names, "the query", SourceError))


def _record(position: str, names: Sequence[str], row: Sequence[Any]) -> Record | SourceProblem:
    fields: dict[str, str] = {}
    for name, value in zip(names, row, strict=True):
        text_ = None if value is None else _text(value)
        if value is not None and text_ is None:
            message = (
                f"{name!r} holds {type(value).__name__}, which is no text: leave it out, or convert it in the query"
            )
            return SourceProblem(position, "no-text", message, "refuse")
        if text_ is not None and len(text_) > MAX_CELL:
            message = f"{name!r} holds more than {MAX_CELL:,} characters: leave it out, or shorten it in the query"
            return SourceProblem(position, "cell-size", message, "refuse")
        if text_:
            fields[name] = text_
    return Record(position, fields)


def _text(value: Any) -> str | None:
    """Return a value as text, without outer blanks; None for what is no text."""
    match value:
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case int() | UUID():
            return str(value)
        case Decimal():
            return format(value, "f") if value.is_finite() and abs(value.adjusted()) < _DIGITS else None
        case float():
            return format(Decimal(repr(value)), "f").removesuffix(".0") if math.isfinite(value) else None
        case date() | clock():  # a datetime is a date
            return value.isoformat()
        case timedelta():  # MySQL's time of day
            seconds = int(value.total_seconds())
            return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return None


__all__ = ["SqlFeed", "SqlOptions", "TimestampColumn", "VersionColumn"]
