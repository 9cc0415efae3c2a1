"""The command ``sifzone``: what people ask, and answers; sub-commands of other packages join by entry point."""

import logging
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.table import Table
from rich.text import Text

from broker.commands.common import ZoneFolder, console, errors, opened_store
from broker.commands.gateway import app as gateway_app
from broker.commands.match import app as match_app
from broker.commands.quality import quality
from broker.commands.quarantine import app as quarantine_app
from broker.commands.reports import (
    explain_message,
    ledger_table,
    reconciliation,
)
from broker.commands.request import request, requests
from broker.commands.schema import app as schema_app
from broker.commands.scopes import app as scopes_app
from broker.commands.tls import app as tls_app
from broker.commands.transfers import app as transfers_app
from broker.commands.zone import app as zone_app
from broker.commands.zone import doctor
from broker.logs import configure_logging
from broker.protocol.errors import ZoneError
from broker.settings import load_zone
from broker.storage.encoding import sentence
from broker.supervisor import RunningZone, gateway_url

log = structlog.get_logger(__name__)

app = typer.Typer(
    help="A SIF-style zone broker: one agent per system, sharing agreements, nothing lost, nothing leaked.",
    epilog="Examples:  sifzone up --zone my-zone   ·   sifzone quarantine list --zone my-zone   ·   "
    "sifzone explain MSGID --zone my-zone",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(transfers_app, name="transfers")
app.add_typer(scopes_app, name="scopes")
app.add_typer(match_app, name="match")
app.add_typer(schema_app, name="schema")
app.add_typer(zone_app, name="zone")
app.add_typer(gateway_app, name="gateway")
app.add_typer(tls_app, name="tls")
app.command(epilog="Examples:  sifzone doctor   ·   sifzone doctor --zone my-zone --json")(doctor)
app.command(
    epilog="Examples:  sifzone quality   ·   sifzone quality --school 8209901 --records   ·   "
    "sifzone quality --rule care-flag-agrees --records   ·   sifzone quality --html quality.html"
)(quality)
app.command(
    epilog='Examples:  sifzone request LearnerPersonal --as gw-vle --where "LocalId = 000412"   ·   '
    "sifzone request SchoolInfo --as merlin --to mis-8209901 --format xml --out schools.xml"
)(request)
app.command(epilog="Examples:  sifzone requests   ·   sifzone requests --state answering --agent gw-vle")(requests)


@app.command(
    epilog="Examples:  sifzone up   ·   sifzone up --zone my-zone --workers 2 --agents   ·   "
    "sifzone up --gateway-port 8460"
)
def up(
    zone: ZoneFolder = Path(),
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    agents: Annotated[bool, typer.Option("--agents", help="Also run the agents set up in the folder agents/.")] = False,
    gateway_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the gateway (SIF over HTTP); 0 for any, else as zone.toml."),
    ] = None,
) -> None:
    """Run the zone until Ctrl-C: RabbitMQ (a private node, unless zone.toml names one), logins, rights, workers."""
    configure_logging()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a service manager stops us: in order, like Ctrl-C
    with RunningZone(load_zone(zone), workers, agents=agents, gateway_port=gateway_port) as running:
        with suppress(KeyboardInterrupt):
            console.print(
                f"Zone {running.zone.id} is up with {len(running.worker_pids)} worker(s). Agents find their logins in "
                f"{running.zone.state / 'credentials'}. Stop it with Ctrl-C.",
                soft_wrap=True,
            )
            if running.gateway_port is not None:
                console.print(
                    f"SIF agents reach the gateway at {gateway_url(running.zone, running.gateway_port)}; the address "
                    "of each, with its secret:  sifzone agent url ID",
                    soft_wrap=True,
                )
            while True:
                running.check()
                time.sleep(1)
        console.print("Stopping.")


@app.command(epilog="Example:  sifzone check --zone my-zone")
def check(zone: ZoneFolder = Path()) -> None:
    """Read the zone's settings and agreements and say what is wrong, or who shares what with whom."""
    loaded = load_zone(zone)
    table = Table(title=f"Agreements of zone {loaded.id}")
    for heading in ("Agreement", "From", "To", "Learners", "Objects", "Until"):
        table.add_column(heading)
    for agreement in loaded.agreements:
        table.add_row(
            agreement.id,
            ", ".join(agreement.senders),
            ", ".join(agreement.recipients),
            agreement.scope,
            ", ".join(agreement.shares),
            str(agreement.expires),
        )
    console.print(table)
    console.print(f"All in order. Agents: {len(loaded.registry.agents)}; agreements: {len(loaded.agreements)}.")


@app.command(epilog="Example:  sifzone explain 0F2C6A8E4B1D49738A5C0E2D7B6F1A90 --zone my-zone")
def explain(
    msg_id: Annotated[str, typer.Argument(help="A SIF_MsgId, as in the ledger or an agent's log.")],
    zone: ZoneFolder = Path(),
) -> None:
    """Tell why each recipient got a message, which part, under which agreement, and why the others did not."""
    loaded = load_zone(zone)
    with opened_store(loaded) as store:
        rows = store.explain(msg_id.upper())
    if not rows:
        raise ZoneError(f"the ledger has no message {msg_id}: check the id (32 hexadecimal digits)")
    for part in explain_message(rows, loaded):
        console.print(part)


@app.command(epilog="Examples:  sifzone ledger --limit 20   ·   sifzone ledger --agent merlin --outcome delivered")
def ledger(
    zone: ZoneFolder = Path(),
    agent: Annotated[str, typer.Option(help="Only messages of, or to, this agent.")] = "",
    object_type: Annotated[str, typer.Option("--object", help="Only this object, e.g. LearnerPersonal.")] = "",
    outcome: Annotated[str, typer.Option(help="accepted, refused, delivered, withheld or duplicate.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """Print the latest entries of the ledger: what was published, delivered, withheld, refused; never content."""
    with opened_store(load_zone(zone)) as store:
        console.print(ledger_table(store, agent, object_type, outcome, limit))


@app.command(epilog="Example:  sifzone reconcile --zone my-zone")
def reconcile(zone: ZoneFolder = Path()) -> None:
    """Print the books by agent and object: published = delivered + withheld + refused; exit 1 if they are off."""
    with opened_store(load_zone(zone)) as store:
        table, balanced = reconciliation(store)
    console.print(table)
    raise typer.Exit(0 if balanced else 1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Examples:  sifzone bench   ·   sifzone bench --json --rounds 3",
)
def bench(arguments: typer.Context) -> None:
    """Measure the worker against a raw forwarder on a private RabbitMQ (takes minutes; see --help-bench)."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "tests" / "bench" / "run.py").exists():
        raise ZoneError("the benchmarks are in the project's source tree: run this from a checkout")
    words = ["--help" if word == "--help-bench" else word for word in arguments.args]
    command = [sys.executable, "-m", "tests.bench.run", *words]
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)  # noqa: S603


def main() -> None:
    """Run the command line; a fault of ours or of the settings is one line on standard error and exit code 2."""
    configure_logging(level=logging.WARNING)  # what runs for long says more
    for command in entry_points(group="sifzone.commands"):
        app.add_typer(command.load(), name=command.name)
    configure_logging(level=logging.ERROR)  # what a command has to say is its output; 'up' logs more
    try:
        app()
    except ZoneError as error:
        errors.print(Text("sifzone:", "red"), sentence(str(error)), soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
