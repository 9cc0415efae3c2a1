"""Makes the parts that an agent's file names: connectors with their options, and mappings; others run them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ValidationError

from agents import connectors
from agents.connectors.contract import FileSource, Target
from agents.keys import LEARNER
from agents.settings import AgentSettings, SourceSettings, explain
from broker.protocol.errors import ConfigurationError
from mappings import InwardMapping, MappingError, OutwardMapping, load
from mappings.loader import LIBRARY


@runtime_checkable
class LocatingSource(Protocol):
    """A source that needs the zone's RefId of a learner while it reads."""

    def locate_with(self, locate: Callable[[Any], str | None]) -> None:
        """Take who is asked, with what the connector knows of a learner; None is answered where that names nobody."""


@dataclass(frozen=True, slots=True)
class SourcePart:
    """One source, ready to be read.

    Attributes:
        name: What the agent's database calls it; stays the same when other sources are added before it.
        mark: Changes with its settings and with any file of mappings.
    """

    name: str
    settings: SourceSettings
    pattern: Path
    connector: FileSource
    mappings: tuple[InwardMapping, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts of an agent.

    Attributes:
        mappings_mark: Changes with any file of mappings.
    """

    sources: tuple[SourcePart, ...]
    target: Target | None
    mappings_mark: str


def make_parts(settings: AgentSettings) -> Parts:
    """Return what the agent's file asks for.

    Raises:
        ConfigurationError: A connector, an option or a mapping is unknown or wrong; lists all faults of all parts.
    """
    faults: list[str] = []
    sources: list[SourcePart] = []
    for number, source in enumerate(settings.sources, start=1):
        try:
            sources.append(_source(settings, source))
        except ConfigurationError as error:
            faults += [f"{settings.file}: source {number}: {line}" for line in str(error).splitlines()]
    target = None
    try:
        target = _target(settings)
    except ConfigurationError as error:
        faults += [f"{settings.file}: {line}" for line in str(error).splitlines()]
    names = [source.name for source in sources]
    faults += [
        f"{settings.file}: two sources read {name}: put their mappings into one"
        for name in {*names}
        if names.count(name) > 1
    ]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return Parts(tuple(sources), target, _mappings_mark(_library(settings)))


def _source(settings: AgentSettings, source: SourceSettings) -> SourcePart:
    made = connectors.find(source.connector)
    if not hasattr(made, "read"):
        raise ConfigurationError(f"connector {source.connector!r} reads nothing: use it as [target]")
    connector = made(_options(made, dict(source.options), settings.folder))
    found = [_mapping(settings, name) for name in source.mapping]
    inward = tuple(mapping for mapping in found if isinstance(mapping, InwardMapping))
    if len(inward) != len(found):
        raise ConfigurationError(
            "mapping: one of them makes table rows of objects: a source needs one that makes objects"
        )
    if source.locates and not (
        isinstance(connector, LocatingSource) or any(mapping.object_type == LEARNER for mapping in inward)
    ):
        raise ConfigurationError(
            "locate: none of its mappings makes LearnerPersonal, by which the zone is asked: "
            "set it where the learners are"
        )
    return SourcePart(f"{source.connector} {source.path}", source, settings.pattern(source), connector, inward)


def _target(settings: AgentSettings) -> Target | None:
    target = settings.target
    if target is None:
        return None
    made = connectors.find(target.connector)
    if not hasattr(made, "write"):
        raise ConfigurationError(f"target: connector {target.connector!r} writes nothing: use it in [[source]]")
    found = [_mapping(settings, name) for name in target.mapping]
    outward = tuple(mapping for mapping in found if isinstance(mapping, OutwardMapping))
    if len(outward) != len(found):
        raise ConfigurationError("target: mapping: one of them makes objects: a target needs one that makes table rows")
    connector: Target = made(settings.target_path(), outward, _options(made, dict(target.options), settings.folder))
    return connector


def _options(made: Any, options: dict[str, Any], folder: Path) -> BaseModel:
    """Return the options; *folder*, which is in the validation's context, is what their paths are relative to."""
    model: type[BaseModel] = made.Options
    try:
        return model.model_validate(options, context={"folder": folder})
    except ValidationError as error:
        raise ConfigurationError(explain("option", error, model)) from None


def _mapping(settings: AgentSettings, name: str) -> InwardMapping | OutwardMapping:
    try:
        if name.endswith(".toml"):
            return load(settings.folder / name, _library(settings))
        return load(name, _library(settings))
    except MappingError as error:
        raise ConfigurationError("\n".join(f"mapping {name!r}: {problem}" for problem in error.problems)) from error


def _library(settings: AgentSettings) -> tuple[Path, ...]:
    """The site's own mappings, beside the agent's file."""
    folder = settings.folder / "mappings"
    return (folder,) if folder.is_dir() else ()


def _mappings_mark(folders: tuple[Path, ...]) -> str:
    mark = hashlib.sha256()
    for folder in (*folders, LIBRARY):
        for path in sorted(folder.rglob("*.toml")):
            mark.update(path.read_bytes())
    return mark.hexdigest()[:16]


__all__ = ["LocatingSource", "Parts", "SourcePart", "make_parts"]
