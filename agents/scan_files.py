"""Reads the files of a source that are new, or are to be read again; what they yield, the intake takes.

A file that is read again for what was left out of it gives only what is missing, unless it is the newest of its source:
what an older file says of anything else has been overtaken. When a source is looked at is the scanner's.
"""

import shutil
import threading
from pathlib import Path

import structlog

from agents.connectors.contract import SourceError
from agents.endings import log_reading, note_failure, reason_of, report_waiting, still_due
from agents.files import Again, Arrivals, FileLedger, Reading, content_digest, matching, signature
from agents.gone import delete_gone
from agents.intake import Intake
from agents.learners import Learners
from agents.parts import FilePart, Parts
from agents.settings import AgentSettings
from agents.spool import Spool, Wanted
from agents.stopping import Stopped
from agents.store import Store

log = structlog.get_logger(__name__)


class FileScanner:
    """Reads the files of one agent's sources, and notes which were read."""

    def __init__(
        self,
        settings: AgentSettings,
        parts: Parts,
        store: Store,
        spool: Spool,
        learners: Learners,
        intake: Intake,
        stop: threading.Event,
    ) -> None:
        self._mappings_mark, self._store, self._spool = parts.mappings_mark, store, spool
        self._learners, self._intake, self._stop = learners, intake, stop
        self._ledger = FileLedger(store)
        self._arrivals = Arrivals(settings)
        _clear_fetched(settings.fetched_folder, parts)

    def scan(self, source: FilePart, *, retry: bool) -> bool:
        """Read what is new and what is to be read again; return whether a file has not arrived whole yet.

        Args:
            source: Where to look.
            retry: Fetch its files, and read files again that could not be read, though they have not changed.

        Raises:
            Stopped: The agent is to stop.
            Moved: They are to be read again when the zone has what was withdrawn.
        """
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
            mark = signature(files, source.settings, self._mappings_mark)
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
            note = reason_of(error, "fetched", "see that there is room in state")
            reading = Reading(url, outcome="failed", note=note)
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
        mark = signature(source.files(path), source.settings, self._mappings_mark)
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
            self._intake.take(source, reading, Wanted.NOTHING, source.connector.read(path))
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
            self._intake.take(source, reading, wanted, source.connector.read(path))
        except (SourceError, OSError) as error:
            note_failure(source, reading, error)
            digest = ""
        report_waiting(reading)
        with self._store.transaction() as db:
            self._intake.check_moved()
            if reading.outcome == "read":
                said, whole = wanted is Wanted.CHANGES, source.settings.complete
                delete_gone(db, self._spool, source, reading, said=said, whole=whole)
            left = still_due(reading, self._learners, answers)
            self._ledger.note(db, source.name, reading, mark, digest, left)
        log_reading(source, reading)


def _clear_fetched(folder: Path, parts: Parts) -> None:
    """Remove what was fetched for sources that the agent no longer has."""
    used = {source.pattern.parent for source in parts.sources if isinstance(source, FilePart)}
    for old in folder.iterdir() if folder.is_dir() else ():
        if old not in used:
            shutil.rmtree(old, ignore_errors=True)


__all__ = ["FileScanner"]
