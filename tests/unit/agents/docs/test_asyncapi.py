"""The AsyncAPI document: whole in itself, and the same as what RabbitMQ is told and agents may do."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import schemas
from agents.docs.asyncapi import CONTROL_MESSAGES, asyncapi, zone_facts
from agents.docs.cli import app
from agents.zone_files import ZoneAgent
from broker.control import _HANDLERS
from broker.protocol.topology import agent_topology, zone_topology
from broker.settings import load_zone

ROOT = Path(__file__).parents[4]
AGENTS = (
    ZoneAgent("mis-1", "MIS", ["8209901"], publish=["LearnerPersonal", "SchoolInfo"], provide=["SchoolGroup"]),
    ZoneAgent(
        "platform",
        subscribe=["LearnerPersonal", "SIF_LogEntry"],
        rights={"SchoolGroup": ["request"], "SchoolInfo": ["publish-add"]},
    ),
    ZoneAgent("idle"),
)
CHECK = """
const {Parser} = require(process.argv[1]);
let text = "";
process.stdin.on("data", part => text += part).on("end", async () => {
  const found = await new Parser().validate(text);
  console.log(JSON.stringify(found.filter(one => one.severity < 2)));
});
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zone with an agent that publishes, one that receives, one that does nothing and one at the gateway."""
    made = tmp_path_factory.mktemp("asyncapi") / "zone"
    made.mkdir()
    lines = ['id = "made-up"\npartitions = 2\nrabbitmq = "amqps://admin:secret@mq.example.org:5671"\n']
    lines += [agent.toml() for agent in AGENTS]
    lines.append('[agents.old]\nname = "Old"\nsubscribe = ["LearnerPersonal"]\n[agents.old.gateway]\n')
    (made / "zone.toml").write_text("\n".join(lines))
    return made


@pytest.fixture(scope="module")
def of_zone(folder: Path) -> dict[str, Any]:
    """The document of that zone."""
    return asyncapi(zone_facts(folder))


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(document: dict[str, Any], reference: str) -> object:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def objects_of(document: dict[str, Any], operation: str) -> set[str]:
    """Return the objects of the events that an operation has."""
    names = [one["$ref"].rpartition("/")[2] for one in document["operations"][operation]["messages"]]
    return {name.removeprefix("SIF_Event.") for name in names if name.startswith("SIF_Event.")}


def test_every_reference_leads_somewhere_and_operations_use_their_channels_messages(of_zone: dict[str, Any]) -> None:
    for document in (asyncapi(), of_zone):
        found = list(references(document))
        assert len(found) > 40
        assert all(resolved(document, reference) for reference in found)
        for operation in document["operations"].values():
            channel = operation["channel"]["$ref"]
            assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])


def test_every_queue_and_exchange_is_as_rabbitmq_is_told(folder: Path, of_zone: dict[str, Any]) -> None:
    zone = load_zone(folder)
    topology = zone_topology(2)
    for agent in zone.registry.agents.values():
        topology += agent_topology(agent.id)
    channels = of_zone["channels"]
    queues = {queue.name: dict(queue.arguments) for queue in topology.queues if queue.name != "agent.old"}
    exchanges = {exchange.name: exchange.kind for exchange in topology.exchanges}

    said = {name: channel for name, channel in channels.items() if channel["bindings"]["amqp"]["is"] == "queue"}
    assert {name: channel["x-queue-arguments"] for name, channel in said.items()} == queues
    for name in ("intake", "control"):
        exchange = channels[name]["bindings"]["amqp"]["exchange"]
        assert exchanges[exchange["name"]] == exchange["type"]
        assert exchange["vhost"] == "made-up"


def test_each_agent_does_what_it_has_a_right_to_and_nothing_else(of_zone: dict[str, Any]) -> None:
    assert objects_of(of_zone, "agent.mis-1.publish") == {"LearnerPersonal", "SchoolInfo"}
    assert "SchoolInfo (Add)" in of_zone["operations"]["agent.platform.publish"]["summary"]
    assert objects_of(of_zone, "agent.platform.events") == {"LearnerPersonal", "SIF_LogEntry"}
    assert {name for name in of_zone["operations"] if name.startswith("agent.idle")} == {
        "agent.idle.control",
        "agent.idle.told",
    }
    assert "agent.mis-1.answer" in of_zone["operations"]
    assert "agent.mis-1.request" not in of_zone["operations"]
    assert "agent.old" not in of_zone["channels"]
    assert "old" in of_zone["info"]["description"]


def test_where_the_zone_is_it_says_and_no_secret(of_zone: dict[str, Any]) -> None:
    server = of_zone["servers"]["rabbitmq"]
    assert (server["host"], server["protocol"], server["pathname"]) == ("mq.example.org:5671", "amqps", "/made-up")
    assert "secret" not in json.dumps(of_zone)


def test_without_a_zone_it_has_every_object_of_which_there_may_be_events_with_its_schema_file() -> None:
    document = asyncapi()
    known = schemas.load()
    described = document["components"]["schemas"]
    events = {name for name in known.objects if known.note(name).events != "none"}

    assert set(described) == events | {"SIF_Message"}
    assert all((ROOT / one["x-xsd"]).is_file() for one in described.values())
    assert described["LearnerContact"]["x-keys"] == ["@LearnerPersonalRefId", "@ContactPersonalRefId"]
    assert "PersonalInformation (mandatory)" in described["LearnerPersonal"]["description"]


def test_it_knows_every_control_message_that_the_zone_takes() -> None:
    assert list(CONTROL_MESSAGES) == list(_HANDLERS)


def test_the_command_writes_it_and_says_what_is_wrong_with_a_zone(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "zone.json"
    done = CliRunner().invoke(app, ["asyncapi", "--zone", str(folder), "--out", str(file)])
    printed = CliRunner().invoke(app, ["asyncapi"])
    failed = CliRunner().invoke(app, ["asyncapi", "--zone", str(tmp_path)])

    assert done.exit_code == 0
    assert re.fullmatch(r"Wrote .*zone.json: 9 channels, \d+ operations.\n", done.output)
    assert json.loads(file.read_text())["info"]["title"] == "Zone made-up"
    assert json.loads(printed.stdout)["asyncapi"] == "3.0.0"
    assert failed.exit_code == 2
    assert "has no zone.toml" in failed.output
    assert [path.name for path in tmp_path.iterdir()] == ["zone.json"]


@pytest.mark.skipif(
    "SIFZONE_ASYNCAPI_PARSER" not in os.environ, reason="SIFZONE_ASYNCAPI_PARSER names no folder of @asyncapi/parser"
)
@pytest.mark.parametrize("kind", ["any zone", "one zone"])
def test_the_official_parser_finds_no_fault(kind: str, of_zone: dict[str, Any]) -> None:
    document = asyncapi() if kind == "any zone" else of_zone
    done = subprocess.run(
        ["node", "-e", CHECK, os.environ["SIFZONE_ASYNCAPI_PARSER"]],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == []
