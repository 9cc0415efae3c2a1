"""What becomes of a learner's move: every step that is allowed, every one that is not, and each special case."""

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final

import pytest

import schemas
from broker.calendars import DayKind, parse_calendars
from broker.deadlines import RuleId
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import Establishment, RefId
from broker.transfer_cases import (
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
    Record,
    RecordPassed,
    Rejected,
    SchoolClosedOrRenumbered,
    SendToLostPupils,
    Shield,
    Shielded,
    Status,
    StatusChange,
    TransferCase,
    TransferType,
    Why,
    WriteCtf,
)
from broker.transfers import MoveNotAllowed, NotThisMove, open_or_join, step
from tests.calendars import TERMS_OF_2025

TEXTS: Final = {
    "820": TERMS_OF_2025,
    "8209902": b'title = "Copperfen High School"\nfollows = "820"\ninset = [2025-10-06, 2025-10-07]\n',
}
CALENDARS: Final = parse_calendars(TEXTS)
ALEX, SAM = RefId("5D315C31F8A15621F126C31154AF9665"), RefId("6E426D42F9B26732F237D42265BF0776")
OLD, NEW, THIRD = Establishment("8209902"), Establishment("8209901"), Establishment("8209903")
LEFT, IN = date(2025, 10, 3), date(2025, 10, 6)
QUARRINGTON, ELSEWHERE = "820", "830"
FILE: Final = Ctf("8209902_CTF_8209901_001.xml", NEW, "07" * 32)
OTHER_FILE: Final = Ctf("8209902_CTF_8209901_002.xml", NEW, "ab" * 32)
POOL_FILE: Final = Ctf("8209902_CTF_XXXXXXX_001.xml", NOT_KNOWN, "0c" * 32)
OUTSIDE_FILE: Final = Ctf("8209902_CTF_MMMMMMM_001.xml", OUTSIDE, "0d" * 32)
IN_CARE: Final = Care(date(2024, 5, 1), True, QUARRINGTON)
S: Final = Status


def at(day: date, hour: int = 12) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def ended(school: Establishment = OLD, leaving: date = LEFT, **more: object) -> EnrolmentEnded:
    event = EnrolmentEnded(at=at(leaving), actor=f"MIS:{school}", learner=ALEX, school=school, leaving=leaving)
    return replace(event, **more)  # type: ignore[arg-type]  # any field of the event


def started(school: Establishment = NEW, entry: date = IN, **more: object) -> EnrolmentStarted:
    event = EnrolmentStarted(at=at(entry), actor=f"MIS:{school}", learner=ALEX, school=school, entry=entry)
    return replace(event, **more)  # type: ignore[arg-type]  # any field of the event


def arrived(ctf: Ctf = FILE, source: Establishment = OLD, day: date = IN) -> CtfArrived:
    return CtfArrived(at=at(day), actor=f"MIS:{source}", learner=ALEX, source=source, ctf=ctf)


def prepared(ctf: Ctf = FILE, day: date = IN) -> CtfPrepared:
    return CtfPrepared(at=at(day), actor="Zone", ctf=ctf)


def sent(ctf: Ctf = FILE, day: date = IN) -> CtfSent:
    return CtfSent(at=at(day), actor="Zone", ctf=ctf)


def delivered(day: date = IN) -> CtfDelivered:
    return CtfDelivered(at=at(day), actor="Zone")


def loaded(school: Establishment = NEW, day: date = IN) -> CtfLoaded:
    return CtfLoaded(at=at(day), actor=f"MIS:{school}", school=school)


def by_people(day: date = IN) -> ConfirmedByPeople:
    return ConfirmedByPeople(at=at(day), actor="Data manager:8209901")


def confirmed(school: Establishment = NEW, day: date = IN) -> EnrolmentConfirmed:
    return EnrolmentConfirmed(at=at(day), actor=f"MIS:{school}", school=school)


def rejected(school: Establishment = NEW, day: date = IN) -> Rejected:
    return Rejected(at=at(day), actor=f"MIS:{school}", school=school)


def cancelled(day: date = IN) -> Cancelled:
    return Cancelled(at=at(day), actor="VirtualSchool")


def found(school: Establishment = NEW, day: date = IN) -> DestinationFound:
    return DestinationFound(at=at(day), actor="LA:820", school=school)


def left_sector(day: date = IN) -> LeftSector:
    return LeftSector(at=at(day), actor="LA:820")


def clock(day: date) -> ClockMoved:
    return ClockMoved(at=at(day), actor="Zone")


def care(since: date, looked_after: bool, authority: str = "", day: date = IN) -> CareChanged:
    return CareChanged(at=at(day), actor=f"LA:{authority}", care=Care(since, looked_after, authority))


