"""The agent's way out: what was published of each object, and messages that the zone has not confirmed yet.

All are written in one transaction, so that a crash at any point loses no event and makes none twice. The packets of
an answer are written as they are made, and go out from the moment that the last of them is there.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from lxml import etree

from agents.diff import (
    Known,
    Outcome,
    compare,
    key_element,
    namespace,
    ordering_key,
    read_parts,
    ref_key,
    whole_digest,
    write_parts,
)
from agents.keys import LEARNER
from agents.published import Published
from agents.store import Store, now
from broker.protocol.documents import parse_document
from broker.protocol.envelope import Ack, Action, build_event, local_name, new_header
from broker.protocol.exchanges import USUAL_BUFFER, build_request
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, MsgId
from broker.protocol.query import Query
from mappings import GoneObject
from schemas import SchemaSet

REQUEST: Final = "Request"
PACKET: Final = "Response"
_PAGE: Final = 500
_PAGE_BYTES: Final = 8 * 1024 * 1024
_LONGEST_KEY: Final = 128
"""Longer routing keys are hashed: AMQP carries 255 bytes."""


class Wanted(Enum):
    """What of an object may be published."""

    CHANGES = "what has changed"
    MISSING = "what is not published"
    NOTHING = "nothing"


class Seen(Enum):
    """Whether one file holds an object twice."""

    FIRST = "first"
    ALIKE = "again, alike"
    DIFFERENT = "again, different"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A message that waits for the zone's confirm.

    Attributes:
        action: Of an event what it says has happened; REQUEST or PACKET of the others.
        ref_id: Of an event its object's; of a packet the request's id; empty for a request.
    """

    seq: int
    msg_id: str
    object_type: str
    action: str
    ref_id: str
    routing_key: str
    body: bytes = field(repr=False)
    kind: str = "SIF_Event"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for this agent's answer."""

    msg_id: MsgId
    object_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """An event, a request or a packet that the zone refused."""

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
    """An object that a source no longer has."""

    object_type: str
    ref_id: str
    routing_key: str
    key_xml: bytes


