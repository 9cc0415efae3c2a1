"""`gone`: a record says that its object is no longer there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mappings import (
    GoneObject,
    Inverse,
    InwardMapping,
    MappingError,
    Record,
    RefIds,
    Translation,
    invert,
    load,
    open_document,
)

Inward = Callable[[str], InwardMapping]
LEARNER = """
object = "LearnerPersonal"
key = ["UPN"]
when = { Kind = "pupil" }
gone = { Status = ["Leaver", "tobedeleted"], Note = false }
[fields]
"UPN" = "UPN"
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", required = true }
"PersonalInformation/Name[@Type='C']/GivenName" = { const = "Orla" }
"""
UPN = "X820990119007"


def _row(**fields: str) -> Record:
    return Record("row 2", {"Kind": "pupil", "UPN": UPN, "Surname": "Fenn", **fields})


def _came(translation: Translation) -> tuple[int, int]:
    return len(translation.objects), len(translation.gone)


@pytest.mark.parametrize(
    ("fields", "objects", "gone"),
    [
        ({"Status": "Current"}, 1, 0),
        ({}, 1, 0),
        ({"Status": " LEAVER"}, 0, 1),
        ({"Status": "Leaver", "Note": "stays"}, 1, 0),
        ({"Status": "Leaver", "Kind": "adult"}, 0, 0),
    ],
    ids=["another-status", "no-status", "gone", "not-all-tests-hold", "when-does-not-hold"],
)
def test_a_record_is_gone_when_it_is_meant_and_all_tests_hold(
    inward: Inward, ref_ids: RefIds, fields: dict[str, str], objects: int, gone: int
) -> None:
    assert _came(inward(LEARNER).translate(_row(**fields), ref_ids)) == (objects, gone)


def test_what_is_gone_is_told_by_its_key_alone_and_is_what_the_record_had_made(inward: Inward, ref_ids: RefIds) -> None:
    mapping = inward(LEARNER)
    (made,) = mapping.translate(_row(), ref_ids).objects

    translation = mapping.translate(Record("row 2", {"Kind": "pupil", "UPN": UPN, "Status": "Leaver"}), ref_ids)

    assert translation == Translation((), (), (GoneObject("LearnerPersonal", made.ref_id),))


def test_a_record_without_its_key_is_told_to_delete_nothing(inward: Inward, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(Record("row 2", {"Kind": "pupil", "Status": "Leaver"}), ref_ids)

    assert _came(translation) == (0, 0)
    assert [(p.rule, p.severity, p.message) for p in translation.problems] == [
        ("key", "warn", "not deleted: key cannot be told from others: fill UPN in the source")
    ]


def test_of_the_members_of_one_record_a_live_one_counts(inward: Inward, ref_ids: RefIds) -> None:
    mapping = inward(LEARNER.replace("when", 'each = "Pupil"\nwhen'))
    members = [{"UPN": UPN, "Status": "Leaver"}, {"UPN": UPN}, {"UPN": "B820990119008", "Status": "Leaver"}]
    record = Record("file", {}, {"Pupil": tuple(_row(**fields) for fields in members)})

    translation = mapping.translate(record, ref_ids)

    assert _came(translation) == (1, 1)
    assert translation.gone[0].ref_id != translation.objects[0].ref_id


@pytest.mark.parametrize(
    ("when", "gone", "words"),
    [
        ("{ Status = ['C', 'M'] }", "{ Status = 'L' }", "no record is gone by 'Status'"),
        ("{ Status = false }", "{ Status = 'L' }", "no record is gone by 'Status'"),
        ("{ Status = true }", "{ Status = false }", "no record is gone by 'Status'"),
        ("{ Status = 'C' }", "{}", "an empty 'gone' says nothing"),
        ("{ Status = 'C' }", "{ Status = 7 }", "must be true"),
    ],
)
def test_a_gone_that_can_mean_nothing_is_reported(inward: Inward, when: str, gone: str, words: str) -> None:
    text = f'object = "SchoolInfo"\nkey = ["A"]\nwhen = {when}\ngone = {gone}\n[fields]\n"SchoolName" = "B"\n'

    with pytest.raises(MappingError, match=words):
        inward(text)


@pytest.mark.parametrize("gone", ["{ not = ['C'] }", "true", "['C', 'L']"])
def test_a_gone_that_may_hold_together_with_when_is_not_reported(inward: Inward, gone: str) -> None:
    text = f'base = "csv/learner"\nwhen = {{ Status = ["C", "L"] }}\ngone = {{ Status = {gone} }}\n'

    lines = inward(text).lines

    assert [(line.sources, line.line) for line in lines if line.kind == "gone"] == [(("Status",), 3)]


def test_a_mapping_with_gone_is_turned_round_into_records_that_are_not_gone(tmp_path: Path, ref_ids: RefIds) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(LEARNER.replace(", Note = false", "").replace('\nwhen = { Kind = "pupil" }', ""))
    mapping, document = load(file), open_document(file)
    assert isinstance(mapping, InwardMapping)
    (made,) = mapping.translate(_row(), ref_ids).objects

    turned = invert(mapping, document)

    assert isinstance(turned, Inverse)
    assert turned.beside == ("Status",)
    undone = turned.record(made.element)
    assert (undone.record.fields, undone.problems) == ({"UPN": UPN, "Surname": "Fenn"}, ())
    assert turned.record(made.element, {"Status": "Leaver"}).problems[0].severity == "refuse"
