"""What the zone stores, as plain values; how it is stored is left to the other modules of this package.

Times are seconds since 1970 in UTC. RefIds, message ids and agent ids are plain text here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, NamedTuple

from broker.requests import Pending
from broker.transfer_cases import TransferCase

Outcome = Literal["accepted", "refused", "delivered", "withheld", "duplicate"]
QuarantineReason = Literal["refused", "undeliverable", "unreadable"]
QuarantineState = Literal["held", "replayed", "discarded"]

VERDICT: Final = 0
"""LedgerRow.seq of the row that says accepted or refused."""
SEEN_AGAIN: Final = -1
"""LedgerRow.seq of the row that says duplicate; however often a message comes again, it is one row."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One thing that happened to one message; what is unique is (source, msg_id, attempt, seq).

    Attributes:
        attempt: 0 for the message as it first came, then 1 for its first replay.
        seq: VERDICT for accepted or refused, 1 and more for the message's deliveries and withholdings,
            SEEN_AGAIN for duplicate.
        ref_id: The object's RefId; empty when there is none.
        audience: The agents a delivered or withheld row is about, read back in alphabetical order;
            empty for the verdict.
        considered: For an accepted row, the number of agents that subscribe to the object: as many as
            the audiences of the message's delivered and withheld rows have together.
        view: Ids of the agreements that shaped what was delivered, joined; empty when none.
        reason: A short word for why, for example ``no-agreement``; never a value.
        category: SIF error category of a refusal, else 0.
        sha256: Hexadecimal hash of the body as published (verdict) or as delivered.
    """

    at: float
    msg_id: str
    source: str
    outcome: Outcome
    attempt: int = 0
    seq: int = VERDICT
    object_type: str = ""
    action: str = ""
    ref_id: str = ""
    audience: tuple[str, ...] = ()
    considered: int = 0
    view: str = ""
    reason: str = ""
    category: int = 0
    code: int = 0
    sha256: str = ""


class EnrolmentRow(NamedTuple):
    """A learner's stay at a school; dates as ``2026-09-01``, or empty."""

    ref_id: str
    school: str
    entry: str = ""
    exit: str = ""
    main: bool = False


class CareRow(NamedTuple):
    """A period of care; dates as ``2026-09-01``, or empty."""

    ref_id: str
    start: str
    end: str
    authority: str
    status: str
    current: bool


class HoldingRow(NamedTuple):
    """One object of a learner: its kind and key, who publishes it, and (agent, view) for each who holds it."""

    object_type: str
    ref: str
    sources: tuple[str, ...]
    holders: tuple[tuple[str, str], ...]


class FetchRow(NamedTuple):
    """Objects of a learner that are to be asked for; attributes as in :class:`broker.holdings.Fetch`."""

    object_type: str
    source: str
    recipients: tuple[str, ...]
    request_id: str
    dirty: bool
    attempts: int
    due_at: float
    seen: tuple[str, ...]


class Review(NamedTuple):
    """A learner that is to be looked at, and when: seconds since 1970, UTC."""

    ref_id: str
    due_at: float


