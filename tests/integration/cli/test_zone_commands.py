"""Plan, apply and doctor on a zone that runs: nothing changes before it is applied, and then soon, everywhere."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.applied import applied_name, apply_folder, in_force_file, named_in
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, DELIVERY, INTAKE, Permissions, agent_queue, intake_queue
from broker.rabbitmq import Management
from broker.settings import ADMIN_LOGIN
from broker.storage import make_key, open_store
from broker.supervisor import administrator, ready_file
from broker.transports import MemoryBroker, MemoryTransport
from broker.worker import Worker
from tests.faults.zones import RECIPIENTS, SENDER, make_zone
from tests.integration.cli.conftest import BYSTANDER, Desk, make_small_zone, sifzone

PLATFORM_A, PLATFORM_B, _ = RECIPIENTS
SOON = 5.0
"""Seconds within which what was applied must have happened."""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def settings(desk: Desk) -> Iterator[Path]:
    """The running zone's settings, put back and in force again afterwards."""
    file = desk.folder / "zone.toml"
    before, in_force = file.read_text(), applied_name(desk.folder)
    yield file
    file.write_text(before)
    if applied_name(desk.folder) != in_force:
        again = apply_folder(desk.folder)
        desk.until(lambda: named_in(in_force_file(desk.zone)) == again.snapshot)


@pytest.fixture
def rabbit(desk: Desk) -> Iterator[Management]:
    """The zone's own RabbitMQ, as its administrator."""
    management = administrator(desk.zone)
    assert management is not None
    with management:
        yield management


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def remove_agent(file: Path, agent: AgentId) -> None:
    first, *tables = file.read_text().split("[agents.")
    left = [table for table in tables if not table.startswith(f"{agent}]")]
    assert len(left) == len(tables) - 1
    file.write_text("[agents.".join([first, *left]))


def wrong(desk: Desk) -> list[str]:
    """Return what a doctor finds wrong, by what it looked at and in words."""
    findings = json.loads(desk.run("doctor", "--json", code=1).stdout)
    return [f"{finding['place']}: {finding['words']}" for finding in findings if finding["state"] == "wrong"]


def test_a_right_taken_away_is_gone_in_rabbitmq_and_in_the_worker_soon(
    desk: Desk, settings: Path, rabbit: Management
) -> None:
    assert BYSTANDER in rabbit.permissions(desk.zone.id)
    edit(settings, 'publish = ["LearnerPersonal"]\n', "")
    remove_agent(settings, BYSTANDER)

    applied = apply_folder(desk.folder)
    desk.until(lambda: BYSTANDER not in rabbit.permissions(desk.zone.id) and works_by(desk, applied.snapshot), SOON)

    refused = desk.publish()
    desk.held(refused.msg_id)
    assert "may not publish Add events of this object" in desk.command("explain", refused.msg_id)


def works_by(desk: Desk, snapshot: str) -> bool:
    return named_in(ready_file(desk.zone, 0)) == snapshot


def test_a_new_agent_has_its_login_and_its_queue_when_apply_returns(
    desk: Desk, settings: Path, rabbit: Management
) -> None:
    with settings.open("a") as file:
        file.write('[agents.platform-c]\nname = "Platform C"\nestablishments = ["8209901"]\n')
        file.write('subscribe = ["LearnerPersonal"]\n')

    planned = desk.command("zone", "plan")
    assert "may subscribe to LearnerPersonal in SIF_Default" in planned
    assert "platform-c gains LearnerPersonal (@RefId, LocalId, PersonalInformation/Name) from mis-*" in planned
    printed = desk.command("zone", "apply", "--yes")
    assert f"Snapshot {applied_name(desk.folder)} is in force" in printed
    assert "Nothing would change." in desk.command("zone", "plan", "--exit-code")
    assert rabbit.permissions(desk.zone.id)["platform-c"].read == r"^agent\.platform\-c$"

    sent = desk.publish()
    for agent in (PLATFORM_A, PLATFORM_B, AgentId("platform-c")):
        assert desk.take(agent).message_id == sent.msg_id


def test_files_that_are_edited_and_not_applied_change_nothing_even_for_a_worker_that_starts_anew(
    desk: Desk, settings: Path
) -> None:
    edit(settings, 'publish = ["LearnerPersonal"]\n', "")
    assert "loses: may publish LearnerPersonal" in desk.run("zone", "plan", "--exit-code", code=1).stdout
    settings.write_text("half a f")
    assert "zone.toml" in desk.failing("zone", "plan")

    (worker,) = desk.running.worker_pids
    os.kill(worker, signal.SIGKILL)
    desk.until(lambda: desk.running.worker_pids != (worker,))

    sent = desk.publish()
    for agent in (PLATFORM_A, PLATFORM_B):
        assert desk.take(agent).message_id == sent.msg_id


def test_a_running_worker_takes_up_what_is_applied_and_not_what_is_written(tmp_path: Path) -> None:
    folder = make_zone(tmp_path / "zone").folder
    zone = apply_folder(folder)
    make_key(zone.key_file)
    clock = [1_000_000.0]
    with open_store(zone.database_url, zone.key_file) as store:
        transport = MemoryTransport(MemoryBroker(), BROKER_LOGIN)
        worker = Worker(transport, store, zone, now=lambda: clock[0])
        worker.open(range(zone.settings.partitions))
        edit(folder / "zone.toml", "[agents.mis-faults]", "[agents.mis-other]")
        clock[0] += 60
        worker.step(0)
        assert worker.snapshot == zone.snapshot

        second = apply_folder(folder)
        clock[0] += 2
        worker.step(0)
        assert worker.snapshot == second.snapshot != zone.snapshot


