"""What the zone tells of itself and of an agent's rights: whole, in SIF's order, and only what is so."""

from dataclasses import replace
from typing import Final

import pytest
from lxml import etree

import schemas
from broker.protocol.envelope import NAMESPACE, Ack, build_ack, local_name
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context
from broker.registry import (
    AgentRecord,
    Channel,
    Live,
    Mode,
    Provision,
    Registration,
    Registry,
    Role,
    Topic,
    grants,
)
from broker.zone_status import SUPPORTED_VERSIONS, ZoneIdentity, build_acl, build_zone_status
from tests.unit.broker.builders import MERLIN, MIS, MSG_ID, NS, agent, header

PERSONAL: Final = "LearnerPersonal"
EXAMS: Final = Context("exams")
ZONE: Final = ZoneIdentity(AgentId("quarrington"), "Quarrington & district")
MAY_ALL: Final = agent(
    MIS,
    rights=[(role, topic) for role in Role for topic in (Topic(PERSONAL), Topic(PERSONAL, EXAMS), Topic("TermInfo"))],
)
PROVIDES: Final = AgentRecord(
    MERLIN,
    "Merlin",
    rights=grants([(Role.PROVIDE, Topic(PERSONAL))]),
    standing=grants([(Role.PROVIDE, Topic(PERSONAL))]),
)
SAYS_ALL: Final = Provision(grants((role, Topic(PERSONAL)) for role in Role), frozenset({Topic(PERSONAL)}))
LISTS: Final = (
    "SIF_Providers",
    "SIF_Subscribers",
    "SIF_AddPublishers",
    "SIF_ChangePublishers",
    "SIF_DeletePublishers",
    "SIF_Responders",
    "SIF_Requesters",
)


def said(name: AgentId = MIS, **more: object) -> Registration:
    return replace(Registration(name, name.title(), "2.4", 1.0), **more)  # type: ignore[arg-type]  # fields by name


def parsed(data: bytes) -> etree._Element:
    """Return *data* as agents get it: in an acknowledgement that is valid as a whole."""
    message = etree.fromstring(build_ack(header(ZONE.id), Ack(MIS, MSG_ID, status=0, data=data)))
    assert schemas.check_message(message) == ()
    return next(message.iter(NS + "SIF_Data"))[0]


def status(
    *registrations: Registration,
    agents: tuple[AgentRecord, ...] = (MAY_ALL,),
    said_to_do: Provision | None = None,
    zone: ZoneIdentity = ZONE,
) -> etree._Element:
    live = Live({one.agent: one for one in registrations}, {MIS: said_to_do} if said_to_do else {})
    return parsed(build_zone_status(zone, Registry.of(agents, live)))


