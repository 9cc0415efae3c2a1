"""Writes sets of files so that a reader sees a whole set, the old or the new one; what is in them is others' work.

The set is in ``<folder>/current/``, a symbolic link to a folder that is written whole before the link is switched in
one step: a reader that resolves ``current`` once never sees half of a set. The folder before is kept until the next
switch, for a reader that is still in it. Nothing is written when nothing has changed.
"""

import csv
import hashlib
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

_FILE_MODE: Final = 0o666
_FOLDER_MODE: Final = 0o777
"""As others are made: what the umask leaves of them."""
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_HARMLESS: Final = re.compile(r"[+-]?[0-9][0-9 .,]*|-")
"""What begins like a formula and is a number."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    """Return a table as CSV with a line of headings; lines end as RFC 4180 has it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def guarded(value: str) -> str:
    """Return a cell with a ``'`` before it where a spreadsheet would run it as a formula.

    Source:
        OWASP, CSV injection; that numbers need no guard is our own rule.
    """
    return f"'{value}" if _FORMULA.match(value) and not _HARMLESS.fullmatch(value) else value


def switch(path: Path, files: Mapping[str, bytes], mode: int = _FILE_MODE, folder_mode: int = _FOLDER_MODE) -> bool:
    """Write the set to a folder of its own and point ``current`` at it; False when ``current`` is this set already.

    Raises:
        OSError: The folder cannot be written.
    """
    name = f"set-{digest_of(files)}"
    current = path / "current"
    path.mkdir(parents=True, exist_ok=True)
    before = current.readlink().name if current.is_symlink() else ""
    if before == name and _is_whole(path / name, files):
        return False
    shutil.rmtree(path / name, ignore_errors=True)
    put_folder(path / name, files, mode, folder_mode)
    link = path / f".current-{secrets.token_hex(4)}"
    link.symlink_to(name)
    link.replace(current)
    sync(path)
    for old in path.glob("*set-*"):
        if old.name not in (name, before):
            shutil.rmtree(old, ignore_errors=True)
    return True


def put_folder(path: Path, files: Mapping[str, bytes], mode: int = _FILE_MODE, folder_mode: int = _FOLDER_MODE) -> None:
    """Make a folder that is there with all its files, on the disk, or not at all.

    Raises:
        OSError: It is there already, or cannot be written.
    """
    folder = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    folder.mkdir(mode=folder_mode)
    try:
        for file, content in files.items():
            _write(folder / file, content, mode)
        sync(folder)
        folder.rename(path)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync(path.parent)


def put_file(path: Path, content: bytes, mode: int = _FILE_MODE) -> None:
    """Write a file so that it is there whole, on the disk, or as it was before.

    Raises:
        OSError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        _write(beside, content, mode)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return what changes with the name or content of any file."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode() + files[name])
    return digest.hexdigest()[:16]


def sync(folder: Path) -> None:
    """Return when what has been named and renamed in a folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_whole(folder: Path, files: Mapping[str, bytes]) -> bool:
    return all((folder / name).is_file() and (folder / name).read_bytes() == files[name] for name in files)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


__all__ = ["csv_text", "digest_of", "guarded", "put_file", "put_folder", "switch", "sync"]
