"""Each line of a mapping says what it reads, what it fills and where it stands."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mappings import InwardMapping, Line, OutwardMapping, Record, load, open_document, shipped_names
from mappings.document import Where

Make = Callable[[str], InwardMapping]
INWARD = """\
object = "LearnerPersonal"
key = [["UPN"], [{ ref = "SchoolInfo", key = ["Estab"] }, "Surname"]]
rows = ["UPN"]
when = { "Status" = ["C"] }
[pick.home]
columns = [{ N = "Tel {1-2}", T = "Tel {1-2} Type" }]
where = { T = "Mark" }
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", convert = "upper", required = true }
"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = { B = "M" }, default = "U" }
"PersonalInformation/PhoneNumber[@Type='H']/Number" = "home:N"
"InCare/Current" = { const = "Yes", when = { "In Care" = true } }
"HomeLA" = { from = "Home LA", when = { "In Care" = true } }
"InCare/LAId" = [
  { join = ["LA", "Area"], with = "-", when = { "LA" = true } },
  { const = "XXX", warn = "enter it" },
]
[lists."FormerUPNList/UPN"]
each = "Former"
split = ";"
when = { "Former" = true }
fields = { "." = { from = ".", convert = ["strip", "upn"] } }
[lists."PersonalInformation/OtherIdList/OtherId"]
each = "rows"
fields = { "." = "Id", "@Type" = { const = "MIS" } }
"""


def _lines(mapping: InwardMapping, **wanted: Any) -> list[Line]:
    return [line for line in mapping.lines if all(getattr(line, name) == value for name, value in wanted.items())]


@pytest.mark.parametrize(
    ("kind", "target", "sources", "line"),
    [
        pytest.param("key", "key", ("UPN",), 2, id="part of a key"),
        pytest.param("key", "key", ("Estab",), 2, id="reference in a key"),
        pytest.param("rows", "rows", ("UPN",), 3, id="rows"),
        pytest.param("when", "", ("Status",), 4, id="condition"),
        pytest.param("pick", "home", ("Tel 1", "Tel 2", "Tel 1 Type", "Tel 2 Type", "Mark"), 6, id="pick"),
        pytest.param("field", "PersonalInformation/PhoneNumber[@Type='H']/Number", ("Tel 1", "Tel 2"), 11, id="picked"),
        pytest.param("field", "InCare/LAId", ("LA", "Area"), 15, id="joined"),
        pytest.param("field", "InCare/LAId", (), 16, id="alternative"),
        pytest.param("when", "FormerUPNList/UPN", ("Former",), 21, id="condition of a list"),
        pytest.param("list", "FormerUPNList/UPN", ("Former",), 19, id="list of a cell"),
        pytest.param("field", "FormerUPNList/UPN", ("Former",), 22, id="part of a cell"),
        pytest.param("field", "PersonalInformation/OtherIdList/OtherId", ("Id",), 25, id="field of gathered rows"),
    ],
)
def test_a_line_names_its_sources_in_full_and_its_place(
    inward: Make, kind: str, target: str, sources: tuple[str, ...], line: int
) -> None:
    (found,) = _lines(inward(INWARD), kind=kind, target=target, sources=sources)

    assert (Path(found.file).name, found.line) == ("ours.toml", line)


def test_a_line_says_how_its_value_is_made(inward: Make) -> None:
    mapping = inward(INWARD)
    (name,) = _lines(mapping, sources=("Surname",), kind="field")
    (sex,) = _lines(mapping, sources=("Sex",))
    current, joined, constant = (line for line in mapping.lines if line.target.startswith("InCare/"))
    (former,) = _lines(mapping, target="FormerUPNList/UPN", kind="field")

    assert (name.convert, name.required, name.column) == (("upper",), True, 1)
    assert sex.codes is not None
    assert (dict(sex.codes.codes), sex.default) == ({"b": "M"}, "U")
    assert (current.const, current.when) == ("Yes", ("In Care",))
    assert (joined.number, joined.when, constant.number, constant.const, constant.warn) == (
        1,
        ("LA",),
        2,
        "XXX",
        "enter it",
    )
    assert (former.convert, former.group) == (("strip", "upn"), "FormerUPNList/UPN")


def test_the_texts_of_a_line_are_those_that_it_would_convert(inward: Make) -> None:
    mapping = inward(INWARD)
    (former,) = _lines(mapping, target="FormerUPNList/UPN", kind="field")
    (joined,) = _lines(mapping, sources=("LA", "Area"))
    (home,) = _lines(mapping, target="HomeLA")
    record = Record("row 1", {"Status": "C", "Former": "a; b", "LA": "820", "Area": "9", "Home LA": "836"})
    left = Record("row 2", {**record.fields, "Status": "L"})

    assert mapping.texts(former, record) == ("a", "b")
    assert mapping.texts(joined, record) == ("820-9",)
    assert mapping.texts(joined, Record("row 3", {"Status": "C", "Area": "9"})) == ()
    assert mapping.texts(former, left) == ()
    assert mapping.texts(home, record) == ()
    assert mapping.texts(home, Record("row 4", {**record.fields, "In Care": "Y"})) == ("836",)


def test_a_line_of_a_key_says_to_which_way_it_belongs(inward: Make) -> None:
    assert [(line.number, line.sources) for line in _lines(inward(INWARD), kind="key")] == [
        (1, ("UPN",)),
        (2, ("Estab",)),
        (2, ("Surname",)),
    ]


def test_a_reference_says_which_object_and_which_fields() -> None:
    mapping = load("csv/learner")

    (line,) = (line for line in mapping.lines if line.ref is not None)

    assert line.ref == "LearnerSchoolEnrolment"
    assert line.sources == ("UPN", "Legal Surname", "Legal Forename", "DOB", "LA Number", "Estab Number")


def test_the_columns_of_an_outward_table_say_what_they_read(outward: Callable[[str], OutwardMapping]) -> None:
    mapping = outward(
        'row = "a"\ncolumns = ["id", "name"]\n[[from]]\nobject = "LearnerPersonal"\neach = "FormerUPNList/UPN"\n'
        'when = { "." = true }\n[from.lookup]\nstay = { object = "LearnerSchoolEnrolment", ref = '
        '"/CurrentSchoolEnrolment/@LearnerSchoolEnrolmentRefId" }\n'
        '[from.fields]\nid = { from = ".", convert = "lower" }\n'
        'name = ["stay:@RefId", "/LocalId"]\n'
    )

    assert [(line.kind, line.target, line.sources, line.line, line.group) for line in mapping.lines] == [
        ("each", "each", ("FormerUPNList/UPN",), 5, "LearnerPersonal"),
        ("lookup", "stay", ("CurrentSchoolEnrolment/@LearnerSchoolEnrolmentRefId",), 8, "LearnerPersonal"),
        ("when", "", ("FormerUPNList/UPN",), 6, "LearnerPersonal"),
        ("field", "id", ("FormerUPNList/UPN",), 10, "LearnerPersonal"),
        ("field", "name", ("stay:@RefId",), 11, "LearnerPersonal"),
        ("field", "name", ("LocalId",), 11, "LearnerPersonal"),
    ]


def _fields_of(values: dict[str, Any]) -> Iterator[tuple[Where, str]]:
    """Yield the place and the target of each line that fills something."""
    for index, block in enumerate(values.get("from", [])):
        yield from ((("from", index, "fields", column), column) for column in block["fields"])
    yield from ((("fields", path), path) for path in values.get("fields", {}))
    for path, table in values.get("lists", {}).items():
        for part in table["fields"]:
            yield ("lists", path, "fields", part), path if part == "." else f"{path}/{part}"


@pytest.mark.parametrize("name", shipped_names())
def test_every_line_of_the_library_is_told_at_its_place(name: str) -> None:
    document = open_document(name)

    told = {(line.target, line.file, line.line) for line in load(name).lines if line.kind == "field"}

    for where, target in _fields_of(document.values):
        several = (*where, 0) in document.positions
        file, line, _ = document.place((*where, 0) if several else where)
        assert (target, file, line) in told
