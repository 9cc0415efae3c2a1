"""What the learner index tells of moves between schools, and how far a record is: from facts to events. No I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from lxml import etree

from broker.calendars import Calendars, local_date
from broker.holdings import LEARNER, ObjectKey
from broker.learners import NOBODY, UNSERVED, CarePeriod, Enrolment, Learner
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
_DAY: Final = timedelta(days=1)
_TOLD_LATE: Final = timedelta(days=60)
"""How long after its day the end or start of an enrolment still opens a case: older ones are history that is loaded."""
_DECEASED: Final = "DD"
_OUTSIDE_REASONS: Final = frozenset({"EM"})
_OUTSIDE_DESTINATIONS: Final = frozenset({"IP", "IS", "HE", "WL", "EM"})
_ENROLMENT: Final = "LearnerSchoolEnrolment"
_WRITE: Final = "write:"
_LOOKED_AFTER: Final = "LA"
_IN_CARE: Final = frozenset({_LOOKED_AFTER, "PL", "CE"})
_UNDER_WAY: Final = frozenset(
    {
        Status.PLANNED,
        Status.NOTIFIED,
        Status.PREPARED,
        Status.SENT,
        Status.DESTINATION_UNKNOWN,
        Status.LOST_PUPILS,
    }
)


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
) -> tuple[Event, ...]:
    """Return what a LearnerSchoolEnrolment tells of a move, in order; nothing where it tells of none.

    Args:
        before: The learner as known before it; ``after`` with it.

    Source:
        Our own rule: an enrolment that ends opens a case, and one that starts where the learner has been elsewhere.
        That a shielded learner has left is known, and nothing that tells where to.
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
    return tuple(_told(event.element, _Stay(ref, stay, was, school), after, schools, (at, actor)))


class _Stay(NamedTuple):
    ref: str
    now: Enrolment
    was: Enrolment | None
    school: Establishment


def _told(
    element: etree._Element, stay: _Stay, learner: Learner, schools: Mapping[str, str], when: tuple[datetime, str]
) -> Iterator[Event]:
    at, actor = when
    ref_id = RefId(learner.ref_id)
    now, was = stay.now, stay.was or Enrolment("")
    over = now.exit is not None and now.exit < local_date(at) - _TOLD_LATE
    taken_back = was.exit + _DAY if was.exit is not None and now.exit is None else None
    entry = taken_back or (now.entry if now.entry != was.entry and not over else None)
    if entry is not None and not learner.shielded:
        membership = element.get("MembershipType", "").strip() or ("C" if now.main else "S")
        yield EnrolmentStarted(
            at=at,
            actor=actor,
            learner=ref_id,
            school=stay.school,
            entry=entry,
            membership=membership,
            previous=None if taken_back else _previous(stay, learner, schools),
            alternative=element.find(_NS + "AlternativeTuition") is not None and membership in DUAL,
        )
    reason = (element.findtext(f"{_NS}ExitType/{_NS}Code") or "").strip()
    if now.exit is None or over or now.exit == was.exit or reason == _DECEASED or _is_beside_another(stay, learner):
        return
    yield EnrolmentEnded(
        at=at,
        actor=actor,
        learner=ref_id,
        school=stay.school,
        leaving=now.exit,
        reason=reason,
        destination=None if learner.shielded else _destination(element, reason),
    )
    if not learner.shielded:
        yield from _entered_before(stay, now.exit, learner, schools, when)


def _entered_before(
    stay: _Stay, leaving: date, learner: Learner, schools: Mapping[str, str], when: tuple[datetime, str]
) -> Iterator[Event]:
    """Yield that the learner is at another school already, which nobody took for a move before this stay was known."""
    at, actor = when
    for ref, other in learner.enrolments.items():
        school = _number(other, schools)
        if ref == stay.ref or school in (None, stay.school) or not other.main or other.entry is None:
            continue
        if abs(other.entry - leaving) > _TOLD_LATE or (other.exit is not None and other.exit <= leaving):
            continue
        yield EnrolmentStarted(
            at=at,
            actor=actor,
            learner=RefId(learner.ref_id),
            school=school,
            entry=other.entry,
            membership="C",
            previous=stay.school,
        )


