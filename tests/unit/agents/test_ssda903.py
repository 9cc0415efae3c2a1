"""A whole return of a made-up authority: who is looked after on which day, and that no row is lost."""

from datetime import date
from pathlib import Path

import pytest

import schemas
from agents.connectors.contract import SourceError, SourceProblem
from agents.connectors.ssda903 import Locate, Ssda903Options, Ssda903Source
from agents.connectors.ssda903.codes import CODES
from agents.connectors.ssda903.tables import TABLES
from mappings import Record
from tests.unit.agents.ssda903_files import AS_AT, CHILD, DATA, EPISODES, Return, by_upn, episode, write

AREAS = {"QZ7": "821", "QZ8": "820", "QZ9": "822"}
REF = "0123456789ABCDEF0123456789ABCDEF"


def whole(as_at: date = AS_AT, locate: Locate | None = None) -> Return:
    return Return(DATA / "2026" / "episodes.csv", locate, as_at=as_at, earlier=("../2025",), areas=AREAS)


@pytest.mark.parametrize(
    ("child", "day", "current", "status"),
    [
        ("MADEUP01", date(2025, 10, 6), "Yes", "LA"),
        ("MADEUP01", date(2025, 10, 3), "Yes", "LA"),
        ("MADEUP01", date(2024, 3, 12), "Yes", "LA"),
        ("MADEUP02", date(2025, 6, 9), "Yes", "LA"),
        ("MADEUP03", date(2025, 9, 1), "Yes", "LA"),
        ("MADEUP04", date(2025, 6, 29), "Yes", "LA"),
        ("MADEUP04", date(2025, 6, 30), "No", "PL"),
        ("MADEUP05", date(2025, 10, 6), "Unknown", "CE"),
        ("MADEUP06", date(2025, 10, 6), "No", "SB"),
        ("MADEUP07", date(2025, 10, 6), "No", "PL"),
        ("MADEUP09", date(2025, 10, 6), "Yes", "LA"),
    ],
    ids=[
        "open", "day-of-a-move", "first-day", "emergency", "asylum", "last-day-but-one", "guardianship-from-its-day",
        "another-authority", "short-breaks", "adopted", "since-last-year",
    ],
)  # fmt: skip
def test_a_child_is_looked_after_from_the_first_day_and_no_longer_on_the_last(
    child: str, day: date, current: str, status: str
) -> None:
    fields = whole(day).one(child)

    assert (fields["Current"], fields["CareStatus"]) == (current, status)


def test_a_child_is_not_told_of_before_care_begins() -> None:
    assert whole(date(2024, 3, 11)).of("MADEUP01") == []


@pytest.mark.parametrize(
    ("day", "placements"),
    [
        (date(2025, 10, 2), [("2024-03-12", None, "No")]),
        (date(2025, 10, 3), [("2024-03-12", "2025-10-03", "No"), ("2025-10-03", None, "Yes")]),
    ],
    ids=["day-before", "day-of-the-move"],
)
def test_on_the_day_of_a_move_the_new_placement_counts_alone(
    day: date, placements: list[tuple[str, str | None, str]]
) -> None:
    found = whole(day).placements("MADEUP01")

    assert [(one["StartDate"], one.get("EndDate"), one["OutOfAuthority"]) for one in found] == placements


def test_legal_changes_are_one_placement_and_the_reason_of_a_move_is_on_the_one_that_ended() -> None:
    first, second = whole().placements("MADEUP01")

    assert first == {
        "StartDate": "2024-03-12",
        "EndDate": "2025-10-03",
        "Type": "U6",
        "ProviderType": "PR1",
        "PlacementLAId": "821",
        "OutOfAuthority": "No",
        "ChangeReason": "CARPL",
    }
    assert second == {
        "StartDate": "2025-10-03",
        "Type": "K2",
        "ProviderType": "PR4",
        "PlacementLAId": "820",
        "OutOfAuthority": "Yes",
    }


def test_a_period_begins_with_the_episode_that_has_s_and_keeps_the_latest_legal_status() -> None:
    fields = whole().one("MADEUP01")

    assert (fields["CareStartDate"], fields["LegalStatus"], fields["CategoryOfNeed"]) == ("2024-03-12", "C2", "N1")
    assert "CareEndDate" not in fields


