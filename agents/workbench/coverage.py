"""Measures over a whole export, in constant memory, what a mapping fills, which codes it meets and what is wrong."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import schemas
from agents.connectors.contract import SourceFields, SourceProblem
from agents.workbench.columns import Columns
from agents.workbench.filled import Filler
from agents.workbench.masks import printable
from agents.workbench.preview import place_of
from agents.workbench.reading import Mapped, mapped
from agents.workbench.samples import Source
from agents.workbench.tally import Count, Tally, plain_path
from mappings import InwardMapping
from mappings.lineage import Line

_BAR: Final = 20
_MAX_LISTED: Final = 40
_MAX_CODES: Final = 1000
_EVERY: Final = 500
"""Records between two reports of progress."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TargetCover:
    """How often one target is filled: in how many of the mapping's objects, and by which line of it."""

    path: str
    place: str
    sources: tuple[str, ...]
    filled: int


@dataclass(frozen=True, slots=True)
class CodeCover:
    """Which codes of a list were met at one target.

    Attributes:
        path: The target.
        list_name: The standard's code list.
        met: Codes of the list with how often each was met, in the order of the list; then codes that only have the
            shape of its codes, where the list is one that says no more.
        never: Codes of the list that were never met.
        other: How often something was met that is not in the list, which an open list lets through.
    """

    path: str
    list_name: str
    met: tuple[tuple[str, int], ...]
    never: tuple[str, ...]
    other: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one mapping makes of a whole file.

    Attributes:
        mapping: The mapping's name.
        object_type: What it makes.
        records: Records that were mapped; a mapping that gathers rows has fewer than the file has rows.
        objects: Objects that were made.
        targets: Each target of the mapping, in the order of its file.
        codes: Each target that has a code list.
        broken: Each rule that was broken, what stops objects first.
        unread: Columns that the mapping does not read.
    """

    mapping: str
    object_type: str
    records: int
    objects: int
    targets: tuple[TargetCover, ...]
    codes: tuple[CodeCover, ...]
    broken: tuple[Count, ...] = field(repr=False)
    unread: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: the attributes by name."""
        return {
            "mapping": self.mapping,
            "object": self.object_type,
            "records": self.records,
            "objects": self.objects,
            "targets": [
                {"path": t.path, "line": t.place, "sources": list(t.sources), "filled": t.filled} for t in self.targets
            ],
            "codes": [
                {"path": c.path, "list": c.list_name, "met": dict(c.met), "never": list(c.never), "other": c.other}
                for c in self.codes
            ],
            "broken": [count.plain() for count in self.broken],
            "unread": list(self.unread),
        }


