"""Answer what agents say to the zone itself: register, provision, subscribe, ask, sleep. Values in, values out.

The same for agents that speak AMQP and for those at the gateway; fetching messages, which only HTTP has, is the
gateway's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlsplit

from lxml import etree

import schemas
from broker.protocol.envelope import NAMESPACE, Ack, Message, local_name, parse_message
from broker.protocol.errors import (
    MayNotPublish,
    MessageTypeNotSupported,
    NotRegistered,
    NotValid,
    WrongSource,
    ZoneError,
)
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, MsgId
from broker.protocol.identity import IDENTITY, LOCATE, Claim, control_name, parse_locate
from broker.protocol.versions import covers
from broker.registry import (
    NO_PROVISION,
    ZONE_OBJECTS,
    AgentRecord,
    Change,
    Channel,
    Live,
    Mode,
    Provision,
    Provisioned,
    Registered,
    Registration,
    Registry,
    Role,
    Slept,
    Topic,
    Topics,
    Unregistered,
)
from broker.requests import ContextNotSupported
from broker.zone_status import SUPPORTED_VERSIONS, ZoneIdentity, build_acl, build_zone_status

_NS: Final = f"{{{NAMESPACE}}}"
DONE: Final = 0
"""SIF_Status/SIF_Code of a zone server that did what was asked."""
SMALLEST_BUFFER: Final = 4096
"""Bytes; agents in use refuse to answer within less, so that one that takes less would get nothing."""
_CODINGS: Final = frozenset({"gzip", "x-gzip", "identity", "*"})


class MayNotRegister(ZoneError):
    """The zone has no agent of this id."""

    category = 4
    code = 2


class ProtocolNotSupported(ZoneError):
    """The agent wants to be pushed to, and says no way in which that could be done."""

    category = 5
    code = 3


class NoVersionSupported(ZoneError):
    """None of the versions that an agent lists is one of the zone's."""

    category = 5
    code = 4


class BufferTooSmall(ZoneError):
    """The agent takes messages so small that it would get nothing."""

    category = 5
    code = 6


class SecureTransportDemanded(ZoneError):
    """The zone demands HTTPS."""

    category = 5
    code = 7


class EncodingNotSupported(ZoneError):
    """The agent can read no content coding that the zone can write."""

    category = 5
    code = 10


class NothingToProvide(ZoneError):
    """There is no object of this name to provide, publish, request or respond to."""

    category = 6
    code = 3


class HasProvider(ZoneError):
    """Another agent provides the object in this context."""

    category = 6
    code = 4


class NothingToSubscribe(ZoneError):
    """There is no object of this name to subscribe to."""

    category = 7
    code = 3