def entries(found: etree._Element, tag: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Return the objects of a list with their contexts, by agent; empty when there is no such list."""
    whole = found.find(NS + tag)
    return {
        one.get("SourceId", ""): [
            (item.get("ObjectName", ""), [context.text or "" for context in item.iter(NS + "SIF_Context")])
            for item in one.iter(NS + "SIF_Object")
        ]
        for one in (() if whole is None else whole)
    }


def node(found: etree._Element, source: str) -> dict[str, str]:
    (one,) = [n for n in found.iter(NS + "SIF_SIFNode") if n.findtext(NS + "SIF_SourceId") == source]
    return {local_name(child): child.text or "" for child in one}


# --- SIF_AgentACL ------------------------------------------------------------------------------------------------


def test_an_acl_has_all_seven_sections_and_no_others_in_sifs_order() -> None:
    names = [local_name(section) for section in parsed(build_acl(agent("nobody")))]

    assert names == [
        "SIF_ProvideAccess",
        "SIF_SubscribeAccess",
        "SIF_PublishAddAccess",
        "SIF_PublishChangeAccess",
        "SIF_PublishDeleteAccess",
        "SIF_RequestAccess",
        "SIF_RespondAccess",
    ]


def test_every_object_of_an_acl_has_its_contexts() -> None:
    found = parsed(build_acl(MAY_ALL))

    for section in found:
        assert [
            (item.get("ObjectName"), [context.text for context in item.iter(NS + "SIF_Context")]) for item in section
        ] == [(PERSONAL, [DEFAULT_CONTEXT, EXAMS]), ("TermInfo", [DEFAULT_CONTEXT])]


def test_an_acl_tells_of_rights_and_each_in_its_own_section() -> None:
    one = agent(MIS, rights=[(Role.RESPOND, Topic("TermInfo")), (Role.PUBLISH_CHANGE, Topic(PERSONAL))])

    found = {local_name(section): [item.get("ObjectName") for item in section] for section in parsed(build_acl(one))}

    assert {name: objects for name, objects in found.items() if objects} == {
        "SIF_PublishChangeAccess": [PERSONAL],
        "SIF_RespondAccess": ["TermInfo"],
    }


# --- SIF_ZoneStatus ----------------------------------------------------------------------------------------------


def test_a_status_has_its_elements_in_sifs_order() -> None:
    zone = replace(ZONE, certificates=True)

    found = status(said(), said_to_do=SAYS_ALL, zone=zone)

    assert found.get("ZoneId") == "quarrington"
    assert [local_name(child) for child in found] == [
        "SIF_Name",
        "SIF_Vendor",
        *LISTS,
        "SIF_SIFNodes",
        "SIF_SupportedAuthentication",
        "SIF_SupportedProtocols",
        "SIF_SupportedVersions",
        "SIF_Contexts",
    ]


def test_a_list_that_would_be_empty_is_left_out() -> None:
    one = agent(MIS, rights=[(Role.REQUEST, Topic(PERSONAL))])

    found = status(said(), agents=(one,))

    assert [name for name in LISTS if found.find(NS + name) is not None] == ["SIF_Requesters"]
    assert found.find(NS + "SIF_SupportedAuthentication") is None


def test_a_zone_in_which_nobody_registered_lists_itself_alone() -> None:
    found = status(said_to_do=SAYS_ALL)

    assert [name for name in LISTS if found.find(NS + name) is not None] == []
    assert node(found, "quarrington")["SIF_Mode"] == "Push"
    assert len(list(found.iter(NS + "SIF_SIFNode"))) == 1


def test_who_says_and_may_do_a_thing_is_in_its_list_and_publishers_and_requesters_by_right_alone() -> None:
    nothing, everything = status(said()), status(said(), said_to_do=SAYS_ALL)
    by_right = [(PERSONAL, [DEFAULT_CONTEXT, EXAMS]), ("TermInfo", [DEFAULT_CONTEXT])]

    for name in ("SIF_Providers", "SIF_Subscribers", "SIF_Responders"):
        assert entries(nothing, name) == {}
        assert entries(everything, name) == {MIS: [(PERSONAL, [DEFAULT_CONTEXT])]}
    for name in LISTS[2:5] + LISTS[6:]:
        assert entries(nothing, name) == entries(everything, name) == {MIS: by_right}


def test_only_the_true_provider_is_listed_as_one() -> None:
    found = status(said(MIS), said(MERLIN), agents=(MAY_ALL, PROVIDES), said_to_do=SAYS_ALL)

    assert entries(found, "SIF_Providers") == {MERLIN: [(PERSONAL, [DEFAULT_CONTEXT])]}
    assert entries(found, "SIF_Responders") == {MIS: [(PERSONAL, [DEFAULT_CONTEXT])]}


def test_a_provider_that_has_not_registered_is_not_listed() -> None:
    assert entries(status(said(MIS), agents=(MAY_ALL, PROVIDES)), "SIF_Providers") == {}


def test_who_answers_extended_queries_is_told_where_queries_matter() -> None:
    found = status(said(), said_to_do=SAYS_ALL)

    told = {
        name: [support.text for support in whole.iter(NS + "SIF_ExtendedQuerySupport")]
        for name in LISTS
        if (whole := found.find(NS + name)) is not None
    }
    assert told["SIF_Providers"] == told["SIF_Responders"] == ["true"]
    assert told["SIF_Requesters"] == ["true", "false"]
    assert [name for name in LISTS[1:5] if told[name]] == []


def test_a_node_tells_what_an_agent_said_of_itself_and_not_where_it_is() -> None:
    one = said(
        versions=("2.1", "2.*"),
        max_buffer=262_144,
        mode=Mode.PUSH,
        url="https://mis.example/in/S3CRET/",
        protocol="HTTPS",
        secure=True,
        vendor="Made up & Sons",
        node_version="3.1",
        application=("Made up & Sons", "Larkrise <MIS>", "9"),
        channel=Channel(3, 4),
    )

    found = status(one)

    told = node(found, MIS)
    assert list(told) == [
        "SIF_Name",
        "SIF_NodeVendor",
        "SIF_NodeVersion",
        "SIF_Application",
        "SIF_SourceId",
        "SIF_Mode",
        "SIF_Protocol",
        "SIF_VersionList",
        "SIF_AuthenticationLevel",
        "SIF_EncryptionLevel",
        "SIF_MaxBufferSize",
        "SIF_Sleeping",
    ]
    assert (told["SIF_NodeVendor"], told["SIF_MaxBufferSize"], told["SIF_Mode"]) == ("Made up & Sons", "262144", "Push")
    assert (told["SIF_AuthenticationLevel"], told["SIF_EncryptionLevel"]) == ("3", "4")
    assert b"S3CRET" not in etree.tostring(found)


@pytest.mark.parametrize(("sleeping", "told"), [(True, "Yes"), (False, "No")])
def test_it_is_told_whether_an_agent_sleeps(sleeping: bool, told: str) -> None:
    assert node(status(said(sleeping=sleeping)), MIS)["SIF_Sleeping"] == told


def test_who_is_not_in_the_zone_any_more_is_no_node() -> None:
    found = status(said(MIS), said(AgentId("former")))

    assert [one.findtext(NS + "SIF_SourceId") for one in found.iter(NS + "SIF_SIFNode")] == ["quarrington", MIS]


@pytest.mark.parametrize(
    ("urls", "told"),
    [
        (None, [("HTTP", "No", None)]),
        ({}, [("HTTP", "No", None)]),
        ({"HTTPS": "https://zone.example/q"}, [("HTTPS", "Yes", "https://zone.example/q")]),
    ],
    ids=["no gateway", "no address", "HTTPS"],
)
def test_there_is_always_a_protocol_that_takes_compressed_messages(
    urls: dict[str, str] | None, told: list[tuple[str, str, str | None]]
) -> None:
    found = status(zone=replace(ZONE, urls=urls))

    protocols = found.findall(f"{NS}SIF_SupportedProtocols/{NS}SIF_Protocol")
    assert [(one.get("Type"), one.get("Secure"), one.findtext(NS + "SIF_URL")) for one in protocols] == told
    for one in protocols:
        assert one.findtext(f"{NS}SIF_Property/{NS}SIF_Name") == "Accept-Encoding"
        assert "gzip" in (one.findtext(f"{NS}SIF_Property/{NS}SIF_Value") or "")


def test_versions_and_contexts_of_the_zone_are_told() -> None:
    found = status()

    assert [one.text for one in found.iterfind(f"{NS}SIF_SupportedVersions/{NS}SIF_Version")] == [*SUPPORTED_VERSIONS]
    assert [one.text for one in found.iterfind(f"{NS}SIF_Contexts/{NS}SIF_Context")] == [DEFAULT_CONTEXT, EXAMS]


@pytest.mark.parametrize("name", ["", "x" * 200], ids=["none", "too long"])
def test_the_zones_name_always_fits(name: str) -> None:
    assert status(zone=replace(ZONE, name=name)).findtext(NS + "SIF_Name") == (name[:64] or "quarrington")


def test_nothing_of_it_is_in_another_namespace() -> None:
    found = status(said(), said_to_do=SAYS_ALL)

    assert {etree.QName(one).namespace for one in found.iter()} == {NAMESPACE}
