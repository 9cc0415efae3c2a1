"""Reading sources: what is sent of a file, what is reported of it, and what is never concluded from it."""

import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from agents.files import FileLedger, FileStatus
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from broker.protocol.errors import ConfigurationError
from schemas import SchemaSet
from tests.unit.agents.helpers import CTF_TAIL, ctf, pupil

HEADINGS = "LA Number,Estab Number,Staff Code,Surname,Forename\n"


def staff(*codes: str) -> str:
    return HEADINGS + "".join(f"820,9901,{code},Fenn,Orla\n" for code in codes)


class Site:
    """One agent with one source, and its files."""

    def __init__(self, folder: Path, schema: SchemaSet, source: str) -> None:
        self.folder, self._schema = folder, schema
        self.file = folder / "mis.toml"
        self.write(source)

    def write(self, source: str) -> None:
        self.file.write_text(f'id = "mis-1"\nsettle = "0s"\n[source]\n{source}\n')

    def scan(self, *, retry: bool = False) -> Counter[str]:
        """Read, as a process of its own would; return the actions spooled by it."""
        settings = read_settings(self.file)
        with Store(settings.state_folder) as store:
            spool = Spool(store, settings.id, self._schema)
            parts = make_parts(settings)
            before = spool.count()
            Scanner(settings, parts, store, spool, threading.Event()).scan(parts.sources[0], retry=retry)
            return Counter(f"{event.object_type} {event.action}" for event in spool.waiting(0, 10_000)[before:])

    def status(self) -> list[FileStatus]:
        with Store(read_settings(self.file).state_folder) as store:
            return FileLedger(store).all()

    def problems(self) -> list[tuple[str, str, str]]:
        with Store(read_settings(self.file).state_folder) as store:
            ledger = FileLedger(store)
            return [(p.position, p.severity, p.rule) for f in ledger.all() for p in ledger.problems(f.source, f.path)]


@pytest.fixture
def mis(tmp_path: Path, schema: SchemaSet) -> Site:
    return Site(tmp_path, schema, 'connector="ctf"\npath="exports/*.xml"\nmapping=["ctf/learner", "ctf/enrolment"]')


@pytest.fixture
def office(tmp_path: Path, schema: SchemaSet) -> Site:
    return Site(tmp_path, schema, 'connector="csv"\npath="staff.csv"\nmapping=["csv/staff"]\ncomplete=true')


def test_a_first_export_is_added_and_an_unchanged_one_sends_nothing(mis: Site, tmp_path: Path) -> None:
    ctf(tmp_path / "exports/1.xml", pupil(1), pupil(2))
    assert mis.scan() == {"LearnerPersonal Add": 2, "LearnerSchoolEnrolment Add": 2}

    again = ctf(tmp_path / "exports/2.xml", pupil(1), pupil(2))
    again.write_text(again.read_text().replace("14:22:31", "15:00:00"))

    assert mis.scan() == {}
    assert [status.objects for status in mis.status()] == [4, 4]


def test_only_what_has_changed_is_sent(mis: Site, tmp_path: Path) -> None:
    ctf(tmp_path / "exports/1.xml", pupil(1), pupil(2))
    mis.scan()
    ctf(tmp_path / "exports/2.xml", pupil(1), pupil(2, "Plume"), pupil(3))

    assert mis.scan() == {"LearnerPersonal Change": 1, "LearnerPersonal Add": 1, "LearnerSchoolEnrolment Add": 1}


def test_what_is_missing_from_an_export_is_not_deleted(mis: Site, tmp_path: Path) -> None:
    ctf(tmp_path / "exports/1.xml", pupil(1), pupil(2))
    mis.scan()
    ctf(tmp_path / "exports/2.xml", pupil(1))

    assert mis.scan() == {}


def test_files_are_read_in_the_order_in_which_they_were_written(mis: Site, tmp_path: Path) -> None:
    newer, older = ctf(tmp_path / "exports/a.xml", pupil(1, "New")), ctf(tmp_path / "exports/b.xml", pupil(1, "Old"))
    os.utime(newer, (2_000_000_000, 2_000_000_000))
    os.utime(older, (1_000_000_000, 1_000_000_000))
    mis.scan()
    ctf(tmp_path / "exports/c.xml", pupil(1, "New"))

    assert mis.scan() == {}


def test_a_half_written_file_gives_nothing_is_reported_and_read_when_it_is_whole(mis: Site, tmp_path: Path) -> None:
    path = ctf(tmp_path / "exports/1.xml", pupil(1), pupil(2))
    whole = path.read_text()
    path.write_text(whole.removesuffix(CTF_TAIL))
    assert mis.scan() == {}
    (status,) = mis.status()
    assert status.outcome == "failed"
    assert "cut short" in status.note

    path.write_text(whole)

    assert mis.scan()["LearnerPersonal Add"] == 2
    assert mis.status()[0].outcome == "read"


