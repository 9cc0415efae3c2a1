"""Compares what two versions of a mapping make of a sample: what would change, and for which rows of it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.connectors.contract import SourceFields, SourceProblem
from agents.workbench.masks import shown
from agents.workbench.reading import Mapped, mapped
from agents.workbench.samples import Source
from agents.workbench.tally import worded
from broker.protocol.errors import ConfigurationError
from mappings import InwardMapping, MappedObject, RowProblem, Translation

MAX_POSITIONS: Final = 10
"""Rows that are named of each change."""
_NUMBER: Final = re.compile(r"[0-9]+")
MAX_GATHERED: Final = 20_000
"""Most records where the two mappings gather rows differently, so that all must be held."""


@dataclass(slots=True)
class Change:
    """What happens to one thing, in how many objects and in which rows.

    Attributes:
        name: The path in the object; or what happens to the object.
        count: How many objects.
        positions: The first of the rows.
        values: For each of these rows the text before and after, several joined by bars. Personal data.
    """

    name: str
    count: int = 0
    positions: list[str] = field(default_factory=list)
    values: list[tuple[str, str]] = field(default_factory=list, repr=False)

    def add(self, position: str, old: str = "", new: str = "") -> None:
        """Count one more."""
        self.count += 1
        if len(self.positions) < MAX_POSITIONS:
            self.positions.append(position)
            self.values.append((old, new))

    def where(self) -> str:
        """Return the rows, for people."""
        more = self.count - len(self.positions)
        return ", ".join(self.positions) + (f" and {more:,} more" if more > 0 else "")

    def plain(self, *, values: bool) -> dict[str, Any]:
        """Return it as JSON has it: name, count, positions; with *values* also before and after of each."""
        shown: dict[str, Any] = {"name": self.name, "count": self.count, "positions": list(self.positions)}
        if values:
            shown["values"] = [{"before": old, "after": new} for old, new in self.values]
        return shown


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would change if the new mapping took the place of the old one.

    Attributes:
        object_type: What both make.
        records: Records that were compared.
        paired: Objects that both make, of the same record and with the same RefId where there is such a one.
        same: Those of them that stay as they are.
        changed: Those of which something in them changes.
        renamed: Those that get another RefId: to the zone one object is deleted and another one added.
        added: Objects that only the new mapping makes.
        removed: Objects that only the old mapping makes.
        paths: For each path the objects in which it changes, most first.
        gone: Problems that there would no longer be, by what is wrong.
        new: Problems that there would be.
    """

    object_type: str
    records: int
    paired: int
    same: int
    changed: Change
    renamed: Change
    added: Change
    removed: Change
    paths: tuple[Change, ...]
    gone: tuple[Change, ...]
    new: tuple[Change, ...]

    @property
    def nothing(self) -> bool:
        """Whether nothing would change, not even what is reported."""
        return self.same == self.paired and not (self.added.count or self.removed.count or self.gone or self.new)

    def warning(self) -> str:
        """Return what must not be overlooked: that RefIds change; empty where none does."""
        count = self.renamed.count
        if not count:
            return ""
        what = self.object_type
        some = f"{count:,} of {self.paired:,} {what} get a new RefId"
        who = f"every {what} gets a new RefId" if count == self.paired else some
        return (
            f"{who}: to the zone each is deleted and another one added, and what others keep about it is lost or "
            "doubled. Leave 'key' as it was, unless that is what you want"
        )

    def plain(self, *, values: bool = False) -> dict[str, Any]:
        """Return it as JSON has it: the attributes by name; texts of the objects only where *values* asks for them."""
        return {
            "object": self.object_type,
            "records": self.records,
            "paired": self.paired,
            "same": self.same,
            "changed": self.changed.plain(values=False),
            "ref_ids_changed": self.renamed.plain(values=False),
            "warning": self.warning(),
            "added": self.added.plain(values=False),
            "removed": self.removed.plain(values=False),
            "paths": [change.plain(values=values) for change in self.paths],
            "problems_gone": [change.plain(values=False) for change in self.gone],
            "problems_new": [change.plain(values=False) for change in self.new],
        }


