"""Code lists: as data, in the XSDs, and as warnings."""

from collections.abc import Callable

import pytest
from lxml import etree

import schemas
from schemas import SchemaSet
from schemas.model import nearest_of

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("EthnicityCodes", "WENG", "WBRI", id="ethnicity"),
        pytest.param("EthnicityCodes", "ASLT", "ASRO", id="ethnicity-extended"),
        pytest.param("SENProvision", "S", "E", id="sen-provision"),
        pytest.param("SENTypeCode", "BESD", "SEMH", id="sen-type"),
        pytest.param("SENTypeCode", "SLD", "DS", id="sen-type-of-2025"),
        pytest.param("CountryCode", "SDN", "SSD", id="country"),
        pytest.param("AttendanceCodeType", "/", "Y7", id="attendance"),
        pytest.param("ExclusionCategory", "FIXD", "SUSP", id="exclusion"),
        pytest.param("ExclusionReason", "DR", "MT", id="exclusion-reason"),
        pytest.param("NCYear", "R", "E1", id="year-group"),
        pytest.param("LearnerEnrolmentStatus", "U", "F", id="enrolment"),
    ],
)
def test_list_has_the_codes_of_the_standard_and_those_of_today(name: str, old: str, new: str) -> None:
    assert {old, new} <= schemas.codes(name).labels.keys()


@pytest.mark.parametrize("name", ["YesNo", "Gender", "AddressType", "NameType", "EmailType", "PhoneType"])
def test_lists_of_the_data_model_itself_are_closed(name: str) -> None:
    assert not schemas.codes(name).open


def test_local_authority_number_is_known_by_its_shape() -> None:
    authorities = schemas.codes("LocalAuthority")

    assert "820" in authorities
    assert "82O" not in authorities


def test_nearest_code_does_not_mind_case_and_blanks() -> None:
    assert schemas.codes("EthnicityCodes").nearest(" wbri ") == "WBRI"
    assert schemas.codes("Gender").nearest("nonsense") is None


def test_unknown_list_names_the_nearest_one() -> None:
    with pytest.raises(schemas.UnknownCodeList, match=r"did you mean EthnicityCodes\?"):
        schemas.codes("EthnicityCode")


def test_code_lists_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        schemas.codes("Gender").labels["X"] = "Other"  # type: ignore[index]  # what is shown


def test_every_list_says_what_it_is_and_whose() -> None:
    lists = [schemas.codes(name) for name in schemas.code_list_names()]

    assert [c.name for c in lists if not (c.title and c.source and c.year >= 2008 and all(c.labels.values()))] == []


def test_unknown_code_of_an_open_list_is_a_warning_only(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    element = parse(sample("LearnerSpecialNeeds.minimal").replace("<Provision>K<", "<Provision>k<"))

    assert schema.check(element, partial=False) == ()
    (warning,) = schema.warnings(element)
    assert (warning.path, warning.line, warning.rule, warning.severity) == ("Provision", 3, "unknown-code", "warn")
    assert warning.nearest == "K"


@pytest.mark.parametrize(
    ("name", "text", "path"),
    [
        pytest.param(
            "LearnerPersonal", "<Code>WBRI<", "PersonalInformation/Demographics/EthnicityList/Ethnicity/Code", id="code"
        ),
        pytest.param("LearnerPersonal", "<HomeLA>820<", "HomeLA", id="authority"),
        pytest.param(
            "LearnerPersonal", "<ExitType>JS<", "PreviousEstablishmentList/PreviousEstablishment/ExitType", id="exit"
        ),
        pytest.param("LearnerSchoolEnrolment", "<Code>ST<", "ExitType/Code", id="exit-code"),
        pytest.param("LearnerAttendanceSummary", "<Code>I<", "ReasonsList/Reason/Code", id="mark"),
        pytest.param(
            "LearnerPersonal",
            ' Currency="GBP"',
            "SIF_Metadata/RightsElements/RightsElement/FeesForUse/FeeForUse/PerUseCharge/@Currency",
            id="attribute",
        ),
    ],
)
def test_warning_names_the_path_of_the_code(
    name: str, text: str, path: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    bad = {"<": text.rpartition(">")[0] + ">@@<", '"': ' Currency="@@"'}[text[-1]]

    warnings = schema.warnings(parse(sample(name).replace(text, bad)))

    assert [w.path for w in warnings] == [path]


def test_blanks_around_a_code_do_not_make_it_unknown(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    assert schema.warnings(parse(sample("LearnerSpecialNeeds").replace(">K<", ">\n K <"))) == ()


def test_names_in_extended_elements_are_not_taken_for_codes(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    text = sample("LearnerPersonal").replace(">Kestrel<", "><HomeLA>@@</HomeLA><Ethnicity><Code>@@</Code></Ethnicity><")

    assert schema.check(parse(text), partial=False) == ()
    assert schema.warnings(parse(text)) == ()


def test_no_more_than_a_hundred_warnings_are_given(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    text = sample("SchoolInfo").replace("<NCYearGroup>7<", "<NCYearGroup>@@</NCYearGroup>" * 200 + "<NCYearGroup>7<")

    assert len(schema.warnings(parse(text))) == 100


def test_the_nearest_of_very_many_codes_begins_alike() -> None:
    words = tuple(f"{letter}{number:05}" for letter in "AB" for number in range(20_000))

    assert nearest_of("b00012x", words) == "B00012"
    assert nearest_of("B19999", words[:900]) is None
