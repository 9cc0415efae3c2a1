"""Code tables: from a source's codes to those of the object, and back; the standard's own lists are in ``schemas``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mappings.problems import nearest


class UnknownCodeError(ValueError):
    """A value is in no row of a code table."""

    def __init__(self, table: str, near: str | None) -> None:
        self.nearest = near
        where = f"in the list {table!r}" if table else "among those of this line"
        super().__init__(f"a code that is not {where}: correct it, or add it there")


@dataclass(frozen=True, slots=True)
class CodeTable:
    """Source codes to object codes.

    Attributes:
        name: What problems call it; empty where it is written in the line that uses it.
        codes: By source code, case folded.
        passes: An unknown code goes through as it is (the source already uses the object's codes, or the list is open).
        default: Used for an unknown code, where given.
        preferred: By object code, the source code that stands for it: of several, the first in the file.
    """

    name: str
    codes: Mapping[str, str]
    passes: bool = False
    default: str | None = None
    preferred: Mapping[str, str] = field(default_factory=dict)

    def convert(self, value: str) -> str:
        """Return the object's code.

        Raises:
            UnknownCodeError: The table does not have it, and says neither to pass it nor what to use instead.
        """
        found = self.codes.get(value.strip().casefold())
        if found is not None:
            return found
        if self.passes:
            return value
        if self.default is not None:
            return self.default
        raise UnknownCodeError(self.name, nearest(value, self.codes))

    def undo(self, code: str) -> str:
        """Return a source code for which ``convert`` gives *code*: of several, the first in the file.

        A code that no row gives stays as it is where unknown codes pass or become just this default, unless the table
        has it as a source code with another meaning.

        Raises:
            UnknownCodeError: There is none.
        """
        found = self.preferred.get(code, code)
        if (self.passes or self.default is not None or code in self.preferred) and self.convert(found) == code:
            return found
        raise UnknownCodeError(self.name, nearest(code, self.preferred))


def code_table(name: str, codes: Mapping[str, str], unknown: str = "report", default: str | None = None) -> CodeTable:
    """Return a table that compares without regard to case; *unknown* is ``report`` or ``pass``."""
    folded: dict[str, str] = {}
    preferred: dict[str, str] = {}
    for source, target in codes.items():
        folded[source.strip().casefold()] = target
    for source in codes:
        preferred.setdefault(folded[source.strip().casefold()], source.strip())
    return CodeTable(name, MappingProxyType(folded), unknown == "pass", default, MappingProxyType(preferred))
