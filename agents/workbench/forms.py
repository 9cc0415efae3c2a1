"""What values look like: whether a column's values fit a target, and what turns them into it; headings are for others.

Values are looked at in memory and never named: what is told of them is a share, a converter, a code table or a shape.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Final

from stdnum.gb.upn import calc_check_digit

import schemas
from agents.workbench.masks import printable
from mappings import Converter, ConvertError, converter_names
from mappings.converters import converter
from mappings.loader import LIBRARY

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
LOOKED_AT: Final = 300
"""Most different values of a column that are tried."""
MOST: Final = 0.9
"""Share of values that has to fit, for a code table or a form to be believed."""
_WHOLE_LIST: Final = 20
"""Codes of a list that is written out whole; of a longer one only the codes that the sample has."""
_LONGEST: Final = 200
"""Characters of a value that are looked at."""
_DATES: Final = (
    "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%d/%m/%y", "%d-%m-%y", "%d-%b-%y",
    "%Y/%m/%d", "%Y%m%d", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y",
)  # fmt: skip
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?")
_POSTCODE: Final = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}", re.IGNORECASE)
_TITLES: Final = frozenset(
    ("mr", "mrs", "miss", "ms", "mx", "dr", "rev", "revd", "reverend", "prof", "professor", "sir", "lady", "fr", "sr")
)
_SERIALS: Final = range(18_000, 65_000)
"""Excel's numbers of the days from 1949 to 2077."""
_ULN_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a column's values fit a target.

    Attributes:
        share: Of the values, from 0 to 1; None when nothing can be said: there are none, or any text will do.
        convert: The converter that makes them fit; empty when none is needed.
        table: Name of the code table of the library that makes them fit, or empty.
        codes: Source codes to the target's, where no code table of the library has them.
        certain: Whether such values can hardly be anything else.
    """

    share: float | None = None
    convert: str = ""
    table: str = ""
    codes: Mapping[str, str] = field(default_factory=lambda: _NONE)
    certain: bool = False


_OWN_CONVERTER: Final = frozenset({"email", "phone", "postcode", "uln", "upn", "yes-no"})
"""Forms whose converter is called as they are."""
ANY: Final = Fit()
"""Of a target that takes any text."""


def fit_of(counts: Mapping[str, int], form: str, code_list: str | None = None) -> Fit:
    """Return how values fit a form or a code list of the schemas.

    Args:
        counts: The values, with how often each is there.
        form: Name of a form of FORMS, or empty.
        code_list: The code list, where the target has one.
    """
    values = {value[:_LONGEST]: count for value, count in islice(counts.items(), LOOKED_AT)}
    if code_list is not None and form not in FORMS:
        return _coded(values, code_list)
    look = FORMS.get(form)
    if look is None:
        return ANY
    return look(values) if values else Fit(convert=form if form in _OWN_CONVERTER else "")


def form_of(node: schemas.Node) -> str:
    """Return the form of what the schema says of a target; empty where any text will do, or a code list says it."""
    if node.codes is not None:
        return "yes-no" if node.codes == "YesNo" else ""
    return _BY_TYPE.get(node.type, "")


def shape(counts: Mapping[str, int]) -> str:
    """Return what most values look like, as ``A999999999999`` or ``99/99/9999``: each letter and digit is masked."""
    shapes: dict[str, int] = {}
    for value, count in islice(counts.items(), LOOKED_AT):
        masked = _masked(value)
        shapes[masked] = shapes.get(masked, 0) + count
    return max(shapes, key=lambda masked: shapes[masked]) if shapes else ""


def _masked(value: str) -> str:
    """Return a value with its letters and digits masked; small letters stand for several, so that no length is told."""
    masked = "".join(_mask(character) for character in printable(value[:60]))
    short = re.sub("a+", "a", masked)
    return short if len(short) <= 24 else short[:23] + "…"


def _mask(character: str) -> str:
    if character.isdigit():
        return "9"
    if not character.isalpha():
        return character
    return "A" if character.isupper() else "a"


def _share(values: Mapping[str, int], fits: Callable[[str], bool]) -> float:
    total = sum(values.values())
    return sum(count for value, count in values.items() if fits(value)) / total if total else 0.0


def _converts(convert: Converter) -> Callable[[str], bool]:
    def fits(value: str) -> bool:
        try:
            convert(value)
        except ConvertError:
            return False
        return True

    return fits


def _by_converter(name: str, fits: Callable[[str], bool] | None = None, *, certain: bool = False) -> "_Look":
    def look(values: Mapping[str, int]) -> Fit:
        share = _share(values, fits or _converts(converter(name)))
        return Fit(share, name, certain=certain and share >= MOST)

    return look


def _by_test(fits: Callable[[str], bool], *, certain: bool = False) -> "_Look":
    def look(values: Mapping[str, int]) -> Fit:
        share = _share(values, fits)
        return Fit(share, certain=certain and share >= MOST)

    return look


def _is_upn(value: str) -> bool:
    """Tell a pupil number by its form and its check letter."""
    try:
        packed = converter("upn")(value)
    except ConvertError:
        return False
    return bool(calc_check_digit(packed) == packed[0])


def _is_uln(value: str) -> bool:
    if len(value) != _ULN_DIGITS or not (value.isascii() and value.isdigit()):
        return False
    rest = sum(weight * int(digit) for weight, digit in zip(range(10, 1, -1), value, strict=False)) % 11
    return rest != 0 and 10 - rest == int(value[9])


def _phone(values: Mapping[str, int]) -> Fit:
    """Return how many are telephone numbers; of those whose first 0 a spreadsheet ate, nobody can be certain."""
    whole = _share(values, lambda value: value[:1] in ("0", "+", "(") and _is_phone(value))
    return Fit(_share(values, _is_phone), "phone", certain=whole >= MOST)


def _is_phone(value: str) -> bool:
    return 10 <= sum(c.isdigit() for c in value) <= 15 and _converts(converter("phone"))(value)


def _date(values: Mapping[str, int]) -> Fit:
    """Return the pattern that reads most dates; of those that read as many, the likeliest in Britain."""
    iso = _share(values, _converts(converter("iso-date")))
    best = Fit(iso, certain=iso >= MOST)
    for pattern in _DATES:
        share = _share(values, _converts(converter(f"date:{pattern}")))
        if share > (best.share or 0.0):
            best = Fit(share, f"date:{pattern}", certain=share >= MOST)
    if (best.share or 0.0) < MOST and "excel-date" in converter_names():
        share = _share(values, lambda value: value.isascii() and value.isdigit() and int(value[:6]) in _SERIALS)
        if share > (best.share or 0.0):
            return Fit(share, "excel-date")
    return best


def _school_year(values: Mapping[str, int]) -> Fit:
    both = _share(values, _converts(converter("school-year")))
    one = _share(values, _is_year)
    return Fit(both, "school-year", certain=both >= MOST) if both > one else Fit(one)


def _start_year(values: Mapping[str, int]) -> Fit:
    found = _school_year(values)
    return Fit(found.share, "school-year,year-before") if found.convert else found


def _is_year(value: str) -> bool:
    return len(value) == 4 and value.isascii() and value.isdigit() and 1900 <= int(value) <= 2100


def _yes_no(values: Mapping[str, int]) -> Fit:
    plain = _share(values, lambda value: value in ("Yes", "No"))
    return Fit(plain) if plain == 1.0 else Fit(_share(values, _converts(converter("yes-no"))), "yes-no")


def _digits(count: int, largest: int | None = None) -> Callable[[str], bool]:
    def fits(value: str) -> bool:
        right = len(value) == count and value.isascii() and value.isdigit()
        return right and (largest is None or int(value) <= largest)

    return fits


def _is_whole(value: str) -> bool:
    return value.isascii() and value.replace(",", "").isdigit() and len(value) <= 9


def _is_decimal(value: str) -> bool:
    return re.fullmatch(r"[+-]?\d{1,12}(\.\d{1,6})?", value, re.ASCII) is not None


def _is_title(value: str) -> bool:
    return value.casefold().strip(". ") in _TITLES


def _is_postcode(value: str) -> bool:
    return _POSTCODE.fullmatch(value.strip()) is not None


def _is_name(value: str) -> bool:
    return any(c.isalpha() for c in value) and not any(c.isdigit() or c in "@/:" for c in value)


def _is_words(value: str) -> bool:
    """Tell a text: it has letters, and is neither an address of a computer nor a number of a pupil."""
    return any(c.isalpha() for c in value) and "@" not in value and not _is_upn(value)


def _is_surname_first(value: str) -> bool:
    surname, comma, forename = value.partition(",")
    return bool(comma) and "," not in forename and _is_name(surname) and _is_name(forename)


def _is_id(value: str) -> bool:
    return len(value) <= 40 and "@" not in value and " " not in value.strip() and not _is_upn(value)


def _is_address(value: str) -> bool:
    return re.fullmatch(r"(https?://)?[\w.-]+\.[a-z]{2,}(/\S*)?", value, re.IGNORECASE) is not None


_Look = Callable[[Mapping[str, int]], Fit]
FORMS: Final[Mapping[str, _Look]] = MappingProxyType(
    {
        "date": _date,
        "datetime": _by_test(lambda value: _MOMENT.fullmatch(value) is not None),
        "decimal": _by_test(_is_decimal),
        "dfe": _by_test(lambda value: _digits(7)(value.replace("/", "").replace(" ", ""))),
        "email": _by_converter("email", certain=True),
        "estab": _by_test(_digits(4)),
        "id": _by_test(_is_id),
        "la": _by_test(_digits(3)),
        "name": _by_test(_is_name),
        "phone": _phone,
        "postcode": _by_converter("postcode", _is_postcode, certain=True),
        "school-year": _school_year,
        "start-year": _start_year,
        "surname-first": _by_test(_is_surname_first),
        "text": _by_test(_is_words),
        "time": _by_test(lambda value: _TIME.fullmatch(value) is not None),
        "title": _by_test(_is_title),
        "uln": _by_converter("uln", _is_uln, certain=True),
        "upn": _by_converter("upn", _is_upn, certain=True),
        "url": _by_test(_is_address),
        "urn": _by_test(_digits(6)),
        "whole": _by_test(_is_whole),
        "yes-no": _yes_no,
    }
)
"""What judges values, by name of the form."""
_BY_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "xs:date": "date",
        "xs:dateTime": "datetime",
        "xs:time": "time",
        "xs:gYear": "school-year",
        "xs:unsignedInt": "whole",
        "xs:integer": "whole",
        "xs:decimal": "decimal",
        "xs:anyURI": "url",
    }
)


def _coded(values: Mapping[str, int], code_list: str) -> Fit:
    """Return how values become codes: as they are, in capitals, as a year group, by a table, or by their meaning."""
    codes = schemas.codes(code_list)
    if not codes.labels and codes.pattern is None:
        return ANY
    if not values:
        return Fit(table=_usual_table(code_list))
    best = Fit(_share(values, lambda value: value in codes))
    if code_list == "NCYear":
        best = Fit(_share(values, lambda value: converter("nc-year")(value) in codes), "nc-year")
    for other in _other_ways(values, code_list):
        # The next way has to be clearly better: what needs no conversion is easier to understand.
        if (other.share or 0.0) > (best.share or 0.0) + 0.001:
            best = other
    return best


def _other_ways(values: Mapping[str, int], code_list: str) -> Iterable[Fit]:
    codes = schemas.codes(code_list)
    yield Fit(_share(values, lambda value: value.strip().upper() in codes), "upper")
    if code_list == "YesNoUnknown":
        yield _yes_no(values)
    for name, table in _tables():
        if set(table.values()) <= set(codes.labels):
            yield Fit(_share(values, _is_in(table)), table=name)
    meant: dict[str, str] = {}
    for code, label in codes.labels.items():
        meant.setdefault(label.casefold(), code)
    own = {value: meant[value.casefold()] for value in values if value.casefold() in meant}
    if own:
        known = {label: code for code, label in codes.labels.items() if meant[label.casefold()] == code}
        listed = known | {code: code for code in codes.labels} if len(codes.labels) <= _WHOLE_LIST else {}
        whole = listed | own | {value: value for value in values if value in codes}
        yield Fit(_share(values, lambda value: value in whole), codes=whole)


def _is_in(table: Mapping[str, str]) -> Callable[[str], bool]:
    return lambda value: value.strip().casefold() in table


def _usual_table(code_list: str) -> str:
    """Return the code table of the library whose codes are all of a list; empty when there is none."""
    labels = set(schemas.codes(code_list).labels)
    return next((name for name, table in _tables() if set(table.values()) <= labels and len(table) > 3), "")


@cache
def _tables() -> tuple[tuple[str, Mapping[str, str]], ...]:
    """Return the code tables of the library that refuse what they do not know, source codes case folded."""
    found = []
    for path in sorted((LIBRARY / "codes").glob("*.toml")):
        given = tomllib.loads(path.read_text("utf-8"))
        if "default" not in given:
            found.append((path.stem, {code.casefold(): target for code, target in given["codes"].items()}))
    return tuple(found)


__all__ = ["ANY", "FORMS", "LOOKED_AT", "MOST", "Fit", "fit_of", "form_of", "shape"]
