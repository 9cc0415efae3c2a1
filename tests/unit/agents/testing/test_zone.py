"""The zone for the tests of agents, beyond what it has in common with a running one."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

import agents.testing.zone
from agents import Answer
from agents.testing import Agreement, NotQuiet, Zone, ZoneAgent, sample
from broker.protocol.envelope import Action, build_event, new_header
from broker.protocol.errors import ConfigurationError, NotWellFormed
from broker.protocol.identifiers import AgentId
from broker.settings import load_zone

SCHOOL = ZoneAgent("mis-1", establishments=["8209901"], publish=["SchoolInfo", "LearnerPersonal"])
PLATFORM = ZoneAgent("platform", subscribe=["SchoolInfo", "LearnerPersonal"])
SCHOOLS = Agreement({"SchoolInfo": ["*"], "LearnerPersonal": ["*"]}, ["platform"], ["mis-*"])


def test_an_agents_file_is_run_with_its_sources_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "learners.csv").write_text("UPN,Surname\nA820990126001,Quill\nT820990126003,Vane\n")
    (tmp_path / "learners.toml").write_text(
        'object = "LearnerPersonal"\nkey = ["UPN"]\n[fields]\n"UPN" = "UPN"\n'
        '"PersonalInformation/Name[@Type=\'C\']/FamilyName" = "Surname"\n'
    )
    file = tmp_path / "agent.toml"
    file.write_text(
        'id = "mis-1"\nsettle = "1h"\n[[source]]\nconnector = "csv"\n'
        'path = "exports/*.csv"\nmapping = ["learners.toml"]\n'
    )
    before = sorted(tmp_path.rglob("*"))
    with Zone([SCHOOL, PLATFORM], [SCHOOLS]) as zone:
        zone.agent(file)
        zone.run_until_quiet()
        names = {element.findtext(".//{*}FamilyName") for element in zone.objects("platform", "LearnerPersonal")}
        zone.run_until_quiet()

        assert names == {"Quill", "Vane"}
        assert [event.action for event in zone.inbox("platform")] == [Action.ADD, Action.ADD]
    assert sorted(tmp_path.rglob("*")) == before


def test_it_is_set_up_as_a_zones_folder_says_and_leaves_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "agreements").mkdir()
    lines = ['id = "made-up"\ndatabase = "postgresql://nowhere.example.org/zone"\n', SCHOOL.toml(), PLATFORM.toml()]
    (tmp_path / "zone.toml").write_text("\n".join(lines))
    (tmp_path / "agreements" / "schools.toml").write_text(SCHOOLS.toml())
    with Zone.from_folder(tmp_path) as zone:
        zone.agent("mis-1").publish(sample("SchoolInfo"))
        zone.run_until_quiet()

        assert len(zone.inbox("platform")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"agreements", "zone.toml"}


def test_an_agreement_ends_when_time_has_passed() -> None:
    until = Agreement({"SchoolInfo": ["*"]}, ["platform"], expires=date(2026, 12, 31))
    with Zone([SCHOOL, PLATFORM], [until], now=datetime(2026, 12, 31, 12, tzinfo=UTC)) as zone:
        school = zone.agent("mis-1")
        school.publish(sample("SchoolInfo"), Action.ADD)
        zone.run_until_quiet()
        zone.pass_time(timedelta(days=1))
        school.publish(sample("SchoolInfo"), Action.CHANGE)
        zone.run_until_quiet()

        assert [event.action for event in zone.inbox("platform")] == [Action.ADD]
        assert school.refusals() == []


def test_nothing_is_taken_from_an_agent_before_it_has_registered() -> None:
    school_info = etree.tostring(sample("SchoolInfo"))
    first, second = (
        build_event(new_header(AgentId("mis-1")), (("SchoolInfo", Action.ADD, school_info),)) for _ in range(2)
    )
    with Zone([SCHOOL, PLATFORM], [SCHOOLS]) as zone:
        zone.send("mis-1", first)
        zone.run_until_quiet()
        before = len(zone.inbox("platform"))
        zone.send("mis-1", second)
        zone.run_until_quiet()

        assert (before, len(zone.inbox("platform"))) == (0, 1)


def test_what_is_no_message_is_not_sent() -> None:
    with Zone([SCHOOL]) as zone, pytest.raises(NotWellFormed):
        zone.send("mis-1", b"<SIF_Message>")


def test_agents_that_answer_each_other_without_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.testing.zone, "_TURNS", 40)
    asks = ZoneAgent("asks", rights={"SchoolInfo": ["request"]})
    with Zone([asks]) as zone:
        agent = zone.agent("asks")

        @agent.answer("SchoolInfo")
        def ask_again(_answer: Answer) -> None:
            agent.request("SchoolInfo")

        agent.request("SchoolInfo")
        with pytest.raises(NotQuiet):
            zone.run_until_quiet()


def test_an_agent_that_is_not_set_up_is_refused_with_the_names_of_those_that_are() -> None:
    with Zone([SCHOOL, PLATFORM]) as zone, pytest.raises(ConfigurationError, match="mis-1, platform"):
        zone.agent("mis-2")


def test_a_zone_that_cannot_be_set_up_says_what_is_wrong_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.testing.zone, "_MEMORY", tmp_path)
    wrong = ZoneAgent("mis-1", publish=["LearnerPersonel"])
    with pytest.raises(ConfigurationError, match="LearnerPersonal"), Zone([wrong]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_for_the_administrator_is_what_was_meant(tmp_path: Path) -> None:
    odd = ZoneAgent(
        "mis.1", 'The "MIS"\\\x7f\n', ["8209901"], "820", provide=["SchoolGroup"], rights={"SchoolInfo": ["request"]}
    )
    (tmp_path / "zone.toml").write_text(f'id = "odd"\n{odd.toml()}', encoding="utf-8")

    read = tomllib.loads(odd.toml())["agents"]["mis.1"]
    assert (read["name"], read["authority"], read["establishments"]) == (odd.name, "820", ["8209901"])
    assert (read["provide"], read["rights"]) == (["SchoolGroup"], {"SchoolInfo": ["request"]})
    assert list(load_zone(tmp_path).registry.agents) == ["mis.1"]
