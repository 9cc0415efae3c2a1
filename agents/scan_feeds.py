"""Reads a feed on from where it was left, from its beginning for what was left out; what it yields, the intake takes.

When it is looked at is the scanner's.
"""

import sqlite3
import threading
from typing import Final

from agents.connectors.contract import Marker, SourceError
from agents.endings import log_reading, note_failure, report_waiting, still_due
from agents.files import Again, FileLedger, Reading, settings_mark
from agents.gone import delete_gone
from agents.intake import Intake
from agents.learners import Learners
from agents.parts import FeedPart, Parts
from agents.spool import Spool, Wanted
from agents.stopping import Stopped
from agents.store import Store

_MAX_MARKER: Final = 4_000


class FeedScanner:
    """Reads the feeds of one agent, and notes how far."""

    def __init__(
        self,
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

    def scan(self, source: FeedPart, *, retry: bool) -> None:
        """Read a feed when its time has come, settings or mappings have changed, or something was left out of it.

        Raises:
            Stopped: The agent is to stop.
            Moved: It is to be read again when the zone has what was withdrawn.
        """
        if self._stop.is_set():
            raise Stopped
        mark = settings_mark(source.settings, self._mappings_mark)
        known, _, again = self._ledger.signature(source.name, source.name)
        if retry or known != mark or again is not Again.NO:
            since = self._ledger.marker(source.name, mark) if again is Again.NO else ""
            self._read(source, mark, since, again)

    def _read(self, source: FeedPart, mark: str, since: str, again: Again) -> None:
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
            left = max(again, still_due(reading, self._learners, answers))
            self._ledger.note(db, source.name, reading, mark, "read", left)

        try:
            self._intake.take(source, reading, Wanted.CHANGES, source.connector.read_since(since), at_marker)
        except (SourceError, OSError) as error:
            note_failure(source, reading, error)
        failed = reading.outcome == "failed"
        if not (failed or marks or reading.records or reading.problems) and self._ledger.nothing_new(
            source.name, source.name
        ):
            return
        if not since and not failed:
            reading.left_out_before = 0
        report_waiting(reading)
        with self._store.transaction() as db:
            self._intake.check_moved()
            left = max(again if failed else Again.NO, still_due(reading, self._learners, answers))
            self._ledger.note(db, source.name, reading, mark, "" if failed else "read", left)
        log_reading(source, reading)


__all__ = ["FeedScanner"]
