"""What the gateway knows of the zone: settings, rights, agreements, registrations and credentials, kept up to date."""

from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from broker import control
from broker.applied import applied_name, applied_zone
from broker.gateway.credentials import Caller, Credentials
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import Topology, gateway_topology, zone_topology
from broker.registry import AgentRecord, Live, Registration
from broker.routing import Router
from broker.settings import Zone, identity_of
from broker.supervisor import LOOPBACK, read_secret

log = structlog.get_logger(__name__)


class State:
    """The zone as the gateway sees it now.

    Args:
        zone: As in force.
    """

    def __init__(self, zone: Zone, live: Live) -> None:
        self.zone, self.router = zone, self._router(zone, live)
        self.credentials = _credentials(zone)
        self._bad = ""

    @property
    def id(self) -> AgentId:
        """The zone's SIF_SourceId."""
        return AgentId(self.zone.id)

    def agent(self, agent: AgentId) -> AgentRecord:
        """Return an agent that is set up for the gateway."""
        return self.router.registry.agents[agent]

    def registration(self, agent: AgentId) -> Registration | None:
        """Return what *agent* said when it registered; None while it is not registered, or not set up any more."""
        registry = self.router.registry
        return registry.live.registrations.get(agent) if agent in registry.agents else None

    def gateway_agents(self) -> list[AgentId]:
        """Return the agents that are set up for the gateway."""
        return sorted(agent.id for agent in self.router.registry.agents.values() if agent.gateway)

    def topology(self) -> Topology:
        """Return the queues of the agents at the gateway, and what they are bound to: no worker may have come yet."""
        found = Topology(zone_topology(self.zone.settings.partitions).exchanges, (), ())
        for agent in self.gateway_agents():
            found += gateway_topology(agent)
        return found

    def look(self, live: Live) -> None:
        """Take up what agents have said of themselves since."""
        self.router = self._router(self.zone, live)

    @property
    def version(self) -> int:
        """Number of the registry that is known."""
        return self.router.registry.live.version

    def reload(self) -> bool:
        """Take up changed settings, or a new day; keep the old when the new cannot be used. Tell whether any were."""
        name = applied_name(self.zone.folder)
        if name not in (self.zone.snapshot, self._bad):
            try:
                self._use(applied_zone(self.zone.folder))
            except ConfigurationError as error:
                self._bad = name
                log.error("configuration_not_used", reason=str(error))
                return False
            log.info("configuration_loaded", agents=len(self.gateway_agents()))
            return True
        if self.credentials.missing:
            self.credentials = _credentials(self.zone)
        if self.router.today != date.today():  # noqa: DTZ011  # agreements run by the zone's own calendar
            self._use(self.zone)
        return False

    def place(self, caller: Caller, now: float) -> control.Desk:
        """Return where a control message of *caller* comes in."""
        settings = self.zone.settings.gateway
        policy = control.Policy(settings.require_tls, self._may_push_to)
        return control.Desk(
            identity_of(self.zone), caller.channel, over_http=True, secure=caller.secure, policy=policy, now=now
        )

    def _may_push_to(self, agent: AgentId, url: str) -> str:
        """Return why the zone does not push to *url* for *agent*; empty when it does."""
        parts = urlsplit(url)
        fields = self.zone.settings.agents[agent].gateway
        allowed = fields.push if fields is not None else ()
        if allowed and not any(_begins(url, start) for start in allowed):
            return "the zone does not push to this SIF_URL: ask its administrator to add it to the agent's push list"
        if parts.username or parts.password:
            return "SIF_URL holds a user name or a password: leave them out"
        insecure = self.zone.settings.gateway.insecure
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not insecure:
            return "the zone pushes over plain HTTP only on its own machine: register an https:// SIF_URL"
        return ""

    def _use(self, zone: Zone) -> None:
        self.credentials = _credentials(zone)
        self.zone, self.router = zone, self._router(zone, self.router.registry.live)
        self._bad = ""

    @staticmethod
    def _router(zone: Zone, live: Live) -> Router:
        today = date.today()  # noqa: DTZ011  # agreements run by the zone's own calendar
        return Router(zone.registry.with_live(live), zone.agreements, today)


def _begins(url: str, start: str) -> bool:
    """Tell whether *url* is *start* or below it: of the same host and port, not only of the same letters."""
    asked, allowed = urlsplit(url), urlsplit(start)
    same = (asked.scheme, asked.netloc.lower()) == (allowed.scheme, allowed.netloc.lower())
    return same and (asked.path == allowed.path or asked.path.startswith(allowed.path.rstrip("/") + "/"))


def _credentials(zone: Zone) -> Credentials:
    at_gateway = [name for name, fields in zone.settings.agents.items() if fields.gateway is not None]
    return Credentials(zone, {AgentId(name): read_secret(zone.credentials(name)) for name in at_gateway})


def certificate_files(zone: Zone) -> tuple[Path, Path] | None:
    """Return the gateway's certificate and key; None where it speaks plain HTTP."""
    settings = zone.settings.gateway
    if not settings.certificate:
        return None
    return (zone.folder / settings.certificate).resolve(), (zone.folder / settings.key).resolve()


__all__ = ["State", "certificate_files"]
