"""Education plans: deadlines by the rules where an export has none, late plans shown, only changes sent."""

import threading
from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from agents.connectors.pep import PepOptions, PepSource
from agents.connectors.ssda903 import Claim, Locate
from agents.learners import Learners
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Outcome, Place
from schemas import SchemaSet
from tests.unit.agents.connectors.reports import TODAY, Site, published, text_of, write_calendar

SCHOOL = "C5F3AF455A0F2E872126B5309A420711"
PLAN = {
    "UPN": "P820990126001",
    "LA Number": "820",
    "Estab Number": "9901",
    "Plan Type": "Initial",
    "Academic Year": "2026/2027",
    "Term": "Autumn",
    "Care Start Date": "16/11/2026",
    "Status": "In progress",
}
READY_MADE = Path(__file__).parents[4] / "agents/pep/pep.toml"


def locate(claim: Claim) -> str | None:
    """Know every learner, by a RefId with the number in it."""
    return f"{claim.upn:0>32}".replace("P", "F").replace("T", "E")


def source(today: date = TODAY, locate: Locate = locate, **options: object) -> PepSource:
    made = PepOptions.model_validate({"schools": {"8209901": SCHOOL}, **options})
    return PepSource(made, locate, lambda: today)


class Office:
    """A virtual school's export of plans, and the agent that reads it."""

    def __init__(self, folder: Path, schema: SchemaSet) -> None:
        self.folder = folder
        text = 'connector = "pep"\npath = "plans.csv"\nmapping = ["pep/plan"]'
        self.site = Site(folder, schema, text, source())

    def write(self, *plans: dict[str, str]) -> None:
        names = list(dict.fromkeys(name for plan in plans for name in plan))
        rows = [",".join(plan.get(name, "") for name in names) for plan in plans]
        (self.folder / "plans.csv").write_text("\n".join([",".join(names), *rows]) + "\n")

    def plan(self, **values: str) -> etree._Element:
        """Return the one plan that is sent of a row; values by column, with underscores for blanks."""
        self.write({**PLAN, **{name.replace("_", " "): value for name, value in values.items()}})
        (plan,) = published(self.site.scan(), "LearnerEducationPlan")
        assert self.site.schema.check(plan, partial=False) == ()
        return plan


@pytest.fixture
def office(tmp_path: Path, schema: SchemaSet) -> Office:
    return Office(tmp_path, schema)


def deadlines(plan: etree._Element) -> list[tuple[str | None, str | None, str | None]]:
    found = [plan.find(f"{{*}}{name}") for name in ("InitiateByDate", "DueDate")]
    return [(day.text, day.get("DayKind"), day.get("Calendar")) for day in found if day is not None]


def test_an_initial_plan_is_to_be_begun_10_and_ready_20_working_days_after_care_began(office: Office) -> None:
    plan = office.plan()

    assert text_of(plan, "TriggerDate") == "2026-11-16"
    assert deadlines(plan) == [("2026-11-30", "WorkingDay", "England"), ("2026-12-14", "WorkingDay", "England")]
    assert plan.get("SchoolInfoRefId") == SCHOOL
    assert plan.get("LearnerLookedAfterRefId") is None
    assert office.site.rules() == []


def test_bank_holidays_are_no_working_days(office: Office) -> None:
    plan = office.plan(Care_Start_Date="14/12/2026")

    assert deadlines(plan)[0][0] == "2026-12-30"  # without the 25th, and the 28th for the 26th


def test_a_review_is_due_by_the_end_of_its_term_and_counts_from_its_first_day(office: Office) -> None:
    write_calendar(office.folder / "calendars")
    office.site.connector = source(calendars=office.folder / "calendars")
    plan = office.plan(Plan_Type="Termly review", Care_Start_Date="02/03/2020", Term="SPR")

    assert text_of(plan, "TriggerDate") == "2027-01-04"
    assert deadlines(plan) == [("2027-03-25", "Term", "820")] * 2
    assert office.site.rules() == []


