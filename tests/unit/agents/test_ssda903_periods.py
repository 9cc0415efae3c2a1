"""Periods of care row by row: what is used, what is reported under which rule, and what is not told for doubt."""

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.connectors.ssda903.codes import collection_year
from agents.connectors.ssda903.records import area_of
from agents.connectors.ssda903.tables import parse_day, parse_part_day
from tests.unit.agents.ssda903_files import CHILD, EPISODES, Return, episode, write

MOVE = "01/09/2025"


def rows(*episodes: str) -> str:
    return "\n".join(episodes)


@pytest.mark.parametrize(
    ("episodes", "rule", "severity"),
    [
        (rows(episode("01/08/2025", "L")), "no-start", "refuse"),
        (rows(episode("01/08/2025", "S", MOVE, "X1")), "no-next", "refuse"),
        (rows(episode("01/08/2025", "S", MOVE)), "no-reason", "refuse"),
        (rows(episode("01/08/2025", "S", "01/08/2025", "E4A")), "end-before-start", "refuse"),
        (rows(episode("01/08/1985", "S", MOVE, "E4A")), "too-early", "refuse"),
        (rows(episode("01/11/2025", "S")), "after-as-at", "warn"),
        (rows(episode("31/02/2025", "S")), "date", "refuse"),
        (rows(episode("", "S")), "missing", "refuse"),
        (rows(episode("01/08/2025", "S", legal="C9")), "code", "refuse"),
        (rows(episode("01/08/2025", "Q")), "code", "refuse"),
        (rows(episode("01/08/2025", "S", "soon", "E4A")), "date", "refuse"),
        (rows(episode("01/08/2025", "S", MOVE, "E99")), "no-reason", "refuse"),
    ],
    ids=[
        "began-earlier", "goes-on-to-nothing", "no-rec", "no-day-long", "before-1991", "later", "no-such-day", "no-day",
        "legal", "reason", "end", "rec",
    ],
)  # fmt: skip
def test_what_cannot_be_told_for_sure_is_reported_and_not_told(
    tmp_path: Path, episodes: str, rule: str, severity: str
) -> None:
    read = Return(write(tmp_path, episodes))

    assert read.records == []
    assert (rule, severity) in {(p.rule, p.severity) for p in read.problems if p.position == "episodes.csv row 2"}
    assert all(count == known for count, known in read.sums())


@pytest.mark.parametrize(
    ("episodes", "rule", "row"),
    [
        (rows(episode("01/08/2025", "S", "", "E4A")), "open-with-reason", 2),
        (rows(episode("01/08/2025", "S", "01/11/2025", "E4A")), "after-as-at", 2),
        (rows(episode("01/08/2025", "S", MOVE), episode(MOVE, "P", place="K2")), "no-reason", 2),
        (rows(episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "S", place="K2")), "start-in-care", 3),
        (rows(episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "L")), "new-episode", 3),
        (rows(episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "P", legal="C1", place="K2")), "new-episode", 3),
        (rows(episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "L", legal="C1", place="K2")), "new-episode", 3),
        (rows(episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "P")), "new-episode", 3),
        (rows(episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "P", place="K2", need="N4")), "need", 3),
        (rows(episode("01/08/2025", "S", place="T0", provider="")), "temporary-first", 2),
        (rows(episode("01/08/2025", "S", place="P1")), "provider", 2),
        (rows(episode("01/08/2025", "S", provider="PR0")), "provider", 2),
        (rows(episode("01/08/2025", "S", place="X9")), "code", 2),
        (rows(episode("01/08/2025", "S", place="")), "no-placement", 2),
        (rows(episode("01/08/2025", "S", place="H5")), "code-year", 2),
        (rows(episode("01/08/2025", "S", MOVE, "X1", legal="L1"), episode(MOVE, "L")), "legal-status", 2),
        (rows(episode("01/08/2020", "S", legal="J1")), "legal-status", 2),
        (rows(episode("01/08/2025", "S", legal="D1")), "legal-status", 2),
        (rows(episode("01/08/2025", "S", MOVE, "X1", legal="V3"), episode(MOVE, "L")), "short-breaks", 3),
    ],
    ids=[
        "rec-without-dec", "ends-later", "rec-unknown", "s-in-care", "l-without-change", "p-with-legal-change",
        "l-with-move", "p-without-move", "need", "temporary", "parents", "parents-provider", "unknown-place",
        "no-place", "last-years-place", "police-protection", "remand-at-seven", "freeing", "breaks-then-care",
    ],
)  # fmt: skip
def test_what_is_odd_is_reported_and_the_child_is_looked_after(
    tmp_path: Path, episodes: str, rule: str, row: int
) -> None:
    read = Return(write(tmp_path, episodes))

    assert (read.one()["Current"], read.one()["CareStatus"]) == ("Yes", "LA")
    assert (f"episodes.csv row {row}", rule) in read.rules
    assert {problem.severity for problem in read.problems} == {"warn"}
    assert all(count == known for count, known in read.sums())


