"""Stages of a certification in a private zone: the agent publishes, is killed, starts again; nothing leaks."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from lxml import etree

import schemas
from agents.carry import Event
from agents.certify.corpus import CANARY, made_of
from agents.certify.damaged import damaged, failures
from agents.certify.offline import same
from agents.certify.outcomes import Check, count, judged, skipped, some
from agents.certify.prepared import Prepared, Source
from agents.connectors.contract import Item
from agents.copies import CopiedAgent, Copy, Stand, run, start
from agents.diff import ordering_key, ref_key
from agents.files import FileLedger
from agents.keys import load_keys
from agents.listening import Key
from agents.made_objects import ZONES_OWN
from agents.parts import FilePart
from agents.show import status
from agents.spool import Spool
from agents.stand_in import RecordFile
from agents.store import Store
from agents.surroundings import Surroundings
from broker.protocol.envelope import Action, build_event, new_header
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import INTAKE, intake_key
from broker.transports import AmqpSettings, AmqpTransport
from broker.transports.contract import Outgoing

UNMAPPED_CANARY: Final = "Qzlapwing9Unmapped"
_FOR_THE_ZONE: Final = frozenset({"ShieldCode", "Shield"})
"""Elements that tell the zone about a shield, and that it delivers to nobody whatever an agreement says."""
_ZONES_OWN_WORDS: Final = "the zone takes these objects for its own record of a move, and delivers its own word of it"
_KILL_SECONDS: Final = 60.0
_LOOK: Final = 0.005
_ENTRIES: Final = 4
"""Entries of the ledger for one message, at most: accepted or refused, and one for each of three others."""
_CONFIRM_SECONDS: Final = 20.0


@dataclass(slots=True)
class Live:
    """An agent at work in a private zone.

    Attributes:
        around: The zone, and who listens in it.
        expected: By type and identity, each object that the corpus makes.
    """

    prepared: Prepared
    around: Surroundings
    expected: dict[Key, etree._Element] = field(default_factory=dict)
    _killed_after: int = -1

    @property
    def log(self) -> Path:
        """What the agent's processes have logged."""
        return self.around.place / "agent.log"

    def publish_checks(self) -> Iterator[Check]:
        """Publish the corpus, killing the agent in the midst of it, and yield whether all of it has arrived."""
        copy = self._copy("agent", {source.number: self._corpus(source) for source in self.prepared.sources})
        self._kill_midway(copy)
        code = run(copy, self.log)
        self.around.settle()
        self.expected = self._expect(copy)
        due = self._due()
        yield judged("The agent publishes all and ends as it should", code == 0, "exit code 0", self._ended(code))
        with CopiedAgent(copy) as agent:
            refused, failed = agent.refusals(), agent.failed()
        why = some(f"{one.object_type}: {one.reason}" for one in refused)
        good = f"{count(len(self.expected), 'object')} of {some(self.prepared.object_types, 12)}"
        yield judged("The zone accepts every object", not refused, good, f"{len(refused)} are refused: {why}")
        yield judged(
            "The agent handles every message from the zone", not failed, "none failed", f"{len(failed)} failed"
        )
        found = self.around.recipient.objects()
        missing = [key for key in due if key not in found]
        name, bad = "Every object reaches the recipient", f"{len(missing)} have not come: {some(_types(missing))}"
        if due:
            yield judged(name, not missing, count(len(found), "object"), bad)
        else:
            yield skipped(name, _ZONES_OWN_WORDS)
        other = [key for key, element in due.items() if key in found and not _arrived_as(found[key], element)]
        bad = f"{some(_types(other))}: {len(other)} are other than they were made"
        yield judged("What the recipient gets is what was made", not other, "the same, element by element", bad)

    def restart_checks(self) -> Iterator[Check]:
        """Yield whether the kill has lost anything, or brought anything twice."""
        name = "Killed in the midst of its work (kill -9) and started again, it loses nothing"
        found = self.around.recipient.objects()
        due = self._due()
        missing = [key for key in due if key not in found]
        if not due:
            yield skipped(name, _ZONES_OWN_WORDS)
        elif self._killed_after < 0:
            yield skipped(name, "it was too quick to be stopped in the midst: nothing can be said")
        else:
            killed = f"killed when it had sent {self._killed_after:,} of {count(len(self.expected), 'object')}"
            bad = f"{killed}; {len(missing)} are missing: {some(_types(missing))}"
            yield judged(name, not missing, f"{killed}; all are there", bad)
        times = Counter(_key(event) for event in self.around.recipient.events())
        twice = [key for key, number in times.items() if number > 1]
        bad = f"{len(twice)} came more than once: {some(_types(twice))}"
        yield judged("Nothing comes twice after it was started again", not twice, "each came once", bad)

    def duplicate_checks(self) -> Iterator[Check]:
        """Yield whether a message that is sent twice, and files that are read twice, come once."""
        copy = self._copy("agent", {source.number: self._stand(source, "corpus") for source in self.prepared.sources})
        before = self.around.recipient.count()
        for source in self.prepared.sources:
            self._corpus(source, "again")
        code = run(copy, self.log)
        self.around.settle()
        more = self.around.recipient.events()[before:]
        good = "files with another time and a blank line more: no event"
        bad = f"{count(len(more), 'event')} of {some(event.object_type for event in more)}, exit code {code}"
        yield judged("The same files again give no events", not more and code == 0, good, bad)
        name = "A message that is sent twice is delivered once"
        key = next(iter(self._due()), None)
        if key is None:
            yield skipped(name, _ZONES_OWN_WORDS if self.expected else "there is no object to send")
            return
        msg_id = self._send_twice(copy.url, key[0], self.expected[key])
        self.around.settle()
        arrived = sum(event.msg_id == msg_id for event in self.around.recipient.events())
        yield judged(name, arrived == 1, "sent twice, delivered once", f"delivered {arrived} times")

    def privacy_checks(self) -> Iterator[Check]:
        """Yield whether values of records turn up anywhere but in the objects, and for anybody but the recipient."""
        before = self.around.recipient.count()
        stands = {source.number: self._canaries(source) for source in self.prepared.sources}
        copy = self._copy("canary", stands)
        run(copy, self.log)
        self.around.settle()
        carried = [_text(event) for event in self.around.recipient.events()[before:]]
        for where, text in self._places(copy, len(carried)).items():
            name = f"No value of a record is in {where}"
            found = CANARY in text or UNMAPPED_CANARY in text
            yield judged(
                name,
                not found,
                f"{len(text):,} characters looked through",
                "a value is there: report this to the maker",
            )
        name = "Fields that are mapped arrive, so that the search means something"
        if any(CANARY in text for text in carried):
            yield Check(name, "pass", count(len(carried), "object"))
        else:
            yield skipped(
                name, "no mapping takes any text: its codes, dates and numbers were searched for as wrong values"
            )
        leaked = sum(UNMAPPED_CANARY in text for text in carried)
        bad = f"{leaked} objects hold what no mapping reads: report this to the maker"
        yield judged("A column that is not mapped never leaves", not leaked, "in no object", bad)
        got = self.around.bystander.count()
        good = "nothing was delivered to it"
        yield judged("Who has no agreement gets nothing", not got, good, f"{got} objects were delivered to it")

    def damage_checks(self) -> Iterator[Check]:
        """Yield whether damaged files end in a sentence, and not in a traceback."""
        for source in self.prepared.sources:
            yield self._damaged_alone(source)
        stands = {source.number: self._damage(source) for source in self.prepared.sources if _reads_files(source)}
        name = "The agent goes on when all its files are damaged"
        if not stands:
            yield skipped(name, "it reads no files")
        else:
            copy = self._copy("damaged", stands, only=tuple(stands))
            code = run(copy, self.log)
            good = f"exit code {code}, {count(sum(1 for _ in damaged(b'')) * len(stands), 'file')}"
            yield judged(name, code in (0, 1), good, self._ended(code))
        traces = self.log.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")
        traces += self.around.zone.log().count("Traceback (most recent call last)")
        yield judged("There is no traceback in any log", not traces, "none", f"{traces}: report this to its maker")

    def _due(self) -> dict[Key, etree._Element]:
        """Return what is to reach the recipient: all but what the zone takes for itself."""
        return {key: element for key, element in self.expected.items() if key[0] not in ZONES_OWN}

    def _copy(self, name: str, stands: Mapping[int, Stand], only: tuple[int, ...] | None = None) -> Copy:
        settings = self.prepared.settings
        return Copy(settings.file, self.around.place / name, self.around.zone.url(settings.id), stands, only)

    def _stand(self, source: Source, folder: str) -> Stand:
        place = self.around.place / folder / f"source-{source.number + 1}"
        return Stand(str(place / f"*{source.writer.suffix}"), not source.writer.own)

    def _corpus(self, source: Source, again: str = "") -> Stand:
        """Write the corpus of a source; *again*: with another time, and a blank line more where that means nothing."""
        stand = self._stand(source, "corpus")
        path = Path(stand.pattern).with_name(f"records{source.writer.suffix}")
        source.writer.write(path, [case.record for case in source.right])
        if again:
            if source.writer.own:
                path.write_bytes(path.read_bytes() + b"\r\n")
            later = time.time() + 60
            os.utime(path, (later, later))
        return stand

    def _canaries(self, source: Source) -> Stand:
        stand = self._stand(source, "canary-files")
        path = Path(stand.pattern).with_name(f"records{source.writer.suffix}")
        source.writer.write(path, [case.record for case in source.corpus.canaries], UNMAPPED_CANARY)
        return stand

    def _damage(self, source: Source) -> Stand:
        """Write damaged files that the source's own connector is given."""
        suffix = Path(source.part.settings.path or "").suffix or source.writer.suffix
        place = self.around.place / "damaged-files" / f"source-{source.number + 1}"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in damaged(self._good(source)):
            (place / f"{name}{suffix}").write_bytes(data)
        return Stand(str(place / f"*{suffix}"))

    def _good(self, source: Source) -> bytes:
        if source.writer.own:
            return next(Path(self._stand(source, "corpus").pattern).parent.glob("*")).read_bytes()
        files = source.files()
        if not files:
            return b""
        with files[-1].open("rb") as file:
            return file.read(1 << 16)

    def _damaged_alone(self, source: Source) -> Check:
        name = f"{source.title}: damaged files are refused in a sentence"
        part = source.part
        if not isinstance(part, FilePart):
            return skipped(name, "it reads no files")
        paths = sorted(Path(self._damage(source).pattern).parent.iterdir())
        wrong = failures(part.connector, paths)
        bad = f"the connector fails: {some(wrong)}: report it to its maker"
        return judged(name, not wrong, count(len(paths), "file"), bad)

    def _kill_midway(self, copy: Copy) -> None:
        """Kill the agent once it has sent something; note how much that was, if it had still something to do."""
        with Store(copy.state) as store:
            spool = Spool(store, self.prepared.settings.id, schemas.load())
            process = start(copy, self.log)
            deadline = time.monotonic() + _KILL_SECONDS
            try:
                while process.poll() is None and not spool.messages() and time.monotonic() < deadline:
                    time.sleep(_LOOK)
            finally:
                process.kill()
                process.wait()
            unread = len(FileLedger(store).all()) < len(copy.stands)
            if process.returncode < 0 and (unread or spool.count()):
                self._killed_after = sum(spool.messages().values())

    def _expect(self, copy: Copy) -> dict[Key, etree._Element]:
        """Return what the corpus makes, with the RefIds of the agent's own key."""
        keys = load_keys(copy.state)
        schema = schemas.load()
        found: dict[Key, etree._Element] = {}
        for source in self.prepared.sources:
            for each in made_of(self._items(source), source.part.mappings, keys):
                for one in each.translation.objects:
                    found.setdefault((one.object_type, ref_key(one.element, schema)), one.element)
        return found

    def _items(self, source: Source) -> Iterator[Item]:
        stand, part = self._stand(source, "corpus"), source.part
        connector = RecordFile() if stand.records or not isinstance(part, FilePart) else part.connector
        paths = sorted(Path(stand.pattern).parent.glob("*"))
        return chain.from_iterable(connector.read(path) for path in paths)

    def _places(self, copy: Copy, messages: int) -> Mapping[str, str]:
        """Return the text of each place in which no value may be; of the ledger the latest entries."""
        with Store(copy.state) as store:
            said = json.dumps(status(store, schemas.load(), 10_000), ensure_ascii=False)
        return {
            "the agent's log": self.log.read_text(encoding="utf-8", errors="replace"),
            "the agent's status": said,
            "the zone's log": self.around.zone.log(),
            "the zone's ledger": self.around.zone.ledger(min(10_000, _ENTRIES * messages + 500)),
            "the names of queues": "\n".join(self.around.zone.queues()),
        }

    def _send_twice(self, url: str, object_type: str, element: etree._Element) -> str:
        agent = AgentId(self.prepared.settings.id)
        header = new_header(agent)
        body = build_event(header, ((object_type, Action.ADD, etree.tostring(element)),))
        key = intake_key(ordering_key(element, schemas.load()))
        with AmqpTransport(AmqpSettings(url=url)) as transport:
            number = 0
            for _ in range(2):
                number = transport.publish(Outgoing(INTAKE, key, body, header.msg_id, "SIF_Event", user_id=agent))
            until = time.monotonic() + _CONFIRM_SECONDS
            while transport.confirmed < number and time.monotonic() < until:
                transport.poll(0.2)
        return header.msg_id

    def _ended(self, code: int) -> str:
        """Return what is told of a process that did not end well, without its text, which may be another's."""
        last = "it did not end in time" if code < 0 else f"exit code {code}"
        return f"{last}: sifzone agent try {self.prepared.settings.file.name} shows why"


def _arrived_as(found: etree._Element, made: etree._Element) -> bool:
    return same(found, made, without=_FOR_THE_ZONE)


def _key(event: Event) -> Key:
    return event.object_type, ref_key(event.element, schemas.load())


def _types(keys: Sequence[Key]) -> list[str]:
    return [name for name, _ in keys]


def _text(event: Event) -> str:
    return etree.tostring(event.element, encoding="unicode")


def _reads_files(source: Source) -> bool:
    return isinstance(source.part, FilePart)


__all__ = ["UNMAPPED_CANARY", "Live"]
