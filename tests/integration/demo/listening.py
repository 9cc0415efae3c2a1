"""Keeps a copy of every message that the demo's zone sends an agent, bound beside that agent's own queue."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, DELIVERY, Binding, Queue, Topology, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone, load_zone
from broker.supervisor import read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import TransportLost

_QUEUE: Final[Mapping[str, str | int | bool]] = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}


class Listener(threading.Thread):
    """Listens from the moment that the zone's RabbitMQ lets its broker in, before any agent runs, until told to stop.

    Attributes:
        bodies: Of the events sent to each agent, by SIF_MsgId.
        queues: Names of the queues there are once messages flow.
    """

    def __init__(self, zone_folder: Path, agents: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self._folder = zone_folder
        self.bodies: Mapping[str, dict[str, bytes]] = {agent: {} for agent in agents}
        self.queues: frozenset[str] = frozenset()
        self._ended = threading.Event()

    def stop(self) -> None:
        """Stop and wait until stopped."""
        self._ended.set()
        self.join(20)

    def run(self) -> None:
        """Listen until stopped."""
        while not self._ended.is_set():
            try:
                self._listen()
            except (ZoneError, TransportLost):
                time.sleep(0.05)  # not up yet, or down again

    def _listen(self) -> None:
        zone = load_zone(self._folder)
        url = read_url(zone.credentials(AgentId(BROKER_LOGIN)))
        if not url:
            time.sleep(0.05)
            return
        with AmqpTransport(AmqpSettings(url=url, name="listener")) as transport:
            transport.declare(zone_topology(zone.settings.partitions) + self._topology())
            transport.consume([f"test.{agent}" for agent in self.bodies])
            while not self._ended.is_set():
                messages = transport.poll(0.2)
                for message in messages:
                    if message.type == "SIF_Event":
                        self.bodies[message.queue.removeprefix("test.")][message.message_id] = message.body
                if messages:
                    transport.ack(messages[-1].tag)
                    self.queues = self.queues or _queue_names(zone)

    def _topology(self) -> Topology:
        queues = tuple(Queue(f"test.{agent}", _QUEUE) for agent in self.bodies)
        bindings = tuple(Binding(DELIVERY, f"test.{agent}", agent) for agent in self.bodies)
        return Topology(exchanges=(), queues=queues, bindings=bindings)


def _queue_names(zone: Zone) -> frozenset[str]:
    node = PrivateNode(zone.state / "rabbitmq")  # not started here: it tells address and login
    with Management(node.management_url, node.admin_user, node.admin_password) as api:
        return frozenset(api.queues(zone.id))
