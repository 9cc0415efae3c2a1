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
    which = f"{file}: " if file else ""
    csv.field_size_limit(MAX_LINE)
    with open_text(opener, encoding) as text:
        lines = read_lines(text, file)
        if has_sep:
            next(lines)
        reader = _reader(lines, delimiter, options)
        number = 0
        while True:
            number += 1
            begins = reader.line_num + 1 + has_sep
            try:
                cells = next(reader, None)
            except csv.Error as error:
                message = f"{which}a row that is no CSV: look for a quotation mark that is not closed"
                raise SourceError(message, begins) from error
            if cells is None:
                return
            fault = _fault(cells, encoding)
            if fault is not None:
                yield SourceProblem(f"{file} row {number}".lstrip(), *fault, "refuse")
            elif any(map(str.strip, cells)):
                yield number, cells


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
            widths = [len(cells) for cells in _reader(sample, delimiter, options) if cells]
            first = next((index for index, width in enumerate(widths) if width > 1), None)
            if first is None:
                continue
            widest = max(widest, (widths[first], -order))
            if 2 * sum(width == widths[first] for width in widths) > len(widths) - first:
                likely.append((first, -widths[first], order))
    return _DELIMITERS[min(likely)[-1] if likely else -widest[1]]


def _reader(lines: Iterable[str], delimiter: str, options: CsvOptions) -> Any:  # the stubs have no public name for it
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if options.quoted else csv.QUOTE_NONE)


__all__ = ["CsvOptions", "CsvSource", "csv_rows", "encoding_problems"]
