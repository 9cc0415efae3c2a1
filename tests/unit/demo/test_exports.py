"""The exports look like those of real school systems, and what is wrong in them is what expected.json lists."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from tests.unit.demo.conftest import ROOT, Day

README = ROOT / "mappings" / "library" / "csv" / "README.md"
OWN_COLUMNS = {"pupils.csv": {"Next LA Number", "Next Estab Number"}}
"""What Thornwick's office enters beside, for the school's own mapping thornwick/enrolment."""
SAFE = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
ORDER = (
    "UPN",
    "UniqueLearnerNumber",
    "Surname",
    "Forename",
    "DOB",
    "Gender",
    "Sex",
    "BasicDetails",
    "LookedAfter",
    "SENhistory",
    "Address",
    "Phones",
    "Email",
    "Contacts",
    "Attendance",
    "SchoolHistory",
)


def ctf(day: Day, school: str) -> Path:
    return next(path for path in day.files(school) if path.suffix == ".xml")


def documented() -> dict[str, dict[str, bool]]:
    """Return the headings of each report by its file name, and whether they must be filled."""
    found: dict[str, dict[str, bool]] = {}
    report = ""
    for line in README.read_text("utf-8").splitlines():
        if title := re.match(r"## (\S+\.csv)", line):
            report = title[1]
            found[report] = {}
        elif report and line.startswith("| ") and not line.startswith(("| Column", "|---")):
            columns, mandatory = line.split("|")[1:3]
            found[report] |= {name.strip(): mandatory.strip() == "M" for name in columns.split(",")}
    return found


@pytest.mark.parametrize(("school", "version"), [("8209901", "25.0"), ("8209902", "19.0")])
def test_a_ctf_names_its_version_and_its_school(first_day: Day, school: str, version: str) -> None:
    root = etree.parse(ctf(first_day, school), SAFE).getroot()

    assert root.tag == "CTfile"
    assert [child.tag for child in root] == ["Header", "CTFpupilData"]
    assert root.findtext("Header/CTFversion") == version
    assert root.findtext("Header/SourceSchool/LEA", "") + root.findtext("Header/SourceSchool/Estab", "") == school
    assert root.findtext("Header/SourceSchool/AcademicYear") == "2026"


@pytest.mark.parametrize("school", ["8209901", "8209902"])
def test_a_pupil_in_a_ctf_keeps_the_order_of_the_format(first_day: Day, school: str) -> None:
    for pupil in etree.parse(ctf(first_day, school), SAFE).iter("Pupil"):
        tags = [child.tag for child in pupil]
        assert tags == sorted(tags, key=ORDER.index)


def test_a_recent_system_writes_sex_and_no_empty_dates(first_day: Day) -> None:
    root = etree.parse(ctf(first_day, "8209901"), SAFE).getroot()

    assert root.find(".//Gender") is None
    assert all(element.text for element in root.iter("LeavingDate", "EntryDate"))


def test_an_older_system_writes_loosely(first_day: Day) -> None:
    path = ctf(first_day, "8209902")
    text = path.read_bytes()
    root = etree.parse(path, SAFE).getroot()

    assert b"\r\n\r\n" in text
    assert not re.search(rb"\n +<", text)
    assert root.find(".//Sex") is None
    assert root.findtext("Header/SourceSchool/URN") == "XXXXXX"
    assert root.find("Header/DestSchool/URN") is None
    assert all((name.text or "") == (name.text or "").upper() for name in root.iter("Surname", "Forename"))
    assert all((house.text or "").startswith(" ") for house in root.iter("PAON"))
    assert any(not date.text for date in root.iter("LeavingDate"))
    orders = [[c.findtext("Order") for c in contacts] for contacts in root.iter("Contacts")]
    assert any(order != sorted(order, key=str) for order in orders)
    assert any(len(years) > 1 for years in root.iter("Attendance"))


@pytest.mark.parametrize("school", ["8209901", "8209902", "8209903"])
def test_reports_have_the_documented_headings(first_day: Day, school: str) -> None:
    headings = documented()
    reports = [path for path in first_day.files(school) if path.suffix == ".csv"]

    assert reports
    for path in reports:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = next(csv.reader(file))
        assert set(found) - OWN_COLUMNS.get(path.name, set()) <= set(headings[path.name]), path.name
        assert {name for name, mandatory in headings[path.name].items() if mandatory} <= set(found), path.name


@pytest.mark.parametrize("which", ["first_day", "next_day"])
def test_the_mappings_report_exactly_the_listed_faults(which: str, request: pytest.FixtureRequest) -> None:
    day: Day = request.getfixturevalue(which)
    listed = Counter(
        (f"mis-{fault['school']}", fault["file"], fault["position"], effect["object"], effect["outcome"])
        for fault in day.expected["faults"]
        for effect in fault["effects"]
        if effect["stage"] == "mapping"
    )
    found = Counter(
        (agent, file, re.match(r"\w+ \d+", p.position)[0], p.object_type, p.severity)  # type: ignore[index]  # always a match
        for agent, file, p in day.problems
    )

    assert found == listed


@pytest.mark.parametrize("which", ["first_day", "next_day"])
def test_the_zone_refuses_exactly_the_listed_objects(which: str, request: pytest.FixtureRequest) -> None:
    day: Day = request.getfixturevalue(which)
    listed = {
        (f"mis-{fault['school']}", fault["file"], fault["position"], effect["object"])
        for fault in day.expected["faults"]
        for effect in fault["effects"]
        if effect["stage"] == "zone"
    }
    refused = {
        (made.agent, made.file, made.position.partition(",")[0], made.object.object_type)
        for made in day.made
        if not made.is_valid
    }

    assert refused == listed
    assert refused


@pytest.mark.parametrize("which", ["first_day", "next_day"])
def test_as_many_learners_are_made_as_expected(which: str, request: pytest.FixtureRequest) -> None:
    day: Day = request.getfixturevalue(which)
    found = Counter(made.agent.removeprefix("mis-") for made in day.objects("LearnerPersonal") if made.is_valid)

    assert found == {school: counts["learners"] for school, counts in day.expected["schools"].items()}


@pytest.mark.parametrize("which", ["first_day", "next_day"])
def test_reports_have_as_many_rows_as_expected(which: str, request: pytest.FixtureRequest) -> None:
    day: Day = request.getfixturevalue(which)
    for school, counts in day.expected["schools"].items():
        for file, rows in counts["rows"].items():
            path = day.folder / "schools" / school / file
            if path.suffix == ".csv":
                with path.open(encoding="utf-8-sig", newline="") as text:
                    assert sum(1 for _ in csv.DictReader(text)) == rows
            else:
                assert len(list(etree.parse(path, SAFE).iter("Pupil"))) == rows
