"""Who enters or leaves the scope of an agreement, and what follows: what is withheld, ended, and asked for. No I/O.

A recipient that a learner enters gets the whole record: the zone asks whoever publishes its parts, on behalf of the
recipient, one kind of object after the other in the order of dependence. Meanwhile nothing else about the learner goes
to it: whatever changes is asked for once more. Who leaves is ended by Deletes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, NamedTuple

from broker.agreements import Leaving
from broker.holdings import (
    CONTACT,
    CONTACT_LINK,
    LEARNER,
    NO_HOLDINGS,
    REST,
    Fetch,
    Holder,
    Holding,
    ObjectKey,
    is_listed,
    key_of,
    rank,
)
from broker.learners import Learner, Observed, Standing, standing
from broker.protocol.envelope import Action, EventObject
from broker.protocol.identifiers import AgentId, MsgId
from broker.protocol.topology import intake_key
from broker.routing import Plan, Reason, Router, Standings
from broker.views import View

_FIRST_PAUSE: Final = 60.0
_LONGEST_PAUSE: Final = 86_400.0
_PATIENCE: Final = 3
"""Failures of a request after which what depends on its objects is no longer kept back."""


class Removal(NamedTuple):
    """An object that some are to hold no longer."""

    key: ObjectKey
    agents: tuple[AgentId, ...]


@dataclass(frozen=True, slots=True)
class Followed:
    """What an event leads to beside its delivery.

    Attributes:
        observed: What the index is to take up: the learner with who now holds what.
        withheld: Who is not delivered to after all, and why.
        as_change: Who holds the object already from another source, so that an Add goes to it as a Change.
        removals: What is to be ended; what depends on others first.
    """

    observed: Observed
    withheld: Mapping[AgentId, Reason] = field(default_factory=dict)
    as_change: frozenset[AgentId] = frozenset()
    removals: tuple[Removal, ...] = ()


class Delivery(NamedTuple):
    """One object of an answer for those who asked for it together."""

    event: EventObject
    view: View
    agents: tuple[AgentId, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a packet of an answer leads to: the learner as known then, what goes to whom, and what is to be ended."""

    learner: Learner
    deliveries: tuple[Delivery, ...] = ()
    removals: tuple[Removal, ...] = ()


