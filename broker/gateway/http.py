"""The HTTP binding: requests in, SIF_Acks out; what is in them is the gateway's business.

Every outcome that SIF has a word for is HTTP status 200 with a SIF_Ack; any other status is a failure of the transport,
after which the sender may try again.
"""

import gzip
import zlib
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from broker.gateway.credentials import Shown
from broker.gateway.gateway import Gateway
from broker.gateway.push import COMPRESS_FROM, CONTENT_TYPE
from broker.gateway.state import State
from broker.protocol.documents import MAX_MESSAGE_BYTES
from broker.protocol.errors import NotWellFormed, ZoneError

_CERTIFICATE: Final = "sifzone.certificate"
_WINDOW: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""zlib's window bits by content coding: gzip's header, or one of either kind."""


class TlsProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also tells of the certificate that the client has shown."""

    def connection_made(self, transport: Any) -> None:
        """Note the certificate of a new connection."""
        super().connection_made(transport)
        shown = transport.get_extra_info("ssl_object")
        self._certificate = None if shown is None else shown.getpeercert(binary_form=True)

    def on_message_begin(self) -> None:
        """Give it to the application with each request."""
        super().on_message_begin()
        self.scope["extensions"] = {_CERTIFICATE: self._certificate}  # type: ignore[dict-item]


class Front:
    """The application: ``POST /zones/{zone}``, with or without a secret, straight to the gateway; else FastAPI's.

    What comes by the thousand does not pass through routing and middleware that has nothing to do for it.
    """

    def __init__(self, gateway: Gateway, state: State) -> None:
        self._gateway, self._state = gateway, state
        self._others = _others(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith("/zones/"):
            await self._others(scope, receive, send)
            return
        zone, _, secret = scope["path"].removeprefix("/zones/").removesuffix("/").partition("/")
        if zone != self._state.zone.id or "/" in secret:
            await PlainTextResponse("There is no such zone here: check the address.\n", 404)(scope, receive, send)
        elif scope["method"] != "POST":
            await PlainTextResponse("Send SIF messages with POST.\n", 405, {"Allow": "POST"})(scope, receive, send)
        else:
            await self._take(scope, receive, send, secret)

    async def _take(self, scope: Scope, receive: Receive, send: Send, secret: str) -> None:
        headers = dict(scope["headers"])
        coding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if coding not in _WINDOW and coding != "identity":
            text = f"Content-Encoding must be one of {', '.join(_WINDOW)}.\n"
            await PlainTextResponse(text, 415)(scope, receive, send)
            return
        certificate = (scope.get("extensions") or {}).get(_CERTIFICATE)
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        try:
            shown = Shown(secret, authorization, certificate, scope["scheme"] == "https")
            caller = self._state.credentials.check(shown)
            body = await _read(receive, coding)
        except ZoneError as error:
            answer = self._gateway.refuse(error)
        else:
            answer = await self._gateway.answer(caller, body)
        await _send(answer, headers.get(b"accept-encoding", b""), send)


def _others(gateway: Gateway) -> FastAPI:
    """Return what answers everything but SIF messages: ``GET /health``."""
    app = FastAPI(title="sifzone gateway", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health", response_class=PlainTextResponse)
    async def health() -> Response:
        up = gateway.is_up
        return PlainTextResponse("up\n" if up else "no connection to RabbitMQ\n", 200 if up else 503)

    return app


async def _send(body: bytes, accepted: bytes, send: Send) -> None:
    headers = [(b"content-type", CONTENT_TYPE.encode())]
    if len(body) >= COMPRESS_FROM and _reads_gzip(accepted.decode("latin-1")):
        body = gzip.compress(body, 5)
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, coding: str) -> bytes:
    """Return the body, decompressed, having read no more than a message may have.

    Raises:
        NotWellFormed: It is too large, cannot be decompressed, or its sender went away.
    """
    inflate = None if coding == "identity" else zlib.decompressobj(_WINDOW[coding])
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise NotWellFormed("the message was cut short: send it again")
        piece, more = event.get("body", b""), event.get("more_body", False)
        if inflate is not None:
            try:
                piece = inflate.decompress(piece, MAX_MESSAGE_BYTES + 1 - size)
            except zlib.error as error:
                raise NotWellFormed(f"the message is not compressed as its Content-Encoding, {coding}, says") from error
        size += len(piece)
        if size > MAX_MESSAGE_BYTES:
            raise NotWellFormed(f"the message has more than the zone's limit of {MAX_MESSAGE_BYTES:,} bytes")
        pieces.append(piece)
    if inflate is not None and not inflate.eof:
        raise NotWellFormed("the compressed message is cut short: send it again")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _reads_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


__all__ = ["Front", "TlsProtocol"]
