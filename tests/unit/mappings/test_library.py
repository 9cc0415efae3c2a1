"""Every mapping of the library on a record like those of real exports; what is expected is in tests/data/mappings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

import schemas
from mappings import InwardMapping, Record, RefIds, load, shipped_names

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


def _inward(name: str) -> InwardMapping:
    mapping = load(name)
    assert isinstance(mapping, InwardMapping)
    return mapping


def test_every_inward_mapping_of_the_library_has_an_example() -> None:
    assert {name for name in shipped_names() if not name.startswith("oneroster/")} == set(RECORDS)


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
