"""A real SMTP server on loopback for tests: keeps mail, may be stopped and started at the same port."""

import email
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from queue import Queue
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class PostOffice:
    """Mail as it arrives; ``user`` and ``password`` are asked for when given."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self.mails: Queue[EmailMessage] = Queue()
        self.recipients: list[list[str]] = []
        self.refuse = ""
        self._login = (user, password)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listen."""
        extra: dict[str, Any] = {}
        if self._login[0]:
            extra = {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **extra)
        self._controller.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.refuse:
            return self.refuse
        assert isinstance(envelope.content, bytes)
        self.recipients.append(list(envelope.rcpt_tos))
        self.mails.put(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        is_right = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=is_right, handled=is_right)

    def all(self) -> list[EmailMessage]:
        """Return the mail that is there, and keep it no longer."""
        return [self.mails.get_nowait() for _ in range(self.mails.qsize())]


@contextmanager
def running_post_office(user: str = "", password: str = "") -> Iterator[PostOffice]:
    """Give a server that is up until the end."""
    office = PostOffice(user, password)
    office.start()
    try:
        yield office
    finally:
        office.stop()
