"""Previews: rows and their objects side by side, each element with its line, and masks that tell nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agents.workbench.cli import app
from agents.workbench.masks import printable, shape
from tests.unit.agents.workbench.pupils import HEADINGS, MAPPING, OTHO, WREN, write_mapping, write_rows


def preview(folder: Path, *arguments: str) -> Result:
    mapping, sample = write_mapping(folder), write_rows(folder, WREN, OTHO, WREN.replace("30/05/2013", "never"))
    return CliRunner().invoke(app, ["preview", str(mapping), str(sample), *arguments])


def test_a_preview_shows_row_object_and_the_line_behind_each_element(tmp_path: Path) -> None:
    result = preview(tmp_path, "--row", "2")

    assert result.exit_code == 0
    assert "Quillfeather" in result.stdout
    assert "row 3" not in result.stdout
    words = " ".join(result.stdout.split())
    assert "FamilyName Quillfeather ours.toml:7" in words
    assert words.index("PersonalInformation") < words.index("Name[@Type='C']") < words.index("FamilyName")


def test_members_of_a_list_are_told_apart(tmp_path: Path) -> None:
    text = (
        '[lists."PersonalInformation/Demographics/LanguageList/Language"]\neach = "Languages"\nsplit = ";"\n'
        'fields = { "Code" = ".", "TypeList/Type" = { const = "F" } }\n'
    )
    mapping = write_mapping(tmp_path, MAPPING + text)
    sample = write_rows(tmp_path, f"{WREN},ENG;WEL", headings=f"{HEADINGS},Languages")
    words = CliRunner().invoke(app, ["preview", str(mapping), str(sample)]).stdout.split()

    assert words.count("Language") == 2
    assert words.index("ENG") < len(words) - 1 - words[::-1].index("Language") < words.index("WEL")


def test_of_several_alternatives_the_line_is_that_which_gave_the_value(tmp_path: Path) -> None:
    shown = json.loads(preview(tmp_path, "--rows", "2", "--json").stdout)
    lines = [next(p["line"] for p in one["objects"][0]["parts"] if p["path"] == "HomeLA") for one in shown]

    assert lines == ["ours.toml:13", "ours.toml:14"]


def test_what_is_wrong_with_a_row_stands_beside_it(tmp_path: Path) -> None:
    assert "warning: PersonalInformation/Demographics/BirthDate: not a date" in preview(tmp_path, "--row", "4").stdout


@pytest.mark.parametrize("form", [[], ["--xml"], ["--json"]], ids=["parts", "xml", "json"])
def test_a_mask_leaves_shapes_alone_in_every_form(tmp_path: Path, form: list[str]) -> None:
    plain, masked = (preview(tmp_path, "--row", "2", *form, *mask).stdout for mask in ([], ["--mask"]))

    for secret in ("Quillfeather", "H820990114001", "2013"):
        assert secret in plain
        assert secret not in masked
    assert "Aaaaaaaaaaaa" in masked
    ref_id = json.loads(preview(tmp_path, "--row", "2", "--json").stdout)[0]["objects"][0]["ref_id"]
    assert ref_id not in masked  # made from the UPN with a key that everybody has


@pytest.mark.parametrize(
    ("number", "rows"),
    [pytest.param("3", "rows 2-3", id="within"), pytest.param("4", "row 4", id="behind")],
)
def test_a_row_is_found_in_the_record_that_was_gathered_of_it(tmp_path: Path, number: str, rows: str) -> None:
    mapping = write_mapping(tmp_path, MAPPING.replace("key =", 'rows = ["UPN"]\nkey =', 1))
    sample = write_rows(tmp_path, WREN, WREN, OTHO)
    result = CliRunner().invoke(app, ["preview", str(mapping), str(sample), "--row", number, "--json"])

    assert [one["position"] for one in json.loads(result.stdout)] == [rows]


def test_a_row_that_is_not_there_ends_with_1(tmp_path: Path) -> None:
    result = preview(tmp_path, "--row", "99")

    assert result.exit_code == 1
    assert "there is no row 99" in result.output


@pytest.mark.parametrize("command", ["preview", "check", "coverage"])
def test_nothing_that_a_file_says_can_move_the_cursor(tmp_path: Path, command: str) -> None:
    mapping = write_mapping(tmp_path)
    sample = write_rows(tmp_path, f"{WREN},\x1b[2J".replace(",F,", ",\x1b[3J,"), headings=f"{HEADINGS},\x1b[1J")
    arguments = [command, str(mapping), *(["--from"] if command == "check" else []), str(sample)]
    result = CliRunner().invoke(app, arguments)

    assert "[1J" in result.output
    assert "\x1b" not in result.output


def test_nothing_in_a_value_can_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\rc\u202ed") == "a\ufffd[2Jb\ufffdc\ufffdd"


def test_a_shape_keeps_signs_case_and_length() -> None:
    assert shape("Zoë O'Neil-7\x00") == "Aaa A'Aaaa-9\ufffd"
