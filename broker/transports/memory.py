"""The transport in memory, for tests and trials: the contract, without a network; nothing is durable.

Several threads may each use a transport of their own on one broker.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from broker.protocol.errors import ConfigurationError
from broker.protocol.topology import Topology
from broker.transports.contract import Incoming, Outgoing, PublishRefused, Refusal, TransportLost
from broker.transports.frames import publish_frames
from broker.transports.memory_broker import MemoryBroker, Refused, Session

__all__ = ["MemoryBroker", "MemoryTransport"]

log = structlog.get_logger(__name__)


class MemoryTransport:
    """A :class:`~broker.transports.contract.Transport` of *login* on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, login: str, prefetch: int = 500) -> None:
        self._broker, self._login, self._prefetch = broker, login, prefetch
        self._session: Session | None = None
        self._topologies: list[Topology] = []
        self._queues: list[str] = []
        self._noted: list[Outgoing] = []
        self._published = 0
        self._confirmed = 0
        self._refusals: list[Refusal] = []
        self._last_tag = 0
        self._stale_tag = 0
        self._acked = 0
        self._rejects: list[int] = []
        self._ones: list[int] = []
        self._loss_told = False
        self._closed = False

    def declare(self, topology: Topology) -> None:
        """See the contract."""
        self._refuse_closed()
        with self._broker.changed:
            if self._try_connected() is None:
                raise self._lost("it refuses queues or rights that were there before")
            try:
                self._broker.declare(self._login, topology)
            except Refused as error:
                raise ConfigurationError(
                    f"the broker in memory refuses to declare the zone's queues ({error}): "
                    "give the login the right to configure them, or delete the queue that has other arguments"
                ) from error
        if topology not in self._topologies:
            self._topologies.append(topology)

    def consume(self, queues: Sequence[str]) -> None:
        """See the contract."""
        new = [queue for queue in queues if queue not in self._queues]
        self._queues += new
        with self._broker.changed:
            if self._session is not None and not self._session.ended:
                self._subscribe(self._session, new)

    def publish(self, message: Outgoing) -> int:
        """See the contract."""
        self._refuse_closed()
        try:
            publish_frames(1, message)
        except ValueError as error:  # what AMQP could not carry is refused here too
            raise PublishRefused(f"message {message.message_id[:64]!r} cannot be sent: {error}") from error
        self._noted.append(message)
        self._published += 1
        return self._published

    @property
    def confirmed(self) -> int:
        """See the contract."""
        return self._confirmed

    def refusals(self) -> list[Refusal]:
        """See the contract."""
        taken, self._refusals = self._refusals, []
        return taken

    def poll(self, timeout: float) -> list[Incoming]:
        """See the contract."""
        self._refuse_closed()
        until = time.monotonic() + timeout
        confirmed = self._confirmed
        with self._broker.changed:
            while True:
                session = self._try_connected()
                if session is not None:
                    self._flush(session)
                    received = self._take_received(session)
                    if received or self._confirmed != confirmed or self._refusals:
                        return received
                left = until - time.monotonic()
                if left <= 0:
                    return []
                self._broker.changed.wait(left if session is not None else min(left, 0.1))

    def ack(self, tag: int) -> None:
        """See the contract."""
        if tag > self._last_tag:
            raise ValueError(f"no message with tag {tag} was received")
        self._acked = max(self._acked, tag)

    def ack_one(self, tag: int) -> None:
        """See the contract."""
        if tag > self._last_tag:
            raise ValueError(f"no message with tag {tag} was received")
        if tag > self._stale_tag:
            self._ones.append(tag)

    def fileno(self) -> int:
        """See the contract: nothing can be waited for."""
        return -1

    def reject(self, tag: int) -> None:
        """See the contract."""
        if tag > self._last_tag:
            raise ValueError(f"no message with tag {tag} was received")
        if tag > self._acked and tag > self._stale_tag:
            self._rejects.append(tag)

    def close(self) -> None:
        """See the contract."""
        if self._closed:
            return
        self._closed = True
        with self._broker.changed:
            if self._session is None or self._session.ended:
                return
            try:
                self._flush(self._session)
            except TransportLost:
                return
            self._broker.end(self._session, "closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the transport is closed: make a new one")

    def _try_connected(self) -> Session | None:
        """Return a session in order; tell a loss once, and begin a new session at the call after that."""
        if self._session is not None and self._session.ended:
            raise self._lost(self._session.ended)
        if self._session is None:
            session = self._broker.connect(self._login, self._prefetch, self._last_tag + 1)
            try:
                for topology in self._topologies:
                    self._broker.declare(self._login, topology)
                for queue in self._queues:
                    self._broker.subscribe(session, queue)
            except Refused as error:
                self._broker.end(session, str(error))
                if self._loss_told:
                    return None
                raise self._lost(str(error)) from error
            self._session, self._loss_told = session, False
        return self._session

    def _subscribe(self, session: Session, queues: Sequence[str]) -> None:
        try:
            for queue in queues:
                self._broker.subscribe(session, queue)
        except Refused as error:
            self._broker.end(session, str(error))  # told by the next poll

    def _lost(self, reason: str) -> TransportLost:
        """Forget the session and return the error that tells of it."""
        log.warning("transport_lost", place="memory", reason=reason)
        self._session, self._loss_told = None, True
        self._confirmed = self._published
        self._noted.clear()
        self._rejects.clear()
        self._ones.clear()
        self._stale_tag = self._acked = self._last_tag
        return TransportLost(
            f"the connection to the broker in memory was lost ({reason}): it is made again at the next polls; "
            "publish again what was not confirmed"
        )

    def _take_received(self, session: Session) -> list[Incoming]:
        received, session.inbox = session.inbox, []
        if received:
            self._last_tag = received[-1].tag
        return received

    def _flush(self, session: Session) -> None:
        try:
            for message in self._noted:
                refused = self._broker.publish(self._login, message)
                self._confirmed += 1
                if refused:
                    self._refusals.append(Refusal(self._confirmed, message.message_id, refused))
        except Refused as error:
            self._broker.end(session, str(error))
            raise self._lost(str(error)) from error
        self._noted.clear()
        for tag in self._rejects:
            self._broker.reject(session, tag)
        self._rejects.clear()
        for tag in self._ones:
            self._broker.ack_one(session, tag)
        self._ones.clear()
        self._broker.ack(session, self._acked)
