"""What agents say to the zone itself: each message has its answer, each fault its code, and what is said is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pytest
from lxml import etree

import schemas
from broker.control import DONE, SMALLEST_BUFFER, Answer, Desk, Policy, answer, settle
from broker.protocol.envelope import build_ack, build_message, build_register, build_system_control, local_name
from broker.protocol.errors import SIF_ERRORS
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context, MsgId
from broker.registry import (
    Change,
    Channel,
    Live,
    Mode,
    Provision,
    Provisioned,
    Registered,
    Registration,
    Registry,
    Role,
    Slept,
    Topic,
    Unregistered,
    grants,
)
from broker.zone_status import ZoneIdentity
from tests.unit.broker.builders import MERLIN, MIS, MSG_ID, NS, add_personal, agent, header

PERSONAL: Final = "LearnerPersonal"
EXAMS: Final = Context("exams")
EVERY_ROLE: Final = tuple(Role)
MAY: Final = tuple((role, Topic(name)) for role in EVERY_ROLE for name in (PERSONAL, "SchoolInfo"))
IN_EXAMS: Final = tuple((role, Topic(PERSONAL, EXAMS)) for role in EVERY_ROLE)
AGENTS: Final = (
    agent(MIS, rights=(*MAY, *IN_EXAMS)),
    agent(MERLIN, rights=[(Role.PROVIDE, Topic(PERSONAL)), (Role.SUBSCRIBE, Topic("SIF_LogEntry"))]),
)
DESK: Final = Desk(ZoneIdentity(AgentId("quarrington"), "Quarrington"), now=1_790_000_000.0)
SECTIONS: Final = (
    ("SIF_ProvideObjects", Role.PROVIDE, 3),
    ("SIF_SubscribeObjects", Role.SUBSCRIBE, 4),
    ("SIF_PublishAddObjects", Role.PUBLISH_ADD, 10),
    ("SIF_PublishChangeObjects", Role.PUBLISH_CHANGE, 11),
    ("SIF_PublishDeleteObjects", Role.PUBLISH_DELETE, 12),
    ("SIF_RequestObjects", Role.REQUEST, 5),
    ("SIF_RespondObjects", Role.RESPOND, 6),
)
UNREGISTER: Final = build_message("SIF_Unregister", header())


def said(name: str = MIS, **more: object) -> Registration:
    return replace(Registration(AgentId(name), name, "2.4", 1.0), **more)  # type: ignore[arg-type]  # fields by name


def zone(*registrations: Registration, provisions: Mapping[AgentId, Provision] | None = None) -> Registry:
    """Return the zone with these registrations; with MIS's and MERLIN's when none are given."""
    known = {one.agent: one for one in registrations or (said(MIS), said(MERLIN))}
    return Registry.of(AGENTS, Live(known, provisions or {}))


def ask(body: bytes, login: AgentId = MIS, among: Registry | None = None, desk: Desk = DESK) -> Answer:
    return answer(body, login, among or zone(), desk)


def codes(given: Answer) -> tuple[int | None, int | None]:
    """Return category and code of a refusal, which changes nothing and is one of SIF's."""
    assert given.ack.status is None
    assert (given.changes, given.cancelled, given.woken, given.left) == ((), (), False, False)
    assert (given.ack.category, given.ack.code) in SIF_ERRORS
    return given.ack.category, given.ack.code


def done(given: Answer) -> tuple[Change, ...]:
    assert given.ack.status == DONE, given.ack
    return given.changes


def register(
    inner: str = "", *, versions: Sequence[str] = ("2.*",), buffer: int = 65_536, mode: str = "Pull", sender: str = MIS
) -> bytes:
    """Return a SIF_Register; *inner* is what follows SIF_Mode."""
    listed = "".join(f"<SIF_Version>{version}</SIF_Version>" for version in versions)
    content = (
        f"<SIF_Name>Larkrise MIS</SIF_Name>{listed}<SIF_MaxBufferSize>{buffer}</SIF_MaxBufferSize>"
        f"<SIF_Mode>{mode}</SIF_Mode>{inner}"
    )
    return build_message("SIF_Register", header(sender), content.encode())


