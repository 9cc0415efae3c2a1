"""Writes and reads whose record is whose: what learners are found by hashed, what was said of them sealed.

What follows from it is decided elsewhere. Hashes are keyed, each kind of search key with a domain of its own, so that a
UPN and a former UPN of the same digits have nothing in common here.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Row, delete, func, or_, select, tuple_, update

from broker.identity import How, SearchKey, is_pair, kept_keys, search_keys, upns_of
from broker.identity_links import MOST_SHARED, Decided, Known, Link, LinkState, Option, is_settled
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim
from broker.storage import tables
from broker.storage.bulk import Insert
from broker.storage.encoding import decode_json, encode_json, sentence, token
from broker.storage.errors import NoSuchEntry
from broker.storage.ledger import chunks
from broker.storage.vault import Sealed, Vault

_link: Final = tables.link.c
_key: Final = tables.link_key.c
_learner: Final = tables.learner.c
_pair: Final = tables.rejected_pair.c
_turn: Final = tables.identity_turn.c


class Identities:
    """Whose record is whose, in one zone."""

    def __init__(self, dialect: Dialect, vault: Vault) -> None:
        self._vault = vault
        overwritten = [column.name for column in tables.link.columns if not column.primary_key]
        self._links = Insert(dialect, tables.link, overwrite=overwritten)
        self._keys = Insert(dialect, tables.link_key)
        self._pairs = Insert(dialect, tables.rejected_pair)
        self._sealed = Insert(dialect, tables.sealed_learner)

    # -- what deciding needs ---------------------------------------------------------------------------------------

    def known(self, connection: Connection, agent: str, keys: Sequence[str], claims: Sequence[Claim]) -> Known:
        """Return what is known that matters to *keys* of *agent*, and to *claims*, which are of some of these."""
        own = self._where(connection, _link.agent == agent, _link.key, keys)
        links = {link.key: link for link in own}
        open_claims = [claim for claim in claims if claim.key not in links or not is_settled(links[claim.key], claim)]
        described = self._described(connection, open_claims)
        numbered = self._numbered(connection, open_claims)
        hits = {ref for refs in numbered.values() for ref in refs}
        options = {option.ref_id for link in own for option in link.options}
        followers = by_learner(self._where(connection, None, _link.learner, keys))
        descriptions = by_learner(self._where(connection, None, _link.learner, sorted(hits | options)))
        refs = {link.learner for found in described.values() for link in found} | hits | options | {*keys}
        refs |= {link.learner for link in own if link.learner}
        return Known(
            links,
            followers,
            described,
            numbered,
            descriptions,
            _superseded(connection, sorted((hits | options) - descriptions.keys())),
            _spoken_for(connection, agent, sorted(refs)),
            _rejected(connection, keys),
            _in(connection, tables.sealed_learner.c.learner, refs),
        )

    def _described(self, connection: Connection, claims: Sequence[Claim]) -> dict[SearchKey, list[Link]]:
        hashes = {self._hash(key): key for claim in claims for key in search_keys(claim)}
        pairs: list[tuple[bytes, tuple[str, str]]] = []
        for some in chunks(hashes):
            rows = connection.execute(select(_key.hash, _key.key, _key.agent).where(_key.hash.in_(some)))
            pairs += ((bytes(row.hash), (row.key, row.agent)) for row in rows)
        often = Counter(digest for digest, _ in pairs)
        common = {digest for digest, number in often.items() if number > MOST_SHARED and is_pair(hashes[digest])}
        pairs = [(digest, name) for digest, name in pairs if digest not in common]
        links: dict[tuple[str, str], Link] = {}
        for several in chunks(sorted({name for _, name in pairs})):
            statement = select(tables.link).where(tuple_(_link.key, _link.agent).in_(several))
            links |= {(row.key, row.agent): self._read(row) for row in connection.execute(statement)}
        found: dict[SearchKey, list[Link]] = {}
        for digest, name in pairs:
            if name in links:
                found.setdefault(hashes[digest], []).append(links[name])
        return found

    def _numbered(self, connection: Connection, claims: Sequence[Claim]) -> dict[str, list[str]]:
        upns = {self._vault.keyed_hash(upn): upn for claim in claims for upn in upns_of(claim)}
        found: dict[str, list[str]] = defaultdict(list)
        for some in chunks(upns):
            statement = select(_learner.upn_key, _learner.ref_id).where(_learner.upn_key.in_(some))
            for row in connection.execute(statement.order_by(_learner.ref_id)):
                found[upns[bytes(row.upn_key)]].append(row.ref_id)
        return dict(found)

    def _where(self, connection: Connection, condition: Any, column: Any, values: Collection[str]) -> list[Link]:
        found: list[Link] = []
        for some in chunks(sorted(set(values))):
            statement = select(tables.link).where(column.in_(some))
            if condition is not None:
                statement = statement.where(condition)
            found += map(self._read, connection.execute(statement))
        return found

    # -- what people look at ---------------------------------------------------------------------------------------

    def find(self, connection: Connection, link_id: str) -> Link:
        """Return the link with this id, or the only one whose id begins so.

        Raises:
            NoSuchEntry: None has, or several have.
        """
        statement = select(tables.link).where(_link.id.startswith(token(link_id), autoescape=True)).limit(2)
        rows = connection.execute(statement).all() if link_id else []
        if len(rows) == 1:
            return self._read(rows[0])
        several = "several begin so: give more of the id" if rows else "see the ids with 'match list' or 'match links'"
        raise NoSuchEntry(f"there is no match or link {token(link_id)!r}: {several}")

    def waiting(self, connection: Connection, agent: str, limit: int) -> list[Link]:
        """Return up to *limit* links about which people are asked, oldest first; of any agent when it is empty."""
        statement = select(tables.link).where(_link.open)
        if agent:
            statement = statement.where(_link.agent == agent)
        return [self._read(row) for row in connection.execute(statement.order_by(_link.at, _link.id).limit(limit))]

    def links(self, connection: Connection, agent: str, learner: str, limit: int) -> list[Link]:
        """Return up to *limit* links, newest first; of any agent, and of any learner, when these are empty."""
        statement = select(tables.link)
        if agent:
            statement = statement.where(_link.agent == agent)
        if learner:
            statement = statement.where(or_(_link.learner == learner, _link.key == learner))
        rows = connection.execute(statement.order_by(_link.at.desc(), _link.id).limit(limit))
        return [self._read(row) for row in rows]

    def of_learner(self, connection: Connection, learners: Sequence[str]) -> dict[str, list[Link]]:
        """Return all links by the RefId of *learners* that they stand for."""
        return by_learner(self._where(connection, None, _link.learner, learners))

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, connection: Connection, decided: Decided) -> None:
        """Write links, each in the place of what was known of it, and rejected pairs."""
        last = {(link.key, link.agent): link for link in decided.links}
        _unkey(connection, last)
        gone = [name for name, link in last.items() if link.state is LinkState.NONE]
        for some in chunks(gone):
            connection.execute(delete(tables.link).where(tuple_(_link.key, _link.agent).in_(some)))
        kept = [link for _, link in sorted(last.items()) if link.state is not LinkState.NONE]
        self._links(connection, list(map(self._columns, kept)))
        hashes = [
            (self._hash(key), link.key, link.agent)
            for link in kept
            if link.is_described and link.claim is not None
            for key in kept_keys(link.claim)
        ]
        self._keys(connection, hashes)
        self._pairs(connection, sorted(set(decided.rejected)))

    def seal(self, connection: Connection, ref_id: str) -> None:
        """Remember that a learner is never linked; what it could be found by goes, and what was said of it."""
        self._sealed(connection, [(ref_id,)])
        connection.execute(update(tables.learner).where(_learner.ref_id == ref_id).values(upn_key=None))
        own = or_(_link.learner == ref_id, (_link.learner == "") & (_link.key == ref_id))
        names = [(row.key, row.agent) for row in connection.execute(select(_link.key, _link.agent).where(own))]
        _unkey(connection, names)
        forgotten = {"sealed": None, "key_id": "", "options": "[]", "open": False}
        connection.execute(update(tables.link).where(own).values(forgotten))
        for row in connection.execute(select(tables.link).where(_link.open)).all():
            options = [option for option in decode_json(row.options) if option[0] != ref_id]
            if len(options) < len(decode_json(row.options)):
                here = (_link.key == row.key) & (_link.agent == row.agent)
                still = bool(options) or row.state == LinkState.WAITING
                values = {"options": encode_json(options), "open": still}
                connection.execute(update(tables.link).where(here).values(values))

    def _columns(self, link: Link) -> tuple[object, ...]:
        place = _place(link.key, link.agent)
        sealed = self._vault.seal(_to_json(link.claim), place) if link.claim is not None else Sealed("", b"")
        return (
            link.key,
            link.agent,
            link.id,
            link.learner,
            str(link.state),
            link.how or "",
            link.at,
            sentence(link.by),
            link.locate_only,
            bool(link.options) or link.state is LinkState.WAITING,
            encode_json([list(option) for option in link.options]),
            sealed.key_id,
            sealed.data if link.claim is not None else None,
        )

    def _read(self, row: Row[Any]) -> Link:
        claim = None
        if row.sealed is not None:
            body = self._vault.open(Sealed(row.key_id, bytes(row.sealed)), _place(row.key, row.agent))
            claim = _of_json(row.key, row.locate_only, body)
        return Link(
            row.agent,
            row.key,
            row.learner,
            LinkState(row.state),
            How(row.how) if row.how else None,
            row.at,
            row.decided_by,
            bool(row.locate_only),
            tuple(Option(ref, How(how), score) for ref, how, score in decode_json(row.options)),
            claim,
        )

    def _hash(self, key: SearchKey) -> bytes:
        return self._vault.keyed_hash(f"identity/{key[0]}\n{key[1]}")


def take_turn(connection: Connection) -> None:
    """Return once nobody else decides whose record is whose; nobody begins to until this transaction ends."""
    connection.execute(update(tables.identity_turn).values(taken=_turn.taken + 1))


def counts(connection: Connection) -> dict[str, int]:
    """Return how many links are in each state that any is in."""
    statement = select(_link.state, func.count().label("number")).group_by(_link.state)
    return {row.state: row.number for row in connection.execute(statement)}


def sealed_learners(connection: Connection, ref_ids: Iterable[str]) -> frozenset[str]:
    """Return those of *ref_ids* that are never linked."""
    return _in(connection, tables.sealed_learner.c.learner, ref_ids)


def by_learner(links: Iterable[Link]) -> dict[str, list[Link]]:
    """Return *links* by the RefId that they stand for."""
    found: dict[str, list[Link]] = {}
    for link in links:
        found.setdefault(link.learner, []).append(link)
    return found


def _superseded(connection: Connection, refs: Sequence[str]) -> dict[str, str]:
    """Return those of *refs*, which nobody's key stands for, that were a learner's once, with the one in its place."""
    found: dict[str, str] = {}
    for some in chunks(refs):
        statement = select(_link.key, _link.learner).where(
            _link.key.in_(some), _link.learner != _link.key, _link.learner != ""
        )
        found |= {row.key: row.learner for row in connection.execute(statement)}
    return found


def _spoken_for(connection: Connection, agent: str, refs: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for some in chunks(refs):
        statement = select(_link.learner, _link.key).where(_link.agent == agent, _link.learner.in_(some))
        for row in connection.execute(statement):
            found.setdefault(row.learner, set()).add(row.key)
    return found


def _rejected(connection: Connection, keys: Sequence[str]) -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for some in chunks(keys):
        for column in (_pair.one, _pair.other):
            found |= {
                (row.one, row.other)
                for row in connection.execute(select(_pair.one, _pair.other).where(column.in_(some)))
            }
    return frozenset(found)


def _in(connection: Connection, column: Any, values: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for some in chunks(sorted(set(values))):
        found |= set(connection.execute(select(column).where(column.in_(some))).scalars())
    return frozenset(found)


def _unkey(connection: Connection, names: Iterable[tuple[str, str]]) -> None:
    for some in chunks(sorted(names)):
        connection.execute(delete(tables.link_key).where(tuple_(_key.key, _key.agent).in_(some)))


def _place(key: str, agent: str) -> str:
    return f"link/{agent}/{key}"


def _to_json(claim: Claim) -> bytes:
    born = claim.birth_date.isoformat() if claim.birth_date else ""
    said = [claim.upn, claim.former_upns, claim.uln, claim.family_name, claim.given_name, born, claim.gender]
    return json.dumps([*said, claim.postcode]).encode()


def _of_json(key: str, locate_only: bool, body: bytes) -> Claim:
    upn, former, uln, family, given, born, gender, postcode = json.loads(body)
    day = date.fromisoformat(born) if born else None
    return Claim(RefId(key), upn, tuple(former), uln, family, given, day, gender, postcode, locate_only)


__all__ = ["Identities", "by_learner", "counts", "sealed_learners", "take_turn"]
