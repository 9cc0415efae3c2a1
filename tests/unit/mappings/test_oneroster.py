"""The OneRoster tables, made of what the CSV reports become; what is expected is in tests/data/mappings/oneroster."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from mappings import InwardMapping, Objects, OutwardMapping, Record, RefIds, load

DATA = Path(__file__).parents[2] / "data" / "mappings" / "oneroster"
TABLES = ("orgs", "academicSessions", "courses", "classes", "users", "enrollments")
REPORTS = {
    "csv/school": "school",
    "csv/terms": "terms",
    "csv/staff": "staff",
    "csv/group-types": "groups",
    "csv/groups": "groups",
    "csv/group-enrolment": "members",
    "csv/learner": "pupils",
    "csv/enrolment": "pupils",
}
Kept = Callable[..., Objects]


@pytest.fixture
def elements(read_record: Callable[[str], Record], ref_ids: RefIds) -> list[etree._Element]:
    """Every object of the school, in any order."""
    made: list[etree._Element] = []
    for name, report in REPORTS.items():
        mapping = load(name)
        assert isinstance(mapping, InwardMapping)
        made.extend(each.element for each in mapping.translate(read_record(f"csv/{report}"), ref_ids).objects)
    return made


def _table(name: str) -> OutwardMapping:
    mapping = load(f"oneroster/{name}")
    assert isinstance(mapping, OutwardMapping)
    return mapping


def _csv(mapping: OutwardMapping, objects: Objects) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, mapping.columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(mapping.rows(objects).rows)
    return text.getvalue()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_expected_rows(name: str, elements: list[etree._Element], kept: Kept) -> None:
    assert _csv(_table(name), kept(*elements)) == (DATA / f"{name}.csv").read_text("utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_the_order_of_the_objects_makes_no_difference(name: str, elements: list[etree._Element], kept: Kept) -> None:
    assert _table(name).rows(kept(*elements)).rows == _table(name).rows(kept(*reversed(elements))).rows


def test_what_must_not_reach_a_learning_platform_is_in_no_table(elements: list[etree._Element], kept: Kept) -> None:
    tables = "".join(_csv(_table(name), kept(*elements)) for name in TABLES)

    for value in ("J820990114021", "004711", "1000000027", "WBRI", "Pellworth", "QZ1", "2013-05-30", "01632", "07700"):
        assert value not in tables


def test_every_reference_of_the_package_is_to_a_row_in_it(elements: list[etree._Element], kept: Kept) -> None:
    rows = {name: _table(name).rows(kept(*elements)).rows for name in TABLES}
    ids = {name: {row["sourcedId"] for row in table} for name, table in rows.items()}

    assert {row["orgSourcedIds"] for row in rows["users"]} <= ids["orgs"]
    assert {row["orgSourcedId"] for row in rows["courses"]} <= ids["orgs"]
    assert {row["courseSourcedId"] for row in rows["classes"]} <= ids["courses"]
    assert {row["schoolSourcedId"] for row in (*rows["classes"], *rows["enrollments"])} <= ids["orgs"]
    assert {row["termSourcedIds"] for row in rows["classes"]} <= ids["academicSessions"]
    assert {row["parentSourcedId"] for row in rows["academicSessions"]} - {""} <= ids["academicSessions"]
    assert {row["classSourcedId"] for row in rows["enrollments"]} <= ids["classes"]
    assert {row["userSourcedId"] for row in rows["enrollments"]} <= ids["users"]


def test_an_object_whose_reference_is_not_here_gives_no_row_and_is_reported(
    elements: list[etree._Element], kept: Kept
) -> None:
    without = [element for element in elements if etree.QName(element).localname != "SchoolInfo"]

    made = _table("users").rows(kept(*without))

    assert made.rows == ()
    assert {(problem.rule, problem.severity) for problem in made.problems} == {("reference", "refuse")}
    assert all("SchoolInfo" in problem.message for problem in made.problems)


def test_a_pupil_who_has_left_keeps_the_account_disabled(elements: list[etree._Element], kept: Kept) -> None:
    for element in elements:
        if etree.QName(element).localname == "LearnerSchoolEnrolment":
            element.set("MembershipType", "P")

    rows = _table("users").rows(kept(*elements)).rows

    assert {row["role"]: row["enabledUser"] for row in rows} == {"student": "false", "teacher": "true"}
