"""Small objects and files for the tests of agents."""

import re
from pathlib import Path

from lxml import etree

from broker.protocol.envelope import NAMESPACE

REF = "0123456789ABCDEF0123456789ABCDEF"
SCHOOL = "FEDCBA9876543210FEDCBA9876543210"

CTF_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<CTfile><Header><DocumentName>Common Transfer File</DocumentName><CTFversion>25.0</CTFversion>
<DateTime>2026-10-06T14:22:31</DateTime><DocumentQualifier>full</DocumentQualifier>
<SourceSchool><LEA>820</LEA><Estab>9901</Estab><AcademicYear>2026</AcademicYear></SourceSchool></Header>
<CTFpupilData>
"""
CTF_TAIL = "</CTFpupilData></CTfile>\n"


def parse(content: str) -> etree._Element:
    """Return an element in SIF's namespace."""
    return etree.fromstring(re.sub(r"^<(\w+)", rf'<\1 xmlns="{NAMESPACE}"', content))


def learner(inner: str = "<UPN>A820990126001</UPN>", name: str = "Quill", more: str = "") -> etree._Element:
    """Return a LearnerPersonal."""
    person = f"<PersonalInformation><Name Type='C'><FamilyName>{name}</FamilyName></Name>{more}</PersonalInformation>"
    return parse(f"<LearnerPersonal RefId='{REF}'>{person}{inner}</LearnerPersonal>")


def pupil(number: int, surname: str = "Quill", more: str = "") -> str:
    """Return a pupil of a CTF."""
    return (
        f"<Pupil><UPN>A8209901{number:05}</UPN><Surname>{surname}</Surname><Forename>Zephyrine</Forename>"
        f"<DOB>2015-03-02</DOB><Sex>F</Sex><BasicDetails><NCyearActual>6</NCyearActual><EnrolStatus>C</EnrolStatus>"
        f"</BasicDetails>{more}<SchoolHistory><School><LEA>820</LEA><Estab>9901</Estab><EntryDate>2020-09-03</EntryDate>"
        "</School></SchoolHistory></Pupil>\n"
    )


def ctf(path: Path, *pupils: str) -> Path:
    """Write a CTF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CTF_HEAD + "".join(pupils) + CTF_TAIL)
    return path


def texts(element: etree._Element) -> list[str]:
    """Return the names of the children."""
    return [etree.QName(child).localname for child in element]
