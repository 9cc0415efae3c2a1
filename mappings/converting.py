"""The converters of mappings: small functions from one text to another, and what undoes them.

Each refuses with ConvertError, whose message never holds the value. How a mapping finds them by name is in
``mappings.converters``.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import re2

from mappings.dates import DatePattern, DatePatternError
from mappings.lookup import LookupFileError, read_lookup

Converter = Callable[[str], str]

_UPN: Final = re.compile(r"[A-HJ-NP-RT-Z][0-9]{11}[0-9A-HJ-NP-RT-Z]")
_POSTCODE: Final = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]?[0-9][A-Z]{2}")
_PHONE: Final = re.compile(r"[+]?[0-9]{3,15}")
_PHONE_FILLING: Final = re.compile(r"[\s().\-/]")
_LONGEST_AREA: Final = 6
_SCHOOL_YEAR: Final = re.compile(r"(\d{4})\s*[/\-\u2013]\s*(\d{2}|\d{4})")
_YES: Final = frozenset({"y", "yes", "true", "t", "1"})
_NO: Final = frozenset({"n", "no", "false", "f", "0"})
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_ULN: Final = re.compile(r"[1-9][0-9]{9}")
_SERIAL: Final = re.compile(r"([0-9]{1,7})(?:\.[0-9]{1,20})?")
_LAST_SERIAL: Final = 2_958_465  # 9999-12-31
_NO_DAY: Final = 60
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?)?"
)
_WHOLE: Final = re.compile(r"[0-9]+|[0-9]{1,3}(?:[, ][0-9]{3})+")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.[0-9]{1,9})?")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
# A letter at the beginning, after Mc, or after an apostrophe behind one letter (O'Neill, but King's).
_CAPITAL: Final = re.compile(r"^((?:mc|[^\W\d_]['\u2019])?)([^\W\d_])")
_MAX_PATTERN: Final = 500
_MAX_PATTERN_BYTES: Final = 1 << 20


class ConvertError(ValueError):
    """A value is not what the converter reads; the message says what is expected, never the value."""


class UnknownConverterError(ValueError):
    """A mapping names a converter that is not there, or gives it an argument that it cannot use."""

    def __init__(self, message: str, near: str | None = None) -> None:
        self.nearest = near
        super().__init__(message)


def iso_date(value: str) -> str:
    """Return a date ``yyyy-mm-dd``; a time after it is cut off."""
    found = _ISO.fullmatch(value)
    try:
        return date.fromisoformat(found[1] if found is not None else "").isoformat()
    except ValueError as error:
        raise ConvertError("not a date of the form yyyy-mm-dd: correct the date") from error


def date_by(pattern: str) -> Converter:
    """Return a converter from dates written as *pattern*, such as ``%d/%m/%Y``; ISO dates are read too.

    Month names are English whatever the computer's language; see ``mappings.dates``.
    """
    dates = _date_pattern(pattern)

    @lru_cache(maxsize=4096)
    def convert(value: str) -> str:
        found = dates.read(value)
        if found is not None:
            return found.isoformat()
        try:
            return iso_date(value)
        except ConvertError as error:
            raise ConvertError(f"not a date of the form {dates.shown}: correct the date") from error

    return convert


def undo_date(pattern: str) -> Converter:
    """Return what writes an ISO date by *pattern*, or leaves it as it is where that would be read as another day."""
    dates = _date_pattern(pattern)

    def undo(value: str) -> str:
        day = date.fromisoformat(iso_date(value))
        written = dates.write(day)
        return written if dates.read(written) == day else value  # a year of two digits may mean another century

    return undo


def _date_pattern(pattern: str) -> DatePattern:
    try:
        return DatePattern.of(pattern)
    except DatePatternError as error:
        raise UnknownConverterError(str(error)) from error


def excel_date(value: str) -> str:
    """Return the ISO date of a spreadsheet's serial number (46349 is 2026-11-23); ISO dates are read too.

    A time of day, the part behind the point, is cut off.

    Source:
        The 1900 date system of Excel, ECMA-376 part 1, 18.17.4.1: it counts a 29 February 1900, which is refused.
    """
    found = _SERIAL.fullmatch(value)
    if found is None:
        try:
            return iso_date(value)
        except ConvertError as error:
            raise ConvertError("not the number of a day as spreadsheets count them: correct the date") from error
    days = int(found[1])
    if not 1 <= days <= _LAST_SERIAL or days == _NO_DAY:
        raise ConvertError("not the number of a day as spreadsheets count them: correct the date")
    return (date(1899, 12, 30 if days > _NO_DAY else 31) + timedelta(days=days)).isoformat()


def next_day(value: str) -> str:
    """Return the day after an ISO date: a last day becomes an exclusive end."""
    return _moved(value, 1)


def day_before(value: str) -> str:
    """Return the day before an ISO date."""
    return _moved(value, -1)


def _moved(value: str, days: int) -> str:
    try:
        return (date.fromisoformat(iso_date(value)) + timedelta(days=days)).isoformat()
    except OverflowError as error:
        raise ConvertError("a date outside the calendar: correct the date") from error


def yes_no(value: str) -> str:
    """Return ``Yes`` or ``No`` for the usual spellings of either."""
    folded = value.strip().casefold()
    if folded in _YES:
        return "Yes"
    if folded in _NO:
        return "No"
    raise ConvertError("neither yes nor no: write Y or N")


def undo_yes_no(value: str) -> str:
    """Return ``Y`` or ``N``; anything else as it is."""
    return {"Yes": "Y", "No": "N"}.get(value, value)


def upn(value: str) -> str:
    """Return a UPN in capitals without blanks; its form is looked at, its check letter is the zone's affair."""
    return _matching(_UPN, value, "not of the form of a UPN (a letter, 11 digits, a digit or letter): correct the UPN")


