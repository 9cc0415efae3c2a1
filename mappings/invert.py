"""Turns inward mappings round, and names each line that loses something; using the inverse is ``inverse``'s work.

What an inverse gives back is not the source's spelling but one that means the same: translating it gives the same
object again. ``Inverse.record`` looks whether that is so, each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from mappings.converters import Converter, inverse
from mappings.document import Document, Where
from mappings.inverse import Inverse, Reference, Undone
from mappings.inward import InwardMapping
from mappings.lineage import Line
from mappings.origins import OriginReader
from mappings.problems import Problem
from mappings.selection import Group
from mappings.shelves import shelves
from mappings.spec import Reader, Step, path_steps
from mappings.turned import Filled, Members, Node, Part, Plan, Way

_KEYS_BESIDE: Final = frozenset({"key", "about", "when", "gone"})  # kinds of lines that read and fill no element


@dataclass(frozen=True, slots=True)
class NotInvertible:
    """Why a mapping cannot be turned round.

    Attributes:
        name: The mapping's name.
        obstacles: Each line that loses something, with its place and what it loses, in the order of the file.
    """

    name: str
    obstacles: tuple[Problem, ...]

    def __str__(self) -> str:
        return "\n".join(str(obstacle) for obstacle in self.obstacles)


def invert(mapping: InwardMapping, document: Document, library: Sequence[Path] = ()) -> Inverse | NotInvertible:
    """Turn a mapping round.

    Args:
        mapping: What ``load`` gave.
        document: What ``open_document`` gave of the same name.
        library: As for ``load``.

    Returns:
        The inverse; or each line that stands in its way. Constants, references and RefIds do not: they are made anew.
        Of alternatives, the first that can have given a value counts. Of a code table's source codes with one meaning,
        the first in the file is written.
    """
    turner = _Turner(mapping, document, library)
    root = turner.root()
    if turner.obstacles:
        return NotInvertible(mapping.name, tuple(sorted(turner.obstacles)))
    identifying = turner.identifying()
    beside = tuple(name for name in identifying if name not in turner.carried)
    when = tuple(document.values.get("when", {}).items())
    refs = frozenset({"@RefId", *turner.refs})
    plan = Plan(root, turner.each, turner.picks, when, refs, frozenset(identifying))
    return Inverse(mapping.name, mapping.object_type, beside, mapping, plan)


class _Turner:
    """Reads a mapping's file, which is known to be right, for what each line loses."""

    def __init__(self, mapping: InwardMapping, document: Document, library: Sequence[Path]) -> None:
        self._document, self._values = document, document.values
        self._reader = Reader(document, shelves(library, Path(document.file)))
        self._origins = OriginReader(self._reader, lambda _where, _name: None)
        self._lines = mapping.lines
        self._line = {(line.target, line.number): line for line in mapping.lines if line.kind == "field"}
        self.carried: set[str] = set()  # source fields, in full, that some line gives back
        # Lines that give nothing back: what they read, and why.
        self._doubtful: list[tuple[tuple[str, ...], list[Problem]]] = []
        self.obstacles: list[Problem] = []
        self.refs: set[str] = set()
        self.each = self._members((), self._values, "each") if {"each", "columns"} & self._values.keys() else None
        self.picks = self._picks()

    def root(self) -> Node:
        """Return the object with its lines."""
        root = Node(Step(""))
        for path, spec in self._values.get("fields", {}).items():
            self._add(root, path, self._value(path, ("fields", path), spec))
        for path, given in self._values.get("lists", {}).items():
            where: Where = ("lists", path)
            node = self._node(root, path_steps(path) or ())
            node.members = self._members(where, given, "each")
            for part, spec in given["fields"].items():
                whole = path if part == "." else f"{path}/{part}"
                self._add(root, whole, self._value(whole, (*where, "fields", part), spec))
        for names, reasons in self._doubtful:
            if not self.carried.issuperset(names):
                self.obstacles.extend(reasons)
        self._check_shared()
        return root

    def identifying(self) -> tuple[str, ...]:
        """Return the fields that are read to identify the object, or to decide over it."""
        read: list[str] = []
        for line in self._lines:
            if line.kind in _KEYS_BESIDE or line.ref is not None:
                read.extend(line.sources)
            read.extend(line.when)
        for members in (*((self.each,) if self.each is not None else ()), *self.picks.values()):
            read.extend(spelt.removeprefix("/") for _, spelt in members.where)
        return tuple(dict.fromkeys(read))

    def _add(self, root: Node, path: str, value: Filled) -> None:
        steps = path_steps(path) or ()
        node = self._node(root, steps)
        if steps[-1].is_attribute:
            node.attributes[steps[-1].name[1:]] = value
        else:
            node.text = value
        if value.ref is not None:
            self.refs.add("/".join(step.name for step in steps))

    @staticmethod
    def _node(root: Node, steps: Sequence[Step]) -> Node:
        node = root
        for step in steps:
            if step.is_attribute or step.name == ".":
                break
            key = Step(step.name, tuple(sorted(step.predicates)), step.number)
            node = node.children.setdefault(key, Node(key))
        return node

    def _picks(self) -> dict[str, Members]:
        found = {}
        for alias, given in self._values.get("pick", {}).items():
            where: Where = ("pick", alias)
            members = self._members(where, given, "from")
            if members is not None and not isinstance(members.origin, Group):
                self._stop(where, "the member is picked from columns or from one cell: which one it was is not known")
            elif members is not None:
                found[alias] = members
        return found

    def _members(self, where: Where, given: Mapping[str, Any], way: str) -> Members | None:
        origin = self._origins.origin(where, given, way)
        if origin is None:
            return None
        after = None
        if given.get("skip"):
            after = self._pick_before(given)
            if after is None:
                self._stop((*where, "skip"), "members are skipped, and no [pick] reads the one that is")
        return Members(origin, tuple(given.get("where", {}).items()), after)

    def _pick_before(self, given: Mapping[str, Any]) -> str | None:
        """Return the pick that reads the one member that a list skips."""
        plain = given["skip"] == 1 and "where" not in given and "order" not in given
        for alias, pick in self._values.get("pick", {}).items():
            if plain and pick.get("from") == given.get("each") and not {"where", "order", "take"} & pick.keys():
                return str(alias)
        return None

    def _value(self, target: str, where: Where, spec: Any) -> Filled:
        listed = isinstance(spec, list)
        parts = [(where, spec)] if not listed else [((*where, index), part) for index, part in enumerate(spec)]
        ways: list[Way] = []
        reasons: list[Problem] = []
        lines = [self._line[target, number] for number in range(1, len(parts) + 1)]
        for number, ((place, part), line) in enumerate(zip(parts, lines, strict=True)):
            given: Mapping[str, Any] = {"from": part} if isinstance(part, str) else part
            if "const" in given or "ref" in given or given.get("from") == "#":
                continue
            way = self._way(place, given, line, number, reasons)
            if way is not None:
                ways.append(way)
                self.carried.update(line.sources)
        if not ways and reasons:
            self._doubtful.append((tuple(name for line in lines for name in line.sources), reasons))
        first = lines[0]
        const = first.const if len(lines) == 1 and not first.when else None
        ref = next((line.ref for line in lines if line.ref is not None), None)
        of_ref = tuple(dict.fromkeys(name for line in lines if line.ref is not None for name in line.sources))
        return Filled(target, tuple(ways), const, None if ways else ref, of_ref)

    def _way(
        self, where: Where, given: Mapping[str, Any], line: Line, number: int, reasons: list[Problem]
    ) -> Way | None:
        """Return an alternative turned round; or None, and what it loses among the reasons."""
        reason = partial(self._document.problem, where)
        names = tuple(given.get("join", [given.get("from")]))
        if len(names) > 1 and not given.get("with"):
            reasons.append(reason("joined without a separator: where one field ends is not known; add 'with'"))
            return None
        lost = [self._unpicked(name) for name in names]
        if any(lost):
            reasons.append(reason(next(filter(None, lost))))
            return None
        part = self._part(given, line) if len(names) == 1 else None
        undo = self._undo(where, given, reasons, 0 if part is None else 1)
        if undo is None:
            return None
        codes = line.codes
        kind = 10 * number + (2 if codes is not None else 1 if undo or part else 0)
        rank = (kind, 0 if codes is None else -len(codes.preferred))
        return Way(names, given.get("with", ""), undo, codes, tuple(given.get("when", {}).items()), rank, part)

    def _undo(
        self, where: Where, given: Mapping[str, Any], reasons: list[Problem], passed: int
    ) -> tuple[Converter, ...] | None:
        """Return what undoes a line's converters, the last first, without those that are passed over."""
        undo: list[Converter] = []
        spelt = given.get("convert", [])
        for index, name in list(enumerate(_list(spelt)))[passed:]:
            place = (*where, "convert") if isinstance(spelt, str) else (*where, "convert", index)
            found = inverse(name, Path(self._document.place(place).file).parent)
            if found is None:
                message = f"{name.partition(':')[0]}: loses what it leaves out, so it cannot be undone"
                reasons.append(self._document.problem(place, message))
                return None
            undo.insert(0, found)
        return tuple(undo)

    def _part(self, given: Mapping[str, Any], line: Line) -> Part | None:
        """Return the part of its field that a line reads, where others read all parts before it."""
        part = _part_of(_list(given.get("convert", [])))
        if part is None or "when" in given:
            return None
        others = {
            other.number
            for each in self._line.values()
            if each.sources == line.sources and not each.when
            if (other := _part_of(each.convert)) is not None and other.separator == part.separator
        }
        return part if others.issuperset(range(1, part.number + 1)) else None

    def _unpicked(self, name: str) -> str | None:
        """Return why a field that is read from a pick cannot be given back, where that is so."""
        alias, colon, _ = name.partition(":")
        if colon and alias in self._values.get("pick", {}) and alias not in self.picks:
            return f"read from [pick.{alias}], whose members cannot be got back"
        return None

    def _stop(self, where: Where, message: str) -> None:
        self.obstacles.append(self._document.problem(where, message))

    def _check_shared(self) -> None:
        """Report a source field whose code tables cannot be satisfied by one source code."""
        by_source: dict[tuple[str, ...], list[Line]] = {}
        for line in self._line.values():
            if line.sources and line.const is None and line.ref is None:
                by_source.setdefault(line.sources, []).append(line)
        for lines in by_source.values():
            tables = [line.codes for line in lines if line.codes is not None and not line.convert]
            if len(tables) < 2 or len(tables) < len(lines):
                continue  # another line gives the field back as it is
            best = max(tables, key=lambda table: len(table.preferred))
            chosen = {code: best.preferred[target] for code, target in best.codes.items()}
            for line, table in zip(lines, tables, strict=True):
                if any(table.codes.get(code) != table.codes.get(kept.casefold()) for code, kept in chosen.items()):
                    message = f"the source field {line.sources[0]!r} is used in two lines that differ"
                    self.obstacles.append(Problem(line.file, line.line, line.column, message))


def _list(spelt: Any) -> list[str]:
    return [spelt] if isinstance(spelt, str) else list(spelt)


def _part_of(convert: Sequence[str]) -> Part | None:
    """Return which part of a field converters begin with, counted from its beginning."""
    name, _, argument = convert[0].partition(":") if convert else ("", "", "")
    separator, _, number = argument.rpartition(":")
    return Part(separator, int(number)) if name == "split" and int(number) > 0 else None


__all__ = ["Inverse", "NotInvertible", "Reference", "Undone", "invert"]
