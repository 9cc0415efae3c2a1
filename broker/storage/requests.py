"""Writes and reads requests as they stand; what may become of one is decided elsewhere."""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Dialect, bindparam, delete, select

from broker.protocol.identifiers import AgentId, Context, MsgId
from broker.requests import OPEN, Pending, RequestState
from broker.storage import tables
from broker.storage.bulk import Insert

_request: Final = tables.request.c
_handed: Final = tables.handed.c
_BY_ID: Final = select(tables.request).where(_request.msg_id.in_(bindparam("ids", expanding=True)))
_CHUNK: Final = 500
_HANDED: Final = 10_000
"""Acknowledgements of one agent that matter: RabbitMQ delivers again what workers and the gateway had in hand."""


class RequestWriter:
    """Writes requests, each in the place of what was known of it."""

    def __init__(self, dialect: Dialect) -> None:
        columns = [column.name for column in tables.request.columns if column.name != "msg_id"]
        self._insert = Insert(dialect, tables.request, overwrite=columns)
        self._hand = Insert(dialect, tables.handed)

    def write(self, connection: Connection, pending: Sequence[Pending]) -> None:
        """Write *pending*; of several for one id the last holds."""
        last = {one.msg_id: one for one in pending}
        self._insert(connection, [_columns(one) for one in last.values()])

    def hand(self, connection: Connection, pairs: Collection[tuple[str, str]], at: float) -> None:
        """Write that agents have acknowledged messages, given as (agent, msg_id)."""
        self._hand(connection, [(agent, msg_id, at) for agent, msg_id in pairs])


def requests(connection: Connection, msg_ids: Sequence[str]) -> dict[str, Pending]:
    """Return those of *msg_ids* that are known requests, by id."""
    found: dict[str, Pending] = {}
    for start in range(0, len(msg_ids), _CHUNK):
        for row in connection.execute(_BY_ID, {"ids": list(msg_ids[start : start + _CHUNK])}):
            found[row.msg_id] = _pending(row)
    return found


def listed(connection: Connection, states: Collection[RequestState], agent: str, limit: int) -> list[Pending]:
    """Return up to *limit* requests in *states*, newest first; only those *agent* asked or answers, unless empty."""
    query = select(tables.request).where(_request.state.in_([str(state) for state in states]))
    if agent:
        query = query.where((_request.requester == agent) | (_request.responder == agent))
    return [_pending(row) for row in connection.execute(query.order_by(_request.asked_at.desc()).limit(limit))]


def open_requests(connection: Connection, *, due_before: float | None = None, responder: str = "") -> list[Pending]:
    """Return the requests that wait for an answer: all, those that have waited too long, or those of one responder."""
    query = select(tables.request).where(_request.state.in_([str(state) for state in OPEN]))
    if due_before is not None:
        query = query.where(_request.due_at < due_before)
    if responder:
        query = query.where(_request.responder == responder)
    return [_pending(row) for row in connection.execute(query.order_by(_request.asked_at))]


def handed(connection: Connection, agent_id: str) -> frozenset[str]:
    """Return the ids of what *agent_id* has acknowledged, the last few thousand, as far as they are remembered."""
    ids = select(_handed.msg_id).where(_handed.agent_id == agent_id)
    rows = connection.execute(ids.order_by(_handed.at.desc()).limit(_HANDED))
    return frozenset(row.msg_id for row in rows)


def forget_handed(connection: Connection, agent_ids: Sequence[str], before: float) -> None:
    """Forget what *agent_ids* acknowledged before that time."""
    connection.execute(delete(tables.handed).where(_handed.agent_id.in_(agent_ids), _handed.at < before))


def _columns(one: Pending) -> tuple[object, ...]:
    return (
        one.msg_id,
        one.requester,
        one.responder,
        one.object_type,
        one.context,
        one.version,
        json.dumps(one.versions),
        one.max_buffer,
        one.asked_at,
        one.due_at,
        str(one.state),
        one.next_packet,
        one.shared,
        one.left_out,
        one.category,
        one.code,
        one.reply_to,
        one.extended,
        one.about,
    )


def _pending(row: Any) -> Pending:
    return Pending(
        MsgId(row.msg_id),
        AgentId(row.requester),
        AgentId(row.responder),
        row.object_type,
        Context(row.context),
        row.version,
        tuple(json.loads(row.versions)),
        row.max_buffer,
        row.asked_at,
        row.due_at,
        RequestState(row.state),
        row.next_packet,
        row.shared,
        row.left_out,
        row.category,
        row.code,
        row.reply_to,
        row.extended,
        row.about,
    )
