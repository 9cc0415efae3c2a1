"""A learner's move as a LearnerTransfer and back: the case as the zone publishes it, and what an agent's tells of one.

What becomes of a case is decided in transfers.py; who may say what, and who may know of it, elsewhere.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, cast

from lxml import etree

from broker.calendars import local_date
from broker.deadlines import Deadline, RuleId
from broker.learners import YEARS
from broker.protocol.envelope import LOOKED_AFTER, Action, EventObject
from broker.protocol.errors import NotValid
from broker.protocol.identifiers import AgentId, Establishment, RefId, is_guid
from broker.transfer_cases import (
    NOT_KNOWN,
    OUTSIDE,
    Cancelled,
    Ctf,
    CtfArrived,
    CtfDelivered,
    CtfLoaded,
    CtfPrepared,
    CtfSent,
    Event,
    LeftSector,
    MovePlanned,
    Note,
    Record,
    RecordPassed,
    Rejected,
    Status,
    StatusChange,
    TransferCase,
    WriteCtf,
)

PERSON: Final = "Person"
"""Actor of what people do; in a case with their login after a colon, in what is published without."""

_NS: Final = f"{{{LOOKED_AFTER}}}"
_S: Final = Status
_AUTHORITY_LENGTH: Final = 3
_ESTABLISHMENT: Final = re.compile(r"(?:[0-9]{3}|XXX|MMM)(?:[0-9]{4}|XXXX|MMMM|LLLL)")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FILE_NAME: Final = re.compile(r"([0-9A-Z]{7})_CTF_([0-9A-Z]{7})_.*", re.IGNORECASE)
"""From which school to which a file is, by its name.

Source:
    DfE Common Transfer File: how its files are named.
