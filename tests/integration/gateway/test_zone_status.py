"""SIF_ZoneStatus and SIF_AgentACL over HTTP: valid, complete, and as agents in use can read them."""

import pytest
from lxml import etree

from tests.integration.gateway.conftest import Pair, Pushed, Zoned
from tests.integration.gateway.sif import NS, SECTIONS, Agent, listed

VERSIONS = ("2.0", "2.0r1", "2.1", "2.3", "2.4", "2.5", "2.6")


def status_of(agent: Agent) -> etree._Element:
    return agent.control("SIF_GetZoneStatus").data("SIF_ZoneStatus")


def acl_of(agent: Agent) -> etree._Element:
    return agent.control("SIF_GetAgentACL").data("SIF_AgentACL")


def names(element: etree._Element) -> list[str]:
    return [etree.QName(child).localname for child in element]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("command", ["SIF_GetZoneStatus", "SIF_GetAgentACL"])
def test_both_are_valid_by_the_message_schema(pair: Pair, version: str, command: str) -> None:
    mis, _ = pair
    mis.version = version
    mis.provide("LearnerPersonal")

    answer = mis.control(command)

    assert answer.code == 0
    assert answer.findings == ()


# -- SIF_AgentACL ---------------------------------------------------------------------------------------------------


def test_the_rights_have_all_seven_sections_in_order_and_no_others(solo: Agent) -> None:
    assert names(acl_of(solo)) == [f"SIF_{name}Access" for name in SECTIONS]


def test_each_object_in_the_rights_has_its_contexts(zoned: Zoned) -> None:
    agent = zoned.agent("everybody")
    agent.register()

    found = {
        etree.QName(section).localname: {
            item.get("ObjectName"): [context.text for context in item.iter(NS + "SIF_Context")] for item in section
        }
        for section in acl_of(agent)
    }

    school = {"SchoolInfo": ["SIF_Default", "c-2"]}
    assert found == {f"SIF_{name}Access": school for name in SECTIONS} | {
        "SIF_SubscribeAccess": school | {"SIF_LogEntry": ["SIF_Default"]}
    }


def test_the_rights_say_nothing_of_what_an_agent_may_not(pair: Pair) -> None:
    _, vle = pair

    empty = [etree.QName(section).localname for section in acl_of(vle) if not len(section)]

    assert empty == [
        "SIF_ProvideAccess",
        "SIF_PublishAddAccess",
        "SIF_PublishChangeAccess",
        "SIF_PublishDeleteAccess",
        "SIF_RespondAccess",
    ]


def test_the_rights_in_the_answer_to_a_registration_are_the_same(zoned: Zoned) -> None:
    agent, _ = zoned.pair()

    registered = agent.register().data("SIF_AgentACL")

    assert etree.tostring(registered, method="c14n") == etree.tostring(acl_of(agent), method="c14n")


# -- SIF_ZoneStatus -------------------------------------------------------------------------------------------------


def test_the_status_has_the_zones_id_which_is_its_source_id(solo: Agent) -> None:
    answer = solo.control("SIF_GetZoneStatus")

    assert answer.data("SIF_ZoneStatus").get("ZoneId") == "conformance"
    assert answer.text("SIF_Header/SIF_SourceId") == "conformance"


def test_the_status_names_a_protocol_with_the_codings_it_takes_and_an_address_without_a_secret(
    solo: Agent, zoned: Zoned
) -> None:
    protocols = status_of(solo).findall(f"{NS}SIF_SupportedProtocols/{NS}SIF_Protocol")

    assert [(found.get("Type"), found.get("Secure")) for found in protocols] == [("HTTP", "No")]
    url = protocols[0].findtext(NS + "SIF_URL")
    assert url == f"http://127.0.0.1:{zoned.running.gateway_port}/zones/conformance"
    assert protocols[0].findtext(f"{NS}SIF_Property/{NS}SIF_Name") == "Accept-Encoding"
    assert "gzip" in (protocols[0].findtext(f"{NS}SIF_Property/{NS}SIF_Value") or "")


def test_the_status_lists_versions_without_wildcards(solo: Agent) -> None:
    found = [version.text or "" for version in status_of(solo).iterfind(f"{NS}SIF_SupportedVersions/{NS}SIF_Version")]

    assert found == list(dict.fromkeys(found))
    assert {"2.0r1", "2.1", "2.6"} <= set(found)
    assert not any("*" in version for version in found)


