"""What a batch of messages leaves to be stored and acknowledged, once all that it published is confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from broker.learners import Enrolment, Learner, Observed
from broker.letters import Key
from broker.protocol.identifiers import AgentId
from broker.quality import Judged
from broker.requests import Pending
from broker.storage import (
    Batch,
    ContactLink,
    EnrolmentRow,
    EstablishmentRow,
    FlawRow,
    Held,
    JudgedRow,
    LearnerRow,
    LedgerRow,
)
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

    def note(self, observed: Observed) -> None:
        """Keep what an event told, so that of several the last holds."""
        if observed.learner is not None:
            self.learners[observed.learner.ref_id] = learner_row(observed.learner)
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
    )


def judged_row(judged: Judged, source: AgentId) -> JudgedRow:
    """Return what was found in a record as it is stored: of several findings at one place by one rule, the first.

    At most 100 of them and none very long, since names in them may be an agent's own.
    """
    if not judged.findings:
        return JudgedRow(source, judged.object_type, judged.key, "", "", judged.seen, ())
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
                stay.entry.isoformat() if stay.entry else "",
                stay.exit.isoformat() if stay.exit else "",
                stay.main,
            )
            for ref, stay in sorted(learner.enrolments.items())
        ),
        tuple(sorted(learner.sources.items())),
        learner.local_id,
    )


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
