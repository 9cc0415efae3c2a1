"""SIF_Sleep and SIF_Wakeup: what is queued for a sleeping agent, and what it may still say."""

from tests.integration.gateway.conftest import Pair, Pushed, Zoned
from tests.integration.gateway.sif import NS, learner, new_id


def test_a_sleeping_agent_gets_9_and_what_was_queued_when_it_wakes_up(pair: Pair) -> None:
    mis, vle = pair
    bodies = [mis.event_body(learner()) for _ in range(3)]
    mis.post(bodies[0])
    vle.fetch()

    assert vle.control("SIF_Sleep").code == 0
    for body in bodies[1:]:
        assert mis.post(body).code == 0
    assert [vle.get().code, vle.get().code] == [9, 9]

    assert vle.control("SIF_Wakeup").code == 0
    assert [vle.take().body for _ in bodies] == bodies


def test_a_wakeup_without_a_sleep_is_a_success(pair: Pair) -> None:
    mis, vle = pair
    mis.event(learner())

    assert vle.control("SIF_Wakeup").code == 0

    assert vle.take().kind == "SIF_Event"


def test_to_sleep_twice_is_a_success(pair: Pair) -> None:
    _, vle = pair

    assert [vle.control("SIF_Sleep").code, vle.control("SIF_Sleep").code] == [0, 0]


def test_an_agent_that_is_pushed_to_is_not_while_it_sleeps(pushed: Pushed) -> None:
    mis, vle, target = pushed(lambda _message: 1)
    assert vle.control("SIF_Sleep").code == 0
    body = mis.event_body(learner())
    assert mis.post(body).code == 0
    assert target.is_quiet()

    assert vle.control("SIF_Wakeup").code == 0

    assert target.next().body == body


def test_sleep_outlives_the_gateway(pushed: Pushed, zoned: Zoned) -> None:
    mis, vle, target = pushed(lambda _message: 1)
    vle.control("SIF_Sleep")
    body = mis.event_body(learner())
    mis.post(body)

    zoned.restart_gateway()

    assert target.is_quiet()
    assert vle.control("SIF_Wakeup").code == 0
    assert target.next().body == body


def test_a_sleeping_agent_may_still_publish_ask_and_acknowledge(asking: Pair) -> None:
    mis, vle = asking
    vle.subscribe("LearnerPersonal")
    mis.event(learner())
    event = vle.fetch()
    for agent in asking:
        agent.control("SIF_Sleep")
    request = new_id()

    assert mis.event(learner()).code == 0
    assert vle.request(msg_id=request, to=mis.id).code == 0
    assert vle.ack(event).code == 0
    assert vle.control("SIF_Ping").code == 0

    mis.control("SIF_Wakeup")
    assert mis.take().msg_id == request


def test_the_status_says_that_an_agent_has_woken_up(pair: Pair) -> None:
    _, vle = pair
    vle.control("SIF_Sleep")
    vle.control("SIF_Wakeup")

    nodes = vle.control("SIF_GetZoneStatus").data("SIF_ZoneStatus").iter(NS + "SIF_SIFNode")

    assert {node.findtext(NS + "SIF_Sleeping") for node in nodes} == {"No"}
