"""Shows what a mapping makes of single rows, side by side, with the line of the mapping behind each element.

What is shown is personal data, because it was asked for; masked, only shapes of values are.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lxml import etree
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from agents.connectors.contract import SourceFields, SourceProblem
from agents.workbench.filled import Filled, Filler
from agents.workbench.masks import printable, shape, shown
from agents.workbench.reading import Mapped, mapped
from agents.workbench.samples import Source
from agents.workbench.tally import Places, worded
from mappings import InwardMapping, MappedObject, Record, RowProblem
from mappings.lineage import Line
from mappings.selection import ROWS

_ROW: Final = re.compile(r"\brows? ([0-9]+)(?:-([0-9]+))?")
_NUMBER: Final = re.compile(r"([0-9]+)()")
_STEP: Final = re.compile(r"/(?![^\[]*\])")
_INDENT: Final = "  "
_MAX_FIELDS: Final = 500

Shown = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Part:
    """A text of an object, with the place of the line that fills it (``learner.toml:14``) and the fields it reads."""

    path: str
    value: str = field(repr=False)
    place: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """One row, and what became of it.

    Attributes:
        position: Where the row stands.
        fields: Its fields by path, with their values; those of groups after its own.
        objects: For each object its type, RefId, parts in document order, and XML.
        problems: What is wrong with it, each with the line of the mapping.
    """

    position: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    objects: tuple[tuple[str, str, tuple[Part, ...], str], ...] = field(repr=False)
    problems: tuple[tuple[RowProblem, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: position, fields (by name), objects (type, ref_id, parts, xml), problems."""
        return {
            "position": self.position,
            "fields": dict(self.fields),
            "objects": [
                {
                    "type": kind,
                    "ref_id": ref_id,
                    "parts": [
                        {"path": p.path, "value": p.value, "line": p.place, "sources": list(p.sources)} for p in parts
                    ],
                    "xml": xml,
                }
                for kind, ref_id, parts, xml in self.objects
            ],
            "problems": [
                {
                    "severity": problem.severity,
                    "rule": problem.rule,
                    "target": problem.target,
                    "source": problem.source,
                    "message": problem.message,
                    "line": place,
                }
                for problem, place in self.problems
            ],
        }


def previews(
    mapping: InwardMapping, source: Source, *, rows: int = 3, row: int | None = None, mask: bool = False
) -> Iterator[Preview]:
    """Yield previews of the first *rows* records, or of the one at row (or record) number *row*.

    Raises:
        SourceError: The file cannot be read.
    """
    show: Shown = shape if mask else shown
    filler, places = Filler(mapping.lines), Places(mapping.lines)
    count = 0
    for item in mapped(source, [mapping]):
        if isinstance(item, (SourceFields, SourceProblem)):
            continue
        if row is not None and not _is_at(item.record.position, row):
            continue
        yield _preview(item, filler, places, show)
        count += 1
        if row is not None or count >= rows:
            return


def place_of(line: Line | None) -> str:
    """Return where a line stands, for people: ``learner.toml:14``; empty where there is none."""
    return f"{Path(line.file).name}:{line.line}" if line is not None else ""


def show_preview(preview: Preview, console: Console, *, xml: bool = False) -> None:
    """Print a preview: the row on the left, what became of it on the right."""
    read = {name for _, _, parts, _ in preview.objects for part in parts for name in part.sources}
    table = Table(
        title=Text(printable(preview.position)), title_justify="left", box=box.SIMPLE_HEAD, expand=console.is_terminal
    )
    table.add_column("The row", ratio=2)
    table.add_column("What becomes of it", ratio=3)
    right: list[RenderableType] = []
    for kind, ref_id, parts, text in preview.objects:
        right += [Text(f"{kind} {ref_id}", style="bold"), Text(text) if xml else _parts(parts)]
    if not preview.objects:
        right.append(Text("nothing", style="bold"))
    right += [_problem(problem, place) for problem, place in preview.problems]
    table.add_row(_fields(preview.fields, read), Group(*right))
    console.print(table)


