"""Requests over both transports: who is asked, what comes back, and how each ends, whatever happens to the worker."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from lxml import etree

import schemas
from broker.exchanges import closing
from broker.letters import LOGIN, REPLY_TO
from broker.protocol.envelope import (
    Ack,
    Action,
    Message,
    build_event,
    build_message,
    build_system_control,
    event_objects,
    local_name,
    new_header,
    parse_ack,
    parse_message,
)
from broker.protocol.identifiers import AgentId, MsgId, new_msg_id, new_ref_id
from broker.protocol.topology import (
    BROKER_LOGIN,
    CONTROL,
    CONTROL_QUEUE,
    INTAKE,
    intake_key,
    person_queue,
    person_topology,
)
from broker.registry import Mode, Registered, Registration, Unregistered
from broker.requests import Pending, RequestState
from broker.settings import load_zone
from broker.storage import Batch, LearnerRow, Store, make_key, open_store
from broker.transports import Incoming, Outgoing, Transport
from broker.worker import Worker
from tests.faults.zones import RECIPIENTS, SENDER
from tests.integration.worker.conftest import Carrier, Desk, in_memory
from tests.unit.broker.builders import NS, personal, request, response

PROVIDER: Final = SENDER
ASKER, RESPONDER, WATCHER = RECIPIENTS
PERSONAL: Final = "LearnerPersonal"
SECRET: Final = "Unmistakable-Made-Up-Surname"
ZONE: Final = """
id = "faults"
partitions = 4
[requests]
timeout = "1h"
[agents.mis-faults]
name = "Made up MIS"
publish = ["LearnerPersonal"]
provide = ["LearnerPersonal"]
[agents.platform-a]
name = "Platform A"
subscribe = ["LearnerPersonal"]
rights.LearnerPersonal = ["request"]
[agents.platform-b]
name = "Platform B"
rights.LearnerPersonal = ["respond", "request"]
[agents.virtual-school]
name = "Virtual school"
subscribe = ["SIF_LogEntry"]
"""
AGREEMENT: Final = """
id = "a"
title = "Requests"
from = ["mis-*", "platform-b"]
to = ["platform-a"]
purpose = "Tests of requests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.LearnerPersonal]
share = ["@RefId", "LocalId"]
"""


@dataclass(slots=True)
class Clock:
    """The worker's time, which moves when a test says so."""

    at: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.at


