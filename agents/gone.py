"""Deletes of what a source no longer has: by what a record says, or by its absence from a whole picture; reads nothing.

A broken export may leave most of a school out, or mark all of it as leavers: more than ``max_deletes`` of what was
published of one kind is never deleted by one reading. Of what records say themselves a few are taken at their word,
since that share of a small source is less than one.
"""

import sqlite3
from typing import Final

import structlog

from agents.files import Reading
from agents.parts import FilePart, SourcePart
from agents.spool import Spool, Vanished

log = structlog.get_logger(__name__)

TRUSTED: Final = 5
"""Objects of one kind that records may say are gone, whatever share of them that is."""
_Found = dict[str, tuple[int, list[Vanished]]]  # by object type: how many were published, and which are gone


def delete_gone(
    db: sqlite3.Connection, spool: Spool, source: SourcePart, reading: Reading, *, said: bool, whole: bool
) -> bool:
    """Spool a Delete of each object that is gone, unless something speaks against it; note it in *reading*.

    Args:
        db: The caller's transaction.
        spool: Knows what was published, what this reading has seen, and what its records say is gone.
        source: What was read, to its end.
        reading: What has come of it.
        said: What records say counts; of an old file that is read once more it does not.
        whole: All that the source has was read, so that what was not is gone.

    Returns:
        Whether what records say is held back, and with it everything else.
    """
    types = list(dict.fromkeys(mapping.object_type for mapping in source.mappings))
    stated = {kind: spool.said_gone(db, source.name, kind) for kind in types} if said else {}
    absent = {kind: spool.vanished(db, source.name, kind) for kind in types} if whole else {}
    reason = _too_many(stated, source.settings.max_deletes, "said to be gone", TRUSTED)
    if reason:
        _hold(source, reading, stated, f"are said to be gone by {_kind(source)}", reason)
        return True
    _delete(db, spool, source, reading, stated)
    done = {(one.object_type, one.ref_id) for _, found in stated.values() for one in found}
    # The share is of all that is missing, whoever says so.
    reason = _against(absent, source.settings.max_deletes, reading)
    left = {
        kind: (known, [one for one in found if (one.object_type, one.ref_id) not in done])
        for kind, (known, found) in absent.items()
    }
    if not reason:
        _delete(db, spool, source, reading, left)
    elif _count(left):
        _hold(source, reading, left, f"are no longer in {_kind(source)}", reason)
    return False


def _delete(db: sqlite3.Connection, spool: Spool, source: SourcePart, reading: Reading, found: _Found) -> None:
    # What points at others goes before them: mappings are written the other way round.
    for _, gone in reversed(found.values()):
        for one in gone:
            reading.events += spool.delete(db, source.name, one) is not None


def _hold(source: SourcePart, reading: Reading, found: _Found, what: str, reason: str) -> None:
    count = _count(found)
    reading.outcome, reading.note = "held", f"{count} objects {what}; nothing deleted: {reason}"
    log.error("deletes_held", source=source.name, file=reading.name, objects=count, reason=reason)


def _count(found: _Found) -> int:
    return sum(len(gone) for _, gone in found.values())


def _kind(source: SourcePart) -> str:
    return "the file" if isinstance(source, FilePart) else "the system"


def _against(found: _Found, max_deletes: float, reading: Reading) -> str:
    """Return why nothing may be deleted that is only absent; empty when nothing speaks against it."""
    if reading.incomplete:
        return "the file says itself that it is partial"
    if reading.failed_records:
        return f"{reading.failed_records} records could not be used, and may be what is missing: mend them first"
    return _too_many(found, max_deletes, "missing")


def _too_many(found: _Found, max_deletes: float, word: str, trusted: int = 0) -> str:
    for object_type, (known, gone) in found.items():
        if len(gone) > max(known * max_deletes, trusted):
            return (
                f"{len(gone)} of {known} {object_type} are {word}, more than max_deletes = {max_deletes:.0%}: "
                "check that the export is right and whole; if it is, raise max_deletes for one run"
            )
    return ""


__all__ = ["TRUSTED", "delete_gone"]
