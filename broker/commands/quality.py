"""The command ``sifzone quality``: what is wrong with the records of each school, as tables, CSV and an HTML page.

It names a pupil by the id in the school's own system, never by name, and repeats nothing of a record.
"""

import csv
import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, cast

import typer
from rich.table import Table
from rich.text import Text

from broker.clock import zone_today
from broker.commands.common import ZoneFolder, opened_store, printing
from broker.console import QualityReport, QualityRow, QualityTrend, quality_page
from broker.protocol.errors import ZoneError
from broker.settings import Zone, load_zone
from broker.storage import Flaw
from schemas import Severity

_SEVERITIES: Final[dict[str, tuple[str, str]]] = {
    "refuse": ("refused", "red"),
    "warn": ("warning", "yellow"),
    "shadow": ("on trial", "cyan"),
}
_COLUMNS: Final = (
    "school", "agent", "object", "pupil_or_record_id", "field", "rule", "severity", "what_to_do", "since", "last_seen",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def quality(
    zone: ZoneFolder = Path(),
    school: Annotated[str, typer.Option(help="Only this school, by its DfE number, e.g. 8209901.")] = "",
    agent: Annotated[str, typer.Option(help="Only what this agent published.")] = "",
    rule: Annotated[str, typer.Option(help="Only what this rule found, e.g. upn-check-letter.")] = "",
    records: Annotated[bool, typer.Option("--records", help="Each record with its id, field, and what to do.")] = False,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days that the trend goes back.")] = 14,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write each record to this file, '-' for standard output.")
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page for people to this file.")] = None,
) -> None:
    """Show what is wrong with the records of each school: what was refused, and what was warned of.

    A fault goes when a message shows the record without it. Pupils are named by the id in the school's own system.
    """
    loaded = load_zone(zone)
    today = zone_today(loaded)
    since = today - timedelta(days=days - 1)
    with opened_store(loaded) as store:
        flaws = [flaw for flaw in store.flaws(school=school, source=agent, since=since) if rule in ("", flaw.rule)]
    found = [flaw for flaw in flaws if flaw.closed is None]
    trend = _trend(flaws, since, today)
    if csv_file is not None:
        _write(csv_file, _as_csv(found), len(found))
    if html_file is not None:
        _write(html_file, quality_page(_report(loaded, found, trend)), len(found))
    if csv_file is None and html_file is None:
        _print(found, trend, records=records)


def _print(found: Sequence[Flaw], trend: Sequence[QualityTrend], *, records: bool) -> None:
    console = printing()
    if not found:
        console.print("Nothing is wrong with the records that agents published.")
    else:
        console.print(_records_table(found) if records else _summary_table(found))
    table = Table("Day", title="Faults open at the end of each day")
    table.add_column("Refused", justify="right")
    table.add_column("Warned of", justify="right")
    for day in trend:
        table.add_row(str(day.day), str(day.refused), str(day.warned))
    console.print(table)
    if found and not records:
        console.print("Each record, with what to do:  sifzone quality --records   (or --csv FILE, --html FILE)")


def _summary_table(found: Iterable[Flaw]) -> Table:
    table = Table("School", "Agent", "Object", "Rule", title="Data quality")
    table.add_column("Severity")
    table.add_column("Faults", justify="right")
    table.add_column("Since")
    counts: Counter[tuple[str, ...]] = Counter()
    oldest: dict[tuple[str, ...], date] = {}
    for flaw in found:
        key = (flaw.school, flaw.source, flaw.object_type, flaw.rule, flaw.severity)
        counts[key] += 1
        oldest[key] = min(flaw.opened, oldest.get(key, flaw.opened))
    for (*words, severity), number in sorted(counts.items()):
        since = oldest[(*words, severity)]
        table.add_row(*words, Text(*_SEVERITIES[severity]), f"{number:,}", str(since))
    return table


def _records_table(found: Iterable[Flaw]) -> Table:
    table = Table(
        "School", "Pupil or record", "Object", "Field", "Severity", "What to do", "Since", title="Data quality"
    )
    for flaw in found:
        severity = Text(*_SEVERITIES[flaw.severity])
        known_as = flaw.local_id or flaw.key
        table.add_row(flaw.school, known_as, flaw.object_type, flaw.path, severity, flaw.message, str(flaw.opened))
    return table


def _as_csv(found: Iterable[Flaw]) -> str:
    """Return each record as a line of CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for flaw in found:
        row = (
            flaw.school, flaw.source, flaw.object_type, flaw.local_id or flaw.key, flaw.path, flaw.rule,
            _SEVERITIES[flaw.severity][0], flaw.message, flaw.opened.isoformat(), flaw.seen.isoformat(),
        )  # fmt: skip
        writer.writerow([_inert(cell) for cell in row])
    return text.getvalue()


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: what agents send is hostile."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _write(path: Path, text: str, faults: int) -> None:
    """Write a report to a file that its owner alone can read, or to standard output."""
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:  # it has an opener
            file.write(text)
    except OSError as error:
        raise ZoneError(f"{path}: cannot be written ({error.strerror}): name a file that can") from error
    sys.stdout.write(f"{path}: {faults:,} faults. It has pupils' ids: keep it as you keep other pupil data.\n")


def _private(name: str, flags: int) -> int:
    descriptor = os.open(name, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)  # one that was there already
    return descriptor


def _report(zone: Zone, found: Iterable[Flaw], trend: Sequence[QualityTrend]) -> QualityReport:
    return QualityReport(
        zone.settings.name or zone.id,
        datetime.now(UTC),
        [
            QualityRow(
                flaw.school,
                flaw.source,
                flaw.object_type,
                flaw.rule,
                cast("Severity", flaw.severity),
                flaw.path,
                flaw.local_id or flaw.key,
                flaw.message,
                flaw.opened,
                flaw.seen,
            )
            for flaw in found
        ],
        trend,
    )


def _trend(flaws: Sequence[Flaw], since: date, today: date) -> list[QualityTrend]:
    """Return for each day how many faults were open at its end."""
    days = [since + timedelta(days=number) for number in range((today - since).days + 1)]
    trend = []
    for day in days:
        there = [f for f in flaws if f.opened <= day and (f.closed is None or f.closed > day)]
        refused = sum(f.severity == "refuse" for f in there)
        trend.append(QualityTrend(day, refused, sum(f.severity == "warn" for f in there)))
    return trend
