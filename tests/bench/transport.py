"""How fast the transport forwards beside plain pika, in the same run: ``python -m tests.bench.transport URL``.

One message in, one confirmed out, 3 KB, quorum queues. The virtual host of URL should be empty and of no other use.
"""

import argparse
import json
import statistics
import time
from types import MappingProxyType
from typing import Final

from broker.protocol.identifiers import new_msg_id
from broker.protocol.topology import Queue, Topology
from broker.transports import AmqpSettings, AmqpTransport, Outgoing
from tests.bench import raw_forwarder

SOURCE: Final = "bench.source"
TARGET: Final = "bench.target"
BODY: Final = b"<x>" + b"made up " * 384 + b"</x>"
WINDOW: Final = 500
ACK_EVERY: Final = 100
HEADERS: Final = MappingProxyType({"object": "LearnerPersonal", "action": "Change"})


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description="Messages per second through the transport and through plain pika.")
    parser.add_argument("url", help="amqp:// address of a virtual host of its own")
    parser.add_argument("--count", type=int, default=10_000, help="messages in each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the medians count")
    arguments = parser.parse_args()
    ours, raw = measure(arguments.url, arguments.count, arguments.rounds)
    print(  # noqa: T201  # this is what it is for
        json.dumps({"transport_per_s": round(ours), "raw_per_s": round(raw), "ratio_to_raw": round(ours / raw, 2)})
    )


def measure(url: str, count: int, rounds: int) -> tuple[float, float]:
    """Return the median rates, messages per second, of the transport and of plain pika, run by turns."""
    ours, raw = [], []
    for _ in range(rounds):
        fill(url, count)
        raw.append(count / raw_forwarder.run(url, SOURCE, TARGET, count))
        check_arrived(url, count)
        fill(url, count)
        ours.append(count / forward(url, count))
        check_arrived(url, count)
    return statistics.median(ours), statistics.median(raw)


def forward(url: str, count: int) -> float:
    """Forward *count* messages through the transport and return the seconds it took."""
    with AmqpTransport(AmqpSettings(url=url)) as transport:
        transport.declare(Topology((), (), ()))
        started = time.perf_counter()
        transport.consume([SOURCE])
        tags: list[int] = []
        acked = 0
        while acked < count:
            for message in transport.poll(1):
                transport.publish(Outgoing("", TARGET, message.body, message.message_id, message.type, message.headers))
                tags.append(message.tag)
            confirmed = transport.confirmed
            if confirmed - acked >= ACK_EVERY or acked < confirmed == len(tags):
                transport.ack(tags[confirmed - 1])
                acked = confirmed
        return time.perf_counter() - started


def fill(url: str, count: int) -> None:
    """Make both queues anew, and put *count* confirmed messages into the first."""
    raw_forwarder.delete_queues(url, SOURCE, TARGET)
    arguments = MappingProxyType({"x-queue-type": "quorum"})
    with AmqpTransport(AmqpSettings(url=url)) as transport:
        transport.declare(Topology((), (Queue(SOURCE, arguments), Queue(TARGET, arguments)), ()))
        for number in range(count):
            transport.publish(Outgoing("", SOURCE, BODY, new_msg_id(), "SIF_Event", HEADERS))
            while number - transport.confirmed >= WINDOW:
                transport.poll(1)
        while transport.confirmed < count:
            transport.poll(1)
        if transport.refusals():
            raise RuntimeError("RabbitMQ refused messages: is its disk full?")


def check_arrived(url: str, count: int) -> None:
    """Take everything from the target.

    Raises:
        RuntimeError: It is not *count* messages of the right size.
    """
    arrived = 0
    with AmqpTransport(AmqpSettings(url=url)) as transport:
        transport.consume([TARGET])
        while received := transport.poll(2):
            arrived += sum(message.body == BODY for message in received)
            transport.ack(received[-1].tag)
    if arrived != count:
        raise RuntimeError(f"{arrived} of {count} messages arrived")


if __name__ == "__main__":
    main()
