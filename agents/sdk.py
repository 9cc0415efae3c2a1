"""The SDK: an agent as an object with handlers; what runs it is the runtime's."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, TypeVar

import structlog
from lxml import etree
from pydantic import ValidationError

from agents.carry import Answer, Event
from agents.files import FileLedger
from agents.handlers import AnswerHandler, EventLoop, Handler, Provider, plain, plain_provider
from agents.inbox import Failed, Inbox, KeptObjects
from agents.intake import Progress
from agents.learners import Learners
from agents.parts import make_parts
from agents.runtime import DEFAULT_LIMITS, Connect, Functions, Limits, Runtime
from agents.settings import AgentSettings, explain, read_settings, zone_url
from agents.spool import Refused, Spool
from agents.store import Store
from broker.protocol.envelope import Action, local_name
from broker.protocol.errors import ConfigurationError, UnknownObject
from broker.protocol.exchanges import SMALLEST_BUFFER, USUAL_BUFFER
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, MsgId
from broker.protocol.identity import Claim, Place
from broker.protocol.query import parse_where
from broker.transports import AmqpSettings, AmqpTransport
from broker.transports.contract import Transport
from schemas import SchemaSet, load

_SOURCE: Final = "sdk"
_OF_THE_ZONE: Final = ("SIF_ZoneStatus", "SIF_AgentACL")
"""Objects that the zone itself provides."""

# The decorated function keeps its own type, so that mypy refuses one that takes or returns something else.
_Handler = TypeVar("_Handler", bound=Handler)
_AnswerHandler = TypeVar("_AnswerHandler", bound=AnswerHandler)
_Provider = TypeVar("_Provider", bound=Provider)


def _silent(_path: Path, _records: int) -> None:
    return


class Agent:
    """One agent of a zone: what its file says, and Python where that is not enough.

    Example::

        platform = Agent.from_file("merlin.toml")

        @platform.on("LearnerPersonal")
        async def save(event: Event) -> None: ...

        @platform.provide("SchoolGroup")
        def groups(query: Query) -> Iterator[etree._Element]: ...

        platform.request("LearnerPersonal", where=["LocalId = 000412"])

        @platform.answer("LearnerPersonal")
        def found(answer: Answer) -> None: ...

        platform.run()

    Each function may be plain or ``async``. Plain ones are called in the agent's own threads, one at a time for events
    and answers and one at a time for requests; the ``async`` ones run on one event loop that lives as long as
    :meth:`run`, and the agent goes on when they are done.
    """

    def __init__(self, settings: AgentSettings, connect: Connect | None = None) -> None:
        """Open the agent's state.

        Args:
            settings: What its file says.
            connect: Gives the transport; over RabbitMQ, to the URL of the settings, when left out.

        Raises:
            ConfigurationError: A part of the settings cannot be used.
        """
        self.settings = settings
        self._connect = connect or (lambda: connect_amqp(settings))
        self._handlers: dict[str, list[Handler]] = {}
        self._providers: dict[str, Provider] = {}
        self._answer_handlers: dict[str, list[AnswerHandler]] = {}
        self._runtime: Runtime | None = None
        self._stopping = threading.Event()
        self._schema: SchemaSet = load()
        self._parts = make_parts(settings)
        self._store = Store(settings.state_folder)
        self._spool = Spool(self._store, settings.id, self._schema)

    @classmethod
    def from_file(cls, file: str | Path, connect: Connect | None = None) -> Self:
        """Return the agent that a TOML file describes.

        Raises:
            ConfigurationError: The file cannot be used; lists all that is wrong with it.
        """
        return cls(read_settings(Path(file)), connect)

    def on(self, object_type: str) -> Callable[[_Handler], _Handler]:
        """Call the decorated function with each event about *object_type*.

        It is called once for each message, except that the work of one message may be repeated after a crash in the
        midst of it. When it raises, the message is kept as failed and the next one goes on.

        Raises:
            UnknownObject: The zone has no such object.
        """
        self._check(object_type)

        def add(handler: _Handler) -> _Handler:
            self._handlers.setdefault(object_type, []).append(handler)
            return handler

        return add

    def provide(self, object_type: str) -> Callable[[_Provider], _Provider]:
        """Answer each request for *object_type* with the objects that the decorated function yields.

        It is called with the query, in a thread of its own, for one request after the other; a generator, plain or
        ``async``, or a function, plain or ``async``, that returns what can be gone through. It may yield more than
        the query asks for; what does not match is left out, and the rest cut to the elements asked for. It should
        yield, not collect: then an answer of any size takes the memory of one packet. When it raises, the answer ends
        with an error; when the agent is stopped or killed in the midst of it, it is called again at the next start.

        The agent tells the zone at each start that it provides the object; a refusal of that is logged.

        Raises:
            UnknownObject: The zone has no such object.
            ConfigurationError: Another function provides it already.
        """
        self._check(object_type)

        def add(provider: _Provider) -> _Provider:
            if object_type in self._providers:
                raise ConfigurationError(f"two functions provide {object_type}: let one of them yield all")
            self._providers[object_type] = provider
            return provider

        return add

    def request(
        self,
        object_type: str,
        *,
        where: Sequence[str] = (),
        elements: Sequence[str] = (),
        to: str | None = None,
        context: str = DEFAULT_CONTEXT,
        max_buffer: int = USUAL_BUFFER,
    ) -> MsgId:
        """Put a request into the spool; it is there to stay on return, and is sent while the agent runs.

        Args:
            object_type: What is asked for.
            where: Conditions that must all be met, each ``PATH OP VALUE``: ``LocalId = 000412``. In one of them
                several may be joined by ``or``.
            elements: Paths of the elements asked for; none for the whole object.
            to: The agent to ask; whoever provides the object when left out.
            max_buffer: Bytes of the largest packet to be sent.

        Returns:
            The request's id, which each :class:`Answer` to it has.

        Raises:
            UnknownObject: The zone has no such object.
            QueryNotSupported: A condition or path cannot be read.
            ConfigurationError: The buffer is too small for an answer.
        """
        if object_type not in _OF_THE_ZONE:
            self._check(object_type)
        if max_buffer < SMALLEST_BUFFER:
            raise ConfigurationError(f"max_buffer: nobody answers in less than {SMALLEST_BUFFER} bytes: ask for more")
        query = parse_where(object_type, where, elements)
        with self._store.transaction() as db:
            return self._spool.ask(db, query, AgentId(to) if to else None, Context(context), max_buffer)

    def answer(self, object_type: str) -> Callable[[_AnswerHandler], _AnswerHandler]:
        """Call the decorated function with each packet that answers a request of this agent's for *object_type*.

        Also with the error that ends it. As with :meth:`on`, once for each packet, and what raises is kept as failed.
        What an agent receives as an answer is not kept among the objects it has received by events.

        Raises:
            UnknownObject: The zone has no such object.
        """
        if object_type not in _OF_THE_ZONE:
            self._check(object_type)

        def add(handler: _AnswerHandler) -> _AnswerHandler:
            self._answer_handlers.setdefault(object_type, []).append(handler)
            return handler

        return add

    def publish(self, element: etree._Element, action: Action | None = None) -> MsgId | None:
        """Put an event into the spool; it is there to stay on return, and is sent while the agent runs.

        Args:
            element: A whole object. With an action of its own: what that event shall hold.
            action: Left out, the object is compared with what was published of it before, and becomes an Add, a lean
                Change, or nothing.

        Returns:
            The message's id; None when nothing has changed.

        Raises:
            UnknownObject: The zone has no such object.
        """
        self._check(local_name(element))
        with self._store.transaction() as db:
            if action is None:
                return self._spool.put(db, _SOURCE, element)
            return self._spool.send(db, action, element)

    def locate(self, claims: Sequence[Claim]) -> dict[str, Place | None]:
        """Say whose records learners are, and let the zone be asked for those of whom it has not said it.

        Args:
            claims: The learners, each by the RefId that its system would give it.

        Returns:
            What the zone has said, by that RefId; None while it has not. It is asked while the agent runs: call again
            then. Publish nothing of a learner before it is found or new, and then under the RefId that is told.
        """
        learners = Learners(self._store, self._spool)
        with self._store.transaction() as db:
            learners.ask(db, claims)
        states = {claim.key: learners.state(claim.key) for claim in claims}
        return {
            key: Place(key, state.outcome, state.ref_id if state.is_known else None) if state.outcome else None
            for key, state in states.items()
        }

    def run(self, *, once: bool = False, limits: Limits = DEFAULT_LIMITS, progress: Progress = _silent) -> None:
        """Run until SIGTERM or SIGINT; *once*: read all, publish all, receive what is there, and return.

        Raises:
            AlreadyRunning: Another process runs this agent.
            NotFinished: A single pass could not be brought to its end.
            ConfigurationError: The zone refuses the login.
        """
        self._store.hold()
        try:
            with structlog.contextvars.bound_contextvars(agent=self.settings.id), EventLoop() as loop:
                runtime = self._runtime = Runtime(
                    self.settings, self._parts, self._store, self._functions(loop), progress
                )
                if self._stopping.is_set():
                    runtime.stop()
                if once:
                    runtime.run_once(self._connect, limits)
                else:
                    runtime.run(self._connect)
        finally:
            self._runtime = None
            self._stopping.clear()

    @contextmanager
    def received(self) -> Iterator[KeptObjects]:
        """Give the objects that the agent has received, as they are at this moment."""
        with self._store.snapshot() as db:
            yield KeptObjects(db)

    def failed(self) -> list[Failed]:
        """Return the messages that could not be handled, oldest first."""
        return Inbox(self._store, self._schema).all_failed()

    def refusals(self) -> list[Refused]:
        """Return what the zone refused, oldest first."""
        return self._spool.refusals()

    def waiting(self) -> int:
        """Return how many messages wait for the zone to have them, and how many requests for their answer."""
        return self._spool.count_asked() + self._spool.count()

    def all_read(self) -> bool:
        """Tell whether every file was read when it was last looked at, and no deletes were held back."""
        return all(file.outcome == "read" for file in FileLedger(self._store).all())

    def stop(self) -> None:
        """End :meth:`run` from another thread or a handler; called before it, the next one ends at once."""
        self._stopping.set()
        if (runtime := self._runtime) is not None:
            runtime.stop()

    def close(self) -> None:
        """Close the agent's state."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _functions(self, loop: EventLoop) -> Functions:
        """Return what the agent was given in Python, as the runtime calls it."""
        return Functions(
            {name: tuple(plain(handler, loop) for handler in found) for name, found in self._handlers.items()},
            {name: plain_provider(provider, loop) for name, provider in self._providers.items()},
            {name: tuple(plain(handler, loop) for handler in found) for name, found in self._answer_handlers.items()},
        )

    def _check(self, object_type: str) -> None:
        if object_type not in self._schema.objects:
            near = self._schema.nearest_object(object_type)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(self._schema.objects)}"
            raise UnknownObject(f"the zone has no object {object_type[:80]!r}: {hint}")


def connect_amqp(settings: AgentSettings) -> Transport:
    """Return a transport to the zone's RabbitMQ.

    Raises:
        ConfigurationError: The URL is missing or cannot be used.
    """
    return AmqpTransport(_amqp_settings(settings))


def _amqp_settings(settings: AgentSettings) -> AmqpSettings:
    try:
        return AmqpSettings(
            url=zone_url(settings),
            ca_file=settings.ca_file and settings.folder / settings.ca_file,
            certificate_file=settings.certificate_file and settings.folder / settings.certificate_file,
            name=f"sifzone agent {settings.id}",
        )
    except ValidationError as error:
        raise ConfigurationError(explain(str(settings.file), error, AmqpSettings)) from None


__all__ = ["Agent", "Answer", "Event", "connect_amqp"]
