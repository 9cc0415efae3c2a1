"""Code tables that stand for a list of the standard have what the list has."""

import tomllib
from pathlib import Path

import pytest

import mappings
import schemas

LISTS = Path(schemas.__file__).parent / "codes"
TABLES = Path(mappings.__file__).parent / "library/codes"


@pytest.mark.parametrize(
    ("table", "file", "name"),
    [
        ("attendance-mark", "attendance", "AttendanceCodeType"),
        ("plan-type", "looked_after", "EducationPlanType"),
        ("plan-status", "looked_after", "EducationPlanStatus"),
        ("school-term", "looked_after", "SchoolTerm"),
    ],
)
def test_a_code_table_gives_every_code_of_its_list_and_no_other(table: str, file: str, name: str) -> None:
    listed = tomllib.loads((LISTS / f"{file}.toml").read_text("utf-8"))[name]
    codes = tomllib.loads((TABLES / f"{table}.toml").read_text("utf-8"))["codes"]

    assert set(codes.values()) == {*listed["codes"], *listed.get("added", {})}
    assert all(codes[code] == code for code in codes.values())
