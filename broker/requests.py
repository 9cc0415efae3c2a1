"""What becomes of a SIF_Request and of each SIF_Response to it: values in, values out; cutting objects is answers.py's.

A request is remembered from the moment it is passed on until it is done, failed, expired or cancelled; what answers it
is judged by what is remembered, not by what its header says.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from lxml import etree

import schemas
from broker.protocol.documents import MAX_ELEMENTS, check_elements
from broker.protocol.envelope import NAMESPACE, Header, Message, local_name
from broker.protocol.errors import NotValid, ZoneError
from broker.protocol.exchanges import AnswerError, parse_response, request_limits
from broker.protocol.identifiers import AgentId, Context, MsgId
from broker.protocol.query import ExtendedQuery, Query, parse_query
from broker.protocol.versions import covers
from broker.registry import ZONE_OBJECTS, Channel, Registry, Role, Topic
from broker.routing import Router, secure_enough

_NS: Final = f"{{{NAMESPACE}}}"


class RequestState(StrEnum):
    """How far a request has come."""

    ASKED = "asked"
    ANSWERING = "answering"
    DONE = "done"
    PARTIAL = "partial"
    """Some packets came, then an error, or nothing for too long."""
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({RequestState.ASKED, RequestState.ANSWERING})
"""States in which packets are awaited."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request as the zone remembers it.

    Attributes:
        version: SIF_Message/@Version of the request, which the requester likes best.
        versions: Its SIF_Version items; may have wildcards.
        max_buffer: Bytes of the largest packet the requester takes.
        due_at: When it expires unless a packet comes; ``asked_at`` likewise in seconds since 1970, UTC.
        shared: Objects passed on so far; ``left_out`` those that were not: not shared, or not valid.
        category: SIF error category that ended it, 0 for none; ``code`` within it.
        reply_to: Routing key of whoever gets the answer, where that is not the requester's own queue.
        extended: Whether it is a SIF_ExtendedQuery, which is answered with rows.
        about: RefId of the learner whose record the zone itself asks for, see :mod:`broker.entering`; else empty.
    """

    msg_id: MsgId
    requester: AgentId
    responder: AgentId
    object_type: str
    context: Context
    version: str
    versions: tuple[str, ...]
    max_buffer: int
    asked_at: float
    due_at: float
    state: RequestState = RequestState.ASKED
    next_packet: int = 1
    shared: int = 0
    left_out: int = 0
    category: int = 0
    code: int = 0
    reply_to: str = ""
    extended: bool = False
    about: str = ""

    @property
    def is_open(self) -> bool:
        """Whether packets are awaited."""
        return self.state in OPEN

    def closed(self, category: int, code: int) -> "Pending":
        """Return it as ended by the zone: as partial where packets had come and it was not cancelled."""
        if (category, code) == Cancelled.pair():
            return replace(self, state=RequestState.CANCELLED, category=category, code=code)
        if (category, code) == TimedOut.pair() and self.next_packet == 1:
            return replace(self, state=RequestState.EXPIRED, category=category, code=code)
        return self.failed(category, code)

    def failed(self, category: int, code: int) -> "Pending":
        """Return it as ended by an error of whoever answers, which may be any: as partial where packets had come."""
        state = RequestState.PARTIAL if self.next_packet > 1 else RequestState.FAILED
        return replace(self, state=state, category=category, code=code)


class _RequestError(ZoneError):
    category = 8  # request and response

    @classmethod
    def pair(cls) -> tuple[int, int]:
        """Return SIF's category and code."""
        return cls.category, cls.code


class NobodyAnswers(_RequestError):
    """Nobody provides the object, or the agent named does not answer for it."""

    code = 4


class NoSuchObject(_RequestError):
    """The zone has no object of this name."""

    code = 3


class CannotTakeRequest(_RequestError):
    """The responder cannot take the request itself."""

    code = 1


class BufferTooSmall(_RequestError):
    """The buffer size of a request is none that it can be answered in."""

    code = 8


class UnknownRequest(_RequestError):
    """A response names no request that waits for this agent's answer."""

    code = 10


class PacketTooLarge(_RequestError):
    """A packet is larger than the requester's buffer."""

    code = 11


class OutOfSequence(_RequestError):
    """A packet's number is not the next one."""

    code = 12


class AlreadyAnswered(OutOfSequence):
    """The packet came before."""


class VersionNotRequested(_RequestError):
    """A response is in a version that was not asked for."""

    code = 13


class NotTheRequester(_RequestError):
    """A response is addressed to another agent than the one that asked."""

    code = 14


