"""In whatever order moves are told: the same facts make the same case, and histories grow by allowed moves alone.

SIFZONE_LONG=1 for many more tries.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, pairwise
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.calendars import parse_calendars
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import Establishment, RefId
from broker.transfer_cases import (
    MOVES,
    NOT_KNOWN,
    OUTSIDE,
    Cancelled,
    Care,
    CareChanged,
    ClockMoved,
    ConfirmedByPeople,
    Ctf,
    CtfArrived,
    CtfDelivered,
    CtfLoaded,
    CtfPrepared,
    CtfSent,
    DestinationFound,
    EnrolmentConfirmed,
    EnrolmentEnded,
    EnrolmentStarted,
    Event,
    LeftSector,
    MovePlanned,
    Opening,
    Record,
    RecordPassed,
    Rejected,
    SchoolClosedOrRenumbered,
    Shield,
    Shielded,
    Status,
    StatusChange,
    TransferCase,
)
from broker.transfers import open_or_join, step
from tests.calendars import TERMS_OF_2025

LONG = os.environ.get("SIFZONE_LONG") == "1"
CALENDARS: Final = parse_calendars({"820": TERMS_OF_2025})
LEARNERS: Final = tuple(RefId(f"{number:032X}") for number in (1, 2))
SCHOOLS: Final = tuple(Establishment(f"820990{number}") for number in (1, 2, 3))
OLD, NEW = SCHOOLS[:2]
DAYS: Final = st.dates(date(2025, 9, 2), date(2026, 6, 30))


def at(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


class Told:
    """A zone that has heard of events in some order; what was refused is as if it had not been told."""

    def __init__(self) -> None:
        self.cases: dict[RefId, TransferCase] = {}
        self.refused: list[Event] = []

    def tell(self, event: Event, about: int = 0) -> None:
        """Let it hear of *event*, which is about the *about*-th case when it names no learner."""
        if not isinstance(event, Opening) and not self.cases:
            return
        try:
            if isinstance(event, Opening):
                case = open_or_join(self.cases.values(), event, RefId(f"{len(self.cases):032X}"))
            else:
                case = list(self.cases.values())[about % len(self.cases)]
            after, actions = step(case, event, CALENDARS)
        except ZoneError:
            self.refused.append(event)
            return
        assert after.history[: len(case.history)] == case.history, "a history only grows"
        assert case.issued <= after.issued
        assert len({action.key for action in actions}) == len(actions)
        assert not {action.key for action in actions} & case.issued
        self.cases[after.ref_id] = after


@st.composite
def single_moves(draw: st.DrawFn) -> list[Event]:
    """Return what is told of one move that takes place, in the order in which it happens."""
    leaving = draw(DAYS)
    entry = leaving + timedelta(days=draw(st.integers(-10, 40)))
    membership = draw(st.sampled_from(("C", "C", "M")))
    ctf = Ctf("8209901_CTF_8209902_001.xml", NEW, "ab" * 32)
    learner = LEARNERS[0]
    previous = draw(st.sampled_from((None, OLD)))
    destination = draw(st.sampled_from((None, NEW)))
    last = max(leaving, entry)
    events: list[Event] = [
        EnrolmentEnded(
            at=at(leaving), actor="old", learner=learner, school=OLD, leaving=leaving, destination=destination
        ),
        EnrolmentStarted(
            at=at(entry),
            actor="new",
            learner=learner,
            school=NEW,
            entry=entry,
            membership=membership,
            previous=OLD if membership == "M" else previous,
        ),
        CareChanged(at=at(leaving), actor="la", care=Care(leaving - timedelta(days=90), draw(st.booleans()), "820")),
    ]
    file_events: list[Event] = [
        CtfPrepared(at=at(last), actor="zone", ctf=ctf),
        CtfSent(at=at(last), actor="zone", ctf=ctf),
        CtfArrived(at=at(last), actor="zone", learner=learner, source=OLD, ctf=ctf),
        CtfDelivered(at=at(last), actor="zone"),
        CtfLoaded(at=at(last), actor="new", school=NEW),
        EnrolmentConfirmed(at=at(last), actor="new", school=NEW),
        RecordPassed(at=at(last), actor="dt", record=Record.PEP_RECEIVED, on=last),
    ]
    upto = draw(st.integers(0, len(file_events)))
    # of a file that only arrived in the zone nobody else tells, so each of these may be missing
    return events + [event for event in file_events[:upto] if draw(st.integers(0, 4))]


def facts(told: Told) -> list[TransferCase]:
    """Return the cases without what says when and by whom they were told."""
    nobody = datetime.min.replace(tzinfo=UTC)
    return [
        replace(case, ref_id=RefId(""), history=(StatusChange(case.status, nobody, ""),), issued=frozenset())
        for case in told.cases.values()
    ]


def hear(events: Sequence[Event]) -> Told:
    """Return a zone that has heard of *events*: about a case when there is one, and again later what was refused."""
    told, waiting = Told(), list(events)
    for _ in range(len(events) + 1):
        again: list[Event] = []
        for event in waiting:
            if not told.cases and not isinstance(event, Opening):
                again.append(event)
                continue
            told.tell(event)
            again += told.refused
            told.refused = []
        waiting = again
    assert waiting == []
    return told


@settings(deadline=None, max_examples=2000 if LONG else 100)
@given(st.data(), single_moves())
def test_any_order_of_a_moves_events_ends_in_the_same_case(data: st.DataObject, events: list[Event]) -> None:
    order = data.draw(st.permutations(events))
    repeated = [*order, *data.draw(st.lists(st.sampled_from(events), max_size=4))]

    in_order, shuffled = hear(events), hear(repeated)

    assert len(in_order.cases) == 1
    assert facts(shuffled) == facts(in_order)


@st.composite
def journeys(draw: st.DrawFn) -> list[list[Event]]:
    """Return moves of one learner from school to school, each told in any order, one move after the other."""
    here, day, moves = OLD, draw(st.dates(date(2025, 9, 2), date(2025, 10, 1))), list[list[Event]]()
    for _ in range(draw(st.integers(1, 4))):
        there = draw(st.sampled_from([school for school in SCHOOLS if school != here]))
        leaving = day + timedelta(days=draw(st.integers(3, 40)))
        entry = leaving + timedelta(days=draw(st.integers(1, 20)))
        ctf = Ctf(f"{here}_CTF_{there}_{len(moves):03}.xml", there, f"{len(moves):064x}")
        move: list[Event] = [
            EnrolmentEnded(at=at(leaving), actor="mis", learner=LEARNERS[0], school=here, leaving=leaving),
            EnrolmentStarted(at=at(entry), actor="mis", learner=LEARNERS[0], school=there, entry=entry),
            CtfArrived(at=at(entry), actor="mis", learner=LEARNERS[0], source=here, ctf=ctf),
        ]
        moves.append(list(draw(st.permutations(move))))
        here, day = there, entry
    return moves


@settings(deadline=None, max_examples=2000 if LONG else 100)
@given(journeys())
def test_each_move_of_a_journey_has_a_case_of_its_own_however_it_is_told(moves: list[list[Event]]) -> None:
    told = hear([event for move in moves for event in move])

    expected = []
    for move in moves:
        ended = next(event for event in move if isinstance(event, EnrolmentEnded))
        started = next(event for event in move if isinstance(event, EnrolmentStarted))
        expected.append((ended.school, ended.leaving, started.school, started.entry))
    found = [(case.from_school, case.leaving, case.to_school, case.entry) for case in told.cases.values()]
    assert found == expected


@st.composite
def any_events(draw: st.DrawFn) -> list[tuple[int, Event]]:
    """Return events that need not make sense together, each with the number of the case that it may be about."""
    schools, learners = st.sampled_from(SCHOOLS), st.sampled_from(LEARNERS)
    maybe = st.one_of(st.none(), schools)
    destinations = st.sampled_from((*SCHOOLS, NOT_KNOWN, OUTSIDE))
    files = st.builds(Ctf, st.sampled_from(("a.xml", "b.xml")), destinations, st.sampled_from(("", "ab" * 32)))
    memberships, shields = st.sampled_from(tuple("CCMSG")), st.sampled_from((Shield.NONE, Shield.NONE, Shield.ADOPTED))
    when, who = DAYS.map(at), st.just("somebody")
    event = st.one_of(
        st.builds(
            EnrolmentEnded, at=when, actor=who, learner=learners, school=schools, leaving=DAYS, destination=maybe
        ),
        st.builds(
            EnrolmentStarted,
            at=when,
            actor=who,
            learner=learners,
            school=schools,
            entry=DAYS,
            membership=memberships,
            previous=maybe,
        ),
        st.builds(CtfArrived, at=when, actor=who, learner=learners, source=schools, ctf=files),
        st.builds(MovePlanned, at=when, actor=who, learner=learners, from_school=maybe, to_school=schools),
        st.builds(CtfPrepared, at=when, actor=who, ctf=files),
        st.builds(CtfSent, at=when, actor=who, ctf=files),
        st.builds(CtfDelivered, at=when, actor=who),
        st.builds(CtfLoaded, at=when, actor=who, school=schools),
        st.builds(ConfirmedByPeople, at=when, actor=who),
        st.builds(EnrolmentConfirmed, at=when, actor=who, school=schools),
        st.builds(Rejected, at=when, actor=who, school=schools),
        st.builds(Cancelled, at=when, actor=who),
        st.builds(DestinationFound, at=when, actor=who, school=schools),
        st.builds(LeftSector, at=when, actor=who),
        st.builds(SchoolClosedOrRenumbered, at=when, actor=who, school=schools, successor=maybe),
        st.builds(CareChanged, at=when, actor=who, care=st.builds(Care, DAYS, st.booleans(), st.just("820"))),
        st.builds(Shielded, at=when, actor=who, shield=shields),
        st.builds(RecordPassed, at=when, actor=who, record=st.sampled_from(Record), on=DAYS),
        st.builds(ClockMoved, at=when, actor=who),
    )
    return draw(st.lists(st.tuples(st.integers(0, 5), event), min_size=1, max_size=25))


@settings(deadline=None, max_examples=5000 if LONG else 150)
@given(any_events())
def test_every_status_is_reached_by_an_allowed_move_and_no_loading_is_assumed(events: list[tuple[int, Event]]) -> None:
    told = Told()
    for about, event in events:
        before = dict(told.cases)
        told.tell(event, about)
        loaded = [
            ref
            for ref, case in told.cases.items()
            if case.status in (Status.LOADED, Status.COMPLETE)
            and (ref not in before or before[ref].status not in (Status.LOADED, Status.COMPLETE))
        ]
        assert not loaded or isinstance(event, CtfLoaded | ConfirmedByPeople)

    for case in told.cases.values():
        statuses = [change.status for change in case.history]
        assert statuses[0] is Status.PLANNED
        assert all(after in MOVES[status] for status, after in pairwise(statuses))
        assert case.from_school is None or case.from_school != case.to_school


@settings(deadline=None, max_examples=2000 if LONG else 100)
@given(any_events())
def test_no_two_open_cases_are_of_one_learner_and_one_move(events: list[tuple[int, Event]]) -> None:
    told = Told()
    for _, event in events:
        if isinstance(event, EnrolmentEnded | EnrolmentStarted | CtfArrived):
            told.tell(event)
            told.tell(event)

    for one, other in combinations([case for case in told.cases.values() if case.is_open], 2):
        if one.learner != other.learner:
            continue
        same_leaving = one.leaving is not None and (one.from_school, one.leaving) == (other.from_school, other.leaving)
        same_entry = one.entry is not None and (one.to_school, one.entry) == (other.to_school, other.entry)
        assert not same_leaving
        assert not same_entry
