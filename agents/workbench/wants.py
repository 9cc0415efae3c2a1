"""What an object may hold, what each part of it may be called, and what its key is made of; looks at no sample."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import schemas
from agents.workbench.forms import form_of
from agents.workbench.names import Meaning, Words, normalised, vocabulary
from agents.workbench.paths import ends_with, plain, steps

_NOT_FOR_FIELDS: Final = frozenset({"SIF_Metadata", "SIF_ExtendedElements", "LocationContext", "GridLocation"})
TOO_GENERAL: Final = frozenset(
    (
        *("code", "type", "name", "title", "description", "number", "value", "source", "id", "date", "start", "end"),
        *("status", "note", "comment", "reference", "list", "total", "reason"),
    )
)
"""Words that say nothing of an element without the name of the one around it."""
_ATTRIBUTE: Final = re.compile(r"\[@(\w+)=[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Want:
    """What a column is looked for.

    Attributes:
        id: The meaning's, or the path.
        words: In plain language.
        paths: Where it goes in the object, as mappings write it; empty when it only serves keys.
        names: What it may be called.
        meaning: The vocabulary's, where it knows it.
        nodes: What the schema says of the paths.
        mandatory: Whether there is no object without it.
    """

    id: str
    words: str
    paths: tuple[str, ...]
    names: tuple[Words, ...]
    meaning: Meaning | None
    nodes: tuple[schemas.Node, ...] = field(repr=False)
    mandatory: bool = False

    @property
    def form(self) -> str:
        """What its values look like; empty where any will do, or a code list says it."""
        if self.meaning is not None and self.meaning.form:
            return self.meaning.form
        return form_of(self.nodes[0]) if self.nodes else ""

    @property
    def codes(self) -> str | None:
        """The code list of its values."""
        return self.nodes[0].codes if self.nodes else None


@dataclass(frozen=True, slots=True)
class _Leaf:
    node: schemas.Node
    mandatory: bool
    listed: bool


@cache
def wants_of(object_type: str) -> tuple[Want, ...]:
    """Return all that an object may hold, mandatory parts first, and what only its keys need.

    Raises:
        UnknownObject: No schema describes such an object.
    """
    tree = schemas.load().tree(object_type)
    wants: dict[str, Want] = {}
    leaves = tuple(_leaves(tree, mandatory=True))
    fixed = _fixed_attributes(object_type, leaves)
    for leaf in leaves:
        node, mandatory = leaf.node, leaf.mandatory
        meanings = _meanings_of(object_type, node.path)
        for meaning, path in meanings:
            known = wants.get(meaning.id)
            paths, nodes = ((*known.paths, path), (*known.nodes, node)) if known else ((path,), (node,))
            must = meaning.required or mandatory or (known is not None and known.mandatory)
            wants[meaning.id] = Want(meaning.id, meaning.words, paths, meaning.names, meaning, nodes, must)
        if not meanings and node.path not in fixed and not _is_skipped(object_type, node.path):
            names = _own_names(leaf)
            path = _with_attributes(node.path, fixed)
            wants[node.path] = Want(node.path, node.label or node.name, (path,), names, None, (node,), mandatory)
    without_path = (*_of_keys(object_type), *needs(object_type))
    meant = [want.meaning for want in wants.values()] + [vocabulary().meanings[name] for name in without_path]
    needed = [name for each in meant if each is not None for name in (each.of, each.unless) if name]
    for name in (*without_path, *needed):
        meaning = vocabulary().meanings[name]
        wants.setdefault(name, Want(name, meaning.words, (), meaning.names, meaning, _own_nodes(meaning)))
    return tuple(sorted(wants.values(), key=lambda want: not want.mandatory))


def key_ways(object_type: str, other: str) -> tuple[tuple[str, ...], ...]:
    """Return the ways to identify an object of type *other* in a file about *object_type*; none when nobody knows."""
    subject = vocabulary().subjects.get(other)
    if subject is None:
        return ()
    return subject.key if other == object_type else subject.elsewhere


def node_of(object_type: str, path: str) -> schemas.Node | None:
    """Return what the schema says of a part of an object, by an empty path of all of it; None when there is none."""
    schema = schemas.load()
    return schema.tree(object_type) if not path else schema.find(object_type, path)


def needs(object_type: str) -> tuple[str, ...]:
    """Return the meanings without which a file has not what it takes for an object; none when nobody knows."""
    subject = vocabulary().subjects.get(object_type)
    return subject.needs if subject is not None else ()


def _own_nodes(meaning: Meaning) -> tuple[schemas.Node, ...]:
    """Return what the schema says of a meaning in the object that it is of, so that keys are alike in every mapping."""
    schema = schemas.load()
    for path in meaning.paths:
        first, _, rest = path.partition("/")
        node = schema.find(first, rest) if first in schema.objects else None
        if node is not None:
            return (node,)
    return ()


def _is_skipped(object_type: str, path: str) -> bool:
    subject = vocabulary().subjects.get(object_type)
    return subject is not None and any(f"{path}/".startswith(f"{skipped}/") for skipped in subject.skip)


def _leaves(node: schemas.Node, *, mandatory: bool, listed: bool = False) -> Iterator[_Leaf]:
    """Yield each part of an object that holds text, with whether it is mandatory and whether it stands in a list."""
    for child in node.children:
        if child.name in _NOT_FOR_FIELDS or child.path == "@RefId" or child.name == "SIF_Action":
            continue
        must, many = mandatory and child.mandatory, listed or child.repeatable
        if child.type:
            yield _Leaf(child, must, many)
        yield from _leaves(child, mandatory=must, listed=many)


def _meanings_of(object_type: str, path: str) -> list[tuple[Meaning, str]]:
    """Return the meanings that go to a path, with the path as the mapping writes it.

    Of several that write it alike, those count whose path is longest.
    """
    found: dict[str, tuple[int, list[Meaning]]] = {}
    for end, meaning in _ends().get(plain(steps(path)[-1]), ()):
        if not ends_with(object_type, path, plain(end)):
            continue
        last = steps(end)
        own = last[1:] if last[0] == object_type else last
        written = "/".join((*steps(path)[: len(steps(path)) - len(own)], *own))
        length, meanings = found.get(written, (0, []))
        if len(last) > length:
            found[written] = len(last), [meaning]
        elif len(last) == length:
            meanings.append(meaning)
    return [(meaning, written) for written, (_, meanings) in found.items() for meaning in meanings]


@cache
def _ends() -> Mapping[str, Sequence[tuple[str, Meaning]]]:
    """Return the vocabulary's paths with their meanings, by their last step."""
    found: dict[str, list[tuple[str, Meaning]]] = {}
    for meaning in vocabulary().meanings.values():
        for end in meaning.paths:
            found.setdefault(plain(steps(end)[-1]), []).append((end, meaning))
    return found


