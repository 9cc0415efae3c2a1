"""Reads Common Transfer Files: one record for each pupil, in constant memory; what the fields mean is the mapping's.

The whole file is checked to be well-formed before its first pupil is handed on, so that a file that is still being
written gives nothing at all.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, cast
from zoneinfo import ZoneInfo

from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.xml import forget
from broker.protocol.documents import Meter, check_around, has_doctype, line_of, root_begins
from broker.protocol.errors import NotWellFormed
from mappings import Converter, ConvertError, Record
from mappings.converters import converter

_GROUPS: Final = frozenset(
    {
        "Contacts/Contact",
        "Attendance/YearData",
        "BasicDetails/Disabilities/Disability",
        "BasicDetails/Languages/Type",
        "FSMhistory/FSMinstance",
        "Phones/Phone",
        "SENhistory/SEN",
        "SENhistory/SENneeds/SENneed",
        "SchoolHistory/School",
        "StageAssessments/KeyStage",
        "StageAssessment",
    }
)
"""Paths, within a pupil or a member of a group, of what may be there more than once."""
_RENAMED: Final = {"Gender": "Sex", "CTFVersion": "CTFversion"}
_PROLOG: Final = 1024 * 1024
"""Most bytes before the first element."""
_CHUNK: Final = 64 * 1024
_ENCODING: Final = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_ENCODINGS: Final = (b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1", b"windows-1252")
"""What a file may declare: what a DOCTYPE can be looked for in, byte by byte; the last two are of older systems."""
_NAME: Final = re.compile(r"([0-9]{3}[0-9A-Z]{4})_CTF_([0-9A-Z]{7})_([0-9]+)\.xml", re.IGNORECASE)
_OLDEST: Final = 17
_LONDON: Final = ZoneInfo("Europe/London")
_SAFE: Final[Mapping[str, Any]] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


class CtfOptions(BaseModel):
    """Options of ``connector = "ctf"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Annotated[int, Field(ge=1)] = Field(default=1 << 30, description="Largest file that is read, in bytes.")
    arrives_at: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9]{7}$")], ...] = Field(
        default=(),
        description="These are files that others have sent to these schools; one for another school is not read.",
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A pupil of a file that arrived, by what a school cannot have made up: names are spelt differently everywhere."""

    upn: str | None = field(repr=False)
    uln: str | None = field(repr=False)
    born: date | None = field(repr=False)
    sex: str | None = field(repr=False)


Locate = Callable[[Claim], str | None]
"""From a pupil to the RefId that the zone has for the learner, or what stands in for it while the zone is asked."""


class CtfSource:
    """Pupils of a CTF as records."""

    Options: ClassVar[type[BaseModel]] = CtfOptions

    def __init__(self, options: CtfOptions) -> None:
        self._options = options
        self._locate: Locate | None = None

    def locate_with(self, locate: Locate) -> None:
        """Take who is asked for the RefIds of pupils of files that arrive; what the school exports says them itself."""
        self._locate = locate if self._options.arrives_at else None

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each pupil, with the header's fields in each as ``Header/...``.

        ``Gender`` is handed on as ``Sex``; empty elements are left out; what repeats is in groups. Of the file itself
        there are ``File/Name``, ``File/SHA256``, ``File/Pupils`` (how many), ``File/Written`` (the header's DateTime
        with its zone, else when the file was last changed), ``File/Moves`` (``true`` where source and destination are
        two schools, and not two systems of one), and with ``arrives_at`` ``File/Arrived`` (when it was put there), and
        ``File/LearnerPersonalRefId`` where somebody can be asked for it.

        Raises:
            SourceError: Not a whole, well-formed CTF, or one for another school; raised before the first record.

        Source:
            DfE Common Transfer File 17 to 25 as written by school systems and by the DfE.
        """
        if path.stat().st_size > self._options.max_bytes:
            raise SourceError(f"larger than {self._options.max_bytes:,} bytes: set max_bytes if this is right")
        _refuse_doctype(path)
        header = _check(path)
        self._refuse_others(header)
        header |= _about_file(path, header, arrived=bool(self._options.arrives_at))
        yield from _header_problems(header, path.name)
        for number, pupil in enumerate(_pupils(path), start=1):
            position, located = f"pupil {number}, line {pupil.sourceline}", dict[str, str]()
            if self._locate is not None:
                ref_id = self._locate(_claim(pupil))
                if ref_id is None:
                    message = (
                        "has neither UPN nor ULN, so the zone cannot be asked who it is: ask the school that sent it"
                    )
                    yield SourceProblem(position, "not-named", message, "refuse")
                    continue
                located = {"File/LearnerPersonalRefId": ref_id}
            yield _record(position, pupil, header | located, None)

    def _refuse_others(self, header: Mapping[str, str]) -> None:
        """Refuse a file that is addressed to a school of somebody else."""
        destination = _end(header, "DestSchool")
        if self._options.arrives_at and destination not in self._options.arrives_at:
            raise SourceError(
                f"its DestSchool is {destination or 'not given'}, and this agent is for "
                f"{', '.join(self._options.arrives_at)}: give it to the school that it is for, and take it out of here"
            )


