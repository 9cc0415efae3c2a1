"""One process that takes the whole corpus to one entry point and tells, case by case, what came of it.

``python -m tests.hostile.child DOOR FOLDER`` prints a line of JSON for each case.
"""

import ctypes
import gc
import json
import logging
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from tests.hostile.corpus import CORPUS, FILE_CORPUS, MEBI, SECRET, Case
from tests.hostile.doors import CASE_FILE, DOORS, FILE_DOORS, Door
from tests.hostile.traps import PythonEvents, Traps

_LIBC: Final = ctypes.CDLL(None)
_PLAIN: Final = Case("a plain one", lambda form, _: form.fill(), "")
_INVALID: Final = Case("an invalid one", lambda form, _: form.fill(inside=b"<x/>"), "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case.

    Attributes:
        code: What was said, as a code.
        text: The words.
        seconds: How long it took.
        megabytes: By how much the process grew at most, beside the document itself where it came whole; in MiB.
        touched: Files and ports that were opened, and should not have been.
        told: Whether the words repeat what the document holds.
        size: Of the document, in MiB.
    """

    case: str
    code: str
    text: str
    seconds: float
    megabytes: float
    touched: tuple[str, ...]
    told: bool
    size: float = 0.0


def _memory(name: str) -> int:
    """Return a figure of /proc/self/status, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise KeyError(name)


def _settle() -> int:
    """Give back what is free, forget the peak, and return the size in KiB."""
    gc.collect()
    _LIBC.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def run(case: Case, body: bytes, door: Door, traps: Traps, python: PythonEvents) -> Outcome:
    """Take one case to the door."""
    before = _settle()
    traps.sprung()
    python.heard()
    started = time.perf_counter()
    answer = door(case, body)
    seconds = time.perf_counter() - started
    touched = (*traps.sprung(), *python.heard())
    grown = max(0, _memory("VmHWM") - before) / 1024
    return Outcome(case.name, answer.code, answer.text, seconds, grown, touched, SECRET in answer.text)


def main(name: str, folder: Path) -> None:
    """Print what comes of each case."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    folder.mkdir()
    work = folder / "work"
    work.mkdir()
    file = work / CASE_FILE
    with Traps(folder / "bait") as traps, DOORS[name](work) as door:

        def take(case: Case) -> tuple[int, bytes]:
            made = (Case.transfer_file if name == "ctf" else Case.message)(case, traps.bait)
            if name not in FILE_DOORS:
                return len(made), made
            file.write_bytes(made)
            return len(made), b""

        python = PythonEvents((work, Path("/proc/self")))
        door(_PLAIN, take(_PLAIN)[1])  # what is read once, schemas above all, is read now
        door(_INVALID, take(_INVALID)[1])
        gc.collect()
        gc.freeze()  # what is there by now stays, and need not be looked at again
        python.start()
        for case in CORPUS + (FILE_CORPUS if name in FILE_DOORS else ()):
            size, body = take(case)
            outcome = run(case, body, door, traps, python)
            sys.stdout.write(json.dumps(asdict(replace(outcome, size=size / MEBI))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
