"""Dates as exports write them, by a pattern; English month names whatever the computer's language, unlike strptime."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_OF: Final[Mapping[str, int]] = MappingProxyType(
    {spelt.casefold(): number for number, name in enumerate(_MONTHS, start=1) for spelt in (name, name[:3])}
    | {"sept": 9}
)
_DIRECTIVE: Final = re.compile(r"%(.?)")
_READ: Final[Mapping[str, str]] = MappingProxyType(
    {
        "d": r"(?P<d>3[01]|[12][0-9]|0?[1-9])",
        "m": r"(?P<m>1[0-2]|0?[1-9])",
        "Y": r"(?P<Y>[0-9]{4})",
        "y": r"(?P<y>[0-9]{2})",
        "B": f"(?P<B>{'|'.join(_MONTHS)})",
        "b": f"(?P<b>{'|'.join(name[:3] for name in _MONTHS).replace('Sep', 'Sept?')})",
        "A": f"(?:{'|'.join(_DAYS)})",
        "a": f"(?:{'|'.join(name[:3] for name in _DAYS)})",
        "H": r"(?:2[0-3]|[01]?[0-9])",
        "M": r"(?:[0-5]?[0-9])",
        "S": r"(?:[0-5]?[0-9])",
        "%": "%",
    }
)
_TWO_DIGITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "d": r"(?P<d>3[01]|[12][0-9]|0[1-9])",
        "m": r"(?P<m>1[0-2]|0[1-9])",
        "H": r"(?:2[0-3]|[01][0-9])",
        "M": r"(?:[0-5][0-9])",
        "S": r"(?:[0-5][0-9])",
    }
)
"""Where digits stand side by side: 1112014 may be the 1st of November or the 11th of January."""
_DIGITS: Final = frozenset("dmyYHMS")
_TIME: Final = r"(?:[T\s]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)?"
"""What may follow a date, and is not looked at."""
_WRITE: Final[Mapping[str, Callable[[date], str]]] = MappingProxyType(
    {
        "d": lambda day: f"{day.day:02}",
        "m": lambda day: f"{day.month:02}",
        "Y": lambda day: f"{day.year:04}",
        "y": lambda day: f"{day.year % 100:02}",
        "B": lambda day: _MONTHS[day.month - 1],
        "b": lambda day: _MONTHS[day.month - 1][:3],
        "A": lambda day: _DAYS[day.weekday()],
        "a": lambda day: _DAYS[day.weekday()][:3],
        "H": lambda _day: "00",
        "M": lambda _day: "00",
        "S": lambda _day: "00",
        "%": lambda _day: "%",
    }
)
_SHOWN: Final[Mapping[str, str]] = MappingProxyType(
    {"d": "dd", "m": "mm", "Y": "yyyy", "y": "yy", "B": "month", "b": "mon", "A": "day", "a": "day", "%": "%"}
    | {"H": "hh", "M": "mm", "S": "ss"}
)
_CENTURY_TURNS: Final = 40  # people at school are born from 1940 on; strptime's 69 would make staff of children to be


class DatePatternError(ValueError):
    """A pattern from which no date can be read; the message says what to write."""


@dataclass(frozen=True, slots=True)
class DatePattern:
    """A pattern of dates such as ``%d/%m/%Y`` or ``%d %B %Y``.

    Attributes:
        shown: The pattern as a person would write it: ``dd/mm/yyyy``.
    """

    shown: str
    _read: re.Pattern[str]
    _parts: tuple[str | Callable[[date], str], ...]

    @classmethod
    def of(cls, pattern: str) -> "DatePattern":
        """Return the pattern.

        Raises:
            DatePatternError: It names a directive that is not known, or no day, month and year, or one of them twice.
        """
        found = _DIRECTIVE.findall(pattern)
        unknown = [letter for letter in found if letter not in _READ]
        if not found or unknown:
            raise DatePatternError(
                f"date needs a pattern such as date:%d/%m/%Y, of %{', %'.join(sorted(set(_READ) - {'%'}))}"
            )
        named = sorted(letter.casefold() for letter in found if letter in "dmYyBb")
        if named not in (["d", "m", "y"], ["b", "d", "y"]):
            raise DatePatternError("a date pattern has one day, one month and one year: write date:%d/%m/%Y")
        texts = _DIRECTIVE.split(pattern)  # plain text and directives in turn
        read, shown = "", ""
        parts: list[str | Callable[[date], str]] = []
        for index, text in enumerate(texts):
            plain = index % 2 == 0
            read += re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(text)) if plain else _reading(texts, index)
            shown += text if plain else _SHOWN[text]
            parts.append(text if plain else _WRITE[text])
        if not {"H", "M", "S"}.intersection(found):
            read += _TIME
        return cls(shown, re.compile(read, re.IGNORECASE | re.ASCII), tuple(parts))

    def read(self, text: str) -> date | None:
        """Return the date, or None when the text is not of this pattern or there is no such day.

        Days and months may be written with one digit, unless another number follows or goes before at once. A time
        behind the date is passed over.
        """
        found = self._read.fullmatch(text)
        if found is None:
            return None
        values = found.groupdict()
        month = values.get("m")
        name = values.get("B") or values.get("b")
        try:
            return date(_year(values), int(month) if month else _MONTH_OF[str(name).casefold()], int(values["d"]))
        except ValueError:
            return None

    def write(self, day: date) -> str:
        """Return the date in this pattern; the time of day is midnight."""
        return "".join(part if isinstance(part, str) else part(day) for part in self._parts)


def _reading(texts: list[str], index: int) -> str:
    """Return the expression for the directive at a place of plain texts and directives in turn."""
    letter = texts[index]
    before = index > 1 and not texts[index - 1] and texts[index - 2] in _DIGITS
    after = index + 2 < len(texts) and not texts[index + 1] and texts[index + 2] in _DIGITS
    return _TWO_DIGITS.get(letter, _READ[letter]) if before or after else _READ[letter]


def _year(values: dict[str, str]) -> int:
    if "Y" in values:
        return int(values["Y"])
    short = int(values["y"])
    return short + (1900 if short >= _CENTURY_TURNS else 2000)
