"""Guessing: what a column holds, by heading, values and codes, and the mapping that comes of it."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from lxml import etree

import schemas
from agents.keys import Keys
from agents.workbench.draft import Draft, draft
from agents.workbench.forms import Fit, fit_of, shape
from agents.workbench.guess import Guesses, guess, proposed
from agents.workbench.names import likeness, normalised, vocabulary
from agents.workbench.paths import ends_with, plain
from agents.workbench.samples import Sample, read_sample
from agents.workbench.wants import wants_of
from mappings import InwardMapping, MappedObject, load
from mappings.converters import converter
from tests.bench.guesses import BAR, scores

KEYS = Keys(hashlib.sha256(b"test").digest())
PUPILS = """Adno,UPN,Legal Surname,Forename,Date of birth,Gender,NCY,Reg,Date admitted,Status,DfE No,Mother Mobile
4711,J820990114021,Quillfeather,Zephyrine,30/05/2013,Female,Year 9,9A,04/09/2024,C,820/9903,07700 900101
4712,,Abernall,Rowan,12/01/2014,Male,Year 8,8B,04/09/2025,C,820/9903,07700 900102
"""
CONTACTS = """UPN,Pupil Surname,First Name,DOB,Ethnicity,Contact Surname,Contact Forename,Relationship,PR,Contact Mobile
J820990114021,Quillfeather,Zephyrine,30/05/2013,WBRI,Abernall,Rowena,PAM,Y,07700 900103
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def sample_of(folder: Path, text: str) -> Sample:
    file = folder / "sample.csv"
    file.write_text(text, "utf-8")
    return read_sample(file)


def column(folder: Path, heading: str, *values: str) -> Sample:
    out = io.StringIO()
    csv.writer(out).writerows([[heading, "Other"], *([value, "x"] for value in values)])
    return sample_of(folder, out.getvalue())


def sources(guesses: Guesses) -> dict[str, str]:
    return {want_id: match.column.source for want_id, match in guesses.found.items()}


def mapping_of(folder: Path, made: Draft) -> InwardMapping:
    file = folder / f"{made.object_type}.toml"
    file.write_text(made.text, "utf-8")
    mapping = load(file)
    assert isinstance(mapping, InwardMapping)
    return mapping


def objects(folder: Path, sample: Sample, object_type: str, set_: Mapping[str, str]) -> list[MappedObject]:
    mapping = mapping_of(folder, draft(guess(sample, object_type), set_))
    return [made for record in sample.records for made in mapping.translate(record, KEYS).objects]


def text_of(made: MappedObject, path: str) -> str:
    namespace = {"s": etree.QName(made.element).namespace}
    found = made.element.find("/".join(f"s:{step}" for step in path.split("/")), namespace)
    return "" if found is None else found.text or ""


# ---------------------------------------------------------------- headings


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        ("Admission No", "AdmissionNumber", 97),
        ("LEGAL_SURNAME", "Legal Last Name", 97),
        ("Pupil's Date of Birth", "DOB", 85),
        ("NCyearActual", "NC Year Actual", 97),
        ("Adress Line 1", "Address Line 1", 85),
        ("Enrol Status", "Enrolment Status", 97),
    ],
)
def test_headings_are_alike_however_they_are_spelt(one: str, other: str, least: int) -> None:
    assert likeness(normalised(one), normalised(other)) >= least


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mother Mobile", "Mobile"),
        ("Former Surname", "Surname"),
        ("Emergency Contact Phone", "Phone"),
        ("Preferred Surname", "Legal Surname"),
        ("Previous School", "School"),
    ],
)
def test_somebody_elses_or_an_earlier_ones_is_never_the_same(one: str, other: str) -> None:
    assert likeness(normalised(one), normalised(other)) == 0


def test_a_number_is_no_slip_of_the_pen() -> None:
    assert likeness(normalised("SEN Need 1"), normalised("SEN Need 2")) < 90


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("values", "convert"),
    [
        (["2013-05-30"], ""),
        (["30/05/2013", "01/02/2014"], "date:%d/%m/%Y"),
        (["30-May-2013"], "date:%d-%b-%Y"),
        (["30 May 2013"], "date:%d %B %Y"),
        (["20130530"], "date:%Y%m%d"),
        (["05/30/2013", "05/01/2013"], "date:%m/%d/%Y"),
        (["41424", "41790"], "excel-date"),
    ],
)
def test_the_pattern_of_dates_is_the_one_that_reads_them(values: list[str], convert: str) -> None:
    found = fit_of(dict.fromkeys(values, 1), "date")

    assert (found.share, found.convert) == (1.0, convert)
    if convert:
        assert converter(convert)(values[0])


