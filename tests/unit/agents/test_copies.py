"""Copies of agents for trials, and the private zone's settings: nothing of the agent's own place is used."""

import json
import os
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agents.copies import Copy, Stand, copied_settings
from agents.private_zone import (
    NoPrivateZone,
    PrivateZone,
    Server,
    environment,
    given_server,
    start_guard,
    sweep,
    why_not_started,
)
from agents.settings import AgentSettings, read_settings
from agents.surroundings import agreement_draft, check_id
from agents.target_trial import target_place, why_not
from agents.zone_files import ZoneAgent
from broker.protocol.errors import ConfigurationError

FILE = """
id = "mis-1"
state = "own-state"
zone = "amqp://mis-1:secret@host/zone"
[[source]]
connector = "csv"
path = "exports/*.csv"
mapping = ["csv/learner"]
locate = true
[[source]]
connector = "csv"
path = "more/*.csv"
mapping = ["csv/school"]
[target]
connector = "oneroster"
path = "out"
mapping = ["oneroster/orgs"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """An agent that reads two reports and writes a folder."""
    file = tmp_path / "agent.toml"
    file.write_text(FILE)
    return read_settings(file)


def test_a_copy_is_the_same_after_it_has_been_handed_to_another_process(tmp_path: Path) -> None:
    stands = {1: Stand("/made/*.csv"), 0: Stand("/made/*.records", records=True)}
    copy = Copy(tmp_path / "a.toml", tmp_path / "state", "amqp://x", stands, (0, 1), tmp_path / "out", 0.5)

    assert Copy.from_json(copy.to_json()) == copy
    plain = Copy(tmp_path / "a.toml", tmp_path / "state", "amqp://x")
    assert Copy.from_json(plain.to_json()) == plain


def test_a_copy_has_a_state_of_its_own_and_no_target_unless_it_is_given_a_place(
    settings: AgentSettings, tmp_path: Path
) -> None:
    copied = copied_settings(settings, Copy(settings.file, tmp_path / "trial", "amqp://x"))

    assert copied.state_folder == tmp_path / "trial"
    assert copied.target is None
    assert [source.locate for source in copied.sources] == [False, False]
    assert copied.pattern(copied.sources[0]) == settings.folder / "exports" / "*.csv"


def test_a_copy_of_the_target_alone_writes_where_it_is_told(settings: AgentSettings, tmp_path: Path) -> None:
    given = Copy(settings.file, tmp_path / "trial", "amqp://x", only=(), target=tmp_path / "written")
    copied = copied_settings(settings, given)

    assert copied.sources == ()
    assert copied.target_path() == tmp_path / "written"


def test_a_target_that_writes_to_a_system_outside_is_not_there_in_a_trial(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('id = "a"\n[target]\nconnector = "sql-out"\nurl = "sqlite:///x"\nmapping = ["oneroster/orgs"]\n')
    folder = tmp_path / "folder.toml"
    folder.write_text('id = "a"\n[target]\nconnector = "csv-out"\npath = "out"\nmapping = ["oneroster/orgs"]\n')

    outside, inside = read_settings(file), read_settings(folder)
    assert "nothing is written there" in why_not(outside)
    assert why_not(inside) == ""
    for settings, place in ((outside, None), (inside, tmp_path / "written")):
        assert target_place(settings, tmp_path) == place
        copy = Copy(settings.file, tmp_path, "amqp://x", only=(), target=place)
        assert (copied_settings(settings, copy).target is None) is (place is None)


def test_no_setting_of_another_zone_reaches_a_process_of_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFZONE_RABBITMQ", "amqp://production")
    monkeypatch.setenv("SIFZONE_URL", "amqp://production")

    assert not [name for name in environment() if name.startswith("SIFZONE_")]
    assert "PATH" in environment()


@pytest.mark.parametrize(
    ("rabbitmq", "management"),
    [("amqp://a:b@h", ""), ("", "http://h"), ("http://h", "http://h"), ("amqp://h", "amqp://h")],
)
def test_a_rabbitmq_for_tests_is_named_by_both_its_addresses(rabbitmq: str, management: str) -> None:
    with pytest.raises(ConfigurationError, match="name both addresses"):
        given_server(rabbitmq, management)


def test_without_any_address_a_rabbitmq_is_started() -> None:
    assert given_server("", "") is None


@pytest.fixture
def permissions() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a management API, and the permissions that it has."""
    rows: list[dict[str, str]] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/permissions" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(rows).encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", rows
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("user", ["mis-1", "zone.broker"])
def test_no_trial_is_made_on_a_rabbitmq_on_which_a_zone_works(
    permissions: tuple[str, list[dict[str, str]]], user: str
) -> None:
    address, rows = permissions
    rows += [{"vhost": "trial-old", "user": user}, {"vhost": "borough", "user": user}, {"vhost": "x", "user": "other"}]
    zone = PrivateZone([ZoneAgent("mis-1")], [], server=Server("amqp://admin:Hidden9@127.0.0.1:1", address))

    with pytest.raises(NoPrivateZone, match=r"a zone works on this RabbitMQ \(borough\)") as refused:
        zone.__enter__()
    assert "Hidden9" not in str(refused.value)
    assert zone.place == Path()


def test_why_a_private_zone_did_not_start_is_a_sentence_with_the_way_out() -> None:
    missing = '{"event": "x"}\nsifzone: rabbitmq-server is not installed: run as root `apt-get ...`\n'

    assert "apt-get install rabbitmq-server" in why_not_started(missing)
    assert "--rabbitmq" in why_not_started(missing)
    assert why_not_started('{"event": "x"}\nsifzone: no space left\n').endswith("did not start: no space left")


def test_what_killed_trials_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"sifzone-trial-{gone.pid}-x", f"sifzone-trial-{os.getpid()}-y", "sifzone-kept-z", "sifzone-trial-a"]
    for name in names:
        (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / f"sifzone-trial-{gone.pid}-link").symlink_to(tmp_path / "sifzone-kept-z")
    sweep(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir() if not path.is_symlink()) == sorted(names[1:])
    assert (tmp_path / "sifzone-kept-z" / "inner").exists()


def test_the_folder_of_a_trial_that_is_killed_goes_when_its_zone_has(tmp_path: Path) -> None:
    place = tmp_path / "trial"
    (place / "zone").mkdir(parents=True)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as zone:
        guard = start_guard(place, zone.pid)
        assert guard.stdin is not None
        guard.stdin.close()  # as the kernel does of who is killed
        with pytest.raises(subprocess.TimeoutExpired):
            guard.wait(0.3)
        assert place.exists()
        zone.communicate()
        guard.wait()

    assert (guard.returncode, place.exists()) == (0, False)


def test_ids_of_a_trial_are_no_agents() -> None:
    with pytest.raises(ConfigurationError, match="choose another"):
        check_id("trial-recipient")


def test_the_draft_of_an_agreement_shares_nothing_but_ids_until_somebody_says_more() -> None:
    draft = tomllib.loads(agreement_draft("mis-1", ["LearnerPersonal"], date(2026, 11, 30)))

    assert draft["objects"] == {"LearnerPersonal": {"share": ["@RefId"]}}
    assert (draft["from"], draft["starts"], draft["learners"]) == (["mis-1"], date(2026, 11, 30), "enrolled")
