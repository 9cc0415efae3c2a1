"""What the commands show: the roll, one learner's time line, transfers; and how it is laid out."""

import csv
import io
import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from agents.virtual_school import reports
from agents.virtual_school.show import Format, as_text
from agents.writing import PRIVATE, write_text
from broker.calendars import Calendars
from broker.protocol.errors import ConfigurationError
from tests.unit.agents.virtual_school.objects import (
    PRIMARY,
    SECONDARY,
    YAR,
    ZED,
    Kept,
    care,
    enrolment,
    exclusion,
    facts_of,
    learner,
    mark,
    plan,
    school,
    transfer,
    two_learners,
)

MONDAY = date(2026, 11, 16)


def test_the_roll_has_one_line_for_each_learner_in_care(calendars: Calendars) -> None:
    objects = two_learners()
    objects.put(mark("2026-11-13"), mark("2026-11-13", "PM", code="L"), mark("2026-11-17"), transfer(status="UN"))

    first, second = reports.roll(facts_of(objects, MONDAY), MONDAY, calendars).rows

    assert first == {
        "name": "Quill, Zephyrine",
        "upn": "A820990126001",
        "year_group": "6",
        "school": "Thornwick Primary School (8209901)",
        "care_since": date(2026, 11, 2),
        "care": "Looked after",
        "placement": "Other foster carer, not long term",
        "last_mark": "2026-11-13 PM (Late, before register closed)",
        "plan_due": "2026-11-16",
        "transfer": "Destination unknown",
        "ref_id": ZED,
    }
    assert (second["name"], second["school"], second["plan_due"]) == (
        "Yarrow, Wilf",
        "Marrowfield School (8209902)",
        "2023-05-16 (late)",
    )


@pytest.mark.parametrize(
    ("day", "names"),
    [(date(2026, 11, 1), ["Yarrow"]), (date(2026, 11, 2), ["Quill", "Yarrow"]), (date(2026, 11, 20), ["Yarrow"])],
    ids=["before", "first day", "day it ended"],
)
def test_who_is_on_the_roll_is_told_by_the_days_of_care(calendars: Calendars, day: date, names: list[str]) -> None:
    objects = two_learners()
    objects.put(care(ended="2026-11-20"))

    rows = reports.roll(facts_of(objects, day), day, calendars).rows

    assert [row["name"].partition(",")[0] for row in rows] == names


def test_the_schools_word_counts_only_where_no_period_of_care_has_come(calendars: Calendars) -> None:
    says = "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
    objects = Kept(learner(more=says), learner(YAR, "Yarrow", more=says), care("5", YAR, ended="2026-01-01"))

    (row,) = reports.roll(facts_of(objects, MONDAY), MONDAY, calendars).rows

    assert (row["name"], row["care"], row["care_since"]) == ("Quill, Zephyrine", "In care, as the school says", None)


def test_a_time_line_has_all_subjects_in_order_of_date(calendars: Calendars) -> None:
    objects = two_learners()
    needs = (
        f'<LearnerSpecialNeeds RefId="{"8" * 32}" LearnerPersonalRefId="{ZED}" SchoolInfoRefId="{PRIMARY}">'
        "<Provision>K</Provision><StartDate>2024-01-08</StartDate></LearnerSpecialNeeds>"
    )
    total = (
        f'<LearnerAttendanceSummary LearnerPersonalRefId="{ZED}" SchoolInfoRefId="{PRIMARY}"><SchoolYear>2026'
        "</SchoolYear><StartDate>2025-09-02</StartDate><EndDate>2026-07-21</EndDate><SessionsAttendedTotal>350"
        "</SessionsAttendedTotal><SessionsPossible>380</SessionsPossible></LearnerAttendanceSummary>"
    )
    met = plan(more="<MeetingDate>2026-11-12</MeetingDate>")
    objects.put(needs, total, exclusion(), transfer(), met, mark("2026-11-13"), mark("2026-11-13", "PM", code="U"))
    facts = facts_of(objects, MONDAY, who=ZED)

    rows = reports.timeline(facts, facts.learners[ZED], MONDAY, calendars).rows

    shown = [(str(row["date"]), row["subject"], row["what"]) for row in rows]
    assert shown == sorted(shown, key=lambda row: row[0])
    assert {row["subject"] for row in rows} == {
        "Attendance", "Care", "Exclusion", "Placement", "Plan", "School", "SEN", "Transfer",
    }  # fmt: skip
    assert ("2026-11-02", "Care", "Care began") in shown
    assert ("2026-10-30", "Transfer", "Transfer: Schools notified") in shown
    details = {row["what"]: row["detail"] for row in rows}
    assert details["Marks of the month"].startswith("1 present, 1 unauthorised absence; last: 2026-11-13 PM")
    assert details["Sessions in total"].startswith("from 2025-09-02; 350 attended, 380 possible")
    assert details["Suspension"] == "Persistent disruptive behaviour; 4 sessions"
    assert all(YAR not in str(row) and "Yarrow" not in str(row) for row in rows)


