"""The command ``sifzone ctf-out``: what was written, what was taken, and what waits for which element."""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from agents.connectors.ctf_out.cases import Book, Filed
from agents.connectors.ctf_out.outbox import TAKEN
from agents.connectors.ctf_out.target import NAME
from agents.desk import words
from agents.explained import explained
from agents.settings import AgentSettings, read_settings
from agents.store import DATABASE, Store
from broker.protocol.errors import ConfigurationError

_PIPED_WIDTH: Final = 200

app = typer.Typer(
    help="Look at the Common Transfer Files of an agent that writes them.",
    epilog="Example: sifzone ctf-out status agents/ctf-out.toml",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keep ``status`` a command of its own though it is the only one."""


@app.command(epilog="Examples: sifzone ctf-out status agents/ctf-out.toml · with --json for programs")
def status(
    file: Annotated[Path, typer.Argument(help="The agent's file, for example agents/ctf-out.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show which files were written and where they are, and which cannot be written and why; no personal data."""
    with explained():
        values = _values(read_settings(file))
    if as_json:
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    console = Console(markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    files = [[f["file"], f["pupils"], f["attempt"], f["written"], f["where"]] for f in values["files"]]
    console.print(_table("Files", ("File", "Pupils", "Attempt", "Written", "Where"), files))
    if values["waiting"]:
        rows = [
            [w["transfer"], w["destination"], r["element"], r["remedy"]]
            for w in values["waiting"]
            for r in w["reasons"]
        ]
        console.print(_table("Not written yet", ("LearnerTransfer", "To", "Element", "What to do"), rows))


def _values(settings: AgentSettings) -> dict[str, Any]:
    """Return what the agent remembers, as plain values; files in the order in which they were written."""
    outbox = settings.target_path()
    if settings.target is None or settings.target.connector != NAME or outbox is None:
        raise ConfigurationError(f'{settings.file}: this agent writes no transfer files: its target is not "{NAME}"')
    if not (settings.state_folder / DATABASE).exists():
        raise ConfigurationError(
            f"{settings.state_folder}: this agent has not run yet: sifzone agent run {settings.file}"
        )
    with Store(settings.state_folder) as store:
        book = Book.of(words(store, NAME))
    by_name: dict[str, list[Filed]] = defaultdict(list)
    for filed in sorted(book.files.values(), key=lambda each: (each.written, each.file_name)):
        by_name[filed.file_name].append(filed)
    return {
        "files": [
            {
                "file": name,
                "pupils": filed[0].pupils,
                "attempt": max(each.due.attempt for each in filed),
                "written": filed[0].written,
                "sha256": filed[0].sha256,
                "where": _where(outbox, filed[0]),
                "transfers": [each.due.transfer for each in filed],
            }
            for name, filed in by_name.items()
        ],
        "waiting": [
            {
                "transfer": each.transfer,
                "destination": each.destination,
                "reasons": [{"element": element, "remedy": remedy} for element, remedy in each.reasons],
            }
            for each in book.waiting.values()
        ],
    }


def _where(outbox: Path, filed: Filed) -> str:
    if filed.taken or (outbox / TAKEN / filed.file_name).is_file():
        return "taken"
    if (outbox / filed.file_name).is_file():
        return "in the outbox"
    return f"gone: files that were sent belong in {TAKEN}/, so nobody was told that it was"


def _table(title: str, headings: tuple[str, ...], rows: list[list[Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    return table


__all__ = ["app"]
