"""`python -m tests.bench.export_diff`: what an agent's scan of a large export costs when little or nothing has changed.

A made-up report of pupils is read for the first time, then with a blank line more at its end and another time, so that
the file as a whole differs and no record does, then with one row in a hundred changed. Each reading is a process of its
own, as of an agent that is started for it; what it spools is dropped, as if the zone had confirmed it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from agents.files import FileLedger
from agents.logs import configure_logging
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from schemas import load
from tests.bench.mappings import write_pupils

_AGENT: Final = """id = "mis-bench"
settle = "0s"
[source]
connector = "csv"
path = "pupils.csv"
mapping = ["csv/learner"]
complete = true
"""
_CHANGED_EVERY: Final = 100
_KIB: Final = 1024


def _lengthen(path: Path) -> None:
    with path.open("a") as file:
        file.write("\n")


def _change(path: Path) -> None:
    """Give every hundredth pupil another street; line by line, since a process begins with the peak of its parent."""
    new = path.with_suffix(".new")
    with path.open() as old, new.open("w") as file:
        for number, line in enumerate(old):
            file.write(line.replace("Pellworth Rise", "Marrow Lane") if number % _CHANGED_EVERY == 1 else line)
    new.replace(path)


def _as_it_is(_path: Path) -> None:
    return


_READINGS: Final[dict[str, Callable[[Path], None]]] = {
    "first reading": _as_it_is,
    "unchanged, file differs": _lengthen,
    "1 % of rows changed": _change,
    "unchanged once more": _lengthen,
}


def _read(folder: Path) -> dict[str, float]:
    """Scan the export as an agent does; return what it took and what came of it."""
    settings = read_settings(folder / "agent.toml")
    parts = make_parts(settings)
    with Store(settings.state_folder) as store:
        spool = Spool(store, settings.id, load())
        scanner = Scanner(settings, parts, store, spool, threading.Event())
        begun, busy = time.perf_counter(), time.process_time()
        scanner.scan(parts.sources[0])
        seconds, busy = time.perf_counter() - begun, time.process_time() - busy
        (status,) = FileLedger(store).all()
        with store.transaction() as db:
            db.execute("DELETE FROM outbox")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB
    return {"seconds": seconds, "cpu_seconds": busy, "peak_mib": peak, "records": status.records,
            "objects": status.objects, "events": status.events}  # fmt: skip


def measure(rows: int) -> dict[str, dict[str, float]]:
    """Return, for each reading, seconds, seconds of the processor, peak memory (MiB), records, objects and events."""
    found: dict[str, dict[str, float]] = {}
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="sifzone-bench-") as name, console.status("") as shown:
        folder = Path(name)
        (folder / "agent.toml").write_text(_AGENT)
        write_pupils(folder / "pupils.csv", rows)
        for reading, prepare in _READINGS.items():
            shown.update(f"{rows:,} rows: {reading}")
            prepare(folder / "pupils.csv")
            command = [sys.executable, "-m", "tests.bench.export_diff", "--read", name]
            found[reading] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def main() -> None:
    """Measure, and print a table or JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100_000, help="rows of the export (100,000)")
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.read is not None:
        configure_logging()
        sys.stdout.write(json.dumps(_read(given.read)))
        return
    found = measure(given.rows)
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    headings = ("Reading", "Seconds", "Processor", "Peak MiB", "Records", "Objects", "Events")
    table = Table(*headings, title=f"An export of {given.rows:,} pupils")
    for reading, took in found.items():
        counts = (f"{took[name]:,.0f}" for name in ("peak_mib", "records", "objects", "events"))
        table.add_row(reading, f"{took['seconds']:.2f}", f"{took['cpu_seconds']:.2f}", *counts)
    Console().print(table)


if __name__ == "__main__":
    main()
