"""Rows that say that their objects are gone: what is deleted for them, when, and what is held back."""

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from agents.connectors.contract import FileSource, Item, Marker, NoOptions, SourceError
from agents.files import FileLedger, FileStatus
from agents.parts import FeedPart, FilePart, make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.stopping import Stopped
from agents.store import Store
from mappings import Record
from schemas import SchemaSet

HEADINGS = "LA Number,Estab Number,Staff Code,Surname,Forename,Status,School Name\n"
MAPPINGS = {
    "staff": 'base = "csv/staff"\ngone = { Status = "Left" }\n',
    "school": 'base = "csv/school"\ngone = { Status = "Shut" }\n',
    "closed": 'base = "csv/staff"\ngone = { Status = ["Left", "Shut"] }\n',
}
OFFICE = 'connector = "csv"\npath = "*.csv"\nmapping = ["staff"]\n'
ADDED, CHANGED, DELETED = ({f"WorkforcePersonal {action}": 1} for action in ("Add", "Change", "Delete"))
DAMAGED = "Damaged"
Actions = dict[str, int]


def row(code: str, status: str = "", name: str = "Fenn") -> str:
    return f"820,9901,{code},{name},Orla,{status},Pellworth\n"


class Site:
    """One agent with a source of staff; what is scanned is taken by the zone at once."""

    def __init__(self, folder: Path, schema: SchemaSet) -> None:
        self.folder, self._schema = folder, schema
        self.file = folder / "mis.toml"
        (folder / "mappings").mkdir()
        for name, text in MAPPINGS.items():
            (folder / f"mappings/{name}.toml").write_text(text)
        self.write(OFFICE)

    def write(self, source: str) -> None:
        self.file.write_text(f'id = "mis-1"\nsettle = "0s"\n[source]\n{source}')

    def scan(self, *rows: str, name: str = "staff.csv", stop_at: int = 0) -> Actions:
        """Read the file with these rows, as a process of its own would; it may be stopped after some."""
        if rows:
            (self.folder / name).write_text(HEADINGS + "".join(rows))
        return dict(Counter(self.events(stop_at=stop_at)))

    def events(self, feed: Sequence[Item | Marker] | None = None, stop_at: int = 0) -> list[str]:
        settings, stop = read_settings(self.file), threading.Event()
        with Store(settings.state_folder) as store:
            spool, parts = Spool(store, settings.id, self._schema), make_parts(settings)
            source = parts.sources[0]
            if feed is not None:
                source = FeedPart("staff", source.settings, source.mappings, _Feed(feed))
            elif isinstance(source, FilePart):
                source = replace(source, connector=_MayBeDamaged(source.connector))
            parts = replace(parts, sources=(source,))

            def progress(_path: Path, records: int) -> None:
                if 0 < stop_at <= records:
                    stop.set()

            try:
                Scanner(settings, parts, store, spool, stop, progress).scan(source, retry=feed is not None)
            except Stopped:
                assert stop_at
            events = spool.waiting(0, 10_000)
            spool.confirmed(events)
            return [f"{event.object_type} {event.action}" for event in events]

    def status(self) -> FileStatus:
        with Store(read_settings(self.file).state_folder) as store:
            return FileLedger(store).all()[-1]


