"""Why a schema refuses an object, in sentences for a school office; whether it does is for the compiled schema.

It is called on refusal only, so that a check stays quick. The walk compares the object with the tree of its schema.
The object is hostile: names that it brings are cut short, and its texts are judged and never repeated.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import islice
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.editions import WIRE_VERSIONS
from schemas.model import CodeList, Finding, Node, kind_of, line_of, nearest_of, own_text, without_blanks
from schemas.values import Values

MAX_FINDINGS: Final = 100
_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_FREE_XSI: Final = frozenset({_XSI + "schemaLocation", _XSI + "noNamespaceSchemaLocation"})
_BLANKS: Final = " \t\r\n"  # what XML calls white space
_ONE_BLANK: Final = re.compile(r"[\t\r\n]")
_MOST_CODES_NAMED: Final = 12
_MOMENTS: Final = frozenset({"xs:date", "xs:dateTime", "xs:time", "xs:gYear", "xs:gYearMonth", "xs:duration"})
_NOTHING: Final[Mapping[str, Node]] = MappingProxyType({})
_BAD_VALUE: Final = 4
_MISSING: Final = 6


def with_bare_moments(element: etree._Element, nodes: Mapping[str, Node]) -> etree._Element:
    """Return a copy of an object without blanks around its dates and times.

    XSD takes such blanks off before it judges; libxml2 (2.14) does so for all types but these, and refuses them.
    """
    copy = deepcopy(element)
    pending = [(copy, nodes[""])] if "" in nodes else []
    while pending:
        part, node = pending.pop()
        if node.type in _MOMENTS and part.text:
            part.text = part.text.strip(_BLANKS)
        below = {child.name: child for child in node.children}
        for name, value in part.attrib.items():
            if str(name) in below and below[str(name)].type in _MOMENTS:
                part.set(name, str(value).strip(_BLANKS))
        children = [child for child in part if isinstance(child.tag, str)]
        pending += [(child, below[name]) for child in children if (name := _local_name(child)) in below]
    return copy


def _local_name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


class Explainer:
    """Says what is wrong with objects of one form of the schema.

    Args:
        namespace: The namespace of the objects' elements.
        values: Judges the texts.
        code_lists: The lists that the texts are from.
    """

    def __init__(self, namespace: str, values: Values, code_lists: Mapping[str, CodeList]) -> None:
        self._namespace, self._values, self._code_lists = namespace, values, code_lists

    def explain(
        self, element: etree._Element, nodes: Mapping[str, Node], newest: Mapping[str, Node] = _NOTHING
    ) -> tuple[Finding, ...]:
        """Return what is wrong with an object, in document order, at most 100 findings.

        Args:
            element: The object.
            nodes: The nodes of the variant it was checked against, by path; none when the variant has no such object.
            newest: Those of the newest edition, to tell what came later from what never was.
        """
        if "" not in nodes:
            return (_came_later(newest[""], "", line_of(element)),)
        walk = _Walk(self._namespace, self._values, self._code_lists, newest)
        found = islice(walk.element(element, nodes[""]), MAX_FINDINGS)
        return tuple(sorted(found, key=lambda finding: finding.line))


class _Walk:
    """A walk over one object. Every method yields findings of what it is given and of what is below that."""

    def __init__(
        self, namespace: str, values: Values, code_lists: Mapping[str, CodeList], newest: Mapping[str, Node]
    ) -> None:
        self._prefix = f"{{{namespace}}}"
        self._values = values
        self._code_lists = code_lists
        self._newest = newest

    def element(self, element: etree._Element, node: Node) -> Iterator[Finding]:
        line = line_of(element)
        yield from self._attributes(element, node, line)
        children = [child for child in element if isinstance(child.tag, str)]
        text = own_text(element)
        if element.get(_XSI + "nil", "").strip() in ("true", "1"):
            yield from _nil(node, line, empty=not children and not text)
            return
        if node.type == "xs:anyType":
            return
        has_elements = any(child.kind == "element" for child in node.children)
        if node.simple_type:
            yield from self._value(text, node, line)
        elif text.strip(_BLANKS):
            message = f"{_name(node)} has text between its elements: move the text into one of them, or delete it."
            yield _refusal(node.path, line, "text", message)
        if has_elements:
            yield from self._children(children, node, line)
        else:
            yield from (self._unknown_element(child, node, ()) for child in children)

    def _attributes(self, element: etree._Element, node: Node, line: int) -> Iterator[Finding]:
        known = {child.name: child for child in node.children if child.kind == "attribute"}
        free = tuple(name for name in known if name not in element.attrib)
        meant: set[str | None] = set()  # what is there, but under another name
        for name, value in element.attrib.items():
            if str(name) in known:
                yield from self._value(str(value), known[str(name)], line)
            elif str(name) == _XSI + "nil":
                said = str(value).strip(_BLANKS)
                if said in ("false", "0") and not node.nillable:
                    message = f"{_name(node)} may not carry xsi:nil, whatever it says: remove it."
                    yield _refusal(node.path, line, "nil", message)
                elif said not in ("true", "false", "1", "0"):
                    message = f"xsi:nil on {_name(node)} is neither true nor false: write true, or remove it."
                    yield _refusal(node.path, line, "nil", message)
            elif name not in _FREE_XSI:
                finding = self._unknown_attribute(str(name), free, node, line)
                meant.add(finding.nearest)
                yield finding
        for name, attribute in known.items():
            if attribute.mandatory and name not in element.attrib and name not in meant:
                yield _missing(attribute, node, line, "add it")

    def _unknown_attribute(self, name: str, free: tuple[str, ...], node: Node, line: int) -> Finding:
        """Say what to do with an attribute that is not one of the element's; *free* are the names it may yet take."""
        local = _local(name)
        path = _join(node.path, "@" + local)
        if local == name and path in self._newest:  # one in a namespace is another
            return _came_later(self._newest[path], path, line)
        nearest = nearest_of(local, free)
        advice = f"rename it to {nearest}" if nearest else "remove it"
        message = f"{_name(node)} has an attribute {local}, which does not belong there: {advice}."
        return _refusal(path, line, "unknown-attribute", message, nearest)

    def _value(self, text: str, node: Node, line: int) -> Iterator[Finding]:
        if self._values.fits(text.strip(_BLANKS) if node.type in _MOMENTS else text, node.simple_type):
            return
        name = _name(node)
        choices = self._values.choices(node.simple_type)
        if not text.strip(_BLANKS):
            message = f"{name} is empty: fill it in" + (", or leave it out." if not node.mandatory else ".")
            yield _refusal(node.path, line, "empty", message, sif_code=_BAD_VALUE)
        elif not choices:
            found, expected = kind_of(text), _lower(self._values.wanted(node.simple_type))
            message = f"{name} holds {found}, which is not the right form: it must be {expected}."
            yield _refusal(node.path, line, "value", message, None, _BAD_VALUE, found, expected)
        else:
            expected, nearest = self._allowed(node, choices), nearest_of(text.strip(), choices)
            message = f"{name} has a code that is not allowed: use {expected}."
            yield _refusal(node.path, line, "unknown-code", message, nearest, _BAD_VALUE, kind_of(text), expected)

    def _allowed(self, node: Node, choices: tuple[str, ...]) -> str:
        """Name the codes, or where they are many the list that has them."""
        if node.codes is not None and len(choices) > _MOST_CODES_NAMED:
            return f'a code of the list "{self._code_lists[node.codes].title}"'
        more = ", ..." if len(choices) > _MOST_CODES_NAMED else ""
        return f"one of {', '.join(choices[:_MOST_CODES_NAMED])}{more}"

    def _children(self, children: list[etree._Element], node: Node, line: int) -> Iterator[Finding]:
        order = [child for child in node.children if child.kind == "element"]
        place = {self._prefix + child.name: index for index, child in enumerate(order)}
        known = [child for child in children if child.tag in place]
        in_place = _longest_rising([place[str(child.tag)] for child in known])
        misplaced = {id(child) for index, child in enumerate(known) if index not in in_place and node.ordered}
        present = sorted({place[str(child.tag)] for child in known})
        free = tuple(each.name for index, each in enumerate(order) if each.repeatable or index not in present)
        meant: set[str] = set()  # what is there, but under another name or namespace
        seen: Counter[int] = Counter()
        for child in children:
            index = place.get(str(child.tag))
            if index is None:
                finding = self._unknown_element(child, node, free)
                meant.add(finding.nearest or finding.path.rpartition("/")[2])
                yield finding
                continue
            seen[index] += 1
            if seen[index] > 1 and not order[index].repeatable:
                message = f"{_name(order[index])} is there more than once: keep one."
                yield _refusal(order[index].path, line_of(child), "repeated", message)
            elif id(child) in misplaced:
                yield _misplaced(order, present, index, line_of(child))
            yield from self.element(child, order[index])
        before = ""  # what is there, or will be once it is added
        for index, child_node in enumerate(order):
            is_missing = child_node.mandatory and index not in seen and child_node.name not in meant
            if is_missing:
                where = f"add it after {before}" if before else "add it as the first element"
                yield _missing(child_node, node, line, where)
            if is_missing or index in seen:
                before = child_node.name
        if node.unique_by:
            yield from _unique(children, node, node.unique_by)

    def _unknown_element(self, child: etree._Element, parent: Node, free: tuple[str, ...]) -> Finding:
        """Say what to do with an element that is not one of the parent's; *free* are the names that it may yet take."""
        tag = str(child.tag)
        local, line = _local(tag), line_of(child)
        path = _join(parent.path, local)
        known = tuple(node.name for node in parent.children if node.kind == "element")
        if local in known:
            namespace = self._prefix.strip("{}")
            message = f'{local} in {_name(parent)} has the wrong namespace: it must be "{namespace}".'
            return _refusal(path, line, "namespace", message)
        if path in self._newest and tag.startswith(self._prefix):
            return _came_later(self._newest[path], path, line)
        nearest = nearest_of(local, free)
        advice = f"rename it to {nearest}" if nearest else "remove it"
        message = f"{_name(parent)} has an element {local}, which does not belong there: {advice}."
        return _refusal(path, line, "unknown-element", message, nearest)


