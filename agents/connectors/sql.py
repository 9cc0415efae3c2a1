"""Reads the rows of a table or a query of a database: all of them, or those that changed since the last time.

Nothing is ever written: one statement, in a transaction that is read-only where the database knows such, and rolled
back at its end. What the columns mean is the mapping's. The text of a database's errors quotes values, so that only
their kind is passed on.

What a column of changes must be, so that none is missed, is said in changes.py; rows without a value in it come each
time.
"""

import difflib
import hashlib
import math
import re
import sqlite3
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from datetime import time as clock
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator
from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    column,
    create_engine,
    inspect,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import String, TypeEngine

from agents.connectors.changes import Greatest, GrowingTime, GrowingVersion
from agents.connectors.contract import Item, Marker, SourceError, SourceProblem
from agents.credentials import Secret, folder_of
from broker.protocol.durations import Duration
from broker.protocol.errors import ConfigurationError, ZoneError
from mappings import Record

DRIVERS: Final = {
    "sqlite": ("sqlite", ""),
    "postgresql": ("postgresql+psycopg", "postgresql"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mssql": ("mssql+pyodbc", "sqlserver"),
}
"""What is spoken with each kind of database, and the extra of the package that brings its driver."""
_FORMS: Final = (
    "sqlite:///FILE, postgresql://USER@HOST/NAME, mysql://USER@HOST/NAME or mssql://USER@HOST/NAME?driver=..."
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRET_KEY: Final = re.compile(r"pass(word|wd|phrase|file)?$|pwd|secret|token|odbc_connect", re.IGNORECASE)
_LOGIN: Final = "refuses the login: check user and password"
_NOT_FOUND: Final = "cannot understand the query: check its table and column names"
_NO_RIGHT: Final = "does not let this login do that: ask its administrator for the right"
_NO_DATABASE: Final = "is not there: check the name of the database in url"
_TOO_LONG: Final = "took too long: set timeout, or ask for less"
_READ_ONLY: Final = "cannot be written from here: a source only reads, and a target needs the right to write"
_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # SQLSTATE or its class: ISO 9075, and those of PostgreSQL and ODBC
        "28": _LOGIN,
        "3D": _NO_DATABASE,
        "42": _NOT_FOUND,
        "42501": _NO_RIGHT,
        "57014": _TOO_LONG,
        "70100": _TOO_LONG,
        "HYT": _TOO_LONG,
        "22": "cannot take or make one of the values: check the types of the columns",
        "23": "refuses a row because of a rule of the table (unique, not null, foreign key): check these",
        "25006": _READ_ONLY,
        "08": "cannot be reached: check url, and that it is up",
        # SQLite's result codes
        "SQLITE_CANTOPEN": "cannot be opened: check its path and rights",
        "SQLITE_NOTADB": "is no SQLite database: check its path",
        "SQLITE_CORRUPT": "is damaged: restore it from its backup",
        "SQLITE_BUSY": "is being written by another program: this is tried again",
        "SQLITE_INTERRUPT": _TOO_LONG,
        "SQLITE_READONLY": _READ_ONLY,
        "SQLITE_CONSTRAINT": "refuses a row because of a rule of the table (unique, not null): check these",
        "SQLITE_ERROR": _NOT_FOUND,
        # MySQL's error numbers
        "1045": _LOGIN,
        "1044": _NO_RIGHT,
        "1142": _NO_RIGHT,
        "1049": _NO_DATABASE,
        "1054": _NOT_FOUND,
        "1064": _NOT_FOUND,
        "1146": _NOT_FOUND,
        "1792": _READ_ONLY,
        "2013": "took too long, or was stopped: set timeout, or ask for less",
        "2026": "offers no TLS, or a certificate that is not trusted: set ssl_ca in url",
        "2003": "cannot be reached: check url, and that it is up",
    }
)
"""What the code of a database's error means, by the beginning of the code."""

_CONNECT_SECONDS: Final = 10
_FETCH: Final = 1000
"""Rows that are held at a time."""
_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock."""
_MAX_QUERY: Final = 20_000
_MAX_COLUMNS: Final = 500
_MAX_CELL: Final = 32 * 1024
_DIGITS: Final = 100
_SHOWN: Final = 40
_ALL: Final = "all"

_QUOTED: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$""", re.DOTALL
)
_READS: Final = re.compile(r"[\s(]*(select|with)\b", re.IGNORECASE)

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]


