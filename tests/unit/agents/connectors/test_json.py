"""Records of a web service: how JSON becomes records, page after page, only what changed, and from nowhere else."""

import gzip
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.connectors import web
from agents.connectors.contract import Checked, Feed, Item, Marker, SourceError, SourceProblem
from agents.connectors.json import JsonFeed, JsonOptions
from mappings import Record
from tests.unit.agents.connectors.web_service import Answer, Asked, WebServer, running_web_server
from tests.unit.agents.virtual_school.post import own_certificate

PUPILS = [{"upn": "A820990126001"}, {"upn": "B820990126002"}, {"upn": "C820990126003"}]


@pytest.fixture
def service() -> Iterator[WebServer]:
    """A service on loopback."""
    with running_web_server() as server:
        yield server


def feed(service: WebServer, folder: Path | None = None, **options: object) -> JsonFeed:
    values = {"url": f"{service.url}/pupils", **options}
    return JsonFeed(JsonOptions.model_validate(values, context={"folder": folder or Path()}))


def read(source: JsonFeed, marker: str = "") -> list[Item | Marker]:
    return list(source.read_since(marker))


def upns(items: list[Item | Marker]) -> list[str]:
    return [item.fields["upn"] for item in items if isinstance(item, Record)]


def marker(items: list[Item | Marker]) -> Marker:
    assert isinstance(items[-1], Marker)
    return items[-1]


def problems(items: list[Item | Marker]) -> list[tuple[str, str]]:
    return [(item.position, item.rule) for item in items if isinstance(item, SourceProblem)]


def always(body: object, status: int = 200, **headers: str) -> Callable[[Asked], Answer]:
    return lambda _: Answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def test_nested_objects_are_fields_and_lists_are_groups(service: WebServer) -> None:
    pupil = {
        "upn": " A820990126001 ",
        "name": {"family": "Quill", "middle": None, "given": ""},
        "boarder": False,
        "year": 6,
        "house": {"id": 7.0, "score": 12.50},
        "contacts": {"contact": [{"order": 1, "phones": ["01632 960101", "07700 900123"]}, {"order": 2, "phones": []}]},
        "needs": ["SPLD", "", None, True],
    }
    service.answers["/pupils"] = always({"data": {"students": [pupil]}})

    record, found = read(feed(service, records="data.students"))

    assert isinstance(record, Record)
    assert record.position == "record 1"
    assert dict(record.fields) == {
        "upn": "A820990126001",
        "name/family": "Quill",
        "boarder": "false",
        "year": "6",
        "house/id": "7",
        "house/score": "12.5",
    }
    one, two = record.groups["contacts/contact"]
    assert (one.position, dict(one.fields), one.parent) == ("record 1, contact 1", {"order": "1"}, record)
    assert [phone.fields["."] for phone in one.groups["phones"]] == ["01632 960101", "07700 900123"]
    assert (dict(two.fields), dict(two.groups)) == ({"order": "2"}, {})
    assert [need.fields["."] for need in record.groups["needs"]] == ["SPLD", "true"]
    assert isinstance(found, Marker)
    assert found.complete


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1e3", "1000"),
        ("1.50", "1.50"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1e999999999", "1e999999999"),
    ],
)
def test_numbers_keep_their_digits_and_none_grows_beyond_what_was_sent(
    service: WebServer, written: str, text: str
) -> None:
    service.answers["/pupils"] = always(f'[{{"upn": {written}}}]'.encode())

    assert upns(read(feed(service))) == [text]


def test_what_is_no_record_is_reported_and_the_others_are_read(service: WebServer) -> None:
    deep: dict[str, object] = {"upn": "D"}
    for _ in range(25):
        deep = {"in": deep}
    service.answers["/pupils"] = always([7, {"upn": "x" * 40_000}, deep, {"upn": "A", "grid": [["x"]]}])

    items = read(feed(service))

    assert upns(items) == ["A"]
    assert problems(items) == [
        ("record 1", "no-object"),
        ("record 2", "cell-size"),
        ("record 3", "depth"),
        ("record 4, grid 1", "nested-list"),
    ]


def by_link(asked: Asked) -> Answer:
    number = int(asked.query.get("page", 1))
    more = {"Link": f'</pupils?page={number + 1}>; rel="next", </pupils>; rel="first"'} if number < 3 else {}
    return Answer({"data": PUPILS[number - 1 : number]}, headers=more)


