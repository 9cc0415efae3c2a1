"""Counts the problems of a whole file by rule and place, in constant memory and with no values but unknown codes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import schemas
from mappings import InwardMapping, Record, RowProblem
from mappings.codes import CodeTable, UnknownCodeError
from mappings.converters import Converter, ConvertError, converter
from mappings.lineage import Line
from mappings.spec import path_steps

MAX_POSITIONS: Final = 5
"""Positions that are named of each problem."""
MAX_CODES: Final = 50
"""Different unknown codes that are counted; a field with more of them is no list of codes."""
_MAX_CODE: Final = 32
_MAX_KINDS: Final = 5000


@dataclass(slots=True)
class Count:
    """How often one thing is wrong.

    Attributes:
        sample: The first problem of the kind, whose words are those of all.
        line: The line of the mapping that is concerned.
        count: How often.
        positions: The first places, at most MAX_POSITIONS.
        codes: Unknown codes with how often each was met; values of a source, so for people only.
        too_many: There were more different ones than a code list has unknown ones, so none of them is shown.
    """

    sample: RowProblem
    line: Line | None
    count: int = 0
    positions: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter, repr=False)
    too_many: bool = False

    @property
    def refused(self) -> bool:
        """Whether objects are not made because of it."""
        return self.sample.severity == "refuse"

    def shown_codes(self) -> tuple[tuple[str, int], ...]:
        """Return the unknown codes, most frequent first; none where these are no codes."""
        return () if self.too_many else tuple(self.codes.most_common())

    def add(self, position: str) -> None:
        """Count another one."""
        self.count += 1
        if len(self.positions) < MAX_POSITIONS and position not in self.positions:
            self.positions.append(position)

    def add_code(self, value: str) -> None:
        """Count an unknown code; what is too long, or one of too many, is no code, and then none is kept."""
        if self.too_many:
            return
        self.codes[value] += 1
        if len(value) > _MAX_CODE or len(self.codes) > MAX_CODES:
            self.too_many = True
            self.codes.clear()

    def where(self) -> str:
        """Return the first places, for people: ``row 3, row 7 and 12 more``."""
        more = self.count - len(self.positions)
        return ", ".join(self.positions) + (f" and {more:,} more" if more > 0 else "")

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "object": self.sample.object_type,
            "target": self.sample.target,
            "source": self.sample.source,
            "rule": self.sample.rule,
            "severity": self.sample.severity,
            "message": self.sample.message,
            "count": self.count,
            "positions": list(self.positions),
            "codes": dict(self.shown_codes()),
            "file": self.line.file if self.line else "",
            "line": self.line.line if self.line else 0,
        }


class Tally:
    """All that is wrong with what one mapping makes of a file."""

    def __init__(self, mapping: InwardMapping) -> None:
        self._mapping = mapping
        self._places = Places(mapping.lines)
        self._coded = tuple(_coded(mapping.lines))
        self._counts: dict[tuple[str, str, str, str], Count] = {}

    def add(self, problems: Sequence[RowProblem], record: Record) -> None:
        """Count the problems of one record."""
        if any(problem.severity == "refuse" for problem in problems):
            self._add_hidden(problems, record)
        met: set[int] = set()  # a line is asked for its unknown codes once for each record, whatever it has of them
        for problem in problems:
            count = self._count(problem)
            if count is None:
                continue
            count.add(problem.position)
            if problem.rule == "code" and count.line is not None and id(count) not in met:
                met.add(id(count))
                for code in _unknown_codes(self._mapping, count.line, record):
                    count.add_code(code)

    def _add_hidden(self, problems: Sequence[RowProblem], record: Record) -> None:
        """Count unknown codes of a record that is refused for something else: nobody has been told of them."""
        told = {problem.target for problem in problems}
        for line, steps, table in self._coded:
            path = plain_path(line.target)
            if path in told:
                continue
            for text in self._mapping.texts(line, record):
                try:
                    table.convert(_converted(text, steps))
                except ConvertError:
                    continue
                except UnknownCodeError as error:
                    kind, source = self._mapping.object_type, ", ".join(line.sources)
                    problem = RowProblem(record.position, kind, source, path, "code", str(error), "warn", error.nearest)
                    count = self._count(problem)
                    if count is not None:
                        count.add(record.position)
                        count.add_code(text)

    def _count(self, problem: RowProblem) -> Count | None:
        kind = (problem.target, problem.source, problem.rule, problem.severity)
        if kind not in self._counts:
            if len(self._counts) >= _MAX_KINDS:
                return None
            self._counts[kind] = Count(problem, self._places.of(problem))
        return self._counts[kind]

    def counts(self) -> Iterator[Count]:
        """Yield what was counted: what stops objects first, then by how often."""
        yield from sorted(self._counts.values(), key=lambda count: (not count.refused, -count.count))


class Places:
    """Finds the line of a mapping that a problem is about."""

    def __init__(self, lines: Sequence[Line]) -> None:
        fields_first = sorted(lines, key=lambda line: line.kind != "field")
        self._lines = tuple((plain_path(line.target), line) for line in fields_first)

    def of(self, problem: RowProblem) -> Line | None:
        """Return the line that fills the target; of several, the one that reads the source; else one above or below."""
        same = [line for path, line in self._lines if path == problem.target]
        read = {name.strip() for name in problem.source.split(",")}
        for line in same:
            if read & {name.removeprefix("/") for name in line.sources}:
                return line
        if same:
            return same[0]
        return next((line for path, line in self._lines if path.startswith(f"{problem.target}/")), None)


def worded(problem: RowProblem) -> str:
    """Return what a problem says, with the target where it does not name it itself."""
    return problem.message if problem.target in problem.message else f"{problem.target}: {problem.message}"


def plain_path(path: str) -> str:
    """Return a path as the schema has it, without predicates; anything else as it is."""
    steps = path_steps(path)
    return path if steps is None else "/".join(step.name for step in steps if step.name != ".")


def _coded(lines: Sequence[Line]) -> Iterator[tuple[Line, tuple[Converter, ...], CodeTable]]:
    for line in lines:
        if line.kind == "field" and line.codes is not None:
            yield line, tuple(converter(spelt, Path(line.file).parent) for spelt in line.convert), line.codes


def _converted(text: str, steps: Sequence[Converter]) -> str:
    for step in steps:
        text = step(text)
    return text


def _unknown_codes(mapping: InwardMapping, line: Line, record: Record) -> Iterator[str]:
    """Yield the texts that a line reads from a record and that its table, or the schema's list, has not."""
    texts = mapping.texts(line, record)
    if len(texts) == 1:
        yield texts[0]
        return
    node = schemas.load().find(mapping.object_type, plain_path(line.target))
    known = schemas.codes(node.codes) if node is not None and node.codes is not None else None
    for text in texts:
        try:
            code = text if line.codes is None else line.codes.convert(text)
        except UnknownCodeError:
            yield text
            continue
        if known is not None and not known.open and code not in known and not line.convert:
            yield text


__all__ = ["MAX_CODES", "MAX_POSITIONS", "Count", "Places", "Tally", "plain_path", "worded"]
