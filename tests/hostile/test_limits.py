"""Where the limits of a document lie: what just fits is read, and one more is refused with the limit and the line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.documents import objects_in
from broker.protocol.documents import (
    MAX_ATTRIBUTES,
    MAX_MARKS,
    MAX_MESSAGE_BYTES,
    MAX_NAMESPACES,
    Meter,
    parse_document,
)
from broker.protocol.errors import NotWellFormed


def elements(count: int) -> bytes:
    return b"<a>" + b"<b/>" * (count - 2) + b"</a>"


def namespaces(count: int) -> bytes:
    return b"<a>" + b"".join(b'<b xmlns="u%d"/>' % number for number in range(count)) + b"</a>"


def attributes(count: int) -> bytes:
    return b"<a>\n<b" + b"".join(b" a%d=''" % number for number in range(count)) + b"/></a>"


@pytest.mark.parametrize(
    ("make", "limit", "says"),
    [
        (elements, MAX_MARKS, "more than 180,000 tags and attributes"),
        (namespaces, MAX_NAMESPACES, "more than 10,000 namespaces"),
        (attributes, MAX_ATTRIBUTES, "^line 2: a tag has more than 256 attributes"),
    ],
    ids=["tags", "namespaces", "attributes"],
)
def test_what_just_fits_is_read_and_one_more_is_refused(make: Callable[[int], bytes], limit: int, says: str) -> None:
    assert len(parse_document(make(limit))) > 0

    with pytest.raises(NotWellFormed, match=says):
        parse_document(make(limit + 1))


@pytest.mark.parametrize(
    "body",
    [
        b"<a>" + b"x = 'y' " * 5_000 + b"</a>",
        b"<a>" + b"<b c='='>=</b>" * 5_000 + b"</a>",
        b"<a><!--" + b" b='c'" * 5_000 + b"--></a>",
        b"<a b='" + b"=" * 100_000 + b"'/>",
    ],
    ids=["text", "many tags", "comment", "attribute"],
)
def test_equals_signs_that_are_no_attributes_of_one_tag_are_left_alone(body: bytes) -> None:
    assert parse_document(body).tag == "a"


def read(path: Path, content: bytes) -> Iterator[str]:
    path.write_bytes(content)
    return (found.element.tag for found in objects_in(path, lambda _: False, lambda _: None))


def test_a_file_of_more_than_any_limit_is_read_while_each_object_keeps_to_them(tmp_path: Path) -> None:
    one = b"<o>" + b"<b c='' xmlns:d='u'/>" * 500 + b"x" * 20_000 + b"</o>"

    assert sum(1 for _ in read(tmp_path / "x.xml", b"<all>" + one * 400 + b"</all>")) == 400


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (b"<b/>" * (MAX_MARKS + 20_000), "an object has more than 180,000 tags and attributes"),
        (b"<b xmlns:c='u'/>" * (MAX_NAMESPACES + 9_000), "an object declares more than 10,000 namespaces"),
        (attributes(MAX_ATTRIBUTES + 1), "a tag has more than 256 attributes"),
        (b"<b>" + b"x" * 100_000 + b"</b>", "8,388,608 bytes"),
    ],
    ids=["tags", "namespaces", "attributes", "bytes"],
)
def test_an_object_of_a_file_is_bound_as_a_message_is(inside: bytes, says: str, tmp_path: Path) -> None:
    small = b"<o>" + b"x" * 1_000 + b"</o>"
    large = b"<o>" + inside * (100 if says.startswith("8") else 1) + b"</o>"
    found = read(tmp_path / "x.xml", b"<all>" + small * 300 + large + b"</all>")

    with pytest.raises(NotWellFormed, match=says):
        list(found)


@pytest.mark.parametrize("name", ["attributes", "namespaces"])
def test_an_element_around_objects_stays_small(name: str, tmp_path: Path) -> None:
    form = {"attributes": b" a%d=''", "namespaces": b" xmlns:a%d='u'"}[name]
    many = b"".join(form % number for number in range(MAX_ATTRIBUTES + 1))

    with pytest.raises(NotWellFormed, match=name):
        list(read(tmp_path / "x.xml", b"<all" + many + b"><o/></all>"))


def test_a_meter_begins_again_with_the_piece_in_which_something_was_freed() -> None:
    meter = Meter("an object")
    half = b"x" * (MAX_MESSAGE_BYTES // 2)
    for _ in range(10):
        meter.count(half)
        meter.freed()
    meter.count(half)

    with pytest.raises(NotWellFormed, match="an object has more than"):
        meter.count(b"x")
