"""Writes and reads quarantine: entries in the clear, bodies sealed; what a fixed body is worth is decided elsewhere."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Row, Select, delete, exists, func, select, update

from broker.storage import tables
from broker.storage.bulk import Insert
from broker.storage.encoding import decode_json, encode_json, sentence, token
from broker.storage.errors import NoSuchEntry, WrongState
from broker.storage.records import Held, QuarantineEntry, QuarantineState
from broker.storage.vault import Sealed, Vault

_entry: Final = tables.quarantine.c
_body: Final = tables.quarantine_body.c
_ORIGINAL: Final = "original"
_FIXED: Final = "fixed"

_MOVES: Final[Mapping[QuarantineState, tuple[QuarantineState, ...]]] = {
    "held": ("replayed",),
    "replayed": ("held", "replayed"),
    "discarded": ("held", "replayed"),
}
"""State asked for -> states it may follow. Nothing follows discarded: the body is gone."""


class Quarantine:
    """The quarantine of one zone."""

    def __init__(self, dialect: Dialect, vault: Vault) -> None:
        self._vault = vault
        self._insert_entry = Insert(dialect, tables.quarantine)
        self._insert_body = Insert(dialect, tables.quarantine_body, overwrite=["key_id", "sealed"])

    def hold(self, connection: Connection, messages: Sequence[Held]) -> None:
        """Keep *messages*; one held already (same message, attempt, recipient and body) is left as it is."""
        for held in sorted(messages, key=lambda message: (message.msg_id, message.source, message.attempt)):
            if self._insert_entry(connection, [_columns(held)]):
                self._seal(connection, held.id, _ORIGINAL, held.body)

    def body(self, connection: Connection, entry_id: str) -> bytes:
        """Return the mended copy if there is one, else the body as it came."""
        entry = find(connection, entry_id)
        return self._open(connection, entry, _FIXED if entry.fixed else _ORIGINAL)

    def original(self, connection: Connection, entry_id: str) -> bytes:
        """Return the body as it came."""
        return self._open(connection, find(connection, entry_id), _ORIGINAL)

    def fix(self, connection: Connection, entry_id: str, body: bytes) -> None:
        """Keep *body* as the mended copy, in the place of an earlier one."""
        entry = find(connection, entry_id, lock=True)
        if entry.state != "held":
            raise WrongState(f"quarantine entry {entry.id} is {entry.state}: only a held message can be mended")
        self._seal(connection, entry.id, _FIXED, body)

    def _seal(self, connection: Connection, entry_id: str, kind: str, body: bytes) -> None:
        sealed = self._vault.seal(body, _place(entry_id, kind))
        self._insert_body(connection, [(entry_id, kind, sealed.key_id, sealed.data)])

    def _open(self, connection: Connection, entry: QuarantineEntry, kind: str) -> bytes:
        statement = select(_body.key_id, _body.sealed).where(_body.quarantine_id == entry.id, _body.kind == kind)
        row = connection.execute(statement).one_or_none()
        if row is None:
            raise NoSuchEntry(
                f"quarantine entry {entry.id} is {entry.state} and its body is gone: nothing can be shown"
            )
        return self._vault.open(Sealed(row.key_id, row.sealed), _place(entry.id, kind))


def find(connection: Connection, entry_id: str, *, lock: bool = False) -> QuarantineEntry:
    """Return the entry with this id, or the only one whose id begins so.

    Args:
        lock: Whether nobody else may change it until the transaction's end.

    Raises:
        NoSuchEntry: None has, or several have.
    """
    statement = _entries().where(_entry.id.startswith(token(entry_id), autoescape=True)).limit(2)
    if lock:
        statement = statement.with_for_update(of=tables.quarantine)
    rows = connection.execute(statement).all() if entry_id else []
    if len(rows) == 1:
        return _read(rows[0])
    several = "several entries begin so: give more of the id" if rows else "list the entries to see their ids"
    raise NoSuchEntry(f"quarantine has no entry {token(entry_id)!r}: {several}")


def entries(connection: Connection, state: QuarantineState | None, source: str, limit: int) -> list[QuarantineEntry]:
    """Return up to *limit* entries, oldest first; of every state when it is None, of every source when it is empty."""
    statement = _entries()
    if state is not None:
        statement = statement.where(_entry.state == state)
    if source:
        statement = statement.where(_entry.source == token(source))
    return [_read(row) for row in connection.execute(statement.order_by(_entry.at, _entry.id).limit(limit))]


def mark(connection: Connection, entry_id: str, state: QuarantineState, by: str, at: float) -> None:
    """Bring an entry into *state*; its bodies go when it is discarded.

    Raises:
        NoSuchEntry: There is none.
        WrongState: It is in a state that *state* may not follow.
    """
    entry = find(connection, entry_id, lock=True)
    if entry.state not in _MOVES[state]:
        raise WrongState(
            f"quarantine entry {entry.id} is {entry.state} and cannot become {state}: "
            f"only an entry that is {' or '.join(_MOVES[state])} can"
        )
    change = {"state": state, "changed_by": sentence(by), "changed_at": at}
    connection.execute(update(tables.quarantine).where(_entry.id == entry.id).values(change))
    if state == "discarded":
        connection.execute(delete(tables.quarantine_body).where(_body.quarantine_id == entry.id))


def counts(connection: Connection) -> dict[QuarantineState, int]:
    """Return how many entries are in each state; a state with none is 0."""
    statement = select(_entry.state, func.count().label("number")).group_by(_entry.state)
    found = {row.state: row.number for row in connection.execute(statement)}
    return {"held": 0, "replayed": 0, "discarded": 0, **found}


def _entries() -> Select[Any]:
    fixed = exists().where(_body.quarantine_id == _entry.id, _body.kind == _FIXED)
    return select(tables.quarantine, fixed.label("fixed"))


def _place(entry_id: str, kind: str) -> str:
    return f"quarantine/{entry_id}/{kind}"


def _columns(held: Held) -> tuple[object, ...]:
    return (
        held.id,
        held.at,
        token(held.source),
        token(held.msg_id),
        held.attempt,
        token(held.object_type),
        token(held.action),
        token(held.recipient),
        held.reason,
        held.category,
        held.code,
        sentence(held.summary),
        encode_json([dict(finding) for finding in held.findings]),
        hashlib.sha256(held.body).hexdigest(),
        len(held.body),
        "held",
        "",
        0.0,
    )


def _read(row: Row[Any]) -> QuarantineEntry:
    return QuarantineEntry(
        id=row.id,
        at=row.at,
        source=row.source,
        msg_id=row.msg_id,
        attempt=row.attempt,
        object_type=row.object_type,
        action=row.action,
        recipient=row.recipient,
        reason=row.reason,
        category=row.category,
        code=row.code,
        summary=row.summary,
        findings=tuple(decode_json(row.findings)),
        sha256=row.sha256,
        size=row.size,
        fixed=bool(row.fixed),
        state=row.state,
        by=row.changed_by,
        changed=row.changed_at,
    )
