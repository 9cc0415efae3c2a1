"""The command line as people call it, each call a process of its own that need not import everything first."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_SECONDS: Final = 60.0
_READY: Final = """
import json, os, sys
from broker import cli

for command in cli.entry_points(group="sifzone.commands"):
    command.load()
for line in sys.stdin:
    call = json.loads(line)
    if os.fork() == 0:
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    sys.exit()
os.environ.clear()
os.environ.update(call["environment"])
os.chdir(call["folder"])
for number, name in enumerate((os.devnull, call["output"], call["errors"])):
    file = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY)
    os.dup2(file, number)
    os.close(file)
sys.stdin = open(0, closefd=False)
sys.argv = call["words"]
cli.main()
"""
"""A process that has imported the command line; it turns a copy of itself into each command that it is asked for."""


class _Ready:
    """The process from which the commands are made; it ends when this one does."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _READY],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._end)

    def call(self, words: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        with self._one_at_a_time, tempfile.TemporaryDirectory() as folder:
            output, errors = Path(folder, "output"), Path(folder, "errors")
            output.touch()
            errors.touch()
            call = {
                "words": list(words),
                "environment": dict(environment),
                "folder": str(Path.cwd()),
                "output": str(output),
                "errors": str(errors),
            }
            code = self._ask(json.dumps(call))
            return subprocess.CompletedProcess(list(words), code, output.read_text(), errors.read_text())

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], _SECONDS)[0]:
            os.killpg(self._process.pid, signal.SIGKILL)  # the command, too; whoever calls another is told, as it fails
            raise TimeoutError("the command did not end")
        return int(self._process.stdout.readline())

    def _end(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


_ready: Final = cache(_Ready)


def command_line(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call ``sifzone`` with *words* and return what it printed and how it ended.

    Args:
        environment: What differs from this process's own; of the zone's settings nothing is taken from that.
    """
    ours = {**os.environ, "SIFZONE_RABBITMQ": "", "SIFZONE_DATABASE": "", "SIFZONE_ZONE": "", **environment}
    return _ready().call(["sifzone", *map(str, words)], ours)


__all__ = ["command_line"]
