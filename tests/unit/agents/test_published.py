"""What an agent keeps of what it has published, and how it answers requests from it."""

import sqlite3
import threading
from pathlib import Path

import pytest
from lxml import etree

from agents.answers import Answering
from agents.files import FileLedger
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import PACKET, Asked, Spool
from agents.store import Store
from broker.protocol.envelope import Action, new_header, parse_message
from broker.protocol.exchanges import build_request, parse_response
from broker.protocol.identifiers import AgentId
from broker.protocol.query import Query, parse_where
from schemas import SchemaSet, load
from tests.unit.agents.helpers import REF, ctf, learner, parse, pupil

ZONE = AgentId("zone")
OTHER = "F" * 32
SOURCE = 'connector="ctf"\npath="exports/*.xml"\nmapping=["ctf/learner", "ctf/enrolment"]\n'


def enrolment(number: int, learner_ref: str = REF) -> etree._Element:
    return parse(f"<LearnerSchoolEnrolment RefId='{number:032X}' LearnerPersonalRefId='{learner_ref}'/>")


def put(store: Store, spool: Spool, element: etree._Element, source: str = "s", *, complete: bool = False) -> None:
    with store.transaction() as db:
        spool.put(db, source, element, complete=complete)


def kept(spool: Spool, object_type: str = "LearnerPersonal") -> list[etree._Element]:
    return list(spool.kept.find(Query(object_type)))


def surnames(spool: Spool) -> list[str]:
    return [element.findtext(".//{*}FamilyName") or "" for element in kept(spool)]


def test_an_object_is_kept_as_its_events_make_it_for_those_who_get_them(store: Store, spool: Spool) -> None:
    put(store, spool, learner("<UPN>A820990126001</UPN><ULN>1234567890</ULN>"))
    put(
        store, spool, learner("<UPN>A820990126001</UPN>", name="Plume")
    )  # a source that leaves out what it does not know

    (element,) = kept(spool)
    assert (element.findtext("{*}ULN"), surnames(spool)) == ("1234567890", ["Plume"])


def test_what_a_complete_source_empties_is_empty_in_what_is_kept(store: Store, spool: Spool) -> None:
    put(store, spool, learner("<UPN>A820990126001</UPN><ULN>1234567890</ULN>"), complete=True)
    put(store, spool, learner("<UPN>A820990126001</UPN>"), complete=True)

    (element,) = kept(spool)
    assert element.find("{*}ULN") is None


def test_what_two_sources_say_of_one_object_is_one_kept_object(store: Store, spool: Spool) -> None:
    put(store, spool, learner("<UPN>A820990126001</UPN>"), "first")
    put(store, spool, learner("<ULN>1234567890</ULN>"), "second")

    (element,) = kept(spool)
    assert (element.findtext("{*}UPN"), element.findtext("{*}ULN")) == ("A820990126001", "1234567890")


def test_a_delete_forgets_the_object_and_one_that_another_source_has_stays(store: Store, spool: Spool) -> None:
    put(store, spool, learner(), "first")
    put(store, spool, learner(), "second")
    for source, left in (("first", 1), ("second", 0)):
        with store.transaction() as db:
            spool.start_reading(db)
            _, gone = spool.vanished(db, source, "LearnerPersonal")
            spool.delete(db, source, gone[0])
        assert len(kept(spool)) == left


def test_events_sent_as_they_are_are_done_to_what_is_kept(store: Store, spool: Spool) -> None:
    lean = parse(f"<LearnerPersonal RefId='{REF}'><ULN>1234567890</ULN></LearnerPersonal>")
    with store.transaction() as db:
        spool.send(db, Action.CHANGE, lean)
    assert kept(spool) == []  # of what was never added nothing whole is known

    for action, element, upns in (
        (Action.ADD, learner(), ["A820990126001"]),
        (Action.CHANGE, lean, ["A820990126001"]),
        (Action.DELETE, lean, []),
    ):
        with store.transaction() as db:
            spool.send(db, action, element)
        assert [element.findtext("{*}UPN") for element in kept(spool)] == upns


def test_what_is_kept_and_what_is_to_be_sent_are_one_transaction(store: Store, spool: Spool) -> None:
    def crash() -> None:
        with store.transaction() as db:
            spool.put(db, "s", learner())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert (kept(spool), spool.count()) == ([], 0)


# -- answers --


def answers(spool: Spool, schema: SchemaSet, query: Query, mapped: frozenset[str] = frozenset()) -> list[str]:
    """Return the RefIds that the agent answers with, or the error."""
    body = build_request(new_header(ZONE), query)
    message = parse_message(body)
    asked = Asked(message.header.msg_id, query.object_type, body)
    Answering(AgentId("mis-1"), spool, schema, {}, threading.Event(), mapped).answer(asked)
    found = [parse_response(parse_message(packet.body)) for packet in spool.waiting(0) if packet.action == PACKET]
    ids = [element.get("RefId", "") for response in found for element in response.elements]
    return ids + [f"{response.error.category}/{response.error.code}" for response in found if response.error]


def test_the_zone_is_answered_with_what_was_published_without_any_python(
    store: Store, spool: Spool, schema: SchemaSet
) -> None:
    put(store, spool, learner())
    put(store, spool, enrolment(1))
    put(store, spool, enrolment(2, OTHER))

    query = parse_where("LearnerSchoolEnrolment", [f"@LearnerPersonalRefId = {REF}"])
    assert answers(spool, schema, query) == [f"{1:032X}"]


