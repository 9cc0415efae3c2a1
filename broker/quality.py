"""What is wrong with the records that agents publish, as data quality remembers it; values in, values out.

It names a record by its keys and the id in the school's own system, never by what it holds.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from lxml import etree

import schemas
from broker.learners import Learner, LearnerIndex, as_local_id
from broker.protocol.envelope import NAMESPACE, Action, EventObject, local_name
from broker.protocol.identifiers import AgentId, is_guid
from broker.registry import Registry
from schemas import Finding
from schemas.rules import FLAG_AGREES, Care, TwoWords

_LOCAL_ID: Final = f"{{{NAMESPACE}}}LocalId"
_YEAR_OR_DATE: Final = re.compile(r"[0-9]{4}(-[0-9]{2}-[0-9]{2})?")
_LEARNER: Final = "LearnerPersonal"
_LOOKED_AFTER: Final = "LearnerLookedAfter"
_SHORT_BREAKS: Final = "SB"
_WHOLE: Final = frozenset({""})


class Judged(NamedTuple):
    """What an event showed of one record.

    Attributes:
        key: The values of the record's keys, joined by bars; for most objects its RefId.
        school: The establishment it is of, for example 8209901; empty when that is not known.
        local_id: Id in the school's own system of the learner it is about, or of the record itself; empty when unknown.
        seen: Paths of the elements and attributes that were there to be judged; ``{""}`` for all of it.
        findings: What was found, whatever the severity.
        complete: Whether rules and open code lists were asked, too; they are not where the schema refuses.
        rule: The only rule that was asked; empty for all.
        source: Who publishes the record, where that is not the sender of the event; else empty.
    """

    object_type: str
    key: str
    school: str
    local_id: str
    seen: frozenset[str]
    findings: tuple[Finding, ...]
    complete: bool = True
    rule: str = ""
    source: AgentId = AgentId("")


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """What the zone knows beside an object, for the rules.

    Attributes:
        today: The day on which it is judged.
        index: The learners in hand.
        about: RefId of the learner that the object is about; empty for none.
        taken_up: Returns that learner as known with the object; None where it says nothing of their care.
    """

    today: date
    index: LearnerIndex
    about: str
    taken_up: Callable[[], Learner | None] | None = None

    def is_known(self, object_type: str, ref_id: str) -> bool | None:
        """Tell whether an object was published; None where that cannot be told.

        Only of the object's own learner it can: messages about one learner keep their order, those of others do not.
        """
        if object_type != _LEARNER or ref_id != self.about:
            return None
        learner = self.index.learners.get(ref_id)
        return learner is not None and _LEARNER in learner.sources

    def main_enrolments(self, learner_ref: str) -> frozenset[str]:
        """Return the RefIds of a learner's enrolments that are current and main, as known before the object."""
        learner = self.index.learners.get(learner_ref)
        if learner is None:
            return frozenset()
        return frozenset(
            ref
            for ref, stay in learner.enrolments.items()
            if stay.main
            and (stay.entry is None or stay.entry <= self.today)
            and (stay.exit is None or stay.exit >= self.today)
        )

    def care(self, learner_ref: str) -> TwoWords | None:
        """Return what flag and records say of the care of the learner that the object is about; see `care_of`."""
        learner = self.taken_up() if self.taken_up is not None and learner_ref == self.about else None
        return None if learner is None else care_of(learner, self.today)


def speaks_of_care(event: EventObject, learner: Learner | None) -> bool:
    """Tell whether an event is about care of which flag and records may both have said something with it.

    Args:
        learner: The learner it is about, as known before.
    """
    if learner is None:
        return False  # it is the first that is heard of them
    if event.object_type == _LOOKED_AFTER:
        return True
    return event.object_type == _LEARNER and bool(learner.care)


def care_of(learner: Learner, today: date) -> TwoWords | None:
    """Return what flag and records say of a learner's care; None where not both say something that can be compared.

    Of who is shielded nothing is said, so that a school cannot tell from it that there are records. Authorities differ
    in whether short breaks alone are care, so that a flag beside them is never wrong.
    """
    if learner.in_care is None or not learner.care or learner.shielded:
        return None
    flag = Care(learner.in_care, learner.care_authority if learner.in_care else "")
    periods = [period for period in learner.care.values() if period.is_looked_after(today)]
    if periods:
        newest = max(periods, key=lambda period: period.start or date.min)
        return TwoWords(flag, Care(in_care=True, authority=newest.authority))
    if any(
        period.status == _SHORT_BREAKS
        and (period.start is None or period.start <= today)
        and (period.end is None or period.end >= today)
        for period in learner.care.values()
    ):
        return None
    return TwoWords(flag, Care(in_care=False))


