"""Queries of a SIF_Request: read, written, and evaluated over one object; which objects there are is the caller's.

A query is hostile until shown otherwise: its paths are read by a small parser of our own and looked up name by name,
never handed to an XPath engine, and its size is bounded. No error repeats the value of a condition, which may identify
a child.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from broker.protocol.envelope import NAMESPACE, local_name
from broker.protocol.errors import NotValid, ZoneError

MAX_CONDITIONS: Final = 1_000
"""Most conditions in one query."""
MAX_ELEMENTS: Final = 500
"""Most elements that one query asks for."""
MAX_PATH: Final = 512
"""Most characters in a path."""
MAX_STEPS: Final = 32
"""Most steps in a path, and most levels in an example; the objects of SIF UK have no ten."""
MAX_EXAMPLE: Final = 200
"""Most elements and attributes in an example: each may be compared with every element of that name in an object."""

Kind: TypeAlias = Literal["text", "number", "date"]
KindOf: TypeAlias = Callable[[str], Kind | None]
"""From a path without its predicates, for example ``CurrentSchoolEnrolment/EntryDate``; None where nobody knows."""

_NS: Final = f"{{{NAMESPACE}}}"
_NAME: Final = re.compile(r"[^\W\d][\w.\-]*+")
_PLAIN: Final = re.compile(r"@?[^\W\d][\w.\-]*+(?:/@?[^\W\d][\w.\-]*+)*+")
_PREDICATE: Final = re.compile(r"""\[\s*+(@?[^\W\d][\w.\-]*+)\s*+=\s*+(?:'([^']*+)'|"([^"]*+)")\s*+\]""")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,60}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})")
_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_DATE_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,6})?[0-9]{0,20}(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BLANKS: Final = " \t\r\n"
_MAX_OBJECT_NAME: Final = 64

_T = TypeVar("_T", str, Decimal)


class QueryNotSupported(ZoneError):
    """A query, one of its paths or one of its operators is none that the zone evaluates.

    Attributes:
        reason: What is wrong and what to do, without any value of the query.
        path: The path it is about; empty unless it is a plain one, for a predicate holds a value.
    """

    category = 8  # request or response
    code = 9

    def __init__(self, reason: str, path: str = "") -> None:
        self.reason = reason
        self.path = path if len(path) <= MAX_PATH and _PLAIN.fullmatch(path) else ""
        super().__init__(f"{self.path}: {reason}" if self.path else reason)


class Operator(StrEnum):
    """SIF_Operator: how the value found is compared with the value given."""

    EQ = "EQ"
    NE = "NE"
    LT = "LT"
    GT = "GT"
    LE = "LE"
    GE = "GE"


class Joined(StrEnum):
    """@Type of SIF_ConditionGroup and SIF_Conditions; NONE is for one alone."""

    AND = "And"
    OR = "Or"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Condition:
    """One SIF_Condition.

    Attributes:
        path: From the object, by local names: ``LocalId``, ``@RefId``, ``Name[@Type='C']/FamilyName``.
        value: As written; left out of the representation, for it may identify a child.
    """

    path: str
    operator: Operator
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Conditions:
    """One SIF_Conditions: a block of conditions and how they are joined."""

    joined: Joined
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A SIF_Query.

    Attributes:
        elements: Paths of what is asked for; empty for the whole object.
        groups: Blocks of conditions; empty for no condition.
        joined: How the blocks are joined.
        example: The partial object of SIF_Example; equal only to itself, as lxml's elements are.
    """

    object_type: str
    elements: tuple[str, ...] = ()
    groups: tuple[Conditions, ...] = ()
    joined: Joined = Joined.AND
    example: etree._Element | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ExtendedQuery:
    """A SIF_ExtendedQuery, as far as it is needed to find who answers it.

    Attributes:
        provider_object: The object of SIF_DestinationProvider, where there is none that of SIF_From.
    """

    provider_object: str


class _Step(NamedTuple):
    """One step of a path: an element's name, and pairs of ``@Attribute`` or ``Child`` with the value it must have."""

    name: str
    predicates: tuple[tuple[str, str], ...] = ()


_Steps: TypeAlias = tuple[_Step, ...]


class _Path(NamedTuple):
    """A path that has been read; *attribute* is its last step without the ``@``, None where that is an element."""

    steps: _Steps
    attribute: str | None

    @property
    def plain(self) -> str:
        names = [step.name for step in self.steps]
        return "/".join(names if self.attribute is None else [*names, f"@{self.attribute}"])


# --- from the wire -----------------------------------------------------------------------------------------------


def parse_query(request: etree._Element) -> Query | ExtendedQuery:
    """Return the query in *request*, a SIF_Request.

    Raises:
        NotValid: The query is not as the schema has it; names the element.
        QueryNotSupported: A path or operator is none that is evaluated, or there are too many of them.

    Source:
        SIF UK 1.x message schema, SIF_Query and SIF_ExtendedQuery; the bounds are our own rule.
    """
    found = [child for child in _children(request) if child.tag in (_NS + "SIF_Query", _NS + "SIF_ExtendedQuery")]
    if len(found) != 1:
        raise NotValid(
            f"SIF_Request has {len(found)} queries: send exactly one SIF_Query or SIF_ExtendedQuery after "
            "SIF_MaxBufferSize"
        )
    query = found[0]
    return _extended(query) if query.tag == _NS + "SIF_ExtendedQuery" else _query(query)


def _query(query: etree._Element) -> Query:
    parts = _children(query)
    if not parts or parts[0].tag != _NS + "SIF_QueryObject":
        raise NotValid("SIF_Query must begin with SIF_QueryObject")
    object_type = _object_name(parts[0], "SIF_QueryObject")
    elements = _elements(parts[0])
    if len(parts) == 1:
        return Query(object_type, elements)
    if len(parts) == 2 and parts[1].tag == _NS + "SIF_ConditionGroup":
        joined, groups = _groups(parts[1])
        return Query(object_type, elements, groups, joined)
    if len(parts) == 2 and parts[1].tag == _NS + "SIF_Example":
        return Query(object_type, elements, example=_example(parts[1], object_type))
    raise NotValid(
        "SIF_Query must hold SIF_QueryObject, then nothing, one SIF_ConditionGroup or one SIF_Example, and no more"
    )


def _extended(query: etree._Element) -> ExtendedQuery:
    parts = {child.tag: child for child in _children(query)}
    provider, source = parts.get(_NS + "SIF_DestinationProvider"), parts.get(_NS + "SIF_From")
    if provider is not None:
        # The name stands in the attribute or, from some, in the element.
        return ExtendedQuery(_object_name(provider, "SIF_DestinationProvider", _own_text(provider)))
    if source is None:
        raise NotValid("SIF_ExtendedQuery has no SIF_From: name in it the object that is asked for")
    return ExtendedQuery(_object_name(source, "SIF_From"))


def _object_name(element: etree._Element, name: str, other: str = "") -> str:
    found = element.get("ObjectName", other).strip(_BLANKS)
    if len(found) > _MAX_OBJECT_NAME or _NAME.fullmatch(found) is None:
        raise NotValid(f"{name} does not name an object: give it ObjectName, for example LearnerPersonal")
    return found


def _elements(query_object: etree._Element) -> tuple[str, ...]:
    children = _children(query_object)
    if any(child.tag != _NS + "SIF_Element" for child in children):
        raise NotValid("SIF_QueryObject must hold SIF_Element and nothing else")
    _check_elements(len(children))
    return tuple(_checked_path(_only_text(child)) for child in children)


def _groups(group: etree._Element) -> tuple[Joined, tuple[Conditions, ...]]:
    blocks = _children(group)
    joined = _joined(group, "SIF_ConditionGroup", len(blocks))
    if any(block.tag != _NS + "SIF_Conditions" for block in blocks):
        raise NotValid("SIF_ConditionGroup must hold SIF_Conditions and nothing else: two levels and no deeper")
    _check_conditions(sum(len(block) for block in blocks))
    return joined, tuple(_conditions(block) for block in blocks)


def _conditions(block: etree._Element) -> Conditions:
    conditions = _children(block)
    joined = _joined(block, "SIF_Conditions", len(conditions))
    return Conditions(joined, tuple(_condition(condition) for condition in conditions))


def _joined(element: etree._Element, name: str, count: int) -> Joined:
    joined = _JOINED.get(element.get("Type", ""))
    if joined is None:
        raise NotValid(f"{name}/@Type must be And, Or or None")
    if count == 0:
        raise NotValid(f"{name} is empty: leave it out, or state a condition")
    if joined is Joined.NONE and count > 1:
        raise NotValid(f"{name}/@Type is None, which is for one alone, and it has {count}: say And or Or")
    return joined


def _condition(condition: etree._Element) -> Condition:
    parts = _children(condition)
    if condition.tag != _NS + "SIF_Condition" or [part.tag for part in parts] != _CONDITION:
        raise NotValid("SIF_Conditions must hold SIF_Condition, and each SIF_Element, SIF_Operator and SIF_Value")
    path, name, value = (_only_text(part) for part in parts)
    path = _checked_path(path)
    operator = _OPERATORS.get(name.strip(_BLANKS))
    if operator is None:
        raise QueryNotSupported("SIF_Operator is none of EQ, NE, LT, GT, LE and GE", path)
    return Condition(path, operator, value)


def _example(example: etree._Element, object_type: str) -> etree._Element:
    objects = _children(example)
    if len(objects) != 1 or local_name(objects[0]) != object_type:
        raise NotValid("SIF_Example must hold one object, of the type that SIF_QueryObject names")
    if sum(1 + len(element.attrib) for element in objects[0].iter(etree.Element)) > MAX_EXAMPLE:
        raise QueryNotSupported(f"SIF_Example has more than {MAX_EXAMPLE} elements and attributes: send fewer")
    if _levels(objects[0]) > MAX_STEPS:
        raise QueryNotSupported(f"SIF_Example is more than {MAX_STEPS} levels deep: send an example of an object")
    return objects[0]


def _levels(element: etree._Element) -> int:
    level, count = [element], 0
    while level:
        level, count = [child for parent in level for child in _children(parent)], count + 1
    return count


def _only_text(element: etree._Element) -> str:
    if _children(element):
        raise NotValid(f"{local_name(element)} must hold text alone")
    return _own_text(element)


def _check_elements(count: int) -> None:
    if count > MAX_ELEMENTS:
        raise QueryNotSupported(f"the query asks for {count:,} elements, more than {MAX_ELEMENTS:,}: ask for all")


def _check_conditions(count: int) -> None:
    if count > MAX_CONDITIONS:
        raise QueryNotSupported(f"the query has {count:,} conditions, more than {MAX_CONDITIONS:,}: send several")


# --- from the command line ---------------------------------------------------------------------------------------


def parse_where(object_type: str, texts: Sequence[str], elements: Sequence[str] = ()) -> Query:
    """Return the query that a person wrote.

    Args:
        object_type: For example ``LearnerPersonal``.
        texts: Each is ``PATH OP VALUE``, or several of that with `` or `` between them; all texts must be met. OP is
            one of ``= != < > <= >=`` or EQ, NE, LT, GT, LE, GE; VALUE may stand in single or double quotes.
        elements: Paths of what is asked for; none for the whole object.

    Raises:
        QueryNotSupported: A text cannot be read; says which, counted from 1, and how to write one.

    Source:
        Our own rule.
    """
    if len(object_type) > _MAX_OBJECT_NAME or _NAME.fullmatch(object_type) is None:
        raise QueryNotSupported("this is not the name of an object: write one such as LearnerPersonal")
    _check_elements(len(elements))
    groups = tuple(_block(text, f"condition text {number}") for number, text in enumerate(texts, start=1))
    _check_conditions(sum(len(block.conditions) for block in groups))
    return Query(object_type, tuple(_checked_path(path) for path in elements), groups)


def _block(text: str, where: str) -> Conditions:
    if _NOT_XML.search(text):
        raise QueryNotSupported(f"{where} has a control character, which no XML can hold: leave it out")
    conditions: list[Condition] = []
    position = 0
    while position <= len(text):
        condition, position = _written_condition(text, position, where)
        conditions.append(condition)
    return Conditions(Joined.OR if len(conditions) > 1 else Joined.NONE, tuple(conditions))


def _written_condition(text: str, position: int, where: str) -> tuple[Condition, int]:
    """Return the condition at *position*, and where the next begins; beyond the end when there is none."""
    start = _past_blanks(text, position)
    found, end = _scan(text, start)
    if found is None:
        raise QueryNotSupported(f"{where} has no path where a condition should begin: {_HOW}")
    path = _checked_path(text[start:end], where)
    operator = _WRITTEN_OPERATOR.match(text, _past_blanks(text, end))
    if operator is None:
        raise QueryNotSupported(f"{where} has no operator after a path: {_HOW}")
    begin = _past_blanks(text, operator.end())
    quoted = _QUOTED.match(text, begin)
    if quoted is not None:
        value = quoted[0][1:-1]
        following = _NEXT.match(text, quoted.end())
        rest = text[quoted.end() : len(text) if following is None else following.start()]
    else:
        following = _WORD.search(text, begin)
        value = text[begin : len(text) if following is None else following.start()].strip()
        rest = "" if value and _UNQUOTED.fullmatch(value) else "unclear"
    if rest.strip() or (following is not None and following[1].lower() != "or"):
        raise QueryNotSupported(
            f"{where} has a value that is missing, or that needs quotes round it: {_HOW}; "
            "give each condition that must be met as well as a text of its own"
        )
    name = operator[0].upper()
    return Condition(path, _SYMBOLS.get(name) or Operator(name), value), (
        len(text) + 1 if following is None else following.end()
    )


def _past_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


# --- to the wire -------------------------------------------------------------------------------------------------


def build_query(query: Query) -> bytes:
    """Return a SIF_Query to stand in a SIF_Message, without declaration of SIF UK's namespace (UTF-8).

    Of an example only what :func:`matches` looks at is written: elements, their own text, attributes in no namespace.
    """
    elements = "".join(f"<SIF_Element>{_escaped(path)}</SIF_Element>" for path in query.elements)
    content = f"<SIF_QueryObject ObjectName={quoteattr(query.object_type)}>{elements}</SIF_QueryObject>"
    if query.groups:
        blocks = "".join(_written_block(block) for block in query.groups)
        content += f'<SIF_ConditionGroup Type="{query.joined}">{blocks}</SIF_ConditionGroup>'
    if query.example is not None:
        content += f"<SIF_Example>{_written_example(query.example, NAMESPACE)}</SIF_Example>"
    return f"<SIF_Query>{content}</SIF_Query>".encode()


def _written_block(block: Conditions) -> str:
    conditions = "".join(
        f"<SIF_Condition><SIF_Element>{_escaped(condition.path)}</SIF_Element>"
        f"<SIF_Operator>{condition.operator}</SIF_Operator>"
        f"<SIF_Value>{_escaped(condition.value)}</SIF_Value></SIF_Condition>"
        for condition in block.conditions
    )
    return f'<SIF_Conditions Type="{block.joined}">{conditions}</SIF_Conditions>'


def _written_example(element: etree._Element, around: str) -> str:
    name = etree.QName(element)
    namespace = name.namespace or ""
    declared = "" if namespace == around else f" xmlns={quoteattr(namespace)}"
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in _attributes(element))
    text = _own_text(element)
    content = _escaped(text if text.strip(_BLANKS) else "")
    content += "".join(_written_example(child, namespace) for child in _children(element))
    return f"<{name.localname}{declared}{attributes}>{content}</{name.localname}>"


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})  # a bare one is read as a line feed


