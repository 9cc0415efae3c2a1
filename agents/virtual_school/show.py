"""Lays reports out: a table for people, CSV that a spreadsheet may open, JSON for programs."""

import csv
import io
import json
import re
from datetime import date
from enum import StrEnum
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.virtual_school.reports import Report

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_PIPED_WIDTH: Final = 240
_REF_ID: Final = 32
"""Letters of a RefId, which is for copying: it is not folded."""


class Format(StrEnum):
    """How a report is laid out."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def as_text(report: Report, form: Format, *, width: int | None = None) -> str:
    """Return a report, ending in a line break; *width* is that of the terminal, None where there is none."""
    match form:
        case Format.JSON:
            rows = [{key: _plain(row[key]) for key, _ in report.columns} for row in report.rows]
            return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"
        case Format.CSV:
            return _csv(report)
        case Format.TABLE:
            return _table(report, width or _PIPED_WIDTH)


def _csv(report: Report) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([key for key, _ in report.columns])
    writer.writerows([_safe(row[key]) for key, _ in report.columns] for row in report.rows)
    return text.getvalue()


def _safe(value: object) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula; it shows the rest as text.

    Source:
        OWASP, CSV injection.
    """
    cell = _words(value)
    return f"'{cell}" if isinstance(value, str) and cell.startswith(_FORMULA) else cell


def _table(report: Report, width: int) -> str:
    table = Table(title=report.title, title_justify="left")
    for key, heading in report.columns:
        table.add_column(heading, overflow="fold", min_width=_REF_ID if key == "ref_id" else None)
    for row in report.rows:
        # Text: brackets in a name are no markup
        table.add_row(*(Text(_CONTROL.sub(" ", _words(row[key]))) for key, _ in report.columns))
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, color_system=None)
    console.print(table)
    for note in report.notes:
        console.print(note)
    written = console.file
    assert isinstance(written, io.StringIO)  # noqa: S101 - it is the one above
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


__all__ = ["Format", "as_text"]
