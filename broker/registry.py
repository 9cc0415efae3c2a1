"""Who the agents of a zone are, what each may do, and what each has said it does, as read-only values.

Rights are what the administrator has set up; reading them from files is settings' work. What agents say of
themselves, by SIF_Register and SIF_Provision, is stored by storage and only weighed here: a wish counts as far as a
right covers it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from broker.protocol.envelope import Action
from broker.protocol.errors import MayNotAdd, MayNotChange, MayNotDelete, NotRegistered
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, Establishment


class Role(StrEnum):
    """What an agent may do with an object in a context; the words of zone.toml."""

    PROVIDE = "provide"
    SUBSCRIBE = "subscribe"
    PUBLISH_ADD = "publish-add"
    PUBLISH_CHANGE = "publish-change"
    PUBLISH_DELETE = "publish-delete"
    REQUEST = "request"
    RESPOND = "respond"


class Topic(NamedTuple):
    """An object in a context."""

    object_type: str
    context: Context = DEFAULT_CONTEXT


Topics = frozenset[Topic]
Grants = Mapping[Role, Topics]
"""Topics by role; a role that is not there has none."""

PUBLISHING: Final[Mapping[Action, Role]] = MappingProxyType(
    {Action.ADD: Role.PUBLISH_ADD, Action.CHANGE: Role.PUBLISH_CHANGE, Action.DELETE: Role.PUBLISH_DELETE}
)
ZONE_OBJECTS: Final = frozenset({"SIF_LogEntry", "SIF_ZoneStatus", "SIF_AgentACL"})
"""Objects of SIF's own infrastructure; the zone itself provides the last two."""
NOTHING: Final[Grants] = MappingProxyType({})
_REFUSALS = {Action.ADD: MayNotAdd, Action.CHANGE: MayNotChange, Action.DELETE: MayNotDelete}


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """One agent as the zone's administrator has set it up.

    Attributes:
        establishments: The schools it speaks for or serves; scope ``enrolled`` is about these.
        authority: The LA number it acts for; scopes ``looked-after`` and ``resident`` are about this. Empty for none.
        rights: What it may do.
        standing: What it does without having to say so: topics that it is subscribed to, or provides.
        gateway: Whether it speaks SIF over HTTP, through the gateway; AMQP otherwise.
    """

    id: AgentId
    name: str
    establishments: frozenset[Establishment] = frozenset()
    authority: str = ""
    rights: Grants = field(default_factory=lambda: NOTHING)
    standing: Grants = field(default_factory=lambda: NOTHING)
    gateway: bool = False

    def may(self, role: Role, topic: Topic) -> bool:
        """Tell whether it has a right."""
        return topic in self.rights.get(role, ())


class Mode(StrEnum):
    """How an agent gets its messages: SIF_Register/SIF_Mode."""

    PUSH = "Push"
    PULL = "Pull"


@dataclass(frozen=True, slots=True)
class Channel:
    """How an agent is connected, as SIF_Security weighs it: see SIF_AuthenticationLevel and SIF_EncryptionLevel."""

    authentication: int = 0
    encryption: int = 0


@dataclass(frozen=True, slots=True)
class Registration:
    """What an agent said of itself when it last registered.

    Attributes:
        name: SIF_Name.
        version: SIF_Message/@Version in which it registered.
        at: When; seconds since 1970, UTC.
        versions: SIF_Version items as it listed them, the one it likes best first; may have wildcards.
        max_buffer: SIF_MaxBufferSize: bytes of the largest message it takes.
        url: Where messages are pushed to; empty for an agent that pulls.
        protocol: SIF_Protocol/@Type, empty when it named none.
        encodings: Content codings it can read.
        channel: Protection of the way to it.
        sleeping: It has said SIF_Sleep and not yet SIF_Wakeup.
    """

    agent: AgentId
    name: str
    version: str
    at: float
    versions: tuple[str, ...] = ("2.*",)
    max_buffer: int = 0xFFFF_FFFF
    mode: Mode = Mode.PULL
    url: str = ""
    protocol: str = ""
    secure: bool = False
    encodings: tuple[str, ...] = ()
    vendor: str = ""
    node_version: str = ""
    application: tuple[str, str, str] | None = None
    channel: Channel = Channel()
    sleeping: bool = False


@dataclass(frozen=True, slots=True)
class Provision:
    """What an agent has said it does, by SIF_Provision or one by one.

    Attributes:
        topics: By role.
        extended: Topics for which it answers SIF_ExtendedQuery.
    """

    topics: Grants = field(default_factory=lambda: NOTHING)
    extended: Topics = frozenset()


NO_PROVISION: Final = Provision()


@dataclass(frozen=True, slots=True)
class Live:
    """What agents have said of themselves, as stored; *version* grows with each change."""

    registrations: Mapping[AgentId, Registration] = field(default_factory=lambda: MappingProxyType({}))
    provisions: Mapping[AgentId, Provision] = field(default_factory=lambda: MappingProxyType({}))
    version: int = 0


