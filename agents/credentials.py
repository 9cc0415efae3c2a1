"""Secrets and files that an agent's file names: what stands there is where a secret is, never the secret itself.

Options of connectors use these types; where the value is needed is the connector's affair. The agent's folder, to which
paths are relative, is handed in as the validation's context.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from broker.protocol.errors import ConfigurationError, ZoneError

_FORM: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+")
_HINT: Final = (
    'a secret does not belong in this file: write "env:NAME" for an environment variable, '
    'or "file:PATH" for a file that only its owner can read'
)
_MAX_BYTES: Final = 64 * 1024
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: ``env:NAME`` or ``file:PATH``; it is read each time it is used, and kept nowhere.

    Attributes:
        origin: As the settings have it.
        folder: To which a path is relative.
    """

    origin: str
    folder: Path

    def reveal(self, error: Callable[[str], ZoneError] = ConfigurationError) -> str:
        """Return the secret: one line, not empty.

        Args:
            error: What is raised when there is none, for example SourceError; its text never holds the secret.

        Raises:
            ZoneError: The variable is not set; the file is missing, can be read by others, or holds no single line.
        """
        kind, _, name = self.origin.partition(":")
        text = _variable(name, error) if kind == "env" else _file(self.folder / name, error)
        if not text:
            raise error(f"{self.origin} is empty: put the secret there")
        if _CONTROL.search(text):
            raise error(f"{self.origin} holds more than one line, or control characters: put the secret alone there")
        return text

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate an option, and write it back as it was."""
        return core_schema.with_info_plain_validator_function(
            cls._parse, serialization=core_schema.plain_serializer_function_ser_schema(lambda secret: secret.origin)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": "^(env|file):.+$"}

    @classmethod
    def _parse(cls, value: object, info: ValidationInfo) -> "Secret":
        if isinstance(value, cls):
            return value
        if not isinstance(value, str) or _FORM.fullmatch(value) is None:
            raise ValueError(_HINT)
        return cls(value, folder_of(info))


def folder_of(info: ValidationInfo) -> Path:
    """Return the agent's folder of a validation; the present one where none is given."""
    context: Mapping[str, Any] = info.context or {}
    return Path(context.get("folder", "."))


def _find(written: Path, info: ValidationInfo) -> Path:
    path = folder_of(info) / written
    if not path.is_file():
        raise ValueError("there is no such file: write its path, relative to the agent's file")
    return path


AgentFile = Annotated[Path, AfterValidator(_find)]
"""Option of a connector: a file that is there, relative to the agent's file."""


def refuse_readable(path: Path, error: Callable[[str], ZoneError] = ConfigurationError) -> None:
    """Refuse a file with a secret that others than its owner can read.

    Raises:
        ZoneError: It can be read by others, or is missing.
    """
    try:
        mode = path.stat().st_mode
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}): check the path and its rights") from cause
    _refuse_mode(path, mode, error)


def _refuse_mode(path: Path, mode: int, error: Callable[[str], ZoneError]) -> None:
    if stat.S_IMODE(mode) & 0o077:
        raise error(f"{path}: can be read by others than its owner: run chmod 600 {path}")


def _variable(name: str, error: Callable[[str], ZoneError]) -> str:
    value = os.environ.get(name)
    if value is None:
        raise error(f"the environment variable {name} is not set: set it where the agent is started")
    return value


def _file(path: Path, error: Callable[[str], ZoneError]) -> str:
    try:
        # What is looked at is what was opened: a name may have come to mean another file in between.
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            _refuse_mode(path, mode, error)
            content = file.read(_MAX_BYTES + 1) if stat.S_ISREG(mode) else b""
        if len(content) > _MAX_BYTES:
            raise error(f"{path}: larger than {_MAX_BYTES:,} bytes: put the secret alone there")
        return content.decode("utf-8").rstrip("\r\n")
    except (FileNotFoundError, IsADirectoryError):
        raise error(f"{path}: there is no such file: put the secret there, then run chmod 600 {path}") from None
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}): check its rights") from cause
    except UnicodeDecodeError:
        raise error(f"{path}: is not UTF-8: save it as UTF-8") from None  # its text quotes the content


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a pipe without a writer waits for one


__all__ = ["AgentFile", "Secret", "folder_of", "refuse_readable"]
