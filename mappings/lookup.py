"""Side tables: a CSV file beside a mapping that gives one text for another; the converter ``lookup`` uses them."""

import csv
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mappings.problems import nearest

if TYPE_CHECKING:
    import _csv

MAX_BYTES: Final = 1_000_000
MAX_ROWS: Final = 20_000
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}\.csv")


class LookupFileError(ValueError):
    """A side table cannot be used; the message names the file, and the line where one is to blame."""

    def __init__(self, message: str, near: str | None = None) -> None:
        self.nearest = near
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A side table, compared without regard to case.

    Attributes:
        file: Its name, for messages.
    """

    file: str
    _there: Mapping[str, str] = field(repr=False)
    _back: Mapping[str, str] = field(repr=False)

    def find(self, value: str) -> str | None:
        """Return what the table has for a text; None when it has nothing."""
        return self._there.get(value.strip().casefold())

    def back(self, value: str) -> str | None:
        """Return the first text in the file for which the table has *value*; None when there is none."""
        return self._back.get(value)


def read_lookup(argument: str, folder: Path) -> Lookup:
    """Read the side table that a mapping in *folder* names ``FILE.csv`` or ``FILE.csv:KeyColumn:ValueColumn``.

    The first row has the headings. Without column names the file has two columns. A row without key or value is left
    out.

    Raises:
        LookupFileError: No such file in the folder itself, too large, not CSV in UTF-8, or a key with two values.
    """
    name, _, columns = argument.partition(":")
    text = _text(name, folder)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        headings = [cell.strip() for cell in next(rows, [])]
        key, value = _columns(name, headings, columns)
        return _table(name, rows, key, value)
    except csv.Error as error:
        raise LookupFileError(f"{name}, line {rows.line_num}: not CSV: {error}") from error


def _text(name: str, folder: Path) -> str:
    if not _FILE.fullmatch(name):
        raise LookupFileError("lookup needs a CSV file beside the mapping: write lookup:schools.csv")
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            near = nearest(name, (other.name for other in folder.glob("*.csv")))
            raise LookupFileError(f"there is no file {name!r} beside the mapping", near)
        with open(path, "rb", opener=_no_link) as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LookupFileError(f"{name}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise LookupFileError(f"{name}: larger than a megabyte: a side table is a short list")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LookupFileError(f"{name}: is not UTF-8: save it as CSV UTF-8") from error


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # it may have become one since it was resolved


def _columns(name: str, headings: list[str], columns: str) -> tuple[int, int]:
    if not columns:
        if len(headings) != 2:
            message = (
                f"{name}: has {len(headings)} columns: name two of them, as in lookup:{name}:Key column:Value column"
            )
            raise LookupFileError(message)
        return 0, 1
    wanted = columns.split(":")
    if len(wanted) != 2:
        raise LookupFileError(f"lookup needs two columns of {name}: write lookup:{name}:Key column:Value column")
    for column in wanted:
        if headings.count(column) != 1:
            there = "no column" if column not in headings else "several columns"
            near = nearest(column, headings) if column not in headings else None
            raise LookupFileError(f"{name}: has {there} {column!r}", near)
    return headings.index(wanted[0]), headings.index(wanted[1])


def _table(name: str, rows: "_csv.Reader", key: int, value: int) -> Lookup:
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    for number, cells in enumerate(rows, start=2):
        if number > MAX_ROWS + 1:
            raise LookupFileError(f"{name}: more than {MAX_ROWS:,} rows: a side table is a short list")
        found = [cells[index].strip() if index < len(cells) else "" for index in (key, value)]
        if not all(found):
            continue
        folded = found[0].casefold()
        if there.setdefault(folded, found[1]) != found[1]:
            raise LookupFileError(
                f"{name}, line {rows.line_num}: this key has another value above: remove one of the rows"
            )
        back.setdefault(found[1], found[0])
    return Lookup(name, there, back)
