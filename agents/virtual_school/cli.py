"""The commands ``sifzone virtual-school ...``; what they show is reports.py's, what is told notices.py's."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from agents.explained import explained
from agents.mail import send
from agents.settings import read_settings
from agents.virtual_school import reports
from agents.virtual_school.database import Database, Told, open_database
from agents.virtual_school.notices import WORDS, Notifier, find_notices, link, unsent
from agents.virtual_school.options import NoticeOptions, VirtualSchoolOptions, options_of
from agents.virtual_school.reports import Report
from agents.virtual_school.show import Format, as_text
from agents.writing import PRIVATE, write_text
from broker.calendars import Calendars, local_date
from broker.protocol.durations import parse_duration
from broker.protocol.errors import ConfigurationError

_DAY: Final = ["%Y-%m-%d"]

app = typer.Typer(
    help="Look at a virtual school's learners: who is in care, what is due, who is silent. Personal data!",
    epilog="Examples: sifzone virtual-school roll virtual-school.toml · "
    "sifzone virtual-school due virtual-school.toml --within 20d --format csv --out due.csv · "
    "sifzone virtual-school notices virtual-school.toml --send",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="AGENT.toml", help="The virtual school's agent file.")]
Form = Annotated[Format, typer.Option("--format", "-f", help="For people, for a spreadsheet, or for programs.")]
Today = Annotated[datetime | None, typer.Option(formats=_DAY, help="Look as if it were this day: 2026-10-05.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file, which its owner alone may read.")]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a command works with."""

    database: Database
    options: VirtualSchoolOptions
    calendars: Calendars


@app.command(
    epilog="Examples: sifzone virtual-school roll vs.toml · sifzone virtual-school roll vs.toml -f csv -o roll.csv"
)
def roll(file: File, form: Form = Format.TABLE, today: Today = None, out: Out = None) -> None:
    """Show the learners in care today: school, care, placement, last attendance mark, plan due, open transfer."""
    with _opened(file) as opened:
        day = _day(today)
        _show(reports.roll(opened.database.facts(day), day, opened.calendars), form, out)


@app.command(
    epilog="Examples: sifzone virtual-school learner vs.toml quill · "
    "sifzone virtual-school learner vs.toml A820990126001 -f json"
)
def learner(
    file: File,
    who: Annotated[str, typer.Argument(help="RefId, UPN, or part of the name; several matches are listed.")],
    form: Form = Format.TABLE,
    today: Today = None,
    out: Out = None,
) -> None:
    """Show one learner's time line: care, placements, schools, attendance, exclusions, SEN, plans, transfers.

    Exit code 1: nobody, or more than one learner, is meant by WHO.
    """
    with _opened(file) as opened:
        day = _day(today)
        found = reports.find(opened.database.facts(day), who)
        if len(found) == 1:
            facts = opened.database.facts(day, learner=found[0].ref_id)
            # another process may have taken the learner out between the two looks
            if found[0].ref_id in facts.learners:
                _show(reports.timeline(facts, facts.learners[found[0].ref_id], day, opened.calendars), form, out)
                return
        if not found:
            typer.echo("No learner has this RefId, UPN or name.", err=True)
            raise typer.Exit(1)
        _show(reports.matches(opened.database.facts(day), found, day), form, out)
        typer.echo("More than one learner is meant: ask again with a RefId.", err=True)
        raise typer.Exit(1)


@app.command(
    epilog="Examples: sifzone virtual-school transfers vs.toml · sifzone virtual-school transfers vs.toml --all -f json"
)
def transfers(
    file: File,
    everything: Annotated[bool, typer.Option("--all/--open", help="Also those that have ended.")] = False,
    form: Form = Format.TABLE,
    today: Today = None,
    out: Out = None,
) -> None:
    """Show changes of school: how far they are, from and to which school, what is late or missing."""
    with _opened(file) as opened:
        day = _day(today)
        _show(reports.transfers(opened.database.facts(day), day, everything=everything), form, out)


