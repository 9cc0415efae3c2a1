"""The transport over RabbitMQ, and the only module with pika: connecting, declaring, consuming.

pika connects, authenticates, keeps the heartbeat and speaks every rare method. The frames of messages and confirms
go past it, through frames.py; mending what breaks is supervision.py's.
"""

import logging
import select
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pika.frame
import structlog
from pika.adapters.select_connection import IOLoop
from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.protocol.errors import ConfigurationError
from broker.protocol.topology import Binding, Exchange, Queue
from broker.transports.confirms import Confirms
from broker.transports.frames import FRAME_MAX, Reader
from broker.transports.supervision import CHANNEL, Declaring, Link, Loss, Supervised, Thing

log = structlog.get_logger(__name__)
# Each error of pika reaches us as an exception and is logged once, as transport_lost; pika tells it up to six times.
logging.getLogger("pika").setLevel(logging.CRITICAL)

_READ: Final = 64 * 1024
"""Bytes of one read at most; pika's own are 4 KiB."""
_WRITE: Final = 256 * 1024
"""Bytes of one write at most; pika copies what is left of a write that the socket did not take whole."""
_CLOSING: Final = 2.0
_LAST_TURNS: Final = 10  # pika ends a connection in several steps, each in a turn of its own
_REFUSALS: Final = ("ConnectionClosedByBroker: (403)", "ConnectionClosedByBroker: (530)")
"""How RabbitMQ refuses a login (403) and a virtual host (530), as pika writes it into its errors of connecting.

The classes of those errors do not tell, since pika also guesses them from a connection that broke off at that moment.
"""
_BINDINGS_AT_ONCE: Final = 50
"""Bindings of which only the last is answered: a zone has hundreds, and a refusal ends the channel anyway."""
_COMMAND_INVALID: Final = 503  # among others, an exchange type that no plugin brings


