"""Builds objects: a tree of targets, laid out once in schema order, is filled from each record.

Each target is put together into one function when the mapping is loaded. What these functions make is the text of the
object, which is parsed at the end: that costs a fifth of making the elements one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from lxml import etree

from mappings.scope import Scope
from mappings.selection import Selection
from mappings.values import Found, Key, Test, UnusableError, Value

# All that it reads is written here, escaped and of one object, so a long text is no attack.
_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, collect_ids=False)
_IN_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
)


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


class Made(NamedTuple):
    """An element that can be written."""

    name: str
    attributes: dict[str, str]
    inside: str  # its text and children, as XML
    real: bool  # something in it comes from the source


@dataclass(frozen=True, slots=True)
class ListOf:
    """A repeated target: one element for each member; ``unique`` names the attribute in which they must differ."""

    selection: Selection
    tests: tuple[Test[Scope], ...] = ()
    unique: str | None = None


Make = Callable[[Scope], Made | list[Fault] | None]
# Returns what is written of an element and whether it comes from the source; None when nothing is. It adds the faults
# for which its parent cannot be made either, and reports the others.
Fill = Callable[[Scope, list[Fault]], Found | None]


@dataclass(frozen=True, slots=True)
class Target:
    """An element of the object, with all that can be below it in schema order.

    Attributes:
        make: Returns the element; None when the source says nothing of it; else why it cannot be made.
        fill: Returns the element, or the elements of a list, for the parent.
    """

    path: str
    tag: str
    mandatory: bool
    fixed: tuple[tuple[str, str], ...]
    attributes: tuple[Leaf, ...]
    text: Leaf | None
    children: tuple["Target", ...]
    repeat: ListOf | None = None
    make: Make = field(init=False, repr=False, compare=False)
    fill: Fill = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "make", _maker(self))
        if self.repeat is not None:
            fill = _list_filler(self, self.repeat)
        elif self.text is not None and not self.attributes and not self.children:
            fill = _text_filler(self, self.text)
        else:
            fill = _filler(self)
        object.__setattr__(self, "fill", fill)

    @property
    def name(self) -> str:
        """The element's name without its namespace."""
        return self.tag.rpartition("}")[2]

    @property
    def sources(self) -> str:
        """The source fields of all that can be in the element, for messages."""
        leaves = (*self.attributes, *((self.text,) if self.text else ()))
        found = [*(leaf.value.sources for leaf in leaves), *(child.sources for child in self.children)]
        return ", ".join(dict.fromkeys(filter(None, found)))

    @property
    def stands_alone(self) -> bool:
        """Whether a constant makes this element: it has only text, so it is there whenever its parent is."""
        return self.text is not None and not self.children

    def left_out(self, why: list[Fault], scope: Scope, faults: list[Fault]) -> None:
        """Pass faults to the parent where they refuse it too; else report what is left out, if there was anything."""
        fatal = [fault for fault in why if fault.fatal]
        if self.mandatory or fatal:
            faults.extend(why if self.mandatory else fatal)
        elif _tried(why):
            _report(self.path, why, scope)


def _maker(target: Target) -> Make:
    name, fixed = target.name, dict(target.fixed)
    attributes = tuple((leaf.name, _leaf_reader(leaf)) for leaf in target.attributes)
    read_text = None if target.text is None else _leaf_reader(target.text)
    fills = tuple(child.fill for child in target.children)
    nothing = _nothing(target)

    def make(scope: Scope) -> Made | list[Fault] | None:
        faults: list[Fault] = []
        found_attributes = fixed.copy()
        inside, real = "", False
        for attribute, read in attributes:
            found = read(scope, faults)
            if found is not None:
                found_attributes[attribute] = found[0]
                real = real or found[1]
        if read_text is not None:
            found = read_text(scope, faults)
            if found is not None:
                inside, real = escaped(found[0]), real or found[1]
        for fill in fills:
            found = fill(scope, faults)
            if found is not None:
                inside += found[0]
                real = real or found[1]
        if faults:
            return [replace(fault, attempted=True) for fault in faults] if real or _tried(faults) else faults
        if not inside and (read_text is not None or len(found_attributes) == len(fixed)):
            return nothing
        return Made(name, found_attributes, inside, real)

    return make


def _nothing(target: Target) -> list[Fault] | None:
    """Return what an element with nothing in it comes to: none, or a fault where it is mandatory."""
    if not target.mandatory:
        return None
    message = f"must be filled and is not: fill {target.sources or 'it'} in the source"
    return [Fault(target.path, target.sources, "mandatory", message)]


