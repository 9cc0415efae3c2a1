"""Turns received objects into rows. Any element may be missing: agreements cut."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from lxml import etree

from agents.virtual_school.records import (
    Care,
    Contact,
    Enrolment,
    Exclusion,
    Learner,
    LearnerContact,
    Mark,
    Need,
    Placement,
    Plan,
    Row,
    School,
    Step,
    Term,
    Total,
    Transfer,
)
from mappings import Objects

_LARGEST: Final = 2**31 - 1


class _Element:
    """An element whose parts are named without a namespace: SIF UK's and our own objects have different ones."""

    def __init__(self, element: etree._Element) -> None:
        self._element = element
        self._namespace = str(element.tag).rpartition("}")[0].removeprefix("{")

    def attribute(self, name: str) -> str:
        return " ".join(self._element.get(name, "").split())

    def text(self, path: str = "") -> str:
        found = self._element if not path else self._element.find(self._path(path))
        return " ".join((found.text or "").split()) if found is not None else ""

    def date(self, path: str) -> date | None:
        """Return a date; a time zone after it means nothing for a day, and is left out."""
        try:
            return date.fromisoformat(self.text(path)[:10])
        except ValueError:
            return None

    def number(self, path: str) -> int | None:
        text = self.text(path)
        return int(text) if text.isdecimal() and text.isascii() and len(text) < 11 and int(text) <= _LARGEST else None

    def each(self, path: str) -> Iterator["_Element"]:
        return map(_Element, self._element.iterfind(self._path(path)))

    def first(self, path: str) -> "_Element | None":
        return next(self.each(path), None)

    def school_number(self, path: str = "") -> str:
        """Return authority and establishment as one number; empty when one of them is missing."""
        prefix = f"{path}/" if path else ""
        authority, establishment = self.text(f"{prefix}LAId"), self.text(f"{prefix}EstablishmentId")
        return f"{authority}{establishment.zfill(4)}" if authority and establishment else ""

    def _path(self, path: str) -> str:
        return "/".join(f"{{{self._namespace}}}{step}" if self._namespace else step for step in path.split("/"))


def _school(one: _Element) -> Iterator[School]:
    yield School(
        one.attribute("RefId"),
        one.school_number(),
        one.text("SchoolName"),
        one.text("LAId"),
        one.text("URN"),
        one.text("Phase"),
        one.text("SchoolPhoneNumber/Number"),
        one.text("SchoolEmail"),
        one.text("HeadTeacherInfo/ContactName"),
    )


def _term(one: _Element) -> Iterator[Term]:
    yield Term(
        one.attribute("RefId"),
        one.attribute("SchoolInfoRefId"),
        one.text("SchoolYear"),
        one.text("TermCode"),
        one.text("Description"),
        one.date("StartDate"),
        one.date("EndDate"),
    )


def _learner(one: _Element) -> Iterator[Learner]:
    name = "PersonalInformation/Name/"
    yield Learner(
        one.attribute("RefId"),
        one.text(f"{name}FamilyName"),
        one.text(f"{name}GivenName"),
        one.text(f"{name}PreferredFamilyName"),
        one.text(f"{name}PreferredGivenName"),
        one.text("UPN"),
        one.text("ULN"),
        one.date("PersonalInformation/Demographics/BirthDate"),
        one.text("PersonalInformation/Demographics/Gender"),
        one.text("PersonalInformation/Email"),
        one.text("InCare/Current"),
        one.text("InCare/LAId"),
        one.school_number("CurrentSchoolEnrolment"),
        one.text("CurrentSchoolEnrolment/NCYearGroup"),
    )


def _enrolment(one: _Element) -> Iterator[Enrolment]:
    yield Enrolment(
        one.attribute("RefId"),
        one.attribute("LearnerPersonalRefId"),
        one.attribute("SchoolInfoRefId"),
        one.attribute("MembershipType"),
        one.text("NCYearGroupActual"),
        one.date("EntryDate"),
        one.date("ExitDate"),
        one.text("ExitType/Code"),
        one.school_number("ExitType/Destination"),
        one.text("FTPTStatus"),
    )


def _care(one: _Element) -> Iterator[Care | Placement]:
    ref_id, learner = one.attribute("RefId"), one.attribute("LearnerPersonalRefId")
    yield Care(
        ref_id,
        learner,
        one.attribute("LAInfoRefId"),
        one.text("Current"),
        one.text("CareStatus"),
        one.date("CareStartDate"),
        one.date("CareEndDate"),
        one.text("CareEndReason"),
        one.text("LegalStatus"),
        one.text("CategoryOfNeed"),
        one.text("CareType"),
        one.date("AsAtDate"),
    )
    for number, placement in enumerate(one.each("PlacementList/Placement"), start=1):
        yield Placement(
            f"{ref_id}|{number:03}",
            learner,
            ref_id,
            placement.date("StartDate"),
            placement.date("EndDate"),
            placement.text("Type"),
            placement.text("ProviderType"),
            placement.text("PlacementLAId"),
            placement.text("OutOfAuthority"),
            placement.text("ChangeReason"),
        )


