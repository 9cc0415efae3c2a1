"""SIF_Message documents: parse what came, build what goes; deciding what to do with them is the pipeline's.

XML is hostile until shown otherwise: UTF-8 only, no DOCTYPE, no entities, bounded size and depth.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from lxml import etree

from broker.protocol.documents import MAX_MESSAGE_BYTES, parse_document
from broker.protocol.errors import NotValid, VersionNotSupported
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, MsgId, is_guid, new_msg_id

NAMESPACE: Final = "http://www.sifinfo.org/uk/infrastructure/2.x"
LOOKED_AFTER: Final = "urn:sifzone:looked-after:1.0"
"""Namespace of the zone's own objects about looked-after children."""
VERSION: Final = "2.4"
"""The infrastructure version of UK 1.3, in which the zone itself speaks."""
CONTENT_TYPE: Final = "application/xml"

_NS: Final = f"{{{NAMESPACE}}}"
_NS_LENGTH: Final = len(_NS)
_OWN: Final = f"{{{LOOKED_AFTER}}}"
_ROOT: Final = _NS + "SIF_Message"
_VERSION: Final = re.compile(r"2\.[0-9](r[0-9]+)?")
_TIMESTAMP: Final = re.compile(r"-?[0-9]{4,9}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,20}(Z|[+-][0-9]{2}:[0-9]{2})?")
_LEVELS: Final = ("0", "1", "2", "3", "4")
_MAX_TOKEN: Final = 64
_MAX_CONTEXTS: Final = 50


class Action(StrEnum):
    """What an event says happened to its object."""

    ADD = "Add"
    CHANGE = "Change"
    DELETE = "Delete"


class Header(NamedTuple):
    """SIF_Header.

    Attributes:
        timestamp: As written by the sender; informational, never to order by.
        contexts: In the order given; ``("SIF_Default",)`` when there is none.
        destination_id: None when there is none.
    """

    msg_id: MsgId
    timestamp: str
    source_id: AgentId
    destination_id: AgentId | None = None
    contexts: tuple[Context, ...] = (DEFAULT_CONTEXT,)
    authentication_level: int = 0
    encryption_level: int = 0


class Message(NamedTuple):
    """A SIF_Message whose envelope is in order; its content is not yet checked.

    Attributes:
        version: The infrastructure version on the wire, for example ``2.4``.
        kind: Name of the one child, for example ``SIF_Event``.
        payload: That child, without comments and processing instructions.
    """

    version: str
    kind: str
    header: Header
    payload: etree._Element


class EventObject(NamedTuple):
    """One object of an event; *element* belongs to the parsed document."""

    object_type: str
    action: Action
    element: etree._Element


@dataclass(frozen=True, slots=True)
class Ack:
    """A SIF_Ack: a status when it went well, an error otherwise.

    Attributes:
        original_source_id: Whose message it is about; empty when that could not be read.
        original_msg_id: Which message; None when that could not be read.
        status: SIF_Status/SIF_Code, None when it is an error.
        category: SIF_Error/SIF_Category, None when it is a status.
        code: SIF_Error/SIF_Code.
        data: What SIF_Status/SIF_Data holds, serialised; empty for none.
    """

    original_source_id: str
    original_msg_id: str | None
    status: int | None = None
    category: int | None = None
    code: int | None = None
    description: str = ""
    extended: str = ""
    data: bytes = b""


def local_name(element: etree._Element) -> str:
    """Return the tag of *element* without its namespace when objects may be in that; any other stays in braces."""
    tag: str = element.tag
    return tag[_NS_LENGTH:] if tag.startswith(_NS) else tag.removeprefix(_OWN)


