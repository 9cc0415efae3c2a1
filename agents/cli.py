"""The commands ``sifzone agent ...``; what they do is the SDK's and the runtime's."""

import json
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from agents.explained import explained
from agents.find import places
from agents.inbox import KeptObjects
from agents.logs import configure_logging
from agents.parts import make_parts
from agents.progress import shown_progress
from agents.runtime import DEFAULT_LIMITS, Limits
from agents.scaffold.cli import EXAMPLES, new
from agents.sdk import Agent
from agents.settings import AgentSettings, read_settings
from agents.show import learners_table, objects_json, status, status_tables
from agents.store import DATABASE, Store
from agents.trial import Trial, trials
from agents.tryout import EXAMPLES as TRY_EXAMPLES
from agents.tryout import try_agent
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import parse_agent_id
from schemas import load

_PIPED_WIDTH: Final = 200
"""Characters a line of a table may have where no terminal sets a width."""

app = typer.Typer(
    help="Run an agent from its file, and look at what it has read, sent and received.",
    epilog="Examples: sifzone agent check mis.toml · sifzone agent run mis.toml · sifzone agent status mis.toml",
    no_args_is_help=True,
)
app.command("new", epilog=EXAMPLES)(new)
app.command("try", epilog=TRY_EXAMPLES)(try_agent)
_TRIAL_CODES: Final = {"unreachable": 1, "wrong": 2}

File = Annotated[Path, typer.Argument(help="The agent's file, for example agents/mis-8209901.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.command(epilog="Examples: sifzone agent run agents/mis-8209901.toml · sifzone agent run agents/merlin.toml --once")
def run(
    file: File,
    once: Annotated[bool, typer.Option("--once", help="Read all, send all, receive what is there, and end.")] = False,
    idle: Annotated[
        float, typer.Option(help="With --once: seconds of silence that mean the queue is empty.", min=0)
    ] = (DEFAULT_LIMITS.idle.total_seconds()),
    patience: Annotated[float, typer.Option(help="With --once: seconds without progress that mean failure.", min=1)] = (
        DEFAULT_LIMITS.patience.total_seconds()
    ),
) -> None:
    """Run an agent until it is stopped (Ctrl-C or SIGTERM).

    Exit code 0: it ended as asked. 1: it did not, or with --once a file could not be read. 2: its file is wrong.
    """
    with explained(), Agent.from_file(file) as agent, shown_progress() as progress:
        configure_logging()
        limits = Limits(timedelta(seconds=idle), timedelta(seconds=patience))
        agent.run(once=once, limits=limits, progress=progress)
        if once and not agent.all_read():
            raise typer.Exit(1)


@app.command(epilog="Examples: sifzone agent url gw-mis --zone my-zone · sifzone agent url merlin")
def url(
    agent: Annotated[str, typer.Argument(help="The agent's id, as in zone.toml.")],
    zone: Annotated[
        Path, typer.Option("--zone", "-z", envvar="SIFZONE_ZONE", help="The zone's folder, with zone.toml in it.")
    ] = Path(),
) -> None:
    """Print the address under which an agent reaches the zone, with its secret: whoever has it, is the agent."""
    with explained():
        file = zone / "state" / "credentials" / f"{parse_agent_id(agent)}.toml"
        try:
            typer.echo(tomllib.loads(file.read_text(encoding="utf-8"))["url"])
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"{file} is not there: name an agent of zone.toml, and start the zone with 'sifzone up' first"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, OSError) as error:
            raise ConfigurationError(f"{file} cannot be read: start the zone again, which writes it") from error


@app.command("status", epilog="Examples: sifzone agent status agents/mis-8209901.toml --problems 100")
def status_(
    file: File,
    as_json: AsJson = False,
    problems: Annotated[int, typer.Option(help="Most problems shown of each file.", min=0)] = 20,
) -> None:
    """Show what an agent has read and sent, and what was wrong or refused; no personal data."""
    with explained(), _open(read_settings(file)) as store:
        values = status(store, load(), problems)
        if as_json:
            typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
            return
        console = Console(markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
        for table in status_tables(values):
            console.print(table)


@app.command(epilog="Examples: sifzone agent inbox agents/virtual-school.toml · with --json | jq .content.UPN")
def inbox(file: File, as_json: AsJson = False) -> None:
    """Show the learners that an agent has received; with --json every object, one on each line. Personal data!"""
    with explained(), _open(read_settings(file)) as store, store.snapshot() as db:
        objects = KeptObjects(db)
        if as_json:
            for line in objects_json(objects, load()):
                typer.echo(line)
            return
        Console(markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(learners_table(objects))


@app.command(epilog="Example: sifzone agent find agents/mis-8209901.toml 0F2C6A8E4B1D49738A5C0E2D7B6F1A90")
def find(
    file: File,
    record_id: Annotated[
        str, typer.Argument(metavar="ID", help="RefId, or id of a record as 'sifzone quality' has it.")
    ],
) -> None:
    """Show in which file or feed and row a record is, given the id that the zone has for it. Exit code 1: in none."""
    with explained():
        settings = read_settings(file)
        with _open(settings) as store:
            found = list(places(make_parts(settings), store.keys, record_id))
    for place in found:
        typer.echo(f"{place.path}: {place.position}: {', '.join(place.object_types)}")
    if not found:
        typer.echo("No file has it now, nor a feed: it was in an earlier one, or another agent sent it.", err=True)
        raise typer.Exit(1)


@app.command(
    epilog="Examples: sifzone agent check agents/mis-8209901.toml · sifzone agent check mine.toml --offline · "
    "sifzone agent check mine.toml --json"
)
def check(
    file: File,
    offline: Annotated[
        bool, typer.Option("--offline", help="Connect to nothing, and open none of the files to be read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check an agent's file and its mappings, and try each source, what fetches its files, target and zone.

    All are tried, whatever is wrong with one; nothing is changed. Exit code 0: all is right. 1: something cannot be
    reached or read. 2: something in the file is wrong.
    """
    with explained():
        settings = read_settings(file)
        parts = make_parts(settings)
    tried: list[Trial] = []
    if not as_json:
        typer.echo(f"{file}: right (agent {settings.id}, {len(parts.sources)} sources)")
    for trial in trials(settings, parts, offline=offline):
        tried.append(trial)
        if not as_json:
            wrong = trial.result in ("unreachable", "wrong")
            typer.echo(f"{trial.part} ({trial.name}): {'WRONG: ' if wrong else ''}{trial.message}", err=wrong)
    if as_json:
        found = {"file": str(file), "agent": settings.id, "parts": [asdict(trial) for trial in tried]}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    code = max((_TRIAL_CODES.get(trial.result, 0) for trial in tried), default=0)
    if code:
        raise typer.Exit(code)


@contextmanager
def _open(settings: AgentSettings) -> Iterator[Store]:
    if not (settings.state_folder / DATABASE).exists():
        raise ConfigurationError(
            f"{settings.state_folder}: this agent has not run yet: sifzone agent run {settings.file}"
        )
    with Store(settings.state_folder) as store:
        yield store


__all__ = ["app"]
