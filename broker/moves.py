"""What the learner index tells of moves between schools, and how far a record is: from facts to events. No I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from lxml import etree

from broker.calendars import Calendars, local_date
from broker.holdings import LEARNER, ObjectKey
from broker.learners import NOBODY, UNSERVED, Enrolment, Learner
from broker.protocol.envelope import NAMESPACE, Action, EventObject
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId, Establishment, RefId
from broker.registry import Role, Topic
from broker.routing import Router
from broker.transfer_cases import (
    DUAL,
    NOT_KNOWN,
    OUTSIDE,
    Care,
    CareChanged,
    CtfDelivered,
    CtfLoaded,
    EnrolmentConfirmed,
    EnrolmentEnded,
    EnrolmentStarted,
    Event,
    Opening,
    Shield,
    Shielded,
    Status,
    TransferCase,
)
from broker.transfers import LONGEST_GAP, open_or_join, step

_NS: Final = f"{{{NAMESPACE}}}"
_ESTABLISHMENT_LENGTH: Final = 7
_TOLD_LATE: Final = timedelta(days=60)
"""How long after a leaving date the end of an enrolment still opens a case: older ones are history that is loaded."""
_DECEASED: Final = "DD"
_OUTSIDE_REASONS: Final = frozenset({"EM"})
_OUTSIDE_DESTINATIONS: Final = frozenset({"IP", "IS", "HE", "WL", "EM"})
_ENROLMENT: Final = "LearnerSchoolEnrolment"
_WRITE: Final = "write:"


class Moved(NamedTuple):
    """A learner's cases after something was told, and those of them that have changed or are new."""

    cases: tuple[TransferCase, ...]
    changed: tuple[TransferCase, ...]


def told_by_enrolment(
    event: EventObject,
    before: Learner | None,
    after: Learner,
    schools: Mapping[str, str],
    at: datetime,
    actor: str,
    own_schools: frozenset[Establishment],
) -> tuple[Event, ...]:
    """Return what a LearnerSchoolEnrolment tells of a move, in order; nothing where it tells of none.

    Args:
        before: The learner as known before it; ``after`` with it.
        own_schools: The schools that its sender speaks for: what one of them says of itself confirms.

    Source:
        Our own rule: an enrolment that ends opens a case, and one that starts where the learner has been elsewhere.
    """
    if event.object_type != _ENROLMENT or event.action is Action.DELETE:
        return ()
    ref = event.element.get("RefId", "").strip()
    stay = after.enrolments.get(ref)
    was = before.enrolments.get(ref) if before is not None else None
    if stay is None:
        return ()
    school = _number(stay, schools)
    if school is None:
        return ()
    return tuple(
        _told(event.element, _Stay(ref, stay, was, school), after, schools, (at, actor), school in own_schools)
    )


class _Stay(NamedTuple):
    ref: str
    now: Enrolment
    was: Enrolment | None
    school: Establishment


def _told(
    element: etree._Element,
    stay: _Stay,
    learner: Learner,
    schools: Mapping[str, str],
    when: tuple[datetime, str],
    confirms: bool,
) -> Iterator[Event]:
    at, actor = when
    today = local_date(at)
    ref_id = RefId(learner.ref_id)
    over = stay.now.exit is not None and stay.now.exit < today - _TOLD_LATE
    if stay.now.entry is not None and (stay.was is None or stay.was.entry != stay.now.entry) and not over:
        previous = _previous(stay, learner, schools)
        membership = element.get("MembershipType", "").strip() or ("C" if stay.now.main else "S")
        alternative = element.find(_NS + "AlternativeTuition") is not None and membership in DUAL
        yield EnrolmentStarted(
            at=at,
            actor=actor,
            learner=ref_id,
            school=stay.school,
            entry=stay.now.entry,
            membership=membership,
            previous=previous,
            alternative=alternative,
        )
    if confirms and stay.now.entry is not None and stay.now.entry <= today and not over:
        yield EnrolmentConfirmed(at=at, actor=actor, school=stay.school)
    if stay.now.exit is None or over or (stay.was is not None and stay.was.exit == stay.now.exit):
        return
    reason = (element.findtext(f"{_NS}ExitType/{_NS}Code") or "").strip()
    if reason == _DECEASED:
        return
    yield EnrolmentEnded(
        at=at,
        actor=actor,
        learner=ref_id,
        school=stay.school,
        leaving=stay.now.exit,
        reason=reason,
        destination=_destination(element, reason),
    )


