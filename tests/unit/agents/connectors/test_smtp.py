"""Mail about tables that have changed: once, over TLS, and nothing of anybody unless that is asked for."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from pydantic import ValidationError

from agents.connectors.contract import PublishingTarget, TargetError
from agents.connectors.smtp import SmtpOptions, SmtpTarget
from agents.desk import StoreDesk
from agents.settings import explain
from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import Action
from broker.protocol.errors import ConfigurationError
from mappings import OutwardMapping
from tests.unit.agents.connectors.outward_tables import Nothing, Table, of, users
from tests.unit.agents.virtual_school.post import PostOffice, own_certificate, running_post_office

ADA, EVE = ("u1", "Ada", "01632 960101"), ("u2", "Eve", "")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def office() -> Iterator[PostOffice]:
    """A mail server on loopback."""
    with running_post_office() as made:
        yield made


@pytest.fixture
def desk(store: Store, spool: Spool) -> StoreDesk:
    return StoreDesk(store, spool, "smtp")


def options(office: PostOffice, folder: Path | None = None, **more: object) -> SmtpOptions:
    values = {
        "host": "127.0.0.1",
        "port": office.port,
        "security": "none",
        "from": "zone@example.org",
        "to": ["office@example.org", "head@example.org"],
        **more,
    }
    return SmtpOptions.model_validate(values, context={"folder": folder or Path()})


def target(
    desk: StoreDesk, made: SmtpOptions, mappings: list[OutwardMapping] | None = None, now: datetime = NOON
) -> SmtpTarget:
    """Return a target as it is after a start of the agent."""
    new = SmtpTarget(None, mappings or users(ADA, EVE), made, lambda: now)
    new.attach(desk)
    return new


def body(mail: EmailMessage) -> str:
    part = mail.get_body()
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_mail_says_which_tables_changed_and_nothing_of_anybody(office: PostOffice, desk: StoreDesk) -> None:
    mappings = [*users(ADA, EVE), *of(Table("classes", ("sourcedId",), []))]

    written = target(desk, options(office, subject="Zoë's list"), mappings).write(Nothing())

    (mail,) = office.all()
    assert (written.changed, written.counts) == (True, (("users", 2), ("classes", 0)))
    assert body(mail) == "These tables have changed:\n\n- users: 2 rows\n"
    assert (mail["Subject"], mail["From"], mail["Auto-Submitted"]) == (
        "Zoë's list",
        "zone@example.org",
        "auto-generated",
    )
    assert office.recipients == [["office@example.org", "head@example.org"]]
    assert "Ada" not in mail.as_string()
    assert list(mail.iter_attachments()) == []


def test_the_same_content_is_told_once_also_after_a_restart(office: PostOffice, desk: StoreDesk) -> None:
    for now in (NOON, NOON, NOON + timedelta(days=1)):
        target(desk, options(office), now=now).write(Nothing())
    assert len(office.all()) == 1

    written = target(desk, options(office), users(ADA), NOON + timedelta(days=1)).write(Nothing())

    assert written.changed
    assert "- users: 1 row (2 before)\n" in body(office.all()[0])
    assert target(desk, options(office), users(), NOON + timedelta(days=2)).write(Nothing()).changed
    assert "- users: 0 rows (1 before)\n" in body(office.all()[0])


def test_changes_within_the_pause_are_told_together_after_it(office: PostOffice, desk: StoreDesk) -> None:
    target(desk, options(office)).write(Nothing())
    times = [NOON + timedelta(minutes=59), NOON + timedelta(minutes=60)]
    clock = iter([times[0], times[0], times[1], times[1], times[1]])
    again = SmtpTarget(None, users(ADA), options(office), lambda: next(clock))
    again.attach(desk)
    assert isinstance(again, PublishingTarget)

    assert not again.write(Nothing()).changed
    assert not again.is_due()
    assert again.is_due()
    assert again.write(Nothing()).changed
    assert not again.is_due()
    assert len(office.all()) == 2


def test_what_changed_and_changed_back_within_the_pause_is_not_told(office: PostOffice, desk: StoreDesk) -> None:
    target(desk, options(office)).write(Nothing())
    target(desk, options(office), users(ADA), NOON + timedelta(minutes=1)).write(Nothing())

    assert not target(desk, options(office), now=NOON + timedelta(hours=2)).write(Nothing()).changed
    assert len(office.all()) == 1


class Killed(Exception):
    """The process ends."""


class DyingDesk(StoreDesk):
    """The agent is killed after a mail was sent, before that is noted."""

    def keep(self, words: Mapping[str, str | None], events: Sequence[tuple[Action, etree._Element]] = ()) -> None:
        if "at" in words:
            raise Killed
        super().keep(words, events)


def test_a_mail_that_is_not_taken_is_tried_again_with_the_same_id(
    office: PostOffice, desk: StoreDesk, store: Store, spool: Spool
) -> None:
    dying = DyingDesk(store, spool, "smtp")
    with pytest.raises(Killed):
        target(dying, options(office)).write(Nothing())
    office.refuse = "451 not now, Ada"
    with pytest.raises(TargetError, match="answered 451") as caught:
        target(desk, options(office)).write(Nothing())
    office.refuse = ""
    target(desk, options(office)).write(Nothing())

    sent = [mail["Message-ID"] for mail in office.all()]
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert "Ada" not in str(caught.value)
    assert not target(desk, options(office)).write(Nothing()).changed


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tables_are_attached_over_tls_alone_with_no_cell_that_a_spreadsheet_would_run(
    tmp_path: Path, desk: StoreDesk, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "tin whistle")
    certificate = own_certificate(tmp_path)
    rows = users(("u1", "=cmd|'/c calc'!A1", "+44 1632 960101"), ("u2", "@Zoë", "-"), ("u3", "\t=1", "'=1"))
    with running_post_office("zone", "tin whistle", certificate, implicit=security == "tls") as office:
        login: dict[str, Any] = {
            "user": "zone",
            "password": "env:MAIL_PASSWORD",
            "ca_file": "post.pem",
            "security": security,
        }
        target(desk, options(office, tmp_path, attach=True, **login), rows).write(Nothing())
        (mail,) = office.all()
        untrusted = options(office, **{**login, "ca_file": None})
        with pytest.raises(TargetError, match="did not take it"):
            target(desk, untrusted, users(ADA), NOON + timedelta(days=1)).write(Nothing())

    (attached,) = mail.iter_attachments()
    content = attached.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert (attached.get_filename(), attached.get_content_type()) == ("users.csv", "text/csv")
    assert list(csv.reader(io.StringIO(content.decode("utf-8-sig")))) == [
        ["sourcedId", "givenName", "phone"],
        ["u1", "'=cmd|'/c calc'!A1", "+44 1632 960101"],
        ["u2", "'@Zoë", "-"],
        ["u3", "'\t=1", "''=1"],
    ]


def test_tables_that_are_too_large_are_told_of_and_not_attached(tmp_path: Path, desk: StoreDesk) -> None:
    rows = users(*((f"u{number}", "x" * 100_000, "") for number in range(110)))
    with running_post_office(certificate=own_certificate(tmp_path)) as office:
        made = options(office, tmp_path, attach=True, security="starttls", ca_file="post.pem")
        target(desk, made, rows).write(Nothing())
        (mail,) = office.all()

    assert "larger than 10 MB" in body(mail)
    assert list(mail.iter_attachments()) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"host": "mail.example.org"}, "in clear"),
        ({"attach": True}, "attach needs an encrypted"),
        ({"user": "zone"}, "belong together"),
        ({"password": "tin-whistle"}, "secret does not belong"),
        ({"subject": "News\r\nBcc: all@example.org"}, "pattern"),
        ({"from": "zone@example.org\nBcc: all@example.org"}, "pattern"),
        ({"to": ["office@example.org, all@example.org"]}, "pattern"),
        ({"to": []}, "at least 1"),
        ({"host": "mail\nexample", "security": "tls"}, "pattern"),
        ({"recipients": ["office@example.org"]}, "unknown setting"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_would_tell_too_much_or_make_other_headers_are_refused(
    office: PostOffice, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        options(office, **more)

    said = explain("option", caught.value, SmtpOptions)
    assert words in said
    assert "tin-whistle" not in said


def test_what_cannot_be_a_target_is_refused(office: PostOffice, tmp_path: Path) -> None:
    for path, mappings in ((tmp_path, users()), (None, [])):
        with pytest.raises(ConfigurationError, match="leave out path"):
            SmtpTarget(path, mappings, options(office))
    with pytest.raises(ConfigurationError, match="by an agent alone"):
        SmtpTarget(None, users(), options(office)).write(Nothing())
