"""Agents that do their work in the caller's thread, a step at a time; what they do is the runtime's."""

from collections.abc import Callable

import structlog

from agents.carry import Event
from agents.handlers import EventLoop
from agents.runtime import Functions, Runtime
from agents.sdk import Agent
from broker.transports.contract import Transport


class SteppedAgent(Agent):
    """An agent that is run by :class:`agents.testing.Zone`.

    Attributes:
        delivered: Told of each event before the agent's own functions are.
    """

    delivered: Callable[[Event], None]
    _loop: EventLoop
    _pass: Runtime
    _transport: Transport

    def begin(self) -> None:
        """Start a pass: connect, and take the functions that the agent has by now."""
        self._loop = EventLoop()
        given = self._functions(self._loop)
        events = {name: (self.delivered, *given.events.get(name, ())) for name in self._schema.objects}
        functions = Functions(events, given.providers, given.answers)
        self._pass = Runtime(self.settings, self._parts, self._store, functions)
        self._pass.begin()
        self._transport = self._connect()

    def step(self) -> bool:
        """Do what there is to do; tell whether there was anything."""
        with structlog.contextvars.bound_contextvars(agent=self.settings.id):
            read, carried = self._pass.read(), self._pass.carry(self._transport)
            return self._pass.answer() or read or carried

    def finish(self) -> bool:
        """Write the target; tell whether the pass is to go on."""
        with structlog.contextvars.bound_contextvars(agent=self.settings.id):
            return self._pass.finish()

    def end(self) -> None:
        """End the pass."""
        self._pass.end()
        self._transport.close()
        self._loop.__exit__(None, None, None)


__all__ = ["SteppedAgent"]
