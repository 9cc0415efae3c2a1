"""Single texts are judged as in whole objects, and what is wanted is said in plain words."""

import pytest
from lxml import etree

from schemas.values import _BUILT_IN, Values

HEAD = (
    'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:s="urn:s" targetNamespace="urn:s" elementFormDefault="qualified"'
)
CODES = "".join(f'<xs:enumeration value="{number}"/>' for number in range(20))


def values(inside: str, more: str = "") -> Values:
    """Return what judges a type T of this definition."""
    return Values(
        etree.fromstring(f'<xs:schema {HEAD}><xs:simpleType name="T">{inside}</xs:simpleType>{more}</xs:schema>')
    )


def restriction(base: str, **facets: str) -> str:
    inside = "".join(f'<xs:{name} value="{value}"/>' for name, value in facets.items())
    return f'<xs:restriction base="{base}">{inside}</xs:restriction>'


def note(text: str) -> str:
    return f"<xs:annotation><xs:documentation>{text}</xs:documentation></xs:annotation>"


NUMBER = "a number, with a point where there are decimals"
DATE = "a date that exists, written like 2026-09-01"
LIST = "a list with spaces between its members, each"
OTHER = f'<xs:simpleType name="date">{restriction("xs:token", maxLength="3")}</xs:simpleType>'
AB = '<xs:restriction base="xs:token"><xs:enumeration value="A"/><xs:enumeration value="B"/></xs:restriction>'
EMPTY = f"<xs:simpleType>{restriction('xs:token', enumeration='')}</xs:simpleType>"


@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        (restriction("xs:string"), "text"),
        (restriction("xs:token", length="8"), "text, 8 characters long"),
        (
            restriction("xs:token", minLength="1", maxLength="5"),
            "text, at least 1 character long, at most 5 characters long",
        ),
        (restriction("xs:token", maxLength="0"), "nothing"),
        (restriction("xs:token", length="0"), "nothing"),
        (restriction("xs:token", pattern="[0-9]{3}"), "text, of the form [0-9]{3}"),
        (restriction("xs:token", pattern="[0-9A-F]{32}"), "32 hexadecimal digits, in capitals"),
        (restriction("xs:token", pattern="a").replace("</", '<xs:pattern value="b"/></'), "text, of the form a or b"),
        (
            restriction("xs:unsignedInt", minInclusive="1", maxInclusive="10"),
            "a whole number, 0 or more, at least 1, at most 10",
        ),
        (restriction("xs:decimal", minExclusive="0", maxExclusive="1"), f"{NUMBER}, more than 0, less than 1"),
        (
            restriction("xs:decimal", totalDigits="5", fractionDigits="1"),
            f"{NUMBER}, with at most 5 digits, with at most 1 decimal",
        ),
        (restriction("xs:token", whiteSpace="collapse"), "text"),
        (restriction("xs:date"), DATE),
        (restriction("s:date"), "text, at most 3 characters long"),
        (restriction("s:date", minLength="2"), "text, at most 3 characters long, at least 2 characters long"),
        (f"<xs:restriction><xs:simpleType>{restriction('xs:date')}</xs:simpleType></xs:restriction>", DATE),
        (AB, "one of A, B"),
        (
            f'<xs:restriction base="xs:token">{CODES}</xs:restriction>',
            "one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...",
        ),
        ('<xs:union memberTypes="xs:date s:date xs:date"/>', f"{DATE}, or text, at most 3 characters long"),
        (f'<xs:union memberTypes="xs:boolean">{EMPTY}</xs:union>', "true or false, or nothing"),
        ('<xs:list itemType="xs:date"/>', f"{LIST} {DATE}"),
        (f"<xs:list><xs:simpleType>{AB}</xs:simpleType></xs:list>", f"{LIST} one of A, B"),
        (note(" A day. ") + restriction("xs:date"), "A day"),
        (note(" ") + restriction("xs:boolean"), "true or false"),
    ],
)
def test_what_is_wanted_is_said_in_words(inside: str, wanted: str) -> None:
    assert values(inside, OTHER).wanted("T") == wanted


@pytest.mark.parametrize(
    ("inside", "choices"),
    [
        (AB, ("A", "B")),
        (restriction("s:base"), ("X", "Y")),
        (f"<xs:restriction><xs:simpleType>{AB}</xs:simpleType></xs:restriction>", ("A", "B")),
        (f'<xs:union memberTypes="s:base"><xs:simpleType>{AB}</xs:simpleType></xs:union>', ("X", "Y", "A", "B")),
        (f'<xs:union memberTypes="s:base s:base">{EMPTY}</xs:union>', ("X", "Y", "")),
        ('<xs:union memberTypes="s:base xs:date"/>', ()),
        ('<xs:list itemType="s:base"/>', ()),
        (restriction("xs:token", maxLength="3"), ()),
    ],
)
def test_choices_are_told_where_nothing_else_is_allowed(inside: str, choices: tuple[str, ...]) -> None:
    xy = AB.replace('"A"', '"X"').replace('"B"', '"Y"')
    base = f'<xs:simpleType name="base">{xy}</xs:simpleType>'
    judge = values(inside, base)

    assert judge.choices("T") == choices
    assert all(judge.fits(choice, "T") for choice in choices)


FITTING = {
    "xs:ENTITIES": "a b", "xs:ENTITY": "a", "xs:IDREFS": "a b", "xs:NMTOKENS": "a b", "xs:QName": "a:b",
    "xs:base64Binary": "YQ==", "xs:boolean": "true", "xs:byte": "1", "xs:date": "2026-09-01",
    "xs:dateTime": "2026-09-01T08:45:00", "xs:duration": "PT1H30M", "xs:gDay": "---01", "xs:gMonth": "--09",
    "xs:gMonthDay": "--09-01", "xs:gYear": "2026", "xs:gYearMonth": "2026-09", "xs:hexBinary": "0A",
    "xs:negativeInteger": "-1", "xs:nonPositiveInteger": "0", "xs:time": "08:45:00",
}  # fmt: skip
NUMBERS = ("decimal", "double", "float", "int", "integer", "long", "short", "nonNegativeInteger", "positiveInteger")


@pytest.mark.parametrize("name", sorted(_BUILT_IN))
def test_each_built_in_type_takes_what_fits_it_and_is_in_words(name: str) -> None:
    judge = values(AB)
    numeric = name.removeprefix("xs:") in NUMBERS or name.startswith("xs:unsigned")

    assert judge.fits(FITTING.get(name, "1" if numeric else "a"), name)
    assert judge.wanted(name) == _BUILT_IN[name]
    assert judge.choices(name) == ()


@pytest.mark.parametrize("text", ["maybe", "2026-13-01", "1.2.3"])
@pytest.mark.parametrize("name", ["xs:boolean", "xs:date", "xs:decimal", "xs:int", "xs:gDay", "xs:hexBinary"])
def test_built_in_types_refuse_what_does_not_fit(name: str, text: str) -> None:
    assert not values(AB).fits(text, name)
