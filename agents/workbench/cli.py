"""The commands ``sifzone mapping ...``: check mapping files, list those that can be named."""

from pathlib import Path
from typing import Annotated

import typer

from mappings.inward import InwardMapping
from mappings.loader import load, shipped_names
from mappings.problems import MappingError

app = typer.Typer(
    help="Check mapping files, and see which ones there are.",
    epilog="Examples: sifzone mapping list · sifzone mapping check our-mis.toml",
    no_args_is_help=True,
)

Library = Annotated[list[Path] | None, typer.Option("--library", "-l", help="A folder with mapping files of your own.")]


@app.command(epilog="Examples: sifzone mapping check our-mis.toml · sifzone mapping check ctf/learner -l ./mappings")
def check(
    files: Annotated[list[str], typer.Argument(help="Mapping files (ending in .toml), or names of the library.")],
    library: Library = None,
) -> None:
    """Check mapping files; print every problem with file, line, column and the nearest right name.

    Exit code 0: all are right. 1: there are problems. 2: a file cannot be read.
    """
    worst = 0
    for name in files:
        worst = max(worst, _check(name, library or []))
    raise typer.Exit(worst)


def _check(name: str, library: list[Path]) -> int:
    path = Path(name)
    if name.endswith(".toml") and not path.is_file():
        typer.echo(f"{name}: there is no such file", err=True)
        return 2
    try:
        mapping = load(path if name.endswith(".toml") else name, library)
    except MappingError as error:
        typer.echo(str(error), err=True)
        return 1
    made = mapping.object_type if isinstance(mapping, InwardMapping) else f"table {mapping.table}"
    typer.echo(f"{name}: right ({made})")
    return 0


@app.command("list", epilog="Example: sifzone mapping list --library ./mappings")
def list_(library: Library = None) -> None:
    """List the mappings that can be named in an agent's file, with what each makes."""
    for name in shipped_names(library or []):
        try:
            mapping = load(name, library or [])
        except MappingError as error:
            typer.echo(f"{name}: {len(error.problems)} problems: run sifzone mapping check {name}", err=True)
            continue
        made = mapping.object_type if isinstance(mapping, InwardMapping) else f"table {mapping.table}"
        typer.echo(f"{name:28} {made:26} {mapping.title}".rstrip())
