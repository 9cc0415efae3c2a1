"""Asks a web service for documents, as a program that is let in: login, certificates, limits, patience.

What is in a document, and which one is next, is for whoever asks. Nothing is asked of any other address than that of
the settings: redirections are not followed.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Annotated, Any, Final, Literal, Self
from weakref import WeakSet

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agents.connectors.contract import LOOPBACK, SourceError
from agents.credentials import AgentFile, Secret
from broker.protocol.durations import Duration

_SECRETS: Final = frozenset(
    ("token", "access_token", "secret", "client_secret", "password", "pwd", "key", "api_key", "apikey", "api-key")
)
_ANSWER_SECONDS: Final = 300.0
"""Longest time for one answer, however slowly its bytes drip."""
_WAIT_SECONDS: Final = 60.0
"""Longest time that is waited for a busy service in one reading."""
_TRIES: Final = 4
_MB: Final = 1 << 20
_BUSY: Final = (429, 503)
_OAUTH: Final = frozenset(
    (
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    )
)
"""Errors of RFC 6749, section 5.2; any other text may be anything."""


def _address(written: str) -> str:
    try:
        url = httpx.URL(written)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("no address: write https://HOST/PATH") from None
    if url.userinfo or _SECRETS & {name.casefold() for name in url.params}:
        raise ValueError("a secret does not belong in an address: set bearer, basic or oauth")
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)
    if not is_safe or not url.host or url.fragment:
        raise ValueError("write https://HOST/PATH: over http, what is sent can be read on its way")
    return written


def _proxy(written: str) -> str:
    try:
        url = httpx.URL(written)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("no address: write http://HOST:PORT") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise ValueError("write http://HOST:PORT, without a login")
    return written


Address = Annotated[str, AfterValidator(_address)]
"""An https address, without secrets in it; http on this machine alone."""


class Basic(BaseModel):
    """``basic = { user = "...", password = "env:..." }``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(min_length=1, pattern=r"^[^:\x00-\x1f]+$", description="The login.")
    password: Secret = Field(description='Where the password is: "env:NAME" or "file:PATH".')