def _destination(element: etree._Element, reason: str) -> Establishment | None:
    """Return where the learner goes, as the old school believes; None when it does not say."""
    named = element.find(f"{_NS}ExitType/{_NS}Destination")
    if named is None:
        return OUTSIDE if reason in _OUTSIDE_REASONS else None
    number = "".join((named.findtext(_NS + name) or "").strip() for name in ("LAId", "EstablishmentId"))
    if len(number) == _ESTABLISHMENT_LENGTH and number.isdecimal():
        return Establishment(number)
    code = (named.findtext(_NS + "Code") or "").strip()
    return OUTSIDE if code in _OUTSIDE_DESTINATIONS or reason in _OUTSIDE_REASONS else None


def _previous(stay: _Stay, learner: Learner, schools: Mapping[str, str]) -> Establishment | None:
    """Return the school that the learner was at before: of several the one entered last, a main one first."""
    entry = stay.now.entry or date.max
    found: list[tuple[bool, date, Establishment]] = []
    for ref, other in learner.enrolments.items():
        number = _number(other, schools)
        if ref == stay.ref or number is None or number == stay.school:
            continue
        began = other.entry or date.min
        long_gone = other.exit is not None and (entry - other.exit).days > LONGEST_GAP
        if began <= entry and not long_gone:
            found.append((other.main, began, number))
    return max(found)[2] if found else None


def _number(stay: Enrolment, schools: Mapping[str, str]) -> Establishment | None:
    number = schools.get(stay.school, stay.school)
    return Establishment(number) if len(number) == _ESTABLISHMENT_LENGTH else None


def told_of_care(learner: Learner, case: TransferCase, at: datetime, actor: str) -> tuple[Event, ...]:
    """Return what *case* is to be told of care and shield, as the index has them; nothing where it knows."""
    told: list[Event] = [
        CareChanged(at=at, actor=actor, care=care) for care in _care(learner, local_date(at)) if care not in case.care
    ]
    shield = Shield.ADOPTED if learner.adopted else Shield.PROTECTED_MOVE if learner.shielded else Shield.NONE
    if shield is not case.shield:
        told.append(Shielded(at=at, actor=actor, shield=shield))
    return tuple(told)


def _care(learner: Learner, today: date) -> Iterator[Care]:
    """Return what periods of care say, by day; where there are none, what the school's flag says since today."""
    for period in sorted(learner.care.values(), key=lambda period: period.start or date.min):
        if period.status not in ("LA", "CE", "PL") or period.start is None:
            continue
        yield Care(period.start, looked_after=True, authority=period.authority)
        if period.end is not None:
            yield Care(period.end + timedelta(days=1), looked_after=False)
    if not learner.care and learner.in_care is not None and learner.care_authority:
        yield Care(date(today.year, 1, 1), learner.in_care, learner.care_authority if learner.in_care else "")


