"""Gets back from a SIF object a record that gives it; how a mapping is turned round is ``invert``'s work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from lxml import etree

from mappings.inward import InwardMapping
from mappings.records import Record, RowProblem
from mappings.selection import Group
from mappings.turned import Draft, Drafts, Filled, Members, Node, Plan, Way, assume, named, text_of

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_MAX_CHOICES: Final = 10  # lines of which other alternatives are tried


@dataclass(frozen=True, slots=True)
class Undone:
    """The record of one object, and what of the object it does not give again; without problems it gives all."""

    record: Record = field(repr=False)
    problems: tuple[RowProblem, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Another object that an object names by RefId; its own record tells what the RefId hides.

    Attributes:
        object_type: Its kind.
        ref_id: Its RefId.
        sources: The source fields that the RefId was made of.
    """

    object_type: str
    ref_id: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inverse:
    """A mapping turned round.

    Attributes:
        name: The mapping's name.
        object_type: The objects that it reads.
        beside: The source fields that identify the object, or decide over it, and that nothing in it shows (a RefId
            does not tell what it is made of): whoever knows them gives them to ``record``.
    """

    name: str
    object_type: str
    beside: tuple[str, ...]
    _mapping: InwardMapping = field(repr=False)
    _plan: Plan = field(repr=False)

    def record(self, element: etree._Element, beside: Mapping[str, str] = _NOTHING) -> Undone:
        """Return a record that the mapping translates into this object; its RefIds apart, for they are made of keys.

        Args:
            element: The object.
            beside: Values of the fields in ``beside``, as far as they are known; of others that identify it too, for
                objects in which they are missing.
        """
        position = f"{self.object_type} {element.get('RefId', '')}".strip()
        first = _Work(self._plan, position)
        undone = self._undone(first, element, beside)
        if not undone.problems:
            return undone
        # Another alternative of one line may give the same value and fit the rest better.
        for target, count in tuple(first.choices.items())[:_MAX_CHOICES]:
            for passed in range(1, count):
                other = self._undone(_Work(self._plan, position, {target: passed}), element, beside)
                if not other.problems:
                    return other
        return undone

    def _undone(self, work: "_Work", element: etree._Element, beside: Mapping[str, str]) -> Undone:
        record = work.record(element, beside)
        return Undone(record, tuple(self._lost(element, record)))

    def references(self, element: etree._Element) -> tuple[Reference, ...]:
        """Return the objects that this one refers to, in the order of the object."""
        return tuple(_references(self._plan.root, element))

    def _lost(self, element: etree._Element, record: Record) -> Iterator[RowProblem]:
        """Yield what translating the record does not give again."""
        translation = self._mapping.translate(record, _AnyRefId())
        refused = [problem for problem in translation.problems if problem.severity == "refuse"]
        if len(translation.objects) != 1:
            message = "the record is none that this mapping takes: fill what its conditions ('when') read"
            skipped = RowProblem(record.position, self.object_type, "", "when", "inverse", message, "refuse")
            yield from refused or [skipped]
            return
        for path in dict.fromkeys(_differences(element, translation.objects[0].element, "", self._plan.refs)):
            message = "cannot be got back from the object: what this mapping makes is not the same"
            yield RowProblem(record.position, self.object_type, "", path, "inverse", message, "warn")


class _AnyRefId:
    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:  # noqa: ARG002 - as the protocol has it
        return "0" * 32


