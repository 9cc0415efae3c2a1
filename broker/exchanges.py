"""A worker's share of requests: it passes them on, passes their answers back, and ends them; the worker does the rest.

All about one request comes through one intake queue, under its SIF_MsgId: the request, each packet, and the zone's own
word that it is to end. So each is decided as after those before it, though no worker knows of the others.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from broker import identity_desk
from broker.answers import own_msg_id, pass_error, pass_rows, share_packet, zone_answer, zone_error
from broker.batches import Work, judged_row
from broker.learners import LearnerIndex
from broker.letters import Letter
from broker.pipeline import untouched
from broker.protocol.envelope import build_message, new_header
from broker.protocol.errors import NotRegistered, ZoneError
from broker.protocol.identifiers import AgentId, MsgId
from broker.protocol.query import Query, QueryNotSupported
from broker.protocol.topology import BROKER_LOGIN, DELIVERY, INTAKE, intake_key, requests_key
from broker.registry import Mode
from broker.requests import (
    BufferTooSmall,
    Cancelled,
    ForZone,
    Pending,
    Question,
    Reply,
    RequestState,
    TimedOut,
    asked_by,
    decide_request,
    decide_response,
    ends_request,
)
from broker.routing import Router
from broker.settings import Zone, identity_of
from broker.storage import Store
from broker.transports.contract import Incoming, Outgoing
from broker.validation import Refusal, refusal
from broker.zone_status import build_acl, build_zone_status

log = structlog.get_logger(__name__)

CLOSING: Final = "zone.Closing"
"""Type of the zone's own message that ends a request; only believed of the broker's own login."""
_EXPLAINED: Final = {
    16: "nobody answered in time: ask again, or ask for less",
    17: "the request was removed, since the agent that was to answer it has left the zone: ask again later",
    18: "the request was cancelled by the agent that made it",
}

Publish = Callable[[Outgoing, Work], None]


def closing(request_id: MsgId, category: int, code: int, *, notify: bool = True, by: AgentId | None = None) -> Outgoing:
    """Return the message that ends a request, to publish with the broker's login.

    Args:
        notify: Whether the requester is told.
        by: Only if this agent made it; None for whoever did.
    """
    headers: dict[str, str | int | bool] = {"category": category, "code": code, "notify": notify, "by": by or ""}
    return Outgoing(INTAKE, intake_key(request_id), b"", request_id, CLOSING, headers, user_id=BROKER_LOGIN)


class Exchanges:
    """The requests that a worker has in hand: as they stand after what it decided and has not yet stored."""

    def __init__(self, store: Store, publish: Publish, now: Callable[[], float]) -> None:
        self._store, self._publish, self._now = store, publish, now
        self._known: dict[str, Pending | None] = {}

    def load(self, letters: Sequence[Letter], closings: Sequence[Incoming]) -> None:
        """Fetch the requests that *letters* and *closings* are about."""
        wanted = {incoming.message_id for incoming in closings}
        for letter in letters:
            if isinstance(letter.content, Question):
                wanted.add(letter.content.message.header.msg_id)
            elif isinstance(letter.content, Reply):
                wanted.add(letter.content.request_id)
        new = [msg_id for msg_id in wanted if msg_id not in self._known]
        if new:
            self._known |= dict.fromkeys(new) | self._store.requests(new)

    def forget(self) -> None:
        """Forget all: what was decided is stored, or nothing of it counts."""
        self._known.clear()

    def ask(self, letter: Letter, question: Question, router: Router, zone: Zone, work: Work) -> Refusal | None:
        """Pass a request on, or answer it in the zone's name; return why it is refused."""
        try:
            registry = router.registry
            known = question.sender in registry.agents if letter.reply_to else registry.is_registered(question.sender)
            if not known:
                raise NotRegistered(f"agent {question.sender} is not registered: send SIF_Register first")
            if self._known.get(letter.msg_id) is not None:
                return Refusal(8, 1, "another request has this SIF_MsgId: give each message a new one")
            timeout = zone.settings.requests.timeout
            decided = decide_request(question, router, AgentId(zone.id), self._now(), timeout, letter.reply_to)
        except ZoneError as error:
            return refusal(error)
        if letter.refused is not None:  # the gateway has told its sender so: what is said, holds
            return Refusal(*letter.refused, "the gateway refused this request and said why: its sender must ask anew")
        if isinstance(decided, ForZone):
            try:
                self._answer(letter, question, decided.pending, router, zone, work)
            except QueryNotSupported as error:
                return refusal(error)
            return None
        pending = decided.pending
        body = untouched(question.message, letter.incoming.body)
        if not body:
            return Refusal(1, 3, "a request must hold no comments or processing instructions: leave them out")
        key = delivery_key(pending.responder, router, requests=True)
        self._deliver(letter, work, key, pending.responder, body, "SIF_Request")
        self.keep(pending, work)
        return None

    def tell_refused(
        self, letter: Letter, question: Question, why: Refusal, router: Router, zone: Zone, work: Work
    ) -> None:
        """Answer a request with why it is refused: the gateway took it, and its sender hears of it in no other way."""
        pending = asked_by(question, AgentId(zone.id), self._now())
        body = zone_error(AgentId(zone.id), pending, why.category, why.code, why.summary)
        key = delivery_key(question.sender, router, requests=True)
        own = own_msg_id(pending)
        self._publish(Outgoing(DELIVERY, key, body, own, "SIF_Response", user_id=BROKER_LOGIN), work)
        log.info("request_refused", request=letter.msg_id, category=why.category, code=why.code)

    def answer(
        self, letter: Letter, reply: Reply, router: Router, index: LearnerIndex, zone: Zone, work: Work
    ) -> Refusal | None:
        """Pass a packet back as far as it is shared; return why it is refused, having ended the request if it must."""
        pending = self._known.get(reply.request_id)
        try:
            if not router.registry.is_registered(reply.sender):
                raise NotRegistered(f"agent {reply.sender} is not registered: send SIF_Register first")
            timeout = zone.settings.requests.timeout
            after = decide_response(reply, pending, router.registry, self._now(), timeout).pending
            rows = reply.objects is None and reply.error is None
            body = pass_rows(reply, letter.incoming.body) if rows else b""
        except ZoneError as error:
            if pending is not None and pending.is_open and pending.responder == reply.sender and ends_request(error):
                text = "the answer was not as it must be, and was refused: tell the administrator of the zone"
                self._end(pending, (error.category, error.code), text, router, zone, work)
            return refusal(error)
        views = ""
        if reply.error is not None:
            body = pass_error(reply, after)
        elif reply.objects is not None:
            shared = share_packet(reply, letter.incoming.body, after, router, index, zone.validator)
            work.judged += (judged_row(judged, reply.sender) for judged in shared.judged)
            left_out = sum(shared.left_out.values())
            after = replace(after, shared=after.shared + shared.shared, left_out=after.left_out + left_out)
            body, views = shared.body, shared.views
            if left_out:
                counts = {str(reason): count for reason, count in shared.left_out.items()}
                log.info("objects_left_out", request=after.msg_id, packet=reply.packet, counts=counts)
        key = after.reply_to or delivery_key(after.requester, router, requests=True)
        self._deliver(letter, work, key, after.requester, body, "SIF_Response", views)
        self.keep(after, work)
        return None

    def close(self, incoming: Incoming, router: Router, zone: Zone, work: Work) -> Pending | None:
        """End a request because the zone says so, and return it; one that has ended stays as it is."""
        pending = self._known.get(incoming.message_id)
        by = str(incoming.headers.get("by", ""))
        if pending is None or not pending.is_open or (by and by != pending.requester):
            return None
        error = int(incoming.headers.get("category", 8)), int(incoming.headers.get("code", 17))
        if error == TimedOut.pair() and pending.due_at > self._now():
            return None  # a packet came meanwhile
        text = _EXPLAINED.get(error[1], "the request was ended by the zone")
        notify = bool(incoming.headers.get("notify", True)) and not pending.about
        self._end(pending, error, text, router, zone, work, notify=notify)
        if error == Cancelled.pair():
            self._tell_responder(pending, router, zone, work)
        return pending

    # the zone's own requests, whose answers are for broker.scopes

    def own_request(self, reply: Reply) -> Pending | None:
        """Return the request of the zone's own that *reply* answers; None when it answers an agent's, or none."""
        pending = self._known.get(reply.request_id)
        return pending if pending is not None and pending.about else None

    def is_open(self, request_id: str) -> bool:
        """Tell whether packets are awaited."""
        pending = self._known.get(request_id)
        return pending is not None and pending.is_open

    def learners_of(self, letters: Sequence[Letter], own: Sequence[Incoming]) -> list[str]:
        """Return the learners about whom the zone has asked what *letters* answer, or what is to end."""
        ids = [letter.content.request_id for letter in letters if isinstance(letter.content, Reply)]
        ids += [MsgId(incoming.message_id) for incoming in own]
        known = (self._known.get(msg_id) for msg_id in ids)
        return [pending.about for pending in known if pending is not None and pending.about]

    def note_answer(
        self, letter: Letter, reply: Reply, pending: Pending, router: Router, zone: Zone, work: Work
    ) -> Refusal | None:
        """Note a packet that answers a request of the zone's own; return why it is refused."""
        try:
            if not router.registry.is_registered(reply.sender):
                raise NotRegistered(f"agent {reply.sender} is not registered: send SIF_Register first")
            timeout = zone.settings.requests.timeout
            after = decide_response(reply, pending, router.registry, self._now(), timeout).pending
        except ZoneError as error:
            if pending.is_open and pending.responder == reply.sender and ends_request(error):
                self._end(pending, (error.category, error.code), "", router, zone, work, notify=False)
            return refusal(error)
        work.ledger.append(letter.row(self._now(), "accepted", considered=0))
        self.keep(after, work)
        return None

    def _answer(
        self, letter: Letter, question: Question, pending: Pending, router: Router, zone: Zone, work: Work
    ) -> None:
        if pending.object_type == "SIF_ZoneStatus":
            content = build_zone_status(identity_of(zone), router.registry)
        elif pending.object_type == identity_desk.IDENTITY and isinstance(question.query, Query):
            content = identity_desk.answer_query(self._store, question.sender, question.query)
        else:
            content = build_acl(router.registry.agents[pending.requester])
        body = zone_answer(AgentId(zone.id), pending, content)
        after = replace(pending, state=RequestState.DONE, next_packet=2, shared=int(bool(content)))
        if len(body) > pending.max_buffer:
            text = f"the answer has {len(body):,} bytes: ask again with a SIF_MaxBufferSize as large"
            body = zone_error(AgentId(zone.id), pending, *BufferTooSmall.pair(), text)
            after = pending.failed(*BufferTooSmall.pair())
        key = pending.reply_to or delivery_key(pending.requester, router, requests=True)
        own = own_msg_id(pending)
        self._deliver(letter, work, key, pending.requester, body, "SIF_Response", msg_id=own)
        self.keep(after, work)

    def _end(
        self,
        pending: Pending,
        error: tuple[int, int],
        text: str,
        router: Router,
        zone: Zone,
        work: Work,
        *,
        notify: bool = True,
    ) -> None:
        self.keep(pending.closed(*error), work)
        log.info("request_ended", request=pending.msg_id, category=error[0], code=error[1])
        if not notify:
            return
        body = zone_error(AgentId(zone.id), pending, *error, text)
        key = pending.reply_to or delivery_key(pending.requester, router, requests=True)
        self._publish(Outgoing(DELIVERY, key, body, own_msg_id(pending), "SIF_Response", user_id=BROKER_LOGIN), work)

    def _tell_responder(self, pending: Pending, router: Router, zone: Zone, work: Work) -> None:
        """Pass SIF_CancelRequests on to a responder that is pushed to; who pulls is not handed the request any more."""
        said = router.registry.live.registrations.get(pending.responder)
        if said is None or said.mode is not Mode.PUSH:
            return
        digest = hashlib.sha256(f"{pending.msg_id}/cancelled".encode()).hexdigest()
        header = new_header(AgentId(zone.id), MsgId(digest[:32].upper()))
        content = (
            "<SIF_SystemControlData><SIF_CancelRequests><SIF_NotificationType>None</SIF_NotificationType>"
            f"<SIF_RequestMsgIds><SIF_RequestMsgId>{pending.msg_id}</SIF_RequestMsgId></SIF_RequestMsgIds>"
            "</SIF_CancelRequests></SIF_SystemControlData>"
        )
        body = build_message("SIF_SystemControl", header, content.encode(), said.version)
        key = delivery_key(pending.responder, router, requests=True)
        self._publish(Outgoing(DELIVERY, key, body, header.msg_id, "SIF_SystemControl", user_id=BROKER_LOGIN), work)

    def _deliver(
        self,
        letter: Letter,
        work: Work,
        key: str,
        agent: AgentId,
        body: bytes,
        kind: str,
        view: str = "",
        msg_id: MsgId | None = None,
    ) -> None:
        """Publish what *letter* leads to, and write both down."""
        self._publish(Outgoing(DELIVERY, key, body, msg_id or letter.msg_id, kind, user_id=BROKER_LOGIN), work)
        digest = hashlib.sha256(body).hexdigest()
        work.ledger.append(letter.row(self._now(), "accepted", considered=1))
        work.ledger.append(letter.row(self._now(), "delivered", seq=1, audience=(agent,), view=view, sha256=digest))

    def keep(self, pending: Pending, work: Work) -> None:
        """Take *pending* for how a request now stands."""
        self._known[pending.msg_id] = work.requests[pending.msg_id] = pending


def delivery_key(agent: AgentId, router: Router, *, requests: bool = False) -> str:
    """Return the key under which *agent* is delivered to: the gateway keeps requests and responses apart."""
    record = router.registry.agents.get(agent)
    return requests_key(agent) if requests and record is not None and record.gateway else agent
