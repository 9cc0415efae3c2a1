"""What becomes of a learner's move between establishments: which case an event is about, and what then happens.

Values in, values out. A case holds what is known of a move; its deadlines follow from that by the calendars, and what
is to be done is a value that somebody else carries out.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache, singledispatch
from types import MappingProxyType
from typing import Final, NamedTuple

from broker.calendars import Calendars, local_date
from broker.deadlines import RULES, Deadline, RuleId, due, safeguarding_file
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import Establishment, RefId
from broker.transfer_cases import (
    DUAL,
    MOVES,
    NOT_KNOWN,
    OUTSIDE,
    Action,
    AskForRecord,
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
    Note,
    Notify,
    Opening,
    Party,
    RaiseOverdue,
    RecordPassed,
    Rejected,
    SchoolClosedOrRenumbered,
    SendToLostPupils,
    Shield,
    Shielded,
    Status,
    StatusChange,
    TransferCase,
    Why,
    WriteCtf,
)

LONGEST_GAP: Final = 365
"""Days between leaving one school and entering another beyond which two notices are not taken to be one move."""
_CORRECTION: Final = 30
"""Days by which a date may move and still be the same stay's."""
_S: Final = Status


class Step(NamedTuple):
    """A case after an event, and what is to be done, in order."""

    case: TransferCase
    actions: tuple[Action, ...]


class _Refused(ZoneError):
    category = 9
    code = 3


class MoveNotAllowed(_Refused):
    """The case is in a status in which the event cannot be."""

    def __init__(self, case: TransferCase, event: Event, remedy: str = "") -> None:
        self.transfer, self.status, self.event = case.ref_id, case.status, type(event).__name__
        advice = remedy or _ADVICE.get(case.status, "look at the case's history for what has happened since")
        super().__init__(f"transfer {case.ref_id} is in status {case.status}: no {self.event} now; {advice}")


class NotAMove(_Refused):
    """What is told leads from a school to the same school."""

    def __init__(self, event: Event) -> None:
        self.event = type(event).__name__
        super().__init__(f"this {self.event} names one school as both: nobody moves; name the other one")


class NotThisMove(_Refused):
    """The event is about another learner, school or move than the case."""

    def __init__(self, case: TransferCase, event: Event, what: str) -> None:
        self.transfer, self.event = case.ref_id, type(event).__name__
        super().__init__(f"transfer {case.ref_id} is not what this {self.event} is about: {what}")


_ADVICE: Final = {
    Status.CANCELLED: "it is cancelled: tell of the move anew if there is one",
    Status.COMPLETE: "it is complete",
    Status.LOADED: "the file is loaded",
    Status.REJECTED: "the file was refused: prepare another",
}

