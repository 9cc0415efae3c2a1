"""Runs a copy of an agent: its settings and mappings, with a state, files and a zone of the trial's own.

The agent's own state, and what its target writes, is never touched. ``python -m agents.copies`` runs one in a process
of its own, so that it can be killed; which one, it reads from standard input, since a password is in it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from agents.connectors.contract import FileSource
from agents.logs import configure_logging
from agents.parts import FilePart, SourcePart
from agents.private_zone import end_with_parent, environment
from agents.runtime import Limits
from agents.sdk import Agent
from agents.settings import AgentSettings, SourceSettings, read_settings
from agents.stand_in import RecordFile
from broker.protocol.errors import ZoneError
from broker.transports import AmqpSettings, AmqpTransport

_AT_ONCE: Final = timedelta(0)
_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Stand:
    """What a source reads instead of its own files.

    Attributes:
        pattern: Absolute path, perhaps with wildcards in its last part.
        records: The files hold records, for a source whose own files cannot be written; its connector is not used.
    """

    pattern: str
    records: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of an agent.

    Attributes:
        file: The agent's own file.
        state: Folder of the copy's state.
        url: The private zone's address for it.
        stands: By number of the source, from 0, what it reads instead; the others read their own.
        only: Numbers of the sources that it has; all when None.
        target: Where its target writes instead; it has no target when None.
        idle: Seconds of silence that end a single pass.
    """

    file: Path
    state: Path
    url: str
    stands: Mapping[int, Stand] = field(default_factory=dict)
    only: tuple[int, ...] | None = None
    target: Path | None = None
    idle: float = 0.5

    def to_json(self) -> str:
        """Return it as :meth:`from_json` reads it; it holds the private zone's password."""
        stands = {str(number): [stand.pattern, stand.records] for number, stand in self.stands.items()}
        target = None if self.target is None else str(self.target)
        only = None if self.only is None else list(self.only)
        return json.dumps([str(self.file), str(self.state), self.url, stands, only, target, self.idle])

    @classmethod
    def from_json(cls, text: str) -> "Copy":
        """Return the copy that :meth:`to_json` wrote."""
        file, state, url, stands, only, target, idle = json.loads(text)
        return cls(
            Path(file),
            Path(state),
            url,
            {int(number): Stand(pattern, records) for number, (pattern, records) in stands.items()},
            None if only is None else tuple(only),
            None if target is None else Path(target),
            idle,
        )


class CopiedAgent(Agent):
    """An agent as its file says, except for what a copy changes."""

    def __init__(self, copy: Copy) -> None:
        settings = read_settings(copy.file)
        numbers = range(len(settings.sources)) if copy.only is None else copy.only
        super().__init__(
            copied_settings(settings, copy), lambda: AmqpTransport(AmqpSettings(url=copy.url, name="sifzone trial"))
        )
        parts = zip(numbers, self._parts.sources, strict=True)
        sources = tuple(_stood_in(part, copy.stands.get(number)) for number, part in parts)
        self._parts = replace(self._parts, sources=sources)


def copied_settings(settings: AgentSettings, copy: Copy) -> AgentSettings:
    """Return an agent's settings with the state of a copy. It asks the zone for no learners, for that has none."""
    chosen = range(len(settings.sources)) if copy.only is None else copy.only
    not_asking = {"locate": False, "locate_only": False}
    sources = tuple(settings.sources[number].model_copy(update=not_asking) for number in chosen)
    target = settings.target
    if target is not None:
        target = None if copy.target is None else target.model_copy(update=_target_place(settings, copy.target))
    changed: dict[str, Any] = {"state": copy.state, "sources": sources, "target": target, "settle": _AT_ONCE}
    return settings.model_copy(update=changed)


def _target_place(settings: AgentSettings, place: Path) -> dict[str, str]:
    return {"path": str(place)} if settings.target is not None and settings.target.path is not None else {}


def _stood_in(part: SourcePart, stand: Stand | None) -> SourcePart:
    """Return the part with what it reads instead."""
    if stand is None:
        return part
    connector = RecordFile() if stand.records or not isinstance(part, FilePart) else part.connector
    reader: FileSource = connector
    settings: SourceSettings = part.settings.model_copy(update={"path": stand.pattern, "fetch": {}})
    return FilePart(part.name, settings, part.mappings, reader, Path(stand.pattern))


def start(copy: Copy, log: Path) -> subprocess.Popen[bytes]:
    """Start a single pass of a copy in a process of its own, which logs to *log*; the caller ends it."""
    copy.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # our own module, no shell
            [sys.executable, "-m", "agents.copies"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment(),
        )
    assert process.stdin is not None  # noqa: S101  # as asked for
    process.stdin.write(copy.to_json().encode())
    process.stdin.close()
    return process


def run(copy: Copy, log: Path) -> int:
    """Run a single pass of a copy in a process of its own and return its exit code; negative when it was killed."""
    process = start(copy, log)
    try:
        return process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        process.kill()
        process.wait()


def main() -> int:
    """Run the copy that standard input describes, once; it ends with who has started it."""
    end_with_parent()
    copy = Copy.from_json(sys.stdin.read())
    configure_logging()
    try:
        with CopiedAgent(copy) as agent:
            agent.run(once=True, limits=Limits(timedelta(seconds=copy.idle), timedelta(seconds=120)))
    except ZoneError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["CopiedAgent", "Copy", "Stand", "copied_settings", "run", "start"]
