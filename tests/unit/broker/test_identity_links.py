"""Which RefId an agent's key stands for: what it was stays, and what people decide holds."""

from dataclasses import replace
from datetime import date
from typing import Final

import pytest

from broker.identity import How, kept_keys
from broker.identity_links import (
    Known,
    Link,
    LinkState,
    NotDecided,
    Option,
    accept,
    answer,
    decide,
    pair,
    place,
    reject,
    shown,
    undo,
)
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim, Outcome, Place

NOON: Final = 1_790_000_000.0
MIS: Final = "mis-8209901"
OTHER_MIS: Final = "mis-8209902"
CARE: Final = "social-care"
ONE, TWO, THREE = (RefId(letter * 32) for letter in "ABC")
UPN: Final = "H801200001001"
ANN: Final = Claim(ONE, UPN, (), "", "Madeup", "Ann", date(2012, 3, 4), "F", "QA1 1AA")
UNNUMBERED: Final = replace(ANN, upn="")


def link(agent: str, claim: Claim, learner: str, state: LinkState = LinkState.NEW) -> Link:
    return Link(agent, claim.key, learner, state, None, NOON, claim=claim)


def known(*others: Link) -> Known:
    """Return what storage would, of links of other agents than the one that asks."""
    found = Known()
    for one in others:
        if one.claim is not None and one.learner:
            for key in kept_keys(one.claim):
                found.described.setdefault(key, []).append(one)
    return found


def waiting(claim: Claim = UNNUMBERED, *refs: str) -> Known:
    """Return what is known when *claim* of MIS waits for people to say whether it is one of *refs*."""
    others = [link(OTHER_MIS, replace(claim, key=RefId(ref)), ref) for ref in refs or (TWO,)]
    found = known(*others)
    found.links[claim.key] = decide(MIS, claim, found, NOON)
    assert found.links[claim.key].state is LinkState.WAITING
    return found


def test_a_learner_of_nobody_keeps_the_agents_own_refid() -> None:
    places, changed = answer(MIS, [ANN], known(), NOON)

    assert places == [Place(ONE, Outcome.NEW, ONE)]
    assert [(one.learner, one.state, one.claim) for one in changed] == [(ONE, LinkState.NEW, ANN)]


def test_a_learner_of_another_agent_gets_that_refid() -> None:
    places, changed = answer(MIS, [ANN], known(link(OTHER_MIS, replace(ANN, key=TWO), TWO)), NOON)

    assert places == [Place(ONE, Outcome.FOUND, TWO)]
    assert [(one.state, one.how) for one in changed] == [(LinkState.LINKED, How.UPN)]


def test_the_same_question_again_changes_nothing() -> None:
    found = known()
    first, _ = answer(MIS, [ANN], found, NOON)

    assert answer(MIS, [ANN], found, NOON + 9) == (first, [])


def test_a_waiting_learner_asked_again_waits_on_and_nothing_is_written() -> None:
    found = waiting()

    assert answer(MIS, [UNNUMBERED], found, NOON + 9) == ([Place(ONE, Outcome.WAITING)], [])


def test_a_waiting_learner_whose_number_is_now_known_is_decided() -> None:
    found = waiting(UNNUMBERED, TWO)
    for entries in found.described.values():
        entries[:] = [replace(one, claim=replace(ANN, key=TWO)) for one in entries]
    found.described["upn", UPN] = found.described[next(iter(found.described))]

    places, _ = answer(MIS, [ANN], found, NOON)

    assert places == [Place(ONE, Outcome.FOUND, TWO)]


def test_two_records_of_one_agent_with_one_number_are_not_linked_by_rules() -> None:
    places, _ = answer(MIS, [ANN, replace(ANN, key=TWO)], known(), NOON)

    assert places == [Place(ONE, Outcome.NEW, ONE), Place(TWO, Outcome.WAITING)]


def test_who_makes_no_learners_is_kept_only_when_found() -> None:
    care = Claim(THREE, UPN, locate_only=True)

    assert answer(CARE, [care], known(), NOON) == ([Place(THREE, Outcome.NONE)], [])
    places, changed = answer(CARE, [care], known(link(MIS, ANN, ONE)), NOON)
    assert places == [Place(THREE, Outcome.FOUND, ONE)]
    assert [one.claim for one in changed] == [None], "what it said need not be kept"


def test_what_an_established_learners_agent_says_later_only_asks_people() -> None:
    found = known(link(OTHER_MIS, replace(ANN, key=TWO), TWO))
    found.links[ONE] = link(MIS, replace(UNNUMBERED, family_name="Otherwise", postcode=""), ONE)

    places, changed = answer(MIS, [ANN], found, NOON)

    assert places == [Place(ONE, Outcome.NEW, ONE)]
    assert [[(option.ref_id, option.how) for option in one.options] for one in changed] == [[(TWO, How.UPN)]]