@app.command(
    epilog="Examples: sifzone virtual-school due vs.toml · sifzone virtual-school due vs.toml --within 20d -f csv"
)
def due(
    file: File,
    within: Annotated[str, typer.Option(help="How far to look ahead: 10d.")] = "10d",
    form: Form = Format.TABLE,
    today: Today = None,
    out: Out = None,
) -> None:
    """Show education plans and transfers that are late, or due within some days."""
    with _opened(file) as opened:
        day = _day(today)
        _show(reports.due(opened.database.facts(day), day, opened.calendars, _duration(within)), form, out)


@app.command(
    epilog="Examples: sifzone virtual-school silent vs.toml · sifzone virtual-school silent vs.toml --on 2026-10-05"
)
def silent(
    file: File,
    on: Annotated[datetime | None, typer.Option(formats=_DAY, help="The school day; today when left out.")] = None,
    form: Form = Format.TABLE,
    today: Today = None,
    out: Out = None,
) -> None:
    """Show the schools from which no attendance came on a school day, for which learners, which session, since when."""
    with _opened(file) as opened:
        day = _day(on) if on else _day(today)
        _show(reports.silent(opened.database.facts(day, day), day, opened.calendars), form, out)


@app.command(
    epilog="Examples: sifzone virtual-school notices vs.toml · for cron: sifzone virtual-school notices vs.toml --send"
)
def notices(
    file: File,
    send_now: Annotated[bool, typer.Option("--send/--show", help="Send what is to be told, or only show it.")] = False,
    form: Form = Format.TABLE,
    today: Today = None,
    out: Out = None,
) -> None:
    """Show what people are to be told by mail, or tell it now. Exit code 1: the mail server did not take it."""
    with _opened(file) as opened:
        now, day = datetime.now(UTC), _day(today)
        told = opened.options.notices
        if not send_now:
            _show(_waiting(opened, now, day, told), form, out)
            return
        if told is None:
            raise ConfigurationError(
                f"{file}: no mail server is set: add [target.notices] with host, sender, recipients"
            )
        notifier = Notifier(opened.database, told, opened.calendars, send)
        notifier.look(now, day)
        typer.echo(f"{notifier.tell(now)} notices sent")


def _waiting(opened: _Opened, now: datetime, day: date, options: NoticeOptions | None) -> Report:
    found = unsent(find_notices(opened.database, opened.calendars, now, day).notices)
    kept = opened.database.waiting()
    fresh = opened.database.unknown(found)
    columns = (("initials", "Initials"), ("what", "What"), ("link", "Where"), ("noted_at", "Noted"))
    rows = tuple(_notice_row(one, options) for one in (*kept, *fresh))
    return Report(f"{len(rows)} notices to be told", columns, rows)


def _notice_row(one: Told, options: NoticeOptions | None) -> dict[str, str]:
    where = link(options, one.learner_ref_id) if options else one.learner_ref_id
    return {"initials": one.initials, "what": WORDS[one.kind], "link": where, "noted_at": one.noted_at}


def _show(report: Report, form: Format, out: Path | None) -> None:
    width = None
    if out is None and sys.stdout.isatty():
        from rich.console import Console

        width = Console().width
    text = as_text(report, form, width=width)
    if out is not None:
        write_text(out, text, PRIVATE)
    else:
        typer.echo(text, nl=False)
    if form is not Format.TABLE:
        for note in report.notes:
            typer.echo(note, err=True)


def _day(given: datetime | None) -> date:
    return given.date() if given else local_date(datetime.now(UTC))


def _duration(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--within: {error}") from error
    assert isinstance(found, timedelta)  # noqa: S101 - of a text it makes nothing else
    return found


@contextmanager
def _opened(file: Path) -> Iterator[_Opened]:
    """Give the virtual school of an agent's file; errors become a sentence and an exit code."""
    with explained():
        options = options_of(read_settings(file))
        calendars = options.read_calendars()
        with open_database(options.database, make=False) as database:
            yield _Opened(database, options, calendars)


__all__ = ["app"]
