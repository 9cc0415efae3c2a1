"""The gateway's link to RabbitMQ, in memory and for real: confirms, refusals, messages, losses."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from broker.gateway.link import Link
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import DELIVERY, agent_queue, gateway_topology, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.transports.contract import Incoming, Outgoing, PublishRefused, Transport, TransportLost
from tests.integration.transports.worlds import MemoryWorld, RabbitWorld, World

VLE = AgentId("vle")
TOPOLOGY = zone_topology(1) + gateway_topology(VLE)


@pytest.fixture(params=["memory", "amqp"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A broker that is this test's alone."""
    made: World = MemoryWorld()
    if request.param == "amqp":
        node: PrivateNode = request.getfixturevalue("rabbit_node")
        management: Management = request.getfixturevalue("management")
        made = RabbitWorld(node, management, request.getfixturevalue("vhost"))
    yield made
    made.close()


class Received:
    """What a link was handed, and how often it was lost."""

    def __init__(self) -> None:
        self.messages: list[Incoming] = []
        self.losses = 0

    def lost(self) -> None:
        self.losses += 1

    def ids(self) -> list[str]:
        return [message.message_id for message in self.messages]


Test = Callable[[Link, Transport, Received], Awaitable[None]]


def with_link(world: World, test: Test) -> None:
    """Run *test* with a link on a transport of its own."""

    async def run() -> None:
        transport = world.connect()
        received = Received()
        link = Link(transport, received.messages.append, received.lost)
        link.declare(TOPOLOGY)
        try:
            await test(link, transport, received)
        finally:
            await link.close()

    asyncio.run(run())


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def message(number: int, key: str = VLE) -> Outgoing:
    return Outgoing(DELIVERY, key, b"<x/>", f"{number:032}", "SIF_Event")


def test_a_publish_returns_when_it_is_confirmed_and_the_message_comes(world: World) -> None:
    async def test(link: Link, transport: Transport, received: Received) -> None:
        link.consume([agent_queue(VLE)])

        await asyncio.gather(*(link.publish(message(n)) for n in range(50)))

        assert transport.confirmed >= 50
        await until(lambda: len(received.messages) == 50)
        assert received.ids() == [f"{n:032}" for n in range(50)]

    with_link(world, test)


def test_what_nobody_takes_is_refused_to_its_publisher_alone(world: World) -> None:
    async def test(link: Link, _transport: Transport, _received: Received) -> None:
        answers = await asyncio.gather(
            link.publish(message(1)),
            link.publish(message(2, "no-such-key")),
            link.publish(message(3)),
            return_exceptions=True,
        )

        assert [type(answer) for answer in answers] == [type(None), PublishRefused, type(None)]

    with_link(world, test)


def test_what_is_acknowledged_does_not_come_again_and_the_rest_does(world: World) -> None:
    async def test(link: Link, _transport: Transport, received: Received) -> None:
        link.consume([agent_queue(VLE)])
        for number in range(3):
            await link.publish(message(number))
        await until(lambda: len(received.messages) == 3)
        link.acknowledge(received.messages[1].tag)

    with_link(world, test)
    left: list[str] = []

    async def again(link: Link, _transport: Transport, received: Received) -> None:
        link.consume([agent_queue(VLE)])
        await until(lambda: len(received.messages) == 2)
        await asyncio.sleep(0.2)
        left.extend(received.ids())

    with_link(world, again)
    assert left == [f"{0:032}", f"{2:032}"]


def test_a_loss_is_told_and_mended(world: World) -> None:
    async def test(link: Link, transport: Transport, received: Received) -> None:
        link.consume([agent_queue(VLE)])
        await link.publish(message(1))
        await until(lambda: len(received.messages) == 1)
        assert link.up

        await asyncio.to_thread(world.cut, transport)

        await until(lambda: received.losses == 1)
        await until(lambda: len(received.messages) == 2)  # what was not acknowledged comes again
        assert received.ids() == [f"{1:032}"] * 2
        await until(lambda: link.up)
        await link.publish(message(2))
        await until(lambda: len(received.messages) == 3)

    with_link(world, test)


def test_who_awaits_a_confirm_when_the_connection_is_lost_is_told(world: World) -> None:
    async def test(link: Link, transport: Transport, received: Received) -> None:
        async def publish() -> int:
            lost = 0
            for number in range(10_000):
                try:
                    await link.publish(message(number))
                except TransportLost:
                    lost += 1
                    break
            return lost

        publishing = [asyncio.create_task(publish()) for _ in range(5)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(world.cut, transport)
        async with asyncio.timeout(20):
            assert sum(await asyncio.gather(*publishing)) == 5
        assert received.losses >= 1

    with_link(world, test)


def test_a_link_that_closes_tells_who_awaits_a_confirm() -> None:
    async def run() -> None:
        transport = MemoryWorld().connect()
        link = Link(transport, lambda _message: None, lambda: None)
        link.declare(TOPOLOGY)
        publishing = asyncio.create_task(link.publish(message(1)))
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(TransportLost):
            await publishing

    asyncio.run(run())
