"""The commands ``sifzone virtual-school``, on real databases and files."""

import csv
import io
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agents.virtual_school.cli import app
from agents.virtual_school.database import open_database
from agents.virtual_school.options import DATABASE_VARIABLE
from tests.unit.agents.virtual_school.conftest import CALENDAR
from tests.unit.agents.virtual_school.objects import (
    YAR,
    ZED,
    Kept,
    agent_file,
    exclusion,
    mark,
    plan,
    transfer,
    two_learners,
)
from tests.unit.agents.virtual_school.post import PostOffice

AT = "2026-11-16T08:00:00+00:00"


def objects() -> Kept:
    kept = two_learners()
    kept.put(transfer(due="2026-11-13"), exclusion(), mark("2026-11-16"), plan("6", YAR, status="IP", period="5"))
    return kept


def made(folder: Path, url: str) -> Path:
    """Write an agent's file whose database has two learners."""
    with open_database(url, make=True) as database:
        database.write(objects(), AT)
    (folder / "calendars").mkdir()
    (folder / "calendars" / "820.toml").write_bytes(CALENDAR)
    return agent_file(folder, more='calendars = "calendars"\n')


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent's file with two learners in its database."""
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    return made(tmp_path, f"sqlite:///{tmp_path}/state/virtual-school.db")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_every_report_is_a_table_csv_and_json_of_the_same_rows(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, database_url)
    agent = made(tmp_path, database_url)
    for command in (["roll"], ["learner"], ["transfers"], ["due"], ["silent"], ["notices"]):
        who = [ZED] if command == ["learner"] else []
        shown = {
            form: run(*command, agent, *who, "--today", "2026-11-16", "-f", form) for form in ("table", "csv", "json")
        }

        assert {form: one.exit_code for form, one in shown.items()} == {"table": 0, "csv": 0, "json": 0}, command
        rows = json.loads(shown["json"].stdout)
        table = list(csv.DictReader(io.StringIO(shown["csv"].stdout, newline="")))
        assert rows, command
        assert [list(row) for row in rows] == [list(row) for row in table]
        assert len(shown["table"].stdout.splitlines()) >= len(rows) + 4


def test_the_day_is_todays_unless_another_is_asked_for(agent: Path) -> None:
    def since(day: str) -> set[str]:
        return {row["ref_id"] for row in json.loads(run("roll", agent, "--today", day, "-f", "json").stdout)}

    assert since("2026-11-01") == {YAR}
    assert since("2026-11-02") == {YAR, ZED}
    assert {row["ref_id"] for row in json.loads(run("roll", agent, "-f", "json").stdout)} >= {YAR}


def test_silent_is_asked_for_a_day_of_its_own(agent: Path) -> None:
    rows = json.loads(run("silent", agent, "--on", "2026-11-16", "-f", "json").stdout)

    assert {row["name"]: row["missing"] for row in rows} == {"Quill, Zephyrine": "PM", "Yarrow, Wilf": "AM PM"}
    assert json.loads(run("silent", agent, "--on", "2026-11-14", "-f", "json").stdout) == []


def test_several_matches_are_listed_and_none_is_said_so(agent: Path) -> None:
    several = run("learner", agent, "i", "-f", "json")
    nobody = run("learner", agent, "nobody")

    assert several.exit_code == 1
    assert {row["ref_id"] for row in json.loads(several.stdout)} == {YAR, ZED}
    assert "RefId" in several.stderr
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    assert run("learner", agent, "quill").exit_code == 0


def test_a_report_goes_to_a_file_of_its_owner(agent: Path, tmp_path: Path) -> None:
    out = tmp_path / "roll.csv"

    assert run("roll", agent, "-f", "csv", "-o", out).stdout == ""

    assert out.read_bytes().startswith(b"name,upn,")
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", ["roll", "learner", "transfers", "due", "silent", "notices"])
def test_every_command_shows_examples(command: str) -> None:
    shown = run(command, "--help")

    assert shown.exit_code == 0
    assert f"sifzone virtual-school {command}" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.write_text('id = "merlin"\n'), "not 'virtual-school'"),
        (lambda f: f.unlink(), "no such file"),
        (lambda f: f, "run the agent first"),
    ],
    ids=["another agent", "no file", "not run yet"],
)
def test_what_cannot_be_shown_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: object, says: str
) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    file = agent_file(tmp_path)
    assert callable(change)
    change(file)

    result = run("roll", file)

    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_wrong_span_is_explained(agent: Path) -> None:
    result = run("due", agent, "--within", "soon")

    assert result.exit_code == 2
    assert '"15m"' in result.stderr


def test_notices_are_shown_without_being_told_and_told_once(agent: Path, post_office: PostOffice) -> None:
    assert run("notices", agent, "--send", "--today", "2026-11-16").exit_code == 2
    more = (
        f'calendars = "calendars"\n[target.notices]\nhost = "127.0.0.1"\nport = {post_office.port}\nsecurity = "none"\n'
        'sender = "vs@example.org"\nrecipients = ["o@example.org"]\nlink = "https://vs.example.org/{ref}"\n'
    )
    agent = agent_file(agent.parent, more=more)

    shown = [json.loads(run("notices", agent, "--today", "2026-11-16", "-f", "json").stdout) for _ in range(2)]
    first = run("notices", agent, "--send", "--today", "2026-11-16")
    again = run("notices", agent, "--send", "--today", "2026-11-16")

    assert shown[0]
    assert [row["what"] for row in shown[0]] == [row["what"] for row in shown[1]]
    assert {row["link"] for row in shown[0]} <= {f"https://vs.example.org/{ref}" for ref in (YAR, ZED)}
    assert first.stdout == f"{len(shown[0])} notices sent\n"
    assert again.stdout == "0 notices sent\n"
    assert len(post_office.all()) == 1
    assert json.loads(run("notices", agent, "--today", "2026-11-16", "-f", "json").stdout) == []


def test_the_package_names_the_commands_and_the_connector() -> None:
    text = (Path(__file__).parents[4] / "setup.cfg").read_text("utf-8")

    for group, line in (
        ("sifzone.commands", "virtual-school = agents.virtual_school.cli:app"),
        ("sifzone.connectors", "virtual-school = agents.virtual_school.target:VirtualSchoolTarget"),
    ):
        assert line in text
        name, _, value = line.partition(" = ")
        assert EntryPoint(name, value, group).load() is not None
