"""The page of data quality: what is wrong at which school, worst first, and harmless whatever a row says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from broker.console import QualityReport, quality_page
from tests.unit.console.reading import Page
from tests.unit.console.samples import HOSTILE, report, row


def test_the_summary_counts_by_school_and_severity() -> None:
    page = Page(quality_page(report()))

    assert page.rows("What is wrong, by school") == [
        ["Larkrise Primary School", "1", "1", "0"],
        ["Thornwick Academy", "0", "1", "1"],
        ["All schools", "1", "2", "1"],
    ]


def test_a_schools_rules_come_worst_first() -> None:
    page = Page(quality_page(report()))

    assert page.rows("By rule: Larkrise Primary School") == [
        ["Missing", "1", "0", "0"],
        ["Unknown code", "0", "1", "0"],
    ]


def test_a_school_sees_who_what_where_and_since_when_worst_first() -> None:
    page = Page(quality_page(report()))
    first, second = page.rows("What to put right: Larkrise Primary School")

    assert first[:3] == ["004712", "LearnerPersonal PersonalInformation/Name/FamilyName", "Refused Missing"]
    assert second[2:] == [
        "Warning Unknown code",
        "Choose a code of the list in the pupil's record.",
        "7 September 2026 last seen 14 September 2026",
    ]


def test_what_is_wrong_with_a_school_itself_names_no_pupil() -> None:
    page = Page(quality_page(report()))
    first, *_ = page.rows("What to put right: Thornwick Academy")

    assert first[:2] == ["No one pupil", "SchoolInfo the object as a whole"]


def test_the_chart_has_its_numbers_in_a_table() -> None:
    page = Page(quality_page(report()))
    table = page.rows("Faults open at the end of each day, refused and warned of")

    assert table[0] == ["7 September 2026", "0", "40"]
    assert len(table) == 8
    assert page.one("//*[local-name() = 'svg'][@role = 'img']/@aria-labelledby") == "chart-title chart-text"
    assert {"chart-title", "chart-text"} <= set(page.ids)


def test_links_lead_to_places_in_the_page() -> None:
    page = Page(quality_page(report()))

    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_hostile_text_stays_text() -> None:
    hostile = row(HOSTILE, agent=HOSTILE, object_type=HOSTILE, rule=HOSTILE, path=HOSTILE, local_id=HOSTILE)
    page = Page(quality_page(replace(report(), zone=HOSTILE, rows=(replace(hostile, what_to_do=HOSTILE),))))

    assert HOSTILE in page.one("//h1")
    assert HOSTILE in page.rows(f"What to put right: {HOSTILE}")[0]
    assert page.is_harmless


def test_the_order_of_rows_and_days_does_not_matter() -> None:
    one = report()
    other = replace(one, rows=one.rows[::-1], trend=one.trend[::-1])

    assert quality_page(one) == quality_page(other)


def test_the_time_is_told_in_utc() -> None:
    summer = timezone(timedelta(hours=1))
    page = quality_page(replace(report(), made=datetime(2026, 9, 16, 0, 30, tzinfo=summer)))

    assert "15 September 2026, 23:30 UTC" in page


def test_an_empty_report_says_that_nothing_is_wrong() -> None:
    page = quality_page(QualityReport("Quarrington", datetime(2026, 9, 16, tzinfo=UTC), (), ()))

    assert "Nothing is wrong" in page
    assert "no days to show" in page


def test_the_page_needs_no_other_file() -> None:
    text = quality_page(report())
    page = Page(text)

    assert all(link.startswith("#") for link in page.links)
    assert "url(" not in text
    assert "style-src 'sha256-" in page.one("//meta[@http-equiv='Content-Security-Policy']/@content")
