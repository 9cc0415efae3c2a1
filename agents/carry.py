"""Carries messages between spool, zone and inbox over one transport; sources and targets are not its work.

It also asks the zone whose record each learner is, until that is answered, and takes what the zone decides later.

Order is kept for each routing key: a message waits until the one before it with the same key is confirmed, so that not
even a publish that was refused and is tried again can be overtaken.
"""

import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, TypeVar

import structlog
from lxml import etree

from agents.inbox import Failed, Inbox
from agents.learners import Learners
from agents.settings import AgentSettings
from agents.spool import PACKET, REQUEST, Asked, Spool, Spooled
from agents.store import Store
from broker.protocol.envelope import (
    NAMESPACE,
    Ack,
    Action,
    EventObject,
    Message,
    build_register,
    event_objects,
    local_name,
    new_header,
    parse_ack,
    parse_message,
)
from broker.protocol.errors import ZoneError
from broker.protocol.exchanges import AnswerError, build_provide, parse_response
from broker.protocol.identifiers import MsgId, RefId
from broker.protocol.identity import (
    IDENTITY,
    RELOCATED,
    build_locate,
    control_name,
    parse_located,
    parse_relocated,
)
from broker.protocol.topology import CONTROL, CONTROL_QUEUE, INTAKE, agent_queue, intake_key
from broker.transports.contract import Incoming, Outgoing, Transport, TransportLost

log = structlog.get_logger(__name__)

_WINDOW: Final = 500
_LOADED: Final = 2000
_LOADED_BYTES: Final = 16 * 1024 * 1024
_RETRY_SECONDS: Final = 2.0
_REGISTER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """One object of an event, as handlers are given it.

    Attributes:
        element: The object as it was sent: whole in an Add, lean in a Change, keys alone in a Delete.
    """

    msg_id: str
    source_id: str
    object_type: str
    action: Action
    element: etree._Element


@dataclass(frozen=True, slots=True)
class Answer:
    """One packet of the answer to a request, as handlers are given it.

    Attributes:
        request_id: What :meth:`Agent.request` returned.
        source_id: Who answered; the zone, where it says that nobody does.
        packet: Counted from 1; they come in order.
        more: Whether another follows.
        elements: Whole objects, or what was asked for of each; the zone has left out what is not shared.
        error: Category, code and text of what ended the answer; None when all is well.
    """

    request_id: str
    source_id: str
    object_type: str
    packet: int
    more: bool
    elements: tuple[etree._Element, ...] = field(default=(), repr=False)
    error: AnswerError | None = None


Handler = Callable[[Event], None]
AnswerHandler = Callable[[Answer], None]
_HANDLED: Final = ("SIF_Event", "SIF_Ack", "SIF_Request", "SIF_Response")
_REFUSED: Final[Mapping[str, str]] = {REQUEST: "request_refused", PACKET: "packet_refused"}


@dataclass(frozen=True, slots=True)
class Exchanging:
    """What an agent does beside events.

    Attributes:
        provides: Objects it answers for.
        answers: Handlers of the answers to its own requests, by object.
        asked: Called when a request has been noted.
    """

    provides: tuple[str, ...] = ()
    answers: Mapping[str, tuple[AnswerHandler, ...]] = field(default_factory=dict)
    asked: Callable[[], None] = lambda: None


