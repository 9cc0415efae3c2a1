"""The settings of an agent: its TOML file, its credentials and the environment; read once, passed on, never changed."""

import difflib
import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from broker.protocol.durations import Duration
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId, parse_agent_id

URL_VARIABLE: Final = "SIFZONE_URL"
_MAX_BYTES: Final = 1_000_000
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_PERCENT: Final = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")


def _percent(value: object) -> object:
    if isinstance(value, float):
        return value
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) > 100:
        raise ValueError('write a percentage in quotes, for example "10%"')
    return float(found[1]) / 100


def _id(value: object) -> object:
    return parse_agent_id(value) if isinstance(value, str) else value


Percent = Annotated[float, BeforeValidator(_percent)]


class SourceSettings(BaseModel):
    """One ``[[source]]``: files or a system to read; what this model does not name is the connector's own option."""

    model_config = ConfigDict(frozen=True, extra="allow")

    connector: str = Field(description="Name of the connector that reads, for example ctf or sql.")
    path: str = Field(
        default="",
        description="File or pattern, relative to the agent's file: exports/*.xml; or on another machine: "
        "sftp://mis@host/exports/*.xml. None for a connector that reads no files, for example sql.",
    )
    fetch: dict[str, Any] = Field(
        default_factory=dict, description="Options of what fetches the files of another machine: [source.fetch]."
    )
    name: str = Field(
        default="",
        max_length=64,
        description="What the source is called; needed only to tell two apart that read the same.",
    )
    mapping: tuple[str, ...] = Field(min_length=1, description="Mappings by library name or as a file.")
    every: Duration = Field(
        default=timedelta(minutes=15), description="How often to look, besides when a file arrives."
    )
    complete: bool = Field(
        default=False,
        description="The newest file is the whole picture: what is no longer in it is deleted or emptied.",
    )
    max_deletes: Percent = Field(
        default=0.10, description="Largest part of what was published that one file may delete."
    )

    locate: bool = Field(
        default=False,
        description="Before anything of a learner is published, ask the zone whose record it is.",
    )
    locate_only: bool = Field(
        default=False,
        description="As locate, of a source that makes no learners: who is not known in the zone is left out.",
    )

    @property
    def options(self) -> Mapping[str, Any]:
        """What is left for the connector."""
        return self.model_extra or {}

    @property
    def scheme(self) -> str:
        """How the other machine is spoken to on which the files are, for example sftp; empty for files of this one."""
        found = _URL.match(self.path)
        return found[1].lower() if found else ""

    @property
    def locates(self) -> bool:
        """Whether the zone is asked whose record each learner is."""
        return self.locate or self.locate_only


class TargetSettings(BaseModel):
    """The ``[target]``: where received objects go; what this model does not name is the connector's own option."""

    model_config = ConfigDict(frozen=True, extra="allow")

    connector: str = Field(description="Name of the connector that writes, for example oneroster or inbox.")
    path: str | None = Field(default=None, description="Folder to write to, relative to the agent's file.")
    mapping: tuple[str, ...] = Field(default=(), description="Mappings by library name or as a file.")
    every: Duration = Field(default=timedelta(seconds=5), description="How often to write, when something has changed.")

    @property
    def options(self) -> Mapping[str, Any]:
        """What is left for the connector."""
        return self.model_extra or {}


class AgentSettings(BaseModel):
    """An agent's file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: Annotated[AgentId, BeforeValidator(_id)] = Field(description="SIF_SourceId and login in the zone.")
    name: str = Field(default="", max_length=64, description="What people call it; its id when empty.")
    zone: SecretStr | None = Field(
        default=None, description="AMQP URL with login, for example amqps://login:...@host/zone."
    )
    credentials: Path | None = Field(default=None, description="TOML file with url = ..., readable by its owner alone.")
    ca_file: Path | None = Field(default=None, description="Certificates to trust, PEM; the system's when left out.")
    certificate_file: Path | None = Field(default=None, description="The agent's certificate and key, PEM.")
    state: Path | None = Field(
        default=None, description="Folder of spool, inbox and key; .<id> beside the file when left out."
    )
    sources: tuple[SourceSettings, ...] = Field(default=(), alias="source")
    target: TargetSettings | None = Field(default=None)
    inbox_keep: Duration = Field(
        default=timedelta(days=30), description="How long ids of handled messages are remembered."
    )
    settle: Duration = Field(
        default=timedelta(seconds=1), description="A file unchanged for so long has arrived whole."
    )
    file: Path = Field(exclude=True)

    @property
    def folder(self) -> Path:
        """Folder of the agent's file, to which its paths are relative."""
        return self.file.parent

    @property
    def state_folder(self) -> Path:
        """Folder of the agent's own files."""
        return self.folder / (self.state or f".{self.id}")

    def pattern(self, source: SourceSettings) -> Path:
        """Return the absolute path, perhaps with wildcards in its last part, of a source's files.

        Files of another machine are where they are fetched to.

        Raises:
            ConfigurationError: The source has no path.
        """
        if not source.path:
            raise ConfigurationError('path: is missing: write path = "exports/*.csv"')
        if source.scheme:
            folder = hashlib.sha256(f"{source.connector} {source.path}".encode()).hexdigest()[:16]
            return self.fetched_folder / folder / source.path.rpartition("/")[2]
        path = self.folder / source.path
        return path.parent.resolve() / path.name  # as a watch of the folder names it

    @property
    def fetched_folder(self) -> Path:
        """Folder with a folder for each source whose files are fetched from another machine."""
        return self.state_folder / "fetched"

    def target_path(self) -> Path | None:
        """Return the absolute folder of the target; None when it has none."""
        return self.folder / self.target.path if self.target is not None and self.target.path is not None else None


