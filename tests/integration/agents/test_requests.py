"""Agents that ask and answer, through a zone's real worker, over every transport."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree
from structlog.testing import capture_logs

from agents import Agent, Answer, Limits
from agents.store import Store
from broker.protocol.errors import ConfigurationError, UnknownObject
from broker.protocol.query import Query, QueryNotSupported
from broker.protocol.topology import BROKER_LOGIN
from broker.requests import RequestState
from broker.transports import Incoming, MemoryBroker, MemoryTransport
from tests.integration.agents.conftest import Connect
from tests.integration.agents.real_zone import RealZone, real_zone
from tests.unit.agents.helpers import parse

ROOT = Path(__file__).parents[3]
QUICK = Limits(idle=timedelta(seconds=0.5), patience=timedelta(seconds=30))


def group(number: int) -> etree._Element:
    return parse(
        f"<SchoolGroup RefId='{number:032X}' SchoolGroupTypeRefId='{number:032X}' SchoolYear='2026'>"
        f"<LocalId>{number:06}</LocalId><GroupName>Group {number}</GroupName>"
        f"<Description>Not shared</Description></SchoolGroup>"
    )


def agent_file(folder: Path, agent: str) -> Path:
    file = folder / f"{agent}.toml"
    file.write_text(f'id = "{agent}"\n' + ('[target]\nconnector = "inbox"\n' if agent == "platform" else ""))
    return file


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def running(agent: Agent) -> Iterator[Agent]:
    """Run an agent in a thread of its own."""
    faults: list[BaseException] = []

    def run() -> None:
        try:
            agent.run()
        except BaseException as error:  # noqa: BLE001  # told at the end
            faults.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        thread.join(20)
        agent.close()
    assert not thread.is_alive()
    if faults:
        raise faults[0]


def is_provided(zone: RealZone) -> bool:
    return "mis-1" in zone.store.live().provisions


@pytest.fixture
def zone(connect: Connect, tmp_path: Path) -> Iterator[RealZone]:
    """A zone in which mis-1 may provide groups, and platform may ask for them."""
    with real_zone(tmp_path / "zone", connect(BROKER_LOGIN)) as found:
        yield found


@pytest.fixture
def provider(connect: Connect, tmp_path: Path, zone: RealZone) -> Iterator[Agent]:
    """The running provider of 500 groups, known to the zone as such."""
    agent = Agent.from_file(agent_file(tmp_path, "mis-1"), connect("mis-1"))

    @agent.provide("SchoolGroup")
    def groups(_query: Query) -> Iterator[etree._Element]:
        return (group(number) for number in range(500))

    with running(agent):
        until(lambda: is_provided(zone))
        yield agent


@pytest.fixture
def platform(connect: Connect, tmp_path: Path) -> Iterator[Agent]:
    """An agent that asks; it has an inbox."""
    with Agent.from_file(agent_file(tmp_path, "platform"), connect("platform")) as agent:
        yield agent


def collect(agent: Agent, object_type: str = "SchoolGroup") -> list[Answer]:
    answers: list[Answer] = []
    agent.answer(object_type)(answers.append)
    return answers


def run_until_answered(agent: Agent, answers: list[Answer]) -> None:
    with running(agent):
        until(lambda: bool(answers) and not answers[-1].more)


def ids(answers: list[Answer]) -> list[str]:
    return [element.findtext("{*}LocalId") or "" for answer in answers for element in answer.elements]


def test_a_request_is_answered_in_packets_in_order_cut_to_what_is_shared(
    zone: RealZone, provider: Agent, platform: Agent
) -> None:
    answers = collect(platform)
    request_id = platform.request("SchoolGroup", max_buffer=8192)
    run_until_answered(platform, answers)

    assert len(answers) > 5
    assert [answer.packet for answer in answers] == list(range(1, len(answers) + 1))
    assert {(answer.request_id, answer.source_id, answer.object_type) for answer in answers} == {
        (request_id, "mis-1", "SchoolGroup")
    }
    assert ids(answers) == [f"{number:06}" for number in range(500)]
    assert all(element.find("{*}Description") is None for answer in answers for element in answer.elements)
    until(lambda: zone.store.requests([request_id])[request_id].state is RequestState.DONE)
    assert zone.store.requests([request_id])[request_id].shared == 500
    assert provider.refusals() == []


def test_only_what_was_asked_for_comes_and_none_of_it_goes_into_the_inbox(
    provider: Agent, platform: Agent, tmp_path: Path
) -> None:
    assert provider
    answers = collect(platform)
    platform.request("SchoolGroup", where=["LocalId = 000412 or LocalId = 000007"], elements=["LocalId"], to="mis-1")
    run_until_answered(platform, answers)

    assert ids(answers) == ["000007", "000412"]
    with Store(tmp_path / ".platform") as store:
        assert store.query("SELECT count(*) FROM objects") == [(0,)]
        assert store.query("SELECT count(*) FROM failed") == [(0,)]


def test_a_request_that_the_zone_refuses_is_told_to_its_handler_and_shown_as_refused(
    zone: RealZone, platform: Agent
) -> None:
    assert zone
    answers = collect(platform, "SchoolInfo")
    request_id = platform.request("SchoolInfo")
    platform.run(once=True, limits=QUICK)

    (answer,) = answers
    assert (answer.request_id, answer.more, answer.error and answer.error[:2]) == (request_id, False, (8, 4))
    assert [(one.action, one.msg_id) for one in platform.refusals()] == [("Request", request_id)]


def test_the_zone_itself_answers_for_its_status(zone: RealZone, platform: Agent) -> None:
    answers = collect(platform, "SIF_ZoneStatus")
    platform.request("SIF_ZoneStatus")
    platform.run(once=True, limits=QUICK)

    assert [element.get("ZoneId") for answer in answers for element in answer.elements] == [zone.zone.id]


def test_an_answer_that_nobody_handles_is_dropped_and_logged_without_content(provider: Agent, platform: Agent) -> None:
    assert provider
    platform.request("SchoolGroup", where=["LocalId = 000412"])
    with capture_logs() as logs:
        platform.run(once=True, limits=QUICK)

    (dropped,) = [log for log in logs if log["event"] == "answer_dropped"]
    assert (dropped["object_type"], dropped["objects"]) == ("SchoolGroup", 1)
    assert "412" not in str({**dropped, "request": ""})
    assert platform.failed() == []


def test_a_handler_of_answers_that_raises_leaves_the_packet_among_the_failed(provider: Agent, platform: Agent) -> None:
    assert provider

    @platform.answer("SchoolGroup")
    def fail(_answer: Answer) -> None:
        raise ValueError("Marker")

    platform.request("SchoolGroup", where=["LocalId = 000412"])
    platform.run(once=True, limits=QUICK)

    (failed,) = platform.failed()
    assert "ValueError" in failed.reason
    assert "Marker" not in failed.reason


def test_an_agent_that_may_not_provide_is_told_so_in_its_log(connect: Connect, zone: RealZone, tmp_path: Path) -> None:
    assert zone
    with capture_logs() as logs, Agent.from_file(agent_file(tmp_path, "loans"), connect("loans")) as agent:
        agent.provide("SchoolGroup")(lambda _query: ())
        agent.run(once=True, limits=QUICK)

    (refused,) = [log for log in logs if log["event"] == "not_provided"]
    assert (refused["category"], refused["code"]) == (4, 3)


def test_an_agent_without_a_provider_answers_that_it_does_not(
    connect: Connect, zone: RealZone, platform: Agent, tmp_path: Path
) -> None:
    file = agent_file(tmp_path, "mis-1")
    with Agent.from_file(file, connect("mis-1")) as before:
        before.provide("SchoolGroup")(lambda _query: ())
        before.run(once=True, limits=Limits(idle=timedelta(milliseconds=1), patience=timedelta(seconds=30)))
    until(lambda: is_provided(zone))
    answers = collect(platform)
    platform.request("SchoolGroup")
    with running(platform), running(Agent.from_file(file, connect("mis-1"))):
        until(lambda: bool(answers))

    assert [answer.error and answer.error[:2] for answer in answers] == [(8, 4)]


def test_what_cannot_be_asked_is_refused_at_once(platform: Agent) -> None:
    with pytest.raises(UnknownObject, match="did you mean SchoolGroup"):
        platform.request("SchoolGroups")
    with pytest.raises(QueryNotSupported):
        platform.request("SchoolGroup", where=["LocalId"])
    with pytest.raises(ConfigurationError, match="4096"):
        platform.request("SchoolGroup", max_buffer=100)


KILLED = """
import os, sys
from agents import Agent
from agents.store import Store
from tests.integration.agents.test_requests import group