class Zone:
    """All cases of a zone, and what was to be done about them."""

    def __init__(self) -> None:
        self.cases: dict[RefId, TransferCase] = {}
        self.actions: list[Action] = []

    def tell(self, *events: Event) -> TransferCase:
        """Let the zone hear of *events*; those that name no learner are about the case of the one before."""
        case = next(reversed(self.cases.values()), None)
        for event in events:
            if isinstance(event, Opening):
                case = open_or_join(self.cases.values(), event, RefId(f"{len(self.cases):032X}"))
            assert case is not None
            case, actions = step(case, event, CALENDARS)
            self.cases[case.ref_id] = case
            self.actions += actions
        assert case is not None
        return case

    def about(self, case: TransferCase, *events: Event) -> TransferCase:
        """Let it hear of *events* that are about *case*."""
        for event in events:
            case, actions = step(self.cases[case.ref_id], event, CALENDARS)
            self.cases[case.ref_id] = case
            self.actions += actions
        return case

    @property
    def all(self) -> list[TransferCase]:
        return list(self.cases.values())

    def told(self, why: Why) -> set[tuple[Party, str]]:
        """Return who was told of *why*."""
        return {(act.party, act.where) for act in self.actions if isinstance(act, Notify) and act.why is why}

    def files(self) -> list[Establishment]:
        """Return where files were to be written to, in order."""
        return [act.destination for act in self.actions if isinstance(act, WriteCtf)]

    def overdue(self) -> list[RuleId]:
        return [act.deadline.rule for act in self.actions if isinstance(act, RaiseOverdue)]


@pytest.fixture
def zone() -> Zone:
    return Zone()


BASE: Final = TransferCase(
    RefId("A" * 32),
    ALEX,
    (),
    from_school=OLD,
    to_school=NEW,
    leaving=LEFT,
    entry=IN,
    ctf=FILE,
    happened=True,
    deadlines=(),
)
LOST: Final = replace(BASE, to_school=None, entry=None, ctf=POOL_FILE)


def in_status(status: Status, case: TransferCase = BASE) -> TransferCase:
    """Return a case whose history ends in *status*; one that is not found has no new school."""
    if status in (S.DESTINATION_UNKNOWN, S.LOST_PUPILS):
        case = LOST
    if status in (S.PLANNED, S.NOTIFIED):
        case = replace(case, ctf=None)
    # a shield keeps what is planned from going on by itself
    shield = Shield.PROTECTED_MOVE if status is S.PLANNED else Shield.NONE
    return replace(case, shield=shield, history=(StatusChange(status, at(LEFT), "Test"),))


def to(*statuses: Status) -> tuple[Status, ...]:
    return statuses


STAYS: Final = to()
NO: Final[tuple[Status, ...] | None] = None
FILE_EVENTS: Final[dict[str, Event]] = {
    "prepared": prepared(),
    "sent": sent(),
    "arrived": arrived(),
    "delivered": delivered(),
    "loaded": loaded(),
    "by-people": by_people(),
    "confirmed": confirmed(),
    "rejected": rejected(),
    "cancelled": cancelled(),
    "clock": clock(IN),
}
Row = dict[Status, tuple[Status, ...] | None]
NEVER: Final[Row] = dict.fromkeys(S, NO)
ALWAYS: Final[Row] = dict.fromkeys(S, STAYS)
ALLOWED: Final[dict[str, Row]] = {
    "prepared": {
        S.PLANNED: to(S.NOTIFIED, S.PREPARED),
        S.NOTIFIED: to(S.PREPARED),
        S.PREPARED: STAYS,
        S.SENT: STAYS,
        S.DELIVERED: STAYS,
        S.LOADED: STAYS,
        S.COMPLETE: STAYS,
        S.REJECTED: to(S.PREPARED),
        S.DESTINATION_UNKNOWN: STAYS,
        S.LOST_PUPILS: STAYS,
        S.CANCELLED: STAYS,  # the file that it had: told twice
    },
    "sent": {
        S.PLANNED: to(S.NOTIFIED, S.PREPARED, S.SENT),
        S.NOTIFIED: to(S.PREPARED, S.SENT),
        S.PREPARED: to(S.SENT),
        S.SENT: STAYS,
        S.DELIVERED: STAYS,
        S.LOADED: STAYS,
        S.COMPLETE: STAYS,
        S.REJECTED: STAYS,  # the file that was refused: told twice
        S.DESTINATION_UNKNOWN: to(S.SENT),
        S.LOST_PUPILS: to(S.SENT),
        S.CANCELLED: NO,
    },
    "arrived": {
        S.PLANNED: to(S.NOTIFIED, S.PREPARED, S.SENT),
        S.NOTIFIED: to(S.PREPARED, S.SENT),
        S.PREPARED: to(S.SENT),
        S.SENT: STAYS,
        S.DELIVERED: STAYS,
        S.LOADED: STAYS,
        S.COMPLETE: STAYS,
        S.REJECTED: STAYS,  # the file that was refused: told twice
        S.DESTINATION_UNKNOWN: to(S.SENT),
        S.LOST_PUPILS: to(S.SENT),
        S.CANCELLED: STAYS,
    },
    "delivered": {
        S.PLANNED: to(S.NOTIFIED, S.PREPARED, S.SENT, S.DELIVERED),
        S.NOTIFIED: to(S.PREPARED, S.SENT, S.DELIVERED),
        S.PREPARED: to(S.SENT, S.DELIVERED),
        S.SENT: to(S.DELIVERED),
        S.DELIVERED: STAYS,
        S.LOADED: STAYS,
        S.COMPLETE: STAYS,
        S.REJECTED: NO,
        S.DESTINATION_UNKNOWN: NO,  # at which school?
        S.LOST_PUPILS: NO,
        S.CANCELLED: NO,
    },
    "loaded": {
        S.PLANNED: to(S.NOTIFIED, S.PREPARED, S.SENT, S.DELIVERED, S.LOADED),
        S.NOTIFIED: to(S.PREPARED, S.SENT, S.DELIVERED, S.LOADED),
        S.PREPARED: to(S.SENT, S.DELIVERED, S.LOADED),
        S.SENT: to(S.DELIVERED, S.LOADED),
        S.DELIVERED: to(S.LOADED),
        S.LOADED: STAYS,
        S.COMPLETE: STAYS,
        S.REJECTED: to(S.PREPARED, S.SENT, S.DELIVERED, S.LOADED),
        S.DESTINATION_UNKNOWN: to(S.SENT, S.DELIVERED, S.LOADED),
        S.LOST_PUPILS: to(S.SENT, S.DELIVERED, S.LOADED),
        S.CANCELLED: NO,
    },
    "confirmed": {**ALWAYS, S.LOADED: to(S.COMPLETE), S.CANCELLED: NO},
    "rejected": {**NEVER, S.SENT: to(S.DELIVERED, S.REJECTED), S.DELIVERED: to(S.REJECTED), S.REJECTED: STAYS},
    "cancelled": {**dict.fromkeys(S, to(S.CANCELLED)), S.LOADED: NO, S.COMPLETE: NO, S.CANCELLED: STAYS},
    "clock": ALWAYS,
}
ALLOWED["by-people"] = {
    status: None if steps is None or status in (S.DESTINATION_UNKNOWN, S.LOST_PUPILS) else (*steps, S.COMPLETE)
    for status, steps in ALLOWED["loaded"].items()
} | {S.COMPLETE: STAYS}
TABLE: Final = [
    pytest.param(FILE_EVENTS[name], status, steps, id=f"{name}-in-{status}")
    for name, row in ALLOWED.items()
    for status, steps in row.items()
]


