"""Writes and reads the ledger: rows appended, each distinct audience kept once; counting is reconciliation.py's."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Dialect, Select, bindparam, or_, select

from broker.storage import tables
from broker.storage.bulk import Insert
from broker.storage.encoding import token
from broker.storage.engine import Database
from broker.storage.records import VERDICT, LedgerRow, Outcome

MessageKey = tuple[str, str, int]
"""(source, msg_id, attempt)."""

Audience = tuple[str, ...]
Item = TypeVar("Item")

_CHUNK: Final = 500
_CACHED_AUDIENCES: Final = 50_000
_ledger: Final = tables.ledger.c

# Built once: an `in_` of a list is expanded at execution, so the compiled statement is found in SQLAlchemy's cache.
_VERDICTS: Final = select(_ledger.source, _ledger.msg_id, _ledger.attempt).where(
    _ledger.msg_id.in_(bindparam("ids", expanding=True)), _ledger.seq == VERDICT
)


class LedgerWriter:
    """Appends rows to the ledger; remembers the ids of the audiences it met."""

    def __init__(self, dialect: Dialect) -> None:
        self._insert = Insert(dialect, tables.ledger, omit="id")
        self._insert_audience = Insert(dialect, tables.audience, omit="id")
        self._insert_member = Insert(dialect, tables.audience_member)
        self._audiences: dict[Audience, int | None] = {(): None}

    def intern(self, database: Database, rows: Iterable[LedgerRow]) -> None:
        """Make the audiences of *rows* known, in a transaction of its own when one is new.

        Own, because an id may be remembered only when it is durable, and because two workers that meet the
        same new audience must not wait for each other with a whole batch open. One that is left without a
        row, by a kill, does no harm.
        """
        if len(self._audiences) > _CACHED_AUDIENCES:
            self._audiences = {(): None}
        new = {row.audience for row in rows} - self._audiences.keys()
        if not new:
            return
        with database.write("commit audiences") as connection:
            ids = self._store(connection, {audience: _key(audience) for audience in new})
        self._audiences.update(ids)

    def append(self, connection: Connection, rows: Sequence[LedgerRow]) -> None:
        """Append *rows*, whose audiences are interned; one whose key is in the ledger is left as it was."""
        audiences = self._audiences
        self._insert(
            connection,
            [
                (
                    row.at,
                    token(row.msg_id),
                    token(row.source),
                    row.attempt,
                    row.seq,
                    row.outcome,
                    token(row.object_type),
                    token(row.action),
                    token(row.ref_id),
                    audiences[row.audience],
                    row.considered,
                    row.view,
                    row.reason,
                    row.category,
                    row.code,
                    row.sha256,
                )
                for row in rows
            ],
        )

    def _store(self, connection: Connection, keys: dict[Audience, str]) -> dict[Audience, int]:
        # Sorted: two workers that insert the same two keys in two orders would wait for each other.
        ordered = sorted({key: frozenset(audience) for audience, key in keys.items()}.items())
        self._insert_audience(connection, [(key, len(members)) for key, members in ordered])
        ids: dict[str, int] = {}
        for some in chunks([key for key, _ in ordered]):
            found = select(tables.audience.c.key, tables.audience.c.id).where(tables.audience.c.key.in_(some))
            ids |= {row.key: row.id for row in connection.execute(found)}
        self._insert_member(connection, [(ids[key], agent) for key, members in ordered for agent in sorted(members)])
        return {audience: ids[key] for audience, key in keys.items()}


def verdicts(connection: Connection, keys: Sequence[MessageKey]) -> frozenset[MessageKey]:
    """Return those of *keys* that the ledger has as accepted or refused."""
    asked = {(token(source), token(msg_id), attempt): (source, msg_id, attempt) for source, msg_id, attempt in keys}
    found: set[MessageKey] = set()
    for some in chunks([msg_id for _, msg_id, _ in asked]):
        for source, msg_id, attempt in connection.execute(_VERDICTS, {"ids": some}):
            key = asked.get((source, msg_id, attempt))
            if key is not None:
                found.add(key)
    return frozenset(found)


def of_message(connection: Connection, msg_id: str) -> list[LedgerRow]:
    """Return all rows of the messages with this id, by source, attempt and seq; empty when there are none."""
    statement = (
        select(tables.ledger)
        .where(_ledger.msg_id == token(msg_id))
        .order_by(_ledger.source, _ledger.attempt, _ledger.seq)
    )
    return _rows(connection, statement)


def newest(
    connection: Connection,
    *,
    agent: str,
    object_type: str,
    outcome: Outcome | None,
    since: float | None,
    until: float | None,
    limit: int,
) -> list[LedgerRow]:
    """Return up to *limit* rows, newest first; the arguments are those of Store.ledger."""
    statement = within(select(tables.ledger), since, until)
    if agent:
        heard = select(tables.audience_member.c.audience_id).where(tables.audience_member.c.agent == agent)
        statement = statement.where(or_(_ledger.source == agent, _ledger.audience_id.in_(heard)))
    if object_type:
        statement = statement.where(_ledger.object_type == object_type)
    if outcome is not None:
        statement = statement.where(_ledger.outcome == outcome)
    return _rows(connection, statement.order_by(_ledger.at.desc(), _ledger.id.desc()).limit(limit))


def within(statement: Select[Any], since: float | None, until: float | None) -> Select[Any]:
    """Return *statement* on the ledger limited to rows at *since* or later and before *until*."""
    if since is not None:
        statement = statement.where(_ledger.at >= since)
    if until is not None:
        statement = statement.where(_ledger.at < until)
    return statement


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield *items* in lists of at most 500: a statement takes a limited number of values."""
    rest = iter(items)
    while some := list(islice(rest, _CHUNK)):
        yield some


def _key(audience: Audience) -> str:
    return hashlib.sha256("\n".join(sorted(set(audience))).encode()).hexdigest()


_FIELDS: Final = (
    *("at", "msg_id", "source", "outcome", "attempt", "seq", "object_type", "action", "ref_id"),
    *("considered", "view", "reason", "category", "code", "sha256"),
)
_values: Final = attrgetter(*_FIELDS)


def _rows(connection: Connection, statement: Select[Any]) -> list[LedgerRow]:
    found = connection.execute(statement).all()
    audiences = _members(connection, {row.audience_id for row in found if row.audience_id is not None})
    return [
        LedgerRow(**dict(zip(_FIELDS, _values(row), strict=True)), audience=audiences.get(row.audience_id, ()))
        for row in found
    ]


def _members(connection: Connection, ids: set[int]) -> dict[int, Audience]:
    member = tables.audience_member.c
    members: dict[int, list[str]] = {number: [] for number in ids}
    for some in chunks(ids):
        statement = select(member.audience_id, member.agent).where(member.audience_id.in_(some))
        for number, agent in connection.execute(statement):
            members[number].append(agent)
    return {number: tuple(sorted(agents)) for number, agents in members.items()}
