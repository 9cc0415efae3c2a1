"""Opens the database, brings it to this version's tables, gives out transactions; what is in them is not its matter."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from broker.storage.errors import DatabaseTooNew, DatabaseUrlError, StorageError, StorageUnavailable

HEAD: Final = "0006"
"""The newest migration's revision; revisions are numbers, so that a newer one is known as such."""

LOCK_WAIT: Final = 10.0
"""Seconds a transaction waits for another's locks, and a connection for the server, unless told otherwise."""

_TURN_SECONDS: Final = 0.0005
_MIGRATION_LOCK: Final = 0x51F2_0E00_0001  # any number that nobody else takes on this server
_BEGIN: Final = "sqlite_begin"
_PASSING: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)
_SQLITE_SETTINGS: Final = (
    # A commit returns when the disk has it: the intake is acknowledged next, and then nobody else has the batch.
    # NORMAL would lose the last commits to a power cut.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",  # without it REPLACE deletes behind a trigger's back
    "PRAGMA secure_delete = ON",  # a forgotten learner leaves no bytes in freed pages
    "PRAGMA cache_size = -16384",  # 16 MiB: keeps the upper pages of the ledger's index
    "PRAGMA wal_autocheckpoint = 4000",  # pages, 16 MiB: an index page that changes often is copied back once
)
# A server set to synchronous_commit = off would acknowledge what it may yet lose; a stricter setting is left alone.
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


