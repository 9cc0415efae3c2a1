"""The zone's AMQP side as an AsyncAPI 3.0 document: channels, messages, operations, from what the protocol itself says.

The zone is the application that it describes: what an agent publishes, the zone receives. Without a zone's folder it
describes every agent by one that may do everything; with it, each agent by what that may do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as installed_version
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import schemas
from broker.protocol.documents import MAX_MESSAGE_BYTES
from broker.protocol.envelope import CONTENT_TYPE, NAMESPACE, VERSION, Action
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import (
    CONTROL,
    CONTROL_QUEUE,
    DELIVERY,
    INTAKE,
    SHARDS,
    Queue,
    agent_queue,
    agent_topology,
    intake_key,
    zone_topology,
)
from broker.zone_facts import AgentFacts, ZoneFacts, zone_facts

Json = dict[str, Any]

BINDING: Final = "0.3.0"
"""Version of AsyncAPI's AMQP binding."""
ANY_AGENT: Final = AgentId("{agent}")
CONTROL_MESSAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SIF_Register": "Say who one is; nothing else is taken from an agent before.",
        "SIF_Unregister": "Leave the zone, with all that was said before.",
        "SIF_Provision": "Say all that one does: provide, subscribe, publish, request, respond; in place of the last.",
        "SIF_Provide": "Answer requests for these objects from now on.",
        "SIF_Unprovide": "Answer requests for these objects no more.",
        "SIF_Subscribe": "Receive events about these objects from now on.",
        "SIF_Unsubscribe": "Receive events about these objects no more.",
        "SIF_SystemControl": (
            "Ping, sleep, wake up, ask for the zone's status or one's rights, cancel requests, ask whose record a "
            "learner is (Locate); from the zone: learners that have got another RefId (Relocated)."
        ),
    }
)
"""What is said to the zone itself, and what it means."""
_MESSAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **CONTROL_MESSAGES,
        "SIF_Ack": "Answer of the zone: a status, or an error with category, code and what to do.",
        "SIF_Request": "A query for objects; to the provider, or to the agent that SIF_DestinationId names.",
        "SIF_Response": "A packet of the answer to a request: whole objects, or the error that ends it.",
    }
)
_SHARD: Final = (
    f"Two hexadecimal digits: CRC-32, modulo {SHARDS}, of the RefId of the learner that an event is about, else of the "
    "object's own; of a request's SIF_MsgId, and of the same in its answer."
)
_PUBLISH: Final = {
    Action.ADD: "publish-add",
    Action.CHANGE: "publish-change",
    Action.DELETE: "publish-delete",
}
"""Words of zone.toml."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an agent's queue is in the document."""

    agent: AgentFacts
    key: str


def asyncapi(zone: ZoneFacts | None = None) -> Json:
    """Return the document, ready to be written as JSON.

    Args:
        zone: Describes this zone and its agents; left out, any zone.

    Source:
        AsyncAPI 3.0.0 and its AMQP binding 0.3.0; what may be sent is SIF Infrastructure 2.x and our own topology.
    """
    agents = [_anybody()] if zone is None else [agent for agent in zone.agents if not agent.gateway]
    places = [_Place(agent, "agent" if zone is None else agent_queue(agent.id)) for agent in agents]
    named = sorted({name for agent in agents for names in agent.may.values() for name in names})
    events = [name for name in named if _may_be_event(name)]
    operations: Json = {}
    for place in places:
        operations |= _operations(place, events)
    return {
        "asyncapi": "3.0.0",
        "info": _info(zone),
        "defaultContentType": CONTENT_TYPE,
        "servers": {"rabbitmq": _server(zone)},
        "channels": _channels(zone, places, events),
        "operations": operations,
        "components": {
            "messages": {
                **{_event_name(name): _event_message(name) for name in events},
                **{kind: _message(kind, summary) for kind, summary in _MESSAGES.items()},
            },
            "schemas": {
                **{name: _object_schema(name) for name in events},
                "SIF_Message": _text(
                    f"A SIF_Message in UTF-8, at most {MAX_MESSAGE_BYTES:,} bytes, without DOCTYPE.", "SIF_Message"
                ),
            },
            "securitySchemes": {
                "login": {
                    "type": "userPassword",
                    "description": "The agent's id and its password, from the zone's administrator; SIF_SourceId and "
                    "the property user_id must be this id.",
                },
            },
        },
    }