@pytest.mark.parametrize(
    ("values", "code_list", "found"),
    [
        (["M", "F"], "Gender", Fit(1.0)),
        (["Male", "Female"], "Gender", Fit(1.0, table="sex")),
        (["wbri", "WIRI"], "EthnicityCodes", Fit(1.0, "upper")),
        (["Year 9", "10"], "NCYear", Fit(1.0, "nc-year")),
        (["Y", "N"], "YesNoUnknown", Fit(1.0, "yes-no")),
        (["White - Irish", "WBRI"], "EthnicityCodes", Fit(1.0, codes={"White - Irish": "WIRI", "WBRI": "WBRI"})),
    ],
)
def test_codes_are_told_as_they_are_by_a_table_or_by_what_they_mean(
    values: list[str], code_list: str, found: Fit
) -> None:
    assert fit_of(dict.fromkeys(values, 1), "", code_list) == found


@pytest.mark.parametrize(
    ("heading", "value", "want_id"),
    [
        ("Column 7", "J820990114021", "upn"),
        ("Column 7", "1000000027", "uln"),
        ("Column 7", "QZ1 1AA", "postcode"),
        ("Column 7", "a.b@example.org", "school-email"),
    ],
)
def test_what_can_hardly_be_anything_else_is_known_without_its_heading(
    folder: Path, heading: str, value: str, want_id: str
) -> None:
    assert sources(guess(column(folder, heading, value), "LearnerPersonal"))[want_id] == heading


@pytest.mark.parametrize(
    ("heading", "value", "want_id"),
    [
        pytest.param("Column 7", "J820990114022", "upn", id="UPN with a wrong check letter"),
        pytest.param("Column 7", "1000000028", "uln", id="ULN with a wrong check digit"),
        pytest.param("Column 7", "30/05/2013", "birth-date", id="a date says nothing of whose it is"),
        pytest.param("Surname", "J820990114021", "surname", id="a surname has no digits"),
    ],
)
def test_values_that_do_not_fit_are_not_taken_for_sure(folder: Path, heading: str, value: str, want_id: str) -> None:
    match = guess(column(folder, heading, value), "LearnerPersonal").found.get(want_id)

    assert match is None or match.confidence < 75


def test_shapes_tell_letters_and_digits_and_no_lengths_of_names() -> None:
    assert shape({"J820990114021": 1}) == "A999999999999"
    assert shape({"Quillfeather": 1}) == shape({"Ann": 1}) == "Aa"
    assert "\x1b" not in shape({"\x1b[2J": 1})


# ---------------------------------------------------------------- objects


def test_one_column_goes_to_one_target_the_likeliest(folder: Path) -> None:
    found = sources(guess(sample_of(folder, PUPILS), "LearnerPersonal"))

    assert (found["surname"], found["forename"], found["birth-date"]) == ("Legal Surname", "Forename", "Date of birth")
    assert len(set(found.values())) == len(found)


def test_a_mothers_number_is_not_the_pupils(folder: Path) -> None:
    found = guess(sample_of(folder, PUPILS), "LearnerPersonal")

    assert "Mother Mobile" in [unused.source for unused in found.unused]


def test_what_a_file_says_of_the_pupil_is_not_said_of_the_contact(folder: Path) -> None:
    found = guess(sample_of(folder, CONTACTS), "ContactPersonal")

    assert sources(found)["surname"] == "Contact Surname"
    assert sources(found)["mobile"] == "Contact Mobile"
    assert sources(found)["pupil-surname"] == "Pupil Surname"
    made = draft(found).text
    assert "BirthDate" not in made
    assert "Ethnicity" not in made.partition("# Not used")[0]


def test_the_group_of_a_record_is_taken_that_the_object_is_known_by(folder: Path) -> None:
    file = folder / "sample.xml"
    file.write_text(
        "<CTfile><Header><SourceSchool><LEA>820</LEA><Estab>9903</Estab></SourceSchool></Header><CTFpupilData><Pupil>"
        "<UPN>J820990114021</UPN><Surname>Quillfeather</Surname><Forename>Zeph</Forename><DOB>2013-05-30</DOB><BasicDetails>"
        "<MiddleNames>Ivy</MiddleNames></BasicDetails><Contacts><Contact><Title>Mrs</Title><Surname>Abernall</Surname><Forename>Rowena</Forename><Relationship>PAM</Relationship></Contact>"
        "</Contacts></Pupil></CTFpupilData></CTfile>",
        "utf-8",
    )
    sample = read_sample(file)

    assert guess(sample, "ContactPersonal").each == "Contacts/Contact"
    [contact] = objects(folder, sample, "ContactPersonal", {})
    assert text_of(contact, "PersonalInformation/Name/FamilyName") == "Abernall"
    assert "MiddleNames" not in draft(guess(sample, "ContactPersonal")).text
    assert guess(sample, "LearnerPersonal").each == ""
    assert "Title" not in draft(guess(sample, "LearnerPersonal")).text


