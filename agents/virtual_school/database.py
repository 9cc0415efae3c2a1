"""The virtual school's database: its tables, and transactions in it; the only place of the agents that speaks SQL.

Tables are made from the classes in records.py, field by field. There are no foreign keys: objects come in any order.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, Self, TypeVar, get_type_hints

from sqlalchemy import (
    Column,
    Connection,
    Date,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from agents.connectors.contract import TargetError, Written
from agents.virtual_school.facts import Facts, newest
from agents.virtual_school.reading import OBJECTS, rows_of
from agents.virtual_school.records import (
    Care,
    Contact,
    Enrolment,
    Exclusion,
    Learner,
    LearnerContact,
    Mark,
    Need,
    Placement,
    Plan,
    Received,
    Row,
    School,
    Step,
    Term,
    Total,
    Transfer,
)
from broker.protocol.errors import ConfigurationError
from mappings import Objects

_VERSION: Final = "1"
_BATCH: Final = 500
_WAIT_SECONDS: Final = 10
_TURN_SECONDS: Final = 120
"""How long a writer waits for another's transaction: a first write of all that was received takes a while."""
_WRITER_LOCK: Final = 0x51F2_0E00_0002  # any number that nobody else takes on this server


class DatabaseError(TargetError):
    """The database cannot be used now; the text holds none of its values."""


@dataclass(frozen=True, slots=True)
class Told:
    """A notice: made once, told once. ``initials`` are taken out when it is told; times are UTC."""

    ref_id: str
    kind: str
    learner_ref_id: str
    initials: str
    noted_at: str
    claimed_at: str = ""
    sent_at: str = ""


@dataclass(frozen=True, slots=True)
class OnRoll:
    """A learner of whom was told, or need not be, that they came on the roll."""

    ref_id: str
    initials: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """A word to remember."""

    ref_id: str
    value: str


class _Keyed(Protocol):
    """What every class of records.py has."""

    @property
    def ref_id(self) -> str: ...


_Kept = TypeVar("_Kept", bound=_Keyed)
_Item = TypeVar("_Item")
_METADATA: Final = MetaData()


def _table(name: str, kind: type[Any]) -> Table:
    hints = get_type_hints(kind)
    types = {str: Text, int: Integer, int | None: Integer, date | None: Date}
    columns: list[Column[Any]] = [
        Column(f.name, types[hints[f.name]], primary_key=f.name == "ref_id", nullable=hints[f.name] not in (str, int))
        for f in fields(kind)
    ]
    table = Table(name, _METADATA, *columns)
    if "learner_ref_id" in table.c:
        Index(f"{name}_learner", table.c.learner_ref_id)
    return table


_TABLES: Final[Mapping[type[Any], Table]] = MappingProxyType(
    {
        kind: _table(name, kind)
        for name, kind in {
            "school": School,
            "term": Term,
            "learner": Learner,
            "enrolment": Enrolment,
            "care_period": Care,
            "placement": Placement,
            "transfer": Transfer,
            "transfer_status": Step,
            "plan": Plan,
            "attendance": Mark,
            "attendance_total": Total,
            "exclusion": Exclusion,
            "special_need": Need,
            "received": Received,
            "notice": Told,
            "on_roll": OnRoll,
            "remembered": Remembered,
            "contact": Contact,
            "learner_contact": LearnerContact,
        }.items()
    }
)
Index("attendance_day", _TABLES[Mark].c.day)


