"""Messages around objects: each kind passes, and what is wrong with one is told by place and line, never by value."""

from collections.abc import Callable

import pytest
from lxml import etree

import schemas
from schemas import Finding

NAMESPACE = "http://www.sifinfo.org/uk/infrastructure/2.x"
MARK = "Zebedee"
ID = "0123456789ABCDEF" * 2
HEADER = (
    f"<SIF_Header>\n<SIF_MsgId>{ID}</SIF_MsgId>\n<SIF_Timestamp>2026-01-05T09:00:00Z</SIF_Timestamp>\n"
    "<SIF_SourceId>made-up-mis</SIF_SourceId></SIF_Header>"
)
FULL_HEADER = HEADER.replace(
    "\n<SIF_SourceId>",
    "<SIF_Security><SIF_SecureChannel><SIF_AuthenticationLevel>3</SIF_AuthenticationLevel>"
    "<SIF_EncryptionLevel>4</SIF_EncryptionLevel></SIF_SecureChannel></SIF_Security><SIF_SourceId>",
).replace(
    "</SIF_Header>",
    "<SIF_DestinationId>made-up-zone</SIF_DestinationId>"
    "<SIF_Contexts><SIF_Context>SIF_Default</SIF_Context><SIF_Context>Mock</SIF_Context></SIF_Contexts></SIF_Header>",
)
CONTEXTS = "<SIF_Contexts><SIF_Context>SIF_Default</SIF_Context></SIF_Contexts>"
OBJECTS = f'<SIF_Object ObjectName="TermInfo"/><SIF_Object ObjectName="SchoolInfo">{CONTEXTS}</SIF_Object>'
QUERYABLE = (
    '<SIF_Object ObjectName="TermInfo"><SIF_ExtendedQuerySupport>false</SIF_ExtendedQuerySupport>'
    f'{CONTEXTS}</SIF_Object><SIF_Object ObjectName="SchoolInfo"/>'
)
ERROR = (
    "<SIF_Error><SIF_Category>1</SIF_Category><SIF_Code>3</SIF_Code><SIF_Desc>Not valid</SIF_Desc>"
    "<SIF_ExtendedDesc>In more words</SIF_ExtendedDesc></SIF_Error>"
)
ASKED = "<SIF_Version>2.*</SIF_Version><SIF_Version>2.0r1</SIF_Version><SIF_MaxBufferSize>1048576</SIF_MaxBufferSize>"
CONDITION = (
    '<SIF_ConditionGroup Type="None"><SIF_Conditions Type="And"><SIF_Condition>'
    "<SIF_Element«object»>LocalId</SIF_Element><SIF_Operator>EQ</SIF_Operator><SIF_Value>1</SIF_Value>"
    "</SIF_Condition></SIF_Conditions></SIF_ConditionGroup>"
)
COLUMN = '<SIF_Element ObjectName="TermInfo" Alias="Start">StartDate</SIF_Element>'
ANSWERED = (
    f"<SIF_RequestMsgId>{ID}</SIF_RequestMsgId><SIF_PacketNumber>1</SIF_PacketNumber>"
    "<SIF_MorePackets>No</SIF_MorePackets>"
)


def ack(inside: str) -> str:
    about = f"<SIF_OriginalSourceId>made-up-mis</SIF_OriginalSourceId><SIF_OriginalMsgId>{ID}</SIF_OriginalMsgId>"
    return f"<SIF_Ack>{HEADER}{about}{inside}</SIF_Ack>"


def status(data: str = "", code: int = 0) -> str:
    inside = f"<SIF_Desc>Here it is</SIF_Desc><SIF_Data>{data}</SIF_Data>" if data else ""
    return f"<SIF_Status><SIF_Code>{code}</SIF_Code>{inside}</SIF_Status>"


def control(command: str) -> str:
    data = f"<SIF_SystemControlData>{command}</SIF_SystemControlData>"
    return f"<SIF_SystemControl>{HEADER}\n{data}</SIF_SystemControl>"


