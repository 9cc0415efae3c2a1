"""Finds fetchers by the scheme of their URLs; each is a module here or an entry point ``sifzone.fetchers``."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from broker.protocol.errors import ConfigurationError

GROUP: Final = "sifzone.fetchers"


def fetcher_names() -> tuple[str, ...]:
    """Return the schemes of all fetchers that are installed, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def find(scheme: str) -> Any:
    """Return the fetcher's class.

    Raises:
        ConfigurationError: No fetcher has this scheme, or it cannot be imported.
    """
    entry = next(iter(entry_points(group=GROUP, name=scheme)), None)
    if entry is None:
        names = ", ".join(f"{name}://" for name in fetcher_names())
        raise ConfigurationError(
            f"path: nothing is installed that fetches from {scheme}://: use {names or 'a folder of this machine'}"
        )
    return _load(entry)


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"path: what fetches from {entry.name}:// cannot be loaded from {entry.value}: install its package again"
        ) from error


__all__ = ["GROUP", "fetcher_names", "find"]
