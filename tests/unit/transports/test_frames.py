"""Frames as bytes: what we write pika reads, what pika writes we read, however the socket cuts it."""

from datetime import UTC, datetime
from decimal import Decimal

import pika
import pika.frame
import pika.spec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.transports.contract import HeaderValue, Incoming, Outgoing
from broker.transports.frames import FRAME_MAX, Reader, ack_frame, publish_frames, reject_frame

CHANNEL = 1
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
header_values = st.one_of(names, st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1))
outgoing = st.builds(
    Outgoing,
    names,
    names,
    st.binary(max_size=300),
    names,
    names,
    st.dictionaries(names, header_values, max_size=5),
    st.lists(names, max_size=4).map(tuple),
    names,
)


def decoded(data: bytes) -> list[pika.frame.Frame]:
    """Return the frames that pika finds in *data*."""
    frames = []
    while data:
        length, frame = pika.frame.decode_frame(data)
        assert length, "pika finds no whole frame"
        frames.append(frame)
        data = data[length:]
    return frames


def delivery(
    body: bytes, properties: pika.BasicProperties, tag: int = 1, key: str = "key", consumer: str = "0"
) -> bytes:
    """Return basic.deliver as RabbitMQ sends it."""
    frames = [
        pika.frame.Method(CHANNEL, pika.spec.Basic.Deliver(consumer, tag, True, "sif.delivery", key)),
        pika.frame.Header(CHANNEL, len(body), properties),
        *(pika.frame.Body(CHANNEL, body[at : at + 100]) for at in range(0, len(body), 100)),
    ]
    return b"".join(frame.marshal() for frame in frames)


class Heard:
    """A reader and what it told."""

    def __init__(self) -> None:
        self.confirms: list[tuple[int, bool, bool]] = []
        self.others: list[bytes] = []
        self.reader = Reader(CHANNEL, 1000, lambda *confirm: self.confirms.append(confirm), self.others.append)
        self.reader.expect("0", "agent.anna")


@given(outgoing)
def test_pika_reads_what_we_publish(message: Outgoing) -> None:
    method, header, *pieces = decoded(b"".join(publish_frames(CHANNEL, message)))

    assert isinstance(method.method, pika.spec.Basic.Publish)
    assert (method.method.exchange, method.method.routing_key) == (message.exchange, message.routing_key)
    assert method.method.mandatory
    assert not method.method.immediate
    properties = header.properties
    bcc = {"BCC": list(message.bcc)} if message.bcc else {}
    assert properties.headers == {**message.headers, **bcc}
    assert [isinstance(properties.headers[name], bool) for name in message.headers] == [
        isinstance(value, bool) for value in message.headers.values()
    ]
    assert (properties.content_type, properties.delivery_mode) == ("application/xml", 2)
    assert properties.message_id == message.message_id
    assert (properties.type or "", properties.user_id or "") == (message.type, message.user_id)
    assert header.body_size == len(message.body)
    assert b"".join(piece.fragment for piece in pieces) == message.body


@pytest.mark.parametrize("size", [FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7, 3 * FRAME_MAX])
def test_a_body_larger_than_a_frame_is_split(size: int) -> None:
    data = b"".join(publish_frames(CHANNEL, Outgoing("x", "y", b"z" * size, "M")))
    pieces = decoded(data)[2:]

    assert sum(len(piece.fragment) for piece in pieces) == size
    assert max(len(piece.fragment) for piece in pieces) <= FRAME_MAX - 8


def test_truth_and_one_stay_apart_in_headers() -> None:
    headers: list[dict[str, HeaderValue]] = [{"x": 1}, {"x": True}, {"x": 0}, {"x": False}]
    frames = [decoded(b"".join(publish_frames(CHANNEL, Outgoing("", "", b"", "M", headers=h))))[1] for h in headers]

    values = [frame.properties.headers["x"] for frame in frames]
    assert values == [1, True, 0, False]
    assert [isinstance(value, bool) for value in values] == [False, True, False, True]


@pytest.mark.parametrize(
    "message",
    [
        Outgoing("x" * 256, "", b"", ""),
        Outgoing("", "x" * 256, b"", ""),
        Outgoing("", "", b"", "x" * 256),
        Outgoing("", "", b"", "", type="x" * 256),
        Outgoing("", "", b"", "", user_id="x" * 256),
        Outgoing("", "", b"", "", headers={"x" * 256: 1}),
        Outgoing("", "", b"", "", headers={"x": 1 << 63}),
        Outgoing("", "", b"", "", headers={"x": "y" * FRAME_MAX}),
        Outgoing("", "", b"", "", headers={"x": "\ud800"}),
    ],
    ids=["exchange", "key", "id", "type", "user", "header name", "number", "too much", "half a character"],
)
def test_what_the_wire_cannot_carry_is_refused(message: Outgoing) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # which one depends on where it does not fit
        publish_frames(CHANNEL, message)


