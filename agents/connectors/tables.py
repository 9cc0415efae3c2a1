"""Makes records of the rows of a table, whatever file they are from: headings, ragged rows, what spreadsheets spoil."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from mappings import Record

MAX_COLUMNS: Final = 500
MAX_CELL: Final = 32 * 1024
"""Most characters in a cell; a spreadsheet allows one less."""
_TITLES: Final = 20
"""Rows in which the headings are looked for."""
_ODD_STARTS: Final = "='#"
_TEXT_FORMULA: Final = re.compile(r'="(.*)"', re.DOTALL)
_GUARDED: Final = re.compile(r"'+[=+\-@]")
_NUMBER: Final = re.compile(r"(-?)([0-9])(?:[.,]([0-9]+))?E\+([0-9]{1,3})")
_ERRORS: Final = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#GETTING_DATA", "#SPILL!", "#CALC!"}
)

Row = tuple[int, Sequence[str]]
"""Number of a row, as a spreadsheet shows it, and its cells."""
Heading = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Constants = Annotated[
    dict[Heading, Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]],
    Field(max_length=50),
]
"""What every record has and no column gives, by the heading that the mapping reads it by."""


class TableOptions(BaseModel):
    """Options of every connector whose files are tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    headings_row: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Row with the headings; the first with two filled cells when left out."
    )
    columns: tuple[Heading, ...] = Field(
        default=(), description="Names of the columns in order, for a file without headings."
    )
    footers: tuple[Heading, ...] = Field(
        default=(), description='How rows begin that are no records, such as ["Total", "Report run on"].'
    )
    constants: Constants = Field(
        default_factory=dict,
        description='What every row has and no column gives: { "LA Number" = "820", "Estab Number" = "9901" }.',
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(default=1 << 30, description="Largest file that is read, in bytes.")


def check_size(size: int, max_bytes: int) -> None:
    """Return when a file is not too large.

    Raises:
        SourceError: It is.
    """
    if size > max_bytes:
        raise SourceError(f"larger than {max_bytes:,} bytes: set max_bytes if this is right", 1)


def table_items(rows: Iterator[Row | SourceProblem], options: TableOptions) -> Iterator[Item]:
    """Yield the columns, what is wrong with them, and a record for each row.

    A row with too many cells is reported and not read, since its values may stand in wrong columns; cells that a row
    lacks at its end are only missing values. Rows above the headings with one filled cell are a title. What a
    spreadsheet has spoilt is mended where it can be, else left out and reported; see :func:`tidy`.

    Args:
        rows: Rows with anything in them, or what is wrong with them.
        options: Where the headings are.

    Raises:
        SourceError: No headings, too many, or one that is among the constants too.

    Source:
        Our own rule.
    """
    number, headings = 1, tuple[str, ...]()
    if not options.columns or options.headings_row is not None:
        number, headings, rows = _find_headings(rows, options)
    names, problems = _names(number, options.columns or headings)
    check_constants(options.constants, [" ".join(cell.split()) for cell in options.columns or headings], number)
    yield SourceFields(frozenset([*names, *options.constants]) - {""})
    yield from problems
    yield from _records(rows, names, options)


def check_constants(constants: Mapping[str, str], headings: Iterable[str], row: int) -> None:
    """Return when no column has the heading of a constant.

    Raises:
        SourceError: One has: which of the two counts is not for us to say.
    """
    both = sorted(constants.keys() & set(headings))
    if both:
        raise SourceError(f"there is a column {both[0][:60]!r} and constants has it too: take it out of these", row)


def tidy(value: str) -> tuple[str, str]:
    """Return a value as it was before a spreadsheet spoilt it, and how it is spoilt for good, when nothing is left.

    ``="00123"`` is text that was to stay text, ``'=1`` a cell that was not to be a formula (as csv-out writes them),
    ``1.23457E+06`` a number without loss as long as it has as many digits. Spoilt for good are ``error-cell``, such as
    ``#N/A``, and ``excel-number``, which has lost digits.
    """
    text = _TEXT_FORMULA.fullmatch(value)
    if text is not None:
        return text[1].replace('""', '"').strip(), ""
    if _GUARDED.match(value):
        return value[1:], ""
    if value.upper() in _ERRORS:
        return "", "error-cell"
    number = _NUMBER.fullmatch(value)
    if number is None:
        return value, ""
    decimals, power = number[3] or "", int(number[4])
    return (f"{number[1]}{number[2]}{decimals}", "") if len(decimals) == power else ("", "excel-number")


_SPOILT: Final = {
    "error-cell": "a formula's error instead of a value: mend the spreadsheet; the cell is taken as empty",
    "excel-number": (
        "a long number that a spreadsheet has cut to its first digits: export again, with this column as text; the "
        "cell is taken as empty"
    ),
}


def spoilt(position: str, column: str, rule: str) -> SourceProblem:
    """Return the problem of a cell that is spoilt for good."""
    return SourceProblem(position, rule, f"the column {column[:60]!r} has {_SPOILT[rule]}")


def row_fault(position: str, cells: Sequence[str], width: int) -> SourceProblem | None:
    """Return why a row cannot be read under so many headings; None when it can."""
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        message = f"has {len(cells)} cells under {width} headings: look for a comma or quotation mark too many"
        return SourceProblem(position, "ragged-row", message, "refuse")
    return None


def row_fields(position: str, names: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, str], list[SourceProblem]]:
    """Return the filled cells of a row by heading, tidy, and what is spoilt of it."""
    fields = {name: value for name, cell in zip(names, cells, strict=False) if name and (value := cell.strip())}
    odd = [name for name, value in fields.items() if value[0] in _ODD_STARTS or "E+" in value]
    problems: list[SourceProblem] = []
    for name in odd:
        value, rule = tidy(fields.pop(name))
        if value:
            fields[name] = value
        if rule:
            problems.append(spoilt(position, name, rule))
    return fields, problems


