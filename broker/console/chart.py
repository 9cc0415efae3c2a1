"""A stacked bar chart by day, as numbers for an SVG; the template draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from broker.console.words import short_day

WIDTH: Final = 660
HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 28
_LABELS: Final = 7
_STEPS: Final = 4
_GAP: Final = 0.2
"""Share of a day's width that stays free between two bars."""


@dataclass(frozen=True, slots=True)
class Part:
    """One colour of one bar, in the units of the SVG."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A label on an axis, and where it stands."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: bars from left to right, marks of the upright axis from below, and some of the days."""

    parts: tuple[Part, ...]
    amounts: tuple[Mark, ...]
    days: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    floor: int = HEIGHT - _BOTTOM


def stacked(rows: Sequence[tuple[date, int, int]]) -> Chart:
    """Return the chart of days, each with its refusals and its warnings; a day that is left out shows as a gap.

    Args:
        rows: At least one, in order of day.
    """
    first, last = rows[0][0], rows[-1][0]
    span = (last - first).days + 1
    slot = (WIDTH - _LEFT - _RIGHT) / span
    top = _round_up(max(refused + warned for _, refused, warned in rows))
    scale = (HEIGHT - _TOP - _BOTTOM) / top
    parts: list[Part] = []
    for day, refused, warned in rows:
        x, floor = _LEFT + slot * ((day - first).days + _GAP / 2), float(HEIGHT - _BOTTOM)
        for kind, amount in (("refused", refused), ("warned", warned)):
            floor -= amount * scale
            if amount:
                parts.append(Part(kind, _r(x), _r(floor), _r(slot * (1 - _GAP)), _r(amount * scale)))
    return Chart(tuple(parts), _amounts(top, scale), _days(first, span, slot))


def _amounts(top: int, scale: float) -> tuple[Mark, ...]:
    return tuple(
        Mark(_r(HEIGHT - _BOTTOM - amount * scale), f"{amount:,}") for amount in range(0, top + 1, top // _STEPS)
    )


def _days(first: date, span: int, slot: float) -> tuple[Mark, ...]:
    every = -(-span // _LABELS)
    return tuple(
        Mark(_r(_LEFT + slot * (number + 0.5)), short_day(first + timedelta(days=number)))
        for number in range(0, span, every)
    )


def _round_up(amount: int) -> int:
    """Return the least of 4, 8, 20, 40, 80, 200 ... that is not below *amount*: each has four whole steps."""
    unit = 1
    while amount > 20 * unit:
        unit *= 10
    return next(step * unit for step in (4, 8, 20) if step * unit >= amount)


def _r(value: float) -> float:
    return round(value, 1)
