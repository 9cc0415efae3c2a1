"""Who gets an object, cut to which view, and why the others do not: values in, values out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from broker.agreements import WHOLE, Agreement, Scope
from broker.holdings import TRANSFER, Holder
from broker.learners import Standing
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context
from broker.protocol.versions import covers
from broker.registry import AgentRecord, Channel, Registration, Registry
from broker.views import View, compile_view


class Reason(StrEnum):
    """Why a subscriber does not get an object."""

    NO_AGREEMENT = "no-agreement"
    NOT_LIVE = "agreement-not-live"
    NOT_IN_SCOPE = "learner-not-in-scope"
    SHIELDED = "learner-shielded"
    NOTHING_SHARED = "nothing-shared-in-change"
    VERSION = "version-not-listed"
    TOO_LARGE = "larger-than-buffer"
    CHANNEL = "channel-not-secure-enough"
    NOT_VALID = "object-not-valid"
    ENTERING = "learner-entering-scope"
    OTHER_SOURCE = "published-by-another-too"
    TAKEN_UP = "taken-up-by-the-zone"


Standings = tuple[Standing, ...]
"""How the learners an object is about stand, before and after the event; any of them counts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Recipients by view, and by reason whoever subscribes and gets nothing; ordered by id, nobody occurs twice.

    Attributes:
        holders: The recipients, each with the name of its view.
    """

    shares: tuple[tuple[View, tuple[AgentId, ...]], ...]
    withheld: tuple[tuple[Reason, tuple[AgentId, ...]], ...]
    holders: frozenset[Holder] = frozenset()


@dataclass(slots=True)
class Router:
    """Plans for one wording of the registry and the agreements on one day; plans and views are made once each.

    Attributes:
        follows_transfers: Whether the zone takes up what agents say of transfers, and publishes the cases itself; then
            nobody is delivered what the agents say.
    """

    registry: Registry
    agreements: Sequence[Agreement]
    today: date
    follows_transfers: bool = False
    _plans: dict[tuple[AgentId, str, tuple[Context, ...], Standings | None], Plan] = field(default_factory=dict)
    _refusing: dict[str, frozenset[AgentId]] = field(default_factory=dict)
    _views: dict[tuple[str, frozenset[str]], View] = field(default_factory=dict)

    def plan(
        self,
        sender: AgentId,
        object_type: str,
        standings: Standings | None,
        contexts: tuple[Context, ...] = (DEFAULT_CONTEXT,),
    ) -> Plan:
        """Return who gets an object of *object_type* from *sender*.

        Args:
            contexts: In which it is published; who subscribes in any of them gets it, once.
            standings: Of the learners the object is about; None when it is about no learner, so that scopes do
                not matter; empty when it is about learners that are not known, who are in no scope.

        Returns:
            Every subscriber once, except the sender, who is never sent its own objects.
        """
        key = (sender, object_type, contexts, standings)
        known = self._plans.get(key)
        if known is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            known = self._plans[key] = self._make(sender, object_type, contexts, standings)
        return known

    def takes_up(self, sender: AgentId, object_type: str) -> bool:
        """Tell whether what *sender* says by an object of this kind is the zone's to tell: a transfer's case."""
        return self.follows_transfers and object_type == TRANSFER and sender in self.registry.agents

    def allows(self, sender: AgentId, recipient: AgentId, object_type: str, standing: Standing) -> bool:
        """Tell whether *recipient* may learn of a learner of this standing from *sender*'s *object_type*."""
        agent = self.registry.agents[recipient]
        found = self._agreements(sender, agent, object_type, (standing,))
        return not isinstance(found, Reason)

    def share(
        self, sender: AgentId, recipient: AgentId, object_type: str, standings: Standings | None
    ) -> View | Reason:
        """Return what *recipient* may have of one object of *sender*'s, whether or not it subscribes; else why not."""
        found = self._agreements(sender, self.registry.agents[recipient], object_type, standings)
        return found if isinstance(found, Reason) else self._view(object_type, found)

    def may_ask(self, sender: AgentId, requester: AgentId, object_type: str) -> bool:
        """Tell whether any agreement that is live lets *requester* have any *object_type* of *sender*'s."""
        return any(self._live(sender, requester, object_type))

    def may_have_all(self, sender: AgentId, requester: AgentId, object_type: str) -> bool:
        """Tell whether *requester* may have each *object_type* of *sender*'s whole, whomever it is about."""
        return any(
            agreement.scope is Scope.ALL and agreement.shielded and WHOLE in agreement.shares[object_type]
            for agreement in self._live(sender, requester, object_type)
        )

    def _live(self, sender: AgentId, requester: AgentId, object_type: str) -> Iterable[Agreement]:
        return (
            agreement
            for agreement in self.agreements
            if object_type in agreement.shares
            and agreement.is_between(sender, requester)
            and agreement.is_live(self.today)
        )

    def unfit(self, recipients: Sequence[AgentId], version: str, size: int, demand: Channel) -> dict[AgentId, Reason]:
        """Return which of *recipients* cannot be given a message, and why.

        Who never registered takes any that demands no protection.

        Args:
            version: SIF_Message/@Version.
            size: Bytes of it.
            demand: What SIF_Security demands of the way to the recipient.

        Source:
            SIF Infrastructure 2.x: SIF_Version and SIF_MaxBufferSize of SIF_Register; SIF_Security of SIF_Header.
        """
        registrations = self.registry.live.registrations
        if version not in self._refusing:
            self._refusing[version] = frozenset(
                agent for agent, said in registrations.items() if not any(covers(v, version) for v in said.versions)
            )
        refusing = self._refusing[version]
        if not refusing and size <= self.registry.smallest_buffer and demand == _NO_DEMAND:
            return {}
        found: dict[AgentId, Reason] = {}
        for agent in recipients:
            said = registrations.get(agent)
            if agent in refusing:
                found[agent] = Reason.VERSION
            elif said is not None and size > said.max_buffer:
                found[agent] = Reason.TOO_LARGE
            elif not secure_enough(said, demand):
                found[agent] = Reason.CHANNEL
        return found

    def _make(
        self, sender: AgentId, object_type: str, contexts: tuple[Context, ...], standings: Standings | None
    ) -> Plan:
        shares: dict[frozenset[str], tuple[View, list[AgentId]]] = {}
        withheld: dict[Reason, list[AgentId]] = {}
        taken_up = Reason.TAKEN_UP if self.takes_up(sender, object_type) else None
        for agent in self.registry.subscribers(object_type, contexts):
            if agent.id == sender:
                continue
            found = taken_up or self._agreements(sender, agent, object_type, standings)
            if isinstance(found, Reason):
                withheld.setdefault(found, []).append(agent.id)
                continue
            view = self._view(object_type, found)
            shares.setdefault(frozenset(a.id for a in found), (view, []))[1].append(agent.id)
        return Plan(
            tuple((view, tuple(agents)) for view, agents in shares.values()),
            tuple((reason, tuple(agents)) for reason, agents in withheld.items()),
            frozenset(Holder(agent, view.name) for view, agents in shares.values() for agent in agents),
        )

    def _agreements(
        self, sender: AgentId, recipient: AgentRecord, object_type: str, standings: Standings | None
    ) -> tuple[Agreement, ...] | Reason:
        between = [
            agreement
            for agreement in self.agreements
            if object_type in agreement.shares and agreement.is_between(sender, recipient.id)
        ]
        steps: tuple[tuple[Reason, Callable[[Agreement], bool]], ...] = (
            (Reason.NO_AGREEMENT, lambda _: True),
            (Reason.NOT_LIVE, lambda agreement: agreement.is_live(self.today)),
            (Reason.NOT_IN_SCOPE, lambda agreement: _in_scope(agreement.scope, recipient, standings)),
            (Reason.SHIELDED, lambda agreement: agreement.shielded or not _is_shielded(standings)),
        )
        for reason, keeps in steps:
            between = [agreement for agreement in between if keeps(agreement)]
            if not between:
                return reason
        return tuple(between)

    def _view(self, object_type: str, agreements: tuple[Agreement, ...]) -> View:
        key = (object_type, frozenset(agreement.id for agreement in agreements))
        if key not in self._views:
            self._views[key] = compile_view(object_type, agreements)
        return self._views[key]


