"""Writes and reads transfer cases: sealed, with what they are looked up by beside; decides nothing about them."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Dialect, or_, select

from broker.protocol.errors import ZoneError
from broker.storage import tables
from broker.storage.bulk import Insert
from broker.storage.ledger import chunks
from broker.storage.vault import Sealed, Vault
from broker.transfer_cases import Status, TransferCase
from broker.transfer_codec import decode_case, encode_case

_case: Final = tables.transfer_case.c
_BODY: Final = (_case.ref_id, _case.key_id, _case.sealed)


class NoSuchTransfer(ZoneError):
    """The zone has no such transfer, or several whose RefId begins so."""


class Transfers:
    """The transfer cases of one zone."""

    def __init__(self, dialect: Dialect, vault: Vault) -> None:
        self._vault = vault
        columns = [column.name for column in tables.transfer_case.columns if not column.primary_key]
        self._insert = Insert(dialect, tables.transfer_case, overwrite=columns)

    def write(self, connection: Connection, cases: Sequence[TransferCase]) -> None:
        """Write *cases*, each in the place of what was known of it; of several with one RefId the last holds.

        In the order of keys, so that two workers with rows in common do not wait for each other.
        """
        last = {case.ref_id: case for case in cases}
        self._insert(connection, [self._columns(last[ref_id]) for ref_id in sorted(last)])

    def of_learners(self, connection: Connection, learner_refs: Sequence[str]) -> dict[str, tuple[TransferCase, ...]]:
        """Return all cases of each of these learners that has any, the first opened first."""
        found: dict[str, tuple[TransferCase, ...]] = {}
        for some in chunks(learner_refs):
            query = select(*_BODY).where(_case.learner.in_(some)).order_by(_case.opened, _case.ref_id)
            for row in connection.execute(query):
                case = self._open(row)
                found[case.learner] = (*found.get(case.learner, ()), case)
        return found

    def find(self, connection: Connection, ref_prefix: str) -> TransferCase:
        """Return the case with this RefId, or the only one whose RefId begins so.

        Raises:
            NoSuchTransfer: None has, or several have.
        """
        wanted = ref_prefix.strip().upper()
        query = select(*_BODY).where(_case.ref_id.startswith(wanted, autoescape=True)).limit(2)
        rows = connection.execute(query).all() if wanted else []
        if len(rows) == 1:
            return self._open(rows[0])
        several = "several begin so: give more of its RefId" if rows else "list the transfers to see their RefIds"
        raise NoSuchTransfer(f"the zone has no transfer {ref_prefix[:32]!r}: {several}")

    def listed(
        self,
        connection: Connection,
        *,
        followed: bool | None,
        statuses: Collection[Status],
        school: str,
        learner: str,
        late_on: date | None,
        limit: int,
    ) -> list[TransferCase]:
        """Return up to *limit* cases: the last to have changed first, but what is late by its due date."""
        query = select(*_BODY)
        if followed is not None:
            query = query.where(_case.is_followed == followed)
        if statuses:
            query = query.where(_case.status.in_([str(status) for status in statuses]))
        if school:
            query = query.where(or_(_case.from_school == school, _case.to_school == school))
        if learner:
            query = query.where(_case.learner == learner)
        if late_on is None:
            query = query.order_by(_case.changed.desc(), _case.ref_id)
        else:
            query = query.where(_case.due < late_on).order_by(_case.due, _case.ref_id)
        return [self._open(row) for row in connection.execute(query.limit(limit))]

    def _columns(self, case: TransferCase) -> tuple[object, ...]:
        sealed = self._vault.seal(encode_case(case), _place(case.ref_id))
        return (
            case.ref_id,
            case.learner,
            str(case.status),
            case.is_followed,
            case.old_number or "",
            case.new_number or "",
            case.history[0].at.timestamp(),
            case.history[-1].at.timestamp(),
            min((deadline.due for deadline in case.unmet()), default=None) if case.is_followed else None,
            case.looked_after,
            sealed.key_id,
            sealed.data,
        )

    def _open(self, row: Any) -> TransferCase:
        return decode_case(self._vault.open(Sealed(row.key_id, row.sealed), _place(row.ref_id)))


def followed_learners(connection: Connection, after: str, limit: int) -> list[str]:
    """Return up to *limit* RefIds of learners with a case that is followed, in order, those after *after*."""
    query = select(_case.learner).distinct().where(_case.is_followed.is_(True), _case.learner > after)
    return list(connection.execute(query.order_by(_case.learner).limit(limit)).scalars())


def _place(ref_id: str) -> str:
    return f"transfer/{ref_id}"