@pytest.mark.parametrize(("child", "code"), [("MADEUP02", "UN1"), ("MADEUP03", "UN2")])
def test_a_code_for_no_upn_is_nobodys_number(child: str, code: str) -> None:
    fields = whole().one(child)

    assert fields["NoUPN"] == code
    assert "UPN" not in fields


def test_uasc_is_yes_by_the_uasc_file_no_for_others_and_not_said_without_one(tmp_path: Path) -> None:
    read = whole()

    assert (read.one("MADEUP03")["UASC"], read.one("MADEUP01")["UASC"]) == ("Yes", "No")
    assert "UASC" not in Return(write(tmp_path, episode("01/09/2025", "S"))).one()


def test_uasc_ends_on_its_day(tmp_path: Path) -> None:
    header = "CHILD,SEX,DOB,DUC\n"
    path = write(tmp_path, episode("01/09/2025", "S"), uasc=header + "MADEUP21,F,03/02/2013,06/10/2025\n")

    assert Return(path).one()["UASC"] == "No"
    assert Return(path, as_at=date(2025, 10, 5)).one()["UASC"] == "Yes"


def test_guardianship_ends_care_with_day_and_reason() -> None:
    fields = whole().one("MADEUP04")

    assert (fields["CareEndDate"], fields["CareEndReason"]) == ("2025-06-30", "E45")


def test_another_authority_that_takes_over_is_no_end_that_we_can_tell_and_is_reported() -> None:
    read = whole()

    assert read.one("MADEUP05")["ResponsibilityMoved"] == "Yes"
    assert ("episodes.csv row 10", "responsibility-moved") in read.rules


def test_who_comes_back_has_two_periods() -> None:
    first, second = whole().of("MADEUP08")

    assert (first["CareStatus"], first["CareEndReason"]) == ("CE", "E4A")
    assert (second["CareStatus"], second["LegalStatus"], second["CareStartDate"]) == ("LA", "J1", "2025-09-09")


def test_a_temporary_placement_is_listed_and_changes_no_kind_of_care() -> None:
    read = whole()

    assert [placement["Type"] for placement in read.placements("MADEUP11")] == ["K2", "T1", "K2"]
    assert whole(date(2025, 8, 3)).one("MADEUP11")["CareType"] == "CH"


def test_care_that_began_before_the_return_is_found_in_an_earlier_one_and_not_told_of_without() -> None:
    assert whole().one("MADEUP09")["CareStartDate"] == "2024-05-06"

    alone = Return(DATA / "2026" / "episodes.csv")

    assert alone.of("MADEUP09") == []
    assert ("episodes.csv row 16", "no-start") in alone.rules


def test_every_row_is_used_reported_or_said_again_later() -> None:
    read = whole()

    counts = {(c.file, c.table): (c.rows, c.used, c.reported, c.repeated) for c in read.source.counts}
    assert counts == {
        ("2025/episodes.csv", "Episodes"): (4, 1, 0, 3),
        ("ad1.csv", "AD1"): (1, 1, 0, 0),
        ("episodes.csv", "Episodes"): (18, 18, 0, 0),
        ("header.csv", "Header"): (11, 10, 1, 0),
        ("missing.csv", "Missing"): (1, 1, 0, 0),
        ("oc2.csv", "OC2"): (1, 1, 0, 0),
        ("oc3.csv", "OC3"): (1, 0, 1, 0),
        ("placed_for_adoption.csv", "PlacedAdoption"): (1, 1, 0, 0),
        ("previous_permanence.csv", "PrevPerm"): (2, 2, 0, 0),
        ("reviews.csv", "Reviews"): (3, 3, 0, 0),
        ("sw_episodes.csv", "SWEpisodes"): (2, 2, 0, 0),
        ("uasc.csv", "UASC"): (1, 1, 0, 0),
    }
    assert {rule for position, rule in read.rules if position in ("header.csv row 11", "oc3.csv row 2")} == {
        "no-episodes"
    }


def test_other_files_are_with_the_period_in_which_their_date_is() -> None:
    first, second = (record for record in whole().records if record.fields["CHILD"] == "MADEUP08")

    assert [dict(review.fields) for review in first.groups["Reviews"]] == [
        {"REVIEW": "2025-03-01", "REVIEW_CODE": "PN6"}
    ]
    assert [dict(found.fields) for found in second.groups["PrevPerm"]] == [
        {"PREV_PERM": "P2", "LA_PERM": "821", "DATE_PERM": "2016-05"}
    ]


