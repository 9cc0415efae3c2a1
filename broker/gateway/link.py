"""The gateway's connection to RabbitMQ, on the event loop: publish and await the confirm, receive, acknowledge."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from broker.protocol.errors import ZoneError
from broker.protocol.topology import Topology
from broker.transports.contract import Incoming, Outgoing, PublishRefused, Transport, TransportLost

log = structlog.get_logger(__name__)

_TICK: Final = 0.1
"""Seconds after which the transport is polled though nothing was heard: for heartbeats, deadlines, connecting."""
_BLIND_TICK: Final = 0.005
"""The same, for a transport that nothing can be waited for on."""


class Link:
    """Runs a transport on this thread's event loop. All of its work is done in :meth:`_pump`, and never waits.

    Args:
        transport: Nobody else uses it.
        received: Called with each message.
        lost: Called when the connection is lost: what was received and not acknowledged comes again.
    """

    def __init__(self, transport: Transport, received: Callable[[Incoming], None], lost: Callable[[], None]) -> None:
        self._transport, self._received, self._lost = transport, received, lost
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._refused: dict[int, str] = {}
        self._loop = asyncio.get_running_loop()
        self._watched = -1
        self._scheduled = False
        self._closed = False
        self._ticker = self._loop.create_task(self._tick())
        self.up = True
        """Whether the connection is there, as far as is known."""

    async def publish(self, message: Outgoing) -> None:
        """Return when RabbitMQ has confirmed *message*.

        Raises:
            TransportLost: It is not known whether RabbitMQ has it.
            PublishRefused: RabbitMQ did not take it.
        """
        number = self._transport.publish(message)
        confirmed: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((number, confirmed))
        self._soon()
        await confirmed

    def consume(self, queues: Sequence[str]) -> None:
        """Receive from *queues* from now on."""
        self._transport.consume(queues)
        self._soon()

    def acknowledge(self, tag: int) -> None:
        """Acknowledge one message, soon."""
        self._transport.ack_one(tag)
        self._soon()

    def declare(self, topology: Topology) -> None:
        """Declare *topology* now, and again after each reconnect; holds everything up until it is done.

        Raises:
            ZoneError: RabbitMQ refuses, or cannot be reached.
        """
        self._transport.declare(topology)
        self._soon()

    async def close(self) -> None:
        """Close the transport; what awaits a confirm is told that it is lost."""
        self._closed = True
        self._ticker.cancel()
        with suppress(asyncio.CancelledError):
            await self._ticker
        self._watch(-1)
        self._transport.close()
        self._fail(TransportLost("the gateway stops: send the message again"))

    def _soon(self) -> None:
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    async def _tick(self) -> None:
        while True:
            self._pump()
            await asyncio.sleep(_BLIND_TICK if self._watched < 0 and self._transport.fileno() < 0 else _TICK)

    def _pump(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        try:
            received = self._transport.poll(0)
            self.up = True
        except TransportLost as error:
            log.warning("gateway_lost_connection", reason=str(error), waiting=len(self._waiting))
            self.up = False
            self._watch(-1)
            self._fail(error)
            self._lost()
            return
        except ZoneError as error:
            log.error("gateway_cannot_connect", reason=str(error))
            self.up = False
            return
        self._watch(self._transport.fileno())
        self._settle()
        for incoming in received:
            self._received(incoming)

    def _settle(self) -> None:
        confirmed = self._transport.confirmed
        # kept until its turn comes: one before it may yet wait for its confirm
        self._refused.update((refusal.number, refusal.reason) for refusal in self._transport.refusals())
        while self._waiting and self._waiting[0][0] <= confirmed:
            number, future = self._waiting.popleft()
            reason = self._refused.pop(number, "")
            if future.done():
                continue
            if reason:
                future.set_exception(PublishRefused(f"RabbitMQ did not take the message ({reason}): send it again"))
            else:
                future.set_result(None)

    def _fail(self, error: TransportLost) -> None:
        self._refused.clear()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def _watch(self, fileno: int) -> None:
        if fileno == self._watched:
            return
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
        if fileno >= 0:
            self._loop.add_reader(fileno, self._pump)
        self._watched = fileno


__all__ = ["Link"]
