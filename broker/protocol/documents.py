"""Hostile XML documents: what is no plain UTF-8 document is refused, by name and line, before anything of it is used.

No DOCTYPE, no entities, bounded size and depth; nothing is opened, no connection is made, and no text is repeated.
"""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from lxml import etree

from broker.protocol.errors import NotWellFormed

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
MAX_MARKS: Final = 180_000
"""Most ``<`` and ``=`` in a message, or in one object of a file: one for each tag, attribute and comment at the least.

Each may cost libxml2 300 bytes, up to a hundred times what it has on the wire: 8 MiB of them would take 400 MB.
"""
MAX_ELEMENTS: Final = 20_000
"""Most elements in one object: where many are wrong, libxml2 takes a time that grows with their square."""
MAX_NAMESPACES: Final = 10_000
"""Most ``xmlns`` in a message, or in one object of a file: lxml compares each with all those around it."""
MAX_ATTRIBUTES: Final = 256
"""Most attributes in one tag, and most namespaces around an element: lxml looks for each among all the others."""
_LIGHT: Final = 64 * 1024
"""Bytes up to which a message is too short to have so many tags or namespaces."""
MAX_PROLOG_BYTES: Final = 64 * 1024
"""Most that may come before the root element of a document that is read piece by piece."""
_ENCODING: Final = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
# Looked for before parsing, so that nothing a DOCTYPE names or defines is ever read; possessive, so in one pass.
_DOCTYPE: Final = re.compile(rb"(?s:(?:\xef\xbb\xbf)?(?:\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE)")
_ROOT_BEGINS: Final = re.compile(rb"(?s:(?:\xef\xbb\xbf)?(?:\s++|<\?.*?\?>|<!--.*?-->)*+<[^!?\s])")
# A start tag of 256 attributes and more, and what follows it up to the next; then the tag alone, and a value in it.
_LONG: Final = re.compile(rb"<[^<!?/][^<]{%d,}" % (5 * MAX_ATTRIBUTES))
_TAG: Final = re.compile(rb"""<(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+""")
_VALUE: Final = re.compile(rb"""=\s*["']""")
_DECLARED: Final = (b"<?xml", b"\xef\xbb\xbf")
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00<", b"<\x00")
_RESOURCE_LIMIT: Final = 114  # libxml2's XML_ERR_RESOURCE_LIMIT, which lxml does not name

