"""The key file and what it seals."""

import base64
import stat
from pathlib import Path

import pytest

from broker.storage import KeyFileError, WrongKey, make_key
from broker.storage.vault import Sealed, Vault, read_key

BODY = b"<LearnerPersonal RefId='made up'/>"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "zone.key"
    make_key(path)
    return path


def test_a_key_is_32_random_bytes_that_only_its_owner_reads(tmp_path: Path, key_file: Path) -> None:
    make_key(tmp_path / "other.key")

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert len(read_key(key_file)) == 32
    assert read_key(key_file) != read_key(tmp_path / "other.key")


def test_an_existing_key_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()

    with pytest.raises(KeyFileError, match="exists already"):
        make_key(key_file)

    assert key_file.read_bytes() == before


def test_a_key_cannot_be_made_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="folder"):
        make_key(tmp_path / "missing" / "zone.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_file_open_to_others_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(key_file)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"not base64 at all!", "not base64", id="not-base64"),
        pytest.param(base64.b64encode(bytes(31)), "31 bytes", id="too-short"),
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param("schlüssel".encode(), "not base64", id="not-ascii"),
    ],
)
def test_a_file_that_holds_no_key_is_refused(key_file: Path, content: bytes, says: str) -> None:
    key_file.write_bytes(content)

    with pytest.raises(KeyFileError, match=says):
        read_key(key_file)


def test_a_missing_key_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"none\.key"):
        read_key(tmp_path / "none.key")


def test_what_is_sealed_opens_at_its_place_and_shows_nothing(key_file: Path) -> None:
    vault = Vault.from_file(key_file)

    sealed = vault.seal(BODY, "quarantine/1/original")

    assert vault.open(sealed, "quarantine/1/original") == BODY
    assert b"Learner" not in sealed.data


def test_the_same_body_sealed_twice_looks_different(key_file: Path) -> None:
    vault = Vault.from_file(key_file)

    assert vault.seal(BODY, "here").data != vault.seal(BODY, "here").data


def test_a_body_moved_to_another_place_does_not_open(key_file: Path) -> None:
    vault = Vault.from_file(key_file)

    with pytest.raises(WrongKey, match="altered"):
        vault.open(vault.seal(BODY, "quarantine/1/original"), "quarantine/2/original")


@pytest.mark.parametrize("data", [b"", b"short", bytes(100)], ids=["empty", "short", "zeros"])
def test_an_altered_body_does_not_open(key_file: Path, data: bytes) -> None:
    vault = Vault.from_file(key_file)

    with pytest.raises(WrongKey, match="altered"):
        vault.open(Sealed(vault.key_id, data), "here")


def test_another_key_is_named_when_it_does_not_open(tmp_path: Path, key_file: Path) -> None:
    make_key(tmp_path / "other.key")
    ours, other = Vault.from_file(key_file), Vault.from_file(tmp_path / "other.key")

    with pytest.raises(WrongKey, match=ours.key_id):
        other.open(ours.seal(BODY, "here"), "here")


def test_a_keyed_hash_is_the_same_under_one_key_only(tmp_path: Path, key_file: Path) -> None:
    make_key(tmp_path / "other.key")
    upn = "A820990110001"

    assert Vault.from_file(key_file).keyed_hash(upn) == Vault.from_file(key_file).keyed_hash(upn)
    assert Vault.from_file(key_file).keyed_hash(upn) != Vault.from_file(tmp_path / "other.key").keyed_hash(upn)
