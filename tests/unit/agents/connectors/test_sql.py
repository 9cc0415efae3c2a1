"""Rows of a database as records: what is asked for, what has changed, what is refused, and never a value in words."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from agents.connectors import databases, sql
from agents.connectors.contract import Checked, Feed, Item, Marker, SourceError, SourceProblem
from agents.connectors.sql import SqlFeed, SqlOptions
from broker.protocol.errors import ConfigurationError
from mappings import Record

PUPILS = """
CREATE TABLE pupils (UPN TEXT, "Legal Surname" TEXT, "Date of Birth" TEXT, "In Care" INTEGER, version INTEGER,
                     updated TEXT);
INSERT INTO pupils VALUES ('A820990126001', ' Quill ', '2015-03-02', 1, 5, '2026-11-30 08:00:00'),
                          ('B820990126002', 'Yarrow', NULL, 0, 9, '2026-11-30 09:00:00'),
                          ('C820990126003', '', '2014-01-31', NULL, NULL, NULL);
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with mis.db in it."""
    execute(tmp_path, PUPILS)
    return tmp_path


def execute(folder: Path, script: str) -> None:
    with closing(sqlite3.connect(folder / "mis.db")) as db:
        db.executescript(script)


def feed(folder: Path, **options: object) -> SqlFeed:
    return SqlFeed(SqlOptions.model_validate({"url": "sqlite:///mis.db", **options}, context={"folder": folder}))


def read(source: SqlFeed, marker: str = "") -> list[Item | Marker]:
    return list(source.read_since(marker))


def upns(items: list[Item | Marker]) -> list[str]:
    return [item.fields["UPN"] for item in items if isinstance(item, Record)]


def marker(items: list[Item | Marker]) -> Marker:
    assert isinstance(items[-1], Marker)
    return items[-1]


def test_rows_of_a_query_are_records_without_what_is_null_or_blank(folder: Path) -> None:
    items = read(feed(folder, query='SELECT UPN, "Legal Surname", "Date of Birth" AS DOB FROM pupils ORDER BY UPN;'))

    assert [(item.position, dict(item.fields)) for item in items if isinstance(item, Record)] == [
        ("row 1", {"UPN": "A820990126001", "Legal Surname": "Quill", "DOB": "2015-03-02"}),
        ("row 2", {"UPN": "B820990126002", "Legal Surname": "Yarrow"}),
        ("row 3", {"UPN": "C820990126003", "DOB": "2014-01-31"}),
    ]
    assert marker(items).complete


def test_a_table_is_read_with_all_its_columns_or_those_that_are_named_in_any_capitals(folder: Path) -> None:
    whole, some = read(feed(folder, table="pupils")), read(feed(folder, table="pupils", columns=["legal surname"]))

    assert isinstance(whole[0], Record)
    assert isinstance(some[0], Record)
    assert set(whole[0].fields) == {"UPN", "Legal Surname", "Date of Birth", "In Care", "version", "updated"}
    assert dict(some[0].fields) == {"Legal Surname": "Quill"}


def test_colons_percent_signs_and_comments_in_a_query_are_its_own(folder: Path) -> None:
    query = "SELECT UPN, 'a:b %s :x' AS note, '\\:y' AS other FROM pupils -- ; :z"

    found = read(feed(folder, query=query))[0]

    assert isinstance(found, Record)
    assert (found.fields["note"], found.fields["other"]) == ("a:b %s :x", "\\:y")


@pytest.mark.parametrize(
    "what", [{"table": "pupils"}, {"query": "SELECT * FROM pupils -- all"}], ids=["table", "query"]
)
def test_by_a_version_only_what_is_from_the_last_one_on_comes_again_with_what_has_none(
    folder: Path, what: dict[str, str]
) -> None:
    source = feed(folder, **what, changes={"column": "version", "again": 2})
    first = read(source)
    execute(folder, "UPDATE pupils SET version = 12 WHERE version = 5; UPDATE pupils SET version = 6 WHERE version = 9")

    second = read(source, marker(first).value)

    assert (marker(first).value[26:], marker(first).complete) == ("int:9", True)
    assert upns(second) == ["A820990126001", "C820990126003"]
    assert (marker(second).value[26:], marker(second).complete) == ("int:12", False)


def test_by_a_time_rows_of_the_overlap_come_again_since_rows_are_committed_late(folder: Path) -> None:
    source = feed(
        folder, table="pupils", columns=["UPN", "updated"], changes={"column": "updated", "kind": "timestamp"}
    )
    first = read(source)
    execute(folder, "UPDATE pupils SET updated = '2026-11-30 08:50:00' WHERE UPN LIKE 'A%'")

    late = read(source, marker(first).value)

    assert (marker(first).value[26:], marker(first).complete) == ("text:2026-11-30 09:00:00", True)
    assert upns(late) == ["A820990126001", "B820990126002", "C820990126003"]
    assert marker(late) == Marker(marker(first).value)
    execute(folder, "UPDATE pupils SET updated = '2026-11-30 08:49:59' WHERE UPN LIKE 'A%'")
    assert upns(read(source, marker(first).value)) == ["B820990126002", "C820990126003"]


def test_a_time_that_is_still_to_come_does_not_hide_what_is_written_before_it(folder: Path) -> None:
    execute(folder, "UPDATE pupils SET updated = '2999-01-01 00:00:00' WHERE UPN LIKE 'A%'")

    items = read(feed(folder, table="pupils", changes={"column": "updated", "kind": "timestamp"}))

    assert marker(items).value.endswith(" text:2026-11-30 09:00:00")
    assert [item.rule for item in items if isinstance(item, SourceProblem)] == ["time-ahead"]


@pytest.mark.parametrize("old", ["all", "text:tomorrow", "int:x", "junk", "datetime:2026-11-30T09:00:00"])
def test_with_a_marker_that_is_not_this_columns_all_is_read(folder: Path, old: str) -> None:
    items = read(feed(folder, table="pupils", changes={"column": "version"}), old)

    assert len(upns(items)) == 3
    assert (marker(items).value[26:], marker(items).complete) == ("int:9", True)


@pytest.mark.parametrize(
    "changes", [{"column": "UPN"}, {"column": "UPN", "kind": "timestamp"}], ids=["version", "time"]
)
def test_a_column_that_is_no_version_or_time_is_refused_without_its_values(
    folder: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(SourceError, match="holds a value that is no") as caught:
        read(feed(folder, table="pupils", changes=changes))

    assert "A8209" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (False, "false"),
        (820, "820"),
        (820.0, "820"),
        (1e22, "10000000000000000000000"),
        (Decimal("1E+3"), "1000"),
        (Decimal("10.50"), "10.50"),
        (date(2026, 11, 30), "2026-11-30"),
        (datetime(2026, 11, 30, 9, 5, tzinfo=UTC), "2026-11-30T09:05:00+00:00"),
        (time(8, 57), "08:57:00"),
        (timedelta(hours=8, minutes=57), "08:57:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (float("nan"), None),
        (Decimal("1E+1000000000"), None),
        (b"\x89PNG", None),
        (["9A"], None),
    ],
    ids=repr,
)
def test_values_are_text_that_a_mapping_can_read(value: object, written: str | None) -> None:
    found = sql._record("row 1", ["x"], [value])

    if written is None:
        assert isinstance(found, SourceProblem)
        assert (found.rule, found.severity) == ("no-text", "refuse")
    else:
        assert isinstance(found, Record)
        assert found.fields == {"x": written}


def test_a_row_with_a_picture_or_too_much_text_is_reported_and_the_others_are_read(folder: Path) -> None:
    execute(folder, "ALTER TABLE pupils ADD COLUMN photo; UPDATE pupils SET photo = x'00' WHERE version = 5")
    execute(folder, "UPDATE pupils SET photo = hex(zeroblob(20000)) WHERE version = 9")

    items = read(feed(folder, table="pupils"))

    assert upns(items) == ["C820990126003"]
    problems = [item for item in items if isinstance(item, SourceProblem)]
    assert [(item.position, item.rule) for item in problems] == [("row 1", "no-text"), ("row 2", "cell-size")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": "pupil"}, "no table 'pupil': did you mean 'pupils'"),
        ({"table": "pupils", "columns": ["Legal Surnam"]}, "no column 'Legal Surnam': did you mean 'Legal Surname'"),
        ({"table": "pupils", "changes": {"column": "versoin"}}, "did you mean 'version'"),
        ({"query": "SELECT UPN FROM pupils", "changes": {"column": "version"}}, "no column 'version'"),
        ({"query": "SELECT * FROM nowhere"}, "cannot understand the query.*SQLITE_ERROR"),
        ({"query": "SELECT UPN, UPN FROM pupils"}, "several columns are named 'UPN'"),
        ({"query": 'SELECT 1 AS ""'}, "column 1 has no name"),
        ({"url": "sqlite:///nowhere.db", "table": "pupils"}, "cannot be opened"),
        ({"url": "sqlite:///pupils.txt", "table": "pupils"}, "is no SQLite database"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(folder: Path, options: dict[str, object], words: str) -> None:
    (folder / "pupils.txt").write_text("A820990126001, this is no database" * 40)
    source = feed(folder, **options)

    with pytest.raises(SourceError, match=words):
        read(source)
    with pytest.raises(SourceError, match=words) as caught:
        source.check()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"query": "DELETE FROM pupils"}, "only reads"),
        ({"query": "SELECT 1; DELETE FROM pupils"}, "more than one statement"),
        ({"query": "SELECT 1", "table": "pupils"}, "either query"),
        ({}, "either query"),
        ({"query": "SELECT 1", "columns": ["UPN"]}, "columns belong to table"),
        ({"table": "pupils", "columns": ["UPN"], "changes": {"column": "version"}}, "not among columns"),
        ({"table": "pupils", "timeout": "0s"}, "1s"),
        ({"table": "pupils", "url": "postgresql://mis:tin-whistle@db.example.org/mis"}, "password does not belong"),
        (
            {"table": "pupils", "url": "postgresql://db.example.org/mis?password=tin-whistle"},
            "password does not belong",
        ),
        ({"table": "pupils", "url": "mssql://db/mis?odbc_connect=PWD%3Dtin-whistle"}, "password does not belong"),
        ({"table": "pupils", "url": "oracle://db.example.org/mis"}, "not known"),
        ({"table": "pupils", "url": "postgresql://db.example.org/mis?sslmode=prefer"}, "has to be encrypted"),
        ({"table": "pupils", "url": "postgresql://localhost/mis?hostaddr=192.0.2.1"}, "'hostaddr' cannot be set"),
        ({"table": "pupils", "url": "postgresql://localhost/mis?options=-cx"}, "'options' cannot be set"),
        ({"table": "pupils", "url": "mysql://db.example.org/mis?local_infile=1"}, "'local_infile' cannot be set"),
        ({"table": "pupils", "url": "mysql://db.example.org/mis?ssl_disabled=true"}, "'ssl_disabled' cannot be set"),
        ({"table": "pupils", "url": "mysql://db.example.org/mis?ssl_key=key.pem"}, "set ssl_ca"),
        ({"table": "pupils", "url": "mssql://db.example.org/mis?driver=x&encrypt=No"}, "has to be encrypted"),
        ({"table": "pupils", "url": "mssql://db.example.org/mis?driver=x%3BPWD%3Dtin-whistle"}, "cannot have"),
        ({"query": "SELECT 1", "url": "postgresql://localhost/mis?sslmode=require&sslmode=disable"}, "only once"),
        ({"query": "SELECT UPN INTO copy FROM pupils"}, "has INTO"),
        ({"query": "SELECT 1 /*! INTO OUTFILE 'x' */"}, "has INTO"),
        ({"query": "SELECT 1 DROP TABLE pupils", "url": "mssql://db/mis"}, "has DROP"),
        ({"query": "SELECT 1 AS [it's] COMMIT --'", "url": "mssql://db/mis"}, "has COMMIT"),
        ({"table": "pupils", "url": "postgresql+asyncpg://db.example.org/mis"}, "not known"),
        ({"table": "pupils", "url": "sqlite:///:memory:"}, "sqlite:///FILE"),
        ({"table": "pupils", "url": "sqlite:///file:mis.db?mode=rwc&uri=true"}, "sqlite:///FILE"),
        ({"table": "pupils", "url": "tin-whistle"}, "no database URL"),
        ({"table": "pupils", "password": "tin-whistle"}, "secret does not belong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_cannot_be_right_are_refused_without_repeating_a_secret(
    folder: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        feed(folder, **options)

    assert "tin-whistle" not in str([error["msg"] for error in caught.value.errors()])


@pytest.mark.parametrize(("url", "extra"), [("mysql://db/mis", "mysql"), ("mssql://db/mis", "sqlserver")])
def test_a_driver_that_is_not_installed_is_named_with_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, extra: str
) -> None:
    for module in ("pymysql", "pyodbc"):
        monkeypatch.setitem(__import__("sys").modules, module, None)

    with pytest.raises(ConfigurationError, match=rf"sifzone\[{extra}\]"):
        feed(folder, url=url, table="pupils")


@pytest.mark.parametrize(
    ("url", "is_encrypted"),
    [
        ("postgresql://mis@db.example.org/mis", True),
        ("postgresql://mis@localhost/mis?host=db.example.org", True),
        ("postgresql://mis@/mis?host=/run/postgresql", False),
        ("postgresql://mis@localhost/mis", False),
        ("postgresql://mis@db.example.org/mis?sslmode=verify-full", False),
        ("mysql://mis@db.example.org/mis", True),
        ("mysql://mis@127.0.0.1/mis", False),
        ("mysql://mis@db.example.org/mis?ssl_ca=ca.pem", False),
        ("mssql://mis@db.example.org/mis?driver=ODBC+Driver+18+for+SQL+Server", True),
        ("mssql://mis@db.example.org/mis?driver=FreeTDS&Encrypt=strict", False),
    ],
)
def test_over_a_network_a_connection_is_encrypted_unless_the_url_says_how(url: str, is_encrypted: bool) -> None:
    made = make_url(url)
    arguments = databases._arguments(made, made.get_backend_name(), 5, writes=False)

    assert ({"sslmode", "ssl", "Encrypt"} & arguments.keys() != set()) == is_encrypted


@pytest.mark.parametrize(
    "query",
    ["SELECT 'drop; into' AS a", 'SELECT [set], "update" FROM t -- delete', "SELECT inserted_at /* use */ FROM t"],
)
def test_words_that_write_may_stand_in_texts_names_and_comments(folder: Path, query: str) -> None:
    options = SqlOptions.model_validate({"query": query, "url": "mssql://localhost/mis"}, context={"folder": folder})

    assert options.query == query


def test_a_source_changes_nothing_whatever_it_is_asked(folder: Path) -> None:
    before = (folder / "mis.db").read_bytes()
    source = feed(folder, query="WITH gone AS (SELECT 1) SELECT load_extension('x') FROM gone")

    with pytest.raises(SourceError):
        read(source)
    with (
        pytest.raises(SourceError, match="cannot be written"),
        databases.connected(feed(folder, table="pupils")._options, SourceError) as connection,
    ):
        connection.exec_driver_sql("DELETE FROM pupils")
    assert (folder / "mis.db").read_bytes() == before


def test_text_that_is_not_utf_8_is_taken_for_that_of_windows(folder: Path) -> None:
    execute(folder, "UPDATE pupils SET UPN = CAST(x'5A6FEB' AS TEXT) WHERE version = 5")

    assert upns(read(feed(folder, table="pupils")))[0] == "Zoë"


def test_a_query_that_takes_too_long_is_ended(folder: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"

    with pytest.raises(SourceError, match="took too long"):
        read(feed(folder, query=endless, timeout="1s"))


def test_rows_are_read_a_batch_at_a_time_and_may_be_left(folder: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS UPN FROM n"
    reading: Iterator[Item | Marker] = feed(folder, query=endless).read_since("")

    assert upns([next(reading) for _ in range(2500)])[-1] == "2500"
    del reading


def test_check_says_what_is_there_and_nothing_of_anybody(folder: Path) -> None:
    source = feed(folder, table="pupils")

    assert isinstance(source, Feed)
    assert isinstance(source, Checked)
    said = source.check()
    assert said.endswith("at least one row, 6 columns: UPN, Legal Surname, Date of Birth, In Care, version, updated")
    assert said.startswith(f"sqlite:///{folder}/mis.db")
    assert source.name == f"sql sqlite:///{folder}/mis.db pupils"