class DatabaseOptions(BaseModel):
    """How a database is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description=f"The database, without a password: {_FORMS}.")
    password: Secret | None = Field(default=None, description='Where the password is: "env:NAME" or "file:PATH".')
    timeout: Duration = Field(
        default=timedelta(minutes=5), description="Longest time that one statement may take, where the database can."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, written: str, info: ValidationInfo) -> str:
        url = _parse(written)
        if url.password is not None or any(_SECRET_KEY.search(key) for key in url.query):
            raise ValueError('a password does not belong in this file: take it out and set password = "env:NAME"')
        if url.get_backend_name() != "sqlite":
            return url.render_as_string(hide_password=False)
        if url.query or not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise ValueError("write sqlite:///FILE, with the path of the file and nothing after it")
        return f"sqlite:///{(folder_of(info) / url.database).absolute()}"

    @field_validator("timeout")
    @classmethod
    def _check_timeout(cls, timeout: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= timeout <= timedelta(days=1):
            raise ValueError('write a time from "1s" to "1d"')
        return timeout


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
        default=(), max_length=_MAX_COLUMNS, description="Columns of the table that are read; all when left out."
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
    return packed


def _of_query(connection: Connection, query: str, changes: Changes, lower: Any) -> Executable:
    """Return the query, or those of its rows that are from *lower* on."""
    literal = query.replace(":", "\\:")  # a colon in it is no parameter
    if changes == "diff" or lower is None:
        return text(literal)
    name = connection.dialect.identifier_preparer.quote(changes.column)
    rows = f"SELECT * FROM (\n{literal}\n) sifzone_rows WHERE {name} >= :lower OR {name} IS NULL"  # noqa: S608 - its own
    return text(rows).bindparams(lower=lower)


def check_driver(options: DatabaseOptions) -> None:
    """Refuse a kind of database that cannot be spoken with here.

    Raises:
        ConfigurationError: Its driver is not installed.
    """
    url = make_url(options.url)
    try:
        url.get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError):
        extra = DRIVERS[url.get_backend_name()][1]
        raise ConfigurationError(
            f"url: the driver of {url.get_backend_name()} is not installed: pip install 'sifzone[{extra}]'"
        ) from None


def place(options: DatabaseOptions) -> str:
    """Return which database it is, without the login."""
    url = make_url(options.url)
    host = "" if url.host is None else f"{url.host}:{url.port}" if url.port else url.host
    return f"{url.get_backend_name()}://{host}/{url.database or ''}"


@contextmanager
def connected(
    options: DatabaseOptions, error: Callable[[str], ZoneError], *, writes: bool = False
) -> Iterator[Connection]:
    """Give a connection in a transaction, which is committed at the end only where it *writes*.

    Raises:
        ZoneError: *error*, with what is wrong and what to do, in our words alone.
    """
    try:
        engine = _engine(options, error, writes=writes)
        try:
            with engine.connect() as connection:
                _begin(connection, options, writes=writes)
                yield connection
                if writes:
                    connection.commit()
        finally:
            engine.dispose()
    except SQLAlchemyError as cause:
        raise error(f"{place(options)} {_explain(cause)}") from None  # its text quotes values
    except UnicodeError:
        raise error(f"{place(options)} holds text in another encoding than it says: ask its administrator") from None


def limit_time(connection: Connection, seconds: float) -> None:
    """Let SQLite give up after so many seconds from now; others are told when the transaction begins."""
    if connection.dialect.name == "sqlite":
        raw: Any = connection.connection.dbapi_connection
        until = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS)


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """A column of a table, as the database has it.

    Attributes:
        is_text: It holds text of at most *length* characters; None where there is no limit.
    """

    is_text: bool
    length: int | None
    nullable: bool


def find_table(
    connection: Connection, name: str, error: Callable[[str], ZoneError]
) -> tuple[str | None, str, dict[str, KnownColumn]]:
    """Return schema, name and columns of a table or view ``NAME`` or ``SCHEMA.NAME``.

    Raises:
        ZoneError: *error*: there is none; with the nearest name.
    """
    schema_name, _, bare = name.rpartition(".")
    schema = schema_name or None
    looking = inspect(connection)
    try:
        columns = looking.get_columns(bare, schema)
        return schema, bare, {one["name"]: _known(one["type"], nullable=one["nullable"]) for one in columns}
    except NoSuchTableError:
        known = [*looking.get_table_names(schema), *looking.get_view_names(schema)]
        raise error(f"there is no table {name!r}: {_near(bare, known)}") from None


def _known(kind: TypeEngine[Any], *, nullable: bool) -> KnownColumn:
    is_text = isinstance(kind, String)
    return KnownColumn(is_text, kind.length if isinstance(kind, String) else None, nullable)


def find_column(name: str, known: Iterable[str], table_name: str, error: Callable[[str], ZoneError]) -> str:
    """Return a column as the database spells it; capitals make no difference where that is clear.

    Raises:
        ZoneError: *error*: there is none; with the nearest name.
    """
    names = list(known)
    same = [name] if name in names else [one for one in names if one.casefold() == name.casefold()]
    if len(same) != 1:
        raise error(f"table {table_name!r} has no column {name!r}: {_near(name, names)}")
    return same[0]


def _near(name: str, known: Sequence[str]) -> str:
    by_letters = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), by_letters, n=1)
    return f"did you mean {by_letters[near[0]]!r}?" if near else "check its name, and the rights of the login"


def _parse(written: str) -> URL:
    try:
        url = make_url(written)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise ValueError(f"no database URL: write {_FORMS}") from None
    if backend not in DRIVERS or url.drivername not in (backend, DRIVERS[backend][0]):
        raise ValueError(f"this kind of database is not known: write {_FORMS}")
    return url.set(drivername=DRIVERS[backend][0])


def _engine(options: DatabaseOptions, error: Callable[[str], ZoneError], *, writes: bool) -> Engine:
    url = make_url(options.url)
    kind = url.get_backend_name()
    if kind == "sqlite":
        file = f"file:{quote(str(url.database))}?mode={'rw' if writes else 'ro'}"
        return create_engine("sqlite://", creator=lambda: _open(file), poolclass=NullPool, hide_parameters=True)
    if options.password is not None:
        url = url.set(password=options.password.reveal(error))
    arguments = _arguments(url, kind, math.ceil(options.timeout.total_seconds()), writes=writes)
    return create_engine(url, connect_args=arguments, poolclass=NullPool, hide_parameters=True)


def _open(file: str) -> sqlite3.Connection:
    # Without isolation_level it is _begin alone that begins a transaction.
    opened = sqlite3.connect(file, _CONNECT_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    opened.text_factory = _decoded
    return opened


def _decoded(content: bytes) -> str:
    """Return a text, which SQLite takes in any encoding: UTF-8, else Windows, as of a CSV report."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _arguments(url: URL, kind: str, seconds: int, *, writes: bool) -> dict[str, Any]:
    if kind == "mssql":
        return {"timeout": _CONNECT_SECONDS}
    # Both would fall back to a connection that anybody on the way can read.
    if kind == "mysql":
        read_only = {} if writes else {"init_command": "SET SESSION TRANSACTION READ ONLY"}
        is_told = _is_local(url) or any(key.startswith("ssl") for key in url.query)
        encrypted: dict[str, Any] = {} if is_told else {"ssl": ssl.create_default_context()}
        limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": seconds, "write_timeout": seconds}
        return {**limits, **read_only, **encrypted}
    encrypted = {} if _is_local(url) or "sslmode" in url.query else {"sslmode": "require"}
    return {"connect_timeout": _CONNECT_SECONDS, "application_name": "sifzone", **encrypted}


