"""Reaches a database: login, encryption, time limits, read-only transactions; what is asked of it is a connector's.

The text of a database's errors quotes values, so that only their kind is passed on.
"""

import difflib
import math
import re
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import String, TypeEngine

from agents.connectors.contract import LOOPBACK
from agents.credentials import Secret, folder_of
from broker.protocol.durations import Duration
from broker.protocol.errors import ConfigurationError, ZoneError

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
_SECRET_KEY: Final = re.compile(r"pass(word|wd|phrase|file)?$|pwd|secret|token|odbc_connect", re.IGNORECASE)
_SETTINGS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "sqlite": frozenset(),
        "postgresql": frozenset({"host", "sslmode", "sslrootcert", "sslcert", "sslkey"}),
        "mysql": frozenset({"charset", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket"}),
        "mssql": frozenset(
            {"driver", "encrypt", "trustservercertificate", "trusted_connection", "applicationintent"}
            | {"multisubnetfailover"}
        ),
    }
)
"""What may stand behind the question mark of a URL: drivers know others that read files, run SQL, lead to another
machine than the host, or leave the encryption out."""
_ENCRYPTED_MODES: Final = frozenset({"require", "verify-ca", "verify-full"})
_OFF: Final = frozenset({"no", "false", "0", "optional"})
_ODBC_VALUE: Final = re.compile(r"[A-Za-z0-9 ._()-]+")
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
_STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock."""

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
            _check_settings(url)
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


def _check_settings(url: URL) -> None:
    """Refuse what may not stand behind the question mark.

    Raises:
        ValueError: A setting that is not among those known, or one that would leave the connection open to others.
    """
    kind = url.get_backend_name()
    settings = {name.casefold(): value for name, value in url.query.items()}
    known = _SETTINGS[kind]
    for name, value in settings.items():
        if name not in known or not isinstance(value, str):
            raise ValueError(f"{name[:40]!r} cannot be set here, or only once: of {', '.join(sorted(known))}")
        if kind == "mssql" and _ODBC_VALUE.fullmatch(value) is None:
            raise ValueError(
                f"{name!r} has letters that it cannot have: write the name of an installed driver, yes or no"
            )
    if "ssl_ca" not in settings and {"ssl_cert", "ssl_key"} & settings.keys():
        raise ValueError("ssl_cert and ssl_key alone let any server in: set ssl_ca, too")
    is_open = (
        settings.get("sslmode", "require") not in _ENCRYPTED_MODES
        or str(settings.get("encrypt", "yes")).casefold() in _OFF
    )
    if is_open and not _is_local(url):
        raise ValueError("over a network the connection has to be encrypted: take sslmode or Encrypt out of url")


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
    # All would fall back to a connection that anybody on the way can read.
    encrypted: dict[str, Any]
    if kind == "mssql":
        is_told = _is_local(url) or any(name.casefold() == "encrypt" for name in url.query)
        encrypted = {} if is_told else {"Encrypt": "yes"}
        return {"timeout": _CONNECT_SECONDS, **encrypted}
    if kind == "mysql":
        read_only = {} if writes else {"init_command": "SET SESSION TRANSACTION READ ONLY"}
        is_told = _is_local(url) or "ssl_ca" in url.query
        encrypted = {} if is_told else {"ssl": ssl.create_default_context()}
        limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": seconds, "write_timeout": seconds}
        return {**limits, **read_only, **encrypted}
    encrypted = {} if _is_local(url) or "sslmode" in url.query else {"sslmode": "require"}
    return {"connect_timeout": _CONNECT_SECONDS, "application_name": "sifzone", **encrypted}


def _is_local(url: URL) -> bool:
    named = url.query.get("host", ())
    hosts = [url.host, *([named] if isinstance(named, str) else named)]
    return all(host is None or host in LOOPBACK or host.startswith("/") for host in hosts)


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


__all__ = [
    # how it is reached
    "DatabaseOptions",
    "check_driver",
    "connected",
    "limit_time",
    "place",
    # what is there
    "KnownColumn",
    "Name",
    "find_column",
    "find_table",
]