class _MayBeDamaged:
    """Reads up to where a row says that the file is damaged there."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, connector: FileSource) -> None:
        self._connector = connector

    def read(self, path: Path) -> Iterator[Item]:
        for item in self._connector.read(path):
            if isinstance(item, Record) and item.fields["Surname"] == DAMAGED:
                raise SourceError("damaged: export it again")
            yield item


class _Feed:
    Options: ClassVar[type[BaseModel]] = NoOptions
    since: ClassVar[list[str]] = []

    def __init__(self, items: Sequence[Item | Marker]) -> None:
        self._items = items

    def read_since(self, marker: str) -> Iterator[Item | Marker]:
        self.since.append(marker)
        yield from self._items


@pytest.fixture
def office(tmp_path: Path, schema: SchemaSet) -> Site:
    return Site(tmp_path, schema)


def test_what_a_row_says_is_gone_is_deleted_once_and_added_when_it_is_back(office: Site) -> None:
    assert office.scan(row("A"), row("B"), row("C")) == {"WorkforcePersonal Add": 3}

    assert office.scan(row("A"), row("B", "Left"), row("C")) == DELETED
    assert office.scan(row("C"), row("B", "Left"), row("A")) == {}
    assert office.scan(row("A"), row("B"), row("C")) == ADDED
    assert office.scan(row("A"), row("B", "Left"), row("C")) == DELETED
    status = office.status()
    assert (status.outcome, status.records, status.objects, status.events) == ("read", 3, 2, 1)


def test_what_was_never_published_or_is_anothers_is_not_deleted(office: Site) -> None:
    office.scan(row("A"))

    assert office.scan(row("A"), row("Z", "Left")) == {}
    office.write(OFFICE.replace("*.csv", "other.csv"))
    assert office.scan(row("A", "Left"), name="other.csv") == {}


@pytest.mark.parametrize("rows", [[row("A", "Left"), row("A")], [row("A"), row("A", "Left")]], ids=["first", "last"])
def test_a_row_that_is_not_gone_counts_wherever_it_stands(office: Site, rows: list[str]) -> None:
    office.scan(row("A"), row("B"))

    assert office.scan(*rows, row("B", name="Marrow")) == CHANGED


@pytest.mark.parametrize("complete", [False, True])
def test_what_points_at_others_is_deleted_before_them(office: Site, complete: bool) -> None:
    office.write(OFFICE.replace('"staff"', '"school", "closed"') + f"complete = {str(complete).lower()}\n")
    office.scan(row("A"), row("B"))

    office.folder.joinpath("staff.csv").write_text(HEADINGS + row("A", "Shut") + row("B", "Shut"))
    assert office.events() == ["WorkforcePersonal Delete"] * 2 + ["SchoolInfo Delete"]


def test_a_row_of_which_one_mapping_makes_something_and_another_not_is_mapped_each_time(office: Site) -> None:
    office.write(OFFICE.replace('"staff"', '"school", "staff"'))
    assert office.scan(row("A", "Left"), row("B")) == {"SchoolInfo Add": 1, "WorkforcePersonal Add": 1}
    office.scan(row("A"), name="later.csv")

    assert office.scan(row("A", "Left"), row("B", name="Marrow")) == {**CHANGED, **DELETED}


@pytest.mark.parametrize("complete", [False, True])
def test_an_export_that_marks_too_many_as_gone_deletes_nothing_until_the_limit_is_raised(
    office: Site, complete: bool
) -> None:
    source = f"{OFFICE}complete = {str(complete).lower()}\n"
    office.write(source)
    office.scan(*(row(f"A{n}") for n in range(20)))

    assert office.scan(*(row(f"A{n}", "Left" if n < 6 else "") for n in range(20))) == {}
    status = office.status()
    assert status.outcome == "held"
    assert status.note.startswith(
        "6 objects are said to be gone by the file; nothing deleted: 6 of 20 WorkforcePersonal"
    )

    office.write(f'{source}max_deletes = "30%"\n')
    assert office.scan() == {"WorkforcePersonal Delete": 6}


def test_a_few_are_taken_at_their_word_however_small_the_source_and_others_may_not_be_missing_besides(
    office: Site,
) -> None:
    office.write(f"{OFFICE}complete = true\n")
    office.scan(*(row(f"A{n}") for n in range(6)))

    assert office.scan(*(row(f"A{n}", "Left" if n else "") for n in range(5))) == {"WorkforcePersonal Delete": 4}
    assert office.status().outcome == "held"
    assert office.status().note.startswith("1 objects are no longer in the file; nothing deleted: 5 of 6")


def test_what_is_gone_is_deleted_though_a_reading_was_stopped_after_it(
    office: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.intake._MAPPED_AT_ONCE", 100)
    rows = [row(f"A{n}") for n in range(2, 450)]
    office.scan(row("A0"), row("A1"), *rows)
    rows = [row("A0", "Left"), row("A1", name="Marrow"), *(row(f"A{n}", name="Quill") for n in range(2, 450))]

    assert office.scan(*rows, stop_at=100) == {"WorkforcePersonal Change": 198}
    assert office.scan() == {"WorkforcePersonal Change": 251, **DELETED}


def test_an_older_file_that_is_read_once_more_deletes_nothing(office: Site) -> None:
    office.scan(row("A", "Left"), name="1.csv")
    office.scan(row("A"), name="2.csv")
    os.utime(office.folder / "1.csv", (1_000_000_000, 1_000_000_000))
    office.scan()
    with Store(read_settings(office.file).state_folder) as store, store.transaction() as db:
        FileLedger.read_again(db, all_files=True)

    assert office.scan() == {}


def test_a_file_that_turns_out_to_be_damaged_deletes_nothing(office: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BATCH", "_MAPPED_AT_ONCE"):
        monkeypatch.setattr(f"agents.intake.{name}", 1)
    office.scan(row("A"), row("B"))
    rows = [row("A", "Left"), row("B", name="Marrow"), row("C", name=DAMAGED)]

    assert office.scan(*rows) == CHANGED
    assert office.status().outcome == "failed"
    assert office.scan(*rows[:2]) == DELETED


def person(code: str, status: str = "") -> Record:
    fields = {"LA Number": "820", "Estab Number": "9901", "Staff Code": code, "Surname": "Fenn", "Forename": "Orla"}
    return Record(f"row {code}", {**fields, **({"Status": status} if status else {})})


def test_a_feed_from_which_deletes_are_held_is_read_from_the_same_place_again(office: Site) -> None:
    _Feed.since.clear()
    office.events([*(person(f"A{n}") for n in range(20)), Marker("1")])
    left = [person(f"A{n}", "Left") for n in range(8)]

    assert office.events([*left[:3], Marker("2")]) == ["WorkforcePersonal Delete"] * 3
    assert office.events([*left[2:], person("A9"), Marker("3")]) == ["WorkforcePersonal Delete"] * 5
    assert office.events([*(person(f"A{n}", "Left") for n in range(8, 14)), Marker("4")]) == []
    assert office.status().outcome == "held"
    assert office.events([person("A8", "Left"), Marker("5")]) == ["WorkforcePersonal Delete"]
    assert office.events([Marker("6")]) == []
    assert _Feed.since == ["", "1", "2", "3", "3", "5"]
