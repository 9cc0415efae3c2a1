"""RabbitMQ is told that a message is done with only once the store has written down that its agent says so."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator
from pathlib import Path
from typing import cast

import pytest

from broker.gateway.delivery import Box, Delivery
from broker.gateway.link import Link
from broker.gateway.threads import Aside
from broker.protocol.envelope import Ack
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import agent_queue
from broker.storage import StorageError, Store, make_key, open_store
from broker.transports.contract import Incoming

VLE = AgentId("vle")
EVENT = "E1" * 16


class Line:
    """A link that notes what RabbitMQ is told."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def consume(self, queues: Collection[str]) -> None:
        assert agent_queue(VLE) in queues

    def acknowledge(self, tag: int) -> None:
        self._told.append(f"RabbitMQ: {tag}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    make_key(tmp_path / "zone.key")
    with open_store(f"sqlite:///{tmp_path}/zone.db", tmp_path / "zone.key") as opened:
        yield opened


def with_one_event(store: Store, told: list[str], act: Callable[[Delivery, Box], Coroutine[None, None, None]]) -> None:
    """Let *act* have a delivery whose agent has been given one event, of tag 7."""

    async def run() -> None:
        aside = Aside()
        delivery = Delivery(store, aside, aside)
        delivery.link = cast("Link", Line(told))
        box = await delivery.open(VLE)
        delivery.received(Incoming(agent_queue(VLE), b"<made-up/>", EVENT, "SIF_Event", "", "", False, 7))
        assert await delivery.next(box) is not None
        try:
            await act(delivery, box)
        finally:
            aside.close()

    asyncio.run(run())


def test_an_acknowledgement_is_stored_before_rabbitmq_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    hand = store.hand

    def noted(pairs: Collection[tuple[str, str]], at: float) -> None:
        hand(pairs, at)
        told.append("stored")

    monkeypatch.setattr(store, "hand", noted)

    async def acknowledge(delivery: Delivery, box: Box) -> None:
        await delivery.acknowledge(box, EVENT, Ack("mis", EVENT, status=1))

    with_one_event(store, told, acknowledge)

    assert told == ["stored", "RabbitMQ: 7"]
    assert store.handed(VLE) == {EVENT}


def test_rabbitmq_keeps_a_message_whose_acknowledgement_could_not_be_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def fail(_pairs: Collection[tuple[str, str]], _at: float) -> None:
        raise StorageError("note acknowledgements", "made up", "nothing")

    monkeypatch.setattr(store, "hand", fail)

    async def acknowledge(delivery: Delivery, box: Box) -> None:
        with pytest.raises(StorageError):
            await delivery.acknowledge(box, EVENT, Ack("mis", EVENT, status=1))

    with_one_event(store, told, acknowledge)

    assert told == []
    assert store.handed(VLE) == frozenset()
