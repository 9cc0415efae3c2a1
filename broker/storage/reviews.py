"""Writes and reads which learners are to be looked at again, and when; what is seen then is decided elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Dialect, bindparam, case, delete, literal, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from broker.storage import tables
from broker.storage.records import Review

_review: Final = tables.review.c
_ONE: Final = 1
_DONE: Final = delete(tables.review).where(_review.ref_id == bindparam("ref"), _review.due_at <= bindparam("until"))


class ReviewWriter:
    """Writes when learners are to be looked at; of two times for one the earlier holds."""

    def __init__(self, dialect: Dialect) -> None:
        self._insert: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert

    def write(self, connection: Connection, done: Mapping[str, float], due: Mapping[str, float]) -> None:
        """Take out those looked at as they were due until a time, then put in those due (seconds since 1970, UTC)."""
        if done:
            connection.execute(_DONE, [{"ref": ref, "until": until} for ref, until in sorted(done.items())])
        if due:
            rows = [{"ref_id": ref, "due_at": at, "claimed_until": 0.0} for ref, at in sorted(due.items())]
            connection.execute(self._earliest(self._insert(tables.review)), rows)

    def sweep(self, connection: Connection, mark: str, due_at: float) -> bool:
        """Have every learner looked at when *mark* is not the one of last time; the first mark is only kept."""
        rows = connection.execute(select(tables.sweep.c.mark).with_for_update()).scalars().all()
        if not rows:
            first = self._insert(tables.sweep).values(id=_ONE, mark=mark).on_conflict_do_nothing()
            connection.execute(first)
            return False
        if rows[0] == mark:
            return False
        connection.execute(update(tables.sweep).values(mark=mark))
        everyone = select(tables.learner.c.ref_id, literal(due_at), literal(0.0)).where(true())
        statement = self._insert(tables.review).from_select(["ref_id", "due_at", "claimed_until"], everyone)
        # a look that is claimed, and perhaps done by the old settings, must not be taken for this one
        anew = {"due_at": statement.excluded.due_at, "claimed_until": statement.excluded.claimed_until}
        connection.execute(statement.on_conflict_do_update(index_elements=["ref_id"], set_=anew))
        return True

    def _earliest(self, statement: Any) -> Any:
        kept = case((_review.due_at < statement.excluded.due_at, _review.due_at), else_=statement.excluded.due_at)
        return statement.on_conflict_do_update(index_elements=["ref_id"], set_={"due_at": kept})


def due(connection: Connection, now: float, limit: int) -> list[Review]:
    """Return up to *limit* learners that are to be looked at and that nobody has claimed, the longest due first."""
    wanted = select(_review.ref_id, _review.due_at).where(_review.due_at <= now, _review.claimed_until <= now)
    return [Review(*row) for row in connection.execute(wanted.order_by(_review.due_at).limit(limit))]


def claim(connection: Connection, reviews: Sequence[Review], until: float) -> None:
    """Keep *reviews* from being handed out again before *until* (seconds since 1970, UTC)."""
    statement = update(tables.review).where(_review.ref_id == bindparam("ref")).values(claimed_until=until)
    connection.execute(statement, [{"ref": review.ref_id} for review in sorted(reviews)])


def waiting(connection: Connection, limit: int) -> list[Review]:
    """Return up to *limit* learners that are to be looked at, now or later, in the order of time."""
    everyone = select(_review.ref_id, _review.due_at).order_by(_review.due_at).limit(limit)
    return [Review(*row) for row in connection.execute(everyone)]