def test_apply_asks_and_changes_nothing_without_a_yes(desk: Desk, settings: Path) -> None:
    before = applied_name(desk.folder)
    edit(settings, 'name = "Library"', 'name = "Other library"')

    done = desk.run("zone", "apply", code=1)
    assert "is called Other library instead of Library" in done.stdout
    assert "Put this in force?" in done.stdout
    assert applied_name(desk.folder) == before


def test_what_only_a_start_can_change_is_refused_while_the_zone_runs(desk: Desk, settings: Path) -> None:
    before = applied_name(desk.folder)
    edit(settings, "partitions = 4", "partitions = 8")

    done = desk.run("zone", "apply", "--yes", code=2)
    assert "partitions cannot change while the zone runs" in done.stderr
    assert applied_name(desk.folder) == before


def test_a_plan_warns_of_messages_that_wait_for_an_agent_that_is_to_go(desk: Desk, settings: Path) -> None:
    before = settings.read_text()
    sent = desk.publish()
    desk.take(PLATFORM_A)
    desk.until(lambda: desk.running.queues()[agent_queue(PLATFORM_B)][0] == 1)
    remove_agent(settings, PLATFORM_B)

    changes = json.loads(desk.command("zone", "plan", "--json"))
    (gone,) = [change for change in changes if change["words"].startswith("is removed")]
    assert (gone["name"], gone["kind"]) == (PLATFORM_B, "lose")
    assert gone["warning"] == "1 message waits in its queue, which nobody may then read"

    desk.command("zone", "apply", "--yes")
    assert desk.running.queues()[agent_queue(PLATFORM_B)][0] == 1
    noted = desk.command("doctor")
    assert "agent.platform-b is of no agent that is set up; it holds 1 message(s)" in noted
    assert "All in order." in noted
    settings.write_text(before)
    desk.command("zone", "apply", "--yes")
    assert desk.take(PLATFORM_B).message_id == sent.msg_id


def test_a_doctor_finds_a_running_zone_in_order(desk: Desk) -> None:
    printed = desk.command("doctor")

    assert "All in order." in printed
    for place in ("settings", "in force", "running", "key", "database", "rabbitmq", "logins", "queues", "bindings"):
        assert re.search(rf"│ {place} +│ in order ", printed), printed


def test_a_doctor_finds_what_was_changed_in_rabbitmq_by_hand_and_apply_mends_it(desk: Desk, rabbit: Management) -> None:
    rabbit.set_permissions(desk.zone.id, PLATFORM_A, Permissions("^$", ".*", r"^agent\.platform\-a$"))
    rabbit.ensure_user("stranger", "made up")
    rabbit.set_permissions(desk.zone.id, AgentId("stranger"), Permissions("^$", "^$", ".*"))
    rabbit.unbind(desk.zone.id, DELIVERY, agent_queue(PLATFORM_B), PLATFORM_B)
    rabbit.unbind(desk.zone.id, INTAKE, intake_queue(1), "01")

    assert wrong(desk) == [
        "logins: platform-a may write '.*' instead of '^(sif\\\\.intake|sif\\\\.control)$'",
        "logins: stranger has rights that nobody gave it: configure '^$', write '^$', read '.*'",
        "bindings: sif.intake does not lead to zone.intake.1 any more (1 binding(s))",
        "bindings: sif.delivery does not lead to agent.platform-b any more (1 binding(s))",
    ]

    assert "Nothing would change." in desk.command("zone", "apply")
    assert "All in order." in desk.command("doctor")
    rabbit.delete_user("stranger")


def test_a_doctor_finds_files_that_are_not_in_force_and_a_key_that_others_can_read(desk: Desk, settings: Path) -> None:
    edit(settings, 'name = "Library"', 'name = "Other library"')
    desk.zone.key_file.chmod(0o640)

    found = wrong(desk)
    desk.zone.key_file.chmod(0o600)
    assert found[0] == "in force: the folder says otherwise than what is in force: 1 change(s)"
    assert found[1].startswith("key: others may use ")


def test_the_administrators_login_is_its_owners_alone_while_the_zone_runs(desk: Desk) -> None:
    file = desk.zone.credentials(ADMIN_LOGIN)

    assert file.stat().st_mode & 0o777 == 0o600
    assert in_force_file(desk.zone).read_text() == applied_name(desk.folder)


def test_what_is_applied_to_a_zone_that_is_down_is_in_force_when_it_starts(tmp_path: Path) -> None:
    folder = make_small_zone(tmp_path / "zone").folder

    assert "it is in force when the zone starts" in sifzone("zone", "apply", "--yes", "--zone", folder).stdout
    assert "Nothing would change." in sifzone("zone", "plan", "--zone", folder).stdout
    printed = sifzone("doctor", "--zone", folder, code=1).stdout
    assert "the zone does not run" in printed
    assert "zone.key is not there" in printed


def test_a_doctor_says_what_is_wrong_with_a_folder_that_is_no_zone(tmp_path: Path) -> None:
    printed = sifzone("doctor", "--zone", tmp_path, code=1).stdout

    assert "has no zone.toml" in printed
    assert SENDER not in printed