def _is_beside_another(stay: _Stay, learner: Learner) -> bool:
    """Tell whether a stay that ends is a subsidiary one, and the learner stays at another school: nobody moves."""
    end = stay.now.exit or date.max
    others = (other for ref, other in learner.enrolments.items() if ref != stay.ref and other.school != stay.now.school)
    return not stay.now.main and any(other.exit is None or other.exit > end for other in others)


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
        CareChanged(at=at, actor=actor, care=care)
        for care in _care(learner, case, local_date(at))
        if care not in case.care
    ]
    shield = shield_of(learner)
    if shield is not case.shield:
        told.append(Shielded(at=at, actor=actor, shield=shield))
    return tuple(told)


def shield_of(learner: Learner) -> Shield:
    """Return whether *learner* is shielded, in the words of a case."""
    return Shield.ADOPTED if learner.adopted else Shield.PROTECTED_MOVE if learner.shielded else Shield.NONE


def _care(learner: Learner, case: TransferCase, today: date) -> Iterator[Care]:
    """Return what is known of care until today, by day: of each day on which something began or ended.

    What the case believed of other days is put right. Where there are no periods of care, a school's flag counts,
    which has no dates: what it says first is taken to have been so at the transfer.
    """
    periods = [period for period in learner.care.values() if _has_dates(period)]
    before = case.care[-1] if case.care else None
    if periods or (learner.in_care is None and before is not None):
        days = {care.since for care in case.care}
        days |= {period.start for period in periods if period.start is not None}
        days |= {period.end + _DAY for period in periods if period.end is not None}
        for day in sorted(day for day in days if day <= today):
            authority = _responsible(periods, day)
            yield Care(day, authority is not None, authority or "")
    elif learner.in_care is not None and (not learner.in_care or learner.care_authority):
        says = (learner.in_care, learner.care_authority if learner.in_care else "")
        if before is None:
            yield Care(min(day for day in (case.leaving, case.entry, today) if day), *says)
        elif before[1:] != says:
            yield Care(today, *says)


def _has_dates(period: CarePeriod) -> bool:
    """Tell whether it is known when a period of care was; short breaks alone are not care."""
    is_current = period.status == _LOOKED_AFTER and period.current
    return period.start is not None and period.status in _IN_CARE and (is_current or period.end is not None)


def _responsible(periods: Iterable[CarePeriod], day: date) -> str | None:
    """Return the authority that looked after the learner on *day*, its number empty if not known; None for none."""
    found = [
        (period.start, period.authority)
        for period in periods
        if period.start is not None and period.start <= day and (period.end is None or period.end >= day)
    ]
    return max(found)[1] if found else None


def take(
    cases: Sequence[TransferCase],
    events: Iterable[Event],
    calendars: Calendars,
    new: Callable[[int], RefId],
    case: RefId | None = None,
    shield: Shield = Shield.NONE,
) -> tuple[Moved, tuple[ZoneError, ...]]:
    """Return a learner's cases after *events*, and why some could not be taken.

    Args:
        cases: All of the learner's.
        events: In order. One that may open a case finds or opens its own; another is about *case*, or else about the
            case that the last event before it was about that found one.
        new: RefId of a case that has to be opened, from the place of what opens it among *events*.
        shield: What a case begins with.
    """
    known = {one.ref_id: one for one in cases}
    changed: dict[RefId, TransferCase] = {}
    errors: list[ZoneError] = []
    about = case
    for place, event in enumerate(events):
        try:
            if isinstance(event, Opening):
                about = None
                found = open_or_join(known.values(), event, new(place))
                if found.ref_id not in known:
                    if _only_joins(event):
                        continue
                    found = replace(found, shield=shield)
            elif about not in known:
                continue
            else:
                found = known[about]
            event = replace(event, at=max(event.at, found.history[-1].at))  # clocks differ, a history is in order
            after = step(found, event, calendars).case
        except ZoneError as error:
            errors.append(error)
            continue
        about = after.ref_id
        if after != known.get(about):
            known[about] = changed[about] = after
    return Moved(tuple(known.values()), tuple(changed.values())), tuple(errors)


