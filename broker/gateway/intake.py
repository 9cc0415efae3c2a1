"""Takes what agents send into the zone: a message is acknowledged when RabbitMQ has confirmed it, or refused at once.

Every message goes to the intake, the refused too, so that the worker keeps it with its reason like any agent's. What is
refused here is what the worker would refuse; it is said here because an agent over HTTP hears of it in no other way.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import ClassVar, Final

from lxml import etree

import schemas
from broker.exchanges import closing
from broker.gateway.link import Link
from broker.gateway.state import State
from broker.gateway.threads import Aside, Together
from broker.letters import LOGIN, REFUSED
from broker.pipeline import (
    Content,
    Inbound,
    about_learner,
    check_rights,
    first_fault,
    names_whom_it_is_about,
    read_message,
)
from broker.protocol.envelope import Ack, Action, EventObject, Message, build_event
from broker.protocol.errors import NotValid, ZoneError
from broker.protocol.identifiers import AgentId, MsgId
from broker.protocol.topology import BROKER_LOGIN, INTAKE, intake_key
from broker.requests import (
    OutOfSequence,
    Pending,
    Question,
    Reply,
    decide_request,
    decide_response,
)
from broker.storage import Store
from broker.transports.contract import HeaderValue, Outgoing, PublishRefused, TransportLost
from broker.validation import Refusal, refusal

_REMEMBERED: Final = 100_000
"""Messages of which it is known, without asking the store, that they were taken."""
_PATIENCE: Final = 20.0
"""Seconds for RabbitMQ to come back while an agent waits; agents in use give up after 60."""
_PAUSE: Final = 0.05
_COMMITTED_WITHIN: Final = 2.0
"""Seconds within which the worker has stored a request that it has passed on: its answer may be quicker."""

DONE: Final = 0
DUPLICATE: Final = 7


class TryAgain(ZoneError):
    """RabbitMQ cannot be reached."""

    category: ClassVar[int] = 10
    code: ClassVar[int] = 1
    retry: ClassVar[bool] = True


class Intake:
    """What the gateway does with events, requests and responses."""

    def __init__(self, state: State, store: Store, link: Link, aside: Aside) -> None:
        self._state, self._store, self._link, self._aside = state, store, link, aside
        self._seen: Together[tuple[AgentId, MsgId], bool] = Together(aside, self._accepted)
        self._taken: OrderedDict[tuple[AgentId, MsgId], None] = OrderedDict()
        self._under_way: dict[tuple[AgentId, MsgId], asyncio.Future[None]] = {}
        self._packets: OrderedDict[MsgId, int] = OrderedDict()
        self._since = time.time()

    async def take(self, agent: AgentId, message: Message, body: bytes) -> Ack:
        """Return the acknowledgement of *message*, which came from *agent* as *body*."""
        source, msg_id = agent, message.header.msg_id
        key = (source, msg_id)
        while key in self._under_way:  # sent again before the first was answered
            await asyncio.wait([self._under_way[key]])
        if key in self._taken:
            return Ack(source, msg_id, status=DUPLICATE)
        done = self._under_way[key] = asyncio.get_running_loop().create_future()
        seen = asyncio.ensure_future(self._seen.ask(key))
        try:
            content, refused = await self._judge(agent, message, body)
            if refused is not None:  # the worker may have stored its first copy meanwhile, and not yet this one
                seen.cancel()
                seen = asyncio.ensure_future(self._seen.ask(key))
            is_duplicate = await seen  # known before it is published: after that, the worker may be quicker to store it
            if not is_duplicate:
                await self._put(agent, message, body, content, refused)
        except ZoneError as error:
            seen.cancel()
            refused, is_duplicate = refusal(error), False
        finally:
            del self._under_way[key]
            done.set_result(None)
        if is_duplicate:
            return await self._as_before(agent, msg_id)
        if refused is None:
            self._remember(key)
            return Ack(source, msg_id, status=DONE)
        return Ack(source, msg_id, category=refused.category, code=refused.code, description=refused.summary)

    async def _as_before(self, agent: AgentId, msg_id: MsgId) -> Ack:
        """Return the answer to a message that came before: what was refused then, is refused again."""
        for row in await self._aside.run(self._store.explain, msg_id):
            if row.source == agent and row.attempt == 0 and row.outcome == "refused":
                text = "this message was refused before: mend it, and send it under a new SIF_MsgId"
                return Ack(agent, msg_id, category=row.category, code=row.code, description=text)
        return Ack(agent, msg_id, status=DUPLICATE)

    async def keep(self, agent: AgentId, body: bytes) -> None:
        """Let the zone keep what *agent* sent and nobody could read."""
        digest = hashlib.sha256(body).hexdigest()[:32].upper()
        await self._publish(agent, "SIF_Event", intake_key(digest), MsgId(digest), body)

    async def cancel(self, agent: AgentId, ids: Sequence[MsgId], error: tuple[int, int], *, notify: bool) -> None:
        """End requests: of *agent*, where it cancels them."""
        for msg_id in ids:
            await self._confirmed(closing(msg_id, *error, notify=notify, by=agent or None))

    async def _judge(self, agent: AgentId, message: Message, body: bytes) -> tuple[Content | None, Refusal | None]:
        """Return what is in a message, None where that cannot be read, and why it is refused."""
        content: Content | None = None
        try:
            content = read_message(message, body, agent, None)
            return content, await self._fault(content)
        except ZoneError as error:
            return content, refusal(error)

    async def _put(
        self, agent: AgentId, message: Message, body: bytes, content: Content | None, refused: Refusal | None
    ) -> None:
        """Publish a message, the refused too, which the zone keeps."""
        headers = {} if refused is None else {REFUSED: f"{refused.category}/{refused.code}"}
        if isinstance(content, Reply):
            await self._publish(agent, message.kind, intake_key(content.request_id), message.header.msg_id, body)
            if refused is None:
                self._count(content)
        elif isinstance(content, Inbound):
            for key, msg_id, part in _parts(content, body):
                await self._publish(agent, message.kind, key, msg_id, part, headers)
        else:
            key = intake_key(message.header.msg_id)
            await self._publish(agent, message.kind, key, message.header.msg_id, body, headers)

    async def _fault(self, content: Content) -> Refusal | None:
        """Return why the worker is going to refuse *content*, as far as that can be known here."""
        router, zone = self._state.router, self._state.zone
        timeout = zone.settings.requests.timeout
        if isinstance(content, Inbound):
            check_rights(content, router, zone.validator)
            fault = first_fault(content, zone.validator, router.today)
            if fault is None:
                _check_named(content)
            return fault
        if isinstance(content, Question):
            decide_request(content, router, self._state.id, time.time(), timeout)
            return None
        pending = await self._pending(content)
        known = self._packets.get(content.request_id)
        if pending is not None and known is not None:
            pending = replace(pending, next_packet=max(known, pending.next_packet))
        try:
            decide_response(content, pending, router.registry, time.time(), timeout)
        except OutOfSequence:
            if pending is None or known is not None or content.packet < pending.next_packet:
                raise
            if pending.asked_at >= self._since:  # all its packets came through here
                raise
            # after a restart, packets may be on their way to the store: the worker knows
        return None

    async def _pending(self, reply: Reply) -> Pending | None:
        """Return the request that *reply* answers; the worker may be about to store it."""
        until = time.monotonic() + _COMMITTED_WITHIN
        while True:
            found = (await self._aside.run(self._store.requests, [reply.request_id])).get(reply.request_id)
            if found is not None or time.monotonic() > until:
                return found
            await asyncio.sleep(_PAUSE)

    def _count(self, reply: Reply) -> None:
        self._packets[reply.request_id] = reply.packet + 1
        self._packets.move_to_end(reply.request_id)
        while len(self._packets) > _REMEMBERED:
            self._packets.popitem(last=False)

    async def _publish(
        self,
        agent: AgentId,
        kind: str,
        key: str,
        msg_id: MsgId,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        all_headers: dict[str, HeaderValue] = {LOGIN: agent, **(headers or {})}
        await self._confirmed(Outgoing(INTAKE, key, body, msg_id, kind, all_headers, user_id=BROKER_LOGIN))

    async def _confirmed(self, outgoing: Outgoing) -> None:
        """Publish until RabbitMQ confirms: the worker knows a message that came twice."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                await self._link.publish(outgoing)
            except (TransportLost, PublishRefused) as error:
                if time.monotonic() > until:
                    raise TryAgain("the zone cannot take messages at the moment: send it again in a minute") from error
                await asyncio.sleep(_PAUSE)
            else:
                return

    def _remember(self, key: tuple[AgentId, MsgId]) -> None:
        self._taken[key] = None
        while len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)

    def _accepted(self, keys: Sequence[tuple[AgentId, MsgId]]) -> list[bool]:
        known = self._store.accepted([(agent, msg_id, 0) for agent, msg_id in keys])
        return [(agent, msg_id, 0) in known for agent, msg_id in keys]


