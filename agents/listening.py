"""Agents of a private zone that keep what they are given, and a bell by which they know that all before it has come.

The zone has one intake queue, so what the bell publishes is decided after all that was published before it, and reaches
each listener after it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lxml import etree

import schemas
from agents.carry import Event
from agents.diff import ref_key
from agents.sdk import Agent
from agents.settings import AgentSettings
from agents.zone_files import Agreement, ZoneAgent
from broker.protocol.envelope import Action
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.transports import AmqpSettings, AmqpTransport
from schemas.samples import sample

BELL: Final = AgentId("trial-bell")
SIGN: Final = "SchoolInfo"
"""What the bell rings with."""
_BELL_SECONDS: Final = 90.0
_JOIN_SECONDS: Final = 30.0
_LOOK: Final = 0.02

Key = tuple[str, str]
"""Name of an object, and what identifies it."""


class NotHeard(ZoneError):
    """The zone did not deliver in time what the bell has published."""

    retry = True


def bell_agent() -> ZoneAgent:
    """Return the bell as the zone's file has it."""
    return ZoneAgent(BELL, "Tells when all has come", publish=[SIGN])


def bell_agreement(listeners: Sequence[str]) -> Agreement:
    """Return what lets listeners hear the bell."""
    return Agreement(
        {SIGN: ["@RefId"]}, listeners, [BELL], id="trial-bell", title="The bell", purpose="Knowing the end"
    )


class _Threaded:
    """An agent in a thread of its own, for as long as it is used as a context manager."""

    def __init__(self, agent: str, folder: Path, url: str) -> None:
        settings = AgentSettings(id=AgentId(agent), file=folder / f"{agent}.toml", state=folder / agent)
        self._agent = Agent(settings, lambda: AmqpTransport(AmqpSettings(url=url)))
        self._thread = threading.Thread(target=self._run, name=agent, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._agent.stop()
        self._thread.join(_JOIN_SECONDS)
        self._agent.close()

    def _run(self) -> None:
        try:
            self._agent.run()
        except BaseException as error:  # noqa: BLE001  # told to who waits
            self._error = error


class Listener(_Threaded):
    """An agent that keeps what it receives; use it as a context manager.

    Args:
        told: Called with each event as it comes, in the agent's thread.
    """

    def __init__(
        self,
        agent: str,
        folder: Path,
        url: str,
        object_types: Sequence[str],
        told: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        super().__init__(agent, folder, url)
        self._told = told
        self._events: list[Event] = []
        self._heard: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        for name in sorted({*object_types, SIGN}):
            self._agent.on(name)(self._take)

    def events(self) -> list[Event]:
        """Return all events so far, in their order, without the bell's."""
        with self._lock:
            return list(self._events)

    def count(self) -> int:
        """Return how many events have come."""
        with self._lock:
            return len(self._events)

    def objects(self) -> dict[Key, etree._Element]:
        """Return the objects as all events have made them, without the bell's."""
        schema = schemas.load()
        found = {}
        with self._lock:
            signs = set(self._heard)
        with self._agent.received() as kept:
            for name in {event.object_type for event in self.events()}:
                for element in kept.all(name):
                    if name != SIGN or element.get("RefId") not in signs:
                        found[name, ref_key(element, schema)] = element
        return found

    def await_sign(self, sign: str) -> None:
        """Wait until the bell with this RefId has come.

        Raises:
            NotHeard: It did not come in time.
        """
        with self._lock:
            heard = self._heard.setdefault(sign, threading.Event())
        deadline = time.monotonic() + _BELL_SECONDS
        while not heard.wait(0.2):
            if self._error is not None or time.monotonic() > deadline:
                raise NotHeard(
                    "the private zone did not deliver in time: close other programs, or try again when the machine "
                    "has less to do"
                ) from self._error

    def _take(self, event: Event) -> None:
        with self._lock:
            if event.source_id == BELL:
                self._heard.setdefault(event.element.get("RefId", ""), threading.Event()).set()
                return
            self._events.append(event)
        self._told(event)


class Bell(_Threaded):
    """Publishes a sign and waits until listeners have it."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(BELL, folder, url)

    def ring(self, listeners: Sequence[Listener]) -> None:
        """Return when all that the zone was sent before has reached the listeners that may have it.

        Raises:
            NotHeard: It takes too long.
        """
        element = sample(schemas.load(), SIGN)
        sign = new_ref_id()
        element.set("RefId", sign)
        self._agent.publish(element, Action.ADD)
        for listener in listeners:
            listener.await_sign(sign)


__all__ = ["BELL", "SIGN", "Bell", "Key", "Listener", "NotHeard", "bell_agent", "bell_agreement"]
