"""Findings: what is wrong with a mapping, or to be looked at, and where; what finds them is others' work."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mappings.problems import MappingError

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or to be looked at.

    Attributes:
        severity: ``error`` when the mapping cannot be used, or objects are not made; ``warning`` for the rest.
        rule: Short name: ``mapping``, ``column-not-used``, ``column-missing``, ``code``, ``key-not-unique``,
            ``nothing-made``, a rule of :class:`mappings.RowProblem`, or one of the connector.
        file: The mapping's file, or the sample's.
        line: From 1; 0 when the whole file is meant.
        column: From 1; 0 when the whole line or file is meant.
        message: What is wrong and what to do; of a sample's values it has none but unknown codes.
        nearest: The nearest right name, where one is near.
        count: How many records are concerned; 0 when it is not about records.
        positions: The first of them, for people: ``row 3``.
        codes: Unknown codes, each with how often it was met.
        names: The columns that it is about, where it is about columns.
    """

    severity: Severity
    rule: str
    file: str
    line: int
    column: int
    message: str
    nearest: str | None = None
    count: int = 0
    positions: tuple[str, ...] = ()
    codes: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        kind = "warning: " if self.severity == "warning" else ""
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{place}: {kind}{self.message}{hint}"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: the attributes by name, codes as a table of counts."""
        return {
            "severity": self.severity,
            "rule": self.rule,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "nearest": self.nearest,
            "count": self.count,
            "positions": list(self.positions),
            "codes": dict(self.codes),
            "names": list(self.names),
        }


def of_mapping(error: MappingError) -> tuple[Finding, ...]:
    """Return the problems of a mapping's file as findings."""
    return tuple(
        Finding("error", "mapping", problem.file, problem.line, problem.column, problem.message, problem.nearest)
        for problem in error.problems
    )


__all__ = ["Finding", "Severity", "of_mapping"]
