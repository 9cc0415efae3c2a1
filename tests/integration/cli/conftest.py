"""A small running zone, and the command line as people call it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.protocol.envelope import Action, build_event, new_header, parse_message
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.topology import agent_queue
from broker.settings import Zone, load_zone
from broker.storage import open_store
from broker.supervisor import RunningZone, read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Incoming
from tests.commands import command_line
from tests.faults.zones import RECIPIENTS, SENDER, Publisher, Sent, make_zone

SIFZONE = Path(sys.executable).with_name("sifzone")
BYSTANDER = AgentId("library")
DEADLINE = 30.0
_LEARNER = """<LearnerPersonal RefId="{ref}">
<LocalId>004711</LocalId>
<PersonalInformation><Name Type="C"><FamilyName>{surname}</FamilyName><GivenName>Made Up</GivenName></Name>
</PersonalInformation>
<InCare><Current>{care}</Current><LAId>820</LAId></InCare>
<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{ref}"><LAId>820</LAId><EstablishmentId>9901</EstablishmentId>
<NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>
</LearnerPersonal>"""
"""Nobody is in care: the virtual school is not to get it."""


def sifzone(*arguments: str | Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the command line and return what it printed; it must end with exit code *code*."""
    done = command_line(*arguments, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def installed(*arguments: str | Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the command as it is installed, with all its imports, and return what it printed; else like sifzone()."""
    done = subprocess.run(
        [SIFZONE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SIFZONE_RABBITMQ": "", "SIFZONE_DATABASE": "", "SIFZONE_ZONE": "", **environment},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def sentence_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on standard error that a command which could not do its work leaves."""
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("sifzone: ")
    return line


@dataclass
class Desk:
    """A running zone with everybody in it."""

    running: RunningZone
    folder: Path

    @property
    def zone(self) -> Zone:
        """The zone."""
        return self.running.zone

    def run(self, *arguments: str | Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call the command line for this zone, which is looked after meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            called = pool.submit(sifzone, *arguments, "--zone", self.folder, code=code, **environment)
            while not called.done():
                self.running.check()
                wait([called], 0.05)
        return called.result()

    def command(self, *arguments: str | Path) -> str:
        """Call the command line for this zone and return what it prints."""
        return self.run(*arguments).stdout

    def failing(self, *arguments: str | Path) -> str:
        """Call the command line for this zone and return the sentence with which it fails."""
        return sentence_of(self.run(*arguments, code=2))

    def publish(self, surname: str = "Faultless", care: str = "No") -> Sent:
        """Publish a learner as the school; with *care* a word that is no code it is refused."""
        ref, header = new_ref_id(), new_header(SENDER)
        learner = _LEARNER.format(ref=ref, surname=surname, care=care).encode()
        sent = Sent(header.msg_id, ref, 0, build_event(header, (("LearnerPersonal", Action.ADD, learner),)))
        publisher = Publisher(self.zone, [sent])
        publisher.start()
        publisher.join_or_raise(DEADLINE)
        return sent

    def take(self, agent: AgentId, *, reject: bool = False) -> Incoming:
        """Return the next event for *agent*, the only one that waits, acknowledged or given up."""
        found: list[Incoming] = []
        with AmqpTransport(AmqpSettings(url=read_url(self.zone.credentials(agent)))) as transport:
            transport.consume([agent_queue(agent)])

            def arrived() -> bool:
                for message in transport.poll(0.1):
                    if message.type != "SIF_Event":
                        continue
                    if parse_message(message.body).header.source_id != AgentId(self.zone.id):
                        found.append(message)
                    elif not found:  # the zone's own, since agreements have changed: who left a scope is ended
                        transport.ack(message.tag)
                return bool(found)

            self.until(arrived)
            (incoming,) = found
            if reject:
                transport.reject(incoming.tag)
            else:
                transport.ack(incoming.tag)
        return incoming

    def held(self, msg_id: str) -> str:
        """Return the id in quarantine of a message once it is there."""
        with open_store(self.zone.database_url, self.zone.key_file) as store:

            def ids() -> Sequence[str]:
                return [entry.id for entry in store.quarantine_list() if entry.msg_id == msg_id]

            self.until(lambda: bool(ids()))
            (entry_id,) = ids()
        return entry_id

    def body(self, entry_id: str) -> bytes:
        """Return a body in quarantine."""
        with open_store(self.zone.database_url, self.zone.key_file) as store:
            return store.quarantine_body(entry_id)

    def decided(self, msg_id: str) -> None:
        """Wait until the ledger has a message."""
        with open_store(self.zone.database_url, self.zone.key_file) as store:
            self.until(lambda: bool(store.explain(msg_id)))

    def until(self, done: Callable[[], bool], seconds: float = DEADLINE) -> None:
        """Wait until *done*, at most half a minute unless told."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "nothing came"
            self.running.check()
            time.sleep(0.05)


def make_small_zone(folder: Path) -> Zone:
    """Return the zone of the fault tests with one agent more, who subscribes to nothing."""
    make_zone(folder)
    with (folder / "zone.toml").open("a") as file:
        file.write(f'[agents.{BYSTANDER}]\nname = "Library"\nestablishments = ["8209901"]\n')
    return load_zone(folder)


def begun_with(settings: str, folder: Path) -> Zone:
    """Return the zone in *folder* once its file begins with *settings*."""
    file = folder / "zone.toml"
    file.write_text(settings + file.read_text())
    return load_zone(folder)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A zone with a RabbitMQ of its own that runs while the module's tests do; each leaves the queues empty."""
    folder = tmp_path_factory.mktemp("cli") / "zone"
    zone = make_small_zone(folder)
    with (folder / "zone.log").open("w") as logged, RunningZone(zone, 1, log_file=logged.fileno()) as running:
        yield Desk(running, folder)


__all__ = [
    "BYSTANDER",
    "RECIPIENTS",
    "SENDER",
    "Desk",
    "begun_with",
    "installed",
    "make_small_zone",
    "sentence_of",
    "sifzone",
]
