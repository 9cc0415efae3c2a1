"""How one value is got from a source: alternatives, conditions, converters, codes; where it goes is not known here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from mappings.codes import CodeTable, UnknownCodeError
from mappings.converters import Converter, ConvertError

_ODD: Final = re.compile(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
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
    """One way to get a value. ``constant``: it is not from the source, so it makes no optional element by itself."""

    get: Callable[[S], str | None]
    source: str
    constant: bool = False
    tests: tuple[Test[S], ...] = ()
    steps: tuple[tuple[str, Converter], ...] = ()
    codes: CodeTable | None = None
    warn: str | None = None


@dataclass(frozen=True, slots=True)
class Value(Generic[S]):
    """A value by its alternatives: the first that gives one counts."""

    alternatives: tuple[Alternative[S], ...]
    required: bool = False

    @property
    def sources(self) -> str:
        """The source fields, for messages."""
        return ", ".join(dict.fromkeys(a.source for a in self.alternatives if a.source))

    def read(self, scope: S) -> tuple[str, bool] | None:
        """Return the text and whether it comes from the source; None when no alternative gives one.

        Raises:
            UnusableError: The source has a value that the converters or the code table refuse.
        """
        for alternative in self.alternatives:
            if alternative.tests and not all(test.holds(scope) for test in alternative.tests):
                continue
            text = alternative.get(scope)
            if text is None:
                continue
            text = _converted(alternative, text)
            if not text:
                continue
            if alternative.warn is not None:
                scope.note(alternative.source, alternative.warn)
            return text, not alternative.constant
        return None


def _converted(alternative: Alternative[S], text: str) -> str:
    if _ODD.search(text):
        if _NOT_XML.search(text):
            raise UnusableError(
                "characters", "holds a character that XML cannot carry: type it again", alternative.source
            )
        text = " ".join(text.split())
    for name, convert in alternative.steps:
        try:
            text = convert(text)
        except ConvertError as error:
            raise UnusableError(name, str(error), alternative.source) from error
        except Exception as error:  # noqa: BLE001 - another package's converter must not stop the other rows
            # Its message may hold the value, so only its kind is told, and the chain is cut.
            raise UnusableError(name, f"converter failed with {type(error).__name__}", alternative.source) from None
    if alternative.codes is not None:
        try:
            return alternative.codes.convert(text)
        except UnknownCodeError as error:
            raise UnusableError("code", str(error), alternative.source, error.nearest) from error
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
