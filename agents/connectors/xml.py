"""Reads XML of any form: a record for each element at one path, in constant memory; the mapping says what it means.

The whole file is checked to be well-formed before its first record is handed on, so that a file that is still being
written gives nothing at all.
"""

import codecs
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, cast

from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.tables import check_size
from agents.connectors.texts import check_encoding
from broker.protocol.documents import (
    PARSING,
    Meter,
    check_around,
    check_element,
    check_elements,
    has_doctype,
    line_of,
    not_well_formed,
    root_begins,
)
from broker.protocol.errors import NotWellFormed
from mappings import Record

_CHUNK: Final = 64 * 1024
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_STEP: Final = r"(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*"
_DECLARED: Final = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_STARTS: Final = (  # what an XML file in two or four bytes a character begins with, marked or not
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
ElementPath = Annotated[str, StringConstraints(pattern=rf"^{_STEP}(/{_STEP})*$", max_length=1000)]


class XmlOptions(BaseModel):
    """Options of ``connector = "xml"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: Annotated[str, StringConstraints(pattern=rf"^(/{_STEP})+$", max_length=1000)] = Field(
        description='Path of the elements that are records, from the root: "/School/Pupils/Pupil".'
    )
    groups: tuple[ElementPath, ...] = Field(
        default=(), description='Paths within a record of what may be there more than once: ["Contacts/Contact"].'
    )
    namespaces: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.-]*$")], str] = Field(
        default_factory=dict,
        description='Namespaces whose elements are written with a prefix: { s = "urn:x" }; others do not count.',
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(default=1 << 30, description="Largest file that is read, in bytes.")


class XmlSource:
    """Elements of an XML file as records."""

    Options: ClassVar[type[BaseModel]] = XmlOptions

    def __init__(self, options: XmlOptions) -> None:
        self._options = options
        self._steps = tuple(options.records.strip("/").split("/"))
        self._groups = frozenset(options.groups)
        prefixes = {namespace: prefix for prefix, namespace in options.namespaces.items()}

        @lru_cache(maxsize=4096)
        def name(tag: str) -> str:
            """Return what paths call an element or attribute."""
            namespace, _, local = tag.rpartition("}")
            prefix = prefixes.get(namespace.removeprefix("{"))
            return f"{prefix}:{local}" if prefix else local

        self._name = name

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each element at the path, at a position such as ``Pupil 3, line 120``.

        Fields are named by the path within the record: texts of elements without others in them (``Name/First``),
        attributes (``@id``, ``Name/@lang``). What ``groups`` names is in groups, whose members have paths of their own.
        Of anything else that is there twice, the first gives the fields; all are in a group, too, and it is reported.

        Raises:
            SourceError: Not whole, well-formed XML without DOCTYPE, or without the path; before the first record. A
                tag with hundreds of attributes.

        Source:
            Our own rule.
        """
        check_size(path.stat().st_size, self._options.max_bytes)
        depth = 1
        for _, found in self._elements(path):
            depth = max(depth, found)
        if depth < max(1, len(self._steps) - 1):
            missing = "/".join(("", *self._steps[: depth + 1]))
            raise SourceError(f"there is no element {missing}: correct records, or export what has it", 1)
        repeated: set[str] = set()
        number = 0
        for element, found in self._elements(path):
            if found == len(self._steps):
                number += 1
                position = f"{self._steps[-1]} {number}, line {line_of(element)}"
                reading = _Reading(self._name, self._groups)
                try:
                    record = reading.record(position, element, "", None)
                except NotWellFormed as error:
                    raise _refused(error) from None
                for twice in sorted(reading.repeated - repeated):
                    message = f"{twice} is there more than once: name it in groups, else only its first gives fields"
                    yield SourceProblem(position, "repeats", message)
                repeated |= reading.repeated
                yield record

    def _elements(self, path: Path) -> Iterator[tuple[etree._Element, int]]:
        """Yield elements on the path of records, when they begin; records, when they end; and how many steps that is.

        Raises:
            SourceError: See :meth:`read`.
        """
        try:
            with path.open("rb") as file:
                yield from self._parsed(_utf_8(file))
        except etree.XMLSyntaxError as error:
            # libxml2's own text may quote the document
            raise _refused(not_well_formed(error)) from None
        except NotWellFormed as error:
            raise _refused(error) from None

    def _parsed(self, chunks: Iterator[bytes]) -> Iterator[tuple[etree._Element, int]]:
        tags = [f"{{*}}{step.rpartition(':')[2]}" for step in dict.fromkeys(self._steps)]
        parser = etree.XMLPullParser(events=("start", "end"), tag=tags, **PARSING)
        held = Meter("a record")
        root: etree._Element | None = None
        record: etree._Element | None = None
        for chunk in chunks:
            if root is None:
                self._check_start(chunk)
            held.count(chunk)
            parser.feed(chunk)
            for kind, part in parser.read_events():
                element = cast("etree._Element", part)  # no other events are asked for
                if root is None:
                    root = _root(element)
                if kind == "start" and record is None:
                    steps = self._steps_to(element)
                    if steps == len(self._steps):
                        record = element
                    elif steps:
                        yield element, steps
                elif kind == "end" and element is record:
                    check_elements(element)
                    yield element, len(self._steps)
                    forget(element)
                    held.freed()
                    record = None
            if root is not None and record is None:
                _forget_before_last(root)
                held.freed()
        parser.close()

    def _steps_to(self, element: etree._Element) -> int:
        """Return how many steps of the path lead to an element; 0 when it is not on it."""
        names = [self._name(str(element.tag))]
        for around in element.iterancestors():
            check_around(around)
            names.append(self._name(str(around.tag)))
        names.reverse()
        return len(names) if tuple(names) == self._steps[: len(names)] else 0

    def _check_start(self, head: bytes) -> None:
        """Refuse what has a DOCTYPE or another root, by its first bytes."""
        if has_doctype(head):
            raise SourceError("has a DOCTYPE, which is never read: export it without", 1)
        if not root_begins(head):
            raise SourceError("not XML, or empty: this file cannot be read as records", 1)
        parser = etree.XMLPullParser(events=("start",), **PARSING)
        parser.feed(head)
        for _, root in parser.read_events():
            name = self._name(str(cast("etree._Element", root).tag))
            if name != self._steps[0]:
                raise SourceError(f"its root element is {name[:60]}, not {self._steps[0]}: correct records", 1)
            return


class _Reading:
    """One record being made of an element."""

    def __init__(self, name: Callable[[str], str], groups: frozenset[str]) -> None:
        self._name, self._groups = name, groups
        self.repeated: set[str] = set()

    def record(self, position: str, element: etree._Element, within: str, parent: Record | None) -> Record:
        """Return an element as a record; *within* is its path in the whole one, with a slash, or empty."""
        fields, groups = self._parts(element, within)
        # Members name their parent, which is made first and filled after: a frozen record holds this very dictionary.
        made: dict[str, tuple[Record, ...]] = {}
        record = Record(position, fields, made, parent)
        for path, members in groups.items():
            label = path.rpartition("/")[2]
            made[path] = tuple(
                self.record(f"{position}, {label} {number}", member, f"{within}{path}/", record)
                for number, member in enumerate(members, start=1)
            )
        return record

    def _parts(self, element: etree._Element, within: str) -> tuple[dict[str, str], dict[str, list[etree._Element]]]:
        """Return texts and attributes by path, and the elements of groups by path."""
        fields: dict[str, str] = {}
        groups: dict[str, list[etree._Element]] = {}
        first: dict[str, etree._Element] = {}
        self._attributes("", element, fields)
        if not len(element) and (text := (element.text or "").strip()):
            fields["."] = text
        containers = deque([("", element)])
        while containers:
            path, parent = containers.popleft()
            for child in parent:
                below = path + self._name(str(child.tag))
                if within + below in self._groups:
                    groups.setdefault(below, []).append(child)
                elif below in first:
                    self.repeated.add(within + below)
                    groups.setdefault(below, [first[below]]).append(child)
                else:
                    first[below] = child
                    self._attributes(f"{below}/", child, fields)
                    if len(child):
                        containers.append((f"{below}/", child))
                    elif text := (child.text or "").strip():
                        fields[below] = text
        return fields, groups

    def _attributes(self, path: str, element: etree._Element, fields: dict[str, str]) -> None:
        check_element(element)
        for attribute, value in element.attrib.items():
            if (text := str(value).strip()) and not str(attribute).startswith(f"{{{_INSTANCE}}}"):
                fields[f"{path}@{self._name(str(attribute))}"] = text


def _utf_8(file: Any) -> Iterator[bytes]:
    """Yield a file piece by piece in UTF-8, whatever it is in by its first bytes or its own declaration.

    Raises:
        SourceError: It is in nothing that is known, or not in what it says.
    """
    chunk: bytes = file.read(_CHUNK)
    encoding = next((name for start, name in _STARTS if chunk.startswith(start)), None)
    declared = _DECLARED.match(chunk)
    if encoding is None and declared is not None:
        try:
            encoding = check_encoding(declared[1].decode())
        except ValueError:
            raise SourceError("in an encoding that is not known, by its own declaration: save it as UTF-8", 1) from None
    if encoding is None or encoding in ("utf-8", "ascii"):
        while chunk:
            yield chunk
            chunk = file.read(_CHUNK)
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeError:
            raise SourceError(f"bytes that are not {encoding}, as it says: save it as UTF-8", line) from None
        line += text.count("\n")
        if text:
            yield text.encode("utf-8", "replace")
        if not chunk:
            return
        chunk = file.read(_CHUNK)


def _root(element: etree._Element) -> etree._Element:
    root = element.getroottree().getroot()
    if element.getroottree().docinfo.doctype:  # type: ignore[attr-defined]  # the stubs leave it out
        raise SourceError("has a DOCTYPE, which is never read: export it without", 1)
    return root


def forget(element: etree._Element) -> None:
    """Free an element and all that stands before it in the file, so that memory does not grow with the file."""
    element.clear()
    parent = element.getparent()
    while parent is not None:
        parent.text = None
        while parent[0] is not element:
            del parent[0]
        element, parent = parent, parent.getparent()


def _forget_before_last(root: etree._Element) -> None:
    """Free what is no record and has been read, between two pieces: the last element of each may still be open."""
    element = root
    while len(element):
        while len(element) > 1:
            del element[0]
        element = element[0]


def _refused(error: NotWellFormed) -> SourceError:
    reason = error.reason.replace("the message", "the file").removesuffix(": check the system that wrote it")
    return SourceError(
        f"{reason}: if the export is still running, it is read when it is whole; else export again", error.line or 1
    )


__all__ = ["XmlOptions", "XmlSource", "forget"]
