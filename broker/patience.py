"""Reading from storage in the midst of a batch, which must neither fail for a moment's sake nor be begun again."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from broker.protocol.errors import ZoneError
from broker.storage import StorageError

Result = TypeVar("Result")

_PATIENCE: Final = 20.0
_PAUSE: Final = 0.2


class StorageGone(ZoneError):
    """Storage was away for too long in the midst of a batch: the worker stops, and its messages come again."""


def patiently(read: Callable[[], Result], patience: float = _PATIENCE) -> Result:
    """Return what *read* gives, trying again while storage is away.

    What a batch has decided so far is in memory alone: with a failure it would be decided once more, by a state that
    has changed already.

    Raises:
        StorageGone: It was away for *patience* seconds.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return read()
        except StorageError as error:
            if not error.retry or time.monotonic() > until:
                raise StorageGone(f"storage was not to be had: {error}") from error
        time.sleep(_PAUSE)


__all__ = ["StorageGone", "patiently"]
