"""The demo: a made-up authority's zone on real-format exports, shown live; ./deploy/quickstart runs it.

    python deploy/demo/run.py [--story] [--once] [--workers N] [--folder DIR]

Three schools' systems, social care and the plan tool publish what their exports hold; the learning platform and the
virtual school get what agreements share. Then the next day's exports arrive and only the changes flow. With --once it
ends by itself, prints the reconciliation and exits 1 when the books do not balance. --story: see story.py.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the demo is no installed package

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.settings import AgentSettings, read_settings
from agents.show import status
from agents.store import Store as AgentStore
from broker.logs import configure_logging
from broker.protocol.errors import ZoneError
from broker.settings import load_zone
from broker.storage import Store, open_store
from broker.supervisor import RunningZone
from deploy.demo import generate, story
from deploy.demo.folder import make_folder, set_clock, shown
from schemas import load

PATIENCE: Final = 180.0
"""Seconds without progress after which the demo gives up."""
CALM: Final = 2.0
"""Seconds in which nothing may move before everything counts as arrived."""
WRITING: Final = 20.0
"""Seconds within which the learning platform's agent writes what it has received."""
_CLOCK_GRAIN: Final = 0.02
"""Seconds by which a file's time may lie before the clock's."""
_PLAIN_WIDTH: Final = 130
_UNKNOWN: Final = ("asked", "waiting", "none")
"""What agents say of learners while the zone has not said whose record they are."""
console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)


@dataclass(frozen=True, slots=True)
class Book:
    """One line of the reconciliation: messages about one object that an agent sent, or received.

    Attributes:
        agent_counts: As the agent's own books have it; ``zone_counts`` as the zone's ledger has it. What the zone
            itself has sent is in its ledger alone.
        refused: Of those sent; None for a receiver.
        due: How many deliveries there were to decide about: one for each subscriber and accepted message.
    """

    agent: str
    object_type: str
    agent_counts: int
    zone_counts: int
    refused: int | None
    due: int
    delivered: int
    withheld: int

    @property
    def balanced(self) -> bool:
        """Whether both count the same, and all that was due is accounted for."""
        return self.agent_counts == self.zone_counts and self.due == self.delivered + self.withheld


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is counted at one moment.

    Attributes:
        unread: Files that an agent has not read yet as they now are.
        waiting: Events in the agents' spools.
        unknown: Learners of whom an agent does not know yet whose record they are.
        entering: Whether somebody's record is on its way to who has come to be entitled to it.
    """

    published: tuple[Book, ...]
    received: tuple[Book, ...]
    unbalanced: int
    unread: int
    waiting: int
    held: int
    unknown: int
    entering: bool

    @property
    def balanced(self) -> bool:
        """Whether the zone and its agents agree, and within the zone each message is accounted for."""
        books = (*self.published, *self.received)
        under_way = self.unread or self.waiting or self.unknown or self.entering
        return not self.unbalanced and not under_way and all(book.balanced for book in books)


class Demo:
    """The demo's working folder, its zone and what is to be seen of them.

    Attributes:
        agents: The settings of the agents that run with the zone, by id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: dict[str, AgentSettings] = {}
        self._files_due = 0.0

    def prepare(self) -> Mapping[str, Any]:
        """Make the folder anew, with the zone's settings and the first day's exports."""
        make_folder(self.folder)
        for file in sorted((self.folder / "agents").glob("*.toml")):
            settings = read_settings(file)
            self.agents[settings.id] = settings
        return self.export(changed=False)

    def export(self, *, changed: bool) -> Mapping[str, Any]:
        """Let the schools write their exports of the first or the next day; return what is expected of them."""
        self._files_due = time.time() - _CLOCK_GRAIN
        return generate.write(self.folder, changed=changed)

    def look(self, store: Store) -> Picture:
        """Count everything, from the agents' own books and from the zone's."""
        states = {agent: state for agent, settings in self.agents.items() if (state := _state(settings)) is not None}
        published, received = [], []
        rows = store.reconcile()
        for row in rows:
            if row.object_type:
                taken = row.accepted + row.refused
                sent = states.get(row.source, {}).get("messages_sent", {}).get(row.object_type, 0)
                if row.source not in self.agents:
                    sent = taken
                due = (row.considered, row.delivered, row.withheld)
                published.append(Book(row.source, row.object_type, sent, taken, row.refused, *due))
        totals: dict[tuple[str, str], tuple[int, int]] = {}
        for recipient in store.recipients():
            delivered, withheld = totals.get((recipient.agent, recipient.object_type), (0, 0))
            key = (recipient.agent, recipient.object_type)
            totals[key] = (delivered + recipient.delivered, withheld + recipient.withheld)
        for (agent, object_type), (delivered, withheld) in sorted(totals.items()):
            got = states.get(agent, {}).get("messages_received", {}).get(object_type, 0)
            received.append(Book(agent, object_type, got, delivered, None, delivered + withheld, delivered, withheld))
        return Picture(
            tuple(published),
            tuple(received),
            sum(row.unbalanced for row in rows),
            sum(self._unread(settings, states.get(agent)) for agent, settings in self.agents.items()),
            sum(state["waiting"] for state in states.values()),
            store.quarantine_counts()["held"],
            sum(state["learners"].get(outcome, 0) for state in states.values() for outcome in _UNKNOWN),
            bool(store.entering(limit=1)),
        )

    def _unread(self, settings: AgentSettings, state: Mapping[str, Any] | None) -> int:
        """Return how many of an agent's files it has not read since the last exports were written."""
        read = {file["path"]: file["read_at"] for file in state["files"]} if state else {}
        due = datetime.fromtimestamp(self._files_due, UTC).isoformat()
        wanted = {
            str(path) for source in settings.sources for path in _glob(settings.pattern(source)) if self._is_due(path)
        }
        return sum(read.get(path, "") < due for path in wanted)

    def _is_due(self, path: Path) -> bool:
        return path.stat().st_mtime >= self._files_due