def test_objects_of_one_file_refer_to_each_other(folder: Path) -> None:
    sample = sample_of(folder, PUPILS)

    learners = objects(folder, sample, "LearnerPersonal", {})
    enrolments = objects(folder, sample, "LearnerSchoolEnrolment", {})
    members = objects(folder, sample, "LearnerGroupEnrolment", {"SchoolYear": "2026/2027"})

    assert [each.ref_id for each in learners] == [each.element.get("LearnerPersonalRefId") for each in enrolments]
    assert [each.ref_id for each in learners] == [each.element.get("LearnerPersonalRefId") for each in members]
    assert [text_of(each, "CurrentSchoolEnrolment/LAId") for each in learners] == ["820", "820"]
    current = [part for each in learners for part in each.element.iter("{*}CurrentSchoolEnrolment")]
    assert [part.get("LearnerSchoolEnrolmentRefId") for part in current] == [each.ref_id for each in enrolments]
    assert text_of(learners[0], "PersonalInformation/Demographics/Gender") == "F"
    assert text_of(members[0], "SchoolYear") == "2027"


def test_a_name_in_small_letters_is_the_same_person(folder: Path) -> None:
    [one] = objects(folder, sample_of(folder, "Surname,Forename,DOB\nQuill,Zeph,30/05/2013\n"), "LearnerPersonal", {})
    [other] = objects(folder, sample_of(folder, "Surname,Forename,DOB\nQUILL,zeph,2013-05-30\n"), "LearnerPersonal", {})

    assert one.ref_id == other.ref_id


def test_the_key_of_a_code_is_alike_in_mappings_of_different_objects(folder: Path) -> None:
    sample = sample_of(
        folder,
        "LA,Estab,Academic Year,Group Code,Group Name,Group Type,Course Code\n"
        "820,9903,2026/2027,9A/Ma1,Maths,Teaching,MA9\n",
    )

    [kind] = objects(folder, sample, "SchoolGroupType", {})
    [group] = objects(folder, sample, "SchoolGroup", {})

    assert group.element.get("SchoolGroupTypeRefId") == kind.ref_id


def test_a_name_in_one_column_is_cut_in_two(folder: Path) -> None:
    sample = sample_of(folder, 'Staff Code,Display Name\nFENN01,"Fennimore, Orla"\n')

    [staff] = objects(folder, sample, "WorkforcePersonal", {"LAId": "820", "EstablishmentId": "9903"})

    name = "PersonalInformation/Name"
    assert (text_of(staff, f"{name}/FamilyName"), text_of(staff, f"{name}/GivenName")) == ("Fennimore", "Orla")


def test_what_would_show_an_adoption_is_handed_on_of_nobody_adopted(folder: Path) -> None:
    sample = sample_of(
        folder,
        "UPN,LA,Care Start Date,Current,Care Status,As At Date,Source System,Care End Reason,Adopted\n"
        "J820990114021,820,08/01/2024,No,CE,31/03/2026,LCS,E3,\nK820990114022,820,08/01/2024,No,CE,31/03/2026,LCS,E11,Yes\n",
    )

    made = objects(folder, sample, "LearnerLookedAfter", {})

    assert [text_of(each, "CareEndReason") for each in made] == ["E3", ""]
    assert [text_of(each, "ShieldCode") for each in made] == ["", "A"]


def test_numbered_columns_become_members_of_a_list(folder: Path) -> None:
    sample = sample_of(
        folder,
        "UPN,LA,Estab,SEN Status,Start Date,SEN Need 1,SEN Need 2\nJ820990114021,820,9903,K,08/01/2024,SEMH,SLCN\n",
    )

    [needs] = objects(folder, sample, "LearnerSpecialNeeds", {})

    assert [(each.text, each.get("Ranking")) for each in needs.element.iter("{*}SENType")] == [
        ("SEMH", "1"),
        ("SLCN", "2"),
    ]


# ---------------------------------------------------------------- what is missing


