"""Reads sample files for the workbench: which connector a file is for, and which fields its records have.

Values are kept in memory for guessing and counting, and are never logged. Mapping them is others' work.
"""

import re
import tomllib
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

from lxml import etree
from pydantic import BaseModel, ValidationError

from agents import connectors
from agents.connectors.contract import FileSource, Item, SourceError, SourceFields, SourceProblem
from agents.connectors.ssda903.tables import recognise
from agents.settings import explain
from broker.protocol.documents import PARSING, check_around, has_doctype, root_begins
from broker.protocol.errors import ConfigurationError, NotWellFormed
from mappings import Record

LIMIT: Final = 1_000
"""Records that are read of a sample, when nothing else is said."""
MAX_DISTINCT: Final = 2_000
"""Most distinct values that are kept and counted of a field."""
_MAX_HELD: Final = 50_000_000
"""Most characters of a sample that are kept in memory."""
_MAX_FIELDS: Final = 2_000
_MAX_PROBLEMS: Final = 1_000
_HEAD: Final = 2 * 1024 * 1024
"""Bytes of an XML file that are looked at to find its records."""
_CHUNK: Final = 64 * 1024
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
_DECLARED: Final = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']((?:utf|iso|windows|cp|us-|latin)[a-z0-9_-]{1,20})["']""", re.IGNORECASE
)
_PACKAGES: Final = frozenset({"oneroster-in"})
"""Connectors that read several tables together, and name the table of a record in its field ``table``."""
_TO_NEXT_TABLE: Final = 200
"""How many times the limit is read over, for the tables behind a long one."""
_MANIFEST: Final = "manifest.csv"
_ROOTS: Final[Mapping[str, str]] = {"CTfile": "ctf", "EXPSSDA903": "ssda903"}
"""Connectors of XML files by root element."""
_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a sample, and what is in it.

    Attributes:
        name: As a mapping writes it: a heading, or a path within the record or the member of a group.
        group: Path of the group that it is in, from the record; empty for a field of the record itself.
        filled: Records, or members of the group, that have it.
        of: Records, or members of the group, that were read.
        distinct: Different values, at most MAX_DISTINCT.
        counts: How often each value is there, in the order in which they were first met. Personal data: not for logs.
    """

    name: str
    group: str
    filled: int
    of: int
    distinct: int
    counts: Mapping[str, int] = field(repr=False)

    @property
    def path(self) -> str:
        """Where it stands, from the record."""
        return f"{self.group}/{self.name}" if self.group else self.name


@dataclass(frozen=True, slots=True)
class Source:
    """A sample file and the connector that reads it.

    Attributes:
        connector: The connector's name.
        options: Its options, as an agent's file has them; those that were guessed are among them.
    """

    path: Path
    connector: str
    options: Mapping[str, Any]
    _reader: FileSource = field(repr=False)

    def read(self) -> Iterator[Item]:
        """Yield all that the file holds, in constant memory.

        Raises:
            SourceError: It is not one that the connector reads, or not whole.
        """
        try:
            yield from self._reader.read(self.path)
        except OSError as error:
            raise SourceError(f"cannot be read ({error.strerror}): check its name and its rights") from error


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sample file holds, up to the limit.

    Attributes:
        source: The file, its connector and options; ``source.read()`` gives the whole of it.
        fields: Those of the record in the order of the file, then those of its groups.
        records: The records. Personal data: not for logs.
        problems: What the connector reported.
        whole: Whether these are all records of the file.
    """

    source: Source
    fields: tuple[Field, ...]
    records: tuple[Record, ...] = field(repr=False)
    problems: tuple[SourceProblem, ...]
    whole: bool

    @property
    def connector(self) -> str:
        """The connector's name."""
        return self.source.connector

    @property
    def has_tables(self) -> bool:
        """Whether records are of several tables; their field ``table`` says which."""
        return self.connector in _PACKAGES