def _find_headings(
    rows: Iterator[Row | SourceProblem], options: TableOptions
) -> tuple[int, tuple[str, ...], Iterator[Row | SourceProblem]]:
    """Return number and cells of the row of headings, and the rows below it."""
    if options.headings_row is not None:
        for row in rows:
            number, cells = _whole(row)
            if number == options.headings_row:
                return number, tuple(cells), rows
            if number > options.headings_row:
                break
        raise SourceError(f"row {options.headings_row} is empty: correct headings_row", options.headings_row)
    above: list[Row | SourceProblem] = []
    for row in islice(rows, _TITLES):
        above.append(row)
        if not above[:-1] or not isinstance(row, SourceProblem):
            number, cells = _whole(row)
            if sum(1 for cell in cells if cell.strip()) > 1:
                return number, tuple(cells), rows
    if not above:
        raise SourceError("empty: a report has at least its heading row", 1)
    number, cells = _whole(above[0])
    return number, tuple(cells), chain(above[1:], rows)


def _whole(row: Row | SourceProblem) -> Row:
    if isinstance(row, SourceProblem):
        raise SourceError(row.message, 1)
    return row


def _names(row: int, cells: tuple[str, ...]) -> tuple[list[str], list[SourceProblem]]:
    """Return a name for each column, empty for one that cannot be told from another, and what is wrong with them."""
    headings = [" ".join(cell.split()) for cell in cells]
    while headings and not headings[-1]:
        headings.pop()
    if len(headings) > MAX_COLUMNS:
        raise SourceError(f"more than {MAX_COLUMNS} columns: this is no report that can be mapped", row)
    place = f"row {row}"
    problems = [
        SourceProblem(place, "no-heading", f"column {number} has no heading and is not read: give it one")
        for number, name in enumerate(headings, start=1)
        if not name
    ]
    double = {name for name, count in Counter(headings).items() if name and count > 1}
    problems += [
        SourceProblem(place, "double-heading", f"several columns are headed {name[:60]!r}, none is read: rename them")
        for name in sorted(double)
    ]
    return ["" if name in double else name for name in headings], problems


def _records(rows: Iterator[Row | SourceProblem], names: list[str], options: TableOptions) -> Iterator[Item]:
    width = len(names)
    footers = tuple(footer.casefold() for footer in options.footers)
    for row in rows:
        if isinstance(row, SourceProblem):
            yield row
            continue
        number, cells = row
        if footers and next(filter(None, map(str.strip, cells)), "").casefold().startswith(footers):
            continue
        position = f"row {number}"
        fault = row_fault(position, cells, width)
        if fault is not None:
            yield fault
            continue
        fields, problems = row_fields(position, names, cells)
        yield from problems
        if len(cells) < width:
            message = f"has {len(cells)} cells under {width} headings: the last columns are taken as empty"
            yield SourceProblem(position, "short-row", message)
        yield Record(position, fields | options.constants)


__all__ = [
    # options
    "TableOptions",
    "Constants",
    "Heading",
    # rows to records
    "Row",
    "table_items",
    "row_fault",
    "row_fields",
    "tidy",
    "spoilt",
    # limits
    "MAX_CELL",
    "MAX_COLUMNS",
    "check_constants",
    "check_size",
]
