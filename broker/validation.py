"""Check an object against schemas and rules and say what is wrong in the words of SIF."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import schemas
from broker.protocol.envelope import Action, EventObject
from broker.protocol.errors import ConfigurationError, UnknownObject, ZoneError
from broker.quality import Judged
from schemas import Edition, Finding
from schemas.rules import Facts, RuleSet, Setting, UnknownRule


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is refused.

    Attributes:
        category: SIF error category; ``code`` within it.
        summary: One sentence that says what, where and how to mend it; never a value of the message.
        findings: Every fault of the object, in document order; empty when the fault is not in an object.
        judged: What was found in the objects of the message, for data quality.
    """

    category: int
    code: int
    summary: str
    findings: tuple[Finding, ...] = ()
    judged: tuple[Judged, ...] = ()

    @property
    def reason(self) -> str:
        """Category and code as one word for the ledger, for example ``sif-1-3``."""
        return f"sif-{self.category}-{self.code}"


def refusal(error: ZoneError) -> Refusal:
    """Return *error* as the refusal that its sender is told of."""
    return Refusal(error.category, error.code, str(error))


class Validator:
    """The schemas and rules of one zone.

    Attributes:
        schema: The schemas.
        rules: The rules, each with the severity that the zone gives it.
    """

    def __init__(self, schema: schemas.SchemaSet, rules: RuleSet) -> None:
        self.schema, self.rules = schema, rules
        refusing: dict[str, Setting] = {
            name: setting if setting == "refuse" else "off" for name, setting in rules.settings.items()
        }
        self._refusing = RuleSet(refusing)

    def check_known(self, event: EventObject) -> None:
        """Return when the zone has a schema for the object, and events of it may be published.

        Raises:
            UnknownObject: No schema has this object, or it has no events.
        """
        if event.object_type not in self.schema.objects:
            nearest = self.schema.nearest_object(event.object_type)
            hint = f" (did you mean {nearest}?)" if nearest else ""
            raise UnknownObject(f"this zone has no object of the name in SIF_EventObject/@ObjectName{hint}")
        if self.schema.note(event.object_type).events == "none":
            raise UnknownObject(f"{event.object_type} has no events in SIF UK: answer requests for it instead")

    def check(self, event: EventObject, edition: Edition, facts: Facts) -> tuple[Finding, ...]:
        """Return all that is wrong with an object, whatever the severity: first what the schema says, then the rules.

        An Add must be complete; a Change or Delete may hold any part. The rules judge what the schema finds valid, and
        what is not being deleted.

        Args:
            event: An object the zone knows.
            edition: The edition of the data model that its message is written in.
            facts: What the zone knows beside the object.

        Raises:
            UnknownObject: The object is not in the namespace of its name.
        """
        findings = self._check_schema(event, edition)
        if findings or event.action is Action.DELETE:
            return findings  # what is gone needs no mending
        return self.schema.warnings(event.element) + self.rules.check(event.object_type, event.element, facts)

    def check_refusing(self, event: EventObject, edition: Edition, facts: Facts) -> tuple[Finding, ...]:
        """Return only what refuses an object; else as :meth:`check`, at less cost."""
        findings = self._check_schema(event, edition)
        if findings or event.action is Action.DELETE:
            return findings
        return self._refusing.check(event.object_type, event.element, facts)

    def _check_schema(self, event: EventObject, edition: Edition) -> tuple[Finding, ...]:
        try:
            return self.schema.check(event.element, partial=event.action is not Action.ADD, edition=edition)
        except schemas.UnknownObject as error:
            namespace = self.schema.namespace_of(event.object_type)
            raise UnknownObject(f"{event.object_type} is in another namespace: use {namespace}") from error

    def refusal(self, event: EventObject, findings: tuple[Finding, ...]) -> Refusal | None:
        """Return why an object with these findings is refused, or None when none of them refuses it."""
        refusing = tuple(finding for finding in findings if finding.severity == "refuse")
        if not refusing:
            return None
        return Refusal(1, refusing[0].sif_code, _summary(event, refusing), refusing)


@cache
def shipped() -> Validator:
    """Return the validator of a zone that sets nothing: our own schemas, each rule as it is by default."""
    return Validator(schemas.load(), RuleSet())


def load_validator(official: Path | None, site_codes: Path | None, severities: Mapping[str, Setting]) -> Validator:
    """Return the validator of a zone.

    Args:
        official: A folder with the official SIF_Message.xsd, to use instead of our own schemas; None for ours.
        site_codes: A folder with additions to the code lists; None for none.
        severities: By name of rule: ``refuse``, ``warn``, ``shadow`` or ``off``.

    Raises:
        ConfigurationError: Says which file or setting, and how to mend it.
    """
    try:
        own = official is None and site_codes is None
        return Validator(schemas.load() if own else schemas.load_site(official, site_codes), RuleSet(severities))
    except (schemas.BadSchema, schemas.BadCodeList, UnknownRule) as error:
        raise ConfigurationError(str(error)) from error


def _summary(event: EventObject, findings: tuple[Finding, ...]) -> str:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{event.action} of {event.object_type}, line {first.line}: {first.message}{more}"