class _Draft:
    """A learner's holdings and fetches while they are changed."""

    def __init__(self, learner: Learner, at: Standing, router: Router) -> None:
        self.holdings = dict(learner.holdings)
        self.fetches = {(fetch.object_type, fetch.source): fetch for fetch in learner.fetches}
        self.before = learner.holdings
        self.standings = (at,)
        self.router = router
        self.removals: dict[ObjectKey, list[AgentId]] = {}

    @property
    def entering(self) -> frozenset[AgentId]:
        return frozenset().union(*(fetch.recipients for fetch in self.fetches.values()))

    @property
    def tired(self) -> frozenset[AgentId]:
        """Those who have waited for an answer again and again: what comes goes to them, as far as they can use it."""
        eager = (fetch.recipients for fetch in self.fetches.values() if fetch.attempts < _PATIENCE)
        return self.entering - frozenset().union(*eager)

    def plan(self, source: AgentId, object_type: str) -> Plan:
        return self.router.plan(source, object_type, self.standings)

    def entitled(self, object_type: str, sources: Sequence[AgentId]) -> dict[AgentId, tuple[str, AgentId]]:
        """Return who may have an object: by agent the view, and the source that was heard last of those it may hear."""
        found: dict[AgentId, tuple[str, AgentId]] = {}
        for source in reversed(sources):
            for agent, view in self.plan(source, object_type).holders:
                if agent not in sources:
                    found.setdefault(agent, (view, source))
        return found

    def ask(self, object_type: str, source: AgentId, agents: Iterable[AgentId]) -> None:
        """Have the objects of a kind asked for on behalf of *agents*, anew where they are asked for already."""
        new = frozenset(agents)
        if not new:
            return
        before = self.fetches.get((object_type, source))
        fetch = before or Fetch(object_type, source, frozenset())
        self.fetches[object_type, source] = replace(
            fetch, recipients=fetch.recipients | new, dirty=fetch.request_id != "", due_at=0.0
        )

    def _awaits(self, agent: AgentId, object_type: str, source: AgentId) -> bool:
        """Tell whether it is asked for on its behalf already: it gets what it may have when the answer comes."""
        fetch = self.fetches.get((object_type, source))
        return fetch is not None and agent in fetch.recipients

    def disturb(self, object_type: str, source: AgentId) -> None:
        fetch = self.fetches.get((object_type, source))
        if fetch is not None and fetch.request_id:
            self.fetches[object_type, source] = replace(fetch, dirty=True)

    def remove(self, key: ObjectKey, agents: Iterable[AgentId]) -> None:
        gone = sorted(agents)
        if gone:
            self.removals.setdefault(key, []).extend(gone)

    def settle(self, skip: ObjectKey | None = None) -> None:
        """Bring what is held to what may be held: end what may not, have asked for what is missing."""
        live = {agreement.id: agreement for agreement in self.router.agreements}
        for key, holding in list(self.holdings.items()):
            if key == skip:
                continue
            if key.ref == REST:
                self._settle_rest(key.object_type, holding)
                continue
            entitled = self.entitled(key.object_type, holding.sources)
            kept = frozenset(holder for holder in holding.holders if holder.agent in entitled)
            ended = [
                holder.agent
                for holder in holding.holders - kept
                if (self.standings[0].shielded or not _keeps(holder, live)) and holder.agent not in holding.sources
            ]
            self.remove(key, ended)
            if kept != holding.holders:
                self.holdings[key] = replace(holding, holders=kept)
            for agent, (view, source) in entitled.items():
                if Holder(agent, view) not in kept and not self._awaits(agent, key.object_type, source):
                    self.ask(key.object_type, source, [agent])
        for place, fetch in list(self.fetches.items()):
            entitled_now = frozenset(holder.agent for holder in self.plan(fetch.source, fetch.object_type).holders)
            recipients = fetch.recipients & entitled_now
            if not recipients:
                del self.fetches[place]
            elif recipients != fetch.recipients:
                self.fetches[place] = replace(fetch, recipients=recipients)

    def _settle_rest(self, object_type: str, holding: Holding) -> None:
        for source in holding.sources:
            for agent, _ in self.plan(source, object_type).holders:
                if agent not in holding.sources and not self._awaits(agent, object_type, source):
                    self.ask(object_type, source, [agent])

    def answered(self, object_type: str, source: AgentId) -> None:
        """Take it that all objects of a kind that *source* has are known one by one."""
        key = ObjectKey(object_type, REST)
        rest = self.holdings.pop(key, None)
        if rest is not None and rest.sources != (source,):
            self.holdings[key] = Holding(tuple(other for other in rest.sources if other != source))

    def _gather(self) -> None:
        """Let those that nobody holds go into the rest, so that what is known of a learner stays small."""
        for key, holding in list(self.holdings.items()):
            if holding.holders or key.ref == REST or is_listed(key.object_type):
                continue
            del self.holdings[key]
            rest = ObjectKey(key.object_type, REST)
            known = self.holdings.get(rest, Holding(())).sources
            self.holdings[rest] = Holding((*known, *(source for source in holding.sources if source not in known)))

    def of(self, learner: Learner) -> Learner:
        self._gather()
        fetches = tuple(sorted(self.fetches.values(), key=lambda f: (f.rank, f.object_type, f.source)))
        return replace(learner, holdings=self.holdings, fetches=fetches)

    def ordered_removals(self) -> tuple[Removal, ...]:
        ordered = sorted(self.removals.items(), key=lambda item: (-rank(item[0].object_type), item[0]))
        return tuple(Removal(key, tuple(agents)) for key, agents in ordered)


def _keeps(holder: Holder, live: Mapping[str, object]) -> bool:
    """Tell whether the agreements by which it has the object let it keep what it has of those who leave."""
    ids = [part.partition("@")[0] for part in holder.view.split("+")]
    found = [live[name] for name in ids if name in live]
    return bool(found) and all(getattr(agreement, "leaving", None) is Leaving.NOTICE for agreement in found)


