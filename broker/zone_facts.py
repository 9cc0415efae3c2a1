"""What documents about a zone are written from: its agents and what each may do; nothing secret, and no decision.

Beside ``broker.testing`` the one part of the broker's settings that ``agents.docs`` may import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from broker.protocol.identifiers import AgentId, ZoneId
from broker.registry import AgentRecord
from broker.settings import load_zone


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent.

    Attributes:
        may: Names of objects, sorted, by the word of zone.toml for what it may do with them: ``subscribe``,
            ``publish-add`` ...; words for which it has none are left out.
        gateway: Whether it speaks SIF over HTTP instead of AMQP.
    """

    id: AgentId
    name: str
    may: Mapping[str, tuple[str, ...]]
    gateway: bool


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """A zone.

    Attributes:
        host: Where its RabbitMQ is, ``host`` or ``host:port``; empty for a private one, whose port is not fixed.
        agents: By id.
    """

    id: ZoneId
    name: str
    partitions: int
    host: str
    encrypted: bool
    agents: tuple[AgentFacts, ...]


def zone_facts(folder: Path) -> ZoneFacts:
    """Return what is set up in a zone's folder.

    Raises:
        ConfigurationError: Says which file, which key and how to mend it.
    """
    zone = load_zone(folder)
    agents = tuple(_agent(zone.registry.agents[agent]) for agent in sorted(zone.registry.agents))
    host = urlsplit(zone.settings.rabbitmq).netloc.rpartition("@")[2]
    return ZoneFacts(zone.id, zone.settings.name, zone.settings.partitions, host, zone.amqp_encrypted, agents)


def _agent(record: AgentRecord) -> AgentFacts:
    may = {role.value: tuple(sorted({topic.object_type for topic in topics})) for role, topics in record.rights.items()}
    return AgentFacts(record.id, record.name, MappingProxyType(may), record.gateway)


__all__ = ["AgentFacts", "ZoneFacts", "zone_facts"]
