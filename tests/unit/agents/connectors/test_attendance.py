"""Daily attendance: each mark is sent once, changes are sent when they are made, and what is late or missing shows."""

from pathlib import Path

import pytest

from agents.connectors.attendance import AttendanceOptions, AttendanceSource
from agents.connectors.contract import SourceError, SourceProblem
from agents.parts import make_parts
from agents.settings import read_settings
from broker.protocol.errors import ConfigurationError
from mappings import Record
from schemas import SchemaSet
from tests.unit.agents.connectors.reports import TODAY, Site, published, text_of, write_calendar

HEADINGS = "LA Number,Estab Number,UPN,Date,Session,Mark,Minutes Late,Arrived,Recorded\n"


def row(number: int, day: str, session: str, mark: str, late: str = "", arrived: str = "", recorded: str = "") -> str:
    return f"820,9901,A8209901260{number:02},{day},{session},{mark},{late},{arrived},{recorded}\n"


def source(**options: object) -> AttendanceSource:
    return AttendanceSource(AttendanceOptions.model_validate(options), lambda: TODAY)


def read(path: Path, content: str, **options: object) -> tuple[list[Record], list[tuple[str, str, str]]]:
    path.write_text(content)
    items = list(source(**options).read(path))
    problems = [(i.position, str(i.severity), i.rule) for i in items if isinstance(i, SourceProblem)]
    return [item for item in items if isinstance(item, Record)], problems


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daily-attendance.csv"


@pytest.fixture
def school(tmp_path: Path, schema: SchemaSet) -> Site:
    text = 'connector = "attendance"\npath = "daily-attendance.csv"\nmapping = ["csv/daily-attendance"]'
    return Site(tmp_path, schema, text, source())


def test_marks_become_valid_objects_with_the_moment_of_recording(school: Site, path: Path) -> None:
    path.write_text(
        HEADINGS
        + row(1, "23/11/2026", "AM", "/", recorded="23/11/2026 08:57")
        + row(2, "23/11/2026", "am", "l", "12", "9:07", "2026-11-23T09:10:00")
        + row(1, "01/10/2026", "PM", "\\", recorded="01/10/2026 13:05")
    )
    marks = published(school.scan(), "LearnerAttendance")

    assert [school.schema.check(mark, partial=False) for mark in marks] == [(), (), ()]
    assert [text_of(mark, "AttendanceCode") for mark in marks] == ["/", "L", "\\"]
    assert [text_of(mark, "AttendanceNote") for mark in marks] == [None, "12 minutes late", None]
    assert [text_of(mark, "TimeIn") for mark in marks] == [None, "09:07:00", None]
    assert [text_of(mark, "RecordTimestamp") for mark in marks] == [
        "2026-11-23T08:57:00+00:00",
        "2026-11-23T09:10:00+00:00",
        "2026-10-01T13:05:00+01:00",  # British Summer Time
    ]


def test_an_export_an_hour_later_sends_only_marks_that_are_new_or_changed(school: Site, path: Path) -> None:
    first = [row(1, "23/11/2026", "AM", "N"), row(2, "23/11/2026", "AM", "/")]
    path.write_text(HEADINGS + "".join(first))
    (before, _) = published(school.scan(), "LearnerAttendance")

    path.write_text(HEADINGS + first[0].replace(",N,", ",I,") + first[1] + row(1, "23/11/2026", "PM", "I"))
    events = school.scan()

    assert [event.action for event in events] == ["Change", "Add"]
    changed, _ = published(events, "LearnerAttendance")
    assert changed.get("RefId") == before.get("RefId")
    assert text_of(changed, "AttendanceCode") == "I"
    assert text_of(changed, "AttendanceDate") is None  # what has not changed is not sent again


def test_a_row_for_each_mark_and_a_column_for_each_session_make_the_same_objects(school: Site, path: Path) -> None:
    path.write_text(HEADINGS + row(1, "23/11/2026", "AM", "/") + row(1, "23/11/2026", "PM", "\\"))
    assert len(school.scan()) == 2

    path.write_text("LA Number,Estab Number,UPN,23/11/2026 AM,2026-11-23 PM\n820,9901,A820990126001,/,M\n")

    (change,) = published(school.scan(), "LearnerAttendance")
    assert text_of(change, "AttendanceCode") == "M"


@pytest.mark.parametrize(
    ("bad", "rule", "column"),
    [
        (row(1, "23/11/2026", "AM", "QQ"), "code", "Mark"),
        (row(1, "31/11/2026", "AM", "/"), "date", "Date"),
        (row(1, "11/23/2026", "AM", "/"), "date", "Date"),
        (row(1, "23/11/2026", "NIGHT", "/"), "code", "Session"),
        (row(1, "", "AM", "/"), "key", "Date"),
        (row(1, "25/11/2026", "AM", "/"), "date-ahead", "Date"),
        (row(1, "23/11/2062", "AM", "I"), "date-ahead", "Date"),
    ],
    ids=["code", "no-such-day", "american", "session", "no-date", "presence-tomorrow", "far-off"],
)
def test_a_wrong_code_or_date_is_refused_by_row_and_column_and_the_other_rows_go_on(
    school: Site, path: Path, bad: str, rule: str, column: str
) -> None:
    path.write_text(HEADINGS + row(2, "23/11/2026", "AM", "/") + bad + row(3, "23/11/2026", "AM", "/"))

    assert school.actions() == {"LearnerAttendance Add": 2}
    (refused,) = [problem for problem in school.problems() if problem.severity == "refuse"]
    assert (refused.position, refused.rule) == ("row 3", rule)
    assert column in refused.message


