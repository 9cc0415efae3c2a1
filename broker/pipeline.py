"""decide(): what becomes of one message; a pure function of the message and what the zone knows. No I/O.

The decisions come in the order of SIF: readable, envelope, sender, rights, schema, routes, views.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, partial
from typing import Final, cast

from lxml import etree

import schemas
from broker.entering import Followed, Removal, follow
from broker.holdings import key_of
from broker.learners import NOBODY, Learner, LearnerIndex, Observed, observe, standing
from broker.protocol.documents import MAX_ELEMENTS, MAX_MESSAGE_BYTES, check_elements
from broker.protocol.envelope import (
    NAMESPACE,
    Action,
    EventObject,
    Message,
    build_event,
    event_frame,
    event_objects,
    parse_message,
)
from broker.protocol.errors import (
    MayNotChange,
    MayNotDelete,
    MayNotPublish,
    MessageTypeNotSupported,
    NotValid,
    WrongSource,
    ZoneError,
)
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context
from broker.protocol.topology import intake_key
from broker.quality import Judged, KnownFacts, agreeing, judged, speaks_of_care
from broker.registry import Channel
from broker.requests import ContextNotSupported, Question, Reply, read_request, read_response
from broker.routing import Plan, Reason, Router, Standings
from broker.validation import Refusal, Validator, refusal, shipped
from broker.views import View, Written, mentioned_learners
from schemas.rules import NothingKnown

_NS: Final = f"{{{NAMESPACE}}}"
_BOM: Final = b"\xef\xbb\xbf"
_CONTACT: Final = "ContactPersonal"


@dataclass(frozen=True, slots=True)
class Inbound:
    """A SIF_Event that could be read and whose sender is who it says.

    Attributes:
        sender: The agent that published it.
        learners: RefIds the decision looks at: the learners the objects are about, or mention.
        own: Those that the objects are about; all messages about them come in order, to one worker at a time.
        body: The message as it may be passed on where nothing is cut from it; empty where it may not.
        contacts: RefIds of the contacts the objects are about.
        schools: RefIds of the schools the objects name.
    """

    sender: AgentId
    message: Message
    objects: tuple[EventObject, ...]
    learners: tuple[str, ...]
    contacts: tuple[str, ...]
    schools: tuple[str, ...]
    own: tuple[str, ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to publish: *body* for each of *recipients*, under the original SIF_MsgId."""

    recipients: tuple[AgentId, ...]
    body: bytes
    view: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is valid; *deliveries* and *withheld* together name each subscriber once.

    Attributes:
        observed: What each object tells the learner index, in order.
        judged: What was found in each object, for data quality.
        removals: What is to be ended, with the RefId of the learner, for those whose scope the learner has left.
    """

    deliveries: tuple[Outbound, ...]
    withheld: tuple[tuple[Reason, tuple[AgentId, ...]], ...]
    observed: tuple[Observed, ...] = field(default=())
    judged: tuple[Judged, ...] = field(default=())
    removals: tuple[tuple[str, Removal], ...] = field(default=())


Decision = Accepted | Refusal
Content = Inbound | Question | Reply


def read(body: bytes, login: AgentId, routing_key: str | None, limit: int = MAX_MESSAGE_BYTES) -> Content:
    """Return the event, request or response in *body*.

    Args:
        login: The agent whose login published it, verified by RabbitMQ; empty when the publisher left it out.
        routing_key: The intake key it came under; None where it came under none.

    Raises:
        ZoneError: It cannot be read, is none of these, or is another agent's; the text says how to mend it.
    """
    message = parse_message(body, limit)
    if not login:
        raise WrongSource("the message came without user_id: set it to the agent's login, so that RabbitMQ verifies it")
    if message.header.source_id != login:
        raise WrongSource(f"SIF_SourceId is not {login}, whose login sent the message: an agent sends only as itself")
    return read_message(message, body, login, routing_key)


def read_message(message: Message, body: bytes, login: AgentId, routing_key: str | None) -> Content:
    """Return what the envelope of *body*, parsed and known to be *login*'s own, holds; errors as for :func:`read`."""
    if message.kind == "SIF_Request":
        question = read_request(login, message, len(body))
        _check_exchange_key(message.header.msg_id, routing_key)
        return question
    if message.kind == "SIF_Response":
        reply = read_response(login, message, len(body))
        _check_exchange_key(reply.request_id, routing_key)
        return reply
    if message.kind != "SIF_Event":
        raise MessageTypeNotSupported(
            f"the intake takes SIF_Event, SIF_Request and SIF_Response, not this: send it to {_CONTROL_HINT}"
        )
    objects = event_objects(message)
    known = schemas.load().objects
    own: list[str] = []
    for event in objects:
        if len(body) > MAX_ELEMENTS:  # a shorter one cannot have so many
            check_elements(event.element)
        if event.object_type not in known:
            continue  # decide() refuses it
        about = about_learner(event)
        if routing_key is not None:
            _check_key(event, about, routing_key)
            _check_named(event, _about_person(event), mentioned_learners(event.element, event.object_type))
        own.append(about or "")
    learners, contacts, schools = names_of(objects)
    return Inbound(login, message, objects, learners, contacts, schools, tuple(own), untouched(message, body))


