"""A place with a broker in it, to run the same test in memory and over RabbitMQ; and what tests do with transports."""

import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from broker.protocol.topology import Permissions
from broker.rabbitmq import Management, PrivateNode
from broker.transports import AmqpSettings, AmqpTransport, Incoming, MemoryBroker, MemoryTransport, Transport
from tests.integration.transports.proxy import Proxy

EVERYTHING = Permissions(".*", ".*", ".*")
PATIENCE = 30.0  # seconds until a test gives up


class World(Protocol):
    """A broker that is this test's alone."""

    def connect(self, login: str = "tester", prefetch: int = 500) -> Transport:
        """Return a transport of *login*, which may do everything unless it was given other permissions."""

    def allow(self, login: str, permissions: Permissions) -> None:
        """Make *login* with these permissions."""

    def cut(self, transport: Transport) -> None:
        """Break the connection of *transport*."""

    def delete_queue(self, name: str) -> None:
        """Delete a queue behind everybody's back."""

    def close(self) -> None:
        """Close what was connected."""


class MemoryWorld:
    """In memory; each transport has a login of its own, so that it can be cut alone."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self._logins: dict[int, str] = {}
        self._opened: list[Transport] = []

    def connect(self, login: str = "tester", prefetch: int = 500) -> Transport:
        """See World."""
        transport = MemoryTransport(self.broker, login, prefetch)
        self._logins[id(transport)] = login
        self._opened.append(transport)
        return transport

    def allow(self, login: str, permissions: Permissions) -> None:
        """See World."""
        self.broker.allow(login, permissions)

    def cut(self, transport: Transport) -> None:
        """See World."""
        self.broker.disconnect(self._logins[id(transport)])

    def delete_queue(self, name: str) -> None:
        """See World."""
        self.broker.delete_queue(name)

    def close(self) -> None:
        """See World."""
        for transport in self._opened:
            transport.close()


class RabbitWorld:
    """A virtual host of a real RabbitMQ; each transport has a proxy of its own, so that it can be cut alone."""

    def __init__(self, node: PrivateNode, management: Management, vhost: str) -> None:
        self._node, self._management, self._vhost = node, management, vhost
        self._logins: set[str] = set()
        self._proxies: dict[int, Proxy] = {}
        self._opened: list[Transport] = []

    def connect(self, login: str = "tester", prefetch: int = 500) -> Transport:
        """See World."""
        if login not in self._logins:
            self.allow(login, EVERYTHING)
        proxy = Proxy(self._node.ports.amqp)
        url = through(proxy, self._node.amqp_url(self._vhost, self._name(login), "made-up"))
        transport = AmqpTransport(AmqpSettings(url=url, prefetch=prefetch))
        self._proxies[id(transport)] = proxy
        self._opened.append(transport)
        return transport

    def allow(self, login: str, permissions: Permissions) -> None:
        """See World."""
        self._logins.add(login)
        self._management.ensure_user(self._name(login), "made-up")
        self._management.set_permissions(self._vhost, self._name(login), permissions)

    def cut(self, transport: Transport) -> None:
        """See World."""
        self._proxies[id(transport)].cut()

    def delete_queue(self, name: str) -> None:
        """See World."""
        self._node.ctl("delete_queue", "--vhost", self._vhost, name)

    def close(self) -> None:
        """See World."""
        for transport in self._opened:
            transport.close()
        for proxy in self._proxies.values():
            proxy.__exit__(None, None, None)
        for login in self._logins:
            self._management.delete_user(self._name(login))

    def _name(self, login: str) -> str:
        return login


def through(proxy: Proxy, url: str, scheme: str = "amqp") -> str:
    """Return *url* with the proxy's port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme=scheme, netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


def receive(transport: Transport, count: int, *, ack: bool = False) -> list[Incoming]:
    """Return the next *count* messages or more; fewer when patience ends."""
    received: list[Incoming] = []
    until = time.monotonic() + PATIENCE
    while len(received) < count and time.monotonic() < until:
        received += transport.poll(0.2)
        if ack and received:
            transport.ack(received[-1].tag)
    if ack:
        transport.poll(0)
    return received


def receive_nothing_more(transport: Transport, seconds: float = 0.5) -> bool:
    """Tell whether nothing came for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if transport.poll(0.1):
            return False
    return True


def settle(transport: Transport, number: int) -> list[Incoming]:
    """Poll until publish *number* is settled and return what came meanwhile."""
    received: list[Incoming] = []
    poll_until(transport, lambda: transport.confirmed >= number, received)
    return received


def poll_until(transport: Transport, condition: Callable[[], bool], received: list[Incoming] | None = None) -> bool:
    """Poll until *condition* holds and tell whether it does."""
    until = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < until:
        came = transport.poll(0.2)
        if received is not None:
            received += came
    return condition()
