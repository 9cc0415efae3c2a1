"""A pusher by itself: real HTTP to a target, a real store, and RabbitMQ in memory; with pauses as short as a test's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from broker.gateway.delivery import Box, Delivery
from broker.gateway.link import Link
from broker.gateway.push import Patience, Pusher
from broker.gateway.threads import Aside
from broker.letters import AT
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, DELIVERY, gateway_topology, zone_topology
from broker.registry import Mode, Registration
from broker.storage import make_key, open_store
from broker.transports import MemoryBroker, MemoryTransport
from broker.transports.contract import Outgoing
from tests.integration.gateway.sif import Agent, learner, new_id

VLE = AgentId("vle")


@dataclass(slots=True)
class Pushing:
    """What a test of pushing has in hand."""

    link: Link
    box: Box
    pusher: Pusher
    registration: Registration
    at: int = 0

    async def put(self) -> str:
        """Queue an event for the agent; return its id."""
        msg_id = new_id()
        self.at += 1
        body = Agent("mis", "").event_body(learner(), msg_id=msg_id)
        await self.link.publish(Outgoing(DELIVERY, VLE, body, msg_id, "SIF_Event", {AT: self.at}, user_id=BROKER_LOGIN))
        return msg_id


@asynccontextmanager
async def pushing(folder: Path, url: str, patience: Patience) -> AsyncIterator[Pushing]:
    """Push to *url* within the block."""
    key = folder / "zone.key"
    make_key(key)
    reads, writes = Aside(), Aside()
    with open_store(f"sqlite:///{folder}/zone.db", key) as store:
        delivery = Delivery(store, reads, writes)
        link = Link(MemoryTransport(MemoryBroker(), BROKER_LOGIN), delivery.received, delivery.lost)
        delivery.link = link
        link.declare(zone_topology(1) + gateway_topology(VLE))
        box = await delivery.open(VLE)
        said = Registration(VLE, "VLE", "2.1", 0.0, mode=Mode.PUSH, url=url)
        async with httpx.AsyncClient(trust_env=False) as client:
            pusher = Pusher(box, delivery, client, lambda: said, patience)
            task = asyncio.create_task(pusher.run())
            try:
                yield Pushing(link, box, pusher, said)
            finally:
                task.cancel()
                await link.close()
                reads.close()
                writes.close()