def parse_message(body: bytes, limit: int = MAX_MESSAGE_BYTES) -> Message:
    """Return the message in *body*.

    Raises:
        NotWellFormed: See :func:`parse_document`.
        VersionNotSupported: The version is none of 2.0 to 2.9 (UK 1.0 and later 1.x).
        NotValid: The envelope or its header is not as the schema has it; names the element.

    Source:
        SIF UK 1.x message schema, SIF_Message and SIF_Header.
    """
    root = parse_document(body, limit)
    if root.tag != _ROOT:
        raise NotValid(_wrong_root(root))
    version = root.get("Version", "")
    if _VERSION.fullmatch(version) is None:
        raise VersionNotSupported(
            "SIF_Message/@Version is missing or none that this zone speaks: send 2.1, 2.3 or 2.4 (SIF UK 1.1, 1.2, 1.3)"
        )
    if len(root) != 1:
        raise NotValid(f"SIF_Message has {len(root)} children: send exactly one message in it")
    payload = root[0]
    if not len(payload) or payload[0].tag != _NS + "SIF_Header":
        raise NotValid("the message does not begin with SIF_Header: send SIF_Header as its first child")
    return Message(version, local_name(payload), _parse_header(payload[0]), payload)


def event_objects(message: Message) -> tuple[EventObject, ...]:
    """Return the objects of a SIF_Event, in document order; one by the schema, several from some toolkits.

    Raises:
        NotValid: SIF_ObjectData or SIF_EventObject is missing, empty or has a wrong Action.
    """
    payload = message.payload
    if len(payload) != 2 or payload[1].tag != _NS + "SIF_ObjectData":
        raise NotValid("SIF_Event must hold SIF_Header and then one SIF_ObjectData")
    found: list[EventObject] = []
    for event in payload[1]:
        name = event.get("ObjectName", "")
        action = event.get("Action", "")
        if event.tag != _NS + "SIF_EventObject" or action not in _ACTIONS:
            raise NotValid("SIF_ObjectData must hold SIF_EventObject with Action Add, Change or Delete")
        for element in event:
            if local_name(element) != name:
                raise NotValid(
                    "SIF_EventObject/@ObjectName is not the name of the object in it: make the two the same, "
                    f"in the namespace {NAMESPACE}, or {LOOKED_AFTER} for the zone's own objects"
                )
            found.append(EventObject(name, _ACTIONS[action], element))
    if not found:
        raise NotValid("SIF_Event holds no object: send one in SIF_ObjectData/SIF_EventObject")
    return tuple(found)


def parse_ack(message: Message) -> Ack:
    """Return the content of a SIF_Ack.

    Raises:
        NotValid: It has neither SIF_Status nor SIF_Error, or their codes are no numbers.
    """
    payload = message.payload
    source = payload.findtext(_NS + "SIF_OriginalSourceId") or ""
    msg_id = payload.findtext(_NS + "SIF_OriginalMsgId") or None
    error = payload.find(_NS + "SIF_Error")
    status = payload.find(_NS + "SIF_Status")
    try:
        if error is not None:
            return Ack(
                source,
                msg_id,
                category=int(error.findtext(_NS + "SIF_Category") or ""),
                code=int(error.findtext(_NS + "SIF_Code") or ""),
                description=error.findtext(_NS + "SIF_Desc") or "",
                extended=error.findtext(_NS + "SIF_ExtendedDesc") or "",
            )
        if status is not None:
            data = b"".join(
                etree.tostring(child, encoding="utf-8", with_tail=False)
                for child in status.iterfind(f"{_NS}SIF_Data/*")
            )
            return Ack(source, msg_id, status=int(status.findtext(_NS + "SIF_Code") or ""), data=data)
    except ValueError as fault:
        raise NotValid("a code in SIF_Ack is no number") from fault
    raise NotValid("SIF_Ack has neither SIF_Status nor SIF_Error")


def new_header(source_id: AgentId, msg_id: MsgId | None = None) -> Header:
    """Return a header for a message of *source_id* that is made now (UTC, whole seconds)."""
    return Header(msg_id or new_msg_id(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), source_id)


