"""How many lines of known mappings are guessed right from samples: ``python -m tests.bench.guesses --misses``.

The answers are the shipped packs' own mappings, on their example files: of all lines that hand on a field which the
sample has, the share for which the guessed mapping has the same field. The bar is 70 % for each pack.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.connectors.contract import SourceError
from agents.connectors.csv import CsvOptions, CsvSource
from agents.workbench.draft import draft
from agents.workbench.guess import Guesses, guess
from agents.workbench.samples import Sample, Source, fields_of, read_sample
from broker.protocol.errors import ConfigurationError
from mappings import InwardMapping, MappingError, Record, load
from mappings.packs import PackSource, packs

BAR: Final = 70
_DATA: Final = Path(__file__).parents[1] / "data"
_RECORDS: Final[Mapping[str, str]] = {
    "csv/attendance": "csv/attendance",
    "csv/contact": "csv/contacts",
    "csv/contact-person": "csv/contacts",
    "csv/daily-attendance": "csv/daily-attendance",
    "csv/enrolment": "csv/pupils",
    "csv/exclusions": "csv/exclusions",
    "csv/group-enrolment": "csv/members",
    "csv/group-types": "csv/groups",
    "csv/groups": "csv/groups",
    "csv/learner": "csv/pupils",
    "csv/registration": "csv/pupils",
    "csv/school": "csv/school",
    "csv/special-needs": "csv/sen",
    "csv/staff": "csv/staff",
    "csv/terms": "csv/terms",
    "ctf/attendance": "ctf/pupil",
    "ctf/contact": "ctf/pupil",
    "ctf/contact-person": "ctf/pupil",
    "ctf/enrolment": "ctf/pupil",
    "ctf/learner": "ctf/pupil",
    "ctf/special-needs": "ctf/pupil",
    "ctf/transfer": "ctf/arrived",
    "pep/plan": "pep/plans",
}
"""Made-up records of mappings that are in no pack with an example file."""
_CONSTANTS: Final[Mapping[str, str]] = {"LAId": "820", "EstablishmentId": "9901", "SchoolYear": "2027"}
_FIXED: Final = re.compile(r"\[@\w+='([^']*)'\]")


@dataclass(slots=True)
class Score:
    """How one mapping was guessed.

    Attributes:
        loads: Whether the guessed mapping can be used as it is.
        misses: Target, the field that the pack's mapping has, and what was guessed instead (empty: nothing).
    """

    pack: str
    mapping: str
    object_type: str
    right: int
    of: int
    loads: bool
    misses: list[tuple[str, str, str]] = field(default_factory=list)


def score(name: str, mapping: InwardMapping, sample: Sample) -> Score:
    """Guess the mapping of an object from a sample and compare it with the one that is right."""
    there = {each.path for each in sample.fields if each.filled}
    answers = _answers(mapping, there)
    guesses = guess(sample, mapping.object_type)
    guessed = _guessed(draft(guesses).text) or _guessed(draft(guesses, _CONSTANTS).text)
    found = _answers(guessed, there) if guessed is not None else _matched(guesses)
    misses = [
        (target, " or ".join(sorted(sources)), " or ".join(sorted(found.get(target, ()))))
        for target, sources in answers.items()
        if not sources & found.get(target, frozenset())
    ]
    right = len(answers) - len(misses)
    return Score(name.partition("/")[0], name, mapping.object_type, right, len(answers), guessed is not None, misses)


def samples_of(wanted: Sequence[str] = ()) -> Iterator[tuple[str, Sample]]:
    """Yield the names of shipped mappings that have an example, with it: those of packs, then the others."""
    done: set[str] = set()
    for pack in packs().values():
        for source in pack.sources:
            names = [name for name in source.mapping if not wanted or name.partition("/")[0] in wanted]
            if names and source.example:
                sample = _example(pack.folder / source.example, source)
                done.update(names)
                yield from ((name, sample) for name in names if sample is not None)
    for name, records in _RECORDS.items():
        if name not in done and (not wanted or name.partition("/")[0] in wanted):
            yield name, _made_up(records)
    if "ssda903/looked-after" not in done and (not wanted or "ssda903" in wanted):
        header = _DATA / "ssda903" / "2026" / "header.csv"
        yield "ssda903/looked-after", read_sample(header, "ssda903", {"authority": "820"})


def scores(wanted: Sequence[str] = ()) -> Iterator[Score]:
    """Yield the score of each shipped mapping that has an example, pack by pack."""
    for name, sample in samples_of(wanted):
        mapping = load(name)
        if isinstance(mapping, InwardMapping):
            yield score(name, mapping, sample)


def _example(path: Path, source: PackSource) -> Sample | None:
    try:
        return read_sample(path, source.connector, source.options)
    except (SourceError, ConfigurationError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return None


def _answers(mapping: InwardMapping, there: set[str]) -> dict[str, frozenset[str]]:
    """Return the fields that go straight to each target, of those that the sample has."""
    found: dict[str, frozenset[str]] = {}
    for line in mapping.lines:
        sources = [source for source in line.sources if source in there]
        if line.kind != "field" or line.ref is not None or len(line.sources) != 1 or not sources:
            continue
        target = _FIXED.sub(r"[\1]", line.target)
        found[target] = found.get(target, frozenset()) | {sources[0]}
    return found


def _matched(guesses: Guesses) -> dict[str, frozenset[str]]:
    """Return the same of guesses that make no mapping yet."""
    return {
        _FIXED.sub(r"[\1]", path): frozenset({each.match.column.field.path})
        for each in guesses.guesses
        if each.match is not None
        for path in each.want.paths
    }


def _guessed(text: str) -> InwardMapping | None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "guessed.toml"
        file.write_text(text, "utf-8")
        try:
            mapping = load(file)
        except MappingError:
            return None
    return mapping if isinstance(mapping, InwardMapping) else None


def _made_up(name: str) -> Sample:
    """Return the sample of records that a test has in a JSON file."""
    given = json.loads((_DATA / "mappings" / f"{name}.json").read_text("utf-8"))
    records = tuple(_record(each, None) for each in (given if isinstance(given, list) else [given]))
    source = Source(_DATA, "csv", {}, CsvSource(CsvOptions()))
    return Sample(source, fields_of(records), records, (), True)


def _record(given: Mapping[str, Any], parent: Record | None) -> Record:
    groups: dict[str, tuple[Record, ...]] = {}
    record = Record(given.get("position", ""), given.get("fields", {}), groups, parent)
    for path, members in given.get("groups", {}).items():
        groups[path] = tuple(_record(member, record) for member in members)
    return record


def main() -> int:
    """Print the shares; return 1 when a pack is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", nargs="*", help="Only these packs.")
    parser.add_argument("--misses", action="store_true", help="List what was not guessed, or wrongly.")
    parser.add_argument("--json", action="store_true", help="As JSON, for programs.")
    given = parser.parse_args()
    found = list(scores(given.packs))
    by_pack: dict[str, list[Score]] = {}
    for each in found:
        by_pack.setdefault(each.pack, []).append(each)
    shares = {
        pack: 100 * sum(each.right for each in same) / max(1, sum(each.of for each in same))
        for pack, same in by_pack.items()
    }
    if given.json:
        json.dump({"packs": shares, "mappings": [asdict(each) for each in found]}, sys.stdout, indent=2)
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(by_pack, shares, misses=given.misses))
    return int(any(share < BAR for share in shares.values()))


def _lines(by_pack: Mapping[str, Sequence[Score]], shares: Mapping[str, float], *, misses: bool) -> Iterator[str]:
    for pack, same in by_pack.items():
        yield f"{pack:24} {shares[pack]:5.0f} %  {'' if shares[pack] >= BAR else f'below {BAR} %'}".rstrip()
        for each in same:
            loads = "" if each.loads else "  cannot be loaded"
            yield f"  {each.mapping:30} {each.object_type:26} {each.right:3} of {each.of:3}{loads}"
            for target, right, wrong in each.misses if misses else ():
                yield f"      {target}: {right}{f', guessed {wrong}' if wrong else ''}"


if __name__ == "__main__":
    raise SystemExit(main())
