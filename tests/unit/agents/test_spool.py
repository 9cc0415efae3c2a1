"""The spool: state and events in one transaction, each object once."""

import pytest

from agents.spool import Seen, Spool
from agents.store import Store
from broker.protocol.envelope import Ack, event_objects, parse_message
from tests.unit.agents.helpers import REF, learner, parse


def put(store: Store, spool: Spool, name: str, source: str = "a", *, complete: bool = False) -> str | None:
    with store.transaction() as db:
        return spool.put(db, source, learner(name=name), complete=complete)


def actions(spool: Spool) -> list[str]:
    return [event.action for event in spool.waiting(0)]


def test_a_new_object_an_unchanged_and_a_changed_one(store: Store, spool: Spool) -> None:
    assert put(store, spool, "Quill") is not None
    assert put(store, spool, "Quill") is None
    assert put(store, spool, "Plume") is not None

    assert actions(spool) == ["Add", "Change"]
    assert {event.routing_key for event in spool.waiting(0)} == {REF}


def test_a_spooled_event_is_a_sif_event_under_the_id_it_will_always_have(store: Store, spool: Spool) -> None:
    msg_id = put(store, spool, "Quill")

    (event,) = spool.waiting(0)
    message = parse_message(event.body)

    assert message.header.msg_id == msg_id == event.msg_id
    assert message.header.source_id == "mis-1"
    assert event_objects(message)[0].object_type == "LearnerPersonal"


def test_a_transaction_that_is_undone_leaves_neither_event_nor_state(store: Store, spool: Spool) -> None:
    def put_and_fail() -> None:
        with store.transaction() as db:
            spool.put(db, "a", learner())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        put_and_fail()
    assert spool.count() == 0
    assert put(store, spool, "Quill") is not None
    assert actions(spool) == ["Add"]


def test_what_a_transaction_that_is_undone_has_said_of_shapes_is_said_again(store: Store, spool: Spool) -> None:
    def put_and_fail() -> None:
        with store.transaction() as db:
            spool.put(db, "a", learner(), complete=True)
            raise RuntimeError

    def shapes() -> int:
        return int(store.query("SELECT count(*) FROM shapes")[0][0])

    with pytest.raises(RuntimeError):
        put_and_fail()
    assert shapes() == 0
    put(store, spool, "Quill", complete=True)
    there = shapes()
    put(store, spool, "Plume", complete=True)
    assert shapes() == there > 0


def test_what_another_source_has_published_is_changed_and_not_added_again(store: Store, spool: Spool) -> None:
    put(store, spool, "Quill", "a")
    put(store, spool, "Plume", "b")

    assert actions(spool) == ["Add", "Change"]


def test_what_is_confirmed_leaves_the_spool(store: Store, spool: Spool) -> None:
    put(store, spool, "Quill")
    put(store, spool, "Plume")

    spool.confirmed(spool.waiting(0)[:1])

    assert actions(spool) == ["Change"]


@pytest.mark.parametrize("confirmed", [True, False])
def test_after_a_refused_add_the_next_change_is_an_add_and_the_same_again_is_nothing(
    store: Store, spool: Spool, confirmed: bool
) -> None:
    msg_id = put(store, spool, "Quill")
    if confirmed:
        spool.confirmed(spool.waiting(0))
    with store.transaction() as db:
        assert spool.refused(db, Ack("mis-1", msg_id, category=1, code=3, description="Name: say why"))

    assert put(store, spool, "Quill") is None
    put(store, spool, "Plume")

    assert actions(spool)[-1] == "Add"
    assert store.query("SELECT object_type, ref_id, code FROM refusals") == [("LearnerPersonal", REF, 3)]


def test_a_refusal_of_a_message_that_is_not_ours_is_told_apart(store: Store, spool: Spool) -> None:
    with store.transaction() as db:
        assert not spool.refused(db, Ack("other", "0" * 32, category=1, code=3))


def test_what_a_complete_source_no_longer_has_is_deleted_once_nobody_else_has_it(store: Store, spool: Spool) -> None:
    put(store, spool, "Quill", "a")
    put(store, spool, "Quill", "b")
    for source in ("a", "b"):
        with store.transaction() as db:
            spool.start_reading(db)
            known, (gone,) = spool.vanished(db, source, "LearnerPersonal")
            assert known == 1
            spool.delete(db, source, gone)

    assert actions(spool) == ["Add", "Change", "Delete"]
    delete = event_objects(parse_message(spool.waiting(0)[-1].body))[0]
    assert delete.element.get("RefId") == REF
    assert len(delete.element) == 0


def test_an_object_twice_in_a_file_is_told_apart_by_content(store: Store, spool: Spool) -> None:
    with store.transaction() as db:
        spool.start_reading(db)
        assert spool.see(db, "LearnerPersonal", REF, b"1") is Seen.FIRST
        assert spool.see(db, "LearnerPersonal", REF, b"1") is Seen.ALIKE
        assert spool.see(db, "LearnerPersonal", REF, b"2") is Seen.DIFFERENT


def test_nothing_but_bodies_that_wait_holds_personal_data(store: Store, spool: Spool) -> None:
    put(store, spool, "Marker", complete=True)
    spool.confirmed(spool.waiting(0))

    rows = [str(row) for table in ("sync", "shapes", "sent", "outbox") for row in store.query(f"SELECT * FROM {table}")]  # noqa: S608
    assert rows
    assert not [row for row in rows if "Marker" in row]


def test_of_a_learner_that_is_withdrawn_what_does_not_name_it_stays_and_follows_it(store: Store, spool: Spool) -> None:
    new = "A" * 32
    contact = parse(f"<ContactPersonal RefId='{1:032X}'/>")
    picture = parse(f"<PersonPicture PersonRefId='{REF}'/>")
    entitlement = parse(
        f"<LearnerEntitlement RefId='{2:032X}'><LearnerPersonalRefId>{REF}</LearnerPersonalRefId></LearnerEntitlement>"
    )
    with store.transaction() as db:
        for source in ("first", "second"):
            spool.put(db, source, learner())
        for element in (contact, picture, entitlement, parse(f"<SchoolInfo RefId='{3:032X}'/>")):
            spool.put(db, "first", element, routing_key=None if "SchoolInfo" in element.tag else REF)
        before = spool.count()
        assert spool.withdraw(db, frozenset({REF}), {REF: new}) == 3

    deletes = spool.waiting(0)[before:]
    assert [(event.object_type, event.action, event.routing_key) for event in deletes] == [
        ("LearnerEntitlement", "Delete", REF),
        ("PersonPicture", "Delete", REF),
        ("LearnerPersonal", "Delete", REF),
    ]
    assert spool.published() == {"ContactPersonal": 1, "SchoolInfo": 1}
    assert store.query("SELECT routing_key FROM sync WHERE object_type = 'ContactPersonal'") == [(new,)]
    assert store.query("SELECT object_type FROM published ORDER BY 1") == [("ContactPersonal",), ("SchoolInfo",)]
