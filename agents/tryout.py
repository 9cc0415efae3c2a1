"""The command ``sifzone agent try``: an agent in a private zone, and what of its rows reaches a recipient there."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from lxml import etree
from rich.console import Console
from rich.table import Table

from agents.certify.outcomes import count
from agents.explained import explained
from agents.private_zone import MANAGEMENT_VARIABLE, RABBITMQ_VARIABLE, Server, given_server
from agents.settings import AgentSettings, read_settings
from broker.protocol.envelope import local_name
from broker.protocol.errors import SIF_ERRORS, ConfigurationError

if TYPE_CHECKING:
    from agents.files import FileStatus, Problem
    from agents.spool import Refused

Key = tuple[str, str]
EXAMPLES: Final = (
    "Examples: sifzone agent try mis-8209901/agent.toml · sifzone agent try mine.toml --show-values · "
    "sifzone agent try mine.toml --watch"
)
_PIPED_WIDTH: Final = 200
_MOST_PROBLEMS: Final = 20
_MOST_VALUES: Final = 14
_MOST_TYPES: Final = 6
_WORDS: Final = {"refuse": "not made", "warn": "made, with this"}
_TICK: Final = 1.0
_IDLE: Final = timedelta(seconds=0.5)
_PATIENCE: Final = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Looks:
    """How a trial is shown."""

    show_values: bool = False
    keep: bool = False
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What an agent's state says.

    Attributes:
        problems: Each with its file's name; first those for which something was not made.
        published: Objects by type.
    """

    files: Sequence["FileStatus"]
    problems: Sequence[tuple[str, "Problem"]]
    refusals: Sequence["Refused"]
    published: Mapping[str, int]


def try_agent(
    file: Annotated[Path, typer.Argument(help="The agent's file, for example mis-8209901/agent.toml.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until Ctrl-C, and show what each new file gives.")
    ] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show what the first objects hold. Personal data!")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the private zone's folder. Personal data is in it!")
    ] = False,
    rabbitmq: Annotated[
        str, typer.Option(envvar=RABBITMQ_VARIABLE, help="A RabbitMQ for tests, instead of one that is started.")
    ] = "",
    management: Annotated[str, typer.Option(envvar=MANAGEMENT_VARIABLE, help="Its management API.")] = "",
) -> None:
    """Try an agent in a zone of its own, which is gone afterwards; nothing reaches anybody.

    It reads its own files or system once; its own state, target and zone are not touched. Exit code 0: rows are
    flowing. 1: none are, or something could not be read. 2: its file is wrong, or there can be no private zone.
    """
    with explained():
        flowing = _try(read_settings(file), given_server(rabbitmq, management), Looks(show_values, keep, watch))
    if not flowing:
        raise typer.Exit(1)


def _try(settings: AgentSettings, server: Server | None, looks: Looks) -> bool:
    if settings.sources:
        return _try_sources(settings, server, looks)
    if settings.target is None:
        raise ConfigurationError(
            f"{settings.file}: neither [[source]] nor [target]: add what it reads or writes. What an agent does in "
            "Python its own tests try: agents.testing.Zone"
        )
    return _try_target(settings, server, looks)


def _try_sources(settings: AgentSettings, server: Server | None, looks: Looks) -> bool:
    # Imported here and below: every command of sifzone imports this module.
    from agents.copies import CopiedAgent, Copy
    from agents.parts import make_parts
    from agents.runtime import Limits
    from agents.surroundings import surroundings

    mapped = [mapping.object_type for part in make_parts(settings).sources for mapping in part.mappings]
    types = tuple(dict.fromkeys(mapped))
    arrivals = Counter[str]()
    _tell("A private zone starts, with a RabbitMQ of its own: this takes some seconds ...")
    with surroundings(
        settings.id, types, server=server, keep=looks.keep, told=lambda event: arrivals.update([event.object_type])
    ) as around:
        copy = Copy(settings.file, around.place / "agent", around.zone.url(settings.id))
        with CopiedAgent(copy) as agent, _progress() as progress:
            _tell(f"It is there. Agent {settings.id} reads {_sources_in_words(settings)} ...")
            if any(source.locates for source in settings.sources):
                _tell("(It does not ask whose record a learner is: nobody else's are in the private zone.)")
            agent.run(once=True, limits=Limits(_IDLE, _PATIENCE), progress=progress)
        around.settle()
        with CopiedAgent(copy) as agent:
            if len(around.recipient.objects()) < sum(_found(copy.state, settings).published.values()):
                agent.run(
                    once=True, limits=Limits(_IDLE, _PATIENCE)
                )  # for what the zone says of those that are missing
        flowing = report(copy.state, around.recipient.objects(), settings, looks)
        if around.bystander.count():
            _tell("WRONG: something reached a recipient without an agreement: report this")
        if looks.keep:
            _tell(f"Kept: {around.place} (personal data is in it: remove it when you have looked)")
        _next_steps(settings, types)
        if looks.watch:
            _tell("\nWatching: put a new export into its folder, or change one. Ctrl-C ends it.")
            with _arriving(arrivals), CopiedAgent(copy) as agent:
                agent.run()
    return flowing


