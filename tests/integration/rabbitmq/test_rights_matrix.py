"""What RabbitMQ lets an agent do, verb by verb: nothing with what is another's, and its own two things with its own.

Agents at the gateway have no login at all: their queues are the zone's.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ProbableAuthenticationError

from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    BROKER_LOGIN,
    CONTROL,
    CONTROL_QUEUE,
    DEAD,
    DEAD_QUEUE,
    DELIVERY,
    INTAKE,
    Permissions,
    agent_permissions,
    agent_queue,
    agent_topology,
    gateway_topology,
    intake_key,
    intake_queue,
    person_queue,
    person_topology,
    requests_key,
    requests_queue,
    zone_topology,
)
from broker.rabbitmq import Management, PrivateNode
from broker.settings import load_zone
from broker.supervisor import zone_rights

AGENTS: Final = (AgentId("mis-8209901"), AgentId("mis-820990"), AgentId("virtual.school"), AgentId("platform"))
"""With accounts of their own; one's id begins like another's, and one has a character that regular expressions know."""
AT_GATEWAY: Final = (AgentId("loans"), AgentId("virtual-school"))
REQUEST: Final = "0F2C6A8E4B1D49738A5C0E2D7B6F1A90"
QUEUES: Final = (
    *(agent_queue(agent) for agent in (*AGENTS, *AT_GATEWAY)),
    *(requests_queue(agent) for agent in AT_GATEWAY),
    person_queue(REQUEST),
    intake_queue(0),
    intake_queue(1),
    CONTROL_QUEUE,
    DEAD_QUEUE,
)
EXCHANGES: Final = ("", INTAKE, CONTROL, DELIVERY, DEAD, "amq.direct", "amq.fanout", "amq.topic", "amq.headers")
KEYS: Final = (
    *QUEUES,
    *(str(agent) for agent in (*AGENTS, *AT_GATEWAY)),
    *(requests_key(agent) for agent in AT_GATEWAY),
    intake_key("made up"),
    "",
)
PASSWORD: Final = "made up for this test"
REFUSED: Final = 403
_EVERYTHING: Final = Permissions(".*", ".*", ".*")

Attempt = Callable[[BlockingChannel], object]
Attempts = dict[str, Attempt]


@pytest.fixture(scope="module")
def vhost(rabbit_node: PrivateNode) -> Iterator[str]:
    """A zone's virtual host with all its queues and logins, one for all tests here: they change nothing in it."""
    name = "rights-matrix"
    logins = {agent: (PASSWORD, agent_permissions(agent)) for agent in AGENTS}
    with Management(rabbit_node.management_url, rabbit_node.admin_user, rabbit_node.admin_password) as management:
        management.ensure_vhost(name)
        topology = zone_topology(2) + person_topology(REQUEST)
        for agent in AGENTS:
            topology += agent_topology(agent)
        for agent in AT_GATEWAY:
            topology += gateway_topology(agent)
        with pika.BlockingConnection(pika.URLParameters(rabbit_node.amqp_url(name))) as connection:
            channel = connection.channel()
            for exchange in topology.exchanges:
                channel.exchange_declare(exchange.name, exchange.kind, durable=True)
            for queue in topology.queues:
                channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
            for binding in topology.bindings:
                channel.queue_bind(binding.queue, binding.exchange, binding.key)
        management.apply_rights(name, logins | {AgentId(BROKER_LOGIN): (PASSWORD, _EVERYTHING)})
        yield name
        management.delete_vhost(name)
        for login in (*AGENTS, BROKER_LOGIN):
            management.delete_user(login)


@pytest.fixture(scope="module", params=AGENTS)
def agent(request: pytest.FixtureRequest) -> AgentId:
    """Each agent in turn."""
    return AgentId(request.param)


@pytest.fixture(scope="module")
def connection(rabbit_node: PrivateNode, vhost: str, agent: AgentId) -> Iterator[pika.BlockingConnection]:
    """The agent's one connection; each attempt has a channel of its own, since a refusal closes it."""
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.amqp_url(vhost, agent, PASSWORD))) as made:
        yield made


def refusals(connection: pika.BlockingConnection, attempts: Attempts) -> dict[str, int]:
    """Return with what code each attempt was refused; 0 where it was not."""
    found: dict[str, int] = {}
    for name, attempt in attempts.items():
        channel = connection.channel()
        try:
            channel.confirm_delivery()
            attempt(channel)
        except ChannelClosedByBroker as error:
            found[name] = error.reply_code
        else:
            found[name] = 0
            channel.close()
    return found


def on_queues(do: Callable[[BlockingChannel, str], object], queues: tuple[str, ...]) -> Attempts:
    """Return *do* with each of *queues*."""
    return {queue: lambda channel, queue=queue: do(channel, queue) for queue in queues}  # type: ignore[misc]


