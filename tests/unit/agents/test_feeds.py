"""Feeds and files of other machines: how far they are read, what stays when they fail, when they are read again."""

import shutil
import sqlite3
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

import agents.answers
import agents.runtime
from agents import Agent, connectors, fetchers
from agents.connectors.contract import Item, Marker, NoOptions, SourceError, SourceProblem
from agents.files import FileLedger, FileStatus
from agents.find import Place, places
from agents.parts import FilePart, make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from broker.protocol import identity
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Outcome
from mappings import Record
from schemas import SchemaSet
from tests.unit.agents.zone import Zone

FEED = 'connector = "told"\nmapping = ["csv/staff"]\n'
WHOLE = f'{FEED}complete = true\nmax_deletes = "50%"\n'
FILES = 'connector = "csv"\npath = "copy://office/reports/*.csv"\nmapping = ["csv/staff"]\n'
HEADINGS = "LA Number,Estab Number,Staff Code,Surname,Forename\n"


def person(code: str, surname: str = "Fenn") -> Record:
    fields = {"LA Number": "820", "Estab Number": "9901", "Staff Code": code, "Surname": surname, "Forename": "Orla"}
    return Record(f"row {code}", {name: value for name, value in fields.items() if value})


def pupil(number: int) -> Record:
    fields = {"LA Number": "820", "Estab Number": "9901", "UPN": f"A82099010000{number}", "Legal Surname": "Quill",
              "Legal Forename": "Isa", "DOB": "02/03/2015"}  # fmt: skip
    return Record(f"row {number}", fields)


@dataclass
class Told:
    """What the feed says at its next readings, an exception to raise it, and the markers that it was given."""

    answers: list[Sequence[Item | Marker | BaseException]] = field(default_factory=list)
    since: list[str] = field(default_factory=list)

    def says(self, *answer: Item | Marker | BaseException) -> None:
        self.answers.append(answer)


class _TellingFeed:
    Options: ClassVar[type[BaseModel]] = NoOptions
    name = "told staff"
    told: ClassVar[Told]

    def __init__(self, _options: BaseModel) -> None:
        return

    def read_since(self, marker: str) -> Iterator[Item | Marker]:
        self.told.since.append(marker)
        for item in self.told.answers.pop(0) if self.told.answers else ():
            if isinstance(item, BaseException):
                raise item
            yield item


class _CopyOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Path


class _CopyFetcher:
    """Fetches from a folder, so long as that is there."""

    Options: ClassVar[type[BaseModel]] = _CopyOptions

    def __init__(self, url: str, options: _CopyOptions) -> None:
        self._pattern, self._origin = url.rpartition("/")[2], options.origin

    def fetch(self, folder: Path) -> None:
        if not self._origin.is_dir():
            raise SourceError("office cannot be reached: check the network")
        there = {path.name: path for path in self._origin.glob(self._pattern)}
        for path in folder.iterdir():
            if path.name not in there:
                path.unlink()
        for name, path in there.items():
            if not (folder / name).exists() or (folder / name).read_bytes() != path.read_bytes():
                shutil.copy2(path, folder / name)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """A connector ``told`` and a fetcher for ``copy://`` are installed."""
    _TellingFeed.told = Told()
    find = connectors.find
    monkeypatch.setattr(connectors, "find", lambda name: _TellingFeed if name == "told" else find(name))
    monkeypatch.setattr(fetchers, "find", {"copy": _CopyFetcher}.__getitem__)
    return _TellingFeed.told


class Site:
    """An agent with one source."""

    def __init__(self, folder: Path, schema: SchemaSet, source: str = FEED) -> None:
        self.folder, self._schema = folder, schema
        self.file = folder / "mis.toml"
        self.write(source)

    def write(self, source: str) -> None:
        self.file.write_text(f'id = "mis-1"\nsettle = "0s"\n[[source]]\n{source}')

    def scan(
        self, *, due: bool = True, first: Callable[[Store, Spool, Scanner], None] = lambda *_: None
    ) -> Counter[str]:
        settings = read_settings(self.file)
        with Store(settings.state_folder) as store:
            spool, parts = Spool(store, settings.id, self._schema), make_parts(settings)
            scanner = Scanner(settings, parts, store, spool, threading.Event())
            first(store, spool, scanner)
            last = max((event.seq for event in spool.waiting(0)), default=0)
            for source in parts.sources:
                scanner.scan(source, retry=due)
            return Counter(str(event.action) for event in spool.waiting(last))

    @property
    def status(self) -> FileStatus:
        with Store(self.folder / ".mis-1") as store:
            (status,) = FileLedger(store).all()
            return status


