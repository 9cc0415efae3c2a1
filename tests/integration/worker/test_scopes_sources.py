"""Objects that come in numbers, and records that two schools publish: what is remembered, and whose word counts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from broker.protocol.envelope import Action
from broker.storage import StorageUnavailable
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
STAY: Final = "E1" * 16
NEXT_STAY: Final = "E2" * 16
PERIOD: Final = "F1" * 16
CARER: Final = "D1" * 16
PERSONAL: Final = ("LearnerPersonal", ADA)
ADD, CHANGE, DELETE = Action.ADD, Action.CHANGE, Action.DELETE
NEEDS: Final = tuple(f"{number:032X}" for number in range(1, 6))


def needs(ref: str, provision: str = "K") -> str:
    return (
        f'<LearnerSpecialNeeds RefId="{ref}" LearnerPersonalRefId="{ADA}" SchoolInfoRefId="{"C1" * 16}">'
        f"<NextReviewDate>2027-01-15</NextReviewDate><Provision>{provision}</Provision>"
        "<StartDate>2026-09-01</StartDate></LearnerSpecialNeeds>"
    )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A zone in which a pupil of school 1 is known."""
    with open_stage(tmp_path / "zone") as found:
        found.publish("mis-1", ADD, personal(ADA))
        found.publish("mis-1", ADD, enrolment(STAY, ADA, "8209901"))
        found.settle()
        yield found


def remembered(stage: Stage) -> list[str]:
    """Return the keys under which special needs are remembered of the learner."""
    row = stage.store.learners([ADA])[ADA]
    return sorted(held.ref for held in row.holdings if held.object_type == "LearnerSpecialNeeds")


def held(stage: Stage) -> set[str]:
    return {ref for kind, ref in stage.recipients["virtual-school"].held if kind == "LearnerSpecialNeeds"}


def test_objects_that_nobody_holds_are_remembered_together_however_many(stage: Stage) -> None:
    for ref in NEEDS:
        stage.publish("mis-1", ADD, needs(ref))
    stage.publish("mis-1", CHANGE, needs(NEEDS[0], "E"))
    stage.publish("mis-1", DELETE, needs(NEEDS[1]))
    stage.settle()

    assert remembered(stage) == [""]


def test_who_enters_gets_them_all_and_who_leaves_is_ended_of_each(stage: Stage) -> None:
    for ref in NEEDS:
        stage.publish("mis-1", ADD, needs(ref))
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    assert held(stage) == set(NEEDS)
    assert remembered(stage) == sorted(NEEDS)

    more = "AB" * 16
    stage.publish("mis-1", ADD, needs(more))
    stage.settle()
    assert held(stage) == {*NEEDS, more}

    stage.publish("social-care", CHANGE, care(PERIOD, ADA, end="2026-09-30", status="CE"))
    stage.settle()

    assert held(stage) == set()
    assert remembered(stage) == [""]
    assert stage.recipients["virtual-school"].odd == []


def test_a_change_of_one_that_nobody_holds_brings_it_to_who_enters_with_it(stage: Stage) -> None:
    stage.publish("mis-1", ADD, needs(NEEDS[0]))
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle(answering=False)
    stage.publish("mis-1", CHANGE, needs(NEEDS[0], "E"))
    stage.settle()

    virtual = stage.recipients["virtual-school"]
    assert virtual.held["LearnerSpecialNeeds", NEEDS[0]].findtext("{*}Provision") == "E"
    assert virtual.odd == []


def test_a_school_that_the_learner_has_left_no_longer_changes_the_record(stage: Stage) -> None:
    stage.publish("mis-1", CHANGE, enrolment(STAY, ADA, "8209901", leaves="2026-09-30"))
    stage.publish("mis-2", ADD, personal(ADA, "At-School-Two"))
    stage.publish("mis-2", ADD, enrolment(NEXT_STAY, ADA, "8209902", entry="2026-10-01"))
    stage.settle()

    stage.publish("mis-1", CHANGE, personal(ADA, "An-Old-Word", "<HomeLA>821</HomeLA>"))
    stage.settle()

    assert stage.recipients["platform"].held[PERSONAL].findtext(".//{*}FamilyName") == "At-School-Two"
    assert stage.store.learners([ADA])[ADA].home_authority == ""

    stage.publish("mis-2", CHANGE, personal(ADA, "A-New-Word"))
    stage.settle()

    assert stage.recipients["platform"].held[PERSONAL].findtext(".//{*}FamilyName") == "A-New-Word"


