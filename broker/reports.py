"""What the command line prints of ledger and quarantine, as Rich tables; no personal data is in any of it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import cast, get_args

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from broker.protocol.errors import SIF_ERRORS, ZoneError
from broker.routing import explain
from broker.settings import Zone
from broker.storage import VERDICT, LedgerRow, Outcome, QuarantineEntry, Store

_COLOURS = {"accepted": "green", "delivered": "green", "withheld": "yellow", "refused": "red", "duplicate": "cyan"}


def explain_message(rows: Sequence[LedgerRow], zone: Zone) -> Iterable[RenderableType]:
    """Return what became of one message: its verdicts, who got which part and why, who did not and why not."""
    table = Table("Agent", "Outcome", "Part", "Agreement, or why not", title=f"Message {rows[0].msg_id}")
    told: set[str] = set()
    for row in rows:
        if row.seq <= VERDICT:
            yield _verdict(row)
            continue
        agreements, part = _part(row, zone)
        for agent in row.audience:
            told.add(agent)
            why = agreements if row.outcome == "delivered" else explain(row.reason)
            table.add_row(agent, Text(row.outcome, _COLOURS[row.outcome]), part, why)
    for agent in sorted(zone.registry.agents.keys() - told - {rows[0].source}):
        why = f"does not subscribe to {rows[0].object_type}" if rows[0].object_type else "the message was not read"
        table.add_row(agent, Text("not sent", "dim"), "", why)
    yield table


def ledger_table(store: Store, agent: str, object_type: str, outcome: str, limit: int) -> Table:
    """Return the latest rows of the ledger, newest first.

    Raises:
        ZoneError: There is no such outcome.
    """
    if outcome and outcome not in get_args(Outcome):
        raise ZoneError(f"there is no outcome {outcome}: use one of {', '.join(get_args(Outcome))}")
    table = Table("When (UTC)", "From", "Message", "Object", "Action", "Outcome", "To", "Under, or why")
    rows = store.ledger(
        agent=agent,
        object_type=object_type,
        outcome=cast("Outcome", outcome) if outcome else None,
        limit=limit,
    )
    for row in rows:
        table.add_row(
            _when(row.at),
            row.source,
            row.msg_id,
            row.object_type,
            row.action,
            Text(row.outcome, _COLOURS[row.outcome]),
            ", ".join(row.audience),
            row.view or (explain(row.reason) if row.reason else ""),
        )
    return table


def reconciliation(store: Store) -> tuple[Table, bool]:
    """Return the books by agent and object, and whether every message is accounted for."""
    table = Table(title="What was published, and what became of it")
    for heading in ("From", "Object"):
        table.add_column(heading)
    for heading in ("Published", "Accepted", "Refused", "To send", "Delivered", "Withheld", "Repeats"):
        table.add_column(heading, justify="right")
    table.add_column("Balance")
    balanced = True
    for row in store.reconcile():
        balanced &= row.balanced
        numbers = (row.published, row.accepted, row.refused, row.considered, row.delivered, row.withheld)
        table.add_row(
            row.source,
            row.object_type or "(not readable)",
            *(f"{number:,}" for number in numbers),
            f"{row.duplicates:,}",
            Text("balances", "green") if row.balanced else Text(f"{row.unbalanced:,} off", "bold red"),
        )
    return table, balanced


def quarantine_table(entries: Sequence[QuarantineEntry]) -> Table:
    """Return messages in quarantine, one a row."""
    table = Table("Id", "When (UTC)", "From", "Object", "Action", "SIF error", "What is wrong", title="Quarantine")
    for entry in entries:
        table.add_row(
            entry.id[:8],
            _when(entry.at),
            entry.source,
            entry.object_type,
            entry.action,
            f"{entry.category}/{entry.code}",
            entry.summary + (" (a mended copy is ready)" if entry.fixed else ""),
        )
    return table


def fault_table(entry: QuarantineEntry) -> Table:
    """Return everything that is known to be wrong with one message."""
    meaning = SIF_ERRORS.get((entry.category, entry.code), "")
    table = Table(
        "Line",
        "Where",
        "Rule",
        "What is wrong, and what to do",
        title=f"{entry.id[:8]}: {entry.action} {entry.object_type} from {entry.source}, {entry.state}",
        caption=f"SIF_MsgId {entry.msg_id} · error {entry.category}/{entry.code} ({meaning}) · {entry.size:,} bytes",
    )
    for finding in entry.findings:
        table.add_row(str(finding["line"]), str(finding["path"]), str(finding["rule"]), str(finding["message"]))
    if not entry.findings:
        table.add_row("", "", entry.reason, entry.summary)
    return table


def _verdict(row: LedgerRow) -> str:
    what = f"{row.action} of {row.object_type}" if row.object_type else "a message that could not be read"
    again = f", sent again ({row.attempt})" if row.attempt else ""
    if row.outcome == "refused":
        meaning = SIF_ERRORS.get((row.category, row.code), "")
        return f"{_when(row.at)}  {what} from {row.source}{again}: [red]refused[/red] ({meaning})"
    return f"{_when(row.at)}  {what} from {row.source}{again}: {row.outcome}"


def _part(row: LedgerRow, zone: Zone) -> tuple[str, str]:
    """Return the agreements of a delivery for people, and the paths they share as they read today."""
    paths: set[str] = set()
    names: list[str] = []
    for name in filter(None, row.view.split("+")):
        agreement_id, _, digest = name.partition("@")
        now = next((agreement for agreement in zone.agreements if agreement.id == agreement_id), None)
        if now is None:
            names.append(f"{agreement_id} (no longer there)")
            continue
        paths |= set(now.shares.get(row.object_type, ()))
        names.append(agreement_id if now.digest == digest else f"{agreement_id} (worded otherwise then)")
    return ", ".join(names), ", ".join(sorted(paths))


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
