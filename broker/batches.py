"""What a batch of messages leaves to be stored and acknowledged, once all that it published is confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from broker.holdings import Fetch, Holder, Holding, ObjectKey
from broker.learners import CarePeriod, Enrolment, Learner, Observed
from broker.letters import Key
from broker.protocol.identifiers import AgentId
from broker.quality import Judged
from broker.requests import Pending
from broker.storage import (
    Batch,
    CareRow,
    ContactLink,
    EnrolmentRow,
    EstablishmentRow,
    FetchRow,
    FlawRow,
    Held,
    HoldingRow,
    JudgedRow,
    LearnerRow,
    LedgerRow,
)
from broker.transfer_cases import TransferCase
from broker.transports.contract import Outgoing

_MAX_FLAWS: Final = 100
_MAX_PATH: Final = 300
_MAX_MESSAGE: Final = 600


@dataclass(slots=True)
class Work:
    """A batch on its way: what it published, and what is to be stored and acknowledged once that is confirmed.

    Attributes:
        size: Bytes of the messages in it, as they came.
    """

    tag: int
    size: int = 0
    published: dict[int, Outgoing] = field(default_factory=dict)
    last: int = 0
    keys: set[Key] = field(default_factory=set)
    ledger: list[LedgerRow] = field(default_factory=list)
    learners: dict[str, LearnerRow] = field(default_factory=dict)
    quarantine: list[Held] = field(default_factory=list)
    establishments: list[EstablishmentRow] = field(default_factory=list)
    links: dict[tuple[str, str], bool] = field(default_factory=dict)
    forgotten: dict[str, None] = field(default_factory=dict)
    judged: list[JudgedRow] = field(default_factory=list)
    requests: dict[str, Pending] = field(default_factory=dict)
    transfers: dict[str, TransferCase] = field(default_factory=dict)
    adopted: dict[str, None] = field(default_factory=dict)
    reviewed: dict[str, float] = field(default_factory=dict)
    reviews: dict[str, float] = field(default_factory=dict)

    def note(self, observed: Observed) -> None:
        """Keep what an event told, so that of several the last holds."""
        if observed.learner is not None:
            self.learners[observed.learner.ref_id] = learner_row(observed.learner)
            if observed.learner.adopted:
                self.adopted[observed.learner.ref_id] = None
        if observed.forgotten is not None:
            self.learners.pop(observed.forgotten, None)
            self.forgotten[observed.forgotten] = None
        if observed.school is not None:
            self.establishments.append(EstablishmentRow(*observed.school))
        if observed.linked is not None:
            self.links[observed.linked] = True
        if observed.unlinked is not None:
            self.links[observed.unlinked] = False

    def add(self, later: "Work") -> None:
        """Take in what a later batch is to store."""
        self.ledger += later.ledger
        self.quarantine += later.quarantine
        self.judged += later.judged
        self.establishments += later.establishments
        for ref in later.forgotten:
            self.learners.pop(ref, None)
        self.forgotten |= later.forgotten
        self.learners |= later.learners
        self.links |= later.links
        self.requests |= later.requests
        self.transfers |= later.transfers
        self.adopted |= later.adopted
        self.reviewed |= later.reviewed
        for ref in later.reviewed:
            self.reviews.pop(ref, None)
        self.reviews |= later.reviews


def batch_of(works: Sequence[Work], today: date) -> Batch:
    """Return what *works* (oldest first, at least one) store together; of several rows for one thing the last holds."""
    whole = works[0]
    for later in works[1:]:
        whole.add(later)
    return Batch(
        whole.ledger,
        list(whole.learners.values()),
        whole.quarantine,
        whole.establishments,
        [ContactLink(*pair) for pair, linked in whole.links.items() if linked],
        list(whole.forgotten),
        [ContactLink(*pair) for pair, linked in whole.links.items() if not linked],
        whole.judged,
        today,
        list(whole.requests.values()),
        list(whole.transfers.values()),
        list(whole.adopted),
        whole.reviewed,
        whole.reviews,
    )


def judged_row(judged: Judged, source: AgentId) -> JudgedRow:
    """Return what was found in a record as it is stored: of several findings at one place by one rule, the first.

    At most 100 of them and none very long, since names in them may be an agent's own.

    Args:
        source: Who published it, unless the record is another's.
    """
    if not judged.findings:
        return JudgedRow(
            judged.source or source, judged.object_type, judged.key, "", "", judged.seen, (), rule=judged.rule
        )
    flaws: dict[tuple[str, str], FlawRow] = {}
    for found in judged.findings:
        path, message = found.path[:_MAX_PATH], found.message[:_MAX_MESSAGE]
        flaws.setdefault((path, found.rule), FlawRow(path, found.rule, found.severity, message))
    return JudgedRow(
        source,
        judged.object_type,
        judged.key,
        judged.school,
        judged.local_id,
        judged.seen,
        tuple(flaws.values())[:_MAX_FLAWS],
        judged.complete,
    )


def learner_of(row: LearnerRow) -> Learner:
    """Return a learner as stored."""
    return Learner(
        row.ref_id,
        row.upn_key,
        row.in_care,
        row.care_authority,
        row.home_authority,
        row.shielded,
        {stay.ref_id: Enrolment(stay.school, _day(stay.entry), _day(stay.exit), stay.main) for stay in row.enrolments},
        {object_type: AgentId(agent) for object_type, agent in row.sources},
        row.local_id,
        {
            period.ref_id: CarePeriod(
                _day(period.start), _day(period.end), period.authority, period.status, period.current
            )
            for period in row.care
        },
        row.adopted,
        frozenset(row.destinations),
        {
            ObjectKey(held.object_type, held.ref): Holding(
                tuple(AgentId(source) for source in held.sources),
                frozenset(Holder(AgentId(agent), view) for agent, view in held.holders),
            )
            for held in row.holdings
        },
        tuple(
            Fetch(
                fetch.object_type,
                AgentId(fetch.source),
                frozenset(AgentId(agent) for agent in fetch.recipients),
                fetch.request_id,
                fetch.dirty,
                fetch.attempts,
                fetch.due_at,
                frozenset(fetch.seen),
            )
            for fetch in row.fetches
        ),
    )


def learner_row(learner: Learner) -> LearnerRow:
    """Return *learner* as it is stored."""
    return LearnerRow(
        learner.ref_id,
        learner.upn_key,
        learner.in_care,
        learner.care_authority,
        learner.home_authority,
        learner.shielded,
        tuple(
            EnrolmentRow(
                ref,
                stay.school,
                _text(stay.entry),
                _text(stay.exit),
                stay.main,
            )
            for ref, stay in sorted(learner.enrolments.items())
        ),
        tuple(sorted(learner.sources.items())),
        learner.local_id,
        learner.adopted,
        tuple(
            CareRow(ref, _text(care.start), _text(care.end), care.authority, care.status, care.current)
            for ref, care in sorted(learner.care.items())
        ),
        tuple(sorted(learner.destinations)),
        tuple(
            HoldingRow(*key, held.sources, tuple((holder.agent, holder.view) for holder in sorted(held.holders)))
            for key, held in sorted(learner.holdings.items())
        ),
        tuple(
            FetchRow(
                fetch.object_type,
                fetch.source,
                tuple(sorted(fetch.recipients)),
                fetch.request_id,
                fetch.dirty,
                fetch.attempts,
                fetch.due_at,
                tuple(sorted(fetch.seen)),
            )
            for fetch in learner.fetches
        ),
    )


def _text(day: date | None) -> str:
    return day.isoformat() if day else ""


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
