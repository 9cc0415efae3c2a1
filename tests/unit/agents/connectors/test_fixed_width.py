"""Files with fixed columns as records: places, lengths, encodings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.fixed_width import FixedWidthOptions, FixedWidthSource
from mappings import Record

COLUMNS = {"Surname": "1-8", "Forename": "9-14", "Sex": "15"}


def read(path: Path, content: bytes | str, **options: object) -> list[Item]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = {"columns": COLUMNS, **options}
    return list(FixedWidthSource(FixedWidthOptions.model_validate(given)).read(path))


def records(items: list[Item]) -> list[tuple[str, dict[str, str]]]:
    return [(item.position, dict(item.fields)) for item in items if isinstance(item, Record)]


def problems(items: list[Item]) -> list[tuple[str, str, str]]:
    return [(item.position, item.rule, item.severity) for item in items if isinstance(item, SourceProblem)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pupils.txt"


def test_columns_are_cut_out_at_their_places_and_blanks_taken_off(path: Path) -> None:
    items = read(path, "Quill   Zoë   F\r\n\r\nLark    Seán\r\n\x1a")

    assert items[0] == SourceFields(frozenset(COLUMNS))
    assert records(items) == [
        ("line 1", {"Surname": "Quill", "Forename": "Zoë", "Sex": "F"}),
        ("line 3", {"Surname": "Lark", "Forename": "Seán"}),
    ]
    assert problems(items) == []


def test_columns_may_be_given_by_their_widths_in_order(path: Path) -> None:
    widths = [["Surname", 8], ["Forename", 6], ["Sex", 1]]

    assert read(path, "Quill   Zoë   F\n", columns=widths) == read(path, "Quill   Zoë   F\n")


def test_a_line_of_another_length_is_refused_and_the_others_go_on(path: Path) -> None:
    content = "Quill   Zoe   F\nQuill-Lark  Ann F 9A\nLark    Sean\nFinch   Ada   F\n"

    assert problems(read(path, content)) == [("line 2", "line-length", "refuse")]
    exact = read(path, content, line_length=15)
    assert [position for position, _ in records(exact)] == ["line 1", "line 4"]
    assert problems(exact) == [("line 2", "line-length", "refuse"), ("line 3", "line-length", "refuse")]
    assert "Quill-Lark" not in str(exact)


def test_lines_at_the_top_and_the_end_that_are_no_records_are_passed_over(path: Path) -> None:
    items = read(
        path, "HEADER 20261123 00002\nQuill   Zoe   F\nTRAILER 00000000000001\n", skip_lines=1, footers=["trailer"]
    )

    assert (records(items)[0][0], len(records(items)), problems(items)) == ("line 2", 1, [])


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_columns_are_counted_in_characters_of_whatever_encoding(path: Path, encoding: str) -> None:
    items = read(path, "Müller  Zoë   F\n".encode(encoding))

    assert records(items) == [("line 1", {"Surname": "Müller", "Forename": "Zoë", "Sex": "F"})]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"A": "1-5", "B": "5-9"}, "B begins before A ends"),
        ({"A": "5-1"}, "no place"),
        ({"A": "0-3"}, "no place"),
        ({"A": "one"}, "no place"),
        ({"A": "1-99999999"}, "no place"),
        ({}, "at least 1"),
        ([["A", 1], ["A", 2]], "each once"),
        ([["A", 0]], "each once"),
        (["A"], "each once"),
    ],
)
def test_places_that_cannot_be_are_refused(columns: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FixedWidthOptions.model_validate({"columns": columns})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: empty"),
        (b"Quill   Zoe   F\nQu\x00ll\n", "line 2: a NUL"),
        (b"Quill   Zoe   F\n" * 9, "max_bytes"),
    ],
)
def test_what_is_no_text_or_too_large_is_refused_as_a_whole(path: Path, content: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read(path, content, max_bytes=100)