class Database:
    """One virtual school's database; safe to use from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine
        if engine.dialect.name == "postgresql":
            self._reading = engine.execution_options(isolation_level="REPEATABLE READ")
        self._writing = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Make the tables where they are missing.

        Raises:
            ConfigurationError: A later version of sifzone has made them.
            DatabaseError: The database cannot be used.
        """
        with self._change("prepared") as db:
            _METADATA.create_all(db)
            version = _recall(db, "version")
            if not version:
                _put(db, Remembered, [Remembered("version", _VERSION)])
        self._check_version(version or _VERSION)

    def is_prepared(self) -> bool:
        """Tell whether the tables are there; changes nothing.

        Raises:
            ConfigurationError: A later version of sifzone has made them.
            DatabaseError: The database cannot be used.
        """
        with self._read() as db:
            if not inspect(db).has_table("remembered"):
                return False
            version = _recall(db, "version")
        self._check_version(version)
        return bool(version)

    def write(self, objects: Objects, at: str) -> Written:
        """Write what has changed in *objects*, in one transaction.

        Args:
            at: The time, UTC, to remember where something came about a learner.

        Raises:
            DatabaseError: The database cannot be used; nothing is written.
        """
        counts: list[tuple[str, int]] = []
        news = _News(at)
        changed = False
        with self._change("written") as db:
            for object_type in OBJECTS:
                is_different, numbers = _bring_up_to_date(db, objects, object_type, news)
                changed = changed or is_different
                counts += numbers
                if object_type == "SchoolInfo":  # the first: others are looked up in it
                    news.schools.update(_schools_by_number(db))
            _put(db, Received, list(news.received.values()))
            gone = _TABLES[Received]
            db.execute(delete(gone).where(gone.c.learner_ref_id.not_in(select(_TABLES[Learner].c.ref_id))))
        return Written(changed, tuple(counts))

    def facts(self, until: date, day: date | None = None, learner: str = "") -> Facts:
        """Return what is known, as of one moment.

        Args:
            until: The newest mark of each learner is looked for up to this day.
            day: Day whose marks are wanted.
            learner: RefId of the learner all of whose marks are wanted.

        Raises:
            DatabaseError: The database cannot be used.
        """
        marks = _TABLES[Mark]
        with self._read() as db:
            some: list[Mark] = []
            if day is not None:
                some = _all(db, Mark, marks.c.day == day)
            elif learner:
                some = _all(db, Mark, marks.c.learner_ref_id == learner)
            return Facts(
                learners={one.ref_id: one for one in _all(db, Learner)},
                schools={one.ref_id: one for one in _all(db, School)},
                terms=_by(_all(db, Term), "school_ref_id"),
                enrolments=_by(_all(db, Enrolment)),
                care=_by(_all(db, Care)),
                placements=_by(_all(db, Placement), "care_ref_id"),
                transfers=_by(_all(db, Transfer)),
                steps=_by(_all(db, Step), "transfer_ref_id"),
                plans=_by(_all(db, Plan)),
                exclusions=_by(_all(db, Exclusion)),
                needs=_by(_all(db, Need)),
                totals=_by(_all(db, Total)),
                received=_by(_all(db, Received)),
                last_marks=_last_marks(db, until),
                marks=tuple(some),
                has_marks=db.execute(select(marks.c.ref_id).limit(1)).first() is not None,
            )

    def roll_told(self) -> tuple[dict[str, str], bool]:
        """Return initials by learner of those who were on the roll, and whether anybody has looked before."""
        with self._read() as db:
            return {one.ref_id: one.initials for one in _all(db, OnRoll)}, bool(_recall(db, "roll"))

    def note(self, notices: Iterable[Told], roll: Mapping[str, str]) -> int:
        """Keep the notices that are new, and who is on the roll now; return how many are new."""
        notices = list(notices)
        table, on_roll = _TABLES[Told], _TABLES[OnRoll]
        with self._change("written") as db:
            known = {key for keys in _batches([n.ref_id for n in notices]) for key in _known(db, table, keys)}
            new = {one.ref_id: one for one in notices if one.ref_id not in known}
            if new:
                db.execute(insert(table), [asdict(one) for one in new.values()])
            before = {one.ref_id: one.initials for one in _all(db, OnRoll)}
            if before != roll:
                db.execute(delete(on_roll))
                if roll:
                    db.execute(insert(on_roll), [asdict(OnRoll(ref, initials)) for ref, initials in roll.items()])
            if not _recall(db, "roll"):
                _put(db, Remembered, [Remembered("roll", "1")])
        return sum(1 for one in new.values() if not one.sent_at)

    def unknown(self, notices: Iterable[Told]) -> tuple[Told, ...]:
        """Return those of some notices that are not kept here."""
        notices = tuple(notices)
        with self._read() as db:
            known = {key for keys in _batches([n.ref_id for n in notices]) for key in _known(db, _TABLES[Told], keys)}
        return tuple(one for one in notices if one.ref_id not in known)

    def waiting(self) -> tuple[Told, ...]:
        """Return the notices that are not told yet, oldest first."""
        table = _TABLES[Told]
        with self._read() as db:
            found = _all(db, Told, table.c.sent_at == "")
        return tuple(sorted(found, key=lambda one: (one.noted_at, one.ref_id)))

    def claim(self, notices: Iterable[Told], at: str, stale: str) -> tuple[Told, ...]:
        """Take notices for oneself, so that nobody else tells them, and return those that one has got.

        Args:
            stale: Who claimed one before this time has given it up.
        """
        table, taken = _TABLES[Told], []
        with self._change("written") as db:
            for one in notices:
                free = (table.c.ref_id == one.ref_id) & (table.c.sent_at == "") & (table.c.claimed_at < stale)
                if db.execute(update(table).where(free).values(claimed_at=at)).rowcount:
                    taken.append(one)
        return tuple(taken)

    def told(self, notices: Iterable[Told], at: str) -> None:
        """Remember that claimed notices are told; whom they were about is kept only as what makes them known again."""
        self._settle(notices, {"sent_at": at, "claimed_at": "", "initials": ""})

    def give_up(self, notices: Iterable[Told]) -> None:
        """Let claimed notices be tried again, by whoever comes next."""
        self._settle(notices, {"claimed_at": ""})

    def recall(self, name: str) -> str:
        """Return a remembered word; empty when there is none."""
        with self._read() as db:
            return _recall(db, name)

    def remember(self, name: str, value: str) -> None:
        """Remember a word."""
        with self._change("written") as db:
            _put(db, Remembered, [Remembered(name, value)])

    def _settle(self, notices: Iterable[Told], values: dict[str, str]) -> None:
        table = _TABLES[Told]
        with self._change("written") as db:
            for keys in _batches([one.ref_id for one in notices]):
                db.execute(update(table).where(table.c.ref_id.in_(keys)).values(**values))

    def _check_version(self, version: str) -> None:
        if version != _VERSION and version:
            raise ConfigurationError(
                "the virtual school's database was made by a later sifzone: install that version again"
            )

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with _errors("read"), self._reading.connect() as db:
            yield db

    @contextmanager
    def _change(self, action: str) -> Iterator[Connection]:
        """Give a connection in a transaction of its own; two writers wait for each other."""
        with _errors(action), self._writing.begin() as db:
            if db.dialect.name == "postgresql":
                db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})
            yield db


