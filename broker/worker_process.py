"""One worker as a process: ``python -m broker.worker_process ZONE NUMBER WORKERS``; started by the supervisor."""

import gc
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from broker.applied import applied_zone
from broker.clock import zone_clock
from broker.logs import configure_logging
from broker.protocol.errors import ZoneError
from broker.protocol.topology import BROKER_LOGIN
from broker.settings import Zone
from broker.storage import open_store
from broker.supervisor import partitions_of, read_url, ready_file
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.worker import Worker

log = structlog.get_logger(__name__)

_STAND_BY_AFTER: Final = 3.0
"""Seconds after which a worker also waits for the partitions of the others, who by then have them."""


def run(zone: Zone, number: int, workers: int) -> None:
    """Work until SIGTERM, or until the process that started this one is gone."""
    parent, stopping = os.getppid(), False
    settle_memory()

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's Ctrl-C reaches the supervisor, who stops us in order
    own, others = partitions_of(number, workers, zone.settings.partitions)
    settings = AmqpSettings(url=read_url(zone.credentials(BROKER_LOGIN)), name=f"{zone.id} worker {number}")
    with open_store(zone.database_url, zone.key_file) as store, AmqpTransport(settings) as transport:
        worker = Worker(transport, store, zone, now=zone_clock(zone))
        worker.open(own)
        ready = ready_file(zone, number)
        told: str | None = None
        stand_by_at = time.monotonic() + _STAND_BY_AFTER
        while not stopping and os.getppid() == parent:
            if worker.snapshot != told:
                told = worker.snapshot
                ready.write_text(told, encoding="utf-8")
            worker.step(0.5)
            if others and time.monotonic() > stand_by_at:
                worker.stand_by(others)
                others = []


def settle_memory() -> None:
    """Let the garbage collector look for cycles seldom.

    Each message makes some hundred objects that live until the next commit and form no cycles; looking for cycles among
    them, and among all learners in hand, at every 700 allocations costs more than it finds.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def main() -> int:
    """Run the worker named on the command line; exit code 0 when stopped, 1 when it could not go on."""
    folder, number, workers = sys.argv[1:]
    configure_logging(process=f"worker-{number}")
    try:
        run(applied_zone(Path(folder)), int(number), int(workers))
    except ZoneError as error:
        log.error("worker_stopped", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