@dataclass(slots=True)
class Bureau:
    """A zone in which requests are made, with one worker in this thread."""

    desk: Desk
    clock: Clock
    arrived: dict[AgentId, list[Incoming]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.desk.store

    def take(self, agent: AgentId) -> Incoming:
        """Let the worker work until *agent* gets a message, and return it; more that came with it is for later."""
        waiting = self.arrived.setdefault(agent, [])
        transport = self.desk.at(agent)
        deadline = time.monotonic() + 20
        while not waiting:
            assert time.monotonic() < deadline, f"nothing came for {agent}"
            waiting += self.desk.turn(agent)
            if waiting:
                transport.ack(waiting[-1].tag)
        return waiting.pop(0)

    def control(self, agent: AgentId, body: bytes) -> Ack:
        """Say something to the zone; return its answer."""
        msg_id = parse_message(body).header.msg_id
        kind = parse_message(body).kind
        self.desk.send(Outgoing(CONTROL, CONTROL_QUEUE, body, msg_id, kind, user_id=agent), agent)
        return self.acknowledged(agent)

    def register(self, agent: AgentId, version: str = "2.*", buffer: int = 1_000_000) -> None:
        content = (
            f"<SIF_Name>{agent}</SIF_Name><SIF_Version>{version}</SIF_Version>"
            f"<SIF_MaxBufferSize>{buffer}</SIF_MaxBufferSize><SIF_Mode>Pull</SIF_Mode>"
        )
        assert self.control(agent, build_message("SIF_Register", new_header(agent), content.encode())).status == 0

    def publish(self, agent: AgentId, body: bytes, request_id: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a request or response to the intake."""
        message = parse_message(body)
        key = intake_key(request_id)
        self.desk.send(
            Outgoing(INTAKE, key, body, message.header.msg_id, message.kind, dict(headers or {}), user_id=agent), agent
        )

    def ask(self, agent: AgentId = ASKER, headers: Mapping[str, str] | None = None, **more: Any) -> MsgId:
        """Make a request; return its id."""
        msg_id = more.pop("msg_id", None) or new_msg_id()
        self.publish(agent, request(sender=agent, msg_id=msg_id, **more), msg_id, headers)
        return msg_id

    def asked(self, agent: AgentId = PROVIDER, **more: Any) -> MsgId:
        """Make a request and let *agent* have it; return its id."""
        msg_id = self.ask(**more)
        assert self.take(agent).message_id == msg_id
        return msg_id

    def answer(self, request_id: MsgId, *objects: str, agent: AgentId = PROVIDER, **more: Any) -> bytes:
        """Send a packet; return it."""
        body = response(
            *objects, request_id=request_id, sender=agent, msg_id=more.pop("msg_id", new_msg_id()),
            to=more.pop("to", ASKER), **more,
        )  # fmt: skip
        self.publish(agent, body, request_id)
        return body

    def acknowledged(self, agent: AgentId) -> Ack:
        """Return what *agent* is told next."""
        return parse_ack(parse_message(self.take(agent).body))

    def answered(self, agent: AgentId = ASKER) -> "Packet":
        """Return the packet that *agent* gets next."""
        return Packet.of(self.take(agent).body)

    def known(self, request_id: MsgId) -> Pending:
        """Return the request as it stands, once the worker is done."""
        self.desk.work()
        return self.store.requests([request_id])[request_id]

    def publish_as_zone(self, outgoing: Outgoing) -> None:
        """Publish with the zone's own login, and wait for the confirm."""
        with self.desk.carrier.connect(AgentId(BROKER_LOGIN)) as transport:
            number = transport.publish(outgoing)
            deadline = time.monotonic() + 20
            while transport.confirmed < number:
                assert time.monotonic() < deadline, "nothing was confirmed"
                transport.poll(0.05)

    def restart(self) -> None:
        """Put a new worker in the place of the old, of which nothing is left, as of a killed process."""
        self.desk.worker._transport.close()
        transport = self.desk.carrier.connect(AgentId(BROKER_LOGIN))
        self.desk.transports[AgentId(f"{BROKER_LOGIN}.{id(transport)}")] = transport  # closed with the others
        self.desk.worker = Worker(transport, self.store, self.desk.zone, now=self.clock)
        self.desk.worker.open(range(4))

    def all_for(self, agent: AgentId) -> list[tuple[str, bytes]]:
        """Return id and body of all that *agent* gets, once the worker is done."""
        messages = self.arrived.pop(agent, []) + self.desk.all_for(agent)
        return [(message.message_id, message.body) for message in messages]


@dataclass(frozen=True, slots=True)
class Packet:
    """A SIF_Response as its requester gets it."""

    message: Message
    request_id: str
    number: int
    more: bool
    objects: list[str]
    error: tuple[int, int] | None
    body: bytes

    @classmethod
    def of(cls, body: bytes) -> "Packet":
        """Return what is in *body*, a valid SIF_Response."""
        assert schemas.check_message(etree.fromstring(body)) == ()
        message = parse_message(body)
        assert message.kind == "SIF_Response"
        payload = message.payload
        data, error = payload.find(NS + "SIF_ObjectData"), payload.find(NS + "SIF_Error")
        return cls(
            message,
            payload.findtext(NS + "SIF_RequestMsgId") or "",
            int(payload.findtext(NS + "SIF_PacketNumber") or 0),
            payload.findtext(NS + "SIF_MorePackets") == "Yes",
            [] if data is None else [_plain(one) for one in data],
            None
            if error is None
            else (int(error.findtext(NS + "SIF_Category") or 0), int(error.findtext(NS + "SIF_Code") or 0)),
            body,
        )


def _plain(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode").replace(f' xmlns="{NS[1:-1]}"', "")


@pytest.fixture
def bureau(carrier: Carrier, tmp_path: Path) -> Iterator[Bureau]:
    """A zone in which all have registered."""
    folder = tmp_path / "zone"
    (folder / "agreements").mkdir(parents=True)
    (folder / "zone.toml").write_text(ZONE)
    (folder / "agreements" / "a.toml").write_text(AGREEMENT)
    zone = load_zone(folder)
    zone.state.mkdir(mode=0o700)
    make_key(zone.key_file)
    clock = Clock()
    with open_store(zone.database_url, zone.key_file) as store, carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        worker = Worker(transport, store, zone, now=clock)
        worker.open(range(zone.settings.partitions))
        found = Bureau(Desk(zone, store, carrier, worker), clock)
        for agent in (PROVIDER, *RECIPIENTS):
            found.register(agent)
        content = b"".join(
            b"<%b>%b</%b>" % (tag, inner, tag)
            for tag, inner in (
                (b"SIF_ProvideObjects", b""),
                (b"SIF_SubscribeObjects", b""),
                (b"SIF_PublishAddObjects", b""),
                (b"SIF_PublishChangeObjects", b""),
                (b"SIF_PublishDeleteObjects", b""),
                (b"SIF_RequestObjects", b""),
                (b"SIF_RespondObjects", b'<SIF_Object ObjectName="LearnerPersonal"/>'),
            )
        )
        assert found.control(RESPONDER, build_message("SIF_Provision", new_header(RESPONDER), content)).status == 0
        yield found
        for other in found.desk.transports.values():
            other.close()


def learner(ref: str, local_id: str = "17") -> str:
    name = f'<Name Type="C"><FamilyName>{SECRET}</FamilyName></Name>'
    return personal(ref, f"<LocalId>{local_id}</LocalId><PersonalInformation>{name}</PersonalInformation>")


def cut(ref: str, local_id: str = "17") -> str:
    return personal(ref, f"<LocalId>{local_id}</LocalId>")


def cancels(*ids: str, how: str = "Standard", sender: AgentId = ASKER) -> bytes:
    named = "".join(f"<SIF_RequestMsgId>{one}</SIF_RequestMsgId>" for one in ids)
    content = (
        f"<SIF_SystemControlData><SIF_CancelRequests><SIF_NotificationType>{how}</SIF_NotificationType>"
        f"<SIF_RequestMsgIds>{named}</SIF_RequestMsgIds></SIF_CancelRequests></SIF_SystemControlData>"
    )
    return build_message("SIF_SystemControl", new_header(sender), content.encode())


def failure(category: int, code: int) -> str:
    return (
        f"<SIF_Error><SIF_Category>{category}</SIF_Category><SIF_Code>{code}</SIF_Code><SIF_Desc>It failed</SIF_Desc>"
        f"<SIF_ExtendedDesc>{SECRET}</SIF_ExtendedDesc></SIF_Error>"
    )


# --- there and back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "gets", "others"),
    [(None, PROVIDER, RESPONDER), (RESPONDER, RESPONDER, PROVIDER)],
    ids=["provider", "agent that it names"],
)
def test_a_request_goes_as_it_came_to_the_provider_or_to_the_agent_that_it_names(
    bureau: Bureau, to: AgentId | None, gets: AgentId, others: AgentId
) -> None:
    msg_id = new_msg_id()
    body = request(sender=ASKER, msg_id=msg_id, destination_id=to)

    bureau.publish(ASKER, body, msg_id)

    got = bureau.take(gets)
    assert (got.message_id, got.type, got.body) == (msg_id, "SIF_Request", body)
    assert bureau.desk.nothing_for(others)
    assert bureau.known(msg_id).responder == gets
    assert [(row.outcome, row.audience) for row in bureau.store.explain(msg_id)] == [
        ("accepted", ()),
        ("delivered", (gets,)),
    ]


def test_packets_come_back_in_order_cut_to_what_the_requester_may_have(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    refs = [new_ref_id() for _ in range(3)]

    for number, ref in enumerate(refs, start=1):
        bureau.answer(msg_id, learner(ref), packet=number, more=number < 3)

    packets = [Packet.of(body) for _, body in bureau.all_for(ASKER)]
    assert [(one.request_id, one.number, one.more) for one in packets] == [
        (msg_id, 1, True),
        (msg_id, 2, True),
        (msg_id, 3, False),
    ]
    assert [one.objects for one in packets] == [[cut(ref)] for ref in refs]
    assert [one.message.header.source_id for one in packets] == [PROVIDER] * 3
    known = bureau.known(msg_id)
    assert (known.state, known.next_packet, known.shared, known.left_out) == (RequestState.DONE, 4, 3, 0)
    assert bureau.all_for(PROVIDER) == []


@in_memory
def test_an_invalid_object_stays_behind_and_its_faults_are_kept(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    good, bad = new_ref_id(), new_ref_id()

    bureau.answer(msg_id, learner(bad).replace("</LearnerPersonal>", "<Shoes/></LearnerPersonal>"), learner(good))

    assert bureau.answered().objects == [cut(good)]
    known = bureau.known(msg_id)
    assert (known.shared, known.left_out) == (1, 1)
    assert [(flaw.source, flaw.key) for flaw in bureau.store.flaws()] == [(PROVIDER, bad)]
    assert SECRET not in repr(bureau.store.flaws())


@in_memory
def test_a_learner_that_is_shielded_stays_behind(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    ref = new_ref_id()
    bureau.store.commit(Batch(learners=[LearnerRow(ref, shielded=True)]))

    bureau.answer(msg_id, learner(ref))

    assert bureau.answered().objects == []
    assert bureau.known(msg_id).left_out == 1


@in_memory
def test_an_error_of_the_responders_ends_the_request(bureau: Bureau) -> None:
    msg_id = bureau.asked()

    bureau.answer(msg_id, payload=failure(8, 8), more=True)

    packet = bureau.answered()
    assert (packet.error, packet.number, packet.more) == ((8, 8), 1, False)
    assert SECRET.encode() not in packet.body
    known = bureau.known(msg_id)
    assert (known.state, known.category, known.code) == (RequestState.FAILED, 8, 8)


def test_the_zone_answers_for_its_own_objects(bureau: Bureau) -> None:
    msg_id = bureau.ask(object_type="SIF_ZoneStatus", version="2.1")
    status = bureau.answered()

    other = bureau.ask(object_type="SIF_AgentACL")
    acl = bureau.answered()

    assert [local_name(etree.fromstring(one)) for one in (*status.objects, *acl.objects)] == [
        "SIF_ZoneStatus",
        "SIF_AgentACL",
    ]
    assert f'SourceId="{PROVIDER}"' in status.objects[0]
    assert (status.request_id, acl.request_id) == (msg_id, other)
    assert (status.message.version, status.message.header.source_id) == ("2.1", "faults")
    assert bureau.known(msg_id).state is RequestState.DONE
    assert bureau.all_for(PROVIDER) == []


@in_memory
def test_an_answer_of_the_zones_that_does_not_fit_is_an_error(bureau: Bureau) -> None:
    msg_id = bureau.ask(object_type="SIF_ZoneStatus", buffer=500)

    assert bureau.answered().error == (8, 8)
    assert bureau.known(msg_id).state is RequestState.FAILED


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"object_type": "SchoolInfo"}, (4, 5)),
        ({"object_type": "LearnerPersonel"}, (8, 3)),
        ({"destination_id": WATCHER}, (8, 4)),
        ({"buffer": 2_000_000}, (8, 8)),
    ],
    ids=["no right", "no such object", "nobody answers", "more than its own buffer"],
)
@in_memory
def test_a_request_that_nobody_is_to_answer_is_told_to_whoever_asks(
    bureau: Bureau, more: dict[str, Any], expected: tuple[int, int]
) -> None:
    msg_id = bureau.ask(**more)

    ack = bureau.acknowledged(ASKER)

    assert (ack.original_msg_id, ack.category, ack.code) == (msg_id, *expected)
    assert bureau.store.requests([msg_id]) == {}
    assert bureau.all_for(PROVIDER) == []


@in_memory
def test_another_request_under_the_same_id_is_refused(bureau: Bureau) -> None:
    msg_id = bureau.asked()

    bureau.ask(RESPONDER, msg_id=msg_id)

    ack = bureau.acknowledged(RESPONDER)
    assert (ack.category, ack.code) == (8, 1)
    assert bureau.known(msg_id).requester == ASKER


@in_memory
def test_who_has_not_registered_neither_asks_nor_answers(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    for agent in (ASKER, PROVIDER):
        bureau.store.change_registry(lambda _, agent=agent: (None, (Unregistered(agent),)))  # type: ignore[misc]

    bureau.ask()
    bureau.answer(msg_id, learner(new_ref_id()))

    assert [(ack.category, ack.code) for ack in (bureau.acknowledged(PROVIDER),)] == [(4, 9)]
    told = bureau.all_for(ASKER)
    assert len(told) == 2  # its own refusal, and the end of the request
    assert SECRET.encode() not in b"".join(body for _, body in told)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"packet": 2}, (8, 12)),
        ({"packet": 0}, (8, 12)),
        ({"to": WATCHER}, (8, 14)),
        ({"version": "2.1"}, (8, 13)),
        ({"payload": failure(99, 1)}, (1, 3)),
        ({"payload": failure(8, 4_000_000_000)}, (1, 3)),
        ({"payload": f'<SIF_ObjectData><Shoes RefId="{"A" * 32}"/></SIF_ObjectData>'}, (1, 3)),
        ({"payload": f'<SIF_ObjectData><x:Shoes xmlns:x="urn:{SECRET}"/></SIF_ObjectData>'}, (1, 3)),
        ({"payload": "<SIF_ExtendedQueryResults/>"}, (1, 3)),
    ],
    ids=[
        "a packet is missing",
        "packet 0",
        "to another",
        "version",
        "no category of SIF's",
        "no code of SIF's",
        "no object of SIF's",
        "no object of anybody's",
        "rows",
    ],
)
@in_memory
def test_a_wrong_answer_is_told_to_whoever_gave_it_and_nobody_waits_for_a_better_one(
    bureau: Bureau, more: dict[str, Any], expected: tuple[int, int]
) -> None:
    msg_id = bureau.asked(versions=["2.4"])

    bureau.answer(msg_id, learner(new_ref_id()), **more)

    ack, packet = bureau.acknowledged(PROVIDER), bureau.answered()
    assert (ack.category, ack.code) == packet.error == expected
    assert (packet.number, packet.more, packet.message.header.source_id) == (1, False, "faults")
    assert SECRET.encode() not in packet.body
    assert bureau.known(msg_id).state is RequestState.FAILED
    assert len(bureau.desk.held()) == 1
    bureau.answer(msg_id, learner(new_ref_id()), version="2.4")
    assert bureau.acknowledged(PROVIDER).code == 10
    assert bureau.all_for(ASKER) == []


