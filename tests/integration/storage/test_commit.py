"""A batch is kept whole, once, and for good."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.storage import (
    Batch,
    ContactLink,
    EstablishmentRow,
    LearnerRow,
    LedgerRow,
    StorageError,
    StorageUnavailable,
    Store,
    open_store,
)
from tests.integration.storage.conftest import NOON, SOURCE, held, learner, register, routed, verdict

FULL = Batch(
    ledger=[verdict("M1", considered=3), routed("M1", 1, ("a", "b")), routed("M1", 2, ("c",), "withheld")],
    learners=[learner()],
    quarantine=[held("M2")],
    establishments=[EstablishmentRow("5" * 32, "8209901")],
    contacts=[ContactLink("C" * 32, "A" * 32)],
)


def everything(store: Store) -> tuple[object, ...]:
    return (
        store.ledger(limit=1000),
        store.learners(["A" * 32, "B" * 32]),
        store.quarantine_list(None),
        store.establishments(),
        store.contact_learners(["C" * 32]),
    )


def test_all_of_a_batch_comes_back_as_it_was(store: Store) -> None:
    store.commit(FULL)

    assert store.explain("M1") == FULL.ledger
    assert store.learners(["A" * 32]) == {"A" * 32: learner()}
    assert [entry.id for entry in store.quarantine_list()] == [FULL.quarantine[0].id]
    assert store.establishments() == {"5" * 32: "8209901"}
    assert store.contact_learners(["C" * 32]) == {"C" * 32: ("A" * 32,)}


def test_the_same_batch_committed_again_changes_nothing(store: Store, other_store: Store) -> None:
    store.commit(FULL)
    once = everything(store)

    store.commit(FULL)
    other_store.commit(FULL)  # another worker: no cache of this one's

    assert everything(store) == once


def test_an_empty_batch_is_no_trouble(store: Store) -> None:
    store.commit(Batch())

    assert store.ledger() == []


def test_of_a_batch_that_fails_nothing_is_kept(store: Store) -> None:
    broken = LedgerRow(at=NOON, msg_id="M3", source=SOURCE, outcome="accepted", sha256=None)  # type: ignore[arg-type]  # what the database refuses
    before = everything(store)

    with pytest.raises(StorageError, match="commit a batch"):
        store.commit(Batch([*FULL.ledger, broken], FULL.learners, FULL.quarantine, FULL.establishments, FULL.contacts))

    assert everything(store) == before
    store.commit(FULL)
    assert store.explain("M1") == FULL.ledger


def test_an_error_tells_no_value_of_the_batch(store: Store) -> None:
    secret = LearnerRow("A" * 32, care_authority="Secretshire", home_authority=None)  # type: ignore[arg-type]  # what the database refuses

    with pytest.raises(StorageError) as caught:
        store.commit(Batch(learners=[secret]))

    assert "Secretshire" not in str(caught.value)
    assert "Secretshire" not in str(caught.value.__cause__).partition("DETAIL")[0]
    assert not caught.value.retry


def test_several_workers_may_commit_at_once(database_url: str, key_file: Path) -> None:
    workers, batches = 4, 15

    def work(worker: int) -> None:
        with open_store(database_url, key_file) as mine:
            for number in range(batches):
                msg_id = f"{worker}-{number}"
                # The audiences are the same ones everywhere, and new to all at about the same time.
                rows = [verdict(msg_id, considered=2), routed(msg_id, 1, (f"a{number}",)), routed(msg_id, 2, ("b",))]
                mine.commit(Batch(ledger=rows, learners=[learner(str(n)) for n in range(5)], quarantine=[held("same")]))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))

    with open_store(database_url, key_file) as store:
        (row,) = store.reconcile()
        assert (row.accepted, row.delivered, row.balanced) == (workers * batches, 2 * workers * batches, True)
        assert len(store.quarantine_list()) == 1


COMMIT_UNTIL_KILLED = """
import sys
from pathlib import Path
from broker.storage import Batch, LearnerRow, open_store
from tests.integration.storage.conftest import held, learner, routed, verdict

with open_store(sys.argv[1], Path(sys.argv[2])) as store:
    for number in range(100_000):
        name = f"N{number}"
        rows = [verdict(name, considered=1), *(routed(name, seq, (f"agent-{number}",)) for seq in range(1, 30))]
        store.commit(Batch(ledger=rows, learners=[learner(name)], quarantine=[held(name)]))
        print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_writer_killed_leaves_whole_batches_and_all_that_it_acknowledged(
    database_url: str, key_file: Path, after: int
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", COMMIT_UNTIL_KILLED, database_url, str(key_file)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    acknowledged = next(int(line) for line in child.stdout if int(line) >= after)
    os.kill(child.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, re.findall(r"^\d+(?=\n)", child.stdout.read(), re.MULTILINE))])
    child.wait()

    with open_store(database_url, key_file) as store:
        names = [f"N{number}" for number in range(acknowledged + 2)]
        rows = {name: len(store.explain(name)) for name in names}
        learners = store.learners(names)
        entries = {entry.msg_id for entry in store.quarantine_list(None, limit=10_000)}
    assert [rows[name] for name in names[:-1]] == [30] * (acknowledged + 1)
    assert rows[names[-1]] in {0, 30}, "the batch under way is there whole or not at all"
    assert {name for name, count in rows.items() if count} == set(learners) == entries


def test_a_database_locked_for_long_is_reported_as_worth_a_retry(store: Store, other_store: Store) -> None:
    with store._database.write("hold the lock") as connection:
        connection.exec_driver_sql("UPDATE registry SET version = version + 1")

        with pytest.raises(StorageUnavailable, match="try again") as caught:
            register(other_store, "merlin")

        assert caught.value.retry
    register(other_store, "merlin")
    assert list(store.live().registrations) == ["merlin"]


def test_readers_do_not_wait_for_a_writer(store: Store, other_store: Store) -> None:
    store.commit(FULL)

    with store._database.write("write for long") as connection:
        connection.exec_driver_sql("UPDATE establishment SET laestab = '8209999'")

        assert other_store.establishments() == {"5" * 32: "8209901"}