_LOADING: Final = {
    _S.PLANNED: _S.LOADED,
    _S.NOTIFIED: _S.LOADED,
    _S.PREPARED: _S.LOADED,
    _S.SENT: _S.LOADED,
    _S.DELIVERED: _S.LOADED,
    _S.LOADED: _S.LOADED,
    _S.COMPLETE: _S.COMPLETE,
    _S.REJECTED: _S.LOADED,
    _S.DESTINATION_UNKNOWN: _S.LOADED,
    _S.LOST_PUPILS: _S.LOADED,
}
_FINDING: Final = {
    status: status
    for status in (_S.PLANNED, _S.NOTIFIED, _S.PREPARED, _S.REJECTED, _S.DESTINATION_UNKNOWN, _S.LOST_PUPILS)
}
_REACTIONS: Final[Mapping[type[Event], Mapping[Status, Status]]] = MappingProxyType(
    {
        CtfPrepared: {
            _S.PLANNED: _S.PREPARED,
            _S.NOTIFIED: _S.PREPARED,
            _S.PREPARED: _S.PREPARED,
            _S.SENT: _S.SENT,  # again, for a school that was renumbered; see _may_replace
            _S.DELIVERED: _S.DELIVERED,  # told late
            _S.LOADED: _S.LOADED,
            _S.COMPLETE: _S.COMPLETE,
            _S.REJECTED: _S.PREPARED,
            _S.DESTINATION_UNKNOWN: _S.DESTINATION_UNKNOWN,
            _S.LOST_PUPILS: _S.LOST_PUPILS,
        },
        CtfSent: {
            _S.PLANNED: _S.SENT,
            _S.NOTIFIED: _S.SENT,
            _S.PREPARED: _S.SENT,
            _S.SENT: _S.SENT,
            _S.DELIVERED: _S.DELIVERED,
            _S.LOADED: _S.LOADED,
            _S.COMPLETE: _S.COMPLETE,
            _S.REJECTED: _S.SENT,
            _S.DESTINATION_UNKNOWN: _S.SENT,
            _S.LOST_PUPILS: _S.SENT,
        },
        CtfArrived: {
            _S.PLANNED: _S.SENT,
            _S.NOTIFIED: _S.SENT,
            _S.PREPARED: _S.SENT,
            _S.SENT: _S.SENT,
            _S.DELIVERED: _S.DELIVERED,
            _S.LOADED: _S.LOADED,
            _S.COMPLETE: _S.COMPLETE,
            _S.CANCELLED: _S.CANCELLED,
            _S.REJECTED: _S.SENT,
            _S.DESTINATION_UNKNOWN: _S.SENT,
            _S.LOST_PUPILS: _S.SENT,
        },
        CtfDelivered: {
            _S.PLANNED: _S.DELIVERED,
            _S.NOTIFIED: _S.DELIVERED,
            _S.PREPARED: _S.DELIVERED,
            _S.SENT: _S.DELIVERED,
            _S.DELIVERED: _S.DELIVERED,
            _S.LOADED: _S.LOADED,
            _S.COMPLETE: _S.COMPLETE,
            _S.DESTINATION_UNKNOWN: _S.DELIVERED,
            _S.LOST_PUPILS: _S.DELIVERED,
        },
        CtfLoaded: _LOADING,
        ConfirmedByPeople: _LOADING,
        EnrolmentConfirmed: {status: status for status in _S if status is not _S.CANCELLED},
        Rejected: {_S.SENT: _S.REJECTED, _S.DELIVERED: _S.REJECTED, _S.REJECTED: _S.REJECTED},
        Cancelled: {status: _S.CANCELLED for status in _S if status not in (_S.LOADED, _S.COMPLETE)},
        DestinationFound: _FINDING,
        LeftSector: _FINDING,
    }
)
"""In which status each event may be, and the one it leads to; statuses between are entered on the way, by MOVES.

The same event told twice changes nothing. What a receiving school says of a file implies what was not told before it:
a file that is loaded was delivered. Nothing but the word of that school implies that it was loaded.
"""


def open_or_join(cases: Iterable[TransferCase], event: Opening, ref_id: RefId) -> TransferCase:
    """Return the case that *event* is about: one of *cases*, or a new one in which nothing has happened yet.

    Hand the event and the case to :func:`step`, whichever it is. Learners are told apart by RefId alone.

    Args:
        cases: At least all of this learner's, closed ones too: what is told twice must not open another.
        ref_id: What is to be the RefId of a new one.

    Raises:
        NotAMove: *event* leads from a school to itself, as a file does that moves data between two systems.

    Source:
        Our own rule: the school and the day decide; of several moves that an event may be about, the one whose dates
        are nearest. A move that was over before the zone began is not told to it.
    """
    if isinstance(event, MovePlanned | CtfArrived) and len(set(_sides(event))) == 1:
        raise NotAMove(event)
    own = [case for case in cases if case.learner == event.learner]
    fits = ((_fit(case, event, own), case.history[0].at, case.ref_id, case) for case in own)
    best = min(
        ((fit, at, ref, case) for fit, at, ref, case in fits if fit is not None), default=None, key=lambda f: f[:3]
    )
    if best is not None:
        return best[3]
    return TransferCase(ref_id, event.learner, (StatusChange(Status.PLANNED, event.at, event.actor),))


def step(case: TransferCase, event: Event, calendars: Calendars) -> Step:
    """Return *case* after *event*, and what is to be done that was not before; the clock alone raises what is late.

    Raises:
        MoveNotAllowed: The case is in a status in which the event cannot be; the text says what to do.
        NotThisMove: The event is about another learner, school or move.
    """
    if isinstance(event, ClockMoved) and not case.is_followed:
        return Step(case, ())
    after = _apply(event, case)
    if after.to_school is not None and after.new_number in [after.knows(named) for named in _named_by(event)]:
        before = [case.known_since] if case.known_since and case.to_school == after.to_school else []
        after = replace(after, known_since=min([*before, event.today]))
    after = _with_deadlines(after, calendars)
    settled = _settled(after, event)
    after = after if settled is after else _with_deadlines(settled, calendars)
    wanted = [*_wanted(after, event.today), *(_overdue(after, event.today) if isinstance(event, ClockMoved) else ())]
    actions = tuple(action for action in wanted if action.key not in case.issued)
    if actions:
        after = replace(after, issued=after.issued | {action.key for action in actions})
    return Step(case if after == case else after, actions)


