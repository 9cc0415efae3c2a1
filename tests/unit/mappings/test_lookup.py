"""Side tables beside a mapping: what is read, what is refused when it is loaded, and that none leads elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mappings import ConvertError, InwardMapping, MappingError, Record, RefIds
from mappings.converters import UnknownConverterError, converter, inverse
from mappings.lookup import MAX_BYTES, MAX_ROWS

HOUSES = "Code,House\nTQ,Thornquist\nMB,Marrowby\ntw,Thornquist\nXX,\n"


@pytest.fixture
def beside(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Return what writes a side table, and gives its folder."""

    def write(content: str | bytes) -> Path:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "houses.csv").write_bytes(raw)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("content", "spelt"),
    [
        (HOUSES, "lookup:houses.csv"),
        ("\ufeff" + HOUSES.replace("\n", "\r\n"), "lookup:houses.csv"),
        (HOUSES, "lookup:houses.csv:Code:House"),
        ("House,Colour,Code\nThornquist,red,TQ\nMarrowby,blue,MB\n", "lookup:houses.csv:Code:House"),
    ],
    ids=["two columns", "as Excel saves it", "named", "two of three"],
)
def test_a_side_table_gives_the_value_of_a_key_without_regard_to_case(
    beside: Callable[[str], Path], content: str, spelt: str
) -> None:
    convert = converter(spelt, beside(content))

    assert [convert("tq"), convert("MB")] == ["Thornquist", "Marrowby"]
    with pytest.raises(ConvertError, match=r"not in the list 'houses\.csv'") as caught:
        convert("Quillfeather")
    assert "Quillfeather" not in str(caught.value)


def test_it_is_undone_by_the_first_key_of_a_value(beside: Callable[[str], Path]) -> None:
    undo = inverse("lookup:houses.csv", beside(HOUSES))

    assert undo is not None
    assert undo("Thornquist") == "TQ"
    with pytest.raises(ConvertError):
        undo("Pellwright")


@pytest.mark.parametrize(
    ("content", "spelt", "message"),
    [
        (HOUSES, "lookup:house.csv", "there is no file 'house.csv'"),
        (HOUSES, "lookup:../houses.csv", "beside the mapping"),
        (HOUSES, "lookup:/etc/passwd", "beside the mapping"),
        (HOUSES, "lookup:houses.csv:Code", "two columns"),
        (HOUSES, "lookup:houses.csv:Code:Hous", "no column 'Hous'"),
        ("A,B,C\n1,2,3\n", "lookup:houses.csv", "has 3 columns"),
        ("", "lookup:houses.csv", "has 0 columns"),
        ("A,A\n1,2\n", "lookup:houses.csv:A:A", "several columns 'A'"),
        ("Code,House\nTQ,One\ntq,Two\n", "lookup:houses.csv", "line 3: this key has another value above"),
        ('Code,House\nTQ,"One\n', "lookup:houses.csv", "line 2: not CSV"),
        (b"Code,House\nTQ,\xff\n", "lookup:houses.csv", "is not UTF-8"),
        ("A,B\n" + "1,2\n" * (MAX_ROWS + 1), "lookup:houses.csv", "more than 20,000 rows"),
        (b" " * (MAX_BYTES + 1), "lookup:houses.csv", "larger than a megabyte"),
    ],
)
def test_a_side_table_that_cannot_be_used_is_a_problem_of_the_mapping(
    beside: Callable[[str | bytes], Path], content: str | bytes, spelt: str, message: str
) -> None:
    with pytest.raises(UnknownConverterError) as caught:
        converter(spelt, beside(content))

    assert message in str(caught.value)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text(HOUSES, "utf-8")
    inside = tmp_path / "pack"
    inside.mkdir()
    (inside / "houses.csv").symlink_to(tmp_path / "outside.csv")

    with pytest.raises(UnknownConverterError, match="there is no file"):
        converter("lookup:houses.csv", inside)


def test_a_mapping_reads_the_file_beside_it_and_reports_one_that_is_not_there_with_its_line(
    tmp_path: Path, inward: Callable[[str], InwardMapping], ref_ids: RefIds
) -> None:
    text = """object = "LearnerPersonal"
key = ["UPN"]
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", convert = "lookup:houses.csv" }
"PersonalInformation/Name[@Type='C']/GivenName" = "Forename"
"""
    with pytest.raises(MappingError) as caught:
        inward(text)
    assert [(problem.line, "there is no file" in problem.message) for problem in caught.value.problems] == [(4, True)]

    (tmp_path / "houses.csv").write_text(HOUSES, "utf-8")
    record = Record("row 2", {"UPN": "A820990119007", "Surname": "mb", "Forename": "Odalric"})
    (made,) = inward(text).translate(record, ref_ids).objects

    assert made.element.findtext(".//{*}FamilyName") == "Marrowby"
