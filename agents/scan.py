"""Reads what is new at a source of an agent, or says that it has to wait; how files and feeds are read is left to both.

What is read goes through the intake into the spool; others carry it from there.
"""

import threading

from agents.intake import Intake, Moved, Progress
from agents.learners import Learners
from agents.parts import FeedPart, FilePart, Parts, SourcePart
from agents.scan_feeds import FeedScanner
from agents.scan_files import FileScanner
from agents.settings import AgentSettings
from agents.spool import Spool
from agents.store import Store


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
        self._learners = learners or Learners(store, spool)
        self._intake = Intake(parts, store, spool, self._learners, stop, progress)
        self._files = FileScanner(settings, parts, store, spool, self._learners, self._intake, stop)
        self._feeds = FeedScanner(parts, store, spool, self._learners, self._intake, stop)

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
        self._intake.begin()  # before it is asked whether all is ready: nothing falls between the two
        if not self._learners.ready():
            return True
        try:
            if isinstance(source, FeedPart):
                self._feeds.scan(source, retry=retry)
            return isinstance(source, FilePart) and self._files.scan(source, retry=retry)
        except Moved:
            return True


__all__ = ["Scanner"]
