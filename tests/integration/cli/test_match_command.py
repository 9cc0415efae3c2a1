"""``sifzone match``: who looks sees why the zone was not sure, who decides is obeyed, and the agent hears of it."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from broker import identity_desk
from broker.cli import app
from broker.protocol.envelope import parse_message
from broker.protocol.errors import ZoneError
from broker.protocol.identifiers import AgentId, RefId
from broker.protocol.identity import Claim, Outcome, Place, parse_relocated
from broker.protocol.topology import BROKER_LOGIN, Permissions, agent_queue, agent_topology, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone
from broker.storage import make_key, open_store
from broker.transports.amqp import AmqpSettings, AmqpTransport
from tests.faults.zones import SENDER, make_zone

ONE, TWO, THREE = (RefId(letter * 32) for letter in "ABC")
ANN = Claim(ONE, "", (), "", "Madeup", "Ann", date(2012, 3, 4), "F", "QA1 1AA")
ANNE = Claim(TWO, "H801200001001", (), "", "Madeup", "Anne", date(2012, 4, 3), "F", "QA1 1AA")
OTHER = AgentId("mis-other")


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    """A zone in which the sender's ANNE waits, since another agent has ANN."""
    made = make_zone(tmp_path / "zone")
    made.state.mkdir(mode=0o700)
    make_key(made.key_file)
    with open_store(made.database_url, made.key_file) as store:
        identity_desk.answer(store, OTHER, [ANN, Claim(THREE, "B801200005001")], 1_790_000_000.0)
        identity_desk.answer(store, SENDER, [ANNE], 1_790_000_000.0)
    return made


def run(zone: Zone, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["match", *arguments, "--zone", str(zone.folder)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def waiting(zone: Zone) -> str:
    """Return the id of the match that waits."""
    with open_store(zone.database_url, zone.key_file) as store:
        (link,) = store.waiting_links()
    return link.id


def test_the_list_says_how_many_candidates_and_how_good_and_nothing_of_the_child(zone: Zone) -> None:
    said = run(zone, "list")

    assert waiting(zone) in said
    assert SENDER in said
    assert json.loads(run(zone, "list", "--json"))[0]["candidates"] == [{"ref_id": ONE, "how": "names", "score": 91}]
    for value in ("Madeup", "Ann", "2012-", "QA1"):
        assert value not in said


def test_a_match_is_shown_side_by_side_with_its_score_explained(zone: Zone) -> None:
    said = run(zone, "show", waiting(zone)[:4])

    assert "Candidate 1" in said
    for value in ("Anne", "2012-03-04", "2012-04-03", "day and month exchanged", "14 of 20", "H801200001001"):
        assert value in said


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_match_can_be_looked_at_without_the_values(zone: Zone, form: tuple[str, ...]) -> None:
    said = run(zone, "show", waiting(zone), "--no-values", *form)

    assert "day and month exchanged" in said
    for value in ("Ann", "Madeup", "2012-03-04", "QA1", "H801200001001"):
        assert value not in said


def test_links_are_found_by_agent_and_by_learner(zone: Zone) -> None:
    assert {one["key"] for one in json.loads(run(zone, "links", "--json", "--agent", OTHER))} == {ONE, THREE}
    assert [one["agent"] for one in json.loads(run(zone, "links", "--json", "--learner", THREE.lower()))] == [OTHER]
    assert "its own" in run(zone, "links", "--learner", THREE)


def test_nothing_is_decided_in_a_zone_that_was_never_started(zone: Zone) -> None:
    with pytest.raises(ZoneError, match="never been started"):
        run(zone, "accept", waiting(zone))
    assert waiting(zone)


@pytest.fixture
def broker_url(zone: Zone, rabbit_node: PrivateNode, management: Management, vhost: str) -> str:
    """The URL of the broker's login, which the zone has in its credentials, as one that was started has."""
    management.apply_rights(vhost, {AgentId(BROKER_LOGIN): ("made-up-password", Permissions(".*", ".*", ".*"))})
    url = rabbit_node.amqp_url(vhost, BROKER_LOGIN, "made-up-password")
    zone.credentials(BROKER_LOGIN).parent.mkdir(parents=True, exist_ok=True)
    zone.credentials(BROKER_LOGIN).write_text(f'url = "{url}"\n')
    return url


def test_what_people_decide_reaches_the_agent_over_rabbitmq(zone: Zone, broker_url: str) -> None:
    match = waiting(zone)
    with AmqpTransport(AmqpSettings(url=broker_url)) as transport:
        transport.declare(zone_topology(1) + agent_topology(SENDER))
        transport.consume([agent_queue(SENDER)])

        def heard() -> tuple[Place, ...]:
            found = next(iter(transport.poll(10)))
            transport.ack(found.tag)
            return parse_relocated(parse_message(found.body))

        assert ONE in run(zone, "accept", match)
        assert heard() == (Place(TWO, Outcome.FOUND, ONE),)
        run(zone, "undo", match)
        assert heard() == (Place(TWO, Outcome.NEW, TWO),)
        run(zone, "tell", match)
        assert heard() == (Place(TWO, Outcome.NEW, TWO),)


@pytest.mark.usefixtures("broker_url")
def test_an_agent_that_the_zone_does_not_reach_is_named(zone: Zone) -> None:
    with open_store(zone.database_url, zone.key_file) as store:
        identity_desk.answer(store, AgentId("gone"), [Claim(RefId("D" * 32), "B801200005001")], 1_790_000_000.0)
        (link,) = store.links(agent="gone")

    assert "gone is not told" in " ".join(run(zone, "undo", link.id).split())
