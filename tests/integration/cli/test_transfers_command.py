"""What ``sifzone transfers`` shows of learners' moves, and what people may tell the zone of one and of many."""

import getpass
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from broker.calendars import local_date, parse_calendars
from broker.cli import app
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import Establishment, RefId
from broker.protocol.topology import BROKER_LOGIN, Permissions, intake_key, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.settings import load_zone
from broker.storage import Batch, make_key, open_store
from broker.told import TOLD, TRANSFER
from broker.transfer_cases import (
    Care,
    CareChanged,
    ClockMoved,
    ConfirmedByPeople,
    CtfDelivered,
    CtfLoaded,
    DestinationFound,
    EnrolmentEnded,
    EnrolmentStarted,
    Event,
    LeftSector,
    Note,
    Opening,
    Record,
    RecordPassed,
    Rejected,
    SchoolClosedOrRenumbered,
    TransferCase,
)
from broker.transfer_codec import decode_event
from broker.transfers import open_or_join, step
from broker.transports.amqp import AmqpSettings, AmqpTransport
from tests.faults.zones import make_zone

CALENDAR: Final = b"""
title = "Schools of Quarrington"
terms = [
  { term = "AUT", starts = 2025-09-02, ends = 2025-12-19 },
  { term = "SPR", starts = 2026-01-05, ends = 2026-03-27 },
  { term = "SUM", starts = 2026-04-13, ends = 2026-07-21 },
]
"""
ALEX, SAM, KIM = RefId("A" * 32), RefId("B" * 32), RefId("D" * 32)
OLD, NEW, THIRD = Establishment("8209902"), Establishment("8209901"), Establishment("8209903")
MOVING, GONE, OVER = RefId("1" * 32), RefId("2" * 32), RefId("3" * 32)
"""Cases: of one whose file is delivered, of one who left for nobody knows where, and one that is complete but late."""
AT: Final = datetime(2025, 10, 6, 9, tzinfo=UTC)
LEFT: Final = date(2025, 10, 3)


def case(ref_id: RefId, *events: Event) -> TransferCase:
    calendars = parse_calendars({"820": CALENDAR})
    assert isinstance(events[0], Opening)
    found = open_or_join((), events[0], ref_id)
    for event in events:
        found = step(found, event, calendars).case
    return found


def ended(learner: RefId) -> EnrolmentEnded:
    return EnrolmentEnded(at=AT, actor="mis-8209902", learner=learner, school=OLD, leaving=LEFT)


def started(learner: RefId) -> EnrolmentStarted:
    return EnrolmentStarted(at=AT, actor="mis-8209901", learner=learner, school=NEW, entry=date(2025, 10, 6))


CASES: Final = (
    case(
        MOVING,
        ended(ALEX),
        started(ALEX),
        CareChanged(at=AT, actor="la", care=Care(date(2024, 1, 1), looked_after=True, authority="820")),
        CtfDelivered(at=AT, actor="ctf-out"),
        ClockMoved(at=AT + timedelta(days=90), actor="zone"),
    ),
    case(GONE, ended(SAM)),
    case(OVER, ended(KIM), started(KIM), CtfLoaded(at=AT, actor="mis-8209901", school=NEW)),
)


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    """A zone with three moves, never started."""
    made = make_zone(tmp_path / "zone")
    made.state.mkdir(mode=0o700)
    (made.folder / "calendars").mkdir()
    (made.folder / "calendars" / "820.toml").write_bytes(CALENDAR)
    make_key(made.key_file)
    with open_store(made.database_url, made.key_file) as store:
        store.commit(Batch(transfers=CASES))
    return made.folder


def run(zone: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["transfers", *arguments, "--zone", str(zone)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def listed(zone: Path, *arguments: str) -> list[str]:
    return [found["ref_id"] for found in json.loads(run(zone, "list", "--json", *arguments))]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param([], {MOVING, GONE, OVER}, id="what something is left of"),
        pytest.param(["--status", "de"], {MOVING}, id="status"),
        pytest.param(["--status", "NT", "--status", "LD"], {GONE, OVER}, id="statuses"),
        pytest.param(["--school", "820/9901"], {MOVING, OVER}, id="school"),
        pytest.param(["--late"], {MOVING, GONE}, id="late"),
        pytest.param(["--late", "--school", "8209901"], {MOVING}, id="late and school"),
    ],
)
def test_moves_are_listed_as_wanted(zone: Path, arguments: list[str], found: set[str]) -> None:
    assert set(listed(zone, *arguments)) == found


def test_the_list_names_learners_by_ref_id_and_says_what_is_late(zone: Path) -> None:
    said = run(zone, "list")

    for word in ("11111111", ALEX, "8209902", "DE file is delivered", "2025-10-08 late", "not known"):
        assert word in said
    assert run(zone, "list", "--school", "8209999") == "There are no such transfers.\n"
    assert json.loads(run(zone, "list", "--json", "--status", "DE")) == [
        {
            "ref_id": MOVING,
            "learner": ALEX,
            "status": "DE",
            "means": "file is delivered",
            "type": "SC",
            "from": "8209902",
            "to": "8209901",
            "leaving": "2025-10-03",
            "entry": "2025-10-06",
            "looked_after": True,
            "file": None,
            "due": "2025-10-08",
            "late": True,
            "followed": True,
        }
    ]


