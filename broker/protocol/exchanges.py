"""SIF_Request, SIF_Response and SIF_Provide: built and read, and an answer cut into packets; who may ask is requests'.

An answer may be larger than memory: nothing here holds more of it than the packet that is being filled.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from broker.protocol.envelope import NAMESPACE, VERSION, Header, Message, build_message
from broker.protocol.errors import NotValid
from broker.protocol.identifiers import MsgId, is_guid
from broker.protocol.query import Query, build_query

SMALLEST_BUFFER: Final = 4096
"""Bytes; nobody answers within less.

Source:
    Our own rule; agents in use have the same.
"""
USUAL_BUFFER: Final = 1024 * 1024
"""Bytes of the largest packet that is asked for, when nothing speaks for another size."""
USUAL_PACKET: Final = 256 * 1024
"""Bytes of a packet of more than one object: so few that a receiver can have hundreds of them on the way."""

_NS: Final = f"{{{NAMESPACE}}}"
_DIGITS: Final = 10
_DESCRIPTION: Final = 1024


class AnswerError(NamedTuple):
    """A SIF_Error in the place of objects; *text* says what is wrong and what to do, and repeats no value."""

    category: int
    code: int
    text: str


class Packet(NamedTuple):
    """One packet of an answer.

    Attributes:
        number: From 1, without gaps.
        more: Whether another follows.
        content: Serialised objects, perhaps none; or the error that ends the answer.
    """

    number: int
    more: bool
    content: bytes | AnswerError


@dataclass(frozen=True, slots=True)
class Response:
    """What a SIF_Response says.

    Attributes:
        elements: Its objects in document order; empty too where it holds an error or rows.
        error: The error in it; None where it holds none.
    """

    request_id: MsgId
    packet: int
    more: bool
    elements: tuple[etree._Element, ...]
    error: AnswerError | None


def build_request(
    header: Header,
    query: Query,
    versions: tuple[str, ...] = ("2.*",),
    max_buffer: int = USUAL_BUFFER,
    version: str = VERSION,
) -> bytes:
    """Return a SIF_Request.

    Args:
        header: With whom to ask as its destination; without one, whoever provides the object is asked.
        versions: Which versions the answer may be in; items may have wildcards.
        max_buffer: Bytes of the largest packet that is taken.
    """
    items = "".join(f"<SIF_Version>{escape(item)}</SIF_Version>" for item in versions)
    limits = f"{items}<SIF_MaxBufferSize>{max_buffer}</SIF_MaxBufferSize>"
    return build_message("SIF_Request", header, limits.encode() + build_query(query), version)


def build_response(
    header: Header, request_id: MsgId, packet: int, more: bool, objects: bytes | AnswerError, version: str = VERSION
) -> bytes:
    """Return a SIF_Response with serialised *objects*, or with the error that ends the answer."""
    if isinstance(objects, AnswerError):
        payload = (
            f"<SIF_Error><SIF_Category>{objects.category}</SIF_Category><SIF_Code>{objects.code}</SIF_Code>"
            f"<SIF_Desc>{escape(objects.text[:_DESCRIPTION])}</SIF_Desc></SIF_Error>"
        ).encode()
    else:
        payload = b"<SIF_ObjectData>%b</SIF_ObjectData>" % objects
    head = (
        f"<SIF_RequestMsgId>{request_id}</SIF_RequestMsgId><SIF_PacketNumber>{packet}</SIF_PacketNumber>"
        f"<SIF_MorePackets>{'Yes' if more else 'No'}</SIF_MorePackets>"
    ).encode()
    return build_message("SIF_Response", header, head + payload, version)


def build_provide(header: Header, object_types: Iterable[str]) -> bytes:
    """Return a SIF_Provide: from now on the sender answers for *object_types*, in the default context."""
    objects = "".join(f"<SIF_Object ObjectName={quoteattr(name)}/>" for name in object_types)
    return build_message("SIF_Provide", header, objects.encode())


def request_limits(message: Message) -> tuple[tuple[str, ...], int]:
    """Return the SIF_Version items of a SIF_Request, in order, and its SIF_MaxBufferSize in bytes.

    Raises:
        NotValid: One of them is missing, or no number.
    """
    payload = message.payload
    versions = tuple((item.text or "").strip() for item in payload.iterfind(_NS + "SIF_Version"))
    if not versions or "" in versions:
        raise NotValid("SIF_Request has no SIF_Version: name the versions that the answer may be in, e.g. 2.*")
    return versions, _number(payload, "SIF_MaxBufferSize")


def parse_response(message: Message) -> Response:
    """Return what a SIF_Response says.

    Raises:
        NotValid: It is not as the schema has it; names the element.
    """
    payload = message.payload
    request_id = (payload.findtext(_NS + "SIF_RequestMsgId") or "").strip()
    if not is_guid(request_id):
        raise NotValid("SIF_Response/SIF_RequestMsgId must be 32 upper-case hexadecimal digits")
    more = (payload.findtext(_NS + "SIF_MorePackets") or "").strip()
    if more not in ("Yes", "No"):
        raise NotValid("SIF_Response/SIF_MorePackets must be Yes or No")
    data, error = payload.find(_NS + "SIF_ObjectData"), payload.find(_NS + "SIF_Error")
    found = None
    if error is not None:
        text = error.findtext(_NS + "SIF_Desc") or ""
        found = AnswerError(_number(error, "SIF_Category"), _number(error, "SIF_Code"), text)
    elements = () if data is None or error is not None else tuple(data)
    return Response(MsgId(request_id), _number(payload, "SIF_PacketNumber"), more == "Yes", elements, found)


def packets(
    objects: Iterable[bytes], max_bytes: int, overhead: Callable[[int], int], usual_bytes: int = USUAL_PACKET
) -> Iterator[Packet]:
    """Cut a stream of serialised objects into packets; what one holds is given away before the next is begun.

    Args:
        objects: Drawn one by one; a packet is closed when the object that follows it is known not to fit.
        max_bytes: SIF_MaxBufferSize: most bytes of the whole SIF_Message.
        overhead: From a packet's number to the bytes around its objects, with ``Yes`` for SIF_MorePackets.
        usual_bytes: A packet grows no further than this, unless a single object is larger.

    Returns:
        Whole objects, all and in their order, none of them in two packets; one empty packet where there are none. An
        object that fits into no packet ends the answer with an error, after all those before it.

    Source:
        SIF Infrastructure 2.x, SIF_Response; code 8/8. The usual size is our own rule.
    """
    held: list[bytes] = []
    number, size, room = 1, 0, max_bytes - overhead(1)
    for one in objects:
        usual = min(room, usual_bytes + room - max_bytes)
        if held and size + len(one) > usual:
            yield Packet(number, True, b"".join(held))
            number, held, size = number + 1, [], 0
            room = max_bytes - overhead(number)
        if len(one) > room:
            if held:
                yield Packet(number, True, b"".join(held))
                number += 1
            text = f"an object of the answer has {len(one):,} bytes, more than fit: ask with a larger SIF_MaxBufferSize"
            yield Packet(number, False, AnswerError(8, 8, text))
            return
        held.append(one)
        size += len(one)
    yield Packet(number, False, b"".join(held))


def _number(parent: etree._Element, name: str) -> int:
    text = (parent.findtext(_NS + name) or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        raise NotValid(f"{name} must be a number")
    return int(text)


__all__ = [
    "SMALLEST_BUFFER",
    "USUAL_BUFFER",
    "USUAL_PACKET",
    "AnswerError",
    "Packet",
    "Response",
    "build_provide",
    "build_request",
    "build_response",
    "packets",
    "parse_response",
    "request_limits",
]
