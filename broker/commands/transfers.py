"""``sifzone transfers ...``: learners who change schools, and what people know of a move that no system tells the zone.

Learners are RefIds here, and schools their numbers; nobody is named.
"""

import getpass
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.table import Table
from rich.text import Text

from broker.calendars import DayKind, local_date
from broker.clock import zone_clock
from broker.commands.common import AsJson, ZoneFolder, console, opened_store
from broker.commands.telling import tell_zone
from broker.deadlines import RULES, Deadline
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import Establishment, parse_establishment
from broker.settings import Zone, load_zone
from broker.storage.encoding import sentence
from broker.told import told
from broker.transfer_cases import (
    OUTSIDE,
    Cancelled,
    ConfirmedByPeople,
    DestinationFound,
    Event,
    LeftSector,
    Note,
    Party,
    Record,
    RecordPassed,
    Rejected,
    SchoolClosedOrRenumbered,
    Status,
    TransferCase,
    Why,
)
from broker.transfer_documents import PERSON
from broker.transfers import step
from broker.transports.contract import Outgoing

app = typer.Typer(
    help="Learners who change schools: how far each move has come, what is late; tell the zone what people know.",
    epilog="Examples:  sifzone transfers list --late   ·   sifzone transfers show ID   ·   "
    "sifzone transfers confirm ID",
    no_args_is_help=True,
)

_ALL: Final = 1_000_000
_SHORT: Final = 8
_WORDS: Final = {
    Status.PLANNED: "planned",
    Status.NOTIFIED: "told to the schools",
    Status.PREPARED: "file is written",
    Status.SENT: "file is sent",
    Status.DELIVERED: "file is delivered",
    Status.LOADED: "file is loaded",
    Status.COMPLETE: "complete",
    Status.REJECTED: "file is refused",
    Status.DESTINATION_UNKNOWN: "new school is not found",
    Status.LOST_PUPILS: "file is with the lost pupils",
    Status.CANCELLED: "cancelled",
}
_NOTES: Final = {
    Note.NONE: "",
    Note.DESTINATION_NOT_FOUND: "new school not found",
    Note.FOUND_LATER: "new school found later",
    Note.FILE_REFUSED: "the receiving system refused the file",
    Note.WRONG_LEARNER_OR_SCHOOL: "wrong learner or wrong school",
    Note.NO_ANSWER: "no answer from the receiving school",
    Note.OUTSIDE_THE_ZONE: "outside the zone, as later steps show",
    Note.DID_NOT_TAKE_PLACE: "the move did not take place",
    Note.SHIELDED: "the learner is shielded",
}
_DAYS: Final = {
    DayKind.SCHOOL_DAY: "school days",
    DayKind.WORKING_DAY: "working days",
    DayKind.CALENDAR_DAY: "calendar days",
    DayKind.TERM: "terms",
    DayKind.MONTH: "months",
}

TransferId = Annotated[str, typer.Argument(metavar="ID", help="RefId of the transfer, or enough of its beginning.")]