def _anybody() -> AgentFacts:
    """Return an agent that may do everything with every object."""
    words = ("subscribe", "provide", "request", "respond", *_PUBLISH.values())
    names = schemas.load().objects
    return AgentFacts(ANY_AGENT, "any agent", MappingProxyType(dict.fromkeys(words, names)), gateway=False)


def _info(zone: ZoneFacts | None) -> Json:
    about = "A SIF-style zone" if zone is None else f"The zone {zone.name or zone.id}"
    said = [
        f"{about}: agents publish and ask; the zone checks each message and delivers of it what agreements share.",
        "The zone is the application described here: it receives what agents publish.",
        "Every message has the AMQP properties message_id (SIF_MsgId, the same at every repetition), type (its name), "
        f"user_id (the login) and content_type {CONTENT_TYPE}, and is persistent and mandatory.",
    ]
    through = [agent.id for agent in zone.agents if agent.gateway] if zone is not None else []
    if through:
        said.append(
            f"These agents speak SIF over HTTP through the gateway and have no place here: {', '.join(through)}."
        )
    return {
        "title": "sifzone" if zone is None else f"Zone {zone.id}",
        "version": installed_version("sifzone"),
        "description": "\n\n".join(said),
        "license": {"name": "Apache-2.0"},
    }


def _server(zone: ZoneFacts | None) -> Json:
    server: Json = {
        "host": "{host}",
        "protocol": "amqps" if zone is not None and zone.encrypted else "amqp",
        "protocolVersion": "0-9-1",
        "pathname": "/{zone}",
        "description": "RabbitMQ; each zone has a virtual host of its own.",
        "variables": {
            "host": {"description": "Host, and port where it is not the usual one; with the agent's login."},
            "zone": {"description": "The zone's id."},
        },
        "security": [{"$ref": "#/components/securitySchemes/login"}],
    }
    if zone is not None:
        server["pathname"] = f"/{zone.id}"
        del server["variables"]["zone"]
        if zone.host:
            server["host"] = zone.host
            del server["variables"]
    return server


# -- channels ---------------------------------------------------------------------------------------------------------


def _channels(zone: ZoneFacts | None, places: Sequence[_Place], events: Sequence[str]) -> Json:
    vhost = "/" if zone is None else zone.id
    topology = zone_topology(1 if zone is None else zone.partitions)
    kinds = {exchange.name: exchange.kind for exchange in topology.exchanges}
    channels: Json = {
        "intake": {
            "address": "{shard}",
            "title": f"Exchange {INTAKE}",
            "description": "Events, requests and answers. What has the same routing key is decided in its order.",
            "parameters": {
                "shard": {
                    "description": _SHARD,
                    "examples": [intake_key("0123456789ABCDEF0123456789ABCDEF")],
                }
            },
            "messages": _references([*map(_event_name, events), "SIF_Request", "SIF_Response"]),
            "bindings": _exchange(INTAKE, kinds[INTAKE], vhost),
        },
        "control": {
            "address": CONTROL_QUEUE,
            "title": f"Exchange {CONTROL}",
            "description": "What is said to the zone itself; answered with a SIF_Ack in the agent's queue.",
            "messages": _references(CONTROL_MESSAGES),
            "bindings": _exchange(CONTROL, kinds[CONTROL], vhost),
        },
    }
    for place in places:
        channels[place.key] = _agent_channel(place, events, vhost)
    for queue in topology.queues:
        channels[queue.name] = {
            "address": queue.name,
            "title": f"Queue {queue.name}",
            "description": "The zone's own; no agent may read it or write to it.",
            **_queue(queue, vhost),
        }
    return channels


