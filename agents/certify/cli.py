"""To be written."""

import typer

app = typer.Typer(help="Certify an agent.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep commands commands."""