class _Fit(NamedTuple):
    """How well an event fits a case: the lower, the better."""

    rank: int
    days: int = 0


_BLANK: Final = _Fit(9)
_SAME: Final = _Fit(0)


def _fit(case: TransferCase, event: Opening, cases: Sequence[TransferCase]) -> _Fit | None:
    """Return how well *event* fits *case*; None when it is about another move."""
    if case.learner != event.learner:
        return None
    if case.from_school is None and case.to_school is None and not case.left_sector:
        return _BLANK
    match event:
        case MovePlanned():
            return _fit_planned(case, event)
        case EnrolmentEnded():
            return _fit_ended(case, event, cases)
        case EnrolmentStarted():
            return _fit_started(case, event, cases)
        case CtfArrived():
            return _fit_file(case, event, cases)


def _sides(event: MovePlanned | CtfArrived) -> tuple[Establishment | None, Establishment | None]:
    if isinstance(event, MovePlanned):
        return event.from_school, event.to_school
    return event.source, event.ctf.destination


def _fit_planned(case: TransferCase, event: MovePlanned) -> _Fit | None:
    sides = ((event.from_school, case.old_number), (event.to_school, case.new_number))
    named = [(case.knows(told), known) for told, known in sides if told is not None and known is not None]
    if not named or any(told != known for told, known in named):
        return None
    if (event.leaving, event.entry) == (case.leaving, case.entry):
        return _SAME
    return _Fit(2) if case.is_open else None


def _fit_ended(case: TransferCase, event: EnrolmentEnded, cases: Sequence[TransferCase]) -> _Fit | None:
    school = case.knows(event.school)
    if school == case.new_number:
        return None
    if school == case.old_number:
        if event.leaving == case.leaving:
            return _SAME
        if case.status is _S.CANCELLED or not _is_near(event.leaving, case.entry):
            return None
        if case.leaving is None:
            return _Fit(1)
        moved = abs((event.leaving - case.leaving).days)
        same_stay = moved <= _CORRECTION or (case.is_open and case.entry is None)
        return _Fit(3, moved) if same_stay and not _is_past(case, cases) else None
    if case.from_school is not None or case.status is _S.CANCELLED or case.dual_known is not None:
        return None
    if case.entry is None:
        return _Fit(5)
    return _Fit(4, abs((case.entry - event.leaving).days)) if _is_near(event.leaving, case.entry) else None


def _fit_started(case: TransferCase, event: EnrolmentStarted, cases: Sequence[TransferCase]) -> _Fit | None:
    school = case.knows(event.school)
    if school == case.old_number:
        return _fit_return(case, event)
    if school == case.new_number and event.entry == case.entry:
        return _SAME
    if case.status is _S.CANCELLED or _is_from_elsewhere(case, event):
        return None
    if school == case.new_number:
        if case.entry is not None:
            moved = abs((event.entry - case.entry).days)
            return _Fit(3, moved) if moved <= _CORRECTION and not _is_past(case, cases) else None
        return _Fit(1) if _is_near(case.leaving, event.entry, found_late=True) else None
    return _fit_other_school(case, event)


def _fit_return(case: TransferCase, event: EnrolmentStarted) -> _Fit | None:
    """Return whether the learner is back at the old school and was at no other."""
    if event.entry == case.returned:
        return _SAME
    off = _S.CANCELLED in MOVES[case.status] and case.entry is None and event.membership not in DUAL
    return _Fit(2) if off and case.leaving is not None and event.entry > case.leaving else None


def _fit_other_school(case: TransferCase, event: EnrolmentStarted) -> _Fit | None:
    """Return whether the learner has entered a school that the case does not name, or not as more than a belief."""
    if not _is_belief(case):
        return None
    is_stated = event.previous not in (None, event.school) and case.from_school is not None
    if case.leaving is None:
        return _Fit(5) if is_stated else None
    if event.membership in DUAL and not is_stated:
        return None
    if not _is_near(case.leaving, event.entry, found_late=True):
        return None
    return _Fit(4 if case.to_school is None else 6, abs((event.entry - case.leaving).days))


def _is_belief(case: TransferCase) -> bool:
    """Tell whether the new school, if one is named at all, is one that neither it nor a file has told of."""
    return case.entry is None and case.status not in (_S.SENT, _S.DELIVERED, _S.LOADED, _S.COMPLETE, _S.CANCELLED)