def event(objects: str = "<TermInfo/>", attributes: str = 'ObjectName="TermInfo" Action="Add"') -> str:
    inside = f"<SIF_EventObject {attributes}>{objects}</SIF_EventObject>"
    return f"<SIF_Event>{HEADER}\n<SIF_ObjectData>{inside}</SIF_ObjectData></SIF_Event>"


def request(query: str) -> str:
    return f"<SIF_Request>{HEADER}{ASKED}{query}</SIF_Request>"


def query(inside: str) -> str:
    asked = '<SIF_QueryObject ObjectName="TermInfo"><SIF_Element>@RefId</SIF_Element></SIF_QueryObject>'
    return request(f"<SIF_Query>{asked}{inside}</SIF_Query>")


def response(inside: str) -> str:
    return f"<SIF_Response>{HEADER}{ANSWERED}{inside}</SIF_Response>"


EXTENDED_QUERY = (
    "<SIF_ExtendedQuery><SIF_DestinationProvider>TermInfo</SIF_DestinationProvider>"
    f'<SIF_Select Distinct="true" RowCount="All">{COLUMN}</SIF_Select>'
    '<SIF_From ObjectName="TermInfo"><SIF_Join Type="LeftOuter"><SIF_JoinOn>'
    '<SIF_LeftElement ObjectName="TermInfo">@SchoolInfoRefId</SIF_LeftElement>'
    '<SIF_RightElement ObjectName="SchoolInfo">@RefId</SIF_RightElement></SIF_JoinOn></SIF_Join></SIF_From>'
    "<SIF_Where>" + CONDITION.replace("«object»", ' ObjectName="TermInfo"') + "</SIF_Where>"
    '<SIF_OrderBy><SIF_Element ObjectName="TermInfo" Ordering="Descending">StartDate</SIF_Element></SIF_OrderBy>'
    "</SIF_ExtendedQuery>"
)
ROWS = (
    f"<SIF_ExtendedQueryResults><SIF_ColumnHeaders>{COLUMN}</SIF_ColumnHeaders>"
    "<SIF_Rows><R><C>2025-09-03</C></R><R><C><Anything/></C></R></SIF_Rows></SIF_ExtendedQueryResults>"
)
COMMANDS = ("SIF_Ping", "SIF_Sleep", "SIF_Wakeup", "SIF_GetMessage", "SIF_GetZoneStatus", "SIF_GetAgentACL")
CANCEL = (
    "<SIF_CancelRequests><SIF_NotificationType>None</SIF_NotificationType>"
    f"<SIF_RequestMsgIds><SIF_RequestMsgId>{ID}</SIF_RequestMsgId></SIF_RequestMsgIds></SIF_CancelRequests>"
)
LISTS = ("Provide", "Subscribe", "PublishAdd", "PublishChange", "PublishDelete", "Request", "Respond")
ACCESS = "".join(
    f'<SIF_{what}Access><SIF_Object ObjectName="TermInfo">{CONTEXTS}</SIF_Object></SIF_{what}Access>' for what in LISTS
)

