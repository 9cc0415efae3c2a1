"""Signs certificates and verifies them: Ed25519 over the certificate's canonical JSON; what it says is ``report``'s."""

import base64
import binascii
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from broker.protocol.errors import ConfigurationError, ZoneError

ALGORITHM: Final = "Ed25519"
FORMAT: Final = "sifzone certificate 1"
SIGNATURE: Final = "certificate.sig"
PAGE: Final = "certificate.html"
_MAX_BYTES: Final = 5_000_000
_KEY_BYTES: Final = 32
_PRIVATE: Final = 0o600


class NotVerified(ZoneError):
    """A certificate is not what was signed, or not by whom it should have been."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate whose signature is right.

    Attributes:
        values: What it says.
        fingerprint: Of the key that signed it.
        known: Whether that is the key it was to be signed with; False when none was named.
    """

    values: Mapping[str, Any]
    fingerprint: str
    known: bool


def usual_key() -> Path:
    """Return where the key is when none is named."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "sifzone" / "certify.key"


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in a file.

    Raises:
        ConfigurationError: It cannot be read, can be read by others, or is no Ed25519 key.
    """
    try:
        mode, data = stat.S_IMODE(path.stat().st_mode), _read(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}): name a key that is there, or leave out --key: one is made then"
        ) from error
    except ValueError:
        raise _no_key(path) from None
    if mode & 0o077:
        raise ConfigurationError(f"{path}: can be read by others than its owner: run chmod 600 {path}")
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_pem_private_key(data, password=None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    raise _no_key(path)


def _no_key(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path}: no Ed25519 key without a password: openssl genpkey -algorithm ed25519")


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and write it to a new file, mode 600.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror}): name another with --key") from error
    return key


def public_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Return the public key as certificates have it: 32 bytes in base64."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def fingerprint(public: str) -> str:
    """Return what people compare keys by: the first 16 bytes of the public key's SHA-256."""
    digest = hashlib.sha256(base64.b64decode(public)).hexdigest()[:32]
    return ":".join(digest[start : start + 4] for start in range(0, 32, 4))


def canonical(values: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: JSON in UTF-8 with sorted keys and no blanks.

    Raises:
        ValueError: There is a number in it that JSON does not have.

    Source:
        RFC 8785, as far as a certificate needs it: it has texts, whole numbers, truths and lists of them.
    """
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sign(values: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """Return the signature file of a certificate, which has to name the key."""
    signature = base64.b64encode(key.sign(canonical(values))).decode()
    said = {"algorithm": ALGORITHM, "public_key": public_text(key), "signature": signature}
    return json.dumps(said, indent=2) + "\n"


def verify(file: Path, key: str = "") -> Verified:
    """Verify a certificate with the signature beside it, and the page that people read, where that is there too.

    Args:
        file: ``certificate.json``; ``certificate.sig`` is in the same folder.
        key: The public key that it must be signed with: a PEM file, or 32 bytes in base64; the one that the
            certificate names when left out, which shows only that nothing was changed since.

    Raises:
        NotVerified: A file is missing or is not what it should be, the signature is not right, or what is signed
            contradicts itself.
        ConfigurationError: The named key is none.
    """
    values = _json(file)
    said = _json(file.with_name(SIGNATURE))
    named = values.get("public_key")
    if said.get("algorithm") != ALGORITHM or not isinstance(named, str) or said.get("public_key") != named:
        raise NotVerified(f"{file}: certificate and signature name other keys: it was changed, or mixed up; ask again")
    wanted = _public(key) if key else named
    if wanted != named:
        raise NotVerified(
            f"{file}: signed with another key, {_shown(named)}: it is not from whom it should be; ask them for theirs"
        )
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(named, validate=True))
        public.verify(base64.b64decode(str(said.get("signature")), validate=True), canonical(values))
    except (InvalidSignature, ValueError, RecursionError):
        raise NotVerified(
            f"{file}: is not what was signed: it was changed afterwards; ask for the certificate again"
        ) from None
    _check_said(file, values)
    _check_page(file.with_name(PAGE), values)
    return Verified(values, fingerprint(named), bool(key))


def _check_said(file: Path, values: Mapping[str, Any]) -> None:
    """Return when a signed text is a certificate of ours, and says of the whole what it says of its parts.

    Raises:
        NotVerified: It is not, or does not: somebody has signed what sifzone did not write.
    """
    if values.get("format") != FORMAT:
        raise NotVerified(
            f"{file}: is signed, but no certificate that this sifzone knows: ask for one made with this version"
        )
    outcomes = list(_outcomes(values.get("stages")))
    passed = values.get("passed")
    if not isinstance(passed, bool) or (passed and ("fail" in outcomes or "pass" not in outcomes)):
        raise NotVerified(
            f"{file}: is signed, but says other than its own checks: sifzone did not write it; ask for a new one"
        )


def _outcomes(stages: object) -> Iterator[object]:
    for stage in stages if isinstance(stages, list) else ():
        checks = stage.get("checks") if isinstance(stage, dict) else None
        for check in checks if isinstance(checks, list) else ():
            yield check.get("outcome") if isinstance(check, dict) else None


def _check_page(page: Path, values: Mapping[str, Any]) -> None:
    """Return when the page beside a certificate is the one that was made with it, or when there is none.

    Raises:
        NotVerified: It is another one, which people would read all the same.
    """
    try:
        data = _read(page)
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        data = b""
    if hashlib.sha256(data).hexdigest() != values.get("page_sha256"):
        raise NotVerified(
            f"{page}: is not the page that was made with the certificate: remove it, and ask for the three files again"
        )


def _public(key: str) -> str:
    path = Path(key)
    with suppress(ValueError, OSError, UnsupportedAlgorithm):
        if path.is_file():
            loaded = load_pem_public_key(_read(path))
            if isinstance(loaded, Ed25519PublicKey):
                return public_text(loaded)
        elif len(base64.b64decode(key, validate=True)) == _KEY_BYTES:
            return key
    raise ConfigurationError("--key: no public Ed25519 key: name a PEM file, or the 44 characters that the maker gave")


def _shown(public: str) -> str:
    try:
        return fingerprint(public)
    except (ValueError, binascii.Error):
        return "which is none"


def _json(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_read(file).decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except OSError as error:
        raise NotVerified(
            f"{file}: cannot be read ({error.strerror}): keep certificate and signature together"
        ) from None
    except (ValueError, RecursionError):
        raise NotVerified(f"{file}: is no certificate: take the file that sifzone certify has written") from None
    if not isinstance(found, dict):
        raise NotVerified(f"{file}: is no certificate: take the file that sifzone certify has written")
    return found


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, refusing one that says something twice: readers differ in which of them counts."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("too large")
    return data


__all__ = [
    "FORMAT",
    "PAGE",
    "SIGNATURE",
    "NotVerified",
    "Verified",
    "canonical",
    "fingerprint",
    "load_key",
    "make_key",
    "public_text",
    "sign",
    "usual_key",
    "verify",
]