def _glob(pattern: Path) -> Iterator[Path]:
    return pattern.parent.glob(pattern.name)


def _state(settings: AgentSettings) -> Mapping[str, Any] | None:
    """Return an agent's own account of itself; None while it has none."""
    if not (settings.state_folder / "agent.key").exists() or not (settings.state_folder / "agent.db").exists():
        return None
    with AgentStore(settings.state_folder) as store:
        return status(store, load(), 0)


def _await(demo: Demo, running: RunningZone, store: Store, show: Callable[[Picture], None]) -> Picture:
    """Wait until everything has arrived and the books are calm; give up after PATIENCE without any progress."""
    last, since = demo.look(store), time.monotonic()
    while True:
        running.check()
        time.sleep(0.5)
        picture = demo.look(store)
        show(picture)
        if picture != last:
            last, since = picture, time.monotonic()
        calm = time.monotonic() - since
        if (picture.balanced and calm > CALM) or calm > PATIENCE:
            return picture


def _flow(picture: Picture, title: str) -> Group:
    """Return what flows, as two tables: from the schools, and to those who receive; one line an agent."""
    sent = Table("From", "Sent", "Taken by the zone", "Refused", title=title, title_justify="left")
    got = Table("To", "Received", "Delivered by the zone", "Withheld")
    for table, books in ((sent, picture.published), (got, picture.received)):
        for agent in dict.fromkeys(book.agent for book in books):
            own = [book for book in books if book.agent == agent]
            last = sum(book.withheld if book.refused is None else book.refused for book in own)
            counts = (sum(book.agent_counts for book in own), sum(book.zone_counts for book in own), last)
            table.add_row(agent, *(f"{count:,}" for count in counts))
    waiting = f"{picture.unread} files to read, {picture.waiting:,} events in the agents' spools"
    return Group(sent, got, Text(waiting, "dim"))


@contextmanager
def _shown(title: str) -> Iterator[Callable[[Picture], None]]:
    """Give a way to show pictures: live on a terminal, else nothing until the end."""
    if not console.is_terminal:
        console.print(f"{title} ...")
        yield lambda _picture: None
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield lambda picture: live.update(_flow(picture, title))


def _reconciliation(picture: Picture, agents: Container[str]) -> Table:
    table = Table(title="Reconciliation: the agents' own books against the zone's", title_justify="left")
    table.add_column("Agent")
    table.add_column("Object")
    for heading in ("Agent's books", "Zone's books", "Refused", "Due", "Delivered", "Withheld"):
        table.add_column(heading, justify="right")
    table.add_column("Balance")
    for direction, books in (("sent", picture.published), ("got", picture.received)):
        for book in books:
            numbers = (book.zone_counts, book.refused, book.due, book.delivered, book.withheld)
            table.add_row(
                book.agent,
                book.object_type,
                f"{book.agent_counts:,} {direction}" if book.agent in agents else "the zone's own",
                *("" if number is None else f"{number:,}" for number in numbers),
                Text("balances", "green") if book.balanced else Text("OFF", "bold red"),
            )
        table.add_section()
    return table


