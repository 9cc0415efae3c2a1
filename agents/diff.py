"""What to publish of an object: an Add, a lean Change or nothing, from digests of what was published before; no I/O.

A part is a child of the object's root (all children of one name together), or its attributes. A Change holds the
object's keys, its attributes and the parts that differ. What is missing is left alone, since an export may leave out
what it does not know; only in a complete source is it sent as ``xsi:nil="true"``, where the schema lets it be empty.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lxml import etree

from broker.protocol.documents import parse_document
from broker.protocol.envelope import Action, local_name
from schemas import Node, SchemaSet

XSI_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_XSI: Final = {"xsi": "http://www.w3.org/2001/XMLSchema-instance"}
_ATTRIBUTES: Final = "@"
_TEXT: Final = re.compile(rb">[^<]+")
"""In a serialised element, whose texts and attributes have ``&gt;`` for this sign."""
_REF_ID: Final = re.compile(rb'"[0-9A-F]{32}"')
Digest = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """Digest of one part, and the id of its shape (empty where the source is not complete)."""

    digest: str
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What was published of an object by one source.

    Attributes:
        whole: Digest of the whole object as it was last read.
        parts: By part, as last published.
    """

    whole: bytes
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to publish, and what to remember once that is in the spool.

    Attributes:
        action: None when there is nothing to publish after all.
        element: The object, whole or lean.
        known: What to remember of it.
        shapes: Paths by the ids of the shapes in *known*.
    """

    action: Action | None
    element: etree._Element
    known: Known
    shapes: Mapping[str, tuple[str, ...]]


def read_parts(text: str) -> dict[str, Part]:
    """Return parts as :func:`write_parts` wrote them."""
    return {name: Part(*value) for name, value in json.loads(text).items()}


def write_parts(parts: Mapping[str, Part]) -> str:
    """Return parts as a line of text without anything of the object's content."""
    return json.dumps({name: [part.digest, part.shape] for name, part in parts.items()}, separators=(",", ":"))


def whole_digest(element: etree._Element, digest: Digest) -> bytes:
    """Return the digest of an object; the same for the same content in the same order."""
    return digest(etree.tostring(element, with_tail=False))


def compare(
    element: etree._Element,
    known: Known | None,
    *,
    schema: SchemaSet,
    digest: Digest,
    complete: bool = False,
    resend: Action | None = None,
    whole: bytes | None = None,
    shape_paths: Callable[[str], tuple[str, ...]] = lambda _: (),
) -> Outcome | None:
    """Return what to publish of *element*, or None when nothing has changed.

    Args:
        element: The whole object as its source has it now.
        known: What was published of it before; None gives an Add of the whole object.
        schema: Where keys, order and what may be empty are looked up.
        digest: A keyed digest.
        resend: The zone refused what was last published: send the object whole, under this action.
        complete: The source is the whole picture, so what is gone is to be emptied.
        whole: Its :func:`whole_digest`, where the caller has it.
        shape_paths: Paths of a shape by its id.

    Source:
        SIF UK 1.x, SIF_Event: a Change holds the keys and what has changed; our own rule for what is missing.
    """
    whole = whole or whole_digest(element, digest)
    if known is not None and known.whole == whole:
        return None
    object_type = local_name(element)
    children = _by_name(element)
    parts, shapes = _parts(element, children, digest, complete)
    if known is None:
        return Outcome(Action.ADD, element, Known(whole, parts), shapes)
    if resend is not None:
        return Outcome(resend, element, Known(whole, parts), shapes)
    changed = {name for name, part in parts.items() if known.parts.get(name, Part("")).digest != part.digest}
    gone = _gone(object_type, known, parts, shapes, changed, schema, shape_paths) if complete else ()
    # What is missing without being known as gone keeps its old digest: should it come back unchanged, nothing is sent.
    kept = {} if complete else {name: part for name, part in known.parts.items() if name not in parts}
    remembered = Known(whole, {**kept, **parts})
    lean = key_element(element, schema)
    if not changed and not gone:
        return Outcome(None, lean, remembered, shapes)
    _fill(lean, element, changed)
    for path in gone:
        _set_nil(lean, path, object_type, schema)
    return Outcome(Action.CHANGE, lean, remembered, shapes)


def key_element(element: etree._Element, schema: SchemaSet) -> etree._Element:
    """Return a copy of *element* with all its attributes and, of its children, its keys and those it is about."""
    bare = etree.Element(element.tag, nsmap=element.nsmap)  # type: ignore[arg-type]  # the stubs forget the default
    for name, value in element.attrib.items():
        bare.set(name, value)
    object_type = local_name(element)
    paths = [*schema.keys(object_type), *_about(object_type, schema)]
    _fill(bare, element, {path.partition("/")[0] for path in paths if not path.startswith(_ATTRIBUTES)})
    return bare


def _about(object_type: str, schema: SchemaSet) -> list[str]:
    """Return the paths by which the zone tells whom an object is about: without them it takes no part of one."""
    learner = schema.learner_ref(object_type)
    if learner is not None:
        return [learner]
    person = schema.note(object_type).person
    return [person] if person else [learners.list_path for learners in schema.other_learners(object_type)]


def ref_key(element: etree._Element, schema: SchemaSet) -> str:
    """Return what identifies an object: its RefId, or the values of its keys joined by bars where it has none."""
    values = []
    for key in schema.keys(local_name(element)):
        value = element.get(key[1:]) if key.startswith("@") else element.findtext(namespace(element) + key)
        values.append((value or "").strip())
    return "|".join(values)


