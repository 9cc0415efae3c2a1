"""A real SMTP server on loopback for tests: keeps mail, may be stopped and started at the same port."""

import email
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from queue import Queue
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class PostOffice:
    """Mail as it arrives; ``user`` and ``password`` are asked for when given."""

    def __init__(
        self, user: str = "", password: str = "", certificate: Path | None = None, *, implicit: bool = False
    ) -> None:
        self.mails: Queue[EmailMessage] = Queue()
        self.recipients: list[list[str]] = []
        self.refuse = ""
        self._login = (user, password)
        self._tls: ssl.SSLContext | None = None
        self._implicit = implicit
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listen."""
        extra: dict[str, Any] = {}
        if self._login[0]:
            extra = {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False}
        if self._tls is not None:
            extra |= (
                {"ssl_context": self._tls} if self._implicit else {"tls_context": self._tls, "require_starttls": True}
            )
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


def own_certificate(folder: Path) -> Path:
    """Write a certificate of 127.0.0.1 and its key to one file; it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post office")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "post.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return path


@contextmanager
def running_post_office(
    user: str = "", password: str = "", certificate: Path | None = None, *, implicit: bool = False
) -> Iterator[PostOffice]:
    """Give a server that is up until the end."""
    office = PostOffice(user, password, certificate, implicit=implicit)
    office.start()
    try:
        yield office
    finally:
        office.stop()
