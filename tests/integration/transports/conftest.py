"""Worlds for tests of transports: in memory and over RabbitMQ."""

from collections.abc import Iterator

import pytest

from broker.rabbitmq import Management, PrivateNode
from tests.integration.transports.worlds import MemoryWorld, RabbitWorld, World


@pytest.fixture(params=["memory", "amqp"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A broker that is this test's alone."""
    made: World
    if request.param == "memory":
        made = MemoryWorld()
    else:
        node: PrivateNode = request.getfixturevalue("rabbit_node")
        management: Management = request.getfixturevalue("management")
        vhost: str = request.getfixturevalue("vhost")
        made = RabbitWorld(node, management, vhost)
    yield made
    made.close()
