"""SIF_Event: who may publish what where, who gets it, in which form, and who cannot."""

import pytest
from lxml import etree

import schemas
from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import (
    NS,
    Agent,
    Message,
    contexts,
    eventually,
    filler,
    learner,
    listed,
    new_id,
    school,
)

ELSEWHERE = "estab-8209901"
DEMAND = (
    "<SIF_Security><SIF_SecureChannel><SIF_AuthenticationLevel>{}</SIF_AuthenticationLevel>"
    "<SIF_EncryptionLevel>{}</SIF_EncryptionLevel></SIF_SecureChannel></SIF_Security>"
)


@pytest.mark.parametrize(("action", "code"), [("Add", (4, 10)), ("Change", (4, 11)), ("Delete", (4, 12))])
def test_what_an_agent_may_not_publish(pair: Pair, action: str, code: tuple[int, int]) -> None:
    _, vle = pair

    assert vle.event(learner(), action).code == code


@pytest.mark.parametrize(("action", "code"), [("Add", 0), ("Change", (4, 11)), ("Delete", (4, 12))])
def test_a_right_to_one_action_is_none_to_another(zoned: Zoned, action: str, code: int | tuple[int, int]) -> None:
    agent = zoned.agent("adder")
    agent.register()

    assert agent.event(learner(), action).code == code


@pytest.mark.parametrize(
    ("named", "code"),
    [
        (("SIF_Default",), 0),
        ((ELSEWHERE,), 0),
        (("SIF_Default", ELSEWHERE), 0),
        (("c-2",), (4, 10)),
        (("SIF_Default", "c-2"), (4, 10)),
        (("nowhere",), (12, 4)),
        (("SIF_Default", "nowhere"), (12, 4)),
    ],
    ids=str,
)
def test_an_agent_needs_the_right_in_each_context(
    pair: Pair, named: tuple[str, ...], code: int | tuple[int, int]
) -> None:
    mis, vle = pair

    assert mis.event(learner(), header=contexts(*named)).code == code

    subscribed = code == 0 and "SIF_Default" in named
    assert len(vle.drain()) == subscribed


def test_an_event_in_several_contexts_comes_once(pair: Pair) -> None:
    mis, vle = pair
    assert vle.subscribe("LearnerPersonal", contexts=(ELSEWHERE,)).code == 0
    body = mis.event_body(learner(), header=contexts("SIF_Default", ELSEWHERE))

    assert mis.post(body).code == 0

    assert [message.body for message in vle.drain()] == [body]


def test_to_publish_an_agent_need_not_provide(pair: Pair) -> None:
    mis, vle = pair

    assert mis.event(learner()).code == 0
    assert vle.take().kind == "SIF_Event"


def test_an_event_without_subscribers_is_a_success(zoned: Zoned) -> None:
    mis, _ = zoned.pair()
    mis.register()

    assert mis.event(learner()).code == 0


def test_a_publisher_does_not_get_its_own_event(zoned: Zoned) -> None:
    agent = zoned.agent("everybody")
    agent.register()
    assert agent.subscribe("SchoolInfo").code == 0

    assert agent.event(school()).code == 0

    assert agent.drain() == []


@pytest.mark.parametrize("version", ["2.0", "2.0r1", "2.1", "2.3", "2.4", "2.5", "2.6"])
def test_an_event_keeps_its_bytes_in_every_version(pair: Pair, version: str) -> None:
    mis, vle = pair
    mis.version = version
    body = mis.event_body(learner())

    assert mis.post(body).code == 0

    assert vle.take().body == body


def pretty(mis: Agent) -> bytes:
    """Write an event as toolkits do: with blanks, single quotes, an unused namespace and signs beyond ASCII."""
    text = mis.event_body(learner(local_id="Ünïcøde")).decode()
    text = text.replace(
        "<SIF_Message xmlns", '<SIF_Message  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns'
    )
    text = text.replace('Action="Add"', "Action='Add'").replace("<SIF_ObjectData>", "\n   <SIF_ObjectData>\r\n\t")
    return text.replace("Pupil", "&#80;upil &amp; <![CDATA[Co]]>").encode()


def test_an_event_keeps_its_blanks_quotes_and_references(pair: Pair) -> None:
    mis, vle = pair
    body = pretty(mis)

    assert mis.post(body).code == 0

    assert vle.take().body == body


