"""Transfer files in their folder: names, numbers, receipts, whole or not at all, for their owner's eyes."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from agents.connectors.contract import TargetError
from agents.connectors.ctf_out import NOT_KNOWN, TAKEN, CtfDocument, CtfError, Due, put_ctf, receipts
from tests.unit.agents.ctf_files import HERE, THERE, TRANSFER

DOCUMENT = CtfDocument(TRANSFER, b"<CTfile>Thornquist</CTfile>\n", 1, ())


def names(outbox: Path) -> list[str]:
    return sorted(path.name for path in outbox.iterdir() if path.name != ".lock")


def test_a_file_is_named_by_both_schools_and_has_a_receipt_without_anything_of_the_pupil(tmp_path: Path) -> None:
    receipt = put_ctf(tmp_path / "out", DOCUMENT)

    assert names(tmp_path / "out") == ["8209901_CTF_8379902_001.xml", "8209901_CTF_8379902_001.xml.receipt.json"]
    assert json.loads((tmp_path / "out" / f"{receipt.file_name}.receipt.json").read_text()) == {
        "file_name": "8209901_CTF_8379902_001.xml",
        "sha256": hashlib.sha256(DOCUMENT.content).hexdigest(),
        "pupils": 1,
        "version": "25.0",
        "qualifier": "full",
        "source": "8209901",
        "destination": "8379902",
        "written": "2026-10-06T14:22:31",
        "due": [],
    }
    assert (tmp_path / "out" / receipt.file_name).read_bytes() == DOCUMENT.content


def test_only_the_owner_may_read_file_receipt_and_folder(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        put_ctf(tmp_path / "out", DOCUMENT)
    finally:
        os.umask(before)

    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "out").iterdir()} == {"0o600"}
    assert oct((tmp_path / "out").stat().st_mode & 0o777) == "0o700"


def test_numbers_go_on_for_each_destination_by_itself_and_none_is_given_twice(tmp_path: Path) -> None:
    lost = replace(DOCUMENT, transfer=replace(TRANSFER, destination=NOT_KNOWN))
    first, other, second = put_ctf(tmp_path, DOCUMENT), put_ctf(tmp_path, lost), put_ctf(tmp_path, DOCUMENT)
    (tmp_path / second.file_name).unlink()  # taken out, since it was sent: its receipt is still there

    third = put_ctf(tmp_path, DOCUMENT)

    assert [one.file_name for one in (first, other, second, third)] == [
        "8209901_CTF_8379902_001.xml",
        "8209901_CTF_XXXXXXX_001.xml",
        "8209901_CTF_8379902_002.xml",
        "8209901_CTF_8379902_003.xml",
    ]


def test_after_the_last_number_comes_the_lowest_that_is_free_and_then_none(tmp_path: Path) -> None:
    for number in (*range(1, 7), *range(8, 1000)):
        (tmp_path / f"8209901_CTF_8379902_{number:03}.xml").touch()

    assert put_ctf(tmp_path, DOCUMENT).file_name == "8209901_CTF_8379902_007.xml"
    with pytest.raises(CtfError, match="no free number"):
        put_ctf(tmp_path, DOCUMENT)


@pytest.mark.parametrize("serial", [0, 7, 1000], ids=["too-small", "taken", "too-large"])
def test_a_number_that_is_asked_for_must_be_free(tmp_path: Path, serial: int) -> None:
    assert put_ctf(tmp_path, DOCUMENT, 7).file_name == "8209901_CTF_8379902_007.xml"
    with pytest.raises(CtfError, match="free"):
        put_ctf(tmp_path, DOCUMENT, serial)


def test_writers_at_the_same_time_get_numbers_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda _: put_ctf(tmp_path, DOCUMENT), range(12)))

    assert sorted(receipt.file_name[-7:-4] for receipt in receipts) == [f"{number:03}" for number in range(1, 13)]


@pytest.mark.parametrize("fails_at", [1, 2], ids=["receipt", "file"])
def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    real, calls = Path.rename, []

    def rename(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == fails_at:
            raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)

    with pytest.raises(TargetError, match="No space left"):
        put_ctf(tmp_path, DOCUMENT)

    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-8209901_CTF_8379902_001.xml").write_text("<CTfile>")

    put_ctf(tmp_path, DOCUMENT)

    assert names(tmp_path) == ["8209901_CTF_8379902_001.xml", "8209901_CTF_8379902_001.xml.receipt.json"]


def test_a_file_that_a_killed_process_had_not_named_yet_is_there_once_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = Due("A" * 32, "B" * 32, HERE, THERE, 2)
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.suffix == ".xml":
            raise KeyboardInterrupt  # as a kill: nothing is tidied up
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        put_ctf(tmp_path, DOCUMENT, due=[due])
    monkeypatch.undo()

    (receipt,) = receipts(tmp_path)

    assert receipt.due == (due,)
    assert (tmp_path / receipt.file_name).read_bytes() == DOCUMENT.content
    assert not list(tmp_path.glob(".unfinished*"))


def test_receipts_are_found_where_their_file_went_and_damaged_ones_are_none(tmp_path: Path) -> None:
    receipt = put_ctf(tmp_path, DOCUMENT)
    (tmp_path / TAKEN).mkdir()
    for name in (receipt.file_name, f"{receipt.file_name}.receipt.json"):
        (tmp_path / name).rename(tmp_path / TAKEN / name)
    (tmp_path / "8209901_CTF_8369903_009.xml.receipt.json").write_text("[1]")

    assert list(receipts(tmp_path)) == [receipt]
    assert put_ctf(tmp_path, DOCUMENT).file_name == "8209901_CTF_8379902_002.xml"


def test_a_folder_that_is_none_is_an_error_to_try_again_after(tmp_path: Path) -> None:
    (tmp_path / "out").touch()

    with pytest.raises(TargetError, match="rights and space"):
        put_ctf(tmp_path / "out", DOCUMENT)
