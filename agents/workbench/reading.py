"""Hands the records of a sample file to the mappings, as an agent would; what is told of the outcome is others' work.

RefIds are made with a key that everybody knows: they are the same on every machine, and never those of a zone.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agents import connectors
from agents.connectors.contract import FileSource, Item, SourceError, SourceFields, SourceProblem
from agents.keys import LEARNER, Keys
from agents.learners import NumberClaim
from agents.parts import LocatingSource
from agents.workbench import samples
from mappings import InwardMapping, Record, Translation
from mappings.gather import Gathering

TEST_KEYS: Final = Keys(hashlib.sha256(b"sifzone workbench").digest())
"""Makes the RefIds of all that the workbench shows; no secret."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one mapping makes of one record."""

    mapping: InwardMapping
    record: Record
    translation: Translation


def open_source(path: Path, connector: str | None = None, options: Mapping[str, Any] | None = None) -> samples.Source:
    """Return a sample file with its connector, as :func:`agents.workbench.samples.open_sample`; errors name the file.

    Raises:
        SourceError: The file cannot be read.
        ConfigurationError: There is no such connector, or an option is wrong.
    """
    try:
        return samples.open_sample(path, connector, options)
    except SourceError as error:
        raise _named(path, error) from error


def items(source: samples.Source) -> Iterator[Item]:
    """Yield what the file holds, in its order and in constant memory; errors name the file.

    Raises:
        SourceError: The file cannot be read, or not to its end.
    """
    try:
        yield from _reader(source).read(source.path)
    except SourceError as error:
        raise _named(source.path, error) from error
    except OSError as error:
        reason = SourceError(f"cannot be read ({error.strerror}): check its name and its rights")
        raise _named(source.path, reason) from error


def mapped(
    source: samples.Source, mappings: Sequence[InwardMapping]
) -> Iterator[Mapped | SourceProblem | SourceFields]:
    """Yield what each mapping makes of each record, and what the connector says besides, in the order of the file.

    Raises:
        SourceError: The file cannot be read, or not to its end.
    """
    gathering = Gathering(mappings)
    for item in items(source):
        if not isinstance(item, Record):
            yield item
            continue
        for mapping, record in gathering.add(item):
            yield Mapped(mapping, record, mapping.translate(record, TEST_KEYS))
    for mapping, record in gathering.rest():
        yield Mapped(mapping, record, mapping.translate(record, TEST_KEYS))


def _reader(source: samples.Source) -> FileSource:
    """Return the connector, made anew, since one that asks whose its learners are must be answered here."""
    made = connectors.find(source.connector)
    options = made.Options.model_validate(dict(source.options), context={"folder": source.path.parent})
    reader: FileSource = made(options)
    if isinstance(reader, LocatingSource):
        reader.locate_with(_stand_in)
    return reader


def _stand_in(claim: NumberClaim) -> str | None:
    """Return a RefId in place of the zone's; None when no number names the learner."""
    number = ("UPN", claim.upn) if claim.upn else ("ULN", claim.uln) if claim.uln else None
    return None if number is None else TEST_KEYS.own(LEARNER, (number[0], number[1] or ""))


def _named(path: Path, error: SourceError) -> SourceError:
    place = f"{path}:{error.line}" if error.line else f"{path}"
    return SourceError(f"{place}: {error.reason}")


__all__ = ["TEST_KEYS", "Mapped", "items", "mapped", "open_source"]
