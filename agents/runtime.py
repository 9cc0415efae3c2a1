"""Runs one agent: threads that read sources and that answer requests, the loop that carries messages; stops cleanly.

They meet only in the agent's database.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Final

import structlog
from watchfiles import watch

from agents.answers import Answering, Provider
from agents.carry import AnswerHandler, Carrier, Exchanging, Handler
from agents.connectors.contract import PublishingTarget, TargetError, Written
from agents.desk import StoreDesk
from agents.inbox import Inbox, KeptObjects
from agents.intake import Progress
from agents.learners import Learners
from agents.parts import Parts, SourcePart
from agents.scan import Scanner
from agents.schedule import Schedule
from agents.settings import AgentSettings
from agents.spool import Spool
from agents.stopping import Stopped
from agents.store import Store
from broker.protocol.errors import ZoneError
from broker.transports.contract import Transport
from schemas import SchemaSet, load

log = structlog.get_logger(__name__)

Connect = Callable[[], Transport]
_WAIT: Final = 0.2
_LOOK: Final = 0.05
_PRUNE_EVERY: Final = 3600.0


class NotFinished(ZoneError):
    """A single pass could not be brought to its end; what was read is in the spool and nothing is lost."""

    retry = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a single pass waits.

    Attributes:
        idle: Silence on the queue after which it is taken as empty.
        patience: Time without any progress after which the pass is given up.
    """

    idle: timedelta = timedelta(seconds=3)
    patience: timedelta = timedelta(seconds=120)


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Functions:
    """What an agent has been given in Python, by object.

    Attributes:
        events: Called with each event.
        providers: Called with the query of each request.
        answers: Called with each packet that answers a request of the agent's own.
    """

    events: Mapping[str, tuple[Handler, ...]] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    answers: Mapping[str, tuple[AnswerHandler, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Work:
    """What the working threads tell the carrying loop."""

    error: BaseException | None = None


class Runtime:
    """An agent with all its parts, over one database and one transport.

    A pass is :meth:`begin`, then :meth:`read`, :meth:`carry` and :meth:`answer` until there is nothing left to do,
    then :meth:`finish`, after which there may be something again, and :meth:`end`. :meth:`run_once` makes one with
    threads; who has none calls these in turn.
    """

    def __init__(
        self,
        settings: AgentSettings,
        parts: Parts,
        store: Store,
        functions: Functions | None = None,
        progress: Progress = lambda _path, _records: None,
    ) -> None:
        self._settings, self._parts, self._store = settings, parts, store
        self._stop = threading.Event()
        schema: SchemaSet = load()
        self.spool = Spool(store, settings.id, schema)
        self._inbox = Inbox(store, schema)
        self._learners = Learners(store, self.spool)
        self._scanner = Scanner(settings, parts, store, self.spool, self._stop, progress, self._learners)
        functions = functions or Functions()
        mapped = frozenset(mapping.object_type for source in parts.sources for mapping in source.mappings)
        self._answering = Answering(settings.id, self.spool, schema, functions.providers, self._stop, mapped)
        exchanging = Exchanging(tuple(functions.providers), functions.answers, self._answering.wake)
        self._carrier = Carrier(settings, store, self.spool, self._inbox, functions.events, exchanging, self._learners)
        self._scanned = threading.Event()  # nothing is being read
        self._read_with = -1  # answers about learners when what has been read was begun; -1 before the first
        self._written = -1
        self._write_at = 0.0
        if isinstance(parts.target, PublishingTarget) and settings.target is not None:
            parts.target.attach(StoreDesk(store, self.spool, settings.target.connector))

    def stop(self) -> None:
        """Ask :meth:`run` to end; may be called from any thread or a signal handler."""
        self._stop.set()

    def run(self, connect: Connect) -> None:
        """Run until stopped, over every loss of the network.

        Raises:
            ConfigurationError: The zone refuses the login, or there is no such virtual host.
        """
        work = _Work()
        with _stopped_by_signals(self.stop), connect() as transport, self._running(self._work, work):
            prune_at = 0.0
            while not self._stop.is_set() and work.error is None:
                self.carry(transport, _WAIT)
                if time.monotonic() >= prune_at:
                    self._store.prune(self._settings.inbox_keep)
                    prune_at = time.monotonic() + _PRUNE_EVERY
        if work.error is not None:
            raise work.error
        self.finish()
        self.end()
        log.info("stopped", waiting=self.spool.count())

    def run_once(self, connect: Connect, limits: Limits = DEFAULT_LIMITS) -> None:
        """Read every source, publish all, receive until the queue is silent, write the target, and return.

        Raises:
            NotFinished: Nothing went on for longer than ``limits.patience``, or the zone refused to register the agent,
                or to say whose records its learners are.
            ConfigurationError: See :meth:`run`.
        """
        work = _Work()
        with _stopped_by_signals(self.stop), connect() as transport, self._running(self._scan_all, work):
            self._carry_all(transport, work, limits)
            publishes = isinstance(self._parts.target, PublishingTarget)
            if publishes and work.error is None and not self._stop.is_set() and self.finish():
                self._carry_all(transport, work, limits)  # what it publishes goes out in the same pass
        if work.error is not None:
            raise work.error
        self.finish()
        self.end()
        if self._carrier.not_located:
            raise NotFinished(_not_located(self._carrier.not_located, self._learners.pending()))

    def begin(self) -> None:
        """Begin a pass: let the zone be asked again for learners of whom it has not said whose they are."""
        self._learners.ask_again()

    def read(self) -> bool:
        """Read all sources, the first time and when there is more to read than then; tell whether they were read.

        Raises:
            Stopped: The agent is to stop.
        """
        if not self._is_to_be_read():
            return False
        self._scanned.clear()
        try:
            answers = self._learners.answers
            self._scan_once()
            self._read_with = answers
        finally:
            self._scanned.set()
        return True

    def carry(self, transport: Transport, wait: float = 0.0) -> bool:
        """Publish, receive and settle what there is, see :meth:`Carrier.turn`; tell whether anything happened."""
        return self._carrier.turn(transport, wait)

    def answer(self) -> bool:
        """Answer the requests that wait; tell whether there were any."""
        return self._answering.answer_all()

    def finish(self) -> bool:
        """Write the target when something has changed; tell whether that has left something to send."""
        self._write_target()
        return self.spool.count() > 0

    def end(self) -> None:
        """End a pass: let a target that does more than write, such as telling people, bring that to its end."""
        close = getattr(self._parts.target, "close", None)
        if close is not None:
            close()

    @contextmanager
    def _running(self, task: Callable[[_Work], None], work: _Work) -> Iterator[None]:
        """Run *task* and the answering beside what is inside; both have ended afterwards."""
        threads = [_thread(task, work, "sources"), _thread(self._answer, work, "answers")]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _answer(self, work: _Work) -> None:
        try:
            self._answering.work()
        except Exception as error:  # noqa: BLE001 - told by the main thread
            work.error = error

    def _carry_all(self, transport: Transport, work: _Work, limits: Limits) -> None:
        progress = quiet = time.monotonic()
        steps = 0
        while not self._stop.is_set() and work.error is None:
            received = self._carrier.received
            happened = self.carry(transport, _WAIT)
            present = time.monotonic()
            if (happened and self._carrier.registered) or not self._scanned.is_set() or self._answering.steps != steps:
                progress, steps = present, self._answering.steps
            if self._carrier.received != received or not (self._all_read() and self._carrier.is_done()):
                quiet = present
            if self._carrier.registered and present - quiet >= limits.idle.total_seconds():
                return
            if self._carrier.refusal:
                raise NotFinished(f"the zone does not register agent {self._settings.id!r}: {self._carrier.refusal}")
            if present - progress >= limits.patience.total_seconds():
                if self._carrier.registered and (learners := self._learners.pending()):
                    raise NotFinished(_not_located("it does not answer", learners))
                raise NotFinished(_unfinished(self._settings.id, self._carrier.registered, self.spool.count()))

    def _all_read(self) -> bool:
        """Tell whether all has been read that can be, also what waited for answers about learners."""
        if not self._scanned.is_set() or self._read_with != self._learners.answers:
            return False
        return bool(self._carrier.not_located) or not self._learners.pending()

    def _scan_all(self, work: _Work) -> None:
        """Read all sources, and again what was left out when the zone has said whose records it is."""
        try:
            self.begin()
            while not self._stop.is_set():
                self.read()
                self._scanned.set()
                self._stop.wait(_LOOK)
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - told by the main thread
            work.error = error
        finally:
            self._scanned.set()

    def _scan_once(self) -> None:
        waiting = self._parts.sources
        while waiting:
            waiting = tuple(source for source in waiting if self._scanner.scan(source, retry=True))
            if not self._learners.ready():
                return  # not for want of a file, so that the time until the zone has it is not taken for progress
            if waiting and self._stop.wait(min(_WAIT, self._settings.settle.total_seconds())):
                raise Stopped

    def _is_to_be_read(self) -> bool:
        """Tell whether there is more to read than when it was last done.

        Files are not read again for each message that answers, but when all that was asked is answered, or nothing is.
        """
        if self._read_with == self._learners.answers or not self._learners.ready():
            return False
        return self._read_with < 0 or bool(self._carrier.not_located) or not self._learners.pending()

    def _work(self, work: _Work) -> None:
        """Read sources when they are due or a file arrives, and write the target when something has come.

        What is on another machine is looked at when it is due alone.
        """
        schedule = Schedule(self._parts.sources)
        waiting: set[str] = set()
        due: set[str] = set()  # also those whose time has come and that could not be read then
        try:
            for arrived in self._ticks():
                due.update(source.name for source in schedule.due())
                if any(source.name in due and source.settings.locates for source in self._parts.sources):
                    self._learners.ask_again()
                if self._is_to_be_read():
                    self._read_with = self._learners.answers
                    waiting.update(source.name for source in self._parts.sources)
                for source in self._parts.sources:
                    if self._learners.answers != self._read_with:
                        # Answered meanwhile: once all is, everything is read from the beginning, learners before what
                        # refers to them.
                        break
                    if source.name in due | waiting or source.watched in arrived:
                        self._scan(source, due, waiting)
                self._write_when_due()
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - told by the main thread
            work.error = error

    def _scan(self, source: SourcePart, due: set[str], waiting: set[str]) -> None:
        """Read a source; note in the sets whether it has to wait, and whether it is then still to be looked at anew."""
        is_due = source.name in due
        due.discard(source.name)
        waiting.discard(source.name)
        if self._scanner.scan(source, retry=is_due):
            waiting.add(source.name)
            if is_due and source.watched is None:
                due.add(source.name)

    def _ticks(self) -> Iterator[set[Path]]:
        """Yield, a few times a second, the folders in which something has changed since the last time."""
        while not self._stop.is_set():
            folders = self._watched()
            if not folders:
                yield set()
                self._stop.wait(_WAIT)
                continue
            # Without recursion: a source reads no folders below its own. Debounced by the watch itself.
            changes = watch(
                *folders,
                watch_filter=None,
                stop_event=self._stop,
                rust_timeout=500,
                debounce=400,
                yield_on_timeout=True,
                recursive=False,
                raise_interrupt=False,
            )
            for change in changes:
                yield {Path(path).parent for _, path in change}
                if self._watched() != folders:
                    break

    def _watched(self) -> list[Path]:
        """Return the folders that are there in which files arrive by themselves."""
        folders = {source.watched for source in self._parts.sources}
        return sorted(folder for folder in folders if folder is not None and folder.is_dir())

    def _write_when_due(self) -> None:
        if self._parts.target is None or self._settings.target is None or time.monotonic() < self._write_at:
            return
        self._write_at = time.monotonic() + self._settings.target.every.total_seconds()
        self._write_target()

    def _write_target(self) -> None:
        if self._parts.target is None:
            return
        with self._store.snapshot() as db:
            objects = KeptObjects(db)
            if objects.changes == self._written and not self._is_due():
                return
            try:
                written = self._parts.target.write(objects)
            except TargetError as error:
                log.error("target_not_written", reason=str(error))
                return
            self._written = objects.changes
        self._note_written(written)

    def _is_due(self) -> bool:
        """Tell whether the target has something to do though no object has changed."""
        return isinstance(self._parts.target, PublishingTarget) and self._parts.target.is_due()

    def _note_written(self, written: Written) -> None:
        if not written.changed:
            return
        log.info("target_written", counts=dict(written.counts), left_out=dict(written.left_out))


def _thread(task: Callable[[_Work], None], work: _Work, name: str) -> threading.Thread:
    """Return a thread that logs with the same bound facts as this one."""
    return threading.Thread(target=copy_context().run, args=(task, work), name=name, daemon=True)


def _not_located(reason: str, learners: int) -> str:
    return (
        f"the zone does not say whose records {learners} learners are: {reason}; they wait, all others are published: "
        "see that the zone is of the same version as the agent, and run it again later"
    )


def _unfinished(agent: str, registered: bool, waiting: int) -> str:
    if not registered:
        return (
            f"the zone did not answer when agent {agent!r} registered: check that the zone is up (sifzone up); "
            f"{waiting} events wait in the spool"
        )
    return f"the zone stopped confirming events of agent {agent!r}: {waiting} wait in the spool; run it again later"


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the run; only the main thread may set handlers, elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["DEFAULT_LIMITS", "Connect", "Functions", "Limits", "NotFinished", "Runtime"]
