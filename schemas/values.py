"""Whether a text fits a simple type, and how to say what would fit; the texts themselves are never repeated."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.source import XS, empty_like, reference_to

_BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "xs:ENTITIES": "names of entities",
        "xs:ENTITY": "the name of an entity",
        "xs:ID": "a name without spaces, used once",
        "xs:IDREF": "the xs:ID of another element",
        "xs:IDREFS": "the xs:IDs of other elements, with spaces between them",
        "xs:NCName": "a name without spaces and colons",
        "xs:NMTOKEN": "a name without spaces",
        "xs:NMTOKENS": "names without spaces, with spaces between them",
        "xs:Name": "a name without spaces",
        "xs:QName": "a name without spaces, with the prefix of its namespace",
        "xs:anySimpleType": "text",
        "xs:anyURI": "a web address",
        "xs:base64Binary": "base64 text",
        "xs:boolean": "true or false",
        "xs:byte": "a whole number",
        "xs:date": "a date that exists, written like 2026-09-01",
        "xs:dateTime": "a date and time, written like 2026-09-01T08:45:00",
        "xs:decimal": "a number, with a point where there are decimals",
        "xs:double": "a number, with a point where there are decimals",
        "xs:duration": "a length of time, written like PT1H30M",
        "xs:float": "a number, with a point where there are decimals",
        "xs:gDay": "a day of the month, written like ---01",
        "xs:gMonth": "a month, written like --09",
        "xs:gMonthDay": "a month and day, written like --09-01",
        "xs:gYear": "a year, written like 2026",
        "xs:gYearMonth": "a year and month, written like 2026-09",
        "xs:hexBinary": "hexadecimal digits in pairs",
        "xs:int": "a whole number",
        "xs:integer": "a whole number",
        "xs:language": "a language, written like en or en-GB",
        "xs:long": "a whole number",
        "xs:negativeInteger": "a whole number, less than 0",
        "xs:nonNegativeInteger": "a whole number, 0 or more",
        "xs:nonPositiveInteger": "a whole number, 0 or less",
        "xs:normalizedString": "text",
        "xs:positiveInteger": "a whole number, 1 or more",
        "xs:short": "a whole number",
        "xs:string": "text",
        "xs:time": "a time of day, written like 08:45:00",
        "xs:token": "text",
        "xs:unsignedByte": "a whole number, 0 or more",
        "xs:unsignedInt": "a whole number, 0 or more",
        "xs:unsignedLong": "a whole number, 0 or more",
        "xs:unsignedShort": "a whole number, 0 or more",
    }
)
_NOT_ALONE: Final = frozenset({"xs:ENTITIES", "xs:ENTITY", "xs:QName"})
"""Types whose texts depend on what is around them: alone, any would do."""
_XS_NAMESPACE: Final = XS.strip("{}")
_MOST_CODES_SAID: Final = 12
_REF_ID: Final = "[0-9A-F]{32}"
_PLURAL_OF_ONE: Final = re.compile(r"(\b1 (?:character|digit|decimal))s")
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
        "totalDigits": "with at most {} digits",
        "fractionDigits": "with at most {} decimals",
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
            type_ = ("xs:string" if name in _NOT_ALONE else name).replace("xs:", f"{xs}:" if xs else "")
            etree.SubElement(schema, XS + "element", {"name": name.replace(":", "."), "type": type_})
        self._compiled = etree.XMLSchema(schema)
        self._namespace = document.get("targetNamespace", "")
        self._choices: dict[str, tuple[str, ...]] = {}

    def fits(self, text: str, simple_type: str) -> bool:
        """Return whether the text is one that the type allows."""
        sample = etree.Element(f"{{{self._namespace}}}{simple_type.replace(':', '.')}")
        sample.text = text
        return self._compiled(sample)

    def choices(self, simple_type: str) -> tuple[str, ...]:
        """Return the texts that the type lists as allowed, in its order; none when it lists none."""
        if simple_type not in self._choices:
            simple = self._simple.get(simple_type)
            self._choices[simple_type] = () if simple is None else tuple(dict.fromkeys(self._listed(simple)))
        return self._choices[simple_type]

    def wanted(self, simple_type: str) -> str:
        """Return what the type wants, as the end of a sentence without its full stop."""
        return self._in_words(self._simple.get(simple_type, simple_type))

    def _listed(self, simple: etree._Element) -> tuple[str, ...]:
        """Return the texts of an enumeration, of that which it narrows, or of a union of nothing but enumerations."""
        definition = _definition(simple)
        own = tuple(each.get("value", "") for each in definition.iterfind(XS + "enumeration"))
        if own or definition.tag == XS + "list":
            return own
        members = [() if isinstance(each, str) else self._listed(each) for each in self._made_from(definition)]
        return tuple(text for texts in members for text in texts) if all(members) else ()

    def _in_words(self, simple: etree._Element | str) -> str:
        """Return what a type says of itself, or where it says nothing what it is made from and its facets."""
        if isinstance(simple, str):
            return _BUILT_IN.get(simple, "text")
        said = (simple.findtext(f"{XS}annotation/{XS}documentation") or "").strip().rstrip(".")
        if said:
            return said
        definition = _definition(simple)
        members = tuple(dict.fromkeys(self._in_words(each) for each in self._made_from(definition))) or ("text",)
        if definition.tag == XS + "list":
            return f"a list with spaces between its members, each {members[0]}"
        return ", or ".join(members) if definition.tag == XS + "union" else _narrowed(members[0], definition)

    def _made_from(self, definition: etree._Element) -> Iterator[etree._Element | str]:
        """Yield the types that a restriction, union or list is made from; of a built-in one the name, as "xs:date"."""
        for attribute in ("base", "memberTypes", "itemType"):
            for name in definition.get(attribute, "").split():
                prefix, _, local = name.rpartition(":")
                is_built_in = definition.nsmap.get(prefix or None) == _XS_NAMESPACE
                yield f"xs:{local}" if is_built_in else self._simple.get(local, local)
        yield from definition.iterfind(XS + "simpleType")


def _definition(simple: etree._Element) -> etree._Element:
    """Return the restriction, union or list that a simple type is."""
    return next(child for child in simple if child.tag != XS + "annotation")


def _narrowed(base: str, restriction: etree._Element) -> str:
    """Return the words of a base with those of the facets; several patterns are alternatives, and so are codes."""
    given: dict[str, list[str]] = {}
    for facet in restriction.iterfind(XS + "*"):
        given.setdefault(str(facet.tag).removeprefix(XS), []).append(facet.get("value", ""))
    codes = [code for code in given.get("enumeration", ()) if code]
    if codes:
        more = ", ..." if len(codes) > _MOST_CODES_SAID else ""
        return f"one of {', '.join(codes[:_MOST_CODES_SAID])}{more}"
    if given.get("enumeration") or given.get("length") == ["0"] or given.get("maxLength") == ["0"]:
        return "nothing"
    if given.get("pattern") == [_REF_ID]:
        return "32 hexadecimal digits, in capitals"
    said = [_one(words.format(" or ".join(given[facet]))) for facet, words in _FACETS.items() if facet in given]
    return ", ".join([base, *said])


def _one(words: str) -> str:
    return _PLURAL_OF_ONE.sub(r"\1", words)
