"""Problems of mapping files: where, what, and the nearest right name."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a mapping file.

    Attributes:
        file: The file's path as it was given or found.
        line: From 1; 1 when the whole file is meant.
        column: From 1; 1 when the whole file is meant.
        message: What is wrong and how to mend it.
        nearest: The nearest right name, where one is near.
    """

    file: str
    line: int
    column: int
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{hint}"


class MappingError(ValueError):
    """A mapping cannot be used; ``problems`` has all that is wrong with it, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of *names* that *name* was probably meant to be, or None when none is near."""
    folded = {known.casefold(): known for known in names}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None
