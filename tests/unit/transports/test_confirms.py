"""The low-water mark, refusals and clocks of publishes, against a model that is plainly right."""

from hypothesis import given
from hypothesis import strategies as st

from broker.transports.confirms import Confirms
from broker.transports.contract import Outgoing, Refusal


def message(message_id: str = "M", key: str = "k", exchange: str = "x") -> Outgoing:
    """Return some message."""
    return Outgoing(exchange, key, b"", message_id)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.just(0), st.just(False), st.just(True)),
        st.tuples(st.just("settle"), st.integers(1, 30), st.booleans(), st.booleans()),
    ),
    max_size=80,
)


@given(steps)
def test_the_mark_and_the_refusals_agree_with_a_plain_model(
    moves: list[tuple[str, int, bool, bool]],
) -> None:
    confirms, open_ones, last, refused = Confirms(), set[int](), 0, set[int]()
    for move, number, multiple, taken in moves:
        if move == "add":
            last = confirms.add(message(f"M{last + 1}"))
            open_ones.add(last)
        elif number in open_ones:  # a peer speaks of each publish once
            meant = {n for n in open_ones if n <= number} if multiple else {number}
            open_ones -= meant
            refused |= set() if taken else meant
            confirms.settle(number, multiple, taken)
        assert confirms.last == last
        assert confirms.low == (min(open_ones) - 1 if open_ones else last)

    assert confirms.take_refusals() == [Refusal(n, f"M{n}", "nack") for n in sorted(refused)]
    assert not confirms.has_refusals


def test_a_return_is_of_the_oldest_open_publish_that_looks_the_same() -> None:
    confirms = Confirms()
    for key in ("there", "gone", "gone", "there", "gone"):
        confirms.add(message("SAME", key))
    confirms.settle(1, multiple=False, taken=True)
    for _ in range(2):
        confirms.returned("SAME", "x", "gone")
    confirms.settle(5, multiple=True, taken=True)

    assert confirms.take_refusals() == [Refusal(2, "SAME", "unroutable"), Refusal(3, "SAME", "unroutable")]
    assert confirms.low == 5


def test_a_return_of_something_never_published_refuses_nothing() -> None:
    confirms = Confirms()
    confirms.add(message("M"))
    confirms.returned("M", "other", "k")
    confirms.returned("OTHER", "x", "k")

    assert confirms.take_refusals() == []


def test_giving_up_settles_all_and_refuses_nothing() -> None:
    confirms = Confirms()
    for _ in range(3):
        confirms.add(message())
    confirms.settle(2, multiple=False, taken=True)
    confirms.watch(1.0)
    confirms.give_up()

    assert confirms.low == confirms.last == 3
    assert confirms.take_refusals() == []
    assert confirms.waiting_since() is None
    assert confirms.add(message()) == 4
    assert confirms.low == 3


def test_the_clock_is_that_of_the_oldest_open_publish() -> None:
    confirms = Confirms()
    assert confirms.waiting_since() is None
    confirms.add(message())
    confirms.watch(10.0)
    confirms.watch(11.0)
    confirms.add(message())
    confirms.watch(12.0)
    assert confirms.waiting_since() == 10.0
    confirms.settle(1, multiple=False, taken=True)
    confirms.watch(13.0)
    assert confirms.waiting_since() == 12.0
    confirms.restart_clock(20.0)
    assert confirms.waiting_since() == 20.0
    confirms.settle(2, multiple=False, taken=True)
    confirms.watch(21.0)
    assert confirms.waiting_since() is None
