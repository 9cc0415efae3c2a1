"""What every transport does: carry bytes, confirm them, hand them over until acknowledged; nothing about SIF.

One thread, one transport. All input and output happens inside :meth:`Transport.poll`; the other calls
only note what is to be done, so that what many calls wrote leaves in few writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

from broker.protocol.errors import ZoneError
from broker.protocol.topology import Topology

HeaderValue = str | int | bool
NO_HEADERS: Mapping[str, HeaderValue] = MappingProxyType({})


class TransportLost(ZoneError):
    """The connection, channel or a consumer was lost; the transport mends it by itself at the next polls.

    What was published and not confirmed may or may not have arrived: publish it again under the same message id.
    What was received and not acknowledged comes again.
    """

    category = 10  # transport
    code = 1
    retry = True


class PublishRefused(ZoneError):
    """The peer took nothing of this publish: no queue (``unroutable``) or a queue that rejects (``nack``)."""

    category = 10
    code = 4
    retry = True


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish: persistent, mandatory, ``application/xml``.

    Attributes:
        bcc: Further routing keys (sender-selected distribution); the receivers do not see them.
        user_id: The login, where the peer shall verify it; empty leaves it out.
    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    type: str = ""
    headers: Mapping[str, HeaderValue] = field(default_factory=lambda: NO_HEADERS)
    bcc: tuple[str, ...] = ()
    user_id: str = ""


@dataclass(slots=True)
class Incoming:
    """One message received and not yet acknowledged.

    Attributes:
        tag: The transport's own number for it, growing in the order of arrival; meaningless after TransportLost.
        user_id: The login that published it, verified by the peer; empty when the publisher gave none.
        redelivered: True when somebody may have had it before.
    """

    queue: str
    body: bytes
    message_id: str
    type: str
    user_id: str
    routing_key: str
    redelivered: bool
    tag: int
    headers: Mapping[str, HeaderValue] = field(default_factory=lambda: NO_HEADERS)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A publish that the peer did not take.

    Attributes:
        number: What publish returned.
        reason: ``unroutable`` or ``nack``.
    """

    number: int
    message_id: str
    reason: str


class Transport(Protocol):
    """A connection to the zone's message broker that supervises itself."""

    def declare(self, topology: Topology) -> None:
        """Declare *topology* now and again after each reconnect; returns when the peer has it.

        Raises:
            TransportLost: The connection ended meanwhile.
            ZoneError: The peer refuses (rights, or a queue that exists with other arguments).
        """

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from *queues* from now on, also after each reconnect; adding queues to those already consumed."""

    def publish(self, message: Outgoing) -> int:
        """Note *message* for sending and return its number: 1 for the first of this transport, then one more each.

        Numbers go on growing over reconnects. After TransportLost nothing unconfirmed is sent again by itself.
        """

    @property
    def confirmed(self) -> int:
        """The low-water mark: every publish up to this number is confirmed, refused, or given up by TransportLost."""

    def refusals(self) -> list[Refusal]:
        """Return, once, what the peer did not take since the last call, oldest first; empty when all is well."""

    def poll(self, timeout: float) -> list[Incoming]:
        """Do input and output: send what was noted, read confirms and messages.

        Args:
            timeout: Seconds to wait when nothing at all happens; 0 only does what can be done at once.

        Returns:
            Messages in the order of arrival; empty when none came.

        Raises:
            TransportLost: Once for each loss. Call again: the transport connects again, with growing pauses.
        """

    def ack(self, tag: int) -> None:
        """Acknowledge, at the next poll, every message received up to and including *tag*."""

    def ack_one(self, tag: int) -> None:
        """Acknowledge, at the next poll, this one message; a transport that does so never calls :meth:`ack`."""

    def fileno(self) -> int:
        """Return what can be waited for to be readable: then poll has something to do; -1 when nothing can.

        Another after each reconnect. Poll a few times a second all the same, for what only time brings about.
        """

    def reject(self, tag: int) -> None:
        """Give this one message up without requeue: it is dead-lettered."""

    def close(self) -> None:
        """Send what was noted, without waiting for confirms, and close; safe to call twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
