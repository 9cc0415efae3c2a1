"""The registry: what agents have said of themselves, and a number by which every process notices a change."""

from dataclasses import replace

import pytest

from broker.protocol.identifiers import AgentId, Context
from broker.registry import (
    Channel,
    Mode,
    Provision,
    Provisioned,
    Registered,
    Registration,
    Role,
    Slept,
    Topic,
    Unregistered,
    grants,
)
from broker.storage import Store
from tests.integration.storage.conftest import NOON, register

LIBRARY = AgentId("library")
FULL = Registration(
    LIBRARY,
    "Library loans",
    "2.1",
    NOON,
    ("2.1", "2.*"),
    262_144,
    Mode.PUSH,
    "https://library.example/in/",
    "HTTPS",
    secure=True,
    encodings=("gzip", "identity"),
    vendor="Made up Ltd",
    node_version="3.1",
    application=("Made up Ltd", "Loans", "9"),
    channel=Channel(3, 4),
)
LOANS = Topic("LearnerPersonal", Context("estab-8209901"))
SAID = Provision(
    grants([(Role.SUBSCRIBE, LOANS), (Role.SUBSCRIBE, Topic("SchoolInfo")), (Role.PROVIDE, LOANS)]), frozenset({LOANS})
)


def change(store: Store, *changes: Registered | Unregistered | Provisioned | Slept) -> None:
    store.change_registry(lambda _live: (None, changes))


def test_all_that_an_agent_says_when_it_registers_comes_back(store: Store) -> None:
    change(store, Registered(FULL))

    assert store.live().registrations == {LIBRARY: FULL}


def test_a_second_registration_takes_the_place_of_the_first_and_wakes_the_agent(store: Store) -> None:
    change(store, Registered(FULL), Slept(LIBRARY, sleeping=True))
    assert store.live().registrations[LIBRARY].sleeping
    store.block(LIBRARY, "A" * 32)
    later = replace(FULL, version="2.5", mode=Mode.PULL, url="", at=NOON + 1)

    change(store, Registered(later))

    assert store.live().registrations == {LIBRARY: later}
    assert store.blocked() == {}


def test_what_an_agent_provides_outlives_its_registering_again(store: Store) -> None:
    change(store, Registered(FULL), Provisioned(LIBRARY, SAID))

    change(store, Registered(FULL))

    assert store.live().provisions == {LIBRARY: SAID}


def test_a_provision_takes_the_place_of_the_one_before(store: Store) -> None:
    change(store, Registered(FULL), Provisioned(LIBRARY, SAID))
    less = Provision(grants([(Role.REQUEST, Topic("SchoolInfo"))]))

    change(store, Provisioned(LIBRARY, less))

    assert store.live().provisions == {LIBRARY: less}


def test_who_unregistered_is_gone_with_all_it_said_and_may_do_so_twice(store: Store) -> None:
    register(store, "merlin")
    change(store, Registered(FULL), Provisioned(LIBRARY, SAID))

    change(store, Unregistered(LIBRARY))
    change(store, Unregistered(LIBRARY))

    assert list(store.live().registrations) == ["merlin"]
    assert store.live().provisions == {}


def test_the_event_an_agent_is_busy_with_is_remembered_until_it_is_not(store: Store) -> None:
    change(store, Registered(FULL))

    store.block(LIBRARY, "A" * 32)
    assert store.blocked() == {LIBRARY: "A" * 32}

    store.block(LIBRARY, "")
    assert store.blocked() == {}


def test_every_change_shows_in_the_version_that_other_processes_read(store: Store, other_store: Store) -> None:
    versions = [other_store.registry_version()]
    for one in (Registered(FULL), Provisioned(LIBRARY, SAID), Slept(LIBRARY, sleeping=True), Unregistered(LIBRARY)):
        change(store, one)
        versions.append(other_store.registry_version())

    assert versions == sorted(set(versions))
    assert other_store.live().version == versions[-1]


def test_a_decision_that_changes_nothing_leaves_the_version(store: Store) -> None:
    before = store.registry_version()

    assert store.change_registry(lambda live: (live.version, ())) == before
    assert store.registry_version() == before


def test_a_decision_that_fails_changes_nothing(store: Store) -> None:
    def fail(_live: object) -> tuple[None, tuple[Registered, ...]]:
        raise RuntimeError("made up")

    with pytest.raises(RuntimeError):
        store.change_registry(fail)
    register(store, "merlin")

    assert list(store.live().registrations) == ["merlin"]
