"""The options of a virtual school: paths beside its file, secrets elsewhere, faults said with their remedy."""

from pathlib import Path

import pytest

from agents.parts import make_parts
from agents.settings import read_settings
from agents.virtual_school.options import DATABASE_VARIABLE, PASSWORD_VARIABLE, options_of
from agents.virtual_school.target import VirtualSchoolTarget
from broker.protocol.errors import ConfigurationError
from tests.unit.agents.virtual_school.conftest import CALENDAR
from tests.unit.agents.virtual_school.objects import agent_file

NOTICES = """
[target.notices]
host = "mail.example.org"
sender = "vs@example.org"
recipients = ["officer@example.org"]
link = "https://vs.example.org/learners/{ref}"
"""


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


def test_an_agents_file_makes_the_target_with_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "820.toml").write_bytes(CALENDAR)
    settings = read_settings(agent_file(tmp_path, more='calendars = "calendars"\n' + NOTICES))

    assert isinstance(make_parts(settings).target, VirtualSchoolTarget)
    options = options_of(settings)
    assert options.database == f"sqlite:///{tmp_path}/state/virtual-school.db"
    assert set(options.read_calendars().by_name) == {"820"}
    assert list(tmp_path.glob("state*")) == []


def test_the_environments_database_goes_before_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://vs:secret@db.example.org/vs")

    assert (
        options_of(read_settings(agent_file(tmp_path))).database == "postgresql+psycopg://vs:secret@db.example.org/vs"
    )


def test_the_shipped_file_is_right_but_for_its_credentials(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[4] / "agents" / "virtual_school" / "virtual-school.toml"
    copy = tmp_path / "agents" / "virtual-school.toml"
    copy.parent.mkdir()
    (tmp_path / "calendars").mkdir()
    copy.write_text(shipped.read_text("utf-8"), "utf-8")

    assert options_of(read_settings(copy)).database.startswith("sqlite:///")
    text = shipped.read_text("utf-8")
    assert "password =" not in text
    commented = "\n".join(line.removeprefix("#: ") for line in text.splitlines())
    copy.write_text(commented, "utf-8")
    (tmp_path / "smtp-password").write_text("made up")
    (tmp_path / "smtp-password").chmod(0o600)
    notices = options_of(read_settings(copy)).notices
    assert notices is not None
    assert notices.when == "digest"


@pytest.mark.parametrize(
    ("database", "more", "says"),
    [
        ("", "", "is missing"),
        ("nonsense", "", "no database URL"),
        ("mysql://host/vs", "", "only sqlite and postgresql"),
        ("sqlite://", "", "in memory"),
        ("postgresql://vs:hunter2@host/vs", "", DATABASE_VARIABLE),
        ("sqlite:///vs.db", 'calendars = "none"', "no such folder"),
        ("sqlite:///vs.db", 'databse = "x"', "did you mean 'database'"),
        ("sqlite:///vs.db", 'path = "out"', "leave out path"),
        ("sqlite:///vs.db", NOTICES + 'password = "hunter2"', "does not belong in this file"),
        ("sqlite:///vs.db", NOTICES + 'hots = "x"', "unknown setting 'hots'"),
        ("sqlite:///vs.db", NOTICES + 'user = "vs"', "user needs a password"),
        ("sqlite:///vs.db", NOTICES + 'when = "often"', "at-once"),
        ("sqlite:///vs.db", NOTICES + "digest_hour = 24", "23"),
        ("sqlite:///vs.db", NOTICES + 'password_file = "none"', "cannot be read"),
        ("sqlite:///vs.db", NOTICES.replace("{ref}", ""), "write {ref} once"),
        ("sqlite:///vs.db", NOTICES.replace("{ref}", "{ref}/{name}"), "write {ref} once"),
        ("sqlite:///vs.db", NOTICES.replace("officer@example.org", "a@b, c@d"), "number 1 is no address"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_never_with_a_secret(
    tmp_path: Path, database: str, more: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_parts(read_settings(agent_file(tmp_path, database, more)))

    assert says in str(caught.value)
    assert "virtual-school.toml" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_that_others_can_read_is_refused_and_one_is_never_sent_in_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "secret").chmod(0o644)
    file = agent_file(tmp_path, more=NOTICES + 'user = "vs"\npassword_file = "secret"')
    with pytest.raises(ConfigurationError, match="chmod 600"):
        options_of(read_settings(file))

    (tmp_path / "secret").chmod(0o600)
    notices = options_of(read_settings(file)).notices
    assert notices is not None
    assert notices.password == "hunter2"
    assert "hunter2" not in repr(notices)

    monkeypatch.setenv(PASSWORD_VARIABLE, "hunter2")
    file = agent_file(tmp_path, more=NOTICES + 'user = "vs"\nsecurity = "none"')
    with pytest.raises(ConfigurationError, match="in clear"):
        options_of(read_settings(file))