class NoExtendedQueries(_RequestError):
    """The responder does not answer SIF_ExtendedQuery, or nobody may pass on what it would answer."""

    code = 15


class TimedOut(_RequestError):
    """Nothing came for too long."""

    code = 16


class Removed(_RequestError):
    """The request was removed: its responder has left, or an administrator did so."""

    code = 17


class Cancelled(_RequestError):
    """The requester has cancelled its request."""

    code = 18


class MayNotRequest(ZoneError):
    """The sender has no right to request this object, or no agreement shares it."""

    category = 4
    code = 5


class MayNotRespond(ZoneError):
    """The sender has no right to answer requests for this object."""

    category = 4
    code = 6


class ChannelNotSecure(ZoneError):
    """The receiver is not connected as securely as the sender demands."""

    category = 10
    code = 3


class VersionNotListed(ZoneError):
    """The receiver does not understand the version of the message."""

    category = 12
    code = 3


class ContextNotSupported(ZoneError):
    """The zone has no such context."""

    category = 12
    code = 4


class SeveralContexts(ZoneError):
    """Several contexts where there can be one."""

    category = 12
    code = 7


class Question(NamedTuple):
    """A SIF_Request that could be read and whose sender is who it says."""

    sender: AgentId
    message: Message
    query: Query | ExtendedQuery
    versions: tuple[str, ...]
    max_buffer: int
    size: int

    @property
    def object_type(self) -> str:
        """The object asked for."""
        return self.query.object_type if isinstance(self.query, Query) else self.query.provider_object

    @property
    def context(self) -> Context:
        """The one context it is asked in."""
        return self.message.header.contexts[0]


class Reply(NamedTuple):
    """A SIF_Response that could be read and whose sender is who it says.

    Attributes:
        objects: What it holds; None where it holds an error or rows.
    """

    sender: AgentId
    message: Message
    request_id: MsgId
    packet: int
    more: bool
    size: int
    objects: tuple[etree._Element, ...] | None
    error: AnswerError | None


class Asked(NamedTuple):
    """A request to pass on, and to remember."""

    pending: Pending


class ForZone(NamedTuple):
    """A request that the zone itself answers."""

    pending: Pending


class Accepted(NamedTuple):
    """A packet to pass on as far as it is shared; the request as it then stands, before anything is counted."""

    pending: Pending


def read_request(sender: AgentId, message: Message, size: int) -> Question:
    """Return the request in *message*, whose body has *size* bytes.

    Raises:
        ZoneError: It is not as the schema has it, or asks in a way that nobody answers.
    """
    _check_form(message)
    versions, buffer = request_limits(message)
    if len(message.header.contexts) > 1:
        raise SeveralContexts("a request has one context: send one request for each")
    versions = tuple(dict.fromkeys(versions))
    return Question(sender, message, parse_query(message.payload), versions, buffer, size)


def read_response(sender: AgentId, message: Message, size: int) -> Reply:
    """Return the response in *message*, whose body has *size* bytes.

    Raises:
        NotValid: It is not as the schema has it.
    """
    said = parse_response(message)
    payload = message.payload
    has_data = payload.find(_NS + "SIF_ObjectData") is not None
    if not has_data and said.error is None and payload.find(_NS + "SIF_ExtendedQueryResults") is None:
        raise NotValid("SIF_Response holds neither SIF_ObjectData, nor SIF_Error, nor SIF_ExtendedQueryResults")
    objects = said.elements if has_data else None
    return Reply(sender, message, said.request_id, said.packet, said.more, size, objects, said.error)


def _check_form(message: Message) -> None:
    """Return when a request is as the message schema has it.

    Raises:
        NotValid: It is not; the text says which line.
    """
    whole = message.payload.getparent()
    findings = schemas.check_message(whole) if whole is not None else ()
    if findings:
        raise NotValid(f"line {findings[0].line}: {findings[0].message}")


def asked_by(question: Question, responder: AgentId, now: float) -> Pending:
    """Return *question* as a request that *responder* is to answer, and is due at once."""
    return Pending(
        question.message.header.msg_id,
        question.sender,
        responder,
        question.object_type,
        question.context,
        question.message.version,
        question.versions,
        question.max_buffer,
        now,
        now,
        extended=isinstance(question.query, ExtendedQuery),
    )


