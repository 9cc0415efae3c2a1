"""Fixtures for every test that needs a real RabbitMQ: one node for the run, a virtual host for each test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from broker.rabbitmq import Management, PrivateNode


@pytest.fixture(scope="session")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A node for the run. A test that stops, kills or breaks it starts a node of its own instead."""
    with PrivateNode(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def management(rabbit_node: PrivateNode) -> Iterator[Management]:
    """The node's management API, as its administrator."""
    with Management(rabbit_node.management_url, rabbit_node.admin_user, rabbit_node.admin_password) as api:
        yield api


@pytest.fixture
def vhost(management: Management) -> Iterator[str]:
    """A virtual host that belongs to this test alone."""
    name = f"test-{uuid4().hex[:12]}"
    management.ensure_vhost(name)
    yield name
    management.delete_vhost(name)


@pytest.fixture
def amqp_url(rabbit_node: PrivateNode, vhost: str) -> str:
    """The URL of this test's virtual host, as the administrator, who may do everything in it."""
    return rabbit_node.amqp_url(vhost)