def _leaf_reader(leaf: Leaf) -> Fill:
    """Return what reads the text of an attribute or element, not yet escaped."""
    read, check, path, warns = leaf.value.read, leaf.check, leaf.path, leaf.value.warns
    required, sources = leaf.value.required, leaf.value.sources
    wanted = leaf.mandatory or required
    missing = f"must be filled and is not: fill {sources or 'it'} in the source"
    nothing = Fault(path, sources, "mandatory", missing, fatal=required)

    def read_leaf(scope: Scope, faults: list[Fault]) -> Found | None:
        if warns:
            scope.target = path
        try:
            found = read(scope)
            if found is not None:
                return found if check is None else (check(found[0]), found[1])
        except UnusableError as error:
            source = error.source or sources
            if wanted:
                message = f"cannot be filled: {error.message}"
                faults.append(Fault(path, source, error.rule, message, error.nearest, attempted=True, fatal=required))
            else:
                scope.warn(path, source, error.rule, error.message, error.nearest)
            return None
        if wanted:
            faults.append(nothing)
        return None

    return read_leaf


def _filler(target: Target) -> Fill:
    make, left_out, always = target.make, target.left_out, target.mandatory or target.stands_alone
    opening, closing = _tags(target)
    varies = bool(target.attributes)

    def fill(scope: Scope, faults: list[Fault]) -> Found | None:
        made = make(scope)
        if made is None:
            return None
        if not isinstance(made, Made):
            left_out(made, scope, faults)
            return None
        if not (made.real or always):
            return None
        return _xml(made) if varies else f"{opening}{made.inside}{closing}", made.real

    return fill


def _text_filler(target: Target, text: Leaf) -> Fill:
    """Return the filler of an element that has only a text; most are of this kind, so it is kept short."""
    read, left_out, nothing = _leaf_reader(text), target.left_out, _nothing(target)
    opening, closing = _tags(target)

    def fill(scope: Scope, faults: list[Fault]) -> Found | None:
        why: list[Fault] = []
        found = read(scope, why)
        if found is not None:
            return f"{opening}{escaped(found[0])}{closing}", found[1]
        if why or nothing:
            left_out(why or nothing or [], scope, faults)
        return None

    return fill


def _list_filler(target: Target, repeat: ListOf) -> Fill:
    make, path = target.make, target.path

    def fill(scope: Scope, faults: list[Fault]) -> Found | None:
        """Return one element for each member; what cannot be made is reported and left out."""
        if not all(test.holds(scope) for test in repeat.tests):
            return None
        found: list[str] = []
        seen: set[str | None] = set()
        for member in repeat.selection.members(scope):
            inner = scope.member(member, len(found) + 1)
            made = make(inner)
            if isinstance(made, Made) and made.real:
                unique = made.attributes.get(repeat.unique) if repeat.unique else None
                if repeat.unique and unique in seen:
                    message = f"a second one with the same {repeat.unique} is left out: the standard allows one of each"
                    inner.warn(path, "", "duplicate", message)
                    continue
                seen.add(unique)
                found.append(_xml(made))
            elif isinstance(made, list) and _tried(made):
                _report(path, made, inner)
        if found:
            return "".join(found), True
        if target.mandatory:
            faults.append(Fault(path, repeat.selection.group, "mandatory", "must have a member and has none"))
        return None

    return fill


def _tried(faults: list[Fault]) -> bool:
    return any(fault.attempted for fault in faults)


def _report(path: str, why: list[Fault], scope: Scope) -> None:
    first = why[0]
    part = f"{path} is left out: " if first.path != path else ""
    scope.warn(first.path, first.source, first.rule, f"{part}{first.path} {first.message}", first.nearest)


def escaped(text: str) -> str:
    """Return a text as it stands between tags."""
    plain = "&" not in text and "<" not in text and ">" not in text and "\r" not in text
    return text if plain else text.translate(_IN_TEXT)


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f' {name}="{text.translate(_IN_ATTRIBUTE)}"' for name, text in attributes.items())


def _tags(target: Target) -> tuple[str, str]:
    """Return the tags of an element that has no attributes but fixed ones."""
    return f"<{target.name}{_attributes(dict(target.fixed))}>", f"</{target.name}>"


def _xml(made: Made) -> str:
    name, attributes, inside, _real = made
    return f"<{name}{_attributes(attributes)}>{inside}</{name}>"


def write(made: Made, namespace: str) -> etree._Element:
    """Return the XML element; *namespace* becomes its default namespace."""
    opening = f"<{made.name}{_attributes({'xmlns': namespace, **made.attributes})}>"
    return etree.fromstring(f"{opening}{made.inside}</{made.name}>".encode(), _PARSER)


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
