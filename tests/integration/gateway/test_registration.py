"""SIF_Register and SIF_Unregister: what is accepted, what is refused and why, and what either leaves behind."""

import pytest

from tests.integration.gateway.conftest import Pair, Pushed, Zoned
from tests.integration.gateway.sif import NS, Agent, eventually, filler, learner, listed, new_id

ACCEPTS = "<SIF_Property><SIF_Name>Accept-Encoding</SIF_Name><SIF_Value>{}</SIF_Value></SIF_Property>"


def register(
    agent: Agent,
    *,
    name: str = "<SIF_Name>Made up</SIF_Name>",
    versions: str = "<SIF_Version>2.*</SIF_Version>",
    buffer: str = "393216",
    mode: str = "Pull",
    protocol: str = "",
) -> int | tuple[int, int]:
    content = f"{name}{versions}<SIF_MaxBufferSize>{buffer}</SIF_MaxBufferSize><SIF_Mode>{mode}</SIF_Mode>{protocol}"
    return agent.send("SIF_Register", content).code


def protocol(kind: str, url: str, more: str = "") -> str:
    return f'<SIF_Protocol Type="{kind}" Secure="No"><SIF_URL>{url}</SIF_URL>{more}</SIF_Protocol>'


def items(*versions: str) -> str:
    return "".join(f"<SIF_Version>{version}</SIF_Version>" for version in versions)


def test_a_registration_is_answered_with_status_0_and_the_agents_rights(zoned: Zoned) -> None:
    agent, _ = zoned.pair()

    answer = agent.register()

    assert answer.code == 0
    assert answer.findings == ()
    provides = answer.data("SIF_AgentACL")[0]
    assert [item.get("ObjectName") for item in provides] == ["LearnerPersonal", "SchoolInfo"]


@pytest.mark.parametrize(
    "versions",
    [("2.6", "2.5", "2.4", "2.1", "2.0r1", "1.5r1", "1.1"), ("*",), ("2.*",), ("2.0r*",), ("1.1", "2.3")],
    ids=["as toolkits list them", "any", "any 2", "any 2.0", "an old one first"],
)
def test_versions_may_be_old_or_have_wildcards_where_one_is_the_zones(solo: Agent, versions: tuple[str, ...]) -> None:
    assert register(solo, versions=items(*versions)) == 0


@pytest.mark.parametrize("encodings", ["gzip", "gzip;q=1.0, identity;q=0.5, *;q=0", "identity", "compress, gzip"])
def test_an_agent_may_say_what_it_can_decompress(solo: Agent, encodings: str) -> None:
    said = protocol("HTTP", "http://127.0.0.1:9/x/", ACCEPTS.format(encodings))

    assert register(solo, mode="Push", protocol=said) == 0


def test_an_agent_that_pulls_may_name_a_protocol(solo: Agent) -> None:
    assert register(solo, protocol='<SIF_Protocol Type="HTTP" Secure="No"/>') == 0


def test_the_smallest_buffer_is_4096_bytes(solo: Agent) -> None:
    assert [register(solo, buffer="4096"), register(solo, buffer="4095")] == [0, (5, 6)]


REFUSED = {
    "push without a protocol": ((5, 3), {"mode": "Push"}),
    "push without a url": ((5, 3), {"mode": "Push", "protocol": '<SIF_Protocol Type="HTTP" Secure="No"/>'}),
    "push over mail": ((5, 3), {"mode": "Push", "protocol": protocol("SMTP", "http://127.0.0.1:9/")}),
    "push to a file": ((5, 3), {"mode": "Push", "protocol": protocol("HTTP", "file:///etc/passwd")}),
    "push to no host": ((5, 3), {"mode": "Push", "protocol": protocol("HTTP", "http:///in")}),
    "push of another kind than the url": ((5, 3), {"mode": "Push", "protocol": protocol("HTTPS", "http://127.0.0.1/")}),
    "push to a port that is none": ((5, 3), {"mode": "Push", "protocol": protocol("HTTP", "http://127.0.0.1:x/")}),
    "push with a password in the url": (
        (5, 3),
        {"mode": "Push", "protocol": protocol("HTTP", "http://a:b@127.0.0.1:9/")},
    ),
    "push in the clear to another machine": (
        (5, 3),
        {"mode": "Push", "protocol": protocol("HTTP", "http://192.0.2.1/in")},
    ),
    "no version of the zone's": ((5, 4), {"versions": items("1.1", "1.5r1", "1.*", "3.0")}),
    "a buffer too small": ((5, 6), {"buffer": "0"}),
    "a coding that the zone does not know": (
        (5, 10),
        {"mode": "Push", "protocol": protocol("HTTP", "http://127.0.0.1:9/", ACCEPTS.format("compress"))},
    ),
    "a mode that is none": ((1, 4), {"mode": "Poll"}),
    "a buffer that is no number": ((1, 4), {"buffer": "large"}),
    "no name": ((1, 3), {"name": ""}),
    "no version": ((1, 3), {"versions": ""}),
}


@pytest.mark.parametrize(("code", "said"), REFUSED.values(), ids=REFUSED)
def test_a_registration_is_refused(zoned: Zoned, code: tuple[int, int], said: dict[str, str]) -> None:
    agent = zoned.agent("everybody")

    assert register(agent, **said) == code

    assert agent.control("SIF_Ping").code == (4, 9)