file, when = sys.argv[1], sys.argv[2]
with Agent.from_file(file) as agent:
    @agent.provide("SchoolGroup")
    def groups(query):
        for number in range(500):
            yield group(number)
            if when == "in the midst" and number == 400:
                assert agent._store.query("SELECT count(*) FROM packets")[0][0] > 1
                os.kill(os.getpid(), 9)

    if when == "while sending":
        from agents.spool import Spool
        took = Spool.confirmed
        def deadly(self, events):
            took(self, events)
            if any(event.action == "Response" for event in events):
                os.kill(os.getpid(), 9)
        Spool.confirmed = deadly
    agent.run()
"""


def start(file: Path, url: str, when: str = "never") -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "SIFZONE_URL": url, "PYTHONPATH": path}
    return subprocess.Popen([sys.executable, "-c", KILLED, str(file), when], cwd=ROOT, env=environment)


@pytest.mark.parametrize("when", ["in the midst", "while sending"])
@pytest.mark.parametrize("connect", ["amqp"], indirect=True)
def test_a_provider_killed_over_an_answer_gives_each_packet_once_after_its_restart(
    zone: RealZone, platform: Agent, agent_url: Callable[[str], str], tmp_path: Path, when: str
) -> None:
    file = agent_file(tmp_path, "mis-1")
    answers = collect(platform)
    with running(platform):
        killed = start(file, agent_url("mis-1"), when)
        until(lambda: is_provided(zone))
        request_id = platform.request("SchoolGroup", max_buffer=8192)
        assert killed.wait(60) == -signal.SIGKILL
        assert not answers or answers[-1].more
        again = start(file, agent_url("mis-1"))
        try:
            until(lambda: bool(answers) and not answers[-1].more)
        finally:
            again.terminate()
            again.wait(20)

    assert [answer.packet for answer in answers] == list(range(1, len(answers) + 1))
    assert ids(answers) == [f"{number:06}" for number in range(500)]
    until(lambda: zone.store.requests([request_id])[request_id].state is RequestState.DONE)


class Losing(MemoryTransport):
    """Loses its connection at every so many polls."""

    polls = 0

    def poll(self, timeout: float) -> list[Incoming]:
        Losing.polls += 1
        if Losing.polls % 9 == 0:
            self._broker.disconnect("mis-1")
        return super().poll(timeout)


@pytest.mark.parametrize("connect", ["memory"], indirect=True)
def test_losses_of_the_network_give_each_packet_once_and_in_order(
    zone: RealZone, platform: Agent, memory: MemoryBroker, tmp_path: Path
) -> None:
    agent = Agent.from_file(agent_file(tmp_path, "mis-1"), lambda: Losing(memory, "mis-1"))
    agent.provide("SchoolGroup")(lambda _query: (group(number) for number in range(500)))
    answers = collect(platform)
    with running(agent), running(platform):
        until(lambda: is_provided(zone))
        platform.request("SchoolGroup", max_buffer=8192)
        until(lambda: bool(answers) and not answers[-1].more)

    assert Losing.polls > 9
    assert [answer.packet for answer in answers] == list(range(1, len(answers) + 1))
    assert ids(answers) == [f"{number:06}" for number in range(500)]


LARGE = """
import sys
from pathlib import Path
from agents import Agent
from lxml import etree
from broker.protocol.envelope import NAMESPACE

