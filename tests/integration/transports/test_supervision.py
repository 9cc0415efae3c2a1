"""What the transport over RabbitMQ survives: everything that can happen to a connection ends in consuming again."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pika
import pika.frame
import pika.spec
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import DELIVERY, Exchange, Topology, agent_queue, agent_topology, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.transports import AmqpSettings, AmqpTransport, Incoming, Outgoing, TransportLost
from tests.integration.transports.proxy import Proxy
from tests.integration.transports.worlds import EVERYTHING, PATIENCE, poll_until, receive, settle, through

ANNA, BEN, NEW = AgentId("anna"), AgentId("ben"), AgentId("new")
TO_ANNA = Outgoing(DELIVERY, ANNA, b"<x/>", "M")


@pytest.fixture
def proxy(rabbit_node: PrivateNode) -> Iterator[Proxy]:
    """A breakable network to the node."""
    with Proxy(rabbit_node.ports.amqp) as made:
        yield made


@pytest.fixture
def transport(proxy: Proxy, amqp_url: str) -> Iterator[AmqpTransport]:
    """A transport through the proxy that consumes anna's queue and is quick to notice things."""
    with AmqpTransport(quick(through(proxy, amqp_url))) as made:
        open_zone(made)
        yield made


@pytest.fixture(scope="module")
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A node that may be stopped and starved."""
    with PrivateNode(tmp_path_factory.mktemp("own")) as node:
        yield node


@pytest.fixture
def own_transport(own_node: PrivateNode) -> Iterator[AmqpTransport]:
    """A transport on that node that consumes anna's queue."""
    # Commands to the node take seconds in which nobody polls: the heartbeat is not to be missed over them.
    settings = quick(own_node.amqp_url("/"), timedelta(seconds=1), heartbeat=timedelta(seconds=30))
    with AmqpTransport(settings) as made:
        open_zone(made)
        yield made


def quick(url: str, publish_deadline: timedelta = timedelta(seconds=20), **more: object) -> AmqpSettings:
    """Return settings that notice silence after two seconds."""
    return AmqpSettings.model_validate(
        {
            "url": url,
            "heartbeat": timedelta(seconds=1),
            "connect_timeout": timedelta(seconds=1),
            "publish_deadline": publish_deadline,
            **more,
        }
    )


def open_zone(transport: AmqpTransport) -> None:
    """Declare a zone with anna, and consume her queue."""
    transport.declare(zone_topology(1))
    transport.declare(agent_topology(ANNA))
    transport.consume([agent_queue(ANNA)])


def await_loss(transport: AmqpTransport, match: str | None = None) -> None:
    """Poll until a loss is told."""
    with pytest.raises(TransportLost, match=match):
        poll_until(transport, lambda: False)


def assert_works(transport: AmqpTransport) -> None:
    """Publish to anna and receive it."""
    came: list[Incoming] = []
    number = transport.publish(Outgoing(DELIVERY, ANNA, b"<again/>", "AGAIN"))
    assert poll_until(
        transport, lambda: transport.confirmed >= number and "AGAIN" in {message.message_id for message in came}, came
    )
    transport.ack(came[-1].tag)
    transport.poll(0)
    assert transport.refusals() == []


def keeps_trying(transport: AmqpTransport, times: int) -> bool:
    """Poll until so many connections have failed; tell whether that was logged alone: neither message nor loss told."""
    until = time.monotonic() + PATIENCE
    with structlog.testing.capture_logs() as logs:
        while len(logs) < times and time.monotonic() < until:
            if transport.poll(0.2):
                return False
    return [entry["event"] for entry in logs] == ["transport_still_lost"] * times


