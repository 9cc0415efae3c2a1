"""Learners who enter and leave scopes: the whole record comes once and in order, and what must end is ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from broker.protocol.envelope import Action
from broker.protocol.exchanges import AnswerError
from broker.protocol.topology import BROKER_LOGIN
from broker.scopes import review_of
from broker.transports import MemoryTransport, Outgoing
from tests.integration.worker.stage import (
    AGREEMENTS,
    Stage,
    agreement,
    care,
    contact,
    enrolment,
    link,
    open_stage,
    personal,
)

ADA: Final = "A1" * 16
BEN: Final = "A2" * 16
STAY: Final = "E1" * 16
OTHER_STAY: Final = "E2" * 16
PERIOD: Final = "F1" * 16
CARER: Final = "D1" * 16
PERSONAL: Final = ("LearnerPersonal", ADA)
ENROLLED: Final = ("LearnerSchoolEnrolment", STAY)
LINKED: Final = ("LearnerContact", f"{ADA}|{CARER}")
PERSON: Final = ("ContactPersonal", CARER)
CARE: Final = ("LearnerLookedAfter", PERIOD)
ADD, CHANGE, DELETE = Action.ADD, Action.CHANGE, Action.DELETE


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A zone in which a pupil of school 1, with a carer, is known."""
    with open_stage(tmp_path / "zone") as found:
        found.publish("mis-1", ADD, personal(ADA))
        found.publish("mis-1", ADD, enrolment(STAY, ADA, "8209901"))
        found.publish("mis-1", ADD, contact(CARER))
        found.publish("mis-1", ADD, link(ADA, CARER))
        found.settle()
        yield found


def test_who_enters_care_reaches_the_virtual_school_whole_once_and_in_order(stage: Stage) -> None:
    assert stage.recipients["virtual-school"].log == []

    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()

    log = stage.recipients["virtual-school"].log
    assert log[:2] == [(ADD, PERSONAL), (ADD, PERSON)]
    assert sorted(log[2:]) == sorted([(ADD, ENROLLED), (ADD, LINKED), (ADD, CARE)])
    assert stage.recipients["virtual-school"].odd == []


def test_who_leaves_care_is_ended_what_depends_on_others_first(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    before = len(stage.recipients["virtual-school"].log)

    stage.publish("social-care", CHANGE, care(PERIOD, ADA, end="2026-09-30", status="CE"))
    stage.settle()

    ended = stage.recipients["virtual-school"].log[before:]
    assert ended[0] == (CHANGE, CARE)
    assert {key for action, key in ended[1:] if action is DELETE} == {PERSONAL, ENROLLED, LINKED, PERSON, CARE}
    assert ended[-2:] == [(DELETE, PERSON), (DELETE, PERSONAL)]
    assert stage.recipients["virtual-school"].held == {}


def test_care_that_ends_on_a_day_is_over_for_the_virtual_school_on_the_next(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA, end="2026-10-01"))
    stage.settle()
    assert PERSONAL in stage.recipients["virtual-school"].held

    stage.pass_time(days=1)
    stage.settle()
    stage.pass_time(minutes=1)
    stage.settle()

    assert stage.recipients["virtual-school"].held == {}


def tell(stage: Stage, message: Outgoing) -> None:
    """Let the zone tell its worker something, as a command does."""
    transport = MemoryTransport(stage.broker, BROKER_LOGIN)
    transport.publish(message)
    transport.poll(0)
    transport.close()


