"""Which RefId each agent's own key stands for, and how that comes about: values in, values out.

Comparing is identity.py's, keeping is storage's. An agent's key that is once a learner's stays so until people decide
otherwise: what it says later can only put a question to them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from broker.identity import (
    Candidate,
    How,
    Match,
    Part,
    SearchKey,
    Verdict,
    explain,
    is_pair,
    kept_keys,
    locate,
    search_keys,
    total,
    upns_of,
)
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim, Outcome, Place

MOST_SHARED: Final = 50
"""Learners that share a birth date and the like, above which it tells nothing: systems write 1 January for unknown."""
_ID_LENGTH: Final = 12


class LinkState(StrEnum):
    """How an agent's key came to its RefId."""

    LINKED = "linked"
    NEW = "new"
    WAITING = "waiting"
    REJECTED = "rejected"
    """People said that it is none of the learners it might have been."""
    UNDONE = "undone"
    """It was another learner's, and people took that back."""
    NONE = "none"
    """Nobody has the learner, and the agent makes none: nothing to keep."""


class Option(NamedTuple):
    """A learner that a key may yet turn out to be."""

    ref_id: str
    how: How
    score: int


@dataclass(frozen=True, slots=True)
class Link:
    """What an agent's own key stands for.

    Attributes:
        learner: The RefId in use; empty while somebody must decide, and where nobody has the learner.
        how: By what it was found; None for none.
        at: When it came so, seconds since 1970, UTC.
        by: The person who decided; empty where rules did.
        options: What people are to decide about; while *learner* is set, a question that stops nothing.
        claim: What the agent said; None where that need not be kept, or must not.
    """

    agent: str
    key: str
    learner: str
    state: LinkState
    how: How | None = None
    at: float = 0.0
    by: str = ""
    locate_only: bool = False
    options: tuple[Option, ...] = ()
    claim: Claim | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """What people call it by."""
        return link_id(self.agent, self.key)

    @property
    def is_described(self) -> bool:
        """Whether others are found by what was said of it."""
        return bool(self.learner) and self.claim is not None and not self.locate_only


def link_id(agent: str, key: str) -> str:
    """Return what people call a link by: twelve hexadecimal digits."""
    return hashlib.sha256(f"{agent}/{key}".encode()).hexdigest()[:_ID_LENGTH]


def pair(one: str, two: str) -> tuple[str, str]:
    """Return two RefIds in the order in which a rejected pair is kept."""
    return (one, two) if one < two else (two, one)


class NotDecided(ZoneError):
    """What people decided does not fit what the zone knows by now."""


@dataclass(slots=True)
class Known:
    """What storage knows that matters to some keys of one agent; grows by what is decided.

    Attributes:
        links: The agent's own, by key.
        followers: Other links by the RefId they stand for, of those keys.
        described: Links by search key.
        numbered: RefIds of learners by UPN, as their events had it.
        descriptions: Links by the RefId they stand for, of those learners.
        superseded: RefIds that were learners' and are no longer, each with the one that took its place.
        spoken_for: The agent's keys by the RefId they stand for.
        rejected: Pairs of RefIds that people said are two learners.
        sealed: RefIds of learners that are never linked.
    """

    links: dict[str, Link] = field(default_factory=dict)
    followers: Mapping[str, Sequence[Link]] = field(default_factory=dict)
    described: dict[SearchKey, list[Link]] = field(default_factory=dict)
    numbered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    descriptions: Mapping[str, Sequence[Link]] = field(default_factory=dict)
    superseded: Mapping[str, str] = field(default_factory=dict)
    spoken_for: dict[str, set[str]] = field(default_factory=dict)
    rejected: frozenset[tuple[str, str]] = frozenset()
    sealed: frozenset[str] = frozenset()

    def candidates(self, claim: Claim) -> list[Candidate]:
        """Return whom *claim* may be: never a sealed learner, nor one that people have ruled out."""
        described = {
            (link.agent, link.key): self._latest(link)
            for key in search_keys(claim)
            for link in self.described.get(key, ())
            if not is_pair(key) or len(self.described[key]) <= MOST_SHARED
        }
        found = [(link, link.claim) for link in (*described.values(), *self.followers.get(claim.key, ()))]
        candidates = [
            Candidate(link.learner, said or Claim(claim.key), self._same_agent(link.learner, claim))
            for link, said in found
            if self._may_be(claim, link.learner, link.key)
        ]
        for upn in upns_of(claim):
            candidates += self._by_events(claim, upn)
        return candidates

    def _by_events(self, claim: Claim, upn: str) -> list[Candidate]:
        """Return learners whose UPN is known from events alone, with what agents said of them."""
        found: list[Candidate] = []
        for ref in self.numbered.get(upn, ()):
            if ref == claim.key or ref in self.superseded or not self._may_be(claim, ref, ref):
                continue
            said = [link.claim for link in self.descriptions.get(ref, ()) if link.claim is not None]
            same = self._same_agent(ref, claim)
            found += (Candidate(ref, replace(one, upn=upn), same) for one in said or [Claim(RefId(ref))])
        return found

    def _latest(self, link: Link) -> Link:
        known = self.links.get(link.key)
        return known if known is not None and known.agent == link.agent else link

    def _same_agent(self, ref: str, claim: Claim) -> bool:
        return bool(self.spoken_for.get(ref, set()) - {claim.key})

    def _may_be(self, claim: Claim, learner: str, key: str) -> bool:
        known = self.links.get(claim.key)
        if not learner or learner in self.sealed or (known is not None and known.learner == learner):
            return False
        return pair(claim.key, learner) not in self.rejected and pair(claim.key, key) not in self.rejected

    def learn(self, link: Link) -> None:
        """Let what was decided count for the learners that follow."""
        self.links[link.key] = link
        if link.learner:
            self.spoken_for.setdefault(link.learner, set()).add(link.key)
        if link.is_described and link.claim is not None:
            for key in kept_keys(link.claim):
                self.described.setdefault(key, []).append(link)


