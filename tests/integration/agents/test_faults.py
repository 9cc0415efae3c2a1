"""Agents killed and cut off, over a real RabbitMQ: every event arrives, under one id, in order."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from agents import Agent, Limits
from agents.cli import app
from agents.store import Store
from broker.transports import AmqpSettings, AmqpTransport, Incoming
from tests.integration.agents.zones import SmallZone, learner_of
from tests.integration.transports.proxy import Proxy
from tests.unit.agents.helpers import ctf, pupil

ROOT = Path(__file__).parents[3]
PUPILS = 300
RUN = """
import os, sys
from agents import Agent, Limits
from agents.sdk import connect_amqp
from broker.protocol.topology import INTAKE
from datetime import timedelta

file, when = sys.argv[1], sys.argv[2]

def connect():
    transport = connect_amqp(agent.settings)
    if when == "never":
        return transport
    publish, poll = transport.publish, transport.poll
    sent = []

    def deadly_publish(message):
        if message.exchange == INTAKE:
            sent.append(message)
            if when == "before-publish":
                os.kill(os.getpid(), 9)
        return publish(message)

    def deadly_poll(timeout):
        received = poll(timeout)
        if when == "before-settling" and sent and transport.confirmed > 1:
            os.kill(os.getpid(), 9)
        return received

    transport.publish, transport.poll = deadly_publish, deadly_poll
    return transport

with Agent.from_file(file, connect) as agent:
    agent.run(once=True, limits=Limits(timedelta(milliseconds=1), timedelta(seconds=30)))
"""

Url = Callable[[str], str]


def start(file: Path, url: str, when: str = "never") -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SIFZONE_URL": url}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(file), when],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
    )


def spooled(file: Path) -> list[str]:
    """Return the ids that an agent has promised to publish."""
    with Store(file.parent / ".mis-1") as store:
        return [row[0] for row in store.query("SELECT msg_id FROM outbox ORDER BY seq")]


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ids(taken: list[Incoming]) -> set[str]:
    return {incoming.message_id for incoming in taken}


def check_order(taken: list[Incoming]) -> None:
    """Each learner's events arrived first in the order in which they were spooled."""
    orders: dict[str, list[str]] = {}
    first = {incoming.message_id: incoming for incoming in reversed(taken)}
    for incoming in sorted(first.values(), key=taken.index):
        orders.setdefault(learner_of(incoming), []).append(str(incoming.headers["object"]))
    assert {tuple(names) for names in orders.values()} == {("LearnerPersonal", "LearnerSchoolEnrolment")}


@pytest.mark.parametrize("when", ["before-publish", "before-settling"])
def test_an_agent_killed_between_commit_and_publish_or_confirm_sends_the_same_ids_after_its_restart(
    agent_url: Url, mis_file: Path, tmp_path: Path, when: str
) -> None:
    ctf(tmp_path / "exports/1.xml", *(pupil(n) for n in range(PUPILS)))
    with SmallZone(AmqpTransport(AmqpSettings(url=agent_url("zone")))) as zone:
        assert start(mis_file, agent_url("mis-1"), when).wait(60) == -signal.SIGKILL
        promised = spooled(mis_file)
        assert promised
        assert start(mis_file, agent_url("mis-1")).wait(60) == 0
        until(lambda: len(ids(zone.taken)) == 2 * PUPILS)

        assert set(promised) <= ids(zone.taken)
        assert len({(t.headers["object"], learner_of(t)) for t in zone.taken}) == 2 * PUPILS
        assert not spooled(mis_file)
        check_order(zone.taken)


def test_an_agent_killed_at_any_moment_loses_nothing_and_gives_nothing_a_second_id(
    agent_url: Url, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", *(pupil(n) for n in range(1000)))
    with SmallZone(AmqpTransport(AmqpSettings(url=agent_url("zone")))) as zone:
        for moment in range(5):
            process = start(mis_file, agent_url("mis-1"))
            wanted = moment * 200
            until(lambda wanted=wanted, p=process: len(ids(zone.taken)) > wanted or p.poll() is not None)  # type: ignore[misc]
            process.kill()
            process.wait()
        assert start(mis_file, agent_url("mis-1")).wait(60) == 0
        until(lambda: len(ids(zone.taken)) >= 2000)

        assert len(ids(zone.taken)) == 2000
        assert len({(t.headers["object"], learner_of(t)) for t in zone.taken}) == 2000
        check_order(zone.taken)


def test_a_connection_that_goes_dead_is_made_again_and_everything_arrives(
    agent_url: Url, mis_file: Path, tmp_path: Path
) -> None:
    ctf(tmp_path / "exports/1.xml", *(pupil(n) for n in range(PUPILS)))
    url = agent_url("mis-1")
    port = urlsplit(url).port or 0
    with SmallZone(AmqpTransport(AmqpSettings(url=agent_url("zone")))) as zone, Proxy(port) as proxy:
        settings = AmqpSettings(url=url.replace(f":{port}/", f":{proxy.port}/"), heartbeat=timedelta(seconds=1))
        broken: list[int] = []

        def take(_incoming: Incoming) -> bool:
            if len(zone.taken) in (100, 200):
                proxy.cut() if len(broken) % 2 else proxy.freeze()
                threading.Timer(3, proxy.thaw).start()
                broken.append(len(zone.taken))
            return False

        zone.refuse = take
        with Agent.from_file(mis_file, lambda: AmqpTransport(settings)) as agent:
            agent.run(once=True, limits=Limits(timedelta(milliseconds=1), timedelta(seconds=40)))
        until(lambda: len(ids(zone.taken)) == 2 * PUPILS)

        assert broken
        check_order(zone.taken)


def test_an_agent_stops_cleanly_when_it_is_told_to(agent_url: Url, mis_file: Path, tmp_path: Path) -> None:
    ctf(tmp_path / "exports/1.xml", pupil(1))
    environment = {**os.environ, "SIFZONE_URL": agent_url("mis-1")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    code = f"from agents import Agent\nwith Agent.from_file({str(mis_file)!r}) as agent: agent.run()"
    with SmallZone(AmqpTransport(AmqpSettings(url=agent_url("zone")))) as zone:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        until(lambda: len(zone.taken) == 2)
        process.terminate()

        assert process.wait(20) == 0


def test_the_command_checks_a_connection_and_tells_a_wrong_password(agent_url: Url, mis_file: Path) -> None:
    with SmallZone(AmqpTransport(AmqpSettings(url=agent_url("zone")))):
        good = CliRunner().invoke(app, ["check", str(mis_file)], env={"SIFZONE_URL": agent_url("mis-1")})
        wrong = agent_url("mis-1").replace("secret", "guessed")
        bad = CliRunner().invoke(app, ["check", str(mis_file)], env={"SIFZONE_URL": wrong})

    assert (good.exit_code, bad.exit_code) == (0, 2)
    assert "connected as mis-1" in good.output
    assert "guessed" not in bad.output