@pytest.mark.parametrize(("event", "status", "steps"), TABLE)
def test_a_case_takes_the_steps_that_the_event_allows_and_no_others(
    event: Event, status: Status, steps: tuple[Status, ...] | None
) -> None:
    case = in_status(status)
    if steps is None:
        with pytest.raises(MoveNotAllowed) as refusal:
            step(case, event, CALENDARS)
        assert (refusal.value.status, refusal.value.event) == (status, type(event).__name__)
        assert case.ref_id in str(refusal.value)
        return

    after = step(case, event, CALENDARS).case

    assert tuple(change.status for change in after.history[1:]) == steps
    assert after.history[:1] == case.history


FOUND_IN: Final = {S.PLANNED, S.NOTIFIED, S.PREPARED, S.REJECTED, S.DESTINATION_UNKNOWN, S.LOST_PUPILS}


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("event", [found(), left_sector()], ids=["found", "left-sector"])
def test_a_destination_becomes_known_until_a_file_is_on_its_way(event: Event, status: Status) -> None:
    case = replace(in_status(status), to_school=None, entry=None)
    if status not in FOUND_IN:
        with pytest.raises(MoveNotAllowed):
            step(case, event, CALENDARS)
        return

    after = step(case, event, CALENDARS).case

    assert after.destination == (NEW if isinstance(event, DestinationFound) else OUTSIDE)
    assert after.status is status


def test_the_table_of_moves_has_every_status_and_ends_in_two() -> None:
    assert set(MOVES) == set(S)
    assert {status for status, following in MOVES.items() if not following} == {S.COMPLETE, S.CANCELLED}


@pytest.mark.parametrize(
    ("status", "following"),
    [  # facts of the zone's contract
        (S.PLANNED, {S.NOTIFIED, S.CANCELLED}),
        (S.NOTIFIED, {S.PREPARED, S.CANCELLED}),
        (S.PREPARED, {S.SENT, S.DESTINATION_UNKNOWN, S.CANCELLED}),
        (S.SENT, {S.DELIVERED, S.CANCELLED}),
        (S.DELIVERED, {S.LOADED, S.REJECTED, S.CANCELLED}),
        (S.LOADED, {S.COMPLETE}),
        (S.COMPLETE, set()),
        (S.REJECTED, {S.PREPARED, S.CANCELLED}),
        (S.DESTINATION_UNKNOWN, {S.LOST_PUPILS, S.SENT, S.CANCELLED}),
        (S.LOST_PUPILS, {S.SENT, S.CANCELLED}),
        (S.CANCELLED, set()),
    ],
)
def test_a_status_is_followed_by_those_of_the_contract(status: Status, following: set[Status]) -> None:
    assert MOVES[status] == following


@pytest.mark.parametrize("enum", ["TransferStatus", "TransferType", "TransferNote", "ShieldCode", "DayKind"])
def test_words_of_a_case_are_codes_of_its_object(enum: str) -> None:
    ours = {
        "TransferStatus": Status,
        "TransferType": TransferType,
        "TransferNote": Note,
        "ShieldCode": Shield,
        "DayKind": DayKind,
    }[enum]
    lists = tomllib.loads((Path(schemas.__file__).parent / "codes" / "looked_after.toml").read_text())

    assert {str(word.value) for word in ours if word.value} == set(lists[enum]["codes"])


