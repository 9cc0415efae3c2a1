"""The way to an SMTP server; what there is to tell is its callers' affair."""

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol

import structlog

from broker.protocol.errors import ConfigurationError, ZoneError

log = structlog.get_logger(__name__)

_SECONDS: Final = 10.0


class MailError(ZoneError):
    """The mail server cannot be reached or took no mail; what was to be told is kept."""

    retry = True


class MailServer(Protocol):
    """How a mail server is reached, and from whom to whom mail goes.

    Attributes:
        security: ``starttls``, ``tls`` or ``none``.
        ca_file: Certificates to trust, PEM; None for the system's.
        user: Login; empty where the server asks for none.
    """

    @property
    def host(self) -> str: ...  # noqa: D102 - see the class
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def security(self) -> str: ...  # noqa: D102
    @property
    def ca_file(self) -> Path | None: ...  # noqa: D102
    @property
    def user(self) -> str: ...  # noqa: D102
    @property
    def password(self) -> str: ...  # noqa: D102
    @property
    def sender(self) -> str: ...  # noqa: D102
    @property
    def recipients(self) -> Sequence[str]: ...  # noqa: D102


def send(server: MailServer, mail: EmailMessage) -> None:
    """Hand a mail to the server; it has it when this returns.

    Raises:
        MailError: It cannot be reached, refuses the login, or takes the mail for no recipient. The text has no address.
        ConfigurationError: The certificates to trust cannot be read.
    """
    try:
        with _connect(server) as connection:
            if server.user:
                connection.login(server.user, server.password)
            refused = connection.send_message(mail, server.sender, list(server.recipients))
    except smtplib.SMTPRecipientsRefused as error:
        raise _error(server, "takes mail for no recipient: check recipients") from error
    except smtplib.SMTPAuthenticationError as error:
        raise _error(server, "refuses the login: check user and password") from error
    except smtplib.SMTPResponseException as error:
        raise _error(server, f"answered {error.smtp_code}: check sender, recipients and security") from error
    except (smtplib.SMTPException, OSError) as error:
        raise _error(server, f"did not take it ({type(error).__name__}): check host, port and security") from error
    if refused:
        log.error("mail_recipients_refused", recipients=len(refused), host=server.host)


def _connect(server: MailServer) -> smtplib.SMTP:
    if server.security == "none":
        return smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
    trust = _trust(server)
    if server.security == "tls":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=_SECONDS, context=trust)
    connection = smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
    try:
        connection.starttls(context=trust)
    except BaseException:
        connection.close()
        raise
    return connection


def _trust(server: MailServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(server.ca_file) if server.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file {server.ca_file} cannot be read: name a PEM file") from error


def _error(server: MailServer, what: str) -> MailError:
    return MailError(f"the mail server {server.host}:{server.port} {what}; the mail is kept and sent later")


__all__ = ["MailError", "MailServer", "send"]
