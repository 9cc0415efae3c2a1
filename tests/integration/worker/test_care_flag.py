"""A school's flag and the authority's care records: what differs is listed for both, until either is mended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from broker.protocol.envelope import Action
from tests.integration.worker.stage import Stage, care, enrolment, open_stage, personal

ADA: Final = "A1" * 16
PERIOD: Final = "F1" * 16
ADD, CHANGE, DELETE = Action.ADD, Action.CHANGE, Action.DELETE
YES: Final = "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
OTHERS: Final = "<InCare><Current>Yes</Current><LAId>821</LAId></InCare>"
NO: Final = "<InCare><Current>No</Current><LAId/></InCare>"
SCHOOLS: Final = ("mis-1", "LearnerPersonal")
RECORDS: Final = ("social-care", "LearnerLookedAfter")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A zone in which a pupil of school 1 is known, of whom it says that they are not in care."""
    with open_stage(tmp_path / "zone") as found:
        found.publish("mis-1", ADD, personal(ADA, more=NO))
        found.publish("mis-1", ADD, enrolment("E1" * 16, ADA, "8209901"))
        found.settle()
        yield found


def conflicts(stage: Stage) -> set[tuple[str, str]]:
    """Return the publisher and kind of each record that is listed now."""
    stage.settle()
    return {(flaw.source, flaw.object_type) for flaw in stage.store.flaws() if flaw.rule == "care-flag-agrees"}


def test_what_differs_is_listed_and_neither_side_is_overwritten(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    assert conflicts(stage) == {RECORDS}

    stage.publish("mis-1", CHANGE, personal(ADA, "Renamed", more=NO))
    assert conflicts(stage) == {RECORDS, SCHOOLS}
    virtual = stage.recipients["virtual-school"]
    assert virtual.held["LearnerPersonal", ADA].findtext(".//{*}InCare/{*}Current") == "No"
    assert virtual.held["LearnerLookedAfter", PERIOD].findtext("{*}Current") == "Yes"


@pytest.mark.parametrize("mended", ["by the school", "by social care", "by a delete"])
def test_what_is_mended_on_either_side_is_listed_for_neither(stage: Stage, mended: str) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.publish("mis-1", CHANGE, personal(ADA, more=OTHERS))
    assert conflicts(stage) == {RECORDS, SCHOOLS}

    match mended:
        case "by the school":
            stage.publish("mis-1", CHANGE, personal(ADA, more=YES))
        case "by social care":
            stage.publish("mis-1", CHANGE, personal(ADA, more=NO))
            stage.publish("social-care", CHANGE, care(PERIOD, ADA, end="2026-09-30", status="CE"))
        case _:
            stage.publish("social-care", DELETE, care(PERIOD, ADA))
    assert conflicts(stage) == set()


def test_a_school_that_never_said_anything_of_care_is_told_nothing(stage: Stage) -> None:
    other = "A2" * 16
    stage.publish("mis-1", ADD, personal(other))
    stage.publish("social-care", ADD, care("F2" * 16, other))
    stage.publish("mis-1", CHANGE, personal(other, "Renamed"))

    assert conflicts(stage) == set()


def test_of_a_shielded_child_nothing_is_listed(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA, shield="P"))
    stage.publish("mis-1", CHANGE, personal(ADA, more=NO))

    assert conflicts(stage) == set()
