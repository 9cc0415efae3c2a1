"""Tries mappings on a sample: what is refused, which codes are unknown, which keys are not unique, what is not made.

Every record is mapped as an agent would map it. What columns the sample has, and how findings are shown, is others'
work.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from lxml import etree

from agents.connectors.contract import SourceFields, SourceProblem
from agents.workbench.columns import Columns, compare_columns
from agents.workbench.findings import Finding, Severity
from agents.workbench.reading import Mapped, mapped
from agents.workbench.samples import Source
from agents.workbench.tally import MAX_POSITIONS, Count, Tally, worded
from mappings import InwardMapping, MappedObject, Record

MAX_COMPARED: Final = 500_000
"""Objects of which it is remembered that they were there, to find keys that are not unique."""
_MAX_SHOWN: Final = 20


def check_sample(mappings: Sequence[InwardMapping], source: Source) -> Iterator[Finding]:
    """Yield what is wrong when these mappings read a sample file.

    Columns that no mapping reads, columns that mappings read and the file has not, values that converters or the schema
    refuse, codes that a table or list has not, keys that several unlike objects share, and mappings that make nothing.

    Raises:
        SourceError: The file cannot be read, or not to its end.
    """
    reading = _Reading(mappings)
    for item in mapped(source, mappings):
        reading.take(item)
    file = str(source.path)
    yield from reading.of_connector(file)
    yield from compare_columns(mappings, reading.columns, source)
    for number, mapping in enumerate(mappings):
        yield from (_counted(mapping, count) for count in reading.tallies[number].counts())
        yield from reading.keys[number].findings()
        if reading.records and not reading.made[number]:
            yield _nothing_made(mapping, reading, number)


class Uniqueness:
    """Finds objects of one mapping that have the same key and are not the same."""

    def __init__(self, mapping: InwardMapping) -> None:
        self._mapping = mapping
        self._seen: dict[str, bytes] = {}
        self._count = 0
        self._positions: list[str] = []

    def add(self, record: Record, made: MappedObject) -> None:
        """Take an object; past MAX_COMPARED different ones, new ones are no longer remembered."""
        content = hashlib.blake2b(etree.tostring(made.element), digest_size=8).digest()
        known = self._seen.get(made.ref_id)
        if known is None:
            if len(self._seen) < MAX_COMPARED:
                self._seen[made.ref_id] = content
        elif known != content:
            self._count += 1
            if len(self._positions) < MAX_POSITIONS:
                self._positions.append(record.position)

    def findings(self) -> Iterator[Finding]:
        """Yield a finding where keys are not unique."""
        if not self._count:
            return
        line = next((line for line in self._mapping.lines if line.kind == "key"), None)
        message = (
            f"the key of an earlier record with other content, {_times(self._count)} "
            f"({_some(self._positions, self._count)}): only the first is used; add to 'key' what tells them apart"
        )
        yield Finding(
            "warning",
            "key-not-unique",
            line.file if line else self._mapping.name,
            line.line if line else 0,
            line.column if line else 0,
            message,
            count=self._count,
            positions=tuple(self._positions),
        )


class _Reading:
    def __init__(self, mappings: Sequence[InwardMapping]) -> None:
        self._numbers = {id(mapping): number for number, mapping in enumerate(mappings)}
        self.tallies = [Tally(mapping) for mapping in mappings]
        self.keys = [Uniqueness(mapping) for mapping in mappings]
        self.made = [0] * len(mappings)
        self.columns = Columns()
        self.records = 0
        self._connector: dict[tuple[str, str], tuple[SourceProblem, int]] = {}

    def take(self, item: Mapped | SourceProblem | SourceFields) -> None:
        if isinstance(item, SourceFields):
            self.columns.state(item.names)
        elif isinstance(item, SourceProblem):
            first, count = self._connector.get((item.rule, item.severity), (item, 0))
            self._connector[item.rule, item.severity] = (first, count + 1)
        else:
            self._take(item)

    def _take(self, item: Mapped) -> None:
        number = self._numbers[id(item.mapping)]
        if number == 0:
            self.records += 1
        self.columns.meet(item.record)
        self.tallies[number].add(item.translation.problems, item.record)
        self.made[number] += len(item.translation.objects)
        for made in item.translation.objects:
            self.keys[number].add(item.record, made)

    def of_connector(self, file: str) -> Iterator[Finding]:
        for (rule, severity), (first, count) in self._connector.items():
            times = f" ({count:,} times)" if count > 1 else ""
            kind: Severity = "error" if severity == "refuse" else "warning"
            message = f"{first.position}: {first.message}{times}"
            yield Finding(kind, rule, file, 0, 0, message, count=count, positions=(first.position,))


def _counted(mapping: InwardMapping, count: Count) -> Finding:
    problem, line = count.sample, count.line
    codes = count.shown_codes()
    listed = f": {', '.join(f'{code!r} ({times:,})' for code, times in codes[:_MAX_SHOWN])}" if codes else ""
    more = f" and {len(codes) - _MAX_SHOWN} other codes" if len(codes) > _MAX_SHOWN else ""
    if count.too_many:
        more = "; too many different ones for a list of codes, or too long: is this the right column?"
    source = f" (field {problem.source})" if problem.source and problem.source not in problem.message else ""
    return Finding(
        "error" if count.refused else "warning",
        problem.rule,
        line.file if line else mapping.name,
        line.line if line else 0,
        line.column if line else 0,
        f"{worded(problem)}{source}; {_times(count.count)} ({count.where()}){listed}{more}",
        None if len(codes) != 1 else problem.nearest,
        count.count,
        tuple(count.positions),
        codes,
    )


def _nothing_made(mapping: InwardMapping, reading: _Reading, number: int) -> Finding:
    line = next((line for line in mapping.lines if line.kind in ("each", "when", "gone")), None)
    absent = line is not None and line.kind == "each" and not reading.columns.has(line.sources[0])
    if any(count.refused for count in reading.tallies[number].counts()):
        why = "see the errors above"
    elif absent:
        why = "the sample has nothing of the kind"
    else:
        why = "look at 'when', 'gone' and 'each': they rule out every record"
    return Finding(
        "warning" if absent else "error",
        "nothing-made",
        line.file if line else mapping.name,
        line.line if line else 0,
        line.column if line else 0,
        f"no {mapping.object_type} is made of {reading.records:,} {_records(reading.records)}: {why}",
        count=reading.records,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _records(count: int) -> str:
    return "record" if count == 1 else "records"


def _some(positions: Sequence[str], count: int) -> str:
    more = count - len(positions)
    return ", ".join(positions) + (f" and {more:,} more" if more else "")


__all__ = ["MAX_COMPARED", "Uniqueness", "check_sample"]
