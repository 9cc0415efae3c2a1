"""What the demo's authority is made of, as values: schools, staff, groups, pupils and the adults around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Home:
    """An address with its telephone; *house* is a number or a name."""

    house: str
    street: str
    postcode: str
    phone: str


@dataclass(frozen=True, slots=True)
class Contact:
    """An adult around a pupil.

    Attributes:
        id: The school system's number of the adult, the same for brothers and sisters.
        relationship: CTF code: PAM, PAF, STP, FOS, SWR, FAM.
        home: Where the adult lives when not with the pupil and known.
    """

    id: str
    title: str
    surname: str
    forename: str
    sex: str
    relationship: str
    responsible: bool
    lives_with: bool
    mobile: str
    email: str
    home: Home | None = None


@dataclass(frozen=True, slots=True)
class Stay:
    """A time at another school."""

    establishment: str
    school: str
    entry: date
    leaving: date


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A suspension from *start*, of *sessions* half days from the first of the day."""

    start: date
    sessions: int
    reason: str


@dataclass(frozen=True, slots=True)
class Attendance:
    """Half days of this school year up to last Friday."""

    possible: int
    authorised: int
    unauthorised: int

    @property
    def attended(self) -> int:
        """Half days present."""
        return self.possible - self.authorised - self.unauthorised


@dataclass(frozen=True, slots=True)
class Pupil:
    """A pupil as the school's system knows them.

    Attributes:
        establishment: The 7-digit number of the school.
        upn: Empty when the school does not know it.
        year: NC year group, R or 1 to 11.
        groups: Codes of the groups; the registration group first.
        care_authority: LA number of the authority that looks after the pupil; empty for most.
        needs: Types of special need by rank; empty when there is no provision.
        next_school: The 7-digit number of the school that a leaver goes to; empty when the school does not know it.
        typed: What the office typed into a field instead of the true value, by the name of the attribute here.
    """

    establishment: str
    upn: str
    former_upn: str
    uln: str
    number: int
    surname: str
    forename: str
    middle_names: str
    preferred_forename: str
    birth: date
    sex: str
    year: str
    entry: date
    groups: tuple[str, ...]
    ethnicity: str
    language: str
    email: str
    home: Home
    contacts: tuple[Contact, ...]
    attendance: Attendance
    earlier: Stay | None = None
    care_authority: str = ""
    sen_provision: str = ""
    sen_start: date | None = None
    needs: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    enrolment_status: str = "C"
    leaving: date | None = None
    leaving_reason: str = ""
    next_school: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)

    def shown(self, attribute: str, value: str) -> str:
        """Return *value* as it stands in an export: what the office typed goes before what is true."""
        return self.typed.get(attribute, value)


@dataclass(frozen=True, slots=True)
class Staff:
    """A member of staff; *post* is a DfE post code."""

    code: str
    title: str
    surname: str
    forename: str
    email: str
    post: str


@dataclass(frozen=True, slots=True)
class Group:
    """A registration group, or a teaching group when it has a course."""

    code: str
    name: str
    staff_code: str
    course_code: str = ""
    course: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class School:
    """A school with everybody in it; pupils in the order of their admission numbers."""

    establishment: str
    urn: str
    name: str
    phase: str
    host: str
    years: tuple[str, ...]
    exports: str
    staff: tuple[Staff, ...] = ()
    groups: tuple[Group, ...] = ()
    pupils: tuple[Pupil, ...] = ()