class MayNotDo(ZoneError):
    """An agent has no right to what it says it does; the code tells which."""

    category = 4

    def __init__(self, code: int, text: str) -> None:
        self.code = code  # type: ignore[misc]  # one class for seven codes of one kind
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the zone asks of agents that register.

    Attributes:
        secure: Whether it demands HTTPS.
        may_push_to: Tells whether the zone may push to a URL for an agent: the reason why not, empty when it may.
    """

    secure: bool = False
    may_push_to: Callable[[AgentId, str], str] = lambda _agent, _url: ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The SIF_Ack to send, and what is to be remembered or done because of it.

    Attributes:
        changes: What the registry is to remember.
        cancelled: Requests of the agent to cancel, and whether it wants to be told.
        woken: Whether a block of events ends: the agent registered, or has said SIF_Wakeup.
        left: Whether the agent took its leave, so that its queue and its requests are given up.
        claims: Learners of which it asks whose record they are; the answer belongs into the acknowledgement's data.
    """

    ack: Ack
    version: str
    changes: tuple[Change, ...] = ()
    cancelled: tuple[MsgId, ...] = ()
    notify: bool = True
    woken: bool = False
    left: bool = False
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a control message came in.

    Attributes:
        channel: Protection of the way that it came.
        over_http: Whether it came through the gateway; only then can an agent be pushed to.
        secure: Whether it came over HTTPS.
        now: Seconds since 1970, UTC.
    """

    zone: ZoneIdentity
    channel: Channel = field(default_factory=Channel)
    over_http: bool = False
    secure: bool = False
    policy: Policy = field(default_factory=Policy)
    now: float = 0.0


def answer(body: bytes, login: AgentId, registry: Registry, desk: Desk) -> Answer:
    """Return the answer to the control message in *body*, sent with the verified *login*."""
    try:
        message = parse_message(body)
    except ZoneError as error:
        return Answer(failure(error, str(login), None), "2.4")
    return answer_message(message, login, registry, desk)


def answer_message(message: Message, login: AgentId, registry: Registry, desk: Desk) -> Answer:
    """Return the answer to a control *message*, sent with the verified *login*.

    Source:
        SIF Infrastructure 2.x, SIF_Register to SIF_SystemControl; error categories 1, 3, 4, 5, 6, 7 and 12.
    """
    header = message.header
    try:
        if header.source_id != login:
            raise WrongSource(f"SIF_SourceId is not {login}, whose login sent the message: send only as yourself")
        handler = _HANDLERS.get(message.kind)
        if handler is None:
            raise MessageTypeNotSupported(f"the zone answers {', '.join(_HANDLERS)} here, not this message")
        if message.kind != "SIF_Register" and not registry.is_registered(login):
            raise NotRegistered(f"agent {login} is not registered: send SIF_Register first")
        if not control_name(message):  # Locate is our own, and read by rules of its own
            _check_form(message)
        if login not in registry.agents:
            raise MayNotRegister(f"agent {login} is not set up in this zone: ask the zone administrator to add it")
        found = handler(message, registry.agents[login], registry, desk)
    except ZoneError as error:
        return Answer(failure(error, str(login), header.msg_id), message.version)
    return replace(found, version=message.version)


class RegistryStore(Protocol):
    """What keeps the registry: see :class:`broker.storage.Store`."""

    def live(self) -> Live:
        """Return what agents have said of themselves."""

    def change_registry(self, decide: Callable[[Live], tuple[Answer, Sequence[Change]]]) -> Answer:
        """Let *decide* look at the registry, which nobody else changes meanwhile, and keep the changes it wants."""


def settle(store: RegistryStore, decide: Callable[[Live], Answer]) -> Answer:
    """Return what *decide* answers, with its changes stored; most messages change nothing, and take no turn."""
    first = decide(store.live())
    if not first.changes:
        return first

    def again(live: Live) -> tuple[Answer, Sequence[Change]]:
        found = decide(live)
        return found, found.changes

    return store.change_registry(again)


def failure(error: ZoneError, source: str, msg_id: str | None) -> Ack:
    """Return the SIF_Ack that tells of *error*."""
    return Ack(source, msg_id, category=error.category, code=error.code, description=str(error))


def _check_form(message: Message) -> None:
    whole = message.payload.getparent()
    findings = schemas.check_message(whole) if whole is not None else ()
    if findings:
        error = NotValid(f"line {findings[0].line}: {findings[0].message}")
        error.code = findings[0].sif_code  # type: ignore[misc]  # 3 for the content, 4 for a value
        raise error


def _done(message: Message, data: bytes = b"") -> Ack:
    return Ack(message.header.source_id, message.header.msg_id, status=DONE, data=data)


# -- SIF_Register, SIF_Unregister -------------------------------------------------------------------------------------


def _register(message: Message, agent: AgentRecord, _registry: Registry, desk: Desk) -> Answer:
    said = message.payload
    versions = tuple((item.text or "").strip() for item in said.iterfind(_NS + "SIF_Version"))
    if not any(covers(item, version) for item in versions for version in SUPPORTED_VERSIONS):
        raise NoVersionSupported(f"the zone speaks {', '.join(SUPPORTED_VERSIONS)}: list one of them in SIF_Version")
    buffer = int(_text(said, "SIF_MaxBufferSize"))
    if buffer < SMALLEST_BUFFER:
        raise BufferTooSmall(f"SIF_MaxBufferSize must be {SMALLEST_BUFFER} bytes or more")
    mode = Mode(_text(said, "SIF_Mode"))
    protocol = said.find(_NS + "SIF_Protocol")
    kind = "" if protocol is None else protocol.get("Type", "").strip()
    url = "" if protocol is None else _text(protocol, "SIF_URL")
    if mode is Mode.PUSH:
        _check_push(agent.id, kind, url, desk)
    elif desk.policy.secure and desk.over_http and not desk.secure:
        raise SecureTransportDemanded("this zone demands HTTPS: use its https:// address")
    application = said.find(_NS + "SIF_Application")
    registration = Registration(
        agent.id,
        _text(said, "SIF_Name")[:64],
        message.version,
        desk.now,
        tuple(dict.fromkeys(versions)),
        buffer,
        mode,
        url if mode is Mode.PUSH else "",
        kind[:64],
        protocol is not None and protocol.get("Secure") == "Yes",
        _encodings(protocol),
        _text(said, "SIF_NodeVendor"),
        _text(said, "SIF_NodeVersion"),
        None if application is None else tuple(_text(application, n) for n in _APPLICATION),  # type: ignore[arg-type]
        _push_channel(url) if mode is Mode.PUSH else desk.channel,
    )
    return Answer(_done(message, build_acl(agent)), "", (Registered(registration),), woken=True)


_PUBLISHING: Final = (Role.PUBLISH_ADD, Role.PUBLISH_CHANGE, Role.PUBLISH_DELETE)
_APPLICATION: Final = ("SIF_Vendor", "SIF_Product", "SIF_Version")


def _check_push(agent: AgentId, kind: str, url: str, desk: Desk) -> None:
    if not desk.over_http:
        raise ProtocolNotSupported("over AMQP an agent reads its own queue: register with SIF_Mode Pull")
    if kind not in ("HTTP", "HTTPS") or not _is_address(url, kind.lower()):
        raise ProtocolNotSupported(
            "to be pushed to, name SIF_Protocol with Type HTTP or HTTPS and an http:// or https:// SIF_URL of that kind"
        )
    if desk.policy.secure and (kind != "HTTPS" or not desk.secure):
        raise SecureTransportDemanded("this zone demands HTTPS: register, and be pushed to, over https://")
    refused = desk.policy.may_push_to(agent, url)
    if refused:
        raise ProtocolNotSupported(refused)


def _is_address(url: str, scheme: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == scheme and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no host or no port that there can be
        return False


def _push_channel(url: str) -> Channel:
    """Return the protection of pushing: the zone checks the certificate of an https:// host, and its name."""
    return Channel(3, 4) if urlsplit(url).scheme == "https" else Channel()


