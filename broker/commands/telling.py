"""How commands tell the zone's workers what they are to do: by the zone's own login, confirmed before they return."""

import time
from collections.abc import Sequence
from typing import Final

from broker.protocol.errors import ZoneError
from broker.protocol.topology import BROKER_LOGIN
from broker.settings import Zone
from broker.supervisor import read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Outgoing, Transport, TransportLost

_CONFIRM_SECONDS: Final = 30.0


def tell_zone(zone: Zone, messages: Sequence[Outgoing], name: str) -> None:
    """Publish *messages*, and return once RabbitMQ keeps them all.

    Args:
        name: What tells it, as RabbitMQ lists the connection, for example "sifzone transfers".

    Raises:
        ZoneError: It does not; some may have been taken, and to tell of them again does no harm.
    """
    url = read_url(zone.credentials(BROKER_LOGIN))
    if not url:
        raise ZoneError("the zone has never been started: start it with 'sifzone up', then say so again")
    with AmqpTransport(AmqpSettings(url=url, name=name)) as transport:
        _publish(transport, messages)


def _publish(transport: Transport, messages: Sequence[Outgoing]) -> None:
    last = 0
    for message in messages:
        last = transport.publish(message)
    deadline = time.monotonic() + _CONFIRM_SECONDS
    try:
        while transport.confirmed < last:
            if time.monotonic() > deadline:
                raise ZoneError("RabbitMQ did not confirm it in time: see that the zone is up, then say so again")
            transport.poll(0.2)
    except TransportLost as error:
        raise ZoneError("the connection to RabbitMQ was lost: see that the zone is up, then say so again") from error
    if transport.refusals():
        raise ZoneError("the zone's intake did not take it: see that the zone is up, then say so again")
