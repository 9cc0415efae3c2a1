"""Records that are as they were: they are not mapped again, and nothing comes out otherwise than if they were."""

import os
import random
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from agents.files import FileLedger, Problem
from agents.learners import Learners
from agents.parts import make_parts
from agents.remembered import Remembered
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import Action, event_objects, parse_message
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Outcome, Place
from mappings import InwardMapping, Record, RefIds, Translation
from schemas import SchemaSet
from tests.unit.agents.helpers import parse

LONG = os.environ.get("SIFZONE_LONG") == "1"
HEADINGS = "LA Number,Estab Number,Staff Code,Surname,Forename,Work Email,Note,School Name\n"
OFFICE = 'connector = "csv"\npath = "staff.csv"\nmapping = ["csv/staff"]\ncomplete = true\nmax_deletes = "100%"\n'
Event = tuple[str, str, str, str]
Said = tuple[str, str, int, int, int, str, Problem | None]


def row(code: str, name: str = "Fenn", email: str = "", note: str = "", school: str = "Pellworth") -> str:
    return f"820,9901,{code},{name},Orla,{email},{note},{school}\n"


class Site:
    """One agent with a file of staff."""

    def __init__(self, folder: Path, schema: SchemaSet, source: str = OFFICE) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self._schema = folder, schema
        self.file = folder / "mis.toml"
        self.write(source)

    def write(self, source: str) -> None:
        self.file.write_text(f'id = "mis-1"\nsettle = "0s"\n[[source]]\n{source}')

    def put(self, *rows: str, name: str = "staff.csv") -> None:
        """Write the file anew; a blank line more makes it another file each time."""
        path = self.folder / name
        blank = "\n" * (path.read_text().count("\n\n") + 2 if path.exists() else 1)
        path.write_text(HEADINGS + "".join(rows) + blank)

    def scan(
        self, *, before: Callable[[Store, Spool], None] = lambda _store, _spool: None
    ) -> tuple[list[Event], list[Said]]:
        """Read; return the events that came of it and the record of files with its problems, in full."""
        settings = read_settings(self.file)
        with Store(settings.state_folder) as store:
            spool = Spool(store, settings.id, self._schema)
            before(store, spool)
            parts, last = make_parts(settings), max((event.seq for event in spool.waiting(0)), default=0)
            scanner = Scanner(settings, parts, store, spool, threading.Event())
            for source in parts.sources:
                scanner.scan(source)
            events: list[Event] = [
                (event.object_type, str(event.action), event.ref_id, _content(event.body))
                for event in spool.waiting(last)
            ]
            ledger = FileLedger(store)
            said: list[Said] = [
                (Path(f.path).name, f.outcome, f.records, f.objects, f.events, f.note, p)
                for f in ledger.all()
                for p in (None, *ledger.problems(f.source, f.path))
            ]
            return events, said

    def actions(self) -> Counter[str]:
        return Counter(action for _, action, *_ in self.scan()[0])

    def rules(self) -> list[tuple[str, str]]:
        return [(said[-1].position, said[-1].rule) for said in self.scan()[1] if said[-1] is not None]

    def remembered(self) -> int:
        with Store(self.folder / ".mis-1") as store:
            return int(store.query("SELECT count(DISTINCT digest) FROM records")[0][0])


def _content(body: bytes) -> str:
    (event,) = event_objects(parse_message(body))
    return etree.tostring(event.element, method="c14n2").decode()