def by_next(asked: Asked) -> Answer:
    number = int(asked.query.get("page", 1))
    more = f"http://{asked.headers['Host']}/pupils?page={number + 1}" if number < 3 else None
    return Answer({"data": PUPILS[number - 1 : number], "links": {"next": more}})


def by_page(asked: Asked) -> Answer:
    number = int(asked.query["page"])
    return Answer({"data": PUPILS[number - 1 : number], "size": asked.query["size"]})


def by_cursor(asked: Asked) -> Answer:
    at = int(asked.query.get("after", 0))
    return Answer({"data": PUPILS[at : at + 1], "meta": {"cursor": at + 1 if at < 2 else None}})


PAGING = [
    pytest.param(by_link, {"by": "link"}, 3, id="link"),
    pytest.param(by_next, {"by": "next", "field": "links.next"}, 3, id="next"),
    pytest.param(by_page, {"by": "page", "size_param": "size", "size": 1}, 4, id="page"),
    pytest.param(by_cursor, {"by": "cursor", "param": "after", "field": "meta.cursor"}, 3, id="cursor"),
]


@pytest.mark.parametrize(("answer", "paging", "requests"), PAGING)
def test_every_page_is_read_to_the_last(
    service: WebServer, answer: Callable[[Asked], Answer], paging: dict[str, object], requests: int
) -> None:
    service.answers["/pupils"] = answer

    items = read(feed(service, records="data", paging=paging))

    assert upns(items) == [pupil["upn"] for pupil in PUPILS]
    assert marker(items).complete
    assert len(service.asked) == requests


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1/pupils",
        "http://localhost/pupils",
        "//metadata.example.org/",
        "file:///etc/passwd",
        "http://user:pass@{host}/pupils",
        "http://[",
    ],
)
def test_a_next_page_of_another_server_is_not_asked_for(service: WebServer, address: str) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer({"data": PUPILS, "next": address.replace("{host}", asked.headers["Host"])})

    service.answers["/pupils"] = answer

    with pytest.raises(SourceError, match=r"another server|no address"):
        read(feed(service, records="data", paging={"by": "next", "field": "next"}))
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("body", "paging"),
    [
        ({"data": PUPILS, "next": "/pupils"}, {"by": "next", "field": "next"}),
        ({"data": PUPILS}, {"by": "page"}),
        ({"data": PUPILS, "cursor": "x"}, {"by": "cursor", "field": "cursor"}),
    ],
    ids=["next", "page", "cursor"],
)
def test_pages_that_come_again_are_no_more_pages(
    service: WebServer, body: dict[str, object], paging: dict[str, object]
) -> None:
    service.answers["/pupils"] = always(body)

    with pytest.raises(SourceError, match=r"no end|same content"):
        read(feed(service, records="data", paging=paging))
    assert len(service.asked) <= 3


def test_nothing_is_yielded_when_a_single_page_has_not_changed(service: WebServer) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.headers.get("If-None-Match") == '"v1"' and asked.headers.get("If-Modified-Since"):
            return Answer(status=304)
        return Answer(PUPILS, headers={"ETag": '"v1"', "Last-Modified": "Mon, 30 Nov 2026 09:00:00 GMT"})

    service.answers["/pupils"] = service.answers["/learners"] = answer
    first = read(feed(service))

    assert read(feed(service), marker(first).value) == []
    assert len(upns(read(feed(service, params={"year": "6"}), marker(first).value))) == 3, "another address"
    assert len(upns(read(feed(service), "junk"))) == 3


def test_an_etag_of_the_first_of_several_pages_says_nothing_of_the_others(service: WebServer) -> None:
    def answer(asked: Asked) -> Answer:
        page = by_link(asked)
        return Answer(page.body, headers={**page.headers, "ETag": '"v1"'})

    service.answers["/pupils"] = answer
    source = feed(service, records="data", paging={"by": "link"})

    read(source, marker(read(source)).value)

    assert not any("If-None-Match" in asked.headers for asked in service.asked)
    assert len(service.asked) == 6