def uln(value: str) -> str:
    """Return a ULN without blanks."""
    return _matching(_ULN, value, "not a ULN (ten digits, the first not 0): correct the ULN")


def postcode(value: str) -> str:
    """Return a UK postcode in capitals with one blank before its last three characters; others (abroad) as they are."""
    packed = "".join(value.split()).upper()
    return f"{packed[:-3]} {packed[-3:]}" if _POSTCODE.fullmatch(packed) else value.upper()


def phone(value: str) -> str:
    """Return a telephone number as digits, with a leading plus where there was one.

    The ``(0)`` of ``+44 (0)1632 ...`` is left out. A stroke may stand behind the area code, not between two numbers.

    Source:
        ITU-T E.164: 15 digits at most.
    """
    whole = value.replace("(0)", "", 1) if value.startswith(("+", "00")) else value
    area, stroke, _ = whole.partition("/")
    several = stroke and sum(map(str.isdigit, area)) > _LONGEST_AREA
    packed = "" if several else _PHONE_FILLING.sub("", whole)
    return _matching(_PHONE, packed, "not a telephone number: leave only the number in this field")


def email(value: str) -> str:
    """Return an e-mail address; its form is looked at only roughly."""
    if not _EMAIL.fullmatch(value):
        raise ConvertError("not an e-mail address: correct it")
    return value


def number(value: str) -> str:
    """Return a whole number without leading zeros, blanks or thousands separators."""
    if not _WHOLE.fullmatch(value):
        raise ConvertError("not a whole number: write digits only")
    packed = value.replace(",", "").replace(" ", "")
    if len(packed) > 18:
        raise ConvertError("too large a number")
    return str(int(packed))


def decimal(value: str) -> str:
    """Return a number with a decimal point, without thousands separators and needless zeros: ``1,204.50`` is 1204.5."""
    return _written(_decimal(value).normalize())


def decimal_to(places: str) -> Converter:
    """Return a converter of numbers to so many decimal places, from 0 to 9; halves are rounded away from zero."""
    if not (len(places) == 1 and "0" <= places <= "9"):
        raise UnknownConverterError("decimal needs a number of places from 0 to 9: write decimal:2")
    unit = Decimal(1).scaleb(-int(places))
    return lambda value: _written(_decimal(value).quantize(unit, ROUND_HALF_UP))


def _decimal(value: str) -> Decimal:
    if not _DECIMAL.fullmatch(value):
        raise ConvertError("not a number with a decimal point: write one such as 1204.5")
    return Decimal(value.replace(",", ""))


def _written(found: Decimal) -> str:
    return f"{found:f}" if found else f"{abs(found):f}"  # no minus before a zero


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


def undo_school_year(value: str) -> str:
    """Return both years from the year in which a school year ends: ``2026/2027``."""
    return f"{_year(value) - 1:04}/{value}"


def nc_year(value: str) -> str:
    """Return a year group code: ``Year 9``, ``Y9`` and ``09`` become ``9``, ``Reception`` becomes ``R``."""
    packed = re.sub(r"^(year|yr|y)\s*", "", value.strip(), flags=re.IGNORECASE).upper()
    if packed in ("0", "RECEPTION", "REC"):
        return "R"
    return packed.lstrip("0") or "R" if packed.isdigit() else packed


