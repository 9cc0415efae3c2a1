"""Suspensions on the day they begin, and attendance of transfer files, as the ready-made agents of schools read it."""

from pathlib import Path

import pytest

from agents.connectors.attendance import AttendanceSource
from agents.connectors.csv import CsvOptions, CsvSource
from agents.connectors.ctf import CtfOptions, CtfSource
from agents.parts import make_parts
from agents.settings import read_settings
from schemas import SchemaSet
from tests.unit.agents.connectors.reports import Site, published, text_of
from tests.unit.agents.helpers import ctf, pupil

HEADINGS = "LA Number,Estab Number,UPN,Category,Reason,Start Date,Start Session,End Date,Sessions\n"
MIS = Path(__file__).parents[4] / "agents/mis"


@pytest.fixture
def office(tmp_path: Path, schema: SchemaSet) -> Site:
    text = 'connector = "csv"\npath = "exclusions.csv"\nmapping = ["csv/exclusions"]'
    return Site(tmp_path, schema, text, CsvSource(CsvOptions()))


def test_a_suspension_is_sent_before_its_end_is_known_and_its_end_as_a_change(office: Site, tmp_path: Path) -> None:
    path = tmp_path / "exclusions.csv"
    path.write_text(HEADINGS + "820,9901,A820990126001,SUSP,PP,24/11/2026,4,,\n")
    (add,) = published(office.scan(), "LearnerExclusion")
    assert office.schema.check(add, partial=False) == ()
    assert text_of(add, "EndDate") is None

    path.write_text(HEADINGS + "820,9901,A820990126001,SUSP,PP,24/11/2026,4,26/11/2026,5\n")
    (event,) = office.scan()
    (change,) = published([event], "LearnerExclusion")

    assert (event.action, change.get("RefId")) == ("Change", add.get("RefId"))
    assert [text_of(change, name) for name in ("EndDate", "ActualSessions")] == ["2026-11-26", "5"]


@pytest.mark.parametrize(
    ("row", "rule", "column"),
    [
        ("820,9901,A820990126001,SUSP,PP,31/11/2026,4,,", "date", "Start Date"),
        ("820,9901,A820990126001,SUSP,PP,24/11/2026,11,,", "between", "Start Session"),
        ("820,9901,A820990126001,SUSP,,24/11/2026,4,,", "mandatory", "Reason"),
        ("820,9901,,SUSP,PP,24/11/2026,4,,", "key", "UPN"),
    ],
    ids=["date", "session", "reason", "nobody"],
)
def test_a_suspension_that_cannot_be_used_is_refused_by_row_and_column(
    office: Site, tmp_path: Path, row: str, rule: str, column: str
) -> None:
    (tmp_path / "exclusions.csv").write_text(HEADINGS + row + "\n")

    assert office.actions() == {}
    (problem,) = office.problems()
    assert (problem.position, problem.severity, problem.rule) == ("row 2", "refuse", rule)
    assert column in problem.message


def test_a_transfer_file_gives_the_attendance_of_this_year_and_the_next_one_its_new_totals_as_a_change(
    tmp_path: Path, schema: SchemaSet
) -> None:
    def attendance(attended: int, estab: str = "9901") -> str:
        return (
            f"<YearData><Year>2026</Year><LEA>820</LEA><Estab>{estab}</Estab><SessionsPossible>112</SessionsPossible>"
            f"<SessionsAuthorised>6</SessionsAuthorised><SessionsAttended>{attended}</SessionsAttended>"
            "<SessionsUnauthorised>2</SessionsUnauthorised></YearData>"
        )

    text = 'connector = "ctf"\npath = "exports/*.xml"\nmapping = ["ctf/attendance"]'
    site = Site(tmp_path, schema, text, CtfSource(CtfOptions()))
    more = f"<Attendance>{attendance(99, '9902')}{attendance(104)}</Attendance>"
    ctf(tmp_path / "exports/1.xml", pupil(1, more=more))
    (add,) = published(site.scan(), "LearnerAttendanceSummary")  # the earlier school's are that school's to tell

    assert schema.check(add, partial=False) == ()
    names = ("SchoolYear", "SessionsAttendedTotal", "SessionsPossible", "AuthorisedAbsences", "UnauthorisedAbsences")
    assert [text_of(add, name) for name in names] == ["2027", "104", "112", "6", "2"]

    ctf(tmp_path / "exports/2.xml", pupil(1, more=f"<Attendance>{attendance(103)}</Attendance>"))
    assert site.actions() == {"LearnerAttendanceSummary Change": 1}


@pytest.mark.parametrize("name", ["mis-csv", "mis-ctf"])
def test_the_ready_made_agents_of_schools_read_daily_attendance_and_exclusions(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.toml"
    file.write_text((MIS / f"{name}.toml").read_text())

    sources = make_parts(read_settings(file)).sources

    assert any(isinstance(source.connector, AttendanceSource) for source in sources)
    made = {mapping.object_type for source in sources for mapping in source.mappings}
    assert {"LearnerAttendance", "LearnerExclusion"} <= made