"""
_NOT_A_FILE: Final = frozenset({_S.PLANNED, _S.NOTIFIED, _S.PREPARED, _S.CANCELLED})
"""Statuses of a transfer new to the zone that do not say that a file is on its way, or further."""
_LOADED: Final = frozenset({_S.LOADED, _S.COMPLETE})
_DELIVERED: Final = frozenset({_S.DELIVERED, *_LOADED})
_SENT: Final = frozenset({_S.SENT, _S.LOST_PUPILS, *_DELIVERED})


# What the zone publishes.


def transfer_object(
    case: TransferCase, places: Mapping[str, str], authorities: Mapping[str, str], *, shield: bool = False
) -> etree._Element:
    """Return *case* as a whole LearnerTransfer, valid by the zone's schema.

    A RefId that the zone does not know is derived from what it stands for: the SHA-256 of ``LAInfo/820`` or
    ``SchoolInfo/8209901``, its first 32 digits. So the same school always has the same, and none is left out that must
    be there. The old school has the number of that day, the new one the number that the file is to go to: XXXXXXX once
    it goes to the lost pupils, MMMMMMM outside the sector. The case knows no pupil numbers, so none is in it.

    Args:
        places: RefId of the SchoolInfo by establishment number.
        authorities: RefId of the LAInfo by LA number.
        shield: Whether Shield is in it: for the zone's own use, never to be delivered.
    """
    root = etree.Element(_NS + "LearnerTransfer", nsmap=cast("dict[str, str]", {None: LOOKED_AFTER}))  # stubs lack None
    root.set("RefId", case.ref_id)
    root.set("LearnerPersonalRefId", case.learner)
    destination = case.destination or (NOT_KNOWN if _goes_to_pool(case) else None)
    old = _place(places, case.from_school, case.old_number)
    new = _place(places, case.new_number, case.to_school)
    if old:
        root.set("FromSchoolInfoRefId", old)
    if new or not old:
        root.set("ToSchoolInfoRefId", new or derived("SchoolInfo", destination or NOT_KNOWN))
    _add_establishment(root, "FromEstablishment", case.from_school)
    _add_establishment(root, "ToEstablishment", destination)
    _add(root, "TransferType", case.transfer_type)
    _add(root, "LeavingDate", case.leaving)
    _add(root, "LeavingReason", case.reason)
    _add(root, "EntryDate", case.entry)
    _add(root, "MembershipType", case.membership)
    _add(root, "LookedAfterAtTransfer", {True: "Yes", False: "No", None: "Unknown"}[case.looked_after])
    school = case.from_school or case.to_school or destination or NOT_KNOWN
    authority = case.responsible or school[:_AUTHORITY_LENGTH]
    _add(root, "LAInfoRefId", authorities.get(authority) or derived("LAInfo", authority))
    _add_ctf(root, case.ctf)
    _add(root, "Status", case.status)
    _add_deadline(root, "CTFDueDate", case.deadline(RuleId.T1, RuleId.T2, RuleId.T3))
    _add_deadline(root, "PEPRecordDueDate", case.deadline(RuleId.L10))
    _add_history(root, case.history)
    for record in Record:
        if record in case.passed:
            _add(root, record, "Yes", Date=case.passed[record].isoformat())
    if shield:
        _add(root, "Shield", case.shield)
    return root


def derived(object_type: str, number: str) -> RefId:
    """Return the RefId that stands for a school or an authority of which the zone has none: always the same."""
    return RefId(hashlib.sha256(f"{object_type}/{number}".encode()).hexdigest()[:32].upper())


def _place(places: Mapping[str, str], *numbers: Establishment | None) -> str:
    """Return the RefId of the school that has or had *numbers*; empty when none is known."""
    known = [number for number in numbers if number is not None]
    found = next((places[number] for number in known if number in places), "")
    return found or (derived("SchoolInfo", known[0]) if known else "")


def _goes_to_pool(case: TransferCase) -> bool:
    """Tell whether a file for nobody was asked for, is written, or is in the pool."""
    if case.status in (_S.DESTINATION_UNKNOWN, _S.LOST_PUPILS) or (case.ctf and case.ctf.destination == NOT_KNOWN):
        return True
    asked = WriteCtf(case.learner, NOT_KNOWN, NOT_KNOWN).key.rpartition(":")[0]
    return any(key.rpartition(":")[0] == asked for key in case.issued)


def _add(parent: etree._Element, name: str, value: object, **attributes: str) -> None:
    """Add an element, unless there is nothing to say."""
    if value in (None, ""):
        return
    etree.SubElement(parent, _NS + name, attributes).text = str(value)


def _add_establishment(root: etree._Element, name: str, school: Establishment | None) -> None:
    if school is None or _ESTABLISHMENT.fullmatch(school) is None:
        return
    element = etree.SubElement(root, _NS + name)
    _add(element, "LAId", school[:_AUTHORITY_LENGTH])
    _add(element, "EstablishmentId", school[_AUTHORITY_LENGTH:])


def _add_ctf(root: etree._Element, ctf: Ctf | None) -> None:
    if ctf is None:
        return
    element = etree.SubElement(root, _NS + "CTF")
    _add(element, "FileName", ctf.file_name)
    _add(element, "Version", ctf.version if _VERSION.fullmatch(ctf.version) else "")
    _add(element, "Qualifier", ctf.qualifier)
    _add(element, "SHA256", ctf.sha256 if _SHA256.fullmatch(ctf.sha256) else "")
    _add(element, "PupilCount", ctf.pupils or None)


def _add_deadline(root: etree._Element, name: str, deadline: Deadline | None) -> None:
    if deadline is not None:
        _add(root, name, deadline.due, DayKind=deadline.kind, Calendar=deadline.calendar)


def _add_history(root: etree._Element, history: tuple[StatusChange, ...]) -> None:
    element = etree.SubElement(root, _NS + "StatusHistoryList")
    for change in history:
        role = PERSON if change.actor.startswith(f"{PERSON}:") else change.actor
        step = {"Status": change.status, "DateTime": change.at.isoformat(), "Actor": role}
        if change.note:
            step["Note"] = change.note
        etree.SubElement(element, _NS + "StatusChange", step)


# What an agent's LearnerTransfer tells.


def told_by(
    event: EventObject, sender: AgentId, at: datetime, schools: Mapping[str, str], case: TransferCase | None
) -> tuple[Event, ...]:
    """Return what a LearnerTransfer that an agent has published tells, in the order in which it is to be taken.

    Only its Status is believed to be what happens now; the history in it is others' word. What *case* has already is
    left out, so that the same object told twice tells nothing the second time. A file counts as known by its name and
    hash, and what was told of an earlier file, before a refusal, is no word about a later one.

    Args:
        event: Valid by the schema; of an Add or a Change. A Delete tells nothing: a case ends by what happens.
        sender: Who published it; whether it speaks for a school that it names is not looked at.
        at: When it came, with its time zone.
        schools: Establishment number by the RefId of its SchoolInfo.
        case: What it is about; None when the zone has none with this RefId. Then the first event is one that opens a
            case, or joins one.

    Raises:
        NotValid: Something is missing without which it tells nothing, or it contradicts *case*; says what to add.
    """
    if event.action is Action.DELETE:
        return ()
    said = _read(event, schools)
    if case is None and said.status is _S.CANCELLED:
        return ()  # nobody has told of that move, and now it is off
    if case is not None and said.learner and said.learner != case.learner:
        raise NotValid(
            f"LearnerTransfer {case.ref_id} is about another learner than its LearnerPersonalRefId now says: "
            "leave that as it was, or publish a new LearnerTransfer"
        )
    return tuple(_told(said, at, sender, case))


@dataclass(frozen=True, slots=True)
class _Said:
    """What a LearnerTransfer says.

    Attributes:
        old: School left; None where none is named, or none is known. ``new`` the one entered likewise, or what stands
            for none.
        passed: Records that were passed on, with the day where one is given.
    """

    action: Action
    learner: RefId | None
    old: Establishment | None
    new: Establishment | None
    leaving: date | None
    entry: date | None
    status: Status | None
    note: Note
    file_name: str
    sha256: str
    version: str
    qualifier: str
    pupils: int
    passed: tuple[tuple[Record, date | None], ...]

    @property
    def real_new(self) -> Establishment | None:
        """The school entered, where it is one."""
        return _school(self.new)

    def need_learner(self, case: TransferCase | None) -> RefId:
        """Return the learner."""
        learner = self.learner or (case.learner if case else None)
        if learner is None:
            raise NotValid("this LearnerTransfer names no learner: add LearnerPersonalRefId")
        return learner

    def need_new(self) -> Establishment:
        """Return the school whose word it is."""
        if self.real_new is None:
            raise NotValid(
                f"a LearnerTransfer of Status {self.status} is the new school's word and names none: add "
                "ToEstablishment with its LAId and EstablishmentId"
            )
        return self.real_new

    def need_old(self, case: TransferCase | None) -> Establishment:
        """Return the school that the file comes from."""
        old = self.old or _school(_named(self.file_name)[0]) or (case.old_number if case else None)
        if old is None:
            raise NotValid(
                "a LearnerTransfer with a CTF must say whose file it is: add FromEstablishment with the LAId and "
                "EstablishmentId of the old school"
            )
        return old

    def ctf(self, case: TransferCase | None) -> Ctf | None:
        """Return the file, addressed as the object says, or else its name; None when it tells of none."""
        if not self.file_name:
            return None
        pool = NOT_KNOWN if self.status is _S.LOST_PUPILS else None
        destination = pool or self.new or _named(self.file_name)[1] or (case.destination if case else None)
        if destination is None:
            raise NotValid(
                "a LearnerTransfer with a CTF must say whom the file is for: add ToEstablishment, with XXX and "
                "XXXX as its LAId and EstablishmentId where the new school is not known"
            )
        return Ctf(self.file_name, destination, self.sha256, self.version, self.qualifier, self.pupils)


def _told(said: _Said, at: datetime, actor: str, case: TransferCase | None) -> Iterator[Event]:
    if case is None:
        yield from _opening(said, at, actor)
    elif said.status is _S.PLANNED:
        yield from _planned(said, at, actor, case)
    elif _is_new_file(said, case) and said.action is Action.ADD and said.status not in (None, *_NOT_A_FILE):
        yield _arrived(said, at, actor, case)
    yield from _progress(said, at, actor, case)
    for record, day in said.passed:
        on = day or local_date(at)
        before = case.passed.get(record) if case else None
        if before is None or (day is not None and day < before):
            yield RecordPassed(at=at, actor=actor, record=record, on=on)


def _opening(said: _Said, at: datetime, actor: str) -> Iterator[Event]:
    """Yield what opens a case, or joins one."""
    if said.status is None:
        raise NotValid(
            "the zone has no LearnerTransfer with this RefId: publish it whole, as an Add with Status, or use the "
            "RefId of the zone's own"
        )
    if said.file_name and said.status not in _NOT_A_FILE:
        yield _arrived(said, at, actor, None)
    else:
        yield from _planned(said, at, actor, None)


def _arrived(said: _Said, at: datetime, actor: str, case: TransferCase | None) -> CtfArrived:
    ctf = said.ctf(case)
    if ctf is None:
        raise NotValid(f"a LearnerTransfer of Status {said.status} is about a file: add CTF with its FileName")
    return CtfArrived(at=at, actor=actor, learner=said.need_learner(case), source=said.need_old(case), ctf=ctf)


def _planned(said: _Said, at: datetime, actor: str, case: TransferCase | None) -> Iterator[Event]:
    if case is None and said.old is None and said.new in (None, NOT_KNOWN):
        raise NotValid(
            "a LearnerTransfer must name a school that the learner leaves or enters: add FromEstablishment or "
            "ToEstablishment with LAId and EstablishmentId"
        )
    new_to_case = case is None or any(
        told is not None and known is None
        for told, known in (
            (said.old, case.from_school),
            (said.real_new, case.to_school),
            (said.leaving, case.leaving),
            (said.entry, case.entry),
        )
    )
    if new_to_case:
        yield MovePlanned(
            at=at,
            actor=actor,
            learner=said.need_learner(case),
            from_school=said.old,
            to_school=said.real_new,
            leaving=said.leaving,
            entry=said.entry,
        )
    if said.new == OUTSIDE and (case is None or case.destination is None):
        yield LeftSector(at=at, actor=actor)


def _progress(said: _Said, at: datetime, actor: str, case: TransferCase | None) -> Iterator[Event]:
    """Yield what the status says that *case* has not come to, or was not told."""
    if said.status is _S.REJECTED:
        yield from _rejected(said, at, actor, case)
    elif said.status is not _S.CANCELLED:
        yield from _file(said, at, actor, case)
    elif case is not None and case.status is not _S.CANCELLED:
        yield Cancelled(at=at, actor=actor, note=said.note or Note.DID_NOT_TAKE_PLACE)


def _file(said: _Said, at: datetime, actor: str, case: TransferCase | None) -> Iterator[Event]:
    """Yield how far its file has come."""
    status, new_file = said.status, _is_new_file(said, case)
    if new_file and status in (None, _S.PLANNED, _S.NOTIFIED):
        raise NotValid("this LearnerTransfer tells of a CTF and not how far it has come: add Status CP, SE, DE or LD")
    if status is _S.PREPARED and (new_file or not (case and case.ctf)):
        yield CtfPrepared(at=at, actor=actor, ctf=_need_file(said, case))
    if status is _S.DELIVERED and _is_for_no_school(said, case):
        status = _S.SENT  # to where nobody takes it in
    since = frozenset[Status]() if new_file else _attempt(case)
    arrived = new_file and (case is None or said.action is Action.ADD)
    sent = (status is _S.SENT and since.isdisjoint(_SENT)) or (status in _DELIVERED and new_file)
    if (sent and not arrived) or (status is _S.LOST_PUPILS and _S.LOST_PUPILS not in since):
        file = _need_file(said, case)
        if case is not None and case.status is _S.REJECTED:
            yield CtfPrepared(at=at, actor=actor, ctf=file)  # after a refusal nothing is sent that is not prepared anew
        yield CtfSent(at=at, actor=actor, ctf=file)
    if status is _S.DELIVERED and since.isdisjoint(_DELIVERED):
        yield CtfDelivered(at=at, actor=actor)
    if status in _LOADED and since.isdisjoint(_LOADED):
        yield CtfLoaded(at=at, actor=actor, school=said.need_new())


def _rejected(said: _Said, at: datetime, actor: str, case: TransferCase | None) -> Iterator[Event]:
    if case is not None and case.status is _S.REJECTED:
        return
    if case is not None and case.ctf is not None and _is_new_file(said, case) and said.action is not Action.ADD:
        if any(change.status is _S.REJECTED for change in case.history):
            return  # an earlier file, refused before
        raise NotValid(
            "the CTF that this LearnerTransfer refuses is not the one on its way: give the FileName and SHA256 of "
            "that one, or leave CTF out"
        )
    yield Rejected(at=at, actor=actor, school=said.need_new(), note=said.note or Note.FILE_REFUSED)


def _need_file(said: _Said, case: TransferCase | None) -> Ctf:
    """Return the file that is told of; where none is named, the one that the case has."""
    ctf = said.ctf(case) or (case.ctf if case else None)
    if ctf is None:
        raise NotValid(f"a LearnerTransfer of Status {said.status} is about a file: add CTF with its FileName")
    return ctf


def _is_for_no_school(said: _Said, case: TransferCase | None) -> bool:
    ctf = said.ctf(case) or (case.ctf if case else None)
    return ctf is not None and ctf.destination in (NOT_KNOWN, OUTSIDE)


def _is_new_file(said: _Said, case: TransferCase | None) -> bool:
    """Tell whether it names a file that is not the case's, by its name and, where both are known, its hash."""
    if not said.file_name:
        return False
    if case is None or case.ctf is None or case.ctf.file_name != said.file_name:
        return True
    return bool(case.ctf.sha256 and said.sha256) and case.ctf.sha256 != said.sha256


