"""What an agent keeps of what it receives."""

import pytest

from agents.inbox import Inbox, KeptObjects
from agents.store import Store
from broker.protocol.envelope import NAMESPACE, Action, EventObject
from broker.protocol.errors import NotValid
from schemas import SchemaSet
from tests.unit.agents.helpers import REF, learner, parse

CHANGE = f"<LearnerPersonal RefId='{REF}'><UPN>A820990126009</UPN></LearnerPersonal>"


@pytest.fixture
def inbox(store: Store, schema: SchemaSet) -> Inbox:
    return Inbox(store, schema)


def apply(store: Store, inbox: Inbox, action: Action, content: str = "") -> None:
    element = parse(content) if content else learner()
    with store.transaction() as db:
        inbox.apply(db, EventObject("LearnerPersonal", action, element))


def kept(store: Store) -> list[str | None]:
    with store.snapshot() as db:
        return [element.findtext(f"{{{NAMESPACE}}}UPN") for element in KeptObjects(db).all("LearnerPersonal")]


def test_add_change_and_delete_are_applied_in_turn(store: Store, inbox: Inbox) -> None:
    apply(store, inbox, Action.ADD)
    assert kept(store) == ["A820990126001"]
    apply(store, inbox, Action.CHANGE, CHANGE)
    assert kept(store) == ["A820990126009"]
    assert inbox.counts() == {"LearnerPersonal": 1}
    apply(store, inbox, Action.DELETE, CHANGE)
    assert kept(store) == []


def test_a_change_of_what_is_not_here_is_kept_and_a_later_add_replaces_it(store: Store, inbox: Inbox) -> None:
    apply(store, inbox, Action.CHANGE, CHANGE)
    assert kept(store) == ["A820990126009"]
    apply(store, inbox, Action.ADD)
    assert kept(store) == ["A820990126001"]


def test_an_object_without_its_keys_is_refused(inbox: Inbox) -> None:
    with pytest.raises(NotValid, match="without its keys"):
        inbox.check(
            EventObject("LearnerPersonal", Action.ADD, parse("<LearnerPersonal><UPN>x</UPN></LearnerPersonal>"))
        )


def test_a_snapshot_sees_one_moment_and_finds_by_ref_id(store: Store, inbox: Inbox) -> None:
    apply(store, inbox, Action.ADD)
    with store.snapshot() as db:
        objects = KeptObjects(db)
        assert objects.get("LearnerPersonal", REF) is not None
        apply(store, inbox, Action.DELETE, CHANGE)
        assert len(list(objects.all("LearnerPersonal"))) == 1
        assert objects.get("LearnerPersonal", "0" * 32) is None


def test_every_object_is_given_once_over_many_pages(store: Store, inbox: Inbox) -> None:
    with store.transaction() as db:
        for number in range(1201):
            element = parse(f"<LearnerPersonal RefId='{number:032X}'/>")
            inbox.apply(db, EventObject("LearnerPersonal", Action.ADD, element))

    with store.snapshot() as db:
        assert len({element.get("RefId") for element in KeptObjects(db).all("LearnerPersonal")}) == 1201