def _is_at(position: str, number: int) -> bool:
    """Whether a position such as ``row 12``, ``rows 3-5`` or ``pupil 3, line 120`` is the one with this number."""
    found = _ROW.search(position) or _NUMBER.search(position)
    return found is not None and int(found[1]) <= number <= int(found[2] or found[1])


def _preview(item: Mapped, filler: Filler, places: Places, show: Shown) -> Preview:
    record, translation = item.record, item.translation
    return Preview(
        record.position,
        tuple(_values(record, "", show))[:_MAX_FIELDS],
        tuple(_object(item, made, filler, show) for made in translation.objects),
        tuple((problem, place_of(places.of(problem))) for problem in translation.problems),
    )


def _values(record: Record, prefix: str, show: Shown) -> Iterator[tuple[str, str]]:
    if ROWS not in record.groups:  # a gathered record has the fields of its first row, which is among the rows
        yield from ((printable(f"{prefix}{name}"), show(value)) for name, value in record.fields.items())
    for group, members in record.groups.items():
        for number, member in enumerate(members, start=1):
            yield from _values(member, f"{prefix}{group}[{number}]/", show)


def _object(item: Mapped, made: MappedObject, filler: Filler, show: Shown) -> tuple[str, str, tuple[Part, ...], str]:
    parts = tuple(_part(found, _used(item, found), show) for found in filler.filled(made.element))
    return made.object_type, show(made.ref_id), parts, _xml(made.element, show)


def _part(found: Filled, line: Line | None, show: Shown) -> Part:
    return Part(found.path, show(found.value), place_of(line), line.sources if line is not None else ())


def _used(item: Mapped, found: Filled) -> Line | None:
    """Return that of several alternatives which gave the text: the first for which the record has something."""
    if found.line is None:
        return None
    for line in item.mapping.lines:
        if line.kind != "field" or line.target != found.line.target:
            continue
        if line.ref is not None or line.const == found.value or item.mapping.texts(line, item.record):
            return line
    return found.line


def _xml(element: etree._Element, show: Shown) -> str:
    copy = etree.fromstring(etree.tostring(element))
    for one in copy.iter():
        if one.text and not len(one):
            one.text = show(one.text)
        for name in one.attrib:
            one.set(name, show(str(one.get(name))))
    etree.indent(copy)
    return etree.tostring(copy, encoding="unicode")


def _fields(fields: tuple[tuple[str, str], ...], read: set[str]) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in fields:
        style = "" if name in read or name.rpartition("/")[2] in read else "dim"
        table.add_row(Text(name, style=style or "cyan"), Text(value, style=style))
    return table


def _parts(parts: tuple[Part, ...]) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    above: list[str] = []
    told: set[str] = set()
    last = ""
    for part in parts:
        *around, name = _STEP.split(part.path)
        if part.path in told and part.path != last:  # another member of a list, so what it is in is named again
            above = above[: max(0, len(around) - 1)]
            told = {part.path}
        for depth, step in enumerate(around):
            if above[depth : depth + 1] != [step]:
                above = [*above[:depth], step]
                table.add_row(Text(f"{_INDENT * depth}{step}", style="cyan dim"), "", "")
        above = above[: len(around)]
        told.add(part.path)
        last = part.path
        label = Text(f"{_INDENT * len(around)}{name}", style="cyan")
        table.add_row(label, Text(part.value), Text(part.place, style="dim"))
    return table


def _problem(problem: RowProblem, place: str) -> Text:
    style = "bold red" if problem.severity == "refuse" else "yellow"
    kind = "error" if problem.severity == "refuse" else "warning"
    at = f" ({place})" if place else ""
    return Text(f"{kind}: {worded(problem)}{at}", style=style)


__all__ = ["Part", "Preview", "place_of", "previews", "show_preview"]
