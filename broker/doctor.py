"""Whether a zone is as it should be: its settings, its keeping, and RabbitMQ against what is in force.

Everything is looked at and nothing changed; mending is for those who read it.
"""

import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from broker.agreements import EXPIRY_WARNINGS, Agreement
from broker.applied import applied_name, applied_zone, in_force_file, is_running, named_in
from broker.plan import plan
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    CONTROL_QUEUE,
    DEAD_QUEUE,
    DELIVERY,
    Permissions,
    agent_queue,
    intake_queue,
    person_queue,
    requests_key,
    requests_queue,
)
from broker.rabbitmq import Management, ManagementError
from broker.settings import Zone, load_zone
from broker.storage import Store, is_migrated, open_store
from broker.supervisor import administrator, read_password, zone_rights

_APPLY: Final = "run 'sifzone zone apply'"
_START: Final = "start the zone again with 'sifzone up'"
_CONSUMERS_LAG: Final = 6.0
"""Seconds after which RabbitMQ has counted consumers anew."""
_OWN_QUEUES: Final = (agent_queue(AgentId("")), requests_queue(AgentId("")))
_PERSONS: Final = person_queue("")


class State(StrEnum):
    """What is to be done about a finding: nothing, nothing but know it, or mend it."""

    IN_ORDER = "in order"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found where.

    Attributes:
        place: What was looked at, for example ``database``.
        words: What is the case; never a secret.
        remedy: What to do; empty when there is nothing to be done.
    """

    place: str
    state: State
    words: str
    remedy: str = ""


def examine(folder: Path, today: date) -> tuple[Finding, ...]:
    """Return what there is to say about the zone in *folder*, at least one finding for each thing looked at."""
    found: list[Finding] = []
    written = _load(folder, found)
    applied = _applied(folder, written, found)
    zone = applied or written
    if zone is not None:
        running = is_running(zone)
        found += _running(zone, running=running)
        found += _key(zone)
        found += _agreements(zone.agreements, today)
        found += _database(zone)
        found += _rabbitmq(zone, running=running)
    return tuple(found)


def _load(folder: Path, found: list[Finding]) -> Zone | None:
    try:
        zone = load_zone(folder)
    except ConfigurationError as error:
        found.append(Finding("settings", State.WRONG, str(error), "mend the file; what is in force stays so"))
        return None
    words = f"{len(zone.registry.agents)} agents, {len(zone.agreements)} agreements"
    found.append(Finding("settings", State.IN_ORDER, words))
    return zone


def _applied(folder: Path, written: Zone | None, found: list[Finding]) -> Zone | None:
    place = "in force"
    try:
        applied = applied_zone(folder)
    except ConfigurationError as error:
        found.append(Finding(place, State.WRONG, str(error), _APPLY))
        return None
    changes = plan(applied, written) if written is not None else ()
    if changes:
        words = f"the folder says otherwise than what is in force: {len(changes)} change(s)"
        found.append(Finding(place, State.WRONG, words, f"see them with 'sifzone zone plan', then {_APPLY}"))
    elif written is not None:
        found.append(Finding(place, State.IN_ORDER, f"what the folder says, as snapshot {applied.snapshot}"))
    return applied


def _running(zone: Zone, *, running: bool) -> Iterator[Finding]:
    place = "running"
    if not running:
        yield Finding(place, State.NOTE, "the zone does not run", "start it with 'sifzone up'")
        return
    used, name = named_in(in_force_file(zone)), applied_name(zone.folder)
    if used == name:
        yield Finding(place, State.IN_ORDER, f"the zone runs, by snapshot {used}")
        return
    words = f"snapshot {name} is not taken up yet, what runs goes by {used or 'none'}"
    yield Finding(place, State.WRONG, words, "wait a few seconds; then see the log of 'sifzone up' for the reason")


def _key(zone: Zone) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(zone.key_file.stat().st_mode)
    except FileNotFoundError:
        yield Finding("key", State.WRONG, f"{zone.key_file} is not there", "start the zone once, or restore the backup")
        return
    if mode & 0o077:
        words = f"others may use {zone.key_file} (mode {mode:o})"
        yield Finding("key", State.WRONG, words, f"run 'chmod 600 {zone.key_file}'")
    else:
        yield Finding("key", State.IN_ORDER, "its owner alone may read it")


def _agreements(agreements: tuple[Agreement, ...], today: date) -> Iterator[Finding]:
    place, soon = "agreements", max(EXPIRY_WARNINGS)
    remedy = "renew it in its file, or remove the file; then " + _APPLY
    for agreement in agreements:
        left = (agreement.expires - today).days
        if left < 0:
            words = f"{agreement.id} expired on {agreement.expires} and shares nothing"
            yield Finding(place, State.WRONG, words, remedy)
        elif left <= soon:
            yield Finding(place, State.NOTE, f"{agreement.id} expires in {left} days, on {agreement.expires}", remedy)
        elif agreement.starts > today:
            yield Finding(place, State.NOTE, f"{agreement.id} shares nothing before {agreement.starts}")
    live = sum(agreement.is_live(today) and (agreement.expires - today).days > soon for agreement in agreements)
    yield Finding(place, State.IN_ORDER, f"{live} of {len(agreements)} share for more than {soon} days to come")


def _database(zone: Zone) -> Iterator[Finding]:
    place = "database"
    try:
        if not is_migrated(zone.database_url):
            yield Finding(place, State.WRONG, "it has not this version's tables", _START)
            return
        with open_store(zone.database_url, zone.key_file) as store:
            yield Finding(place, State.IN_ORDER, "reached, with this version's tables")
            yield from _stored(zone, store)
    except ZoneError as error:
        yield Finding(place, State.WRONG, str(error))


def _stored(zone: Zone, store: Store) -> Iterator[Finding]:
    gone = sorted(store.live().registrations.keys() - zone.registry.agents.keys())
    for agent in gone:
        words = f"{agent} has registered once and is not set up any more: it can do nothing"
        yield Finding("registry", State.NOTE, words)
    if not gone:
        yield Finding("registry", State.IN_ORDER, "every agent in it is set up")
    held = store.quarantine_counts()["held"]
    if held:
        words = f"{held} message(s) wait for somebody to mend or discard them"
        yield Finding("quarantine", State.NOTE, words, "see them with 'sifzone quarantine list'")
    else:
        yield Finding("quarantine", State.IN_ORDER, "nothing waits")


def _rabbitmq(zone: Zone, *, running: bool) -> Iterator[Finding]:
    place = "rabbitmq"
    try:
        management = administrator(zone)
        if management is None:
            yield Finding(place, State.NOTE, "the zone's own RabbitMQ is down while the zone is: not looked at")
            return
        with management:
            management.check_server()
            yield Finding(place, State.IN_ORDER, f"reached, version {management.version()}")
            yield from _or_in_order(_logins(zone, management), "logins", "as set up, and nobody else has rights")
            yield from _or_in_order(_queues(zone, management), "queues", "all are there, and no other")
            yield from _or_in_order(_bindings(zone, management), "bindings", "all are there, and no other")
            if running:
                yield from _or_in_order(_consumers(zone, management), "consumers", "every queue of the zone's is read")
    except (ManagementError, ConfigurationError) as error:
        yield Finding(place, State.WRONG, str(error))


def _or_in_order(findings: Iterator[Finding], place: str, words: str) -> Iterator[Finding]:
    found = list(findings)
    yield from found
    if all(finding.state is not State.WRONG for finding in found):
        yield Finding(place, State.IN_ORDER, words)


def _logins(zone: Zone, management: Management) -> Iterator[Finding]:
    actual, wanted = management.permissions(zone.id), zone_rights(zone)
    for login, permissions in sorted(wanted.items()):
        differs = _difference(actual.get(login), permissions)
        if differs:
            yield Finding("logins", State.WRONG, f"{login} {differs}", _APPLY)
        if not management.has_user(login, read_password(zone.credentials(login))):
            words = f"{login} is not there, has a tag, or has another password than its file in state/credentials"
            yield Finding("logins", State.WRONG, words, _APPLY)
    for stranger in sorted(actual.keys() - wanted.keys() - {management.user}):
        words = f"{stranger} has rights that nobody gave it: {_said(actual[stranger])}"
        yield Finding("logins", State.WRONG, words, f"{_APPLY}, which takes them away")


def _difference(actual: Permissions | None, wanted: Permissions) -> str:
    if actual is None:
        return "has no rights in the zone"
    parts = (
        f"may {name} {getattr(actual, name)!r} instead of {getattr(wanted, name)!r}"
        for name in ("configure", "write", "read")
        if getattr(actual, name) != getattr(wanted, name)
    )
    return ", ".join(parts)


def _said(permissions: Permissions) -> str:
    return f"configure {permissions.configure!r}, write {permissions.write!r}, read {permissions.read!r}"


def _queues(zone: Zone, management: Management) -> Iterator[Finding]:
    actual = management.queues(zone.id)
    wanted = {queue.name for queue in zone.topology.queues}
    for queue in sorted(wanted - actual.keys()):
        yield Finding("queues", State.WRONG, f"{queue} is not there", f"{_APPLY}; if it was one of zone.*, {_START}")
    for queue in sorted(actual.keys() - wanted):
        if queue.startswith(_PERSONS):
            continue
        holds = f"it holds {actual[queue][0]} message(s)"
        if queue.startswith(_OWN_QUEUES):
            words = f"{queue} is of no agent that is set up; {holds}"
            yield Finding("queues", State.NOTE, words, "delete it in RabbitMQ once nobody needs them")
        else:
            words = f"{queue} is none of the zone's; {holds}"
            yield Finding("queues", State.WRONG, words, "find out who made it, and delete it in RabbitMQ")


def _bindings(zone: Zone, management: Management) -> Iterator[Finding]:
    topology = zone.topology
    for exchange in topology.exchanges:
        wanted = {(b.queue, b.key) for b in topology.bindings if b.exchange == exchange.name}
        actual = management.bindings(zone.id, exchange.name)
        for queue, missing in sorted(Counter(queue for queue, _ in wanted - actual).items()):
            words = f"{exchange.name} does not lead to {queue} any more ({missing} binding(s))"
            yield Finding("bindings", State.WRONG, words, _APPLY)
        for queue, key in sorted(actual - wanted):
            if exchange.name != DELIVERY or not _is_left(queue, key):
                words = f"{exchange.name} also leads to {queue}, with the key {key!r}"
                remedy = "find out who made the binding, and remove it in RabbitMQ"
                yield Finding("bindings", State.WRONG, words, remedy)


def _is_left(queue: str, key: str) -> bool:
    """Tell whether a binding is an agent's own who is not set up any more, or a person's who waits for an answer."""
    _, bar, at_gateway = key.partition("|")
    if bar:
        return queue == requests_queue(AgentId(at_gateway)) and key == requests_key(AgentId(at_gateway))
    return queue == agent_queue(AgentId(key)) or (queue == key and queue.startswith(_PERSONS))


def _consumers(zone: Zone, management: Management) -> Iterator[Finding]:
    queues = (*(intake_queue(n) for n in range(zone.settings.partitions)), CONTROL_QUEUE, DEAD_QUEUE)
    until = time.monotonic() + _CONSUMERS_LAG
    while (unread := _unread(management.queues(zone.id), queues)) and time.monotonic() < until:
        time.sleep(0.5)
    for queue in unread:
        yield Finding("consumers", State.WRONG, f"no worker reads {queue}", f"see the log of 'sifzone up', or {_START}")


def _unread(queues: Mapping[str, tuple[int, int]], wanted: tuple[str, ...]) -> list[str]:
    return [queue for queue in wanted if queue in queues and not queues[queue][1]]
