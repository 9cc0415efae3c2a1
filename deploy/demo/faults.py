"""What offices get wrong: faults that have to be reported, oddities that have to pass, and what must become of each.

Nobody in care is among them, except the pupil whose care authority nobody entered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from deploy.demo.authority import AUTHORITY, ordinary
from deploy.demo.identifiers import temporary_upn, with_wrong_letter, year_of_reception
from deploy.demo.people import Pupil, School


@dataclass(frozen=True, slots=True)
class Effect:
    """What must become of one object of the pupil.

    Attributes:
        stage: ``mapping`` when the school's agent reports it, ``zone`` when the zone refuses the object.
        outcome: ``refuse`` when there is no such object afterwards, ``warn`` when it is there without the faulty part.
    """

    object: str
    stage: Literal["mapping", "zone"]
    outcome: Literal["refuse", "warn"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One faulty pupil: *place* counts the school's pupils who are not in care, in the order of admission.

    Attributes:
        typed: What stands in the export instead of the true value; of the contacts, with the first.
    """

    establishment: str
    place: int
    name: str
    typed: dict[str, str]
    effects: tuple[Effect, ...] = ()

    @property
    def of_contact(self) -> bool:
        """Whether it is in what the school knows of the pupil's first contact."""
        return not self.typed.keys().isdisjoint(("contact_order", "relationship"))


_NO_LEARNER: Final = (Effect("LearnerPersonal", "mapping", "refuse"),)
_LEARNER_WITHOUT: Final = (Effect("LearnerPersonal", "mapping", "warn"),)
_NO_ENROLMENT: Final = (Effect("LearnerSchoolEnrolment", "mapping", "refuse"),)
_CONTACT_WITHOUT: Final = (Effect("LearnerContact", "mapping", "warn"),)
_CONTACT_REFUSED: Final = (Effect("LearnerContact", "zone", "refuse"),)

FAULTS: Final = (
    Fault("8209901", 5, "surname-missing", {"surname": ""}, _NO_LEARNER),
    Fault("8209901", 40, "birth-date-impossible", {"birth": "2019-02-30"}, _NO_LEARNER),
    Fault("8209901", 75, "entry-date-missing", {"entry": ""}, _NO_ENROLMENT),
    Fault("8209902", 8, "sex-code-unknown", {"sex": "X"}, _LEARNER_WITHOUT),
    Fault("8209902", 60, "care-authority-missing", {"in_care": "true", "care_authority": ""}, _LEARNER_WITHOUT),
    Fault("8209902", 110, "enrolment-status-unknown", {"enrolment_status": "Z"}, _LEARNER_WITHOUT + _NO_ENROLMENT),
    Fault("8209902", 140, "contact-order-99", {"contact_order": "99"}, _CONTACT_WITHOUT),
    Fault("8209902", 175, "relationship-missing", {"relationship": ""}, _CONTACT_WITHOUT),
    Fault("8209903", 15, "forename-missing", {"forename": ""}, _NO_LEARNER),
    Fault("8209903", 55, "birth-date-impossible", {"birth": "31/02/2013"}, _NO_LEARNER),
    Fault("8209903", 95, "entry-date-impossible", {"entry": "00/09/2025"}, _NO_ENROLMENT),
    Fault("8209903", 140, "upn-malformed", {"upn": "UNKNOWN"}, _LEARNER_WITHOUT),
    Fault("8209903", 165, "contact-order-99", {"contact_order": "99"}, _CONTACT_REFUSED),
)
"""Must be reported, each as its effects say."""

ODDITIES: Final = (
    Fault("8209901", 20, "upn-temporary", {"upn": "temporary"}),
    Fault("8209902", 30, "upn-wrong-letter", {"upn": "wrong letter"}),
    Fault("8209902", 130, "upn-temporary", {"upn": "temporary"}),
    Fault("8209902", 160, "upn-wrong-letter", {"upn": "wrong letter"}),
    Fault("8209903", 30, "upn-missing", {"upn": ""}),
    Fault("8209903", 120, "upn-wrong-letter", {"upn": "wrong letter"}),
)
"""Stand in real exports and must not keep the pupil out."""


def with_faults(school: School) -> School:
    """Return *school* as its office has typed it in."""
    places = ordinary(school)
    wrong = {places[f.place].number: f for f in (*FAULTS, *ODDITIES) if f.establishment == school.establishment}
    return replace(school, pupils=tuple(_typed(p, wrong[p.number]) if p.number in wrong else p for p in school.pupils))


def faulty(school: School, faults: Iterable[Fault]) -> tuple[tuple[Fault, Pupil], ...]:
    """Return the faults of this school, each with its pupil."""
    places = ordinary(school)
    return tuple((fault, places[fault.place]) for fault in faults if fault.establishment == school.establishment)


def _typed(pupil: Pupil, fault: Fault) -> Pupil:
    if fault.name == "upn-temporary":
        issued = temporary_upn(AUTHORITY, pupil.establishment[3:], year_of_reception(pupil.year), pupil.number % 100)
        return replace(pupil, upn=issued)
    if fault.name == "upn-wrong-letter":
        return replace(pupil, upn=with_wrong_letter(pupil.upn))
    if fault.name == "upn-missing":
        return replace(pupil, upn="")
    return replace(pupil, typed=fault.typed)
