"""Whom to look at again and when: the earliest time holds, nobody is handed out twice, a sweep takes everybody in."""

from collections.abc import Callable

import pytest

from broker.storage import Batch, LearnerRow, Review, Store
from tests.integration.storage.conftest import NOON

ONE, TWO, THREE = (letter * 32 for letter in "ABC")


def due(store: Store, **times: float) -> None:
    """Have learners looked at, as seconds after noon."""
    names = {"one": ONE, "two": TWO, "three": THREE}
    store.commit(Batch(reviews={names[name]: NOON + after for name, after in times.items()}))


def looked(store: Store, ref_id: str, after: float) -> None:
    """Have a learner looked at as they were due at a time."""
    store.commit(Batch(reviewed={ref_id: NOON + after}))


def waiting(store: Store) -> dict[str, float]:
    return {review.ref_id: review.due_at - NOON for review in store.reviews()}


def test_learners_wait_in_the_order_of_time(store: Store) -> None:
    due(store, one=60.5, two=0, three=-60)

    assert store.reviews() == [Review(THREE, NOON - 60), Review(TWO, NOON), Review(ONE, NOON + 60.5)]
    assert store.reviews(limit=1) == [Review(THREE, NOON - 60)]


@pytest.mark.parametrize("times", [(60.0, 30.0), (30.0, 60.0)], ids=["earlier after", "later after"])
def test_of_two_times_for_one_learner_the_earlier_holds(store: Store, times: tuple[float, float]) -> None:
    for after in times:
        due(store, one=after)

    assert waiting(store) == {ONE: 30}


def test_who_was_looked_at_waits_no_longer_unless_they_are_due_later(store: Store) -> None:
    due(store, one=0, two=0, three=10)
    for ref_id in (ONE, THREE):
        looked(store, ref_id, 0)

    assert waiting(store) == {TWO: 0, THREE: 10}


def test_who_is_to_be_looked_at_anew_is_taken_out_first(store: Store) -> None:
    due(store, one=0)

    store.commit(Batch(reviewed={ONE: NOON}, reviews={ONE: NOON + 60}))

    assert waiting(store) == {ONE: 60}


def test_the_same_batch_again_changes_nothing(store: Store) -> None:
    batch = Batch(reviewed={ONE: NOON}, reviews={ONE: NOON + 60, TWO: NOON})

    for _ in range(2):
        store.commit(batch)

    assert waiting(store) == {ONE: 60, TWO: 0}


def test_only_who_is_due_is_handed_out_the_longest_due_first(store: Store) -> None:
    due(store, one=0, two=-5, three=1)

    assert store.claim_reviews(NOON, NOON + 60, 10) == [Review(TWO, NOON - 5), Review(ONE, NOON)]


def test_no_more_are_handed_out_than_were_asked_for(store: Store) -> None:
    due(store, one=0, two=-5)

    assert [review.ref_id for review in store.claim_reviews(NOON, NOON + 60, 1)] == [TWO]
    assert [review.ref_id for review in store.claim_reviews(NOON, NOON + 60, 1)] == [ONE]


def test_who_was_handed_out_is_not_handed_out_again_until_the_claim_expires(store: Store, other_store: Store) -> None:
    due(store, one=0)
    store.claim_reviews(NOON, NOON + 60, 10)

    assert other_store.claim_reviews(NOON + 59, NOON + 119, 10) == []
    assert other_store.claim_reviews(NOON + 60, NOON + 120, 10) == [Review(ONE, NOON)]
    assert waiting(store) == {ONE: 0}, "a claim alone takes nobody out"


def test_who_was_handed_out_and_looked_at_is_not_handed_out_after_the_claim(store: Store) -> None:
    due(store, one=0)
    (review,) = store.claim_reviews(NOON, NOON + 60, 10)

    store.commit(Batch(reviewed={review.ref_id: review.due_at}))

    assert store.claim_reviews(NOON + 3600, NOON + 3660, 10) == []


def test_a_sweep_puts_every_learner_in(store: Store, scalar: Callable[[str], object]) -> None:
    store.commit(Batch(learners=[LearnerRow(ref_id) for ref_id in (ONE, TWO, THREE)]))
    due(store, one=-60, two=60)

    assert not store.sweep("monday/settings", NOON), "before the first one all stood as it is decided now"
    assert waiting(store) == {ONE: -60, TWO: 60}
    assert store.sweep("tuesday/settings", NOON)
    assert waiting(store) == {ONE: 0, TWO: 0, THREE: 0}
    assert scalar("SELECT COUNT(*) FROM sweep") == 1


def test_a_second_sweep_with_the_same_mark_does_nothing(store: Store, other_store: Store) -> None:
    store.commit(Batch(learners=[LearnerRow(ONE)]))
    store.sweep("monday", NOON)
    store.sweep("tuesday", NOON)
    looked(store, ONE, 0)

    assert not other_store.sweep("tuesday", NOON + 1)
    assert waiting(store) == {}
    assert other_store.sweep("wednesday", NOON + 2)
    assert waiting(store) == {ONE: 2}


def test_who_is_forgotten_is_not_swept_in(store: Store) -> None:
    store.commit(Batch(learners=[LearnerRow(ONE), LearnerRow(TWO)]))
    store.sweep("monday", NOON)
    store.commit(Batch(forgotten=[ONE]))

    store.sweep("tuesday", NOON)

    assert waiting(store) == {TWO: 0}
