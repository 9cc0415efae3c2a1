"""Who gains and who loses which elements when agreements change, or the agents that they name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from broker.agreements import WHOLE, Agreement
from broker.plan_words import SCOPES, VERBS, Change, Kind, Subject, element, instead, listed
from broker.protocol.identifiers import AgentId
from broker.registry import AgentRecord, Registry, Role

_SENDS: Final = (Role.PUBLISH_ADD, Role.PUBLISH_CHANGE, Role.PUBLISH_DELETE, Role.PROVIDE, Role.RESPOND)
_RECEIVES: Final = (Role.SUBSCRIBE, Role.REQUEST)
_SHARES_NOTHING: Final = (
    "it shares nothing: no agent it is to may subscribe to or request what an agent it is from may publish or answer"
)

Paths = tuple[str, ...]
Between = tuple[str, AgentId, AgentId]
"""An object, who receives it, and from whom."""


class Sharing(Protocol):
    """What of a zone decides who shares what."""

    @property
    def registry(self) -> Registry:
        """Its agents and their rights."""

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """Its agreements."""


def sharing_changes(before: Sharing, after: Sharing) -> Iterator[Change]:
    """Yield what is otherwise by each agreement, in the order of their ids.

    A new agent gains what an old agreement names, when its id is like the agreement's.
    """
    old = {agreement.id: agreement for agreement in before.agreements}
    new = {agreement.id: agreement for agreement in after.agreements}
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        shared = _shared(was, before.registry), _shared(now, after.registry)
        moves = [*_moves(was, shared, Kind.LOSE), *_moves(now, shared, Kind.GAIN)]
        if was is None and now is not None:
            warning = "" if shared[1] else _SHARES_NOTHING
            yield Change(Subject.AGREEMENT, name, Kind.GAIN, f"is new: {_terms(now)}", warning)
        elif was is not None and now is None:
            yield Change(Subject.AGREEMENT, name, Kind.LOSE, f"is removed: {_terms(was)}")
        elif was is not None and now is not None:
            otherwise = [*_otherwise(was, now)]
            if was != now and not otherwise and not moves:
                shares = "names other elements, which nobody gets by it"
                words = "is written otherwise and says the same" if was.shares == now.shares else shares
                otherwise = [_change(now, Kind.CHANGE, words)]
            yield from otherwise
        yield from moves


def _terms(agreement: Agreement) -> str:
    return (
        f'"{agreement.title}", from {listed(agreement.senders)} to {listed(agreement.recipients)}, '
        f"about {SCOPES[agreement.scope]}, {agreement.starts} to {agreement.expires}"
        + (", also under a shield" if agreement.shielded else "")
    )


def _otherwise(was: Agreement, now: Agreement) -> Iterator[Change]:
    if was.scope != now.scope:
        yield _change(now, Kind.CHANGE, f"is about {instead(SCOPES[now.scope], SCOPES[was.scope])}")
    if was.starts != now.starts:
        kind = Kind.GAIN if now.starts < was.starts else Kind.LOSE
        yield _change(now, kind, f"shares from {instead(now.starts, was.starts)}")
    if was.expires != now.expires:
        kind = Kind.GAIN if now.expires > was.expires else Kind.LOSE
        yield _change(now, kind, f"shares until {instead(now.expires, was.expires)}")
    if was.shielded != now.shielded:
        kind = Kind.GAIN if now.shielded else Kind.LOSE
        yield _change(now, kind, f"covers learners under a shield: {instead(now.shielded, was.shielded)}")
    for what, said, before in (
        ("is from", listed(now.senders), listed(was.senders)),
        ("is to", listed(now.recipients), listed(was.recipients)),
        ("has the title", now.title, was.title),
        ("has the purpose", now.purpose, was.purpose),
        ("has the lawful basis", now.lawful_basis, was.lawful_basis),
    ):
        if said != before:
            yield _change(now, Kind.CHANGE, f"{what} {instead(said, before)}")


def _change(agreement: Agreement, kind: Kind, words: str) -> Change:
    return Change(Subject.AGREEMENT, agreement.id, kind, words)


def _shared(agreement: Agreement | None, registry: Registry) -> Mapping[Between, Paths]:
    """Return what may flow by an agreement: between whom it names, as far as rights let them send and receive."""
    if agreement is None:
        return {}
    return {
        (object_type, recipient, sender): paths
        for object_type, paths in agreement.shares.items()
        for recipient in _able(registry, object_type, _RECEIVES)
        for sender in _able(registry, object_type, _SENDS)
        if sender != recipient and agreement.is_between(sender, recipient)
    }


def _able(registry: Registry, object_type: str, roles: Iterable[Role]) -> list[AgentId]:
    return sorted(agent.id for agent in registry.agents.values() if _has_a_part(agent, object_type, roles))


def _has_a_part(agent: AgentRecord, object_type: str, roles: Iterable[Role]) -> bool:
    return any(topic.object_type == object_type for role in roles for topic in agent.rights.get(role, ()))


def _moves(
    agreement: Agreement | None,
    shared: tuple[Mapping[Between, Paths], Mapping[Between, Paths]],
    kind: Kind,
) -> Iterator[Change]:
    """Yield who gains or loses which elements by *agreement*: one change for all to whom the same happens."""
    if agreement is None:
        return
    mine, other = (shared[1], shared[0]) if kind is Kind.GAIN else shared
    senders: dict[tuple[str, AgentId, str], set[AgentId]] = defaultdict(set)
    for (object_type, recipient, sender), paths in mine.items():
        elements = _beyond(paths, other.get((object_type, recipient, sender), ()))
        if elements:
            senders[object_type, recipient, elements].add(sender)
    recipients: dict[tuple[str, str, str], set[AgentId]] = defaultdict(set)
    for (object_type, recipient, elements), found in senders.items():
        everybody = {s for (o, r, s) in mine if (o, r) == (object_type, recipient)}
        origin = listed(agreement.senders) if found == everybody else listed(found)
        recipients[object_type, elements, origin].add(recipient)
    for (object_type, elements, origin), those in sorted(recipients.items()):
        verb = VERBS[kind] if len(those) == 1 else VERBS[kind].removesuffix("s")
        yield _change(
            agreement,
            kind,
            f"{listed(those)} {verb} {object_type} ({elements}) from {origin}, "
            f"about {SCOPES[agreement.scope]}, until {agreement.expires}",
        )


def _beyond(paths: Paths, others: Paths) -> str:
    """Return those of *paths* that *others* do not cover, in order, each with what they do cover of it."""
    found = []
    for path in paths:
        if not any(_covers(other, path) for other in others):
            within = listed(other for other in others if _covers(path, other))
            found.append(element(path) + (f" but for {within}" if within else ""))
    return ", ".join(found)


def _covers(path: str, other: str) -> bool:
    return path in (WHOLE, other) or other.startswith(f"{path}/")