def untouched(message: Message, body: bytes) -> bytes:
    """Return *body* as it may be passed on where its objects are shared whole, byte for byte; empty where it may not.

    A byte order mark and an XML declaration do not go on, since agents stumble over them. What names another agent as
    its destination would be sent back by its receiver for ever. Comments and instructions do not leave the zone.
    """
    start = body.removeprefix(_BOM)
    if start.startswith(b"<?xml"):
        start = start[start.index(b"?>") + 2 :]
    start = start.strip()
    if b"<!--" in start or b"<?" in start:
        return b""
    directed = message.header.destination_id is not None and message.kind == "SIF_Event"
    return b"" if directed else start


def _check_exchange_key(request_id: str, routing_key: str | None) -> None:
    if routing_key is not None and intake_key(request_id) != routing_key:
        raise NotValid(
            "the routing key is not that of the request: publish it, and each response to it, under the intake key of "
            "the request's SIF_MsgId"
        )


def _check_key(event: EventObject, about: str | None, routing_key: str) -> None:
    if about == "":
        raise NotValid(
            f"{event.object_type} does not name the learner that it is about: "
            f"add {_learner_path(event.object_type)}, in a Change or Delete too"
        )
    if about is not None and intake_key(about) != routing_key:
        raise NotValid(
            f"the routing key is not that of the learner {event.object_type} is about: publish each learner's "
            "objects under the intake key of the learner's RefId, and those of several learners in several messages"
        )


def _check_named(event: EventObject, person: str | None, mentioned: tuple[str, ...]) -> None:
    """Return when a part of an object names those it is about, or is bare: without them nobody can tell its scope."""
    if event.action is Action.ADD or not len(event.element):
        return  # the schema asks for them
    path = _person_path(event.object_type) if person == "" else None if mentioned else _learners_path(event.object_type)
    if path is not None:
        raise NotValid(
            f"{event.object_type} does not name those that it is about: add {path}, in a Change or Delete too"
        )


def names_whom_it_is_about(event: EventObject) -> bool:
    """Tell whether an object names all that its scope is told by; a query can leave them out of what answers it."""
    if about_learner(event) == "" or _about_person(event) == "":
        return False
    needed = _learners_path(event.object_type) is not None
    return not needed or bool(mentioned_learners(event.element, event.object_type))


def about_learner(event: EventObject) -> str | None:
    """Return the RefId of the learner that an object is about; None when objects of its kind are about no learner."""
    path = _learner_path(event.object_type)
    return None if path is None else _at(event.element, path)


def _about_person(event: EventObject) -> str | None:
    """Return the RefId of the person, of any kind, that an object is about; None when it is about none."""
    path = _person_path(event.object_type)
    return None if path is None else _at(event.element, path)


def _at(element: etree._Element, path: str) -> str:
    if path.startswith("@"):
        return element.get(path[1:], "").strip()  # the schema allows blanks around a RefId
    return (element.findtext("/".join(_NS + step for step in path.split("/"))) or "").strip()


@cache
def _learner_path(object_type: str) -> str | None:
    return schemas.load().learner_ref(object_type)


@cache
def _person_path(object_type: str) -> str | None:
    return schemas.load().note(object_type).person


@cache
def _learners_path(object_type: str) -> str | None:
    """Return the path of the learners that every object of its kind is about; None when there may be none."""
    schema = schemas.load()
    if schema.learner_ref(object_type) is not None:
        return None
    for learners in schema.other_learners(object_type):
        steps = learners.list_path.split("/")
        nodes = [schema.find(object_type, "/".join(steps[: n + 1])) for n in range(len(steps))]
        if all(node is not None and node.mandatory for node in nodes):
            return learners.list_path
    return None


