"""New folders: whole or not at all, never over what is there; what is in them is others' matter."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from broker.protocol.errors import ConfigurationError

SECRET: Final = 0o600
"""Mode of files with personal data or a password."""
IGNORED: Final = """# what must not leave this machine: personal data, and the agent's login, key and memory
/exports/
/.*/
/credentials.toml
"""


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Give an empty folder that is *place* after the block, and nothing at all when the block raises.

    Mode 700: what an agent reads and keeps is personal data.

    Raises:
        ConfigurationError: There is something of this name, or the folder cannot be made.
    """
    if place.exists() or place.is_symlink():
        raise ConfigurationError(
            f"{place}: is there already: choose another name, or move it away; nothing was changed"
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        try:
            yield made
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(f"{place}: cannot be made ({error.strerror}): check name, rights and space") from error


def written(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder, sorted, each relative to it."""
    return tuple(sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()))


__all__ = ["IGNORED", "SECRET", "new_folder", "written"]
