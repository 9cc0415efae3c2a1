"""``sifzone request`` and ``sifzone requests``, against a running zone and an agent that answers."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from agents import Agent, Limits
from broker.protocol.query import Query
from broker.rabbitmq import PrivateNode
from broker.requests import Pending, RequestState
from broker.storage import open_store
from broker.supervisor import RunningZone, read_url
from tests.commands import command_line
from tests.integration.agents.real_zone import make_zone
from tests.integration.agents.test_requests import agent_file, group, running, until
from tests.integration.cli.conftest import begun_with
from tests.shared_node import settings_for

MARKER = "Group 412"
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C works, also where the tests were started without it
from broker import cli
from broker.commands.request import request, requests
cli.main()
"""


@dataclass
class Counter:
    """A running zone with a provider of groups, and the command line for it."""

    folder: Path
    url: str

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments), "--zone", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "SIFZONE_RABBITMQ": "", "SIFZONE_DATABASE": "", "SIFZONE_ZONE": ""},
        )

    def run(self, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
        """Run a command, which must end with exit code *code*, and return what it printed and what it said."""
        done = command_line(*arguments, "--zone", self.folder)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    def requests(self) -> list[Pending]:
        """Return the zone's requests, newest first."""
        with open_store(f"sqlite:///{self.folder}/state/zone.db", self.folder / "state" / "zone.key") as store:
            return store.list_requests()


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory, rabbit_node: PrivateNode) -> Iterator[Counter]:
    """A zone that runs while the module's tests do."""
    base = tmp_path_factory.mktemp("requests")
    make_zone(base / "zone")
    with settings_for(rabbit_node, "exchanges") as begin, (base / "zone.log").open("w") as logged:
        zone = begun_with(begin, base / "zone")
        with RunningZone(zone, 1, log_file=logged.fileno()):
            yield Counter(base / "zone", read_url(zone.credentials("mis-1")))
    assert MARKER not in (base / "zone.log").read_text()


@pytest.fixture
def provide(counter: Counter, tmp_path: Path) -> Callable[[Callable[[Query], Iterator[etree._Element]]], Agent]:
    """Gives an agent, not yet running, that provides what a function yields."""

    def make(groups: Callable[[Query], Iterator[etree._Element]]) -> Agent:
        file = agent_file(tmp_path, "mis-1")
        file.write_text(f'id = "mis-1"\nzone = "{counter.url}"\n')
        agent = Agent.from_file(file)
        agent.provide("SchoolGroup")(groups)
        return agent

    return make


@pytest.fixture
def provider(counter: Counter, provide: Callable[..., Agent]) -> Iterator[Agent]:
    """The running provider of 1000 groups."""
    with running(provide(lambda _query: (group(number) for number in range(1000)))) as agent:
        with open_store(f"sqlite:///{counter.folder}/state/zone.db", counter.folder / "state" / "zone.key") as store:
            until(lambda: "mis-1" in store.live().provisions)
        yield agent


@pytest.fixture
def absent(provide: Callable[..., Agent]) -> None:
    """A provider that has registered, and does not run."""
    with provide(lambda _query: iter(())) as agent:
        agent.run(once=True, limits=Limits(timedelta(milliseconds=1), timedelta(seconds=30)))


def test_what_comes_is_shown_as_a_table_and_listed_as_done(counter: Counter, provider: Agent) -> None:
    assert provider
    output, said = counter.run("request", "SchoolGroup", "--as", "platform", "--where", "LocalId = 000412")

    assert MARKER in output
    assert f"{412:032X}" in output
    assert "1 object in 1 packet(s) from mis-1" in said
    listed, _ = counter.run("requests", "--state", "done", "--agent", "platform")
    assert counter.requests()[0].msg_id in listed
    assert "platform (a person)" in listed
    assert MARKER not in listed


def test_a_file_is_for_its_owner_alone_and_holds_every_packet_in_order(
    counter: Counter, provider: Agent, tmp_path: Path
) -> None:
    assert provider
    file = tmp_path / "groups.xml"
    output, said = counter.run("request", "SchoolGroup", "--as", "platform", "--format", "xml", "--out", file)

    assert output == ""
    assert "1,000 objects" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    root = etree.parse(file).getroot()
    assert [one.findtext("{*}LocalId") for one in root] == [f"{number:06}" for number in range(1000)]
    assert list(tmp_path.glob(".groups*")) == []