def test_a_learner_known_from_events_alone_is_found_by_upn() -> None:
    found = known()
    found.numbered = {UPN: [TWO]}

    assert answer(MIS, [ANN], found, NOON)[0] == [Place(ONE, Outcome.FOUND, TWO)]


def test_what_an_agent_said_of_a_learner_counts_where_events_brought_the_upn() -> None:
    found = known()
    found.numbered = {UPN: [TWO]}
    found.descriptions = {TWO: [link(OTHER_MIS, Claim(TWO, given_name="Boris"), TWO)]}

    assert answer(MIS, [ANN], found, NOON)[0] == [Place(ONE, Outcome.WAITING)]


def test_a_refid_given_up_for_another_is_no_candidate_any_more() -> None:
    found = known()
    found.numbered, found.superseded = {UPN: [TWO]}, {TWO: THREE}

    assert answer(MIS, [ANN], found, NOON)[0] == [Place(ONE, Outcome.NEW, ONE)]


def test_a_refid_that_another_agent_took_over_stays_when_its_own_agent_asks() -> None:
    found = known()
    found.followers = {ONE: [link(OTHER_MIS, replace(ANN, key=TWO), ONE, LinkState.LINKED)]}
    found.numbered = {UPN: [TWO]}

    assert answer(MIS, [ANN], found, NOON)[0] == [Place(ONE, Outcome.FOUND, ONE)]


# -- adoption ----------------------------------------------------------------------------------------------------------


def test_a_sealed_learner_is_nobodys_candidate() -> None:
    found = known(link(OTHER_MIS, replace(ANN, key=TWO), TWO))
    found.numbered, found.sealed = {UPN: [TWO]}, frozenset({TWO})

    assert answer(MIS, [ANN], found, NOON)[0] == [Place(ONE, Outcome.NEW, ONE)]


@pytest.mark.parametrize("before", [None, Link(MIS, ONE, ONE, LinkState.NEW), Link(MIS, ONE, TWO, LinkState.LINKED)])
def test_the_agent_of_a_sealed_learner_keeps_its_refid_and_what_it_says_is_not_kept(before: Link | None) -> None:
    found = known()
    found.sealed = frozenset({ONE, TWO})
    if before is not None:
        found.links[ONE] = before

    places, _ = answer(MIS, [ANN], found, NOON)

    assert places[0].ref_id == (before.learner if before else ONE)
    assert found.links[ONE].claim is None


# -- people ------------------------------------------------------------------------------------------------------------


def test_accepting_gives_the_candidates_refid_and_says_who_did_so() -> None:
    decided = accept(waiting(), ONE, 1, "made-up-person", NOON)

    assert [(one.learner, one.state, one.by, one.options) for one in decided.links] == [
        (TWO, LinkState.LINKED, "made-up-person", ())
    ]
    assert place(decided.links[0]) == Place(ONE, Outcome.FOUND, TWO)


def test_accepting_takes_those_along_who_knew_the_learner_by_the_old_refid() -> None:
    found = waiting()
    own = replace(found.links[ONE], learner=ONE, state=LinkState.NEW)
    care = Link(CARE, THREE, ONE, LinkState.LINKED, How.UPN, locate_only=True)
    found.links[ONE], found.followers = own, {ONE: [own, care]}

    decided = accept(found, ONE, 1, "made-up-person", NOON)

    assert {(one.agent, one.learner) for one in decided.links} == {(MIS, TWO), (CARE, TWO)}


def test_accepting_a_candidate_that_became_another_learner_gives_that_ones_refid() -> None:
    found = waiting()
    found.superseded = {TWO: THREE}

    assert accept(found, ONE, 1, "made-up-person", NOON).links[0].learner == THREE


@pytest.mark.parametrize("number", [0, 2])
def test_accepting_what_is_no_candidate_is_refused(number: int) -> None:
    with pytest.raises(NotDecided, match="1 candidate"):
        accept(waiting(), ONE, number, "made-up-person", NOON)


def test_a_candidate_that_was_sealed_meanwhile_cannot_be_accepted() -> None:
    found = waiting()
    found.sealed = frozenset({TWO})

    with pytest.raises(NotDecided, match="must not be linked"):
        accept(found, ONE, 1, "made-up-person", NOON)


def test_rejecting_makes_a_new_learner_and_the_pair_never_comes_up_again() -> None:
    found = waiting()

    decided = reject(found, ONE, "made-up-person", NOON)

    assert [(one.learner, one.state) for one in decided.links] == [(ONE, LinkState.REJECTED)]
    assert decided.rejected == (pair(ONE, TWO),)
    found.links.pop(ONE)
    assert answer(MIS, [UNNUMBERED], found, NOON)[0] == [Place(ONE, Outcome.NEW, ONE)]


