"""Writes a school's CSV reports, with the headings that the mapping library documents; what is in them is given."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from deploy.demo.authority import AUTHORITY, TOWN
from deploy.demo.identifiers import SCHOOL_YEAR
from deploy.demo.people import Home, Pupil, School

Row = dict[str, str]
_YEAR: Final = f"{SCHOOL_YEAR}/{SCHOOL_YEAR + 1}"
_TERMS: Final = (
    ("AUT", "Autumn term", date(2026, 9, 2), date(2026, 12, 18)),
    ("SPR", "Spring term", date(2027, 1, 4), date(2027, 3, 25)),
    ("SUM", "Summer term", date(2027, 4, 12), date(2027, 7, 21)),
)

_AWAY: Final = {23: "I", 31: "O", 37: "M"}
"""Marks of those whose admission number is a multiple of the key: ill, away without leave, at the doctor's."""


def reports(school: School, pupils: Sequence[Pupil], marked: date) -> dict[str, list[Row]]:
    """Return the rows of each report by file name, *pupils* in their order.

    A school that sends Common Transfer Files has reports on what these do not hold. Reports that know a pupil by UPN
    leave out who has none.

    Args:
        marked: The day whose attendance marks are reported.
    """
    known = [pupil for pupil in pupils if pupil.shown("upn", pupil.upn)]
    found: dict[str, Iterable[Row]] = {
        "school.csv": _school(school),
        "terms.csv": _terms(),
        "staff.csv": _staff(school),
        "groups.csv": _groups(school),
        "members.csv": _members(school, known),
    }
    if school.exports == "csv":
        found |= {
            "pupils.csv": map(_pupil, pupils),
            "contacts.csv": _contacts(known),
            "attendance.csv": map(_attendance, known),
            "daily-attendance.csv": _marks(known, marked),
            "sen.csv": _needs(known),
            "exclusions.csv": _exclusions(known),
        }
    numbers = {"LA Number": school.establishment[:3], "Estab Number": school.establishment[3:]}
    return {name: [numbers | row for row in rows] for name, rows in found.items()}


