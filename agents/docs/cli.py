"""To be written."""

import typer

app = typer.Typer(help="Write documents.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep commands commands."""
