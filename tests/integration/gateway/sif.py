"""A SIF 2.x agent for tests, as plain as one can be: it speaks real HTTP, and trusts nothing that it is answered."""

import gzip
import http.client
import queue
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, TypeVar
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml import etree

import schemas

Found = TypeVar("Found")
SIF: Final = "http://www.sifinfo.org/uk/infrastructure/2.x"
NS: Final = f"{{{SIF}}}"
CONTENT_TYPE: Final = 'application/xml;charset="utf-8"'
SECONDS: Final = 20.0
NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def eventually(look: Callable[[], Found | None], seconds: float = 20.0) -> Found:
    """Return what *look* finds, as soon as it finds anything true."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def contexts(*names: str) -> str:
    """Return SIF_Contexts."""
    return "<SIF_Contexts>" + "".join(f"<SIF_Context>{name}</SIF_Context>" for name in names) + "</SIF_Contexts>"


SECTIONS: Final = ("Provide", "Subscribe", "PublishAdd", "PublishChange", "PublishDelete", "Request", "Respond")


def new_id() -> str:
    """Return a fresh SIF_MsgId or RefId."""
    return secrets.token_hex(16).upper()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response with the SIF_Ack in it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def root(self) -> etree._Element:
        """The SIF_Message."""
        return etree.fromstring(self.body)

    def text(self, path: str) -> str | None:
        """Return the text at *path* of local names below SIF_Ack; None when it is not there."""
        return self.root[0].findtext("/".join(NS + step for step in path.split("/")))

    @property
    def code(self) -> int | tuple[int, int]:
        """The status code, or category and code of the error."""
        status = self.text("SIF_Status/SIF_Code")
        if status is not None:
            return int(status)
        return int(self.text("SIF_Error/SIF_Category") or -1), int(self.text("SIF_Error/SIF_Code") or -1)

    @property
    def original(self) -> tuple[str, str]:
        """SIF_OriginalSourceId and SIF_OriginalMsgId."""
        return self.text("SIF_OriginalSourceId") or "", self.text("SIF_OriginalMsgId") or ""

    @property
    def message(self) -> "Message | None":
        """The message in SIF_Data; None when there is none."""
        inner = self.root[0].find(f"{NS}SIF_Status/{NS}SIF_Data/{NS}SIF_Message")
        if inner is None:
            return None
        start, end = self.body.index(b"<SIF_Data>") + 10, self.body.rindex(b"</SIF_Data>")
        return Message(self.body[start:end])

    def data(self, name: str) -> etree._Element:
        """Return the element *name* in SIF_Data."""
        found = self.root[0].find(f"{NS}SIF_Status/{NS}SIF_Data/{NS}{name}")
        assert found is not None, self.body
        return found

    @property
    def findings(self) -> tuple[schemas.Finding, ...]:
        """What the message schema finds in it."""
        return schemas.check_message(self.root)

    @property
    def own_id(self) -> str:
        """SIF_MsgId of the ack itself."""
        return self.text("SIF_Header/SIF_MsgId") or ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that an agent was given, as its bytes."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> etree._Element:
        """The SIF_Message."""
        return etree.fromstring(self.body)

    @property
    def kind(self) -> str:
        """Name of the message, such as SIF_Event."""
        return str(etree.QName(self.root[0]).localname)

    def text(self, path: str) -> str:
        """Return the text at *path* of local names; empty when it is not there."""
        return self.root[0].findtext("/".join(NS + step for step in path.split("/"))) or ""

    @property
    def msg_id(self) -> str:
        """Its SIF_MsgId."""
        return self.text("SIF_Header/SIF_MsgId")

    @property
    def source(self) -> str:
        """Its SIF_SourceId."""
        return self.text("SIF_Header/SIF_SourceId")

    @property
    def objects(self) -> list[etree._Element]:
        """The data objects in an event or a response."""
        data = self.root[0].find(NS + "SIF_ObjectData")
        if data is None:
            return []
        return [child for part in data for child in (part if part.tag == NS + "SIF_EventObject" else [part])]

    @property
    def error(self) -> tuple[int, int] | None:
        """Category and code of a SIF_Error in it."""
        if self.root[0].find(NS + "SIF_Error") is None:
            return None
        return int(self.text("SIF_Error/SIF_Category")), int(self.text("SIF_Error/SIF_Code"))


class Agent:
    """An agent of a zone, by its URL; not for several threads at once."""

    def __init__(self, agent_id: str, url: str, version: str = "2.1", tls: ssl.SSLContext | None = None) -> None:
        self.id, self.url, self.version, self.tls = agent_id, url, version, tls
        self.headers: dict[str, str] = {}
        """Sent with every message."""
        self.connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.close()

    def leave(self) -> None:
        """Unregister, and close the connection."""
        self.close()
        if self.connection is not None:
            self.send("SIF_Unregister")
            self.close()

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST *body* over a connection that stays open."""
        parts = urlsplit(self.url)
        if self.connection is None:
            host = parts.hostname or ""
            if parts.scheme == "https":
                self.connection = http.client.HTTPSConnection(host, parts.port, timeout=SECONDS, context=self.tls)
            else:
                self.connection = http.client.HTTPConnection(host, parts.port, timeout=SECONDS)
        sent = {"Content-Type": CONTENT_TYPE, **self.headers, **(headers or {})}
        self.connection.request("POST", parts.path, body, sent)
        response = self.connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def message(self, kind: str, content: str = "", *, msg_id: str = "", header: str = "", source: str = "") -> bytes:
        """Return a SIF_Message; *header* follows SIF_SourceId."""
        return (
            f'<SIF_Message xmlns="{SIF}" Version="{self.version}"><{kind}><SIF_Header><SIF_MsgId>{msg_id or new_id()}'
            f"</SIF_MsgId><SIF_Timestamp>2026-09-01T08:15:00+01:00</SIF_Timestamp><SIF_SourceId>"
            f"{source or self.id}</SIF_SourceId>{header}</SIF_Header>{content}</{kind}></SIF_Message>"
        ).encode()

    def send(self, kind: str, content: str = "", *, msg_id: str = "", header: str = "") -> Answer:
        """POST a message of this agent's."""
        return self.post(self.message(kind, content, msg_id=msg_id, header=header))

    # -- the zone --------------------------------------------------------------------------------------------------

    def register(
        self, *, push_to: str = "", buffer: int = 393_216, versions: tuple[str, ...] = ("2.*",), properties: str = ""
    ) -> Answer:
        """Register, to pull or to be pushed to."""
        kind = "HTTPS" if push_to.startswith("https") else "HTTP"
        secure = "Yes" if kind == "HTTPS" else "No"
        protocol = (
            f'<SIF_Protocol Type="{kind}" Secure="{secure}"><SIF_URL>{push_to}</SIF_URL>{properties}</SIF_Protocol>'
            if push_to
            else ""
        )
        listed = "".join(f"<SIF_Version>{version}</SIF_Version>" for version in versions)
        return self.send(
            "SIF_Register",
            f"<SIF_Name>{self.id}</SIF_Name>{listed}<SIF_MaxBufferSize>{buffer}</SIF_MaxBufferSize>"
            f"<SIF_Mode>{'Push' if push_to else 'Pull'}</SIF_Mode>{protocol}",
        )

    def control(self, command: str, content: str = "") -> Answer:
        """Send one SIF_SystemControl command."""
        inner = f"<{command}>{content}</{command}>" if content else f"<{command}/>"
        return self.send("SIF_SystemControl", f"<SIF_SystemControlData>{inner}</SIF_SystemControlData>")

    def subscribe(self, *objects: str, contexts: tuple[str, ...] = ()) -> Answer:
        """Subscribe to *objects*."""
        return self.send("SIF_Subscribe", listed(*objects, contexts=contexts))

    def provide(self, *objects: str, contexts: tuple[str, ...] = ()) -> Answer:
        """Provide *objects*."""
        return self.send("SIF_Provide", listed(*objects, contexts=contexts))

    def provision(self, sections: Mapping[str, str] | None = None) -> Answer:
        """Say all that the agent does: by section, such as Subscribe, SIF_Object elements."""
        given = sections or {}
        assert given.keys() <= set(SECTIONS)
        inner = "".join(f"<SIF_{name}Objects>{given.get(name, '')}</SIF_{name}Objects>" for name in SECTIONS)
        return self.send("SIF_Provision", inner)

    def event(self, element: str, action: str = "Add", *, msg_id: str = "", header: str = "") -> Answer:
        """Publish one object."""
        return self.post(self.event_body(element, action, msg_id=msg_id, header=header))

    def event_body(self, element: str, action: str = "Add", *, msg_id: str = "", header: str = "") -> bytes:
        """Return an event of one object."""
        name = re.split(r"[\s/>]", element[1:], maxsplit=1)[0]
        content = (
            f'<SIF_ObjectData><SIF_EventObject ObjectName="{name}" Action="{action}">{element}'
            "</SIF_EventObject></SIF_ObjectData>"
        )
        return self.message("SIF_Event", content, msg_id=msg_id, header=header)

    def request(
        self,
        name: str = "LearnerPersonal",
        *,
        msg_id: str = "",
        to: str = "",
        versions: tuple[str, ...] = ("2.*",),
        buffer: int = 65_536,
        query: str = "",
        header: str = "",
    ) -> Answer:
        """Ask for objects."""
        destination = f"<SIF_DestinationId>{to}</SIF_DestinationId>" if to else ""
        wanted = "".join(f"<SIF_Version>{version}</SIF_Version>" for version in versions)
        query = query or f'<SIF_Query><SIF_QueryObject ObjectName="{name}"/></SIF_Query>'
        content = f"{wanted}<SIF_MaxBufferSize>{buffer}</SIF_MaxBufferSize>{query}"
        return self.send("SIF_Request", content, msg_id=msg_id, header=destination + header)

    def respond(
        self,
        request: str,
        objects: str = "",
        *,
        to: str = "",
        packet: int = 1,
        more: bool = False,
        error: tuple[int, int] | None = None,
        msg_id: str = "",
    ) -> Answer:
        """Answer a request with one packet."""
        destination = f"<SIF_DestinationId>{to}</SIF_DestinationId>" if to else ""
        payload = f"<SIF_ObjectData>{objects}</SIF_ObjectData>"
        if error is not None:
            payload = (
                f"<SIF_Error><SIF_Category>{error[0]}</SIF_Category><SIF_Code>{error[1]}</SIF_Code>"
                "<SIF_Desc>made up</SIF_Desc></SIF_Error>"
            )
        content = (
            f"<SIF_RequestMsgId>{request}</SIF_RequestMsgId><SIF_PacketNumber>{packet}</SIF_PacketNumber>"
            f"<SIF_MorePackets>{'Yes' if more else 'No'}</SIF_MorePackets>{payload}"
        )
        return self.send("SIF_Response", content, msg_id=msg_id, header=destination)

    def get(self) -> Answer:
        """Ask for the next message."""
        return self.control("SIF_GetMessage")

    def fetch(self) -> Message:
        """Ask until there is a message, and return it."""
        for _ in range(2_000):
            answer = self.get()
            if answer.message is not None:
                return answer.message
            assert answer.code == 9, answer.body
            time.sleep(0.01)
        raise AssertionError(f"{self.id} was given nothing")

    def take(self) -> Message:
        """Fetch the next message and acknowledge it."""
        message = self.fetch()
        assert self.ack(message).code == 0
        return message

    def drain(self, quiet: int = 3) -> list[Message]:
        """Take all that there is until there is nothing, *quiet* times a twentieth of a second apart."""
        found: list[Message] = []
        left = quiet
        while left:
            message = self.get().message
            if message is None:
                left -= 1
                time.sleep(0.05 if left else 0)
                continue
            left = quiet
            found.append(message)
            assert self.ack(message).code == 0
        return found

    def ack(self, message: Message | tuple[str, str], code: int | tuple[int, int] = 1) -> Answer:
        """Acknowledge a message, or one given by source and id, with a status or an error."""
        source, msg_id = (message.source, message.msg_id) if isinstance(message, Message) else message
        return self.send("SIF_Ack", ack_content(source, msg_id, code))