def test_acknowledging_and_rejecting_are_read_by_pika() -> None:
    ack, reject = decoded(ack_frame(CHANNEL, 7) + reject_frame(CHANNEL, 8))

    assert (ack.method.delivery_tag, ack.method.multiple) == (7, True)
    assert (reject.method.delivery_tag, reject.method.requeue) == (8, False)


@given(
    st.lists(st.tuples(outgoing, st.booleans()), max_size=4),
    st.lists(st.integers(1, 200), min_size=1, max_size=20),
)
def test_deliveries_and_confirms_are_read_however_the_bytes_are_cut(
    messages: list[tuple[Outgoing, bool]], cuts: list[int]
) -> None:
    heartbeat = pika.frame.Heartbeat().marshal()
    data = b""
    for tag, (message, rich) in enumerate(messages, start=1):
        properties = pika.BasicProperties(
            "application/xml",
            headers=dict(message.headers),
            message_id=message.message_id,
            type=message.type or None,
            user_id=message.user_id or None,
        )
        if rich:
            properties.content_encoding, properties.delivery_mode, properties.priority = "utf-8", 2, 3
            properties.correlation_id, properties.reply_to, properties.expiration = "c", "r", "9"
            properties.timestamp, properties.app_id = 1, "a"
        data += delivery(message.body, properties, tag, message.routing_key)
        data += heartbeat + pika.frame.Method(CHANNEL, pika.spec.Basic.Ack(tag, rich)).marshal()
        data += pika.frame.Method(CHANNEL, pika.spec.Basic.Nack(tag, not rich)).marshal()
    heard = Heard()
    at, turn = 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        heard.reader.feed(data[at : at + step])
        at, turn = at + step, turn + 1

    assert heard.reader.received == [
        Incoming(
            "agent.anna",
            message.body,
            message.message_id,
            message.type,
            message.user_id,
            message.routing_key,
            True,
            1000 + tag,
            message.headers,
        )
        for tag, (message, _) in enumerate(messages, start=1)
    ]
    expected = []
    for tag, (_, rich) in enumerate(messages, start=1):
        expected += [(tag, rich, True), (tag, not rich, False)]
    assert heard.confirms == expected
    assert heard.others == [heartbeat] * len(messages)


def test_frames_of_other_methods_and_channels_are_passed_on_whole() -> None:
    frames = [
        pika.frame.Method(CHANNEL, pika.spec.Basic.Return(312, "NO_ROUTE", "x", "y")).marshal(),
        pika.frame.Header(CHANNEL, 3, pika.BasicProperties(message_id="M")).marshal(),
        pika.frame.Body(CHANNEL, b"abc").marshal(),
        pika.frame.Method(2, pika.spec.Basic.Ack(1)).marshal(),
        pika.frame.Method(0, pika.spec.Connection.Blocked("memory")).marshal(),
    ]
    heard = Heard()
    heard.reader.feed(b"".join(frames))

    assert heard.others == frames
    assert heard.reader.received == []
    assert heard.confirms == []


def test_header_fields_of_other_kinds_are_passed_over() -> None:
    headers = {
        "x-death": [{"queue": "agent.anna", "count": 3}],
        "table": {"a": 1},
        "bytes": b"\x00\xff",
        "nothing": None,
        "decimal": Decimal("1.5"),
        "time": datetime(2026, 9, 1, tzinfo=UTC),
        "x-first-death-queue": "agent.anna",
    }
    heard = Heard()
    heard.reader.feed(delivery(b"", pika.BasicProperties(headers=headers, message_id="M", type="T")))

    assert heard.reader.received[0].headers == {"x-first-death-queue": "agent.anna"}
    assert (heard.reader.received[0].message_id, heard.reader.received[0].type) == ("M", "T")


@given(st.binary(max_size=60), st.integers(0, 0xFFFF))
def test_hostile_properties_harm_only_their_own_message(garbage: bytes, flags: int) -> None:
    payload = b"\x00\x3c\x00\x00" + (3).to_bytes(8) + flags.to_bytes(2) + garbage
    header = b"\x02\x00\x01" + len(payload).to_bytes(4) + payload + b"\xce"
    start = pika.frame.Method(CHANNEL, pika.spec.Basic.Deliver("0", 1, False, "", "key")).marshal()
    good = delivery(b"good", pika.BasicProperties(message_id="M2"), 2)
    heard = Heard()
    heard.reader.feed(start + header + pika.frame.Body(CHANNEL, b"bad").marshal() + good)

    assert [message.body for message in heard.reader.received] == [b"bad", b"good"]
    assert heard.reader.received[1].message_id == "M2"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"AMQP\x00\x00\x09\x01",
        b"\x01\x00\x01\x00\x00\x00\x04abcdX",
        b"\x01\0\0\xff\xff\xff\xff0",
    ],
    ids=["http", "other version", "no end", "endless"],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="AMQP"):
        Heard().reader.feed(data)