@pytest.fixture
def site(tmp_path: Path, schema: SchemaSet) -> Site:
    return Site(tmp_path, schema)


# -- how far a feed is read --


def test_a_feed_is_read_on_from_its_last_marker_whenever_its_time_has_come(site: Site, told: Told) -> None:
    told.says(person("A"), person("B"), Marker("1"))
    assert site.scan() == {"Add": 2}
    assert site.scan(due=False) == {}
    told.says(person("B", "Marrow"), Marker("2"))
    assert site.scan() == {"Change": 1}
    site.scan()

    assert told.since == ["", "1", "2"]


def test_a_feed_that_fails_midway_is_read_again_from_where_it_began_and_nothing_is_sent_twice(
    site: Site, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.intake._MAPPED_AT_ONCE", 200)
    told.says(person("A"), Marker("1"))
    site.scan()
    told.says(*(person(f"B{n}") for n in range(250)), SourceError("the service does not answer"))
    assert site.scan() == {"Add": 200}
    assert (site.status.outcome, site.status.note) == ("failed", "the service does not answer")

    told.says(*(person(f"B{n}") for n in range(250)), Marker("2"))
    assert site.scan() == {"Add": 50}
    assert site.status.outcome == "read"
    assert told.since == ["", "1", "1"]


def test_what_precedes_a_page_that_fails_need_not_come_again(site: Site, told: Told) -> None:
    told.says(person("A"), Marker("page 2"), person("B"), SourceError("the service does not answer"))
    assert site.scan() == {"Add": 1}

    told.says(person("B"), Marker("end"))
    assert site.scan() == {"Add": 1}
    site.scan()
    assert told.since == ["", "page 2", "end"]


@pytest.mark.parametrize("at", [(Spool, "put"), (FileLedger, "mark")], ids=["record", "marker"])
def test_a_marker_is_kept_with_what_precedes_it_or_not_at_all(
    site: Site, told: Told, monkeypatch: pytest.MonkeyPatch, at: tuple[type[object], str]
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    told.says(person("A"), Marker("1"))
    with monkeypatch.context() as patched:
        patched.setattr(*at, killed)
        with pytest.raises(KeyboardInterrupt):
            site.scan()
    told.says(person("A"), Marker("1"), KeyboardInterrupt())
    added: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        site.scan(first=lambda _store, spool, _scanner: added.append(spool.count()))
    assert added == [0]

    site.scan(first=lambda _store, spool, _scanner: added.append(spool.count()))
    assert added == [0, 1]
    assert told.since == ["", "", "1"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("csv/staff", "csv/school"), ("complete = true", "complete = false"), ("csv/staff", "mine")],
    ids=["mapping", "setting", "mapping-of-the-site"],
)
def test_other_settings_or_mappings_let_a_feed_be_read_from_its_beginning(
    site: Site, told: Told, tmp_path: Path, before: str, after: str
) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/mine.toml").write_text('base = "csv/staff"\n')
    site.write(WHOLE)
    told.says(person("A"), Marker("1"))
    site.scan()
    site.write(WHOLE.replace(before, after))
    told.says(person("A"), Marker("2"))
    site.scan(due=False)
    assert told.since == ["", ""]


def test_a_feed_with_nothing_new_keeps_its_status_and_one_that_answers_again_has_no_longer_failed(
    site: Site, told: Told
) -> None:
    told.says(person("A"), person("B", ""), Marker("1"))
    site.scan()
    before = site.status
    assert (before.source, before.path, before.records, before.problems) == ("told staff", "told staff", 2, 1)
    site.scan()
    assert (site.status.records, site.status.problems, site.status.outcome) == (2, 1, "read")

    told.says(SourceError("the service does not answer"))
    site.scan()
    site.scan()
    assert (site.status.outcome, site.status.note) == ("read", "")


def test_a_record_is_found_in_a_feed_by_the_id_that_the_zone_has(site: Site, told: Told) -> None:
    told.says(person("A"), person("B"), Marker("1"))
    parts = make_parts(read_settings(site.file))
    with Store(site.folder / ".mis-1") as store:
        ref_id = store.keys.own("WorkforcePersonal", (store.keys.own("SchoolInfo", ("820", "9901")), "B"))
        assert list(places(parts, store.keys, ref_id)) == [Place("told staff", "row B", ("WorkforcePersonal",))]


def test_a_marker_too_long_to_be_one_is_refused(site: Site, told: Told) -> None:
    told.says(person("A"), Marker("x" * 4_001))

    assert site.scan() == {}
    assert "4,000 characters" in site.status.note


# -- what is gone --


def test_what_a_complete_marker_does_not_have_before_it_is_deleted(site: Site, told: Told) -> None:
    site.write(WHOLE)
    told.says(*map(person, "ABCD"), Marker("1", complete=True))
    site.scan()
    told.says(person("E"), Marker("2"))
    assert site.scan() == {"Add": 1}

    told.says(*map(person, "ABC"), Marker("3", complete=True))
    assert site.scan() == {"Delete": 2}


@pytest.mark.parametrize(
    ("source", "there", "note"),
    [
        (FEED, [person("A")], ""),
        (WHOLE, [person("A")], "3 objects are no longer in the system; nothing deleted: 3 of 4"),
        (WHOLE, [*map(person, "ABC"), person("D", "")], "nothing deleted: 1 records could not be used"),
        (WHOLE, [*map(person, "ABC"), SourceProblem("page 2", "cut", "ends early", incomplete=True)], "partial"),
    ],
    ids=["not-complete", "too-many", "record-refused", "incomplete"],
)
def test_nothing_is_deleted_that_would_not_be_of_a_file(
    site: Site, told: Told, source: str, there: list[Item], note: str
) -> None:
    site.write(source)
    told.says(*map(person, "ABCD"), Marker("1", complete=True))
    site.scan()
    told.says(*there, Marker("2", complete=True))

    assert site.scan()["Delete"] == 0
    assert note in site.status.note
    assert bool(note) == (site.status.outcome == "held")


# -- learners --


def test_what_was_left_out_of_a_feed_comes_from_its_beginning_when_the_zone_has_said_whose_it_is(
    site: Site, told: Told
) -> None:
    site.write(f"{FEED}locate = true\n".replace("csv/staff", "csv/learner"))

    def answer(store: Store, _spool: Spool, scanner: Scanner) -> None:
        learners = scanner._learners
        (claim,) = learners.to_ask()
        with store.transaction() as db:
            learners.located(db, [identity.Place(claim.key, Outcome.FOUND, RefId("A" * 32))])

    told.says(pupil(1), Marker("1"))
    assert site.scan() == {}
    assert site.status.waiting == 1
    told.says(SourceProblem("row 9", "odd", "reads oddly"), Marker("2"))
    site.scan()
    assert site.status.waiting == 1

    told.says(SourceError("the service does not answer"))
    assert site.scan(due=False, first=answer) == {}
    told.says(pupil(1), Marker("3"))
    assert site.scan(due=False) == {"Add": 1}
    site.scan()
    assert told.since == ["", "1", "", "", "3"]
    assert site.status.waiting == 0


# -- what an agent's file says of sources --


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (f'{FEED}path = "*.csv"\n', "source 1: path: connector 'told' reads no files: leave it out"),
        ('connector = "csv"\nmapping = ["csv/staff"]\n', "source 1: path: is missing: connector 'csv' reads files"),
        (f"{FEED}[[source]]\n{FEED}", "two sources read told staff: put their mappings into one, or give each a name"),
        (FILES, "source 1: fetch: option: origin: is missing"),
        (f"{FILES}[source.fetch]\norigin = 'x'\nmore = 1\n", "source 1: fetch: option: more: unknown setting"),
    ],
    ids=["path-of-a-feed", "no-path", "same-twice", "fetch-missing", "fetch-unknown"],
)
def test_a_source_that_cannot_be_is_refused(site: Site, source: str, words: str) -> None:
    site.write(source)

    with pytest.raises(ConfigurationError) as caught:
        make_parts(read_settings(site.file))
    assert words in str(caught.value)


