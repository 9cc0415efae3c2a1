"""Transfer files of kept objects: what goes in, in which order, what is left out and why, and what stops a file."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lxml import etree

from agents.connectors.ctf_out import (
    NOT_KNOWN,
    OUTSIDE,
    CtfDocument,
    CtfError,
    CtfIncomplete,
    CtfWithheld,
    ctf_schema,
    make_ctf,
)
from broker.protocol.envelope import NAMESPACE
from broker.protocol.identifiers import Establishment
from schemas import load
from tests.unit.agents.ctf_files import ELSEWHERE, HERE, SCHOOLS, THERE, TRANSFER, Kept, document_of, school_ref
from tests.unit.agents.helpers import REF, parse

LOOKED_AFTER = "urn:sifzone:looked-after:1.0"
ADULT = "ADADADADADADADADADADADADADADADAD"
AUTHORITY = "836" + "A" * 29
NAME = "<Name Type='C'><FamilyName>Thornquist</FamilyName><GivenName>Maëlys</GivenName></Name>"
DEMOGRAPHICS = "<Gender>F</Gender><BirthDate>2014-11-23</BirthDate>"
ADDRESS = "<Address Type='Current'><PAON><Description>14</Description></PAON><Street>Pellworth Rise</Street></Address>"


def learner(
    inner: str = "", person: str = "", demographics: str = DEMOGRAPHICS, name: str = NAME, upn: str = "X820990119007"
) -> etree._Element:
    """Return a LearnerPersonal that a transfer file can be made of."""
    return parse(
        f"<LearnerPersonal RefId='{REF}'><PersonalInformation>{name}<Demographics>{demographics}</Demographics>{person}"
        f"</PersonalInformation><UPN>{upn}</UPN>{inner}</LearnerPersonal>"
    )


def about(kind: str, inner: str, school: str = HERE, more: str = "") -> etree._Element:
    """Return another object about the learner."""
    return parse(f"<{kind} LearnerPersonalRefId='{REF}' SchoolInfoRefId='{school_ref(school)}' {more}>{inner}</{kind}>")


def stay(entry: str, school: str = HERE, left: str = "") -> etree._Element:
    ended = f"<ExitDate>{left}</ExitDate><ExitType><Code>JS</Code></ExitType>" if left else ""
    inner = f"<EntryDate>{entry}</EntryDate><NCYearGroupActual>6</NCYearGroupActual>{ended}"
    return about("LearnerSchoolEnrolment", inner, school, "MembershipType='C'")


def totals(year: str, days: str, attended: int, possible: int, school: str = HERE) -> etree._Element:
    start, end = days.split("/")
    return about(
        "LearnerAttendanceSummary",
        f"<SchoolYear>{year}</SchoolYear><StartDate>{start}</StartDate><EndDate>{end}</EndDate><ReasonsList><Reason>"
        f"<Code>/</Code><Type>Present</Type><Status>NA</Status><Total>{attended}</Total></Reason></ReasonsList>"
        f"<SessionsAttendedTotal>{attended}</SessionsAttendedTotal><SessionsPossible>{possible}</SessionsPossible>",
        school,
    )


def contact(flags: str = "", sequence: str = "", person: str = "", relationship: str = "FAMN") -> list[etree._Element]:
    name = "<Name Type='C'><FamilyName>Abernall</FamilyName></Name>"
    return [
        parse(
            f"<LearnerContact LearnerPersonalRefId='{REF}' ContactPersonalRefId='{ADULT}'>"
            f"<Relationship>{relationship}</Relationship><ContactFlags>{flags}</ContactFlags>{sequence}</LearnerContact>"
        ),
        parse(
            f"<ContactPersonal RefId='{ADULT}'><PersonalInformation>{name}{person}</PersonalInformation>"
            "</ContactPersonal>"
        ),
    ]


def period(inner: str, current: str = "Yes", status: str = "LA") -> etree._Element:
    """Return a LearnerLookedAfter."""
    return etree.fromstring(
        f"<LearnerLookedAfter xmlns='{LOOKED_AFTER}' RefId='{ADULT}' LearnerPersonalRefId='{REF}' "
        f"LAInfoRefId='{AUTHORITY}'><Current>{current}</Current><CareStatus>{status}</CareStatus>"
        f"<CareStartDate>2025-01-07</CareStartDate>{inner}</LearnerLookedAfter>"
    )


def authority() -> etree._Element:
    return parse(f"<LAInfo RefId='{AUTHORITY}'><LAId>836</LAId><LAName>Madeupshire</LAName></LAInfo>")


def root(*elements: etree._Element) -> etree._Element:
    return etree.fromstring(document_of(*elements).content)


def text(found: etree._Element, path: str) -> str | None:
    return found.findtext(f"CTFpupilData/Pupil/{path}")


def left_out(document: CtfDocument) -> dict[str, str]:
    ((_, found),) = document.left_out
    return {left.path: left.reason for left in found}


# the header


def test_the_header_names_both_schools_the_version_and_the_year_in_which_the_school_year_starts() -> None:
    header = root(learner())[0]

    assert [(element.tag, element.text) for element in header if not len(element)] == [
        ("DocumentName", "Common Transfer File"),
        ("CTFversion", "25.0"),
        ("DateTime", "2026-10-06T14:22:31"),
        ("DocumentQualifier", "full"),
        ("SupplierID", "sifzone"),
    ]
    assert [(element.tag, element.text) for element in header.iterfind("SourceSchool/*")] == [
        ("LEA", "820"),
        ("Estab", "9901"),
        ("URN", "999001"),
        ("SchoolName", "Larkfield Primary School"),
        ("AcademicYear", "2026"),
    ]
    assert [element.text for element in header.iterfind("DestSchool/*")] == ["837", "9902", "999002"]


@pytest.mark.parametrize(
    ("written", "local", "year"),
    [
        (datetime(2026, 7, 31, 22, 59, 59, tzinfo=UTC), "2026-07-31T23:59:59", "2025"),
        (datetime(2026, 7, 31, 23, 0, 0, tzinfo=UTC), "2026-08-01T00:00:00", "2026"),
        (datetime(2026, 12, 1, 9, 0, 0, tzinfo=UTC), "2026-12-01T09:00:00", "2026"),
    ],
    ids=["last-of-july", "first-of-august-in-london", "winter"],
)
def test_the_time_is_that_of_london_and_the_school_year_begins_in_august(
    written: datetime, local: str, year: str
) -> None:
    found = etree.fromstring(document_of(learner(), transfer=replace(TRANSFER, written=written)).content)

    assert found.findtext("Header/DateTime") == local
    assert found.findtext("Header/SourceSchool/AcademicYear") == year


@pytest.mark.parametrize(("stands_for", "numbers"), [(NOT_KNOWN, ["XXX", "XXXX"]), (OUTSIDE, ["MMM", "MMMM"])])
def test_a_school_that_is_not_known_or_outside_the_sector_has_its_own_number(
    stands_for: Establishment, numbers: list[str]
) -> None:
    found = etree.fromstring(document_of(learner(), transfer=replace(TRANSFER, destination=stands_for)).content)

    assert [element.text for element in found.iterfind("Header/DestSchool/*")] == numbers


def test_an_authority_sends_a_file_under_its_own_name() -> None:
    transfer = replace(TRANSFER, source=Establishment("836LLLL"))

    found = etree.fromstring(document_of(learner(), authority(), transfer=transfer).content)

    assert found.findtext("Header/SourceSchool/SchoolName") == "Madeupshire"
    assert found.findtext("Header/SourceSchool/Estab") == "LLLL"


@pytest.mark.parametrize("number", ["", "82099", "8209901/..", "XXXXXXX", "82O9901"])
def test_a_source_that_is_no_establishment_is_refused(number: str) -> None:
    with pytest.raises(CtfError, match="establishment"):
        document_of(learner(), transfer=replace(TRANSFER, source=Establishment(number)))


def test_a_destination_that_is_no_establishment_and_stands_for_none_is_refused() -> None:
    with pytest.raises(CtfError, match="XXXXXXX"):
        document_of(learner(), transfer=replace(TRANSFER, destination=Establishment("../../x")))


# what a pupil has


def test_a_pupil_has_its_blocks_in_the_order_of_the_format() -> None:
    found = root(
        learner("<InCare><Current>No</Current><LAId>820</LAId></InCare>", ADDRESS),
        stay("2020-09-03"),
        totals("2026", "2025-09-01/2026-08-31", 43, 46),
        about("LearnerSpecialNeeds", "<Provision>K</Provision><StartDate>2024-01-08</StartDate>"),
        component("2" * 32, "<Stage>KS2</Stage>"),
        result("2" * 32, "<AchievementDate>2026-07-01</AchievementDate><Result>104</Result>"),
        *contact(),
    )

    ctf_schema().assertValid(found)
    assert [element.tag for element in found[1][0]] == [
        "UPN", "Surname", "Forename", "DOB", "Sex", "BasicDetails", "LookedAfter", "SENhistory", "Address", "Contacts",
        "Attendance", "StageAssessments", "SchoolHistory",
    ]  # fmt: skip


def test_two_learners_are_two_pupils_in_the_order_asked_for() -> None:
    first, second = learner(), learner(upn="J93899992301A")
    second.set("RefId", ADULT)

    document = document_of(first, second, learners=(ADULT, REF))

    assert document.pupils == 2
    found = etree.fromstring(document.content)
    assert [pupil.findtext("UPN") for pupil in found[1]] == ["J93899992301A", "X820990119007"]


def test_objects_of_other_learners_stay_out() -> None:
    other = stay("2019-09-01", ELSEWHERE)
    other.set("LearnerPersonalRefId", ADULT)

    found = root(learner(), stay("2020-09-03"), other)

    assert [row.findtext("Estab") for row in found.iter("School")] == ["9901"]


def test_history_joins_stays_and_earlier_schools_by_day_of_entry_and_leaves_out_the_stay_that_begins() -> None:
    earlier = (
        "<PreviousEstablishmentList><PreviousEstablishment><EstablishmentId>9903</EstablishmentId>"
        "<EstablishmentName>Old Name</EstablishmentName><LAId>836</LAId><EntryDate>2018-09-04</EntryDate>"
        "<ExitDate>2020-07-20</ExitDate><ExitType>IJ</ExitType><LastSchool>No</LastSchool></PreviousEstablishment>"
        "<PreviousEstablishment><EstablishmentId>9901</EstablishmentId><LAId>820</LAId><EntryDate>2020-09-03</EntryDate>"
        "</PreviousEstablishment></PreviousEstablishmentList>"
    )
    document = document_of(
        learner(earlier),
        stay("2026-10-07", THERE),
        stay("2020-09-03", left="2026-10-02"),
        stay("2017-09-01", THERE, "2018-07-20"),
    )

    rows = [[cell.text for cell in row] for row in etree.fromstring(document.content).iter("School")]
    assert rows == [
        ["837", "9902", "999002", "Copperfen High School", "2017-09-01", "2018-07-20", "JS"],
        ["836", "9903", "Beacon Hill School", "2018-09-04", "2020-07-20", "IJ", "false"],
        ["820", "9901", "999001", "Larkfield Primary School", "2020-09-03", "2026-10-02", "JS"],
    ]
    assert left_out(document).keys() == {
        "LearnerSchoolEnrolment",  # the stay that begins
        "LearnerSchoolEnrolment/NCYearGroupActual",  # of the first: a file has the present year group only
    }


def test_attendance_of_one_year_is_added_up_but_no_day_twice() -> None:
    document = document_of(
        learner(),
        totals("2026", "2025-09-01/2025-12-19", 100, 110),
        totals("2026", "2026-01-05/2026-03-27", 90, 95),
        totals("2026", "2026-02-01/2026-02-28", 30, 31),
        totals("2025", "2024-09-01/2025-08-31", 370, 378, ELSEWHERE),
    )

    found = etree.fromstring(document.content)
    tags = ("Year", "Estab", "SessionsAttended")
    assert [tuple(map(row.findtext, tags)) for row in found.iter("YearData")] == [
        ("2024", "9903", "370"),
        ("2025", "9901", "190"),
    ]
    assert "another total" in left_out(document)["LearnerAttendanceSummary"]


def test_needs_are_those_of_the_provision_that_runs_and_a_provision_told_by_two_schools_is_there_once() -> None:
    types = "<SENTypeList><SENType Ranking='2'>SLCN</SENType><SENType Ranking='1'>SEMH</SENType></SENTypeList>"
    ended = "<Provision>N</Provision><StartDate>2023-09-04</StartDate><EndDate>2024-01-07</EndDate>"
    running = f"<Provision>K</Provision><StartDate>2024-01-08</StartDate>{types}<MedicalFlag>Yes</MedicalFlag>"

    found = root(
        learner(),
        about("LearnerSpecialNeeds", running),
        about("LearnerSpecialNeeds", ended + types.replace("SLCN", "ASD")),
        about("LearnerSpecialNeeds", ended, ELSEWHERE),
    )

    assert [row.findtext("SENprovision") for row in found.iter("SEN")] == ["N", "K"]
    assert [row.findtext("SENtype") for row in found.iter("SENneed")] == ["SEMH", "SLCN"]
    assert text(found, "BasicDetails/MedicalFlag") == "true"


def test_house_numbers_and_flats_become_one_text_each() -> None:
    building = (
        "<PAON><Description>Larch House</Description><StartNumber>14</StartNumber>"
        "<StartNumberSuffix>A</StartNumberSuffix><EndNumber>16</EndNumber></PAON><SAON><StartNumber>3</StartNumber></SAON>"
    )
    place = (
        "<GridLocation><PropertyEasting>400000</PropertyEasting><PropertyNorthing>300000</PropertyNorthing>"
        "</GridLocation>"
    )

    found = root(learner(person=f"<Address Type='Current'>{building}<Country>FRA</Country>{place}</Address>"))

    assert text(found, "Address/BS7666Address/PAON") == "Larch House, 14A-16"
    assert text(found, "Address/BS7666Address/SAON") == "3"
    assert [element.tag for element in found[1][0].iterfind("Address/*")] == [
        "BS7666Address", "Country", "Easting", "Northing",
    ]  # fmt: skip
    assert text(found, "Address/Country") == "France"


def test_an_address_that_is_not_the_current_one_is_left_out() -> None:
    document = document_of(learner(person=ADDRESS.replace("Current", "Previous")))

    assert "LearnerPersonal/PersonalInformation/Address/Street" in left_out(document)
    assert text(etree.fromstring(document.content), "Address/BS7666Address/Street") is None


def test_contacts_are_in_their_order_and_those_without_a_number_come_last() -> None:
    without, person = contact()
    with_number = parse(
        f"<LearnerContact LearnerPersonalRefId='{REF}' ContactPersonalRefId='{REF}'><Relationship>FAFN</Relationship>"
        "<ContactFlags/><ContactSequence>2</ContactSequence></LearnerContact>"
    )
    other = parse(
        f"<ContactPersonal RefId='{REF}'><PersonalInformation><Name Type='C'><FamilyName>Dallimore</FamilyName></Name>"
        "</PersonalInformation></ContactPersonal>"
    )

    found = root(learner(), without, with_number, person, other)

    rows = [(row.findtext("Order"), row.findtext("Surname")) for row in found.iter("Contact")]
    assert rows == [("2", "Dallimore"), ("3", "Abernall")]


def result(component: str, inner: str, ref_id: str = "1" * 32) -> etree._Element:
    return parse(
        f"<LearnerAssessmentResult RefId='{ref_id}' AssessmentComponentRefId='{component}' "
        f"LearnerPersonalRefId='{REF}'>"
        f"{inner}<ResultStatus>R</ResultStatus></LearnerAssessmentResult>"
    )


def component(ref_id: str, stages: str, years: str = "", method: str = "TT") -> etree._Element:
    return parse(
        f"<AssessmentResultComponent RefId='{ref_id}'>{years}<AssessmentSubjectList><Subject>MAT</Subject>"
        f"</AssessmentSubjectList><StageList>{stages}</StageList><ResultQualifier>NM</ResultQualifier>"
        f"<AssessmentMethod>{method}</AssessmentMethod></AssessmentResultComponent>"
    )


def test_results_are_by_key_stage_with_the_year_in_which_the_school_year_ends() -> None:
    late = "<AchievementDate>2025-09-12</AchievementDate><Result>21</Result>"
    early = "<AchievementDate>2022-07-01</AchievementDate><Result>104</Result>"
    document = document_of(
        learner(),
        component("2" * 32, "<Stage>KS2</Stage>"),
        component("3" * 32, "<Stage>KS1</Stage>", "<YearList><Year>2021</Year></YearList>", "TA"),
        component("4" * 32, "<Stage>KS1</Stage><Stage>KS2</Stage>"),
        *(result(number * 32, late, number * 32) for number in "23459"),
        result("2" * 32, early),
    )

    found = etree.fromstring(document.content)
    ctf_schema().assertValid(found)
    rows = [[cell.text for cell in row] for row in found.iter("StageAssessment")]
    assert [stage.findtext("Stage") for stage in found.iter("KeyStage")] == ["KS1", "KS2"]
    assert rows == [
        ["2021", "MAT", "TA", "R", "NM", "21", "2025-09-12"],
        ["2022", "MAT", "TT", "R", "NM", "104", "2022-07-01"],
        ["2026", "MAT", "TT", "R", "NM", "21", "2025-09-12"],
    ]
    ((_, left),) = document.left_out
    assert sorted(each.reason.partition(":")[0] for each in left) == [
        "its AssessmentResultComponent names no key stage, or several",
        "the AssessmentResultComponent that it refers to is not here",
    ]


# what is left out


def test_what_a_file_cannot_carry_is_listed_by_path_without_its_value() -> None:
    exclusion = parse(
        f"<LearnerExclusion RefId='{ADULT}' LearnerPersonalRefId='{REF}'><Category>SUSP</Category></LearnerExclusion>"
    )
    demographics = f"{DEMOGRAPHICS}<PlaceOfBirth>Quarrington</PlaceOfBirth>"
    document = document_of(
        learner("<HomeLA>836</HomeLA><SIF_Metadata><LifeCycle/></SIF_Metadata>", demographics=demographics),
        exclusion,
        *contact("<EmergencyContact>Yes</EmergencyContact>", relationship="FAGA9"),
    )

    assert left_out(document).keys() == {
        "LearnerPersonal/PersonalInformation/Demographics/PlaceOfBirth",
        "LearnerPersonal/HomeLA",
        "LearnerContact/Relationship",
        "LearnerContact/ContactFlags/EmergencyContact",
        "LearnerExclusion",
    }
    assert not any(value in str(document.left_out) for value in ("Quarrington", "836", "SUSP", "FAGA9"))
    assert "Thornquist" not in repr(document)


def test_of_several_of_which_a_file_has_one_the_others_are_listed() -> None:
    upns = "<FormerUPNList><UPN>J93899992301A</UPN><UPN>A820990100001</UPN></FormerUPNList>"

    document = document_of(learner(upns))

    assert text(etree.fromstring(document.content), "BasicDetails/FormerUPN") == "J93899992301A"
    assert list(left_out(document)) == ["LearnerPersonal/FormerUPNList/UPN"]


def test_a_code_that_files_do_not_have_is_listed_and_unknown_is_not() -> None:
    other = stay("2020-09-03")
    other.set("MembershipType", "F")
    for year in other.iter(f"{{{NAMESPACE}}}NCYearGroupActual"):
        year.text = "U"

    document = document_of(learner(), other)

    assert left_out(document) == {"LearnerSchoolEnrolment/@MembershipType": "a transfer file has no such code"}
    assert text(etree.fromstring(document.content), "BasicDetails") is None


def test_a_contact_without_a_surname_or_without_the_person_is_left_out_and_listed() -> None:
    link, person = contact(person="<Email Type='Personal'>a@b.example</Email>")
    for name in person.iter(f"{{{NAMESPACE}}}FamilyName"):
        name.text = ""

    nameless, alone = document_of(learner(), link, person), document_of(learner(), link)

    assert "surname" in left_out(nameless)["ContactPersonal/PersonalInformation/Email"]
    assert "not here" in left_out(alone)["LearnerContact"]
    assert b"<Contacts>" not in nameless.content + alone.content


# care, and what must not be told


def test_of_care_there_is_the_flag_and_the_authority_and_no_more() -> None:
    worker = "<SocialWorker><Name>Piers Dallimore</Name></SocialWorker><AsAtDate>2026-10-01</AsAtDate>"

    document = document_of(learner(), period(worker), authority())

    found = etree.fromstring(document.content).iterfind("CTFpupilData/Pupil/LookedAfter/*")
    assert [(element.tag, element.text) for element in found] == [("InCare", "true"), ("CareAuthority", "836")]
    assert b"Dallimore" not in document.content
    assert "LearnerLookedAfter/SocialWorker/Name" in left_out(document)


@pytest.mark.parametrize(
    ("own", "periods", "expected"),
    [
        ("", [], None),
        ("<InCare><Current>Unknown</Current><LAId>820</LAId></InCare>", [], None),
        ("<InCare><Current>No</Current><LAId>820</LAId></InCare>", [], ("false", None)),
        ("<InCare><Current>Yes</Current><LAId>837</LAId></InCare>", [], ("true", "837")),
        ("<InCare><Current>Yes</Current><LAId>XXX</LAId></InCare>", [], ("true", None)),
        ("<InCare><Current>Yes</Current><LAId>837</LAId></InCare>", [("Yes", "LA")], ("true", "836")),
        ("<InCare><Current>No</Current><LAId>820</LAId></InCare>", [("Yes", "LA")], ("true", "836")),
        ("<InCare><Current>Yes</Current><LAId>837</LAId></InCare>", [("No", "CE")], ("true", "837")),
        ("", [("No", "CE"), ("Yes", "SB")], None),
    ],
    ids=["nothing", "unknown", "no", "yes", "authority-not-known", "record", "record-against", "ended", "short-breaks"],
)
def test_a_running_record_of_care_counts_before_what_the_learner_s_own_object_says(
    own: str, periods: list[tuple[str, str]], expected: tuple[str, str | None] | None
) -> None:
    found = root(learner(own), authority(), *(period("", *each) for each in periods))

    care = found.find("CTFpupilData/Pupil/LookedAfter")
    assert (None if care is None else (care.findtext("InCare"), care.findtext("CareAuthority"))) == expected


@pytest.mark.parametrize(
    "inner",
    ["<ShieldCode>P</ShieldCode>", "<ShieldCode>A</ShieldCode>", "<CareEndReason>E12</CareEndReason>"],
    ids=["protected-move", "adopted-by-shield", "adopted-by-end-of-care"],
)
def test_no_file_is_made_of_a_learner_who_is_shielded_or_adopted(inner: str) -> None:
    with pytest.raises(CtfWithheld, match="care team"):
        document_of(learner(), period(inner))


def test_while_an_address_may_not_be_told_no_address_is_written() -> None:
    document = document_of(
        learner(person=ADDRESS), *contact(person=ADDRESS), period("<AddressShield>Yes</AddressShield>")
    )

    assert b"Pellworth" not in document.content
    assert "AddressShield" in left_out(document)["LearnerPersonal/PersonalInformation/Address/Street"]
    assert "AddressShield" in left_out(document)["ContactPersonal/PersonalInformation/Address/Street"]


@pytest.mark.parametrize("flag", ["TransferAddress", "AddressDisclosure"])
def test_a_contact_s_address_goes_on_only_where_no_flag_forbids_it(flag: str) -> None:
    forbidden = document_of(learner(), *contact(f"<{flag}>No</{flag}>", person=ADDRESS))
    allowed = document_of(learner(), *contact(f"<{flag}>Yes</{flag}>", person=ADDRESS))

    assert b"Pellworth" not in forbidden.content
    assert flag in left_out(forbidden)["ContactPersonal/PersonalInformation/Address/Street"]
    assert b"Pellworth" in allowed.content


def test_a_contact_who_lives_with_the_pupil_has_the_pupil_s_address() -> None:
    found = root(learner(person=ADDRESS), *contact("<LivesWith>Yes</LivesWith>", person=ADDRESS))

    assert text(found, "Contacts/Contact/Address/AddressAsPupil") == "true"
    assert len(list(found.iter("Street"))) == 1


# what stops a file


@pytest.mark.parametrize(
    ("change", "element", "words"),
    [
        (lambda: learner(upn=""), "Pupil/UPN", "temporary"),
        (lambda: learner(upn="X820"), "Pupil/UPN", "form of a UPN"),
        (lambda: learner(name=NAME.replace("Thornquist", " ")), "Pupil/Surname", "FamilyName is empty"),
        (lambda: learner(name=NAME.replace("Maëlys", "")), "Pupil/Forename", "GivenName is empty"),
        (lambda: learner(demographics="<Gender>F</Gender>"), "Pupil/DOB", "BirthDate is empty"),
        (lambda: learner(demographics=DEMOGRAPHICS.replace("F", "U")), "Pupil/Sex", "enter M or F"),
    ],
    ids=["no-upn", "upn", "surname", "forename", "birth-date", "sex"],
)
def test_what_every_file_must_have_is_asked_for_by_element_with_what_to_do(
    change: Callable[[], etree._Element], element: str, words: str
) -> None:
    with pytest.raises(CtfIncomplete, match=words) as caught:
        document_of(change())

    assert [(missing.learner, missing.element) for missing in caught.value.missing] == [(REF, element)]
    assert "Thornquist" not in str(caught.value)


def test_all_that_is_missing_is_said_at_once_the_header_first() -> None:
    with pytest.raises(CtfIncomplete) as caught:
        make_ctf(TRANSFER, Kept(learner(upn="", demographics="")), [REF, ADULT], load())

    assert [missing.element for missing in caught.value.missing] == [
        "Header/SourceSchool/SchoolName", "Pupil", "Pupil/UPN", "Pupil/DOB", "Pupil/Sex",
    ]  # fmt: skip


def test_what_is_not_as_the_schema_has_it_is_refused_by_path_without_its_value() -> None:
    wrong = parse(f"<SchoolInfo RefId='{school_ref('8289904')}'><EstablishmentId>9904</EstablishmentId><LAId>828</LAId>"
                  "<SchoolName>Nook School</SchoolName><URN>none yet</URN></SchoolInfo>")  # fmt: skip

    with pytest.raises(CtfIncomplete) as caught:
        document_of(learner(), wrong, stay("2020-09-03", "8289904"))

    (missing,) = caught.value.missing
    assert (missing.learner, missing.element) == (REF, "CTfile/CTFpupilData/Pupil/SchoolHistory/School/URN")
    assert "none yet" not in str(caught.value)


@pytest.mark.parametrize("ref_ids", [[], [REF, REF]], ids=["none", "twice"])
def test_a_file_is_of_at_least_one_learner_and_of_each_once(ref_ids: list[str]) -> None:
    with pytest.raises(CtfError, match="each once"):
        make_ctf(TRANSFER, Kept(*SCHOOLS, learner()), ref_ids, load())
