"""Agents over HTTP by the hundred, in one event loop: each says a thing again, under the same id, until it is answered.

That is what agents in use do; what they are given more than once, and after which word of the zone, is noted.
"""

import asyncio
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from broker.settings import Zone
from broker.supervisor import RunningZone, gateway_url, read_secret
from tests.integration.gateway.sif import CONTENT_TYPE, NS, Message, ack_content, listed
from tests.integration.gateway.sif import Agent as Writer

Result = TypeVar("Result")
_AGAIN: Final = 0.1
"""Seconds after which what failed is said again."""
_POLL: Final = 0.02
"""Seconds until the next SIF_GetMessage where there was nothing."""
_ANSWER: Final = 60.0
_CODE: Final = re.compile(rb"<SIF_(?:Status><SIF_|Error><SIF_Category>(\d+)</SIF_Category><SIF_)Code>(\d+)</SIF_Code>")

Code = tuple[int, int]
"""0 and the status, or category and code of an error."""


def code_of(answer: bytes) -> Code:
    """Return what a SIF_Ack says."""
    found = _CODE.search(answer)
    assert found is not None, answer
    return int(found[1] or 0), int(found[2])


class Line:
    """A connection to the gateway that is kept open; one POST at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: "
        ).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one = asyncio.Lock()

    async def post(self, body: bytes) -> bytes:
        """Return the body of the answer.

        Raises:
            OSError: There is none, or not with HTTP status 200.
        """
        try:
            async with self._one, asyncio.timeout(_ANSWER):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 20)
                reader, writer = self._streams
                writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
                head = await reader.readuntil(b"\r\n\r\n")
                at = head.lower().index(b"content-length: ") + 16
                answer = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise OSError("not answered") from error
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(head.split(b"\r")[0].decode())
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass(slots=True)
class Inbox:
    """What an agent was given.

    Attributes:
        messages: Each different message in the order of its first arrival.
        copies: How often each came, by id.
        settled: Ids of those whose acknowledgement the zone has answered with 0.
        repeated: Ids of those that came again after that.
        refused: Answers of the zone to acknowledgements, other than 0.
        seen_at: When each first came, on the event loop's clock.
    """

    messages: list[Message] = field(default_factory=list)
    copies: Counter[str] = field(default_factory=Counter)
    settled: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)
    refused: list[Code] = field(default_factory=list)
    seen_at: dict[str, float] = field(default_factory=dict)

    def take(self, msg_id: str, body: bytes) -> Message | None:
        """Note a message; return it when it is new."""
        self.copies[msg_id] += 1
        if msg_id in self.settled:
            self.repeated.append(msg_id)
        if self.copies[msg_id] > 1:
            return None
        self.seen_at[msg_id] = asyncio.get_running_loop().time()
        message = Message(body)
        self.messages.append(message)
        return message

    def events(self) -> dict[str, list[int]]:
        """Return the numbers that the events carry as LocalId, by publisher, in order of arrival."""
        found: dict[str, list[int]] = defaultdict(list)
        for message in self.messages:
            if message.kind == "SIF_Event":
                found[message.source].append(int(message.objects[0].findtext(NS + "LocalId") or -1))
        return found


Handle = Callable[["Agent", Message], Awaitable[None]]


class Agent:
    """An agent at the gateway.

    Attributes:
        handle: Called with each new message before it is acknowledged.
    """

    def __init__(self, agent_id: str, url: str, handle: Handle | None = None) -> None:
        self.id, self.handle = agent_id, handle
        self.writer = Writer(agent_id, url)
        self.inbox = Inbox()
        self.ended = False
        self._line, self._polls = Line(url), Line(url)

    def close(self) -> None:
        """Stop polling, and close all connections."""
        self.ended = True
        self._line.close()
        self._polls.close()

    async def insist(self, body: bytes, line: Line | None = None) -> Code:
        """POST *body* until it is answered with anything but "try again"."""
        while True:
            with suppress(OSError):
                code = code_of(await (line or self._line).post(body))
                if code[0] != 10:
                    return code
            await asyncio.sleep(_AGAIN)

    async def say(self, kind: str, content: str = "", *, msg_id: str = "", header: str = "") -> Code:
        """Send a message of this agent's, until it is answered."""
        return await self.insist(self.writer.message(kind, content, msg_id=msg_id, header=header))

    async def register(self, push_to: str = "") -> None:
        """Register, to pull or to be pushed to."""
        protocol = (
            f'<SIF_Protocol Type="HTTP" Secure="No"><SIF_URL>{push_to}</SIF_URL></SIF_Protocol>' if push_to else ""
        )
        content = (
            f"<SIF_Name>{self.id}</SIF_Name><SIF_Version>2.*</SIF_Version><SIF_MaxBufferSize>393216</SIF_MaxBufferSize>"
            f"<SIF_Mode>{'Push' if push_to else 'Pull'}</SIF_Mode>{protocol}"
        )
        assert await self.say("SIF_Register", content) == (0, 0)

    async def subscribe(self) -> None:
        """Subscribe to learners."""
        assert await self.say("SIF_Subscribe", listed("LearnerPersonal")) == (0, 0)

    async def provide(self) -> None:
        """Answer requests for learners."""
        assert await self.say("SIF_Provide", listed("LearnerPersonal")) == (0, 0)

    async def pull(self, pause: float = _POLL) -> None:
        """Fetch, handle and acknowledge until closed; wait *pause* seconds where there is nothing."""
        command = "<SIF_SystemControlData><SIF_GetMessage/></SIF_SystemControlData>"
        while not self.ended:
            try:
                answer = await self._polls.post(self.writer.message("SIF_SystemControl", command))
            except OSError:
                await asyncio.sleep(_AGAIN)
                continue
            start = answer.find(b"<SIF_Data>")
            if start < 0:
                await asyncio.sleep(pause)
                continue
            body = answer[start + 10 : answer.rindex(b"</SIF_Data>")]
            await self._acknowledge(*await self.receive(body))

    async def receive(self, body: bytes) -> tuple[str, str, bool]:
        """Note and handle what was given; return its source, its id and whether it is new."""
        source, msg_id = _between(body, b"SIF_SourceId"), _between(body, b"SIF_MsgId")
        message = self.inbox.take(msg_id, body)
        if message is not None and self.handle is not None:
            await self.handle(self, message)
        return source, msg_id, message is not None

    async def _acknowledge(self, source: str, msg_id: str, new: bool) -> None:
        code = await self.insist(
            self.writer.message("SIF_Ack", ack_content(source, msg_id, 1 if new else 7)), self._polls
        )
        if code == (0, 0):
            self.inbox.settled.add(msg_id)
        else:
            self.inbox.refused.append(code)


