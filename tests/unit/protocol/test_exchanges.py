"""SIF_Request, SIF_Response and SIF_Provide as they are written, and answers cut into packets."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from broker.protocol.envelope import NAMESPACE, Message, new_header, parse_message
from broker.protocol.errors import NotValid
from broker.protocol.exchanges import (
    AnswerError,
    Packet,
    build_provide,
    build_request,
    build_response,
    packets,
    parse_response,
    request_limits,
)
from broker.protocol.identifiers import AgentId, MsgId
from broker.protocol.query import Query, parse_query, parse_where

REQUEST_ID = MsgId("5D" * 16)
HEADER = new_header(AgentId("mis-1"))._replace(destination_id=AgentId("platform"))


def overhead(number: int) -> int:
    return len(build_response(HEADER, REQUEST_ID, number, True, b""))


def cut(objects: list[bytes], max_bytes: int, usual_bytes: int | None = None) -> list[Packet]:
    return list(packets(objects, max_bytes, overhead, usual_bytes or max_bytes))


def response(packet: Packet) -> bytes:
    return build_response(HEADER, REQUEST_ID, packet.number, packet.more, packet.content)


def content(packet: Packet) -> bytes:
    assert isinstance(packet.content, bytes)
    return packet.content


def check(body: bytes) -> Message:
    """Return the message in *body*, which is as the schema of SIF messages has it."""
    message = parse_message(body)
    root = message.payload.getparent()
    assert root is not None
    assert schemas.check_message(root) == ()
    return message


sizes = st.lists(st.integers(min_value=3, max_value=3000), max_size=60)
limits = st.integers(min_value=4096, max_value=9000)


@given(sizes, limits, st.integers(min_value=4096, max_value=9000))
def test_no_packet_is_larger_than_the_buffer_and_no_object_is_lost_split_or_moved(
    lengths: list[int], limit: int, usual: int
) -> None:
    objects = [b"<%c%b>" % (ord("a") + number % 26, b"x" * (length - 3)) for number, length in enumerate(lengths)]

    found = cut(objects, limit, usual)

    assert [packet.number for packet in found] == list(range(1, len(found) + 1))
    assert [packet.more for packet in found] == [True] * (len(found) - 1) + [False]
    assert all(len(response(packet)) <= limit for packet in found)
    assert b"".join(map(content, found)) == b"".join(objects)
    assert all(content(packet).startswith(b"<") and content(packet).endswith(b">") for packet in found if objects)


@given(sizes, limits)
def test_a_packet_is_closed_only_because_the_next_object_does_not_fit(lengths: list[int], limit: int) -> None:
    objects = [b"x" * length for length in lengths]

    found = cut(objects, limit)

    left = iter(objects)
    taken = 0
    for packet in found[:-1]:
        length = len(content(packet))
        while length:
            length -= len(next(left))
            taken += 1
        assert len(content(packet)) + len(objects[taken]) + overhead(packet.number) > limit


def test_an_answer_without_objects_is_one_empty_packet() -> None:
    assert cut([], 4096) == [Packet(1, False, b"")]


def test_an_object_that_fits_into_no_packet_ends_the_answer_after_those_before_it() -> None:
    found = cut([b"a" * 10, b"b" * 5000, b"c" * 10], 4096)

    assert found[0] == Packet(1, True, b"a" * 10)
    assert found[1].number == 2
    assert not found[1].more
    assert isinstance(found[1].content, AnswerError)
    assert found[1].content[:2] == (8, 8)
    assert len(found) == 2


def test_an_object_larger_than_usual_has_a_packet_of_its_own() -> None:
    found = cut([b"a" * 10, b"b" * 5000, b"c" * 10], 9000, 4096)

    assert [content(packet) for packet in found] == [b"a" * 10, b"b" * 5000, b"c" * 10]


def test_no_more_is_drawn_than_one_object_beyond_the_packet_and_no_more_is_held() -> None:
    drawn = 0

    def objects() -> Iterator[bytes]:
        nonlocal drawn
        for _ in range(20_000):
            drawn += 1
            yield bytes(1000)

    tracemalloc.start()
    try:
        for packet in packets(objects(), 64_000, overhead):
            assert drawn <= packet.number * 63 + 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert drawn == 20_000
    assert peak < 1024 * 1024


def test_a_request_is_valid_and_says_what_was_asked() -> None:
    query = parse_where("LearnerPersonal", ["LocalId = 000412"], ["PersonalInformation/Name"])
    message = check(build_request(HEADER, query, ("2.*", "2.0r1"), 65_536))

    assert request_limits(message) == (("2.*", "2.0r1"), 65_536)
    assert parse_query(message.payload) == query
    assert message.header.destination_id == "platform"


@pytest.mark.parametrize(
    "content",
    [b"", f'<SchoolGroup RefId="{REQUEST_ID}"/>'.encode(), AnswerError(8, 9, "not <this>")],
    ids=["empty", "objects", "error"],
)
def test_a_response_is_valid_and_read_as_it_was_written(content: bytes | AnswerError) -> None:
    said = parse_response(check(build_response(HEADER, REQUEST_ID, 3, False, content)))

    assert (said.request_id, said.packet, said.more) == (REQUEST_ID, 3, False)
    assert said.error == (content if isinstance(content, AnswerError) else None)
    assert [element.tag for element in said.elements] == (
        [f"{{{NAMESPACE}}}SchoolGroup"] if content and isinstance(content, bytes) else []
    )


def test_what_provides_is_told_to_the_zone_in_one_valid_message() -> None:
    message = check(build_provide(HEADER, ["SchoolGroup", "LearnerPersonal"]))

    assert [child.get("ObjectName") for child in list(message.payload)[1:]] == ["SchoolGroup", "LearnerPersonal"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"<SIF_MorePackets>Yes", b"<SIF_MorePackets>Perhaps"),
        (b"<SIF_PacketNumber>1", b"<SIF_PacketNumber>one"),
        (REQUEST_ID.encode(), b"unknown"),
    ],
)
def test_a_response_that_cannot_be_followed_is_refused(right: bytes, wrong: bytes) -> None:
    body = build_response(HEADER, REQUEST_ID, 1, True, b"").replace(right, wrong)

    with pytest.raises(NotValid, match=r"SIF_|number"):
        parse_response(parse_message(body))


def test_a_request_without_versions_is_refused() -> None:
    message = parse_message(build_request(HEADER, Query("SchoolGroup"), ()))

    with pytest.raises(NotValid, match="SIF_Version"):
        request_limits(message)
