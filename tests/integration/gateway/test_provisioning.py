"""SIF_Provision and its parts: what an agent says it does, as far as it may, and who is whose provider."""

import pytest
from lxml import etree

from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import NS, Agent, contexts, learner, listed, new_id

ELSEWHERE = "estab-8209901"


def roles(agent: Agent, of: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Return what SIF_ZoneStatus says that an agent does: by list, its objects with their contexts."""
    status = agent.control("SIF_GetZoneStatus").data("SIF_ZoneStatus")
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for entry in status.iter():
        if isinstance(entry.tag, str) and entry.get("SourceId") == of:
            above = entry.getparent()
            assert above is not None
            found[etree.QName(above).localname] = [
                (item.get("ObjectName", ""), [c.text or "" for c in item.iter(NS + "SIF_Context")])
                for item in entry.iter(NS + "SIF_Object")
            ]
    return found


def test_a_provision_replaces_all_that_was_said_before(asking: Pair) -> None:
    mis, _ = asking
    assert mis.provision({"Provide": listed("SchoolInfo"), "Respond": listed("SchoolInfo")}).code == 0

    found = roles(mis, mis.id)

    assert found["SIF_Providers"] == [("SchoolInfo", ["SIF_Default"])]
    assert found["SIF_Responders"] == [("SchoolInfo", ["SIF_Default"])]


def test_an_empty_provision_ends_subscriptions(pair: Pair) -> None:
    mis, vle = pair

    assert vle.provision().code == 0

    assert mis.event(learner()).code == 0
    assert vle.drain() == []


def test_single_messages_add_and_take_away_single_entries(pair: Pair) -> None:
    mis, vle = pair
    assert vle.subscribe("SchoolInfo").code == 0
    assert mis.provide("LearnerPersonal", "SchoolInfo").code == 0
    assert len(roles(vle, vle.id)["SIF_Subscribers"]) == 2

    assert vle.send("SIF_Unsubscribe", listed("LearnerPersonal")).code == 0
    assert mis.send("SIF_Unprovide", listed("LearnerPersonal")).code == 0

    assert roles(vle, vle.id)["SIF_Subscribers"] == [("SchoolInfo", ["SIF_Default"])]
    assert roles(mis, mis.id)["SIF_Providers"] == [("SchoolInfo", ["SIF_Default"])]


def test_what_was_said_before_may_be_said_again(pair: Pair) -> None:
    mis, vle = pair

    assert [vle.subscribe("LearnerPersonal").code for _ in range(2)] == [0, 0]
    assert [mis.provide("LearnerPersonal").code for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("kind", ["SIF_Unprovide", "SIF_Unsubscribe"])
@pytest.mark.parametrize("name", ["LearnerPersonal", "TermInfo"])
def test_to_undo_what_was_never_done_is_a_success(solo: Agent, kind: str, name: str) -> None:
    assert solo.send(kind, listed(name)).code == 0


def test_a_subscription_without_contexts_is_in_the_default_one(pair: Pair) -> None:
    mis, vle = pair

    assert mis.event(learner(), header=contexts(ELSEWHERE)).code == 0
    body = mis.event_body(learner())
    mis.post(body)

    assert [message.body for message in vle.drain()] == [body]


def test_a_subscription_holds_in_the_contexts_that_it_names(pair: Pair) -> None:
    mis, vle = pair
    vle.send("SIF_Unsubscribe", listed("LearnerPersonal"))
    assert vle.subscribe("LearnerPersonal", contexts=(ELSEWHERE,)).code == 0

    mis.event(learner())
    body = mis.event_body(learner(), header=contexts(ELSEWHERE))
    mis.post(body)

    assert [message.body for message in vle.drain()] == [body]


@pytest.mark.parametrize(
    ("kind", "code"), [("SIF_Provide", (6, 3)), ("SIF_Subscribe", (7, 3))], ids=["provide", "subscribe"]
)
def test_an_object_that_there_is_not_is_refused(solo: Agent, kind: str, code: tuple[int, int]) -> None:
    assert solo.send(kind, listed("LearnerPersonel")).code == code


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("Provide", (4, 3)),
        ("Subscribe", (4, 4)),
        ("Request", (4, 5)),
        ("Respond", (4, 6)),
        ("PublishAdd", (4, 10)),
        ("PublishChange", (4, 11)),
        ("PublishDelete", (4, 12)),
    ],
)
def test_what_an_agent_has_no_right_to_is_refused_with_the_code_of_the_right(
    solo: Agent, section: str, code: tuple[int, int]
) -> None:
    assert solo.provision({section: listed("LearnerPersonal")}).code == code


@pytest.mark.parametrize(("kind", "code"), [("SIF_Provide", (4, 3)), ("SIF_Subscribe", (4, 4))])
def test_a_single_entry_needs_a_right_too(solo: Agent, kind: str, code: tuple[int, int]) -> None:
    assert solo.send(kind, listed("LearnerPersonal")).code == code


def test_a_context_that_there_is_not_is_refused(pair: Pair) -> None:
    _, vle = pair

    assert vle.subscribe("LearnerPersonal", contexts=("nowhere",)).code == (12, 4)


def test_a_right_in_one_context_is_none_in_another(pair: Pair) -> None:
    _, vle = pair

    assert vle.subscribe("SchoolInfo", contexts=(ELSEWHERE,)).code == (4, 4)


@pytest.mark.parametrize(
    ("bad", "code"),
    [("TermInfo", (4, 4)), ("NoSuchThing", (7, 3))],
    ids=["no right", "no object"],
)
def test_one_entry_that_is_refused_refuses_them_all(pair: Pair, bad: str, code: tuple[int, int]) -> None:
    _, vle = pair
    before = roles(vle, vle.id)

    assert vle.subscribe("SchoolInfo", bad).code == code
    assert vle.provision({"Subscribe": listed("SchoolInfo"), "Request": listed(bad)}).code != 0

    assert roles(vle, vle.id) == before


def test_a_provision_has_all_seven_lists(solo: Agent) -> None:
    assert solo.send("SIF_Provision", "<SIF_ProvideObjects/><SIF_SubscribeObjects/>").code == (1, 3)


@pytest.mark.usefixtures("asking")
def test_an_object_has_one_provider_in_a_context(zoned: Zoned) -> None:
    second, _ = zoned.pair()
    second.register()

    assert second.provide("LearnerPersonal").code == (6, 4)
    assert second.provision({"Provide": listed("LearnerPersonal")}).code == (6, 4)
    assert second.provide("LearnerPersonal", contexts=(ELSEWHERE,)).code == 0


@pytest.mark.parametrize("how", ["SIF_Unprovide", "SIF_Unregister", "SIF_Provision"])
def test_when_a_provider_gives_up_another_may_provide(asking: Pair, zoned: Zoned, how: str) -> None:
    first, _ = asking
    second, _ = zoned.pair()
    second.register()

    content = listed("LearnerPersonal") if how == "SIF_Unprovide" else ""

    assert (first.provision() if how == "SIF_Provision" else first.send(how, content)).code == 0

    assert second.provide("LearnerPersonal").code == 0


@pytest.mark.usefixtures("asking")
def test_any_number_of_agents_may_respond(zoned: Zoned) -> None:
    second, _ = zoned.pair()
    second.register()

    assert second.provision({"Respond": listed("LearnerPersonal")}).code == 0

    assert "SIF_Responders" in roles(second, second.id)
    assert "SIF_Providers" not in roles(second, second.id)


def test_a_provider_counts_as_a_responder(asking: Pair) -> None:
    mis, vle = asking
    request = new_id()

    assert vle.request(msg_id=request, to=mis.id).code == 0

    assert mis.take().msg_id == request


def test_to_publish_an_agent_needs_to_say_nothing(zoned: Zoned) -> None:
    mis, _ = zoned.pair()
    mis.register()

    assert mis.event(learner()).code == 0


def test_support_of_extended_queries_is_told_of_providers(pair: Pair) -> None:
    mis, vle = pair
    said = "<SIF_ExtendedQuerySupport>true</SIF_ExtendedQuerySupport>"
    supported = f'<SIF_Object ObjectName="LearnerPersonal">{said}</SIF_Object>'
    assert mis.provision({"Provide": supported, "Respond": supported + listed("SchoolInfo")}).code == 0

    status = vle.control("SIF_GetZoneStatus").data("SIF_ZoneStatus")
    told = {
        item.get("ObjectName"): item.findtext(NS + "SIF_ExtendedQuerySupport")
        for item in status.iterfind(f"{NS}SIF_Responders/{NS}SIF_Responder[@SourceId='{mis.id}']//{NS}SIF_Object")
    }

    assert told == {"LearnerPersonal": "true", "SchoolInfo": "false"}