def protocol(url: str = "http://mis.example/in/", kind: str = "HTTP", more: str = "", secure: str = "No") -> str:
    return f'<SIF_Protocol Type="{kind}" Secure="{secure}"><SIF_URL>{url}</SIF_URL>{more}</SIF_Protocol>'


def encoding(value: str) -> str:
    return f"<SIF_Property><SIF_Name>Accept-Encoding</SIF_Name><SIF_Value>{value}</SIF_Value></SIF_Property>"


def obj(name: str = PERSONAL, *contexts: str, extended: str = "") -> str:
    inner = f"<SIF_ExtendedQuerySupport>{extended}</SIF_ExtendedQuerySupport>" if extended else ""
    if contexts:
        named = "".join(f"<SIF_Context>{context}</SIF_Context>" for context in contexts)
        inner += f"<SIF_Contexts>{named}</SIF_Contexts>"
    return f'<SIF_Object ObjectName="{name}">{inner}</SIF_Object>'


def provision(sender: str = MIS, **sections: str) -> bytes:
    """Return a SIF_Provision with all seven sections; *sections* are their contents by name."""
    inner = "".join(f"<{tag}>{sections.get(tag, '')}</{tag}>" for tag, _, _ in SECTIONS)
    return build_message("SIF_Provision", header(sender), inner.encode())


def single(kind: str, *objects: str, sender: str = MIS) -> bytes:
    """Return a SIF_Provide, SIF_Unprovide, SIF_Subscribe or SIF_Unsubscribe."""
    return build_message(kind, header(sender), "".join(objects).encode())


def cancel(how: str, *ids: str) -> bytes:
    named = "".join(f"<SIF_RequestMsgId>{one}</SIF_RequestMsgId>" for one in ids)
    content = (
        f"<SIF_SystemControlData><SIF_CancelRequests><SIF_NotificationType>{how}</SIF_NotificationType>"
        f"<SIF_RequestMsgIds>{named}</SIF_RequestMsgIds></SIF_CancelRequests></SIF_SystemControlData>"
    )
    return build_message("SIF_SystemControl", header(), content.encode())


REGISTER: Final = register()
PING: Final = build_system_control(header(), "SIF_Ping")
OVER_HTTP: Final = replace(DESK, over_http=True)
SECURE: Final = replace(DESK, over_http=True, secure=True, policy=Policy(secure=True), channel=Channel(1, 4))


# --- who speaks, and whether it can be read ----------------------------------------------------------------------


def test_the_answer_names_whose_message_it_is_about_and_speaks_its_version() -> None:
    given = ask(PING.replace(b'Version="2.4"', b'Version="2.0r1"'))

    assert (given.ack.original_source_id, given.ack.original_msg_id, given.version) == (MIS, MSG_ID, "2.0r1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"not XML", (1, 2)), (PING.replace(b'"2.4"', b'"1.1"'), (12, 3)), (b"<a/>", (1, 3))],
    ids=["garbage", "version", "another root"],
)
def test_what_cannot_be_read_is_answered_without_a_message_id(body: bytes, expected: tuple[int, int]) -> None:
    given = ask(body)

    assert codes(given) == expected
    assert given.ack.original_msg_id is None


@pytest.mark.parametrize(
    "body", [REGISTER, PING, UNREGISTER, provision()], ids=["register", "ping", "leave", "provide"]
)
def test_nobody_speaks_for_another_agent(body: bytes) -> None:
    given = ask(body, MERLIN)

    assert codes(given) == (3, 1)
    assert given.ack.original_source_id == MERLIN  # whoever sent it, not whom it names


@pytest.mark.parametrize(
    "body",
    [
        *(build_system_control(header(), f"SIF_{name}") for name in ("Ping", "Sleep", "Wakeup", "GetMessage")),
        UNREGISTER,
        provision(),
        single("SIF_Subscribe", obj()),
    ],
    ids=["ping", "sleep", "wakeup", "get-message", "unregister", "provision", "subscribe"],
)
def test_an_agent_that_has_not_registered_is_told_to(body: bytes) -> None:
    given = ask(body, among=zone(said(MERLIN)))

    assert codes(given) == (4, 9)
    assert "SIF_Register first" in given.ack.description