def decide(
    inbound: Inbound,
    router: Router,
    index: LearnerIndex,
    upn_key: bytes | None = None,
    *,
    only: AgentId | None = None,
    validator: Validator | None = None,
) -> Decision:
    """Return what becomes of *inbound*.

    Args:
        inbound: What :func:`read` returned.
        router: Who may publish and who shares what with whom today.
        index: What is known of the learners, contacts and schools that *inbound* names; not changed.
        upn_key: Keyed hash of the UPN in it, where it is a LearnerPersonal with one.
        only: For sending again what was accepted before and one agent could not take: that agent. The message is
            already cut, so that it is cut again but not validated, and tells the index nothing.
        validator: The zone's schemas and rules; None for those that come with sifzone.
    """
    validator = validator or shipped()
    # lxml makes an object for an element each time somebody comes by it, unless the one made before is still there
    held = [element for event in inbound.objects for element in event.element.iter()]
    found: tuple[Judged, ...] = ()
    try:
        check_rights(inbound, router, validator)
        if only is None:
            found = _judge(inbound, router, index, validator)
            _check_sources(inbound, router, index)
    except ZoneError as error:
        return refusal(error)
    for event, one in zip(inbound.objects, found, strict=False):
        refused = validator.refusal(event, one.findings) if one.findings else None
        if refused is not None:
            return replace(refused, judged=found)
    if found:
        found += _agreeing(inbound, router, index)
    followed = only is None and DEFAULT_CONTEXT in inbound.message.header.contexts
    decide_them = _decide_one if len(inbound.objects) == 1 else _decide_several
    accepted = decide_them(inbound, found, router, index, upn_key, followed)
    if any(len(delivery.body) > MAX_MESSAGE_BYTES for delivery in accepted.deliveries):
        # as it may be longer than what came: some signs are written as references
        return refusal(NotValid("the message would be delivered larger than a message may be: send it in parts"))
    held.clear()
    accepted = _deliverable(accepted, inbound.message, router)
    return accepted if only is None else _restricted(accepted, only)


def first_fault(inbound: Inbound, validator: Validator, today: date) -> Refusal | None:
    """Return why *inbound* would be refused, as far as it can be told without the learner index; None when it is not.

    Raises:
        UnknownObject: The zone has no such object, or it has no events.
    """
    edition = schemas.edition_of(inbound.message.version)
    facts = NothingKnown(today)
    for event in inbound.objects:
        validator.check_known(event)
        refused = validator.refusal(event, validator.check_refusing(event, edition, facts))
        if refused is not None:
            return refused
    return None


def check_rights(inbound: Inbound, router: Router, validator: Validator) -> None:
    """Return when the sender may publish each object of *inbound* in each context.

    Raises:
        ZoneError: It may not, or the zone has no such object or context.
    """
    for event in inbound.objects:
        _check_right(inbound, event, router, validator)


def _check_right(inbound: Inbound, event: EventObject, router: Router, validator: Validator) -> None:
    contexts = inbound.message.header.contexts
    unknown = [context for context in contexts if context not in router.registry.contexts]
    if unknown:
        raise ContextNotSupported("the zone has no such context: leave SIF_Contexts out, or ask the administrator")
    try:
        router.registry.check_may_publish(inbound.sender, event.object_type, event.action, contexts)
    except MayNotPublish:
        # nobody can be given a right to an object that the zone does not have: say that instead
        validator.check_known(event)
        raise


def _check_sources(inbound: Inbound, router: Router, index: LearnerIndex) -> None:
    """Return when nothing in *inbound* changes or deletes what other agents publish, and its sender does not.

    Raises:
        MayNotChange, MayNotDelete: It does.

    Source:
        Our own rule: who publishes an object has sent an Add of it. A transfer is told of by whoever has to do with it.
    """
    for event in inbound.objects:
        if event.action is Action.ADD or router.takes_up(inbound.sender, event.object_type):
            continue
        learner = index.learners.get(about_learner(event) or "")
        known = None if learner is None else learner.holdings.get(key_of(event))
        if known is not None and inbound.sender not in known.sources:
            error = MayNotDelete if event.action is Action.DELETE else MayNotChange
            raise error(
                f"another agent publishes this {event.object_type}, and {inbound.sender} has not: if it is also "
                "yours to publish, send it whole as an Add first"
            )


