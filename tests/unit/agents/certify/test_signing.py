"""Signatures of certificates: what was changed is found out, whoever signed is known, keys are kept to oneself."""

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agents.certify.signing import NotVerified, canonical, fingerprint, load_key, make_key, public_text, sign, verify
from broker.protocol.errors import ConfigurationError
from tests.unit.agents.certify.certificates import CHECK, VALUES, signed


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    """A key of its own."""
    return make_key(tmp_path / "keys" / "certify.key")


def test_a_certificate_is_verified_however_its_json_is_laid_out(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    file = signed(tmp_path, key)
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(dict(reversed(values.items()))), encoding="utf-8")

    found = verify(file)
    assert (found.values["agent"], found.known) == ("mis-1", False)
    assert found.fingerprint == fingerprint(public_text(key))
    assert verify(file, public_text(key)).known


def test_a_public_key_may_be_named_as_a_pem_file(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    pem = tmp_path / "maker.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    assert verify(signed(tmp_path, key), str(pem)).known


def _changed(text: str) -> str:
    return text.replace('"passed": true', '"passed": false')


def _said_twice(text: str) -> str:
    return text.replace('"passed": true', '"passed": true, "passed": true')


def _added(text: str) -> str:
    return text.replace("{", '{"note": "and more",', 1)


@pytest.mark.parametrize(
    "change",
    [_changed, _said_twice, _added, lambda _text: "[]", lambda _text: "{", lambda text: text.replace("true", "NaN")],
    ids=["changed", "twice", "added", "a list", "no JSON", "no number"],
)
def test_a_certificate_that_was_changed_is_not_verified(tmp_path: Path, key: Ed25519PrivateKey, change: Any) -> None:
    file = signed(tmp_path, key)
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")

    with pytest.raises(NotVerified, match="certificate"):
        verify(file)


def test_another_key_does_not_verify_even_when_it_has_signed_rightly(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    other = Ed25519PrivateKey.generate()
    file = signed(tmp_path, other)

    with pytest.raises(NotVerified, match="another key"):
        verify(file, public_text(key))


def test_a_signature_of_another_certificate_is_not_taken(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    file = signed(tmp_path, key)
    other = VALUES | {"agent": "mis-2", "public_key": public_text(key)}
    (tmp_path / "certificate.sig").write_text(sign(other, key), encoding="utf-8")

    with pytest.raises(NotVerified, match="not what was signed"):
        verify(file)


@pytest.mark.parametrize(
    "other",
    [
        {"stages": [{"checks": [CHECK, CHECK | {"outcome": "fail"}]}]},
        {"stages": [{"checks": [CHECK | {"outcome": "not applicable"}]}]},
        {"stages": []},
        {"stages": "none"},
        {"passed": "yes"},
        {"format": "something else 1"},
    ],
    ids=["a check failed", "nothing was tried", "no stage", "no list", "no truth", "no certificate"],
)
def test_what_is_signed_and_contradicts_itself_is_no_certificate(
    tmp_path: Path, key: Ed25519PrivateKey, other: dict[str, Any]
) -> None:
    with pytest.raises(NotVerified, match="is signed, but"):
        verify(signed(tmp_path, key, **other), public_text(key))


@pytest.mark.parametrize("page", [b"<p>passed</p>", b"x" * 5_000_001], ids=["another", "too large"])
def test_another_page_beside_a_certificate_is_not_let_through(
    tmp_path: Path, key: Ed25519PrivateKey, page: bytes
) -> None:
    right = b"<p>not passed</p>"
    file = signed(tmp_path, key, page_sha256=hashlib.sha256(right).hexdigest())
    (tmp_path / "certificate.html").write_bytes(right)
    verify(file)
    (tmp_path / "certificate.html").write_bytes(page)

    with pytest.raises(NotVerified, match=r"certificate\.html: is not the page"):
        verify(file)


def test_a_file_too_large_for_a_key_is_none(tmp_path: Path) -> None:
    path = tmp_path / "certify.key"
    path.write_bytes(b"x" * 5_000_001)
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match="no Ed25519 key"):
        load_key(path)


def test_a_certificate_without_its_signature_is_not_verified(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    file = signed(tmp_path, key)
    (tmp_path / "certificate.sig").unlink()

    with pytest.raises(NotVerified, match="keep certificate and signature together"):
        verify(file)


@pytest.mark.parametrize("named", ["rubbish", "QUJD", "/nowhere/key.pem"])
def test_what_is_no_public_key_is_refused(tmp_path: Path, key: Ed25519PrivateKey, named: str) -> None:
    with pytest.raises(ConfigurationError, match="no public Ed25519 key"):
        verify(signed(tmp_path, key), named)


def test_a_new_key_is_its_owners_alone_and_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "config" / "certify.key"
    made = make_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert public_text(load_key(path)) == public_text(made)
    with pytest.raises(ConfigurationError, match="name another"):
        make_key(path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "certify.key"
    make_key(path)
    path.chmod(0o640)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_key(path)


def test_a_key_of_another_kind_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "rsa.key"
    rsa = generate_private_key(65537, 2048)
    path.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match="no Ed25519 key") as refused:
        load_key(path)
    assert "PRIVATE" not in str(refused.value)


def test_the_signed_bytes_depend_on_what_is_said_and_not_on_the_order_of_saying_it() -> None:
    assert canonical({"b": 1, "a": ["\u00e9"]}) == canonical({"a": ["\u00e9"], "b": 1}) == '{"a":["é"],"b":1}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})
