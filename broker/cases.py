"""A worker's share of transfers: it hears of moves, keeps each learner's cases, and publishes them in the zone's name.

What becomes of a case is decided in :mod:`broker.transfers`, what tells of one in :mod:`broker.moves`. All about one
learner comes through one intake queue, what people say of a case included.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog

from broker.entering import review
from broker.holdings import TRANSFER, ObjectKey
from broker.learners import Learner, Observed
from broker.moves import destinations_of, progress, shield_of, take, told_by_enrolment, told_of_care
from broker.patience import patiently
from broker.protocol.envelope import Action, EventObject
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId, Establishment, RefId
from broker.scopes import Scopes, Surroundings
from broker.storage import Store
from broker.transfer_cases import (
    Cancelled,
    ClockMoved,
    CtfLoaded,
    Event,
    Rejected,
    Shield,
    TransferCase,
)
from broker.transfer_documents import told_by, transfer_object

log = structlog.get_logger(__name__)

_TELLING: Final = frozenset({"LearnerSchoolEnrolment", "LearnerLookedAfter", TRANSFER})
"""Objects that may tell something of a move."""
_AUTHORITY_LENGTH: Final = 3
_ROUNDS: Final = 4
"""What the zone tells itself of how far a record is may lead to more, but not for ever."""


def tells(object_type: str) -> bool:
    """Tell whether an object of this kind may tell something of a move."""
    return object_type in _TELLING


class Cases:
    """The cases of the learners in hand: as they stand after what a worker decided and has not yet stored."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store, self._now = store, now
        self._known: dict[str, tuple[TransferCase, ...]] = {}

    def load(self, learners: Iterable[str]) -> None:
        """Fetch the cases of *learners*."""
        missing = [ref for ref in dict.fromkeys(learners) if ref and ref not in self._known]
        if missing:
            self._known |= dict.fromkeys(missing, ()) | patiently(lambda: self._store.transfers_of(missing))

    def forget(self) -> None:
        """Forget all: what was decided is stored, or nothing of it counts."""
        self._known.clear()

    def objects(self, ref_id: str, schools: Mapping[str, str]) -> list[EventObject]:
        """Return the learner's cases as objects that the zone publishes."""
        self.load([ref_id])
        cases = self._known.get(ref_id, ())
        return [_object(case, schools, Action.ADD) for case in cases if case.shield is Shield.NONE]

    def heard(
        self,
        ref_id: str,
        events: Sequence[EventObject],
        before: Learner | None,
        sender: AgentId,
        seed: str,
        scopes: Scopes,
        at: Surroundings,
    ) -> None:
        """Take up what events about one learner tell of moves, and carry out what follows.

        Args:
            before: The learner as known before the events.
            seed: Makes ids the same when the same is decided again.
        """
        after = at.index.learners.get(ref_id)
        if after is None or not at.zone.settings.transfers.enabled:
            return
        changed: dict[RefId, TransferCase] = {}
        now = self._at()
        for number, event in enumerate(events):
            about: RefId | None = None
            if event.object_type == TRANSFER:
                about, told = self._told(after, event, sender, at)
            else:
                told = told_by_enrolment(event, before, after, at.index.schools, now, sender)
            self._take(ref_id, told, changed, f"{seed}/{number}", at, about)
        self._care(after, sender, changed, seed, at)
        self._settle(ref_id, changed, seed, scopes, at)

    def told(self, ref_id: str, case: RefId, event: Event, seed: str, scopes: Scopes, at: Surroundings) -> None:
        """Take up what people say of a case, and carry out what follows."""
        changed: dict[RefId, TransferCase] = {}
        self.load([ref_id])
        self._take(ref_id, (event,), changed, seed, at, case)
        self._settle(ref_id, changed, seed, scopes, at)

    def look(self, ref_id: str, seed: str, scopes: Scopes, at: Surroundings) -> None:
        """Let the clock move for a learner's cases, and carry out what follows."""
        if not at.zone.settings.transfers.enabled:
            return
        self.load([ref_id])
        changed: dict[RefId, TransferCase] = {}
        actor = str(at.zone.id)
        for case in self._known[ref_id]:
            if case.is_followed:
                self._take(ref_id, (ClockMoved(at=self._at(), actor=actor),), changed, seed, at, case.ref_id)
        learner = at.index.learners.get(ref_id)
        if learner is not None:
            self._care(learner, AgentId(actor), changed, seed, at)
        self._settle(ref_id, changed, seed, scopes, at)

    def _told(
        self, learner: Learner, event: EventObject, sender: AgentId, at: Surroundings
    ) -> tuple[RefId | None, tuple[Event, ...]]:
        """Return what an agent's LearnerTransfer tells, and of which case; nothing where it may not say so."""
        named = event.element.get("RefId", "").strip()
        if learner.shielded:
            log.info("transfer_not_followed", source=sender, transfer=named, reason="shielded")
            return None, ()
        case = next((case for case in self._known[learner.ref_id] if case.ref_id == named), None)
        try:
            told = told_by(event, sender, self._at(), at.index.schools, case)
        except ZoneError as error:
            log.warning("transfer_not_followed", source=sender, transfer=named, reason=type(error).__name__)
            return None, ()
        record = at.router.registry.agents.get(sender)
        own = record.establishments if record is not None else frozenset[Establishment]()
        believed = tuple(one for one in told if _may_say(one, own, case))
        if believed != told:
            log.warning("transfer_not_followed", source=sender, transfer=named, reason="not-its-school")
        return (case.ref_id if case else None), believed

    def _care(
        self, learner: Learner, actor: str, changed: dict[RefId, TransferCase], seed: str, at: Surroundings
    ) -> None:
        """Tell every case that is followed what care records say of the learner."""
        for case in self._known.get(learner.ref_id, ()):
            if case.is_followed:
                told = told_of_care(learner, case, self._at(), actor)
                self._take(learner.ref_id, told, changed, seed, at, case.ref_id)

    def _take(
        self,
        ref_id: str,
        events: Sequence[Event],
        changed: dict[RefId, TransferCase],
        seed: str,
        at: Surroundings,
        about: RefId | None,
    ) -> None:
        if not events:
            return

        def new(place: int) -> RefId:
            text = f"case/{seed}/{place}/{ref_id}"
            return RefId(hashlib.sha256(text.encode()).hexdigest()[:32].upper())

        learner = at.index.learners.get(ref_id)
        shield = Shield.NONE if learner is None else shield_of(learner)
        moved, errors = take(self._known.get(ref_id, ()), events, at.zone.calendars, new, about, shield)
        self._known[ref_id] = moved.cases
        changed |= {case.ref_id: case for case in moved.changed}
        for error in errors:
            log.info("transfer_event_not_taken", reason=type(error).__name__, learner=ref_id)

    def _settle(
        self, ref_id: str, changed: dict[RefId, TransferCase], seed: str, scopes: Scopes, at: Surroundings
    ) -> None:
        """Bring what is shared to what the cases say, and publish those that have changed."""
        learner = at.index.learners.get(ref_id)
        for turn in range(_ROUNDS):
            at.work.transfers |= {str(ref): case for ref, case in changed.items()}
            if learner is None:
                return
            step = f"{seed}/cases/{turn}"
            for case in changed.values():  # before they lose it, they hear how it ended
                if case.shield is not Shield.NONE:
                    continue
                known = ObjectKey(TRANSFER, case.ref_id) in at.index.learners[ref_id].holdings
                action = Action.CHANGE if known else Action.ADD
                scopes.publish(_object(case, at.index.schools, action), step, at)
            self._set_destinations(at.index.learners[ref_id], step, scopes, at)
            scopes.go_on(ref_id, step, at)
            learner = at.index.learners[ref_id]
            changed = {}
            for case in self._known.get(ref_id, ()):
                told = progress(case, learner, at.router, at.index.schools, self._at(), str(at.zone.id))
                self._take(ref_id, told, changed, step, at, case.ref_id)
            if not changed:
                return

    def _set_destinations(self, learner: Learner, seed: str, scopes: Scopes, at: Surroundings) -> None:
        wanted = destinations_of(self._known.get(learner.ref_id, ()), learner, at.router)
        if wanted == learner.destinations:
            return
        after, removals = review(replace(learner, destinations=wanted), at.router, at.index.schools)
        observed = Observed(learner=after)
        at.index.apply(observed)
        at.work.note(observed)
        scopes.carry(learner.ref_id, removals, seed, at)

    def _at(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _may_say(event: Event, own: frozenset[Establishment], case: TransferCase | None) -> bool:
    """Tell whether an agent of the schools *own* may say so; one that is of no school is believed.

    Source:
        Our own rule: only the new school says what it did with the file, and only the two call their move off.
    """
    if not own:
        return True
    if isinstance(event, CtfLoaded | Rejected):
        return event.school in own
    if isinstance(event, Cancelled) and case is not None:
        return not own.isdisjoint({case.old_number, case.new_number})
    return True


def _object(case: TransferCase, schools: Mapping[str, str], action: Action) -> EventObject:
    places = {number: ref for ref, number in schools.items() if len(number) > _AUTHORITY_LENGTH}
    authorities = {number: ref for ref, number in schools.items() if len(number) == _AUTHORITY_LENGTH}
    return EventObject(TRANSFER, action, transfer_object(case, places, authorities))


__all__ = ["Cases", "tells"]
