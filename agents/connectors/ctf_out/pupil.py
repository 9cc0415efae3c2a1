"""Makes one pupil of a transfer file, block by block in the order of the format.

Nothing is made up: what an object does not say is not in the file. Three rules of our own keep a learner safe. Of care
there is the flag and the authority, and no more. While the learner's address may not be told, no address at all is
written, since a carer's would be the same. An adult's address is not written where a flag says that it may not go on.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from typing import Final

from agents.connectors.ctf_out.kept import KeptLearner, KeptObject, KeptZone, LeftOut, School
from agents.connectors.ctf_out.person import current_address, email, phones
from agents.connectors.ctf_out.results import RESULT, stage_assessments
from agents.connectors.ctf_out.tree import Element, group, leaf, whole
from agents.connectors.ctf_out.values import Missing, Transfer
from mappings import Converter, ConvertError
from mappings.codes import UnknownCodeError, code_table
from mappings.converters import converter
from mappings.document import read
from mappings.loader import LIBRARY

_NAME: Final = "PersonalInformation/Name"
_DEMOGRAPHICS: Final = "PersonalInformation/Demographics"
_AUTHORITY: Final = re.compile(r"[0-9]{3}")
_ESTABLISHMENT: Final = re.compile(r"[0-9]{3}[0-9A-Z]{4}")
_SEX: Final = frozenset("MF")
_SOURCES: Final = frozenset("CPSTO")
_ENROLMENTS: Final = frozenset("CMSGP")
_YEARS: Final = frozenset(["E1", "E2", "N1", "N2", "R", *map(str, range(1, 15)), "M", "X"])
_NO_CODE: Final = "a transfer file has no such code"
_NO_SCHOOL: Final = "the school that it names is not here: its SchoolInfo has not arrived yet, or is not shared"


class Pupil:
    """Makes one Pupil element; each method is one block of it, in the order of the format."""

    def __init__(self, learner: KeptLearner, transfer: Transfer, zone: KeptZone, missing: list[Missing]) -> None:
        self.ref_id = learner.ref_id
        self._learner, self._transfer, self._zone, self._missing = learner, transfer, zone, missing
        self._me = learner.personal
        self._may_tell_addresses = not any(
            period.see("AddressShield") == "Yes" for period in self._kept("LearnerLookedAfter")
        )

    def element(self) -> Element:
        """Return the whole element."""
        me = self._me
        return whole(
            "Pupil",
            self._demanded("UPN", "UPN", converter("upn"), "use the school's UPN, or a temporary one"),
            leaf("UniqueLearnerNumber", self._if_right("ULN", converter("uln"))),
            self._demanded("Surname", f"{_NAME}/FamilyName", str, "enter the legal surname"),
            self._demanded("Forename", f"{_NAME}/GivenName", str, "enter the legal forename"),
            self._demanded("DOB", f"{_DEMOGRAPHICS}/BirthDate", _day, "enter the birth date"),
            self._demanded("Sex", f"{_DEMOGRAPHICS}/Gender", _sex, "enter M or F: the format has no other"),
            self._basics(),
            self._looked_after(),
            self._needs(),
            self._address(me, self._shielded("the address may not be told (AddressShield)")),
            phones(me),
            leaf("Email", email(me)),
            self._contacts(),
            self._attendance(),
            stage_assessments(self._kept(RESULT), self._zone),
            self._history(),
        )

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what did not go into the element; only after it was made."""
        return tuple(self._learner.left_out(_USED))

    def _basics(self) -> Element | None:
        me = self._me
        former = _former_name(me)
        enrolment = self._enrolment()
        return group(
            "BasicDetails",
            leaf("FormerUPN", self._if_right("FormerUPNList/UPN", converter("upn"))),
            leaf("PreferredSurname", me.take(f"{_NAME}/PreferredFamilyName")),
            leaf("FormerSurname", me.take("FamilyName", former) if former is not None else ""),
            leaf("PreferredForename", me.take(f"{_NAME}/PreferredGivenName")),
            leaf("FormerForename", me.take("GivenName", former) if former is not None else ""),
            leaf("MiddleNames", me.take(f"{_NAME}/MiddleNames")),
            leaf("NCyearActual", self._year_group(enrolment)),
            leaf("Ethnicity", me.take(f"{_DEMOGRAPHICS}/EthnicityList/Ethnicity/Code")),
            leaf("EthnicitySource", _code(me, f"{_DEMOGRAPHICS}/EthnicityList/Ethnicity/Source", _SOURCES)),
            group("Languages", *_languages(me)),
            leaf("MedicalFlag", self._medical_flag()),
            leaf("EnrolStatus", self._enrolment_status(enrolment)),
        )

    def _looked_after(self) -> Element | None:
        """Return flag and authority: those of a running period of care, else those of the learner's own record."""
        me = self._me
        says, given = me.see("InCare/Current"), me.see("InCare/LAId")
        running = next((one for one in self._kept("LearnerLookedAfter") if _is_running(one)), None)
        authority = "" if running is None else self._zone.authority(running.see("@LAInfoRefId"))
        if running is not None:
            running.take("Current")
            running.take("CareStatus")
        if running is None and says not in ("Yes", "No"):
            return None
        if running is not None and says != "Yes":
            me.leave("InCare", "the authority's own record of care says otherwise, and counts")
            return group("LookedAfter", leaf("InCare", "true"), leaf("CareAuthority", authority))
        me.take("InCare/Current")
        if says == "No":  # then the authority is only there because the standard wants one
            me.take("InCare/LAId")
            return group("LookedAfter", leaf("InCare", "false"))
        authority = authority or (given if _AUTHORITY.fullmatch(given) else "")
        if authority == given:
            me.take("InCare/LAId")
        else:
            me.leave("InCare/LAId", "it is no authority's number, or not that of the authority's own record of care")
        return group("LookedAfter", leaf("InCare", "true"), leaf("CareAuthority", authority))

    def _needs(self) -> Element | None:
        kept = sorted(self._kept("LearnerSpecialNeeds"), key=lambda one: (one.see("StartDate"), one.see("Provision")))
        rows: dict[tuple[str, str, str], Element | None] = {}
        for one in kept:
            start, provision, end = _date(one, "StartDate"), one.take("Provision"), _date(one, "EndDate")
            rows[start, provision, end] = group(
                "SEN", leaf("StartDate", start), leaf("SENprovision", provision), leaf("EndDate", end)
            )
        with_types = [one for one in kept if not one.see("EndDate") and one.all("SENTypeList/SENType")]
        needs = _needs(with_types[-1]) if with_types else ()
        return group("SENhistory", *rows.values(), group("SENneeds", *needs))

    def _contacts(self) -> Element | None:
        kept = self._kept("LearnerContact")
        given = [int(one.see("ContactSequence") or 0) for one in kept]
        unnumbered = max(given, default=0)
        contacts = []
        for one, order in zip(kept, given, strict=True):
            person = self._learner.people.get(one.see("@ContactPersonalRefId"))
            if person is None:
                one.leave("", "the ContactPersonal that it refers to is not here: it has not arrived, or is not shared")
            elif not person.see(f"{_NAME}/FamilyName"):
                person.leave("PersonalInformation", "a contact needs a surname in a transfer file: enter it")
            else:
                unnumbered += not order
                one.take("ContactSequence")
                contacts.append((order or unnumbered, self._contact(one, person, order or unnumbered)))
        return group("Contacts", *(contact for _, contact in sorted(contacts, key=lambda each: each[0])))

    def _contact(self, one: KeptObject, person: KeptObject, order: int) -> Element:
        lives_with = one.take("ContactFlags/LivesWith") == "Yes"
        if lives_with:
            address = group("Address", leaf("AddressAsPupil", "true"))
            person.leave("PersonalInformation/Address", "the contact lives with the pupil, whose address counts")
        else:
            address = self._address(person, self._may_not_go_on(one))
        return whole(
            "Contact",
            leaf("Order", str(order)),
            leaf("Title", person.take(f"{_NAME}/Title")),
            leaf("Surname", person.take(f"{_NAME}/FamilyName")),
            leaf("Forename", person.take(f"{_NAME}/GivenName")),
            leaf("MiddleNames", person.take(f"{_NAME}/MiddleNames")),
            leaf("Sex", _code(person, f"{_DEMOGRAPHICS}/Gender", _SEX)),
            leaf("Relationship", _relationship(one)),
            leaf("Responsibility", _true_false(one.take("ContactFlags/ParentLegalGuardian"))),
            address,
            phones(person),
            leaf("Email", email(person)),
        )

    def _attendance(self) -> Element | None:
        rows: dict[tuple[str, School], list[KeptObject]] = {}
        longest_first = sorted(self._kept("LearnerAttendanceSummary"), key=_span_order)
        for one in longest_first:
            school = self._zone.school(one.see("@SchoolInfoRefId"))
            if school is None:
                one.leave("", _NO_SCHOOL)
                continue
            same = rows.setdefault((one.see("SchoolYear"), school), [])
            if any(_overlap(one, other) for other in same):
                one.leave("", "its days are in another total of the same year and school already")
            else:
                same.append(one)
        years = sorted(rows.items(), key=lambda row: (row[0][0], row[0][1].establishment))
        return group("Attendance", *(_year_data(year, school, found) for (year, school), found in years))

    def _history(self) -> Element | None:
        stays = [*self._enrolled(), *self._earlier()]
        once = {(found.establishment, entry): stay for found, entry, stay in reversed(stays)}
        return group("SchoolHistory", *(once[key] for key in sorted(once, key=lambda key: (key[1], key[0]))))

    def _enrolled(self) -> Iterator[tuple[School, str, Element | None]]:
        for one in self._kept("LearnerSchoolEnrolment"):
            school = self._zone.school(one.see("@SchoolInfoRefId"))
            left = one.see("ExitDate")
            if school is None:
                one.leave("", _NO_SCHOOL)
            elif school.establishment == self._transfer.destination != self._transfer.source and not left:
                one.leave("", "it is the stay at the school that shall have the file")
            else:
                entry = _date(one, "EntryDate")
                reason = one.take("ExitType/Code") if left else ""
                yield school, entry, _stay(school, entry, _date(one, "ExitDate"), reason)

    def _earlier(self) -> Iterator[tuple[School, str, Element | None]]:
        me = self._me
        for each in me.all("PreviousEstablishmentList/PreviousEstablishment"):
            school = School(
                me.see("LAId", each), me.see("EstablishmentId", each), "", me.see("EstablishmentName", each)
            )
            if _ESTABLISHMENT.fullmatch(school.establishment) is None:
                me.leave("PreviousEstablishmentList", "a school needs both its numbers in a transfer file: enter them")
                continue
            known = self._zone.numbered(school.establishment)
            me.done_with(each)
            entry, left = me.see("EntryDate", each)[:10], me.see("ExitDate", each)[:10]
            reason, last = me.see("ExitType", each) if left else "", _true_false(me.see("LastSchool", each))
            yield school, entry, _stay(known or school, entry, left, reason, last)

    def _address(self, person: KeptObject, secret: str) -> Element | None:
        """Return the current address, or none where *secret* says why not."""
        if secret:
            for path in ("PersonalInformation/Address", "PersonalInformation/OtherAddressList"):
                person.leave(path, secret)
            return None
        return current_address(person)

    def _may_not_go_on(self, one: KeptObject) -> str:
        """Return why the address of a contact is not written; empty when it is."""
        for flag in ("TransferAddress", "AddressDisclosure"):
            if one.take(f"ContactFlags/{flag}") == "No":
                return f"the contact's address may not go on (ContactFlags/{flag})"
        return self._shielded("no address may be told while the pupil's may not (AddressShield)")

    def _shielded(self, reason: str) -> str:
        return "" if self._may_tell_addresses else reason

    def _enrolment(self) -> KeptObject | None:
        """Return the last stay at the school that sends the file."""
        stays = [
            one
            for one in self._kept("LearnerSchoolEnrolment")
            if (school := self._zone.school(one.see("@SchoolInfoRefId"))) is not None
            and school.establishment == self._transfer.source
        ]
        return max(stays, key=lambda one: one.see("EntryDate"), default=None)

    def _year_group(self, enrolment: KeptObject | None) -> str:
        found = _code(enrolment, "NCYearGroupActual", _YEARS) if enrolment is not None else ""
        return found or (_code(self._me, "CurrentSchoolEnrolment/NCYearGroup", _YEARS) if self._is_here() else "")

    def _enrolment_status(self, enrolment: KeptObject | None) -> str:
        found = _code(enrolment, "@MembershipType", _ENROLMENTS) if enrolment is not None else ""
        here = self._is_here()
        return found or (_code(self._me, "CurrentSchoolEnrolment/@MembershipType", _ENROLMENTS) if here else "")

    def _is_here(self) -> bool:
        """Whether LearnerPersonal itself names the school that sends the file; then that says nothing new."""
        me = self._me
        here = me.see("CurrentSchoolEnrolment/LAId") + me.see("CurrentSchoolEnrolment/EstablishmentId")
        if here != self._transfer.source:
            return False
        for part in me.all("CurrentSchoolEnrolment"):
            me.done_with(part)
        return True

    def _medical_flag(self) -> str:
        said = {one.take("MedicalFlag") for one in self._kept("LearnerSpecialNeeds")}
        return "true" if "Yes" in said else "false" if "No" in said else ""

    def _kept(self, object_type: str) -> Sequence[KeptObject]:
        return self._learner.about.get(object_type, ())

    def _demanded(self, tag: str, path: str, convert: Converter, remedy: str) -> Element | None:
        """Return an element that every file must have; None, and a note of it, when it cannot be had."""
        text = self._me.take(path)
        try:
            if text:
                return leaf(tag, convert(text))
            problem = f"LearnerPersonal/{path} is empty"
        except ConvertError as error:
            problem = f"LearnerPersonal/{path} is {error}"
        self._missing.append(Missing(self.ref_id, f"Pupil/{tag}", f"{problem}; {remedy} in the system it comes from"))
        return None

    def _if_right(self, path: str, convert: Converter) -> str:
        text = self._me.see(path)
        try:
            right = convert(text) if text else ""
        except ConvertError as error:
            self._me.leave(path, f"it is {error}")
            return ""
        self._me.take(path)
        return right


