"""OneRoster packages that are written: exact form, whole references, whole sets, deltas, nothing that is run."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from lxml import etree

from agents.connectors.contract import NoOptions, TargetError
from agents.connectors.oneroster import OneRosterOutOptions, OneRosterTarget
from agents.connectors.oneroster_files import COLUMNS, FILES, read_tables
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping, Rows, load

ORG = {"sourcedId": "s1", "name": "Thornwick", "type": "school"}
TERM = {"sourcedId": "t1", "title": "Autumn", "type": "term", "schoolYear": "2027"}
COURSE = {"sourcedId": "c1", "title": "Maths", "orgSourcedId": "s1"}
CLASS = {"sourcedId": "k1", "title": "9A", "courseSourcedId": "c1", "schoolSourcedId": "s1", "termSourcedIds": "t1"}
USER = {"sourcedId": "u1", "role": "student", "orgSourcedIds": "s1", "givenName": "Zoë", "familyName": "Quill"}
ENROLMENT = {"sourcedId": "e1", "classSourcedId": "k1", "schoolSourcedId": "s1", "userSourcedId": "u1"}
MOMENT = datetime(2026, 11, 23, 8, 57, tzinfo=UTC)
SET = {
    "orgs": [ORG],
    "academicSessions": [TERM],
    "courses": [COURSE],
    "classes": [CLASS],
    "users": [USER],
    "enrollments": [ENROLMENT],
}


@dataclass
class Table:
    """Stands where a mapping does, with rows of its own."""

    table: str
    made: list[dict[str, str]]
    name: str = "test"
    columns: tuple[str, ...] = ("sourcedId",)

    def rows(self, _objects: Objects) -> Rows:
        return Rows(tuple(self.made), ())


@dataclass
class Nothing:
    """No objects."""

    elements: list[etree._Element] = field(default_factory=list)

    def get(self, _object_type: str, _ref_id: str) -> etree._Element | None:
        return None

    def all(self, _object_type: str) -> Iterator[etree._Element]:
        return iter(self.elements)


def target(
    path: Path, tables: Mapping[str, Iterable[Mapping[str, str]]] = SET, moment: datetime = MOMENT, **options: object
) -> OneRosterTarget:
    made = [Table(name, [dict(row) for row in rows]) for name, rows in tables.items()]
    given = OneRosterOutOptions.model_validate(options)
    return OneRosterTarget(path, cast("list[OutwardMapping]", made), given, lambda: moment)


def rows(path: Path, name: str) -> list[dict[str, str]]:
    with (path / "current" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_set_has_exact_headings_crlf_no_mark_and_a_manifest_of_every_file(tmp_path: Path) -> None:
    written = target(tmp_path).write(Nothing())

    assert written.changed
    users = (tmp_path / "current" / "users.csv").read_bytes()
    assert users.startswith(",".join(COLUMNS["1.1"]["users"]).encode() + b"\r\n")
    assert "Zoë".encode() in users
    manifest = {row["propertyName"]: row["value"] for row in rows(tmp_path, "manifest")}
    assert manifest["manifest.version"] == "1.0"
    assert manifest["oneroster.version"] == "1.1"
    assert {manifest[f"file.{name}"] for name in SET} == {"bulk"}
    assert {manifest[f"file.{name}"] for name in FILES["1.1"] if name not in SET} == {"absent"}
    assert {row["status"] + row["dateLastModified"] for row in rows(tmp_path, "users")} == {""}


def test_an_unchanged_set_is_not_written_again_and_a_damaged_one_is(tmp_path: Path) -> None:
    target(tmp_path).write(Nothing())
    before = (tmp_path / "current").readlink()

    assert not target(tmp_path).write(Nothing()).changed
    assert (tmp_path / "current").readlink() == before
    (tmp_path / "current" / "users.csv").unlink()
    assert target(tmp_path).write(Nothing()).changed
    assert rows(tmp_path, "users")


def test_a_reader_in_the_old_set_keeps_it_whole_while_the_new_one_is_put_in_place(tmp_path: Path) -> None:
    target(tmp_path).write(Nothing())
    old = (tmp_path / "current").resolve()
    content = (old / "users.csv").read_bytes()

    target(tmp_path, {**SET, "users": [{**USER, "givenName": "Ada"}]}).write(Nothing())

    assert (tmp_path / "current").resolve() != old
    assert (old / "users.csv").read_bytes() == content
    target(tmp_path, {**SET, "users": [{**USER, "givenName": "Eve"}]}).write(Nothing())
    assert len([path for path in tmp_path.iterdir() if path.is_dir() and not path.is_symlink()]) == 2


@pytest.mark.parametrize(
    ("missing", "left_out"),
    [
        ("orgs", {"courses", "classes", "users", "enrollments"}),
        ("courses", {"classes", "enrollments"}),
        ("academicSessions", {"classes", "enrollments"}),
        ("users", {"enrollments"}),
    ],
)
def test_rows_that_point_at_nothing_are_left_out_and_counted(tmp_path: Path, missing: str, left_out: set[str]) -> None:
    written = target(tmp_path, {**SET, missing: []}).write(Nothing())

    assert {name for name in SET if not rows(tmp_path, name)} == left_out | {missing}
    assert {name.partition(":")[0] for name, _ in written.left_out} == left_out


def test_of_a_list_of_references_those_that_are_there_stay(tmp_path: Path) -> None:
    target(tmp_path, {**SET, "users": [{**USER, "orgSourcedIds": "s1,s9", "agentSourcedIds": "u7"}]}).write(Nothing())

    (user,) = rows(tmp_path, "users")
    assert (user["orgSourcedIds"], user["agentSourcedIds"]) == ("s1", "")


@pytest.mark.parametrize(
    ("column", "value", "safe"),
    [
        ("givenName", "=cmd|'/c calc'!A1", "cmd|'/c calc'!A1"),
        ("familyName", "@SUM(1)", "SUM(1)"),
        ("givenName", "\t=1+1", "1+1"),
        ("givenName", "+-=@Zoë", "Zoë"),
        ("familyName", "O'Brien-Quill", "O'Brien-Quill"),
        ("phone", "+44 1632 960101", "+44 1632 960101"),
        ("phone", "+cmd", "cmd"),
        ("givenName", "two\r\nlines", "two lines"),
        ("givenName", 'say "hi", Zoë', 'say "hi", Zoë'),
    ],
)
def test_no_cell_begins_with_what_a_spreadsheet_would_run(tmp_path: Path, column: str, value: str, safe: str) -> None:
    target(tmp_path, {**SET, "users": [{**USER, column: value}]}).write(Nothing())

    assert rows(tmp_path, "users")[0][column] == safe


def test_ids_that_onerosters_do_not_allow_and_ids_that_come_twice_are_left_out_and_counted(tmp_path: Path) -> None:
    users = [USER, {**USER, "sourcedId": "no blanks"}, {**USER, "givenName": "Twin"}]

    written = target(tmp_path, {**SET, "users": users}).write(Nothing())

    assert len(rows(tmp_path, "users")) == 1
    assert dict(written.left_out) == {"users: sourcedId not allowed": 1, "users: sourcedId twice": 1}


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TargetError, match="cannot be written"):
        target(tmp_path / "file").write(Nothing())


def test_a_table_or_column_that_is_not_onerosters_is_refused(tmp_path: Path) -> None:
    for wrong in (Table("pupils", []), Table("users", [], columns=("sourcedId", "upn"))):
        with pytest.raises(ConfigurationError, match=r"has no table|has no column"):
            OneRosterTarget(tmp_path, cast("list[OutwardMapping]", [wrong]), NoOptions())
    with pytest.raises(ConfigurationError, match="needs path"):
        OneRosterTarget(None, [], NoOptions())


def test_the_librarys_mappings_fit(tmp_path: Path) -> None:
    names = ("orgs", "academicSessions", "courses", "classes", "users", "enrollments")
    mappings = [mapping for name in names if isinstance(mapping := load(f"oneroster/{name}"), OutwardMapping)]

    written = OneRosterTarget(tmp_path, mappings, NoOptions()).write(Nothing())

    assert sorted(name for name, _ in written.counts) == sorted(names)


def test_the_same_mappings_give_1_2_with_roles_of_their_own(tmp_path: Path) -> None:
    org = {**ORG, "sourcedId": "s2"}
    staff = {**USER, "sourcedId": "u2", "role": "administrator", "orgSourcedIds": "s2,s1"}

    written = target(tmp_path, {**SET, "orgs": [ORG, org], "users": [USER, staff]}, version="1.2").write(Nothing())

    tables = read_tables(tmp_path / "current")
    assert {name: tables[name][0] for name in (*SET, "roles")} == {
        name: COLUMNS["1.2"][name] for name in (*SET, "roles")
    }
    assert [row["primaryOrgSourcedId"] for row in rows(tmp_path, "users")] == ["s1", "s2"]
    assert [
        [row[column] for column in ("sourcedId", "userSourcedId", "roleType", "role", "orgSourcedId")]
        for row in rows(tmp_path, "roles")
    ] == [
        ["u1-s1", "u1", "primary", "student", "s1"],
        ["u2-s1", "u2", "secondary", "siteAdministrator", "s1"],
        ["u2-s2", "u2", "primary", "siteAdministrator", "s2"],
    ]
    manifest = {row["propertyName"]: row["value"] for row in rows(tmp_path, "manifest")}
    assert (manifest["oneroster.version"], manifest["file.roles"]) == ("1.2", "bulk")
    assert {name for name in manifest if name.startswith("file.")} == {f"file.{name}" for name in FILES["1.2"]}
    assert ("roles", 3) in written.counts
    assert written.left_out == ()


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_a_delta_has_what_is_new_other_or_gone_since_the_one_before_and_nothing_else(
    tmp_path: Path, zipped: bool
) -> None:
    later = MOMENT + timedelta(days=1)
    ending = ".zip" if zipped else ""
    other = {**USER, "sourcedId": "u2"}

    first = target(tmp_path, {**SET, "users": [USER, other]}, delta=True, zip=zipped).write(Nothing())
    again = target(tmp_path, {**SET, "users": [USER, other]}, delta=True, zip=zipped).write(Nothing())
    changed = {**USER, "givenName": "Ada"}
    second = target(tmp_path, {**SET, "users": [changed]}, later, delta=True, zip=zipped).write(Nothing())

    assert (first.changed, dict(first.counts)["users"], again.changed) == (True, 2, False)
    assert (second.changed, second.counts) == (True, (("users", 2),))
    whole = read_tables(tmp_path / f"delta-000001{ending}")
    assert {row[1:3] for name in SET for row in whole[name][1]} == {("active", "2026-11-23T08:57:00.000Z")}
    tables = read_tables(tmp_path / f"delta-000002{ending}")
    assert set(tables) == {"users", "manifest"}
    assert ("file.users", "delta") in tables["manifest"][1]
    users = [dict(zip(tables["users"][0], row, strict=True)) for row in tables["users"][1]]
    assert [(user["sourcedId"], user["status"], user["givenName"]) for user in users] == [
        ("u1", "active", "Ada"),
        ("u2", "tobedeleted", ""),
    ]
    assert {user["dateLastModified"] for user in users} == {"2026-11-24T08:57:00.000Z"}


def test_deltas_are_numbered_on_when_those_before_have_been_taken_away(tmp_path: Path) -> None:
    target(tmp_path, delta=True, zip=True).write(Nothing())
    (tmp_path / "delta-000001.zip").unlink()

    target(tmp_path, {**SET, "users": [{**USER, "givenName": "Ada"}]}, delta=True, zip=True).write(Nothing())

    assert [path.name for path in tmp_path.glob("delta-*")] == ["delta-000002.zip"]


def test_what_has_been_sent_of_another_version_is_sent_again_and_a_damaged_note_of_it_is_told(tmp_path: Path) -> None:
    target(tmp_path, delta=True).write(Nothing())

    assert dict(target(tmp_path, delta=True, version="1.2").write(Nothing()).counts)["orgs"] == 1
    (tmp_path / ".sent.json").write_text('{"": [')
    with pytest.raises(TargetError, match="move it away"):
        target(tmp_path, delta=True).write(Nothing())


def test_a_zip_is_written_whole_only_when_it_differs(tmp_path: Path) -> None:
    assert target(tmp_path, zip=True).write(Nothing()).changed
    assert not target(tmp_path, zip=True).write(Nothing()).changed
    assert target(tmp_path, {**SET, "users": []}, zip=True).write(Nothing()).changed

    assert read_tables(tmp_path / "current.zip")["users"] == (COLUMNS["1.1"]["users"], [])
    assert [path.name for path in tmp_path.iterdir()] == ["current.zip"]
