"""The tables of a virtual school: what comes is there, only what changed is written, readers see old or new."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy
from lxml import etree

import schemas
from agents.connectors.contract import TargetError
from agents.virtual_school.database import Database, DatabaseError, open_database
from agents.virtual_school.options import VirtualSchoolOptions
from agents.virtual_school.reading import OBJECTS, rows_of
from agents.virtual_school.target import VirtualSchoolTarget
from broker.protocol.errors import ConfigurationError
from tests.instances import instance
from tests.unit.agents.virtual_school.objects import (
    PRIMARY,
    SECONDARY,
    YAR,
    ZED,
    Kept,
    care,
    enrolment,
    exclusion,
    facts_of,
    learner,
    mark,
    plan,
    transfer,
    two_learners,
)

TODAY = date(2026, 11, 16)
AT, LATER = "2026-11-16T08:00:00+00:00", "2026-11-17T08:00:00+00:00"


def test_what_is_received_is_in_the_tables_each_row_under_its_key(both: Database) -> None:
    objects = two_learners()
    objects.put(plan(), transfer(), mark("2026-11-16"), exclusion())

    written = both.write(objects, AT)

    assert written.changed
    assert dict(written.counts) | {"learner": 2} == dict(written.counts)
    facts = both.facts(TODAY, TODAY)
    assert facts.learners[ZED].name == "Quill, Zephyrine"
    assert facts.learners[ZED].birth_date == date(2015, 3, 2)
    assert [one.starts for one in facts.care[ZED]] == [date(2026, 11, 2)]
    assert [one.type for one in facts.placements["D" * 32]] == ["U6"]
    assert [one.file_due for one in facts.transfers[ZED]] == [date(2026, 11, 20)]
    assert [one.status for one in facts.steps["F" * 32]] == ["PL", "NT"]
    assert [one.code for one in facts.marks] == ["/"]
    assert facts.last_marks[ZED, PRIMARY].day == TODAY
    assert [one.sessions for one in facts.exclusions[ZED]] == [4]


def test_an_unchanged_set_changes_nothing_and_a_change_touches_its_own_row_alone(both: Database) -> None:
    objects = two_learners()
    both.write(objects, AT)

    assert not both.write(objects, LATER).changed
    assert {one.at for some in both.facts(TODAY).received.values() for one in some} == {AT}
    objects.put(enrolment("4", YAR, SECONDARY, "2024-09-04"))
    assert both.write(objects, LATER).changed

    received = both.facts(TODAY).received
    assert {one.at for one in received[ZED]} == {AT}
    assert {one.school_ref_id: one.at for one in received[YAR]} == {"": AT, SECONDARY: LATER}


def test_what_is_no_longer_shared_is_taken_out_and_nothing_of_the_learner_stays(
    both: Database, database_url: str
) -> None:
    objects = two_learners()
    objects.put(transfer(), mark("2026-11-16"))
    both.write(objects, AT)
    for object_type in ("LearnerPersonal", "LearnerSchoolEnrolment", "LearnerLookedAfter", "LearnerTransfer"):
        for element in list(objects.all(object_type)):
            if ZED in (element.get("RefId"), element.get("LearnerPersonalRefId")):
                objects.remove(object_type, element.get("RefId", ""))
    objects.remove("LearnerAttendance", next(objects.all("LearnerAttendance")).get("RefId", ""))

    assert both.write(objects, LATER).changed

    engine = sqlalchemy.create_engine(database_url)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with engine.connect() as db:
        rows = [str(row) for table in tables.tables.values() for row in db.execute(sqlalchemy.select(table))]
    engine.dispose()
    assert [row for row in rows if ZED in row] == []
    assert [row for row in rows if YAR in row]


def test_a_reader_sees_the_old_rows_until_all_of_a_write_is_there(both: Database, database_url: str) -> None:
    objects = two_learners()
    both.write(objects, AT)
    objects.put(learner(ZED, "Newname"), care(since="2026-11-03"))
    half, go_on = threading.Event(), threading.Event()

    class Slow(Kept):
        def all(self, object_type: str) -> Iterator[etree._Element]:
            if object_type == "LearnerLookedAfter":
                half.set()
                assert go_on.wait(20)
            return objects.all(object_type)

    writing = threading.Thread(target=both.write, args=(Slow(), LATER))
    writing.start()
    assert half.wait(20)
    with open_database(database_url, make=False) as reader:
        seen = reader.facts(TODAY)
        go_on.set()
        writing.join()
        after = reader.facts(TODAY)

    assert (seen.learners[ZED].family_name, seen.care[ZED][0].starts) == ("Quill", date(2026, 11, 2))
    assert (after.learners[ZED].family_name, after.care[ZED][0].starts) == ("Newname", date(2026, 11, 3))


def test_one_look_sees_one_moment_though_another_writes_in_the_middle_of_it(both: Database, database_url: str) -> None:
    objects = two_learners()
    both.write(objects, AT)
    objects.put(learner(ZED, "Newname"), care(since="2026-11-03"))
    pending = [objects]

    def write_once(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM learner" in statement and pending:
            with open_database(database_url, make=False) as other:
                other.write(pending.pop(), LATER)

    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", write_once)
    try:
        seen = both.facts(TODAY)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", write_once)

    assert pending == []
    assert (seen.learners[ZED].family_name, seen.care[ZED][0].starts) == ("Quill", date(2026, 11, 2))
    assert both.facts(TODAY).care[ZED][0].starts == date(2026, 11, 3)


def test_a_write_that_fails_leaves_what_was_there(both: Database) -> None:
    both.write(two_learners(), AT)

    class Broken(Kept):
        def all(self, object_type: str) -> Iterator[etree._Element]:
            if object_type == "LearnerTransfer":
                raise OSError("the disk is gone")
            return iter(())

    with pytest.raises(OSError, match="disk"):
        both.write(Broken(), LATER)

    assert len(both.facts(TODAY).learners) == 2


@pytest.mark.parametrize("kind", ["whole", "minimal", "bare"])
def test_any_element_may_be_missing(database: Database, kind: str) -> None:
    elements: dict[str, etree._Element] = {}
    for object_type in OBJECTS:
        document = instance(object_type if kind == "whole" else f"{object_type}.minimal")
        element = elements[object_type] = etree.fromstring(document[document.index(f"<{object_type}") :])
        if kind == "bare":
            for child in list(element):
                element.remove(child)

    class Each(Kept):
        def all(self, object_type: str) -> Iterator[etree._Element]:
            return iter([elements[object_type]])

    written = database.write(Each(), AT)

    assert {table for table, count in written.counts if not count} <= {"placement", "transfer_status"}
    assert not database.write(Each(), LATER).changed


def test_every_field_of_a_whole_object_is_read() -> None:
    for object_type in OBJECTS:
        document = instance(object_type)
        element = etree.fromstring(document[document.index(f"<{object_type}") :])

        class One(Kept):
            def all(self, _asked: str, _element: etree._Element = element) -> Iterator[etree._Element]:
                return iter([_element])

        row = next(rows_of(One(), object_type))
        empty = {name for name in type(row).__slots__ if getattr(row, name) in ("", None)}
        assert empty - {"exit", "destination", "file_name", "ends"} == set(), object_type


def test_all_objects_that_are_kept_have_a_schema() -> None:
    assert set(OBJECTS) <= set(schemas.load().objects)


def test_what_the_database_says_is_what_the_objects_say(both: Database) -> None:
    objects = two_learners()
    objects.put(plan(), transfer(), exclusion(), *(mark(f"2026-11-{d}", s) for d in (12, 16, 17) for s in ("AM", "PM")))
    both.write(objects, AT)

    for day, who in ((TODAY, ""), (None, ZED)):
        kept, made = both.facts(TODAY, day, who), facts_of(objects, TODAY, day, who)
        assert sorted(kept.marks, key=str) == sorted(made.marks, key=str)
        assert len(kept.marks) == (6 if who else 2)
        assert replace(kept, received={}, marks=()) == replace(made, marks=())


def test_a_file_is_its_owners_alone_and_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vs.db"

    open_database(f"sqlite:///{path}", make=True).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run the agent first"):
        open_database(f"sqlite:///{tmp_path}/vs.db", make=False)

    assert list(tmp_path.iterdir()) == []


def test_a_database_of_a_later_version_is_left_alone(database_url: str) -> None:
    with open_database(database_url, make=True) as made:
        made.remember("version", "2")

    with pytest.raises(ConfigurationError, match="later sifzone"):
        open_database(database_url, make=True)


def test_what_cannot_be_opened_is_tried_again_and_says_so_without_the_rows(tmp_path: Path) -> None:
    (tmp_path / "vs.db").write_bytes(b"this is no database, but long enough to look at" * 50)
    options = VirtualSchoolOptions.model_validate({"database": "sqlite:///vs.db"}, context={"folder": tmp_path})
    target = VirtualSchoolTarget(None, (), options)

    with pytest.raises(TargetError, match="cannot be prepared") as caught:
        target.write(two_learners())

    assert isinstance(caught.value, DatabaseError)
    assert "Quill" not in str(caught.value)
