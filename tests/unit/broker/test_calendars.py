"""Which days count: school days by a school's own calendar, working days by England's bank holidays, terms, months."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.calendars import (
    ENGLAND,
    Calendars,
    CalendarTooShort,
    DayKind,
    TermCode,
    academic_year,
    bank_holidays_of_england,
    load_calendars,
    local_date,
    parse_calendar,
    parse_calendars,
)
from broker.protocol.errors import ConfigurationError

AUTHORITY: Final = b"""
title = "Schools of Quarrington"

[[terms]]
term = "AUT"
starts = 2025-09-02
ends = 2025-12-19
half_term = { starts = 2025-10-27, ends = 2025-10-31 }

[[terms]]
term = "SPR"
starts = 2026-01-05
ends = 2026-03-27
half_term = { starts = 2026-02-16, ends = 2026-02-20 }

[[terms]]
term = "SUM"
starts = 2026-04-13
ends = 2026-07-21
half_term = { starts = 2026-05-25, ends = 2026-05-29 }
"""
SCHOOL: Final = b"""
title = "Larkrise Primary School"
follows = "820"
inset = [2025-09-02, 2026-01-05]

[[closures]]
starts = 2026-01-12
ends = 2026-01-13
reason = "Snow"
"""
CALENDARS: Final = parse_calendars({"820": AUTHORITY, "8209901": SCHOOL})
COUNCIL, LARKRISE = CALENDARS.by_name["820"], CALENDARS.by_name["8209901"]
DAYS: Final = st.dates(date(2025, 9, 1), date(2026, 5, 31))


@pytest.mark.parametrize(
    ("day", "meets"),
    [
        pytest.param(date(2025, 9, 3), True, id="in-term"),
        pytest.param(date(2025, 9, 1), False, id="before-term"),
        pytest.param(date(2025, 9, 2), False, id="inset"),
        pytest.param(date(2025, 9, 6), False, id="saturday"),
        pytest.param(date(2025, 10, 24), True, id="before-half-term"),
        pytest.param(date(2025, 10, 27), False, id="half-term"),
        pytest.param(date(2025, 10, 31), False, id="end-of-half-term"),
        pytest.param(date(2025, 12, 19), True, id="last-of-term"),
        pytest.param(date(2025, 12, 22), False, id="between-terms"),
        pytest.param(date(2026, 1, 12), False, id="snow"),
        pytest.param(date(2026, 1, 14), True, id="after-snow"),
        pytest.param(date(2026, 5, 4), False, id="bank-holiday-in-term"),
        pytest.param(date(2026, 7, 21), True, id="last-of-year"),
        pytest.param(date(2026, 7, 22), False, id="summer"),
    ],
)
def test_a_school_meets_on_weekdays_of_its_terms_that_are_not_off(day: date, meets: bool) -> None:
    assert LARKRISE.is_school_day(day) is meets


def test_a_school_that_follows_its_authority_differs_only_where_it_says_so() -> None:
    assert LARKRISE.terms == COUNCIL.terms
    assert COUNCIL.is_school_day(date(2026, 1, 12))
    assert not LARKRISE.is_school_day(date(2026, 1, 12))


def test_a_schools_own_term_takes_the_place_of_its_authoritys() -> None:
    own = SCHOOL + b'[[terms]]\nterm = "SUM"\nstarts = 2026-04-20\nends = 2026-07-24\n'

    calendar = parse_calendar(own, "8209901", {"820": AUTHORITY})

    assert [term.starts for term in calendar.terms] == [date(2025, 9, 2), date(2026, 1, 5), date(2026, 4, 20)]


@pytest.mark.parametrize(
    ("day", "number", "kind", "expected"),
    [
        pytest.param(date(2025, 10, 3), 15, DayKind.SCHOOL_DAY, date(2025, 10, 24), id="three-weeks-of-school"),
        pytest.param(date(2025, 10, 10), 15, DayKind.SCHOOL_DAY, date(2025, 11, 7), id="half-term-in-between"),
        pytest.param(date(2025, 12, 19), 1, DayKind.SCHOOL_DAY, date(2026, 1, 6), id="over-christmas-and-inset"),
        pytest.param(date(2026, 1, 9), 1, DayKind.SCHOOL_DAY, date(2026, 1, 14), id="over-snow"),
        pytest.param(date(2025, 10, 4), 1, DayKind.SCHOOL_DAY, date(2025, 10, 6), id="from-a-saturday"),
        pytest.param(date(2025, 10, 27), 0, DayKind.SCHOOL_DAY, date(2025, 10, 27), id="no-day"),
        pytest.param(date(2025, 12, 23), 3, DayKind.WORKING_DAY, date(2025, 12, 30), id="over-christmas"),
        pytest.param(date(2026, 4, 2), 1, DayKind.WORKING_DAY, date(2026, 4, 7), id="over-easter"),
        pytest.param(date(2026, 12, 24), 1, DayKind.WORKING_DAY, date(2026, 12, 29), id="boxing-day-in-lieu"),
        pytest.param(date(2025, 10, 27), 10, DayKind.WORKING_DAY, date(2025, 11, 10), id="half-term-is-work"),
        pytest.param(date(2025, 12, 30), 5, DayKind.CALENDAR_DAY, date(2026, 1, 4), id="calendar-days"),
        pytest.param(date(2025, 8, 31), 6, DayKind.MONTH, date(2026, 2, 28), id="month-without-that-day"),
        pytest.param(date(2025, 11, 30), 3, DayKind.MONTH, date(2026, 2, 28), id="over-new-year"),
        pytest.param(date(2025, 12, 15), 12, DayKind.MONTH, date(2026, 12, 15), id="a-year-of-months"),
        pytest.param(date(2025, 10, 28), 0, DayKind.TERM, date(2025, 12, 19), id="end-of-this-term"),
        pytest.param(date(2025, 12, 25), 0, DayKind.TERM, date(2026, 3, 27), id="between-terms-the-next-one's"),
        pytest.param(date(2025, 10, 28), 1, DayKind.TERM, date(2026, 3, 27), id="end-of-next-term"),
        pytest.param(date(2025, 12, 25), 1, DayKind.TERM, date(2026, 3, 27), id="next-term-from-between"),
        pytest.param(date(2025, 10, 28), 2, DayKind.TERM, date(2026, 7, 21), id="two-terms-on"),
    ],
)
def test_days_terms_and_months_are_added_by_their_kind(day: date, number: int, kind: DayKind, expected: date) -> None:
    assert LARKRISE.add(day, number, kind) == expected


@pytest.mark.parametrize("kind", list(DayKind))
def test_deadlines_are_not_counted_backwards(kind: DayKind) -> None:
    with pytest.raises(ValueError, match="forwards"):
        LARKRISE.add(date(2025, 10, 3), -1, kind)


@given(DAYS, st.integers(1, 30))
def test_as_many_school_days_lie_between_as_were_added(day: date, number: int) -> None:
    later = LARKRISE.add(day, number, DayKind.SCHOOL_DAY)

    assert LARKRISE.school_days_between(day, later) == number
    assert LARKRISE.school_days_between(day, later - timedelta(days=1)) == number - 1
    assert LARKRISE.is_school_day(later)


@given(DAYS, st.integers(0, 30))
def test_working_days_are_over_no_later_than_as_many_school_days(day: date, number: int) -> None:
    assert LARKRISE.add(day, number, DayKind.WORKING_DAY) <= LARKRISE.add(day, number, DayKind.SCHOOL_DAY)


@given(DAYS, DAYS)
def test_school_days_between_are_those_that_a_walk_meets(one: date, other: date) -> None:
    walked = sum(LARKRISE.is_school_day(one + timedelta(days=n)) for n in range(1, (other - one).days + 1))

    assert LARKRISE.school_days_between(one, other) == walked


@pytest.mark.parametrize(
    ("day", "code", "following"),
    [
        pytest.param(date(2025, 9, 2), TermCode.AUTUMN, TermCode.SPRING, id="first-day"),
        pytest.param(date(2025, 10, 28), TermCode.AUTUMN, TermCode.SPRING, id="half-term"),
        pytest.param(date(2025, 12, 19), TermCode.AUTUMN, TermCode.SPRING, id="last-day"),
        pytest.param(date(2025, 12, 20), None, TermCode.SPRING, id="christmas"),
        pytest.param(date(2026, 2, 1), TermCode.SPRING, TermCode.SUMMER, id="sunday-in-term"),
    ],
)
def test_a_day_is_in_the_term_that_it_lies_in(day: date, code: TermCode | None, following: TermCode) -> None:
    term = LARKRISE.term_of(day)

    assert (term.code if term else None) == code
    assert LARKRISE.next_term(day).code == following


def test_days_of_an_academic_year_that_is_not_there_are_not_counted_as_none() -> None:
    with pytest.raises(CalendarTooShort, match="2026-07-22"):
        LARKRISE.add(date(2026, 7, 10), 15, DayKind.SCHOOL_DAY)
    with pytest.raises(CalendarTooShort):
        LARKRISE.school_days_between(date(2026, 7, 10), date(2026, 9, 10))
    with pytest.raises(CalendarTooShort):
        LARKRISE.is_school_day(date(2025, 7, 1))
    with pytest.raises(CalendarTooShort):
        LARKRISE.next_term(date(2026, 7, 10))


def test_without_a_calendar_there_are_working_days_and_no_school_days() -> None:
    england = Calendars().of("8209901")

    assert england.name == ENGLAND
    assert england.add(date(2025, 10, 3), 20, DayKind.WORKING_DAY) == date(2025, 10, 31)
    with pytest.raises(CalendarTooShort):
        england.add(date(2025, 10, 3), 1, DayKind.SCHOOL_DAY)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        pytest.param(("8209901",), "8209901", id="its-own"),
        pytest.param(("8209902",), "820", id="its-authority's"),
        pytest.param(("9991234",), ENGLAND, id="of-another-authority"),
        pytest.param(("8204001", "8209901"), "8209901", id="renumbered"),
        pytest.param((), ENGLAND, id="not-known"),
    ],
)
def test_a_school_counts_by_its_own_calendar_or_else_its_authoritys(numbers: tuple[str, ...], name: str) -> None:
    assert CALENDARS.of(*numbers).name == name


@pytest.mark.parametrize(
    ("year", "days"),
    [  # as published by the government
        (2022, "01-03 04-15 04-18 05-02 06-02 06-03 08-29 09-19 12-26 12-27"),
        (2023, "01-02 04-07 04-10 05-01 05-08 05-29 08-28 12-25 12-26"),
        (2025, "01-01 04-18 04-21 05-05 05-26 08-25 12-25 12-26"),
        (2026, "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28"),
        (2027, "01-01 03-26 03-29 05-03 05-31 08-30 12-27 12-28"),
    ],
)
def test_weekdays_off_in_england_are_those_that_were_published(year: int, days: str) -> None:
    on_weekdays = sorted(day for day in bank_holidays_of_england(year) if day.weekday() < 5)

    assert " ".join(f"{day:%m-%d}" for day in on_weekdays) == days


def test_a_bank_holiday_that_was_proclaimed_late_counts_for_every_school() -> None:
    england = b'title = "England"\nbank_holidays = [2026-06-15]\n'
    calendars = parse_calendars({"820": AUTHORITY, "8209901": SCHOOL, ENGLAND: england})

    assert not calendars.england.is_working_day(date(2026, 6, 15))
    assert not calendars.of("8209901").is_school_day(date(2026, 6, 15))
    assert LARKRISE.is_school_day(date(2026, 6, 15))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(b"title = ", "not a TOML file", id="syntax"),
        pytest.param(b'title = "a"\nholydays = []', "no such key", id="unknown-key"),
        pytest.param(b"inset = []", "title", id="no-title"),
        pytest.param(SCHOOL, "no such calendar", id="follows-nobody"),
        pytest.param(AUTHORITY.replace(b'"SPR"', b'"XYZ"'), "terms.1.term", id="unknown-term"),
        pytest.param(AUTHORITY.replace(b'"SPR"', b'"SUM"'), "given twice", id="term-twice"),
        pytest.param(AUTHORITY[: AUTHORITY.rindex(b"[[terms]]")], "AUT, SPR: give", id="year-not-whole"),
        pytest.param(AUTHORITY.replace(b"2026-01-05", b"2025-12-10"), "before the one", id="overlap"),
        pytest.param(AUTHORITY.replace(b"ends = 2025-12-19", b"ends = 2025-08-19"), "ends before", id="backwards"),
        pytest.param(
            AUTHORITY.replace(b"2025-10-27", b"2025-08-27"), "half_term is not within", id="half-term-outside"
        ),
        pytest.param(
            AUTHORITY + AUTHORITY.replace(b"2026-", b"2028-").replace(b"2025-", b"2027-").split(b"\n\n", 1)[1],
            "from 2026 has the terms none",
            id="a-year-missing",
        ),
    ],
)
def test_a_calendar_file_that_would_miscount_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refusal:
        parse_calendar(text, "8209901")

    assert "8209901" in str(refusal.value)


def test_a_calendar_follows_one_that_has_terms_of_its_own() -> None:
    with pytest.raises(ConfigurationError, match="follow '820' itself"):
        parse_calendar(b'title = "b"\nfollows = "a"', "b", {"a": SCHOOL, "820": AUTHORITY})


def test_calendars_are_named_as_their_files(tmp_path: Path) -> None:
    (tmp_path / "820.toml").write_bytes(AUTHORITY)
    (tmp_path / "8209901.toml").write_bytes(SCHOOL)

    assert load_calendars(tmp_path) == CALENDARS
    assert load_calendars(tmp_path / "none") == Calendars()


@pytest.mark.parametrize(
    ("day", "year"), [(date(2025, 7, 31), 2024), (date(2025, 8, 1), 2025), (date(2026, 3, 1), 2025)]
)
def test_an_academic_year_begins_in_august(day: date, year: int) -> None:
    assert academic_year(day) == year


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        pytest.param(datetime(2025, 7, 1, 23, 30, tzinfo=UTC), date(2025, 7, 2), id="summer"),
        pytest.param(datetime(2025, 12, 1, 23, 30, tzinfo=UTC), date(2025, 12, 1), id="winter"),
    ],
)
def test_days_are_local_days_in_england(moment: datetime, day: date) -> None:
    assert local_date(moment) == day


def test_a_moment_without_its_time_zone_is_no_day() -> None:
    with pytest.raises(ValueError, match="time zone"):
        local_date(datetime(2025, 7, 1, 12))  # noqa: DTZ001 - what is refused
