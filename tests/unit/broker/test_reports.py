"""What the command line prints of ledger and quarantine: whole, to the point, and as it is."""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from broker.commands.reports import (
    explain_message,
    fault_table,
    ledger_table,
    next_step,
    quarantine_table,
    reconciliation,
)
from broker.protocol.errors import ZoneError
from broker.settings import Zone
from broker.storage import Batch, LedgerRow, QuarantineEntry, Store, make_key, open_store
from tests.faults.zones import make_zone

MSG = "A0" * 16
FIRST = LedgerRow(1.0, MSG, "mis-faults", "accepted", object_type="LearnerPersonal", action="Add", considered=3)
DIGEST = "0" * 12
HELD = QuarantineEntry(
    id="3f" * 16,
    at=1.0,
    source="mis-faults",
    msg_id=MSG,
    attempt=0,
    object_type="LearnerPersonal",
    action="Add",
    recipient="",
    reason="refused",
    category=1,
    code=4,
    summary="Add of LearnerPersonal: InCare/Current, line 5: use one of Yes, No.",
    findings=({"path": "InCare/Current", "line": 5, "rule": "unknown-code", "message": "use one of Yes, No."},),
    sha256="",
    size=700,
    fixed=False,
    state="held",
    by="",
    changed=0.0,
)


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return make_zone(tmp_path / "zone")


@pytest.fixture
def store(zone: Zone) -> Iterable[Store]:
    zone.state.mkdir()
    make_key(zone.key_file)
    with open_store(zone.database_url, zone.key_file) as found:
        yield found


def printed(*parts: RenderableType) -> str:
    console = Console(file=io.StringIO(), markup=False, highlight=False, width=200)
    console.print(*parts)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def line_with(text: str, word: str) -> str:
    (line,) = [line for line in text.splitlines() if word in line]
    return line


def delivered(zone: Zone, seq: int, agents: tuple[str, ...], attempt: int = 0) -> LedgerRow:
    agreement = next(agreement for agreement in zone.agreements if agreement.id == "a")
    view = f"a@{agreement.digest}"
    return replace(FIRST, outcome="delivered", seq=seq, audience=agents, view=view, attempt=attempt, considered=0)


def withheld(seq: int, agents: tuple[str, ...], reason: str) -> LedgerRow:
    return replace(FIRST, outcome="withheld", seq=seq, audience=agents, reason=reason, considered=0)


def test_each_recipient_is_named_with_its_part_and_its_agreement(zone: Zone) -> None:
    rows = (FIRST, delivered(zone, 1, ("platform-a", "platform-b")), withheld(2, ("virtual-school",), "no-agreement"))
    text = printed(*explain_message(rows, zone))

    for agent in ("platform-a", "platform-b"):
        line = line_with(text, agent)
        assert "delivered" in line
        assert "@RefId, LocalId, PersonalInformation/Name" in line
    assert "no agreement from the sender" in line_with(text, "virtual-school")


def test_an_agreement_reworded_or_gone_since_is_said_to_be(zone: Zone) -> None:
    row = delivered(zone, 1, ("platform-a",))
    rows = (FIRST, replace(row, view="a@another"), replace(row, seq=2, audience=("platform-b",), view="x@1"))
    text = printed(*explain_message(rows, zone))

    assert "a (worded otherwise then)" in line_with(text, "platform-a")
    assert "x (no longer there)" in line_with(text, "platform-b")


def test_nobody_is_said_not_to_subscribe_to_what_was_refused(zone: Zone) -> None:
    refused = replace(FIRST, outcome="refused", reason="sif-1-4", category=1, code=4, considered=0)
    text = printed(*explain_message((refused,), zone))

    assert "refused (XML: value not allowed in an element or attribute)" in text
    assert "Nobody was sent it" in text
    assert "subscribe" not in text


def test_each_sending_of_a_message_is_told_by_itself(zone: Zone) -> None:
    refused = replace(FIRST, outcome="refused", reason="sif-1-4", category=1, code=4, considered=0)
    again = (replace(FIRST, attempt=1), delivered(zone, 1, ("platform-b",), attempt=1))
    text = printed(*explain_message((refused, *again), zone))

    assert text.index("refused") < text.index("sent again (1): accepted") < text.index("platform-b")
    assert "for another agent alone" in line_with(text, "platform-a")


def test_a_message_that_came_twice_is_said_to_have_been_recognised(zone: Zone) -> None:
    duplicate = replace(FIRST, outcome="duplicate", seq=-1, considered=0)
    text = printed(*explain_message((duplicate, FIRST, delivered(zone, 1, ("platform-a",))), zone))

    assert "came once more and was recognised" in text


def test_the_ledger_shows_whole_ids_and_the_reason_of_a_refusal(store: Store) -> None:
    refused = replace(FIRST, msg_id="B1" * 16, outcome="refused", reason="sif-1-4", category=1, code=4, considered=0)
    store.commit(Batch(ledger=[FIRST, refused]))
    text = printed(ledger_table(store, "", "", "", 10))

    assert "accepted" in line_with(text, MSG)
    assert "XML: value not allowed" in text


def test_an_outcome_that_there_is_not_is_named_with_those_that_there_are(store: Store) -> None:
    with pytest.raises(ZoneError, match="use one of accepted, refused"):
        ledger_table(store, "", "", "lost", 10)


def test_books_that_are_off_are_said_to_be(store: Store, zone: Zone) -> None:
    store.commit(Batch(ledger=[FIRST, delivered(zone, 1, ("platform-a", "platform-b"))]))
    table, balanced = reconciliation(store)

    assert not balanced
    assert "1 off" in printed(table)


def test_a_fault_is_shown_with_its_line_its_place_and_what_to_do() -> None:
    text = printed(fault_table(HELD))

    line = line_with(text, "unknown-code")
    assert "InCare/Current" in line
    assert "use one of Yes, No." in line
    assert "│ 5 " in line
    assert MSG in text


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        pytest.param(HELD, "Mend the record in mis-faults's system", id="refused"),
        pytest.param(replace(HELD, fixed=True), "A mended copy is ready", id="mended"),
        pytest.param(
            replace(HELD, recipient="platform-a", reason="undeliverable"), "Once platform-a can take it", id="given-up"
        ),
        pytest.param(replace(HELD, state="discarded", by="clerk"), "nothing is left to do", id="discarded"),
    ],
)
def test_the_next_step_is_what_a_person_can_do_now(entry: QuarantineEntry, wanted: str) -> None:
    assert wanted in next_step(entry)


def test_whose_message_it_is_and_who_could_not_take_it_are_shown() -> None:
    entry = replace(HELD, recipient="platform-a", reason="undeliverable", findings=())

    assert "from mis-faults to platform-a; undeliverable, held" in printed(fault_table(entry))


@pytest.mark.parametrize("name", ["[/red]", "[bold]x[/bold]", "Name[@Type='C']"])
def test_what_a_message_calls_itself_is_printed_as_it_is(name: str, zone: Zone, store: Store) -> None:
    hostile = replace(HELD, object_type=name, summary=name, findings=({**HELD.findings[0], "path": name},))
    row = replace(FIRST, object_type=name, considered=0)
    store.commit(Batch(ledger=[row]))

    for text in (
        printed(fault_table(hostile)),
        printed(quarantine_table([hostile])),
        printed(*explain_message((row,), zone)),
        printed(ledger_table(store, "", "", "", 10)),
    ):
        assert name in text
