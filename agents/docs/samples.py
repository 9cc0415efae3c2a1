"""Gives people the example files of packs, to try mappings and agents on; what packs are is mappings.packs's affair."""

import difflib
import shutil
from pathlib import Path

from broker.protocol.errors import ConfigurationError
from mappings.packs import Pack, packs


def copy_sample(pack: str, name: str = "", out: Path | None = None) -> Path:
    """Copy an example of an installed pack and return the new file.

    Args:
        pack: Its name, for example ``sims-like``.
        name: The example's own file name; the first when empty.
        out: The new file, or a folder for it; beside where one is when None.

    Raises:
        ConfigurationError: There is no such pack or example; or the new file is there already, or cannot be written.
    """
    known = packs()
    if pack not in known:
        raise ConfigurationError(f"there is no pack {pack!r}: {_hint(pack, [*known])}")
    example = _example(known[pack], name)
    place = out if out is not None else Path()
    target = place / example.name if place.is_dir() else place
    try:
        with example.open("rb") as source, target.open("xb") as file:
            shutil.copyfileobj(source, file)
    except FileExistsError:
        raise ConfigurationError(f"{target}: is there already: give another name with --out") from None
    except OSError as error:
        raise ConfigurationError(f"{target}: cannot be written ({error.strerror}): check folder and rights") from error
    return target


def _example(pack: Pack, name: str) -> Path:
    examples = {Path(source.example).name: pack.folder / source.example for source in pack.sources if source.example}
    files = {key: path for key, path in examples.items() if path.is_file()}
    if not files:
        raise ConfigurationError(f"the pack {pack.name!r} has no example files: take another, see 'sifzone pack list'")
    if not name:
        return next(iter(files.values()))
    if name not in files:
        raise ConfigurationError(f"the pack {pack.name!r} has no example {name!r}: {_hint(name, [*files])}")
    return files[name]


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


__all__ = ["copy_sample"]
