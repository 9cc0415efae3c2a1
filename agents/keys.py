"""The agent's secret key, and what is made with it: RefIds and digests; the key never leaves the state folder."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import RefId

KEY_FILE: Final = "agent.key"
LEARNER: Final = "LearnerPersonal"
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 12


class Keys:
    """Makes RefIds and digests that nobody can make, or guess the source of, without the key.

    A RefId is HMAC-SHA256 over object type and key, cut to 128 bits. Digests of parts of objects are keyed too, since
    the digest of a birth date or a flag could otherwise be found by trying.

    Attributes:
        located: From the RefId that this agent has made for a learner to the one to be used.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        # The objects of one record refer to each other, so the same RefId is asked for many times in a row.
        self.own = lru_cache(maxsize=1024)(self._own)
        self.located: Callable[[RefId], RefId] = lambda own: own

    @property
    def mark(self) -> str:
        """What tells this key from another without telling the key."""
        return self.digest(b"key").hex()

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> RefId:
        """Return the RefId of the object that *key* names in this agent's system: the zone's of a learner it has told.

        What refers to a learner, or has the learner in its own key, gets it here too. Any other is the same for ever.
        """
        own = self.own(object_type, key)
        return self.located(own) if object_type == LEARNER else own

    def _own(self, object_type: str, key: tuple[str, ...]) -> RefId:
        """Return the RefId that this agent itself makes, the same for ever."""
        # Lengths go in, so that ("ab", "c") and ("a", "bc") differ.
        text = "".join(f"{len(part)}:{part}" for part in (object_type, *key))
        return RefId(hmac.digest(self._secret, text.encode(), "sha256")[:16].hex().upper())

    def digest(self, data: bytes) -> bytes:
        """Return 12 bytes that tell *data* from any other."""
        return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=self._secret).digest()


def load_keys(folder: Path) -> Keys:
    """Return the keys of the agent whose state is in *folder*; makes the key, mode 600, when there is none.

    Raises:
        ConfigurationError: The key file is damaged.
    """
    path = folder / KEY_FILE
    if not path.exists():
        _make(path)
    secret = path.read_bytes()
    if len(secret) != _KEY_BYTES:
        raise ConfigurationError(
            f"{path}: not a key of {_KEY_BYTES} bytes: put it back from a copy, since another key gives every object "
            "another RefId"
        )
    return Keys(secret)


def _make(path: Path) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


__all__ = ["KEY_FILE", "LEARNER", "Keys", "load_keys"]
