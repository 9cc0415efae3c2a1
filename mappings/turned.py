"""An inward mapping turned round: its lines by the elements they fill, and the fields that their values go back to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from mappings.codes import CodeTable, UnknownCodeError
from mappings.converting import Converter, ConvertError
from mappings.records import Record
from mappings.selection import Cells, Column, Columns, Origin
from mappings.spec import Step

When = tuple[tuple[str, object], ...]  # fields as the file spells them, and what is expected of them


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a field a line reads (``split``)."""

    separator: str
    number: int

    @property
    def between(self) -> str:
        """What is written between parts: a blank follows where people would write one."""
        return f"{self.separator} " if self.separator in (",", ";") else self.separator


@dataclass(slots=True)
class Draft:
    """A record while it is being filled."""

    fields: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list["Draft"]] = field(default_factory=dict)
    _parts: dict[str, dict[int, str]] = field(default_factory=dict)  # of fields of which each line gives one part

    def put_part(self, name: str, part: "Part", text: str) -> None:
        """Fill in one part of a field, counted from 1; parts that are not known are empty."""
        if name in self.fields and name not in self._parts:
            return  # another line gives the whole
        parts = self._parts.setdefault(name, {})
        parts.setdefault(part.number, text)
        self.fields[name] = part.between.join(parts.get(n, "") for n in range(1, max(parts) + 1))

    def record(self, position: str, parent: Record | None = None) -> Record:
        """Return the record, and those of its groups."""
        groups: dict[str, tuple[Record, ...]] = {}
        made = Record(position, self.fields, groups, parent)
        groups.update(
            {name: tuple(member.record(position, made) for member in members) for name, members in self.groups.items()}
        )
        return made


@dataclass(frozen=True, slots=True)
class Drafts:
    """Where the fields of a line are: in the whole record, in the member at hand, or in a picked member."""

    top: Draft
    here: Draft
    picks: Mapping[str, Draft]

    def find(self, spelt: str) -> tuple[Draft, str]:
        """Return the record that a field as the file spells it is in, and the field's name there."""
        alias, colon, rest = spelt.partition(":")
        if colon and alias in self.picks:
            return self.picks[alias], rest
        return (self.top, spelt[1:]) if spelt.startswith("/") else (self.here, spelt)

    def get(self, spelt: str) -> str | None:
        """Return what is known of a field."""
        draft, name = self.find(spelt)
        return draft.fields.get(name)

    def fill(self, names: Sequence[str], texts: Sequence[str], part: Part | None = None) -> None:
        """Fill in fields, or parts of them; what is there already counts."""
        for spelt, text in zip(names, texts, strict=True):
            draft, name = self.find(spelt)
            if part is None:
                draft.fields.setdefault(name, text)
            else:
                draft.put_part(name, part, text)


@dataclass(frozen=True, slots=True)
class Way:
    """One alternative of a line, turned round. ``rank``: ways with a lower one tell more about the source."""

    names: tuple[str, ...]
    between: str
    undo: tuple[Converter, ...]
    codes: CodeTable | None
    when: When
    rank: tuple[int, int]
    part: Part | None = None

    def texts(self, value: str) -> list[str] | None:
        """Return the texts of the source's fields; None when the value cannot have come this way."""
        try:
            text = value if self.codes is None else self.codes.undo(value)
            for undo in self.undo:
                text = undo(text)
        except (ConvertError, UnknownCodeError):
            return None
        if len(self.names) == 1:
            return [text]
        parts = text.split(self.between, len(self.names) - 1)
        return parts if len(parts) == len(self.names) and all(parts) else None

    def surely_holds(self, drafts: Drafts) -> bool:
        """Whether its conditions hold whatever else will be known: that a field is missing is known at the end only."""
        return all(expected is not False and _holds(expected, drafts.get(name)) for name, expected in self.when)

    def may_hold(self, drafts: Drafts) -> bool:
        """Whether its conditions hold, or can be made to by a field that is not known yet."""
        return all(
            _holds(expected, drafts.get(name)) or _assumed(expected, drafts.get(name)) for name, expected in self.when
        )


@dataclass(frozen=True, slots=True)
class Filled:
    """A line: how its value goes back.

    Attributes:
        target: The path in the object, as the file spells it.
        ways: By which alternatives it can go back, in the order of the file; none for a constant or a reference.
        const: The only text that it can be, for a constant.
        ref: The object type that it refers to, and by ``ref_sources`` what the RefId is made of.
    """

    target: str
    ways: tuple[Way, ...]
    const: str | None
    ref: str | None
    ref_sources: tuple[str, ...]


