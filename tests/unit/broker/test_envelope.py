"""The envelope says what it is given and reads what it wrote; hostile input has a file of its own."""

import pytest
from lxml import etree

from broker.protocol.envelope import (
    NAMESPACE,
    Ack,
    Action,
    Header,
    build_ack,
    build_event,
    build_message,
    build_register,
    build_system_control,
    event_frame,
    event_objects,
    local_name,
    new_header,
    parse_ack,
    parse_message,
)
from broker.protocol.errors import SIF_ERRORS, NotValid, VersionNotSupported
from broker.protocol.identifiers import AgentId, Context, is_guid
from tests.unit.broker.builders import ALEX, BILLIE, MIS, MSG_ID, TIMESTAMP, add_personal, header, personal

FULL_HEADER = Header(
    MSG_ID,
    TIMESTAMP,
    AgentId("mis & <co>"),
    AgentId('to "one"'),
    (Context("estab-8209901"), Context("SIF_Default")),
    3,
    4,
)


def with_header(inner: str, version: str = "2.4") -> bytes:
    return (
        f'<SIF_Message xmlns="{NAMESPACE}" Version="{version}"><SIF_Event><SIF_Header>{inner}</SIF_Header>'
        "<SIF_ObjectData/></SIF_Event></SIF_Message>"
    ).encode()


def header_xml(**changes: str | None) -> str:
    parts = {"SIF_MsgId": str(MSG_ID), "SIF_Timestamp": TIMESTAMP, "SIF_SourceId": str(MIS)}
    return "".join(f"<{name}>{text}</{name}>" for name, text in {**parts, **changes}.items() if text is not None)


def event_with(content: str) -> bytes:
    return build_message("SIF_Event", header(), content.encode())


# --- round trips -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [header(), FULL_HEADER], ids=["least", "everything"])
def test_header_comes_back_as_it_was_built(given: Header) -> None:
    assert parse_message(build_message("SIF_Event", given)).header == given


@pytest.mark.parametrize("action", list(Action))
def test_event_comes_back_with_its_objects_in_order(action: Action) -> None:
    body = build_event(
        header(),
        (
            ("LearnerPersonal", action, personal(ALEX).encode()),
            ("LearnerPersonal", Action.DELETE, personal(BILLIE, "").encode()),
        ),
    )

    objects = event_objects(parse_message(body))

    assert [(o.object_type, o.action, o.element.get("RefId")) for o in objects] == [
        ("LearnerPersonal", action, ALEX),
        ("LearnerPersonal", Action.DELETE, BILLIE),
    ]


@pytest.mark.parametrize(
    "ack",
    [
        Ack(MIS, MSG_ID, status=0),
        Ack("a <b> & c", MSG_ID, category=1, code=3, description="<PersonalInformation> & more", extended="<x/> & y"),
        Ack("", None, category=1, code=2, description="line 3: no XML at all"),
    ],
    ids=["status", "error that needs escaping", "about what could not be read"],
)
def test_ack_comes_back_as_it_was_built(ack: Ack) -> None:
    message = parse_message(build_ack(header("zone"), ack))

    assert message.kind == "SIF_Ack"
    assert parse_ack(message) == ack


def test_unreadable_message_id_is_sent_as_nil() -> None:
    message = parse_message(build_ack(header("zone"), Ack("", None, category=1, code=2)))

    original = message.payload.find(f"{{{NAMESPACE}}}SIF_OriginalMsgId")
    assert original is not None
    assert original.get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"


def test_description_is_cut_to_the_length_that_the_standard_allows() -> None:
    message = parse_message(build_ack(header("zone"), Ack(MIS, MSG_ID, category=1, code=3, description="&" * 3000)))

    assert parse_ack(message).description == "&" * 1024


