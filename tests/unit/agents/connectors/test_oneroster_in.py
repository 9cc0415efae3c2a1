"""OneRoster packages as records and as objects: both versions alike, deltas, and packages that are not as they say."""

from collections import Counter
from pathlib import Path
from typing import cast

import pytest
from lxml import etree

from agents.connectors.contract import Item, SourceError, SourceFields, SourceProblem
from agents.connectors.oneroster_files import Table, Version, manifest_table, write_tables
from agents.connectors.oneroster_in import OneRosterOptions, OneRosterSource
from mappings import InwardMapping, Record, load
from schemas import SchemaSet
from tests.unit.agents.connectors.oneroster_packages import tables, write
from tests.unit.agents.connectors.reports import Site, published, text_of
from tests.unit.agents.ctf_files import REF_IDS

NAMES = (
    "in-authorities",
    "in-schools",
    "in-terms",
    "in-staff",
    "in-learners",
    "in-enrolments",
    "in-group-types",
    "in-groups",
    "in-members",
)


def read(path: Path, **options: object) -> list[Item]:
    return list(OneRosterSource(OneRosterOptions.model_validate(options)).read(path))


def records(items: list[Item], table: str) -> list[Record]:
    return [item for item in items if isinstance(item, Record) and item.fields["table"] == table]


def problems(items: list[Item]) -> list[tuple[str, str, str]]:
    return [(item.position, item.rule, item.severity) for item in items if isinstance(item, SourceProblem)]


def changed(path: Path, made: dict[str, Table], **others: Table | list[str]) -> Path:
    """Write a package with other tables, or with other lines in its manifest."""
    lines: dict[str, str] = {row[0]: row[1] for row in made["manifest"][1]}
    for name, table in others.items():
        if isinstance(table, list):
            lines.update({name: value for name, _, value in (line.partition("=") for line in table)})
        else:
            made = {**made, name: table}
    made = {**made, "manifest": (made["manifest"][0], list(lines.items()))}
    write_tables(path, {name: table for name, table in made.items() if table[0]})
    return path / "manifest.csv"


def elements(items: list[Item]) -> list[etree._Element]:
    """Return the objects of the library's mappings, without a problem."""
    found = []
    for name in NAMES:
        mapping = cast("InwardMapping", load(f"oneroster/{name}"))
        for item in items:
            if isinstance(item, Record):
                translation = mapping.translate(item, REF_IDS)
                assert translation.problems == (), name
                found += [(made.ref_id, made.element) for made in translation.objects]
    return list(dict(found).values())


def test_rows_come_table_by_table_what_others_refer_to_first_with_the_fields_of_what_they_refer_to(
    tmp_path: Path,
) -> None:
    items = read(write(tmp_path / "set.zip"))

    order = [item.fields["table"] for item in items if isinstance(item, Record)]
    assert list(dict.fromkeys(order)) == [
        "orgs",
        "academicSessions",
        "courses",
        "users",
        "demographics",
        "classes",
        "enrollments",
    ]
    assert problems(items) == []
    group = records(items, "classes")[0]
    assert group.position == "classes.csv row 2"
    assert {
        name: group.fields[name] for name in ("schoolYear", "schoolSourcedId/identifier", "courseSourcedId/title")
    } == {
        "schoolYear": "2027",
        "schoolSourcedId/identifier": "8209901",
        "courseSourcedId/title": "Mathematics",
    }
    assert [teacher.fields["userSourcedId"] for teacher in group.groups["teachers"]] == ["usr-2"]
    names = next(item.names for item in items if isinstance(item, SourceFields))
    assert all(name in names for item in items if isinstance(item, Record) for name in item.fields)


