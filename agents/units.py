"""Cuts what a source yields into what is mapped and compared as one: a record, or rows that mappings want together."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from agents.connectors.contract import Item, Marker, SourceFields, SourceProblem
from mappings import InwardMapping, Record
from mappings.gather import Gathering

Digest = Callable[[Record, tuple[InwardMapping, ...]], bytes]


@dataclass(frozen=True, slots=True)
class Unit:
    """A record, and the mappings that it is for.

    Attributes:
        digest: Tells it from any other; empty where it is to be mapped in any case.
    """

    record: Record
    mappings: tuple[InwardMapping, ...]
    digest: bytes


Piece = Unit | SourceFields | SourceProblem | Marker


def pieces(
    items: Iterable[Item | Marker],
    mappings: tuple[InwardMapping, ...],
    digest: Digest = lambda _record, _mappings: b"",
    count: Callable[[], None] = lambda: None,
) -> Iterator[Piece]:
    """Yield units in the place of records, all else as it comes; rows are together before a Marker.

    Args:
        items: What a connector yields.
        mappings: The mappings of its source.
        digest: Gives a unit its digest.
        count: Called for each record.
    """
    gathering = Gathering(mappings) if any(mapping.rows for mapping in mappings) else None
    for item in items:
        if not isinstance(item, Record):
            if gathering is not None and isinstance(item, Marker):
                yield from _units(gathering.rest(), digest)
            yield item
            continue
        count()
        if gathering is None:
            yield Unit(item, mappings, digest(item, mappings))
        else:
            yield from _units(gathering.add(item), digest)
    if gathering is not None:
        yield from _units(gathering.rest(), digest)


def _units(ready: list[tuple[InwardMapping, Record]], digest: Digest) -> Iterator[Unit]:
    for _, pairs in groupby(ready, key=lambda pair: id(pair[1])):
        together = tuple(pairs)
        mappings, record = tuple(mapping for mapping, _ in together), together[0][1]
        yield Unit(record, mappings, digest(record, mappings))


def batches(found: Iterator[Piece], size: int) -> Iterator[list[Piece]]:
    """Yield up to *size* pieces at a time, a Marker only as the last of them."""
    batch: list[Piece] = []
    for piece in found:
        batch.append(piece)
        if len(batch) >= size or isinstance(piece, Marker):
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = ["Piece", "Unit", "batches", "pieces"]
