"""The commands ``sifzone docs ...``; what the documents say is other modules'."""

import json
from pathlib import Path
from typing import Annotated

import typer

from agents.docs.asyncapi import asyncapi as asyncapi_document
from agents.docs.asyncapi import zone_facts
from agents.docs.samples import copy_sample
from agents.explained import explained
from agents.writing import write_text

app = typer.Typer(
    help="Write documents: pages for integrators, samples to try them with, the zone as AsyncAPI.",
    epilog="Examples: sifzone docs build · sifzone docs sample sims-like · sifzone docs asyncapi --zone my-zone",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keep commands commands."""


@app.command(
    epilog="Examples: sifzone docs asyncapi > asyncapi.json · sifzone docs asyncapi --zone my-zone --out zone.json"
)
def asyncapi(
    zone: Annotated[
        Path | None,
        typer.Option("--zone", "-z", help="A zone's folder: describe that zone and its agents, not any."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; printed when left out.")] = None,
) -> None:
    """Describe the AMQP side of a zone as AsyncAPI 3.0, in JSON: for tools that draw, check or generate code.

    No secrets and no personal data. Exit code 2: the zone's folder is wrong, or the file cannot be written.
    """
    with explained():
        document = asyncapi_document(None if zone is None else zone_facts(zone))
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if out is None:
            typer.echo(text, nl=False)
            return
        write_text(out, text)
    typer.echo(f"Wrote {out}: {len(document['channels'])} channels, {len(document['operations'])} operations.")


@app.command(epilog="Examples: sifzone docs build · sifzone docs build --out /srv/www/integrators")
def build(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write, new or from an earlier time.")] = Path(
        "site"
    ),
) -> None:
    """Write the pages for integrators: how a school's export becomes an agent with a certificate, and all reference.

    They are plain HTML files, which open by a click and need no server and no network. Exit code 2: the folder cannot
    be used, or a page is wrong; nothing is written then.
    """
    from agents.docs.site import write_site  # here, for each command of sifzone imports this module, and one builds

    with explained():
        written = write_site(out)
    typer.echo(f"Wrote {len(written)} files; open {written[0]}")


@app.command(epilog="Examples: sifzone docs sample sims-like · sifzone docs sample sims-like contacts.csv --out my.csv")
def sample(
    pack: Annotated[str, typer.Argument(help="A pack, as 'sifzone pack list' names it.")],
    name: Annotated[str, typer.Argument(help="Which of its examples; the first when left out.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The new file; of the same name, here, when left out.")
    ] = None,
) -> None:
    """Copy a pack's example file, to try mappings and agents on. All people in it are made up.

    Exit code 2: there is no such pack or example, or there is a file of this name already.
    """
    with explained():
        made = copy_sample(pack, name, out)
    typer.echo(f"Wrote {made}")


__all__ = ["app"]