@pytest.mark.parametrize(
    ("since", "values", "asked_with"),
    [
        (
            {"param": "after", "field": "meta/at"},
            ["2026-11-30T09:00:00Z", "2026-11-30T08:00:00Z"],
            "2026-11-30T08:50:00Z",
        ),
        ({"param": "after", "field": "meta/at", "kind": "version", "again": 5}, [100, 99], "95"),
    ],
    ids=["time", "version"],
)
def test_with_since_the_service_is_asked_from_an_overlap_before_the_greatest_value(
    service: WebServer, since: dict[str, object], values: list[object], asked_with: str
) -> None:
    service.answers["/pupils"] = always([{"upn": "A", "meta": {"at": value}} for value in values])
    source = feed(service, since=since, params={"year": "6"})

    first = read(source)
    second = read(source, marker(first).value)

    assert (marker(first).complete, marker(second).complete) == (True, False)
    assert [dict(asked.query) for asked in service.asked] == [{"year": "6"}, {"year": "6", "after": asked_with}]


def test_a_value_for_since_that_is_no_time_is_refused_and_one_still_to_come_reported(service: WebServer) -> None:
    service.answers["/pupils"] = always([{"upn": "A", "at": "2999-01-01"}])
    since = {"param": "after", "field": "at"}
    assert problems(read(feed(service, since=since))) == [("records", "time-ahead")]

    service.answers["/pupils"] = always([{"upn": "A", "at": "tin whistle"}])
    with pytest.raises(SourceError, match="'at' holds a value that is no timestamp") as caught:
        read(feed(service, since=since))
    assert "whistle" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "records", "words"),
    [
        (b"<html>A820990126001</html>", "", "no JSON"),
        (b"[" * 100_000, "", "no JSON"),
        (b'{"a":' * 100_000, "", "no JSON"),
        (b"[NaN]", "", "no JSON"),
        (b"\xff\xfe\xfd", "", "no JSON"),
        (b"[" + b"{}," * 1_600_000 + b"{}]", "", "more than 3,000,000 values"),
        ({"data": []}, "data.students", "no 'students' of 'data.students'"),
        ({"students": []}, "student", "did you mean 'students'"),
        ({"A820990126001": []}, "data", "look where the list is"),
        ({"data": {}}, "data", "'data' is no list"),
        ({}, "", "'the answer' is no list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_cannot_be_used_is_told_without_what_it_holds(
    service: WebServer, body: object, records: str, words: str
) -> None:
    service.answers["/pupils"] = always(body)

    with pytest.raises(SourceError, match=words) as caught:
        read(feed(service, records=records))
    assert "A8209" not in str(caught.value)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_answer_over_the_limit_is_not_read_on_even_when_it_comes_packed(service: WebServer, packed: bool) -> None:
    body = b" " * 5_000_000
    if packed:
        service.answers["/pupils"] = always(gzip.compress(body), Content_Encoding="gzip")
    else:
        service.answers["/pupils"] = always(body)

    with pytest.raises(SourceError, match="more than 1,000,000 bytes"):
        read(feed(service, max_bytes=1_000_000))


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (gzip.compress(gzip.compress(b"[]")), "gzip, gzip", "packed twice"),
        # a name in the head of the packing, which gives nothing however long it is
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 300_000, "gzip", "more than 200,000 bytes"),
    ],
    ids=["packed twice", "nothing unpacked"],
)
def test_an_answer_is_bounded_as_it_comes_and_unpacked_once(
    service: WebServer, body: bytes, encoding: str, words: str
) -> None:
    service.answers["/pupils"] = always(body, Content_Encoding=encoding)

    with pytest.raises(SourceError, match=words):
        read(feed(service, max_bytes=200_000))


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n["], ids=["head", "body"])
def test_an_answer_that_drips_for_ever_is_ended(begins: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_ANSWER_SECONDS", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def drip() -> None:
            taken, _ = listening.accept()
            with taken, suppress(OSError):
                taken.sendall(begins)
                while True:
                    taken.sendall(b" ")
                    time.sleep(0.02)

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/pupils"

        with pytest.raises(SourceError, match="an answer that took more than"):
            read(JsonFeed(JsonOptions(url=url)))


@pytest.mark.parametrize("cursor", ["x" * 70_000, "\ud800"], ids=["too long", "half of a character"])
def test_a_cursor_that_fits_into_no_address_is_refused(service: WebServer, cursor: str) -> None:
    service.answers["/pupils"] = always({"records": PUPILS, "next": cursor})

    with pytest.raises(SourceError, match="fits into no address"):
        read(feed(service, records="records", paging={"by": "cursor", "field": "next"}))


def test_half_of_a_character_is_reported_and_goes_no_further(service: WebServer) -> None:
    service.answers["/pupils"] = always([{"upn": "A\ud800"}, {"upn": "B820990126002", "a\udfff": "1"}])

    items = read(feed(service))

    assert problems(items) == [("record 1", "characters")]
    assert [dict(item.fields) for item in items if isinstance(item, Record)] == [
        {"upn": "B820990126002", "a\N{REPLACEMENT CHARACTER}": "1"}
    ]


def test_a_packed_answer_is_unpacked(service: WebServer) -> None:
    service.answers["/pupils"] = always(gzip.compress(json.dumps(PUPILS).encode()), Content_Encoding="gzip")

    assert len(upns(read(feed(service)))) == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "sends to another address"),
        (302, "sends to another address"),
        (304, "sends to another address"),
        (401, "refuses the login"),
        (403, "refuses the login"),
        (404, "is not there"),
        (418, "does not take the question"),
        (500, "cannot answer now"),
        (503, "is busy"),
    ],
)
def test_what_a_service_answers_is_told_in_words_that_help(service: WebServer, status: int, words: str) -> None:
    service.answers["/pupils"] = always(b"A820990126001", status, Location="/elsewhere")

    with pytest.raises(SourceError, match=words) as caught:
        read(feed(service))
    assert "A8209" not in str(caught.value)
    assert [asked.path for asked in service.asked] == ["/pupils"]


