"""Finds connectors by name; each is a module here or an entry point ``sifzone.connectors`` of another package."""

import difflib
from typing import Any, Final

from agents.entries import entry_of, load, names_of
from broker.protocol.errors import ConfigurationError

GROUP: Final = "sifzone.connectors"


def connector_names() -> tuple[str, ...]:
    """Return the names of all connectors that are installed, sorted."""
    return names_of(GROUP)


def find(name: str) -> Any:
    """Return the connector's class.

    Raises:
        ConfigurationError: No connector has this name, or it cannot be imported.
    """
    entry = entry_of(GROUP, name)
    if entry is None:
        names = connector_names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(names) or 'none'}"
        raise ConfigurationError(f"there is no connector {name!r}: {hint}")
    return load(entry, f"connector {entry.name!r}")


__all__ = ["GROUP", "connector_names", "find"]