def _fixed_attributes(object_type: str, leaves: Sequence[_Leaf]) -> Mapping[str, str]:
    """Return the attributes that the vocabulary gives elements, with the path in which it does.

    ``Name/@Type`` gives ``Name[@Type='C']``; where it gives several, an empty text.
    """
    found: dict[str, str] = {}
    for leaf in leaves:
        for _, path in _meanings_of(object_type, leaf.node.path):
            for match in _ATTRIBUTE.finditer(path):
                attribute, written = f"{plain(path[: match.start()])}/@{match[1]}", path[: match.end()]
                found[attribute] = written if found.get(attribute, written) == written else ""
    return found


def _with_attributes(path: str, fixed: Mapping[str, str]) -> str:
    """Return a path with the attributes that its elements have in the vocabulary's paths."""
    for attribute, written in fixed.items():
        element = attribute.rpartition("/")[0]
        if written and path.startswith(f"{element}/"):
            return written + path[len(element) :]
    return path


def _own_names(leaf: _Leaf) -> tuple[Words, ...]:
    """Return what a column for it may be called: its own name, where that says enough, and that with its parent's."""
    parts = leaf.node.path.replace("@", "").split("/")
    own = normalised(parts[-1])
    names = [own] if len(parts) == 1 or not (leaf.listed or set(own) <= TOO_GENERAL) else []
    if len(parts) > 1:
        names.append((*normalised(parts[-2]), *own))
    return tuple(names)


def _of_keys(object_type: str) -> Iterator[str]:
    """Yield the meanings that an object's key, and those of the objects it refers to, are made of."""
    subject = vocabulary().subjects.get(object_type)
    others = ["LearnerPersonal"] if subject is not None and subject.about else []
    for node in schemas.load().tree(object_type).children:
        others.extend(node.refs if node.mandatory else ())
    pending, seen = [object_type, *others, "SchoolInfo"], set[str]()
    while pending:
        other = pending.pop()
        if other in seen:
            continue
        seen.add(other)
        for part in (part for way in key_ways(object_type, other) for part in way):
            if part.startswith("@"):
                pending.append(part[1:])
            else:
                yield part


__all__ = ["TOO_GENERAL", "Want", "key_ways", "needs", "node_of", "wants_of"]