def _is_local(url: URL) -> bool:
    named = url.query.get("host", ())
    hosts = [url.host, *([named] if isinstance(named, str) else named)]
    return all(host is None or host in _LOOPBACK or host.startswith("/") for host in hosts)


def _begin(connection: Connection, options: DatabaseOptions, *, writes: bool) -> None:
    """Begin the transaction, read-only and with its longest time, as far as this kind of database has these."""
    seconds = options.timeout.total_seconds()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        limit_time(connection, seconds)
    elif connection.dialect.name == "postgresql":
        connection.execution_options(postgresql_readonly=not writes)
        milliseconds = str(int(seconds * 1000))
        connection.execute(text("SELECT set_config('statement_timeout', :t, true)"), {"t": milliseconds})
    elif connection.dialect.name == "mssql":
        raw: Any = connection.connection.dbapi_connection
        raw.timeout = math.ceil(seconds)


def _explain(cause: SQLAlchemyError) -> str:
    """Return what a database says, in our words, with the kind of its error."""
    origin: Any = getattr(cause, "orig", None)
    code = getattr(origin, "sqlstate", None) or getattr(origin, "sqlite_errorname", None)
    if code is None and origin is not None and origin.args and re.fullmatch(r"\w{4,5}", str(origin.args[0])):
        code = str(origin.args[0])  # PyMySQL's number, pyodbc's SQLSTATE
    known = max((start for start in _CODES if (code or "").startswith(start)), key=len, default="")
    unknown = "cannot be reached, offers no TLS or refuses the login: check url, user and password, and that it is up"
    if not isinstance(cause, OperationalError) or code:
        unknown = "cannot do what is asked: check the query, its tables and columns, and the rights of the login"
    kind = type(origin or cause).__name__
    return f"{_CODES.get(known, unknown)} ({kind} {code})" if code else f"{unknown} ({kind})"


def _names(result: CursorResult[Any]) -> list[str]:
    """Return the names of the columns, with single blanks.

    Raises:
        SourceError: A column has no name, or that of another; there are too many.
    """
    names = [" ".join(name.split()) for name in result.keys()]  # noqa: SIM118 - a result is no mapping
    if len(names) > _MAX_COLUMNS:
        raise SourceError(f"more than {_MAX_COLUMNS} columns: ask for those that are mapped")
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
        if text_ is not None and len(text_) > _MAX_CELL:
            message = f"{name!r} holds more than {_MAX_CELL:,} characters: leave it out, or shorten it in the query"
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


__all__ = [
    # the source
    "SqlFeed",
    "SqlOptions",
    "TimestampColumn",
    "VersionColumn",
    # a database, for who writes one
    "DatabaseOptions",
    "KnownColumn",
    "Name",
    "check_driver",
    "connected",
    "find_column",
    "find_table",
    "limit_time",
    "place",
]
