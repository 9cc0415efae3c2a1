"""Which publishes are settled: the low-water mark, refusals and deadlines; sending and receiving is the transport's."""

from collections import deque

from broker.transports.contract import Outgoing, Refusal


class Confirms:
    """The publishes of one transport, by number: 1 for the first, then one more each.

    Attributes:
        last: Number of the latest publish; 0 before the first.
        low: Every publish up to this number is settled: confirmed, refused or given up.
    """

    def __init__(self) -> None:
        self.last = 0
        self.low = 0
        self._open: deque[Outgoing] = deque()  # low + 1 .. last
        self._settled: set[int] = set()  # those above low
        self._returned: set[int] = set()
        self._refusals: list[Refusal] = []
        self._waiting_since: deque[tuple[int, float]] = deque()  # up to which number, since when

    def add(self, message: Outgoing) -> int:
        """Count *message* as published and return its number."""
        self._open.append(message)
        self.last += 1
        return self.last

    def settle(self, number: int, multiple: bool, taken: bool) -> None:
        """Note the peer's word on *number*, or with *multiple* on all up to it that it has not yet spoken of."""
        if number > self.last or number <= self.low:
            return
        if not taken:
            self._nack(number, multiple)
        if multiple or number == self.low + 1:
            self._advance(number)
        else:
            self._settled.add(number)

    def returned(self, message_id: str, exchange: str, routing_key: str) -> None:
        """Note that a publish came back as unroutable; the peer confirms it afterwards.

        The peer returns in the order of publishing, so it is the oldest open one that looks like this.
        """
        for number, message in enumerate(self._open, start=self.low + 1):
            if (
                message.message_id == message_id
                and message.routing_key == routing_key
                and message.exchange == exchange
                and number not in self._returned
                and number not in self._settled
            ):
                self._returned.add(number)
                self._refusals.append(Refusal(number, message_id, "unroutable"))
                return

    def give_up(self) -> None:
        """Settle everything: the connection that would have confirmed it is gone."""
        self.low = self.last
        self._open.clear()
        self._settled.clear()
        self._returned.clear()
        self._waiting_since.clear()

    def take_refusals(self) -> list[Refusal]:
        """Return, once, what the peer did not take, oldest first."""
        taken, self._refusals = self._refusals, []
        taken.sort(key=lambda refusal: refusal.number)
        return taken

    @property
    def has_refusals(self) -> bool:
        """Whether :meth:`take_refusals` would return anything."""
        return bool(self._refusals)

    def watch(self, now: float) -> None:
        """Start the clock of what was published since the last call; *now* in seconds of any steady clock."""
        waiting = self._waiting_since
        while waiting and waiting[0][0] <= self.low:
            waiting.popleft()
        if self.last > self.low and (not waiting or waiting[-1][0] < self.last):
            waiting.append((self.last, now))

    def waiting_since(self) -> float | None:
        """Return when the clock of the oldest open publish was started; None when none is open."""
        return self._waiting_since[0][1] if self._waiting_since else None

    def restart_clock(self, now: float) -> None:
        """Count the waiting of everything open from *now*."""
        self._waiting_since.clear()
        self.watch(now)

    def _nack(self, number: int, multiple: bool) -> None:
        for refused in range(self.low + 1 if multiple else number, number + 1):
            if refused not in self._settled and refused not in self._returned:
                self._refusals.append(Refusal(refused, self._open[refused - self.low - 1].message_id, "nack"))

    def _advance(self, number: int) -> None:
        low, settled = self.low, self._settled
        if not settled:
            for _ in range(number - low):
                self._open.popleft()
            self.low = number
        else:
            while low < number or low + 1 in settled:
                low += 1
                settled.discard(low)
                self._open.popleft()
            self.low = low
        if self._returned:
            self._returned = {returned for returned in self._returned if returned > self.low}