def test_a_whole_move_ends_complete_with_every_step_in_its_history(zone: Zone) -> None:
    case = zone.tell(ended(), started(), prepared(), sent(), delivered(), loaded(), confirmed())

    assert [change.status for change in case.history] == [
        S.PLANNED, S.NOTIFIED, S.PREPARED, S.SENT, S.DELIVERED, S.LOADED, S.COMPLETE,
    ]  # fmt: skip
    assert len(zone.all) == 1
    assert not case.is_open
    assert case.transfer_type is TransferType.SCHOOL_CHANGE
    assert AskForRecord(ALEX, OLD) in zone.actions
    assert zone.files() == [NEW]


def test_a_move_that_people_plan_waits_for_a_school_to_tell(zone: Zone) -> None:
    plan = MovePlanned(at=at(date(2025, 9, 20)), actor="VirtualSchool", learner=ALEX, from_school=OLD, to_school=NEW)

    assert zone.tell(plan).status is S.PLANNED
    assert zone.actions == []
    assert zone.tell(ended()).status is S.NOTIFIED
    assert zone.tell(started()).entry == IN
    assert len(zone.all) == 1


def test_the_same_told_twice_changes_nothing(zone: Zone) -> None:
    events = (ended(), started(), prepared(), sent(), delivered(), loaded(), confirmed())
    case = zone.tell(*events)
    count = len(zone.actions)

    assert zone.tell(*(replace(event, at=at(date(2026, 1, 9))) for event in events)) == case
    assert len(zone.all) == 1
    assert len(zone.actions) == count


def test_an_action_is_given_out_once(zone: Zone) -> None:
    zone.tell(ended(), started(), *(clock(date(2025, 11, day)) for day in range(1, 28)))

    keys = [action.key for action in zone.actions]
    assert sorted(set(keys)) == sorted(keys)
    assert zone.overdue() == [RuleId.T1]


@pytest.mark.parametrize("event", [delivered(), confirmed(), clock(date(2026, 3, 1))], ids=lambda e: type(e).__name__)
def test_nothing_but_the_receivers_word_makes_a_file_loaded(event: Event) -> None:
    case = in_status(S.DELIVERED)

    assert step(case, event, CALENDARS).case.status is S.DELIVERED


def test_another_school_than_the_new_one_cannot_say_that_the_file_is_loaded() -> None:
    for event in (loaded(OLD), confirmed(THIRD), rejected(OLD)):
        with pytest.raises(NotThisMove):
            step(in_status(S.DELIVERED), event, CALENDARS)


def test_what_the_zone_did_not_see_is_noted_as_outside_it(zone: Zone) -> None:
    case = zone.tell(ended(), started(), loaded())

    assert [(change.status, change.note) for change in case.history[2:]] == [
        (S.PREPARED, Note.OUTSIDE_THE_ZONE),
        (S.SENT, Note.OUTSIDE_THE_ZONE),
        (S.DELIVERED, Note.OUTSIDE_THE_ZONE),
        (S.LOADED, Note.NONE),
    ]


def test_the_file_is_due_in_15_school_days_of_the_old_schools_calendar(zone: Zone) -> None:
    deadline = zone.tell(ended(), started()).deadline(RuleId.T1)

    assert deadline is not None
    assert (deadline.due, deadline.kind, deadline.calendar) == (date(2025, 11, 4), DayKind.SCHOOL_DAY, OLD)


def test_a_closure_that_is_entered_later_moves_the_deadline(zone: Zone) -> None:
    case = zone.tell(ended(), started())
    closure = b'closures = [{ starts = 2025-10-08, ends = 2025-10-10, reason = "Boiler" }]'
    closed = parse_calendars({**TEXTS, OLD: TEXTS[OLD] + closure})

    deadline = step(case, clock(date(2025, 10, 13)), closed).case.deadline(RuleId.T1)

    assert deadline is not None
    assert deadline.due == date(2025, 11, 7)


@pytest.mark.parametrize("status", [S.SENT, S.DELIVERED, S.LOADED, S.COMPLETE, S.CANCELLED])
@pytest.mark.parametrize("event", [prepared(OTHER_FILE), sent(OTHER_FILE)], ids=["prepared", "sent"])
def test_no_other_file_takes_the_place_of_one_on_its_way(status: Status, event: Event) -> None:
    with pytest.raises(MoveNotAllowed):
        step(in_status(status), event, CALENDARS)


@pytest.mark.parametrize("event", [prepared, sent], ids=["prepared", "sent"])
def test_a_file_for_another_school_or_for_the_pool_is_refused_when_the_school_is_known(event: object) -> None:
    assert callable(event)
    for ctf in (replace_destination(THIRD), POOL_FILE):
        with pytest.raises((NotThisMove, MoveNotAllowed)):
            step(in_status(S.PREPARED), event(ctf), CALENDARS)


def replace_destination(school: Establishment) -> Ctf:
    return FILE._replace(file_name=f"8209902_CTF_{school}_001.xml", destination=school)


def test_an_event_about_another_learner_or_school_is_not_this_case_s() -> None:
    case = in_status(S.SENT)
    for event in (ended(learner=SAM), ended(THIRD), started(THIRD), arrived(OTHER_FILE, THIRD)):
        with pytest.raises(NotThisMove) as refusal:
            step(case, event, CALENDARS)
        assert isinstance(refusal.value, ZoneError)
        assert ALEX not in str(refusal.value)


