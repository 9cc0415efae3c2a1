"""What is written into a transfer file is read back by our own reader: nothing is lost that both of them know."""

import tempfile
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from agents.connectors.ctf_out import ctf_schema
from mappings import Record
from tests.unit.agents.ctf_files import (
    HERE,
    MAPPINGS,
    canonical,
    document_of,
    objects_of,
    record,
    records_of,
)
from tests.unit.agents.helpers import parse

HEADER: Final = {"Header/SourceSchool/LEA": HERE[:3], "Header/SourceSchool/Estab": HERE[3:]}
LETTERS: Final = "ABCDEFGHJKLMNPQRTUVWXYZ"
RELATIONSHIPS: Final = ("PAM", "PAF", "STP", "FOS", "CAR", "REL", "FAM", "OTH", "SWR", "CHM", "DOC", "RLG", "HTC")
YEARS: Final = ["E1", "E2", "N1", "N2", "R", *map(str, range(1, 15)), "M", "X"]

words = (
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" <&>'\""), min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
)
days = st.dates(date(1995, 1, 1), date(2026, 10, 5)).map(date.isoformat)
upns = st.from_regex(rf"\A[{LETTERS}][0-9]{{11}}[0-9{LETTERS}]\Z")
counts = st.integers(0, 400).map(str)
phones = st.lists(
    st.fixed_dictionaries({"TelephoneType": st.sampled_from("HMWFAD"), "PhoneNo": st.from_regex(r"\A0[0-9]{10}\Z")}),
    max_size=4,
)
emails = st.from_regex(r"\A[a-z]{1,8}@[a-z]{1,8}\.example\Z")


def some(mandatory: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, str]]:
    """Return fields: all of the first, and any of the others."""
    return st.fixed_dictionaries(mandatory, optional=optional)


def addresses() -> st.SearchStrategy[dict[str, str]]:
    """Return the fields of an address, in either form."""
    around = {
        "Address/County": words,
        "Address/PostCode": st.sampled_from(["QZ1 1AA", "qz224bb", "75001"]),
        "Address/Country": st.sampled_from(["United Kingdom", "GBR", "France", "Isle of Man", "Jersey"]),
    }
    parts = ("SAON", "PAON", "Street", "Locality", "Town", "AdministrativeArea", "PostTown")
    by_parts = {f"Address/BS7666Address/{part}": words for part in parts}
    by_lines = {f"Address/AddressLines/AddressLine{number}": words for number in range(1, 5)}
    return some({}, by_parts | around) | some({}, by_lines | around)


@st.composite
def contacts(draw: st.DrawFn) -> list[tuple[dict[str, str], dict[str, list[dict[str, str]]]]]:
    """Return adults; each has another surname, since a file tells them apart by nothing else."""
    surnames = draw(st.lists(words, max_size=4, unique_by=str.upper))
    orders = draw(st.permutations(range(1, len(surnames) + 1)))
    made = []
    for surname, order in zip(surnames, orders, strict=True):
        optional = {
            "Title": words,
            "Forename": words,
            "MiddleNames": words,
            "Sex": st.sampled_from("MF"),
            "Relationship": st.sampled_from(RELATIONSHIPS),
            "Responsibility": st.sampled_from(["true", "false"]),
            "Email": emails,
        }
        fields = draw(some({"Surname": st.just(surname), "Order": st.just(str(order))}, optional))
        fields |= draw(addresses() | st.just({"Address/AddressAsPupil": "true"}))
        made.append((fields, {"Phones/Phone": draw(phones)}))
    return made


@st.composite
def needs(draw: st.DrawFn) -> dict[str, list[dict[str, str]]]:
    """Return provisions, of which one at most has no end, and needs in any order."""
    starts = draw(st.lists(days, max_size=3, unique=True))
    kinds = st.sampled_from("NKEAPSQ")
    provisions = [{"StartDate": start, "SENprovision": draw(kinds), "EndDate": draw(days)} for start in starts]
    has_open = draw(st.booleans())
    if provisions and has_open:
        del provisions[-1]["EndDate"]
    ranks = draw(st.permutations(range(1, draw(st.integers(0, 12)) + 1)))
    types = st.sampled_from(["SPLD", "MLD", "SEMH", "SLCN", "HI", "ASD", "OTH", "DS"])
    return {
        "SENhistory/SEN": provisions,
        "SENhistory/SENneeds/SENneed": [{"SENtypeRank": str(rank), "SENtype": draw(types)} for rank in ranks],
    }


def at(establishment: str) -> dict[str, Any]:
    """Return the two numbers of a school."""
    return {"LEA": st.just(establishment[:3]), "Estab": st.just(establishment[3:])}