@pytest.mark.parametrize(
    ("second", "rule"),
    [
        (episode(MOVE, "P", legal="??"), "code"),
        (episode(MOVE, "P", "??"), "date"),
        (episode("??", "P"), "date"),
        (episode("15/08/2025", "P"), "overlap"),
        (episode("01/08/2025", "P"), "same-start"),
        (episode("03/09/2025", "P"), "no-start"),
    ],
)
def test_of_a_period_with_a_wrong_episode_in_or_after_it_nothing_is_told(
    tmp_path: Path, second: str, rule: str
) -> None:
    read = Return(write(tmp_path, rows(episode("01/08/2025", "S", MOVE, "X1"), second)))

    assert read.records == []
    assert ("episodes.csv row 3", rule) in read.rules


def test_that_care_has_ended_is_not_told_when_a_later_episode_cannot_be_used(tmp_path: Path) -> None:
    ended = episode("01/02/2024", "S", "01/05/2024", "E4A")
    read = Return(write(tmp_path, rows(ended, episode("01/09/2025", "S", legal="??"))))

    assert read.records == []
    assert ("episodes.csv row 2", "doubtful") in read.rules


def test_a_wrong_episode_of_long_ago_does_not_stand_in_the_way_of_care_that_began_after_it(tmp_path: Path) -> None:
    old = episode("01/02/2020", "S", "01/05/2020", "E4A", legal="??")
    read = Return(write(tmp_path, rows(old, episode("01/09/2025", "S"))))

    assert read.one()["CareStartDate"] == "2025-09-01"


def test_an_episode_left_open_when_the_next_began_is_refused(tmp_path: Path) -> None:
    read = Return(write(tmp_path, rows(episode("01/08/2025", "S"), episode("01/09/2025", "S"))))

    assert read.one()["CareStartDate"] == "2025-09-01"
    assert read.rules == [("episodes.csv row 2", "not-closed")]


