"""A very small zone for tests of agents: answers registrations, keeps what is published, delivers it where told."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from broker.protocol.envelope import Ack, build_ack, new_header, parse_message
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import CONTROL_QUEUE, DELIVERY, agent_topology, intake_queue, zone_topology
from broker.transports import Incoming, Outgoing, Transport, TransportLost

AGENTS = ("mis-1", "platform")
PARTITIONS = 2
ZONE = AgentId("zone")


@dataclass
class SmallZone:
    """Runs in a thread of its own between enter and exit.

    Attributes:
        registers: Answer to registrations: True well, False refused, None not at all.
        refuse: Tells which events are answered with an error.
        deliver_to: Agent that is sent every event that is not refused.
        taken: Every event taken from the intake, in order, also those that came twice.
    """

    transport: Transport
    registers: bool | None = True
    refuse: Callable[[Incoming], bool] = lambda _incoming: False
    deliver_to: str = ""
    taken: list[Incoming] = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zone", daemon=True)
        topology = zone_topology(PARTITIONS)
        for agent in AGENTS:
            topology += agent_topology(AgentId(agent))
        self.transport.declare(topology)

    def send(self, agent: str, body: bytes, message_id: str, kind: str = "SIF_Event") -> None:
        """Put a message into an agent's queue; only before the zone runs."""
        number = self.transport.publish(Outgoing(DELIVERY, agent, body, message_id, kind))
        while self.transport.confirmed < number:
            self.transport.poll(0.2)

    def __enter__(self) -> Self:
        self.transport.consume([CONTROL_QUEUE, *(intake_queue(number) for number in range(PARTITIONS))])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.transport.close()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    for incoming in (batch := self.transport.poll(0.05)):
                        self._take(incoming)
                except TransportLost:
                    continue
                if batch:
                    self.transport.ack(batch[-1].tag)
        except BaseException as error:  # noqa: BLE001 - told at exit
            self.error = error

    def _take(self, incoming: Incoming) -> None:
        if incoming.type == "SIF_Event":
            self.taken.append(incoming)
            if self.refuse(incoming):
                self._answer(incoming, refused=True)
            elif self.deliver_to:
                self._publish(self.deliver_to, incoming.body, incoming.message_id, "SIF_Event")
        elif incoming.type == "SIF_Register" and self.registers is not None:
            self._answer(incoming, refused=not self.registers)

    def _answer(self, incoming: Incoming, *, refused: bool) -> None:
        original = parse_message(incoming.body).header
        header = new_header(ZONE)
        ack = Ack(original.source_id, original.msg_id, status=0)
        if refused:
            why = "not allowed: ask for the right"
            ack = Ack(original.source_id, original.msg_id, category=4, code=2, description=why)
        self._publish(original.source_id, build_ack(header, ack), header.msg_id, "SIF_Ack")

    def _publish(self, agent: str, body: bytes, message_id: str, kind: str) -> None:
        self.transport.publish(Outgoing(DELIVERY, agent, body, message_id, kind))


def learner_of(incoming: Incoming) -> str:
    """Return the RefId of the learner that an event is about."""
    found = re.search(rb'(?: LearnerPersonalRefId|<LearnerPersonal [^>]*?\bRefId)="([0-9A-F]{32})"', incoming.body)
    assert found is not None
    return found[1].decode()
