"""What an agent answers to a request, packet by packet, and what is left of it after a crash."""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from lxml import etree

from agents.answers import Answering, Provider, kinds
from agents.spool import PACKET, Asked, Spool, Spooled
from agents.stopping import Stopped
from agents.store import Store
from broker.protocol.envelope import Ack, build_message, new_header, parse_message
from broker.protocol.exchanges import Response, build_request, parse_response
from broker.protocol.identifiers import AgentId, MsgId
from broker.protocol.query import Query, matches, parse_where
from schemas import SchemaSet
from tests.unit.agents.helpers import parse

ASKER = AgentId("platform")
SECRET = "Unmistakable-Made-Up-Name"
Answer = Callable[..., list[Response]]


def group(number: int, name: str = "6A") -> etree._Element:
    return parse(
        f"<SchoolGroup RefId='{number:032X}' SchoolGroupTypeRefId='{number:032X}' SchoolYear='2026'>"
        f"<LocalId>{number:06}</LocalId><GroupName>{name}</GroupName></SchoolGroup>"
    )


def groups(count: int) -> Provider:
    def all_of_them(_query: Query) -> Iterator[etree._Element]:
        return (group(number) for number in range(count))

    return all_of_them


def asked(body: bytes) -> Asked:
    message = parse_message(body)
    return Asked(message.header.msg_id, "SchoolGroup", body)


def question(where: Iterable[str] = (), **more: object) -> bytes:
    query = parse_where("SchoolGroup", list(where), more.pop("elements", ()))  # type: ignore[arg-type]
    return build_request(new_header(ASKER), query, **more)  # type: ignore[arg-type]


def responses(spool: Spool) -> list[Response]:
    return [parse_response(parse_message(packet.body)) for packet in spool.waiting(0) if packet.action == PACKET]


@pytest.fixture
def answer(spool: Spool, schema: SchemaSet) -> Answer:
    """Answers a request with a provider, and gives the packets that wait to be sent."""

    def answered(provider: Provider | None, body: bytes) -> list[Response]:
        providers = {} if provider is None else {"SchoolGroup": provider}
        Answering(AgentId("mis-1"), spool, schema, providers, threading.Event()).answer(asked(body))
        return responses(spool)

    return answered


def ids(found: list[Response]) -> list[str]:
    return [element.findtext("{*}LocalId") or "" for response in found for element in response.elements]


def errors(found: list[Response]) -> list[tuple[int, int]]:
    return [response.error[:2] for response in found if response.error is not None]


def test_an_answer_comes_in_packets_of_at_most_the_buffer_in_order(answer: Answer, spool: Spool) -> None:
    body = question(max_buffer=4096)
    found = answer(groups(200), body)

    packets = spool.waiting(0)
    assert [response.packet for response in found] == list(range(1, len(found) + 1))
    assert [response.more for response in found] == [True] * (len(found) - 1) + [False]
    assert all(len(packet.body) <= 4096 for packet in packets)
    assert {packet.routing_key for packet in packets} == {parse_message(body).header.msg_id}
    assert {packet.kind for packet in packets} == {"SIF_Response"}
    assert ids(found) == [f"{number:06}" for number in range(200)]


def test_a_packet_goes_to_whoever_asked_in_the_context_that_was_asked_in(answer: Answer, spool: Spool) -> None:
    answer(
        groups(1),
        question().replace(
            b"</SIF_Header>", b"<SIF_Contexts><SIF_Context>Exams</SIF_Context></SIF_Contexts></SIF_Header>"
        ),
    )

    header = parse_message(spool.waiting(0)[0].body).header
    assert (header.source_id, header.destination_id, header.contexts) == ("mis-1", ASKER, ("Exams",))


def test_what_does_not_match_is_left_out_and_the_rest_cut_to_what_was_asked(answer: Answer) -> None:
    (found,) = answer(groups(9), question(["LocalId = 000003 or LocalId = 000005"], elements=["LocalId"]))

    assert ids([found]) == ["000003", "000005"]
    assert [len(element) for element in found.elements] == [1, 1]


