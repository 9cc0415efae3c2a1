"""The zone's clock: the machine's; in a zone for trying out, ahead of it by as much as somebody has pushed it."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from broker.protocol.errors import ConfigurationError
from broker.settings import Zone

_FILE: Final = "clock"
_LOOK_SECONDS: Final = 1.0
_MOST: Final = timedelta(days=3650)

Clock = Callable[[], float]
"""Seconds since 1970, UTC."""


class _PushedClock:
    """A clock that reads, once a second at most, how far it was pushed."""

    def __init__(self, file: Path) -> None:
        self._file, self._looked, self._ahead = file, float("-inf"), 0.0

    def __call__(self) -> float:
        if time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._ahead = _read(self._file)
        return time.time() + self._ahead


def zone_clock(zone: Zone) -> Clock:
    """Return the clock that *zone* goes by."""
    return _PushedClock(zone.state / _FILE) if zone.settings.movable_clock else time.time


def zone_today(zone: Zone) -> date:
    """Return the local date by the clock of *zone*."""
    return date.fromtimestamp(zone_clock(zone)())  # noqa: DTZ012  # deadlines and agreements run by local dates


def push_clock(zone: Zone, span: timedelta) -> timedelta:
    """Push the clock of *zone* further ahead; return how far it is ahead now.

    Raises:
        ConfigurationError: The zone's clock is not to be pushed, or not back, or not so far.
    """
    if not zone.settings.movable_clock:
        raise ConfigurationError(
            "this zone goes by the machine's clock: only one for trying out may have movable_clock = true in zone.toml"
        )
    if span < timedelta(0):
        raise ConfigurationError("a clock is only pushed ahead: what has happened does not unhappen")
    file = zone.state / _FILE
    ahead = timedelta(seconds=_read(file)) + span
    if ahead > _MOST:
        raise ConfigurationError(f"the clock would be {ahead.days:,} days ahead: push it no more than {_MOST.days:,}")
    new = file.with_suffix(".new")
    new.write_text(f"{ahead.total_seconds():.0f}\n", encoding="utf-8")
    new.rename(file)
    return ahead


def _read(file: Path) -> float:
    """Return by how many seconds the clock is ahead; 0 where nobody has pushed it."""
    try:
        return float(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0.0


__all__ = ["Clock", "push_clock", "zone_clock", "zone_today"]
