"""Cases and events come back from their bytes as they were, and what is damaged or from another version is refused."""

from dataclasses import fields
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import transfer_cases
from broker.protocol.identifiers import Establishment, RefId
from broker.transfer_cases import (
    CtfSent,
    Event,
    Record,
    RecordPassed,
    Rejected,
    Status,
    StatusChange,
    TransferCase,
)
from broker.transfer_codec import NotACase, NotAnEvent, decode_case, decode_event, encode_case, encode_event

NOON: Final = datetime(2026, 10, 6, 12, tzinfo=UTC)
CASE: Final = TransferCase(RefId("A" * 32), RefId("B" * 32), (StatusChange(Status.PLANNED, NOON, "Zone"),))
EVENT: Final = Rejected(at=NOON, actor="mis-8209901", school=Establishment("8209901"))
EVENTS: Final = sorted(
    (
        kind
        for name in transfer_cases.__all__
        if isinstance(kind := getattr(transfer_cases, name), type) and issubclass(kind, Event) and kind is not Event
    ),
    key=lambda kind: kind.__name__,
)

OFFSETS: Final = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS: Final = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=OFFSETS)  # noqa: DTZ001  # gets one
HISTORIES: Final = st.lists(st.builds(StatusChange, at=MOMENTS, note=...), min_size=1, max_size=4).map(tuple)


def anything(kind: type[Any], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values of *kind*, a dataclass, with anything in every field, also in those that have a default."""
    return st.builds(kind, **{field.name: known.get(field.name, ...) for field in fields(kind)})


@given(case=anything(TransferCase, history=HISTORIES))
def test_a_case_comes_back_from_its_bytes_as_it_was(case: TransferCase) -> None:
    assert decode_case(encode_case(case)) == case


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_comes_back_from_its_bytes_as_it_was(kind: type[Event]) -> None:
    @given(event=anything(kind, at=MOMENTS))
    def comes_back(event: Event) -> None:
        read = decode_event(encode_event(event))
        assert read == event
        assert type(read) is kind

    comes_back()


def test_a_moment_keeps_its_instant_where_clocks_go_back() -> None:
    twice = datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=1)

    read = decode_event(encode_event(CtfSent(at=twice, actor="zone", ctf=transfer_cases.Ctf("a.xml", EVENT.school))))
    assert read.at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_nobody_can_change_what_was_read() -> None:
    case = decode_case(encode_case(CASE))

    with pytest.raises(TypeError):
        case.passed[Record.PEP_SENT] = date(2026, 10, 6)  # type: ignore[index]  # that is what it proves


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        pytest.param(b"}", b"", "", id="cut off"),
        pytest.param(b"{", b"\xff", "", id="no text"),
        pytest.param(b'"form":1', b'"form":2', "form", id="another form"),
        pytest.param(b'"learner"', b'"pupil"', "case.learner", id="a field that is not known"),
        pytest.param(b'"PL"', b'"ZZ"', "case.history.0.0", id="a status that is not known"),
        pytest.param(b'"confirmed":false', b'"confirmed":0', "case.confirmed", id="a number for a yes or no"),
        pytest.param(b"12:00:00Z", b"12:00:00", "history", id="a time without its zone"),
        pytest.param(b'[["PL","2026-10-06T12:00:00Z","Zone",""]]', b"[]", "history", id="no history"),
    ],
)
def test_what_is_no_case_is_refused_by_the_place_that_is_wrong(old: bytes, new: bytes, where: str) -> None:
    body = encode_case(CASE)
    assert old in body

    with pytest.raises(NotACase) as caught:
        decode_case(body.replace(old, new))
    assert where in str(caught.value)
    assert "ZZ" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        pytest.param(b"}", b"", "", id="cut off"),
        pytest.param(b'"form":1', b'"form":2', "form", id="another form"),
        pytest.param(b"Rejected", b"Praised", "kind", id="a kind that is not known"),
        pytest.param(b'"school"', b'"college"', "school", id="a field that is not known"),
        pytest.param(b'"RF"', b'"ZZ"', "note", id="a note that is not known"),
        pytest.param(b"12:00:00Z", b"12:00:00", "at", id="a time without its zone"),
    ],
)
def test_what_is_no_event_is_refused_by_the_place_that_is_wrong(old: bytes, new: bytes, where: str) -> None:
    body = encode_event(EVENT)
    assert old in body

    with pytest.raises(NotAnEvent) as caught:
        decode_event(body.replace(old, new))
    assert where in str(caught.value)
    assert "ZZ" not in str(caught.value)


def test_what_a_later_version_adds_to_a_case_need_not_be_there() -> None:
    body = encode_case(CASE).replace(b',"issued":[]', b"").replace(b',"passed":{}', b"")

    assert decode_case(body) == CASE


def test_a_date_is_no_moment() -> None:
    passed = RecordPassed(at=NOON, actor="dt", record=Record.PEP_SENT, on=date(2026, 10, 6))
    body = encode_event(passed)

    assert b'"on":"2026-10-06"' in body
    with pytest.raises(NotAnEvent, match=r"\(on\)"):
        decode_event(body.replace(b'"2026-10-06"', b'"2026-10-06T12:00:00"'))
