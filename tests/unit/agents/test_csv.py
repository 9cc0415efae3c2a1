"""CSV reports as records: every tolerance and every report of what is wrong."""

from pathlib import Path

import pytest

from agents.connectors.contract import SourceError, SourceFields, SourceProblem
from agents.connectors.csv import CsvOptions, CsvSource
from mappings import Record


def read(path: Path, content: bytes | str, **options: object) -> list[Record | SourceProblem | SourceFields]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(CsvSource(CsvOptions.model_validate(options)).read(path))


def records(items: list[Record | SourceProblem | SourceFields]) -> list[tuple[str, dict[str, str]]]:
    return [(item.position, dict(item.fields)) for item in items if isinstance(item, Record)]


def problems(items: list[Record | SourceProblem | SourceFields]) -> list[tuple[str, str, str]]:
    return [(item.position, item.rule, item.severity) for item in items if isinstance(item, SourceProblem)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pupils.csv"


def test_rows_are_records_with_stripped_values_and_without_what_is_empty(path: Path) -> None:
    items = read(path, 'UPN, Reg ,House\r\n A1 ,9A,\r\nB2,9B,"12, Long Lane"\r\n')

    assert items[0] == SourceFields(frozenset({"UPN", "Reg", "House"}))
    assert records(items) == [
        ("row 2", {"UPN": "A1", "Reg": "9A"}),
        ("row 3", {"UPN": "B2", "Reg": "9B", "House": "12, Long Lane"}),
    ]


@pytest.mark.parametrize(
    "content",
    ["Name\nZoë\n".encode("utf-8-sig"), "Name\nZoë\n".encode(), "Name\nZoë\n".encode("cp1252")],
    ids=["utf-8-sig", "utf-8", "cp1252"],
)
def test_the_encoding_is_found(path: Path, content: bytes) -> None:
    assert records(read(path, content)) == [("row 2", {"Name": "Zoë"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(path: Path, delimiter: str) -> None:
    content = f"UPN{delimiter}Reg\nA1{delimiter}9A\n"

    assert records(read(path, content)) == [("row 2", {"UPN": "A1", "Reg": "9A"})]


def test_rows_with_too_many_cells_are_reported_by_number_and_the_others_go_on(path: Path) -> None:
    items = read(path, "UPN,Reg\nA1,9A\nB2,9B,what\n\nC3,9C\nD4\nE5,9E,,\n")

    assert [position for position, _ in records(items)] == ["row 2", "row 5", "row 6", "row 7"]
    assert problems(items) == [("row 3", "ragged-row", "refuse"), ("row 6", "short-row", "warn")]
    assert "what" not in " ".join(item.message for item in items if isinstance(item, SourceProblem))


def test_columns_without_or_with_the_same_heading_are_reported_and_not_read(path: Path) -> None:
    items = read(path, "UPN,Reg,,Reg\nA1,9A,x,9B\n")

    assert problems(items) == [("row 1", "no-heading", "warn"), ("row 1", "double-heading", "warn")]
    assert records(items) == [("row 2", {"UPN": "A1"})]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        (b"\xff\xfeU\x00P\x00N\x00\n\x00", "not a text file|NUL"),
        (b"UPN\nA\x00B\n", "not a text file|NUL"),
        ("a,b" * 600 + "\nx\n", "more than 500 columns"),
        ("UPN\n" + "x" * 1_100_000 + "\n", "line of more than"),
    ],
    ids=["empty", "utf-16", "nul", "columns", "line"],
)
def test_what_is_no_report_is_refused_as_a_whole(path: Path, content: bytes | str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        assert not records(read(path, content))


def test_a_quotation_mark_that_is_not_closed_is_reported_and_not_taken_for_a_cell(path: Path) -> None:
    items = read(path, 'UPN,Reg\nA1,9A\nB2,"9B\n' + "C3,9C\n" * 10_000)

    assert records(items) == [("row 2", {"UPN": "A1", "Reg": "9A"})]
    assert problems(items) == [("row 3", "cell-size", "refuse")]


def test_a_file_over_the_limit_is_refused(path: Path) -> None:
    with pytest.raises(SourceError, match="max_bytes"):
        read(path, "UPN\nA1\n", max_bytes=3)
