"""Looks into hostile zips: what is in them, and whether they unpack to more than they should; reads nothing of it."""

import struct
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, cast

from agents.connectors.contract import SourceError

MAX_RATIO: Final = 200
"""How many times smaller than it is a part may be packed: tables and XML reach some tens."""
_SMALL: Final = 1024 * 1024
"""Bytes of a part up to which it does not matter how well it was packed."""
ZIP_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""What reading a damaged zip raises."""


def entries(path: Path) -> list[zipfile.ZipInfo]:
    """Return what a zip says that it has.

    Raises:
        zipfile.BadZipFile: It is none, or damaged.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return archive.infolist()
        except (*ZIP_FAULTS, OSError) as error:  # a place before its beginning
            raise zipfile.BadZipFile(str(path)) from error


def check_packing(parts: list[zipfile.ZipInfo], max_parts: int) -> None:
    """Return when nothing in a zip unpacks to far more than it is packed to.

    Raises:
        SourceError: Something does, or there are too many parts.
    """
    if len(parts) > max_parts:
        raise SourceError(f"more than {max_parts:,} files in it: this is none that is to be read here", 1)
    if any(part.file_size > _SMALL and part.file_size > MAX_RATIO * part.compress_size for part in parts):
        raise SourceError(f"a part of it is packed to less than 1/{MAX_RATIO}: make it again", 1)


def open_entry(path: Path, name: str) -> BinaryIO:
    """Open one file of a zip, to be read as it is unpacked.

    Raises:
        zipfile.BadZipFile: It is damaged, so far as can be told at its beginning.
    """
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        try:
            archive = zipfile.ZipFile(file)
            part = archive.open(name)
        except (*ZIP_FAULTS, OSError, KeyError) as error:
            raise zipfile.BadZipFile(str(path)) from error
        opened.pop_all()  # what is open of it keeps the file open
    return cast("BinaryIO", part)


__all__ = ["ZIP_FAULTS", "check_packing", "entries", "open_entry"]