@dataclass(frozen=True, slots=True)
class LearnerRow:
    """What routing needs to know of one learner.

    Attributes:
        upn_key: Keyed hash of the UPN; None when no UPN is known.
        in_care: None when nobody has said.
        sources: (object type, agent) for each agent that published one of the learner's objects.
        local_id: Id in the system that published the LearnerPersonal; empty when not known.
        destinations: Numbers of the schools to which the record is under way.
    """

    ref_id: str
    upn_key: bytes | None = None
    in_care: bool | None = None
    care_authority: str = ""
    home_authority: str = ""
    shielded: bool = False
    enrolments: tuple[EnrolmentRow, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    local_id: str = ""
    adopted: bool = False
    care: tuple[CareRow, ...] = ()
    destinations: tuple[str, ...] = ()
    holdings: tuple[HoldingRow, ...] = ()
    fetches: tuple[FetchRow, ...] = ()


@dataclass(frozen=True, slots=True)
class EstablishmentRow:
    """A SchoolInfo's RefId and the establishment it is, for example ``8209901``."""

    school_ref: str
    laestab: str


@dataclass(frozen=True, slots=True)
class ContactLink:
    """A contact (RefId of a ContactPersonal) belongs to a learner."""

    contact_ref: str
    learner_ref: str


@dataclass(frozen=True, slots=True)
class Held:
    """One message to put into quarantine, with its body as it came.

    What is unique is (source, msg_id, attempt, recipient) and the body: it is held once however often it comes.

    Attributes:
        id: Made by the caller: :func:`uuid.uuid4` as hexadecimal.
        findings: Each with ``path``, ``line``, ``rule`` and ``message``; never an element's value.
        summary: One sentence for people; never an element's value.
        recipient: The agent that could not take what it was delivered; empty for what agents sent.
    """

    id: str
    at: float
    source: str
    msg_id: str
    reason: QuarantineReason
    body: bytes = field(repr=False)
    attempt: int = 0
    object_type: str = ""
    action: str = ""
    category: int = 0
    code: int = 0
    summary: str = ""
    findings: Sequence[Mapping[str, str | int]] = ()
    recipient: str = ""


class FlawRow(NamedTuple):
    """One fault of a record: where, which rule, how severe, and what to do about it; never a value."""

    path: str
    rule: str
    severity: str
    message: str


class JudgedRow(NamedTuple):
    """What one event showed of one record, for data quality; attributes as in :class:`broker.quality.Judged`.

    Attributes:
        source: The agent that published it.
        flaws: Each path and rule once.
        complete: Whether everything looked for faults; else only what refuses did, and warnings stay as they are.
        rule: The only rule that looked, so that what others found stays; empty for all.
    """

    source: str
    object_type: str
    key: str
    school: str
    local_id: str
    seen: frozenset[str]
    flaws: tuple[FlawRow, ...]
    complete: bool = True
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A fault of a record as data quality lists it.

    Attributes:
        opened: The first day it was found; ``seen`` the last; ``closed`` the day it was mended, None while it is open.
    """

    source: str
    school: str
    object_type: str
    key: str
    local_id: str
    path: str
    rule: str
    severity: str
    message: str
    opened: date
    seen: date
    closed: date | None


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one worker batch changes, kept in one transaction or not at all.

    Committing the same batch twice leaves one copy. Of several rows for one learner (establishment) the
    last holds. ``forgotten`` and ``unlinked`` are removed first, then the rest is written.

    Attributes:
        forgotten: RefIds of learners to remove, with their contact links.
        unlinked: Contact links to remove.
        judged: What was found in records, oldest first; what was found before and is not again is closed.
        day: The day on which it was found.
        requests: Requests as they now stand.
        transfers: Learners' moves as they now stand; of several with one RefId the last holds.
        adopted: RefIds of learners that nothing may be linked with any more.
        reviewed: Whom the batch has looked at again, with the time that was due.
        reviews: Whom to look at, and when.
    """

    ledger: Sequence[LedgerRow] = ()
    learners: Sequence[LearnerRow] = ()
    quarantine: Sequence[Held] = ()
    establishments: Sequence[EstablishmentRow] = ()
    contacts: Sequence[ContactLink] = ()
    forgotten: Sequence[str] = ()
    unlinked: Sequence[ContactLink] = ()
    judged: Sequence[JudgedRow] = ()
    day: date = date.min
    requests: Sequence[Pending] = ()
    transfers: Sequence[TransferCase] = ()
    adopted: Sequence[str] = ()
    reviewed: Mapping[str, float] = field(default_factory=dict)
    reviews: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One message in quarantine, without its body.

    Attributes:
        sha256: Hexadecimal hash of the body as it came.
        size: Length of the body as it came, in bytes.
        fixed: Whether there is a mended copy.
        state: ``held`` until somebody replays or discards it.
        by: Who last changed its state; empty while nobody has.
        changed: When the state last changed; 0 while nobody has.
    """

    id: str
    at: float
    source: str
    msg_id: str
    attempt: int
    object_type: str
    action: str
    recipient: str
    reason: QuarantineReason
    category: int
    code: int
    summary: str
    findings: tuple[Mapping[str, str | int], ...]
    sha256: str
    size: int
    fixed: bool
    state: QuarantineState
    by: str
    changed: float


@dataclass(frozen=True, slots=True)
class ReconcileRow:
    """Counts of what one agent published of one object type.

    Attributes:
        published: Messages with any row in the ledger, replays counted as messages of their own.
        considered: Sum over accepted messages of the agents that subscribe.
        delivered: Sum of the audiences of delivered rows; ``withheld`` likewise.
        duplicates: Messages that came again at least once.
        unbalanced: Messages without a verdict, or whose audiences are not as many as were considered.
    """

    source: str
    object_type: str
    published: int
    accepted: int
    refused: int
    considered: int
    delivered: int
    withheld: int
    duplicates: int
    unbalanced: int

    @property
    def balanced(self) -> bool:
        """Whether published = accepted + refused, and considered = delivered + withheld for each message."""
        return self.unbalanced == 0


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """How many messages of one object type from one source an agent was delivered, and how many withheld."""

    agent: str
    source: str
    object_type: str
    delivered: int
    withheld: int