def test_a_refused_file_is_written_again(zone: Zone) -> None:
    case = zone.tell(ended(), started(), prepared(), sent(), delivered(), rejected())
    assert case.status is S.REJECTED
    assert zone.told(Why.FILE_REJECTED) == {(Party.OLD_SCHOOL, OLD)}
    assert zone.files() == [NEW, NEW]

    case = zone.tell(prepared(OTHER_FILE), sent(OTHER_FILE), delivered(), loaded(), confirmed())

    assert case.status is S.COMPLETE
    assert case.ctf == OTHER_FILE


def test_a_file_that_nobody_loads_is_chased(zone: Zone) -> None:
    zone.tell(ended(), started(), sent(), delivered(), clock(date(2025, 10, 13)))
    assert zone.overdue() == []

    zone.tell(clock(date(2025, 10, 14)))

    assert zone.overdue() == [RuleId.Z1]


def test_a_file_may_arrive_before_either_school_tells(zone: Zone) -> None:
    case = zone.tell(arrived(), started(), ended())

    assert len(zone.all) == 1
    assert (case.from_school, case.to_school, case.leaving, case.entry) == (OLD, NEW, LEFT, IN)
    assert case.status is S.SENT
    assert zone.files() == []


def test_a_new_school_that_tells_first_waits_for_the_old_one(zone: Zone) -> None:
    assert zone.tell(started()).transfer_type is TransferType.NOT_KNOWN
    case = zone.tell(ended())

    assert len(zone.all) == 1
    assert case.transfer_type is TransferType.SCHOOL_CHANGE
    assert AskForRecord(ALEX, OLD) in zone.actions


def test_the_old_school_may_be_the_last_to_tell_of_a_move_that_is_complete(zone: Zone) -> None:
    case = zone.tell(started(), loaded(), confirmed(), ended())

    assert len(zone.all) == 1
    assert (case.status, case.from_school) == (S.COMPLETE, OLD)


def test_a_new_school_asks_who_the_old_one_is_when_nobody_has_said(zone: Zone) -> None:
    zone.tell(started(), clock(date(2025, 10, 11)))
    assert zone.told(Why.OLD_SCHOOL_NOT_KNOWN) == set()

    zone.tell(clock(date(2025, 10, 12)))

    assert zone.told(Why.OLD_SCHOOL_NOT_KNOWN) == {(Party.NEW_SCHOOL, NEW)}


def test_a_leaving_date_after_the_entry_date_is_dual_registration_or_an_error_and_said(zone: Zone) -> None:
    case = zone.tell(started(entry=date(2025, 9, 29)), ended())

    assert case.dates_overlap
    assert zone.told(Why.DATES_OVERLAP) == {(Party.OLD_SCHOOL, OLD), (Party.NEW_SCHOOL, NEW)}


def test_a_leaving_date_that_is_put_right_overlaps_no_more(zone: Zone) -> None:
    case = zone.tell(ended(leaving=date(2025, 10, 10)), started(), ended(leaving=LEFT))

    assert len(zone.all) == 1
    assert (case.leaving, case.dates_overlap) == (LEFT, False)


def test_dual_registration_is_no_overlap_and_its_file_is_due_from_when_it_is_known(zone: Zone) -> None:
    case = zone.tell(started(membership="S", previous=OLD))
    deadline = case.deadline(RuleId.T2)

    assert case.transfer_type is TransferType.DUAL_REGISTRATION
    assert (case.from_school, case.leaving) == (OLD, None)
    assert deadline is not None
    assert (deadline.trigger, deadline.due) == (IN, date(2025, 11, 4))
    assert zone.files() == [NEW]
    assert not case.dates_overlap


def test_after_dual_registration_the_learner_may_leave_the_first_school(zone: Zone) -> None:
    case = zone.tell(started(membership="S", previous=OLD), ended(leaving=date(2025, 12, 19)))

    assert len(zone.all) == 1
    assert case.leaving == date(2025, 12, 19)
    assert not case.dates_overlap


def test_an_unknown_destination_goes_to_the_pool_after_15_school_days_of_the_old_school(zone: Zone) -> None:
    zone.tell(ended(), clock(date(2025, 11, 4)))
    assert zone.files() == []

    case = zone.tell(clock(date(2025, 11, 5)))
    assert zone.files() == [NOT_KNOWN]
    assert case.status is S.NOTIFIED

    case = zone.tell(prepared(POOL_FILE, date(2025, 11, 5)))
    assert case.status is S.DESTINATION_UNKNOWN
    assert SendToLostPupils(ALEX) in zone.actions

    case = zone.tell(sent(POOL_FILE, date(2025, 11, 5)))
    assert case.status is S.LOST_PUPILS
    assert zone.overdue() == []


def test_nobody_is_lost_before_the_search_is_over(zone: Zone) -> None:
    case = zone.tell(ended(), prepared(POOL_FILE))
    assert case.status is S.PREPARED

    with pytest.raises(MoveNotAllowed, match="2025-11-04"):
        zone.tell(sent(POOL_FILE, date(2025, 11, 4)))

    assert zone.tell(clock(date(2025, 11, 5))).status is S.DESTINATION_UNKNOWN


def test_a_file_addressed_to_the_pool_too_early_is_kept_as_prepared(zone: Zone) -> None:
    assert zone.tell(ended(), arrived(POOL_FILE)).status is S.PREPARED
    assert zone.tell(arrived(POOL_FILE, day=date(2025, 11, 5))).status is S.DESTINATION_UNKNOWN
    assert len(zone.all) == 1


