"""Pushes messages to agents that want that: one at a time to each, each agent on its own, with growing pauses."""

import asyncio
import gzip
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx
import structlog

from broker.gateway.delivery import Box, Delivery
from broker.gateway.mailbox import Fate, Held
from broker.protocol.envelope import Ack, parse_ack, parse_message
from broker.protocol.errors import ZoneError
from broker.registry import Mode, Registration

log = structlog.get_logger(__name__)

CONTENT_TYPE: Final = 'application/xml;charset="utf-8"'
"""To the letter: agents in use refuse others."""
COMPRESS_FROM: Final = 64 * 1024
"""Bytes from which a message is compressed for whoever can read that."""
_ANSWER_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How pushing goes on when it does not succeed.

    Attributes:
        shortest: Seconds of the first pause; each is twice the one before, up to ``longest``.
        timeout: Seconds for an agent to answer.
    """

    shortest: float
    longest: float
    timeout: float


class NotDelivered(ZoneError):
    """An agent could not be reached, or did not answer as it must; the message is kept for it."""

    category = 10
    code = 4
    retry = True


class Pusher:
    """Pushes to one agent until told to stop.

    Args:
        registration: Returns what the agent said when it last registered; None while it is not registered.
    """

    def __init__(
        self,
        box: Box,
        delivery: Delivery,
        client: httpx.AsyncClient,
        registration: Callable[[], Registration | None],
        patience: Patience,
    ) -> None:
        self._box, self._delivery, self._client = box, delivery, client
        self._registration, self._patience = registration, patience
        self._pause = patience.shortest
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Try again at once: the agent has registered, or has said SIF_Wakeup."""
        self._pause = self._patience.shortest
        self._kicked.set()
        self._box.changed.set()

    async def run(self) -> None:
        """Push what comes, in order, for ever."""
        while True:
            try:
                if not await self._step():
                    await self._box.changed.wait()
            except ZoneError as error:
                log.warning("push_failed", agent=self._box.agent, reason=str(error), again_in=round(self._pause, 1))
                await self._wait()
            except Exception as error:  # noqa: BLE001  # one agent's trouble must never stop its pushing
                log.error("push_broken", agent=self._box.agent, error=type(error).__name__)
                await self._wait()

    async def _step(self) -> bool:
        """Push one message; tell whether there may be another."""
        self._box.changed.clear()
        held = await self._delivery.next(self._box) if self._may_push() is not None else None
        said = self._may_push()  # asked again: it may have fallen asleep meanwhile
        if held is None or said is None:
            return False
        ack = await self._post(held, said)
        if ack.category == _TRY_AGAIN or ack.status == _ASLEEP:
            raise NotDelivered("the agent is asleep, or cannot take the message now")
        outcome = await self._delivery.acknowledge(self._box, held.msg_id, ack, pushed=True)
        if outcome.fate is Fate.KEPT:
            raise NotDelivered("the agent cannot take the message now")
        self._pause = self._patience.shortest
        return True

    def _may_push(self) -> Registration | None:
        """Return the registration by which to push; None while the agent wants nothing pushed."""
        said = self._registration()
        return None if said is None or said.mode is not Mode.PUSH or said.sleeping else said

    async def _post(self, held: Held, said: Registration) -> Ack:
        """Return the agent's acknowledgement of *held*.

        Raises:
            NotDelivered: It did not take it, for all that can be known.
        """
        body, headers = held.body, {"Content-Type": CONTENT_TYPE}
        if len(body) >= COMPRESS_FROM and "gzip" in said.encodings:
            body, headers["Content-Encoding"] = gzip.compress(body, 5), "gzip"
        try:
            async with asyncio.timeout(self._patience.timeout):
                async with self._client.stream("POST", said.url, content=body, headers=headers) as response:
                    if response.status_code != httpx.codes.OK:
                        raise NotDelivered(f"the agent answered HTTP status {response.status_code}")
                    answer = b""
                    async for piece in response.aiter_bytes():
                        answer += piece
                        if len(answer) > _ANSWER_BYTES:
                            raise NotDelivered("the agent's answer is larger than any acknowledgement")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            raise NotDelivered(f"the agent cannot be reached ({type(error).__name__})") from error
        try:
            message = parse_message(answer)
            ack = parse_ack(message)
        except ZoneError as error:
            raise NotDelivered("the agent's answer cannot be read") from error
        if message.kind != "SIF_Ack":
            raise NotDelivered("the agent answered with something that is no SIF_Ack")
        return ack

    async def _wait(self) -> None:
        self._kicked.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._kicked.wait(), self._pause * random.uniform(0.8, 1.2))  # noqa: S311
        self._pause = min(self._patience.longest, 2 * self._pause)


_TRY_AGAIN: Final = 10
_ASLEEP: Final = 8


__all__ = ["COMPRESS_FROM", "CONTENT_TYPE", "NotDelivered", "Patience", "Pusher"]
