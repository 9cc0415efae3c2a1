"""Finds what packages offer under a name, by a group of entry points; what such a thing is for, others know."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from broker.protocol.errors import ConfigurationError


def names_of(group: str) -> tuple[str, ...]:
    """Return the names of all that is installed of a group, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


def entry_of(group: str, name: str) -> EntryPoint | None:
    """Return what is installed under a name; None when nothing is."""
    return next(iter(entry_points(group=group, name=name)), None)


def load(entry: EntryPoint, what: str) -> Any:
    """Import what an entry point names.

    Args:
        entry: The entry point.
        what: What it is, as the sentence of the error begins: ``connector 'csv'``.

    Raises:
        ConfigurationError: It cannot be imported.
    """
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{what} cannot be loaded from {entry.value}: install its package again") from error


__all__ = ["entry_of", "load", "names_of"]