def take(
    cases: Sequence[TransferCase],
    events: Iterable[Event],
    calendars: Calendars,
    ref_id: RefId,
    case: RefId | None = None,
) -> tuple[Moved, tuple[ZoneError, ...]]:
    """Return a learner's cases after *events*, and why some could not be taken.

    Args:
        cases: All of the learner's.
        events: In order. One that may open a case finds or opens its own; another is about *case*, or else about the
            case that the event before it was about, or the newest that is open.
        ref_id: RefId of a case that has to be opened.
    """
    known = {one.ref_id: one for one in cases}
    changed: dict[RefId, TransferCase] = {}
    errors: list[ZoneError] = []
    about = case
    for event in events:
        try:
            if isinstance(event, Opening):
                if isinstance(event, EnrolmentStarted) and event.previous is None and not known:
                    continue  # the first that is known of a learner is no move
                found = open_or_join(known.values(), event, ref_id)
            else:
                found_or_none = known.get(about) if about is not None else _newest(known.values())
                if found_or_none is None:
                    continue
                found = found_or_none
            after = step(found, event, calendars).case
        except ZoneError as error:
            errors.append(error)
            continue
        about = after.ref_id
        if after != known.get(after.ref_id):
            known[after.ref_id] = changed[after.ref_id] = after
    return Moved(tuple(known.values()), tuple(changed.values())), tuple(errors)


def _newest(cases: Iterable[TransferCase]) -> TransferCase | None:
    followed = [case for case in cases if case.is_followed]
    return max(followed, key=lambda case: (case.history[0].at, case.ref_id), default=None)


def destinations_of(cases: Iterable[TransferCase], learner: Learner, router: Router) -> frozenset[str]:
    """Return the schools to which the learner's record is to go, see Scope.TRANSFERRING.

    With UNSERVED among them where no agent that may have the record speaks for one.
    """
    found: set[str] = set()
    for case in cases:
        destination = wanted_destination(case)
        if destination is None:
            continue
        found.add(destination)
        if not serving(destination, learner, router):
            found.add(UNSERVED)
    return frozenset(found)


def wanted_destination(case: TransferCase) -> Establishment | None:
    """Return where the record of an open case is to go; None while that is not wanted, or not known.

    A file for the pool is wanted after the search for a school is over; see :class:`broker.transfer_cases.WriteCtf`.
    """
    if not case.is_open or case.shield is not Shield.NONE:
        return None
    destination = case.destination or NOT_KNOWN
    asked = any(key.startswith(f"{_WRITE}{destination}:") for key in case.issued)
    return destination if asked else None


def serving(destination: Establishment, learner: Learner, router: Router) -> frozenset[AgentId]:
    """Return the agents that speak for a school, and may have the record of a learner who is on the way to it."""
    holding = learner.holdings.get(ObjectKey(LEARNER, learner.ref_id))
    if holding is None:
        return frozenset()
    agents = {
        agent.id
        for agent in router.registry.agents.values()
        if destination in agent.establishments and agent.may(Role.PUBLISH_ADD, Topic(_ENROLMENT))
    }
    on_the_way = replace(NOBODY, destinations=frozenset({destination}))
    entitled: set[AgentId] = set()
    for source in holding.sources:
        entitled.update(holder.agent for holder in router.plan(source, LEARNER, (on_the_way,)).holders)
    return frozenset(agents & entitled)


def progress(case: TransferCase, learner: Learner, router: Router, at: datetime, actor: str) -> tuple[Event, ...]:
    """Return what the zone itself knows of how far a record is that goes to an agent of the new school, as objects.

    Delivered once that agent holds the learner's record and waits for nothing more; loaded when it was confirmed, too.
    """
    destination = case.destination
    if destination is None or wanted_destination(case) is None or case.ctf is not None:
        return ()
    agents = serving(destination, learner, router)
    holding = learner.holdings.get(ObjectKey(LEARNER, learner.ref_id))
    if not agents or holding is None:
        return ()
    waiting = frozenset().union(*(fetch.recipients for fetch in learner.fetches))
    done = (agents & holding.agents) - waiting
    told: list[Event] = []
    if done and case.status in (Status.PLANNED, Status.NOTIFIED, Status.PREPARED, Status.SENT, Status.REJECTED):
        told.append(CtfDelivered(at=at, actor=actor))
    if case.confirmed and (told or case.status is Status.DELIVERED):
        told.append(CtfLoaded(at=at, actor=actor, school=destination))
    return tuple(told)


__all__ = [
    "Moved",
    "destinations_of",
    "progress",
    "serving",
    "take",
    "told_by_enrolment",
    "told_of_care",
    "wanted_destination",
]
