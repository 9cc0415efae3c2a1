"""The transport over RabbitMQ, and the only module with pika: connecting, supervision, declaring; the bytes are frames.py's.

pika connects, authenticates, keeps the heartbeat and speaks every rare method. The frames of messages and confirms
go past it, through :mod:`broker.transports.frames`; what the calls noted leaves in one write at each poll.
"""

import logging
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pika.frame
import structlog
from pika.adapters.select_connection import IOLoop
from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.protocol.errors import ConfigurationError
from broker.protocol.topology import Binding, Exchange, Queue, Topology
from broker.transports.confirms import Confirms
from broker.transports.contract import Incoming, Outgoing, PublishRefused, Refusal, TransportLost
from broker.transports.frames import FRAME_MAX, Reader, ack_frame, publish_frames, reject_frame

log = structlog.get_logger(__name__)
# Each error of pika reaches us as an exception and is logged once, as transport_lost; pika tells it up to six times.
logging.getLogger("pika").setLevel(logging.CRITICAL)

_CHANNEL: Final = 1  # messages and confirms
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_STEADY: Final = 10.0
"""Seconds after which a connection counts as good, so that the pauses begin short again."""
_READ: Final = 256 * 1024
_WRITE: Final = 256 * 1024
"""Bytes of one write at most; pika copies what is left of a write that the socket did not take whole."""
_CLOSING: Final = 2.0