class Spool:
    """Outbox and sync state of one agent.

    Methods that take *db* work inside the caller's transaction.

    Attributes:
        kept: The objects that are published, whole.
    """

    def __init__(self, store: Store, agent: AgentId, schema: SchemaSet) -> None:
        self._store, self._agent, self._schema = store, agent, schema
        self.kept = Published(store, schema)
        self._shapes: set[str] = set()
        self._undone = store.undone

    def start_reading(self, db: sqlite3.Connection) -> None:
        """Forget which objects were seen, and which are said to be gone: another file begins."""
        db.execute("DELETE FROM temp.seen")
        db.execute("DELETE FROM temp.gone")

    def digest(self, element: etree._Element) -> bytes:
        """Return the keyed digest of a whole object."""
        return whole_digest(element, self._store.keys.digest)

    def see(self, db: sqlite3.Connection, object_type: str, ref_id: str, whole: bytes) -> Seen:
        """Note that the file holds an object with this digest, and tell whether it did before."""
        key = (object_type, ref_id)
        found = db.execute("SELECT whole FROM temp.seen WHERE object_type = ? AND ref_id = ?", key).fetchone()
        if found is None or not found[0]:
            db.execute("INSERT OR REPLACE INTO temp.seen VALUES (?, ?, ?)", (*key, whole))
            return Seen.FIRST
        return Seen.ALIKE if found[0] == whole else Seen.DIFFERENT

    def see_all(self, db: sqlite3.Connection, objects: Sequence[tuple[str, str, bytes]]) -> None:
        """Note that the file holds objects, each with its type, RefId and digest, which it did not hold before."""
        db.executemany("INSERT OR REPLACE INTO temp.seen VALUES (?, ?, ?)", objects)

    def pass_over(self, db: sqlite3.Connection, object_type: str, ref_id: str) -> None:
        """Note that the file holds an object that is not to be published now, so that it has not vanished."""
        db.execute("INSERT OR IGNORE INTO temp.seen VALUES (?, ?, x'')", (object_type, ref_id))

    def say_gone(self, db: sqlite3.Connection, objects: Iterable[GoneObject]) -> None:
        """Note that the file says of objects that they are gone, be they published or not."""
        rows = [(one.object_type, one.ref_id) for one in objects]
        if rows:
            db.executemany("INSERT OR IGNORE INTO temp.gone VALUES (?, ?)", rows)

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
        wanted: Wanted = Wanted.CHANGES,
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
            wanted: What of it may be published. Whatever it is, an object that is published and not kept is kept.
        """
        object_type = local_name(element)
        whole = whole or self.digest(element)
        ref_id = ref_id or ref_key(element, self._schema)
        had = db.execute(
            "SELECT whole, parts, resend, id, source FROM sync LEFT JOIN published USING (object_type, ref_id) "
            "WHERE object_type = ? AND ref_id = ?",
            (object_type, ref_id),
        ).fetchall()
        row = next((one for one in had if one[4] == source), None)
        if row is not None and row[0] == whole:
            if row[3] is None:
                key = routing_key or ordering_key(element, self._schema)
                self.kept.put(db, object_type, ref_id, key, _serialised(element))
            return None
        if wanted is Wanted.NOTHING or (wanted is Wanted.MISSING and row is not None):
            return None
        outcome = compare(
            element,
            None if row is None else Known(row[0], read_parts(row[1])),
            schema=self._schema,
            digest=self._store.keys.digest,
            complete=complete,
            resend=Action(row[2]) if row is not None and row[2] else None,
            whole=whole,
            shape_paths=lambda shape: self._shape_paths(db, shape),
        )
        if outcome is None:
            return None
        key = routing_key or ordering_key(element, self._schema)
        self._remember(db, source, object_type, ref_id, key, outcome)
        if row is not None and row[3] is None:
            self.kept.put(db, object_type, ref_id, key, _serialised(element))
        if outcome.action is None:
            return None
        action = outcome.action
        if action is Action.ADD and any(one is not row for one in had):
            action = Action.CHANGE
        xml = _serialised(outcome.element)
        if action is Action.ADD:
            self.kept.put(db, object_type, ref_id, key, xml)
        else:
            self.kept.apply(db, action, outcome.element, ref_id, key)
        return self._put_event(db, action, object_type, xml, ref_id, key)

    def send(self, db: sqlite3.Connection, action: Action, element: etree._Element) -> MsgId:
        """Spool an event as the caller has it, without comparing."""
        ref_id, key = ref_key(element, self._schema), ordering_key(element, self._schema)
        self.kept.apply(db, action, element, ref_id, key)
        return self.spool(db, action, element, ref_id, key)

    def spool(
        self, db: sqlite3.Connection, action: Action, element: etree._Element, ref_id: str, routing_key: str
    ) -> MsgId:
        """Put one event, as it is, into the outbox and return its message id; of what is published nothing changes."""
        return self._put_event(db, action, local_name(element), _serialised(element), ref_id, routing_key)

    def _put_event(
        self, db: sqlite3.Connection, action: Action, object_type: str, xml: bytes, ref_id: str, routing_key: str
    ) -> MsgId:
        if not (routing_key.isascii() and len(routing_key) <= _LONGEST_KEY):
            routing_key = self._store.keys.digest(routing_key.encode()).hex()
        header = new_header(self._agent)
        body = build_event(header, ((object_type, action, xml),))
        db.execute(
            "INSERT INTO outbox (msg_id, object_type, action, ref_id, routing_key, body) VALUES (?, ?, ?, ?, ?, ?)",
            (header.msg_id, object_type, action, ref_id, routing_key, body),
        )
        return header.msg_id

    def vanished(self, db: sqlite3.Connection, source: str, object_type: str) -> tuple[int, list[Vanished]]:
        """Return how many objects *source* had, and those that were not seen since :meth:`start_reading`."""
        rows = db.execute(
            "SELECT object_type, ref_id, routing_key, key_xml FROM sync WHERE source = ? AND object_type = ? "
            "AND (object_type, ref_id) NOT IN (SELECT object_type, ref_id FROM temp.seen)",
            (source, object_type),
        ).fetchall()
        return self._count(db, source, object_type), [Vanished(*row) for row in rows]

    def said_gone(self, db: sqlite3.Connection, source: str, object_type: str) -> tuple[int, list[Vanished]]:
        """Return how many objects *source* had, and those of them that the file says are gone and does not have.

        Where it says so of none, the number is 0.
        """
        rows = db.execute(
            "SELECT object_type, ref_id, routing_key, key_xml FROM temp.gone g JOIN sync USING (object_type, ref_id) "
            "WHERE source = ? AND object_type = ? "
            "AND NOT EXISTS (SELECT 1 FROM temp.seen s WHERE s.object_type = g.object_type AND s.ref_id = g.ref_id)",
            (source, object_type),
        ).fetchall()
        return self._count(db, source, object_type) if rows else 0, [Vanished(*row) for row in rows]

    def delete(self, db: sqlite3.Connection, source: str, gone: Vanished) -> MsgId | None:
        """Spool a Delete of an object; None, and nothing, while another source still has it."""
        db.execute(
            "DELETE FROM sync WHERE object_type = ? AND ref_id = ? AND source = ?",
            (gone.object_type, gone.ref_id, source),
        )
        if self._others_have(db, source, gone.object_type, gone.ref_id):
            return None
        self.kept.remove(db, gone.object_type, gone.ref_id)
        return self.spool(db, Action.DELETE, parse_document(gone.key_xml), gone.ref_id, gone.routing_key)

    def withdraw(self, db: sqlite3.Connection, learners: frozenset[str], to: Mapping[str, str]) -> int:
        """Spool Deletes of all objects of these learners, and forget that they were published, whatever the source.

        Those of each learner that refer to it go first, its LearnerPersonal last. What is only kept in order with the
        learner's, a contact person for example, stays published.

        Args:
            db: The caller's transaction.
            learners: RefIds under which they were published.
            to: The RefIds that they have from now on, by those; for what stays.

        Returns:
            How many Deletes were spooled.
        """
        rows = db.execute(
            "SELECT DISTINCT object_type, ref_id, routing_key, key_xml FROM sync "
            "WHERE routing_key IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(learners)),),
        ).fetchall()
        found: dict[tuple[bool, str, str], Vanished] = {}
        for row in rows:
            gone = Vanished(*row)
            key = (gone.object_type, gone.ref_id)
            if self._refers_to(gone):
                found[(gone.object_type == LEARNER, *key)] = gone
            else:
                follows = to.get(gone.routing_key, gone.routing_key)
                db.execute("UPDATE sync SET routing_key = ? WHERE object_type = ? AND ref_id = ?", (follows, *key))
                db.execute("UPDATE published SET learner = ? WHERE object_type = ? AND ref_id = ?", (follows, *key))
        for _, gone in sorted(found.items()):
            db.execute("DELETE FROM sync WHERE object_type = ? AND ref_id = ?", (gone.object_type, gone.ref_id))
            self.kept.remove(db, gone.object_type, gone.ref_id)
            self.spool(db, Action.DELETE, parse_document(gone.key_xml), gone.ref_id, gone.routing_key)
        return len(found)

    def _refers_to(self, gone: Vanished) -> bool:
        """Tell whether an object itself names the learner by whose RefId it is kept in order."""
        path = self._schema.learner_ref(gone.object_type) or self._schema.note(gone.object_type).person
        if not path:
            return False
        element = parse_document(gone.key_xml)
        found = element.get(path[1:]) if path.startswith("@") else element.findtext(namespace(element) + path)
        return (found or "").strip() == gone.routing_key

    def ask(
        self,
        db: sqlite3.Connection,
        query: Query,
        to: AgentId | None = None,
        context: Context = DEFAULT_CONTEXT,
        max_buffer: int = USUAL_BUFFER,
    ) -> MsgId:
        """Put a SIF_Request into the outbox and return its message id, which its answers name."""
        header = new_header(self._agent)._replace(destination_id=to, contexts=(context,))
        body = (
            build_request(header, query) if max_buffer is None else build_request(header, query, max_buffer=max_buffer)
        )
        db.execute(
            "INSERT INTO outbox (msg_id, object_type, action, ref_id, routing_key, body, kind) "
            "VALUES (?, ?, ?, '', ?, ?, 'SIF_Request')",
            (header.msg_id, query.object_type, REQUEST, header.msg_id, body),
        )
        return header.msg_id

    def object_asked_for(self, request_id: str) -> str:
        """Return the object that a request of this agent's was for; empty when it made none of this id."""
        rows = self._store.query(
            "SELECT object_type FROM sent WHERE msg_id = ? AND action = ? UNION ALL "
            "SELECT object_type FROM outbox WHERE msg_id = ? AND action = ?",
            (request_id, REQUEST, request_id, REQUEST),
        )
        return str(rows[0][0]) if rows else ""

    def take_request(self, db: sqlite3.Connection, asked: Asked) -> None:
        """Note a request, so that it is answered whatever happens from now on."""
        db.execute(
            "INSERT OR IGNORE INTO asked (msg_id, object_type, body) VALUES (?, ?, ?)",
            (asked.msg_id, asked.object_type, asked.body),
        )

    def next_asked(self) -> Asked | None:
        """Return the request that has waited longest for its answer; None when there is none."""
        rows = self._store.query("SELECT msg_id, object_type, body FROM asked ORDER BY seq LIMIT 1")
        return Asked(*rows[0]) if rows else None

    def count_asked(self) -> int:
        """Return how many requests wait for their answer to be made."""
        return int(self._store.query("SELECT count(*) FROM asked")[0][0])

    def begin_answer(self, request_id: MsgId) -> None:
        """Forget the packets that an end in the midst of this answer has left; none of them was sent."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM packets WHERE request_id = ?", (request_id,))

    def put_packet(self, request_id: MsgId, number: int, msg_id: MsgId, body: bytes) -> None:
        """Keep a packet of an answer that is being made; durable on return."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO packets (msg_id, request_id, number, body) VALUES (?, ?, ?, ?)",
                (msg_id, request_id, number, body),
            )

    def end_answer(self, asked: Asked) -> None:
        """Let all packets of an answer go out, and the request be done with, in one transaction."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO outbox (msg_id, object_type, action, ref_id, routing_key, body, kind) "
                "SELECT msg_id, ?, ?, request_id, request_id, x'', 'SIF_Response' FROM packets "
                "WHERE request_id = ? ORDER BY number",
                (asked.object_type, PACKET, asked.msg_id),
            )
            db.execute("DELETE FROM asked WHERE msg_id = ?", (asked.msg_id,))

    def waiting(self, after: int, limit: int = _PAGE, max_bytes: int = _PAGE_BYTES) -> list[Spooled]:
        """Return spooled messages with a number above *after*, oldest first.

        No more are returned once they have *max_bytes* together, but always one if there is any.
        """
        rows = self._store.query(
            "SELECT o.seq, o.msg_id, o.object_type, o.action, o.ref_id, o.routing_key, coalesce(p.body, o.body), kind "
            "FROM (SELECT seq, sum(size) OVER (ORDER BY seq) - size AS before FROM ("
            "SELECT o.seq, coalesce(length(p.body), length(o.body)) AS size FROM outbox o "
            "LEFT JOIN packets p ON p.msg_id = o.msg_id WHERE o.seq > ? ORDER BY o.seq LIMIT ?)) page "
            "JOIN outbox o ON o.seq = page.seq LEFT JOIN packets p ON p.msg_id = o.msg_id "
            "WHERE page.before < ? ORDER BY o.seq",
            (after, limit, max_bytes),
        )
        return [Spooled(*row) for row in rows]

    def count(self) -> int:
        """Return how many messages wait for a confirm."""
        return int(self._store.query("SELECT count(*) FROM outbox")[0][0])

    def confirmed(self, events: Sequence[Spooled]) -> None:
        """Drop messages that the zone has; durable on return."""
        at = now()
        with self._store.transaction() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(event.seq,) for event in events])
            packets = [(event.msg_id,) for event in events if event.action == PACKET]
            if packets:
                db.executemany("DELETE FROM packets WHERE msg_id = ?", packets)
            db.executemany(
                "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)",
                [(event.msg_id, event.object_type, event.action, event.ref_id, at) for event in events],
            )

    def messages(self) -> dict[str, int]:
        """Return how many different messages the zone has taken of each object, as far back as their ids are kept."""
        return dict(self._store.query("SELECT object_type, count(*) FROM sent GROUP BY object_type"))

    def refused(self, db: sqlite3.Connection, ack: Ack) -> str:
        """Note that the zone refused a message; return its action, empty when it is none of this agent's.

        The object of an event is sent whole once it changes; of an answer no further packets are sent.
        """
        row = db.execute(
            "SELECT object_type, action, ref_id FROM sent WHERE msg_id = ? UNION ALL "
            "SELECT object_type, action, ref_id FROM outbox WHERE msg_id = ?",
            (ack.original_msg_id, ack.original_msg_id),
        ).fetchone()
        if row is None:
            return ""
        object_type, action, ref_id = (str(value) for value in row)
        db.execute(
            "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (ack.original_msg_id, object_type, action, ref_id, ack.category, ack.code, ack.description, now()),
        )
        if action == PACKET:
            db.execute("DELETE FROM outbox WHERE routing_key = ? AND action = ?", (ref_id, PACKET))
            db.execute("DELETE FROM packets WHERE request_id = ?", (ref_id,))
        if action in (Action.ADD, Action.CHANGE):
            # An object whose Add was refused stays an Add, whatever Changes of it are refused after that.
            db.execute(
                "UPDATE sync SET resend = ? WHERE object_type = ? AND ref_id = ? AND resend <> 'Add'",
                (action, object_type, ref_id),
            )
        return action

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
        new = outcome.shapes.keys() - self._kept_shapes()
        if new:
            shapes = [(shape, "\n".join(outcome.shapes[shape])) for shape in new]
            db.executemany("INSERT OR IGNORE INTO shapes VALUES (?, ?)", shapes)
            self._shapes |= new
        bare = etree.tostring(key_element(outcome.element, self._schema), encoding="utf-8", with_tail=False)
        db.execute(
            "INSERT OR REPLACE INTO sync VALUES (?, ?, ?, ?, ?, ?, ?, '')",
            (object_type, ref_id, source, outcome.known.whole, write_parts(outcome.known.parts), bare, key),
        )

    def _count(self, db: sqlite3.Connection, source: str, object_type: str) -> int:
        counted = db.execute("SELECT count(*) FROM sync WHERE source = ? AND object_type = ?", (source, object_type))
        return int(counted.fetchone()[0])

    def _kept_shapes(self) -> set[str]:
        """Return shapes that are in the database for certain: none is ever removed, but by a transaction's undoing."""
        if self._undone != self._store.undone:
            self._undone, self._shapes = self._store.undone, set()
        return self._shapes

    def _shape_paths(self, db: sqlite3.Connection, shape: str) -> tuple[str, ...]:
        row = db.execute("SELECT paths FROM shapes WHERE id = ?", (shape,)).fetchone()
        return tuple(row[0].split("\n")) if row else ()

    def _others_have(self, db: sqlite3.Connection, source: str, object_type: str, ref_id: str) -> bool:
        found = db.execute(
            "SELECT 1 FROM sync WHERE object_type = ? AND ref_id = ? AND source <> ? LIMIT 1",
            (object_type, ref_id, source),
        ).fetchone()
        return found is not None


def _serialised(element: etree._Element) -> bytes:
    return etree.tostring(element, encoding="utf-8", with_tail=False)


__all__ = ["PACKET", "REQUEST", "Asked", "Refused", "Seen", "Spool", "Spooled", "Vanished", "Wanted"]
