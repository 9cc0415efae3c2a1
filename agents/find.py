"""Where in an agent's files a record is: for whoever has its id from the zone and is to mend it at the school."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.connectors.contract import SourceFields, SourceProblem
from agents.files import matching
from agents.parts import Parts
from mappings import RefIds


@dataclass(frozen=True, slots=True)
class Place:
    """A row or pupil of a file, and the kinds of object made from it that are meant."""

    path: Path
    position: str
    object_types: tuple[str, ...]


def places(parts: Parts, keys: RefIds, record_id: str) -> Iterator[Place]:
    """Yield each place in the sources' files that an object with this id, or about a learner with it, is made from.

    Args:
        parts: The agent's sources.
        keys: Gives the RefIds of the agent.
        record_id: A RefId, or several joined by bars as the zone names a record that has none of its own.

    Raises:
        SourceError: A file cannot be read as what it is.
    """
    wanted = frozenset(record_id.strip().upper().split("|"))
    for source in parts.sources:
        for path in matching(source.pattern, newest_only=source.settings.complete):
            for item in source.connector.read(path):
                if isinstance(item, (SourceFields, SourceProblem)):
                    continue
                made = [each for mapping in source.mappings for each in mapping.translate(item, keys).objects]
                meant = [each.object_type for each in made if not wanted.isdisjoint((each.ref_id, each.learner_ref_id))]
                if meant:
                    yield Place(path, item.position, tuple(dict.fromkeys(meant)))


__all__ = ["Place", "places"]