class OAuth(BaseModel):
    """``oauth = { token_url = "...", client_id = "...", client_secret = "env:..." }``.

    Source:
        RFC 6749, section 4.4: client credentials.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_url: Address = Field(description="Where a token is asked for.")
    client_id: str = Field(min_length=1, description="Who asks.")
    client_secret: Secret = Field(description='Where the secret is: "env:NAME" or "file:PATH".')
    scope: str = Field(default="", description="What is asked for, several with blanks between them.")
    send: Literal["basic", "body"] = Field(
        default="basic", description="Where id and secret go: the Authorization header, or the body."
    )


class WebOptions(BaseModel):
    """How a web service is reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Address = Field(description="https://HOST/PATH of the first page; http on this machine alone.")
    params: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="What goes after the question mark."
    )
    bearer: Secret | None = Field(default=None, description='Where a token is: "env:NAME" or "file:PATH".')
    basic: Basic | None = Field(default=None, description="User and password.")
    oauth: OAuth | None = Field(default=None, description="OAuth 2 client credentials.")
    ca_file: AgentFile | None = Field(
        default=None, description="Certificates to trust, PEM; the system's when left out."
    )
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(default=None, description="http://HOST:PORT.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="Longest silence of the service.")
    max_bytes: int = Field(default=64 * _MB, ge=1, le=1024 * _MB, description="Largest answer, in bytes, unpacked.")

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if sum(one is not None for one in (self.bearer, self.basic, self.oauth)) > 1:
            raise ValueError("only one of bearer, basic and oauth can be used: leave out the others")
        if _SECRETS & {name.casefold() for name in self.params}:
            raise ValueError("params: a secret does not belong in this file: set bearer, basic or oauth")
        if not timedelta(seconds=1) <= self.timeout <= timedelta(minutes=10):
            raise ValueError('timeout: write a time from "1s" to "10m"')
        return self


class WebService:
    """A web service while it is asked; a context manager."""

    def __init__(self, options: WebOptions) -> None:
        """Take the options; the secrets are read now.

        Raises:
            SourceError: A secret or the certificates cannot be read.
        """
        self._options = options
        self._waited = 0.0
        self._auth = _auth(options)
        trust = _trust(options)
        inner = httpx.HTTPTransport(verify=trust, proxy=options.proxy, trust_env=False)
        self._client = httpx.Client(
            transport=_Bounded(inner, options.max_bytes),
            timeout=options.timeout.total_seconds(),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "sifzone"},
        )
        self._token: Any = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections."""
        self._client.close()

    def get(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        """Return an answer whose status is 200 or, where *headers* ask for that, 304; its body is read.

        A service that is busy is asked again when it says so, for up to a minute in all.

        Raises:
            SourceError: It cannot be reached, refuses, redirects, or its answer is too large; with what to do.
        """
        for _ in range(_TRIES - 1):
            response = self._ask(url, {**headers, **self._login()})
            if response.status_code not in _BUSY:
                return self._usable(response, is_conditional=bool(headers))
            self._wait(response)
        return self._usable(self._ask(url, {**headers, **self._login()}), is_conditional=bool(headers))

    def _ask(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        try:
            return self._client.get(url, headers=headers, auth=self._auth)
        except httpx.HTTPError as error:
            raise SourceError(f"{self._options.url} {_reason(error)}") from None  # its text may quote an address

    def _login(self) -> dict[str, str]:
        """Return the header with a token of OAuth, asked for when there is none or it ends soon."""
        oauth = self._options.oauth
        if oauth is None:
            return {}
        if self._token is None or self._token.is_expired():
            self._token = self._fetch_token(oauth)
        return {"Authorization": f"Bearer {self._token['access_token']}"}

    def _fetch_token(self, oauth: OAuth) -> Any:
        secret = oauth.client_secret.reveal(SourceError)
        asking = OAuth2Client(self._client, oauth.client_id, scope=oauth.scope or None)
        in_body = {"client_id": oauth.client_id, "client_secret": secret} if oauth.send == "body" else {}
        auth = httpx.Auth() if in_body else httpx.BasicAuth(oauth.client_id, secret)
        try:
            token = asking.fetch_token(oauth.token_url, grant_type="client_credentials", auth=auth, **in_body)
        except AuthlibBaseError as error:
            said = f" ({error.error})" if error.error in _OAUTH else ""
            raise SourceError(
                f"{oauth.token_url} gives no token{said}: check client_id, client_secret and scope"
            ) from None
        except httpx.HTTPStatusError as error:
            raise SourceError(
                f"{oauth.token_url} answered {error.response.status_code} instead of a token: check token_url, "
                "client_id and client_secret"
            ) from None
        except httpx.HTTPError as error:
            raise SourceError(f"{oauth.token_url} {_reason(error)}") from None
        except (ValueError, TypeError, RecursionError):
            raise SourceError(f"{oauth.token_url} answered with something else than a token: check token_url") from None
        value, kind = token.get("access_token"), token.get("token_type", "Bearer")
        is_usable = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
        if not is_usable or not isinstance(kind, str) or kind.casefold() != "bearer":
            raise SourceError(f"{oauth.token_url} gave no Bearer token: check token_url")
        return token

    def _wait(self, response: httpx.Response) -> None:
        """Wait as long as a busy service asks for.

        Raises:
            SourceError: It does not say how long, or it would be too long.
        """
        seconds = _retry_after(response.headers.get("Retry-After", ""))
        if seconds is None or self._waited + seconds > _WAIT_SECONDS:
            raise SourceError(
                f"{self._options.url} is busy (it answered {response.status_code}): this is tried again later"
            )
        self._waited += seconds
        time.sleep(seconds)

    def _usable(self, response: httpx.Response, *, is_conditional: bool) -> httpx.Response:
        status, url = response.status_code, self._options.url
        if status == httpx.codes.OK or (status == httpx.codes.NOT_MODIFIED and is_conditional):
            return response
        if status in (401, 403):
            raise SourceError(f"{url} refuses the login (it answered {status}): check bearer, basic or oauth")
        if status in (404, 410):
            raise SourceError(f"{url} is not there (it answered {status}): check url")
        if status // 100 == 3:
            raise SourceError(f"{url} sends to another address (it answered {status}): write the last one as url")
        if status in _BUSY or status // 100 == 5:
            raise SourceError(f"{url} cannot answer now (it answered {status}): this is tried again later")
        raise SourceError(f"{url} does not take the question (it answered {status}): check url and params")


class _Bounded(httpx.BaseTransport):
    """Reads every answer whole, up to a size after unpacking and a time."""

    def __init__(self, inner: httpx.BaseTransport, max_bytes: int) -> None:
        self._inner, self._max_bytes = inner, max_bytes
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer with its body.

        Raises:
            SourceError: It is too large, or takes too long.
        """
        late = threading.Event()
        # A byte at a time, of the head too, is no silence, so that no timeout of a single reading ends it.
        clock = threading.Timer(_ANSWER_SECONDS, self._end, (late,))
        clock.daemon = True
        clock.start()
        request.extensions["trace"] = self._note
        try:
            response = self._read(request)
        except httpx.TransportError:
            if not late.is_set():
                raise
        finally:
            clock.cancel()
        if late.is_set():
            raise SourceError(f"an answer that took more than {_ANSWER_SECONDS:.0f} seconds: ask for smaller pages")
        return response

    def _note(self, event: str, found: Mapping[str, Any]) -> None:
        """Remember the sockets that are opened; httpcore tells of each step."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.add(found["return_value"].get_extra_info("socket"))

    def _end(self, late: threading.Event) -> None:
        late.set()
        for each in list(self._sockets):
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # TLS has a shutdown of its own, for one thread alone

    def _read(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if "," in response.headers.get("Content-Encoding", ""):
            response.close()
            raise SourceError("an answer that is packed twice: ask whoever runs the service to pack it once")
        response.stream = _Limited(response.stream, self._max_bytes)
        parts: list[bytes] = []
        size = 0
        try:
            for part in response.iter_bytes():
                size += len(part)
                _check_size(size, self._max_bytes)
                parts.append(part)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_WAY]
        return httpx.Response(response.status_code, headers=headers, content=b"".join(parts), request=request)

    def close(self) -> None:
        """End all connections."""
        self._inner.close()


class _Limited(httpx.SyncByteStream):
    """What comes over the wire, up to a size, also where nothing is unpacked from it."""

    def __init__(self, inner: Any, max_bytes: int) -> None:
        self._inner, self._max_bytes = inner, max_bytes

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._inner:
            size += len(part)
            _check_size(size, self._max_bytes)
            yield part

    def close(self) -> None:
        """End the connection."""
        self._inner.close()


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise SourceError(f"an answer of more than {max_bytes:,} bytes: ask for smaller pages")


_OF_THE_WAY: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def same_origin(url: httpx.URL, other: httpx.URL) -> bool:
    """Tell whether two addresses are of the same server, over the same protocol."""
    return (url.scheme, url.host, _port(url)) == (other.scheme, other.host, _port(other))


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _auth(options: WebOptions) -> httpx.Auth | None:
    if options.basic is not None:
        return httpx.BasicAuth(options.basic.user, options.basic.password.reveal(SourceError))
    return None if options.bearer is None else _Bearer(options.bearer.reveal(SourceError))


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _trust(options: WebOptions) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if options.ca_file is None else str(options.ca_file))
    except (OSError, ssl.SSLError):
        raise SourceError(f"ca_file {options.ca_file} cannot be read: name a PEM file") from None


def _retry_after(written: str) -> float | None:
    """Return the seconds of a Retry-After header; None when it says nothing of use."""
    if written.isdecimal() and len(written) < 10:
        return float(written)
    try:
        until = parsedate_to_datetime(written)
    except (TypeError, ValueError):
        return None
    aware = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max((aware - datetime.now(UTC)).total_seconds(), 0.0)


def _reason(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "has a certificate that is not trusted: check its name in url, or set ca_file to who issued it"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return "is silent: this is tried again later; set timeout if it is slow"
    return f"cannot be reached ({type(error).__name__}): check url, proxy and the network"


__all__ = ["Address", "Basic", "OAuth", "WebOptions", "WebService", "same_origin"]
