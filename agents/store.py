"""The agent's SQLite database: one file, one writer, durable transactions; what the tables mean is for their users.

Folder mode 700, files 600: the spool, the inbox and what was published are personal data.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from agents.keys import Keys, load_keys
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.identifiers import RefId

DATABASE: Final = "agent.db"
LOCK: Final = "agent.lock"
_BUSY_SECONDS: Final = 30.0
_CACHE_KIB: Final = 16 * 1024
"""RefIds are scattered over the whole of an index: with SQLite's usual 2 MiB nearly each costs reading a page."""
_VERSION: Final = 4
_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- spool: messages decided and not yet confirmed by the zone; of a packet, the body is in its own table
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, msg_id TEXT NOT NULL UNIQUE, object_type TEXT NOT NULL, action TEXT NOT NULL,
    ref_id TEXT NOT NULL, routing_key TEXT NOT NULL, body BLOB NOT NULL, kind TEXT NOT NULL DEFAULT 'SIF_Event');
-- ids of events that the zone has, so that a later refusal finds its object
CREATE TABLE sent (
    msg_id TEXT PRIMARY KEY, object_type TEXT NOT NULL, action TEXT NOT NULL, ref_id TEXT NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sent_at ON sent (at);
CREATE TABLE refusals (
    msg_id TEXT PRIMARY KEY, object_type TEXT NOT NULL, action TEXT NOT NULL, ref_id TEXT NOT NULL,
    category INTEGER NOT NULL, code INTEGER NOT NULL, description TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;

-- what was published of each object, as digests; key_xml is the object with nothing but its keys
CREATE TABLE sync (
    object_type TEXT NOT NULL, ref_id TEXT NOT NULL, source TEXT NOT NULL, whole BLOB NOT NULL, parts TEXT NOT NULL,
    key_xml BLOB NOT NULL, routing_key TEXT NOT NULL, resend TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (object_type, ref_id, source)) WITHOUT ROWID;
CREATE TABLE shapes (id TEXT PRIMARY KEY, paths TEXT NOT NULL) WITHOUT ROWID;

-- files read, and what was wrong in them
CREATE TABLE files (
    source TEXT NOT NULL, path TEXT NOT NULL, signature TEXT NOT NULL, digest TEXT NOT NULL, at TEXT NOT NULL,
    outcome TEXT NOT NULL, records INTEGER NOT NULL, objects INTEGER NOT NULL, events INTEGER NOT NULL,
    problems INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE TABLE problems (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, path TEXT NOT NULL, position TEXT NOT NULL, severity TEXT NOT NULL,
    rule TEXT NOT NULL, place TEXT NOT NULL, message TEXT NOT NULL);
CREATE INDEX problems_path ON problems (source, path);

-- inbox: ids of messages handled, objects as they now are, messages that could not be handled
CREATE TABLE inbox (msg_id TEXT PRIMARY KEY, subject TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX inbox_at ON inbox (at);
CREATE TABLE objects (
    object_type TEXT NOT NULL, ref_id TEXT NOT NULL, xml BLOB NOT NULL,
    PRIMARY KEY (object_type, ref_id)) WITHOUT ROWID;
CREATE TABLE failed (
    id INTEGER PRIMARY KEY, msg_id TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL,
    at TEXT NOT NULL);
"""

_EXCHANGES: Final = """
-- requests taken and not yet answered whole, and the packets of their answers, also of those that are being made
CREATE TABLE asked (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, msg_id TEXT NOT NULL UNIQUE, object_type TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE packets (
    id INTEGER PRIMARY KEY, msg_id TEXT NOT NULL UNIQUE, request_id TEXT NOT NULL, number INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE UNIQUE INDEX packets_number ON packets (request_id, number);
"""
_LEARNERS: Final = """
-- objects as they were last published, whole, compressed; learner is empty where the object is none's, or the learner
CREATE TABLE published (
    id INTEGER PRIMARY KEY, object_type TEXT NOT NULL, ref_id TEXT NOT NULL, learner TEXT NOT NULL, xml BLOB NOT NULL);
CREATE UNIQUE INDEX published_object ON published (object_type, ref_id);
CREATE INDEX published_learner ON published (learner, object_type) WHERE learner <> '';

-- whose record each learner is, by the RefId that this agent has made; claim is what the zone is asked with
CREATE TABLE learners (
    key TEXT PRIMARY KEY, outcome TEXT NOT NULL, ref_id TEXT NOT NULL, facts BLOB NOT NULL, claim TEXT NOT NULL,
    ask INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX learners_ask ON learners (ask) WHERE ask = 1;
ALTER TABLE files ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN again INTEGER NOT NULL DEFAULT 0
"""
_FEEDS: Final = """
-- records by the digest of all that they hold, each with the objects that it made, one of them the main; see remembered
CREATE TABLE IF NOT EXISTS records (
    source TEXT NOT NULL, digest BLOB NOT NULL, n INTEGER NOT NULL, object_type TEXT NOT NULL, ref_id TEXT NOT NULL,
    whole BLOB NOT NULL, main INTEGER NOT NULL, PRIMARY KEY (source, digest, n)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_object ON records (object_type, ref_id, source, main);
-- a record is known only while each of its objects is published as it made it, whatever changes that
CREATE TRIGGER IF NOT EXISTS records_of_changed AFTER INSERT ON sync BEGIN DELETE FROM records WHERE
    source = new.source AND digest IN (SELECT digest FROM records
    WHERE object_type = new.object_type AND ref_id = new.ref_id AND source = new.source); END;
CREATE TRIGGER IF NOT EXISTS records_of_deleted AFTER DELETE ON sync BEGIN DELETE FROM records WHERE
    source = old.source AND digest IN (SELECT digest FROM records
    WHERE object_type = old.object_type AND ref_id = old.ref_id AND source = old.source); END;
CREATE TRIGGER IF NOT EXISTS records_of_forgotten AFTER DELETE ON published BEGIN DELETE FROM records WHERE
    (source, digest) IN (SELECT source, digest FROM records
    WHERE object_type = old.object_type AND ref_id = old.ref_id); END;

-- how far each feed was read, and under which settings and mappings
CREATE TABLE IF NOT EXISTS markers (source TEXT PRIMARY KEY, mark TEXT NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
DELETE FROM records
"""
_FROM_1: Final = "ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'SIF_Event'"
_FILL: Final = "UPDATE files SET again = 2"
"""What was published before there was a table of whole objects is put there when its file is read again."""
_SEEN: Final = """
CREATE TEMP TABLE seen (object_type TEXT, ref_id TEXT, whole BLOB, PRIMARY KEY (object_type, ref_id)) WITHOUT ROWID
"""
_GONE: Final = "CREATE TEMP TABLE gone (object_type TEXT, ref_id TEXT, PRIMARY KEY (object_type, ref_id)) WITHOUT ROWID"


class AlreadyRunning(ZoneError):
    """Another process runs this agent with the same state folder."""


class Store:
    """The database and the key of one agent; safe to use from several threads.

    Attributes:
        has_learners: The zone was asked, or has told, whose record some learner is.
        undone: Grows with each transaction that is undone: what it was to bring is not there.
    """

    def __init__(self, folder: Path) -> None:
        """Open, and make where missing, the state of an agent.

        Raises:
            ConfigurationError: The folder cannot be made, the database is of a later version, or its key is gone.
        """
        self.folder = folder
        _make_folder(folder)
        had_key = (folder / "agent.key").exists()
        self.keys: Keys = load_keys(folder)
        self._lock = threading.RLock()
        self._held: int | None = None
        self.undone = 0
        path = folder / DATABASE
        if not path.exists():  # closing a file drops this process's locks on it, so not when a connection may be open
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its -wal and -shm this file's mode
        self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")  # what is confirmed leaves no personal data behind
        self._db.execute("PRAGMA temp_store = FILE")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for table in (_SEEN, _GONE):  # what the reading that is under way has met
            self._db.execute(table)
        self._prepare(had_key)
        self.has_learners = bool(self.query("SELECT 1 FROM learners LIMIT 1"))
        self.keys.located = self._located

    def hold(self) -> None:
        """Make this process the only one that runs the agent, until it closes the store or ends; once is enough.

        Raises:
            AlreadyRunning: Another process, or another store of this one, holds it.
        """
        if self._held is not None:
            return
        held = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(held)
            raise AlreadyRunning(
                f"{self.folder}: this agent is already running: stop the other process, "
                "or give this one another state folder"
            ) from error
        self._held = held

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one transaction: committed and on disk at the end, or undone on any error."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self.undone += 1
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def query(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        with self._lock:
            return self._db.execute(sql, arguments).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give a connection of its own that sees the database as it is now, whatever is written meanwhile."""
        db = sqlite3.connect(
            f"file:{self.folder / DATABASE}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
        )
        try:
            db.execute("BEGIN")
            yield db
        finally:
            db.close()

    def meta(self, name: str) -> str:
        """Return a remembered word; empty when there is none."""
        rows = self.query("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def prune(self, keep: timedelta) -> None:
        """Forget ids of messages sent or handled longer ago than *keep*."""
        limit = (datetime.now(UTC) - keep).isoformat(timespec="seconds")
        with self.transaction() as db:
            db.execute("DELETE FROM inbox WHERE at < ?", (limit,))
            db.execute("DELETE FROM sent WHERE at < ?", (limit,))

    def close(self) -> None:
        """Close the database and let others run the agent; safe to call twice."""
        with self._lock:
            self._db.close()
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _located(self, own: RefId) -> RefId:
        # Not cached: an answer that comes while a file is read is to be seen at once.
        rows = self.query("SELECT ref_id FROM learners WHERE key = ?", (own,)) if self.has_learners else ()
        return RefId(rows[0][0]) if rows and rows[0][0] else own

    def _prepare(self, had_key: bool) -> None:
        with self.transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version < _VERSION:
                _make_tables(db, version)
                db.execute(f"PRAGMA user_version = {_VERSION}")
            if version == 0:
                db.execute("INSERT INTO meta VALUES ('key', ?)", (self.keys.mark,))
                return
        if version > _VERSION:
            raise ConfigurationError(f"{self.folder}: was written by a later sifzone: install that version again")
        if self.meta("key") != self.keys.mark:
            if not had_key:
                (self.folder / "agent.key").unlink()
            raise ConfigurationError(
                f"{self.folder / 'agent.key'}: not the key that this state was made with: put it back from a copy, "
                "since another key gives every object another RefId"
            )


def now() -> str:
    """Return the time, UTC in whole seconds, as the database has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _make_tables(db: sqlite3.Connection, version: int) -> None:
    """Bring a database of an earlier *version*, 0 for an empty one, up to this one."""
    steps = {0: (_TABLES, _EXCHANGES), 1: (_FROM_1, _EXCHANGES)}.get(version, ())
    since_3 = (_LEARNERS, _FILL) if version < 3 else ()
    for step in (*steps, *since_3, _FEEDS):
        for statement in step.split(";\n"):
            db.execute(statement)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be made ({error.strerror}): set state to a folder of the agent"
        ) from error


__all__ = ["AlreadyRunning", "Store", "now"]
