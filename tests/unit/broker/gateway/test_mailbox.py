"""An agent's mailbox: the table of acknowledgements, and any course of things against a model of it."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from broker.gateway.mailbox import AnotherBlocked, Fate, FinalExpected, Held, Mailbox, NoSuchMessage, NotAnEvent
from broker.protocol.envelope import Ack
from broker.protocol.errors import ZoneError


def held(name: str, at: int, kind: str = "SIF_Event") -> Held:
    return Held(name, kind, at, at, name.encode())


def status(code: int) -> Ack:
    return Ack("", None, status=code)


def error(category: int, code: int = 1) -> Ack:
    return Ack("", None, category=category, code=code)


def box(*messages: Held, blocked: str = "") -> Mailbox:
    made = Mailbox(blocked)
    for message in messages:
        assert made.put(message)
    return made


FIRST, SECOND = held("first", 1), held("second", 2)
REQUEST = held("request", 3, "SIF_Request")


def test_the_first_message_is_given_until_it_is_acknowledged() -> None:
    made = box(FIRST, SECOND)

    assert [made.next(), made.next()] == [FIRST, FIRST]
    made.acknowledge("first", status(1))
    assert made.next() == SECOND


def test_both_queues_are_joined_by_place_whatever_came_first() -> None:
    request, response = held("request", 2, "SIF_Request"), held("response", 3, "SIF_Response")
    made = box(held("event", 1), held("later event", 4), request, response)
    given = []
    while (message := made.next()) is not None:
        given.append(message.msg_id)
        made.acknowledge(message.msg_id, status(1))

    assert given == ["event", "request", "response", "later event"]


def test_what_was_given_stays_given_when_something_earlier_arrives() -> None:
    made = box(SECOND)
    assert made.next() == SECOND

    made.put(held("earlier", 1, "SIF_Response"))

    assert made.next() == SECOND


@pytest.mark.parametrize(
    ("ack", "fate"),
    [
        (status(1), Fate.REMOVED),
        (status(3), Fate.REMOVED),
        (status(7), Fate.REMOVED),
        (status(2), Fate.BLOCKED),
        (status(8), Fate.KEPT),
        (error(10), Fate.KEPT),
        (error(10, 4), Fate.KEPT),
        (error(1, 3), Fate.REFUSED),
        (error(12), Fate.REFUSED),
        (error(0), Fate.REFUSED),
    ],
    ids=str,
)
def test_an_acknowledgement_does_to_an_event_as_the_table_says(ack: Ack, fate: Fate) -> None:
    made = box(FIRST, SECOND)
    made.next()

    outcome = made.acknowledge("first", ack)

    assert outcome.fate is fate
    gone = fate in (Fate.REMOVED, Fate.REFUSED)
    assert outcome.held == (FIRST if gone else None)
    assert made.next() == (SECOND if gone else None if fate is Fate.BLOCKED else FIRST)


def unknown(made: Mailbox) -> None:
    made.acknowledge("nobody's", status(1))


def without_id(made: Mailbox) -> None:
    made.acknowledge("", status(1))


def not_first(made: Mailbox) -> None:
    made.acknowledge("second", status(1))


def busy_with_a_request(made: Mailbox) -> None:
    made.acknowledge("request", status(2))


@pytest.mark.parametrize(
    ("say", "kind", "pair"),
    [
        (unknown, NoSuchMessage, (12, 6)),
        (without_id, NoSuchMessage, (12, 6)),
        (not_first, NoSuchMessage, (12, 6)),
        (busy_with_a_request, NotAnEvent, (13, 2)),
    ],
    ids=["unknown", "without id", "not first", "busy with a request"],
)
def test_what_an_agent_may_not_say_changes_nothing(
    say: Callable[[Mailbox], None], kind: type[ZoneError], pair: tuple[int, int]
) -> None:
    made = box(FIRST, SECOND, REQUEST)
    made.next()

    with pytest.raises(kind) as raised:
        say(made)

    assert (raised.value.category, raised.value.code) == pair
    assert made.next() == FIRST


def blocked() -> Mailbox:
    made = box(FIRST, SECOND, REQUEST)
    made.next()
    made.acknowledge("first", status(2))
    return made


def test_while_an_event_blocks_only_others_than_events_are_given() -> None:
    made = blocked()

    assert made.next() == REQUEST
    made.acknowledge("request", status(1))
    assert made.next() is None
    made.put(held("response", 4, "SIF_Response"))
    assert made.next() == held("response", 4, "SIF_Response")


def test_the_final_acknowledgement_ends_the_block() -> None:
    made = blocked()

    outcome = made.acknowledge("first", status(3))

    assert (outcome.fate, outcome.held, outcome.unblocked, made.blocked) == (Fate.REMOVED, FIRST, True, "")
    assert made.next() == SECOND


@pytest.mark.parametrize("named", ["second", "request", "nobody's", ""])
def test_a_final_acknowledgement_of_another_message_is_13_4(named: str) -> None:
    made = blocked()

    with pytest.raises(AnotherBlocked) as raised:
        made.acknowledge(named, status(3))

    assert (raised.value.category, raised.value.code) == (13, 4)
    assert (made.blocked, made.next()) == ("first", REQUEST)


@pytest.mark.parametrize("code", [1, 7])
def test_who_is_pushed_to_must_end_a_block_finally(code: int) -> None:
    made = blocked()

    with pytest.raises(FinalExpected) as raised:
        made.acknowledge("first", status(code), final=True)

    assert (raised.value.category, raised.value.code) == (13, 3)
    assert made.blocked == "first"
    assert made.acknowledge("first", status(3), final=True).unblocked


@pytest.mark.parametrize("ack", [status(2), status(8), error(10)], ids=["busy", "asleep", "try again"])
def test_what_keeps_a_message_keeps_the_block(ack: Ack) -> None:
    made = blocked()

    assert made.acknowledge("first", ack).fate is Fate.NOTHING

    assert made.blocked == "first"


@pytest.mark.parametrize("ack", [status(1), status(2), status(3), error(1, 3)], ids=["1", "2", "3", "1/3"])
def test_what_is_said_late_of_what_is_gone_does_nothing(ack: Ack) -> None:
    made = box(FIRST, SECOND)
    made.next()
    made.acknowledge("first", status(3))

    assert made.acknowledge("first", ack).fate is Fate.NOTHING

    assert (made.blocked, made.next()) == ("", SECOND)


def test_2_for_what_is_no_event_counts_as_1_where_it_was_pushed() -> None:
    made = box(REQUEST)
    made.next()

    assert made.acknowledge("request", status(2), pushed=True).fate is Fate.REMOVED


def test_a_block_that_ends_otherwise_gives_the_event_again() -> None:
    made = blocked()

    assert made.unblock()
    assert not made.unblock()

    assert made.next() == FIRST


def test_what_was_handed_in_an_earlier_run_is_not_given() -> None:
    made = Mailbox(handed=frozenset({"first"}))

    assert not made.put(FIRST)
    assert made.put(SECOND)
    assert made.next() == SECOND
    assert made.acknowledge("first", status(1)).fate is Fate.NOTHING


def test_the_same_message_is_taken_in_once() -> None:
    made = box(FIRST)

    assert not made.put(held("first", 9))
    made.acknowledge("first", status(1))
    assert not made.put(held("first", 10))
    assert made.next() is None


def test_after_a_loss_what_comes_again_is_given_again_and_what_is_gone_is_not() -> None:
    made = box(FIRST, SECOND)
    made.next()
    made.acknowledge("first", status(1))
    made.lost()

    assert made.next() is None
    assert not made.put(FIRST)
    assert made.put(SECOND)
    assert made.next() == SECOND


def test_a_block_that_is_remembered_holds_before_and_after_its_event_comes_again() -> None:
    made = Mailbox("first")
    assert made.lacks("first")

    made.put(FIRST)
    made.put(SECOND)

    assert not made.lacks("first")
    assert made.next() is None
    assert made.acknowledge("first", status(3)).held == FIRST
    assert made.next() == SECOND


def test_an_event_that_is_done_with_before_it_comes_again_is_not_given_then() -> None:
    made = Mailbox("first")

    assert made.acknowledge("first", status(3)).unblocked

    assert not made.put(FIRST)
    assert made.put(SECOND)
    assert made.next() == SECOND


def test_would_refuse_names_what_an_error_takes_out_and_changes_nothing() -> None:
    made = blocked()

    assert made.would_refuse("first", error(12)) == FIRST
    assert made.would_refuse("request", error(8, 9)) == REQUEST
    assert made.would_refuse("request", error(10)) is None
    assert made.would_refuse("request", status(1)) is None
    assert made.would_refuse("second", error(12)) is None
    assert (made.blocked, made.next()) == ("first", REQUEST)


def test_emptied_it_holds_nothing() -> None:
    made = box(FIRST, REQUEST)
    made.next()

    assert made.empty() == [FIRST, REQUEST]

    assert made.next() is None


class Courses(RuleBasedStateMachine):
    """Whatever happens: each queue keeps its order, nothing is lost, nothing that is done with is given again."""

    messages = Bundle("messages")

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = Mailbox()
        self.at = 0
        self.model: list[Held] = []  # what the agent has yet to get, in order
        self.gone: list[Held] = []
        self.blocked = ""

    @rule(target=messages, kind=st.sampled_from(["SIF_Event", "SIF_Event", "SIF_Request", "SIF_Response"]))
    def arrives(self, kind: str) -> Held:
        self.at += 1
        message = held(f"m{self.at}", self.at, kind)
        assert self.mailbox.put(message)
        self.model.append(message)
        return message

    @rule(message=messages)
    def comes_again(self, message: Held) -> None:
        assert not self.mailbox.put(message)

    @rule(code=st.sampled_from([1, 3, 7]))
    def is_taken(self, code: int) -> None:
        message = self.mailbox.next()
        if message is None or (self.blocked and code == 3):
            return
        assert self.mailbox.acknowledge(message.msg_id, status(code)).held == message
        self.done(message)

    @rule()
    def is_refused(self) -> None:
        message = self.mailbox.next()
        if message is not None:
            assert self.mailbox.would_refuse(message.msg_id, error(1, 3)) == message
            assert self.mailbox.acknowledge(message.msg_id, error(1, 3)).fate is Fate.REFUSED
            self.done(message)

    @rule(ack=st.sampled_from([status(8), error(10)]))
    def is_kept(self, ack: Ack) -> None:
        message = self.mailbox.next()
        if message is not None:
            assert self.mailbox.acknowledge(message.msg_id, ack).fate is Fate.KEPT
            assert self.mailbox.next() == message

    @rule()
    def agent_is_busy(self) -> None:
        message = self.mailbox.next()
        if message is not None and message.is_event:
            assert self.mailbox.acknowledge(message.msg_id, status(2)).fate is Fate.BLOCKED
            self.blocked = message.msg_id

    @precondition(lambda self: self.blocked)
    @rule()
    def agent_has_done(self) -> None:
        outcome = self.mailbox.acknowledge(self.blocked, status(3))
        assert outcome.unblocked
        assert outcome.held is not None
        self.done(outcome.held)
        self.blocked = ""

    @precondition(lambda self: self.blocked)
    @rule()
    def agent_wakes_up(self) -> None:
        assert self.mailbox.unblock()
        self.blocked = ""

    @rule(message=messages, code=st.sampled_from([1, 2, 3, 7, 8]))
    def late_word(self, message: Held, code: int) -> None:
        if message in self.gone:
            assert self.mailbox.acknowledge(message.msg_id, status(code)).fate is Fate.NOTHING

    @rule()
    def connection_is_lost(self) -> None:
        self.mailbox.lost()
        assert self.mailbox.next() is None
        for message in [*self.gone, *self.model]:
            assert self.mailbox.put(message) is (message in self.model)

    @rule(message=consumes(messages))
    def forgotten_by_the_test(self, message: Held) -> None:
        assert message in self.model or message in self.gone

    def done(self, message: Held) -> None:
        self.model.remove(message)
        self.gone.append(message)

    @invariant()
    def gives_the_first_of_a_queue(self) -> None:
        given = self.mailbox.next()
        events = [message for message in self.model if message.is_event]
        others = [message for message in self.model if not message.is_event]
        heads = [queue[0] for queue in ([] if self.blocked else events, others) if queue]
        assert given in heads if heads else given is None
        assert self.mailbox.blocked == self.blocked


TestCourses = Courses.TestCase
TestCourses.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
