"""``sifzone quarantine ...``: look at messages that were refused or not delivered, mend, send again, discard."""

import getpass
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from broker import quarantine
from broker.commands.common import ZoneFolder, console, opened_store
from broker.commands.reports import explain_message, fault_table, next_step, quarantine_table
from broker.protocol.errors import ZoneError
from broker.protocol.topology import BROKER_LOGIN
from broker.settings import Zone, load_zone
from broker.storage import QuarantineEntry, QuarantineState
from broker.storage.encoding import sentence
from broker.supervisor import read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport

app = typer.Typer(
    help="Messages that were refused or could not be delivered: look, mend, send again, discard.",
    epilog="Examples:  sifzone quarantine list   ·   sifzone quarantine show ID   ·   sifzone quarantine replay ID",
    no_args_is_help=True,
)

_DECIDE_SECONDS: Final = 10.0

EntryId = Annotated[str, typer.Argument(help="Id of the message in quarantine, or enough of its beginning.")]


@app.command("list", epilog="Example:  sifzone quarantine list --zone my-zone")
def quarantine_list(
    zone: ZoneFolder = Path(),
    state: Annotated[QuarantineState, typer.Option(help="Which of them.")] = "held",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List messages in quarantine, oldest first."""
    with opened_store(load_zone(zone)) as store:
        entries = store.quarantine_list(state, limit=limit)
    if not entries:
        console.print(f"No {state} messages in quarantine.")
        return
    console.print(quarantine_table(entries))
    if len(entries) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")
    console.print("What is wrong with one, and what to do:  sifzone quarantine show ID")


@app.command("show", epilog="Example:  sifzone quarantine show 3f2a --body")
def quarantine_show(
    entry: EntryId,
    zone: ZoneFolder = Path(),
    body: Annotated[bool, typer.Option("--body", help="Also print the message: personal data on your screen.")] = False,
) -> None:
    """Show what is wrong with a message: each fault with its line, and what to do."""
    with opened_store(load_zone(zone)) as store:
        found = store.quarantine_get(entry)
        console.print(fault_table(found))
        if body:
            text = store.quarantine_body(found.id).decode("utf-8", "replace")
            lines = {int(finding["line"]) for finding in found.findings}
            for number, line in enumerate(text.split("\n"), start=1):  # as the parser counts lines
                mark = ">" if number in lines else " "
                console.print(f"{mark}{number:5} {sentence(line.rstrip().expandtabs())}", soft_wrap=True)
        console.print(next_step(found), soft_wrap=True)


@app.command("fix", epilog="Examples:  sifzone quarantine fix 3f2a   ·   sifzone quarantine fix 3f2a --file mended.xml")
def quarantine_fix(
    entry: EntryId,
    zone: ZoneFolder = Path(),
    file: Annotated[Path | None, typer.Option(help="The mended message; without it, your EDITOR opens a copy.")] = None,
) -> None:
    """Edit a copy of a message and keep it beside the original; 'replay' then sends the copy."""
    loaded = load_zone(zone)
    with opened_store(loaded) as store:
        found = store.quarantine_get(entry)
        if file is not None:
            mended = _read(file)
            _refuse_if_wrong(found, mended, loaded)
        else:
            mended = _edit_until_right(found, store.quarantine_body(found.id), loaded)
        store.quarantine_fix(found.id, mended)
    console.print(f"Kept. Send it with:  sifzone quarantine replay {found.id[:8]}")


@app.command("replay", epilog="Example:  sifzone quarantine replay 3f2a")
def quarantine_replay(entry: EntryId, zone: ZoneFolder = Path()) -> None:
    """Send a message again, as it is or as mended; today's rights and agreements decide who gets it."""
    loaded = load_zone(zone)
    url = read_url(loaded.credentials(BROKER_LOGIN))
    if not url:
        raise ZoneError("the zone has never been started: start it with 'sifzone up', then replay")
    with opened_store(loaded) as store, AmqpTransport(AmqpSettings(url=url, name="sifzone replay")) as transport:
        found = store.quarantine_get(entry)
        attempt = quarantine.replay(store, transport, loaded.validator, found.id, by=getpass.getuser())
        rows = quarantine.outcome(store, found, attempt, _DECIDE_SECONDS)
    if not rows:
        console.print(f"Sent again; the zone has not come to it yet. Later:  sifzone explain {found.msg_id}")
        return
    for part in explain_message(rows, loaded):
        console.print(part)


@app.command("discard", epilog="Example:  sifzone quarantine discard 3f2a")
def quarantine_discard(entry: EntryId, zone: ZoneFolder = Path()) -> None:
    """Say that nobody needs a message any more: its content is removed, the entry stays, with your name."""
    with opened_store(load_zone(zone)) as store:
        entry_id = store.quarantine_get(entry).id
        store.quarantine_mark(entry_id, "discarded", by=getpass.getuser(), at=time.time())
    console.print(f"{entry_id[:8]} is discarded; its content is gone.")


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
