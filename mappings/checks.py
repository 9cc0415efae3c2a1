"""What the schema says of a text: each of its types as a function that gives the text as the schema wants it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, time
from types import MappingProxyType
from typing import Final

import schemas
from mappings.converting import ConvertError, decimal, iso_date, number
from mappings.values import UnusableError

Check = Callable[[str], str]
"""Returns the text that fits. Raises UnusableError."""

_URI: Final = re.compile(r"(?:https?://)?(?:[A-Za-z0-9\-._~/?#@!$&'()*+,;=]|%[0-9A-Fa-f]{2}|:[0-9]+)+")
_REF_ID: Final = re.compile(r"[0-9A-F]{32}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_DATE_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9:.]+)(Z|[+-][0-9]{2}:[0-9]{2})?")
_TIME: Final = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_SHORT_TIME: Final = re.compile(r"[0-9]{2}:[0-9]{2}")
_TRUTH: Final = frozenset({"true", "false", "1", "0"})


def check_of(node: schemas.Node) -> Check | None:
    """Return what makes a text fit the schema's type, or None where any text does.

    Source:
        XML Schema part 2; our own rule where a text that people write can be only one such value.
    """
    if node.codes is not None:
        return _code_check(node.codes)
    if node.refs:
        return _converted("ref-id", _ref_id)
    rule, convert = _BY_TYPE.get(node.type, ("", None))
    return None if convert is None else _converted(rule, convert)


def _code_check(name: str) -> Check | None:
    codes = schemas.codes(name)
    if codes.open:
        return None
    known = frozenset(codes.labels)

    def check(text: str) -> str:
        if text in known or text in codes:
            return text
        message = f"not a code of the list {codes.title!r}: use one of its codes"
        raise UnusableError("code", message, "", codes.nearest(text))

    return check


def _converted(rule: str, convert: Check) -> Check:
    def check(text: str) -> str:
        try:
            return convert(text)
        except ConvertError as error:
            raise UnusableError(rule, str(error), "") from error

    return check


def _count(text: str) -> str:
    whole = number(text)
    if int(whole) >= 1 << 32:
        raise ConvertError("too large a number")
    return whole


def _address(text: str) -> str:
    if not _URI.fullmatch(text):
        raise ConvertError("not a web address: write one such as https://www.example.org")
    return text


def _year(text: str) -> str:
    if not (len(text) == 4 and text.isascii() and text.isdigit()):
        raise ConvertError("not a year of four digits")
    return text


def _ref_id(text: str) -> str:
    folded = text.upper()
    if not _REF_ID.fullmatch(folded):
        raise ConvertError("not a RefId of 32 hexadecimal digits: make it by 'ref'")
    return folded


def _decimal(text: str) -> str:
    return text if _DECIMAL.fullmatch(text) else decimal(text)


def _integer(text: str) -> str:
    return text if _INTEGER.fullmatch(text) else number(text)


def _boolean(text: str) -> str:
    if text.lower() not in _TRUTH:
        raise ConvertError('neither true nor false: convert it, or write codes = { Y = "true", N = "false" }')
    return text.lower()


def _date_time(text: str) -> str:
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ConvertError("not a date and time of the form yyyy-mm-ddThh:mm:ss: correct it")
    written = f"{found[1]}T{_clock(found[2])}{found[3] or ''}"
    try:
        datetime.fromisoformat(written)
    except ValueError:
        raise ConvertError("not a date and time that there is: correct it") from None
    return written


def _clock(text: str) -> str:
    """Return a time of day; one without seconds gets them."""
    written = f"{text}:00" if _SHORT_TIME.fullmatch(text) else text
    if not _TIME.fullmatch(written):
        raise ConvertError("not a time of the form hh:mm:ss: correct it")
    try:
        time.fromisoformat(written)
    except ValueError:
        raise ConvertError("not a time of day that there is: correct it") from None
    return written


_BY_TYPE: Final[Mapping[str, tuple[str, Check]]] = MappingProxyType(
    {
        "xs:date": ("date", iso_date),
        "xs:dateTime": ("date-time", _date_time),
        "xs:time": ("time", _clock),
        "xs:unsignedInt": ("number", _count),
        "xs:nonNegativeInteger": ("number", _count),
        "xs:integer": ("number", _integer),
        "xs:decimal": ("number", _decimal),
        "xs:boolean": ("truth", _boolean),
        "xs:gYear": ("year", _year),
        "xs:anyURI": ("url", _address),
    }
)