@dataclass(frozen=True, slots=True)
class Registry:
    """All agents by id, what is live of them, and for each topic its subscribers in the order of their ids."""

    agents: Mapping[AgentId, AgentRecord]
    live: Live = field(default_factory=Live)
    contexts: frozenset[Context] = field(init=False, repr=False, compare=False)
    """Every context that some right is about, and the default one."""
    smallest_buffer: int = field(init=False, repr=False, compare=False)
    """Bytes that every registered agent takes."""
    _subscribers: Mapping[Topic, tuple[AgentRecord, ...]] = field(init=False, repr=False, compare=False)
    _providers: Mapping[Topic, AgentId] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = sorted(self.agents.values(), key=lambda agent: agent.id)
        subscribers: dict[Topic, list[AgentRecord]] = {}
        providers: dict[Topic, AgentId] = {}
        contexts = {DEFAULT_CONTEXT}
        for agent in ordered:
            contexts.update(topic.context for topics in agent.rights.values() for topic in topics)
            for topic in self.topics(agent.id, Role.SUBSCRIBE):
                subscribers.setdefault(topic, []).append(agent)
            for topic in agent.standing.get(Role.PROVIDE, ()):
                providers.setdefault(topic, agent.id)
        for agent in ordered:
            for topic in self.topics(agent.id, Role.PROVIDE):
                providers.setdefault(topic, agent.id)
        found = {topic: tuple(agents) for topic, agents in subscribers.items()}
        buffers = (said.max_buffer for said in self.live.registrations.values())
        object.__setattr__(self, "smallest_buffer", min(buffers, default=0xFFFF_FFFF))
        object.__setattr__(self, "contexts", frozenset(contexts))
        object.__setattr__(self, "_subscribers", MappingProxyType(found))
        object.__setattr__(self, "_providers", MappingProxyType(providers))

    @classmethod
    def of(cls, agents: Iterable[AgentRecord], live: Live | None = None) -> "Registry":
        """Return a registry of *agents*."""
        return cls(MappingProxyType({agent.id: agent for agent in agents}), live or Live())

    def with_live(self, live: Live) -> "Registry":
        """Return the same agents with what is live of them now."""
        return Registry(self.agents, live)

    def topics(self, agent: AgentId, role: Role) -> Topics:
        """Return the topics in which *agent* has *role* in effect: by standing, or as it said and a right covers."""
        record = self.agents[agent]
        said = self.live.provisions.get(agent, NO_PROVISION).topics.get(role, frozenset())
        return record.standing.get(role, frozenset()) | (said & record.rights.get(role, frozenset()))

    def subscribers(
        self, object_type: str, contexts: tuple[Context, ...] = (DEFAULT_CONTEXT,)
    ) -> tuple[AgentRecord, ...]:
        """Return who subscribes to *object_type* in any of *contexts*, once each; empty when nobody does."""
        if len(contexts) == 1:
            return self._subscribers.get(Topic(object_type, contexts[0]), ())
        found = {
            agent.id: agent for context in contexts for agent in self._subscribers.get(Topic(object_type, context), ())
        }
        return tuple(found[agent] for agent in sorted(found))

    def provider(self, topic: Topic) -> AgentId | None:
        """Return who answers requests that name nobody, whether or not it is registered; None where nobody does."""
        return self._providers.get(topic)

    def is_responder(self, agent: AgentId, topic: Topic) -> bool:
        """Tell whether *agent* answers requests for *topic*; a provider does, too."""
        if agent not in self.agents:
            return False
        return topic in self.topics(agent, Role.RESPOND) or self._providers.get(topic) == agent

    def answers_extended(self, agent: AgentId, topic: Topic) -> bool:
        """Tell whether *agent* has said that it answers SIF_ExtendedQuery."""
        return topic in self.live.provisions.get(agent, NO_PROVISION).extended

    def is_registered(self, agent: AgentId) -> bool:
        """Tell whether *agent* is set up, and has registered."""
        return agent in self.agents and agent in self.live.registrations

    def check_may_publish(
        self,
        agent: AgentId,
        object_type: str,
        action: Action,
        contexts: tuple[Context, ...] = (DEFAULT_CONTEXT,),
    ) -> None:
        """Return when *agent* may publish this in each of *contexts*.

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
        for context in contexts:
            if not record.may(PUBLISHING[action], Topic(object_type, context)):
                place = "" if context == DEFAULT_CONTEXT else f" in context {context}"
                raise _REFUSALS[action](
                    f"agent {agent} has no right to publish {action} events of {object_type}{place}: ask the zone "
                    f"administrator to add {object_type} to its publish list in zone.toml"
                )


def grants(entries: Iterable[tuple[Role, Topic]]) -> Grants:
    """Return *entries* gathered by role."""
    found: dict[Role, set[Topic]] = {}
    for role, topic in entries:
        found.setdefault(role, set()).add(topic)
    return MappingProxyType({role: frozenset(topics) for role, topics in found.items()})


@dataclass(frozen=True, slots=True)
class Registered:
    """An agent registered, in the place of an earlier registration; what it had said it does stays."""

    registration: Registration


@dataclass(frozen=True, slots=True)
class Unregistered:
    """An agent took its leave, with all it had said it does."""

    agent: AgentId


@dataclass(frozen=True, slots=True)
class Provisioned:
    """An agent has said what it does from now on, all in all."""

    agent: AgentId
    provision: Provision


@dataclass(frozen=True, slots=True)
class Slept:
    """An agent wants nothing sent to it for a while, or wants it again."""

    agent: AgentId
    sleeping: bool


Change = Registered | Unregistered | Provisioned | Slept
"""What storage is to remember of what an agent said."""