@in_memory
def test_a_packet_larger_than_the_buffer_ends_the_request(bureau: Bureau) -> None:
    msg_id = bureau.asked(buffer=1_000)

    bureau.answer(msg_id, learner(new_ref_id()), learner(new_ref_id()), learner(new_ref_id()))

    assert bureau.acknowledged(PROVIDER).code == 11
    assert bureau.answered().error == (8, 11)


@in_memory
def test_another_agents_answer_changes_nothing(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    ref = new_ref_id()

    bureau.answer(msg_id, learner(new_ref_id()), agent=RESPONDER)
    ack = bureau.acknowledged(RESPONDER)

    assert (ack.category, ack.code) == (8, 10)
    assert bureau.all_for(ASKER) == []
    bureau.answer(msg_id, learner(ref))
    assert bureau.answered().objects == [cut(ref)]


@in_memory
def test_an_answer_to_no_request_is_refused(bureau: Bureau) -> None:
    bureau.answer(new_msg_id(), learner(new_ref_id()))

    ack = bureau.acknowledged(PROVIDER)
    assert (ack.category, ack.code) == (8, 10)
    assert bureau.all_for(ASKER) == []


def test_a_packet_that_came_before_is_refused_and_the_request_goes_on(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    bureau.answer(msg_id, packet=1, more=True)
    assert bureau.answered().number == 1

    bureau.answer(msg_id, packet=1, more=True)
    assert bureau.acknowledged(PROVIDER).code == 12

    bureau.answer(msg_id, packet=2)
    assert bureau.answered().number == 2
    assert bureau.known(msg_id).state is RequestState.DONE


def test_a_packet_sent_again_under_its_id_is_passed_on_once(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    body = bureau.answer(msg_id, learner(new_ref_id()), more=True)
    bureau.publish(PROVIDER, body, msg_id)

    assert len(bureau.all_for(ASKER)) == 1
    assert bureau.all_for(PROVIDER) == []
    assert bureau.known(msg_id).next_packet == 2


@in_memory
def test_a_fault_of_the_zones_own_stops_nobody_else(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    msg_id = bureau.asked()

    def fail(*_: object) -> object:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("broker.exchanges.share_packet", fail)
        bureau.answer(msg_id, learner(new_ref_id()))
        assert bureau.acknowledged(PROVIDER).category == 11
    assert len(bureau.desk.held()) == 1

    other = bureau.asked()
    bureau.answer(other)
    assert bureau.answered().request_id == other


# --- how a request ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["Standard", "None"])
def test_who_asked_may_cancel_and_is_told_if_it_wants(bureau: Bureau, how: str) -> None:
    msg_id = bureau.asked()

    assert bureau.control(ASKER, cancels(msg_id, how=how)).status == 0

    packets = [Packet.of(body) for _, body in bureau.all_for(ASKER)]
    assert [(one.request_id, one.error, one.more) for one in packets] == (
        [(msg_id, (8, 18), False)] if how == "Standard" else []
    )
    assert bureau.known(msg_id).state is RequestState.CANCELLED
    bureau.answer(msg_id, learner(new_ref_id()))
    assert bureau.acknowledged(PROVIDER).code == 10
    assert bureau.all_for(ASKER) == []


@in_memory
def test_nobody_else_may_cancel(bureau: Bureau) -> None:
    msg_id = bureau.asked()

    assert bureau.control(RESPONDER, cancels(msg_id, sender=RESPONDER)).status == 0

    assert bureau.known(msg_id).state is RequestState.ASKED
    assert bureau.all_for(ASKER) == []


@in_memory
def test_what_has_ended_is_not_cancelled_again(bureau: Bureau) -> None:
    msg_id = bureau.asked()
    bureau.answer(msg_id)
    assert bureau.answered().error is None

    assert bureau.control(ASKER, cancels(msg_id, new_msg_id())).status == 0

    assert bureau.known(msg_id).state is RequestState.DONE
    assert bureau.all_for(ASKER) == []


@pytest.mark.parametrize("mode", list(Mode))
@in_memory
def test_a_responder_that_is_pushed_to_hears_of_it(bureau: Bureau, mode: Mode) -> None:
    said = replace(bureau.store.live().registrations[PROVIDER], mode=mode)
    bureau.store.change_registry(lambda _live: (None, (Registered(said),)))
    msg_id = bureau.asked()

    bureau.control(ASKER, cancels(msg_id, how="None"))

    told = [parse_message(body) for _, body in bureau.all_for(PROVIDER)]
    assert [one.kind for one in told] == (["SIF_SystemControl"] if mode is Mode.PUSH else [])
    assert [one.payload.findtext(f".//{NS}SIF_RequestMsgId") for one in told] == [msg_id] * len(told)


@pytest.mark.parametrize(("packets", "state"), [(0, RequestState.EXPIRED), (1, RequestState.PARTIAL)])
def test_a_request_expires_when_nothing_comes_for_too_long(bureau: Bureau, packets: int, state: RequestState) -> None:
    msg_id = bureau.asked()
    for number in range(1, packets + 1):
        bureau.clock.at += 3_000
        bureau.answer(msg_id, packet=number, more=True)
        assert bureau.answered().number == number

    bureau.clock.at += 3_599
    assert bureau.all_for(ASKER) == []
    bureau.clock.at += 10

    (found,) = bureau.all_for(ASKER)
    packet = Packet.of(found[1])
    assert (packet.error, packet.number, packet.more) == ((8, 16), packets + 1, False)
    known = bureau.known(msg_id)
    assert (known.state, known.code) == (state, 16)
    bureau.clock.at += 10_000
    assert bureau.all_for(ASKER) == []


def test_a_packet_that_came_in_time_is_not_overtaken_by_the_zones_own_word(bureau: Bureau) -> None:
    msg_id = bureau.asked()

    bureau.publish_as_zone(closing(msg_id, 8, 16))

    assert bureau.all_for(ASKER) == []
    assert bureau.known(msg_id).is_open


@in_memory
def test_who_takes_its_leave_ends_what_it_was_to_answer(bureau: Bureau) -> None:
    mine, others = bureau.asked(), bureau.asked(RESPONDER, destination_id=RESPONDER)

    assert bureau.control(PROVIDER, build_message("SIF_Unregister", new_header(PROVIDER))).status == 0

    (found,) = bureau.all_for(ASKER)
    packet = Packet.of(found[1])
    assert (packet.request_id, packet.error) == (mine, (8, 17))
    assert bureau.known(mine).state is RequestState.FAILED
    assert bureau.known(others).is_open


def test_a_worker_that_begins_ends_what_nobody_is_there_to_answer(bureau: Bureau) -> None:
    msg_id, other = bureau.asked(), bureau.asked(RESPONDER, destination_id=RESPONDER)
    bureau.desk.work()
    bureau.store.change_registry(lambda _live: (None, (Unregistered(PROVIDER),)))  # and the worker is killed

    bureau.restart()
    bureau.control(WATCHER, build_system_control(new_header(WATCHER), "SIF_Ping"))

    (found,) = bureau.all_for(ASKER)
    assert (Packet.of(found[1]).request_id, Packet.of(found[1]).error) == (msg_id, (8, 17))
    assert bureau.known(other).is_open


# --- a killed worker ---------------------------------------------------------------------------------------------


class PowerCutError(Exception):
    """What stands for the end of a process."""


def fails(*_: object) -> None:
    raise PowerCutError


def test_a_worker_killed_before_it_stored_a_request_loses_nothing(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    bureau.desk.work()
    with monkeypatch.context() as broken:
        broken.setattr(Store, "commit", fails)
        msg_id = bureau.ask()
        with pytest.raises(PowerCutError):
            bureau.desk.work()
    assert bureau.store.requests([msg_id]) == {}

    bureau.restart()

    assert {one for one, _ in bureau.all_for(PROVIDER)} == {msg_id}  # a second copy has the same id
    assert bureau.known(msg_id).state is RequestState.ASKED
    assert [row.outcome for row in bureau.store.explain(msg_id)] == ["accepted", "delivered"]
    bureau.answer(msg_id)
    assert bureau.answered().request_id == msg_id


def test_a_worker_killed_before_it_stored_a_packet_counts_it_once(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    msg_id = bureau.asked()
    bureau.desk.work()
    with monkeypatch.context() as broken:
        broken.setattr(Store, "commit", fails)
        body = bureau.answer(msg_id, learner(new_ref_id()), more=True)
        with pytest.raises(PowerCutError):
            bureau.desk.work()

    bureau.restart()

    copies = set(bureau.all_for(ASKER))
    assert [one for one, _ in copies] == [parse_message(body).header.msg_id]  # byte for byte the same, too
    known = bureau.known(msg_id)
    assert (known.next_packet, known.shared) == (2, 1)
    bureau.answer(msg_id, packet=2)
    assert bureau.answered().number == 2


def test_a_worker_killed_after_it_stored_repeats_nothing(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    msg_id = bureau.asked()
    bureau.desk.work()
    monkeypatch.setattr(bureau.desk.worker._transport, "ack", fails)
    bureau.answer(msg_id, learner(new_ref_id()), more=True)
    with pytest.raises(PowerCutError):
        bureau.desk.work()

    bureau.restart()

    assert len(bureau.all_for(ASKER)) == 1
    assert bureau.all_for(PROVIDER) == []
    assert bureau.known(msg_id).next_packet == 2


def test_a_worker_killed_while_it_ended_a_request_tells_its_end_under_one_id(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    msg_id = bureau.asked()
    bureau.desk.work()
    with monkeypatch.context() as broken:
        broken.setattr(Store, "commit", fails)
        bureau.clock.at += 4_000
        with pytest.raises(PowerCutError):
            bureau.desk.work()
    assert bureau.store.requests([msg_id])[msg_id].is_open

    bureau.restart()

    found = bureau.all_for(ASKER)
    assert len({one for one, _ in found}) == 1
    assert {Packet.of(body).error for _, body in found} == {(8, 16)}
    assert bureau.known(msg_id).state is RequestState.EXPIRED


# --- people ------------------------------------------------------------------------------------------------------


@pytest.fixture
def person(bureau: Bureau) -> Iterator[tuple[MsgId, Transport]]:
    """A person of the zone's own, who waits for the answer to a request with this id."""
    msg_id = new_msg_id()
    with bureau.desk.carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        transport.declare(person_topology(msg_id))
        transport.consume([person_queue(msg_id)])
        bureau.desk.transports[AgentId(BROKER_LOGIN)] = transport
        yield msg_id, transport


def asks(bureau: Bureau, msg_id: MsgId, **more: Any) -> None:
    """Ask in ASKER's name, as a person of the zone's."""
    body = request(sender=ASKER, msg_id=msg_id, **more)
    headers = {LOGIN: ASKER, REPLY_TO: person_queue(msg_id)}
    bureau.publish_as_zone(
        Outgoing(INTAKE, intake_key(msg_id), body, msg_id, "SIF_Request", headers, user_id=BROKER_LOGIN)
    )


def test_what_a_person_asks_in_an_agents_name_is_answered_to_the_person(
    bureau: Bureau, person: tuple[MsgId, Transport]
) -> None:
    msg_id, _ = person
    ref = new_ref_id()
    asks(bureau, msg_id)
    assert bureau.take(PROVIDER).message_id == msg_id

    bureau.answer(msg_id, learner(ref))

    assert bureau.answered(AgentId(BROKER_LOGIN)).objects == [cut(ref)]
    assert bureau.all_for(ASKER) == []


def test_a_persons_request_that_is_refused_is_told_to_the_person(
    bureau: Bureau, person: tuple[MsgId, Transport]
) -> None:
    msg_id, _ = person
    asks(bureau, msg_id, object_type="SchoolInfo")

    ack = bureau.acknowledged(AgentId(BROKER_LOGIN))

    assert (ack.original_msg_id, ack.category, ack.code) == (msg_id, 4, 5)
    assert bureau.all_for(ASKER) == []


def test_nobody_waits_for_a_person_that_has_gone(bureau: Bureau) -> None:
    msg_id, ref = new_msg_id(), new_ref_id()
    asks(bureau, msg_id)  # and there is no queue for the answer
    assert bureau.take(PROVIDER).message_id == msg_id

    bureau.answer(msg_id, learner(ref))

    assert bureau.known(msg_id).state is RequestState.DONE
    other = bureau.asked()
    bureau.answer(other)
    assert bureau.answered().request_id == other


def test_an_agent_has_no_answers_sent_elsewhere(bureau: Bureau) -> None:
    headers = {LOGIN: RESPONDER, REPLY_TO: str(WATCHER)}
    msg_id = bureau.ask(headers=headers)
    assert bureau.take(PROVIDER).message_id == msg_id

    bureau.answer(msg_id)

    assert bureau.answered(ASKER).request_id == msg_id
    assert bureau.all_for(WATCHER) == []
    known = bureau.known(msg_id)
    assert (known.requester, known.reply_to) == (ASKER, "")


# --- SIF_LogEntry ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "buffer", "code", "reason"),
    [("2.1", 1_000_000, "4", "version-not-listed"), ("2.*", 4_096, "2", "larger-than-buffer")],
    ids=["version", "buffer"],
)
@in_memory
def test_what_a_recipient_cannot_take_is_told_to_whoever_wants_to_know(
    bureau: Bureau, version: str, buffer: int, code: str, reason: str
) -> None:
    bureau.register(ASKER, version, buffer)
    ref, header = new_ref_id(), new_header(PROVIDER)
    local_id = "7" * 5_000 if code == "2" else "7"
    whole = learner(ref, local_id)

    body = build_event(header, ((PERSONAL, Action.ADD, whole.encode()),))
    bureau.desk.send_body(body, ref, header.msg_id)

    (entry,) = event_objects(parse_message(bureau.take(WATCHER).body))
    assert (entry.object_type, entry.action, entry.element.get("Source")) == ("SIF_LogEntry", Action.ADD, "ZIS")
    assert (entry.element.findtext(NS + "SIF_Category"), entry.element.findtext(NS + "SIF_Code")) == ("4", code)
    original = entry.element.find(f"{NS}SIF_OriginalHeader/{NS}SIF_Header")
    assert original is not None
    assert original.findtext(NS + "SIF_MsgId") == header.msg_id
    assert ASKER in (entry.element.findtext(NS + "SIF_Desc") or "")
    assert SECRET not in etree.tostring(entry.element, encoding="unicode")
    assert bureau.all_for(ASKER) == []
    rows = {row.outcome: row for row in bureau.store.explain(header.msg_id)}
    assert (rows["withheld"].audience, rows["withheld"].reason) == ((ASKER,), reason)


@in_memory
def test_who_wants_to_know_and_cannot_read_it_is_not_sent_it(bureau: Bureau) -> None:
    for agent in (ASKER, WATCHER):
        bureau.register(agent, "2.1")
    ref, header = new_ref_id(), new_header(PROVIDER)

    bureau.desk.send_body(build_event(header, ((PERSONAL, Action.ADD, learner(ref).encode()),)), ref, header.msg_id)

    assert bureau.all_for(WATCHER) == []
    assert "withheld" in {row.outcome for row in bureau.store.explain(header.msg_id)}


@in_memory
def test_an_event_that_everybody_takes_makes_no_entry(bureau: Bureau) -> None:
    ref, header = new_ref_id(), new_header(PROVIDER)

    bureau.desk.send_body(build_event(header, ((PERSONAL, Action.ADD, learner(ref).encode()),)), ref, header.msg_id)

    assert bureau.take(ASKER).message_id == header.msg_id
    assert bureau.all_for(WATCHER) == []


@in_memory
def test_registrations_are_kept_as_they_were_said(bureau: Bureau) -> None:
    said = bureau.store.live().registrations[ASKER]

    assert said == Registration(ASKER, str(ASKER), "2.4", bureau.clock.at, ("2.*",), 1_000_000)
