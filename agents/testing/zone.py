"""A zone for the tests of agents, whole and real in what it decides, in memory and without threads or waiting."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lxml import etree

import schemas
from agents.carry import Event
from agents.diff import ordering_key
from agents.sdk import Agent
from agents.settings import AgentSettings, read_settings
from agents.testing.stepping import SteppedAgent
from agents.zone_files import Agreement, ZoneAgent
from broker.protocol.envelope import Message, event_objects, parse_message
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.exchanges import parse_response
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import CONTROL, CONTROL_QUEUE, INTAKE, intake_key
from broker.testing import ZoneInMemory
from broker.transports.contract import Outgoing

_QUIET: Final = 3
"""Turns in a row without anything to do after which there is nothing left."""
_TURNS: Final = 10_000
_AT_ONCE: Final = timedelta(0)
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a file system in memory: each commit waits for its disk otherwise


class NotQuiet(ZoneError):
    """Agents and zone have had something to do for ten thousand turns: two agents answer each other without end."""


class Zone:
    """A zone that enforces registration, rights, agreements, schemas, rules and once-only, as the real one does.

    Example::

        def test_a_platform_gets_names_alone() -> None:
            school = ZoneAgent("mis-8209901", establishments=["8209901"], publish=["LearnerPersonal"])
            platform = ZoneAgent("platform", subscribe=["LearnerPersonal"])
            names = Agreement({"LearnerPersonal": ["@RefId", "PersonalInformation/Name"]}, ["platform"])
            with Zone([school, platform], [names]) as zone:
                zone.agent("mis-8209901").publish(learner)
                zone.run_until_quiet()
                (event,) = zone.inbox("platform")
                assert event.element.find("{*}LocalId") is None

    All it keeps, and the state of its agents, is in a folder of its own that is gone afterwards.
    """

    def __init__(
        self, agents: Sequence[ZoneAgent] = (), agreements: Sequence[Agreement] = (), *, now: datetime | None = None
    ) -> None:
        """Describe a zone; it is there between enter and exit.

        Args:
            agents: Who is set up in it, with which rights.
            agreements: What may be shared; nothing but that is.
            now: What its clock says at the start, with a time zone; the machine's time when left out.
        """
        self._now = now
        self._write: Callable[[Path], Path] = lambda place: _written(place, agents, agreements)

    @classmethod
    def from_folder(cls, folder: str | Path, *, now: datetime | None = None) -> Self:
        """Return a zone that is set up as a zone's folder says: zone.toml, agreements, calendars, codes.

        Nothing is written to the folder, and no RabbitMQ or database that it names is touched.
        """
        zone = cls(now=now)
        zone._write = lambda _place: Path(folder).absolute()
        return zone

    def __enter__(self) -> Self:
        """Set the zone up.

        Raises:
            ConfigurationError: An agent, an agreement or a file of the folder is wrong: says which, and how to mend it.
        """
        memory = str(_MEMORY) if os.access(_MEMORY, os.W_OK | os.X_OK) else None
        self._place = Path(tempfile.mkdtemp(prefix="sifzone-test-", dir=memory))
        try:
            self._zone = ZoneInMemory(self._write(self._place), self._place, self._now)
        except BaseException:
            shutil.rmtree(self._place)
            raise
        self._agents: dict[AgentId, SteppedAgent] = {}
        self._delivered: dict[AgentId, list[Event]] = {agent: [] for agent in self._zone.agents}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for agent in self._agents.values():
            agent.close()
        self._zone.close()
        shutil.rmtree(self._place)

    def agent(self, agent: str | Path | AgentSettings) -> Agent:
        """Return an agent of the zone, ready to be given functions; it works while :meth:`run_until_quiet` does.

        Called again for the same agent, it is stopped and started again with the state that it has. The zone closes it.

        Args:
            agent: The id of one that only does what it is given in Python, or an agent's file, or what that says.
                Files that its sources have are read at once, without waiting for them to settle. Systems that it
                reads, and its target, are those that it names: name others in a test.

        Raises:
            ConfigurationError: The zone has no such agent, or its file is wrong.
        """
        settings = self._settings(agent)
        self._known(settings.id)
        if settings.id in self._agents:
            self._agents[settings.id].close()
        started = SteppedAgent(settings, lambda: self._zone.connect(settings.id))
        started.delivered = self._delivered[settings.id].append
        self._agents[settings.id] = started
        return started

    def run_until_quiet(self) -> None:
        """Let zone and agents work in turns until nothing is left to do; each agent makes a single pass.

        It registers, reads its sources, publishes, receives, answers and asks, and writes its target. Agents that are
        set up and that the test has not named take part as well, and only receive.

        Raises:
            NotQuiet: There is no end to it.
        """
        for agent in self._zone.agents:
            if agent not in self._agents:
                self.agent(agent)
        working = list(self._agents.values())
        begun: list[SteppedAgent] = []
        try:
            for each in working:
                each.begin()
                begun.append(each)
            self._work(working)
        finally:
            for each in begun:
                each.end()
            self._zone.step()

    def inbox(self, agent: str) -> tuple[Event, ...]:
        """Return the events that an agent has been given, in their order; what each holds is all that it got to see.

        Raises:
            ConfigurationError: The zone has no such agent.
        """
        return tuple(self._delivered[self._known(agent)])

    def objects(self, agent: str, object_type: str) -> tuple[etree._Element, ...]:
        """Return the objects of a type that an agent now has, as all its events have made them, by RefId.

        Raises:
            ConfigurationError: The zone has no such agent.
        """
        known = self._known(agent)
        with (self._agents.get(known) or self.agent(known)).received() as kept:
            return tuple(kept.all(object_type))

    def send(self, agent: str, body: bytes) -> None:
        """Send a SIF_Message as it is with an agent's login, as one of another make would; the next run decides it.

        Raises:
            ConfigurationError: The zone has no such agent.
            ZoneError: It is no SIF_Message, so that it could not even be sent.
        """
        known = self._known(agent)
        message = parse_message(body)
        msg_id = message.header.msg_id
        to_zone = message.kind not in ("SIF_Event", "SIF_Request", "SIF_Response")
        place = (CONTROL, CONTROL_QUEUE) if to_zone else (INTAKE, intake_key(_ordering_key(message)))
        with self._zone.connect(known) as transport:
            transport.publish(Outgoing(*place, body, msg_id, message.kind, user_id=known))
            transport.poll(0)

    def pass_time(self, span: timedelta) -> None:
        """Set the zone's clock ahead: agreements begin and end, requests time out."""
        self._zone.pass_time(span)

    def _work(self, agents: Sequence[SteppedAgent]) -> None:
        quiet = 0
        for _ in range(_TURNS):
            busy = self._zone.step()
            for agent in agents:
                busy |= agent.step()
            quiet = 0 if busy else quiet + 1
            if quiet < _QUIET:
                continue
            sending = [agent.finish() for agent in agents]  # each of them, not only up to the first that has something
            if not any(sending):
                return
            quiet = 0
        raise NotQuiet(f"after {_TURNS:,} turns there is still something to do: see which agents answer each other")

    def _settings(self, agent: str | Path | AgentSettings) -> AgentSettings:
        if isinstance(agent, str):
            agent = AgentSettings(id=AgentId(self._known(agent)), file=self._place / f"{agent}.toml")
        settings = read_settings(agent) if isinstance(agent, Path) else agent
        return settings.model_copy(update={"state": self._place / "agents" / settings.id, "settle": _AT_ONCE})

    def _known(self, agent: str) -> AgentId:
        if agent not in self._delivered:
            names = ", ".join(self._delivered) or "none"
            raise ConfigurationError(f"the zone has no agent {agent[:64]!r}: set it up among its agents: {names}")
        return AgentId(agent)


def _ordering_key(message: Message) -> str:
    """Return what keeps a message in order with others: the learner it is about, or the request it belongs to."""
    try:
        if message.kind == "SIF_Event":
            return ordering_key(event_objects(message)[0].element, schemas.load())
        if message.kind == "SIF_Response":
            return parse_response(message).request_id
    except (ZoneError, schemas.UnknownObject):
        pass  # the zone will say what is wrong with it
    return message.header.msg_id


def _written(place: Path, agents: Sequence[ZoneAgent], agreements: Sequence[Agreement]) -> Path:
    """Write a zone's files, and return their folder."""
    folder = place / "zone"
    (folder / "agreements").mkdir(parents=True)
    lines = ['id = "test-zone"\n', *(agent.toml() for agent in agents)]
    (folder / "zone.toml").write_text("\n".join(lines), encoding="utf-8")
    for number, agreement in enumerate(agreements, start=1):
        (folder / "agreements" / f"{number}.toml").write_text(agreement.toml(), encoding="utf-8")
    return folder


__all__ = ["NotQuiet", "Zone"]