@pytest.fixture
def office(tmp_path: Path, schema: SchemaSet) -> Site:
    return Site(tmp_path, schema)


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The positions of the records that are mapped, as they are."""
    positions: list[str] = []
    translate = InwardMapping.translate

    def noted(mapping: InwardMapping, record: Record, ref_ids: RefIds) -> Translation:
        positions.append(record.position)
        return translate(mapping, record, ref_ids)

    monkeypatch.setattr(InwardMapping, "translate", noted)
    return positions


def test_only_rows_that_differ_are_mapped_again_and_the_others_count_as_there(office: Site, mapped: list[str]) -> None:
    codes = [f"A{n}" for n in range(450)]
    office.put(*map(row, codes))
    assert office.actions() == {"Add": 450}
    assert len(mapped) == 450

    mapped.clear()
    office.put(*map(row, codes))
    assert office.scan()[0] == []
    assert mapped == []

    office.put(*map(row, codes[:-1]), row(codes[-1], "Marrow"))
    ((_, action, *_),), ((_, outcome, records, objects, *_),) = office.scan()
    assert (action, outcome, records, objects) == ("Change", "read", 450, 450)
    assert mapped == ["row 451"]


def test_a_row_that_has_moved_is_the_same_and_one_under_other_settings_is_not(office: Site, mapped: list[str]) -> None:
    office.put(row("A"), row("B"))
    office.scan()
    mapped.clear()

    office.put(row("B"), row("A"))
    office.scan()
    assert mapped == []

    office.write(OFFICE.replace("100%", "50%"))
    office.scan()
    assert mapped == ["row 2", "row 3"]


def test_what_is_wrong_with_a_row_is_reported_each_time_that_it_is_read(office: Site) -> None:
    rows = [row("A"), row("B", email="no address"), row("C", name=""), row("D"), row("D", "Marrow")]
    found = [("row 3", "email"), ("row 4", "mandatory"), ("row 6", "twice")]
    office.put(*rows)
    assert sorted(office.rules()) == found

    office.put(*rows)
    assert sorted(office.rules()) == found


def test_a_row_that_another_file_has_overtaken_is_mapped_and_sent_again(
    tmp_path: Path, schema: SchemaSet, mapped: list[str]
) -> None:
    site = Site(tmp_path, schema, 'connector = "csv"\npath = "*.csv"\nmapping = ["csv/staff"]\n')
    site.put(row("A", "Old"), row("B"), name="1.csv")
    site.scan()
    site.put(row("A", "New"), name="2.csv")
    assert site.actions() == {"Change": 1}
    mapped.clear()

    site.put(row("A", "Old"), row("B"), name="1.csv")
    assert site.actions() == {"Change": 1}
    assert mapped == ["row 2"]


def test_an_object_that_python_has_deleted_is_no_longer_known_by_its_row(office: Site, mapped: list[str]) -> None:
    office.put(row("A"), row("B"))
    office.scan()
    mapped.clear()

    def delete(store: Store, spool: Spool) -> None:
        ref_id = store.query("SELECT ref_id FROM sync ORDER BY ref_id LIMIT 1")[0][0]
        with store.transaction() as db:
            spool.send(db, Action.DELETE, parse(f"<WorkforcePersonal RefId='{ref_id}'/>"))

    office.put(row("A"), row("B"))
    office.scan(before=delete)
    assert len(mapped) == 1


def test_no_more_records_are_remembered_than_the_source_has(office: Site) -> None:
    office.put(*(row(f"A{n}", note="first") for n in range(5)))
    office.scan()
    office.put(*(row(f"A{n}", note="second") for n in range(4)))
    office.scan()
    assert office.remembered() == 4

    office.write('connector = "csv"\npath = "other.csv"\nmapping = ["csv/staff"]\n')
    office.scan()
    assert office.remembered() == 0


def test_what_the_zone_says_of_learners_lets_each_record_be_mapped_again(
    tmp_path: Path, schema: SchemaSet, mapped: list[str]
) -> None:
    """A contact person has a key made of the learner's RefId, and stays published when that changes."""
    source = OFFICE.replace("staff.csv", "pupils.csv").replace("csv/staff", "csv/learner")
    contacts = OFFICE.replace("staff.csv", "contacts.csv").replace("csv/staff", "csv/contact-person")
    site = Site(tmp_path, schema, f"locate = true\n{source}[[source]]\n{contacts}")
    (tmp_path / "pupils.csv").write_text(
        "LA Number,Estab Number,UPN,Legal Surname,Legal Forename,DOB\n820,9901,A820990100001,Quill,Isa,02/03/2015\n"
    )
    (tmp_path / "contacts.csv").write_text("UPN,Surname,Forename\nA820990100001,Fenn,Orla\n")
    first, second = RefId("A" * 32), RefId("B" * 32)

    def found(ref_id: RefId) -> Callable[[Store, Spool], None]:
        def tell(store: Store, spool: Spool) -> None:
            own = store.keys.own("LearnerPersonal", ("A820990100001",))
            with store.transaction() as db:
                Learners(store, spool).relocated(db, [Place(own, Outcome.FOUND, ref_id)])
            spool.confirmed(spool.waiting(0))

        return tell

    assert Counter(kind for kind, *_ in site.scan(before=found(first))[0]) == {
        "LearnerPersonal": 1,
        "ContactPersonal": 1,
    }
    mapped.clear()

    assert ("ContactPersonal", "Add") in [(kind, action) for kind, action, *_ in site.scan(before=found(second))[0]]
    assert len(mapped) == 2


