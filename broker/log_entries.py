"""SIF_LogEntry: the zone's own event about a message that did not reach an agent; who subscribes to it gets it."""

from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from broker.protocol.envelope import Action, Header, build_event, new_header
from broker.protocol.identifiers import AgentId, MsgId
from broker.routing import Reason

_CODES: Final = {Reason.TOO_LARGE: 2, Reason.CHANNEL: 3, Reason.VERSION: 4}
"""SIF_Code within log category 4, error; 1 is for everything else.

Source:
    Log category and codes 1 to 3 as agents in use know them; 4 as other zone servers use it.
"""
_ERROR: Final = "4"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry: about which message, to whom it did not go, and why in a sentence without personal data."""

    original: Header
    reason: Reason | None
    text: str


def build_log_entry(zone: AgentId, entry: LogEntry, msg_id: MsgId, version: str) -> bytes:
    """Return the SIF_Event that adds *entry*, in the name of the zone."""
    header = new_header(zone, msg_id)
    content = (
        f'<SIF_LogEntry Source="ZIS" LogLevel="Error"><SIF_LogEntryHeader>{_header(header)}</SIF_LogEntryHeader>'
        f"<SIF_OriginalHeader>{_header(entry.original)}</SIF_OriginalHeader>"
        f"<SIF_Category>{_ERROR}</SIF_Category><SIF_Code>{_code(entry.reason)}</SIF_Code>"
        f"<SIF_Desc>{escape(entry.text[:1024])}</SIF_Desc></SIF_LogEntry>"
    )
    return build_event(header, (("SIF_LogEntry", Action.ADD, content.encode()),), version)


def _code(reason: Reason | None) -> int:
    return 1 if reason is None else _CODES.get(reason, 1)


def _header(header: Header) -> str:
    return (
        f"<SIF_Header><SIF_MsgId>{header.msg_id}</SIF_MsgId><SIF_Timestamp>{header.timestamp}</SIF_Timestamp>"
        f"<SIF_SourceId>{escape(header.source_id)}</SIF_SourceId></SIF_Header>"
    )