_USED: Final = (
    "LearnerSchoolEnrolment",
    "LearnerLookedAfter",
    "LearnerSpecialNeeds",
    "LearnerContact",
    "LearnerAttendanceSummary",
    RESULT,
)
"""Objects about a learner that can go into a file, in part or whole."""


def _is_running(period: KeptObject) -> bool:
    return period.see("Current") == "Yes" and period.see("CareStatus") == "LA"


def _needs(provision: KeptObject) -> Iterator[Element | None]:
    """Yield the needs of a provision; since when each of them is there, no object says."""
    for each in sorted(provision.all("SENTypeList/SENType"), key=lambda one: int(one.get("Ranking") or 0)):
        provision.done_with(each)
        rank, kind = leaf("SENtypeRank", each.get("Ranking") or ""), leaf("SENtype", (each.text or "").strip())
        yield group("SENneed", rank, kind)


def _former_name(me: KeptObject) -> Element | None:
    former = (name for name in me.all("PersonalInformation/OtherNames/Name") if name.get("Type") == "F")
    return next(former, None)


def _languages(me: KeptObject) -> Iterator[Element | None]:
    for language in me.all(f"{_DEMOGRAPHICS}/LanguageList/Language"):
        spoken = me.take("Code", language)
        for use in me.all("TypeList/Type", language):
            me.done_with(use)
            yield group("Type", leaf("LanguageType", (use.text or "").strip()), leaf("Language", spoken))


