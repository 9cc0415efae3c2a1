"""What shows that something was opened: a watched folder, a listening port, and Python's own audit events."""

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final, Self

from tests.hostile.corpus import SECRET, Bait

_IN_ACCESS: Final = 0x1
_IN_OPEN: Final = 0x20
_EVENT: Final = struct.Struct("iIII")
_CONNECTING: Final = frozenset({"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.exec"})


class Traps:
    """Files and a port that nobody may touch. The kernel sees libxml2's own opens too, which Python does not."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "secret.txt").write_text(SECRET)
        (folder / "evil.dtd").write_text(f"<!ENTITY % e \"<!ENTITY &#37; s SYSTEM 'file://{folder}/secret.txt'>\">")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._watch = self._libc.inotify_init1(os.O_NONBLOCK)
        if self._watch < 0 or self._libc.inotify_add_watch(self._watch, os.fsencode(folder), _IN_OPEN | _IN_ACCESS) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)  # a connection is made without being accepted, and waits to be found
        self.bait = Bait(folder, self._listening.getsockname()[1])

    def sprung(self) -> list[str]:
        """Return what was touched since the last call: names of files, and "port"."""
        return self._files() + self._connections()

    def _files(self) -> list[str]:
        try:
            data = os.read(self._watch, 65_536)
        except BlockingIOError:
            return []
        found: list[str] = []
        while data:
            _, _, _, length = _EVENT.unpack_from(data)
            found.append(data[_EVENT.size : _EVENT.size + length].rstrip(b"\0").decode())
            data = data[_EVENT.size + length :]
        return sorted(set(found))

    def _connections(self) -> list[str]:
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return []
        connection.close()
        return ["port"]

    def close(self) -> None:
        """Watch no longer."""
        self._listening.close()
        os.close(self._watch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PythonEvents:
    """What Python itself opens and connects to, once told to listen; audit hooks cannot be taken away."""

    def __init__(self, allowed: tuple[Path, ...]) -> None:
        self._allowed = tuple(str(folder) for folder in allowed)
        self._found: list[str] = []
        self._on = False
        sys.addaudithook(self._hear)

    def start(self) -> None:
        """Listen from now on."""
        self._on = True

    def heard(self) -> list[str]:
        """Return what was opened outside of the allowed folders, and connected to, since the last call."""
        found, self._found = self._found, []
        return found

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            if not isinstance(arguments[0], int) and not str(arguments[0]).startswith(self._allowed):
                self._found.append(f"open {arguments[0]}")
        elif event in _CONNECTING:
            self._found.append(event)
