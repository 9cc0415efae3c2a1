"""A zone's folder as settings: zone.toml, agreements/ and the places of everything else; read once, passed on."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

import schemas
from broker.agreements import Agreement, load_agreements, validation_problems
from broker.calendars import Calendars, load_calendars
from broker.protocol.durations import Duration
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import (
    DEFAULT_CONTEXT,
    AgentId,
    Context,
    Establishment,
    ZoneId,
    parse_agent_id,
    parse_establishment,
    parse_zone_id,
)
from broker.protocol.topology import BROKER_LOGIN, Topology, agent_topology, gateway_topology, zone_topology
from broker.registry import ZONE_OBJECTS, AgentRecord, Registry, Role, Topic, grants
from broker.validation import Validator, load_validator, shipped
from broker.zone_status import ZoneIdentity
from schemas.rules import Setting

_ZONE_FILE: Final = "zone.toml"
_SQLITE: Final = "sqlite:///"
_CODES: Final = "codes"
"""Folder of a zone with its own additions to the code lists."""
_AGREEMENTS: Final = "agreements"
_CALENDARS: Final = "calendars"
ADMIN_LOGIN: Final = "zone.admin"
"""Name of the file with the administrator's login of a private RabbitMQ; no agent may have it as its id."""


Right = Literal[
    "provide", "subscribe", "publish", "publish-add", "publish-change", "publish-delete", "request", "respond"
]
"""A word of ``rights``; ``publish`` is all three, and who may provide may respond."""


class RightsSettings(BaseModel):
    """What an agent may do with one object: in zone.toml a list of words, or a table with contexts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    may: tuple[Right, ...] = Field(description="provide, subscribe, publish (or publish-add ...), request, respond.")
    contexts: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (DEFAULT_CONTEXT,), min_length=1, description="The contexts in which it may."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        return {"may": value} if isinstance(value, list) else value


class GatewayAgentSettings(BaseModel):
    """How an agent shows who it is that speaks SIF over HTTP, through the gateway."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    credential: Literal["secret", "basic", "certificate"] = Field(
        "secret", description="A secret in its URL, a password (HTTP Basic), or a client certificate (TLS)."
    )
    certificate: str = Field("", description="File with the very certificate it shows, PEM; in the zone's folder.")
    ca: str = Field("", description="File with the CA that signed its certificate, PEM; with `subject`.")
    subject: str = Field("", max_length=64, description="Common name in its certificate.")
    fingerprint: str = Field("", max_length=120, description="SHA-256 of its certificate; with `ca`.")
    push: tuple[str, ...] = Field((), description="What the URLs it is pushed to begin with; empty for any.")

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        named = bool(self.certificate or self.ca or self.subject or self.fingerprint)
        if named != (self.credential == "certificate"):
            raise ValueError('certificate, ca, subject and fingerprint go with credential = "certificate", and need it')
        if self.credential != "certificate" or (self.certificate and not self.ca):
            return self
        if not self.ca or self.certificate or not (self.subject or self.fingerprint):
            raise ValueError("name the certificate itself, or its ca together with its subject or its fingerprint")
        return self


class AgentSettings(BaseModel):
    """One agent in zone.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64, description="What people call it.")]
    establishments: tuple[Annotated[str, AfterValidator(parse_establishment)], ...] = Field(
        (), description="Schools it speaks for or serves: LA and establishment number, e.g. 8209901."
    )
    authority: str = Field("", pattern=r"^([0-9]{3})?$", description="LA number it acts for; empty for none.")
    publish: tuple[str, ...] = Field((), description="Objects it may publish.")
    subscribe: tuple[str, ...] = Field(
        (), description="Objects it is to get without having to ask, as far as agreements share them."
    )
    provide: tuple[str, ...] = Field((), description="Objects for which it answers requests that name nobody.")
    rights: dict[str, RightsSettings] = Field(
        default_factory=dict, description="What else it may do, by object: what it then does, it says itself."
    )
    gateway: GatewayAgentSettings | None = Field(None, description="For an agent that speaks SIF over HTTP.")


class GatewaySettings(BaseModel):
    """Where the gateway listens, and how it protects what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int | None = Field(None, ge=0, le=65535, description="Port; 0 for any that is free, absent for no gateway.")
    url: str = Field("", description="What agents reach it under, where that is not host and port.")
    certificate: str = Field("", description="The gateway's certificate, PEM; without it, plain HTTP.")
    key: str = Field("", description="Key of the certificate, PEM.")
    ca: str = Field("", description="CA to trust, beside the system's, when pushing over HTTPS; PEM.")
    insecure: bool = Field(False, description="Allow plain HTTP elsewhere than on this machine's loopback.")
    require_tls: bool = Field(
        False, description="Refuse agents that register over plain HTTP, or to be pushed over it."
    )
    push_timeout: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="Time that an agent has to answer a push.",
    )
    push_retry_first: Duration = Field(
        timedelta(seconds=1),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="Pause after a push that failed; each further one is twice as long.",
    )
    push_retry_longest: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(days=1),
        description="The longest of these pauses.",
    )

    @model_validator(mode="after")
    def _check_pauses(self) -> Self:
        if self.push_retry_first > self.push_retry_longest:
            raise ValueError("push_retry_first is longer than push_retry_longest: make it as short, or shorter")
        return self

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together")
        return self