@pytest.mark.parametrize(
    ("retry", "asked", "is_read"),
    [
        ("0", 2, True),
        (format_datetime(datetime.now(UTC) - timedelta(minutes=1)), 2, True),
        ("61", 1, False),
        (format_datetime(datetime.now(UTC) + timedelta(hours=1)), 1, False),
        ("9" * 400, 1, False),
        ("soon", 1, False),
    ],
    ids=["now", "a minute ago", "too long", "in an hour", "no number", "no time"],
)
def test_a_busy_service_is_asked_again_when_it_says_and_not_waited_for_longer_than_a_minute(
    service: WebServer,
    retry: str,
    asked: int,
    is_read: bool,
) -> None:
    busy = iter([True])
    service.answers["/pupils"] = lambda _: (
        Answer(status=429, headers={"Retry-After": retry}) if next(busy, False) else Answer(PUPILS)
    )

    if is_read:
        assert len(upns(read(feed(service)))) == 3
    else:
        with pytest.raises(SourceError, match="busy"):
            read(feed(service))
    assert len(service.asked) == asked


def test_a_service_that_is_always_busy_is_asked_a_few_times_only(service: WebServer) -> None:
    service.answers["/pupils"] = always(b"", 503, Retry_After="0")

    with pytest.raises(SourceError, match="cannot answer now"):
        read(feed(service))
    assert len(service.asked) == 4


def test_a_token_or_login_is_sent_and_shown_nowhere(service: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIS_TOKEN", "tin-whistle")
    service.answers["/pupils"] = always(PUPILS)

    read(feed(service, bearer="env:MIS_TOKEN"))
    read(feed(service, basic={"user": "zone", "password": "env:MIS_TOKEN"}))

    sent = [asked.headers["Authorization"] for asked in service.asked]
    assert sent == ["Bearer tin-whistle", f"Basic {b64encode(b'zone:tin-whistle').decode()}"]


@pytest.mark.parametrize("send", ["basic", "body"])
def test_a_token_of_oauth_is_asked_for_once_and_again_when_it_ends(
    service: WebServer, monkeypatch: pytest.MonkeyPatch, send: str
) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "tin&whistle")
    lives = iter([3600, 30, 3600])
    tokens = iter(["t1", "t2", "t3"])
    service.answers["/token"] = lambda _: Answer(
        {"access_token": next(tokens), "token_type": "bearer", "expires_in": next(lives)}
    )
    service.answers["/pupils"] = by_link
    oauth = {
        "token_url": f"{service.url}/token",
        "client_id": "zone",
        "client_secret": "env:CLIENT_SECRET",
        "scope": "read students",
        "send": send,
    }
    source = feed(service, records="data", paging={"by": "link"}, oauth=oauth)

    read(source)
    read(source)

    asked = service.asked
    assert [one.headers.get("Authorization", "") for one in asked if one.path == "/pupils"] == [
        *["Bearer t1"] * 3,
        "Bearer t2",
        *["Bearer t3"] * 2,
    ]
    assert "grant_type=client_credentials" in asked[0].body
    assert "scope=read+students" in asked[0].body
    assert ("client_secret=tin%26whistle" in asked[0].body) == (send == "body")
    assert ("Authorization" in asked[0].headers) == (send == "basic")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (always({"error": "invalid_client", "error_description": "tin-whistle"}, 401), r"no token \(invalid_client\)"),
        (always({"error": "tin-whistle"}, 400), "gives no token: check"),
        (always(b"tin-whistle", 200), "something else than a token"),
        (always(b"tin-whistle", 403), "answered 403 instead"),
        (always(b"tin-whistle", 500), "answered 500 instead"),
        (always({"access_token": "tin\nwhistle"}), "no Bearer token"),
        (always({"access_token": "x", "token_type": "mac"}), "no Bearer token"),
        (always({}), "no Bearer token"),
        (always({"access_token": "x", "expires_in": "tin-whistle"}), "something else than a token"),
        (always(b"", 302, Location="/elsewhere"), "instead of a token"),
    ],
)
def test_a_token_that_is_not_given_is_told_without_what_was_answered(
    service: WebServer, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Asked], Answer], words: str
) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "tin-whistle")
    service.answers["/token"] = answer
    oauth = {"token_url": f"{service.url}/token", "client_id": "zone", "client_secret": "env:CLIENT_SECRET"}

    with pytest.raises(SourceError, match=words) as caught:
        read(feed(service, oauth=oauth))
    assert "whistle" not in str(caught.value)
    assert [asked.path for asked in service.asked] == ["/token"]


