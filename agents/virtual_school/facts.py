"""What is known at one moment, as values by learner; asking the database is database.py's, judging is the reports'."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from agents.virtual_school.records import (
    Care,
    Enrolment,
    Exclusion,
    Learner,
    Mark,
    Need,
    Placement,
    Plan,
    Received,
    School,
    Step,
    Term,
    Total,
    Transfer,
)

_SUBSIDIARY = {"S": 1, "G": 2}


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything but attendance by learner's RefId; of attendance what was asked for.

    Attributes:
        schools: By RefId, ``terms`` by the school's.
        placements: By the RefId of the period of care; ``steps`` by that of the transfer.
        last_marks: The newest mark of each learner at each school up to the day asked for.
        marks: All marks of the day, or of the learner, that was asked for.
        has_marks: Whether any daily mark has ever come.
    """

    learners: Mapping[str, Learner]
    schools: Mapping[str, School]
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    enrolments: Mapping[str, tuple[Enrolment, ...]] = field(default_factory=dict)
    care: Mapping[str, tuple[Care, ...]] = field(default_factory=dict)
    placements: Mapping[str, tuple[Placement, ...]] = field(default_factory=dict)
    transfers: Mapping[str, tuple[Transfer, ...]] = field(default_factory=dict)
    steps: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    plans: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)
    exclusions: Mapping[str, tuple[Exclusion, ...]] = field(default_factory=dict)
    needs: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    totals: Mapping[str, tuple[Total, ...]] = field(default_factory=dict)
    received: Mapping[str, tuple[Received, ...]] = field(default_factory=dict)
    last_marks: Mapping[tuple[str, str], Mark] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    has_marks: bool = False

    def school_number(self, ref_id: str) -> str:
        """Return a school's number; empty when the school is not known."""
        school = self.schools.get(ref_id)
        return school.number if school else ""

    def school_words(self, ref_id: str, number: str = "") -> str:
        """Return a school as people know it: name and number, as far as they are known."""
        school = self.schools.get(ref_id) or next(
            (s for s in self.schools.values() if number and s.number == number), None
        )
        if school is None:
            return number
        return f"{school.name} ({school.number})" if school.name and school.number else school.name or school.number


@dataclass(frozen=True, slots=True)
class InCare:
    """A learner who is in care on a day.

    Attributes:
        care: The period; None when only the school says so.
    """

    learner: Learner
    care: Care | None

    @property
    def is_short_breaks(self) -> bool:
        """Whether the care is a series of short breaks alone."""
        return self.care is not None and self.care.status == "SB"


def is_in_care(care: Care, day: date) -> bool:
    """Tell whether a period of care has *day*; on the day it ends the learner is no longer in care."""
    if care.status in ("PL", "CE") or (care.starts is not None and care.starts > day):
        return False
    if care.ends is not None:
        return care.ends > day
    return care.current == "Yes" or (care.current != "No" and care.status in ("LA", "SB"))


def in_care(facts: Facts, day: date) -> tuple[InCare, ...]:
    """Return the learners in care on *day*, in order of name.

    What the authority says of a learner goes before what the school says; the school's word counts where no period of
    care has come at all.
    """
    found = []
    for learner in facts.learners.values():
        periods = facts.care.get(learner.ref_id, ())
        present = [care for care in periods if is_in_care(care, day)]
        if present:
            # of two periods that both have the day, the one that is more than short breaks, then the later one
            found.append(
                InCare(learner, max(present, key=lambda c: (c.status != "SB", c.starts or date.min, c.ref_id)))
            )
        elif not periods and learner.in_care == "Yes":
            found.append(InCare(learner, None))
    return tuple(sorted(found, key=lambda one: (one.learner.name.casefold(), one.learner.ref_id)))


def enrolments_on(facts: Facts, learner_ref_id: str, day: date) -> tuple[Enrolment, ...]:
    """Return the enrolments that have *day*, the main one first."""
    present = [
        one
        for one in facts.enrolments.get(learner_ref_id, ())
        if (one.entry is None or one.entry <= day)
        and (one.exit is None or one.exit >= day)
        and not (one.membership == "P" and one.exit is None)
    ]
    order = sorted(present, key=lambda one: (one.entry or date.min, one.ref_id), reverse=True)
    return tuple(sorted(order, key=lambda one: _SUBSIDIARY.get(one.membership, 0)))


def placement_on(facts: Facts, care: Care | None, day: date) -> Placement | None:
    """Return where a learner is placed on *day*; None when that is not known."""
    if care is None:
        return None
    present = [
        one
        for one in facts.placements.get(care.ref_id, ())
        if (one.starts is None or one.starts <= day) and (one.ends is None or one.ends > day)
    ]
    return max(present, key=lambda one: (one.starts or date.min, one.ref_id), default=None)


def newest(marks: Iterable[Mark]) -> Mark | None:
    """Return the newest of some marks: by day, then afternoon before morning, then as recorded."""
    return max(marks, key=lambda m: (m.day or date.min, m.session == "PM", m.recorded_at, m.ref_id), default=None)


__all__ = ["Facts", "InCare", "enrolments_on", "in_care", "is_in_care", "newest", "placement_on"]
