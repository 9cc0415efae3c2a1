"""A zone under faults: what was sent, what the ledger says and what was received are the same, in order.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.supervisor import RunningZone
from tests.faults.zones import Publisher, Receiver, assert_nothing_lost_or_mixed_up, make_events, make_zone

LONG = os.environ.get("SIFZONE_LONG") == "1"
DEADLINE = 600.0 if LONG else 90.0


def run_until(done: Callable[[], bool], running: RunningZone, deadline: float) -> None:
    """Keep the zone's processes alive until *done*."""
    while not done():
        assert time.monotonic() < deadline, "the zone did not finish in time"
        running.check()
        time.sleep(0.05)


@pytest.mark.timeout(DEADLINE + 60)
def test_worker_killed_at_random_points_loses_repeats_and_reorders_nothing(tmp_path: Path) -> None:
    count, kills = (2000, 20) if LONG else (600, 5)
    chance = random.Random(20261123)
    events = make_events(count)
    points = sorted(chance.sample(range(1, count), kills))
    deadline = time.monotonic() + DEADLINE
    zone = make_zone(tmp_path / "zone")
    with RunningZone(zone) as running:
        receiver, publisher = Receiver(zone), Publisher(zone, events, pause=0.01)
        receiver.start()
        publisher.start()
        for point in points:
            run_until(lambda point=point: receiver.count() >= point, running, deadline)  # type: ignore[misc]
            time.sleep(chance.random() * 0.02)  # not a wait for anything: the point of the kill is random
            os.kill(running.worker_pids[0], signal.SIGKILL)
        publisher.join_or_raise(DEADLINE)
        run_until(lambda: receiver.count() == count, running, deadline)
        receiver.stop()

    assert_nothing_lost_or_mixed_up(zone, events, receiver.received)


@pytest.mark.timeout(DEADLINE + 60)
def test_rabbitmq_restarted_twice_under_load_loses_repeats_and_reorders_nothing(tmp_path: Path) -> None:
    count = 4000 if LONG else 800
    events = make_events(count)
    deadline = time.monotonic() + DEADLINE
    zone = make_zone(tmp_path / "zone")
    with RunningZone(zone, workers=2) as running:
        receiver, publisher = Receiver(zone), Publisher(zone, events, pause=0.02)
        receiver.start()
        publisher.start()
        for point in (count // 4, count // 2):
            run_until(lambda point=point: receiver.count() >= point, running, deadline)  # type: ignore[misc]
            assert running.node is not None
            running.node.kill()
            running.node.start()
        publisher.join_or_raise(DEADLINE)
        run_until(lambda: receiver.count() == count, running, deadline)
        receiver.stop()

    assert_nothing_lost_or_mixed_up(zone, events, receiver.received)
