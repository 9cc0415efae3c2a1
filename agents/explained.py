"""How commands end when something is wrong: one sentence for people, and an exit code for programs."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from broker.protocol.errors import ConfigurationError, ZoneError


@contextmanager
def explained() -> Iterator[None]:
    """Print an error's sentence and end: exit code 2 when what was given is wrong, 1 when it could not be done."""
    try:
        yield
    except ZoneError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None


__all__ = ["explained"]
