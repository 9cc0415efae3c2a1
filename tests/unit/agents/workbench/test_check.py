"""The commands for mapping files: what they print and how they end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.workbench.cli import app


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["ctf/learner", "oneroster/users"], 0, id="right"),
        pytest.param(["ctf/lerner"], 1, id="unknown name"),
        pytest.param(["missing.toml"], 2, id="no such file"),
        pytest.param(["ctf/learner", "ctf/lerner", "missing.toml"], 2, id="the worst counts"),
    ],
)
def test_check_ends_with_0_1_or_2(arguments: list[str], code: int) -> None:
    assert CliRunner().invoke(app, ["check", *arguments]).exit_code == code


def test_check_prints_file_line_column_and_the_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('object = "TermInfos"\nkey = ["A"]\n[fields]\n', "utf-8")

    result = CliRunner().invoke(app, ["check", str(file)])

    assert f"{file}:1:1: there is no object 'TermInfos'; did you mean 'TermInfo'?" in result.output


def test_list_shows_every_mapping_of_the_library_and_no_key_file() -> None:
    result = CliRunner().invoke(app, ["list"])

    assert result.exit_code == 0
    assert "csv/learner" in result.output
    assert "oneroster/users" in result.output
    assert "csv/keys" not in result.output
    assert "codes/" not in result.output