def compare(old: InwardMapping, new: InwardMapping, source: Source) -> Comparison:
    """Return what would change in what is made of a sample.

    Raises:
        ConfigurationError: The two make different objects, or gather rows differently and the sample is too large.
        SourceError: The sample cannot be read, or not to its end.
    """
    if old.object_type != new.object_type:
        raise ConfigurationError(
            f"the old mapping makes {old.object_type} and the new one {new.object_type}: compare two of the same object"
        )
    comparing = _Comparing(old.object_type)
    if old.rows == new.rows:
        for pair in _pairs(old, new, source):
            comparing.records += 1
            comparing.add(*pair)
    else:
        comparing.add(_all(old, source, comparing), _all(new, source, comparing))
    return comparing.result()


_Side = tuple[list[tuple[str, MappedObject]], list[RowProblem]]


def _pairs(old: InwardMapping, new: InwardMapping, source: Source) -> Iterator[tuple[_Side, _Side]]:
    """Yield what both make of each record: a gathering hands each record to both, one after the other."""
    before: _Side | None = None
    for item in mapped(source, [old, new]):
        if isinstance(item, (SourceFields, SourceProblem)):
            continue
        if before is None:
            before = _side(item)
        else:
            yield before, _side(item)
            before = None


def _side(item: Mapped) -> _Side:
    translation: Translation = item.translation
    return [(item.record.position, made) for made in translation.objects], list(translation.problems)


def _all(mapping: InwardMapping, source: Source, comparing: "_Comparing") -> _Side:
    objects: list[tuple[str, MappedObject]] = []
    problems: list[RowProblem] = []
    count = 0
    for item in mapped(source, [mapping]):
        if isinstance(item, (SourceFields, SourceProblem)):
            continue
        count += 1
        if count > MAX_GATHERED:
            raise ConfigurationError(
                f"the mappings gather rows differently, so no more than {MAX_GATHERED:,} records can be compared: "
                "take a smaller sample"
            )
        found, wrong = _side(item)
        objects += found
        problems += wrong
    comparing.records = max(comparing.records, count)
    return objects, problems


class _Comparing:
    def __init__(self, object_type: str) -> None:
        self._object_type = object_type
        self.records = self._paired = self._same = 0
        self._changed, self._renamed = Change("changed"), Change("ref_ids_changed")
        self._added, self._removed = Change("added"), Change("removed")
        self._paths: dict[str, Change] = {}
        self._gone: dict[str, Change] = {}
        self._new: dict[str, Change] = {}

    def add(self, old: _Side, new: _Side) -> None:
        """Compare what both make of the same records: those with the same RefId, then what is left in its order."""
        (old_made, old_problems), (new_made, new_problems) = old, new
        by_ref_id = {made.ref_id: (position, made) for position, made in new_made}
        left: list[tuple[str, MappedObject]] = []
        for position, made in old_made:
            found = by_ref_id.pop(made.ref_id, None)
            if found is None:
                left.append((position, made))
            else:
                self._pair(position, made, found[1])
        self._unlike(left, list(by_ref_id.values()))
        self._problems(old_problems, new_problems)

    def _unlike(self, old: list[tuple[str, MappedObject]], new: list[tuple[str, MappedObject]]) -> None:
        """Compare objects without the same RefId: those of one record are taken to be the same, in their order."""
        waiting: dict[str, list[tuple[str, MappedObject]]] = {}
        for position, made in new:
            waiting.setdefault(_begins(position), []).append((position, made))
        for position, made in old:
            same = waiting.get(_begins(position))
            if same:
                self._renamed.add(position)
                self._pair(position, made, same.pop(0)[1])
            else:
                self._removed.add(position)
        for position, _ in (one for rest in waiting.values() for one in rest):
            self._added.add(position)

    def _pair(self, position: str, old: MappedObject, new: MappedObject) -> None:
        self._paired += 1
        if old.ref_id == new.ref_id and etree.tostring(old.element) == etree.tostring(new.element):
            self._same += 1
            return
        before, after = _leaves(old.element), _leaves(new.element)
        differing = [path for path in {**before, **after} if before.get(path) != after.get(path)]
        for path in differing:
            texts = (" | ".join(before.get(path, ())), " | ".join(after.get(path, ())))
            self._paths.setdefault(path, Change(path)).add(position, *texts)
        if differing:
            self._changed.add(position)

    def _problems(self, old: list[RowProblem], new: list[RowProblem]) -> None:
        before = Counter((p.position, _named(p)) for p in old)
        after = Counter((p.position, _named(p)) for p in new)
        for changes, found in ((self._gone, before - after), (self._new, after - before)):
            for (position, name), count in found.items():
                for _ in range(count):
                    changes.setdefault(name, Change(name)).add(position)

    def result(self) -> Comparison:
        return Comparison(
            self._object_type,
            self.records,
            self._paired,
            self._same,
            self._changed,
            self._renamed,
            self._added,
            self._removed,
            _most_first(self._paths),
            _most_first(self._gone),
            _most_first(self._new),
        )