def test_what_was_refused_waits_for_its_next_try_unless_somebody_is_in_a_hurry(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    for _ in range(len(stage.publishers["mis-1"].asked)):
        stage.respond("mis-1", stage.publishers["mis-1"].asked.pop(), AnswerError(8, 1, "not now"))
    stage.settle()
    assert stage.publishers["mis-1"].asked == []

    tell(stage, review_of(ADA, stage.moment.timestamp()))
    stage.settle()
    assert stage.publishers["mis-1"].asked == []
    tell(stage, review_of(ADA, stage.moment.timestamp() + 0.001, hurry=True))
    stage.settle()
    assert [message.kind for message in stage.publishers["mis-1"].asked] == ["SIF_Request"]
    assert [fetch.attempts for row in stage.store.entering() for fetch in row.fetches if fetch.request_id] == [1]

    # what is asked for already is not asked for twice
    tell(stage, review_of(ADA, stage.moment.timestamp() + 0.002, hurry=True))
    stage.settle()
    assert len(stage.publishers["mis-1"].asked) == 1
    stage.publishers["mis-1"].is_away = False
    stage.settle()
    assert PERSONAL in stage.recipients["virtual-school"].held
    assert stage.store.entering() == []


def test_what_changes_while_a_record_is_asked_for_comes_with_it(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle(answering=False)
    stage.publish("mis-1", CHANGE, personal(ADA, "Renamed"))
    stage.settle()

    virtual = stage.recipients["virtual-school"]
    assert virtual.odd == []
    assert virtual.held[PERSONAL].findtext(".//{*}FamilyName") == "Renamed"


def test_what_is_deleted_while_a_record_is_asked_for_is_not_held_afterwards(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle(answering=False)
    stage.answer("mis-1")
    stage.publish("mis-1", DELETE, enrolment(STAY, ADA, "8209901"))
    stage.settle()

    virtual = stage.recipients["virtual-school"]
    assert ENROLLED not in virtual.held
    assert PERSONAL in virtual.held
    assert virtual.odd == []


def test_an_agent_that_answers_late_is_waited_for_and_one_that_refuses_is_asked_again(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    asked = stage.publishers["mis-1"].asked.pop()
    stage.respond("mis-1", asked, AnswerError(8, 1, "made up"))
    stage.settle()
    assert stage.publishers["mis-1"].asked == []

    stage.pass_time(minutes=2)
    stage.publishers["mis-1"].is_away = False
    stage.settle()

    assert {PERSONAL, ENROLLED, LINKED, PERSON, CARE} == set(stage.recipients["virtual-school"].held)


def test_silence_is_a_failure_and_is_asked_again(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    stage.publishers["mis-1"].asked.clear()

    stage.pass_time(minutes=11)
    stage.settle()
    stage.publishers["mis-1"].is_away = False
    stage.pass_time(minutes=2)
    stage.settle()

    assert PERSONAL in stage.recipients["virtual-school"].held


def test_a_shield_ends_what_everybody_holds_who_has_no_agreement_on_shielded_learners(stage: Stage) -> None:
    assert PERSONAL in stage.recipients["platform"].held

    stage.publish("social-care", ADD, care(PERIOD, ADA, shield="P"))
    stage.settle()

    assert stage.recipients["platform"].held == {}
    assert stage.recipients["bookroom"].held == {}
    assert stage.recipients["virtual-school"].held == {}

    stage.publish("social-care", CHANGE, care(PERIOD, ADA, shield="N"))
    stage.settle()

    assert PERSONAL in stage.recipients["platform"].held
    assert PERSONAL in stage.recipients["virtual-school"].held


def test_an_adopted_learners_shield_is_never_lifted(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA, shield="A"))
    stage.publish("social-care", CHANGE, care(PERIOD, ADA, shield="N"))
    stage.settle()

    assert stage.recipients["platform"].held == {}


def test_who_moves_stays_with_those_who_serve_both_schools_and_leaves_the_others(stage: Stage) -> None:
    stage.publish("mis-1", CHANGE, enrolment(STAY, ADA, "8209901", leaves="2026-09-30"))
    stage.publish("mis-2", ADD, personal(ADA, "At-School-Two"))
    stage.publish("mis-2", ADD, enrolment(OTHER_STAY, ADA, "8209902", entry="2026-10-01"))
    stage.settle()

    assert stage.recipients["bookroom"].held == {}
    platform = stage.recipients["platform"]
    assert platform.odd == []
    assert platform.held[PERSONAL].findtext(".//{*}FamilyName") == "At-School-Two"

    stage.publish("mis-1", DELETE, link(ADA, CARER))
    stage.publish("mis-1", DELETE, enrolment(STAY, ADA, "8209901"))
    stage.publish("mis-1", DELETE, personal(ADA))
    stage.settle()

    assert PERSONAL in platform.held
    assert set(platform.of(ADA)) == {PERSONAL, ("LearnerSchoolEnrolment", OTHER_STAY)}
    assert platform.held[PERSONAL].findtext(".//{*}FamilyName") == "At-School-Two"


def test_an_answer_that_comes_late_does_not_take_the_place_of_what_another_school_has_said_since(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    stage.publish("mis-2", ADD, personal(ADA, "At-School-Two"))
    stage.settle()
    stage.publishers["mis-1"].is_away = False
    stage.settle()

    virtual = stage.recipients["virtual-school"]
    assert virtual.odd == []
    assert virtual.held[PERSONAL].findtext(".//{*}FamilyName") == "At-School-Two"
    assert {PERSONAL, ENROLLED, LINKED, PERSON, CARE} == set(virtual.held)


def test_an_agreement_that_starts_brings_everybody_in_its_scope_and_one_that_expires_ends_them(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    stage.apply({name: text for name, text in AGREEMENTS.items() if name != "virtual"})
    stage.settle()
    assert stage.recipients["virtual-school"].held == {}

    stage.apply(AGREEMENTS)
    stage.settle()

    assert {PERSONAL, ENROLLED, LINKED, PERSON, CARE} == set(stage.recipients["virtual-school"].held)
    assert stage.recipients["virtual-school"].odd == []


def test_an_agreement_may_let_its_recipient_keep_what_it_has_of_who_leaves(tmp_path: Path) -> None:
    kept = agreement("bookroom", ["mis-*"], ["bookroom"], "enrolled", ["LearnerPersonal"], more='leaving = "notice"')
    with open_stage(tmp_path / "zone", {**AGREEMENTS, "bookroom": kept}) as stage:
        stage.publish("mis-1", ADD, personal(ADA))
        stage.publish("mis-1", ADD, enrolment(STAY, ADA, "8209901"))
        stage.settle()
        stage.publish("mis-1", CHANGE, enrolment(STAY, ADA, "8209901", leaves="2026-09-30"))
        stage.settle()

        assert PERSONAL in stage.recipients["bookroom"].held
        assert PERSONAL not in stage.recipients["platform"].held


def test_a_contact_of_two_learners_goes_only_with_the_last(stage: Stage) -> None:
    stage.publish("mis-1", ADD, personal(BEN))
    stage.publish("mis-1", ADD, enrolment("E3" * 16, BEN, "8209901"))
    stage.publish("mis-1", ADD, link(BEN, CARER))
    stage.settle()

    stage.publish("mis-1", CHANGE, enrolment(STAY, ADA, "8209901", leaves="2026-09-30"))
    stage.settle()
    assert PERSON in stage.recipients["platform"].held

    stage.publish("mis-1", CHANGE, enrolment("E3" * 16, BEN, "8209901", leaves="2026-09-30"))
    stage.settle()
    assert stage.recipients["platform"].held == {}


def test_a_worker_killed_while_a_record_is_on_its_way_brings_it_all_the_same_once(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.step()
    stage.start_worker()
    stage.settle(answering=False)
    stage.answer("mis-1")
    stage.step()
    stage.start_worker()
    stage.settle()

    virtual = stage.recipients["virtual-school"]
    assert {PERSONAL, ENROLLED, LINKED, PERSON, CARE} == set(virtual.held)
    assert virtual.odd == []


def test_what_the_case_system_says_outranks_the_flag_that_a_school_keeps(stage: Stage) -> None:
    flag = "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
    stage.publish("mis-1", CHANGE, personal(ADA, more=flag))
    stage.settle()
    assert PERSONAL in stage.recipients["virtual-school"].held

    stage.publish("social-care", ADD, care(PERIOD, ADA, end="2026-09-15", status="CE"))
    stage.settle()

    assert stage.recipients["virtual-school"].held == {}
