"""Hands messages to agents and settles them: what an agent has acknowledged is written down, then RabbitMQ is told.

So a message is given again after any crash but one: that between the agent's word and ours, which the agent sees.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from broker.gateway.link import Link
from broker.gateway.mailbox import Fate, Held, Mailbox, NoSuchMessage, Outcome
from broker.gateway.threads import Aside, Together
from broker.letters import AT, REFUSED
from broker.protocol.envelope import Ack
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, DEAD, agent_queue, requests_queue
from broker.storage import Store
from broker.transports.contract import Incoming, Outgoing, PublishRefused, TransportLost

log = structlog.get_logger(__name__)

_FIRST_MESSAGES: Final = 0.3
"""Seconds that RabbitMQ has to hand over the first messages, once it is asked for them."""
_AFTER_RESTART: Final = 3.0
"""Seconds in which an acknowledgement may be of a message that RabbitMQ is about to hand over again."""
_PATIENCE: Final = 20.0
_PAUSE: Final = 0.05


@dataclass(slots=True)
class Box:
    """An agent's mailbox, with what moves around it.

    Attributes:
        asked_at: When RabbitMQ was first asked for its messages, or again after a loss; monotonic.
        changed: Set when there may be something to do for whoever pushes.
        answers: Ids of the zone's answers to SIF_GetMessage, each with the message that was in it; the last few.
        discard_before: Messages up to this place in the order are not the agent's any more.
    """

    agent: AgentId
    mailbox: Mailbox
    asked_at: float
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    answers: dict[str, str] = field(default_factory=dict)
    discard_before: int = -1


class Delivery:
    """The mailboxes of all agents at the gateway."""

    def __init__(self, store: Store, reads: Aside, writes: Aside) -> None:
        self._store, self.reads, self.writes = store, reads, writes
        self._hand: Together[tuple[AgentId, str], None] = Together(writes, self._note)
        self._boxes: dict[AgentId, Box] = {}
        self._opening: dict[AgentId, asyncio.Task[Box]] = {}
        self._by_queue: dict[str, Box] = {}
        self.link: Link

    # -- RabbitMQ's side -------------------------------------------------------------------------------------------

    def received(self, incoming: Incoming) -> None:
        """Take in a message that RabbitMQ has handed over."""
        box = self._by_queue[incoming.queue]
        at = int(incoming.headers.get(AT, 0))
        held = Held(incoming.message_id, incoming.type, at, incoming.tag, incoming.body)
        if at <= box.discard_before or not box.mailbox.put(held):
            self.link.acknowledge(incoming.tag)
            return
        box.arrived.set()
        box.changed.set()

    def lost(self) -> None:
        """Forget what RabbitMQ had handed over: it comes again."""
        for box in self._boxes.values():
            box.mailbox.lost()
            box.arrived.clear()
            box.asked_at = time.monotonic()

    async def open(self, agent: AgentId) -> Box:
        """Return the box of *agent*, whose messages are asked for from now on."""
        box = self._boxes.get(agent)
        if box is not None:
            return box
        if agent not in self._opening:
            self._opening[agent] = asyncio.get_running_loop().create_task(self._open(agent))
        return await asyncio.shield(self._opening[agent])

    async def _open(self, agent: AgentId) -> Box:
        try:
            handed = await self.reads.run(self._store.handed, agent)
            blocked = await self.reads.run(self._store.blocked)
        finally:
            del self._opening[agent]
        box = Box(agent, Mailbox(blocked.get(agent, ""), handed), time.monotonic())
        self._boxes[agent] = box
        queues = [agent_queue(agent), requests_queue(agent)]
        self._by_queue |= dict.fromkeys(queues, box)
        self.link.consume(queues)
        return box

    # -- the agent's side ------------------------------------------------------------------------------------------

    async def next(self, box: Box) -> Held | None:
        """Return what the agent is to get now; None when there is nothing, or nothing yet."""
        while True:
            held = box.mailbox.next()
            if held is None and await self._may_arrive(box, _FIRST_MESSAGES):
                continue
            if held is None or held.kind != "SIF_Request" or await self._is_awaited(held):
                return held
            if box.mailbox.next() is held:  # nobody wants its answer any more
                box.mailbox.drop(held)
                await self._settle(box, held)

    async def acknowledge(
        self, box: Box, msg_id: str, ack: Ack, *, pushed: bool = False, final: bool = False
    ) -> Outcome:
        """Do what an acknowledgement says; returns when it can be relied upon.

        Raises:
            ZoneError: See :meth:`Mailbox.acknowledge`.
        """
        msg_id = box.answers.get(msg_id, msg_id)
        while box.mailbox.lacks(msg_id) and await self._may_arrive(box, _AFTER_RESTART):
            pass
        before = box.mailbox.blocked
        refused = box.mailbox.would_refuse(msg_id, ack)
        if refused is not None:
            await self._bury(box, refused, ack)
        try:
            outcome = box.mailbox.acknowledge(msg_id, ack, pushed=pushed, final=final)
        except NoSuchMessage:
            if not await self._may_arrive(box, _AFTER_RESTART):
                raise
            return await self.acknowledge(box, msg_id, ack, pushed=pushed, final=final)
        if outcome.held is not None:
            await self._settle(box, outcome.held)
        if box.mailbox.blocked != before:
            await self.writes.run(self._store.block, box.agent, box.mailbox.blocked)
        box.changed.set()
        return outcome

    async def unblock(self, box: Box) -> None:
        """End a block: the event is given again."""
        if box.mailbox.unblock():
            await self.writes.run(self._store.block, box.agent, "")
            log.info("block_ended", agent=box.agent)
        box.changed.set()

    async def discard(self, box: Box) -> None:
        """Give up all that the agent has not had: it has left the zone."""
        box.discard_before = time.time_ns() // 1000
        for held in box.mailbox.empty():
            self.link.acknowledge(held.tag)

    def boxes(self) -> Sequence[Box]:
        """Return the boxes that are open."""
        return tuple(self._boxes.values())

    async def _may_arrive(self, box: Box, seconds: float) -> bool:
        """Wait for more to arrive while it may, after RabbitMQ was asked; tell whether something has."""
        left = box.asked_at + seconds - time.monotonic()
        if left <= 0:
            return False
        box.arrived.clear()
        try:
            await asyncio.wait_for(box.arrived.wait(), left)
        except TimeoutError:
            return False
        return True

    async def _is_awaited(self, held: Held) -> bool:
        pending = (await self.reads.run(self._store.requests, [held.msg_id])).get(held.msg_id)
        return pending is None or pending.is_open  # None: the worker is about to store it

    async def _settle(self, box: Box, held: Held) -> None:
        await self._hand.ask((box.agent, held.msg_id))
        self.link.acknowledge(held.tag)

    async def _bury(self, box: Box, held: Held, ack: Ack) -> None:
        """Have the zone keep what the agent will never take, with the agent's reason."""
        headers = {
            "x-first-death-queue": agent_queue(box.agent),
            REFUSED: f"{ack.category or 0}/{ack.code or 0}",
        }
        outgoing = Outgoing(DEAD, "", held.body, held.msg_id, held.kind, headers, user_id=BROKER_LOGIN)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                await self.link.publish(outgoing)
            except (TransportLost, PublishRefused):
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                log.warning("message_refused_by_agent", agent=box.agent, msg_id=held.msg_id, category=ack.category)
                return

    def _note(self, pairs: Sequence[tuple[AgentId, str]]) -> list[None]:
        self._store.hand(pairs, time.time())
        return [None] * len(pairs)


__all__ = ["Box", "Delivery", "Fate"]