# --- evaluation --------------------------------------------------------------------------------------------------


def matches(query: Query, element: etree._Element, kind: KindOf | None = None) -> bool:
    """Return whether the object *element* meets the conditions, or the example, of *query*.

    Values are compared without the blanks around them, and as their kind has it: numbers by size, dates and times by
    when they are (a date alone is its midnight in UTC, its time zone is not looked at), all else as strings. A value
    that is not of its kind is compared as a string. Where nobody knows the kind, two plain numbers are ordered by
    size, and equal means the same string.

    Of several elements at a path one must meet the condition; for NE none may be equal. What is missing or empty is
    equal to the empty value, and neither less nor greater than any other. Of an example each element, those repeated
    included, must be met by one element of the object with all that is given below it; an empty one asks nothing.

    Args:
        query: Its object type must be that of *element*, otherwise nothing matches.
        element: An object in one of the namespaces that :func:`~broker.protocol.envelope.local_name` knows.
        kind: What is compared at a path; None where nobody knows it of any.

    Raises:
        QueryNotSupported: A path of a condition made by hand is none that is evaluated.

    Source:
        SIF Infrastructure 2.x, SIF_Query; comparison of missing values as OpenADK does it; the rest is our own rule.
    """
    if local_name(element) != query.object_type:
        return False
    kinds = _Kinds(kind)
    if query.groups:
        reader = _Reader(element, kinds)
        blocks = (_join(block.joined, map(reader.meets, block.conditions)) for block in query.groups)
        if not _join(query.joined, blocks):
            return False
    return query.example is None or _resembles(element, _wanted(query.example), kinds)


