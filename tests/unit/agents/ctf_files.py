"""Made-up learners for the tests of transfer files, as objects and as the records that a transfer file would give."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lxml import etree

from agents.connectors.ctf import CtfOptions, CtfSource
from agents.connectors.ctf_out import CtfDocument, Transfer, make_ctf
from broker.protocol.identifiers import Establishment
from mappings import InwardMapping, MappedObject, Record, RowProblem, load
from schemas import load as load_schemas
from tests.unit.agents.helpers import parse

HERE: Final = Establishment("8209901")
THERE: Final = Establishment("8379902")
ELSEWHERE: Final = Establishment("8369903")
TRANSFER: Final = Transfer(HERE, THERE, datetime(2026, 10, 6, 14, 22, 31))  # noqa: DTZ001 - a header has no zone
MAPPINGS: Final = tuple(
    mapping
    for name in ("learner", "enrolment", "contact-person", "contact", "attendance", "special-needs")
    if isinstance(mapping := load(f"ctf/{name}"), InwardMapping)
)


class HashedRefIds:
    """RefIds as hashes, without a key."""

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        return hashlib.md5("\x1f".join((object_type, *key)).encode(), usedforsecurity=False).hexdigest().upper()


REF_IDS: Final = HashedRefIds()


class Kept:
    """Objects in memory, as an agent keeps them."""

    def __init__(self, *elements: etree._Element) -> None:
        self.elements = list(elements)

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        return next((one for one in self.all(object_type) if one.get("RefId") == ref_id), None)

    def all(self, object_type: str) -> Iterator[etree._Element]:
        return (one for one in self.elements if etree.QName(one).localname == object_type)


def school(establishment: str, name: str = "Larkfield Primary School", urn: str = "") -> etree._Element:
    """Return a SchoolInfo whose RefId is that which a transfer file of the school gives."""
    number = f"<URN>{urn}</URN>" if urn else ""
    return parse(
        f"<SchoolInfo RefId='{school_ref(establishment)}'><EstablishmentId>{establishment[3:]}</EstablishmentId>"
        f"<LAId>{establishment[:3]}</LAId><SchoolName>{name}</SchoolName>{number}</SchoolInfo>"
    )


def school_ref(establishment: str) -> str:
    """Return the RefId of a school."""
    return REF_IDS.ref_id("SchoolInfo", (establishment[:3], establishment[3:]))


SCHOOLS: Final = (
    school(HERE, urn="999001"),
    school(THERE, "Copperfen High School", "999002"),
    school(ELSEWHERE, "Beacon Hill School"),
)


def record(fields: Mapping[str, str], groups: Mapping[str, Any], parent: Record | None = None) -> Record:
    """Return the record of a pupil; a member of a group is a mapping of fields, or a pair with groups of its own."""
    made: dict[str, tuple[Record, ...]] = {}
    whole = Record("pupil 1", fields, made, parent)
    for name, members in groups.items():
        pairs = [member if isinstance(member, tuple) else (member, {}) for member in members]
        made[name] = tuple(record(own, inner, whole) for own, inner in pairs)
    return whole


def objects_of(*records: Record) -> tuple[list[MappedObject], list[RowProblem]]:
    """Return the objects that the library's mappings make of records, and what they could not use."""
    made: list[MappedObject] = []
    problems: list[RowProblem] = []
    for each in records:
        for mapping in MAPPINGS:
            translation = mapping.translate(each, REF_IDS)
            made += translation.objects
            problems += translation.problems
    return made, problems


def document_of(
    *elements: etree._Element, transfer: Transfer = TRANSFER, learners: tuple[str, ...] = ()
) -> CtfDocument:
    """Return the transfer file of objects: of all learners among them, or of some."""
    kept = Kept(*SCHOOLS, *elements)
    found = learners or tuple(str(one.get("RefId")) for one in kept.all("LearnerPersonal"))
    return make_ctf(transfer, kept, found, load_schemas())


def records_of(content: bytes, folder: Path) -> list[Record]:
    """Return what our own reader reads in a file."""
    path = folder / "8209901_CTF_8379902_001.xml"
    path.write_bytes(content)
    found = list(CtfSource(CtfOptions()).read(path))
    assert [item for item in found if not isinstance(item, Record)] == []
    return [item for item in found if isinstance(item, Record)]


def canonical(made: list[MappedObject]) -> dict[tuple[str, str], bytes]:
    """Return objects as texts that are equal when they are, by type and RefId."""
    texts = {(one.object_type, one.ref_id): etree.tostring(one.element, method="c14n") for one in made}
    assert len(texts) == len(made)
    return texts
