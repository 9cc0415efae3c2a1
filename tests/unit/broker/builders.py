"""Made-up learners, agents, agreements and events, for the tests of the zone's decisions."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from lxml import etree

import schemas
from broker.agreements import UNDELIVERED, Agreement, Scope
from broker.pipeline import Accepted, Decision, Inbound, read
from broker.protocol.envelope import NAMESPACE, Action, Header, build_event, build_message
from broker.protocol.identifiers import AgentId, Establishment, MsgId
from broker.registry import PUBLISHING, AgentRecord, Registry, Role, Topic, grants
from broker.validation import Refusal

NS: Final = f"{{{NAMESPACE}}}"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
TODAY: Final = date(2026, 9, 15)
TIMESTAMP: Final = "2026-09-15T08:15:00Z"
MSG_ID: Final = MsgId("0123456789ABCDEF0123456789ABCDEF")
ANSWER_ID: Final = MsgId("FEDCBA9876543210FEDCBA9876543210")

MIS: Final = AgentId("mis-8209901")
MERLIN: Final = AgentId("merlin")
VIRTUAL: Final = AgentId("virtual-school")

ALEX: Final = "A1" * 16
BILLIE: Final = "B2" * 16
SCHOOL: Final = "C3" * 16
ENROLMENT: Final = "E5" * 16
OTHER_ENROLMENT: Final = "E6" * 16
CONTACT: Final = "D4" * 16

LOCAL: Final = Establishment("8209901")
ELSEWHERE: Final = Establishment("8209902")

Shares = Mapping[str, tuple[str, ...]]


def element(text: str) -> etree._Element:
    """Parse *text*, whose default namespace is SIF UK's where its root declares none."""
    if "xmlns" not in text.partition(">")[0]:
        text = re.sub(r"^<([^\s/>]+)", rf'<\1 xmlns="{NAMESPACE}"', text)
    return etree.fromstring(text)


def copied(element: etree._Element, nsmap: Mapping[str | None, str] | None = None) -> etree._Element:
    """Return an empty element with the name and the attributes of *element*."""
    copy = etree.Element(element.tag, nsmap=nsmap)  # type: ignore[arg-type]  # None is the key of no prefix
    for name, value in element.attrib.items():
        copy.set(name, value)
    return copy


def paths_of(object_type: str) -> tuple[str, ...]:
    """Return the path of every element and attribute of an object that an agreement may name, sorted."""

    def below(node: schemas.Node) -> Iterable[str]:
        for child in node.children:
            yield child.path
            yield from below(child)

    hidden = UNDELIVERED.get(object_type, ())
    return tuple(sorted(path for path in below(schemas.load().tree(object_type)) if path not in hidden))


def header(sender: str = MIS, msg_id: MsgId = MSG_ID) -> Header:
    return Header(msg_id, TIMESTAMP, AgentId(sender))


def event(*objects: tuple[str, Action, str], sender: str = MIS) -> bytes:
    """Return a SIF_Event of objects given as name, action and XML without a namespace declaration."""
    return build_event(header(sender), tuple((name, action, xml.encode()) for name, action, xml in objects))


def personal(ref_id: str = ALEX, inner: str = '<PersonalInformation><Name Type="C"/></PersonalInformation>') -> str:
    return f'<LearnerPersonal RefId="{ref_id}">{inner}</LearnerPersonal>'


def current(establishment: str = LOCAL, enrolment: str = ENROLMENT) -> str:
    return (
        f'<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{enrolment}"><LAId>{establishment[:3]}</LAId>'
        f"<EstablishmentId>{establishment[3:]}</EstablishmentId><NCYearGroup>7</NCYearGroup></CurrentSchoolEnrolment>"
    )


def add_personal(ref_id: str = ALEX, more: str = "", name: str = '<Name Type="C"/>') -> bytes:
    """Return an Add of a LearnerPersonal; *more* is what follows PersonalInformation."""
    inner = f"<PersonalInformation>{name}</PersonalInformation>{more}"
    return event(("LearnerPersonal", Action.ADD, personal(ref_id, inner)))


