"""Writes and reads which agents are registered; whether one may register is decided elsewhere."""

from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from broker.storage import tables
from broker.storage.records import Registration

_agent: Final = tables.agent.c
_VERSION: Final = select(tables.registry.c.version)


def register(connection: Connection, registration: Registration) -> None:
    """Write *registration* in the place of an earlier one of the same agent."""
    _grow(connection)
    connection.execute(delete(tables.agent).where(_agent.agent_id == registration.agent_id))
    connection.execute(
        insert(tables.agent).values(
            agent_id=registration.agent_id,
            name=registration.name,
            version=registration.version,
            registered_at=registration.at,
        )
    )


def unregister(connection: Connection, agent_id: str) -> None:
    """Remove the registration of *agent_id*, if there is one."""
    _grow(connection)
    connection.execute(delete(tables.agent).where(_agent.agent_id == agent_id))


def registered(connection: Connection) -> dict[str, Registration]:
    """Return all registrations by agent id, in its order."""
    rows = connection.execute(
        select(_agent.agent_id, _agent.name, _agent.version, _agent.registered_at).order_by(_agent.agent_id)
    )
    return {agent_id: Registration(agent_id, name, version, at) for agent_id, name, version, at in rows}


def version(connection: Connection) -> int:
    """Return a number that has grown with each change of the registry."""
    return int(connection.execute(_VERSION).scalar_one())


def _grow(connection: Connection) -> None:
    # First in the transaction: the row's lock puts all changes of the registry in one line.
    connection.execute(update(tables.registry).values(version=tables.registry.c.version + 1))
