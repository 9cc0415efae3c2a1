"""Remembers which records of a source made which objects, so that the same record again need not be mapped again.

A record is the same when its digest is, which covers all that it holds and all that decides what becomes of it; who
reads a source makes digests and decides. What is remembered is never more than a shortcut: it counts only where each
object is published exactly as that record made it, and forgetting it makes the next reading slower and nothing else.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agents.store import Store
from mappings import MappedObject, Record

_DIGESTS: Final = 200
"""Digests that one statement looks up; it is always given so many, so that SQLite prepares it once."""
_LOOK_UP: Final = f"""
SELECT r.digest, r.object_type, r.ref_id, r.whole, e.whole FROM records r
LEFT JOIN temp.seen e ON e.object_type = r.object_type AND e.ref_id = r.ref_id
WHERE r.source = ? AND r.digest IN ({", ".join("?" * _DIGESTS)}) ORDER BY r.digest, r.n
"""  # noqa: S608
_IS_PUBLISHED: Final = """
SELECT 1 FROM sync JOIN published USING (object_type, ref_id)
WHERE object_type = ? AND ref_id = ? AND source = ? AND whole = ?
"""


@dataclass(frozen=True, slots=True)
class Old:
    """An object that a record made the last time, and would make again.

    Attributes:
        whole: Its digest.
        seen: Digest of the object as the reading that is under way has seen it already; empty when it has not.
    """

    object_type: str
    ref_id: str
    whole: bytes = field(repr=False)
    seen: bytes = field(repr=False)


class Remembered:
    """The records of one agent. Methods that take *db* work inside the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def digest(self, record: Record, mark: str) -> bytes:
        """Return what changes when anything that a record holds does, or *mark*; not when it only moves."""
        return self._store.keys.digest(f"{mark} {_content(record)!r}".encode())

    def look_up(self, source: str, digests: Sequence[bytes]) -> Mapping[bytes, tuple[Old, ...]]:
        """Return the objects of the records that need not be mapped, by digest: all are published just as they are.

        The database forgets a record as soon as one of its objects is published in another form, or no longer.
        """
        found: dict[bytes, tuple[Old, ...]] = {}
        for start in range(0, len(digests), _DIGESTS):
            asked = digests[start : start + _DIGESTS]
            filled = [*asked, *[asked[0]] * (_DIGESTS - len(asked))]
            for digest, object_type, ref_id, whole, seen in self._store.query(_LOOK_UP, (source, *filled)):
                found[digest] = (*found.get(digest, ()), Old(object_type, ref_id, whole, seen or b""))
        return found

    @staticmethod
    def remember(
        db: sqlite3.Connection, source: str, digest: bytes, objects: Sequence[tuple[MappedObject, bytes]]
    ) -> None:
        """Remember a record by its objects, each with its digest, if all are published in this form.

        It takes the place of what was remembered of the same thing, which is what its main object is: the last one
        about a learner, since others, such as the school, are made by many records. So there are never more records
        than objects.
        """
        if not objects or not all(
            db.execute(_IS_PUBLISHED, (made.object_type, made.ref_id, source, whole)).fetchone()
            for made, whole in objects
        ):
            return
        main = max(range(len(objects)), key=lambda at: (objects[at][0].learner_ref_id is not None, at))
        thing, _ = objects[main]
        db.execute(
            "DELETE FROM records WHERE source = ? AND digest IN (SELECT digest FROM records "
            "WHERE object_type = ? AND ref_id = ? AND source = ? AND main)",
            (source, thing.object_type, thing.ref_id, source),
        )
        db.executemany(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (source, digest, n, made.object_type, made.ref_id, whole, n == main)
                for n, (made, whole) in enumerate(objects)
            ],
        )

    @staticmethod
    def forget_all(db: sqlite3.Connection) -> None:
        """Forget all: what the zone has said of some learner may concern any record."""
        db.execute("DELETE FROM records")

    def keep_only(self, sources: Iterable[str]) -> None:
        """Forget the records of sources that the agent no longer has."""
        known = {str(row[0]) for row in self._store.query("SELECT DISTINCT source FROM records")}
        gone = known.difference(sources)
        if gone:
            with self._store.transaction() as db:
                db.executemany("DELETE FROM records WHERE source = ?", [(source,) for source in gone])


def _content(record: Record) -> object:
    """Return what a record holds as dictionaries, lists and texts alone, so that its repr tells it from any other."""
    fields = dict(record.fields)
    return (fields, dict(_groups(record))) if record.groups else fields


def _groups(record: Record) -> Iterator[tuple[str, list[object]]]:
    for name, members in record.groups.items():
        yield name, [_content(member) for member in members]


__all__ = ["Old", "Remembered"]
