"""What the virtual school keeps, one class for each table; storing them is database.py's, judging others'.

The first field of each class is its key. What an agreement does not share, or nobody has said, is empty text or None.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class School:
    """A school; ``number`` is that of its authority and its own, seven digits."""

    ref_id: str
    number: str
    name: str
    la_id: str
    urn: str
    phase: str
    phone: str
    email: str
    head_teacher: str


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a school, as the school says it."""

    ref_id: str
    school_ref_id: str
    school_year: str
    code: str
    description: str
    starts: date | None
    ends: date | None


@dataclass(frozen=True, slots=True)
class Learner:
    """A learner as a person; ``in_care`` and ``in_care_la`` are what the school says of care."""

    ref_id: str
    family_name: str
    given_name: str
    preferred_family_name: str
    preferred_given_name: str
    upn: str
    uln: str
    birth_date: date | None
    gender: str
    email: str
    in_care: str
    in_care_la: str
    school_number: str
    year_group: str

    @property
    def name(self) -> str:
        """Family name, given name, as the learner prefers them."""
        family = self.preferred_family_name or self.family_name
        return f"{family}, {self.preferred_given_name or self.given_name}".strip(", ")

    @property
    def initials(self) -> str:
        """First letters of given and family name: ``Q. Z.``; a question mark where there is none."""
        names = (self.preferred_given_name or self.given_name, self.preferred_family_name or self.family_name)
        return " ".join(f"{name[:1].upper() or '?'}." for name in names)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A learner's stay at a school."""

    ref_id: str
    learner_ref_id: str
    school_ref_id: str
    membership: str
    year_group: str
    entry: date | None
    exit: date | None
    exit_reason: str
    destination: str
    part_time: str


@dataclass(frozen=True, slots=True)
class Care:
    """A period of care."""

    ref_id: str
    learner_ref_id: str
    la_ref_id: str
    current: str
    status: str
    starts: date | None
    ends: date | None
    end_reason: str
    legal_status: str
    category_of_need: str
    care_type: str
    as_at: date | None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a learner was placed in a period of care; its key is that of the period and a number."""

    ref_id: str
    learner_ref_id: str
    care_ref_id: str
    starts: date | None
    ends: date | None
    type: str
    provider: str
    la_id: str
    out_of_authority: str
    change_reason: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A move between schools; the numbers are those of the schools on that day."""

    ref_id: str
    learner_ref_id: str
    from_school_ref_id: str
    to_school_ref_id: str
    from_number: str
    to_number: str
    type: str
    leaving: date | None
    leaving_reason: str
    entry: date | None
    looked_after: str
    status: str
    file_due: date | None
    file_due_kind: str
    plan_record_due: date | None
    plan_record_sent: str
    plan_record_received: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Step:
    """A status that a transfer has had; its key is that of the transfer and a number; ``at`` as it was written."""

    ref_id: str
    learner_ref_id: str
    transfer_ref_id: str
    number: int
    status: str
    at: str
    actor: str
    note: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A version of an education plan."""

    ref_id: str
    learner_ref_id: str
    care_ref_id: str
    school_ref_id: str
    type: str
    academic_year: str
    term: str
    trigger: date | None
    initiate_by: date | None
    due: date | None
    meeting: date | None
    completed: date | None
    next_review: date | None
    status: str
    quality: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An attendance mark; ``recorded_at`` as it was written."""

    ref_id: str
    learner_ref_id: str
    school_ref_id: str
    day: date | None
    session: str
    domain: str
    code: str
    recorded_at: str


@dataclass(frozen=True, slots=True)
class Total:
    """Sessions of a learner at a school over a span of days."""

    ref_id: str
    learner_ref_id: str
    school_ref_id: str
    school_year: str
    starts: date | None
    ends: date | None
    attended: int | None
    possible: int | None
    authorised: int | None
    unauthorised: int | None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A suspension or exclusion."""

    ref_id: str
    learner_ref_id: str
    category: str
    reason: str
    starts: date | None
    ends: date | None
    sessions: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """Special educational needs at a school; ``types`` are codes, the main need first."""

    ref_id: str
    learner_ref_id: str
    school_ref_id: str
    provision: str
    types: str
    starts: date | None
    ends: date | None
    next_review: date | None


@dataclass(frozen=True, slots=True)
class Contact:
    """An adult as a person."""

    ref_id: str
    name: str
    email: str
    phone: str


@dataclass(frozen=True, slots=True)
class LearnerContact:
    """What an adult is to a learner; its key are both their RefIds."""

    ref_id: str
    learner_ref_id: str
    contact_ref_id: str
    relationship: str
    guardian: str
    lives_with: str
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Received:
    """When something last came about a learner by a school; the key are both RefIds, the school's may be empty."""

    ref_id: str
    learner_ref_id: str
    school_ref_id: str
    at: str
    object_type: str


Row = (
    School
    | Term
    | Learner
    | Enrolment
    | Care
    | Placement
    | Transfer
    | Step
    | Plan
    | Mark
    | Total
    | Exclusion
    | Need
    | Contact
    | LearnerContact
)
"""What is made from received objects."""

__all__ = [
    "Care",
    "Contact",
    "Enrolment",
    "Exclusion",
    "Learner",
    "LearnerContact",
    "Mark",
    "Need",
    "Placement",
    "Plan",
    "Received",
    "Row",
    "School",
    "Step",
    "Term",
    "Total",
    "Transfer",
]