class AmqpSettings(BaseModel):
    """Where RabbitMQ is and how patient to be."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(repr=False, description="amqp:// or amqps://, with login, password and virtual host.")
    prefetch: int = Field(500, ge=1, le=5000, description="Unacknowledged messages at most, over all queues.")
    heartbeat: timedelta = Field(
        timedelta(seconds=5), ge=timedelta(seconds=1), le=timedelta(minutes=5), description="Twice this silence is a loss."
    )
    publish_deadline: timedelta = Field(
        timedelta(seconds=30), gt=timedelta(0), description="A publish unconfirmed for longer counts as a loss."
    )
    connect_timeout: timedelta = Field(
        timedelta(seconds=5), gt=timedelta(0), description="For the connection and each answer until it is ready."
    )
    ca_file: Path | None = Field(None, description="Certificates to trust, PEM; the system's when absent.")
    certificate_file: Path | None = Field(None, description="The client's certificate and key, PEM.")
    client_name: str = Field("sifzone", max_length=200, description="What RabbitMQ's pages call the connection.")

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        scheme = urlsplit(self.url).scheme
        if scheme not in ("amqp", "amqps"):
            raise ValueError("the address of RabbitMQ must begin with amqp:// or amqps://")
        if scheme == "amqp" and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file and certificate_file are for amqps://: change the address or leave them out")
        return self


class AmqpTransport:
    """A :class:`~broker.transports.contract.Transport` over RabbitMQ."""

    def __init__(self, settings: AmqpSettings) -> None:
        """Note *settings*; the first poll or declare connects.

        Raises:
            ConfigurationError: The address, or a file of certificates, cannot be used.
        """
        self._settings = settings
        self._parameters = _parameters(settings)
        self._place = f"{self._parameters.host}:{self._parameters.port}, virtual host {self._parameters.virtual_host!r}"
        self._link: _Link | None = None
        self._topology: dict[Exchange | Queue | Binding, None] = {}
        self._queues: list[str] = []
        self._confirms = Confirms()
        self._out: list[bytes] = []
        self._last_tag = 0  # of the latest message received
        self._stale_tag = 0  # of the latest message of connections that are gone
        self._acked = 0
        self._ack_sent = 0
        self._rejected: set[int] = set()
        self._rejects: list[int] = []
        self._been_connected = False
        self._loss_told = False
        self._pause = _SHORTEST_PAUSE
        self._connect_at = 0.0
        self._closed = False

    def declare(self, topology: Topology) -> None:
        """See the contract.

        Raises:
            TransportLost: The connection ended meanwhile, or could not be made in time.
            ConfigurationError: RabbitMQ refuses: a missing right or plugin, or a queue with other arguments.
        """
        self._refuse_closed()
        things = (*topology.exchanges, *topology.queues, *topology.bindings)
        give_up_at = time.monotonic() + _seconds(self._settings.publish_deadline)
        link = self._wait_until_ready()
        declaring = link.declare(things)
        while not declaring.done:
            if time.monotonic() > give_up_at:
                self._lose(TimeoutError("RabbitMQ does not answer a declaration"))
            try:
                self._turn(0.5)
            except TransportLost as loss:
                if "unknown exchange type" in str(loss):
                    raise ConfigurationError(
                        "RabbitMQ does not know an exchange type of the zone's: enable its plugin with "
                        "rabbitmq-plugins enable rabbitmq_consistent_hash_exchange"
                    ) from loss
                raise
        if declaring.error is not None:
            raise ConfigurationError(
                f"RabbitMQ at {self._place} refuses to declare the zone's queues ({_text(declaring.error)}): "
                "give the login the right to configure them, or delete the queue that has other arguments"
            ) from declaring.error
        self._topology.update(dict.fromkeys(things))

    def consume(self, queues: Sequence[str]) -> None:
        """See the contract."""
        new = [queue for queue in queues if queue not in self._queues]
        self._queues += new
        if self._link is not None and self._link.ready:
            self._link.consume(new, lambda: None)

    def publish(self, message: Outgoing) -> int:
        """See the contract.

        Raises:
            PublishRefused: AMQP cannot carry it: a name over 255 bytes, or headers and BCC over 128 KiB.
        """
        self._refuse_closed()
        try:
            frames = publish_frames(_CHANNEL, message)
        except ValueError as error:
            raise PublishRefused(f"message {message.message_id[:64]!r} cannot be sent: {error}") from error
        self._out += frames
        return self._confirms.add(message)

    @property
    def confirmed(self) -> int:
        """See the contract."""
        return self._confirms.low

    def refusals(self) -> list[Refusal]:
        """See the contract."""
        return self._confirms.take_refusals()

    def poll(self, timeout: float) -> list[Incoming]:
        """See the contract.

        Raises:
            TransportLost: Once for each loss.
            ConfigurationError: Before the first connection: RabbitMQ refuses the login or the virtual host.
        """
        self._refuse_closed()
        until = time.monotonic() + timeout
        confirmed = self._confirms.low
        while True:
            self._turn(until - time.monotonic())
            received = self._take_received()
            if received or self._confirms.low != confirmed or self._confirms.has_refusals:
                return received
            if time.monotonic() >= until:
                return []

    def ack(self, tag: int) -> None:
        """See the contract."""
        if tag > self._last_tag:
            raise ValueError(f"no message with tag {tag} was received")
        while tag in self._rejected:
            tag -= 1  # RabbitMQ knows a rejected tag no more
        self._acked = max(self._acked, tag)

    def reject(self, tag: int) -> None:
        """See the contract."""
        if tag > self._last_tag:
            raise ValueError(f"no message with tag {tag} was received")
        if tag > self._acked and tag not in self._rejected:
            self._rejected.add(tag)
            self._rejects.append(tag)

    def close(self) -> None:
        """See the contract."""
        if self._closed:
            return
        self._closed = True
        if self._link is not None:
            self._flush(self._link)
            self._link.close()
            self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the transport is closed: make a new one")

    def _turn(self, wait: float) -> None:
        """Do what can be done, waiting *wait* seconds at most; raise when the connection is lost or never came."""
        now = time.monotonic()
        self._confirms.watch(now)
        since = self._confirms.waiting_since()
        deadline = _seconds(self._settings.publish_deadline)
        blocked = self._link is not None and self._link.blocked
        if since is not None and not blocked:
            if now - since > deadline:
                self._lose(TimeoutError(f"a publish was not confirmed within {deadline:g} s"))
            wait = min(wait, since + deadline - now)
        if self._link is None:
            if now < self._connect_at:
                time.sleep(max(0.0, min(wait, self._connect_at - now)))
                return
            self._link = self._connect()
        link = self._link
        if link.ready:
            self._flush(link)
        link.turn(max(0.0, wait))
        if link.error is None:
            link.check_silence()
        if link.error is not None:
            self._lose(link.error)
        if blocked and not link.blocked:
            self._confirms.restart_clock(time.monotonic())

    def _connect(self) -> "_Link":
        def ready() -> None:
            self._been_connected, self._loss_told = True, False
            link.first_number = self._confirms.low
            log.info("transport_connected", place=self._place, client=self._settings.client_name)

        link = _Link(
            self._parameters,
            self._settings,
            (tuple(self._topology), tuple(self._queues)),
            self._confirms,
            self._stale_tag,
            ready,
        )
        return link

    def _wait_until_ready(self) -> "_Link":
        until = time.monotonic() + 2 * _seconds(self._settings.connect_timeout)
        while self._link is None or not self._link.ready:
            self._turn(0.5)
            if time.monotonic() > until and not (self._link is not None and self._link.ready):
                raise TransportLost(f"RabbitMQ at {self._place} is not there: it is tried again at the next polls")
        return self._link

    def _lose(self, error: Exception) -> None:
        """Forget the connection; raise the first time, log each time."""
        now = time.monotonic()
        link, self._link = self._link, None
        was_ready = link is not None and link.ready
        if link is not None:
            if was_ready and now - link.ready_at > _STEADY:
                self._pause = _SHORTEST_PAUSE
            link.discard()
            self._connect_at = now + self._pause
            self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        reason, detail = type(error).__name__, _text(error)
        refused = _login_refused(error) and not self._been_connected
        overdue = isinstance(error, TimeoutError)
        if self._loss_told and not (was_ready or refused or overdue):
            log.warning("transport_still_lost", place=self._place, reason=reason, detail=detail)
            return
        log.warning("transport_lost", place=self._place, reason=reason, detail=detail)
        self._forget()
        if refused:
            raise ConfigurationError(
                f"RabbitMQ at {self._place} refuses the login ({detail}): "
                "check user name, password and virtual host, and that the user has permissions in it"
            ) from error
        self._loss_told = True
        raise TransportLost(
            f"the connection to RabbitMQ at {self._place} was lost ({reason}: {detail}): it is made again at the next "
            "polls; publish again what was not confirmed"
        ) from error

    def _forget(self) -> None:
        self._confirms.give_up()
        self._out.clear()
        self._stale_tag = self._acked = self._ack_sent = self._last_tag
        self._rejected.clear()
        self._rejects.clear()

    def _take_received(self) -> list[Incoming]:
        link = self._link
        if link is None or not link.reader.received:
            return []
        received, link.reader.received = link.reader.received, []
        self._last_tag = received[-1].tag
        return received

    def _flush(self, link: "_Link") -> None:
        out, stale = self._out, self._stale_tag
        if self._rejects:
            out += [reject_frame(_CHANNEL, tag - stale) for tag in self._rejects]
            self._rejects.clear()
        if self._acked > self._ack_sent:
            out.append(ack_frame(_CHANNEL, self._acked - stale))
            self._ack_sent = self._acked
            if self._rejected:
                self._rejected = {tag for tag in self._rejected if tag > self._acked}
        if out:
            link.send(b"".join(out))
            out.clear()


class _Declaring:
    """The declaration of some things, on a channel of its own, so that a refusal closes nothing else."""

    def __init__(self, connection: Any, things: Sequence[Exchange | Queue | Binding]) -> None:
        self.done = not things
        self.error: Exception | None = None
        self._left = len(things)
        self._things = things
        self._then: Callable[[], None] | None = None
        if things:
            connection.channel(on_open_callback=self._opened)

    def then(self, call: Callable[[], None]) -> None:
        """Call *call* when all went well."""
        if self.done and self.error is None:
            call()
        else:
            self._then = call

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._ended)
        self._channel = channel
        for thing in self._things:
            match thing:
                case Exchange(name, kind, arguments):
                    channel.exchange_declare(
                        name, kind, durable=True, arguments=dict(arguments), callback=self._one_done
                    )
                case Queue(name, arguments):
                    channel.queue_declare(name, durable=True, arguments=dict(arguments), callback=self._one_done)
                case Binding(exchange, queue, key):
                    channel.queue_bind(queue, exchange, key, callback=self._one_done)

    def _one_done(self, _answer: Any) -> None:
        self._left -= 1
        if not self._left:
            self._channel.close()

    def _ended(self, _channel: Any, reason: Exception) -> None:
        if self._left:
            self.error = reason
        self.done = True
        if self._then is not None and self.error is None:
            self._then()


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

    def _get_remaining_interval(self) -> float:
        due: float | None = super()._get_remaining_interval()
        return self._wait if due is None else min(due, self._wait)


class _Connection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """pika's connection with larger reads, whose incoming bytes go through a :class:`Reader` first."""

    def __init__(self, parameters: pika.ConnectionParameters, loop: _Loop, link: "_Link") -> None:
        self._owner = link
        super().__init__(
            parameters,
            on_open_callback=link.on_open,
            on_open_error_callback=link.on_ended,
            on_close_callback=link.on_ended,
            custom_ioloop=loop,
        )

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = _READ  # noqa: SLF001  # pika reads 4 KiB at a time otherwise
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)
        self._owner.heard_at = time.monotonic()
        self._owner.reader.feed(data_in)

    def process(self, frame: bytes) -> None:
        """Let pika handle one whole *frame*."""
        self._process_frame(pika.frame.decode_frame(frame)[1])


