"""Sharing agreements: who may have which part of which objects, about which learners, why and until when.

What an agreement says is read from a TOML file and checked against the schemas here; cutting an object to it is
the views' work, and who is in a scope the learners' work.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import schemas
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId

EXPIRY_WARNINGS: Final = (30, 14, 7, 1)
"""Days before its expiry on which an agreement is warned about."""
WHOLE: Final = "*"
"""The share path that means the whole object."""
UNDELIVERED: Final[Mapping[str, frozenset[str]]] = {
    "LearnerLookedAfter": frozenset({"ShieldCode"}),
    "LearnerTransfer": frozenset({"Shield"}),
}
"""By object, the elements that steer the zone: no agreement may name them, and the whole object is without them."""


class Scope(StrEnum):
    """The learners an agreement is about, always in relation to the recipient."""

    ENROLLED = "enrolled"
    LOOKED_AFTER = "looked-after"
    RESIDENT = "resident"
    TRANSFERRING = "transferring"
    """Learners on their way to one of the recipient's schools; of a recipient without schools, to one that no agent
    speaks for."""
    ALL = "all"


class Leaving(StrEnum):
    """How a recipient hears that a learner has left the scope."""

    DELETE = "delete"
    """What it holds of the learner is deleted."""
    NOTICE = "notice"
    """It gets the event that ended the scope, if it was one, and keeps what it holds."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One information-sharing agreement.

    Attributes:
        senders: Agent ids, ``*`` as a wildcard; ``recipients`` alike.
        starts: First day on which it shares anything; ``expires`` the last.
        shares: Paths by object name, see DESIGN of views: an element named is shared whole.
        shielded: Whether it also covers learners under a shield.
        leaving: How recipients hear that a learner has left the scope.
        digest: First 8 hexadecimal digits of the SHA-256 of its file: which wording of it was in force.
    """

    id: str
    title: str
    senders: tuple[str, ...]
    recipients: tuple[str, ...]
    purpose: str
    lawful_basis: str
    starts: date
    expires: date
    scope: Scope
    shares: Mapping[str, tuple[str, ...]]
    shielded: bool = False
    digest: str = ""
    leaving: Leaving = Leaving.DELETE

    def is_live(self, today: date) -> bool:
        """Tell whether it shares anything on *today*; both its first and its last day count."""
        return self.starts <= today <= self.expires

    def is_between(self, sender: AgentId, recipient: AgentId) -> bool:
        """Tell whether it is between these two, whatever the object."""
        return _matches(sender, self.senders) and _matches(recipient, self.recipients)

    def expiry_warning(self, today: date) -> str | None:
        """Return a sentence when it is about to expire (30, 14, 7 or 1 days) or has; None otherwise."""
        left = (self.expires - today).days
        if left < 0:
            return f"agreement {self.id} expired on {self.expires}: it shares nothing; renew it or remove its file"
        if left not in EXPIRY_WARNINGS:
            return None
        return (
            f"agreement {self.id} expires in {left} day{'s' if left > 1 else ''}, on {self.expires}: renew it in time"
        )


Text = Annotated[str, Field(min_length=1, max_length=500)]


class _ObjectShare(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    share: Annotated[tuple[Text, ...], Field(min_length=1)]


class _AgreementFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: Text
    senders: Annotated[tuple[Text, ...], Field(alias="from", min_length=1)]
    recipients: Annotated[tuple[Text, ...], Field(alias="to", min_length=1)]
    purpose: Text
    lawful_basis: Text
    starts: date
    expires: date
    learners: Scope
    shielded: bool = False
    leaving: Leaving = Leaving.DELETE
    objects: Annotated[dict[str, _ObjectShare], Field(min_length=1)]


def parse_agreement(text: bytes, name: str) -> Agreement:
    """Return the agreement in the TOML *text*; *name* is the file's name for messages.

    Raises:
        ConfigurationError: Lists every problem: syntax, unknown keys, objects and paths (with the nearest right
            name), an object shared without the attributes that identify it, an expiry before the start.
    """
    try:
        content = _AgreementFile.model_validate(tomllib.loads(text.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{name}: not a TOML file: {error}") from error
    except ValidationError as error:
        raise ConfigurationError(
            f"{name}: " + "; ".join(validation_problems(error, _AgreementFile, _ObjectShare))
        ) from error
    problems = [*_share_problems(content), *_date_problems(content)]
    if problems:
        raise ConfigurationError(f"{name}: " + "; ".join(problems))
    return Agreement(
        content.id,
        content.title,
        content.senders,
        content.recipients,
        content.purpose,
        content.lawful_basis,
        content.starts,
        content.expires,
        content.learners,
        {object_type: part.share for object_type, part in content.objects.items()},
        content.shielded,
        hashlib.sha256(text).hexdigest()[:8],
        content.leaving,
    )


def load_agreements(folder: Path) -> tuple[Agreement, ...]:
    """Return the agreements in *folder* (``*.toml``), ordered by id; none when the folder is missing.

    Raises:
        ConfigurationError: A file cannot be used, or two have the same id.
    """
    agreements = [parse_agreement(path.read_bytes(), str(path)) for path in sorted(folder.glob("*.toml"))]
    ids = [agreement.id for agreement in agreements]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ConfigurationError(f"{folder}: several agreements have the id {', '.join(twice)}: give each its own")
    return tuple(sorted(agreements, key=lambda a: a.id))


def validation_problems(error: ValidationError, *models: type[BaseModel]) -> Iterable[str]:
    """Return one sentence for each thing pydantic found wrong in a settings file, naming the key and not the value.

    Args:
        models: Where the right names of keys are to be found.
    """
    keys = sorted({field.alias or name for model in models for name, field in model.model_fields.items()})
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        said = fault["msg"]
        if fault["type"] == "extra_forbidden":
            nearest = get_close_matches(str(fault["loc"][-1]), keys, n=1)
            said = "there is no such key" + (f"; did you mean {nearest[0]}?" if nearest else ": remove it")
        yield f"{where}: {said}" if where else said


def _matches(agent: AgentId, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(agent, pattern) for pattern in patterns)


def _date_problems(content: _AgreementFile) -> Iterable[str]:
    if content.expires < content.starts:
        yield f"expires ({content.expires}) is before starts ({content.starts}): put them right"


def _share_problems(content: _AgreementFile) -> Iterable[str]:
    schema = schemas.load()
    for object_type, part in content.objects.items():
        if object_type not in schema.objects:
            nearest = schema.nearest_object(object_type)
            hint = f"; did you mean {nearest}?" if nearest else ""
            yield f"objects.{object_type}: no schema has this object{hint}"
            continue
        if WHOLE in part.share:
            continue
        for path in part.share:
            if path in UNDELIVERED.get(object_type, ()):
                yield f"objects.{object_type}.share: {path} steers the zone and is delivered to nobody: leave it out"
            elif schema.find(object_type, path) is None or "[" in path:
                nearest = schema.nearest(object_type, path)
                hint = f"; did you mean {nearest}?" if nearest else ""
                yield f"objects.{object_type}.share: {object_type} has no {path}{hint}"
        missing = [key for key in schema.keys(object_type) if key not in part.share]
        if missing:
            yield (
                f"objects.{object_type}.share: add {', '.join(missing)}, "
                f"without which a recipient cannot tell which {object_type} it is"
            )
