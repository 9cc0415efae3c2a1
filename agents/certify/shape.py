"""What a mapping expects of a record's shape: its groups, what conditions want, fields that equal each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mappings import Record
from mappings.document import Document

_ROWS: Final = "rows"
When = Mapping[str, Any]


@dataclass(slots=True)
class Shape:
    """Of one or several mappings.

    Attributes:
        groups: Paths of groups in the whole record, each with how many members it needs.
        equal: Fields that must have the value of another field.
        wanted: What conditions want of a field, in full: True, False, texts, or ``{"not": texts}``; in file order.
        must: What the conditions of whole mappings want, without which they make nothing.
    """

    groups: dict[str, int] = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)
    wanted: list[tuple[str, Any]] = field(default_factory=list)
    must: dict[str, Any] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        """Add what a mapping's file says, which is known to be right."""
        values = document.values
        outer = self._group("", values, "each")
        self._conditions("", outer, values)
        for given in values.get("pick", {}).values():
            inner = self._group(outer, given, "from")
            self._conditions(outer, inner, given)
        for given in values.get("lists", {}).values():
            inner = self._group(outer, given, "each")
            self._conditions(outer, inner, given)
            self._when(outer, given.get("when", {}))
            for spec in given.get("fields", {}).values():
                self._alternatives(inner, spec)
        self._when(outer, values.get("when", {}))
        self.must |= {_full(outer, name): expected for name, expected in values.get("when", {}).items()}
        for name, expected in values.get("gone", {}).items():
            full = _full(outer, name)
            self.must[full] = _and_not(self.must.get(full), expected)
        for spec in values.get("fields", {}).values():
            self._alternatives(outer, spec)

    def record(self, position: str, values: Mapping[str, str], copies: Mapping[str, str] | None = None) -> Record:
        """Return a record with these fields, spelt in full.

        Args:
            position: Its place.
            values: By full name.
            copies: The fields of second and further members of groups; the same as of the first when left out.
        """
        return _member(position, values, copies or values, self.groups, "", None, first=True)

    def _group(self, outer: str, given: Mapping[str, Any], way: str) -> str:
        """Note the group that a table names; return its path, or the outer one where it names no group."""
        name = given.get(way)
        if not isinstance(name, str) or "split" in given or name.removeprefix("/") == _ROWS:
            return outer
        path = _full(outer, name)
        self.groups[path] = max(self.groups.get(path, 1), 1 + int(given.get("skip", 0)))
        return path

    def _conditions(self, outer: str, inner: str, given: Mapping[str, Any]) -> None:
        for name, spelt in given.get("where", {}).items():
            self.equal[_full(inner, name)] = _full(outer, spelt)

    def _alternatives(self, outer: str, spec: Any) -> None:
        for part in spec if isinstance(spec, list) else [spec]:
            if isinstance(part, dict):
                self._when(outer, part.get("when", {}))

    def _when(self, outer: str, when: When) -> None:
        self.wanted += [(_full(outer, name), expected) for name, expected in when.items()]


def _and_not(wanted: Any, gone: Any) -> Any:
    """Return a condition that holds where *wanted* does, if there is one, and *gone* does not."""
    if isinstance(gone, bool):
        return not gone
    if isinstance(gone, dict):
        return gone["not"]
    left = [text for text in texts_of(wanted) if text not in set(texts_of(gone))]
    return left or {"not": gone}


def _full(outer: str, name: str) -> str:
    if name.startswith("/"):
        return name[1:]
    return f"{outer}/{name}" if outer else name


def _member(
    position: str,
    values: Mapping[str, str],
    copies: Mapping[str, str],
    groups: Mapping[str, int],
    path: str,
    parent: Record | None,
    *,
    first: bool,
) -> Record:
    """Return the record of the group at *path*, with the groups in it."""
    inside = [group for group in groups if _nearest(group, groups) == path]
    fields: dict[str, str] = {}
    made_groups: dict[str, tuple[Record, ...]] = {}
    made = Record(position, fields, made_groups, parent)
    for name, text in (values if first else copies).items():
        if _nearest(name, groups) == path:
            fields[name[len(path) + 1 :] if path else name] = text
        elif name == path:
            fields["."] = text
    for group in inside:
        members = tuple(
            _member(position, values, copies, groups, group, made, first=number == 0) for number in range(groups[group])
        )
        members = tuple(member for member in members if member.fields or member.groups)
        if members:
            made_groups[group[len(path) + 1 :] if path else group] = members
    return made


def _nearest(name: str, groups: Mapping[str, int]) -> str:
    """Return the innermost group that a field or group is in; empty for the record itself."""
    return max((group for group in groups if name.startswith(f"{group}/")), key=len, default="")


def texts_of(expected: Any) -> Iterator[str]:
    """Yield the texts that a condition allows."""
    if isinstance(expected, str):
        yield expected
    elif isinstance(expected, list):
        yield from expected


__all__ = ["Shape", "texts_of"]