def _join(joined: Joined, answers: Iterator[bool]) -> bool:
    return any(answers) if joined is Joined.OR else all(answers)


class _Kinds:
    """Asks once for the kind of each path."""

    def __init__(self, kind: KindOf | None) -> None:
        self._kind = kind
        self._known: dict[str, Kind | None] = {}

    def of(self, path: str) -> Kind | None:
        if self._kind is None:
            return None
        if path not in self._known:
            self._known[path] = self._kind(path)
        return self._known[path]


class _Wanted(NamedTuple):
    """What one element of an example gives."""

    name: str
    attributes: list[tuple[str, str]]
    text: str
    children: tuple["_Wanted", ...]


class _Reader:
    """Looks things up in one object, each path and each predicate once for all conditions that speak of it."""

    def __init__(self, root: etree._Element, kinds: _Kinds) -> None:
        self._root = root
        self._kinds = kinds
        self._children: dict[_Steps, dict[str, list[etree._Element]]] = {}
        self._chosen: dict[tuple[_Steps, str], dict[str, list[etree._Element]]] = {}
        self._found: dict[_Path, _Found] = {}

    def meets(self, condition: Condition) -> bool:
        path = _parse_path(condition.path)
        found = self._found.get(path)
        if found is None:
            found = self._found[path] = _Found(self._texts(path), self._kinds.of(path.plain))
        return found.meets(condition.operator, condition.value.strip(_BLANKS))

    def elements(self, steps: _Steps) -> Sequence[etree._Element]:
        """Return the elements that *steps* lead to from the object, in document order."""
        if not steps:
            return (self._root,)
        last = steps[-1]
        if last.predicates:
            *fewer, (key, value) = last.predicates
            return self._chosen_by((*steps[:-1], _Step(last.name, tuple(fewer))), key).get(value, ())
        return self.children(steps[:-1]).get(last.name, ())

    def children(self, steps: _Steps) -> dict[str, list[etree._Element]]:
        """Return all children of the elements at *steps* by name."""
        known = self._children.get(steps)
        if known is None:
            known = self._children[steps] = {}
            for parent in self.elements(steps):
                for child in _children(parent):
                    known.setdefault(local_name(child), []).append(child)
        return known

    def anywhere(self, steps: _Steps) -> list[etree._Element]:
        """Return the elements that *steps* lead to from anywhere in the object."""
        return [element for element in self._named.get(steps[-1].name, ()) if self._ends_with(element, steps)]

    @cached_property
    def _named(self) -> dict[str, list[etree._Element]]:
        named: dict[str, list[etree._Element]] = {}
        for element in self._root.iter(etree.Element):
            named.setdefault(local_name(element), []).append(element)
        return named

    def _ends_with(self, element: etree._Element, steps: _Steps) -> bool:
        node: etree._Element | None = element
        for step in reversed(steps):
            if node is None or local_name(node) != step.name:
                return False
            if any(value not in _values(node, key) for key, value in step.predicates):
                return False
            node = None if node is self._root else node.getparent()
        return True

    def _chosen_by(self, steps: _Steps, key: str) -> dict[str, list[etree._Element]]:
        known = self._chosen.get((steps, key))
        if known is None:
            known = self._chosen[steps, key] = {}
            for element in self.elements(steps):
                for value in _values(element, key):
                    known.setdefault(value, []).append(element)
        return known

    def _texts(self, path: _Path) -> Iterator[str]:
        for element in self.elements(path.steps):
            text = _own_text(element) if path.attribute is None else element.get(path.attribute)
            if text is not None:
                yield text.strip(_BLANKS)