def read_sample(
    path: Path, connector: str | None = None, options: Mapping[str, Any] | None = None, limit: int = LIMIT
) -> Sample:
    """Return the first records of a file, with their fields.

    Args:
        path: A file, or a folder of files that belong together.
        connector: Its connector; told by the file's content when left out.
        options: The connector's options; paths in them are relative to the file's folder.
        limit: Most records, of a package of tables most of each.

    Raises:
        SourceError: The file cannot be read; the text does not name it.
        ConfigurationError: There is no such connector, it reads no files, or an option is wrong or missing.
    """
    source = open_sample(path, connector, options)
    records: list[Record] = []
    problems: list[SourceProblem] = []
    declared: set[str] = set()
    of_table: Counter[str] = Counter()
    whole, held = True, 0
    for item in source.read():
        if isinstance(item, SourceFields):
            declared |= item.names
        elif isinstance(item, SourceProblem):
            problems.extend([item] if len(problems) < _MAX_PROBLEMS else [])
        else:
            # Of a package, whose tables come one after the other, there are so many of each.
            table = item.fields.get("table", "") if source.connector in _PACKAGES else ""
            of_table[table] += 1
            held += _size(item)
            if of_table[table] <= limit and held <= _MAX_HELD:
                records.append(item)
                continue
            whole = False
            if source.connector not in _PACKAGES or held > _MAX_HELD or of_table[table] > limit * _TO_NEXT_TABLE:
                break
    return Sample(source, fields_of(records, declared), tuple(records), tuple(problems), whole)


def _size(record: Record) -> int:
    """Return the characters of a record and of the members of its groups."""
    members = chain.from_iterable(record.groups.values())
    return sum(map(len, record.fields.values())) + sum(map(_size, members))


def open_sample(path: Path, connector: str | None = None, options: Mapping[str, Any] | None = None) -> Source:
    """Return a file with the connector that reads it; arguments and errors are those of `read_sample`."""
    if not path.exists():
        raise SourceError("there is no such file: check its name and folder")
    try:
        if connector is None:
            path, connector = _recognise(path)
        given = dict(options or {})
        if connector == "xml" and "records" not in given:
            given["records"] = _most_repeated(path)
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror}): check its name and its rights") from error
    made = connectors.find(connector)
    if not hasattr(made, "read"):
        raise ConfigurationError(f"connector {connector!r} reads no files: name one that does, such as csv")
    return Source(path, connector, given, made(_options(connector, made.Options, given, path)))


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Return options written ``key=value``; a value that reads as TOML is what it says, any other a text.

    Raises:
        ConfigurationError: One has no equals sign.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError("an option is written key=value, for example --option sheet=Pupils")
        try:
            # A number stays a text: whether 820 is one is for the option to say, and models read both.
            parsed = tomllib.loads(f"value = {value}")["value"] if value[:1] in "[{\"'" else value
        except tomllib.TOMLDecodeError:
            parsed = value
        found[key.strip()] = parsed
    return found


def _options(connector: str, model: type[BaseModel], options: Mapping[str, Any], path: Path) -> BaseModel:
    try:
        return model.model_validate(dict(options), context={"folder": path.parent})
    except ValidationError as error:
        lines = explain(f"connector {connector!r}", error, model)
        raise ConfigurationError(f"{lines}\nGive the connector's options as --option key=value") from None


def _recognise(path: Path) -> tuple[Path, str]:
    """Return the file to read, and its connector by content: names of files may say anything."""
    if path.is_dir():
        if (path / _MANIFEST).is_file():
            return path / _MANIFEST, "oneroster-in"
        raise SourceError("a folder without manifest.csv: name one of the files in it")
    if path.name.casefold() == _MANIFEST:
        return path, "oneroster-in"
    head = _head(path)
    if head.startswith(b"PK"):
        return path, _zipped(path)
    if head.startswith(_OLD_EXCEL):
        return path, "xlsx"
    if b"<html" in head[:_CHUNK].lower():
        raise SourceError("a web page, whatever its name ends in: export a CSV file or a workbook (xlsx)", 1)
    if head.lstrip()[:1] in (b"{", b"["):
        raise SourceError("JSON: what a web service gives is read from its address by the connector json", 1)
    if root_begins(head) or has_doctype(head):
        return path, _ROOTS.get(_root(head), "xml")
    if not head.strip():
        raise SourceError("empty: the export has not been written, or failed")
    return path, _of_rows(path)


def _zipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(name).name.casefold() for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise SourceError("a damaged zip file or workbook: export it again") from error
    return "oneroster-in" if _MANIFEST in names else "xlsx"


def _of_rows(path: Path) -> str:
    """Return the connector of a file of rows, by its headings."""
    with_csv = connectors.find("csv")
    for item in with_csv(with_csv.Options()).read(path):
        if isinstance(item, SourceFields):
            return "ssda903" if recognise(item.names) else "csv"
    return "csv"


