"""Every mapping of the library on a record like those of real exports; what is expected is in tests/data/mappings.

What the packs' examples become is tested with the commands for packs.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

import schemas
from mappings import InwardMapping, Record, RefIds, load, shipped_names
from mappings.packs import packs
from mappings.shelves import LIBRARY

DATA = Path(__file__).parents[2] / "data" / "mappings"
RECORDS = {
    "ctf/learner": "ctf/pupil",
    "ctf/enrolment": "ctf/pupil",
    "ctf/contact": "ctf/pupil",
    "ctf/contact-person": "ctf/pupil",
    "ctf/attendance": "ctf/pupil",
    "ctf/special-needs": "ctf/pupil",
    "ctf/transfer": "ctf/arrived",
    "csv/school": "csv/school",
    "csv/terms": "csv/terms",
    "csv/staff": "csv/staff",
    "csv/group-types": "csv/groups",
    "csv/groups": "csv/groups",
    "csv/group-enrolment": "csv/members",
    "csv/learner": "csv/pupils",
    "csv/enrolment": "csv/pupils",
    "csv/registration": "csv/pupils",
    "csv/contact-person": "csv/contacts",
    "csv/contact": "csv/contacts",
    "csv/attendance": "csv/attendance",
    "csv/daily-attendance": "csv/daily-attendance",
    "csv/special-needs": "csv/sen",
    "csv/exclusions": "csv/exclusions",
    "ssda903/looked-after": "ssda903/period",
    "census/attendance": "census/pupil",
    "census/exclusions": "census/pupil",
    "pep/plan": "pep/plans",
}
READMES = ("arbor-like", "roll", "sims-like", "staff")
GIVEN = {"LA Number", "Estab Number", "Academic Year"}  # by the connector's constants


def _inward(name: str) -> InwardMapping:
    mapping = load(name)
    assert isinstance(mapping, InwardMapping)
    return mapping


def test_every_inward_mapping_of_the_library_has_a_record_here_or_an_example_in_its_pack() -> None:
    shown = {name for pack in packs().values() for source in pack.sources if source.example for name in source.mapping}
    inward = {name for name in shipped_names() if isinstance(load(name), InwardMapping)}

    assert inward == shown
    assert inward >= set(RECORDS)


@pytest.mark.parametrize("name", READMES)
def test_the_readme_of_a_pack_names_every_column_that_its_mappings_read(name: str) -> None:
    text = (LIBRARY / name / "README.md").read_text("utf-8")
    read = {
        field for source in packs()[name].sources for mapping in source.mapping for field in _inward(mapping).sources
    }
    known = {
        re.sub("[0-9]", "1", cell.strip())
        for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
        for cell in re.split(r",|\.\.\.", row)
    }

    assert {re.sub("[0-9]", "1", field.removeprefix("/")) for field in read} - known - GIVEN - {"#"} == set()


def _changes() -> dict[str, tuple[str, str, str]]:
    """Return what READMEs say that a site can put into files of its own: pack, file, content."""
    found = {}
    for name in READMES:
        text = (LIBRARY / name / "README.md").read_text("utf-8")
        for file, content in re.findall(r"`mappings/([\w/-]+)\.toml`.*?```toml\n(.*?)```", text, re.DOTALL):
            found[f"{name}: {file}"] = (name, file, content)
    return found


@pytest.mark.parametrize(("name", "file", "content"), _changes().values(), ids=list(_changes()))
def test_what_a_readme_says_that_a_site_can_change_is_changed_and_the_rest_stays(
    name: str, file: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / f"{file}.toml").write_text(content, "utf-8")
    names = [mapping for mapping in shipped_names() if mapping.startswith(f"{name}/")]

    shipped = [line for mapping in names for line in load(mapping).lines]
    changed = [line for mapping in names for line in load(mapping, [tmp_path]).lines]

    assert any(line not in shipped for line in changed)
    assert any(line in shipped for line in changed)


@pytest.mark.parametrize("name", READMES)
def test_every_readme_says_what_a_site_can_change_and_where(name: str) -> None:
    based = (LIBRARY / name / "README.md").read_text("utf-8").count("\nbase = ")

    assert sum(pack == name for pack, _, _ in _changes().values()) == based > 0


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_becomes_the_expected_objects(
    name: str, read_record: Callable[[str], Record], ref_ids: RefIds
) -> None:
    translation = _inward(name).translate(read_record(RECORDS[name]), ref_ids)

    root = etree.Element("objects")
    root.extend(made.element for made in translation.objects)
    etree.indent(root)
    assert etree.tostring(root, encoding="unicode") == (DATA / f"{name}.xml").read_text("utf-8").strip()


@pytest.mark.parametrize("name", RECORDS)
def test_the_objects_are_valid_and_hold_only_known_codes(
    name: str, read_record: Callable[[str], Record], ref_ids: RefIds
) -> None:
    schema = schemas.load()

    for made in _inward(name).translate(read_record(RECORDS[name]), ref_ids).objects:
        assert schema.check(made.element, partial=False) == ()
        assert schema.warnings(made.element) == ()


@pytest.mark.parametrize("name", RECORDS)
def test_an_object_about_a_learner_names_the_learner(
    name: str, read_record: Callable[[str], Record], ref_ids: RefIds
) -> None:
    upns = {"ctf": "X820990119007", "ssda903": "Q821990112001"}
    upn = upns.get(name.partition("/")[0], "J820990114021")
    about_nobody = name in ("csv/school", "csv/terms", "csv/staff", "csv/groups", "csv/group-types")

    for made in _inward(name).translate(read_record(RECORDS[name]), ref_ids).objects:
        assert made.learner_ref_id == (None if about_nobody else ref_ids.ref_id("LearnerPersonal", (upn,)))
