"""What the zone knows of each learner for the sake of sharing: where enrolled, in whose care, shielded or not.

Values and rules only; the index is filled from storage and written back by the worker.
"""

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from lxml import etree

from broker.agreements import Scope
from broker.holdings import NO_HOLDINGS, Fetch, Holdings
from broker.protocol.envelope import LOOKED_AFTER, NAMESPACE, Action, EventObject
from broker.protocol.identifiers import AgentId, Establishment
from broker.registry import AgentRecord

_NS: Final = f"{{{NAMESPACE}}}"
_CURRENT: Final = "current"
"""Key of the enrolment that LearnerPersonal/CurrentSchoolEnrolment states without naming its RefId."""
_ESTABLISHMENT_LENGTH: Final = 7
_LOCAL_ID: Final = re.compile(r"(?=.*[0-9])[A-Za-z0-9._:/-]{1,64}")
"""What passes for an id: without a digit, or with a blank, it may be somebody's name."""
_MAIN: Final = frozenset({"C", "M"})
_LOOKED_AFTER: Final = "LA"
_OWN: Final = f"{{{LOOKED_AFTER}}}"
YEARS: Final = range(1900, 2200)
"""Years in which a learner's dates can be: others are told by mistake, or stand for a day that is not known."""
ADOPTED: Final = "A"
_SHIELDS: Final = frozenset({"P", ADOPTED})
UNSERVED: Final = ""
"""Stands among a learner's destinations for a school that no agent speaks for."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A stay at a school.

    Attributes:
        school: The establishment's number where known, else the RefId of its SchoolInfo.
        entry: First day; None when not known. ``exit`` likewise the last day.
        main: Whether it is the learner's main one, as MembershipType says: C (only one) or M (of a dual registration).
    """

    school: str
    entry: date | None = None
    exit: date | None = None
    main: bool = False


@dataclass(frozen=True, slots=True)
class CarePeriod:
    """A period of care, as the case system of the responsible authority has it.

    Attributes:
        start: First day; None when not known. ``end`` likewise the last day.
        authority: LA number of whoever is responsible; empty when not known.
        status: LearnerLookedAfter/CareStatus: LA looked after, SB short breaks alone, PL, CE.
        current: LearnerLookedAfter/Current is Yes.
    """

    start: date | None
    end: date | None
    authority: str
    status: str
    current: bool

    def is_looked_after(self, today: date) -> bool:
        """Tell whether the learner is looked after in it on *today*; its first and its last day count."""
        if self.status != _LOOKED_AFTER or not self.current:
            return False
        return (self.start is None or self.start <= today) and (self.end is None or self.end >= today)


