"""What people ask a running zone: why a message went where it went, what is wrong with it, and to send it again."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.protocol.envelope import event_objects, parse_message
from broker.rabbitmq import PrivateNode
from broker.supervisor import RunningZone
from tests.faults.zones import RECIPIENTS
from tests.integration.cli.conftest import BYSTANDER, Desk, begun_with, make_small_zone
from tests.shared_node import settings_for

PLATFORM_A, PLATFORM_B, VIRTUAL_SCHOOL = RECIPIENTS
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, rabbit_node: PrivateNode) -> Iterator[Desk]:
    """A zone that runs while the module's tests do; each leaves the recipients' queues empty."""
    folder = tmp_path_factory.mktemp("cli") / "zone"
    make_small_zone(folder)
    with (
        settings_for(rabbit_node, "faults") as begin,
        (folder / "zone.log").open("w") as logged,
        RunningZone(begun_with(begin, folder), 1, log_file=logged.fileno()) as running,
    ):
        yield Desk(running, folder)


def row_of(printed: str, agent: str) -> list[str]:
    """Return the cells of an agent's row in a printed table."""
    (row,) = [line for line in printed.splitlines() if line.startswith(f"│ {agent} ")]
    return [cell.strip() for cell in row.strip("│").split("│")]


def test_explain_tells_of_every_agent_what_it_got_and_why(desk: Desk) -> None:
    sent = desk.publish()
    for agent in (PLATFORM_A, PLATFORM_B):
        assert desk.take(agent).message_id == sent.msg_id
    desk.decided(sent.msg_id)
    printed = desk.command("explain", sent.msg_id)

    assert "Add of LearnerPersonal from mis-faults: accepted" in printed
    for agent in (PLATFORM_A, PLATFORM_B):
        assert row_of(printed, agent)[1:] == ["delivered", "@RefId, LocalId, PersonalInformation/Name", "a"]
    assert row_of(printed, VIRTUAL_SCHOOL)[1::2] == [
        "withheld",
        "the learner is not among those the agreement is about",
    ]
    assert row_of(printed, BYSTANDER)[1::2] == ["not sent", "does not subscribe to LearnerPersonal"]
    assert "Faultless" not in printed


def test_a_refused_message_is_shown_mended_and_sent_to_whom_todays_agreements_name(desk: Desk, tmp_path: Path) -> None:
    sent = desk.publish(surname="Quarantined", care="Perhaps")
    entry = desk.held(sent.msg_id)
    mended = tmp_path / "mended.xml"

    listed = desk.command("quarantine", "list")
    assert entry[:8] in listed
    assert "InCare/Current" in listed
    shown = desk.command("quarantine", "show", entry[:8])
    assert "sifzone quarantine fix" in shown
    assert sent.msg_id in shown
    assert "Quarantined" not in listed + shown
    body = desk.command("quarantine", "show", entry[:8], "--body")
    (marked,) = [line for line in body.splitlines() if line.startswith(">")]
    assert "<Current>Perhaps</Current>" in marked
    refused = desk.command("explain", sent.msg_id)
    assert "refused (XML: value not allowed in an element or attribute)" in refused
    assert "does not subscribe" not in refused

    assert "would be refused again: Add of LearnerPersonal, line 5: InCare/Current" in desk.failing(
        "quarantine", "replay", entry
    )
    mended.write_bytes(desk.body(entry).replace(b">Perhaps<", b">Maybe<"))
    assert "still wrong" in desk.failing("quarantine", "fix", entry, "--file", mended)
    mended.write_bytes(desk.body(entry).replace(b">Perhaps<", b">No<"))
    assert "Kept" in desk.command("quarantine", "fix", entry, "--file", mended)
    assert "a mended copy is ready" in re.sub(r"[│\s]+", " ", desk.command("quarantine", "list"))  # cells wrap
    database = b"".join(path.read_bytes() for path in desk.zone.state.glob("zone.db*"))
    assert b"Quarantined" not in database

    agreement = desk.folder / "agreements" / "a.toml"
    before = agreement.read_text()
    agreement.write_text(before.replace('to = ["platform-*"]', 'to = ["platform-b"]'))
    assert "is in force" in desk.command("zone", "apply", "--yes")
    replayed = desk.command("quarantine", "replay", entry)
    assert row_of(replayed, PLATFORM_B)[1] == "delivered"
    assert row_of(replayed, PLATFORM_A)[1::2] == [
        "withheld",
        "no agreement from the sender to this agent names the object",
    ]
    (event,) = event_objects(parse_message(desk.take(PLATFORM_B).body))
    assert event.element.get("RefId") == sent.learner
    agreement.write_text(before)
    desk.command("zone", "apply", "--yes")

    after = desk.publish()
    assert [desk.take(agent).message_id for agent in (PLATFORM_A, PLATFORM_B)] == [after.msg_id] * 2
    assert "sent again (1): accepted" in desk.command("explain", sent.msg_id)
    assert f"{entry[:8]} is replayed already" in desk.failing("quarantine", "replay", entry)


