"""A zone in one thread: a real worker and store, agents that publish and answer, and agents that keep what they get.

RabbitMQ is not the subject: messages go through the transport in memory, and time moves when a test says so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from lxml import etree

from broker.protocol.envelope import (
    LOOKED_AFTER,
    NAMESPACE,
    Action,
    EventObject,
    Message,
    build_event,
    build_register,
    event_objects,
    local_name,
    new_header,
    parse_ack,
    parse_message,
)
from broker.protocol.exchanges import AnswerError, build_response
from broker.protocol.identifiers import AgentId
from broker.protocol.query import Query, matches, parse_query
from broker.protocol.topology import BROKER_LOGIN, CONTROL, CONTROL_QUEUE, INTAKE, agent_queue, intake_key
from broker.settings import Zone, load_zone
from broker.storage import Batch, Store, make_key, open_store
from broker.transports import Incoming, MemoryBroker, MemoryTransport, Outgoing
from broker.worker import Worker
from schemas import load

SCHOOLS: Final = {"8209901": "C1" * 16, "8209902": "C2" * 16, "8209903": "C3" * 16}
AUTHORITY: Final = "1A" * 16
START: Final = datetime(2026, 10, 1, 12).astimezone()
ABOUT: Final = (
    "LearnerPersonal",
    "ContactPersonal",
    "LearnerContact",
    "LearnerSchoolEnrolment",
    "LearnerLookedAfter",
    "LearnerTransfer",
    "LearnerSpecialNeeds",
)

Key = tuple[str, str]
"""Kind of an object, and its RefId, or its keys joined by bars."""


def key_of(element: etree._Element) -> Key:
    object_type = local_name(element)
    return object_type, "|".join(element.get(name[1:], "") for name in load().keys(object_type))


def learner_of(element: etree._Element) -> str:
    return element.get("RefId" if local_name(element) == "LearnerPersonal" else "LearnerPersonalRefId", "")


def parse(text: str) -> etree._Element:
    own = text.startswith(("<LearnerLookedAfter", "<LearnerTransfer", "<LearnerEducationPlan"))
    return etree.fromstring(text.replace(" ", f' xmlns="{LOOKED_AFTER if own else NAMESPACE}" ', 1))


def personal(ref: str, name: str = "Made-Up", more: str = "") -> str:
    names = f'<Name Type="C"><FamilyName>{name}</FamilyName><GivenName>Pupil</GivenName></Name>'
    return (
        f'<LearnerPersonal RefId="{ref}"><LocalId>1{ref[:4]}</LocalId>'
        f"<PersonalInformation>{names}</PersonalInformation>{more}</LearnerPersonal>"
    )


def enrolment(
    ref: str, learner: str, school: str, entry: str = "2025-09-01", leaves: str = "", membership: str = "C"
) -> str:
    ended = f"<ExitDate>{leaves}</ExitDate>" if leaves else ""
    return (
        f'<LearnerSchoolEnrolment RefId="{ref}" LearnerPersonalRefId="{learner}" SchoolInfoRefId="{SCHOOLS[school]}" '
        f'MembershipType="{membership}"><EntryDate>{entry}</EntryDate><NCYearGroupActual>7</NCYearGroupActual>'
        f"{ended}</LearnerSchoolEnrolment>"
    )


def care(ref: str, learner: str, start: str = "2026-09-01", end: str = "", shield: str = "", status: str = "LA") -> str:
    ended = f"<CareEndDate>{end}</CareEndDate>" if end else ""
    shielded = f"<ShieldCode>{shield}</ShieldCode>" if shield else ""
    return (
        f'<LearnerLookedAfter RefId="{ref}" LearnerPersonalRefId="{learner}" LAInfoRefId="{AUTHORITY}">'
        f"<Current>Yes</Current><CareStatus>{status}</CareStatus><CareStartDate>{start}</CareStartDate>{ended}"
        f"{shielded}<AsAtDate>2026-10-01</AsAtDate><SourceSystem>Made up</SourceSystem></LearnerLookedAfter>"
    )


def contact(ref: str) -> str:
    return (
        f'<ContactPersonal RefId="{ref}"><PersonalInformation><Name Type="B"/></PersonalInformation></ContactPersonal>'
    )


def link(learner: str, person: str) -> str:
    return (
        f'<LearnerContact LearnerPersonalRefId="{learner}" ContactPersonalRefId="{person}">'
        "<Relationship>CARE</Relationship><ContactFlags/></LearnerContact>"
    )


def school_info(number: str) -> str:
    return (
        f'<SchoolInfo RefId="{SCHOOLS[number]}"><EstablishmentId>{number[3:]}</EstablishmentId>'
        f"<LAId>{number[:3]}</LAId><SchoolName>Made-up School</SchoolName>"
        "<SessionsPerDay>2</SessionsPerDay></SchoolInfo>"
    )


def agreement(
    name: str,
    senders: Iterable[str],
    to: Iterable[str],
    learners: str,
    objects: Mapping[str, Iterable[str]] | Iterable[str] = ABOUT,
    *,
    starts: str = "2020-01-01",
    expires: str = "2099-12-31",
    more: str = "",
) -> str:
    shares = objects if isinstance(objects, Mapping) else dict.fromkeys(objects, ("*",))
    written = "".join(f"[objects.{kind}]\nshare = {list(paths)!r}\n" for kind, paths in shares.items())
    return (
        f'id = "{name}"\ntitle = "{name}"\nfrom = {list(senders)!r}\nto = {list(to)!r}\npurpose = "Tests"\n'
        f'lawful_basis = "None, all is made up"\nstarts = {starts}\nexpires = {expires}\nlearners = "{learners}"\n'
        f"{more}\n{written}"
    )


_SETTINGS: Final = """
id = "stage"
partitions = 4
[requests]
timeout = "10m"
[agents.mis-1]
name = "School 1"
establishments = ["8209901"]
publish = {kinds}
[agents.mis-2]
name = "School 2"
establishments = ["8209902"]
publish = {kinds}
subscribe = {kinds}
[agents.social-care]
name = "Social care"
authority = "820"
publish = ["LearnerLookedAfter"]
[agents.platform]
name = "Platform"
establishments = ["8209901", "8209902"]
subscribe = {kinds}
[agents.bookroom]
name = "Book room of school 1"
establishments = ["8209901"]
subscribe = {kinds}
[agents.virtual-school]
name = "Virtual school"
authority = "820"
subscribe = {kinds}
[agents.ctf-out]
name = "Files for schools without an agent"
publish = ["LearnerTransfer"]
subscribe = {kinds}
"""
CALENDAR: Final = """
title = "Schools of a made-up authority"
terms = [
    { term = "AUT", starts = 2026-09-01, ends = 2026-12-18, half_term = { starts = 2026-10-26, ends = 2026-10-30 } },
    { term = "SPR", starts = 2027-01-04, ends = 2027-03-26 },
    { term = "SUM", starts = 2027-04-12, ends = 2027-07-21 },
]
"""
PUBLISHERS: Final = ("mis-1", "mis-2", "social-care")
RECIPIENTS: Final = ("platform", "bookroom", "virtual-school", "ctf-out", "mis-2")
EVENTS: Final = ("LearnerPersonal", "LearnerSchoolEnrolment", "LearnerContact", "ContactPersonal")
AGREEMENTS: Final = {
    "platform": agreement("platform", ["mis-*"], ["platform"], "enrolled", EVENTS),
    "bookroom": agreement("bookroom", ["mis-*"], ["bookroom"], "enrolled", ["LearnerPersonal"]),
    "virtual": agreement("virtual", ["mis-*", "social-care", "stage"], ["virtual-school"], "looked-after"),
}


@dataclass(slots=True)
class Recipient:
    """What an agent holds, as its messages have made it.

    Attributes:
        log: Every event: action, object's key.
        events: The same, each with the object as it came.
        odd: What no agent should meet: an Add of what it holds, a Change or Delete of what it does not.
    """

    held: dict[Key, etree._Element] = field(default_factory=dict)
    log: list[tuple[Action, Key]] = field(default_factory=list)
    events: list[EventObject] = field(default_factory=list)
    odd: list[tuple[Action, Key]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def take(self, message: Message) -> None:
        if message.header.msg_id in self.seen:
            return
        self.seen.add(message.header.msg_id)
        for event in event_objects(message):
            key = key_of(event.element)
            if (key in self.held) is (event.action is Action.ADD):
                self.odd.append((event.action, key))
            self.log.append((event.action, key))
            self.events.append(event)
            if event.action is Action.DELETE:
                self.held.pop(key, None)
            else:
                self.held[key] = event.element

    def of(self, learner: str) -> set[Key]:
        """Return the keys of what is held of a learner; without contacts, which are nobody's own."""
        return {key for key, element in self.held.items() if learner_of(element) == learner}