@dataclass(frozen=True, slots=True)
class Learner:
    """Facts about one learner that decide who may know of them.

    Attributes:
        enrolments: By the RefId of the LearnerSchoolEnrolment.
        in_care: None when nobody has said.
        care_authority: LA number of the authority that looks after the learner; empty when not known.
        home_authority: LA number of the authority where the learner lives; empty when not known.
        sources: Which agent last published each kind of object about the learner.
        local_id: The learner's id in the system that published the LearnerPersonal; empty when not known, or no id.
        care: Periods of care by the RefId of the LearnerLookedAfter. Where there are any, what LearnerPersonal says
            of care does not count.
        adopted: The learner was adopted: nothing may ever tie another record to this one.
        destinations: Numbers of the schools to which the record is under way, see Scope.TRANSFERRING.
        holdings: The learner's objects: who publishes each, and who holds it.
        fetches: What is asked for, on behalf of those who are to have the learner's record and lack it.
    """

    ref_id: str
    upn_key: bytes | None = None
    in_care: bool | None = None
    care_authority: str = ""
    home_authority: str = ""
    shielded: bool = False
    enrolments: Mapping[str, Enrolment] = field(default_factory=dict)
    sources: Mapping[str, AgentId] = field(default_factory=dict)
    local_id: str = ""
    care: Mapping[str, CarePeriod] = field(default_factory=dict)
    adopted: bool = False
    destinations: frozenset[str] = frozenset()
    holdings: Holdings = field(default_factory=lambda: NO_HOLDINGS)
    fetches: tuple[Fetch, ...] = ()

    @property
    def is_nobody(self) -> bool:
        """Whether nothing is known any more that would have to be remembered."""
        return not (self.shielded or self.care or self.holdings or self.fetches)


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a learner counts for scopes on a given day; equal standings are shared with the same recipients."""

    establishments: frozenset[str]
    care_authority: str
    home_authority: str
    shielded: bool
    destinations: frozenset[str] = frozenset()

    def is_in(self, scope: Scope, recipient: AgentRecord) -> bool:
        """Tell whether a learner of this standing is in *scope* for *recipient*."""
        match scope:
            case Scope.ALL:
                return True
            case Scope.ENROLLED:
                return not recipient.establishments.isdisjoint(self.establishments)
            case Scope.LOOKED_AFTER:
                return self.care_authority != "" and self.care_authority == recipient.authority
            case Scope.RESIDENT:
                return self.home_authority != "" and self.home_authority == recipient.authority
            case Scope.TRANSFERRING:
                served = recipient.establishments or {UNSERVED}
                return not self.destinations.isdisjoint(served)


NOBODY: Final = Standing(frozenset(), "", "", shielded=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """What an event changes in the index; None and empty where nothing.

    Attributes:
        learner: The learner as they are after the event.
        forgotten: RefId of a learner to forget.
        school: RefId of a SchoolInfo and the establishment it is.
        linked: RefId of a contact and of the learner it belongs to; ``unlinked`` likewise no longer.
    """

    learner: Learner | None = None
    forgotten: str | None = None
    school: tuple[str, Establishment] | None = None
    linked: tuple[str, str] | None = None
    unlinked: tuple[str, str] | None = None


class LearnerIndex:
    """The learners in hand by RefId, schools by SchoolInfo's RefId, and whose contact is whose.

    What is missing is unknown to the zone, or was not loaded.
    """

    def __init__(self) -> None:
        self.learners: MutableMapping[str, Learner] = {}
        self.schools: MutableMapping[str, str] = {}
        self.contacts: MutableMapping[str, frozenset[str]] = {}

    def draft(self) -> "LearnerIndex":
        """Return an index over this one: what is applied to it is not seen here."""
        draft = LearnerIndex()
        draft.learners = ChainMap({}, self.learners)
        draft.schools = ChainMap({}, self.schools)
        draft.contacts = ChainMap({}, self.contacts)
        return draft

    def apply(self, observed: Observed) -> None:
        """Make *observed* known to the decisions that follow."""
        if observed.learner is not None:
            self.learners[observed.learner.ref_id] = observed.learner
        if observed.forgotten is not None:
            self.learners.pop(observed.forgotten, None)
            if observed.forgotten in self.learners:  # in the index below this draft: nothing is known of them any more
                self.learners[observed.forgotten] = Learner(observed.forgotten)
        if observed.school is not None:
            self.schools[observed.school[0]] = observed.school[1]
        if observed.linked is not None:
            contact, learner = observed.linked
            self.contacts[contact] = self.contacts.get(contact, frozenset()) | {learner}
        if observed.unlinked is not None:
            contact, learner = observed.unlinked
            self.contacts[contact] = self.contacts.get(contact, frozenset()) - {learner}

    def standing(self, ref_id: str, today: date) -> Standing:
        """Return how the learner stands on *today*; a learner unknown to the zone is in no scope but ``all``."""
        learner = self.learners.get(ref_id)
        return NOBODY if learner is None else standing(learner, self.schools, today)


def standing(learner: Learner, schools: Mapping[str, str], today: date) -> Standing:
    """Return how *learner* stands on *today*.

    Args:
        schools: Establishment number by the RefId of its SchoolInfo.

    Source:
        Our own rule: an enrolment counts until the day after its last day, and from when it is announced.
    """
    return Standing(
        frozenset(
            schools.get(enrolment.school, enrolment.school)
            for enrolment in learner.enrolments.values()
            if enrolment.exit is None or enrolment.exit >= today
        ),
        _responsible(learner, today),
        learner.home_authority,
        learner.shielded,
        learner.destinations,
    )


def _responsible(learner: Learner, today: date) -> str:
    """Return the authority that looks after *learner* on *today*; empty for none.

    Source:
        Our own rule: the case system's word counts before a school's flag; short breaks alone are not care.
    """
    if not learner.care:
        return learner.care_authority if learner.in_care else ""
    periods = [period for period in learner.care.values() if period.is_looked_after(today)]
    return max(periods, key=lambda period: period.start or date.min).authority if periods else ""


def observe(
    event: EventObject,
    source: AgentId,
    learner: Learner | None,
    schools: Mapping[str, str],
    upn_key: bytes | None = None,
    authority: str = "",
) -> Observed:
    """Return what *event* tells the index.

    Args:
        source: Who published it.
        authority: LA number that the source acts for; empty for none.
        learner: The learner it is about, as known before; None when not known or it is about no learner.
        schools: Establishment number by the RefId of its SchoolInfo.
        upn_key: Keyed hash of the UPN in the event, when there is one.
    """
    match event.object_type:
        case "LearnerPersonal":
            return _observe_personal(event, source, learner, schools, upn_key)
        case "LearnerSchoolEnrolment":
            return _observe_enrolment(event, source, learner, schools)
        case "LearnerContact":
            return _observe_contact(event)
        case "LearnerLookedAfter":
            return _observe_care(event, learner, schools, authority)
        case "SchoolInfo":
            return _observe_school(event)
        case "LAInfo":
            return _observe_authority(event)
        case _:
            return Observed()


def _observe_personal(
    event: EventObject, source: AgentId, learner: Learner | None, schools: Mapping[str, str], upn_key: bytes | None
) -> Observed:
    element = event.element
    ref_id = _ref(element, "RefId")
    if event.action is Action.DELETE:
        if learner is None:
            return Observed(forgotten=ref_id)
        # a shield is lifted by people, not by a Delete and an Add; what others say of the learner stays
        left = Learner(
            ref_id,
            shielded=learner.shielded,
            adopted=learner.adopted,
            enrolments={ref: stay for ref, stay in learner.enrolments.items() if not _is_mirrored(stay)},
            sources={name: agent for name, agent in learner.sources.items() if name != event.object_type},
            care=learner.care,
            destinations=learner.destinations,
            holdings=learner.holdings,
            fetches=learner.fetches,
        )
        return Observed(forgotten=ref_id) if left.is_nobody else Observed(learner=left)
    known = learner or Learner(ref_id)
    in_care, care_authority = known.in_care, known.care_authority
    parts = {child.tag: child for child in element}  # asked for often enough to gather them once
    care = parts.get(_NS + "InCare")
    if care is not None:
        emptied = not len(care)  # a Change may hold a part of it: the rest is as it was
        if emptied or _child(care, "Current") is not None:
            in_care = {"Yes": True, "No": False}.get(_text(care, "Current", ""))
        care_authority = _text(care, "LAId", "" if emptied else care_authority)
    current = parts.get(_NS + "CurrentSchoolEnrolment")
    changed = Learner(
        ref_id,
        upn_key or known.upn_key,
        in_care,
        care_authority,
        _text_of(parts.get(_NS + "HomeLA"), known.home_authority),
        known.shielded,
        known.enrolments if current is None else _with_current(known, current, schools),
        _with_source(known, event.object_type, source),
        as_local_id(_text_of(parts.get(_NS + "LocalId"), known.local_id)),
        known.care,
        known.adopted,
        known.destinations,
        known.holdings,
        known.fetches,
    )
    return Observed(learner=changed) if changed != learner else Observed()


def _with_current(learner: Learner, current: etree._Element, schools: Mapping[str, str]) -> Mapping[str, Enrolment]:
    """Add the enrolment that LearnerPersonal mirrors, unless the enrolment itself is known: its dates count.

    The one mirrored before gives way, or a learner would stay in the scope of every school that was ever named.
    """
    enrolments = {ref: stay for ref, stay in learner.enrolments.items() if not _is_mirrored(stay)}
    before = next((stay.school for stay in learner.enrolments.values() if _is_mirrored(stay)), "")
    establishment = _text(current, "LAId", before[:3]) + _text(current, "EstablishmentId", before[3:])
    if not len(current):  # emptied: enrolled nowhere
        return enrolments
    if len(establishment) < _ESTABLISHMENT_LENGTH:
        return learner.enrolments
    ref = current.get("LearnerSchoolEnrolmentRefId", _CURRENT).strip()
    known = ref in enrolments or any(schools.get(e.school, e.school) == establishment for e in enrolments.values())
    if not known:
        enrolments[ref] = Enrolment(establishment)
    return enrolments


def _is_mirrored(stay: Enrolment) -> bool:
    """Tell whether only LearnerPersonal spoke of it: an enrolment itself has an entry date."""
    return stay.entry is None and stay.exit is None


def _observe_enrolment(
    event: EventObject, source: AgentId, learner: Learner | None, schools: Mapping[str, str]
) -> Observed:
    element = event.element
    ref_id = _ref(element, "RefId")
    known = learner or Learner(_ref(element, "LearnerPersonalRefId"))
    enrolments = dict(known.enrolments)
    if event.action is Action.DELETE:
        enrolments.pop(ref_id, None)
    else:
        before = enrolments.get(ref_id, Enrolment(""))
        school = _school(_ref(element, "SchoolInfoRefId"), before, enrolments, schools)
        membership = element.get("MembershipType")
        enrolments[ref_id] = Enrolment(
            school,
            _date(element, "EntryDate", before.entry),
            _date(element, "ExitDate", before.exit),
            before.main if membership is None else membership.strip() in _MAIN,
        )
        for ref in [ref for ref, stay in enrolments.items() if _is_mirrored(stay) and stay.school == school]:
            if ref != ref_id:
                del enrolments[ref]
    changed = replace(known, enrolments=enrolments, sources=_with_source(known, event.object_type, source))
    return Observed(learner=changed) if changed != learner else Observed()


def _school(ref: str, before: Enrolment, enrolments: Mapping[str, Enrolment], schools: Mapping[str, str]) -> str:
    """Return the establishment of the SchoolInfo *ref*; while that is unknown, what LearnerPersonal said of it."""
    if ref in schools:
        return schools[ref]
    if before.school:
        return before.school
    return enrolments[_CURRENT].school if _CURRENT in enrolments else ref


def _observe_contact(event: EventObject) -> Observed:
    pair = _ref(event.element, "ContactPersonalRefId"), _ref(event.element, "LearnerPersonalRefId")
    return Observed(unlinked=pair) if event.action is Action.DELETE else Observed(linked=pair)


def _observe_care(event: EventObject, learner: Learner | None, schools: Mapping[str, str], authority: str) -> Observed:
    element = event.element
    ref_id = _ref(element, "RefId")
    known = learner or Learner(_ref(element, "LearnerPersonalRefId"))
    care = dict(known.care)
    if event.action is Action.DELETE:  # a shield stays: see LearnerPersonal
        care.pop(ref_id, None)
        return Observed(learner=replace(known, care=care)) if care != known.care else Observed()
    before = care.get(ref_id, CarePeriod(None, None, "", "", current=False))
    parts = {child.tag: child for child in element}
    named = _ref(element, "LAInfoRefId")
    current = _text_of(parts.get(_OWN + "Current"), "Yes" if before.current else "No")
    care[ref_id] = CarePeriod(
        _day_of(parts.get(_OWN + "CareStartDate"), before.start),
        _day_of(parts.get(_OWN + "CareEndDate"), before.end),
        schools.get(named) or before.authority or authority,
        _text_of(parts.get(_OWN + "CareStatus"), before.status),
        current == "Yes",
    )
    shield = parts.get(_OWN + "ShieldCode")
    code = "" if shield is None else _text_of(shield, "")
    shielded = known.shielded if not code else code in _SHIELDS or known.adopted
    changed = replace(known, care=care, shielded=shielded, adopted=known.adopted or code == ADOPTED)
    return Observed(learner=changed) if changed != learner else Observed()


def _observe_authority(event: EventObject) -> Observed:
    number = _text(event.element, "LAId", "")
    if event.action is Action.DELETE or not number:
        return Observed()
    return Observed(school=(_ref(event.element, "RefId"), Establishment(number)))


def _observe_school(event: EventObject) -> Observed:
    authority, number = _text(event.element, "LAId", ""), _text(event.element, "EstablishmentId", "")
    if event.action is Action.DELETE or not authority or not number:
        return Observed()
    return Observed(school=(_ref(event.element, "RefId"), Establishment(authority + number)))


def _with_source(learner: Learner, object_type: str, source: AgentId) -> Mapping[str, AgentId]:
    if learner.sources.get(object_type) == source:
        return learner.sources
    return {**learner.sources, object_type: source}


def _ref(element: etree._Element, name: str) -> str:
    return element.get(name, "").strip()  # the schema allows blanks around it; they must not make another learner


def _text(element: etree._Element, name: str, otherwise: str) -> str:
    return _text_of(_child(element, name), otherwise)


def _text_of(element: etree._Element | None, otherwise: str) -> str:
    if element is None:
        return otherwise
    return (element.text or "").strip()  # an element sent as nil says: now empty


def _child(element: etree._Element, name: str) -> etree._Element | None:
    """Return the first child of that name; find() does the same at three times the cost."""
    return next(element.iterchildren(_NS + name), None)


def _date(element: etree._Element, name: str, otherwise: date | None) -> date | None:
    return _day_of(_child(element, name), otherwise)


def _day_of(element: etree._Element | None, otherwise: date | None) -> date | None:
    if element is None:
        return otherwise
    text = (element.text or "").strip()
    try:
        day = date.fromisoformat(text[:10]) if text else None
    except ValueError:  # a year that the schema allows and the calendar has not, such as -0044
        return None
    return day if day is not None and day.year in YEARS else None  # 9999-12-31 stands for no end


def as_local_id(text: str) -> str:
    """Return a LocalId, or nothing where it may be more than an id."""
    return text if _LOCAL_ID.fullmatch(text) else ""


def unknown(wanted: Iterable[str], known: Mapping[str, object]) -> list[str]:
    """Return those of *wanted* that *known* lacks, without repeats, in their order."""
    return [ref for ref in dict.fromkeys(wanted) if ref and ref not in known]
