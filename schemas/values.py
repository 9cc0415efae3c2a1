"""Whether a text fits a simple type, and how to say what would fit; the texts themselves are never repeated."""

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.source import XS, empty_like

_BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "xs:anyURI": "a web address",
        "xs:boolean": "true or false",
        "xs:date": "a date that exists, written like 2026-09-01",
        "xs:dateTime": "a date and time, written like 2026-09-01T08:45:00",
        "xs:decimal": "a number, with a point where there are decimals",
        "xs:gYear": "a year, written like 2026",
        "xs:integer": "a whole number",
        "xs:normalizedString": "text",
        "xs:string": "text",
        "xs:token": "text",
        "xs:unsignedInt": "a whole number, 0 or more",
    }
)


class Values:
    """Judges texts with the engine that checks whole objects, so that the two cannot disagree.

    Args:
        document: The xs:schema element whose simple types are meant.
    """

    def __init__(self, document: etree._Element) -> None:
        schema = empty_like(document)
        simple = [child for child in document if child.tag == XS + "simpleType"]
        schema.extend(deepcopy(child) for child in simple)
        for name in [*_BUILT_IN, *(child.get("name", "") for child in simple)]:
            # each type gets an element of its own, named after it; "xs:date" becomes "xs.date"
            etree.SubElement(schema, XS + "element", {"name": name.replace(":", "."), "type": name})
        self._compiled = etree.XMLSchema(schema)
        self._namespace = document.get("targetNamespace", "")
        self._wanted = {**_BUILT_IN, **{child.get("name", ""): _documentation(child) for child in simple}}

    def fits(self, text: str, simple_type: str) -> bool:
        """Return whether the text is one that the type allows."""
        sample = etree.Element(f"{{{self._namespace}}}{simple_type.replace(':', '.')}")
        sample.text = text
        return self._compiled(sample)

    def wanted(self, simple_type: str) -> str:
        """Return what the type wants, as the end of a sentence without its full stop."""
        return self._wanted[simple_type]


def _documentation(simple: etree._Element) -> str:
    text = simple.findtext(f"{XS}annotation/{XS}documentation") or "a text of another form"
    return text.strip().rstrip(".")
