"""Prints one sheet of a workbook, a row of JSON for each of its rows; run by itself, with limits of its own.

A workbook of some kilobytes can name a cell so far out that the memory for all cells before it ends the process, and no
exception is raised then. So this is a process that may end that way; ``xlsx`` starts it and says what came of it.
It imports nothing of ours, to start fast.
"""

import json
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from xml.sax.saxutils import unescape

MEMORY: Final = 1536 * 1024 * 1024
"""Bytes of address space."""
SECONDS: Final = 300
"""Of the processor."""
MAX_COLUMNS: Final = 500
_ERROR: Final = "#N/A"
"""Any error; which it is makes no difference."""
_CHUNK: Final = 1024 * 1024
_MAX_PART: Final = 8 * 1024 * 1024
_CELL: Final = re.compile(rb'<(?:\w+:)?c\s[^<>]*?\bt="e"[^<>]*>')
_PLACE: Final = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_SHEET: Final = re.compile(r"<(?:\w+:)?sheet\s[^<>]*>")
_RELATION: Final = re.compile(r"<(?:\w+:)?Relationship\s[^<>]*>")
_ATTRIBUTE: Final = re.compile(r'([\w:]+)="([^"]*)"')


def main() -> None:
    """Print ``{"ok": ...}`` or ``{"error": kind}``, then the rows: number and texts."""
    path, wanted = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import python_calamine  # under the limits already

    try:
        _print(path, wanted, python_calamine)
    except python_calamine.PasswordError:
        _say({"error": "password"})
    except python_calamine.CalamineError:
        _say({"error": "format"})


def _print(path: str, wanted: str, calamine: Any) -> None:
    with open(path, "rb") as file:  # noqa: PTH123 - nothing more than is needed is imported
        book = calamine.CalamineWorkbook.from_filelike(file)
        index = _index(book, wanted, calamine)
        if index is None:
            _say({"error": "sheet", "sheets": len(book.sheet_names)})
            return
        sheet = book.get_sheet_by_index(index)
        if sheet.start is None:
            _say({"error": "empty"})
            return
        if sheet.end[1] - sheet.start[1] >= MAX_COLUMNS:
            _say({"error": "columns"})
            return
        errors = _errors(path, book.sheet_names[index])
        _say({"ok": True})
        # Rows come from the sheet's first row on, columns from the first that has anything.
        for number, row in enumerate(sheet.iter_rows(), start=1):
            texts = [_text(value) for value in row]
            for column in errors.get(number, ()):
                texts[column - sheet.start[1]] = _ERROR
            if any(texts):
                _say([number, texts])


def _index(book: Any, wanted: str, calamine: Any) -> int | None:
    """Return which sheet is meant: by name, by number from 1, or the first that people see."""
    names = [name.strip().casefold() for name in book.sheet_names]
    if wanted.startswith("="):
        name = wanted[1:].strip().casefold()
        return names.index(name) if name in names else None
    if wanted:
        return int(wanted) - 1 if int(wanted) <= len(names) else None
    visible = calamine.SheetVisibleEnum.Visible
    kinds = calamine.SheetTypeEnum
    return next(
        (
            index
            for index, sheet in enumerate(book.sheets_metadata)
            if sheet.visible == visible and sheet.typ == kinds.WorkSheet
        ),
        None,
    )


def _text(value: object) -> str:
    """Return a value as text: ISO dates and times, whole numbers without a point, true and false."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < 1e15
        return str(int(value)) if is_whole else repr(value).upper()  # E+16 says that digits are lost
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time(0) else value.isoformat(timespec="seconds")
    if isinstance(value, time):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def _errors(path: str, sheet: str) -> dict[int, list[int]]:
    """Return the columns, from 0, of cells with an error such as #N/A, by row from 1; of .xlsx files alone.

    The library gives such a cell as an empty one.
    """
    found: dict[int, list[int]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for cell in _error_cells(archive, sheet):
                place = _PLACE.search(cell)
                if place is not None:
                    found.setdefault(int(place[2]), []).append(_column(place[1]))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, NotImplementedError):
        return {}
    return found


def _error_cells(archive: zipfile.ZipFile, sheet: str) -> Iterator[bytes]:
    if "xl/workbook.xml" not in archive.namelist():
        return
    ids = [
        tag.get("r:id", "")
        for tag in _tags(archive, "xl/workbook.xml", _SHEET)
        if unescape(tag.get("name", ""), {"&quot;": '"', "&apos;": "'"}) == sheet
    ]
    for tag in _tags(archive, "xl/_rels/workbook.xml.rels", _RELATION):
        if tag.get("Id") in ids:
            target = tag.get("Target", "")
            with archive.open(target[1:] if target.startswith("/") else f"xl/{target}") as part:
                rest = b""
                while chunk := part.read(_CHUNK):
                    rest += chunk
                    last = 0
                    for cell in _CELL.finditer(rest):
                        yield cell[0]
                        last = cell.end()
                    rest = rest[max(last, rest.rfind(b"<")) :]


def _tags(archive: zipfile.ZipFile, part: str, pattern: re.Pattern[str]) -> list[dict[str, str]]:
    with archive.open(part) as file:
        text = file.read(_MAX_PART).decode("utf-8", "replace")
    return [dict(_ATTRIBUTE.findall(tag)) for tag in pattern.findall(text)]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    main()