def _judge(inbound: Inbound, router: Router, index: LearnerIndex, validator: Validator) -> tuple[Judged, ...]:
    """Return what schemas and rules find in each object, in order."""
    edition = schemas.edition_of(inbound.message.version)
    found: list[Judged] = []
    for event in inbound.objects:
        validator.check_known(event)
        about = about_learner(event) or ""
        learner = index.learners.get(about)
        taken_up = partial(_with, event, inbound, router, index) if speaks_of_care(event, learner) else None
        findings = validator.check(event, edition, KnownFacts(router.today, index, about, taken_up))
        found.append(judged(event, findings, inbound.sender, learner, router.registry, index.schools))
    return tuple(found)


def _with(event: EventObject, inbound: Inbound, router: Router, index: LearnerIndex) -> Learner | None:
    """Return the learner that *event* is about, as known with it."""
    observed = observe_object(inbound.sender, event, router, index)
    return observed.learner or index.learners.get(about_learner(event) or "")


def _agreeing(inbound: Inbound, router: Router, index: LearnerIndex) -> tuple[Judged, ...]:
    """Return of which records it is now known that what flag and records say of care does not differ."""
    found: list[Judged] = []
    for event in inbound.objects:
        if not speaks_of_care(event, index.learners.get(about_learner(event) or "")):
            continue
        learner = _with(event, inbound, router, index)
        if learner is not None:
            found += agreeing(event, learner, router.today)
    return tuple(found)


def _deliverable(accepted: Accepted, message: Message, router: Router) -> Accepted:
    """Return *accepted* without those who cannot take what they would be delivered."""
    demand = Channel(message.header.authentication_level, message.header.encryption_level)
    deliveries: list[Outbound] = []
    withheld: dict[Reason, list[AgentId]] = {}
    for delivery in accepted.deliveries:
        unfit = router.unfit(delivery.recipients, message.version, len(delivery.body), demand)
        for agent, reason in unfit.items():
            withheld.setdefault(reason, []).append(agent)
        fit = tuple(agent for agent in delivery.recipients if agent not in unfit) if unfit else delivery.recipients
        if fit:
            deliveries.append(replace(delivery, recipients=fit) if unfit else delivery)
    if not withheld:
        return accepted
    more = tuple((reason, tuple(agents)) for reason, agents in withheld.items())
    return replace(accepted, deliveries=tuple(deliveries), withheld=accepted.withheld + more)


def _restricted(accepted: Accepted, only: AgentId) -> Accepted:
    """Return *accepted* as if nobody but *only* subscribed."""
    return Accepted(
        tuple(replace(delivery, recipients=(only,)) for delivery in accepted.deliveries if only in delivery.recipients),
        tuple((reason, (only,)) for reason, agents in accepted.withheld if only in agents),
    )


def _decide_one(
    inbound: Inbound,
    found: tuple[Judged, ...],
    router: Router,
    index: LearnerIndex,
    upn_key: bytes | None,
    followed: bool,
) -> Accepted:
    event = inbound.objects[0]
    contexts = inbound.message.header.contexts
    shared = share_event(event, inbound.sender, router, index, upn_key, contexts, followed=followed)
    whole = inbound.body if not schemas.check_message(message_root(inbound.message)) else b""
    frames: dict[Action, tuple[bytes, bytes]] = {}
    deliveries: list[Outbound] = []
    for action, view, recipients, piece in shared.pieces:
        if whole and action is event.action and view.is_whole(event.element):
            deliveries.append(Outbound(recipients, whole, view.name))
            continue
        if action not in frames:
            frames[action] = event_frame(_undirected(inbound.message), event.object_type, action)
        before, after = frames[action]
        deliveries.append(Outbound(recipients, before + piece + after, view.name))
    return Accepted(tuple(deliveries), shared.withheld, (shared.observed,), found, shared.removals)


