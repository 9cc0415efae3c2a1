"""Days and moments as reports write them, and the calendars by which connectors count days."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, ValidationInfo

from agents.connectors.contract import SourceError
from broker.calendars import LONDON, Calendars, CalendarTooShort, DayKind, load_calendars, local_date
from broker.protocol.errors import ConfigurationError

Today = Callable[[], date]
"""Says which day it is in England."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_ISO: Final = re.compile(r"(\d{4})-(\d{2}|[A-Za-z]{3})-(\d{2})", re.ASCII)
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_MIDNIGHT: Final = re.compile(r"[ T]00:00(:00(\.0+)?)?$", re.ASCII)


def local_today() -> date:
    """Return the present day in England."""
    return local_date(datetime.now(UTC))


def parse_day(text: str) -> date | None:
    """Return a day written dd/mm/yyyy, yyyy-mm-dd or yyyy-Mon-dd, perhaps with midnight; None when it is none."""
    packed = _MIDNIGHT.sub("", text.strip())
    found = _DAY.fullmatch(packed)
    if found is not None:
        day, month, year = found.groups()
    else:
        found = _ISO.fullmatch(packed)
        if found is None:
            return None
        year, month, day = found.groups()
    if not month.isdigit():
        if month.casefold() not in _MONTHS:
            return None
        month = str(_MONTHS.index(month.casefold()) + 1)
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def parse_clock(text: str) -> time | None:
    """Return a time of day written 8:57, 08:57 or 08:57:30; None when it is none."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    try:
        return time(int(found[1]), int(found[2]), int(found[3] or 0))
    except ValueError:
        return None


def parse_moment(text: str) -> datetime | None:
    """Return a day and time of day, in England where no zone is given; None when it is none."""
    packed = text.strip()
    try:
        if packed[4:5] == "-":
            moment = datetime.fromisoformat(packed)
            return moment.replace(tzinfo=LONDON) if moment.tzinfo is None else moment.astimezone(LONDON)
    except ValueError:
        return None
    day_text, _, clock_text = packed.partition(" ")
    day, clock = parse_day(day_text), parse_clock(clock_text or "00:00")
    return None if day is None or clock is None else datetime.combine(day, clock, LONDON)


def _find(written: Path | None, info: ValidationInfo) -> Path | None:
    """Return the folder, found from that of the agent's file, which is in the validation's context."""
    if written is None:
        return None
    folder = Path((info.context or {}).get("folder", ".")) / written
    if not folder.is_dir():
        raise ValueError("there is no such folder: name the zone's calendars, or leave it out")
    return folder


CalendarFolder = Annotated[Path | None, AfterValidator(_find)]
"""Option of a connector: a folder with calendars, as a zone has them, relative to the agent's file."""


def read_calendars(folder: Path | None) -> Calendars:
    """Return the calendars in *folder*; none when there is no folder.

    Raises:
        SourceError: A calendar in it cannot be used.
    """
    try:
        return Calendars() if folder is None else load_calendars(folder)
    except ConfigurationError as error:
        raise SourceError(f"calendars: {error}") from error


def school_days_on(calendars: Calendars, school: str, day: date, number: int) -> date:
    """Return the day that is *number* days of the school after *day*; working days where no calendar has them."""
    try:
        return calendars.of(school).add(day, number, DayKind.SCHOOL_DAY)
    except CalendarTooShort:
        return calendars.england.add(day, number, DayKind.WORKING_DAY)


def meets(calendars: Calendars, school: str, day: date) -> bool:
    """Tell whether the school meets on *day*; any working day where no calendar says."""
    try:
        return calendars.of(school).is_school_day(day)
    except CalendarTooShort:
        return calendars.england.is_working_day(day)


__all__ = [
    # days as they are written
    "Today",
    "local_today",
    "parse_clock",
    "parse_day",
    "parse_moment",
    # days as they are counted
    "CalendarFolder",
    "meets",
    "read_calendars",
    "school_days_on",
]
