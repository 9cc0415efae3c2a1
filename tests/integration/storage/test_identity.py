"""Whose record is whose, as it is kept: found by hashes, sealed, decided one at a time."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy

from broker import identity_desk
from broker.identity import How
from broker.identity_links import MOST_SHARED, Decided, Known, Link, LinkState, NotDecided, answer
from broker.protocol.identifiers import AgentId, RefId
from broker.protocol.identity import Claim, Outcome, Place, parse_located
from broker.storage import Batch, LearnerRow, NoSuchEntry, Store, open_store
from tests.integration.storage.conftest import NOON

MIS: Final = AgentId("mis-8209901")
OTHER_MIS: Final = AgentId("mis-8209902")
CARE: Final = AgentId("social-care")
ONE, TWO, THREE, FOUR = (RefId(letter * 32) for letter in "ABCD")
UPN: Final = "H801200001001"
ANN: Final = Claim(ONE, UPN, ("B801200005001",), "9276308686", "Madeup", "Ann", date(2012, 3, 4), "F", "QA1 1AA")
NAMES: Final = replace(ANN, upn="", former_upns=(), uln="")
ON_SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what is decided in Python, and was seen to be kept by the tests on both databases."""


def ask(store: Store, agent: AgentId, *claims: Claim) -> list[Place]:
    return list(parse_located(identity_desk.answer(store, agent, claims, NOON)))


def outcomes(places: Sequence[Place]) -> list[tuple[Outcome, str | None]]:
    return [(place.outcome, place.ref_id) for place in places]


def learner_row(ref_id: str, upn_key: bytes | None) -> LearnerRow:
    return LearnerRow(
        ref_id=ref_id,
        upn_key=upn_key,
        in_care=None,
        care_authority="",
        home_authority="",
        shielded=False,
        enrolments=(),
        sources=(("LearnerPersonal", OTHER_MIS),),
    )


def published(store: Store, ref_id: str, upn: str = UPN) -> None:
    """Let a learner be known from events alone."""
    store.commit(Batch(learners=(learner_row(ref_id, store.upn_key(upn)),), day=date(2026, 9, 1)))


def test_a_learner_is_found_by_each_number(store: Store) -> None:
    assert outcomes(ask(store, MIS, ANN)) == [(Outcome.NEW, ONE)]

    for agent, other in (
        ("by-upn", replace(ANN, key=TWO)),
        ("by-former-upn-there", Claim(TWO, "B801200005001", birth_date=ANN.birth_date)),
        ("by-former-upn-here", Claim(TWO, former_upns=(UPN,), birth_date=ANN.birth_date)),
        ("by-uln", Claim(TWO, uln=ANN.uln)),
    ):
        assert outcomes(ask(store, AgentId(agent), other)) == [(Outcome.FOUND, ONE)], agent


@ON_SQLITE
def test_a_learner_known_from_events_alone_is_found_by_upn(store: Store) -> None:
    published(store, TWO)

    assert outcomes(ask(store, MIS, ANN)) == [(Outcome.FOUND, TWO)]


@ON_SQLITE
def test_both_schools_published_before_anybody_asked_and_end_with_one_refid(store: Store) -> None:
    published(store, ONE)
    published(store, TWO)

    assert outcomes(ask(store, MIS, ANN)) == [(Outcome.FOUND, TWO)]
    assert outcomes(ask(store, OTHER_MIS, replace(ANN, key=TWO))) == [(Outcome.FOUND, TWO)]


@ON_SQLITE
def test_what_was_said_comes_back_whole_and_the_answer_stays(store: Store) -> None:
    ask(store, MIS, ANN)
    (link,) = store.links()

    assert link == Link(MIS, ONE, ONE, LinkState.NEW, None, NOON, claim=ANN)
    assert outcomes(ask(store, MIS, ANN)) == [(Outcome.NEW, ONE)]
    assert store.link(link.id[:5]) == link


def test_nothing_of_a_learner_lies_there_in_the_clear(
    store: Store, admin: sqlalchemy.Engine, database_url: str, tmp_path: Path
) -> None:
    ask(store, MIS, ANN)
    ask(store, OTHER_MIS, replace(NAMES, key=TWO))

    with admin.connect() as connection:
        tables = ("link", "link_key", "rejected_pair", "sealed_learner")
        everything = repr([connection.execute(sqlalchemy.text(f"SELECT * FROM {one}")).all() for one in tables])  # noqa: S608
    assert TWO in everything
    for value in (UPN, "B801200005001", ANN.uln, "Madeup", "MADEUP", "Ann'", "2012", "QA1"):
        assert value not in everything
    if database_url.startswith("sqlite"):
        written = b"".join(path.read_bytes() for path in tmp_path.glob("zone.db*"))
        assert b"Madeup" not in written
        assert UPN.encode() not in written