def _refusal(
    path: str,
    line: int,
    rule: str,
    message: str,
    nearest: str | None = None,
    sif_code: int = 3,
    found: str = "",
    expected: str = "",
) -> Finding:
    return Finding(path, line, rule, "refuse", message, nearest, sif_code, found, expected)


def _came_later(node: Node, path: str, line: int) -> Finding:
    version = WIRE_VERSIONS.get(node.since, "")  # type: ignore[call-overload]  # a word that is no edition has no version
    since = f"came with UK {node.since}" if version else "is not in the edition of the standard that the message names"
    advice = f'send it in a message with Version="{version}", or leave it out' if version else "leave it out"
    return _refusal(path, line, "edition", f"{_name(node)} {since}: {advice}.")


def _missing(node: Node, parent: Node, line: int, advice: str) -> Finding:
    meaning = f" ({_lower(node.label)})" if node.label else ""
    message = f"{_name(parent)} has no {node.name}{meaning}: {advice}."
    return _refusal(node.path, line, "missing", message, sif_code=_MISSING)


def _misplaced(order: list[Node], present: list[int], index: int, line: int) -> Finding:
    """Say where an element belongs, by a neighbour that is there."""
    before = [i for i in present if i < index]
    after = [i for i in present if i > index]
    where = f"after {order[before[-1]].name}" if before else f"before {order[after[0]].name}"
    message = f"{_name(order[index])} is in the wrong place: move it {where}."
    return _refusal(order[index].path, line, "order", message)