def test_register_and_control_say_what_is_asked() -> None:
    register = parse_message(build_register(header(), "Larkrise & <friends>" + "x" * 100))
    ping = parse_message(build_system_control(header(), "SIF_Ping"))

    assert register.payload.findtext(f"{{{NAMESPACE}}}SIF_Name") == ("Larkrise & <friends>" + "x" * 100)[:64]
    assert ping.payload.find(f"{{{NAMESPACE}}}SIF_SystemControlData/{{{NAMESPACE}}}SIF_Ping") is not None


def test_frame_and_object_make_the_event_that_build_event_makes() -> None:
    message = parse_message(build_event(FULL_HEADER, (("LearnerPersonal", Action.CHANGE, b"<LearnerPersonal/>"),)))

    before, after = event_frame(message, "LearnerPersonal", Action.CHANGE)

    assert before + b"<LearnerPersonal/>" + after == build_event(
        FULL_HEADER, (("LearnerPersonal", Action.CHANGE, b"<LearnerPersonal/>"),), message.version
    )


@pytest.mark.parametrize(
    "body",
    [
        add_personal(),
        build_ack(header(), Ack(MIS, MSG_ID, status=0)),
        build_register(header(), "x"),
        build_system_control(header(), "SIF_Ping"),
    ],
    ids=["event", "ack", "register", "control"],
)
def test_built_bytes_begin_with_the_root_and_parse_as_plain_xml(body: bytes) -> None:
    assert body.startswith(b"<SIF_Message ")  # neither declaration nor byte order mark: some agents stumble over them
    assert etree.fromstring(body).tag == f"{{{NAMESPACE}}}SIF_Message"


def test_new_header_has_a_fresh_id_and_a_time_that_the_zone_accepts() -> None:
    first, second = new_header(MIS), new_header(MIS)

    assert is_guid(first.msg_id)
    assert first.msg_id != second.msg_id
    assert parse_message(build_message("SIF_Event", first)).header == first


# --- what is read tolerantly -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [b"", b"\xef\xbb\xbf", b'<?xml version="1.0"?>', b"<?xml version='1.0' encoding='utf-8'?>\r\n<!-- a --><?b c?>\n"],
    ids=["nothing", "byte order mark", "declaration", "declaration, comment and instruction"],
)
def test_what_stands_before_the_root_does_not_matter(before: bytes) -> None:
    assert parse_message(before + add_personal()).header.msg_id == MSG_ID


def test_prefixed_document_reads_like_one_without_prefixes() -> None:
    body = (
        f'<s:SIF_Message xmlns:s="{NAMESPACE}" Version="2.1"><s:SIF_Event><s:SIF_Header><s:SIF_MsgId>{MSG_ID}'
        f"</s:SIF_MsgId><s:SIF_Timestamp>{TIMESTAMP}</s:SIF_Timestamp><s:SIF_SourceId>{MIS}</s:SIF_SourceId>"
        '</s:SIF_Header><s:SIF_ObjectData><s:SIF_EventObject ObjectName="LearnerPersonal" Action="Delete">'
        f'<s:LearnerPersonal RefId="{ALEX}"/></s:SIF_EventObject></s:SIF_ObjectData></s:SIF_Event></s:SIF_Message>'
    ).encode()

    message = parse_message(body)

    assert (message.version, message.kind, message.header) == ("2.1", "SIF_Event", header())
    assert [(o.object_type, o.action) for o in event_objects(message)] == [("LearnerPersonal", Action.DELETE)]


def test_comments_and_instructions_are_gone_wherever_they_stood() -> None:
    body = add_personal().replace(b"<SIF_Header>", b"<!-- a --><?b c?><SIF_Header><!-- d -->")

    message = parse_message(body)

    assert [node for node in message.payload.iter() if not isinstance(node.tag, str)] == []
    assert message.header == header()


def test_ids_are_read_without_the_blanks_around_them() -> None:
    body = with_header(header_xml(SIF_MsgId=f"\n {MSG_ID}\n", SIF_Timestamp=f" {TIMESTAMP} ", SIF_SourceId=f" {MIS}\n"))

    assert parse_message(body).header == header()