def _parts(inbound: Inbound, body: bytes) -> list[tuple[str, MsgId, bytes]]:
    """Return an event with the intake key that keeps its learner's order; one about several learners in parts.

    By the schema an event has one object; toolkits can send more. Each part after the first has an id of its own, the
    same each time.
    """
    if len(inbound.objects) == 1:
        return [(_key(inbound.objects[0]), inbound.message.header.msg_id, body)]
    groups = [(key, tuple(found)) for key, found in groupby(inbound.objects, _key)]
    if len(groups) == 1:
        return [(groups[0][0], inbound.message.header.msg_id, body)]
    parts: list[tuple[str, MsgId, bytes]] = []
    header = inbound.message.header
    for number, (key, objects) in enumerate(groups):
        digest = hashlib.sha256(f"{header.source_id}/{header.msg_id}/{number}".encode()).hexdigest()
        msg_id = MsgId(digest[:32].upper()) if number else header.msg_id
        pieces = tuple((event.object_type, event.action, _serialised(event)) for event in objects)
        parts.append((key, msg_id, build_event(header._replace(msg_id=msg_id), pieces, inbound.message.version)))
    return parts


def _check_named(inbound: Inbound) -> None:
    """Return when each object names whom it is about, as the worker demands of what comes under an intake key."""
    for event in inbound.objects:
        part = event.action is not Action.ADD and len(event.element) > 0
        if about_learner(event) == "" or (part and not names_whom_it_is_about(event)):
            raise NotValid(f"{event.object_type} does not name those that it is about: add them, in a Change too")


def _key(event: EventObject) -> str:
    """Return the intake key of an object; of one that the zone does not have, and refuses, that of its RefId."""
    about = about_learner(event) if event.object_type in schemas.load().objects else None
    return intake_key(about or event.element.get("RefId", "").strip())


def _serialised(event: EventObject) -> bytes:
    piece: bytes = etree.tostring(event.element, encoding="utf-8", with_tail=False)
    return piece


__all__ = ["DONE", "DUPLICATE", "Intake", "TryAgain"]
