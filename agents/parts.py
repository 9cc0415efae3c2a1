"""Makes the parts that an agent's file names: connectors and fetchers with their options, mappings; others run them."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from pydantic import BaseModel, ValidationError

from agents import connectors, fetchers
from agents.connectors.contract import Feed, Fetcher, FileSource, Target
from agents.keys import LEARNER
from agents.settings import AgentSettings, SourceSettings, explain
from broker.protocol.errors import ConfigurationError
from mappings import InwardMapping, MappingError, OutwardMapping, load
from mappings.shelves import LIBRARY, installed

_SUFFIXES: Final = (".toml", ".csv")
_BASE: Final = re.compile(r"""^\s*(?:base|keys)\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
_SIDE_TABLE: Final = re.compile(r"""lookup:([^:"'\n]+)""")
_READ: Final = 64 * 1024


@runtime_checkable
class LocatingSource(Protocol):
    """A source that needs the zone's RefId of a learner while it reads."""

    def locate_with(self, locate: Callable[[Any], str | None]) -> None:
        """Take who is asked, with what the connector knows of a learner; None is answered where that names nobody."""


@runtime_checkable
class PackageSource(Protocol):
    """A source of packages, each of several files and named by one of them."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return all files that are read with *path*, which is one of them."""


@dataclass(frozen=True, slots=True)
class SourcePart:
    """One source, ready to be read: a FilePart or a FeedPart.

    Attributes:
        name: What the agent's database calls it, without any credentials; stays the same when other sources are added
            before it.
    """

    name: str
    settings: SourceSettings
    mappings: tuple[InwardMapping, ...]
    connector: Any

    @property
    def watched(self) -> Path | None:
        """The folder in which its files arrive by themselves; None where nothing does."""
        return None


@dataclass(frozen=True, slots=True)
class FilePart(SourcePart):
    """A source of files.

    Attributes:
        pattern: Where its files are on this machine, perhaps with wildcards in the last part.
        fetcher: Brings its files there from another machine, where they come from one.
    """

    connector: FileSource
    pattern: Path
    fetcher: Fetcher | None = None

    @property
    def watched(self) -> Path | None:
        """The folder in which its files arrive by themselves; None where they are fetched."""
        return self.pattern.parent if self.fetcher is None else None

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return all files that are read with *path*, sorted: any of them may have changed."""
        if not isinstance(self.connector, PackageSource):
            return (path,)
        try:
            return tuple(sorted({path, *self.connector.files(path)}))
        except OSError:
            return (path,)


@dataclass(frozen=True, slots=True)
class FeedPart(SourcePart):
    """A source that is no folder of files."""

    connector: Feed


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
        f"{settings.file}: two sources read {name}: put their mappings into one, or give each a name"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return Parts(tuple(sources), target, _mappings_mark(settings))


def _source(settings: AgentSettings, source: SourceSettings) -> SourcePart:
    made = connectors.find(source.connector)
    _check_reads(made, source)
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
    if not source.path:
        name = source.name or getattr(connector, "name", "") or source.connector
        return FeedPart(str(name), source, inward, connector)
    name = source.name or f"{source.connector} {source.path}"
    return FilePart(name, source, inward, connector, settings.pattern(source), _fetcher(settings, source))


def _check_reads(made: Any, source: SourceSettings) -> None:
    """Refuse a connector that does not read what is asked for: files where there is a path, a system where not."""
    reads_files, reads_systems = hasattr(made, "read"), hasattr(made, "read_since")
    if not (reads_files or reads_systems):
        raise ConfigurationError(f"connector {source.connector!r} reads nothing: use it as [target]")
    if not source.path and not reads_systems:
        raise ConfigurationError(
            f'path: is missing: connector {source.connector!r} reads files: add path = "exports/*.csv"'
        )
    if source.path and not reads_files:
        raise ConfigurationError(f"path: connector {source.connector!r} reads no files: leave it out")


def _fetcher(settings: AgentSettings, source: SourceSettings) -> Fetcher | None:
    if not source.scheme:
        return None
    made = fetchers.find(source.scheme)
    fetcher: Fetcher = made(source.path, _options(made, dict(source.fetch), settings.folder, "fetch: option"))
    return fetcher


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


def _options(made: Any, options: dict[str, Any], folder: Path, word: str = "option") -> BaseModel:
    """Return the options; *folder*, which is in the validation's context, is what their paths are relative to."""
    model: type[BaseModel] = made.Options
    try:
        return model.model_validate(options, context={"folder": folder})
    except ValidationError as error:
        raise ConfigurationError(explain(word, error, model)) from None


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


def _mappings_mark(settings: AgentSettings) -> str:
    """Return what changes with any file of the libraries and packs, and with those that mappings outside name."""
    mark = hashlib.sha256()
    for folder in (*_library(settings), LIBRARY, *installed().values()):
        for path in sorted(path for suffix in _SUFFIXES for path in folder.rglob(f"*{suffix}")):
            _add(mark, path)
    outside = {
        settings.folder / name for source in settings.sources for name in source.mapping if name.endswith(".toml")
    }
    for path in sorted(outside):
        for part in _with_others(path):
            _add(mark, part)
    return mark.hexdigest()[:16]


def _with_others(path: Path) -> tuple[Path, ...]:
    """Return a mapping file and those beside it that it may be made of: its bases, code tables and side tables."""
    found, left = [path], [path]
    while left:
        text = left.pop().read_text("utf-8", "replace")
        named = {f"{name}.toml" for name in _BASE.findall(text)} | {*_SIDE_TABLE.findall(text)}
        more = [beside for name in sorted(named) if (beside := path.parent / name).is_file() and beside not in found]
        found += more
        left += (beside for beside in more if beside.suffix == ".toml")
    return (*found, *sorted(path.parent.glob("codes/*.toml")))


def _add(mark: "hashlib._Hash", path: Path) -> None:
    with path.open("rb") as file:
        while part := file.read(_READ):
            mark.update(part)


__all__ = ["FeedPart", "FilePart", "LocatingSource", "PackageSource", "Parts", "SourcePart", "make_parts"]
