"""How mappings use one field of a source: which texts they take there, and what these become."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from lxml import etree
from stdnum.gb.upn import calc_check_digit

import schemas
from mappings import Converter, ConvertError, InwardMapping, Line
from mappings.codes import UnknownCodeError
from mappings.converters import UnknownConverterError, converter, inverse
from mappings.shelves import LIBRARY
from schemas import Node
from schemas.samples import sample

_PREDICATE: Final = re.compile(r"\[[^\]]*\]")
_FIRST_DAY: Final = date(2014, 9, 1)
_UPN_PLACE: Final = "8209901"
_PLACES: Final = frozenset({"LocalAuthority", "TransferLocalAuthority"})
_PLACE_NAMES: Final = ("EstablishmentId", "URN")
_SOME: Final = (
    "Sample", "Samson", "S0001", "1", "7", "10", "01/09/2025", "2025-09-01", "2025", "2025/2026", "Yes", "No", "true",
    "08:45", "01632960123", "sample@example.org", "QZ1 2AB", "8209901", "9901", "820", "A", "Sample (Made up)",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Use:
    """One line that reads a field.

    Attributes:
        line: The line.
        object_type: What its mapping makes.
        node: What it fills, as the schema has it; None where it fills nothing: a key, a condition.
        steps: Its converters.
    """

    line: Line
    object_type: str
    node: Node | None
    steps: tuple[Converter, ...] = field(repr=False)

    @property
    def codes(self) -> str | None:
        """The schema's code list of what it fills."""
        return self.node.codes if self.node is not None else None

    @property
    def is_place(self) -> bool:
        """Whether it says where a school is: such a field is not made different for each record without need."""
        return self.node is not None and (self.node.codes in _PLACES or self.node.name in _PLACE_NAMES)

    def result(self, text: str) -> str | None:
        """Return what a text becomes; None when it is refused by a converter, by a table, or by the schema."""
        try:
            for step in self.steps:
                text = step(text)
                if not text:
                    return None
            if self.line.codes is not None:
                text = self.line.codes.convert(text)
        except (ConvertError, UnknownCodeError):
            return None
        except Exception:  # noqa: BLE001  # another package's converter: it takes no such text
            return None
        return text if self.fits(text) else None

    def fits(self, text: str) -> bool:
        """Tell whether the schema takes a text at the line's target, codes of open lists only if they are known."""
        if self.node is None or not self.node.simple_type:
            return True
        schema = schemas.load()
        known = self.node.codes is None or text in schema.code_lists[self.node.codes]
        try:
            return known and schema.values(self.object_type).fits(text, self.node.simple_type)
        except ValueError:  # characters that XML cannot carry
            return False

    def undone(self, text: str) -> str | None:
        """Return a source text that becomes *text*; None where that is not known."""
        try:
            if self.line.codes is not None:
                text = self.line.codes.undo(text)
            folder = Path(self.line.file).parent
            for spelt in reversed(self.line.convert):
                undo = inverse(spelt, folder)
                if undo is None:
                    return _padded(spelt, text)
                text = undo(text)
        except (ConvertError, UnknownCodeError, UnknownConverterError):
            return None
        return text

    def candidates(self) -> Iterator[str]:
        """Yield source texts that may do, best first; who wants one asks :meth:`result`."""
        if self.node is not None:
            for text in (*sample_texts(self.object_type, self.node.path), *_labels(self.node)[:3]):
                found = self.undone(text)
                if found is not None:
                    yield found
        if self.line.codes is not None:
            yield from self.line.codes.codes
        for text in _SOME:
            yield text
            for spelt in self.line.convert:
                padded = _padded(spelt, text)
                if padded is not None:
                    yield padded

    def codes_in(self) -> tuple[str, ...]:
        """Return the source codes of the line, one for each code of its table or list; none when it has neither."""
        if self.line.codes is not None:
            own = tuple(self.line.codes.codes)
            return own if not self.line.codes.passes else (*own, *self._passed())
        return self._passed()

    def _passed(self) -> tuple[str, ...]:
        found = [] if self.node is None else [self.undone(code) for code in _labels(self.node)]
        return tuple(dict.fromkeys(code for code in found if code is not None and self.result(code) is not None))


