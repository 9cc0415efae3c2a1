"""Several of something in one record: the parts of a cell, sets of columns, gathered rows."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from lxml import etree

from mappings import InwardMapping, MappingError, Record, RefIds, Translation, load

Make = Callable[[str], InwardMapping]
NAME = "\"PersonalInformation/Name[@Type='C']/FamilyName\""
LEARNER = f'object = "LearnerPersonal"\nkey = ["UPN"]\n[fields]\n{NAME} = "Surname"\n'
UPNS = '[lists."FormerUPNList/UPN"]\neach = "Former"\nsplit = ";"\nfields = { "." = { from = ".", convert = "upn" } }\n'
PHONES = """
[lists."PersonalInformation/OtherPhoneNumberList/PhoneNumber"]
columns = [{ Number = "Tel {1-2}", Type = "Tel {1-2} Type" }, { Number = "Mobile", Type = { const = "M" } }]
unique = "@Type"
fields = { "Number" = { from = "Number", convert = "phone" }, "@Type" = "Type" }
"""
CONTACTS = f"""
object = "ContactPersonal"
columns = [{{ Surname = "Contact {{1-3}} Surname", Home = "Contact {{1-3}} Tel" }}]
key = ["/UPN", "Surname"]
about = {{ ref = "LearnerPersonal", key = ["/UPN"] }}
[fields]
{NAME} = {{ from = "Surname", required = true }}
"LocalId" = "#"
[lists."PersonalInformation/OtherPhoneNumberList/PhoneNumber"]
columns = [{{ Number = "Home", Type = {{ const = "H" }} }}, {{ Number = "/Office", Type = {{ const = "W" }} }}]
fields = {{ "Number" = {{ from = "Number", convert = "phone" }}, "@Type" = "Type" }}
"""


def _row(fields: Mapping[str, str]) -> Record:
    return Record("row 12", {"UPN": "X820990119007", "Surname": "Thornquist", **fields})


def _found(translation: Translation, name: str) -> list[tuple[str | None, str | None]]:
    """Return the text (or that of its first child) and the type of each element of a name."""
    elements = [e for made in translation.objects for e in made.element.iter(f"{{*}}{name}")]
    return [("".join(map(str, e.itertext())), e.get("Type")) for e in elements if isinstance(e, etree._Element)]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        pytest.param(
            "X820990119007; Y820990119007 ;", ["X820990119007", "Y820990119007"], id="blanks and an empty end"
        ),
        pytest.param("x820990119007", ["X820990119007"], id="one"),
        pytest.param(" ; ", [], id="none"),
    ],
)
def test_each_part_of_a_cell_is_a_member(inward: Make, ref_ids: RefIds, cell: str, expected: list[str]) -> None:
    translation = inward(LEARNER + UPNS).translate(_row({"Former": cell}), ref_ids)

    assert [text for text, _ in _found(translation, "UPN")] == expected
    assert translation.problems == ()


def test_a_part_that_cannot_be_used_is_reported_under_its_column_and_the_others_stay(
    inward: Make, ref_ids: RefIds
) -> None:
    translation = inward(LEARNER + UPNS).translate(_row({"Former": "X820990119007; 7"}), ref_ids)

    assert len(_found(translation, "UPN")) == 1
    assert [(p.position, p.source, p.rule) for p in translation.problems] == [("row 12", "Former", "upn")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"Tel 1": "01632 960001", "Tel 1 Type": "H", "Tel 2": "01632 960002", "Tel 2 Type": "W"},
            [("01632960001", "H"), ("01632960002", "W")],
            id="each number of the range",
        ),
        pytest.param({"Tel 2": "01632 960002", "Tel 2 Type": "W"}, [("01632960002", "W")], id="a gap"),
        pytest.param({"Mobile": "07700 900003"}, [("07700900003", "M")], id="a constant beside a column"),
        pytest.param({}, [], id="constants alone make no member"),
    ],
)
def test_each_set_of_columns_is_a_member(
    inward: Make, ref_ids: RefIds, fields: Mapping[str, str], expected: list[tuple[str, str]]
) -> None:
    translation = inward(LEARNER + PHONES).translate(_row(fields), ref_ids)

    assert _found(translation, "PhoneNumber") == expected
    assert translation.problems == ()


def test_one_row_gives_an_object_for_each_set_of_columns(inward: Make, ref_ids: RefIds) -> None:
    fields = {"Contact 1 Surname": "Ashgrove", "Contact 1 Tel": "01632 960001", "Contact 3 Surname": "Birchley"}
    mapping = inward(CONTACTS)

    translation = mapping.translate(_row({**fields, "Office": "01632 960009"}), ref_ids)

    assert _found(translation, "FamilyName") == [("Ashgrove", None), ("Birchley", None)]
    assert _found(translation, "LocalId") == [("1", None), ("2", None)]
    assert _found(translation, "PhoneNumber") == [("01632960001", "H"), ("01632960009", "W"), ("01632960009", "W")]
    assert {made.learner_ref_id for made in translation.objects} == {
        ref_ids.ref_id("LearnerPersonal", ("X820990119007",))
    }


def test_the_sources_are_the_columns_of_the_report(inward: Make) -> None:
    both = inward(LEARNER + UPNS + PHONES).sources
    numbered = {"Contact 1 Surname", "Contact 2 Surname", "Contact 3 Surname"}

    assert both >= {"Former", "Tel 1", "Tel 1 Type", "Tel 2", "Mobile"}
    assert not both & {".", "Number", "Type"}
    assert inward(CONTACTS).sources >= numbered


def test_a_range_that_begins_with_0_keeps_its_digits(inward: Make) -> None:
    text = PHONES.replace("{1-2}", "{09-10}")

    assert inward(LEARNER + text).sources >= {"Tel 09", "Tel 10"}


def test_a_pick_can_be_one_of_several_columns(inward: Make, ref_ids: RefIds) -> None:
    head, fields = LEARNER.split("[fields]")
    pick = '[pick.home]\ncolumns = [{ N = "Tel {1-2}", T = "Tel {1-2} Type" }]\nwhere = { T = "Home Mark" }\n'
    line = '"PersonalInformation/PhoneNumber[@Type=\'H\']/Number" = { from = "home:N", convert = "phone" }\n'
    record = _row(
        {"Tel 1": "01632 960001", "Tel 1 Type": "W", "Tel 2": "01632 960002", "Tel 2 Type": "Q", "Home Mark": "Q"}
    )

    translation = inward(f"{head}{pick}[fields]{fields}{line}").translate(record, ref_ids)

    assert _found(translation, "PhoneNumber") == [("01632960002", "H")]


@pytest.mark.parametrize(
    ("old", "new", "line", "says", "nearest"),
    [
        pytest.param('from = "Number"', 'from = "Numbr"', 9, "no field 'Numbr'", "Number", id="field"),
        pytest.param("unique", 'order = "Nmber" #', 8, "no field 'Nmber'", "Number", id="order"),
        pytest.param("{1-2} Type", "{1-3} Type", 7, "the ranges differ", None, id="ranges"),
        pytest.param("{1-2}", "{2-1}", 7, "is not a range", None, id="backwards"),
        pytest.param("{1-2}", "{1-101}", 7, "is not a range", None, id="long range"),
        pytest.param('Number = "Mobile"', 'Number = { const = "7" }', 7, "constants alone", None, id="constants"),
        pytest.param('{ const = "M" }', "7", 7, "must be a column", None, id="number"),
        pytest.param('"Mobile"', '""', 7, "name of a source field is empty", None, id="empty name"),
        pytest.param("columns = [", 'each = "A"\ncolumns = [', 6, "exactly one of", None, id="both"),
        pytest.param("columns = [", 'split = ";"\ncolumns = [', 7, "'split' goes with", None, id="split"),
        pytest.param("columns = ", "columns = []\n#", 7, "an empty list", None, id="no members"),
        pytest.param('";"', '""', 12, "'split' is empty", None, id="empty separator"),
        pytest.param('from = "."', 'from = "Former"', 13, "no field 'Former'", None, id="not the part"),
    ],
)
def test_what_is_wrong_with_members_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, line: int, says: str, nearest: str | None
) -> None:
    file = tmp_path / "ours.toml"
    file.write_text((LEARNER + PHONES + UPNS).replace(old, new), "utf-8")

    with pytest.raises(MappingError) as caught:
        load(file)

    assert [(p.line, p.nearest) for p in caught.value.problems if says in p.message] == [(line, nearest)]


@pytest.mark.parametrize(("status", "made"), [("L", 0), (" l", 0), ("C", 1), (None, 1)])
def test_a_condition_can_rule_out_texts(inward: Make, ref_ids: RefIds, status: str | None, made: int) -> None:
    text = LEARNER.replace("[fields]", 'when = { Status = { not = ["L", "X"] } }\n[fields]')
    record = _row({} if status is None else {"Status": status})

    assert len(inward(text).translate(record, ref_ids).objects) == made
