"""Transfer cases and what is told of them as bytes and back, for storage and for messages; what they mean is not asked.

Compact JSON in UTF-8, with a mark of its form. What a later version adds has a default: older bytes can be read.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from broker.protocol.errors import ZoneError
from broker.transfer_cases import (
    Cancelled,
    CareChanged,
    ClockMoved,
    ConfirmedByPeople,
    CtfArrived,
    CtfDelivered,
    CtfLoaded,
    CtfPrepared,
    CtfSent,
    DestinationFound,
    EnrolmentConfirmed,
    EnrolmentEnded,
    EnrolmentStarted,
    Event,
    LeftSector,
    MovePlanned,
    RecordPassed,
    Rejected,
    SchoolClosedOrRenumbered,
    Shielded,
    TransferCase,
)

FORM: Final = 1
"""The form that is written, and the only one that is read."""
_EVENTS: Final[tuple[type[Event], ...]] = (
    MovePlanned,
    EnrolmentEnded,
    EnrolmentStarted,
    CtfArrived,
    CtfPrepared,
    CtfSent,
    CtfDelivered,
    CtfLoaded,
    ConfirmedByPeople,
    EnrolmentConfirmed,
    Rejected,
    Cancelled,
    DestinationFound,
    LeftSector,
    SchoolClosedOrRenumbered,
    CareChanged,
    Shielded,
    RecordPassed,
    ClockMoved,
)


class NotACase(ZoneError):
    """Bytes are no transfer case of a form that this version knows."""


class NotAnEvent(ZoneError):
    """Bytes are no event about a transfer of a form that this version knows."""


class _Form(BaseModel):
    """What every form has; nothing that it does not know is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    form: Literal[1]


class _CaseForm(_Form):
    case: TransferCase


class _KindForm(_Form):
    kind: str
    told: dict[str, Any]


_KINDS: Final[dict[str, TypeAdapter[Event]]] = {kind.__name__: TypeAdapter(kind) for kind in _EVENTS}


def encode_case(case: TransferCase) -> bytes:
    """Return *case* as bytes: all of it, so that they are as private as what it is about."""
    plain = replace(case, passed=dict(case.passed))
    return _CaseForm.model_construct(form=FORM, case=plain).model_dump_json().encode()


def decode_case(body: bytes) -> TransferCase:
    """Return the case in *body*.

    Raises:
        NotACase: It is damaged, or of a form that this version does not know.
    """
    try:
        case = _CaseForm.model_validate_json(body).case
    except ValidationError as error:
        raise NotACase(
            f"a stored transfer cannot be read{_where(error)}: use the version of sifzone that wrote it, or a later one"
        ) from None  # pydantic's own text quotes what it read
    if not case.history or not _have_zones(change.at for change in case.history):
        raise NotACase(
            "a stored transfer cannot be read (history): it has none, or a time without its zone; restore the database "
            "from your backup"
        )
    return replace(case, passed=MappingProxyType(dict(case.passed)))


def encode_event(event: Event) -> bytes:
    """Return *event* as bytes, its kind among them."""
    kind = type(event).__name__
    told = _KINDS[kind].dump_json(event)
    return b'{"form":%d,"kind":"%b","told":%b}' % (FORM, kind.encode(), told)


def decode_event(body: bytes) -> Event:
    """Return the event in *body*.

    Raises:
        NotAnEvent: It is damaged, of a kind or of a form that this version does not know.
    """
    try:
        form = _KindForm.model_validate_json(body)
        kind = _KINDS.get(form.kind)
        if kind is None:
            raise NotAnEvent("what is told of a transfer has a kind that this zone does not know: update its workers")
        event = kind.validate_json(json.dumps(form.told), strict=True, extra="forbid")
    except ValidationError as error:
        raise NotAnEvent(
            f"what is told of a transfer cannot be read{_where(error)}: send it with this zone's version of sifzone"
        ) from None  # pydantic's own text quotes what it read
    if not _have_zones([event.at]):
        raise NotAnEvent("what is told of a transfer has a time without its zone (at): send it with its zone")
    return event


def _have_zones(moments: Iterable[datetime]) -> bool:
    return all(moment.tzinfo is not None for moment in moments)


def _where(error: ValidationError) -> str:
    """Return the first place that is wrong, without what stands there; empty where it is no JSON."""
    place = ".".join(str(step) for step in error.errors(include_input=False, include_url=False)[0]["loc"])
    return f" ({place[:64]})" if place else ""


__all__ = ["NotACase", "NotAnEvent", "decode_case", "decode_event", "encode_case", "encode_event"]
