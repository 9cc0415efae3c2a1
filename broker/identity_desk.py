"""Answers agents that ask whose record a learner is, carries out what people decide, and tells the agents of it.

A SIF_Request for Identity is answered too, to the zone or to nobody by name, while no agent provides Identity. Its
conditions name what is known of one learner, all by ``EQ`` and all joined by ``And``, at paths of the form
``IdentityAssertions/IdentityAssertion[@SchemaName='UPN']``; for UPN also FormerUPN, ULN, FamilyName, GivenName,
BirthDate (yyyy-mm-dd), Gender and Postcode. Only a sure match is answered, by one Identity whose SIF_RefId is the
learner's and whose one assertion is the UPN or ULN it was found by; nothing is remembered of the question.
"""

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final
from xml.sax.saxutils import escape

import structlog
from lxml import etree

from broker.identity import How, Match, locate
from broker.identity_links import Decided, Known, Link, LinkState, is_settled, place
from broker.identity_links import accept as accepted
from broker.identity_links import answer as answered
from broker.identity_links import reject as rejected
from broker.identity_links import undo as undone
from broker.protocol.envelope import NAMESPACE, new_header
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.identity import Claim, Outcome, Place, build_located, build_relocated
from broker.protocol.query import Joined, Operator, Query, QueryNotSupported, selected
from broker.protocol.topology import BROKER_LOGIN, DELIVERY
from broker.storage import Store
from broker.transports.contract import Outgoing, Transport, TransportLost

log = structlog.get_logger(__name__)

CONFIRM_SECONDS: Final = 30.0
IDENTITY: Final = "Identity"

_PATH: Final = re.compile(
    r"""IdentityAssertions/IdentityAssertion\[\s*@SchemaName\s*=\s*(?:'([A-Za-z]+)'|"([A-Za-z]+)")\s*\]"""
)
_FIELDS: Final = {
    "UPN": "upn",
    "ULN": "uln",
    "FamilyName": "family_name",
    "GivenName": "given_name",
    "Gender": "gender",
    "Postcode": "postcode",
}
_LONGEST: Final = 256


class NotTold(ZoneError):
    """What was decided is kept, and the agent has not been told."""


# -- agents that ask ---------------------------------------------------------------------------------------------------


def answer(store: Store, agent: AgentId, claims: Sequence[Claim], now: float) -> bytes:
    """Return Located, the answer to *claims* of *agent*, and keep what it says; the agent learns nothing else.

    Raises:
        StorageError: Nothing was kept.
    """
    places = _as_before(store, agent, claims)
    if places is None:

        def decide(known: Known) -> tuple[list[Place], Decided]:
            found, changed = answered(agent, claims, known, now)
            return found, Decided(tuple(changed))

        places = store.change_identity(agent, [claim.key for claim in claims], claims, decide)
    counts = Counter(str(one.outcome) for one in places)
    log.info("learners_located", agent=agent, asked=len(claims), counts=dict(sorted(counts.items())))
    return build_located(places)


def _as_before(store: Store, agent: AgentId, claims: Sequence[Claim]) -> list[Place] | None:
    """Return the answer where all of *claims* were answered before, which takes no turn; None where any is new."""
    links = store.known_identity(agent, claims).links
    known = [links.get(claim.key) for claim in claims]
    settled = [link for link, claim in zip(known, claims, strict=True) if link is not None and is_settled(link, claim)]
    return list(map(place, settled)) if len(settled) == len(claims) else None


def answer_query(store: Store, agent: AgentId, query: Query) -> bytes:
    """Return the Identity that answers *query*, serialised; empty when nobody is surely the learner, or is shielded.

    Raises:
        QueryNotSupported: It asks in another way than this module's text says.
    """
    claim = _claim(query)
    known = store.known_identity(agent, [claim])
    verdict = locate(claim, known.candidates(claim))
    match = verdict.match
    if verdict.outcome is not Outcome.FOUND or match is None:
        return b""
    learner = store.learners([match.ref_id]).get(match.ref_id)
    if learner is not None and learner.shielded:
        return b""
    made = etree.fromstring(_identity(match, claim))
    content: bytes = etree.tostring(selected(query, made), encoding="utf-8")
    return content


