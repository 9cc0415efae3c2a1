"""Applies a Change to an object as it is kept; no I/O.

What a Change holds replaces what was there, element by element; what it does not hold stays. ``xsi:nil="true"`` empties
an element. Lists are replaced whole, except those of e-mails, telephone numbers, addresses and extended elements, whose
members are replaced by their key or taken out by ``SIF_Action="Delete"``.
"""

from copy import deepcopy
from typing import Final

from lxml import etree

from agents.diff import XSI_NIL, insert_in_order
from broker.protocol.envelope import local_name
from schemas import SchemaSet

_ACTION: Final = "SIF_Action"
_KEYED: Final = {"Email": "Type", "PhoneNumber": "Type", "Address": "Type", "SIF_ExtendedElement": "Name"}


def merge(kept: etree._Element, change: etree._Element, schema: SchemaSet) -> etree._Element:
    """Return a new element: *kept* with *change* applied.

    Source:
        SIF UK 1.2 and 1.3 message schemas, Change events; which lists merge by key: SIF_Action in the same.
    """
    merged = deepcopy(kept)
    _apply(merged, change, local_name(change), "", schema)
    return merged


def _apply(kept: etree._Element, change: etree._Element, object_type: str, path: str, schema: SchemaSet) -> None:
    for name, value in change.attrib.items():
        if name != _ACTION:
            kept.set(name, value)
    order = schema.elements_in_order(object_type, path)
    for tag in dict.fromkeys(child.tag for child in change.iterchildren("*")):
        news = change.findall(tag)
        olds = kept.findall(tag)
        below = f"{path}/{local_name(news[0])}" if path else local_name(news[0])
        key = _KEYED.get(local_name(news[0]))
        if path and key is not None and _is_list(object_type, below, schema):
            _merge_members(kept, news, key)
        elif len(news) == 1 and news[0].get(XSI_NIL) in ("true", "1"):
            _remove(kept, olds)
        elif len(news) == 1 and len(news[0]) and not _holds_list(news[0], object_type, below, schema):
            if not olds:
                olds = [etree.Element(tag)]
                insert_in_order(kept, olds[0], order)
            _apply(olds[0], news[0], object_type, below, schema)
        else:
            _remove(kept, olds)
            for new in news:
                insert_in_order(kept, _clean(new), order)


def _is_list(object_type: str, path: str, schema: SchemaSet) -> bool:
    node = schema.find(object_type, path)
    return node is not None and node.repeatable


def _holds_list(element: etree._Element, object_type: str, path: str, schema: SchemaSet) -> bool:
    """Whether *element* is a list that is replaced whole."""
    names = {local_name(child) for child in element.iterchildren("*")}
    return any(_is_list(object_type, f"{path}/{name}", schema) for name in names - _KEYED.keys())


def _merge_members(kept: etree._Element, members: list[etree._Element], key: str) -> None:
    for member in members:
        olds = [old for old in kept.findall(member.tag) if old.get(key) == member.get(key)]
        if member.get(_ACTION) == "Delete":
            _remove(kept, olds)
        elif olds:
            kept.replace(olds[0], _clean(member))
        else:
            kept.append(_clean(member))


def _remove(parent: etree._Element, children: list[etree._Element]) -> None:
    for child in children:
        parent.remove(child)


def _clean(element: etree._Element) -> etree._Element:
    copy = deepcopy(element)
    copy.tail = None
    if _ACTION in copy.attrib:
        del copy.attrib[_ACTION]
    return copy


__all__ = ["merge"]
