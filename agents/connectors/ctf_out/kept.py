"""The kept objects that one transfer file is made of, and which of their elements went into it; no I/O of its own."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from broker.protocol.envelope import local_name
from mappings import Objects
from schemas import SchemaSet

_LEARNER: Final = "LearnerPersonal"
_NOT_HISTORY: Final = frozenset({"LearnerTransfer"})
"""Objects about the very transfer that the file is made for."""
_TECHNICAL: Final = "SIF_Metadata"
_BREAKS: Final = re.compile(r"[\t\r\n]")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What an object holds and the file does not, without its value.

    Attributes:
        path: The element from its object on, for example ``LearnerPersonal/HomeLA``; an object alone where the format
            has no place for any of it.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class School:
    """A school as a transfer file names it."""

    authority: str
    number: str
    urn: str
    name: str

    @property
    def establishment(self) -> str:
        """Both numbers as one word of seven characters."""
        return self.authority + self.number


class KeptObject:
    """One object while a file is made of it: it remembers which of its elements were taken."""

    def __init__(self, element: etree._Element) -> None:
        self.element, self.object_type = element, local_name(element)
        self._taken: set[etree._Element] = set()
        self._reasons: dict[str, str] = {}

    def all(self, path: str, within: etree._Element | None = None) -> list[etree._Element]:
        """Return the elements at a path such as ``PersonalInformation/Name``, in their order."""
        clark = "/".join("{*}" + step for step in path.split("/"))
        return list((self.element if within is None else within).iterfind(clark))

    def see(self, path: str, within: etree._Element | None = None) -> str:
        """Return the text of the first element, or attribute, at a path without taking it; empty where none is."""
        return self._find(path, within)[1]

    def take(self, path: str, within: etree._Element | None = None) -> str:
        """Return the same text, and remember that it went into the file."""
        element, text = self._find(path, within)
        if element is not None:
            self._taken.add(element)
        return text

    def done_with(self, element: etree._Element) -> None:
        """Remember that all in an element went into the file, or says nothing that a file could."""
        self._taken.update(element.iter("*"))

    def leave(self, path: str, reason: str) -> None:
        """Remember why what is at a path, and below it, is left out; an empty path is the whole object."""
        self._reasons[path] = reason

    def left_out(self) -> Iterator[LeftOut]:
        """Yield each element with a text that was not taken, in the object's order, each path once."""
        if "" in self._reasons:
            yield LeftOut(self.object_type, self._reasons[""])
            return
        seen = set()
        for element in self.element.iter("*"):
            if element in self._taken or len(element) or not (element.text or "").strip():
                continue
            steps = [local_name(element), *(local_name(around) for around in element.iterancestors())]
            path = "/".join(reversed(steps[: steps.index(self.object_type)]))
            if path in seen or path.startswith(_TECHNICAL):
                continue
            seen.add(path)
            yield LeftOut(f"{self.object_type}/{path}", self._reason(path))
        for path, reason in self._reasons.items():
            if "@" in path:
                yield LeftOut(f"{self.object_type}/{path}", reason)

    def _find(self, path: str, within: etree._Element | None) -> tuple[etree._Element | None, str]:
        inner, at, attribute = path.partition("@")
        inner = inner.rstrip("/")
        found = next(iter(self.all(inner, within)), None) if inner else (self.element if within is None else within)
        if found is None:
            return None, ""
        return found, _clean(found.get(attribute) if at else found.text)

    def _reason(self, path: str) -> str:
        while path:
            if path in self._reasons:
                return self._reasons[path]
            path = path.rpartition("/")[0]
        return "a transfer file has no place for it, or only for one"


@dataclass(frozen=True, slots=True)
class KeptLearner:
    """All that is kept of one learner.

    Attributes:
        about: The learner's other objects by type.
        people: Adults by RefId, as far as one of the learner's objects names them.
    """

    ref_id: str
    personal: KeptObject = field(repr=False)
    about: Mapping[str, Sequence[KeptObject]] = field(repr=False)
    people: Mapping[str, KeptObject] = field(repr=False)

    def left_out(self, used: Collection[str]) -> Iterator[LeftOut]:
        """Yield what did not go into the file, each path once.

        Args:
            used: Types of which something can go into a file.
        """
        seen = set()
        for kept in (self.personal, *(one for kind in used for one in self.about.get(kind, ())), *self.people.values()):
            for left in kept.left_out():
                if left not in seen:
                    seen.add(left)
                    yield left
        for kind in sorted(self.about.keys() - {*used}):
            yield LeftOut(kind, "a transfer file has no place for this object: pass it on by another way")


class KeptZone:
    """Schools, assessments and learners of the objects that an agent keeps, each type read once."""

    def __init__(self, objects: Objects, ref_ids: Sequence[str], schema: SchemaSet) -> None:
        self._schools = {
            one.see("@RefId"): School(
                one.see("LAId"), one.see("EstablishmentId"), one.see("URN"), one.see("SchoolName")
            )
            for one in map(KeptObject, objects.all("SchoolInfo"))
        }
        self._by_number = {school.establishment: school for school in self._schools.values()}
        authorities = [KeptObject(element) for element in objects.all("LAInfo")]
        self._authorities = {one.see("@RefId"): one.see("LAId") for one in authorities}
        self._authority_names = {one.see("LAId"): one.see("LAName") for one in authorities}
        self._components = {one.see("@RefId"): one for one in map(KeptObject, objects.all("AssessmentResultComponent"))}
        about = _about(objects, frozenset(ref_ids), schema)
        self.learners: dict[str, KeptLearner] = {}
        for ref_id in ref_ids:
            personal = objects.get(_LEARNER, ref_id)
            if personal is not None:
                adults = {one.see("@ContactPersonalRefId") for one in about[ref_id].get("LearnerContact", ())}
                found = {adult: objects.get("ContactPersonal", adult) for adult in sorted(adults)}
                people = {adult: KeptObject(person) for adult, person in found.items() if person is not None}
                self.learners[ref_id] = KeptLearner(ref_id, KeptObject(personal), about[ref_id], people)

    def school(self, ref_id: str) -> School | None:
        """Return a school by its RefId."""
        return self._schools.get(ref_id)

    def numbered(self, establishment: str) -> School | None:
        """Return a school by its numbers."""
        return self._by_number.get(establishment)

    def component(self, ref_id: str) -> KeptObject | None:
        """Return what was assessed, an AssessmentResultComponent, by its RefId."""
        return self._components.get(ref_id)

    def authority(self, ref_id: str) -> str:
        """Return the number of an authority by its RefId; empty when it is not kept."""
        return self._authorities.get(ref_id, "")

    def authority_name(self, number: str) -> str:
        """Return the name of an authority by its number; empty when it is not kept."""
        return self._authority_names.get(number, "")


def _about(
    objects: Objects, ref_ids: frozenset[str], schema: SchemaSet
) -> Mapping[str, Mapping[str, Sequence[KeptObject]]]:
    found: dict[str, dict[str, list[KeptObject]]] = defaultdict(dict)
    for object_type in schema.objects:
        path = schema.learner_ref(object_type)
        if path is None or object_type == _LEARNER or object_type in _NOT_HISTORY:
            continue
        for kept in map(KeptObject, objects.all(object_type)):
            ref_id = kept.take(path)
            if ref_id in ref_ids:
                found[ref_id].setdefault(object_type, []).append(kept)
    return found


def _clean(text: str | None) -> str:
    return _BREAKS.sub(" ", text or "").strip()


__all__ = ["KeptLearner", "KeptObject", "KeptZone", "LeftOut", "School"]
