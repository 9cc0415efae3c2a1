"""Cut a SIF_Response to what its requester may have, object by object, and build what the zone itself answers."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import schemas
from broker.learners import LearnerIndex
from broker.pipeline import (
    about_learner,
    allowed_learners,
    message_root,
    names_whom_it_is_about,
    observe_object,
    standings_of,
    untouched,
)
from broker.protocol.envelope import Action, EventObject, local_name, new_header
from broker.protocol.errors import NotValid, UnknownObject
from broker.protocol.exchanges import AnswerError, build_response
from broker.protocol.identifiers import AgentId, MsgId
from broker.quality import Judged, KnownFacts, judged
from broker.requests import Pending, Reply
from broker.routing import Reason, Router
from broker.validation import Validator
from broker.views import View

_ERROR_LENGTH: Final = 200
"""Characters of an agent's own words about an error that are passed on."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A packet as its requester gets it.

    Attributes:
        shared: How many objects are in it; ``left_out`` how many are not, by reason.
        judged: What was found in those that are not valid, for data quality.
        views: Names of the views that it was cut to, joined.
    """

    body: bytes
    shared: int
    left_out: Mapping[Reason, int]
    judged: tuple[Judged, ...]
    views: str


def objects_of(reply: Reply) -> list[EventObject]:
    """Return the objects in a response, as deciding takes them: any part of each, as a Change holds it."""
    return [EventObject(local_name(element), Action.CHANGE, element) for element in reply.objects or ()]


def share_packet(
    reply: Reply, body: bytes, pending: Pending, router: Router, index: LearnerIndex, validator: Validator
) -> Shared:
    """Return what *pending*'s requester may have of the objects in *reply*, which came as *body*.

    Each object is validated, cut to the requester's views and left out where it is not valid, its learner not in the
    scope of any agreement, or nothing of it shared. Byte for byte as it came where nothing is cut.
    """
    edition = schemas.edition_of(reply.message.version)
    pieces: list[bytes] = []
    left_out: Counter[Reason] = Counter()
    faulty: list[Judged] = []
    views: dict[str, None] = {}
    whole = True
    for event in objects_of(reply):
        about = about_learner(event) or ""
        try:
            findings = validator.check(event, edition, KnownFacts(router.today, index, about))
        except UnknownObject:  # it is in another namespace
            left_out[Reason.NOT_VALID] += 1
            continue
        if any(finding.severity == "refuse" for finding in findings):
            known = index.learners.get(about)
            faulty.append(judged(event, findings, reply.sender, known, router.registry, index.schools))
            left_out[Reason.NOT_VALID] += 1
            continue
        found = _piece(event, reply.sender, pending.requester, router, index)
        if isinstance(found, Reason):
            left_out[found] += 1
            continue
        view, piece = found
        pieces.append(piece)
        views[view.name] = None
        whole = whole and view.is_whole(event.element)
    same = untouched(reply.message, body) if whole and not left_out else b""
    if not same or schemas.check_message(message_root(reply.message)):
        same = _packet(reply, pending, b"".join(pieces))
    return Shared(same, len(pieces), left_out, tuple(faulty), "+".join(views))


def _piece(
    event: EventObject, sender: AgentId, requester: AgentId, router: Router, index: LearnerIndex
) -> tuple[View, bytes] | Reason:
    if not names_whom_it_is_about(event):
        return Reason.NOT_IN_SCOPE
    standings = standings_of(event, observe_object(sender, event, router, index), router, index)
    view = router.share(sender, requester, event.object_type, standings)
    if isinstance(view, Reason):
        return view
    allowed = allowed_learners(event, sender, requester, router, index) if view.mentions_learners else frozenset()
    piece = view.cut(event.element, allowed.__contains__)
    if piece is None and _has_keys_alone(event):  # nothing else was asked for
        piece = view.keys_only(event.element)
    return Reason.NOTHING_SHARED if piece is None else (view, piece)


def _has_keys_alone(event: EventObject) -> bool:
    element = event.element
    names = {"@" + str(name) for name in element.attrib} | {local_name(child) for child in element}
    return names <= set(schemas.load().keys(event.object_type))


def pass_error(reply: Reply, pending: Pending) -> bytes:
    """Return a response that ends a request with the responder's error; what it says beyond a sentence stays behind."""
    error = reply.error or AnswerError(8, 1, "")
    return _packet(reply, pending, error._replace(text=error.text[:_ERROR_LENGTH]))


def pass_rows(reply: Reply, body: bytes) -> bytes:
    """Return a response with rows as it came: see :func:`broker.requests.decide_request` for when there are any.

    Raises:
        NotValid: There is something in it that does not leave the zone.
    """
    rows = untouched(reply.message, body)
    if not rows:
        raise NotValid("rows must come without comments and processing instructions: leave them out")
    return rows


def zone_answer(zone: AgentId, pending: Pending, content: bytes) -> bytes:
    """Return the zone's own SIF_Response of one packet with *content*, serialised objects."""
    return _own(zone, pending, content)


def zone_error(zone: AgentId, pending: Pending, category: int, code: int, text: str) -> bytes:
    """Return the zone's own SIF_Response that ends *pending* with an error, in the packet that was due."""
    return _own(zone, pending, AnswerError(category, code, text))


def own_msg_id(pending: Pending) -> MsgId:
    """Return the id of the zone's own response: the same each time, so that whoever gets it twice can tell."""
    text = f"{pending.requester}/{pending.msg_id}/{pending.next_packet}/zone"
    return MsgId(hashlib.sha256(text.encode()).hexdigest()[:32].upper())


def _own(zone: AgentId, pending: Pending, content: bytes | AnswerError) -> bytes:
    header = new_header(zone, own_msg_id(pending))._replace(destination_id=pending.requester)
    return build_response(header, pending.msg_id, pending.next_packet, False, content, pending.version)


def _packet(reply: Reply, pending: Pending, content: bytes | AnswerError) -> bytes:
    """Return *reply* with other content, for its requester; without naming that where it would not fit any more."""
    header, version = reply.message.header, reply.message.version
    more = reply.more and reply.error is None
    named = header._replace(destination_id=pending.requester)
    made = build_response(named, pending.msg_id, reply.packet, more, content, version)
    if len(made) <= pending.max_buffer:
        return made
    return build_response(header, pending.msg_id, reply.packet, more, content, version)
