"""Brings files of another machine into a folder over SFTP, the file transfer of SSH; reading them is a connector's.

The other machine is known by its host key, given in the settings, from the first time on; whatever else answers is
refused. A file is taken when its size and time stay the same for a moment, arrives under its name only when it is
whole, and keeps its time. Whoever puts files there does best to rename them into place.

Names, sizes and kinds of files are the other machine's word: names that could lead elsewhere, links and devices are
left alone, and what is too large is refused.
"""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import unquote, urlsplit

import asyncssh
import structlog
from asyncssh.constants import FILEXFER_TYPE_REGULAR
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agents.connectors.contract import SourceError
from agents.credentials import AgentFile, Secret, refuse_readable
from broker.protocol.durations import Duration
from broker.protocol.errors import ConfigurationError

log = structlog.get_logger(__name__)

_PORT: Final = 22
_CHUNK: Final = 1 << 20
"""Bytes that have to come within the timeout."""
_MAX_LISTED: Final = 100_000
_NAME: Final = re.compile(r"[^./\\][^/\\]*")
_MAX_NAME: Final = 200
_FORM: Final = "sftp://LOGIN@HOST/FOLDER/*.csv"
_PART: Final = ".part-"
"""How the name of a file begins that is not whole; readers leave hidden files out."""


class SftpOptions(BaseModel):
    """Options of ``path = "sftp://..."``, in ``[source.fetch]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: Secret | None = Field(default=None, description='Where the password is: "env:NAME" or "file:PATH".')
    key_file: AgentFile | None = Field(
        default=None, description="The agent's private key, readable by its owner alone."
    )
    passphrase: Secret | None = Field(default=None, description="Where the key's passphrase is, if it has one.")
    known_hosts: AgentFile | None = Field(default=None, description="File with the host's key, as OpenSSH writes it.")
    fingerprint: Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")] | None = Field(
        default=None, description="Or its fingerprint, SHA256:..., as `ssh-keygen -lf` prints it there."
    )
    settle: Duration = Field(
        default=timedelta(seconds=2), description="A file unchanged for so long has arrived there whole."
    )
    timeout: Duration = Field(default=timedelta(seconds=30), description="Longest silence of the other machine.")
    max_bytes: int = Field(default=1 << 30, ge=1, description="Largest file that is taken, in bytes.")
    max_total: int = Field(default=10 << 30, ge=1, description="Most that all files may have together, in bytes.")
    max_files: int = Field(default=1000, ge=1, le=_MAX_LISTED, description="Most files.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.known_hosts is None) == (self.fingerprint is None):
            raise ValueError(
                "who the other machine is has to be said: known_hosts = FILE, or fingerprint = "
                '"SHA256:..."; ask whoever runs it'
            )
        if self.password is None and self.key_file is None:
            raise ValueError('needs a login: key_file = FILE, or password = "env:NAME"')
        if self.passphrase is not None and self.key_file is None:
            raise ValueError("passphrase belongs to key_file: add it, or leave both out")
        if not timedelta(seconds=1) <= self.timeout <= timedelta(minutes=10) or self.settle > timedelta(minutes=10):
            raise ValueError('timeout and settle: write a time up to "10m"; timeout from "1s" on')
        return self


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the other machine lists it; the time in whole seconds, UTC."""

    size: int
    time: int


