"""Runs an agent's target on made-up objects, in a private zone and with a folder of the trial's own to write to."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import schemas
from agents.copies import Copy
from agents.inbox import Inbox
from agents.listening import SIGN, Bell, Listener, bell_agent, bell_agreement
from agents.made_objects import made_objects
from agents.private_zone import PrivateZone, Server
from agents.sdk import Agent
from agents.settings import AgentSettings
from agents.store import Store
from agents.surroundings import BYSTANDER, check_id
from agents.zone_files import Agreement, ZoneAgent
from broker.protocol.envelope import Action
from broker.protocol.identifiers import AgentId
from broker.transports import AmqpSettings, AmqpTransport

SCHOOL: Final = AgentId("trial-school")
_INBOX: Final = "inbox"


@dataclass(frozen=True, slots=True)
class TargetTrial:
    """A zone in which made-up objects wait for the agent.

    Attributes:
        copy: The agent's copy.
        sent: How many objects were published for it.
    """

    zone: PrivateZone
    copy: Copy
    bystander: Listener
    sent: int

    @property
    def log(self) -> Path:
        """What the agent's processes have logged."""
        return self.zone.place / "agent.log"

    def received(self) -> Mapping[str, int]:
        """Return how many objects the agent has, by type."""
        with Store(self.copy.state) as store:
            return Inbox(store, schemas.load()).counts()

    def messages(self) -> int:
        """Return how many messages the agent has handled, those that could not be used too."""
        with Store(self.copy.state) as store:
            inbox = Inbox(store, schemas.load())
            return sum(inbox.messages().values()) + len(inbox.all_failed())

    def failed(self) -> int:
        """Return how many messages it could not handle."""
        with Store(self.copy.state) as store:
            return len(Inbox(store, schemas.load()).all_failed())

    def written(self) -> dict[str, str]:
        """Return what the target has written: a digest by file."""
        place = self.copy.target
        if place is None or not place.is_dir():
            return {}
        files = sorted(path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
        return {str(path.relative_to(place)): f"{path.stat().st_mtime_ns} {_digest(path)}" for path in files}

    def tables(self) -> dict[str, int]:
        """Return how many lines each file has that the target has written and that people see."""
        place = self.copy.target
        if place is None:
            return {}
        files = [place / name for name in self.written() if not Path(name).name.startswith(".")]
        return {file.name: len(file.read_bytes().splitlines()) for file in files}


def why_not(settings: AgentSettings) -> str:
    """Return why a target does not write in a trial; empty when it does: to a folder, which can be another."""
    target = settings.target
    if target is None or target.path is not None or target.connector == _INBOX:
        return ""
    return (
        f"connector {target.connector!r} writes to a system outside, and not to a folder: nothing is written there in "
        "a trial; point a copy of the agent's file to a test system and run it"
    )


def target_place(settings: AgentSettings, place: Path) -> Path | None:
    """Return where a target writes in a trial that has *place*; None for one that must not be there at all."""
    return None if why_not(settings) else place / "written"


@contextmanager
def target_trial(
    settings: AgentSettings, types: Sequence[str], *, server: Server | None = None, keep: bool = False
) -> Iterator[TargetTrial]:
    """Give a zone in which objects of these types wait for an agent that has a target.

    The agent has no target there when that writes to a system outside: what can be tried is that it receives.

    Raises:
        ConfigurationError: The agent's id is one that a trial has for itself.
        NoPrivateZone: The zone cannot be started.
    """
    check_id(settings.id)
    agents = [
        ZoneAgent(settings.id, subscribe=types, publish=types),
        ZoneAgent(SCHOOL, "Made-up school", publish=types),
        ZoneAgent(BYSTANDER, "Bystander", subscribe=sorted({*types, SIGN})),
        bell_agent(),
    ]
    sharing = Agreement(dict.fromkeys(types, ("*",)), [settings.id], [SCHOOL], id="trial", title="All, in a trial")
    bell_heard = bell_agreement([BYSTANDER])
    with ExitStack() as stack:
        zone = stack.enter_context(PrivateZone(agents, [sharing, bell_heard], server=server, keep=keep))
        listeners = zone.place / "listeners"
        bystander = stack.enter_context(Listener(BYSTANDER, listeners, zone.url(BYSTANDER), types))
        bell = stack.enter_context(Bell(listeners, zone.url(bell_agent().id)))
        sent = _publish(zone, types)
        bell.ring([bystander])
        place = target_place(settings, zone.place)
        copy = Copy(settings.file, zone.place / "agent", zone.url(settings.id), only=(), target=place)
        yield TargetTrial(zone, copy, bystander, sent)


def _publish(zone: PrivateZone, types: Sequence[str]) -> int:
    """Publish made-up objects as a school would; return how many."""
    settings = AgentSettings(id=SCHOOL, file=zone.place / "school.toml", state=zone.place / "school")
    sent = 0
    with Agent(settings, lambda: AmqpTransport(AmqpSettings(url=zone.url(SCHOOL)))) as school:
        for element in made_objects(types):
            school.publish(element, Action.ADD)
            sent += 1
        school.run(once=True)
    return sent


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["SCHOOL", "TargetTrial", "target_place", "target_trial", "why_not"]
