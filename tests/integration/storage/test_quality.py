"""Faults of records: opened once, kept while they are there, closed when a message shows the record without them."""

from datetime import date, timedelta

import pytest
import sqlalchemy

from broker.storage import Batch, Flaw, FlawRow, JudgedRow, Store, quality, tables

MONDAY = date(2026, 9, 14)
KEY = "A" * 32
WHOLE = frozenset({""})
UPN = FlawRow("UPN", "upn-check-letter", "warn", "UPN has a check letter that does not fit: correct it.")
BIRTH = FlawRow("PersonalInformation/Demographics/BirthDate", "value", "refuse", "BirthDate is no date: correct it.")


def saw(*flaws: FlawRow, seen: frozenset[str] = WHOLE, key: str = KEY, source: str = "mis-8209901") -> JudgedRow:
    return JudgedRow(source, "LearnerPersonal", key, source[-7:], "7-1", seen, flaws)


def refused(*flaws: FlawRow) -> JudgedRow:
    return saw(*flaws)._replace(complete=False)


def judge(store: Store, *judged: JudgedRow, day: date = MONDAY) -> None:
    store.commit(Batch(judged=judged, day=day))


def listed(store: Store, since: date | None = None) -> dict[str, tuple[date, date, date | None]]:
    return {flaw.rule: (flaw.opened, flaw.seen, flaw.closed) for flaw in store.flaws(since=since)}


def test_a_fault_comes_back_as_it_was_found(store: Store) -> None:
    judge(store, saw(UPN))

    assert store.flaws() == [
        Flaw(
            source="mis-8209901",
            school="8209901",
            object_type="LearnerPersonal",
            key=KEY,
            local_id="7-1",
            path="UPN",
            rule="upn-check-letter",
            severity="warn",
            message=UPN.message,
            opened=MONDAY,
            seen=MONDAY,
            closed=None,
        )
    ]


def test_a_fault_found_again_stays_open_since_the_first_day(store: Store) -> None:
    judge(store, saw(UPN))
    judge(store, saw(UPN._replace(severity="refuse")), day=MONDAY + timedelta(1))

    assert listed(store) == {"upn-check-letter": (MONDAY, MONDAY + timedelta(1), None)}
    assert [flaw.severity for flaw in store.flaws()] == ["refuse"]


def test_what_one_rule_alone_looked_for_closes_no_fault_of_another(store: Store) -> None:
    care = FlawRow("InCare", "care-flag-agrees", "warn", "InCare differs from the records: ask which is right.")
    judge(store, saw(UPN, care))

    judge(store, saw()._replace(rule="care-flag-agrees"), day=MONDAY + timedelta(1))

    assert listed(store) == {"upn-check-letter": (MONDAY, MONDAY, None)}
    assert listed(store, since=MONDAY)["care-flag-agrees"] == (MONDAY, MONDAY, MONDAY + timedelta(1))


def test_a_whole_record_without_it_closes_a_fault(store: Store) -> None:
    judge(store, saw(UPN, BIRTH))
    judge(store, saw(BIRTH), day=MONDAY + timedelta(2))

    assert listed(store) == {"value": (MONDAY, MONDAY + timedelta(2), None)}
    assert listed(store, since=MONDAY)["upn-check-letter"] == (MONDAY, MONDAY, MONDAY + timedelta(2))
    assert "upn-check-letter" not in listed(store, since=MONDAY + timedelta(3))


def test_a_change_closes_faults_in_what_it_holds_only(store: Store) -> None:
    judge(store, saw(UPN, BIRTH))
    judge(store, saw(seen=frozenset({"@RefId", "UPN"})))

    assert set(listed(store)) == {"value"}


def test_a_record_that_is_refused_says_nothing_of_what_it_was_warned_of(store: Store) -> None:
    judge(store, saw(UPN))
    judge(store, refused(BIRTH))
    judge(store, refused(BIRTH._replace(rule="empty")))

    assert set(listed(store)) == {"upn-check-letter", "empty"}


def test_a_fault_that_comes_back_is_opened_anew(store: Store) -> None:
    judge(store, saw(UPN))
    judge(store, saw())
    judge(store, saw(UPN), day=MONDAY + timedelta(5))

    assert listed(store) == {"upn-check-letter": (MONDAY + timedelta(5), MONDAY + timedelta(5), None)}


def test_the_same_batch_again_changes_nothing(store: Store) -> None:
    batch = Batch(judged=(saw(UPN), saw(BIRTH), saw(UPN, key="B" * 32)), day=MONDAY)
    store.commit(batch)
    once = store.flaws(since=MONDAY)
    store.commit(batch)

    assert [flaw for flaw in store.flaws(since=MONDAY) if flaw.closed is None] == [
        flaw for flaw in once if flaw.closed is None
    ]
    assert len(once) == 2


def test_of_several_messages_about_a_record_in_one_batch_the_last_counts(store: Store) -> None:
    judge(store, saw(UPN, BIRTH), saw(BIRTH), saw(UPN, seen=frozenset({"UPN"})))

    assert set(listed(store)) == {"value", "upn-check-letter"}

    judge(store, saw())

    assert store.flaws() == []