def test_a_bad_row_is_reported_by_number_and_rule_and_the_others_go_on(office: Site, tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(HEADINGS + "820,9901,A1,Fenn,Orla\n820,9901,B2,,Orla\n820,9901,C3,Fenn,Orla\n")

    assert office.scan() == {"WorkforcePersonal Add": 2}
    assert office.problems() == [("row 3", "refuse", "mandatory")]


def test_an_object_twice_in_a_file_with_other_content_is_reported_and_sent_once(office: Site, tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(staff("A1") + "820,9901,A1,Marker,Orla\n")

    assert office.scan() == {"WorkforcePersonal Add": 1}
    assert office.problems() == [("row 3", "warn", "twice")]


def test_a_heading_that_is_nearly_right_is_pointed_out(office: Site, tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(staff("A1").replace("Forename", "Forname"))
    office.scan()

    assert ("row 1", "warn", "heading") in office.problems()


def test_what_a_complete_source_no_longer_has_is_deleted(office: Site, tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(staff(*(f"A{n}" for n in range(20))))
    office.scan()
    (tmp_path / "staff.csv").write_text(staff(*(f"A{n}" for n in range(19))))

    assert office.scan() == {"WorkforcePersonal Delete": 1}
    assert office.scan() == {}


def test_more_deletes_than_allowed_are_all_held_until_the_limit_is_raised(office: Site, tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(staff(*(f"A{n}" for n in range(20))))
    office.scan()
    (tmp_path / "staff.csv").write_text(staff(*(f"A{n}" for n in range(10))))

    assert office.scan() == {}
    (status,) = office.status()
    assert status.outcome == "held"
    assert "10 of 20 WorkforcePersonal" in status.note
    office.write('connector="csv"\npath="staff.csv"\nmapping=["csv/staff"]\ncomplete=true\nmax_deletes="50%"')

    assert office.scan() == {"WorkforcePersonal Delete": 10}


def test_nothing_is_deleted_while_a_row_cannot_be_used_since_it_may_be_the_missing_one(
    office: Site, tmp_path: Path
) -> None:
    (tmp_path / "staff.csv").write_text(staff(*(f"A{n}" for n in range(20))))
    office.scan()
    (tmp_path / "staff.csv").write_text(staff(*(f"A{n}" for n in range(19))) + "820,9901,A19,,Orla\n")

    assert office.scan() == {}
    assert office.status()[0].outcome == "held"


def test_nothing_is_deleted_for_a_file_that_cannot_be_read(office: Site, tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(staff("A1", "A2"))
    office.scan()
    (tmp_path / "staff.csv").write_text("")

    assert office.scan() == {}
    assert office.status()[0].outcome == "failed"


def test_of_a_complete_source_the_newest_file_alone_is_read(tmp_path: Path, schema: SchemaSet) -> None:
    office = Site(tmp_path, schema, 'connector="csv"\npath="*.csv"\nmapping=["csv/staff"]\ncomplete=true')
    for name, codes, time in (("a.csv", ("A1",), 2_000_000_000), ("b.csv", ("A1", "B2"), 1_000_000_000)):
        (tmp_path / name).write_text(staff(*codes))
        os.utime(tmp_path / name, (time, time))

    assert office.scan() == {"WorkforcePersonal Add": 1}


def test_a_changed_mapping_is_applied_to_files_read_before(tmp_path: Path, schema: SchemaSet) -> None:
    site = Site(tmp_path, schema, 'connector="csv"\npath="staff.csv"\nmapping=["mine.toml"]')
    library = Path(__file__).parents[3] / "mappings/library/csv/staff.toml"
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/mine.toml").write_text(library.read_text())
    (tmp_path / "staff.csv").write_text(staff("A1"))
    site.write('connector="csv"\npath="staff.csv"\nmapping=["mine"]')
    site.scan()
    assert site.scan() == {}
    mine = library.read_text().replace('"LocalId" = "Staff Code"', '"LocalId" = "Surname"')
    (tmp_path / "mappings/mine.toml").write_text(mine)

    assert site.scan() == {"WorkforcePersonal Change": 1}


@pytest.mark.parametrize("changed", ["mine.toml", "ground.toml", "names.csv", "codes/posts.toml"])
def test_a_change_of_a_mapping_beside_the_agents_file_or_of_what_it_is_made_of_is_applied(
    tmp_path: Path, schema: SchemaSet, changed: str
) -> None:
    site = Site(tmp_path, schema, 'connector="csv"\npath="staff.csv"\nmapping=["mine.toml"]')
    (tmp_path / "codes").mkdir()
    files = {
        "mine.toml": 'base = "ground"\n[fields]\n"LocalId" = { from = "Staff Code", convert = "lookup:names.csv" }\n',
        "ground.toml": 'base = "csv/staff"\n[fields]\n"PersonalInformation/Name[@Type=\'C\']/Title" = { const = "M" }\n'
        '"PersonalInformation/Name[@Type=\'C\']/PreferredGivenName" = { from = "Surname", codes = "posts" }\n',
        "names.csv": "Code,Name\nA1,M\n",
        "codes/posts.toml": '[codes]\nFenn = "M"\n',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "staff.csv").write_text(staff("A1"))
    assert site.scan() == {"WorkforcePersonal Add": 1}
    assert site.scan() == {}

    text = files[changed]
    (tmp_path / changed).write_text(text.replace('"M"', '"N"') if '"M"' in text else text.replace("A1,M", "A1,N"))
    if changed == "mine.toml":
        (tmp_path / changed).write_text(
            text.replace('"LocalId"', "\"PersonalInformation/Name[@Type='C']/MiddleNames\"")
        )
    assert site.scan() == {"WorkforcePersonal Change": 1}


def test_every_fault_of_an_agents_parts_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mis.toml"
    file.write_text(
        'id="m"\n[[source]]\nconnector="cvs"\npath="a"\nmapping=["csv/staff"]\n'
        '[[source]]\nconnector="csv"\npath="b"\nmapping=["csv/stuff"]\n'
        '[[source]]\nconnector="csv"\npath="c"\nmapping=["csv/staff"]\ndelimitter=";"\n'
    )

    with pytest.raises(ConfigurationError) as caught:
        make_parts(read_settings(file))

    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "did you mean 'csv'" in lines[0]
    assert "csv/staff" in lines[1]
    assert "did you mean 'delimiter'" in lines[2]
    assert all(str(file) in line for line in lines)
