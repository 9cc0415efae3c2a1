"""Workbooks as records: what cells become, which sheet, and what a small file may not do to the agent."""

import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.worksheet.worksheet import Worksheet

from agents.connectors import xlsx
from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.xlsx import XlsxOptions, XlsxSource
from mappings import Record

ROWS: list[list[object]] = [["UPN", "Reg"], ["A1", "9A"]]


def read(path: Path, **options: object) -> list[Item]:
    return list(XlsxSource(XlsxOptions.model_validate(options)).read(path))


def records(items: list[Item]) -> list[tuple[str, dict[str, str]]]:
    return [(item.position, dict(item.fields)) for item in items if isinstance(item, Record)]


def write(path: Path, rows: list[list[object]], prepare: Callable[[Workbook], None] = lambda _book: None) -> Path:
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    for row in rows:
        sheet.append(row)
    prepare(book)
    book.save(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pupils.xlsx"


def test_cells_become_texts_as_other_files_have_them(path: Path) -> None:
    headings: list[object] = ["Date", "Moment", "Clock", "Long", "Whole", "Part", "Tick", "Text", "Big"]
    cells: list[object] = [
        date(2015, 3, 4),
        datetime(2026, 11, 23, 8, 57),  # noqa: DTZ001 - a workbook has no zones
        time(9, 5),
        timedelta(hours=30),
        12.0,
        0.1,
        True,
        " 00123 ",
        9999999999,
    ]

    items = read(write(path, [headings, cells]))

    assert records(items) == [
        (
            "row 2",
            {
                "Date": "2015-03-04",
                "Moment": "2026-11-23T08:57:00",
                "Clock": "09:05:00",
                "Long": "30:00:00",
                "Whole": "12",
                "Part": "0.1",
                "Tick": "true",
                "Text": "00123",
                "Big": "9999999999",
            },
        )
    ]


def test_rows_have_the_numbers_that_the_spreadsheet_shows_wherever_the_table_stands(path: Path) -> None:
    rows: list[list[object]] = [
        [],
        [None, "Pupils of Thornwick"],
        [],
        [None, "UPN", "Reg"],
        [None, "A1", "9A"],
        [],
        [None, "B2", "9B"],
    ]

    items = read(write(path, rows))

    assert items[0] == SourceFields(frozenset({"UPN", "Reg"}))
    assert records(items) == [("row 5", {"UPN": "A1", "Reg": "9A"}), ("row 7", {"UPN": "B2", "Reg": "9B"})]


def test_a_cell_with_an_error_is_empty_and_reported_by_its_row_and_heading(path: Path) -> None:
    def spoil(book: Workbook) -> None:
        cell = book.worksheets[0]["B2"]
        assert isinstance(cell, Cell)
        cell.value, cell.data_type = "#REF!", "e"

    items = read(write(path, [*ROWS, ["B2", "9B"]], spoil))

    assert records(items) == [("row 2", {"UPN": "A1"}), ("row 3", {"UPN": "B2", "Reg": "9B"})]
    (problem,) = [item for item in items if isinstance(item, SourceProblem)]
    assert (problem.position, problem.rule, "'Reg'" in problem.message) == ("row 2", "error-cell", True)


@pytest.mark.parametrize(("sheet", "upn"), [(None, "A1"), ("pupils & staff", "B2"), (3, "B2"), (1, "hidden")])
def test_the_sheet_is_the_one_that_is_named_or_the_first_that_is_seen(
    path: Path, sheet: str | int | None, upn: str
) -> None:
    def more(book: Workbook) -> None:
        hidden = book.create_sheet("Old", 0)
        hidden.append(["UPN", "Reg"])
        hidden.append(["hidden", "9Z"])
        hidden.sheet_state = "hidden"
        other = book.create_sheet("Pupils & Staff")
        other.append(["UPN", "Reg"])
        other.append(["B2", "9B"])

    assert records(read(write(path, ROWS, more), sheet=sheet))[0][1]["UPN"] == upn


@pytest.mark.parametrize("sheet", ["Leavers", 9])
def test_a_sheet_that_is_not_there_is_told_without_the_names_of_others(path: Path, sheet: str | int) -> None:
    with pytest.raises(SourceError, match="no such sheet among its 1: correct sheet"):
        read(write(path, ROWS), sheet=sheet)


def test_a_cell_so_far_out_that_all_before_it_need_half_a_terabyte_ends_the_reading_and_not_the_agent(
    path: Path,
) -> None:
    def far(book: Workbook) -> None:
        book.worksheets[0]["SF1048576"] = 1  # column 500

    with pytest.raises(SourceError, match="more memory or time"):
        read(write(path, ROWS, far))


def test_what_unpacks_to_far_more_than_it_is_packed_to_is_refused_before_it_is_unpacked(path: Path) -> None:
    write(path, ROWS)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros", b"\x00" * 3_000_000)

    with pytest.raises(SourceError, match="packed to less than 1/200"):
        read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "^line 1: empty"),
        (b"UPN,Reg\n", "use connector csv"),
        (b"\r\n<html><table></table></html>", "a web page"),
        (b"<?xml version='1.0'?>", "XML that is only named"),
        (b"PK\x03\x04rest", "not a workbook that can be read"),
        (bytes.fromhex("D0CF11E0A1B11AE1") + b"\x00" * 600, "not a workbook that can be read"),
        (
            bytes.fromhex("D0CF11E0A1B11AE1") + b"\x00" * 600 + "EncryptedPackage".encode("utf-16-le"),
            "protected with a password",
        ),
    ],
    ids=["empty", "csv", "html", "xml", "zip", "ole", "encrypted"],
)
def test_what_is_no_workbook_is_refused_with_what_to_do(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)

    with pytest.raises(SourceError, match=words):
        read(path)


