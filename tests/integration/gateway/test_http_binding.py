"""SIF over HTTP: status, headers and bodies of answers, compression, and what is no message at all."""

import gzip
import http.client
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import CONTENT_TYPE, NIL, NS, SIF, Agent, Answer, eventually, learner, new_id

MEGABYTE = 1024 * 1024


def ping(agent: Agent) -> bytes:
    return agent.message("SIF_SystemControl", "<SIF_SystemControlData><SIF_Ping/></SIF_SystemControlData>")


def garbage(_agent: Agent) -> bytes:
    return b"this is no XML"


def nothing(_agent: Agent) -> bytes:
    return b""


def as_another(agent: Agent) -> bytes:
    return agent.message("SIF_Event", source="somebody-else")


def not_allowed(agent: Agent) -> bytes:
    return agent.message("SIF_Subscribe", '<SIF_Object ObjectName="NoSuchThing"/>')


BODIES = pytest.mark.parametrize("make", [ping, garbage, nothing, as_another, not_allowed], ids=lambda f: f.__name__)


@BODIES
def test_every_post_gets_status_200_with_one_sif_ack(solo: Agent, make: Callable[[Agent], bytes]) -> None:
    answer = solo.post(make(solo))

    assert answer.status == 200
    assert answer.root.tag == NS + "SIF_Message"
    assert [child.tag for child in answer.root] == [NS + "SIF_Ack"]
    assert answer.findings == ()
    assert answer.text("SIF_Header/SIF_SourceId") == "conformance"


@BODIES
def test_every_answer_has_its_length_and_the_exact_content_type(solo: Agent, make: Callable[[Agent], bytes]) -> None:
    answer = solo.post(make(solo))

    assert answer.headers["content-length"] == str(len(answer.body))
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["content-type"] == CONTENT_TYPE


@BODIES
def test_no_answer_begins_with_anything_but_sif_message(solo: Agent, make: Callable[[Agent], bytes]) -> None:
    assert solo.post(make(solo)).body.startswith(f'<SIF_Message xmlns="{SIF}" Version="'.encode())


def test_each_answer_has_an_id_of_its_own(solo: Agent) -> None:
    assert len({solo.control("SIF_Ping").own_id for _ in range(10)}) == 10


def test_a_connection_serves_many_messages(solo: Agent) -> None:
    solo.control("SIF_Ping")
    assert solo.connection is not None
    first = solo.connection.sock

    answers = [solo.control("SIF_Ping"), solo.post(b"garbage"), solo.control("SIF_Ping")]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert first is not None
    assert solo.connection.sock is first


def test_a_message_without_content_length_is_taken_in_chunks(solo: Agent) -> None:
    solo.control("SIF_Ping")
    assert solo.connection is not None
    body = ping(solo)

    solo.connection.request("POST", urlsplit(solo.url).path, iter([body[:100], body[100:]]), {}, encode_chunked=True)
    response = solo.connection.getresponse()

    assert Answer(response.status, {}, response.read()).code == 0


@pytest.mark.parametrize("ending", ["", "/"], ids=["no slash", "slash"])
def test_the_url_works_with_a_slash_at_its_end_and_without(solo: Agent, ending: str) -> None:
    solo.url += ending

    assert solo.control("SIF_Ping").code == 0


# -- compression ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)],
)
def test_compressed_messages_are_taken(pair: Pair, coding: str, compress: Callable[[bytes], bytes]) -> None:
    mis, vle = pair
    body = mis.event_body(learner())

    assert mis.post(compress(body), {"Content-Encoding": coding}).code == 0

    assert vle.take().body == body


def test_a_large_compressed_message_is_taken(asking: Pair) -> None:
    mis, vle = asking
    body = large_packet(mis, vle)

    assert mis.post(gzip.compress(body), {"Content-Encoding": "gzip"}).code == 0

    assert vle.take().body == body