class _Found:
    """The values at one path of one object. After they have been read once, no condition looks at each again."""

    def __init__(self, texts: Iterable[str], kind: Kind | None) -> None:
        self._texts = frozenset(texts) or frozenset(("",))
        self._given = self._texts - {""}
        self._kind = kind

    def meets(self, operator: Operator, value: str) -> bool:
        if operator is Operator.NE:
            return not self._equals(value)
        if operator is Operator.EQ:
            return self._equals(value)
        if not value:
            return self._meets_nothing(operator)
        wanted = _ORDERED_AS[self._kind](value)
        if wanted is None:
            return _in_order(operator, self._bounds_of_all, value)
        return _in_order(operator, self._bounds_of_read, wanted) or _in_order(operator, self._bounds_of_others, value)

    def _equals(self, value: str) -> bool:
        if value in self._texts:
            return True
        read = _EQUAL_AS[self._kind]
        wanted = read(value)
        return wanted is not None and wanted in self._read

    def _meets_nothing(self, operator: Operator) -> bool:
        """Return the answer against the empty value: it is equal to itself and less than all else."""
        return (bool(self._given) and operator in (Operator.GT, Operator.GE)) or (
            "" in self._texts and operator in (Operator.LE, Operator.GE)
        )

    @cached_property
    def _read(self) -> frozenset[Decimal]:
        read = _ORDERED_AS[self._kind]
        return frozenset(value for text in self._given if (value := read(text)) is not None)

    @cached_property
    def _bounds_of_read(self) -> tuple[Decimal, Decimal] | None:
        return _bounds(self._read)

    @cached_property
    def _bounds_of_others(self) -> tuple[str, str] | None:
        read = _ORDERED_AS[self._kind]
        return _bounds(frozenset(text for text in self._given if read(text) is None))

    @cached_property
    def _bounds_of_all(self) -> tuple[str, str] | None:
        return _bounds(self._given)