def explain(reason: str) -> str:
    """Return a sentence for people on why an agent did not get an object."""
    return _EXPLANATIONS.get(reason, reason)


_MAX_PLANS = 20_000

_EXPLANATIONS: Mapping[str, str] = {
    Reason.NO_AGREEMENT: "no agreement from the sender to this agent names the object",
    Reason.NOT_LIVE: "the agreement has not started or has expired",
    Reason.NOT_IN_SCOPE: "the learner is not among those the agreement is about",
    Reason.SHIELDED: "the learner is under a shield and no agreement covers that",
    Reason.NOTHING_SHARED: "the change touched nothing that an agreement shares",
    Reason.VERSION: "the agent did not list the message's version when it registered",
    Reason.TOO_LARGE: "the message is larger than the SIF_MaxBufferSize the agent registered with",
    Reason.CHANNEL: "the agent is not connected as securely as the sender's SIF_Security demands",
    Reason.NOT_VALID: "the schema or a rule refuses the object",
    Reason.ENTERING: "the learner has just entered its scope: the whole record is being asked for, this with it",
    Reason.TAKEN_UP: "the zone takes up what is said of a transfer, and publishes the case itself",
    Reason.OTHER_SOURCE: "another agent publishes the same object, which the agent keeps",
}
_NO_DEMAND: Final = Channel()


def secure_enough(said: Registration | None, demand: Channel) -> bool:
    """Tell whether an agent is connected as securely as *demand*; who never registered meets no demand but none."""
    if demand == _NO_DEMAND:
        return True
    if said is None:
        return False
    return said.channel.authentication >= demand.authentication and said.channel.encryption >= demand.encryption


def _in_scope(scope: Scope, recipient: AgentRecord, standings: Standings | None) -> bool:
    if standings is None:
        return True
    return any(standing.is_in(scope, recipient) for standing in standings)


def _is_shielded(standings: Standings | None) -> bool:
    return any(standing.shielded for standing in standings or ())
