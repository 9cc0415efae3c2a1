"""Small zones of a test's own, for what the shared one is not set up for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.settings import load_zone
from broker.supervisor import RunningZone, gateway_url, read_secret


@contextmanager
def run(folder: Path, text: str) -> Iterator[RunningZone]:
    """Run the zone that *text* describes; its log is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agreements").mkdir(exist_ok=True)
    (folder / "zone.toml").write_text(text)
    zone = load_zone(folder)
    log = os.open(folder / "zone.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        with RunningZone(zone, log_file=log) as running:
            yield running
    finally:
        os.close(log)


def address(running: RunningZone, agent: str = "") -> str:
    """Return the gateway's address, with the secret of *agent* where one is named."""
    assert running.gateway_port is not None
    secret = read_secret(running.zone.credentials(agent)) if agent else ""
    return gateway_url(running.zone, running.gateway_port, secret)
