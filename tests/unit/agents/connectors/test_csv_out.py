"""CSV files for other systems: whole sets, encodings, nothing a spreadsheet would run, and the way back."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from lxml import etree
from pydantic import ValidationError

from agents.connectors.contract import TargetError, Written
from agents.connectors.csv import CsvOptions, CsvSource
from agents.connectors.csv_out import CsvOutOptions, CsvTarget
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping, Record, RowProblem, Rows

COLUMNS = ("Id", "Name", "Note")


@dataclass
class Table:
    """Stands where a mapping does, with rows of its own."""

    made: list[dict[str, str]]
    table: str = "pupils"
    columns: tuple[str, ...] = COLUMNS
    key: str = "Id"
    name: str = "test"
    problems: tuple[RowProblem, ...] = ()

    def rows(self, _objects: Objects) -> Rows:
        return Rows(tuple(self.made), self.problems)


class Nothing:
    """No objects."""

    def get(self, _object_type: str, _ref_id: str) -> etree._Element | None:
        return None

    def all(self, _object_type: str) -> Iterator[etree._Element]:
        return iter(())


def write(path: Path, *tables: Table, **options: object) -> Written:
    made = cast("list[OutwardMapping]", list(tables))
    return CsvTarget(path, made, CsvOutOptions.model_validate(options)).write(Nothing())


def row(number: int, name: str = "Zoë", note: str = "") -> dict[str, str]:
    return {"Id": str(number), "Name": name, "Note": note}


def test_each_table_is_a_file_of_one_set_in_the_order_of_its_keys_for_the_agent_alone(tmp_path: Path) -> None:
    groups = Table([{"Code": "9A"}], "groups", ("Code",), "Code")

    written = write(tmp_path, Table([row(2, "Ada"), row(1)]), groups)

    assert (written.changed, written.counts) == (True, (("pupils", 2), ("groups", 1)))
    pupils = tmp_path / "current" / "pupils.csv"
    assert pupils.read_bytes() == "Id,Name,Note\r\n1,Zoë,\r\n2,Ada,\r\n".encode()
    assert (tmp_path / "current" / "groups.csv").read_bytes() == b"Code\r\n9A\r\n"
    assert (stat.S_IMODE(pupils.stat().st_mode), stat.S_IMODE(pupils.parent.stat().st_mode)) == (0o600, 0o700)
    assert not write(tmp_path, Table([row(1), row(2, "Ada")]), groups).changed


def test_the_group_may_read_where_the_settings_say_so(tmp_path: Path) -> None:
    write(tmp_path, Table([row(1)]), group=True)

    assert stat.S_IMODE((tmp_path / "current" / "pupils.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("'=1", "''=1"),
        ("+44 1632 960101", "+44 1632 960101"),
        ("-5", "-5"),
        ("-", "-"),
        ("O'Brien", "O'Brien"),
        ('say "hi", Zoë', '"say ""hi"", Zoë"'),
        ("two\r\nlines", '"two\r\nlines"'),
    ],
)
def test_no_cell_is_run_as_a_formula_and_the_csv_connector_reads_what_was_written(
    tmp_path: Path, value: str, cell: str
) -> None:
    write(tmp_path, Table([row(1, value)]))

    path = tmp_path / "current" / "pupils.csv"
    assert path.read_bytes().decode() == f"Id,Name,Note\r\n1,{cell},\r\n"
    items = list(CsvSource(CsvOptions()).read(path))
    assert [item.fields for item in items if isinstance(item, Record)] == [{"Id": "1", "Name": value}]


def test_the_guard_can_be_left_out(tmp_path: Path) -> None:
    write(tmp_path, Table([row(1, "=1+1")]), guard=False, delimiter=";", encoding="utf-16")

    assert (tmp_path / "current" / "pupils.csv").read_bytes().decode("utf-16") == "Id;Name;Note\r\n1;=1+1;\r\n"


def test_characters_that_the_encoding_does_not_have_are_replaced_and_counted(tmp_path: Path) -> None:
    written = write(tmp_path, Table([row(1, "Łukasz Żak"), row(2)]), encoding="cp1252")

    assert (tmp_path / "current" / "pupils.csv").read_bytes() == "Id,Name,Note\r\n1,?ukasz ?ak,\r\n2,Zoë,\r\n".encode(
        "cp1252"
    )
    assert written.left_out == (("pupils: characters that cp1252 does not have", 2),)


def test_rows_with_the_key_of_another_and_rows_that_could_not_be_made_are_counted(tmp_path: Path) -> None:
    problem = RowProblem("LearnerPersonal", "LearnerPersonal", "", "Id", "mandatory", "no row", "refuse")

    written = write(tmp_path, Table([row(1)], problems=(problem,)), Table([row(1, "Ada")]))

    assert written.counts == (("pupils", 1),)
    assert dict(written.left_out) == {"pupils: Id twice": 1, "pupils: mandatory Id": 1}


def test_what_does_not_fit_is_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs path"):
        CsvTarget(None, [], CsvOutOptions())
    with pytest.raises(ConfigurationError, match="makes no file name"):
        write(tmp_path, Table([], "../pupils"))
    with pytest.raises(ConfigurationError, match="other columns"):
        write(tmp_path, Table([]), Table([], columns=("Id",)))
    for wrong in ({"encoding": "zlib"}, {"delimiter": "ab"}, {"encoding": "auto"}):
        with pytest.raises(ValidationError):
            CsvOutOptions.model_validate(wrong)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TargetError, match="cannot be written"):
        write(tmp_path / "file", Table([row(1)]))