def _agent_channel(place: _Place, events: Sequence[str], vhost: str) -> Json:
    agent = place.agent
    (queue,) = agent_topology(agent.id).queues
    channel: Json = {
        "address": queue.name,
        "title": f"Queue of {agent.name or agent.id}",
        "description": f"What the zone delivers, by the exchange {DELIVERY}; only this agent may read it. A message "
        "may come again when the connection was lost: its message_id tells.",
        "messages": _references(_delivered(agent, events)),
        **_queue(queue, vhost),
    }
    if agent.id == ANY_AGENT:
        channel["parameters"] = {"agent": {"description": "The agent's id, which is its login and its SIF_SourceId."}}
    return channel


def _delivered(agent: AgentFacts, events: Sequence[str]) -> list[str]:
    """Return the names of the messages that an agent may be given."""
    names = [_event_name(name) for name in agent.may.get("subscribe", ()) if name in events]
    names += ["SIF_Request"] if _answers(agent) else []
    names += ["SIF_Response"] if agent.may.get("request") else []
    return [*names, "SIF_Ack", "SIF_SystemControl"]


def _references(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _exchange(name: str, kind: str, vhost: str) -> Json:
    exchange = {"name": name, "type": kind, "durable": True, "autoDelete": False, "vhost": vhost}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING}}


def _queue(queue: Queue, vhost: str) -> Json:
    said = {"name": queue.name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": vhost}
    return {
        "bindings": {"amqp": {"is": "queue", "queue": said, "bindingVersion": BINDING}},
        "x-queue-arguments": dict(queue.arguments),
    }


# -- operations -------------------------------------------------------------------------------------------------------


def _operations(place: _Place, events: Sequence[str]) -> Json:
    agent, key = place.agent, place.key
    found: Json = {}

    def add(
        name: str, action: str, channel: str, messages: Iterable[str], summary: str, reply: Json | None = None
    ) -> None:
        names = list(messages)
        if names:
            found[f"{key}.{name}"] = _operation(action, channel, names, summary, reply)

    published = sorted({name for word in _PUBLISH.values() for name in agent.may.get(word, ()) if name in events})
    who = "An agent" if agent.id == ANY_AGENT else agent.id
    add(
        "control", "receive", "control", CONTROL_MESSAGES, f"{who} speaks to the zone itself.", _reply(key, ["SIF_Ack"])
    )
    add(
        "publish",
        "receive",
        "intake",
        map(_event_name, published),
        f"{who} publishes events: {_actions(agent, published)}. A SIF_Ack comes only of what is refused.",
        _reply(key, ["SIF_Ack"]),
    )
    received = [name for name in agent.may.get("subscribe", ()) if name in events]
    add(
        "events",
        "send",
        key,
        map(_event_name, received),
        f"{who} is given events, each cut to what agreements share with it.",
    )
    if agent.may.get("request"):
        objects = ", ".join(agent.may["request"])
        answers = _reply(key, ["SIF_Response", "SIF_Ack"])
        add("request", "receive", "intake", ["SIF_Request"], f"{who} asks for objects: {objects}.", answers)
    if _answers(agent):
        objects = ", ".join(sorted({*agent.may.get("provide", ()), *agent.may.get("respond", ())}))
        answered = _reply("intake", ["SIF_Response"])
        add("answer", "send", key, ["SIF_Request"], f"{who} is asked for objects: {objects}.", answered)
    add("told", "send", key, ["SIF_SystemControl"], f"{who} is told that learners have got another RefId.")
    return found


def _operation(action: str, channel: str, names: Sequence[str], summary: str, reply: Json | None) -> Json:
    binding: Json = {"deliveryMode": 2, "mandatory": True} if action == "receive" else {"deliveryMode": 2, "ack": True}
    operation: Json = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        "bindings": {"amqp": {**binding, "bindingVersion": BINDING}},
    }
    return operation if reply is None else {**operation, "reply": reply}