def large_packet(mis: Agent, vle: Agent) -> bytes:
    """Ask for a packet of more than 64 KiB, and return it."""
    request = new_id()
    assert vle.request(msg_id=request, to=mis.id, buffer=390_000).code == 0
    mis.take()
    learners = "".join(learner() for _ in range(180))
    content = (
        f"<SIF_RequestMsgId>{request}</SIF_RequestMsgId><SIF_PacketNumber>1</SIF_PacketNumber>"
        f"<SIF_MorePackets>No</SIF_MorePackets><SIF_ObjectData>{learners}</SIF_ObjectData>"
    )
    body = mis.message("SIF_Response", content, header=f"<SIF_DestinationId>{vle.id}</SIF_DestinationId>")
    assert len(body) > 65_536
    return body


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip;q=1.0, identity;q=0.5, *;q=0", True),
        ("gzip", True),
        ("identity", False),
        ("gzip;q=0, identity", False),
        (None, False),
    ],
)
def test_a_large_answer_is_compressed_for_whoever_accepts_that(
    asking: Pair, accepted: str | None, compressed: bool
) -> None:
    mis, vle = asking
    body = large_packet(mis, vle)
    assert mis.post(body).code == 0
    if accepted is not None:
        vle.headers["Accept-Encoding"] = accepted

    def fetch() -> Answer | None:
        answer = vle.get()
        return answer if len(answer.body) > 2_000 else None

    answer = eventually(fetch)

    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers.get("content-encoding") == ("gzip" if compressed else None)
    plain = gzip.decompress(answer.body) if compressed else answer.body
    assert body in plain
    assert (len(answer.body) < 20_000) == compressed


def test_a_small_answer_is_never_compressed(solo: Agent) -> None:
    solo.headers["Accept-Encoding"] = "gzip"

    assert "content-encoding" not in solo.control("SIF_GetZoneStatus").headers


@pytest.mark.parametrize("coding", ["compress", "br", "gzip, gzip"])
def test_an_unknown_coding_is_a_failure_of_the_transport(solo: Agent, coding: str) -> None:
    assert solo.post(ping(solo), {"Content-Encoding": coding}).status == 415

    assert solo.control("SIF_Ping").code == 0


