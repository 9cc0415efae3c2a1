"""What is in force of a zone's configuration: a copy of its files, taken whole, which nobody edits.

People edit the zone's folder; all that runs reads the newest snapshot, in ``state/applied/``. What changes from one to
the next is :mod:`broker.plan`'s to say, and making RabbitMQ follow the supervisor's.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import IO, Final

from broker.protocol.errors import ConfigurationError
from broker.settings import Zone, configuration_files, load_zone

KEPT: Final = 10
"""Snapshots that are kept, the one in force among them: what was in force before can be looked up."""
_CURRENT: Final = "current"
_RUNNING: Final = "running"
_CLAIM_SECONDS: Final = 1.0
"""Longer than anybody holds the lock who only asks."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A copy of a zone's files that can be put in force.

    Attributes:
        zone: What the copy says.
    """

    zone: Zone
    _copy: Path

    def put_in_force(self) -> Zone:
        """Make the copy the zone's snapshot, durable on return; all that runs takes it up within two seconds."""
        place = self._copy.parent
        with _written(place), _locked(place):
            name = f"{int(max(_snapshots(place), default='0')) + 1:06}"
            self._copy.rename(place / name)
            link = place / f".{_CURRENT}"
            link.unlink(missing_ok=True)
            link.symlink_to(name)
            link.replace(place / _CURRENT)
            _sync(place)
            for old in _snapshots(place)[:-KEPT]:
                shutil.rmtree(place / old, ignore_errors=True)
        return replace(self.zone, snapshot=name)


@contextmanager
def draft(folder: Path) -> Iterator[Draft]:
    """Copy the configuration of the zone in *folder*, checked; the copy is gone after the block unless put in force.

    Raises:
        ConfigurationError: Says which file of the folder is wrong, and how to mend it.
    """
    load_zone(folder)  # names the files that people edit
    place = _place(folder)
    with _written(place):
        for path in (place.parent, place):
            path.mkdir(mode=0o700, exist_ok=True)
        copy = Path(tempfile.mkdtemp(prefix=".draft-", dir=place))
    try:
        with _written(copy):
            _copy(folder, copy)
        yield Draft(load_zone(folder, copy), copy)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def apply_folder(folder: Path) -> Zone:
    """Put in force what *folder* says now.

    Raises:
        ConfigurationError: Says which file is wrong; what was in force stays so.
    """
    with draft(folder) as drafted:
        return drafted.put_in_force()


def applied_name(folder: Path) -> str:
    """Return the name of the snapshot in force, another for each; empty when there is none. Cheap to ask often."""
    try:
        return (_place(folder) / _CURRENT).readlink().name
    except FileNotFoundError:
        return ""


def applied_zone(folder: Path) -> Zone:
    """Return the zone in *folder* as its snapshot says; all but its configuration is in the folder itself.

    Raises:
        ConfigurationError: Nothing was ever applied, or this version of sifzone cannot use what was.
    """
    name = applied_name(folder)
    if not name:
        raise ConfigurationError(f"nothing is in force in {folder} yet: run 'sifzone zone apply', or 'sifzone up'")
    return load_zone(folder, _place(folder) / name)


def claim(zone: Zone) -> IO[str]:
    """Return a file by which others know that *zone* runs, until it is closed or this process ends.

    Raises:
        ConfigurationError: Another process runs it.
    """
    zone.state.mkdir(mode=0o700, exist_ok=True)
    file = (zone.state / _RUNNING).open("a")
    until = time.monotonic() + _CLAIM_SECONDS
    while not _try(file, LOCK_EX):
        if time.monotonic() > until:
            file.close()
            raise ConfigurationError(f"the zone in {zone.folder} runs already: stop the other 'sifzone up' first")
        time.sleep(0.02)
    return file


def is_running(zone: Zone) -> bool:
    """Tell whether some process has claimed *zone*."""
    try:
        with (zone.state / _RUNNING).open() as file:
            return not _try(file, LOCK_SH)
    except FileNotFoundError:
        return False


def in_force_file(zone: Zone) -> Path:
    """Return the file in which the supervisor names the snapshot that everything works by."""
    return zone.state / "ready" / "applied"


def named_in(path: Path) -> str:
    """Return the name of the snapshot in one of the files that tell of it; empty when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _try(file: IO[str], how: int) -> bool:
    try:
        flock(file, how | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place(folder: Path) -> Path:
    return folder.resolve() / "state" / "applied"


def _snapshots(place: Path) -> list[str]:
    """Return the names of the snapshots, oldest first."""
    return sorted(path.name for path in place.iterdir() if path.name.isdecimal())


def _copy(folder: Path, copy: Path) -> None:
    for file in configuration_files(folder):
        target = copy / file
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((folder / file).read_bytes())
        _sync(target)
    for path in (*(path for path in copy.iterdir() if path.is_dir()), copy):
        _sync(path)


def _sync(path: Path) -> None:
    """See that *path*, a file or a folder, is on the disk: a snapshot without its content would stop the zone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Keep others from numbering a snapshot."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _written(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"the configuration cannot be copied to {place} ({error.strerror}): see that it may be written and has room"
        ) from error
