"""A network between a client and RabbitMQ that a test can break: cut, frozen, deaf, or closed."""

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards TCP connections from a port of its own on loopback to *target* on loopback."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self._tls = tls
        self._flowing = threading.Event()
        self._flowing.set()
        self._deaf = False
        self._hidden = b""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection; new ones work."""
        pairs, self._pairs = self._pairs, []
        for one in (side for pair in pairs for side in pair):
            _close(one)

    def freeze(self) -> None:
        """Forward nothing more, in either direction, and say nothing: a black hole, for new connections too."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward again."""
        self._flowing.set()

    def swallow(self, on: bool) -> None:
        """Drop what clients send, or stop doing so; what RabbitMQ sends still arrives."""
        self._deaf = on

    def hide(self, frame: bytes) -> None:
        """Drop *frame* wherever RabbitMQ sends it; none when empty."""
        self._hidden = frame

    def refuse(self) -> None:
        """Stop listening: new connections are refused."""
        _close(self._listener)

    def listen(self) -> None:
        """Listen again at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.cut()
        self.thaw()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            _close(client)
            return
        self._pairs.append((client, server))
        threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):  # one of the sides was closed
            while data := source.recv(65_536):
                self._flowing.wait()
                if from_client:
                    target.sendall(b"" if self._deaf else data)
                else:
                    target.sendall(data.replace(self._hidden, b"") if self._hidden else data)
        _close(source)
        _close(target)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # not connected any more
        one.shutdown(socket.SHUT_RDWR)
    one.close()
