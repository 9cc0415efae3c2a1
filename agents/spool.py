"""The agent's way out: what was published of each object, and events that the zone has not confirmed yet.

Both are written in one transaction, so that a crash at any point loses no event and makes none twice.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lxml import etree

from agents.diff import (
    Known,
    Outcome,
    compare,
    key_element,
    ordering_key,
    read_parts,
    ref_key,
    whole_digest,
    write_parts,
)
from agents.store import Store, now
from broker.protocol.documents import parse_document
from broker.protocol.envelope import Ack, Action, build_event, local_name, new_header
from broker.protocol.identifiers import AgentId, MsgId
from schemas import SchemaSet

_PAGE: Final = 500
_LONGEST_KEY: Final = 128
"""Longer routing keys are hashed: AMQP carries 255 bytes."""


class Seen(Enum):
    """Whether one file holds an object twice."""

    FIRST = "first"
    ALIKE = "again, alike"
    DIFFERENT = "again, different"


@dataclass(frozen=True, slots=True)
class Spooled:
    """An event that waits for the zone's confirm."""

    seq: int
    msg_id: str
    object_type: str
    action: str
    ref_id: str
    routing_key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that the zone refused."""

    object_type: str
    action: str
    ref_id: str
    category: int
    code: int
    reason: str
    msg_id: str
    at: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """An object that a complete source no longer has."""

    object_type: str
    ref_id: str
    routing_key: str
    key_xml: bytes


class Spool:
    """Outbox and sync state of one agent.

    Methods that take *db* work inside the caller's transaction.
    """

    def __init__(self, store: Store, agent: AgentId, schema: SchemaSet) -> None:
        self._store, self._agent, self._schema = store, agent, schema

    def start_reading(self, db: sqlite3.Connection) -> None:
        """Forget which objects were seen: another file begins."""
        db.execute("DELETE FROM temp.seen")

    def digest(self, element: etree._Element) -> bytes:
        """Return the keyed digest of a whole object."""
        return whole_digest(element, self._store.keys.digest)

    def see(self, db: sqlite3.Connection, object_type: str, ref_id: str, whole: bytes) -> Seen:
        """Note that the file holds an object with this digest, and tell whether it did before."""
        key = (object_type, ref_id)
        found = db.execute("SELECT whole FROM temp.seen WHERE object_type = ? AND ref_id = ?", key).fetchone()
        if found is None:
            db.execute("INSERT INTO temp.seen VALUES (?, ?, ?)", (*key, whole))
            return Seen.FIRST
        return Seen.ALIKE if found[0] == whole else Seen.DIFFERENT

    def put(
        self,
        db: sqlite3.Connection,
        source: str,
        element: etree._Element,
        *,
        ref_id: str | None = None,
        routing_key: str | None = None,
        whole: bytes | None = None,
        complete: bool = False,
    ) -> MsgId | None:
        """Spool what has changed of a whole object since *source* last had it; return the message's id, or None.

        Args:
            db: The caller's transaction.
            source: Where the object comes from; each source is compared with itself.
            element: The object.
            ref_id: Its identity; taken from its keys when left out.
            routing_key: RefId of the learner that it is about; found by the schema when left out.
            whole: Its digest, where the caller has it.
            complete: The source is the whole picture.
        """
        object_type = local_name(element)
        whole = whole or self.digest(element)
        ref_id = ref_id or ref_key(element, self._schema)
        row = db.execute(
            "SELECT whole, parts, resend FROM sync WHERE object_type = ? AND ref_id = ? AND source = ?",
            (object_type, ref_id, source),
        ).fetchone()
        if row is not None and row[0] == whole:
            return None
        outcome = compare(
            element,
            None if row is None else Known(row[0], read_parts(row[1])),
            schema=self._schema,
            digest=self._store.keys.digest,
            complete=complete,
            resend=Action(row[2]) if row is not None and row[2] else None,
            shape_paths=lambda shape: self._shape_paths(db, shape),
        )
        if outcome is None:
            return None
        key = routing_key or ordering_key(element, self._schema)
        self._remember(db, source, object_type, ref_id, key, outcome)
        if outcome.action is None:
            return None
        action = outcome.action
        if action is Action.ADD and self._others_have(db, source, object_type, ref_id):
            action = Action.CHANGE
        return self.spool(db, action, outcome.element, ref_id, key)

    def send(self, db: sqlite3.Connection, action: Action, element: etree._Element) -> MsgId:
        """Spool an event as the caller has it, without comparing."""
        return self.spool(db, action, element, ref_key(element, self._schema), ordering_key(element, self._schema))

    def spool(
        self, db: sqlite3.Connection, action: Action, element: etree._Element, ref_id: str, routing_key: str
    ) -> MsgId:
        """Put one event, as it is, into the outbox and return its message id."""
        if not (routing_key.isascii() and len(routing_key) <= _LONGEST_KEY):
            routing_key = self._store.keys.digest(routing_key.encode()).hex()
        object_type = local_name(element)
        header = new_header(self._agent)
        body = build_event(header, ((object_type, action, etree.tostring(element, encoding="utf-8", with_tail=False)),))
        db.execute(
            "INSERT INTO outbox (msg_id, object_type, action, ref_id, routing_key, body) VALUES (?, ?, ?, ?, ?, ?)",
            (header.msg_id, object_type, action, ref_id, routing_key, body),
        )
        return header.msg_id

    def vanished(self, db: sqlite3.Connection, source: str, object_type: str) -> tuple[int, list[Vanished]]:
        """Return how many objects *source* had, and those that were not seen since :meth:`start_reading`."""
        count = db.execute(
            "SELECT count(*) FROM sync WHERE source = ? AND object_type = ?", (source, object_type)
        ).fetchone()[0]
        rows = db.execute(
            "SELECT object_type, ref_id, routing_key, key_xml FROM sync WHERE source = ? AND object_type = ? "
            "AND (object_type, ref_id) NOT IN (SELECT object_type, ref_id FROM temp.seen)",
            (source, object_type),
        ).fetchall()
        return int(count), [Vanished(*row) for row in rows]

    def delete(self, db: sqlite3.Connection, source: str, gone: Vanished) -> MsgId | None:
        """Spool a Delete of an object; None, and nothing, while another source still has it."""
        db.execute(
            "DELETE FROM sync WHERE object_type = ? AND ref_id = ? AND source = ?",
            (gone.object_type, gone.ref_id, source),
        )
        if self._others_have(db, source, gone.object_type, gone.ref_id):
            return None
        return self.spool(db, Action.DELETE, parse_document(gone.key_xml), gone.ref_id, gone.routing_key)

    def waiting(self, after: int, limit: int = _PAGE) -> list[Spooled]:
        """Return spooled events with a number above *after*, oldest first."""
        rows = self._store.query(
            "SELECT seq, msg_id, object_type, action, ref_id, routing_key, body FROM outbox "
            "WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return [Spooled(*row) for row in rows]

    def count(self) -> int:
        """Return how many events wait for a confirm."""
        return int(self._store.query("SELECT count(*) FROM outbox")[0][0])

    def confirmed(self, events: Sequence[Spooled]) -> None:
        """Drop events that the zone has; durable on return."""
        at = now()
        with self._store.transaction() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(event.seq,) for event in events])
            db.executemany(
                "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)",
                [(event.msg_id, event.object_type, event.action, event.ref_id, at) for event in events],
            )

    def messages(self) -> dict[str, int]:
        """Return how many different messages the zone has taken of each object, as far back as their ids are kept."""
        return dict(self._store.query("SELECT object_type, count(*) FROM sent GROUP BY object_type"))

    def refused(self, db: sqlite3.Connection, ack: Ack) -> bool:
        """Note that the zone refused an event, so that its object is sent whole once it changes; False if not ours."""
        row = db.execute(
            "SELECT object_type, action, ref_id FROM sent WHERE msg_id = ? UNION ALL "
            "SELECT object_type, action, ref_id FROM outbox WHERE msg_id = ?",
            (ack.original_msg_id, ack.original_msg_id),
        ).fetchone()
        if row is None:
            return False
        object_type, action, ref_id = row
        db.execute(
            "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (ack.original_msg_id, object_type, action, ref_id, ack.category, ack.code, ack.description, now()),
        )
        if action != Action.DELETE:
            # An object whose Add was refused stays an Add, whatever Changes of it are refused after that.
            db.execute(
                "UPDATE sync SET resend = ? WHERE object_type = ? AND ref_id = ? AND resend <> 'Add'",
                (action, object_type, ref_id),
            )
        return True

    def refusals(self) -> list[Refused]:
        """Return what the zone refused, oldest first."""
        rows = self._store.query(
            "SELECT object_type, action, ref_id, category, code, description, msg_id, at FROM refusals "
            "ORDER BY at, msg_id"
        )
        return [Refused(*row) for row in rows]

    def published(self) -> dict[str, int]:
        """Return how many objects were published and not deleted since, by type."""
        return dict(self._store.query("SELECT object_type, count(DISTINCT ref_id) FROM sync GROUP BY object_type"))

    def _remember(
        self, db: sqlite3.Connection, source: str, object_type: str, ref_id: str, key: str, outcome: Outcome
    ) -> None:
        for shape, paths in outcome.shapes.items():
            db.execute("INSERT OR IGNORE INTO shapes VALUES (?, ?)", (shape, "\n".join(paths)))
        bare = etree.tostring(key_element(outcome.element, self._schema), encoding="utf-8", with_tail=False)
        db.execute(
            "INSERT OR REPLACE INTO sync VALUES (?, ?, ?, ?, ?, ?, ?, '')",
            (object_type, ref_id, source, outcome.known.whole, write_parts(outcome.known.parts), bare, key),
        )

    def _shape_paths(self, db: sqlite3.Connection, shape: str) -> tuple[str, ...]:
        row = db.execute("SELECT paths FROM shapes WHERE id = ?", (shape,)).fetchone()
        return tuple(row[0].split("\n")) if row else ()

    def _others_have(self, db: sqlite3.Connection, source: str, object_type: str, ref_id: str) -> bool:
        found = db.execute(
            "SELECT 1 FROM sync WHERE object_type = ? AND ref_id = ? AND source <> ? LIMIT 1",
            (object_type, ref_id, source),
        ).fetchone()
        return found is not None


__all__ = ["Refused", "Seen", "Spool", "Spooled", "Vanished"]
