"""What happens at the demo's schools by the next day: five pupils change, two join, one left; nobody's care changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploy.demo.authority import AUTHORITY, ordinary
from deploy.demo.identifiers import LAST_FRIDAY
from deploy.demo.people import Pupil, School

_LEAVER: Final = ("8209902", 90)


@dataclass(frozen=True, slots=True)
class Change:
    """One changed pupil; *place* counts as in faults, or those looked after by the authority when *in_care*.

    Attributes:
        merlin: Whether the learning platform is to hear of it; the virtual school does when the pupil is *in_care*.
    """

    establishment: str
    place: int
    name: str
    change: Callable[[Pupil], Pupil]
    merlin: bool
    in_care: bool = False


def _nickname(pupil: Pupil) -> Pupil:
    return replace(pupil, preferred_forename=pupil.forename[:4] + "ie")


def _new_email(pupil: Pupil) -> Pupil:
    return replace(pupil, email=pupil.email.replace("@", ".new@"))


def _ethnicity(pupil: Pupil) -> Pupil:
    return replace(pupil, ethnicity="MOTH")


CHANGES: Final = (
    Change("8209901", 60, "preferred-forename", _nickname, merlin=True),
    Change("8209901", 100, "ethnicity", _ethnicity, merlin=False),
    Change("8209902", 2, "school-email", _new_email, merlin=True, in_care=True),
    Change("8209902", 70, "school-email", _new_email, merlin=True),
    Change("8209903", 75, "preferred-forename", _nickname, merlin=True),
)


def changed_pupil(school: School, change: Change) -> Pupil:
    """Return the pupil of *school* whom *change* is about."""
    cared_for = [pupil for pupil in school.pupils if pupil.care_authority == AUTHORITY]
    return (cared_for if change.in_care else ordinary(school))[change.place]


def leavers(school: School) -> tuple[Pupil, ...]:
    """Return who has left *school* last Friday."""
    return (ordinary(school)[_LEAVER[1]],) if school.establishment == _LEAVER[0] else ()


def next_day(school: School, joiners: Sequence[Pupil]) -> School:
    """Return *school* as it is on the next day; those of the *joiners* who join it come last."""
    changed = {
        pupil.number: change.change(pupil)
        for change in CHANGES
        if change.establishment == school.establishment
        for pupil in [changed_pupil(school, change)]
    }
    for pupil in leavers(school):
        changed[pupil.number] = replace(pupil, leaving=LAST_FRIDAY, leaving_reason="ST")
    stayed = (changed.get(pupil.number, pupil) for pupil in school.pupils)
    joined = (pupil for pupil in joiners if pupil.establishment == school.establishment)
    return replace(school, pupils=(*stayed, *joined))