def years_and_stays() -> st.SearchStrategy[dict[str, list[dict[str, str]]]]:
    """Return totals of attendance and stays, at the school that sends the file and at others."""
    totals = {"SessionsPossible": counts, "SessionsAttended": counts, "Year": st.integers(2005, 2026).map(str)}
    absences = {"SessionsAuthorised": counts, "SessionsUnauthorised": counts}
    ends = {"LeavingDate": days, "LeavingReason": st.sampled_from(["ST", "JS", "PM", "OR"])}
    years = some(at(HERE) | totals, absences) | some(at("8369903") | totals, absences)
    stays = some(at(HERE) | {"EntryDate": days}, ends) | some(at("8369903") | {"EntryDate": days}, ends)
    return st.fixed_dictionaries(
        {
            "Attendance/YearData": st.lists(years, max_size=4, unique_by=lambda row: (row["Year"], row["LEA"])),
            "SchoolHistory/School": st.lists(stays, max_size=4, unique_by=lambda row: row["EntryDate"]),
        }
    )


care = st.sampled_from([{}, {"InCare": "true", "CareAuthority": "836"}, {"InCare": "true"}, {"InCare": "false"}]).map(
    lambda fields: {f"LookedAfter/{name}": text for name, text in fields.items()}
)
languages = st.lists(
    st.fixed_dictionaries(
        {"LanguageType": st.sampled_from("FHMTSC"), "Language": st.sampled_from(["ENG", "POL", "BNGS"])}
    ),
    max_size=3,
)
basics = {
    "FormerUPN": upns,
    "PreferredSurname": words,
    "FormerSurname": words,
    "PreferredForename": words,
    "FormerForename": words,
    "MiddleNames": words,
    "NCyearActual": st.sampled_from(YEARS),
    "Ethnicity": st.sampled_from(["WBRI", "MWBC", "BNGN", "NOBT"]),
    "EthnicitySource": st.sampled_from("CPSTO"),
    "MedicalFlag": st.sampled_from(["true", "false"]),
    "EnrolStatus": st.sampled_from("CMSGP"),
}


@st.composite
def pupils(draw: st.DrawFn, upn: str | None = None) -> Record:
    """Return a pupil with any of what a file can say of one."""
    whole = {"Surname": words, "Forename": words, "DOB": days, "Sex": st.sampled_from("MF")}
    whole["UPN"] = upns if upn is None else st.just(upn)
    optional: dict[str, Any] = {f"BasicDetails/{name}": values for name, values in basics.items()}
    optional |= {"UniqueLearnerNumber": st.from_regex(r"\A[1-9][0-9]{9}\Z"), "Email": emails}
    fields = HEADER | draw(some(whole, optional)) | draw(addresses()) | draw(care)
    groups: dict[str, Any] = {"BasicDetails/Languages/Type": draw(languages), "Phones/Phone": draw(phones)}
    groups |= draw(needs()) | draw(years_and_stays()) | {"Contacts/Contact": draw(contacts())}
    return record(fields, groups)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(upns, min_size=1, max_size=2, unique=True).flatmap(lambda all_: st.tuples(*map(pupils, all_))))
def test_objects_that_are_written_and_read_again_are_the_same_objects(given_pupils: tuple[Record, ...]) -> None:
    before, _ = objects_of(*given_pupils)

    document = document_of(*(made.element for made in before))
    with tempfile.TemporaryDirectory() as folder:
        after, _ = objects_of(*records_of(document.content, Path(folder)))

    assert document.pupils == len(given_pupils)
    assert canonical(after) == canonical(before)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(pupils())
def test_every_file_is_as_the_schema_has_it_and_has_no_empty_element(pupil: Record) -> None:
    before, _ = objects_of(pupil)

    root = etree.fromstring(document_of(*(made.element for made in before)).content)

    ctf_schema().assertValid(root)
    assert [element.tag for element in root.iter() if not len(element) and not (element.text or "").strip()] == []


