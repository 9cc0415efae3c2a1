"""Builds objects: a tree of targets, laid out once in schema order, is filled from each record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from mappings.records import Record, RefIds, RowProblem
from mappings.values import Key, Test, UnusableError, Value


class Scope:
    """A record (or a member of one of its groups) while it is being mapped."""

    __slots__ = ("index", "notes", "object_type", "picks", "record", "ref_ids", "target", "top")

    def __init__(self, record: Record, top: Record, ref_ids: RefIds, object_type: str, notes: list[RowProblem]) -> None:
        self.record, self.top, self.ref_ids = record, top, ref_ids
        self.object_type, self.notes = object_type, notes
        self.index = 1
        self.target = ""
        self.picks: dict[str, Record | None] = {}

    def member(self, record: Record, index: int) -> "Scope":
        """Return the scope of one member of a list."""
        scope = Scope(record, self.top, self.ref_ids, self.object_type, self.notes)
        scope.index, scope.picks = index, self.picks
        return scope

    def note(self, source: str, message: str) -> None:
        """Report that an alternative with a ``warn`` was used."""
        self.warn(self.target, source, "note", message)

    def warn(self, target: str, source: str, rule: str, message: str, nearest: str | None = None) -> None:
        """Report a part that is left out, or to be looked at."""
        problem = RowProblem(self.record.position, self.object_type, source, target, rule, message, "warn", nearest)
        self.notes.append(problem)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which members of a group, in which order."""

    group: str
    from_top: bool = False
    where: tuple[tuple[str, Callable[[Scope], str | None]], ...] = ()
    order: str | None = None
    skip: int = 0

    def members(self, scope: Scope) -> tuple[Record, ...]:
        """Return the members chosen; none where the group is not there."""
        record = scope.top if self.from_top else scope.record
        found = record.groups.get(self.group, ())
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
    """One member of a group under a name, so that its fields can be read as ``name:Field``."""

    name: str
    selection: Selection
    last: bool = False

    def member(self, scope: Scope) -> Record | None:
        """Return the member picked, or None."""
        members = self.selection.members(scope)
        return members[-1 if self.last else 0] if members else None