def follow(
    event: EventObject,
    sender: AgentId,
    before: Learner | None,
    observed: Observed,
    router: Router,
    schools: Mapping[str, str],
    about: str,
    plan: Plan,
    standings: Standings,
) -> Followed:
    """Return what *event* about the learner *about* leads to beside its delivery.

    Args:
        before: The learner as known before it; None when not known.
        observed: What it tells of the learner, see :func:`broker.learners.observe`.
        schools: Establishment number by the RefId of its SchoolInfo.
        plan: Who may have it as the learner stands before and after it.
        standings: How the learner stands before it and, where that differs, after it.

    Source:
        Our own rules: see the module.
    """
    key = key_of(event)
    if before is not None and _is_overruled(event, sender, key, before, standings[0], router, schools):
        return Followed(Observed(), dict.fromkeys((holder.agent for holder in plan.holders), Reason.OTHER_SOURCE))
    if _is_kept_by_another(event, sender, key, before):
        observed = Observed()
    after = Learner(about) if observed.forgotten is not None else observed.learner or before or Learner(about)
    known = after.holdings.get(key) or _rest_of(event, sender, after)
    if after is before and _is_settled(event, sender, known, plan, after):
        return Followed(observed)
    at, now = standings[0], standings[-1]
    if observed.learner is None and after is not before:  # it is kept, or forgotten
        now = standing(after, schools, router.today)
    then = plan if now == at else router.plan(sender, event.object_type, (now,))
    if now == at and _is_settled(event, sender, known, plan, after):
        return Followed(observed)
    if _is_first(event, after) and then.holders == plan.holders:
        place = key if plan.holders or is_listed(event.object_type) else ObjectKey(event.object_type, REST)
        return Followed(replace(observed, learner=replace(after, holdings={place: Holding((sender,), plan.holders)})))
    draft = _Draft(after, now, router)
    if now != at:
        draft.settle(skip=None if event.action is Action.CHANGE and key in after.holdings else key)
    recipients = frozenset(holder.agent for holder in plan.holders)
    step = _deleted if event.action is Action.DELETE else _published
    withheld, as_change = step(draft, event, key, sender, recipients, then)
    if event.object_type == CONTACT_LINK:
        _link(draft, event, sender)
    ends = event.object_type == LEARNER and event.action is Action.DELETE
    changed = _without_enrolments(draft.of(after), before) if ends else draft.of(after)
    nobody = ends and changed.is_nobody
    settled = replace(observed, learner=None if nobody else changed, forgotten=about if nobody else None)
    return Followed(settled, withheld, as_change, draft.ordered_removals())


def _is_kept_by_another(event: EventObject, sender: AgentId, key: ObjectKey, before: Learner | None) -> bool:
    """Tell whether a learner's record is deleted by one agent while another still publishes it."""
    if event.object_type != LEARNER or event.action is not Action.DELETE or before is None:
        return False
    known = before.holdings.get(key)
    return known is not None and any(source != sender for source in known.sources)


def _is_overruled(
    event: EventObject,
    sender: AgentId,
    key: ObjectKey,
    before: Learner,
    at: Standing,
    router: Router,
    schools: Mapping[str, str],
) -> bool:
    """Tell whether a school that a learner has left changes the record that the present school publishes.

    Source:
        Our own rule: of two agents that publish one learner's record, the one counts whose school the learner is at.
    """
    if event.object_type != LEARNER or event.action is not Action.CHANGE:
        return False
    known = before.holdings.get(key)
    if known is None or known.sources == (sender,):
        return False
    own = _schools_of(sender, router)
    been = {schools.get(stay.school, stay.school) for stay in before.enrolments.values()}
    if own.isdisjoint(been) or not own.isdisjoint(at.establishments):
        return False
    return any(
        not at.establishments.isdisjoint(_schools_of(other, router)) for other in known.sources if other != sender
    )


def _schools_of(agent: AgentId, router: Router) -> frozenset[str]:
    record = router.registry.agents.get(agent)
    return frozenset() if record is None else frozenset(str(school) for school in record.establishments)


def _rest_of(event: EventObject, sender: AgentId, learner: Learner) -> Holding | None:
    """Return what is known of an object that is not remembered by itself: *sender* publishes it, nobody holds it."""
    if is_listed(event.object_type):
        return None
    rest = learner.holdings.get(ObjectKey(event.object_type, REST))
    return Holding((sender,)) if rest is not None and sender in rest.sources else None


def _is_first(event: EventObject, after: Learner) -> bool:
    """Tell whether it is the first object of a learner that the zone hears of, and brings no other with it."""
    return event.action is Action.ADD and event.object_type != CONTACT_LINK and not after.holdings and not after.fetches


def _is_settled(event: EventObject, sender: AgentId, known: Holding | None, plan: Plan, after: Learner) -> bool:
    """Tell whether nothing follows: as for nearly all events."""
    if known is None or after.fetches or event.action is Action.DELETE:
        return False
    return known.sources[-1] == sender and known.holders == plan.holders


