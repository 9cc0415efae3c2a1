"""Counts the ledger: does every accepted message account for each agent that was considered? Why not is explain's."""

from sqlalchemy import Case, Connection, Select, and_, case, func, or_, select

from broker.storage import tables
from broker.storage.ledger import within
from broker.storage.records import RecipientRow, ReconcileRow

_ledger = tables.ledger.c


def reconcile(connection: Connection, since: float | None, until: float | None) -> list[ReconcileRow]:
    """Return one row for each source and object type, in that order.

    How many agents were considered is written with the verdict, from the subscriptions; who was delivered and
    who withheld, from the routes. A message where the two differ is unbalanced, even when another message
    makes up for it in the sums.
    """
    message = _messages(since, until).subquery().c
    verdicts = message.accepted + message.refused
    published = or_(verdicts > 0, message.delivered + message.withheld > 0)
    balanced = and_(verdicts == 1, message.considered == message.delivered + message.withheld)
    statement = (
        select(
            message.source,
            message.object_type,
            func.sum(_one(published)),
            func.sum(message.accepted),
            func.sum(message.refused),
            func.sum(message.considered),
            func.sum(message.delivered),
            func.sum(message.withheld),
            func.sum(message.duplicates),
            func.sum(_one(and_(published, ~balanced))),
        )
        .group_by(message.source, message.object_type)
        .order_by(message.source, message.object_type)
    )
    return [
        ReconcileRow(source, object_type, *(int(number) for number in numbers))
        for source, object_type, *numbers in connection.execute(statement)
    ]


def recipients(connection: Connection, since: float | None, until: float | None) -> list[RecipientRow]:
    """Return one row for each agent, source and object type, in that order."""
    # Counted by audience first: the ledger is long, the audiences are few.
    counted = within(
        select(_ledger.audience_id, _ledger.source, _ledger.object_type, _ledger.outcome, func.count().label("rows"))
        .where(_ledger.audience_id.is_not(None))
        .group_by(_ledger.audience_id, _ledger.source, _ledger.object_type, _ledger.outcome),
        since,
        until,
    ).subquery()
    member = tables.audience_member
    by = (member.c.agent, counted.c.source, counted.c.object_type)
    statement = (
        select(
            *by,
            func.sum(case((counted.c.outcome == "delivered", counted.c.rows), else_=0)),
            func.sum(case((counted.c.outcome == "withheld", counted.c.rows), else_=0)),
        )
        .select_from(counted.join(member, member.c.audience_id == counted.c.audience_id))
        .group_by(*by)
        .order_by(*by)
    )
    return [
        RecipientRow(agent, source, object_type, int(delivered), int(withheld))
        for agent, source, object_type, delivered, withheld in connection.execute(statement)
    ]


def _messages(since: float | None, until: float | None) -> Select[tuple[object, ...]]:
    """Select one row of counts for each message and attempt."""
    joined = tables.ledger.outerjoin(tables.audience, tables.audience.c.id == _ledger.audience_id)
    size = func.coalesce(tables.audience.c.size, 0)
    statement = (
        select(
            _ledger.source,
            func.max(_ledger.object_type).label("object_type"),  # a duplicate's row may not know it
            func.sum(_one(_ledger.outcome == "accepted")).label("accepted"),
            func.sum(_one(_ledger.outcome == "refused")).label("refused"),
            func.sum(_one(_ledger.outcome == "duplicate")).label("duplicates"),
            func.sum(_ledger.considered).label("considered"),
            func.sum(case((_ledger.outcome == "delivered", size), else_=0)).label("delivered"),
            func.sum(case((_ledger.outcome == "withheld", size), else_=0)).label("withheld"),
        )
        .select_from(joined)
        .group_by(_ledger.msg_id, _ledger.source, _ledger.attempt)
    )
    return within(statement, since, until)


def _one(condition: object) -> Case[int]:
    return case((condition, 1), else_=0)  # type: ignore[arg-type]  # any condition of SQLAlchemy's
