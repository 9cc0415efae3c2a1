"""A private zone with an agent to be tried, a recipient that may have all, and a bystander that may have nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from agents.carry import Event
from agents.listening import SIGN, Bell, Listener, bell_agent, bell_agreement
from agents.private_zone import PrivateZone, Server
from agents.zone_files import Agreement, ZoneAgent
from broker.protocol.errors import ConfigurationError

RECIPIENT: Final = "trial-recipient"
BYSTANDER: Final = "trial-bystander"
_OURS: Final = "trial-"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A running private zone and who listens in it.

    Attributes:
        zone: The zone; what belongs to the trial goes into its ``place``.
        recipient: May have all that the agent publishes.
        bystander: Subscribes to the same, and no agreement names it.
    """

    zone: PrivateZone
    bell: Bell
    recipient: Listener
    bystander: Listener

    @property
    def place(self) -> Path:
        """Folder for files of the trial."""
        return self.zone.place

    def settle(self) -> None:
        """Return when all that was published has reached who may have it."""
        self.bell.ring((self.recipient, self.bystander))


@contextmanager
def surroundings(
    agent: str,
    publish: Sequence[str],
    *,
    server: Server | None = None,
    keep: bool = False,
    told: Callable[[Event], None] = lambda _event: None,
) -> Iterator[Surroundings]:
    """Give a zone in which *agent* may publish these objects, and everything around it.

    Args:
        agent: Its id.
        publish: Objects.
        server: A RabbitMQ for tests, instead of one that is started.
        keep: Leave the zone's folder.
        told: Called with each event that reaches the recipient, in a thread of its own.

    Raises:
        ConfigurationError: The agent's id is one that a trial has for itself.
        NoPrivateZone: The zone cannot be started.
    """
    check_id(agent)
    names = list(publish)
    heard = sorted({*names, SIGN})
    agents = [
        ZoneAgent(agent, publish=names),
        ZoneAgent(RECIPIENT, "Recipient of the trial", subscribe=heard),
        ZoneAgent(BYSTANDER, "Bystander of the trial", subscribe=heard),
        bell_agent(),
    ]
    sharing = Agreement(
        dict.fromkeys(names, ("*",)), [RECIPIENT], [agent], id="trial", title="All, in a trial", purpose="A trial"
    )
    bell_heard = bell_agreement([RECIPIENT, BYSTANDER])
    agreements = [sharing, bell_heard] if names else [bell_heard]
    with ExitStack() as stack:
        zone = stack.enter_context(PrivateZone(agents, agreements, server=server, keep=keep))
        listeners = zone.place / "listeners"
        recipient = Listener(RECIPIENT, listeners, zone.url(RECIPIENT), names, told)
        bystander = Listener(BYSTANDER, listeners, zone.url(BYSTANDER), names)
        bell = Bell(listeners, zone.url(bell_agent().id))
        for each in (recipient, bystander, bell):
            stack.enter_context(each)
        yield Surroundings(zone, bell, recipient, bystander)


def check_id(agent: str) -> None:
    """Return when an agent's id is none that a trial has for itself.

    Raises:
        ConfigurationError: It is.
    """
    if agent.startswith(_OURS):
        raise ConfigurationError(f"agent {agent!r}: ids that begin with {_OURS!r} are the trial's own: choose another")


def agreement_draft(agent: str, objects: Sequence[str], today: date) -> str:
    """Return an agreement for the zone's administrator to fill in: it shares nothing but what identifies objects."""
    draft = Agreement(
        dict.fromkeys(objects, ("@RefId",)),
        ["RECIPIENT"],
        [agent],
        learners="enrolled",
        starts=today,
        expires=today + timedelta(days=364),
        id=f"{agent}-sharing",
        title="WHAT IS SHARED, IN A FEW WORDS",
        purpose="WHY THE RECIPIENT NEEDS IT",
        lawful_basis="UK GDPR Article 6(1)...",
    )
    return draft.toml()


__all__ = ["BYSTANDER", "RECIPIENT", "Surroundings", "agreement_draft", "check_id", "surroundings"]
