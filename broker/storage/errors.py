"""What storage can say no with; the errors of SQLAlchemy, the database and the cipher become one of these."""

from typing import ClassVar

from broker.protocol.errors import ZoneError


class StorageError(ZoneError):
    """The database did not do what was asked; nothing of a refused batch was kept.

    Attributes:
        action: What was asked for, for example ``commit a batch``.
        detail: What the database said, without values.
    """

    def __init__(self, action: str, detail: str, remedy: str) -> None:
        self.action, self.detail = action, detail
        super().__init__(f"could not {action}: {detail}: {remedy}")


class StorageUnavailable(StorageError):
    """The database is locked, away or restarting; the same call later may succeed."""

    category = 10  # transport, SIF's "try again"
    retry: ClassVar[bool] = True


class DatabaseTooNew(ZoneError):
    """The database was migrated by a newer version of sifzone than this one."""

    def __init__(self, database: str, revision: str) -> None:
        self.database, self.revision = database, revision
        super().__init__(
            f"database {database} is at revision {revision!r}, which this version of sifzone does not know: "
            "install the version of sifzone that last used it, or a later one"
        )


class DatabaseUrlError(ZoneError):
    """The database's URL or place cannot be used."""


class KeyFileError(ZoneError):
    """The key file is missing, readable by others, or holds no key."""


class WrongKey(ZoneError):
    """A body was encrypted with another key, or was altered since."""


class NoSuchEntry(ZoneError):
    """Quarantine has no such entry, or no longer has its body."""


class WrongState(ZoneError):
    """A quarantine entry may not go from its state to the one asked for."""
