"""`sifzone agent check`: every part is tried and told of, whatever is wrong with another; nothing is changed."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import agents.trial
from agents import connectors, fetchers
from agents.cli import app
from agents.connectors.contract import NoOptions, SourceError, TargetError, Written
from agents.parts import make_parts
from agents.settings import read_settings
from agents.trial import trials
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping
from tests.unit.agents.zone import Zone

HEADINGS = "LA Number,Estab Number,Staff Code,Surname,Forename\n"
LOCAL = '[[source]]\nconnector = "csv"\npath = "staff.csv"\nmapping = ["csv/staff"]\n'
DATABASE = '[[source]]\nconnector = "sql"\nurl = "sqlite:///school.db"\ntable = "staff"\nmapping = ["csv/staff"]\n'
REMOTE = '[[source]]\nconnector = "csv"\npath = "copy://mis@office/*.csv"\nmapping = ["csv/staff"]\n'
TARGET = '[target]\nconnector = "tried"\n'


class _Fetcher:
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, url: str, options: BaseModel) -> None:
        assert (url, options) == ("copy://mis@office/*.csv", NoOptions())

    def fetch(self, _folder: Path) -> None:
        raise AssertionError("a check fetches nothing")

    def check(self) -> str:
        raise SourceError("office cannot be reached: check the network")


class _Target:
    Options: ClassVar[type[BaseModel]] = NoOptions
    answer: ClassVar[str | Exception] = "a table with 3 columns"

    def __init__(self, _path: Path | None, _mappings: Sequence[OutwardMapping], _options: BaseModel) -> None:
        return

    def write(self, _objects: Objects) -> Written:
        raise AssertionError("a check writes nothing")

    def check(self) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = connectors.find
    monkeypatch.setattr(connectors, "find", lambda name: _Target if name == "tried" else find(name))
    monkeypatch.setattr(fetchers, "find", {"copy": _Fetcher}.__getitem__)


def write(folder: Path, *parts: str) -> Path:
    file = folder / "mis.toml"
    file.write_text('id = "mis-1"\nsettle = "0s"\n' + "".join(parts))
    return file


def tried(file: Path, *, offline: bool = False) -> dict[str, tuple[str, str]]:
    """Return result and message of each part, with a zone that takes a ping."""
    settings = read_settings(file)
    zone = Zone("mis-1")
    found = trials(settings, make_parts(settings), offline=offline, connect=lambda _: zone.connect())
    return {trial.part: (trial.result, trial.message) for trial in found}


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], env={"SIFZONE_URL": ""})
    assert result.exit_code == code, result.output
    return result.output


def test_all_parts_are_tried_and_told_of_though_some_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text(f"{HEADINGS}820,9901,A,Fenn,Orla\n")
    with sqlite3.connect(tmp_path / "school.db") as db:
        db.execute('CREATE TABLE staff ("Staff Code", Surname)')
    db.close()

    found = tried(write(tmp_path, REMOTE, LOCAL, DATABASE, TARGET))

    assert list(found) == ["source 1 fetch", "source 1", "source 2", "source 3", "target", "zone"]
    assert found["source 1 fetch"] == ("unreachable", "office cannot be reached: check the network")
    assert found["source 1"] == ("right", "0 files to read were fetched before")
    assert found["source 2"][1] == "1 files to read; the newest, staff.csv, can be read: its first record is row 2"
    assert found["source 3"][0] == "right"
    assert "Staff Code, Surname" in found["source 3"][1]
    assert found["target"] == ("right", "a table with 3 columns")
    assert found["zone"][0] == "right"
    assert "connected as mis-1" in found["zone"][1]
    assert not (tmp_path / ".mis-1").exists()


@pytest.mark.parametrize(
    ("content", "result", "words"),
    [
        ("", "unreachable", "empty"),
        (HEADINGS, "right", "no record is in it"),
        (f"{HEADINGS}820,9901,A,Fenn,Orla,Q,R\n", "right", "its first record is not there, row 2: has 7 cells"),
    ],
    ids=["unreadable", "no-record", "no-usable-record"],
)
def test_the_newest_file_is_opened_and_its_first_record_read(
    tmp_path: Path, content: str, result: str, words: str
) -> None:
    (tmp_path / "staff.csv").write_text(content)

    found = tried(write(tmp_path, LOCAL))["source 1"]
    assert found[0] == result
    assert words in found[1]


@pytest.mark.parametrize(
    ("answer", "result", "words", "code"),
    [
        ("there", "right", "there", 0),
        (TargetError("the host refuses the login: check user and password"), "unreachable", "refuses the login", 1),
        (ConfigurationError("password: env:OTHER is not set: set it"), "wrong", "is not set", 2),
        (PermissionError(13, "Permission denied"), "unreachable", "Permission denied", 1),
        (ValueError("Marker"), "unreachable", "failed (ValueError): report it to the connector's maker", 1),
    ],
    ids=["right", "refused", "file-wrong", "rights", "fault-of-the-connector"],
)
def test_the_exit_code_tells_whether_the_file_is_wrong_or_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | Exception, result: str, words: str, code: int
) -> None:
    monkeypatch.setattr(_Target, "answer", answer)
    monkeypatch.setattr(agents.trial, "connect_amqp", lambda _: Zone("mis-1").connect())

    output = run(write(tmp_path, TARGET), "--json", code=code)

    (target, zone) = json.loads(output)["parts"]
    assert (target["part"], target["name"], target["result"]) == ("target", "tried", result)
    assert words in target["message"]
    assert zone["result"] == "right"
    assert "Marker" not in output
    assert words in run(write(tmp_path, TARGET), code=code)


def test_offline_nothing_is_tried(tmp_path: Path) -> None:
    (tmp_path / "staff.csv").write_text("")
    found = tried(write(tmp_path, REMOTE, LOCAL, DATABASE, TARGET), offline=True)

    assert {result for result, _ in found.values()} == {"untried"}
    assert "zone" not in found
    assert found["source 2"][1] == "1 files to read"
    assert "source 2 (csv staff.csv): 1 files to read" in run(tmp_path / "mis.toml", "--offline")


def test_a_zone_that_is_not_there_is_told_after_all_else(tmp_path: Path) -> None:
    file = write(tmp_path, 'zone = "amqp://mis-1:guessed@127.0.0.1:1/zone"\n', LOCAL)

    output = run(file, code=1)
    assert "source 1 (csv staff.csv): 0 files to read" in output
    assert "zone (mis-1): WRONG: the zone's RabbitMQ cannot be reached: check that the zone is up" in output
    assert "guessed" not in output
