"""Tries what an agent's file names, one part after the other, and says what was found there; changes nothing.

Whether the file itself is right is told by making its parts; here it is whether what they name can be reached and read.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from agents.connectors.contract import Checked, Item, Marker, SourceProblem
from agents.files import matching
from agents.parts import FilePart, Parts, SourcePart
from agents.sdk import connect_amqp
from agents.settings import AgentSettings
from broker.protocol.envelope import build_system_control, new_header
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.topology import CONTROL, CONTROL_QUEUE, agent_queue
from broker.transports.contract import Outgoing, Transport, TransportLost
from mappings import Record

_CONNECT_SECONDS: Final = 10.0
_UNTRIED: Final = "not tried"
_CANNOT_CHECK: Final = "cannot be tried without writing to it"

Connect = Callable[[AgentSettings], Transport]


class NoPing(ZoneError):
    """The zone's RabbitMQ did not take a ping."""

    retry = True


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying one part.

    Attributes:
        part: ``source 1``, ``source 1 fetch``, ``target`` or ``zone``.
        name: The source's name; of the others the connector's, the URL or the agent's id.
        result: ``right``; ``unreachable`` where something outside of the agent's file is wrong; ``wrong`` where it is
            something in it, for example a password is not where it says; ``untried``.
        message: What was found, or what is wrong and what to do; nothing personal and no secret.
    """

    part: str
    name: str
    result: Literal["right", "unreachable", "wrong", "untried"]
    message: str


def trials(
    settings: AgentSettings, parts: Parts, *, offline: bool = False, connect: Connect | None = None
) -> Iterator[Trial]:
    """Yield what comes of trying each source, fetcher and target and the zone; all are tried, whatever fails.

    Args:
        settings: The agent's.
        parts: What was made of them.
        offline: Try none: tell only what there is.
        connect: Gives the transport to the zone; over RabbitMQ when left out.
    """
    for number, source in enumerate(parts.sources, start=1):
        yield from _source(f"source {number}", source, offline=offline)
    if settings.target is not None:
        yield _checked("target", settings.target.connector, parts.target, _CANNOT_CHECK, offline=offline)
    if not offline:
        yield _tried("zone", settings.id, lambda: _ping(settings, connect or connect_amqp))


def _source(part: str, source: SourcePart, *, offline: bool) -> Iterator[Trial]:
    if not isinstance(source, FilePart):
        yield _checked(part, source.name, source.connector, "cannot be tried without reading it", offline=offline)
        return
    if source.fetcher is not None:
        yield _checked(f"{part} fetch", source.settings.path, source.fetcher, "cannot be tried", offline=offline)
    if offline:
        yield Trial(part, source.name, "untried", _to_read(source))
    else:
        yield _tried(part, source.name, lambda: _first_record(source))


def _to_read(source: FilePart) -> str:
    count = len(matching(source.pattern, newest_only=source.settings.complete))
    if source.fetcher is not None:
        return f"{count} files to read were fetched before"
    missing = "" if source.pattern.parent.is_dir() else "; the folder does not exist yet"
    return f"{count} files to read{missing}"


def _first_record(source: FilePart) -> str:
    """Return how many files there are, and where in the newest the first record is."""
    paths = matching(source.pattern, newest_only=source.settings.complete)
    if not paths:
        return _to_read(source)
    found = _first(source.connector.read(paths[-1]))
    first = f"its first record is {found}" if found else "no record is in it"
    return f"{_to_read(source)}; the newest, {paths[-1].name}, can be read: {first}"


def _first(items: Iterable[Item | Marker]) -> str:
    problem = ""
    for item in items:
        if isinstance(item, Record):
            return item.position
        if isinstance(item, SourceProblem) and not problem:
            problem = f"{item.position}: {item.message}"
    return problem and f"not there, {problem}"


def _checked(part: str, name: str, what: object, otherwise: str, *, offline: bool) -> Trial:
    if offline:
        return Trial(part, name, "untried", _UNTRIED)
    if not isinstance(what, Checked):
        return Trial(part, name, "untried", otherwise)
    return _tried(part, name, what.check)


def _tried(part: str, name: str, work: Callable[[], str]) -> Trial:
    try:
        return Trial(part, name, "right", work())
    except ConfigurationError as error:
        return Trial(part, name, "wrong", str(error))
    except ZoneError as error:
        return Trial(part, name, "unreachable", str(error))
    except OSError as error:
        return Trial(
            part, name, "unreachable", f"cannot be read ({error.strerror}): check that it is there, and its rights"
        )
    except Exception as error:  # noqa: BLE001 - another package's connector; its text may quote what it read
        fault = f"its connector failed ({type(error).__name__}): report it to the connector's maker"
        return Trial(part, name, "unreachable", fault)


def _ping(settings: AgentSettings, connect: Connect) -> str:
    """Send the zone a ping: that RabbitMQ confirms it shows that address, login and rights are right."""
    header = new_header(settings.id)
    ping = Outgoing(
        CONTROL,
        CONTROL_QUEUE,
        build_system_control(header, "SIF_Ping"),
        header.msg_id,
        "SIF_SystemControl",
        user_id=settings.id,
    )
    with connect(settings) as transport:
        number = transport.publish(ping)
        until = time.monotonic() + _CONNECT_SECONDS
        try:
            while transport.confirmed < number and time.monotonic() < until:
                transport.poll(0.5)
        except TransportLost as error:
            raise NoPing(
                "the zone's RabbitMQ cannot be reached: check that the zone is up, and the host and port in its URL"
            ) from error
        if transport.confirmed < number or transport.refusals():
            raise NoPing("the zone's RabbitMQ took no ping: check that the zone is up")
    return f"connected as {settings.id}; its queue is {agent_queue(settings.id)}"


__all__ = ["Trial", "trials"]
