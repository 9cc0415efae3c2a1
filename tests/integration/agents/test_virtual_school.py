"""The virtual school's agent, from what is delivered to its tables, its commands and its mail."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree
from typer.testing import CliRunner

from agents import Agent, Limits
from agents.virtual_school.cli import app
from agents.virtual_school.options import DATABASE_VARIABLE
from agents.virtual_school.reading import OBJECTS
from broker.protocol.envelope import Action, build_event, local_name, new_header
from broker.protocol.identifiers import AgentId
from broker.transports import MemoryBroker, MemoryTransport
from tests.integration.agents.zones import SmallZone
from tests.unit.agents.virtual_school.objects import YAR, ZED, exclusion, learner, transfer, two_learners
from tests.unit.agents.virtual_school.post import running_post_office

QUICK = Limits(idle=timedelta(seconds=0.2), patience=timedelta(seconds=20))


def test_what_is_delivered_is_shown_by_the_commands_and_news_are_told_by_the_end_of_a_pass(
    memory: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)

    def pass_with(*elements: etree._Element, action: Action = Action.ADD) -> None:
        zone = SmallZone(MemoryTransport(memory, "zone"))
        for element in elements:
            header = new_header(AgentId("zone"))
            zone.send(
                "platform",
                build_event(header, ((local_name(element), action, etree.tostring(element)),)),
                header.msg_id,
            )
        with zone, Agent.from_file(file, lambda: MemoryTransport(memory, "platform")) as agent:
            agent.run(once=True, limits=QUICK)
            assert agent.failed() == []

    def roll() -> dict[str, dict[str, str]]:
        shown = CliRunner().invoke(app, ["roll", str(file), "--today", "2026-11-16", "-f", "json"])
        assert shown.exit_code == 0, shown.stderr
        return {row["ref_id"]: row for row in json.loads(shown.stdout)}

    with running_post_office() as office:
        file = tmp_path / "virtual-school.toml"
        file.write_text(
            'id = "platform"\n[target]\nconnector = "virtual-school"\ndatabase = "sqlite:///vs.db"\n'
            f'[target.notices]\nhost = "127.0.0.1"\nport = {office.port}\nsecurity = "none"\nwhen = "at-once"\n'
            'sender = "vs@example.org"\nrecipients = ["o@example.org"]\nlink = "https://vs.example.org/{ref}"\n'
        )
        objects = two_learners()
        pass_with(*(element for object_type in OBJECTS for element in objects.all(object_type)))
        assert {ref_id: row["name"] for ref_id, row in roll().items()} == {
            ZED: "Quill, Zephyrine",
            YAR: "Yarrow, Wilf",
        }
        office.all()

        objects.put(learner(family="Quillfeather"), transfer(), exclusion())
        changed = [next(objects.all("LearnerPersonal")), next(objects.all("LearnerTransfer"))]
        pass_with(*changed, action=Action.CHANGE)
        said = "".join(str(mail.get_body()) for mail in office.all())
        assert "Z. Q.: a change of school has begun" in said
        assert "Quill" not in said
        assert (roll()[ZED]["name"], roll()[ZED]["transfer"]) == ("Quillfeather, Zephyrine", "Schools notified")

        gone = [one for one in objects.all("LearnerPersonal") if one.get("RefId") == YAR]
        pass_with(*gone, action=Action.DELETE)
        assert set(roll()) == {ZED}
        assert "W. Y.: left the roll" in "".join(str(mail.get_body()) for mail in office.all())