@pytest.mark.parametrize(
    "told", [found(day=date(2026, 1, 6)), started(entry=date(2026, 1, 6))], ids=["found", "enrolled"]
)
def test_a_learner_in_the_pool_who_is_found_gets_a_file_after_all(zone: Zone, told: Event) -> None:
    zone.tell(
        ended(), clock(date(2025, 11, 5)), prepared(POOL_FILE, date(2025, 11, 5)), sent(POOL_FILE, date(2025, 11, 5))
    )

    case = zone.tell(told)

    assert len(zone.all) == 1
    assert zone.files() == [NOT_KNOWN, NEW]
    deadline = case.deadline(RuleId.T1)
    assert deadline is not None
    assert deadline.trigger == date(2026, 1, 6)
    case = zone.tell(prepared(FILE, date(2026, 1, 7)), sent(FILE, date(2026, 1, 7)))
    assert case.history[-1][::3] == (S.SENT, Note.FOUND_LATER)


def test_a_learner_in_the_pool_who_is_back_at_the_old_school_has_not_moved(zone: Zone) -> None:
    zone.tell(
        ended(), clock(date(2025, 11, 5)), prepared(POOL_FILE, date(2025, 11, 5)), sent(POOL_FILE, date(2025, 11, 5))
    )

    case = zone.tell(started(OLD, date(2025, 11, 10)))

    assert len(zone.all) == 1
    assert case.history[-1][::3] == (S.CANCELLED, Note.DID_NOT_TAKE_PLACE)
    assert zone.tell(started(OLD, date(2025, 11, 10))) == case


def test_a_belief_of_the_old_school_gives_way_to_the_school_that_enrols(zone: Zone) -> None:
    case = zone.tell(ended(destination=THIRD), started())

    assert len(zone.all) == 1
    assert case.to_school == NEW
    assert zone.files() == [THIRD, NEW]


# The special cases of the transfer story.


@pytest.mark.parametrize("shield", [Shield.ADOPTED, Shield.PROTECTED_MOVE])
def test_adoption_and_protected_address_of_a_shielded_learner_nothing_is_joined_or_sent(
    zone: Zone, shield: Shield
) -> None:
    first = ended()
    case = zone.tell(replace(first, leaving=LEFT))
    zone.actions.clear()

    zone.about(case, care(IN_CARE.since, True, QUARRINGTON), Shielded(at=at(LEFT), actor="LA:820", shield=shield))
    zone.actions.clear()
    case = zone.tell(started(), clock(date(2025, 11, 30)))

    assert zone.actions == []
    assert case.shield is shield


def test_adoption_a_shielded_move_is_told_to_the_virtual_school_alone(zone: Zone) -> None:
    plan = MovePlanned(at=at(LEFT), actor="VirtualSchool", learner=ALEX, from_school=OLD, to_school=NEW, leaving=LEFT)
    shielded = Shielded(at=at(LEFT), actor="LA:820", shield=Shield.ADOPTED)

    case = zone.tell(plan, care(IN_CARE.since, True, QUARRINGTON), shielded, ended(), started())

    assert zone.actions == [Notify(Party.VIRTUAL_SCHOOL, Why.SHIELDED, QUARRINGTON)]
    assert case.status is S.PLANNED


def test_adoption_the_new_identity_is_another_learner(zone: Zone) -> None:
    zone.tell(ended())
    zone.tell(started(learner=SAM))

    assert [case.learner for case in zone.all] == [ALEX, SAM]


def test_care_responsibility_that_moves_to_another_authority_is_told_to_both(zone: Zone) -> None:
    case = zone.tell(
        ended(), started(), care(IN_CARE.since, True, QUARRINGTON), care(date(2025, 10, 20), True, ELSEWHERE)
    )

    assert (case.looked_after, case.responsible) == (True, QUARRINGTON)
    assert zone.told(Why.RESPONSIBILITY_MOVED) == {
        (Party.VIRTUAL_SCHOOL, QUARRINGTON),
        (Party.VIRTUAL_SCHOOL, ELSEWHERE),
    }


def test_a_school_that_academises_during_a_transfer_gets_the_file_at_its_new_number(zone: Zone) -> None:
    academy = Establishment("8204001")
    zone.tell(ended(), started(), prepared(), sent())
    renumbered = SchoolClosedOrRenumbered(at=at(date(2025, 10, 8)), actor="LA:820", school=NEW, successor=academy)

    case = zone.tell(renumbered)
    assert zone.files() == [NEW, academy]
    assert zone.told(Why.NUMBER_CHANGED) == {(Party.NEW_SCHOOL, academy)}
    assert (case.to_school, case.new_number) == (NEW, academy)

    case = zone.tell(prepared(replace_destination(academy)), sent(replace_destination(academy)), loaded(academy))
    assert case.status is S.LOADED
    assert len(zone.all) == 1


def test_an_old_school_that_academises_still_counts_by_its_calendar(zone: Zone) -> None:
    academy = Establishment("8204001")
    before = zone.tell(ended())
    zone.tell(SchoolClosedOrRenumbered(at=at(IN), actor="LA:820", school=OLD, successor=academy))

    case = zone.tell(ended(academy), started())

    assert len(zone.all) == 1
    assert [d.due for d in case.deadlines] == [d.due for d in before.deadlines]
    assert WriteCtf(ALEX, academy, NEW) in zone.actions


