"""A running zone with a gateway, one for all tests of a process; each test has agents of its own names."""

import http.client
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.settings import Zone, load_zone
from broker.storage import QuarantineEntry, Store, open_store
from broker.supervisor import RunningZone, gateway_url, read_secret
from tests.integration.gateway.sif import Agent, Reaction, Target, eventually

COUNT = 170
"""Providers and platforms; a test has a pair to itself, which others may have had long before."""

SOLOS = 10

_ZONE = """
id = "conformance"
name = "Made up zone"
partitions = 2
[gateway]
port = 0
[requests]
timeout = "1h"
[agents.watcher]
name = "Watcher"
[agents.watcher.rights]
SIF_LogEntry = ["subscribe"]
[agents.watcher.gateway]
[agents.adder]
name = "Adds only"
[agents.adder.rights]
LearnerPersonal = ["publish-add"]
LearnerAttendance = ["publish-change"]
[agents.adder.gateway]
[agents.directory]
name = "Asks whose record it is"
[agents.directory.rights]
Identity = ["request"]
[agents.directory.gateway]
[agents.everybody]
name = "May do everything"
[agents.everybody.rights]
SchoolInfo = { may = ["publish", "provide", "respond", "subscribe", "request"], contexts = ["SIF_Default", "c-2"] }
SIF_LogEntry = ["subscribe"]
[agents.everybody.gateway]
"""
_SOLO = """
[agents.solo-{n}]
name = "Solo {n}"
[agents.solo-{n}.rights]
SchoolInfo = ["subscribe"]
[agents.solo-{n}.gateway]
"""
_PAIR = """
[agents.mis-{n}]
name = "MIS {n}"
[agents.mis-{n}.rights]
LearnerPersonal = {{ may = ["publish", "provide"], contexts = ["SIF_Default", "estab-8209901"] }}
SchoolInfo = ["publish", "respond", "provide"]
[agents.mis-{n}.gateway]
[agents.vle-{n}]
name = "VLE {n}"
[agents.vle-{n}.rights]
LearnerPersonal = {{ may = ["subscribe", "request"], contexts = ["SIF_Default", "estab-8209901"] }}
SchoolInfo = ["request", "subscribe"]
[agents.vle-{n}.gateway]
"""
_AGREEMENT = """
id = "{name}-{n}"
title = "Conformance"
from = ["mis-{n}"]
to = ["{to}-{n}"]
purpose = "Conformance tests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.LearnerPersonal]
share = ["*"]
[objects.SchoolInfo]
share = ["@RefId", "LAId"]
"""


def make_zone(folder: Path, pairs: int = COUNT) -> Zone:
    """Write a zone with *pairs* of agents; vle-N gets whole learners of mis-N, and little of its school."""
    (folder / "agreements").mkdir(parents=True)
    solos = "".join(_SOLO.format(n=n) for n in range(SOLOS))
    (folder / "zone.toml").write_text(_ZONE + solos + "".join(_PAIR.format(n=n) for n in range(pairs)))
    for n in range(pairs):
        (folder / "agreements" / f"a{n}.toml").write_text(_AGREEMENT.format(name="whole", n=n, to="vle"))
    return load_zone(folder)


