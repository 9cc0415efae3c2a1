"""Reads the CSV files of a return, all that are in one folder; what is in them is others' work."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agents.connectors.contract import SourceError, SourceProblem
from agents.connectors.ssda903.rows import LONGEST_ID, Child, Report, Row
from agents.connectors.ssda903.tables import TABLES, Table, recognise

_DELIMITERS: Final = ",;\t|"
_MAX_COLUMNS: Final = 200
_MAX_CELL: Final = 1_000
"""Characters; the longest that belongs in a return has some dozens. More is a quotation mark that is not closed."""
_MAX_FILES: Final = 100
_FORMULA: Final = ("=", "+", "-", "@")
_HEADING: Final = re.compile(r"[A-Z][A-Z0-9_ ]{0,39}")
_NEEDED: Final = ("Header", "Episodes")


class Folder:
    """The files of one return, read into memory, since rows of a child may be anywhere in any of them.

    Attributes:
        tables: The files by the name of their table.
        digest: Changes with the content of any file.
        newest: When the newest file was written, as the file system has it.
    """

    def __init__(
        self, path: Path, max_bytes: int, wanted: frozenset[str] = frozenset(TABLES), within: str = ""
    ) -> None:
        """Look at the files of a folder, and read those of the return.

        Args:
            path: The folder, or one of the files in it, which then has to be one that can be read.
            max_bytes: Most that all files together may have.
            wanted: Only these tables.
            within: What stands before the names of files, where they are not of the folder that is read.

        Raises:
            SourceError: *path* cannot be read, two files have the columns of one table, or a needed one is missing.
        """
        folder = path if path.is_dir() else path.parent
        self.tables: dict[str, CsvFile] = {}
        self.problems: list[SourceProblem] = []
        self.newest = 0.0
        digest = hashlib.sha256()
        files = _files(folder, path)
        if sum(file.stat().st_size for file in files) > max_bytes:
            raise SourceError(f"the files are larger than {max_bytes:,} bytes: set max_bytes if this is right")
        for file in files:
            try:
                read = CsvFile(file, max_bytes, within)
            except SourceError as error:
                if file == path:
                    raise
                message = f"is not read: {error.reason}"
                self.problems.append(
                    SourceProblem(within + file.name, "file-not-read", message, "refuse", incomplete=True)
                )
                continue
            if read.table.name not in wanted:
                continue
            other = self.tables.setdefault(read.table.name, read)
            if other is not read:
                raise SourceError(
                    f"{other.name} and {read.name} both have the columns of {read.table.name}: keep one return in a "
                    "folder, and nothing else"
                )
            digest.update(read.digest)
            self.newest = max(self.newest, file.stat().st_mtime)
        self.digest = digest.hexdigest()
        for name in _NEEDED:
            if name in wanted and name not in self.tables:
                also = f" ({self.problems[0].position} {self.problems[0].message})" if self.problems else ""
                raise SourceError(
                    f"there is no {name} file in the folder that can be read{also}: put all files of the return there"
                )

    def rows(self, report: Report) -> Iterator[Row]:
        """Yield the rows that belong to a child, file by file; the others are reported."""
        for file in self.tables.values():
            yield from file.rows(report)

    def children(self, report: Report, year: int) -> Iterator[Child]:
        """Yield each child with all its rows, in the order in which the files have them.

        Raises:
            SourceError: More rows than one authority has.
        """
        for problem in self.problems:
            report.note(problem)
        for file in self.tables.values():
            file.check_columns(year, report)
        children: dict[str, Child] = {}
        tells_uasc = "UASC" in self.tables
        for row in self.rows(report):
            child_id = row.get("CHILD")
            children.setdefault(child_id, Child(child_id, says_uasc=tells_uasc)).add(row)
        for child_id in list(children):
            yield children.pop(child_id)


class CsvFile:
    """One file of a return."""

    def __init__(self, path: Path, max_bytes: int, within: str = "") -> None:
        """Read a file up to its headings.

        Raises:
            SourceError: It is no file of a return, or cannot be read.
        """
        self.name = within + path.name
        text, self.digest = _text(path, max_bytes)
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
        self._headings = self._read_headings()
        found = recognise(self._headings)
        if len(found) != 1:
            what = "of several files" if found else "of no file"
            raise SourceError(
                f"has the columns {what} of an SSDA903 return: export each of its files by itself, with its headings", 1
            )
        self.table: Table = found[0]

    def check_columns(self, year: int, report: Report) -> None:
        """Report columns that are missing or not known, and a file that the collection year does not have."""
        known, have = self.table.names, set(self._headings)
        for missing in [c.name for c in self.table.columns if c.name not in have and c.name != "ULN"]:
            report.note(self._problem("column", f"the column {missing} of {self.table.name} is missing: add it"))
        for number, heading in enumerate(self._headings, start=1):
            if heading not in known:
                shown = f"the column {heading}" if _HEADING.fullmatch(heading) else f"column {number}"
                report.note(self._problem("column", f"{shown} is not one of {self.table.name}, and is not read"))
        if year < self.table.since:
            message = f"{self.table.name} belongs to returns from {self.table.since - 1}-{self.table.since % 100:02} on"
            report.note(self._problem("table-year", f"{message}: check the year of this one"))

    def rows(self, report: Report) -> Iterator[Row]:
        """Yield the rows that belong to a child; the others are reported. Rows count as a spreadsheet shows them.

        Raises:
            SourceError: The file is no CSV after all.
        """
        for number, cells in self._cells():
            row = Row(self.table, self.name, f"row {number}", {})
            report.read(row)
            fault = self._fault(cells)
            if fault is not None:
                report.refuse(row, *fault)
                continue
            row.cells = {
                name: value for name, cell in zip(self._headings, cells, strict=False) if (value := _tidy(cell))
            }
            if not row.get("CHILD"):
                report.refuse(row, "missing", "CHILD is empty, so that nobody can tell whose row it is: fill it")
            elif len(row.get("CHILD")) > LONGEST_ID:
                report.refuse(row, "child-id", f"CHILD has more than {LONGEST_ID} characters: correct it")
            else:
                yield row

    def _fault(self, cells: list[str]) -> tuple[str, str] | None:
        """Return rule and message for a row whose cells cannot be told apart, or are no values."""
        width = len(self._headings)
        if any(cell.strip() for cell in cells[width:]):
            return "ragged-row", f"has {len(cells)} cells under {width} headings: look for a comma too many"
        lacking = self.table.marks & set(self._headings[len(cells) :])
        if lacking:
            # an empty DEC means open: a row that was cut short before it must not say so
            return "short-row", f"ends before {', '.join(sorted(lacking))}: the row, or the file, is cut short"
        if any(cell.strip().startswith(_FORMULA) for cell in cells):
            return "formula", "a cell begins with = + - or @, as a spreadsheet's formula does: enter the value itself"
        return None

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """Yield row number and cells; blank rows are left out but counted."""
        number = 1
        while True:
            number += 1
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                raise self._not_csv() from error
            if cells is None:
                return
            if any(len(cell) > _MAX_CELL or "\n" in cell or "\r" in cell for cell in cells):
                raise self._not_csv()
            if any(cell.strip() for cell in cells):
                yield number, cells

    def _not_csv(self) -> SourceError:
        message = (
            f"{self.name} has a cell of more than {_MAX_CELL:,} characters, or of several lines: look for a quotation "
            "mark that is not closed"
        )
        return SourceError(message, self._reader.line_num)

    def _read_headings(self) -> list[str]:
        try:
            cells = next(self._reader, [])
        except csv.Error as error:
            raise self._not_csv() from error
        headings = [_tidy(cell) for cell in cells]
        while headings and not headings[-1]:
            headings.pop()
        if len(headings) > _MAX_COLUMNS:
            raise SourceError(f"more than {_MAX_COLUMNS} columns: this is no file of an SSDA903 return", 1)
        double = sorted(name for name, count in Counter(headings).items() if name and count > 1)
        if double:
            shown = ", ".join(name for name in double if _HEADING.fullmatch(name)) or "the same"
            raise SourceError(f"several columns are headed {shown}, and nobody can tell which counts: remove one", 1)
        return headings

    def _problem(self, rule: str, message: str) -> SourceProblem:
        return SourceProblem(f"{self.name} row 1", rule, message)


def _files(folder: Path, path: Path) -> list[Path]:
    """Return the CSV files of a folder, and those with the ending that *path* has."""
    endings = {".csv", path.suffix.lower()} if path != folder else {".csv"}
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in endings and not p.name.startswith("."))
    except OSError as error:
        raise SourceError(f"the folder cannot be read ({error.strerror}): check its rights") from error
    files = [path for path in found if path.is_file()]
    if len(files) > _MAX_FILES:
        raise SourceError(f"more than {_MAX_FILES} CSV files in the folder: keep one return in it, and nothing else")
    return files


def _text(path: Path, max_bytes: int) -> tuple[str, bytes]:
    """Return a file's text and the digest of its bytes."""
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise SourceError(f"larger than {max_bytes:,} bytes: set max_bytes if this is right")
    if not data.strip():
        raise SourceError("empty: the export has not been written, or failed")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceError("UTF-16: save it as CSV UTF-8", 1)
    if b"\x00" in data:
        line = 1 + data.count(b"\n", 0, data.index(b"\x00"))
        raise SourceError("a NUL character: not a text file, or UTF-16; save it as CSV UTF-8", line)
    try:
        return data.decode("utf-8-sig"), hashlib.sha256(data).digest()
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise SourceError("bytes that are not UTF-8: save it as CSV UTF-8", line) from None


def _delimiter(text: str) -> str:
    heading = text[:10_000].lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=heading.count)


def _tidy(cell: str) -> str:
    return " ".join(cell.split()).upper()


__all__ = ["CsvFile", "Folder"]
