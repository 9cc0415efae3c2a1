"""Loads mappings by name or file: finds the file, lays it over its base, and has it compiled."""

from collections.abc import Sequence
from pathlib import Path

from mappings.document import Document
from mappings.inward import InwardMapping
from mappings.inward_compiler import compile_inward
from mappings.outward import OutwardMapping, compile_outward
from mappings.problems import MappingError, Problem, nearest
from mappings.shelves import LIBRARY, Shelves, shelves
from mappings.spec import Reader

__all__ = ["LIBRARY", "load", "open_document", "shipped_names"]


def load(name: str | Path, library: Sequence[Path] = ()) -> InwardMapping | OutwardMapping:
    """Return a mapping, checked as a whole.

    Args:
        name: A name in the library, such as ``ctf/learner``, or of a pack; or, as a Path, a file.
        library: Folders of the site's own; what is in them comes before what comes with the package.

    Raises:
        MappingError: There is no such file, or it has problems; all of them are in ``problems``.
    """
    found = shelves(library, name if isinstance(name, Path) else None)
    document = _open(name, found)
    shown = name.stem if isinstance(name, Path) else name
    reader = Reader(document, found)
    try:
        if "row" in document.values:
            return compile_outward(shown, reader)
        return compile_inward(shown, reader)
    except RecursionError as error:  # references in references
        raise MappingError([document.problem((), "nested too deeply: this is not a mapping file")]) from error


def open_document(name: str | Path, library: Sequence[Path] = ()) -> Document:
    """Return what a mapping file says, laid over its base and not yet checked; each key with the file it stands in.

    Args:
        name: A name in the library, or, as a Path, a file.
        library: Folders of the site's own, as for ``load``.

    Raises:
        MappingError: There is no such file, it is not TOML, or its base cannot be used.
    """
    return _open(name, shelves(library, name if isinstance(name, Path) else None))


def shipped_names(library: Sequence[Path] = ()) -> tuple[str, ...]:
    """Return the names of the mappings that can be loaded, sorted; key files and code tables are not among them."""
    return shelves(library).mapping_names()


def _open(name: str | Path, found: Shelves) -> Document:
    if isinstance(name, Path):
        return found.open(name)
    document = found.find(name)
    if document is None:
        raise MappingError([_unknown(name, found)])
    return document


def _unknown(name: str, found: Shelves) -> Problem:
    message = "there is no mapping of this name: 'sifzone mapping list' shows what there is"
    return Problem(name[:200], 1, 1, message, nearest(name[:200], found.mapping_names()))
