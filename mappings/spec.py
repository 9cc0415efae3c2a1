"""Reads the parts of a mapping file that inward and outward mappings share, collecting every problem with its place."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from mappings.codes import CodeTable, code_table
from mappings.converters import Converter, UnknownConverterError, converter
from mappings.document import Document, Where
from mappings.problems import MappingError, Problem, nearest
from mappings.shelves import Shelves
from mappings.values import Alternative, Scope, Test, Value

S = TypeVar("S", bound=Scope)
Table = Mapping[str, Any]
MAX_PROBLEMS: Final = 200  # of one file
MAX_MESSAGE: Final = 500  # characters; a message quotes the file
MAX_PATH: Final = 500  # characters
MAX_ALTERNATIVES: Final = 100  # of one value

_KINDS: Final = {
    str: "a text in quotes",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list in square brackets",
}
CODE_FILE: Final[Mapping[str, tuple[type, ...]]] = {
    "title": (str,),
    "unknown": (str,),
    "default": (str,),
    "codes": (dict,),
}
VALUE_KEYS: Final[Mapping[str, tuple[type, ...]]] = {
    "from": (str,),
    "join": (list,),
    "with": (str,),
    "const": (str,),
    "ref": (str,),
    "key": (list,),
    "convert": (str, list),
    "codes": (str, dict),
    "when": (dict,),
    "default": (str,),
    "required": (bool,),
    "warn": (str,),
}
_TEST: Final = r"\[(?:@[A-Za-z_][A-Za-z0-9_]*=(?:'[^'\]]*'|\"[^\"\]]*\")|[1-9][0-9]?)\]"
_STEP: Final = re.compile(rf"@?([A-Za-z_][A-Za-z0-9_]*)((?:{_TEST})*)|\.")
_PREDICATE: Final = re.compile(r"\[@([A-Za-z_][A-Za-z0-9_]*)=(?:'([^'\]]*)'|\"([^\"\]]*)\")\]")
_NUMBER: Final = re.compile(r"\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: an element, an attribute (``@Name``) or the text itself (``.``).

    Attributes:
        name: The element's name, ``@Name`` or ``.``.
        predicates: Attributes that the element has, by ``[@Type='C']``.
        number: Tells apart members of a list that no attribute tells apart, by ``[2]``; 0 where there is none.
    """

    name: str
    predicates: tuple[tuple[str, str], ...] = ()
    number: int = 0

    @property
    def is_attribute(self) -> bool:
        """Whether the step names an attribute."""
        return self.name.startswith("@")


def path_steps(path: str) -> tuple[Step, ...] | None:
    """Return the steps of a path such as ``Name[@Type='C']/FamilyName``; None when it is not one."""
    if len(path) > MAX_PATH:  # splitting one takes the square of its length
        return None
    steps = []
    for part in re.split(r"/(?![^\[]*\])", path):
        match = _STEP.fullmatch(part)
        if match is None or (part.startswith("@") and match[2]):
            return None
        found = _PREDICATE.findall(match[2] or "")
        number = _NUMBER.search(match[2] or "")
        predicates = tuple((name, single or double) for name, single, double in found)
        steps.append(Step(part.partition("[")[0], predicates, int(number[1]) if number else 0))
    ends_early = any(step.is_attribute or step.name == "." for step in steps[:-1])
    return None if ends_early else tuple(steps)


