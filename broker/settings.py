"""A zone's folder as settings: zone.toml, agreements/ and the places of everything else; read once, passed on."""

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

import schemas
from broker.agreements import Agreement, load_agreements, validation_problems
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import (
    AgentId,
    Establishment,
    ZoneId,
    parse_agent_id,
    parse_establishment,
    parse_zone_id,
)
from broker.protocol.topology import BROKER_LOGIN
from broker.registry import AgentRecord, Registry
from broker.validation import Validator, load_validator, shipped
from schemas.rules import Setting

_ZONE_FILE: Final = "zone.toml"
_SQLITE: Final = "sqlite:///"
_CODES: Final = "codes"
"""Folder of a zone with its own additions to the code lists."""
_WATCHED: Final = ("agreements", _CODES)

Stamp = tuple[tuple[str, int, int], ...]
"""Name, time and size of each file that a configuration was read from."""


class AgentSettings(BaseModel):
    """One agent in zone.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64, description="What people call it.")]
    establishments: tuple[Annotated[str, AfterValidator(parse_establishment)], ...] = Field(
        (), description="Schools it speaks for or serves: LA and establishment number, e.g. 8209901."
    )
    authority: str = Field("", pattern=r"^([0-9]{3})?$", description="LA number it acts for; empty for none.")
    publish: tuple[str, ...] = Field((), description="Objects it may publish.")
    subscribe: tuple[str, ...] = Field((), description="Objects it is to get, as far as agreements share them.")


class ZoneSettings(BaseModel):
    """zone.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, AfterValidator(parse_zone_id)]
    name: str = ""
    authority: str = Field("", pattern=r"^([0-9]{3})?$", description="LA number of the zone's authority.")
    partitions: int = Field(4, ge=1, le=64, description="Intake queues; no more workers than these can work at once.")
    database: str = Field(
        "sqlite:///state/zone.db", description="SQLAlchemy URL; SQLite paths are in the zone's folder."
    )
    rabbitmq: str = Field("", description="AMQP URL with an administrator's login; empty starts a private node.")
    management: str = Field("", description="URL of RabbitMQ's management API, with login, beside `rabbitmq`.")
    schemas: str = Field("", description="Folder with the official SIF_Message.xsd, to use instead of our schemas.")
    rules: dict[str, Setting] = Field(default_factory=dict, description="Rule name to refuse, warn, shadow or off.")
    agents: dict[Annotated[str, AfterValidator(parse_agent_id)], AgentSettings] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as set up in its folder.

    Attributes:
        validator: Its schemas, code lists and rules.
        stamp: Changes when zone.toml, an agreement or a code list does; official schemas are read at start-up.
    """

    folder: Path
    settings: ZoneSettings
    registry: Registry
    agreements: tuple[Agreement, ...]
    validator: Validator = field(default_factory=shipped)
    stamp: Stamp = ()

    @property
    def id(self) -> ZoneId:
        """The zone's id, which is also its virtual host's name and its SIF_SourceId."""
        return ZoneId(self.settings.id)

    @property
    def state(self) -> Path:
        """Where everything is kept that is not configuration; mode 700."""
        return self.folder / "state"

    @property
    def key_file(self) -> Path:
        """The key with which bodies at rest are encrypted; mode 600."""
        return self.state / "zone.key"

    @property
    def database_url(self) -> str:
        """The database's URL with an absolute path where it is SQLite."""
        url = os.environ.get("SIFZONE_DATABASE") or self.settings.database
        if not url.startswith(_SQLITE):
            return url
        return _SQLITE + str((self.folder / url.removeprefix(_SQLITE)).resolve())

    def credentials(self, login: str) -> Path:
        """Return the file with the AMQP URL of *login*; mode 600."""
        return self.state / "credentials" / f"{login}.toml"


def load_zone(folder: Path) -> Zone:
    """Return the zone set up in *folder*.

    Raises:
        ConfigurationError: Says which file, which key and how to mend it.
    """
    path = folder / _ZONE_FILE
    stamp = zone_stamp(folder)
    try:
        settings = ZoneSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{folder} has no {_ZONE_FILE}: name the folder of a zone") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        problems = list(validation_problems(error, ZoneSettings, AgentSettings))
        raise ConfigurationError(f"{path}: " + "; ".join(problems)) from error
    validator = _validator(folder, settings)
    problems = list(_object_problems(settings, validator.schema))
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    registry = Registry.of(_record(AgentId(agent), fields) for agent, fields in settings.agents.items())
    return Zone(folder.resolve(), settings, registry, load_agreements(folder / "agreements"), validator, stamp)


def zone_stamp(folder: Path) -> Stamp:
    """Return names, times and sizes of the files that make up a zone's configuration; cheap to ask often."""
    files = [folder / _ZONE_FILE, *(file for name in _WATCHED for file in sorted((folder / name).glob("*.toml")))]
    return tuple((file.name, stat.st_mtime_ns, stat.st_size) for file in files if (stat := _stat(file)) is not None)


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None


def _record(agent: AgentId, fields: AgentSettings) -> AgentRecord:
    return AgentRecord(
        agent,
        fields.name,
        frozenset(Establishment(e) for e in fields.establishments),
        fields.authority,
        frozenset(fields.publish),
        frozenset(fields.subscribe),
    )


def _validator(folder: Path, settings: ZoneSettings) -> Validator:
    official = (folder / settings.schemas).resolve() if settings.schemas else None
    site_codes = (folder / _CODES).resolve()
    return load_validator(official, site_codes if site_codes.is_dir() else None, settings.rules)


def _object_problems(settings: ZoneSettings, schema: schemas.SchemaSet) -> Iterable[str]:
    for agent, fields in settings.agents.items():
        if agent == BROKER_LOGIN:
            yield f"agents.{agent}: this id is the broker's own: choose another"
        for key, names in (("publish", fields.publish), ("subscribe", fields.subscribe)):
            for name in names:
                if name not in schema.objects:
                    nearest = schema.nearest_object(name)
                    hint = f"; did you mean {nearest}?" if nearest else ""
                    yield f"agents.{agent}.{key}: no schema has {name}{hint}"
