"""A worker over both transports, with a real SQLite store."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.protocol.envelope import Ack, Action, build_event, build_register, new_header, parse_ack, parse_message
from broker.protocol.identifiers import AgentId, MsgId
from broker.protocol.topology import (
    BROKER_LOGIN,
    CONTROL,
    CONTROL_QUEUE,
    INTAKE,
    Permissions,
    agent_permissions,
    agent_queue,
    intake_key,
)
from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone
from broker.storage import QuarantineEntry, Store, make_key, open_store
from broker.transports import AmqpSettings, AmqpTransport, Incoming, MemoryBroker, MemoryTransport, Outgoing, Transport
from broker.worker import Worker
from tests.faults.zones import RECIPIENTS, SENDER, make_zone

EVERYTHING = Permissions(".*", ".*", ".*")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A message broker: connections to it by login, and a way to take a queue from under its readers."""

    connect: Callable[[AgentId], Transport]
    delete_queue: Callable[[str], None]


@dataclass(slots=True)
class Desk:
    """A zone with one worker in this thread, and everybody's connection to it."""

    zone: Zone
    store: Store
    carrier: Carrier
    worker: Worker
    transports: dict[AgentId, Transport] = field(default_factory=dict)

    def at(self, agent: AgentId) -> Transport:
        """Return *agent*'s own connection."""
        if agent not in self.transports:
            self.transports[agent] = self.carrier.connect(agent)
            self.transports[agent].consume([agent_queue(agent)])
        return self.transports[agent]

    def send(self, outgoing: Outgoing, sender: AgentId = SENDER) -> None:
        """Publish and wait for the confirm."""
        transport = self.at(sender)
        number = transport.publish(outgoing)
        self._wait(lambda: transport.confirmed >= number, transport)
        assert transport.refusals() == []

    def send_body(self, body: bytes, key: str, msg_id: str) -> None:
        """Publish *body* to the intake as the sender does."""
        self.send(Outgoing(INTAKE, intake_key(key), body, msg_id, "SIF_Event", user_id=SENDER))

    def send_event(self, object_type: str, action: Action, element: bytes, key: str) -> MsgId:
        """Publish an event of one object; return its id."""
        header = new_header(SENDER)
        self.send_body(build_event(header, ((object_type, action, element),)), key, header.msg_id)
        return header.msg_id

    def register(self) -> None:
        """Register the sender and take the zone's answer."""
        header = new_header(SENDER)
        body = build_register(header, "Made up MIS")
        self.send(Outgoing(CONTROL, CONTROL_QUEUE, body, header.msg_id, "SIF_Register", user_id=SENDER))
        assert self.ack().status == 0

    def take(self, agent: AgentId) -> Incoming:
        """Let the worker work until *agent* gets a message; acknowledge and return it."""
        transport = self.at(agent)
        found: list[Incoming] = []

        def arrived() -> bool:
            self.worker.step(0)
            found.extend(transport.poll(0.01))
            return bool(found)

        self._wait(arrived)
        assert len(found) == 1, f"{agent} got {len(found)} messages"
        transport.ack(found[0].tag)
        return found[0]

    def ack(self) -> Ack:
        """Return what the sender is answered next."""
        return parse_ack(parse_message(self.take(SENDER).body))

    def work(self) -> None:
        """Let the worker work until nothing is left to do."""
        quiet = 0
        deadline = time.monotonic() + 20
        while quiet < 5:
            assert time.monotonic() < deadline, "the worker does not come to rest"
            quiet = 0 if self.worker.step(0.02) else quiet + 1

    def nothing_for(self, agent: AgentId) -> bool:
        """Tell whether *agent* gets nothing, once the worker is done."""
        self.work()
        return self.at(agent).poll(0.1) == []

    def held(self) -> list[QuarantineEntry]:
        """Return what is in quarantine, once the worker is done."""
        self.work()
        return self.store.quarantine_list("held")

    @staticmethod
    def _wait(done: Callable[[], bool], transport: Transport | None = None) -> None:
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline, "nothing came"
            if transport is not None:
                transport.poll(0.05)


@pytest.fixture(params=["memory", "amqp"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """A message broker on which each agent has its own rights."""
    if request.param == "memory":
        broker = MemoryBroker()
        for agent in (SENDER, *RECIPIENTS):
            broker.allow(agent, agent_permissions(agent))
        return Carrier(lambda agent: MemoryTransport(broker, agent), broker.delete_queue)
    node: PrivateNode = request.getfixturevalue("rabbit_node")
    management: Management = request.getfixturevalue("management")
    vhost: str = request.getfixturevalue("vhost")
    logins = {agent: ("made-up-password", agent_permissions(agent)) for agent in (SENDER, *RECIPIENTS)}
    logins[AgentId(BROKER_LOGIN)] = ("made-up-password", EVERYTHING)
    management.apply_rights(vhost, logins)

    def delete_queue(queue: str) -> None:
        node.ctl("delete_queue", "--vhost", vhost, queue)

    return Carrier(
        lambda agent: AmqpTransport(AmqpSettings(url=node.amqp_url(vhost, agent, "made-up-password"))),
        delete_queue,
    )


@pytest.fixture
def desk(carrier: Carrier, tmp_path: Path) -> Iterator[Desk]:
    """The zone of the fault tests: platforms get names, the virtual school also care; the sender is registered."""
    zone = make_zone(tmp_path / "zone")
    zone.state.mkdir(mode=0o700)
    make_key(zone.key_file)
    with open_store(zone.database_url, zone.key_file) as store, carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        worker = Worker(transport, store, zone)
        worker.open(range(zone.settings.partitions))
        found = Desk(zone, store, carrier, worker)
        found.register()
        yield found
        for other in found.transports.values():
            other.close()
