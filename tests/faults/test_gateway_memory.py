"""A large response passes through the gateway packet by packet: what it holds at a time does not grow with the whole.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one, of 200 MB.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from broker.rabbitmq import Management, PrivateNode
from broker.settings import load_zone
from broker.supervisor import RunningZone
from tests.faults.http_agents import agent_url
from tests.integration.gateway.sif import Agent, Message, Target, learner

LONG: Final = os.environ.get("SIFZONE_LONG") == "1"
PACKET_BYTES: Final = 256 * 1024
PACKETS: Final = 800 if LONG else 80
WHOLE: Final = PACKETS * PACKET_BYTES
"""200 MB in the long form, 20 MB in the short one."""
MEBI: Final = 1 << 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 if LONG else 120)]

_ZONE: Final = """
id = "large"
partitions = 2
[gateway]
port = 0
[agents.mis]
name = "MIS"
[agents.mis.rights]
LearnerPersonal = ["provide"]
[agents.mis.gateway]
[agents.vle]
name = "VLE"
[agents.vle.rights]
LearnerPersonal = ["request"]
[agents.vle.gateway]
"""
_AGREEMENT: Final = """
id = "whole"
title = "Large responses"
from = ["mis"]
to = ["vle"]
purpose = "Memory tests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.LearnerPersonal]
share = ["*"]
"""


@pytest.fixture(scope="module")
def running(rabbit_node: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningZone]:
    """A zone of a provider and a requester, on the node for the run."""
    folder = tmp_path_factory.mktemp("large") / "zone"
    (folder / "agreements").mkdir(parents=True)
    (folder / "zone.toml").write_text(_ZONE)
    (folder / "agreements" / "whole.toml").write_text(_AGREEMENT)
    with pytest.MonkeyPatch.context() as patch, (folder / "zone.log").open("w") as log:
        patch.setenv("SIFZONE_RABBITMQ", rabbit_node.amqp_url("/"))
        patch.setenv("SIFZONE_MANAGEMENT", rabbit_node.management_url)
        with RunningZone(load_zone(folder), log_file=log.fileno()) as started:
            yield started
    with Management(rabbit_node.management_url, rabbit_node.admin_user, rabbit_node.admin_password) as management:
        management.delete_vhost("large")


def memory(pid: int | None, name: str) -> int:
    """Return bytes of a process's resident memory: VmRSS now, or VmHWM at its highest."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(name))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int | None) -> None:
    """Have VmHWM begin anew.

    Source:
        proc(5), /proc/pid/clear_refs.
    """
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")


def ask(vle: Agent) -> None:
    """Make a request."""
    assert vle.request(to="mis", buffer=393_216).code == 0


def answer(mis: Agent, request: str, packets: int) -> None:
    """Send all *packets* of a response, each as soon as the one before is acknowledged."""
    one = learner()
    objects = one * ((PACKET_BYTES - 1_000) // len(one))
    for packet in range(1, packets + 1):
        assert mis.respond(request, objects, to="vle", packet=packet, more=packet < packets).code == 0


def fetch(vle: Agent, packets: int) -> None:
    """Take all *packets* of a response, in order."""
    for packet in range(1, packets + 1):
        got = vle.take()
        assert int(got.text("SIF_PacketNumber")) == packet
        assert len(got.body) > PACKET_BYTES - 3_000


@pytest.mark.parametrize("pushed", [False, True], ids=["pull-provider", "push-provider"])
def test_a_large_response_is_never_whole_in_the_gateway(running: RunningZone, pushed: bool) -> None:
    mis, vle = Agent("mis", agent_url(running, "mis")), Agent("vle", agent_url(running, "vle"))
    answering = Agent("mis", agent_url(running, "mis"))
    packets = 8
    sent = threading.Event()

    def react(message: Message) -> int:
        answer(answering, message.msg_id, packets)
        sent.set()
        return 1

    target = Target("mis", react)
    assert mis.register(push_to=target.url if pushed else "").code == 0
    assert vle.register().code == 0
    assert mis.provide("LearnerPersonal").code == 0

    def exchange() -> None:
        """Ask, have all packets sent before the first is fetched, and fetch them."""
        sent.clear()
        ask(vle)
        if not pushed:
            react(mis.take())
        assert sent.wait(600)
        fetch(vle, packets)

    exchange()  # what is needed once, is
    forget_peak(running.gateway_pid)
    before = memory(running.gateway_pid, "VmRSS")
    packets = PACKETS
    exchange()
    grown = memory(running.gateway_pid, "VmHWM") - before

    target.close()
    assert grown < WHOLE // 2, f"the gateway grew by {grown // MEBI} MiB for a response of {WHOLE // MEBI}"
