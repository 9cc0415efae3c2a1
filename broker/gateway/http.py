"""The HTTP binding: requests in, SIF_Acks out; what is in them is the gateway's business.

Every outcome that SIF has a word for is HTTP status 200 with a SIF_Ack; any other status is a failure of the transport,
after which the sender may try again.
"""

import gzip
import zlib
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from broker.gateway.credentials import NotAuthenticated, Shown
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


def make_app(gateway: Gateway, state: State) -> FastAPI:
    """Return the application: ``POST /zones/{zone}``, with or without a secret, and ``GET /health``."""
    app = FastAPI(title="sifzone gateway", docs_url=None, redoc_url=None, openapi_url=None)

    async def take(request: Request) -> Response:
        if request.path_params["zone"] != state.zone.id:
            return PlainTextResponse("There is no such zone here: check the address.\n", 404)
        try:
            caller = state.credentials.check(_shown(request))
        except NotAuthenticated as error:
            return _response(gateway.refuse(error), request)
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in _WINDOW and coding != "identity":
            return PlainTextResponse(f"Content-Encoding must be one of {', '.join(_WINDOW)}.\n", 415)
        try:
            body = await _read(request, coding)
        except ZoneError as error:
            return _response(gateway.refuse(error), request)
        return _response(await gateway.answer(caller, body), request)

    for path in ("/zones/{zone}", "/zones/{zone}/", "/zones/{zone}/{secret}", "/zones/{zone}/{secret}/"):
        app.add_route(path, take, methods=["POST"])

    async def health(_request: Request) -> Response:
        up = gateway.is_up
        return PlainTextResponse("up\n" if up else "no connection to RabbitMQ\n", 200 if up else 503)

    app.add_route("/health", health, methods=["GET"])
    return app


def _shown(request: Request) -> Shown:
    extensions = request.scope.get("extensions") or {}
    return Shown(
        request.path_params.get("secret", ""),
        request.headers.get("authorization", ""),
        extensions.get(_CERTIFICATE),
        request.scope["scheme"] == "https",
    )


async def _read(request: Request, coding: str) -> bytes:
    """Return the body, decompressed, having read no more than a message may have.

    Raises:
        NotWellFormed: It is too large, or cannot be decompressed.
    """
    inflate = None if coding == "identity" else zlib.decompressobj(_WINDOW[coding])
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        try:
            taken = piece if inflate is None else inflate.decompress(piece, MAX_MESSAGE_BYTES + 1 - size)
        except zlib.error as error:
            raise NotWellFormed(f"the message is not compressed as its Content-Encoding, {coding}, says") from error
        size += len(taken)
        if size > MAX_MESSAGE_BYTES:
            raise NotWellFormed(f"the message has more than the zone's limit of {MAX_MESSAGE_BYTES:,} bytes")
        pieces.append(taken)
    if inflate is not None and not inflate.eof:
        raise NotWellFormed("the compressed message is cut short: send it again")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _response(body: bytes, request: Request) -> Response:
    headers = {"Content-Type": CONTENT_TYPE}
    if len(body) >= COMPRESS_FROM and _reads_gzip(request.headers.get("accept-encoding", "")):
        body, headers["Content-Encoding"] = gzip.compress(body, 5), "gzip"
    return Response(body, headers=headers)


def _reads_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


__all__ = ["TlsProtocol", "make_app"]