def _is_from_elsewhere(case: TransferCase, event: EnrolmentStarted) -> bool:
    if event.previous in (None, event.school) or case.from_school is None:
        return False
    return case.knows(event.previous) != case.old_number


def _fit_file(case: TransferCase, event: CtfArrived, cases: Sequence[TransferCase]) -> _Fit | None:
    source, destination = case.knows(event.source), case.knows(event.ctf.destination)
    if case.old_number not in (None, source) or destination == case.old_number:
        return None
    if case.ctf is not None and _is_same_file(case.ctf, event.ctf):
        return _SAME
    if case.status is _S.CANCELLED or source == case.new_number:
        return None
    if not _may_be_addressed(case, destination):
        return _Fit(6) if _is_belief(case) and destination not in (NOT_KNOWN, case.old_number) else None
    if _is_past(case, cases) and (case.ctf is not None or not case.is_open):
        return None
    if case.ctf is not None and not _may_replace(case, event.ctf):
        return _Fit(7) if case.is_open else None
    return _Fit(1, (case.from_school is None) + (case.destination is None))


def _may_be_addressed(case: TransferCase, destination: Establishment) -> bool:
    if destination in (NOT_KNOWN, OUTSIDE):
        return case.entry is None and (case.to_school is None or destination == case.destination)
    return case.destination in (None, destination) and destination != case.old_number


def _is_near(leaving: date | None, entry: date | None, *, found_late: bool = False) -> bool:
    if leaving is None or entry is None:
        return True
    gap = (entry - leaving).days
    return gap >= -LONGEST_GAP and (found_late or gap <= LONGEST_GAP)


def _is_past(case: TransferCase, cases: Sequence[TransferCase]) -> bool:
    """Tell whether the same learner has a later case that leads on from where *case* leads, or back from there."""
    return any(
        _day_of(other) > _day_of(case)
        and (_is_same(other.old_number, case.new_number) or _is_same(other.new_number, case.old_number))
        for other in cases
    )


def _is_same(one: Establishment | None, other: Establishment | None) -> bool:
    return one is not None and one == other


def _day_of(case: TransferCase) -> date:
    return case.leaving or case.entry or case.history[0].at.date()


def _is_same_file(one: Ctf, other: Ctf) -> bool:
    return one.file_name == other.file_name and (one.sha256 == other.sha256 or not one.sha256 or not other.sha256)


# What is told becomes facts of the case, and a status.


@singledispatch
def _apply(event: Event, case: TransferCase) -> TransferCase:  # noqa: ARG001 - the clock alone changes no fact
    return case


@_apply.register
def _(event: MovePlanned, case: TransferCase) -> TransferCase:
    _check_fit(case, event)
    return replace(
        case,
        from_school=case.from_school or event.from_school,
        to_school=case.to_school or event.to_school,
        leaving=case.leaving or event.leaving,
        entry=case.entry or event.entry,
    )


@_apply.register
def _(event: EnrolmentEnded, case: TransferCase) -> TransferCase:
    _check_fit(case, event)
    if case.status is _S.CANCELLED:
        return case
    after = replace(
        case,
        from_school=case.from_school or event.school,
        leaving=event.leaving,
        reason=event.reason or case.reason,
        happened=True,
    )
    return _towards(after, event.destination) if event.destination else after


@_apply.register
def _(event: EnrolmentStarted, case: TransferCase) -> TransferCase:
    _check_fit(case, event)
    if case.status is _S.CANCELLED:
        return case
    if case.knows(event.school) == case.old_number:
        return _walk(replace(case, returned=event.entry), _S.CANCELLED, event, Note.DID_NOT_TAKE_PLACE)
    told = [event.today] if event.membership in DUAL or event.alternative else []
    known = [*told, *([case.dual_known] if case.dual_known else [])]
    return replace(
        case,
        to_school=case.to_school if case.knows(event.school) == case.new_number else event.school,
        from_school=case.from_school or (event.previous if event.previous != event.school else None),
        entry=event.entry,
        membership=event.membership,
        alternative=event.alternative,
        dual_known=min(known, default=None),
        happened=True,
    )


@_apply.register
def _(event: CtfArrived, case: TransferCase) -> TransferCase:
    _check_fit(case, event)
    if case.status in (_S.CANCELLED, _S.LOADED, _S.COMPLETE) and case.ctf is not None:
        return case
    if case.status in (_S.REJECTED, _S.DELIVERED, _S.SENT) and case.ctf and _is_same_file(case.ctf, event.ctf):
        return case
    after = replace(case, from_school=case.from_school or event.source, happened=True)
    if _is_belief(case) and event.ctf.destination not in (NOT_KNOWN, OUTSIDE, case.new_number):
        after = replace(after, to_school=event.ctf.destination)
    return _take_file(after, event, event.ctf)


