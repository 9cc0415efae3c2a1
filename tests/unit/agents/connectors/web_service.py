"""A real web service on loopback for tests: answers as it is told, and remembers what it was asked."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str = ""


@dataclass(frozen=True)
class Answer:
    """What it is answered with; ``body`` is JSON unless it is bytes."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def _nowhere(_asked: Asked) -> Answer:
    return Answer(status=404)


class WebServer:
    """Answers each path with its function; 404 where there is none."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Callable[[Asked], Answer]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                asked = Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers), body)
                server.asked.append(asked)
                answer = server.answers.get(parts.path, _nowhere)(asked)
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.content)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(ConnectionError):  # who has read enough leaves
                    self.wfile.write(answer.content)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def running_web_server(certificate: Path | None = None) -> Iterator[WebServer]:
    """Give a server that is up until the end."""
    server = WebServer(certificate)
    server.start()
    try:
        yield server
    finally:
        server.stop()
