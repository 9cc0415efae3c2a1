"""Tells what is filled in an object, and which line of the mapping fills it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from mappings.lineage import Line
from mappings.spec import Step, path_steps


@dataclass(frozen=True, slots=True)
class Filled:
    """A text or attribute of an object.

    Attributes:
        path: With the attributes that tell elements of one name apart: ``Name[@Type='C']/FamilyName``.
        plain: The path without them, as the schema has it.
        value: The text. Personal data: not for logs.
        line: The line that fills it; None of what no line of its own fills.
    """

    path: str
    plain: str
    value: str = field(repr=False)
    line: Line | None


@dataclass(slots=True)
class _Place:
    """Where a text can stand; what is below it is found once and then kept, since objects of one mapping are alike.

    Attributes:
        steps: From the top: names, with the attributes that lines tell elements apart by.
        shown: Names of these attributes for the elements that may stand here.
        parts: Places below it, by tag and the attributes shown.
    """

    path: str
    plain: str
    line: Line | None
    steps: tuple[tuple[str, frozenset[tuple[str, str]]], ...]
    shown: tuple[str, ...]
    parts: dict[tuple[str, tuple[str | None, ...]], "_Place"] = field(default_factory=dict)


class Filler:
    """Finds the line behind each text of a mapping's objects."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._by_path: dict[str, list[tuple[Line, tuple[Step, ...]]]] = {}
        self._shown: dict[str, set[str]] = {}  # attributes by which elements are told apart, by plain path of element
        self._top = _Place("", "", None, (), ())
        for line in lines:
            steps = path_steps(line.target) if line.kind == "field" else None
            if steps is not None:
                self._add(line, tuple(step for step in steps if step.name != "."))

    def _add(self, line: Line, steps: tuple[Step, ...]) -> None:
        names = [step.name for step in steps]
        self._by_path.setdefault("/".join(names), []).append((line, steps))
        for index, step in enumerate(steps, start=1):
            self._shown.setdefault("/".join(names[:index]), set()).update(name for name, _ in step.predicates)

    def filled(self, element: etree._Element) -> Iterator[Filled]:
        """Yield each text and attribute of an object, in document order; its own RefId is left out."""
        yield from self._attributes(element, self._top, ("RefId",))
        for child in element:
            yield from self._below(child, self._top)

    def _below(self, element: etree._Element, above: _Place) -> Iterator[Filled]:
        name = str(element.tag).rpartition("}")[2]
        place = self._place(above, name, element)
        if element.attrib:
            yield from self._attributes(element, place, place.shown)
        if len(element):
            for child in element:
                yield from self._below(child, place)
        elif element.text:
            yield Filled(place.path, place.plain, element.text, place.line)

    def _attributes(self, element: etree._Element, place: _Place, without: Sequence[str]) -> Iterator[Filled]:
        for name, text in element.attrib.items():
            if name not in without:
                at = self._place(place, f"@{str(name).rpartition('}')[2]}", None)
                yield Filled(at.path, at.plain, str(text), at.line)

    def _place(self, above: _Place, name: str, element: etree._Element | None) -> _Place:
        plain = f"{above.plain}/{name}" if above.plain else name
        shown = tuple(sorted(self._shown.get(plain, ())))
        found = tuple(None if element is None else element.get(key) for key in shown)
        place = above.parts.get((name, found))
        if place is None:
            tests = [(key, text) for key, text in zip(shown, found, strict=True) if text is not None]
            path = f"{above.path}/{name}" if above.path else name
            path += "".join(f"[@{key}='{text}']" for key, text in tests)
            steps = (*above.steps, (name, frozenset(tests)))
            place = _Place(path, plain, self._line(plain, steps), steps, shown)
            above.parts[name, found] = place
        return place

    def _line(self, plain: str, steps: tuple[tuple[str, frozenset[tuple[str, str]]], ...]) -> Line | None:
        """Return the line whose predicates all hold, that with the most of them first."""
        best: Line | None = None
        most = -1
        for line, wanted in self._by_path.get(plain, ()):
            tests = [set(step.predicates) for step in wanted]
            if all(test <= has for test, (_, has) in zip(tests, steps, strict=True)):
                count = sum(map(len, tests))
                if count > most:
                    best, most = line, count
        return best


__all__ = ["Filled", "Filler"]
