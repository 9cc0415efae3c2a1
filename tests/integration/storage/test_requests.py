"""Requests as they stand, and what agents have acknowledged."""

from dataclasses import replace
from typing import Final

import pytest

from broker.protocol.identifiers import AgentId, Context, MsgId
from broker.requests import OPEN, Pending, RequestState
from broker.storage import Batch, Store
from tests.integration.storage.conftest import NOON

MERLIN, MIS, LIBRARY = AgentId("merlin"), AgentId("mis-8209901"), AgentId("library")
FULL: Final = Pending(
    MsgId("A" * 32),
    MERLIN,
    MIS,
    "LearnerPersonal",
    Context("exams"),
    "2.0r1",
    ("2.*", "2.0r1"),
    0xFFFF_FFFF,
    NOON,
    NOON + 3600.5,
    RequestState.PARTIAL,
    70_000,
    5_000_000_000,
    4_000_000_000,
    11,
    9_999,
    "person." + "A" * 32,
    extended=True,
    about="D" * 32,
)
PLAIN: Final = Pending(
    MsgId("B" * 32), MERLIN, MIS, "SchoolInfo", Context("SIF_Default"), "2.4", ("2.*",), 65_536, NOON, NOON + 3600
)


def keep(store: Store, *pending: Pending) -> None:
    store.commit(Batch(requests=list(pending)))


def made(number: int, **more: object) -> Pending:
    return replace(PLAIN, msg_id=MsgId(f"{number:032X}"), **more)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize("one", [FULL, PLAIN], ids=["all of it", "as it begins"])
def test_all_of_a_request_comes_back(store: Store, one: Pending) -> None:
    keep(store, one)

    assert store.requests([one.msg_id, "C" * 32]) == {one.msg_id: one}


@pytest.mark.parametrize("state", list(RequestState))
def test_every_state_comes_back(store: Store, state: RequestState) -> None:
    keep(store, replace(PLAIN, state=state))

    assert store.requests([PLAIN.msg_id])[PLAIN.msg_id].state is state


def test_what_is_kept_later_takes_the_place_of_what_was(store: Store, other_store: Store) -> None:
    keep(store, PLAIN)
    later = replace(PLAIN, state=RequestState.ANSWERING, next_packet=2, shared=7, left_out=1, due_at=NOON + 7200)

    keep(other_store, later)

    assert store.requests([PLAIN.msg_id]) == {PLAIN.msg_id: later}


def test_of_several_in_one_batch_the_last_holds(store: Store) -> None:
    last = replace(PLAIN, state=RequestState.DONE, next_packet=3)

    keep(store, PLAIN, FULL, replace(PLAIN, next_packet=2), last)

    assert store.requests([PLAIN.msg_id, FULL.msg_id]) == {PLAIN.msg_id: last, FULL.msg_id: FULL}


def test_many_are_found_at_once(store: Store) -> None:
    many = [made(number) for number in range(1_200)]
    keep(store, *many)

    assert store.requests([one.msg_id for one in many]) == {one.msg_id: one for one in many}
    assert store.requests([]) == {}


def test_those_that_wait_are_found_by_responder_and_oldest_first(store: Store) -> None:
    closed = [made(number, state=state) for number, state in enumerate(RequestState) if state not in OPEN]
    late, early = made(20, asked_at=NOON + 2), made(21, asked_at=NOON + 1, state=RequestState.ANSWERING)
    other = made(22, responder=LIBRARY)
    keep(store, *closed, late, early, other)

    assert store.open_requests() == [other, early, late]
    assert store.open_requests(responder=MIS) == [early, late]
    assert store.open_requests(responder=MERLIN) == []


def test_those_that_have_waited_too_long_are_found(store: Store) -> None:
    due = made(1, due_at=NOON, state=RequestState.ANSWERING)
    keep(store, due, made(2, due_at=NOON + 1), made(3, due_at=NOON - 1, state=RequestState.DONE))

    assert store.open_requests(due_before=NOON) == []
    assert store.open_requests(due_before=NOON + 0.5) == [due]
    assert store.open_requests(due_before=NOON + 0.5, responder=LIBRARY) == []


def test_requests_are_listed_newest_first_by_state_and_by_who_takes_part(store: Store) -> None:
    asks, answers = made(1, asked_at=NOON), made(2, asked_at=NOON + 1, requester=LIBRARY, responder=MERLIN)
    done = made(3, asked_at=NOON + 2, requester=LIBRARY, state=RequestState.DONE)
    keep(store, asks, answers, done)

    assert store.list_requests() == [done, answers, asks]
    assert store.list_requests(limit=2) == [done, answers]
    assert store.list_requests([RequestState.DONE, RequestState.FAILED]) == [done]
    assert store.list_requests(OPEN) == [answers, asks]
    assert store.list_requests(agent=MERLIN) == [answers, asks]
    assert store.list_requests(OPEN, agent=LIBRARY) == [answers]
    assert store.list_requests([]) == []


def test_what_an_agent_acknowledged_is_remembered_each_once(store: Store, other_store: Store) -> None:
    store.hand([(MERLIN, "M1"), (MERLIN, "M2"), (MIS, "M1")], NOON)
    other_store.hand([(MERLIN, "M2"), (MERLIN, "M3")], NOON + 1)

    assert store.handed(MERLIN) == {"M1", "M2", "M3"}
    assert store.handed(MIS) == {"M1"}
    assert store.handed(LIBRARY) == frozenset()


def test_what_the_agents_named_acknowledged_long_ago_is_forgotten(store: Store) -> None:
    store.hand([(MERLIN, "M1"), (MIS, "M1"), (LIBRARY, "M1")], NOON)
    store.hand([(MERLIN, "M2")], NOON + 1)

    store.forget_handed([MERLIN, MIS], NOON)
    assert store.handed(MERLIN) == {"M1", "M2"}

    store.forget_handed([MERLIN, MIS], NOON + 1)
    assert store.handed(MERLIN) == {"M2"}
    assert store.handed(MIS) == frozenset()
    assert store.handed(LIBRARY) == {"M1"}