def test_what_the_object_needs_and_no_column_gives_is_told_and_commented(folder: Path) -> None:
    sample = sample_of(folder, "UPN,Admission Date\nJ820990114021,04/09/2024\n")

    made = draft(guess(sample, "LearnerSchoolEnrolment"))

    assert {missing.path: missing.set for missing in made.missing} == {
        "@SchoolInfoRefId": "LAId",
        "NCYearGroupActual": "NCYearGroupActual",
        "key": "",
    }
    assert '# "NCYearGroupActual" = "..."   # NEEDED: year group' in made.text


def test_what_is_set_fills_what_no_column_gives(folder: Path) -> None:
    sample = sample_of(folder, "UPN,Admission Date\nJ820990114021,04/09/2024\n")
    constants = {"LAId": "820", "EstablishmentId": "9903", "NCYearGroupActual": "9"}

    made = draft(guess(sample, "LearnerSchoolEnrolment"), constants)

    assert made.missing == ()
    [enrolment] = objects(folder, sample, "LearnerSchoolEnrolment", constants)
    assert text_of(enrolment, "NCYearGroupActual") == "9"


def test_an_optional_part_that_lacks_something_is_left_out_and_told(folder: Path) -> None:
    sample = sample_of(folder, "UPN,Surname,Forename,DOB,Year Group\nJ820990114021,Quillfeather,Zeph,30/05/2013,9\n")

    made = draft(guess(sample, "LearnerPersonal"))

    assert made.missing == ()
    assert [(part.path, part.needs.set, part.sources) for part in made.left_out] == [
        ("CurrentSchoolEnrolment", "LAId", ("Year Group",))
    ]
    assert mapping_of(folder, made).object_type == "LearnerPersonal"


def test_a_heading_cannot_break_out_of_the_file(folder: Path) -> None:
    heading = 'Surname" }\\\x7f'
    out = io.StringIO()
    csv.writer(out).writerows([["UPN", heading], ["J820990114021", "Quillfeather"]])

    mapping = mapping_of(folder, draft(guess(sample_of(folder, out.getvalue()), "LearnerPersonal")))

    assert mapping.sources == {"UPN", heading}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(PUPILS, ("LearnerPersonal", "LearnerSchoolEnrolment", "LearnerGroupEnrolment"), id="pupils"),
        pytest.param(CONTACTS, ("LearnerPersonal", "ContactPersonal", "LearnerContact"), id="contacts, with pupils"),
        pytest.param("A,B\n1,2\n", (), id="nothing"),
    ],
)
def test_a_file_is_proposed_for_what_it_has_all_for(folder: Path, text: str, expected: tuple[str, ...]) -> None:
    assert proposed(sample_of(folder, text)) == expected


@pytest.mark.parametrize("pack", ["csv", "ctf", "oneroster"])
def test_known_mappings_are_guessed_above_the_bar(pack: str) -> None:
    found = list(scores([pack]))

    assert 100 * sum(each.right for each in found) / sum(each.of for each in found) >= BAR


def test_what_is_guessed_of_a_schools_reports_can_be_used_as_it_is() -> None:
    assert [each.mapping for each in scores(["csv"]) if not each.loads] == []


# ---------------------------------------------------------------- the vocabulary


def parts_of(node: schemas.Node) -> Iterator[str]:
    for child in node.children:
        yield child.path
        yield from parts_of(child)


def test_everything_in_the_vocabulary_is_of_use() -> None:
    subjects, schema = vocabulary().subjects, schemas.load()
    used = {want.id for name in subjects for want in wants_of(name)}
    paths = [(name, path) for name in subjects for path in parts_of(schema.tree(name))]

    assert [name for name in vocabulary().meanings if name not in used] == []
    ends = [filling.path for filling in vocabulary().fillings]
    assert [end for end in ends if not any(ends_with(name, path, plain(end)) for name, path in paths)] == []


def test_keys_and_needs_of_the_vocabulary_name_what_it_has() -> None:
    known = vocabulary()
    for subject in known.subjects.values():
        parts = [part for way in (*subject.key, *subject.elsewhere) for part in way]
        assert {part for part in parts if not part.startswith("@")} <= known.meanings.keys()
        assert {part[1:] for part in parts if part.startswith("@")} <= known.subjects.keys()
        assert set(subject.needs) <= known.meanings.keys()
    assert {meaning.of for meaning in known.meanings.values()} <= {"", *known.meanings}
    assert {meaning.stands_for for meaning in known.meanings.values()} <= {"", *known.meanings}
