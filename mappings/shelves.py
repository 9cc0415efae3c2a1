"""Where mapping files, key files and code tables stand, by name; what they say is others' work.

A name such as ``csv/learner`` is looked for on each shelf in turn: the site's folders, the library, installed packs.
A file with ``base`` is laid over the file of that name, or, where that is its own name, over the next one further down:
so a site's ``csv/learner`` can change the library's line by line.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mappings.document import Document, Where, read
from mappings.problems import MappingError, nearest

LIBRARY: Final = Path(__file__).parent / "library"
GROUP: Final = "sifzone.packs"
PACK_FILE: Final = "pack.toml"
MAX_BASES: Final = 8  # files laid over each other
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*")
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NO_MAPPINGS: Final = frozenset({"codes", "examples", "tests"})  # folders
_NO_MAPPING: Final = frozenset({"keys", "pack"})  # files


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder; of a pack that stands elsewhere, ``pack`` is the first part of its names."""

    folder: Path
    pack: str = ""

    def path(self, name: str) -> Path | None:
        """Return the file of this name; None when there is none, or a link leads out of the folder."""
        inner = name
        if self.pack:
            first, _, inner = name.partition("/")
            if first != self.pack or not inner:
                return None
        path = self.folder / f"{inner}.toml"
        return path if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()) else None

    def names(self) -> Iterator[str]:
        """Yield the names of its files, of packs and code tables too."""
        patterns = ("*.toml", "codes/*.toml") if self.pack else ("*.toml", "*/*.toml")
        for pattern in patterns:
            for path in self.folder.glob(pattern):
                inner = path.relative_to(self.folder).with_suffix("").as_posix()
                yield f"{self.pack}/{inner}" if self.pack else inner


class Shelves:
    """All shelves, those that come first before the others."""

    def __init__(self, shelves: Iterable[Shelf]) -> None:
        self.all: tuple[Shelf, ...] = tuple(dict.fromkeys(shelves))

    def find(self, name: str) -> Document | None:
        """Return the file of this name, laid over its base; None when there is none.

        Raises:
            MappingError: It cannot be read, or its base cannot be used.
        """
        path = next(self._paths(name), None)
        return None if path is None else self.open(path)

    def open(self, path: Path) -> Document:
        """Return a file, laid over its base.

        Raises:
            MappingError: It cannot be read, or its base cannot be used.
        """
        return self._whole(path, ())

    def codes(self, name: str, beside: Iterable[str]) -> Document | None:
        """Return a code table: from the folder ``codes`` beside one of these files, else of this name on a shelf."""
        if not _NAME.fullmatch(name):
            return None
        for folder in dict.fromkeys(Path(file).parent / "codes" for file in beside):
            path = Shelf(folder).path(name)
            if path is not None:
                return self.open(path)
        return self.find(f"codes/{name}")

    def code_names(self, beside: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the code tables that ``codes`` finds, sorted."""
        found = {name.removeprefix("codes/") for name in self.names() if name.startswith("codes/")}
        return tuple(sorted(found.union(*(Shelf(Path(file).parent / "codes").names() for file in beside))))

    def names(self) -> tuple[str, ...]:
        """Return the names of all files, sorted."""
        return tuple(sorted({name for shelf in self.all for name in shelf.names()}))

    def mapping_names(self) -> tuple[str, ...]:
        """Return the names of the mappings, sorted: key files, code tables and packs' own files are not among them."""
        return tuple(name for name in self.names() if _is_mapping(name))

    def _paths(self, name: str) -> Iterator[Path]:
        """Yield the files of a name from the first shelf to the last; a name cannot lead out of the folders."""
        if _NAME.fullmatch(name):
            yield from filter(None, (shelf.path(name) for shelf in self.all))

    def _whole(self, path: Path, above: tuple[Path, ...]) -> Document:
        document = read(path)
        spelt = document.values.get("base")
        if spelt is None:
            return document
        here, chain = ("base",), (*above, path.resolve())
        if not isinstance(spelt, str):
            raise MappingError([document.problem(here, "'base' must be a text in quotes: the name of a mapping")])
        if len(chain) >= MAX_BASES:
            raise MappingError(
                [document.problem(here, f"more than {MAX_BASES} files are laid over each other: use fewer")]
            )
        found = self._below(spelt, path.resolve())
        if found is None:
            near = nearest(spelt[:200], (name for name in self.names() if name != spelt))
            message = f"there is no other file {spelt[:200]!r} to be the base of this one"
            raise MappingError([document.problem(here, message, near)])
        if found.resolve() in chain:
            raise MappingError(
                [document.problem(here, f"the base {spelt!r} is made of this file itself: name another")]
            )
        own = replace(document, values={name: value for name, value in document.values.items() if name != "base"})
        return own.over(self._whole(found, chain), _merged)

    def _below(self, name: str, path: Path) -> Path | None:
        """Return the file of a name; where *path* itself has this name, the next one further down."""
        found = list(self._paths(name))
        own = [index for index, other in enumerate(found) if other.resolve() == path]
        return next(iter(found[own[-1] + 1 :] if own else found), None)


def shelves(library: Sequence[Path] = (), file: Path | None = None) -> Shelves:
    """Return where a mapping is looked for: the site's folders, beside *file*, the library, installed packs."""
    folders = [*library, *([] if file is None else [file.parent])]
    own = [shelf for folder in folders for shelf in (*_as_pack(folder), Shelf(folder))]
    packs = [Shelf(folder, name) for name, folder in installed().items()]
    return Shelves([*own, Shelf(LIBRARY), *packs])


@cache
def installed() -> Mapping[str, Path]:
    """Return the folders of the packs that other packages bring, by name.

    A package is looked for and not imported; one within another makes Python import the outer one.
    """
    found = {}
    for entry in entry_points(group=GROUP):
        folder = _folder(entry.value)
        if folder is not None and is_part(entry.name):
            found[entry.name] = folder
    return found


def _folder(package: str) -> Path | None:
    """Return the folder of a package, or None when it cannot be found, whatever is wrong with it."""
    try:
        spec = find_spec(package)
    except Exception:  # noqa: BLE001 - a package that is broken must not stop the mappings of others
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def _as_pack(folder: Path) -> tuple[Shelf, ...]:
    """Return the shelf of a folder that is a pack, by the name that its ``pack.toml`` gives it."""
    path = folder / PACK_FILE
    if not path.is_file():
        return ()
    try:
        name = read(path).values.get("name")
    except MappingError:  # whoever asks for the pack is told
        name = None
    return (Shelf(folder, name if isinstance(name, str) and is_part(name) else folder.resolve().name),)


def is_part(name: str) -> bool:
    """Whether a pack can have this name."""
    return _PART.fullmatch(name) is not None


def _is_mapping(name: str) -> bool:
    *folders, last = name.split("/")
    return last not in _NO_MAPPING and not _NO_MAPPINGS.intersection(folders)


def _merged(where: Where) -> bool:
    """Whether a table is merged with its base's line by line: settings and lines are, what stands in a line is not."""
    match where:
        case ("fields" | "pick" | "lists" | "keys" | "codes",) | ("pick" | "lists", _) | ("lists", _, "fields"):
            return True
    return False
