"""The frames of AMQP 0-9-1 that every message passes through, written and read as bytes; all other frames are pika's.

pika makes several objects and callbacks of each frame. Here one message is a few slices: the constant part of its
properties is encoded once, and what comes is read in place. Nothing here does input or output.

Source:
    AMQP 0-9-1, section 4.2 (frames), class basic; RabbitMQ's errata for the types of header fields.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from struct import error as struct_error
from types import MappingProxyType
from typing import Final

from broker.protocol.envelope import CONTENT_TYPE
from broker.transports.contract import NO_HEADERS, HeaderValue, Incoming, Outgoing

FRAME_MAX: Final = 131_072
"""Bytes of the largest frame, RabbitMQ's default and pika's highest."""
_OVERHEAD: Final = 8  # type, channel, size; end octet
_BODY_MAX: Final = FRAME_MAX - _OVERHEAD
_HEADER_MAX: Final = FRAME_MAX - _OVERHEAD - 1024  # properties are one frame; a message id and the rest fit in 1024
_CACHED_HEADERS: Final = 1024  # entries, and bytes of the largest incoming table that is kept

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END: Final = 0xCE
_END_OCTET: Final = b"\xce"
_BASIC: Final = 60
_PUBLISH, _DELIVER, _ACK, _REJECT, _NACK = ((_BASIC << 16) | n for n in (40, 60, 80, 90, 120))

_frame: Final = Struct(">BHI")  # type, channel, size
_method: Final = Struct(">BHII")  # the same and class and method
_content: Final = Struct(">HHQ")  # class, weight, size of the body
_properties: Final = Struct(">BHIHHQ")  # type, channel, size, class, weight, size of the body
_delivery: Final = Struct(">QB")  # tag, redelivered or multiple
_size: Final = Struct(">I")
_flags: Final = Struct(">H")
_integer: Final = Struct(">q")

_CONTENT_TYPE, _ENCODING, _HEADERS, _MODE, _PRIORITY, _CORRELATION, _REPLY_TO, _EXPIRATION = (
    1 << n for n in range(15, 7, -1)
)
_MESSAGE_ID, _TIMESTAMP, _TYPE, _USER_ID = (1 << n for n in range(7, 3, -1))
_BEFORE_HEADERS: Final = (_CONTENT_TYPE, _ENCODING)
_OCTETS: Final = (_MODE, _PRIORITY)
_BEFORE_MESSAGE_ID: Final = (_CORRELATION, _REPLY_TO, _EXPIRATION)

_KEPT: Final[Mapping[int, Struct]] = {
    ord(letter): Struct(form)
    for letter, form in (
        ("t", ">?"), ("b", ">b"), ("B", ">B"), ("s", ">h"), ("u", ">H"), ("I", ">i"), ("i", ">I"), ("l", ">q"),
    )
}  # fmt: skip
_PASSED_OVER: Final[Mapping[int, int]] = {ord("f"): 4, ord("d"): 8, ord("D"): 5, ord("T"): 8, ord("V"): 0}
_WITH_LENGTH: Final = frozenset(b"SxAF")
_TEXT: Final = ord("S")


def publish_frames(channel: int, message: Outgoing) -> list[bytes]:
    """Return the frames of basic.publish with *message*: persistent, mandatory; to be joined in this order.

    Raises:
        ValueError: A name is longer than 255 bytes, a header is too large or of another kind than the contract's.
    """
    before, after, flags = _constant_properties(
        tuple(message.headers.items()),
        tuple(map(type, message.headers.values())),  # 1 and True are equal, but not on the wire
        message.bcc,
        message.type,
        message.user_id,
    )
    try:
        exchange, key = message.exchange.encode(), message.routing_key.encode()
        message_id, body = message.message_id.encode(), message.body
        start = b"%b%c%b%c%b\x01\xce%b%b%b%c%b%b\xce" % (
            _method.pack(_METHOD, channel, 9 + len(exchange) + len(key), _PUBLISH) + b"\0\0",
            len(exchange),
            exchange,
            len(key),
            key,
            _properties.pack(_HEADER, channel, 15 + len(before) + len(message_id) + len(after), _BASIC, 0, len(body)),
            flags,
            before,
            len(message_id),
            message_id,
            after,
        )
    except OverflowError as error:
        raise ValueError("exchange, routing key and message id have at most 255 bytes each") from error
    if len(body) <= _BODY_MAX:
        return [start + _frame.pack(_BODY, channel, len(body)), body, _END_OCTET] if body else [start]
    frames = [start]
    for at in range(0, len(body), _BODY_MAX):
        piece = body[at : at + _BODY_MAX]
        frames += _frame.pack(_BODY, channel, len(piece)), piece, _END_OCTET
    return frames


def ack_frame(channel: int, tag: int) -> bytes:
    """Return basic.ack of everything up to and including *tag*."""
    return _method.pack(_METHOD, channel, 13, _ACK) + _delivery.pack(tag, 1) + _END_OCTET


def ack_one_frame(channel: int, tag: int) -> bytes:
    """Return basic.ack of *tag* alone."""
    return _method.pack(_METHOD, channel, 13, _ACK) + _delivery.pack(tag, 0) + _END_OCTET


def reject_frame(channel: int, tag: int) -> bytes:
    """Return basic.reject of *tag* alone, without requeue."""
    return _method.pack(_METHOD, channel, 13, _REJECT) + _delivery.pack(tag, 0) + _END_OCTET


class Reader:
    """Cuts what a socket gave into frames; those of messages and confirms it understands by itself.

    Attributes:
        received: Whole messages in the order of arrival; the owner takes them away.
    """

    def __init__(
        self,
        channel: int,
        first_tag: int,
        on_confirm: Callable[[int, bool, bool], None],
        on_other: Callable[[bytes], None],
    ) -> None:
        """Make a reader for one connection.

        Args:
            channel: The one that carries messages.
            first_tag: Added to the peer's delivery tags.
            on_confirm: Called with delivery tag, whether all before it are meant, and whether it was taken.
            on_other: Called with each other frame, whole.
        """
        self.received: list[Incoming] = []
        self._channel, self._first_tag = channel, first_tag
        self._on_confirm, self._on_other = on_confirm, on_other
        self._queues: dict[bytes, str] = {}
        self._rest = b""
        self._incoming: Incoming | None = None
        self._missing = 0
        self._pieces: list[bytes] = []

    def expect(self, consumer_tag: str, queue: str) -> None:
        """Note that deliveries with *consumer_tag* come from *queue*."""
        self._queues[consumer_tag.encode()] = queue

    def feed(self, data: bytes) -> None:
        """Read *data*, which follows what was fed before.

        Raises:
            ValueError: These are no frames of AMQP 0-9-1.
        """
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= _OVERHEAD:
            kind, channel, size = _frame.unpack_from(data, at)
            payload = at + 7
            stop = payload + size
            if kind > _HEARTBEAT or size > FRAME_MAX:
                raise ValueError("the peer sent something that is no frame of AMQP 0-9-1")
            if stop >= end:
                break
            if data[stop] != _END:
                raise ValueError("the peer sent a frame of AMQP 0-9-1 without its end")
            if channel != self._channel or not self._take(kind, data, payload, stop):
                self._on_other(data[at : stop + 1])
            at = stop + 1
        self._rest = data[at:]

    def _take(self, kind: int, data: bytes, payload: int, stop: int) -> bool:
        """Tell whether the frame was one of a delivery or a confirm, and keep it when it was."""
        if kind == _BODY and self._incoming is not None:
            self._take_body(data[payload:stop])
            return True
        if kind == _HEADER and self._incoming is not None:
            self._take_header(data[payload:stop])
            return True
        if kind == _METHOD:
            method = _size.unpack_from(data, payload)[0]
            if method == _DELIVER:
                self._take_delivery(data, payload + 4)
                return True
            if method in (_ACK, _NACK):
                tag, bits = _delivery.unpack_from(data, payload + 4)
                self._on_confirm(tag, bool(bits & 1), method == _ACK)
                return True
        return False

    def _take_delivery(self, data: bytes, at: int) -> None:
        end = at + 1 + data[at]
        queue = self._queues[data[at + 1 : end]]
        tag, redelivered = _delivery.unpack_from(data, end)
        at = end + 9
        at += 1 + data[at]  # the exchange
        key = str(data[at + 1 : at + 1 + data[at]], "utf-8", "replace")
        self._incoming = Incoming(queue, b"", "", "", "", key, bool(redelivered & 1), self._first_tag + tag)

    def _take_header(self, frame: bytes) -> None:
        incoming = self._incoming
        assert incoming is not None  # noqa: S101  # for mypy: the caller looked
        self._missing = _content.unpack_from(frame)[2]
        try:
            _read_properties(frame, incoming)
        except (struct_error, IndexError, ValueError):
            incoming.headers = NO_HEADERS  # a hostile sender's; what reads as empty is refused for being empty
        if not self._missing:
            self._finish(incoming, b"")

    def _take_body(self, piece: bytes) -> None:
        incoming = self._incoming
        assert incoming is not None  # noqa: S101  # for mypy: the caller looked
        self._missing -= len(piece)
        if self._missing > 0:
            self._pieces.append(piece)
        elif self._pieces:
            body = b"".join((*self._pieces, piece))
            self._pieces.clear()
            self._finish(incoming, body)
        else:
            self._finish(incoming, piece)

    def _finish(self, incoming: Incoming, body: bytes) -> None:
        incoming.body = body
        self.received.append(incoming)
        self._incoming = None


@lru_cache(maxsize=_CACHED_HEADERS)
def _constant_properties(
    headers: tuple[tuple[str, HeaderValue], ...],
    _types: tuple[type, ...],
    bcc: tuple[str, ...],
    kind: str,
    user_id: str,
) -> tuple[bytes, bytes, bytes]:
    """Return what stands before and behind the message id, and the flags, for all messages that share the rest."""
    fields = [_field(name, value) for name, value in headers]
    if bcc:
        keys = b"".join(b"S" + _long(key) for key in bcc)
        fields.append(_short("BCC") + b"A" + _size.pack(len(keys)) + keys)
    table = b"".join(fields)
    if len(table) > _HEADER_MAX:
        raise ValueError(f"headers and BCC take {len(table):,} bytes, more than one frame: publish to fewer at a time")
    flags = _CONTENT_TYPE | _HEADERS | _MODE | _MESSAGE_ID
    before = _short(CONTENT_TYPE) + _size.pack(len(table)) + table + b"\x02"
    after = b""
    if kind:
        flags, after = flags | _TYPE, _short(kind)
    if user_id:
        flags, after = flags | _USER_ID, after + _short(user_id)
    return before, after, _flags.pack(flags)


def _field(name: str, value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return _short(name) + (b"t\x01" if value else b"t\x00")
    if isinstance(value, int):
        try:
            return _short(name) + b"l" + _integer.pack(value)
        except struct_error as error:
            raise ValueError(f"header {name!r} is a number of more than 64 bits") from error
    return _short(name) + b"S" + _long(value)


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError("a short string of AMQP has at most 255 bytes")
    return bytes((len(encoded),)) + encoded


def _long(text: str) -> bytes:
    encoded = text.encode()
    return _size.pack(len(encoded)) + encoded


def _read_properties(frame: bytes, incoming: Incoming) -> None:
    flags = _flags.unpack_from(frame, 12)[0]
    at = _read_until_message_id(frame, flags, incoming)
    if flags & _MESSAGE_ID:
        end = at + 1 + frame[at]
        incoming.message_id = str(frame[at + 1 : end], "utf-8", "replace")
        at = end
    if flags & _TIMESTAMP:
        at += 8
    if flags & _TYPE:
        end = at + 1 + frame[at]
        incoming.type = str(frame[at + 1 : end], "utf-8", "replace")
        at = end
    if flags & _USER_ID:
        incoming.user_id = str(frame[at + 1 : at + 1 + frame[at]], "utf-8", "replace")


def _read_until_message_id(frame: bytes, flags: int, incoming: Incoming) -> int:
    """Read the headers and return where the message id, or what follows it, begins."""
    at = 14
    for flag in _BEFORE_HEADERS:
        if flags & flag:
            at += 1 + frame[at]
    if flags & _HEADERS:
        end = at + 4 + _size.unpack_from(frame, at)[0]
        table = frame[at + 4 : end]
        incoming.headers = _read_headers(table) if len(table) <= _CACHED_HEADERS else _headers(table)
        at = end
    for flag in _OCTETS:
        if flags & flag:
            at += 1
    for flag in _BEFORE_MESSAGE_ID:
        if flags & flag:
            at += 1 + frame[at]
    return at


def _headers(table: bytes) -> Mapping[str, HeaderValue]:
    """Return the fields of *table* that are text, numbers or truth values; other kinds are passed over."""
    found: dict[str, HeaderValue] = {}
    at, end = 0, len(table)
    while at < end:
        start = at + 1 + table[at]
        name, kind = str(table[at + 1 : start], "utf-8", "replace"), table[start]
        at = start + 1
        if kind in _WITH_LENGTH:
            length = _size.unpack_from(table, at)[0]
            at += 4
            if kind == _TEXT:
                found[name] = str(table[at : at + length], "utf-8", "replace")
            at += length
        elif kind in _KEPT:
            found[name] = _KEPT[kind].unpack_from(table, at)[0]
            at += _KEPT[kind].size
        elif kind in _PASSED_OVER:
            at += _PASSED_OVER[kind]
        else:
            raise ValueError("a header field of a kind that AMQP 0-9-1 does not have")
    return MappingProxyType(found)


_read_headers: Final = lru_cache(maxsize=_CACHED_HEADERS)(_headers)
