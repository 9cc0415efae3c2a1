"""What the command line prints of ledger and quarantine, as Rich tables; no personal data is in any of it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
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
    """Return what became of one message, each time it was sent: verdict, who got which part and why, who did not."""
    for _, sending in groupby(rows, key=lambda row: (row.source, row.attempt)):
        yield from _sending(tuple(sending), zone)


def _sending(rows: Sequence[LedgerRow], zone: Zone) -> Iterable[RenderableType]:
    for row in rows:
        if row.seq <= VERDICT:
            yield _verdict(row)
    first = rows[0]
    if any(row.outcome == "refused" for row in rows):
        yield "Nobody was sent it. 'sifzone quarantine list' has it, and what to mend."
        return
    table = Table("Agent", "Outcome", "Part", "Agreement, or why not", title=f"Message {first.msg_id}")
    told: set[str] = set()
    for row in rows:
        agreements, part = _part(row, zone)
        for agent in row.audience:
            told.add(agent)
            why = agreements if row.outcome == "delivered" else explain(row.reason)
            table.add_row(agent, Text(row.outcome, _COLOURS[row.outcome]), part, why)
    others = {agent.id for agent in zone.registry.subscribers(first.object_type)}
    for agent in sorted(zone.registry.agents.keys() - told - {first.source}):
        why = f"does not subscribe to {first.object_type}"
        if agent in others:
            why = "subscribed only later, or this sending was for another agent alone"
        table.add_row(agent, Text("not sent", "dim"), "", why)
    yield table


def ledger_table(store: Store, agent: str, object_type: str, outcome: str, limit: int) -> Table:
    """Return the latest rows of the ledger, newest first.

    Raises:
        ZoneError: There is no such outcome.
    """
    if outcome and outcome not in get_args(Outcome):
        raise ZoneError(f"there is no outcome {outcome}: use one of {', '.join(get_args(Outcome))}")
    table = Table("When (UTC)", "From")
    table.add_column("Message", no_wrap=True)  # whole, to be copied into 'sifzone explain'
    for heading in ("Object", "Action", "Outcome", "To", "Under, or why"):
        table.add_column(heading)
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
            row.view or _why(row),
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
    table = Table(title="Quarantine")
    table.add_column("Id", no_wrap=True)  # whole, to be copied into 'sifzone quarantine show'
    for heading in ("When (UTC)", "From", "Object", "Action", "SIF error", "What is wrong"):
        table.add_column(heading)
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
    what = f"{entry.action} of {entry.object_type}" if entry.object_type else "a message that could not be read"
    to = f" to {entry.recipient}" if entry.recipient else ""
    by = f" by {entry.by}, {_when(entry.changed)}" if entry.by else ""
    table = Table(
        "Line",
        "Where",
        "Rule",
        "What is wrong, and what to do",
        title=f"{entry.id[:8]}: {what} from {entry.source}{to}; {entry.reason}, {entry.state}{by}",
        caption=f"SIF_MsgId {entry.msg_id} · error {entry.category}/{entry.code} ({meaning}) · {entry.size:,} bytes",
    )
    for finding in entry.findings:
        table.add_row(str(finding["line"]), str(finding["path"]), str(finding["rule"]), str(finding["message"]))
    if not entry.findings:
        table.add_row("", "", entry.reason, entry.summary)
    return table


def next_step(entry: QuarantineEntry) -> str:
    """Return what a person can do with a message in quarantine now."""
    name = entry.id[:8]
    if entry.state != "held":
        return f"It is {entry.state}: nothing is left to do."
    if entry.recipient:
        return f"Once {entry.recipient} can take it:  sifzone quarantine replay {name}   (it goes to that agent alone)"
    if entry.fixed:
        return f"A mended copy is ready. Send it:  sifzone quarantine replay {name}"
    return (
        f"Mend the record in {entry.source}'s system, which then sends it anew, and discard this:  "
        f"sifzone quarantine discard {name}\n"
        f"Or mend this copy and send it:  sifzone quarantine fix {name}, then  sifzone quarantine replay {name}"
    )


def _verdict(row: LedgerRow) -> Text:
    what = f"{row.action} of {row.object_type}" if row.object_type else "a message that could not be read"
    again = f", sent again ({row.attempt})" if row.attempt else ""
    said = "came once more and was recognised" if row.outcome == "duplicate" else row.outcome
    meaning = f" ({_why(row)})" if row.outcome == "refused" else ""
    return Text.assemble(f"{_when(row.at)}  {what} from {row.source}{again}: ", (said, _COLOURS[row.outcome]), meaning)


def _why(row: LedgerRow) -> str:
    if row.outcome == "refused":
        return SIF_ERRORS.get((row.category, row.code), row.reason)
    return explain(row.reason) if row.reason else ""


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
