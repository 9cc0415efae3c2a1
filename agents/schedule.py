"""When each source is to be looked at again; looking is the scanner's."""

from datetime import UTC, datetime

from agents.parts import SourcePart


class Schedule:
    """When each source is to be looked at again, by its own ``every``."""

    def __init__(self, sources: tuple[SourcePart, ...]) -> None:
        self._sources = sources
        self._next = {source.name: datetime.min.replace(tzinfo=UTC) for source in sources}

    def due(self) -> tuple[SourcePart, ...]:
        """Return the sources whose time has come, and set their next."""
        time = datetime.now(UTC)
        due = tuple(source for source in self._sources if self._next[source.name] <= time)
        for source in due:
            self._next[source.name] = time + source.settings.every
        return due


__all__ = ["Schedule"]
