"""Mail: how notices are worded; what there is to tell is decided in notices.py."""

import hashlib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, localtime

from agents.virtual_school.options import NoticeOptions

Send = Callable[[NoticeOptions, EmailMessage], None]


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


__all__ = ["Send", "message"]
