"""Packs: folders with mappings, code tables, examples and tests for one system; running their tests is others' work."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mappings.document import Where, read
from mappings.problems import MappingError, Problem, nearest
from mappings.shelves import LIBRARY, PACK_FILE, installed, is_part, shelves
from mappings.spec import Reader, Table

_PACK: Final[dict[str, tuple[type, ...]]] = {
    "name": (str,),
    "title": (str,),
    "version": (str,),
    "homepage": (str,),
    "source": (list,),
}
_SOURCE: Final[dict[str, tuple[type, ...]]] = {
    "connector": (str,),
    "example": (str,),
    "mapping": (list,),
    "options": (dict,),
}


@dataclass(frozen=True, slots=True)
class PackSource:
    """One kind of file that a pack's system exports.

    Attributes:
        connector: What reads it, such as ``csv``.
        example: A made-up file, relative to the pack's folder; empty where there is none.
        mapping: The names of its mappings in order.
        options: The connector's options.
    """

    connector: str
    example: str
    mapping: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Pack:
    """A folder with mappings for one system.

    Attributes:
        name: The first part of its mappings' names.
        version: As its author counts.
        homepage: Where to read about it; empty where there is nothing.
    """

    name: str
    title: str
    version: str
    folder: Path
    sources: tuple[PackSource, ...]
    homepage: str = ""


def read_pack(folder: Path, library: Sequence[Path] = ()) -> Pack:
    """Return the pack that stands in a folder. Its mappings are looked for, not checked.

    Raises:
        MappingError: There is no ``pack.toml``, or it has problems; all of them are in ``problems``.
    """
    file = folder / PACK_FILE
    reader = Reader(read(file), shelves(library, file))
    given = reader.table((), reader.document.values, _PACK, ["name", "title", "version"])
    name = given.get("name", "")
    if "name" in given and not is_part(name):
        reader.report(("name",), "a pack's name has letters, digits, - and _, and begins with a letter or digit")
    sources = [_source(reader, folder, ("source", index), spec) for index, spec in enumerate(given.get("source", []))]
    reader.finish()
    return Pack(name, given["title"], given["version"], folder, tuple(sources), given.get("homepage", ""))


def packs(library: Sequence[Path] = ()) -> Mapping[str, Pack]:
    """Return the packs by name, sorted: of the site's folders, the library and installed packages, the first of a name.

    A pack with problems is not among them: ``pack_problems`` has what is wrong.
    """
    found: dict[str, Pack] = {}
    for read_one in _all(library):
        if isinstance(read_one, Pack):
            found.setdefault(read_one.name, read_one)
    return {name: found[name] for name in sorted(found)}


def pack_problems(library: Sequence[Path] = ()) -> tuple[Problem, ...]:
    """Return why packs are not among ``packs``; empty when all are right."""
    return tuple(problem for found in _all(library) if isinstance(found, MappingError) for problem in found.problems)


def _all(library: Sequence[Path]) -> Iterator[Pack | MappingError]:
    for expected, folder in _folders(library):
        try:
            pack = read_pack(folder, library)
        except MappingError as error:
            yield error
            continue
        if expected is None or pack.name == expected:
            yield pack
            continue
        message = f"this pack is found by the name {expected!r}, so that must be its name"
        yield MappingError([read(folder / PACK_FILE).problem(("name",), message, expected)])


def _folders(library: Sequence[Path]) -> Iterator[tuple[str | None, Path]]:
    """Yield the folders of packs, with the names that their mappings are found by."""
    for folder in (*library, LIBRARY):
        if (folder / PACK_FILE).is_file():
            yield None, folder
        for file in sorted(folder.glob(f"*/{PACK_FILE}")):
            yield file.parent.name, file.parent
    yield from installed().items()


def _source(reader: Reader, folder: Path, where: Where, spec: object) -> PackSource:
    given: Table = reader.table(where, spec, _SOURCE, ["connector", "mapping"])
    example = given.get("example", "")
    if example and not _is_inside(folder, example):
        message = f"there is no file {example!r} in the pack's folder: write a path such as examples/pupils.csv"
        reader.report((*where, "example"), message)
    names = given.get("mapping", [])
    if not names and "mapping" in given:
        reader.report((*where, "mapping"), "names no mapping: add at least one")
    known = reader.files.mapping_names()
    for index, name in enumerate(names):
        if not isinstance(name, str):
            reader.report((*where, "mapping", index), "must be the name of a mapping in quotes")
        elif name not in known:
            near = nearest(name[:200], known)
            reader.report((*where, "mapping", index), f"there is no mapping {name!r}", near)
    return PackSource(
        given.get("connector", ""),
        example,
        tuple(name for name in names if isinstance(name, str)),
        MappingProxyType(given.get("options", {})),
    )


def _is_inside(folder: Path, name: str) -> bool:
    """Whether there is a file of this name in a folder, wherever dots and links in it lead."""
    path = folder / name
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())