def _between(body: bytes, name: bytes) -> str:
    start = body.index(b"<%b>" % name) + len(name) + 2
    return body[start : body.index(b"<", start)].decode()


Answering = Callable[[Agent, bytes, asyncio.StreamWriter], Awaitable[bool]]
"""What is done with one push, given its body; tells whether the connection is to stay open."""


async def acknowledge(agent: Agent, body: bytes, writer: asyncio.StreamWriter) -> bool:
    """Handle the message and acknowledge it."""
    source, msg_id, new = await agent.receive(body)
    await reply(writer, agent.writer.message("SIF_Ack", ack_content(source, msg_id, 1 if new else 7)))
    return True


async def reply(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK", missing: int = 0) -> None:
    """Answer a push with *body*, of which *missing* bytes more are announced and never come."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body) + missing}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


class Targets:
    """Where agents are pushed to: one server, a path for each agent."""

    def __init__(self) -> None:
        self._agents: dict[str, tuple[Agent, Answering]] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)

    def close(self) -> None:
        """Stop listening, and drop all connections."""
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.close()

    def add(self, agent: Agent, answering: Answering = acknowledge) -> str:
        """Return the URL for *agent*, which answers as said; said again, it answers anew."""
        assert self._server is not None
        self._agents[agent.id] = agent, answering
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{agent.id}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, EOFError, asyncio.CancelledError):
            while await self._push(reader, writer):
                pass
        self._open.discard(writer)
        writer.close()

    async def _push(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length: ") + 16
        body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
        agent, answering = self._agents[head[6 : head.index(b" HTTP/")].decode()]
        return await answering(agent, body, writer)


class Aside:
    """An event loop in a thread: the thread of the test starts the zone's processes, which end with it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: list[Any] = []

    def do(self, work: Coroutine[Any, Any, Result], seconds: float = 120.0) -> Result:
        """Return what *work* returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done meanwhile; :meth:`check` tells of its failure."""
        self._tasks.append(asyncio.run_coroutine_threadsafe(work, self._loop))

    def check(self) -> bool:
        """Tell whether all that was begun is done; raise what stopped any of it."""
        for task in [task for task in self._tasks if task.done()]:
            task.result()
            self._tasks.remove(task)
        return not self._tasks

    def close(self) -> None:
        """Stop what is still under way."""

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def agent_url(running: RunningZone, agent_id: str) -> str:
    """Return the address of an agent, with its secret."""
    zone: Zone = running.zone
    assert running.gateway_port is not None
    return gateway_url(zone, running.gateway_port, read_secret(zone.credentials(agent_id)))


def assert_exactly_once_in_order(inbox: Inbox, expected: dict[str, Sequence[int]]) -> None:
    """Compare the events that came with the numbers that each publisher sent, in their order; each came once."""
    assert inbox.events() == {source: list(numbers) for source, numbers in expected.items() if numbers}
    assert [msg_id for msg_id, copies in inbox.copies.items() if copies > 1] == []
    assert inbox.refused == []