def bomb(size: int) -> Iterator[bytes]:
    squeeze = zlib.compressobj(9, wbits=31)
    for _ in range(size // MEGABYTE):
        yield squeeze.compress(bytes(MEGABYTE))
    yield squeeze.flush()


def test_a_gzip_bomb_is_refused_and_does_not_fill_the_memory(solo: Agent, zoned: Zoned) -> None:
    process = psutil.Process(zoned.running.gateway_pid)
    solo.control("SIF_Ping")
    before = process.memory_info().rss
    body = b"".join(bomb(300 * MEGABYTE))

    assert solo.post(body, {"Content-Encoding": "gzip"}).code == (1, 2)

    assert process.memory_info().rss - before < 40 * MEGABYTE
    assert solo.control("SIF_Ping").code == 0


@pytest.mark.parametrize(
    "body",
    [b"not gzip at all", gzip.compress(b"<SIF_Message/>" * 100)[:-12], b""],
    ids=["no gzip", "cut short", "empty"],
)
def test_what_is_not_compressed_as_it_says_is_refused(solo: Agent, body: bytes) -> None:
    assert solo.post(body, {"Content-Encoding": "gzip"}).code == (1, 2)


def test_a_message_larger_than_any_may_be_is_refused_and_the_gateway_lives(solo: Agent, zoned: Zoned) -> None:
    pid = zoned.running.gateway_pid

    assert solo.post(b"<" * (9 * MEGABYTE)).code == (1, 2)

    solo.close()
    assert solo.control("SIF_Ping").code == 0
    assert pid is not None
    assert psutil.pid_exists(pid)


# -- what is no message ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("PUT", 405), ("DELETE", 405)])
def test_messages_come_by_post_alone(solo: Agent, method: str, status: int) -> None:
    assert plain(solo, method, urlsplit(solo.url).path) == status


@pytest.mark.parametrize("path", ["/zones/elsewhere", "/zones/elsewhere/secret", "/zones/CONFORMANCE/x"])
def test_a_zone_that_is_not_here_is_not_found(solo: Agent, path: str) -> None:
    assert plain(solo, "POST", path) == 404


def test_the_gateway_says_whether_it_is_up(solo: Agent) -> None:
    assert plain(solo, "GET", "/health") == 200


def plain(agent: Agent, method: str, path: str) -> int:
    parts = urlsplit(agent.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, path, b"<SIF_Message/>" if method != "GET" else None)
        return connection.getresponse().status
    finally:
        connection.close()


def changed(agent: Agent, old: bytes, new: bytes) -> bytes:
    body = ping(agent)
    assert old in body
    return body.replace(old, new)


UNREADABLE = {
    "empty": (lambda _: b"", (1, 2)),
    "garbage": (lambda _: b"garbage", (1, 2)),
    "cut short": (lambda a: ping(a)[:-10], (1, 2)),
    "doctype": (lambda a: b"<!DOCTYPE SIF_Message>" + ping(a), (1, 2)),
    "entity": (lambda a: b'<!DOCTYPE x [<!ENTITY e "x">]>' + changed(a, b"<SIF_Ping/>", b"&e;"), (1, 2)),
    "utf-16": (lambda a: ping(a).decode().encode("utf-16"), (1, 2)),
    "latin-1": (lambda a: changed(a, b"<SIF_Ping/>", b"<SIF_Ping>\xe9</SIF_Ping>"), (1, 2)),
    "version 1.5r1": (lambda a: changed(a, b'"2.1"', b'"1.5r1"'), (12, 3)),
    "version 1.5": (lambda a: changed(a, b'"2.1"', b'"1.5"'), (12, 3)),
    "version 3.0": (lambda a: changed(a, b'"2.1"', b'"3.0"'), (12, 3)),
    "no version": (lambda a: changed(a, b' Version="2.1"', b""), (12, 3)),
    "another namespace": (lambda a: changed(a, b"/uk/", b"/"), (1, 3)),
    "no header": (lambda a: changed(a, b"SIF_Header>", b"SIF_Heading>"), (1, 3)),
    "lower-case id": (lambda a: changed(a, b"<SIF_MsgId>", b"<SIF_MsgId>a"), (1, 3)),
}


@pytest.mark.parametrize(("make", "code"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_without_source_or_id_and_kept(
    pair: Pair, zoned: Zoned, make: Callable[[Agent], bytes], code: tuple[int, int]
) -> None:
    agent, _ = pair
    body = make(agent)

    answer = agent.post(body)

    assert (answer.status, answer.code) == (200, code)
    assert answer.original == ("", "")
    original = answer.root[0].find(NS + "SIF_OriginalMsgId")
    assert original is not None
    assert original.get(NIL) == "true"
    assert answer.findings == ()
    assert zoned.store.quarantine_body(zoned.kept(agent.id, code).id) == body


@pytest.mark.parametrize("version", ["2.0", "2.0r1", "2.1", "2.3", "2.4", "2.5", "2.6"])
def test_an_ack_is_in_the_version_of_the_message_it_acknowledges(solo: Agent, version: str) -> None:
    solo.version = version

    for answer in (solo.register(), solo.control("SIF_Ping"), solo.get(), solo.subscribe("NoSuchThing")):
        assert answer.root.get("Version") == version


def test_an_ack_names_source_and_id_of_the_message_it_acknowledges(solo: Agent) -> None:
    msg_id = new_id()

    answer = solo.send("SIF_Unsubscribe", '<SIF_Object ObjectName="SchoolInfo"/>', msg_id=msg_id)

    assert answer.original == (solo.id, msg_id)


def test_a_message_that_is_no_known_type_is_refused(solo: Agent) -> None:
    assert solo.send("SIF_ServiceInput").code == (12, 2)


@pytest.mark.parametrize(
    "prefix",
    [b"\xef\xbb\xbf", b'<?xml version="1.0" encoding="UTF-8"?>\n', b"\n  "],
    ids=["byte order mark", "declaration", "blanks"],
)
def test_a_message_may_begin_with_what_the_zone_itself_never_sends(solo: Agent, prefix: bytes) -> None:
    assert solo.post(prefix + ping(solo)).code == 0
