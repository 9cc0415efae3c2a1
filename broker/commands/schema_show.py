"""How the commands ``sifzone schema ...`` show what they found: lines, trees, a progress bar, and facts for JSON."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from rich.tree import Tree

import schemas
from broker.file_check import Tally
from schemas import Finding, Node
from schemas.difference import Difference

_PLAIN_WIDTH: Final = 200
_BAR_AFTER: Final = 1.0
"""Seconds after which a check shows how far it is."""
console: Final = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
errors: Final = Console(stderr=True, markup=False, highlight=False)
_COLOURS: Final = {"refuse": "red", "warn": "yellow", "shadow": "cyan"}
_SEVERITIES: Final = {"refuse": "refused", "warn": "warning", "shadow": "on trial"}


class FileProgress:
    """A bar for one file on a terminal, shown once the check has taken a while."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()
        self._read = 0
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, more: int) -> None:
        """Tell that *more* bytes were read."""
        self._read += more
        if self._bar is None:
            if not errors.is_terminal or time.monotonic() - self._started < _BAR_AFTER:
                return
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=errors, transient=True)
            self._bar.add_task(escape(self._path.name), total=self._path.stat().st_size)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._read)

    def print(self, text: Text) -> None:
        """Print a line above the bar."""
        console.print(text, soft_wrap=True)


def finding_line(path: Path, name: str, finding: Finding) -> Text:
    """Return a finding as editors read it: file, line, what is wrong; never a value of the file."""
    place = "/".join(filter(None, (name, finding.path)))
    nearest = f" (nearest: {finding.nearest})" if finding.nearest and finding.nearest not in finding.message else ""
    return Text.assemble(
        f"{path}:{finding.line}: ",
        (_SEVERITIES[finding.severity], _COLOURS[finding.severity]),
        f" [{finding.rule}] {place}: {finding.message}{nearest}",
    )


def tally_words(tally: Tally) -> str:
    """Return what was counted, as the end of a line."""
    objects = "1 object" if tally.objects == 1 else f"{tally.objects:,} objects"
    faults = "1 fault" if tally.around == 1 else f"{tally.around:,} faults"
    around = f"; {faults} in the message around" if tally.around else ""
    return f"{objects}: {tally.valid:,} valid, {tally.warned:,} with warnings, {tally.refused:,} refused{around}"


def tally_facts(tally: Tally) -> dict[str, object]:
    """Return what was counted, for JSON."""
    return {
        "objects": tally.objects,
        "valid": tally.valid,
        "warned": tally.warned,
        "refused": tally.refused,
        "around": tally.around,
    }


def finding_facts(name: str, finding: Finding) -> dict[str, object]:
    """Return a finding on an object, for JSON."""
    return {
        "object": name,
        "path": finding.path,
        "line": finding.line,
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "nearest": finding.nearest,
        "found": finding.found,
        "expected": finding.expected,
    }


def difference_facts(each: Difference) -> dict[str, str]:
    """Return a difference, for JSON."""
    return {
        "object": each.object_type,
        "path": each.path,
        "what": each.what,
        "before": each.before,
        "after": each.after,
    }


def openness(code_list: schemas.CodeList) -> str:
    """Return what becomes of other codes than a list has."""
    return "passed on with a warning" if code_list.open else "refused"


def grow(tree: Tree, node: Node) -> None:
    """Add what is below a node to the tree on screen."""
    for child in node.children:
        marks = "".join(
            mark for mark, is_so in (("*", child.mandatory), ("+", child.repeatable), ("~", child.nillable)) if is_so
        )
        name = f"@{child.name}" if child.kind == "attribute" else child.name
        kind = " → " + " or ".join(child.refs) if child.refs else f" {child.type}" if child.type else ""
        since = f" (UK {child.since})" if child.since else ""
        text = Text.assemble((name, "bold" if child.mandatory else ""), (marks, "red"), (kind, "cyan"), since)
        text.append(f"  {child.label}", "dim")
        branch = tree.add(text)
        grow(branch, child)


def node_facts(node: Node) -> dict[str, object]:
    """Return what is known of an element or attribute, for JSON."""
    return {
        "path": node.path,
        "kind": node.kind,
        "type": node.type,
        "mandatory": node.mandatory,
        "repeatable": node.repeatable,
        "nillable": node.nillable,
        "codes": node.codes,
        "refs": list(node.refs),
        "since": node.since,
        "label": node.label,
    }


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, in document order."""
    yield node
    for child in node.children:
        yield from walk(child)


def print_json(value: object) -> None:
    """Print JSON as one document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