class RequestSettings(BaseModel):
    """How long the zone waits for answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout: Duration = Field(
        timedelta(days=1),
        ge=timedelta(seconds=1),
        le=timedelta(days=30),
        description="Silence of the answering agent after which a request has expired.",
    )


class TransferSettings(BaseModel):
    """What the zone does about learners who change schools."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Open a case by itself when enrolments tell that a learner moves.")


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
    movable_clock: bool = Field(False, description="Let people push the zone's clock ahead: for trying out alone.")
    schemas: str = Field("", description="Folder with the official SIF_Message.xsd, to use instead of our schemas.")
    rules: dict[str, Setting] = Field(default_factory=dict, description="Rule name to refuse, warn, shadow or off.")
    gateway: GatewaySettings = Field(default_factory=lambda: GatewaySettings.model_validate({}))
    requests: RequestSettings = Field(default_factory=lambda: RequestSettings.model_validate({}))
    transfers: TransferSettings = Field(default_factory=lambda: TransferSettings.model_validate({}))
    agents: dict[Annotated[str, AfterValidator(parse_agent_id)], AgentSettings] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as set up in its folder.

    Attributes:
        folder: Where everything is that settings name by a relative path; its files may say something newer.
        validator: Its schemas, code lists and rules.
        calendars: When its schools meet.
        snapshot: Name of the snapshot it was read from, see :mod:`broker.applied`; empty when from the folder itself.
    """

    folder: Path
    settings: ZoneSettings
    registry: Registry
    agreements: tuple[Agreement, ...]
    validator: Validator = field(default_factory=shipped)
    snapshot: str = ""
    calendars: Calendars = field(default_factory=Calendars)

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

    @property
    def amqp_encrypted(self) -> bool:
        """Whether agents reach RabbitMQ over TLS."""
        return (os.environ.get("SIFZONE_RABBITMQ") or self.settings.rabbitmq).startswith("amqps:")

    @property
    def topology(self) -> Topology:
        """All that is to be in the zone's virtual host."""
        topology = zone_topology(self.settings.partitions)
        for agent in self.registry.agents.values():
            topology += gateway_topology(agent.id) if agent.gateway else agent_topology(agent.id)
        return topology

    def credentials(self, login: str) -> Path:
        """Return the file with the AMQP URL of *login*; mode 600."""
        return self.state / "credentials" / f"{login}.toml"


def gateway_address(zone: Zone) -> Path:
    """Return the file with the address at which agents reach the gateway, without secrets; there while it runs."""
    return zone.state / "ready" / "gateway.url"


def identity_of(zone: Zone) -> ZoneIdentity:
    """Return what *zone* says of itself to agents."""
    try:
        url = gateway_address(zone).read_text(encoding="utf-8").strip()
    except OSError:
        url = ""
    secure = url.startswith("https:")
    urls = {"HTTPS" if secure else "HTTP": url} if url else None
    return ZoneIdentity(AgentId(zone.id), zone.settings.name, urls, certificates=secure)


