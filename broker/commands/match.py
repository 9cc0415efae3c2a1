"""``sifzone match ...``: decide whose record a learner is where the zone cannot, see what was linked, take it back."""

import getpass
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from broker import identity_desk
from broker.commands.common import AsJson, ZoneFolder, opened_store, printing
from broker.identity_links import Link, LinkState, Shown, shown
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.identity import Claim
from broker.protocol.topology import BROKER_LOGIN
from broker.settings import Zone, load_zone
from broker.storage import Store
from broker.storage.encoding import sentence
from broker.supervisor import read_url
from broker.transports.amqp import AmqpSettings, AmqpTransport

app = typer.Typer(
    help="Whose record is it: learners that people must decide about, and what was linked.",
    epilog="Examples:  sifzone match list   ·   sifzone match show ID   ·   sifzone match accept ID",
    no_args_is_help=True,
)

LinkId = Annotated[str, typer.Argument(help="Id of the match or link, or enough of its beginning.")]
Agent = Annotated[str, typer.Option("--agent", help="Only what this agent asked.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000)]

_MASK: Final = "•••"


@app.command("list", epilog="Examples:  sifzone match list   ·   sifzone match list --agent mis-8209901 --json")
def match_list(zone: ZoneFolder = Path(), agent: Agent = "", limit: Limit = 100, json_: AsJson = False) -> None:
    """List learners that people must decide about, oldest first; nothing here says who they are."""
    console = printing()
    with opened_store(load_zone(zone)) as store:
        links = store.waiting_links(agent=agent, limit=limit)
    if json_:
        _print_json([_link_facts(link) for link in links])
        return
    if not links:
        console.print("Nothing waits for a decision.")
        return
    table = _table("Matches", "Id", "Since (UTC)", "Agent", "Candidates", "Best score", "Until decided")
    for link in links:
        best = max((option.score for option in link.options), default=0)
        stops = "published as before" if link.learner else "nothing is published"
        table.add_row(link.id, _when(link.at), link.agent, str(len(link.options)), str(best), stops)
    console.print(table)
    if len(links) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")
    console.print("See one, and what speaks for it:  sifzone match show ID")


@app.command("show", epilog="Examples:  sifzone match show 3f2a   ·   sifzone match show 3f2a --no-values")
def match_show(
    link_id: LinkId,
    zone: ZoneFolder = Path(),
    values: Annotated[
        bool, typer.Option("--values/--no-values", help="Personal data on your screen, or what they say alone.")
    ] = True,
    json_: AsJson = False,
) -> None:
    """Show a match: the two records side by side, and the score explained field by field."""
    console = printing()
    with opened_store(load_zone(zone)) as store:
        link = store.link(link_id)
        options = shown(link, store.links_of([option.ref_id for option in link.options]))
    if json_:
        _print_json({**_link_facts(link), "candidates": [_shown_facts(link, one, values=values) for one in options]})
        return
    _print_link(link)
    for number, one in enumerate(options, start=1):
        console.print(_side_by_side(link, number, one, values=values))
    if options:
        console.print(
            f"The same child:  sifzone match accept {link.id} --candidate N   ·   "
            f"another child than any of these:  sifzone match reject {link.id}",
            soft_wrap=True,
        )
    elif link.state is LinkState.WAITING:
        console.print(f"No candidate is left; the learner is a new one:  sifzone match reject {link.id}")


@app.command("accept", epilog="Example:  sifzone match accept 3f2a --candidate 2")
def match_accept(
    link_id: LinkId,
    zone: ZoneFolder = Path(),
    candidate: Annotated[
        int, typer.Option("--candidate", min=0, help="Number of the candidate; may be left out when there is one.")
    ] = 0,
) -> None:
    """Say that the learner is a candidate: the agent goes on with that learner's RefId."""

    def decide(store: Store, link: Link) -> tuple[Link, ...]:
        if not candidate and len(link.options) > 1:
            raise ZoneError(f"{link.id} has {len(link.options)} candidates: name one with --candidate")
        return identity_desk.accept(store, link, candidate or 1, getpass.getuser(), time.time())

    _decide(load_zone(zone), link_id, decide)


@app.command("reject", epilog="Example:  sifzone match reject 3f2a")
def match_reject(link_id: LinkId, zone: ZoneFolder = Path()) -> None:
    """Say that the learner is none of the candidates; they never come up together again."""
    _decide(
        load_zone(zone),
        link_id,
        lambda store, link: identity_desk.reject(store, link, getpass.getuser(), time.time()),
    )


@app.command("undo", epilog="Examples:  sifzone match links --agent mis-8209901   ·   sifzone match undo 3f2a")
def match_undo(link_id: LinkId, zone: ZoneFolder = Path()) -> None:
    """Take back a link, whoever made it: the agent's record is a learner of its own again, and stays so.

    The agent deletes what it published under the wrong RefId and publishes it anew, so that all who received it are
    put right.
    """
    _decide(
        load_zone(zone), link_id, lambda store, link: identity_desk.undo(store, link, getpass.getuser(), time.time())
    )


@app.command("tell", epilog="Example:  sifzone match tell 3f2a")
def match_tell(link_id: LinkId, zone: ZoneFolder = Path()) -> None:
    """Tell an agent once more what was decided, should the message have been lost."""

    def decide(_store: Store, link: Link) -> tuple[Link, ...]:
        if link.state is LinkState.WAITING:
            raise ZoneError(f"{link.id} still waits for a decision: sifzone match show {link.id}")
        return (link,)

    _decide(load_zone(zone), link_id, decide)


@app.command(
    "links", epilog="Examples:  sifzone match links --agent mis-8209901   ·   sifzone match links --learner REFID"
)
def match_links(
    zone: ZoneFolder = Path(),
    agent: Annotated[str, typer.Option("--agent", help="Only keys of this agent.")] = "",
    learner: Annotated[str, typer.Option("--learner", help="Only this RefId, in use or an agent's own.")] = "",
    limit: Limit = 100,
    json_: AsJson = False,
) -> None:
    """List which RefId each agent's own key stands for, newest first; an id is what 'undo' takes."""
    console = printing()
    with opened_store(load_zone(zone)) as store:
        links = store.links(agent=agent, learner=learner.upper(), limit=limit)
    if json_:
        _print_json([_link_facts(link) for link in links])
        return
    if not links:
        console.print("No agent has asked whose record a learner is, of those you named.")
        return
    table = _table("Links", "Id", "Since (UTC)", "Agent", "Its key", "Learner", "State", "Found by", "Decided by")
    for link in links:
        own = "its own" if link.learner == link.key else link.learner
        table.add_row(
            link.id,
            _when(link.at),
            link.agent,
            link.key,
            own,
            link.state,
            link.how or "",
            link.by or "the zone's rules",
        )
    console.print(table)
    if len(links) == limit:
        console.print(f"There may be more than these {limit}: see them with --limit.")


def _decide(zone: Zone, link_id: str, decide: Callable[[Store, Link], tuple[Link, ...]]) -> None:
    """Decide, once there is a connection by which the agents can be told."""
    url = read_url(zone.credentials(BROKER_LOGIN))
    if not url:
        raise ZoneError("the zone has never been started: start it with 'sifzone up', then decide")
    with opened_store(zone) as store, AmqpTransport(AmqpSettings(url=url, name="sifzone match")) as transport:
        changed = decide(store, store.link(link_id))
        agents = zone.registry.agents
        reached = [link for link in changed if link.agent in agents and not agents[AgentId(link.agent)].gateway]
        identity_desk.tell(transport, AgentId(zone.id), reached)
    for link in changed:
        _print_link(link)
        if link not in reached:
            printing().print(
                f"Agent {link.agent} is not told: only agents of this zone that speak AMQP can be. It learns of it "
                "when it asks again."
            )
    if not changed:
        printing().print(f"Other candidates are left:  sifzone match show {link_id}")


def _print_link(link: Link) -> None:
    is_what = {
        LinkState.LINKED: f"learner {link.learner}",
        LinkState.WAITING: "waiting for a decision",
    }.get(link.state, "a learner of its own" if link.learner else "nobody's record in this zone")
    how = f", found by {link.how}" if link.how else ""
    by = f", decided by {link.by}" if link.by else ""
    printing().print(f"{link.id}: {link.key} of agent {link.agent} is {is_what}{how}{by}.", soft_wrap=True)


def _side_by_side(link: Link, number: int, one: Shown, *, values: bool) -> Table:
    whose = ", ".join(one.agents) or "events alone"
    title = (
        f"Candidate {number}: {one.option.ref_id}, by {one.option.how}, score {one.option.score}, known from {whose}"
    )
    table = _table(title, "Field", f"Agent {link.agent}", "The candidate", "Compared", "Points")
    mine, theirs = _values(link.claim), _values(one.other)
    points = {part.field: part for part in one.parts}
    for field in mine:
        part = points.get(field)
        said = ("", "") if part is None else (part.said, _points(part.points, part.most))
        table.add_row(field, _shown(mine[field], values), _shown(theirs[field], values), *said)
    return table


def _points(points: float, most: float) -> str:
    return f"{points:g} of {most:g}" if most else f"{points:g}" if points else ""


def _shown(value: str, values: bool) -> str:  # one word, of this module alone
    return sentence(value) if values or not value else _MASK


def _values(claim: Claim | None) -> dict[str, str]:
    """Return what an agent said of a learner by field, in the order of the score; empty texts for what it did not."""
    said = claim or Claim("")  # type: ignore[arg-type]  # nobody's
    return {
        "given name": said.given_name,
        "family name": said.family_name,
        "birth date": said.birth_date.isoformat() if said.birth_date else "",
        "postcode": said.postcode,
        "gender": said.gender,
        "UPN": said.upn,
        "former UPNs": ", ".join(said.former_upns),
        "ULN": said.uln,
    }


def _link_facts(link: Link) -> dict[str, Any]:
    return {
        "id": link.id,
        "agent": link.agent,
        "key": link.key,
        "learner": link.learner,
        "state": str(link.state),
        "how": link.how or "",
        "at": datetime.fromtimestamp(link.at, UTC).isoformat(),
        "by": link.by,
        "candidates": [{"ref_id": one.ref_id, "how": str(one.how), "score": one.score} for one in link.options],
    }


def _shown_facts(link: Link, one: Shown, *, values: bool) -> dict[str, Any]:
    mine, theirs = _values(link.claim), _values(one.other)
    parts = [
        {"field": part.field, "compared": part.said, "points": part.points, "most": part.most} for part in one.parts
    ]
    facts: dict[str, Any] = {"ref_id": one.option.ref_id, "how": str(one.option.how), "score": one.option.score}
    facts |= {"agents": list(one.agents), "parts": parts}
    return facts | ({"asked": mine, "candidate": theirs} if values else {})


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    return table


__all__ = ["app"]