def ordering_key(element: etree._Element, schema: SchemaSet) -> str:
    """Return the RefId of the learner the object is about, else its own identity: what keeps messages in order."""
    path = schema.learner_ref(local_name(element))
    if path is None:
        return ref_key(element, schema)
    found = element.get(path[1:]) if path.startswith("@") else element.findtext(namespace(element) + path)
    return (found or "").strip() or ref_key(element, schema)


def namespace(element: etree._Element) -> str:
    """Return the namespace of an object in braces, as tags begin with it."""
    return str(element.tag).removesuffix(local_name(element))


def _by_name(element: etree._Element) -> dict[str, list[etree._Element]]:
    children: dict[str, list[etree._Element]] = {}
    for child in element.iterchildren("*"):
        children.setdefault(local_name(child), []).append(child)
    return children


def _parts(
    element: etree._Element, children: Mapping[str, list[etree._Element]], digest: Digest, complete: bool
) -> tuple[dict[str, Part], dict[str, tuple[str, ...]]]:
    attributes = json.dumps(sorted(element.attrib.items())).encode()
    parts = {_ATTRIBUTES: Part(digest(attributes).hex())}
    shapes: dict[str, tuple[str, ...]] = {}
    for name, members in children.items():
        xml = b"".join([etree.tostring(member, with_tail=False) for member in members])
        mark = digest(xml).hex()
        if not complete:
            parts[name] = Part(mark)
            continue
        paths = _paths(name, members, xml)
        shape = _shape(paths, digest)
        shapes[shape] = paths
        parts[name] = Part(mark, shape)
    return parts, shapes


@lru_cache(maxsize=1_000)
def _shape(paths: tuple[str, ...], digest: Digest) -> str:
    return digest("\n".join(paths).encode()).hex()


def _paths(name: str, members: list[etree._Element], xml: bytes) -> tuple[str, ...]:
    """Return the paths of what is there once, sorted; *xml* is what the members are serialised.

    The members of a list are sent with the list, so they have none of their own.
    """
    if len(members) != 1 or not len(members[0]):
        return (name,)
    if b"<!" in xml or b"<?" in xml:  # what looks like markup in a comment is none
        return _sorted_paths(members[0])
    return _paths_of_bare(_REF_ID.sub(b'""', _TEXT.sub(b">", xml)))


@lru_cache(maxsize=1_000)
def _paths_of_bare(xml: bytes) -> tuple[str, ...]:
    """Return the paths in a part without its values: in a whole export there are few that differ."""
    return _sorted_paths(parse_document(xml))


def _sorted_paths(element: etree._Element) -> tuple[str, ...]:
    found = [local_name(element)]
    _add_paths(found, found[0], element)
    return tuple(sorted(found))


def _add_paths(found: list[str], path: str, element: etree._Element) -> None:
    once: dict[str, etree._Element | None] = {}
    for child in element.iterchildren("*"):
        name = local_name(child)
        once[name] = None if name in once else child
    for name, only in once.items():
        below = f"{path}/{name}"
        found.append(below)
        if only is not None and len(only):
            _add_paths(found, below, only)


def _gone(
    object_type: str,
    known: Known,
    parts: Mapping[str, Part],
    shapes: Mapping[str, tuple[str, ...]],
    changed: set[str],
    schema: SchemaSet,
    shape_paths: Callable[[str], tuple[str, ...]],
) -> tuple[str, ...]:
    vanished: set[str] = {name for name in known.parts if name not in parts}
    for name in changed & known.parts.keys():
        old = known.parts[name].shape
        if old and parts[name].shape:
            vanished |= set(shape_paths(old)) - set(shapes[parts[name].shape])
    top = (path for path in vanished if not any(path.startswith(f"{other}/") for other in vanished))
    return tuple(sorted(path for path in top if _may_be_nil(schema.find(object_type, path))))


def _may_be_nil(node: Node | None) -> bool:
    return node is not None and node.kind == "element" and node.nillable and not node.mandatory


def _fill(lean: etree._Element, element: etree._Element, names: set[str]) -> None:
    have = {local_name(child) for child in lean}
    copies = [deepcopy(child) for child in element.iterchildren("*") if local_name(child) in names - have]
    if not copies:
        return
    order = {local_name(child): index for index, child in enumerate(element.iterchildren("*"))}
    lean[:] = sorted([*lean, *copies], key=lambda child: order[local_name(child)])


def _set_nil(lean: etree._Element, path: str, object_type: str, schema: SchemaSet) -> None:
    above, _, name = path.rpartition("/")
    parent: etree._Element | None = lean
    for step in above.split("/") if above else ():
        parent = None if parent is None else parent.find(namespace(lean) + step)
    if parent is None:
        return
    empty = etree.Element(namespace(lean) + name, nsmap=_XSI)
    empty.set(XSI_NIL, "true")
    insert_in_order(parent, empty, schema.elements_in_order(object_type, above))


def insert_in_order(parent: etree._Element, child: etree._Element, order: tuple[str, ...]) -> None:
    """Put *child* into *parent* where *order*, names of all children that may be there, has it."""
    rank = {name: index for index, name in enumerate(order)}
    own = rank.get(local_name(child), len(rank))
    for index, sibling in enumerate(parent):
        if rank.get(local_name(sibling), len(rank)) > own:
            parent.insert(index, child)
            return
    parent.append(child)


__all__ = [
    "XSI_NIL",
    "Known",
    "Outcome",
    "Part",
    "compare",
    "insert_in_order",
    "key_element",
    "namespace",
    "ordering_key",
    "read_parts",
    "ref_key",
    "whole_digest",
    "write_parts",
]
