"""Faults found in records: opened when first found, closed when a later message shows the record without them.

What an agent can fill the table with is bounded, and so is the time for which closed faults are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from broker.storage import tables
from broker.storage.ledger import chunks
from broker.storage.records import Flaw, FlawRow, JudgedRow

MAX_OPEN: Final = 100_000
"""Most faults of one agent that are open; what is found beyond that is not listed, and one row says so."""
MAX_CLOSED: Final = 100_000
"""Most closed faults of one agent; the newest are kept."""
KEPT: Final = timedelta(days=366)
"""How long a closed fault is kept: as far back as the trend goes."""
TOO_MANY: Final = "too-many-faults"
"""Rule of the row that says that an agent has more faults than are listed; it is of no record."""
_NO_KEY: Final = ""

_flaw: Final = tables.flaw.c
_OPEN: Final = (
    select(_flaw.id, _flaw.source, _flaw.object_type, _flaw.object_key, _flaw.path, _flaw.rule, _flaw.severity)
    .where(_flaw.object_key.in_(bindparam("keys", expanding=True)), _flaw.closed.is_(None))
    .order_by(_flaw.id)
)
_SAW: Final = (
    update(tables.flaw)
    .where(_flaw.id == bindparam("flaw_id"))
    .values(
        seen=bindparam("day"),
        severity=bindparam("how"),
        message=bindparam("text"),
        school=bindparam("now_of"),
        local_id=bindparam("known_as"),
    )
)
_CLOSE: Final = update(tables.flaw).where(_flaw.id == bindparam("flaw_id")).values(closed=bindparam("day"))

_AT_ONCE: Final = 100_000
"""Most closed faults removed at a time: more than one batch closes."""

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
        path, rule = place
        if judged.rule not in ("", rule):
            return False
        # What was missing is there; what was wrong is gone from an element that was sent, maybe with its whole text.
        shown = path if rule == "missing" else path.rpartition("/")[0] or path
        return "" in judged.seen or shown in judged.seen


def write(connection: Connection, judged: Sequence[JudgedRow], day: date) -> None:
    """Open, renew and close faults as *judged*, oldest first, tells; the same again changes nothing."""
    if not judged:
        return
    first: dict[_Record, JudgedRow] = {}
    for one in judged:
        first.setdefault((one.source, one.object_type, one.key), one)
    # most records have no faults, and had none
    changes = {(one.source, one.object_type, one.key): _Change(one) for one in judged if one.flaws}
    for some in chunks(sorted({one.key for one in judged})):
        for number, source, object_type, key, path, rule, severity in connection.execute(_OPEN, {"keys": some}):
            record = (source, object_type, key)
            if record not in first:
                continue
            change = changes.setdefault(record, _Change(first[record]))
            if (path, rule) in change.open:  # two workers opened it at once: one row of it is enough
                change.closed.append(number)
                continue
            change.open[path, rule] = number
            change.severities[path, rule] = severity
    if not changes:
        return
    for one in judged:
        concerned = changes.get((one.source, one.object_type, one.key))
        if concerned is not None:
            concerned.apply(one)
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
                judged = change.judged
                told = {
                    "how": flaw.severity,
                    "text": flaw.message,
                    "now_of": judged.school,
                    "known_as": judged.local_id,
                }
                saw.append({"flaw_id": number, "day": day, **told})
    if closed:
        connection.execute(_CLOSE, closed)
    if saw:
        connection.execute(_SAW, saw)
    for source in sorted({change.judged.source for change in changes if change.closed}):
        _forget(connection, source, day)
    for source in sorted({str(row["source"]) for row in opened}):
        _open(connection, source, [row for row in opened if row["source"] == source], day)


def _forget(connection: Connection, source: str, day: date) -> None:
    """Remove what was closed long ago, and what an agent has closed beyond the most that is kept."""
    connection.execute(delete(tables.flaw).where(_flaw.closed < day - KEPT))
    newest = select(_flaw.id).where(_flaw.source == source, _flaw.closed.is_not(None))
    beyond = newest.order_by(_flaw.closed.desc(), _flaw.id.desc()).limit(_AT_ONCE).offset(MAX_CLOSED)
    for some in chunks([number for (number,) in connection.execute(beyond)]):
        connection.execute(delete(tables.flaw).where(_flaw.id.in_(some)))


def _open(connection: Connection, source: str, rows: Sequence[dict[str, object]], day: date) -> None:
    """Store new faults of an agent as far as there is room, and say whether there is."""
    listed = select(_flaw.id).where(_flaw.source == source, _flaw.closed.is_(None)).limit(MAX_OPEN).subquery()
    room = MAX_OPEN - connection.execute(select(func.count()).select_from(listed)).scalar_one()
    if rows[:room]:
        connection.execute(insert(tables.flaw), rows[:room])
    said = (_flaw.source == source, _flaw.object_key == _NO_KEY, _flaw.closed.is_(None))
    if len(rows) <= room:
        connection.execute(update(tables.flaw).where(*said).values(closed=day))
    elif connection.execute(update(tables.flaw).where(*said).values(seen=day)).rowcount == 0:
        message = f"More than {MAX_OPEN:,} faults are open: mend those that are listed, new ones are not until then."
        whole = JudgedRow(source, "", _NO_KEY, "", "", frozenset(), ())
        connection.execute(insert(tables.flaw), [_new(whole, FlawRow("", TOO_MANY, "warn", message), day)])


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