def _relationship(one: KeptObject) -> str:
    try:
        found = _relationships()(one.see("Relationship"))
    except UnknownCodeError:
        one.leave("Relationship", _NO_CODE)
        return ""
    one.take("Relationship")
    return found


@cache
def _relationships() -> Callable[[str], str]:
    name = "ctf-relationship"
    return code_table(name, read(LIBRARY / "codes" / f"{name}.toml").values["codes"]).convert


def _span_order(one: KeptObject) -> tuple[int, str]:
    start, end = one.see("StartDate")[:10], one.see("EndDate")[:10]
    return (date.fromisoformat(start) - date.fromisoformat(end)).days, start


def _overlap(one: KeptObject, other: KeptObject) -> bool:
    return one.see("StartDate") <= other.see("EndDate") and other.see("StartDate") <= one.see("EndDate")


def _year_data(year: str, school: School, found: Sequence[KeptObject]) -> Element | None:
    def total(tag: str, path: str) -> Element | None:
        given = [text for one in found if (text := one.take(path))]
        return leaf(tag, str(sum(map(int, given)))) if given else None

    for one in found:
        for path in ("SchoolYear", "StartDate", "EndDate"):
            one.take(path)
    return group(
        "YearData",
        leaf("Year", converter("year-before")(year)),
        *_numbers(school),
        total("SessionsPossible", "SessionsPossible"),
        total("SessionsAuthorised", "AuthorisedAbsences"),
        total("SessionsAttended", "SessionsAttendedTotal"),
        total("SessionsUnauthorised", "UnauthorisedAbsences"),
    )