NOT_WRITTEN: Final = {
    "Address/AddressLines/AddressLine1",
    "Address/AddressLines/AddressLine2",
    "Address/AddressLines/AddressLine3",
    "Address/AddressLines/AddressLine4",
    "Address/ZIP",
}
"""Other ways to say what is written as BS7666Address and PostCode."""
WHOLE: Final = HEADER | {
    "UPN": "X820990119007",
    "UniqueLearnerNumber": "1000000027",
    "Surname": "Thornquist",
    "Forename": "Maëlys",
    "DOB": "2014-11-23",
    "Sex": "F",
    "Email": "maelys@pupils.example.org",
    "LookedAfter/InCare": "true",
    "LookedAfter/CareAuthority": "836",
    "Address/County": "Madeupshire",
    "Address/PostCode": "QZ1 1AA",
    "Address/Country": "United Kingdom",
    **{f"Address/BS7666Address/{part}": part for part in ("SAON", "PAON", "Street", "Locality", "Town")},
    **{f"Address/BS7666Address/{part}": part for part in ("AdministrativeArea", "PostTown")},
    **{f"BasicDetails/{part}": part for part in basics if part.endswith(("name", "Surname", "Names", "Forename"))},
    "BasicDetails/FormerUPN": "J93899992301A",
    "BasicDetails/NCyearActual": "7",
    "BasicDetails/Ethnicity": "MWBC",
    "BasicDetails/EthnicitySource": "P",
    "BasicDetails/MedicalFlag": "false",
    "BasicDetails/EnrolStatus": "C",
}
LIVES_WITH: Final = {"Order": "1", "Surname": "Abernall", "Relationship": "FOS", "Address/AddressAsPupil": "true"}
LIVES_ELSEWHERE: Final = {
    "Order": "2",
    "Title": "Ms",
    "Surname": "Thornquist",
    "Forename": "Elvira",
    "MiddleNames": "Ione",
    "Sex": "F",
    "Relationship": "PAM",
    "Responsibility": "true",
    "Email": "elvira@example.org",
} | {name: text for name, text in WHOLE.items() if name.startswith("Address/")}
PHONES: Final = {"Phones/Phone": [{"TelephoneType": "M", "PhoneNo": "07700900101"}]}
GROUPS: Final = PHONES | {
    "BasicDetails/Languages/Type": [{"LanguageType": "F", "Language": "ENG"}],
    "SENhistory/SEN": [
        {"StartDate": "2023-09-04", "SENprovision": "N", "EndDate": "2024-01-07"},
        {"StartDate": "2024-01-08", "SENprovision": "K"},
    ],
    "SENhistory/SENneeds/SENneed": [{"SENtypeRank": "1", "SENtype": "SEMH"}],
    "Contacts/Contact": [LIVES_WITH, (LIVES_ELSEWHERE, PHONES)],
    "Attendance/YearData": [
        {
            "Year": "2026", "LEA": "820", "Estab": "9901", "SessionsPossible": "46", "SessionsAuthorised": "1",
            "SessionsAttended": "43", "SessionsUnauthorised": "2",
        }
    ],
    "SchoolHistory/School": [
        {
            "LEA": "820", "Estab": "9901", "EntryDate": "2026-09-02", "LeavingDate": "2026-10-02",
            "LeavingReason": "PM",
        }
    ],
}  # fmt: skip


def fields_of(read: Record) -> set[str]:
    """Return the names of all fields of a record and of the members of its groups, with and without the group's."""
    found = {*read.fields}
    for group, members in read.groups.items():
        for name in set().union(*(fields_of(member) for member in members)):
            found |= {name, f"{group}/{name}"}
    return found


def texts_of(read: Record) -> list[tuple[str, str]]:
    """Return every text of a record with its path, those of groups too, without the fields of header and file."""
    own = [(name, text) for name, text in read.fields.items() if not name.startswith(("Header/", "File/"))]
    for group, members in read.groups.items():
        own += [(f"{group}/{path}", text) for member in members for path, text in texts_of(member)]
    return own


RESULTS: Final = (
    parse(
        f"<AssessmentResultComponent RefId='{'2' * 32}'><AssessmentSubjectList><Subject>MAT</Subject>"
        "</AssessmentSubjectList><StageList><Stage>KS2</Stage></StageList><ResultQualifier>NM</ResultQualifier>"
        "<AssessmentMethod>TT</AssessmentMethod></AssessmentResultComponent>"
    ),
    parse(
        f"<LearnerAssessmentResult RefId='{'3' * 32}' AssessmentComponentRefId='{'2' * 32}' LearnerPersonalRefId='%s'>"
        "<AchievementDate>2025-07-01</AchievementDate><Result>104</Result><ResultStatus>R</ResultStatus>"
        "</LearnerAssessmentResult>"
    ),
)


def test_of_a_whole_record_every_text_that_is_written_is_read_again(tmp_path: Path) -> None:
    made, _ = objects_of(record(WHOLE, GROUPS))
    learner = next(one.ref_id for one in made if one.object_type == "LearnerPersonal")
    results = [deepcopy(each) for each in RESULTS]
    results[1].set("LearnerPersonalRefId", learner)

    document = document_of(*(one.element for one in made), *results, learners=(learner,))
    (read,) = records_of(document.content, tmp_path)

    (pupil,) = etree.fromstring(document.content).iter("Pupil")
    written = [
        ("/".join([*(up.tag for up in reversed([*one.iterancestors()][:-3])), one.tag]), one.text or "")
        for one in pupil.iter()
        if not len(one)
    ]
    assert len(written) > 80
    assert sorted(texts_of(read)) == sorted(written)


def test_every_field_that_the_mappings_read_from_a_file_is_written(tmp_path: Path) -> None:
    made, problems = objects_of(record(WHOLE, GROUPS))
    assert problems == []

    (read,) = records_of(document_of(*(one.element for one in made)).content, tmp_path)

    asked = {name.rpartition(":")[2].lstrip("/") for mapping in MAPPINGS for name in mapping.sources}
    assert asked - fields_of(read) - NOT_WRITTEN - {*GROUPS} == set()


@pytest.mark.parametrize("code", [*RELATIONSHIPS, "TCH"])
def test_a_relationship_comes_back_as_it_was_but_for_a_teacher_whom_sif_does_not_know(
    code: str, tmp_path: Path
) -> None:
    made, _ = objects_of(record(WHOLE, {"Contacts/Contact": [LIVES_WITH | {"Relationship": code}]}))

    (read,) = records_of(document_of(*(one.element for one in made)).content, tmp_path)

    expected = "OTH" if code == "TCH" else code
    assert read.groups["Contacts/Contact"][0].fields["Relationship"] == expected