def test_two_feeds_of_one_system_are_told_apart_by_names(site: Site, told: Told) -> None:
    site.write(f'{FEED}name = "first"\n[[source]]\n{FEED}name = "second"\n')
    told.says(person("A"), Marker("1"))
    told.says(person("A"), Marker("2"))
    site.scan()
    site.scan()
    assert told.since == ["", "", "1", "2"]


def test_a_database_is_a_feed(tmp_path: Path, schema: SchemaSet) -> None:
    with sqlite3.connect(tmp_path / "school.db") as db:
        db.execute('CREATE TABLE staff ("LA Number", "Estab Number", "Staff Code", Surname, Forename)')
        db.executemany("INSERT INTO staff VALUES ('820', '9901', ?, 'Fenn', 'Orla')", [("A",), ("B",)])
    source = 'connector = "sql"\nurl = "sqlite:///school.db"\ntable = "staff"\nmapping = ["csv/staff"]\n'
    site = Site(tmp_path, schema, f'{source}complete = true\nmax_deletes = "50%"\n')
    assert site.scan() == {"Add": 2}
    assert site.scan() == {}

    db.execute("DELETE FROM staff WHERE \"Staff Code\" = 'A'")
    db.commit()
    db.close()
    assert site.scan() == {"Delete": 1}