def test_one_move_is_shown_with_its_history_deadlines_and_all_that_was_asked_and_told(zone: Path) -> None:
    said = run(zone, "show", "111")

    for word in (
        "file is delivered",
        "outside the zone, as later steps show",
        "2025-10-24",
        "school days",
        "working days",
        "England",
        "done",
        "late",
        "asked 8209902 for the learner's record",
        "asked for a Common Transfer File to 8209901",
        "told virtual school, 820: the learner moves",
        "raised that L10, due on 2025-10-31, is late",
    ):
        assert word in said
    assert not any(kind in said for kind in ("ask:", "write:", "notify:", "overdue:"))


# What people tell.


@dataclass(frozen=True, slots=True)
class Broker:
    """RabbitMQ with the queues of the zone, and nobody at work there."""

    transport: AmqpTransport

    def taken(self, number: int) -> list[tuple[str, str, str, Event]]:
        """Return what was told: its type, routing key and case, and the event."""
        found: list[tuple[str, str, str, Event]] = []
        deadline = time.monotonic() + 20
        while len(found) < number:
            assert time.monotonic() < deadline, "nothing came"
            for message in self.transport.poll(0.1):
                assert message.user_id == BROKER_LOGIN
                transfer = str(message.headers[TRANSFER])
                found.append((message.type, message.routing_key, transfer, decode_event(message.body)))
                self.transport.ack(message.tag)
        return found


@pytest.fixture
def broker(zone: Path, rabbit_node: PrivateNode, management: Management, vhost: str) -> Iterator[Broker]:
    """The zone's queues, and its login in the zone's folder, as after its first start."""
    management.apply_rights(vhost, {BROKER_LOGIN: ("made-up-password", Permissions(".*", ".*", ".*"))})
    url = rabbit_node.amqp_url(vhost, BROKER_LOGIN, "made-up-password")
    credentials = load_zone(zone).credentials(BROKER_LOGIN)
    credentials.parent.mkdir()
    credentials.write_text(f'url = "{url}"\n')
    topology = zone_topology(4)
    with AmqpTransport(AmqpSettings(url=url)) as transport:
        transport.declare(topology)
        transport.consume([f"zone.intake.{number}" for number in range(4)])
        yield Broker(transport)


def test_what_people_tell_reaches_the_workers_in_the_order_of_the_learners_messages(zone: Path, broker: Broker) -> None:
    calls: Sequence[tuple[list[str], RefId, RefId, Event]] = (
        (["confirm", "111"], MOVING, ALEX, ConfirmedByPeople(at=AT, actor="")),
        (
            ["reject", "111", "--note", "WR"],
            MOVING,
            ALEX,
            Rejected(at=AT, actor="", school=NEW, note=Note.WRONG_LEARNER_OR_SCHOOL),
        ),
        (["found", "222", "8209903"], GONE, SAM, DestinationFound(at=AT, actor="", school=THIRD)),
        (["left-sector", "222"], GONE, SAM, LeftSector(at=AT, actor="")),
        (
            ["passed", "333", "peprecordsent", "--on", "2025-10-09"],
            OVER,
            KIM,
            RecordPassed(at=AT, actor="", record=Record.PEP_SENT, on=date(2025, 10, 9)),
        ),
    )
    for arguments, ref_id, learner, event in calls:
        before = datetime.now(UTC)
        said = run(zone, *arguments)

        assert f"The zone is told. Transfer {ref_id[:8]}" in said
        ((kind, key, transfer, came),) = broker.taken(1)
        assert (kind, key, transfer) == (TOLD, intake_key(learner), ref_id)
        assert before <= came.at <= datetime.now(UTC)
        assert came.actor == f"Person:{getpass.getuser()}"
        assert replace(came, at=AT, actor="") == event


def test_a_school_with_a_new_number_is_told_of_for_each_of_its_moves(zone: Path, broker: Broker) -> None:
    assert "for 2 transfer(s)" in run(zone, "renumbered", "8209901", "8204001")

    found = broker.taken(2)
    assert {transfer for _, _, transfer, _ in found} == {MOVING, OVER}
    assert {event.successor for *_, event in found if isinstance(event, SchoolClosedOrRenumbered)} == {"8204001"}
    assert "nothing to tell" in run(zone, "renumbered", "8209999", "8204001")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["reject", "333"], "is in status LD: no Rejected now", id="a file that was loaded"),
        pytest.param(["cancel", "333", "--note", "OC"], "is in status LD: no Cancelled now", id="a file loaded"),
        pytest.param(["confirm", "222"], "no new school is known", id="nobody could confirm it"),
        pytest.param(["reject", "222"], "'sifzone transfers found'", id="nobody could refuse it"),
        pytest.param(["found", "222", "8209902"], "that is the old school", id="the old school"),
        pytest.param(["found", "222", "9903"], "e.g. 8209901", id="half a number"),
        pytest.param(["passed", "111", "PEPRecordSent", "--on", "2999-01-01"], "yet to come", id="in the future"),
        pytest.param(["renumbered", "8209901", "820/9901"], "is both numbers", id="the same number"),
        pytest.param(["confirm", "999"], "no transfer '999'", id="no such transfer"),
        pytest.param(["confirm", "111"], "never been started", id="a zone that nobody has started"),
    ],
)
def test_what_cannot_be_told_is_refused_at_once_with_why(zone: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(ZoneError) as caught:
        run(zone, *arguments)
    assert says in str(caught.value)


def test_what_is_so_already_is_not_told_again(zone: Path) -> None:
    assert "there is nothing to tell" in run(zone, "found", "333", NEW)


def test_without_a_day_a_record_has_passed_today(zone: Path, broker: Broker) -> None:
    run(zone, "passed", "111", "PEPRecordReceived")

    ((*_, event),) = broker.taken(1)
    assert isinstance(event, RecordPassed)
    assert event.on == local_date(event.at)