def build_message(kind: str, header: Header, content: bytes = b"", version: str = VERSION) -> bytes:
    """Return a SIF_Message of *kind*; *content* is what follows SIF_Header, serialised in SIF UK's namespace.

    No XML declaration and no byte order mark, for the sake of agents that stumble over them.
    """
    return b'<SIF_Message xmlns="%b" Version="%b"><%b>%b%b</%b></SIF_Message>' % (
        NAMESPACE.encode(),
        version.encode(),
        kind.encode(),
        _header(header),
        content,
        kind.encode(),
    )


def build_event(header: Header, objects: tuple[tuple[str, Action, bytes], ...], version: str = VERSION) -> bytes:
    """Return a SIF_Event of objects given as name, action and serialised element."""
    events = b"".join(
        b'<SIF_EventObject ObjectName="%b" Action="%b">%b</SIF_EventObject>' % (name.encode(), action.encode(), element)
        for name, action, element in objects
    )
    return build_message("SIF_Event", header, b"<SIF_ObjectData>%b</SIF_ObjectData>" % events, version)


def event_frame(message: Message, object_type: str, action: Action) -> tuple[bytes, bytes]:
    """Return what stands before and after the object in an event that has *message*'s header and version.

    For building several versions of one event: each is frame, object, frame.
    """
    whole = build_event(message.header, ((object_type, action, b"\0"),), message.version)
    before, _, after = whole.partition(b"\0")
    return before, after


def build_ack(header: Header, ack: Ack, version: str = VERSION) -> bytes:
    """Return a SIF_Ack; an original message id that could not be read is sent as nil."""
    nil = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'
    original = (
        f"<SIF_OriginalMsgId{nil}/>"
        if ack.original_msg_id is None
        else f"<SIF_OriginalMsgId>{escape(ack.original_msg_id)}</SIF_OriginalMsgId>"
    )
    if ack.status is not None:
        data = b"<SIF_Data>%b</SIF_Data>" % ack.data if ack.data else b""
        result = b"<SIF_Status><SIF_Code>%d</SIF_Code>%b</SIF_Status>" % (ack.status, data)
    else:
        extended = f"<SIF_ExtendedDesc>{escape(ack.extended)}</SIF_ExtendedDesc>" if ack.extended else ""
        result = (
            f"<SIF_Error><SIF_Category>{ack.category}</SIF_Category><SIF_Code>{ack.code}</SIF_Code>"
            f"<SIF_Desc>{escape(ack.description[:1024])}</SIF_Desc>{extended}</SIF_Error>"
        ).encode()
    source = f"<SIF_OriginalSourceId>{escape(ack.original_source_id)}</SIF_OriginalSourceId>"
    return build_message("SIF_Ack", header, f"{source}{original}".encode() + result, version)


def build_register(header: Header, name: str) -> bytes:
    """Return a SIF_Register of an agent that is reached over AMQP and calls itself *name*."""
    content = (
        f"<SIF_Name>{escape(name[:64])}</SIF_Name><SIF_Version>{VERSION}</SIF_Version><SIF_Version>2.*</SIF_Version>"
        f"<SIF_MaxBufferSize>{MAX_MESSAGE_BYTES}</SIF_MaxBufferSize><SIF_Mode>Pull</SIF_Mode>"
    )
    return build_message("SIF_Register", header, content.encode())


def build_system_control(header: Header, command: str) -> bytes:
    """Return a SIF_SystemControl with one empty *command*, for example ``SIF_Ping``."""
    content = f"<SIF_SystemControlData><{command}/></SIF_SystemControlData>"
    return build_message("SIF_SystemControl", header, content.encode())


_ACTIONS: Final = {action.value: action for action in Action}