class Carrier:
    """One agent's connection to its zone.

    Attributes:
        registered: The zone has answered to this start's registration; nothing is published before.
        refusal: Why the zone refused to register the agent; empty when it did not.
        not_located: Why the zone does not say whose records the learners are; empty when it does.
        received: Messages taken from the queue since the start.
    """

    def __init__(
        self,
        settings: AgentSettings,
        store: Store,
        spool: Spool,
        inbox: Inbox,
        handlers: Mapping[str, tuple[Handler, ...]],
        exchanging: Exchanging | None = None,
        learners: Learners | None = None,
    ) -> None:
        self._learners = learners or Learners(store, spool)
        self._settings, self._store, self._spool, self._inbox, self._handlers = settings, store, spool, inbox, handlers
        self._exchanging = exchanging or Exchanging()
        self.registered = False
        self.refusal = ""
        self.received = 0
        self._register_id = ""
        self._register_again = 0.0
        self._provided = not self._exchanging.provides
        self._provide_id = ""
        self._provide_again = 0.0
        self.not_located = ""
        self._locate_id = ""
        self._locate_keys: frozenset[RefId] = frozenset()
        self._locate_again = 0.0
        self._outbox = _Window(spool)

    def turn(self, transport: Transport, wait: float) -> bool:
        """Publish, receive and settle what there is; return whether anything happened.

        Args:
            transport: Connected to the zone, the same at each call.
            wait: Seconds to wait when there is nothing to do.
        """
        try:
            self._register(transport)
            self._provide(transport)
            self._locate(transport)
            sent = self._publish(transport)
            incoming = transport.poll(wait)
        except TransportLost as error:
            log.warning("zone_lost", reason=type(error).__name__, waiting=self._spool.count())
            self._outbox.lost()
            # Looked at while there is no answer.
            self._register_again = self._provide_again = self._locate_again = 0.0
            return True
        settled = self._outbox.settle(transport)
        if incoming:
            self._receive(transport, incoming)
        return bool(sent or settled or incoming)

    def is_done(self) -> bool:
        """Tell whether every request is answered, and every spooled message confirmed by the zone."""
        # In this order: a request is answered in the same moment as its packets are in the spool.
        return self._spool.count_asked() == 0 and self._outbox.is_idle and self._spool.count() == 0

    def _register(self, transport: Transport) -> None:
        if self.registered or time.monotonic() < self._register_again:
            return
        header = new_header(self._settings.id)
        self._register_id = header.msg_id
        self._register_again = time.monotonic() + _REGISTER_SECONDS
        body = build_register(header, self._settings.name or self._settings.id)
        transport.consume([agent_queue(self._settings.id)])
        self._tell_zone(transport, body, header.msg_id, "SIF_Register")

    def _provide(self, transport: Transport) -> None:
        if self._provided or not self.registered or time.monotonic() < self._provide_again:
            return
        header = new_header(self._settings.id)
        self._provide_id = header.msg_id
        self._provide_again = time.monotonic() + _REGISTER_SECONDS
        self._tell_zone(transport, build_provide(header, self._exchanging.provides), header.msg_id, "SIF_Provide")

    def _locate(self, transport: Transport) -> None:
        """Ask for learners, one message at a time; those without an answer stay to be asked for."""
        if not self.registered or time.monotonic() < self._locate_again:
            return
        claims = self._learners.to_ask()
        if not claims:
            return
        header = new_header(self._settings.id)
        self._locate_id, self._locate_keys = header.msg_id, frozenset(claim.key for claim in claims)
        self._locate_again = time.monotonic() + _REGISTER_SECONDS
        self._tell_zone(transport, build_locate(header, claims), header.msg_id, "SIF_SystemControl")

    def _tell_zone(self, transport: Transport, body: bytes, msg_id: MsgId, kind: str) -> None:
        number = transport.publish(Outgoing(CONTROL, CONTROL_QUEUE, body, msg_id, kind, user_id=self._settings.id))
        self._outbox.other(number)

    def _publish(self, transport: Transport) -> int:
        if not self.registered:
            return 0
        events = self._outbox.next_events()
        for event in events:
            headers = {"object": event.object_type, "action": event.action}
            number = transport.publish(
                Outgoing(
                    INTAKE,
                    intake_key(event.routing_key),
                    event.body,
                    event.msg_id,
                    event.kind,
                    headers if event.kind == "SIF_Event" else {},
                    user_id=self._settings.id,
                )
            )
            self._outbox.sent(number, event)
        return len(events)

    def _receive(self, transport: Transport, incoming: list[Incoming]) -> None:
        # With handlers, one message at a time: a crash then repeats one handler's work at most.
        step = 1 if self._handlers or self._exchanging.answers else len(incoming)
        for start in range(0, len(incoming), step):
            batch = incoming[start : start + step]
            self._take(batch)
            transport.ack(batch[-1].tag)
        self.received += len(incoming)

    def _take(self, batch: list[Incoming]) -> None:
        """Handle messages and write down what came of them, in one transaction."""
        failed: list[Failed] = []
        messages: list[tuple[Message, bytes]] = []
        seen: dict[str, str] = {}
        for incoming in batch:
            try:
                message = parse_message(incoming.body)
            except ZoneError as error:
                failed.append(Failed(incoming.message_id, "", str(error), incoming.body))
                continue
            if message.header.msg_id in seen or self._inbox.has(message.header.msg_id):
                continue
            seen[message.header.msg_id] = _subject(message)
            reason = self._handle(message)
            if reason:
                failed.append(Failed(message.header.msg_id, message.kind, reason, incoming.body))
            else:
                messages.append((message, incoming.body))
        with self._store.transaction() as db:
            for msg_id, subject in seen.items():
                self._inbox.handled(db, msg_id, subject)
            for message, body in messages:
                self._keep(db, message, body)
            for failure in failed:
                self._inbox.failed(db, failure)
                log.error("message_failed", msg_id=failure.msg_id, kind=failure.kind, reason=failure.reason)
        if any(message.kind == "SIF_Request" for message, _ in messages):
            self._exchanging.asked()

    def _keep(self, db: sqlite3.Connection, message: Message, body: bytes) -> None:
        """Write down what a message that was handled brings; an answer was its handlers' alone."""
        if message.kind == "SIF_Ack":
            self._take_ack(db, message)
        elif message.kind == "SIF_Request":
            self._spool.take_request(db, Asked(message.header.msg_id, _object_asked_for(message), body))
        elif message.kind == "SIF_Event":
            for event in event_objects(message):
                self._inbox.apply(db, event)
            self._inbox.changed(db)
        elif message.kind == "SIF_SystemControl":
            places = parse_relocated(message)
            self._learners.relocated(db, places)
            log.info("relocated", learners=len(places))

    def _handle(self, message: Message) -> str:
        """Check a message and call its handlers; return why it could not be handled, empty when it was."""
        known = control_name(message) == RELOCATED if message.kind == "SIF_SystemControl" else message.kind in _HANDLED
        if not known:
            return f"this agent does nothing with {message.kind}"
        try:
            if message.kind == "SIF_SystemControl":
                parse_relocated(message)
                return ""
            if message.kind == "SIF_Request":
                return ""  # whatever is wrong with it, its answer says so
            if message.kind == "SIF_Response":
                return self._handle_response(message)
            if message.kind == "SIF_Ack":
                return self._handle_ack(message, parse_ack(message))
            objects = event_objects(message)
            for event in objects:
                self._inbox.check(event)
        except (ZoneError, KeyError) as error:
            return str(error)
        for event in objects:
            reason = self._call(message, event)
            if reason:
                return reason
        return ""

    def _call(self, message: Message, event: EventObject) -> str:
        header = message.header
        given = Event(header.msg_id, header.source_id, event.object_type, event.action, event.element)
        return _call_all(self._handlers.get(event.object_type, ()), given, event.object_type)

    def _handle_response(self, message: Message) -> str:
        said = parse_response(message)
        object_type = self._spool.object_asked_for(said.request_id)
        if not object_type and said.elements:
            object_type = local_name(said.elements[0])
        answer = Answer(
            said.request_id, message.header.source_id, object_type, said.packet, said.more, said.elements, said.error
        )
        return self._call_for_answer(answer)

    def _handle_ack(self, message: Message, ack: Ack) -> str:
        """Check what an acknowledgement holds; tell the handlers where it says that a request was not passed on."""
        if _says_who(ack):
            parse_located(ack.data)
        if ack.category is None or not ack.original_msg_id:
            return ""
        object_type = self._spool.object_asked_for(ack.original_msg_id)
        if not object_type:
            return ""
        error = AnswerError(ack.category, ack.code or 0, ack.description)
        source = message.header.source_id
        return self._call_for_answer(Answer(ack.original_msg_id, source, object_type, 1, False, error=error))

    def _call_for_answer(self, answer: Answer) -> str:
        handlers = self._exchanging.answers.get(answer.object_type, ())
        if not handlers:
            log.info(
                "answer_dropped",
                request=answer.request_id,
                object_type=answer.object_type,
                packet=answer.packet,
                objects=len(answer.elements),
                reason="this agent has no handler of answers",
            )
        return _call_all(handlers, answer, f"answers about {answer.object_type}")

    def _take_ack(self, db: sqlite3.Connection, message: Message) -> None:
        ack = parse_ack(message)
        if ack.original_msg_id == self._register_id:
            self.registered = ack.category is None
            self.refusal = "" if self.registered else ack.description
            if self.registered:
                log.info("registered")
            else:
                log.error(
                    "not_registered",
                    category=ack.category,
                    code=ack.code,
                    reason=ack.description,
                )
        elif self._provide_id and ack.original_msg_id == self._provide_id:
            self._provided = True
            if ack.category is not None:
                log.error("not_provided", category=ack.category, code=ack.code, reason=ack.description)
        elif _says_who(ack):
            self._take_located(db, ack)
        elif self._locate_id and ack.original_msg_id == self._locate_id and ack.category is not None:
            self.not_located = ack.description
            log.error("not_located", category=ack.category, code=ack.code, reason=ack.description)
        elif ack.category is not None and (action := self._spool.refused(db, ack)):
            log.warning(
                _REFUSED.get(action, "event_refused"),
                msg_id=ack.original_msg_id,
                category=ack.category,
                code=ack.code,
                reason=ack.description,
            )

    def _take_located(self, db: sqlite3.Connection, ack: Ack) -> None:
        """Write down whose records learners are; an answer to a message of an earlier start is one as well."""
        places = parse_located(ack.data)
        self._learners.located(db, places)
        log.info("located", learners=len(places), **Counter(place.outcome.value for place in places))
        if ack.original_msg_id == self._locate_id:
            self.not_located = ""
            if self._locate_keys.issubset(place.key for place in places):
                self._locate_again = 0.0


