"""Writes the demo's exports, and what must become of them as expected.json; the people are the authority's part.

    python deploy/demo/generate.py OUT [--seed N] [--changed]

The schools' exports, social care's return and the plan tool's export. The same seed gives the same bytes. With
--changed it writes the next day's exports of the schools, into the same folder or another.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":  # the demo is no installed package
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.demo.authority import AUTHORITY, build, ordinary
from deploy.demo.care import UNTOLD, Child, care_files, children
from deploy.demo.changes import CHANGES, changed_pupil, leavers, next_day
from deploy.demo.csv_reports import csv_file, reports
from deploy.demo.ctf_files import ctf_file
from deploy.demo.faults import FAULTS, ODDITIES, Fault, faulty, with_faults
from deploy.demo.identifiers import LAST_FRIDAY
from deploy.demo.people import Pupil, School

DEFAULT_SEED: Final = 2026


@dataclass(frozen=True, slots=True)
class Day:
    """A day on which schools write their exports.

    Attributes:
        number: Counted from 1; it is the number in the sequence of their Common Transfer Files.
        written: Date and time of the exports, as in ``2026-11-23T06:30:00``.
        marked: The day whose attendance marks are in them.
    """

    number: int
    written: str
    marked: date

    @property
    def is_first(self) -> bool:
        """Whether nothing was exported before."""
        return self.number == 1


_FIRST: Final = Day(1, "2026-11-23T06:30:00", LAST_FRIDAY)
_NEXT: Final = Day(2, "2026-11-24T06:30:00", LAST_FRIDAY)


@dataclass(frozen=True, slots=True)
class Export:
    """One school's export: *files* by their path in the school's folder, *rows* of those files by the same path."""

    school: School
    order: tuple[Pupil, ...]
    files: Mapping[str, bytes]
    rows: Mapping[str, int]

    @property
    def pupil_file(self) -> str:
        """The file that holds the pupils."""
        return next(path for path in self.files if path.endswith(("pupils.csv", ".xml")))

    def position(self, number: int) -> str:
        """Return where the pupil with this admission number stands in that file, in the words of the connectors."""
        place = next(i for i, pupil in enumerate(self.order) if pupil.number == number)
        return f"row {place + 2}" if self.pupil_file.endswith(".csv") else f"pupil {place + 1}"

    def place(self, fault: Fault, pupil: Pupil) -> tuple[str, str]:
        """Return the file in which a fault stands, and where in it."""
        contacts = "reports/contacts.csv"
        if not fault.of_contact or contacts not in self.files:
            return self.pupil_file, self.position(pupil.number)
        before = self.order[: next(i for i, other in enumerate(self.order) if other.number == pupil.number)]
        return contacts, f"row {sum(len(p.contacts) for p in before if p.shown('upn', p.upn)) + 2}"


def write(out: Path, seed: int = DEFAULT_SEED, *, changed: bool = False) -> dict[str, Any]:
    """Write the exports below *out* and return what expected.json says; of the next day those of the schools alone.

    A file appears whole or not at all. The next day's Common Transfer File comes beside the first day's, as the next
    in its sequence; reports are replaced.

    Args:
        changed: Write the next day's exports instead of the first day's.

    Raises:
        OSError: A file cannot be written.
    """
    before, joiners = build(seed)
    now = tuple(next_day(school, joiners) for school in before) if changed else before
    exports = write_schools(out, now, _NEXT if changed else _FIRST)
    if not changed:
        write_care(out, children(before))
    expected = {"seed": seed, "day": 2 if changed else 1, "authority": AUTHORITY, **_expected(before, exports)}
    if changed:
        expected["changes"] = _changes(before, joiners)
    _replace(out / "expected.json", (json.dumps(expected, indent=2, ensure_ascii=False) + "\n").encode())
    return expected


def write_schools(out: Path, schools: Iterable[School], day: Day, *, with_mistakes: bool = True) -> list[Export]:
    """Write what *schools* export on *day*.

    Args:
        with_mistakes: With what their offices got wrong.

    Raises:
        OSError: A file cannot be written.
    """
    exports = [_export(school, with_faults(school) if with_mistakes else school, day) for school in schools]
    for export in exports:
        for path, content in export.files.items():
            _replace(out / "schools" / export.school.establishment / path, content)
    return exports


def write_care(out: Path, known: Sequence[Child]) -> None:
    """Write what social care and the plan tool export.

    Raises:
        OSError: A file cannot be written.
    """
    for path, content in care_files(known).items():
        _replace(out / path, content)


def _export(school: School, typed: School, day: Day) -> Export:
    # Another day, another order: what is sent must not depend on it.
    order = sorted(typed.pupils, key=_by_class if day.is_first else _by_surname)
    found = reports(school, order, day.marked)
    files = {f"reports/{name}": csv_file(rows, quoted=not day.is_first) for name, rows in found.items() if rows}
    rows = {f"reports/{name}": len(rows) for name, rows in found.items() if rows}
    if school.exports != "csv":
        name = f"exports/{school.establishment}_CTF_{school.establishment}_{day.number:03}.xml"
        files[name] = ctf_file(school, order, day.written, loose=school.exports == "ctf-loose")
        rows[name] = len(order)
    return Export(school, tuple(order), files, rows)


def _by_class(pupil: Pupil) -> tuple[str, ...]:
    return pupil.year.rjust(2, "0"), pupil.groups[0], pupil.surname, pupil.forename


def _by_surname(pupil: Pupil) -> tuple[str, ...]:
    return pupil.surname, pupil.forename


def _expected(before: Sequence[School], exports: Sequence[Export]) -> dict[str, Any]:
    pupils = [pupil for export in exports for pupil in export.order if pupil.care_authority]
    faults = [entry for school, export in zip(before, exports, strict=True) for entry in _faults(school, export)]
    return {
        "schools": {export.school.establishment: _school(export) for export in exports},
        "looked_after": [_named(pupil) for pupil in pupils if pupil.care_authority == AUTHORITY],
        "in_care": [_named(child.pupil) for child in children(before)],  # as social care says, whose word counts
        "untold": _named(ordinary(next(s for s in before if s.establishment == UNTOLD[0]))[UNTOLD[1]]),
        "looked_after_by_others": [_named(pupil) for pupil in pupils if pupil.care_authority != AUTHORITY],
        "faults": faults,
        "oddities": [
            {"school": school.establishment, "name": oddity.name, "position": export.position(pupil.number)}
            for school, export in zip(before, exports, strict=True)
            for oddity, pupil in faulty(school, ODDITIES)
        ],
    }


def _school(export: Export) -> dict[str, Any]:
    school = export.school
    faults = [fault for fault in FAULTS if fault.establishment == school.establishment]
    no_learner = sum(_refuses(fault, "LearnerPersonal") for fault in faults)
    no_account = sum(_refuses(fault, "LearnerPersonal", "LearnerSchoolEnrolment") for fault in faults)
    left = sum(pupil.leaving is not None for pupil in export.order)
    return {
        "name": school.name,
        "format": school.exports,
        "pupils": len(export.order),
        "learners": len(export.order) - no_learner,  # whose LearnerPersonal the zone accepts
        "accounts": len(export.order) - no_account - left,  # who is a student on the learning platform
        "rows": dict(export.rows),
    }


def _refuses(fault: Fault, *objects: str) -> bool:
    return any(effect.object in objects and effect.outcome == "refuse" for effect in fault.effects)


def _faults(school: School, export: Export) -> Iterable[dict[str, Any]]:
    for fault, pupil in faulty(school, FAULTS):
        file, position = export.place(fault, pupil)
        yield {
            "school": school.establishment,
            "name": fault.name,
            "file": file,
            "position": position,
            "upn": pupil.upn,
            "effects": [asdict(effect) for effect in fault.effects],
        }


def _changes(before: Sequence[School], joiners: Sequence[Pupil]) -> dict[str, Any]:
    schools = {school.establishment: school for school in before}
    changed = [(change, changed_pupil(schools[change.establishment], change)) for change in CHANGES]
    return {
        "changed": [
            {**_named(pupil), "name": change.name, "merlin": change.merlin, "virtual_school": change.in_care}
            for change, pupil in changed
        ],
        "joined": [_named(pupil) for pupil in joiners],
        "left": [_named(pupil) for school in before for pupil in leavers(school)],
    }


def _named(pupil: Pupil) -> dict[str, str]:
    return {"school": pupil.establishment, "upn": pupil.upn}


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the exports as the command line says."""
    parser = argparse.ArgumentParser(description="Write the exports of the demo's three schools.")
    parser.add_argument("out", type=Path, help="folder that gets schools/ and expected.json")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="another seed, other people (%(default)s)")
    parser.add_argument("--changed", action="store_true", help="the next day's exports: 5 changed, 2 joined, 1 left")
    options = parser.parse_args(arguments)
    expected = write(options.out, options.seed, changed=options.changed)
    for establishment, school in expected["schools"].items():
        print(f"{establishment} {school['name']}: {school['pupils']} pupils, {school['format']}")


if __name__ == "__main__":
    main()
