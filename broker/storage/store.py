"""The store: every call the zone makes on its database; each opens one transaction and leaves the SQL to the modules beside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.storage.records import (
    Batch,
    LearnerRow,
    LedgerRow,
    Outcome,
    QuarantineEntry,
    QuarantineState,
    RecipientRow,
    ReconcileRow,
    Registration,
)


def open_store(url: str, key_file: Path) -> "Store":
    raise NotImplementedError


class Store:
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def commit(self, batch: Batch) -> None:
        raise NotImplementedError

    def accepted(self, keys: Sequence[tuple[str, str, int]]) -> frozenset[tuple[str, str, int]]:
        """keys are (source, msg_id, attempt); returns those with a verdict (accepted or refused)."""
        raise NotImplementedError

    def learners(self, ref_ids: Sequence[str]) -> dict[str, LearnerRow]:
        raise NotImplementedError

    def contact_learners(self, contact_refs: Sequence[str]) -> dict[str, tuple[str, ...]]:
        raise NotImplementedError

    def establishments(self) -> dict[str, str]:
        raise NotImplementedError

    def upn_key(self, upn: str) -> bytes:
        """HMAC of a UPN with a key derived from the key file."""
        raise NotImplementedError

    def register(self, agent_id: str, *, name: str, version: str, at: float) -> None:
        raise NotImplementedError

    def unregister(self, agent_id: str) -> None:
        raise NotImplementedError

    def registered(self) -> dict[str, Registration]:
        raise NotImplementedError

    def registry_version(self) -> int:
        raise NotImplementedError

    def explain(self, msg_id: str) -> list[LedgerRow]:
        raise NotImplementedError

    def ledger(
        self,
        *,
        agent: str = "",
        object_type: str = "",
        outcome: Outcome | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[LedgerRow]:
        """Newest first; agent = as source or in the audience."""
        raise NotImplementedError

    def reconcile(self, *, since: float | None = None, until: float | None = None) -> list[ReconcileRow]:
        raise NotImplementedError

    def recipients(self, *, since: float | None = None, until: float | None = None) -> list[RecipientRow]:
        """Per agent, source, object type: delivered and withheld counts."""
        raise NotImplementedError

    def quarantine_list(
        self, state: QuarantineState | None = "held", *, source: str = "", limit: int = 100
    ) -> list[QuarantineEntry]:
        raise NotImplementedError

    def quarantine_get(self, entry_id: str) -> QuarantineEntry:
        """entry_id may be an unambiguous prefix."""
        raise NotImplementedError

    def quarantine_body(self, entry_id: str) -> bytes:
        """The mended copy if there is one, else the original."""
        raise NotImplementedError

    def quarantine_original(self, entry_id: str) -> bytes:
        raise NotImplementedError

    def quarantine_fix(self, entry_id: str, body: bytes) -> None:
        raise NotImplementedError

    def quarantine_mark(self, entry_id: str, state: QuarantineState, *, by: str, at: float) -> None:
        """discarded removes the bodies."""
        raise NotImplementedError

    def quarantine_counts(self) -> Mapping[QuarantineState, int]:
        raise NotImplementedError