@_apply.register
def _(event: CtfPrepared, case: TransferCase) -> TransferCase:
    if case.ctf and _is_same_file(case.ctf, event.ctf) and case.status is not _S.REJECTED:
        return case
    return _take_file(case, event, event.ctf)


@_apply.register
def _(event: CtfSent, case: TransferCase) -> TransferCase:
    if case.status is _S.REJECTED and case.ctf and _is_same_file(case.ctf, event.ctf):
        return case
    if event.ctf.destination != NOT_KNOWN:
        return _take_file(case, event, event.ctf)
    if case.status is _S.LOST_PUPILS:
        return case
    search = case.deadline(RuleId.T3)
    if case.status not in (_S.PLANNED, _S.NOTIFIED, _S.PREPARED, _S.DESTINATION_UNKNOWN):
        raise MoveNotAllowed(case, event)
    if case.status is not _S.DESTINATION_UNKNOWN and (search is None or not search.has_passed(event.today)):
        until = f"until the end of {search.due}" if search else "15 school days from the leaving date"
        raise MoveNotAllowed(case, event, f"look for the new school {until}: only then is it for the lost-pupil pool")
    return _walk(replace(case, ctf=event.ctf), _S.LOST_PUPILS, event, Note.DESTINATION_NOT_FOUND)


@_apply.register
def _(event: CtfDelivered, case: TransferCase) -> TransferCase:
    target = _target(case, event)
    if case.to_school is None:
        raise MoveNotAllowed(case, event, "no new school is known that it could have reached: name the school first")
    return _walk(case, target, event, _found(case))


@_apply.register
def _(event: CtfLoaded, case: TransferCase) -> TransferCase:
    target = _target(case, event)
    return _walk(_at_new_school(case, event, event.school), target, event, _found(case))


@_apply.register
def _(event: ConfirmedByPeople, case: TransferCase) -> TransferCase:
    target = _target(case, event)
    if case.to_school is None:
        raise MoveNotAllowed(case, event, "no new school is known that it could be loaded at: name the school first")
    return _walk(replace(case, confirmed=True), target, event, _found(case))


@_apply.register
def _(event: EnrolmentConfirmed, case: TransferCase) -> TransferCase:
    _target(case, event)
    return replace(_at_new_school(case, event, event.school), confirmed=True, happened=True)


@_apply.register
def _(event: Rejected, case: TransferCase) -> TransferCase:
    target = _target(case, event)
    return _walk(_at_new_school(case, event, event.school), target, event, event.note)


@_apply.register
def _(event: Cancelled, case: TransferCase) -> TransferCase:
    return _walk(case, _target(case, event), event, event.note)


@_apply.register
def _(event: DestinationFound, case: TransferCase) -> TransferCase:
    if case.new_number == case.knows(event.school) and case.status is not _S.CANCELLED:
        return case
    _target(case, event)
    if case.entry is not None:
        raise NotThisMove(case, event, "the learner is at the new school already")
    if case.knows(event.school) == case.old_number:
        raise NotThisMove(case, event, "that is the old school: cancel the move if the learner is back")
    return replace(case, to_school=event.school)


@_apply.register
def _(event: LeftSector, case: TransferCase) -> TransferCase:
    if case.destination == OUTSIDE and case.status is not _S.CANCELLED:
        return case
    _target(case, event)
    if case.entry is not None:
        raise NotThisMove(case, event, "the learner has entered another school")
    return replace(case, to_school=None, left_sector=True)


@_apply.register
def _(event: SchoolClosedOrRenumbered, case: TransferCase) -> TransferCase:
    school = case.knows(event.school)
    if school not in (case.old_number, case.new_number) or school in case.closed:
        return case
    if event.successor is not None:
        return replace(case, renumbered=(*case.renumbered, (school, event.successor)))
    gone = school == case.new_number and case.entry is None and case.ctf is None
    return replace(case, closed=case.closed | {school}, to_school=None if gone else case.to_school)


@_apply.register
def _(event: CareChanged, case: TransferCase) -> TransferCase:
    others = (care for care in case.care if care.since != event.care.since)
    return replace(case, care=tuple(sorted((*others, event.care))))


