"""What a rule is and what it says, and how it looks around in an object; the rules are in the modules beside this one.

An object may be a part of one, as in a Change or Delete, so a rule can take nothing to be there. The zone's parser has
taken comments out. Namespaces: an element has that of the object it is in, so rules speak of names alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from schemas.model import Severity
from schemas.rules.facts import Facts

BAD_VALUE: Final = 4
MISSING: Final = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule says of an object.

    Attributes:
        at: The element that is wrong; its path and line are not asked for before there is a fault.
        message: A sentence that says what is wrong and what to do; never a text of the object.
        attribute: Which attribute of the element is wrong, or "".
    """

    at: etree._Element
    message: str
    attribute: str = ""


Check = Callable[[etree._Element, Facts], Iterable[Fault]]
"""Judges one element, with what is around it: what is wrong, or nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that XSD cannot say.

    Attributes:
        name: For settings and findings, for example "upn-check-letter".
        title: What it looks at, in a few words.
        elements: By kind of object, the elements that it judges: "PostCode" wherever it is, "FormerUPNList/UPN" in that
            parent only; the object itself goes by its own name. In one kind of object, all rules must name an element
            in the same way, with parents or without.
        severity: What it does unless the zone's settings say otherwise.
        why: One sentence: where the rule comes from.
        check: Called with each of those elements in turn.
        sif_code: Code in SIF error category 1: 4 bad value, 6 missing.
    """

    name: str
    title: str
    elements: Mapping[str, tuple[str, ...]]
    severity: Severity
    why: str
    check: Check
    sif_code: int = BAD_VALUE

    @property
    def objects(self) -> tuple[str, ...]:
        """The kinds of object that it looks at, sorted."""
        return tuple(sorted(self.elements))


def text_of(element: etree._Element | None) -> str:
    """Return an element's text without blanks around it; "" when it is empty, as with xsi:nil, or not there."""
    return "" if element is None else (element.text or "").strip()


def child_of(parent: etree._Element | None, name: str) -> etree._Element | None:
    """Return the first child of that name, or None."""
    if parent is None:
        return None
    end = "}" + name
    for child in parent:  # quicker than iterchildren() where the children are few
        if child.tag.endswith(end):
            return child
    return None


def before(element: etree._Element, name: str) -> etree._Element | None:
    """Return the nearest element of that name before this one in the same parent, or None.

    Where the schema puts the two close to each other it is quicker than `child_of` of the parent.
    """
    end = "}" + name
    sibling = element.getprevious()
    while sibling is not None and not sibling.tag.endswith(end):
        sibling = sibling.getprevious()
    return sibling


def namespace_of(element: etree._Element) -> str:
    """Return the element's namespace in braces, as it is in front of names."""
    tag = element.tag
    return tag[: tag.find("}") + 1]


def name_of(element: etree._Element) -> str:
    """Return the element's name without its namespace."""
    return element.tag.rpartition("}")[2]