def _attempt(case: TransferCase | None) -> frozenset[Status]:
    """Return the statuses since the last file but the present one was refused."""
    if case is None:
        return frozenset()
    statuses = [change.status for change in case.history]
    until = len(statuses) - (statuses[-1] is _S.REJECTED)
    refused = [place for place in range(until) if statuses[place] is _S.REJECTED]
    return frozenset(statuses[refused[-1] + 1 if refused else 0 :])


def _read(event: EventObject, schools: Mapping[str, str]) -> _Said:
    element = event.element
    learner = element.get("LearnerPersonalRefId", "").strip()
    word = _text(element, "Status")
    status = Status(word) if word in set(Status) else None
    old = _establishment(element, "FromEstablishment") or _number(element, "FromSchoolInfoRefId", schools)
    return _Said(
        event.action,
        RefId(learner) if is_guid(learner) else None,
        _school(old),
        _establishment(element, "ToEstablishment") or _number(element, "ToSchoolInfoRefId", schools),
        _date(_text(element, "LeavingDate")),
        _date(_text(element, "EntryDate")),
        status,
        _note(element, word),
        " ".join(_text(element, "CTF/FileName").split()),
        _text(element, "CTF/SHA256"),
        _text(element, "CTF/Version"),
        _text(element, "CTF/Qualifier"),
        _count(_text(element, "CTF/PupilCount")),
        tuple(_passed(element)),
    )