class _Link:
    """One connection from its first packet to its end; nothing of it outlives it.

    Attributes:
        ready: Declared, consuming and in confirm mode.
        error: Why it ended; None while it lives.
        blocked: RabbitMQ reads nothing of us for lack of memory or disk.
        first_number: Number of the last publish before the first on this connection.
    """

    def __init__(
        self,
        parameters: pika.ConnectionParameters,
        settings: AmqpSettings,
        wanted: tuple[Sequence[Exchange | Queue | Binding], Sequence[str]],
        confirms: Confirms,
        first_tag: int,
        on_ready: Callable[[], None],
    ) -> None:
        self.ready = False
        self.ready_at = 0.0
        self.error: Exception | None = None
        self.blocked = False
        self.first_number = 0
        self.started_at = self.heard_at = time.monotonic()
        self._settings, self._wanted, self._confirms, self._on_ready = settings, wanted, confirms, on_ready
        self._consumers = 0
        self._channel: Any = None
        self.reader = Reader(_CHANNEL, first_tag, self._confirmed, self._pass_on)
        self._loop = _Loop()
        self._connection = _Connection(parameters, self._loop, self)

    def turn(self, wait: float) -> None:
        """Do input and output, waiting *wait* seconds at most."""
        self._loop.turn(wait)

    def send(self, data: bytes) -> None:
        """Give *data* to the socket at the next turn."""
        for at in range(0, len(data), _WRITE):
            self._connection._adapter_emit_data(data[at : at + _WRITE])  # noqa: SLF001  # made for adapters

    def check_silence(self) -> None:
        """End the connection when the peer was silent for too long; call it after a turn, which hears what is there."""
        now = time.monotonic()
        heartbeat, patience = _seconds(self._settings.heartbeat), _seconds(self._settings.connect_timeout)
        if now - self.heard_at > (2 * heartbeat if self.ready else patience):
            self.error = pika.exceptions.AMQPHeartbeatTimeout("RabbitMQ was silent for too long")
        elif not self.ready and now - self.started_at > patience + _seconds(self._settings.publish_deadline):
            self.error = pika.exceptions.AMQPHeartbeatTimeout("RabbitMQ did not answer while connecting")

    def declare(self, things: Sequence[Exchange | Queue | Binding]) -> _Declaring:
        """Begin to declare *things*."""
        return _Declaring(self._connection, things)

    def consume(self, queues: Sequence[str], then: Callable[[], None]) -> None:
        """Begin to consume from *queues*; call *then* once when RabbitMQ has agreed to all."""
        left = len(queues)

        def agreed(_answer: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                then()

        for queue in queues:
            tag = str(self._consumers)
            self._consumers += 1
            self.reader.expect(tag, queue)
            self._channel.basic_consume(queue, _never_called, consumer_tag=tag, callback=agreed)
        if not queues:
            then()

    def close(self) -> None:
        """Send what is noted and close in order, within two seconds."""
        until = time.monotonic() + _CLOSING
        if self.error is None and self._connection.is_open:
            self._connection.close()
            while self.error is None and time.monotonic() < until:
                self.turn(0.1)
        self.discard()

    def discard(self) -> None:
        """Let go of socket and loop at once."""
        connection = self._connection
        if not connection.is_closed:
            connection._terminate_stream(pika.exceptions.ConnectionOpenAborted("given up"))  # noqa: SLF001  # close() would wait
            for _ in range(10):
                if connection.is_closed:
                    break
                self._loop.turn(0)
        self._loop.close()

    def on_open(self, connection: Any) -> None:
        """The handshake is over: open the channel for messages."""
        if connection.params.frame_max < FRAME_MAX:
            self.error = ConfigurationError(
                f"RabbitMQ allows frames of {connection.params.frame_max} bytes only: set its frame_max to {FRAME_MAX}"
            )
            return
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(channel_number=_CHANNEL, on_open_callback=self._on_channel)

    def on_ended(self, _connection: Any, error: Exception) -> None:
        """The connection could not be made or ended."""
        self.error = self.error or error

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self.on_ended)
        channel.add_on_cancel_callback(self._on_cancelled)
        channel.add_on_return_callback(self._on_returned)
        channel.basic_qos(prefetch_count=self._settings.prefetch, global_qos=False)
        channel.confirm_delivery(_never_called, callback=lambda _answer: self._set_up())

    def _set_up(self) -> None:
        things, queues = self._wanted
        declaring = self.declare(things)
        declaring.then(lambda: self.consume(queues, self._become_ready))
        self._setting_up = declaring

    def _become_ready(self) -> None:
        self.ready, self.ready_at = True, time.monotonic()
        self._on_ready()

    def _confirmed(self, tag: int, multiple: bool, taken: bool) -> None:
        self._confirms.settle(self.first_number + tag, multiple, taken)

    def _pass_on(self, frame: bytes) -> None:
        self._connection.process(frame)

    def _on_returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        self._confirms.returned(properties.message_id or "", method.exchange, method.routing_key)

    def _on_cancelled(self, _method: Any) -> None:
        self.error = self.error or pika.exceptions.ConsumerCancelled()

    def _on_blocked(self, _connection: Any, _method: Any) -> None:
        self.blocked = True
        log.warning("transport_blocked", remedy="RabbitMQ is short of memory or disk: free some, it goes on by itself")

    def _on_unblocked(self, _connection: Any, _method: Any) -> None:
        self.blocked = False
        log.info("transport_unblocked")


def _never_called(*_arguments: Any) -> None:
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
    parameters.client_properties = {"connection_name": settings.client_name, "product": "sifzone"}
    if parameters.ssl_options is not None:
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
            if settings.certificate_file is not None:
                context.load_cert_chain(settings.certificate_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificates for RabbitMQ cannot be read ({type(error).__name__}): check ca_file and certificate_file"
            ) from error
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    return parameters


def _login_refused(error: Exception) -> bool:
    return isinstance(
        error,
        ConfigurationError
        | pika.exceptions.ProbableAuthenticationError
        | pika.exceptions.ProbableAccessDeniedError
        | pika.exceptions.AuthenticationError,
    )


def _text(error: Exception) -> str:
    if isinstance(error, pika.exceptions.ChannelClosed | pika.exceptions.ConnectionClosed):
        return f"{error.reply_code} {error.reply_text}"
    return str(error) or repr(error)


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
