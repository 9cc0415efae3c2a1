"""What can go wrong with RabbitMQ itself: it is missing, does not start, or its management API refuses."""

from broker.protocol.errors import ZoneError

INSTALL = "apt-get update && apt-get install -y --no-install-recommends rabbitmq-server"
"""The command, for root on Debian or Ubuntu, that installs what a private node needs."""


class NodeError(ZoneError):
    """A private node cannot be started, or did not stop."""

    category = 10  # transport
    code = 4


class RabbitMQMissing(NodeError):
    """No RabbitMQ server, or no Erlang, is installed here."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f'{what} is not installed: run as root `{INSTALL}`, or name a running RabbitMQ with `rabbitmq = "amqp://..."`'
        )


class ManagementError(ZoneError):
    """The management HTTP API cannot be reached, refuses, or serves a RabbitMQ that lacks what a zone needs."""

    category = 10
    code = 4