@app.command("list", epilog="Examples:  sifzone transfers list --late   ·   sifzone transfers list --school 8209901")
def transfers_list(
    zone: ZoneFolder = Path(),
    late: Annotated[bool, typer.Option("--late", help="Only those of which something is late.")] = False,
    status: Annotated[
        list[Status] | None,
        typer.Option(case_sensitive=False, help="Only those in this status, closed ones too; may be repeated."),
    ] = None,
    school: Annotated[str, typer.Option(help="Only those from or to this school, e.g. 8209901.")] = "",
    closed: Annotated[bool, typer.Option("--all", help="Also those of which nothing is left to be done.")] = False,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List the moves of which something is left to be done, the last to have changed first; or what is late."""
    today = _today(zone)
    with opened_store(load_zone(zone)) as store:
        found = store.list_transfers(
            followed=None if closed or status else True,
            statuses=status or (),
            school=_establishment(school) if school else "",
            late_on=today if late else None,
            limit=limit,
        )
    if as_json:
        sys.stdout.write(json.dumps([_facts(case, today) for case in found], indent=2) + "\n")
        return
    if not found:
        console.print("No transfer is late." if late else "There are no such transfers.")
        return
    console.print(_list(found, today))
    if len(found) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")
    console.print("What has happened and what is to be done by when:  sifzone transfers show ID")


@app.command("show", epilog="Example:  sifzone transfers show 0A1B2C3D")
def transfers_show(transfer: TransferId, zone: ZoneFolder = Path()) -> None:
    """Show one move: its history, what is to be done by when and by whose calendar, whom the zone asked and told."""
    with opened_store(load_zone(zone)) as store:
        case = store.transfer(transfer)
    today = _today(zone)
    for name, value in _facts(case, today).items():
        console.print(f"{name.replace('_', ' '):14} {_said(value)}", soft_wrap=True)
    history = Table("When", "Status", "What", "By", "Why", title="History")
    for change in case.history:
        when = change.at.isoformat(sep=" ", timespec="seconds")
        history.add_row(when, change.status, _WORDS[change.status], sentence(change.actor), _NOTES[change.note])
    console.print(history)
    console.print(_deadlines(case, today))
    if case.issued:
        console.print("What the zone has asked for, and whom it has told:")
        for words in sorted(map(_issued, case.issued)):
            console.print(f"  {sentence(words)}", soft_wrap=True)


@app.command("confirm", epilog="Example:  sifzone transfers confirm 0A1B2C3D")
def transfers_confirm(transfer: TransferId, zone: ZoneFolder = Path()) -> None:
    """Say that the new school has loaded the file: somebody there says so, and its system cannot."""
    _tell(zone, transfer, lambda _: ConfirmedByPeople(at=_now(zone), actor=_actor()))


@app.command("reject", epilog="Example:  sifzone transfers reject 0A1B2C3D --note WR")
def transfers_reject(
    transfer: TransferId,
    zone: ZoneFolder = Path(),
    note: Annotated[
        Literal["RF", "WR"], typer.Option(help="RF: its system refused the file. WR: wrong learner, or wrong school.")
    ] = "RF",
) -> None:
    """Say that the new school refuses the file: the old school is asked for another."""
    _tell(zone, transfer, lambda case: Rejected(at=_now(zone), actor=_actor(), school=_new(case), note=Note(note)))


@app.command("found", epilog="Example:  sifzone transfers found 0A1B2C3D 8209903")
def transfers_found(
    transfer: TransferId,
    establishment: Annotated[str, typer.Argument(help="The school, by its DfE number, e.g. 8209903.")],
    zone: ZoneFolder = Path(),
) -> None:
    """Say which school the learner is at, or is to be."""
    school = _establishment(establishment)
    _tell(zone, transfer, lambda _: DestinationFound(at=_now(zone), actor=_actor(), school=school))


@app.command("left-sector", epilog="Example:  sifzone transfers left-sector 0A1B2C3D")
def transfers_left_sector(transfer: TransferId, zone: ZoneFolder = Path()) -> None:
    """Say that the learner is at an independent school, in Wales or farther, or in no school any more."""
    _tell(zone, transfer, lambda _: LeftSector(at=_now(zone), actor=_actor()))


@app.command("cancel", epilog="Example:  sifzone transfers cancel 0A1B2C3D --note OC")
def transfers_cancel(
    transfer: TransferId,
    zone: ZoneFolder = Path(),
    note: Annotated[
        Literal["CX", "OC", "NR", "WR", "SH"],
        typer.Option(
            help="CX: it did not take place. OC: it was seen to outside the zone. NR: the new school does not answer. "
            "WR: wrong learner, or wrong school. SH: the learner is shielded."
        ),
    ] = "CX",
) -> None:
    """Say that a move is off, or not the zone's matter: nothing more is done about it."""
    _tell(zone, transfer, lambda _: Cancelled(at=_now(zone), actor=_actor(), note=Note(note)))


@app.command("passed", epilog="Example:  sifzone transfers passed 0A1B2C3D PEPRecordReceived --on 2026-10-09")
def transfers_passed(
    transfer: TransferId,
    record: Annotated[Record, typer.Argument(case_sensitive=False, help="What was passed on, outside the zone.")],
    zone: ZoneFolder = Path(),
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day on which it was; today when left out.")
    ] = None,
) -> None:
    """Say that a record which the zone does not carry has passed from school to school."""
    day = on.date() if on else _today(zone)
    if day > _today(zone):
        raise ZoneError(f"{day} is yet to come: say so on the day, or give the day on which it was with --on")
    _tell(zone, transfer, lambda _: RecordPassed(at=_now(zone), actor=_actor(), record=record, on=day))


@app.command("renumbered", epilog="Example:  sifzone transfers renumbered 8209902 8204002")
def transfers_renumbered(
    school: Annotated[str, typer.Argument(help="The school, by the number that it had.")],
    successor: Annotated[str, typer.Argument(help="Its new number; left out when it has closed without one.")] = "",
    zone: ZoneFolder = Path(),
) -> None:
    """Say that a school has a new number, or has closed: for all moves from or to it of which something is left."""
    old, new = _establishment(school), _establishment(successor) if successor else None
    if old == new:
        raise ZoneError(f"{old} is both numbers: give the number that it had, then the one that it has")
    event = SchoolClosedOrRenumbered(at=_now(zone), actor=_actor(), school=old, successor=new)
    loaded = load_zone(zone)
    with opened_store(loaded) as store:
        found = store.list_transfers(followed=True, school=old, limit=_ALL)
    changed = [case for case in found if step(case, event, loaded.calendars).case is not case]
    if not changed:
        console.print(f"No transfer of which something is left is from or to {old}: there is nothing to tell.")
        return
    _send(loaded, [told(case.ref_id, case.learner, event) for case in changed])
    what = f"{old} is now {new}" if new else f"{old} has closed"
    console.print(f"The zone is told that {what}, for {len(changed):,} transfer(s).")