def open_database(url: str, *, make: bool) -> Database:
    """Return the database at *url*.

    Args:
        make: Make the file and the tables where they are missing.

    Raises:
        ConfigurationError: It is not there and is not to be made, or cannot be opened.
        DatabaseError: It cannot be used now.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(str(parsed.database))
        if not make and not path.exists():
            raise _not_there()
        database = Database(_sqlite(url, path))
    else:
        database = Database(_postgresql(url))
    try:
        if make:
            database.prepare()
        is_there = make or database.is_prepared()
    except BaseException:
        database.close()
        raise
    if not is_there:
        database.close()
        raise _not_there()
    return database


def _not_there() -> ConfigurationError:
    return ConfigurationError("the virtual school's database is not there yet: run the agent first (sifzone agent run)")


def _sqlite(url: str, path: Path) -> Engine:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made by us, so that nobody else may read it from the first byte; SQLite gives its WAL the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"database file {path} cannot be opened ({error.strerror}): name one in a folder of this user"
        ) from error
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _TURN_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
        connection.execute("PRAGMA journal_mode = WAL")  # readers and the one writer do not wait for each other
        connection.execute("PRAGMA synchronous = FULL")  # a notice that was told stays told
        connection.execute("PRAGMA secure_delete = ON")  # who has left leaves no bytes in freed pages

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _postgresql(url: str) -> Engine:
    try:
        return create_engine(url, hide_parameters=True, connect_args={"connect_timeout": _WAIT_SECONDS})
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "PostgreSQL needs the package psycopg: run `pip install 'sifzone[postgresql]'`"
        ) from error


@contextmanager
def _errors(action: str) -> Iterator[None]:
    """Turn what SQLAlchemy raises into ours, without values and without the server's text, which may quote them."""
    try:
        yield
    except SQLAlchemyError as error:
        origin = getattr(error, "orig", None) if isinstance(error, DBAPIError) else None
        what = type(origin or error).__name__
        code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None) or ""
        raise DatabaseError(
            f"the virtual school's database cannot be {action} ({' '.join(filter(None, (what, code)))}): "
            "see that it runs, has room, and that this user may write to it"
        ) from error


@dataclass(frozen=True, slots=True)
class _News:
    """What came with one write, about which learner and by which school; *schools* are RefIds by number."""

    at: str
    schools: dict[str, str] = field(default_factory=dict)
    received: dict[str, Received] = field(default_factory=dict)

    def note(self, row: Row, object_type: str) -> None:
        """Note that a row is new or other than before."""
        if isinstance(row, Learner):
            learner, school = row.ref_id, self.schools.get(row.school_number, "")
        else:
            learner, school = getattr(row, "learner_ref_id", ""), getattr(row, "school_ref_id", "")
        if learner:
            key = f"{learner}|{school}"
            self.received[key] = Received(key, learner, school, self.at, object_type)


