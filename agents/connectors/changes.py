"""How far a feed was read, by a value of each record that grows: the greatest seen, and from where to read again.

*timestamp*: when a record was last written. Records become visible later than they are stamped, so that those from an
overlap before the greatest time come again; what takes longer than that to become visible may be missed. *version*: a
whole number that only grows over all records; those of some numbers below the greatest come again, for the same reason.
Nothing is heard of records that are deleted, so that from time to time all are read.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.connectors.contract import SourceError
from broker.protocol.durations import Duration

_FUTURE: Final = timedelta(days=1)
"""A time further ahead than this is a slip: were it remembered, all that is written until then would be missed."""
_LONGEST: Final = 100
_VERSIONS: Final = (int, Decimal, bytes)
_TIMES: Final = (datetime, date, str)
_KINDS: Final[Mapping[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]]] = MappingProxyType(
    {
        "int": (int, str, int),
        "decimal": (Decimal, str, Decimal),
        "bytes": (bytes, bytes.hex, bytes.fromhex),
        "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
        "date": (date, date.isoformat, date.fromisoformat),
        "text": (str, str, str),
    }
)
"""Kinds of value, a datetime before the date that it also is; times as text are compared as times."""


class _Growing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    whole: Duration = Field(
        default=timedelta(days=1),
        description="Time after which all is read again, so that what was deleted is noticed.",
    )


class GrowingVersion(_Growing):
    """A whole number that grows; what it is called is added by whoever reads it."""

    kind: Literal["version"] = Field(default="version", description="A number that grows with each change.")
    again: int = Field(default=1000, ge=0, description="Numbers below the greatest that are read again.")


class GrowingTime(_Growing):
    """The time of the last change; what it is called is added by whoever reads it."""

    kind: Literal["timestamp"] = Field(description="The time of the last change.")
    overlap: Duration = Field(
        default=timedelta(minutes=10), description="Time before the greatest from which is read again."
    )


@dataclass(slots=True)
class Greatest:
    """The greatest value, from one reading to the next.

    Attributes:
        name: What the value is called at its source.
        whole_at: When all was read, this time or before; UTC.
        lower: The value from which is read; None for all.
        ahead: Records whose time is still to come; they do not count.
    """

    name: str
    growing: GrowingVersion | GrowingTime
    whole_at: datetime
    lower: Any = None
    value: Any = None
    ahead: int = 0

    @classmethod
    def after(
        cls, name: str, growing: GrowingVersion | GrowingTime, kept: str, now: datetime | None = None
    ) -> "Greatest":
        """Return where to begin: after what was *kept*; at the start when that is empty, too old or not one of ours."""
        present = now or datetime.now(UTC)
        whole_at, value = _parse(kept)
        if value is None or whole_at is None or not whole_at <= present < whole_at + growing.whole:
            return cls(name, growing, present)
        lower = _lower(growing, value)
        return cls(name, growing, present) if lower is None else cls(name, growing, whole_at, lower, value)

    @property
    def is_whole(self) -> bool:
        """Whether all is read this time."""
        return self.lower is None

    @property
    def kept(self) -> str:
        """What to keep until the next reading; empty when there was no value yet."""
        if self.value is None:
            return ""
        kind, write = next((kind, write) for kind, (made, write, _) in _KINDS.items() if isinstance(self.value, made))
        return f"{self.whole_at.isoformat(timespec='seconds')} {kind}:{write(self.value)}"

    def add(self, value: Any) -> None:
        """Take the value of a record; None counts for nothing.

        Raises:
            SourceError: It is none that can be compared with the others; without it.
        """
        if value is None:
            return
        if isinstance(value, memoryview | bytearray):
            value = bytes(value)
        try:
            order = _order(self.growing, value)
            if isinstance(order, datetime) and order > datetime.now(UTC) + _FUTURE:
                self.ahead += 1
            elif self.value is None or order > _order(self.growing, self.value):
                self.value = value
        except (TypeError, ValueError):
            raise SourceError(
                f"{self.name!r} holds a value that is no {self.growing.kind}, or of several kinds: name another, or "
                "read all each time"
            ) from None


def _order(growing: GrowingVersion | GrowingTime, value: Any) -> Any:
    """Return what is compared: a number, bytes, or a time with its zone, UTC where it does not say.

    Raises:
        TypeError: A value of another kind.
        ValueError: Text that is no time, or too long.
    """
    if not isinstance(value, _VERSIONS if growing.kind == "version" else _TIMES):
        raise TypeError
    if not isinstance(value, str | date):
        return value
    if isinstance(value, str) and len(value) > _LONGEST:
        raise ValueError
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _lower(growing: GrowingVersion | GrowingTime, value: Any) -> Any:
    """Return the value from which is read again, in its own kind; None, for all, when it is of the other kind."""
    try:
        _order(growing, value)
        if isinstance(growing, GrowingTime):
            return _earlier(value, growing.overlap)
        if isinstance(value, bytes):
            return max(int.from_bytes(value) - growing.again, 0).to_bytes(len(value))
        return value - growing.again
    except (OverflowError, TypeError, ValueError):
        return None


def _earlier(value: str | date, overlap: timedelta) -> str | date:
    if isinstance(value, datetime):
        return value - overlap
    if isinstance(value, date):
        return value - timedelta(days=math.ceil(overlap / timedelta(days=1)))
    # As it was written, since text may be compared sign by sign where it goes.
    if len(value) == len("2026-11-30"):
        return str(_earlier(date.fromisoformat(value), overlap))
    precision = "auto" if "." in value else "seconds"
    lower = (datetime.fromisoformat(value) - overlap).isoformat(sep=value[10], timespec=precision)
    return lower.removesuffix("+00:00") + "Z" if value.endswith(("Z", "z")) else lower


def _parse(kept: str) -> tuple[datetime | None, Any]:
    """Return when all was read, and the value; None where it is not one of ours."""
    at, _, rest = kept.partition(" ")
    kind, _, written = rest.partition(":")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), _KINDS[kind][2](written)
    except (KeyError, ValueError, ArithmeticError):
        return None, None


__all__ = ["Greatest", "GrowingTime", "GrowingVersion"]