@dataclass(slots=True)
class Zoned:
    """A running zone and the agents that tests have made."""

    running: RunningZone
    store: Store
    agents: list[Agent] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    since: float = field(default_factory=time.time)

    def agent(self, agent_id: str, version: str = "2.1") -> Agent:
        """Return an agent by its id, not yet registered."""
        found = Agent(agent_id, self.url(agent_id), version)
        self.agents.append(found)
        return found

    def pair(self) -> tuple[Agent, Agent]:
        """Return a MIS and a platform that no other test has now, not yet registered, with nothing in their queues."""
        number = next(_taken)
        found = tuple(self.agent(f"{kind}-{number % COUNT}") for kind in ("mis", "vle"))
        if number >= COUNT:
            for agent in found:
                agent.register()
                agent.leave()  # which gives up all that is queued for it
        return found[0], found[1]

    def url(self, agent_id: str) -> str:
        """Return the address of an agent."""
        assert self.running.gateway_port is not None
        secret = read_secret(self.running.zone.credentials(agent_id))
        return gateway_url(self.running.zone, self.running.gateway_port, secret)

    def target(self, agent_id: str, reaction: Reaction = lambda _message: 1) -> Target:
        """Return where *agent_id* may be pushed to."""
        found = Target(agent_id, reaction)
        self.targets.append(found)
        return found

    def restart_gateway(self) -> None:
        """Kill the gateway, and return when the next one takes messages."""
        before = self.running.gateway_pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        until = time.monotonic() + 30
        while self.running.gateway_pid == before or not self._is_up():
            assert time.monotonic() < until, "the gateway does not come back"
            self.running.check()
            time.sleep(0.05)
        for agent in self.agents:
            agent.close()

    def _is_up(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.gateway_port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def has_ended(self, request: str) -> bool:
        """Tell whether a request is known, and no packets are awaited for it any more."""
        pending = self.store.requests([request]).get(request)
        return pending is not None and not pending.is_open

    def quarantined(self, source: str) -> list[QuarantineEntry]:
        """Return what was kept of *source* since the test began."""
        return [entry for entry in self.store.quarantine_list(source=source) if entry.at >= self.since]

    def kept(self, source: str, code: tuple[int, int]) -> QuarantineEntry:
        """Return the entry in quarantine of a message of *source* that was refused with *code*, once it is there."""

        def find() -> QuarantineEntry | None:
            return next((entry for entry in self.quarantined(source) if (entry.category, entry.code) == code), None)

        return eventually(find)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningZone]:
    folder = tmp_path_factory.mktemp("gateway") / "zone"
    zone = make_zone(folder)
    with (folder / "zone.log").open("w") as logged, RunningZone(zone, log_file=logged.fileno()) as started:
        yield started


@pytest.fixture
def zoned(running: RunningZone) -> Iterator[Zoned]:
    zone = running.zone
    with open_store(zone.database_url, zone.key_file) as store:
        made = Zoned(running, store)
        yield made
        for agent in made.agents:
            agent.leave()
        for target in made.targets:
            target.close()


Pair = tuple[Agent, Agent]
Pushed = Callable[[Reaction], tuple[Agent, Agent, Target]]
_taken = itertools.count()
_alone = itertools.count()


@pytest.fixture
def solo(zoned: Zoned) -> Agent:
    """An agent that has registered to pull, for what has nothing to do with its queue; others had its name before."""
    agent = zoned.agent(f"solo-{next(_alone) % SOLOS}")
    assert agent.register().code == 0
    return agent


@pytest.fixture
def asking(zoned: Zoned) -> Pair:
    """A MIS that provides learners in the default context, and a platform that may ask it; neither has subscribed."""
    mis, vle = zoned.pair()
    for agent in (mis, vle):
        assert agent.register().code == 0
    assert mis.provide("LearnerPersonal").code == 0
    return mis, vle


@pytest.fixture
def pair(zoned: Zoned) -> Pair:
    """A MIS that provides learners and a platform that subscribes to them, both registered to pull."""
    mis, vle = zoned.pair()
    for agent in (mis, vle):
        assert agent.register().code == 0
    assert vle.subscribe("LearnerPersonal").code == 0
    return mis, vle


@pytest.fixture
def pushed(zoned: Zoned) -> Pushed:
    """Return a MIS, and a platform that is pushed to and reacts as told."""

    def make(reaction: Reaction = lambda _message: 1) -> tuple[Agent, Agent, Target]:
        mis, vle = zoned.pair()
        target = zoned.target(vle.id, reaction)
        assert mis.register().code == 0
        assert vle.register(push_to=target.url).code == 0
        assert vle.subscribe("LearnerPersonal").code == 0
        return mis, vle, target

    return make