def _published(
    draft: _Draft, event: EventObject, key: ObjectKey, sender: AgentId, recipients: frozenset[AgentId], plan: Plan
) -> tuple[dict[AgentId, Reason], frozenset[AgentId]]:
    known = draft.holdings.get(key, Holding((sender,)))
    sources = (*(source for source in known.sources if source != sender), sender)
    held = draft.before[key].agents if key in draft.before else frozenset[AgentId]()
    usable = draft.tired if event.action is Action.ADD else draft.tired & held
    waiting = recipients & (draft.entering - usable)
    draft.ask(event.object_type, sender, waiting & frozenset(holder.agent for holder in plan.holders))
    others = event.action is Action.ADD and sender not in known.sources
    as_change = (recipients & held) - waiting if others else frozenset()
    entitled = draft.entitled(event.object_type, sources)
    new = frozenset(holder for holder in plan.holders if holder.agent not in waiting)
    fresh = frozenset(holder.agent for holder in new)
    kept = frozenset(h for h in known.holders if h.agent not in fresh and (h.agent in entitled or h.agent in waiting))
    draft.remove(key, [h.agent for h in known.holders if h.agent not in fresh and h not in kept and h.agent != sender])
    withheld = dict.fromkeys(waiting, Reason.ENTERING)
    unheld = ObjectKey(event.object_type, REST) in draft.before
    if (
        event.action is Action.ADD or key in draft.before or unheld
    ):  # who leaves, and never had it, is not to get it now
        leaving = recipients - held - entitled.keys() - waiting - fresh
        withheld |= dict.fromkeys(leaving, Reason.NOT_IN_SCOPE)
    draft.holdings[key] = Holding(sources, new | kept)
    return withheld, as_change


def _deleted(
    draft: _Draft, event: EventObject, key: ObjectKey, sender: AgentId, recipients: frozenset[AgentId], plan: Plan
) -> tuple[dict[AgentId, Reason], frozenset[AgentId]]:
    del plan
    draft.disturb(event.object_type, sender)
    withheld: dict[AgentId, Reason] = {}
    if event.object_type == LEARNER:
        _drop_dependants(draft, key, sender)
    known = draft.holdings.pop(key, None)
    if known is None:
        return withheld, frozenset()
    waiting = draft.entering
    sources = tuple(source for source in known.sources if source != sender)
    if sources:
        entitled = draft.entitled(event.object_type, sources)
        for agent in known.agents & entitled.keys():
            withheld[agent] = Reason.OTHER_SOURCE
            draft.ask(event.object_type, entitled[agent][1], [agent])
        kept = frozenset(holder for holder in known.holders if holder.agent in entitled)
        draft.holdings[key] = Holding(sources, kept)
    for agent in recipients & waiting - known.agents:
        withheld.setdefault(agent, Reason.ENTERING)
    missed = known.agents - recipients - withheld.keys() - {sender}
    draft.remove(key, missed)  # who holds it, and is not delivered the Delete
    return withheld, frozenset()


def _drop_dependants(draft: _Draft, key: ObjectKey, sender: AgentId) -> None:
    """End what *sender* alone publishes of a learner whose record it deletes, unless another keeps the record too."""
    known = draft.holdings.get(key)
    if known is not None and known.sources != (sender,):
        return
    for other, holding in list(draft.holdings.items()):
        if other != key and holding.sources == (sender,):
            draft.remove(other, holding.agents)
            del draft.holdings[other]


def _without_enrolments(learner: Learner, before: Learner | None) -> Learner:
    """Return *learner* without the enrolments whose objects have gone with the record."""
    gone = {
        key.ref
        for key in (NO_HOLDINGS if before is None else before.holdings)
        if key.object_type == "LearnerSchoolEnrolment" and key not in learner.holdings
    }
    care = {
        key.ref
        for key in (NO_HOLDINGS if before is None else before.holdings)
        if key.object_type == "LearnerLookedAfter" and key not in learner.holdings
    }
    if not gone and not care:
        return learner
    return replace(
        learner,
        enrolments={ref: stay for ref, stay in learner.enrolments.items() if ref not in gone},
        care={ref: period for ref, period in learner.care.items() if ref not in care},
    )