# -- what agents ask --------------------------------------------------------------------------------------------------


def answer(agent: str, claims: Iterable[Claim], known: Known, now: float) -> tuple[list[Place], list[Link]]:
    """Return an answer for each of *claims*, in order, and what to keep; each counts for those after it."""
    places: list[Place] = []
    changed: list[Link] = []
    for claim in claims:
        before = known.links.get(claim.key)
        after = decide(agent, claim, known, now)
        if before is not None and replace(after, at=before.at) == before:
            after = before
        if after != before and not (before is None and after.state is LinkState.NONE):
            known.learn(after)
            changed.append(after)
        places.append(place(after))
    return places, changed


def is_settled(link: Link, claim: Claim) -> bool:
    """Tell whether *claim* says nothing that could change *link*, so that nobody need be looked for."""
    return bool(link.learner) and (link.locate_only or link.claim == claim)


def decide(agent: str, claim: Claim, known: Known, now: float) -> Link:
    """Return what the agent's key stands for, now that it says *claim* of it."""
    before = known.links.get(claim.key)
    if before is not None and before.learner:
        return _again(before, claim, known)
    if claim.key in known.sealed:
        return Link(agent, claim.key, claim.key, LinkState.NEW, None, now, "", claim.locate_only)
    return _settled(agent, claim, locate(claim, known.candidates(claim)), now)


def _settled(agent: str, claim: Claim, verdict: Verdict, now: float, state: LinkState = LinkState.NEW) -> Link:
    options = tuple(map(_option, verdict.matches))
    made = Link(agent, claim.key, "", LinkState.NONE, None, now, "", claim.locate_only, options, claim)
    match verdict.outcome, verdict.match:
        case Outcome.FOUND, Match() as match:
            kept = None if claim.locate_only else claim
            return replace(made, learner=match.ref_id, state=LinkState.LINKED, how=match.how, options=(), claim=kept)
        case Outcome.WAITING, _:
            return replace(made, state=LinkState.WAITING)
        case Outcome.NEW, _:
            return replace(made, learner=claim.key, state=state)
        case _:
            return replace(made, claim=None)


def _again(before: Link, claim: Claim, known: Known) -> Link:
    """Return a link that holds, with what its agent says by now; other learners that fit become a question.

    Only for a learner with the agent's own RefId: one that was linked is undone by people, where it is wrong.
    """
    if before.learner in known.sealed:
        return replace(before, claim=None, options=())
    if before.locate_only or before.claim == claim:
        return before
    verdict = locate(claim, known.candidates(claim)) if before.learner == before.key else Verdict(Outcome.NEW)
    matches = (*((verdict.match,) if verdict.match else ()), *verdict.matches)
    return replace(before, claim=claim, options=tuple(map(_option, matches)))


def _option(match: Match) -> Option:
    return Option(match.ref_id, match.how, match.score)


def place(link: Link) -> Place:
    """Return what an agent is told of its key."""
    key = RefId(link.key)
    if link.state is LinkState.WAITING:
        return Place(key, Outcome.WAITING)
    if not link.learner:
        return Place(key, Outcome.NONE)
    own = link.learner == link.key and link.state is not LinkState.LINKED
    return Place(key, Outcome.NEW if own else Outcome.FOUND, RefId(link.learner))


