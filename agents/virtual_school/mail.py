"""Mail: how notices are worded, and the way to an SMTP server; what there is to tell is decided in notices.py."""

import hashlib
import smtplib
import ssl
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from typing import Final

import structlog

from agents.virtual_school.options import NoticeOptions
from broker.protocol.errors import ConfigurationError, ZoneError

log = structlog.get_logger(__name__)

_SECONDS: Final = 10.0

Send = Callable[[NoticeOptions, EmailMessage], None]


class MailError(ZoneError):
    """The mail server cannot be reached or took no mail; what was to be told is kept."""

    retry = True


def message(options: NoticeOptions, lines: Sequence[tuple[str, str, str]]) -> EmailMessage:
    """Return a mail that tells some notices, each a key, a sentence and a link.

    The same notices make the same Message-ID, so that a mail that is sent twice is known as one.

    Source:
        RFC 5322; RFC 3834 for Auto-Submitted.
    """
    made = EmailMessage()
    made["From"] = options.sender
    made["To"] = ", ".join(options.recipients)
    made["Subject"] = f"Virtual school: {len(lines)} notice{'s' if len(lines) > 1 else ''}"
    made["Date"] = format_datetime(localtime())
    digest = hashlib.sha256("\n".join(key for key, *_ in lines).encode()).hexdigest()[:32]
    made["Message-ID"] = f"<{digest}@{options.sender.partition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content("\n\n".join(f"{sentence}\n{link}" for _, sentence, link in lines) + "\n")
    return made


def send(options: NoticeOptions, mail: EmailMessage) -> None:
    """Hand a mail to the server; it has it when this returns.

    Raises:
        MailError: It cannot be reached, refuses the login, or takes the mail for no recipient. The text has no address.
        ConfigurationError: The certificates to trust cannot be read.
    """
    try:
        with _connect(options) as server:
            if options.user:
                server.login(options.user, options.password)
            refused = server.send_message(mail, options.sender, list(options.recipients))
    except smtplib.SMTPRecipientsRefused as error:
        raise _error(options, "takes mail for no recipient: check recipients") from error
    except smtplib.SMTPAuthenticationError as error:
        raise _error(options, "refuses the login: check user and password") from error
    except smtplib.SMTPResponseException as error:
        raise _error(options, f"answered {error.smtp_code}: check sender, recipients and security") from error
    except (smtplib.SMTPException, OSError) as error:
        raise _error(options, f"did not take it ({type(error).__name__}): check host, port and security") from error
    if refused:
        log.error("notice_recipients_refused", recipients=len(refused), host=options.host)


def _connect(options: NoticeOptions) -> smtplib.SMTP:
    if options.security == "none":
        return smtplib.SMTP(options.host, options.port, timeout=_SECONDS)
    trust = _trust(options)
    if options.security == "tls":
        return smtplib.SMTP_SSL(options.host, options.port, timeout=_SECONDS, context=trust)
    server = smtplib.SMTP(options.host, options.port, timeout=_SECONDS)
    try:
        server.starttls(context=trust)
    except BaseException:
        server.close()
        raise
    return server


def _trust(options: NoticeOptions) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(options.ca_file) if options.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file {options.ca_file} cannot be read: name a PEM file") from error


def _error(options: NoticeOptions, what: str) -> MailError:
    return MailError(f"the mail server {options.host}:{options.port} {what}; the notices are kept and sent later")


__all__ = ["MailError", "Send", "message", "send"]
