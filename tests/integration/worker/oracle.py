"""Who may hold what of a learner, said once more and plainly: what is published, what agreements say, and the day.

For the test of scopes: it knows nothing of how the zone comes to its decisions.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Final

from lxml import etree

from broker.protocol.envelope import Action, local_name
from tests.integration.worker.stage import Key, agreement, key_of, learner_of

PLACES: Final = {
    "platform": ({"8209901", "8209902"}, ""),
    "bookroom": ({"8209901"}, ""),
    "virtual-school": (set[str](), "820"),
    "ctf-out": (set[str](), ""),
    "mis-2": ({"8209902"}, ""),
}
"""By recipient, the schools it serves and the authority it acts for."""
WHOLE: Final = ("*",)
_STEERING: Final = {"LearnerLookedAfter": {"ShieldCode"}}

Parts = Mapping[str, tuple[object, ...]]
"""The children of an object by name, each with all that is in it; its attributes under an empty name."""


@dataclass(frozen=True, slots=True)
class Terms:
    """An agreement."""

    senders: tuple[str, ...]
    to: tuple[str, ...]
    scope: str
    objects: tuple[tuple[str, tuple[str, ...]], ...]
    starts: date
    expires: date
    shielded: bool = False
    notice: bool = False

    def text(self, name: str) -> str:
        """Return it as a zone reads it."""
        more = ("shielded = true\n" if self.shielded else "") + ('leaving = "notice"\n' if self.notice else "")
        dates = {"starts": str(self.starts), "expires": str(self.expires)}
        return agreement(name, self.senders, self.to, self.scope, dict(self.objects), more=more, **dates)


@dataclass(slots=True)
class Facts:
    """What is true of a learner.

    Attributes:
        stays: School and last day by enrolment.
        periods: First day, last day and status by period of care.
        flag: What LearnerPersonal says of care.
        destinations: Schools to which the record is under way; an empty name for those without an agent.
    """

    stays: dict[str, tuple[str, date | None]] = field(default_factory=dict)
    periods: dict[str, tuple[date, date | None, str]] = field(default_factory=dict)
    flag: bool = False
    home: str = ""
    shielded: bool = False
    adopted: bool = False
    destinations: frozenset[str] | None = None

    def is_in(self, scope: str, recipient: str, today: date) -> bool:
        """Tell whether the learner is in a scope; where it is not known where a record is going, it may be."""
        schools, authority = PLACES[recipient]
        if scope == "enrolled":
            return any(school in schools and (ends is None or ends >= today) for school, ends in self.stays.values())
        if scope == "looked-after":
            return authority == "820" and self._is_looked_after(today)
        if scope == "resident":
            return authority != "" and self.home == authority
        if scope == "transferring":
            return self.destinations is None or bool(self.destinations & (schools or {""}))
        return True

    def _is_looked_after(self, today: date) -> bool:
        if not self.periods:
            return self.flag
        return any(
            status == "LA" and starts <= today and (ends is None or today <= ends)
            for starts, ends, status in self.periods.values()
        )


@dataclass(slots=True)
class World:
    """What is published and true, after what has been said so far.

    Attributes:
        published: By object, what each publisher says of it; who spoke last comes last.
        owners: By object the learner that it is of.
    """

    schools: Mapping[str, str]
    facts: dict[str, Facts] = field(default_factory=dict)
    published: dict[Key, dict[str, etree._Element]] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)

    def copy(self) -> "World":
        """Return one that goes on without this."""
        published = {key: dict(by) for key, by in self.published.items()}
        return World(self.schools, deepcopy(self.facts), published, dict(self.owners))

    def hear(self, agent: str, action: Action, element: etree._Element, owner: str) -> None:
        """Take up an event."""
        key = key_of(element)
        self.owners[key] = owner
        said = self.published.setdefault(key, {})
        said.pop(agent, None)
        if action is not Action.DELETE:
            said[agent] = element
        self._learn(action, element, self.facts.setdefault(owner, Facts()), last=not said)
        if key[0] == "LearnerPersonal" and not said:
            self._forget(agent, owner)

    def _learn(self, action: Action, element: etree._Element, facts: Facts, *, last: bool) -> None:
        ref = element.get("RefId", "")
        gone = action is Action.DELETE
        match local_name(element):
            case "LearnerPersonal" if not gone:
                facts.flag, facts.home = _text(element, "Current") == "Yes", _text(element, "HomeLA")
            case "LearnerPersonal" if last:
                facts.flag, facts.home = False, ""
            case "LearnerSchoolEnrolment" if gone:
                facts.stays.pop(ref, None)
            case "LearnerSchoolEnrolment":
                school = self.schools[element.get("SchoolInfoRefId", "")]
                facts.stays[ref] = school, _day(element, "ExitDate")
            case "LearnerLookedAfter" if gone:
                facts.periods.pop(ref, None)
            case "LearnerLookedAfter":
                starts = _day(element, "CareStartDate") or date.min
                facts.periods[ref] = starts, _day(element, "CareEndDate"), _text(element, "CareStatus")
                code = _text(element, "ShieldCode")
                facts.adopted |= code == "A"
                facts.shielded = facts.adopted or (facts.shielded if not code else code == "P")

    def _forget(self, agent: str, owner: str) -> None:
        """With a learner's record, all goes that its publisher alone says of the learner."""
        for key, said in self.published.items():
            if self.owners[key] == owner and list(said) == [agent]:
                said.clear()
                self.facts[owner].stays.pop(key[1], None)
                self.facts[owner].periods.pop(key[1], None)

    def sources(self, agreements: Iterable[Terms], today: date, recipient: str, key: Key) -> dict[str, list[Terms]]:
        """Return whose word on an object a recipient may have, by which agreements; who spoke last comes last."""
        said = [source for source in self.published.get(key, {}) if source != recipient]
        found = {source: self._allowing(agreements, today, recipient, key, source) for source in said}
        return {source: by for source, by in found.items() if by}

    def _allowing(self, agreements: Iterable[Terms], today: date, recipient: str, key: Key, source: str) -> list[Terms]:
        facts = self.facts[self.owners[key]]
        return [
            terms
            for terms in agreements
            if key[0] in dict(terms.objects)
            and recipient in terms.to
            and any(fnmatchcase(source, pattern) for pattern in terms.senders)
            and terms.starts <= today <= terms.expires
            and facts.is_in(terms.scope, recipient, today)
            and (terms.shielded or not facts.shielded)
        ]


def cut(element: etree._Element, agreements: Iterable[Terms]) -> Parts:
    """Return what agreements let through of an object."""
    kind = local_name(element)
    paths = {path for terms in agreements for path in dict(terms.objects)[kind]}
    hidden = _STEERING.get(kind, set())
    return {
        name: content
        for name, content in parts(element).items()
        if name not in hidden and (name == "" or "*" in paths or name in paths)
    }


def parts(element: etree._Element) -> Parts:
    """Return what is in an object."""
    return {"": tuple(sorted(element.items())), **{local_name(child): _content(child) for child in element}}


def _content(element: etree._Element) -> tuple[object, ...]:
    attributes = tuple(sorted(element.items()))
    return (local_name(element), attributes, (element.text or "").strip(), *(_content(child) for child in element))


def _text(element: etree._Element, name: str) -> str:
    return (element.findtext(f".//{{*}}{name}") or "").strip()


def _day(element: etree._Element, name: str) -> date | None:
    text = _text(element, name)
    return date.fromisoformat(text) if text else None


__all__ = ["PLACES", "WHOLE", "Facts", "Parts", "Terms", "World", "cut", "learner_of", "parts"]
