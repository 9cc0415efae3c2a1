"""The command ``sifzone``: what people ask, and answers; sub-commands of other packages join by entry point."""

import getpass
import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker import quarantine
from broker.gateway_cli import app as gateway_app
from broker.logs import configure_logging
from broker.protocol.errors import ZoneError
from broker.protocol.topology import BROKER_LOGIN
from broker.quality_cli import quality
from broker.reports import explain_message, fault_table, ledger_table, next_step, quarantine_table, reconciliation
from broker.request_cli import request, requests
from broker.schema_cli import app as schema_app
from broker.settings import Zone, load_zone
from broker.storage import QuarantineEntry, QuarantineState, Store, open_store
from broker.storage.encoding import sentence
from broker.supervisor import RunningZone, gateway_url, read_url
from broker.tls_cli import app as tls_app
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.zone_cli import app as zone_app
from broker.zone_cli import doctor

log = structlog.get_logger(__name__)

app = typer.Typer(
    help="A SIF-style zone broker: one agent per system, sharing agreements, nothing lost, nothing leaked.",
    epilog="Examples:  sifzone up --zone my-zone   ·   sifzone quarantine list --zone my-zone   ·   "
    "sifzone explain MSGID --zone my-zone",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
held = typer.Typer(
    help="Messages that were refused or could not be delivered: look, mend, send again, discard.",
    epilog="Examples:  sifzone quarantine list   ·   sifzone quarantine show ID   ·   sifzone quarantine replay ID",
    no_args_is_help=True,
)
app.add_typer(held, name="quarantine")
app.add_typer(schema_app, name="schema")
app.add_typer(zone_app, name="zone")
app.add_typer(gateway_app, name="gateway")
app.add_typer(tls_app, name="tls")
app.command(epilog="Examples:  sifzone doctor   ·   sifzone doctor --zone my-zone --json")(doctor)
app.command(
    epilog="Examples:  sifzone quality   ·   sifzone quality --school 8209901 --records   ·   "
    "sifzone quality --html quality.html"
)(quality)
app.command(
    epilog='Examples:  sifzone request LearnerPersonal --as gw-vle --where "LocalId = 000412"   ·   '
    "sifzone request SchoolInfo --as merlin --to mis-8209901 --format xml --out schools.xml"
)(request)
app.command(epilog="Examples:  sifzone requests   ·   sifzone requests --state answering --agent gw-vle")(requests)

_PLAIN_WIDTH: Final = 200
"""Columns of what goes to a file or another program: wide enough that no id is cut."""
_DECIDE_SECONDS: Final = 10.0
console: Final = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
errors: Final = Console(stderr=True, markup=False, highlight=False)

ZoneFolder = Annotated[
    Path, typer.Option("--zone", "-z", envvar="SIFZONE_ZONE", help="The zone's folder, with zone.toml in it.")
]
EntryId = Annotated[str, typer.Argument(help="Id of the message in quarantine, or enough of its beginning.")]


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
    with _store(loaded) as store:
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
    with _store(load_zone(zone)) as store:
        console.print(ledger_table(store, agent, object_type, outcome, limit))


@app.command(epilog="Example:  sifzone reconcile --zone my-zone")
def reconcile(zone: ZoneFolder = Path()) -> None:
    """Print the books by agent and object: published = delivered + withheld + refused; exit 1 if they are off."""
    with _store(load_zone(zone)) as store:
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


@held.command("list", epilog="Example:  sifzone quarantine list --zone my-zone")
def quarantine_list(
    zone: ZoneFolder = Path(),
    state: Annotated[QuarantineState, typer.Option(help="Which of them.")] = "held",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List messages in quarantine, oldest first."""
    with _store(load_zone(zone)) as store:
        entries = store.quarantine_list(state, limit=limit)
    if not entries:
        console.print(f"No {state} messages in quarantine.")
        return
    console.print(quarantine_table(entries))
    if len(entries) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")
    console.print("What is wrong with one, and what to do:  sifzone quarantine show ID")


@held.command("show", epilog="Example:  sifzone quarantine show 3f2a --body")
def quarantine_show(
    entry: EntryId,
    zone: ZoneFolder = Path(),
    body: Annotated[bool, typer.Option("--body", help="Also print the message: personal data on your screen.")] = False,
) -> None:
    """Show what is wrong with a message: each fault with its line, and what to do."""
    with _store(load_zone(zone)) as store:
        found = store.quarantine_get(entry)
        console.print(fault_table(found))
        if body:
            text = store.quarantine_body(found.id).decode("utf-8", "replace")
            lines = {int(finding["line"]) for finding in found.findings}
            for number, line in enumerate(text.split("\n"), start=1):  # as the parser counts lines
                mark = ">" if number in lines else " "
                console.print(f"{mark}{number:5} {sentence(line.rstrip().expandtabs())}", soft_wrap=True)
        console.print(next_step(found), soft_wrap=True)


@held.command(
    "fix", epilog="Examples:  sifzone quarantine fix 3f2a   ·   sifzone quarantine fix 3f2a --file mended.xml"
)
def quarantine_fix(
    entry: EntryId,
    zone: ZoneFolder = Path(),
    file: Annotated[Path | None, typer.Option(help="The mended message; without it, your EDITOR opens a copy.")] = None,
) -> None:
    """Edit a copy of a message and keep it beside the original; 'replay' then sends the copy."""
    loaded = load_zone(zone)
    with _store(loaded) as store:
        found = store.quarantine_get(entry)
        if file is not None:
            mended = _read(file)
            _refuse_if_wrong(found, mended, loaded)
        else:
            mended = _edit_until_right(found, store.quarantine_body(found.id), loaded)
        store.quarantine_fix(found.id, mended)
    console.print(f"Kept. Send it with:  sifzone quarantine replay {found.id[:8]}")


@held.command("replay", epilog="Example:  sifzone quarantine replay 3f2a")
def quarantine_replay(entry: EntryId, zone: ZoneFolder = Path()) -> None:
    """Send a message again, as it is or as mended; today's rights and agreements decide who gets it."""
    loaded = load_zone(zone)
    url = read_url(loaded.credentials(BROKER_LOGIN))
    if not url:
        raise ZoneError("the zone has never been started: start it with 'sifzone up', then replay")
    with _store(loaded) as store, AmqpTransport(AmqpSettings(url=url, name="sifzone replay")) as transport:
        found = store.quarantine_get(entry)
        attempt = quarantine.replay(store, transport, loaded.validator, found.id, by=getpass.getuser())
        rows = quarantine.outcome(store, found, attempt, _DECIDE_SECONDS)
    if not rows:
        console.print(f"Sent again; the zone has not come to it yet. Later:  sifzone explain {found.msg_id}")
        return
    for part in explain_message(rows, loaded):
        console.print(part)


@held.command("discard", epilog="Example:  sifzone quarantine discard 3f2a")
def quarantine_discard(entry: EntryId, zone: ZoneFolder = Path()) -> None:
    """Say that nobody needs a message any more: its content is removed, the entry stays, with your name."""
    with _store(load_zone(zone)) as store:
        entry_id = store.quarantine_get(entry).id
        store.quarantine_mark(entry_id, "discarded", by=getpass.getuser(), at=time.time())
    console.print(f"{entry_id[:8]} is discarded; its content is gone.")


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


def _store(zone: Zone) -> Store:
    if not zone.key_file.exists():
        raise ZoneError(f"{zone.folder} has no key yet: start the zone once with 'sifzone up'")
    return open_store(zone.database_url, zone.key_file)


def _refuse_if_wrong(entry: QuarantineEntry, mended: bytes, zone: Zone) -> None:
    fault = quarantine.check_body(entry, mended, zone.validator).fault
    if fault is not None:
        raise ZoneError(f"not kept, since it is still wrong: {fault.summary}")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ZoneError(f"{file}: cannot be read ({error.strerror}): name the file with the mended message") from error


def _edit_until_right(entry: QuarantineEntry, body: bytes, zone: Zone) -> bytes:
    """Let a person edit *body*, again while it is still wrong, so that no work is lost."""
    while True:
        body = _edit(body)
        try:
            _refuse_if_wrong(entry, body, zone)
        except ZoneError as error:
            if not sys.stdin.isatty():
                raise
            console.print(sentence(str(error)), soft_wrap=True)
            typer.confirm("Edit it again?", default=True, abort=True)
        else:
            return body


def _edit(body: bytes) -> bytes:
    """Let a person edit *body* in a folder that nobody else can read, gone afterwards."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="sifzone-") as folder:
        path = Path(folder) / "message.xml"
        path.write_bytes(body)
        try:
            subprocess.run([*editor, str(path)], check=True)  # noqa: S603  # the user's own editor
        except (OSError, subprocess.CalledProcessError) as error:
            raise ZoneError(
                f"the editor {editor[0]} did not run: set EDITOR to one that does, or use --file"
            ) from error
        return path.read_bytes()


if __name__ == "__main__":
    main()
