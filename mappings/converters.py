"""Converters: small named functions from one text to another, and how a mapping finds them.

A converter is written ``name`` or ``name:argument`` in a mapping. It refuses with ConvertError, whose message never
holds the value. A package adds its own by the entry point group ``sifzone.converters``.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final

from mappings.problems import nearest

Converter = Callable[[str], str]

_UPN: Final = re.compile(r"[A-HJ-NP-RT-Z][0-9]{11}[0-9A-HJ-NP-RT-Z]")
_POSTCODE: Final = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]?[0-9][A-Z]{2}")
_PHONE: Final = re.compile(r"[+]?[0-9]{3,20}")
_PHONE_FILLING: Final = re.compile(r"[\s().\-/]|\(0\)")
_SCHOOL_YEAR: Final = re.compile(r"(\d{4})\s*[/\-\u2013]\s*(\d{2}|\d{4})")
_YES: Final = frozenset({"y", "yes", "true", "t", "1"})
_NO: Final = frozenset({"n", "no", "false", "f", "0"})
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class ConvertError(ValueError):
    """A value is not what the converter reads; the message says what is expected, never the value."""


class UnknownConverterError(ValueError):
    """A mapping names a converter that is not there, or gives it an argument that it cannot use."""

    def __init__(self, message: str, near: str | None = None) -> None:
        self.nearest = near
        super().__init__(message)


def iso_date(value: str) -> str:
    """Return a date ``yyyy-mm-dd``; a time after it is cut off."""
    try:
        return date.fromisoformat(value[:10] if value[10:11] in ("T", " ") else value).isoformat()
    except ValueError as error:
        raise ConvertError("not a date of the form yyyy-mm-dd: correct the date") from error


def date_by(pattern: str) -> Converter:
    """Return a converter from dates written as *pattern* (as in strptime); ISO dates are read too."""
    if "%" not in pattern:
        raise UnknownConverterError("date needs a pattern such as date:%d/%m/%Y")
    try:
        datetime.strptime(date(2026, 11, 23).strftime(pattern), pattern)  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise UnknownConverterError("this date pattern cannot be read back: write one such as date:%d/%m/%Y") from error
    shown = pattern.replace("%d", "dd").replace("%m", "mm").replace("%Y", "yyyy").replace("%y", "yy")

    @lru_cache(maxsize=4096)
    def convert(value: str) -> str:
        try:
            return datetime.strptime(value, pattern).date().isoformat()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            try:
                return iso_date(value)
            except ConvertError as error:
                raise ConvertError(f"not a date of the form {shown}: correct the date") from error

    return convert


def next_day(value: str) -> str:
    """Return the day after an ISO date: a last day becomes an exclusive end."""
    return (date.fromisoformat(iso_date(value)) + timedelta(days=1)).isoformat()


def yes_no(value: str) -> str:
    """Return ``Yes`` or ``No`` for the usual spellings of either."""
    folded = value.strip().casefold()
    if folded in _YES:
        return "Yes"
    if folded in _NO:
        return "No"
    raise ConvertError("neither yes nor no: write Y or N")


def upn(value: str) -> str:
    """Return a UPN in capitals without blanks; its form is looked at, its check letter is the zone's affair."""
    return _matching(_UPN, value, "not of the form of a UPN (a letter, 11 digits, a digit or letter): correct the UPN")


def uln(value: str) -> str:
    """Return a ULN without blanks."""
    return _matching(re.compile(r"[1-9][0-9]{9}"), value, "not a ULN (ten digits, the first not 0): correct the ULN")


def postcode(value: str) -> str:
    """Return a UK postcode in capitals with one blank before its last three characters; others (abroad) as they are."""
    packed = "".join(value.split()).upper()
    return f"{packed[:-3]} {packed[-3:]}" if _POSTCODE.fullmatch(packed) else value.upper()


def phone(value: str) -> str:
    """Return a telephone number as digits, with a leading plus where there was one."""
    return _matching(
        _PHONE, _PHONE_FILLING.sub("", value), "not a telephone number: leave only the number in this field"
    )


def email(value: str) -> str:
    """Return an e-mail address; its form is looked at only roughly."""
    if not _EMAIL.fullmatch(value):
        raise ConvertError("not an e-mail address: correct it")
    return value


def number(value: str) -> str:
    """Return a whole number without leading zeros, blanks or thousands separators."""
    packed = value.replace(",", "").replace(" ", "")
    if not (packed.isascii() and packed.isdigit()):
        raise ConvertError("not a whole number: write digits only")
    if len(packed) > 18:
        raise ConvertError("too large a number")
    return str(int(packed))