# -- files of another machine --


@pytest.fixture
def office(tmp_path: Path, schema: SchemaSet) -> Site:
    (tmp_path / "office").mkdir()
    return Site(tmp_path, schema, f"{FILES}[source.fetch]\norigin = '{tmp_path / 'office'}'\n")


def reports(folder: Path, **surnames: str) -> None:
    for code, surname in surnames.items():
        (folder / f"{code}.csv").write_text(f"{HEADINGS}820,9901,{code},{surname},Orla\n")


def test_files_are_fetched_to_a_folder_of_the_agents_own_and_read_there(office: Site, tmp_path: Path) -> None:
    reports(tmp_path / "office", A="Fenn", B="Fenn")
    assert office.scan() == {"Add": 2}
    reports(tmp_path / "office", B="Marrow")
    assert office.scan(due=False) == {}
    assert office.scan() == {"Change": 1}

    (part,) = make_parts(read_settings(office.file)).sources
    assert isinstance(part, FilePart)
    assert part.pattern.is_relative_to(tmp_path / ".mis-1/fetched")
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in list(part.pattern.parents)[:3]} == {0o700}
    assert part.watched is None


def test_a_machine_that_cannot_be_reached_is_told_and_what_was_fetched_before_stays(
    office: Site, tmp_path: Path
) -> None:
    reports(tmp_path / "office", A="Fenn")
    office.scan()
    (tmp_path / "office").rename(tmp_path / "gone")
    office.write(office.file.read_text().partition("[[source]]\n")[2].replace("csv/staff", "mine"))
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/mine.toml").write_text('base = "csv/staff"\n[fields]\n"LocalId" = "Surname"\n')
    assert office.scan() == {"Change": 1}
    with Store(tmp_path / ".mis-1") as store:
        told = {status.path: (status.outcome, status.note) for status in FileLedger(store).all()}
    assert told["copy://office/reports/*.csv"] == ("failed", "office cannot be reached: check the network")

    (tmp_path / "gone").rename(tmp_path / "office")
    office.scan()
    assert office.status.path.endswith("A.csv")


def test_what_was_fetched_for_a_source_that_is_no_more_is_removed(office: Site, tmp_path: Path) -> None:
    reports(tmp_path / "office", A="Fenn")
    office.scan()
    assert list((tmp_path / ".mis-1/fetched").rglob("*.csv"))

    office.write('connector = "csv"\npath = "*.csv"\nmapping = ["csv/staff"]\n')
    office.scan()
    assert list((tmp_path / ".mis-1/fetched").iterdir()) == []


def test_while_an_agent_runs_its_own_folders_are_watched_and_all_else_is_asked_when_its_time_has_come(
    office: Site, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.runtime, "_WAIT", 0.01)
    monkeypatch.setattr(agents.answers, "_WAIT", 0.02)
    (tmp_path / "local").mkdir()
    local = 'connector = "csv"\npath = "local/*.csv"\nmapping = ["csv/staff"]\nevery = "1d"\n'
    remote = (
        office.file.read_text().partition("[[source]]\n")[2].replace("[source.fetch]", 'every = "1s"\n[source.fetch]')
    )
    office.write(f'{local}[[source]]\n{FEED}every = "1s"\n[[source]]\n{remote}')
    zone = Zone("mis-1")
    with zone, Agent.from_file(office.file, zone.connect) as agent:
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            _until(lambda: bool(told.since))
            reports(tmp_path / "local", A="Fenn")
            reports(tmp_path / "office", B="Fenn")
            told.says(person("C"), Marker("1"))
            _until(lambda: len(zone.taken) == 3)
        finally:
            agent.stop()
            thread.join()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