@pytest.mark.parametrize("name", ["set", "set.zip"])
def test_users_of_both_versions_read_alike_but_for_what_only_one_has(tmp_path: Path, name: str) -> None:
    for version in ("1.1", "1.2"):
        (tmp_path / version).mkdir()
    old = records(read(write(tmp_path / "1.1" / name, "1.1")), "users")
    new = records(read(write(tmp_path / "1.2" / name, "1.2")), "users")

    for column in ("role", "familyName", "orgSourcedIds/identifier", "demographics/birthDate"):
        assert [user.fields.get(column) for user in old] == [user.fields.get(column) for user in new]
    assert (old[0].fields["orgSourcedIds"], new[0].fields["orgSourcedIds"]) == ("org-1", "org-1,org-2")
    assert new[0].fields["beginDate"] == "2024-09-04"
    assert [role.position for role in new[0].groups["roles"]] == ["roles.csv row 2", "roles.csv row 3"]
    assert "Secret-1" not in {value for user in (*old, *new) for value in user.fields.values()}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_the_librarys_mappings_make_valid_objects_that_refer_to_each_other(
    tmp_path: Path, schema: SchemaSet, version: Version
) -> None:
    made = elements(read(write(tmp_path / "set.zip", version)))

    assert [finding for element in made for finding in schema.check(element, partial=False)] == []
    assert Counter(etree.QName(element).localname for element in made) == {
        "LAInfo": 1,
        "SchoolInfo": 2,
        "TermInfo": 2,
        "WorkforcePersonal": 1,
        "LearnerPersonal": 1,
        "SchoolGroupType": 2,
        "SchoolGroup": 2,
        "LearnerGroupEnrolment": 2,
        **({"LearnerSchoolEnrolment": 1} if version == "1.2" else {}),
    }
    known = {element.get("RefId") for element in made}
    referred = [
        value
        for element in made
        for part in element.iter()
        for name, value in part.attrib.items()
        if str(name).endswith("RefId")
    ]
    assert set(referred) <= known
    member = next(one for one in made if etree.QName(one).localname == "LearnerGroupEnrolment")
    assert [text_of(member, name) for name in ("EntryDate", "ExitDate")] == ["2026-09-03", "2026-11-27"]


def test_an_end_date_is_the_last_day_where_the_settings_say_that_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "set.zip")

    ends = [records(read(path, ends=ends), "enrollments")[0].fields["endDate"] for ends in ("day-after", "last-day")]

    assert ends == ["2026-11-27", "2026-11-28"]


def test_a_delta_is_partial_and_what_it_says_is_gone_is_marked_and_made_nothing_of(tmp_path: Path) -> None:
    made = tables("1.1", "delta")
    columns, (first, *rest) = made["enrollments"]
    gone = (first[0], "tobedeleted", first[2], *[""] * (len(columns) - 3))

    items = read(changed(tmp_path / "set", made, enrollments=(columns, [gone, *rest])))

    assert problems(items) == [("manifest.csv", "partial", "warn")]
    assert [item.incomplete for item in items if isinstance(item, SourceProblem)] == [True]
    assert [record.fields.get("removed") for record in records(items, "enrollments")] == ["true", None, None]
    kinds = Counter(etree.QName(element).localname for element in elements(items))
    assert kinds["LearnerGroupEnrolment"] == 1