def _about_file(path: Path, header: Mapping[str, str], *, arrived: bool) -> dict[str, str]:
    """Return the fields of the file itself; its hash and count are in *header* already."""
    source, destination = _end(header, "SourceSchool"), _end(header, "DestSchool")
    there = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    fields = {"File/Name": path.name, "File/Written": _zoned(header.get("Header/DateTime", "")) or there}
    if source and destination and source != destination:
        fields["File/Moves"] = "true"
    if arrived:
        fields["File/Arrived"] = there
    return fields


def _end(header: Mapping[str, str], school: str) -> str:
    """Return both numbers of a school as one word; empty without either."""
    return (header.get(f"Header/{school}/LEA", "") + header.get(f"Header/{school}/Estab", "")).upper()


def _claim(pupil: etree._Element) -> Claim:
    def said(tag: str, convert: Converter = str) -> str | None:
        try:
            return convert((pupil.findtext(tag) or "").strip()) or None
        except ConvertError:
            return None

    born = said("DOB", converter("iso-date"))
    sex = said("Sex", str.upper) or said("Gender", str.upper)
    return Claim(
        said("UPN", converter("upn")),
        said("UniqueLearnerNumber", converter("uln")),
        date.fromisoformat(born) if born else None,
        sex if sex in ("M", "F") else None,
    )