@ON_SQLITE
def test_a_upn_and_a_former_upn_of_the_same_digits_have_nothing_in_common_there(
    store: Store, scalar: Callable[[str], object]
) -> None:
    ask(store, MIS, Claim(ONE, UPN), Claim(TWO, former_upns=(UPN,)))

    assert scalar("SELECT COUNT(DISTINCT hash) FROM link_key") == 1, "the second waits, and is found by nobody"
    identity_desk.reject(store, store.waiting_links()[0], "made-up-person", NOON)
    assert scalar("SELECT COUNT(DISTINCT hash) FROM link_key") == 2


def test_two_agents_that_ask_for_one_new_child_at_once_get_one_refid(
    store: Store, database_url: str, key_file: Path
) -> None:
    found: list[Place] = []

    def other() -> None:
        with open_store(database_url, key_file) as own:
            found.extend(ask(own, OTHER_MIS, replace(ANN, key=TWO)))

    second = threading.Thread(target=other)

    def decide(known: Known) -> tuple[None, Decided]:
        second.start()
        second.join(0.5)  # time enough to be wrong in, were it not to wait
        return None, Decided(tuple(answer(MIS, [ANN], known, NOON)[1]))

    store.change_identity(MIS, [ONE], [ANN], decide)
    second.join(30)

    assert outcomes(found) == [(Outcome.FOUND, ONE)]


@ON_SQLITE
def test_a_question_that_was_answered_before_waits_for_nobodys_turn(
    store: Store, other_store: Store, admin: sqlalchemy.Engine
) -> None:
    ask(store, MIS, ANN)

    with admin.begin() as busy:
        busy.execute(sqlalchemy.text("UPDATE identity_turn SET taken = taken + 1"))
        assert outcomes(ask(other_store, MIS, ANN)) == [(Outcome.NEW, ONE)]


def test_people_accept_and_undo_and_what_they_rejected_never_comes_up_again(store: Store) -> None:
    ask(store, MIS, NAMES)
    assert outcomes(ask(store, OTHER_MIS, replace(NAMES, key=TWO))) == [(Outcome.WAITING, None)]
    (waiting,) = store.waiting_links()
    assert [(option.ref_id, option.how, option.score) for option in waiting.options] == [(ONE, How.NAMES, 100)]

    identity_desk.accept(store, waiting, 1, "made-up-person", NOON)
    assert outcomes(ask(store, OTHER_MIS, replace(NAMES, key=TWO))) == [(Outcome.FOUND, ONE)]

    identity_desk.undo(store, store.link(waiting.id), "made-up-person", NOON)
    assert outcomes(ask(store, OTHER_MIS, replace(ANN, key=TWO))) == [(Outcome.NEW, TWO)]
    assert store.waiting_links() == []


@ON_SQLITE
def test_one_decision_of_two_people_counts(store: Store) -> None:
    ask(store, MIS, NAMES)
    ask(store, OTHER_MIS, replace(NAMES, key=TWO))
    (seen_by_both,) = store.waiting_links()
    identity_desk.reject(store, seen_by_both, "made-up-person", NOON)

    with pytest.raises(NotDecided, match="any more"):
        identity_desk.accept(store, seen_by_both, 1, "another-made-up-person", NOON)
    assert store.link(seen_by_both.id).learner == TWO


def test_accepting_moves_the_agents_that_knew_the_learner_by_the_old_refid(store: Store) -> None:
    ask(store, MIS, NAMES)
    ask(store, OTHER_MIS, replace(ANN, key=TWO, family_name="Otherwise", postcode=""))
    ask(store, CARE, Claim(THREE, UPN, locate_only=True))
    ask(store, OTHER_MIS, replace(ANN, key=TWO))
    (question,) = store.waiting_links()

    told = identity_desk.accept(store, question, 1, "made-up-person", NOON)

    assert {(link.agent, link.learner) for link in told} == {(OTHER_MIS, ONE), (CARE, ONE)}
    assert outcomes(ask(store, CARE, Claim(THREE, UPN, locate_only=True))) == [(Outcome.FOUND, ONE)]
    assert outcomes(ask(store, AgentId("hub"), Claim(FOUR, UPN))) == [(Outcome.FOUND, ONE)]