def _bring_up_to_date(
    db: Connection, objects: Objects, object_type: str, news: _News
) -> tuple[bool, list[tuple[str, int]]]:
    """Make the tables of one type of object what *objects* are, and note what is new or other.

    Returns:
        Whether anything was written, and how many rows there are by table.
    """
    kinds = OBJECTS[object_type]
    seen: dict[type[Row], set[str]] = {kind: set() for kind in kinds}
    changed = False
    for batch in _batches(rows_of(objects, object_type)):
        for kind in kinds:
            rows = {row.ref_id: row for row in batch if type(row) is kind}
            seen[kind] |= rows.keys()
            for row in _put(db, kind, list(rows.values())):
                changed = True
                news.note(row, object_type)
    for kind, keys in seen.items():
        changed = _keep_only(db, _TABLES[kind], keys) or changed
    return changed, [(_TABLES[kind].name, len(keys)) for kind, keys in seen.items()]


def _put(db: Connection, kind: type[_Kept], rows: list[_Kept]) -> list[_Kept]:
    """Write those of some rows that are not yet as they should be, and return them."""
    if not rows:
        return []
    table = _TABLES[kind]
    keys = [row.ref_id for row in rows]
    known = {row[0]: kind(*row) for part in _batches(keys) for row in db.execute(_these(table, part))}
    different = [row for row in rows if known.get(row.ref_id) != row]
    old = [row.ref_id for row in different if row.ref_id in known]
    for part in _batches(old):
        db.execute(delete(table).where(table.c.ref_id.in_(part)))
    for some in _batches(different):
        db.execute(insert(table), [asdict(row) for row in some])  # type: ignore[call-overload]
    return different


def _keep_only(db: Connection, table: Table, keys: set[str]) -> bool:
    """Take out the rows with other keys; the keys themselves are only read where there are too many rows."""
    if db.execute(select(func.count()).select_from(table)).scalar_one() == len(keys):
        return False
    gone = [key for (key,) in db.execute(select(table.c.ref_id)) if key not in keys]
    for part in _batches(gone):
        db.execute(delete(table).where(table.c.ref_id.in_(part)))
    return bool(gone)


def _schools_by_number(db: Connection) -> dict[str, str]:
    table = _TABLES[School]
    return {number: ref_id for number, ref_id in db.execute(select(table.c.number, table.c.ref_id)) if number}


def _last_marks(db: Connection, until: date) -> dict[tuple[str, str], Mark]:
    marks = _TABLES[Mark]
    last = (
        select(marks.c.learner_ref_id, marks.c.school_ref_id, func.max(marks.c.day).label("day"))
        .where(marks.c.day <= until)
        .group_by(marks.c.learner_ref_id, marks.c.school_ref_id)
        .subquery()
    )
    joined = (
        (marks.c.learner_ref_id == last.c.learner_ref_id)
        & (marks.c.school_ref_id == last.c.school_ref_id)
        & (marks.c.day == last.c.day)
    )
    found: dict[tuple[str, str], Mark] = {}
    for row in db.execute(select(marks).join(last, joined)):
        mark = Mark(*row)
        place = (mark.learner_ref_id, mark.school_ref_id)
        found[place] = newest([mark, *filter(None, [found.get(place)])]) or mark
    return found


def _all(db: Connection, kind: type[_Kept], where: Any = None) -> list[_Kept]:
    table = _TABLES[kind]
    question = select(table) if where is None else select(table).where(where)
    return [kind(*row) for row in db.execute(question)]


def _by(rows: Iterable[_Kept], name: str = "learner_ref_id") -> dict[str, tuple[_Kept, ...]]:
    found: dict[str, list[_Kept]] = {}
    for row in rows:
        found.setdefault(getattr(row, name), []).append(row)
    return {key: tuple(sorted(some, key=lambda row: row.ref_id)) for key, some in found.items()}


def _these(table: Table, keys: list[str]) -> Any:
    return select(table).where(table.c.ref_id.in_(keys))


def _known(db: Connection, table: Table, keys: list[str]) -> list[str]:
    return list(db.execute(select(table.c.ref_id).where(table.c.ref_id.in_(keys))).scalars())


def _recall(db: Connection, name: str) -> str:
    table = _TABLES[Remembered]
    return str(db.execute(select(table.c.value).where(table.c.ref_id == name)).scalar_one_or_none() or "")


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = ["Database", "DatabaseError", "Told", "open_database"]
