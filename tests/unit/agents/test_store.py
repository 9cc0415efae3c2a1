"""The agent's database and key: private, durable, held by one process."""

import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from agents.keys import Keys
from agents.store import AlreadyRunning, Store
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import is_guid


def test_folder_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "state") as store:
        store.hold()

        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert modes
    assert set(modes.values()) == {0o600}


def test_ref_ids_stay_the_same_with_the_key_and_differ_by_type_key_and_agent(tmp_path: Path) -> None:
    with Store(tmp_path / "a") as store:
        first = store.keys.ref_id("LearnerPersonal", ("820", "1"))
        others = {
            store.keys.ref_id("ContactPersonal", ("820", "1")),
            store.keys.ref_id("LearnerPersonal", ("8201", "")),
            Keys(b"another key").ref_id("LearnerPersonal", ("820", "1")),
        }
    with Store(tmp_path / "a") as again:
        assert again.keys.ref_id("LearnerPersonal", ("820", "1")) == first

    assert is_guid(first)
    assert len(others - {first}) == 3


def test_a_lost_or_changed_key_is_refused_since_every_ref_id_would_change(tmp_path: Path) -> None:
    Store(tmp_path / "a").close()
    key = tmp_path / "a" / "agent.key"
    kept = key.read_bytes()
    key.unlink()

    with pytest.raises(ConfigurationError, match="put it back from a copy"):
        Store(tmp_path / "a")
    key.write_bytes(kept[:8])
    with pytest.raises(ConfigurationError, match="put it back from a copy"):
        Store(tmp_path / "a")

    key.write_bytes(kept)
    Store(tmp_path / "a").close()


def test_only_one_process_runs_an_agent_and_closing_lets_the_next_one(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "a"), Store(tmp_path / "a")
    first.hold()

    with pytest.raises(AlreadyRunning, match="already running"):
        second.hold()
    first.close()
    second.hold()

    second.close()


def test_who_holds_an_agent_may_hold_it_again_and_lets_it_go_at_once(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "a"), Store(tmp_path / "a")
    first.hold()
    first.hold()
    with pytest.raises(AlreadyRunning):
        second.hold()

    first.close()
    second.hold()
    second.close()


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as db:
        db.executemany("INSERT INTO meta VALUES (?, 'done')", [("half",), ("half",)])

    assert store.meta("half") == ""


def test_ids_of_old_messages_are_forgotten_and_new_ones_kept(store: Store) -> None:
    with store.transaction() as db:
        db.execute("INSERT INTO inbox VALUES ('OLD', 'SchoolInfo', '2020-01-01T00:00:00+00:00')")
        db.execute("INSERT INTO inbox VALUES ('NEW', 'SchoolInfo', '2999-01-01T00:00:00+00:00')")

    store.prune(timedelta(days=30))

    assert store.query("SELECT msg_id FROM inbox") == [("NEW",)]


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "a") as store, store.transaction() as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(ConfigurationError, match="later sifzone"):
        Store(tmp_path / "a")
