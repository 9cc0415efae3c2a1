"""Writes a school's pupils as a Common Transfer File: tidy as a recent system does, or as loosely as older ones do.

Source:
    DfE Common Transfer File 19 and 25 as school systems write them.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from lxml import etree

from deploy.demo.authority import AUTHORITY, TOWN
from deploy.demo.identifiers import SCHOOL_YEAR
from deploy.demo.people import Contact, Home, Pupil, School

_HEADER: Final = '<?xml version="1.0" encoding="utf-8"?>'
_LEFT_PRIMARY: Final = "JS"


def ctf_file(school: School, pupils: Sequence[Pupil], written: str, *, loose: bool) -> bytes:
    """Return the file with *pupils* in their order.

    Args:
        written: Date and time of the export, as in ``2026-11-23T06:30:00``.
        loose: As older systems write: version 19, capitals, blank lines, CRLF, empty elements, contacts out of order.
    """
    root = etree.Element("CTfile")
    _header(_part(root, "Header"), school, written, loose=loose)
    data = _part(root, "CTFpupilData")
    for pupil in pupils:
        (_LoosePupil if loose else _TidyPupil)(school, pupil).write(_part(data, "Pupil"))
    if loose:
        return "\r\n\r\n".join([_HEADER, *_lines(root)]).encode() + b"\r\n"
    etree.indent(root)
    return f"{_HEADER}\n".encode() + etree.tostring(root, encoding="utf-8") + b"\n"


def _lines(element: etree._Element) -> Iterator[str]:
    """Yield every element on a line of its own, without indentation."""
    if len(element):
        yield f"<{element.tag}>"
        for child in element:
            yield from _lines(child)
        yield f"</{element.tag}>"
    else:
        yield etree.tostring(element, encoding="unicode")


def _header(header: etree._Element, school: School, written: str, *, loose: bool) -> None:
    _texts(
        header,
        DocumentName="Common Transfer File",
        CTFversion="19.0" if loose else "25.0",
        DateTime=written,
        DocumentQualifier="full",
        SupplierID="MadeUpMIS Classic" if loose else "MadeUpMIS",
    )
    _texts(
        _part(header, "SourceSchool"),
        LEA=school.establishment[:3],
        Estab=school.establishment[3:],
        URN="XXXXXX" if loose else school.urn,
        SchoolName=school.name,
        AcademicYear=str(SCHOOL_YEAR),
    )
    destination = _part(header, "DestSchool")
    _texts(destination, LEA=school.establishment[:3], Estab=school.establishment[3:])
    if not loose:
        _texts(destination, URN=school.urn)


class _TidyPupil:
    """Writes one pupil, element by element in the order of the format."""

    sex_tag = "Sex"

    def __init__(self, school: School, pupil: Pupil) -> None:
        self.school, self.pupil = school, pupil

    def write(self, root: etree._Element) -> None:
        """Fill the Pupil element."""
        pupil = self.pupil
        self.texts(root, UPN=pupil.shown("upn", pupil.upn), UniqueLearnerNumber=pupil.uln)
        _texts(root, Surname=self.name(pupil.shown("surname", pupil.surname)))
        _texts(root, Forename=self.name(pupil.shown("forename", pupil.forename)))
        _texts(root, DOB=pupil.shown("birth", pupil.birth.isoformat()))
        _texts(root, **{self.sex_tag: pupil.shown("sex", pupil.sex)})
        self.basics(_part(root, "BasicDetails"))
        care = _part(root, "LookedAfter")
        self.texts(care, InCare=pupil.shown("in_care", "true" if pupil.care_authority else "false"))
        self.texts(care, CareAuthority=pupil.shown("care_authority", pupil.care_authority))
        self.needs(root)
        self.address(_part(root, "Address"), pupil.home)
        self.phones(root, ("H", pupil.home.phone))
        self.texts(root, Email=pupil.email)
        contacts = _part(root, "Contacts")
        for order, contact in self.in_order(enumerate(pupil.contacts, start=1)):
            self.contact(_part(contacts, "Contact"), order, contact)
        self.attendance(_part(root, "Attendance"))
        self.history(_part(root, "SchoolHistory"))

    def name(self, text: str) -> str:
        """Return a name as this system writes it."""
        return text

    def number(self, text: str) -> str:
        """Return a telephone number as this system writes it."""
        return text

    def in_order(self, contacts: Iterable[tuple[int, Contact]]) -> list[tuple[int, Contact]]:
        """Return the contacts in the order in which this system writes them."""
        return list(contacts)

    def texts(self, parent: etree._Element, **texts: str) -> None:
        """Add elements; a system that is tidy leaves out the empty ones."""
        _texts(parent, **{tag: text for tag, text in texts.items() if text})

    def basics(self, root: etree._Element) -> None:
        """Write BasicDetails."""
        pupil = self.pupil
        self.texts(
            root,
            FormerUPN=pupil.former_upn,
            PreferredSurname=self.name(pupil.shown("surname", pupil.surname)),
            PreferredForename=self.name(pupil.preferred_forename),
            MiddleNames=self.name(pupil.middle_names),
            NCyearActual=pupil.year,
            Ethnicity=pupil.ethnicity,
            EthnicitySource="P",
        )
        _texts(_part(_part(root, "Languages"), "Type"), LanguageType="F", Language=pupil.language)
        self.texts(
            root,
            ServiceChild="N",
            MedicalFlag="false",
            EnrolStatus=pupil.shown("enrolment_status", pupil.enrolment_status),
        )

    def needs(self, root: etree._Element) -> None:
        """Write SENhistory, of those who have one."""
        pupil = self.pupil
        if pupil.sen_start is None:
            return
        history = _part(root, "SENhistory")
        _texts(_part(history, "SEN"), StartDate=pupil.sen_start.isoformat(), SENprovision=pupil.sen_provision)
        needs = _part(history, "SENneeds")
        for rank, need in enumerate(pupil.needs, start=1):
            started = pupil.sen_start.isoformat()
            _texts(_part(needs, "SENneed"), NeedStartDate=started, SENtypeRank=str(rank), SENtype=need)

    def address(self, root: etree._Element, home: Home) -> None:
        """Write an Address."""
        _texts(_part(root, "BS7666Address"), PAON=home.house, Street=home.street, Town=TOWN)
        _texts(root, County="Madeupshire", PostCode=home.postcode, Country="United Kingdom")

    def phones(self, root: etree._Element, *numbers: tuple[str, str]) -> None:
        """Write Phones, with a type for each."""
        phones = _part(root, "Phones")
        for kind, number in numbers:
            _texts(_part(phones, "Phone"), TelephoneType=kind, PhoneNo=self.number(number))

    def contact(self, root: etree._Element, order: int, contact: Contact) -> None:
        """Write one Contact."""
        first = order == 1
        _texts(root, Order=self.pupil.shown("contact_order", "1") if first else str(order), Title=contact.title)
        _texts(root, Surname=self.name(contact.surname), Forename=self.name(contact.forename))
        _texts(root, **{self.sex_tag: contact.sex})
        related = contact.relationship
        self.texts(root, Relationship=self.pupil.shown("relationship", related) if first else related)
        _texts(root, Responsibility=str(contact.responsible).lower())
        if contact.lives_with:
            _texts(_part(root, "Address"), AddressAsPupil="true")
        elif contact.home:
            self.address(_part(root, "Address"), contact.home)
        self.phones(root, ("M", contact.mobile))
        _texts(root, Email=contact.email)

    def attendance(self, root: etree._Element) -> None:
        """Write the totals of the year."""
        found, school = self.pupil.attendance, self.school.establishment
        _texts(
            _part(root, "YearData"),
            Year=str(SCHOOL_YEAR),
            LEA=school[:3],
            Estab=school[3:],
            SchoolName=self.school.name,
            SessionsPossible=str(found.possible),
            SessionsAuthorised=str(found.authorised),
            SessionsAttended=str(found.attended),
            SessionsUnauthorised=str(found.unauthorised),
        )

    def history(self, root: etree._Element) -> None:
        """Write the schools in the order of time, this one last."""
        pupil, earlier = self.pupil, self.pupil.earlier
        if earlier:
            self.stay(_part(root, "School"), earlier.establishment, earlier.school, earlier.entry.isoformat())
            _texts(root[-1], LeavingDate=earlier.leaving.isoformat(), LeavingReason=_reason(pupil))
        entry = pupil.shown("entry", pupil.entry.isoformat())
        self.stay(_part(root, "School"), self.school.establishment, self.school.name, entry)
        left = pupil.leaving.isoformat() if pupil.leaving else ""
        self.texts(root[-1], LeavingDate=left, LeavingReason=pupil.leaving_reason)

    def stay(self, root: etree._Element, establishment: str, school: str, entry: str) -> None:
        """Write one School of the history, but for its end."""
        _texts(root, LEA=establishment[:3], Estab=establishment[3:], SchoolName=school)
        self.texts(root, EntryDate=entry)


class _LoosePupil(_TidyPupil):
    """Writes a pupil as older systems do."""

    sex_tag = "Gender"

    def name(self, text: str) -> str:
        return text.upper()

    def number(self, text: str) -> str:
        return f" {text[:5]} {text[5:].strip()[:3]}  {text[5:].strip()[3:]} "

    def in_order(self, contacts: Iterable[tuple[int, Contact]]) -> list[tuple[int, Contact]]:
        return list(reversed(list(contacts)))

    def texts(self, parent: etree._Element, **texts: str) -> None:
        _texts(parent, **texts)

    def address(self, root: etree._Element, home: Home) -> None:
        _texts(_part(root, "BS7666Address"), SAON="", PAON=f"   {home.house}", Street=home.street, Town=TOWN)
        _texts(root, County="", PostCode=home.postcode.replace(" ", ""), ZIP="", Northing="300000", Easting="400000")

    def attendance(self, root: etree._Element) -> None:
        earlier = self.pupil.earlier
        if earlier and earlier.leaving >= date(SCHOOL_YEAR - 1, 9, 1):
            _texts(
                _part(root, "YearData"),
                Year=str(SCHOOL_YEAR - 1),
                LEA=AUTHORITY,
                Estab=earlier.establishment[3:],
                URN="",
                SchoolName=earlier.school.upper(),
                SessionsPossible="378",
                SessionsAuthorised="6",
                SessionsAttended="370",
                SessionsUnauthorised="2",
            )
        super().attendance(root)


def _reason(pupil: Pupil) -> str:
    return _LEFT_PRIMARY if pupil.entry.month == 9 else "ST"


def _part(parent: etree._Element, tag: str) -> etree._Element:
    return etree.SubElement(parent, tag)


def _texts(parent: etree._Element, **texts: str) -> None:
    for tag, text in texts.items():
        etree.SubElement(parent, tag).text = text
