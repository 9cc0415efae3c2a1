"""`sifzone bench`: the worker against a raw forwarder on a private RabbitMQ, in turns within one run; prints medians.

Raw means: pika's own select connection, one message in, one confirmed out, nothing decided. The worker takes 3 KB
LearnerPersonal events, cuts them to 2 views, publishes them to 3 (or 30) recipients and keeps its ledger on SQLite.
"""

import argparse
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from broker.logs import configure_logging
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    BROKER_LOGIN,
    INTAKE,
    Permissions,
    Topology,
    agent_permissions,
    agent_queue,
    agent_topology,
    intake_key,
    zone_topology,
)
from broker.rabbitmq import Management, PrivateNode
from broker.registry import Registered, Registration
from broker.settings import Zone, load_zone
from broker.storage import make_key, open_store
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Outgoing
from tests.bench.corpus import ESTABLISHMENT, SENDER, events
from tests.bench.raw_forwarder import run as forward_raw

PARTITIONS = 4
console = Console(stderr=True)

_AGREEMENT = """id = "{id}"
title = "Benchmark"
from = ["mis-*"]
to = ["{to}"]
purpose = "Benchmark"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "{learners}"
[objects.LearnerPersonal]
share = [{share}]
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: messages a second, CPU per message of the workers and of RabbitMQ, and what was booked on stages (s)."""

    rate: float
    cpu_us: float = 0.0
    rabbit_us: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


