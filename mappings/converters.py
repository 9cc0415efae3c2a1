"""How a mapping finds converters by name, and what undoes them; what each does is in ``mappings.converting``.

A converter is written ``name`` or ``name:argument`` in a mapping. It refuses with ConvertError, whose message never
holds the value; an empty text means that there is no value. A package adds its own by the entry point group
``sifzone.converters``.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Final

from mappings import converting as to
from mappings.converting import Converter, ConvertError, UnknownConverterError
from mappings.problems import nearest

Maker = Callable[[str, Path | None], Converter]  # of the argument, and the folder of the file that names it

# Name: the converter and what undoes it. Most bring a text into one form, and that form they leave as it is: nothing
# need be done to undo them, for what counts is that converting again gives the same.
_PLAIN: Final[Mapping[str, tuple[Converter, Converter]]] = MappingProxyType(
    {
        "collapse": (to.collapse, to.same),
        "decimal": (to.decimal, to.same),
        "digits": (to.digits, to.same),
        "email": (to.email, to.same),
        "excel-date": (to.excel_date, to.same),
        "iso-date": (to.iso_date, to.same),
        "lower": (str.lower, to.same),
        "nc-year": (to.nc_year, to.same),
        "next-day": (to.next_day, to.day_before),
        "number": (to.number, to.same),
        "phone": (to.phone, to.same),
        "postcode": (to.postcode, to.same),
        "school-year": (to.school_year, to.undo_school_year),
        "sentence": (to.sentence, to.same),
        "strip": (str.strip, to.same),
        "title": (to.title, to.same),
        "uln": (to.uln, to.same),
        "upn": (to.upn, to.same),
        "upper": (str.upper, to.same),
        "year-before": (to.year_before, to.year_end),
        "year-end": (to.year_end, to.year_before),
        "yes-no": (to.yes_no, to.undo_yes_no),
    }
)
_WITH_ARGUMENT: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "between": lambda limits, _folder: to.between(limits),
        "date": lambda pattern, _folder: to.date_by(pattern),
        "decimal": lambda places, _folder: to.decimal_to(places),
        "lookup": lambda argument, folder: to.lookup(argument, folder)[0],
        "match": lambda pattern, _folder: to.match(pattern),
        "prefix": lambda text, _folder: to.prefix(text),
        "split": lambda argument, _folder: to.split(argument),
        "suffix": lambda text, _folder: to.suffix(text),
    }
)
_UNDO_WITH_ARGUMENT: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "between": lambda _limits, _folder: to.same,
        "date": lambda pattern, _folder: to.undo_date(pattern),
        "decimal": lambda _places, _folder: to.same,
        "lookup": lambda argument, folder: to.lookup(argument, folder)[1],
        "prefix": lambda text, _folder: to.undo_prefix(text),
        "suffix": lambda text, _folder: to.undo_suffix(text),
    }
)


@cache
def _added() -> Mapping[str, EntryPoint]:
    """Converters of other packages; a built-in name cannot be replaced."""
    return {entry.name: entry for entry in entry_points(group="sifzone.converters")}


def _load(entry: EntryPoint) -> Converter:
    try:
        found = entry.load()
    except Exception as error:  # another package's fault must not stop mappings that do not use it
        message = (
            f"converter {entry.name!r} of another package cannot be loaded ({type(error).__name__}): mend it there"
        )
        raise UnknownConverterError(message) from error

    def convert(value: str) -> str:
        text = found(value)
        if not isinstance(text, str):
            raise TypeError("a converter returns a text")
        return text

    return convert


def converter_names() -> tuple[str, ...]:
    """Return the names that a mapping may use, sorted; those that take an argument end in a colon."""
    return tuple(sorted({*_PLAIN, *_added(), *(f"{name}:" for name in _WITH_ARGUMENT)}))


def converter(spelt: str, folder: Path | None = None) -> Converter:
    """Return the converter that a mapping spells ``name`` or ``name:argument``.

    Args:
        spelt: As in the mapping, for example ``date:%d/%m/%Y``.
        folder: Where the mapping is, for converters that read a file beside it.

    Raises:
        UnknownConverterError: There is none of this name, or its argument is missing, wrong or too much.
    """
    name, colon, argument = spelt.partition(":")
    if name in _WITH_ARGUMENT and (argument or name not in _PLAIN):
        if not argument:
            raise UnknownConverterError(f"converter {name!r} needs an argument: write {name}:...")
        return _WITH_ARGUMENT[name](argument, folder)
    if name not in _PLAIN and name not in _added():
        near = nearest(name, [*_PLAIN, *_WITH_ARGUMENT, *_added()])
        raise UnknownConverterError(f"there is no converter {name!r}", near)
    if colon:
        raise UnknownConverterError(f"converter {name!r} takes no argument: write {name}")
    return _PLAIN[name][0] if name in _PLAIN else _load(_added()[name])


def inverse(spelt: str, folder: Path | None = None) -> Converter | None:
    """Return what undoes a converter: converting what it returns gives the same text again.

    None where the converter loses something (``split``, ``match``) or comes from another package. What cannot be
    undone for one value raises ConvertError, as a converter does.

    Raises:
        UnknownConverterError: As ``converter`` does.
    """
    convert = converter(spelt, folder)
    name, _, argument = spelt.partition(":")
    if argument:
        make = _UNDO_WITH_ARGUMENT.get(name)
        undo = None if make is None else make(argument, folder)
    else:
        undo = _PLAIN[name][1] if name in _PLAIN else None
    return None if undo is None else _proven(convert, undo, name)


def _proven(convert: Converter, undo: Converter, name: str) -> Converter:
    def proven(value: str) -> str:
        found = undo(value)
        if convert(found) != value:
            raise ConvertError(f"not a value that {name!r} can have made")
        return found

    return proven


__all__ = ["ConvertError", "Converter", "UnknownConverterError", "converter", "converter_names", "inverse"]