@pytest.mark.parametrize(("closing", "to_school"), [(NEW, None), (OLD, NEW)], ids=["new-school", "old-school"])
def test_a_school_that_closes_during_a_transfer_is_told_to_its_authority(
    zone: Zone, closing: Establishment, to_school: Establishment | None
) -> None:
    zone.tell(ended(destination=NEW))

    case = zone.tell(SchoolClosedOrRenumbered(at=at(IN), actor="LA:820", school=closing))

    assert case.to_school == to_school
    assert zone.told(Why.SCHOOL_CLOSED) == {(Party.AUTHORITY, "820")}


BACK: Final = date(2025, 10, 13)


@pytest.mark.parametrize("first", ["old-first", "new-first"])
def test_crossing_transfers_a_child_who_returns_before_the_file_arrives_has_two_cases(zone: Zone, first: str) -> None:
    there = zone.tell(ended(), started(), prepared(), sent())
    back = [ended(NEW, date(2025, 10, 10)), started(OLD, BACK)]
    zone.tell(*(back if first == "old-first" else reversed(back)))
    return_file = Ctf("8209901_CTF_8209902_001.xml", OLD, "11" * 32)
    zone.tell(arrived(return_file, NEW, BACK))
    zone.tell(arrived(FILE, OLD, BACK))

    assert len(zone.all) == 2
    one, other = zone.all
    assert (one.ref_id, one.from_school, one.to_school, one.ctf) == (there.ref_id, OLD, NEW, FILE)
    assert (other.from_school, other.to_school, other.entry, other.ctf) == (NEW, OLD, BACK, return_file)


def test_a_child_who_leaves_again_after_a_return_makes_a_third_move(zone: Zone) -> None:
    zone.tell(ended(), started(), ended(NEW, date(2025, 10, 10)), started(OLD, BACK))

    zone.tell(ended(OLD, date(2025, 10, 17)), started(THIRD, date(2025, 10, 20)))

    assert [(case.from_school, case.to_school) for case in zone.all] == [(OLD, NEW), (NEW, OLD), (OLD, THIRD)]


def test_a_second_move_before_the_first_is_complete_is_a_case_of_its_own(zone: Zone) -> None:
    second = [ended(NEW, date(2025, 10, 17)), started(THIRD, date(2025, 10, 20))]
    zone.tell(started(), second[1], ended(), second[0])

    assert [(case.from_school, case.to_school) for case in zone.all] == [(OLD, NEW), (NEW, THIRD)]
    assert all(case.is_open for case in zone.all)


@pytest.mark.parametrize("kin", ["twins", "namesakes-with-one-birth-date"])
def test_twins_and_namesakes_are_told_apart_by_ref_id_alone(zone: Zone, kin: str) -> None:
    zone.tell(ended(), ended(learner=SAM))
    alex = zone.tell(started())
    sam = zone.tell(started(learner=SAM))

    assert kin
    assert len(zone.all) == 2
    assert (alex.learner, sam.learner) == (ALEX, SAM)


def test_alternative_provision_with_the_main_registration_kept_is_no_leaving(zone: Zone) -> None:
    case = zone.tell(started(membership="S", previous=OLD, alternative=True), care(IN_CARE.since, True, QUARRINGTON))

    assert case.transfer_type is TransferType.ALTERNATIVE_PROVISION
    assert case.leaving is None
    assert case.deadline(RuleId.T1) is None
    assert zone.told(Why.MISSING_EDUCATION) == set()


def test_a_child_placed_out_of_authority_is_the_responsible_authoritys(zone: Zone) -> None:
    far = Establishment("8794001")

    zone.tell(ended(), care(IN_CARE.since, True, ELSEWHERE), started(far))

    assert (Party.VIRTUAL_SCHOOL, ELSEWHERE) in zone.told(Why.MOVE)
    assert (Party.NEW_TEACHER, far) in zone.told(Why.MOVE)
    assert not any(where in {"820", "879"} for _, where in zone.told(Why.MOVE))


@pytest.mark.parametrize("told", ["destination", "event", "file"])
def test_a_move_to_wales_or_an_independent_school_goes_outside_and_waits_for_nobody(zone: Zone, told: str) -> None:
    match told:
        case "destination":
            case = zone.tell(ended(destination=OUTSIDE))
        case "event":
            case = zone.tell(ended(), left_sector())
        case _:
            case = zone.tell(ended(), prepared(OUTSIDE_FILE))
    assert case.transfer_type is TransferType.LEFT_SECTOR
    assert case.deadlines == ()

    case = zone.tell(prepared(OUTSIDE_FILE), sent(OUTSIDE_FILE), clock(date(2026, 3, 1)))

    assert zone.files() in ([OUTSIDE], [])
    assert not case.is_open
    assert zone.overdue() == []
    assert zone.told(Why.MISSING_EDUCATION) == set()


def test_a_learner_who_comes_back_from_outside_makes_a_move_of_its_own(zone: Zone) -> None:
    zone.tell(ended(), left_sector(), sent(OUTSIDE_FILE))

    zone.tell(started(entry=date(2026, 1, 6)))

    assert len(zone.all) == 2


