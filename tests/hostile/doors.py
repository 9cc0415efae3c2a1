"""The entry points of XML, each as one call: a hostile document in, what is said of it out."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from lxml import etree
from typer.testing import CliRunner

import schemas
from agents.carry import Carrier as AgentCarrier
from agents.carry import Event
from agents.connectors.contract import SourceError
from agents.connectors.ctf import CtfOptions, CtfSource
from agents.inbox import Inbox, KeptObjects
from agents.settings import AgentSettings
from agents.spool import Spool
from agents.store import Store as AgentStore
from broker.commands import schema as schema_commands
from broker.learners import LearnerIndex
from broker.pipeline import Inbound, decide, read
from broker.protocol.envelope import parse_ack, parse_message
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    BROKER_LOGIN,
    DELIVERY,
    agent_permissions,
    agent_queue,
    agent_topology,
    intake_key,
    zone_topology,
)
from broker.quarantine import check_body
from broker.routing import Router
from broker.storage import QuarantineEntry, make_key, open_store
from broker.transports import MemoryBroker, MemoryTransport, Outgoing
from broker.validation import Refusal, refusal, shipped
from broker.worker import Worker
from mappings import Record
from tests.faults.zones import RECIPIENTS, SENDER, make_zone
from tests.hostile.corpus import REF_ID, REFUSED, TAKEN, Case
from tests.integration.worker.conftest import Carrier, Desk

_PLATFORM: Final = AgentId("platform")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of a document: a code, and the words."""

    code: str
    text: str = ""


Door = Callable[[Case, bytes], Answer]
"""Is given a case and its bytes; what reads files finds them in CASE_FILE of its folder."""
CASE_FILE: Final = "case.xml"
FILE_DOORS: Final = frozenset({"schema check", "ctf"})


def _of_refusal(why: Refusal | None) -> Answer:
    return Answer(TAKEN) if why is None else Answer(f"{why.category}/{why.code}", why.summary)


@contextmanager
def intake(folder: Path) -> Iterator[Door]:
    """Give the zone's decision, without a transport."""
    zone = make_zone(folder / "zone")
    router = Router(zone.registry, zone.agreements, date.today())  # noqa: DTZ011  # as the worker does

    def answer(_: Case, body: bytes) -> Answer:
        try:
            inbound = read(body, SENDER, intake_key(REF_ID))
        except ZoneError as error:
            return _of_refusal(refusal(error))
        assert isinstance(inbound, Inbound), "the corpus has events alone"
        decision = decide(inbound, router, LearnerIndex())
        return _of_refusal(decision if isinstance(decision, Refusal) else None)

    yield answer


@contextmanager
def worker(folder: Path) -> Iterator[Door]:
    """Give what a worker sends back to the sender, or on to a recipient."""
    broker = MemoryBroker()
    for agent in (SENDER, *RECIPIENTS):
        broker.allow(agent, agent_permissions(agent))
    carrier = Carrier(lambda agent: MemoryTransport(broker, agent), broker.delete_queue)
    zone = make_zone(folder / "zone")
    zone.state.mkdir(mode=0o700)
    make_key(zone.key_file)
    with open_store(zone.database_url, zone.key_file) as store, carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        desk = Desk(zone, store, carrier, Worker(transport, store, zone))
        desk.worker.open(range(zone.settings.partitions))
        desk.register()
        yield lambda case, body: at_desk(desk, case, body)


def at_desk(desk: Desk, case: Case, body: bytes) -> Answer:
    """Return what the worker of *desk* makes of a message."""
    desk.send_body(body, REF_ID, case.msg_id)
    readers = {agent: desk.at(agent) for agent in (SENDER, RECIPIENTS[0])}
    while True:
        desk.worker.step(0)
        for agent, transport in readers.items():
            for incoming in transport.poll(0.01):
                transport.ack(incoming.tag)
                if agent != SENDER:
                    for other in RECIPIENTS[1:]:  # whoever else gets it
                        for copy in desk.at(other).poll(0):
                            desk.at(other).ack(copy.tag)
                    return Answer(TAKEN)
                ack = parse_ack(parse_message(incoming.body))
                return Answer(f"{ack.category}/{ack.code}", ack.description)