def test_spellings_columns_and_rows_that_are_not_the_standards_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    odd: Table = (
        ("SOURCEDID", "status", "dateLastModified", "Title", "metadata.room", "colour", "title", ""),
        [
            ("crs-1", "", "", "a", "R1", "red", "b", ""),
            ("", "", "", "c", "", "blue", "", ""),
            ("crs-2",) + ("x",) * 8,
            (),
        ],
    )
    path = changed(tmp_path / "set", tables(), courses=odd)
    (tmp_path / "set" / "roles.csv").write_text("sourcedId\n")
    (tmp_path / "set" / "notes.txt").write_text("not looked at")

    items = read(path)

    assert problems(items) == [
        ("roles.csv", "absent", "warn"),
        ("courses.csv row 1", "double-heading", "warn"),
        ("courses.csv row 1", "column", "warn"),
        ("courses.csv row 1", "column", "warn"),
        ("courses.csv row 3", "sourced-id", "refuse"),
        ("courses.csv row 4", "ragged-row", "refuse"),
    ]
    (course,) = records(items, "courses")
    assert course.fields == {"table": "courses", "sourcedId": "crs-1", "metadata.room": "R1", "colour": "red"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["oneroster.version=2.0"], r"manifest\.csv: oneroster\.version is none of"),
        (["file.users=whole"], r"file\.users is none of absent, bulk and delta"),
        (["file.results=bulk"], r"file\.results is bulk, and there is no results\.csv"),
    ],
)
def test_a_manifest_that_does_not_fit_the_files_refuses_the_package(
    tmp_path: Path, lines: list[str], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        read(changed(tmp_path / "set", tables(), lines=lines))


def test_a_table_without_ids_refuses_the_package(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 1: users\.csv: there is no column sourcedId"):
        read(changed(tmp_path / "set", tables(), users=(("id",), [("1",)])))


def test_an_agent_publishes_a_package_and_withdraws_what_the_next_whole_one_no_longer_has(
    tmp_path: Path, schema: SchemaSet
) -> None:
    mapping = ", ".join(f'"oneroster/{name}"' for name in NAMES)
    text = f'connector = "oneroster-in"\npath = "set.zip"\ncomplete = true\nmax_deletes = "60%"\nmapping = [{mapping}]'
    site = Site(tmp_path, schema, text, OneRosterSource(OneRosterOptions()))
    write(tmp_path / "set.zip")
    assert sum(site.actions().values()) == 13

    made = tables()
    columns, (first, *rest) = made["enrollments"]
    made["enrollments"] = (columns, rest)
    (tmp_path / "set.zip").unlink()
    write_tables(tmp_path / "set.zip", made)
    events = site.scan()

    assert [(event.object_type, event.action) for event in events] == [("LearnerGroupEnrolment", "Delete")]
    assert len(published(events, "LearnerGroupEnrolment")) == 1
    assert first[3] == "cls-1"


GONE = {
    "users usr-1": ["LearnerPersonal"],
    "users usr-2": ["WorkforcePersonal"],
    "users usr-3": [],
    "enrollments enr-1": ["LearnerGroupEnrolment"],
    "enrollments enr-2": [],
    "classes cls-1": ["SchoolGroup"],
    "orgs org-2": ["SchoolInfo"],
    "orgs la-1": ["LAInfo"],
}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("gone", GONE)
def test_a_row_of_a_delta_that_is_to_be_deleted_withdraws_what_the_bulk_package_made_of_it(
    tmp_path: Path, schema: SchemaSet, version: Version, gone: str
) -> None:
    mapping = ", ".join(f'"oneroster/{name}"' for name in NAMES)
    text = f'connector = "oneroster-in"\npath = "set.zip"\nmapping = [{mapping}]'
    site = Site(tmp_path, schema, text, OneRosterSource(OneRosterOptions()))
    write(tmp_path / "set.zip", version)
    site.scan()
    table, _, key = gone.partition(" ")
    columns = tables(version, "delta")[table][0]
    bare = (key, "tobedeleted", "2026-11-30T08:00:00.000Z", *[""] * (len(columns) - 3))
    (tmp_path / "set.zip").unlink()
    write_tables(
        tmp_path / "set.zip", {table: (columns, [bare]), "manifest": manifest_table(version, {table: "delta"})}
    )

    events = site.scan()

    assert [(event.object_type, event.action) for event in events] == [(name, "Delete") for name in GONE[gone]]
    # Of a single table's columns some look like others that only a whole package has.
    assert {rule for _, _, rule in site.rules()} <= {"partial", "heading"}


def test_a_folder_is_read_again_when_any_of_its_files_has_changed(tmp_path: Path, schema: SchemaSet) -> None:
    mapping = 'mapping = ["oneroster/in-learners"]'
    text = f'connector = "oneroster-in"\npath = "set/manifest.csv"\n{mapping}'
    site = Site(tmp_path, schema, text, OneRosterSource(OneRosterOptions()))
    write(tmp_path / "set")
    assert site.actions() == {"LearnerPersonal Add": 1}
    users = tmp_path / "set" / "users.csv"
    users.write_bytes(users.read_bytes().replace(b"Quill", b"Brook"))
    (tmp_path / "set" / "notes.txt").write_text("none of its files")

    assert site.actions() == {"LearnerPersonal Change": 1}
    assert site.actions() == {}


def test_all_files_of_a_folder_are_named_as_what_may_have_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "set")

    assert set(OneRosterSource(OneRosterOptions()).files(path)) == set((tmp_path / "set").iterdir())
