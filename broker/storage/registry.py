"""Writes and reads what agents have said of themselves; whether they may is decided elsewhere."""

import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from broker.protocol.identifiers import AgentId, Context
from broker.registry import (
    Change,
    Channel,
    Live,
    Mode,
    Provision,
    Provisioned,
    Registered,
    Registration,
    Role,
    Slept,
    Topic,
    Unregistered,
    grants,
)
from broker.storage import tables

_agent: Final = tables.agent.c
_provision: Final = tables.provision.c
_VERSION: Final = select(tables.registry.c.version)


def live(connection: Connection) -> Live:
    """Return all that agents have said of themselves."""
    known = {found.agent: found for found in map(_registration, connection.execute(_REGISTRATIONS))}
    return Live(MappingProxyType(known), MappingProxyType(_provisions(connection)), version(connection))


def locked(connection: Connection) -> Live:
    """Return the same once no other change is under way; none begins until this transaction ends."""
    connection.execute(update(tables.registry).values(version=tables.registry.c.version))
    return live(connection)


def change(connection: Connection, changes: Sequence[Change]) -> None:
    """Write *changes*, in order."""
    if changes:
        connection.execute(update(tables.registry).values(version=tables.registry.c.version + 1))
    for one in changes:
        match one:
            case Registered(registration):
                _register(connection, registration)
            case Unregistered(agent):
                connection.execute(delete(tables.provision).where(_provision.agent_id == agent))
                connection.execute(delete(tables.agent).where(_agent.agent_id == agent))
            case Provisioned(agent, provision):
                _provide(connection, agent, provision)
            case Slept(agent, sleeping):
                connection.execute(update(tables.agent).where(_agent.agent_id == agent).values(sleeping=sleeping))


def block(connection: Connection, agent_id: str, msg_id: str) -> None:
    """Write which event *agent_id* is busy with; empty for none."""
    connection.execute(update(tables.agent).where(_agent.agent_id == agent_id).values(blocked=msg_id))


def blocked(connection: Connection) -> dict[str, str]:
    """Return the event that an agent is busy with, by agent; who is with none is left out."""
    rows = connection.execute(select(_agent.agent_id, _agent.blocked).where(_agent.blocked != ""))
    return {row.agent_id: row.blocked for row in rows}


def version(connection: Connection) -> int:
    """Return a number that has grown with each change of the registry."""
    return int(connection.execute(_VERSION).scalar_one())


_REGISTRATIONS: Final = select(
    _agent.agent_id, _agent.name, _agent.version, _agent.registered_at, _agent.sleeping, _agent.details
).order_by(_agent.agent_id)


def _register(connection: Connection, said: Registration) -> None:
    connection.execute(delete(tables.agent).where(_agent.agent_id == said.agent))
    details = {
        "versions": said.versions,
        "max_buffer": said.max_buffer,
        "mode": said.mode,
        "url": said.url,
        "protocol": said.protocol,
        "secure": said.secure,
        "encodings": said.encodings,
        "vendor": said.vendor,
        "node_version": said.node_version,
        "application": said.application,
        "authentication": said.channel.authentication,
        "encryption": said.channel.encryption,
    }
    connection.execute(
        insert(tables.agent).values(
            agent_id=said.agent,
            name=said.name,
            version=said.version,
            registered_at=said.at,
            sleeping=said.sleeping,
            blocked="",
            details=json.dumps(details),
        )
    )


def _registration(row: Sequence[object]) -> Registration:
    agent_id, name, spoken, at, sleeping, text = row
    said = json.loads(str(text))
    return Registration(
        AgentId(str(agent_id)),
        str(name),
        str(spoken),
        float(at),  # type: ignore[arg-type]  # a column of numbers
        tuple(said["versions"]),
        int(said["max_buffer"]),
        Mode(said["mode"]),
        said["url"],
        said["protocol"],
        bool(said["secure"]),
        tuple(said["encodings"]),
        said["vendor"],
        said["node_version"],
        tuple(said["application"]) if said["application"] else None,
        Channel(int(said["authentication"]), int(said["encryption"])),
        bool(sleeping),
    )


def _provide(connection: Connection, agent: AgentId, provision: Provision) -> None:
    connection.execute(delete(tables.provision).where(_provision.agent_id == agent))
    rows = [
        {
            "agent_id": agent,
            "role": role,
            "object_type": topic.object_type,
            "context": topic.context,
            "extended": topic in provision.extended,
        }
        for role, topics in provision.topics.items()
        for topic in sorted(topics)
    ]
    if rows:
        connection.execute(insert(tables.provision), rows)


def _provisions(connection: Connection) -> dict[AgentId, Provision]:
    entries: dict[AgentId, list[tuple[Role, Topic]]] = {}
    extended: dict[AgentId, set[Topic]] = {}
    for agent_id, role, object_type, context, answers in connection.execute(select(tables.provision)):
        topic = Topic(object_type, Context(context))
        entries.setdefault(AgentId(agent_id), []).append((Role(role), topic))
        if answers:
            extended.setdefault(AgentId(agent_id), set()).add(topic)
    return {agent: Provision(grants(found), frozenset(extended.get(agent, ()))) for agent, found in entries.items()}
