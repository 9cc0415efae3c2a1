"""Writes the text files that commands make."""

from pathlib import Path
from typing import Final

from agents.connectors.sets import put_file
from broker.protocol.errors import ConfigurationError

PRIVATE: Final = 0o600
"""The mode of a file that its owner alone may read."""
_USUAL: Final = 0o666
"""As others are made: what the umask leaves of it."""


def write_text(path: Path, text: str, mode: int = _USUAL) -> None:
    """Write a file as UTF-8, whole or not at all.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        put_file(path, text.encode(), mode)
    except OSError as error:
        reason = f"cannot be written ({error.strerror}): check folder and rights, or name another file"
        raise ConfigurationError(f"{path}: {reason}") from error


__all__ = ["PRIVATE", "write_text"]