MESSAGES = {
    "register": (
        f"<SIF_Register>{FULL_HEADER}<SIF_Name>Made-up MIS</SIF_Name><SIF_Version>2.4</SIF_Version>"
        "<SIF_Version>1.5r1</SIF_Version><SIF_MaxBufferSize>1048576</SIF_MaxBufferSize><SIF_Mode>Push</SIF_Mode>"
        '<SIF_Protocol Type="HTTPS" Secure="Yes"><SIF_URL>https://mis.example.org/</SIF_URL>'
        "<SIF_Property><SIF_Name>Accept-Encoding</SIF_Name><SIF_Value>gzip</SIF_Value></SIF_Property></SIF_Protocol>"
        "<SIF_NodeVendor>Nobody</SIF_NodeVendor><SIF_NodeVersion>1</SIF_NodeVersion>"
        "<SIF_Application><SIF_Vendor>Nobody</SIF_Vendor><SIF_Product>MIS</SIF_Product><SIF_Version>1</SIF_Version>"
        "</SIF_Application><SIF_Icon>https://mis.example.org/icon</SIF_Icon></SIF_Register>"
    ),
    "unregister": f"<SIF_Unregister>{HEADER}</SIF_Unregister>",
    "provision": (
        f"<SIF_Provision>{HEADER}<SIF_ProvideObjects>{QUERYABLE}</SIF_ProvideObjects>"
        f"<SIF_SubscribeObjects>{OBJECTS}</SIF_SubscribeObjects><SIF_PublishAddObjects/><SIF_PublishChangeObjects/>"
        f"<SIF_PublishDeleteObjects>{OBJECTS}</SIF_PublishDeleteObjects>"
        f"<SIF_RequestObjects>{QUERYABLE}</SIF_RequestObjects><SIF_RespondObjects/></SIF_Provision>"
    ),
    "provide": f"<SIF_Provide>{HEADER}{QUERYABLE}</SIF_Provide>",
    "unprovide": f"<SIF_Unprovide>{HEADER}{OBJECTS}</SIF_Unprovide>",
    "subscribe": f"<SIF_Subscribe>{HEADER}{OBJECTS}</SIF_Subscribe>",
    "unsubscribe": f"<SIF_Unsubscribe>{HEADER}{OBJECTS}</SIF_Unsubscribe>",
    "event": event(),
    "event with several objects": event("<TermInfo/><Nonsense xmlns='urn:nonsense'/><TermInfo/>"),
    "request for all": query(""),
    "request with conditions": query(CONDITION.replace("«object»", "")),
    "request with an example": query('<SIF_Example><TermInfo RefId="nonsense"/></SIF_Example>'),
    "extended request": request(EXTENDED_QUERY),
    "response": response("<SIF_ObjectData><TermInfo/><TermInfo/></SIF_ObjectData>"),
    "empty response": response("<SIF_ObjectData/>"),
    "response with an error": response(ERROR),
    "response with rows": response(ROWS),
    **{f"command {name}": control(f"<{name}/>") for name in COMMANDS},
    "command SIF_CancelRequests": control(CANCEL),
    "acknowledgement": ack(status()),
    "acknowledgement with an error": ack(ERROR),
    "acknowledgement with a message": ack(status(f'<SIF_Message Version="2.1">{event()}</SIF_Message>', 1)),
    "acknowledgement with rights": ack(status(f"<SIF_AgentACL>{ACCESS}</SIF_AgentACL>")),
    "acknowledgement of what could not be read": (
        f'<SIF_Ack xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{HEADER}<SIF_OriginalSourceId/>'
        f'<SIF_OriginalMsgId xsi:nil="true"/>{ERROR}</SIF_Ack>'
    ),
}
"""Each kind of message; nothing in them is anybody's."""


def message(inside: str, version: str = 'Version="2.4"') -> etree._Element:
    return etree.fromstring(f'<SIF_Message xmlns="{NAMESPACE}" {version}>\n{inside}\n</SIF_Message>')


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize("inside", MESSAGES.values(), ids=MESSAGES)
def test_every_kind_of_message_is_valid(inside: str) -> None:
    assert schemas.check_message(message(inside)) == ()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 7, 8, 9])
def test_every_status_is_valid(code: int) -> None:
    assert schemas.check_message(message(ack(status(code=code)))) == ()


@pytest.mark.parametrize("version", ["2.0r1", "2.1", "2.3", "2.4", "2.5"])
def test_every_version_is_valid(version: str) -> None:
    assert schemas.check_message(message(MESSAGES["unregister"], f'Version="{version}"')) == ()


def test_message_with_a_prefix_is_valid() -> None:
    text = f'<s:SIF_Message xmlns:s="{NAMESPACE}" Version="2.4">{MESSAGES["unregister"]}</s:SIF_Message>'

    assert schemas.check_message(etree.fromstring(text.replace("<SIF_", "<s:SIF_").replace("</SIF_", "</s:SIF_"))) == ()


