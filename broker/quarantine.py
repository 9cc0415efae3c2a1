"""What people do with messages in quarantine: look, mend a copy, send again, discard; storage keeps them, encrypted.

A replay goes through the intake like any message, so that today's rights, schemas and agreements decide.
"""

import time
from dataclasses import dataclass
from typing import Final

import schemas
from broker.pipeline import about_learner, read
from broker.protocol.envelope import event_objects, parse_message
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, INTAKE, intake_key
from broker.storage import QuarantineEntry, Store
from broker.transports.contract import Outgoing, Transport, TransportLost
from broker.validation import Refusal, check_object, refusal
from broker.worker import ATTEMPT, LOGIN, ONLY

CONFIRM_SECONDS: Final = 30.0


class NotReplayed(ZoneError):
    """A message in quarantine could not be sent again; it is still held."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the zone would say of a message today, as far as it can be told without the learner index."""

    fault: Refusal | None
    routing_key: str = ""


def check_body(entry: QuarantineEntry, body: bytes) -> Check:
    """Return what is still wrong with *body*, a copy of the message of *entry*.

    Rights and agreements are not looked at; the replay does that.
    """
    try:
        key = _routing_key(body)
        inbound = read(body, AgentId(entry.source), key)
        if inbound.message.header.msg_id != entry.msg_id:
            return Check(Refusal(1, 4, f"SIF_MsgId was changed: leave it as it was, {entry.msg_id}"))
        faults = (check_object(event) for event in inbound.objects) if not entry.recipient else iter(())
        return Check(next((fault for fault in faults if fault is not None), None), key)
    except ZoneError as error:
        return Check(refusal(error))


def replay(store: Store, transport: Transport, entry_id: str, by: str) -> None:
    """Send a held message again, its mended copy where there is one, and mark it so once RabbitMQ has it.

    Raises:
        NotReplayed: It still cannot be read, or RabbitMQ did not confirm it in time.
    """
    entry = store.quarantine_get(entry_id)
    if entry.state != "held":
        raise NotReplayed(f"{entry_id} is {entry.state} already: only held messages can be replayed")
    body = store.quarantine_body(entry_id)
    check = check_body(entry, body)
    if check.fault is not None:
        raise NotReplayed(f"{entry_id} would be refused again: {check.fault.summary}; mend it with 'quarantine fix'")
    headers: dict[str, str | int] = {LOGIN: entry.source, ATTEMPT: entry.attempt + 1}
    if entry.recipient:
        headers[ONLY] = entry.recipient
    message = Outgoing(INTAKE, check.routing_key, body, entry.msg_id, "SIF_Event", headers, user_id=BROKER_LOGIN)
    _publish(transport, message)
    store.quarantine_mark(entry_id, "replayed", by=by, at=time.time())


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
        raise NotReplayed("the zone's intake took the message not: see that the zone is up, then replay again")


def _routing_key(body: bytes) -> str:
    """Return the ordering key of the message; read() says what is wrong when there is none."""
    message = parse_message(body)
    if message.kind != "SIF_Event":
        return ""
    event = event_objects(message)[0]
    about = about_learner(event) if event.object_type in schemas.load().objects else None
    return intake_key(about or event.element.get("RefId") or "")
