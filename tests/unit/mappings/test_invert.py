"""Mappings turned round: what is got back from an object gives the same object, or it is told what is lost."""

import json
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mappings import InwardMapping, Record, RefIds, load, open_document
from mappings.codes import UnknownCodeError, code_table
from mappings.invert import Inverse, NotInvertible, Reference, invert

DATA = Path(__file__).parents[2] / "data" / "mappings"
RECORDS = {
    "csv/learner": "csv/pupils",
    "csv/enrolment": "csv/pupils",
    "csv/registration": "csv/pupils",
    "csv/school": "csv/school",
    "csv/staff": "csv/staff",
    "csv/terms": "csv/terms",
    "csv/contact": "csv/contacts",
    "csv/contact-person": "csv/contacts",
    "csv/group-types": "csv/groups",
    "csv/groups": "csv/groups",
    "csv/daily-attendance": "csv/daily-attendance",
    "csv/special-needs": "csv/sen",
    "ctf/learner": "ctf/pupil",
    "ctf/contact-person": "ctf/pupil",
    "ctf/enrolment": "ctf/pupil",
    "ctf/attendance": "ctf/pupil",
    "ctf/special-needs": "ctf/pupil",
    "census/attendance": "census/pupil",
    "pep/plan": "pep/plans",
    "ssda903/looked-after": "ssda903/period",
}
SHARED = """
object = "LearnerPersonal"
key = ["UPN"]
[fields]
"UPN" = "UPN"
"PersonalInformation/Name[@Type='C']/FamilyName" = "Surname"
"PersonalInformation/Name[@Type='C']/GivenName" = "Forename"
"""
PARTS = """
"LocalId" = { from = "Code", convert = "split:,:1" }
"HomeLA" = { from = "Code", convert = ["split:,:2", "lower"] }
"""


def _canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n2")


def _without_ref_ids(element: etree._Element) -> bytes:
    etree.strip_tags(element, etree.Comment)
    for part in element.iter(etree.Element):
        for name in [name for name in part.attrib if str(name).endswith("RefId")]:
            del part.attrib[name]
    return _canonical(element)


def _sample(values: Mapping[str, Any], chance: random.Random) -> Record:
    """Return a record without some of its fields, and with one member at most of each group."""
    fields = {name: text for name, text in values["fields"].items() if chance.random() > 0.15}
    groups = {
        name: (_sample(chance.choice(members), chance),)
        for name, members in values.get("groups", {}).items()
        if members
    }
    return Record(values["position"], fields, groups)


def _all_fields(record: Record) -> dict[str, str]:
    inner = {
        f"{name}/{inner}": text
        for name, members in record.groups.items()
        for m in members
        for inner, text in m.fields.items()
    }
    return {**inner, **record.fields}


def _inverse(name: str | Path) -> tuple[InwardMapping, Inverse]:
    mapping = load(name)
    assert isinstance(mapping, InwardMapping)
    inverse = invert(mapping, open_document(name))
    assert isinstance(inverse, Inverse), str(inverse)
    return mapping, inverse


@pytest.fixture
def turned(tmp_path: Path) -> Callable[[str], tuple[InwardMapping, Inverse]]:
    """Return what turns round the mapping that a text is."""

    def turn(text: str) -> tuple[InwardMapping, Inverse]:
        path = tmp_path / "ours.toml"
        path.write_text(text, "utf-8")
        return _inverse(path)

    return turn


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_got_back_from_an_object_gives_the_same_object(name: str, ref_ids: RefIds) -> None:
    mapping, inverse = _inverse(name)
    values = json.loads((DATA / f"{RECORDS[name]}.json").read_text("utf-8"))
    chance = random.Random(name)
    made = 0
    for _ in range(25):
        record = _sample(values, chance)
        for each in mapping.translate(record, ref_ids).objects:
            undone = inverse.record(each.element, _all_fields(record))
            assert undone.problems == ()
            (again,) = mapping.translate(undone.record, ref_ids).objects
            assert _canonical(again.element) == _canonical(each.element)
            made += 1
    assert made >= 2


