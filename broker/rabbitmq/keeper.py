"""Keeps a private node's processes together and ends them with their owner; what they run is node.py's business.

Run as a script of its own, ``python -I -S keeper.py OWNER LOG FD EPMD... -- SERVER...``, with nothing but the
standard library, so that it starts in milliseconds. Three things end a node: SIGTERM or SIGUSR1 to the keeper (in good
order), the owner's death however it came (in good order), and the keeper's own death (at once, by the kernel). No
process outlives the keeper.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

GRACE: Final = 2.0
"""Seconds that the server has to stop in good order before it is killed.

What it confirmed is on disk, so nothing depends on them; connections and virtual hosts are closed in the first of them.
3.10 then waits another five for a part that holds nothing.
"""
SOON: Final = 0.5
"""The same on SIGUSR1: the owner has seen to it that the newest queue is on disk, which takes a second by itself."""

_PR_SET_PDEATHSIG: Final = 1


def keep(owner: int, log: str, epmd: Sequence[str], server: Sequence[str], inherited: Sequence[int]) -> int:
    """Run *epmd* and *server* until one of them ends, the owner dies, or SIGTERM or SIGUSR1 comes.

    Args:
        owner: Process id that must be our parent.
        log: File to which both processes' own output is appended.
        epmd: Command of the port mapper.
        server: Command of the RabbitMQ server.
        inherited: File descriptors that both processes hold open until they end.

    Returns:
        The server's exit code as :mod:`subprocess` gives it; negative when a signal ended it.

    Source:
        prctl(2) PR_SET_PDEATHSIG; pidfd_open(2), which sees the owner's death with no race and no polling.
    """
    asked_r, asked_w = os.pipe()
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.write(asked_w, b"."))
    soon_r, soon_w = os.pipe()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: os.write(soon_w, b"."))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    owner_alive = os.pidfd_open(owner)
    if os.getppid() != owner:
        return -signal.SIGKILL
    with open(log, "ab") as output:  # noqa: PTH123  # pathlib would double this script's start
        mapper = _run(epmd, output.fileno(), inherited)
        node = _run(server, output.fileno(), inherited)
    try:
        ends = [soon_r, asked_r, owner_alive, os.pidfd_open(mapper.pid), os.pidfd_open(node.pid)]
        ended, _, _ = select.select(ends, [], [])
        node.terminate()
        return node.wait(SOON if ended == [soon_r] else GRACE)
    except subprocess.TimeoutExpired:
        node.kill()
        return node.wait()
    finally:
        mapper.kill()
        mapper.wait()


def _run(command: Sequence[str], output: int, inherited: Sequence[int]) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None)

    def die_with_keeper() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(  # noqa: S603  # the command is node.py's, no shell reads it
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=inherited,
        preexec_fn=die_with_keeper,  # one thread, and nothing that could hold a lock
    )


def main(arguments: Sequence[str]) -> NoReturn:
    """Read the command line that node.py writes, and keep what it names."""
    owner, log, inherited, *commands = arguments
    cut = commands.index("--")
    sys.exit(abs(keep(int(owner), log, commands[:cut], commands[cut + 1 :], [int(inherited)])))


if __name__ == "__main__":
    main(sys.argv[1:])
