"""What would be otherwise if a zone's folder were put in force: a difference in words, from values alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from broker.plan_sharing import sharing_changes
from broker.plan_words import VERBS, Change, Kind, Subject, instead, listed
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import agent_queue
from broker.registry import PUBLISHING, AgentRecord, Grants, Registry, Role, Topic
from broker.settings import GatewayAgentSettings, Zone, ZoneSettings

_NOBODY_WAITS: Final[Mapping[AgentId, int]] = MappingProxyType({})
_HIDDEN: Final = frozenset({"database", "rabbitmq", "management"})
"""Settings that may hold a password."""
_AT_START: Final = frozenset({"id", "partitions", "database", "rabbitmq", "management", "movable_clock"})
"""Settings by which a running zone cannot go on."""
_GATEWAY_AT_ONCE: Final = frozenset({"insecure", "require_tls"})
_APART: Final = frozenset({"agents", "rules", "gateway", "requests", "transfers"})
_CREDENTIALS: Final = {
    "secret": "a secret in its URL",
    "basic": "a password",
    "certificate": "a certificate",
}
_MAY: Final[Mapping[Role, str]] = {
    Role.PUBLISH_ADD: "may publish Adds of {}",
    Role.PUBLISH_CHANGE: "may publish Changes of {}",
    Role.PUBLISH_DELETE: "may publish Deletes of {}",
    Role.SUBSCRIBE: "may subscribe to {}",
    Role.REQUEST: "may request {}",
    Role.RESPOND: "may answer requests for {}",
    Role.PROVIDE: "may provide {}",
}
_PUBLISHES: Final = frozenset(PUBLISHING.values())
_MAY_PUBLISH: Final = "may publish {}"
_DOES: Final[Mapping[Role, str]] = {
    Role.SUBSCRIBE: "is subscribed to {} without asking",
    Role.PROVIDE: "provides {} without saying so",
}


def plan(before: Zone | None, after: Zone, waiting: Mapping[AgentId, int] = _NOBODY_WAITS) -> tuple[Change, ...]:
    """Return all that would be otherwise: first the zone's settings, then agents, then agreements, by their ids.

    Args:
        before: What is in force; None when nothing is.
        after: What would be.
        waiting: How many messages agents' queues hold, as far as that is known.

    Returns:
        Nothing when both say the same, however their files are written.
    """
    first: tuple[Change, ...] = ()
    if before is None:
        before = Zone(after.folder, ZoneSettings.model_validate({"id": after.id}), Registry.of(()), ())
        first = (Change(Subject.ZONE, "zone", Kind.GAIN, f"{after.id} is put in force for the first time"),)
    return (*first, *_zone(before, after), *_agents(before, after, waiting), *sharing_changes(before, after))


def _zone(before: Zone, after: Zone) -> Iterator[Change]:
    for name in ZoneSettings.model_fields:
        was, now = getattr(before.settings, name), getattr(after.settings, name)
        if name not in _APART and was != now:
            words = "is another (it is not shown)" if name in _HIDDEN else f"is {instead(now, was)}"
            yield Change(Subject.ZONE, name, Kind.CHANGE, words, start=name in _AT_START)
    for part in ("gateway", "requests", "transfers"):
        old, new = getattr(before.settings, part), getattr(after.settings, part)
        for name in type(new).model_fields:
            was, now = getattr(old, name), getattr(new, name)
            if was != now:
                start = part == "gateway" and name not in _GATEWAY_AT_ONCE
                yield Change(Subject.ZONE, f"{part}.{name}", Kind.CHANGE, f"is {instead(now, was)}", start=start)
    rules = before.validator.rules.settings, after.validator.rules.settings
    for rule in sorted(rules[0].keys() | rules[1].keys()):
        if rules[0].get(rule) != rules[1].get(rule):
            words = f"is {instead(rules[1].get(rule), rules[0].get(rule))}"
            yield Change(Subject.ZONE, f"rules.{rule}", Kind.CHANGE, words)
    yield from _calendars(before, after)
    yield from _codes(before, after)


def _calendars(before: Zone, after: Zone) -> Iterator[Change]:
    old, new = before.calendars.by_name, after.calendars.by_name
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if now is None:
            yield Change(Subject.ZONE, f"calendars {name}", Kind.LOSE, "is removed: its days are counted by another")
        elif was is None:
            yield Change(Subject.ZONE, f"calendars {name}", Kind.GAIN, f'is new: "{now.title}"')
        elif was != now:
            yield Change(Subject.ZONE, f"calendars {name}", Kind.CHANGE, "has other days, or another title")


def _codes(before: Zone, after: Zone) -> Iterator[Change]:
    old, new = before.validator.schema.code_lists, after.validator.schema.code_lists
    for name in sorted(old.keys() & new.keys()):
        was, now = old[name].labels, new[name].labels
        for kind, codes in ((Kind.GAIN, now.keys() - was.keys()), (Kind.LOSE, was.keys() - now.keys())):
            if codes:
                yield Change(Subject.ZONE, f"codes {name}", kind, f"{VERBS[kind]}: {listed(codes)}")
        renamed = {code for code in now.keys() & was.keys() if now[code] != was[code]}
        if renamed:
            yield Change(Subject.ZONE, f"codes {name}", Kind.CHANGE, f"has other words for {listed(renamed)}")


def _agents(before: Zone, after: Zone, waiting: Mapping[AgentId, int]) -> Iterator[Change]:
    old, new = before.registry.agents, after.registry.agents
    for agent in sorted(old.keys() | new.keys()):
        was, now = old.get(agent), new.get(agent)
        if now is None:
            yield _removed(old[agent], waiting.get(agent, 0))
        elif was is None:
            yield _added(now, after.settings.agents[agent].gateway)
        else:
            yield from _otherwise(was, now)
            yield from _connection(agent, before.settings.agents[agent].gateway, after.settings.agents[agent].gateway)
        yield from _rights(agent, was, now, after.registry)


def _removed(agent: AgentRecord, messages: int) -> Change:
    warning = ""
    if messages:
        warning = f"{messages} message{'s wait' if messages > 1 else ' waits'} in its queue, which nobody may then read"
    lost = "the gateway does not know it any more" if agent.gateway else "its login loses its rights"
    words = f"is removed: {lost}, its queue {agent_queue(agent.id)} stays with the messages in it"
    return _change(agent.id, Kind.LOSE, words, warning)


def _added(agent: AgentRecord, gateway: GatewayAgentSettings | None) -> Change:
    for_whom = listed([*agent.establishments, *([f"authority {agent.authority}"] if agent.authority else [])])
    words = f'is new: "{agent.name}"' + (f", for {for_whom}" if for_whom else "") + f", speaks {_speaks(gateway)}"
    return _change(agent.id, Kind.GAIN, words)


def _otherwise(was: AgentRecord, now: AgentRecord) -> Iterator[Change]:
    if was.name != now.name:
        yield _change(now.id, Kind.CHANGE, f"is called {instead(now.name, was.name)}")
    schools = was.establishments, now.establishments
    for kind, found in ((Kind.GAIN, schools[1] - schools[0]), (Kind.LOSE, schools[0] - schools[1])):
        if found:
            yield _change(now.id, kind, f"{VERBS[kind]}: speaks for or serves {listed(found)}")
    if was.authority != now.authority:
        yield _change(now.id, Kind.CHANGE, f"acts for authority {instead(now.authority, was.authority)}")


def _connection(agent: AgentId, was: GatewayAgentSettings | None, now: GatewayAgentSettings | None) -> Iterator[Change]:
    if _speaks(was) != _speaks(now):
        yield _change(agent, Kind.CHANGE, f"speaks {instead(_speaks(now), _speaks(was))}")
    elif was is not None and now is not None:
        if was.model_copy(update={"push": now.push}) != now:
            yield _change(agent, Kind.CHANGE, "is known by another certificate")
        if was.push != now.push:
            yield _change(agent, Kind.CHANGE, "may be pushed to other addresses")


def _speaks(gateway: GatewayAgentSettings | None) -> str:
    return "AMQP" if gateway is None else f"SIF over HTTP and shows {_CREDENTIALS[gateway.credential]}"


def _rights(agent: AgentId, was: AgentRecord | None, now: AgentRecord | None, registry: Registry) -> Iterator[Change]:
    for kind, mine, other in ((Kind.GAIN, now, was), (Kind.LOSE, was, now)):
        if mine is None:
            continue
        rights = _more(mine.rights, other.rights if other else {})
        standing = _more(mine.standing, other.standing if other else {})
        objects: dict[tuple[str, str], list[Topic]] = defaultdict(list)
        for topic in sorted(rights.keys() | standing.keys()):
            for words in _phrases(rights.get(topic, frozenset()), standing.get(topic, frozenset())):
                objects[words, topic.context].append(topic)
        for (words, context), topics in objects.items():
            what = f"{listed(topic.object_type for topic in topics)} in {context}"
            warning = ""
            if kind is Kind.LOSE and "provide" in words:
                warning = _unprovided([topic for topic in topics if registry.provider(topic) is None])
            yield _change(agent, kind, f"{VERBS[kind]}: {words.format(what)}", warning)


def _more(grants: Grants, others: Grants) -> Mapping[Topic, frozenset[Role]]:
    """Return the roles that *grants* have beyond *others*, by topic."""
    found: dict[Topic, set[Role]] = defaultdict(set)
    for role, topics in grants.items():
        for topic in topics - others.get(role, frozenset()):
            found[topic].add(role)
    return {topic: frozenset(roles) for topic, roles in found.items()}


def _phrases(rights: frozenset[Role], standing: frozenset[Role]) -> Iterator[str]:
    """Yield what the roles in one topic come to, each with a place for the object."""
    rest = set(rights)
    if rest >= _PUBLISHES:
        rest -= _PUBLISHES
        yield _MAY_PUBLISH
    if Role.PROVIDE in rest:
        rest.discard(Role.RESPOND)  # who may provide may respond
    for role, words in _MAY.items():
        if role in rest:
            yield words + (" and need not ask" if role in standing else "")
        elif role in standing:
            yield _DOES[role]


def _unprovided(topics: list[Topic]) -> str:
    if not topics:
        return ""
    what = f"{listed(topic.object_type for topic in topics)} in {topics[0].context}"
    return f"requests for {what} that name no agent are refused, unless another agent says that it provides it"


def _change(agent: AgentId, kind: Kind, words: str, warning: str = "") -> Change:
    return Change(Subject.AGENT, agent, kind, words, warning)


__all__ = ["Change", "Kind", "Subject", "plan"]