class AmqpSettings(BaseModel):
    """Where RabbitMQ is and how patient to be."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(repr=False, description="amqp:// or amqps://, with login, password and virtual host.")
    prefetch: int = Field(default=500, ge=1, le=5000, description="Unacknowledged messages at most, of each queue.")
    heartbeat: timedelta = Field(
        default=timedelta(seconds=5),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=5),
        description="Twice this silence is a loss.",
    )
    publish_deadline: timedelta = Field(
        default=timedelta(seconds=10), gt=timedelta(0), description="A publish unconfirmed for longer counts as a loss."
    )
    connect_timeout: timedelta = Field(
        default=timedelta(seconds=5),
        gt=timedelta(0),
        description="For the connection and each answer until it is ready.",
    )
    ca_file: Path | None = Field(default=None, description="Certificates to trust, PEM; the system's when absent.")
    certificate_file: Path | None = Field(default=None, description="The client's certificate and key, PEM.")
    name: str = Field(default="sifzone", max_length=200, description="What RabbitMQ's pages call the connection.")

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        scheme = urlsplit(self.url).scheme
        if scheme not in ("amqp", "amqps"):
            raise ValueError("the address of RabbitMQ must begin with amqp:// or amqps://")
        if scheme == "amqp" and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file and certificate_file are for amqps://: change the address or leave them out")
        return self


class AmqpTransport(Supervised):
    """A :class:`~broker.transports.contract.Transport` over RabbitMQ."""

    def __init__(self, settings: AmqpSettings) -> None:
        """Note *settings*; the first poll or declare connects.

        Raises:
            ConfigurationError: The address, or a file of certificates, cannot be used.
        """
        self._settings = settings
        self._parameters = _parameters(settings)
        super().__init__(
            f"{self._parameters.host}:{self._parameters.port}, virtual host {self._parameters.virtual_host!r}",
            _seconds(settings.publish_deadline),
            _seconds(settings.connect_timeout),
        )

    def open_link(
        self, things: Sequence[Thing], queues: Sequence[str], first_tag: int, on_ready: Callable[[Link], None]
    ) -> Link:
        """Begin a connection."""
        return _AmqpLink(self._parameters, self._settings, (things, queues), self.confirms, first_tag, on_ready)


class _AmqpLink:
    """A :class:`~broker.transports.supervision.Link` over RabbitMQ; nothing of it outlives its connection."""

    def __init__(
        self,
        parameters: pika.ConnectionParameters,
        settings: AmqpSettings,
        wanted: tuple[Sequence[Thing], Sequence[str]],
        confirms: Confirms,
        first_tag: int,
        on_ready: Callable[[Link], None],
    ) -> None:
        self.ready = False
        self.ready_at = 0.0
        self.loss: Loss | None = None
        self.blocked = False
        self.first_number = 0
        self.started_at = self.heard_at = time.monotonic()
        self._settings, self._wanted, self._confirms, self._on_ready = settings, wanted, confirms, on_ready
        self._consumers = 0
        self._agreed = 0
        self._channel: Any = None
        self._setting_up: _Declaring | None = None
        self.reader = Reader(CHANNEL, first_tag, self._on_confirm, self._on_other)
        self._loop = _Loop()
        self._connection = _Connection(parameters, self._loop, self)

    def fileno(self) -> int:
        """See Link."""
        return self._loop.fileno()

    def turn(self, wait: float) -> None:
        """See Link."""
        self._loop.turn(wait)

    def send(self, data: bytes) -> None:
        """See Link."""
        for at in range(0, len(data), _WRITE):
            self._connection.write(data[at : at + _WRITE])

    def check_silence(self) -> None:
        """See Link."""
        now = time.monotonic()
        heartbeat, patience = _seconds(self._settings.heartbeat), _seconds(self._settings.connect_timeout)
        if now - self.heard_at > (2 * heartbeat if self.ready else patience):
            self._end(pika.exceptions.AMQPHeartbeatTimeout("RabbitMQ was silent for too long"))
        elif not self.ready and now - self._moved_at() > patience + _seconds(self._settings.publish_deadline):
            self._end(pika.exceptions.AMQPHeartbeatTimeout("RabbitMQ did not answer while connecting"))

    def declare(self, things: Sequence[Thing]) -> Declaring:
        """See Link."""
        return _Declaring(self._connection, things, _do_nothing)

    def consume(self, queues: Sequence[str]) -> None:
        """See Link."""
        for queue in queues:
            tag = str(self._consumers)
            self._consumers += 1
            self.reader.expect(tag, queue)
            self._channel.basic_consume(queue, _do_nothing, consumer_tag=tag, callback=self._on_consuming)

    def close(self) -> None:
        """See Link."""
        until = time.monotonic() + _CLOSING
        if self.loss is None and self._connection.is_open:
            self._connection.close()
            while not self._connection.is_closed and time.monotonic() < until:
                self.turn(0.1)
        self.discard()

    def discard(self) -> None:
        """See Link."""
        if not self._connection.is_closed:
            self._connection.abort()
            for _ in range(_LAST_TURNS):
                if self._connection.is_closed:
                    break
                self._loop.turn(0)
        self._loop.close()

    def on_open(self, connection: Any) -> None:
        """The handshake is over: open the channel for messages."""
        if connection.params.frame_max < FRAME_MAX:
            self._end(
                ConfigurationError(
                    f"it allows frames of {connection.params.frame_max} bytes: set frame_max to {FRAME_MAX}"
                )
            )
            return
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(channel_number=CHANNEL, on_open_callback=self._on_channel)

    def on_ended(self, _connection: Any, error: Exception) -> None:
        """The connection or its channel could not be made, or ended."""
        self._end(error)

    def _moved_at(self) -> float:
        """Return when setting up last came nearer to its end."""
        return self.started_at if self._setting_up is None else max(self.started_at, self._setting_up.moved_at)

    def _end(self, error: Exception) -> None:
        self.loss = self.loss or _loss(error)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self.on_ended)
        channel.add_on_cancel_callback(self._on_cancelled)
        channel.add_on_return_callback(self._on_returned)
        channel.basic_qos(prefetch_count=self._settings.prefetch, global_qos=False)
        channel.confirm_delivery(_do_nothing, callback=self._on_confirm_mode)

    def _on_confirm_mode(self, _answer: Any) -> None:
        self._setting_up = _Declaring(self._connection, self._wanted[0], self._on_declared)

    def _on_declared(self, loss: Loss | None) -> None:
        queues = self._wanted[1]
        if loss is not None:
            self.loss = self.loss or loss
        elif queues:
            self.consume(queues)
        else:
            self._become_ready()

    def _on_consuming(self, _answer: Any) -> None:
        self._agreed += 1
        if not self.ready and self._agreed == len(self._wanted[1]):
            self._become_ready()

    def _become_ready(self) -> None:
        self.ready, self.ready_at = True, time.monotonic()
        self._on_ready(self)

    def _on_confirm(self, tag: int, multiple: bool, taken: bool) -> None:
        self._confirms.settle(self.first_number + tag, multiple, taken)

    def _on_other(self, frame: bytes) -> None:
        self._connection.process(frame)

    def _on_returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        self._confirms.returned(properties.message_id or "", method.exchange, method.routing_key)

    def _on_cancelled(self, _method: Any) -> None:
        self._end(pika.exceptions.ConsumerCancelled("RabbitMQ cancelled a consumer"))

    def _on_blocked(self, _connection: Any, _method: Any) -> None:
        self.blocked = True
        log.warning("transport_blocked", remedy="RabbitMQ is short of memory or disk: free some, it goes on by itself")

    def _on_unblocked(self, _connection: Any, _method: Any) -> None:
        self.blocked = False
        log.info("transport_unblocked")


class _Declaring:
    """The declaration of some things, on a channel of its own, so that a refusal closes nothing else."""

    def __init__(self, connection: Any, things: Sequence[Thing], on_done: Callable[[Loss | None], Any]) -> None:
        self.done = False
        self.loss: Loss | None = None
        self.moved_at = time.monotonic()
        self._things, self._on_done = things, on_done
        self._answered = [
            not isinstance(thing, Binding) or number % _BINDINGS_AT_ONCE == 0
            for number, thing in enumerate(reversed(things))
        ][::-1]
        self._left = sum(self._answered)
        self._channel: Any = None
        if things:
            connection.channel(on_open_callback=self._on_channel)
        else:
            self._finish(None)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_closed)
        for thing, answered in zip(self._things, self._answered, strict=True):
            match thing:
                case Exchange(name, kind, arguments):
                    channel.exchange_declare(name, kind, durable=True, arguments=dict(arguments), callback=self._on_one)
                case Queue(name, arguments):
                    channel.queue_declare(name, durable=True, arguments=dict(arguments), callback=self._on_one)
                case Binding(exchange, queue, key):
                    channel.queue_bind(queue, exchange, key, callback=self._on_one if answered else None)

    def _on_one(self, _answer: Any) -> None:
        self._left -= 1
        self.moved_at = time.monotonic()
        if not self._left:
            self._channel.close()

    def _on_closed(self, _channel: Any, error: Exception) -> None:
        if not self._left:
            self._finish(None)
            return
        by_rabbitmq = isinstance(error, pika.exceptions.ChannelClosedByBroker)
        invalid = isinstance(error, pika.exceptions.ConnectionClosed) and error.reply_code == _COMMAND_INVALID
        self._finish(replace(_loss(error), refused=by_rabbitmq or invalid))

    def _finish(self, loss: Loss | None) -> None:
        self.done, self.loss = True, loss
        self._on_done(loss)


class _Loop(IOLoop):  # type: ignore[misc]  # pika has no types
    """pika's loop, one turn at a time."""

    def __init__(self) -> None:
        self._wait = 0.0
        super().__init__()
        self.activate_poller()

    def turn(self, wait: float) -> None:
        """Wait up to *wait* seconds for something to do, and do it."""
        self._wait = wait
        self.poll()
        self.process_timeouts()

    def fileno(self) -> int:
        """Return what is readable when any socket of the loop is ready; -1 where the system has no such thing."""
        poller = getattr(self._poller, "_poll", None)
        return poller.fileno() if isinstance(poller, select.epoll) else -1

    def _get_remaining_interval(self) -> float:
        due: float | None = super()._get_remaining_interval()
        return self._wait if due is None else min(due, self._wait)


