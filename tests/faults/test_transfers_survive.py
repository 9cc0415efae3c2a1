"""Many transfers at once while workers are killed: every case ends as its history explains, and no record comes twice.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from broker.calendars import local_date
from broker.protocol.envelope import Action
from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone
from broker.storage import Store, open_store
from broker.supervisor import RunningZone
from broker.transfer_cases import MOVES, Status, TransferCase
from tests.faults.movers import NEW, Crowd, Mover, expected, make_movers, make_zone

LONG = os.environ.get("SIFZONE_LONG") == "1"
DEADLINE = 900.0 if LONG else 120.0
S = Status
log = structlog.get_logger(__name__)


@pytest.fixture
def zone(
    rabbit_node: PrivateNode, management: Management, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Zone]:
    """A zone on the node for the run."""
    monkeypatch.setenv("SIFZONE_RABBITMQ", rabbit_node.amqp_url("/"))
    monkeypatch.setenv("SIFZONE_MANAGEMENT", rabbit_node.management_url)
    made = make_zone(tmp_path / "zone")
    yield made
    management.delete_vhost(made.id)


@pytest.mark.timeout(DEADLINE + 60)
def test_transfers_at_once_with_workers_killed_at_random_end_as_told_and_no_record_comes_twice(zone: Zone) -> None:
    count, kills, workers = (2000, 24, 2) if LONG else (60, 2, 1)
    movers = make_movers(count)
    chance = random.Random(20261124)
    deadline = time.monotonic() + DEADLINE
    began = time.monotonic()
    with RunningZone(zone, workers=workers) as running, open_store(zone.database_url, zone.key_file) as store:
        crowd = Crowd(zone, movers)

        def wait(done: Callable[[], bool], pause: float = 0.01) -> None:
            while not done():
                assert time.monotonic() < deadline, how_far(store, movers)
                crowd.check()
                running.check()
                time.sleep(pause)

        crowd.begin()
        wait(lambda: len(store.establishments()) == 2)
        crowd.move(local_date(datetime.now(UTC)))
        part = 4 * count // kills
        for _ in range(kills):
            point = crowd.busy + chance.randrange(1, part)
            wait(lambda point=point: crowd.busy >= point)  # type: ignore[misc]
            number = chance.randrange(workers)
            pid = running.worker_pids[number]
            os.kill(pid, signal.SIGKILL)
            wait(lambda number=number, pid=pid: running.worker_pids[number] != pid)  # type: ignore[misc]
        wait(lambda: all_ended(store, movers), 0.25)
        ends = cases_of(store, movers)
        held = expected(movers, {learner: case.ref_id for learner, (case,) in ends.items()})
        wait(lambda: all_held(crowd, held))
        crowd.stop()
        ends = cases_of(store, movers)

    log.info("transfers_ended", transfers=count, kills=kills, seconds=time.monotonic() - began, messages=crowd.busy)
    assert_each_ends_as_its_history_explains(movers, ends)
    for member in (crowd.new, crowd.files, crowd.virtual):
        events = Counter(member.recipient.log)
        assert member.recipient.odd == [], member.login
        assert {key: number for (action, key), number in events.items() if action is Action.ADD and number > 1} == {}
        own = Counter(key for key in member.recipient.held if key[0] != "SchoolInfo")
        assert own == held[member.login], member.login


def cases_of(store: Store, movers: list[Mover]) -> dict[str, tuple[TransferCase, ...]]:
    found: dict[str, tuple[TransferCase, ...]] = {}
    for start in range(0, len(movers), 500):
        found |= store.transfers_of([mover.ref for mover in movers[start : start + 500]])
    return found


def all_ended(store: Store, movers: list[Mover]) -> bool:
    found = cases_of(store, movers)
    return all([case.status for case in found.get(mover.ref, ())] == [mover.ends] for mover in movers)


def how_far(store: Store, movers: list[Mover]) -> str:
    """Return how many cases have come how far, for each way that learners go."""
    found = cases_of(store, movers)
    ways = Counter(
        (mover.to or "nobody knows", mover.ends.name, *(case.status.name for case in found.get(mover.ref, ())))
        for mover in movers
    )
    return f"not finished in time: {dict(ways)}"


def all_held(crowd: Crowd, held: dict[str, Counter[tuple[str, str]]]) -> bool:
    return all(
        {key for key in list(member.recipient.held) if key[0] != "SchoolInfo"} == held[member.login].keys()
        for member in (crowd.new, crowd.files, crowd.virtual)
    )


def assert_each_ends_as_its_history_explains(movers: list[Mover], ends: dict[str, tuple[TransferCase, ...]]) -> None:
    """See that there is one case for each learner, with a history that leads step by step to what was told of it."""
    files = [S.PLANNED, S.NOTIFIED, S.PREPARED, S.SENT, S.DELIVERED]
    assert ends.keys() == {mover.ref for mover in movers}
    for mover in movers:
        (case,) = ends[mover.ref]
        path = [change.status for change in case.history]
        assert all(after in MOVES[before] for before, after in pairwise(path))
        assert [change.at for change in case.history] == sorted(change.at for change in case.history)
        if mover.ends is S.LOST_PUPILS:
            assert path == [S.PLANNED, S.NOTIFIED, S.PREPARED, S.DESTINATION_UNKNOWN, S.LOST_PUPILS]
            continue
        assert path == files if mover.ends is S.DELIVERED else [*files, S.LOADED, S.COMPLETE]
        assert case.to_school == mover.to
        tellers = {change.status: change.actor for change in case.history}
        if mover.to == NEW:
            assert tellers[S.DELIVERED] == "movers"
        else:
            assert tellers[S.DELIVERED] == "ctf-out"
            assert tellers.get(S.LOADED, "Person:made-up") == "Person:made-up"