def test_a_whole_row_comes_back_as_it_was(read_record: Callable[[str], Record], ref_ids: RefIds) -> None:
    mapping, inverse = _inverse("csv/learner")
    record = read_record("csv/pupils")
    (made,) = mapping.translate(record, ref_ids).objects

    fields = inverse.record(made.element).record.fields

    normalised = {"Home Phone", "Mobile Phone", "Postcode", "Year"}
    for name in record.fields.keys() & mapping.sources - normalised:
        assert fields[name] == record.fields[name]
    assert [fields[name] for name in sorted(normalised)] == ["01632960101", "+447700900101", "QZ1 1AA", "9"]


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        ('"LocalId" = { join = ["Year", "Number"] }', "8:1", "joined without a separator"),
        ('"LocalId" = { from = "Code", convert = "match:[0-9]+" }', "8:30", "match: loses"),
        ('"LocalId" = { from = "Code", convert = ["upper", "split:/:2"] }', "8:50", "split: loses"),
        ('"LocalId" = { from = "Code", convert = "split:,:2" }', "8:30", "split: loses"),
        (
            '"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = { M = "M", B = "M", F = "F" } }\n'
            '"LocalId" = { from = "Sex", codes = { M = "1", B = "2", F = "2" } }',
            "9:1",
            "'Sex' is used in two lines that differ",
        ),
        (
            '[lists."PersonalInformation/OtherPhoneNumberList/PhoneNumber"]\neach = "Phones"\nskip = 1\n'
            'fields = { "@Type" = "Kind", "Number" = "No" }',
            "10:1",
            "no [pick] reads the one",
        ),
    ],
    ids=["join", "match", "later split", "one part of two", "two code tables", "skipped members"],
)
def test_each_line_that_loses_something_is_named_with_its_place(
    tmp_path: Path, line: str, place: str, reason: str
) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(SHARED + line, "utf-8")
    mapping = load(path)
    assert isinstance(mapping, InwardMapping)

    found = invert(mapping, open_document(path))

    assert isinstance(found, NotInvertible)
    assert len(found.obstacles) == 1
    assert str(found).startswith(f"{path}:{place}: ")
    assert reason in str(found)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ('"LocalId" = { join = ["Year", "No"], with = "/" }', {"Year": "2026", "No": "7/8"}),
        ('"LocalId" = { from = "Adno", convert = ["year-end", "suffix:-08-31"] }', {"Adno": "2026"}),
        ('"LocalId" = { from = "A", convert = "prefix:x", when = { Kind = "n" } }', {"A": "7", "Kind": "n"}),
        ('"LocalId" = [{ from = "A", convert = "prefix:x", when = { Kind = "n" } }, "B"]', {"B": "7"}),
        ('"LocalId" = { from = "UPN", convert = "match:[0-9]{3}" }', {"UPN": "A820990119007"}),
        (PARTS, {"Code": "7, pol"}),
        (PARTS, {"Code": ", pol"}),
        (
            '[lists."PersonalInformation/OtherPhoneNumberList/PhoneNumber"]\n'
            'columns = [{ T = { const = "M" }, N = "Mobile" }, { T = { const = "W" }, N = "Work" }]\n'
            'fields = { "@Type" = "T", "Number" = "N" }',
            {"Work": "01632960101"},
        ),
        (
            '[lists."FormerUPNList/UPN"]\neach = "Former"\nsplit = ";"\nfields = { "." = "." }',
            {"Former": "A820990119007;B820990119008"},
        ),
    ],
    ids=[
        "join",
        "chain",
        "condition",
        "alternative",
        "carried by another line",
        "parts",
        "last part",
        "columns",
        "cells",
    ],
)
def test_each_form_of_a_line_can_be_turned_round(
    turned: Callable[[str], tuple[InwardMapping, Inverse]], ref_ids: RefIds, line: str, fields: dict[str, str]
) -> None:
    mapping, inverse = turned(SHARED + line)
    record = Record("row 2", {"UPN": "A820990119007", "Surname": "Thornquist", "Forename": "Maëlys", **fields})
    (made,) = mapping.translate(record, ref_ids).objects

    undone = inverse.record(made.element)

    assert undone.problems == ()
    assert undone.record.fields == record.fields


def test_gathered_rows_come_back_as_rows(
    turned: Callable[[str], tuple[InwardMapping, Inverse]], ref_ids: RefIds
) -> None:
    mapping, inverse = turned(
        SHARED.replace("[fields]", 'rows = ["UPN"]\n[fields]')
        + '[lists."PersonalInformation/OtherPhoneNumberList/PhoneNumber"]\neach = "rows"\n'
        'fields = { "@Type" = { from = "Kind", codes = "phone-type" }, "Number" = "No" }'
    )
    shared = {"UPN": "A820990119007", "Surname": "Thornquist", "Forename": "Maëlys"}
    rows = tuple(Record("row", {"Kind": kind, "No": no}) for kind, no in (("M", "07700900101"), ("W", "01632960101")))
    (made,) = mapping.translate(Record("rows 2-3", shared, {"rows": rows}), ref_ids).objects

    undone = inverse.record(made.element)

    assert undone.problems == ()
    assert undone.record.fields == shared
    assert [row.fields for row in undone.record.groups["rows"]] == [row.fields for row in rows]


def test_of_codes_with_one_meaning_the_first_in_the_file_is_written() -> None:
    table = code_table("kind", {"Girl": "F", "Female": "F", "Boy": "M"})

    assert [table.undo("F"), table.undo("M")] == ["Girl", "Boy"]
    with pytest.raises(UnknownCodeError):
        table.undo("X")


