"""The commands: what they show, their exit codes, and that status holds no personal data."""

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.cli import app
from agents.inbox import Failed, Inbox
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import Ack, Action, EventObject
from schemas import SchemaSet, load
from tests.unit.agents.helpers import ctf, learner, parse, pupil

REFUSED = "PersonalInformation/Name: say why"


@pytest.fixture
def file(tmp_path: Path, schema: SchemaSet) -> Path:
    """The file of an agent that has read, sent and received a little."""
    path = tmp_path / "mis.toml"
    path.write_text(
        'id = "mis-1"\nsettle = "0s"\n[source]\nconnector = "ctf"\npath = "*.xml"\nmapping = ["ctf/learner"]\n'
    )
    ctf(tmp_path / "1.xml", pupil(1, "Marker"), pupil(2).replace("<DOB>2015-03-02</DOB>", "<DOB>Marker</DOB>"))
    settings = read_settings(path)
    with Store(settings.state_folder) as store:
        spool, inbox, parts = Spool(store, settings.id, schema), Inbox(store, schema), make_parts(settings)
        Scanner(settings, parts, store, spool, threading.Event()).scan(parts.sources[0])
        spooled = spool.waiting(0)[0]
        with store.transaction() as db:
            spool.refused(db, Ack("mis-1", spooled.msg_id, category=1, code=6, description=REFUSED))
            inbox.failed(db, Failed("0" * 32, "SIF_Event", "no keys", b"Marker"))
            care = "<UPN>A820990126001</UPN><InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
            inbox.apply(db, EventObject("LearnerPersonal", Action.ADD, learner(care)))
            contact = (
                f"<LearnerContact LearnerPersonalRefId='{learner().get('RefId')}' ContactPersonalRefId='{'0' * 32}'/>"
            )
            inbox.apply(db, EventObject("LearnerContact", Action.ADD, parse(contact)))
    return path


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "250", "SIFZONE_URL": ""}
    )
    assert result.exit_code == code, result.output
    return result.output


def test_status_tells_files_problems_refusals_and_failures_without_personal_data(file: Path) -> None:
    output = run("status", file)

    assert all(word in output for word in ("1.xml", "pupil 2", "BirthDate", REFUSED, "no keys", "LearnerPersonal"))
    assert "Marker" not in output


def test_status_for_programs_is_json_with_the_same(file: Path) -> None:
    values = json.loads(run("status", file, "--json"))

    assert values["waiting"] == 1
    assert values["files"][0]["records"] == 2
    assert [p["rule"] for p in values["files"][0]["first_problems"] if p["severity"] == "refuse"] == ["iso-date"]
    assert values["refusals"][0]["reason"] == REFUSED
    assert "Marker" not in json.dumps(values)


def test_inbox_shows_one_row_for_each_learner(file: Path) -> None:
    output = run("inbox", file)

    assert "1 learners" in output
    assert "Quill" in output
    assert "820" in output


def test_inbox_for_programs_has_every_object_on_a_line(file: Path) -> None:
    lines = [json.loads(line) for line in run("inbox", file, "--json").splitlines()]

    assert {line["object"] for line in lines} == {"LearnerPersonal", "LearnerContact"}
    (person,) = (line["content"] for line in lines if line["object"] == "LearnerPersonal")
    assert person["InCare"] == {"Current": "Yes", "LAId": "820"}
    assert person["PersonalInformation"]["Name"]["@Type"] == "C"


def test_an_agent_that_has_not_run_is_told_how_to_run_it(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('id = "new"')

    assert "sifzone agent run" in run("status", file, code=2)
    assert not (tmp_path / ".new").exists()


def test_check_tells_files_and_faults_and_changes_nothing(file: Path, tmp_path: Path) -> None:
    assert "1 files to read" in run("check", file, "--offline")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(file.read_text().replace("ctf/learner", "ctf/lerner").replace("mis-1", "mis-2"))

    assert "ctf/learner" in run("check", wrong, "--offline", code=2)
    assert not (tmp_path / ".mis-2").exists()


def test_an_agent_without_a_zone_cannot_run_and_is_told_why(file: Path) -> None:
    assert "says nothing about the zone" in run("run", file, "--once", code=2)


def test_find_tells_the_place_of_a_record_and_nothing_of_what_it_holds(file: Path) -> None:
    settings = read_settings(file)
    with Store(settings.state_folder) as store:
        ref_id = Spool(store, settings.id, load()).waiting(0)[0].ref_id

    output = run("find", file, ref_id)

    assert output == f"{file.parent / '1.xml'}: pupil 1, line 6: LearnerPersonal\n"
    assert run("find", file, f"{ref_id.lower()}|{'0' * 32}") == output


def test_find_says_when_no_file_has_a_record(file: Path) -> None:
    assert "No file has it now" in run("find", file, "0" * 32, code=1)


@pytest.mark.parametrize("command", ["run", "status", "inbox", "check", "find"])
def test_every_command_has_help_with_examples(command: str) -> None:
    assert "sifzone agent" in run(command, "--help")


FILES = (Path(__file__).parents[3] / "agents").glob("*/*.toml")
EXAMPLES = sorted(path for path in FILES if path.parent.name != "workbench")


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_ready_made_agent_is_right(example: Path) -> None:
    assert len(EXAMPLES) == 7
    assert "right" in run("check", example, "--offline")
