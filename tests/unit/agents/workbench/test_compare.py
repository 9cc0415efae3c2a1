"""Comparing two versions of a mapping: what would change, for which rows, and loudly when RefIds do."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agents.workbench.cli import app
from tests.unit.agents.workbench.pupils import MAPPING, OTHO, WREN, write_mapping, write_rows


def diff(folder: Path, new: str, *arguments: str) -> Result:
    sample = write_rows(folder, WREN, OTHO)
    old, changed = write_mapping(folder), write_mapping(folder, new, "new.toml")
    return CliRunner().invoke(app, ["diff", str(old), str(changed), "--from", str(sample), *arguments])


def facts(folder: Path, new: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(diff(folder, new, "--json", *arguments).stdout)
    return found


def test_the_same_mapping_changes_nothing_and_ends_with_0(tmp_path: Path) -> None:
    result = diff(tmp_path, MAPPING)

    assert result.exit_code == 0
    assert "Nothing would change." in result.stdout


def test_a_path_that_changes_is_told_with_its_rows_and_no_values(tmp_path: Path) -> None:
    result = diff(tmp_path, MAPPING.replace('{ const = "820" }', '{ const = "837" }'))
    paths = facts(tmp_path, MAPPING.replace('{ const = "820" }', '{ const = "837" }'))["paths"]

    assert result.exit_code == 1
    assert paths == [{"name": "HomeLA", "count": 1, "positions": ["row 3"]}]
    assert "837" not in result.output
    assert "RefId" not in result.output.replace("with a new RefId", "")


def test_values_are_shown_where_they_are_asked_for(tmp_path: Path) -> None:
    new = MAPPING.replace('"Forename", required', '"Surname", required')

    assert "row 3: Otho -> Brambleby" in diff(tmp_path, new, "--show-values").stdout
    assert facts(tmp_path, new, "--show-values")["paths"][0]["values"][0] == {"before": "Wren", "after": "Quillfeather"}


def test_a_key_that_changes_is_told_loudly(tmp_path: Path) -> None:
    new = MAPPING.replace('key = [["UPN"], ', 'key = [["Adno"], ')
    found = facts(tmp_path, new)

    assert "every LearnerPersonal gets a new RefId" in diff(tmp_path, new).stdout
    assert found["ref_ids_changed"]["count"] == 2
    assert found["paths"] == []
    assert found["changed"]["count"] == 0


def test_some_ref_ids_that_change_are_counted(tmp_path: Path) -> None:
    new = MAPPING.replace('[["UPN"], ', '[["Home"], ["UPN"], ')

    assert "1 of 2 LearnerPersonal get a new RefId" in facts(tmp_path, new)["warning"]


@pytest.mark.parametrize(
    ("new", "rule"),
    [
        pytest.param(MAPPING, "added", id="no longer ruled out"),
        pytest.param(MAPPING.replace("\n[fields]", 'when = { "Sex" = "X" }\n\n[fields]', 1), "removed", id="ruled out"),
    ],
)
def test_objects_that_come_or_go_are_told(tmp_path: Path, new: str, rule: str) -> None:
    sample = write_rows(tmp_path, WREN, OTHO)
    some = MAPPING.replace("\n[fields]", 'when = { "Sex" = "F" }\n\n[fields]', 1)
    old, changed = write_mapping(tmp_path, some), write_mapping(tmp_path, new, "new.toml")
    result = CliRunner().invoke(app, ["diff", str(old), str(changed), "--from", str(sample), "--json"])

    position = {"added": "row 3", "removed": "row 2"}[rule]
    assert json.loads(result.stdout)[rule]["positions"] == [position]


def test_problems_that_come_and_go_are_told(tmp_path: Path) -> None:
    found = facts(tmp_path, MAPPING.replace('codes = "sex"', 'codes = { F = "F" }'))

    assert found["problems_gone"] == []
    assert [(one["count"], one["positions"]) for one in found["problems_new"]] == [(1, ["row 3"])]


def test_mappings_that_gather_rows_differently_are_compared_record_by_record(tmp_path: Path) -> None:
    found = facts(tmp_path, MAPPING.replace("key =", 'rows = ["Surname"]\nkey =', 1))

    assert (found["paired"], found["same"]) == (2, 2)


def test_mappings_of_different_objects_are_not_compared(tmp_path: Path) -> None:
    sample, old = write_rows(tmp_path, WREN), write_mapping(tmp_path)
    result = CliRunner().invoke(app, ["diff", str(old), "csv/staff", "--from", str(sample)])

    assert result.exit_code == 2
    assert "makes LearnerPersonal and the new one WorkforcePersonal" in result.output
