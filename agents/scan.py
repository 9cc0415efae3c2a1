"""Reads sources: files and feeds to records, records to objects, objects to events in the spool; others carry these.

A file that is read again for what was left out of it gives only what is missing, unless it is the newest of its source:
what an older file says of anything else has been overtaken. A feed is read on from where it was left, and from its
beginning for what was left out. A record that is the same as when it was last read is not mapped again: see remembered.
"""

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from agents.connectors.contract import Item, Marker, SourceError, SourceFields, SourceProblem
from agents.files import (
    Again,
    Arrivals,
    FileLedger,
    Problem,
    Reading,
    content_digest,
    matching,
    settings_mark,
    signature,
)
from agents.gone import delete_gone
from agents.learners import LEARNER, Learners, NumberClaim, State, claim_of
from agents.parts import FeedPart, FilePart, LocatingSource, Parts, SourcePart
from agents.remembered import Old, Remembered
from agents.settings import AgentSettings
from agents.spool import Seen, Spool, Wanted
from agents.store import Store
from agents.units import Digest, Piece, Unit, batches, pieces
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim, Outcome
from mappings import GoneObject, InwardMapping, MappedObject, Record, RefIds, RowProblem
from mappings.problems import nearest

log = structlog.get_logger(__name__)

_BATCH: Final = 200
_MAPPED_AT_ONCE: Final = 1_000
"""Records that were mapped in one transaction: RefIds lie all over the database, and each page is written once."""
_MOST_AT_ONCE: Final = 5_000
"""Records in one transaction when nearly all of them are as they were."""
_MAX_MARKER: Final = 4_000
_TWICE: Final = "this object was in an earlier record, with other content: the first is used; make the two the same"
_NO_SUCH: Final = "the zone knows no such learner: see that its UPN is right, here and at the school; it is asked again"
Progress = Callable[[Path, int], None]
"""Told the file or feed being read and how many records of it are done."""
_AtMarker = Callable[[sqlite3.Connection, Marker], None]


class Stopped(Exception):
    """The agent is to stop; what is not read yet is read the next time."""


class _Moved(Exception):
    """A learner has got another RefId while a file was read: the file is read again when the zone has the Deletes."""


class _Referring:
    """Gives RefIds, and notes to which learners one record refers and what was known of them then."""

    def __init__(self, store: Store, learners: Learners) -> None:
        self._store, self._learners = store, learners
        self.states: dict[RefId, State] = {}

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        """Return the RefId of an object; of a learner that is not known yet, the one that this agent has made."""
        own = self._store.keys.own(object_type, key)
        if object_type != LEARNER:
            return own
        if own not in self.states:
            self.states[own] = self._learners.state(own)
        return self.states[own].ref_id


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one record comes to.

    Attributes:
        position: Its place in the file.
        digest: By which it is remembered; empty when it is not to be.
        objects: What it has made, or would make.
    """

    position: str
    digest: bytes
    objects: tuple[MappedObject, ...] | tuple[Old, ...]


@dataclass(slots=True)
class _Made:
    """What some records come to, until it is put into the database.

    Attributes:
        objects: In the order of the records.
        left_out: Objects of records about learners without a RefId.
        claims: Learners of whom the zone is to be asked, if it was not.
        gone: Objects that are no longer there by what the records say.
        mapped: How many of the records were mapped.
    """

    objects: list[_Entry] = field(default_factory=list)
    left_out: list[MappedObject] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    gone: list[GoneObject] = field(default_factory=list)
    mapped: int = 0

    @property
    def is_enough(self) -> bool:
        """Whether it is time to put it there."""
        return self.mapped >= _MAPPED_AT_ONCE or len(self.objects) >= _MOST_AT_ONCE


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


class _ByNumber:
    """Tells a connector that has numbers alone who its learners are, and notes whom to ask for."""

    def __init__(self, store: Store, learners: Learners) -> None:
        self._store, self._learners = store, learners
        self.states: dict[str, State] = {}
        self.claims: list[Claim] = []

    def start(self) -> None:
        """Forget the learners of the file before."""
        self.states.clear()
        self.claims.clear()

    def __call__(self, claim: NumberClaim) -> str | None:
        """Return a learner's RefId, or what stands in for it while there is none; None when nothing names it."""
        number = ("UPN", claim.upn) if claim.upn else ("ULN", claim.uln) if claim.uln else None
        if number is None:
            return None
        own = self._store.keys.own(LEARNER, (number[0], number[1] or ""))
        state = self._learners.state(own)
        if not state.is_known:
            self.states[own] = state
            upn, uln = claim.upn or "", claim.uln or ""
            self.claims.append(
                Claim(own, upn, uln=uln, birth_date=claim.born, gender=claim.sex or "", locate_only=True)
            )
        return state.ref_id


