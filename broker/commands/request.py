"""The commands ``sifzone request`` and ``sifzone requests``: ask agents for objects as one of them, and see who asked.

What comes back is personal data: it goes to the screen or the file of whoever asked, and nowhere else.
"""

import json
import os
import re
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, Literal, Protocol, TextIO

import typer
from lxml import etree
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from broker.commands.common import ZoneFolder, errors, opened_store, printing
from broker.exchanges import closing
from broker.letters import LOGIN, REPLY_TO
from broker.protocol.envelope import NAMESPACE, local_name, new_header, parse_ack, parse_message
from broker.protocol.errors import SIF_ERRORS, ZoneError
from broker.protocol.exchanges import USUAL_BUFFER, AnswerError, Response, build_request, parse_response
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, MsgId
from broker.protocol.plain import plain_values
from broker.protocol.query import Query, parse_where
from broker.protocol.topology import BROKER_LOGIN, INTAKE, intake_key, person_queue, person_topology
from broker.registry import ZONE_OBJECTS
from broker.requests import Cancelled, Pending, RequestState
from broker.settings import Zone, load_zone
from broker.storage import Store, open_store
from broker.storage.encoding import sentence
from broker.supervisor import read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport
from broker.transports.contract import Incoming, Outgoing, Transport, TransportLost

_POLL: Final = 0.2
_CONFIRM_SECONDS: Final = 5.0
_BOOKS_SECONDS: Final = 3.0
_PREFETCH: Final = 8
"""Packets on their way to us: what is asked for may be larger than memory."""
_COLUMNS: Final = 6
_INTERRUPTED: Final = 130
_CONTROLS: Final = re.compile("[\x7f-\x9f]")  # XML and JSON may hold them, and a terminal obeys them
_STATES: Final = {
    RequestState.ASKED: "cyan",
    RequestState.ANSWERING: "cyan",
    RequestState.DONE: "green",
    RequestState.PARTIAL: "yellow",
    RequestState.FAILED: "red",
    RequestState.EXPIRED: "red",
    RequestState.CANCELLED: "dim",
}
_ADVICE: Final = {
    (4, 5): "The administrator gives the right in zone.toml, and an agreement says which elements are shared.",
    (8, 1): "Ask the administrator of the agent that answers.",
    (8, 4): "See with 'sifzone check' who provides it, and that its agent runs; or name another with --to.",
    (8, 7): "The agent that answers speaks other versions of SIF than this zone asks for.",
    (8, 8): "Ask for less of each object, with --element.",
    (8, 9): "Ask with other conditions, or for all, and choose from what comes.",
    (8, 16): "See that the agent that is to answer runs; it gets the next request.",
}

Format = Literal["table", "xml", "json"]


# --- sifzone request ---------------------------------------------------------------------------------------------