@pytest.mark.parametrize(
    ("inside", "path", "line", "rule"),
    [
        pytest.param("", "", 1, "content", id="nothing in it"),
        pytest.param("<SIF_Nonsense/>", "SIF_Nonsense", 2, "content", id="unknown kind"),
        pytest.param(
            MESSAGES["unregister"] + "\n" + MESSAGES["unregister"], "SIF_Unregister", 6, "content", id="two messages"
        ),
        pytest.param("<SIF_Unregister/>", "SIF_Unregister", 2, "content", id="no header"),
        pytest.param(
            MESSAGES["unregister"].replace(ID, ID.lower()), "SIF_Unregister/SIF_Header/SIF_MsgId", 3, "value", id="id"
        ),
        pytest.param(
            MESSAGES["unregister"].replace("2026-01-05T", "05/01/2026 "),
            "SIF_Unregister/SIF_Header/SIF_Timestamp",
            4,
            "value",
            id="timestamp",
        ),
        pytest.param(
            MESSAGES["unregister"].replace("made-up-mis", "m" * 65),
            "SIF_Unregister/SIF_Header/SIF_SourceId",
            5,
            "value",
            id="long sender",
        ),
        pytest.param(
            MESSAGES["unregister"].replace("<SIF_SourceId>made-up-mis</SIF_SourceId>", ""),
            "SIF_Unregister/SIF_Header",
            2,
            "content",
            id="no sender",
        ),
        pytest.param(f"<SIF_Subscribe>{HEADER}</SIF_Subscribe>", "SIF_Subscribe", 2, "content", id="no object named"),
        pytest.param(
            f"<SIF_Subscribe>{HEADER}\n<SIF_Object/></SIF_Subscribe>",
            "SIF_Subscribe/SIF_Object",
            6,
            "value",
            id="object without a name",
        ),
        pytest.param(
            event(attributes='ObjectName="TermInfo" Action="Added"'),
            "SIF_Event/SIF_ObjectData/SIF_EventObject",
            6,
            "value",
            id="action",
        ),
        pytest.param(event(""), "SIF_Event/SIF_ObjectData/SIF_EventObject", 6, "content", id="event without object"),
        pytest.param(
            control("<SIF_Reboot/>"), "SIF_SystemControl/SIF_SystemControlData/SIF_Reboot", 6, "content", id="command"
        ),
        pytest.param(
            control("<SIF_Ping>now</SIF_Ping>"),
            "SIF_SystemControl/SIF_SystemControlData/SIF_Ping",
            6,
            "value",
            id="text in a command",
        ),
        pytest.param(
            ack("\n" + status(code=4)), "SIF_Ack/SIF_Status/SIF_Code", 6, "value", id="status that there is not"
        ),
        pytest.param(
            ack("\n" + ERROR.replace("<SIF_Category>1<", "<SIF_Category>15<")),
            "SIF_Ack/SIF_Error/SIF_Category",
            6,
            "value",
            id="category that there is not",
        ),
        pytest.param(
            ack(status(f'<SIF_Message Version="2.1">\n{MESSAGES["unregister"].replace(ID, "1")}</SIF_Message>')),
            "SIF_Ack/SIF_Status/SIF_Data/SIF_Message/SIF_Unregister/SIF_Header/SIF_MsgId",
            7,
            "value",
            id="in a message in a message",
        ),
        pytest.param(
            query("\n" + CONDITION.replace("«object»", "").replace(">EQ<", ">LIKE<")),
            "SIF_Request/SIF_Query/SIF_ConditionGroup/SIF_Conditions/SIF_Condition/SIF_Operator",
            6,
            "value",
            id="operator",
        ),
        pytest.param(
            response("\n<SIF_ObjectData/>").replace(">1</SIF_PacketNumber>", ">0</SIF_PacketNumber>"),
            "SIF_Response/SIF_PacketNumber",
            5,
            "value",
            id="packet number",
        ),
    ],
)
def test_fault_is_told_by_place_line_and_rule(inside: str, path: str, line: int, rule: str) -> None:
    finding = only(schemas.check_message(message(inside)))

    assert (finding.path, finding.line, finding.rule) == (path, line, rule)
    assert (finding.severity, finding.nearest) == ("refuse", None)
    assert finding.sif_code == {"content": 3, "value": 4}[rule]
    assert finding.message.startswith("/".join(path.split("/")[-2:]) or "SIF_Message")
    assert finding.message.endswith(".")


