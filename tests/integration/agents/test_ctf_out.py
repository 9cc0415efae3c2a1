"""The agent of schools without one, from the delivery of a record to what the zone is told of its file."""

from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from agents import Agent, Limits
from agents.connectors.ctf_out import TAKEN
from broker.protocol.envelope import LOOKED_AFTER, Action, build_event, local_name, new_header
from broker.protocol.identifiers import AgentId
from broker.transports import MemoryBroker, MemoryTransport
from tests.integration.agents.zones import SmallZone
from tests.unit.agents.test_ctf_out_target import FIRST, SECOND, WHOLE, transfer

QUICK = Limits(idle=timedelta(seconds=0.2), patience=timedelta(seconds=20))
OLD = ["NT", "CP", "SE", "DE"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The agent's file."""
    path = tmp_path / "ctf-out.toml"
    path.write_text('id = "platform"\n[target]\nconnector = "ctf-out"\npath = "out"\n')
    return path


def test_a_record_becomes_a_file_that_the_zone_hears_of_in_one_pass_and_each_step_once(
    memory: MemoryBroker, file: Path, tmp_path: Path
) -> None:
    told: list[str] = []

    def pass_with(*elements: etree._Element, action: Action = Action.ADD) -> None:
        zone = SmallZone(MemoryTransport(memory, "zone"))
        for element in elements:
            header = new_header(AgentId("zone"))
            body = build_event(header, ((local_name(element), action, etree.tostring(element)),))
            zone.send("platform", body, header.msg_id)
        with zone, Agent.from_file(file, lambda: MemoryTransport(memory, "platform")) as agent:
            agent.run(once=True, limits=QUICK)
            assert agent.failed() == []
        for incoming in zone.taken:
            found = etree.fromstring(incoming.body).find(f".//{{{LOOKED_AFTER}}}LearnerTransfer")
            assert found is not None
            name = found.findtext(f"{{{LOOKED_AFTER}}}CTF/{{{LOOKED_AFTER}}}FileName")
            told.append(f"{incoming.headers['action']} {found.findtext(f'{{{LOOKED_AFTER}}}Status')} {name}")

    pass_with(*WHOLE, transfer())
    assert told == [f"Change SE {FIRST}"]

    (tmp_path / "out" / FIRST).rename(tmp_path / "out" / TAKEN / FIRST)
    pass_with()
    assert told[1:] == [f"Change DE {FIRST}"]

    pass_with(transfer("RJ", history=OLD, ctf=FIRST), action=Action.CHANGE)
    assert told[2:] == [f"Change SE {SECOND}"]
    assert [path.name for path in (tmp_path / "out").glob("[!.]*.xml")] == [SECOND]

    pass_with(transfer("CA", history=[*OLD, "RJ"]), action=Action.CHANGE)
    pass_with(transfer(), action=Action.DELETE)
    assert told[3:] == []