def test_rows_that_are_mapped_together_are_compared_together(
    tmp_path: Path, schema: SchemaSet, mapped: list[str]
) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/together.toml").write_text(
        'object = "WorkforcePersonal"\nkey = ["Staff Code"]\nrows = ["Staff Code"]\n'
        '[fields]\n"LocalId" = "Staff Code"\n"PersonalInformation/Name[@Type=\'C\']/FamilyName" = "Surname"\n'
        '"PersonalInformation/Name[@Type=\'C\']/GivenName" = "Forename"\n'
        '[lists."PersonalInformation/OtherEmailList/Email"]\neach = "rows"\n'
        'fields = { "." = "Work Email", "@Type" = "Note" }\n'
    )
    site = Site(tmp_path, schema, OFFICE.replace("csv/staff", "together"))
    rows = [row("A", email="a@example.org", note="School"), row("A", email="b@example.org", note="Personal"), row("B")]
    site.put(*rows)
    assert site.actions() == {"Add": 2}
    assert mapped == ["rows 2-3", "row 4"]
    mapped.clear()

    site.put(*rows)
    site.scan()
    assert mapped == []

    site.put(rows[0], rows[1].replace("b@", "c@"), rows[2])
    assert site.actions() == {"Change": 1}
    assert mapped == ["rows 2-3"]


def test_a_database_of_the_version_before_is_opened_and_goes_on(office: Site, mapped: list[str]) -> None:
    office.put(row("A"), row("B"))
    office.scan()
    with sqlite3.connect(office.folder / ".mis-1/agent.db", isolation_level=None) as db:
        triggers = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for statement in (*(f"DROP TRIGGER {name}" for name in triggers), "DROP TABLE records", "DROP TABLE markers"):
            db.execute(statement)
        db.execute("PRAGMA user_version = 3")
    db.close()
    mapped.clear()

    office.put(row("A"), row("B", "Marrow"))
    assert office.actions() == {"Change": 1}
    assert len(mapped) == 2
    office.put(row("A"), row("B", "Marrow"))
    office.scan()
    assert len(mapped) == 2


def _twins(folder: Path, schema: SchemaSet, source: str) -> tuple[Site, Site]:
    """Two agents with one key."""
    ours, plain = Site(folder / "ours", schema, source), Site(folder / "plain", schema, source)
    Store(folder / "ours/.mis-1").close()
    (folder / "plain/.mis-1").mkdir()
    shutil.copy(folder / "ours/.mis-1/agent.key", folder / "plain/.mis-1/agent.key")
    return ours, plain


def _edited(chance: random.Random, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows after a few of the things that people do to a report."""
    rows = list(rows)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(rows) + 1)
        these = slice(at, at + 1)
        match chance.randrange(6):
            case 0:
                name, email = chance.choice(["Fenn", "Marrow", ""]), chance.choice(["", "", "x@example.org", "none"])
                rows.insert(at, {"code": f"A{chance.randrange(12)}", "name": name, "email": email})
            case 1:
                rows[these] = []
            case 2 if rows:
                rows.insert(at, chance.choice(rows))
            case 3:
                rows[these] = [{**each, "note": chance.choice(["", "note", "other"])} for each in rows[these]]
            case 4:
                school = chance.choice(["Pellworth", "Quarring"])
                rows = [{**each, "school": school} for each in rows]
            case _:
                chance.shuffle(rows)
    return rows


SEVERAL = 'connector = "csv"\npath = "*.csv"\nmapping = ["csv/school", "csv/staff"]\n'
TWO = "[[source]]\n".join(
    OFFICE.replace("staff.csv", name).replace("csv/staff", 'csv/school", "csv/staff') for name in ("1.csv", "2.csv")
)


@pytest.mark.parametrize("seed", range(25 if LONG else 2))
@pytest.mark.parametrize("source", [OFFICE, SEVERAL, TWO], ids=["complete", "several-files", "two-sources"])
def test_whatever_is_done_to_files_nothing_comes_out_otherwise_than_if_all_were_mapped(
    tmp_path: Path, schema: SchemaSet, monkeypatch: pytest.MonkeyPatch, mapped: list[str], source: str, seed: int
) -> None:
    ours, plain = _twins(tmp_path, schema, source)
    chance = random.Random(seed)
    rows = [{"code": f"A{n}"} for n in range(8)]
    counts = [0, 0]
    for _ in range(40 if LONG else 7):
        name = "staff.csv" if source is OFFICE else chance.choice(["1.csv", "2.csv"])
        found = []
        for at, site in enumerate((ours, plain)):
            mapped.clear()
            with monkeypatch.context() as patched:
                if site is plain:
                    patched.setattr(Remembered, "digest", lambda *_: b"")
                site.put(*(row(**each) for each in rows), name=name)
                found.append(site.scan())
            counts[at] += len(mapped)
        assert found[0] == found[1]
        rows = _edited(chance, rows)
    assert counts[0] < counts[1]