def _reply(channel: str, names: Sequence[str]) -> Json:
    return {
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _answers(agent: AgentFacts) -> bool:
    return bool(agent.may.get("provide") or agent.may.get("respond"))


def _actions(agent: AgentFacts, names: Sequence[str]) -> str:
    """Return which events of which objects an agent may publish, in words."""
    if agent.id == ANY_AGENT:
        return "those that its rights name"
    said = []
    for name in names:
        actions = [action.value for action, word in _PUBLISH.items() if name in agent.may.get(word, ())]
        said.append(name if len(actions) == len(_PUBLISH) else f"{name} ({', '.join(actions)})")
    return ", ".join(said)


# -- messages and objects ---------------------------------------------------------------------------------------------


def _event_name(object_type: str) -> str:
    return f"SIF_Event.{object_type}"


def _event_message(object_type: str) -> Json:
    return {
        "name": "SIF_Event",
        "title": f"SIF_Event about {object_type}",
        "summary": f"An Add of a whole {object_type}, a Change with what is different, or a Delete with its keys.",
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "description": "Set by the agent that publishes; what the zone delivers need not have them.",
            "properties": {
                "object": {"type": "string", "const": object_type},
                "action": {"type": "string", "enum": [action.value for action in Action]},
            },
        },
        "payload": {"$ref": f"#/components/schemas/{object_type}"},
        "bindings": {"amqp": {"messageType": "SIF_Event", "bindingVersion": BINDING}},
    }


def _message(kind: str, summary: str) -> Json:
    return {
        "name": kind,
        "title": kind,
        "summary": summary,
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": "#/components/schemas/SIF_Message"},
        "bindings": {"amqp": {"messageType": kind, "bindingVersion": BINDING}},
    }


def _object_schema(object_type: str) -> Json:
    """Return what is in a SIF_Message with an event about an object: XML, which JSON Schema can only point to."""
    known = schemas.load()
    if object_type not in known.objects:
        return _text(f"A SIF_Message with a SIF_Event about {object_type}.", object_type)
    tree = known.tree(object_type)
    parts = (
        f"- {'@' if n.kind == 'attribute' else ''}{n.name}{' (mandatory)' if n.mandatory else ''}: {n.label}"
        for n in tree.children
    )
    described = f"A SIF_Message with a SIF_Event about {object_type}. {tree.label}\n\nAn Add holds:\n\n" + "\n".join(
        parts
    )
    return {
        **_text(described, object_type),
        "x-keys": list(known.keys(object_type)),
        "x-object-namespace": known.namespace_of(object_type),
    }


def _text(description: str, xsd: str) -> Json:
    return {
        "type": "string",
        "contentMediaType": CONTENT_TYPE,
        "contentEncoding": "utf-8",
        "description": description,
        "x-namespace": NAMESPACE,
        "x-version": VERSION,
        "x-xsd": _xsd_files()[xsd],
    }


@cache
def _xsd_files() -> Mapping[str, str]:
    """Return the schema files that come with sifzone, below its package ``schemas``, by name."""
    folders = [folder for folder in files("schemas").iterdir() if folder.is_dir()]
    found = sorted((file.name, f"schemas/{folder.name}/{file.name}") for folder in folders for file in folder.iterdir())
    return {name.removesuffix(".xsd"): path for name, path in found if name.endswith(".xsd")}


def _may_be_event(object_type: str) -> bool:
    known = schemas.load()
    if object_type not in known.objects:
        return object_type == "SIF_LogEntry"
    return known.note(object_type).events != "none"


__all__ = ["CONTROL_MESSAGES", "ZoneFacts", "asyncapi", "zone_facts"]
