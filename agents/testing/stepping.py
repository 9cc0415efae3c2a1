"""Agents that do their work in the caller's thread, a step at a time; what they do is the runtime's."""

from collections.abc import Callable
from typing import Final

import structlog

from agents.carry import Event
from agents.handlers import EventLoop
from agents.runtime import Functions, Runtime
from agents.sdk import Agent
from broker.transports.contract import Transport

_NOT_YET: Final = -1


class SteppedRuntime(Runtime):
    """A single pass of an agent, as :meth:`Runtime.run_once` makes it, without its threads and its waiting."""

    _read_with = _NOT_YET

    def begin(self) -> None:
        """Let the zone be asked again for learners of whom it has not said whose they are."""
        self._learners.ask_again()

    def step(self, transport: Transport) -> bool:
        """Read what is to be read, carry what is there, answer what was asked; tell whether there was anything."""
        busy = self._read()
        busy |= self._carrier.turn(transport, 0)
        while (asked := self.spool.next_asked()) is not None:
            self._answering.answer(asked)
            busy = True
        return busy

    def finish(self) -> bool:
        """Write the target when something has changed; tell whether that has left something to send."""
        self._write_target()
        return self.spool.count() > 0

    def close(self) -> None:
        """Let the target bring what it does to its end."""
        self._close_target()

    def _read(self) -> bool:
        if not self._is_to_be_read(self._read_with):
            return False
        answers = self._learners.answers
        self._scan_once()
        self._read_with = answers
        return True


class SteppedAgent(Agent):
    """An agent that is run by :class:`agents.testing.Zone`.

    Attributes:
        delivered: Told of each event before the agent's own functions are.
    """

    delivered: Callable[[Event], None]
    _loop: EventLoop
    _stepped: SteppedRuntime
    _transport: Transport

    def begin(self) -> None:
        """Start a pass: connect, and take the functions that the agent has by now."""
        self._loop = EventLoop()
        given = self._functions(self._loop)
        events = {name: (self.delivered, *given.events.get(name, ())) for name in self._schema.objects}
        functions = Functions(events, given.providers, given.answers)
        self._stepped = SteppedRuntime(self.settings, self._parts, self._store, functions)
        self._stepped.begin()
        self._transport = self._connect()

    def step(self) -> bool:
        """Do what there is to do; tell whether there was anything."""
        with structlog.contextvars.bound_contextvars(agent=self.settings.id):
            return self._stepped.step(self._transport)

    def finish(self) -> bool:
        """Write the target; tell whether the pass is to go on."""
        with structlog.contextvars.bound_contextvars(agent=self.settings.id):
            return self._stepped.finish()

    def end(self) -> None:
        """End the pass."""
        self._stepped.close()
        self._transport.close()
        self._loop.__exit__(None, None, None)


__all__ = ["SteppedAgent"]
