"""A private node's life: what survives it, and that nothing of it survives its owner."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pika
import psutil
import pytest

from broker.rabbitmq import Management, NodeError, PrivateNode

QUORUM = {"x-queue-type": "quorum"}


def processes(folder: Path) -> list[psutil.Process]:
    """Return every process that runs on behalf of the node in *folder*."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(folder):
                found.append(process)
        except psutil.Error:  # gone, or somebody else's
            continue
    return found


def none_left(folder: Path, seconds: float) -> bool:
    """Tell whether all processes of the node in *folder* have ended, at the latest after *seconds*."""
    deadline = time.monotonic() + seconds
    while processes(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def publish(node: PrivateNode, body: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(node.amqp_url("/"))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments=QUORUM)
        channel.basic_publish("", "kept", body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def bodies(node: PrivateNode) -> list[bytes]:
    """Read all of the queue and leave it as it was."""
    with pika.BlockingConnection(pika.URLParameters(node.amqp_url("/"))) as connection:
        channel = connection.channel()
        found = []
        while (body := channel.basic_get("kept")[2]) is not None:
            found.append(body)
        return found


def test_confirmed_messages_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    node = PrivateNode(tmp_path / "a node")  # a blank in the path is nothing special
    with node:
        publish(node, b"before the restart")
        address = node.amqp_url("/")
        node.restart()
        publish(node, b"before the kill")
        node.kill()
        assert none_left(node.folder, seconds=0.0)
        node.start()

        assert bodies(node) == [b"before the restart", b"before the kill"]
        assert node.amqp_url("/") == address
    assert none_left(node.folder, seconds=0.0)


def test_kill_9_of_the_owner_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    program = (
        "import sys, time; from pathlib import Path; from broker.rabbitmq import PrivateNode\n"
        "PrivateNode(Path(sys.argv[1])).start()\n"
        "print('started', flush=True); time.sleep(600)"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as owner:
        assert owner.stdout is not None
        try:
            while owner.stdout.readline() != "started\n":
                assert owner.poll() is None
            assert {"beam.smp", "epmd"} <= {process.name() for process in processes(folder)}
        finally:
            os.kill(owner.pid, signal.SIGKILL)

    assert none_left(folder, seconds=15.0)


def test_folder_of_a_running_node_is_refused(rabbit_node: PrivateNode) -> None:
    second = PrivateNode(rabbit_node.folder, start_timeout=0.1)

    with pytest.raises(NodeError, match="another process runs the RabbitMQ node"):
        second.start()


def test_starting_a_running_node_changes_nothing(rabbit_node: PrivateNode) -> None:
    before = {process.pid for process in processes(rabbit_node.folder)}

    rabbit_node.start()

    assert {process.pid for process in processes(rabbit_node.folder)} >= before


def test_nothing_of_the_node_listens_beyond_loopback(rabbit_node: PrivateNode) -> None:
    listening = {
        (socket.laddr.ip, socket.laddr.port)
        for process in processes(rabbit_node.folder)
        for socket in process.net_connections()
        if socket.status == psutil.CONN_LISTEN
    }
    ports = rabbit_node.ports

    assert {ip for ip, _ in listening} <= {"127.0.0.1", "::1"}
    assert {port for _, port in listening} == {ports.amqp, ports.management, ports.distribution, ports.epmd}


def test_secrets_are_in_files_of_the_owner_alone_and_in_no_command_line(rabbit_node: PrivateNode) -> None:
    for name in ("node.json", "advanced.config", ".erlang.cookie"):
        assert stat.S_IMODE((rabbit_node.folder / name).stat().st_mode) == 0o600
    cookie = (rabbit_node.folder / ".erlang.cookie").read_text()
    told = " ".join(word for process in processes(rabbit_node.folder) for word in process.cmdline())

    assert "beam.smp" in told
    assert rabbit_node.admin_password not in told
    assert cookie not in told


def test_there_is_no_guest(rabbit_node: PrivateNode) -> None:
    answer = httpx.get(f"{rabbit_node.management_url}/api/whoami", auth=("guest", "guest"), trust_env=False)

    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_a_message_may_have_64_mebibytes(rabbit_node: PrivateNode) -> None:
    assert rabbit_node.ctl("eval", "application:get_env(rabbit, max_message_size).").strip() == "{ok,67108864}"


def test_ctl_that_fails_says_what_rabbitmqctl_said(rabbit_node: PrivateNode) -> None:
    with pytest.raises(NodeError, match=r"rabbitmqctl delete_vhost failed: .*no-such-vhost"):
        rabbit_node.ctl("delete_vhost", "no-such-vhost")


def test_the_node_has_all_that_a_zone_needs(management: Management) -> None:
    management.check_server()

    assert management.version().split(".")[0] in {"3", "4"}
