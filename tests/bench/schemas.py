"""`python -m tests.bench.schemas`: what checking costs, in turns within one run; prints medians and ratios.

"lxml alone" parses the same 3 KB event with a plain parser and validates the object with one compiled schema. Ours is
all that the zone does before it decides: the hardened parser, envelope, schema, open code lists, rules.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Final

from lxml import etree
from rich.console import Console
from rich.table import Table

import schemas
from broker.file_check import FileCheck
from broker.protocol.envelope import event_objects, parse_message
from broker.validation import shipped
from schemas import source
from schemas.rules import NothingKnown
from schemas.samples import sample_document
from tests.bench.corpus import events

_EVENTS: Final = 500
_WRAPPER: Final = (b"<Objects>", b"</Objects>")
_LEARNER: Final = f"{{{schemas.load().namespace_of('LearnerPersonal')}}}LearnerPersonal"


def _each(work: Callable[[bytes], None], bodies: list[bytes]) -> float:
    """Return microseconds a message."""
    begun = time.perf_counter()
    for body in bodies:
        work(body)
    return (time.perf_counter() - begun) / len(bodies) * 1e6


def _alone() -> Callable[[bytes], None]:
    folder = files("schemas")
    compiled = etree.XMLSchema(source.read(folder / "sif_uk_1", folder / "common"))
    parser = etree.XMLParser()

    def work(body: bytes) -> None:
        root = etree.fromstring(body, parser)
        if not compiled(next(root.iter(_LEARNER))):
            raise AssertionError("the corpus is not valid")

    return work


def _ours() -> Callable[[bytes], None]:
    schema = schemas.load()

    def work(body: bytes) -> None:
        (event,) = event_objects(parse_message(body))
        if schema.check(event.element, partial=False):
            raise AssertionError("the corpus is not valid")

    return work


def _all_that_the_zone_does() -> Callable[[bytes], None]:
    validator, facts = shipped(), NothingKnown(date(2026, 9, 15))

    def work(body: bytes) -> None:
        (event,) = event_objects(parse_message(body))
        if any(finding.severity == "refuse" for finding in validator.check(event, schemas.NEWEST, facts)):
            raise AssertionError("the corpus is not valid")

    return work


def _refused() -> Callable[[bytes], None]:
    """A message that is refused, so that it is explained, too."""
    validator, facts = shipped(), NothingKnown(date(2026, 9, 15))

    def work(body: bytes) -> None:
        (event,) = event_objects(parse_message(body.replace(b"<Gender>F<", b"<Gender>X<")))
        if not validator.check(event, schemas.NEWEST, facts):
            raise AssertionError("it should be refused")

    return work


WORKS: Final[dict[str, Callable[[], Callable[[bytes], None]]]] = {
    "lxml alone": _alone,
    "parse and validate": _ours,
    "and open lists and rules": _all_that_the_zone_does,
    "a refusal, explained": _refused,
}


def costs(rounds: int) -> dict[str, float]:
    """Return the median microseconds a message of each kind of work, taken in turns."""
    bodies = [body for _, _, body in events(_EVENTS)]
    works = {name: make() for name, make in WORKS.items()}
    for work in works.values():
        _each(work, bodies)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(_each(work, bodies))
    return {name: statistics.median(each) for name, each in taken.items()}


def large_file(megabytes: int) -> dict[str, float]:
    """Return seconds and peak memory (MB) of checking a file of that size, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="sifzone-bench-") as folder:
        path = Path(folder) / "objects.xml"
        document = sample_document(schemas.load(), "LearnerPersonal").partition(b"?>")[2]
        with path.open("wb") as file:
            file.write(_WRAPPER[0])
            while file.tell() < megabytes * 1_000_000:
                file.write(document)
            file.write(_WRAPPER[1])
        command = [sys.executable, "-m", "tests.bench.schemas", "--check", str(path)]
        found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def _check(path: Path) -> None:
    """Check a file as `sifzone schema check` does; print what it took."""
    begun = time.perf_counter()
    report = FileCheck(path, shipped())
    if list(report.findings()):
        raise AssertionError("the corpus is not valid")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    taken = {"objects": report.tally.objects, "seconds": time.perf_counter() - begun, "peak_mb": peak}
    sys.stdout.write(json.dumps(taken))


def main() -> None:
    """Measure, and print a table or JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--megabytes", type=int, default=200, help="size of the large file; 0 leaves it out")
    options.add_argument("--json", action="store_true")
    options.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.check is not None:
        _check(given.check)
        return
    cost = costs(given.rounds)
    alone = cost["lxml alone"]
    result: dict[str, object] = {
        "us": cost,
        "ratio_to_lxml": cost["parse and validate"] / alone,
        "ratio_with_rules": cost["and open lists and rules"] / alone,
    }
    if given.megabytes:
        result["large_file"] = large_file(given.megabytes)
    if given.json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        return
    table = Table("One 3 KB event", title="Checking")
    table.add_column("us", justify="right")
    table.add_column("ratio", justify="right")
    for name, us in cost.items():
        table.add_row(name, f"{us:.1f}", f"{us / alone:.2f}")
    console = Console()
    console.print(table)
    if given.megabytes:
        console.print(f"A file of {given.megabytes} MB: {result['large_file']}")


if __name__ == "__main__":
    main()