@ON_SQLITE
def test_who_makes_no_learners_leaves_nothing_behind_until_found(store: Store) -> None:
    ask(store, CARE, replace(ANN, key=THREE, locate_only=True))
    assert store.links() == []

    ask(store, MIS, ANN)
    ask(store, CARE, replace(ANN, key=THREE, locate_only=True))
    assert [(link.learner, link.claim) for link in store.links(agent=CARE)] == [(ONE, None)]


# -- adoption ----------------------------------------------------------------------------------------------------------


def test_a_sealed_learner_is_found_by_nobody_and_its_own_agents_keep_the_refid(
    store: Store, scalar: Callable[[str], object]
) -> None:
    published(store, ONE)
    ask(store, MIS, ANN)
    ask(store, CARE, Claim(THREE, UPN, locate_only=True))

    store.seal_identity(ONE)
    store.seal_identity(ONE)

    assert scalar("SELECT COUNT(*) FROM link_key") == 0
    assert scalar("SELECT COUNT(sealed) FROM link") == 0
    assert scalar("SELECT COUNT(upn_key) FROM learner") == 0
    assert outcomes(ask(store, MIS, ANN)) == [(Outcome.NEW, ONE)]
    assert outcomes(ask(store, CARE, Claim(THREE, UPN, locate_only=True))) == [(Outcome.FOUND, ONE)]
    assert scalar("SELECT COUNT(sealed) FROM link") == 0, "what its agent says later is not kept either"
    assert outcomes(ask(store, OTHER_MIS, replace(ANN, key=TWO))) == [(Outcome.NEW, TWO)]


@ON_SQLITE
def test_a_batch_that_tells_of_an_adoption_seals_the_learner_with_all_else_in_it(
    store: Store, scalar: Callable[[str], object]
) -> None:
    ask(store, MIS, ANN)
    row = replace(learner_row(ONE, store.upn_key(UPN)), adopted=True)

    for _ in range(2):
        store.commit(Batch(learners=(row,), adopted=(ONE,), day=date(2026, 9, 1)))

    assert scalar("SELECT COUNT(sealed) FROM link") == 0
    assert store.learners([ONE])[ONE] == replace(row, upn_key=None), "by its UPN nobody finds the learner either"
    assert outcomes(ask(store, OTHER_MIS, replace(ANN, key=TWO))) == [(Outcome.NEW, TWO)]


def test_a_learner_sealed_before_its_agent_asked_is_never_linked(store: Store) -> None:
    published(store, ONE)
    store.seal_identity(ONE)
    published(store, ONE)  # an event of the learner still holds the UPN
    published(store, TWO)

    assert outcomes(ask(store, MIS, ANN)) == [(Outcome.NEW, ONE)]
    assert outcomes(ask(store, OTHER_MIS, replace(ANN, key=THREE))) == [(Outcome.FOUND, TWO)]


@ON_SQLITE
def test_sealing_takes_the_learner_off_the_match_desk_and_the_next_question_is_decided_without(store: Store) -> None:
    ask(store, MIS, NAMES)
    ask(store, OTHER_MIS, replace(NAMES, key=TWO))

    store.seal_identity(ONE)

    (left,) = store.waiting_links()
    assert (left.key, left.options) == (TWO, ())
    assert outcomes(ask(store, OTHER_MIS, replace(NAMES, key=TWO))) == [(Outcome.NEW, TWO)]


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_what_very_many_learners_share_is_no_reason_to_look_at_them_all(store: Store) -> None:
    shared = replace(ANN, upn="", former_upns=(), uln="", family_name="", postcode="", birth_date=date(2012, 1, 1))
    ask(store, MIS, *(replace(shared, key=RefId(f"{number:032X}")) for number in range(MOST_SHARED + 1)))
    ask(store, MIS, replace(ANN, birth_date=date(2012, 1, 1)))

    known = store.known_identity(OTHER_MIS, [replace(ANN, key=TWO, birth_date=date(2012, 1, 1))])

    assert ("upn", UPN) in known.described
    assert ("day+initial", "2012-01-01 A") not in known.described


@ON_SQLITE
def test_a_link_nobody_has_is_said_to_be_none(store: Store) -> None:
    with pytest.raises(NoSuchEntry, match="match list"):
        store.link("3f2a")
