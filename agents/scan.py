"""Reads sources: files to records, records to objects, objects to events in the spool; others carry these."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.files import Arrivals, FileLedger, Problem, Reading, content_digest, matching, signature
from agents.parts import Parts, SourcePart
from agents.settings import AgentSettings
from agents.spool import Seen, Spool, Vanished
from agents.store import Store
from mappings import MappedObject, RowProblem
from mappings.problems import nearest

log = structlog.get_logger(__name__)

_BATCH: Final = 200
Progress = Callable[[Path, int], None]
"""Told the file being read and how many records of it are done."""


class Stopped(Exception):
    """The agent is to stop; what is not read yet is read the next time."""


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
    ) -> None:
        self._parts, self._store, self._spool, self._stop, self._progress = parts, store, spool, stop, progress
        self._ledger = FileLedger(store)
        self._arrivals = Arrivals(settings)

    def scan(self, source: SourcePart, *, retry: bool = False) -> bool:
        """Read what is new at a source; return whether some file has not arrived whole yet.

        Args:
            source: Where to look.
            retry: Read files again that could not be read, though they have not changed.

        Raises:
            Stopped: The agent is to stop.
        """
        unsettled = False
        for path in matching(source.pattern, newest_only=source.settings.complete):
            if self._stop.is_set():
                raise Stopped
            mark = signature(path, source.settings, self._parts.mappings_mark)
            known, digest = self._ledger.signature(source.name, path)
            if known == mark and not (retry and not digest):
                continue
            if not self._arrivals.settled(path):
                unsettled = True
                continue
            self._read(source, path, mark, known, digest)
        return unsettled

    def _read(self, source: SourcePart, path: Path, mark: str, known: str, known_digest: str) -> None:
        try:
            digest = content_digest(path)
        except OSError:
            digest = ""
        if digest and digest == known_digest and known.rpartition(":")[2] == mark.rpartition(":")[2]:
            self._ledger.touch(source.name, path, mark)
            return
        reading = Reading(path)
        try:
            self._read_records(source, reading)
        except SourceError as error:
            self._failed(source, reading, str(error))
            digest = ""
        except OSError as error:
            self._failed(source, reading, f"cannot be read ({error.strerror}): check its rights")
            digest = ""
        with self._store.transaction() as db:
            if source.settings.complete and reading.outcome == "read":
                self._delete_vanished(db, source, reading)
            self._ledger.note(db, source.name, reading, mark, digest)
        log.info(
            "file_read",
            source=source.name,
            file=path.name,
            outcome=reading.outcome,
            records=reading.records,
            objects=reading.objects,
            events=reading.events,
            problems=reading.problems,
            note=reading.note,
        )

    def _read_records(self, source: SourcePart, reading: Reading) -> None:
        items = iter(source.connector.read(reading.path))
        with self._store.transaction() as db:
            self._spool.start_reading(db)
        while batch := list(islice(items, _BATCH)):
            if self._stop.is_set():
                raise Stopped
            objects = [made for item in batch for made in self._translate(source, item, reading)]
            # What was published and what is to be sent are one transaction: a crash leaves both or neither.
            with self._store.transaction() as db:
                for position, made in objects:
                    self._put(db, source, reading, position, made)
            self._progress(reading.path, reading.records)

    def _translate(self, source: SourcePart, item: Item, reading: Reading) -> Iterator[tuple[str, MappedObject]]:
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
        for mapping in source.mappings:
            translation = mapping.translate(item, self._store.keys)
            refused |= any(problem.severity == "refuse" for problem in translation.problems)
            for found in translation.problems:
                reading.report(_problem(found))
            for made in translation.objects:
                yield item.position, made
        reading.failed_records += refused

    def _put(
        self, db: sqlite3.Connection, source: SourcePart, reading: Reading, position: str, made: MappedObject
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