def test_a_review_counts_from_its_trigger_where_that_is_given(office: Office) -> None:
    write_calendar(office.folder / "calendars")
    office.site.connector = source(calendars=office.folder / "calendars")
    plan = office.plan(Plan_Type="Review", Trigger_Date="17/11/2026")

    assert text_of(plan, "TriggerDate") == "2026-11-17"
    assert deadlines(plan) == [("2026-12-18", "Term", "820")] * 2


def test_without_a_calendar_a_review_is_due_two_months_after_its_trigger(office: Office) -> None:
    plan = office.plan(Plan_Type="RV", Trigger_Date="02/11/2026")

    assert deadlines(plan) == [("2027-01-02", "Month", "England")] * 2


def test_deadlines_of_the_export_are_kept(office: Office) -> None:
    plan = office.plan(Trigger_Date="17/11/2026", Initiate_By_Date="27/11/2026", Due_Date="11/12/2026")

    assert text_of(plan, "TriggerDate") == "2026-11-17"
    assert deadlines(plan) == [("2026-11-27", "CalendarDay", None), ("2026-12-11", "CalendarDay", None)]


@pytest.mark.parametrize(
    ("values", "rule", "status"),
    [
        ({"Care Start Date": "02/10/2026", "Status": "IP"}, "overdue", "OD"),
        ({"Care Start Date": "02/10/2026", "Status": "Not started"}, "overdue", "OD"),
        ({"Care Start Date": "02/11/2026", "Status": "Not started"}, "not-begun", "NS"),
        ({"Care Start Date": "02/11/2026", "Status": "IP"}, "", "IP"),
        ({"Care Start Date": "02/10/2026", "Status": "CO", "Completed Date": "02/11/2026"}, "completed-late", "CO"),
        ({"Care Start Date": "02/10/2026", "Status": "QA", "Completed Date": "29/10/2026"}, "", "QA"),
    ],
    ids=["overdue", "overdue-not-begun", "not-begun", "in-time", "completed-late", "completed-in-time"],
)
def test_late_plans_are_sent_and_reported(office: Office, values: dict[str, str], rule: str, status: str) -> None:
    office.write({**PLAN, "Completed Date": "", **values})
    (plan,) = published(office.site.scan(), "LearnerEducationPlan")

    assert text_of(plan, "Status") == status
    assert office.site.rules() == ([("row 2", "warn", rule)] if rule else [])


def test_the_day_after_only_what_became_late_or_was_completed_is_sent(office: Office) -> None:
    due = PLAN | {"Due Date": "24/11/2026", "Initiate By Date": "17/11/2026"}
    others = [PLAN | {"UPN": upn} for upn in ("D820990126002", "T820990126003")]
    office.write(due, *others)
    assert office.site.actions() == {"LearnerEducationPlan Add": 3}

    office.site.connector = source(date(2026, 11, 25))
    office.write(due, others[0], others[1] | {"Status": "CO", "Completed Date": "24/11/2026"})
    events = office.site.scan()

    assert [event.action for event in events] == ["Change", "Change"]
    assert [text_of(plan, "Status") for plan in published(events, "LearnerEducationPlan")] == ["OD", "CO"]