def _link(draft: _Draft, event: EventObject, sender: AgentId) -> None:
    """Take the contact of a LearnerContact for one of the learner's objects: where the learner goes, it goes."""
    key = ObjectKey(CONTACT, event.element.get("ContactPersonalRefId", "").strip())
    if not key.ref:
        return
    known = draft.holdings.get(key)
    if event.action is not Action.DELETE:
        if known is None:
            draft.holdings[key] = Holding((sender,))
            missing = [holder.agent for holder in draft.plan(sender, CONTACT).holders]
            draft.ask(CONTACT, sender, missing)
        return
    if known is not None:
        draft.remove(key, known.agents)
        del draft.holdings[key]


def review(learner: Learner, router: Router, schools: Mapping[str, str]) -> tuple[Learner, tuple[Removal, ...]]:
    """Return *learner* with what is held brought to what may be held today, and what is to be ended."""
    draft = _Draft(learner, standing(learner, schools, router.today), router)
    draft.settle()
    after = draft.of(learner)
    return (learner if after == learner else after), draft.ordered_removals()


def advance(learner: Learner, now: float, seed: str) -> tuple[Learner, tuple[Fetch, ...]]:
    """Return *learner* with what can now be asked for noted as asked, and these fetches, with their requests' ids.

    Args:
        now: Seconds since 1970, UTC.
        seed: Makes the ids the same when the same is decided again; another for another occasion.
    """
    asked: list[Fetch] = []
    fetches: list[Fetch] = []
    for fetch in learner.fetches:
        if not fetch.request_id and not _is_blocked(fetch, learner) and fetch.due_at <= now:
            text = f"{seed}/{learner.ref_id}/{fetch.object_type}/{fetch.source}/{fetch.attempts}"
            fetch = replace(fetch, request_id=request_id(text, learner.ref_id), dirty=False, seen=frozenset())
            asked.append(fetch)
        fetches.append(fetch)
    return (replace(learner, fetches=tuple(fetches)), tuple(asked)) if asked else (learner, ())


def _is_blocked(fetch: Fetch, learner: Learner) -> bool:
    """Tell whether what others refer to is still to come; what has failed again and again holds nobody up any more."""
    return any(_blocking(fetch, learner))


def _blocking(fetch: Fetch, learner: Learner) -> Iterator[Fetch]:
    return (other for other in learner.fetches if other.rank < fetch.rank and other.attempts < _PATIENCE)


def waits_for(fetch: Fetch, learner: Learner) -> str:
    """Return the kind of object that has to come before *fetch* can be asked for; empty when it need not wait."""
    if fetch.request_id:
        return ""
    first = min(_blocking(fetch, learner), key=lambda other: other.rank, default=None)
    return "" if first is None else first.object_type


def at_once(learner: Learner) -> Learner:
    """Return *learner* with all that waits for its next try to be asked for now."""
    if all(fetch.request_id or not fetch.due_at for fetch in learner.fetches):
        return learner
    fetches = (fetch if fetch.request_id else replace(fetch, due_at=0.0) for fetch in learner.fetches)
    return replace(learner, fetches=tuple(fetches))


def request_id(text: str, learner: str) -> MsgId:
    """Return the id of a request about *learner*, the same for the same *text*.

    Its answers come through the intake queue of the learner's own events, so that one worker decides about both in
    their order.
    """
    wanted = intake_key(learner)
    for number in count():
        found = hashlib.sha256(f"{text}/{number}".encode()).hexdigest()[:32].upper()
        if intake_key(found) == wanted:
            return MsgId(found)
    raise AssertionError("never reached")


def next_look(learner: Learner) -> float | None:
    """Return when something is to be asked for again, in seconds since 1970, UTC; None when nothing waits."""
    idle = (fetch for fetch in learner.fetches if not fetch.request_id and not _is_blocked(fetch, learner))
    return min((fetch.due_at for fetch in idle), default=None)


def contacts_of(learner: Learner, source: AgentId) -> tuple[str, ...]:
    """Return the RefIds of the learner's contacts that *source* publishes, in order."""
    return tuple(
        sorted(k.ref for k, held in learner.holdings.items() if k.object_type == CONTACT and source in held.sources)
    )


def failed(learner: Learner, request: str, now: float) -> Learner:
    """Return *learner* with a request noted that was not answered: it is asked again after a pause."""
    fetches = []
    for fetch in learner.fetches:
        if fetch.request_id == request:
            pause = min(_FIRST_PAUSE * 2**fetch.attempts, _LONGEST_PAUSE)
            fetch = replace(
                fetch, request_id="", dirty=False, seen=frozenset(), attempts=fetch.attempts + 1, due_at=now + pause
            )
        fetches.append(fetch)
    return replace(learner, fetches=tuple(fetches))


