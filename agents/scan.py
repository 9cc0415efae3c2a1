"""Reads sources: files to records, records to objects, objects to events in the spool; others carry these.

A file that is read again for what was left out of it gives only what is missing, unless it is the newest of its source:
what an older file says of anything else has been overtaken.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.files import Again, Arrivals, FileLedger, Problem, Reading, content_digest, matching, signature
from agents.learners import LEARNER, Learners, NumberClaim, State, claim_of
from agents.parts import LocatingSource, Parts, SourcePart
from agents.settings import AgentSettings
from agents.spool import Seen, Spool, Vanished, Wanted
from agents.store import Store
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim, Outcome
from mappings import MappedObject, RefIds, RowProblem
from mappings.problems import nearest

log = structlog.get_logger(__name__)

_BATCH: Final = 200
_NO_SUCH: Final = "the zone knows no such learner: see that its UPN is right, here and at the school; it is asked again"
Progress = Callable[[Path, int], None]
"""Told the file being read and how many records of it are done."""


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


@dataclass(slots=True)
class _Made:
    """What one batch of records comes to.

    Attributes:
        objects: With the record's place in the file.
        left_out: Objects of records about learners without a RefId.
        claims: Learners of whom the zone is to be asked, if it was not.
    """

    objects: list[tuple[str, MappedObject]] = field(default_factory=list)
    left_out: list[MappedObject] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


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
    """Reads the sources of one agent, one file at a time."""

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

    def scan(self, source: SourcePart, *, retry: bool = False) -> bool:
        """Read what is new at a source, and what is to be read again; return whether something has to wait.

        That is a file which has not arrived whole yet, or all of them, until the zone has what was withdrawn.

        Args:
            source: Where to look.
            retry: Read files again that could not be read, though they have not changed.

        Raises:
            Stopped: The agent is to stop.
        """
        self._moved = self._learners.moved  # before it is asked whether all is ready: nothing falls between the two
        if not self._learners.ready():
            return True
        try:
            return self._scan(source, retry=retry)
        except _Moved:
            return True

    def _scan(self, source: SourcePart, *, retry: bool) -> bool:
        unsettled = False
        paths = matching(source.pattern, newest_only=source.settings.complete)
        for path in reversed(paths):  # of two that have an object, the newer one tells
            self._scan_again(source, path, newest=path == paths[-1])
        for path in paths:
            if self._stop.is_set():
                raise Stopped
            mark = signature(path, source.settings, self._parts.mappings_mark)
            known, digest, _ = self._ledger.signature(source.name, path)
            if known == mark and not (retry and not digest):
                continue
            if not self._arrivals.settled(path):
                unsettled = True
                continue
            self._read(source, path, mark, known, digest)
        return unsettled

    def _scan_again(self, source: SourcePart, path: Path, *, newest: bool) -> None:
        """Read a file for what was left out of it or is not kept, if it is to be; not one that has changed."""
        if self._stop.is_set():
            raise Stopped
        known, digest, again = self._ledger.signature(source.name, path)
        mark = signature(path, source.settings, self._parts.mappings_mark)
        if again is Again.NO or known != mark or not digest:
            return
        if again is Again.KEEP:
            self._keep(source, path)
            return
        self._read_whole(source, path, mark, digest, Wanted.CHANGES if newest else Wanted.MISSING)

    def _keep(self, source: SourcePart, path: Path) -> None:
        """Keep the objects of a file that were published when none were kept."""
        reading = Reading(path)
        try:
            self._read_records(source, reading, Wanted.NOTHING)
        except (SourceError, OSError) as error:
            log.warning("not_kept", source=source.name, file=path.name, reason=type(error).__name__)
        self._ledger.kept(source.name, path)

    def _read(self, source: SourcePart, path: Path, mark: str, known: str, known_digest: str) -> None:
        try:
            digest = content_digest(path)
        except OSError:
            digest = ""
        if digest and digest == known_digest and known.rpartition(":")[2] == mark.rpartition(":")[2]:
            self._ledger.touch(source.name, path, mark)
            self._scan_again(source, path, newest=False)
            return
        self._read_whole(source, path, mark, digest, Wanted.CHANGES)

    def _read_whole(self, source: SourcePart, path: Path, mark: str, digest: str, wanted: Wanted) -> None:
        reading = Reading(path)
        answers = self._learners.answers
        try:
            self._read_records(source, reading, wanted)
        except SourceError as error:
            self._failed(source, reading, str(error))
            digest = ""
        except OSError as error:
            self._failed(source, reading, f"cannot be read ({error.strerror}): check its rights")
            digest = ""
        if reading.waiting:
            message = f"{reading.waiting} records are left out until the zone has said whose they are"
            reading.report(Problem(reading.path.name, "warn", "not-located", "", message))
        with self._store.transaction() as db:
            self._check_moved()
            if source.settings.complete and reading.outcome == "read":
                self._delete_vanished(db, source, reading)
            # An answer that has come since the file was begun found no record of it to be read again.
            late = reading.waiting > 0 and self._learners.answers != answers
            self._ledger.note(db, source.name, reading, mark, digest, Again.PUBLISH if late else Again.NO)
        log.info(
            "file_read",
            source=source.name,
            file=reading.path.name,
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

    def _read_records(self, source: SourcePart, reading: Reading, wanted: Wanted) -> None:
        self._answers = self._learners.answers
        self._by_number.start()
        items = iter(source.connector.read(reading.path))
        with self._store.transaction() as db:
            self._spool.start_reading(db)
        while batch := list(islice(items, _BATCH)):
            if self._stop.is_set():
                raise Stopped
            made = _Made()
            for item in batch:
                self._translate(source, item, reading, made)
            made.claims += self._by_number.claims
            self._by_number.claims.clear()
            # What was published and what is to be sent are one transaction: a crash leaves both or neither.
            with self._store.transaction() as db:
                self._check_moved()
                for position, one in made.objects:
                    self._put(db, source, reading, position, one, wanted)
                for one in made.left_out:
                    self._spool.pass_over(db, one.object_type, one.ref_id)
                if wanted is not Wanted.NOTHING:
                    self._learners.ask(db, made.claims, new_only=wanted is Wanted.MISSING)
            self._progress(reading.path, reading.records)

    def _translate(self, source: SourcePart, item: Item, reading: Reading, made: _Made) -> None:
        if isinstance(item, SourceFields):
            for problem in _nearly_read(source, item.names):
                reading.report(problem)
            return
        if isinstance(item, SourceProblem):
            reading.incomplete |= item.incomplete
            reading.failed_records += item.severity == "refuse"
            reading.report(Problem(item.position, item.severity, item.rule, "", item.message))
            return
        reading.records += 1
        refused = False
        objects: list[MappedObject] = []
        referring = _Referring(self._store, self._learners) if self._waits else None
        ref_ids: RefIds = self._store.keys if referring is None else referring
        for mapping in source.mappings:
            translation = mapping.translate(item, ref_ids)
            refused |= any(problem.severity == "refuse" for problem in translation.problems)
            for found in translation.problems:
                reading.report(_problem(found))
            objects += translation.objects
        reading.failed_records += refused
        states = self._states(source, objects, referring, made)
        # Whose learner has become known meanwhile waits, too: it is to go after the learner, who is in another file.
        overtakes = bool(states) and not source.settings.locates and self._learners.answers != self._answers
        if all(state.is_known for state in states) and not overtakes:
            made.objects += ((item.position, one) for one in objects)
            return
        made.left_out += objects
        reading.waiting += 1
        if any(state.outcome is Outcome.NONE for state in states):
            reading.report(Problem(item.position, "warn", "no-such-learner", "", _NO_SUCH))

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
        position: str,
        made: MappedObject,
        wanted: Wanted,
    ) -> None:
        whole = self._spool.digest(made.element)
        seen = self._spool.see(db, made.object_type, made.ref_id, whole)
        if seen is Seen.DIFFERENT:
            message = (
                "this object was in an earlier record, with other content: the first is used; make the two the same"
            )
            reading.report(Problem(position, "warn", "twice", made.object_type, message))
        if seen is not Seen.FIRST:
            return
        reading.objects += 1
        message_id = self._spool.put(
            db,
            source.name,
            made.element,
            ref_id=made.ref_id,
            routing_key=made.learner_ref_id,
            whole=whole,
            complete=source.settings.complete and not reading.incomplete,
            wanted=wanted,
        )
        reading.events += message_id is not None

    def _delete_vanished(self, db: sqlite3.Connection, source: SourcePart, reading: Reading) -> None:
        """Spool a Delete of each object that the whole picture no longer has, unless something speaks against it."""
        types = list(dict.fromkeys(mapping.object_type for mapping in source.mappings))
        found = {object_type: self._spool.vanished(db, source.name, object_type) for object_type in types}
        gone = sum(len(vanished) for _, vanished in found.values())
        if not gone:
            return
        reason = _against(found, source.settings.max_deletes, reading)
        if reason:
            reading.outcome, reading.note = (
                "held",
                f"{gone} objects are no longer in the file; nothing deleted: {reason}",
            )
            log.error("deletes_held", source=source.name, file=reading.path.name, objects=gone, reason=reason)
            return
        # What points at others goes before them: mappings are written the other way round.
        for object_type in reversed(types):
            for vanished in found[object_type][1]:
                reading.events += self._spool.delete(db, source.name, vanished) is not None

    def _failed(self, source: SourcePart, reading: Reading, reason: str) -> None:
        reading.outcome, reading.note = "failed", reason
        log.error("file_not_read", source=source.name, file=reading.path.name, reason=reason)


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


def _against(found: dict[str, tuple[int, list[Vanished]]], max_deletes: float, reading: Reading) -> str:
    """Return why nothing may be deleted; empty when nothing speaks against it."""
    if reading.incomplete:
        return "the file says itself that it is partial"
    if reading.failed_records:
        return f"{reading.failed_records} records could not be used, and may be what is missing: mend them first"
    for object_type, (known, vanished) in found.items():
        if len(vanished) > known * max_deletes:
            return (
                f"{len(vanished)} of {known} {object_type} are missing, more than max_deletes = {max_deletes:.0%}: "
                "check that the export is whole; if it is right, raise max_deletes for one run"
            )
    return ""


__all__ = ["Progress", "Scanner", "Schedule", "Stopped"]
