"""In what two sets of schemas differ: objects and parts of them that came, went, or changed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.model import Node


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        path: Path in the object; "" for the object itself.
        what: "added", "removed", or what is another: "mandatory", "repeatable", "nillable", "type", "refers to",
            "unique by".
        before: How it was, in a word or two; "" where it was not there. ``after`` likewise how it is.
    """

    object_type: str
    path: str
    what: str
    before: str
    after: str


def differences(before: Mapping[str, Node], after: Mapping[str, Node]) -> Iterator[Difference]:
    """Yield the differences between two sets of trees, by object and path."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Difference(name, "", "removed", "there", "")
        elif name not in before:
            yield Difference(name, "", "added", "", "there")
        else:
            yield from _in_object(name, before[name], after[name])


def _in_object(name: str, before: Node, after: Node) -> Iterator[Difference]:
    was, now = _by_path(before), _by_path(after)
    for path in sorted(was.keys() | now.keys()):
        parent = path.rpartition("/")[0]
        if path not in now:
            if parent in now or not parent:
                yield Difference(name, path, "removed", _kind(was[path]), "")
        elif path not in was:
            if parent in was or not parent:
                yield Difference(name, path, "added", "", _kind(now[path]))
        else:
            yield from _of_node(name, was[path], now[path])


def _of_node(name: str, was: Node, now: Node) -> Iterator[Difference]:
    for what, look in _LOOKED_AT.items():
        before, after = look(was), look(now)
        if before != after:
            yield Difference(name, was.path, what, before, after)


def _by_path(root: Node) -> dict[str, Node]:
    found = {root.path: root}
    for child in root.children:
        found |= _by_path(child)
    return found


def _kind(node: Node) -> str:
    return f"{'mandatory' if node.mandatory else 'optional'} {node.kind}"


def _yes(value: bool) -> str:  # a fact to put into a word
    return "yes" if value else "no"


_LOOKED_AT: Final[Mapping[str, Callable[[Node], str]]] = {
    "mandatory": lambda node: _yes(node.mandatory),
    "repeatable": lambda node: _yes(node.repeatable),
    "nillable": lambda node: _yes(node.nillable),
    "type": lambda node: node.type or "elements",
    "refers to": lambda node: " or ".join(node.refs),
    "unique by": lambda node: node.unique_by or "",
}
