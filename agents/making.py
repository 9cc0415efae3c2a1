"""What the records of a source come to: objects, learners to ask for, problems; putting these anywhere is the intake's.

A record that is the same as when it was last read is not mapped again: see remembered. One that refers to a learner
whose RefId the zone has not said yet is left out until it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from agents.connectors.contract import Marker, SourceFields, SourceProblem
from agents.files import Problem, Reading, settings_mark
from agents.learners import LEARNER, Learners, NumberClaim, State, claim_of
from agents.parts import LocatingSource, Parts, SourcePart
from agents.remembered import Old, Remembered
from agents.store import Store
from agents.units import Digest, Piece, Unit
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim, Outcome
from mappings import GoneObject, InwardMapping, MappedObject, Record, RefIds, RowProblem
from mappings.problems import nearest

_NO_SUCH: Final = "the zone knows no such learner: see that its UPN is right, here and at the school; it is asked again"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one record comes to.

    Attributes:
        position: Its place in the file.
        digest: By which it is remembered; empty when it is not to be.
        objects: What it has made, or would make.
    """

    position: str
    digest: bytes
    objects: tuple[MappedObject, ...] | tuple[Old, ...]


@dataclass(slots=True)
class Made:
    """What some records come to, until it is put into the database.

    Attributes:
        objects: In the order of the records.
        left_out: Objects of records about learners without a RefId.
        claims: Learners of whom the zone is to be asked, if it was not.
        gone: Objects that are no longer there by what the records say.
        mapped: How many of the records were mapped.
    """

    objects: list[Entry] = field(default_factory=list)
    left_out: list[MappedObject] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    gone: list[GoneObject] = field(default_factory=list)
    mapped: int = 0


class _Referring:
    """Gives RefIds, and notes to which learners one record refers and what was known of them then."""

    def __init__(self, store: Store, learners: Learners) -> None:
        self._store, self._learners = store, learners
        self.states: dict[RefId, State] = {}

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        """Return the RefId of an object; of a learner that is not known yet, the one that this agent has made."""
        own = self._store.keys.own(object_type, key)
        if object_type != LEARNER:
            return own
        if own not in self.states:
            self.states[own] = self._learners.state(own)
        return self.states[own].ref_id


class _ByNumber:
    """Tells a connector that has numbers alone who its learners are, and notes whom to ask for."""

    def __init__(self, store: Store, learners: Learners) -> None:
        self._store, self._learners = store, learners
        self.states: dict[str, State] = {}
        self.claims: list[Claim] = []

    def start(self) -> None:
        """Forget the learners of the file before."""
        self.states.clear()
        self.claims.clear()

    def __call__(self, claim: NumberClaim) -> str | None:
        """Return a learner's RefId, or what stands in for it while there is none; None when nothing names it."""
        number = ("UPN", claim.upn) if claim.upn else ("ULN", claim.uln) if claim.uln else None
        if number is None:
            return None
        own = self._store.keys.own(LEARNER, (number[0], number[1] or ""))
        state = self._learners.state(own)
        if not state.is_known:
            self.states[own] = state
            upn, uln = claim.upn or "", claim.uln or ""
            self.claims.append(
                Claim(own, upn, uln=uln, birth_date=claim.born, gender=claim.sex or "", locate_only=True)
            )
        return state.ref_id


