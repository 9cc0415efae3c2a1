"""Reads CSV and TSV reports in any encoding: one record for each row; what the columns mean is the mapping's."""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Final

from pydantic import BaseModel, Field, StringConstraints

from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.tables import MAX_CELL, Row, TableOptions, check_size, table_items
from agents.connectors.texts import (
    MAX_LINE,
    Encoding,
    EncodingName,
    Opener,
    find_encoding,
    open_text,
    read_lines,
)

_DELIMITERS: Final = ",;\t|"
_MAX_ROW: Final = 4 * MAX_LINE
"""Most characters in a row, over all of its lines."""
_END: Final = "\x00"
"""Read behind the last line, as a row of its own: if it is in a cell, that cell was never closed."""
_SNIFFED: Final = 25
"""Lines by which the delimiter is told."""
_SEP: Final = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)
Delimiter = Annotated[str, StringConstraints(pattern=r"^(auto|[^A-Za-z0-9\s\"'.\x00]|\t)$", strip_whitespace=False)]


class CsvOptions(TableOptions):
    """Options of ``connector = "csv"``."""

    encoding: EncodingName = Field(
        default="auto", description="auto, or any that Python knows: utf-8, utf-16, cp1252, iso-8859-15, mac-roman ..."
    )
    delimiter: Delimiter = Field(default="auto", description="One character; auto: as the file has it.")
    quoted: bool = Field(default=True, description="Cells may be in quotation marks; false where these mean nothing.")


class CsvSource:
    """Rows of a CSV file as records."""

    Options: ClassVar[type[BaseModel]] = CsvOptions

    def __init__(self, options: CsvOptions) -> None:
        self._options = options

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each row that is not blank, ``row 2`` being the first after the headings.

        Positions count rows as a spreadsheet shows them. What becomes of ragged rows and of cells that a spreadsheet
        has spoilt is said in :func:`agents.connectors.tables.table_items`.

        Raises:
            SourceError: Too large, not text, or the headings cannot be used.

        Source:
            RFC 4180; what is tolerated beyond it is our own rule.
        """
        check_size(path.stat().st_size, self._options.max_bytes)

        def opener() -> BinaryIO:
            return path.open("rb")

        encoding = find_encoding(opener, self._options.encoding)
        yield from encoding_problems(encoding)
        yield from table_items(csv_rows(opener, encoding, self._options), self._options)


def encoding_problems(encoding: Encoding, place: str = "row 1") -> Iterator[SourceProblem]:
    """Yield what is to be said of a file's encoding."""
    if encoding.is_guess:
        message = f"nothing says how the letters are written: taken for {encoding.name}; set encoding if it is another"
        yield SourceProblem(place, "encoding", message)


def csv_rows(opener: Opener, encoding: Encoding, options: CsvOptions, file: str = "") -> Iterator[Row | SourceProblem]:
    """Yield number and cells of each row that is not blank; the blank ones are counted.

    Args:
        opener: Opens the file.
        encoding: What it is in.
        options: Delimiter and quotation marks.
        file: Its name, for errors, where it is one of several.

    Raises:
        SourceError: Not text, or no CSV.
    """
    delimiter, has_sep = _delimiter(opener, encoding, options)
    with open_text(opener, encoding) as text:
        lines = read_lines(text, file)
        if has_sep:
            next(lines)
        rows = read_cells(lines, file, 1 + has_sep, delimiter, quoted=options.quoted)
        for number, (_, cells) in enumerate(rows, start=1):
            fault = _fault(cells, encoding)
            if fault is not None:
                yield SourceProblem(f"{file} row {number}".lstrip(), *fault, "refuse")
            elif any(map(str.strip, cells)):
                yield number, cells


def read_cells(
    lines: Iterator[str], file: str = "", first: int = 1, delimiter: str = ",", *, quoted: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins on, and its cells, none for a blank one.

    Args:
        lines: From :func:`read_lines`, so that none has a NUL.
        file: Its name, for errors, where it is one of several.
        first: Number of the first of the lines.
        delimiter: Between cells.
        quoted: Cells may be in quotation marks.

    Raises:
        SourceError: A row that is too long, or a quotation mark that is not closed: the rows behind it are in its cell.
    """
    size = 0

    def counted() -> Iterator[str]:
        nonlocal size
        for line in lines:
            size += len(line)
            if size > _MAX_ROW:
                raise csv.Error
            yield line
        yield _END

    csv.field_size_limit(MAX_LINE)
    reader = _reader(counted(), delimiter, quoted=quoted)
    while True:
        begins, size = first + reader.line_num, 0
        try:
            cells = next(reader)
        except csv.Error:
            cells = ["", _END]
        if cells == [_END]:
            return
        if cells and cells[-1].endswith(_END):
            which = f"{file}: " if file else ""
            message = f"{which}a row that is no CSV: look for a quotation mark that is not closed"
            raise SourceError(message, begins)
        yield begins, cells


def _fault(cells: list[str], encoding: Encoding) -> tuple[str, str] | None:
    """Return rule and message for a row that is none."""
    if cells and len(max(cells, key=len)) > MAX_CELL:
        message = f"a cell of more than {MAX_CELL:,} characters: look for a quotation mark that is not closed"
        return "cell-size", message
    if encoding.is_damaged and any("\ufffd" in cell for cell in cells):
        return "encoding", "bytes that are not UTF-8, in a file that is: write this row again"
    return None


def _delimiter(opener: Opener, encoding: Encoding, options: CsvOptions) -> tuple[str, bool]:
    """Return the delimiter, and whether the first line is there only to say it."""
    with open_text(opener, encoding) as text:
        lines = read_lines(text)
        sample = list(islice(lines, _SNIFFED))
    said = _SEP.fullmatch(sample[0]) if sample else None
    if options.delimiter != "auto":
        return options.delimiter, said is not None
    if said is not None and not said[1].isalnum() and said[1] not in "\"'\r\n":
        return said[1], True
    return _sniff([line for line in sample if len(line) <= MAX_CELL], options), False


def _sniff(sample: list[str], options: CsvOptions) -> str:
    """Return the delimiter that gives most rows the width of the first that has two cells; of several, the earliest.

    That is, commas in a title above the headings, or in the texts of some rows, do not count.
    """
    likely: list[tuple[int, int, int]] = []
    widest = (1, 0)
    for order, delimiter in enumerate(_DELIMITERS):
        with suppress(csv.Error):
            widths = [len(cells) for cells in _reader(sample, delimiter, quoted=options.quoted) if cells]
            first = next((index for index, width in enumerate(widths) if width > 1), None)
            if first is None:
                continue
            widest = max(widest, (widths[first], -order))
            if 2 * sum(width == widths[first] for width in widths) > len(widths) - first:
                likely.append((first, -widths[first], order))
    return _DELIMITERS[min(likely)[-1] if likely else -widest[1]]


def _reader(lines: Iterable[str], delimiter: str, *, quoted: bool) -> Any:  # the stubs have no public name for it
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)


__all__ = ["CsvOptions", "CsvSource", "csv_rows", "encoding_problems", "read_cells"]
