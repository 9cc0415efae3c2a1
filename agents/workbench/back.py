"""Turns mappings round: the lines that stop it, and the rows that objects come from; how is the engine's affair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.workbench.findings import Finding
from agents.workbench.objects import ObjectsOf
from broker.protocol.errors import ConfigurationError
from mappings import Inverse, InwardMapping, NotInvertible, Record, RowProblem, invert, open_document
from mappings.selection import ROWS


@dataclass(frozen=True, slots=True)
class Back:
    """What objects come to as rows.

    Attributes:
        columns: In the order of the mapping's lines.
        problems: What of an object its row does not tell.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...] = field(repr=False)
    problems: tuple[RowProblem, ...] = ()


def one_way(mapping: InwardMapping, name: str | Path, library: Sequence[Path]) -> tuple[Finding, ...]:
    """Return each line for which a mapping cannot be turned round; none when it can."""
    turned = _turned(mapping, name, library)
    if isinstance(turned, Inverse):
        return ()
    return tuple(
        Finding("warning", "one-way", each.file, each.line, each.column, f"cannot be turned round: {each.message}")
        for each in turned.obstacles
    )


def rows_back(mapping: InwardMapping, name: str | Path, library: Sequence[Path], objects: ObjectsOf) -> Back:
    """Return the rows that the mapping would make these objects of.

    Raises:
        ConfigurationError: The mapping cannot be turned round, or reads something that is no table.
    """
    turned = _turned(mapping, name, library)
    if isinstance(turned, NotInvertible):
        raise ConfigurationError(f"{mapping.name} cannot be turned round:\n{turned}")
    rows: list[Mapping[str, str]] = []
    problems: list[RowProblem] = []
    for element in objects.all(mapping.object_type):
        undone = turned.record(element)
        problems += undone.problems
        rows += _rows(mapping, undone.record)
    named = dict.fromkeys(source.removeprefix("/") for line in mapping.lines for source in line.sources)
    filled = {column for row in rows for column in row}
    columns = [column for column in named if column in filled]
    return Back((*columns, *sorted(filled.difference(columns))), tuple(rows), tuple(problems))


def _turned(mapping: InwardMapping, name: str | Path, library: Sequence[Path]) -> Inverse | NotInvertible:
    return invert(mapping, open_document(name, library), library)


def _rows(mapping: InwardMapping, record: Record) -> Iterator[Mapping[str, str]]:
    others = set(record.groups) - {ROWS}
    if others:
        raise ConfigurationError(
            f"{mapping.name} reads what repeats within a record ({', '.join(sorted(others))}), which no table has: "
            "its objects cannot be written as rows"
        )
    members = record.groups.get(ROWS, ())
    if not members:
        yield record.fields
    for member in members:
        yield {**record.fields, **member.fields}


__all__ = ["Back", "one_way", "rows_back"]