def request(
    object_type: Annotated[str, typer.Argument(metavar="OBJECT", help="What to ask for, e.g. LearnerPersonal.")],
    asker: Annotated[str, typer.Option("--as", help="The agent in whose name, and with whose rights, to ask.")],
    zone: ZoneFolder = Path(),
    where: Annotated[
        list[str] | None,
        typer.Option(help='A condition such as "LocalId = 000412"; with several, all must be met.'),
    ] = None,
    element: Annotated[
        list[str] | None, typer.Option(help="Only this element, e.g. PersonalInformation/Name; may be repeated.")
    ] = None,
    to: Annotated[str, typer.Option(help="The agent to ask; without it, whoever provides the object.")] = "",
    context: Annotated[str, typer.Option(help="The context to ask in.")] = str(DEFAULT_CONTEXT),
    form: Annotated[Format, typer.Option("--format", help="How to show what comes.")] = "table",
    out: Annotated[Path | None, typer.Option(help="Write to this file, for your eyes only (mode 600).")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds of silence after which to give up.")] = 60.0,
) -> None:
    """Ask for objects, in the name of an agent and with what it is allowed; personal data on your screen or in --out.

    Exit code 0: all has come. 1: the zone or the agent refused, or nothing came in time. 2: it was asked wrongly.
    Ctrl-C cancels the request.
    """
    query = parse_where(object_type, where or (), element or ())
    loaded = load_zone(zone)
    _check_names(loaded, object_type, asker, to)
    url = read_url(loaded.credentials(BROKER_LOGIN))
    if not url or not loaded.key_file.exists():
        raise ZoneError("the zone has never been started: start it with 'sifzone up', then ask")
    settings = AmqpSettings(url=url, prefetch=_PREFETCH, name="sifzone request")
    with (
        open_store(loaded.database_url, loaded.key_file) as store,
        AmqpTransport(settings) as transport,
        _destination(out) as stream,
        _told_to_stop() as stopped,
    ):
        body, asking = _asking(query, AgentId(asker), to, context, store)
        output = _OUTPUTS[form](stream)
        with _progress(shown=out is not None or form == "table") as progress:
            ending = _Conversation(transport, asking, body, stopped, progress).run(output.add, timeout)
        if ending.how == "done" or ending.packets:
            output.end()
        _tell(ending, asking, store, out)


@dataclass(frozen=True, slots=True)
class _Asking:
    """A request of a person's."""

    request_id: MsgId
    asker: AgentId


@dataclass(frozen=True, slots=True)
class _Ending:
    """How an answer ended.

    Attributes:
        how: ``done``, or ``error``, ``silence``, ``stopped``, ``unreachable``.
        source: Who said so last; empty when nobody did.
        error: What ended it, where it is ``error``.
    """

    how: Literal["done", "error", "silence", "stopped", "unreachable"]
    objects: int
    packets: int
    source: str = ""
    error: AnswerError | None = None


class _Conversation:
    """One request from its publishing to the last packet, over losses of the connection."""

    def __init__(
        self,
        transport: Transport,
        asking: _Asking,
        body: bytes,
        stopped: threading.Event,
        progress: Callable[[int, int], None],
    ) -> None:
        self._transport, self._asking, self._body = transport, asking, body
        self._stopped, self._progress = stopped, progress
        self._objects = self._packets = 0
        self._source = ""

    def run(self, take: Callable[[Sequence[etree._Element]], None], quiet: float) -> _Ending:
        """Ask, hand every object to *take*, and return how it ended, having cancelled what is not over."""
        request_id, key = self._asking.request_id, person_queue(self._asking.request_id)
        headers = {LOGIN: self._asking.asker, REPLY_TO: key}
        question = Outgoing(
            INTAKE, intake_key(request_id), self._body, request_id, "SIF_Request", headers, user_id=BROKER_LOGIN
        )
        try:
            self._transport.declare(person_topology(request_id))
        except TransportLost:
            return self._ending("unreachable")
        self._transport.consume([key])
        self._transport.publish(question)
        try:
            ending = self._listen(question, take, quiet)
        except BaseException:
            self._cancel()
            raise
        if ending is not None:
            return ending
        reached = self._cancel()
        if self._stopped.is_set():
            return self._ending("stopped")
        return self._ending("silence" if reached else "unreachable")

    def _listen(
        self, question: Outgoing, take: Callable[[Sequence[etree._Element]], None], quiet: float
    ) -> _Ending | None:
        """Take packets until the answer ends; None when it does not in time, or somebody wants to stop."""
        due = time.monotonic() + quiet
        while time.monotonic() < due and not self._stopped.is_set():
            try:
                arrived = self._transport.poll(_POLL)
            except TransportLost:
                self._transport.publish(question)  # the zone knows it again by its id
                continue
            for incoming in arrived:
                ending = self._read(incoming, take)
                self._transport.ack(incoming.tag)
                due = time.monotonic() + quiet
                if ending is not None:
                    return ending
        return None

    def _read(self, incoming: Incoming, take: Callable[[Sequence[etree._Element]], None]) -> _Ending | None:
        message = parse_message(incoming.body)
        if message.kind == "SIF_Ack":
            ack = parse_ack(message)
            self._source = message.header.source_id
            return self._ending("error", AnswerError(ack.category or 0, ack.code or 0, ack.description))
        if message.kind != "SIF_Response":
            return None
        response: Response = parse_response(message)
        if response.request_id != self._asking.request_id or response.packet <= self._packets:
            return None  # it came before
        self._source = message.header.source_id
        if response.error is not None:
            return self._ending("error", response.error)
        take(response.elements)
        self._packets = response.packet
        self._objects += len(response.elements)
        self._progress(self._objects, self._packets)
        return None if response.more else self._ending("done")

    def _ending(
        self, how: Literal["done", "error", "silence", "stopped", "unreachable"], error: AnswerError | None = None
    ) -> _Ending:
        return _Ending(how, self._objects, self._packets, self._source, error)

    def _cancel(self) -> bool:
        """Have the zone end the request, so that nobody answers for nothing; return whether RabbitMQ has taken that."""
        transport = self._transport
        until = time.monotonic() + _CONFIRM_SECONDS
        last = transport.publish(
            closing(self._asking.request_id, *Cancelled.pair(), notify=False, by=self._asking.asker)
        )
        try:
            while transport.confirmed < last and time.monotonic() < until:
                transport.poll(_POLL)
        except TransportLost:
            return False
        return transport.confirmed >= last


def _asking(query: Query, asker: AgentId, to: str, context: str, store: Store) -> tuple[bytes, _Asking]:
    """Return the SIF_Request to send, with as large a buffer as its asker has."""
    said = store.live().registrations.get(asker)
    max_buffer = USUAL_BUFFER if said is None else min(USUAL_BUFFER, said.max_buffer)
    header = new_header(asker)._replace(destination_id=AgentId(to) if to else None, contexts=(Context(context),))
    return build_request(header, query, max_buffer=max_buffer), _Asking(header.msg_id, asker)


def _check_names(zone: Zone, object_type: str, asker: str, to: str) -> None:
    """Return when the zone has the object and the agents.

    Raises:
        ZoneError: It does not; names what it has.
    """
    for agent in filter(None, (asker, to)):
        if agent not in zone.registry.agents:
            known = ", ".join(sorted(zone.registry.agents)) or "none"
            raise ZoneError(f"the zone has no agent {agent[:64]!r}: use one of its agents ({known})")
    schema = zone.validator.schema
    if object_type not in schema.objects and object_type not in ZONE_OBJECTS:
        nearest = schema.nearest_object(object_type)
        hint = f"did you mean {nearest}?" if nearest else "'sifzone schema list' has them all"
        raise ZoneError(f"the zone has no object {object_type!r}: {hint}")


def _tell(ending: _Ending, asking: _Asking, store: Store, out: Path | None) -> None:
    """Say how it ended, in words, and leave with the exit code for it.

    Raises:
        Exit: It did not end well.
    """
    came = f"{ending.objects:,} {'object' if ending.objects == 1 else 'objects'} in {ending.packets:,} packet(s)"
    if ending.how == "done":
        where = f" are in {out}, which only you can read" if out is not None else ""
        errors.print(f"{came} from {sentence(ending.source)}{where}.{_left_out(asking, store)}", soft_wrap=True)
        return
    if ending.packets:
        errors.print(f"The answer is not whole: {came} came before it ended.", soft_wrap=True)
    if ending.how == "stopped":
        errors.print("The request is cancelled.")
        raise typer.Exit(_INTERRUPTED)
    if ending.how == "unreachable":
        errors.print("The zone's RabbitMQ does not answer: see that the zone is up ('sifzone up'), and ask again.")
    elif ending.error is not None:
        pair = ending.error.category, ending.error.code
        meaning = SIF_ERRORS.get(pair, "an error that SIF does not have")
        errors.print(Text(f"{meaning} ({pair[0]}/{pair[1]})", "red"), soft_wrap=True)
        errors.print(f"{sentence(ending.source)} says: {sentence(ending.error.text)}", soft_wrap=True)
        if pair in _ADVICE:
            errors.print(_ADVICE[pair], soft_wrap=True)
    else:
        errors.print(f"{_silence(asking, store)} The request is cancelled.", soft_wrap=True)
    errors.print(f"More:  sifzone explain {asking.request_id}", soft_wrap=True)
    raise typer.Exit(1)


def _silence(asking: _Asking, store: Store) -> str:
    """Return why nothing came, as far as the zone's books tell."""
    pending = store.requests([asking.request_id]).get(asking.request_id)
    if pending is not None:
        return f"Nothing more came from {pending.responder} in time: see that its agent runs, or wait with --timeout."
    for row in store.explain(asking.request_id):
        if row.outcome == "refused":
            meaning = SIF_ERRORS.get((row.category, row.code), row.reason)
            held = store.quarantine_list(source=asking.asker, limit=10_000)
            summaries = [sentence(entry.summary) for entry in held if entry.msg_id == asking.request_id]
            return f"The zone refused the request: {meaning} ({row.category}/{row.code}). {' '.join(summaries)}"
    return "The zone has not come to the request in time: see that it is up, and ask again."


def _left_out(asking: _Asking, store: Store) -> str:
    """Return a sentence about objects that were answered with and not passed on; empty where there are none."""
    until = time.monotonic() + _BOOKS_SECONDS
    while time.monotonic() < until:
        pending = store.requests([asking.request_id]).get(asking.request_id)
        if pending is not None and not pending.is_open:
            count = pending.left_out
            return f" {count:,} more were left out: not shared with {asking.asker}, or not valid." if count else ""
        time.sleep(_POLL / 4)  # the packet comes a moment before the zone has written down that it was the last
    return ""


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Give what is set when Ctrl-C is pressed or the process is told to end, so that the request can be cancelled."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Give what shows, on a terminal, how much has come; *shown*: nothing else is printed meanwhile."""
    if not shown or not sys.stderr.isatty():
        yield lambda _objects, _packets: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as bars:
        task = bars.add_task("asked, waiting for the answer", total=None)

        def show(objects: int, packets: int) -> None:
            bars.update(task, description=f"{objects:,} objects in {packets:,} packets")

        yield show


# --- where it goes, and how it looks -----------------------------------------------------------------------------


class _Output(Protocol):
    """What shows objects as they come."""

    def __init__(self, stream: TextIO) -> None: ...

    def add(self, elements: Sequence[etree._Element]) -> None:
        """Show more."""

    def end(self) -> None:
        """Show what is left, so that all of it is whole, however the answer ended."""


class _Xml:
    """One document; its root is the element in which SIF has objects."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._begun = stream, False

    def add(self, elements: Sequence[etree._Element]) -> None:
        self._begin()
        for element in elements:
            text = etree.tostring(element, encoding="unicode", with_tail=False)
            self._stream.write(_CONTROLS.sub(lambda found: f"&#{ord(found[0])};", text) + "\n")

    def end(self) -> None:
        self._begin()
        self._stream.write("</SIF_ObjectData>\n")

    def _begin(self) -> None:
        if not self._begun:
            self._stream.write(f'<SIF_ObjectData xmlns="{NAMESPACE}">\n')
            self._begun = True


class _Json:
    """One list."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._before = stream, "[\n"

    def add(self, elements: Sequence[etree._Element]) -> None:
        for element in elements:
            text = json.dumps(plain_values(element), ensure_ascii=False)
            self._stream.write(self._before + _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
            self._before = ",\n"

    def end(self) -> None:
        self._stream.write("[]\n" if self._before == "[\n" else "\n]\n")


class _Table:
    """RefId and the first few elements that hold text, a row for each object."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._columns: dict[str, None] = {}
        self._rows: list[tuple[str, dict[str, str]]] = []
        self._title = ""

    def add(self, elements: Sequence[etree._Element]) -> None:
        for element in elements:
            self._title = local_name(element)
            cells: dict[str, str] = {}
            for path, text in _leaves(element):
                if path not in self._columns and len(self._columns) < _COLUMNS:
                    self._columns[path] = None
                if path in self._columns:
                    cells.setdefault(path, text)
            self._rows.append((element.get("RefId", ""), cells))

    def end(self) -> None:
        if not self._rows:
            return
        table = Table(title=f"{len(self._rows):,} {self._title}")
        table.add_column("RefId", no_wrap=True)
        for path in self._columns:
            table.add_column(path, overflow="fold")
        for ref_id, cells in self._rows:
            table.add_row(sentence(ref_id), *(sentence(cells.get(path, "")) for path in self._columns))
        printing(self._stream).print(table)


_OUTPUTS: Final[dict[Format, type[_Output]]] = {"table": _Table, "xml": _Xml, "json": _Json}


def _leaves(element: etree._Element, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of each element that holds text alone, in document order."""
    for child in element.iterchildren("*"):
        path = above + local_name(child)
        if len(child):
            yield from _leaves(child, f"{path}/")
        elif text := (child.text or "").strip():
            yield path, text


@contextmanager
def _destination(out: Path | None) -> Iterator[TextIO]:
    """Give where to write: standard output, or a file that is put in its place once all is written, if anything is.

    Raises:
        ZoneError: The file cannot be written.
    """
    if out is None:
        yield sys.stdout
        return
    if out.exists() and not stat.S_ISREG(out.stat().st_mode):
        raise ZoneError(f"{out}: not a file: name one, or leave --out away for your screen")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)  # mode 600
    except OSError as error:
        raise ZoneError(f"{out}: cannot be written ({error.strerror}): name a file that can") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yield stream
    except typer.Exit:
        _put(part, out)  # what came of an answer that is not whole
        raise
    except BaseException:
        part.unlink()
        raise
    _put(part, out)


def _put(part: Path, out: Path) -> None:
    if part.stat().st_size:
        part.replace(out)
    else:
        part.unlink()


# --- sifzone requests --------------------------------------------------------------------------------------------


def requests(
    zone: ZoneFolder = Path(),
    state: Annotated[
        list[RequestState] | None, typer.Option(help="Only requests in this state; may be repeated.")
    ] = None,
    agent: Annotated[str, typer.Option(help="Only requests that this agent made, or is to answer.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 100,
) -> None:
    """List requests for objects: who asked whom for what, how far the answer has come, and why it ended; no content."""
    loaded = load_zone(zone)
    with opened_store(loaded) as store:
        found = store.list_requests(state or tuple(RequestState), agent=agent, limit=limit)
    console = printing()
    if not found:
        console.print("No such requests.")
        return
    console.print(requests_table(found))
    if len(found) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")


def requests_table(found: Sequence[Pending]) -> Table:
    """Return requests as a table, one a row; no personal data is in it."""
    table = Table("Asked at (UTC)", title="Requests")
    table.add_column("Request", no_wrap=True)  # whole, to be copied into 'sifzone explain'
    for heading in ("By", "To", "Object", "State"):
        table.add_column(heading)
    for heading in ("Packets", "Shared", "Left out"):
        table.add_column(heading, justify="right")
    table.add_column("Why")
    for one in found:
        table.add_row(
            datetime.fromtimestamp(one.asked_at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            one.msg_id,
            one.requester + (" (a person)" if one.reply_to else ""),
            one.responder,
            one.object_type + ("" if one.context == DEFAULT_CONTEXT else f" in {one.context}"),
            Text(str(one.state), _STATES[one.state]),
            f"{one.next_packet - 1:,}",
            f"{one.shared:,}",
            f"{one.left_out:,}",
            _why(one),
        )
    return table


def _why(one: Pending) -> str:
    if not one.category:
        return ""
    return f"{SIF_ERRORS.get((one.category, one.code), 'an error that SIF does not have')} ({one.category}/{one.code})"


__all__ = ["request", "requests", "requests_table"]
