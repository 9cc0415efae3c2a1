"""The demo's working folder: the zone's settings, and room for what is written; made anew for each run."""

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from broker.clock import push_clock, zone_today
from broker.settings import Zone
from deploy.demo.identifiers import TODAY

ROOT: Final = Path(__file__).resolve().parents[2]


def make_folder(folder: Path) -> None:
    """Make *folder* anew, with the zone's settings.

    Raises:
        OSError: It cannot be removed or written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "deploy" / "demo" / "zone", folder)
    (folder / "out").mkdir()


def set_clock(zone: Zone, earliest: date = TODAY) -> None:
    """Push the zone's clock to *earliest* where the machine's is behind it: what is exported must have happened.

    Args:
        zone: One that is not running yet.

    Raises:
        ConfigurationError: The clock is too far behind, or not to be pushed.
    """
    behind = earliest - zone_today(zone)
    if behind > timedelta(0):
        zone.state.mkdir(mode=0o700, exist_ok=True)
        push_clock(zone, behind)


def shown(path: Path) -> Path:
    """Return *path* as it is to be typed in the project's folder."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
