"""Opening a database: migrated once, refused when it is newer or no use, private, and back after it was away."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from broker.storage import (
    Batch,
    DatabaseTooNew,
    DatabaseUrlError,
    EnrolmentRow,
    KeyFileError,
    StorageError,
    StorageUnavailable,
    Store,
    is_migrated,
    open_store,
)
from broker.storage.engine import HEAD
from broker.storage.tables import metadata
from tests.integration.storage.conftest import NOON, verdict
from tests.postgres import running_postgres


def test_a_migrated_database_has_the_tables_that_the_code_knows(store: Store, admin: sqlalchemy.Engine) -> None:
    assert store
    with admin.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

        assert compare_metadata(context, metadata) == []


def test_the_code_expects_the_newest_migration() -> None:
    migrations = Path(__file__).parents[3] / "broker" / "storage" / "migrations"

    assert ScriptDirectory(str(migrations)).get_heads() == [HEAD]


def test_what_was_stored_is_there_when_opened_again(database_url: str, key_file: Path) -> None:
    with open_store(database_url, key_file) as store:
        store.commit(Batch(ledger=[verdict("M1")]))

    with open_store(database_url, key_file) as store:
        assert store.explain("M1") == [verdict("M1")]


OPEN = """
import sys
from pathlib import Path
from broker.storage import Batch, open_store
from tests.integration.storage.conftest import verdict

with open_store(sys.argv[1], Path(sys.argv[2])) as store:
    store.commit(Batch(ledger=[verdict(sys.argv[3])]))
"""


def test_whether_a_database_has_this_version_s_tables_is_told_without_making_any(
    database_url: str, key_file: Path
) -> None:
    assert [is_migrated(database_url) for _ in range(2)] == [False, False]

    open_store(database_url, key_file).close()
    assert is_migrated(database_url)


def test_several_processes_may_open_a_new_database_at_once(database_url: str, key_file: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, database_url, str(key_file), f"M{number}"],
            cwd=Path(__file__).parents[3],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    failures = [child.communicate()[1] for child in children]

    assert failures == [""] * 4
    with open_store(database_url, key_file) as store:
        assert {row.msg_id for row in store.ledger()} == {"M0", "M1", "M2", "M3"}


@pytest.mark.parametrize("revision", [f"{int(HEAD) + 1:04}", "9999", "00010", "a3f9c2"])
def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    store: Store, admin: sqlalchemy.Engine, database_url: str, key_file: Path, revision: str
) -> None:
    store.commit(Batch(ledger=[verdict("M1")]))
    with admin.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = :to"), {"to": revision})

    with pytest.raises(DatabaseTooNew, match="install the version"):
        open_store(database_url, key_file)

    assert store.explain("M1") == [verdict("M1")]


def test_a_database_that_is_somebody_else_s_is_refused_and_left_alone(database_url: str, key_file: Path) -> None:
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE learner (theirs integer)"))

    with pytest.raises(StorageError, match="sifzone's own"):
        open_store(database_url, key_file)

    with engine.connect() as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == ["learner"]
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("sqlite://", "in memory", id="memory"),
        pytest.param("sqlite:///:memory:", "in memory", id="memory-named"),
        pytest.param("mysql://root:hunter2@127.0.0.1/zone", "not supported", id="another-kind"),
        pytest.param("zone.db", "cannot be read", id="a-path"),
        pytest.param("postgresql+psycopg://u:hunter2@127.0.0.1:many/zone", "cannot be read", id="a-port-in-words"),
        pytest.param("sqlite:////missing/folder/zone.db", "make its folder", id="missing-folder"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_a_password(key_file: Path, url: str, says: str) -> None:
    with pytest.raises(DatabaseUrlError, match=says) as caught:
        open_store(url, key_file)

    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, key_file: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear head teacher, " * 100)

    with pytest.raises(DatabaseUrlError, match="another file"):
        open_store(f"sqlite:///{letter}", key_file)

    assert letter.read_text() == "Dear head teacher, " * 100


def test_a_server_that_does_not_answer_is_worth_a_retry_and_shows_no_password(key_file: Path) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        open_store("postgresql+psycopg://zone:hunter2@127.0.0.1:9/zone", key_file)

    assert caught.value.retry
    assert "hunter2" not in str(caught.value)


def test_without_a_key_no_database_is_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        open_store(f"sqlite:///{tmp_path}/zone.db", tmp_path / "none.key")

    assert list(tmp_path.iterdir()) == []


def test_sqlite_files_are_their_owner_s_alone(tmp_path: Path, key_file: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/zone.db", key_file) as store:
        store.commit(Batch(ledger=[verdict("M1")]))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("zone.db*")}

    assert modes == dict.fromkeys(("zone.db", "zone.db-wal", "zone.db-shm", "zone.db-writers"), 0o600)


def test_a_commit_is_durable_whatever_the_server_is_set_to(store: Store, admin: sqlalchemy.Engine) -> None:
    if admin.dialect.name == "postgresql":
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            name = connection.execute(sqlalchemy.text("SELECT current_database()")).scalar_one()
            connection.execute(sqlalchemy.text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        store.close()
    question = "SHOW synchronous_commit" if admin.dialect.name == "postgresql" else "PRAGMA synchronous"

    with store._database.read("ask") as connection:
        answer = str(connection.exec_driver_sql(question).scalar_one())

    assert answer in {"on", "2"}  # 2 is FULL


def test_a_server_that_restarts_is_found_again_by_the_same_store(key_file: Path) -> None:
    with running_postgres() as cluster, open_store(cluster.create(), key_file, lock_wait=2) as store:
        store.commit(Batch(ledger=[verdict("M1")]))
        cluster.stop()
        with pytest.raises(StorageUnavailable, match="try again"):
            store.commit(Batch(ledger=[verdict("M2")]))

        cluster.start()
        store.commit(Batch(ledger=[verdict("M2", at=NOON + 1)]))

        assert [row.msg_id for row in store.ledger()] == ["M2", "M1"]


def test_a_database_of_the_first_revision_is_upgraded_with_all_that_is_in_it(database_url: str, key_file: Path) -> None:
    parsed = make_url(database_url)
    engine = sqlalchemy.create_engine(
        parsed.set(drivername="postgresql+psycopg") if parsed.get_backend_name() == "postgresql" else parsed
    )
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "broker.storage:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO learner (ref_id, care_authority, home_authority, shielded, enrolments, sources) "
                "VALUES (:ref, '820', '820', :yes, :stays, '[]')"
            ),
            {"ref": "A" * 32, "yes": True, "stays": '[["E", "8209901", "2025-09-01", ""]]'},
        )
    engine.dispose()

    with open_store(database_url, key_file) as store:
        (row,) = store.learners(["A" * 32]).values()
        assert (row.shielded, row.local_id) == (True, "")
        assert row.enrolments == (EnrolmentRow("E", "8209901", "2025-09-01"),)
        assert (row.adopted, row.care, row.destinations, row.holdings, row.fetches) == (False, (), (), (), ())
        assert store.reviews() == []
        assert store.flaws() == []
