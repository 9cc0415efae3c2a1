"""The story of looked-after learners who change school, walked through with a pushed clock; run.py --story runs it.

Social care's extract fills the virtual school's roll. One learner moves to a school with an agent, one to a school
without, and of one nobody knows where to: then the clock is pushed past the days in which the old school may search.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from agents.connectors.days import local_today
from agents.inbox import KeptObjects
from agents.settings import AgentSettings, read_settings
from agents.show import status
from agents.store import Store as AgentStore
from agents.virtual_school import reports
from agents.virtual_school.database import open_database
from agents.virtual_school.options import options_of
from agents.virtual_school.reports import Report, words
from agents.virtual_school.show import Format, as_text
from broker.clock import push_clock, zone_today
from broker.commands.transfers import transfers_confirm, transfers_list
from broker.deadlines import RuleId
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.settings import load_zone
from broker.storage import Store, open_store
from broker.supervisor import RunningZone
from broker.transfer_cases import Status, TransferCase
from deploy.demo import generate
from deploy.demo.authority import AUTHORITY, build, groups_of
from deploy.demo.care import children
from deploy.demo.folder import make_folder, set_clock, shown
from deploy.demo.people import Attendance, Pupil, School, Stay
from deploy.demo.scenes import Expected, Scene, play
from schemas import load

OLD: Final = "8209903"
"""The school that all three leave: its office enters where a leaver goes."""
NEW: Final = "8209902"
WITHOUT_AGENT: Final = "8209910"
_NEW_MIS: Final = AgentId(f"mis-{NEW}")
_NEW_NUMBER: Final = 4950
_DAYS_TO_SEARCH: Final = 15
_OTHERS: Final = 5
"""Of the others at the schools, every fifth is enough for the story."""
_ROLL: Final = ("name", "school", "care_since", "placement", "last_mark", "plan_due")
_DUE: Final = ("name", "school", "kind", "what", "due", "late")
_SILENT: Final = ("school", "whole_school", "name", "missing", "last_mark")
_TRANSFERS: Final = ("name", "status", "from", "to", "leaving", "entry", "file_due", "destination_missing")
_LEARNERS_OWN: Final = (
    "LearnerPersonal",
    "LearnerSchoolEnrolment",
    "LearnerContact",
    "LearnerAttendanceSummary",
    "LearnerSpecialNeeds",
    "LearnerTransfer",
)
_ABOUT_NOBODY: Final = frozenset({"SchoolInfo", "LAInfo"})


def run(folder: Path, workers: int, *, once: bool, console: Console) -> int:
    """Tell the story in *folder*, which is made anew; return 0 when all came as expected, else 1.

    Raises:
        ZoneError: The zone could not run.
    """
    make_folder(folder)
    with ExitStack() as stack:
        logged = stack.enter_context((folder / "zone.log").open("w"))
        settings = load_zone(folder)
        set_clock(settings)
        zone = RunningZone(settings, workers, agents=True, log_file=logged.fileno())
        told = _Story(folder, zone, console)
        told.write_exports()
        console.print(
            f"Three made-up schools and social care have written their exports below {shown(folder)}.\n"
            "Starting RabbitMQ, the zone and its agents ..."
        )
        stack.enter_context(zone)
        told.store = stack.enter_context(open_store(zone.zone.database_url, zone.zone.key_file))
        missing = play(told.scenes(), console, zone.check, _pause(console, once=once))
    console.print()
    for one in missing:
        console.print(f"[bold red]Not as it should be:[/] {one}", highlight=False)
    if not missing:
        console.print("[green]The story came out as expected.[/]")
    return 1 if missing else 0


def _pause(console: Console, *, once: bool) -> Callable[[], None]:
    def wait() -> None:
        with suppress(EOFError):
            console.input("[dim]Enter goes on, Ctrl-C ends it.[/]")

    return wait if not once and console.is_terminal else lambda: None


@dataclass(frozen=True, slots=True)
class _Leavers:
    """Who leaves the old school: to a school with an agent, to one without, and nobody knows where."""

    moves: Pupil
    to_file: Pupil
    lost: Pupil


class _Story:
    """The story's people, and what is to be seen of them in the zone and at its agents."""

    store: Store

    def __init__(self, folder: Path, running: RunningZone, console: Console) -> None:
        self._folder, self._running, self._console = folder, running, console
        schools, _ = build(generate.DEFAULT_SEED)
        self._known = children(schools)
        self._roll = frozenset(child.pupil.upn for child in self._known)
        self._schools = {school.establishment: self._smaller(school) for school in schools}
        in_care = [pupil for pupil in self._schools[OLD].pupils if pupil.care_authority == AUTHORITY]
        self._leavers = _Leavers(*in_care[1:4])
        self._today = zone_today(running.zone)
        self._day = 0
        self._agents = {s.id: s for s in map(read_settings, sorted((folder / "agents").glob("*.toml")))}

    def _smaller(self, school: School) -> School:
        """Return *school* with those in care and some others, so that a story is soon told."""
        pupils = (p for p in school.pupils if p.upn in self._roll or p.care_authority or p.number % _OTHERS == 0)
        return replace(school, pupils=tuple(pupils))

    # What happens.

    def write_exports(self) -> None:
        """Let all schools, social care and the plan tool write what they export on the first day."""
        generate.write_care(self._folder, self._known)
        self._export(*self._schools)

    def scenes(self) -> Iterator[Scene]:
        """Yield the scenes in order."""
        yield Scene(
            "The schools' exports and social care's extract arrive: the virtual school's roll fills",
            lambda: None,
            (
                Expected(
                    f"the roll has the {len(self._roll)} learners of the extract, and nobody else", self._roll_is_full
                ),
                Expected("one of them by social care's word alone: the school has not been told", self._one_is_untold),
                Expected("all have an education plan, and those of one school a mark", self._plans_have_come),
                Expected("no learner is on the move", lambda: not self._cases()),
                Expected(
                    f"{self._name(self._leavers.moves)} has an account at {self._school(OLD)}", self._account_is_at(OLD)
                ),
            ),
            self._show_roll,
        )
        yield from self._move_to_an_agent()
        yield from self._move_by_file()
        yield from self._move_to_nowhere()

    def _move_to_an_agent(self) -> Iterator[Scene]:
        pupil = self._leavers.moves
        name = self._name(pupil)
        yield Scene(
            f"{name}, looked after, leaves {self._school(OLD)} for {self._school(NEW)}",
            lambda: self._leave(pupil, NEW),
            (
                Expected("one transfer is open, from the one school to the other", self._one_case(pupil, NEW)),
                Expected(f"the inbox of {self._school(NEW)} holds the record", self._record_is_at_new_school),
                Expected("the virtual school sees the transfer", self._is_shown(pupil, "to", self._school(NEW))),
            ),
            self._show_transfer_and_inbox,
        )
        yield Scene(
            f"{self._school(NEW)} has {name} on its register, by the same UPN",
            lambda: self._arrive(pupil),
            (
                Expected("it is the same transfer, told of by both schools", self._joined_by_both(pupil)),
                Expected("the transfer is complete", self._has_status(pupil, Status.COMPLETE)),
                Expected(f"the platform's account is the same, now at {self._school(NEW)}", self._account_is_at(NEW)),
                Expected("the roll has the learner at the new school", self._is_on_roll_at(pupil, self._school(NEW))),
            ),
            self._show_arrival,
        )

    def _move_by_file(self) -> Iterator[Scene]:
        pupil = self._leavers.to_file
        name, to = self._name(pupil), WITHOUT_AGENT
        yield Scene(
            f"{name} leaves {self._school(OLD)} for {to}, which has no agent",
            lambda: self._leave(pupil, to),
            (
                Expected(f"a Common Transfer File to {to} is in the outbox", lambda: len(self._files(to)) == 1),
                Expected("it holds this learner alone", lambda: self._is_in_file(to, pupil)),
            ),
            self._show_outbox,
        )
        yield Scene(
            "Somebody has uploaded the file, and moves it to taken/",
            lambda: self._take(to),
            (Expected("the file is delivered", self._has_status(pupil, Status.DELIVERED)),),
            self._show_outbox,
        )
        yield Scene(
            "The new school's office says by telephone that the file is loaded: sifzone transfers confirm",
            lambda: self._confirm(pupil),
            (
                Expected("the transfer is complete", self._has_status(pupil, Status.COMPLETE)),
                Expected("the writer of files holds nothing of the learner any more", self._writer_holds_nobody),
            ),
            self._show_case(pupil),
        )

    def _move_to_nowhere(self) -> Iterator[Scene]:
        pupil = self._leavers.lost
        name = self._name(pupil)
        yield Scene(
            f"{name} leaves {self._school(OLD)}, and nobody knows where to",
            lambda: self._leave(pupil, ""),
            (
                Expected(
                    "the virtual school sees at once that a school is missing",
                    self._is_shown(pupil, "destination_missing", True),
                ),
                Expected("no file is written yet: the old school searches", lambda: not self._files("XXXXXXX")),
            ),
            self._show_virtual_schools_transfers,
        )
        yield Scene(
            f"Day {_DAYS_TO_SEARCH + 1}: the clock is pushed, and still no school is known",
            lambda: self._push_past_search(pupil),
            (
                Expected(
                    "a Common Transfer File to XXXXXXX is in the outbox", lambda: len(self._files("XXXXXXX")) == 1
                ),
                Expected("it holds this learner alone", lambda: self._is_in_file("XXXXXXX", pupil)),
                Expected("the file is with the lost pupils", self._has_status(pupil, Status.LOST_PUPILS)),
                Expected("the virtual school sees it", self._is_shown(pupil, "status", words("TransferStatus", "LP"))),
                Expected("the platform has no account of who is at none of its schools", self._leavers_have_no_account),
            ),
            self._show_lost(pupil),
        )

    def _export(self, *schools: str) -> None:
        """Let some schools write their exports of the next day."""
        self._day += 1
        day = generate.Day(self._day, f"{self._today}T06:30:00", self._marked())
        exporting = [self._schools[school] for school in schools]
        generate.write_schools(self._folder, exporting, day, with_mistakes=False)

    def _leave(self, pupil: Pupil, to: str) -> None:
        """Let a pupil's last day at the old school be today."""
        school = self._schools[OLD]
        pupils = tuple(
            replace(one, leaving=self._today, leaving_reason="ST", next_school=to)
            if one.number == pupil.number
            else one
            for one in school.pupils
        )
        self._schools[OLD] = replace(school, pupils=pupils)
        self._export(OLD)

    def _arrive(self, pupil: Pupil) -> None:
        """Put a pupil on the new school's register today."""
        old, new = self._schools[OLD], self._schools[NEW]
        arrived = replace(
            pupil,
            establishment=NEW,
            number=_NEW_NUMBER,
            entry=self._today,
            groups=groups_of(new, pupil.year, _NEW_NUMBER),
            attendance=Attendance(possible=0, authorised=0, unauthorised=0),
            earlier=Stay(OLD, old.name, pupil.entry, self._today),
            exclusions=(),
        )
        self._schools[NEW] = replace(new, pupils=(*new.pupils, arrived))
        self._export(NEW)

    def _take(self, destination: str) -> None:
        outbox = self._outbox()
        for file in self._files(destination):
            file.rename(outbox / "taken" / file.name)

    def _confirm(self, pupil: Pupil) -> None:
        case = self._case(pupil)
        if case is not None:
            try:
                transfers_confirm(case.ref_id, self._folder)
            except ZoneError as error:  # what is expected then does not come
                self._console.print(f"[red]{error}[/]")

    def _push_past_search(self, pupil: Pupil) -> None:
        """Push the clock to the day after the last on which the old school may search."""
        case = self._case(pupil)
        search = case.deadline(RuleId.T3) if case is not None else None
        if search is None:
            return
        zone = self._running.zone
        push_clock(zone, timedelta(days=(search.due - zone_today(zone)).days + 1))
        self._console.print(f"sifzone zone clock --push: it is {zone_today(zone):%A %d %B %Y} in the zone.")

    # What is to be seen.

    def _cases(self) -> list[TransferCase]:
        return self.store.list_transfers()

    def _case(self, pupil: Pupil) -> TransferCase | None:
        """Return the one case of a pupil; None when there is none, or more than one."""
        ref_id = self._ref_id(pupil)
        own = [case for case in self._cases() if case.learner == ref_id]
        return own[0] if len(own) == 1 else None

    def _one_case(self, pupil: Pupil, to: str) -> Callable[[], bool]:
        def is_so() -> bool:
            case = self._case(pupil)
            return case is not None and (case.old_number, case.destination) == (OLD, to) and len(self._cases()) == 1

        return is_so

    def _joined_by_both(self, pupil: Pupil) -> Callable[[], bool]:
        def is_so() -> bool:
            case = self._case(pupil)
            return case is not None and (case.leaving, case.entry) == (self._today, self._today) and case.confirmed

        return is_so

    def _has_status(self, pupil: Pupil, wanted: Status) -> Callable[[], bool]:
        def is_so() -> bool:
            case = self._case(pupil)
            return case is not None and case.status is wanted

        return is_so

    def _report(self, kind: str, day: date | None = None) -> Report:
        """Return a report of the virtual school's, as its commands give it; an empty one while it has no database."""
        options = options_of(self._agents[AgentId("virtual-school")])
        today = day or zone_today(self._running.zone)
        calendars = options.read_calendars()
        try:
            with open_database(options.database, make=False) as database:
                facts = database.facts(today, day)
        except ZoneError:
            return Report("nothing yet", (), ())
        match kind:
            case "roll":
                return reports.roll(facts, today, calendars)
            case "transfers":
                return reports.transfers(facts, today)
            case "due":
                return reports.due(facts, today, calendars, timedelta(days=10))
            case _:
                return reports.silent(facts, today, calendars)

    def _row(self, kind: str, pupil: Pupil) -> Mapping[str, Any]:
        return next((row for row in self._report(kind).rows if row["upn"] == pupil.upn), {})

    def _ref_id(self, pupil: Pupil) -> str:
        return str(self._row("roll", pupil).get("ref_id", ""))

    def _roll_is_full(self) -> bool:
        return {row["upn"] for row in self._report("roll").rows} == self._roll

    def _one_is_untold(self) -> bool:
        flagged = {
            pupil.upn
            for school in self._schools.values()
            for pupil in school.pupils
            if pupil.care_authority == AUTHORITY
        }
        care = {row["upn"]: row["care"] for row in self._report("roll").rows}
        return len(care.keys() - flagged) == 1 and not any("school says" in said for said in care.values())

    def _plans_have_come(self) -> bool:
        rows = self._report("roll").rows
        marked = [row for row in rows if row["last_mark"]]
        return all(row["plan_due"] for row in rows) and {row["school"] for row in marked} == {self._school(OLD)}

    def _is_shown(self, pupil: Pupil, column: str, value: object) -> Callable[[], bool]:
        return lambda: self._row("transfers", pupil).get(column) == value

    def _is_on_roll_at(self, pupil: Pupil, school: str) -> Callable[[], bool]:
        return lambda: self._row("roll", pupil).get("school") == school

    def _account(self) -> Mapping[str, str]:
        """Return the platform's account of who moves, and its school's number; empty when there is not just one."""
        ref_id = self._ref_id(self._leavers.moves)
        current = self._folder / "out" / "merlin" / "current"
        try:
            users = _rows(current / "users.csv")
            orgs = {org["sourcedId"]: org for org in _rows(current / "orgs.csv")}
        except FileNotFoundError:
            return {}
        own = [user for user in users if ref_id and user["email"] == self._leavers.moves.email]
        if len(own) != 1 or own[0]["sourcedId"] != ref_id:
            return {}
        org = orgs.get(own[0]["orgSourcedIds"], {})
        return {"account": own[0]["sourcedId"], "enabled": own[0]["enabledUser"], "school": org.get("identifier", "")}

    def _account_is_at(self, school: str) -> Callable[[], bool]:
        return lambda: self._account().get("school") == school and self._account().get("enabled") == "true"

    def _leavers_have_no_account(self) -> bool:
        users = _rows(self._folder / "out" / "merlin" / "current" / "users.csv")
        return not {self._leavers.to_file.email, self._leavers.lost.email} & {user["email"] for user in users}

    def _held(self, agent: AgentId) -> Mapping[str, int]:
        """Return how many objects of each kind an agent's inbox holds."""
        found = _state(self._agents[agent])
        return found["received"] if found is not None else {}

    def _record_is_at_new_school(self) -> bool:
        settings, ref_id = self._agents[_NEW_MIS], self._ref_id(self._leavers.moves)
        if not (settings.state_folder / "agent.db").exists():
            return False
        with AgentStore(settings.state_folder) as store, store.snapshot() as db:
            objects = KeptObjects(db)
            about = [
                [one for one in objects.all(kind) if ref_id in (one.get("RefId"), one.get("LearnerPersonalRefId"))]
                for kind in _LEARNERS_OWN
            ]
        return all(about)

    def _writer_holds_nobody(self) -> bool:
        return self._held(AgentId("ctf-out")).keys() <= _ABOUT_NOBODY

    def _outbox(self) -> Path:
        return self._folder / "out" / "ctf"

    def _files(self, destination: str) -> list[Path]:
        """Return the files in the outbox from the old school to a destination, named as they have to be."""
        return sorted(self._outbox().glob(f"{OLD}_CTF_{destination}_[0-9][0-9][0-9].xml"))

    def _is_in_file(self, destination: str, pupil: Pupil) -> bool:
        text = "".join(file.read_text("utf-8") for file in self._files(destination))
        return text.count("<Pupil>") == 1 and f"<UPN>{pupil.upn}</UPN>" in text

    # What is printed.

    def _print(self, report: Report, columns: tuple[str, ...]) -> None:
        some = tuple(column for column in report.columns if column[0] in columns)
        text = as_text(replace(report, columns=some, notes=()), Format.TABLE, width=self._console.width)
        self._console.print(text, end="", highlight=False, markup=False)

    def _show_roll(self) -> None:
        self._print(self._report("roll"), _ROLL)
        self._print(self._report("due"), _DUE)
        self._print(self._report("silent", self._marked()), _SILENT)

    def _show_virtual_schools_transfers(self) -> None:
        self._print(self._report("transfers"), _TRANSFERS)

    def _show_transfer_and_inbox(self) -> None:
        self._show_virtual_schools_transfers()
        held = Table("Object", "Held", title=f"The inbox of {self._school(NEW)}", title_justify="left")
        for kind, count in self._held(_NEW_MIS).items():
            held.add_row(kind, str(count))
        self._console.print(held)

    def _show_arrival(self) -> None:
        transfers_list(self._folder, closed=True, status=None, late=False, school="", as_json=False, limit=100)
        account = Table("Account", "Enabled", "School", title="The learning platform", title_justify="left")
        account.add_row(*self._account().values())
        self._console.print(account)

    def _show_outbox(self) -> None:
        files = Table("File", "Where", title="The outbox for Common Transfer Files", title_justify="left")
        for file in sorted(self._outbox().rglob("*_CTF_*.xml")):
            files.add_row(file.name, "taken" if file.parent.name == "taken" else "to be sent")
        self._console.print(files)

    def _show_case(self, pupil: Pupil) -> Callable[[], None]:
        def show() -> None:
            case = self._case(pupil)
            if case is not None:
                history = Table("When", "Status", "By", title="The transfer's history", title_justify="left")
                for change in case.history:
                    history.add_row(f"{change.at:%Y-%m-%d %H:%M}", change.status.name, change.actor)
                self._console.print(history)

        return show

    def _show_lost(self, pupil: Pupil) -> Callable[[], None]:
        def show() -> None:
            self._show_virtual_schools_transfers()
            self._show_outbox()
            self._show_case(pupil)()

        return show

    def _name(self, pupil: Pupil) -> str:
        return f"{pupil.preferred_forename} {pupil.surname}"

    def _school(self, establishment: str) -> str:
        """Return a school as the virtual school's reports write it."""
        return f"{self._schools[establishment].name} ({establishment})"

    def _marked(self) -> date:
        """Return the last working day by the machine's clock, by which agents refuse marks of days to come."""
        day = min(self._today, local_today())
        while not self._running.zone.calendars.england.is_working_day(day):
            day -= timedelta(days=1)
        return day


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _state(settings: AgentSettings) -> Mapping[str, Any] | None:
    """Return an agent's own account of itself; None while it has none."""
    if not (settings.state_folder / "agent.key").exists() or not (settings.state_folder / "agent.db").exists():
        return None
    with AgentStore(settings.state_folder) as store:
        return status(store, load(), 0)


__all__ = ["run"]