@pytest.mark.parametrize(("unknown", "default"), [("pass", None), ("report", "other")])
def test_a_code_that_no_row_gives_stays_where_unknown_codes_give_it(unknown: str, default: str | None) -> None:
    table = code_table("kind", {"Girl": "F", "other ways": "O"}, unknown, default)

    assert table.undo("other") == "other"
    with pytest.raises(UnknownCodeError):
        table.undo("Girl")  # a source code with another meaning


@pytest.mark.parametrize(
    ("parent", "name", "path"),
    [("{*}UPN/..", "ULN", "ULN"), (".//{*}Name", "MiddleNames", "PersonalInformation/Name/MiddleNames")],
)
def test_what_a_mapping_cannot_give_again_is_told_by_its_path_alone(
    turned: Callable[[str], tuple[InwardMapping, Inverse]], ref_ids: RefIds, parent: str, name: str, path: str
) -> None:
    mapping, inverse = turned(SHARED)
    record = Record("row 2", {"UPN": "A820990119007", "Surname": "Thornquist", "Forename": "Maëlys"})
    (made,) = mapping.translate(record, ref_ids).objects
    (place,) = made.element.iterfind(parent)
    etree.SubElement(place, f"{{{etree.QName(place).namespace}}}{name}").text = "1000000027"

    undone = inverse.record(made.element)

    assert [problem.target for problem in undone.problems] == [path]
    assert "1000000027" not in str(undone.problems)
    assert undone.record.fields == record.fields


@pytest.mark.parametrize("name", ["csv/learner", "ctf/learner", "pep/plan"])
def test_no_damaged_object_stops_it_and_none_comes_back_as_another(
    name: str, ref_ids: RefIds, read_record: Callable[[str], Record]
) -> None:
    mapping, inverse = _inverse(name)
    record = read_record(RECORDS[name])
    (made,) = mapping.translate(record, ref_ids).objects
    chance = random.Random(name)
    whole = 0
    for _ in range(25):
        damaged = deepcopy(made.element)
        for part in chance.sample(list(damaged.iter(etree.Element))[1:], chance.randint(0, 2)):
            part.text = chance.choice(["", "9999-12-31", "0001-01-01", "2026", "K", "a\nb", "é & <"])
            part.append(etree.Comment("damaged"))
        undone = inverse.record(damaged, record.fields)
        if not undone.problems:
            whole += 1
            (again,) = mapping.translate(undone.record, ref_ids).objects
            assert _without_ref_ids(again.element) == _without_ref_ids(damaged)
    assert whole >= 3


def test_a_condition_of_the_whole_mapping_is_met_by_the_first_of_its_texts_or_told(
    turned: Callable[[str], tuple[InwardMapping, Inverse]], ref_ids: RefIds
) -> None:
    mapping, inverse = turned('when = { Status = ["C", "M"], Roll = true }' + SHARED)
    fields = {"UPN": "A820990119007", "Surname": "Thornquist", "Forename": "Maëlys", "Status": "M", "Roll": "main"}
    (made,) = mapping.translate(Record("row 2", fields), ref_ids).objects

    assert inverse.beside == ("Status", "Roll")
    assert inverse.record(made.element, {"Roll": "main"}).record.fields == {**fields, "Status": "C"}
    assert [(p.target, p.severity) for p in inverse.record(made.element).problems] == [("when", "refuse")]


def test_another_alternative_is_taken_where_the_first_does_not_fit_the_rest(
    turned: Callable[[str], tuple[InwardMapping, Inverse]], ref_ids: RefIds
) -> None:
    mapping, inverse = turned(
        SHARED + '"LocalId" = ["New", "Old"]\n"HomeLA" = [{ const = "836", when = { New = true } }, { const = "820" }]'
    )
    fields = {"UPN": "A820990119007", "Surname": "Thornquist", "Forename": "Maëlys", "Old": "7"}
    (made,) = mapping.translate(Record("row 2", fields), ref_ids).objects

    undone = inverse.record(made.element)

    assert (undone.problems, undone.record.fields) == ((), fields)


def test_what_a_ref_id_hides_is_named_and_can_be_given(read_record: Callable[[str], Record], ref_ids: RefIds) -> None:
    mapping, inverse = _inverse("csv/enrolment")
    record = read_record("csv/pupils")
    (made,) = mapping.translate(record, ref_ids).objects
    learner, school = (
        ref_ids.ref_id("LearnerPersonal", ("J820990114021",)),
        ref_ids.ref_id("SchoolInfo", ("820", "9903")),
    )

    assert {"UPN", "LA Number", "Estab Number"} <= set(inverse.beside)
    assert inverse.references(made.element) == (
        Reference("LearnerPersonal", learner, ("UPN", "Legal Surname", "Legal Forename", "DOB")),
        Reference("SchoolInfo", school, ("LA Number", "Estab Number")),
    )
    (problem, *_) = inverse.record(made.element).problems
    assert problem.severity == "refuse"
    assert "fill" in problem.message
