"""What all commands share: the zone's folder as an option, where they print, the store."""

import sys
from pathlib import Path
from typing import IO, Annotated, Final

import typer
from rich.console import Console

from broker.protocol.errors import ZoneError
from broker.settings import Zone
from broker.storage import Store, open_store

PLAIN_WIDTH: Final = 200
"""Columns of what goes to a file or another program: wide enough that no id is cut."""

ZoneFolder = Annotated[
    Path, typer.Option("--zone", "-z", envvar="SIFZONE_ZONE", help="The zone's folder, with zone.toml in it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def printing(stream: IO[str] | None = None) -> Console:
    """Return what prints to *stream*, standard output when left out, and takes nothing in data for markup."""
    file = stream or sys.stdout
    return Console(file=stream, markup=False, highlight=False, width=None if file.isatty() else PLAIN_WIDTH)


console: Final = printing()
errors: Final = Console(stderr=True, markup=False, highlight=False)


def opened_store(zone: Zone) -> Store:
    """Return the store of a zone that was started before.

    Raises:
        ZoneError: It never was.
    """
    if not zone.key_file.exists():
        raise ZoneError(f"{zone.folder} has no key yet: start the zone once with 'sifzone up'")
    return open_store(zone.database_url, zone.key_file)
