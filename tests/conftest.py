"""What many tests need: a real RabbitMQ, one node for the run and a virtual host for each test; a pipe as bait."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from broker.rabbitmq import Management, PrivateNode

# The suite draws the same examples each time: what passes for one passes for all. The long runs look for new ones.
hypothesis.settings.register_profile("suite", derandomize=True)
hypothesis.settings.register_profile("long", derandomize=False)
hypothesis.settings.load_profile("long" if os.environ.get("SIFZONE_LONG") == "1" else "suite")

if sys.dont_write_bytecode:
    # Compiled modules are kept, beside what pytest keeps, even where the environment says otherwise: the tests start
    # some hundreds of processes, each of which would compile all of the project first.
    _COMPILED = Path(__file__).parents[1] / ".pytest_cache" / "compiled"
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(_COMPILED)
    sys.dont_write_bytecode = os.environ.pop("PYTHONDONTWRITEBYTECODE", None) is None


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


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, threading.Event]]:
    """A named pipe, evil.xsd in the test's folder, and whether anybody has opened it to read."""
    path = tmp_path / "evil.xsd"
    os.mkfifo(path)
    opened = threading.Event()
    over = threading.Event()

    def wait_for_a_reader() -> None:
        with path.open("wb"):  # returns when somebody opens the other end
            if not over.is_set():
                opened.set()

    waiting = threading.Thread(target=wait_for_a_reader)
    waiting.start()
    yield path, opened
    over.set()
    if not opened.is_set():
        path.open("rb").close()
    waiting.join()