def ack_content(source: str, msg_id: str, code: int | tuple[int, int]) -> str:
    """Return what a SIF_Ack says after its header."""
    said = (
        f"<SIF_Status><SIF_Code>{code}</SIF_Code></SIF_Status>"
        if isinstance(code, int)
        else f"<SIF_Error><SIF_Category>{code[0]}</SIF_Category><SIF_Code>{code[1]}</SIF_Code>"
        "<SIF_Desc>made up</SIF_Desc></SIF_Error>"
    )
    return (
        f"<SIF_OriginalSourceId>{escape(source)}</SIF_OriginalSourceId>"
        f"<SIF_OriginalMsgId>{msg_id}</SIF_OriginalMsgId>{said}"
    )


def listed(*objects: str, contexts: tuple[str, ...] = ()) -> str:
    """Return SIF_Object elements."""
    inner = "".join(f"<SIF_Context>{context}</SIF_Context>" for context in contexts)
    named = f"<SIF_Contexts>{inner}</SIF_Contexts>" if contexts else ""
    return "".join(f'<SIF_Object ObjectName="{name}">{named}</SIF_Object>' for name in objects)


def learner(ref_id: str = "", local_id: str = "000412", more: str = "") -> str:
    """Return a LearnerPersonal that is valid as an Add."""
    return (
        f'<LearnerPersonal RefId="{ref_id or new_id()}"><LocalId>{local_id}</LocalId><PersonalInformation>'
        f'<Name Type="C"><FamilyName>Faultless</FamilyName><GivenName>Pupil</GivenName></Name></PersonalInformation>'
        "<InCare><Current>No</Current><LAId>820</LAId></InCare>"
        '<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3C3"><LAId>820</LAId>'
        f"<EstablishmentId>9901</EstablishmentId><NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>{more}"
        "</LearnerPersonal>"
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response as it is; *missing* bytes of it never come."""

    status: int = 200
    body: bytes = b""
    missing: int = 0


Said = int | tuple[int, int] | Reply | None
Reaction = Callable[[Message], Said]
"""What a target does with a message: acknowledges with a code, answers as told, or drops the connection."""


class Target:
    """Where an agent is pushed to: an HTTP server of its own, which reacts as it is told."""

    def __init__(self, agent_id: str, reaction: Reaction = lambda _message: 1, port: int = 0) -> None:
        self.agent_id, self.reaction = agent_id, reaction
        self.received: queue.Queue[Message] = queue.Queue()
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                target.take(self)

            def log_message(self, *_arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to push to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/zone/in/"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def next(self, seconds: float = SECONDS) -> Message:
        """Return the next message that was pushed."""
        return self.received.get(timeout=seconds)

    def is_quiet(self, seconds: float = 0.5) -> bool:
        """Tell whether nothing is pushed for a while."""
        try:
            self.received.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """React to one push."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()} | {":path": handler.path}
        message = Message(body, headers)
        self.received.put(message)
        plain = message
        if headers.get("content-encoding") == "gzip":
            plain = Message(gzip.decompress(body), headers)
        said = self.reaction(plain)
        if said is None:
            handler.close_connection = True
            return
        reply = said if isinstance(said, Reply) else Reply(body=self.ack_body(plain, said))
        handler.send_response(reply.status)
        handler.send_header("Content-Type", CONTENT_TYPE)
        handler.send_header("Content-Length", str(len(reply.body) + reply.missing))
        handler.end_headers()
        handler.wfile.write(reply.body)
        handler.close_connection = bool(reply.missing)

    def ack_body(self, message: Message, code: int | tuple[int, int]) -> bytes:
        """Return a SIF_Ack to *message*."""
        agent = Agent(self.agent_id, "", message.root.get("Version", "2.1"))
        return agent.message("SIF_Ack", ack_content(message.source, message.msg_id, code))


def school(ref_id: str = "", name: str = "Made up school") -> str:
    """Return a SchoolInfo that is valid as an Add."""
    return (
        f'<SchoolInfo RefId="{ref_id or new_id()}"><EstablishmentId>9901</EstablishmentId><LAId>820</LAId>'
        f"<SchoolName>{name}</SchoolName><SessionsPerDay>2</SessionsPerDay></SchoolInfo>"
    )


def filler(size: int, sign: str = "x") -> str:
    """Return what makes a learner *size* characters longer, and then some."""
    inner = f'<SIF_ExtendedElement Name="x">{sign * size}</SIF_ExtendedElement>'
    return f"<SIF_ExtendedElements>{inner}</SIF_ExtendedElements>"
