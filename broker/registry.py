"""Who the agents of a zone are and what each may do, as read-only values; reading them from files is settings' work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from broker.protocol.envelope import Action
from broker.protocol.errors import MayNotAdd, MayNotChange, MayNotDelete, NotRegistered
from broker.protocol.identifiers import AgentId, Establishment

_REFUSALS = {Action.ADD: MayNotAdd, Action.CHANGE: MayNotChange, Action.DELETE: MayNotDelete}


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """One agent as the zone's administrator has set it up.

    Attributes:
        establishments: The schools it speaks for or serves; scope ``enrolled`` is about these.
        authority: The LA number it acts for; scopes ``looked-after`` and ``resident`` are about this. Empty for none.
        publish: Names of the objects of which it may publish Add, Change and Delete events.
        subscribe: Names of the objects whose events it is to get, as far as an agreement shares them.
    """

    id: AgentId
    name: str
    establishments: frozenset[Establishment] = frozenset()
    authority: str = ""
    publish: frozenset[str] = frozenset()
    subscribe: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Registry:
    """All agents by id, and for each object its subscribers in the order of their ids."""

    agents: Mapping[AgentId, AgentRecord]
    _subscribers: Mapping[str, tuple[AgentRecord, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, list[AgentRecord]] = {}
        for agent in sorted(self.agents.values(), key=lambda a: a.id):
            for object_type in agent.subscribe:
                found.setdefault(object_type, []).append(agent)
        subscribers = {name: tuple(agents) for name, agents in found.items()}
        object.__setattr__(self, "_subscribers", MappingProxyType(subscribers))

    @classmethod
    def of(cls, agents: Iterable[AgentRecord]) -> "Registry":
        """Return a registry of *agents*."""
        return cls(MappingProxyType({agent.id: agent for agent in agents}))

    def subscribers(self, object_type: str) -> tuple[AgentRecord, ...]:
        """Return who subscribes to *object_type*, ordered by id; empty when nobody does."""
        return self._subscribers.get(object_type, ())

    def check_may_publish(self, agent: AgentId, object_type: str, action: Action) -> None:
        """Return when *agent* may publish this.

        Raises:
            NotRegistered: The zone knows no such agent.
            MayNotPublish: It has no such right; the code tells which action.

        Source:
            SIF Infrastructure 2.x, error category 4 codes 9 to 12; deny by default is our own rule.
        """
        record = self.agents.get(agent)
        if record is None:
            raise NotRegistered(
                f"agent {agent} is not set up in this zone: ask the zone administrator to add it to zone.toml"
            )
        if object_type not in record.publish:
            raise _REFUSALS[action](
                f"agent {agent} has no right to publish {action} events of {object_type}: ask the zone administrator "
                f"to add {object_type} to its publish list in zone.toml"
            )
