"""One case at least for each rule: an object that is right, and what to change in it to make it wrong. All made up."""

from dataclasses import dataclass, field
from datetime import date

from lxml import etree

from schemas.rules import Care, TwoWords

SIF = "http://www.sifinfo.org/uk/infrastructure/2.x"
OURS = "urn:sifzone:looked-after:1.0"
TODAY = date(2026, 3, 2)

LEARNER, OTHER_LEARNER = "1" * 32, "2" * 32
SCHOOL, OTHER_SCHOOL = "A" * 32, "B" * 32
ENROLMENT, OTHER_ENROLMENT = "C" * 32, "D" * 32
AUTHORITY = "E" * 32
OBJECT = "F" * 32


@dataclass(frozen=True, slots=True)
class Known:
    """Facts of a zone that has met everything but what is said here."""

    today: date = TODAY
    unknown: frozenset[str] = frozenset()
    main: frozenset[str] = frozenset()
    said: TwoWords | None = None

    def is_known(self, object_type: str, ref_id: str) -> bool | None:  # noqa: ARG002 - RefIds here tell all
        return ref_id not in self.unknown

    def main_enrolments(self, learner_ref: str) -> frozenset[str]:
        return self.main if learner_ref == LEARNER else frozenset()

    def care(self, learner_ref: str) -> TwoWords | None:
        return self.said if learner_ref == LEARNER else None


@dataclass(frozen=True, slots=True)
class Case:
    """An object that a rule finds nothing wrong with, and how to spoil it.

    Attributes:
        good: The object's name and the XML that is right.
        old: What to replace in it by ``new``; "" to change nothing but what the zone knows.
        path: Where the fault then is.
        secrets: Texts of the spoilt object that no message may hold.
    """

    rule: str
    good: str
    old: str
    new: str
    path: str
    secrets: tuple[str, ...] = ()
    facts: Known = field(default_factory=Known)

    @property
    def bad(self) -> str:
        assert not self.old or self.old in self.good
        return self.good.replace(self.old, self.new)


def parse(text: str) -> etree._Element:
    """Parse an object, which gets the namespace that its name belongs to."""
    name = text[1:].replace(">", " ").replace("/", " ").split()[0]
    ours = name in ("LearnerLookedAfter", "LearnerEducationPlan", "LearnerTransfer")
    return etree.fromstring(text.replace(f"<{name}", f'<{name} xmlns="{OURS if ours else SIF}"', 1))


def object_type(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2]


def learner(inside: str) -> str:
    return f'<LearnerPersonal RefId="{LEARNER}">{inside}</LearnerPersonal>'


def born(day: str, rest: str = "") -> str:
    return learner(
        f"<PersonalInformation><Demographics><BirthDate>{day}</BirthDate></Demographics></PersonalInformation>{rest}"
    )


def previous(entry: str, left: str) -> str:
    return (
        "<PreviousEstablishmentList><PreviousEstablishment>"
        f"<EntryDate>{entry}</EntryDate><ExitDate>{left}</ExitDate>"
        "</PreviousEstablishment></PreviousEstablishmentList>"
    )


def enrolment(inside: str = "<EntryDate>2025-09-03</EntryDate>", status: str = "C") -> str:
    return (
        f'<LearnerSchoolEnrolment RefId="{ENROLMENT}" LearnerPersonalRefId="{LEARNER}" SchoolInfoRefId="{SCHOOL}" '
        f'MembershipType="{status}">{inside}</LearnerSchoolEnrolment>'
    )


def span(name: str, first: str = "StartDate", last: str = "EndDate") -> str:
    return f"<{name}><{first}>2025-09-03</{first}><{last}>2025-12-19</{last}></{name}>"


def attendance(attended: int, possible: int, authorised: int | None = None, unauthorised: int | None = None) -> str:
    return (
        f"<LearnerAttendanceSummary><SessionsAttendedTotal>{attended}</SessionsAttendedTotal>"
        f"<SessionsPossible>{possible}</SessionsPossible>"
        + ("" if authorised is None else f"<AuthorisedAbsences>{authorised}</AuthorisedAbsences>")
        + ("" if unauthorised is None else f"<UnauthorisedAbsences>{unauthorised}</UnauthorisedAbsences>")
        + "</LearnerAttendanceSummary>"
    )


