"""What people do with messages in quarantine: look, mend a copy, send again, discard; storage keeps them, encrypted.

A replay goes through the intake like any message, so that today's rights, schemas and agreements decide.
"""

import time
from dataclasses import dataclass
from datetime import date
from typing import Final

import schemas
from broker.letters import ATTEMPT, LOGIN, ONLY
from broker.pipeline import Inbound, about_learner, first_fault, read
from broker.protocol.envelope import NAMESPACE, event_objects, parse_message
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, INTAKE, intake_key
from broker.storage import LedgerRow, QuarantineEntry, Store
from broker.transports.contract import Outgoing, Transport, TransportLost
from broker.validation import Refusal, Validator, refusal

CONFIRM_SECONDS: Final = 30.0
_ALL: Final = 1_000_000


class NotReplayed(ZoneError):
    """A message in quarantine could not be sent again; it is still held."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the zone would say of a message today, as far as it can be told without the learner index."""

    fault: Refusal | None
    routing_key: str = ""


def check_body(entry: QuarantineEntry, body: bytes, validator: Validator) -> Check:
    """Return what is still wrong with *body*, a copy of the message of *entry*.

    Rights and agreements are not looked at; the replay does that.
    """
    try:
        key = _routing_key(body)  # of an event
        # What is cut may not name its learner, so that no key can be asked of it.
        inbound = read(body, AgentId(entry.source), None if entry.recipient else key)
        if not isinstance(inbound, Inbound):
            return Check(
                Refusal(12, 2, "requests and responses are not sent again from here: discard it, and ask anew")
            )
        if inbound.message.header.msg_id != entry.msg_id:
            return Check(Refusal(1, 4, f"SIF_MsgId was changed: leave it as it was, {entry.msg_id}"))
        today = date.today()  # noqa: DTZ011  # rules run by the zone's own calendar
        return Check(None if entry.recipient else first_fault(inbound, validator, today), key)
    except ZoneError as error:
        return Check(refusal(error))


def replay(store: Store, transport: Transport, validator: Validator, entry_id: str, by: str) -> int:
    """Send a held message again, its mended copy where there is one, and mark it so once RabbitMQ has it.

    Returns:
        The attempt under which the ledger will have it.

    Raises:
        NotReplayed: It still cannot be read, or RabbitMQ did not confirm it in time.
    """
    entry = store.quarantine_get(entry_id)
    if entry.state != "held":
        raise NotReplayed(f"{entry.id[:8]} is {entry.state} already: only a held message can be replayed")
    body = store.quarantine_body(entry_id)
    check = check_body(entry, body, validator)
    if check.fault is not None:
        raise NotReplayed(
            f"{entry.id[:8]} would be refused again: {check.fault.summary} "
            f"Mend it first:  sifzone quarantine fix {entry.id[:8]}"
        )
    attempt = _next_attempt(store, entry)
    headers: dict[str, str | int] = {LOGIN: entry.source, ATTEMPT: attempt}
    if entry.recipient:
        headers[ONLY] = entry.recipient
    message = Outgoing(INTAKE, check.routing_key, body, entry.msg_id, "SIF_Event", headers, user_id=BROKER_LOGIN)
    _publish(transport, message)
    store.quarantine_mark(entry_id, "replayed", by=by, at=time.time())
    return attempt


def outcome(store: Store, entry: QuarantineEntry, attempt: int, seconds: float) -> list[LedgerRow]:
    """Return what the ledger has of a replay, waiting up to *seconds* for the zone to decide; empty when it has not."""
    deadline = time.monotonic() + seconds
    while not store.accepted([(entry.source, entry.msg_id, attempt)]):
        if time.monotonic() > deadline:
            return []
        time.sleep(0.1)
    return [row for row in store.explain(entry.msg_id) if (row.source, row.attempt) == (entry.source, attempt)]


def _next_attempt(store: Store, entry: QuarantineEntry) -> int:
    """Return a number under which the zone has not decided on this message yet.

    One message may lie here several times, once for each agent that could not take it: a second replay with the number
    of the first would be taken for a repeat, and dropped. The first may still wait in the intake.
    """
    decided = [row.attempt for row in store.explain(entry.msg_id) if row.source == entry.source]
    earlier = store.quarantine_list("replayed", source=entry.source, limit=_ALL)
    return 1 + max(entry.attempt, sum(one.msg_id == entry.msg_id for one in earlier), *decided, 0)


def _publish(transport: Transport, message: Outgoing) -> None:
    number = transport.publish(message)
    deadline = time.monotonic() + CONFIRM_SECONDS
    while transport.confirmed < number:
        if time.monotonic() > deadline:
            raise NotReplayed("RabbitMQ did not confirm the message: see that the zone is up, then replay again")
        try:
            transport.poll(0.2)
        except TransportLost as error:
            raise NotReplayed("the connection to RabbitMQ was lost: see that the zone is up, then replay") from error
    if transport.refusals():
        raise NotReplayed("the zone's intake did not take the message: see that the zone is up, then replay again")


def _routing_key(body: bytes) -> str:
    """Return the ordering key of the message; read() says what is wrong when there is none."""
    message = parse_message(body)
    if message.kind == "SIF_Response":
        return intake_key(message.payload.findtext(f"{{{NAMESPACE}}}SIF_RequestMsgId") or "")
    if message.kind != "SIF_Event":
        return intake_key(message.header.msg_id)
    event = event_objects(message)[0]
    about = about_learner(event) if event.object_type in schemas.load().objects else None
    return intake_key(about or event.element.get("RefId") or "")
