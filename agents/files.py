"""Which files there are to read, and the record of those that were, and of feeds: outcome, counts, what was wrong."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import Final, Literal

from agents.remembered import Remembered
from agents.settings import AgentSettings, SourceSettings
from agents.store import Store, now

_HIDDEN: Final = (".", "~$")
"""What names begin with that are not meant to be read: hidden files, and the locks of office programs."""
MAX_PROBLEMS: Final = 1_000
"""Problems kept of one file; those beyond are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file, without any of its values.

    Attributes:
        position: For people, for example ``row 12``.
        place: Object and path concerned, where there is one.
    """

    position: str
    severity: Literal["refuse", "warn"]
    rule: str
    place: str
    message: str


@dataclass(slots=True)
class Reading:
    """What the reading of one file or feed has come to so far.

    Attributes:
        place: The file's path, or the feed's name.
        records: Rows or pupils read.
        objects: Objects made of them.
        events: Events spooled, that is, objects that are new or changed or gone.
        problems: Number of problems; the first of them are in *kept*.
        failed_records: Records of which some object was refused, or that could not be read.
        waiting: Records left out until the zone has said whose they are, or knows the learner.
        left_out_before: Records left out of a feed earlier, which this reading does not read again.
        incomplete: Nothing may be concluded from what is missing.
        outcome: ``read``; ``held`` when deletes were held back; ``failed`` when the file could not be read.
    """

    place: str
    records: int = 0
    objects: int = 0
    events: int = 0
    problems: int = 0
    failed_records: int = 0
    waiting: int = 0
    left_out_before: int = 0
    incomplete: bool = False
    outcome: Literal["read", "held", "failed"] = "read"
    note: str = ""
    kept: list[Problem] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of its place, for people."""
        return self.place.rpartition("/")[2]

    def report(self, problem: Problem) -> None:
        """Count a problem, and keep it while there is room."""
        self.problems += 1
        if len(self.kept) < MAX_PROBLEMS:
            self.kept.append(problem)


@dataclass(frozen=True, slots=True)
class FileStatus:
    """One row of the record of files.

    Attributes:
        path: Of a feed its name; of a machine from which nothing could be fetched the URL.
    """

    source: str
    path: str
    at: str
    outcome: str
    records: int
    objects: int
    events: int
    problems: int
    note: str
    waiting: int


class Again(IntEnum):
    """Why a file is to be read again though it has not changed."""

    NO = 0
    PUBLISH = 1
    """For what was left out of it, or was withdrawn since."""
    KEEP = 2
    """For the objects in it that are published and not kept."""