def _decide_several(
    inbound: Inbound,
    found: tuple[Judged, ...],
    router: Router,
    index: LearnerIndex,
    upn_key: bytes | None,
    followed: bool,
) -> Accepted:
    """Decide each object, then send each recipient one event with what it may have of them all."""
    index = index.draft()  # each object is decided as after those before it
    shares: dict[AgentId, list[tuple[str, Action, bytes]]] = {}
    views: dict[AgentId, list[str]] = {}
    reasons: dict[AgentId, Reason] = {}
    observations: list[Observed] = []
    removals: list[tuple[str, Removal]] = []
    contexts = inbound.message.header.contexts
    for event in inbound.objects:
        shared = share_event(event, inbound.sender, router, index, upn_key, contexts, followed=followed)
        index.apply(shared.observed)
        observations.append(shared.observed)
        removals += shared.removals
        reasons.update((agent, reason) for reason, agents in shared.withheld for agent in agents)
        for action, view, recipients, piece in shared.pieces:
            for agent in recipients:
                shares.setdefault(agent, []).append((event.object_type, action, piece))
                views.setdefault(agent, []).append(view.name)
    together: dict[tuple[str, tuple[tuple[str, Action, bytes], ...]], list[AgentId]] = {}
    for agent in sorted(shares):
        together.setdefault(("+".join(dict.fromkeys(views[agent])), tuple(shares[agent])), []).append(agent)
    deliveries = tuple(
        Outbound(
            tuple(agents), build_event(_undirected(inbound.message).header, objects, inbound.message.version), view
        )
        for (view, objects), agents in together.items()
    )
    withheld: dict[Reason, list[AgentId]] = {}
    for agent in sorted(reasons.keys() - shares.keys()):
        withheld.setdefault(reasons[agent], []).append(agent)
    kept_back = tuple((reason, tuple(agents)) for reason, agents in withheld.items())
    return Accepted(deliveries, kept_back, tuple(observations), found, tuple(removals))


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """One object of an event, cut for those who get it.

    Attributes:
        pieces: Action, view, recipients and the object as they get it; nobody occurs twice.
        withheld: By reason, who subscribes and gets nothing.
        observed: What the index is to take up.
        removals: What is to be ended, with the learner's RefId.
    """

    pieces: tuple[tuple[Action, View, tuple[AgentId, ...], bytes], ...]
    withheld: tuple[tuple[Reason, tuple[AgentId, ...]], ...]
    observed: Observed
    removals: tuple[tuple[str, Removal], ...]


def share_event(
    event: EventObject,
    sender: AgentId,
    router: Router,
    index: LearnerIndex,
    upn_key: bytes | None = None,
    contexts: tuple[Context, ...] = (DEFAULT_CONTEXT,),
    *,
    followed: bool = True,
) -> SharedEvent:
    """Return who gets what of one object of *sender*'s, which may be the zone itself.

    Args:
        followed: Whether it counts for who holds what of the learner, see :mod:`broker.entering`.
    """
    observed = observe_object(sender, event, router, index, upn_key)
    followed = followed and not router.takes_up(sender, event.object_type)
    about = about_learner(event) if followed else None
    standings = standings_of(event, observed, router, index)
    plan = router.plan(sender, event.object_type, standings, contexts)
    after = (
        follow(event, sender, index.learners.get(about), observed, router, index.schools, about, plan, standings)
        if about and standings
        else Followed(observed)
    )
    withheld: dict[Reason, list[AgentId]] = {}
    for agent, reason in after.withheld.items():
        withheld.setdefault(reason, []).append(agent)
    pieces: list[tuple[Action, View, tuple[AgentId, ...], bytes]] = []
    for view, agents, piece in pieces_of(event, sender, plan, router, index):
        recipients = tuple(agent for agent in agents if agent not in after.withheld) if after.withheld else agents
        if piece is None:
            withheld.setdefault(Reason.NOTHING_SHARED, []).extend(recipients)
            continue
        if not after.as_change:
            groups = [(event.action, recipients)]
        else:
            groups = [
                (event.action, tuple(agent for agent in recipients if agent not in after.as_change)),
                (Action.CHANGE, tuple(agent for agent in recipients if agent in after.as_change)),
            ]
        pieces += [(action, view, some, piece) for action, some in groups if some]
    kept_back = [*plan.withheld, *((reason, tuple(agents)) for reason, agents in withheld.items() if agents)]
    removals = tuple((about or "", removal) for removal in after.removals)
    return SharedEvent(tuple(pieces), tuple(kept_back), after.observed, removals)


def _undirected(message: Message) -> Message:
    """Return *message* for several receivers: one that names another as its destination is refused by them."""
    if message.header.destination_id is None:
        return message
    return message._replace(header=message.header._replace(destination_id=None))


def message_root(message: Message) -> etree._Element:
    """Return the SIF_Message that *message* was parsed from."""
    return cast("etree._Element", message.payload.getparent())  # what was parsed is in its SIF_Message