def test_an_agent_that_the_zone_does_not_have_may_not_register() -> None:
    stranger = AgentId("stranger")

    given = ask(build_register(header(stranger), "?"), stranger)

    assert codes(given) == (4, 2)
    assert [word for word in ("stranger", "administrator") if word not in given.ack.description] == []


def test_an_agent_that_was_taken_out_of_the_zone_is_not_registered_any_more() -> None:
    former = AgentId("former")
    body = build_system_control(header(former), "SIF_Ping")

    assert codes(ask(body, former, zone(said(former)))) == (4, 9)


@pytest.mark.parametrize(
    "body",
    [add_personal(), build_message("SIF_Response", header()), build_system_control(header(), "SIF_GetMessage")],
    ids=["event", "response", "get-message"],
)
def test_what_the_zone_does_not_answer_is_refused(body: bytes) -> None:
    assert codes(ask(body)) == (12, 2)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (register("<SIF_Shoes/>"), (1, 3)),
        (register().replace(b"<SIF_Name>Larkrise MIS</SIF_Name>", b""), (1, 3)),
        (register(versions=()), (1, 3)),
        (register(mode="Shove"), (1, 4)),
        (register(versions=["latest"]), (1, 4)),
        (register(buffer=-1), (1, 4)),
        (build_system_control(header(), "SIF_Reboot"), (1, 3)),
        (build_message("SIF_SystemControl", header()), (1, 3)),
        (build_message("SIF_Provision", header(), b"<SIF_ProvideObjects/>"), (1, 3)),
        (single("SIF_Provide"), (1, 3)),
        (single("SIF_Subscribe", obj("1 2 3")), (1, 4)),
        (cancel("Standard", "1"), (1, 4)),
    ],
    ids=[
        "unknown element",
        "no name",
        "no version",
        "mode",
        "version's form",
        "buffer",
        "command",
        "no command",
        "a provision of one section",
        "nothing to provide",
        "object's form",
        "request's id",
    ],
)
def test_what_is_not_as_the_schema_has_it_is_told_by_place_and_never_by_value(
    body: bytes, expected: tuple[int, int]
) -> None:
    given = ask(body)

    assert codes(given) == expected
    assert "line " in given.ack.description
    assert [value for value in ("Shove", "latest", "1 2 3") if value in given.ack.description] == []


# --- SIF_Register, SIF_Unregister --------------------------------------------------------------------------------


def test_all_that_an_agent_says_of_itself_is_kept() -> None:
    inner = (
        f"{protocol(more=encoding('gzip'))}<SIF_NodeVendor>Made up Ltd</SIF_NodeVendor>"
        "<SIF_NodeVersion>3.1</SIF_NodeVersion><SIF_Application><SIF_Vendor>Made up Ltd</SIF_Vendor>"
        "<SIF_Product>Larkrise</SIF_Product><SIF_Version>9</SIF_Version></SIF_Application>"
    )

    given = ask(register(inner, versions=["2.1", "2.*", "2.1"], mode="Push"), among=zone(said(MERLIN)), desk=OVER_HTTP)

    assert done(given) == (
        Registered(
            Registration(
                MIS,
                "Larkrise MIS",
                "2.4",
                DESK.now,
                ("2.1", "2.*"),
                65_536,
                Mode.PUSH,
                "http://mis.example/in/",
                "HTTP",
                encodings=("gzip",),
                vendor="Made up Ltd",
                node_version="3.1",
                application=("Made up Ltd", "Larkrise", "9"),
            )
        ),
    )
    assert given.woken
    assert not given.left


def test_registering_again_takes_the_place_of_the_earlier_and_wakes() -> None:
    given = ask(register(versions=["2.5"], buffer=8_192), among=zone(said(MIS, sleeping=True, max_buffer=99_999)))

    (change,) = done(given)
    assert isinstance(change, Registered)
    found = change.registration
    assert (found.versions, found.max_buffer, found.mode, found.sleeping) == (("2.5",), 8_192, Mode.PULL, False)
    assert given.woken


def test_the_answer_to_registering_has_the_agents_rights() -> None:
    assert local_name(data_of(ask(REGISTER))) == "SIF_AgentACL"


def test_the_register_of_our_own_agents_is_taken() -> None:
    (change,) = done(ask(build_register(header(), "Larkrise MIS"), among=zone(said(MERLIN))))

    assert isinstance(change, Registered)
    assert change.registration.versions == ("2.4", "2.*")


