"""The zone's own message by which people tell its workers something of a transfer; what it does is the worker's."""

from typing import Final

from broker.protocol.identifiers import RefId, new_msg_id
from broker.protocol.topology import BROKER_LOGIN, INTAKE, intake_key
from broker.transfer_cases import Event
from broker.transfer_codec import encode_event
from broker.transports.contract import Outgoing

TOLD: Final = "zone.Told"
"""Type of the message; only believed of the broker's own login. Its body is the event."""
TRANSFER: Final = "transfer"
"""Header of the message: RefId of the case that the event is about."""
LEARNER: Final = "learner"
"""Header of the message: RefId of the learner whose case it is."""


def told(case_ref: RefId, learner: RefId, event: Event) -> Outgoing:
    """Return the message that tells of *event*, to publish with the broker's login.

    Args:
        learner: Whose case it is: the message keeps its place among all that is about this learner.
    """
    return Outgoing(
        INTAKE,
        intake_key(learner),
        encode_event(event),
        new_msg_id(),
        TOLD,
        {TRANSFER: case_ref, LEARNER: learner},
        user_id=BROKER_LOGIN,
    )
