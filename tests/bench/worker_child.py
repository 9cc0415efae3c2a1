"""One worker of a benchmark in a process of its own; prints what it did as JSON. Started by run.py."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker import letters, views, worker
from broker.logs import configure_logging
from broker.settings import load_zone
from broker.storage import open_store
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.worker import Worker
from broker.worker_process import settle_memory
from schemas import SchemaSet
from schemas.rules import RuleSet

IDLE_SECONDS = 1.5


class Stages:
    """Adds up wall time by stage; a stage within another is taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function* with its time booked on *stage*."""

        def run(*args: Any, **kwargs: Any) -> Any:  # whatever the function takes
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        return run

    def watch(self, transport: AmqpTransport, store: Any) -> None:  # its methods are replaced
        """Book the parts of a worker's work; the watching itself costs about a tenth, so speed is taken without it."""
        letters.read = self.timed("parse", letters.read)  # type: ignore[attr-defined]
        worker.decide = self.timed("decide", worker.decide)  # type: ignore[attr-defined]
        SchemaSet.check = self.timed("validate", SchemaSet.check)  # type: ignore[method-assign]
        SchemaSet.warnings = self.timed("code lists", SchemaSet.warnings)  # type: ignore[method-assign]
        RuleSet.check = self.timed("rules", RuleSet.check)  # type: ignore[method-assign]
        views.View.cut = self.timed("cut", views.View.cut)  # type: ignore[method-assign]
        transport.publish = self.timed("publish", transport.publish)  # type: ignore[method-assign]
        transport.poll = self.timed("receive and confirm (poll)", transport.poll)  # type: ignore[method-assign]
        store.commit = self.timed("commit", store.commit)
        store.accepted = self.timed("look up", store.accepted)
        store.learners = self.timed("look up", store.learners)


def main() -> None:
    """Work on the given partitions until nothing comes for a while."""
    folder, url, partitions, profile = sys.argv[1:]
    configure_logging()  # standard output is for the figures
    settle_memory()
    zone = load_zone(Path(folder))
    stages = Stages()
    with open_store(zone.database_url, zone.key_file) as store, AmqpTransport(AmqpSettings(url=url)) as transport:
        if profile == "profile":
            stages.watch(transport, store)
        subject = Worker(transport, store, zone)
        sys.stdin.readline()  # all workers start together
        subject.open([])
        begun, cpu = time.time(), _cpu()  # connected, as the raw forwarder is when its clock starts
        subject.stand_by([int(n) for n in partitions.split(",")])
        last, done = time.time(), _cpu()
        quiet = time.monotonic()
        while time.monotonic() - quiet < IDLE_SECONDS:
            if subject.step(0.1):
                quiet, last, done = time.monotonic(), time.time(), _cpu()
    json.dump({"begun": begun, "ended": last, "cpu": done - cpu, "stages": stages.seconds}, sys.stdout)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
