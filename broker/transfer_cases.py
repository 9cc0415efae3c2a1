"""A learner's move between establishments as values: the case, what is told of it, what is to be done about it.

What becomes of a case is decided in transfers.py. No event says what a file holds: only that it is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from broker.calendars import local_date
from broker.deadlines import Deadline, RuleId
from broker.protocol.identifiers import Establishment, RefId

NOT_KNOWN: Final = Establishment("XXXXXXX")
"""Destination of a file when nobody knows where the learner went: the lost-pupil pool."""
OUTSIDE: Final = Establishment("MMMMMMM")
"""Destination of a file when the learner left the maintained sector in England."""


class Status(StrEnum):
    """How far a move has come, in the words of LearnerTransfer/Status."""

    PLANNED = "PL"
    NOTIFIED = "NT"
    PREPARED = "CP"
    SENT = "SE"
    DELIVERED = "DE"
    LOADED = "LD"
    COMPLETE = "CM"
    REJECTED = "RJ"
    DESTINATION_UNKNOWN = "UN"
    LOST_PUPILS = "LP"
    CANCELLED = "CA"


_S = Status
MOVES: Final[Mapping[Status, frozenset[Status]]] = MappingProxyType(
    {
        _S.PLANNED: frozenset({_S.NOTIFIED, _S.CANCELLED}),
        _S.NOTIFIED: frozenset({_S.PREPARED, _S.CANCELLED}),
        _S.PREPARED: frozenset({_S.SENT, _S.DESTINATION_UNKNOWN, _S.CANCELLED}),
        _S.SENT: frozenset({_S.DELIVERED, _S.CANCELLED}),
        _S.DELIVERED: frozenset({_S.LOADED, _S.REJECTED, _S.CANCELLED}),
        _S.LOADED: frozenset({_S.COMPLETE}),
        _S.COMPLETE: frozenset(),
        # A refused file may have been about a move that never was; a lost learner may be back at the old school, or be
        # found before the file has reached the pool. Without these moves such a case could not end.
        _S.REJECTED: frozenset({_S.PREPARED, _S.CANCELLED}),
        _S.DESTINATION_UNKNOWN: frozenset({_S.LOST_PUPILS, _S.SENT, _S.CANCELLED}),
        _S.LOST_PUPILS: frozenset({_S.SENT, _S.CANCELLED}),
        _S.CANCELLED: frozenset(),
    }
)
"""Which status may follow which. Every change in a history is one of these."""


class Note(StrEnum):
    """Why a move took a step, in the words of StatusChange/@Note."""

    NONE = ""
    DESTINATION_NOT_FOUND = "NK"
    FOUND_LATER = "FD"
    FILE_REFUSED = "RF"
    WRONG_LEARNER_OR_SCHOOL = "WR"
    NO_ANSWER = "NR"
    OUTSIDE_THE_ZONE = "OC"
    DID_NOT_TAKE_PLACE = "CX"
    SHIELDED = "SH"


class TransferType(StrEnum):
    """Kind of move, in the words of LearnerTransfer/TransferType."""

    SCHOOL_CHANGE = "SC"
    PHASE_CHANGE = "PH"
    DUAL_REGISTRATION = "DR"
    ALTERNATIVE_PROVISION = "AP"
    PERMANENT_EXCLUSION = "PE"
    LEFT_SECTOR = "LO"
    NOT_KNOWN = "UK"


class Shield(StrEnum):
    """Whether a learner is shielded, in the words of LearnerTransfer/Shield."""

    NONE = "N"
    PROTECTED_MOVE = "P"
    ADOPTED = "A"


class Record(StrEnum):
    """What passes from school to school beside the file; the zone knows only that it has."""

    PEP_SENT = "PEPRecordSent"
    PEP_RECEIVED = "PEPRecordReceived"
    SAFEGUARDING_RECEIPT = "SafeguardingFileReceipt"


_PHASE_REASONS: Final = frozenset({"FM", "NI", "IJ", "JS", "MS"})
_EXCLUDED: Final = "PE"
DUAL: Final = frozenset({"M", "S", "G"})
"""Membership types of an enrolment beside another: main, subsidiary, guest."""


class StatusChange(NamedTuple):
    """One entry of a history; ``at`` has its time zone."""

    status: Status
    at: datetime
    actor: str
    note: Note = Note.NONE


class Care(NamedTuple):
    """What the authority's care records say of a learner from a day on.

    Attributes:
        authority: LA number of whoever is responsible; empty when not in care.
    """

    since: date
    looked_after: bool
    authority: str = ""


class Ctf(NamedTuple):
    """A Common Transfer File, told of but not held.

    Attributes:
        destination: The number it is addressed to, or one of those that stand for none.
        sha256: Hash of its content, 64 hexadecimal digits; empty when the zone has not seen it.
        pupils: How many learners it is about; 0 when not known.
    """

    file_name: str
    destination: Establishment
    sha256: str = ""
    version: str = ""
    qualifier: str = ""
    pupils: int = 0


@dataclass(frozen=True, slots=True)
class TransferCase:
    """One learner's move between two establishments, as far as it is known.

    Attributes:
        history: Every status it has had, the first first; only ever added to.
        from_school: The school left, by its number on that day; ``to_school`` the one entered. None when not known.
        leaving: Last day at the old school; ``entry`` the first at the new one.
        membership: LearnerSchoolEnrolment/MembershipType at the new school; empty when not known.
        dual_known: Day on which the first word came that the learner is registered at both schools.
        left_sector: Whether the learner is said to have left the maintained sector in England.
        known_since: Day on which the first word came of the new school; after the 15 days, they begin then.
        returned: First day back at the old school, without having been at another.
        care: What care records say, by day.
        confirmed: Whether the new school has said that the learner is on its register.
        happened: Whether a system has told of the move, beyond that it is planned.
        renumbered: Numbers of its schools that were replaced since, in order: old, new.
        closed: Its schools that have closed without a successor.
        passed: Days on which other records were passed on.
        deadlines: What is to be done by when, ordered by rule; met or not.
        issued: Keys of the actions that were given out, each once.
    """

    ref_id: RefId
    learner: RefId
    history: tuple[StatusChange, ...]
    from_school: Establishment | None = None
    to_school: Establishment | None = None
    leaving: date | None = None
    entry: date | None = None
    reason: str = ""
    membership: str = ""
    alternative: bool = False
    dual_known: date | None = None
    left_sector: bool = False
    known_since: date | None = None
    returned: date | None = None
    care: tuple[Care, ...] = ()
    shield: Shield = Shield.NONE
    ctf: Ctf | None = None
    confirmed: bool = False
    happened: bool = False
    renumbered: tuple[tuple[Establishment, Establishment], ...] = ()
    closed: frozenset[Establishment] = frozenset()
    passed: Mapping[Record, date] = field(default_factory=dict)
    deadlines: tuple[Deadline, ...] = ()
    issued: frozenset[str] = frozenset()

    @property
    def status(self) -> Status:
        """How far it has come."""
        return self.history[-1].status

    @property
    def old_number(self) -> Establishment | None:
        """The number that the old school has now."""
        return self._now(self.from_school)

    @property
    def new_number(self) -> Establishment | None:
        """The number that the new school has now."""
        return self._now(self.to_school)

    @property
    def destination(self) -> Establishment | None:
        """Where the file is to go: the new school, ``MMMMMMM`` for one outside; None when not known."""
        return self.new_number or (OUTSIDE if self.left_sector else None)

    @property
    def is_open(self) -> bool:
        """Whether the file has still a way to go; outside the sector nobody takes it in."""
        if self.status is Status.SENT and self.destination == OUTSIDE:
            return False
        return self.status not in (Status.COMPLETE, Status.CANCELLED)

    @property
    def is_followed(self) -> bool:
        """Whether the clock may still bring something: it is open, or another record is not passed on."""
        return self.is_open or (self.status is not Status.CANCELLED and any(self.unmet()))

    @property
    def care_at_transfer(self) -> Care | None:
        """What care records said on the leaving date or, without one, the entry date; None when they said nothing."""
        day = self.leaving or self.entry
        known = [care for care in self.care if day is None or care.since <= day]
        return known[-1] if known else None

    @property
    def looked_after(self) -> bool | None:
        """Whether the learner was looked after at the transfer; None when nobody has said."""
        care = self.care_at_transfer
        return care.looked_after if care else None

    @property
    def responsible(self) -> str:
        """LA number of the authority that looked after the learner at the transfer; empty for none."""
        care = self.care_at_transfer
        return care.authority if care and care.looked_after else ""

    @property
    def dates_overlap(self) -> bool:
        """Whether a learner with one registration left after they entered: dual registration untold, or an error.

        Source:
            A leaving date is not after the entry date at a new single-registered school: our own rule.
        """
        return bool(self.leaving and self.entry and self.leaving > self.entry and self.dual_known is None)

    @property
    def transfer_type(self) -> TransferType:
        """Kind of move, as far as its facts tell."""
        if self.destination == OUTSIDE:
            return TransferType.LEFT_SECTOR
        if self.alternative:
            return TransferType.ALTERNATIVE_PROVISION
        if self.dual_known is not None:
            return TransferType.DUAL_REGISTRATION
        if self.reason == _EXCLUDED:
            return TransferType.PERMANENT_EXCLUSION
        if self.reason in _PHASE_REASONS:
            return TransferType.PHASE_CHANGE
        if self.from_school is None or self.to_school is None:
            return TransferType.NOT_KNOWN
        return TransferType.SCHOOL_CHANGE

    def deadline(self, *rules: RuleId) -> Deadline | None:
        """Return its deadline of the first of *rules* that it has one of."""
        return next((deadline for deadline in self.deadlines if deadline.rule in rules), None)

    def unmet(self) -> Iterable[Deadline]:
        """Return the deadlines of what has not been done."""
        return (deadline for deadline in self.deadlines if not self._is_met(deadline.rule))

    def knows(self, school: Establishment) -> Establishment:
        """Return the number that *school* has now, where it is one of the two and was renumbered."""
        for old, new in self.renumbered:
            school = new if school == old else school
        return school

    def _now(self, school: Establishment | None) -> Establishment | None:
        return None if school is None else self.knows(school)

    def _is_met(self, rule: RuleId) -> bool:
        statuses = {change.status for change in self.history}
        match rule:
            case RuleId.T1 | RuleId.T2:
                return Status.SENT in statuses
            case RuleId.T3:
                return not statuses.isdisjoint({Status.SENT, Status.LOST_PUPILS})
            case RuleId.L10:
                return Record.PEP_RECEIVED in self.passed
            case RuleId.T6 | RuleId.T6_NEW_TERM:
                return Record.SAFEGUARDING_RECEIPT in self.passed
            case _:
                return self.status is not Status.DELIVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that somebody has told.

    Attributes:
        at: When, with its time zone.
        actor: System or role that told it, such as ``MIS:8209901``.
    """

    at: datetime
    actor: str

    @property
    def today(self) -> date:
        """The local date on which it was told."""
        return local_date(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlanned(Event):
    """People plan a move; at least one of the schools is known."""

    learner: RefId
    from_school: Establishment | None = None
    to_school: Establishment | None = None
    leaving: date | None = None
    entry: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentEnded(Event):
    """The old school's MIS has a last day.

    Attributes:
        reason: LearnerSchoolEnrolment's reason for leaving; empty when not given.
        destination: Where the learner goes, as the old school believes; ``MMMMMMM`` for outside the sector.
    """

    learner: RefId
    school: Establishment
    leaving: date
    reason: str = ""
    destination: Establishment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentStarted(Event):
    """The new school's MIS has a first day.

    Attributes:
        membership: C the only registration, M main or S subsidiary of two, G guest.
        previous: The school that the zone has had the learner at; None when it has had none.
        alternative: Whether it is alternative provision, with the main registration kept.
    """

    learner: RefId
    school: Establishment
    entry: date
    membership: str = "C"
    previous: Establishment | None = None
    alternative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CtfArrived(Event):
    """A file about the learner has come to the zone from the old school, whichever way."""

    learner: RefId
    source: Establishment
    ctf: Ctf


@dataclass(frozen=True, slots=True, kw_only=True)
class CtfPrepared(Event):
    """A file is written and not yet sent."""

    ctf: Ctf


@dataclass(frozen=True, slots=True, kw_only=True)
class CtfSent(Event):
    """A file is on its way."""

    ctf: Ctf


@dataclass(frozen=True, slots=True, kw_only=True)
class CtfDelivered(Event):
    """The file has reached the new school; nobody has said that it was loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CtfLoaded(Event):
    """The receiving school's MIS says that it has loaded the file."""

    school: Establishment


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedByPeople(Event):
    """Somebody at the receiving school says so, where its MIS cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentConfirmed(Event):
    """The new school's MIS says that the learner is on its register."""

    school: Establishment


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Event):
    """The receiving school refuses the file."""

    school: Establishment
    note: Note = Note.FILE_REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Event):
    """People say that the move is off, or not the zone's matter."""

    note: Note = Note.DID_NOT_TAKE_PLACE


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFound(Event):
    """Somebody has found the school where the learner is, or is to be."""

    school: Establishment


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftSector(Event):
    """The learner has left for an independent school, or for Wales or farther, or is in no school any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolClosedOrRenumbered(Event):
    """A school has a new number, as when it becomes an academy, or none any more: then *successor* is None."""

    school: Establishment
    successor: Establishment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CareChanged(Event):
    """Care records say something of the learner, now or for a day that is past."""

    care: Care


@dataclass(frozen=True, slots=True, kw_only=True)
class Shielded(Event):
    """The learner is shielded from now on, or no longer."""

    shield: Shield


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPassed(Event):
    """A record that the zone does not carry was passed on."""

    record: Record
    on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMoved(Event):
    """It is another day; nothing else has happened."""


Opening = MovePlanned | EnrolmentEnded | EnrolmentStarted | CtfArrived
"""What may be the first that the zone hears of a move."""


class Party(StrEnum):
    """Who is told."""

    OLD_SCHOOL = "old school's data manager"
    NEW_SCHOOL = "new school's data manager"
    OLD_TEACHER = "old school's designated teacher"
    NEW_TEACHER = "new school's designated teacher"
    SOCIAL_WORKER = "social worker"
    VIRTUAL_SCHOOL = "virtual school"
    AUTHORITY = "authority"


class Why(StrEnum):
    """What they are told."""

    MOVE = "the learner moves"
    MOVE_CANCELLED = "the learner does not move"
    MISSING_EDUCATION = "a looked-after child has left and no new school is known"
    OLD_SCHOOL_NOT_KNOWN = "the school that the learner came from is not known"
    DATES_OVERLAP = "the leaving date is after the entry date: say that it is dual registration, or put a date right"
    FILE_REJECTED = "the new school refuses the file"
    NUMBER_CHANGED = "a school of this move has a new number: files to the old one stay behind"
    SCHOOL_CLOSED = "a school of this move has closed"
    RESPONSIBILITY_MOVED = "another authority is responsible for the learner"
    CARE_BEGAN = "the learner became looked after in the middle of the move"
    CARE_ENDED = "the learner is no longer looked after"
    SHIELDED = "the learner is shielded: the zone joins nothing, people must"


@dataclass(frozen=True, slots=True)
class AskForRecord:
    """Ask the old school's agent for the learner's objects."""

    learner: RefId
    school: Establishment

    @property
    def key(self) -> str:
        """What it is remembered by, so that it is given out once."""
        return f"ask:{self.school}"


@dataclass(frozen=True, slots=True)
class WriteCtf:
    """Write a file about the learner, addressed to *destination*; ``attempt`` counts from 1."""

    learner: RefId
    source: Establishment
    destination: Establishment
    attempt: int = 1

    @property
    def key(self) -> str:
        """What it is remembered by, so that it is given out once."""
        return f"write:{self.destination}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class SendToLostPupils:
    """Send the file to the lost-pupil pool."""

    learner: RefId

    @property
    def key(self) -> str:
        """What it is remembered by, so that it is given out once."""
        return "lost"


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell *party* at *where*, the number of a school or an authority; ``about`` tells one occasion from another."""

    party: Party
    why: Why
    where: str
    about: str = ""

    @property
    def key(self) -> str:
        """What it is remembered by, so that it is given out once."""
        return f"notify:{self.party.name}:{self.why.name}:{self.where}:{self.about}"