@pytest.mark.parametrize("version", ["", 'Version="2"', 'Version="latest"', 'Version="2.4" Other="1"'])
def test_version_is_wanted_in_the_right_form(version: str) -> None:
    finding = only(schemas.check_message(message(MESSAGES["unregister"], version)))

    assert (finding.path, finding.line, finding.rule) == ("", 1, "value")
    assert finding.message == "SIF_Message is not in the right form: correct it as the standard has it."


def test_message_in_another_namespace_is_refused() -> None:
    text = etree.tostring(message(MESSAGES["unregister"])).decode().replace("/uk/", "/us/")

    assert only(schemas.check_message(etree.fromstring(text))).path == ""


def test_path_leads_from_the_message_wherever_that_is() -> None:
    bad = etree.tostring(message(MESSAGES["unregister"].replace(ID, "1"))).decode()
    (inner,) = etree.fromstring(f"<Wrapper>\n\n{bad}</Wrapper>")

    finding = only(schemas.check_message(inner))

    assert (finding.path, finding.line) == ("SIF_Unregister/SIF_Header/SIF_MsgId", 5)


def test_path_is_told_where_the_message_has_a_prefix() -> None:
    text = f'<s:SIF_Message xmlns:s="{NAMESPACE}" Version="2.4">\n<s:SIF_Unregister/></s:SIF_Message>'

    finding = only(schemas.check_message(etree.fromstring(text)))

    assert (finding.path, finding.line) == ("SIF_Unregister", 2)


def test_name_in_a_namespace_declared_further_down_is_laid_to_the_message() -> None:
    finding = only(schemas.check_message(message(f"<p:{MARK} xmlns:p='urn:example'/>")))

    assert (finding.path, finding.line, finding.rule) == ("", 2, "content")


@pytest.mark.parametrize("inside", MESSAGES.values(), ids=MESSAGES)
def test_no_finding_repeats_a_value(inside: str) -> None:
    element = message(inside)
    for part in element.iter("*"):
        part.text = f"{MARK} {part.text or ''}"
        for attribute in part.attrib:
            part.set(attribute, MARK)
        part.set("Nonsense", MARK)

    findings = schemas.check_message(element)

    assert len(findings) > 2
    assert MARK not in repr(findings)


def test_faults_are_told_in_document_order() -> None:
    text = f"<SIF_Subscribe>{HEADER.replace('2026-01-05T', '')}\n<SIF_Object/>\n\n<SIF_Object/></SIF_Subscribe>"
    without_end = f"<SIF_Provision>{HEADER.replace(ID, '1')}<SIF_ProvideObjects/></SIF_Provision>"

    assert [f.line for f in schemas.check_message(message(text))] == [4, 6, 8]
    assert [(f.line, f.rule) for f in schemas.check_message(message(without_end))] == [(2, "content"), (3, "value")]


def test_each_of_many_elements_alike_is_told_of_but_no_more_than_a_hundred() -> None:
    def faults(count: int) -> int:
        objects = '<SIF_Object ObjectName="two words"/>' * count
        return len(schemas.check_message(message(f"<SIF_Subscribe>{HEADER}\n{objects}</SIF_Subscribe>")))

    assert [faults(count) for count in (1, 99, 100, 101, 500)] == [1, 99, 100, 100, 100]


def test_hostile_names_are_cut_short() -> None:
    findings = schemas.check_message(message(f"<{MARK * 1_000} {'a' * 10_000}='b'/>"))

    assert all(len(repr(finding)) < 600 for finding in findings)


@pytest.mark.parametrize("inside", ["<TermInfo>text<a/></TermInfo>", "<x xmlns='urn:example' y='z'>text</x>"])
@pytest.mark.parametrize(
    "around", [event, lambda objects: query(f"<SIF_Example>{objects}</SIF_Example>")], ids=["event", "example"]
)
def test_what_is_in_the_place_of_an_object_is_left_aside(around: Callable[[str], str], inside: str) -> None:
    assert schemas.check_message(message(around(inside))) == ()
