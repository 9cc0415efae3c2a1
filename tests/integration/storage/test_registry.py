"""The registry: who is registered, and a number by which every process notices a change."""

from broker.storage import Registration, Store
from tests.integration.storage.conftest import NOON


def test_a_registration_comes_back(store: Store) -> None:
    store.register("merlin", name="Merlin", version="2.4", at=NOON)

    assert store.registered() == {"merlin": Registration("merlin", "Merlin", "2.4", NOON)}


def test_a_second_registration_takes_the_place_of_the_first(store: Store) -> None:
    store.register("merlin", name="Merlin", version="2.4", at=NOON)
    store.register("merlin", name="Merlin", version="2.5", at=NOON + 1)

    assert store.registered() == {"merlin": Registration("merlin", "Merlin", "2.5", NOON + 1)}


def test_who_unregistered_is_gone_and_may_do_so_twice(store: Store) -> None:
    store.register("merlin", name="Merlin", version="2.4", at=NOON)

    store.unregister("merlin")
    store.unregister("merlin")

    assert store.registered() == {}


def test_every_change_shows_in_the_version_that_other_processes_read(store: Store, other_store: Store) -> None:
    versions = [other_store.registry_version()]
    store.register("merlin", name="Merlin", version="2.4", at=NOON)
    versions.append(other_store.registry_version())
    store.unregister("merlin")
    versions.append(other_store.registry_version())
    unchanged = other_store.registry_version()

    assert versions == sorted(set(versions))
    assert unchanged == versions[-1]