def _encodings(protocol: etree._Element | None) -> tuple[str, ...]:
    """Return the content codings that SIF_Property Accept-Encoding names, best first; empty when there is none."""
    if protocol is None:
        return ()
    found: dict[str, None] = {}
    named = False
    for item in protocol.iterfind(_NS + "SIF_Property"):
        if _text(item, "SIF_Name").lower() != "accept-encoding":
            continue
        named = True
        for part in _text(item, "SIF_Value").lower().split(","):
            coding, _, weight = part.partition(";")
            if not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight):
                found[coding.strip()] = None
    if named and not found.keys() & _CODINGS:
        raise EncodingNotSupported("of content codings the zone knows gzip and identity: name one in Accept-Encoding")
    return tuple(coding for coding in found if coding in _CODINGS)


def _unregister(message: Message, agent: AgentRecord, _registry: Registry, _desk: Desk) -> Answer:
    return Answer(_done(message), "", (Unregistered(agent.id),), woken=True, left=True)


# -- SIF_Provision and what changes single entries of it --------------------------------------------------------------

_SECTIONS: Final = (
    ("SIF_ProvideObjects", Role.PROVIDE),
    ("SIF_SubscribeObjects", Role.SUBSCRIBE),
    ("SIF_PublishAddObjects", Role.PUBLISH_ADD),
    ("SIF_PublishChangeObjects", Role.PUBLISH_CHANGE),
    ("SIF_PublishDeleteObjects", Role.PUBLISH_DELETE),
    ("SIF_RequestObjects", Role.REQUEST),
    ("SIF_RespondObjects", Role.RESPOND),
)
_MAY_NOT: Final[Mapping[Role, int]] = MappingProxyType(
    {
        Role.PROVIDE: 3,
        Role.SUBSCRIBE: 4,
        Role.REQUEST: 5,
        Role.RESPOND: 6,
        Role.PUBLISH_ADD: 10,
        Role.PUBLISH_CHANGE: 11,
        Role.PUBLISH_DELETE: 12,
    }
)