@contextmanager
def quarantine(folder: Path) -> Iterator[Door]:
    """Give what ``quarantine fix --file`` says of a file."""
    del folder

    def answer(case: Case, body: bytes) -> Answer:
        entry = QuarantineEntry(
            id="0" * 32,
            at=0.0,
            source=SENDER,
            msg_id=case.msg_id,
            attempt=0,
            object_type="",
            action="",
            recipient="",
            reason="refused",
            category=1,
            code=2,
            summary="",
            findings=(),
            sha256="",
            size=len(body),
            fixed=False,
            state="held",
            by="",
            changed=0.0,
        )
        return _of_refusal(check_body(entry, body, shipped()).fault)

    yield answer


@contextmanager
def schema_check(folder: Path) -> Iterator[Door]:
    """Give what ``sifzone schema check`` says: 1/2 for exit code 2, the first rule for 1."""
    file = folder / CASE_FILE
    runner = CliRunner()

    def answer(_: Case, __: bytes) -> Answer:
        result = runner.invoke(schema_commands.app, ["check", "--json", str(file)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return Answer("raised", repr(result.exception))
        (told,) = json.loads(result.stdout)
        if result.exit_code == 2:
            return Answer("1/2", told["unusable"].removeprefix(f"{file}: "))
        refused = [finding for finding in told["findings"] if finding["severity"] == "refuse"]
        return Answer(refused[0]["rule"], refused[0]["message"]) if result.exit_code else Answer(TAKEN)

    yield answer


@contextmanager
def agent(folder: Path) -> Iterator[Door]:
    """Give what an agent with a handler does with a message from its queue, and with the object it kept."""
    broker = MemoryBroker()
    broker.allow(_PLATFORM, agent_permissions(_PLATFORM))
    settings = AgentSettings(id=_PLATFORM, file=folder / "platform.toml")
    schema = schemas.load()
    with (
        AgentStore(folder / "state") as store,
        MemoryTransport(broker, BROKER_LOGIN) as zone,
        MemoryTransport(broker, _PLATFORM) as transport,
    ):
        zone.declare(zone_topology(1) + agent_topology(_PLATFORM))
        transport.consume([agent_queue(_PLATFORM)])
        inbox = Inbox(store, schema)
        carrier = AgentCarrier(
            settings, store, Spool(store, _PLATFORM, schema), inbox, {"LearnerPersonal": (_look_at,)}
        )

        def answer(case: Case, body: bytes) -> Answer:
            before, known = carrier.received, len(inbox.all_failed())
            zone.publish(Outgoing(DELIVERY, _PLATFORM, body, case.msg_id, "SIF_Event", user_id=BROKER_LOGIN))
            while carrier.received == before:
                zone.poll(0)
                carrier.turn(transport, 0.01)
            failed = inbox.all_failed()
            with store.transaction() as db:
                db.execute("DELETE FROM failed")
            if len(failed) > known:
                return Answer(REFUSED, failed[-1].reason)
            with store.snapshot() as db:
                try:
                    kept = len(list(KeptObjects(db).all("LearnerPersonal")))
                except ZoneError as error:
                    return Answer("kept unreadable", str(error))
            return Answer(TAKEN if kept == 1 else f"{kept} kept")

        yield answer


def _look_at(event: Event) -> None:
    etree.tostring(event.element)


@contextmanager
def ctf(folder: Path) -> Iterator[Door]:
    """Give what the CTF connector makes of a file."""
    file = folder / CASE_FILE
    source = CtfSource(CtfOptions())

    def answer(_: Case, __: bytes) -> Answer:
        try:
            pupils = sum(isinstance(item, Record) for item in source.read(file))
        except SourceError as error:
            return Answer(REFUSED, error.reason)
        return Answer(TAKEN if pupils == 1 else f"{pupils} pupils")

    yield answer


DOORS: Final = {
    "intake": intake,
    "worker": worker,
    "quarantine": quarantine,
    "schema check": schema_check,
    "agent": agent,
    "ctf": ctf,
}
