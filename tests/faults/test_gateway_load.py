"""A hundred agents at the gateway: each event reaches each subscriber once, in order, whatever other targets do.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one, of 20,000 events in each test.
"""

import os
import time
from collections.abc import Iterator, Sequence

import pytest

from broker.rabbitmq import Management, PrivateNode
from broker.supervisor import RunningZone
from tests.faults.crowds import BROKEN, GOOD, PUBLISHERS, Crowd, make_crowd_zone
from tests.faults.http_agents import Aside, assert_exactly_once_in_order

LONG = os.environ.get("SIFZONE_LONG") == "1"
EACH = 20_000 // PUBLISHERS if LONG else 12
"""Events of one publisher."""
DEADLINE = 1_500.0 if LONG else 100.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(DEADLINE + 60)]


@pytest.fixture(scope="module")
def running(rabbit_node: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningZone]:
    """The zone, on the node for the run."""
    folder = tmp_path_factory.mktemp("crowd") / "zone"
    zone = make_crowd_zone(folder)
    with pytest.MonkeyPatch.context() as patch, (folder / "zone.log").open("w") as log:
        patch.setenv("SIFZONE_RABBITMQ", rabbit_node.amqp_url("/"))
        patch.setenv("SIFZONE_MANAGEMENT", rabbit_node.management_url)
        with RunningZone(zone, log_file=log.fileno()) as started:
            yield started
    with Management(rabbit_node.management_url, rabbit_node.admin_user, rabbit_node.admin_password) as management:
        management.delete_vhost(zone.id)


@pytest.fixture
def aside() -> Iterator[Aside]:
    made = Aside()
    yield made
    made.close()


def await_all(crowd: Crowd, aside: Aside, agents: Sequence[str]) -> None:
    """Wait until *agents* have all that they are to get."""
    until = time.monotonic() + DEADLINE
    while not crowd.have_all(agents):
        aside.check()
        assert time.monotonic() < until, {a: len(crowd.agents[a].inbox.messages) for a in agents}
        time.sleep(0.05)


def test_a_hundred_agents_registered_at_once_get_each_event_once_and_in_order(
    running: RunningZone, aside: Aside
) -> None:
    crowd = Crowd(running, aside)
    crowd.register()

    crowd.publish(EACH)
    await_all(crowd, aside, GOOD)

    crowd.close()
    for name in GOOD:
        assert_exactly_once_in_order(crowd.agents[name].inbox, crowd.expected(name))


def test_nobody_waits_for_targets_that_hang_drop_fail_or_answer_half_and_these_get_all_once_they_are_mended(
    running: RunningZone, aside: Aside
) -> None:
    crowd = Crowd(running, aside, (*GOOD, *BROKEN))
    crowd.register()

    crowd.publish(EACH)
    await_all(crowd, aside, GOOD)  # a push that hangs is waited for an hour: whoever waited for it, would, too
    held_up = [len(crowd.agents[name].inbox.messages) for name in BROKEN]
    crowd.mend()
    await_all(crowd, aside, BROKEN)

    crowd.close()
    assert held_up == [0] * len(BROKEN)
    for name in (*GOOD, *BROKEN):
        assert_exactly_once_in_order(crowd.agents[name].inbox, crowd.expected(name))