def test_json_is_one_list_with_what_was_asked_for_and_no_more(counter: Counter, provider: Agent) -> None:
    assert provider
    output, _ = counter.run(
        "request", "SchoolGroup", "--as", "platform", "--to", "mis-1", "--format", "json",
        "--where", "LocalId = 000412 or LocalId = 000413", "--element", "LocalId",
    )  # fmt: skip

    found = json.loads(output)
    assert [one["LocalId"] for one in found] == ["000412", "000413"]
    assert all("GroupName" not in one for one in found)


def test_nothing_that_matches_is_said_and_is_no_fault(counter: Counter, provider: Agent) -> None:
    assert provider
    output, said = counter.run(
        "request", "SchoolGroup", "--as", "platform", "--where", "LocalId = none", "--format", "json"
    )

    assert json.loads(output) == []
    assert "0 objects" in said


def test_what_the_zone_refuses_is_said_in_words_with_what_to_do(counter: Counter, tmp_path: Path) -> None:
    file = tmp_path / "info.xml"
    output, said = counter.run("request", "SchoolInfo", "--as", "platform", "--out", file, code=1)

    assert output == ""
    assert "nobody answers for this object (8/4)" in said
    assert "sifzone check" in said
    assert not file.exists()
    _, said = counter.run("request", "SchoolGroup", "--as", "loans", code=1)
    assert "may not request this object (4/5)" in said
    assert "zone.toml" in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["SchoolGroups", "--as", "platform"], "did you mean SchoolGroup"),
        (["SchoolGroup", "--as", "nobody"], "loans, mis-1, platform"),
        (["SchoolGroup", "--as", "platform", "--where", "LocalId"], "condition text 1"),
        (["SchoolGroup"], "--as"),
        (["SchoolGroup", "--as", "platform", "--out", "/no/such/folder/file"], "cannot be written"),
    ],
    ids=["object", "agent", "condition", "nobody", "file"],
)
def test_what_is_asked_wrongly_ends_with_2_and_asks_nobody(counter: Counter, arguments: list[str], word: str) -> None:
    before = len(counter.requests())
    _, said = counter.run("request", *arguments, code=2)

    assert word in said
    assert len(counter.requests()) == before


def fails(_query: Query) -> Iterator[etree._Element]:
    for number in range(5000):
        yield group(number)
    raise ValueError(MARKER)


def test_an_answer_that_ends_with_an_error_leaves_what_came_and_says_that_it_is_not_whole(
    counter: Counter, provide: Callable[..., Agent], tmp_path: Path
) -> None:
    file = tmp_path / "groups.json"
    with running(provide(fails)):
        _, said = counter.run("request", "SchoolGroup", "--as", "platform", "--format", "json", "--out", file, code=1)

    assert "not whole" in said
    assert "(8/1)" in said
    assert MARKER not in said
    assert json.loads(file.read_text())
    assert counter.requests()[0].state is RequestState.PARTIAL


@pytest.mark.usefixtures("absent")
def test_silence_ends_with_what_is_known_and_cancels_the_request(counter: Counter) -> None:
    started = time.monotonic()
    _, said = counter.run("request", "SchoolGroup", "--as", "platform", "--timeout", "1", code=1)

    assert time.monotonic() - started < 20
    assert "mis-1" in said
    assert "cancelled" in said
    until(lambda: counter.requests()[0].state is RequestState.CANCELLED)


@pytest.mark.usefixtures("absent")
def test_ctrl_c_cancels_the_request(counter: Counter) -> None:
    before = len(counter.requests())
    process = counter.start("request", "SchoolGroup", "--as", "platform")
    until(lambda: len(counter.requests()) > before)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "cancelled" in said
    until(lambda: counter.requests()[0].state is RequestState.CANCELLED)


@pytest.mark.parametrize("command", ["request", "requests"])
def test_each_command_has_help(counter: Counter, command: str) -> None:
    output, _ = counter.run(command, "--help")

    assert "--zone" in output