def csv_file(rows: Sequence[Row], *, quoted: bool) -> bytes:
    """Return the file in UTF-8 with byte order mark and CRLF, as spreadsheets write; *quoted* quotes every cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def _school(school: School) -> Iterator[Row]:
    head = school.staff[0]
    yield {
        "URN": school.urn,
        "School Name": school.name,
        "Phase": "Primary" if school.phase == "PY" else "Secondary",
        "Governance": "CO",
        "Gender Of Entry": "C",
        "Head Teacher": f"{head.title} {head.forename} {head.surname}",
        "Sessions Per Day": "2",
        "House": school.name,
        "Street": "Long Lane",
        "Town": TOWN,
        "Postcode": f"QZ{school.establishment[-1]} 1AA",
        "Phone": f"01632 960{school.establishment[-1]}00",
        "Email": f"office@{school.host}.example.org",
        "Website": f"https://{school.host}.example.org",
    }


def _terms() -> Iterator[Row]:
    for code, name, start, end in _TERMS:
        yield {
            "Academic Year": _YEAR,
            "Term Code": code,
            "Term Name": name,
            "Start Date": _date(start),
            "End Date": _date(end),
            "Terms Per Year": str(len(_TERMS)),
        }


def _staff(school: School) -> Iterator[Row]:
    for member in school.staff:
        yield {
            "Staff Code": member.code,
            "Title": member.title,
            "Surname": member.surname,
            "Forename": member.forename,
            "Work Email": member.email,
            "Post": member.post,
        }


def _groups(school: School) -> Iterator[Row]:
    for group in school.groups:
        yield {
            "Academic Year": _YEAR,
            "Group Code": group.code,
            "Group Name": group.name,
            "Group Type": "Teaching" if group.course_code else "Registration",
            "Course Code": group.course_code,
            "Course Title": group.course,
            "Subject Code": group.subject,
            "Staff Code": group.staff_code,
        }


def _members(school: School, pupils: Iterable[Pupil]) -> Iterator[Row]:
    for pupil in pupils:
        # pupils.csv already says who is in which registration group
        for group in pupil.groups[1 if school.exports == "csv" else 0 :]:
            yield {
                "Academic Year": _YEAR,
                "Group Code": group,
                "UPN": pupil.shown("upn", pupil.upn),
                "Start Date": _date(max(pupil.entry, _TERMS[0][2])),
                "End Date": _date(pupil.leaving),
            }


def _pupil(pupil: Pupil) -> Row:
    return {
        "Academic Year": _YEAR,
        "UPN": pupil.shown("upn", pupil.upn),
        "ULN": pupil.uln,
        "Adno": f"{pupil.number:06}",
        "Legal Surname": pupil.shown("surname", pupil.surname),
        "Legal Forename": pupil.shown("forename", pupil.forename),
        "Middle Names": pupil.middle_names,
        "Preferred Forename": pupil.preferred_forename,
        "DOB": pupil.shown("birth", _date(pupil.birth)),
        "Sex": pupil.shown("sex", pupil.sex),
        "Year": pupil.year,
        "Reg": pupil.groups[0],
        "Enrolment Status": pupil.shown("enrolment_status", pupil.enrolment_status),
        "Entry Date": pupil.shown("entry", _date(pupil.entry)),
        "Leaving Date": _date(pupil.leaving),
        "Leaving Reason": pupil.leaving_reason,
        "Next LA Number": pupil.next_school[:3],
        "Next Estab Number": pupil.next_school[3:],
        "Boarder": "N",
        "Ethnicity Code": pupil.ethnicity,
        "Ethnicity Source": "P",
        "First Language": pupil.language,
        "In Care": pupil.shown("in_care", "Y" if pupil.care_authority else "N"),
        "Care Authority": pupil.shown("care_authority", pupil.care_authority),
        "SEN Status": pupil.sen_provision or "N",
        **_address(pupil.home),
        "Home LA": AUTHORITY,
        "Home Phone": pupil.home.phone,
        "School Email": pupil.email,
    }


def _contacts(pupils: Iterable[Pupil]) -> Iterator[Row]:
    for pupil in pupils:
        for order, contact in enumerate(pupil.contacts, start=1):
            home = pupil.home if contact.lives_with else contact.home
            yield {
                "UPN": pupil.shown("upn", pupil.upn),
                "Contact ID": contact.id,
                "Priority": pupil.shown("contact_order", "1") if order == 1 else str(order),
                "Title": contact.title,
                "Surname": contact.surname,
                "Forename": contact.forename,
                "Relationship": pupil.shown("relationship", contact.relationship)
                if order == 1
                else contact.relationship,
                "Parental Responsibility": "Y" if contact.responsible else "N",
                "Lives With": "Y" if contact.lives_with else "N",
                **_address(home),
                "Home Phone": home.phone if home else "",
                "Mobile Phone": contact.mobile,
                "Email": contact.email,
            }


def _attendance(pupil: Pupil) -> Row:
    found = pupil.attendance
    return {
        "Academic Year": _YEAR,
        "UPN": pupil.shown("upn", pupil.upn),
        "From": f"01/09/{SCHOOL_YEAR}",
        "To": f"31/08/{SCHOOL_YEAR + 1}",
        "Sessions Possible": str(found.possible),
        "Sessions Attended": str(found.attended),
        "Authorised Absences": str(found.authorised),
        "Unauthorised Absences": str(found.unauthorised),
    }


def _marks(pupils: Iterable[Pupil], day: date) -> Iterator[Row]:
    for pupil in pupils:
        if pupil.entry > day or (pupil.leaving is not None and pupil.leaving < day):
            continue
        away = next((mark for every, mark in _AWAY.items() if pupil.number % every == 0), "")
        for session, present in (("AM", "/"), ("PM", "\\")):
            yield {
                "UPN": pupil.shown("upn", pupil.upn),
                "Date": _date(day),
                "Session": session,
                "Mark": away or present,
            }


def _needs(pupils: Iterable[Pupil]) -> Iterator[Row]:
    for pupil in pupils:
        if pupil.sen_start:
            needs = dict(enumerate(pupil.needs, start=1))
            yield {
                "UPN": pupil.shown("upn", pupil.upn),
                "SEN Status": pupil.sen_provision,
                "Start Date": _date(pupil.sen_start),
                "SEN Need 1": needs.get(1, ""),
                "SEN Need 2": needs.get(2, ""),
            }


def _exclusions(pupils: Iterable[Pupil]) -> Iterator[Row]:
    for pupil in pupils:
        for exclusion in pupil.exclusions:
            yield {
                "UPN": pupil.shown("upn", pupil.upn),
                "Category": "SUSP",
                "Reason": exclusion.reason,
                "Start Date": _date(exclusion.start),
                "Start Session": str(2 * exclusion.start.weekday() + 1),
                "Sessions": str(exclusion.sessions),
            }


def _address(home: Home | None) -> Row:
    return {
        "House": home.house if home else "",
        "Street": home.street if home else "",
        "Town": TOWN if home else "",
        "Postcode": home.postcode if home else "",
    }


def _date(day: date | None) -> str:
    return day.strftime("%d/%m/%Y") if day else ""
