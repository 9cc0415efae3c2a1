"""Which members a record has, where it has several of something: a group, the parts of one cell, numbered columns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mappings.records import Record
from mappings.scope import Scope

ROWS: Final = "rows"  # the group of a record that was gathered of rows
MAX_ROWS: Final = 10_000  # of one gathered record


class Origin(Protocol):
    """Where members come from."""

    @property
    def name(self) -> str:
        """What problems call it: the group, the field, or the columns separated by commas."""

    def members(self, scope: Scope) -> tuple[Record, ...]:
        """Return the members in the order of the source; none where the source has nothing of them."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the record: repeated elements, or gathered rows."""

    name: str
    from_top: bool = False

    def members(self, scope: Scope) -> tuple[Record, ...]:
        """Return the group's members."""
        record = scope.top if self.from_top else scope.record
        return record.groups.get(self.name, ())


@dataclass(frozen=True, slots=True)
class Cells:
    """The parts of one field: ``MLD; SLCN`` with ``;`` are two members, whose field ``.`` is the part."""

    name: str
    separator: str
    from_top: bool = False

    def members(self, scope: Scope) -> tuple[Record, ...]:
        """Return a member for each part that is not blank."""
        record = scope.top if self.from_top else scope.record
        text = record.fields.get(self.name)
        if text is None:
            return ()
        parts = (part.strip() for part in text.split(self.separator))
        return tuple(Record(record.position, {".": part}, parent=record) for part in parts if part)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a member that is made of columns.

    Attributes:
        field: The member's field.
        source: The record's field that it is read from; empty for a constant.
        from_top: The field is the whole record's.
        const: The constant.
    """

    field: str
    source: str
    from_top: bool = False
    const: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Sets of columns, each of which is a member: ``Tel 1`` and ``Tel 1 Type``, ``Tel 2`` and ``Tel 2 Type``."""

    sets: tuple[tuple[Column, ...], ...]

    @property
    def name(self) -> str:
        """The columns, for messages."""
        return ", ".join(dict.fromkeys(column.source for columns in self.sets for column in columns if column.source))

    def members(self, scope: Scope) -> tuple[Record, ...]:
        """Return a member for each set of which at least one column is filled."""
        found = []
        for columns in self.sets:
            fields = {}
            filled = False
            for column in columns:
                text: str | None = column.const
                if column.source:
                    record = scope.top if column.from_top else scope.record
                    text = record.fields.get(column.source)
                    filled = filled or text is not None
                if text is not None:
                    fields[column.field] = text
            if filled:
                found.append(Record(scope.record.position, fields, parent=scope.record))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which members of an origin, in which order.

    Attributes:
        origin: Where they come from.
        where: Member fields that must equal a value of the record.
        order: The member field by which they are sorted.
        skip: How many are passed over at the beginning.
    """

    origin: Origin
    where: tuple[tuple[str, Callable[[Scope], str | None]], ...] = ()
    order: str | None = None
    skip: int = 0

    @property
    def group(self) -> str:
        """What problems call the origin."""
        return self.origin.name

    def members(self, scope: Scope) -> tuple[Record, ...]:
        """Return the members chosen; none where the origin has none."""
        found = self.origin.members(scope)
        if not found:
            return ()
        if self.where:
            wanted = [(name, get(scope)) for name, get in self.where]
            found = tuple(m for m in found if all(v is not None and m.fields.get(n) == v for n, v in wanted))
        if self.order is not None and len(found) > 1:
            name = self.order
            found = tuple(sorted(found, key=lambda member: _rank(member.fields.get(name))))
        return found[self.skip :] if self.skip else found


def _rank(text: str | None) -> tuple[bool, int, str]:
    """Order: numbers by size, then texts, then what is missing."""
    if text is None:
        return True, 0, ""
    return False, int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 1 << 62, text


@dataclass(frozen=True, slots=True)
class Pick:
    """One member under a name, so that its fields can be read as ``name:Field``."""

    name: str
    selection: Selection
    last: bool = False

    def member(self, scope: Scope) -> Record | None:
        """Return the member picked, or None."""
        members = self.selection.members(scope)
        return members[-1 if self.last else 0] if members else None


@dataclass(frozen=True, slots=True)
class Inside:
    """Where fields are read when they are those of a member; only what is known before there is a record."""

    origin: Origin
    outer: "Inside | None" = None

    @property
    def fields(self) -> tuple[str, ...] | None:
        """The fields that members can have; None where only the source knows."""
        match self.origin:
            case Cells():
                return (".",)
            case Columns(sets):
                return tuple(dict.fromkeys(column.field for columns in sets for column in columns))
        return None

    def full_names(self, name: str) -> tuple[str, ...]:
        """Return what a member's field is called in the whole source: several, where members are columns."""
        match self.origin:
            case Cells(cell, _, from_top):
                return (cell,) if from_top else full_names(self.outer, cell)
            case Columns(sets):
                found = [column for columns in sets for column in columns if column.field == name and column.source]
                names = [(c.source,) if c.from_top else full_names(self.outer, c.source) for c in found]
                return tuple(dict.fromkeys(part for parts in names for part in parts))
            case Group(group, from_top):
                if group == ROWS and self.outer is None:
                    return (name,)
                inner = group if name == "." else f"{group}/{name}"
                return (inner,) if from_top else full_names(self.outer, inner)
        return (name,)


def full_names(inside: Inside | None, name: str) -> tuple[str, ...]:
    """Return what the field that a mapping spells ``Field`` or ``/Field`` is called in the whole source."""
    if name.startswith("/"):
        return (name[1:],)
    return (name,) if inside is None else inside.full_names(name)