def decide_request(
    question: Question,
    router: Router,
    zone: AgentId,
    now: float,
    timeout: timedelta,
    reply_to: str = "",
) -> Asked | ForZone:
    """Return who is to answer *question*.

    Args:
        zone: The zone's own SIF_SourceId.
        now: Seconds since 1970, UTC.
        timeout: Silence after which the request expires.
        reply_to: Routing key of whoever gets the answer instead of the sender.

    Raises:
        ZoneError: Nobody is; the text says why and what to do.

    Source:
        SIF Infrastructure 2.x, SIF_Request; codes 4/5, 8/3, 8/4, 8/8, 8/15, 10/3, 12/3, 12/4.
    """
    registry = router.registry
    header, topic = question.message.header, Topic(question.object_type, question.context)
    pending = replace(asked_by(question, zone, now), due_at=now + timeout.total_seconds(), reply_to=reply_to)
    if topic.object_type in ZONE_OBJECTS - {"SIF_LogEntry"}:
        if pending.extended:
            raise NoExtendedQueries(
                f"the zone answers for {topic.object_type}, and no SIF_ExtendedQuery: send a SIF_Query"
            )
        return ForZone(pending)
    if _is_identity(header, topic, registry, zone):
        return _identity(question, pending, registry)
    if topic.object_type not in schemas.load().objects and topic.object_type not in ZONE_OBJECTS:
        nearest = schemas.load().nearest_object(topic.object_type)
        hint = f" (did you mean {nearest}?)" if nearest else ""
        raise NoSuchObject(f"this zone has no object of the name in the query{hint}")
    if topic.context not in registry.contexts:
        raise ContextNotSupported("the zone has no such context: leave SIF_Contexts out, or ask the administrator")
    if not registry.agents[question.sender].may(Role.REQUEST, topic):
        raise MayNotRequest(
            f"agent {question.sender} has no right to request {topic.object_type}: ask the zone administrator to add "
            f'"request" to its rights in zone.toml'
        )
    _check_own_buffer(question, registry)
    responder = _responder(header, topic, registry)
    _check_can_take(question, responder, registry)
    if pending.extended:
        _check_extended(question, responder, topic, router)
    if not router.may_ask(responder, question.sender, topic.object_type):
        raise MayNotRequest(
            f"no agreement that is live lets agent {question.sender} have {topic.object_type} of agent {responder}: "
            "ask the zone administrator for one"
        )
    return Asked(replace(pending, responder=responder))


def _is_identity(header: Header, topic: Topic, registry: Registry, zone: AgentId) -> bool:
    """Tell whether the zone itself answers for Identity: only while no agent provides it."""
    if topic.object_type != "Identity" or topic.context not in registry.contexts:
        return False
    return header.destination_id == zone or (header.destination_id is None and registry.provider(topic) is None)


def _identity(question: Question, pending: Pending, registry: Registry) -> ForZone:
    topic = Topic(question.object_type, question.context)
    if registry.provider(topic) is not None:
        raise NobodyAnswers("an agent provides Identity: leave SIF_DestinationId out, so that it is asked")
    if not registry.agents[question.sender].may(Role.REQUEST, topic):
        raise MayNotRequest(
            f"agent {question.sender} has no right to request Identity: ask the zone administrator to add "
            '"request" to its rights in zone.toml'
        )
    if pending.extended:
        raise NoExtendedQueries("the zone answers for Identity, and no SIF_ExtendedQuery: send a SIF_Query")
    _check_own_buffer(question, registry)
    return ForZone(pending)


def decide_response(
    reply: Reply, pending: Pending | None, registry: Registry, now: float, timeout: timedelta
) -> Accepted:
    """Return the request that *reply* answers as it stands with this packet.

    Raises:
        ZoneError: It does not answer it. Where :func:`ends_request` says so, the request ends with it.

    Source:
        SIF Infrastructure 2.x, SIF_Response; codes 4/6, 8/10 to 8/14.
    """
    if pending is None or pending.responder != reply.sender or not pending.is_open:
        raise UnknownRequest(
            "SIF_RequestMsgId names no request that waits for your answer: it may have been answered, cancelled or "
            "have expired"
        )
    if 1 <= reply.packet < pending.next_packet:
        raise AlreadyAnswered(f"packet {reply.packet} was answered already: send packet {pending.next_packet}")
    destination = reply.message.header.destination_id
    if destination is not None and destination != pending.requester:
        raise NotTheRequester("SIF_DestinationId is not the agent that asked: send it back to whoever asked")
    if not any(covers(item, reply.message.version) for item in pending.versions):
        raise VersionNotRequested(
            f"the response is in version {reply.message.version}, the request allows {', '.join(pending.versions)}"
        )
    if reply.packet != pending.next_packet:
        raise OutOfSequence(f"packet {pending.next_packet} was due, not {reply.packet}: a packet is missing")
    _check_fits(reply, pending)
    said = registry.live.registrations.get(pending.requester)
    if not pending.reply_to and not secure_enough(said, _demand(reply.message.header)):
        raise ChannelNotSecure(f"agent {pending.requester} is not connected as securely as SIF_Security demands")
    topic = Topic(pending.object_type, pending.context)
    may = registry.is_responder(reply.sender, topic) or registry.agents[reply.sender].may(Role.RESPOND, topic)
    if not may and not pending.about:  # the zone asks whoever has published what it asks for
        raise MayNotRespond(f"agent {reply.sender} has no right to answer requests for {topic.object_type}")
    if reply.error is not None:
        return Accepted(pending.failed(reply.error.category, reply.error.code))
    state = RequestState.ANSWERING if reply.more else RequestState.DONE
    due = now + timeout.total_seconds()
    return Accepted(replace(pending, state=state, next_packet=reply.packet + 1, due_at=due))


