"""Finds mapping files, key files and code tables by name: in a site's own folders, then in the library."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mappings.document import Document, read
from mappings.inward import InwardMapping, compile_inward
from mappings.outward import OutwardMapping, compile_outward
from mappings.problems import MappingError, Problem, nearest
from mappings.spec import Reader

LIBRARY: Final = Path(__file__).parent / "library"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*")


def load(name: str | Path, library: Sequence[Path] = ()) -> InwardMapping | OutwardMapping:
    """Return a mapping, checked as a whole.

    Args:
        name: A name in the library, such as ``ctf/learner``; or, as a Path, a file.
        library: Folders of the site's own; what is in them comes before what comes with the package.

    Raises:
        MappingError: There is no such file, or it has problems; all of them are in ``problems``.
    """
    if isinstance(name, Path):
        folders = (*library, name.parent, LIBRARY)
        document, shown = read(name), name.stem
    else:
        folders = (*library, LIBRARY)
        found = _find(name, folders)
        if found is None:
            raise MappingError([_unknown(name, folders)])
        document, shown = found, name
    reader = Reader(document, lambda part: _find(part, folders), lambda: _names(folders))
    if "row" in document.values:
        return compile_outward(shown, reader)
    return compile_inward(shown, reader)


def shipped_names(library: Sequence[Path] = ()) -> tuple[str, ...]:
    """Return the names of the mappings that can be loaded, sorted; key files and code tables are not among them."""
    folders = (*library, LIBRARY)
    return tuple(
        name for name in _names(folders) if not name.startswith("codes/") and name.rpartition("/")[2] != "keys"
    )


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    found = {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in folders
        for pattern in ("*.toml", "*/*.toml")
        for path in folder.glob(pattern)
    }
    return tuple(sorted(found))


def _find(name: str, folders: Sequence[Path]) -> Document | None:
    """Return a file of the library; a name cannot lead out of its folders."""
    if not _NAME.fullmatch(name):
        return None
    for folder in folders:
        path = folder / f"{name}.toml"
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return read(path)
    return None


def _unknown(name: str, folders: Sequence[Path]) -> Problem:
    names = [known for known in _names(folders) if not known.startswith("codes/")]
    message = "there is no mapping of this name: 'sifzone mapping list' shows what there is"
    return Problem(name[:200], 0, 0, message, nearest(name[:200], names))
