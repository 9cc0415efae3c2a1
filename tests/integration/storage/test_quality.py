"""Faults of records: opened once, kept while they are there, closed when a message shows the record without them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from broker.storage import Batch, Flaw, FlawRow, JudgedRow, Store

MONDAY = date(2026, 9, 14)
KEY = "A" * 32
WHOLE = frozenset({""})
UPN = FlawRow("UPN", "upn-check-letter", "warn", "UPN has a check letter that does not fit: correct it.")
BIRTH = FlawRow("PersonalInformation/Demographics/BirthDate", "value", "refuse", "BirthDate is no date: correct it.")


def saw(*flaws: FlawRow, seen: frozenset[str] = WHOLE, key: str = KEY, source: str = "mis-8209901") -> JudgedRow:
    return JudgedRow(source, "LearnerPersonal", key, source[-7:], "7-1", seen, flaws)


def refused(*flaws: FlawRow) -> JudgedRow:
    return replace(saw(*flaws), complete=False)


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
