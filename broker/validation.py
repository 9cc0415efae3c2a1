"""Check an object against the schemas and say what is wrong in the words of SIF; schemas are their own package."""

from dataclasses import dataclass

import schemas
from broker.protocol.envelope import Action, EventObject
from broker.protocol.errors import UnknownObject, ZoneError
from schemas import Finding


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is refused.

    Attributes:
        category: SIF error category; ``code`` within it.
        summary: One sentence that says what, where and how to mend it; never a value of the message.
        findings: Every fault of the object, in document order; empty when the fault is not in an object.
    """

    category: int
    code: int
    summary: str
    findings: tuple[Finding, ...] = ()

    @property
    def reason(self) -> str:
        """Category and code as one word for the ledger, for example ``sif-1-3``."""
        return f"sif-{self.category}-{self.code}"


def refusal(error: ZoneError) -> Refusal:
    """Return *error* as the refusal that its sender is told of."""
    return Refusal(error.category, error.code, str(error))


def check_known(event: EventObject) -> None:
    """Return when the zone has a schema for the object.

    Raises:
        UnknownObject: No schema has this object.
    """
    schema = schemas.load()
    if event.object_type not in schema.objects:
        nearest = schema.nearest_object(event.object_type)
        hint = f" (did you mean {nearest}?)" if nearest else ""
        raise UnknownObject(f"this zone has no object of the name in SIF_EventObject/@ObjectName{hint}")


def check_object(event: EventObject) -> Refusal | None:
    """Return None when the object is valid for its action, else every fault in it.

    An Add must be complete; a Change or Delete may hold any part.

    Raises:
        UnknownObject: No schema has this object.
    """
    check_known(event)
    schema = schemas.load()
    findings = schema.check(event.element, partial=event.action is not Action.ADD)
    if not findings:
        return None
    return Refusal(1, findings[0].sif_code, _summary(event, findings), findings)


def _summary(event: EventObject, findings: tuple[Finding, ...]) -> str:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{event.action} of {event.object_type}, line {first.line}: {first.message}{more}"
