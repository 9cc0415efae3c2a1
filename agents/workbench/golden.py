"""Golden tests of mappings: input files beside a mapping, and what it is known to make of each.

Layout, beside the mapping ``learner.toml``::

    tests/learner/new-starter.csv               an input, of any form that a connector reads
    tests/learner/new-starter.expected.xml      all objects that it gives, and what is wrong with it

Of an outward mapping the input is XML with objects in it, and what is expected are rows. RefIds are made with the
workbench's own key. Texts of problems are not compared, so that they may be worded better.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from lxml import etree

from agents.connectors.contract import SourceError, SourceFields, SourceProblem
from agents.workbench.objects import MAX_BYTES, ObjectsOf, read_xml
from agents.workbench.reading import mapped, open_source
from agents.writing import write_text
from broker.protocol.errors import ConfigurationError, ZoneError
from mappings import InwardMapping, MappingError, OutwardMapping, RowProblem, load
from mappings.packs import read_pack

EXPECTED: Final = ".expected.xml"
PACK_FILE: Final = "pack.toml"
_MAX_CASES: Final = 1000
_MAX_DIFF: Final = 400
_NOT_MAPPINGS: Final = frozenset({PACK_FILE, "keys.toml"})

Outcome = Literal["same", "different", "new", "error"]


@dataclass(frozen=True, slots=True)
class Golden:
    """What came of one case.

    Attributes:
        mapping: Name of the mapping's file without its ending.
        case: Name of the case.
        source: The input file.
        expected: The file with what is expected, whether it is there or not.
        outcome: ``new`` when there is no expected file; ``error`` when the case cannot be run.
        diff: Lines of a unified diff from what is expected to what was made; empty when they are the same.
        message: Of an error, what is wrong and what to do.
        made: The text for the expected file; empty of an error.
    """

    mapping: str
    case: str
    source: Path
    expected: Path
    outcome: Outcome
    diff: tuple[str, ...] = field(default=(), repr=False)
    message: str = ""
    made: str = field(default="", repr=False)

    @property
    def right(self) -> bool:
        """Whether the mapping does what is expected of it."""
        return self.outcome == "same"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: mapping, case, input, expected, outcome, message, diff (a list of lines)."""
        return {
            "mapping": self.mapping,
            "case": self.case,
            "input": str(self.source),
            "expected": str(self.expected),
            "outcome": self.outcome,
            "message": self.message,
            "diff": list(self.diff),
        }


@dataclass(frozen=True, slots=True)
class GoldenRun:
    """All cases of a folder, and the mappings in it that have none."""

    cases: tuple[Golden, ...]
    untested: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether every case is right."""
        return all(case.right for case in self.cases)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: right, cases (see :meth:`Golden.plain`), untested (names of mappings)."""
        return {
            "right": self.right,
            "cases": [case.plain() for case in self.cases],
            "untested": list(self.untested),
        }


