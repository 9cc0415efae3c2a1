"""SIF_GetMessage and what acknowledgements of what it gave do: the table of SIF's queue rules, pulled."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import Agent, Message, ack_content, learner, new_id


def give(pair: Pair, count: int = 1) -> list[bytes]:
    """Publish events, and return them."""
    mis, _ = pair
    bodies = [mis.event_body(learner()) for _ in range(count)]
    assert [mis.post(body).code for body in bodies] == [0] * count
    return bodies


def test_with_nothing_to_get_the_answer_is_9(solo: Agent) -> None:
    assert [solo.get().code, solo.get().code] == [9, 9]


def test_the_message_is_in_the_ack_as_it_was_published(pair: Pair) -> None:
    _, vle = pair
    (body,) = give(pair)
    vle.fetch()

    answer = vle.get()

    assert answer.code == 0
    assert answer.body.count(body) == 1
    assert b"<SIF_Data>" + body + b"</SIF_Data>" in answer.body
    assert answer.findings == ()


def test_the_same_message_is_given_until_it_is_acknowledged(pair: Pair) -> None:
    _, vle = pair
    bodies = give(pair, 2)

    assert [vle.fetch().body for _ in range(5)] == [bodies[0]] * 5
    vle.take()
    assert vle.fetch().body == bodies[1]


def test_messages_come_in_the_order_in_which_they_were_published(pair: Pair) -> None:
    mis, vle = pair
    ref = new_id()
    bodies = [mis.event_body(learner(ref, f"{n:06}"), "Add" if n == 0 else "Change") for n in range(60)]
    for body in bodies:
        assert mis.post(body).code == 0

    assert [vle.take().body for _ in bodies] == bodies


def test_the_ack_of_a_message_is_answered_with_status_0(pair: Pair) -> None:
    _, vle = pair
    give(pair)
    msg_id = new_id()
    message = vle.fetch()

    answer = vle.send("SIF_Ack", ack_content(message.source, message.msg_id, 1), msg_id=msg_id)

    assert (answer.code, answer.original, answer.message) == (0, (vle.id, msg_id), None)


@pytest.mark.parametrize("code", [1, 3, 7])
def test_a_message_is_removed_by_status(pair: Pair, code: int) -> None:
    _, vle = pair
    bodies = give(pair, 2)

    assert vle.ack(vle.fetch(), code).code == 0

    assert vle.fetch().body == bodies[1]


@pytest.mark.parametrize("code", [8, (10, 1), (10, 2), (10, 4)], ids=str)
def test_a_message_is_kept_by_status_8_and_errors_of_transport(pair: Pair, code: int | tuple[int, int]) -> None:
    _, vle = pair
    bodies = give(pair, 2)

    assert vle.ack(vle.fetch(), code).code == 0

    assert vle.fetch().body == bodies[0]
    assert [message.body for message in vle.drain()] == bodies


@pytest.mark.parametrize("code", [(1, 3), (9, 3), (8, 3), (12, 1), (12, 3), (11, 7), (4, 1)], ids=str)
def test_a_message_is_removed_by_any_other_error_and_kept_in_quarantine(
    pair: Pair, zoned: Zoned, code: tuple[int, int]
) -> None:
    mis, vle = pair
    bodies = give(pair, 2)

    assert vle.ack(vle.fetch(), code).code == 0

    assert vle.fetch().body == bodies[1]
    entry = zoned.kept(mis.id, code)
    assert (entry.reason, entry.recipient) == ("undeliverable", vle.id)
    assert zoned.store.quarantine_body(entry.id) == bodies[0]


def test_an_ack_of_something_that_was_never_given_changes_nothing(pair: Pair) -> None:
    mis, vle = pair
    (body,) = give(pair)
    vle.fetch()

    assert [vle.ack((mis.id, new_id()), code).code for code in (1, 2, 3, (1, 3), (10, 1))] == [(12, 6)] * 5

    assert vle.fetch().body == body


def test_an_agent_cannot_acknowledge_what_another_was_given(pair: Pair) -> None:
    mis, vle = pair
    (body,) = give(pair)

    assert mis.ack(vle.fetch()).code == (12, 6)

    assert vle.fetch().body == body


def test_to_acknowledge_twice_does_no_harm(pair: Pair) -> None:
    _, vle = pair
    bodies = give(pair, 2)
    message = vle.fetch()

    assert [vle.ack(message).code, vle.ack(message).code, vle.ack(message, (1, 3)).code] == [0, 0, 0]

    assert vle.fetch().body == bodies[1]


@pytest.mark.parametrize("code", [1, (1, 3)], ids=str)
def test_an_ack_may_name_the_answer_instead_of_the_message_in_it(pair: Pair, code: int | tuple[int, int]) -> None:
    _, vle = pair
    bodies = give(pair, 2)
    vle.fetch()

    assert vle.ack(("conformance", vle.get().own_id), code).code == 0

    assert vle.fetch().body == bodies[1]


def test_an_ack_that_says_nothing_is_refused(pair: Pair) -> None:
    mis, vle = pair
    (body,) = give(pair)
    message = vle.fetch()
    said = (
        f"<SIF_OriginalSourceId>{mis.id}</SIF_OriginalSourceId><SIF_OriginalMsgId>{message.msg_id}</SIF_OriginalMsgId>"
    )

    assert vle.send("SIF_Ack", said).code == (1, 3)

    assert vle.fetch().body == body


def test_two_who_ask_at_the_same_time_are_given_the_same_message(pair: Pair, zoned: Zoned) -> None:
    _, vle = pair
    bodies = give(pair, 2)
    vle.fetch()
    twins = [zoned.agent(vle.id) for _ in range(4)]

    with ThreadPoolExecutor(len(twins)) as pool:
        found = list(pool.map(lambda twin: twin.fetch().body, twins))

    assert found == [bodies[0]] * len(twins)


def test_a_message_that_was_given_is_given_again_after_the_gateway_was_killed(pair: Pair, zoned: Zoned) -> None:
    _, vle = pair
    bodies = give(pair, 2)
    given = vle.fetch()

    zoned.restart_gateway()

    assert vle.ack(given).code == 0
    assert [message.body for message in vle.drain()] == [bodies[1]]


def test_what_was_acknowledged_is_not_given_again_after_the_gateway_was_killed(pair: Pair, zoned: Zoned) -> None:
    _, vle = pair
    bodies = give(pair, 5)
    taken = [vle.take().body for _ in range(3)]

    zoned.restart_gateway()

    assert taken + [message.body for message in vle.drain()] == bodies


def test_an_ack_of_what_was_taken_before_the_gateway_was_killed_does_no_harm(pair: Pair, zoned: Zoned) -> None:
    _, vle = pair
    give(pair)
    message = vle.take()

    zoned.restart_gateway()

    assert vle.ack(message).code == 0


def test_a_message_is_removed_whoever_the_ack_says_it_came_from(pair: Pair) -> None:
    _, vle = pair
    bodies = give(pair, 2)
    message: Message = vle.fetch()

    assert vle.ack(("", message.msg_id)).code == 0

    assert vle.fetch().body == bodies[1]