def observe_object(
    sender: AgentId, event: EventObject, router: Router, index: LearnerIndex, upn_key: bytes | None = None
) -> Observed:
    """Return what *event* of *sender* tells of the learner it is about."""
    about = about_learner(event)
    if about == "":
        return Observed()
    learner = index.learners.get(about) if about else None
    record = router.registry.agents.get(sender)
    return observe(event, sender, learner, index.schools, upn_key, record.authority if record else "")


def standings_of(event: EventObject, observed: Observed, router: Router, index: LearnerIndex) -> Standings | None:
    """Return how those it is about stand before and after: what ends a sharing is the last that the recipient gets."""
    if event.object_type == _CONTACT:
        linked = sorted(index.contacts.get(event.element.get("RefId", "").strip(), ()))
        return tuple(index.standing(ref_id, router.today) for ref_id in linked)
    about = about_learner(event)
    if about is None:
        return _standings_of_others(event, router, index)
    known = index.standing(about, router.today)
    if observed.learner is None:
        return (known,)
    new = standing(observed.learner, index.schools, router.today)
    return (known,) if new == known else (known, new)


def _standings_of_others(event: EventObject, router: Router, index: LearnerIndex) -> Standings | None:
    """Return how those stand who are in an object that is about no one learner; None when it is about nobody.

    Empty when it is about a person and does not say whom.

    A person who is known to be no learner and nobody's contact is staff, or not known yet: in no scope but ``all``.
    """
    person = _about_person(event)
    if person == "":
        return () if len(event.element) else None  # bare, it says no more than that it is gone
    if person is not None:
        linked = {person, *index.contacts.get(person, ())} & index.learners.keys()
        return tuple(index.standing(ref, router.today) for ref in sorted(linked)) or (NOBODY,)
    mentioned = mentioned_learners(event.element, event.object_type)
    if not mentioned:
        return None
    found = tuple(dict.fromkeys(index.standing(ref, router.today) for ref in mentioned))
    # who is shielded is cut out of it, and keeps it back only where nobody else is in it
    return tuple(standing for standing in found if not standing.shielded) or found


def pieces_of(
    event: EventObject, sender: AgentId, plan: Plan, router: Router, index: LearnerIndex
) -> list[tuple[View, tuple[AgentId, ...], bytes | None]]:
    """Return each view's recipients with the object cut for them; None where a Change has nothing for them."""
    found: list[tuple[View, tuple[AgentId, ...], bytes | None]] = []
    written: Written = {}
    for view, recipients in plan.shares:
        mentioned = mentioned_learners(event.element, event.object_type) if view.mentions_learners else ()
        if not mentioned:
            found.append((view, recipients, _cut(event, view, frozenset(), written)))
            continue
        groups: dict[frozenset[str], list[AgentId]] = {}
        for agent in recipients:
            groups.setdefault(allowed_learners(event, sender, agent, router, index), []).append(agent)
        found += [(view, tuple(agents), _cut(event, view, allowed, written)) for allowed, agents in groups.items()]
    return found


def allowed_learners(
    event: EventObject, sender: AgentId, recipient: AgentId, router: Router, index: LearnerIndex
) -> frozenset[str]:
    """Return the RefIds of the learners in the lists of an object that *recipient* may learn of."""
    return frozenset(
        ref
        for ref in mentioned_learners(event.element, event.object_type)
        if router.allows(sender, recipient, event.object_type, index.standing(ref, router.today))
    )


def names_of(events: Sequence[EventObject]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the RefIds of the learners, the contacts and the schools that deciding about objects needs to know of."""
    learners: list[str] = []
    contacts: list[str] = []
    schools: list[str] = []
    known = schemas.load().objects
    for event in events:
        if event.object_type not in known:
            continue  # deciding refuses it
        person = _about_person(event)
        learners += mentioned_learners(event.element, event.object_type)
        learners.append(about_learner(event) or "")
        if person is not None:
            learners.append(person)
            contacts.append(person)
        if event.object_type == _CONTACT:
            contacts.append(event.element.get("RefId", "").strip())
        schools.append(event.element.get("SchoolInfoRefId", "").strip())
        schools.append(event.element.get("LAInfoRefId", "").strip())
    return tuple(learners), tuple(contacts), tuple(schools)


def _cut(event: EventObject, view: View, allowed: frozenset[str], written: Written) -> bytes | None:
    piece = view.cut(event.element, allowed.__contains__, written)
    if piece is None and event.action is not Action.CHANGE:
        return view.keys_only(event.element)
    return piece


_CONTROL_HINT: Final = "the exchange sif.control"