def test_a_refused_registration_leaves_the_one_before_in_place(pair: Pair) -> None:
    mis, vle = pair

    assert register(vle, buffer="1") == (5, 6)

    assert mis.event(learner()).code == 0
    assert vle.take().kind == "SIF_Event"


COMMANDS = ("SIF_Ping", "SIF_Sleep", "SIF_Wakeup", "SIF_GetMessage", "SIF_GetZoneStatus", "SIF_GetAgentACL")
CANCEL = (
    "<SIF_NotificationType>Standard</SIF_NotificationType><SIF_RequestMsgIds><SIF_RequestMsgId>"
    f"{new_id()}</SIF_RequestMsgId></SIF_RequestMsgIds>"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_who_is_not_registered_is_refused_every_command(zoned: Zoned, command: str) -> None:
    assert zoned.agent("everybody").control(command).code == (4, 9)


@pytest.mark.parametrize(
    "kind", ["SIF_Provide", "SIF_Unprovide", "SIF_Subscribe", "SIF_Unsubscribe", "SIF_Unregister", "SIF_Ack"]
)
def test_who_is_not_registered_is_refused_every_message(zoned: Zoned, kind: str) -> None:
    assert zoned.agent("everybody").send(kind, listed("SchoolInfo")).code == (4, 9)


def test_who_is_not_registered_may_not_publish_ask_answer_cancel_or_provision(zoned: Zoned) -> None:
    agent = zoned.agent("everybody")

    answers = [
        agent.event(learner()),
        agent.request(),
        agent.respond(new_id()),
        agent.control("SIF_CancelRequests", CANCEL),
        agent.provision(),
    ]

    assert [answer.code for answer in answers] == [(4, 9)] * 5


def test_a_second_registration_replaces_the_mode_of_the_first(pushed: Pushed) -> None:
    mis, vle, target = pushed(lambda _message: 1)
    mis.event(learner())
    target.next()
    assert vle.get().code == (5, 9)

    assert vle.register().code == 0
    body = mis.event_body(learner())
    assert mis.post(body).code == 0

    assert vle.take().body == body
    assert target.is_quiet()


def test_a_second_registration_replaces_the_buffer_size_of_the_first(pair: Pair) -> None:
    mis, vle = pair
    assert vle.register(buffer=4_096).code == 0
    large, small = mis.event_body(learner(more=filler(5_000))), mis.event_body(learner())

    assert [mis.post(large).code, mis.post(small).code] == [0, 0]

    assert [message.body for message in vle.drain()] == [small]


def test_a_second_registration_keeps_the_queue_and_what_was_provisioned(pair: Pair) -> None:
    mis, vle = pair
    bodies = [mis.event_body(learner()) for _ in range(2)]
    mis.post(bodies[0])
    vle.fetch()

    assert vle.register().code == 0
    mis.post(bodies[1])

    assert [vle.take().body, vle.take().body] == bodies


def test_a_second_registration_wakes_the_agent(pair: Pair) -> None:
    mis, vle = pair
    vle.control("SIF_Sleep")
    mis.event(learner())
    assert vle.get().code == 9

    assert vle.register().code == 0

    assert vle.take().kind == "SIF_Event"


def test_an_agent_that_is_pushed_to_cannot_pull(pushed: Pushed) -> None:
    _, vle, _ = pushed(lambda _message: 1)

    assert vle.get().code == (5, 9)


def test_to_unregister_is_answered_with_0_and_everything_after_it_with_4_9(solo: Agent) -> None:
    assert solo.send("SIF_Unregister").code == 0

    assert [solo.get().code, solo.control("SIF_Ping").code, solo.send("SIF_Unregister").code] == [(4, 9)] * 3


@pytest.mark.parametrize("count", [1, 50], ids=["one", "more than the gateway holds"])
def test_to_unregister_discards_what_is_queued(pair: Pair, zoned: Zoned, count: int) -> None:
    mis, vle = pair

    def delivered() -> int:
        return sum(row.delivered for row in zoned.store.recipients() if row.agent == vle.id)

    before = delivered()
    for _ in range(count):
        assert mis.event(learner()).code == 0
    eventually(lambda: delivered() == before + count or None)  # what is still on its way is not queued
    vle.fetch()

    assert vle.send("SIF_Unregister").code == 0
    assert vle.register().code == 0
    assert vle.subscribe("LearnerPersonal").code == 0

    assert vle.drain() == []
    body = mis.event_body(learner())
    mis.post(body)
    assert vle.take().body == body


def test_to_unregister_ends_what_was_provisioned(pair: Pair) -> None:
    mis, vle = pair
    assert mis.provide("LearnerPersonal").code == 0

    for agent in pair:
        assert agent.send("SIF_Unregister").code == 0
        assert agent.register().code == 0

    status = vle.control("SIF_GetZoneStatus").data("SIF_ZoneStatus")
    assert status.find(NS + "SIF_Providers") is None
    assert status.find(NS + "SIF_Subscribers") is None
    assert mis.event(learner()).code == 0
    assert vle.drain() == []


def test_what_was_blocked_is_not_blocked_after_leaving_and_coming_back(pair: Pair) -> None:
    mis, vle = pair
    mis.event(learner())
    assert vle.ack(vle.fetch(), 2).code == 0

    vle.send("SIF_Unregister")
    vle.register()
    vle.subscribe("LearnerPersonal")
    body = mis.event_body(learner())
    mis.post(body)

    assert vle.take().body == body
