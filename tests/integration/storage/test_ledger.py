"""The ledger: append-only, told back in order, counted so that a gap shows."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy

from broker.storage import SEEN_AGAIN, Batch, LedgerRow, RecipientRow, ReconcileRow, Store
from tests.integration.storage.conftest import NOON, SOURCE, routed, verdict


def numbers(row: ReconcileRow) -> dict[str, int]:
    return {
        name: getattr(row, name)
        for name in ("published", "accepted", "refused", "considered", "delivered", "withheld", "duplicates")
    }


def test_explain_tells_all_attempts_of_a_message_in_order(store: Store) -> None:
    first = [replace(verdict("M1", "refused"), category=1, code=6, reason="not-valid")]
    replay = [replace(row, attempt=1) for row in (verdict("M1", considered=1), routed("M1", 1, ("merlin",)))]
    store.commit(Batch(ledger=replay))
    store.commit(Batch(ledger=[*first, verdict("M2")]))

    assert store.explain("M1") == [*first, *replay]
    assert store.explain("M9") == []


def test_an_audience_comes_back_in_order_and_once(store: Store) -> None:
    store.commit(Batch(ledger=[routed("M1", 1, ("c", "a", "b", "a")), routed("M1", 2, ("b", "c", "a"))]))

    assert [row.audience for row in store.explain("M1")] == [("a", "b", "c"), ("a", "b", "c")]


def test_an_audience_is_kept_once_however_many_rows_have_it(store: Store, scalar: Callable[[str], object]) -> None:
    everyone = tuple(f"agent-{number}" for number in range(30))

    store.commit(Batch(ledger=[routed("M1", seq, everyone) for seq in range(1, 101)]))

    assert scalar("SELECT count(*) FROM ledger") == 100
    assert scalar("SELECT count(*) FROM audience_member") == 30


def test_more_audiences_than_are_remembered_are_kept_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.storage.ledger._CACHED_AUDIENCES", 3)
    rows = [routed("M1", seq, (f"agent-{seq % 7}",)) for seq in range(1, 30)]

    for start in range(0, len(rows), 4):
        store.commit(Batch(ledger=rows[start : start + 4]))

    assert store.explain("M1") == rows


def test_only_messages_with_a_verdict_are_known_as_handled(store: Store) -> None:
    store.commit(
        Batch(
            ledger=[
                verdict("M1"),
                verdict("M2", "refused"),
                routed("M3", 1, ("merlin",)),
                replace(verdict("M4", "duplicate"), seq=SEEN_AGAIN),
            ]
        )
    )
    asked = [(SOURCE, f"M{number}", 0) for number in range(1, 6)]

    assert store.accepted(asked) == {(SOURCE, "M1", 0), (SOURCE, "M2", 0)}
    assert store.accepted([("another-agent", "M1", 0), (SOURCE, "M1", 1)]) == frozenset()
    assert store.accepted([]) == frozenset()


def test_more_messages_than_one_statement_takes_are_looked_up(store: Store) -> None:
    store.commit(Batch(ledger=[verdict(f"M{number}") for number in range(1201)]))

    assert len(store.accepted([(SOURCE, f"M{number}", 0) for number in range(2000)])) == 1201


@pytest.mark.parametrize(
    "msg_id",
    ["NUL \0 inside", "\ud800 alone", "A" * 1_000_000, "", "line\nend", "%_'\"\\"],
    ids=["nul", "surrogate", "megabyte", "empty", "newline", "quotes"],
)
def test_a_hostile_message_id_is_kept_and_found_again(store: Store, msg_id: str) -> None:
    row = replace(verdict(msg_id, "refused"), object_type=msg_id, action=msg_id, ref_id=msg_id)

    store.commit(Batch(ledger=[row]))
    store.commit(Batch(ledger=[row]))

    assert store.accepted([(SOURCE, msg_id, 0)]) == {(SOURCE, msg_id, 0)}
    assert len(store.explain(msg_id)) == 1


def test_a_row_committed_again_stays_as_it_first_was(store: Store) -> None:
    store.commit(Batch(ledger=[verdict("M1")]))

    store.commit(Batch(ledger=[verdict("M1", "refused", at=NOON + 60)]))

    assert store.explain("M1") == [verdict("M1")]


TABLES = pytest.mark.parametrize("table", ["ledger", "audience", "audience_member"])
EMPTYING = {
    "sqlite": "REPLACE INTO {0} SELECT * FROM {0}",  # deletes first, which a trigger sees only when told to
    "postgresql": "TRUNCATE {} CASCADE",
}


def attempt(store: Store, admin: sqlalchemy.Engine, statement: str) -> None:
    rows = [verdict("M1", considered=1), routed("M1", 1, ("merlin",))]
    store.commit(Batch(ledger=rows))
    with admin.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(sqlalchemy.text("PRAGMA recursive_triggers = ON"))

        with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"):
            connection.execute(sqlalchemy.text(statement))

    assert store.explain("M1") == rows


@TABLES
def test_the_database_refuses_to_delete_from_the_ledger(store: Store, admin: sqlalchemy.Engine, table: str) -> None:
    attempt(store, admin, f"DELETE FROM {table}")  # noqa: S608 - our own names


@TABLES
def test_the_database_refuses_to_empty_the_ledger(store: Store, admin: sqlalchemy.Engine, table: str) -> None:
    attempt(store, admin, EMPTYING[admin.dialect.name].format(table))


@pytest.mark.parametrize("change", ["ledger SET at = 0", "audience SET size = 0", "audience_member SET agent = ''"])
def test_the_database_refuses_to_update_the_ledger(store: Store, admin: sqlalchemy.Engine, change: str) -> None:
    attempt(store, admin, f"UPDATE {change}")


def test_the_ledger_is_listed_newest_first_up_to_a_limit(store: Store) -> None:
    store.commit(Batch(ledger=[verdict(f"M{number}", at=NOON + number) for number in range(5)]))

    assert [row.msg_id for row in store.ledger(limit=3)] == ["M4", "M3", "M2"]


ROWS = [
    verdict("M1", considered=2),
    routed("M1", 1, ("merlin",)),
    routed("M1", 2, ("virtual-school",), "withheld"),
    replace(verdict("M2", "refused", at=NOON + 10), object_type="SchoolInfo", source="merlin"),
]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({}, 4, id="none"),
        pytest.param({"agent": "merlin"}, 2, id="agent-as-source-or-recipient"),
        pytest.param({"agent": "virtual-school"}, 1, id="agent-withheld-from"),
        pytest.param({"agent": "nobody"}, 0, id="unknown-agent"),
        pytest.param({"object_type": "SchoolInfo"}, 1, id="object-type"),
        pytest.param({"outcome": "delivered"}, 1, id="outcome"),
        pytest.param({"since": NOON + 10}, 1, id="since-is-inclusive"),
        pytest.param({"until": NOON + 10}, 3, id="until-is-exclusive"),
        pytest.param({"agent": "merlin", "object_type": "LearnerPersonal", "outcome": "delivered"}, 1, id="together"),
    ],
)
def test_the_ledger_is_filtered(store: Store, filters: dict[str, object], expected: int) -> None:
    store.commit(Batch(ledger=ROWS))

    assert len(store.ledger(**filters)) == expected  # type: ignore[arg-type]  # one case gives one kind


def test_a_ledger_that_accounts_for_everyone_balances(store: Store) -> None:
    store.commit(
        Batch(
            ledger=[
                verdict("M1", considered=3),
                routed("M1", 1, ("a", "b")),
                routed("M1", 2, ("c",), "withheld"),
                verdict("M2", considered=0),
                verdict("M3", "refused"),
                replace(verdict("M1", "duplicate"), seq=SEEN_AGAIN, object_type=""),
                replace(verdict("M4", considered=1), object_type="SchoolInfo"),
                replace(routed("M4", 1, ("a",)), object_type="SchoolInfo"),
            ]
        )
    )

    learners, schools = store.reconcile()

    assert (learners.source, learners.object_type, learners.balanced) == (SOURCE, "LearnerPersonal", True)
    assert numbers(learners) == {
        "published": 3,
        "accepted": 2,
        "refused": 1,
        "considered": 3,
        "delivered": 2,
        "withheld": 1,
        "duplicates": 1,
    }
    assert (schools.object_type, schools.delivered, schools.balanced) == ("SchoolInfo", 1, True)


MISSING, ONE_MORE = routed("M1", 1, ("a",)), routed("M2", 1, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("rows", "unbalanced"),
    [
        pytest.param([verdict("M1", considered=2), MISSING], 1, id="a-recipient-is-missing"),
        pytest.param([verdict("M2", considered=2), ONE_MORE], 1, id="a-recipient-too-many"),
        pytest.param(
            [verdict("M1", considered=2), MISSING, verdict("M2", considered=2), ONE_MORE], 2, id="two-that-even-out"
        ),
        pytest.param([MISSING], 1, id="delivered-without-a-verdict"),
        pytest.param([verdict("M1", "refused"), MISSING], 1, id="refused-and-yet-delivered"),
        pytest.param([verdict("M1", considered=1), MISSING, replace(MISSING, seq=2)], 1, id="delivered-twice"),
    ],
)
def test_a_ledger_with_a_gap_does_not_balance(store: Store, rows: list[LedgerRow], unbalanced: int) -> None:
    store.commit(Batch(ledger=rows))

    (row,) = store.reconcile()

    assert (row.balanced, row.unbalanced) == (False, unbalanced)


def test_reconciliation_of_a_time_leaves_the_rest_out(store: Store) -> None:
    store.commit(Batch(ledger=[verdict("M1"), verdict("M2", at=NOON + 10), verdict("M3", at=NOON + 20)]))

    assert [row.published for row in store.reconcile(since=NOON + 10, until=NOON + 20)] == [1]
    assert store.reconcile(since=NOON + 30) == []


def test_recipients_tells_what_each_agent_was_delivered_and_what_withheld(store: Store) -> None:
    store.commit(
        Batch(
            ledger=[
                verdict("M1", considered=2),
                routed("M1", 1, ("a", "b")),
                verdict("M2", considered=2),
                routed("M2", 1, ("a",)),
                routed("M2", 2, ("b",), "withheld"),
            ]
        )
    )

    assert store.recipients() == [
        RecipientRow("a", SOURCE, "LearnerPersonal", delivered=2, withheld=0),
        RecipientRow("b", SOURCE, "LearnerPersonal", delivered=1, withheld=1),
    ]
    assert store.recipients(since=NOON + 1) == []
