"""Whose record a learner is: Locate, its answer Located and the later Relocated, built and parsed; no decision.

An agent sends Locate in a SIF_SystemControl before it publishes anything of a learner. The zone answers with Located,
in SIF_Data of a SIF_Ack, and tells by Relocated, in a SIF_SystemControl in the agent's queue, what is decided later.
Our own rule throughout, since SIF leaves it to the systems to agree on RefIds.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from lxml import etree

from broker.protocol.documents import parse_document
from broker.protocol.envelope import NAMESPACE, Header, Message, build_message
from broker.protocol.errors import NotValid
from broker.protocol.identifiers import RefId, is_guid

IDENTITY: Final = "urn:sifzone:identity:1.0"
MAX_LEARNERS: Final = 500
"""Most learners in one Locate, Located or Relocated."""
MAX_FORMER_UPNS: Final = 20
LOCATE: Final = "Locate"
LOCATED: Final = "Located"
RELOCATED: Final = "Relocated"

_NS: Final = f"{{{IDENTITY}}}"
_LEARNER: Final = _NS + "Learner"
_FORMER: Final = _NS + "FormerUPN"
_DATA: Final = f"{{{NAMESPACE}}}SIF_SystemControlData"
_LONGEST: Final = {"UPN": 32, "ULN": 32, "FamilyName": 256, "GivenName": 256, "Gender": 16, "Postcode": 32}
"""Most characters of each; whether they are right is the zone's to decide."""
_ASKED: Final = frozenset({"Key", *_LONGEST, "BirthDate", "LocateOnly"})
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SAID: Final = frozenset({"Key", "Outcome", "RefId"})


class Outcome(StrEnum):
    """What the zone says of a learner.

    FOUND: the learner has a RefId in the zone, which is to be used from now on.
    NEW: nobody has this learner, so the agent's own RefId is the learner's from now on.
    WAITING: somebody must decide; nothing of this learner may be published yet.
    NONE: nobody has this learner, and the agent that asks makes none.
    """

    FOUND = "found"
    NEW = "new"
    WAITING = "waiting"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Claim:
    """A learner as an agent knows it; whatever it does not know is empty.

    Attributes:
        key: The RefId that the agent itself has made for the learner.
        gender: As its LearnerPersonal has it.
        locate_only: The agent makes no learners, so NEW is no answer to it.
    """

    key: RefId
    upn: str = field(default="", repr=False)
    former_upns: tuple[str, ...] = field(default=(), repr=False)
    uln: str = field(default="", repr=False)
    family_name: str = field(default="", repr=False)
    given_name: str = field(default="", repr=False)
    birth_date: date | None = field(default=None, repr=False)
    gender: str = field(default="", repr=False)
    postcode: str = field(default="", repr=False)
    locate_only: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """The zone's answer for one learner.

    Attributes:
        key: The RefId that the agent asked with.
        ref_id: The learner's RefId in the zone; None for WAITING and NONE.
    """

    key: RefId
    outcome: Outcome
    ref_id: RefId | None = None


def control_name(message: Message) -> str:
    """Return LOCATE or RELOCATED when that is what a SIF_SystemControl holds; empty for any other."""
    if message.kind != "SIF_SystemControl":
        return ""
    found = next((child for data in message.payload.iterchildren(_DATA) for child in data), None)
    name = "" if found is None else str(found.tag).removeprefix(_NS)
    return name if name in (LOCATE, RELOCATED) else ""