@_apply.register
def _(event: Shielded, case: TransferCase) -> TransferCase:
    return replace(case, shield=event.shield)


@_apply.register
def _(event: RecordPassed, case: TransferCase) -> TransferCase:
    first = min(event.on, case.passed.get(event.record, event.on))
    return replace(case, passed=MappingProxyType({**case.passed, event.record: first}))


def _check_fit(case: TransferCase, event: Opening) -> None:
    if _fit(case, event, (case,)) is None:
        raise NotThisMove(case, event, "let open_or_join find the case that it is about")


def _target(case: TransferCase, event: Event) -> Status:
    target = _REACTIONS[type(event)].get(case.status)
    if target is None:
        raise MoveNotAllowed(case, event)
    return target


def _towards(case: TransferCase, school: Establishment) -> TransferCase:
    """Return *case* with where the learner is believed to go, unless that is known."""
    if case.to_school is not None or school == NOT_KNOWN or case.knows(school) == case.old_number:
        return case
    if school == OUTSIDE:
        return replace(case, left_sector=True)
    return replace(case, to_school=school)


def _at_new_school(case: TransferCase, event: Event, school: Establishment) -> TransferCase:
    if case.knows(school) == case.old_number:
        raise NotThisMove(case, event, "that is the old school, and only the new one can say so")
    if case.to_school is None:
        return replace(case, to_school=school)
    if case.knows(school) != case.new_number:
        raise NotThisMove(case, event, "only the new school can say so")
    return case


def _take_file(case: TransferCase, event: Event, ctf: Ctf) -> TransferCase:
    """Return *case* with a file that is written or on its way to where the learner goes."""
    target = _target(case, event)
    after = _towards(case, ctf.destination)
    if ctf.destination == NOT_KNOWN:
        if after.destination is not None:
            raise NotThisMove(case, event, "its destination is known: address the file to it")
        target = _S.PREPARED if _S.PREPARED in MOVES[case.status] or case.status is _S.PLANNED else case.status
    elif after.destination != after.knows(ctf.destination):
        raise NotThisMove(case, event, "the file is addressed to another school")
    if not _may_replace(case, ctf):
        raise MoveNotAllowed(case, event, "another file is on its way: have that rejected first")
    return _walk(replace(after, ctf=ctf), target, event, _found(case) if target is _S.SENT else Note.NONE)


def _may_replace(case: TransferCase, ctf: Ctf) -> bool:
    """Return whether *ctf* may take the place of the case's file: not of one that is on its way to the same number."""
    if case.ctf is None or _is_same_file(case.ctf, ctf):
        return True
    if case.status in (_S.DELIVERED, _S.LOADED, _S.COMPLETE):
        return False
    return case.status is not _S.SENT or ctf.destination != case.ctf.destination


def _found(case: TransferCase) -> Note:
    lost = case.status in (_S.DESTINATION_UNKNOWN, _S.LOST_PUPILS)
    return Note.FOUND_LATER if lost else Note.NONE


def _walk(case: TransferCase, target: Status, event: Event, note: Note = Note.NONE) -> TransferCase:
    """Return *case* in *target*, with every status between in its history: those happened outside the zone."""
    path = _path(case.status, target)
    if not path:
        return case
    notes = [*[Note.OUTSIDE_THE_ZONE] * (len(path) - 1), note]
    changes = [StatusChange(status, event.at, event.actor, why) for status, why in zip(path, notes, strict=True)]
    return replace(case, history=(*case.history, *changes))


@lru_cache(maxsize=256)
def _path(start: Status, target: Status) -> tuple[Status, ...]:
    """Return the shortest way by MOVES, without *start*; none leads through a cancelled move."""
    ways = deque([(start, tuple[Status, ...]())])
    seen = {start}
    while ways:
        status, way = ways.popleft()
        if status is target:
            return way
        nexts = [after for after in Status if after in MOVES[status] and after not in seen]
        seen.update(nexts)
        ways.extend((after, (*way, after)) for after in nexts)
    raise ValueError(f"no move leads from {start} to {target}")


def _named_by(event: Event) -> tuple[Establishment, ...]:
    """Return the school that *event* names as the one where the learner goes, or is."""
    match event:
        case MovePlanned(to_school=named) | EnrolmentEnded(destination=named):
            return (named,) if named else ()
        case EnrolmentStarted(school=school) | DestinationFound(school=school) | EnrolmentConfirmed(school=school):
            return (school,)
        case CtfLoaded(school=school) | Rejected(school=school):
            return (school,)
        case CtfArrived(ctf=ctf) | CtfPrepared(ctf=ctf) | CtfSent(ctf=ctf):
            return (ctf.destination,)
        case _:
            return ()


