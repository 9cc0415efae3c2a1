"""What a private node does before any RabbitMQ runs: its folder, its ports, and finding the server."""

import stat
from pathlib import Path

import pytest

from broker.rabbitmq import NodeError, PrivateNode, RabbitMQMissing
from broker.rabbitmq.node import find_scripts


def install(folder: Path, *names: str) -> Path:
    """Put executable files called *names* into *folder*."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\necho refused to start >&2\nexit 70\n")
        (folder / name).chmod(0o755)
    return folder


SCRIPTS = ("rabbitmq-env", "rabbitmq-server", "rabbitmqctl")


def test_same_folder_is_the_same_node(tmp_path: Path) -> None:
    first, second = PrivateNode(tmp_path / "node"), PrivateNode(tmp_path / "node")

    assert (first.admin_password, first.ports) == (second.admin_password, second.ports)


def test_two_folders_share_neither_password_nor_port(tmp_path: Path) -> None:
    first, second = PrivateNode(tmp_path / "one"), PrivateNode(tmp_path / "two")

    assert first.admin_password != second.admin_password
    assert first.ports != second.ports


def test_what_the_folder_keeps_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    node = PrivateNode(tmp_path / "node")

    assert stat.S_IMODE(node.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((node.folder / "node.json").stat().st_mode) == 0o600


def test_url_carries_names_that_would_break_it_quoted(tmp_path: Path) -> None:
    node = PrivateNode(tmp_path / "node")

    assert (
        node.amqp_url("a/b", "who?", "p@ss:w/rd") == f"amqp://who%3F:p%40ss%3Aw%2Frd@127.0.0.1:{node.ports.amqp}/a%2Fb"
    )


def test_spoilt_identity_is_refused_with_its_path(tmp_path: Path) -> None:
    PrivateNode(tmp_path / "node")
    (tmp_path / "node" / "node.json").write_text('{"admin_user": "x"}')

    with pytest.raises(NodeError, match=r"node\.json"):
        PrivateNode(tmp_path / "node")


def test_generic_installation_on_the_path_comes_before_the_package(tmp_path: Path) -> None:
    generic = install(tmp_path / "opt" / "rabbitmq" / "sbin", *SCRIPTS)
    packaged = install(tmp_path / "packaged", *SCRIPTS)

    assert find_scripts(str(generic), packaged) == generic


def test_debians_wrapper_on_the_path_is_passed_over(tmp_path: Path) -> None:
    wrapper = install(tmp_path / "sbin", "rabbitmq-server", "rabbitmqctl")
    packaged = install(tmp_path / "packaged", *SCRIPTS)

    assert find_scripts(str(wrapper), packaged) == packaged


def test_missing_server_is_refused_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(RabbitMQMissing, match=r"apt-get install .*rabbitmq-server"):
        find_scripts(str(tmp_path), tmp_path / "packaged")


def test_server_that_ends_at_once_is_refused_with_where_to_look(tmp_path: Path) -> None:
    scripts = install(tmp_path / "broken", *SCRIPTS)
    node = PrivateNode(tmp_path / "node", scripts=scripts)

    with pytest.raises(NodeError, match=r"ended while it was starting: see .*node\.log"):
        node.start()
    assert not node.running
    assert "refused to start" in (node.folder / "log" / "output.log").read_text()
