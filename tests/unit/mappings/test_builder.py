"""How texts get into objects: whatever signs they hold, the object has these; what XML cannot carry is left out."""

from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest

from mappings import InwardMapping, Record, RefIds

MAPPING = """
object = "LearnerPersonal"
key = ["UPN"]
[fields]
"LocalId" = LOCAL
"PersonalInformation/Name/@Type" = { const = "C" }
"PersonalInformation/Name/FamilyName" = "Surname"
"PersonalInformation/Name/GivenName" = { const = "Odalric" }
"""
EXTENDED = """
"SIF_ExtendedElements/SIF_ExtendedElement/@Name" = { from = "Stay", convert = "suffix:\\"<\\r\\n\\t&" }
"SIF_ExtendedElements/SIF_ExtendedElement" = "Stay"
"""


def _row(**fields: str) -> Record:
    return Record("row 2", {"UPN": "A820990119007", "Surname": "Thornquist", **fields})


@pytest.mark.parametrize("text", ["a & b", "<b>", "&lt;", "]]>", "'\"", "\u00a0x", "\x7f\x85", "\u2028", "😀", "<!--"])
def test_a_text_stands_in_the_object_as_it_was(
    inward: Callable[[str], InwardMapping], ref_ids: RefIds, text: str
) -> None:
    translation = inward(MAPPING.replace("LOCAL", '"Adno"')).translate(_row(Adno=text, Surname=text), ref_ids)

    (made,) = translation.objects
    assert made.element.findtext("{*}LocalId") == text
    assert made.element.findtext(".//{*}FamilyName") == text
    assert [len(element) for element in made.element.iterfind("{*}LocalId")] == [0]


def test_signs_that_end_an_attribute_or_change_in_one_stay_in_it(
    inward: Callable[[str], InwardMapping], ref_ids: RefIds
) -> None:
    mapping = inward(MAPPING.replace("LOCAL", '"Adno"') + EXTENDED)

    (made,) = mapping.translate(_row(Stay="x"), ref_ids).objects

    (stay,) = made.element.iterfind("{*}SIF_ExtendedElements/{*}SIF_ExtendedElement")
    assert stay.get("Name") == 'x"<\r\n\t&'


@pytest.mark.parametrize(
    ("convert", "rule"), [("prefix:\\ufffe", "characters"), ("ours", "ours")], ids=["no character", "no text"]
)
def test_what_a_converter_makes_and_xml_cannot_carry_costs_only_its_field(
    inward: Callable[[str], InwardMapping],
    ref_ids: RefIds,
    monkeypatch: pytest.MonkeyPatch,
    convert: str,
    rule: str,
) -> None:
    monkeypatch.setattr("mappings.converters._added", lambda: {"ours": EntryPoint("ours", "builtins:len", "group")})
    mapping = inward(MAPPING.replace("LOCAL", f'{{ from = "Adno", convert = "{convert}" }}'))

    translation = mapping.translate(_row(Adno="7"), ref_ids)

    assert len(translation.objects) == 1
    assert translation.objects[0].element.find("{*}LocalId") is None
    assert [(problem.target, problem.rule) for problem in translation.problems] == [("LocalId", rule)]