def test_the_xml_form_says_the_same_as_the_csv_files() -> None:
    xml, files = Return(DATA / "return.xml", areas=AREAS), whole()

    for child in ("MADEUP01", "MADEUP03"):
        assert {**xml.one(child), "LegalStatus": ""} == {**files.one(child), "LegalStatus": ""}
        assert [p["StartDate"] for p in xml.placements(child)] == [p["StartDate"] for p in files.placements(child)]
    assert xml.one("MADEUP07")["Adopted"] == "Yes"
    assert all(rows == known for rows, known in xml.sums())
    assert xml.rules == [("return.xml child 4, HEADER 1, line 14", "no-episodes")] * 2


def test_every_file_of_the_return_gives_the_whole_return() -> None:
    for path in sorted((DATA / "2026").iterdir()):
        assert len(Return(path, earlier=("../2025",)).records) == 11


def test_a_return_is_read_once_whichever_of_its_files_comes_next_and_again_when_one_has_changed(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/09/2025", "S"))
    source = Ssda903Source(Ssda903Options(authority="821", as_at=AS_AT))
    first, *_ = source.read(path)
    assert isinstance(first, Record)

    (again,) = source.read(tmp_path / "header.csv")

    assert isinstance(again, SourceProblem)
    assert (again.rule, again.incomplete) == ("read-already", True)
    write(tmp_path, episode("01/09/2025", "S"), CHILD.replace("Q821990112001", "UN5"))
    assert any(isinstance(item, Record) for item in source.read(tmp_path / "header.csv"))


def test_the_refid_of_the_learner_is_the_zones_and_its_absence_is_reported() -> None:
    located = whole(locate=by_upn(Q821990112001=REF))

    assert located.one("MADEUP01")["LearnerPersonalRefId"] == REF
    assert "LearnerPersonalRefId" not in located.one("MADEUP02")
    (note,) = [i for i in located.items if isinstance(i, SourceProblem) and i.rule == "not-located"]
    assert "of 10 children, 9" in note.message


def test_a_upn_with_a_wrong_check_letter_names_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/09/2025", "S"), CHILD.replace("Q8219", "R8219"))
    read = Return(path, locate=by_upn(R821990112001=REF))

    assert "UPN" not in read.one()
    assert "LearnerPersonalRefId" not in read.one()
    assert read.rules == [("header.csv row 2", "upn")]


def test_a_uln_is_handed_on_when_the_case_system_adds_it(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/09/2025", "S"))
    (tmp_path / "header.csv").write_text(f"CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB,ULN\n{CHILD},1000000027\n")

    assert Return(path).one()["ULN"] == "1000000027"


def test_without_as_at_it_is_the_day_on_which_the_newest_file_was_written(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/09/2020", "S"))

    fields = Return(path, as_at=None).one()

    assert date.fromisoformat(fields["AsAtDate"]) == date.fromtimestamp(path.stat().st_mtime)  # noqa: DTZ012


def test_postcodes_stay_in_the_connector() -> None:
    for record in whole().records:
        assert not [value for value in record.fields.values() if "QZ" in value]
        assert not [
            v for group in record.groups.values() for member in group for v in member.fields.values() if "QZ" in v
        ]


def test_no_problem_tells_a_value() -> None:
    for item in Return(DATA / "2026" / "episodes.csv").items:
        assert "MADEUP" not in repr(item)
        assert "Q8219901" not in repr(item)


def test_codes_and_lists_are_those_of_the_schemas() -> None:
    for name, codes in CODES.items():
        assert set(codes) == set(schemas.codes(name).labels), name
    assert {c.codes for table in TABLES.values() for c in table.columns if c.codes} <= {*CODES, "CLAAccommodation"}


def test_files_are_known_by_their_columns_whatever_their_names_and_order(tmp_path: Path) -> None:
    path = write(tmp_path, episode("01/09/2025", "S"))
    headings = EPISODES.split(",")
    rows = [headings, episode("01/09/2025", "S").split(",")]
    path.write_text("\ufeff" + "\r\n".join(";".join(reversed(row)).lower() for row in rows) + "\r\n")
    path = path.rename(tmp_path / "export 7.csv")

    assert Return(path).one()["CareStartDate"] == "2025-09-01"


def test_an_earlier_return_that_is_not_there_is_an_error_and_not_a_guess(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="earlier return"):
        Return(write(tmp_path / "now", episode("01/09/2025", "L")), earlier=("../before",))
