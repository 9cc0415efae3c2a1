"""A message broker in memory: what RabbitMQ does that the zone relies on; the contract is memory.py's.

Whoever calls anything but the plainly public methods holds :attr:`MemoryBroker.changed`.
"""

import re
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from broker.protocol.topology import Argument, Exchange, Permissions, Queue, Topology
from broker.transports.contract import HeaderValue, Incoming, Outgoing

EVERYTHING: Final = Permissions(".*", ".*", ".*")


class Refused(Exception):  # as RabbitMQ says it: a reply code and a text
    """The broker closes the channel, as RabbitMQ would."""


@dataclass(slots=True)
class _Stored:
    """A message in a queue; *returned* counts how often it came back unacknowledged."""

    message: Outgoing
    returned: int = 0


@dataclass(slots=True, eq=False)
class Session:
    """The broker's side of one connection."""

    login: str
    prefetch: int
    next_tag: int
    inbox: list[Incoming] = field(default_factory=list)
    unacked: dict[int, tuple["_QueueState", _Stored]] = field(default_factory=dict)
    handed_over: Counter[str] = field(default_factory=Counter)  # unacknowledged, by queue
    ended: str = ""


@dataclass(slots=True, eq=False)
class _QueueState:
    name: str
    arguments: dict[str, Argument]
    ready: deque[_Stored] = field(default_factory=deque)
    consumers: deque[Session] = field(default_factory=deque)

    def is_full(self) -> bool:
        limit = self.arguments.get("x-max-length")
        return isinstance(limit, int) and len(self.ready) >= limit

    def next_consumer(self) -> Session | None:
        """Return who gets the next message; with a single active consumer, the one that came first or nobody."""
        if self.arguments.get("x-single-active-consumer") is True:
            first = self.consumers[0] if self.consumers else None
            return first if first is not None and first.handed_over[self.name] < first.prefetch else None
        for _ in range(len(self.consumers)):
            session = self.consumers[0]
            self.consumers.rotate(-1)
            if session.handed_over[self.name] < session.prefetch:
                return session
        return None


