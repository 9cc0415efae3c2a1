"""Keeping one connection alive and telling its losses; what a connection is made of is amqp.py's.

A :class:`Link` is one connection from its first packet to its end. :class:`Supervised` opens links, one after the
other, and has the state that outlives them: numbers, tags, what is declared and consumed.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from broker.protocol.errors import ConfigurationError
from broker.protocol.topology import Binding, Exchange, Queue, Topology
from broker.transports.confirms import Confirms
from broker.transports.contract import Incoming, Outgoing, PublishRefused, Refusal, TransportLost
from broker.transports.frames import Reader, ack_frame, ack_one_frame, publish_frames, reject_frame

log = structlog.get_logger(__name__)

Thing = Exchange | Queue | Binding
CHANNEL: Final = 1  # messages and confirms
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_STEADY: Final = 10.0
"""Seconds after which a connection counts as good, so that the pauses begin short again."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a connection, or a declaration on it, ended.

    Attributes:
        reason: Name of the error's class.
        detail: The peer's words, without secrets.
        refused: The peer understood and said no; trying again changes nothing until somebody changes rights or queues.
        cause: The error as raised by the library.
    """

    reason: str
    detail: str
    refused: bool
    cause: Exception


class Declaring(Protocol):
    """A declaration under way.

    Attributes:
        moved_at: When the peer last agreed to a part of it, by the monotonic clock.
    """

    done: bool
    loss: Loss | None
    moved_at: float


class Link(Protocol):
    """One connection.

    Attributes:
        ready: Declared, consuming and in confirm mode.
        ready_at: When it became so, by the monotonic clock.
        loss: Why it ended; None while it lives.
        blocked: The peer reads nothing of us for lack of memory or disk.
        first_number: Number of the last publish before the first on this connection.
        reader: Has what was received.
    """

    ready: bool
    ready_at: float
    loss: Loss | None
    blocked: bool
    first_number: int
    reader: Reader

    def fileno(self) -> int:
        """Return what is readable when there is something to do."""

    def turn(self, wait: float) -> None:
        """Do input and output, waiting *wait* seconds at most."""

    def check_silence(self) -> None:
        """End the connection when the peer was silent for too long; called after a turn, which hears what is there."""

    def send(self, data: bytes) -> None:
        """Give *data* to the socket at the next turn."""

    def declare(self, things: Sequence[Thing]) -> Declaring:
        """Begin to declare *things*."""

    def consume(self, queues: Sequence[str]) -> None:
        """Begin to consume from *queues*."""

    def close(self) -> None:
        """Send what is noted and close in order, waiting a little."""

    def discard(self) -> None:
        """Let go of it at once."""


class Supervised(ABC):
    """The part of a transport that outlives its connections."""

    def __init__(self, place: str, publish_deadline: float, connect_timeout: float) -> None:
        """Note what is needed; the first poll or declare connects.

        Args:
            place: What to call the peer in logs and errors; without secrets.
            publish_deadline: Seconds after which an unconfirmed publish counts as a loss.
            connect_timeout: Seconds for a connection.
        """
        self.confirms = Confirms()
        self._place = place
        self._publish_deadline, self._connect_timeout = publish_deadline, connect_timeout
        self._link: Link | None = None
        self._things: dict[tuple[str, ...], Thing] = {}
        self._queues: list[str] = []
        self._out: list[bytes] = []
        self._last_tag = 0  # of the latest message received
        self._stale_tag = 0  # of the latest message of connections that are gone
        self._acked = 0
        self._ack_sent = 0
        self._rejected: set[int] = set()
        self._rejects: list[int] = []
        self._ones: list[int] = []
        self._been_connected = False
        self._loss_told = False
        self._pause = _SHORTEST_PAUSE
        self._connect_at = 0.0
        self._closed = False

    @abstractmethod
    def open_link(
        self, things: Sequence[Thing], queues: Sequence[str], first_tag: int, on_ready: Callable[[Link], None]
    ) -> Link:
        """Begin a connection that declares *things*, consumes from *queues* and then calls *on_ready* once."""

    def declare(self, topology: Topology) -> None:
        """See the contract.

        Raises:
            TransportLost: The connection ended meanwhile, or could not be made in time.
            ConfigurationError: The peer refuses: a missing right or plugin, or a queue with other arguments.
        """
        self._refuse_closed()
        things: tuple[Thing, ...] = (*topology.exchanges, *topology.queues, *topology.bindings)
        declaring = self._wait_until_ready().declare(things)
        while not declaring.done:
            try:
                if time.monotonic() - declaring.moved_at > self._publish_deadline:
                    self._lose(_overdue("a declaration was not answered in time"))
                self._turn(0.5)
            except TransportLost:
                if declaring.loss is None or not declaring.loss.refused:
                    raise
        if declaring.loss is not None:
            raise ConfigurationError(
                f"RabbitMQ at {self._place} refuses to declare the zone's queues ({declaring.loss.detail}): give the "
                "login the right to configure them, or delete the queue that has other arguments"
            ) from declaring.loss.cause
        self._things.update((_key(thing), thing) for thing in things)

    def consume(self, queues: Sequence[str]) -> None:
        """See the contract."""
        new = [queue for queue in queues if queue not in self._queues]
        self._queues += new
        if self._link is not None and self._link.ready:
            self._link.consume(new)

    def publish(self, message: Outgoing) -> int:
        """See the contract.

        Raises:
            PublishRefused: AMQP cannot carry it: a name over 255 bytes, or headers and BCC over a frame.
        """
        self._refuse_closed()
        try:
            self._out += publish_frames(CHANNEL, message)
        except ValueError as error:
            raise PublishRefused(f"message {message.message_id[:64]!r} cannot be sent: {error}") from error
        return self.confirms.add(message)

    @property
    def confirmed(self) -> int:
        """See the contract."""
        return self.confirms.low

    def refusals(self) -> list[Refusal]:
        """See the contract."""
        return self.confirms.take_refusals()

    def poll(self, timeout: float) -> list[Incoming]:
        """See the contract.

        Raises:
            TransportLost: Once for each loss.
            ConfigurationError: Before the first connection: the peer refuses the login or the virtual host.
        """
        self._refuse_closed()
        until = time.monotonic() + timeout
        confirmed = self.confirms.low
        while True:
            self._turn(until - time.monotonic())
            received = self._take_received()
            if received or self.confirms.low != confirmed or self.confirms.has_refusals:
                return received
            if time.monotonic() >= until:
                return []

    def ack(self, tag: int) -> None:
        """See the contract."""
        self._check_tag(tag)
        while tag in self._rejected:
            tag -= 1  # the peer knows a rejected tag no more
        self._acked = max(self._acked, tag)

    def ack_one(self, tag: int) -> None:
        """See the contract; a tag of a connection that is gone is passed over, since its message comes again."""
        self._check_tag(tag)
        if tag > self._stale_tag:
            self._ones.append(tag)

    def fileno(self) -> int:
        """See the contract."""
        return -1 if self._link is None else self._link.fileno()

    def reject(self, tag: int) -> None:
        """See the contract."""
        self._check_tag(tag)
        if tag > self._acked and tag not in self._rejected:
            self._rejected.add(tag)
            self._rejects.append(tag)

    def close(self) -> None:
        """See the contract."""
        if self._closed:
            return
        self._closed = True
        if self._link is not None:
            if self._link.ready:
                self._flush(self._link)
            self._link.close()
            self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the transport is closed: make a new one")

    def _check_tag(self, tag: int) -> None:
        if tag > self._last_tag:
            raise ValueError(f"no message with tag {tag} was received: acknowledge what poll returned")

    def _turn(self, wait: float) -> None:
        """Do what can be done, waiting *wait* seconds at most; raise when the connection is lost or never came."""
        now = time.monotonic()
        blocked = self._link is not None and self._link.blocked
        if not blocked:
            wait = min(wait, self._check_deadline(now))
        if self._link is None:
            if now < self._connect_at:
                time.sleep(max(0.0, min(wait, self._connect_at - now)))
                return
            self._link = self.open_link(
                tuple(self._things.values()), tuple(self._queues), self._stale_tag, self._on_ready
            )
        link = self._link
        if link.ready:
            self._flush(link)
        link.turn(max(0.0, wait))
        if link.loss is None:
            link.check_silence()
        if link.loss is not None:
            self._lose(link.loss)
        if blocked and not link.blocked:
            self.confirms.restart_clock(time.monotonic())

    def _check_deadline(self, now: float) -> float:
        """Return the seconds until a publish is overdue; lose the connection when one is."""
        self.confirms.watch(now)
        since = self.confirms.waiting_since()
        left = self._publish_deadline if since is None else since + self._publish_deadline - now
        if left < 0:
            self._lose(_overdue(f"a publish was not confirmed within {self._publish_deadline:g} s"))
        return left

    def _on_ready(self, link: Link) -> None:
        self._been_connected, self._loss_told = True, False
        link.first_number = self.confirms.low
        log.info("transport_connected", place=self._place)

    def _wait_until_ready(self) -> Link:
        until = time.monotonic() + 2 * self._connect_timeout
        while self._link is None or not self._link.ready:
            if time.monotonic() > until:
                self._lose(_overdue("it could not be reached in time"))
            self._turn(min(0.5, max(0.0, until - time.monotonic())))
        return self._link

    def _lose(self, loss: Loss) -> None:
        """Forget the connection; raise the first time, log each time."""
        link, self._link = self._link, None
        was_ready = link is not None and link.ready
        if link is not None:
            self._plan_next(link)
            link.discard()
        first_refusal = loss.refused and not self._been_connected
        if self._loss_told and not (was_ready or first_refusal or isinstance(loss.cause, TimeoutError)):
            log.warning("transport_still_lost", place=self._place, reason=loss.reason, detail=loss.detail)
            return
        log.warning("transport_lost", place=self._place, reason=loss.reason, detail=loss.detail)
        self._forget()
        if first_refusal:
            raise ConfigurationError(
                f"RabbitMQ at {self._place} refuses us ({loss.detail}): check user name, password and virtual host, "
                "and that the user has permissions in it"
            ) from loss.cause
        self._loss_told = True
        raise TransportLost(
            f"the connection to RabbitMQ at {self._place} was lost ({loss.reason}: {loss.detail}): it is made again "
            "at the next polls; publish again what was not confirmed"
        ) from loss.cause

    def _plan_next(self, lost: Link) -> None:
        now = time.monotonic()
        if lost.ready and now - lost.ready_at > _STEADY:
            self._pause = _SHORTEST_PAUSE
        self._connect_at = now + self._pause
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)

    def _forget(self) -> None:
        self.confirms.give_up()
        self._out.clear()
        self._stale_tag = self._acked = self._ack_sent = self._last_tag
        self._rejected.clear()
        self._rejects.clear()
        self._ones.clear()

    def _take_received(self) -> list[Incoming]:
        """Return what came; nothing of a connection that is not ready.

        The loss of one that never became so is not told, so nobody would know that its tags mean nothing any more: an
        acknowledgement of them would meet other messages of the next connection, or none.
        """
        link = self._link
        if link is None or not link.ready or not link.reader.received:
            return []
        received, link.reader.received = link.reader.received, []
        self._last_tag = received[-1].tag
        return received

    def _flush(self, link: Link) -> None:
        out, stale = self._out, self._stale_tag
        if self._rejects:
            out += [reject_frame(CHANNEL, tag - stale) for tag in self._rejects]
            self._rejects.clear()
        if self._ones:
            out += [ack_one_frame(CHANNEL, tag - stale) for tag in self._ones]
            self._ones.clear()
        if self._acked > self._ack_sent:
            out.append(ack_frame(CHANNEL, self._acked - stale))
            self._ack_sent = self._acked
            if self._rejected:
                self._rejected = {tag for tag in self._rejected if tag > self._acked}
        if out:
            link.send(b"".join(out))
            out.clear()


def _overdue(detail: str) -> Loss:
    return Loss("TimeoutError", detail, refused=False, cause=TimeoutError(detail))


def _key(thing: Thing) -> tuple[str, ...]:
    if isinstance(thing, Binding):
        return thing.exchange, thing.queue, thing.key
    return type(thing).__name__, thing.name
