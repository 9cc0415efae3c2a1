"""Made-up records as files: the source's own connector reads the same records again, whatever its options."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from agents.certify.corpus import Case, Corpus
from agents.certify.damaged import damaged, failures
from agents.certify.written import UNMAPPED, Writer
from agents.connectors.contract import Item, NoOptions
from agents.connectors.csv import CsvOptions, CsvSource
from agents.stand_in import RecordFile, write_records
from mappings import Record

RECORDS = (
    Record("row 2", {"LA": "820", "Name": 'O\'Brien & "Sons" ]]>', "Note": "a,b;c\nd"}),
    Record("row 3", {"LA": "820", "Name": "Zo\u00eb"}),
)


def corpus_of(fields: tuple[str, ...] = ("LA", "Name", "Note"), *, is_flat: bool = True) -> Corpus:
    """Return a corpus of two records."""
    return Corpus((), tuple(Case("", record) for record in RECORDS), fields, is_flat)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delimiter": ";"},
        {"encoding": "cp1252", "delimiter": "\t"},
        {"headings_row": 4},
        {"quoted": False, "delimiter": "|"},
        {"columns": ["Note", "Name", "LA"]},
        {"constants": {"LA": "820"}},
    ],
    ids=str,
)
def test_the_connector_reads_what_was_written_for_its_options(tmp_path: Path, options: dict[str, Any]) -> None:
    writer = Writer("csv", options, corpus_of())
    path = tmp_path / "made.csv"
    records = [case.record for case in corpus_of().cases if writer.takes(case)]
    writer.write(path, records)

    source = CsvSource(CsvOptions.model_validate(options))
    found = [item for item in source.read(path) if isinstance(item, Record)]
    assert writer.own
    assert [dict(record.fields) for record in found] == [dict(record.fields) for record in records] != []


def test_what_no_mapping_reads_is_in_a_column_of_its_own(tmp_path: Path) -> None:
    writer = Writer("csv", {}, corpus_of())
    writer.write(tmp_path / "made.csv", RECORDS, "nobody reads this")

    found = [item for item in CsvSource(CsvOptions()).read(tmp_path / "made.csv") if isinstance(item, Record)]
    assert {record.fields[UNMAPPED] for record in found} == {"nobody reads this"}


def test_a_case_that_the_encoding_cannot_hold_is_not_written() -> None:
    writer = Writer("csv", {"encoding": "ascii"}, corpus_of())

    assert [writer.takes(case) for case in corpus_of().cases] == [True, False]


@pytest.mark.parametrize(("connector", "is_flat"), [("ctf", True), ("csv", False)])
def test_records_that_no_file_here_can_hold_are_given_directly(
    tmp_path: Path, connector: str, *, is_flat: bool
) -> None:
    inner = Record("row 2", {".": "x", "Type": "H"})
    records = (Record("row 2", {"Name": "A\x00b"}, {"Phones/Phone": (inner, inner)}), RECORDS[0])
    writer = Writer(connector, {}, corpus_of(is_flat=is_flat))
    path = tmp_path / f"made{writer.suffix}"
    writer.write(path, records)

    first, second = (item for item in RecordFile().read(path) if isinstance(item, Record))
    assert not writer.own
    assert (first.fields, second) == (records[0].fields, records[1])
    (member, _) = first.groups["Phones/Phone"]
    assert (member.fields, member.parent) == (inner.fields, first)


def test_damaged_files_are_many_different_ones_and_the_same_each_time() -> None:
    files = dict(damaged(b"UPN,Name\nx,y\n"))

    assert len(set(files.values())) == len(files) >= 15
    assert files == dict(damaged(b"UPN,Name\nx,y\n"))


class _Careless:
    """A connector that is not ready for everything."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def read(self, path: Path) -> Iterator[Item]:
        yield Record("row 1", {"Name": path.read_text("utf-8")})


def test_a_connector_that_fails_on_a_damaged_file_is_found_out(tmp_path: Path) -> None:
    for name, data in damaged(b""):
        (tmp_path / name).write_bytes(data)
    paths = sorted(tmp_path.iterdir())

    found = failures(_Careless(), paths)
    assert "not-utf-8: UnicodeDecodeError" in found
    assert failures(CsvSource(CsvOptions()), paths) == []


def test_a_file_of_records_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.records"
    write_records(path, RECORDS)
    path.write_bytes(path.read_bytes()[:-20])

    assert failures(RecordFile(), [path]) == []
    assert len(path.read_bytes().splitlines()) == 2
