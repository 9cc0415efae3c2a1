"""``sifzone gateway``: who is at the gateway and how it stands with each; ending a block that an agent forgot."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from broker.commands.common import AsJson, ZoneFolder, console, opened_store
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import agent_queue, requests_queue
from broker.registry import Live, Mode
from broker.settings import Zone, load_zone
from broker.supervisor import administrator

app = typer.Typer(
    help="Agents that speak SIF over HTTP: how it stands with each, and what to do when one is stuck.",
    epilog="Examples:  sifzone gateway agents   ·   sifzone gateway release gw-vle",
    no_args_is_help=True,
)


@app.command(epilog="Examples:  sifzone gateway agents --zone my-zone   ·   sifzone gateway agents --json")
def agents(
    zone: ZoneFolder = Path(),
    as_json: AsJson = False,
) -> None:
    """List the agents at the gateway: registered or not, push or pull, asleep, busy, and what waits for each."""
    loaded = load_zone(zone)
    with opened_store(loaded) as store:
        rows = _rows(loaded, store.live(), store.blocked(), _waiting(loaded))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(title=f"Agents at the gateway of zone {loaded.id}", title_justify="left")
    for heading in ("Agent", "Registered", "Mode", "Asleep", "Busy with", "Events waiting", "Requests waiting"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(table)
    if any(row["busy_with"] for row in rows):
        console.print("An agent that has forgotten the event it is busy with:  sifzone gateway release ID")


@app.command(epilog="Example:  sifzone gateway release gw-vle --zone my-zone")
def release(
    agent: Annotated[str, typer.Argument(help="The agent's id.")],
    zone: ZoneFolder = Path(),
) -> None:
    """End the block of an agent that is busy with an event for too long: it is given the event again, then the rest."""
    loaded = load_zone(zone)
    with opened_store(loaded) as store:
        blocked = store.blocked().get(agent)
        if blocked is None:
            raise ZoneError(f"agent {agent} is busy with no event: see how it stands with 'sifzone gateway agents'")
        store.block(agent, "")
    console.print(f"Agent {agent} is given event {blocked} again, and then what waits behind it.")


def _rows(zone: Zone, live: Live, blocked: dict[str, str], waiting: dict[str, int]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in sorted(name for name, fields in zone.settings.agents.items() if fields.gateway is not None):
        agent = AgentId(name)
        said = live.registrations.get(agent)
        rows.append(
            {
                "agent": agent,
                "registered": None if said is None else _moment(said.at),
                "mode": None if said is None else str(Mode(said.mode)).lower(),
                "asleep": None if said is None else ("yes" if said.sleeping else "no"),
                "busy_with": blocked.get(agent),
                "events_waiting": waiting.get(agent_queue(agent)),
                "requests_waiting": waiting.get(requests_queue(agent)),
            }
        )
    return rows


def _waiting(zone: Zone) -> dict[str, int]:
    """Return how many messages wait in each queue; empty where RabbitMQ cannot be asked."""
    try:
        management = administrator(zone)
        if management is None:
            return {}
        with management:
            return {queue: count for queue, (count, _) in management.queues(zone.id).items()}
    except ZoneError:
        return {}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