class Scanner:
    """Reads the sources of one agent, one file or feed at a time."""

    def __init__(
        self,
        settings: AgentSettings,
        parts: Parts,
        store: Store,
        spool: Spool,
        stop: threading.Event,
        progress: Progress = lambda _path, _records: None,
        learners: Learners | None = None,
    ) -> None:
        self._parts, self._store, self._spool, self._stop, self._progress = parts, store, spool, stop, progress
        self._ledger = FileLedger(store)
        self._remembered = Remembered(store)
        self._arrivals = Arrivals(settings)
        self._learners = learners or Learners(store, spool)
        # Learners that connectors know by numbers have keys of their own: whoever refers to others need not wait.
        self._moved = self._learners.moved
        self._answers = self._learners.answers
        self._waits = any(source.settings.locates and _makes_learners(source) for source in parts.sources)
        self._by_number = _ByNumber(store, self._learners)
        for source in parts.sources:
            if source.settings.locates and isinstance(source.connector, LocatingSource):
                source.connector.locate_with(self._by_number)
        self._remembered.keep_only(source.name for source in parts.sources)
        _clear_fetched(settings.fetched_folder, parts)

    def scan(self, source: SourcePart, *, retry: bool = False) -> bool:
        """Read what is new at a source, and what is to be read again; return whether something has to wait.

        That is a file which has not arrived whole yet, or all of them, until the zone has what was withdrawn.

        Args:
            source: Where to look.
            retry: Its time has come: fetch its files, ask a feed for news, and read files again that could not be
                read, though they have not changed.

        Raises:
            Stopped: The agent is to stop.
        """
        self._moved = self._learners.moved  # before it is asked whether all is ready: nothing falls between the two
        if not self._learners.ready():
            return True
        try:
            if isinstance(source, FeedPart):
                self._scan_feed(source, retry=retry)
            return isinstance(source, FilePart) and self._scan(source, retry=retry)
        except _Moved:
            return True

    def _scan(self, source: FilePart, *, retry: bool) -> bool:
        if retry:
            self._fetch(source)
        unsettled = False
        paths = matching(source.pattern, newest_only=source.settings.complete)
        for path in reversed(paths):  # of two that have an object, the newer one tells
            self._scan_again(source, path, newest=path == paths[-1])
        for path in paths:
            if self._stop.is_set():
                raise Stopped
            files = source.files(path)
            mark = signature(files, source.settings, self._parts.mappings_mark)
            known, digest, _ = self._ledger.signature(source.name, path)
            if known == mark and not (retry and not digest):
                continue
            if source.fetcher is None and not self._arrivals.settled(path, *files):
                unsettled = True
                continue
            self._read(source, path, mark, known, digest)
        return unsettled

    def _fetch(self, source: FilePart) -> None:
        """Bring files from another machine; when that fails, what was brought before stays, and it is told."""
        if source.fetcher is None:
            return
        url, folder = source.settings.path, source.pattern.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for each in (folder.parent, folder):
                each.chmod(0o700)
            source.fetcher.fetch(folder)
        except (SourceError, OSError) as error:
            reading = Reading(url, outcome="failed", note=_reason(error, "fetched", "see that there is room in state"))
            with self._store.transaction() as db:
                self._ledger.note(db, source.name, reading, "", "", Again.NO)
            log.error("not_fetched", source=source.name, reason=reading.note)
            return
        self._ledger.forget(source.name, url)

    def _scan_again(self, source: FilePart, path: Path, *, newest: bool) -> None:
        """Read a file for what was left out of it or is not kept, if it is to be; not one that has changed."""
        if self._stop.is_set():
            raise Stopped
        known, digest, again = self._ledger.signature(source.name, path)
        mark = signature(source.files(path), source.settings, self._parts.mappings_mark)
        if again is Again.NO or known != mark or not digest:
            return
        if again is Again.KEEP:
            self._keep(source, path)
            return
        self._read_whole(source, path, mark, digest, Wanted.CHANGES if newest else Wanted.MISSING)

    def _keep(self, source: FilePart, path: Path) -> None:
        """Keep the objects of a file that were published when none were kept."""
        reading = Reading(str(path))
        try:
            self._read_records(source, reading, Wanted.NOTHING, source.connector.read(path))
        except (SourceError, OSError) as error:
            log.warning("not_kept", source=source.name, file=path.name, reason=type(error).__name__)
        self._ledger.kept(source.name, path)

    def _read(self, source: FilePart, path: Path, mark: str, known: str, known_digest: str) -> None:
        try:
            digest = content_digest(source.files(path))
        except OSError:
            digest = ""
        if digest and digest == known_digest and known.rpartition(":")[2] == mark.rpartition(":")[2]:
            self._ledger.touch(source.name, path, mark)
            self._scan_again(source, path, newest=False)
            return
        self._read_whole(source, path, mark, digest, Wanted.CHANGES)

    def _read_whole(self, source: FilePart, path: Path, mark: str, digest: str, wanted: Wanted) -> None:
        reading = Reading(str(path))
        answers = self._learners.answers
        try:
            self._read_records(source, reading, wanted, source.connector.read(path))
        except (SourceError, OSError) as error:
            self._failed(source, reading, _reason(error))
            digest = ""
        self._report_waiting(reading)
        with self._store.transaction() as db:
            self._check_moved()
            if reading.outcome == "read":
                said, whole = wanted is Wanted.CHANGES, source.settings.complete
                delete_gone(db, self._spool, source, reading, said=said, whole=whole)
            self._ledger.note(db, source.name, reading, mark, digest, self._again(reading, answers))
        self._log(source, reading)

    def _scan_feed(self, source: FeedPart, *, retry: bool) -> None:
        """Read a feed when its time has come, settings or mappings have changed, or something was left out of it."""
        if self._stop.is_set():
            raise Stopped
        mark = settings_mark(source.settings, self._parts.mappings_mark)
        known, _, again = self._ledger.signature(source.name, source.name)
        if retry or known != mark or again is not Again.NO:
            since = self._ledger.marker(source.name, mark) if again is Again.NO else ""
            self._read_feed(source, mark, since, again)

    def _read_feed(self, source: FeedPart, mark: str, since: str, again: Again) -> None:
        """Read what has come since a marker, all when that is empty.

        Whatever the feed has said comes again when its end is not reached: only a marker says what need not. What was
        left out of it, too, stays noted until all of it has been read once more.
        """
        reading = Reading(source.name, left_out_before=self._ledger.waiting(source.name, source.name))
        answers = self._learners.answers
        marks: list[Marker] = []

        def at_marker(db: sqlite3.Connection, marker: Marker) -> None:
            if len(marker.value) > _MAX_MARKER:
                raise SourceError(
                    f"its marker has more than {_MAX_MARKER:,} characters: report it to the connector's maker"
                )
            marks.append(marker)
            if marker.complete:
                reading.left_out_before = 0
            whole = marker.complete and source.settings.complete
            if not delete_gone(db, self._spool, source, reading, said=True, whole=whole):
                self._ledger.mark(db, source.name, mark, marker.value)  # else what says it is gone would not come again
            self._ledger.note(db, source.name, reading, mark, "read", max(again, self._again(reading, answers)))

        try:
            self._read_records(source, reading, Wanted.CHANGES, source.connector.read_since(since), at_marker)
        except (SourceError, OSError) as error:
            self._failed(source, reading, _reason(error))
        failed = reading.outcome == "failed"
        if not (failed or marks or reading.records or reading.problems) and self._ledger.nothing_new(
            source.name, source.name
        ):
            return
        if not since and not failed:
            reading.left_out_before = 0
        self._report_waiting(reading)
        with self._store.transaction() as db:
            self._check_moved()
            left = max(again if failed else Again.NO, self._again(reading, answers))
            self._ledger.note(db, source.name, reading, mark, "" if failed else "read", left)
        self._log(source, reading)

    def _again(self, reading: Reading, answers: int) -> Again:
        """Tell whether it is to be read again: an answer that has come since it was begun found no record of it."""
        return Again.PUBLISH if reading.waiting and self._learners.answers != answers else Again.NO

    def _report_waiting(self, reading: Reading) -> None:
        if reading.waiting:
            message = f"{reading.waiting} records are left out until the zone has said whose they are"
            reading.report(Problem(reading.name, "warn", "not-located", "", message))

    def _log(self, source: SourcePart, reading: Reading) -> None:
        log.info(
            "file_read",
            source=source.name,
            file=reading.name,
            outcome=reading.outcome,
            records=reading.records,
            objects=reading.objects,
            events=reading.events,
            problems=reading.problems,
            waiting=reading.waiting,
            note=reading.note,
        )

    def _check_moved(self) -> None:
        """Raise when what was made since the scan began may be stale, or would overtake Deletes; in a transaction."""
        if self._learners.moved != self._moved:
            raise _Moved

    def _read_records(
        self,
        source: SourcePart,
        reading: Reading,
        wanted: Wanted,
        items: Iterable[Item | Marker],
        at_marker: _AtMarker = lambda _db, _marker: None,
    ) -> None:
        """Put what a source yields into the spool; all that precedes a marker is there, and never less, when it is."""
        self._answers = self._learners.answers
        self._by_number.start()
        with self._store.transaction() as db:
            self._spool.start_reading(db)

        def count() -> None:
            reading.records += 1

        made = _Made()
        for batch in batches(pieces(items, source.mappings, self._digest(source), count), _BATCH):
            if self._stop.is_set():
                raise Stopped
            self._make(source, batch, reading, made)
            marker = batch[-1] if isinstance(batch[-1], Marker) else None
            if made.is_enough or marker is not None:
                self._put_all(source, reading, made, wanted, marker, at_marker)
                made = _Made()
            self._progress(Path(reading.place), reading.records)
        self._put_all(source, reading, made, wanted)

    def _digest(self, source: SourcePart) -> Digest:
        """Return what tells the records of a source apart; it gives none where each is to be mapped in any case."""
        if source.settings.locates and isinstance(source.connector, LocatingSource):
            return lambda _record, _mappings: b""  # the connector itself asks for learners
        mark = f"{settings_mark(source.settings, self._parts.mappings_mark)} {self._waits}"
        remembered = self._remembered

        def digest(record: Record, mappings: tuple[InwardMapping, ...]) -> bytes:
            if mappings is source.mappings:
                return remembered.digest(record, mark)
            return remembered.digest(record, f"{mark} {[mapping.name for mapping in mappings]}")

        return digest

    def _make(self, source: SourcePart, batch: list[Piece], reading: Reading, made: _Made) -> None:
        """Add to what was made what a batch comes to; records that are as they were are not mapped."""
        digests = [piece.digest for piece in batch if isinstance(piece, Unit) and piece.digest]
        known = self._remembered.look_up(source.name, digests) if digests else {}
        for piece in batch:
            old = known.get(piece.digest) if isinstance(piece, Unit) else None
            if old is not None and isinstance(piece, Unit):
                made.objects.append(_Entry(piece.record.position, b"", old))
            elif not isinstance(piece, Marker):
                self._translate(source, piece, reading, made)
        made.claims += self._by_number.claims
        self._by_number.claims.clear()

    def _put_all(
        self,
        source: SourcePart,
        reading: Reading,
        made: _Made,
        wanted: Wanted,
        marker: Marker | None = None,
        at_marker: _AtMarker = lambda _db, _marker: None,
    ) -> None:
        # What was published and what is to be sent are one transaction: a crash leaves both or neither.
        with self._store.transaction() as db:
            self._check_moved()
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

    def _translate(
        self, source: SourcePart, item: Unit | SourceFields | SourceProblem, reading: Reading, made: _Made
    ) -> None:
        if isinstance(item, SourceFields):
            for problem in _nearly_read(source, item.names):
                reading.report(problem)
            return
        if isinstance(item, SourceProblem):
            reading.incomplete |= item.incomplete
            reading.failed_records += item.severity == "refuse"
            reading.report(Problem(item.position, item.severity, item.rule, "", item.message))
            return
        made.mapped += 1
        record, refused, problems = item.record, False, reading.problems
        objects: list[MappedObject] = []
        gone: list[GoneObject] = []
        referring = _Referring(self._store, self._learners) if self._waits else None
        ref_ids: RefIds = self._store.keys if referring is None else referring
        for mapping in item.mappings:
            translation = mapping.translate(record, ref_ids)
            refused |= any(problem.severity == "refuse" for problem in translation.problems)
            for found in translation.problems:
                reading.report(_problem(found))
            objects += translation.objects
            gone += translation.gone
        made.gone += gone
        reading.failed_records += refused
        if gone and not objects:
            return
        states = self._states(source, objects, referring, made)
        # Whose learner has become known meanwhile waits, too: it is to go after the learner, who is in another file.
        overtakes = bool(states) and not source.settings.locates and self._learners.answers != self._answers
        if all(state.is_known for state in states) and not overtakes:
            if objects:
                # What is wrong with a record is reported each time that it is read, and what is gone is said each time.
                digest = item.digest if reading.problems == problems and not gone else b""
                made.objects.append(_Entry(record.position, digest, tuple(objects)))
            return
        made.left_out += objects
        reading.waiting += 1
        if any(state.outcome is Outcome.NONE for state in states):
            reading.report(Problem(record.position, "warn", "no-such-learner", "", _NO_SUCH))

    def _states(
        self, source: SourcePart, objects: list[MappedObject], referring: _Referring | None, made: _Made
    ) -> list[State]:
        """Return what is known of the learners that a record refers to; note of whom the zone is to be asked."""
        states: list[State] = []
        if source.settings.locates:
            numbered = (self._by_number.states.get(one.learner_ref_id or "") for one in objects)
            states += (state for state in numbered if state is not None)
        if referring is None:
            return states
        for one in objects:
            own = self._store.keys.own(LEARNER, one.key) if one.object_type == LEARNER else None
            if own is not None and not referring.states[own].is_known:
                made.claims.append(claim_of(one.element, own, locate_only=source.settings.locate_only))
        return [*states, *referring.states.values()]

    def _put(
        self,
        db: sqlite3.Connection,
        source: SourcePart,
        reading: Reading,
        entry: _Entry,
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
            self._remembered.remember(db, source.name, entry.digest, known)

    def _failed(self, source: SourcePart, reading: Reading, reason: str) -> None:
        reading.outcome, reading.note = "failed", reason
        log.error("file_not_read", source=source.name, file=reading.name, reason=reason)


def _reason(error: SourceError | OSError, done: str = "read", remedy: str = "check its rights") -> str:
    if isinstance(error, SourceError):
        return str(error)
    return f"cannot be {done} ({error.strerror}): {remedy}"


def _clear_fetched(folder: Path, parts: Parts) -> None:
    """Remove what was fetched for sources that the agent no longer has."""
    used = {source.pattern.parent for source in parts.sources if isinstance(source, FilePart)}
    for old in folder.iterdir() if folder.is_dir() else ():
        if old not in used:
            shutil.rmtree(old, ignore_errors=True)


def _makes_learners(source: SourcePart) -> bool:
    return any(mapping.object_type == LEARNER for mapping in source.mappings)


class Schedule:
    """When each source is to be looked at again, by its own ``every``."""

    def __init__(self, sources: tuple[SourcePart, ...]) -> None:
        self._sources = sources
        self._next = {source.name: datetime.min.replace(tzinfo=UTC) for source in sources}

    def due(self) -> tuple[SourcePart, ...]:
        """Return the sources whose time has come, and set their next."""
        time = datetime.now(UTC)
        due = tuple(source for source in self._sources if self._next[source.name] <= time)
        for source in due:
            self._next[source.name] = time + source.settings.every
        return due


def _problem(problem: RowProblem) -> Problem:
    place = f"{problem.object_type} {problem.target}".strip()
    source = f" (field {problem.source})" if problem.source else ""
    return Problem(problem.position, problem.severity, problem.rule, place, f"{problem.message}{source}")


def _nearly_read(source: SourcePart, names: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for each column that no mapping reads though its heading is nearly one that they do."""
    wanted = {name.removeprefix("/") for mapping in source.mappings for name in mapping.sources}
    for name in sorted(names - wanted):
        near = nearest(name, wanted - names)
        if near is not None:
            message = f"no mapping reads the column {name[:60]!r}: did you mean {near!r}?"
            yield Problem("row 1", "warn", "heading", "", message)


__all__ = ["Progress", "Scanner", "Schedule", "Stopped"]
