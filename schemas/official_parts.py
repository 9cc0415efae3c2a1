"""An official schema for parts of objects, as in a Change: the objects alone, and every element of them optional."""

from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from typing import Final

from lxml import etree

from schemas import source
from schemas.source import XS

_GROUPS: Final = (XS + "sequence", XS + "choice", XS + "all")
_OPAQUE: Final = (XS + "any", XS + "group")
_REFERENCES: Final = ("type", "base", "ref", "memberTypes", "itemType")


def reachable(schema: etree._Element, objects: Collection[str]) -> etree._Element:
    """Return a copy of a schema with the objects and what they refer to alone: no messages."""
    copy = deepcopy(schema)
    named: dict[str, list[etree._Element]] = {}
    for part in copy:
        named.setdefault(part.get("name", ""), []).append(part)
    pending = [name for name in named if name in objects]
    kept: set[str] = set()
    while pending:
        name = pending.pop()
        if name in kept:
            continue
        kept.add(name)
        for part in named.get(name, ()):
            pending += _names_in(part)
    for name, parts in named.items():
        if name not in kept:
            for part in parts:
                if part.tag != XS + "import":
                    copy.remove(part)
    return copy


def _names_in(part: etree._Element) -> Iterator[str]:
    for each in part.iter():
        for attribute in _REFERENCES:
            for name in each.get(attribute, "").split():
                yield name.rpartition(":")[2]


def made_optional(schema: etree._Element, keys: Mapping[str, Collection[str]]) -> etree._Element:
    """Return a copy in which every element is optional but the keys of objects, which stay as they are.

    Where an element has two places, as in a choice of two sequences that both end with it, nobody could tell then
    which one is meant, and XSD forbids that: there the elements may come in any order and number.
    """
    copy = deepcopy(schema)
    kept = [member for name in keys for member in _object_members(copy, name) if member.get("name") in keys[name]]
    source.make_optional(copy, {id(member) for member in kept})
    groups = [part for part in copy.iter() if part.tag in _GROUPS]
    for group in reversed(groups):  # the inner ones first
        members = list(_members(group))
        by_name = {each.get("name") or each.get("ref"): each for each in reversed(members)}
        if len(by_name) < len(members) and not any(part.tag in _OPAQUE for part in group.iter()):
            _loosen(group, list(by_name.values())[::-1])
    return copy


def _object_members(schema: etree._Element, name: str) -> Iterator[etree._Element]:
    """Yield the elements that an object is made of, but for those that its type has from another."""
    (declaration,) = (each for each in schema.iterfind(XS + "element") if each.get("name") == name)
    type_name = declaration.get("type", "").rpartition(":")[2]
    named = [each for each in schema.iterfind(XS + "complexType") if type_name and each.get("name") == type_name]
    for complex_type in (*named, *declaration.iterfind(XS + "complexType")):
        for child in complex_type:
            if child.tag in _GROUPS:
                yield from _members(child)


def _members(group: etree._Element) -> Iterator[etree._Element]:
    """Yield the elements of a group and of the groups in it, in order."""
    for child in group:
        if child.tag == XS + "element":
            yield child
        elif child.tag in _GROUPS:
            yield from _members(child)


def _loosen(group: etree._Element, members: list[etree._Element]) -> None:
    for member in members:
        member.attrib.pop("minOccurs", "")
        member.attrib.pop("maxOccurs", "")
    for child in list(group):
        group.remove(child)
    group.tag = XS + "sequence"
    group.attrib.clear()
    etree.SubElement(group, XS + "choice", {"minOccurs": "0", "maxOccurs": "unbounded"}).extend(members)
