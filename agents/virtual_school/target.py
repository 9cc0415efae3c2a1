"""The target ``virtual-school``: keeps what was received in tables of its own database, and has people told of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from agents.connectors.contract import TargetError, Written
from agents.mail import send
from agents.virtual_school.database import Database, open_database
from agents.virtual_school.notices import Notifier
from agents.virtual_school.options import CONNECTOR, VirtualSchoolOptions
from agents.virtual_school.watch import Watch
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping


class VirtualSchoolTarget:
    """Writes a virtual school's tables; a reader sees them as they were before a write or after it."""

    Options: ClassVar[type[BaseModel]] = VirtualSchoolOptions

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Take the options; the database is opened with the first write.

        Raises:
            ConfigurationError: A path or a mapping is given, or a calendar cannot be used.
        """
        if path is not None or mappings:
            raise ConfigurationError(
                f'target: connector "{CONNECTOR}" writes its own tables: leave out path and mapping, and set database'
            )
        if not isinstance(options, VirtualSchoolOptions):
            raise TypeError(f"options of {CONNECTOR} are needed, not {type(options).__name__}")
        self._options, self._calendars = options, options.read_calendars()
        self._database: Database | None = None
        self._watch: Watch | None = None

    def write(self, objects: Objects) -> Written:
        """Write what has changed, in one transaction; notices are looked for afterwards, by a thread of their own.

        Raises:
            TargetError: The database cannot be used now, or at all.
        """
        written = self._opened().write(objects, datetime.now(UTC).isoformat(timespec="seconds"))
        if self._watch is not None:
            self._watch.wake()
        return written

    def close(self) -> None:
        """Tell what is to be told at once, and close the database."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> Database:
        if self._database is None:
            try:
                self._database = open_database(self._options.database, make=True)
            except ConfigurationError as error:
                raise TargetError(str(error)) from error
            if self._options.notices is not None:
                notifier = Notifier(self._database, self._options.notices, self._calendars, send)
                self._watch = Watch(self._database, notifier, self._options.notices)
                self._watch.start()
        return self._database


__all__ = ["VirtualSchoolTarget"]