def uses_of(mapping: InwardMapping) -> Iterator[tuple[str, Use]]:
    """Yield each field of the source with each line that reads it, references aside."""
    schema = schemas.load()
    for line in mapping.lines:
        if line.const is not None or line.ref is not None or line.kind not in ("field", "key", "about"):
            continue
        node = schema.find(mapping.object_type, line.target) if line.kind == "field" else None
        steps = tuple(converter(spelt, Path(line.file).parent) for spelt in line.convert)
        for name in line.sources:
            yield name, Use(line, mapping.object_type, node, steps)


def best_text(uses: Iterable[Use], first: Iterable[str] = ()) -> str | None:
    """Return the text that most of a field's lines take; None when no line takes any that is tried."""
    all_uses = list(uses)
    best, most = None, 0
    tried = dict.fromkeys([*first, *(text for use in all_uses for text in use.candidates())])
    for text in tried:
        count = sum(use.result(text) is not None for use in all_uses)
        if count > most:
            best, most = text, count
        if most == len(all_uses):
            break
    return best


def numbered(text: str, uses: Iterable[Use], number: int) -> str | None:
    """Return another text for each number that all lines take which take *text*; None where no way is known."""
    takers = [use for use in uses if use.result(text) is not None]
    for made in _variants(text, takers, number):
        if all(use.result(made) is not None for use in takers):
            return made
    return None


def _variants(text: str, uses: Iterable[Use], number: int) -> Iterator[str]:
    if not number:
        yield text
        return
    upn = made_up_upn(number)
    for use in uses:
        if use.node is not None and use.node.type in ("xs:date", "xs:dateTime"):
            day = (_FIRST_DAY - timedelta(days=number % 2_500)).isoformat()
            undone = use.undone(day)
            if undone is not None:
                yield undone
    if any("upn" in use.line.convert or (use.node is not None and use.node.name == "UPN") for use in uses):
        yield upn
    if text.isascii() and text.isdigit():
        yield f"{(int(text) + number) % 10 ** len(text):0{len(text)}}"
    name, at, domain = text.partition("@")
    if at:
        yield f"{name}{number}@{domain}"
    yield f"{text} {_letters(number)}"
    yield f"{text}{number}"
    yield f"{text[:3]}{number}"
    yield upn


@cache
def plain_texts() -> tuple[str, ...]:
    """Return texts to try where nothing tells what a field takes: common ones, and a code of each table there is."""
    tables = [tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted((LIBRARY / "codes").glob("*.toml"))]
    return (*_SOME, *(code for table in tables for code in list(table.get("codes", {}))[:1]))


def made_up_upn(number: int) -> str:
    """Return a made-up UPN of LA 820 with its right check letter."""
    digits = f"{_UPN_PLACE}{10 + number // 1000 % 90:02}{number % 1000:03}"
    return f"{calc_check_digit('A' + digits)}{digits}"


def _letters(number: int) -> str:
    text = ""
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text.capitalize()


@cache
def sample_texts(object_type: str, path: str) -> tuple[str, ...]:
    """Return the texts that the sample of an object has at a path without predicates."""
    element = sample(schemas.load(), object_type)
    *names, last = _PREDICATE.sub("", path).split("/")
    is_attribute = last.startswith("@")
    found: list[etree._Element] = [element]
    for name in names if is_attribute else [*names, last]:
        found = [child for parent in found for child in parent.iterchildren("{*}" + name)]
    texts = [each.get(last[1:]) if is_attribute else each.text for each in found]
    return tuple(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def _labels(node: Node) -> tuple[str, ...]:
    return () if node.codes is None else tuple(schemas.load().code_lists[node.codes].labels)


def _padded(spelt: str, text: str) -> str | None:
    """Return a text of which a ``split`` cuts *text* out again; None for other converters."""
    name, _, argument = spelt.partition(":")
    separator, _, number = argument.rpartition(":")
    if name != "split" or not separator or not number.lstrip("-").isdigit():
        return None
    return separator.join([text] * max(abs(int(number)), 2))


__all__ = ["Use", "best_text", "made_up_upn", "numbered", "plain_texts", "sample_texts", "uses_of"]