def test_absence_may_be_entered_ahead(school: Site, path: Path) -> None:
    path.write_text(HEADINGS + row(1, "07/12/2026", "AM", "M"))

    assert school.actions() == {"LearnerAttendance Add": 1}
    assert school.problems() == []


def test_a_mark_that_comes_late_is_sent_and_reported(school: Site, path: Path) -> None:
    path.write_text(
        HEADINGS
        + row(1, "20/11/2026", "AM", "I", recorded="23/11/2026 16:30")  # Friday's on Monday: the next school day
        + row(2, "20/11/2026", "AM", "I", recorded="24/11/2026 08:00")
    )

    assert school.actions() == {"LearnerAttendance Add": 2}
    assert school.rules() == [("row 3", "warn", "late-mark")]


def test_days_count_by_the_calendar_of_the_authority(path: Path, tmp_path: Path) -> None:
    write_calendar(tmp_path / "calendars")
    content = HEADINGS + row(1, "23/10/2026", "AM", "/", recorded="02/11/2026 09:00")  # half-term between

    assert read(path, content, calendars=tmp_path / "calendars")[1] == []
    assert read(path, content)[1] == [("row 2", "warn", "late-mark")]


def test_calendars_are_looked_for_beside_the_agents_file(school: Site, tmp_path: Path) -> None:
    with school.file.open("a") as file:
        file.write('calendars = "calendars"\n')
    with pytest.raises(ConfigurationError, match="option: calendars: there is no such folder"):
        make_parts(read_settings(school.file))

    write_calendar(tmp_path / "calendars")
    assert len(make_parts(read_settings(school.file)).sources) == 1

    (tmp_path / "calendars/820.toml").write_text("terms = 3")
    with pytest.raises(SourceError, match="calendars: "):
        read(tmp_path / "marks.csv", HEADINGS, calendars=tmp_path / "calendars")


def test_a_missing_mark_is_reported_by_row_and_whoever_is_left_out_of_a_session_by_session(path: Path) -> None:
    records, problems = read(
        path,
        HEADINGS
        + row(1, "23/11/2026", "AM", "/")
        + row(2, "23/11/2026", "AM", "-")
        + row(3, "23/11/2026", "AM", "")
        + row(1, "23/11/2026", "PM", "\\")
        + row(2, "23/11/2026", "PM", "\\")
        + row(3, "23/11/2026", "PM", "\\"),
    )

    assert len(records) == 4
    assert problems == [
        ("row 3", "warn", "missing-mark"),
        ("row 4", "warn", "missing-mark"),
        ("23/11/2026 AM", "warn", "no-mark"),
    ]


def test_how_many_pupils_have_no_mark_in_a_session_is_said(path: Path) -> None:
    marks = [row(n, "23/11/2026", "AM", "/") for n in (1, 2, 3)] + [row(n, "23/11/2026", "PM", "/") for n in (1, 2)]
    path.write_text(HEADINGS + "".join(marks))

    (problem,) = [item for item in source().read(path) if isinstance(item, SourceProblem)]
    assert (problem.position, problem.rule) == ("23/11/2026 PM", "no-mark")
    assert "1 of the 3 pupils" in problem.message


def test_a_register_that_nobody_took_shows_in_the_wide_form_and_sessions_to_come_do_not(path: Path) -> None:
    content = "LA Number,Estab Number,UPN,23/11/2026 AM,23/11/2026 PM,25/11/2026 AM,22/11/2026 AM\n"
    records, problems = read(path, content + "820,9901,A820990126001,/,,,\n820,9901,A820990126002,/,,,\n")

    assert [record.position for record in records] == ["row 2, column 23/11/2026 AM", "row 3, column 23/11/2026 AM"]
    assert problems == [("23/11/2026 PM", "warn", "no-mark")]  # the 22nd is a Sunday


def test_a_session_column_with_a_wrong_date_or_of_a_session_that_is_there_already_is_refused(path: Path) -> None:
    content = "LA Number,Estab Number,UPN,23/11/2026 AM,2026-11-23 AM,31/11/2026 AM\n820,9901,A820990126001,/,/,/\n"
    records, problems = read(path, content)

    assert len(records) == 1
    assert problems == [("row 1", "refuse", "double-heading"), ("row 1", "refuse", "heading-date")]


def test_a_time_that_is_none_is_left_out_and_the_mark_sent(school: Site, path: Path) -> None:
    path.write_text(HEADINGS + row(1, "23/11/2026", "AM", "L", "5", "25:00", "soon"))
    (mark,) = published(school.scan(), "LearnerAttendance")

    assert (text_of(mark, "TimeIn"), text_of(mark, "RecordTimestamp")) == (None, None)
    assert school.rules() == [("row 2", "warn", "time"), ("row 2", "warn", "time")]


@pytest.mark.parametrize("content", ["UPN,Date,Session\nA,23/11/2026,AM\n", "", "UPN\nA\n"])
def test_a_report_without_marks_is_refused_as_a_whole(path: Path, content: str) -> None:
    with pytest.raises(SourceError):
        read(path, content)


def test_findings_say_nothing_of_the_pupil(path: Path) -> None:
    path.write_text(HEADINGS + row(1, "20/11/2026", "AM", "I", recorded="24/11/2026 08:00") + row(2, "x", "AM", ""))

    said = " ".join(str(item) for item in source().read(path) if isinstance(item, SourceProblem))
    assert "late-mark" in said
    assert "A82099012" not in said


def test_the_connector_is_found_by_its_name(school: Site) -> None:
    (part,) = make_parts(read_settings(school.file)).sources

    assert isinstance(part.connector, AttendanceSource)