def needs(*ranks: int) -> str:
    return "<SENTypeList>" + "".join(f'<SENType Ranking="{rank}">SPLD</SENType>' for rank in ranks) + "</SENTypeList>"


def care(end: str = "", status: str = "LA", authority: str = AUTHORITY) -> str:
    current = "Yes" if status == "LA" else "No"
    return (
        f'<LearnerLookedAfter RefId="{OBJECT}" LearnerPersonalRefId="{LEARNER}" LAInfoRefId="{authority}">'
        f"<Current>{current}</Current><CareStatus>{status}</CareStatus><CareStartDate>2024-05-07</CareStartDate>{end}"
        "<AsAtDate>2026-03-01</AsAtDate><SourceSystem>Casework</SourceSystem></LearnerLookedAfter>"
    )


def transfer(sides: str, type_: str = "SC", authority: str = AUTHORITY) -> str:
    return (
        f'<LearnerTransfer RefId="{OBJECT}" LearnerPersonalRefId="{LEARNER}"{sides}>'
        f"<TransferType>{type_}</TransferType><LeavingDate>2025-10-03</LeavingDate><EntryDate>2025-10-06</EntryDate>"
        f"<LookedAfterAtTransfer>Yes</LookedAfterAtTransfer><LAInfoRefId>{authority}</LAInfoRefId>"
        "<Status>PL</Status><StatusHistoryList/></LearnerTransfer>"
    )


def address(postcode: str, country: str = "") -> str:
    return learner(
        '<PersonalInformation><Address Type="Current">'
        f"<PostCode>{postcode}</PostCode>{country}</Address></PersonalInformation>"
    )


IN_CARE = learner("<InCare><Current>Yes</Current><LAId>820</LAId></InCare>")
BOTH_SIDES = f' FromSchoolInfoRefId="{SCHOOL}" ToSchoolInfoRefId="{OTHER_SCHOOL}"'
ENDED = "<CareEndDate>2026-04-09</CareEndDate><CareEndReason>E4A</CareEndReason>"
PLAN_DATES = (
    "<LearnerEducationPlan><TriggerDate>2025-09-03</TriggerDate><InitiateByDate>2025-09-17</InitiateByDate>"
    "<DueDate>2025-10-01</DueDate><AttendanceSummary><StartDate>2025-09-03</StartDate><EndDate>2025-12-19</EndDate>"
    "<Possible>130</Possible><Attended>118</Attended><Authorised>10</Authorised><Unauthorised>2</Unauthorised>"
    "</AttendanceSummary></LearnerEducationPlan>"
)
PREVIOUS = "PreviousEstablishmentList/PreviousEstablishment"
BIRTH = "PersonalInformation/Demographics/BirthDate"
POSTCODE = "PersonalInformation/Address/PostCode"
UPN = learner("<UPN>H801200001001</UPN>")
FORMER = learner("<UPN>H801200001001</UPN><FormerUPNList><UPN>B801200005001</UPN></FormerUPNList>")
DIFFERS = Known(said=TwoWords(Care(in_care=False), Care(in_care=True, authority="820")))
OTHER_AUTHORITY = Known(said=TwoWords(Care(in_care=True, authority="820"), Care(in_care=True, authority="821")))
STRANGER = Known(unknown=frozenset({LEARNER, SCHOOL, AUTHORITY}))

