"""Whether a text fits a simple type, and how to say what would fit; the texts themselves are never repeated."""

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.source import XS, empty_like, reference_to

_BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "xs:ID": "a name without spaces, used once",
        "xs:NCName": "a name without spaces and colons",
        "xs:NMTOKEN": "a name without spaces",
        "xs:anySimpleType": "text",
        "xs:anyURI": "a web address",
        "xs:base64Binary": "base64 text",
        "xs:boolean": "true or false",
        "xs:date": "a date that exists, written like 2026-09-01",
        "xs:dateTime": "a date and time, written like 2026-09-01T08:45:00",
        "xs:decimal": "a number, with a point where there are decimals",
        "xs:double": "a number, with a point where there are decimals",
        "xs:duration": "a length of time, written like PT1H30M",
        "xs:float": "a number, with a point where there are decimals",
        "xs:gMonthDay": "a month and day, written like --09-01",
        "xs:gYear": "a year, written like 2026",
        "xs:gYearMonth": "a year and month, written like 2026-09",
        "xs:hexBinary": "hexadecimal digits in pairs",
        "xs:int": "a whole number",
        "xs:integer": "a whole number",
        "xs:long": "a whole number",
        "xs:nonNegativeInteger": "a whole number, 0 or more",
        "xs:normalizedString": "text",
        "xs:positiveInteger": "a whole number, 1 or more",
        "xs:short": "a whole number",
        "xs:string": "text",
        "xs:time": "a time of day, written like 08:45:00",
        "xs:token": "text",
        "xs:unsignedInt": "a whole number, 0 or more",
        "xs:unsignedLong": "a whole number, 0 or more",
        "xs:unsignedShort": "a whole number, 0 or more",
    }
)


class Values:
    """Judges texts with the engine that checks whole objects, so that the two cannot disagree.

    Args:
        document: The xs:schema element whose named simple types are meant.
    """

    def __init__(self, document: etree._Element) -> None:
        schema = empty_like(document)
        self._simple = {child.get("name", ""): child for child in document if child.tag == XS + "simpleType"}
        schema.extend(deepcopy(child) for child in self._simple.values())
        for name in self._simple:
            etree.SubElement(schema, XS + "element", {"name": name, "type": reference_to(name, document)})
        xs = next(prefix for prefix, uri in document.nsmap.items() if f"{{{uri}}}" == XS)
        for name in _BUILT_IN:
            # each built-in type gets an element of its own, too: "xs:date" becomes "xs.date"
            type_ = name.replace("xs:", f"{xs}:" if xs else "")
            etree.SubElement(schema, XS + "element", {"name": name.replace(":", "."), "type": type_})
        self._compiled = etree.XMLSchema(schema)
        self._namespace = document.get("targetNamespace", "")

    def fits(self, text: str, simple_type: str) -> bool:
        """Return whether the text is one that the type allows."""
        sample = etree.Element(f"{{{self._namespace}}}{simple_type.replace(':', '.')}")
        sample.text = text
        return self._compiled(sample)

    def choices(self, simple_type: str) -> tuple[str, ...]:
        """Return the texts that the type lists as allowed, in its order; none when it lists none."""
        simple = self._simple.get(simple_type)
        if simple is None:
            return ()
        return tuple(each.get("value", "") for each in simple.iterfind(f"{XS}restriction/{XS}enumeration"))

    def wanted(self, simple_type: str) -> str:
        """Return what the type wants, as the end of a sentence without its full stop."""
        simple = self._simple.get(simple_type)
        if simple is None:
            return _BUILT_IN.get(simple_type, "text")
        said = simple.findtext(f"{XS}annotation/{XS}documentation")
        return said.strip().rstrip(".") if said else self._of_facets(simple)

    def _of_facets(self, simple: etree._Element) -> str:
        """Put facets into words, for types that say nothing of themselves."""
        restriction = simple.find(XS + "restriction")
        if restriction is None:
            return "a text of another form"
        facets = {str(facet.tag).removeprefix(XS): facet.get("value", "") for facet in restriction}
        base = restriction.get("base", "").rpartition(":")[2]
        said = [self.wanted(base) if base in self._simple else _BUILT_IN.get(f"xs:{base}", "text")]
        for facet, words in _FACETS.items():
            if facet in facets:
                said.append(words.format(facets[facet]))
        return ", ".join(said)


_FACETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "length": "{} characters long",
        "minLength": "at least {} characters long",
        "maxLength": "at most {} characters long",
        "pattern": "of the form {}",
        "minInclusive": "at least {}",
        "minExclusive": "more than {}",
        "maxInclusive": "at most {}",
        "maxExclusive": "less than {}",
        "fractionDigits": "with at most {} decimals",
    }
)