def _only_joins(event: Opening) -> bool:
    """Tell whether it opens no case: no move is known that leads to it, or it is history that is loaded."""
    if not isinstance(event, EnrolmentStarted):
        return False
    return event.previous is None or event.entry < event.today - _TOLD_LATE


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
    """Return the agents that speak for a school, and may have the record of a learner who is on the way to it.

    Nobody else's record is left to be passed on once such an agent alone publishes the learner.
    """
    agents = {
        agent.id
        for agent in router.registry.agents.values()
        if destination in agent.establishments and agent.may(Role.PUBLISH_ADD, Topic(_ENROLMENT))
    }
    holding = learner.holdings.get(ObjectKey(LEARNER, learner.ref_id))
    known = [holding] if holding is not None else learner.holdings.values()
    sources = {source for one in known for source in one.sources if source in router.registry.agents}
    if not sources - agents:
        return frozenset(agents & sources)
    on_the_way = replace(NOBODY, destinations=frozenset({destination}))
    entitled: set[AgentId] = set()
    for source in sources - agents:
        entitled.update(holder.agent for holder in router.plan(source, LEARNER, (on_the_way,)).holders)
    return frozenset(agents & entitled)


def progress(
    case: TransferCase, learner: Learner, router: Router, schools: Mapping[str, str], at: datetime, actor: str
) -> tuple[Event, ...]:
    """Return what the zone itself knows of how far a case is, and the case does not.

    It is confirmed once the learner is on the register of the new school, as that school's own agent says. A record
    that goes to an agent of the new school as objects is delivered once that agent has the learner's record and waits
    for nothing more; it is loaded when the case is confirmed, too.
    """
    destination = case.destination
    if destination is None or case.shield is not Shield.NONE:
        return ()
    told: list[Event] = []
    speaker = _confirmed_by(case, learner, router, schools, local_date(at))
    if speaker is not None and not case.confirmed and case.status is not Status.CANCELLED:
        told.append(EnrolmentConfirmed(at=at, actor=speaker, school=destination))
    if wanted_destination(case) is None:
        return tuple(told)
    confirmed = case.confirmed or bool(told)
    agents = serving(destination, learner, router)
    holding = learner.holdings.get(ObjectKey(LEARNER, learner.ref_id))
    waiting = frozenset[AgentId]().union(*(fetch.recipients for fetch in learner.fetches))
    done = holding is not None and bool((agents & (holding.agents | set(holding.sources))) - waiting)
    if done and case.status in _UNDER_WAY:
        told.append(CtfDelivered(at=at, actor=actor))
    if done and confirmed and case.status in (*_UNDER_WAY, Status.DELIVERED):
        told.append(CtfLoaded(at=at, actor=actor, school=destination))
    return tuple(told)


def _confirmed_by(
    case: TransferCase, learner: Learner, router: Router, schools: Mapping[str, str], today: date
) -> AgentId | None:
    """Return the agent of the new school that has the learner on its register, from the day of entry on."""
    if case.entry is None or case.entry > today:
        return None
    for ref, stay in learner.enrolments.items():
        school = _number(stay, schools)
        if school is None or case.knows(school) != case.new_number or stay.entry != case.entry:
            continue
        holding = learner.holdings.get(ObjectKey(_ENROLMENT, ref))
        for source in holding.sources if holding is not None else ():
            record = router.registry.agents.get(source)
            if record is not None and not record.establishments.isdisjoint({school, case.new_number}):
                return source
    return None


__all__ = [
    "Moved",
    "destinations_of",
    "progress",
    "serving",
    "shield_of",
    "take",
    "told_by_enrolment",
    "told_of_care",
    "wanted_destination",
]