# What follows from the facts by itself.


def _with_deadlines(case: TransferCase, calendars: Calendars) -> TransferCase:
    deadlines = _deadlines(case, calendars)
    return case if deadlines == case.deadlines else replace(case, deadlines=deadlines)


def _settled(case: TransferCase, event: Event) -> TransferCase:
    """Return *case* with the steps taken that nobody needs to tell."""
    after = case
    if after.status is _S.PLANNED and after.happened and after.shield is Shield.NONE:
        after = _walk(after, _S.NOTIFIED, event)
    is_for_pool = after.destination is None and after.ctf is not None and after.ctf.destination == NOT_KNOWN
    if after.status is _S.PREPARED and is_for_pool and _not_found_since(after, event.today):
        after = _walk(after, _S.DESTINATION_UNKNOWN, event, Note.DESTINATION_NOT_FOUND)
    if after.status is _S.LOADED and after.confirmed:
        after = _walk(after, _S.COMPLETE, event)
    return after


def _not_found_since(case: TransferCase, today: date) -> bool:
    search = case.deadline(RuleId.T3)
    return search is not None and search.has_passed(today)


def _deadlines(case: TransferCase, calendars: Calendars) -> tuple[Deadline, ...]:
    """Return what is to be done by when; it follows from what is known of the case, in whatever order that came.

    Where a day was over before anybody knew of the new school, the days are counted from when it became known: nothing
    can be passed on to nobody.
    """
    if case.status is _S.CANCELLED:
        return case.deadlines
    old = tuple(school for school in (case.from_school, case.old_number) if school)
    new = tuple(school for school in (case.to_school, case.new_number) if school)
    found: list[Deadline] = []
    if old and case.leaving is not None and case.destination != OUTSIDE:
        found.append(_counted(case, RuleId.T1 if new else RuleId.T3, case.leaving, calendars, *old))
    elif old and case.dual_known is not None:
        found.append(due(RULES[RuleId.T2], case.dual_known, calendars, *old))
    left = case.leaving or case.entry
    if old and new and case.looked_after and left is not None:
        found.append(_counted(case, RuleId.L10, left, calendars))
        if case.leaving is not None:
            receipt = safeguarding_file(case.leaving, case.entry, calendars, *new)
            late = case.known_since is not None and receipt.has_passed(case.known_since)
            found.append(_counted(case, RuleId.T6, case.leaving, calendars) if late else receipt)
    if case.status is _S.DELIVERED:
        found.append(due(RULES[RuleId.Z1], local_date(case.history[-1].at), calendars, *new))
    return tuple(sorted(found, key=lambda deadline: deadline.rule))


def _counted(
    case: TransferCase, rule: RuleId, trigger: date, calendars: Calendars, *schools: Establishment
) -> Deadline:
    deadline = due(RULES[rule], trigger, calendars, *schools)
    if case.to_school is None or case.known_since is None or not deadline.has_passed(case.known_since):
        return deadline
    return due(RULES[rule], case.known_since, calendars, *schools)


def _wanted(case: TransferCase, today: date) -> Iterable[Action]:
    """Return all that is to be done about *case* as it stands, whether or not it was given out before."""
    care = case.care_at_transfer
    if case.shield is not Shield.NONE:
        yield Notify(Party.VIRTUAL_SCHOOL, Why.SHIELDED, case.responsible)
        return
    if case.status is _S.CANCELLED:
        if case.looked_after:
            yield Notify(Party.VIRTUAL_SCHOOL, Why.MOVE_CANCELLED, case.responsible)
        return
    if case.status is _S.PLANNED:
        return
    yield from _told(case)
    if care is not None:
        yield from _told_of_care(case, care)
    yield from _missing(case, today)
    if case.is_open:
        yield from _records(case, today)


def _overdue(case: TransferCase, today: date) -> Iterable[Action]:
    """Return what is late. A search that is over is not: the file then goes to the pool."""
    if case.shield is not Shield.NONE or case.status in (_S.PLANNED, _S.CANCELLED):
        return
    for deadline in case.unmet():
        if deadline.has_passed(today) and deadline.rule is not RuleId.T3:
            yield RaiseOverdue(deadline)