def _parse_header(element: etree._Element) -> Header:
    texts = {tag[_NS_LENGTH:]: child.text or "" for child in element if (tag := child.tag).startswith(_NS)}
    msg_id = texts.get("SIF_MsgId", "").strip()
    if not is_guid(msg_id):
        raise NotValid("SIF_Header/SIF_MsgId must be 32 upper-case hexadecimal digits without hyphens")
    timestamp = texts.get("SIF_Timestamp", "").strip()
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise NotValid("SIF_Header/SIF_Timestamp must be a date and time such as 2026-09-01T08:15:00Z")
    source = _token(texts.get("SIF_SourceId", ""), "SIF_SourceId")
    if not source:
        raise NotValid("SIF_Header/SIF_SourceId is missing: name the agent that sends the message")
    destination = _token(texts.get("SIF_DestinationId", ""), "SIF_DestinationId")
    contexts = _contexts(element) if "SIF_Contexts" in texts else (DEFAULT_CONTEXT,)
    authentication, encryption = _security(element) if "SIF_Security" in texts else (0, 0)
    return Header(
        MsgId(msg_id),
        timestamp,
        AgentId(source),
        AgentId(destination) if destination else None,
        contexts,
        authentication,
        encryption,
    )


def _token(text: str, name: str) -> str:
    token = " ".join(text.split())
    if len(token) > _MAX_TOKEN:
        raise NotValid(f"SIF_Header/{name} is longer than {_MAX_TOKEN} characters")
    return token


def _contexts(header: etree._Element) -> tuple[Context, ...]:
    found = tuple(
        Context(_token(context.text or "", "SIF_Contexts/SIF_Context"))
        for context in header.iterfind(f"{_NS}SIF_Contexts/{_NS}SIF_Context")
    )
    if not found or len(found) > _MAX_CONTEXTS or "" in found:
        raise NotValid("SIF_Header/SIF_Contexts must name its contexts, or be left out for SIF_Default")
    return found


def _security(header: etree._Element) -> tuple[int, int]:
    channel = f"{_NS}SIF_Security/{_NS}SIF_SecureChannel/{_NS}"
    authentication = (header.findtext(channel + "SIF_AuthenticationLevel") or "0").strip()
    encryption = (header.findtext(channel + "SIF_EncryptionLevel") or "0").strip()
    if authentication not in _LEVELS or encryption not in _LEVELS:
        raise NotValid("SIF_Header/SIF_Security: a level must be a number from 0 to 4")
    return int(authentication), int(encryption)


def _header(header: Header) -> bytes:
    destination = (
        f"<SIF_DestinationId>{escape(header.destination_id)}</SIF_DestinationId>" if header.destination_id else ""
    )
    security = ""
    if header.authentication_level or header.encryption_level:
        security = (
            "<SIF_Security><SIF_SecureChannel>"
            f"<SIF_AuthenticationLevel>{header.authentication_level}</SIF_AuthenticationLevel>"
            f"<SIF_EncryptionLevel>{header.encryption_level}</SIF_EncryptionLevel>"
            "</SIF_SecureChannel></SIF_Security>"
        )
    contexts = ""
    if header.contexts != (DEFAULT_CONTEXT,):
        inner = "".join(f"<SIF_Context>{escape(context)}</SIF_Context>" for context in header.contexts)
        contexts = f"<SIF_Contexts>{inner}</SIF_Contexts>"
    return (
        f"<SIF_Header><SIF_MsgId>{header.msg_id}</SIF_MsgId><SIF_Timestamp>{header.timestamp}</SIF_Timestamp>"
        f"{security}<SIF_SourceId>{escape(header.source_id)}</SIF_SourceId>{destination}{contexts}</SIF_Header>"
    ).encode()


def _wrong_root(root: etree._Element) -> str:
    name = etree.QName(root)
    if name.localname != "SIF_Message":
        return "the root element is not SIF_Message: send a SIF_Message"
    return f"SIF_Message is in another namespace: use {NAMESPACE} (SIF UK 1.x)"


__all__ = [
    "CONTENT_TYPE",
    "LOOKED_AFTER",
    "NAMESPACE",
    "VERSION",
    "Ack",
    "Action",
    "EventObject",
    "Header",
    "Message",
    "build_ack",
    "build_event",
    "build_message",
    "build_register",
    "build_system_control",
    "event_frame",
    "event_objects",
    "local_name",
    "new_header",
    "parse_ack",
    "parse_message",
]