def run_goldens(
    folder: Path,
    *,
    only: str | None = None,
    library: Sequence[Path] = (),
    connector: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> GoldenRun:
    """Run the golden tests of a pack or of any folder with mappings; nothing is written.

    Args:
        folder: The folder with the mappings, and with ``tests`` in it.
        only: The name of one mapping of the folder; None for all.
        library: Folders with mappings of a site's own.
        connector: Reads the inputs; None for what pack.toml says, or else what fits the file.
        options: The connector's options; None for what pack.toml says.

    Raises:
        ConfigurationError: There is no such folder, no test for what was asked, or pack.toml is wrong.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder: name a pack, or a folder with mappings")
    reader = _Inputs(folder, connector, options)
    names = [name for name in _mapping_names(folder) if only in (None, name)]
    if only is not None and not names:
        raise ConfigurationError(f"{folder / only}.toml: there is no such mapping: check the name")
    found: dict[str, list[Path]] = {name: list(_inputs(folder / "tests" / name)) for name in names}
    if not any(found.values()):
        wanted = only or "MAPPING"
        raise ConfigurationError(
            f"{folder}: there are no tests: put an input file into {folder / 'tests' / wanted}, "
            "then run the command with --update"
        )
    if sum(map(len, found.values())) > _MAX_CASES:
        raise ConfigurationError(f"{folder}: more than {_MAX_CASES:,} test inputs: name one mapping, or thin them out")
    cases = [] if only is not None else list(_strays(folder, names))
    for name, paths in found.items():
        cases += _mapping_cases(folder / f"{name}.toml", paths, library, reader)
    return GoldenRun(tuple(cases), tuple(name for name, paths in found.items() if not paths))


def update_golden(case: Golden) -> None:
    """Write what was made as what is expected, whole or not at all.

    Raises:
        ConfigurationError: The case is an error, or the file cannot be written.
    """
    if not case.made:
        raise ConfigurationError(f"{case.source}: cannot be updated: {case.message}")
    write_text(case.expected, case.made)


class _Inputs:
    """Says how the inputs of each mapping are read: as was asked, as pack.toml says, or as fits the file."""

    def __init__(self, folder: Path, connector: str | None, options: Mapping[str, Any] | None) -> None:
        self._given = (connector, options)
        self._named: dict[str, tuple[str, Mapping[str, Any]]] = {}
        if connector is None and (folder / PACK_FILE).is_file():
            self._named = _of_pack(folder)

    def __call__(self, mapping: str) -> tuple[str | None, Mapping[str, Any]]:
        connector, options = self._given
        if connector is None and mapping in self._named:
            named, named_options = self._named[mapping]
            return named, named_options if options is None else options
        return connector, options or {}


def _of_pack(folder: Path) -> dict[str, tuple[str, Mapping[str, Any]]]:
    try:
        pack = read_pack(folder)
    except MappingError as error:
        raise ConfigurationError(str(error)) from error
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for source in pack.sources:
        for name in source.mapping:
            found.setdefault(name.rpartition("/")[2].removesuffix(".toml"), (source.connector, source.options))
    return found


def _mapping_names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml") if path.name not in _NOT_MAPPINGS)


def _inputs(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(EXPECTED):
            yield path


def _strays(folder: Path, names: Sequence[str]) -> Iterator[Golden]:
    """Yield an error for each test that nothing would run: its mapping or its input has gone or has another name."""
    tests = folder / "tests"
    for inner in sorted(tests.iterdir()) if tests.is_dir() else ():
        if not inner.is_dir():
            continue
        inputs = list(_inputs(inner))
        if inner.name not in names:
            message = f"there is no mapping {folder / inner.name}.toml for this test: rename its folder, or delete it"
            yield from (_error(inner.name, path, message) for path in inputs)
            continue
        cases = {_expected_of(path) for path in inputs}
        for path in sorted(inner.glob(f"*{EXPECTED}")):
            if path not in cases:
                yield _error(inner.name, path, f"{path}: there is no input file of this name: add it, or delete this")


def _mapping_cases(file: Path, paths: list[Path], library: Sequence[Path], reader: _Inputs) -> Iterator[Golden]:
    if not paths:
        return
    try:
        mapping = load(file, library)
    except MappingError as error:
        for path in paths:
            yield _error(file.stem, path, str(error))
        return
    connector, options = reader(file.stem)
    for path in paths:
        try:
            made = _text(_translated(mapping, path, connector, options))
            yield _compared(file.stem, path, made)
        except ZoneError as error:
            yield _error(file.stem, path, str(error))


def _expected_of(path: Path) -> Path:
    if path.name.endswith(EXPECTED):
        return path
    return path.with_name(f"{path.stem}{EXPECTED}")


def _error(mapping: str, path: Path, message: str) -> Golden:
    expected = _expected_of(path)
    return Golden(mapping, expected.name.removesuffix(EXPECTED), path, expected, "error", message=message)


def _compared(mapping: str, path: Path, made: str) -> Golden:
    expected = _expected_of(path)
    if not expected.exists():
        diff = _diff("", made, "/dev/null", expected.name)
        return Golden(mapping, path.stem, path, expected, "new", diff, "no expected file yet", made)
    wanted = _text(read_xml(expected))
    if wanted == made:
        return Golden(mapping, path.stem, path, expected, "same", made=made)
    return Golden(
        mapping, path.stem, path, expected, "different", _diff(wanted, made, expected.name, "made now"), "", made
    )


def _diff(old: str, new: str, old_name: str, new_name: str) -> tuple[str, ...]:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm=""))
    if len(lines) > _MAX_DIFF:
        lines[_MAX_DIFF:] = [f"... and {len(lines) - _MAX_DIFF} more lines"]
    return tuple(lines)


def _text(root: etree._Element) -> str:
    """Return the one way to write a document: indented, so that blanks between tags make no difference."""
    etree.indent(root)
    body = etree.tostring(root, method="c14n2", with_comments=False)
    return f"{body.decode()}\n"


def _translated(
    mapping: InwardMapping | OutwardMapping, path: Path, connector: str | None, options: Mapping[str, Any]
) -> etree._Element:
    if isinstance(mapping, OutwardMapping):
        return _rows(mapping, path)
    return _objects(mapping, path, connector, options)


def _objects(mapping: InwardMapping, path: Path, connector: str | None, options: Mapping[str, Any]) -> etree._Element:
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(f"{path}: larger than {MAX_BYTES:,} bytes: a few rows are enough for a test")
    root = etree.Element("golden", {"makes": mapping.object_type})
    for item in mapped(open_source(path, connector, options), [mapping]):
        if isinstance(item, SourceFields):
            continue
        if isinstance(item, SourceProblem):
            place = {"position": item.position, "rule": item.rule, "severity": item.severity}
            etree.SubElement(root, "problem", place)
            continue
        for made in item.translation.objects:
            facts = {"position": item.record.position, "refId": made.ref_id}
            if made.learner_ref_id is not None:
                facts["learner"] = made.learner_ref_id
            etree.SubElement(root, "object", facts).append(made.element)
        _add_problems(root, item.translation.problems)
    return root


def _add_problems(root: etree._Element, problems: Iterable[RowProblem]) -> None:
    for problem in sorted(problems, key=lambda p: (p.position, p.target, p.rule, p.source)):
        facts = {
            "position": problem.position,
            "target": problem.target,
            "source": problem.source,
            "rule": problem.rule,
            "severity": problem.severity,
        }
        etree.SubElement(root, "problem", {name: text for name, text in facts.items() if text})


def _rows(mapping: OutwardMapping, path: Path) -> etree._Element:
    made = mapping.rows(ObjectsOf(read_xml(path)))
    root = etree.Element("golden", {"fills": mapping.table})
    for row in made.rows:
        element = etree.SubElement(root, "row")
        for column in mapping.columns:
            if row[column]:
                etree.SubElement(element, "cell", {"column": column}).text = row[column]
    _add_problems(root, made.problems)
    return root


__all__ = ["EXPECTED", "PACK_FILE", "Golden", "GoldenRun", "Outcome", "run_goldens", "update_golden"]
