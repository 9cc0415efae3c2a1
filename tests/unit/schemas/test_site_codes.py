"""What a site adds to the code lists: it counts in schemas and warnings, and each mistake is told with its file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

import schemas
from schemas import EDITIONS, BadCodeList, CodeLists, SchemaSet
from schemas.codelists import shipped

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

WHOLE_AND_PART = pytest.mark.parametrize("partial", [False, True], ids=["whole", "part"])
ENROLMENT = '[LearnerEnrolmentStatus.codes]\nT = "On trial at this authority"\n'
PROVISION = '[SENProvision.codes]\nLOCAL = "A provision of this authority"\n'
CARE = '[CareStatus.codes]\nQZ = "A status of this authority"\n'


def folder_with(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SchemaSet:
    """Schemas of a site with additions in several files, some of them to the same list."""
    folder = folder_with(
        tmp_path_factory.mktemp("codes"),
        a=ENROLMENT + CARE,
        b=PROVISION,
        c='[SENProvision.codes]\n"SECOND ONE" = "Another"\n[LearnerEnrolmentStatus.codes]\nV = "Visiting"\n',
        empty="",
    )
    (folder / "README.md").write_text("no list: not read")
    return schemas.load_site(site_codes=folder)


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("code", ["T", "V"])
@WHOLE_AND_PART
def test_code_added_to_a_closed_list_is_valid(
    partial: bool, code: str, edition: schemas.Edition, site: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample("LearnerSchoolEnrolment.minimal"))
    element.set("MembershipType", code)

    assert site.check(element, partial=partial, edition=edition) == ()
    (finding,) = schemas.load().check(element, partial=partial, edition=edition)
    assert (finding.path, finding.rule) == ("@MembershipType", "unknown-code")


@WHOLE_AND_PART
def test_code_added_to_a_list_of_our_own_objects_is_valid(
    partial: bool, site: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample("LearnerLookedAfter.minimal").replace("<CareStatus>LA<", "<CareStatus>QZ<"))

    assert site.check(element, partial=partial) == ()
    assert schemas.load().check(element, partial=partial) != ()


def test_codes_of_a_closed_list_that_nobody_added_are_still_refused(
    site: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample("LearnerSchoolEnrolment.minimal"))
    element.set("MembershipType", "Q")

    (finding,) = site.check(element, partial=False)

    assert finding.message.endswith("use one of C, G, M, S, P, U, F, O, T, V.")


@pytest.mark.parametrize("code", ["LOCAL", "SECOND ONE"])
def test_code_added_to_an_open_list_is_no_warning(code: str, site: SchemaSet, sample: Sample, parse: Parse) -> None:
    element = parse(sample("LearnerSpecialNeeds.minimal").replace("<Provision>K<", f"<Provision>{code}<"))

    assert site.check(element, partial=False) == ()
    assert site.warnings(element) == ()
    assert [warning.rule for warning in schemas.load().warnings(element)] == ["unknown-code"]


def test_codes_of_an_open_list_that_nobody_added_are_still_warned_of(
    site: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample("LearnerSpecialNeeds.minimal").replace("<Provision>K<", "<Provision>LOCALS<"))

    (warning,) = site.warnings(element)

    assert (warning.severity, warning.nearest) == ("warn", "LOCAL")


def test_single_texts_are_judged_by_the_added_codes_too(site: SchemaSet) -> None:
    node = site.find("LearnerSchoolEnrolment", "@MembershipType")
    assert node is not None

    assert site.values("LearnerSchoolEnrolment").fits("T", node.simple_type)
    assert not schemas.load().values("LearnerSchoolEnrolment").fits("T", node.simple_type)


def test_added_codes_come_after_those_of_the_list_and_keep_their_meaning(site: SchemaSet) -> None:
    labels = site.code_lists["SENProvision"].labels

    assert list(labels)[-2:] == ["LOCAL", "SECOND ONE"]
    assert labels["LOCAL"] == "A provision of this authority"
    assert {*labels} - {"LOCAL", "SECOND ONE"} == {*schemas.codes("SENProvision").labels}


def test_shipped_lists_stay_as_they_were(site: SchemaSet) -> None:
    assert "T" in site.code_lists["LearnerEnrolmentStatus"]
    assert "T" not in schemas.codes("LearnerEnrolmentStatus")
    assert "T" not in shipped()["LearnerEnrolmentStatus"]
    assert "T" not in schemas.load().code_lists["LearnerEnrolmentStatus"]
    assert tuple(site.code_lists) == schemas.code_list_names()


def test_lists_that_a_site_does_not_name_are_the_shipped_ones(site: SchemaSet) -> None:
    changed = {"CareStatus", "LearnerEnrolmentStatus", "SENProvision"}

    assert {name for name in site.code_lists if site.code_lists[name] != shipped()[name]} == changed


def test_folder_without_files_changes_nothing(tmp_path: Path) -> None:
    extended = shipped().extended(tmp_path)

    assert isinstance(extended, CodeLists)
    assert dict(extended) == dict(shipped())


def test_extended_lists_can_be_extended_again(tmp_path: Path) -> None:
    first = shipped().extended(folder_with(tmp_path / "a", a=PROVISION))
    second = first.extended(folder_with(tmp_path / "b", a=ENROLMENT))

    assert "LOCAL" in second["SENProvision"]
    assert "T" in second["LearnerEnrolmentStatus"]
    assert "T" not in first["LearnerEnrolmentStatus"]


LONGEST_CODE, LONGEST_LABEL = "Z" * 64, "z" * 200
MISTAKES: dict[str, tuple[str | bytes, str]] = {
    "unknown list": (
        '[LearnerEnrolmentState.codes]\nT = "Trial"\n',
        "there is no code list 'LearnerEnrolmentState': did you mean LearnerEnrolmentStatus?",
    ),
    "unknown list like no other": (
        '[Zebedee.codes]\nT = "Trial"\n',
        "there is no code list 'Zebedee': 'sifzone schema codes' lists them all",
    ),
    "list that is no table": ('SENProvision = "LOCAL"\n', "[SENProvision] may hold nothing but codes: write them"),
    "list of tables": ('[[SENProvision]]\nLOCAL = "Local"\n', "[SENProvision] may hold nothing but codes"),
    "codes that are no table": ('[SENProvision]\ncodes = ["LOCAL"]\n', "write them in a table [SENProvision.codes]"),
    "codes without their table": ('[SENProvision]\nLOCAL = "Local"\n', "write them in a table [SENProvision.codes]"),
    "another key beside codes": (
        '[SENProvision]\nopen = false\n[SENProvision.codes]\nLOCAL = "Local"\n',
        "[SENProvision] may hold nothing but codes",
    ),
    "list without codes": ("[SENProvision]\n", "[SENProvision] may hold nothing but codes"),
    "empty code": ('[SENProvision.codes]\n"" = "Local"\n', "a code of SENProvision is empty, padded"),
    "padded code": ('[SENProvision.codes]\n" LOCAL" = "Local"\n', "a code of SENProvision is empty, padded"),
    "code with two blanks": ('[SENProvision.codes]\n"LO  CAL" = "Local"\n', "a code of SENProvision is empty, padded"),
    "code that is too long": (f'[SENProvision.codes]\n{LONGEST_CODE}Z = "L"\n', "or longer than 64 letters"),
    "code that no XML can hold": (
        '[LearnerEnrolmentStatus.codes]\n"\\u0001" = "Trial"\n',
        "a code of LearnerEnrolmentStatus is empty, padded, not printable",
    ),
    "label that is a number": (
        "[SENProvision.codes]\nLOCAL = 1\n",
        "SENProvision, 'LOCAL': write what it means, in up to 200 letters",
    ),
    "empty label": ('[SENProvision.codes]\nLOCAL = " "\n', "SENProvision, 'LOCAL': write what it means"),
    "label that is too long": (
        f'[SENProvision.codes]\nLOCAL = "{LONGEST_LABEL}z"\n',
        "SENProvision, 'LOCAL': write what it means",
    ),
    "no TOML": ("[SENProvision.codes\n", "cannot be read as TOML (Expected ']'"),
    "the same table twice": (PROVISION + PROVISION, "cannot be read as TOML (Cannot declare"),
    "not UTF-8": (PROVISION.replace("authority", "mairie à côté").encode("latin-1"), "cannot be read as TOML ('utf-8'"),
}


@pytest.mark.parametrize(("text", "says"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_told_with_its_file(text: str | bytes, says: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "codes", a=ENROLMENT, mistaken=text, z=CARE)

    with pytest.raises(BadCodeList) as caught:
        schemas.load_site(site_codes=folder)

    said = str(caught.value)
    assert said.startswith(f"{folder / 'mistaken.toml'}: ")
    assert says in said
    assert "\n" not in said


def test_longest_code_and_label_are_taken(tmp_path: Path) -> None:
    text = f'[SENProvision.codes]\n{LONGEST_CODE} = "{LONGEST_LABEL}"\n'

    extended = shipped().extended(folder_with(tmp_path, a=text))

    assert extended["SENProvision"].labels[LONGEST_CODE] == LONGEST_LABEL


def test_folder_in_the_place_of_a_file_is_a_mistake_too(tmp_path: Path) -> None:
    (tmp_path / "codes.toml").mkdir()

    with pytest.raises(BadCodeList, match=r"codes\.toml: cannot be read as TOML"):
        shipped().extended(tmp_path)


def test_folder_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadCodeList, match=r"nowhere: cannot be read \(No such file or directory\)"):
        schemas.load_site(site_codes=tmp_path / "nowhere")
