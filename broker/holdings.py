"""What is known of one learner's objects: who publishes each, who holds which view of it, and what is on its way.

Values alone: what they lead to is decided in :mod:`broker.entering`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import schemas
from broker.protocol.envelope import NAMESPACE, EventObject, local_name
from broker.protocol.identifiers import AgentId

LEARNER: Final = "LearnerPersonal"
CONTACT: Final = "ContactPersonal"
CONTACT_LINK: Final = "LearnerContact"
TRANSFER: Final = "LearnerTransfer"
_RANKS: Final[Mapping[str, int]] = MappingProxyType({LEARNER: 0, CONTACT: 1, "LearnerEducationPlan": 3, TRANSFER: 4})
_OTHER_RANK: Final = 2
_SINGLY: Final = frozenset(
    {LEARNER, CONTACT, CONTACT_LINK, TRANSFER, "LearnerSchoolEnrolment", "LearnerLookedAfter", "LearnerEducationPlan"}
)
REST: Final = ""
"""In the place of a RefId: all objects of the kind that nobody holds, however many, as marks of attendance are."""


class ObjectKey(NamedTuple):
    """What tells one object of a learner from another.

    Attributes:
        ref: Its RefId; the values of its keys, joined by bars, where it has none. REST for all that nobody holds.
    """

    object_type: str
    ref: str


class Holder(NamedTuple):
    """An agent, and the name of the view by which it has an object."""

    agent: AgentId
    view: str


@dataclass(frozen=True, slots=True)
class Holding:
    """One object of a learner.

    Attributes:
        sources: The agents that publish it, whoever did so last at the end; at least one.
        holders: Who has it, through the zone.
    """

    sources: tuple[AgentId, ...]
    holders: frozenset[Holder] = frozenset()

    @property
    def agents(self) -> frozenset[AgentId]:
        """Who has it, by whichever view."""
        return frozenset(holder.agent for holder in self.holders)


Holdings = Mapping[ObjectKey, Holding]
NO_HOLDINGS: Final[Holdings] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fetch:
    """A learner's objects of one kind that are to be asked for, or are asked for, on behalf of some.

    While an agent is among the recipients of any, nothing else about the learner is delivered to it: it gets what it
    lacks in the order in which objects depend on each other, and nothing of what changed meanwhile twice.

    Attributes:
        source: The agent to ask; the zone itself for what the zone publishes.
        request_id: SIF_MsgId of the request; empty while it is not asked.
        dirty: Something has changed since it was asked: what comes is out of date, and is asked for again.
        attempts: How often it has failed, or what came was out of date.
        due_at: Not to be asked before; seconds since 1970, UTC.
        seen: RefIds (or keys) of the objects that have come.
    """

    object_type: str
    source: AgentId
    recipients: frozenset[AgentId]
    request_id: str = ""
    dirty: bool = False
    attempts: int = 0
    due_at: float = 0.0
    seen: frozenset[str] = frozenset()

    @property
    def rank(self) -> int:
        """Place in the order in which kinds of objects depend on each other."""
        return rank(self.object_type)


def is_listed(object_type: str) -> bool:
    """Tell whether objects of a kind are remembered one by one even where nobody holds them: of these there are few."""
    return object_type in _SINGLY


def rank(object_type: str) -> int:
    """Return the place of a kind of object in the order of dependence: what others refer to comes first."""
    return _RANKS.get(object_type, _OTHER_RANK)


def key_of(event: EventObject) -> ObjectKey:
    """Return what tells the object from others; a part of the key that is missing is empty."""
    if event.object_type == LEARNER:
        return ObjectKey(LEARNER, event.element.get("RefId", "").strip())
    values = []
    for path in schemas.load().keys(event.object_type):
        if path.startswith("@"):
            text: str | None = event.element.get(path[1:])
        else:
            text = next((child.text for child in event.element if local_name(child) == path), None)
        values.append((text or "").strip())
    return ObjectKey(event.object_type, "|".join(values))


def bare_object(key: ObjectKey, learner: str) -> bytes:
    """Return the object with nothing but what identifies it and the learner that it is about, serialised.

    For a Delete: schema and receivers need no more.
    """
    attributes, children = _identifying(key.object_type)
    parts = key.ref.split("|")
    values = dict(zip(_keys(key.object_type), parts, strict=False))
    about = schemas.load().learner_ref(key.object_type)
    if about is not None:
        values[about] = learner
    written = "".join(f" {name[1:]}={quoteattr(values[name])}" for name in attributes if values.get(name))
    inner = "".join(f"<{name}>{escape(values[name])}</{name}>" for name in children if values.get(name))
    namespace = schemas.load().namespace_of(key.object_type)
    declared = "" if namespace == NAMESPACE else f' xmlns="{namespace}"'
    return f"<{key.object_type}{declared}{written}>{inner}</{key.object_type}>".encode()


@cache
def _keys(object_type: str) -> tuple[str, ...]:
    return schemas.load().keys(object_type)


@cache
def _identifying(object_type: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    about = schemas.load().learner_ref(object_type)
    named = dict.fromkeys([*_keys(object_type), *([about] if about else [])])
    attributes = tuple(name for name in named if name.startswith("@"))
    return attributes, tuple(name for name in named if not name.startswith("@"))


__all__ = [
    # objects
    "CONTACT",
    "CONTACT_LINK",
    "LEARNER",
    "NO_HOLDINGS",
    "REST",
    "TRANSFER",
    "Holder",
    "Holding",
    "Holdings",
    "ObjectKey",
    "bare_object",
    "is_listed",
    "key_of",
    "rank",
    # what is on its way
    "Fetch",
]