@pytest.mark.parametrize(
    ("who", "names"),
    [
        (ZED, ["Quill"]),
        (ZED.lower(), ["Quill"]),
        ("b820990226002", ["Yarrow"]),
        ("quill", ["Quill"]),
        ("Wilf yar", ["Yarrow"]),
        ("Yarrow, Wilf", ["Yarrow"]),
        ("w", ["Yarrow"]),
        ("i", ["Quill", "Yarrow"]),
        ("nobody", []),
        ("  ", []),
    ],
)
def test_a_learner_is_found_by_refid_upn_or_part_of_the_name(who: str, names: list[str]) -> None:
    found = reports.find(facts_of(two_learners(), MONDAY), who)

    assert [one.family_name for one in found] == names


def test_open_transfers_are_shown_late_ones_first_and_all_when_asked(calendars: Calendars) -> None:
    objects = two_learners()
    objects.put(
        transfer("1", due="2026-11-13", to=""),
        transfer("2", YAR, due="2026-12-01"),
        transfer("3", YAR, status="CM", due="2026-01-01"),
        transfer("4", YAR, status="SE", due="2026-11-01", to="XXXX"),
    )
    facts = facts_of(objects, MONDAY)

    rows = reports.transfers(facts, MONDAY).rows

    assert calendars
    assert [(row["ref_id"][0], row["late"], row["destination_missing"]) for row in rows] == [
        ("1", True, True),
        ("4", False, False),
        ("2", False, False),
    ]
    assert rows[0]["from"] == "Thornwick Primary School (8209901)"
    assert rows[2]["to"] == "Marrowfield School (8209902)"
    assert rows[0]["status"] == "Schools notified"
    assert len(reports.transfers(facts, MONDAY, everything=True).rows) == 4


def test_due_shows_what_is_late_and_what_comes_within_the_days_asked_for(calendars: Calendars) -> None:
    objects = two_learners()
    objects.put(transfer(due="2026-11-20"))
    facts = facts_of(objects, MONDAY)

    def rules(days: int) -> list[tuple[str, bool]]:
        rows = reports.due(facts, MONDAY, calendars, timedelta(days=days)).rows
        return [(row["rule"], row["late"]) for row in rows if row["ref_id"] == ZED]

    assert rules(0) == [("L2", False)]
    assert rules(4) == [("L2", False), ("T1", False)]
    assert rules(14) == [("L2", False), ("T1", False), ("L3", False)]


def test_silent_says_what_keeps_it_from_knowing() -> None:
    report = reports.silent(facts_of(two_learners(), MONDAY, MONDAY), MONDAY, Calendars())

    assert [row["missing"] for row in report.rows] == ["AM PM", "AM PM"]
    assert len(report.notes) == 2
    assert "LearnerAttendance" in report.notes[0]
    assert report.notes[0] in as_text(report, Format.TABLE)


EVIL = {"=": "=1+1", "+": "+44", "-": "-2+3", "@": "@SUM(1)"}


@pytest.mark.parametrize("name", EVIL.values(), ids=EVIL.keys())
def test_a_cell_that_a_spreadsheet_would_run_is_defused(calendars: Calendars, name: str) -> None:
    report = reports.roll(facts_of(Kept(learner(family=name, upn=name), care()), MONDAY), MONDAY, calendars)

    (row,) = csv.DictReader(io.StringIO(as_text(report, Format.CSV), newline=""))
    assert row["name"] == f"'{name}, Zephyrine"
    assert row["upn"] == f"'{name}"
    assert json.loads(as_text(report, Format.JSON))[0]["upn"] == name


def test_numbers_dates_and_words_are_plain_in_csv_and_typed_in_json(calendars: Calendars) -> None:
    objects = two_learners()
    objects.put(transfer(due="2026-11-13"))
    report = reports.due(facts_of(objects, MONDAY), MONDAY, calendars, timedelta(days=1))

    table = list(csv.DictReader(io.StringIO(as_text(report, Format.CSV), newline="")))
    late = next(row for row in table if row["rule"] == "T1")
    assert (late["due"], late["late"], late["days"]) == ("2026-11-13", "yes", "-3")
    rows = json.loads(as_text(report, Format.JSON))
    row = next(row for row in rows if row["rule"] == "T1")
    assert (row["due"], row["late"], row["days"]) == ("2026-11-13", True, -3)


def test_brackets_and_control_characters_in_a_name_do_nothing_to_the_terminal(calendars: Calendars) -> None:
    objects = Kept(learner(family="[red]Quill[/red]\u202e", given="Z\u009b2J"), care())
    report = reports.roll(facts_of(objects, MONDAY), MONDAY, calendars)

    shown = as_text(report, Format.TABLE)

    assert "[red]Quill[/red]" in shown
    assert "\u009b" not in shown
    assert "\u202e" not in shown


def test_a_file_is_written_for_its_owner_alone_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "roll.csv"
    path.write_text("old")

    write_text(path, "new", PRIVATE)

    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_text(tmp_path / "none" / "roll.csv", "new", PRIVATE)
    assert [one.name for one in tmp_path.iterdir()] == ["roll.csv"]


def test_of_two_schools_at_once_the_main_one_is_shown(calendars: Calendars) -> None:
    guest = enrolment("8", ZED, SECONDARY, "2026-11-09").replace('MembershipType="C"', 'MembershipType="S"')
    objects = Kept(learner(), school(), school(SECONDARY, "9902", "Marrowfield School"), enrolment("3"), guest, care())

    (row,) = reports.roll(facts_of(objects, MONDAY), MONDAY, calendars).rows

    assert row["school"] == "Thornwick Primary School (8209901)"