class _Work:
    """One object being turned into a record; *passed*: how many alternatives of a line are passed over."""

    def __init__(self, plan: Plan, position: str, passed: Mapping[str, int] = MappingProxyType({})) -> None:
        self._plan, self._position, self._passed = plan, position, passed
        self._found: list[tuple[Drafts, list[tuple[Way, list[str]]]]] = []
        self._puts: list[tuple[Members, list[Draft], Drafts]] = []
        self.choices: dict[str, int] = {}  # of each line, how many of its alternatives can have given the text

    def record(self, element: etree._Element, beside: Mapping[str, str]) -> Record:
        each, picks = self._plan.each, self._plan.picks
        top = Draft()
        here = top if each is None else Draft()
        drafts = Drafts(top, here, {alias: Draft() for alias in picks})
        self._read(self._plan.root, element, drafts)
        self._fill()
        self._know(beside, drafts, each)
        assume(self._plan.when, drafts)
        for alias, members in picks.items():
            followed = any(put.after == alias and found for put, found, _ in self._puts)
            members.put([drafts.picks[alias]] if drafts.picks[alias].fields or followed else [], drafts)
        for members, found, where in self._puts:
            members.put(found, where)
        if each is not None:
            each.put([here], Drafts(top, top, {}))
        return top.record(self._position)

    def _read(self, node: Node, element: etree._Element, drafts: Drafts) -> None:
        for line, text in node.texts(element):
            if text:
                self._note(line, text, drafts)
        lists: dict[int, tuple[Members, list[Draft]]] = {}
        for child, part in node.places(element):
            if child.members is None:
                self._read(child, part, drafts)
                continue
            member = Draft()
            lists.setdefault(id(child), (child.members, []))[1].append(member)
            self._read(child, part, Drafts(drafts.top, member, drafts.picks))
        self._puts.extend((members, found, drafts) for members, found in lists.values())

    def _note(self, line: Filled, text: str, drafts: Drafts) -> None:
        """Take down by which ways a text can have come from the source."""
        ways = [(way, texts) for way in line.ways if (texts := way.texts(text)) is not None]
        self.choices[line.target] = len(ways)
        ways = ways[self._passed.get(line.target, 0) :]
        if ways:
            self._found.append((drafts, ways))

    def _fill(self) -> None:
        """Fill in the source's fields, first from what tells most of them; what depends on others comes after them."""
        waiting = []
        for drafts, ways in sorted(self._found, key=lambda found: found[1][0][0].rank):
            sure = next(((way, texts) for way, texts in ways if way.surely_holds(drafts)), None)
            if sure is None:
                waiting.append((drafts, ways))
            else:
                drafts.fill(sure[0].names, sure[1], sure[0].part)
        for drafts, ways in waiting:
            way, texts = next((found for found in ways if found[0].may_hold(drafts)), (None, []))
            if way is not None:
                assume(way.when, drafts)
                drafts.fill(way.names, texts, way.part)

    def _know(self, beside: Mapping[str, str], drafts: Drafts, each: Members | None) -> None:
        group = f"{each.origin.name}/" if each is not None and isinstance(each.origin, Group) else None
        for name in self._plan.identifying & beside.keys():
            if group is not None and name.startswith(group):
                drafts.here.fields.setdefault(name.removeprefix(group), beside[name])
            else:
                drafts.top.fields.setdefault(name, beside[name])


def _references(node: Node, element: etree._Element) -> Iterator[Reference]:
    for line, text in node.texts(element):
        if line.ref is not None and text:
            yield Reference(line.ref, text, line.ref_sources)
    for child, part in node.places(element):
        yield from _references(child, part)


def _differences(one: etree._Element, other: etree._Element, path: str, without: frozenset[str]) -> Iterator[str]:
    """Yield the paths at which two objects differ."""
    if path not in without and text_of(one) != text_of(other):
        yield path
    for name in dict.fromkeys(str(name) for name in (*one.keys(), *other.keys())):
        inner = f"{path}/@{name}".lstrip("/")
        if one.get(name) != other.get(name) and inner not in without:
            yield inner
    names = dict.fromkeys(
        str(child.tag).rpartition("}")[2] for parent in (one, other) for child in parent.iterchildren(tag=etree.Element)
    )
    for name in names:
        inner = f"{path}/{name}".lstrip("/")
        ours, theirs = named(one, name), named(other, name)
        if len(ours) != len(theirs):
            yield inner
            continue
        for mine, its in zip(ours, theirs, strict=True):
            yield from _differences(mine, its, inner, without)