@dataclass(slots=True)
class Reader:
    """One file being read: its values, where they stand, and the problems found so far."""

    document: Document
    files: Shelves  # where key files and code tables are found
    problems: list[Problem] = field(default_factory=list)

    def report(self, where: Where, message: str, near: str | None = None) -> None:
        """Add a problem at a place of this file; after many, stop reading.

        Raises:
            MappingError: There are ``MAX_PROBLEMS`` of them: each takes time to find the nearest name for.
        """
        if len(message) > MAX_MESSAGE:  # of what it quotes the beginning is enough
            message = f"{message[: MAX_MESSAGE // 2]} ... {message[-MAX_MESSAGE // 2 :]}"
        self.problems.append(self.document.problem(where, message, near))
        if len(self.problems) >= MAX_PROBLEMS:
            self.finish()

    def finish(self) -> None:
        """Raise MappingError when there is any problem."""
        if self.problems:
            raise MappingError(dict.fromkeys(self.problems))

    def table(
        self, where: Where, values: object, allowed: Mapping[str, tuple[type, ...]], needed: Iterable[str] = ()
    ) -> Table:
        """Return the entries of a table that are known and of the right type; report the others and what is missing."""
        if not isinstance(values, dict):
            self.report(where, "must be a table")
            return {}
        right: dict[str, Any] = {}
        for name, value in values.items():
            if name not in allowed:
                near = nearest(name, allowed)
                known = "" if near else f": it can be {', '.join(allowed)}"
                self.report((*where, name), f"there is no setting {name!r} here{known}", near)
            elif type(value) not in allowed[name]:
                kinds = " or ".join(_KINDS[kind] for kind in allowed[name])
                self.report((*where, name), f"{name!r} must be {kinds}")
            else:
                right[name] = value
        for name in needed:
            if name not in values:
                self.report(where, f"the setting {name!r} is missing: add it")
        return right

    def converters(self, where: Where, spelt: str | Sequence[object]) -> tuple[tuple[str, Converter], ...]:
        """Return converters with their names, from one name or a list of names."""
        steps = []
        for index, name in enumerate([spelt] if isinstance(spelt, str) else spelt):
            place = where if isinstance(spelt, str) else (*where, index)
            if not isinstance(name, str):
                self.report(place, "must be the name of a converter in quotes")
                continue
            try:
                steps.append((name.partition(":")[0], converter(name, Path(self.document.place(place).file).parent)))
            except UnknownConverterError as error:
                self.report(place, str(error), error.nearest)
        return tuple(steps)

    def codes(self, where: Where, spelt: str | dict[str, object]) -> CodeTable | None:
        """Return a code table, from its name in the library or written in place."""
        if isinstance(spelt, dict):
            return self._table_of(self, where, spelt, "")
        beside = (self.document.file, self.document.place(where).file)
        document = self.files.codes(spelt, beside)
        if document is None:
            near = nearest(spelt[:200], self.files.code_names(beside))
            self.report(where, f"there is no code table {spelt!r}", near)
            return None
        other = Reader(document, self.files)
        values = other.table((), document.values, CODE_FILE, ["codes"])
        unknown = values.get("unknown", "report")
        if unknown not in ("report", "pass"):
            other.report(("unknown",), '\'unknown\' must be "report" or "pass"', nearest(unknown, ["report", "pass"]))
        table = self._table_of(other, ("codes",), values.get("codes", {}), spelt, unknown, values.get("default"))
        self.problems.extend(other.problems)
        return table

    @staticmethod
    def _table_of(
        reader: "Reader",
        where: Where,
        codes: dict[str, object],
        name: str,
        unknown: str = "report",
        default: str | None = None,
    ) -> CodeTable:
        right: dict[str, str] = {}
        for source, target in codes.items():
            if isinstance(target, str) and target:
                right[source] = target
            else:
                reader.report((*where, source), "a code must be a text in quotes")
        return code_table(name, right, unknown, default)