def test_remand_makes_a_child_looked_after_and_missing_education_at_once(zone: Zone) -> None:
    zone.tell(ended())
    assert zone.told(Why.MISSING_EDUCATION) == set()

    case = zone.tell(care(date(2025, 10, 6), True, QUARRINGTON))

    assert case.looked_after is None
    assert zone.told(Why.MISSING_EDUCATION) == {(Party.AUTHORITY, QUARRINGTON), (Party.VIRTUAL_SCHOOL, QUARRINGTON)}


def test_a_looked_after_child_without_a_school_is_missing_education_at_once_and_not_at_day_15(zone: Zone) -> None:
    zone.tell(ended(), care(IN_CARE.since, True, QUARRINGTON, LEFT))

    assert zone.told(Why.MISSING_EDUCATION) == {(Party.AUTHORITY, QUARRINGTON), (Party.VIRTUAL_SCHOOL, QUARRINGTON)}


def test_a_child_who_is_to_leave_is_not_missing_before_having_left(zone: Zone) -> None:
    zone.tell(replace(ended(), at=at(date(2025, 9, 20))), care(IN_CARE.since, True, QUARRINGTON, date(2025, 9, 20)))
    assert zone.told(Why.MISSING_EDUCATION) == set()

    zone.tell(clock(LEFT))

    assert zone.told(Why.MISSING_EDUCATION) != set()


def test_a_child_who_ends_care_in_the_middle_of_a_transfer_was_looked_after_at_it(zone: Zone) -> None:
    case = zone.tell(ended(), care(IN_CARE.since, True, QUARRINGTON), care(date(2025, 10, 20), False), started())

    assert (case.looked_after, case.responsible) == (True, QUARRINGTON)
    assert case.deadline(RuleId.L10) is not None
    assert zone.told(Why.CARE_ENDED) == {(Party.VIRTUAL_SCHOOL, QUARRINGTON)}


def test_a_looked_after_childs_move_is_told_to_teachers_social_worker_and_virtual_school(zone: Zone) -> None:
    zone.tell(ended(), started(), care(IN_CARE.since, True, QUARRINGTON))

    assert zone.told(Why.MOVE) == {
        (Party.OLD_SCHOOL, OLD),
        (Party.NEW_SCHOOL, NEW),
        (Party.OLD_TEACHER, OLD),
        (Party.NEW_TEACHER, NEW),
        (Party.SOCIAL_WORKER, QUARRINGTON),
        (Party.VIRTUAL_SCHOOL, QUARRINGTON),
    }


def test_other_records_of_a_looked_after_child_are_followed_beyond_the_file(zone: Zone) -> None:
    moves = (ended(), started(), care(IN_CARE.since, True, QUARRINGTON), sent(), delivered(), loaded(), confirmed())
    case = zone.tell(*moves)
    assert (case.status, case.is_open, case.is_followed) == (S.COMPLETE, False, True)

    receipt = RecordPassed(at=at(IN), actor="DT:8209901", record=Record.SAFEGUARDING_RECEIPT, on=IN)
    case = zone.tell(receipt, clock(date(2025, 10, 31)))
    assert zone.overdue() == []

    case = zone.tell(clock(date(2025, 11, 1)))
    assert zone.overdue() == [RuleId.L10]

    received = RecordPassed(at=at(IN), actor="DT:8209901", record=Record.PEP_RECEIVED, on=date(2025, 11, 3))
    assert not zone.tell(received).is_followed


def test_a_cancelled_move_is_told_to_the_virtual_school_and_followed_no_more(zone: Zone) -> None:
    case = zone.tell(ended(), care(IN_CARE.since, True, QUARRINGTON), cancelled())

    assert (case.status, case.is_followed) == (S.CANCELLED, False)
    assert zone.told(Why.MOVE_CANCELLED) == {(Party.VIRTUAL_SCHOOL, QUARRINGTON)}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("ST", TransferType.SCHOOL_CHANGE), ("JS", TransferType.PHASE_CHANGE), ("PE", TransferType.PERMANENT_EXCLUSION)],
)
def test_the_reason_for_leaving_tells_the_kind_of_move(zone: Zone, reason: str, kind: TransferType) -> None:
    assert zone.tell(ended(reason=reason), started()).transfer_type is kind


def test_a_destination_is_found_at_neither_the_old_school_nor_when_the_learner_is_at_another() -> None:
    with pytest.raises(NotThisMove, match="old school"):
        step(replace(in_status(S.NOTIFIED), to_school=None, entry=None), found(OLD), CALENDARS)
    with pytest.raises(NotThisMove, match="at the new school"):
        step(in_status(S.NOTIFIED), found(THIRD), CALENDARS)
    with pytest.raises(NotThisMove, match="entered another"):
        step(in_status(S.NOTIFIED), left_sector(), CALENDARS)


def test_a_file_of_the_same_name_from_another_school_is_about_another_move() -> None:
    zone = Zone()
    zone.tell(ended(), arrived())

    other = CtfArrived(at=at(IN), actor="MIS", learner=ALEX, source=THIRD, ctf=FILE._replace(destination=OLD))
    zone.tell(other)

    assert len(zone.all) == 2
    assert all(case.from_school != case.to_school for case in zone.all)