def test_a_rejected_pair_does_not_come_up_from_the_other_side_either() -> None:
    found = known(link(MIS, UNNUMBERED, ONE, LinkState.REJECTED))
    found.rejected = frozenset({pair(ONE, TWO)})

    assert answer(OTHER_MIS, [replace(UNNUMBERED, key=TWO)], found, NOON)[0] == [Place(TWO, Outcome.NEW, TWO)]


def test_after_rejecting_a_learner_who_came_meanwhile_is_found() -> None:
    found = waiting()
    found.links[ONE] = replace(found.links[ONE], claim=ANN)
    newer = link(OTHER_MIS, replace(ANN, key=THREE), THREE)
    for key in kept_keys(ANN):
        found.described[key] = [*found.described.get(key, ()), newer]

    decided = reject(found, ONE, "made-up-person", NOON)

    assert [(one.learner, one.state) for one in decided.links] == [(THREE, LinkState.LINKED)]


def test_who_makes_no_learners_is_told_none_once_its_candidates_are_rejected() -> None:
    found = waiting(replace(UNNUMBERED, locate_only=True))

    decided = reject(found, ONE, "made-up-person", NOON)

    assert [place(one) for one in decided.links] == [Place(ONE, Outcome.NONE)]


def test_a_question_about_an_established_learner_is_closed_by_rejecting_and_stops_nothing() -> None:
    found = waiting()
    found.links[ONE] = replace(found.links[ONE], learner=ONE, state=LinkState.NEW)

    decided = reject(found, ONE, "made-up-person", NOON)

    assert [(one.learner, one.state, one.options) for one in decided.links] == [(ONE, LinkState.NEW, ())]


def test_two_children_for_whom_two_agents_made_one_refid_are_not_made_one_by_rejecting() -> None:
    other = link(OTHER_MIS, replace(ANN, given_name="Boris"), ONE)
    found = known(other)
    found.followers = {ONE: [other]}
    assert answer(MIS, [UNNUMBERED], found, NOON)[0] == [Place(ONE, Outcome.WAITING)]

    with pytest.raises(NotDecided, match="let the agent make another"):
        reject(found, ONE, "made-up-person", NOON)


def test_a_match_whose_record_was_sealed_is_closed_by_rejecting() -> None:
    found = known()
    found.links[ONE] = Link(MIS, ONE, "", LinkState.WAITING)

    assert [one.learner for one in reject(found, ONE, "made-up-person", NOON).links] == [ONE]


def test_what_is_decided_cannot_be_decided_again() -> None:
    found = known()
    found.links[ONE] = link(MIS, ANN, ONE)

    with pytest.raises(NotDecided, match="match list"):
        accept(found, ONE, 1, "made-up-person", NOON)
    with pytest.raises(NotDecided, match="match list"):
        reject(found, ONE, "made-up-person", NOON)


@pytest.mark.parametrize(("only", "outcome"), [(False, Outcome.NEW), (True, Outcome.NONE)])
def test_undoing_gives_the_agents_own_refid_back_for_good(only: bool, outcome: Outcome) -> None:
    other = link(OTHER_MIS, replace(ANN, key=TWO), TWO)
    claim = replace(ANN, locate_only=only)
    found = known(other)
    answer(MIS, [claim], found, NOON)

    decided = undo(found, ONE, "made-up-person", NOON)

    assert [place(one).outcome for one in decided.links] == [outcome]
    again = known(other)
    again.links[ONE], again.rejected = decided.links[0], frozenset(decided.rejected)
    assert answer(MIS, [claim], again, NOON)[0][0].outcome is outcome


def test_there_is_nothing_to_undo_where_nothing_was_linked() -> None:
    found = waiting()

    with pytest.raises(NotDecided, match="nothing to undo"):
        undo(found, ONE, "made-up-person", NOON)
    with pytest.raises(NotDecided, match="nothing to undo"):
        undo(found, TWO, "made-up-person", NOON)


def test_people_are_shown_the_description_that_is_most_alike() -> None:
    found = waiting()
    near, far = replace(UNNUMBERED, key=TWO), Claim(THREE, given_name="Boris")

    (one,) = shown(found.links[ONE], {TWO: [link(OTHER_MIS, far, TWO), link(MIS, near, TWO)]})

    assert (one.other, one.agents) == (near, (MIS, OTHER_MIS))
    assert {part.said for part in one.parts} == {"the same", "not known on both sides"}


def test_a_candidate_known_from_events_alone_is_shown_without_a_description() -> None:
    asked = replace(waiting().links[ONE], options=(Option(TWO, How.UPN, 0),))

    assert [(one.other, one.parts) for one in shown(asked, {})] == [(None, ())]
