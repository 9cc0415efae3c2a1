"""Made-up instances of any object: to look at, to try a mapping or an agent with, and to test with.

What an object is made of and which texts fit comes from its schema. This module adds texts that read well, and that
keep the rules no schema carries: check characters, dates in order, sums that add up, one learner throughout.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.model import Node
from schemas.registry import SchemaSet

_LEARNER: Final = "LearnerPersonal"
_STAFF: Final = "WorkforcePersonal"
_LEFT_OUT: Final = "SIF_Action"  # says what is to be done to an object, not what it is

# By name, or by the name of the parent and its own.
_BY_NAME: Final[Mapping[str, str]] = MappingProxyType(
    {
        # people; the numbers are of LA 820 and pass their checks
        "FamilyName": "Testperson",
        "GivenName": "Sample",
        "MiddleNames": "Made Up",
        "PreferredFamilyName": "Testperson",
        "PreferredGivenName": "Sam",
        "FullName": "Sample Testperson",
        "Name/Title": "Mx",
        "LocalId": "S-0001",
        "FamilyNameFirst": "No",
        "PreferredFamilyNameFirst": "No",
        "Refugee": "No",
        "NonUKSystemImmigrant": "No",
        "Pregnant": "No",
        "Suffix": "Jr",
        "UPN": "Z820990120001",
        "UPNAtNewSchool": "Z820990120001",
        "FormerUPNList/UPN": "M820990119001",
        "PreviousUPN": "M820990119001",
        "ULN": "1000000027",
        "NINumber": "QQ123456C",  # of a prefix that is never given out
        "TeacherNumber": "9900001",
        "UPNAllocationDate": "2018-09-10",
        "CountryArrivalDate": "2016-05-03",
        # in care no longer, and of no plan
        "InCare/Current": "No",
        "InCare/AtCurrentSchool": "No",
        "InCare/PersonalEducationPlan": "No",
        "LearnerLookedAfter/Current": "No",
        "OutOfAuthority": "No",
        "UASC": "No",
        "AsAtDate": "2026-01-05",
        "IsRegistered": "No",
        "SiblingRegistered": "No",
        # reaching them: Ofcom keeps these numbers for fiction, RFC 2606 this domain
        "Number": "01632960123",
        "Phone": "01632960123",
        "Extension": "123",
        "Email": "sample.testperson@example.org",
        "SchoolEmail": "office@school.example.org",
        # places that there are not
        "PAON/Description": "Sample House",
        "SAON/Description": "Flat 3",
        "StartNumber": "12",
        "StartNumberSuffix": "A",
        "EndNumber": "14",
        "EndNumberSuffix": "B",
        "Street": "Invented Lane",
        "Locality": "Nethermade",
        "Town": "Samplehaven",
        "PlaceOfBirth": "Samplehaven",
        "PostTown": "SAMPLEHAVEN",
        "AdministrativeArea": "Sampleshire",
        "County": "Sampleshire",
        "CountyOfBirth": "Sampleshire",
        "PostCode": "QZ1 2AB",
        "UniquePropertyReferenceNumber": "990000000001",
        "UniqueStreetReferenceNumber": "99000001",
        "Latitude": "52.5",
        "Longitude": "-1.9",
        "PropertyEasting": "400000",
        "PropertyNorthing": "300000",
        # schools and authorities
        "SchoolName": "Sample School",
        "SchoolFullName": "Sample School, Samplehaven",
        "EstablishmentId": "9901",
        "URN": "990001",
        "PreviousEstablishment/EstablishmentName": "Former Sample School",
        "PreviousEstablishment/EstablishmentId": "9902",
        "FromEstablishment/EstablishmentId": "9902",
        "FromEstablishment/URN": "990002",
        "SessionsPerDay": "2",
        "LAName": "Sample Council",
        "LAFullName": "Sample County Council",
        # from the school before to the one after
        "LeavingDate": "2025-07-18",
        # sessions: possible are those attended and both kinds of absence
        "SessionsPossible": "20",
        "SessionsAttendedTotal": "17",
        "AuthorisedAbsences": "2",
        "UnauthorisedAbsences": "1",
        "Reason/Code": "I",
        "Reason/Total": "2",
        "AttendanceSummary/Possible": "20",
        "AttendanceSummary/Attended": "17",
        "AttendanceSummary/Authorised": "2",
        "AttendanceSummary/Unauthorised": "1",
        # from low to high, from asked to given
        "MinValue": "0",
        "MaxValue": "10",
        "Requested": "300.00",
        "Agreed": "250.00",
        "ContractHoursPerWeek": "32.5",
        "ContractWeeksPerYear": "39",
        "FileName": "sample.xml",
    }
)
# What a minimal instance has otherwise: no end of care, so that care goes on.
_WHEN_MINIMAL: Final[Mapping[str, str]] = MappingProxyType(
    {"LearnerLookedAfter/Current": "Yes", "LearnerLookedAfter/CareStatus": "LA"}
)
# What a rule asks for though the schema does not.
_NEEDED: Final = frozenset({"LearnerTransfer/FromSchoolInfoRefId"})
# By code list, where its first code is not what a message of today would most likely have.
_BY_LIST: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CareStatus": "CE",
        "CountryCode": "GBR",
        "CurrencyNames": "GBP",
        "EthnicityCodes": "WBRI",
        "ExclusionCategory": "SUSP",
        "Languages": "ENG",
        "LocalAuthority": "820",
        "NCYear": "7",
        "PhaseType": "SY",
        "PhoneType": "H",
        "Relationship": "CARE",
        "ReligiousAffiliation": "NO",
        "SENProvision": "K",
        "SENTypeCode": "SEMH",
        "TransferLocalAuthority": "820",
        "TravellerCode": "NT",
    }
)
# By built-in type: the first that fits is taken.
_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "xs:anyURI": ("https://sample.example.org/",),
        "xs:base64Binary": ("U2FtcGxl",),
        "xs:boolean": ("true",),
        "xs:decimal": ("1", "0.5", "10", "100"),
        "xs:duration": ("PT1M",),
        "xs:gYear": ("2026",),
        "xs:integer": ("1", "3", "10", "100"),
        "xs:unsignedInt": ("1", "3", "10", "100"),
    }
)
_TEXTS: Final = ("Sample", "S1", "1", "25.0", "9901", "990001", "01632960123", "1000000027", "QQ123456C")

# When things are, by their names: long before the sample's term, at its start or end, or after it; else within it.
_BEFORE: Final = re.compile(r"Previous|Former")
_START: Final = re.compile(r"Start|Entry|Begin|Creat|TimeIn")
_END: Final = re.compile(r"End|Exit|Finish")
_LATER: Final = re.compile(r"Next|Due|ByDate|Deadline")
_BIRTH: Final = "BirthDate"
# Names of references to another object than the sample of its kind.
_ANOTHER: Final = ("From", "Parent", "Precursor")


def sample(schema: SchemaSet, object_type: str, *, minimal: bool = False) -> etree._Element:
    """Return a made-up instance of an object, the same each time; it is valid and every open code in it is known.

    Args:
        schema: The schemas.
        object_type: Name of the object.
        minimal: Only what must be there; otherwise every element and attribute, and of each list one member.

    Raises:
        UnknownObject: No schema describes such an object.
    """
    return _Maker(schema, object_type, minimal=minimal).element(schema.tree(object_type), parent="")


def sample_document(schema: SchemaSet, object_type: str, *, minimal: bool = False) -> bytes:
    """Return a made-up instance as a document in UTF-8, laid out to be read.

    Raises:
        UnknownObject: No schema describes such an object.
    """
    element = sample(schema, object_type, minimal=minimal)
    etree.indent(element, "  ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(element, encoding="UTF-8") + b"\n"


def sample_ref_id(object_type: str) -> str:
    """Return the RefId that the sample of an object has, and that those of other objects know it by."""
    return _ref_id(f"{object_type}/@RefId")


class _Maker:
    """Makes one instance."""

    def __init__(self, schema: SchemaSet, object_type: str, *, minimal: bool) -> None:
        self._schema, self._object_type, self._minimal = schema, object_type, minimal
        self._namespace = schema.namespace_of(object_type)
        self._nsmap: dict[str, str] = {None: self._namespace}  # type: ignore[dict-item]  # the default namespace
        self._own_learner = schema.learner_ref(object_type)
        self._values = schema.values(object_type)
        self._others = tuple(f"{each.list_path}/" for each in schema.other_learners(object_type))

    def element(self, node: Node, parent: str) -> etree._Element:
        """Make an element, given the name of its parent."""
        made = etree.Element(f"{{{self._namespace}}}{node.name}", nsmap=self._nsmap)
        if node.type:
            made.text = self._text(node, parent)
        for child in node.children:
            needed = child.mandatory or f"{node.name}/{child.name}" in _NEEDED
            if child.name == _LEFT_OUT or (self._minimal and not needed):
                continue
            if child.kind == "attribute":
                made.set(child.name, self._text(child, node.name))
            else:
                made.append(self.element(child, node.name))
        return made

    def _text(self, node: Node, parent: str) -> str:
        if node.type == "xs:anyType":
            return "Sample"
        for text in self._candidates(node, parent):
            if self._fits(text, node):
                return text
        raise LookupError(f"{self._object_type}: no sample text fits {node.path}, a {node.simple_type}: add one")

    def _fits(self, text: str, node: Node) -> bool:
        known = node.codes is None or text in self._schema.code_lists[node.codes]
        return known and self._values.fits(text, node.simple_type)

    def _candidates(self, node: Node, parent: str) -> Iterator[str]:
        """Yield texts that might do, best first."""
        if node.path == "@RefId":
            yield sample_ref_id(self._object_type)
        if node.refs:
            yield self._reference(node, parent)
        for name in (f"{parent}/{node.name}", node.name):
            if self._minimal and name in _WHEN_MINIMAL:
                yield _WHEN_MINIMAL[name]
            if name in _BY_NAME:
                yield _BY_NAME[name]
        if node.codes:
            yield from self._codes(node.codes, node, parent)
        if node.type in ("xs:date", "xs:dateTime", "xs:time"):
            yield from _moments(node.path, adult=self._own_learner is None)
        yield from _BY_TYPE.get(node.type, ())
        if node.type in ("xs:normalizedString", "xs:token", "xs:string"):
            yield f"Sample {_in_words(node.name)}"
            yield from _TEXTS
            yield _ref_id(f"{self._object_type}/{node.path}")
            yield hashlib.sha256(node.path.encode()).hexdigest()

    def _codes(self, codes: str, node: Node, parent: str) -> Iterator[str]:
        if "Object" in codes:
            yield self._person(parent)  # names the kind of object that a RefId beside it is of
        if codes in _BY_LIST:
            yield _BY_LIST[codes]
        yield from self._values.choices(node.simple_type)
        yield from self._schema.code_lists[codes].labels

    def _reference(self, node: Node, parent: str) -> str:
        """Return the RefId of the sample referred to, or a new one where another is meant, as in a list of siblings."""
        target = self._person(parent) if len(node.refs) > 1 and _LEARNER in node.refs else node.refs[0]
        # of an object about no one learner the learners listed are its own
        other_learner = self._own_learner is not None and node.path.startswith(self._others)
        if other_learner or node.name.startswith(_ANOTHER):
            return _ref_id(f"{self._object_type}/{node.path}")
        return sample_ref_id(target)

    @staticmethod
    def _person(parent: str) -> str:
        """Return the kind of person meant: a school is reached through its staff, all else is about the learner."""
        return _STAFF if parent == "Contact" else _LEARNER


def _moments(path: str, *, adult: bool) -> Iterator[str]:
    """Yield a date and time, a date and a time for what is at a path."""
    name = path.rpartition("/")[2]
    date, time = "2025-11-12", "10:30:00"
    if name == _BIRTH:
        date = "1985-06-15" if adult else "2014-02-11"
    elif _LATER.search(name):
        date = "2026-03-02"
    elif _START.search(name):
        date, time = "2025-09-01", "08:45:00"
    elif _END.search(name):
        date, time = "2025-12-19", "15:15:00"
    if _BEFORE.search(path):
        date = f"{int(date[:4]) - 5}{date[4:]}"
    yield f"{date}T{time}"
    yield f"{date}T{time}Z"
    yield date
    yield time


def _in_words(name: str) -> str:
    """Take a name apart: "TTRoomName" is "TT room name"."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).split()
    return " ".join(word if word.isupper() else word.lower() for word in words)


def _ref_id(path: str) -> str:
    return hashlib.md5(path.encode(), usedforsecurity=False).hexdigest().upper()
