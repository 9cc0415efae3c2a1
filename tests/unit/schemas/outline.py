"""Reads what SIF UK objects are made of from tests/data/sif_uk: facts of the standard, which know no XSD of ours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

NEWEST: Final = "1.3"
DATA: Final = Path(__file__).parents[2] / "data" / "sif_uk"


@dataclass(frozen=True, slots=True)
class Text:
    """What a text may be.

    Attributes:
        type: The built-in type, for example "xs:date".
        codes: Name of its code list, or None.
        refs: Objects whose RefId it may be; None when it is no RefId, empty when it is one of an object not fixed.
        limits: Facets as in XSD, by name: pattern, max_length, min, max, fraction_digits.
        other: Another built-in type that will do too, or None.
        or_empty: Whether it may be empty whatever its type.
        external: Name of the list of thousands that closes it in the standard; else "".
    """

    type: str
    codes: str | None
    refs: frozenset[str] | None
    limits: Mapping[str, str]
    other: str | None
    or_empty: bool
    external: str


@dataclass(frozen=True, slots=True)
class Part:
    """An element or attribute at its place in an object.

    Attributes:
        name: Local name, without "@".
        path: Path from the object's root, which itself has "".
        kind: "element" or "attribute".
        mandatory: Whether it must be there when its parent is.
        repeatable: Whether there may be more than one in a row.
        text: Its text, or None when it holds elements only.
        anything: Whether it holds any text and elements.
        unique_by: Attribute in which the members of this list must differ, or None.
        since: Version in which it came, where that is later than its object; else "".
        children: Attributes, then elements in order.
    """

    name: str
    path: str
    kind: str
    mandatory: bool
    repeatable: bool
    text: Text | None
    anything: bool
    unique_by: str | None
    since: str
    children: tuple["Part", ...]

    @property
    def nillable(self) -> bool:
        """Whether it may carry xsi:nil: a rule of the standard, not a fact of each field."""
        return bool(self.path) and self.kind == "element" and not self.mandatory and not self.repeatable

    @property
    def attributes(self) -> tuple["Part", ...]:
        return tuple(child for child in self.children if child.kind == "attribute")

    @property
    def elements(self) -> tuple["Part", ...]:
        return tuple(child for child in self.children if child.kind == "element")

    def walk(self) -> Iterator["Part"]:
        """Yield this part and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Published:
    """A code list as published.

    Attributes:
        since: Each code with the version in which it came, where that is later than its list; else "".
        open: Whether other codes are let through.
    """

    since: Mapping[str, str]
    open: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """An object or type as written: its heading's facts, and its fields as words."""

    is_object: bool
    facts: Mapping[str, str]
    fields: tuple[tuple[str, ...], ...]


@cache
def objects() -> tuple[str, ...]:
    """Return the names of the standard's objects, sorted."""
    return tuple(sorted(name for name, block in _blocks().items() if block.is_object))


@cache
def keys(object_type: str) -> tuple[str, ...]:
    """Return the paths that tell one object of its kind from another."""
    return tuple(_blocks()[object_type].facts["key"].split(","))


@dataclass(frozen=True, slots=True)
class Versions:
    """Since when there is an object.

    Attributes:
        since: Version in which it came.
        events: Version from which there are events of it, where that is later; "none" for never, else "".
    """

    since: str
    events: str


@cache
def versions(object_type: str) -> Versions:
    """Return since when there is an object, and its events."""
    facts = _blocks()[object_type].facts
    return Versions(facts["since"], facts.get("events", ""))


@cache
def tree(object_type: str, version: str = NEWEST) -> Part:
    """Return an object with everything that is in it in a version of the standard."""
    return _part((object_type, "1", object_type), version, path="", member=False)


@cache
def published_codes() -> Mapping[str, Published]:
    """Return the code lists of the standard by name."""
    lists = {}
    for line in _lines("codes.txt"):
        heading, _, written = line.partition(" = ")
        name, *openness = heading.split()
        codes = (each.partition(" +") for each in written.split(" | "))
        lists[name] = Published({code: since for code, _, since in codes}, openness == ["open"])
    return lists


@cache
def _blocks() -> Mapping[str, _Block]:
    written: dict[str, list[tuple[str, ...]]] = {}
    name = ""
    for line in _lines("outline.txt"):
        words = tuple(line.split())
        if not line.startswith(" "):
            name = words[1]
        written.setdefault(name, []).append(words)
    return {
        name: _Block(heading[0] == "object", _facts(heading[2:]), tuple(fields))
        for name, (heading, *fields) in written.items()
    }


def _lines(file: str) -> Iterator[str]:
    for line in (DATA / file).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


def _part(field: tuple[str, ...], version: str, *, path: str, member: bool) -> Part:
    """Read one field; *member* tells whether it is the member of a list."""
    name, how_often, type_name, *more = field
    facts = _facts(more)
    block = _blocks().get(type_name)
    own = next((f for f in block.fields if f[0] == "="), None) if block else field
    anything = own is not None and own[2] == "anything"
    children = [
        _part(f, version, path=f"{path}/{f[0]}".lstrip("/"), member=f[1] in "+*")
        for f in (block.fields if block else ())
        if f[0] != "=" and (member or "member_only" not in f) and _is_in(version, _facts(f[3:]))
    ]
    return Part(
        name=name.lstrip("@"),
        path=path,
        kind="attribute" if name.startswith("@") else "element",
        mandatory=how_often in "1+" and version < facts.get("optional_since", "9"),
        repeatable=how_often in "+*",
        text=None if own is None or anything else _text(own[2], _facts(own[3:])),
        anything=anything,
        unique_by=block.facts.get("unique_by") if block else None,
        since=facts.get("since", ""),
        children=tuple(children),
    )


def _is_in(version: str, facts: Mapping[str, str]) -> bool:
    return facts.get("since", "") <= version and version not in facts.get("not_in", "").split(",")


def _text(type_name: str, facts: Mapping[str, str]) -> Text:
    kind, _, rest = type_name.partition(":")
    limits = {name: facts[name] for name in ("pattern", "max_length", "min", "max", "fraction_digits") if name in facts}
    refs = None
    if kind in ("id", "ref"):
        refs = frozenset(rest.split("|")) if rest else frozenset()
        limits = {"pattern": "[0-9A-F]{32}"}
    return Text(
        type=type_name if kind == "xs" else "xs:token",
        codes=rest if kind == "codes" else None,
        refs=refs,
        limits=limits,
        other=facts.get("or"),
        or_empty="or_empty" in facts,
        external=facts.get("external", ""),
    )


def _facts(words: Sequence[str]) -> dict[str, str]:
    """Return "name=value" words as a mapping; a word alone is a name without a value."""
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}