def build_locate(header: Header, claims: Iterable[Claim]) -> bytes:
    """Return a SIF_SystemControl that asks who up to MAX_LEARNERS learners are.

    A value longer than any true one is left out, since one wrong row must not hold up the others.
    """
    root = etree.Element(_NS + LOCATE, nsmap={None: IDENTITY})  # type: ignore[dict-item]  # the stubs forget the default
    for claim in claims:
        learner = etree.SubElement(root, _LEARNER, Key=claim.key)
        values = (claim.upn, claim.uln, claim.family_name, claim.given_name, claim.gender, claim.postcode)
        for (name, longest), value in zip(_LONGEST.items(), values, strict=True):
            if value and len(value) <= longest:
                learner.set(name, value)
        if claim.birth_date is not None:
            learner.set("BirthDate", claim.birth_date.isoformat())
        if claim.locate_only:
            learner.set("LocateOnly", "true")
        former = [upn for upn in claim.former_upns if upn and len(upn) <= _LONGEST["UPN"]]
        for upn in former[:MAX_FORMER_UPNS]:
            etree.SubElement(learner, _FORMER).text = upn
    return _control(header, root)


def parse_locate(message: Message) -> tuple[Claim, ...]:
    """Return what a SIF_SystemControl with Locate asks, in its order.

    Raises:
        NotValid: It holds something else, too many learners, a learner twice, or a value that is not as it should be;
            names the learner by its place, counted from 1, and repeats no value.
    """
    claims = tuple(_claim(learner, place) for learner, place in _learners(_in_control(message, LOCATE), LOCATE))
    _check_once(claims, LOCATE)
    return claims


def build_located(places: Iterable[Place]) -> bytes:
    """Return Located, for :attr:`broker.protocol.envelope.Ack.data`."""
    return etree.tostring(_said(LOCATED, places), encoding="utf-8")


def parse_located(data: bytes) -> tuple[Place, ...]:
    """Return what Located, as :attr:`broker.protocol.envelope.Ack.data` has it, says.

    Raises:
        NotWellFormed: It is no XML document.
        NotValid: It is no Located, or is not as it should be; see :func:`parse_locate`.
    """
    root = parse_document(data)
    if root.tag != _NS + LOCATED:
        raise NotValid(f"SIF_Ack/SIF_Status/SIF_Data does not hold {LOCATED} in namespace {IDENTITY}: answer with it")
    return _places(root, LOCATED)


def build_relocated(header: Header, places: Iterable[Place]) -> bytes:
    """Return a SIF_SystemControl that tells an agent what has been decided of up to MAX_LEARNERS learners."""
    return _control(header, _said(RELOCATED, places))


def parse_relocated(message: Message) -> tuple[Place, ...]:
    """Return what a SIF_SystemControl with Relocated says.

    Raises:
        NotValid: See :func:`parse_locate`.
    """
    return _places(_in_control(message, RELOCATED), RELOCATED)


def _control(header: Header, root: etree._Element) -> bytes:
    inner = etree.tostring(root, encoding="utf-8")
    return build_message("SIF_SystemControl", header, b"<SIF_SystemControlData>%b</SIF_SystemControlData>" % inner)


def _said(name: str, places: Iterable[Place]) -> etree._Element:
    root = etree.Element(_NS + name, nsmap={None: IDENTITY})  # type: ignore[dict-item]  # the stubs forget the default
    for place in places:
        learner = etree.SubElement(root, _LEARNER, Key=place.key, Outcome=place.outcome.value)
        if place.ref_id is not None and place.outcome in (Outcome.FOUND, Outcome.NEW):
            learner.set("RefId", place.ref_id)
    return root


def _in_control(message: Message, name: str) -> etree._Element:
    children = [child for data in message.payload.iterchildren(_DATA) for child in data]
    if len(children) != 1 or children[0].tag != _NS + name:
        raise NotValid(f"SIF_SystemControlData must hold one {name} in namespace {IDENTITY}: send that alone")
    return children[0]


def _learners(root: etree._Element, name: str) -> Iterator[tuple[etree._Element, str]]:
    """Yield each learner with the words for its place."""
    if root.attrib:
        raise NotValid(f"{name} has an attribute: leave it out, only its learners have any")
    if not 1 <= len(root) <= MAX_LEARNERS:
        raise NotValid(f"{name} must hold 1 to {MAX_LEARNERS} learners: send several messages for more")
    for number, learner in enumerate(root, start=1):
        place = f"{name}/Learner[{number}]"
        if learner.tag != _LEARNER:
            raise NotValid(f"{place} is no Learner in namespace {IDENTITY}: send nothing else in {name}")
        yield learner, place