class SftpFetcher:
    """A folder of another machine."""

    Options: ClassVar[type[BaseModel]] = SftpOptions

    def __init__(self, url: str, options: BaseModel) -> None:
        """Take where the files are; the path is taken as it is written, from the root, or after ``~/`` from the home.

        Raises:
            ConfigurationError: The URL has no login, host or files, or has a password in it.
        """
        if not isinstance(options, SftpOptions):
            raise TypeError(f"options of sftp are needed, not {type(options).__name__}")
        self._options = options
        address, slash, path = url.partition("://")[2].partition("/")
        try:
            parts = urlsplit(f"sftp://{address}")
            self._host, self._port = parts.hostname or "", parts.port or _PORT
        except ValueError:
            raise ConfigurationError(f"path: host and port cannot be read: write {_FORM}") from None
        if parts.password is not None:
            raise ConfigurationError("path: has a password in it: take it out, and set password in [source.fetch]")
        self._user = unquote(parts.username or "")
        folder, _, self._pattern = path.rpartition("/")
        if not url.startswith("sftp://") or not self._user or not self._host or not slash or not self._pattern:
            raise ConfigurationError(f"path: login, host, folder and files are needed: write {_FORM}")
        if ".." in folder.split("/") or "\x00" in path:
            raise ConfigurationError("path: leads out of its folder: write the folder itself")
        self._folder = folder.removeprefix("~/") if folder.startswith("~/") else "." if folder == "~" else f"/{folder}"

    def fetch(self, folder: Path) -> None:
        """Make *folder* hold the files, each whole or not at all, with their times; touch none that has not changed.

        Local files that are no longer there are removed, but not when the listing fails.

        Raises:
            SourceError: The other machine cannot be reached, is not the one that is known, or refuses; a file is too
                large. What can be fetched all the same is.
        """
        self._run(self._fetch, folder)

    def check(self) -> str:
        """Return how many files there are.

        Raises:
            SourceError: The other machine cannot be reached, is not the one that is known, or refuses.
        """
        found: Mapping[str, _Remote] = self._run(self._look)
        return f"sftp://{self._host}{'' if self._port == _PORT else f':{self._port}'}: {len(found)} files to fetch"

    def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return asyncio.run(work(*arguments))
        except (asyncssh.Error, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # of our own folder
            raise SourceError(f"sftp://{self._host} {_reason(error)}") from None  # its text may have names of files

    async def _look(self) -> Mapping[str, _Remote]:
        async with self._connected() as sftp:
            return await self._list(sftp)

    async def _fetch(self, folder: Path) -> None:
        for part in folder.glob(f"{_PART}*"):
            part.unlink()
        async with self._connected() as sftp:
            listed = await self._list(sftp)
            wanted = {name for name, remote in listed.items() if not _is_here(folder / name, remote)}
            if wanted and self._options.settle:
                await asyncio.sleep(self._options.settle.total_seconds())
                before, listed = listed, await self._list(sftp)
                wanted = {name for name in wanted if listed.get(name) == before[name]}
            fitting = _fitting(listed, self._options)
            for name in sorted(wanted & fitting):
                await self._take(sftp, name, listed[name], folder)
        for path in folder.iterdir():
            if path.name not in listed and not path.is_dir():
                path.unlink()
        if len(fitting) < len(listed):
            raise SourceError(
                f"{len(listed) - len(fitting)} of {len(listed)} files are too large, or too many: set max_bytes, "
                "max_total or max_files if this is right"
            )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncssh.SFTPClient]:
        options, seconds = self._options, self._options.timeout.total_seconds()
        async with asyncssh.connect(
            self._host,
            self._port,
            config=None,  # nothing of the account that the agent runs as
            agent_path=None,
            username=self._user,
            password=None if options.password is None else options.password.reveal(SourceError),
            client_keys=_keys(options),
            known_hosts=_known_hosts(options),
            client_factory=lambda: _KnownHost(options.fingerprint),
            gss_host=None,
            compression_algs=None,
            connect_timeout=seconds,
            login_timeout=seconds,
            keepalive_interval=seconds,
        ) as connection:
            async with asyncio.timeout(seconds):
                sftp = await connection.start_sftp_client(path_errors="surrogateescape")
            async with sftp:
                yield sftp

    async def _list(self, sftp: asyncssh.SFTPClient) -> dict[str, _Remote]:
        """Return the files that match, by name.

        Raises:
            SourceError: More than anybody would put into a folder, or without sizes or times.
        """
        found: dict[str, _Remote] = {}
        listed = left = 0
        async with asyncio.timeout(self._options.timeout.total_seconds()):
            async for entry in sftp.scandir(self._folder):
                listed += 1
                if listed > _MAX_LISTED:
                    raise SourceError(f"more than {_MAX_LISTED:,} files in the folder: name one that has fewer")
                name, attributes = str(entry.filename), entry.attrs
                if name in (".", "..") or not fnmatchcase(name, self._pattern):
                    continue
                if not _is_plain(name) or attributes.type != FILEXFER_TYPE_REGULAR:
                    left += 1
                elif attributes.size is None or attributes.mtime is None:
                    raise SourceError("the other machine tells no size or time of files: use another server program")
                else:
                    found[name] = _Remote(attributes.size, attributes.mtime)
        if left:
            log.warning("not_fetched", host=self._host, names_or_kinds=left)
        return found

    async def _take(self, sftp: asyncssh.SFTPClient, name: str, remote: _Remote, folder: Path) -> None:
        """Put a file into the folder, unless it has changed meanwhile: then it is for the next time."""
        part = folder / f"{_PART}{secrets.token_hex(8)}"
        seconds = self._options.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                file = await sftp.open(f"{self._folder}/{name}", "rb")
            async with file:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    left = remote.size
                    while left:
                        async with asyncio.timeout(seconds):
                            data: Any = await file.read(min(left, _CHUNK), remote.size - left)
                        if not data or len(data) > left:
                            return
                        left -= out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                async with asyncio.timeout(seconds):
                    after = await file.stat()
            if (after.size, after.mtime) == (remote.size, remote.time):
                os.utime(part, (remote.time, remote.time))
                part.replace(folder / name)
        except asyncssh.SFTPNoSuchFile:
            return
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()