def _told(case: TransferCase) -> Iterable[Notify]:
    """Return who is told that the learner moves, and what is odd about it."""
    old, new = case.from_school, case.to_school
    if old:
        yield Notify(Party.OLD_SCHOOL, Why.MOVE, old)
    if new:
        yield Notify(Party.NEW_SCHOOL, Why.MOVE, new)
    if case.looked_after:
        yield Notify(Party.VIRTUAL_SCHOOL, Why.MOVE, case.responsible)
        yield Notify(Party.SOCIAL_WORKER, Why.MOVE, case.responsible)
        if old:
            yield Notify(Party.OLD_TEACHER, Why.MOVE, old)
        if new:
            yield Notify(Party.NEW_TEACHER, Why.MOVE, new)
    if case.dates_overlap and old and new:
        dates = f"{case.leaving}/{case.entry}"
        yield Notify(Party.OLD_SCHOOL, Why.DATES_OVERLAP, old, dates)
        yield Notify(Party.NEW_SCHOOL, Why.DATES_OVERLAP, new, dates)
    for before, after in case.renumbered:
        party = Party.OLD_SCHOOL if after == case.old_number else Party.NEW_SCHOOL
        yield Notify(party, Why.NUMBER_CHANGED, after, before)
    for school in sorted(case.closed):
        yield Notify(Party.AUTHORITY, Why.SCHOOL_CLOSED, school[:3], school)


def _told_of_care(case: TransferCase, then: Care) -> Iterable[Notify]:
    """Return who is told that care has changed since the transfer; what was so at the transfer stays."""
    for care in case.care:
        if care.since <= then.since:
            continue
        if care.looked_after and care.authority != then.authority and then.looked_after:
            yield Notify(Party.VIRTUAL_SCHOOL, Why.RESPONSIBILITY_MOVED, then.authority, care.authority)
            yield Notify(Party.VIRTUAL_SCHOOL, Why.RESPONSIBILITY_MOVED, care.authority, care.authority)
        if care.looked_after and not then.looked_after:
            yield Notify(Party.VIRTUAL_SCHOOL, Why.CARE_BEGAN, care.authority)
        if then.looked_after and not care.looked_after:
            yield Notify(Party.VIRTUAL_SCHOOL, Why.CARE_ENDED, then.authority)
        then = care


def _missing(case: TransferCase, today: date) -> Iterable[Notify]:
    """Return who is told that a school is missing: at once where a looked-after child is in none.

    Source:
        That nobody waits 15 days for a looked-after child is our own rule; schools and authorities must report children
        missing education in any case.
    """
    care = next((care for care in reversed(case.care) if care.since <= today), None)
    has_left = case.leaving is not None and case.leaving <= today
    if case.is_open and care is not None and care.looked_after and case.destination is None and has_left:
        yield Notify(Party.AUTHORITY, Why.MISSING_EDUCATION, care.authority)
        yield Notify(Party.VIRTUAL_SCHOOL, Why.MISSING_EDUCATION, care.authority)
    settling_in = timedelta(days=RULES[RuleId.T4].limit)
    if case.from_school is None and case.to_school and case.entry and today > case.entry + settling_in:
        yield Notify(Party.NEW_SCHOOL, Why.OLD_SCHOOL_NOT_KNOWN, case.to_school)


def _records(case: TransferCase, today: date) -> Iterable[Action]:
    """Return what is to be done so that the new school has what the old one knows."""
    old = case.old_number
    if old is None:
        return
    yield AskForRecord(case.learner, old)
    refusals = sum(change.status is _S.REJECTED for change in case.history)
    destination = case.destination or (NOT_KNOWN if _not_found_since(case, today) else None)
    if destination and _needs_file(case, destination):
        yield WriteCtf(case.learner, old, destination, refusals + 1)
    if case.status is _S.DESTINATION_UNKNOWN and case.destination is None:
        yield SendToLostPupils(case.learner)
    if case.status is _S.REJECTED:
        yield Notify(Party.OLD_SCHOOL, Why.FILE_REJECTED, old, str(refusals))
        if case.looked_after:
            yield Notify(Party.VIRTUAL_SCHOOL, Why.FILE_REJECTED, case.responsible, str(refusals))


def _needs_file(case: TransferCase, destination: Establishment) -> bool:
    if case.status is _S.REJECTED:
        return True
    if case.status is _S.SENT:  # files to a number that is gone stay behind
        return case.ctf is not None and case.ctf.destination != destination
    if case.status is _S.DELIVERED:
        return False
    return case.ctf is None or case.ctf.destination != destination


__all__ = ["LONGEST_GAP", "MoveNotAllowed", "NotAMove", "NotThisMove", "Step", "open_or_join", "step"]