def agent(
    agent_id: str,
    *,
    publish: Iterable[str] = (),
    subscribe: Iterable[str] = (),
    establishments: Iterable[str] = (),
    authority: str = "",
    name: str = "",
    rights: Iterable[tuple[Role, Topic]] = (),
) -> AgentRecord:
    may = [(role, Topic(name)) for name in publish for role in PUBLISHING.values()]
    may += [(Role.SUBSCRIBE, Topic(name)) for name in subscribe]
    return AgentRecord(
        AgentId(agent_id),
        name or agent_id,
        frozenset(Establishment(e) for e in establishments),
        authority,
        grants([*may, *rights]),
        grants((Role.SUBSCRIBE, Topic(name)) for name in subscribe),
    )


def registry(*agents: AgentRecord) -> Registry:
    return Registry.of(agents)


def agreement(
    agreement_id: str,
    shares: Shares,
    *,
    senders: tuple[str, ...] = ("*",),
    to: tuple[str, ...] = ("*",),
    scope: Scope = Scope.ALL,
    starts: date = date(2026, 9, 1),
    expires: date = date(2027, 8, 31),
    shielded: bool = False,
) -> Agreement:
    return Agreement(
        agreement_id,
        agreement_id,
        senders,
        to,
        "a test",
        "UK GDPR Article 6(1)(e)",
        starts,
        expires,
        scope,
        shares,
        shielded,
        "0" * 8,
    )


def request(
    object_type: str = "LearnerPersonal",
    *,
    sender: str = MERLIN,
    versions: Iterable[str] = ("2.*",),
    buffer: int | str = 65_536,
    query: str = "",
    msg_id: MsgId = MSG_ID,
    version: str = "2.4",
    **more: Any,
) -> bytes:
    """Return a SIF_Request for all of an object; *query* is what to ask instead, *more* goes into its header."""
    listed = "".join(f"<SIF_Version>{one}</SIF_Version>" for one in versions)
    query = query or f'<SIF_Query><SIF_QueryObject ObjectName="{object_type}"/></SIF_Query>'
    content = f"{listed}<SIF_MaxBufferSize>{buffer}</SIF_MaxBufferSize>{query}"
    return build_message("SIF_Request", header(sender, msg_id)._replace(**more), content.encode(), version)


def response(
    *objects: str,
    packet: int | str = 1,
    more: bool = False,
    sender: str = MIS,
    to: str | None = MERLIN,
    request_id: str = MSG_ID,
    payload: str | None = None,
    msg_id: MsgId = ANSWER_ID,
    version: str = "2.4",
    **fields: Any,
) -> bytes:
    """Return a SIF_Response with *objects*; *payload* is what it holds instead, *fields* go into its header."""
    payload = f"<SIF_ObjectData>{''.join(objects)}</SIF_ObjectData>" if payload is None else payload
    content = (
        f"<SIF_RequestMsgId>{request_id}</SIF_RequestMsgId><SIF_PacketNumber>{packet}</SIF_PacketNumber>"
        f"<SIF_MorePackets>{'Yes' if more else 'No'}</SIF_MorePackets>{payload}"
    )
    destination = AgentId(to) if to else None
    top = header(sender, msg_id)._replace(destination_id=destination, **fields)
    return build_message("SIF_Response", top, content.encode(), version)


def read_event(body: bytes, login: AgentId = MIS, routing_key: str | None = None) -> Inbound:
    """Return the event in *body*; a request or a response fails the test."""
    found = read(body, login, routing_key)
    assert isinstance(found, Inbound), found
    return found


def accepted(decision: Decision) -> Accepted:
    assert isinstance(decision, Accepted), decision
    return decision


def refused(decision: Decision) -> Refusal:
    assert isinstance(decision, Refusal), decision
    return decision


def delivered(decision: Decision) -> dict[str, bytes]:
    """Return what each recipient gets; a recipient that is named twice fails the test."""
    found: dict[str, bytes] = {}
    for delivery in accepted(decision).deliveries:
        for recipient in delivery.recipients:
            assert recipient not in found, f"{recipient} is sent the same message twice"
            found[recipient] = delivery.body
    return found


def withheld(decision: Decision) -> dict[str, str]:
    """Return why each subscriber that gets nothing does not."""
    found: dict[str, str] = {}
    for reason, agents in accepted(decision).withheld:
        for name in agents:
            assert name not in found, f"{name} is withheld from twice"
            found[name] = str(reason)
    return found
