"""What a target is tried with, and how it is told what it has written."""

from pathlib import Path

import pytest

import schemas
from agents.copies import Copy
from agents.diff import ref_key
from agents.listening import Listener
from agents.made_objects import SOME_OF_EACH, made_objects, object_types
from agents.private_zone import PrivateZone
from agents.target_trial import TargetTrial
from broker.protocol.envelope import local_name
from mappings import OutwardMapping, load

SCHEMA = schemas.load()


def outward(*names: str) -> list[OutwardMapping]:
    """Return mappings that make rows."""
    return [mapping for name in names if isinstance(mapping := load(name), OutwardMapping)]


def test_a_target_is_given_what_its_mappings_read_and_one_without_mappings_everything() -> None:
    assert object_types(outward("oneroster/orgs")) == ("LAInfo", "SchoolInfo")
    assert set(SCHEMA.objects) - set(object_types([])) == {
        "AssessmentResponseComponent",
        "AssessmentResponseComponentGroup",
        "LearnerTransfer",
    }


def test_made_up_objects_are_valid_different_and_several_of_each_that_has_a_ref_id() -> None:
    elements = list(made_objects(["LearnerPersonal", "LearnerContact", "SchoolInfo"]))

    assert [SCHEMA.check(element, partial=False) for element in elements] == [()] * len(elements)
    assert len({(local_name(element), ref_key(element, SCHEMA)) for element in elements}) == len(elements)
    assert [local_name(element) for element in elements].count("LearnerPersonal") == SOME_OF_EACH
    assert [local_name(element) for element in elements].count("LearnerContact") == 1


@pytest.fixture
def trial(tmp_path: Path) -> TargetTrial:
    """A trial whose target has written a table."""
    copy = Copy(tmp_path / "agent.toml", tmp_path / "state", "", only=(), target=tmp_path / "written")
    (tmp_path / "written" / "set-1").mkdir(parents=True)
    (tmp_path / "written" / "current").symlink_to("set-1")
    (tmp_path / "written" / "set-1" / "users.csv").write_text("a\nb\nc\n")
    (tmp_path / "written" / ".mark").write_text("x")
    listener = Listener("trial-bystander", tmp_path, "amqp://trial-bystander:x@127.0.0.1/z", [])
    return TargetTrial(PrivateZone([], []), copy, listener, 3)


def test_it_is_told_which_tables_were_written_without_what_people_do_not_see(trial: TargetTrial) -> None:
    assert trial.tables() == {"users.csv": 3}


@pytest.mark.parametrize("change", ["again", "other"])
def test_a_file_that_was_written_again_is_seen_even_with_the_same_content(trial: TargetTrial, change: str) -> None:
    before = trial.written()
    assert trial.written() == before
    file = (trial.copy.target or Path()) / "set-1" / "users.csv"
    if change == "again":
        new = file.with_name("new")
        new.write_bytes(file.read_bytes())
        new.replace(file)
    else:
        file.write_text("a\n")

    assert trial.written() != before


def test_a_target_that_writes_no_files_has_written_nothing(trial: TargetTrial) -> None:
    nowhere = TargetTrial(trial.zone, Copy(trial.copy.file, trial.copy.state, ""), trial.bystander, 0)

    assert (nowhere.written(), nowhere.tables()) == ({}, {})
