"""An agent of files alone: agent.toml, its mappings and an export to try them on, copied into a folder of its own."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from agents import connectors
from agents.connectors.contract import SourceError
from agents.parts import make_parts
from agents.scaffold.place import IGNORED, SECRET, new_folder
from agents.settings import read_settings
from agents.workbench.samples import open_sample
from agents.zone_files import ENTRY, ZoneAgent, entry_lines, toml_text, toml_texts
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from mappings import InwardMapping, MappingError, load, shipped_names

_MOST: Final = 1_000_000
"""Bytes of the largest mapping file."""
_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})
_FILE: Final = "agent.toml"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is known of an agent that is to be made.

    Attributes:
        mappings: Files ending in ``.toml``, which are copied, or names of the library.
        sample: An export, which is copied.
        connector: What reads exports; told by the sample's content when empty.
        options: The connector's options.
        objects: Where no mapping is named: the objects for which the connector's mappings in the library are taken.
        establishments: Schools it speaks for, for the zone's administrator.
    """

    agent: AgentId
    mappings: Sequence[str] = ()
    sample: Path | None = None
    connector: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: _NO_OPTIONS)
    objects: Sequence[str] = ()
    establishments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """An agent's folder.

    Attributes:
        entry: What its zone's administrator is asked for.
        missing: Options of the connector that are still to be filled in; until then the agent does not run.
    """

    folder: Path
    entry: ZoneAgent
    missing: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """The agent's file."""
        return self.folder / _FILE


def make_folder(place: Path, wishes: Wishes) -> Made:
    """Make an agent's folder and return what is in it.

    Raises:
        ConfigurationError: The place is taken, or a mapping, the sample or the connector cannot be used: says which
            and what to do. Nothing is left behind.
    """
    connector, options = _connector(wishes)
    model: type[BaseModel] = getattr(connectors.find(connector), "Options", BaseModel)
    is_feed = hasattr(connectors.find(connector), "read_since")
    missing = tuple(_missing(model, options))
    with new_folder(place) as folder:
        names = list(wishes.mappings) or _of_library(connector, wishes.objects)
        objects = _objects(names)
        copied: set[Path] = set()
        names = [_mapping(folder, name, copied) for name in names]
        source = _source(connector, None if is_feed else _path(folder, wishes.sample, connector), names)
        lines = [*_HEAD.format(id=toml_text(wishes.agent)).splitlines(), *source, *_options(model, options)]
        (folder / _FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
        entry = ZoneAgent(wishes.agent, establishments=wishes.establishments, publish=objects)
        (folder / ENTRY).write_text("\n".join(entry_lines(entry)) + "\n", encoding="utf-8")
        if not missing:
            _check(folder, place)
    return Made(place, entry, missing)


_HEAD: Final = """# What this agent reads and publishes. Paths are relative to this file.
# Check it: sifzone agent check FILE. Try it in a zone of its own: sifzone agent try FILE. Run: sifzone agent run FILE.
id = {id}
credentials = "credentials.toml"   # its login, from the zone's administrator; readable by its owner alone (chmod 600)

[[source]]"""


def _connector(wishes: Wishes) -> tuple[str, Mapping[str, Any]]:
    if wishes.sample is None:
        if wishes.connector:
            return wishes.connector, wishes.options
        raise ConfigurationError("say how exports are read: --from SAMPLE, or --connector NAME, for example csv")
    if wishes.sample.is_dir():
        raise ConfigurationError(f"{wishes.sample}: is a folder: name one file of it, or a .zip with all of them")
    try:
        found = open_sample(wishes.sample, wishes.connector or None, wishes.options)
    except SourceError as error:
        raise ConfigurationError(f"{wishes.sample}: {error}") from error
    return found.connector, found.options


def _mapping(folder: Path, name: str, copied: set[Path]) -> str:
    """Copy a mapping with the files that it needs; return what the agent's file calls it."""
    if not name.endswith(".toml"):
        return name
    file = Path(name)
    _copy(file.resolve(), folder / "mappings", copied)
    return f"mappings/{file.name}"


def _copy(file: Path, to: Path, copied: set[Path]) -> None:
    """Copy a file, and those beside it and in ``codes`` that it names."""
    if file in copied or file.stat().st_size > _MOST:
        return
    copied.add(file)
    to.mkdir(parents=True, exist_ok=True)
    if (to / file.name).exists():
        raise ConfigurationError(f"{file}: another mapping's file has this name too: rename one of them")
    shutil.copyfile(file, to / file.name)
    if file.suffix != ".toml":
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    codes = _files(file.parent / "codes")
    places = dict.fromkeys(_files(file.parent), to) | dict.fromkeys(codes, to / "codes")
    for other, place in places.items():
        wanted = f'"{other.stem}"' if other.suffix == ".toml" else f'"lookup:{other.name}'  # never what a title names
        if wanted in text:
            _copy(other, place, copied)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in (".toml", ".csv") and path.is_file())


