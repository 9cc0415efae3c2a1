"""Durations as settings files write them: a number and a unit in quotes."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator

_DURATION: Final = re.compile(r"(\d{1,9})\s*(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: object) -> timedelta:
    """Return what a settings file says as a duration, for example ``"15m"``.

    Raises:
        ValueError: It is not a number and s, m, h or d, or too long.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        if isinstance(value, timedelta):
            return value
        raise ValueError('write a number and s, m, h or d in quotes, for example "15m"')
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError as error:
        raise ValueError("that is too long: write at most a few years") from error


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


__all__ = ["Duration", "parse_duration"]