class _KnownHost(asyncssh.SSHClient):
    """Knows the other machine by its key's fingerprint, where that is how it is known."""

    def __init__(self, fingerprint: str | None) -> None:
        self._fingerprint = fingerprint

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Tell whether this is its key."""
        del host, addr, port
        return self._fingerprint is not None and key.get_fingerprint("sha256") == self._fingerprint


def _known_hosts(options: SftpOptions) -> Any:
    if options.known_hosts is None:
        return [], [], []  # none: the fingerprint decides
    return asyncssh.read_known_hosts(str(options.known_hosts))


def _keys(options: SftpOptions) -> Sequence[asyncssh.SSHKey] | None:
    """Return the agent's key; None keeps the account's own from being tried.

    Raises:
        SourceError: Others can read it; it cannot be read, or not with this passphrase.
    """
    if options.key_file is None:
        return None
    refuse_readable(options.key_file, SourceError)
    passphrase = None if options.passphrase is None else options.passphrase.reveal(SourceError)
    try:
        return [asyncssh.read_private_key(str(options.key_file), passphrase)]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError):
        raise SourceError(
            f"key_file {options.key_file} cannot be read: check that it is a private key, and passphrase"
        ) from None


def _is_plain(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name.isprintable() and len(name.encode()) <= _MAX_NAME


def _is_here(path: Path, remote: _Remote) -> bool:
    try:
        here = path.lstat()
    except FileNotFoundError:
        return False
    return (here.st_size, int(here.st_mtime)) == (remote.size, remote.time)


def _fitting(listed: Mapping[str, _Remote], options: SftpOptions) -> set[str]:
    """Return the names of the files that fit, the newest first where not all of them do."""
    fitting: set[str] = set()
    total = 0
    for name, remote in sorted(listed.items(), key=lambda item: (-item[1].time, item[0])):
        if remote.size <= options.max_bytes and total + remote.size <= options.max_total:
            total += remote.size
            fitting.add(name)
        if len(fitting) == options.max_files:
            break
    return fitting


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        asyncssh.HostKeyNotVerifiable,
        "is not the machine that is known: compare its key with whoever runs it, then set known_hosts or fingerprint",
    ),
    (asyncssh.PermissionDenied, "refuses the login: check the login in path, and key_file or password"),
    (asyncssh.SFTPNoSuchFile, "has no such folder: check path"),
    (asyncssh.SFTPNoSuchPath, "has no such folder: check path"),
    (asyncssh.SFTPPermissionDenied, "does not let this login read there: ask whoever runs it"),
    (asyncssh.ChannelOpenError, "offers no SFTP to this login: ask whoever runs it"),
    (TimeoutError, "is silent: this is tried again later; set timeout if it is slow"),
    (ValueError, "is not found in known_hosts, which cannot be read: write it anew with ssh-keyscan"),
)


def _reason(error: Exception) -> str:
    """Return what is wrong, in our words alone."""
    known = (what for kind, what in _REASONS if isinstance(error, kind))
    unknown = f"cannot be reached ({type(error).__name__}): check host and port in path, and the network"
    return next(known, unknown)


__all__ = ["SftpFetcher", "SftpOptions"]
