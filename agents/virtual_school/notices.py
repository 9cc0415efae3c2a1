"""What people are told of: decided from what is known, kept until it is told, told once; the mail itself is mail.py's.

A notice has a learner's initials and a link, nothing else about the learner.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from agents.virtual_school.database import Database, Told
from agents.virtual_school.due import Due, is_open, is_unsent, lacks_destination, plans_due
from agents.virtual_school.facts import Facts, InCare, in_care
from agents.virtual_school.mail import Send, message
from agents.virtual_school.options import NoticeOptions
from agents.virtual_school.silence import SESSIONS, WEEKDAYS, last_school_day, silent_on
from broker.calendars import Calendars

WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "on-roll": "came on the roll",
        "off-roll": "left the roll",
        "transfer-opened": "a change of school has begun",
        "transfer-late": "the transfer file is overdue",
        "transfer-unknown": "the next school is not known",
        "transfer-rejected": "the new school has rejected the transfer file",
        "transfer-complete": "the change of school is complete",
        "plan-due": "the education plan is due soon",
        "plan-late": "the education plan is late",
        "exclusion": "an exclusion was recorded",
        "silent": "no attendance has come",
    }
)
"""Kinds of notice, and what is said of a learner."""

SOON: Final = timedelta(days=10)
"""How long before its day a plan is told of as due."""
_NEWS: Final = timedelta(days=30)
"""How long ago an exclusion may have begun to be news when it is received."""
_MANY: Final = 20
"""More notices than this are told in one mail, even where each has its own."""
_GIVEN_UP: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to tell at one moment.

    Attributes:
        notices: Those that need not be told, because they are no news, have their ``sent_at`` set.
        roll: Initials of those on the roll, by RefId.
    """

    notices: tuple[Told, ...]
    roll: Mapping[str, str]


def decide(
    facts: Facts, before: Mapping[str, str] | None, today: date, silent_day: date | None, calendars: Calendars, at: str
) -> Found:
    """Return what there is to tell, told already or not.

    Args:
        before: Initials of who was on the roll when this was last asked; None the first time. What has happened by
            then, or before a learner came on the roll, is no news; what is overdue is told all the same.
        silent_day: Day whose marks *facts* have; None when silence is not to be looked for.
        at: The time, UTC.
    """
    present = in_care(facts, today)
    notices: list[Told] = []

    def note(kind: str, learner: str, initials: str, key: str, *, news: bool = True) -> None:
        notices.append(Told(f"{kind}|{learner}|{key}", kind, learner, initials, at, sent_at="" if news else at))

    for one in present:
        ref_id, initials = one.learner.ref_id, one.learner.initials
        is_new = before is None or ref_id not in before
        if is_new:
            note("on-roll", ref_id, initials, str(today), news=before is not None)
        for kind, key in _happened(facts, one, today):
            note(kind, ref_id, initials, key, news=not is_new)
        for kind, key in _undone(facts, one, today, calendars):
            note(kind, ref_id, initials, key)
    roll = {one.learner.ref_id: one.learner.initials for one in present}
    for ref_id, initials in (before or {}).items():
        if ref_id not in roll:
            note("off-roll", ref_id, initials, str(today))
    for ref_id, key in _silent(facts, silent_day, calendars):
        if ref_id in roll:
            note("silent", ref_id, roll[ref_id], key)
    return Found(tuple(notices), roll)


def _happened(facts: Facts, one: InCare, today: date) -> Iterator[tuple[str, str]]:
    """Yield what has happened to a learner and asks for nothing, with what tells one from another."""
    ref_id = one.learner.ref_id
    for transfer in facts.transfers.get(ref_id, ()):
        if is_open(transfer):
            yield "transfer-opened", transfer.ref_id
        elif transfer.status == "CM":
            yield "transfer-complete", transfer.ref_id
    for exclusion in facts.exclusions.get(ref_id, ()):
        if exclusion.starts is None or exclusion.starts >= today - _NEWS:
            yield "exclusion", exclusion.ref_id


