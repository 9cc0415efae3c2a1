"""Every exchange, queue, binding and argument of a zone's virtual host, as values; declaring them is a transport's.

Each argument is spelt out so that a zone means the same on RabbitMQ 3.10 and on 4.x, whose defaults differ
(quorum queues of 4.x have a delivery limit of 20 unless told otherwise).
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from broker.protocol.identifiers import AgentId

INTAKE: Final = "sif.intake"
CONTROL: Final = "sif.control"
DELIVERY: Final = "sif.delivery"
DEAD: Final = "sif.dead"
CONTROL_QUEUE: Final = "zone.control"
DEAD_QUEUE: Final = "zone.dead"
BROKER_LOGIN: Final = "zone.broker"
"""The login of the zone broker's own processes; no agent may have it as its id."""

INTAKE_DELIVERY_LIMIT: Final = 100
"""Deliveries of one message before it goes to zone.dead.

High, since each crash of a worker counts as one delivery of up to a whole prefetch of innocent messages.
"""
AGENT_DELIVERY_LIMIT: Final = 50
CONTROL_DELIVERY_LIMIT: Final = 20
SHARDS: Final = 256
"""Routing keys of the intake, each bound to one partition; no zone can have more partitions than these."""
_UNLIMITED: Final = 1_000_000_000
"""A delivery limit that is never met; 3.10 has no word for unlimited that 4.x shares."""

_PERSON_MILLISECONDS: Final = 10 * 60 * 1000

Argument = str | int | bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange; *kind* is RabbitMQ's name for its type."""

    name: str
    kind: str
    arguments: Mapping[str, Argument] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue with all its arguments."""

    name: str
    arguments: Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Binding:
    """From *exchange* to *queue* with a binding key."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What to declare, in this order: exchanges, queues, bindings."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def __add__(self, other: "Topology") -> "Topology":
        return Topology(self.exchanges + other.exchanges, self.queues + other.queues, self.bindings + other.bindings)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Regular expressions of what a login may configure, write and read in the zone's virtual host."""

    configure: str
    write: str
    read: str


def intake_key(ordering_key: str) -> str:
    """Return the routing key under which what is to keep its order is published to the intake.

    Args:
        ordering_key: The learner's RefId where the object is about a learner, else the object's own.

    Returns:
        Two hexadecimal digits, the same for the same key for ever.

    Source:
        Our own rule. RabbitMQ's consistent-hash exchange is no help here: 3.10 deals its buckets out anew when the
        node starts again, so that a learner's next event could overtake one that still waits in another queue.
    """
    return f"{zlib.crc32(ordering_key.encode()) % SHARDS:02x}"


def intake_queue(partition: int) -> str:
    """Return the name of the intake queue of *partition*, counted from 0."""
    return f"zone.intake.{partition}"


def agent_queue(agent: AgentId) -> str:
    """Return the name of the queue that *agent* reads."""
    return f"agent.{agent}"


def requests_queue(agent: AgentId) -> str:
    """Return the name of the queue in which the gateway keeps requests and responses for *agent*.

    Apart from its events, since those may have to wait while these flow (Selective Message Blocking). RabbitMQ cannot
    look past what waits at the head of a queue.
    """
    return f"requests.{agent}"


def requests_key(agent: AgentId) -> str:
    """Return the binding key of that queue; no agent's id can have a bar in it."""
    return f"requests|{agent}"


def person_queue(request_id: str) -> str:
    """Return the name and binding key of the queue in which a person awaits the answer to a request."""
    return f"person.{request_id}"


def zone_topology(partitions: int) -> Topology:
    """Return what every zone has, with *partitions* intake queues (1 or more).

    Source:
        RabbitMQ's documentation of quorum queues, single active consumer and dead-letter strategies.
    """
    intake = tuple(
        _quorum(intake_queue(n), INTAKE_DELIVERY_LIMIT, {"x-single-active-consumer": True}) for n in range(partitions)
    )
    return Topology(
        exchanges=(
            Exchange(INTAKE, "direct"),
            Exchange(CONTROL, "direct"),
            Exchange(DELIVERY, "direct"),
            Exchange(DEAD, "fanout"),
        ),
        queues=(
            *intake,
            _quorum(CONTROL_QUEUE, CONTROL_DELIVERY_LIMIT, {"x-single-active-consumer": True}),
            Queue(DEAD_QUEUE, _arguments(_UNLIMITED)),
        ),
        bindings=(
            *(Binding(INTAKE, intake[shard % partitions].name, f"{shard:02x}") for shard in range(SHARDS)),
            Binding(CONTROL, CONTROL_QUEUE, CONTROL_QUEUE),
            Binding(DEAD, DEAD_QUEUE, ""),
        ),
    )


def agent_topology(agent: AgentId) -> Topology:
    """Return the queue of *agent* and its binding to the delivery exchange."""
    queue = _quorum(agent_queue(agent), AGENT_DELIVERY_LIMIT, {})
    return Topology((), (queue,), (Binding(DELIVERY, queue.name, agent),))


def gateway_topology(agent: AgentId) -> Topology:
    """Return both queues of an agent that the gateway reads for, with their bindings.

    Without a delivery limit: nothing is delivered but what the agent is there for, and a fault of the gateway's is no
    reason to give a message up. With a single active consumer: else RabbitMQ, having been killed, hands to the gateway
    what had waited before what the gateway had in hand (3.10 at least), and order is lost.
    """
    alone = {"x-single-active-consumer": True}
    events = _quorum(agent_queue(agent), _UNLIMITED, alone)
    requests = _quorum(requests_queue(agent), _UNLIMITED, alone)
    bindings = (Binding(DELIVERY, events.name, agent), Binding(DELIVERY, requests.name, requests_key(agent)))
    return Topology((), (events, requests), bindings)


def person_topology(request_id: str) -> Topology:
    """Return the queue in which a person awaits an answer; RabbitMQ deletes it when nobody has used it for a while."""
    queue = Queue(
        person_queue(request_id), MappingProxyType({**_arguments(_UNLIMITED), "x-expires": _PERSON_MILLISECONDS})
    )
    return Topology((), (queue,), (Binding(DELIVERY, queue.name, queue.name),))


def agent_permissions(agent: AgentId) -> Permissions:
    """Return what RabbitMQ lets *agent* do: write to intake and control, read its own queue, configure nothing."""
    queue = re.escape(agent_queue(agent))
    return Permissions(configure="^$", write=f"^({re.escape(INTAKE)}|{re.escape(CONTROL)})$", read=f"^{queue}$")


def _quorum(name: str, delivery_limit: int, more: Mapping[str, Argument]) -> Queue:
    dead_lettering: dict[str, Argument] = {
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
    }
    return Queue(name, MappingProxyType({**_arguments(delivery_limit), **dead_lettering, **more}))


def _arguments(delivery_limit: int) -> dict[str, Argument]:
    return {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit, "x-overflow": "reject-publish"}
