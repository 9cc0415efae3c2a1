"""Answer the control messages of agents that speak AMQP: register, unregister, ping. Values in, values out."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from broker.protocol.envelope import NAMESPACE, Ack, Message, parse_message
from broker.protocol.errors import MessageTypeNotSupported, NotRegistered, WrongSource, ZoneError
from broker.protocol.identifiers import AgentId
from broker.registry import Registry

_NS = f"{{{NAMESPACE}}}"
DONE = 0
"""SIF_Status/SIF_Code of a zone server that did what was asked."""


class MayNotRegister(ZoneError):
    """The zone has no agent of this id."""

    category = 4
    code = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The SIF_Ack to send, and what the registry is to remember.

    Attributes:
        registered: The name and version the agent gave, when it registered.
        unregistered: Whether it took its leave.
    """

    ack: Ack
    version: str
    registered: tuple[str, str] | None = None
    unregistered: bool = False


def answer(body: bytes, login: AgentId, registry: Registry, registered: AbstractSet[AgentId]) -> Answer:
    """Return the answer to the control message in *body*, sent with the verified *login*.

    Source:
        SIF Infrastructure 2.x, SIF_Register, SIF_Unregister, SIF_SystemControl/SIF_Ping; error codes 4/2, 4/9.
    """
    source, msg_id, version = str(login), None, "2.4"
    try:
        message = parse_message(body)
        msg_id, version = message.header.msg_id, message.version
        if message.header.source_id != login:
            raise WrongSource(f"SIF_SourceId is not {login}, whose login sent the message: send only as yourself")
        return _answer(message, login, registry, registered)
    except ZoneError as error:
        return Answer(Ack(source, msg_id, category=error.category, code=error.code, description=str(error)), version)


def _answer(message: Message, login: AgentId, registry: Registry, registered: AbstractSet[AgentId]) -> Answer:
    done = Ack(message.header.source_id, message.header.msg_id, status=DONE)
    if message.kind == "SIF_Register":
        if login not in registry.agents:
            raise MayNotRegister(f"agent {login} is not set up in this zone: ask the zone administrator to add it")
        name = (message.payload.findtext(_NS + "SIF_Name") or "")[:64]
        return Answer(done, message.version, registered=(name, message.version))
    if login not in registered:
        raise NotRegistered(f"agent {login} is not registered: send SIF_Register first")
    if message.kind == "SIF_Unregister":
        return Answer(done, message.version, unregistered=True)
    if message.payload.find(f"{_NS}SIF_SystemControlData/{_NS}SIF_Ping") is not None:
        return Answer(done, message.version)
    raise MessageTypeNotSupported("the zone answers SIF_Register, SIF_Unregister and SIF_Ping here, not this message")