def _head(path: Path) -> bytes:
    """Return how a file begins; of XML in another encoding what that is in UTF-8."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    declared = _DECLARED.match(head)
    encoding = "utf-16" if head.startswith(_WIDE) else declared[1].decode() if declared is not None else "utf-8"
    try:
        return head if encoding.casefold() == "utf-8" else head.decode(encoding, "replace").encode()
    except (LookupError, ValueError):  # no such encoding, or none of text: its connector says what is wrong
        return head


def _root(head: bytes) -> str:
    """Return the local name of the root element."""
    root = next(_paths(head), ((), False))
    return root[0][0] if root[0] else ""


def _most_repeated(path: Path) -> str:
    """Return the path of the elements that are the file's records: the most repeated ones that hold others.

    What is inside something that is itself repeated is a part of a record. Where nothing is repeated, there is one
    record: the first element below the root that holds others, or else the root.
    """
    head = _head(path)
    holds: dict[_Path, bool] = {}
    counts: Counter[_Path] = Counter()
    for names, has_parts in _paths(head):
        counts[names] += 1
        holds[names] = holds.get(names, False) or has_parts
    outer = [names for names in counts if holds[names] and all(counts[names[:n]] == 1 for n in range(1, len(names)))]
    repeated = {names: counts[names] for names in outer if counts[names] > 1}
    if repeated:
        most = max(repeated, key=lambda names: repeated[names])
        return "/" + "/".join(most)
    if not outer:
        raise SourceError("no element in it holds others: name the records with --option records=/School/Pupils/Pupil")
    return "/" + "/".join(next((names for names in outer if len(names) > 1), outer[0]))


def _paths(head: bytes) -> Iterator[tuple[_Path, bool]]:
    """Yield the path of local names of each element that begins in *head*, outer ones first, and if it holds others."""
    if has_doctype(head):
        raise SourceError("has a DOCTYPE, which is never read: export it without", 1)
    parser = etree.XMLPullParser(events=("start",), **PARSING)
    begun: list[tuple[_Path, etree._Element]] = []
    within: dict[etree._Element, _Path] = {}
    try:
        for start in range(0, len(head), _CHUNK):
            parser.feed(head[start : start + _CHUNK])
            for _, part in parser.read_events():
                element: Any = part
                check_around(element)
                names = (*within.get(element.getparent(), ()), etree.QName(element).localname)
                within[element] = names
                begun.append((names, element))
    except NotWellFormed as error:
        raise SourceError(error.reason, error.line) from None
    except etree.XMLSyntaxError as error:
        raise SourceError("not well-formed XML, or cut short: export it again", error.lineno or 1) from None
    for names, element in begun:
        yield names, len(element) > 0 or bool(element.attrib)


def fields_of(records: Sequence[Record], declared: Collection[str] = ()) -> tuple[Field, ...]:
    """Return the fields of records, then those of the groups in them; *declared* ones even where none is filled."""
    return tuple(_fields(records, set(declared)))


def _fields(records: Sequence[Record], declared: set[str]) -> Iterator[Field]:
    groups: dict[str, list[Record]] = {"": list(records)}
    pending = [""]
    total = 0
    while pending:
        group = pending.pop(0)
        members = groups[group]
        found = _order(members)
        found += sorted(declared - set(found)) if not group else []
        for name in found[: _MAX_FIELDS - total]:
            yield _field(name, group, members)
        total += len(found)
        below = dict.fromkeys(chain.from_iterable(member.groups for member in members))
        for name in below:
            path = f"{group}/{name}" if group else name
            groups[path] = list(chain.from_iterable(member.groups.get(name, ()) for member in members))
            pending.append(path)


def _field(name: str, group: str, members: Sequence[Record]) -> Field:
    counts: Counter[str] = Counter()
    filled = 0
    for member in members:
        value = member.fields.get(name)
        if value is None:
            continue
        filled += 1
        if value in counts or len(counts) < MAX_DISTINCT:
            counts[value] += 1
    return Field(name, group, filled, len(members), len(counts), dict(counts))


def _order(members: Sequence[Record]) -> list[str]:
    """Return the names of all fields in the order of the file, though each record has only those that are filled."""
    before: dict[str, set[str]] = {}
    for member in members:
        for name in member.fields:
            before.setdefault(name, set())
        for earlier, later in pairwise(member.fields):
            before[later].add(earlier)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:  # elements of XML may come in any order
        return list(before)


__all__ = [
    # a file
    "Sample",
    "Source",
    "Field",
    "read_sample",
    "open_sample",
    "fields_of",
    "parse_options",
    # limits
    "LIMIT",
    "MAX_DISTINCT",
]