def test_the_status_names_the_contexts_of_the_zone(solo: Agent) -> None:
    found = [context.text for context in status_of(solo).iterfind(f"{NS}SIF_Contexts/{NS}SIF_Context")]

    assert found == ["SIF_Default", "c-2", "estab-8209901"]


def test_the_status_leaves_out_lists_that_would_be_empty(zoned: Zoned) -> None:
    agent = zoned.agent("adder")
    agent.register()

    found = names(status_of(agent))

    assert "SIF_Subscribers" not in found
    assert "SIF_Providers" not in found
    assert "SIF_AddPublishers" in found
    assert "SIF_DeletePublishers" not in found


def test_the_status_lists_only_true_providers(asking: Pair, zoned: Zoned) -> None:
    mis, _ = asking
    other, _ = zoned.pair()
    other.register()
    other.provision({"Respond": listed("LearnerPersonal")})

    status = status_of(other)
    providers = [found.get("SourceId") for found in status.iterfind(f"{NS}SIF_Providers/{NS}SIF_Provider")]
    responders = [found.get("SourceId") for found in status.iterfind(f"{NS}SIF_Responders/{NS}SIF_Responder")]

    assert providers == [mis.id]
    assert other.id in responders


def test_the_publisher_lists_hold_publishers_by_right(pair: Pair) -> None:
    mis, _ = pair

    status = status_of(mis)

    for name in ("SIF_AddPublishers", "SIF_ChangePublishers", "SIF_DeletePublishers"):
        assert [found.get("SourceId") for found in status.iterfind(f"{NS}{name}/{NS}SIF_Publisher")] == [mis.id]


def node(status: etree._Element, agent: str) -> etree._Element:
    for found in status.iterfind(f"{NS}SIF_SIFNodes/{NS}SIF_SIFNode"):
        if found.findtext(NS + "SIF_SourceId") == agent:
            return found
    raise AssertionError(f"no node {agent}")


def test_the_status_says_how_each_agent_is_registered(zoned: Zoned) -> None:
    agent, _ = zoned.pair()
    agent.register(buffer=65_536, versions=("2.4", "2.0r*"))

    found = node(status_of(agent), agent.id)

    assert found.get("Type") == "Agent"
    said = {name: found.findtext(NS + name) for name in ("SIF_Mode", "SIF_MaxBufferSize", "SIF_Sleeping")}
    assert said == {"SIF_Mode": "Pull", "SIF_MaxBufferSize": "65536", "SIF_Sleeping": "No"}
    assert [v.text for v in found.iterfind(f"{NS}SIF_VersionList/{NS}SIF_Version")] == ["2.4", "2.0r*"]


def test_the_status_says_who_sleeps(pair: Pair) -> None:
    mis, vle = pair
    vle.control("SIF_Sleep")

    status = status_of(mis)

    assert node(status, vle.id).findtext(NS + "SIF_Sleeping") == "Yes"
    assert node(status, mis.id).findtext(NS + "SIF_Sleeping") == "No"


def test_the_status_does_not_tell_where_others_are_pushed_to(pushed: Pushed) -> None:
    mis, vle, target = pushed(lambda _message: 1)

    answer = mis.control("SIF_GetZoneStatus")

    assert node(answer.data("SIF_ZoneStatus"), vle.id).findtext(NS + "SIF_Mode") == "Push"
    assert target.url.encode() not in answer.body


def test_the_status_lists_the_zone_itself_and_nobody_who_has_left(pair: Pair) -> None:
    mis, vle = pair

    def listed() -> list[tuple[str | None, str | None]]:
        nodes = status_of(mis).iterfind(f"{NS}SIF_SIFNodes/{NS}SIF_SIFNode")
        return [(item.get("Type"), item.findtext(NS + "SIF_SourceId")) for item in nodes]

    before = listed()
    assert ("Agent", vle.id) in before

    vle.send("SIF_Unregister")

    found = listed()
    assert found[0] == ("ZIS", "conformance")
    assert ("Agent", mis.id) in found
    assert ("Agent", vle.id) not in found