def _bounds(values: frozenset[_T]) -> tuple[_T, _T] | None:
    return (min(values), max(values)) if values else None


def _in_order(operator: Operator, bounds: tuple[_T, _T] | None, wanted: _T) -> bool:
    """Return whether one of the values within *bounds* is in order: where any is, the least or the greatest is."""
    if bounds is None:
        return False
    least, greatest = bounds
    if operator is Operator.LT:
        return least < wanted
    if operator is Operator.LE:
        return least <= wanted
    return greatest > wanted if operator is Operator.GT else greatest >= wanted


def _wanted(example: etree._Element) -> _Wanted:
    """Return what *example* gives; an element with nothing in it gives nothing."""
    below = tuple(_wanted(child) for child in _children(example))
    return _Wanted(
        local_name(example),
        _attributes(example),
        _own_text(example).strip(_BLANKS),
        tuple(part for part in below if part.attributes or part.text or part.children),
    )


def _resembles(element: etree._Element, wanted: _Wanted, kinds: _Kinds, path: str = "") -> bool:
    """Return whether *element* has all that is *wanted*; *path* leads to it, and ends in a slash unless it is empty."""
    for name, value in wanted.attributes:
        if not _same(element.get(name, ""), value, kinds.of(f"{path}@{name}")):
            return False
    if wanted.text and not _same(_own_text(element), wanted.text, kinds.of(path.removesuffix("/"))):
        return False
    if not wanted.children:
        return True
    named: dict[str, list[etree._Element]] = {}
    for child in _children(element):
        named.setdefault(local_name(child), []).append(child)
    return all(
        any(_resembles(child, part, kinds, f"{path}{part.name}/") for child in named.get(part.name, ()))
        for part in wanted.children
    )


