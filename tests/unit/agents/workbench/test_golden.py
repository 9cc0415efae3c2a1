"""Golden tests: what a mapping makes of a file is compared with what is expected, and taken as it only when asked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agents.workbench.cli import app
from agents.workbench.golden import run_goldens
from broker.protocol.errors import ConfigurationError
from tests.unit.agents.workbench.pupils import MAPPING, OTHO, WREN, write_mapping, write_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a mapping and one test of it, of which nothing is expected yet."""
    cases = tmp_path / "tests" / "ours"
    cases.mkdir(parents=True)
    write_mapping(tmp_path)
    write_rows(cases, WREN, OTHO, OTHO.replace(",M,", ",Boyish,").replace("X82", "Y82"), name="all.csv")
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


def expected(folder: Path) -> Path:
    return folder / "tests" / "ours" / "all.expected.xml"


def test_what_was_taken_as_expected_is_so_until_the_mapping_changes(folder: Path) -> None:
    assert run(folder).exit_code == 1
    assert run(folder, "--update", "--yes").exit_code == 0
    assert run(folder).exit_code == 0
    write_mapping(folder, MAPPING.replace('"Home"', '"Adno"'))
    result = run(folder / "ours.toml")

    assert result.exit_code == 1
    assert "-      <HomeLA>836</HomeLA>\n" in result.output


def test_problems_are_part_of_what_is_expected(folder: Path) -> None:
    run(folder, "--update", "--yes")
    assert 'rule="code" severity="warn"' in expected(folder).read_text("utf-8")
    (folder / "tests/ours/all.csv").write_text((folder / "tests/ours/all.csv").read_text("utf-8").replace("Boyish", ""))

    assert run(folder).exit_code == 1


def test_blanks_between_tags_and_the_order_of_attributes_make_no_difference(folder: Path) -> None:
    run(folder, "--update", "--yes")
    text = expected(folder).read_text("utf-8")
    assert "\n  <object" in text
    moved = text.replace("\n      ", "\n\t ").replace('rule="code" severity="warn"', 'severity="warn"   rule="code"')
    expected(folder).write_text(moved, "utf-8")

    assert moved != text
    assert run(folder).exit_code == 0


def test_ref_ids_are_the_same_on_every_machine(folder: Path) -> None:
    made = run_goldens(folder).cases[0].made

    assert 'refId="605325E847673669754AF44EE4E6E12D"' in made


def test_nothing_is_written_without_being_asked_for(folder: Path) -> None:
    refused = run(folder, "--update")

    assert refused.exit_code == 2
    assert "--update --yes" in refused.output
    assert "+<golden" in refused.output
    assert not expected(folder).exists()


def test_what_is_expected_is_hostile_input_too(folder: Path) -> None:
    expected(folder).write_text('<!DOCTYPE a [<!ENTITY b "c">]><golden>&b;</golden>', "utf-8")
    case = run_goldens(folder).cases[0]

    assert case.outcome == "error"
    assert f"{expected(folder)}:1: cannot be read as XML" in case.message


def test_a_mapping_with_problems_is_an_error_of_its_tests_that_cannot_be_updated(folder: Path) -> None:
    write_mapping(folder, MAPPING.replace('"LocalId"', '"LocalIt"'))
    result = run(folder, "--update", "--yes")

    assert result.exit_code == 1
    assert "did you mean 'LocalId'?" in result.output
    assert not expected(folder).exists()


def test_a_pack_says_how_the_inputs_of_its_mappings_are_read(folder: Path) -> None:
    source = folder / "tests/ours/all.csv"
    source.write_text(source.read_text("utf-8").replace(",", "|"), "utf-8")
    (folder / "pack.toml").write_text(
        'name = "our-pack"\ntitle = "Ours"\nversion = "1"\n'
        '[[source]]\nconnector = "csv"\nmapping = ["our-pack/ours"]\noptions = { delimiter = ";" }\n',
        "utf-8",
    )
    assert "<object" not in run_goldens(folder).cases[0].made
    (folder / "pack.toml").write_text((folder / "pack.toml").read_text("utf-8").replace('";"', '"|"'), "utf-8")

    assert run_goldens(folder).cases[0].made.count("<object") == 3


def test_rows_of_tables_are_tested_by_documents_of_objects(folder: Path) -> None:
    write_mapping(
        folder,
        'row = "users"\ncolumns = ["id", "name"]\n[[from]]\nobject = "LearnerPersonal"\n'
        '[from.fields]\nid = "@RefId"\nname = "PersonalInformation/Name/FamilyName"\n',
        "users.toml",
    )
    run(folder, "--update", "--yes")
    inputs = folder / "tests/users"
    inputs.mkdir()
    (inputs / "two.xml").write_bytes(expected(folder).read_bytes())
    made = next(case.made for case in run_goldens(folder, only="users").cases)

    assert '<cell column="name">Brambleby</cell>' in made


def test_tests_that_nothing_would_run_are_errors(folder: Path) -> None:
    run(folder, "--update", "--yes")
    expected(folder).with_name("old.expected.xml").write_text("<golden/>", "utf-8")
    (folder / "tests/gone").mkdir()
    write_rows(folder / "tests/gone", WREN)
    errors = [(case.mapping, case.case) for case in run_goldens(folder).cases if case.outcome == "error"]

    assert errors == [("gone", "pupils"), ("ours", "old")]


def test_mappings_without_tests_are_named(folder: Path) -> None:
    write_mapping(folder, name="theirs.toml")

    assert json.loads(run(folder, "--json").stdout)["untested"] == ["theirs"]


def test_a_folder_without_tests_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_mapping(tmp_path)

    with pytest.raises(ConfigurationError, match=r"put an input file into .*tests/ours, then run .* --update"):
        run_goldens(tmp_path, only="ours")
