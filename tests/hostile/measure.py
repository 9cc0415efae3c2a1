"""``python -m tests.hostile.measure [DOOR...]``: a table of code, seconds and MB of each case at each entry point.

Exit code 1 when a case takes over a second, or more memory than allowed.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.hostile.child import Outcome
from tests.hostile.conftest import run
from tests.hostile.doors import DOORS

MEGABYTES: Final = 64
_SECONDS: Final = 1.0
_LARGE: Final = 16
"""MiB; what is larger than twice what the zone reads is kept whole all the same, so that nobody loses it."""


def allowed_megabytes(outcome: Outcome) -> float:
    """Return by how many MiB the process may grow: sealing and storing takes three copies of a large document."""
    return MEGABYTES if outcome.size < _LARGE else max(MEGABYTES, 3.5 * outcome.size)


def _line(door: str, outcome: Outcome) -> tuple[str, bool]:
    over = outcome.seconds > _SECONDS or outcome.megabytes > allowed_megabytes(outcome)
    facts = f"{outcome.seconds:8.3f} s {outcome.megabytes:8.1f} MB  {outcome.size:8.2f} MB long"
    return f"{door:13} {outcome.case:62} {outcome.code[:22]:22} {facts}{'  OVER' if over else ''}", over


def main(doors: list[str]) -> int:
    """Print the table; return the exit code."""
    over = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, door in enumerate(doors or DOORS):
            for outcome in run(door, Path(folder) / str(number)).values():
                line, is_over = _line(door, outcome)
                over += is_over
                sys.stdout.write(line + "\n")
    sys.stdout.write(f"{over} over {_SECONDS:g} s, or the memory allowed\n")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
