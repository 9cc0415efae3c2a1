"""Mappings turned round: the rows that objects come from, and the lines that stop it."""

from pathlib import Path

from typer.testing import CliRunner, Result

from agents.workbench.cli import app
from tests.unit.agents.workbench.pupils import MAPPING, OTHO, WREN, write_mapping, write_rows


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def objects(folder: Path, mapping: Path, *rows: str) -> Path:
    """Write what the mapping makes of rows."""
    (folder / "tests" / mapping.stem).mkdir(parents=True)
    write_rows(folder / "tests" / mapping.stem, *rows, name="case.csv")
    assert run("test", mapping, "--update", "--yes").exit_code == 0
    return folder / "tests" / mapping.stem / "case.expected.xml"


def test_objects_go_back_into_the_rows_that_they_came_from(tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path)
    made = objects(tmp_path, mapping, WREN, OTHO)

    result = run("back", mapping, made, "--out", tmp_path / "back.csv")

    assert result.exit_code == 0
    headings, *rows = (tmp_path / "back.csv").read_text("utf-8").splitlines()
    assert [dict(zip(headings.split(","), row.split(","), strict=True)) for row in rows] == [
        {"UPN": "H820990114001", "Adno": "4711", "Surname": "Quillfeather", "Forename": "Wren"}
        | {"Sex": "F", "Born": "30/05/2013", "Home": "836"},
        {"UPN": "X820990114002", "Adno": "4712", "Surname": "Brambleby", "Forename": "Otho"}
        | {"Sex": "M", "Born": "01/06/2013", "Home": "820"},
    ]


def test_a_line_that_loses_something_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    lossy = '{ from = "Forename", convert = "match:^([A-Z])", required = true }'
    mapping = write_mapping(tmp_path, MAPPING.replace('{ from = "Forename", required = true }', lossy))
    made = objects(tmp_path, mapping, WREN)

    checked = run("check", mapping, "--both-ways")
    back = run("back", mapping, made, "--out", tmp_path / "back.csv")

    assert checked.exit_code == 0  # it maps all the same
    assert f"{mapping}:8:" in checked.output
    assert "cannot be turned round: match: loses what it leaves out" in checked.output
    assert back.exit_code == 2
    assert f"{mapping}:8:" in back.output
    assert not (tmp_path / "back.csv").exists()


def test_what_repeats_within_a_record_is_no_table(tmp_path: Path) -> None:
    mapping = write_mapping(
        tmp_path,
        MAPPING
        + '\n[lists."SIF_ExtendedElements/SIF_ExtendedElement"]\neach = "Notes"\n'
        + 'fields = { "." = "Text", "@Name" = "Kind" }\n',
    )
    made = tmp_path / "objects.xml"
    made.write_text(
        '<all><LearnerPersonal xmlns="http://www.sifinfo.org/uk/infrastructure/2.x" RefId="0">'
        '<PersonalInformation><Name Type="C"><FamilyName>Quill</FamilyName><GivenName>Wren</GivenName></Name>'
        "</PersonalInformation><UPN>H820990114001</UPN><SIF_ExtendedElements>"
        '<SIF_ExtendedElement Name="a">b</SIF_ExtendedElement></SIF_ExtendedElements></LearnerPersonal></all>'
    )

    result = run("back", mapping, made)

    assert result.exit_code == 2
    assert "repeats within a record (Notes)" in result.output
