"""Two schools' systems, who writes files, a virtual school and people in a real zone through which learners move."""

import re
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from lxml import etree

from broker.protocol.envelope import (
    LOOKED_AFTER,
    Action,
    Message,
    build_event,
    build_register,
    event_objects,
    local_name,
    new_header,
    parse_message,
)
from broker.protocol.exchanges import build_response
from broker.protocol.identifiers import AgentId, RefId, new_ref_id
from broker.protocol.query import Query, matches, parse_query
from broker.protocol.topology import BROKER_LOGIN, CONTROL, CONTROL_QUEUE, INTAKE, agent_queue, intake_key
from broker.settings import Zone, load_zone
from broker.supervisor import read_url
from broker.told import told
from broker.transfer_cases import NOT_KNOWN, ConfirmedByPeople, Status
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Incoming, Outgoing
from tests.integration.worker.stage import (
    Key,
    Recipient,
    agreement,
    enrolment,
    key_of,
    learner_of,
    parse,
    personal,
    school_info,
)

OLD: Final = "8209901"
NEW: Final = "8209902"
NO_AGENT: Final = "8209903"
KINDS: Final = ("LearnerPersonal", "LearnerSchoolEnrolment", "LearnerTransfer")
WINDOW: Final = 20
"""Messages that an agent has unconfirmed at most."""
_GUID: Final = re.compile(r"\b[0-9A-F]{32}\b")
_NS: Final = f"{{{LOOKED_AFTER}}}"
_FLAG: Final = "<InCare><Current>Yes</Current><LAId>820</LAId></InCare>"
_ZONE: Final = """
id = "movers"
partitions = 4
[agents.mis-1]
name = "School 1"
establishments = ["8209901"]
publish = {kinds}
[agents.mis-2]
name = "School 2"
establishments = ["8209902"]
publish = {kinds}
subscribe = {kinds}
[agents.ctf-out]
name = "Files for schools without an agent"
publish = ["LearnerTransfer"]
subscribe = {kinds}
[agents.virtual-school]
name = "Virtual school"
authority = "820"
subscribe = {kinds}
"""
_AGREEMENTS: Final = (
    agreement("next", ["mis-*", "movers"], ["mis-2"], "transferring", KINDS, more='leaving = "notice"'),
    agreement("files", ["mis-*", "movers"], ["ctf-out"], "transferring", KINDS),
    agreement("virtual", ["mis-*", "movers"], ["virtual-school"], "looked-after", KINDS),
)


def make_zone(folder: Path) -> Zone:
    """Write the zone's settings to *folder* and return it."""
    (folder / "agreements").mkdir(parents=True)
    kinds = str([*KINDS, "SchoolInfo"])
    (folder / "zone.toml").write_text(_ZONE.replace("{kinds}", kinds), encoding="utf-8")
    for number, text in enumerate(_AGREEMENTS):
        (folder / "agreements" / f"{number}.toml").write_text(text, encoding="utf-8")
    return load_zone(folder)


@dataclass(frozen=True, slots=True)
class Mover:
    """A learner who leaves the old school.

    Attributes:
        to: The school entered; empty where nobody says.
        in_care: The virtual school may know of the learner.
        confirmed: Somebody at the new school says that the file is loaded.
    """

    ref: str
    stay: str
    next_stay: str
    to: str
    in_care: bool
    confirmed: bool

    @property
    def ends(self) -> Status:
        """The status that follows from what is told."""
        if not self.to:
            return Status.LOST_PUPILS
        return Status.COMPLETE if self.to == NEW or self.confirmed else Status.DELIVERED

    def before(self) -> Iterator[tuple[Action, str]]:
        """What the old school publishes while the learner is there."""
        yield Action.ADD, personal(self.ref, more=_FLAG if self.in_care else "")
        yield Action.ADD, enrolment(self.stay, self.ref, OLD)

    def leaves(self, today: date) -> tuple[Action, str]:
        """What the old school publishes as the learner leaves: long ago where nobody has said where to."""
        day = today - timedelta(days=1 if self.to else 50)
        text = enrolment(self.stay, self.ref, OLD, leaves=day.isoformat())
        if self.to != NO_AGENT:
            return Action.CHANGE, text
        number = f"<LAId>{NO_AGENT[:3]}</LAId><EstablishmentId>{NO_AGENT[3:]}</EstablishmentId>"
        exit_type = f"<ExitType><Code>TF</Code><Destination>{number}</Destination></ExitType>"
        return Action.CHANGE, text.replace("</ExitDate>", f"</ExitDate>{exit_type}")

    def enters(self, today: date) -> tuple[Action, str]:
        """What the new school publishes."""
        return Action.ADD, enrolment(self.next_stay, self.ref, NEW, entry=today.isoformat())