def test_a_certificate_is_checked_always_and_may_be_of_an_authority_of_ones_own(tmp_path: Path) -> None:
    certificate = own_certificate(tmp_path)
    with running_web_server(certificate) as service:
        service.answers["/pupils"] = always(PUPILS)

        assert len(upns(read(feed(service, tmp_path, ca_file="post.pem")))) == 3
        with pytest.raises(SourceError, match="certificate that is not trusted"):
            read(feed(service))
        with pytest.raises(SourceError, match="certificate that is not trusted"):
            read(feed(service, tmp_path, ca_file="post.pem", url=service.url.replace("127.0.0.1", "localhost")))


def test_a_service_that_is_away_is_told(service: WebServer) -> None:
    with pytest.raises(SourceError, match=r"cannot be reached \(ConnectError\)"):
        read(feed(service, url="http://127.0.0.1:1/pupils"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://mis.example.org/pupils"}, "over http"),
        ({"url": "http://localhost.example.org/"}, "over http"),
        ({"url": "ftp://mis.example.org/"}, "over http"),
        ({"url": "https://zone:tin-whistle@mis.example.org/"}, "secret does not belong"),
        ({"url": "https://mis.example.org/?API_KEY=tin-whistle"}, "secret does not belong"),
        ({"url": "https://mis.example.org:port/"}, "no address"),
        ({"params": {"access_token": "tin-whistle"}}, "secret does not belong"),
        ({"bearer": "tin-whistle"}, "secret does not belong"),
        ({"bearer": "env:A", "basic": {"user": "b", "password": "env:A"}}, "only one of bearer"),
        ({"proxy": "http://zone:tin-whistle@proxy.example.org:8080"}, "without a login"),
        ({"ca_file": "nowhere.pem"}, "no such file"),
        ({"timeout": "0s"}, "from"),
        ({"records": "data..students"}, "pattern"),
        ({"paging": {"by": "magic"}}, "link"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_cannot_be_right_are_refused_without_repeating_a_secret(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        JsonOptions.model_validate({"url": "https://mis.example.org/pupils", **options}, context={"folder": Path()})
    assert "tin-whistle" not in str([error["msg"] for error in caught.value.errors()])


def test_check_says_how_many_records_and_which_fields_and_nothing_of_anybody(service: WebServer) -> None:
    found = [{**pupil, "contacts": [{"name": "Quill"}], "A820990126001": 1} for pupil in PUPILS]
    service.answers["/pupils"] = always(found)
    source = feed(service, params={"year": "6"})

    assert isinstance(source, Feed)
    assert isinstance(source, Checked)
    assert source.check() == f"{service.url}/pupils: 3 records on the first page, with upn, contacts (a list)"
    assert source.name.startswith(f"json {service.url}/pupils ")
    assert feed(service, records="data").name == f"json {service.url}/pupils data"
