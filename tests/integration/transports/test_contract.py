"""What every transport promises, in memory and over RabbitMQ alike."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    CONTROL,
    DEAD_QUEUE,
    DELIVERY,
    INTAKE,
    Argument,
    Binding,
    Permissions,
    Queue,
    Topology,
    agent_permissions,
    agent_queue,
    agent_topology,
    intake_key,
    intake_queue,
    zone_topology,
)
from broker.transports import HeaderValue, Incoming, Outgoing, PublishRefused, Refusal, Transport, TransportLost
from tests.integration.transports.worlds import World, poll_until, receive, receive_nothing_more, settle

ANNA, BELLE, CARA = AgentId("anna"), AgentId("belle"), AgentId("cara")


@pytest.fixture
def admin(world: World) -> Transport:
    """A transport that may do everything, in a zone with the agents anna, belle and cara."""
    transport = world.connect("admin")
    transport.declare(zone_topology(2))
    for agent in (ANNA, BELLE, CARA):
        transport.declare(agent_topology(agent))
    return transport


def to(agent: str, body: bytes = b"<x/>", message_id: str = "M", bcc: tuple[str, ...] = ()) -> Outgoing:
    """Return a message for *agent*."""
    return Outgoing(DELIVERY, agent, body, message_id, bcc=bcc)


def queue(name: str, **arguments: Argument) -> Topology:
    """Return one quorum queue with these arguments, underscores for hyphens."""
    return Topology(
        (), (Queue(name, {"x-queue-type": "quorum", **{k.replace("_", "-"): v for k, v in arguments.items()}}),), ()
    )


def bodies(received: list[Incoming]) -> list[bytes]:
    """Return their bodies in order."""
    return [message.body for message in received]


def lose(world: World, transport: Transport) -> None:
    """Cut the connection and have it told."""
    world.cut(transport)
    with pytest.raises(TransportLost):
        poll_until(transport, lambda: False)


def test_what_is_published_arrives_whole_and_in_order(admin: Transport) -> None:
    headers: Mapping[str, HeaderValue] = MappingProxyType(
        {"object": "LearnerPersonal", "part": 3, "last": True, "first": False, "öre": "ß"}
    )
    admin.consume([agent_queue(ANNA)])
    sent = [b"<first/>", b"", b"y" * 300_000, bytes(range(256)), b"<last/>"]
    for number, body in enumerate(sent):
        admin.publish(Outgoing(DELIVERY, ANNA, body, f"M{number}", "SIF_Event", headers, (), "admin"))

    received = receive(admin, 5)

    assert bodies(received) == sent
    assert [message.message_id for message in received] == ["M0", "M1", "M2", "M3", "M4"]
    assert {(m.queue, m.type, m.user_id, m.routing_key, m.redelivered) for m in received} == {
        (agent_queue(ANNA), "SIF_Event", "admin", ANNA, False)
    }
    assert all(message.headers == headers for message in received)
    assert [type(value) for value in received[0].headers.values()].count(bool) == 2
    assert [message.tag for message in received] == sorted({message.tag for message in received})


def test_nothing_is_confirmed_before_it_was_sent(admin: Transport) -> None:
    numbers = [admin.publish(to(ANNA)) for _ in range(3)]

    assert numbers == [1, 2, 3]
    assert admin.confirmed == 0
    settle(admin, 3)
    assert admin.confirmed == 3
    assert admin.refusals() == []


def test_an_unroutable_message_is_refused_under_its_own_number(admin: Transport) -> None:
    for agent in (ANNA, "nobody", BELLE, "nobody", "no-one", CARA):
        admin.publish(to(agent, message_id="SAME"))
    settle(admin, 6)

    assert admin.refusals() == [Refusal(number, "SAME", "unroutable") for number in (2, 4, 5)]
    assert admin.refusals() == []


@pytest.mark.parametrize("recipients", [2, 30])
def test_each_bcc_recipient_gets_one_copy_that_shows_no_other(world: World, admin: Transport, recipients: int) -> None:
    agents = [AgentId(f"agent-{number}") for number in range(recipients)]
    for agent in agents:
        admin.declare(agent_topology(agent))
    reader = world.connect("reader")
    reader.consume([agent_queue(agent) for agent in agents])
    settle(admin, admin.publish(to(agents[0], bcc=(*agents[1:], agents[1]))))

    received = receive(reader, recipients)

    assert sorted(message.queue for message in received) == sorted(agent_queue(agent) for agent in agents)
    assert receive_nothing_more(reader)
    assert all(not message.headers and message.routing_key == agents[0] for message in received)


def test_bcc_reaches_those_who_are_there_when_one_is_missing(admin: Transport) -> None:
    admin.consume([agent_queue(ANNA)])
    admin.publish(to("nobody", b"<x/>", bcc=(ANNA,)))

    assert bodies(receive(admin, 1)) == [b"<x/>"]
    settle(admin, 1)
    assert admin.refusals() == []


def test_a_full_queue_refuses_and_loses_nothing_it_took(world: World, admin: Transport) -> None:
    admin.declare(queue("small", x_max_length=5, x_overflow="reject-publish"))
    last = 0
    for number in range(60):
        last = admin.publish(Outgoing("", "small", b"<x/>", f"M{number}"))
        settle(admin, last)
    refusals = admin.refusals()
    reader = world.connect("reader")
    reader.consume(["small"])

    received = receive(reader, 60 - len(refusals))

    assert refusals
    assert {refusal.reason for refusal in refusals} == {"nack"}
    refused = {refusal.message_id for refusal in refusals}
    assert sorted(refused | {m.message_id for m in received}) == sorted(f"M{number}" for number in range(60))
    assert not refused & {m.message_id for m in received}


def test_an_acknowledgement_covers_all_before_it(world: World, admin: Transport) -> None:
    reader = world.connect("reader")
    reader.consume([agent_queue(ANNA)])
    for number in range(6):
        admin.publish(to(ANNA, b"%d" % number))
    settle(admin, 6)
    received = receive(reader, 6)
    reader.ack(received[3].tag)
    reader.poll(0)
    reader.ack(received[1].tag)  # covered already
    reader.close()

    after = world.connect("reader")
    after.consume([agent_queue(ANNA)])

    assert bodies(receive(after, 2)) == [b"4", b"5"]
    assert receive_nothing_more(after)


def test_what_was_not_acknowledged_comes_again_in_order_after_a_loss(world: World, admin: Transport) -> None:
    reader = world.connect("reader")
    reader.consume([agent_queue(ANNA)])
    for number in range(5):
        admin.publish(to(ANNA, b"%d" % number))
    settle(admin, 5)
    received = receive(reader, 5)
    reader.ack(received[0].tag)
    reader.poll(0)
    assert receive_nothing_more(reader)  # the acknowledgement is at the peer
    lose(world, reader)

    again = receive(reader, 4)

    assert bodies(again) == [b"1", b"2", b"3", b"4"]
    assert all(message.redelivered for message in again)
    assert min(message.tag for message in again) > max(message.tag for message in received)


def test_tags_from_before_a_loss_mean_nothing(world: World, admin: Transport) -> None:
    reader = world.connect("reader")
    reader.consume([agent_queue(ANNA)])
    settle(admin, admin.publish(to(ANNA, b"kept")))
    stale = receive(reader, 1)[0].tag
    lose(world, reader)
    receive(reader, 1)
    reader.ack(stale)
    reader.reject(stale)
    assert receive_nothing_more(reader)
    lose(world, reader)

    assert bodies(receive(reader, 1, ack=True)) == [b"kept"]


def test_a_tag_that_never_came_cannot_be_acknowledged(admin: Transport) -> None:
    with pytest.raises(ValueError, match="no message with tag 1"):
        admin.ack(1)
    with pytest.raises(ValueError, match="no message with tag 7"):
        admin.reject(7)


def test_a_loss_is_told_once_and_numbers_go_on(world: World, admin: Transport) -> None:
    settle(admin, admin.publish(to(ANNA, b"before")))
    admin.publish(to(ANNA, b"lost with the connection"))
    lose(world, admin)

    assert admin.confirmed == 2
    assert admin.refusals() == []
    number = admin.publish(to(ANNA, b"after"))
    settle(admin, number)
    assert (number, admin.confirmed) == (3, 3)


def test_consuming_and_declaring_survive_a_loss(world: World, admin: Transport) -> None:
    admin.consume([agent_queue(ANNA)])
    admin.poll(0.1)
    lose(world, admin)
    admin.consume([agent_queue(BELLE)])
    for agent in (ANNA, BELLE):
        admin.publish(to(agent))

    assert {message.queue for message in receive(admin, 2)} == {agent_queue(ANNA), agent_queue(BELLE)}


def test_a_deleted_queue_is_a_loss_and_is_declared_again(world: World, admin: Transport) -> None:
    admin.consume([agent_queue(ANNA)])
    settle(admin, admin.publish(to(BELLE)))
    world.delete_queue(agent_queue(ANNA))
    with pytest.raises(TransportLost):
        poll_until(admin, lambda: False)
    admin.publish(to(ANNA, b"into the new queue"))

    assert bodies(receive(admin, 1)) == [b"into the new queue"]


def test_a_queue_that_is_made_later_is_consumed_then(world: World, admin: Transport) -> None:
    early = world.connect("early")
    early.consume([agent_queue(AgentId("late"))])
    with pytest.raises(TransportLost):
        poll_until(early, lambda: False)
    admin.declare(agent_topology(AgentId("late")))
    settle(admin, admin.publish(to("late", b"here")))

    assert bodies(receive(early, 1)) == [b"here"]


def test_a_rejected_message_is_dead_lettered_alone(world: World, admin: Transport) -> None:
    reader = world.connect("reader")
    reader.consume([agent_queue(ANNA)])
    admin.consume([DEAD_QUEUE])
    for number in range(4):
        admin.publish(to(ANNA, b"%d" % number, f"M{number}"))
    settle(admin, 4)
    received = receive(reader, 4)
    reader.reject(received[1].tag)
    reader.reject(received[3].tag)
    reader.ack(received[3].tag)  # means those before, since it was rejected itself
    dead = []
    for _ in range(100):
        reader.poll(0)
        dead += admin.poll(0.1)
        if len(dead) == 2:
            break

    assert sorted(message.message_id for message in dead) == ["M1", "M3"]
    assert {message.headers["x-first-death-queue"] for message in dead} == {agent_queue(ANNA)}
    assert {message.headers["x-first-death-reason"] for message in dead} == {"rejected"}
    reader.close()
    after = world.connect("reader")
    after.consume([agent_queue(ANNA)])
    assert receive_nothing_more(after)


def test_a_message_that_keeps_coming_back_is_dead_lettered(world: World, admin: Transport) -> None:
    limited = queue("limited", x_delivery_limit=2, x_dead_letter_exchange="sif.dead")
    admin.declare(limited)
    admin.consume([DEAD_QUEUE])
    settle(admin, admin.publish(Outgoing("", "limited", b"<poison/>", "M")))
    reader = world.connect("reader")
    reader.consume(["limited"])
    for _ in range(3):
        assert bodies(receive(reader, 1)) == [b"<poison/>"]
        lose(world, reader)

    dead = receive(admin, 1)

    assert bodies(dead) == [b"<poison/>"]
    assert dead[0].headers["x-first-death-reason"] == "delivery_limit"
    assert receive_nothing_more(reader)


def test_a_partition_has_one_consumer_at_a_time(world: World, admin: Transport) -> None:
    first, second = world.connect("first"), world.connect("second")
    first.consume([intake_queue(0), intake_queue(1)])
    assert receive_nothing_more(first)
    second.consume([intake_queue(0), intake_queue(1)])
    assert receive_nothing_more(second)
    for number in range(10):
        admin.publish(Outgoing(INTAKE, intake_key(f"KEY{number}"), b"%d" % number, "M"))
    settle(admin, 10)

    assert len(receive(first, 10)) == 10
    assert receive_nothing_more(second)
    first.close()
    assert len(receive(second, 10)) == 10


def test_one_key_stays_in_one_partition_in_order(admin: Transport) -> None:
    admin.consume([intake_queue(0), intake_queue(1)])
    for number in range(200):
        admin.publish(Outgoing(INTAKE, intake_key(f"KEY{number % 40}"), b"%03d" % number, "M"))
    received = receive(admin, 200)

    queues: dict[str, set[str]] = {}
    by_key: dict[str, list[bytes]] = {}
    for message in received:
        queues.setdefault(message.routing_key, set()).add(message.queue)
        by_key.setdefault(message.routing_key, []).append(message.body)
    assert len(received) == 200
    assert all(len(names) == 1 for names in queues.values())
    assert {name for names in queues.values() for name in names} == {intake_queue(0), intake_queue(1)}
    assert all(came == sorted(came) for came in by_key.values())


def test_no_more_than_the_prefetch_is_handed_over(world: World, admin: Transport) -> None:
    reader = world.connect("reader", prefetch=3)
    reader.consume([agent_queue(ANNA)])
    for number in range(5):
        admin.publish(to(ANNA, b"%d" % number))
    settle(admin, 5)

    received = receive(reader, 3)
    assert bodies(received) == [b"0", b"1", b"2"]
    assert receive_nothing_more(reader)
    reader.ack(received[-1].tag)
    assert bodies(receive(reader, 2)) == [b"3", b"4"]


def test_the_prefetch_is_each_queue_s_own(world: World, admin: Transport) -> None:
    reader = world.connect("reader", prefetch=2)
    reader.consume([agent_queue(ANNA), agent_queue(BELLE)])
    for number in range(3):
        admin.publish(to(ANNA, b"%d" % number))
        admin.publish(to(BELLE, b"%d" % number))
    settle(admin, 6)

    received = receive(reader, 4)
    assert sorted(message.queue for message in received) == [agent_queue(ANNA)] * 2 + [agent_queue(BELLE)] * 2
    assert receive_nothing_more(reader)


@pytest.mark.usefixtures("admin")
def test_another_login_as_user_id_ends_the_connection(world: World) -> None:
    forger = world.connect("forger")
    forger.publish(Outgoing(DELIVERY, ANNA, b"<x/>", "M", user_id="admin"))
    with pytest.raises(TransportLost, match="user_id"):
        poll_until(forger, lambda: False)

    settle(forger, forger.publish(Outgoing(DELIVERY, ANNA, b"<x/>", "M", user_id="forger")))
    assert forger.refusals() == []


def test_a_missing_exchange_ends_the_connection(admin: Transport) -> None:
    admin.publish(Outgoing("sif.nowhere", ANNA, b"<x/>", "M"))
    with pytest.raises(TransportLost, match=r"sif\.nowhere"):
        poll_until(admin, lambda: False)


def test_an_agent_writes_to_intake_and_control_and_reads_its_own_queue(world: World, admin: Transport) -> None:
    world.allow(ANNA, agent_permissions(ANNA))
    anna = world.connect(ANNA)
    anna.consume([agent_queue(ANNA)])
    anna.publish(Outgoing(INTAKE, intake_key("KEY"), b"<x/>", "M1", user_id=ANNA))
    anna.publish(Outgoing(CONTROL, "zone.control", b"<x/>", "M2", user_id=ANNA))
    settle(anna, 2)
    admin.publish(to(ANNA, b"<answer/>"))
    settle(admin, 1)

    assert bodies(receive(anna, 1)) == [b"<answer/>"]
    assert anna.refusals() == []


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("exchange", [DELIVERY, "", "sif.dead"], ids=["delivery", "default", "dead"])
def test_an_agent_writes_nowhere_else(world: World, exchange: str) -> None:
    world.allow(ANNA, agent_permissions(ANNA))
    anna = world.connect(ANNA)
    anna.publish(Outgoing(exchange, BELLE, b"<x/>", "M", user_id=ANNA))

    with pytest.raises(TransportLost, match="ACCESS_REFUSED"):
        poll_until(anna, lambda: False)


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("name", [agent_queue(BELLE), intake_queue(0), DEAD_QUEUE])
def test_an_agent_reads_no_other_queue(world: World, name: str) -> None:
    world.allow(ANNA, agent_permissions(ANNA))
    anna = world.connect(ANNA)
    anna.consume([name])

    with pytest.raises(TransportLost, match="ACCESS_REFUSED"):
        poll_until(anna, lambda: False)


def test_a_refused_declaration_says_so_and_harms_nothing_else(world: World, admin: Transport) -> None:
    admin.consume([agent_queue(ANNA)])
    number = admin.publish(to(ANNA, b"on its way"))
    other = Topology((), (Queue(agent_queue(ANNA), {"x-queue-type": "quorum", "x-delivery-limit": 7}),), ())
    with pytest.raises(ConfigurationError, match=r"agent\.anna"):
        admin.declare(other)

    assert bodies(receive(admin, 1)) == [b"on its way"]
    settle(admin, number)
    assert admin.confirmed == number
    admin.declare(agent_topology(AgentId("dora")))
    lose(world, admin)
    settle(admin, admin.publish(to("dora")))
    assert admin.refusals() == []


@pytest.mark.usefixtures("admin")
def test_who_may_not_configure_declares_nothing(world: World) -> None:
    world.allow(ANNA, Permissions("^$", ".*", ".*"))

    with pytest.raises(ConfigurationError, match="ACCESS_REFUSED"):
        world.connect(ANNA).declare(agent_topology(AgentId("eve")))


def test_declaring_a_binding_twice_delivers_once(admin: Transport) -> None:
    admin.declare(Topology((), (), (Binding(DELIVERY, agent_queue(ANNA), ANNA),)))
    admin.consume([agent_queue(ANNA)])
    admin.publish(to(ANNA))

    assert len(receive(admin, 1)) == 1
    assert receive_nothing_more(admin)


def test_close_sends_what_was_noted(world: World, admin: Transport) -> None:
    admin.consume([agent_queue(ANNA)])
    writer = world.connect("writer")
    settle(writer, writer.publish(to(ANNA, b"first")))
    writer.publish(to(ANNA, b"last"))
    writer.close()

    assert bodies(receive(admin, 2)) == [b"first", b"last"]


def test_a_closed_transport_stays_closed(admin: Transport) -> None:
    admin.close()
    admin.close()

    with pytest.raises(RuntimeError, match="closed"):
        admin.poll(0)
    with pytest.raises(RuntimeError, match="closed"):
        admin.publish(to(ANNA))


def test_what_no_frame_can_carry_is_refused_at_once(admin: Transport) -> None:
    for message in (
        to("x" * 256),
        to(ANNA, message_id="x" * 256),
        Outgoing(DELIVERY, ANNA, b"", "M", headers={"n": 1 << 64}),
        to(ANNA, bcc=tuple(f"agent-{number:0100}" for number in range(2000))),
    ):
        with pytest.raises(PublishRefused):
            admin.publish(message)

    settle(admin, admin.publish(to(ANNA)))
    assert admin.confirmed == 1