def _undone(facts: Facts, one: InCare, today: date, calendars: Calendars) -> Iterator[tuple[str, str]]:
    """Yield what asks somebody to do something."""
    for transfer in facts.transfers.get(one.learner.ref_id, ()):
        if is_unsent(transfer) and transfer.file_due is not None and today > transfer.file_due:
            yield "transfer-late", f"{transfer.ref_id}|{transfer.file_due}"
        if lacks_destination(transfer):
            yield "transfer-unknown", transfer.ref_id
        if transfer.status == "RJ":
            steps = [step.number for step in facts.steps.get(transfer.ref_id, ()) if step.status == "RJ"]
            yield "transfer-rejected", f"{transfer.ref_id}|{max(steps, default=0)}"
    for due in plans_due(facts, one, today, calendars):
        if due.late:
            yield "plan-late", _plan_key(due)
        elif due.day is not None and due.day <= today + SOON:
            yield "plan-due", _plan_key(due)


def _plan_key(due: Due) -> str:
    return f"{due.rule}|{due.day or ''}|{due.about}"


def _silent(facts: Facts, day: date | None, calendars: Calendars) -> Iterator[tuple[str, str]]:
    """Yield the learners of whom nothing came; one silence is told once, however long it lasts.

    Where no daily mark has ever come, attendance is not shared; where nobody knows the school days, silence may be a
    holiday: of neither is told.
    """
    if day is None or not facts.has_marks:
        return
    for one in silent_on(facts, day, calendars):
        if one.missing == SESSIONS and one.by != WEEKDAYS:
            yield one.learner.ref_id, f"{one.school_ref_id}|{one.last_mark or 'never'}"


class Notifier:
    """Finds what there is to tell, and tells it."""

    def __init__(self, database: Database, options: NoticeOptions, calendars: Calendars, send: Send) -> None:
        self._database, self._options, self._calendars, self._send = database, options, calendars, send

    def look(self, now: datetime, today: date, *, silence: bool = True) -> int:
        """Keep what there is to tell, and return how much of it is new.

        Raises:
            DatabaseError: The database cannot be used.
        """
        found = find_notices(self._database, self._calendars, now, today, silence=silence)
        return self._database.note(found.notices, found.roll)

    def tell(self, now: datetime) -> int:
        """Send what is not told yet, and return how many notices that were.

        A mail that was sent just before this process was killed may be sent again, with the same Message-ID.

        Raises:
            MailError: The server did not take a mail; what it holds is kept and tried again.
            DatabaseError: The database cannot be used.
        """
        sent = 0
        for group in _mails(self._database.waiting(), self._options.when):
            notices = self._database.claim(group, _stamp(now), _stamp(now - _GIVEN_UP))
            if not notices:
                continue
            try:
                self._send(self._options, message(self._options, [_line(self._options, one) for one in notices]))
            except BaseException:
                self._database.give_up(notices)
                raise
            self._database.told(notices, _stamp(now))
            sent += len(notices)
        return sent


def find_notices(
    database: Database, calendars: Calendars, now: datetime, today: date, *, silence: bool = True
) -> Found:
    """Return what there is to tell; keeps nothing."""
    silent_day = last_school_day(today, calendars) if silence else None
    facts = database.facts(until=silent_day or today, day=silent_day)
    before, has_looked = database.roll_told()
    return decide(facts, before if has_looked else None, today, silent_day, calendars, _stamp(now))


def _mails(notices: tuple[Told, ...], when: str) -> Iterator[tuple[Told, ...]]:
    if when == "digest" or len(notices) > _MANY:
        if notices:
            yield notices
        return
    yield from ((one,) for one in notices)


def _line(options: NoticeOptions, one: Told) -> tuple[str, str, str]:
    """Return key, what is said, and where to look."""
    return one.ref_id, f"{one.initials}: {WORDS[one.kind]}", link(options, one.learner_ref_id)


def link(options: NoticeOptions, ref_id: str) -> str:
    """Return where a learner is shown."""
    return options.link.replace("{ref}", ref_id)


def unsent(notices: Iterable[Told]) -> tuple[Told, ...]:
    """Return those of some notices that are to be told."""
    return tuple(one for one in notices if not one.sent_at)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


__all__ = ["SOON", "WORDS", "Found", "Notifier", "decide", "find_notices", "link", "unsent"]