@dataclass(slots=True)
class Node:
    """An element of the object and the lines that fill it."""

    step: Step
    text: Filled | None = None
    attributes: dict[str, Filled] = field(default_factory=dict)
    children: dict[Step, "Node"] = field(default_factory=dict)
    members: "Members | None" = None  # of a list

    def texts(self, element: etree._Element) -> Iterator[tuple[Filled, str | None]]:
        """Yield the lines of the element's own text and attributes, each with what the element has."""
        if self.text is not None:
            yield self.text, text_of(element)
        for name, line in self.attributes.items():
            yield line, element.get(name)

    def fits(self, element: etree._Element) -> bool:
        """Whether an element can be this one: its attributes and constants are right."""
        if any(element.get(name) != text for name, text in self.step.predicates):
            return False
        if any(line.const is not None and text != line.const for line, text in self.texts(element)):
            return False
        alone = [child for child in self.children.values() if not child.step.predicates and not child.step.number]
        return all(child.fits(part) for child in alone for part in named(element, child.step.name))

    def places(self, element: etree._Element) -> Iterator[tuple["Node", etree._Element]]:
        """Yield the children that are there, each with its element."""
        for name in dict.fromkeys(step.name for step in self.children):
            nodes = [child for step, child in self.children.items() if step.name == name]
            for part in named(element, name):
                while nodes and not nodes[0].fits(part):
                    nodes.pop(0)
                if not nodes:
                    break
                yield nodes[0], part
                if nodes[0].members is None:
                    nodes.pop(0)


@dataclass(frozen=True, slots=True)
class Members:
    """Where the members of a list, of a pick or of ``each`` go."""

    origin: Origin
    where: tuple[tuple[str, str], ...]  # member fields that are equal to a field of the record
    after: str | None = None  # the pick whose member stands before those of the list

    def put(self, members: list[Draft], drafts: Drafts) -> None:
        """Write the members into the record."""
        for name, spelt in self.where:
            text = drafts.get(spelt)
            for member in members if text is not None else ():
                member.fields.setdefault(name, text or "")
        origin = self.origin
        if isinstance(origin, Columns):
            _put_columns(origin, members, drafts)
            return
        draft = drafts.top if getattr(origin, "from_top", False) else drafts.here
        if isinstance(origin, Cells):
            parts = [member.fields["."] for member in members if "." in member.fields]
            if parts:
                draft.fields[origin.name] = origin.separator.join(parts)
        elif members:
            draft.groups.setdefault(origin.name, []).extend(members)


def _put_columns(origin: Columns, members: list[Draft], drafts: Drafts) -> None:
    sets = iter(origin.sets)
    for member in members:
        for columns in sets:
            if all(column.source or member.fields.get(column.field) in (None, column.const) for column in columns):
                _put_member(columns, member, drafts)
                break


def _put_member(columns: Sequence[Column], member: Draft, drafts: Drafts) -> None:
    for column in columns:
        if column.source and column.field in member.fields:
            draft = drafts.top if column.from_top else drafts.here
            draft.fields[column.source] = member.fields[column.field]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a mapping turned round.

    Attributes:
        root: The object with its lines.
        each: Where the member goes that became the object; None when the record itself did.
        picks: Where picked members go.
        when: The conditions of the whole mapping.
        refs: Paths of what is a RefId.
        identifying: The source fields that are read to identify the object, or to decide over it.
    """

    root: Node
    each: Members | None
    picks: Mapping[str, Members]
    when: When
    refs: frozenset[str]
    identifying: frozenset[str]


def assume(when: When, drafts: Drafts) -> None:
    """Make conditions hold where a field that is not known can be one of some texts: the first of them."""
    for name, expected in when:
        text = _assumed(expected, drafts.get(name))
        if text is not None:
            drafts.fill([name], [text])


def _holds(expected: object, text: str | None) -> bool:
    """Whether a field is as a ``when`` wants it."""
    if isinstance(expected, bool):
        return (text is not None) is expected
    folded = None if text is None else text.strip().casefold()
    if isinstance(expected, dict):
        return folded not in _folded(expected["not"])
    return folded in _folded(expected)


def _assumed(expected: object, text: str | None) -> str | None:
    """Return a text that makes a ``when`` hold for a field that is not known; None where there is no such text."""
    if text is not None or isinstance(expected, bool | dict):
        return None
    return expected if isinstance(expected, str) else str(expected[0])  # type: ignore[index]  # a list, as was checked


def _folded(expected: Any) -> set[str]:
    return {text.strip().casefold() for text in ([expected] if isinstance(expected, str) else expected)}


def text_of(element: etree._Element) -> str | None:
    """Return an element's own text, without blanks around it; None when there is none."""
    return (element.text or "").strip() or None


def named(element: etree._Element, name: str) -> list[etree._Element]:
    """Return the children of one name, in any namespace."""
    return list(element.iterchildren("{*}" + name))
