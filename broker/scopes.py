"""A worker's share of learners who enter and leave scopes: it asks for records, passes them on, and ends what must end.

What is to be done is decided in :mod:`broker.entering`. All about one learner, the answers to the zone's requests
included, comes through one intake queue, so that it is decided in its order though no worker knows of the others.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

import schemas
from broker.answers import objects_of
from broker.batches import Work, learner_of
from broker.entering import (
    Removal,
    advance,
    answered,
    at_once,
    contacts_of,
    failed,
    is_about,
    next_look,
    review,
)
from broker.exchanges import delivery_key
from broker.holdings import CONTACT, LEARNER, Fetch, ObjectKey, bare_object, key_of
from broker.learners import Learner, LearnerIndex, Observed
from broker.letters import Letter
from broker.patience import patiently
from broker.pipeline import about_learner, pieces_of, share_event
from broker.protocol.envelope import VERSION, Action, EventObject, build_event, new_header
from broker.protocol.errors import UnknownObject
from broker.protocol.exchanges import USUAL_BUFFER, build_request
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, MsgId
from broker.protocol.query import parse_where
from broker.protocol.topology import BROKER_LOGIN, DELIVERY, INTAKE, intake_key
from broker.quality import KnownFacts
from broker.registry import Channel
from broker.requests import Pending, Reply, RequestState
from broker.routing import Plan, Router
from broker.settings import Zone
from broker.storage import LedgerRow, Store
from broker.transports.contract import Incoming, Outgoing
from broker.validation import Validator

log = structlog.get_logger(__name__)

REVIEW: Final = "zone.Review"
"""Type of the zone's own message to look at a learner again; only believed of the broker's own login."""
LEARNER_HEADER: Final = "learner"
_DUE: Final = "due"
_AT_ONCE: Final = "now"

Publish = Callable[[Outgoing, Work], None]
Note = Callable[[Pending, Work], None]
Own = Callable[[str], Sequence[EventObject]]
"""From a learner's RefId to the objects about the learner that the zone itself publishes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What deciding needs that changes while a worker runs."""

    router: Router
    index: LearnerIndex
    zone: Zone
    work: Work


def review_of(ref_id: str, due_at: float, *, hurry: bool = False) -> Outgoing:
    """Return the message to look at a learner again, to publish with the broker's login.

    Args:
        hurry: Ask at once for what waits for its next try.
    """
    msg_id = _derived(f"review/{ref_id}/{due_at!r}")
    headers: dict[str, str | int | bool] = {LEARNER_HEADER: ref_id, _DUE: repr(due_at)}
    if hurry:
        headers[_AT_ONCE] = True
    return Outgoing(INTAKE, intake_key(ref_id), b"", msg_id, REVIEW, headers, user_id=BROKER_LOGIN)


