"""The command ``sifzone agent new``; what it makes is folder.py's and package.py's."""

from pathlib import Path
from typing import Annotated, Final

import typer

from agents.scaffold.folder import Wishes, make_folder
from agents.scaffold.package import make_package
from agents.scaffold.place import written
from agents.workbench.samples import parse_options
from agents.zone_files import ENTRY, ZoneAgent, entry_lines
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId, parse_agent_id, parse_establishment

EXAMPLES: Final = (
    "Examples: sifzone agent new mis-8209901 --from pupils.csv --mapping learner.toml · "
    "sifzone agent new mis-8209902 --connector ctf --object LearnerPersonal · sifzone agent new card-index --package"
)


def new(
    name: Annotated[str, typer.Argument(help="The agent's id in the zone, and the new folder's name: mis-8209901.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--mapping", "-m", help="Mapping: a file, which is copied, or a name of the library; repeatable."),
    ] = None,
    sample: Annotated[Path | None, typer.Option("--from", help="An export to try it on; it is copied.")] = None,
    connector: Annotated[
        str, typer.Option("--connector", "-c", help="What reads the exports; told by the sample when left out.")
    ] = "",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="An option of the connector, key=value; repeatable.")
    ] = None,
    objects: Annotated[
        list[str] | None,
        typer.Option("--object", help="Without --mapping: take the library's for this object; repeatable."),
    ] = None,
    establishment: Annotated[
        list[str] | None, typer.Option(help="A school that it speaks for, e.g. 8209901; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the new folder goes.")] = Path(),
    package: Annotated[
        bool, typer.Option("--package", help="A Python package with a connector of its own, and its tests.")
    ] = False,
) -> None:
    """Make a new agent: a folder with agent.toml, mappings and a sample; or, with --package, a Python package.

    Exit code 2: something that was asked for cannot be used; nothing is left behind.
    """
    wishes = (mapping, sample, connector, option, objects)
    try:
        agent = _id(name)
        schools = [_establishment(text) for text in establishment or ()]
        if package:
            _refuse_wishes(any(wishes))
            _package(out / agent, agent, schools)
        else:
            given = Wishes(agent, mapping or (), sample, connector, parse_options(option or ()), objects or (), schools)
            _folder(out / agent, given)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _folder(place: Path, wishes: Wishes) -> None:
    made = make_folder(place, wishes)
    _tell_files(place)
    if made.missing:
        typer.echo(f"\nFill in {', '.join(made.missing)} in {made.file}, then check it:")
        typer.echo(f"  sifzone agent check {made.file}")
    typer.echo("\nTry it, in a zone of its own in which nothing can go wrong:")
    typer.echo(f"  sifzone agent try {made.file}")
    _tell_administrator(made.entry, place)


def _package(place: Path, agent: AgentId, schools: list[str]) -> None:
    made = make_package(place, agent, schools)
    _tell_files(place)
    typer.echo("\nInstall it and run its tests:")
    typer.echo(f"  pip install -e '{place}[test]'\n  python -m pytest {place}")
    typer.echo("\nTry it, in a zone of its own, and have it certified:")
    typer.echo(f"  sifzone agent try {place / 'agent.toml'}\n  sifzone certify {place / 'agent.toml'}")
    _tell_administrator(made.entry, place)


def _tell_files(place: Path) -> None:
    typer.echo(f"Made {place}:")
    for file in written(place):
        typer.echo(f"  {file}")


def _tell_administrator(entry: ZoneAgent, place: Path) -> None:
    typer.echo(
        f"\nThen ask the zone's administrator to put these lines, which are in {place / ENTRY}, into zone.toml,\n"
        "and to run 'sifzone zone apply':\n"
    )
    for line in entry_lines(entry):
        typer.echo(f"  {line}")
    typer.echo(
        f"\nYou get a file with the agent's login: keep it as {place / 'credentials.toml'} (chmod 600), and run\n"
        f"  sifzone agent run {place / 'agent.toml'}\n"
        "What it publishes goes to nobody before an agreement of the zone says so."
    )


def _refuse_wishes(given: bool) -> None:
    if given:
        raise ConfigurationError("--package begins with an example of its own: leave out the other options")


def _id(name: str) -> AgentId:
    try:
        return parse_agent_id(name)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _establishment(text: str) -> str:
    try:
        return parse_establishment(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


__all__ = ["EXAMPLES", "new"]
