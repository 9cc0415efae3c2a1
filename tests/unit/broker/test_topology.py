"""The topology says everything itself, and a login's permissions let it do what an agent may and no more."""

import re

import pytest

from broker.protocol import topology
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    AGENT_DELIVERY_LIMIT,
    BROKER_LOGIN,
    CONTROL,
    CONTROL_QUEUE,
    DEAD,
    DEAD_QUEUE,
    DELIVERY,
    INTAKE,
    INTAKE_DELIVERY_LIMIT,
    SHARDS,
    Binding,
    Queue,
    agent_permissions,
    agent_queue,
    agent_topology,
    intake_key,
    intake_queue,
    zone_topology,
)

DOTTED = AgentId("mis.8209901")
LOOKALIKE = AgentId("misx8209901")


def all_queues() -> tuple[Queue, ...]:
    return (zone_topology(2) + agent_topology(DOTTED)).queues


@pytest.mark.parametrize("queue", all_queues(), ids=lambda queue: queue.name)
def test_every_queue_states_what_3_10_and_4_x_would_default_differently(queue: Queue) -> None:
    assert queue.arguments["x-queue-type"] == "quorum"
    assert isinstance(queue.arguments["x-delivery-limit"], int)
    assert queue.arguments["x-overflow"] == "reject-publish"


@pytest.mark.parametrize("queue", [q for q in all_queues() if q.name != DEAD_QUEUE], ids=lambda queue: queue.name)
def test_what_a_queue_gives_up_on_goes_to_the_dead_at_least_once(queue: Queue) -> None:
    assert queue.arguments["x-dead-letter-exchange"] == DEAD
    assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"


def test_nothing_is_dead_lettered_from_the_dead() -> None:
    (dead,) = (queue for queue in zone_topology(1).queues if queue.name == DEAD_QUEUE)

    assert "x-dead-letter-exchange" not in dead.arguments
    assert Binding(DEAD, DEAD_QUEUE, "") in zone_topology(1).bindings


@pytest.mark.parametrize("partitions", [1, 4, 64])
def test_intake_deals_all_shards_evenly_to_its_partitions_each_with_one_active_consumer(partitions: int) -> None:
    zone = zone_topology(partitions)

    names = [intake_queue(n) for n in range(partitions)]
    assert [q.name for q in zone.queues if q.name.startswith("zone.intake.")] == names
    bound = [b for b in zone.bindings if b.exchange == INTAKE]
    assert sorted(b.key for b in bound) == [f"{shard:02x}" for shard in range(SHARDS)]
    assert {sum(b.queue == name for b in bound) for name in names} == {SHARDS // partitions}
    assert all(q.arguments["x-single-active-consumer"] is True for q in zone.queues if q.name in names)
    assert {e.name: e.kind for e in zone.exchanges}[INTAKE] == "direct"


def test_the_intake_key_of_a_learner_is_the_same_for_ever_and_always_bound() -> None:
    keys = {intake_key(f"{n:032X}") for n in range(4000)}

    assert intake_key("A1" * 16) == "77"
    assert keys == {f"{shard:02x}" for shard in range(SHARDS)}


def test_delivery_limits_are_those_that_are_documented() -> None:
    limits = {queue.name: queue.arguments["x-delivery-limit"] for queue in all_queues()}

    assert limits[intake_queue(0)] == INTAKE_DELIVERY_LIMIT
    assert limits[agent_queue(DOTTED)] == AGENT_DELIVERY_LIMIT


def test_an_agents_queue_is_bound_to_delivery_by_its_id() -> None:
    assert agent_topology(DOTTED).bindings == (Binding(DELIVERY, "agent.mis.8209901", "mis.8209901"),)


def test_topology_can_be_declared_in_its_order() -> None:
    whole = zone_topology(3) + agent_topology(DOTTED) + agent_topology(LOOKALIKE)

    exchanges, queues = {e.name for e in whole.exchanges}, {q.name for q in whole.queues}
    assert len(queues) == len(whole.queues)
    assert all(binding.exchange in exchanges and binding.queue in queues for binding in whole.bindings)


# RabbitMQ searches the expression in the name, unanchored; the default exchange is "amq.default".
RESOURCES = (
    INTAKE,
    CONTROL,
    DELIVERY,
    DEAD,
    "amq.default",
    "amq.topic",
    "",
    CONTROL_QUEUE,
    DEAD_QUEUE,
    intake_queue(0),
    agent_queue(DOTTED),
    agent_queue(LOOKALIKE),
    agent_queue(DOTTED) + "0",
    "x" + agent_queue(DOTTED),
    INTAKE + ".x",
    "sifxintake",
)


def test_an_agent_writes_to_intake_and_control_only() -> None:
    allowed = [name for name in RESOURCES if re.search(agent_permissions(DOTTED).write, name)]

    assert allowed == [INTAKE, CONTROL]


def test_an_agent_reads_its_own_queue_only_even_where_a_dot_would_match_anything() -> None:
    allowed = [name for name in RESOURCES if re.search(agent_permissions(DOTTED).read, name)]

    assert allowed == [agent_queue(DOTTED)]


def test_an_agent_configures_nothing() -> None:
    assert [name for name in RESOURCES if name and re.search(agent_permissions(DOTTED).configure, name)] == []


def test_brokers_login_is_no_queue_of_the_zone() -> None:
    assert agent_queue(AgentId(BROKER_LOGIN)) not in {queue.name for queue in zone_topology(4).queues}


def test_names_on_the_wire_do_not_change_by_accident() -> None:
    assert (topology.INTAKE, topology.CONTROL, topology.DELIVERY, topology.DEAD) == (
        "sif.intake",
        "sif.control",
        "sif.delivery",
        "sif.dead",
    )
    assert (intake_queue(3), agent_queue(AgentId("merlin"))) == ("zone.intake.3", "agent.merlin")
