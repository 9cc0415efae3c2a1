"""Answers requests: draws objects from what the agent has published, or from a function; spools packets of them.

A request waits in the agent's database until all packets of its answer are there too; killed in the midst of one, the
agent makes that answer anew, and of the one begun nothing was sent.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

import structlog
from lxml import etree

from agents.spool import Asked, Spool
from agents.stopping import Stopped
from broker.protocol.documents import MAX_MESSAGE_BYTES
from broker.protocol.envelope import VERSION, Header, Message, local_name, new_header, parse_message
from broker.protocol.errors import ZoneError
from broker.protocol.exchanges import SMALLEST_BUFFER, AnswerError, Packet, build_response, packets, request_limits
from broker.protocol.identifiers import AgentId
from broker.protocol.query import ExtendedQuery, Kind, KindOf, Query, matches, parse_query, selected
from broker.protocol.versions import covers
from schemas import SchemaSet

log = structlog.get_logger(__name__)

Provider = Callable[[Query], Iterable[etree._Element]]
"""From a query to objects, whole, in any order; those that the query does not ask for may be among them."""

_WAIT: Final = 0.2
_NUMBERS: Final = frozenset({"xs:decimal", "xs:integer", "xs:unsignedInt", "xs:gYear"})
_DATES: Final = frozenset({"xs:date", "xs:dateTime"})
_NOT_KNOWN: Final = frozenset({"", "xs:anyType"})


class _ProviderFailed(Exception):
    """A provider's function raised; the text is the name of what, since its own may hold personal data."""


class _NotAnswered(ZoneError):
    """A request is answered with an error alone."""

    def __init__(self, error: AnswerError) -> None:
        self.error = error
        super().__init__(error.text)