def _summary(demo: Demo, expected: Mapping[str, Any], picture: Picture) -> list[str]:
    """Print what the receivers have, and return what is not as it should be."""
    problems: list[str] = []
    wanted = sum(school["accounts"] for school in expected["schools"].values())
    users = demo.folder / "out" / "merlin" / "current" / "users.csv"
    pupils = _await_accounts(users, wanted)
    console.print(f"Merlin, the learning platform, has {pupils:,} pupils' accounts in {users}")
    state = _state(read_settings(demo.folder / "agents" / "virtual-school.toml"))
    learners = state["received"].get("LearnerPersonal", 0) if state else 0
    console.print(
        f"The virtual school has {learners} looked-after learners, and nobody else; one school is yet to be told."
    )
    console.print(f"{picture.held} message(s) wait in quarantine for somebody to mend or discard them.")
    if pupils != wanted:
        problems.append(f"the learning platform should have {wanted} pupils and has {pupils}")
    if learners != len(expected["in_care"]):
        problems.append(f"the virtual school should have {len(expected['in_care'])} learners and has {learners}")
    if not picture.balanced:
        problems.append("the books do not balance")
    return problems


def _await_accounts(users: Path, wanted: int) -> int:
    """Return how many pupils the learning platform has; it writes its files every few seconds."""
    until = time.monotonic() + WRITING
    while True:
        lines = users.read_text(encoding="utf-8").splitlines() if users.exists() else []
        pupils = sum(line.split(",", 6)[3:6:2] == ["true", "student"] for line in lines)
        if pupils == wanted or time.monotonic() > until:
            return pupils
        time.sleep(0.5)


def _next_steps(demo: Demo) -> None:
    zone = shown(demo.folder)
    console.print("\nLook around (in another terminal while it runs, or afterwards):")
    for command in (
        f"sifzone virtual-school roll {zone}/agents/virtual-school.toml",
        f"sifzone agent status {zone}/agents/mis-8209901.toml",
        f"sifzone transfers list --zone {zone}",
        f"sifzone quarantine list --zone {zone}",
        f"sifzone ledger --limit 20 --zone {zone}",
        f"sifzone check --zone {zone}",
    ):
        console.print(f"  .venv/bin/{command}", highlight=False)


def run(demo: Demo, workers: int, *, once: bool) -> int:
    """Run the demo; return the exit code."""
    started = time.monotonic()
    expected = demo.prepare()
    pupils = sum(school["pupils"] for school in expected["schools"].values())
    console.print(
        f"Three made-up schools with {pupils} pupils have written their exports to {demo.folder / 'schools'}."
    )
    console.print("Starting RabbitMQ, the zone and its agents ...")
    zone = load_zone(demo.folder)
    set_clock(zone)
    with (
        (demo.folder / "zone.log").open("w") as logged,
        RunningZone(zone, workers, agents=True, log_file=logged.fileno()) as running,
        open_store(running.zone.database_url, running.zone.key_file) as store,
    ):
        with _shown("The schools' exports are read; what agreements share, flows") as show:
            first = _await(demo, running, store, show)
        console.print(_flow(first, f"After the first export ({time.monotonic() - started:.0f} s)"))
        expected = demo.export(changed=True)
        with _shown("The next day's exports arrive; only what changed, flows") as show:
            second = _await(demo, running, store, show)
        _print_changes(first, second)
        console.print(_reconciliation(second, demo.agents))
        problems = _summary(demo, expected, second)
        for problem in problems:
            console.print(f"[bold red]Not as it should be:[/bold red] {problem}")
        _next_steps(demo)
        if not once:
            _stay(demo, running, store)
    return 1 if problems else 0


def _print_changes(first: Picture, second: Picture) -> None:
    before = {
        (book.agent, book.object_type, book.refused is None): book.agent_counts
        for book in (*first.published, *first.received)
    }
    table = Table(
        "Agent", "Object", "Messages", title="The next day's exports: only what changed", title_justify="left"
    )
    for book in (*second.published, *second.received):
        more = book.agent_counts - before.get((book.agent, book.object_type, book.refused is None), 0)
        if more:
            table.add_row(book.agent, book.object_type, f"{more:,}")
    console.print(table)


def _stay(demo: Demo, running: RunningZone, store: Store) -> None:
    console.print("\nThe zone goes on: change a file below schools/ and watch. Ctrl-C ends it.")
    with suppress(KeyboardInterrupt), _shown("The zone is running") as show:
        while True:
            running.check()
            time.sleep(1)
            show(demo.look(store))


def main() -> int:
    """Read the command line and run; exit code 0 when all balances, 1 when not, 2 when it could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="end by itself; exit 1 when the books do not balance")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of the zone (default 1)")
    parser.add_argument(
        "--story", action="store_true", help="tell the story of looked-after learners who change school"
    )
    parser.add_argument("--folder", type=Path, help="working folder, made anew (default var/demo, or var/story)")
    options = parser.parse_args()
    configure_logging(level=logging.ERROR)
    folder = (options.folder or ROOT / "var" / ("story" if options.story else "demo")).resolve()
    try:
        if options.story:
            return story.run(folder, options.workers, once=options.once, console=console)
        return run(Demo(folder), options.workers, once=options.once)
    except ZoneError as error:
        console.print(f"[red]The demo could not run:[/red] {error}")
        return 2
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