class Bench:
    """A node, and a fresh virtual host and zone for each run on it."""

    def __init__(self, node: PrivateNode, management: Management, folder: Path, count: int) -> None:
        self._node, self._management, self._folder = node, management, folder
        self._events = events(count)
        self._runs = 0

    def raw(self) -> Measured:
        """Forward all events from one quorum queue to another with pika alone."""
        vhost = self._vhost()
        url = self._node.amqp_url(vhost)
        agents = [AgentId("raw-in"), AgentId("raw-out")]
        with AmqpTransport(AmqpSettings(url=url)) as transport:
            transport.declare(_topology(agents))
            bodies = [("", agent_queue(agents[0]), msg_id, body) for msg_id, _, body in self._events]
            _fill(transport, bodies, "")
        before = self._rabbit_cpu()
        seconds = forward_raw(url, agent_queue(agents[0]), agent_queue(agents[1]), len(self._events))
        rabbit = (self._rabbit_cpu() - before) / len(self._events) * 1e6
        self._count(url, {agent_queue(agents[1]): len(self._events)})
        self._management.delete_vhost(vhost)
        return Measured(len(self._events) / seconds, rabbit_us=rabbit)

    def worker(self, recipients: int, workers: int = 1, *, profile: bool = False) -> Measured:
        """Let *workers* work off all events for *recipients* agents in 2 views."""
        vhost = self._vhost()
        zone = self._zone(recipients)
        platforms = [AgentId(f"vle-{n}") for n in range(recipients - 1)]
        subscribers = [*platforms, AgentId("virtual-school")]
        sender_url = self._login(vhost, SENDER, agent_permissions(SENDER))
        worker_url = self._login(vhost, AgentId(BROKER_LOGIN), Permissions(".*", ".*", ".*"))
        admin_url = self._node.amqp_url(vhost)
        with AmqpTransport(AmqpSettings(url=admin_url)) as transport:
            transport.declare(_topology(subscribers))
        with AmqpTransport(AmqpSettings(url=sender_url)) as transport:
            _fill(transport, [(INTAKE, intake_key(ref), msg_id, body) for msg_id, ref, body in self._events], SENDER)
        before = self._rabbit_cpu()
        results = self._run_children(zone, worker_url, workers, profile=profile)
        rabbit = (self._rabbit_cpu() - before) / len(self._events) * 1e6
        self._count(admin_url, {agent_queue(agent): len(self._events) for agent in subscribers})
        _check_ledger(zone, len(self._events), len(self._events) * recipients)
        self._management.delete_vhost(vhost)
        shutil.rmtree(zone.folder)
        seconds = max(r["ended"] for r in results) - min(r["begun"] for r in results)
        cpu = sum(r["cpu"] for r in results) / len(self._events) * 1e6
        return Measured(len(self._events) / seconds, cpu, rabbit, results[0]["stages"])

    def _run_children(self, zone: Zone, url: str, workers: int, *, profile: bool) -> list[dict]:  # type: ignore[type-arg]
        children = []
        for number in range(workers):
            own = ",".join(str(n) for n in range(PARTITIONS) if n % workers == number)
            command = [
                sys.executable,
                "-m",
                "tests.bench.worker_child",
                str(zone.folder),
                url,
                own,
                "profile" if profile else "plain",
            ]
            children.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
        time.sleep(1.5)  # both have started their interpreters; the clock runs from the line they wait for
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
            child.stdin.flush()
        return [json.loads(child.communicate()[0]) for child in children]

    def _zone(self, recipients: int) -> Zone:
        folder = self._folder / f"zone-{self._runs}"
        (folder / "agreements").mkdir(parents=True)
        lines = ['id = "bench"', f"partitions = {PARTITIONS}", f"[agents.{SENDER}]", 'name = "Made up MIS"']
        lines += [f'establishments = ["{ESTABLISHMENT}"]', 'publish = ["LearnerPersonal"]']
        for n in range(recipients - 1):
            lines += [f"[agents.vle-{n}]", f'name = "Platform {n}"', f'establishments = ["{ESTABLISHMENT}"]']
            lines += ['subscribe = ["LearnerPersonal"]']
        lines += ["[agents.virtual-school]", 'name = "Virtual"', 'authority = "820"', 'subscribe = ["LearnerPersonal"]']
        (folder / "zone.toml").write_text("\n".join(lines))
        small = ("@RefId", "LocalId", "PersonalInformation/Name", "PersonalInformation/Email", "CurrentSchoolEnrolment")
        large = ("@RefId", "UPN", "PersonalInformation", "InCare", "HomeLA", "CurrentSchoolEnrolment")
        for name, to, learners, share in (
            ("a", "vle-*", "enrolled", small),
            ("b", "virtual-school", "resident", large),
        ):
            text = _AGREEMENT.format(id=name, to=to, learners=learners, share=", ".join(f'"{path}"' for path in share))
            (folder / "agreements" / f"{name}.toml").write_text(text)
        zone = load_zone(folder)
        zone.state.mkdir(mode=0o700)
        make_key(zone.key_file)
        with open_store(zone.database_url, zone.key_file) as store:
            registration = Registration(SENDER, "Made up MIS", "2.4", time.time())
            store.change_registry(lambda _live: (None, (Registered(registration),)))
        return zone

    def _vhost(self) -> str:
        self._runs += 1
        vhost = f"bench-{self._runs}"
        self._management.ensure_vhost(vhost)
        return vhost

    def _login(self, vhost: str, login: AgentId, permissions: Permissions) -> str:
        self._management.ensure_user(login, "made-up-password")
        self._management.set_permissions(vhost, login, permissions)
        return self._node.amqp_url(vhost, login, "made-up-password")

    def _rabbit_cpu(self) -> float:
        """Return the seconds of CPU that the node's processes have used so far."""
        own = psutil.Process().children(recursive=True)
        nodes = [process for process in own if process.name() == "beam.smp"]
        return sum(times.user + times.system for times in (process.cpu_times() for process in nodes))

    def _count(self, url: str, expected: dict[str, int]) -> None:
        """Count what arrived, by asking each queue itself."""
        actual = counts(url, expected)
        if actual != expected:
            raise SystemExit(f"lost or repeated: {actual} instead of {expected}")