class Database:
    """A pool of connections to one migrated database; use it in the process that opened it."""

    def __init__(self, engine: Engine, lock_wait: float = LOCK_WAIT) -> None:
        self._engine, self._lock_wait = engine, lock_wait
        self._writing = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        self.dialect = engine.dialect
        self._queue: int | None = None
        if engine.dialect.name == "sqlite":
            self._queue = os.open(f"{engine.url.database}-writers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def read(self, action: str) -> Iterator[Connection]:
        """Yield a connection in a transaction that only reads; *action* names it in errors."""
        with errors(action), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, action: str) -> Iterator[Connection]:
        """Yield a connection in a transaction that is durable at the end of the block, or undone by an exception."""
        with errors(action), self._turn(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the other processes that write to the same SQLite file.

        SQLite itself waits by sleeping longer and longer, up to a tenth of a second at a time, which two busy workers
        would do at every other commit. Who waits here too long goes on, and is told by SQLite that it is locked.
        """
        if self._queue is None:
            yield
            return
        until = time.monotonic() + self._lock_wait
        while not _taken(self._queue) and time.monotonic() < until:
            time.sleep(_TURN_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        if self._queue is not None:
            os.close(self._queue)
            self._queue = None


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def errors(action: str) -> Iterator[None]:
    """Turn what SQLAlchemy raises while doing *action* into ours, without the values that were bound."""
    try:
        yield
    except PoolTimeout as error:
        raise StorageUnavailable(action, "all connections are in use", "try again") from error
    except DBAPIError as error:
        raise _ours(action, error) from error
    except SQLAlchemyError as error:
        raise StorageError(action, type(error).__name__, "this is a fault of sifzone, please report it") from error


def open_database(url: str, lock_wait: float = LOCK_WAIT) -> Database:
    """Return the database at *url*, migrated to this version's tables.

    Several processes may open it at once: one migrates, the others wait.

    Raises:
        DatabaseUrlError: The URL is neither SQLite with a path nor PostgreSQL, or its place cannot be used.
        DatabaseTooNew: A newer version of sifzone migrated it.
        StorageError: The database refuses.
    """
    parsed = _parse(url)
    with errors(f"open database {parsed.render_as_string()}"):
        if parsed.get_backend_name() == "sqlite":
            engine = _sqlite(parsed, lock_wait)
            with _folder_lock(Path(str(parsed.database)).parent):
                _use_wal(engine)
                _migrate(engine)
        else:
            engine = _postgresql(parsed, lock_wait)
            _migrate(engine)
    return Database(engine, lock_wait)


def is_migrated(url: str) -> bool:
    """Tell whether the database at *url* is there, with this version's tables; changes nothing.

    Raises:
        DatabaseUrlError: The URL cannot be used.
        DatabaseTooNew: A newer version of sifzone migrated it.
        StorageError: The database cannot be reached, or refuses.
    """
    parsed = _parse(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and not Path(str(parsed.database)).exists():
        return False
    with errors(f"look at database {parsed.render_as_string()}"):
        engine = (_sqlite if sqlite else _postgresql)(parsed, LOCK_WAIT)
        try:
            return _revision(engine) == HEAD
        finally:
            engine.dispose()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise DatabaseUrlError(  # the text is not repeated: it may hold a password
            "the database URL cannot be read: write sqlite:///zone.db or postgresql+psycopg://user@host/name"
        ) from error
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise DatabaseUrlError(f"database kind {backend!r} is not supported: use sqlite or postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise DatabaseUrlError("a database in memory forgets what it acknowledged: write sqlite:///PATH")
    return parsed.set(drivername="sqlite")


def _sqlite(url: URL, lock_wait: float) -> Engine:
    path = Path(str(url.database))
    try:
        # Made by us, so that nobody else may read it from the first byte; SQLite gives its WAL the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseUrlError(
            f"database file {path} cannot be opened ({error.strerror}): make its folder, writable for this user"
        ) from error
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": lock_wait})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
        for statement in _SQLITE_SETTINGS:
            connection.execute(statement)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that began by reading could not wait for another writer, only fail.
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _postgresql(url: URL, lock_wait: float) -> Engine:
    try:
        engine = create_engine(url, hide_parameters=True, connect_args={"connect_timeout": max(2, round(lock_wait))})
    except ModuleNotFoundError as error:
        raise DatabaseUrlError(
            "PostgreSQL needs the package psycopg: run `pip install 'sifzone[postgresql]'`"
        ) from error

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.execute(_DURABLE)
        connection.execute(f"SET lock_timeout = {round(lock_wait * 1000)}")
        connection.commit()

    return engine


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Hold a lock on *folder* itself: a lock on the database file would meet SQLite's own."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _use_wal(engine: Engine) -> None:
    """Set write-ahead logging, which the file remembers: readers and the one writer then do not wait for each other."""
    # Outside SQLAlchemy's transactions: the mode cannot change within one.
    try:
        with closing(engine.raw_connection()) as connection:
            (mode,) = connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise DatabaseUrlError(f"{engine.url.database} is not an SQLite database: name another file") from error
        raise _of_sqlite(f"open database {engine.url.database}", error) from error
    if mode != "wal":
        raise DatabaseUrlError(
            f"the file system of {engine.url.database} has no shared memory for SQLite's log: use a local disk"
        )


def _migrate(engine: Engine) -> None:
    if _revision(engine) == HEAD:
        return
    with engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        _upgrade(connection)


def _revision(engine: Engine) -> str:
    """Return the revision of the database, empty for a new one.

    Raises:
        DatabaseTooNew: It is none of ours up to HEAD.
    """
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        revision = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "")
    if revision and (len(revision) != len(HEAD) or revision > HEAD):
        raise DatabaseTooNew(engine.url.render_as_string(), revision)
    return revision


def _upgrade(connection: Connection) -> None:
    # Imported here: it takes a quarter of a second, and most starts find nothing to migrate.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "broker.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _ours(action: str, error: DBAPIError) -> StorageError:
    origin = error.orig
    if isinstance(origin, sqlite3.Error):
        return _of_sqlite(action, origin)
    if isinstance(error, OperationalError) or error.connection_invalidated:
        # Of the server's texts, only those about connections and locks are sure to quote no value.
        return _unavailable(action, str(origin).partition("\n")[0])
    return _refused(action, f"{type(origin).__name__} ({getattr(origin, 'sqlstate', None) or 'no SQLSTATE'})")


def _of_sqlite(action: str, error: sqlite3.Error) -> StorageError:
    number = getattr(error, "sqlite_errorcode", 0)
    return (_unavailable if (number & 0xFF) in _PASSING else _refused)(action, str(error))


def _unavailable(action: str, detail: str) -> StorageError:
    return StorageUnavailable(action, detail, "see that the database runs and has room, then try again")


def _refused(action: str, detail: str) -> StorageError:
    return StorageError(action, detail, "see that the database is sifzone's own and that this user may write to it")