def _same(found: str, wanted: str, kind: Kind | None) -> bool:
    found, wanted = found.strip(_BLANKS), wanted.strip(_BLANKS)
    if found == wanted:
        return True
    read = _EQUAL_AS[kind]
    value = read(wanted)
    return value is not None and value == read(found)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> Decimal | None:
    """Return a date or time as microseconds since 1970 in UTC, None for any other text."""
    day = _DATE.fullmatch(text)
    moment = _DATE_TIME.fullmatch(text)
    try:
        if day is not None:
            when = datetime.fromisoformat(day[1])
        elif moment is not None:
            when = datetime.fromisoformat(f"{moment[1]}{(moment[2] or '.0').ljust(7, '0')}{moment[3] or ''}")
        else:
            return None
    except ValueError:
        return None
    return Decimal(((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1))


def _string(_text: str) -> None:
    """Return None: a text is not read as anything else."""


# --- selection ---------------------------------------------------------------------------------------------------


def selected(query: Query, element: etree._Element) -> etree._Element:
    """Return a copy of the object *element* cut to what *query* asks for; all of it when it asks for no elements.

    What is above an element asked for stays as a shell, with its attributes and nothing else; the order stays. Of the
    object's own attributes there stay those asked for and those whose names end in RefId.

    A path whose first step is no child of the object is looked for everywhere in it, for toolkits cut the beginning
    off: ``Name/FamilyName`` for ``PersonalInformation/Name/FamilyName``. An attribute alone is always the object's own.

    Raises:
        QueryNotSupported: A path of a query made by hand is none that is evaluated.

    Source:
        SIF Infrastructure 2.x, SIF_QueryObject/SIF_Element; the leniency is for what OpenADK was seen to send.
    """
    if not query.elements:
        return _copy(element)
    reader = _Reader(element, _Kinds(None))
    whole: set[etree._Element] = set()
    shells: set[etree._Element] = set()
    attributes: set[str] = set()
    for steps, attribute in {_parse_path(path) for path in query.elements}:
        if not steps:
            attributes.add(attribute or "")
            continue
        at_root = steps[0].name in reader.children(())
        for found in reader.elements(steps) if at_root else reader.anywhere(steps):
            if attribute is None:
                whole.add(found)
            elif found.get(attribute) is not None:
                shells.add(found)
    if element in whole:
        return _copy(element)
    _add_ancestors(shells, whole, element)
    cut = etree.Element(element.tag, nsmap=element.nsmap)  # type: ignore[arg-type]  # None is the key of no prefix
    for name, value in _attributes(element):
        if name.endswith("RefId") or name in attributes:
            cut.set(name, value)
    _fill(cut, element, whole, shells)
    return cut


def _add_ancestors(shells: set[etree._Element], whole: set[etree._Element], root: etree._Element) -> None:
    known = {root}
    for found in (*whole, *shells):
        node = found.getparent() if found is not root else None
        while node is not None and node not in known:
            known.add(node)
            node = node.getparent()
    shells |= known


def _fill(
    cut: etree._Element, element: etree._Element, whole: set[etree._Element], shells: set[etree._Element]
) -> None:
    for child in element:
        if child in whole:
            cut.append(_copy(child))
        elif child in shells:
            shell = etree.SubElement(cut, child.tag)
            for name, value in child.attrib.items():
                shell.set(name, value)
            _fill(shell, child, whole, shells)


def _copy(element: etree._Element) -> etree._Element:
    copy = deepcopy(element)
    copy.tail = None
    return copy


# --- paths and elements ------------------------------------------------------------------------------------------


def _checked_path(text: str, where: str = "") -> str:
    """Return *text* without the blanks around it, when it is a path that is evaluated."""
    path = text.strip(_BLANKS)
    try:
        _parse_path(path)
    except QueryNotSupported as error:
        if not where:
            raise
        raise QueryNotSupported(f"{where}: {error.reason}") from None
    return path


@lru_cache(maxsize=2 * MAX_CONDITIONS)
def _parse_path(text: str) -> _Path:
    if len(text) > MAX_PATH:
        raise QueryNotSupported(f"a path has {len(text):,} characters, more than {MAX_PATH}: {_HOW_PATH}")
    path, end = _scan(text, 0)
    if end != len(text) or path is None:
        raise QueryNotSupported(f"this is no path that the zone evaluates: {_HOW_PATH}", text)
    if len(path.steps) > MAX_STEPS:
        raise QueryNotSupported(f"a path has more than {MAX_STEPS} steps: {_HOW_PATH}")
    return path


def _scan(text: str, position: int) -> tuple[_Path | None, int]:
    """Return the path that begins at *position*, None when there is none, and where it ends."""
    steps: list[_Step] = []
    while True:
        if text.startswith("@", position):
            name = _NAME.match(text, position + 1)
            return (None, position) if name is None else (_Path(tuple(steps), name[0]), name.end())
        name = _NAME.match(text, position)
        if name is None:
            return None, position
        position = name.end()
        predicates: list[tuple[str, str]] = []
        while predicate := _PREDICATE.match(text, position):
            predicates.append((predicate[1], (predicate[2] or predicate[3] or "").strip(_BLANKS)))
            position = predicate.end()
        steps.append(_Step(name[0], tuple(predicates)))
        if not text.startswith("/", position):
            return _Path(tuple(steps), None), position
        position += 1


def _values(element: etree._Element, key: str) -> set[str]:
    """Return the values that ``@Attribute`` or ``Child`` has in *element*."""
    if key.startswith("@"):
        value = element.get(key[1:])
        return set() if value is None else {value.strip(_BLANKS)}
    return {_own_text(child).strip(_BLANKS) for child in _children(element) if local_name(child) == key}


def _children(element: etree._Element) -> list[etree._Element]:
    return [child for child in element if isinstance(child.tag, str)]  # a comment has a function for a tag


def _attributes(element: etree._Element) -> list[tuple[str, str]]:
    """Return the attributes in no namespace: those in one, such as xsi:nil, are about the document."""
    return [(str(name), str(value)) for name, value in element.attrib.items() if not str(name).startswith("{")]


def _own_text(element: etree._Element) -> str:
    """Return the text directly in *element*, also where comments stand in it."""
    if not len(element):
        return element.text or ""
    return (element.text or "") + "".join(child.tail or "" for child in element)


_JOINED: Final = {joined.value: joined for joined in Joined}
_OPERATORS: Final = {operator.value: operator for operator in Operator}
_SYMBOLS: Final = {
    "=": Operator.EQ,
    "!=": Operator.NE,
    "<": Operator.LT,
    ">": Operator.GT,
    "<=": Operator.LE,
    ">=": Operator.GE,
}
_CONDITION: Final = [_NS + "SIF_Element", _NS + "SIF_Operator", _NS + "SIF_Value"]
_EQUAL_AS: Final[dict[Kind | None, Callable[[str], Decimal | None]]] = {
    None: _string,
    "text": _string,
    "number": _number,
    "date": _moment,
}
_ORDERED_AS: Final = {**_EQUAL_AS, None: _number}
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WRITTEN_OPERATOR: Final = re.compile(r"""!=|<=|>=|=|<|>|(?:EQ|NE|LT|GT|LE|GE)(?=[\s'"])""", re.IGNORECASE)
_QUOTED: Final = re.compile(r"""'[^']*+'(?=\s|\Z)|"[^"]*+"(?=\s|\Z)""")
_UNQUOTED: Final = re.compile(r"""[^'"=<>][^"=<>]*+""")
_WORD: Final = re.compile(r"\s(or|and)(?:\s|\Z)", re.IGNORECASE)
_NEXT: Final = re.compile(r"\s++(or|and)(?:\s|\Z)", re.IGNORECASE)
_HOW: Final = "write PATH OP VALUE, for example LocalId = 000412, OP one of = != < > <= >="
_HOW_PATH: Final = "write one such as LocalId, @RefId or PersonalInformation/Name[@Type='C']/FamilyName"


__all__ = [
    "MAX_CONDITIONS",
    "MAX_ELEMENTS",
    "MAX_EXAMPLE",
    "MAX_PATH",
    "MAX_STEPS",
    "Condition",
    "Conditions",
    "ExtendedQuery",
    "Joined",
    "Kind",
    "KindOf",
    "Operator",
    "Query",
    "QueryNotSupported",
    "build_query",
    "matches",
    "parse_query",
    "parse_where",
    "selected",
]