# -- what people look at ----------------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """One option as people see it.

    Attributes:
        agents: Whose records are that learner already.
        other: The description that is most like the one asked about; None where the zone has none.
        parts: The score explained, field by field.
    """

    option: Option
    agents: tuple[str, ...]
    other: Claim | None = None
    parts: tuple[Part, ...] = ()


def shown(link: Link, descriptions: Mapping[str, Sequence[Link]]) -> list[Shown]:
    """Return *link*'s options in order, explained anew.

    Args:
        descriptions: Links by the RefId that they stand for, of those options.
    """
    found: list[Shown] = []
    for option in link.options:
        others = descriptions.get(option.ref_id, ())
        agents = tuple(sorted({other.agent for other in others}))
        said = [other.claim for other in others if other.claim is not None]
        if link.claim is None or not said:
            found.append(Shown(option, agents))
            continue
        mine = link.claim
        best = max(said, key=lambda other: total(explain(mine, other)))
        found.append(Shown(option, agents, best, explain(mine, best)))
    return found


# -- what people decide -----------------------------------------------------------------------------------------------


class Decided(NamedTuple):
    """What a decision changes.

    Attributes:
        links: As they are now; each agent is told of its own.
        rejected: Pairs that never come up again.
    """

    links: tuple[Link, ...]
    rejected: tuple[tuple[str, str], ...] = ()


def accept(known: Known, key: str, number: int, by: str, now: float) -> Decided:
    """Say that *key* is its option *number*, counted from 1; who already knew the learner by *key* goes along.

    Raises:
        NotDecided: There is no such option, or it has become sealed.
    """
    link = _open(known, key)
    if not 1 <= number <= len(link.options):
        raise NotDecided(f"match {link.id} has {len(link.options)} candidate(s): name one of them with --candidate")
    option = link.options[number - 1]
    option = option._replace(ref_id=known.superseded.get(option.ref_id, option.ref_id))
    if option.ref_id in known.sealed:
        raise NotDecided(f"candidate {number} of match {link.id} must not be linked any more: reject the match")
    kept = None if link.locate_only else link.claim
    moved = replace(
        link, learner=option.ref_id, state=LinkState.LINKED, how=option.how, at=now, by=by, options=(), claim=kept
    )
    others = [
        replace(one, learner=option.ref_id, state=LinkState.LINKED, how=option.how, at=now, by=by, options=())
        for one in known.followers.get(key, ())
        if (one.agent, one.key) != (link.agent, key) and link.learner == key
    ]
    return Decided((moved, *others))


def reject(known: Known, key: str, by: str, now: float) -> Decided:
    """Say that *key* is none of its options; what remains is decided as if they had never been.

    Raises:
        NotDecided: Nobody is asked about it any more, or two agents made the same RefId for two children.
    """
    link = _open(known, key)
    if any(option.ref_id == key for option in link.options):
        raise NotDecided(
            f"another agent has a learner with the RefId that agent {link.agent} made for this one: let the agent make "
            "another, or accept the match"
        )
    rejected = tuple(pair(key, option.ref_id) for option in link.options)
    known.rejected |= set(rejected)
    if link.learner:
        return Decided((replace(link, options=(), at=now, by=by),), rejected)
    if link.claim is None:
        own = "" if link.locate_only else key
        return Decided((replace(link, learner=own, state=LinkState.REJECTED, options=(), at=now, by=by),), rejected)
    verdict = locate(link.claim, known.candidates(link.claim))
    settled = _settled(link.agent, link.claim, verdict, now, LinkState.REJECTED)
    state = LinkState.REJECTED if settled.state is LinkState.NONE else settled.state
    return Decided((replace(settled, state=state, by=by),), rejected)


def undo(known: Known, key: str, by: str, now: float) -> Decided:
    """Take back that *key* is another agent's learner: it gets its own RefId again, and never that one.

    Raises:
        NotDecided: It is no other learner.
    """
    link = known.links.get(key)
    if link is None or not link.learner or link.learner == key:
        raise NotDecided("this key has its own RefId, or none: there is nothing to undo")
    own = "" if link.locate_only else key
    undone = replace(link, learner=own, state=LinkState.UNDONE, how=None, at=now, by=by, options=())
    return Decided((undone,), (pair(key, link.learner),))


def _open(known: Known, key: str) -> Link:
    link = known.links.get(key)
    if link is None or (not link.options and link.state is not LinkState.WAITING):
        raise NotDecided("nobody is asked about this match any more: see the others with 'sifzone match list'")
    return link
