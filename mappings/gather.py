"""Gathers adjacent rows of one thing into one record, for mappings with ``rows``; reading and mapping are others'."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mappings.inward import InwardMapping
from mappings.records import Record
from mappings.selection import MAX_ROWS, ROWS

_ROW: Final = re.compile(r"row ([0-9]+)")


@dataclass(slots=True)
class _Open:
    """The rows of one thing, of which more may follow."""

    names: tuple[str, ...]
    mappings: tuple[InwardMapping, ...]
    key: tuple[str | None, ...] = ()
    rows: list[Record] = field(default_factory=list)
    last: str = ""

    def add(self, row: Record) -> Record | None:
        """Take a row; return the record of those before it when it begins another thing."""
        key = tuple(row.fields.get(name) for name in self.names)
        if self.rows and key == self.key and None not in key:
            if len(self.rows) <= MAX_ROWS:  # one more than allowed, so that the mapping can refuse the record
                self.rows.append(row)
            self.last = row.position
            return None
        done = self.close()
        self.key, self.rows, self.last = key, [row], row.position
        return done

    def close(self) -> Record | None:
        """Return the record of the rows so far, if there are any."""
        if not self.rows:
            return None
        first, rows = self.rows[0], tuple(self.rows)
        self.rows = []
        position = _between(first.position, self.last)
        return Record(position, first.fields, {**first.groups, ROWS: rows}, first.parent)


class Gathering:
    """Hands every record of a source to the mappings that it is for, rows of one thing as one record.

    A mapping with ``rows = ["UPN"]`` gets one record for adjacent rows with the same UPN: its fields are the first
    row's, its group ``rows`` has all of them as they came, its position is like ``rows 3-5``. A row that has not all
    of these fields is a record by itself. It holds the rows of one thing at a time, at most ``MAX_ROWS`` and one: a
    record with more is refused by ``translate``. Use one for each reading of a source.
    """

    def __init__(self, mappings: Sequence[InwardMapping]) -> None:
        self._at_once = tuple(mapping for mapping in mappings if not mapping.rows)
        names = dict.fromkeys(mapping.rows for mapping in mappings if mapping.rows)
        self._open = tuple(_Open(rows, tuple(m for m in mappings if m.rows == rows)) for rows in names)

    def add(self, record: Record) -> list[tuple[InwardMapping, Record]]:
        """Take the next record; return what can be translated now, each mapping with its record."""
        ready = [(mapping, record) for mapping in self._at_once]
        for group in self._open:
            done = group.add(record)
            if done is not None:
                ready.extend((mapping, done) for mapping in group.mappings)
        return ready

    def rest(self) -> list[tuple[InwardMapping, Record]]:
        """Return what is left at the end of the source; then it is empty, and can be used for another source."""
        return [
            (mapping, done) for group in self._open if (done := group.close()) is not None for mapping in group.mappings
        ]


def _between(first: str, last: str) -> str:
    """Return ``rows 3-5`` for ``row 3`` and ``row 5``."""
    if first == last:
        return first
    low, high = _ROW.fullmatch(first), _ROW.fullmatch(last)
    return f"rows {low[1]}-{high[1]}" if low and high else f"{first} to {last}"