def _tell(folder: Path, transfer: str, make: Callable[[TransferCase], Event]) -> None:
    """Tell the zone what *make* makes of a case, when it may be told of it.

    Raises:
        ZoneError: There is no such case, it is not in a status for that, or the zone cannot be told.
    """
    loaded = load_zone(folder)
    with opened_store(loaded) as store:
        case = store.transfer(transfer)
    event = make(case)
    after = step(case, event, loaded.calendars).case
    name = case.ref_id[:_SHORT]
    if after is case:
        console.print(f"Transfer {name} is so already ({_WORDS[case.status]}): there is nothing to tell.")
        return
    _send(loaded, [told(case.ref_id, case.learner, event)])
    comes = f"{_WORDS[case.status]}, and then {_WORDS[after.status]}"
    stands = comes if after.status is not case.status else f"{_WORDS[case.status]}, as before"
    console.print(f"The zone is told. Transfer {name}: {stands}. See:  sifzone transfers show {name}", soft_wrap=True)


def _send(zone: Zone, messages: Sequence[Outgoing]) -> None:
    tell_zone(zone, messages, "sifzone transfers")


def _now(folder: Path) -> datetime:
    return datetime.fromtimestamp(zone_clock(load_zone(folder))(), UTC)


def _today(folder: Path) -> date:
    return local_date(_now(folder))


def _actor() -> str:
    """Return who calls this, for the case's history; to others it is told as a person, without the login."""
    return f"{PERSON}:{getpass.getuser()}"


def _establishment(text: str) -> Establishment:
    try:
        return parse_establishment(text.upper())
    except ValueError as error:
        raise ZoneError(str(error)) from error


def _new(case: TransferCase) -> Establishment:
    if case.new_number is None:
        raise ZoneError(
            f"transfer {case.ref_id[:_SHORT]} has no new school, and nobody else could refuse a file: say which it is "
            "with 'sifzone transfers found'"
        )
    return case.new_number


def _facts(case: TransferCase, today: date) -> dict[str, str | bool | None]:
    """Return what a case comes to; dates as ``2026-09-01``, None where nothing is known."""
    unmet = sorted(deadline.due for deadline in case.unmet()) if case.is_followed else []
    return {
        "ref_id": case.ref_id,
        "learner": case.learner,
        "status": case.status.value,
        "means": _WORDS[case.status],
        "type": case.transfer_type.value,
        "from": case.old_number,
        "to": case.destination,
        "leaving": str(case.leaving) if case.leaving else None,
        "entry": str(case.entry) if case.entry else None,
        "looked_after": case.looked_after,
        "file": case.ctf.file_name if case.ctf else None,
        "due": str(unmet[0]) if unmet else None,
        "late": bool(unmet) and unmet[0] < today,
        "followed": case.is_followed,
    }


def _said(value: str | bool | None) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return sentence(value)


def _list(cases: Sequence[TransferCase], today: date) -> Table:
    table = Table(title="Transfers")
    table.add_column("Id", no_wrap=True)  # whole, to be copied into 'sifzone transfers show'
    table.add_column("Learner", no_wrap=True)
    for heading in ("From", "To", "Leaves", "Enters", "Status", "Looked after", "Due"):
        table.add_column(heading)
    for case in cases:
        facts = _facts(case, today)
        due = f"{facts['due'] or ''}{' late' if facts['late'] else ''}"
        table.add_row(
            case.ref_id[:_SHORT],
            case.learner,
            case.old_number or "",
            "outside" if case.destination == OUTSIDE else case.destination or "",
            _or_nothing(case.leaving),
            _or_nothing(case.entry),
            f"{case.status} {_WORDS[case.status]}",
            _said(case.looked_after),
            Text(due, "bold red" if facts["late"] else ""),
        )
    return table


def _or_nothing(day: date | None) -> str:
    return str(day) if day else ""


def _deadlines(case: TransferCase, today: date) -> Table:
    table = Table("Rule", "What is to be done", "By whom", "Due", "Counted in", "Calendar", "State", title="Deadlines")
    unmet = set(case.unmet()) if case.status is not Status.CANCELLED else set[Deadline]()
    for deadline in case.deadlines:
        rule = RULES[deadline.rule]
        state = Text("done", "green")
        if case.status is Status.CANCELLED:
            state = Text("no longer", "dim")
        elif deadline in unmet:
            state = Text("late", "bold red") if deadline.has_passed(today) else Text("to be done", "yellow")
        days = _DAYS[deadline.kind]
        table.add_row(deadline.rule, rule.what, rule.who, str(deadline.due), days, deadline.calendar, state)
    return table


def _issued(key: str) -> str:
    """Return what the key of an action stands for, in words."""
    kind, *rest = key.split(":")
    match kind, rest:
        case "ask", [school]:
            return f"asked {school} for the learner's record"
        case "write", [destination, attempt]:
            again = f", attempt {attempt}" if attempt != "1" else ""
            return f"asked for a Common Transfer File to {destination}{again}"
        case "lost", []:
            return "asked for the file to be put with the lost pupils"
        case "notify", [party, why, where, *about] if party in Party.__members__ and why in Why.__members__:
            more = f" ({':'.join(about)})" if any(about) else ""
            return f"told {Party[party]}{f', {where}' if where else ''}: {Why[why]}{more}"
        case "overdue", [rule, due]:
            return f"raised that {rule}, due on {due}, is late"
        case _:
            return key