def counts(url: str, queues: Sequence[str] | dict[str, int]) -> dict[str, int]:
    """Return how many messages each of *queues* holds."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    found = {queue: channel.queue_declare(queue, passive=True).method.message_count for queue in queues}
    connection.close()
    return found


def _topology(agents: Sequence[AgentId]) -> Topology:
    topology = zone_topology(PARTITIONS)
    for agent in agents:
        topology += agent_topology(agent)
    return topology


def _fill(transport: AmqpTransport, messages: Sequence[tuple[str, str, str, bytes]], user_id: str) -> None:
    number = 0
    for exchange, key, msg_id, body in messages:
        number = transport.publish(Outgoing(exchange, key, body, msg_id, "SIF_Event", user_id=user_id))
        if number - transport.confirmed > 1000:
            transport.poll(0.5)
    while transport.confirmed < number:
        transport.poll(0.5)
    if transport.refusals():
        raise SystemExit("a queue could not be filled")


def _check_ledger(zone: Zone, accepted: int, delivered: int) -> None:
    with open_store(zone.database_url, zone.key_file) as store:
        (row,) = store.reconcile()
    if (row.accepted, row.delivered, row.unbalanced) != (accepted, delivered, 0):
        raise SystemExit(f"the ledger does not balance: {row}")


def main() -> None:
    """Run the rounds, print the table (standard error) and, with --json, the figures (standard output)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000, help="events in each run (default 10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; each runs everything once (default 3)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on standard output")
    options = parser.parse_args()
    configure_logging(level=logging.WARNING)
    runs: dict[str, list[Measured]] = {"raw": [], "worker": [], "30 recipients": [], "2 workers": []}
    with (
        tempfile.TemporaryDirectory(prefix="sifzone-bench-") as name,
        PrivateNode(Path(name) / "rabbitmq") as node,
        Management(node.management_url, node.admin_user, node.admin_password) as management,
    ):
        bench = Bench(node, management, Path(name), options.messages)
        with console.status("warming up"):
            bench.raw()
        for number in range(1, options.rounds + 1):
            with console.status(f"round {number} of {options.rounds}"):
                runs["raw"].append(bench.raw())
                runs["worker"].append(bench.worker(3))
                runs["30 recipients"].append(bench.worker(30))
                runs["2 workers"].append(bench.worker(3, workers=2))
        with console.status("profile"):
            profile = bench.worker(3, profile=True)
    report = _report(runs, profile, options.messages)
    _print(report)
    if options.json:
        json.dump(report, sys.stdout, indent=2)


def _report(runs: dict[str, list[Measured]], profile: Measured, count: int) -> dict[str, object]:
    def ratio(top: str, bottom: str, attribute: str = "rate") -> float:
        pairs = zip(runs[top], runs[bottom], strict=True)
        return float(statistics.median(getattr(a, attribute) / getattr(b, attribute) for a, b in pairs))

    return {
        "messages": count,
        "ratio_to_raw": round(ratio("worker", "raw"), 3),
        "cpu_ratio_30_to_3": round(ratio("30 recipients", "worker", "cpu_us"), 3),
        "ratio_2_workers": round(ratio("2 workers", "worker"), 3),
        "median_rate": {name: round(statistics.median(m.rate for m in found)) for name, found in runs.items()},
        "median_rabbit_us": {
            name: round(statistics.median(m.rabbit_us for m in found)) for name, found in runs.items()
        },
        "median_cpu_us": {name: round(statistics.median(m.cpu_us for m in found), 1) for name, found in runs.items()},
        "profile_us": {stage: round(s / count * 1e6, 1) for stage, s in profile.stages.items()},
        "runs": {name: [asdict(m) for m in found] for name, found in runs.items()},
    }


def _print(report: dict) -> None:  # type: ignore[type-arg]
    headings = ("Run", "Messages/s (median)", "Worker CPU, us/message", "RabbitMQ CPU, us/message")
    table = Table(*headings, title=f"{report['messages']:,} events of 3 KB")
    for name, rate in report["median_rate"].items():
        cpu, rabbit = report["median_cpu_us"][name], report["median_rabbit_us"][name]
        table.add_row(name, f"{rate:,}", str(cpu or ""), str(rabbit))
    console.print(table)
    stages = Table("Stage", "us/message (wall)", title="Where the worker's time goes (3 recipients, 2 views)")
    for stage, microseconds in sorted(report["profile_us"].items(), key=lambda item: -item[1]):
        stages.add_row(stage, str(microseconds))
    console.print(stages)
    console.print(f"worker / raw: {report['ratio_to_raw']}   CPU 30 / 3 recipients: {report['cpu_ratio_30_to_3']}")
    console.print(f"2 workers / 1: {report['ratio_2_workers']}")


if __name__ == "__main__":
    main()
