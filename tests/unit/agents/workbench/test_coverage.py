"""Coverage: how often each target is filled, which codes are met, what is broken, over a whole export."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.workbench.cli import app
from agents.workbench.coverage import cover
from agents.workbench.reading import open_source
from mappings import InwardMapping, load
from tests.unit.agents.workbench.pupils import HEADINGS, OTHO, WREN, write_mapping, write_rows


@pytest.fixture
def covered(tmp_path: Path) -> dict[str, Any]:
    rows = [WREN, OTHO, f"{OTHO},a note".replace("X82", "Y82").replace(",M,", ",Boyish,")]
    sample = write_rows(tmp_path, *rows, headings=f"{HEADINGS},Note")
    result = CliRunner().invoke(app, ["coverage", str(write_mapping(tmp_path)), str(sample), "--json"])
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_each_target_is_counted_once_for_each_object_that_has_it(covered: dict[str, Any]) -> None:
    filled = {target["path"]: (target["filled"], target["line"]) for target in covered["targets"]}

    assert covered["objects"] == 3
    assert filled["PersonalInformation/Demographics/Gender"] == (2, "ours.toml:9")
    assert filled["HomeLA"] == (3, "ours.toml:13")


def test_codes_of_the_standard_are_told_with_those_never_met(covered: dict[str, Any]) -> None:
    (gender,) = [codes for codes in covered["codes"] if codes["list"] == "Gender"]

    assert gender["met"] == {"F": 1, "M": 1}
    assert gender["never"] == ["U", "W"]


def test_rules_that_are_broken_and_columns_that_are_not_read_are_told(covered: dict[str, Any]) -> None:
    assert [(one["rule"], one["count"], one["codes"]) for one in covered["broken"]] == [("code", 1, {"Boyish": 1})]
    assert covered["unread"] == ["Note"]


def test_a_table_has_a_bar_for_each_target(tmp_path: Path) -> None:
    arguments = ["coverage", str(write_mapping(tmp_path)), str(write_rows(tmp_path, WREN, OTHO))]
    lines = CliRunner().invoke(app, arguments).stdout.splitlines()

    (line,) = [line for line in lines if "LocalId" in line]
    assert f"{'█' * 20} 100%" in line


def test_memory_does_not_grow_with_the_export(tmp_path: Path) -> None:
    mapping = load(write_mapping(tmp_path))
    assert isinstance(mapping, InwardMapping)
    peaks = []
    for count in (100, 100, 1000):
        rows = [f"H8209901{number:05},{number},Quillfeather,Wren{number},F,30/05/2013,836" for number in range(count)]
        source = open_source(write_rows(tmp_path, *rows))
        tracemalloc.start()
        assert cover([mapping], source)[0].objects == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[2] < peaks[1] * 1.5 + 200_000  # the first run warms caches