def test_of_an_object_that_sources_make_and_none_is_published_the_answer_is_empty(
    spool: Spool, schema: SchemaSet
) -> None:
    assert answers(spool, schema, Query("LearnerPersonal"), frozenset({"LearnerPersonal"})) == []


def test_what_the_agent_neither_makes_nor_published_it_does_not_answer_for(
    store: Store, spool: Spool, schema: SchemaSet
) -> None:
    put(store, spool, learner())

    assert answers(spool, schema, Query("SchoolInfo"), frozenset({"LearnerPersonal"})) == ["8/4"]


def test_a_function_for_an_object_answers_instead_of_what_was_published(
    store: Store, spool: Spool, schema: SchemaSet
) -> None:
    put(store, spool, enrolment(1))
    body = build_request(new_header(ZONE), Query("LearnerSchoolEnrolment"))
    asked = Asked(parse_message(body).header.msg_id, "LearnerSchoolEnrolment", body)
    functions = {"LearnerSchoolEnrolment": lambda _query: [enrolment(2)]}
    Answering(AgentId("mis-1"), spool, schema, functions, threading.Event()).answer(asked)

    (packet,) = (packet for packet in spool.waiting(0) if packet.action == PACKET)
    (element,) = parse_response(parse_message(packet.body)).elements
    assert element.get("RefId") == f"{2:032X}"


@pytest.mark.parametrize(
    ("object_type", "where", "read", "found"),
    [
        ("LearnerPersonal", [f"@RefId = {REF}"], 1, 1),
        ("LearnerPersonal", [f"@RefId = {OTHER}"], 0, 0),
        ("LearnerSchoolEnrolment", [f"@RefId = {3:032X}"], 1, 1),
        ("LearnerSchoolEnrolment", [f"@LearnerPersonalRefId = {REF}"], 2, 2),
        ("LearnerSchoolEnrolment", [f"@LearnerPersonalRefId = {REF}", f"@RefId = {3:032X}"], 1, 0),
        ("LearnerSchoolEnrolment", [f"@LearnerPersonalRefId != {REF}"], 250, 248),
        ("LearnerSchoolEnrolment", [f"@LearnerPersonalRefId = {REF} or @RefId = {3:032X}"], 250, 3),
        ("LearnerSchoolEnrolment", ["EntryDate = ''"], 250, 250),
        ("LearnerSchoolEnrolment", [], 250, 250),
    ],
)
def test_one_ref_id_is_looked_up_and_only_other_questions_read_all(
    store: Store, spool: Spool, schema: SchemaSet, object_type: str, where: list[str], read: int, found: int
) -> None:
    put(store, spool, learner())
    with store.transaction() as db:
        for number in range(250):
            spool.put(db, "s", enrolment(number, REF if number < 2 else OTHER))
    query = parse_where(object_type, where)

    assert len(list(spool.kept.find(query))) == read
    assert len(answers(spool, schema, query)) == found


def test_looking_up_uses_the_indexes(store: Store) -> None:
    for where, index in (
        ("ref_id = 'x'", "published_object"),
        ("learner = 'x' AND learner <> ''", "published_learner"),
    ):
        plan = store.query(f"EXPLAIN QUERY PLAN SELECT xml FROM published WHERE object_type = 'A' AND {where}")  # noqa: S608
        assert index in plan[0][3]


def test_an_object_about_none_is_not_found_by_an_empty_learner(store: Store, spool: Spool, schema: SchemaSet) -> None:
    put(store, spool, parse(f"<LearnerSchoolEnrolment RefId='{REF}'/>"))

    query = parse_where("LearnerSchoolEnrolment", ["@LearnerPersonalRefId = ''"])
    assert answers(spool, schema, query) == [REF]


# -- databases that were made before objects were kept --


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An agent that has read three exports, as the version before left it."""
    file = tmp_path / "mis.toml"
    file.write_text(f'id = "mis-1"\nsettle = "0s"\n[source]\n{SOURCE}')
    ctf(tmp_path / "exports/1.xml", pupil(1, "Old"), pupil(2))
    assert scan(file) == 4
    ctf(tmp_path / "exports/2.xml", pupil(1, "New"))
    assert scan(file) == 1
    with sqlite3.connect(tmp_path / ".mis-1" / "agent.db", isolation_level=None) as db:
        for statement in (
            "DROP TABLE published", "DROP TABLE learners", "ALTER TABLE files DROP COLUMN waiting",
            "ALTER TABLE files DROP COLUMN again", "PRAGMA user_version = 2",
        ):  # fmt: skip
            db.execute(statement)
    db.close()
    return file


def scan(file: Path) -> int:
    """Read what is new; return how many events came of it."""
    settings = read_settings(file)
    with Store(settings.state_folder) as store:
        spool, parts = Spool(store, settings.id, load()), make_parts(settings)
        before = spool.count()
        Scanner(settings, parts, store, spool, threading.Event()).scan(parts.sources[0])
        return spool.count() - before


def test_after_an_upgrade_the_next_scan_keeps_what_was_published_and_publishes_nothing(
    site: Path, schema: SchemaSet
) -> None:
    assert scan(site) == 0

    with Store(site.parent / ".mis-1") as store:
        spool = Spool(store, AgentId("mis-1"), schema)
        assert sorted(surnames(spool)) == ["New", "Quill"]
        assert len(kept(spool, "LearnerSchoolEnrolment")) == 2
        assert [status.events for status in FileLedger(store).all()] == [4, 1]
    assert scan(site) == 0
