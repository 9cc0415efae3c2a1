"""Check files of objects and messages as the zone would, in constant memory; printing is for others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import schemas
from broker.documents import FoundObject, objects_in
from broker.protocol.documents import check_elements, parse_document
from broker.protocol.envelope import NAMESPACE, Action, EventObject, local_name
from broker.protocol.errors import NotWellFormed, UnknownObject, ZoneError
from broker.validation import Validator
from schemas import Edition, Finding
from schemas.model import line_of
from schemas.rules import NothingKnown

_MESSAGE: Final = f"{{{NAMESPACE}}}SIF_Message"
_MAX_ENVELOPE_BYTES: Final = 1024 * 1024
"""Largest file whose envelope is looked at: it takes the whole document in memory."""


class UnusableFile(ZoneError):
    """A file cannot be checked at all; the text says which and why."""


@dataclass(slots=True)
class Tally:
    """How many objects of a file were valid, valid with warnings, and refused.

    Attributes:
        around: Faults of the message around the objects.
    """

    objects: int = 0
    warned: int = 0
    refused: int = 0
    around: int = 0

    @property
    def valid(self) -> int:
        """Objects without a finding that counts."""
        return self.objects - self.warned - self.refused

    @property
    def is_refused(self) -> bool:
        """Whether the zone would refuse any of it."""
        return self.refused > 0 or self.around > 0


@dataclass(slots=True)
class FileCheck:
    """A check of one file.

    Args:
        path: The file.
        validator: The schemas and rules to check by.
        partial: Whether bare objects may be parts, as in a Change.
        edition: The edition of bare objects; messages name their own.
        read: Told how many more bytes were read.

    Attributes:
        tally: What was counted so far.
    """

    path: Path
    validator: Validator
    partial: bool = False
    edition: Edition = schemas.NEWEST
    read: Callable[[int], None] = lambda _: None
    tally: Tally = field(default_factory=Tally)
    _is_message: bool = False

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """Yield what is wrong, each with the name of its object, "" for the message around them, in document order.

        Raises:
            UnusableFile: It cannot be read, is no XML that the zone reads, or holds no object.
        """
        objects = frozenset(self.validator.schema.objects)
        try:
            yield from self._of_message()
            # in whatever namespace: that it is another than the object's can then be said
            for found in objects_in(self.path, lambda tag: tag.rpartition("}")[2] in objects, self.read):
                yield from self._of_object(found)
        except OSError as error:
            raise UnusableFile(f"{self.path}: cannot be read ({error.strerror}): name a file that can") from error
        except ZoneError as error:
            raise UnusableFile(f"{self.path}: {error}") from error
        if not self.tally.objects and not self._is_message:
            raise UnusableFile(
                f"{self.path}: holds no object: its root must be an object, a SIF_Message, or an element around some"
            )

    def _of_message(self) -> Iterator[tuple[str, Finding]]:
        """Yield what is wrong with the envelope where the file is one message that is not too large to be held."""
        if self.path.stat().st_size > _MAX_ENVELOPE_BYTES:
            return
        try:
            root = parse_document(self.path.read_bytes())
        except NotWellFormed:
            return  # is said once the objects before the fault have been looked at
        self._is_message = root.tag == _MESSAGE
        if self._is_message:
            for finding in schemas.check_message(root):
                self.tally.around += 1
                yield "", finding

    def _of_object(self, found: FoundObject) -> Iterator[tuple[str, Finding]]:
        self.tally.objects += 1
        name = local_name(found.element)
        findings = self._check(found, name)
        name = _shown(name)
        severities = {finding.severity for finding in findings}
        if "refuse" in severities:
            self.tally.refused += 1
        elif "warn" in severities:
            self.tally.warned += 1
        for finding in findings:
            yield name, finding

    def _check(self, found: FoundObject, name: str) -> tuple[Finding, ...]:
        action = found.action or (Action.CHANGE if self.partial or found.example else Action.ADD)
        event = EventObject(name, action, found.element)
        edition = schemas.edition_of(found.version) if found.version else self.edition
        facts = NothingKnown(date.today())  # noqa: DTZ011  # rules run by the calendar of whoever asks
        if name not in self.validator.schema.objects:
            return (_no_object(found, self._unknown(name)),)
        check_elements(found.element)
        try:
            return self.validator.check(event, edition, facts)
        except UnknownObject as error:
            return (_no_object(found, str(error)),)

    def _unknown(self, name: str) -> str:
        schema = self.validator.schema
        local = name.rpartition("}")[2]
        if local in schema.objects:
            return f"{local} is in another namespace: use {schema.namespace_of(local)}"
        nearest = schema.nearest_object(local)
        advice = f"rename it to {nearest}" if nearest else "'sifzone schema list' has all that there are"
        return f"there is no object {_shown(name)}: {advice}"


def _shown(name: str) -> str:
    """Return a name that a file brings, fit to be printed."""
    return "".join(letter for letter in name.rpartition("}")[2] if letter.isalnum() or letter in "_.-")[:60]


def _no_object(found: FoundObject, why: str) -> Finding:
    return Finding("", line_of(found.element), "unknown-object", "refuse", f"{why}.", None, 3)
