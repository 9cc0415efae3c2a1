"""Faults found in records: opened when first found, closed when a later message shows the record without them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from broker.storage import tables
from broker.storage.ledger import chunks
from broker.storage.records import Flaw, FlawRow, JudgedRow

_flaw: Final = tables.flaw.c
_OPEN: Final = select(
    _flaw.id, _flaw.source, _flaw.object_type, _flaw.object_key, _flaw.path, _flaw.rule, _flaw.severity
).where(_flaw.object_key.in_(bindparam("keys", expanding=True)), _flaw.closed.is_(None))
_SAW: Final = (
    update(tables.flaw)
    .where(_flaw.id == bindparam("flaw_id"))
    .values(seen=bindparam("day"), severity=bindparam("how"), message=bindparam("text"))
)
_CLOSE: Final = update(tables.flaw).where(_flaw.id == bindparam("flaw_id")).values(closed=bindparam("day"))

_Record = tuple[str, str, str]
"""Source, object type and key of a record."""
_Place = tuple[str, str]
"""Path and rule of a fault."""


@dataclass(slots=True)
class _Change:
    """What a batch does to the faults of one record, message after message."""

    judged: JudgedRow
    open: dict[_Place, int | None] = field(default_factory=dict)  # None for one that is not stored yet
    severities: dict[_Place, str] = field(default_factory=dict)
    flaws: dict[_Place, FlawRow] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)

    def apply(self, judged: JudgedRow) -> None:
        found = {(flaw.path, flaw.rule): flaw for flaw in judged.flaws}
        for place in [place for place in self.open if place not in found and self._is_gone(place, judged)]:
            number = self.open.pop(place)
            self.flaws.pop(place, None)
            if number is not None:
                self.closed.append(number)
        for place, flaw in found.items():
            self.open.setdefault(place, None)
            self.severities[place] = flaw.severity
            self.flaws[place] = flaw
            self.judged = judged

    def _is_gone(self, place: _Place, judged: JudgedRow) -> bool:
        """Tell whether a message that does not show a fault would have shown it, were it still there."""
        if not judged.complete and self.severities[place] != "refuse":
            return False
        return "" in judged.seen or place[0].partition("/")[0] in judged.seen


def write(connection: Connection, judged: Sequence[JudgedRow], day: date) -> None:
    """Open, renew and close faults as *judged*, oldest first, tells; the same again changes nothing."""
    if not judged:
        return
    changes: dict[_Record, _Change] = {}
    for one in judged:
        changes.setdefault((one.source, one.object_type, one.key), _Change(one))
    for some in chunks(sorted({one.key for one in judged})):
        for number, source, object_type, key, path, rule, severity in connection.execute(_OPEN, {"keys": some}):
            change = changes.get((source, object_type, key))
            if change is not None:
                change.open[path, rule] = number
                change.severities[path, rule] = severity
    for one in judged:
        changes[one.source, one.object_type, one.key].apply(one)
    _store(connection, [changes[record] for record in sorted(changes)], day)


def _store(connection: Connection, changes: Sequence[_Change], day: date) -> None:
    closed = [{"flaw_id": number, "day": day} for change in changes for number in change.closed]
    saw: list[dict[str, object]] = []
    opened: list[dict[str, object]] = []
    for change in changes:
        for place, flaw in change.flaws.items():
            number = change.open[place]
            if number is None:
                opened.append(_new(change.judged, flaw, day))
            else:
                saw.append({"flaw_id": number, "day": day, "how": flaw.severity, "text": flaw.message})
    if closed:
        connection.execute(_CLOSE, closed)
    if saw:
        connection.execute(_SAW, saw)
    if opened:
        connection.execute(insert(tables.flaw), opened)


def _new(judged: JudgedRow, flaw: FlawRow, day: date) -> dict[str, object]:
    return {
        "source": judged.source,
        "object_type": judged.object_type,
        "object_key": judged.key,
        "school": judged.school,
        "local_id": judged.local_id,
        "path": flaw.path,
        "rule": flaw.rule,
        "severity": flaw.severity,
        "message": flaw.message,
        "opened": day,
        "seen": day,
    }


def flaws(connection: Connection, *, school: str, source: str, since: date | None) -> list[Flaw]:
    """Return faults, by school, object, rule and id; open ones, and those closed on *since* or later.

    Args:
        school: Only this establishment; "" for all. ``source`` likewise only this agent.
    """
    is_open = _flaw.closed.is_(None)
    query = select(tables.flaw).where(is_open if since is None else is_open | (_flaw.closed >= since))
    if school:
        query = query.where(_flaw.school == school)
    if source:
        query = query.where(_flaw.source == source)
    order = (_flaw.school, _flaw.source, _flaw.object_type, _flaw.rule, _flaw.local_id, _flaw.id)
    return [
        Flaw(
            source=row.source,
            school=row.school,
            object_type=row.object_type,
            key=row.object_key,
            local_id=row.local_id,
            path=row.path,
            rule=row.rule,
            severity=row.severity,
            message=row.message,
            opened=row.opened,
            seen=row.seen,
            closed=row.closed,
        )
        for row in connection.execute(query.order_by(*order))
    ]