def read_settings(file: Path) -> AgentSettings:
    """Read an agent's file.

    Raises:
        ConfigurationError: It cannot be read, is no TOML, or holds a wrong or unknown setting; lists all of them.
    """
    file = file.absolute()
    values = _read_toml(file)
    if isinstance(values.get("source"), dict):
        values["source"] = [values["source"]]
    if "file" in values:
        raise ConfigurationError(f"{file}: file: unknown setting: leave it out")
    try:
        settings = AgentSettings.model_validate({**values, "file": file})
    except ValidationError as error:
        raise ConfigurationError(explain(str(file), error, AgentSettings)) from None  # its text quotes the values
    _check_paths(settings)
    return settings


def zone_url(settings: AgentSettings, environment: Mapping[str, str] = os.environ) -> str:
    """Return the AMQP URL: of the environment, else of the agent's file, else of its credentials file.

    Raises:
        ConfigurationError: None is given, it is not usable, or the credentials file can be read by others.
    """
    url, origin = _find_url(settings, environment)
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigurationError(f"{origin}: no URL: write amqp://login:password@host:port/zone") from None
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname or not port_is_number:
        raise ConfigurationError(f"{origin}: no AMQP URL: write amqp://login:password@host:port/zone")
    if unquote(parts.username or "") != settings.id:
        raise ConfigurationError(
            f"{origin}: the login in the URL is not the agent's id {settings.id!r}: "
            "the zone refuses what another login sends in its name; use the credentials of this agent"
        )
    return url


def explain(file: str, error: ValidationError, model: type[BaseModel]) -> str:
    """Return one line for each fault: file, place, what is wrong; never the value, which may be a secret."""
    return "\n".join(f"{file}: {_place(fault['loc'])}: {_reason(dict(fault), model)}" for fault in error.errors())


def _find_url(settings: AgentSettings, environment: Mapping[str, str]) -> tuple[str, str]:
    if environment.get(URL_VARIABLE):
        return environment[URL_VARIABLE], f"environment {URL_VARIABLE}"
    if settings.zone is not None:
        return settings.zone.get_secret_value(), f"{settings.file}: zone"
    if settings.credentials is None:
        raise ConfigurationError(
            f'{settings.file}: says nothing about the zone: add credentials = "FILE" or zone = "amqps://...", '
            f"or set {URL_VARIABLE}"
        )
    path = settings.folder / settings.credentials
    values = _read_toml(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(f"{path}: can be read by others than its owner: run chmod 600 {path}")
    url = values.get("url")
    if not isinstance(url, str):
        raise ConfigurationError(f'{path}: url is missing: write url = "amqp://login:password@host:port/zone"')
    return url, f"{path}: url"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than a megabyte: this is no settings file")
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file: check the path") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}): check its rights") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}: correct that place") from error


def _check_paths(settings: AgentSettings) -> None:
    faults = [
        f"{settings.file}: source {number}: {fault}"
        for number, source in enumerate(settings.sources, start=1)
        if (fault := _path_fault(source))
    ]
    if faults:
        raise ConfigurationError("\n".join(faults))


def _path_fault(source: SourceSettings) -> str:
    """Return what is wrong with a source's path, never the path itself, which may have a password in it."""
    if not source.scheme:
        if source.fetch:
            return (
                'fetch: is for files of another machine: write path = "sftp://LOGIN@HOST/FOLDER/*.csv", or leave it out'
            )
        folder = str(Path(source.path).parent)
    else:
        host, _, rest = source.path.partition("://")[2].partition("/")
        if ":" in host.rpartition("@")[0]:
            return "path: has a password in it: take it out, and name where it is in [source.fetch]"
        if not host or not rest.rpartition("/")[2]:
            return f"path: name machine and files: {source.scheme}://LOGIN@HOST/FOLDER/*.csv"
        folder = rest.rpartition("/")[0]
    if any(character in folder for character in "*?["):
        return "path: wildcards only in the file's name, for example exports/*.xml"
    return ""


def _place(location: tuple[int | str, ...]) -> str:
    words = [f"{int(part) + 1}" if isinstance(part, int) else part for part in location]
    return " ".join(words).replace("source ", "source ", 1) or "file"


def _reason(fault: dict[str, Any], model: type[BaseModel]) -> str:
    name = str(fault["loc"][-1]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        known = [field.alias or key for key, field in model.model_fields.items() if not field.exclude]
        near = difflib.get_close_matches(name, known, n=1)
        return f"unknown setting: {f'did you mean {near[0]!r}?' if near else 'use ' + ', '.join(known)}"
    if fault["type"] == "missing":
        return "is missing: add it"
    return str(fault["msg"]).removeprefix("Value error, ")


__all__ = ["URL_VARIABLE", "AgentSettings", "SourceSettings", "TargetSettings", "explain", "read_settings", "zone_url"]