def _begins(position: str) -> str:
    """Return the number of the first row of a position, which two ways to gather rows have in common."""
    found = _NUMBER.search(position)
    return found[0] if found else position


def _most_first(changes: dict[str, Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes.values(), key=lambda change: -change.count))


def _named(problem: RowProblem) -> str:
    kind = "error" if problem.severity == "refuse" else "warning"
    return f"{kind}: {worded(problem)}"


def _leaves(element: etree._Element) -> dict[str, tuple[str, ...]]:
    """Return the texts and attributes of an object by path, those of repeated elements in their order."""
    found: dict[str, list[str]] = {}
    for name, text in element.attrib.items():
        if name != "RefId":
            found.setdefault(f"@{name!s}", []).append(str(text))
    for child in element:
        _add_leaves(child, "", found)
    return {path: tuple(texts) for path, texts in found.items()}


def _add_leaves(element: etree._Element, above: str, found: dict[str, list[str]]) -> None:
    kind = element.get("Type")
    name = str(element.tag).rpartition("}")[2]
    path = f"{above}{name}[@Type='{kind}']" if kind is not None else f"{above}{name}"
    for attribute, text in element.attrib.items():
        if attribute != "Type":
            found.setdefault(f"{path}/@{attribute!s}", []).append(str(text))
    if len(element):
        for child in element:
            _add_leaves(child, f"{path}/", found)
    else:
        found.setdefault(path, []).append(element.text or "")


def show_comparison(comparison: Comparison, console: Console, *, values: bool = False) -> None:
    """Print a comparison; texts of the objects only where *values* asks for them."""
    if comparison.warning():
        console.print(Text(f"RefIds change: {comparison.warning()}.\n", style="bold red"), soft_wrap=True)
    title = f"{comparison.object_type} of {comparison.records:,} records"
    table = _table(title, "Objects", "Count", "Rows")
    table.add_row("stay as they are", f"{comparison.same:,}", "")
    for label, change in (
        ("changed", comparison.changed),
        ("with a new RefId", comparison.renamed),
        ("added", comparison.added),
        ("no longer made", comparison.removed),
    ):
        table.add_row(label, f"{change.count:,}", change.where())
    console.print(table)
    _show_changes("What changes in them", comparison.paths, console, values=values)
    _show_changes("Problems that are gone", comparison.gone, console)
    _show_changes("New problems", comparison.new, console)
    if comparison.nothing:
        console.print("Nothing would change.")


def _show_changes(title: str, changes: Sequence[Change], console: Console, *, values: bool = False) -> None:
    if not changes:
        return
    table = _table(title, "What", "Count", "Rows")
    for change in changes:
        table.add_row(change.name, f"{change.count:,}", change.where())
        if values:
            for position, (old, new) in zip(change.positions, change.values, strict=True):
                table.add_row("", "", f"{position}: {shown(old) or 'nothing'} -> {shown(new) or 'nothing'}")
    console.print(table)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading == "Count" else "left")
    return table


__all__ = ["MAX_POSITIONS", "Change", "Comparison", "compare", "show_comparison"]
