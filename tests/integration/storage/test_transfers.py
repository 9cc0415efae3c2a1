"""Learners' moves: kept sealed, each in the place of what was known of it, and found by what the clock asks for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy

from broker.calendars import DayKind
from broker.deadlines import Deadline, RuleId
from broker.protocol.identifiers import Establishment, RefId
from broker.storage import Batch, NoSuchTransfer, Store, WrongKey, make_key, open_store
from broker.transfer_cases import Care, Ctf, Record, Status, StatusChange, TransferCase

OLD, NEW, THIRD = Establishment("8209902"), Establishment("8209901"), Establishment("8209903")
ALEX, SAM = RefId("A" * 32), RefId("B" * 32)
NOON: Final = datetime(2026, 10, 6, 12, tzinfo=UTC)
FILE: Final = Ctf("8209902_CTF_8209901_001.xml", NEW, "07" * 32)


def due(day: date, rule: RuleId = RuleId.T1) -> Deadline:
    return Deadline(rule, date(2026, 10, 2), day, DayKind.SCHOOL_DAY, "820")


def case(
    number: int,
    learner: RefId = ALEX,
    status: Status = Status.NOTIFIED,
    *deadlines: Deadline,
    opened: datetime = NOON,
    old: Establishment | None = OLD,
    new: Establishment | None = NEW,
) -> TransferCase:
    """Make a move whose RefId ends in *number*, which has come to *status* an hour after it was planned."""
    history = (
        StatusChange(Status.PLANNED, opened, "mis-8209902"),
        StatusChange(status, opened + timedelta(hours=1), "ctf-out"),
    )
    return TransferCase(RefId(f"{number:032X}"), learner, history, old, new, deadlines=deadlines)


FULL: Final = replace(
    case(1, ALEX, Status.SENT, due(date(2026, 10, 23))),
    leaving=date(2026, 10, 2),
    entry=date(2026, 10, 5),
    care=(Care(date(2024, 1, 1), looked_after=True, authority="820"),),
    ctf=FILE,
    passed={Record.PEP_SENT: date(2026, 10, 5)},
    issued=frozenset({"ask:8209902"}),
)


def keep(store: Store, *cases: TransferCase) -> None:
    store.commit(Batch(transfers=cases))


def test_a_move_comes_back_as_it_was(store: Store) -> None:
    keep(store, FULL)

    assert store.transfers_of([ALEX, SAM]) == {ALEX: (FULL,)}
    assert store.transfer(FULL.ref_id) == FULL


def test_the_same_batch_again_changes_nothing_and_a_later_one_takes_its_place(store: Store) -> None:
    later = replace(FULL, history=(*FULL.history, StatusChange(Status.DELIVERED, NOON, "ctf-out")))
    keep(store, FULL)
    keep(store, FULL)
    assert store.list_transfers() == [FULL]

    keep(store, FULL, later)
    assert store.list_transfers() == [later]
    assert store.list_transfers(statuses=[Status.SENT]) == []


def test_all_of_a_learners_moves_are_found_the_first_opened_first(store: Store) -> None:
    first = case(9, ALEX, Status.COMPLETE, opened=NOON - timedelta(days=300))
    keep(store, case(1), case(2, SAM), first)

    assert store.transfers_of([ALEX, SAM]) == {ALEX: (first, case(1)), SAM: (case(2, SAM),)}


def test_of_a_move_only_what_it_is_looked_up_by_is_in_the_clear(store: Store, admin: sqlalchemy.Engine) -> None:
    keep(store, FULL)

    with admin.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT * FROM transfer_case")).mappings().one()
    sealed = bytes(row["sealed"])
    assert b"8209902" not in sealed
    assert FILE.file_name.encode() not in sealed
    clear = {name: value for name, value in row.items() if name not in ("sealed", "key_id")}
    assert clear == {
        "ref_id": FULL.ref_id,
        "learner": ALEX,
        "status": "SE",
        "is_followed": True,
        "from_school": "8209902",
        "to_school": "8209901",
        "opened": NOON.timestamp(),
        "changed": (NOON + timedelta(hours=1)).timestamp(),
        "due": None,  # it was sent
        "looked_after": True,
    }


def test_a_move_can_be_read_with_the_zones_key_alone_and_in_its_own_place(
    store: Store, admin: sqlalchemy.Engine, database_url: str, tmp_path: Path
) -> None:
    keep(store, case(1), case(2))
    make_key(tmp_path / "other.key")
    with open_store(database_url, tmp_path / "other.key") as stranger, pytest.raises(WrongKey):
        stranger.transfer(case(1).ref_id)

    with admin.begin() as connection:
        swap = "UPDATE transfer_case SET sealed = (SELECT sealed FROM transfer_case WHERE ref_id = :of)"
        connection.execute(sqlalchemy.text(swap), {"of": case(2).ref_id})
    with pytest.raises(WrongKey):
        store.transfer(case(1).ref_id)


def test_a_move_is_found_by_the_beginning_of_its_ref_id_while_that_is_its_alone(store: Store) -> None:
    one = replace(FULL, ref_id=RefId("0AB" + "1" * 29))
    keep(store, one, replace(FULL, ref_id=RefId("0AC" + "1" * 29)))

    assert store.transfer(" 0ab") == one
    for prefix, says in (("0A", "several begin so"), ("F", "list the transfers"), ("", "list"), ("%", "list")):
        with pytest.raises(NoSuchTransfer, match=says):
            store.transfer(prefix)


EARLY, LATE, NEVER = (
    case(1, ALEX, Status.NOTIFIED, due(date(2026, 10, 23)), due(date(2026, 10, 7), RuleId.T6), opened=NOON),
    case(2, SAM, Status.NOTIFIED, due(date(2026, 10, 8)), opened=NOON + timedelta(days=2), old=THIRD),
    case(3, SAM, Status.CANCELLED, due(date(2026, 10, 1)), opened=NOON + timedelta(days=1), old=None, new=THIRD),
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param({}, [LATE, NEVER, EARLY], id="the last to have changed first"),
        pytest.param({"limit": 1}, [LATE], id="no more than wanted"),
        pytest.param({"followed": True}, [LATE, EARLY], id="followed"),
        pytest.param({"followed": False}, [NEVER], id="not followed"),
        pytest.param({"statuses": [Status.CANCELLED, Status.PLANNED]}, [NEVER], id="status"),
        pytest.param({"school": "8209903"}, [LATE, NEVER], id="school, old or new"),
        pytest.param({"school": "8209902", "learner": ALEX}, [EARLY], id="school and learner"),
        pytest.param({"learner": SAM}, [LATE, NEVER], id="learner"),
        pytest.param({"late_on": date(2026, 10, 9)}, [EARLY, LATE], id="late, the longest first"),
        pytest.param({"late_on": date(2026, 10, 8)}, [EARLY], id="late on a day: due before it"),
        pytest.param({"late_on": date(2026, 10, 7)}, [], id="nothing late"),
    ],
)
def test_moves_are_listed_by(store: Store, wanted: dict[str, object], found: list[TransferCase]) -> None:
    keep(store, EARLY, LATE, NEVER)

    assert store.list_transfers(**wanted) == found  # type: ignore[arg-type]  # the test's own values


def test_a_school_is_found_by_the_number_that_it_has_now(store: Store) -> None:
    renumbered = replace(FULL, renumbered=((OLD, THIRD),))
    keep(store, renumbered)

    assert store.list_transfers(school=THIRD) == [renumbered]
    assert store.list_transfers(school=OLD) == []


def test_learners_with_a_followed_move_are_found_in_order_some_at_a_time(store: Store) -> None:
    learners = [RefId(f"{number:032X}") for number in (1, 2, 10, 11, 12)]
    open_ones = [case(number, learner) for number, learner in enumerate(learners)]
    again = case(20, learners[0], opened=NOON - timedelta(days=400))
    keep(store, *open_ones, again, case(21, SAM, Status.CANCELLED))

    found: list[str] = []
    while some := store.followed_learners(found[-1] if found else "", 2):
        found += some
    assert found == learners


def test_more_learners_than_a_statement_takes_values_can_be_asked_for(
    store: Store, scalar: Callable[[str], object]
) -> None:
    many = [case(number, RefId(f"{number:032X}")) for number in range(1100)]
    keep(store, *many)

    assert scalar("SELECT count(*) FROM transfer_case") == len(many)
    assert set(store.transfers_of([one.learner for one in many])) == {one.learner for one in many}