class MemoryBroker:
    """Exchanges (direct, fanout), queues and logins of one virtual host."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._exchanges: dict[str, Exchange] = {}
        self._queues: dict[str, _QueueState] = {}
        self._bindings: dict[str, list[tuple[str, str]]] = {}  # exchange -> queue, key; in the order of binding
        self._permissions: dict[str, Permissions] = {}
        self._sessions: list[Session] = []

    def allow(self, login: str, permissions: Permissions) -> None:
        """Give *login* these permissions from now on; one that was never given any may do everything."""
        with self.changed:
            self._permissions[login] = permissions

    def disconnect(self, login: str) -> None:
        """End every connection of *login*, as a broken network would."""
        with self.changed:
            for session in [s for s in self._sessions if s.login == login]:
                self.end(session, "320 CONNECTION_FORCED")

    def delete_queue(self, name: str) -> None:
        """Delete the queue with what is in it; its consumers are cancelled."""
        with self.changed:
            queue = self._queues.pop(name)
            for pairs in self._bindings.values():
                pairs[:] = [pair for pair in pairs if pair[0] != name]
            for session in tuple(queue.consumers):
                self.end(session, "consumer cancelled")

    def depth(self, name: str) -> int:
        """Return how many messages wait in the queue, not counting those handed over."""
        with self.changed:
            return len(self._queues[name].ready)

    def connect(self, login: str, prefetch: int, next_tag: int) -> Session:
        """Begin a session, for :class:`MemoryTransport`; like all below, the caller holds :attr:`changed`."""
        session = Session(login, prefetch, next_tag)
        self._sessions.append(session)
        return session

    def end(self, session: Session, reason: str) -> None:
        """End *session*; what it had not acknowledged goes back to the head of its queues, in order."""
        if session.ended:
            return
        session.ended = reason
        self._sessions.remove(session)
        for queue in self._queues.values():
            if session in queue.consumers:
                queue.consumers.remove(session)
        unacked = list(session.unacked.values())
        session.unacked.clear()
        touched = []
        for queue, stored in reversed(unacked):
            self._give_back(queue, stored)
            touched.append(queue)
        for queue in touched:
            self._dispatch(queue)
        self.changed.notify_all()

    def declare(self, login: str, topology: Topology) -> None:
        """Declare *topology*; :class:`Refused` when rights or other arguments are in the way."""
        for exchange in topology.exchanges:
            self._check(login, "configure", exchange.name)
            if self._exchanges.setdefault(exchange.name, exchange) != exchange:
                raise Refused(f"406 PRECONDITION_FAILED - exchange {exchange.name!r} exists with other arguments")
            self._bindings.setdefault(exchange.name, [])
        for queue in topology.queues:
            self._declare_queue(login, queue)
        for binding in topology.bindings:
            self._check(login, "write", binding.queue)
            self._check(login, "read", binding.exchange)
            if binding.exchange not in self._exchanges or binding.queue not in self._queues:
                raise Refused(f"404 NOT_FOUND - {binding.exchange!r} or {binding.queue!r}")
            pairs = self._bindings[binding.exchange]
            if (binding.queue, binding.key) not in pairs:
                pairs.append((binding.queue, binding.key))

    def subscribe(self, session: Session, name: str) -> None:
        """Let *session* receive from the queue."""
        self._check(session.login, "read", name)
        if name not in self._queues:
            raise Refused(f"404 NOT_FOUND - no queue {name!r}")
        self._queues[name].consumers.append(session)
        self._dispatch(self._queues[name])

    def publish(self, login: str, message: Outgoing) -> str:
        """Put *message* into its queues and return ``""``, or why nothing took it: ``unroutable`` or ``nack``."""
        if message.exchange and message.exchange not in self._exchanges:
            raise Refused(f"404 NOT_FOUND - no exchange {message.exchange!r}")
        self._check(login, "write", message.exchange or "amq.default")
        if message.user_id and message.user_id != login:
            raise Refused(
                f"406 PRECONDITION_FAILED - user_id property set to {message.user_id!r} but user was {login!r}"
            )
        queues = [self._queues[name] for name in self._route(message)]
        full = False
        for queue in queues:
            if queue.is_full():
                full = True
                continue
            queue.ready.append(_Stored(message))
            self._dispatch(queue)
        self.changed.notify_all()
        return "unroutable" if not queues else "nack" if full else ""

    def ack(self, session: Session, tag: int) -> None:
        """Forget every message of *session* up to and including *tag*."""
        touched = []
        for handed in [t for t in session.unacked if t <= tag]:
            queue, _ = session.unacked.pop(handed)
            session.handed_over[queue.name] -= 1
            touched.append(queue)
        self._dispatch_all(touched)

    def ack_one(self, session: Session, tag: int) -> None:
        """Forget this message of *session*."""
        if tag in session.unacked:
            queue, _ = session.unacked.pop(tag)
            session.handed_over[queue.name] -= 1
            self._dispatch(queue)

    def reject(self, session: Session, tag: int) -> None:
        """Dead-letter this message of *session*."""
        if tag in session.unacked:
            queue, stored = session.unacked.pop(tag)
            session.handed_over[queue.name] -= 1
            self._dead_letter(queue, stored, "rejected")
            self._dispatch(queue)

    def _declare_queue(self, login: str, queue: Queue) -> None:
        self._check(login, "configure", queue.name)
        state = self._queues.setdefault(queue.name, _QueueState(queue.name, dict(queue.arguments)))
        if state.arguments != dict(queue.arguments):
            raise Refused(f"406 PRECONDITION_FAILED - queue {queue.name!r} exists with other arguments")

    def _check(self, login: str, right: str, name: str) -> None:
        pattern: str = getattr(self._permissions.get(login, EVERYTHING), right)
        if re.search(pattern or "^$", name) is None:
            raise Refused(f"403 ACCESS_REFUSED - {right} access to {name!r} refused for user {login!r}")

    def _route(self, message: Outgoing) -> list[str]:
        found: dict[str, None] = {}
        for key in (message.routing_key, *message.bcc):
            found.update(dict.fromkeys(self._queues_for(message.exchange, key)))
        return list(found)

    def _queues_for(self, exchange: str, key: str) -> list[str]:
        if not exchange:
            return [key] if key in self._queues else []
        pairs = self._bindings[exchange]
        match self._exchanges[exchange].kind:
            case "fanout":
                return [queue for queue, _ in pairs]
            case _:
                return [queue for queue, bound in pairs if bound == key]

    def _dispatch(self, queue: _QueueState) -> None:
        while queue.ready and (session := queue.next_consumer()) is not None:
            stored = queue.ready.popleft()
            session.unacked[session.next_tag] = (queue, stored)
            session.handed_over[queue.name] += 1
            session.inbox.append(_incoming(queue.name, stored, session.next_tag))
            session.next_tag += 1
            self.changed.notify_all()

    def _dispatch_all(self, queues: Sequence[_QueueState]) -> None:
        for queue in dict.fromkeys(queues):
            self._dispatch(queue)

    def _give_back(self, queue: _QueueState, stored: _Stored) -> None:
        stored.returned += 1
        limit = queue.arguments.get("x-delivery-limit")
        if isinstance(limit, int) and stored.returned > limit:
            self._dead_letter(queue, stored, "delivery_limit")
        else:
            queue.ready.appendleft(stored)

    def _dead_letter(self, queue: _QueueState, stored: _Stored, reason: str) -> None:
        exchange = str(queue.arguments.get("x-dead-letter-exchange", ""))
        if exchange not in self._exchanges:
            return
        dead = stored.message
        headers: dict[str, HeaderValue] = {
            "x-first-death-exchange": dead.exchange,
            "x-first-death-queue": queue.name,
            "x-first-death-reason": reason,
            **dead.headers,
        }
        letter = Outgoing(exchange, dead.routing_key, dead.body, dead.message_id, dead.type, headers, (), dead.user_id)
        for name in self._route(letter):
            self._queues[name].ready.append(_Stored(letter))
            self._dispatch(self._queues[name])


def _incoming(queue: str, stored: _Stored, tag: int) -> Incoming:
    message = stored.message
    headers = message.headers
    if stored.returned:
        headers = MappingProxyType({**headers, "x-delivery-count": stored.returned})
    return Incoming(
        queue,
        message.body,
        message.message_id,
        message.type,
        message.user_id,
        message.routing_key,
        stored.returned > 0,
        tag,
        headers,
    )
