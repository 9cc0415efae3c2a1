"""``sifzone scopes``: learners whose record is on its way to those whose scope they have entered, and what is late.

Learners are RefIds here; nobody is named.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from broker.batches import learner_of
from broker.clock import zone_clock
from broker.commands.common import AsJson, ZoneFolder, console, opened_store
from broker.commands.telling import tell_zone
from broker.entering import waits_for
from broker.holdings import Fetch
from broker.learners import Learner
from broker.protocol.errors import ZoneError
from broker.requests import Pending
from broker.scopes import review_of
from broker.settings import load_zone
from broker.storage import Store
from broker.storage.encoding import sentence

app = typer.Typer(
    help="Learners whose record is on its way to those whose scope they have entered, and what of it is late.",
    epilog="Examples:  sifzone scopes   ·   sifzone scopes --late   ·   sifzone scopes retry --all",
)

_PAGE: Final = 500
_LATE_SECONDS: Final = 3600.0
_LATE_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class _Awaited:
    """Objects of one kind of one learner that are asked for, or to be asked for.

    Attributes:
        asked: The request for them; None while they are not asked for, or it is not remembered.
        waits_for: The kind of object that has to come before; empty for none.
    """

    learner: str
    fetch: Fetch
    asked: Pending | None
    waits_for: str

    def is_late(self, now: float) -> bool:
        """Tell whether it was asked for more than an hour ago, or has failed three times."""
        if self.fetch.attempts >= _LATE_FAILURES:
            return True
        return self.asked is not None and now - self.asked.asked_at > _LATE_SECONDS


@app.callback(invoke_without_command=True)
def scopes(
    context: typer.Context,
    zone: ZoneFolder = Path(),
    late: Annotated[
        bool, typer.Option("--late", help="Only what was asked for more than an hour ago, or has failed three times.")
    ] = False,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List what is on its way: whose record, what of it, asked of whom and for whom, since when, how often it failed.

    A learner who enters the scope of an agreement is asked for as a whole record, one kind of object after the other;
    until it has come, nothing else about the learner is delivered to those who wait for it.
    """
    if context.invoked_subcommand is not None:
        return
    loaded = load_zone(zone)
    now = zone_clock(loaded)()
    with opened_store(loaded) as store:
        wanted = (one for one in _awaited(store) if not late or one.is_late(now))
        found = list(islice(wanted, limit))
    if as_json:
        sys.stdout.write(json.dumps([_facts(one, now) for one in found], indent=2) + "\n")
        return
    if not found:
        console.print("Nothing is late." if late else "Nothing is on its way: everybody has what they may have.")
        return
    console.print(_table(found, now))
    if len(found) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")
    console.print("Ask at once for what waits for its next try:  sifzone scopes retry LEARNER   (or --all)")


@app.command(
    "retry", epilog="Examples:  sifzone scopes retry 5D315C31F8A15621F126C31154AF9665   ·   sifzone scopes retry --all"
)
def scopes_retry(
    learner: Annotated[str, typer.Argument(metavar="[LEARNER]", help="RefId of the learner.", show_default=False)] = "",
    zone: ZoneFolder = Path(),
    everybody: Annotated[bool, typer.Option("--all", help="All learners of whom something is on its way.")] = False,
) -> None:
    """Have learners looked at now, and what waits for its next try asked for at once.

    What is asked for already is not asked for twice: its answer, or the end of the request's time, is awaited.
    """
    if bool(learner) is everybody:
        raise ZoneError("say whom to look at: give the RefId of one learner, as 'sifzone scopes' lists it, or --all")
    loaded = load_zone(zone)
    wanted = learner.strip().upper()
    with opened_store(loaded) as store:
        if everybody:
            refs = [one.ref_id for one in _entering(store)]
        else:
            refs = [row.ref_id for row in store.learners([wanted]).values() if row.fetches]
    if not refs and not everybody:
        raise ZoneError("nothing is on its way of this learner: see whom there is with 'sifzone scopes'")
    if not refs:
        console.print("Nothing is on its way: there is nothing to ask for.")
        return
    now = zone_clock(loaded)()
    tell_zone(loaded, [review_of(ref, now, hurry=True) for ref in refs], "sifzone scopes")
    console.print(f"The zone is told to look at {len(refs):,} learner(s) now. See:  sifzone scopes", soft_wrap=True)


def _entering(store: Store) -> Iterator[Learner]:
    """Yield each learner of whom something is on its way, in the order of RefIds."""
    after = ""
    while rows := store.entering(after=after, limit=_PAGE):
        yield from map(learner_of, rows)
        after = rows[-1].ref_id


def _awaited(store: Store) -> Iterator[_Awaited]:
    for learner in _entering(store):
        requests = store.requests([fetch.request_id for fetch in learner.fetches if fetch.request_id])
        for fetch in learner.fetches:
            yield _Awaited(learner.ref_id, fetch, requests.get(fetch.request_id), waits_for(fetch, learner))


def _facts(one: _Awaited, now: float) -> Mapping[str, str | int | bool | Sequence[str] | None]:
    """Return what is known of it; times as ``2026-10-01T12:00:00+00:00``, None where there is none."""
    fetch = one.fetch
    idle = not fetch.request_id and not one.waits_for
    return {
        "learner": one.learner,
        "object": fetch.object_type,
        "source": fetch.source,
        "recipients": sorted(fetch.recipients),
        "request": fetch.request_id or None,
        "asked": _time(one.asked.asked_at) if one.asked is not None else None,
        "failed": fetch.attempts,
        "next_try": _time(max(fetch.due_at, now)) if idle else None,
        "waits_for": one.waits_for or None,
        "late": one.is_late(now),
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _table(found: Sequence[_Awaited], now: float) -> Table:
    table = Table(title="Records on their way")
    table.add_column("Learner", no_wrap=True)  # whole, to be copied into 'sifzone scopes retry'
    for heading in ("Object", "From", "For", "How it stands", "Request"):
        table.add_column(heading)
    table.add_column("Failed", justify="right")
    table.add_column("")
    for one in found:
        table.add_row(
            one.learner,
            one.fetch.object_type,
            sentence(one.fetch.source),
            sentence(", ".join(sorted(one.fetch.recipients))),
            _state(one, now),
            one.fetch.request_id,
            str(one.fetch.attempts),
            Text("late", "bold red") if one.is_late(now) else "",
        )
    return table


def _state(one: _Awaited, now: float) -> str:
    if one.asked is not None:
        return f"asked {_local(one.asked.asked_at)}"
    if one.fetch.request_id:
        return "asked"
    if one.waits_for:
        return f"waits for {one.waits_for}"
    return f"next try {_local(one.fetch.due_at)}" if one.fetch.due_at > now else "to be asked"


def _local(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
