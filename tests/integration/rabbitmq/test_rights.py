"""RabbitMQ holds an agent to its rights by itself, whatever the agent tries."""

from collections.abc import Callable, Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ProbableAuthenticationError

from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    CONTROL,
    CONTROL_QUEUE,
    DELIVERY,
    INTAKE,
    Permissions,
    Topology,
    agent_permissions,
    agent_queue,
    agent_topology,
    intake_key,
    intake_queue,
    zone_topology,
)
from broker.rabbitmq import Management, ManagementError, PrivateNode

MIS = AgentId("mis-8209901")
MERLIN = AgentId("merlin")
PASSWORD = "made up for this test"
EVERYTHING = Permissions(".*", ".*", ".*")
NOTHING = Permissions("^$", "^$", "^$")

ACCESS_REFUSED = 403
PRECONDITION_FAILED = 406


def declare(channel: BlockingChannel, topology: Topology) -> None:
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange.name, exchange.kind, durable=True, arguments=dict(exchange.arguments))
    for queue in topology.queues:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    for binding in topology.bindings:
        channel.queue_bind(binding.queue, binding.exchange, binding.key)


def connect(node: PrivateNode, vhost: str, login: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(node.amqp_url(vhost, login, PASSWORD)))


@pytest.fixture
def zone(amqp_url: str, vhost: str, management: Management) -> Iterator[str]:
    """A zone's virtual host with two agents: their queues, logins and rights."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        declare(channel, zone_topology(2) + agent_topology(MIS) + agent_topology(MERLIN))
    management.apply_rights(vhost, {agent: (PASSWORD, agent_permissions(agent)) for agent in (MIS, MERLIN)})
    yield vhost
    for agent in (MIS, MERLIN):
        management.delete_user(agent)


@pytest.fixture
def mis(rabbit_node: PrivateNode, zone: str) -> Iterator[BlockingChannel]:
    """A channel of the school's agent, which confirms what it takes."""
    connection = connect(rabbit_node, zone, MIS)
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    if connection.is_open:
        connection.close()


def publish(channel: BlockingChannel, exchange: str, key: str, user_id: str = MIS) -> None:
    channel.basic_publish(exchange, key, b"<x/>", pika.BasicProperties(user_id=user_id), mandatory=True)


@pytest.mark.parametrize(("exchange", "key"), [(INTAKE, intake_key("made up")), (CONTROL, CONTROL_QUEUE)])
def test_agent_publishes_to_intake_and_control(mis: BlockingChannel, exchange: str, key: str) -> None:
    publish(mis, exchange, key)

    assert mis.is_open


def test_agent_reads_its_own_queue(mis: BlockingChannel) -> None:
    assert mis.basic_get(agent_queue(MIS)) == (None, None, None)


FORBIDDEN: dict[str, Callable[[BlockingChannel], object]] = {
    "declare a queue": lambda channel: channel.queue_declare("mine", durable=True),
    "declare its own queue": lambda channel: channel.queue_declare(agent_queue(MIS), durable=True),
    "declare an exchange": lambda channel: channel.exchange_declare("mine"),
    "delete its own queue": lambda channel: channel.queue_delete(agent_queue(MIS)),
    "empty another's queue": lambda channel: channel.queue_purge(agent_queue(MERLIN)),
    "read another's queue": lambda channel: channel.basic_get(agent_queue(MERLIN)),
    "read the intake": lambda channel: channel.basic_get(intake_queue(0)),
    "read the dead": lambda channel: channel.basic_get("zone.dead"),
    "bind its queue to the intake": lambda channel: channel.queue_bind(agent_queue(MIS), INTAKE, "1"),
    "publish to a queue": lambda channel: publish(channel, "", agent_queue(MERLIN)),
    "publish a delivery": lambda channel: publish(channel, DELIVERY, MERLIN),
}


@pytest.mark.parametrize("attempt", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_agent_is_refused(mis: BlockingChannel, attempt: Callable[[BlockingChannel], object]) -> None:
    with pytest.raises(ChannelClosedByBroker) as refusal:
        attempt(mis)

    assert refusal.value.reply_code == ACCESS_REFUSED


def test_agent_cannot_publish_as_another(mis: BlockingChannel) -> None:
    with pytest.raises(ChannelClosedByBroker) as refusal:
        publish(mis, INTAKE, "key", user_id=MERLIN)

    assert refusal.value.reply_code == PRECONDITION_FAILED


def test_wrong_password_does_not_connect(rabbit_node: PrivateNode, zone: str) -> None:
    with pytest.raises(ProbableAuthenticationError):
        pika.BlockingConnection(pika.URLParameters(rabbit_node.amqp_url(zone, MIS, "wrong")))


def test_rights_that_are_so_already_write_nothing(management: Management, zone: str) -> None:
    wanted = {agent: (PASSWORD, agent_permissions(agent)) for agent in (MIS, MERLIN)}

    assert management.apply_rights(zone, wanted) == ()


def test_changed_password_and_changed_right_are_written_and_nothing_else(
    management: Management, rabbit_node: PrivateNode, zone: str
) -> None:
    wanted = {MIS: ("another", agent_permissions(MIS)), MERLIN: (PASSWORD, NOTHING)}

    assert management.apply_rights(zone, wanted) == (MERLIN, MIS)
    assert management.apply_rights(zone, wanted) == ()
    assert management.permissions(zone)[MERLIN] == NOTHING
    with pytest.raises(ProbableAuthenticationError):
        connect(rabbit_node, zone, MIS)


def test_login_that_is_not_wanted_loses_its_rights_and_its_connection(
    management: Management, zone: str, mis: BlockingChannel
) -> None:
    changed = management.apply_rights(zone, {MERLIN: (PASSWORD, agent_permissions(MERLIN))})

    assert changed == (MIS,)
    assert MIS not in management.permissions(zone)
    with pytest.raises(AMQPError):
        publish(mis, INTAKE, "key")


def test_rights_in_another_virtual_host_stay(management: Management, zone: str) -> None:
    management.set_permissions("/", MIS, NOTHING)

    management.apply_rights(zone, {})

    assert management.permissions("/")[MIS] == NOTHING


def test_our_own_login_keeps_its_rights(management: Management, zone: str) -> None:
    management.apply_rights(zone, {})

    assert management.permissions(zone) == {management.user: EVERYTHING}


def test_user_of_the_same_name_with_tags_loses_them(
    management: Management, rabbit_node: PrivateNode, zone: str
) -> None:
    rabbit_node.ctl("set_user_tags", MIS, "administrator")

    assert management.ensure_user(MIS, PASSWORD)
    with Management(rabbit_node.management_url, MIS, PASSWORD) as api, pytest.raises(ManagementError, match="tag"):
        api.permissions(zone)


def test_rights_in_a_virtual_host_that_is_not_there_are_refused(management: Management) -> None:
    with pytest.raises(ManagementError, match="no such virtual host"):
        management.permissions("no-such-vhost")


def test_deleting_what_is_not_there_is_no_fault(management: Management) -> None:
    management.delete_vhost("no-such-vhost")
    management.delete_user("no-such-login")

    assert "no-such-login" not in management.permissions("/")


def test_queues_are_listed_with_what_they_hold(management: Management, zone: str) -> None:
    assert management.queues(zone) == dict.fromkeys(
        ("zone.intake.0", "zone.intake.1", "zone.control", "zone.dead", "agent.merlin", "agent.mis-8209901"), (0, 0)
    )