def _claim(learner: etree._Element, place: str) -> Claim:
    _check_attributes(learner, _ASKED, place)
    texts = {name: _text(learner.get(name, ""), longest, f"{place}/@{name}") for name, longest in _LONGEST.items()}
    if len(learner) > MAX_FORMER_UPNS:
        raise NotValid(f"{place} has more than {MAX_FORMER_UPNS} former UPNs: send the newest alone")
    former = []
    for child in learner:
        if child.tag != _FORMER or len(child) or child.attrib:
            raise NotValid(f"{place} holds something other than FormerUPN with a text: leave it out")
        former.append(_text(child.text or "", _LONGEST["UPN"], f"{place}/FormerUPN"))
    only = learner.get("LocateOnly", "false")
    if only not in ("true", "false"):
        raise NotValid(f'{place}/@LocateOnly must be "true" or left out')
    return Claim(
        _guid(learner, "Key", place),
        texts["UPN"],
        tuple(upn for upn in former if upn),
        texts["ULN"],
        texts["FamilyName"],
        texts["GivenName"],
        _date(learner.get("BirthDate"), place),
        texts["Gender"],
        texts["Postcode"],
        only == "true",
    )


def _places(root: etree._Element, name: str) -> tuple[Place, ...]:
    places = tuple(_place(learner, place) for learner, place in _learners(root, name))
    _check_once(places, name)
    return places


def _place(learner: etree._Element, place: str) -> Place:
    _check_attributes(learner, _SAID, place)
    if len(learner):
        raise NotValid(f"{place} holds an element: leave it out")
    key = _guid(learner, "Key", place)
    said = learner.get("Outcome", "")
    if said not in list(Outcome):
        raise NotValid(f"{place}/@Outcome must be one of {', '.join(Outcome)}")
    outcome = Outcome(said)
    if outcome in (Outcome.WAITING, Outcome.NONE):
        if "RefId" in learner.attrib:
            raise NotValid(f"{place}/@RefId: nobody has one while the outcome is {outcome}: leave it out")
        return Place(key, outcome)
    if outcome is Outcome.NEW and "RefId" not in learner.attrib:
        return Place(key, outcome, key)
    return Place(key, outcome, _guid(learner, "RefId", place))


def _check_attributes(learner: etree._Element, known: frozenset[str], place: str) -> None:
    if not known.issuperset(map(str, learner.attrib)):
        raise NotValid(f"{place} has an attribute that is none of {', '.join(sorted(known))}: leave it out")


def _check_once(learners: tuple[Claim, ...] | tuple[Place, ...], name: str) -> None:
    if len({learner.key for learner in learners}) != len(learners):
        raise NotValid(f"{name} holds two learners with the same Key: send each once")


def _guid(learner: etree._Element, name: str, place: str) -> RefId:
    text = learner.get(name, "")
    if not is_guid(text):
        raise NotValid(f"{place}/@{name} must be 32 upper-case hexadecimal digits without hyphens")
    return RefId(text)


def _text(text: str, longest: int, place: str) -> str:
    if len(text) > longest:
        raise NotValid(f"{place} has more than {longest} characters: correct it, or leave it out")
    return " ".join(text.split())


def _date(text: str | None, place: str) -> date | None:
    if text is None:
        return None
    try:
        # The form first: fromisoformat takes 20160102 and 2016-W01-1 too.
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise NotValid(f"{place}/@BirthDate must be a date of the form yyyy-mm-dd, or left out")
    return found


__all__ = [
    "IDENTITY",
    "LOCATE",
    "LOCATED",
    "MAX_FORMER_UPNS",
    "MAX_LEARNERS",
    "RELOCATED",
    "Claim",
    "Outcome",
    "Place",
    "build_locate",
    "build_located",
    "build_relocated",
    "control_name",
    "parse_locate",
    "parse_located",
    "parse_relocated",
]
