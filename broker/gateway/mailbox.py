"""One agent's mailbox at the gateway: what it is to get next, and what its acknowledgements do. No I/O.

RabbitMQ holds the messages; here are those it has handed over and that are not acknowledged yet. Events come in one
queue, requests and responses in another, and are joined into one order by a number that the zone gave them. While an
agent is busy with an event (Selective Message Blocking), the other events wait and the rest flows.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from broker.protocol.envelope import Ack
from broker.protocol.errors import ZoneError

_REMEMBERED: Final = 2_000
"""How many messages that are gone are remembered by id, so that what is said of them late, or twice, does no harm."""


class NoSuchMessage(ZoneError):
    """An acknowledgement names a message that the agent was not given, or not in this order."""

    category: ClassVar[int] = 12
    code: ClassVar[int] = 6


class UnknownStatus(ZoneError):
    """An acknowledgement has a status that no agent's has."""

    category: ClassVar[int] = 12
    code: ClassVar[int] = 5


class NotAnEvent(ZoneError):
    """An intermediate acknowledgement of something that is not an event."""

    category: ClassVar[int] = 13
    code: ClassVar[int] = 2


class FinalExpected(ZoneError):
    """An agent that is pushed to acknowledges the event it is busy with, but not finally."""

    category: ClassVar[int] = 13
    code: ClassVar[int] = 3


class AnotherBlocked(ZoneError):
    """A final acknowledgement names another event than the one that the agent is busy with."""

    category: ClassVar[int] = 13
    code: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class Held:
    """A message that RabbitMQ has handed over for the agent.

    Attributes:
        at: Place in the order of the zone.
        tag: What to acknowledge it by to RabbitMQ.
    """

    msg_id: str
    kind: str
    at: int
    tag: int
    body: bytes

    @property
    def is_event(self) -> bool:
        """Whether it waits while the agent is busy with another event."""
        return self.kind == "SIF_Event"


class Fate(StrEnum):
    """What an acknowledgement does to its message."""

    REMOVED = "removed"
    REFUSED = "refused"
    """Removed, and kept in quarantine: the agent will never take it."""
    KEPT = "kept"
    """To be given again, later."""
    BLOCKED = "blocked"
    """The agent is busy with it; other events wait."""
    NOTHING = "nothing"
    """It was said before, or of what is long gone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an acknowledgement did.

    Attributes:
        held: The message that is removed or refused; None for anything else.
        unblocked: Whether other events may go on.
    """

    fate: Fate
    held: Held | None = None
    unblocked: bool = False


_PROCESSED: Final = 1
_BUSY: Final = 2
_FINAL: Final = 3
_HAD_IT: Final = 7
_ASLEEP: Final = 8
_STATUSES: Final = frozenset({_PROCESSED, _BUSY, _FINAL, _HAD_IT, _ASLEEP})
_TRY_AGAIN: Final = 10


