"""Identifiers of a zone as types of their own; only their form is decided here, not whether they exist."""

import re
import secrets
from typing import Final, NewType

AgentId = NewType("AgentId", str)
"""An agent's SIF_SourceId, which is also its RabbitMQ login and part of its queue's name."""
ZoneId = NewType("ZoneId", str)
RefId = NewType("RefId", str)
"""32 upper-case hexadecimal digits; unique per object name only."""
MsgId = NewType("MsgId", str)
Context = NewType("Context", str)
Establishment = NewType("Establishment", str)
"""LA number and establishment number as one word of seven digits, for example ``8209901``."""

DEFAULT_CONTEXT: Final = Context("SIF_Default")

_GUID: Final = re.compile(r"[0-9A-F]{32}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ESTABLISHMENT: Final = re.compile(r"[0-9]{3}[0-9A-Z]{4}")


def new_msg_id() -> MsgId:
    """Return a fresh SIF_MsgId: 32 upper-case hexadecimal digits, 128 random bits."""
    return MsgId(secrets.token_hex(16).upper())


def new_ref_id() -> RefId:
    """Return a fresh RefId: 32 upper-case hexadecimal digits, 128 random bits."""
    return RefId(secrets.token_hex(16).upper())


def is_guid(text: str) -> bool:
    """Tell whether *text* has the form of a RefId or a SIF_MsgId.

    Source:
        SIF UK 1.x message schema, types RefIdType and MsgIdType.
    """
    return _GUID.fullmatch(text) is not None


def parse_agent_id(text: str) -> AgentId:
    """Return *text* as an agent's id.

    Raises:
        ValueError: It is longer than 64 characters or has a character that a queue's name,
            a login and a URL could not carry alike.

    Source:
        SIF allows any token of 64 characters; the narrower alphabet is our own rule.
    """
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            f"agent id {text!r}: use 1 to 64 letters, digits, dots, hyphens or underscores, a letter or digit first"
        )
    return AgentId(text)


def parse_zone_id(text: str) -> ZoneId:
    """Return *text* as a zone's id, which is also its virtual host's name and part of URLs.

    Raises:
        ValueError: It has another form than an agent's id.
    """
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            f"zone id {text!r}: use 1 to 64 letters, digits, dots, hyphens or underscores, a letter or digit first"
        )
    return ZoneId(text)


def parse_establishment(text: str) -> Establishment:
    """Return *text*, ``8209901`` or ``820/9901``, as an establishment.

    Raises:
        ValueError: It is not an LA number of three digits and an establishment number of four.
    """
    compact = text.replace("/", "").strip()
    if _ESTABLISHMENT.fullmatch(compact) is None:
        raise ValueError(f"establishment {text!r}: write the LA number and the establishment number, e.g. 8209901")
    return Establishment(compact)