@dataclass(frozen=True, slots=True)
class Leaf:
    """An attribute or the text of an element. ``check`` is what the schema says of the value."""

    path: str
    name: str
    value: Value[Scope]
    mandatory: bool
    check: Callable[[str], str] | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an element cannot be made.

    Attributes:
        attempted: The source has something for the element, so that leaving it out is to be reported.
        fatal: The object is not made either, however deep this is.
    """

    path: str
    source: str
    rule: str
    message: str
    nearest: str | None = None
    attempted: bool = False
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """An element that can be written. ``real``: something in it comes from the source."""

    tag: str
    attributes: dict[str, str]
    text: str | None
    children: list["Made"]
    real: bool


@dataclass(frozen=True, slots=True)
class ListOf:
    """A repeated target: one element for each member; ``unique`` names the attribute in which they must differ."""

    selection: Selection
    tests: tuple[Test[Scope], ...] = ()
    unique: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """An element of the object, with all that can be below it in schema order."""

    path: str
    tag: str
    mandatory: bool
    fixed: tuple[tuple[str, str], ...]
    attributes: tuple[Leaf, ...]
    text: Leaf | None
    children: tuple["Target", ...]
    repeat: ListOf | None = None

    def make(self, scope: Scope) -> Made | list[Fault] | None:
        """Return the element; None when the source says nothing of it; else why it cannot be made."""
        faults: list[Fault] = []
        attributes = dict(self.fixed)
        real = False
        for leaf in self.attributes:
            found = _leaf(leaf, scope, faults)
            if found is not None:
                attributes[leaf.name] = found[0]
                real = real or found[1]
        text = None
        if self.text is not None:
            found = _leaf(self.text, scope, faults)
            if found is not None:
                text, real = found[0], real or found[1]
        children = self._children(scope, faults)
        real = real or any(child.real for child in children)
        if faults:
            return [replace(fault, attempted=True) for fault in faults] if real or _tried(faults) else faults
        if text is None and not children and (self.text is not None or len(attributes) == len(self.fixed)):
            return self._nothing()
        return Made(self.tag, attributes, text, children, real)

    def _nothing(self) -> list[Fault] | None:
        """Return what an element with nothing in it comes to: none, or a fault where it is mandatory."""
        if not self.mandatory:
            return None
        message = f"must be filled and is not: fill {self.sources or 'it'} in the source"
        return [Fault(self.path, self.sources, "mandatory", message)]

    @property
    def sources(self) -> str:
        """The source fields of all that can be in the element, for messages."""
        leaves = (*self.attributes, *((self.text,) if self.text else ()))
        found = [*(leaf.value.sources for leaf in leaves), *(child.sources for child in self.children)]
        return ", ".join(dict.fromkeys(filter(None, found)))

    def _children(self, scope: Scope, faults: list[Fault]) -> list[Made]:
        """Return the children to be written; those without any source value only where the schema wants them."""
        children: list[Made] = []
        for child in self.children:
            if child.repeat is not None:
                children.extend(child.repeated(child.repeat, scope, faults))
                continue
            made = child.make(scope)
            if isinstance(made, Made):
                if made.real or child.mandatory or child.stands_alone:
                    children.append(made)
            elif made is not None:
                child.left_out(made, scope, faults)
        return children

    @property
    def stands_alone(self) -> bool:
        """Whether a constant makes this element: it has only text, so it is there whenever its parent is."""
        return self.text is not None and not self.children

    def repeated(self, repeat: ListOf, scope: Scope, faults: list[Fault]) -> list[Made]:
        """Return one element for each member; what cannot be made is reported and left out."""
        if repeat.tests and not all(test.holds(scope) for test in repeat.tests):
            return []
        found: list[Made] = []
        seen: set[str | None] = set()
        for member in repeat.selection.members(scope):
            inner = scope.member(member, len(found) + 1)
            made = self.make(inner)
            if isinstance(made, Made) and made.real:
                unique = made.attributes.get(repeat.unique) if repeat.unique else None
                if repeat.unique and unique in seen:
                    message = f"a second one with the same {repeat.unique} is left out: the standard allows one of each"
                    inner.warn(self.path, "", "duplicate", message)
                    continue
                seen.add(unique)
                found.append(made)
            elif isinstance(made, list) and _tried(made):
                _report(self.path, made, inner)
        if self.mandatory and not found:
            faults.append(Fault(self.path, repeat.selection.group, "mandatory", "must have a member and has none"))
        return found

    def left_out(self, why: list[Fault], scope: Scope, faults: list[Fault]) -> None:
        """Pass faults to the parent where they refuse it too; else report what is left out, if there was anything."""
        fatal = [fault for fault in why if fault.fatal]
        if self.mandatory or fatal:
            faults.extend(why if self.mandatory else fatal)
        elif _tried(why):
            _report(self.path, why, scope)


def _tried(faults: list[Fault]) -> bool:
    return any(fault.attempted for fault in faults)


def _report(path: str, why: list[Fault], scope: Scope) -> None:
    first = why[0]
    part = f"{path} is left out: " if first.path != path else ""
    scope.warn(first.path, first.source, first.rule, f"{part}{first.path} {first.message}", first.nearest)


def _leaf(leaf: Leaf, scope: Scope, faults: list[Fault]) -> tuple[str, bool] | None:
    scope.target = leaf.path
    required = leaf.value.required
    try:
        found = leaf.value.read(scope)
        if found is not None and leaf.check is not None:
            return leaf.check(found[0]), found[1]
    except UnusableError as error:
        source = error.source or leaf.value.sources
        if leaf.mandatory or required:
            message = f"cannot be filled: {error.message}"
            faults.append(Fault(leaf.path, source, error.rule, message, error.nearest, attempted=True, fatal=required))
        else:
            scope.warn(leaf.path, source, error.rule, error.message, error.nearest)
        return None
    if found is None and (leaf.mandatory or required):
        message = f"must be filled and is not: fill {leaf.value.sources or 'it'} in the source"
        faults.append(Fault(leaf.path, leaf.value.sources, "mandatory", message, fatal=required))
    return found


def write(made: Made, namespace: str) -> etree._Element:
    """Return the XML element; *namespace* becomes its default namespace."""
    nsmap: Any = {None: namespace}  # lxml's stubs do not know that None names the default namespace
    root = etree.Element(made.tag, made.attributes, nsmap=nsmap)
    _fill(root, made)
    return root


def _fill(element: etree._Element, made: Made) -> None:
    element.text = made.text
    for child in made.children:
        _fill(etree.SubElement(element, child.tag, child.attributes), child)


def identity(key: Key[Scope], scope: Scope) -> tuple[str, ...] | Fault:
    """Return an object's key, or why there is none."""
    try:
        found = key.read(scope)
    except UnusableError as error:
        return Fault("key", error.source or key.sources, error.rule, error.message, error.nearest)
    if found is None:
        message = f"cannot be told from others: fill {key.sources} in the source"
        return Fault("key", key.sources, "key", message)
    return found