class Mailbox:
    """What one agent has yet to get, in order.

    Args:
        blocked: Id of the event that the agent is busy with, as remembered from an earlier run; empty for none.
        handed: Ids of what it acknowledged earlier and RabbitMQ may deliver again.
    """

    def __init__(self, blocked: str = "", handed: frozenset[str] = frozenset()) -> None:
        self._events: deque[Held] = deque()
        self._others: deque[Held] = deque()
        self._ids: set[str] = set()
        self._given: Held | None = None
        self._blocked = blocked
        self._handed = handed
        self._gone: OrderedDict[str, None] = OrderedDict()

    @property
    def blocked(self) -> str:
        """Id of the event that the agent is busy with; empty for none."""
        return self._blocked

    def put(self, held: Held) -> bool:
        """Take in what RabbitMQ has handed over; tell whether the agent is yet to get it: else it had it before."""
        if self._is_gone(held.msg_id) or held.msg_id in self._ids:
            return False
        self._ids.add(held.msg_id)
        (self._events if held.is_event else self._others).append(held)
        return True

    def next(self) -> Held | None:
        """Return what the agent is to get now, the same until it acknowledges it; None when there is nothing."""
        if self._given is None or (self._blocked and self._given.is_event):
            self._given = self._choose()
        return self._given

    def _choose(self) -> Held | None:
        event = self._events[0] if self._events and not self._blocked else None
        other = self._others[0] if self._others else None
        if event is None or other is None:
            return event or other
        return event if event.at < other.at else other

    def acknowledge(self, msg_id: str, ack: Ack, *, pushed: bool = False, final: bool = False) -> Outcome:
        """Return what *ack* of the message *msg_id* does, having done it.

        Args:
            pushed: Whether it is the answer to a push, which only a log can be told of.
            final: Whether the agent is one that is pushed to and sends it by itself: of the event that it is busy with,
                that can only be the final one, or an error.

        Raises:
            ZoneError: The agent has no such message, or may not say that of it.

        Source:
            SIF Infrastructure 2.x, SIF_Ack and Selective Message Blocking; error codes 12/6, 13/2 to 13/4.
        """
        if ack.category is None and ack.status not in _STATUSES:
            raise UnknownStatus("SIF_Status/SIF_Code of an agent is 1, 2, 3, 7 or 8: acknowledge the message with one")
        if msg_id and msg_id == self._blocked:
            return self._of_blocked(ack, final=final)
        if ack.status == _FINAL and self._blocked and not self._is_gone(msg_id):
            raise AnotherBlocked("SIF_OriginalMsgId is not the event that you said you are busy with")
        held = self._find(msg_id)
        if held is None:
            return self._of_stranger(msg_id)
        if ack.category is not None:
            return Outcome(Fate.KEPT) if ack.category == _TRY_AGAIN else self._remove(held, Fate.REFUSED)
        if ack.status == _BUSY:
            return self._begin(held, pushed=pushed)
        if ack.status == _ASLEEP:
            return Outcome(Fate.KEPT)
        return self._remove(held, Fate.REMOVED)

    def would_refuse(self, msg_id: str, ack: Ack) -> Held | None:
        """Return the message that *ack* refuses for good, before :meth:`acknowledge` takes it out; else None."""
        if ack.category is None or ack.category == _TRY_AGAIN:
            return None
        if msg_id and msg_id == self._blocked:
            return next((event for event in self._events if event.msg_id == msg_id), None)
        return self._find(msg_id)

    def _of_blocked(self, ack: Ack, *, final: bool) -> Outcome:
        if ack.status == _BUSY or ack.status == _ASLEEP or ack.category == _TRY_AGAIN:
            return Outcome(Fate.NOTHING)
        if final and ack.category is None and ack.status != _FINAL:
            raise FinalExpected("the event is blocked: acknowledge it with status 3 when you have done with it")
        msg_id, self._blocked = self._blocked, ""
        held = next((event for event in self._events if event.msg_id == msg_id), None)
        if held is None:  # it is yet to come again after a loss, and is not to be given then
            self._note_gone(msg_id)
            return Outcome(Fate.NOTHING, unblocked=True)
        return self._remove(held, Fate.REMOVED if ack.category is None else Fate.REFUSED, unblocked=True)

    def _of_stranger(self, msg_id: str) -> Outcome:
        if self._is_gone(msg_id):
            return Outcome(Fate.NOTHING)
        raise NoSuchMessage("SIF_OriginalMsgId names no message that awaits your acknowledgement: fetch the next one")

    def _find(self, msg_id: str) -> Held | None:
        """Return the message that an id names: the one given, or the next one after a restart of the gateway."""
        if self._given is not None and self._given.msg_id == msg_id:
            return self._given
        for queue in (self._events, self._others):
            if queue and queue[0].msg_id == msg_id:
                return queue[0]
        return None

    def _begin(self, held: Held, *, pushed: bool) -> Outcome:
        if not held.is_event:
            if pushed:
                return self._remove(held, Fate.REMOVED)
            raise NotAnEvent("only a SIF_Event can be acknowledged with status 2: acknowledge this with 1")
        if self._blocked:
            raise FinalExpected("you are busy with another event: acknowledge that with status 3 first")
        self._blocked, self._given = held.msg_id, None
        return Outcome(Fate.BLOCKED)

    def _remove(self, held: Held, fate: Fate, *, unblocked: bool = False) -> Outcome:
        (self._events if held.is_event else self._others).remove(held)
        self._ids.discard(held.msg_id)
        self._note_gone(held.msg_id)
        if self._given is held:
            self._given = None
        return Outcome(fate, held, unblocked)

    def _is_gone(self, msg_id: str) -> bool:
        return msg_id in self._gone or msg_id in self._handed

    def _note_gone(self, msg_id: str) -> None:
        self._gone[msg_id] = None
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)

    def lacks(self, msg_id: str) -> bool:
        """Tell whether this is the event that the agent is busy with, and RabbitMQ has yet to hand it over again."""
        return bool(msg_id) and msg_id == self._blocked and msg_id not in self._ids

    def drop(self, held: Held) -> None:
        """Take *held* out: the agent is not to get it any more."""
        self._remove(held, Fate.REMOVED)

    def unblock(self) -> bool:
        """End the block: the event it was busy with is to be given again. Tell whether there was one."""
        was, self._blocked = self._blocked, ""
        return bool(was)

    def block_again(self, msg_id: str) -> None:
        """Take up what is remembered of the event that the agent is busy with."""
        self._blocked = msg_id

    def empty(self) -> list[Held]:
        """Take out all that is here, and return it."""
        found = [*self._events, *self._others]
        self.lost()
        return found

    def lost(self) -> None:
        """Forget what RabbitMQ had handed over: the connection is gone, and it comes again."""
        self._events.clear()
        self._others.clear()
        self._ids.clear()
        self._given = None


__all__ = [
    "AnotherBlocked",
    "Fate",
    "FinalExpected",
    "Held",
    "Mailbox",
    "NoSuchMessage",
    "NotAnEvent",
    "Outcome",
    "UnknownStatus",
]
