"""What no column of a table gives, such as whose report it is, is given by an option and is in every record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pydantic import ValidationError

from agents import connectors
from agents.connectors.contract import Item, SourceError, SourceFields
from agents.connectors.csv import CsvOptions
from mappings import Record

Write = Callable[[Path], None]


def _workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["UPN", "Surname"], ["A1", "Quill"], ["B2", None]):
        book.active.append(row)
    book.save(path)


KINDS: dict[str, tuple[Write, dict[str, Any]]] = {
    "csv": (lambda path: _text(path, "UPN,Surname\nA1,Quill\nB2,\n"), {}),
    "fixed-width": (lambda path: _text(path, "A1Quill\nB2\n"), {"columns": {"UPN": "1-2", "Surname": "3-9"}}),
    "xlsx": (_workbook, {}),
}


def _text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _read(tmp_path: Path, name: str, constants: dict[str, str]) -> list[Item]:
    write, options = KINDS[name]
    write(tmp_path / "report")
    source = connectors.find(name)
    made = source(source.Options.model_validate({**options, "constants": constants}))
    return list(made.read(tmp_path / "report"))


@pytest.mark.parametrize("name", KINDS)
def test_every_record_has_the_constants_and_the_file_s_fields_name_them(tmp_path: Path, name: str) -> None:
    school = {"LA Number": "820", "Estab Number": "9901"}

    items = _read(tmp_path, name, school)

    assert items[0] == SourceFields(frozenset({"UPN", "Surname", *school}))
    assert [dict(item.fields) for item in items if isinstance(item, Record)] == [
        {"UPN": "A1", "Surname": "Quill", **school},
        {"UPN": "B2", **school},
    ]


@pytest.mark.parametrize("name", KINDS)
def test_a_column_that_is_among_the_constants_too_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"line 1: .*'Surname' and constants has it too: take it out"):
        _read(tmp_path, name, {"Surname": "Lark"})


@pytest.mark.parametrize("value", ["", " ", "x" * 1001, 820])
def test_a_constant_is_a_text_with_something_in_it(value: object) -> None:
    with pytest.raises(ValidationError, match="LA Number"):
        CsvOptions.model_validate({"constants": {"LA Number": value}})
