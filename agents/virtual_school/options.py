"""The options of the virtual school's target: its database, its calendars, its notices; read once, with secrets.

Paths are relative to the agent's folder, which is handed in as the validation's context.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from agents.settings import AgentSettings, explain
from broker.calendars import Calendars, load_calendars
from broker.protocol.errors import ConfigurationError

CONNECTOR: Final = "virtual-school"
DATABASE_VARIABLE: Final = "SIFZONE_VIRTUAL_SCHOOL_DATABASE"
PASSWORD_VARIABLE: Final = "SIFZONE_SMTP_PASSWORD"  # noqa: S105 - the name of a variable

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class NoticeOptions(BaseModel):
    """``[target.notices]``: how people are told of what has happened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1, description="The SMTP server.")
    port: int = Field(default=587, ge=1, le=65_535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is encrypted; none only where nothing secret is sent."
    )
    ca_file: Path | None = Field(default=None, description="Certificates to trust, PEM; the system's when left out.")
    user: str = Field(default="", description="Login, where the server asks for one.")
    password_file: Path | None = Field(
        default=None, description=f"File with the password, readable by its owner alone; or set {PASSWORD_VARIABLE}."
    )
    sender: str = Field(pattern=r"^[^@\s<>,]+@[^@\s<>,]+$", description="Address that the mail comes from.")
    recipients: tuple[str, ...] = Field(min_length=1, description="Addresses that it goes to.")
    when: Literal["at-once", "digest"] = Field(default="digest", description="A mail for each notice, or one a day.")
    digest_hour: int = Field(default=7, ge=0, le=23, description="Hour of the day's mail, local time.")
    link: str = Field(pattern=r"^https?://\S+$", description="Where a learner is shown: https://.../learners/{ref}.")
    secret: SecretStr | None = Field(default=None, exclude=True)

    @field_validator("link")
    @classmethod
    def _check_link(cls, link: str) -> str:
        if link.count("{") != 1 or link.count("}") != 1 or "{ref}" not in link:
            raise ValueError("write {ref} once, where the learner's RefId goes: https://vs.example.org/learners/{ref}")
        return link

    @field_validator("recipients")
    @classmethod
    def _check_recipients(cls, recipients: tuple[str, ...]) -> tuple[str, ...]:
        for number, address in enumerate(recipients, start=1):
            local, _, domain = address.partition("@")
            if not local or not domain or any(sign in address for sign in " \r\n\t<>,") or "@" in domain:
                raise ValueError(f"number {number} is no address: write name@domain")
        return recipients

    @model_validator(mode="before")
    @classmethod
    def _know_the_settings(cls, values: Any, info: ValidationInfo) -> Any:
        """Refuse a password in the file, and find the one that is elsewhere."""
        if not isinstance(values, dict):
            return values
        if "password" in values or "secret" in values:
            raise ValueError(f"a password does not belong in this file: use password_file, or set {PASSWORD_VARIABLE}")
        known = [name for name in cls.model_fields if name != "secret"]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown setting {unknown[0]!r}: use {', '.join(known)}")
        found = {**values}
        for name in ("ca_file", "password_file"):
            if isinstance(values.get(name), str):
                found[name] = _folder(info) / values[name]
        password = os.environ.get(PASSWORD_VARIABLE) or _password(found.get("password_file"))
        return {**found, "secret": password} if password else found

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if self.user and self.secret is None:
            raise ValueError(f"user needs a password: use password_file, or set {PASSWORD_VARIABLE}")
        if self.user and self.security == "none" and self.host not in _LOOPBACK:
            raise ValueError('the password would cross the network in clear: set security = "starttls" or "tls"')
        return self

    @property
    def password(self) -> str:
        """The password; empty when there is none."""
        return self.secret.get_secret_value() if self.secret else ""


class VirtualSchoolOptions(BaseModel):
    """What is in ``[target]`` beside the connector's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str = Field(
        default="", validate_default=True, description="sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME."
    )
    calendars: Path | None = Field(default=None, description="Folder with calendars, as a zone has them.")
    notices: NoticeOptions | None = Field(default=None, description="Mail to people; none is sent when left out.")

    @field_validator("database")
    @classmethod
    def _find_database(cls, written: str, info: ValidationInfo) -> str:
        """Return the URL with an absolute path; the environment's goes before the file's."""
        told = os.environ.get(DATABASE_VARIABLE, "")
        url = _parse(told or written)
        if not told and url.password is not None:
            raise ValueError(
                f"holds a password, which does not belong in this file: set {DATABASE_VARIABLE} to the URL"
            )
        if url.get_backend_name() == "sqlite":
            path = (_folder(info) / str(url.database)).absolute()
            return f"sqlite:///{path}"
        return url.render_as_string(hide_password=False)

    @field_validator("calendars")
    @classmethod
    def _find_calendars(cls, written: Path | None, info: ValidationInfo) -> Path | None:
        if written is None:
            return None
        folder = _folder(info) / written
        if not folder.is_dir():
            raise ValueError("there is no such folder: name the zone's calendars, or leave it out")
        return folder

    def read_calendars(self) -> Calendars:
        """Return the calendars of the folder; without one, working days alone are known.

        Raises:
            ConfigurationError: A calendar cannot be used.
        """
        return load_calendars(self.calendars) if self.calendars is not None else Calendars()


def options_of(settings: AgentSettings) -> VirtualSchoolOptions:
    """Return the options of an agent whose target this is.

    Raises:
        ConfigurationError: It has another target, or an option is wrong.
    """
    target = settings.target
    if target is None or target.connector != CONNECTOR:
        raise ConfigurationError(
            f"{settings.file}: this agent's target is not {CONNECTOR!r}: name the virtual school's file, "
            f'or write [target] connector = "{CONNECTOR}"'
        )
    try:
        return VirtualSchoolOptions.model_validate(dict(target.options), context={"folder": settings.folder})
    except ValidationError as error:
        raise ConfigurationError(explain(f"{settings.file}: target", error, VirtualSchoolOptions)) from None


def _folder(info: ValidationInfo) -> Path:
    context: Mapping[str, Any] = info.context or {}
    return Path(context.get("folder", "."))


def _parse(text: str) -> URL:
    if not text:
        raise ValueError(f'is missing: write database = "sqlite:///virtual-school.db", or set {DATABASE_VARIABLE}')
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise ValueError("no database URL: write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME") from None
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ValueError("only sqlite and postgresql+psycopg are known: write sqlite:///FILE, for example")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("a database in memory forgets what it was told: write sqlite:///FILE")
    return url


def _password(path: object) -> str:
    if not isinstance(path, Path):
        return ""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ValueError(f"password_file {path} can be read by others than its owner: run chmod 600 {path}")
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"password_file {path} cannot be read: check the path and its rights") from error


__all__ = [
    "CONNECTOR",
    "DATABASE_VARIABLE",
    "PASSWORD_VARIABLE",
    "NoticeOptions",
    "VirtualSchoolOptions",
    "options_of",
]