def between(limits: str) -> Converter:
    """Return a converter of whole numbers that refuses those outside *limits*, written ``1-10``."""
    found = re.fullmatch(r"(\d{1,9})-(\d{1,9})", limits, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise UnknownConverterError("between needs a smallest and a largest number: write between:1-10")
    smallest, largest = int(found[1]), int(found[2])

    def convert(value: str) -> str:
        whole = number(value)
        if not smallest <= int(whole) <= largest:
            raise ConvertError(f"not a number from {smallest} to {largest}")
        return whole

    return convert


def digits(value: str) -> str:
    """Return the digits of a value, leading zeros kept."""
    found = "".join(character for character in value if character in "0123456789")
    if not found:
        raise ConvertError("no digits in it: write a number")
    return found


def year_end(value: str) -> str:
    """Return the year in which a school year ends from the year in which it starts (2026 gives 2027)."""
    return f"{_year(value) + 1:04}"


def year_before(value: str) -> str:
    """Return the year before: where a school year starts, from the year in which it ends."""
    return f"{_year(value) - 1:04}"


def _year(value: str) -> int:
    if not (len(value) == 4 and value.isascii() and value.isdigit() and "0001" <= value <= "9998"):
        raise ConvertError("not a year of four digits")
    return int(value)


def school_year(value: str) -> str:
    """Return the year in which a school year ends, from both years (``2026/2027``, ``2026/27``)."""
    found = _SCHOOL_YEAR.fullmatch(value.strip())
    if (
        found is None
        or int(found[2]) % 100 != (int(found[1]) + 1) % 100
        or (len(found[2]) == 4 and int(found[2]) != int(found[1]) + 1)
    ):
        raise ConvertError("not a school year of the form 2026/2027: write both years")
    return f"{int(found[1]) + 1:04}"


def nc_year(value: str) -> str:
    """Return a year group code: ``Year 9``, ``Y9`` and ``09`` become ``9``, ``Reception`` becomes ``R``."""
    packed = re.sub(r"^(year|yr|y)\s*", "", value.strip(), flags=re.IGNORECASE).upper()
    if packed in ("0", "RECEPTION", "REC"):
        return "R"
    return packed.lstrip("0") if packed.isdigit() else packed


def _matching(pattern: re.Pattern[str], value: str, message: str) -> str:
    packed = "".join(value.split()).upper()
    if not pattern.fullmatch(packed):
        raise ConvertError(message)
    return packed


def _prefix(text: str) -> Converter:
    return lambda value: text + value


def _suffix(text: str) -> Converter:
    return lambda value: value + text


_PLAIN: Final[Mapping[str, Converter]] = MappingProxyType(
    {
        "collapse": lambda value: " ".join(value.split()),
        "digits": digits,
        "email": email,
        "iso-date": iso_date,
        "lower": str.lower,
        "nc-year": nc_year,
        "next-day": next_day,
        "number": number,
        "phone": phone,
        "postcode": postcode,
        "school-year": school_year,
        "strip": str.strip,
        "title": str.title,
        "uln": uln,
        "upn": upn,
        "upper": str.upper,
        "year-before": year_before,
        "year-end": year_end,
        "yes-no": yes_no,
    }
)
_WITH_ARGUMENT: Final[Mapping[str, Callable[[str], Converter]]] = MappingProxyType(
    {"between": between, "date": date_by, "prefix": _prefix, "suffix": _suffix}
)


@cache
def _added() -> Mapping[str, Converter]:
    """Converters of other packages; a built-in name cannot be replaced."""
    return {entry.name: entry.load() for entry in entry_points(group="sifzone.converters")}


def converter_names() -> tuple[str, ...]:
    """Return the names that a mapping may use, sorted; those that need an argument end in a colon."""
    return tuple(sorted({*_PLAIN, *_added(), *(f"{name}:" for name in _WITH_ARGUMENT)}))


def converter(spelt: str) -> Converter:
    """Return the converter that a mapping spells ``name`` or ``name:argument``.

    Raises:
        UnknownConverterError: There is none of this name, or its argument is missing, wrong or too much.
    """
    name, colon, argument = spelt.partition(":")
    if name in _WITH_ARGUMENT:
        if not argument:
            raise UnknownConverterError(f"converter {name!r} needs an argument: write {name}:...")
        return _WITH_ARGUMENT[name](argument)
    found = _PLAIN.get(name) or _added().get(name)
    if found is None:
        near = nearest(name, [*_PLAIN, *_WITH_ARGUMENT, *_added()])
        raise UnknownConverterError(f"there is no converter {name!r}", near)
    if colon:
        raise UnknownConverterError(f"converter {name!r} takes no argument: write {name}")
    return found
