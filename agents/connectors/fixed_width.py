"""Reads files whose fields stand at fixed places in each line; what the fields mean is the mapping's."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.csv import encoding_problems
from agents.connectors.tables import MAX_COLUMNS, Constants, Heading, check_constants, check_size, row_fields
from agents.connectors.texts import MAX_LINE, EncodingName, find_encoding, open_text, read_lines
from mappings import Record

_PLACE: Final = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7}))?")


def _in_order(columns: object) -> object:
    """Return the place of each column where only names and widths are given, in their order."""
    if not isinstance(columns, list | tuple):
        return columns
    places: dict[str, str] = {}
    last = 0
    for column in columns:
        match column:
            case [str(name), int(width)] if width > 0 and name not in places:
                places[name] = f"{last + 1}-{last + width}"
                last += width
            case _:
                raise ValueError('a list has names, each once, with widths: [["Surname", 20], ["Sex", 1]]')
    return places


def _places(columns: dict[str, str]) -> dict[str, str]:
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"more than {MAX_COLUMNS} columns")
    last, before = 0, ""
    for name, place in sorted(columns.items(), key=lambda item: _span(*item)):
        first, end = _span(name, place)
        if first <= last:
            raise ValueError(f"{name} begins before {before} ends: correct one of them")
        last, before = end, name
    return columns


def _span(name: str, place: str) -> tuple[int, int]:
    """Return first and last character of a column, counted from 1."""
    found = _PLACE.fullmatch(place)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last < MAX_LINE:
        raise ValueError(f'{name} has no place: write the first and last character, such as "1-20"')
    return first, last


class FixedWidthOptions(BaseModel):
    """Options of ``connector = "fixed-width"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Annotated[dict[Heading, str], Field(min_length=1), AfterValidator(_places), BeforeValidator(_in_order)] = (
        Field(
            description='First and last character of each column, counted from 1: { Surname = "1-20", Sex = "21" }; or '
            'widths in order: [["Surname", 20], ["Sex", 1]].'
        )
    )
    skip_lines: int = Field(default=0, ge=0, le=1000, description="Lines at the top that are no records.")
    footers: tuple[Heading, ...] = Field(default=(), description='How lines begin that are no records: ["TRAILER"].')
    line_length: Annotated[int, Field(ge=1, lt=MAX_LINE)] | None = Field(
        default=None, description="Characters that each line has; one of another length is not read."
    )
    encoding: EncodingName = Field(
        default="auto", description="auto, or any that Python knows: utf-8, utf-16, cp1252, cp037 ..."
    )
    constants: Constants = Field(
        default_factory=dict,
        description='What every line has and no column gives: { "LA Number" = "820", "Estab Number" = "9901" }.',
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(default=1 << 30, description="Largest file that is read, in bytes.")


class FixedWidthSource:
    """Lines of a file with fixed columns as records."""

    Options: ClassVar[type[BaseModel]] = FixedWidthOptions

    def __init__(self, options: FixedWidthOptions) -> None:
        self._options = options
        self._slices: Mapping[str, slice] = {
            name: slice(first - 1, last)
            for name, (first, last) in ((name, _span(name, place)) for name, place in options.columns.items())
        }
        self._width = max(columns.stop for columns in self._slices.values())

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each line that is not blank, at the position ``line 1`` and so on.

        A line may end early where the rest is blank, as editors leave it: what it lacks is empty, unless
        ``line_length`` is set. One with text behind the last column is not read, since its columns may have moved.

        Raises:
            SourceError: Too large, not text, or a column is among the constants too.

        Source:
            Our own rule.
        """
        options = self._options
        check_size(path.stat().st_size, options.max_bytes)
        check_constants(options.constants, self._slices, 1)

        def opener() -> BinaryIO:
            return path.open("rb")

        encoding = find_encoding(opener, options.encoding)
        footers = tuple(footer.casefold() for footer in options.footers)
        yield SourceFields(frozenset([*self._slices, *options.constants]))
        yield from encoding_problems(encoding, "line 1")
        count = 0
        with open_text(opener, encoding) as text:
            for count, ended in enumerate(read_lines(text), start=1):
                line = ended.rstrip("\r\n\x1a")
                if count <= options.skip_lines or not line.strip():
                    continue
                if not (footers and line.lstrip().casefold().startswith(footers)):
                    yield from self._items(f"line {count}", line, is_damaged=encoding.is_damaged)
        if not count:
            raise SourceError("empty: the export has not been written, or failed", 1)

    def _items(self, position: str, line: str, *, is_damaged: bool) -> Iterator[Item]:
        fault = self._fault(line, is_damaged=is_damaged)
        if fault is not None:
            yield SourceProblem(position, *fault, "refuse")
            return
        fields, problems = row_fields(position, tuple(self._slices), [line[part] for part in self._slices.values()])
        yield from problems
        yield Record(position, fields | self._options.constants)

    def _fault(self, line: str, *, is_damaged: bool) -> tuple[str, str] | None:
        """Return rule and message for a line that cannot be read."""
        wanted = self._options.line_length
        if wanted is not None and len(line) != wanted:
            return (
                "line-length",
                f"has {len(line)} characters and not {wanted}: export again, or correct line_length",
            )
        if wanted is None and line[self._width :].strip():
            return "line-length", f"has text after character {self._width}, the last of any column: correct columns"
        if is_damaged and "\ufffd" in line:
            return "encoding", "bytes that are not UTF-8, in a file that is: write this line again"
        return None


__all__ = ["FixedWidthOptions", "FixedWidthSource"]
