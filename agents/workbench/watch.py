"""Runs something again whenever a file that it depends on changes, until Ctrl-C; what it does is its own affair."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from watchfiles import Change, watch

_SIDE_FILES: Final = frozenset({".csv", ".json", ".toml", ".txt", ".xlsx", ".xml", ".zip"})
_WAKE: Final = 250
"""Milliseconds after which it is looked whether there was a change; the first run waits as long."""


def run_again(run: Callable[[], object], files: Iterable[Path], folders: Iterable[Path], console: Console) -> None:
    """Call *run* on a clean screen, and again after each change, also one that comes meanwhile; return on Ctrl-C.

    Args:
        run: What is to be done; it explains its own errors.
        files: Files that count, whatever they are called.
        folders: Folders in which mappings, code tables, lookup files and samples count; not what is in their folders.
        console: Where the screen is.
    """
    wanted = frozenset(path.resolve() for path in files)
    around = frozenset(path.resolve() for path in folders if path.is_dir())
    places = {path.parent for path in wanted if path.parent.is_dir()} | around

    def counts(_change: Change, name: str) -> bool:
        path = Path(name)
        if path.name.startswith("."):
            return False  # what is being written atomically, and what editors keep aside
        return path in wanted or (path.suffix in _SIDE_FILES and path.parent in around)

    first = True
    changes = watch(
        *sorted(places),
        watch_filter=counts,
        recursive=False,
        raise_interrupt=True,
        rust_timeout=_WAKE,
        yield_on_timeout=True,
    )
    try:
        # The first turn comes without a change, when it is already being watched, so that none is overlooked.
        for changed in changes:
            if changed or first:
                first = False
                console.clear()
                run()
                console.print("Watching for changes; Ctrl-C ends.", style="dim")
    except KeyboardInterrupt:
        return


__all__ = ["run_again"]
