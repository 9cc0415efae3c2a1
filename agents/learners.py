"""Whose record each learner of an agent is: what the zone is asked, and what follows from its answers.

An answer, and all that follows from it, is one transaction: killed anywhere, the agent has both or neither.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple, Protocol

from lxml import etree

from agents.diff import namespace
from agents.files import FileLedger
from agents.keys import LEARNER
from agents.spool import Spool
from agents.store import Store
from broker.protocol.identifiers import RefId
from broker.protocol.identity import MAX_FORMER_UPNS, MAX_LEARNERS, Claim, Outcome, Place

_KNOWN: Final = (Outcome.FOUND, Outcome.NEW)
_READ_AFTER: Final = "read after"
_PERSON: Final = "PersonalInformation/"


class State(NamedTuple):
    """What is known of one learner.

    Attributes:
        outcome: None while the zone has not answered, or was not asked.
    """

    outcome: Outcome | None
    ref_id: RefId

    @property
    def is_known(self) -> bool:
        """Whether the learner has a RefId to be used."""
        return self.outcome in _KNOWN


class NumberClaim(Protocol):
    """A learner as a system knows it that has numbers and no names."""

    @property
    def upn(self) -> str | None: ...  # noqa: D102
    @property
    def uln(self) -> str | None: ...  # noqa: D102
    @property
    def born(self) -> date | None: ...  # noqa: D102
    @property
    def sex(self) -> str | None: ...  # noqa: D102


class Learners:
    """The learners of one agent. Methods that take *db* work inside the caller's transaction.

    Attributes:
        answers: Grows with each answer after which files are to be read again.
        moved: Grows when a learner that had a RefId gets another: whatever was made before, of any record, is stale.
    """

    def __init__(self, store: Store, spool: Spool) -> None:
        self._store, self._spool = store, spool
        self.answers = 0
        self.moved = 0
        self._read_after = int(store.meta(_READ_AFTER) or 0)

    def state(self, own: RefId) -> State:
        """Return what is known of the learner for whom this agent has made the RefId *own*."""
        rows = self._store.query("SELECT outcome, ref_id FROM learners WHERE key = ?", (own,))
        outcome, ref_id = rows[0] if rows else ("", "")
        return State(Outcome(outcome) if outcome else None, RefId(ref_id or own))

    def counts(self) -> dict[str, int]:
        """Return how many learners have each outcome; those without an answer under ``asked``."""
        rows = self._store.query("SELECT outcome, count(*) FROM learners GROUP BY outcome ORDER BY outcome")
        return {str(outcome) or "asked": int(count) for outcome, count in rows}

    def ask(self, db: sqlite3.Connection, claims: Iterable[Claim], *, new_only: bool = False) -> None:
        """Note learners that the zone is to be asked for, where it has not said, or something of them has changed.

        Args:
            db: The caller's transaction.
            claims: The learners.
            new_only: Leave out those that the zone was asked for before.
        """
        for claim in claims:
            text = _write(claim)
            facts = self._store.keys.digest(text.encode())
            row = db.execute("SELECT outcome, facts FROM learners WHERE key = ?", (claim.key,)).fetchone()
            if row is None:
                self._store.has_learners = True
                db.execute("INSERT INTO learners VALUES (?, '', '', ?, ?, 1)", (claim.key, facts, text))
            elif row[0] not in _KNOWN and row[1] != facts and not new_only:
                db.execute("UPDATE learners SET facts = ?, claim = ?, ask = 1 WHERE key = ?", (facts, text, claim.key))

    def ask_again(self) -> None:
        """Let the zone be asked once more for those that it did not know."""
        if not self._store.has_learners:
            return
        with self._store.transaction() as db:
            db.execute("UPDATE learners SET ask = 1 WHERE outcome = ? AND claim <> ''", (Outcome.NONE,))

    def to_ask(self) -> tuple[Claim, ...]:
        """Return learners to ask for in one message; empty when there are none."""
        if not self._store.has_learners:
            return ()
        rows = self._store.query("SELECT claim FROM learners WHERE ask = 1 LIMIT ?", (MAX_LEARNERS,))
        return tuple(_read(row[0]) for row in rows)

    def pending(self) -> int:
        """Return how many learners wait for an answer of the zone."""
        if not self._store.has_learners:
            return 0
        return int(self._store.query("SELECT count(*) FROM learners WHERE ask = 1")[0][0])

    def located(self, db: sqlite3.Connection, places: Sequence[Place]) -> None:
        """Take the zone's answer to Locate.

        Whoever has a RefId keeps it: an answer that was under way when that was decided comes too late.
        """
        rows = self._rows(db, places)
        fresh = [place for place in places if place.key in rows and rows[place.key].outcome not in _KNOWN]
        told = any(rows[place.key].outcome != place.outcome is not Outcome.WAITING for place in fresh)
        # What was published before the zone was asked has the agent's own RefId.
        old = {place.key: place.ref_id for place in fresh if place.ref_id not in (None, place.key)}
        self._take(db, fresh, old, told)

    def relocated(self, db: sqlite3.Connection, places: Sequence[Place]) -> None:
        """Take what the zone has decided later: the new RefIds, and Deletes of what was published under others."""
        rows = self._rows(db, places)
        before = {place.key: rows[place.key] if place.key in rows else State(None, place.key) for place in places}
        fresh = [place for place in places if _differs(before[place.key], place)]
        old = {before[place.key].ref_id: place.ref_id for place in fresh if before[place.key].ref_id != place.ref_id}
        if any(before[place.key].is_known for place in fresh):
            self.moved += 1
        self._take(db, fresh, old, bool(fresh))

    def ready(self) -> bool:
        """Tell whether sources may be read: all Deletes of what was withdrawn have reached the zone.

        What is published anew may have the same RefId and another place in the order.
        """
        after = self._read_after
        return not (after and self._store.query("SELECT 1 FROM outbox WHERE seq <= ? LIMIT 1", (after,)))

    def _rows(self, db: sqlite3.Connection, places: Sequence[Place]) -> dict[RefId, State]:
        keys = json.dumps([place.key for place in places])
        rows = db.execute(
            "SELECT key, outcome, ref_id FROM learners WHERE key IN (SELECT value FROM json_each(?))", (keys,)
        )
        return {
            RefId(key): State(Outcome(outcome) if outcome else None, RefId(ref_id or key))
            for key, outcome, ref_id in rows
        }

    def _take(
        self, db: sqlite3.Connection, places: Sequence[Place], old: Mapping[RefId, RefId | None], told: bool
    ) -> None:
        self._store.has_learners |= bool(places)
        for place in places:
            db.execute(
                "INSERT INTO learners VALUES (?, ?, ?, x'', '', 0) ON CONFLICT (key) DO UPDATE "
                "SET outcome = excluded.outcome, ref_id = excluded.ref_id, ask = 0, "
                "claim = CASE WHEN excluded.ref_id = '' THEN claim ELSE '' END",
                (place.key, place.outcome, place.ref_id or ""),
            )
        gone = self._spool.withdraw(db, frozenset(old), {ref: new for ref, new in old.items() if new}) if old else 0
        if gone:
            self.moved += 1
            self._read_after = int(db.execute("SELECT max(seq) FROM outbox").fetchone()[0])
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_READ_AFTER, str(self._read_after)))
        if told:
            FileLedger.read_again(db, all_files=bool(gone))
            self.answers += 1


def claim_of(element: etree._Element, own: RefId, *, locate_only: bool) -> Claim:
    """Return what the zone is asked with, from a LearnerPersonal that this agent has made.

    Source:
        SIF UK 1.x, LearnerPersonal: FamilyName and GivenName are the legal names, whatever the name's type.
    """
    here = namespace(element)

    def text(path: str) -> str:
        return " ".join((element.findtext("/".join(here + step for step in path.split("/"))) or "").split())

    former = (" ".join((upn.text or "").split()) for upn in element.iterfind(f"{here}FormerUPNList/{here}UPN"))
    return Claim(
        own,
        text("UPN"),
        tuple(upn for upn in former if upn)[:MAX_FORMER_UPNS],
        text("ULN"),
        text(_PERSON + "Name/FamilyName") or text(_PERSON + "Name/PreferredFamilyName"),
        text(_PERSON + "Name/GivenName") or text(_PERSON + "Name/PreferredGivenName"),
        _day(text(_PERSON + "Demographics/BirthDate")),
        text(_PERSON + "Demographics/Gender"),
        text(_PERSON + "Address/PostCode"),
        locate_only,
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _differs(before: State, place: Place) -> bool:
    return before.outcome != place.outcome or (place.ref_id is not None and before.ref_id != place.ref_id)


def _write(claim: Claim) -> str:
    born = claim.birth_date.isoformat() if claim.birth_date else ""
    values = [claim.key, claim.upn, list(claim.former_upns), claim.uln, claim.family_name, claim.given_name, born,
              claim.gender, claim.postcode, claim.locate_only]  # fmt: skip
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _read(text: str) -> Claim:
    values: list[Any] = json.loads(text)
    key, upn, former, uln, family, given, born, gender, postcode, only = values
    return Claim(RefId(key), upn, tuple(former), uln, family, given, _day(born), gender, postcode, only)


__all__ = ["LEARNER", "Learners", "NumberClaim", "State", "claim_of"]