def _transfer(one: _Element) -> Iterator[Transfer | Step]:
    ref_id, learner = one.attribute("RefId"), one.attribute("LearnerPersonalRefId")
    due = one.first("CTFDueDate")
    yield Transfer(
        ref_id,
        learner,
        one.attribute("FromSchoolInfoRefId"),
        one.attribute("ToSchoolInfoRefId"),
        one.school_number("FromEstablishment"),
        one.school_number("ToEstablishment"),
        one.text("TransferType"),
        one.date("LeavingDate"),
        one.text("LeavingReason"),
        one.date("EntryDate"),
        one.text("LookedAfterAtTransfer"),
        one.text("Status"),
        one.date("CTFDueDate"),
        due.attribute("DayKind") if due else "",
        one.date("PEPRecordDueDate"),
        one.text("PEPRecordSent"),
        one.text("PEPRecordReceived"),
        one.text("CTF/FileName"),
    )
    for number, step in enumerate(one.each("StatusHistoryList/StatusChange"), start=1):
        yield Step(
            f"{ref_id}|{number:03}",
            learner,
            ref_id,
            number,
            step.attribute("Status"),
            step.attribute("DateTime"),
            step.attribute("Actor"),
            step.attribute("Note"),
        )


def _plan(one: _Element) -> Iterator[Plan]:
    yield Plan(
        one.attribute("RefId"),
        one.attribute("LearnerPersonalRefId"),
        one.attribute("LearnerLookedAfterRefId"),
        one.attribute("SchoolInfoRefId"),
        one.text("PlanType"),
        one.text("AcademicYear"),
        one.text("Term"),
        one.date("TriggerDate"),
        one.date("InitiateByDate"),
        one.date("DueDate"),
        one.date("MeetingDate"),
        one.date("CompletedDate"),
        one.date("NextReviewDate"),
        one.text("Status"),
        one.text("QualityRating"),
    )


def _mark(one: _Element) -> Iterator[Mark]:
    yield Mark(
        one.attribute("RefId"),
        one.attribute("LearnerPersonalRefId"),
        one.attribute("SchoolInfoRefId"),
        one.date("AttendanceDate"),
        one.text("Session"),
        one.text("AttendanceDomain"),
        one.text("AttendanceCode"),
        one.text("RecordTimestamp"),
    )


def _total(one: _Element) -> Iterator[Total]:
    learner, school = one.attribute("LearnerPersonalRefId"), one.attribute("SchoolInfoRefId")
    key = (learner, school, one.text("SchoolYear"), one.text("StartDate"), one.text("EndDate"))
    yield Total(
        "|".join(key),
        learner,
        school,
        one.text("SchoolYear"),
        one.date("StartDate"),
        one.date("EndDate"),
        one.number("SessionsAttendedTotal"),
        one.number("SessionsPossible"),
        one.number("AuthorisedAbsences"),
        one.number("UnauthorisedAbsences"),
    )


def _exclusion(one: _Element) -> Iterator[Exclusion]:
    yield Exclusion(
        one.attribute("RefId"),
        one.attribute("LearnerPersonalRefId"),
        one.text("Category"),
        one.text("Reason"),
        one.date("StartDate"),
        one.date("EndDate"),
        one.number("ActualSessions"),
    )


def _need(one: _Element) -> Iterator[Need]:
    types = sorted(one.each("SENTypeList/SENType"), key=lambda kind: kind.attribute("Ranking").zfill(10))
    yield Need(
        one.attribute("RefId"),
        one.attribute("LearnerPersonalRefId"),
        one.attribute("SchoolInfoRefId"),
        one.text("Provision"),
        " ".join(kind.text() for kind in types),
        one.date("StartDate"),
        one.date("EndDate"),
        one.date("NextReviewDate"),
    )


def _contact(one: _Element) -> Iterator[Contact]:
    name = "PersonalInformation/Name/"
    names = one.text(f"{name}GivenName"), one.text(f"{name}FamilyName")
    yield Contact(
        one.attribute("RefId"),
        " ".join(filter(None, names)),
        one.text("PersonalInformation/Email"),
        one.text("PersonalInformation/PhoneNumber/Number"),
    )


def _learner_contact(one: _Element) -> Iterator[LearnerContact]:
    learner, contact = one.attribute("LearnerPersonalRefId"), one.attribute("ContactPersonalRefId")
    yield LearnerContact(
        f"{learner}|{contact}",
        learner,
        contact,
        one.text("Relationship"),
        one.text("ContactFlags/ParentLegalGuardian"),
        one.text("ContactFlags/LivesWith"),
        one.number("ContactSequence"),
    )


_READERS: Final[Mapping[str, tuple[tuple[type[Row], ...], Callable[[_Element], Iterator[Row]]]]] = MappingProxyType(
    {
        "SchoolInfo": ((School,), _school),
        "TermInfo": ((Term,), _term),
        "LearnerPersonal": ((Learner,), _learner),
        "LearnerSchoolEnrolment": ((Enrolment,), _enrolment),
        "LearnerLookedAfter": ((Care, Placement), _care),
        "LearnerTransfer": ((Transfer, Step), _transfer),
        "LearnerEducationPlan": ((Plan,), _plan),
        "LearnerAttendance": ((Mark,), _mark),
        "LearnerAttendanceSummary": ((Total,), _total),
        "LearnerExclusion": ((Exclusion,), _exclusion),
        "LearnerSpecialNeeds": ((Need,), _need),
        "ContactPersonal": ((Contact,), _contact),
        "LearnerContact": ((LearnerContact,), _learner_contact),
    }
)

OBJECTS: Final[Mapping[str, tuple[type[Row], ...]]] = MappingProxyType(
    {name: tables for name, (tables, _) in _READERS.items()}
)
"""The objects that are kept, and the tables that each fills, in the order of writing."""


def rows_of(objects: Objects, object_type: str) -> Iterator[Row]:
    """Yield the rows of all objects of a type, an object's own row before those of its parts."""
    read = _READERS[object_type][1]
    for element in objects.all(object_type):
        yield from read(_Element(element))


__all__ = ["OBJECTS", "rows_of"]
