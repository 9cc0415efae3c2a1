"""What the zone remembers, on SQLite or PostgreSQL; the only package with SQLAlchemy and Alembic, decides nothing."""

from broker.storage.engine import is_migrated
from broker.storage.errors import (
    DatabaseTooNew,
    DatabaseUrlError,
    KeyFileError,
    NoSuchEntry,
    StorageError,
    StorageUnavailable,
    WrongKey,
    WrongState,
)
from broker.storage.records import (
    SEEN_AGAIN,
    VERDICT,
    Batch,
    CareRow,
    ContactLink,
    EnrolmentRow,
    EstablishmentRow,
    FetchRow,
    Flaw,
    FlawRow,
    Held,
    HoldingRow,
    JudgedRow,
    LearnerRow,
    LedgerRow,
    Outcome,
    QuarantineEntry,
    QuarantineReason,
    QuarantineState,
    RecipientRow,
    ReconcileRow,
    Review,
)
from broker.storage.store import Store, open_store
from broker.storage.transfers import NoSuchTransfer
from broker.storage.vault import make_key

__all__ = [
    # the store and its key
    "Store",
    "is_migrated",
    "make_key",
    "open_store",
    # what is stored
    "SEEN_AGAIN",
    "VERDICT",
    "Batch",
    "CareRow",
    "ContactLink",
    "EnrolmentRow",
    "EstablishmentRow",
    "FetchRow",
    "FlawRow",
    "Held",
    "HoldingRow",
    "JudgedRow",
    "LearnerRow",
    "LedgerRow",
    "Outcome",
    "QuarantineReason",
    "QuarantineState",
    # what is read back
    "Flaw",
    "QuarantineEntry",
    "RecipientRow",
    "ReconcileRow",
    "Review",
    # errors
    "DatabaseTooNew",
    "DatabaseUrlError",
    "KeyFileError",
    "NoSuchEntry",
    "NoSuchTransfer",
    "StorageError",
    "StorageUnavailable",
    "WrongKey",
    "WrongState",
]