class _Window:
    """Messages loaded from the spool: waiting for their turn, sent, or to be tried again."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.lost()

    def lost(self) -> None:
        """Begin again with the oldest event that is not confirmed, since nobody knows what arrived."""
        self._after = 0
        self._ready: deque[Spooled] = deque()
        self._behind: dict[str, deque[Spooled]] = {}  # by routing key that has one in flight
        self._sent: dict[int, Spooled | None] = {}
        self._again: deque[tuple[float, Spooled]] = deque()
        self._waiting = 0
        self._bytes = 0  # of all that is loaded

    @property
    def is_idle(self) -> bool:
        """Whether nothing is loaded or in flight."""
        return not (self._ready or self._behind or self._sent or self._again)

    def next_events(self) -> list[Spooled]:
        """Return events to send now, at most one for each routing key in flight."""
        while self._again and self._again[0][0] <= time.monotonic():
            self._ready.appendleft(self._again.popleft()[1])
        if not self._ready and len(self._sent) + self._waiting < _LOADED and self._bytes < _LOADED_BYTES:
            self._load()
        room = max(0, _WINDOW - len(self._sent))
        return [self._ready.popleft() for _ in range(min(room, len(self._ready)))]

    def sent(self, number: int, event: Spooled) -> None:
        """Note what the transport calls a publish."""
        self._sent[number] = event

    def other(self, number: int) -> None:
        """Note a publish that is no event."""
        self._sent[number] = None

    def settle(self, transport: Transport) -> int:
        """Drop what is confirmed from the spool, put what was refused back in line; return how many of it that was."""
        refused = {refusal.number: refusal for refusal in transport.refusals()}
        mark = transport.confirmed
        numbers = list(takewhile(lambda number: number <= mark, self._sent))  # a dict keeps the order of sending
        confirmed: list[Spooled] = []
        others = 0
        for number in numbers:
            event = self._sent.pop(number)
            if event is None:
                others += 1
                continue
            if number in refused:
                log.warning("publish_refused", msg_id=event.msg_id, reason=refused[number].reason)
                self._again.append((time.monotonic() + _RETRY_SECONDS, event))
            else:
                confirmed.append(event)
        if confirmed:
            self._spool.confirmed(confirmed)
            for event in confirmed:
                self._bytes -= len(event.body)
                self._release(event.routing_key)
        return len(numbers) - others

    def _load(self) -> None:
        for event in self._spool.waiting(self._after):
            self._after = event.seq
            self._bytes += len(event.body)
            behind = self._behind.get(event.routing_key)
            if behind is None:
                self._behind[event.routing_key] = deque()
                self._ready.append(event)
            else:
                behind.append(event)
                self._waiting += 1

    def _release(self, key: str) -> None:
        behind = self._behind[key]
        if behind:
            self._waiting -= 1
            self._ready.append(behind.popleft())
        else:
            del self._behind[key]


_Given = TypeVar("_Given")


def _call_all(handlers: Iterable[Callable[[_Given], None]], given: _Given, what: str) -> str:
    """Call handlers in turn; return which raised what, without its text, which may hold personal data."""
    for handler in handlers:
        try:
            handler(given)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is kept with its message
            return f"a handler of {what} raised {type(error).__name__}"
    return ""


def _says_who(ack: Ack) -> bool:
    """Tell whether an acknowledgement holds the answer to Locate."""
    return ack.status is not None and IDENTITY.encode() in ack.data


def _object_asked_for(message: Message) -> str:
    """Return the object that a request names, as far as it can be read; empty when it cannot."""
    found = message.payload.find(f"{{{NAMESPACE}}}SIF_Query/{{{NAMESPACE}}}SIF_QueryObject")
    return "" if found is None else found.get("ObjectName", "")[:64]


def _subject(message: Message) -> str:
    """Return what a message is about: the object of an event, otherwise the kind of message."""
    event = message.payload.find(f"{{{NAMESPACE}}}SIF_ObjectData/{{{NAMESPACE}}}SIF_EventObject")
    return message.kind if event is None else event.get("ObjectName", "")


__all__ = ["Answer", "AnswerHandler", "Carrier", "Event", "Exchanging", "Handler"]
