"""Transfer files that a school was sent: each pupil a LearnerTransfer; files for others are not used."""

import hashlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from agents.connectors.contract import SourceError, SourceProblem
from agents.connectors.ctf import CtfOptions, CtfSource
from agents.files import FileLedger
from agents.learners import Learners
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import LOOKED_AFTER, event_objects, parse_message
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Outcome, Place
from mappings import Record
from schemas import SchemaSet
from tests.unit.agents.helpers import CTF_HEAD, CTF_TAIL, pupil

NS = {"l": LOOKED_AFTER}
ARRIVED = datetime(2026, 10, 7, 7, 31, 5, tzinfo=UTC)


def sent(folder: Path, *pupils: str, to: str = "8379902", name: str = "8209901_CTF_8379902_001.xml") -> Path:
    """Put a file that school 8209901 has sent into a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    ends = f"<DestSchool><LEA>{to[:3]}</LEA><Estab>{to[3:]}</Estab></DestSchool></Header>" if to else "</Header>"
    path.write_text(CTF_HEAD.replace("</Header>", ends) + "".join(pupils) + CTF_TAIL)
    os.utime(path, (ARRIVED.timestamp(), ARRIVED.timestamp()))
    return path


def fields(path: Path, *arrives_at: str) -> dict[str, str]:
    (record,) = CtfSource(CtfOptions(arrives_at=arrives_at)).read(path)
    assert isinstance(record, Record)
    return {name: text for name, text in record.fields.items() if name.startswith("File/")}


class School:
    """The agent of school 8379902, as far as its database; it reads the folder ``in``."""

    def __init__(self, folder: Path, schema: SchemaSet, options: str = 'arrives_at = ["8379902"]\n') -> None:
        self.folder, self.schema = folder, schema
        self.file = folder / "mis.toml"
        self.file.write_text(
            'id = "mis-1"\nsettle = "0s"\n[source]\nconnector = "ctf"\npath = "in/*.xml"\n'
            f'mapping = ["ctf/transfer"]\n{options}'
        )

    def read(self) -> tuple[list[etree._Element], dict[str, tuple[str, str]]]:
        """Return what is in the spool, and outcome and note by file."""
        settings = read_settings(self.file)
        with Store(settings.state_folder) as store:
            spool, parts = Spool(store, settings.id, self.schema), make_parts(settings)
            scanner = Scanner(settings, parts, store, spool, threading.Event())
            while scanner.scan(parts.sources[0]):
                pass
            objects = [event.element for each in spool.waiting(0) for event in event_objects(parse_message(each.body))]
            return objects, {Path(file.path).name: (file.outcome, file.note) for file in FileLedger(store).all()}


def test_each_pupil_of_a_file_that_arrived_is_a_valid_transfer_and_read_again_the_same(
    tmp_path: Path, schema: SchemaSet
) -> None:
    school = School(tmp_path, schema)
    path = sent(tmp_path / "in", pupil(1), pupil(2, "Plume"))

    made, _ = school.read()
    path.rename(path.with_name("8209901_CTF_8379902_001 (1).xml"))
    again, _ = school.read()

    assert [schema.check(each, partial=False) + schema.warnings(each) for each in made] == [(), ()]
    assert len({each.get("RefId") for each in made}) == len({each.get("LearnerPersonalRefId") for each in made}) == 2
    assert {each.get("RefId") for each in again} == {each.get("RefId") for each in made}
    first = made[0]
    assert (first.get("ToSchoolInfoRefId") or "", first.get("FromSchoolInfoRefId")) != ("", None)
    numbers = [e.text for e in first.iterfind("l:FromEstablishment/*", NS)]
    assert numbers + [e.text for e in first.iterfind("l:ToEstablishment/*", NS)] == ["820", "9901", "837", "9902"]
    assert first.findtext("l:Status", "", NS) == "DE"
    assert first.findtext("l:CTF/l:PupilCount", "", NS) == "2"
    (step,) = first.iterfind("l:StatusHistoryList/l:StatusChange", NS)
    assert dict(step.attrib.items()) == {
        "Status": "DE",
        "DateTime": "2026-10-07T07:31:05+00:00",
        "Actor": "MIS:8379902",
    }


@pytest.mark.parametrize("to", ["8209902", "XXXXXXX", ""], ids=["other-school", "no-school", "none-given"])
def test_a_file_for_another_school_is_reported_and_not_used(tmp_path: Path, schema: SchemaSet, to: str) -> None:
    school = School(tmp_path, schema)
    sent(tmp_path / "in", pupil(1), to=to)
    sent(tmp_path / "in", pupil(2), name="8209901_CTF_8379902_002.xml")

    made, outcomes = school.read()

    assert [each.findtext("l:CTF/l:FileName", "", NS) for each in made] == ["8209901_CTF_8379902_002.xml"]
    outcome, note = outcomes["8209901_CTF_8379902_001.xml"]
    assert outcome == "failed"
    assert f"DestSchool is {to or 'not given'}, and this agent is for 8379902" in note


def test_a_file_between_two_systems_of_one_school_moves_nobody(tmp_path: Path, schema: SchemaSet) -> None:
    school = School(tmp_path, schema, 'arrives_at = ["8209901"]\n')
    sent(tmp_path / "in", pupil(1), to="8209901", name="8209901_CTF_8209901_001.xml")

    assert school.read() == ([], {"8209901_CTF_8209901_001.xml": ("read", "")})


def test_in_the_old_schools_own_exports_a_file_is_on_its_way(tmp_path: Path, schema: SchemaSet) -> None:
    school = School(tmp_path, schema, "")
    sent(tmp_path / "in", pupil(1), to="MMMMMMM", name="8209901_CTF_MMMMMMM_001.xml")

    (made,) = school.read()[0]

    assert schema.check(made, partial=False) == ()
    assert (made.findtext("l:Status", "", NS), made.findtext("l:TransferType", "", NS)) == ("SE", "LO")
    assert (bool(made.get("FromSchoolInfoRefId")), made.get("ToSchoolInfoRefId")) == (True, None)
    (step,) = made.iterfind("l:StatusHistoryList/l:StatusChange", NS)
    assert dict(step.attrib.items()) == {
        "Status": "SE",
        "DateTime": "2026-10-06T14:22:31+01:00",
        "Actor": "MIS:8209901",
    }


def test_records_say_which_file_they_are_of(tmp_path: Path) -> None:
    path = sent(tmp_path, pupil(1))

    assert fields(path, "8379902") == {
        "File/Name": path.name,
        "File/SHA256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "File/Pupils": "1",
        "File/Written": "2026-10-06T14:22:31+01:00",
        "File/Moves": "true",
        "File/Arrived": "2026-10-07T07:31:05+00:00",
    }
    assert "File/Arrived" not in fields(path)


@pytest.mark.parametrize(
    ("written", "zoned"),
    [
        ("2026-12-06T14:22:31", "2026-12-06T14:22:31+00:00"),
        ("2026-10-06T14:22:31Z", "2026-10-06T14:22:31+00:00"),
        ("06/10/2026", "2026-10-07T07:31:05+00:00"),
    ],
    ids=["winter", "with-zone", "no-date"],
)
def test_the_time_in_a_header_is_that_of_london(tmp_path: Path, written: str, zoned: str) -> None:
    path = sent(tmp_path, pupil(1))
    path.write_text(path.read_text().replace("2026-10-06T14:22:31", written))
    os.utime(path, (ARRIVED.timestamp(), ARRIVED.timestamp()))

    assert fields(path)["File/Written"] == zoned


def test_a_file_for_another_school_gives_no_record_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="take it out of here"):
        next(CtfSource(CtfOptions(arrives_at=("8209902",))).read(sent(tmp_path, pupil(1))))


# who the pupils are


def test_a_pupil_is_whom_the_zone_says_and_until_then_nobody(tmp_path: Path, schema: SchemaSet) -> None:
    school = School(tmp_path, schema, 'arrives_at = ["8379902"]\nlocate_only = true\n')
    sent(tmp_path / "in", pupil(1), pupil(2))
    assert school.read()[0] == []

    settings = read_settings(school.file)
    with Store(settings.state_folder) as store:
        learners = Learners(store, Spool(store, settings.id, schema))
        asked = {claim.upn: claim for claim in learners.to_ask()}
        assert asked.keys() == {"A820990100001", "A820990100002"}
        assert all(claim.locate_only for claim in asked.values())
        places = (
            Place(asked["A820990100001"].key, Outcome.FOUND, RefId("E" * 32)),
            Place(asked["A820990100002"].key, Outcome.NONE),
        )
        with store.transaction() as db:
            learners.located(db, places)
    (made,) = school.read()[0]

    assert made.get("LearnerPersonalRefId") == "E" * 32
    assert schema.check(made, partial=False) == ()


def test_a_pupil_whom_no_number_names_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    source = CtfSource(CtfOptions(arrives_at=("8379902",)))
    source.locate_with(lambda claim: claim.upn and "E" * 32)
    path = sent(tmp_path, pupil(1).replace("A820990100001", "unknown"), pupil(2))

    problem, record = source.read(path)

    assert isinstance(problem, SourceProblem)
    assert (problem.rule, problem.severity) == ("not-named", "refuse")
    assert "Quill" not in problem.message
    assert isinstance(record, Record)
    assert record.fields["File/LearnerPersonalRefId"] == "E" * 32


def test_of_what_a_school_exports_itself_nobody_is_asked(tmp_path: Path) -> None:
    source = CtfSource(CtfOptions())
    source.locate_with(lambda _claim: pytest.fail("asked"))

    (record,) = source.read(sent(tmp_path, pupil(1)))

    assert isinstance(record, Record)
    assert "File/LearnerPersonalRefId" not in record.fields