def test_a_number_whose_digits_a_spreadsheet_has_cut_is_no_value(path: Path) -> None:
    sheet = Workbook()
    page = sheet.active
    assert page is not None
    page.append(["UPN", "Id"])
    page.append(["A1", 12345678901234567])
    sheet.save(path)

    items = list(XlsxSource(XlsxOptions()).read(path))

    assert [(item.rule, item.position) for item in items if isinstance(item, SourceProblem)] == [
        ("excel-number", "row 2")
    ]
    assert [dict(item.fields) for item in items if isinstance(item, Record)] == [{"UPN": "A1"}]


def test_a_row_longer_than_any_refuses_the_workbook_and_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "_LINE", 1000)
    sheet = Workbook()
    page = sheet.active
    assert page is not None
    page.append(["UPN", "Note"])
    page.append(["x" * 30_000] * 10)
    sheet.save(path)

    with pytest.raises(SourceError, match="row that is too long"):
        list(XlsxSource(XlsxOptions()).read(path))


def test_an_empty_sheet_and_one_too_wide_are_refused(path: Path) -> None:
    with pytest.raises(SourceError, match="the sheet is empty"):
        read(write(path, []))
    with pytest.raises(SourceError, match="more than 500 columns"):
        read(write(path, [[str(number) for number in range(501)]]))


def opendocument(path: Path, cells: str) -> Path:
    names = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    names += 'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    names += 'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {names}><office:body><office:spreadsheet>"
            f'<table:table table:name="Pupils">{cells}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def test_an_opendocument_sheet_is_read(tmp_path: Path) -> None:
    def row(*texts: str) -> str:
        cells = (
            f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>' for text in texts
        )
        return f"<table:table-row>{''.join(cells)}</table:table-row>"

    path = opendocument(tmp_path / "pupils.ods", row("UPN", "Reg") + row("A1", "9A"))
    assert records(read(path)) == [("row 2", {"UPN": "A1", "Reg": "9A"})]
