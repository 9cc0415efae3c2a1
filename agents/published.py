"""The objects of an agent as it last published them, whole, so that it can answer requests for them; no decision.

An object is here as those have it who got its events: a Change is merged in, since what it leaves out has stayed.
"""

import sqlite3
import zlib
from collections.abc import Iterator
from typing import Final

from lxml import etree

from agents.merge import merge
from agents.store import Store
from broker.protocol.documents import parse_document
from broker.protocol.envelope import Action, local_name
from broker.protocol.query import Joined, Operator, Query
from schemas import SchemaSet

_PAGE: Final = 100
_QUICK: Final = 1  # of zlib's levels: four fifths of what the best saves, in a third of its time
_COLUMNS: Final = "SELECT ref_id, xml FROM published WHERE object_type = ? "


class Published:
    """Whole objects by type and RefId. Methods that take *db* work inside the caller's transaction."""

    def __init__(self, store: Store, schema: SchemaSet) -> None:
        self._store, self._schema = store, schema

    def put(self, db: sqlite3.Connection, object_type: str, ref_id: str, learner: str, xml: bytes) -> None:
        """Keep an object.

        Args:
            db: The caller's transaction.
            object_type: What it is.
            ref_id: Its identity.
            learner: RefId of the learner it is about; its own identity where it is about none.
            xml: The object, serialised.
        """
        db.execute(
            "INSERT INTO published (object_type, ref_id, learner, xml) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (object_type, ref_id) DO UPDATE SET learner = excluded.learner, xml = excluded.xml",
            (object_type, ref_id, "" if learner == ref_id else learner, zlib.compress(xml, _QUICK)),
        )

    def apply(self, db: sqlite3.Connection, action: Action, element: etree._Element, ref_id: str, learner: str) -> None:
        """Do to the kept object what an event does; of a Change alone, nothing is kept."""
        object_type = local_name(element)
        if action is Action.DELETE:
            self.remove(db, object_type, ref_id)
            return
        if action is Action.CHANGE:
            row = db.execute(f"{_COLUMNS} AND ref_id = ?", (object_type, ref_id)).fetchone()
            if row is None:
                return
            element = merge(_read(row[1]), element, self._schema)
        self.put(db, object_type, ref_id, learner, etree.tostring(element, encoding="utf-8", with_tail=False))

    def remove(self, db: sqlite3.Connection, object_type: str, ref_id: str) -> None:
        """Forget an object."""
        db.execute("DELETE FROM published WHERE object_type = ? AND ref_id = ?", (object_type, ref_id))

    def has_any(self, object_type: str) -> bool:
        """Tell whether an object of this type is here."""
        return bool(self._store.query("SELECT 1 FROM published WHERE object_type = ? LIMIT 1", (object_type,)))

    def find(self, query: Query) -> Iterator[etree._Element]:
        """Yield the objects that a query may ask for, those that do not match among them, in the order of their RefIds.

        Where the query names one RefId, of the object or of the learner it is about, only what has it is read.
        """
        ref_id = _demanded(query, "@RefId")
        about = self._schema.learner_ref(query.object_type)
        learner = _demanded(query, about) if about is not None else None
        if ref_id is not None:
            yield from self._pages(query.object_type, "AND ref_id = ?", (ref_id,))
        elif learner is not None:
            yield from self._pages(query.object_type, "AND learner = ? AND learner <> ''", (learner,))
        else:
            yield from self._pages(query.object_type)

    def _pages(self, object_type: str, where: str = "", values: tuple[str, ...] = ()) -> Iterator[etree._Element]:
        last = ""
        while rows := self._store.query(
            f"{_COLUMNS} {where} AND ref_id > ? ORDER BY ref_id LIMIT {_PAGE}", (object_type, *values, last)
        ):
            for _, xml in rows:
                yield _read(xml)
            last = rows[-1][0]


def _demanded(query: Query, path: str) -> str | None:
    """Return the value that all objects asked for have at *path*; None when several may be, or others."""
    alone = len(query.groups) == 1
    for block in query.groups if alone or query.joined is not Joined.OR else ():
        if block.joined is Joined.OR and len(block.conditions) > 1:
            continue
        for condition in block.conditions:
            if condition.path == path and condition.operator is Operator.EQ:
                return condition.value.strip() or None  # what is missing is equal to the empty value
    return None


def _read(xml: bytes) -> etree._Element:
    return parse_document(zlib.decompress(xml))


__all__ = ["Published"]