def is_silent(transport: AmqpTransport, seconds: float) -> bool:
    """Poll for a while and tell whether neither message nor loss was told."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if transport.poll(0.2):
            return False
    return True


def test_a_cut_connection_is_made_again(transport: AmqpTransport, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.cut()
        await_loss(transport)
        assert_works(transport)


def test_a_black_hole_is_noticed(transport: AmqpTransport, proxy: Proxy) -> None:
    assert_works(transport)
    proxy.freeze()
    await_loss(transport, "silent")
    assert keeps_trying(transport, 1)  # a new connection finds the same, and that is told no second time
    proxy.thaw()

    assert_works(transport)


def test_a_black_hole_is_noticed_while_publishing_without_end(transport: AmqpTransport, proxy: Proxy) -> None:
    proxy.freeze()

    def publish_more() -> bool:
        transport.publish(Outgoing(DELIVERY, ANNA, b"x" * 100_000, "M"))
        return False

    with pytest.raises(TransportLost):
        poll_until(transport, publish_more)
    proxy.thaw()

    assert_works(transport)


def test_refused_connections_are_told_once_and_tried_on(proxy: Proxy, amqp_url: str) -> None:
    proxy.refuse()
    with AmqpTransport(quick(through(proxy, amqp_url))) as transport:
        await_loss(transport)
        began = time.monotonic()
        assert keeps_trying(transport, 3)
        assert time.monotonic() - began > 0.5  # pauses of 0.1, 0.2 and 0.4 seconds
        proxy.listen()
        open_zone(transport)

        assert_works(transport)


def test_an_unconfirmed_publish_is_a_loss_after_its_deadline(proxy: Proxy, amqp_url: str) -> None:
    settings = quick(through(proxy, amqp_url), timedelta(seconds=1), heartbeat=timedelta(seconds=30))
    with AmqpTransport(settings) as transport:
        open_zone(transport)
        assert_works(transport)
        proxy.swallow(True)
        number = transport.publish(TO_ANNA)
        await_loss(transport, "not confirmed within 1 s")
        assert transport.confirmed == number
        proxy.swallow(False)

        assert_works(transport)


def test_a_publish_that_cannot_even_be_sent_has_a_deadline_too(proxy: Proxy, amqp_url: str) -> None:
    proxy.refuse()
    with AmqpTransport(quick(through(proxy, amqp_url), timedelta(seconds=0.3))) as transport:
        await_loss(transport)
        transport.publish(TO_ANNA)
        await_loss(transport, "not confirmed within 0.3 s")
        assert is_silent(transport, 0.6)


def test_messages_of_a_connection_that_never_became_ready_are_not_handed_over(proxy: Proxy, amqp_url: str) -> None:
    with AmqpTransport(quick(amqp_url)) as publisher:
        open_zone(publisher)
        publisher.declare(agent_topology(BEN))
    with AmqpTransport(quick(amqp_url)) as publisher:
        for number in range(3):
            publisher.publish(Outgoing(DELIVERY, ANNA, b"%d" % number, f"M{number}"))
        settle(publisher, 3)
    proxy.hide(pika.frame.Method(1, pika.spec.Basic.ConsumeOk("1")).marshal())  # ben's queue never answers
    with AmqpTransport(quick(through(proxy, amqp_url), timedelta(seconds=0.2))) as transport:
        transport.consume([agent_queue(ANNA), agent_queue(BEN)])
        await_loss(transport, "did not answer while connecting")
        assert keeps_trying(transport, 1)  # anna's messages come on each attempt
        proxy.hide(b"")

        received = receive(transport, 3, ack=True)
        assert [message.body for message in received] == [b"0", b"1", b"2"]
        assert_works(transport)


def test_a_restart_of_rabbitmq_loses_nothing_confirmed(own_node: PrivateNode, own_transport: AmqpTransport) -> None:
    with AmqpTransport(quick(own_node.amqp_url("/"))) as publisher:
        for number in range(50):
            publisher.publish(Outgoing(DELIVERY, ANNA, b"%02d" % number, f"M{number}"))
        settle(publisher, 50)
        assert publisher.refusals() == []
    own_node.restart()
    await_loss(own_transport)

    received = receive(own_transport, 50, ack=True)
    assert [message.body for message in received] == [b"%02d" % number for number in range(50)]
    assert_works(own_transport)


def test_a_new_queue_keeps_what_it_holds_over_a_kill_once_it_is_synced(own_node: PrivateNode) -> None:
    with AmqpTransport(quick(own_node.amqp_url("/"))) as transport:
        transport.declare(zone_topology(1))
        transport.declare(agent_topology(NEW))
        for number in range(5):
            transport.publish(Outgoing(DELIVERY, NEW, b"%d" % number, f"M{number}"))
        settle(transport, 5)
        own_node.sync()
        own_node.kill()
        own_node.start()
        await_loss(transport)
        transport.consume([agent_queue(NEW)])

        received = receive(transport, 5, ack=True)
        assert [message.body for message in received] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_killed_rabbitmq_is_waited_for(own_node: PrivateNode, own_transport: AmqpTransport) -> None:
    assert_works(own_transport)
    own_node.kill()
    await_loss(own_transport)
    assert keeps_trying(own_transport, 3)
    own_node.start()

    assert_works(own_transport)


def test_a_memory_alarm_suspends_the_deadline(own_node: PrivateNode, own_transport: AmqpTransport) -> None:
    assert_works(own_transport)
    own_node.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        with structlog.testing.capture_logs() as logs:
            number = own_transport.publish(TO_ANNA)
            assert is_silent(own_transport, 1.5)  # the deadline is one second
        assert [entry["event"] for entry in logs] == ["transport_blocked"]
        assert own_transport.confirmed == number - 1
    finally:
        own_node.ctl("set_vm_memory_high_watermark", "0.6")

    assert poll_until(own_transport, lambda: own_transport.confirmed == number)


@pytest.mark.parametrize("wrong", ["password", "user", "vhost"])
def test_a_wrong_login_is_told_at_once_with_a_remedy(rabbit_node: PrivateNode, vhost: str, wrong: str) -> None:
    url = rabbit_node.amqp_url(
        "none" if wrong == "vhost" else vhost,
        "nobody" if wrong == "user" else None,
        "made-up" if wrong == "password" else None,
    )
    with AmqpTransport(quick(url)) as transport, pytest.raises(ConfigurationError, match="check user name") as told:
        poll_until(transport, lambda: False)
    assert "made-up" not in str(told.value)


def test_a_login_that_is_refused_later_is_tried_on(
    rabbit_node: PrivateNode, management: Management, vhost: str, proxy: Proxy
) -> None:
    management.ensure_user("moved", "first")
    management.set_permissions(vhost, "moved", EVERYTHING)
    try:
        url = through(proxy, rabbit_node.amqp_url(vhost, "moved", "first"))
        with AmqpTransport(quick(url)) as transport:
            open_zone(transport)
            transport.poll(0.1)
            management.ensure_user("moved", "second")
            proxy.cut()
            await_loss(transport)
            assert keeps_trying(transport, 2)
            management.ensure_user("moved", "first")

            assert_works(transport)
    finally:
        management.delete_user("moved")


def test_a_topology_that_the_peer_refuses_is_told_with_a_remedy(transport: AmqpTransport) -> None:
    with pytest.raises(ConfigurationError, match="give the login the right"):
        transport.declare(Topology((Exchange("strange", "x-no-such-type"),), (), ()))

    assert_works(transport)


START = pika.frame.Method(0, pika.spec.Connection.Start(server_properties={})).marshal()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b"\x01\0\0\0\0\0\x04abcd\xce", START, b""],
    ids=["http", "other version", "no method", "breaks off at the login", "nothing"],
)
def test_a_peer_that_does_not_speak_amqp_to_the_end_is_a_loss(answer: bytes) -> None:
    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.sendall(answer)
            client.recv(8)
            client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f"amqp://tester:made-up@127.0.0.1:{listener.getsockname()[1]}/"
        with AmqpTransport(quick(url)) as transport:
            await_loss(transport)
        listener.shutdown(socket.SHUT_RDWR)


def test_losses_are_logged_without_the_password(proxy: Proxy, amqp_url: str, rabbit_node: PrivateNode) -> None:
    settings = quick(through(proxy, amqp_url))
    with structlog.testing.capture_logs() as logs, AmqpTransport(settings) as transport:
        open_zone(transport)
        proxy.cut()
        await_loss(transport)
        assert_works(transport)

    assert [entry["event"] for entry in logs] == ["transport_connected", "transport_lost", "transport_connected"]
    assert rabbit_node.admin_password not in repr((logs, settings, transport))


def test_tls_is_checked_against_the_given_authority(rabbit_node: PrivateNode, amqp_url: str, tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    make_certificate(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Proxy(rabbit_node.ports.amqp, context) as proxy:
        url = through(proxy, amqp_url, "amqps")
        with AmqpTransport(quick(url, ca_file=certificate)) as transport:
            open_zone(transport)
            assert_works(transport)
        with AmqpTransport(quick(url)) as stranger:
            await_loss(stranger, "certificate")


def make_certificate(path: Path) -> None:
    """Write a certificate of 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made up")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
