"""A zone under faults: what was sent, what the ledger says and what was received are the same, in order.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone
from broker.supervisor import RunningZone
from tests.faults.zones import (
    Publisher,
    Receiver,
    Sent,
    assert_nothing_lost_or_mixed_up,
    count_accepted,
    make_events,
    make_zone,
)

LONG = os.environ.get("SIFZONE_LONG") == "1"
DEADLINE = 600.0 if LONG else 180.0


@pytest.fixture
def zone(
    rabbit_node: PrivateNode, management: Management, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Zone]:
    """A zone on the node for the run; a test that kills RabbitMQ has the zone start a node of its own instead."""
    monkeypatch.setenv("SIFZONE_RABBITMQ", rabbit_node.amqp_url("/"))
    monkeypatch.setenv("SIFZONE_MANAGEMENT", rabbit_node.management_url)
    made = make_zone(tmp_path / "zone")
    yield made
    management.delete_vhost(made.id)


def run_until(done: Callable[[], bool], deadline: float, running: RunningZone | None = None) -> None:
    """Wait until *done*; keep the processes of *running* alive meanwhile."""
    while not done():
        assert time.monotonic() < deadline, "the zone did not finish in time"
        if running is not None:
            running.check()
        time.sleep(0.01)


def all_wait_for_all(running: RunningZone, workers: int) -> bool:
    """Tell whether each intake queue has all workers for consumers: the active one and who stands by."""
    consumers = [count for queue, (_, count) in running.queues().items() if queue.startswith("zone.intake.")]
    return all(count == workers for count in consumers)


def finish(
    zone: Zone, events: Sequence[Sent], load: tuple[Publisher, Receiver], deadline: float, running: RunningZone | None
) -> None:
    """Wait until all *events* are received and in the ledger."""
    publisher, receiver = load
    publisher.allowed = len(events)
    run_until(lambda: receiver.count() == len(events), deadline, running)
    run_until(lambda: count_accepted(zone, events) == len(events), deadline, running)
    publisher.join_or_raise(DEADLINE)
    receiver.stop()


@pytest.mark.timeout(DEADLINE + 60)
def test_worker_killed_at_random_points_loses_repeats_and_reorders_nothing(zone: Zone) -> None:
    count, kills = (2000, 20) if LONG else (240, 3)
    part = count // kills
    chance = random.Random(20261123)
    events = make_events(count)
    deadline = time.monotonic() + DEADLINE
    with RunningZone(zone) as running:
        load = publisher, receiver = Publisher(zone, events, allowed=0, pause=0.01), Receiver(zone)
        receiver.start()
        publisher.start()
        for start in range(0, count, part):
            publisher.allowed = start + part
            point = start + chance.randrange(1, part)
            run_until(lambda point=point: receiver.count() >= point, deadline, running)  # type: ignore[misc]
            pid = running.worker_pids[0]
            os.kill(pid, signal.SIGKILL)
            run_until(lambda pid=pid: running.worker_pids[0] != pid, deadline, running)  # type: ignore[misc]
        finish(zone, events, load, deadline, running)

    assert_nothing_lost_or_mixed_up(zone, events, receiver.received)


@pytest.mark.timeout(DEADLINE + 60)
def test_a_worker_killed_for_good_is_replaced_by_the_one_that_stands_by(zone: Zone) -> None:
    count = 2000 if LONG else 250
    events = make_events(count)
    deadline = time.monotonic() + DEADLINE
    with RunningZone(zone, workers=2) as running:
        run_until(lambda: all_wait_for_all(running, 2), deadline)
        load = publisher, receiver = Publisher(zone, events, pause=0.01), Receiver(zone)
        receiver.start()
        publisher.start()
        run_until(lambda: receiver.count() >= count // 4, deadline)
        os.kill(running.worker_pids[0], signal.SIGKILL)  # and nobody starts it again
        finish(zone, events, load, deadline, None)

    assert_nothing_lost_or_mixed_up(zone, events, receiver.received)


@pytest.mark.timeout(DEADLINE + 60)
def test_rabbitmq_restarted_twice_under_load_loses_repeats_and_reorders_nothing(tmp_path: Path) -> None:
    count = 4000 if LONG else 400
    events = make_events(count)
    deadline = time.monotonic() + DEADLINE
    zone = make_zone(tmp_path / "zone")
    with RunningZone(zone, workers=2) as running:
        assert running.node is not None
        load = publisher, receiver = Publisher(zone, events, pause=0.01), Receiver(zone)
        receiver.start()
        publisher.start()
        for point in (count // 4, count // 2):
            run_until(lambda point=point: receiver.count() >= point, deadline, running)  # type: ignore[misc]
            running.node.kill()
            running.node.start()
        finish(zone, events, load, deadline, running)

    assert_nothing_lost_or_mixed_up(zone, events, receiver.received)
