"""What a connector is: it reads records from a file or a system, or writes what was received.

A FileSource reads one file at a time; a Feed reads a system that is no file (a database, a web service) from where it
stood the last time. A Fetcher brings files of another machine into a folder, where a FileSource reads them. A Target
writes. Mapping and sending are others' work.

Each is found by its name in the entry point group ``sifzone.connectors``; a Fetcher by the scheme of its URLs in
``sifzone.fetchers``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol, runtime_checkable

from lxml import etree
from pydantic import BaseModel, ConfigDict

from broker.protocol.envelope import Action
from broker.protocol.errors import ZoneError
from mappings import Objects, OutwardMapping, Record, RowProblem

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts to which nothing crosses a network, so that it need not be encrypted."""


class SourceError(ZoneError):
    """A file cannot be read at all; no record of it is used.

    Attributes:
        line: Line of the file, counted from 1; 0 when it has none.
    """

    def __init__(self, reason: str, line: int = 0) -> None:
        self.reason, self.line = reason, line
        super().__init__(f"line {line}: {reason}" if line else reason)


class TargetError(ZoneError):
    """What was received cannot be written where it should go; it is kept and written later."""

    retry = True


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """What is wrong with a file or one record of it, without any of its values.

    Attributes:
        position: For people: ``row 12``, ``header``.
        rule: Short name, for example ``ragged-row``.
        message: One sentence: what is wrong and what to do.
        severity: ``refuse`` when a record could not be read, ``warn`` when it was read all the same.
        incomplete: The file does not hold everything, so nothing can be concluded from what is missing in it.
    """

    position: str
    rule: str
    message: str
    severity: Literal["refuse", "warn"] = "warn"
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class SourceFields:
    """All fields that a file has, where it says so beforehand, so that a heading spelt nearly right is pointed out."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Marker:
    """How far a feed has been read; kept once all that came before it is in the spool, and given back the next time.

    Attributes:
        value: The feed's own affair: a version, a time, an ETag; at most 4,000 characters, nothing personal.
        complete: All that the system has was yielded before it in the same reading, so that what was not is gone.
    """

    value: str
    complete: bool = False


Item = Record | SourceProblem | SourceFields
"""What a source yields."""


class NoOptions(BaseModel):
    """Options of a connector that has none of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@runtime_checkable
class FileSource(Protocol):
    """Reads one file at a time; made with its options."""

    Options: ClassVar[type[BaseModel]]

    def read(self, path: Path) -> Iterator[Item]:
        """Yield what the file holds, in its order, in constant memory.

        Raises:
            SourceError: The file is not one that this connector reads, or not whole. Where that can be told
                beforehand, it is raised before the first record.
        """


@runtime_checkable
class Feed(Protocol):
    """Reads a system that is no folder of files; made with its options.

    Where one agent may read several it has a property ``name``: which one, in a few words, without any credentials.
    The source is called so in the agent's database: the name changes with what is read, and with nothing else.
    """

    Options: ClassVar[type[BaseModel]]

    def read_since(self, marker: str) -> Iterator[Item | Marker]:
        """Yield what has changed since *marker*, all of it when that is empty, in constant memory; last, a Marker.

        Nothing is yielded, not even a Marker, when it is certain that nothing has changed.

        Raises:
            SourceError: The system cannot be reached or its answer cannot be used; what was yielded before is kept.
        """


@runtime_checkable
class Fetcher(Protocol):
    """Brings the files that a URL with a pattern names into a folder; made with the URL and its options."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, url: str, options: BaseModel) -> None:
        """Take what it needs.

        Raises:
            ConfigurationError: The URL cannot be used.
        """

    def fetch(self, folder: Path) -> None:
        """Make *folder* hold the files, each whole or not at all, with their times; touch none that has not changed.

        Raises:
            SourceError: The other machine cannot be reached, or refuses.
        """


@runtime_checkable
class Checked(Protocol):
    """A connector or fetcher that can try its connection without reading or changing anything of value."""

    def check(self) -> str:
        """Return one line on what was found there, nothing personal.

        Raises:
            SourceError: It cannot be reached, refuses the login, or lacks what is asked for; says what to do.
            TargetError: The same of a target.
        """


@dataclass(frozen=True, slots=True)
class Written:
    """What a target did.

    Attributes:
        changed: False when all was already as it should be, so that nothing was written.
        counts: Rows or objects by table, in the target's order.
        left_out: Counts by ``table: reason`` of what could not be written.
    """

    changed: bool
    counts: tuple[tuple[str, int], ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()


@runtime_checkable
class Target(Protocol):
    """Writes what the agent has received; made with a folder, mappings and its options."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Take what it needs.

        Raises:
            ConfigurationError: The folder or a mapping is missing or does not fit.
        """

    def write(self, objects: Objects) -> Written:
        """Write all that is in *objects*, so that a reader sees either the old state or the new one.

        Raises:
            TargetError: The place cannot be written.
        """


def refused(table: str, problems: Iterable[RowProblem]) -> Iterator[str]:
    """Yield ``table: reason`` for each row that a mapping could not make, as ``Written.left_out`` counts them."""
    return (f"{table}: {problem.rule} {problem.target}" for problem in problems if problem.severity == "refuse")


class Desk(Protocol):
    """What a target may remember in the agent's database, and publish."""

    def words(self) -> Mapping[str, str]:
        """Return all that it remembers, by name."""

    def keep(self, words: Mapping[str, str | None], events: Sequence[tuple[Action, etree._Element]] = ()) -> None:
        """Remember words, None forgets one, and put events into the spool: all of it on return, or nothing."""


@runtime_checkable
class PublishingTarget(Target, Protocol):
    """A target that also publishes what came of its work."""

    def attach(self, desk: Desk) -> None:
        """Take where it remembers and publishes; called once, before the first write."""

    def is_due(self) -> bool:
        """Tell whether there may be something to do though no object has changed."""


__all__ = [
    # what a connector is
    "FileSource",
    "Feed",
    "Fetcher",
    "Checked",
    "Target",
    "PublishingTarget",
    "Desk",
    "NoOptions",
    # what it says
    "Item",
    "Marker",
    "SourceError",
    "SourceFields",
    "SourceProblem",
    "TargetError",
    "Written",
    "refused",
    # where it is
    "LOOPBACK",
]
