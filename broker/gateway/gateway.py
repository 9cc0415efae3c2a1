"""Answers SIF messages that come over HTTP: each gets a SIF_Ack, in the version that it came in."""

import asyncio
import time
from contextlib import suppress
from typing import ClassVar, Final

import httpx
import structlog

from broker import control
from broker.gateway.credentials import Caller
from broker.gateway.delivery import Box, Delivery
from broker.gateway.intake import Intake
from broker.gateway.link import Link
from broker.gateway.mailbox import Fate
from broker.gateway.push import Patience, Pusher
from broker.gateway.state import State
from broker.protocol.envelope import (
    NAMESPACE,
    VERSION,
    Ack,
    Message,
    build_ack,
    new_header,
    parse_ack,
    parse_message,
)
from broker.protocol.errors import NotRegistered, WrongSource, ZoneError
from broker.protocol.identifiers import AgentId
from broker.registry import Mode
from broker.requests import Removed
from broker.storage import StorageError, Store

log = structlog.get_logger(__name__)

_NS: Final = f"{{{NAMESPACE}}}"
_GET_MESSAGE: Final = f"{_NS}SIF_SystemControlData/{_NS}SIF_GetMessage"
_TAKEN: Final = frozenset({"SIF_Event", "SIF_Request", "SIF_Response"})
_DONE: Final = 0
_ASLEEP: Final = 8
_NOTHING: Final = 9
_ANSWERS: Final = 8
"""How many answers to SIF_GetMessage are remembered by id."""
_LOOK_SECONDS: Final = 0.5
_FORGET_SECONDS: Final = 60.0
_KEPT_SECONDS: Final = 600.0
"""How long an acknowledgement is remembered while RabbitMQ is there, which has long heard of it by then.

Those of agents that have not called since RabbitMQ or the gateway was last lost are kept: their messages come again.
"""
_ALARM_SECONDS: Final = 600.0


class PushCannotPull(ZoneError):
    """An agent that is pushed to asks for a message."""

    category: ClassVar[int] = 5
    code: ClassVar[int] = 9