@pytest.mark.parametrize(
    "versions",
    [("2.6", "2.5", "2.0r1", "1.5r1", "1.1"), ("*",), ("1.1", "2.*"), ("2.0r*",), ("3.*", "2.4")],
    ids=["a toolkit's long list", "any", "2.*", "2.0r*", "one of several"],
)
def test_one_version_that_the_zone_speaks_is_enough(versions: tuple[str, ...]) -> None:
    (change,) = done(ask(register(versions=versions)))

    assert isinstance(change, Registered)
    assert change.registration.versions == versions  # as it listed them, the one it likes best first


@pytest.mark.parametrize("versions", [("1.1",), ("1.*", "3.*"), ("2.7",), ("2.1r2",)], ids=", ".join)
def test_without_a_version_that_the_zone_speaks_nobody_registers(versions: tuple[str, ...]) -> None:
    assert codes(ask(register(versions=versions))) == (5, 4)


@pytest.mark.parametrize(("size", "taken"), [(SMALLEST_BUFFER - 1, False), (SMALLEST_BUFFER, True)])
def test_a_buffer_in_which_nothing_fits_is_refused(size: int, taken: bool) -> None:
    given = ask(register(buffer=size))

    assert given.ack.status == (DONE if taken else None)
    assert taken or codes(given) == (5, 6)


@pytest.mark.parametrize(
    ("inner", "desk"),
    [
        (protocol(), DESK),
        ("", OVER_HTTP),
        ('<SIF_Protocol Type="HTTP" Secure="No"/>', OVER_HTTP),
        (protocol(kind="HTTPS"), OVER_HTTP),
        (protocol("https://mis.example/"), OVER_HTTP),
        (protocol("http:///in"), OVER_HTTP),
        (protocol("http://[::1/"), OVER_HTTP),
        (protocol("http://mis.example:99999/"), OVER_HTTP),
        (protocol("ftp://mis.example/", "FTP"), OVER_HTTP),
        (protocol(), replace(OVER_HTTP, policy=Policy(may_push_to=lambda agent, _: f"{agent}: not there"))),
    ],
    ids=[
        "over AMQP",
        "no protocol",
        "no URL",
        "HTTPS to http://",
        "HTTP to https://",
        "no host",
        "no host that there can be",
        "no port that there can be",
        "FTP",
        "policy",
    ],
)
def test_nobody_is_pushed_to_where_that_cannot_or_may_not_be(inner: str, desk: Desk) -> None:
    assert codes(ask(register(inner, mode="Push"), desk=desk)) == (5, 3)


@pytest.mark.parametrize(
    ("body", "desk"),
    [
        (register(protocol(), mode="Push"), SECURE),
        (register(protocol("https://mis.example/", "HTTPS"), mode="Push"), replace(SECURE, secure=False)),
        (register(), replace(SECURE, secure=False)),
    ],
    ids=["pushed to over HTTP", "registers over HTTP", "pulls over HTTP"],
)
def test_a_zone_that_demands_https_refuses_who_does_without(body: bytes, desk: Desk) -> None:
    assert codes(ask(body, desk=desk)) == (5, 7)


@pytest.mark.parametrize(
    ("body", "desk", "channel"),
    [
        (register(protocol("https://mis.example/", "HTTPS"), mode="Push"), SECURE, Channel(3, 4)),
        (register(protocol(), mode="Push"), OVER_HTTP, Channel()),
        (register(), SECURE, Channel(1, 4)),
        (register(), replace(DESK, policy=Policy(secure=True)), Channel()),
    ],
    ids=["pushed to over HTTPS", "pushed to over HTTP", "pulls over HTTPS", "AMQP"],
)
def test_a_channel_is_as_secure_as_the_way_that_messages_take(body: bytes, desk: Desk, channel: Channel) -> None:
    (change,) = done(ask(body, desk=desk))

    assert isinstance(change, Registered)
    assert change.registration.channel == channel


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("gzip", ("gzip",)),
        ("gzip;q=1.0, identity;q=0.5, *;q=0", ("gzip", "identity")),
        ("br, GZIP", ("gzip",)),
        ("identity", ("identity",)),
    ],
)
def test_of_content_codings_the_zone_keeps_those_it_can_write(value: str, kept: tuple[str, ...]) -> None:
    (change,) = done(ask(register(protocol(more=encoding(value)))))

    assert isinstance(change, Registered)
    assert change.registration.encodings == kept


