"""How far a feed was read: the greatest value, lowered so that what becomes visible late is not missed."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from agents.connectors.changes import Greatest, GrowingTime, GrowingVersion
from agents.connectors.contract import SourceError


def growing(**less: object) -> GrowingTime | GrowingVersion:
    if "overlap" in less:
        return GrowingTime.model_validate({"kind": "timestamp", **less})
    return GrowingVersion.model_validate(less)


@pytest.mark.parametrize(
    ("value", "less", "lower"),
    [
        (datetime(2026, 11, 30, 9, tzinfo=UTC), {"overlap": "10m"}, datetime(2026, 11, 30, 8, 50, tzinfo=UTC)),
        (date(2026, 11, 30), {"overlap": "10m"}, date(2026, 11, 29)),
        ("2026-11-30", {"overlap": "1d"}, "2026-11-29"),
        ("2026-11-30T09:00:00Z", {"overlap": "1h"}, "2026-11-30T08:00:00Z"),
        ("2026-11-30T09:00:00+01:00", {"overlap": "1h"}, "2026-11-30T08:00:00+01:00"),
        ("2026-11-30 09:00:00.250", {"overlap": "1s"}, "2026-11-30 08:59:59.250000"),
        (5000, {"again": 1000}, 4000),
        (Decimal(5000), {"again": 1000}, Decimal(4000)),
        (b"\x00\x00\x00\x00\x00\x00\x07\xd1", {"again": 1}, b"\x00\x00\x00\x00\x00\x00\x07\xd0"),
        (memoryview(b"\x01"), {"again": 9}, b"\x00"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, memoryview) else repr(value),
)
def test_every_kind_of_value_is_lowered_as_it_was_written_and_survives_being_kept(
    value: object, less: dict[str, object], lower: object
) -> None:
    first = Greatest.after("changed", growing(**less), "")
    first.add(value)

    assert first.lower is None
    assert Greatest.after("changed", growing(**less), first.kept).lower == lower


def test_times_are_compared_as_times_whatever_their_zone() -> None:
    found = Greatest.after("changed", growing(overlap="0s"), "")
    for value in ("2026-11-30T09:30:00+01:00", "2026-11-30T09:00:00Z", None, "2026-11-30T08:59:59"):
        found.add(value)

    assert found.kept.endswith(" text:2026-11-30T09:00:00Z")


@pytest.mark.parametrize(
    ("later", "is_whole"),
    [(timedelta(0), False), (timedelta(hours=23), False), (timedelta(days=1), True), (timedelta(hours=-1), True)],
    ids=str,
)
def test_once_a_day_all_is_read_so_that_what_was_deleted_is_noticed(later: timedelta, is_whole: bool) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    first = Greatest.after("changed", growing(), "", now)
    first.add(5000)
    second = Greatest.after("changed", growing(), first.kept, now + later)

    assert (first.is_whole, second.is_whole) == (True, is_whole)
    assert second.whole_at == (now + later if is_whole else now)
    assert second.value == (None if is_whole else 5000)


def test_a_time_that_is_still_to_come_does_not_count() -> None:
    found = Greatest.after("changed", growing(overlap="0s"), "")
    now = datetime.now(timezone(timedelta(hours=1)))
    for value in (now, now + timedelta(days=2), date(2999, 1, 1), "2999-01-01"):
        found.add(value)

    assert (found.value, found.ahead) == (now, 3)


@pytest.mark.parametrize(
    "value", ["", "int:x", "junk", "int:9", "text:tomorrow", "date:2026-02-30", "decimal:x", "int"]
)
def test_with_what_is_no_time_of_ours_all_is_read(value: str) -> None:
    kept = f"{datetime.now(UTC).isoformat()} {value}" if value else "all"
    found = Greatest.after("changed", growing(overlap="1h"), kept)

    assert (found.lower, found.value, found.kept) == (None, None, "")


@pytest.mark.parametrize(
    ("less", "value"),
    [
        ({}, "A820990126001"),
        ({}, b"\x01"),
        ({"overlap": "1h"}, "A820990126001"),
        ({"overlap": "1h"}, 5),
        ({"overlap": "1h"}, "2026-11-30T09:00:00." + "0" * 100),
    ],
)
def test_what_is_no_version_or_time_is_refused_and_not_repeated(less: dict[str, object], value: object) -> None:
    found = Greatest.after("changed", growing(**less), "")
    if found.growing.kind == "version":
        found.add(1)

    with pytest.raises(SourceError, match="'changed' holds a value that is no") as caught:
        found.add(value)
    assert "A8209" not in str(caught.value)
    assert caught.value.__suppress_context__
