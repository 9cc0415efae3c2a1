"""Cut an object to what agreements share of it: include-only, compiled once, one pass; every way out uses this.

What no path names does not leave: elements, attributes, text, comments, processing instructions.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Final
from xml.sax.saxutils import quoteattr

from lxml import etree

import schemas
from broker.agreements import UNDELIVERED, WHOLE, Agreement
from broker.protocol.envelope import LOOKED_AFTER, NAMESPACE, local_name

_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_PREFIX: Final = re.compile(rb' xmlns:([^=]+)="[^"]*"')
_PREFIX_USE: Final = re.compile(rb"""[<>/\s"']([^<>/\s"'=:]+):""")  # of a tag, an attribute, or a name in a value
_BARE_TAG: Final = re.compile(rb"<[^/!?:>\s]+[\s/>]")
_NS: Final = f"{{{NAMESPACE}}}"
_NS_LENGTH: Final = len(_NS)
_PLAIN: Final = re.compile(r"[^<>&\r:]*")  # what is written as it is; with a colon it may be a name with a prefix
_DECLARATIONS: Final = (f' xmlns="{NAMESPACE}"'.encode(), f' xmlns="{LOOKED_AFTER}"'.encode())

LearnerFilter = Callable[[str], bool]
"""Tells whether the learner with this RefId may be mentioned to the recipients of the view."""


Written = dict[etree._Element, bytes]
"""Elements of one object as they are written where they are shared whole."""


@dataclass(slots=True)
class _Node:
    """What is shared below one element; *whole* means everything."""

    whole: bool = False
    attributes: list[str] = field(default_factory=list)
    children: dict[str, "_Node"] = field(default_factory=dict)
    learner_list: tuple[str, str] | None = None
    """Tag of the members that speak about another learner, and the path of its RefId in them."""
    hidden: frozenset[str] = frozenset()
    """Tags of children that are never shared."""


@dataclass(frozen=True, slots=True)
class View:
    """What agreements together share of one kind of object.

    Attributes:
        name: Ids of the agreements, each with the digest of its wording, joined by ``+``.
        paths: What is shared, ordered, without repeats.
        mentions_learners: Whether a shared list may speak about learners other than the object's own.
    """

    object_type: str
    name: str
    paths: tuple[str, ...]
    mentions_learners: bool
    _root: _Node = field(repr=False, compare=False)
    _keys: frozenset[str] = field(repr=False, compare=False)
    _key_tags: frozenset[str] = field(repr=False, compare=False)
    _declared: bytes = field(default=b"", repr=False, compare=False)
    """Declaration of the object's namespace, where that is not the message's."""

    def cut(
        self, element: etree._Element, keep_learner: LearnerFilter | None = None, written: Written | None = None
    ) -> bytes | None:
        """Return *element* cut to this view, serialised to stand in a SIF_Message (UTF-8, no XML declaration).

        Args:
            element: The object; it is not changed.
            keep_learner: Which members of lists about other learners may stay; None keeps none of them.
            written: What other views of the same object wrote of it, and this one adds to; None for no other views.

        Returns:
            The bytes, or None when nothing but the attributes that identify the object is left.
        """
        attributes, content = _parts(element, self._root, keep_learner, {} if written is None else written)
        if all(name in self._keys for name, _ in attributes) and not self._has_more_than_keys(element, content):
            return None
        return _assemble(self.object_type, attributes, content, self._declared)

    def is_whole(self, element: etree._Element) -> bool:
        """Tell whether all of *element* is shared: nothing of it hidden, and nobody else in it to be looked at."""
        if not self._root.whole or (self.mentions_learners and mentioned_learners(element, self.object_type)):
            return False
        return not any(child.tag in self._root.hidden for child in element)

    def keys_only(self, element: etree._Element) -> bytes:
        """Return *element* with nothing but the attributes and elements that identify it, as far as shared."""
        attributes, _ = _parts(element, self._root, None, {})
        content = [_whole(child, {}) for child in element if child.tag in self._key_tags]
        kept = [(name, value) for name, value in attributes if name in self._keys]
        return _assemble(self.object_type, kept, content, self._declared)

    def _has_more_than_keys(self, element: etree._Element, content: list[bytes]) -> bool:
        if not content or not self._key_tags:
            return bool(content)
        return len(content) > sum(child.tag in self._key_tags for child in element)


def compile_view(object_type: str, agreements: Sequence[Agreement]) -> View:
    """Return the view that *agreements* together give of *object_type*.

    Paths are those of :class:`~broker.agreements.Agreement`: ``@RefId``, ``LocalId``, ``PersonalInformation/Name``,
    ``CurrentSchoolEnrolment/@MembershipType``; ``*`` alone for the whole object.

    Source:
        Our own rule: deny by default, include-only.
    """
    schema = schemas.load()
    paths = tuple(sorted({path for agreement in agreements for path in agreement.shares.get(object_type, ())}))
    namespace = schema.namespace_of(object_type)
    ns = f"{{{namespace}}}"
    root = _Node(hidden=frozenset(ns + name for name in UNDELIVERED.get(object_type, ())))
    for path in paths:
        _include(root, path, ns)
    mentions = False
    for learners in schema.other_learners(object_type):
        mentions |= _mark_learners(root, learners, ns)
    keys = schema.keys(object_type)
    attributes = frozenset(key[1:] for key in keys if key.startswith("@"))
    shared = root.children if not root.whole else dict.fromkeys(ns + key for key in keys)
    tags = frozenset(ns + key for key in keys if ns + key in shared)
    name = "+".join(f"{agreement.id}@{agreement.digest}" for agreement in sorted(agreements, key=lambda a: a.id))
    declared = b"" if namespace == NAMESPACE else f' xmlns="{namespace}"'.encode()
    return View(object_type, name, paths, mentions, root, attributes, tags, declared)


def mentioned_learners(element: etree._Element, object_type: str) -> tuple[str, ...]:
    """Return the RefIds of other learners that *element* speaks about, in document order."""
    lists = _learner_lists(object_type)
    if not lists:
        return ()
    return tuple(_reference(member, ref) for path, ref in lists for member in element.iterfind(path))


@cache
def _learner_lists(object_type: str) -> tuple[tuple[str, str], ...]:
    """Return, for each list about other learners, the path of its members and in them that of the RefId."""
    schema = schemas.load()
    ns = f"{{{schema.namespace_of(object_type)}}}"
    return tuple(
        ("/".join(ns + step for step in f"{learners.list_path}/{learners.member}".split("/")), _in(ns, learners.ref))
        for learners in schema.other_learners(object_type)
    )


def _in(ns: str, ref: str) -> str:
    """Return a path from a member to a RefId with the namespace of its elements."""
    return ref if ref.startswith(("@", ".")) else "/".join(ns + step for step in ref.split("/"))


def _include(root: _Node, path: str, ns: str) -> None:
    """Add *path*; it comes after every path that leads to it, so that nothing narrows what is shared whole."""
    if path == WHOLE:
        root.whole = True
        return
    node = root
    steps = path.split("/")
    for step in steps[:-1]:
        if node.whole:
            return
        node = node.children.setdefault(ns + step, _Node())
    if node.whole:
        return
    last = steps[-1]
    if not last.startswith("@"):
        node.children.setdefault(ns + last, _Node()).whole = True
    elif last[1:] not in node.attributes:
        node.attributes.append(last[1:])


def _mark_learners(root: _Node, learners: schemas.OtherLearners, ns: str) -> bool:
    """Mark the list of *learners* for filtering where the view reaches it; split whole nodes on the way open."""
    node = root
    for step in learners.list_path.split("/"):
        if node.whole:
            child = node.children.setdefault(ns + step, _Node(whole=True))
        elif ns + step in node.children:
            child = node.children[ns + step]
        else:
            return False
        node = child
    node.learner_list = (ns + learners.member, _in(ns, learners.ref))
    return True


def _parts(
    element: etree._Element, node: _Node, keep_learner: LearnerFilter | None, written: Written
) -> tuple[list[tuple[str, str]], list[bytes]]:
    """Return what is shared of *element*: its attributes and its serialised children, in order."""
    if node.whole:
        attributes = [(str(name), str(value)) for name, value in element.items()]
    else:
        attributes = [(name, value) for name in node.attributes if (value := element.get(name)) is not None]
    content: list[bytes] = []
    children = node.children
    for child in element:
        if child.tag in node.hidden:
            continue
        below = children.get(child.tag)  # comments and instructions have a function for a tag: never found
        if below is None:
            if node.whole and isinstance(child.tag, str):
                content.append(_whole(child, written))
        elif below.whole and not below.children and below.learner_list is None:
            content.append(_whole(child, written))
        else:
            piece = _part(child, below, keep_learner, written)
            if piece is not None:
                content.append(piece)
    return attributes, content


def _part(element: etree._Element, node: _Node, keep_learner: LearnerFilter | None, written: Written) -> bytes | None:
    """Return *element* as far as it is shared, None when nothing of it is left."""
    if node.learner_list is not None:
        if len(element):  # one that is sent empty is shared as such
            element = _without_hidden_learners(element, node.learner_list, keep_learner)
            if not len(element):
                return None
        if node.whole:
            return _whole(element, written)
    attributes, content = _parts(element, node, keep_learner, written)
    if not content and element.get(_NIL) in ("true", "1"):
        attributes.append((_NIL, "true"))  # what is emptied is emptied for whoever has a part of it
    if not attributes and not content:
        return None
    return _assemble(local_name(element), attributes, content)


def _without_hidden_learners(
    element: etree._Element, learner_list: tuple[str, str], keep_learner: LearnerFilter | None
) -> etree._Element:
    member_tag, ref = learner_list
    kept = deepcopy(element)
    for member in list(kept):
        if member.tag != member_tag or keep_learner is None or not keep_learner(_reference(member, ref)):
            kept.remove(member)
    return kept


def _reference(member: etree._Element, ref: str) -> str:
    if ref.startswith("@"):
        return member.get(ref[1:], "").strip()  # the schema allows blanks around it; they must not make another learner
    return (member.findtext(ref) or "").strip()


def _whole(element: etree._Element, written: Written) -> bytes:
    """Return all of an element, written once for all views of its object."""
    piece = written.get(element)
    if piece is None:
        piece = written[element] = _write(element)
    return piece


def _write(element: etree._Element) -> bytes:
    return _plain_leaf(element) or _serialised(element)


def _plain_leaf(element: etree._Element) -> bytes | None:
    """Return an element that is a plain text and no more, as most are; None where the serialiser has to see to it."""
    tag: str = element.tag
    text = element.text
    if text is None or not _PLAIN.fullmatch(text) or not tag.startswith(_NS) or element.attrib or len(element):
        return None
    parent = element.getparent()
    if parent is None or not parent.tag.startswith(_NS):
        return None
    name = tag[_NS_LENGTH:]
    return f"<{name}>{text}</{name}>".encode()


def _serialised(element: etree._Element) -> bytes:
    piece: bytes = etree.tostring(element, encoding="utf-8", with_tail=False)
    if b"<!--" in piece or b"<?" in piece:  # markup, since text has its < escaped
        piece = etree.tostring(_stripped(element), encoding="utf-8", with_tail=False)
    end = piece.find(b">")
    if piece.find(b" xmlns:", 0, end) >= 0:
        piece = _standing_alone(piece, end)
        end = piece.find(b">")
    for declaration in _DECLARATIONS:
        if piece.find(declaration, 0, end) >= 0:  # the enclosing message or object declares it
            return piece.replace(declaration, b"", 1)
    return piece


def _standing_alone(piece: bytes, end: int) -> bytes:
    """Return *piece*, whose start tag ends at *end*, with the namespaces right for the message that it goes into.

    Prefixes that nothing in it uses come from what it was cut out of, and a namespace may tell something, too. A tag
    without a prefix that was in no namespace stays in none.
    """
    bare = _PREFIX.sub(b"", piece[:end]) + piece[end:]
    used = set(_PREFIX_USE.findall(bare))
    start = _PREFIX.sub(lambda found: found[0] if found[1] in used else b"", piece[:end])
    if b' xmlns="' not in start and _BARE_TAG.search(bare):
        name = start.split(None, 1)[0].rstrip(b"/")
        start = name + b' xmlns=""' + start[len(name) :]
    return start + piece[end:]


def _stripped(element: etree._Element) -> etree._Element:
    copy = deepcopy(element)
    copy.tail = None
    etree.strip_tags(copy, etree.Comment, etree.ProcessingInstruction)
    return copy


def _assemble(
    tag: str, attributes: Iterable[tuple[str, str]], content: Sequence[bytes], declared: bytes = b""
) -> bytes:
    name = tag.encode()
    written = b"".join(
        b' %b="%b"' % (key.encode(), value.encode())
        if value.isalnum() and key[0] != "{"
        else f" {_attribute(number, key, value)}".encode()
        for number, (key, value) in enumerate(attributes)
    )
    if not content:
        return b"<%b%b%b/>" % (name, declared, written)
    return b"<%b%b%b>%b</%b>" % (name, declared, written, b"".join(content), name)


def _attribute(number: int, key: str, value: str) -> str:
    if not key.startswith("{"):
        return f"{key}={quoteattr(value)}"
    namespace, _, name = key[1:].partition("}")
    return f"xmlns:n{number}={quoteattr(namespace)} n{number}:{name}={quoteattr(value)}"