def publish(channel: BlockingChannel, exchange: str, key: str, sender: AgentId) -> None:
    channel.basic_publish(exchange, key, b"<x/>", pika.BasicProperties(user_id=sender))


def bind_to_itself(channel: BlockingChannel, queue: str) -> None:
    channel.queue_bind(queue, DELIVERY, "eavesdropped")


NOT_ITS_OWN: Final[dict[str, Callable[[BlockingChannel, str], object]]] = {
    "get": lambda channel, queue: channel.basic_get(queue),
    "consume": lambda channel, queue: channel.basic_consume(queue, lambda *_: None),
    "purge": lambda channel, queue: channel.queue_purge(queue),
}
NO_ONE: Final[dict[str, Callable[[BlockingChannel, str], object]]] = {
    "bind": bind_to_itself,
    "unbind": lambda channel, queue: channel.queue_unbind(queue, DELIVERY, queue),
    "delete": lambda channel, queue: channel.queue_delete(queue),
    "declare": lambda channel, queue: channel.queue_declare(queue, durable=True),
}


@pytest.mark.parametrize("verb", NOT_ITS_OWN.values(), ids=NOT_ITS_OWN.keys())
def test_agent_reads_and_empties_no_queue_but_its_own(
    connection: pika.BlockingConnection, agent: AgentId, verb: Callable[[BlockingChannel, str], object]
) -> None:
    found = refusals(connection, on_queues(verb, QUEUES))

    assert found == {queue: 0 if queue == agent_queue(agent) else REFUSED for queue in QUEUES}


@pytest.mark.parametrize("verb", NO_ONE.values(), ids=NO_ONE.keys())
def test_agent_binds_deletes_and_declares_no_queue_not_even_its_own(
    connection: pika.BlockingConnection, verb: Callable[[BlockingChannel, str], object]
) -> None:
    queues = (*QUEUES, "agent.new", "person.new", "requests.new")

    assert refusals(connection, on_queues(verb, queues)) == dict.fromkeys(queues, REFUSED)


def test_agent_declares_and_deletes_no_exchange_and_binds_none_to_another(
    connection: pika.BlockingConnection,
) -> None:
    attempts: Attempts = {"declare new": lambda channel: channel.exchange_declare("mine", durable=True)}
    for name in (INTAKE, CONTROL, DELIVERY, DEAD):
        attempts |= {
            f"declare {name}": lambda channel, name=name: channel.exchange_declare(name, "direct", durable=True),  # type: ignore[misc]
            f"delete {name}": lambda channel, name=name: channel.exchange_delete(name),  # type: ignore[misc]
            f"copy {name}": lambda channel, name=name: channel.exchange_bind(INTAKE, name, "copied"),  # type: ignore[misc]
        }

    assert refusals(connection, attempts) == dict.fromkeys(attempts, REFUSED)


def test_agent_publishes_to_intake_and_control_and_nowhere_else_under_any_key(
    connection: pika.BlockingConnection, agent: AgentId
) -> None:
    attempts: Attempts = {
        f"{exchange} {key}": lambda channel, exchange=exchange, key=key: publish(channel, exchange, key, agent)  # type: ignore[misc]
        for exchange in EXCHANGES
        for key in KEYS
    }

    assert refusals(connection, attempts) == {
        f"{exchange} {key}": 0 if exchange in (INTAKE, CONTROL) else REFUSED for exchange in EXCHANGES for key in KEYS
    }


def test_agent_publishes_as_nobody_else(connection: pika.BlockingConnection, agent: AgentId) -> None:
    others = [name for name in (*AGENTS, *AT_GATEWAY, AgentId(BROKER_LOGIN)) if name != agent]
    attempts: Attempts = {
        name: lambda channel, name=name: publish(channel, INTAKE, intake_key("made up"), name)  # type: ignore[misc]
        for name in others
    }

    assert refusals(connection, attempts) == dict.fromkeys(others, 406)  # PRECONDITION_FAILED, by user_id


_ZONE: Final = """
id = "rights"
[agents.platform]
name = "Platform"
[agents.loans]
name = "Loans"
[agents.loans.gateway]
"""


def test_agents_at_the_gateway_are_given_no_login(tmp_path: Path) -> None:
    (tmp_path / "zone.toml").write_text(_ZONE)

    assert zone_rights(load_zone(tmp_path)).keys() == {"platform", BROKER_LOGIN}


def test_nobody_logs_in_as_an_agent_at_the_gateway(rabbit_node: PrivateNode, vhost: str) -> None:
    for agent in AT_GATEWAY:
        with pytest.raises(ProbableAuthenticationError):
            pika.BlockingConnection(pika.URLParameters(rabbit_node.amqp_url(vhost, agent, PASSWORD)))