def make_movers(count: int) -> list[Mover]:
    """Return *count* learners: six of ten move to a school with an agent, three to one without, one to nobody knows."""
    movers = []
    for number in range(count):
        kind = number % 10
        to = NEW if kind < 6 else NO_AGENT if kind < 9 else ""
        movers.append(Mover(new_ref_id(), new_ref_id(), new_ref_id(), to, number % 3 == 0, kind in (6, 7)))
    return movers


class Member(threading.Thread):
    """An agent that publishes what is in its outbox, in order, and answers from memory what it is asked.

    Attributes:
        recipient: What it holds.
        busy: How many messages it has published or taken.
    """

    def __init__(self, zone: Zone, login: str) -> None:
        super().__init__(daemon=True)
        self._zone, self.login = zone, AgentId(login)
        self.recipient = Recipient()
        self.busy = 0
        self.error: BaseException | None = None
        self.outbox: deque[Outgoing] = deque()
        self._objects: dict[str, dict[Key, etree._Element]] = {}
        self._inbox: list[Incoming] = []
        self._replies: list[Outgoing] = []
        self._asked: set[str] = set()
        self._ended = threading.Event()

    def publish(self, action: Action, element: etree._Element) -> None:
        """Put an event into the outbox; it answers for the object from then on."""
        about = learner_of(element) or element.get("RefId", "")
        self._objects.setdefault(about, {})[key_of(element)] = element
        self.outbox.append(self._event(action, element))

    def stop(self) -> None:
        """Stop, wait until stopped, and raise what stopped it before."""
        self._ended.set()
        self.join(20)
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        """Publish, take and answer until stopped."""
        try:
            with AmqpTransport(AmqpSettings(url=read_url(self._zone.credentials(self.login)))) as transport:
                self._register(transport)
                while not self._ended.is_set():
                    self._turn(transport)
        except BaseException as error:  # noqa: BLE001  # told by stop
            self.error = error

    def _register(self, transport: AmqpTransport) -> None:
        if self.login == BROKER_LOGIN:  # people
            return
        header = new_header(self.login)
        body = build_register(header, self.login)
        transport.consume([agent_queue(self.login)])
        self._send(
            transport, [Outgoing(CONTROL, CONTROL_QUEUE, body, header.msg_id, "SIF_Register", user_id=self.login)]
        )
        while not self._inbox:
            self._inbox += transport.poll(0.2)

    def _turn(self, transport: AmqpTransport) -> None:
        window = [self.outbox[number] for number in range(min(WINDOW, len(self.outbox)))]
        self._send(transport, window)
        for _ in window:
            self.outbox.popleft()
        self._inbox += transport.poll(0.01)
        taken, self._inbox = self._inbox, []
        for incoming in taken:
            self._take(parse_message(incoming.body))
        self._send(transport, self._replies)
        self._replies = []
        if taken:
            transport.ack(taken[-1].tag)
        self.busy += len(window) + len(taken)

    def _send(self, transport: AmqpTransport, messages: Iterable[Outgoing]) -> None:
        last = 0
        for message in messages:
            last = transport.publish(message)
        while transport.confirmed < last:
            self._inbox += transport.poll(0.2)
        assert transport.refusals() == []

    def _take(self, message: Message) -> None:
        if message.kind == "SIF_Event":
            self.recipient.take(message)
            for event in event_objects(message):
                self._reply(event.element)
        elif message.kind == "SIF_Request" and message.header.msg_id not in self._asked:
            self._asked.add(message.header.msg_id)
            self._replies.append(self._answer(message))

    def _reply(self, element: etree._Element) -> None:
        """Do what an event asks for; other agents than the one that writes files do nothing."""

    def _answer(self, message: Message) -> Outgoing:
        query = parse_query(message.payload)
        assert isinstance(query, Query)
        named = _GUID.findall(etree.tostring(message.payload).decode())  # all of whom would take long
        known = [element for ref in dict.fromkeys(named) for element in self._objects.get(ref, {}).values()]
        own = [element for element in known if local_name(element) == query.object_type and matches(query, element)]
        request = message.header.msg_id
        header = new_header(self.login)._replace(destination_id=message.header.source_id)
        body = build_response(header, request, 1, False, b"".join(etree.tostring(element) for element in own))
        return Outgoing(INTAKE, intake_key(request), body, header.msg_id, "SIF_Response", user_id=self.login)

    def _event(self, action: Action, element: etree._Element) -> Outgoing:
        header = new_header(self.login)
        body = build_event(header, ((local_name(element), action, etree.tostring(element)),))
        key = intake_key(learner_of(element) or element.get("RefId", ""))
        return Outgoing(INTAKE, key, body, header.msg_id, "SIF_Event", user_id=self.login)


