"""Finds fetchers by the scheme of their URLs; each is a module here or an entry point ``sifzone.fetchers``."""

from typing import Any, Final

from agents.entries import entry_of, load, names_of
from broker.protocol.errors import ConfigurationError

GROUP: Final = "sifzone.fetchers"


def fetcher_names() -> tuple[str, ...]:
    """Return the schemes of all fetchers that are installed, sorted."""
    return names_of(GROUP)


def find(scheme: str) -> Any:
    """Return the fetcher's class.

    Raises:
        ConfigurationError: No fetcher has this scheme, or it cannot be imported.
    """
    entry = entry_of(GROUP, scheme)
    if entry is None:
        names = ", ".join(f"{name}://" for name in fetcher_names())
        raise ConfigurationError(
            f"path: nothing is installed that fetches from {scheme}://: use {names or 'a folder of this machine'}"
        )
    return load(entry, f"path: what fetches from {entry.name}://")


__all__ = ["GROUP", "fetcher_names", "find"]