class _Connection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """pika's connection with larger reads, whose incoming bytes go through a :class:`Reader` first.

    What begins with an underscore is pika's, made for its own adapters; this class is one.
    """

    def __init__(self, parameters: pika.ConnectionParameters, loop: _Loop, link: _AmqpLink) -> None:
        self._link = link
        super().__init__(
            parameters,
            on_open_callback=link.on_open,
            on_open_error_callback=link.on_ended,
            on_close_callback=link.on_ended,
            custom_ioloop=loop,
        )

    def write(self, data: bytes) -> None:
        """Send *data*, whole frames, at the next turn."""
        self._adapter_emit_data(data)

    def process(self, frame: bytes) -> None:
        """Let pika handle one whole *frame* that came."""
        self._process_frame(pika.frame.decode_frame(frame)[1])

    def abort(self) -> None:
        """End without ceremony, within the next turns."""
        self._terminate_stream(pika.exceptions.ConnectionOpenAborted("given up"))

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = _READ
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)
        self._link.heard_at = time.monotonic()
        self._link.reader.feed(data_in)


def _do_nothing(*_arguments: Any) -> None:
    """Stand in where pika wants a callback for frames that the reader takes."""


def _parameters(settings: AmqpSettings) -> pika.ConnectionParameters:
    try:
        parameters = pika.URLParameters(settings.url)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(  # pika's own text may quote the address with its password
            "the address of RabbitMQ cannot be read: write amqp://user:password@host:port/virtual-host"
        ) from None
    parameters.heartbeat = max(1, round(_seconds(settings.heartbeat)))
    parameters.socket_timeout = _seconds(settings.connect_timeout)
    parameters.stack_timeout = _seconds(settings.connect_timeout)
    parameters.blocked_connection_timeout = None
    parameters.connection_attempts = 1
    parameters.frame_max = FRAME_MAX
    parameters.client_properties = {"connection_name": settings.name, "product": "sifzone"}
    if parameters.ssl_options is not None:
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
            if settings.certificate_file is not None:
                context.load_cert_chain(settings.certificate_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"certificates for RabbitMQ cannot be read ({type(error).__name__}): check ca_file and certificate_file"
            ) from error
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    return parameters


def _loss(error: Any) -> Loss:
    closed = isinstance(error, pika.exceptions.ChannelClosed | pika.exceptions.ConnectionClosed)
    detail = f"{error.reply_code} {error.reply_text}" if closed else str(error) or repr(error)
    refused = isinstance(error, ConfigurationError | pika.exceptions.AuthenticationError) or (
        isinstance(error, pika.exceptions.ProbableAuthenticationError | pika.exceptions.ProbableAccessDeniedError)
        and any(words in detail for words in _REFUSALS)
    )
    return Loss(type(error).__name__, detail, refused, error)


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