def _of_library(connector: str, objects: Sequence[str]) -> list[str]:
    known = {name: load(name) for name in shipped_names() if name.startswith(f"{connector}/")}
    found = [n for n, m in known.items() if isinstance(m, InwardMapping) and m.object_type in objects]
    if found:
        return found
    wanted = f"the library has none from {connector} for {', '.join(objects)}" if objects else "none is named"
    raise ConfigurationError(
        f"a mapping is needed, and {wanted}: name one with --mapping, or make one: "
        "sifzone mapping new --from SAMPLE --object LearnerPersonal"
    )


def _objects(names: Iterable[str]) -> list[str]:
    """Return the objects that mappings make, once each."""
    found: dict[str, None] = {}
    for name in names:
        if name.endswith(".toml") and not Path(name).is_file():
            raise ConfigurationError(f"{name}: there is no such file: name a mapping's file, or a name of the library")
        try:
            mapping = load(Path(name)) if name.endswith(".toml") else load(name)
        except MappingError as error:
            lines = "\n".join(map(str, error.problems))
            raise ConfigurationError(
                f"mapping {name}:\n{lines}\nMend it first: sifzone mapping check {name}"
            ) from error
        if not isinstance(mapping, InwardMapping):
            raise ConfigurationError(
                f"mapping {name}: makes rows of objects: an agent that reads needs one that makes objects"
            )
        found[mapping.object_type] = None
    return list(found)


def _path(folder: Path, sample: Path | None, connector: str) -> str:
    """Copy the sample, and return which files are to be read."""
    exports = folder / "exports"
    exports.mkdir()
    if sample is None:
        return f"exports/*{_SUFFIXES.get(connector, '')}"
    copy = exports / sample.name
    copy.touch(mode=SECRET)
    shutil.copyfile(sample, copy)
    return f"exports/*{sample.suffix}"


_SUFFIXES: Final = {
    "csv": ".csv",
    "ctf": ".xml",
    "xml": ".xml",
    "xlsx": ".xlsx",
    "ssda903": ".csv",
    "fixed-width": ".txt",
}


def _source(connector: str, path: str | None, names: Sequence[str]) -> Iterator[str]:
    yield f"connector = {toml_text(connector)}"
    if path is not None:
        yield f"path = {toml_text(path)}   # each export that arrives here is read"
    yield f"mapping = {toml_texts(names)}"
    yield 'every = "15m"   # how often to look' + (", besides when a file arrives" if path is not None else "")
    if path is not None:
        yield "# complete = true   # the newest export is the whole picture: who is no longer in it is deleted"


def _options(model: type[BaseModel], options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options that were given, then what else the connector can be told, as comments."""
    for name, value in options.items():
        yield f"{name} = {_value(value)}"
    rest = {name: info for name, info in model.model_fields.items() if (info.alias or name) not in options}
    if rest:
        yield "# What else this connector can be told:"
    for name, info in rest.items():
        default = "..." if info.is_required() else _value(info.get_default(call_default_factory=True))
        needed = "needed: " if info.is_required() else ""
        yield f"# {info.alias or name} = {default}   # {needed}{' '.join((info.description or '').split())}".rstrip(
            " #"
        )


def _value(value: object) -> str:
    """Return a value as TOML has it; of one that TOML has no word for, three dots."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{toml_text(str(k))} = {_value(v)}" for k, v in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    return "..."


def _missing(model: type[BaseModel], options: Mapping[str, Any]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if info.is_required() and (info.alias or name) not in options:
            yield info.alias or name


def _check(folder: Path, place: Path) -> None:
    """Make sure that the agent runs as it is."""
    try:
        make_parts(read_settings(folder / _FILE))
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace(str(folder), str(place))) from error


__all__ = ["Made", "Wishes", "make_folder"]