class Scopes:
    """Learners' records on their way to those whose scope they have entered."""

    def __init__(self, store: Store, publish: Publish, note: Note, now: Callable[[], float], own: Own) -> None:
        self._store, self._publish, self._note, self._now, self._own = store, publish, note, now, own

    def carry(self, ref_id: str, removals: Sequence[Removal], seed: str, at: Surroundings) -> None:
        """End what some are to hold no longer of the learner *ref_id*.

        Args:
            seed: Makes message ids the same when the same is decided again.
        """
        for removal in removals:
            agents = removal.agents
            if removal.key.object_type == CONTACT:
                agents = self._not_otherwise(removal, ref_id, at)
            if agents:
                body = bare_object(removal.key, ref_id)
                self._tell(removal.key, Action.DELETE, body, agents, "", seed, at)

    def go_on(self, ref_id: str, seed: str, at: Surroundings) -> None:
        """Ask for what can now be asked for about the learner *ref_id*, and note when to look again."""
        turn = 0
        while (learner := at.index.learners.get(ref_id)) is not None:
            after, asks = advance(learner, self._now(), f"{seed}/{turn}")
            if not asks:
                break
            self._keep(after, at)
            for fetch in asks:
                self._ask(ref_id, fetch, f"{seed}/{turn}", at)
            turn += 1
        due = next_look(learner) if learner is not None else None
        if due is not None:
            at.work.reviews[ref_id] = max(due, self._now())

    def take(self, letter: Letter, reply: Reply, pending: Pending, at: Surroundings) -> None:
        """Pass on what answers a request of the zone's own, or note that it was not answered."""
        ref_id = pending.about
        learner = at.index.learners.get(ref_id)
        if learner is None:
            return
        if reply.error is not None or reply.objects is None:
            self._keep(failed(learner, pending.msg_id, self._now()), at)
        else:
            fetch = next((f for f in learner.fetches if f.request_id == pending.msg_id), None)
            edition = schemas.edition_of(reply.message.version)
            events: list[EventObject] = []
            seen: set[str] = set()
            for event in objects_of(reply):
                if fetch is None or not is_about(event, learner, fetch) or not _is_of(event, ref_id):
                    continue
                if _is_valid(event, edition, at.zone.validator, at.router, at.index, ref_id):
                    events.append(event)
                else:
                    seen.add(key_of(event).ref)
            self._pass_on(learner, pending.msg_id, events, reply.more, frozenset(seen), letter.msg_id, at)
        self.go_on(ref_id, letter.msg_id, at)

    def ended(self, pending: Pending, at: Surroundings) -> None:
        """Note that a request of the zone's own has ended without an answer."""
        learner = at.index.learners.get(pending.about)
        if learner is None:
            return
        log.info("record_not_answered", request=pending.msg_id, object_type=pending.object_type)
        self._keep(failed(learner, pending.msg_id, self._now()), at)
        self.go_on(pending.about, f"{pending.msg_id}/ended", at)

    def publish(self, event: EventObject, seed: str, at: Surroundings) -> None:
        """Deliver an object that the zone itself publishes, to whoever may have it."""
        zone = AgentId(at.zone.id)
        shared = share_event(event, zone, at.router, at.index)
        at.index.apply(shared.observed)
        at.work.note(shared.observed)
        for action, view, agents, piece in shared.pieces:
            self._tell(key_of(event), action, piece, agents, view.name, seed, at)
        for ref_id, removal in shared.removals:
            self.carry(ref_id, [removal], seed, at)

    def look(self, ref_id: str, seed: str, at: Surroundings, *, hurry: bool = False) -> None:
        """Bring what is held of a learner to what may be held today.

        Args:
            hurry: Ask at once for what waits for its next try.
        """
        learner = at.index.learners.get(ref_id)
        if learner is None:
            return
        after, removals = review(at_once(learner) if hurry else learner, at.router, at.index.schools)
        if after is not learner:
            self._keep(after, at)
        self.carry(ref_id, removals, seed, at)
        self.go_on(ref_id, seed, at)

    def _ask(self, ref_id: str, fetch: Fetch, seed: str, at: Surroundings) -> None:
        if fetch.source == AgentId(at.zone.id):
            learner = at.index.learners[ref_id]
            events = [event for event in self._own(ref_id) if event.object_type == fetch.object_type]
            self._pass_on(learner, fetch.request_id, events, False, frozenset(), seed, at)
            return
        conditions = self._conditions(ref_id, fetch, at)
        if not conditions:
            self._pass_on(at.index.learners[ref_id], fetch.request_id, [], False, frozenset(), seed, at)
            return
        zone, request = AgentId(at.zone.id), MsgId(fetch.request_id)
        header = new_header(zone, request)._replace(destination_id=fetch.source)
        body = build_request(header, parse_where(fetch.object_type, [conditions]))
        key = delivery_key(fetch.source, at.router, requests=True)
        self._publish(Outgoing(DELIVERY, key, body, request, "SIF_Request", user_id=BROKER_LOGIN), at.work)
        due = self._now() + at.zone.settings.requests.timeout.total_seconds()
        pending = Pending(
            request,
            zone,
            fetch.source,
            fetch.object_type,
            DEFAULT_CONTEXT,
            VERSION,
            ("2.*",),
            USUAL_BUFFER,
            self._now(),
            due,
            RequestState.ASKED,
            about=ref_id,
        )
        self._note(pending, at.work)
        log.info("record_asked", request=request, source=fetch.source, object_type=fetch.object_type)

    def _conditions(self, ref_id: str, fetch: Fetch, at: Surroundings) -> str:
        if fetch.object_type == LEARNER:
            return f"@RefId = {ref_id}"
        if fetch.object_type == CONTACT:
            contacts = contacts_of(at.index.learners[ref_id], fetch.source)
            return " or ".join(f"@RefId = {contact}" for contact in contacts)
        return f"{schemas.load().learner_ref(fetch.object_type)} = {ref_id}"

    def _pass_on(
        self,
        learner: Learner,
        request: str,
        events: Sequence[EventObject],
        more: bool,
        seen: frozenset[str],
        seed: str,
        at: Surroundings,
    ) -> None:
        """Deliver what has come to those on whose behalf it was asked for."""
        source = next((fetch.source for fetch in learner.fetches if fetch.request_id == request), AgentId(""))
        found = answered(learner, request, events, more, at.router, at.index.schools, self._now(), seen)
        self._keep(found.learner, at)
        for event, view, agents in found.deliveries:
            plan = Plan(((view, agents),), ())
            for named, some, piece in pieces_of(event._replace(action=Action.ADD), source, plan, at.router, at.index):
                if piece is not None:
                    self._tell(key_of(event), event.action, piece, some, named.name, seed, at)
        self.carry(learner.ref_id, found.removals, seed, at)

    def _tell(
        self,
        key: ObjectKey,
        action: Action,
        piece: bytes,
        agents: Sequence[AgentId],
        view: str,
        seed: str,
        at: Surroundings,
    ) -> None:
        """Deliver an event that the zone makes, and write both down."""
        zone = AgentId(at.zone.id)
        msg_id = _derived(f"{seed}/{key.object_type}/{key.ref}/{action}/{view}/{','.join(agents)}")
        body = build_event(new_header(zone, msg_id), ((key.object_type, action, piece),))
        unfit = at.router.unfit(agents, VERSION, len(body), Channel())
        fit = tuple(agent for agent in agents if agent not in unfit)
        digest = hashlib.sha256(body).hexdigest()
        ref_id = key.ref if "|" not in key.ref else ""
        row = LedgerRow(self._now(), msg_id, zone, "accepted", object_type=key.object_type, action=action)
        row = replace(row, ref_id=ref_id, sha256=digest)
        at.work.ledger.append(replace(row, considered=len(agents)))
        seq = 0
        if fit:
            seq = 1
            self._publish(
                Outgoing(DELIVERY, fit[0], body, msg_id, "SIF_Event", bcc=fit[1:], user_id=BROKER_LOGIN), at.work
            )
            at.work.ledger.append(replace(row, outcome="delivered", seq=seq, audience=fit, view=view))
        for number, (agent, reason) in enumerate(sorted(unfit.items()), start=seq + 1):
            withheld = replace(row, outcome="withheld", seq=number, audience=(agent,), reason=reason, sha256="")
            at.work.ledger.append(withheld)

    def _keep(self, learner: Learner, at: Surroundings) -> None:
        observed = Observed(learner=learner)
        at.index.apply(observed)
        at.work.note(observed)

    def _not_otherwise(self, removal: Removal, ref_id: str, at: Surroundings) -> tuple[AgentId, ...]:
        """Return those who are not to hold a contact through another of the contact's learners either."""
        contact = removal.key.ref
        linked = patiently(lambda: self._store.contact_learners([contact])).get(contact, ())
        others = [ref for ref in linked if ref != ref_id]
        known = {ref: at.index.learners[ref] for ref in others if ref in at.index.learners}
        missing = [ref for ref in others if ref not in known]
        if missing:
            rows = patiently(lambda: self._store.learners(missing))
            known |= {ref: learner_of(row) for ref, row in rows.items()}
        held = [learner.holdings[removal.key].agents for learner in known.values() if removal.key in learner.holdings]
        kept = frozenset().union(*held)
        return tuple(agent for agent in removal.agents if agent not in kept)


def due_of(incoming: Incoming) -> tuple[str, float]:
    """Return whom a message asks to look at, and when that was due."""
    try:
        return str(incoming.headers.get(LEARNER_HEADER, "")), float(str(incoming.headers.get(_DUE, "0")))
    except ValueError:
        return "", 0.0


def hurries(incoming: Incoming) -> bool:
    """Tell whether a message asks that nothing wait for its next try."""
    return incoming.headers.get(_AT_ONCE) is True


def _is_of(event: EventObject, ref_id: str) -> bool:
    return event.object_type == CONTACT or about_learner(event) == ref_id


def _is_valid(
    event: EventObject, edition: schemas.Edition, validator: Validator, router: Router, index: LearnerIndex, ref_id: str
) -> bool:
    try:
        findings = validator.check(event, edition, KnownFacts(router.today, index, ref_id))
    except UnknownObject:
        return False
    return not any(finding.severity == "refuse" for finding in findings)


def _derived(text: str) -> MsgId:
    return MsgId(hashlib.sha256(text.encode()).hexdigest()[:32].upper())


__all__ = ["LEARNER_HEADER", "REVIEW", "Scopes", "Surroundings", "due_of", "hurries", "review_of"]
