"""Reads a sheet of a workbook (.xlsx, .xlsm, .xlsb, .xls, .ods): one record for each row; the mapping says the rest."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Final

from pydantic import BaseModel, Field

from agents.connectors import workbook
from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.tables import MAX_CELL, MAX_COLUMNS, Heading, Row, TableOptions, check_size, table_items
from agents.connectors.zips import check_packing, entries

_ZIP, _OLE = b"PK\x03\x04", bytes.fromhex("D0CF11E0A1B11AE1")
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_HEAD: Final = 4 * 1024 * 1024
"""Bytes in which the directory of an old or encrypted workbook is looked for."""
_MAX_PARTS: Final = 10_000
_MAX_UNPACKED: Final = 1 << 30
_LINE: Final = 4 * MAX_COLUMNS * MAX_CELL
_REASONS: Final = {
    "password": "is protected with a password: save it without one",
    "format": "not a workbook that can be read, or not whole: save it again as .xlsx",
    "empty": "the sheet is empty: a report has at least its heading row",
    "columns": f"more than {MAX_COLUMNS} columns: this is no report that can be mapped",
}


class XlsxOptions(TableOptions):
    """Options of ``connector = "xlsx"``."""

    sheet: Heading | Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Name of the sheet, or its number; the first that is not hidden when left out."
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(default=1 << 27, description="Largest file that is read, in bytes.")


class XlsxSource:
    """Rows of a sheet as records."""

    Options: ClassVar[type[BaseModel]] = XlsxOptions

    def __init__(self, options: XlsxOptions) -> None:
        self._options = options

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each row that is not blank, at the position that the spreadsheet shows.

        Dates are ``yyyy-mm-dd``, with a time where there is one; whole numbers have no point; what is ticked is
        ``true``. A formula is its last result. A cell with an error is empty, and reported where the file is .xlsx.
        The workbook is taken apart in a process of its own with limits of its own; here, rows come one by one.

        Raises:
            SourceError: Too large, packed too well, protected with a password, no workbook, or without the sheet.

        Source:
            Our own rule.
        """
        check_size(path.stat().st_size, self._options.max_bytes)
        _check(path)
        with _printing(path, self._options.sheet) as lines:
            yield from table_items(_rows(lines), self._options)


def _check(path: Path) -> None:
    """Refuse what is no workbook, or what a small file unpacks to too much, before anything takes it apart."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_OLE) and _ENCRYPTED in head:
        raise SourceError(_REASONS["password"], 1)
    if head.startswith(_OLE):
        return
    if not head.startswith(_ZIP):
        raise SourceError(f"{_instead(head)}: open it in a spreadsheet and save it as .xlsx", 1)
    try:
        parts = entries(path)
    except zipfile.BadZipFile:
        raise SourceError(_REASONS["format"], 1) from None
    check_packing(parts, _MAX_PARTS)
    if sum(part.file_size for part in parts) > _MAX_UNPACKED:
        raise SourceError(f"unpacks to more than {_MAX_UNPACKED:,} bytes: this is no report", 1)


def _instead(head: bytes) -> str:
    start = head[:1024].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not start:
        return "empty"
    if start.startswith((b"<html", b"<!doctype html", b"<table", b"<head", b"<meta")):
        return "a web page that is only named like a workbook"
    if start.startswith(b"<"):
        return "XML that is only named like a workbook"
    return "not a workbook (if it is text with commas, use connector csv)"


@contextmanager
def _printing(path: Path, sheet: str | int | None) -> Iterator[IO[str]]:
    """Give the rows as another process prints them, one on a line; it has ended afterwards.

    Raises:
        SourceError: It says that it cannot read the workbook, or dies of it.
    """
    wanted = f"={sheet}" if isinstance(sheet, str) else str(sheet or "")
    command = [sys.executable, "-I", workbook.__file__, str(path.absolute()), wanted]
    with subprocess.Popen(  # noqa: S603 - our own script; a path is no option, since it is absolute
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="ascii"
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            said = _said(process.stdout)
            if "ok" not in said:
                raise SourceError(_reason(said), 1)
            yield process.stdout
            if process.wait():
                raise SourceError("needs more memory or time than a report does: save it as CSV, or in parts", 1)
        finally:
            process.kill()


def _said(lines: IO[str]) -> dict[str, Any]:
    line = lines.readline(_LINE)
    said = json.loads(line) if line.endswith("\n") else {}
    return said if isinstance(said, dict) else {}


def _reason(said: dict[str, Any]) -> str:
    if said.get("error") == "sheet":
        return f"there is no such sheet among its {said.get('sheets')}: correct sheet, its name or number"
    if "error" in said:
        return _REASONS.get(said["error"], _REASONS["format"])
    return "needs more memory or time than a report does, or is damaged: save it as CSV, or again as .xlsx"


def _rows(lines: IO[str]) -> Iterator[Row | SourceProblem]:
    while line := lines.readline(_LINE):
        if not line.endswith("\n"):
            # The other process waits for it to be read, or has died in it.
            raise SourceError("a row that is too long, or cut: look for cells that hold whole documents", 1)
        number, cells = json.loads(line)
        if any(len(cell) > MAX_CELL for cell in cells):
            yield SourceProblem(f"row {number}", "cell-size", f"a cell of more than {MAX_CELL:,} characters", "refuse")
        elif any(map(str.strip, cells)):
            yield number, cells


__all__ = ["XlsxOptions", "XlsxSource"]
