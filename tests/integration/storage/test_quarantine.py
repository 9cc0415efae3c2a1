"""Quarantine keeps what was refused, encrypted, until somebody mends, replays or discards it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from broker.storage import Batch, Held, NoSuchEntry, QuarantineState, Store, WrongKey, WrongState, make_key, open_store
from tests.integration.storage.conftest import NOON, SOURCE, held

BODY = b"<SIF_Message>a made-up body</SIF_Message>"


@pytest.fixture
def entry(store: Store) -> Held:
    message = held(body=BODY)
    store.commit(Batch(quarantine=[message]))
    return message


def test_an_entry_tells_what_is_wrong_without_the_body(store: Store, entry: Held) -> None:
    found = store.quarantine_get(entry.id)

    assert found.findings == entry.findings
    assert (found.summary, found.reason, found.category, found.code) == (entry.summary, "refused", 1, 6)
    assert (found.size, found.state, found.fixed) == (len(BODY), "held", False)
    assert "made-up body" not in repr(found) + repr(entry)


def test_a_body_comes_back_byte_for_byte(store: Store) -> None:
    bodies = {"empty": b"", "bytes": bytes(range(256)), "large": bytes(3_000_000)}
    messages = {name: held(name, body) for name, body in bodies.items()}
    store.commit(Batch(quarantine=list(messages.values())))

    assert {name: store.quarantine_body(message.id) for name, message in messages.items()} == bodies


def test_no_table_holds_a_body_in_the_clear(store: Store, entry: Held, admin: sqlalchemy.Engine) -> None:
    store.quarantine_fix(entry.id, BODY + b"<!-- mended -->")

    with admin.connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
        stored = [
            bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode()
            for table in tables
            for row in connection.execute(sqlalchemy.text(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
            for value in row
        ]

    assert len([value for value in stored if len(value) > len(BODY)]) >= 2
    assert not [value for value in stored if b"made-up body" in value]


def test_a_message_that_comes_again_is_held_once(store: Store, entry: Held, scalar: Callable[[str], object]) -> None:
    again = replace(entry, id=held().id)

    store.commit(Batch(quarantine=[again, again]))

    assert [found.id for found in store.quarantine_list()] == [entry.id]
    assert scalar("SELECT count(*) FROM quarantine_body") == 1


def test_another_attempt_or_another_body_is_another_entry(store: Store, entry: Held) -> None:
    store.commit(
        Batch(
            quarantine=[
                replace(entry, id=held().id, attempt=1),
                replace(entry, id=held().id, body=b"other"),
                replace(entry, id=held().id, source="merlin"),
            ]
        )
    )

    assert len(store.quarantine_list()) == 4


def test_what_two_agents_could_not_take_is_held_for_each(store: Store) -> None:
    undeliverable = replace(held(), reason="undeliverable", recipient="merlin")

    store.commit(Batch(quarantine=[undeliverable, replace(undeliverable, id=held().id, recipient="virtual-school")]))

    assert {found.recipient for found in store.quarantine_list()} == {"merlin", "virtual-school"}


def test_a_fixed_copy_stands_before_the_original_and_leaves_it_as_it_was(store: Store, entry: Held) -> None:
    store.quarantine_fix(entry.id, b"first try")
    store.quarantine_fix(entry.id, b"mended")

    assert store.quarantine_body(entry.id) == b"mended"
    assert store.quarantine_original(entry.id) == BODY
    assert store.quarantine_get(entry.id).fixed


@pytest.mark.parametrize(
    ("states", "final"),
    [
        pytest.param(["replayed"], "replayed", id="replayed"),
        pytest.param(["replayed", "replayed"], "replayed", id="replayed-again"),
        pytest.param(["replayed", "held", "replayed"], "replayed", id="taken-back-and-replayed"),
        pytest.param(["replayed", "discarded"], "discarded", id="discarded-after-replay"),
        pytest.param(["discarded"], "discarded", id="discarded"),
    ],
)
def test_an_entry_moves_and_tells_who_moved_it(
    store: Store, entry: Held, states: list[QuarantineState], final: QuarantineState
) -> None:
    for number, state in enumerate(states):
        store.quarantine_mark(entry.id, state, by=f"clerk {number}", at=NOON + number)

    found = store.quarantine_get(entry.id)
    assert (found.state, found.by, found.changed) == (final, f"clerk {len(states) - 1}", NOON + len(states) - 1)


@pytest.mark.parametrize("state", ["held", "replayed", "discarded"])
def test_nothing_follows_discarded(store: Store, entry: Held, state: QuarantineState) -> None:
    store.quarantine_mark(entry.id, "discarded", by="clerk", at=NOON)

    with pytest.raises(WrongState, match="is discarded"):
        store.quarantine_mark(entry.id, state, by="another", at=NOON + 1)

    assert store.quarantine_get(entry.id).by == "clerk"


def test_a_discarded_message_leaves_its_findings_and_no_body(
    store: Store, entry: Held, scalar: Callable[[str], object]
) -> None:
    store.quarantine_fix(entry.id, b"mended")
    store.quarantine_mark(entry.id, "discarded", by="clerk", at=NOON)

    assert store.quarantine_get(entry.id).findings == entry.findings
    assert scalar("SELECT count(*) FROM quarantine_body") == 0
    with pytest.raises(NoSuchEntry, match="gone"):
        store.quarantine_body(entry.id)


def test_a_discarded_message_that_comes_again_stays_discarded(store: Store, entry: Held) -> None:
    store.quarantine_mark(entry.id, "discarded", by="clerk", at=NOON)

    store.commit(Batch(quarantine=[replace(entry, id=held().id)]))

    assert [found.state for found in store.quarantine_list(None)] == ["discarded"]


@pytest.mark.parametrize("state", ["replayed", "discarded"])
def test_only_a_held_message_is_mended(store: Store, entry: Held, state: QuarantineState) -> None:
    store.quarantine_mark(entry.id, state, by="clerk", at=NOON)

    with pytest.raises(WrongState, match="only a held message"):
        store.quarantine_fix(entry.id, b"mended")


def test_a_list_is_oldest_first_and_filtered(store: Store) -> None:
    messages = [held(f"M{number}", at=NOON - number) for number in range(4)]
    messages.append(replace(held("M4"), source="merlin"))
    store.commit(Batch(quarantine=messages))
    store.quarantine_mark(messages[0].id, "replayed", by="clerk", at=NOON)

    assert [found.msg_id for found in store.quarantine_list()] == ["M3", "M2", "M1", "M4"]
    assert [found.msg_id for found in store.quarantine_list(limit=2)] == ["M3", "M2"]
    assert [found.msg_id for found in store.quarantine_list("replayed")] == ["M0"]
    assert [found.msg_id for found in store.quarantine_list(None, source=SOURCE)] == ["M3", "M2", "M1", "M0"]
    assert store.quarantine_counts() == {"held": 4, "replayed": 1, "discarded": 0}


def test_the_beginning_of_an_id_is_enough_while_it_is_one_entry_s(store: Store) -> None:
    one, other = replace(held("M1"), id="abc1" + "0" * 28), replace(held("M2"), id="abc2" + "0" * 28)
    store.commit(Batch(quarantine=[one, other]))

    assert store.quarantine_get("abc1").msg_id == "M1"
    with pytest.raises(NoSuchEntry, match="several"):
        store.quarantine_get("abc")


@pytest.mark.parametrize("entry_id", ["", "%", "_", "none", "\0", "f" * 5000])
def test_an_unknown_id_is_said_to_be_so(store: Store, entry: Held, entry_id: str) -> None:
    assert entry.id

    for call in (store.quarantine_get, store.quarantine_body, store.quarantine_original):
        with pytest.raises(NoSuchEntry, match="list the entries"):
            call(entry_id)


def test_a_store_with_another_key_says_so(store: Store, entry: Held, database_url: str, tmp_path: Path) -> None:
    make_key(tmp_path / "other.key")

    with open_store(database_url, tmp_path / "other.key") as other, pytest.raises(WrongKey, match="key file"):
        other.quarantine_body(entry.id)

    assert store.quarantine_body(entry.id) == BODY


def test_hostile_text_in_an_entry_is_kept(store: Store) -> None:
    finding: Mapping[str, str | int] = {"path": "\0/\ud800", "line": 1, "rule": "r", "message": "NUL \0"}
    message = replace(held("\0" * 300), summary="NUL \0 and \ud800", object_type="x" * 10_000, findings=(finding,))

    store.commit(Batch(quarantine=[message]))

    found = store.quarantine_get(message.id)
    assert found.findings == (finding,)
    assert found.summary == "NUL \\x00 and \\ud800"
