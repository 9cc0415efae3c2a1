"""Shows on a terminal how far a file is read, and nothing where nobody looks; what is read is others' work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def shown_progress() -> Iterator[Callable[[Path, int], None]]:
    """Give a callback that is told the file being read and how many of its records are done."""
    if not sys.stderr.isatty():
        yield lambda _path, _records: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} records"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[Path, TaskID] = {}

        def show(path: Path, records: int) -> None:
            for old in [known for known in tasks if known != path]:
                bars.remove_task(tasks.pop(old))
            if path not in tasks:
                tasks[path] = bars.add_task(path.name, total=None)
            bars.update(tasks[path], completed=records)

        yield show


__all__ = ["shown_progress"]
