"""Tables of a database written from what was received: whole or not at all, only what differs, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, create_engine, text

from agents.connectors.contract import Checked, Marker, SourceError, Target, TargetError
from agents.connectors.databases import connected
from agents.connectors.sql import SqlFeed, SqlOptions
from agents.connectors.sql_out import SqlOutOptions, SqlTarget
from broker.protocol.errors import ConfigurationError
from mappings import OutwardMapping, Record
from tests.postgres import running_postgres
from tests.unit.agents.connectors.outward_tables import Nothing, Table, of, users

ADA, EVE, ZED = ("u1", "Ada", "01632 960101"), ("u2", "Eve", ""), ("u3", "Zed", "=1+1")
USERS = 'CREATE TABLE users ("sourcedId" VARCHAR(20) PRIMARY KEY, givenname VARCHAR(5) NOT NULL, phone TEXT, seen TEXT)'


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """One database on a cluster of our own, for the file."""
    with running_postgres() as cluster:
        yield cluster.create()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the table users; PostgreSQL is started only when it is asked for."""
    is_sqlite = request.param == "sqlite"
    made: str = f"sqlite:///{tmp_path}/platform.db" if is_sqlite else request.getfixturevalue("postgres_url")
    with changing(made) as connection:
        connection.execute(text("DROP TABLE IF EXISTS users"))
        connection.execute(text(USERS))
    return made


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def rows(url: str) -> list[tuple[str | None, ...]]:
    with changing(url) as connection:
        found = connection.execute(text('SELECT "sourcedId", givenname, phone FROM users ORDER BY 1'))
        return [tuple(row) for row in found]


def target(url: str, mappings: list[OutwardMapping], **options: object) -> SqlTarget:
    return SqlTarget(None, mappings, SqlOutOptions.model_validate({"url": url, **options}))


def write(url: str, *made: tuple[str, ...], mode: str = "sync") -> bool:
    return target(url, users(*made), mode=mode).write(Nothing()).changed


def test_a_table_is_what_the_mapping_makes_and_is_not_written_again_when_nothing_differs(url: str) -> None:
    assert write(url, ADA, EVE)
    assert rows(url) == [ADA, ("u2", "Eve", None)]
    assert not write(url, ADA, EVE)

    assert write(url, ("u1", "Ida", ""), ZED)

    assert rows(url) == [("u1", "Ida", None), ZED]


@pytest.mark.parametrize(("mode", "left"), [("sync", []), ("upsert", [ADA]), ("replace", [])])
def test_what_is_gone_is_deleted_except_where_nothing_is_to_be(
    url: str, mode: str, left: list[tuple[str, ...]]
) -> None:
    write(url, ADA)

    assert write(url, EVE, mode=mode)

    assert rows(url) == [*left, ("u2", "Eve", None)]
    assert not write(url, EVE, mode=mode)


@pytest.mark.parametrize(("mode", "seen"), [("sync", "yes"), ("replace", None)])
def test_columns_that_the_mapping_does_not_name_stay_unless_all_is_replaced(
    url: str, mode: str, seen: str | None
) -> None:
    write(url, ADA)
    with changing(url) as connection:
        connection.execute(text("UPDATE users SET seen = 'yes'"))

    write(url, ("u1", "Ida", ""), mode=mode)

    with changing(url) as connection:
        assert connection.execute(text("SELECT seen FROM users")).scalar() == seen


def test_a_write_that_fails_leaves_the_table_as_it_was_and_tells_no_value(url: str) -> None:
    write(url, ADA)
    with changing(url) as connection:
        connection.execute(text("CREATE UNIQUE INDEX one_phone ON users (phone)"))

    with pytest.raises(TargetError, match="refuses a row because of a rule of the table") as caught:
        write(url, ("u1", "Ida", "07700 900123"), ("u5", "Vera", "07700 900123"))

    assert "900123" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert rows(url) == [ADA]


def test_two_tables_are_written_both_or_neither(url: str) -> None:
    mappings = [*users(ADA), *of(Table("classes", ("sourcedId",), [("k1",)]))]

    with pytest.raises(TargetError, match="no table 'classes'"):
        target(url, mappings).write(Nothing())
    assert rows(url) == []


