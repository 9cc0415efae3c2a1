"""How one value is got from a source: alternatives, conditions, converters, codes; where it goes is not known here.

A value is put together once, when its mapping is loaded, into one function that reads it; reading is what costs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from mappings.codes import CodeTable, UnknownCodeError
from mappings.converting import Converter, ConvertError

_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class UnusableError(ValueError):
    """A source value cannot be used: which rule, why, and the nearest right code."""

    def __init__(self, rule: str, message: str, source: str, near: str | None = None) -> None:
        self.rule, self.message, self.source, self.nearest = rule, message, source, near
        super().__init__(message)


class Scope(Protocol):
    """Where a value is read: it collects the notes that alternatives leave."""

    def note(self, source: str, message: str) -> None:
        """Report that an alternative with a ``warn`` was used."""


S = TypeVar("S", bound=Scope)
Getter = Callable[[S], str | None]
Found = tuple[str, bool]  # a text, and whether it comes from the source


@dataclass(frozen=True, slots=True)
class Test(Generic[S]):
    """One line of a ``when``: the field is there (True), is not (False), or has one of some texts."""

    get: Callable[[S], str | None]
    expected: bool | frozenset[str]

    def holds(self, scope: S) -> bool:
        """Whether the source is as expected."""
        found = self.get(scope)
        if isinstance(self.expected, bool):
            return (found is not None) is self.expected
        return found is not None and found.strip().casefold() in self.expected


@dataclass(frozen=True, slots=True)
class Alternative(Generic[S]):
    """One way to get a value.

    Attributes:
        constant: It is not from the source, so it makes no optional element by itself.
        text: The constant, where it is used as the file has it.
    """

    get: Callable[[S], str | None]
    source: str
    constant: bool = False
    tests: tuple[Test[S], ...] = ()
    steps: tuple[tuple[str, Converter], ...] = ()
    codes: CodeTable | None = None
    warn: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Value(Generic[S]):
    """A value by its alternatives: the first that gives one counts.

    Attributes:
        read: Returns the text and whether it comes from the source, of a scope; None when no alternative gives one.
            Raises UnusableError when the source has a value that the converters or the code table refuse.
    """

    alternatives: tuple[Alternative[S], ...]
    required: bool = False
    read: Callable[[S], Found | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", _reader(self.alternatives))

    @property
    def sources(self) -> str:
        """The source fields, for messages."""
        return ", ".join(dict.fromkeys(a.source for a in self.alternatives if a.source))

    @property
    def warns(self) -> bool:
        """Whether reading it can leave a note."""
        return any(a.warn is not None for a in self.alternatives)


def _reader(alternatives: tuple[Alternative[S], ...]) -> Callable[[S], Found | None]:
    ways = tuple(_way(alternative) for alternative in alternatives)
    if len(ways) == 1:
        return ways[0]

    def read(scope: S) -> Found | None:
        for way in ways:
            found = way(scope)
            if found is not None:
                return found
        return None

    return read


def _way(alternative: Alternative[S]) -> Callable[[S], Found | None]:
    get, source, tests, warn = alternative.get, alternative.source, alternative.tests, alternative.warn
    convert, real = _conversion(alternative), not alternative.constant

    def read(scope: S) -> Found | None:
        text = get(scope)
        if text is None:
            return None
        text = convert(text)
        return (text, real) if text else None

    def read_if(scope: S) -> Found | None:
        for test in tests:
            if not test.holds(scope):
                return None
        found = read(scope)
        if found is not None and warn is not None:
            scope.note(source, warn)
        return found

    return read_if if tests or warn is not None else read


def _conversion(alternative: Alternative[Any]) -> Converter:
    """Return what makes the object's text of the source's; it raises UnusableError."""
    source, steps, codes = alternative.source, alternative.steps, alternative.codes

    def clean(text: str) -> str:
        return text if text.isprintable() else _without_control(text, source)

    def convert(text: str) -> str:
        text = clean(text)
        for name, step in steps:
            try:
                text = step(text)
            except ConvertError as error:
                raise UnusableError(name, str(error), source) from error
            except Exception as error:  # noqa: BLE001 - another package's converter must not stop the other rows
                # Its message may hold the value, so only its kind is told, and the chain is cut.
                raise UnusableError(name, f"converter failed with {type(error).__name__}", source) from None
            if not text:
                return ""
        if codes is not None:
            try:
                text = codes.convert(text)
            except UnknownCodeError as error:
                raise UnusableError("code", str(error), source, error.nearest) from error
        return text if text.isprintable() else _carried(text, source)

    return convert if steps or codes is not None else clean


def _without_control(text: str, source: str) -> str:
    """Return a text in which tabs and line ends are blanks."""
    return " ".join(text.split()) if _CONTROL.search(_carried(text, source)) else text


def _carried(text: str, source: str) -> str:
    if _NOT_XML.search(text):
        raise UnusableError("characters", "holds a character that XML cannot carry: type it again", source)
    return text


@dataclass(frozen=True, slots=True)
class Key(Generic[S]):
    """What identifies an object in its source: the first alternative whose parts are all there."""

    alternatives: tuple[tuple[Value[S], ...], ...]

    @property
    def sources(self) -> str:
        """The source fields, for messages."""
        return " or ".join(", ".join(filter(None, (part.sources for part in parts))) for parts in self.alternatives)

    def read(self, scope: S) -> tuple[str, ...] | None:
        """Return the parts of the first complete alternative; None when none is complete.

        Raises:
            UnusableError: A part has a value that its converters refuse.
        """
        for parts in self.alternatives:
            key = []
            for part in parts:
                found = part.read(scope)
                if found is None:
                    break
                key.append(found[0])
            else:
                return tuple(key)
        return None
