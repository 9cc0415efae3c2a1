"""The agent's way in: ids of messages handled, objects as they now are, and messages that could not be handled.

All that one batch brings is written in one transaction, before any of it is acknowledged.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from lxml import etree

from agents.diff import ref_key
from agents.merge import merge
from agents.store import Store, now
from broker.protocol.documents import parse_document
from broker.protocol.envelope import Action, EventObject
from broker.protocol.errors import NotValid
from schemas import SchemaSet

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that could not be handled; kept until somebody has looked at it."""

    msg_id: str
    kind: str
    reason: str
    body: bytes = field(repr=False)
    at: str = ""


class Inbox:
    """What one agent has received. Methods that take *db* work inside the caller's transaction."""

    def __init__(self, store: Store, schema: SchemaSet) -> None:
        self._store, self._schema = store, schema

    def has(self, msg_id: str) -> bool:
        """Tell whether a message was handled before."""
        return bool(self._store.query("SELECT 1 FROM inbox WHERE msg_id = ?", (msg_id,)))

    def handled(self, db: sqlite3.Connection, msg_id: str, subject: str) -> None:
        """Remember that a message about *subject*, an object's name, is handled."""
        db.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?, ?)", (msg_id, subject, now()))

    def messages(self) -> dict[str, int]:
        """Return how many different messages were received of each object, as far back as their ids are kept."""
        return dict(self._store.query("SELECT subject, count(*) FROM inbox GROUP BY subject ORDER BY subject"))

    def check(self, event: EventObject) -> None:
        """Make sure that :meth:`apply` can keep what an event brings.

        Raises:
            UnknownObject: No schema describes the object.
            NotValid: It lacks one of its keys.
        """
        if not all(ref_key(event.element, self._schema).split("|")):
            raise NotValid(f"a {event.object_type} without its keys: ask the sender's administrator to look at it")

    def apply(self, db: sqlite3.Connection, event: EventObject) -> None:
        """Bring the kept objects up to date.

        A Change of an object that is not here (yet) is kept as it is: order of arrival between objects is not fixed,
        and a later Add replaces it.
        """
        key = (event.object_type, ref_key(event.element, self._schema))
        if event.action is Action.DELETE:
            db.execute("DELETE FROM objects WHERE object_type = ? AND ref_id = ?", key)
            return
        element = event.element
        if event.action is Action.CHANGE:
            row = db.execute("SELECT xml FROM objects WHERE object_type = ? AND ref_id = ?", key).fetchone()
            bare = etree.Element(element.tag, nsmap=element.nsmap)  # type: ignore[arg-type]  # the stubs forget the default
            element = merge(bare if row is None else parse_document(row[0]), element, self._schema)
        xml = etree.tostring(element, encoding="utf-8", with_tail=False)
        db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", (*key, xml))

    @staticmethod
    def changed(db: sqlite3.Connection) -> None:
        """Note that kept objects have changed, so that the target is written again."""
        db.execute("INSERT INTO meta VALUES ('changes', '1') ON CONFLICT (name) DO UPDATE SET value = value + 1")

    def failed(self, db: sqlite3.Connection, message: Failed) -> None:
        """Keep a message that could not be handled, with the reason."""
        db.execute(
            "INSERT INTO failed (msg_id, kind, reason, body, at) VALUES (?, ?, ?, ?, ?)",
            (message.msg_id, message.kind, message.reason, message.body, now()),
        )

    def all_failed(self) -> list[Failed]:
        """Return the messages that could not be handled, oldest first."""
        rows = self._store.query("SELECT msg_id, kind, reason, body, at FROM failed ORDER BY id")
        return [Failed(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return how many objects of each type are kept, by name in order."""
        rows = self._store.query("SELECT object_type, count(*) FROM objects GROUP BY object_type ORDER BY object_type")
        return {str(name): int(count) for name, count in rows}


class KeptObjects:
    """The kept objects as one moment has them, for mappings to read."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # Rows of one table look up the same few schools, groups and terms again and again.
        self.get = lru_cache(maxsize=5_000)(self._get)

    @property
    def changes(self) -> int:
        """How often objects have changed since the agent began; equal numbers mean equal objects."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'changes'").fetchone()
        return int(row[0]) if row else 0

    def _get(self, object_type: str, ref_id: str) -> etree._Element | None:
        """Return an object, or None when it is not here."""
        row = self._db.execute(
            "SELECT xml FROM objects WHERE object_type = ? AND ref_id = ?", (object_type, ref_id)
        ).fetchone()
        return None if row is None else parse_document(row[0])

    def all(self, object_type: str) -> Iterator[etree._Element]:
        """Yield every object of a type, in the order of their RefIds."""
        last = ""
        while True:
            rows = self._db.execute(
                "SELECT ref_id, xml FROM objects WHERE object_type = ? AND ref_id > ? ORDER BY ref_id LIMIT ?",
                (object_type, last, _PAGE),
            ).fetchall()
            if not rows:
                return
            for _, xml in rows:
                yield parse_document(xml)
            last = rows[-1][0]


__all__ = ["Failed", "Inbox", "KeptObjects"]