def report(state: Path, arrived: Mapping[Key, etree._Element], settings: AgentSettings, looks: Looks) -> bool:
    """Show what came of it; return whether rows are flowing and everything could be read."""
    found = _found(state, settings)
    records = sum(file.records for file in found.files)
    if arrived:
        what = f"{count(len(arrived), 'object')} of {count(records, 'row')} reached the recipient"
        _tell(f"\nRows are flowing: {what}.\n")
    else:
        _tell(f"\nNO rows are flowing: of {count(records, 'row')} no object reached the recipient.")
        _tell(f"{_why_none(found.files, settings)}\n")
    lost = {(file, one.position) for file, one in found.problems if one.severity == "refuse"}
    if lost:
        _tell(f"{_of_rows(len(lost))} something was not made: why, and what to do, is in the table of problems.\n")
    for file in found.files:
        if file.outcome != "read":
            _tell(f"{Path(file.path).name}: {file.outcome}: {file.note}")
    console = _console()
    for table in _tables(found, arrived, looks):
        console.print(table)
    return bool(arrived) and all(file.outcome == "read" for file in found.files)


def _found(state: Path, settings: AgentSettings) -> "Found":
    """Return what the agent's state says after its pass."""
    import schemas
    from agents.files import FileLedger
    from agents.spool import Spool
    from agents.store import Store

    with Store(state) as store:
        ledger = FileLedger(store)
        files = ledger.all()
        spool = Spool(store, settings.id, schemas.load())
        problems = [(Path(file.path).name, one) for file in files for one in ledger.problems(file.source, file.path)]
        problems.sort(key=lambda each: each[1].severity != "refuse")
        return Found(files, problems, spool.refusals(), spool.published())


def _tables(found: "Found", arrived: Mapping[Key, etree._Element], looks: Looks) -> Iterator[Table]:
    """Yield the tables that have something to say."""
    reached = Counter(name for name, _ in arrived)
    yield _counts_table(found.published, reached, Counter(one.object_type for one in found.refusals))
    if arrived:
        yield _first_objects(arrived, looks)
    most = [
        (file, one.position, _WORDS[one.severity], one.place, one.message)
        for file, one in found.problems[:_MOST_PROBLEMS]
    ]
    if most:
        headings = ("File", "Where", "What came of it", "Object and path", "What to do")
        yield _table(f"Problems, by row: {sum(file.problems for file in found.files):,}", headings, most)
    if len(found.problems) > _MOST_PROBLEMS:
        rules = Counter((one.rule, one.place) for _, one in found.problems)
        by_rule = [(*rule, f"{number:,}") for rule, number in rules.most_common(_MOST_PROBLEMS)]
        yield _table("Problems, by rule", ("Rule", "Object and path", "Times"), by_rule)
    if found.refusals:
        reasons = Counter((one.object_type, one.category, one.code, one.reason) for one in found.refusals)
        refused = [
            (name, SIF_ERRORS.get((category, code), f"{category}/{code}"), reason, f"{number:,}")
            for (name, category, code, reason), number in reasons.most_common(_MOST_PROBLEMS)
        ]
        yield _table("Refused by the zone", ("Object", "It means", "Why", "Times"), refused)


def _of_rows(number: int) -> str:
    return "Of 1 row" if number == 1 else f"Of {number:,} rows"


def _why_none(files: Sequence["FileStatus"], settings: AgentSettings) -> str:
    if not files:
        return f"There is nothing to read: put an export where its path says: {_sources_in_words(settings)}"
    return "What is wrong stands below."


def _counts_table(published: Mapping[str, int], reached: Counter[str], refused: Counter[str]) -> Table:
    rows = [
        (name, f"{published.get(name, 0):,}", f"{reached[name]:,}", f"{refused[name]:,}")
        for name in sorted({*published, *reached, *refused})
    ]
    return _table("Objects", ("Object", "Published", "Reached the recipient", "Refused"), rows)


def _first_objects(arrived: Mapping[Key, etree._Element], looks: Looks) -> Table:
    from agents.workbench.masks import shape, shown

    rows = []
    first: dict[str, etree._Element] = {}
    for (name, _), element in arrived.items():
        first.setdefault(name, element)
    for name, element in list(first.items())[:_MOST_TYPES]:
        values = list(_values(element, ""))
        for path, text in values[:_MOST_VALUES]:
            is_plain = looks.show_values or path.endswith("RefId")  # which tells nothing but that it is the same
            rows.append((name, path, shown(text) if is_plain else shape(text)))
            name = ""  # said once
        if len(values) > _MOST_VALUES:
            rows.append(("", f"... and {len(values) - _MOST_VALUES} more", ""))
    how = "" if looks.show_values else ", letters and digits masked: --show-values shows them"
    return _table(f"The first of each object{how}", ("Object", "Element", "Value"), rows)