@pytest.mark.parametrize("value", ["compress", "br, zstd", "gzip;q=0"])
def test_content_codings_of_which_the_zone_knows_none_are_refused(value: str) -> None:
    assert codes(ask(register(protocol(more=encoding(value))))) == (5, 10)


def test_an_agent_takes_its_leave_with_all_it_said() -> None:
    given = ask(UNREGISTER)

    assert done(given) == (Unregistered(MIS),)
    assert (given.left, given.woken) == (True, True)


# --- SIF_Provision -----------------------------------------------------------------------------------------------


def test_a_provision_says_all_that_an_agent_does_in_the_place_of_what_it_said_before() -> None:
    before = Provision(grants([(Role.SUBSCRIBE, Topic("SchoolInfo")), (Role.REQUEST, Topic(PERSONAL))]))
    body = provision(
        SIF_ProvideObjects=obj(PERSONAL, DEFAULT_CONTEXT, "exams", extended="true"),
        SIF_SubscribeObjects=obj("SchoolInfo"),
        SIF_RespondObjects=obj("SchoolInfo", extended="false"),
    )

    assert done(ask(body, among=zone(said(MIS), provisions={MIS: before}))) == (
        Provisioned(
            MIS,
            Provision(
                grants(
                    [
                        (Role.PROVIDE, Topic(PERSONAL)),
                        (Role.PROVIDE, Topic(PERSONAL, EXAMS)),
                        (Role.SUBSCRIBE, Topic("SchoolInfo")),
                        (Role.RESPOND, Topic("SchoolInfo")),
                    ]
                ),
                frozenset({Topic(PERSONAL), Topic(PERSONAL, EXAMS)}),
            ),
        ),
    )


def test_an_empty_provision_takes_everything_back() -> None:
    assert done(ask(provision())) == (Provisioned(MIS, Provision()),)


@pytest.mark.parametrize(("section", "role", "_code"), SECTIONS, ids=[role for _, role, _ in SECTIONS])
def test_each_section_is_a_role(section: str, role: Role, _code: int) -> None:
    (change,) = done(ask(provision(**{section: obj()})))

    assert change == Provisioned(MIS, Provision(grants([(role, Topic(PERSONAL))])))


@pytest.mark.parametrize(("section", "_role", "code"), SECTIONS, ids=[role for _, role, _ in SECTIONS])
@pytest.mark.parametrize("contexts", [(), (DEFAULT_CONTEXT, "exams")], ids=["default", "one of two"])
def test_who_has_no_right_is_told_with_the_code_of_the_role(
    section: str, _role: Role, code: int, contexts: tuple[str, ...]
) -> None:
    name = "SchoolInfo" if contexts else "TermInfo"  # nobody may anything with a SchoolInfo in that context

    given = ask(provision(**{section: obj(PERSONAL) + obj(name, *contexts)}))

    assert codes(given) == (4, code)
    assert [word for word in (MIS, name, "zone.toml") if word not in given.ack.description] == []


@pytest.mark.parametrize(("section", "role", "_code"), SECTIONS, ids=[role for _, role, _ in SECTIONS])
def test_an_object_that_there_is_not_is_told_with_the_nearest(section: str, role: Role, _code: int) -> None:
    given = ask(provision(**{section: obj("LearnerPersonel")}))

    assert codes(given) == ((7, 3) if role is Role.SUBSCRIBE else (6, 3))
    assert "did you mean LearnerPersonal?" in given.ack.description


@pytest.mark.parametrize(("section", "_role", "_code"), SECTIONS, ids=[role for _, role, _ in SECTIONS])
def test_a_context_that_there_is_not_is_refused(section: str, _role: Role, _code: int) -> None:
    assert codes(ask(provision(**{section: obj(PERSONAL, "sports")}))) == (12, 4)