@dataclass(slots=True)
class ValueReader(Generic[S]):
    """Reads value specifications for one kind of source.

    ``source`` turns a spelt field into a getter (and reports what is wrong with it); ``ref`` turns ``{ ref, key }``
    into one, with the fields it reads, where references can be made.
    """

    reader: Reader
    source: Callable[[Where, str], Callable[[S], str | None]]
    ref: Callable[[Where, Table], tuple[Callable[[S], str | None], str]] | None = None
    label: Callable[[str], str] = str  # what a source field is called in problems

    def value(self, where: Where, spec: object) -> Value[S]:
        """Return the value that is spelt as a text (a source field), a table, or a list of either (alternatives)."""
        if isinstance(spec, list) and len(spec) > MAX_ALTERNATIVES:
            self.reader.report(where, f"more than {MAX_ALTERNATIVES} alternatives: write fewer")
            return Value(())
        if isinstance(spec, list):
            parts = [self._part((*where, index), part) for index, part in enumerate(spec)]
            if not parts:
                self.reader.report(where, "an empty list gives no value: name a source field")
            return Value(tuple(a for found, _ in parts for a in found), any(required for _, required in parts))
        alternatives, required = self._part(where, spec)
        return Value(alternatives, required)

    def tests(self, where: Where, spec: object) -> tuple[Test[S], ...]:
        """Return the tests of a ``when``."""
        tests: list[Test[S]] = []
        for name, expected in (spec if isinstance(spec, dict) else {}).items():
            get = self.source((*where, name), name)
            if isinstance(expected, bool):
                tests.append(Test(get, expected))
                continue
            negated = isinstance(expected, dict) and list(expected) == ["not"]
            texts = _folded(expected["not"] if negated else expected)
            if texts is None:
                message = 'must be true (there), false (not there), a text, a list of texts, or { not = ["..."] }'
                self.reader.report((*where, name), message)
            elif negated:
                tests.append(Test(_unless(get, texts), expected=True))
            else:
                tests.append(Test(get, texts))
        return tuple(tests)

    def _part(self, where: Where, spec: object) -> tuple[tuple[Alternative[S], ...], bool]:
        if isinstance(spec, str):
            return (Alternative(self.source(where, spec), self.label(spec), constant=spec == "#"),), False
        if not isinstance(spec, dict):
            self.reader.report(
                where, 'must be a source field in quotes, a table such as { from = "..." }, or a list of these'
            )
            return (), False
        before = len(self.reader.problems)
        given = self.reader.table(where, spec, VALUE_KEYS)
        if len(self.reader.problems) > before:
            return (), False  # what else is wrong with it may follow from that
        found = self._main(where, given)
        default = given.get("default")
        if default is not None:
            found = (*found, _constant(default))
        return found, bool(given.get("required", False))

    def _main(self, where: Where, given: Table) -> tuple[Alternative[S], ...]:
        ways = [name for name in ("from", "join", "const", "ref") if name in given]
        if len(ways) != 1:
            self.reader.report(where, "needs exactly one of 'from', 'join', 'const' and 'ref'")
            return ()
        get, source = self._getter(where, given, ways[0])
        codes = given.get("codes")
        return (
            Alternative(
                get,
                source,
                ways[0] == "const" or given.get("from") == "#",
                self.tests((*where, "when"), given.get("when", {})),
                self.reader.converters((*where, "convert"), given.get("convert", [])),
                None if codes is None else self.reader.codes((*where, "codes"), codes),
                given.get("warn"),
                None if "convert" in given or codes is not None else given.get("const"),
            ),
        )

    def _getter(self, where: Where, given: Table, way: str) -> tuple[Callable[[S], str | None], str]:
        for name, owner in (("with", "join"), ("key", "ref")):
            if name in given and way != owner:
                self.reader.report((*where, name), f"{name!r} goes with {owner!r} only: remove it")
        if way == "from":
            return self.source((*where, "from"), given["from"]), self.label(given["from"])
        if way == "const":
            text = given["const"]
            return lambda _scope: text, ""
        if way == "join":
            return self._join((*where, "join"), given["join"], given.get("with", ""))
        if self.ref is None:
            self.reader.report((*where, "ref"), "a reference cannot be made here: objects have theirs already")
            return lambda _scope: None, ""
        return self.ref(where, given)

    def _join(self, where: Where, names: list[object], between: str) -> tuple[Callable[[S], str | None], str]:
        getters = []
        for index, name in enumerate(names):
            if isinstance(name, str):
                getters.append(self.source((*where, index), name))
            else:
                self.reader.report((*where, index), "must be a source field in quotes")

        def joined(scope: S) -> str | None:
            parts = [get(scope) for get in getters]
            return None if any(part is None for part in parts) else between.join(part or "" for part in parts)

        return joined, ", ".join(self.label(str(name)) for name in names)


def _folded(texts: object) -> frozenset[str] | None:
    """Return a text or a list of texts as they are compared; None when it is neither."""
    listed = [texts] if isinstance(texts, str) else texts
    if not isinstance(listed, list) or not listed or not all(isinstance(text, str) for text in listed):
        return None
    return frozenset(text.strip().casefold() for text in listed)


def _unless(get: Callable[[S], str | None], texts: frozenset[str]) -> Callable[[S], str | None]:
    """Return what is there when the source is empty or none of some texts."""

    def unless(scope: S) -> str | None:
        found = get(scope)
        return None if found is not None and found.strip().casefold() in texts else ""

    return unless


def _constant(text: str) -> Alternative[Any]:
    return Alternative(lambda _scope: text, "", constant=True, text=text)
