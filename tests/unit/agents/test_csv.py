"""CSV reports as records: every tolerance and every report of what is wrong."""

import csv
import io
import tracemalloc
from pathlib import Path

import pytest
from pydantic import ValidationError

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
    "encoding", ["utf-8-sig", "utf-8", "cp1252", "iso-8859-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_the_encoding_is_found(path: Path, encoding: str) -> None:
    items = read(path, "Name;Town\nZoë O'Brien;Thornwick\n".encode(encoding))

    assert (records(items), problems(items)) == ([("row 2", {"Name": "Zoë O'Brien", "Town": "Thornwick"})], [])


@pytest.mark.parametrize("encoding", ["cp1250", "mac-roman", "cp037", "iso-8859-15"])
def test_an_encoding_that_is_named_is_used_by_whatever_name_python_has_for_it(path: Path, encoding: str) -> None:
    text = "Name,Town\nZoë Žák,Thornwick\n" if encoding in ("cp1250", "iso-8859-15") else "Name,Town\nZoë,Thornwick\n"

    items = read(path, text.replace("ë", "é").encode(encoding), encoding=encoding)

    assert records(items)[0][1]["Name"] == text.split("\n")[1].split(",")[0].replace("ë", "é")


def test_lines_that_end_as_on_an_old_macintosh_tell_its_encoding_and_that_is_said(path: Path) -> None:
    items = read(path, "Name,Town\rZoë,Thornwick\rSeán,Thornwick\r".encode("mac-roman"))

    assert [fields["Name"] for _, fields in records(items)] == ["Zoë", "Seán"]
    assert problems(items) == [("row 1", "encoding", "warn")]


@pytest.mark.parametrize("name", ["rot13", "zlib", "unicode_escape", "idna", "utf-7", "klingon", "base64", ""])
def test_what_is_no_encoding_of_files_cannot_be_named(name: str) -> None:
    with pytest.raises(ValidationError, match="encoding"):
        CsvOptions(encoding=name)


def test_rows_with_bytes_of_another_encoding_are_refused_and_the_rest_of_a_utf_8_file_goes_on(path: Path) -> None:
    content = "Name,Reg\nZoë,9A\nSeán,9B\n".encode() + "Anaïs,9C\n".encode("cp1252") + "José,9D\n".encode()

    items = read(path, content)

    assert [fields["Name"] for _, fields in records(items)] == ["Zoë", "Seán", "José"]
    assert problems(items) == [("row 4", "encoding", "refuse")]


def test_bytes_that_are_not_of_the_encoding_are_told_with_their_line(path: Path) -> None:
    content = "Name,Reg\n" + "Zoë,9A\n" * 3000

    with pytest.raises(SourceError, match=r"^line 3002: bytes that are not utf-8"):
        read(path, content.encode() + b"Ana\xefs,9C\n", encoding="utf-8")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(path: Path, delimiter: str) -> None:
    content = f"UPN{delimiter}Reg\nA1{delimiter}9A\n"

    assert records(read(path, content)) == [("row 2", {"UPN": "A1", "Reg": "9A"})]


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\nUPN;Notes\nA1;a, b\n",
        '"sep=;"\nUPN;Notes\nA1;a, b\n',
        "Pupils of Thornwick, Quillshire\nUPN\tNotes\nA1\ta, b\nB2\tc\n",
        "UPN\tNotes\nA1\ta, b\nB2\tc, d\nC3\te, f\n",
        'UPN,Notes\nA1,"a, b"\nB2,c;d\nC3,e;f\n',
    ],
    ids=["sep", "quoted-sep", "title", "commas-in-texts", "semicolons-in-texts"],
)
def test_the_delimiter_is_not_taken_from_titles_and_texts(path: Path, content: str) -> None:
    position, fields = records(read(path, content))[0]

    assert fields == {"UPN": "A1", "Notes": "a, b"}
    assert position == ("row 3" if content.startswith("Pupils") else "row 2")


def test_addresses_with_more_commas_than_there_are_columns_do_not_make_it_the_delimiter(path: Path) -> None:
    items = read(path, "UPN\tAddress\n" + "A1\t1 Long Lane, Thornwick, Quillshire\n" * 3)

    assert {fields["Address"] for _, fields in records(items)} == {"1 Long Lane, Thornwick, Quillshire"}


@pytest.mark.parametrize(
    "above", ["Pupils\n", "Pupils on roll,,\n\n,,\n", '"Pupils\nof today"\n'], ids=["one", "blank", "two-lines"]
)
def test_titles_above_the_headings_are_passed_over_and_counted(path: Path, above: str) -> None:
    items = read(path, above + "UPN,Reg,\nA1,9A,\n")

    number = 2 + sum(1 for _ in csv.reader(io.StringIO(above)))
    assert (records(items), problems(items)) == ([(f"row {number}", {"UPN": "A1", "Reg": "9A"})], [])