def _provision(message: Message, agent: AgentRecord, registry: Registry, _desk: Desk) -> Answer:
    topics: dict[Role, Topics] = {}
    extended: set[Topic] = set()
    for tag, role in _SECTIONS:
        section = message.payload.find(_NS + tag)
        wanted = _topics(section) if section is not None else {}
        for topic in wanted:
            _check_may(agent, role, topic, registry)
        if wanted:
            topics[role] = frozenset(wanted)
        extended |= {topic for topic, answers in wanted.items() if answers and role is not Role.REQUEST}
    said = Provision(MappingProxyType(topics), frozenset(extended))
    return Answer(_done(message), "", (Provisioned(agent.id, said),))


def _added(role: Role) -> "_Handler":
    def handle(message: Message, agent: AgentRecord, registry: Registry, _desk: Desk) -> Answer:
        wanted = _topics(message.payload)
        for topic in wanted:
            _check_may(agent, role, topic, registry)
        before = registry.live.provisions.get(agent.id, NO_PROVISION)
        topics = {**before.topics, role: before.topics.get(role, frozenset()) | wanted.keys()}
        extended = before.extended
        if role is Role.PROVIDE:
            extended = (extended - wanted.keys()) | {topic for topic, answers in wanted.items() if answers}
        said = Provision(MappingProxyType(topics), extended)
        return Answer(_done(message), "", (Provisioned(agent.id, said),) if said != before else ())

    return handle


def _removed(role: Role) -> "_Handler":
    def handle(message: Message, agent: AgentRecord, registry: Registry, _desk: Desk) -> Answer:
        given_up = _topics(message.payload).keys()
        before = registry.live.provisions.get(agent.id, NO_PROVISION)
        topics = {**before.topics, role: before.topics.get(role, frozenset()) - given_up}
        answered = topics.get(Role.PROVIDE, frozenset()) | topics.get(Role.RESPOND, frozenset())
        kept = {one: found for one, found in topics.items() if found}
        said = Provision(MappingProxyType(kept), before.extended & answered)
        return Answer(_done(message), "", (Provisioned(agent.id, said),) if said != before else ())

    return handle


def _topics(section: etree._Element) -> dict[Topic, bool]:
    """Return the topics that a list of SIF_Object names, each with whether it answers extended queries."""
    found: dict[Topic, bool] = {}
    for item in section.iterfind(_NS + "SIF_Object"):
        answers = _text(item, "SIF_ExtendedQuerySupport") in ("true", "1")
        contexts = [Context((c.text or "").strip()) for c in item.iterfind(f"{_NS}SIF_Contexts/{_NS}SIF_Context")]
        for context in contexts or [DEFAULT_CONTEXT]:
            topic = Topic(item.get("ObjectName", "").strip(), context)
            found[topic] = answers or found.get(topic, False)
    return found


