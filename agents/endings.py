"""How the reading of a file or a feed ends: what is told of it, and whether it is to be read again; keeps nothing."""

import structlog

from agents.connectors.contract import SourceError
from agents.files import Again, Problem, Reading
from agents.learners import Learners
from agents.parts import SourcePart

log = structlog.get_logger(__name__)


def still_due(reading: Reading, learners: Learners, answers: int) -> Again:
    """Tell whether it is to be read again: an answer that has come since it was begun found no record of it.

    Args:
        reading: What has come of it so far.
        learners: Whose ``answers`` have grown when one has come.
        answers: Those when it was begun.
    """
    return Again.PUBLISH if reading.waiting and learners.answers != answers else Again.NO


def note_failure(source: SourcePart, reading: Reading, error: SourceError | OSError) -> None:
    """Note in *reading*, and in the log, that it could not be read."""
    reading.outcome, reading.note = "failed", reason_of(error)
    log.error("file_not_read", source=source.name, file=reading.name, reason=reading.note)


def reason_of(error: SourceError | OSError, done: str = "read", remedy: str = "check its rights") -> str:
    """Return why something could not be done, and how to mend it, in a sentence."""
    if isinstance(error, SourceError):
        return str(error)
    return f"cannot be {done} ({error.strerror}): {remedy}"


def report_waiting(reading: Reading) -> None:
    """Report the records that wait until the zone has said whose they are, where there are any."""
    if reading.waiting:
        message = f"{reading.waiting} records are left out until the zone has said whose they are"
        reading.report(Problem(reading.name, "warn", "not-located", "", message))


def log_reading(source: SourcePart, reading: Reading) -> None:
    """Write a line of the log for what was read."""
    log.info(
        "file_read",
        source=source.name,
        file=reading.name,
        outcome=reading.outcome,
        records=reading.records,
        objects=reading.objects,
        events=reading.events,
        problems=reading.problems,
        waiting=reading.waiting,
        note=reading.note,
    )


__all__ = ["log_reading", "note_failure", "reason_of", "report_waiting", "still_due"]