def _zoned(text: str) -> str:
    """Return a date and time with its zone, London's where it has none; empty when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return ""
    zoned = found if found.tzinfo is not None else found.replace(tzinfo=_LONDON)
    return zoned.isoformat(timespec="seconds")


def _refuse_doctype(path: Path) -> None:
    """Refuse what is not plain UTF-8 XML without DOCTYPE, before a parser sees it."""
    with path.open("rb") as file:
        head = file.read(_PROLOG)
    if not head.strip():
        raise SourceError("empty: the export has not been written, or failed")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in head[:4]:
        raise SourceError("UTF-16 or UTF-32: save it as UTF-8", 1)
    declared = _ENCODING.match(head.removeprefix(b"\xef\xbb\xbf"))
    if declared is not None and declared[1].lower() not in _ENCODINGS:
        raise SourceError("in another encoding than UTF-8, by its own XML declaration: save it as UTF-8", 1)
    if has_doctype(head):
        raise SourceError("has a DOCTYPE, which no CTF needs and which is never read: export it without", 1)
    if not root_begins(head):
        raise SourceError("not XML: this is no CTF", 1)


def _check(path: Path) -> dict[str, str]:
    """Parse the file once to its end; return the header's fields by path, and the file's hash and count of pupils."""
    header: dict[str, str] | None = None
    whole = False
    digest, pupils = hashlib.sha256(), 0
    try:
        for event, element in _parsed(path, ("CTfile", "Header", "Pupil"), digest):
            if event == "start":
                pupils += element.tag == "Pupil"
                if element.tag == "Pupil" and header is None:
                    raise SourceError("the first pupil comes before the Header: this is no CTF", line_of(element))
            elif element.tag == "Header" and header is None:
                header = {f"Header/{name}": value for name, value in _leaves(element)[0].items()}
            elif element.tag != "CTfile":
                continue
            elif element.getparent() is not None or _has_doctype(element):
                raise SourceError("not one CTfile without DOCTYPE: export a Common Transfer File", 1)
            else:
                whole = True
    except etree.XMLSyntaxError as error:
        raise _not_well_formed(error) from None  # libxml2's own text may quote the document
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror}): check its rights") from error
    if header is None or not whole:
        raise SourceError(
            "not a CTF: there is no CTfile with a Header in it (no namespace); export a Common Transfer File"
        )
    return header | {"File/SHA256": digest.hexdigest(), "File/Pupils": str(pupils)}


def _has_doctype(element: etree._Element) -> bool:
    return bool(element.getroottree().docinfo.doctype)  # type: ignore[attr-defined]  # the stubs leave it out


def _pupils(path: Path) -> Iterator[etree._Element]:
    try:
        for event, element in _parsed(path, ("Pupil",)):
            if event == "end":
                yield element
    except etree.XMLSyntaxError as error:
        raise _not_well_formed(error) from None  # the file was changed while it was read


def _parsed(
    path: Path, tags: tuple[str, ...], digest: "hashlib._Hash | None" = None
) -> Iterator[tuple[str, etree._Element]]:
    """Yield start and end of the elements named; all but CTfile are freed, with what came before, after their end."""
    parser = etree.XMLPullParser(events=("start", "end"), tag=tags, **_SAFE)
    held = Meter("a pupil")
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                held.count(chunk)
                if digest is not None:
                    digest.update(chunk)
                parser.feed(chunk)
                for kind, part in parser.read_events():
                    element = cast("etree._Element", part)  # no other events are asked for
                    if kind == "start" and element.tag != "CTfile":
                        for around in element.iterancestors():
                            check_around(around)
                    yield kind, element
                    if kind == "end" and element.tag != "CTfile":
                        forget(element)
                        held.freed()
            parser.close()
        except NotWellFormed as error:
            raise SourceError(error.reason, error.line) from None
    yield from cast("Iterator[tuple[str, etree._Element]]", parser.read_events())


def _record(position: str, element: etree._Element, header: Mapping[str, str], parent: Record | None) -> Record:
    fields, members = _leaves(element)
    groups: dict[str, list[Record]] = {}
    fields.update(header)
    # Members name their parent, which is made first and filled after: a frozen record holds this very dictionary.
    made: dict[str, tuple[Record, ...]] = {}
    record = Record(position, fields, made, parent)
    for path, member in members:
        where = f"{position}, {path.rpartition('/')[2]} {len(groups.get(path, ())) + 1}"
        groups.setdefault(path, []).append(_record(where, member, {}, record))
    made.update({path: tuple(records) for path, records in groups.items()})
    return record


def _leaves(element: etree._Element) -> tuple[dict[str, str], list[tuple[str, etree._Element]]]:
    """Return texts by path, the first where a path is there twice, and the members of groups in order."""
    fields: dict[str, str] = {}
    members: list[tuple[str, etree._Element]] = []
    if not len(element) and (text := (element.text or "").strip()):
        fields["."] = text
    containers = deque([("", element)])
    while containers:
        path, parent = containers.popleft()
        for child in parent:
            below, is_group = _below(path, child.tag)
            if is_group:
                members.append((below, child))
            elif len(child):
                containers.append((below + "/", child))
            elif (text := (child.text or "").strip()) and below not in fields:
                fields[below] = text
    return fields, members


@lru_cache(maxsize=4096)
def _below(path: str, tag: str) -> tuple[str, bool]:
    """Return the path of a child, and whether it is a member of a group."""
    below = path + _RENAMED.get(tag, tag)
    return below, below in _GROUPS


def _header_problems(header: Mapping[str, str], name: str) -> Iterator[SourceProblem]:
    version = header.get("Header/CTFversion", "")
    major = version.partition(".")[0]
    if not (major.isascii() and major.isdigit() and len(major) <= 2 and int(major) >= _OLDEST):
        yield SourceProblem(
            "header", "version", f"CTFversion is missing or before {_OLDEST}: what it holds may be read in part only"
        )
    if header.get("Header/DocumentQualifier", "full").lower() != "full":
        yield SourceProblem("header", "partial", "a partial CTF: what is not in it is left as it is", incomplete=True)
    source = header.get("Header/SourceSchool/LEA", "") + header.get("Header/SourceSchool/Estab", "")
    if not source:
        yield SourceProblem(
            "header", "source-school", "SourceSchool has no LEA and Estab: set them in the school system"
        )
    named = _NAME.fullmatch(name)
    if named is not None and source and named[1].upper() != source.upper() and not named[1].upper().endswith("LLLL"):
        yield SourceProblem(
            "header", "file-name", "the file's name and its header name different source schools: the header is used"
        )


def _not_well_formed(error: etree.XMLSyntaxError) -> SourceError:
    return SourceError(
        "not well-formed XML, or cut short: if the export is still running, it is read when it is whole; else export "
        "again",
        error.lineno or 0,
    )


__all__ = ["Claim", "CtfOptions", "CtfSource", "Locate"]
