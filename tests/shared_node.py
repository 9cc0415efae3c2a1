"""A zone on the run's own RabbitMQ node instead of one that it would have to start first."""

from collections.abc import Iterator
from contextlib import contextmanager

from broker.rabbitmq import Management, PrivateNode


@contextmanager
def settings_for(node: PrivateNode, zone: str) -> Iterator[str]:
    """Give what the settings of *zone* begin with, so that it runs on *node*; its virtual host goes afterwards."""
    with Management(node.management_url, node.admin_user, node.admin_password) as management:
        management.delete_vhost(zone)
        yield f'rabbitmq = "{node.amqp_url("/")}"\nmanagement = "{node.management_url}"\n'
        management.delete_vhost(zone)


__all__ = ["settings_for"]
