"""The learner index tells back what was last said, and forgets what it is told to forget."""

from dataclasses import replace

from broker.storage import Batch, ContactLink, EstablishmentRow, LearnerRow, Store
from tests.integration.storage.conftest import learner

ONE, OTHER = "A" * 32, "B" * 32


def test_a_learner_comes_back_with_all_that_was_said(store: Store) -> None:
    least = LearnerRow(OTHER)

    store.commit(Batch(learners=[learner(ONE), least]))

    assert store.learners([ONE, OTHER, "C" * 32]) == {ONE: learner(ONE), OTHER: least}
    assert store.learners([]) == {}


def test_nobody_said_differs_from_not_in_care(store: Store) -> None:
    store.commit(Batch(learners=[LearnerRow(ONE, in_care=None), LearnerRow(OTHER, in_care=False)]))

    found = store.learners([ONE, OTHER])

    assert found[ONE].in_care is None
    assert found[OTHER].in_care is False


def test_what_was_last_said_of_a_learner_holds(store: Store) -> None:
    store.commit(Batch(learners=[learner(ONE)]))
    moved = replace(learner(ONE, care_authority="821"), enrolments=(), upn_key=None, shielded=False)

    store.commit(Batch(learners=[learner(ONE, "999"), moved]))

    assert store.learners([ONE]) == {ONE: moved}


def test_more_learners_than_one_statement_takes_are_found(store: Store) -> None:
    refs = [f"{number:032X}" for number in range(1201)]
    store.commit(Batch(learners=[learner(ref) for ref in refs]))

    assert set(store.learners(refs)) == set(refs)


def test_learners_of_whom_something_is_asked_for_are_found_page_by_page(store: Store) -> None:
    refs = [f"{number:032X}" for number in range(5)]
    rows = [learner(ref) for ref in refs]
    store.commit(Batch(learners=[*reversed(rows), LearnerRow(ONE), replace(learner(OTHER), fetches=())]))

    assert store.entering(limit=3) == rows[:3]
    assert store.entering(after=refs[2]) == rows[3:]
    assert store.entering(after=refs[4]) == []


def test_a_forgotten_learner_leaves_no_row_and_no_contact(store: Store) -> None:
    links = [ContactLink("C" * 32, ONE), ContactLink("C" * 32, OTHER)]
    store.commit(Batch(learners=[learner(ONE), learner(OTHER)], contacts=links))

    store.commit(Batch(forgotten=[ONE]))

    assert set(store.learners([ONE, OTHER])) == {OTHER}
    assert store.contact_learners(["C" * 32]) == {"C" * 32: (OTHER,)}


def test_a_learner_forgotten_and_written_in_one_batch_is_there(store: Store) -> None:
    store.commit(Batch(learners=[learner(ONE, "820")]))

    store.commit(Batch(forgotten=[ONE], learners=[LearnerRow(ONE)]))

    assert store.learners([ONE]) == {ONE: LearnerRow(ONE)}


def test_a_contact_tells_its_learners_in_order(store: Store) -> None:
    store.commit(Batch(contacts=[ContactLink("C" * 32, OTHER), ContactLink("C" * 32, ONE), ContactLink("D" * 32, ONE)]))

    assert store.contact_learners(["C" * 32, "E" * 32]) == {"C" * 32: (ONE, OTHER)}


def test_a_contact_is_unlinked_from_one_learner_only(store: Store) -> None:
    store.commit(Batch(contacts=[ContactLink("C" * 32, ONE), ContactLink("C" * 32, OTHER), ContactLink("D" * 32, ONE)]))

    store.commit(Batch(unlinked=[ContactLink("C" * 32, ONE)]))

    assert store.contact_learners(["C" * 32, "D" * 32]) == {"C" * 32: (OTHER,), "D" * 32: (ONE,)}


def test_an_establishment_may_be_corrected(store: Store) -> None:
    store.commit(Batch(establishments=[EstablishmentRow("5" * 32, "8209901"), EstablishmentRow("6" * 32, "8209902")]))

    store.commit(Batch(establishments=[EstablishmentRow("5" * 32, "8209903")]))

    assert store.establishments() == {"5" * 32: "8209903", "6" * 32: "8209902"}


def test_a_upn_key_is_the_same_in_every_process_of_the_zone(store: Store, other_store: Store) -> None:
    assert store.upn_key("A820990110001") == other_store.upn_key("A820990110001")
    assert store.upn_key("A820990110001") != store.upn_key("A820990110002")