class Gateway:
    """All agents at the gateway of one zone, in one event loop."""

    def __init__(
        self, state: State, store: Store, link: Link, delivery: Delivery, client: httpx.AsyncClient, patience: Patience
    ) -> None:
        self._state, self._store, self._link, self._delivery = state, store, link, delivery
        self._client, self._patience = client, patience
        self._reads, self._writes = delivery.reads, delivery.writes
        self._intake = Intake(state, store, link, self._reads)
        self._pushers: dict[AgentId, tuple[Pusher, asyncio.Task[None]]] = {}
        self._watch = asyncio.get_running_loop().create_task(self._watching())
        self._blocked_since: dict[AgentId, tuple[str, float]] = {}

    @property
    def is_up(self) -> bool:
        """Whether the gateway is connected to RabbitMQ."""
        return self._link.up

    async def close(self) -> None:
        """Stop pushing and watching."""
        tasks = [self._watch, *(task for _, task in self._pushers.values())]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    # -- messages --------------------------------------------------------------------------------------------------

    def refuse(self, error: ZoneError) -> bytes:
        """Return the answer to somebody of whom nothing is known but the *error*."""
        return build_ack(new_header(self._state.id), control.failure(error, "", None), VERSION)

    async def answer(self, caller: Caller, body: bytes) -> bytes:
        """Return the SIF_Ack to what *caller* sent."""
        try:
            message = parse_message(body)
        except ZoneError as error:
            log.info("message_unreadable", agent=caller.agent, category=error.category, code=error.code)
            with suppress(ZoneError):
                await self._intake.keep(caller.agent, body)
            return self.refuse(error)
        header = new_header(self._state.id)
        source, msg_id = message.header.source_id, message.header.msg_id
        try:
            ack = await self._dispatch(message, caller, body, header.msg_id)
        except StorageError as error:
            log.error("store_not_available", error=type(error).__name__)
            text = "the zone cannot take messages at the moment: send it again in a minute"
            ack = Ack(source, msg_id, category=10, code=1, description=text)
        except ZoneError as error:
            ack = control.failure(error, source, msg_id)
        except Exception as error:  # noqa: BLE001  # one message must never stop the gateway
            log.error("message_not_answered", agent=caller.agent, msg_id=msg_id, error=type(error).__name__)
            text = "the zone failed on this message: tell its administrator"
            ack = Ack(source, msg_id, category=11, code=1, description=text)
        if ack.category is not None:
            log.info("message_answered", agent=caller.agent, msg_id=msg_id, category=ack.category, code=ack.code)
        return build_ack(header, ack, message.version)

    async def _dispatch(self, message: Message, caller: Caller, body: bytes, answer_id: str) -> Ack:
        agent = caller.agent
        if message.header.source_id != agent:
            raise WrongSource(f"SIF_SourceId is not {agent}, who is calling: an agent sends only as itself")
        if message.kind != "SIF_Register" and not self._state.router.registry.is_registered(agent):
            raise NotRegistered(f"agent {agent} is not registered: send SIF_Register first")
        if message.kind in _TAKEN:
            return await self._intake.take(agent, message, body)
        if message.kind == "SIF_Ack":
            return await self._acknowledge(agent, message)
        if message.payload.find(_GET_MESSAGE) is not None:
            return await self._fetch(agent, message, answer_id)
        return await self._control(message, caller)

    async def _fetch(self, agent: AgentId, message: Message, answer_id: str) -> Ack:
        source, msg_id = message.header.source_id, message.header.msg_id
        said = self._state.registration(agent)
        if said is None or said.mode is Mode.PUSH:
            raise PushCannotPull("you are registered with SIF_Mode Push: messages are sent to you")
        if said.sleeping:
            return Ack(source, msg_id, status=_NOTHING)
        box = await self._delivery.open(agent)
        held = await self._delivery.next(box)
        if held is None:
            return Ack(source, msg_id, status=_NOTHING)
        box.answers[answer_id] = held.msg_id
        if len(box.answers) > _ANSWERS:
            del box.answers[next(iter(box.answers))]
        return Ack(source, msg_id, status=_DONE, data=held.body)

    async def _acknowledge(self, agent: AgentId, message: Message) -> Ack:
        ack = parse_ack(message)
        box = await self._delivery.open(agent)
        said = self._state.registration(agent)
        final = said is not None and said.mode is Mode.PUSH
        outcome = await self._delivery.acknowledge(box, ack.original_msg_id or "", ack, final=final)
        if outcome.fate is Fate.BLOCKED:
            log.info("events_blocked", agent=agent, msg_id=ack.original_msg_id)
        return Ack(message.header.source_id, message.header.msg_id, status=_DONE)

    async def _control(self, message: Message, caller: Caller) -> Ack:
        agent, state = caller.agent, self._state
        place = state.place(caller, time.time())
        registry = state.zone.registry

        def decide() -> control.Answer:
            return control.settle(
                self._store,
                lambda live: control.answer_message(message, agent, registry.with_live(live), place),
            )

        if not self._link.up and message.kind == "SIF_SystemControl" and _is_ping(message):
            return Ack(message.header.source_id, message.header.msg_id, status=_ASLEEP)
        answer = await self._writes.run(decide)
        if answer.changes:
            log.info("agent_changed", agent=agent, changes=[type(change).__name__ for change in answer.changes])
            await self._look()
        if answer.cancelled:
            await self._intake.cancel(agent, answer.cancelled, _CANCELLED, notify=answer.notify)
        if answer.left:
            await self._leave(agent)
        elif answer.woken:
            await self._wake(agent)
        return answer.ack

    async def _wake(self, agent: AgentId) -> None:
        box = await self._delivery.open(agent)
        await self._delivery.unblock(box)
        if agent in self._pushers:
            self._pushers[agent][0].kick()

    async def _leave(self, agent: AgentId) -> None:
        await self._delivery.discard(await self._delivery.open(agent))
        open_requests = await self._reads.run(self._store.open_requests, responder=agent)
        ids = [pending.msg_id for pending in open_requests]
        await self._intake.cancel(AgentId(""), ids, Removed.pair(), notify=True)

    # -- what goes on by itself ------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """See what agents have said of themselves since, and push to whoever wants that."""
        self._state.look(await self._reads.run(self._store.live))
        await self._push()

    async def _push(self) -> None:
        wanted = {
            agent
            for agent in self._state.gateway_agents()
            if (said := self._state.registration(agent)) is not None and said.mode is Mode.PUSH
        }
        for agent in wanted - self._pushers.keys():
            box = await self._delivery.open(agent)
            if agent not in self._pushers:
                self._start(box)
        for agent in self._pushers.keys() - wanted:
            _, task = self._pushers.pop(agent)
            task.cancel()

    def _start(self, box: Box) -> None:
        agent = box.agent
        pusher = Pusher(box, self._delivery, self._client, lambda: self._state.registration(agent), self._patience)
        self._pushers[agent] = (pusher, asyncio.get_running_loop().create_task(pusher.run()))

    async def _watching(self) -> None:
        """Take up changes that others made: settings, registrations, blocks that an administrator has ended."""
        forget_at = 0.0
        await self._push()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if self._state.reload():
                    self._link.declare(self._state.topology())
                    await self._push()
                if await self._reads.run(self._store.registry_version) != self._state.version:
                    await self._look()
                await self._check_blocks()
                if time.monotonic() > forget_at:
                    forget_at = time.monotonic() + _FORGET_SECONDS
                    await self._forget()
            except ZoneError as error:
                log.warning("gateway_watch_failed", reason=str(error))
            except Exception as error:  # noqa: BLE001  # nothing may end this watch
                log.error("gateway_watch_broken", error=type(error).__name__)

    async def _forget(self) -> None:
        """Forget acknowledgements of which RabbitMQ has long heard."""
        settled = [box.agent for box in self._delivery.boxes() if time.monotonic() - box.asked_at > _KEPT_SECONDS]
        if settled and self._link.up:
            await self._writes.run(self._store.forget_handed, settled, time.time() - _KEPT_SECONDS)

    async def _check_blocks(self) -> None:
        """End blocks that an administrator has ended; say of others that they last long."""
        boxes = [box for box in self._delivery.boxes() if box.mailbox.blocked]
        if not boxes:
            self._blocked_since.clear()
            return
        known = await self._reads.run(self._store.blocked)
        for box in boxes:
            blocked = box.mailbox.blocked
            since = self._blocked_since.get(box.agent)
            if since is None or since[0] != blocked:
                self._blocked_since[box.agent] = (blocked, time.monotonic())
            elif blocked and box.agent not in known:
                await self._delivery.unblock(box)
            elif time.monotonic() - since[1] > _ALARM_SECONDS:
                self._blocked_since[box.agent] = (blocked, time.monotonic())
                log.error("events_blocked_for_long", agent=box.agent, msg_id=blocked, remedy="sifzone gateway release")


def _is_ping(message: Message) -> bool:
    return message.payload.find(f"{_NS}SIF_SystemControlData/{_NS}SIF_Ping") is not None


_CANCELLED: Final = (8, 18)


__all__ = ["Gateway", "PushCannotPull"]
