"""Builds the elements of a transfer file: without namespace, and without any that would be empty."""

from lxml import etree

Element = etree._Element


def leaf(tag: str, text: str) -> Element | None:
    """Return an element with a text; None without one."""
    if not text:
        return None
    element = etree.Element(tag)
    element.text = text
    return element


def group(tag: str, *children: Element | None) -> Element | None:
    """Return an element with those children that there are; None without any: empty elements make importers fail."""
    found = [child for child in children if child is not None]
    if not found:
        return None
    element = etree.Element(tag)
    element.extend(found)
    return element


def whole(tag: str, *children: Element | None) -> Element:
    """Return an element that is there even when it has no children."""
    found = group(tag, *children)
    return etree.Element(tag) if found is None else found


__all__ = ["Element", "group", "leaf", "whole"]