def _values(element: etree._Element, path: str) -> Iterator[tuple[str, str]]:
    for name, text in element.attrib.items():
        yield f"{path}/@{name!s}".lstrip("/"), str(text)
    if element.text and element.text.strip():
        yield path, element.text.strip()
    for child in element:
        yield from _values(child, f"{path}/{local_name(child)}".lstrip("/"))


def _try_target(settings: AgentSettings, server: Server | None, looks: Looks) -> bool:
    """Let an agent that only receives have made-up objects, and show what it writes."""
    from agents.certify.prepared import outward_mappings
    from agents.copies import CopiedAgent
    from agents.made_objects import object_types
    from agents.runtime import Limits
    from agents.target_trial import target_trial, why_not

    types = object_types(outward_mappings(settings))
    _tell("A private zone starts, with a RabbitMQ of its own: this takes some seconds ...")
    with target_trial(settings, types, server=server, keep=looks.keep) as trial:
        _tell(f"It is there, and {trial.sent:,} made-up objects wait. Agent {settings.id} receives them ...")
        with CopiedAgent(trial.copy) as agent:
            agent.run(once=True, limits=Limits(_IDLE, _PATIENCE))
            failed = agent.failed()
        received = trial.received()
        total = sum(received.values())
        if total:
            _tell(f"\nObjects are flowing: {total:,} of {trial.sent:,} made-up objects reached the agent.\n")
        else:
            _tell(f"\nNO objects are flowing: of {trial.sent:,} made-up objects none reached the agent.\n")
        rows = [(name, f"{number:,}") for name, number in received.items()]
        _console().print(_table("Received", ("Object", "Objects"), rows))
        written = [(name, f"{lines:,}") for name, lines in trial.tables().items()]
        if written:
            _console().print(_table("Written, in the trial's folder", ("File", "Lines"), written))
        if reason := why_not(settings):
            _tell(f"Nothing was written: {reason}")
        for one in failed[:_MOST_PROBLEMS]:
            _tell(f"could not be handled: {one.kind}: {one.reason}")
        if looks.keep:
            _tell(f"Kept: {trial.zone.place}")
        _next_steps(settings, (), types)
    return bool(total) and not failed


def _next_steps(settings: AgentSettings, publish: Sequence[str], subscribe: Sequence[str] = ()) -> None:
    from agents.surroundings import agreement_draft
    from agents.zone_files import ZoneAgent, entry_establishments, entry_lines

    schools = entry_establishments(settings.folder, settings.id)
    entry = ZoneAgent(settings.id, settings.name, schools, publish=publish, subscribe=subscribe)
    _tell(f"\nNext, have it certified:\n  sifzone certify {settings.file}")
    _tell("\nAsk the zone's administrator to put these lines into zone.toml:\n")
    for line in entry_lines(entry):
        _tell(f"  {line}")
    if publish:
        _tell("\nand, for each recipient, an agreement into agreements/ (what is in CAPITALS is for them to say):\n")
        for line in agreement_draft(settings.id, publish, datetime.now(UTC).date()).splitlines():
            _tell(f"  {line}")


def _sources_in_words(settings: AgentSettings) -> str:
    return ", ".join(source.path or source.name or source.connector for source in settings.sources)


@contextmanager
def _progress() -> Iterator[Callable[[Path, int], None]]:
    """Give what shows on a terminal how far a file is read."""
    console = Console(stderr=True, markup=False)
    if not sys.stderr.isatty():
        yield lambda _path, _records: None
        return
    with console.status("reading") as shown:
        yield lambda path, records: shown.update(f"{path.name}: {records:,} records")


@contextmanager
def _arriving(arrivals: Counter[str]) -> Iterator[None]:
    """Say, each second, what has reached the recipient since the last one."""
    stop = threading.Event()
    before = Counter(arrivals)

    def tell() -> None:
        nonlocal before
        while not stop.wait(_TICK):
            present = Counter(arrivals)
            new = present - before
            before = present
            if new:
                words = ", ".join(f"{number:,} {name}" for name, number in sorted(new.items()))
                _tell(f"{datetime.now(UTC).astimezone():%H:%M:%S} reached the recipient: {words}")

    thread = threading.Thread(target=tell, name="arrivals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _console() -> Console:
    return Console(markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def _tell(text: str) -> None:
    typer.echo(text)


__all__ = ["EXAMPLES", "Looks", "report", "try_agent"]