def agreeing(event: EventObject, learner: Learner, today: date) -> tuple[Judged, ...]:
    """Return that flag and records of a learner's care do not differ (any more), for all that may have shown it.

    Either may have been mended, and then neither is at fault. Of several schools' flags, the one of the school that
    spoke last is known.

    Args:
        event: What speaks of care.
        learner: The learner that it is about, as known with it.
    """
    words = care_of(learner, today)
    if words is not None and not words.agree:
        return ()
    spoke_last = learner.sources.get(_LEARNER)
    return tuple(
        Judged(key.object_type, _as_key("@RefId", key.ref), "", "", _WHOLE, (), rule=FLAG_AGREES, source=source)
        for key, held in learner.holdings.items()
        for source in held.sources
        if key.object_type == _LOOKED_AFTER
        or (key.object_type == _LEARNER and source == spoke_last and event.object_type == _LOOKED_AFTER)
    )


def judged(
    event: EventObject,
    findings: tuple[Finding, ...],
    sender: AgentId,
    learner: Learner | None,
    registry: Registry,
    schools: Mapping[str, str],
) -> Judged:
    """Return what *event* showed of its record.

    Args:
        learner: The learner that the object is about, as known; None when it is about none, or one not known.
        registry: Which establishments the sender speaks for.
        schools: Establishment number by the RefId of its SchoolInfo.
    """
    key = record_key(event.element, event.object_type)
    if not findings:  # as with nearly all
        return Judged(event.object_type, key, "", "", _seen(event), ())
    return Judged(
        event.object_type,
        key,
        _school(sender, learner, registry, schools),
        _local_id(event, sender, learner),
        _seen(event),
        findings,
        not any(finding.severity == "refuse" for finding in findings),
    )


def record_key(element: etree._Element, object_type: str) -> str:
    """Return the values of an object's keys, joined by bars."""
    ref_id = element.get("RefId")
    if ref_id is not None:
        return _as_key("@RefId", ref_id)
    return "|".join(_as_key(path, _value(element, path)) for path in schemas.load().keys(object_type))


def _as_key(path: str, value: str) -> str:
    """Return a value by which a record can be known again; what has not the form of its key is not repeated."""
    value = value.strip()
    has_form = is_guid(value) if path.startswith("@") else _YEAR_OR_DATE.fullmatch(value) is not None
    return value if has_form else hashlib.sha256(value.encode()).hexdigest()[:32]


def _value(element: etree._Element, path: str) -> str:
    if path.startswith("@"):
        return element.get(path[1:], "")
    return element.findtext(f"{{{NAMESPACE}}}{path}") or ""


def _seen(event: EventObject) -> frozenset[str]:
    """A Change tells only of what it holds; an Add and a Delete of the whole record."""
    if event.action is not Action.CHANGE:
        return _WHOLE
    seen: set[str] = set()
    pending = [(event.element, "")]
    while pending:
        element, above = pending.pop()
        seen.update(f"{above}@{name!s}" for name in element.attrib)
        for child in element:
            path = above + local_name(child)
            seen.add(path)
            pending.append((child, f"{path}/"))
    return frozenset(seen)


def _local_id(event: EventObject, sender: AgentId, learner: Learner | None) -> str:
    """The id people know the record by: of the object itself where it has one, else of the learner it is about.

    The latter only where the sender itself published the learner: another system's id is not for it to see.
    """
    own = next(event.element.iterchildren(_LOCAL_ID), None)
    text = (own.text or "").strip() if own is not None else ""
    if not text and learner is not None and learner.sources.get(_LEARNER) == sender:
        text = learner.local_id
    return as_local_id(text)


def _school(sender: AgentId, learner: Learner | None, registry: Registry, schools: Mapping[str, str]) -> str:
    agent = registry.agents.get(sender)
    own: Sequence[str] = sorted(agent.establishments) if agent is not None else ()
    if len(own) == 1:
        return own[0]
    stays = sorted(schools.get(stay.school, stay.school) for stay in (learner.enrolments if learner else {}).values())
    return next((school for school in stays if school in own), "")