def highest():  # of this process alone; what getrusage tells begins with that of the one that started it
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

with Agent.from_file(sys.argv[1]) as agent:
    @agent.provide("SchoolGroup")
    def groups(query):
        before = highest()
        for number in range(10_000):
            one = etree.Element(f"{{{NAMESPACE}}}SchoolGroup", RefId=f"{number:032X}", nsmap={None: NAMESPACE},
                                SchoolGroupTypeRefId=f"{number:032X}", SchoolYear="2026")
            etree.SubElement(one, f"{{{NAMESPACE}}}LocalId").text = f"{number:06}"
            etree.SubElement(one, f"{{{NAMESPACE}}}Description").text = "x" * 10_000
            yield one
        print("made", highest() - before, flush=True)

    agent.run()
    print("sent", highest(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("connect", ["amqp"], indirect=True)
def test_an_answer_of_ten_thousand_objects_and_a_hundred_megabytes_takes_the_memory_of_a_few_packets(
    zone: RealZone, platform: Agent, agent_url: Callable[[str], str], tmp_path: Path
) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "SIFZONE_URL": agent_url("mis-1"), "PYTHONPATH": path}
    file = agent_file(tmp_path, "mis-1")
    process = subprocess.Popen(
        [sys.executable, "-c", LARGE, str(file)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    found: list[str] = []
    ended = threading.Event()

    @platform.answer("SchoolGroup")
    def take(answer: Answer) -> None:
        assert answer.error is None
        found.extend(element.findtext("{*}LocalId") or "" for element in answer.elements)
        if not answer.more:
            ended.set()

    with running(platform):
        until(lambda: is_provided(zone))
        platform.request("SchoolGroup")
        assert ended.wait(100)
        until(lambda: not spooled(file))
        process.terminate()
        output, _ = process.communicate(timeout=20)

    facts = [line.split() for line in output.splitlines() if line.startswith(("made", "sent"))]
    kilobytes = {name: int(number) for name, number in facts}
    assert found == [f"{number:06}" for number in range(10_000)]
    assert kilobytes["made"] < 20_000
    assert kilobytes["sent"] < 250_000


def spooled(file: Path) -> int:
    with Store(file.parent / ".mis-1") as store:
        return int(store.query("SELECT count(*) FROM packets")[0][0])