def test_nothing_that_matches_is_one_empty_packet(answer: Answer) -> None:
    (found,) = answer(groups(9), question(["LocalId = none"]))

    assert (found.packet, found.more, found.elements, found.error) == (1, False, (), None)


def fails(_query: Query) -> Iterator[etree._Element]:
    for number in range(100):
        yield group(number)
    raise ValueError(SECRET)


def test_a_provider_that_raises_ends_the_answer_with_8_1_and_nothing_of_what_it_said(
    answer: Answer, spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(fails, question(max_buffer=4096))

    assert len(found) > 1
    assert errors(found) == [(8, 1)]
    assert found[-1].error is not None
    assert [response.packet for response in found] == list(range(1, len(found) + 1))
    assert not found[-1].more
    assert SECRET not in str([packet.body for packet in spool.waiting(0)])
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err


def wrong_object(_query: Query) -> Iterator[etree._Element]:
    yield parse("<SchoolInfo/>")


EXTENDED = re.compile(rb"<SIF_Query>.*</SIF_Query>")


@pytest.mark.parametrize(
    ("provider", "body", "error"),
    [
        (None, question(), (8, 4)),
        (wrong_object, question(), (8, 1)),
        (groups(1), question(versions=("1.1",)), (8, 7)),
        (groups(1), question(max_buffer=4095), (8, 8)),
        (groups(1), question(["LocalId = 1"]).replace(b">EQ<", b">LIKE<"), (8, 9)),
        (
            groups(1),
            EXTENDED.sub(b'<SIF_ExtendedQuery><SIF_From ObjectName="SchoolGroup"/></SIF_ExtendedQuery>', question()),
            (8, 15),
        ),
        (lambda _query: iter((group(1, "long " * 1000),)), question(max_buffer=4096), (8, 8)),
    ],
    ids=["not-provided", "wrong-object", "version", "small-buffer", "query", "extended", "large-object"],
)
def test_what_cannot_be_answered_is_answered_with_its_error(
    answer: Answer, provider: Provider | None, body: bytes, error: tuple[int, int]
) -> None:
    (found,) = answer(provider, body)

    assert (found.packet, found.more) == (1, False)
    assert errors([found]) == [error]


def test_an_error_comes_in_a_version_that_was_asked_for_where_there_is_one(answer: Answer, spool: Spool) -> None:
    answer(groups(1), question(versions=("2.0r1",), version="2.0r1"))

    message = parse_message(spool.waiting(0)[0].body)
    assert errors([parse_response(message)]) == [(8, 7)]
    assert message.version == "2.0r1"


def test_an_agent_stopped_in_the_midst_of_an_answer_sends_nothing_of_it_and_makes_it_anew(
    store: Store, spool: Spool, schema: SchemaSet
) -> None:
    one = asked(question(max_buffer=4096))
    with store.transaction() as db:
        spool.take_request(db, one)
    stop = threading.Event()

    def stopped_half_way(_query: Query) -> Iterator[etree._Element]:
        for number in range(200):
            if number == 100:
                assert store.query("SELECT count(*) FROM packets")[0][0] > 1
                stop.set()
            yield group(number)

    with pytest.raises(Stopped):
        Answering(AgentId("mis-1"), spool, schema, {"SchoolGroup": stopped_half_way}, stop).answer(one)
    assert spool.waiting(0) == []
    assert spool.next_asked() == one

    Answering(AgentId("mis-1"), spool, schema, {"SchoolGroup": groups(200)}, threading.Event()).answer(one)
    assert ids(responses(spool)) == [f"{number:06}" for number in range(200)]
    assert spool.next_asked() is None


def test_a_provider_may_use_its_agents_database_while_it_yields(store: Store, spool: Spool, answer: Answer) -> None:
    def asks_too(_query: Query) -> Iterator[etree._Element]:
        with store.transaction() as db:
            spool.ask(db, Query("SchoolInfo"))
        yield group(1)

    answer(asks_too, question())

    assert [message.kind for message in spool.waiting(0)] == ["SIF_Request", "SIF_Response"]


def test_confirmed_packets_leave_nothing_behind(store: Store, spool: Spool, answer: Answer) -> None:
    answer(groups(200), question(max_buffer=4096))
    spool.confirmed(spool.waiting(0))

    assert spool.count() == 0
    assert store.query("SELECT count(*) FROM packets") == [(0,)]


def test_a_refused_packet_is_reported_and_those_after_it_are_not_sent(
    store: Store, spool: Spool, answer: Answer
) -> None:
    body = question(max_buffer=4096)
    answer(groups(200), body)
    first = spool.waiting(0)[0]
    spool.confirmed([first])
    with store.transaction() as db:
        assert spool.refused(db, Ack("mis-1", first.msg_id, category=8, code=10, description="ended")) == "Response"

    (refusal,) = spool.refusals()
    assert (refusal.object_type, refusal.action, refusal.ref_id) == ("SchoolGroup", "Response", first.ref_id)
    assert spool.waiting(0) == []


def test_no_more_is_loaded_than_asked_for_but_always_one(spool: Spool, answer: Answer) -> None:
    answer(groups(200), question(max_buffer=4096))
    all_of_them = spool.waiting(0)

    assert [packet.msg_id for packet in spool.waiting(0, max_bytes=1)] == [all_of_them[0].msg_id]
    assert len(spool.waiting(0, max_bytes=2 * len(all_of_them[0].body))) in (2, 3)
    after: list[Spooled] = []
    while page := spool.waiting(after[-1].seq if after else 0, max_bytes=5000):
        after += page
    assert after == all_of_them


@pytest.mark.parametrize(
    ("object_type", "path", "kind"),
    [
        ("LearnerPersonal", "PersonalInformation/Demographics/BirthDate", "date"),
        ("LearnerPersonal", "LocalId", "text"),
        ("SchoolGroup", "@SchoolYear", "number"),
        ("LearnerPersonal", "CurrentSchoolEnrolment/NCYearGroup", "text"),
        ("LearnerPersonal", "PersonalInformation", None),
        ("LearnerPersonal", "NoSuchElement", None),
    ],
)
def test_values_are_compared_as_the_schema_has_them(
    schema: SchemaSet, object_type: str, path: str, kind: str | None
) -> None:
    assert kinds(object_type, schema)(path) == kind


def test_numbers_of_an_identifier_are_not_compared_by_size(schema: SchemaSet) -> None:
    query = parse_where("SchoolGroup", ["LocalId = 9"])

    assert not matches(query, group(9), kinds("SchoolGroup", schema))


def test_a_database_of_the_version_before_is_brought_up_to_this_one_with_what_waits_in_it(
    tmp_path: Path, schema: SchemaSet
) -> None:
    with Store(tmp_path / "state") as store, store.transaction() as db:
        msg_id = Spool(store, AgentId("mis-1"), schema).ask(db, Query("SchoolInfo"))
    with sqlite3.connect(tmp_path / "state" / "agent.db", isolation_level=None) as before:
        for statement in (
            "ALTER TABLE outbox DROP COLUMN kind", "DROP TABLE asked", "DROP TABLE packets", "DROP TABLE published",
            "DROP TABLE learners", "ALTER TABLE files DROP COLUMN waiting", "ALTER TABLE files DROP COLUMN again",
            "PRAGMA user_version = 1",
        ):  # fmt: skip
            before.execute(statement)
    before.close()

    with Store(tmp_path / "state") as store:
        spool = Spool(store, AgentId("mis-1"), schema)
        assert [(one.msg_id, one.kind) for one in spool.waiting(0)] == [(msg_id, "SIF_Event")]
        assert spool.next_asked() is None


def test_a_request_that_cannot_be_read_any_further_is_answered_all_the_same(answer: Answer) -> None:
    header = new_header(ASKER, MsgId("0" * 32))
    (found,) = answer(groups(1), build_message("SIF_Request", header, b"<SIF_Version>2.*</SIF_Version>"))

    assert errors([found]) == [(1, 3)]
