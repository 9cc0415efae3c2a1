"""Writes and reads the learner index: learners, establishments, contacts; decides nothing about them."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Dialect, bindparam, delete, select, tuple_

from broker.storage import tables
from broker.storage.bulk import Insert
from broker.storage.encoding import decode_json, encode_json
from broker.storage.ledger import chunks
from broker.storage.records import Batch, CareRow, ContactLink, EnrolmentRow, FetchRow, HoldingRow, LearnerRow

_learner: Final = tables.learner.c
_link: Final = tables.contact_link.c
_LEARNERS: Final = select(tables.learner).where(_learner.ref_id.in_(bindparam("ids", expanding=True)))
_LINKS: Final = select(_link.contact_ref, _link.learner_ref).where(
    _link.contact_ref.in_(bindparam("ids", expanding=True))
)


class LearnerWriter:
    """Brings the learner index to what a batch says."""

    def __init__(self, dialect: Dialect) -> None:
        columns = [column.name for column in tables.learner.columns if not column.primary_key]
        self._learner = Insert(dialect, tables.learner, overwrite=columns)
        self._establishment = Insert(dialect, tables.establishment, overwrite=["laestab"])
        self._link = Insert(dialect, tables.contact_link)

    def write(self, connection: Connection, batch: Batch) -> None:
        """Remove what *batch* removes, then write its learners, establishments and contact links.

        In the order of keys, so that two workers with rows in common do not wait for each other.
        """
        _forget(connection, batch.forgotten)
        _unlink(connection, batch.unlinked)
        last = {row.ref_id: row for row in batch.learners}
        self._learner(connection, [_columns(last[ref_id]) for ref_id in sorted(last)])
        self._establishment(connection, sorted({row.school_ref: row.laestab for row in batch.establishments}.items()))
        self._link(connection, sorted({(link.contact_ref, link.learner_ref) for link in batch.contacts}))


def learners(connection: Connection, ref_ids: Sequence[str]) -> dict[str, LearnerRow]:
    """Return the learners of *ref_ids* that are known, by RefId."""
    found: dict[str, LearnerRow] = {}
    for some in chunks(ref_ids):
        for row in connection.execute(_LEARNERS, {"ids": some}):
            found[row.ref_id] = LearnerRow(
                ref_id=row.ref_id,
                upn_key=row.upn_key,
                in_care=row.in_care,
                care_authority=row.care_authority,
                home_authority=row.home_authority,
                shielded=row.shielded,
                enrolments=tuple(EnrolmentRow(*stay) for stay in decode_json(row.enrolments)),
                sources=tuple((s[0], s[1]) for s in decode_json(row.sources)),
                local_id=row.local_id,
                adopted=row.adopted,
                care=tuple(CareRow(*period) for period in decode_json(row.care)),
                destinations=tuple(decode_json(row.destinations)),
                holdings=tuple(
                    HoldingRow(object_type, ref, tuple(sources), tuple((holder[0], holder[1]) for holder in holders))
                    for object_type, ref, sources, holders in decode_json(row.holdings)
                ),
                fetches=tuple(
                    FetchRow(kind, source, tuple(recipients), request, dirty, attempts, due_at, tuple(seen))
                    for kind, source, recipients, request, dirty, attempts, due_at, seen in decode_json(row.fetches)
                ),
            )
    return found


def entering(connection: Connection, after: str, limit: int) -> list[LearnerRow]:
    """Return up to *limit* learners of whom something is asked for, or to be, in order of RefId after *after*."""
    query = select(_learner.ref_id).where(_learner.fetches != "[]", _learner.ref_id > after)
    refs = connection.execute(query.order_by(_learner.ref_id).limit(limit)).scalars().all()
    found = learners(connection, refs)
    return [found[ref] for ref in refs]


def contact_learners(connection: Connection, contact_refs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each known contact of *contact_refs*, its learners in order of RefId."""
    found: dict[str, list[str]] = {}
    for some in chunks(contact_refs):
        for contact_ref, learner_ref in connection.execute(_LINKS, {"ids": some}):
            found.setdefault(contact_ref, []).append(learner_ref)
    return {contact_ref: tuple(sorted(refs)) for contact_ref, refs in found.items()}


def establishments(connection: Connection) -> dict[str, str]:
    """Return all known establishments by their SchoolInfo's RefId."""
    known = select(tables.establishment.c.school_ref, tables.establishment.c.laestab)
    return {row.school_ref: row.laestab for row in connection.execute(known)}


def _columns(row: LearnerRow) -> tuple[object, ...]:
    return (
        row.ref_id,
        row.upn_key,
        row.in_care,
        row.care_authority,
        row.home_authority,
        row.shielded,
        encode_json(row.enrolments),
        encode_json(row.sources),
        row.local_id,
        row.adopted,
        encode_json(row.care),
        encode_json(row.destinations),
        encode_json(row.holdings),
        encode_json(row.fetches),
    )


def _forget(connection: Connection, ref_ids: Sequence[str]) -> None:
    for some in chunks(sorted(set(ref_ids))):
        connection.execute(delete(tables.contact_link).where(_link.learner_ref.in_(some)))
        connection.execute(delete(tables.learner).where(_learner.ref_id.in_(some)))


def _unlink(connection: Connection, links: Sequence[ContactLink]) -> None:
    for some in chunks(sorted({(link.contact_ref, link.learner_ref) for link in links})):
        connection.execute(delete(tables.contact_link).where(tuple_(_link.contact_ref, _link.learner_ref).in_(some)))
