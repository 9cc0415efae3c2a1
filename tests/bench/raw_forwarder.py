"""A forwarder as anybody would write it with pika alone: the yardstick of the benchmarks, not part of the zone.

It takes from one queue and publishes to another, with asynchronous confirms, and acknowledges what is confirmed.
"""

import time
from typing import Any, Final

import pika

PREFETCH: Final = 500
ACK_EVERY: Final = 100


class _Forwarder:
    def __init__(self, url: str, source: str, target: str, count: int) -> None:
        self._source, self._target, self._count = source, target, count
        self._published = 0
        self._confirmed = 0
        self._early: set[int] = set()
        self._acked = 0
        self.started = 0.0
        self.ended = 0.0
        self.error: Exception | None = None
        self.connection = pika.SelectConnection(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
        )

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_end)
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.confirm_delivery(self._on_confirm, callback=self._on_confirm_mode)

    def _on_confirm_mode(self, _frame: Any) -> None:
        self.started = time.perf_counter()
        self._channel.basic_consume(self._source, self._on_message)

    def _on_message(self, channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        if self._published == self._count:
            return
        self._published += 1
        out = pika.BasicProperties(
            content_type="application/xml",
            headers=properties.headers,
            delivery_mode=2,
            message_id=properties.message_id,
            type=properties.type,
        )
        channel.basic_publish("", self._target, body, out, mandatory=True)

    def _on_confirm(self, frame: Any) -> None:
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        if multiple:
            self._confirmed = max(self._confirmed, tag)
        else:
            self._early.add(tag)
        while self._confirmed + 1 in self._early:
            self._confirmed += 1
            self._early.discard(self._confirmed)
        idle = self._confirmed == self._published
        if self._confirmed > self._acked and (idle or self._confirmed - self._acked >= ACK_EVERY):
            self._channel.basic_ack(self._confirmed, multiple=True)
            self._acked = self._confirmed
        if self._confirmed == self._count:
            self.ended = time.perf_counter()
            self.connection.close()

    def _on_end(self, _which: Any, error: Exception) -> None:
        if not self.ended:
            self.error = error
        if self.connection.is_closed:
            self.connection.ioloop.stop()


def run(url: str, source: str, target: str, count: int) -> float:
    """Forward *count* messages from queue *source* to queue *target* and return the seconds it took.

    Args:
        url: Of RabbitMQ, with login and virtual host.
        source: A queue with at least *count* messages.
        target: A queue that exists.
        count: How many; what the source has beyond stays there.

    Raises:
        RuntimeError: The connection ended before the last confirm.
    """
    forwarder = _Forwarder(url, source, target, count)
    forwarder.connection.ioloop.start()
    if forwarder.error is not None:
        raise RuntimeError("RabbitMQ ended the connection of the raw forwarder") from forwarder.error
    return forwarder.ended - forwarder.started


def delete_queues(url: str, *names: str) -> None:
    """Delete these queues, whether they exist or not."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        for name in names:
            connection.channel().queue_delete(name)
    finally:
        connection.close()