def test_headings_are_in_the_row_that_is_named_or_are_named_themselves(path: Path) -> None:
    content = "School,Thornwick\nUPN,Reg\nA1,9A\nTotal,1\n"

    assert records(read(path, content, headings_row=2, footers=["total"])) == [("row 3", {"UPN": "A1", "Reg": "9A"})]
    assert records(read(path, "A1,9A\n", columns=["UPN", "Reg"])) == [("row 1", {"UPN": "A1", "Reg": "9A"})]
    with pytest.raises(SourceError, match="line 9: row 9 is empty"):
        read(path, content, headings_row=9)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('="00123"', "00123"),
        ('"=""00123"""', "00123"),
        ("'=1+1", "=1+1"),
        ("''=1", "'=1"),
        ("'tis", "'tis"),
        ("\xa0 a\xa0b\u202f", "a b"),
        ("1.5E+01", "15"),
        ("-1.234567E+06", "-1234567"),
        ('"say ""hi"""', 'say "hi"'),
        ('"two\r\nlines"', "two\r\nlines"),
        ("1E+5A", "1E+5A"),
    ],
)
def test_what_a_spreadsheet_has_done_to_a_cell_is_undone(path: Path, cell: str, value: str) -> None:
    items = read(path, f"UPN,Cell\r\nA1,{cell}\r\n")

    assert (records(items), problems(items)) == ([("row 2", {"UPN": "A1", "Cell": value})], [])


@pytest.mark.parametrize(
    ("cell", "rule"), [("1.23E+09", "excel-number"), ("8.2E+12", "excel-number"), ("#N/A", "error-cell")]
)
def test_a_cell_that_a_spreadsheet_has_spoilt_for_good_is_taken_as_empty_and_reported(
    path: Path, cell: str, rule: str
) -> None:
    items = read(path, f"UPN,ULN\nA1,{cell}\n")

    assert (records(items), problems(items)) == ([("row 2", {"UPN": "A1"})], [("row 2", rule, "warn")])
    assert cell not in str(items)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way_and_in_several(path: Path, end: str) -> None:
    items = read(path, f"UPN,Reg{end}A1,9A\nB2,9B\r\nC3,9C{end}", encoding="utf-8")

    assert [fields["UPN"] for _, fields in records(items)] == ["A1", "B2", "C3"]


def test_quotation_marks_mean_nothing_where_the_settings_say_so(path: Path) -> None:
    assert records(read(path, 'UPN\tHeight\nA1\t"5\nB2\t6\n', quoted=False))[0][1] == {"UPN": "A1", "Height": '"5'}


def test_reading_takes_no_more_memory_for_a_larger_file(path: Path) -> None:
    row = "A1," + "x" * 200 + "\n"
    source = CsvSource(CsvOptions())
    path.write_text("UPN,Notes\n" + row * 10_000, encoding="utf-16")

    tracemalloc.start()
    try:
        count = sum(1 for _ in source.read(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 10_001
    assert peak < 1_000_000 < path.stat().st_size / 4


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
        (b"\xff\xfeU\x00P\x00N\x00\n", "bytes that are not utf-16"),
        (b"UPN\nA\x00B\n", "not a text file|NUL"),
        ("a,b" * 600 + "\nx\n", "more than 500 columns"),
        ("UPN\n" + "x" * 1_100_000 + "\n", "line of more than"),
        ('UPN,Reg\nA1,9A\n"B2,' + "9B\n" * 400_000, "^line 3: a row that is no CSV"),
    ],
    ids=["empty", "half-utf-16", "nul", "columns", "line", "quote"],
)
def test_what_is_no_report_is_refused_as_a_whole(path: Path, content: bytes | str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        assert not records(read(path, content))


@pytest.mark.parametrize("rows", [0, 1, 10_000])
def test_a_quotation_mark_that_is_not_closed_refuses_the_file_since_rows_are_lost_in_its_cell(
    path: Path, rows: int
) -> None:
    with pytest.raises(SourceError, match=r"^line 3: .* quotation mark that is not closed"):
        read(path, 'UPN,Reg\nA1,9A\nB2,"9B\n' + "C3,9C\n" * rows)


def test_a_cell_larger_than_any_is_reported_and_the_others_go_on(path: Path) -> None:
    items = read(path, 'UPN,Reg\nA1,"' + "x\n" * 20_000 + '"\nB2,9B')

    assert records(items) == [("row 3", {"UPN": "B2", "Reg": "9B"})]
    assert problems(items) == [("row 2", "cell-size", "refuse")]


def test_a_row_that_goes_on_over_too_many_lines_is_not_gathered_to_its_end(path: Path) -> None:
    with pytest.raises(SourceError, match=r"^line 2"):
        read(path, "UPN,Reg\n" + '"x\n",' * 900_000 + '"y"\n')


def test_a_file_over_the_limit_is_refused(path: Path) -> None:
    with pytest.raises(SourceError, match="max_bytes"):
        read(path, "UPN\nA1\n", max_bytes=3)
