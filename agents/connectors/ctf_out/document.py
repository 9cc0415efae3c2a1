"""Makes a Common Transfer File of kept objects; its pupils are made in pupil, and putting it into a folder is outbox's.

Code, not mapping files: a file is a tree, and outward mappings make flat rows of one object and those it refers to.
Here attendance is added up, a history joins two sources, adults are joined with what they are to the pupil, and each
object must say what was left behind. The codes are data, as they are for files that are read.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from lxml import etree

from agents.connectors.ctf_out.kept import KeptLearner, KeptZone
from agents.connectors.ctf_out.pupil import Pupil
from agents.connectors.ctf_out.tree import Element, group, leaf, whole
from agents.connectors.ctf_out.values import (
    AUTHORITY_NUMBER,
    NOT_KNOWN,
    OUTSIDE,
    CtfDocument,
    CtfError,
    CtfIncomplete,
    CtfWithheld,
    Missing,
    Transfer,
)
from broker.protocol.identifiers import parse_establishment
from mappings import Objects
from schemas import SchemaSet

_SUPPLIER: Final = "sifzone"
_NEW_YEAR: Final = 8
"""Month from whose first day on files name the new school year, as ONE has it."""
_SHIELDS: Final = frozenset({"P", "A"})
_ADOPTED: Final = frozenset({"E11", "E12"})


def make_ctf(transfer: Transfer, objects: Objects, ref_ids: Sequence[str], schema: SchemaSet) -> CtfDocument:
    """Return the file of one or more learners, in the order of *ref_ids*.

    Args:
        objects: What the agent keeps, of these learners and of others.
        ref_ids: RefIds of LearnerPersonal, each once.

    Raises:
        CtfWithheld: A learner is shielded or adopted.
        CtfIncomplete: Something that a file must have is missing; lists all of it.
        CtfError: No learner, or one twice, or no such establishments.

    Source:
        DfE Common Transfer File 25.0 as the DfE's own and school systems' files have it.
    """
    if not ref_ids or len({*ref_ids}) < len(ref_ids):
        raise CtfError("a transfer file needs at least one learner, and each once: correct the list of learners")
    _check_ends(transfer)
    zone = KeptZone(objects, ref_ids, schema)
    missing: list[Missing] = []
    header = _header(transfer, zone, missing)
    pupils = []
    for ref_id in ref_ids:
        learner = zone.learners.get(ref_id)
        if learner is None:
            missing.append(Missing(ref_id, "Pupil", "this learner is not kept here: wait until the object has arrived"))
            continue
        if _is_withheld(learner):
            raise CtfWithheld(ref_id)
        pupils.append(Pupil(learner, transfer, zone, missing))
    root = whole("CTfile", header, whole("CTFpupilData", *(pupil.element() for pupil in pupils)))
    if missing:
        raise CtfIncomplete(missing)
    _check(root, ref_ids)
    etree.indent(root)
    content = b'<?xml version="1.0" encoding="utf-8"?>\n' + etree.tostring(root, encoding="utf-8") + b"\n"
    left_out = tuple((pupil.ref_id, pupil.left_out()) for pupil in pupils)
    return CtfDocument(transfer, content, len(pupils), left_out)


def _check_ends(transfer: Transfer) -> None:
    try:
        parse_establishment(transfer.source)
        if transfer.destination not in (NOT_KNOWN, OUTSIDE):
            parse_establishment(transfer.destination)
    except ValueError as error:
        raise CtfError(f"{error}; to a school that is not known {NOT_KNOWN}, outside the sector {OUTSIDE}") from error


def _header(transfer: Transfer, zone: KeptZone, missing: list[Missing]) -> Element:
    source, destination = zone.numbered(transfer.source), zone.numbered(transfer.destination)
    authority, number = transfer.source[:3], transfer.source[3:]
    name = source.name if source else zone.authority_name(authority) if number == AUTHORITY_NUMBER else ""
    if not name:
        remedy = f"nothing is kept of {transfer.source}: share its SchoolInfo, or LAInfo, with this agent"
        missing.append(Missing("", "Header/SourceSchool/SchoolName", remedy))
    local = transfer.local
    return whole(
        "Header",
        leaf("DocumentName", "Common Transfer File"),
        leaf("CTFversion", transfer.version),
        leaf("DateTime", transfer.moment),
        leaf("DocumentQualifier", transfer.qualifier),
        leaf("DataDescriptor", " ".join(transfer.descriptor.split())),
        leaf("SupplierID", _SUPPLIER),
        group(
            "SourceSchool",
            leaf("LEA", authority),
            leaf("Estab", number),
            leaf("URN", source.urn if source else ""),
            leaf("SchoolName", name),
            leaf("AcademicYear", str(local.year if local.month >= _NEW_YEAR else local.year - 1)),
        ),
        group(
            "DestSchool",
            leaf("LEA", transfer.destination[:3]),
            leaf("Estab", transfer.destination[3:]),
            leaf("URN", destination.urn if destination else ""),
        ),
    )


def _is_withheld(learner: KeptLearner) -> bool:
    """Tell whether the learner is shielded or adopted: a file would join the old and the new identity.

    Source:
        Our own rule for shields; of adopted pupils, the instruction of at least one authority.
    """
    return any(
        period.see("ShieldCode") in _SHIELDS or period.see("CareEndReason") in _ADOPTED
        for period in learner.about.get("LearnerLookedAfter", ())
    )


@cache
def ctf_schema() -> etree.XMLSchema:
    """Return the schema that every file is checked with before it is handed out."""
    return etree.XMLSchema(etree.fromstring((files("schemas") / "ctf" / "CommonTransferFile.xsd").read_bytes()))


def _check(root: Element, ref_ids: Sequence[str]) -> None:
    """Refuse what is in no transfer file, by path and without libxml2's own words, which would quote the value."""
    schema = ctf_schema()
    if schema.validate(root):
        return
    pupils = list(root.iter("Pupil"))
    wrong = []
    for error in schema.error_log:  # type: ignore[attr-defined]  # the stubs leave it out
        inner = error.path.partition("/CTfile/")[2]
        found = root.find(inner) if inner else None
        steps = [root] if found is None else [found, *found.iterancestors()]
        learner = next((ref_ids[pupils.index(step)] for step in steps if step in pupils), "")
        path = "/".join(str(step.tag) for step in reversed(steps))
        wrong.append(Missing(learner, path, "not as the format has it: correct it in the system that it comes from"))
    raise CtfIncomplete(tuple(dict.fromkeys(wrong)))


__all__ = ["ctf_schema", "make_ctf"]
