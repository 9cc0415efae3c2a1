"""Trying and certifying an agent of CSV files from the command line, in private zones on the run's own RabbitMQ."""

import json
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from agents.certify.cli import app as certify_app
from agents.certify.signing import verify
from agents.cli import app as agent_app
from broker.rabbitmq import PrivateNode

ROWS = """UPN,Legal Surname,Legal Forename,DOB,Sex
Z820990120001,Testperson,Ann,01/09/2014,F
M820990119001,Testperson,Bob,02/09/2014,M
X820990118001,Notmade,Carl,31/02/2014,M
"""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent that reads a CSV report, two rows of which are right."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "mis-8209901"
    (folder / "exports").mkdir(parents=True)
    (folder / "exports" / "pupils.csv").write_text(ROWS)
    (folder / "agent.toml").write_text(
        'id = "mis-8209901"\nzone = "amqp://mis-8209901:x@nowhere.example.org/zone"\n'
        '[[source]]\nconnector = "csv"\npath = "exports/*.csv"\nmapping = ["csv/learner"]\n'
    )
    return folder / "agent.toml"


@pytest.fixture
def server(rabbit_node: PrivateNode) -> list[str]:
    """Options that name the run's own node."""
    return ["--rabbitmq", rabbit_node.amqp_url("").rstrip("/"), "--management", rabbit_node.management_url]


def nothing_left(file: Path, node: PrivateNode) -> None:
    """Check that neither the agent's folder nor the RabbitMQ nor the machine has anything of the trial left."""
    assert sorted(path.name for path in file.parent.rglob("*")) == ["agent.toml", "exports", "pupils.csv"]
    login = (node.admin_user, node.admin_password)
    found = httpx.get(f"{node.management_url}/api/vhosts", auth=login).json()
    assert not [each["name"] for each in found if each["name"].startswith("trial-")]


def test_an_agent_is_tried_and_told_what_reaches_a_recipient(
    agent: Path, server: list[str], rabbit_node: PrivateNode
) -> None:
    result = CliRunner().invoke(agent_app, ["try", str(agent), *server])

    assert result.exit_code == 0, result.output
    assert "Rows are flowing: 2 objects of 3 rows reached the recipient." in result.output
    assert "row 4" in result.output
    assert "correct the date" in result.output
    assert "Testperson" not in result.output
    assert "[agents.mis-8209901]" in result.output
    assert f"sifzone certify {agent}" in result.output
    nothing_left(agent, rabbit_node)


def test_an_agent_is_certified_signed_and_verified(agent: Path, server: list[str], rabbit_node: PrivateNode) -> None:
    out = agent.parent.parent / "certificate"
    begun = time.monotonic()
    result = CliRunner().invoke(certify_app, [str(agent), "--quick", "--out", str(out), *server])
    seconds = time.monotonic() - begun

    assert result.exit_code == 0, result.output
    found = verify(out / "certificate.json").values
    outcomes = {check["name"]: check["outcome"] for stage in found["stages"] for check in stage["checks"]}
    assert (found["passed"], found["quick"], "fail" in outcomes.values()) == (True, True, False)
    assert outcomes["Killed in the midst of its work (kill -9) and started again, it loses nothing"] == "pass"
    assert outcomes["A message that is sent twice is delivered once"] == "pass"
    assert outcomes["No value of a record is in the zone's ledger"] == "pass"
    assert outcomes["Fields that are mapped arrive, so that the search means something"] == "pass"
    assert "Testperson" not in json.dumps(found)
    assert seconds < 60
    nothing_left(agent, rabbit_node)