def _matching(pattern: re.Pattern[str], value: str, message: str) -> str:
    packed = "".join(value.split()).upper()
    if not pattern.fullmatch(packed):
        raise ConvertError(message)
    return packed


def title(value: str) -> str:
    """Return names with capitals: ``O'NEILL-MCKAY`` becomes ``O'Neill-McKay``.

    A word that has capitals and small letters already (``MacLeod``) is somebody's choice and stays.
    """
    return _WORD.sub(_titled, value)


def _titled(word: re.Match[str]) -> str:
    text = word[0]
    if not (text.isupper() or text.islower()):
        return text
    return _CAPITAL.sub(lambda found: found[1].title() + found[2].title(), text.lower())


def sentence(value: str) -> str:
    """Return a text with a capital at its beginning and small letters after it."""
    return value[:1].title() + value[1:].lower()


def split(argument: str) -> Converter:
    """Return a converter to one part of a text: ``split:,:2`` is what stands behind the first comma, without blanks.

    A number below zero counts from the end. A text with too few parts gives none.
    """
    separator, _, spelt = argument.rpartition(":")
    if not separator or not re.fullmatch(r"-?[1-9][0-9]?", spelt, re.ASCII):
        raise UnknownConverterError("split needs a separator and the number of a part, from 1: write split:,:2")
    index = int(spelt) - 1 if int(spelt) > 0 else int(spelt)

    def convert(value: str) -> str:
        parts = value.split(separator)
        return parts[index].strip() if -len(parts) <= index < len(parts) else ""

    return convert


def match(pattern: str) -> Converter:
    """Return a converter to what a regular expression finds: its first group, or the whole where it has none.

    Source:
        RE2 syntax: the time is linear in the text whatever the expression, so no mapping file can stall an agent.
    """
    if len(pattern) > _MAX_PATTERN:
        raise UnknownConverterError(f"a pattern of more than {_MAX_PATTERN} characters: write a shorter one")
    try:
        compiled = re2.compile(pattern, _re2_options())
    except re2.error as error:
        raise UnknownConverterError(f"not a regular expression of RE2: {_reason(error)}") from error
    group = 1 if compiled.groups else 0

    def convert(value: str) -> str:
        found = compiled.search(value)
        if found is None:
            raise ConvertError("not of the form that the mapping expects: correct it")
        return found[group] or ""

    return convert


def _re2_options() -> Any:
    options = re2.Options()
    options.max_mem, options.log_errors = _MAX_PATTERN_BYTES, False
    return options


def _reason(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def lookup(argument: str, folder: Path | None) -> tuple[Converter, Converter]:
    """Return the converter by a side file, and what undoes it."""
    if folder is None:
        raise UnknownConverterError("lookup reads a file beside the mapping, and this mapping is in no folder")
    try:
        table = read_lookup(argument, folder)
    except LookupFileError as error:
        raise UnknownConverterError(str(error), error.nearest) from error

    def convert(value: str) -> str:
        found = table.find(value)
        if found is None:
            raise ConvertError(f"not in the list {table.file!r}: correct it, or add it to that file")
        return found

    def undo(value: str) -> str:
        found = table.back(value)
        if found is None:
            raise ConvertError(f"no row of the list {table.file!r} gives it: add it to that file")
        return found

    return convert, undo


def prefix(text: str) -> Converter:
    """Return a converter that puts a text before a value."""
    return lambda value: text + value


def suffix(text: str) -> Converter:
    """Return a converter that puts a text behind a value."""
    return lambda value: value + text


def undo_prefix(text: str) -> Converter:
    """Return what takes a text away from the beginning of a value that has it."""

    def undo(value: str) -> str:
        if not value.startswith(text) or value == text:
            raise ConvertError(f"does not begin with {text!r}")
        return value.removeprefix(text)

    return undo


def undo_suffix(text: str) -> Converter:
    """Return what takes a text away from the end of a value that has it."""

    def undo(value: str) -> str:
        if not value.endswith(text) or value == text:
            raise ConvertError(f"does not end with {text!r}")
        return value.removesuffix(text)

    return undo


def same(value: str) -> str:
    """Return a value as it is."""
    return value


def collapse(value: str) -> str:
    """Return a text with single blanks."""
    return " ".join(value.split())