@dataclass(slots=True)
class Publisher:
    """What an agent publishes, and the zone's requests that it has not answered yet.

    Attributes:
        is_away: It answers nothing.
    """

    objects: dict[Key, etree._Element] = field(default_factory=dict)
    asked: list[Message] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    is_away: bool = False


class _Killed(BaseException):
    """The worker is killed."""


@dataclass(slots=True)
class Stage:
    """A zone with its worker, and everybody's connection to it."""

    folder: Path
    store: Store
    broker: MemoryBroker
    zone: Zone
    moment: datetime = START
    publishers: dict[str, Publisher] = field(default_factory=lambda: defaultdict(Publisher))
    recipients: dict[str, Recipient] = field(default_factory=lambda: defaultdict(Recipient))
    transports: dict[str, MemoryTransport] = field(default_factory=dict)
    worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        self.start_worker()

    def start_worker(self) -> None:
        """Start a worker; where there is one, it is gone as if it were killed."""
        self.broker.disconnect(BROKER_LOGIN)
        transport = MemoryTransport(self.broker, BROKER_LOGIN)
        self.worker = Worker(transport, self.store, self.zone, now=lambda: self.moment.timestamp())
        self.worker.open(range(self.zone.settings.partitions))

    def crash(self) -> None:
        """Let the worker work, and be killed when all is published and nothing is stored; and start another."""
        commit = self.store.commit

        def die(_: Batch) -> None:
            raise _Killed

        self.store.commit = die  # type: ignore[method-assign,assignment]  # there is no other place to be killed at
        try:
            self.worker.step(0)
        except _Killed:
            pass
        finally:
            self.store.commit = commit  # type: ignore[method-assign]
        self.start_worker()

    def connect(self) -> None:
        """Let every agent register, and every school publish itself."""
        for agent in self.zone.registry.agents:
            transport = self.transports[agent] = MemoryTransport(self.broker, agent)
            transport.consume([agent_queue(agent)])
            header = new_header(agent)
            body = build_register(header, agent)
            transport.publish(Outgoing(CONTROL, CONTROL_QUEUE, body, header.msg_id, "SIF_Register", user_id=agent))
        self.settle()
        for school, number in (("mis-1", "8209901"), ("mis-2", "8209902")):
            self.publish(school, Action.ADD, school_info(number))
        self.settle()

    def publish(self, agent: str, action: Action, text: str) -> None:
        """Publish an event; the publisher remembers the object, as it answers for it."""
        self.publish_element(agent, action, parse(text))

    def publish_element(self, agent: str, action: Action, element: etree._Element) -> None:
        """Publish an event, as :meth:`publish` does."""
        own = self.publishers[agent].objects
        if action is Action.DELETE:
            own.pop(key_of(element), None)
        elif action is Action.ADD or key_of(element) in own:
            own[key_of(element)] = element
        header = new_header(AgentId(agent))
        body = build_event(header, ((local_name(element), action, etree.tostring(element)),))
        ordering = learner_of(element) or element.get("RefId", "")
        self._send(agent, intake_key(ordering), body, header.msg_id, "SIF_Event")

    def answer(self, agent: str) -> bool:
        """Let a publisher answer the oldest of the zone's requests to it; tell whether there was one."""
        publisher = self.publishers[agent]
        if not publisher.asked:
            return False
        message = publisher.asked.pop(0)
        self.respond(agent, message, b"".join(self.found(agent, message)))
        return True

    def found(self, agent: str, asked: Message) -> list[bytes]:
        """Return what a publisher has now of what it is asked for."""
        query = parse_query(asked.payload)
        assert isinstance(query, Query)
        own = self.publishers[agent].objects.values()
        found = [element for element in own if local_name(element) == query.object_type]
        return [etree.tostring(element) for element in found if matches(query, element)]

    def respond(
        self, agent: str, asked: Message, content: bytes | AnswerError, number: int = 1, *, more: bool = False
    ) -> None:
        """Send a packet of an answer; unless more is to follow, the last."""
        header = new_header(AgentId(agent))
        request = asked.header.msg_id
        named = header._replace(destination_id=asked.header.source_id)
        body = build_response(named, request, number, more, content)
        self._send(agent, intake_key(request), body, header.msg_id, "SIF_Response")

    def settle(self, *, answering: bool = True) -> None:
        """Let the worker work, and publishers that are there answer, until nothing is left to do."""
        quiet = 0
        while quiet < 3:
            busy = self.step()
            if answering:
                for name, publisher in list(self.publishers.items()):
                    busy |= not publisher.is_away and self.answer(name)
            quiet = 0 if busy else quiet + 1

    def step(self) -> bool:
        """Let the worker work once, and everybody take what has come; tell whether anything happened."""
        busy = self.worker.step(0)
        for agent in self.transports:
            busy |= self._take(agent)
        return busy

    def pass_time(self, **span: float) -> None:
        """Move the clock, given as to timedelta."""
        self.moment += timedelta(**span)

    def apply(self, agreements: Mapping[str, str]) -> None:
        """Give the zone other agreements; its worker takes them up as after `sifzone zone apply`."""
        write_agreements(self.folder, agreements)
        self.zone = load_zone(self.folder)
        self.worker._use(self.zone)  # snapshots of the settings are not the subject
        self.store.sweep(f"agreements/{self.moment}", 0.0)
        self.pass_time(seconds=10)

    def _take(self, agent: str) -> bool:
        transport = self.transports[agent]
        received = transport.poll(0)
        for incoming in received:
            self._receive(agent, incoming)
            transport.ack(incoming.tag)
        return bool(received)

    def _receive(self, agent: str, incoming: Incoming) -> None:
        message = parse_message(incoming.body)
        if message.kind == "SIF_Event":
            self.recipients[agent].take(message)
        elif message.kind == "SIF_Request":
            self.publishers[agent].asked.append(message)
        elif message.kind == "SIF_Ack" and (ack := parse_ack(message)).category is not None:
            self.publishers[agent].refusals.append(f"{ack.category}/{ack.code} {ack.description}")

    def _send(self, agent: str, key: str, body: bytes, msg_id: str, kind: str) -> None:
        self.transports[agent].publish(Outgoing(INTAKE, key, body, msg_id, kind, user_id=agent))
        self._take(agent)  # which sends it: what several publish comes to the zone in the order of publishing