class Answering:
    """Makes the answers of one agent, one after the other.

    Attributes:
        steps: Grows with each object drawn and each packet made.
    """

    def __init__(
        self,
        agent: AgentId,
        spool: Spool,
        schema: SchemaSet,
        providers: Mapping[str, Provider],
        stop: threading.Event,
        mapped: frozenset[str] = frozenset(),
    ) -> None:
        """Take what answers are made of.

        Args:
            agent: Who answers.
            spool: Has the requests, takes the packets, and keeps what was published.
            schema: Tells as what values are compared.
            providers: Functions, by object; where there is one, it alone answers.
            stop: Set when the agent is to end.
            mapped: Objects that the agent's sources make, answered for from what was published, though that be nothing.
        """
        self._agent, self._spool, self._schema, self._providers, self._stop = agent, spool, schema, providers, stop
        self._mapped = mapped
        self._wake = threading.Event()
        self.steps = 0

    def wake(self) -> None:
        """Tell that a request has come."""
        self._wake.set()

    def work(self) -> None:
        """Answer what has come and what comes, until stopped."""
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self.answer_all()
                while not (self._stop.is_set() or self._wake.wait(_WAIT)):
                    pass
        except Stopped:
            return

    def answer_all(self) -> bool:
        """Answer what has come, and tell whether there was anything.

        Raises:
            Stopped: See :meth:`answer`.
        """
        found = False
        while (asked := self._spool.next_asked()) is not None:
            self.answer(asked)
            found = True
        return found

    def answer(self, asked: Asked) -> None:
        """Put the whole answer to a request into the spool.

        Raises:
            Stopped: The agent is to end; the request waits for its next start.
        """
        message = parse_message(asked.body)
        header = new_header(self._agent)._replace(
            destination_id=message.header.source_id, contexts=message.header.contexts
        )
        self._spool.begin_answer(asked.msg_id)
        number, error = 0, None
        version = VERSION
        try:
            version, query, provider, max_bytes = self._read(message)
            for packet in self._packets(header, asked, query, provider, max_bytes):
                self._put(header, asked, packet, version)
                number = packet.number
                error = packet.content if isinstance(packet.content, AnswerError) else None
        except _ProviderFailed as failure:
            error = AnswerError(8, 1, "the agent that answers failed on this request: tell its administrator")
            log.error("provider_failed", request=asked.msg_id, object_type=asked.object_type, error=str(failure))
            number += 1
            self._put(header, asked, Packet(number, False, error), version)
        except _NotAnswered as refused:
            number, error = 1, refused.error
            said = message.version if any(covers(item, message.version) for item in _versions(message)) else VERSION
            self._put(header, asked, Packet(1, False, error), said)
        self._spool.end_answer(asked)
        category, code = error[:2] if error is not None else (0, 0)
        log.info(
            "request_answered",
            request=asked.msg_id,
            requester=message.header.source_id,
            object_type=asked.object_type,
            packets=number,
            category=category,
            code=code,
        )

    def _read(self, message: Message) -> tuple[str, Query, Provider, int]:
        """Return the version to answer in, what is asked, who knows, and the bytes of the largest packet."""
        try:
            versions, max_bytes = request_limits(message)
            query = parse_query(message.payload)
        except ZoneError as error:
            raise _NotAnswered(AnswerError(error.category, error.code, str(error))) from error
        if isinstance(query, ExtendedQuery):
            raise _NotAnswered(AnswerError(8, 15, "this agent does not answer SIF_ExtendedQuery: send a SIF_Query"))
        provider = self._providers.get(query.object_type) or self._published(query.object_type)
        if provider is None:
            text = f"this agent does not answer for {query.object_type[:64]}: ask another, or its administrator"
            raise _NotAnswered(AnswerError(8, 4, text))
        if not any(covers(item, VERSION) for item in versions):
            raise _NotAnswered(AnswerError(8, 7, f"this agent answers in version {VERSION}: list it in SIF_Version"))
        if max_bytes < SMALLEST_BUFFER:
            text = f"this agent answers in packets of {SMALLEST_BUFFER} bytes at least: ask with a larger buffer"
            raise _NotAnswered(AnswerError(8, 8, text))
        return VERSION, query, provider, min(max_bytes, MAX_MESSAGE_BYTES)

    def _published(self, object_type: str) -> Provider | None:
        kept = self._spool.kept
        return kept.find if object_type in self._mapped or kept.has_any(object_type) else None

    def _packets(
        self, header: Header, asked: Asked, query: Query, provider: Provider, max_bytes: int
    ) -> Iterator[Packet]:
        def overhead(number: int) -> int:
            return len(build_response(header, asked.msg_id, number, True, b""))

        return packets(self._objects(provider, query), max_bytes, overhead)

    def _objects(self, provider: Provider, query: Query) -> Iterator[bytes]:
        kind = kinds(query.object_type, self._schema)
        try:
            for element in provider(query):
                self._go_on()
                _check(element, query)
                if matches(query, element, kind):
                    yield etree.tostring(selected(query, element), encoding="utf-8", with_tail=False)
        except (Stopped, GeneratorExit):
            raise
        except Exception as error:
            raise _ProviderFailed(type(error).__name__) from error

    def _put(self, header: Header, asked: Asked, packet: Packet, version: str) -> None:
        own = new_header(self._agent)
        body = build_response(
            header._replace(msg_id=own.msg_id, timestamp=own.timestamp),
            asked.msg_id,
            packet.number,
            packet.more,
            packet.content,
            version,
        )
        self._spool.put_packet(asked.msg_id, packet.number, own.msg_id, body)
        self._go_on()

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped
        self.steps += 1


def kinds(object_type: str, schema: SchemaSet) -> KindOf:
    """Return what tells as what the values at a path of an object are compared, by the schema."""

    @lru_cache(maxsize=1000)
    def kind(path: str) -> Kind | None:
        node = schema.find(object_type, path)
        if node is None or node.type in _NOT_KNOWN:
            return None
        if node.type in _NUMBERS:
            return "number"
        return "date" if node.type in _DATES else "text"

    return kind


def _check(element: etree._Element, query: Query) -> None:
    if local_name(element) != query.object_type:
        raise TypeError  # only the name of an error is told


def _versions(message: Message) -> tuple[str, ...]:
    try:
        return request_limits(message)[0]
    except ZoneError:
        return ()


__all__ = ["Answering", "Provider", "kinds"]
