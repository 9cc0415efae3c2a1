"""What each line of a mapping file does, and where it stands, for those who show mappings; nothing is mapped here."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mappings.codes import CodeTable
from mappings.document import Document, Where
from mappings.values import Alternative, Value

Scopes = Callable[[Any], Iterable[Any]]  # from the scope of a record to those of a list's members
Kind = Literal["field", "list", "each", "rows", "pick", "key", "about", "when", "gone", "lookup"]


@dataclass(frozen=True, slots=True)
class Line:
    """One way in which a mapping reads its source; a line of the file with alternatives gives several.

    Attributes:
        kind: ``field`` (in a list too), ``list``, ``each``, ``rows``, ``pick``, ``key``, ``about``, ``when``, ``gone``
            or ``lookup`` (outward).
        target: Path in the object as the file spells it, or the column of an outward table; of a ``pick`` or
            ``lookup`` its name; of ``each``, ``rows``, ``key`` and ``about`` that word. Of ``when`` what it holds for:
            the list's path, or empty for the whole object, which a ``gone`` is always about.
        sources: The source fields that it reads, in full: ``Contacts/Contact/Surname`` within a group; the real columns
            where members are columns. Outward: paths in the object. Empty for a constant.
        convert: Its converters as the file spells them.
        codes: Its code table.
        const: Its constant.
        default: Its text for a source that has none.
        required: Without it the object is not made.
        file: The file that it stands in: of a mapping with a base, either.
        line: From 1.
        column: From 1.
        number: Which of the alternatives, from 1.
        ref: The object type whose RefId it makes.
        when: The source fields of its own condition.
        warn: What is reported when it is used.
        group: The path of the list that it belongs to; empty outside of lists. Outward: the object type.
    """

    kind: Kind
    target: str
    sources: tuple[str, ...]
    convert: tuple[str, ...] = ()
    codes: CodeTable | None = field(default=None, repr=False)
    const: str | None = None
    default: str | None = None
    required: bool = False
    file: str = ""
    line: int = 1
    column: int = 1
    number: int = 1
    ref: str | None = None
    when: tuple[str, ...] = ()
    warn: str | None = None
    group: str = ""
    # What it reads from a scope, before it is converted; None where it reads no text of its own (InwardMapping.texts)
    read: Callable[[Any], Iterator[str]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Spelt:
    """A value as a file spells it and as it was compiled.

    Attributes:
        document: The file.
        where: Its place there.
        spec: A text, a table, or a list of them; without any problem.
        value: What was made of it.
        names: What a source field is called in full.
        ref_names: The source fields that a reference is made of.
    """

    document: Document
    where: Where
    spec: object
    value: Value[Any]
    names: Callable[[str], tuple[str, ...]]
    ref_names: Callable[[Mapping[str, Any]], tuple[str, ...]] = lambda _given: ()

    def lines(
        self, kind: Kind, target: str, group: str = "", scopes: Scopes | None = None, way: int = 0
    ) -> Iterator[Line]:
        """Yield a line for each alternative.

        Args:
            kind: What the lines are.
            target: What they fill.
            group: The list that they belong to.
            scopes: Of the members of this list.
            way: Which of several ways to make a key they belong to: this is their number then.
        """
        listed = isinstance(self.spec, list)
        compiled = iter(self.value.alternatives)
        for index, part in enumerate(self.spec if isinstance(self.spec, list) else [self.spec]):
            alternative = next(compiled)
            given: Mapping[str, Any] = {"from": part} if isinstance(part, str) else part
            if "default" in given:
                next(compiled)
            convert = given.get("convert", ())
            yield Line(
                kind,
                target,
                self._sources(given),
                (convert,) if isinstance(convert, str) else tuple(convert),
                alternative.codes,
                given.get("const"),
                given.get("default"),
                given.get("required", False),
                *self.document.place((*self.where, index) if listed else self.where),
                number=way or index + 1,
                ref=given.get("ref"),
                when=unique(name for tested in given.get("when", {}) for name in self.names(tested)),
                warn=given.get("warn"),
                group=group,
                read=None if "ref" in given or "const" in given else _reading(alternative, scopes),
            )

    def _sources(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        if "ref" in given:
            return self.ref_names(given)
        spelt = given.get("join", [given["from"]] if "from" in given else [])
        return unique(name for part in spelt for name in self.names(part))


def _reading(alternative: Alternative[Any], scopes: Scopes | None) -> Callable[[Any], Iterator[str]]:
    def read(whole: Any) -> Iterator[str]:
        for scope in (whole,) if scopes is None else scopes(whole):
            if all(test.holds(scope) for test in alternative.tests):
                text = alternative.get(scope)
                if text is not None:
                    yield text

    return read


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without those that have been there, in order."""
    return tuple(dict.fromkeys(names))


def plain_line(
    document: Document, where: Where, kind: Kind, target: str, sources: Iterable[str], group: str = ""
) -> Line:
    """Return a line that chooses or tests, and makes no value."""
    file, line, column = document.place(where)
    return Line(kind, target, unique(sources), file=file, line=line, column=column, group=group)
