"""Tells people beside the agent's work: a thread that looks for notices and sends them, and never holds up a write."""

import threading
from contextvars import copy_context
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog

from agents.virtual_school.database import Database
from agents.virtual_school.notices import Notifier
from agents.virtual_school.options import NoticeOptions
from broker.calendars import LONDON, local_date
from broker.protocol.errors import ZoneError

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = timedelta(minutes=15)
_TURN: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_PATIENCE: Final = 20.0
_DIGEST: Final = "digest"


class Watch:
    """Looks after each write, and every quarter of an hour because days pass; sends at once or once a day."""

    def __init__(self, database: Database, notifier: Notifier, options: NoticeOptions) -> None:
        self._database, self._notifier, self._options = database, notifier, options
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._look_at = self._send_at = datetime.min.replace(tzinfo=UTC)
        self._pause = _TURN
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="notices", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something was written."""
        self._woken.set()

    def close(self) -> None:
        """End after what was written last is told, if the mail server takes it in time; else the next time."""
        self._stopped.set()
        self._woken.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while True:
            woken = self._woken.wait(_TURN.total_seconds())
            self._woken.clear()
            stopped = self._stopped.is_set()
            self.turn(datetime.now(UTC), woken=woken)
            if stopped:
                return

    def turn(self, now: datetime, *, woken: bool) -> None:
        """Look and send what is due at *now*; what goes wrong is logged and tried again."""
        try:
            if woken or now >= self._look_at:
                # of the day before is told from the digest's hour on: marks may still come in the night
                silence = now.astimezone(LONDON).hour >= self._options.digest_hour
                self._notifier.look(now, local_date(now), silence=silence)
                self._look_at = now + _LOOK_EVERY
            if now >= self._send_at and self._is_time(now):
                count = self._notifier.tell(now)
                self._sent(local_date(now), count)
        except ZoneError as error:
            log.error("notices_not_sent", reason=str(error))
            self._send_at = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        except Exception as error:  # noqa: BLE001 - the agent goes on without its notices, and says so
            log.error("notices_failed", error=type(error).__name__)
            self._send_at = now + _LONGEST_PAUSE

    def _is_time(self, now: datetime) -> bool:
        if self._options.when == "at-once":
            return True
        local = now.astimezone(LONDON)
        return local.hour >= self._options.digest_hour and self._database.recall(_DIGEST) != str(local.date())

    def _sent(self, today: date, count: int) -> None:
        self._pause = _TURN
        if self._options.when == "digest":
            self._database.remember(_DIGEST, str(today))
        if count:
            log.info("notices_sent", count=count)


__all__ = ["Watch"]
