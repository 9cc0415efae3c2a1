"""Carries out what agents that speak AMQP say to the zone itself; what is answered is control.py's to decide."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from broker import control, identity_desk
from broker.exchanges import closing
from broker.protocol.envelope import VERSION, Ack, build_ack, new_header
from broker.protocol.identifiers import AgentId, is_guid
from broker.protocol.topology import BROKER_LOGIN, DELIVERY
from broker.registry import Channel
from broker.requests import Cancelled, Removed
from broker.settings import Zone, identity_of
from broker.storage import StorageError, Store
from broker.transports.contract import Incoming, Outgoing

log = structlog.get_logger(__name__)

_TLS_ENCRYPTION: Final = 4
"""SIF_EncryptionLevel of TLS 1.2 and later."""


def take_control(incoming: Incoming, zone: Zone, store: Store, publish: Callable[[Outgoing], None], now: float) -> bool:
    """Answer a control message; tell whether the registry has changed.

    Args:
        publish: Called with the answer, and with what ends requests.
        now: Seconds since 1970, UTC.

    Raises:
        StorageError: Nothing was done.
    """
    login = AgentId(incoming.user_id)
    channel = Channel(encryption=_TLS_ENCRYPTION if zone.amqp_encrypted else 0)
    desk = control.Desk(identity_of(zone), channel, now=now)
    try:
        answer = control.settle(
            store, lambda live: control.answer(incoming.body, login, zone.registry.with_live(live), desk)
        )
        if answer.claims:
            data = identity_desk.answer(store, login, answer.claims, now)
            answer = replace(answer, ack=replace(answer.ack, data=data))
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001  # one message must never stop the zone
        log.error("control_not_answered", msg_id=incoming.message_id[:64], source=login, error=type(error).__name__)
        about = incoming.message_id if is_guid(incoming.message_id) else None
        text = "the zone failed on this message: tell its administrator"
        answer = control.Answer(Ack(login, about, category=11, code=1, description=text), VERSION)
    for change in answer.changes:
        log.info("agent_changed", agent=login, change=type(change).__name__)
    for msg_id in answer.cancelled:
        publish(closing(msg_id, *Cancelled.pair(), notify=answer.notify, by=login))
    if answer.left:
        for pending in store.open_requests(responder=login):
            publish(closing(pending.msg_id, *Removed.pair()))
    if login in zone.registry.agents:
        header = new_header(AgentId(zone.id))
        body = build_ack(header, answer.ack, answer.version)
        publish(Outgoing(DELIVERY, login, body, header.msg_id, "SIF_Ack", user_id=BROKER_LOGIN))
    return bool(answer.changes)


__all__ = ["take_control"]