def write_agreements(folder: Path, agreements: Mapping[str, str]) -> None:
    """Put *agreements* into the zone's folder, in the place of those that are there."""
    (folder / "agreements").mkdir(exist_ok=True)
    for old in (folder / "agreements").glob("*.toml"):
        old.unlink()
    for name, text in agreements.items():
        (folder / "agreements" / f"{name}.toml").write_text(text, encoding="utf-8")


@contextmanager
def open_stage(folder: Path, agreements: Mapping[str, str] = AGREEMENTS, more: str = "") -> Iterator[Stage]:
    """Give a zone in *folder* in which everybody has registered.

    Args:
        more: What else is in zone.toml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds = str([*ABOUT, "SchoolInfo"])
    (folder / "zone.toml").write_text(_SETTINGS.replace("{kinds}", kinds) + more, encoding="utf-8")
    write_agreements(folder, agreements)
    (folder / "calendars").mkdir(exist_ok=True)
    (folder / "calendars" / "820.toml").write_text(CALENDAR, encoding="utf-8")
    zone = load_zone(folder)
    zone.state.mkdir(mode=0o700, exist_ok=True)
    make_key(zone.key_file)
    with open_store(zone.database_url, zone.key_file) as store:
        stage = Stage(folder, store, MemoryBroker(), zone)
        stage.connect()
        yield stage
