"""Encrypts bodies at rest and hashes identifiers with the zone's key file; who may read them is not its matter."""

import base64
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.storage.errors import KeyFileError, WrongKey

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def make_key(path: Path) -> None:
    """Write a new random key to *path*, readable by its owner alone (mode 600), durable on return.

    Raises:
        KeyFileError: The file is there already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeyFileError(
            f"key file {path} exists already: keep it, what it encrypted can be read with no other"
        ) from error
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be made ({error.strerror}): make its folder writable") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of the key file *path*.

    Raises:
        KeyFileError: It is missing, readable by others than its owner, or does not hold 32 bytes in base64.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1024)
    except OSError as error:
        raise KeyFileError(
            f"key file {path} cannot be read ({error.strerror}): make one at set-up, or name the right path"
        ) from error
    if mode & _OTHERS:
        raise KeyFileError(f"key file {path} is open to others than its owner: run `chmod 600 {path}`")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise KeyFileError(f"key file {path} is not base64: restore it from your backup") from error
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"key file {path} holds {len(key)} bytes, not {KEY_BYTES}: restore it from your backup")
    return key


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted body and the id of the key that opens it."""

    key_id: str
    data: bytes


class Vault:
    """Seals and opens bodies with one key.

    Source:
        NIST SP 800-38D, AES-GCM with 96-bit random nonces.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._hash_key = hmac.digest(key, b"sifzone identifiers", "sha256")
        self.key_id = hashlib.sha256(b"sifzone key id" + key).hexdigest()[:16]

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the vault of the key file *path*; raises KeyFileError as :func:`read_key` does."""
        return cls(read_key(path))

    def seal(self, body: bytes, place: str) -> Sealed:
        """Return *body* encrypted so that it opens at *place* only (the row's id and what it is there)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return Sealed(self.key_id, nonce + self._cipher.encrypt(nonce, body, place.encode()))

    def open(self, sealed: Sealed, place: str) -> bytes:
        """Return the body sealed for *place*.

        Raises:
            WrongKey: It was sealed with another key, for another place, or altered.
        """
        if sealed.key_id != self.key_id:
            raise WrongKey(
                f"the body at {place} was encrypted with key {sealed.key_id} and this zone runs with key "
                f"{self.key_id}: start with the key file that was in use then"
            )
        nonce, data = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, data, place.encode())
        except (InvalidTag, ValueError) as error:
            raise WrongKey(
                f"the body at {place} was altered since it was encrypted: restore the database from your backup"
            ) from error

    def keyed_hash(self, text: str) -> bytes:
        """Return 32 bytes that stand for *text* in this zone and tell nothing to who lacks the key."""
        return hmac.digest(self._hash_key, text.encode(), "sha256")