def _nil(node: Node, line: int, *, empty: bool) -> Iterator[Finding]:
    if not node.nillable:
        message = f"{_name(node)} may not be emptied with xsi:nil: fill it in."
        yield _refusal(node.path, line, "nil", message)
    elif not empty:
        message = f"{_name(node)} is marked as empty with xsi:nil but is not: delete the mark or what it holds."
        yield _refusal(node.path, line, "nil", message)


def _unique(members: list[etree._Element], node: Node, attribute: str) -> Iterator[Finding]:
    types = {part.name: part.type for child in node.children for part in child.children if part.kind == "attribute"}
    seen: set[str] = set()
    for member in members:
        given = member.get(attribute)
        if given is None:
            continue
        value = without_blanks(given) if types.get(attribute) != "xs:normalizedString" else _ONE_BLANK.sub(" ", given)
        if value in seen:
            name = _local(str(member.tag))
            message = (
                f"{_name(node)} has two members {name} with the same {attribute}: keep one, or change its {attribute}."
            )
            yield _refusal(f"{node.path}/{name}/@{attribute}", line_of(member), "unique", message)
        seen.add(value)


def _longest_rising(numbers: list[int]) -> set[int]:
    """Return the indexes of a longest sequence that does not fall: what is left out is out of order."""
    ends: list[int] = []  # smallest last number of a sequence, by its length
    last: list[int] = []  # its index in numbers
    previous: list[int] = []
    for index, number in enumerate(numbers):
        length = bisect_right(ends, number)
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [number]
        last[length : length + 1] = [index]
    chosen: set[int] = set()
    index = last[-1] if last else -1
    while index >= 0:
        chosen.add(index)
        index = previous[index]
    return chosen


def _name(node: Node) -> str:
    """Return the last two parts of a path: enough to find the place by."""
    return "/".join(node.path.split("/")[-2:]) or node.name


def _local(name: str) -> str:
    return re.sub(r"[^\w.:-]", "", name.rpartition("}")[2])[:60]


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _lower(text: str) -> str:
    """Start a phrase in lower case, unless it starts with an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
