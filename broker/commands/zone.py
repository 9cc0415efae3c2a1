"""The commands ``sifzone zone ...`` and ``sifzone doctor``: what would change, to change it, and if all is well."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from broker.applied import applied_name, applied_zone, draft, in_force_file, is_running, named_in
from broker.clock import push_clock, zone_clock, zone_today
from broker.commands.common import AsJson, ZoneFolder, console, errors
from broker.doctor import State, examine
from broker.plan import Change, Kind, plan
from broker.protocol.durations import parse_duration
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import agent_queue, requests_queue
from broker.rabbitmq import ManagementError
from broker.settings import Zone, load_zone
from broker.supervisor import administrator

app = typer.Typer(
    help="What would change if the zone's files were put in force, and to put them in force.",
    epilog="Examples:  sifzone zone plan --zone my-zone   ·   sifzone zone apply --zone my-zone",
    no_args_is_help=True,
)

_IN_FORCE_SECONDS: Final = 10.0
_CHANGES: Final = 1
_SIGNS: Final = {Kind.GAIN: ("+", "green"), Kind.LOSE: ("-", "red"), Kind.CHANGE: ("~", "yellow")}
_STATES: Final = {State.IN_ORDER: "green", State.NOTE: "yellow", State.WRONG: "red"}


@app.command("plan", epilog="Examples:  sifzone zone plan   ·   sifzone zone plan --zone my-zone --exit-code")
def plan_(
    zone: ZoneFolder = Path(),
    as_json: AsJson = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when something would change.")] = False,
) -> None:
    """Say what would change: who gains and who loses which right, which elements, from whom, about whom, until when."""
    changes = _plan(load_zone(zone))
    if as_json:
        _print_json([asdict(change) for change in changes])
    else:
        _show(changes)
    raise typer.Exit(_CHANGES if exit_code and changes else 0)


@app.command("apply", epilog="Examples:  sifzone zone apply   ·   sifzone zone apply --zone my-zone --yes")
def apply_(
    zone: ZoneFolder = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Show what would change, ask, and put it in force: in the workers and in RabbitMQ within seconds, when it runs."""
    with draft(zone) as drafted:
        changes = _plan(drafted.zone)
        _show(changes)
        waits = [change.name for change in changes if change.start]
        if waits and is_running(drafted.zone):
            raise ZoneError(
                f"{', '.join(waits)} cannot change while the zone runs: stop it, and start it with 'sifzone up', "
                "which puts in force what the folder says"
            )
        if changes and not yes:
            typer.confirm("Put this in force?", abort=True)
        applied = drafted.put_in_force()
    if not is_running(applied):
        console.print(f"Snapshot {applied.snapshot} is kept; it is in force when the zone starts.")
        return
    _await(applied)


@app.command("clock", epilog="Examples:  sifzone zone clock   ·   sifzone zone clock --push 16d")
def clock_(
    zone: ZoneFolder = Path(),
    push: Annotated[str, typer.Option(help="Push it ahead by so much, e.g. 16d or 6h: in a zone for trying out.")] = "",
) -> None:
    """Show the time by the zone's clock, by which agreements, deadlines and transfers run; or push it ahead."""
    loaded = load_zone(zone)
    if push:
        try:
            span = parse_duration(push)
        except ValueError as error:
            raise ConfigurationError(f"--push: {error}") from error
        ahead = push_clock(loaded, span)
        console.print(f"The zone's clock is {ahead.days} days ahead of the machine's; workers see it within seconds.")
    now = datetime.fromtimestamp(zone_clock(loaded)()).astimezone()
    console.print(f"{now:%A %d %B %Y, %H:%M}", highlight=False)


def _today(folder: Path) -> date:
    try:
        return zone_today(load_zone(folder))
    except ZoneError:  # which doctor says itself
        return date.today()  # noqa: DTZ011  # agreements run by the zone's own calendar


def doctor(zone: ZoneFolder = Path(), as_json: AsJson = False) -> None:
    """Look at the zone's settings, keeping and RabbitMQ; say of each whether it is in order, or how to mend it."""
    findings = examine(zone, _today(zone))
    wrong = sum(finding.state is State.WRONG for finding in findings)
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        table = Table("What", "State", "Found", "What to do")
        for finding in findings:
            state = Text(finding.state, _STATES[finding.state])
            table.add_row(finding.place, state, finding.words, finding.remedy)
        console.print(table)
        console.print(f"{wrong} thing(s) to mend." if wrong else "All in order.")
    raise typer.Exit(1 if wrong else 0)


def _plan(after: Zone) -> tuple[Change, ...]:
    before = None
    if applied_name(after.folder):
        try:
            before = applied_zone(after.folder)
        except ConfigurationError as error:
            errors.print(f"What is in force cannot be read, and so all counts as new: {error}", soft_wrap=True)
    return plan(before, after, _waiting(before) if before is not None else {})


def _waiting(zone: Zone) -> Mapping[AgentId, int]:
    """Return how many messages each agent's queue holds; nothing when RabbitMQ cannot be asked."""
    try:
        management = administrator(zone)
        if management is None:
            return {}
        with management:
            queues = management.queues(zone.id)
    except (ManagementError, ConfigurationError):
        return {}
    return {
        agent: sum(queues.get(queue, (0, 0))[0] for queue in (agent_queue(agent), requests_queue(agent)))
        for agent in zone.registry.agents
    }


def _show(changes: Sequence[Change]) -> None:
    if not changes:
        console.print("Nothing would change.")
        return
    table = Table("", "What", "Name", "Change")
    for change in changes:
        sign, colour = _SIGNS[change.kind]
        words = Text(change.words)
        if change.start:
            words.append(" (from the zone's next start)", "dim")
        if change.warning:
            words.append(f"\nTake care: {change.warning}", "bold yellow")
        table.add_row(Text(sign, colour), change.subject, change.name, words)
    console.print(table)
    counts = {kind: sum(change.kind is kind for change in changes) for kind in Kind}
    console.print(f"{counts[Kind.GAIN]} gained, {counts[Kind.LOSE]} lost, {counts[Kind.CHANGE]} otherwise changed.")


def _await(zone: Zone) -> None:
    until = time.monotonic() + _IN_FORCE_SECONDS
    while named_in(in_force_file(zone)) != zone.snapshot:
        if time.monotonic() > until:
            raise ZoneError(
                f"snapshot {zone.snapshot} is kept, and not everything goes by it after {_IN_FORCE_SECONDS:.0f} s: "
                "see the log of 'sifzone up', and run 'sifzone doctor'"
            )
        time.sleep(0.1)
    console.print(f"Snapshot {zone.snapshot} is in force: workers, logins and rights go by it.")


def _print_json(rows: Sequence[Mapping[str, object]]) -> None:
    sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