def _check_fits(reply: Reply, pending: Pending) -> None:
    if reply.size > pending.max_buffer:
        raise PacketTooLarge(
            f"the packet has {reply.size:,} bytes, the requester takes {pending.max_buffer:,}: send smaller packets"
        )
    for element in reply.objects or ():
        if local_name(element) != pending.object_type:
            raise NotValid(f"the request is for {pending.object_type}: send no other objects in its response")
        if reply.size > MAX_ELEMENTS:  # a shorter one cannot have so many
            check_elements(element)
    if reply.error is not None and (reply.error.category > _MAX_CATEGORY or reply.error.code > _MAX_CODE):
        raise NotValid("SIF_Response/SIF_Error has a category or code that SIF does not have")
    if reply.objects is None and reply.error is None and not pending.extended:
        raise NotValid("rows answer a SIF_ExtendedQuery: answer this request with SIF_ObjectData")


def ends_request(error: ZoneError) -> bool:
    """Tell whether a request ends when its responder's packet is refused with *error*.

    What another agent sends, or the same packet once more, ends nothing; else the requester would wait for a packet
    that never comes, since agents in use do not read the refusal of a response.
    """
    return not isinstance(error, (UnknownRequest, AlreadyAnswered))


def _responder(header: Header, topic: Topic, registry: Registry) -> AgentId:
    named = header.destination_id
    responder = registry.provider(topic) if named is None else named
    if responder is None:
        raise NobodyAnswers(
            f"nobody provides {topic.object_type} in context {topic.context}: name an agent, or ask later"
        )
    if not registry.is_responder(responder, topic) or not registry.is_registered(responder):
        who = "the agent named in SIF_DestinationId" if named is not None else f"its provider, {responder},"
        raise NobodyAnswers(f"{who} does not answer for {topic.object_type} now: ask again when it has registered")
    return responder


def _check_own_buffer(question: Question, registry: Registry) -> None:
    said = registry.live.registrations.get(question.sender)
    if said is not None and question.max_buffer > said.max_buffer:
        raise BufferTooSmall(
            f"SIF_MaxBufferSize {question.max_buffer:,} is more than the {said.max_buffer:,} you registered with: "
            "ask for no more"
        )


def _check_can_take(question: Question, responder: AgentId, registry: Registry) -> None:
    said = registry.live.registrations[responder]
    header = question.message.header
    if not any(covers(item, question.message.version) for item in said.versions):
        raise VersionNotListed(f"agent {responder} does not understand version {question.message.version}")
    if question.size > said.max_buffer:
        raise CannotTakeRequest(
            f"the request is larger than the {said.max_buffer:,} bytes that agent {responder} takes"
        )
    if not secure_enough(said, _demand(header)):
        raise ChannelNotSecure(f"agent {responder} is not connected as securely as SIF_Security demands")


def _demand(header: Header) -> Channel:
    return Channel(header.authentication_level, header.encryption_level)


def _check_extended(question: Question, responder: AgentId, topic: Topic, router: Router) -> None:
    """Return when the rows that answer may be passed on: what is in a row cannot be cut, and tells of no learner."""
    if not router.registry.answers_extended(responder, topic):
        raise NoExtendedQueries(f"agent {responder} does not answer SIF_ExtendedQuery: send a SIF_Query")
    names = {element.get("ObjectName", topic.object_type) for element in question.message.payload.iter()}
    for name in sorted(names):
        if not router.may_have_all(responder, question.sender, name):
            raise NoExtendedQueries(
                "rows cannot be cut to what agreements share: a SIF_ExtendedQuery needs an agreement on the whole of "
                "each object in it, for all learners, shielded ones too; send a SIF_Query"
            )


_MAX_CATEGORY: Final = 14
_MAX_CODE: Final = 9_999
"""Larger than any code of SIF's, with room for those of vendors."""
