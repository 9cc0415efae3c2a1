"""Messages as they come to a worker: who sent them, which attempt they are, and the rows that tell of them."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Final

import schemas
from broker.pipeline import Content, read
from broker.protocol.envelope import local_name, parse_message
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId, is_guid
from broker.protocol.topology import BROKER_LOGIN
from broker.requests import Question, Reply
from broker.storage import Held, LedgerRow, Outcome, QuarantineReason
from broker.transports.contract import Incoming
from broker.validation import Refusal, refusal

ATTEMPT: Final = "attempt"
"""Header of a replay: 1 for a message's first; only believed of the broker's own login."""
LOGIN: Final = "login"
"""Header of a replay: whose message it is, as RabbitMQ verified when it first came."""
ONLY: Final = "only"
"""Header of a replay of what one agent could not be delivered: that agent, the only one to get it."""
REFUSED: Final = "refused"
"""Header of what the gateway, or an agent there, has refused: SIF's category and code, as in ``1/3``.

Of what an agent sent, so that nobody decides otherwise afterwards; of what it was given, so that people know why.
"""
AT: Final = "at"
"""Header of what is delivered to agents at the gateway: a number that grows, to join their two queues into one."""
REPLY_TO: Final = "reply-to"
"""Header of a request that the zone's own people make: the routing key of their queue."""

Key = tuple[str, str, int]
"""Who sent a message, its id, and which attempt it is: what makes it the same message again."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An incoming message with who sent it, under which id, and which attempt it is.

    Attributes:
        names: Object name, action and RefId for the ledger; empty where the message could not be read.
    """

    incoming: Incoming
    login: AgentId
    msg_id: str
    attempt: int
    sha256: str
    content: Content | Refusal
    names: tuple[str, str, str]
    only: AgentId | None = None
    reply_to: str = ""
    refused: tuple[int, int] | None = None

    @property
    def key(self) -> Key:
        """What tells it from every other message."""
        return (self.login, self.msg_id, self.attempt)

    def row(
        self,
        at: float,
        outcome: Outcome,
        *,
        seq: int = 0,
        audience: tuple[str, ...] = (),
        considered: int = 0,
        view: str = "",
        reason: str = "",
        category: int = 0,
        code: int = 0,
        sha256: str | None = None,
    ) -> LedgerRow:
        """Return the row of the ledger that says what became of the message at *at* (seconds since 1970, UTC)."""
        object_type, action, ref_id = self.names
        return LedgerRow(
            at,
            self.msg_id,
            self.login,
            outcome,
            self.attempt,
            seq,
            object_type,
            action,
            ref_id,
            audience,
            considered,
            view,
            reason,
            category,
            code,
            self.sha256 if sha256 is None else sha256,
        )

    def held(self, at: float, reason: QuarantineReason, why: Refusal, recipient: str = "") -> Held:
        """Return the message as it is to be kept in quarantine; *recipient* is the agent that could not take it."""
        object_type, action, _ = self.names
        return Held(
            uuid.uuid4().hex,
            at,
            self.login,
            self.msg_id,
            reason,
            self.incoming.body,
            self.attempt,
            object_type,
            action,
            why.category,
            why.code,
            why.summary,
            tuple({"path": f.path, "line": f.line, "rule": f.rule, "message": f.message} for f in why.findings),
            recipient,
        )


def open_letter(incoming: Incoming, dead_from: AgentId | None = None) -> Letter:
    """Return *incoming* as a letter; what cannot be read is one too, with the refusal for its content.

    Args:
        incoming: As it came from the intake or from the dead letters.
        dead_from: Who sent what an agent then could not take; None for everything else.
    """
    login, attempt, only, reply_to, refused = AgentId(incoming.user_id), 0, None, "", None
    if login == BROKER_LOGIN:
        login = AgentId(str(incoming.headers.get(LOGIN, "")))
        attempt = int(incoming.headers.get(ATTEMPT, 0))
        only = AgentId(str(incoming.headers[ONLY])) if ONLY in incoming.headers else None
        reply_to = str(incoming.headers.get(REPLY_TO, ""))
        refused = _pair(str(incoming.headers.get(REFUSED, "")))
    if dead_from is not None:
        login = dead_from
    sha256 = hashlib.sha256(incoming.body).hexdigest()
    try:
        # What is cut may not name its learner, so that no key can be asked of it.
        key = None if dead_from is not None or only else incoming.routing_key
        content: Content | Refusal = read(incoming.body, login, key)
    except ZoneError as error:
        content = refusal(error)
    if not isinstance(content, Refusal):
        msg_id = str(content.message.header.msg_id)
    else:
        msg_id = incoming.message_id if is_guid(incoming.message_id) else sha256[:32].upper()
    return Letter(incoming, login, msg_id, attempt, sha256, content, _names(content), only, reply_to, refused)


def _pair(text: str) -> tuple[int, int] | None:
    category, _, code = text.partition("/")
    return (int(category), int(code)) if category.isdecimal() and code.isdecimal() else None


def source_of(body: bytes) -> AgentId:
    """Return the SIF_SourceId of a message that the zone itself delivered; empty when it cannot be read."""
    try:
        return parse_message(body).header.source_id
    except ZoneError:
        return AgentId("")


def _names(content: Content | Refusal) -> tuple[str, str, str]:
    """Return object name, action and RefId for the ledger; empty where the message could not be read.

    What is no object's name, or has not the form of a RefId, may be anything, and is left out.
    """
    if isinstance(content, Refusal):
        return "", "", ""
    if isinstance(content, Question):
        return content.object_type if content.object_type in schemas.load().objects else "", "Request", ""
    if isinstance(content, Reply):
        name = local_name(content.objects[0]) if content.objects else ""
        return name if name in schemas.load().objects else "", "Response", content.request_id
    event = content.objects[0]
    ref_id = event.element.get("RefId", "").strip()
    known = event.object_type in schemas.load().objects
    return event.object_type if known else "", event.action, ref_id if is_guid(ref_id) else ""