def _stay(school: School, entry: str, left: str, reason: str, last: str = "") -> Element | None:
    return group(
        "School",
        *_numbers(school),
        leaf("EntryDate", entry),
        leaf("LeavingDate", left),
        leaf("LeavingReason", reason),
        leaf("LastSchool", last),
    )


def _numbers(school: School) -> Iterable[Element | None]:
    return (
        leaf("LEA", school.authority),
        leaf("Estab", school.number),
        leaf("URN", school.urn),
        leaf("SchoolName", school.name),
    )


def _code(kept: KeptObject, path: str, known: frozenset[str]) -> str:
    """Return a code that transfer files have; another is left out, and that it is unknown needs no word."""
    text = kept.see(path)
    if text in known:
        return kept.take(path)
    if text and text != "U":
        kept.leave(path, _NO_CODE)
    elif text and not path.rpartition("/")[2].startswith("@"):
        kept.take(path)
    return ""


def _sex(text: str) -> str:
    if text not in _SEX:
        raise ConvertError("neither M nor F")
    return text


def _day(text: str) -> str:
    return converter("iso-date")(text[:10])


def _date(kept: KeptObject, path: str) -> str:
    """Return a date without the zone that XML lets it have."""
    return kept.take(path)[:10]


def _true_false(text: str) -> str:
    return {"Yes": "true", "No": "false"}.get(text, "")


__all__ = ["Pupil"]
