"""Decided as the worker decides, object by object: who in the demo's zone is due what on the first day."""

from collections import defaultdict
from datetime import date

import pytest

from broker.learners import LearnerIndex, observe
from broker.pipeline import about_learner
from broker.protocol.envelope import Action, EventObject
from broker.protocol.identifiers import AgentId
from broker.routing import Router
from broker.settings import load_zone
from tests.unit.demo.conftest import ZONE, Day

Due = dict[tuple[str, str], set[str]]


@pytest.fixture(scope="module")
def due(first_day: Day) -> Due:
    """RefIds of the learners that are told of, by recipient and object."""
    zone = load_zone(ZONE)
    router, index = Router(zone.registry, zone.agreements, date(2026, 11, 23)), LearnerIndex()
    found: Due = defaultdict(set)
    for made in first_day.made:
        if not made.is_valid:
            continue
        event = EventObject(made.object.object_type, Action.ADD, made.object.element)
        learner = about_learner(event) or ""
        index.apply(observe(event, AgentId(made.agent), index.learners.get(learner), index.schools))
        about = {learner} - {""} or index.contacts.get(made.object.ref_id, frozenset())
        standings = (
            tuple(index.standing(ref_id, router.today) for ref_id in about) if made.object.learner_ref_id else None
        )
        for _, recipients in router.plan(AgentId(made.agent), event.object_type, standings).shares:
            for recipient in recipients:
                found[recipient, event.object_type] |= about
    return found


def test_the_virtual_school_is_due_all_fourteen_and_nobody_else(due: Due, first_day: Day) -> None:
    upns = {made.object.ref_id: made.object.key[0] for made in first_day.objects("LearnerPersonal")}
    told_of = set().union(*(learners for (agent, _), learners in due.items() if agent == "virtual-school"))

    assert {upns[ref_id] for ref_id in told_of} == {learner["upn"] for learner in first_day.expected["looked_after"]}
    assert len(due["virtual-school", "LearnerPersonal"]) == len(due["virtual-school", "ContactPersonal"]) == 14


def test_the_platform_is_due_every_learner(due: Due, first_day: Day) -> None:
    learners = sum(school["learners"] for school in first_day.expected["schools"].values())

    assert len(due["merlin", "LearnerPersonal"]) == learners


def test_the_platform_is_due_nothing_about_care_needs_exclusions_or_contacts(due: Due) -> None:
    assert {object_type for agent, object_type in due if agent == "merlin"} == {
        "LearnerPersonal",
        "LearnerSchoolEnrolment",
        "LearnerGroupEnrolment",
        "SchoolGroup",
        "SchoolGroupType",
        "SchoolInfo",
        "TermInfo",
        "WorkforcePersonal",
    }