class FileLedger:
    """The record of files and feeds read by one agent; a feed has its name for a path."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def signature(self, source: str, path: Path | str) -> tuple[str, str, Again]:
        """Return signature and digest of content of a file as it was last read, empty when it was not; and if again."""
        rows = self._store.query(
            "SELECT signature, digest, again FROM files WHERE source = ? AND path = ?", (source, str(path))
        )
        return (rows[0][0], rows[0][1], Again(rows[0][2])) if rows else ("", "", Again.NO)

    def note(
        self, db: sqlite3.Connection, source: str, reading: Reading, signature: str, digest: str, again: Again
    ) -> None:
        """Write down what became of a file; its earlier problems are replaced."""
        path = reading.place
        db.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (source, path, signature, digest, now(), reading.outcome, reading.records, reading.objects, reading.events,
             reading.problems, reading.note, max(reading.waiting, reading.left_out_before), again),
        )  # fmt: skip
        db.execute("DELETE FROM problems WHERE source = ? AND path = ?", (source, path))
        db.executemany(
            "INSERT INTO problems (source, path, position, severity, rule, place, message) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(source, path, p.position, p.severity, p.rule, p.place, p.message) for p in reading.kept],
        )

    def touch(self, source: str, path: Path, signature: str) -> None:
        """Note that a file with another time has the content that was read before."""
        with self._store.transaction() as db:
            db.execute("UPDATE files SET signature = ? WHERE source = ? AND path = ?", (signature, source, str(path)))

    def kept(self, source: str, path: Path) -> None:
        """Note that what is published of a file is kept."""
        with self._store.transaction() as db:
            db.execute("UPDATE files SET again = 0 WHERE source = ? AND path = ?", (source, str(path)))

    def marker(self, source: str, mark: str) -> str:
        """Return how far a feed was read under the settings and mappings with this *mark*; empty when it was not."""
        rows = self._store.query("SELECT value FROM markers WHERE source = ? AND mark = ?", (source, mark))
        return str(rows[0][0]) if rows else ""

    @staticmethod
    def mark(db: sqlite3.Connection, source: str, mark: str, value: str) -> None:
        """Note how far a feed has been read."""
        db.execute("INSERT OR REPLACE INTO markers VALUES (?, ?, ?)", (source, mark, value))

    def waiting(self, source: str, path: str) -> int:
        """Return how many records were left out when a feed was last read."""
        rows = self._store.query("SELECT waiting FROM files WHERE source = ? AND path = ?", (source, path))
        return int(rows[0][0]) if rows else 0

    def nothing_new(self, source: str, path: str) -> bool:
        """Note that a feed answers and has nothing new; return whether it was read before, so that there is a line."""
        with self._store.transaction() as db:
            done = db.execute(
                "UPDATE files SET at = ?, digest = 'read', note = iif(outcome = 'failed', '', note), "
                "outcome = iif(outcome = 'failed', 'read', outcome) WHERE source = ? AND path = ?",
                (now(), source, path),
            )
            return done.rowcount > 0

    def forget(self, source: str, path: str) -> None:
        """Take a line out of the record."""
        with self._store.transaction() as db:
            for table in ("files", "problems"):
                db.execute(f"DELETE FROM {table} WHERE source = ? AND path = ?", (source, path))  # noqa: S608

    @staticmethod
    def read_again(db: sqlite3.Connection, *, all_files: bool) -> None:
        """Let all be read again, or what some record was left out of; each record is then mapped again."""
        Remembered.forget_all(db)
        db.execute("UPDATE files SET again = ? WHERE ? OR waiting > 0", (Again.PUBLISH, all_files))

    def all(self) -> list[FileStatus]:
        """Return every file that was read, by source and path."""
        columns = "source, path, at, outcome, records, objects, events, problems, note, waiting"
        return [FileStatus(*row) for row in self._store.query(f"SELECT {columns} FROM files ORDER BY source, path")]  # noqa: S608

    def problems(self, source: str, path: str) -> list[Problem]:
        """Return the problems kept of a file, in its order."""
        rows = self._store.query(
            "SELECT position, severity, rule, place, message FROM problems WHERE source = ? AND path = ? ORDER BY id",
            (source, path),
        )
        return [Problem(*row) for row in rows]


class Arrivals:
    """Tells which files of a source have arrived whole, and whether they are others than those read before."""

    def __init__(self, settings: AgentSettings, clock: Callable[[], float] = time.time) -> None:
        self._settle, self._clock = settings.settle, clock
        self._seen: dict[Path, tuple[Mapping[Path, tuple[int, int] | None], float]] = {}

    def settled(self, path: Path, *others: Path) -> bool:
        """Tell whether size and time of *path*, and of *others* that belong to it, have stood still for long enough.

        A file is not trusted for the age it shows alone: one that is copied may bring its old time with it.
        """
        marks = {file: _mark(file) for file in (path, *others)}
        if None in marks.values():
            return False
        before = self._seen.get(path)
        if before is None or before[0] != marks:
            self._seen[path] = (marks, self._clock())
            return self._settle == timedelta(0)
        return self._clock() - before[1] >= self._settle.total_seconds()


def matching(pattern: Path, *, newest_only: bool = False) -> list[Path]:
    """Return the files that match, oldest first; hidden files, folders and devices are left out."""
    try:
        found = [
            path for path in pattern.parent.glob(pattern.name) if not path.name.startswith(_HIDDEN) and path.is_file()
        ]
    except OSError:
        return []
    marked = sorted((mark[1], path) for path in found if (mark := _mark(path)) is not None)
    paths = [path for _, path in marked]
    return paths[-1:] if newest_only else paths


def signature(files: Sequence[Path], source: SourceSettings, mappings_mark: str) -> str:
    """Return what changes when one of the *files*, the settings of their source or a mapping changes."""
    if len(files) == 1:
        size, changed = _mark(files[0]) or (0, 0)
        return f"{size}:{changed}:{settings_mark(source, mappings_mark)}"
    marks = repr([(file.name, _mark(file)) for file in files])
    return f"{len(files)}:{hashlib.sha256(marks.encode()).hexdigest()}:{settings_mark(source, mappings_mark)}"


def settings_mark(source: SourceSettings, mappings_mark: str) -> str:
    """Return what changes when the settings of a source or a file of mappings changes."""
    # Whoever has not set what could not be set at first has files that were read before: they are not read anew.
    unset = {name for name in ("locate", "locate_only", "name") if not getattr(source, name)}
    text = source.model_dump_json(exclude={"every", "fetch", *unset}) + mappings_mark
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def content_digest(files: Sequence[Path]) -> str:
    """Return SHA-256 of a file's bytes; of several, of their names and of this of each."""
    if len(files) != 1:
        parts = [f"{file.name} {content_digest([file])}\n" for file in files]
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    with files[0].open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


__all__ = [
    "MAX_PROBLEMS",
    "Again",
    "Arrivals",
    "FileLedger",
    "FileStatus",
    "Problem",
    "Reading",
    "content_digest",
    "matching",
    "settings_mark",
    "signature",
]
