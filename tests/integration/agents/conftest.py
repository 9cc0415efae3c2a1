"""Agents over a broker in memory, and over RabbitMQ."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.protocol.topology import Permissions
from broker.rabbitmq import Management
from broker.transports import AmqpSettings, AmqpTransport, MemoryBroker, MemoryTransport, Transport

Connect = Callable[[str], Callable[[], Transport]]


@pytest.fixture
def memory() -> MemoryBroker:
    """A broker that is this test's alone."""
    return MemoryBroker()


@pytest.fixture(params=["memory", "amqp"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Gives, for a login, what connects it."""
    if request.param == "memory":
        memory: MemoryBroker = request.getfixturevalue("memory")
        return lambda login: lambda: MemoryTransport(memory, login)
    url = request.getfixturevalue("agent_url")
    return lambda login: lambda: AmqpTransport(AmqpSettings(url=url(login)))


@pytest.fixture
def agent_url(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Gives the URL of a login in a virtual host of this test; each login may do everything in it."""
    node = request.getfixturevalue("rabbit_node")
    management: Management = request.getfixturevalue("management")
    vhost: str = request.getfixturevalue("vhost")
    made: list[str] = []

    def url(login: str) -> str:
        if login not in made:
            management.ensure_user(login, "secret")
            management.set_permissions(vhost, login, Permissions(".*", ".*", ".*"))
            made.append(login)
        address: str = node.amqp_url(vhost, login, "secret")
        return address

    yield url
    for login in made:
        management.delete_user(login)


@pytest.fixture
def mis_file(tmp_path: Path) -> Path:
    """The file of a school's agent that reads exports/*.xml."""
    file = tmp_path / "agents" / "mis.toml"
    file.parent.mkdir()
    file.write_text(
        'id = "mis-1"\nsettle = "0s"\n[source]\nconnector = "ctf"\npath = "../exports/*.xml"\nevery = "1h"\n'
        'mapping = ["ctf/learner", "ctf/enrolment"]\n'
    )
    (tmp_path / "exports").mkdir()
    return file


@pytest.fixture
def platform_file(tmp_path: Path) -> Path:
    """The file of an agent that keeps what it receives."""
    file = tmp_path / "platform.toml"
    file.write_text('id = "platform"\n[target]\nconnector = "inbox"\n')
    return file