def test_while_the_learner_is_at_both_schools_the_last_word_counts(stage: Stage) -> None:
    stage.publish("mis-2", ADD, personal(ADA, "At-School-Two"))
    stage.publish("mis-2", ADD, enrolment(NEXT_STAY, ADA, "8209902", entry="2026-10-01", membership="S"))
    stage.publish("mis-1", CHANGE, personal(ADA, "The-Last-Word"))
    stage.settle()

    assert stage.recipients["platform"].held[PERSONAL].findtext(".//{*}FamilyName") == "The-Last-Word"


@pytest.mark.parametrize("action", [CHANGE, DELETE])
@pytest.mark.parametrize("what", [personal(ADA, "Another"), enrolment(STAY, ADA, "8209901", leaves="2026-09-30")])
def test_what_another_agent_publishes_is_nobody_elses_to_change_or_delete(
    stage: Stage, action: Action, what: str
) -> None:
    before = dict(stage.recipients["platform"].held)

    stage.publish("mis-2", action, what)
    stage.settle()

    assert len(stage.publishers["mis-2"].refusals) == 1
    assert "send it whole as an Add first" in stage.publishers["mis-2"].refusals[0]
    assert stage.recipients["platform"].held == before


def test_a_shield_ends_also_what_an_agreement_lets_its_recipient_keep(tmp_path: Path) -> None:
    kept = agreement("bookroom", ["mis-*"], ["bookroom"], "enrolled", ["LearnerPersonal"], more='leaving = "notice"')
    with open_stage(tmp_path / "zone", {**AGREEMENTS, "bookroom": kept}) as stage:
        stage.publish("mis-1", ADD, personal(ADA))
        stage.publish("mis-1", ADD, enrolment(STAY, ADA, "8209901"))
        stage.publish("social-care", ADD, care(PERIOD, ADA, shield="P"))
        stage.settle()

        assert stage.recipients["bookroom"].held == {}


@pytest.mark.parametrize("end", ["9999-12-31", "0001-01-01"])
def test_dates_that_nobody_lives_in_stop_no_worker(stage: Stage, end: str) -> None:
    stage.publish("mis-1", CHANGE, enrolment(STAY, ADA, "8209901", leaves="2026-09-30"))
    stage.publish("mis-1", CHANGE, enrolment(STAY, ADA, "8209901", leaves=end))
    stage.publish("social-care", ADD, care(PERIOD, ADA, end=end))
    stage.settle()

    assert PERSONAL in stage.recipients["virtual-school"].held or end < "2026"
    assert stage.publishers["social-care"].refusals == []


def test_storage_that_is_away_for_a_moment_in_the_midst_of_a_batch_loses_no_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.publish("mis-1", ADD, contact(CARER))
    stage.publish("mis-1", ADD, link(ADA, CARER))
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    real, failures = stage.store.contact_learners, [StorageUnavailable("look up contacts", "locked", "wait")]

    def flaky(refs: Sequence[str]) -> dict[str, tuple[str, ...]]:
        if failures:
            raise failures.pop()
        return real(refs)

    monkeypatch.setattr(stage.store, "contact_learners", flaky)
    stage.publish("social-care", CHANGE, care(PERIOD, ADA, end="2026-09-30", status="CE"))
    stage.settle()

    assert failures == []
    assert stage.recipients["virtual-school"].held == {}


def test_a_record_that_changes_before_each_answer_comes_all_the_same(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    for number in range(6):
        stage.publish("mis-1", CHANGE, personal(ADA, f"Name-{number}"))
        stage.answer("mis-1")
        stage.settle()
    stage.publishers["mis-1"].is_away = False
    stage.settle()
    stage.pass_time(minutes=2)
    stage.settle()

    assert stage.recipients["virtual-school"].held[PERSONAL].findtext(".//{*}FamilyName") == "Name-5"
    assert stage.recipients["virtual-school"].odd == []


def test_of_an_agent_that_never_answers_comes_at_least_what_it_publishes_whole(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()
    for _ in range(20):  # each of its objects is asked for three times
        stage.pass_time(hours=5)
        stage.settle()
        stage.pass_time(minutes=1)
        stage.settle()

    stage.publish("mis-1", ADD, needs(NEEDS[0]))
    stage.settle()

    assert held(stage) == {NEEDS[0]}