def test_message_without_contexts_is_in_the_default_context() -> None:
    assert parse_message(with_header(header_xml())).header.contexts == ("SIF_Default",)


@pytest.mark.parametrize("version", ["2.0", "2.0r1", "2.1", "2.3", "2.4", "2.5", "2.9"])
def test_versions_of_sif_2_are_spoken(version: str) -> None:
    assert parse_message(with_header(header_xml(), version)).version == version


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "1.1", "2", "2.", "2.x", "2.10", "3.0", "2.4 ", '2.4" x="'])
def test_other_versions_are_refused_with_the_code_for_it(version: str) -> None:
    body = with_header(header_xml(), version.replace('"', "&quot;"))

    with pytest.raises(VersionNotSupported, match="Version") as caught:
        parse_message(body)

    assert (caught.value.category, caught.value.code) == (12, 3)


@pytest.mark.parametrize(
    ("inner", "named"),
    [
        pytest.param(header_xml(SIF_MsgId=None), "SIF_MsgId", id="no id"),
        pytest.param(header_xml(SIF_MsgId=MSG_ID.lower()), "SIF_MsgId", id="lower-case id"),
        pytest.param(header_xml(SIF_MsgId=MSG_ID[:-1]), "SIF_MsgId", id="short id"),
        pytest.param(header_xml(SIF_MsgId="{" + MSG_ID + "}"), "SIF_MsgId", id="id in braces"),
        pytest.param(header_xml(SIF_Timestamp=None), "SIF_Timestamp", id="no time"),
        pytest.param(header_xml(SIF_Timestamp="today"), "SIF_Timestamp", id="time in words"),
        pytest.param(header_xml(SIF_Timestamp="2026-09-01"), "SIF_Timestamp", id="day without time"),
        pytest.param(header_xml(SIF_SourceId=None), "SIF_SourceId", id="no source"),
        pytest.param(header_xml(SIF_SourceId=" \n"), "SIF_SourceId", id="empty source"),
        pytest.param(header_xml(SIF_SourceId="x" * 65), "SIF_SourceId", id="long source"),
        pytest.param(header_xml(SIF_DestinationId="x" * 65), "SIF_DestinationId", id="long destination"),
        pytest.param(header_xml(SIF_Contexts=""), "SIF_Contexts", id="no context in contexts"),
        pytest.param(
            header_xml(SIF_Contexts="<SIF_Context>a</SIF_Context><SIF_Context/>"), "SIF_Contexts", id="empty context"
        ),
        pytest.param(
            header_xml(SIF_Contexts="<SIF_Context>a</SIF_Context>" * 51), "SIF_Contexts", id="too many contexts"
        ),
        pytest.param(
            header_xml(
                SIF_Security="<SIF_SecureChannel><SIF_EncryptionLevel>high</SIF_EncryptionLevel></SIF_SecureChannel>"
            ),
            "SIF_Security",
            id="level in words",
        ),
        pytest.param(
            header_xml(
                SIF_Security="<SIF_SecureChannel><SIF_EncryptionLevel>5</SIF_EncryptionLevel></SIF_SecureChannel>"
            ),
            "SIF_Security",
            id="level that does not exist",
        ),
        pytest.param(
            header_xml(
                SIF_Security="<SIF_SecureChannel><SIF_AuthenticationLevel>-1</SIF_AuthenticationLevel>"
                "</SIF_SecureChannel>"
            ),
            "SIF_Security",
            id="negative level",
        ),
        pytest.param(
            header_xml(SIF_SourceId=None)
            + f'<SIF_SourceId xmlns="{NAMESPACE.replace("2.x", "9.x")}">{MIS}</SIF_SourceId>',
            "SIF_SourceId",
            id="source in another namespace",
        ),
    ],
)
def test_wrong_header_is_refused_by_the_name_of_the_element(inner: str, named: str) -> None:
    with pytest.raises(NotValid, match=f"SIF_Header/{named}") as caught:
        parse_message(with_header(inner))

    assert (caught.value.category, caught.value.code) == (1, 3)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(f'<SIF_Message xmlns="{NAMESPACE}" Version="2.4"/>', "0 children", id="empty message"),
        pytest.param(
            f'<SIF_Message xmlns="{NAMESPACE}" Version="2.4"><SIF_Event/><SIF_Event/></SIF_Message>',
            "2 children",
            id="two messages",
        ),
        pytest.param(
            f'<SIF_Message xmlns="{NAMESPACE}" Version="2.4"><SIF_Event/></SIF_Message>', "SIF_Header", id="no header"
        ),
        pytest.param(
            f'<SIF_Message xmlns="{NAMESPACE}" Version="2.4"><SIF_Event><SIF_ObjectData/></SIF_Event></SIF_Message>',
            "SIF_Header",
            id="header not first",
        ),
    ],
)
def test_message_that_is_not_one_headed_message_is_refused(body: str, says: str) -> None:
    with pytest.raises(NotValid, match=says):
        parse_message(body.encode())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("", "SIF_ObjectData", id="no data"),
        pytest.param("<SIF_ObjectData/>", "no object", id="empty data"),
        pytest.param("<SIF_ObjectData/><SIF_ObjectData/>", "one SIF_ObjectData", id="data twice"),
        pytest.param("<Other/>", "SIF_ObjectData", id="something else"),
        pytest.param(
            '<SIF_ObjectData><Other ObjectName="LearnerPersonal" Action="Add"/></SIF_ObjectData>',
            "SIF_EventObject",
            id="no event object",
        ),
        pytest.param(
            '<SIF_ObjectData><SIF_EventObject ObjectName="LearnerPersonal" Action="Add"/></SIF_ObjectData>',
            "no object",
            id="empty event object",
        ),
        *(
            pytest.param(
                f'<SIF_ObjectData><SIF_EventObject ObjectName="LearnerPersonal" {action}><LearnerPersonal/>'
                "</SIF_EventObject></SIF_ObjectData>",
                "Action Add, Change or Delete",
                id=f"action {action or 'missing'}",
            )
            for action in ("", 'Action="add"', 'Action="Update"', 'Action=""')
        ),
        pytest.param(
            '<SIF_ObjectData><SIF_EventObject ObjectName="LearnerPersonal" Action="Add"><SchoolInfo/>'
            "</SIF_EventObject></SIF_ObjectData>",
            "ObjectName",
            id="another object than it says",
        ),
        pytest.param(
            '<SIF_ObjectData><SIF_EventObject ObjectName="LearnerPersonal" Action="Add">'
            '<LearnerPersonal xmlns="urn:other"/></SIF_EventObject></SIF_ObjectData>',
            f"in the namespace {NAMESPACE}",
            id="object in another namespace",
        ),
    ],
)
def test_event_that_holds_no_proper_object_is_refused(content: str, says: str) -> None:
    with pytest.raises(NotValid, match=says):
        event_objects(parse_message(event_with(content)))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<SIF_Status><SIF_Code>fine</SIF_Code></SIF_Status>",
        "<SIF_Error><SIF_Category>1</SIF_Category></SIF_Error>",
    ],
    ids=["neither", "status in words", "error without code"],
)
def test_ack_that_says_nothing_is_refused(content: str) -> None:
    with pytest.raises(NotValid):
        parse_ack(parse_message(build_message("SIF_Ack", header(), content.encode())))


def test_local_name_keeps_a_foreign_namespace() -> None:
    assert local_name(etree.Element(f"{{{NAMESPACE}}}UPN")) == "UPN"
    assert local_name(etree.Element("{urn:other}UPN")) == "{urn:other}UPN"
    assert local_name(etree.Element("UPN")) == "UPN"


def test_every_error_that_the_envelope_raises_is_in_the_table_of_sif() -> None:
    for error in (NotValid, VersionNotSupported):
        assert (error.category, error.code) in SIF_ERRORS
