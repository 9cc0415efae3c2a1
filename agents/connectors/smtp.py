"""Mails people when tables have changed; which object fills which column is the outward mappings'.

The mail says which tables changed and how many rows they have, nothing of anybody. With ``attach = true`` the tables
themselves go with it, as CSV: then the connection must be encrypted, but the mail is not, so that every server on its
way, and whoever reads the mailbox, has them. In a cell that a spreadsheet would run as a formula a ``'`` is put first.

The same content is told once, also after a restart: a mail that was sent just before the agent was killed may come
again, with the same Message-ID. Changes that follow within ``pause`` are told together, after it.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agents.connectors.contract import LOOPBACK, Desk, TargetError, Written, refused
from agents.connectors.sets import csv_text, guarded
from agents.credentials import AgentFile, Secret
from agents.mail import MailError, send
from broker.protocol.durations import Duration
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_MAX_ATTACHED: Final = 10 << 20
_AT: Final = "at"
_SENDING: Final = "sending"
_TABLE: Final = "table "

MailAddress = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$", max_length=254)
]


class SmtpOptions(BaseModel):
    """Options of ``connector = "smtp"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(pattern=r"^[A-Za-z0-9.:-]+$", description="The mail server.")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Its port; 587, with tls 465, with none 25 when left out."
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is encrypted; none only to this machine."
    )
    ca_file: AgentFile | None = Field(
        default=None, description="Certificates to trust, PEM; the system's when left out."
    )
    user: str = Field(default="", description="Login, where the server asks for one.")
    password: Secret | None = Field(default=None, description='Where the password is: "env:NAME" or "file:PATH".')
    sender: MailAddress = Field(alias="from", description="Address that the mail comes from.")
    recipients: tuple[MailAddress, ...] = Field(
        alias="to", min_length=1, max_length=50, description="Addresses that it goes to."
    )
    subject: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]+$", max_length=150)] = Field(
        default="Data has changed", description="What the mail is headed with."
    )
    attach: bool = Field(default=False, description="Attach the tables, with all that they have of people.")
    pause: Duration = Field(default=timedelta(hours=1), description="Shortest time between two mails.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError('the mail would cross the network in clear: set security = "starttls" or "tls"')
        if self.security == "none" and self.attach:
            raise ValueError('attach needs an encrypted connection: set security = "starttls" or "tls"')
        if bool(self.user) != (self.password is not None):
            raise ValueError('user and password belong together: add password = "env:NAME", or leave both out')
        return self


@dataclass(frozen=True, slots=True)
class _Table:
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, str]]

    @property
    def digest(self) -> str:
        values = [[row[column] for column in self.columns] for row in self.rows]
        return hashlib.sha256(json.dumps([self.columns, values]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    security: str
    ca_file: Path | None
    user: str
    password: str = field(repr=False)
    sender: str
    recipients: tuple[str, ...]


class SmtpTarget:
    """Mail to people."""

    Options: ClassVar[type[BaseModel]] = SmtpOptions

    def __init__(
        self,
        path: Path | None,
        mappings: Sequence[OutwardMapping],
        options: BaseModel,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the mappings, one or more for each table.

        Raises:
            ConfigurationError: A folder, or no mapping.
        """
        if path is not None or not mappings:
            raise ConfigurationError(
                'target: connector "smtp" needs mapping = [...], host, from and to: leave out path'
            )
        if not isinstance(options, SmtpOptions):
            raise TypeError(f"options of smtp are needed, not {type(options).__name__}")
        self._options, self._mappings, self._now = options, mappings, now
        self._desk: Desk | None = None
        self._due_at: datetime | None = None

    def attach(self, desk: Desk) -> None:
        """Take where it remembers what it has told."""
        self._desk = desk

    def is_due(self) -> bool:
        """Tell whether the pause is over after which something is to be told."""
        return self._due_at is not None and self._now() >= self._due_at

    def write(self, objects: Objects) -> Written:
        """Mail which tables have changed since the last mail, unless that was a moment ago.

        Raises:
            TargetError: The mail server cannot be reached, or did not take the mail; it is tried again.
            ConfigurationError: It has nowhere to remember what it has told.

        Source:
            RFC 5322; RFC 3834 for Auto-Submitted.
        """
        if self._desk is None:
            raise ConfigurationError('connector "smtp" is run by an agent alone: sifzone agent run FILE')
        left_out: Counter[str] = Counter()
        tables = self._tables(objects, left_out)
        counts = tuple((name, len(table.rows)) for name, table in tables.items())
        is_told = self._tell(self._desk, tables)
        return Written(is_told, counts, tuple(sorted(left_out.items())))

    def _tell(self, desk: Desk, tables: Mapping[str, _Table]) -> bool:
        known, now = desk.words(), self._now()
        new = {name: f"{table.digest} {len(table.rows)}" for name, table in tables.items()}
        told = {name: known.get(_TABLE + name) for name in tables}
        # A table that never had rows is no news.
        changed = [name for name, word in new.items() if told[name] != word and (told[name] or tables[name].rows)]
        self._due_at = _end_of_pause(known.get(_AT, ""), self._options.pause, now) if changed else None
        if not changed or self._due_at is not None:
            return False
        message_id = _message_id(known.get(_SENDING, ""), " ".join(new.values()), self._options.sender)
        desk.keep({_SENDING: message_id})
        mail = self._mail(message_id.partition(" ")[2], {name: tables[name] for name in changed}, known)
        try:
            send(_server(self._options), mail)
        except (MailError, ConfigurationError) as error:
            raise TargetError(str(error)) from error
        desk.keep({_TABLE + name: new[name] for name in changed} | {_AT: now.isoformat(), _SENDING: None})
        return True

    def _tables(self, objects: Objects, left_out: Counter[str]) -> dict[str, _Table]:
        """Return the tables in the order of the mappings; of several rows with one key, the first counts."""
        columns: dict[str, tuple[str, ...]] = {}
        rows: dict[str, dict[str, Mapping[str, str]]] = {}
        for mapping in self._mappings:
            made = mapping.rows(objects)
            left_out.update(refused(mapping.table, made.problems))
            columns[mapping.table] = tuple(dict.fromkeys([*columns.get(mapping.table, ()), *mapping.columns]))
            table = rows.setdefault(mapping.table, {})
            for row in made.rows:
                table.setdefault(row[mapping.key], row)
        return {
            name: _Table(columns[name], [_whole(table[key], columns[name]) for key in sorted(table)])
            for name, table in rows.items()
        }

    def _mail(self, message_id: str, changed: Mapping[str, _Table], known: Mapping[str, str]) -> EmailMessage:
        options = self._options
        mail = EmailMessage()
        mail["From"], mail["To"] = options.sender, ", ".join(options.recipients)
        mail["Subject"] = options.subject
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = message_id
        mail["Auto-Submitted"] = "auto-generated"
        files = {name: _csv(table) for name, table in changed.items()} if options.attach else {}
        is_too_large = sum(map(len, files.values())) > _MAX_ATTACHED
        lines = [_line(name, table, known.get(_TABLE + name, "")) for name, table in changed.items()]
        if is_too_large:
            lines.append(f"\nThe tables are larger than {_MAX_ATTACHED >> 20} MB, so that they are not attached.")
        mail.set_content("These tables have changed:\n\n" + "\n".join(lines) + "\n")
        for name, content in files.items() if not is_too_large else ():
            file = f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:60]}.csv"
            mail.add_attachment(content, maintype="text", subtype="csv", filename=file)
        return mail


def _whole(row: Mapping[str, str], columns: Sequence[str]) -> Mapping[str, str]:
    return {column: row.get(column, "") for column in columns}


def _end_of_pause(last: str, pause: timedelta, now: datetime) -> datetime | None:
    """Return when the next mail may be sent; None when it may be now."""
    if not last:
        return None
    sent = datetime.fromisoformat(last)
    return sent + pause if sent <= now < sent + pause else None  # a clock that was set back makes no pause


def _message_id(known: str, content: str, sender: str) -> str:
    """Return a mark of the content and a Message-ID, the same as before when a mail with this content was begun.

    The id is drawn: one that is made from the content would tell who knows some of it the rest.
    """
    mark = hashlib.sha256(content.encode()).hexdigest()
    return known if known.startswith(f"{mark} ") else f"{mark} <{uuid4().hex}@{sender.partition('@')[2]}>"


def _line(name: str, table: _Table, before: str) -> str:
    number = len(table.rows)
    words = " ".join(name.split())[:60]
    was = f" ({before.partition(' ')[2]} before)" if before else ""
    return f"- {words}: {number} row{'' if number == 1 else 's'}{was}"


def _csv(table: _Table) -> bytes:
    cells = ([guarded(row[column]) for column in table.columns] for row in table.rows)
    return csv_text(table.columns, cells).encode("utf-8-sig")  # Excel takes plain UTF-8 for cp1252


def _server(options: SmtpOptions) -> _Server:
    """Return how the server is reached.

    Raises:
        TargetError: The password cannot be read.
    """
    return _Server(
        options.host,
        options.port or _PORTS[options.security],
        options.security,
        options.ca_file,
        options.user,
        "" if options.password is None else options.password.reveal(TargetError),
        options.sender,
        options.recipients,
    )


__all__ = ["SmtpOptions", "SmtpTarget"]
