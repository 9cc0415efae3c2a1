"""Carrying messages: one contract, over RabbitMQ and in memory; nothing about SIF."""

from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import (
    NO_HEADERS,
    HeaderValue,
    Incoming,
    Outgoing,
    PublishRefused,
    Refusal,
    Transport,
    TransportLost,
)
from broker.transports.memory import MemoryBroker, MemoryTransport

__all__ = [  # grouped by where they come from
    # the contract
    "NO_HEADERS",
    "HeaderValue",
    "Incoming",
    "Outgoing",
    "PublishRefused",
    "Refusal",
    "Transport",
    "TransportLost",
    # over RabbitMQ
    "AmqpSettings",
    "AmqpTransport",
    # in memory
    "MemoryBroker",
    "MemoryTransport",
]
