"""RabbitMQ as a server: a private node of our own, and its management API; carrying messages is broker.transports'."""

from broker.rabbitmq.errors import ManagementError, NodeError, RabbitMQMissing
from broker.rabbitmq.management import Management
from broker.rabbitmq.node import PrivateNode

__all__ = [
    # a node of our own
    "PrivateNode",
    # any node's virtual hosts, logins and rights
    "Management",
    # what goes wrong
    "ManagementError",
    "NodeError",
    "RabbitMQMissing",
]
