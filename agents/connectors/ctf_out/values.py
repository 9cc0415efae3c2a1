"""The values of a transfer file: what is asked for, what is made, and what is wrong; making it is others' work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from agents.connectors.ctf_out.kept import LeftOut
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import Establishment

VERSION: Final = "25.0"
"""The newest version of the format that is known."""
NOT_KNOWN: Final = Establishment("XXXXXXX")
"""Stands for a school that is not known after the days of enquiry."""
OUTSIDE: Final = Establishment("MMMMMMM")
"""Stands for a school outside of the maintained sector, or for none."""
AUTHORITY_NUMBER: Final = "LLLL"
"""Stands in the place of an establishment's number where an authority sends the file."""
_LONDON: Final = ZoneInfo("Europe/London")

Qualifier = Literal["full", "partial"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a file is: from where to where, when, and whether it is all that is known.

    Attributes:
        source: A school, or an authority (``820LLLL``).
        destination: An establishment, NOT_KNOWN or OUTSIDE; it may be the source, for moving data between systems.
        written: When the file is made. It is written as local time in London; a time without a zone is taken as that.
        descriptor: Free text for people, without personal data.
    """

    source: Establishment
    destination: Establishment
    written: datetime
    qualifier: Qualifier = "full"
    version: str = VERSION
    descriptor: str = ""

    @property
    def local(self) -> datetime:
        """When the file is made, in London."""
        return self.written if self.written.tzinfo is None else self.written.astimezone(_LONDON)

    @property
    def moment(self) -> str:
        """The same, as a header has it."""
        return self.local.strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Due:
    """A file that a LearnerTransfer asks for.

    Attributes:
        transfer: RefId of the LearnerTransfer.
        learner: RefId of the learner.
        attempt: Counted from 1; another one follows a file that was rejected.
    """

    transfer: str
    learner: str
    source: Establishment
    destination: Establishment
    attempt: int = 1

    @property
    def key(self) -> str:
        """What it is remembered by: for equal keys one file is written, and no more."""
        return f"{self.transfer}/{self.destination}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class CtfDocument:
    """A whole transfer file, not yet in any folder.

    Attributes:
        pupils: How many it has.
        left_out: What it does not have of each learner's objects, by RefId of the learner; no values.
    """

    transfer: Transfer
    content: bytes = field(repr=False)
    pupils: int
    left_out: tuple[tuple[str, tuple[LeftOut, ...]], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What a transfer file must have and cannot be given.

    Attributes:
        learner: RefId of the learner; empty for the header.
        element: Path in the file, for example ``Pupil/UPN``.
        remedy: What to do.
    """

    learner: str
    element: str
    remedy: str

    def __str__(self) -> str:
        whose = f"LearnerPersonal {self.learner}: " if self.learner else ""
        return f"{whose}{self.element}: {self.remedy}"


class CtfError(ZoneError):
    """No transfer file can be made or put into its folder as it was asked for."""


class CtfIncomplete(CtfError):
    """What a transfer file must have is missing or wrong; all of it, for all learners, and nothing was written."""

    def __init__(self, missing: Sequence[Missing]) -> None:
        self.missing = tuple(missing)
        super().__init__("\n".join(map(str, missing)))


class CtfWithheld(CtfError):
    """A file about this learner would join two identities that are kept apart."""

    def __init__(self, learner: str) -> None:
        self.learner = learner
        super().__init__(
            f"LearnerPersonal {learner}: shielded or adopted, so no transfer file is made: "
            "ask the authority's care team what may go on, and how"
        )