def test_an_object_has_one_provider_in_a_context() -> None:
    provides = Provision(grants([(Role.PROVIDE, Topic(PERSONAL))]))
    among = zone(provisions={MERLIN: provides})

    assert codes(ask(provision(SIF_ProvideObjects=obj()), among=among)) == (6, 4)
    assert codes(ask(single("SIF_Provide", obj()), among=among)) == (6, 4)
    assert done(ask(provision(SIF_ProvideObjects=obj(PERSONAL, "exams")), among=among))
    assert done(ask(provision(SIF_RespondObjects=obj()), among=among))


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (provision(SIF_SubscribeObjects=obj("Nonsense"), SIF_RespondObjects=obj("TermInfo")), (7, 3)),
        (provision(SIF_SubscribeObjects=obj("TermInfo"), SIF_RespondObjects=obj("Nonsense")), (4, 4)),
        (provision(SIF_SubscribeObjects=obj(PERSONAL, "sports") + obj("TermInfo")), (12, 4)),
    ],
    ids=["object", "right", "context"],
)
def test_the_first_fault_refuses_all_of_a_message(body: bytes, first: tuple[int, int]) -> None:
    assert codes(ask(body)) == first


# --- one by one --------------------------------------------------------------------------------------------------

SINGLE: Final = [
    pytest.param("SIF_Provide", "SIF_Unprovide", Role.PROVIDE, id="provide"),
    pytest.param("SIF_Subscribe", "SIF_Unsubscribe", Role.SUBSCRIBE, id="subscribe"),
]


@pytest.mark.parametrize(("kind", "undo", "role"), SINGLE)
def test_one_entry_is_added_to_the_others_and_taken_from_them(kind: str, undo: str, role: Role) -> None:
    others = [(Role.REQUEST, Topic(PERSONAL)), (role, Topic("SchoolInfo"))]
    before, after = Provision(grants(others)), Provision(grants([*others, (role, Topic(PERSONAL, EXAMS))]))
    entry = obj(PERSONAL, "exams")

    assert done(ask(single(kind, entry), among=zone(provisions={MIS: before}))) == (Provisioned(MIS, after),)
    assert done(ask(single(undo, entry), among=zone(provisions={MIS: after}))) == (Provisioned(MIS, before),)


@pytest.mark.parametrize(("kind", "undo", "role"), SINGLE)
def test_saying_it_again_is_a_success_that_changes_nothing(kind: str, undo: str, role: Role) -> None:
    after = Provision(grants([(role, Topic(PERSONAL))]))

    assert done(ask(single(kind, obj()), among=zone(provisions={MIS: after}))) == ()
    assert done(ask(single(undo, obj("SchoolInfo")), among=zone(provisions={MIS: after}))) == ()
    assert done(ask(single(undo, obj()))) == ()


@pytest.mark.parametrize("undo", ["SIF_Unprovide", "SIF_Unsubscribe"])
def test_what_was_never_there_can_be_undone(undo: str) -> None:
    assert done(ask(single(undo, obj("TermInfo"), obj("Nonsense", "sports")))) == ()


@pytest.mark.parametrize(
    ("kind", "entry", "expected"),
    [
        ("SIF_Provide", obj("TermInfo"), (4, 3)),
        ("SIF_Subscribe", obj("TermInfo"), (4, 4)),
        ("SIF_Provide", obj("Nonsense"), (6, 3)),
        ("SIF_Subscribe", obj("Nonsense"), (7, 3)),
        ("SIF_Provide", obj(PERSONAL, "sports"), (12, 4)),
        ("SIF_Subscribe", obj(PERSONAL, "sports"), (12, 4)),
    ],
)
def test_one_entry_that_may_not_be_refuses_all_of_the_message(kind: str, entry: str, expected: tuple[int, int]) -> None:
    assert codes(ask(single(kind, obj(), entry))) == expected


def test_whether_it_answers_extended_queries_is_kept_as_long_as_it_answers_any() -> None:
    topic = Topic(PERSONAL)
    asked = ask(single("SIF_Provide", obj(extended="true")))
    (provided,) = done(asked)
    assert provided == Provisioned(MIS, Provision(grants([(Role.PROVIDE, topic)]), frozenset({topic})))

    both = Provision(grants([(Role.PROVIDE, topic), (Role.RESPOND, topic)]), frozenset({topic}))
    (less,) = done(ask(single("SIF_Unprovide", obj()), among=zone(provisions={MIS: both})))
    assert less == Provisioned(MIS, Provision(grants([(Role.RESPOND, topic)]), frozenset({topic})))

    one = Provision(grants([(Role.PROVIDE, topic)]), frozenset({topic}))
    (none,) = done(ask(single("SIF_Unprovide", obj()), among=zone(provisions={MIS: one})))
    assert none == Provisioned(MIS, Provision())


