"""What social care and the plan tool export agrees with the schools but for one child, and can be mapped."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

import schemas
from agents.learners import NumberClaim
from agents.parts import LocatingSource, make_parts
from agents.settings import read_settings
from deploy.demo.authority import build
from deploy.demo.care import children
from deploy.demo.generate import DEFAULT_SEED
from mappings import MappedObject, Record
from tests.unit.demo.conftest import ZONE, Day, PlainRefIds

SCHOOLS, _ = build(DEFAULT_SEED)
CHILDREN = children(SCHOOLS)


def ref_of(claim: NumberClaim) -> str:
    """Return a RefId for a learner, as the zone would."""
    return PlainRefIds("zone").ref_id("LearnerPersonal", (claim.upn or "",))


def made(agent: str, folder: Path) -> Iterator[MappedObject]:
    """Yield what an agent makes of the files below *folder*; nothing of it may be refused."""
    for source in make_parts(read_settings(ZONE / "agents" / f"{agent}.toml")).sources:
        if isinstance(source.connector, LocatingSource):
            source.connector.locate_with(ref_of)
        path = (folder / "agents" / source.settings.path).resolve()
        for file in sorted(path.parent.glob(path.name)):
            for record in source.connector.read(file):
                if isinstance(record, Record):
                    for mapping in source.mappings:
                        found = mapping.translate(record, PlainRefIds(agent))
                        assert [problem for problem in found.problems if problem.severity == "refuse"] == []
                        yield from found.objects


def upns(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row["UPN"] for row in csv.DictReader(file)]


def test_the_return_has_whom_the_schools_flag_and_one_whose_school_is_not_told(first_day: Day) -> None:
    flagged = {child["upn"] for child in first_day.expected["looked_after"]}
    known = upns(first_day.folder / "social-care" / "return" / "header.csv")

    assert set(known) - flagged == {first_day.expected["untold"]["upn"]}
    assert flagged <= set(known)
    assert sorted(known) == sorted(child["upn"] for child in first_day.expected["in_care"])
    assert len(known) == len(set(known)) == 15


def test_nobody_whom_another_authority_looks_after_is_in_the_return(first_day: Day) -> None:
    others = {child["upn"] for child in first_day.expected["looked_after_by_others"]}

    assert not others & {child.pupil.upn for child in CHILDREN}


def test_everybody_in_care_has_a_plan(first_day: Day) -> None:
    assert sorted(upns(first_day.folder / "plans" / "plans.csv")) == sorted(child.pupil.upn for child in CHILDREN)


def test_care_has_begun_after_birth_and_a_move_after_that() -> None:
    assert all(child.pupil.birth < child.since for child in CHILDREN)
    moves = [(child.since, child.moved) for child in CHILDREN if child.moved is not None]
    assert moves
    assert all(since < moved for since, moved in moves)


@pytest.mark.parametrize(
    ("agent", "objects"),
    [("social-care", {"LAInfo": 1, "LearnerLookedAfter": 15}), ("pep", {"LearnerEducationPlan": 15})],
)
def test_every_object_made_of_it_is_valid(agent: str, objects: dict[str, int], first_day: Day) -> None:
    found = {one.ref_id: one for one in made(agent, first_day.folder)}

    assert {kind: sum(one.object_type == kind for one in found.values()) for kind in objects} == objects
    assert len(found) == sum(objects.values())
    faults = [fault for one in found.values() for fault in schemas.load().check(one.element, partial=False)]
    assert [fault for fault in faults if fault.severity == "refuse"] == []


def test_periods_of_care_name_the_authority_that_social_care_publishes(first_day: Day) -> None:
    found = list(made("social-care", first_day.folder))
    (authority,) = {one.ref_id for one in found if one.object_type == "LAInfo"}

    named = {one.element.get("LAInfoRefId") for one in found if one.object_type == "LearnerLookedAfter"}
    assert named == {authority}
    assert not [one for one in found for _ in one.element.iter("{*}ShieldCode")]
    assert all(etree.QName(one.element).localname == one.object_type for one in found)