def test_care_is_not_told_of_after_the_eighteenth_birthday(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/08/2020", "S"), CHILD.replace("03/02/2013", "06/10/2007"))

    assert ("episodes.csv row 2", "adult") in Return(path).rules
    assert Return(path, as_at=date(2025, 10, 5)).one()["Current"] == "Yes"


@pytest.mark.parametrize("reason", ["E11", "E12", "E41", "E43", "E44", "E45", "E46", "E47", "E48"])
def test_adoption_guardianship_and_arrangements_orders_leave_a_child_previously_looked_after(
    tmp_path: Path, reason: str
) -> None:
    fields = Return(write(tmp_path, episode("01/08/2017", "S", "01/02/2018", reason)), year=2018).one()

    assert (fields["Current"], fields["CareStatus"]) == ("No", "PL")
    assert ("Adopted" in fields) == (reason in ("E11", "E12"))


@pytest.mark.parametrize(
    "reason", ["E13", "E14", "E15", "E16", "E17", "E2", "E4A", "E4B", "E5", "E6", "E7", "E8", "E9"]
)
def test_any_other_end_is_the_end_of_care(tmp_path: Path, reason: str) -> None:
    fields = Return(write(tmp_path, episode("01/08/2025", "S", "01/09/2025", reason))).one()

    assert (fields["Current"], fields["CareStatus"], fields["CareEndReason"]) == ("No", "CE", reason)


@pytest.mark.parametrize("legal", ["J1", "J2", "J3", "C1", "E1", "L1", "V2"])
def test_remand_and_every_order_are_care(tmp_path: Path, legal: str) -> None:
    fields = Return(write(tmp_path, episode("05/10/2025", "S", legal=legal), CHILD.replace("2013", "2010"))).one()

    assert (fields["Current"], fields["CareStatus"]) == ("Yes", "LA")


@pytest.mark.parametrize("legal", ["V3", "V4"])
def test_short_breaks_are_told_apart_from_care(tmp_path: Path, legal: str) -> None:
    fields = Return(write(tmp_path, episode("05/10/2025", "S", legal=legal))).one()

    assert (fields["Current"], fields["CareStatus"]) == ("No", "SB")


@pytest.mark.parametrize(
    ("place", "kind"),
    [("U1", "FT"), ("U6", "FT"), ("K1", "CH"), ("K2", "CH"), ("K3", "OT"), ("P1", "WP"), ("P3", "OT"), ("A3", "PA"),
     ("A6", "PA"), ("R1", "OT"), ("S1", "OT"), ("Z11", "OT")],
)  # fmt: skip
def test_the_kind_of_care_is_made_from_the_placement(tmp_path: Path, place: str, kind: str) -> None:
    assert Return(write(tmp_path, episode("01/09/2025", "S", place=place))).one()["CareType"] == kind


@pytest.mark.parametrize(
    ("place", "year", "valid"),
    [("K3", 2024, False), ("K3", 2025, True), ("H5", 2024, True), ("H5", 2025, False), ("P2", 2025, False),
     ("Z1", 2025, True), ("Z1", 2026, False), ("Z14", 2025, False), ("Z14", 2026, True)],
)  # fmt: skip
def test_a_code_has_to_be_one_of_the_collection_year(tmp_path: Path, place: str, year: int, valid: bool) -> None:
    read = Return(write(tmp_path, episode("01/09/2021", "S", place=place, provider="")), year=year)

    assert (("episodes.csv row 2", "code-year") in read.rules) is not valid
    assert read.placements()[0]["Type"] == place


def test_an_episode_that_ended_in_an_earlier_year_may_have_a_code_of_that_year(tmp_path: Path) -> None:
    left = episode("01/05/2022", "S", "01/09/2023", "X1", place="H5", provider="PR4")

    assert Return(write(tmp_path, rows(left, episode("01/09/2023", "P", place="K2")))).rules == []


def test_sex_is_m_or_f_whatever_the_year_writes(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/09/2021", "S"), CHILD.replace(",F,", ",2,"))

    assert Return(path, year=2024).one()["Sex"] == "F"
    assert Return(path, year=2024).rules == []
    assert Return(path, year=2025).rules == [("header.csv row 2", "code-year")]


def test_a_file_that_the_collection_year_does_not_have_is_reported(tmp_path: Path) -> None:
    text = "CHILD,DOB,SW_ID,SW_DECOM,SW_DEC,SW_REASON\nMADEUP21,03/02/2013,SW99000001,01/09/2021,,\n"
    path = write(tmp_path, episode("01/09/2021", "S"), CHILD.replace(",F,", ",2,"), workers=text)

    assert Return(path, year=2023).rules == [("workers.csv row 1", "table-year")]
    assert Return(path, year=2024).rules == []


def test_a_child_twice_in_the_header_with_differences_is_nobody(tmp_path: Path) -> None:
    read = Return(write(tmp_path, episode("01/09/2025", "S"), CHILD + "\n" + CHILD.replace("2013", "2014")))

    assert read.records == []
    assert set(read.rules) == {
        ("header.csv row 2", "child-twice"),
        ("header.csv row 3", "child-twice"),
        ("episodes.csv row 2", "no-header"),
    }


def test_a_row_whose_birth_date_is_not_the_childs_is_not_used(tmp_path: Path) -> None:
    reviews = "CHILD,DOB,REVIEW,REVIEW_CODE\nMADEUP21,04/02/2013,01/10/2025,PN1\nMADEUP21,03/02/2013,01/10/2024,PN1\n"
    read = Return(write(tmp_path, episode("01/09/2025", "S"), reviews=reviews))

    assert read.rules == [("reviews.csv row 2", "birth-date"), ("reviews.csv row 3", "outside-care")]
    assert "Reviews" not in read.records[0].groups


def test_dates_may_be_iso_dates_and_have_midnight_with_them(tmp_path: Path) -> None:
    read = Return(write(tmp_path, episode("2025-08-01", "S", "2025-09-01 00:00:00", "E4A")))

    assert (read.one()["CareStartDate"], read.one()["CareEndDate"]) == ("2025-08-01", "2025-09-01")


@pytest.mark.parametrize(
    "text", ["1/9/2025", "01/09/25", "2025-13-01", "29/02/2025", "39/19/2020", "\u0660\u0661/09/2025", ""]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_day(text) is None


@pytest.mark.parametrize(
    ("text", "known"),
    [("ZZ/05/2016", "2016-05"), ("ZZ/ZZ/2016", "2016"), ("ZZ/ZZ/ZZZZ", ""), ("07/05/2016", "2016-05-07"),
     ("ZZ/13/2016", None), ("07/ZZ/2016", None), ("ZZ/05/ZZZZ", None)],
)  # fmt: skip
def test_of_a_date_that_is_known_in_part_that_part_is_kept(text: str, known: str | None) -> None:
    assert parse_part_day(text) == known


@pytest.mark.parametrize(
    ("postcode", "area"),
    [("QZ7 1AB", "821"), ("qz71ab", "821"), ("QZ7 2CD", "822"), ("QZ7 2CE", "823"), ("QZ71 1AB", ""), ("QZ", "")],
)
def test_the_area_of_a_postcode_is_by_its_longest_beginning_that_is_known(postcode: str, area: str) -> None:
    assert area_of(postcode, {"QZ7": "821", "QZ7 2": "822", "QZ7 2CE": "823"}) == area


def test_without_areas_nothing_is_said_of_where_a_placement_is(tmp_path: Path) -> None:
    (placement,) = Return(write(tmp_path, episode("01/09/2025", "S"))).placements()

    assert placement.keys() == {"StartDate", "Type", "ProviderType"}


def test_a_collection_year_runs_from_april_to_march() -> None:
    assert [collection_year(day) for day in (date(2025, 3, 31), date(2025, 4, 1), date(2026, 3, 31))] == [
        2025,
        2026,
        2026,
    ]


def test_rows_of_a_child_may_be_anywhere(tmp_path: Path) -> None:
    other = CHILD.replace("21,", "22,", 1).replace("Q821990112001", "UN5")
    mine = [episode("01/08/2025", "S", MOVE, "X1"), episode(MOVE, "P", place="K2")]
    theirs = episode("01/07/2025", "S", child="MADEUP22")
    path = write(tmp_path, rows(mine[1], theirs, mine[0]), f"{CHILD}\n{other}")

    assert (Return(path).one()["CareStartDate"], Return(path).one("MADEUP22")["CareStartDate"]) == (
        "2025-08-01",
        "2025-07-01",
    )
    assert path.read_text().startswith(EPISODES)


_DAYS = ["", "01/01/2025", "01/02/2025", "01/03/2025", "01/04/2025", "01/11/2025", "32/01/2025"]
_EPISODES = st.builds(
    episode,
    st.sampled_from(_DAYS),
    st.sampled_from("SLPTBUQ"),
    st.sampled_from(_DAYS),
    st.sampled_from(["", "X1", "X1", "E3", "E11", "E4A", "E99"]),
    child=st.sampled_from(["MADEUP21", "MADEUP22", ""]),
    legal=st.sampled_from(["C2", "V2", "V4", "J1", "??"]),
    place=st.sampled_from(["U6", "K2", "T0", "", "??"]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_EPISODES, max_size=8))
def test_whatever_the_episodes_no_row_is_lost_and_no_day_is_in_two_periods(tmp_path: Path, episodes: list[str]) -> None:
    read = Return(write(tmp_path, rows(*episodes)))

    assert all(count == known for count, known in read.sums())
    told = sorted((fields["CareStartDate"], fields.get("CareEndDate", "9999")) for fields in read.of("MADEUP21"))
    assert all(before[1] <= after[0] for before, after in pairwise(told))
    for problem in read.problems:
        assert problem.severity == "warn" or problem.position.startswith(("episodes.csv row", "header.csv row"))
