"""Puts transfer files into a folder: whole or not at all, under the next free number, with a receipt beside each."""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from agents.connectors.contract import TargetError
from agents.connectors.ctf_out.values import CtfDocument, CtfError
from broker.protocol.identifiers import Establishment

_LAST: Final = 999
_RECEIPT: Final = ".receipt.json"
_UNFINISHED: Final = ".unfinished-"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was written; no names, and nothing of what a pupil's record holds.

    Attributes:
        sha256: Hash of the file's bytes, 64 hexadecimal digits.
        written: Date and time in the file's header.
    """

    file_name: str
    sha256: str
    pupils: int
    version: str
    qualifier: str
    source: Establishment
    destination: Establishment
    written: str


def put_ctf(outbox: Path, document: CtfDocument, serial: int | None = None) -> Receipt:
    """Write a file and its receipt, durable on return; nobody but the owner may read them.

    The name is ``LLLEEEE_CTF_LLLEEEE_NNN.xml``. A number is used while its file or its receipt is there, so a file may
    be taken out once it is sent. Without *serial* it is the number after the highest, and past 999 the lowest free.

    Args:
        outbox: Made, for its owner alone, when it is not there.
        serial: A number from 1 to 999 that must be free.

    Raises:
        CtfError: The number is not free, or none is.
        TargetError: The folder cannot be written; nothing was written.
    """
    try:
        outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(outbox):
            for left in outbox.glob(f"{_UNFINISHED}*"):  # of a process that was killed
                left.unlink()
            name = _name(outbox, document, serial)
            receipt = _receipt(name, document)
            try:
                # The receipt first, so that whoever finds the file finds its receipt.
                _write(outbox / f"{name}{_RECEIPT}", json.dumps(asdict(receipt), indent=2).encode() + b"\n")
                _write(outbox / name, document.content)
            except OSError:
                for begun in (name, f"{name}{_RECEIPT}"):
                    (outbox / begun).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise TargetError(f"{outbox}: cannot be written ({error.strerror}): check its rights and space") from error
    return receipt


def _name(outbox: Path, document: CtfDocument, serial: int | None) -> str:
    start = f"{document.transfer.source}_CTF_{document.transfer.destination}_"
    form = re.compile(re.escape(start) + r"([0-9]{3})\.xml(" + re.escape(_RECEIPT) + ")?", re.IGNORECASE)
    used = {int(found[1]) for path in outbox.iterdir() if (found := form.fullmatch(path.name)) is not None}
    if serial is None:
        highest = max(used, default=0)
        serial = next(
            (number for number in (*range(highest + 1, _LAST + 1), *range(1, highest)) if number not in used), 0
        )
    if not 1 <= serial <= _LAST or serial in used:
        raise CtfError(
            f"{outbox}: there is no free number for {start}NNN.xml: use numbers from 1 to {_LAST} that are free, "
            "or move old files and receipts out"
        )
    return f"{start}{serial:03}.xml"


def _receipt(name: str, document: CtfDocument) -> Receipt:
    transfer = document.transfer
    return Receipt(
        name,
        hashlib.sha256(document.content).hexdigest(),
        document.pupils,
        transfer.version,
        transfer.qualifier,
        transfer.source,
        transfer.destination,
        transfer.moment,
    )


def _write(path: Path, content: bytes) -> None:
    """Write under a name that nobody looks for, then give it its own in one step."""
    unfinished = path.with_name(_UNFINISHED + path.name)
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        _sync(path.parent)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def _alone(outbox: Path) -> Iterator[None]:
    """Wait until no other process writes here: two would choose the same number."""
    descriptor = os.open(outbox / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["Receipt", "put_ctf"]