def test_who_only_asks_extended_queries_does_not_answer_them() -> None:
    (change,) = done(ask(provision(SIF_RequestObjects=obj(extended="true"))))

    assert change == Provisioned(MIS, Provision(grants([(Role.REQUEST, Topic(PERSONAL))])))


def test_objects_of_the_zones_own_can_be_subscribed_to() -> None:
    body = single("SIF_Subscribe", obj("SIF_LogEntry"), sender=MERLIN)

    assert done(ask(body, MERLIN)) == (
        Provisioned(MERLIN, Provision(grants([(Role.SUBSCRIBE, Topic("SIF_LogEntry"))]))),
    )


# --- SIF_SystemControl -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sleeping", [False, True], ids=["awake", "asleep"])
def test_who_pings_is_answered(sleeping: bool) -> None:
    given = ask(PING, among=zone(said(MIS, sleeping=sleeping)))

    assert (done(given), given.woken, given.ack.data) == ((), False, b"")


def test_an_agent_sleeps_and_wakes() -> None:
    sleeps = ask(build_system_control(header(), "SIF_Sleep"))
    wakes = ask(build_system_control(header(), "SIF_Wakeup"))

    assert (done(sleeps), sleeps.woken) == ((Slept(MIS, sleeping=True),), False)
    assert (done(wakes), wakes.woken) == ((Slept(MIS, sleeping=False),), True)


@pytest.mark.parametrize(("how", "notify"), [("Standard", True), ("None", False)])
def test_an_agent_cancels_requests_and_says_whether_it_wants_to_be_told(how: str, notify: bool) -> None:
    ids = ("A" * 32, "B" * 32)

    given = ask(cancel(how, *ids))

    assert done(given) == ()
    assert (given.cancelled, given.notify) == (tuple(MsgId(one) for one in ids), notify)


@pytest.mark.parametrize(
    ("command", "name"), [("SIF_GetZoneStatus", "SIF_ZoneStatus"), ("SIF_GetAgentACL", "SIF_AgentACL")]
)
def test_an_agent_is_told_of_the_zone_and_of_its_rights(command: str, name: str) -> None:
    given = ask(build_system_control(header(), command))

    assert done(given) == ()
    assert local_name(data_of(given)) == name


def data_of(given: Answer) -> etree._Element:
    """Return what SIF_Data holds, the whole answer being valid."""
    message = etree.fromstring(build_ack(header("quarrington"), given.ack, given.version))
    assert schemas.check_message(message) == ()
    (data,) = message.iter(NS + "SIF_Data")
    (found,) = data
    return found


# --- what is stored ----------------------------------------------------------------------------------------------


@dataclass
class MadeUpStore:
    """A registry in memory in which others may be quicker."""

    now: Live
    later: Live
    kept: tuple[Change, ...] = ()
    turns: int = 0

    def live(self) -> Live:
        return self.now

    def change_registry(self, decide: Callable[[Live], tuple[Answer, Sequence[Change]]]) -> Answer:
        self.turns += 1
        given, changes = decide(self.later)
        self.kept = tuple(changes)
        return given


def test_what_changes_something_is_decided_while_nobody_else_changes_anything() -> None:
    before = zone().live
    provides = Provision(grants([(Role.PROVIDE, Topic(PERSONAL))]))
    store = MadeUpStore(before, replace(before, provisions={MERLIN: provides}))

    given = settle(store, lambda live: ask(single("SIF_Provide", obj()), among=Registry.of(AGENTS, live)))

    assert codes(given) == (6, 4)  # another was quicker
    assert (store.kept, store.turns) == ((), 1)


def test_what_changes_nothing_takes_no_turn() -> None:
    store = MadeUpStore(zone().live, zone().live)

    assert settle(store, lambda live: ask(PING, among=Registry.of(AGENTS, live))).ack.status == DONE
    assert store.turns == 0