class FileWriter(Member):
    """Says that it has sent a file for each transfer and destination, and that it was delivered if it is for a school.

    Attributes:
        delivered: Learners and their cases, as the zone says that they are delivered.
    """

    def __init__(self, zone: Zone) -> None:
        super().__init__(zone, "ctf-out")
        self.delivered: deque[tuple[str, str]] = deque()
        self._written: set[tuple[str, str]] = set()

    def _reply(self, element: etree._Element) -> None:
        ref, place = element.get("RefId", ""), element.find(f"{_NS}ToEstablishment")
        if local_name(element) != "LearnerTransfer" or place is None:
            return
        to = "".join(place.findtext(_NS + name) or "" for name in ("LAId", "EstablishmentId"))
        learner = element.get("LearnerPersonalRefId", "")
        if element.findtext(f"{_NS}Status") == Status.DELIVERED:  # the zone has taken it up
            self.delivered.append((learner, ref))
        if (ref, to) in self._written:
            return
        self._written.add((ref, to))
        for status in ("SE",) if to == NOT_KNOWN else ("SE", "DE"):
            start = f'<LearnerTransfer RefId="{ref}" LearnerPersonalRefId="{learner}">'
            file = f"<CTF><FileName>{OLD}_CTF_{to}_001.xml</FileName></CTF><Status>{status}</Status>"
            self._replies.append(self._event(Action.CHANGE, parse(f"{start}{file}</LearnerTransfer>")))


class Crowd:
    """All members, while *movers* move."""

    def __init__(self, zone: Zone, movers: Iterable[Mover]) -> None:
        self.movers = list(movers)
        self.old, self.new = Member(zone, "mis-1"), Member(zone, "mis-2")
        self.files, self.virtual = FileWriter(zone), Member(zone, "virtual-school")
        self._people = Member(zone, BROKER_LOGIN)
        self._confirm = {mover.ref for mover in self.movers if mover.confirmed}
        self.members = (self.old, self.new, self.files, self.virtual, self._people)

    def begin(self) -> None:
        """Let everybody register, and the schools publish themselves."""
        self.old.publish(Action.ADD, parse(school_info(OLD)))
        self.new.publish(Action.ADD, parse(school_info(NEW)))
        for member in self.members:
            member.start()

    def move(self, today: date) -> None:
        """Let all learners be at the old school, leave, and enter the new one, each school in its own time."""
        for start in range(0, len(self.movers), WINDOW):
            some = self.movers[start : start + WINDOW]
            for mover in some:
                for action, text in mover.before():
                    self.old.publish(action, parse(text))
            for mover in some:
                action, text = mover.leaves(today)
                self.old.publish(action, parse(text))
                if mover.to == NEW:
                    action, text = mover.enters(today)
                    self.new.publish(action, parse(text))

    def check(self) -> None:
        """Let people confirm what was delivered; raise what stopped a member."""
        while self.files.delivered:
            learner, case = self.files.delivered.popleft()
            if learner in self._confirm:
                event = ConfirmedByPeople(at=datetime.now(UTC), actor="Person:made-up")
                self._people.outbox.append(told(RefId(case), RefId(learner), event))
        for member in self.members:
            if member.error is not None:
                raise member.error

    @property
    def busy(self) -> int:
        """How many messages all have published or taken."""
        return sum(member.busy for member in self.members)

    def stop(self) -> None:
        """Stop all."""
        for member in self.members:
            member.stop()


def expected(movers: Iterable[Mover], cases: dict[str, str]) -> dict[str, Counter[Key]]:
    """Return what each recipient is to hold in the end, each object once.

    Args:
        cases: RefId of the case by the learner's.
    """
    held: dict[str, Counter[Key]] = {"mis-2": Counter(), "ctf-out": Counter(), "virtual-school": Counter()}
    for mover in movers:
        record: list[Key] = [
            ("LearnerPersonal", mover.ref),
            ("LearnerSchoolEnrolment", mover.stay),
            ("LearnerTransfer", cases[mover.ref]),
        ]
        if mover.to == NEW:
            held["mis-2"].update(record)
        elif not mover.confirmed:
            held["ctf-out"].update(record)
        if mover.in_care:
            held["virtual-school"].update(record)
            if mover.to == NEW:
                held["virtual-school"].update([("LearnerSchoolEnrolment", mover.next_stay)])
    return held