@pytest.mark.parametrize(
    ("values", "rule", "column"),
    [
        ({"UPN": ""}, "key", "UPN"),
        ({"UPN": "Quill"}, "upn", "UPN"),
        ({"UPN": "A820990126001"}, "mandatory", "LearnerPersonalRefId"),
        ({"Plan Type": "Secret"}, "code", "Plan Type"),
        ({"Academic Year": "2026"}, "school-year", "Academic Year"),
        ({"Term": "Michaelmas"}, "code", "Term"),
        ({"Care Start Date": "31/11/2026"}, "mandatory", "Trigger Date"),
        ({"Trigger Date": "31/11/2026"}, "date", "Trigger Date"),
        ({"Plan Type": "TR"}, "mandatory", "Trigger Date"),
        ({"Status": "Nearly"}, "code", "Status"),
        ({"Status": "Nearly", "Care Start Date": "02/10/2026"}, "code", "Status"),
        ({"Status": ""}, "mandatory", "Status"),
    ],
    ids=[
        "nobody",
        "upn",
        "check-letter",
        "type",
        "year",
        "term",
        "care-start",
        "trigger",
        "no-move",
        "status",
        "status-of-a-late-plan",
        "no-status",
    ],
)
def test_a_damaged_row_is_refused_by_row_and_column_and_the_others_go_on(
    office: Office, values: dict[str, str], rule: str, column: str
) -> None:
    good = PLAN | {"UPN": "D820990126002", "Trigger Date": "16/11/2026"}
    office.write(good, {**PLAN, "Trigger Date": "", **values})

    assert office.site.actions() == {"LearnerEducationPlan Add": 1}
    refused = [problem for problem in office.site.problems() if problem.severity == "refuse"]
    assert {problem.position for problem in refused} == {"row 3"}
    assert any(problem.rule == rule and column in problem.message for problem in refused)
    assert not any("Quill" in problem.message for problem in refused)


def test_a_plan_of_a_school_whose_refid_is_not_known_is_sent_without_it_and_reported(office: Office) -> None:
    plan = office.plan(Estab_Number="9902")

    assert plan.get("SchoolInfoRefId") is None
    assert office.site.rules() == [("plans.csv", "warn", "schools")]


def test_refids_in_the_export_itself_are_not_taken(office: Office) -> None:
    plan = office.plan(SchoolInfoRefId="F" * 32, LearnerLookedAfterRefId="F" * 32)

    assert (plan.get("SchoolInfoRefId"), plan.get("LearnerLookedAfterRefId")) == (SCHOOL, None)


def test_the_zone_is_asked_who_a_learner_is_and_the_plan_sent_once_it_has_said(office: Office) -> None:
    site = office.site
    with site.file.open("a") as file:
        file.write("locate_only = true\n")
    office.write(PLAN)
    settings = read_settings(site.file)
    with Store(settings.state_folder) as store:
        spool, parts = Spool(store, settings.id, site.schema), make_parts(settings)
        learners = Learners(store, spool)
        scanner = Scanner(settings, parts, store, spool, threading.Event(), learners=learners)
        scanner.scan(parts.sources[0])
        (claim,) = learners.to_ask()
        assert (claim.upn, claim.locate_only, spool.count()) == ("P820990126001", True, 0)

        with store.transaction() as db:
            learners.located(db, [Place(claim.key, Outcome.FOUND, RefId("B" * 32))])
        scanner.scan(parts.sources[0])
        (plan,) = published(list(spool.waiting(0, 10)), "LearnerEducationPlan")

    assert plan.get("LearnerPersonalRefId") == "B" * 32


def test_a_plan_keeps_its_identity_by_the_tools_own_number(office: Office) -> None:
    first = office.plan(Plan_ID="4711", Plan_Type="Initial")
    office.write(PLAN | {"Plan ID": "4711", "Plan Type": "TR", "Trigger Date": "16/11/2026"})
    (change,) = published(office.site.scan(), "LearnerEducationPlan")

    assert change.get("RefId") == first.get("RefId")


def test_a_learner_is_asked_for_by_a_upn_with_a_right_check_letter_alone(office: Office) -> None:
    asked: list[str | None] = []
    office.site.connector = source(locate=lambda claim: asked.append(claim.upn))
    office.write(PLAN, PLAN | {"UPN": "A820990126001"}, PLAN | {"UPN": "d8209901 26002"})

    assert office.site.actions() == {}
    assert asked == ["P820990126001", "D820990126002"]
    assert ("row 3", "warn", "upn") in office.site.rules()
    assert ("plans.csv", "warn", "not-located") in office.site.rules()


def test_the_ready_made_agent_can_be_run_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "pep.toml"
    file.write_text(READY_MADE.read_text())

    (part,) = make_parts(read_settings(file)).sources

    assert isinstance(part.connector, PepSource)
    assert [mapping.object_type for mapping in part.mappings] == ["LearnerEducationPlan"]