def test_a_text_that_is_too_long_for_its_column_is_left_out_and_counted(url: str) -> None:
    written = target(url, users(ADA, ("u2", "Zephyrine", ""))).write(Nothing())

    assert rows(url) == [ADA]
    assert (written.counts, written.left_out) == ((("users", 1),), (("users: givenName longer than 5", 1),))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (Table("user", ("sourcedId",), []), "no table 'user': did you mean 'users'"),
        (Table("users", ("sourcedId", "givenNames"), []), "no column 'givenNames': did you mean 'givenname'"),
        (Table("numbers", ("id", "age"), []), "'age' is not for text"),
    ],
    ids=["table", "column", "type"],
)
def test_tables_and_columns_are_checked_before_anything_is_written(url: str, table: Table, words: str) -> None:
    with changing(url) as connection:
        connection.execute(text("DROP TABLE IF EXISTS numbers"))
        connection.execute(text("CREATE TABLE numbers (id TEXT, age INTEGER)"))

    for attempt in (target(url, of(table)).check, lambda: target(url, of(table)).write(Nothing())):
        with pytest.raises(TargetError, match=words):
            attempt()


def test_check_names_the_tables_and_another_name_may_be_given_to_one(url: str) -> None:
    made = target(url, of(Table("people", ("sourcedId",), [])), tables={"people": "users"})

    assert isinstance(made, Target)
    assert isinstance(made, Checked)
    assert made.check().endswith(": users (1 columns)")


def test_what_was_written_can_be_read_and_in_a_source_nothing_can_be_written(url: str) -> None:
    write(url, ADA, EVE, ZED)
    options = SqlOptions.model_validate({"url": url, "query": 'SELECT * FROM users ORDER BY "sourcedId";'})
    source = SqlFeed(options)

    *records, marker = source.read_since("")

    assert [dict(one.fields) for one in records if isinstance(one, Record)] == [
        {"sourcedId": "u1", "givenname": "Ada", "phone": "01632 960101"},
        {"sourcedId": "u2", "givenname": "Eve"},
        {"sourcedId": "u3", "givenname": "Zed", "phone": "=1+1"},
    ]
    assert marker == Marker("all", complete=True)
    assert "at least one row, 4 columns: sourcedId, givenname, phone, seen" in source.check()
    with pytest.raises(SourceError, match="cannot be written"), connected(options, SourceError) as connection:
        connection.execute(text("DELETE FROM users"))
    assert len(rows(url)) == 3


def test_on_postgresql_by_version_and_time_only_what_changed_comes_again(postgres_url: str) -> None:
    with changing(postgres_url) as connection:
        connection.execute(text("DROP TABLE IF EXISTS pupils"))
        connection.execute(
            text(
                "CREATE TABLE pupils AS SELECT 'p' || n AS id, n::bigint AS version, DATE '2015-03-02' AS dob, "
                "timestamptz '2026-11-01 00:00Z' + n * interval '1 minute' AS updated FROM generate_series(1, 5000) n"
            )
        )
    for changes, value, again in (
        ({"column": "version", "again": 9}, "int:5000", 10),
        ({"column": "updated", "kind": "timestamp", "overlap": "5m"}, "datetime:2026-11-04T11:20:00+00:00", 6),
    ):
        for what in ({"table": "public.pupils"}, {"query": "SELECT *, version::text AS v FROM pupils"}):
            source = SqlFeed(SqlOptions.model_validate({"url": postgres_url, "changes": changes, **what}))

            *first, marker = source.read_since("")
            assert isinstance(marker, Marker)
            *second, _ = source.read_since(marker.value)

            assert len(first) == 5000
            assert (marker.value[26:], marker.complete) == (value, True)
            assert len(second) == again


@pytest.mark.parametrize(
    ("url_of", "words"),
    [
        (lambda url: url.replace("postgres@", "nobody@"), "cannot be reached, offers no TLS or refuses the login"),
        (lambda _: "postgresql://mis@127.0.0.1:1/mis", "cannot be reached, offers no TLS or refuses the login"),
    ],
    ids=["login", "address"],
)
def test_a_postgresql_that_cannot_be_reached_is_told(postgres_url: str, url_of: object, words: str) -> None:
    assert callable(url_of)
    options = SqlOptions.model_validate({"url": url_of(postgres_url), "query": "SELECT 1 AS one"})

    with pytest.raises(SourceError, match=words):
        SqlFeed(options).check()


def test_a_query_on_postgresql_that_takes_too_long_is_ended(postgres_url: str) -> None:
    options = SqlOptions.model_validate(
        {"url": postgres_url, "query": "SELECT pg_sleep(9)::text AS s", "timeout": "1s"}
    )

    with pytest.raises(SourceError, match="took too long"):
        list(SqlFeed(options).read_since(""))


def test_what_cannot_be_a_target_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    options = SqlOutOptions.model_validate({"url": url})
    for path, mappings, words in (
        (tmp_path, users(), "leave out path"),
        (None, [], "needs mapping"),
        (None, [*users(), *users()], "2 mappings fill table 'users'"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            SqlTarget(path, mappings, options)
    with pytest.raises(ConfigurationError, match="no mapping makes 'pupils'"):
        target(url, users(), tables={"pupils": "people"})
    with pytest.raises(ValidationError):
        target(url, users(), mode="truncate")
