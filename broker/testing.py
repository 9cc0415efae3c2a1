"""A zone in memory for the tests of agents: the real worker, decisions and tables, in the caller's thread.

The one part of the broker that agents' own code may import, and that only from ``agents.testing``.
"""

import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, agent_permissions
from broker.settings import load_zone
from broker.storage import make_key, open_store
from broker.transports import MemoryBroker, MemoryTransport, Transport
from broker.worker import Worker


class ZoneInMemory:
    """A zone as a folder describes it, with logins and rights as RabbitMQ would have them.

    Attributes:
        agents: Ids of the agents that are set up.
    """

    def __init__(self, folder: Path, state: Path, now: datetime | None = None) -> None:
        """Set the zone up.

        Args:
            folder: Has zone.toml, and agreements, calendars and codes where there are any; nothing is written to it.
            state: An empty folder for all that the zone keeps.
            now: What its clock says at the start, with a time zone; the machine's time when left out.

        Raises:
            ConfigurationError: Says which file of the folder is wrong, and how to mend it.
        """
        self._zone = replace(load_zone(folder), folder=state)
        self._ahead = 0.0 if now is None else now.timestamp() - time.time()
        self.agents: tuple[AgentId, ...] = tuple(sorted(self._zone.registry.agents))
        self._zone.state.mkdir(mode=0o700)
        make_key(self._zone.key_file)
        database = self._zone.state / "zone.db"
        database.touch(mode=0o600)
        database.write_bytes(_empty_database())
        self._store = open_store(f"sqlite:///{database}", self._zone.key_file)
        self._broker = MemoryBroker()
        for agent in self.agents:
            self._broker.allow(agent, agent_permissions(agent))
        self._transport = MemoryTransport(self._broker, BROKER_LOGIN)
        self._worker = Worker(self._transport, self._store, self._zone, now=self._now)
        self._worker.open(range(self._zone.settings.partitions))

    def connect(self, agent: AgentId) -> Transport:
        """Return a connection with an agent's login."""
        return MemoryTransport(self._broker, agent)

    def step(self) -> bool:
        """Decide and deliver what has come, without waiting; tell whether there was anything."""
        return self._worker.step(0)

    def pass_time(self, span: timedelta) -> None:
        """Set the zone's clock ahead."""
        self._ahead += span.total_seconds()

    def close(self) -> None:
        """Close its database and connections."""
        self._transport.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _now(self) -> float:
        return time.time() + self._ahead


@cache
def _empty_database() -> bytes:
    """Return a database with the zone's tables and nothing in them; made once, since migrating takes half a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_key(folder / "zone.key")
        open_store(f"sqlite:///{folder / 'zone.db'}", folder / "zone.key").close()
        return (folder / "zone.db").read_bytes()


__all__ = ["ZoneInMemory"]