def cover(
    mappings: Sequence[InwardMapping], source: Source, progress: Progress = lambda _records: None
) -> tuple[Coverage, ...]:
    """Return what each mapping makes of the whole file; *progress* is told how many records have been read.

    Raises:
        SourceError: The file cannot be read, or not to its end.
    """
    meters = [_Meter(mapping) for mapping in mappings]
    by_mapping = {id(meter.mapping): meter for meter in meters}
    columns = Columns()
    count = 0
    for item in mapped(source, mappings):
        if isinstance(item, SourceFields):
            columns.state(item.names)
        elif not isinstance(item, SourceProblem):
            columns.meet(item.record)
            by_mapping[id(item.mapping)].add(item)
            count += 1
            if count % _EVERY == 0:
                progress(count // len(meters))
    progress(count // max(1, len(meters)))
    return tuple(meter.coverage(columns) for meter in meters)


def show_coverage(coverage: Coverage, console: Console) -> None:
    """Print coverage as tables with bars."""
    title = f"{coverage.mapping}: {coverage.objects:,} {coverage.object_type} of {coverage.records:,} records"
    table = _table(title, "Target", "Filled", "", "Line", "From")
    for target in coverage.targets:
        table.add_row(
            target.path, _share(target.filled, coverage.objects), f"{target.filled:,}", target.place,
            ", ".join(target.sources),
        )  # fmt: skip
    console.print(table)
    if coverage.codes:
        _show_codes(coverage.codes, console)
    if coverage.broken:
        _show_broken(coverage.broken, console)
    if coverage.unread:
        console.print(Text("Columns that this mapping does not read", style="bold"))
        console.print(Text(f"  {_listed(coverage.unread)}\n"))


class _Meter:
    def __init__(self, mapping: InwardMapping) -> None:
        self.mapping = mapping
        self._filler = Filler(mapping.lines)
        self._tally = Tally(mapping)
        self._targets = _targets(mapping.lines)
        self._filled: Counter[str] = Counter()
        self._lists = _lists(mapping)
        self._codes: dict[str, Counter[str]] = {path: Counter() for path in self._lists}
        self._other: Counter[str] = Counter()
        self._records = self._objects = 0

    def add(self, item: Mapped) -> None:
        self._records += 1
        self._tally.add(item.translation.problems, item.record)
        for made in item.translation.objects:
            self._objects += 1
            seen: set[str] = set()
            for found in self._filler.filled(made.element):
                if found.line is not None:
                    seen.add(found.line.target)
                self._code(found.plain, found.value)
            self._filled.update(seen)

    def _code(self, path: str, value: str) -> None:
        known = self._lists.get(path)
        if known is None:
            return
        codes = self._codes[path]
        if value in known and (value in codes or len(codes) < _MAX_CODES):
            codes[value] += 1
        else:
            self._other[path] += 1

    def coverage(self, columns: Columns) -> Coverage:
        sources = [name for line in self.mapping.lines for name in (*line.sources, *line.when)]
        return Coverage(
            self.mapping.name,
            self.mapping.object_type,
            self._records,
            self._objects,
            tuple(
                TargetCover(path, place_of(lines[0]), _sources(lines), self._filled[path])
                for path, lines in self._targets.items()
            ),
            tuple(self._code_cover(path) for path in self._lists),
            tuple(self._tally.counts()),
            columns.unread(sources),
        )

    def _code_cover(self, path: str) -> CodeCover:
        known, counts = self._lists[path], self._codes[path]
        of_pattern = sorted(code for code in counts if code not in known.labels)
        met = tuple((code, counts[code]) for code in [*known.labels, *of_pattern] if counts[code])
        never = tuple(code for code in known.labels if not counts[code])
        return CodeCover(path, known.name, met, never, self._other[path])


def _targets(lines: Sequence[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        if line.kind == "field":
            found.setdefault(line.target, []).append(line)
    return found


def _sources(lines: Sequence[Line]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for line in lines for name in line.sources))


def _lists(mapping: InwardMapping) -> dict[str, schemas.CodeList]:
    """Return the code lists of the schema by the plain paths of the targets that have one."""
    schema = schemas.load()
    found = {}
    for line in mapping.lines:
        path = plain_path(line.target)
        node = schema.find(mapping.object_type, path) if line.kind == "field" else None
        if node is not None and node.codes is not None:
            found[path] = schemas.codes(node.codes)
    return found


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in ("", "Times") else "left")
    return table


def _share(count: int, whole: int) -> Text:
    part = count / whole if whole else 0.0
    full = round(part * _BAR)
    style = "green" if part > 0.99 else "yellow" if part > 0 else "red"
    percent = f"{part:4.0%}" if count in (0, whole) or 0.005 <= part < 0.995 else "<1%" if part < 0.5 else ">99%"
    return Text(f"{'█' * full}{'░' * (_BAR - full)} {percent:>4}", style=style)


def _show_codes(codes: Sequence[CodeCover], console: Console) -> None:
    table = _table("Codes", "Target", "List", "Met", "Never met")
    for cover_ in codes:
        met = [f"{code} {count:,}" for code, count in cover_.met]
        other = [f"not in the list {cover_.other:,}"] if cover_.other else []
        table.add_row(cover_.path, cover_.list_name, _listed([*met, *other]) or "none", _listed(cover_.never))
    console.print(table)


def _show_broken(broken: Sequence[Count], console: Console) -> None:
    table = _table("Rules broken", "Times", "", "Target", "Rule", "What to do", "Where", "Codes", "Line")
    for count in broken:
        kind = Text("error", style="bold red") if count.refused else Text("warning", style="yellow")
        codes = ", ".join(f"{code!r} {times:,}" for code, times in count.shown_codes())
        problem = count.sample
        table.add_row(
            f"{count.count:,}", kind, problem.target, problem.rule, problem.message, count.where(), codes,
            place_of(count.line),
        )  # fmt: skip
    console.print(table)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return printable(", ".join(names[:_MAX_LISTED])) + more


__all__ = ["CodeCover", "Coverage", "TargetCover", "cover", "show_coverage"]
