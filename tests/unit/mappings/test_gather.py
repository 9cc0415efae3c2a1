"""Adjacent rows of one thing become one record, whatever other mappings read from the same source."""

from collections.abc import Callable, Iterable
from itertools import chain

import pytest

from mappings import Gathering, InwardMapping, Record, RefIds
from mappings.selection import MAX_ROWS

Make = Callable[[str], InwardMapping]
NEEDS = """
object = "LearnerSpecialNeeds"
rows = ["UPN", "Start"]
key = ["UPN", "Start"]
[fields]
"@LearnerPersonalRefId" = { ref = "LearnerPersonal", key = ["UPN"] }
"@SchoolInfoRefId" = { ref = "SchoolInfo", key = ["Estab"] }
"Provision" = "Status"
"StartDate" = "Start"
[lists."SENTypeList/SENType"]
each = "rows"
fields = { "." = "Need", "@Ranking" = "#" }
"""
EACH_ROW = """
object = "LearnerPersonal"
key = ["UPN"]
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = "UPN"
"""


def _rows(*rows: tuple[str, str]) -> list[Record]:
    """Return rows from UPN (none where it is empty) and need."""
    fixed = {"Estab": "9901", "Status": "E", "Start": "2026-09-01"}
    fields = [{**fixed, **({"UPN": upn} if upn else {}), "Need": need} for upn, need in rows]
    return [Record(f"row {number}", values) for number, values in enumerate(fields, start=3)]


def _gathered(mappings: list[InwardMapping], records: Iterable[Record]) -> list[tuple[InwardMapping, Record]]:
    gathering = Gathering(mappings)
    return [*chain.from_iterable(gathering.add(record) for record in records), *gathering.rest()]


def test_rows_that_agree_become_one_record_with_all_of_them(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(NEEDS)

    found = _gathered([mapping], _rows(("A1", "MLD"), ("A1", "SLCN"), ("A1", "ASD"), ("B2", "MLD")))

    assert [(record.position, len(record.groups["rows"])) for _, record in found] == [("rows 3-5", 3), ("row 6", 1)]
    (made,) = mapping.translate(found[0][1], ref_ids).objects
    assert [(e.text, e.get("Ranking")) for e in made.element.iter("{*}SENType")] == [
        ("MLD", "1"),
        ("SLCN", "2"),
        ("ASD", "3"),
    ]


@pytest.mark.parametrize(
    ("upns", "positions"),
    [
        pytest.param(["A", "B", "A"], ["row 3", "row 4", "row 5"], id="not adjacent"),
        pytest.param(["A", "", "", "B"], ["row 3", "row 4", "row 5", "row 6"], id="without the field each is alone"),
        pytest.param(["A", "A", "", "A"], ["rows 3-4", "row 5", "row 6"], id="one without between"),
        pytest.param([], [], id="none"),
    ],
)
def test_only_adjacent_rows_that_have_the_fields_are_one(inward: Make, upns: list[str], positions: list[str]) -> None:
    found = _gathered([inward(NEEDS)], _rows(*((upn, "MLD") for upn in upns)))

    assert [record.position for _, record in found] == positions


def test_mappings_of_single_rows_get_each_row_at_once(inward: Make) -> None:
    single = inward(EACH_ROW)
    several = inward(NEEDS)
    gathering = Gathering([several, single])
    first, second = _rows(("A", "MLD"), ("A", "SLCN"))

    assert gathering.add(first) == [(single, first)]
    assert gathering.add(second) == [(single, second)]
    assert [(mapping, record.position) for mapping, record in gathering.rest()] == [(several, "rows 3-4")]
    assert gathering.rest() == []


def test_positions_that_are_not_rows_are_named_as_they_are(inward: Make) -> None:
    rows = [Record(f"pupils.csv, row {n}", {"UPN": "A", "Start": "2026-09-01"}) for n in (3, 4)]

    assert [r.position for _, r in _gathered([inward(NEEDS)], rows)] == ["pupils.csv, row 3 to pupils.csv, row 4"]


@pytest.mark.parametrize(("count", "made"), [(MAX_ROWS, 1), (MAX_ROWS + 50, 0)])
def test_too_many_rows_of_one_thing_are_refused_and_not_all_held(
    inward: Make, ref_ids: RefIds, count: int, made: int
) -> None:
    mapping = inward(NEEDS.partition("[lists")[0])
    row = _rows(("A", "MLD"))[0]

    ((_, record),) = _gathered([mapping], (row for _ in range(count)))
    translation = mapping.translate(record, ref_ids)

    assert len(record.groups["rows"]) <= MAX_ROWS + 1
    assert len(translation.objects) == made
    assert [(p.rule, p.severity, p.source) for p in translation.problems] == [
        ("too-many-rows", "refuse", "UPN, Start")
    ] * (1 - made)