CASES = [
    Case("upn-form", UPN, "H801200001001", "H80120000100", "UPN", ("H80120000100",)),
    Case("upn-form", UPN, "H801200001001", "I801200001001", "UPN", ("I801200001001",)),
    Case("upn-form", UPN, "H801200001001", "h801200001001", "UPN", ("h801200001001",)),
    Case("upn-check-letter", UPN, "H801", "K801", "UPN", ("K801200001001",)),
    Case(
        "upn-check-letter",
        "<LearnerTransfer><PreviousUPN>X00180001701A</PreviousUPN></LearnerTransfer>",
        "701A",
        "701B",
        "PreviousUPN",
        ("X00180001701B",),
    ),
    Case("upn-authority", UPN, "H801200001001", "A123456789012", "UPN", ("A123456789012", "123")),
    Case("temporary-upn", UPN, "H801200001001", "X00180001701A", "UPN", ("X00180001701A",)),
    Case("former-upn", FORMER, "B801200005001", "B8012", "FormerUPNList/UPN", ("B8012",)),
    Case("former-upn", FORMER, "B801200005001", "H801200001001", "FormerUPNList/UPN", ("H801200001001",)),
    Case("uln-check-digit", learner("<ULN>1000000027</ULN>"), "0027", "0028", "ULN", ("1000000028",)),
    Case("dates-in-order", born("2013-02-11"), "2013", "2027", BIRTH, ("2027-02-11",)),
    Case("dates-in-order", born("2013-02-11"), "2013", "1903", BIRTH, ("1903-02-11",)),
    Case(
        "dates-in-order",
        born("2013-02-11", previous("2018-09-04", "2025-07-22")),
        "2018-09",
        "2012-09",
        f"{PREVIOUS}/EntryDate",
        ("2012-09-04",),
    ),
    Case(
        "dates-in-order",
        learner(previous("2018-09-04", "2025-07-22")),
        "2025",
        "2015",
        f"{PREVIOUS}/ExitDate",
        ("2015",),
    ),
    Case("dates-in-order", span("LearnerSchoolEnrolment", "EntryDate", "ExitDate"), "2025-12", "2024-12", "ExitDate"),
    Case("dates-in-order", span("LearnerGroupEnrolment", "EntryDate", "ExitDate"), "2025-12", "2024-12", "ExitDate"),
    *(
        Case("dates-in-order", span(name), "2025-12-19", "2025-08-19", "EndDate", ("2025-08-19",))
        for name in ("LearnerAttendanceSummary", "LearnerExclusion", "LearnerSpecialNeeds", "TermInfo")
    ),
    Case(
        "dates-in-order",
        f"<LearnerSchoolEnrolment>{span('AlternativeTuition')}</LearnerSchoolEnrolment>",
        "2025-12-19",
        "2025-08-19",
        "AlternativeTuition/EndDate",
    ),
    Case(
        "dates-in-order",
        f"<LearnerEntitlement><EntitlementPeriodList>{span('EntitlementPeriod')}</EntitlementPeriodList>"
        "</LearnerEntitlement>",
        "2025-12-19",
        "2025-08-19",
        "EntitlementPeriodList/EntitlementPeriod/EndDate",
    ),
    Case(
        "dates-in-order",
        f"<LearnerLookedAfter><PlacementList>{span('Placement')}</PlacementList></LearnerLookedAfter>",
        "2025-12-19",
        "2025-08-19",
        "PlacementList/Placement/EndDate",
    ),
    Case("dates-in-order", care(ENDED), "2026-04-09", "2023-04-09", "CareEndDate"),
    Case("dates-in-order", PLAN_DATES, "2025-09-17", "2025-09-01", "InitiateByDate"),
    Case("dates-in-order", PLAN_DATES, "2025-10-01", "2025-09-10", "DueDate"),
    Case("dates-in-order", PLAN_DATES, "2025-12-19", "2025-08-19", "AttendanceSummary/EndDate"),
    Case("dates-in-order", transfer(BOTH_SIDES), "2025-10-06", "2025-10-01", "EntryDate"),
    Case(
        "one-main-enrolment",
        enrolment(status="S"),
        '"S"',
        '"M"',
        "@MembershipType",
        (LEARNER, SCHOOL, OTHER_ENROLMENT),
        Known(main=frozenset({OTHER_ENROLMENT})),
    ),
    Case(
        "unknown-reference",
        enrolment(),
        "",
        "",
        "@LearnerPersonalRefId",
        (LEARNER,),
        Known(unknown=frozenset({LEARNER})),
    ),
    Case("unknown-reference", enrolment(), "", "", "@SchoolInfoRefId", (SCHOOL,), Known(unknown=frozenset({SCHOOL}))),
    Case(
        "unknown-reference",
        f'<LearnerContact LearnerPersonalRefId="{LEARNER}" ContactPersonalRefId="{OBJECT}"/>',
        "",
        "",
        "@ContactPersonalRefId",
        (OBJECT,),
        Known(unknown=frozenset({OBJECT})),
    ),
    Case(
        "unknown-reference",
        learner(
            f'<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{ENROLMENT}">'
            f'<SIF_RefId SIF_RefObject="SchoolInfo">{SCHOOL}</SIF_RefId></CurrentSchoolEnrolment>'
        ),
        "",
        "",
        "CurrentSchoolEnrolment/SIF_RefId",
        (SCHOOL,),
        Known(unknown=frozenset({SCHOOL, ENROLMENT})),
    ),
    Case("attendance-gaps", attendance(118, 130, 10, 2), ">130<", ">131<", "SessionsPossible", ("131", "118")),
    Case("attendance-gaps", PLAN_DATES, ">118<", ">117<", "AttendanceSummary/Possible", ("117", "130")),
    Case("attendance-sums", attendance(118, 130, 10, 2), ">130<", ">129<", "SessionsPossible", ("129", "118")),
    Case("attendance-sums", attendance(118, 130), ">118<", ">131<", "SessionsPossible", ("130", "131")),
    Case("attendance-sums", PLAN_DATES, ">118<", ">119<", "AttendanceSummary/Possible", ("119", "130")),
    Case(
        "sen-ranking",
        f"<LearnerSpecialNeeds>{needs(2, 1)}</LearnerSpecialNeeds>",
        'Ranking="2"',
        'Ranking="3"',
        "SENTypeList",
        ("SPLD",),
    ),
    Case(
        "sen-ranking",
        f"<LearnerEducationPlan>{needs(1, 2)}</LearnerEducationPlan>",
        'Ranking="2"',
        'Ranking="1"',
        "SENTypeList",
        ("SPLD",),
    ),
    Case("care-without-authority", IN_CARE, "<LAId>820</LAId>", "<LAId/>", "InCare/LAId"),
    Case("care-without-authority", care(), AUTHORITY, " ", "@LAInfoRefId", (LEARNER,)),
    Case("care-without-authority", transfer(BOTH_SIDES), AUTHORITY, "", "LAInfoRefId", (LEARNER,)),
    Case("postcode-form", address("QZ1 2AB"), "QZ1 2AB", "QZ1 2AO", POSTCODE, ("QZ1 2AO",)),
    Case("postcode-form", address("QZ1 2AB"), "QZ1 2AB", "QZ1", POSTCODE, ("QZ1",)),
    Case(
        "postcode-form",
        "<SchoolInfo><SchoolAddress><PostCode>QZ3 1AA</PostCode></SchoolAddress></SchoolInfo>",
        "3 1",
        "3 l",
        "SchoolAddress/PostCode",
        ("QZ3 lAA",),
    ),
    Case("care-dates", care(ENDED), "<CareEndReason>E4A</CareEndReason>", "", "CareEndDate", ("2026-04-09",)),
    Case("care-dates", care(ENDED), "<CareEndDate>2026-04-09</CareEndDate>", "", "CareEndReason", ("E4A",)),
    Case("care-dates", care(), "<CareStatus>LA", "<CareStatus>CE", "CareStatus"),
    Case("care-dates", care(), "<CareStatus>LA", "<CareStatus>PL", "CareStatus"),
    Case("care-status", care(), "<CareStatus>LA", "<CareStatus>CE", "CareStatus"),
    Case("care-status", care(ENDED), "2026-04-09", "2026-03-02", "CareEndDate", ("2026-03-02",)),
    Case("care-flag-agrees", IN_CARE, "", "", "InCare", ("820", LEARNER), DIFFERS),
    Case("care-flag-agrees", IN_CARE, "", "", "InCare", ("820", "821"), OTHER_AUTHORITY),
    Case("care-flag-agrees", care(), "", "", "", (LEARNER, "2024-05-07"), DIFFERS),
    Case("transfer-sides", transfer(BOTH_SIDES), BOTH_SIDES, "", "", (LEARNER,)),
]