@dataclass(frozen=True, slots=True)
class RaiseOverdue:
    """Say that a deadline has passed and what it is for is not done."""

    deadline: Deadline

    @property
    def key(self) -> str:
        """What it is remembered by, so that it is given out once; a date that moves is given out again."""
        return f"overdue:{self.deadline.rule}:{self.deadline.due}"


Action = AskForRecord | WriteCtf | SendToLostPupils | Notify | RaiseOverdue


__all__ = [
    # the case
    "DUAL",
    "MOVES",
    "NOT_KNOWN",
    "OUTSIDE",
    "Care",
    "Ctf",
    "Note",
    "Record",
    "Shield",
    "Status",
    "StatusChange",
    "TransferCase",
    "TransferType",
    # what is told
    "Cancelled",
    "CareChanged",
    "ClockMoved",
    "ConfirmedByPeople",
    "CtfArrived",
    "CtfDelivered",
    "CtfLoaded",
    "CtfPrepared",
    "CtfSent",
    "DestinationFound",
    "EnrolmentConfirmed",
    "EnrolmentEnded",
    "EnrolmentStarted",
    "Event",
    "LeftSector",
    "MovePlanned",
    "Opening",
    "RecordPassed",
    "Rejected",
    "SchoolClosedOrRenumbered",
    "Shielded",
    # what is to be done
    "Action",
    "AskForRecord",
    "Notify",
    "Party",
    "RaiseOverdue",
    "SendToLostPupils",
    "Why",
    "WriteCtf",
]
