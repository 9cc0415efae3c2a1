"""Puts transfer files into a folder: whole or not at all, under the next free number, with a receipt beside each.

A receipt is there if and only if its file was written, or will be as soon as somebody looks: a process that is killed
between the two leaves the whole file under another name, and :func:`receipts` and :func:`put_ctf` finish its work.
Whoever sends a file moves it to the folder ``taken`` in the outbox; that is how the agent knows that it went.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from agents.connectors.contract import TargetError
from agents.connectors.ctf_out.values import CtfDocument, CtfError, Due
from agents.connectors.sets import sync
from broker.protocol.identifiers import Establishment

TAKEN: Final = "taken"
"""Folder in the outbox for files that were sent."""
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
        due: The LearnerTransfers that asked for it.
    """

    file_name: str
    sha256: str
    pupils: int
    version: str
    qualifier: str
    source: Establishment
    destination: Establishment
    written: str
    due: tuple[Due, ...] = ()


def put_ctf(outbox: Path, document: CtfDocument, serial: int | None = None, due: Sequence[Due] = ()) -> Receipt:
    """Write a file and its receipt, durable on return; nobody but the owner may read them.

    The name is ``LLLEEEE_CTF_LLLEEEE_NNN.xml``. A number is used while its file or its receipt is there, so a file may
    be taken out once it is sent. Without *serial* it is the number after the highest, and past 999 the lowest free.

    Args:
        outbox: Made, for its owner alone, when it is not there.
        serial: A number from 1 to 999 that must be free.
        due: The LearnerTransfers that ask for it, for its receipt.

    Raises:
        CtfError: The number is not free, or none is.
        TargetError: The folder cannot be written; nothing was written.
    """
    try:
        outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(outbox):
            _finish(outbox)
            name = _name(outbox, document, serial)
            receipt = _receipt(name, document, due)
            try:
                # The receipt before the file has its name: whoever finds the file finds its receipt.
                _write(outbox / f"{_UNFINISHED}{name}", document.content)
                _write_named(outbox / f"{name}{_RECEIPT}", json.dumps(asdict(receipt), indent=2).encode() + b"\n")
                _name_finished(outbox, name)
            except OSError:
                for begun in (name, f"{_UNFINISHED}{name}", f"{name}{_RECEIPT}"):
                    (outbox / begun).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise TargetError(f"{outbox}: cannot be written ({error.strerror}): check its rights and space") from error
    return receipt


def receipts(outbox: Path) -> Iterator[Receipt]:
    """Yield the receipts of all files that were ever put here, also of those that were taken; damaged ones are none.

    Raises:
        TargetError: The folder cannot be read or written.
    """
    try:
        if not outbox.is_dir():
            return
        with _alone(outbox):
            _finish(outbox)
        found = sorted([*outbox.glob(f"*{_RECEIPT}"), *(outbox / TAKEN).glob(f"*{_RECEIPT}")])
        texts = [path.read_bytes() for path in found]
    except OSError as error:
        raise TargetError(f"{outbox}: cannot be read ({error.strerror}): check its rights") from error
    for text in texts:
        try:
            values: dict[str, Any] = json.loads(text)
            yield Receipt(**{**values, "due": tuple(Due(**each) for each in values.get("due", ()))})
        except (ValueError, TypeError, AttributeError):
            continue


def _finish(outbox: Path) -> None:
    """Finish what a killed process has begun: a file whose receipt is there gets its name, the rest goes."""
    for left in outbox.glob(f"{_UNFINISHED}*"):
        name = left.name.removeprefix(_UNFINISHED)
        if name.endswith(_RECEIPT) or not (outbox / f"{name}{_RECEIPT}").exists():
            left.unlink()
        else:
            _name_finished(outbox, name)


def _name(outbox: Path, document: CtfDocument, serial: int | None) -> str:
    start = f"{document.transfer.source}_CTF_{document.transfer.destination}_"
    form = re.compile(re.escape(start) + r"([0-9]{3})\.xml(" + re.escape(_RECEIPT) + ")?", re.IGNORECASE)
    there = [*outbox.iterdir(), *(outbox / TAKEN).glob("*")]
    used = {int(found[1]) for path in there if (found := form.fullmatch(path.name)) is not None}
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


def _receipt(name: str, document: CtfDocument, due: Sequence[Due]) -> Receipt:
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
        tuple(due),
    )


def _write_named(path: Path, content: bytes) -> None:
    """Write under a name that nobody looks for, then give it its own in one step."""
    try:
        _write(path.with_name(_UNFINISHED + path.name), content)
        _name_finished(path.parent, path.name)
    except OSError:
        path.with_name(_UNFINISHED + path.name).unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


def _name_finished(outbox: Path, name: str) -> None:
    (outbox / f"{_UNFINISHED}{name}").rename(outbox / name)
    sync(outbox)


@contextmanager
def _alone(outbox: Path) -> Iterator[None]:
    """Wait until no other process writes here: two would choose the same number."""
    descriptor = os.open(outbox / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


__all__ = ["TAKEN", "Receipt", "put_ctf", "receipts"]
