"""Takes what a file or feed yields into the spool, in transactions; what records come to is said by the maker.

Which files and feeds are read, when, and from where on, is left to others, and so is carrying what is spooled.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from agents.connectors.contract import Item, Marker
from agents.files import Problem, Reading
from agents.learners import Learners
from agents.making import Entry, Made, Maker
from agents.parts import Parts, SourcePart
from agents.remembered import Old, Remembered
from agents.spool import Seen, Spool, Wanted
from agents.stopping import Stopped
from agents.store import Store
from agents.units import batches, pieces
from mappings import MappedObject

_BATCH: Final = 200
_MAPPED_AT_ONCE: Final = 1_000
"""Records that were mapped in one transaction: RefIds lie all over the database, and each page is written once."""
_MOST_AT_ONCE: Final = 5_000
"""Records in one transaction when nearly all of them are as they were."""
_TWICE: Final = "this object was in an earlier record, with other content: the first is used; make the two the same"
Progress = Callable[[Path, int], None]
"""Told the file or feed being read and how many records of it are done."""
AtMarker = Callable[[sqlite3.Connection, Marker], None]
"""Called with each marker, in the transaction that puts all that precedes it into the spool."""


class Moved(Exception):
    """A learner has got another RefId while a file was read: the file is read again when the zone has the Deletes."""


class _Sightings:
    """Tells, within one transaction, whether a reading has seen an object before."""

    def __init__(self, spool: Spool, db: sqlite3.Connection) -> None:
        self._spool, self._db = spool, db
        self._here: dict[tuple[str, str], bytes] = {}
        self._unwritten: list[tuple[str, str, bytes]] = []

    def see(self, one: MappedObject | Old, whole: bytes) -> Seen:
        """Note an object with this digest, and tell whether it was there before."""
        key = (one.object_type, one.ref_id)
        before = self._here.get(key) or (one.seen if isinstance(one, Old) else b"")
        if before:
            return Seen.ALIKE if before == whole else Seen.DIFFERENT
        if isinstance(one, Old):
            self._unwritten.append((*key, whole))
        elif (seen := self._spool.see(self._db, *key, whole)) is not Seen.FIRST:
            return seen
        self._here[key] = whole
        return Seen.FIRST

    def write(self) -> None:
        """Let those that come after this transaction know."""
        self._spool.see_all(self._db, self._unwritten)


class Intake:
    """Takes in the sources of one agent, one file or feed at a time: :meth:`begin`, then :meth:`take`."""

    def __init__(
        self, parts: Parts, store: Store, spool: Spool, learners: Learners, stop: threading.Event, progress: Progress
    ) -> None:
        self._store, self._spool, self._learners, self._stop, self._progress = store, spool, learners, stop, progress
        self._maker = Maker(parts, store, learners)
        self._moved = learners.moved

    def begin(self) -> None:
        """Let what is made from now on count as made under the RefIds that learners have now."""
        self._moved = self._learners.moved

    def check_moved(self) -> None:
        """Find out, in a transaction, whether what is put into it still holds.

        Raises:
            Moved: What was made since :meth:`begin` may be stale, or would overtake Deletes.
        """
        if self._learners.moved != self._moved:
            raise Moved

    def take(
        self,
        source: SourcePart,
        reading: Reading,
        wanted: Wanted,
        items: Iterable[Item | Marker],
        at_marker: AtMarker = lambda _db, _marker: None,
    ) -> None:
        """Put what a source yields into the spool; all that precedes a marker is there, and never less, when it is.

        Args:
            source: What is read.
            reading: Takes the counts and the problems.
            wanted: What of it may be published.
            items: What its connector yields.
            at_marker: Told of each marker.

        Raises:
            Stopped: The agent is to stop.
            Moved: See :meth:`check_moved`.
            SourceError: The source cannot be read, as its connector says.
        """
        self._maker.start()
        with self._store.transaction() as db:
            self._spool.start_reading(db)

        def count() -> None:
            reading.records += 1

        made = Made()
        for batch in batches(pieces(items, source.mappings, self._maker.digest(source), count), _BATCH):
            if self._stop.is_set():
                raise Stopped
            self._maker.make(source, batch, reading, made)
            marker = batch[-1] if isinstance(batch[-1], Marker) else None
            if _is_enough(made) or marker is not None:
                self._put_all(source, reading, made, wanted, marker, at_marker)
                made = Made()
            self._progress(Path(reading.place), reading.records)
        self._put_all(source, reading, made, wanted)

    def _put_all(
        self,
        source: SourcePart,
        reading: Reading,
        made: Made,
        wanted: Wanted,
        marker: Marker | None = None,
        at_marker: AtMarker = lambda _db, _marker: None,
    ) -> None:
        # What was published and what is to be sent are one transaction: a crash leaves both or neither.
        with self._store.transaction() as db:
            self.check_moved()
            sightings = _Sightings(self._spool, db)
            for entry in made.objects:
                self._put(db, source, reading, entry, sightings, wanted)
            sightings.write()
            self._spool.say_gone(db, made.gone)
            for one in made.left_out:
                self._spool.pass_over(db, one.object_type, one.ref_id)
            if wanted is not Wanted.NOTHING:
                self._learners.ask(db, made.claims, new_only=wanted is Wanted.MISSING)
            if marker is not None:
                at_marker(db, marker)

    def _put(
        self,
        db: sqlite3.Connection,
        source: SourcePart,
        reading: Reading,
        entry: Entry,
        sightings: _Sightings,
        wanted: Wanted,
    ) -> None:
        """Spool what has changed of what one record has made, and remember the record."""
        known: list[tuple[MappedObject, bytes]] = []
        for one in entry.objects:
            whole = one.whole if isinstance(one, Old) else self._spool.digest(one.element)
            seen = sightings.see(one, whole)
            if seen is Seen.DIFFERENT:
                reading.report(Problem(entry.position, "warn", "twice", one.object_type, _TWICE))
            reading.objects += seen is Seen.FIRST
            if isinstance(one, Old):
                continue
            known.append((one, whole))
            if seen is not Seen.FIRST:
                continue
            message_id = self._spool.put(
                db,
                source.name,
                one.element,
                ref_id=one.ref_id,
                routing_key=one.learner_ref_id,
                whole=whole,
                complete=source.settings.complete and not reading.incomplete,
                wanted=wanted,
            )
            reading.events += message_id is not None
        if entry.digest:
            Remembered.remember(db, source.name, entry.digest, known)


def _is_enough(made: Made) -> bool:
    """Tell whether it is time to put what was made into the database."""
    return made.mapped >= _MAPPED_AT_ONCE or len(made.objects) >= _MOST_AT_ONCE


__all__ = ["AtMarker", "Intake", "Moved", "Progress"]
