"""Finds connectors by name; each is a module here or an entry point ``sifzone.connectors`` of another package."""

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from broker.protocol.errors import ConfigurationError

GROUP: Final = "sifzone.connectors"


def connector_names() -> tuple[str, ...]:
    """Return the names of all connectors that are installed, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def find(name: str) -> Any:
    """Return the connector's class.

    Raises:
        ConfigurationError: No connector has this name, or it cannot be imported.
    """
    entry = next(iter(entry_points(group=GROUP, name=name)), None)
    if entry is None:
        names = connector_names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(names) or 'none'}"
        raise ConfigurationError(f"there is no connector {name!r}: {hint}")
    return _load(entry)


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"connector {entry.name!r} cannot be loaded from {entry.value}: install its package again"
        ) from error


__all__ = ["GROUP", "connector_names", "find"]