def test_a_message_that_an_agent_gave_up_goes_again_to_that_agent_alone(desk: Desk) -> None:
    sent = desk.publish()
    given_up = desk.take(PLATFORM_B, reject=True)
    desk.take(PLATFORM_A)
    entry = desk.held(sent.msg_id)

    shown = desk.command("quarantine", "show", entry)
    assert "from mis-faults to platform-b; undeliverable, held" in shown
    assert "it goes to that agent alone" in shown
    replayed = desk.command("quarantine", "replay", entry)
    again = desk.take(PLATFORM_B)
    assert again.message_id == sent.msg_id
    assert hashlib.sha256(again.body).digest() == hashlib.sha256(given_up.body).digest()
    assert row_of(replayed, PLATFORM_B)[1] == "delivered"
    assert row_of(replayed, PLATFORM_A)[1] == "not sent"
    after = desk.publish()
    assert [desk.take(agent).message_id for agent in (PLATFORM_A, PLATFORM_B)] == [after.msg_id] * 2


def test_each_of_two_agents_that_gave_up_the_same_message_gets_it_again(desk: Desk) -> None:
    sent = desk.publish()
    entries: set[str] = set()
    for agent in (PLATFORM_A, PLATFORM_B):
        desk.take(agent, reject=True)

    def both_held() -> bool:
        listed = desk.command("quarantine", "list")
        entries.update(re.findall(r"│ ([0-9a-f]{8}) ", listed))
        return len(entries) == 2

    desk.until(both_held)
    for entry in entries:
        assert "accepted" in desk.command("quarantine", "replay", entry)
    assert [desk.take(agent).message_id for agent in (PLATFORM_A, PLATFORM_B)] == [sent.msg_id] * 2


def test_a_message_that_an_agent_gives_up_again_is_held_again(desk: Desk) -> None:
    sent = desk.publish()
    desk.take(PLATFORM_A)
    for _ in range(2):
        desk.take(PLATFORM_B, reject=True)
        desk.command("quarantine", "replay", desk.held(sent.msg_id))

    assert desk.take(PLATFORM_B).message_id == sent.msg_id


def test_discarding_removes_the_content_and_keeps_the_entry(desk: Desk) -> None:
    entry = desk.held(desk.publish(care="Perhaps").msg_id)

    assert "content is gone" in desk.command("quarantine", "discard", entry)
    assert entry[:8] not in desk.command("quarantine", "list")
    assert entry[:8] in desk.command("quarantine", "list", "--state", "discarded")
    assert "discarded by" in desk.command("quarantine", "show", entry)
    assert "its body is gone" in sentence_after(desk, "quarantine", "show", entry, "--body")
    assert "discarded already" in desk.failing("quarantine", "replay", entry)


def test_ledger_and_reconciliation_account_for_every_message(desk: Desk) -> None:
    sent = desk.publish()
    for agent in (PLATFORM_A, PLATFORM_B):
        desk.take(agent)
    desk.decided(sent.msg_id)

    printed = desk.command("ledger", "--agent", PLATFORM_A, "--outcome", "delivered", "--limit", "1")
    assert sent.msg_id in printed
    assert "Faultless" not in printed
    books = desk.command("reconcile")
    assert "balances" in books
    assert "mis-faults" in books


def test_check_tells_who_shares_what_with_whom(desk: Desk) -> None:
    printed = desk.command("check")

    assert row_of(printed, "a") == ["a", "mis-*", "platform-*", "enrolled", "LearnerPersonal", "2099-12-31"]
    assert "All in order." in printed


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(("explain", "0" * 32), "check the id", id="explain-unknown"),
        pytest.param(("quarantine", "show", "zz"), "list the entries", id="show-unknown"),
        pytest.param(("quarantine", "fix", "zz"), "list the entries", id="fix-unknown"),
        pytest.param(("quarantine", "replay", "zz"), "list the entries", id="replay-unknown"),
        pytest.param(("quarantine", "discard", "zz"), "list the entries", id="discard-unknown"),
        pytest.param(("ledger", "--outcome", "lost"), "use one of accepted", id="no-such-outcome"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(desk: Desk, arguments: tuple[str, ...], hint: str) -> None:
    assert hint in desk.failing(*arguments)


def test_a_file_or_an_editor_that_is_not_there_is_said_in_one_line(desk: Desk, tmp_path: Path) -> None:
    entry = desk.held(desk.publish(care="Perhaps").msg_id)

    assert "cannot be read" in desk.failing("quarantine", "fix", entry, "--file", tmp_path / "none.xml")
    done = desk.run("quarantine", "fix", entry, code=2, VISUAL="", EDITOR=str(tmp_path / "no-editor"))
    assert "set EDITOR" in done.stderr
    done = desk.run("quarantine", "fix", entry, code=0, VISUAL="", EDITOR="sed -i s/>Perhaps</>No</")
    assert "Kept" in done.stdout


def sentence_after(desk: Desk, *arguments: str) -> str:
    """Return the sentence with which a command fails after it has printed something."""
    (line,) = desk.run(*arguments, code=2).stderr.splitlines()
    return line
