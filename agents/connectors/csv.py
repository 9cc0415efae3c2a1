"""Reads CSV reports: one heading row, then one record for each row; what the columns mean is the mapping's."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from mappings import Record

_SAMPLE: Final = 64 * 1024
_DELIMITERS: Final = ",;\t|"
_MAX_COLUMNS: Final = 500
_MAX_CELL: Final = 32 * 1024
_MAX_LINE: Final = 1024 * 1024


class CsvOptions(BaseModel):
    """Options of ``connector = "csv"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Literal["auto", "utf-8", "cp1252"] = Field(
        default="auto", description="auto: UTF-8, else Windows (cp1252)."
    )
    delimiter: Literal["auto", ",", ";", "\t", "|"] = Field(
        default="auto", description="auto: as the heading row has it."
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(default=1 << 30, description="Largest file that is read, in bytes.")


class CsvSource:
    """Rows of a CSV file as records."""

    Options: ClassVar[type[BaseModel]] = CsvOptions

    def __init__(self, options: CsvOptions) -> None:
        self._options = options

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each row that is not blank, ``row 2`` being the first after the headings.

        Positions count rows as a spreadsheet shows them. A row with too many or too few cells is reported and not
        read, since its values may stand in wrong columns; cells that a row lacks at its end are only missing values.

        Raises:
            SourceError: Too large, not text, or the headings cannot be used.

        Source:
            RFC 4180; what is tolerated beyond it is our own rule.
        """
        if path.stat().st_size > self._options.max_bytes:
            raise SourceError(f"larger than {self._options.max_bytes:,} bytes: set max_bytes if this is right")
        encoding = self._encoding(path)
        with path.open(encoding=encoding, newline="") as text:
            sample = text.read(_SAMPLE)
            text.seek(0)
            rows = _rows(text, self._delimiter(sample))
            first = next(rows, None)
            if first is None:
                raise SourceError("empty: a report has at least its heading row")
            if isinstance(first, SourceProblem):
                raise SourceError(first.message, 1)
            headings, problems = _headings(first[1])
            yield SourceFields(frozenset(headings) - {""})
            yield from problems
            yield from _records(rows, headings)

    def _encoding(self, path: Path) -> str:
        if self._options.encoding != "auto":
            return "utf-8-sig" if self._options.encoding == "utf-8" else self._options.encoding
        try:
            with path.open(encoding="utf-8-sig", newline="") as text:
                while chunk := text.read(_MAX_LINE):
                    if "\x00" in chunk:
                        raise SourceError("not a text file, or UTF-16: save it as CSV UTF-8")
        except UnicodeDecodeError:
            return "cp1252"
        return "utf-8-sig"

    def _delimiter(self, sample: str) -> str:
        if self._options.delimiter != "auto":
            return self._options.delimiter
        heading = next((line for line in sample.splitlines() if line.strip()), "")
        with suppress(csv.Error):
            counts = {d: len(next(csv.reader([heading], delimiter=d), [])) for d in _DELIMITERS}
            return max(_DELIMITERS, key=lambda d: counts[d])
        return ","


def _rows(text: io.TextIOBase, delimiter: str) -> Iterator[tuple[int, list[str]] | SourceProblem]:
    """Yield row number and cells; blank rows are left out but counted."""
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=False)
    csv.field_size_limit(_MAX_LINE)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceError("a row that is no CSV (a quotation mark that is not closed?)", reader.line_num) from error
        if cells is None:
            return
        if any(len(cell) > _MAX_CELL for cell in cells):
            message = f"a cell of more than {_MAX_CELL:,} characters: look for a quotation mark that is not closed"
            yield SourceProblem(f"row {number}", "cell-size", message, "refuse")
        elif any(cell.strip() for cell in cells):
            yield number, cells


def _lines(text: io.TextIOBase) -> Iterator[str]:
    count = 0
    while line := text.readline(_MAX_LINE):
        count += 1
        if len(line) >= _MAX_LINE and not line.endswith(("\n", "\r")):
            raise SourceError(f"a line of more than {_MAX_LINE:,} characters: this is no CSV report", count)
        if "\x00" in line:
            raise SourceError("a NUL character: this is not a text file", count)
        yield line


def _headings(cells: list[str]) -> tuple[list[str], list[SourceProblem]]:
    """Return a name for each column, empty for one that cannot be told from another, and what is wrong with them."""
    headings = [" ".join(cell.split()) for cell in cells]
    while headings and not headings[-1]:
        headings.pop()
    if len(headings) > _MAX_COLUMNS:
        raise SourceError(f"more than {_MAX_COLUMNS} columns: this is no report that can be mapped", 1)
    problems = [
        SourceProblem("row 1", "no-heading", f"column {number} has no heading and is not read: give it one")
        for number, name in enumerate(headings, start=1)
        if not name
    ]
    double = {name for name, count in Counter(headings).items() if name and count > 1}
    problems += [
        SourceProblem("row 1", "double-heading", f"several columns are headed {name[:60]!r}, none is read: rename them")
        for name in sorted(double)
    ]
    return ["" if name in double else name for name in headings], problems


def _records(rows: Iterator[tuple[int, list[str]] | SourceProblem], headings: list[str]) -> Iterator[Item]:
    width = len(headings)
    for row in rows:
        if isinstance(row, SourceProblem):
            yield row
            continue
        number, cells = row
        if any(cell.strip() for cell in cells[width:]):
            message = f"has {len(cells)} cells under {width} headings: look for a comma or quotation mark too many"
            yield SourceProblem(f"row {number}", "ragged-row", message, "refuse")
            continue
        fields = {name: value for name, cell in zip(headings, cells, strict=False) if name and (value := cell.strip())}
        if len(cells) < width:
            message = f"has {len(cells)} cells under {width} headings: the last columns are taken as empty"
            yield SourceProblem(f"row {number}", "short-row", message)
        yield Record(f"row {number}", fields)


__all__ = ["CsvOptions", "CsvSource"]