@pytest.mark.parametrize(
    "prefix",
    [b"\xef\xbb\xbf", b'<?xml version="1.0" encoding="UTF-8"?>\n', b'\xef\xbb\xbf<?xml version="1.0"?>  ', b"\n "],
    ids=["byte order mark", "declaration", "both", "blanks"],
)
def test_what_comes_before_the_message_is_not_passed_on(pair: Pair, prefix: bytes) -> None:
    mis, vle = pair
    body = mis.event_body(learner())

    assert mis.post(prefix + body).code == 0

    assert vle.take().body == body


def test_what_is_not_shared_is_cut(pair: Pair) -> None:
    mis, vle = pair
    vle.subscribe("SchoolInfo")
    ref, msg_id = new_id(), new_id()

    assert mis.event(school(ref, name="Not shared"), msg_id=msg_id).code == 0

    message = vle.take()
    assert (message.msg_id, message.source, message.root.get("Version")) == (msg_id, mis.id, "2.1")
    assert b"Not shared" not in message.body
    assert message.objects[0].get("RefId") == ref
    assert [child.tag for child in message.objects[0]] == [NS + "LAId"]


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("<LearnerPersonal/>", (1, 6)),
        (learner().replace("<Current>No", "<Current>Perhaps"), (1, 4)),
        (learner() + learner().replace("LearnerPersonal", "SchoolInfo"), (1, 3)),
        ("<LearnerPersonel/>", (9, 3)),
        ("<SIF_ZoneStatus/>", (9, 3)),
    ],
    ids=["something missing", "a bad value", "another name", "no such object", "the zone's own object"],
)
def test_an_event_that_is_not_valid_is_refused_and_kept(
    pair: Pair, zoned: Zoned, element: str, code: tuple[int, int]
) -> None:
    mis, vle = pair
    body = mis.event_body(element)

    assert mis.post(body).code == code

    entry = eventually(lambda: zoned.quarantined(mis.id))[0]
    assert zoned.store.quarantine_body(entry.id) == body
    assert vle.drain() == []


def test_an_event_that_does_not_say_whom_it_is_about_is_refused_at_once(zoned: Zoned) -> None:
    agent = zoned.agent("adder")
    agent.register()
    part = f'<LearnerAttendance RefId="{new_id()}"><AttendanceDate>2026-09-01</AttendanceDate></LearnerAttendance>'

    assert agent.event(part, "Change").code == (1, 3)


# -- receivers that cannot take it ----------------------------------------------------------------------------------


def log_entry(watcher: Agent, about: str) -> Message:
    """Return the zone's SIF_LogEntry about a message, among those of others."""

    def find() -> Message | None:
        message = watcher.get().message
        if message is None:
            return None
        watcher.ack(message)
        return message if about.encode() in message.body else None

    return eventually(find)


def version_not_listed(_mis: Agent, vle: Agent) -> str:
    vle.register(versions=("2.4", "2.0r*"))
    return ""


def too_large(_mis: Agent, vle: Agent) -> str:
    vle.register(buffer=4_096)
    return filler(5_000)


@pytest.mark.parametrize(
    ("cannot", "code"), [(version_not_listed, "4"), (too_large, "2")], ids=lambda found: getattr(found, "__name__", "")
)
def test_what_a_subscriber_cannot_take_is_not_queued_for_it_but_logged(
    pair: Pair, zoned: Zoned, cannot: object, code: str
) -> None:
    mis, vle = pair
    watcher = zoned.agent("watcher")
    watcher.register()
    watcher.subscribe("SIF_LogEntry")
    assert callable(cannot)
    more = cannot(mis, vle)
    msg_id = new_id()

    assert mis.event(learner(more=more), msg_id=msg_id).code == 0

    check_entry(log_entry(watcher, msg_id), vle, code)
    assert vle.drain() == []


def check_entry(message: Message, vle: Agent, code: str) -> None:
    assert (message.kind, message.source) == ("SIF_Event", "conformance")
    entry = message.objects[0]
    assert (etree.QName(entry).localname, entry.get("Source")) == ("SIF_LogEntry", "ZIS")
    assert (entry.findtext(NS + "SIF_Category"), entry.findtext(NS + "SIF_Code")) == ("4", code)
    assert vle.id in (entry.findtext(NS + "SIF_Desc") or "")
    assert schemas.check_message(message.root) == ()


