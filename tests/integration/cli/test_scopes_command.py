"""What ``sifzone scopes`` shows of records on their way, and how the zone is told to ask for them now."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from broker.cli import app
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, MsgId
from broker.protocol.topology import BROKER_LOGIN, Permissions, intake_key, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.requests import Pending
from broker.scopes import REVIEW, due_of, hurries
from broker.settings import load_zone
from broker.storage import Batch, FetchRow, LearnerRow, make_key, open_store
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Incoming
from tests.faults.zones import make_zone

ASKED, SLOW, FAILING, WHOLE = ("A" * 32, "B" * 32, "C" * 32, "D" * 32)
"""Learners: asked for just now, long ago, failed again and again, and one who is nowhere on the way."""
NOW: Final = float(int(time.time()))
REQUEST, OLD_REQUEST = MsgId("1" * 32), MsgId("2" * 32)
MIS: Final = "mis-1"


def fetch(object_type: str, request: str = "", attempts: int = 0, due_at: float = 0.0) -> FetchRow:
    return FetchRow(object_type, MIS, ("library", "virtual-school"), request, False, attempts, due_at, ())


def pending(msg_id: MsgId, learner: str, at: float) -> Pending:
    zone, mis = AgentId("zone"), AgentId(MIS)
    return Pending(
        msg_id, zone, mis, "LearnerPersonal", DEFAULT_CONTEXT, "2.4", ("2.*",), 65_536, at, at + 600, about=learner
    )


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    made = make_zone(tmp_path / "zone")
    made.state.mkdir(mode=0o700)
    make_key(made.key_file)
    with open_store(made.database_url, made.key_file) as store:
        learners = (
            LearnerRow(ASKED, fetches=(fetch("LearnerPersonal", REQUEST), fetch("LearnerSchoolEnrolment"))),
            LearnerRow(SLOW, fetches=(fetch("LearnerPersonal", OLD_REQUEST),)),
            LearnerRow(FAILING, fetches=(fetch("LearnerPersonal", "", 3, NOW + 7200),)),
            LearnerRow(WHOLE),
        )
        requests = (pending(REQUEST, ASKED, NOW - 60), pending(OLD_REQUEST, SLOW, NOW - 3700))
        store.commit(Batch(learners=learners, requests=requests))
    return made.folder


def run(zone: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["scopes", *arguments, "--zone", str(zone)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_all_that_is_on_its_way_is_listed_with_what_it_waits_for(zone: Path) -> None:
    first, second, *others = json.loads(run(zone, "--json"))

    assert first == {
        "learner": ASKED,
        "object": "LearnerPersonal",
        "source": MIS,
        "recipients": ["library", "virtual-school"],
        "request": REQUEST,
        "asked": datetime.fromtimestamp(NOW - 60, UTC).isoformat(),
        "failed": 0,
        "next_try": None,
        "waits_for": None,
        "late": False,
    }
    assert (second["object"], second["waits_for"], second["request"], second["next_try"]) == (
        "LearnerSchoolEnrolment",
        "LearnerPersonal",
        None,
        None,
    )
    assert [(other["learner"], other["late"]) for other in others] == [(SLOW, True), (FAILING, True)]
    assert others[1]["next_try"] == datetime.fromtimestamp(NOW + 7200, UTC).isoformat()


def test_people_see_whose_record_it_is_who_waits_and_what_is_late(zone: Path) -> None:
    said = run(zone)

    for word in (
        ASKED,
        SLOW,
        FAILING,
        MIS,
        "library, virtual-school",
        REQUEST,
        "waits for LearnerPersonal",
        "next try",
    ):
        assert word in said
    assert said.count("late") == 2
    assert WHOLE not in said


def test_only_what_is_late_or_as_many_as_wanted_are_listed(zone: Path) -> None:
    assert [one["learner"] for one in json.loads(run(zone, "--json", "--late"))] == [SLOW, FAILING]
    assert len(json.loads(run(zone, "--json", "--limit", "2"))) == 2
    assert "more than these 2" in run(zone, "--limit", "2")


def test_nothing_on_its_way_is_said_so(zone: Path) -> None:
    loaded = load_zone(zone)
    with open_store(loaded.database_url, loaded.key_file) as store:
        store.commit(Batch(forgotten=[ASKED, SLOW, FAILING]))

    assert run(zone) == "Nothing is on its way: everybody has what they may have.\n"
    assert json.loads(run(zone, "--json")) == []
    assert run(zone, "retry", "--all") == "Nothing is on its way: there is nothing to ask for.\n"


@pytest.fixture
def broker(zone: Path, rabbit_node: PrivateNode, management: Management, vhost: str) -> Iterator[AmqpTransport]:
    """The zone's queues with nobody at work there, and its login in the zone's folder, as after its first start."""
    management.apply_rights(vhost, {BROKER_LOGIN: ("made-up-password", Permissions(".*", ".*", ".*"))})
    url = rabbit_node.amqp_url(vhost, BROKER_LOGIN, "made-up-password")
    credentials = load_zone(zone).credentials(BROKER_LOGIN)
    credentials.parent.mkdir()
    credentials.write_text(f'url = "{url}"\n')
    with AmqpTransport(AmqpSettings(url=url)) as transport:
        transport.declare(zone_topology(4))
        transport.consume([f"zone.intake.{number}" for number in range(4)])
        yield transport


def taken(broker: AmqpTransport, number: int) -> list[Incoming]:
    found: list[Incoming] = []
    deadline = time.monotonic() + 20
    while len(found) < number:
        assert time.monotonic() < deadline, "nothing came"
        found += broker.poll(0.1)
    return found


def test_whom_people_name_or_everybody_is_looked_at_now(zone: Path, broker: AmqpTransport) -> None:
    assert "look at 1 learner(s) now" in run(zone, "retry", f" {FAILING.lower()} ")

    (one,) = taken(broker, 1)
    ref_id, due = due_of(one)
    assert (one.type, one.user_id, one.routing_key) == (REVIEW, BROKER_LOGIN, intake_key(FAILING))
    assert (ref_id, hurries(one)) == (FAILING, True)
    assert abs(due - time.time()) < 60

    assert "look at 3 learner(s) now" in run(zone, "retry", "--all")
    assert {due_of(message)[0] for message in taken(broker, 3)} == {ASKED, SLOW, FAILING}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "or --all", id="nobody named"),
        pytest.param([FAILING, "--all"], "or --all", id="one and all"),
        pytest.param([WHOLE], "nothing is on its way of this learner", id="nothing on its way"),
        pytest.param(["F" * 32], "nothing is on its way of this learner", id="unknown"),
        pytest.param([FAILING], "never been started", id="a zone that nobody has started"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(zone: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(ZoneError, match=says):
        run(zone, "retry", *arguments)