def _text(element: etree._Element, path: str) -> str:
    found = element.find(_NS + path.replace("/", f"/{_NS}"))
    return "" if found is None else (found.text or "").strip()


def _date(text: str) -> date | None:
    """Return the date in *text*, its time zone aside; None when there is none that a learner's can be."""
    try:
        day = date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None
    return day if day is not None and day.year in YEARS else None


def _count(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < len("10000000000") else 0


def _establishment(element: etree._Element, name: str) -> Establishment | None:
    number = _text(element, f"{name}/LAId") + _text(element, f"{name}/EstablishmentId")
    return Establishment(number) if _ESTABLISHMENT.fullmatch(number) else None


def _number(element: etree._Element, attribute: str, schools: Mapping[str, str]) -> Establishment | None:
    number = schools.get(element.get(attribute, "").strip(), "")
    return Establishment(number) if _ESTABLISHMENT.fullmatch(number) else None


def _named(file_name: str) -> tuple[Establishment | None, Establishment | None]:
    """Return from where and to where a file is, as its name says."""
    found = _FILE_NAME.fullmatch(file_name)
    numbers = [number.upper() for number in found.groups()] if found else []
    if len(numbers) != 2 or not all(map(_ESTABLISHMENT.fullmatch, numbers)):
        return None, None
    return Establishment(numbers[0]), Establishment(numbers[1])


def _school(number: Establishment | None) -> Establishment | None:
    """Return *number* where it is a school's, and not what stands for none."""
    return None if number in (NOT_KNOWN, OUTSIDE) else number


def _note(element: etree._Element, status: str) -> Note:
    """Return the note of the last step to *status* in its history."""
    steps = element.findall(f"{_NS}StatusHistoryList/{_NS}StatusChange")
    notes = [step.get("Note", "").strip() for step in steps if step.get("Status", "").strip() == status]
    return Note(notes[-1]) if notes and notes[-1] in set(Note) else Note.NONE


def _passed(element: etree._Element) -> Iterator[tuple[Record, date | None]]:
    for record in Record:
        found = element.find(_NS + record)
        if found is not None and (found.text or "").strip() == "Yes":
            yield record, _date(found.get("Date", "").strip())


__all__ = ["PERSON", "derived", "told_by", "transfer_object"]
