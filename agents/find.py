"""Where in an agent's sources a record is: for whoever has its id from the zone and is to mend it at the school."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agents.connectors.contract import Item, Marker
from agents.files import matching
from agents.parts import FeedPart, FilePart, Parts, SourcePart
from agents.units import Unit, pieces
from mappings import RefIds


@dataclass(frozen=True, slots=True)
class Place:
    """A row or pupil of a file or a feed, and the kinds of object made from it that are meant.

    Attributes:
        path: The file, or the feed's name.
    """

    path: str
    position: str
    object_types: tuple[str, ...]


def places(parts: Parts, keys: RefIds, record_id: str) -> Iterator[Place]:
    """Yield each place in the sources that an object with this id, or about a learner with it, is made from.

    Args:
        parts: The agent's sources; feeds are read from their beginning.
        keys: Gives the RefIds of the agent.
        record_id: A RefId, or several joined by bars as the zone names a record that has none of its own.

    Raises:
        SourceError: A file cannot be read as what it is, or a system cannot be reached.
    """
    wanted = frozenset(record_id.strip().upper().split("|"))
    for source in parts.sources:
        for path, items in _contents(source):
            for unit in pieces(items, source.mappings):
                if not isinstance(unit, Unit):
                    continue
                made = [each for mapping in unit.mappings for each in mapping.translate(unit.record, keys).objects]
                meant = [each.object_type for each in made if not wanted.isdisjoint((each.ref_id, each.learner_ref_id))]
                if meant:
                    yield Place(path, unit.record.position, tuple(dict.fromkeys(meant)))


def _contents(source: SourcePart) -> Iterator[tuple[str, Iterable[Item | Marker]]]:
    if isinstance(source, FeedPart):
        yield source.name, source.connector.read_since("")
    if not isinstance(source, FilePart):
        return
    for path in matching(source.pattern, newest_only=source.settings.complete):
        yield str(path), source.connector.read(path)


__all__ = ["Place", "places"]
