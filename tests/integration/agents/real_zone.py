"""A zone with a real worker, for agents that ask and answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.settings import Zone, load_zone
from broker.storage import Store, make_key, open_store
from broker.transports import Transport
from broker.worker import Worker

PARTITIONS = 2
_ZONE = f"""
id = "exchanges"
partitions = {PARTITIONS}
[agents.mis-1]
name = "Made up MIS"
establishments = ["8209901"]
[agents.mis-1.rights]
SchoolGroup = ["provide"]
[agents.platform]
name = "Platform"
establishments = ["8209901"]
[agents.platform.rights]
SchoolGroup = ["request"]
SchoolInfo = ["request"]
SIF_ZoneStatus = ["request"]
[agents.loans]
name = "Loans"
establishments = ["8209901"]
"""
_AGREEMENT = """
id = "groups"
title = "Groups"
from = ["mis-*"]
to = ["platform"]
purpose = "Tests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.SchoolGroup]
share = ["@RefId", "@SchoolGroupTypeRefId", "@SchoolYear", "LocalId", "GroupName"]
[objects.SchoolInfo]
share = ["@RefId"]
"""


@dataclass
class RealZone:
    """A zone at work."""

    zone: Zone
    store: Store


def make_zone(folder: Path) -> Zone:
    """Write the zone's settings to *folder* and return it."""
    (folder / "agreements").mkdir(parents=True)
    (folder / "zone.toml").write_text(_ZONE)
    (folder / "agreements" / "groups.toml").write_text(_AGREEMENT)
    return load_zone(folder)


@contextmanager
def real_zone(folder: Path, connect: Callable[[], Transport]) -> Iterator[RealZone]:
    """Run the zone's worker in a thread of its own."""
    zone = make_zone(folder)
    zone.state.mkdir(mode=0o700)
    make_key(zone.key_file)
    stop = threading.Event()
    faults: list[BaseException] = []
    with open_store(zone.database_url, zone.key_file) as store, connect() as transport:
        worker = Worker(transport, store, zone)
        worker.open(range(PARTITIONS))

        def work() -> None:
            try:
                while not stop.is_set():
                    worker.step(0.05)
            except BaseException as error:  # noqa: BLE001  # told at the end
                faults.append(error)

        thread = threading.Thread(target=work, name="worker", daemon=True)
        thread.start()
        try:
            yield RealZone(zone, store)
        finally:
            stop.set()
            thread.join()
    if faults:
        raise faults[0]
