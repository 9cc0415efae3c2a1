"""What goes into a mapping and what comes out of it; reading, mapping and sending are others' work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, Protocol

from lxml import etree

NAMESPACE: Final = "http://www.sifinfo.org/uk/infrastructure/2.x"
_NONE: Final[Mapping[str, tuple["Record", ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Record:
    """One thing in a source: a row of a report, a pupil of a transfer file.

    The reader strips outer blanks and leaves out what is empty: a field that is there has a value.

    Attributes:
        position: Where it stands, for people: ``row 12``, ``pupil 3, line 120``.
        fields: Values by column heading, or by slash path of the leaf elements (``Address/PostCode``). A file's header
            is repeated in each of its records (``Header/SourceSchool/LEA``). The text of a repeated element without
            children is the field ``.``.
        groups: What repeats, by path (``Contacts/Contact``), in the order of the source; fields and groups of a member
            are relative to it.
        parent: The record that this one is a member of.
    """

    position: str
    fields: Mapping[str, str] = field(repr=False)
    groups: Mapping[str, tuple["Record", ...]] = field(default_factory=lambda: _NONE, repr=False)
    parent: "Record | None" = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with one record, without any of its values.

    Attributes:
        position: The record's position.
        object_type: The object that it was to become.
        source: The source field, or several separated by commas; empty where no single field is to blame.
        target: Path in the object, or the column of an outward table.
        rule: Short name: ``mandatory``, ``key``, ``code``, ``duplicate``, ``note``, ``reference``, ``characters``, or a
            converter's name.
        message: One sentence: what is wrong and what to do.
        severity: ``refuse`` when the object or row was not made, ``warn`` when it was made without this part, or when
            nobody can tell which object the record says is gone.
        nearest: The nearest right code, where the rule is about codes. It tells something about the value, so it is not
            for logs.
    """

    position: str
    object_type: str
    source: str
    target: str
    rule: str
    message: str
    severity: Literal["refuse", "warn"]
    nearest: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.position}: {self.object_type} {self.target}: {self.message}"


@dataclass(frozen=True, slots=True)
class MappedObject:
    """One whole SIF object made from a record.

    Attributes:
        object_type: Name as published.
        element: The object, children in schema order, in its own namespace.
        ref_id: Its identity in this source, 32 hex digits. Objects that carry no RefId (LearnerContact,
            LearnerAttendanceSummary) have one too, for whoever keeps them.
        key: The source values that identify it; personal, so not for logs.
        learner_ref_id: RefId of the learner that it is about, where there is one.
    """

    object_type: str
    element: etree._Element = field(repr=False)
    ref_id: str
    key: tuple[str, ...] = field(repr=False)
    learner_ref_id: str | None


@dataclass(frozen=True, slots=True)
class GoneObject:
    """An object of which a record says that it is no longer there; it may never have been.

    Attributes:
        object_type: Name as published.
        ref_id: Its identity in this source, as :attr:`MappedObject.ref_id`.
    """

    object_type: str
    ref_id: str


@dataclass(frozen=True, slots=True)
class Translation:
    """What one record became.

    Attributes:
        objects: The objects that it made.
        problems: What could not be used of it.
        gone: Objects that are no longer there by what it says (``gone`` in the mapping); none of them is in *objects*.
    """

    objects: tuple[MappedObject, ...]
    problems: tuple[RowProblem, ...]
    gone: tuple[GoneObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one outward table, sorted by key, each with every column, and what could not be written."""

    rows: tuple[Mapping[str, str], ...] = field(repr=False)
    problems: tuple[RowProblem, ...]


class RefIds(Protocol):
    """Gives RefIds: the same for the same object type and key, for ever; another for any other."""

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        """Return 32 upper-case hex digits."""


class Objects(Protocol):
    """The objects that an agent has received and keeps."""

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        """Return the object, or None when it is not (or no longer) here."""

    def all(self, object_type: str) -> Iterator[etree._Element]:
        """Yield every object of the type, in any order."""
