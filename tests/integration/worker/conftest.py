"""A worker over both transports, with a real SQLite store."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker.protocol.envelope import Ack, Action, build_event, build_register, new_header, parse_ack, parse_message
from broker.protocol.identifiers import AgentId, MsgId, new_msg_id
from broker.protocol.topology import (
    BROKER_LOGIN,
    CONTROL,
    CONTROL_QUEUE,
    DEAD_QUEUE,
    DELIVERY,
    INTAKE,
    Permissions,
    agent_permissions,
    agent_queue,
    intake_key,
)
from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone
from broker.storage import QuarantineEntry, Store, make_key, open_store
from broker.transports import (
    AmqpSettings,
    AmqpTransport,
    Incoming,
    MemoryBroker,
    MemoryTransport,
    Outgoing,
    Refusal,
    Transport,
)
from broker.worker import Worker
from tests.faults.zones import RECIPIENTS, SENDER, make_zone

EVERYTHING = Permissions(".*", ".*", ".*")


@dataclass(slots=True)
class Underway:
    """What was published to the zone and not acknowledged by a worker yet, by message id: nobody need guess with it."""

    count: Counter[str] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return self.count.total() > 0

    def watched(self, transport: Transport) -> Transport:
        """Return *transport*, of which is counted from now on what it sends to the zone, and what a worker takes."""
        publish, refusals, poll, ack = transport.publish, transport.refusals, transport.poll, transport.ack
        taken: dict[int, str] = {}

        def publish_and_count(message: Outgoing) -> int:
            number = publish(message)
            self.count[message.message_id] += message.exchange in (INTAKE, CONTROL)
            return number

        def refused() -> list[Refusal]:
            found = refusals()
            for refusal in found:
                self._settle(refusal.message_id)
            return found

        def poll_and_note(timeout: float) -> list[Incoming]:
            found = poll(timeout)
            taken.update((one.tag, one.message_id) for one in found if _is_the_zones(one.queue))
            return found

        def acknowledge(tag: int) -> None:
            ack(tag)
            for done in [one for one in taken if one <= tag]:
                self._settle(taken.pop(done))

        vars(transport).update(publish=publish_and_count, refusals=refused, poll=poll_and_note, ack=acknowledge)
        return transport

    def _settle(self, message_id: str) -> None:
        if self.count[message_id]:
            self.count[message_id] -= 1


def _is_the_zones(queue: str) -> bool:
    return queue != DEAD_QUEUE and not queue.startswith(agent_queue(AgentId("")))


@dataclass(frozen=True, slots=True)
class Carrier:
    """A message broker: connections to it by login, and a way to take a queue from under its readers."""

    connect: Callable[[AgentId], Transport]
    delete_queue: Callable[[str], None]
    underway: Underway = field(default_factory=Underway)


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
        found: list[Incoming] = []

        def arrived() -> bool:
            found.extend(self.turn(agent))
            return bool(found)

        self._wait(arrived)
        assert len(found) == 1, f"{agent} got {len(found)} messages"
        self.at(agent).ack(found[0].tag)
        return found[0]

    def turn(self, agent: AgentId) -> list[Incoming]:
        """Let the worker work a little, and return what *agent* got meanwhile; wait for whoever is to act next."""
        transport = self.at(agent)  # consumes from now on
        worker_is_next = bool(self.carrier.underway)
        self.worker.step(0.02 if worker_is_next else 0)
        return transport.poll(0 if worker_is_next else 0.01)

    def ack(self) -> Ack:
        """Return what the sender is answered next."""
        return parse_ack(parse_message(self.take(SENDER).body))

    def work(self) -> None:
        """Let the worker work until all that was sent to it is done, and nothing is left to do."""
        deadline = time.monotonic() + 20
        while self.worker.step(0.02 if self.carrier.underway else 0) or self.carrier.underway:
            assert time.monotonic() < deadline, "the worker does not come to rest"

    def all_for(self, agent: AgentId) -> list[Incoming]:
        """Return all that *agent* gets, once the worker is done: what comes before a mark at the end of its queue."""
        self.work()
        marker = AgentId("marker")
        if marker not in self.transports:
            self.transports[marker] = self.carrier.connect(AgentId(BROKER_LOGIN))
        mark = Outgoing(DELIVERY, agent, b"", new_msg_id(), "MARK", user_id=BROKER_LOGIN)
        number = self.transports[marker].publish(mark)
        self._wait(lambda: self.transports[marker].confirmed >= number, self.transports[marker])
        found: list[Incoming] = []

        def marked() -> bool:
            found.extend(self.at(agent).poll(0.05))
            return bool(found) and found[-1].message_id == mark.message_id

        self._wait(marked)
        self.at(agent).ack(found[-1].tag)
        return found[:-1]

    def nothing_for(self, agent: AgentId) -> bool:
        """Tell whether *agent* gets nothing, once the worker is done."""
        return self.all_for(agent) == []

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


in_memory = pytest.mark.parametrize("carrier", ["memory"], indirect=True)
"""Marks what a worker decides of one message alone: what carries it has no part in that, and the contract of transports
says that both carry alike (tests/integration/transports/test_contract.py)."""


@pytest.fixture(params=["memory", "amqp"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """A message broker on which each agent has its own rights."""
    if request.param == "memory":
        broker = MemoryBroker()
        for agent in (SENDER, *RECIPIENTS):
            broker.allow(agent, agent_permissions(agent))
        underway = Underway()
        return Carrier(lambda agent: underway.watched(MemoryTransport(broker, agent)), broker.delete_queue, underway)
    node: PrivateNode = request.getfixturevalue("rabbit_node")
    management: Management = request.getfixturevalue("management")
    vhost: str = request.getfixturevalue("vhost")
    logins = {agent: ("made-up-password", agent_permissions(agent)) for agent in (SENDER, *RECIPIENTS)}
    logins[AgentId(BROKER_LOGIN)] = ("made-up-password", EVERYTHING)
    management.apply_rights(vhost, logins)

    def delete_queue(queue: str) -> None:
        node.ctl("delete_queue", "--vhost", vhost, queue)

    underway = Underway()
    return Carrier(
        lambda agent: underway.watched(
            AmqpTransport(AmqpSettings(url=node.amqp_url(vhost, agent, "made-up-password")))
        ),
        delete_queue,
        underway,
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
