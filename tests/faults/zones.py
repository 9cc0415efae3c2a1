"""A small real zone for fault tests: a sender, three recipients in two views, and a log of what each received."""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from broker.protocol.envelope import Action, build_event, build_register, new_header
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.topology import CONTROL, CONTROL_QUEUE, INTAKE, agent_queue, intake_key
from broker.settings import Zone, load_zone
from broker.storage import open_store
from broker.supervisor import read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Outgoing, TransportLost

SENDER = AgentId("mis-faults")
WINDOW: Final = 10
"""Events that the publisher has unconfirmed at most."""
RECIPIENTS = (AgentId("platform-a"), AgentId("platform-b"), AgentId("virtual-school"))

_ZONE = """
id = "faults"
partitions = 4
[agents.mis-faults]
name = "Made up MIS"
establishments = ["8209901"]
publish = ["LearnerPersonal"]
[agents.platform-a]
name = "Platform A"
establishments = ["8209901"]
subscribe = ["LearnerPersonal"]
[agents.platform-b]
name = "Platform B"
establishments = ["8209901"]
subscribe = ["LearnerPersonal"]
[agents.virtual-school]
name = "Virtual school"
authority = "820"
subscribe = ["LearnerPersonal"]
"""
_AGREEMENT = """
id = "{name}"
title = "Fault tests"
from = ["mis-*"]
to = ["{to}"]
purpose = "Fault tests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "{learners}"
[objects.LearnerPersonal]
share = {share}
"""
_LEARNER = (
    '<LearnerPersonal RefId="{ref}"><LocalId>{n}</LocalId><PersonalInformation>'
    '<Name Type="C"><FamilyName>Faultless</FamilyName>'
    "<GivenName>Pupil {n}</GivenName></Name></PersonalInformation>"
    "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
    ""
    '<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{ref}"><LAId>820</LAId>'
    "<EstablishmentId>9901</EstablishmentId><NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>"
    "</LearnerPersonal>"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One event published: its id, its learner and its number in the order of publishing."""

    msg_id: str
    learner: str
    number: int
    body: bytes


@dataclass(slots=True)
class Received:
    """What one recipient got: by message id the hash of each copy, and the ids in the order of their first arrival."""

    hashes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    order: list[str] = field(default_factory=list)


def make_zone(folder: Path) -> Zone:
    """Write the zone's settings to *folder* and return it."""
    (folder / "agreements").mkdir(parents=True)
    (folder / "zone.toml").write_text(_ZONE)
    small = '["@RefId", "LocalId", "PersonalInformation/Name"]'
    large = '["@RefId", "LocalId", "PersonalInformation", "InCare"]'
    for name, to, learners, share in (
        ("a", "platform-*", "enrolled", small),
        ("b", "virtual-*", "looked-after", large),
    ):
        text = _AGREEMENT.format(name=name, to=to, learners=learners, share=share)
        (folder / "agreements" / f"{name}.toml").write_text(text)
    return load_zone(folder)


def make_events(count: int, learners: int = 20) -> list[Sent]:
    """Return *count* events about *learners* learners in turn; each carries its number as LocalId."""
    refs = [new_ref_id() for _ in range(learners)]
    events = []
    for n in range(count):
        ref = refs[n % learners]
        header = new_header(SENDER)
        body = build_event(header, (("LearnerPersonal", Action.ADD, _LEARNER.format(ref=ref, n=n).encode()),))
        events.append(Sent(header.msg_id, ref, n, body))
    return events


class Publisher(threading.Thread):
    """Registers, then publishes events in order; what is not confirmed again, as an agent's spool does.

    Attributes:
        allowed: How many events may be published by now; the rest waits until it grows.
    """

    def __init__(self, zone: Zone, events: Sequence[Sent], allowed: int | None = None, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self._zone, self._events, self._pause = zone, events, pause
        self.allowed = len(events) if allowed is None else allowed
        self.error: BaseException | None = None

    def run(self) -> None:
        """Publish all; returns when all is confirmed."""
        try:
            with AmqpTransport(AmqpSettings(url=read_url(self._zone.credentials(SENDER)))) as transport:
                self._register(transport)
                self._publish(transport)
        except BaseException as error:  # noqa: BLE001  # told by join_or_raise
            self.error = error

    def join_or_raise(self, timeout: float) -> None:
        """Wait until all is confirmed, and raise what stopped it."""
        self.join(timeout)
        if self.error is not None:
            raise self.error
        if self.is_alive():
            raise TimeoutError("the publisher did not finish")

    @staticmethod
    def _register(transport: AmqpTransport) -> None:
        """Register and wait for the zone's answer: another worker may have the first event before one has this."""
        header = new_header(SENDER)
        body = build_register(header, "Made up MIS")
        transport.consume([agent_queue(SENDER)])
        transport.publish(Outgoing(CONTROL, CONTROL_QUEUE, body, header.msg_id, "SIF_Register", user_id=SENDER))
        while not (answers := transport.poll(0.5)):
            pass
        transport.ack(answers[-1].tag)

    def _publish(self, transport: AmqpTransport) -> None:
        messages = [
            Outgoing(INTAKE, intake_key(sent.learner), sent.body, sent.msg_id, "SIF_Event", user_id=SENDER)
            for sent in self._events
        ]
        done = 0
        while done < len(messages):
            done += self._window(transport, messages[done : min(done + WINDOW, self.allowed)])

    def _window(self, transport: AmqpTransport, messages: Sequence[Outgoing]) -> int:
        """Publish *messages* and return how many of them were confirmed: all or none, so that order is kept."""
        try:
            last = 0
            for message in messages:
                last = transport.publish(message)
            while transport.confirmed < last:
                transport.poll(0.5)
            transport.poll(self._pause)  # the pace of the load
            return 0 if transport.refusals() else len(messages)
        except TransportLost:
            return 0


class Receiver(threading.Thread):
    """Takes all recipients' messages, each with its own login, until told to stop."""

    def __init__(self, zone: Zone) -> None:
        super().__init__(daemon=True)
        self._zone = zone
        self.received: Mapping[AgentId, Received] = {agent: Received() for agent in RECIPIENTS}
        self._ended = threading.Event()

    def count(self) -> int:
        """Return how many different messages have reached the recipient that has fewest."""
        return min(len(received.order) for received in self.received.values())

    def stop(self) -> None:
        """Stop and wait until stopped."""
        self._ended.set()
        self.join(20)

    def run(self) -> None:
        """Receive until stopped."""
        transports = {}
        for agent in RECIPIENTS:
            transports[agent] = AmqpTransport(AmqpSettings(url=read_url(self._zone.credentials(agent))))
            transports[agent].consume([agent_queue(agent)])
        while not self._ended.is_set():
            for agent, transport in transports.items():
                self._take(transport, self.received[agent])
        for transport in transports.values():
            transport.close()

    @staticmethod
    def _take(transport: AmqpTransport, received: Received) -> None:
        try:
            messages = transport.poll(0.02)
        except TransportLost:
            return
        for message in messages:
            if message.message_id not in received.hashes:
                received.order.append(message.message_id)
            received.hashes[message.message_id].add(hashlib.sha256(message.body).hexdigest())
        if messages:
            transport.ack(messages[-1].tag)


def count_accepted(zone: Zone, events: Sequence[Sent]) -> int:
    """Return how many of *events* the ledger has: those delivered by a worker that was killed then come later."""
    with open_store(zone.database_url, zone.key_file) as store:
        return sum(row.outcome == "accepted" for row in store.ledger(limit=20 * len(events)))


def assert_nothing_lost_or_mixed_up(zone: Zone, events: Sequence[Sent], received: Mapping[AgentId, Received]) -> None:
    """Compare sent, ledger and received by id and content hash, and the order of each learner's events."""
    sent = {event.msg_id: event for event in events}
    with open_store(zone.database_url, zone.key_file) as store:
        rows = store.ledger(limit=20 * len(events))
    accepted = [row for row in rows if row.outcome == "accepted"]
    assert sorted(row.msg_id for row in accepted) == sorted(sent)
    assert {row.msg_id: row.sha256 for row in accepted} == {
        msg_id: hashlib.sha256(event.body).hexdigest() for msg_id, event in sent.items()
    }
    delivered: dict[tuple[AgentId, str], str] = {}
    for row in rows:
        if row.outcome != "delivered":
            assert row.outcome in {"accepted", "duplicate"}, row
            continue
        for agent in row.audience:
            assert (agent, row.msg_id) not in delivered, "delivered twice in the ledger"
            delivered[AgentId(agent), row.msg_id] = row.sha256
    assert len(delivered) == len(sent) * len(received)
    for agent, got in received.items():
        assert set(got.hashes) == set(sent), f"{agent}: lost or foreign messages"
        assert {msg_id: {delivered[agent, msg_id]} for msg_id in sent} == got.hashes, f"{agent}: other content"
        numbers: dict[str, list[int]] = defaultdict(list)
        for msg_id in got.order:
            numbers[sent[msg_id].learner].append(sent[msg_id].number)
        assert all(found == sorted(found) for found in numbers.values()), f"{agent}: a learner's order is not kept"
