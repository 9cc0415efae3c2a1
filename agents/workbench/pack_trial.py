"""Tries a pack: its files, its mappings, its examples from record to valid object, and its golden tests.

What a terminal shows of it is others' work. Of the examples' values nothing is told but unknown codes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import schemas
from agents.connectors.contract import SourceFields, SourceProblem
from agents.workbench.columns import Columns
from agents.workbench.findings import Finding, Severity, of_mapping
from agents.workbench.golden import Golden, GoldenRun, run_goldens
from agents.workbench.reading import Mapped, mapped, open_source
from agents.workbench.tally import Count, Tally, plain_path, worded
from broker.protocol.errors import ConfigurationError, ZoneError
from mappings import InwardMapping, MappedObject, MappingError, OutwardMapping, load
from mappings.document import Document, Where, read
from mappings.packs import Pack, PackSource, read_pack
from mappings.problems import nearest
from mappings.shelves import PACK_FILE

_KEYS: Final = "keys.toml"
_HUNK: Final = re.compile(r"@@ -([0-9]+)")
_MAX_FINDINGS: Final = 100


@dataclass(frozen=True, slots=True)
class ExampleRun:
    """What became of one example.

    Attributes:
        file: The example, relative to the pack's folder.
        connector: What read it.
        records: Records in it; adjacent rows that a mapping takes together are one more.
        used: Records of which an object was made.
        reported: Records of which none was made, and what is wrong with each was said.
        passed: Records that the mappings leave out by ``when`` or ``each``.
        lost: Records with neither object nor report; a fault in the mapping or in sifzone.
        objects: How many objects of each type were made.
        problems: What was said of the records, and codes that no open list of the standard has; an example may well
            have faults, to show that they are found.
    """

    file: str
    connector: str
    records: int
    used: int
    reported: int
    passed: int
    lost: int
    objects: tuple[tuple[str, int], ...]
    problems: tuple[Finding, ...] = field(repr=False)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: the attributes by name, objects as a table of counts."""
        return {
            "file": self.file,
            "connector": self.connector,
            "records": self.records,
            "used": self.used,
            "reported": self.reported,
            "passed": self.passed,
            "lost": self.lost,
            "objects": dict(self.objects),
            "problems": [problem.plain() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class PackRun:
    """All that was tried of one pack.

    Attributes:
        name: The pack's name; of a folder whose ``pack.toml`` cannot be read, the folder's.
        version: Empty where it cannot be read.
        goldens: Its golden tests; None where there are none, or nothing could be run.
        findings: What is wrong with the pack, errors first.
    """

    name: str
    version: str
    folder: Path
    examples: tuple[ExampleRun, ...]
    goldens: GoldenRun | None
    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        """Whether nothing is wrong, warnings apart."""
        return not any(finding.severity == "error" for finding in self.findings)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: the attributes by name, and ``right``."""
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.folder),
            "right": self.right,
            "examples": [example.plain() for example in self.examples],
            "goldens": None if self.goldens is None else self.goldens.plain(),
            "findings": [finding.plain() for finding in self.findings],
        }


def try_pack(folder: Path, library: Sequence[Path] = ()) -> PackRun:
    """Return what is wrong with the pack in a folder, and what its examples give; nothing is written.

    Args:
        folder: The folder with ``pack.toml``.
        library: Folders with mappings of a site's own, on which those of the pack may be based.
    """
    try:
        pack = read_pack(folder, library)
    except MappingError as error:
        return PackRun(folder.resolve().name, "", folder, (), None, of_mapping(error))
    trial = _Trial(pack, (folder, *library))
    findings = [*trial.files(), *trial.mappings()]
    examples: list[ExampleRun] = []
    goldens = None
    if not any(finding.severity == "error" for finding in findings):
        for index, source in enumerate(pack.sources):
            findings += trial.example(index, source, examples)
        goldens = _goldens(folder, library)
        findings += _of_goldens(pack, goldens)
    findings.sort(key=lambda finding: finding.severity != "error")
    return PackRun(pack.name, pack.version, folder, tuple(examples), goldens, tuple(findings))


class _Trial:
    def __init__(self, pack: Pack, library: Sequence[Path]) -> None:
        self._pack, self._library = pack, library
        self._document: Document = read(pack.folder / PACK_FILE)
        self._loaded: dict[str, InwardMapping | OutwardMapping] = {}

    def files(self) -> Iterator[Finding]:
        """Yield what a pack should have and this one has not."""
        if not (self._pack.folder / "README.md").is_file():
            yield self._about_pack(("name",), "warning", "the pack has no README.md: say what it reads and makes")
        if not self._pack.sources:
            message = "the pack names no [[source]]: say what reads its files, with an example of each"
            yield self._about_pack(("name",), "warning", message)
        for index, source in enumerate(self._pack.sources):
            if not source.example:
                message = "this source has no example: add a made-up file, so that it can be tried"
                yield self._about_pack(("source", index), "warning", message)

    def mappings(self) -> Iterator[Finding]:
        """Yield what is wrong with each mapping of the pack, and which are read by no source."""
        read_by = {name for source in self._pack.sources for name in source.mapping}
        for file in sorted(self._pack.folder.glob("*.toml")):
            if file.name in (PACK_FILE, _KEYS):
                continue
            name = f"{self._pack.name}/{file.stem}"
            try:
                self._loaded[name] = load(name, self._library)
            except MappingError as error:
                yield from of_mapping(error)
                continue
            if isinstance(self._loaded[name], InwardMapping) and name not in read_by:
                message = f"no [[source]] of the pack names {name!r}: add it to the one whose files it reads"
                yield self._about_pack(("source",), "warning", message)

    def example(self, index: int, source: PackSource, runs: list[ExampleRun]) -> Iterator[Finding]:
        """Run an example and add what became of it; yield what is wrong."""
        if not source.example:
            return
        try:
            loaded = [self._loaded.get(name) or load(name, self._library) for name in source.mapping]
            outward = next((mapping for mapping in loaded if isinstance(mapping, OutwardMapping)), None)
            if outward is not None:
                message = f"{outward.name} fills the table {outward.table}: a source has mappings that make objects"
                yield self._about_pack(("source", index, "mapping"), "error", message)
                return
            run = _Example(source, [mapping for mapping in loaded if isinstance(mapping, InwardMapping)])
            run.read(self._pack.folder / source.example)
        except MappingError as error:  # of a mapping that is not the pack's own
            yield from of_mapping(error)
        except ZoneError as error:
            yield self._about_pack(("source", index, "example"), "error", str(error))
        else:
            runs.append(run.outcome())
            yield from run.findings()

    def _about_pack(self, where: Where, severity: Severity, message: str) -> Finding:
        return Finding(severity, "pack", *self._document.place(where), message)


class _Example:
    """Follows each record of an example to its objects."""

    def __init__(self, source: PackSource, mappings: Sequence[InwardMapping]) -> None:
        self._source, self._mappings = source, mappings
        self._tallies = {id(mapping): Tally(mapping) for mapping in mappings}
        self._may_pass = {id(mapping): _may_pass(mapping) for mapping in mappings}
        self._columns = Columns()
        self._objects: Counter[str] = Counter()
        self._fates: Counter[str] = Counter()
        self._of_connector: dict[str, SourceProblem] = {}
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()
        self._invalid: dict[tuple[str, str, str], Finding] = {}
        self._unlisted: dict[tuple[str, str, str], Finding] = {}

    def read(self, path: Path) -> None:
        """Map the whole example.

        Raises:
            ZoneError: It cannot be read, or not to its end.
        """
        opened = open_source(path, self._source.connector, self._source.options)
        # What comes of one record comes in a row.
        for _, group in groupby(mapped(opened, self._mappings), key=_whose):
            self._take(list(group))

    def _take(self, items: Sequence[Mapped | SourceProblem | SourceFields]) -> None:
        results = [item for item in items if isinstance(item, Mapped)]
        for item in items:
            if isinstance(item, SourceFields):
                self._columns.state(item.names)
            elif isinstance(item, SourceProblem):
                self._counts[item.rule] += 1
                self._of_connector.setdefault(item.rule, item)
                self._told.add(item.position)
        if results:
            self._columns.meet(results[0].record)
            self._fates[self._fate(results)] += 1
        for result in results:
            self._tallies[id(result.mapping)].add(result.translation.problems, result.record)
            for made in result.translation.objects:
                self._objects[made.object_type] += 1
                self._check(result, made)

    def _fate(self, results: Sequence[Mapped]) -> str:
        """Return what became of one record by all its mappings."""
        if any(result.translation.objects for result in results):
            return "used"
        if any(result.translation.problems for result in results) or results[0].record.position in self._told:
            return "reported"
        if all(self._may_pass[id(result.mapping)] for result in results):
            return "passed"
        return "lost"

    def _check(self, result: Mapped, made: MappedObject) -> None:
        """Note what the schema has against an object, and which codes its open lists have not."""
        schema = schemas.load()
        for fault in schema.check(made.element, partial=False):
            _note(self._invalid, result, fault)
        for fault in schema.warnings(made.element):
            _note(self._unlisted, result, fault)

    def outcome(self) -> ExampleRun:
        """Return what became of it."""
        fates = self._fates
        return ExampleRun(
            self._source.example,
            self._source.connector,
            fates.total(),
            fates["used"],
            fates["reported"],
            fates["passed"],
            fates["lost"],
            tuple(sorted(self._objects.items())),
            tuple(self._problems()),
        )

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the pack by this example."""
        yield from self._invalid.values()
        yield from self._misspelt()
        file = self._source.example
        if self._fates["lost"]:
            message = "records became no object and nothing was said of them: look at the mappings' lines"
            yield Finding("error", "lost", file, 0, 0, f"{self._fates['lost']:,} {message}", count=self._fates["lost"])
        for mapping in self._mappings:
            if not self._objects[mapping.object_type]:
                message = f"{mapping.name} makes no {mapping.object_type} of the example: add a record that shows it"
                yield Finding("error", "nothing-made", file, 0, 0, message)

    def _misspelt(self) -> Iterator[Finding]:
        """Yield a finding for each column that a mapping reads, where the example has one of nearly the same name."""
        if not self._columns.are_stated:
            return
        lines = [line for mapping in self._mappings for line in mapping.lines]
        unread = self._columns.unread(name for line in lines for name in (*line.sources, *line.when))
        known: set[tuple[str, str]] = set()
        for line in lines:
            for name in line.sources:
                near = None if self._columns.has(name) or (line.file, name) in known else nearest(name, unread)
                if near is not None:
                    known.add((line.file, name))
                    message = f"the example has no column {name!r}"
                    yield Finding("warning", "column-missing", line.file, line.line, line.column, message, near)

    def _problems(self) -> Iterator[Finding]:
        file = self._source.example
        for rule, first in self._of_connector.items():
            severity: Severity = "error" if first.severity == "refuse" else "warning"
            message, places = f"{first.position}: {first.message}", (first.position,)
            yield Finding(severity, rule, file, 0, 0, message, count=self._counts[rule], positions=places)
        for tally in self._tallies.values():
            yield from map(_counted, tally.counts())
        yield from self._unlisted.values()


def _note(known: dict[tuple[str, str, str], Finding], result: Mapped, fault: schemas.Finding) -> None:
    """Note what the schema says of an object, once for each mapping, rule and place."""
    mapping, position = result.mapping, result.record.position
    place = (mapping.name, fault.rule, fault.path)
    if place in known or len(known) >= _MAX_FINDINGS:
        return
    line = next((line for line in mapping.lines if plain_path(line.target) == fault.path), mapping.lines[0])
    severity: Severity = "warning" if fault.severity == "warn" else "error"
    message = f"{position}: {fault.message}"
    known[place] = Finding(severity, "schema", line.file, line.line, line.column, message, positions=(position,))


def _whose(item: Mapped | SourceProblem | SourceFields) -> int:
    """Return the identity of the record that a result is of; a file's own remarks are of none."""
    return id(item.record) if isinstance(item, Mapped) else 0


def _may_pass(mapping: InwardMapping) -> bool:
    """Whether a mapping has settings by which it makes nothing of some records, and says nothing of them."""
    return any(line.kind in ("each", "gone") or (line.kind == "when" and not line.target) for line in mapping.lines)


def _counted(count: Count) -> Finding:
    line = count.line
    codes = count.shown_codes()
    listed = f" ({', '.join(code for code, _ in codes)})" if codes else ""
    return Finding(
        "error" if count.refused else "warning",
        count.sample.rule,
        line.file if line else "",
        line.line if line else 0,
        line.column if line else 0,
        f"{count.where()}: {worded(count.sample)}{listed}",
        count.sample.nearest if len(codes) == 1 else None,
        count.count,
        tuple(count.positions),
        codes,
    )


def _goldens(folder: Path, library: Sequence[Path]) -> GoldenRun | None:
    try:
        return run_goldens(folder, library=library)
    except ConfigurationError:
        return None  # no tests, since the pack itself has been read


def _of_goldens(pack: Pack, run: GoldenRun | None) -> Iterator[Finding]:
    if run is None:
        message = "the pack has no tests: put a short input into tests/MAPPING, then run: sifzone mapping test --update"
        yield Finding("warning", "untested", str(pack.folder), 0, 0, message)
        return
    for case in run.cases:
        if not case.right:
            yield _of_case(pack.folder, case)
    shown = {name for source in pack.sources if source.example for name in source.mapping}
    untried = [name for name in run.untested if f"{pack.name}/{name}" not in shown]
    if untried:
        message = f"neither an example nor a test tries {', '.join(untried)}: put an input into tests/MAPPING"
        yield Finding("warning", "untested", str(pack.folder), 0, 0, message)


def _of_case(folder: Path, case: Golden) -> Finding:
    message = {
        "new": f"there is no expected file: look at what is made, with: sifzone mapping test {folder} --update",
        "different": f"another outcome is expected: see it with: sifzone mapping test {folder}",
    }.get(case.outcome, case.message)
    file = case.expected if case.outcome == "different" else case.source
    line = _line(case.diff)
    return Finding("error", "test", str(file), line, min(line, 1), f"{case.mapping}/{case.case}: {message}")


def _line(diff: Iterable[str]) -> int:
    """Return the first line of what is expected that differs; 0 when nothing is compared."""
    number = 0
    for line in diff:
        hunk = _HUNK.match(line)
        if hunk is not None:
            number = int(hunk[1])
        elif number and not line.startswith(" "):
            break
        elif number:
            number += 1
    return number


__all__ = ["ExampleRun", "PackRun", "try_pack"]