def answered(
    learner: Learner,
    request: str,
    events: Sequence[EventObject],
    more: bool,
    router: Router,
    schools: Mapping[str, str],
    now: float,
    seen: frozenset[str] = frozenset(),
) -> Answered:
    """Return what a packet that answers *request* leads to.

    Args:
        events: Its objects, each whole, valid, and about the learner or, as a contact, the learner's.
        more: Whether another packet follows.
        now: Seconds since 1970, UTC.
        seen: Keys of what else was in it and is not passed on.
    """
    fetch = next((fetch for fetch in learner.fetches if fetch.request_id == request), None)
    if fetch is None:  # nobody waits for it any more
        return Answered(learner)
    place = (fetch.object_type, fetch.source)
    draft = _Draft(learner, standing(learner, schools, router.today), router)
    deliveries: list[Delivery] = []
    if not fetch.dirty or fetch.attempts >= _PATIENCE:  # better a little out of date than never
        for event in events:
            deliveries += _take(draft, event, fetch)
        fetch = replace(fetch, seen=fetch.seen | seen | {key_of(event).ref for event in events})
    if more:
        draft.fetches[place] = fetch
    elif fetch.dirty:
        rounds = fetch.attempts + 1
        due_at = now + _FIRST_PAUSE if rounds >= _PATIENCE else 0.0
        draft.fetches[place] = replace(
            fetch, request_id="", dirty=False, seen=frozenset(), attempts=rounds, due_at=due_at
        )
    else:
        del draft.fetches[place]
        draft.answered(*place)
        _drop_missing(draft, fetch)
    return Answered(draft.of(learner), tuple(deliveries), draft.ordered_removals())


def _take(draft: _Draft, event: EventObject, fetch: Fetch) -> Iterable[Delivery]:
    key = key_of(event)
    known = draft.holdings.get(key, Holding((fetch.source,)))
    held = known.agents
    plan = draft.plan(fetch.source, event.object_type)
    sources = known.sources if fetch.source in known.sources else (*known.sources, fetch.source)
    latest = draft.entitled(event.object_type, sources)
    # who has what another has published since is not to have an older word instead
    wanted = frozenset(
        agent
        for agent in fetch.recipients
        if agent in latest and (agent not in held or latest[agent][1] == fetch.source)
    )
    holders = {holder.agent: holder for holder in known.holders}
    holders |= {agent: Holder(agent, view.name) for view, agents in plan.shares for agent in agents if agent in wanted}
    draft.holdings[key] = Holding(sources, frozenset(holders.values()))
    for view, agents in plan.shares:
        some_wanted = [agent for agent in agents if agent in wanted]
        for action, some in (
            (Action.ADD, tuple(agent for agent in some_wanted if agent not in held)),
            (Action.CHANGE, tuple(agent for agent in some_wanted if agent in held)),
        ):
            if some:
                yield Delivery(event._replace(action=action), view, some)


def _drop_missing(draft: _Draft, fetch: Fetch) -> None:
    """Take it that the source has no longer what a whole answer lacks."""
    for key, holding in list(draft.holdings.items()):
        if key.object_type != fetch.object_type or fetch.source not in holding.sources or key.ref in fetch.seen:
            continue
        sources = tuple(source for source in holding.sources if source != fetch.source)
        entitled = draft.entitled(key.object_type, sources) if sources else {}
        draft.remove(key, holding.agents - entitled.keys())
        if sources:
            kept = frozenset(holder for holder in holding.holders if holder.agent in entitled)
            draft.holdings[key] = Holding(sources, kept)
            for agent, (_, source) in entitled.items():
                if agent not in holding.agents:
                    draft.ask(key.object_type, source, [agent])
        else:
            del draft.holdings[key]


def is_about(event: EventObject, learner: Learner, fetch: Fetch) -> bool:
    """Tell whether an object of an answer is what was asked for."""
    if event.object_type != fetch.object_type:
        return False
    if event.object_type == CONTACT:
        return ObjectKey(CONTACT, event.element.get("RefId", "").strip()) in learner.holdings
    return True


__all__ = [
    # events
    "Followed",
    "Removal",
    "follow",
    "review",
    # what is asked for
    "Answered",
    "Delivery",
    "advance",
    "answered",
    "at_once",
    "contacts_of",
    "failed",
    "is_about",
    "next_look",
    "request_id",
    "waits_for",
]