# Without collect_ids=False, which costs nothing here: it makes libxml2 open external DTDs whatever load_dtd says.
PARSING: Final[Mapping[str, Any]] = {
    "encoding": "utf-8",
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
"""How every document is parsed, whole or piece by piece."""
_parser: Final = etree.XMLParser(**PARSING)


def parse_document(body: bytes, limit: int = MAX_MESSAGE_BYTES) -> etree._Element:
    """Return the root element of a hostile XML document, freed of comments and processing instructions.

    Args:
        body: UTF-8 bytes, with or without byte order mark and XML declaration.
        limit: Most bytes that are looked at.

    Raises:
        NotWellFormed: Too large, too many tags or attributes, not UTF-8, has a DOCTYPE, or is no XML; names the line.
    """
    if len(body) > limit:
        raise NotWellFormed(
            f"the message has {len(body):,} bytes, more than the zone's limit of {limit:,}: "
            "send fewer or smaller objects"
        )
    check_start(body)
    values = body.count(b"=")
    if len(body) > _LIGHT:
        _check_weight("the message", body.count(b"<") + values, body.count(b"xmlns"))
    if values > MAX_ATTRIBUTES:
        _check_tags(body)
    try:
        return etree.fromstring(body, _parser)
    except etree.XMLSyntaxError as error:
        raise not_well_formed(error) from None  # libxml2's own text may quote the document


def check_start(body: bytes) -> None:
    """Return when a document, or its first MAX_PROLOG_BYTES, begins as UTF-8 and without a DOCTYPE.

    Raises:
        NotWellFormed: It does not.
    """
    if body[:2] in _WIDE:
        raise NotWellFormed("the message is not UTF-8 (it looks like UTF-16 or UTF-32): send it in UTF-8", 1)
    declared = _ENCODING.match(body[:203].removeprefix(b"\xef\xbb\xbf")) if body.startswith(_DECLARED) else None
    if declared is not None and declared[1].lower() not in (b"utf-8", b"us-ascii"):
        raise NotWellFormed(
            "the XML declaration names another encoding than UTF-8: send UTF-8 and say so, or nothing", 1
        )
    if has_doctype(body):
        raise NotWellFormed("the message has a DOCTYPE, which the zone never reads: leave it out")


class Meter:
    """Bounds what is held of a document that is read piece by piece: what came since something was last freed.

    Args:
        what: What is freed when it has been read, for example "an object".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._held = self._last = (0, 0, 0)
        self._freed = False

    def freed(self) -> None:
        """Note that an element has ended and was freed."""
        self._freed = True

    def count(self, piece: bytes) -> None:
        """Count a piece before the parser is fed it.

        Raises:
            NotWellFormed: More is held than any object needs.
        """
        if self._freed:
            self._held, self._freed = self._last, False  # where in it, nobody knows
        self._last = (len(piece), piece.count(b"<") + piece.count(b"="), piece.count(b"xmlns"))
        size, marks, namespaces = self._held = (
            self._held[0] + self._last[0],
            self._held[1] + self._last[1],
            self._held[2] + self._last[2],
        )
        if size > MAX_MESSAGE_BYTES:
            raise NotWellFormed(
                f"{self._what} has more than the {MAX_MESSAGE_BYTES:,} bytes of a message: send less in one"
            )
        _check_weight(self._what, marks, namespaces)


def check_element(element: etree._Element) -> None:
    """Return when an element has no more attributes than one needs.

    Raises:
        NotWellFormed: It has.
    """
    if len(element.attrib) > MAX_ATTRIBUTES:
        raise _too_many_attributes(line_of(element))


def check_around(element: etree._Element) -> None:
    """Return when an element that stays open while others in it are read and freed is no heavier than one needs be.

    Raises:
        NotWellFormed: It has too many attributes, or namespaces, those of its own parents included.
    """
    check_element(element)
    if len(element.nsmap) > MAX_ATTRIBUTES:
        raise NotWellFormed(
            f"more than {MAX_ATTRIBUTES} namespaces around an element: check the system that wrote it",
            line_of(element),
        )


def _check_weight(what: str, marks: int, namespaces: int) -> None:
    if marks > MAX_MARKS:
        raise NotWellFormed(f"{what} has more than {MAX_MARKS:,} tags and attributes: send fewer or smaller objects")
    if namespaces > MAX_NAMESPACES:
        raise NotWellFormed(
            f"{what} declares more than {MAX_NAMESPACES:,} namespaces: declare each once, in the first tag"
        )


def _check_tags(body: bytes) -> None:
    for long in _LONG.finditer(body):
        tag = _TAG.match(body, long.start())
        if tag is not None and any(islice(_VALUE.finditer(body, *tag.span()), MAX_ATTRIBUTES, None)):
            raise _too_many_attributes(1 + body.count(b"\n", 0, long.start()))


def _too_many_attributes(line: int) -> NotWellFormed:
    return NotWellFormed(f"a tag has more than {MAX_ATTRIBUTES} attributes: check the system that wrote it", line)


def line_of(element: etree._Element) -> int:
    """Return the line that an element begins on, counted from 1; 0 where it is not known."""
    line: int | None = element.sourceline  # type: ignore[assignment]  # lxml's stubs leave its type open
    return line or 0


def has_doctype(start: bytes) -> bool:
    """Tell whether a document, or its beginning, has a DOCTYPE."""
    return b"<!DOCTYPE" in start and _DOCTYPE.match(start) is not None


def root_begins(start: bytes) -> bool:
    """Tell whether a document's root element begins within its first bytes, so that no DOCTYPE can follow them."""
    return _ROOT_BEGINS.match(start) is not None


def not_well_formed(error: etree.XMLSyntaxError) -> NotWellFormed:
    """Return the error of libxml2 as ours, in words that repeat nothing of the document."""
    line = error.lineno or 0
    code: int = error.code  # type: ignore[attr-defined]  # the stubs leave it out
    if code == _RESOURCE_LIMIT:
        deep = "depth" in (error.msg or "")
        return NotWellFormed(
            "elements nested more than 256 deep: no SIF object is, check the system that wrote it"
            if deep
            else "a text or attribute of more than 10 million characters: send less in one object",
            line,
        )
    reasons = {
        etree.ErrorTypes.ERR_INVALID_CHAR: "a character that XML does not allow",
        etree.ErrorTypes.ERR_INVALID_ENCODING: "bytes that are not UTF-8",
        etree.ErrorTypes.ERR_UNDECLARED_ENTITY: "an entity that XML itself does not define",
        etree.ErrorTypes.ERR_TAG_NAME_MISMATCH: "an end tag that does not match its start tag",
        etree.ErrorTypes.ERR_TAG_NOT_FINISHED: "a tag that is not closed; the document may be cut short",
        etree.ErrorTypes.ERR_GT_REQUIRED: "a tag that is not closed; the document may be cut short",
        etree.ErrorTypes.ERR_NAME_TOO_LONG: "a name of more than 50,000 characters",
        etree.ErrorTypes.ERR_ATTRIBUTE_REDEFINED: "an attribute twice in one tag",
        etree.ErrorTypes.NS_ERR_ATTRIBUTE_REDEFINED: "an attribute twice in one tag",
        etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE: "a prefix that no xmlns declares",
        etree.ErrorTypes.NS_ERR_XML_NAMESPACE: "an xmlns that XML reserves or does not allow",
        etree.ErrorTypes.ERR_DOCUMENT_EMPTY: "no XML at all",
        etree.ErrorTypes.ERR_DOCUMENT_END: "more after the end of the root element, or nothing",
    }
    reason = reasons.get(code, "XML that cannot be read (not well-formed, nested too deeply, or too large)")
    return NotWellFormed(f"the message has {reason}: check the system that wrote it", line)


def check_elements(element: etree._Element) -> None:
    """Return when an object has no more elements than an object may have.

    Raises:
        NotWellFormed: It has.
    """
    if next(islice(element.iter(), MAX_ELEMENTS, None), None) is not None:
        raise NotWellFormed(
            f"an object has more than {MAX_ELEMENTS:,} elements: no SIF object has, check the system that wrote it"
        )