def load_zone(folder: Path, files: Path | None = None) -> Zone:
    """Return the zone set up in *folder*.

    Args:
        files: Where its configuration is, when that is not the folder itself but a copy that has the copy's name.

    Raises:
        ConfigurationError: Says which file, which key and how to mend it.
    """
    source = files or folder
    path = source / _ZONE_FILE
    try:
        settings = ZoneSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{source} has no {_ZONE_FILE}: name the folder of a zone") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        problems = list(validation_problems(error, ZoneSettings, AgentSettings, TransferSettings))
        raise ConfigurationError(f"{path}: " + "; ".join(problems)) from error
    validator = _validator(folder, source, settings)
    problems = list(_object_problems(settings, validator.schema))
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    registry = Registry.of(_record(AgentId(agent), fields) for agent, fields in settings.agents.items())
    agreements = load_agreements(source / _AGREEMENTS)
    calendars = _calendars(source / _CALENDARS)
    return Zone(folder.resolve(), settings, registry, agreements, validator, files.name if files else "", calendars)


def configuration_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of *folder* that :func:`load_zone` reads, below it; of the folder as it is now."""
    folders = (_AGREEMENTS, _CALENDARS, _CODES)
    found = [folder / _ZONE_FILE, *(file for name in folders for file in (folder / name).glob("*.toml"))]
    return tuple(sorted(file.relative_to(folder) for file in found))


def _record(agent: AgentId, fields: AgentSettings) -> AgentRecord:
    rights: list[tuple[Role, Topic]] = []
    standing: list[tuple[Role, Topic]] = []
    lists: tuple[tuple[Right, tuple[str, ...]], ...] = (
        ("publish", fields.publish),
        ("subscribe", fields.subscribe),
        ("provide", fields.provide),
    )
    for word, objects in lists:
        rights += [entry for name in objects for entry in _entries((word,), name, (DEFAULT_CONTEXT,))]
    for name, right in fields.rights.items():
        rights += _entries(right.may, name, tuple(Context(context) for context in right.contexts))
    standing += [(Role.SUBSCRIBE, Topic(name)) for name in fields.subscribe]
    standing += [(Role.PROVIDE, Topic(name)) for name in fields.provide]
    return AgentRecord(
        agent,
        fields.name,
        frozenset(Establishment(e) for e in fields.establishments),
        fields.authority,
        grants(rights),
        grants(standing),
        fields.gateway is not None,
    )


def _entries(words: Iterable[Right], name: str, contexts: Iterable[Context]) -> Iterable[tuple[Role, Topic]]:
    for word in words:
        roles = _ROLES.get(word) or (Role(word),)
        yield from ((role, Topic(name, context)) for role in roles for context in contexts)


_ROLES: Final[Mapping[Right, tuple[Role, ...]]] = {
    "publish": (Role.PUBLISH_ADD, Role.PUBLISH_CHANGE, Role.PUBLISH_DELETE),
    "provide": (Role.PROVIDE, Role.RESPOND),
}


def _validator(folder: Path, source: Path, settings: ZoneSettings) -> Validator:
    official = (folder / settings.schemas).resolve() if settings.schemas else None
    site_codes = (source / _CODES).resolve()
    return load_validator(official, site_codes if site_codes.is_dir() else None, settings.rules)


def _calendars(folder: Path) -> Calendars:
    try:
        return load_calendars(folder)
    except ConfigurationError as error:
        raise ConfigurationError(f"{folder}: {error}") from error  # it names the calendar alone


def _object_problems(settings: ZoneSettings, schema: schemas.SchemaSet) -> Iterable[str]:
    providers: dict[Topic, str] = {}
    for agent, fields in settings.agents.items():
        if agent in (BROKER_LOGIN, ADMIN_LOGIN, settings.id):
            yield f"agents.{agent}: this id is the broker's own: choose another"
        named = (("publish", fields.publish), ("subscribe", fields.subscribe), ("provide", fields.provide))
        for key, names in (*named, ("rights", fields.rights)):
            for name in names:
                if name not in schema.objects and name not in ZONE_OBJECTS:
                    nearest = schema.nearest_object(name)
                    hint = f"; did you mean {nearest}?" if nearest else ""
                    yield f"agents.{agent}.{key}: no schema has {name}{hint}"
        for name in fields.provide:
            other = providers.setdefault(Topic(name), agent)
            if other != agent:
                yield f"agents.{agent}.provide: {other} provides {name}: leave one of them, the other may respond"
