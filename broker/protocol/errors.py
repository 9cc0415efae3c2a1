"""The zone's errors: one root, and for each the SIF category and code that an agent is sent."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

SIF_ERRORS: Final[Mapping[tuple[int, int], str]] = MappingProxyType(
    {
        (1, 1): "XML: unspecified problem",
        (1, 2): "XML: not well-formed",
        (1, 3): "XML: not valid",
        (1, 4): "XML: value not allowed in an element or attribute",
        (1, 6): "XML: required element or attribute missing",
        (2, 1): "encryption: unspecified problem",
        (3, 1): "authentication: unspecified problem",
        (3, 2): "authentication: problem with a signature",
        (3, 3): "authentication: no certificate sent",
        (3, 4): "authentication: certificate not valid",
        (3, 5): "authentication: certificate not trusted",
        (3, 6): "authentication: certificate expired",
        (3, 7): "authentication: signature not valid",
        (3, 8): "authentication: encryption algorithm not accepted",
        (3, 9): "authentication: receiver's public key not available",
        (3, 10): "authentication: receiver's private key not available",
        (4, 1): "access: unspecified problem",
        (4, 2): "access: may not register",
        (4, 3): "access: may not provide this object",
        (4, 4): "access: may not subscribe to this object",
        (4, 5): "access: may not request this object",
        (4, 6): "access: may not answer requests for this object",
        (4, 7): "access: may not publish events",
        (4, 8): "access: may not administer policy",
        (4, 9): "access: sender is not registered",
        (4, 10): "access: may not publish Add events of this object",
        (4, 11): "access: may not publish Change events of this object",
        (4, 12): "access: may not publish Delete events of this object",
        (5, 1): "registration: unspecified problem",
        (5, 2): "registration: SIF_SourceId not acceptable",
        (5, 3): "registration: transport protocol not supported",
        (5, 4): "registration: none of the SIF versions is supported",
        (5, 6): "registration: SIF_MaxBufferSize too small",
        (5, 7): "registration: a secure transport is demanded",
        (5, 9): "registration: a push agent cannot pull",
        (5, 10): "registration: Accept-Encoding not supported",
        (6, 1): "provision: unspecified problem",
        (6, 3): "provision: no such object",
        (6, 4): "provision: the object has a provider already",
        (7, 1): "subscription: unspecified problem",
        (7, 3): "subscription: no such object",
        (8, 1): "request or response: unspecified problem",
        (8, 3): "request or response: no such object",
        (8, 4): "request or response: nobody answers for this object",
        (8, 7): "request or response: requested version cannot be produced",
        (8, 8): "request or response: buffer size too small for the answer",
        (8, 9): "request or response: query not supported",
        (8, 10): "request or response: the response names an unknown request",
        (8, 11): "request or response: packet larger than the requester's buffer",
        (8, 12): "request or response: packet number out of sequence",
        (8, 13): "request or response: version was not requested",
        (8, 14): "request or response: addressed to another than the requester",
        (8, 15): "request or response: extended queries are not supported",
        (8, 16): "request or response: request timed out",
        (8, 17): "request or response: request removed by an administrator",
        (8, 18): "request or response: request cancelled by its requester",
        (9, 1): "events: unspecified problem",
        (9, 3): "events: event not valid",
        (10, 1): "transport: unspecified problem, try again",
        (10, 2): "transport: protocol not supported",
        (10, 3): "transport: no channel is secure enough",
        (10, 4): "transport: cannot connect",
        (11, 1): "system: unspecified problem",
        (12, 1): "handling: unspecified problem",
        (12, 2): "handling: message type not supported",
        (12, 3): "handling: message version not supported",
        (12, 4): "handling: context not supported",
        (12, 5): "handling: protocol error",
        (12, 6): "handling: no such message",
        (12, 7): "handling: several contexts are not supported here",
        (13, 1): "message blocking: unspecified problem",
        (13, 2): "message blocking: intermediate acknowledgement of something that is not an event",
        (13, 3): "message blocking: a final acknowledgement was expected",
        (13, 4): "message blocking: the final acknowledgement names another message",
    }
)
"""What each SIF error category and code means, in our words.

Source:
    SIF UK 1.x message schema, SIF_Error; categories and codes of SIF Infrastructure 2.x.
"""


class ZoneError(Exception):
    """The root of all errors of the zone.

    Attributes:
        category: SIF error category that an agent is sent.
        code: SIF error code within the category.
        retry: Whether the same thing tried again later may succeed.
    """

    category: ClassVar[int] = 11  # system
    code: ClassVar[int] = 1
    retry: ClassVar[bool] = False


class NotWellFormed(ZoneError):
    """The bytes are not an XML document that the zone reads.

    Attributes:
        line: Line of the document, counted from 1; 0 when it has none.
    """

    category = 1
    code = 2

    def __init__(self, reason: str, line: int = 0) -> None:
        self.reason, self.line = reason, line
        super().__init__(f"line {line}: {reason}" if line else reason)


class NotValid(ZoneError):
    """The envelope of a message is not as the SIF message schema has it."""

    category = 1
    code = 3


class VersionNotSupported(ZoneError):
    """The message's version is none that the zone speaks."""

    category = 12
    code = 3


class MessageTypeNotSupported(ZoneError):
    """The zone does nothing with this type of message."""

    category = 12
    code = 2


class WrongSource(ZoneError):
    """SIF_SourceId is not the login that sent the message."""

    category = 3  # authentication
    code = 1


class NotRegistered(ZoneError):
    """The sender is not registered in this zone."""

    category = 4
    code = 9


class UnknownObject(ZoneError):
    """The zone has no schema for this object, so it can be no valid event."""

    category = 9
    code = 3


class MayNotPublish(ZoneError):
    """The sender has no right to publish this object; the code tells Add, Change or Delete."""

    category = 4
    code = 7


class MayNotAdd(MayNotPublish):
    """The sender has no right to publish Add events of this object."""

    code = 10


class MayNotChange(MayNotPublish):
    """The sender has no right to publish Change events of this object."""

    code = 11


class MayNotDelete(MayNotPublish):
    """The sender has no right to publish Delete events of this object."""

    code = 12


class ConfigurationError(ZoneError):
    """A settings, agreement or mapping file cannot be used; the text names file, place and remedy."""
