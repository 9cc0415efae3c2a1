"""Numbers and dates of the demo's people: UPNs and ULNs with right check characters, dates that fit a year group."""

import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

SCHOOL_YEAR: Final = 2026
"""The calendar year in which the demo's school year starts."""
TODAY: Final = date(2026, 11, 23)
LAST_FRIDAY: Final = date(2026, 11, 20)
TERM_STARTS: Final = date(SCHOOL_YEAR, 9, 2)
_HALF_TERM: Final = (date(2026, 10, 26), date(2026, 10, 30))

UPN_LETTERS: Final = "ABCDEFGHJKLMNPQRTUVWXYZ"
_UNFOLDED: Final = str.maketrans({"ø": "o", "ł": "l", "Ł": "L", "Ø": "O"})


def upn_letter(rest: str) -> str:
    """Return the check letter of the twelve characters that follow it.

    Source:
        DfE UPN guide: weights 2 to 13, modulo 23; a final letter counts as its place among the 23 letters.
    """
    values = (UPN_LETTERS.index(c) if c.isalpha() else int(c) for c in rest)
    return UPN_LETTERS[sum(weight * value for weight, value in enumerate(values, start=2)) % 23]


def upn(authority: str, establishment: str, year: int, serial: int) -> str:
    """Return the UPN that a school issued in the calendar year *year*."""
    rest = f"{authority}{establishment}{year % 100:02}{serial:03}"
    return upn_letter(rest) + rest


def temporary_upn(authority: str, establishment: str, year: int, serial: int) -> str:
    """Return a UPN for as long as the permanent one is not known: it ends in a letter."""
    rest = f"{authority}{establishment}{year % 100:02}{serial:02}A"
    return upn_letter(rest) + rest


def with_wrong_letter(right: str) -> str:
    """Return a UPN with the letter after the right one, as when somebody misread it."""
    return UPN_LETTERS[(UPN_LETTERS.index(right[0]) + 1) % 23] + right[1:]


def ulns() -> Iterator[str]:
    """Yield unique learner numbers; weights 10 to 2 modulo 11, and those with remainder 0 are never issued."""
    for number in range(999_000_001, 999_999_999):
        remainder = sum(weight * int(c) for weight, c in zip(range(10, 1, -1), str(number), strict=True)) % 11
        if remainder:
            yield f"{number}{10 - remainder}"


def year_of_reception(year_group: str) -> int:
    """Return the calendar year in which children now in *year_group* (R, 1 to 13) started reception."""
    return SCHOOL_YEAR - (0 if year_group == "R" else int(year_group))


def first_birthday_of(year_group: str) -> date:
    """Return the earliest birth date of a year group; the latest is a year later less a day."""
    return date(year_of_reception(year_group) - 5, 9, 1)


def sessions_since(entry: date) -> int:
    """Return the half days of school from *entry*, or the start of term, to last Friday."""
    day = max(entry, TERM_STARTS)
    found = 0
    while day <= LAST_FRIDAY:
        if day.weekday() < 5 and not _HALF_TERM[0] <= day <= _HALF_TERM[1]:
            found += 2
        day += timedelta(days=1)
    return found


def plain(name: str) -> str:
    """Return a name as it looks in an e-mail address: lower case, without accents, blanks and apostrophes."""
    folded = unicodedata.normalize("NFKD", name.translate(_UNFOLDED))
    return "".join(c for c in folded.lower() if c.isascii() and (c.isalnum() or c == "-"))