class Maker:
    """Makes objects of the records of one agent's sources; :meth:`start`, then :meth:`make` for each batch."""

    def __init__(self, parts: Parts, store: Store, learners: Learners) -> None:
        self._mappings_mark, self._store, self._learners = parts.mappings_mark, store, learners
        self._remembered = Remembered(store)
        self._answers = learners.answers
        # Learners that connectors know by numbers have keys of their own: whoever refers to others need not wait.
        self._waits = any(source.settings.locates and _makes_learners(source) for source in parts.sources)
        self._by_number = _ByNumber(store, learners)
        for source in parts.sources:
            if source.settings.locates and isinstance(source.connector, LocatingSource):
                source.connector.locate_with(self._by_number)
        self._remembered.keep_only(source.name for source in parts.sources)

    def start(self) -> None:
        """Begin with another file or feed."""
        self._answers = self._learners.answers
        self._by_number.start()

    def digest(self, source: SourcePart) -> Digest:
        """Return what tells the records of a source apart; it gives none where each is to be mapped in any case."""
        if source.settings.locates and isinstance(source.connector, LocatingSource):
            return lambda _record, _mappings: b""  # the connector itself asks for learners
        mark = f"{settings_mark(source.settings, self._mappings_mark)} {self._waits}"
        remembered = self._remembered

        def digest(record: Record, mappings: tuple[InwardMapping, ...]) -> bytes:
            if mappings is source.mappings:
                return remembered.digest(record, mark)
            return remembered.digest(record, f"{mark} {[mapping.name for mapping in mappings]}")

        return digest

    def make(self, source: SourcePart, batch: list[Piece], reading: Reading, made: Made) -> None:
        """Add to what was made what a batch comes to; records that are as they were are not mapped.

        Args:
            source: What is read.
            batch: Its next pieces; a Marker among them comes to nothing.
            reading: Takes the counts and the problems.
            made: Takes all else.
        """
        digests = [piece.digest for piece in batch if isinstance(piece, Unit) and piece.digest]
        known = self._remembered.look_up(source.name, digests) if digests else {}
        for piece in batch:
            old = known.get(piece.digest) if isinstance(piece, Unit) else None
            if old is not None and isinstance(piece, Unit):
                made.objects.append(Entry(piece.record.position, b"", old))
            elif isinstance(piece, Unit):
                self._translate(source, piece, reading, made)
            elif not isinstance(piece, Marker):
                _report(source, piece, reading)
        made.claims += self._by_number.claims
        self._by_number.claims.clear()

    def _translate(self, source: SourcePart, item: Unit, reading: Reading, made: Made) -> None:
        made.mapped += 1
        record, refused, problems = item.record, False, reading.problems
        objects: list[MappedObject] = []
        gone: list[GoneObject] = []
        referring = _Referring(self._store, self._learners) if self._waits else None
        ref_ids: RefIds = self._store.keys if referring is None else referring
        for mapping in item.mappings:
            translation = mapping.translate(record, ref_ids)
            refused |= any(problem.severity == "refuse" for problem in translation.problems)
            for found in translation.problems:
                reading.report(_problem(found))
            objects += translation.objects
            gone += translation.gone
        made.gone += gone
        reading.failed_records += refused
        if gone and not objects:
            return
        states = self._states(source, objects, referring, made)
        # Whose learner has become known meanwhile waits, too: it is to go after the learner, who is in another file.
        overtakes = bool(states) and not source.settings.locates and self._learners.answers != self._answers
        if all(state.is_known for state in states) and not overtakes:
            if objects:
                # What is wrong with a record is reported each time that it is read, and what is gone is said each time.
                digest = item.digest if reading.problems == problems and not gone else b""
                made.objects.append(Entry(record.position, digest, tuple(objects)))
            return
        made.left_out += objects
        reading.waiting += 1
        if any(state.outcome is Outcome.NONE for state in states):
            reading.report(Problem(record.position, "warn", "no-such-learner", "", _NO_SUCH))

    def _states(
        self, source: SourcePart, objects: list[MappedObject], referring: _Referring | None, made: Made
    ) -> list[State]:
        """Return what is known of the learners that a record refers to; note of whom the zone is to be asked."""
        states: list[State] = []
        if source.settings.locates:
            numbered = (self._by_number.states.get(one.learner_ref_id or "") for one in objects)
            states += (state for state in numbered if state is not None)
        if referring is None:
            return states
        for one in objects:
            own = self._store.keys.own(LEARNER, one.key) if one.object_type == LEARNER else None
            if own is not None and not referring.states[own].is_known:
                made.claims.append(claim_of(one.element, own, locate_only=source.settings.locate_only))
        return [*states, *referring.states.values()]


def _makes_learners(source: SourcePart) -> bool:
    return any(mapping.object_type == LEARNER for mapping in source.mappings)


def _report(source: SourcePart, item: SourceFields | SourceProblem, reading: Reading) -> None:
    """Report what a connector says of its source in the place of a record."""
    if isinstance(item, SourceFields):
        for problem in _nearly_read(source, item.names):
            reading.report(problem)
        return
    reading.incomplete |= item.incomplete
    reading.failed_records += item.severity == "refuse"
    reading.report(Problem(item.position, item.severity, item.rule, "", item.message))


def _problem(problem: RowProblem) -> Problem:
    place = f"{problem.object_type} {problem.target}".strip()
    source = f" (field {problem.source})" if problem.source else ""
    return Problem(problem.position, problem.severity, problem.rule, place, f"{problem.message}{source}")


def _nearly_read(source: SourcePart, names: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for each column that no mapping reads though its heading is nearly one that they do."""
    wanted = {name.removeprefix("/") for mapping in source.mappings for name in mapping.sources}
    for name in sorted(names - wanted):
        near = nearest(name, wanted - names)
        if near is not None:
            message = f"no mapping reads the column {name[:60]!r}: did you mean {near!r}?"
            yield Problem("row 1", "warn", "heading", "", message)


__all__ = ["Entry", "Made", "Maker"]