@pytest.mark.parametrize(("authentication", "encryption"), [(1, 0), (0, 1), (3, 4)])
def test_what_demands_more_protection_than_the_subscriber_has_is_withheld_and_logged(
    pair: Pair, zoned: Zoned, authentication: int, encryption: int
) -> None:
    mis, vle = pair
    watcher = zoned.agent("watcher")
    watcher.register()
    watcher.subscribe("SIF_LogEntry")
    msg_id = new_id()
    body = mis.event_body(learner(), msg_id=msg_id).replace(
        b"<SIF_SourceId>", DEMAND.format(authentication, encryption).encode() + b"<SIF_SourceId>"
    )

    assert mis.post(body).code == 0

    check_entry(log_entry(watcher, msg_id), vle, "3")
    assert vle.drain() == []


def test_what_demands_no_protection_is_delivered_as_it_is(pair: Pair) -> None:
    mis, vle = pair
    body = mis.event_body(learner()).replace(b"<SIF_SourceId>", DEMAND.format(0, 0).encode() + b"<SIF_SourceId>")

    assert mis.post(body).code == 0

    assert vle.take().body == body


# -- several objects, several times ---------------------------------------------------------------------------------


def several(mis: Agent, *objects: str, msg_id: str = "") -> bytes:
    content = f'<SIF_EventObject ObjectName="LearnerPersonal" Action="Add">{"".join(objects)}</SIF_EventObject>'
    return mis.message("SIF_Event", f"<SIF_ObjectData>{content}</SIF_ObjectData>", msg_id=msg_id)


def test_an_event_of_several_objects_arrives_with_all_of_them_in_order(pair: Pair) -> None:
    mis, vle = pair
    refs = [new_id() for _ in range(4)]
    msg_id = new_id()

    assert mis.post(several(mis, *(learner(ref) for ref in refs), msg_id=msg_id)).code == 0

    got = vle.drain()
    assert sorted(str(found.get("RefId")) for message in got for found in message.objects) == sorted(refs)
    assert msg_id in {message.msg_id for message in got}
    assert len({message.msg_id for message in got}) == len(got)
    assert {message.source for message in got} == {mis.id}


def test_an_event_of_several_objects_sent_twice_arrives_once(pair: Pair) -> None:
    mis, vle = pair
    body = several(mis, learner(), learner())

    assert [mis.post(body).code, mis.post(body).code] == [0, 7]

    assert len([found for message in vle.drain() for found in message.objects]) == 2


def test_one_bad_object_refuses_the_event(pair: Pair) -> None:
    mis, vle = pair

    assert mis.post(several(mis, learner(), "<LearnerPersonal/>")).code == (1, 6)

    assert vle.drain() == []


def test_a_message_is_known_again_after_the_gateway_was_killed(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    body = mis.event_body(learner())
    assert mis.post(body).code == 0
    vle.take()

    zoned.restart_gateway()

    assert mis.post(body).code == 7
    assert vle.drain() == []


def test_another_agents_message_of_the_same_id_is_no_duplicate(zoned: Zoned) -> None:
    first, second = zoned.pair()[0], zoned.pair()[0]
    msg_id = new_id()

    for agent in (first, second):
        agent.register()
        assert agent.event(learner(), msg_id=msg_id).code == 0


def test_what_was_refused_is_refused_again(pair: Pair, zoned: Zoned) -> None:
    _, vle = pair
    body = vle.event_body(learner())
    assert vle.post(body).code == (4, 10)
    zoned.kept(vle.id, (4, 10))

    assert vle.post(body).code == (4, 10)

    assert len(zoned.quarantined(vle.id)) == 1


def test_events_about_one_learner_keep_their_order_for_who_pulls(pair: Pair) -> None:
    mis, vle = pair
    ref = new_id()
    bodies = [mis.event_body(learner(ref), "Add"), mis.event_body(learner(ref, "2"), "Change")]
    bodies.append(mis.event_body(f'<LearnerPersonal RefId="{ref}"/>', "Delete"))

    assert [mis.post(body).code for body in bodies] == [0, 0, 0]

    assert [vle.take().body for _ in bodies] == bodies


def test_who_unsubscribes_gets_no_more_but_what_was_queued(pair: Pair) -> None:
    mis, vle = pair
    body = mis.event_body(learner())
    mis.post(body)
    vle.fetch()

    assert vle.send("SIF_Unsubscribe", listed("LearnerPersonal")).code == 0
    mis.event(learner())

    assert [message.body for message in vle.drain()] == [body]
