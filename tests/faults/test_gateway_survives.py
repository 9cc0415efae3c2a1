"""The gateway, workers and RabbitMQ killed while agents over HTTP publish, ask and answer: nothing is lost or repeated.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one, of 5,000 events and 200 requests.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.storage import open_store
from broker.supervisor import RunningZone
from tests.faults.http_agents import Aside
from tests.faults.survivors import PAIRS, Survivors, make_survivors_zone

LONG = os.environ.get("SIFZONE_LONG") == "1"
DEADLINE = 1_200.0 if LONG else 100.0
SEED = int(os.environ.get("SIFZONE_SEED", "20261124"))
EVENTS, REQUESTS, KILLS = (5_000, 200, 12) if LONG else (240, 8, 3)
"""Kills: as many of the gateway, of workers and of RabbitMQ; the test's name says by which seed they are in order."""


@pytest.fixture
def aside() -> Iterator[Aside]:
    made = Aside()
    yield made
    made.close()


def kill(what: str, running: RunningZone, chance: random.Random) -> None:
    """Kill *what* at once; whoever runs the zone starts it again."""
    assert running.gateway_pid is not None
    assert running.node is not None
    if what == "rabbitmq":
        running.node.kill()
        running.node.start()
    else:
        os.kill(running.gateway_pid if what == "gateway" else chance.choice(running.worker_pids), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE + 60)
@pytest.mark.parametrize("seed", [SEED])
def test_kills_at_random_lose_nothing_repeat_nothing_that_was_settled_and_end_every_request(
    tmp_path: Path, aside: Aside, seed: int
) -> None:
    chance = random.Random(seed)
    order = ["gateway", "worker", "rabbitmq"] * (KILLS // 3)
    chance.shuffle(order)
    zone = make_survivors_zone(tmp_path / "zone", timeout="20s" if LONG else "9s")
    until = time.monotonic() + DEADLINE
    with (
        (tmp_path / "zone.log").open("w") as log,
        RunningZone(zone, workers=2, log_file=log.fileno()) as running,
    ):

        def wait_until(done: Callable[[], bool]) -> None:
            while not done():
                aside.check()
                running.check()
                assert time.monotonic() < until, "the zone did not finish in time"
                time.sleep(0.02)

        survivors = Survivors(running, aside)
        each = -(-EVENTS // (PAIRS * KILLS))
        requests = [REQUESTS * (n + 1) // KILLS - REQUESTS * n // KILLS for n in range(KILLS)]
        for number, what in enumerate(order):
            survivors.publish(each)
            survivors.ask(requests[number])
            point = 2 * each * number + chance.randrange(1, each)
            wait_until(lambda point=point: survivors.received() >= point)  # type: ignore[misc]
            kill(what, running, chance)
        wait_until(survivors.have_all)
        with open_store(zone.database_url, zone.key_file) as store:
            wait_until(lambda: not store.open_requests())
            pending = {str(one.msg_id): one for one in store.list_requests(limit=2 * REQUESTS)}
    survivors.close()

    survivors.assert_no_event_is_lost_or_out_of_order()
    survivors.assert_nothing_comes_again_that_was_settled()
    survivors.assert_packets_are_consecutive(pending)
