"""A zone in memory for the tests of agents: registers, says whose records learners are, takes events, decides later."""

import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from lxml import etree

from broker.protocol.envelope import Ack, Message, build_ack, event_objects, new_header, parse_message
from broker.protocol.identifiers import AgentId, RefId
from broker.protocol.identity import Claim, Outcome, Place, build_located, build_relocated, parse_locate
from broker.protocol.topology import CONTROL_QUEUE, DELIVERY, agent_topology, intake_queue, zone_topology
from broker.transports import MemoryBroker, MemoryTransport, Outgoing

ZONE = AgentId("zone")
Says = Callable[[Claim], Place | None]


class Taken(NamedTuple):
    """One event that the zone has taken.

    Attributes:
        learner: RefId of the learner that it is about.
    """

    what: str
    ref_id: str
    learner: str
    element: etree._Element


def new(claim: Claim) -> Place:
    """Say that nobody has the learner."""
    return Place(claim.key, Outcome.NEW, claim.key)


class Zone:
    """Answers in a thread of its own between enter and exit.

    Attributes:
        says: What it answers for one learner; None for no answer at all.
        refuses: Refuses Locate instead.
        asked: What it was asked, message by message.
    """

    def __init__(self, agent: str, says: Says = new, *, refuses: bool = False) -> None:
        self.says, self.refuses = says, refuses
        self.broker = MemoryBroker()
        self.asked: list[tuple[Claim, ...]] = []
        self.taken: list[Taken] = []
        self.registered = 0
        self._agent = AgentId(agent)
        self._transport = MemoryTransport(self.broker, ZONE)
        self._transport.declare(zone_topology(1) + agent_topology(self._agent))
        self._transport.consume([CONTROL_QUEUE, intake_queue(0)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def connect(self) -> MemoryTransport:
        """Return the agent's transport."""
        return MemoryTransport(self.broker, self._agent)

    def decide(self, places: Sequence[Place]) -> None:
        """Tell the agent what has been decided of learners; only while the zone does not run."""
        header = new_header(ZONE)
        self._send(build_relocated(header, places), header.msg_id, "SIF_SystemControl")
        self._turn(0)

    def whats(self) -> list[str]:
        """Return what the events are, in the order in which they came."""
        return [taken.what for taken in self.taken]

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._turn(0.01)
        while self._turn(0):
            pass

    def _turn(self, wait: float) -> bool:
        """Send what there is to send, and take what has come; return whether anything has."""
        batch = self._transport.poll(wait)
        for incoming in batch:
            self._take(parse_message(incoming.body))
        if batch:
            self._transport.ack(batch[-1].tag)
        return bool(batch)

    def _take(self, message: Message) -> None:
        if message.kind == "SIF_Register":
            self.registered += 1
            self._ack(message, Ack(self._agent, message.header.msg_id, status=0))
        elif message.kind == "SIF_SystemControl":
            self._locate(message)
        elif message.kind == "SIF_Event":
            self.taken += _events(message)

    def _locate(self, message: Message) -> None:
        claims = parse_locate(message)
        self.asked.append(claims)
        msg_id = message.header.msg_id
        if self.refuses:
            self._ack(message, Ack(self._agent, msg_id, category=12, code=2, description="no such command"))
            return
        places = [place for claim in claims if (place := self.says(claim)) is not None]
        if places:
            self._ack(message, Ack(self._agent, msg_id, status=0, data=build_located(places)))

    def _ack(self, message: Message, ack: Ack) -> None:
        header = new_header(ZONE)
        self._send(build_ack(header, ack, message.version), header.msg_id, "SIF_Ack")

    def _send(self, body: bytes, msg_id: str, kind: str) -> None:
        self._transport.publish(Outgoing(DELIVERY, self._agent, body, msg_id, kind))


def _events(message: Message) -> Iterator[Taken]:
    for event in event_objects(message):
        ref_id = event.element.get("RefId", "")
        about = event.element.get("LearnerPersonalRefId") or ref_id
        yield Taken(f"{event.object_type} {event.action}", ref_id, about, event.element)


def found_as(ref_ids: dict[str, str]) -> Says:
    """Say that the learners with these UPNs have these RefIds, and that nobody has the others."""

    def says(claim: Claim) -> Place:
        ref_id = ref_ids.get(claim.upn)
        return Place(claim.key, Outcome.FOUND, RefId(ref_id)) if ref_id else new(claim)

    return says
