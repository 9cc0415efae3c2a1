"""XML files of any size, read piece by piece in constant memory: the objects in them, one after the other.

A file may be one object, one SIF_Message, or a wrapper of any name around many of either.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from lxml import etree

from broker.protocol.documents import (
    MAX_PROLOG_BYTES,
    PARSING,
    Meter,
    check_around,
    check_element,
    check_start,
    not_well_formed,
    root_begins,
)
from broker.protocol.envelope import NAMESPACE, Action
from broker.protocol.errors import NotWellFormed

_NS: Final = f"{{{NAMESPACE}}}"
_MESSAGE: Final = _NS + "SIF_Message"
_EVENT_OBJECT: Final = _NS + "SIF_EventObject"
_EXAMPLE: Final = _NS + "SIF_Example"
_DATA: Final = frozenset({_NS + "SIF_ObjectData", _EXAMPLE})
_CHUNK: Final = 64 * 1024
_ACTIONS: Final = {action.value: action for action in Action}


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object in a file; *element* is gone once the next is asked for.

    Attributes:
        action: What an event says happened to it; None where no event says.
        version: SIF_Message/@Version of its message; empty where it is in none.
        example: Whether a request has it as an example, of which any part will do.
    """

    element: etree._Element
    action: Action | None
    version: str
    example: bool = False


def objects_in(path: Path, is_object: Callable[[str], bool], read: Callable[[int], None]) -> Iterator[FoundObject]:
    """Yield the objects of a file, in order.

    Args:
        path: The file.
        is_object: Tells whether a tag is that of an object; the root of a file that is none is a wrapper, and what
            stands where an object must be is yielded whatever it is.
        read: Told how many more bytes were read.

    Raises:
        NotWellFormed: It is no plain UTF-8 XML document; objects before the fault were yielded.
        OSError: It cannot be read.
    """
    parser = etree.XMLPullParser(events=("start", "end"), **PARSING)
    walk = _Walk(is_object)
    with path.open("rb") as file:
        try:
            for chunk in _chunks(file):
                read(len(chunk))
                parser.feed(chunk)
                _check_going_on(parser)
                yield from walk.take(parser)
                walk.held.count(chunk)
            parser.close()
            yield from walk.take(parser)
        except etree.XMLSyntaxError as error:
            yield from walk.take(parser)
            raise not_well_formed(error) from None  # libxml2's own text may quote the document


def _check_going_on(parser: etree.XMLPullParser) -> None:
    """Return when the parser still reads: at an entity that it does not know it stops, and has that in its log only.

    Raises:
        XMLSyntaxError: It has stopped.
    """
    for entry in parser.feed_error_log.filter_from_fatals():
        raise etree.XMLSyntaxError(entry.message, entry.type, entry.line, entry.column)  # type: ignore[call-arg]  # the stubs lack them


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes once it is known to begin as UTF-8 without a DOCTYPE."""
    start = b""
    while not root_begins(start):
        more = file.read(_CHUNK)
        start += more
        check_start(start)
        if not more:
            break
        if len(start) > MAX_PROLOG_BYTES and not root_begins(start):
            raise NotWellFormed(
                f"the document has over {MAX_PROLOG_BYTES // 1024} KiB before its first element: leave the comments out"
            )
    yield start
    while chunk := file.read(_CHUNK):
        yield chunk


class _Walk:
    """Follows the parser from element to element, and drops what is done with.

    Attributes:
        held: What came since something was last dropped.
    """

    def __init__(self, is_object: Callable[[str], bool]) -> None:
        self._is_object = is_object
        self._open: list[etree._Element] = []
        self._object: etree._Element | None = None
        self.held = Meter("an object")

    def take(self, parser: etree.XMLPullParser) -> Iterator[FoundObject]:
        """Yield the objects that have ended since the last call."""
        for kind, part in parser.read_events():
            element = cast("etree._Element", part)  # no other events are asked for
            if kind == "start":
                if self._object is None and self._is_place_of_object(element):
                    self._object = element
                if self._object is None:
                    check_around(element)
                    _drop_before(element)
                else:
                    check_element(element)
                self._open.append(element)
                continue
            self._open.pop()
            if element is self._object:
                yield self._found(element)
                self._object = None
            if self._object is None:
                _drop(element)
                self.held.freed()

    def _is_place_of_object(self, element: etree._Element) -> bool:
        if element.tag == _MESSAGE:
            return False
        if not self._open:
            return self._is_object(element.tag)
        parent = self._open[-1]
        if parent.tag == _EVENT_OBJECT:
            return True
        if parent.tag in _DATA:
            return element.tag != _EVENT_OBJECT
        return len(self._open) == 1 and parent.tag != _MESSAGE

    def _found(self, element: etree._Element) -> FoundObject:
        event = next((part for part in reversed(self._open) if part.tag == _EVENT_OBJECT), None)
        message = next((part for part in reversed(self._open) if part.tag == _MESSAGE), None)
        action = None if event is None else _ACTIONS.get(event.get("Action", ""))
        version = "" if message is None else message.get("Version", "")
        return FoundObject(element, action, version, any(part.tag == _EXAMPLE for part in self._open))


def _drop(element: etree._Element) -> None:
    """Free an element that has ended, and what came before it; its parent is still being read."""
    element.clear()
    _drop_before(element)


def _drop_before(element: etree._Element) -> None:
    """Free what came before an element in its parent, texts included."""
    parent = element.getparent()
    if parent is None:
        return
    parent.text = None
    while parent[0] is not element:
        del parent[0]