@pytest.mark.parametrize("other", [{"key": "B" * 32}, {"source": "mis-8209902"}], ids=["record", "agent"])
def test_faults_of_another_record_or_agent_are_left_alone(other: dict[str, str], store: Store) -> None:
    judge(store, saw(UPN))
    judge(store, saw(**other))  # type: ignore[arg-type]  # the strings among its arguments

    assert set(listed(store)) == {"upn-check-letter"}


def test_faults_are_listed_by_school_and_by_agent(store: Store) -> None:
    judge(store, saw(UPN), saw(BIRTH, source="mis-8209902"))

    assert [flaw.rule for flaw in store.flaws(school="8209902")] == ["value"]
    assert [flaw.rule for flaw in store.flaws(source="mis-8209901")] == ["upn-check-letter"]
    assert store.flaws(school="8209903") == []


NAMES = saw()._replace(seen=frozenset({"PersonalInformation", "PersonalInformation/Name"}))


@pytest.mark.parametrize("rule", ["value", "missing"])
def test_a_change_of_another_part_of_an_element_closes_nothing(rule: str, store: Store) -> None:
    judge(store, saw(BIRTH._replace(rule=rule)))
    judge(store, NAMES)

    assert set(listed(store)) == {rule}


def test_a_change_that_holds_what_was_missing_closes_it_and_one_that_does_not_does_not(store: Store) -> None:
    family = FlawRow("PersonalInformation/Name/FamilyName", "missing", "refuse", "Name has no FamilyName: add it.")
    judge(store, saw(family))
    judge(store, NAMES)
    assert set(listed(store)) == {"missing"}

    judge(store, NAMES._replace(seen=NAMES.seen | {family.path}))
    assert listed(store) == {}


def test_a_change_without_a_wrong_part_of_what_it_holds_closes_it(store: Store) -> None:
    judge(store, saw(BIRTH))
    judge(store, saw(seen=frozenset({"PersonalInformation", "PersonalInformation/Demographics"})))

    assert listed(store) == {}


def test_a_fault_is_listed_under_the_id_that_the_record_has_now(store: Store) -> None:
    judge(store, saw(UPN))
    judge(store, saw(UPN)._replace(local_id="7-2", school="8209902"))

    assert [(flaw.local_id, flaw.school) for flaw in store.flaws()] == [("7-2", "8209902")]


def test_what_two_workers_opened_at_once_is_one_fault_from_the_next_message_on(
    store: Store, admin: sqlalchemy.Engine
) -> None:
    judge(store, saw(UPN))
    with admin.begin() as connection:
        columns = [column for column in tables.flaw.columns if column.name != "id"]
        connection.execute(sqlalchemy.insert(tables.flaw).from_select(columns, sqlalchemy.select(*columns)))
    assert len(store.flaws()) == 2

    judge(store, saw(UPN))
    assert len(store.flaws()) == 1
    judge(store, saw())
    assert store.flaws() == []


# --- bounds -----------------------------------------------------------------------------------------------------------


def keys(first: int, number: int) -> list[str]:
    return [f"{key:032X}" for key in range(first, first + number)]


def test_an_agent_fills_its_own_part_of_the_table_only_and_one_row_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MAX_OPEN", 10)
    for first in range(0, 60, 20):
        judge(store, *(saw(UPN, BIRTH, key=key) for key in keys(first, 20)))
    judge(store, saw(UPN, source="mis-8209902"))

    mine = store.flaws(source="mis-8209901")
    assert sum(flaw.rule != quality.TOO_MANY for flaw in mine) == 10
    assert [(flaw.object_type, flaw.key, flaw.school) for flaw in mine if flaw.rule == quality.TOO_MANY] == [("",) * 3]
    assert [flaw.rule for flaw in store.flaws(source="mis-8209902")] == ["upn-check-letter"]


def test_once_there_is_room_again_new_faults_are_listed_and_nothing_says_otherwise(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MAX_OPEN", 10)
    judge(store, *(saw(UPN, key=key) for key in keys(0, 12)))
    judge(store, *(saw(key=key) for key in keys(0, 12)))
    judge(store, saw(BIRTH))

    assert set(listed(store)) == {"value"}


def test_closed_faults_are_kept_for_a_year_and_only_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MAX_CLOSED", 3)
    for day in range(5):
        judge(store, saw(UPN), day=MONDAY + timedelta(day))
        judge(store, saw(), day=MONDAY + timedelta(day))

    closed = [flaw.closed for flaw in store.flaws(since=MONDAY)]
    assert closed == [MONDAY + timedelta(day) for day in (2, 3, 4)]

    later = MONDAY + timedelta(4) + quality.KEPT + timedelta(1)
    judge(store, saw(UPN), day=later)
    judge(store, saw(), day=later)
    assert [flaw.closed for flaw in store.flaws(since=MONDAY)] == [later]