def _check_may(agent: AgentRecord, role: Role, topic: Topic, registry: Registry) -> None:
    """Return when *agent* may do what it says; in the order in which SIF tells what is wrong."""
    name = topic.object_type
    if name not in _known_objects():
        nearest = schemas.load().nearest_object(name)
        hint = f" (did you mean {nearest}?)" if nearest else ""
        kind = NothingToSubscribe if role is Role.SUBSCRIBE else NothingToProvide
        raise kind(f"this zone has no object of the name in SIF_Object/@ObjectName{hint}")
    if topic.context not in registry.contexts:
        raise ContextNotSupported(
            f"the zone has no such context for {name}: leave SIF_Contexts out, or ask the administrator"
        )
    if not agent.may(role, topic):
        raise MayNotDo(
            _MAY_NOT[role],
            f"agent {agent.id} has no right to {role.replace('-', ' ')} {name} in context {topic.context}: ask the "
            "zone administrator to add it to its rights in zone.toml",
        )
    provider = registry.provider(topic)
    if role is Role.PROVIDE and provider not in (None, agent.id):
        raise HasProvider(
            f"agent {provider} provides {name} in context {topic.context}: one agent does so in a context"
        )


def _known_objects() -> AbstractSet[str]:
    return ZONE_OBJECTS.union(schemas.load().objects)


# -- SIF_SystemControl ------------------------------------------------------------------------------------------------


def _system_control(message: Message, agent: AgentRecord, registry: Registry, desk: Desk) -> Answer:
    data = message.payload.find(_NS + "SIF_SystemControlData")
    command = None if data is None or not len(data) else data[0]
    match "" if command is None else local_name(command):
        case "SIF_Ping":
            return Answer(_done(message), "")
        case "SIF_Sleep":
            return Answer(_done(message), "", (Slept(agent.id, sleeping=True),))
        case "SIF_Wakeup":
            return Answer(_done(message), "", (Slept(agent.id, sleeping=False),), woken=True)
        case "SIF_GetZoneStatus":
            return Answer(_done(message, build_zone_status(desk.zone, registry)), "")
        case "SIF_GetAgentACL":
            return Answer(_done(message, build_acl(agent)), "")
        case "SIF_CancelRequests":
            ids = tuple(MsgId((item.text or "").strip()) for item in message.payload.iter(_NS + "SIF_RequestMsgId"))
            wish = message.payload.find(f".//{_NS}SIF_NotificationType")
            return Answer(_done(message), "", cancelled=ids, notify=wish is None or wish.text != "None")
        case name if name == _LOCATE:
            return _locate(message, agent, desk)
        case "SIF_GetMessage":
            raise MessageTypeNotSupported("over AMQP, read your queue: SIF_GetMessage is for agents at the gateway")
        case _:
            raise MessageTypeNotSupported("the zone knows no such command of SIF_SystemControl")


_LOCATE: Final = f"{{{IDENTITY}}}{LOCATE}"


def _locate(message: Message, agent: AgentRecord, desk: Desk) -> Answer:
    """Take a question about whose record learners are, of an agent that may publish about learners."""
    if desk.over_http:
        raise MessageTypeNotSupported(f"{LOCATE} is for agents that speak AMQP: send a SIF_Request for Identity")
    about = {topic.object_type for role in _PUBLISHING for topic in agent.rights.get(role, ())}
    known = schemas.load().objects
    if not any(name in known and schemas.load().learner_ref(name) is not None for name in about):
        raise MayNotDo(
            MayNotPublish.code,
            f"agent {agent.id} may publish nothing about learners, so that it needs nobody's RefId: ask the zone "
            "administrator for a right in zone.toml",
        )
    return Answer(_done(message), "", claims=parse_locate(message))


_Handler = Callable[[Message, AgentRecord, Registry, Desk], Answer]
_HANDLERS: Final[Mapping[str, _Handler]] = MappingProxyType(
    {
        "SIF_Register": _register,
        "SIF_Unregister": _unregister,
        "SIF_Provision": _provision,
        "SIF_Provide": _added(Role.PROVIDE),
        "SIF_Unprovide": _removed(Role.PROVIDE),
        "SIF_Subscribe": _added(Role.SUBSCRIBE),
        "SIF_Unsubscribe": _removed(Role.SUBSCRIBE),
        "SIF_SystemControl": _system_control,
    }
)


def _text(element: etree._Element, name: str) -> str:
    return " ".join((element.findtext(_NS + name) or "").split())