def _claim(query: Query) -> Claim:
    if query.example is not None or len(query.groups) != 1 or query.groups[0].joined is Joined.OR:
        raise QueryNotSupported(_HELP)
    said: dict[str, str] = {}
    former: list[str] = []
    born: date | None = None
    for condition in query.groups[0].conditions:
        found = _PATH.fullmatch(condition.path)
        name = "" if found is None else found.group(1) or found.group(2)
        value = " ".join(condition.value.split())
        if condition.operator is not Operator.EQ or len(value) > _LONGEST:
            raise QueryNotSupported(_HELP)
        if name == "FormerUPN":
            former.append(value)
        elif name == "BirthDate":
            born = _day(value)
        elif name in _FIELDS and _FIELDS[name] not in said:
            said[_FIELDS[name]] = value
        else:
            raise QueryNotSupported(_HELP)
    return Claim(new_ref_id(), former_upns=tuple(former), birth_date=born, locate_only=True, **said)


_HELP: Final = (
    "the zone answers for Identity by conditions joined by And, each EQ and once, on IdentityAssertions/"
    "IdentityAssertion[@SchemaName='UPN'], or FormerUPN, ULN, FamilyName, GivenName, BirthDate, Gender, Postcode"
)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise QueryNotSupported("BirthDate in a query for Identity must be a date, yyyy-mm-dd") from error


def _identity(match: Match, claim: Claim) -> str:
    name, value = {How.UPN: ("UPN", claim.upn), How.ULN: ("ULN", claim.uln)}.get(match.how, ("", ""))
    assertion = f'<IdentityAssertion SchemaName="{name}">{escape(value)}</IdentityAssertion>'
    ref_id = hashlib.sha256(f"identity/{match.ref_id}".encode()).hexdigest()[:32].upper()
    return (
        f'<Identity xmlns="{NAMESPACE}" RefId="{ref_id}"><SIF_RefId SIF_RefObject="LearnerPersonal">{match.ref_id}'
        "</SIF_RefId><AuthenticationSource>Other</AuthenticationSource>"
        + (f"<IdentityAssertions>{assertion}</IdentityAssertions>" if name else "")
        + "</Identity>"
    )


# -- people who decide -------------------------------------------------------------------------------------------------


def accept(store: Store, link: Link, number: int, by: str, now: float) -> tuple[Link, ...]:
    """Say that *link*'s key is its candidate *number*, counted from 1; return the links whose agents are to be told.

    Raises:
        NotDecided: Somebody has decided meanwhile, or there is no such candidate.
    """
    return _decided(store, link, lambda known: accepted(known, link.key, number, by, now))


def reject(store: Store, link: Link, by: str, now: float) -> tuple[Link, ...]:
    """Say that *link*'s key is none of its candidates; return the links whose agents are to be told.

    Raises:
        NotDecided: Somebody has decided meanwhile.
    """
    return _decided(store, link, lambda known: rejected(known, link.key, by, now))


def undo(store: Store, link: Link, by: str, now: float) -> tuple[Link, ...]:
    """Take back that *link*'s key is another agent's learner; return the links whose agents are to be told.

    Raises:
        NotDecided: It is no other learner.
    """
    return _decided(store, link, lambda known: undone(known, link.key, by, now))


def _decided(store: Store, link: Link, decide: Callable[[Known], Decided]) -> tuple[Link, ...]:
    def both(known: Known) -> tuple[Decided, Decided]:
        found = decide(known)
        return found, found

    claims = [link.claim] if link.claim is not None else []
    changed = store.change_identity(link.agent, [link.key], claims, both).links
    for one in changed:
        log.info("link_decided", agent=one.agent, link=one.id, state=str(one.state))
    return tuple(one for one in changed if one.state is not LinkState.WAITING)


def tell(transport: Transport, zone: AgentId, links: Sequence[Link]) -> None:
    """Tell each agent in *links* what its keys stand for now.

    Raises:
        NotTold: RabbitMQ did not take it.
    """
    for link in links:
        header = new_header(zone)
        body = build_relocated(header, [place(link)])
        number = transport.publish(
            Outgoing(DELIVERY, link.agent, body, header.msg_id, "SIF_SystemControl", user_id=BROKER_LOGIN)
        )
        _confirmed(transport, number, link)


def _confirmed(transport: Transport, number: int, link: Link) -> None:
    again = f"see that the zone is up, then run 'sifzone match tell {link.id}'"
    deadline = time.monotonic() + CONFIRM_SECONDS
    while transport.confirmed < number:
        if time.monotonic() > deadline:
            raise NotTold(f"decided, but RabbitMQ did not confirm the message to agent {link.agent}: {again}")
        try:
            transport.poll(0.2)
        except TransportLost as error:
            raise NotTold(f"decided, but the connection to RabbitMQ was lost: {again}") from error
    if transport.refusals():
        raise NotTold(f"decided, but the queue of agent {link.agent} did not take the message: {again}")


__all__ = ["IDENTITY", "NotTold", "accept", "answer", "answer_query", "reject", "tell", "undo"]
