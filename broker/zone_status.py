"""What the zone tells an agent about itself: SIF_ZoneStatus, and SIF_AgentACL about the agent's own rights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from broker.protocol.documents import MAX_MESSAGE_BYTES
from broker.protocol.envelope import VERSION
from broker.protocol.identifiers import AgentId, Context
from broker.registry import AgentRecord, Registration, Registry, Role, Topics

SUPPORTED_VERSIONS: Final = ("2.0", "2.0r1", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6")
"""Versions of messages that the zone takes, as SIF_SupportedVersions lists them: without wildcards."""
ENCODINGS: Final = "gzip, identity"
_ACCESS: Final = (
    (Role.PROVIDE, "SIF_ProvideAccess"),
    (Role.SUBSCRIBE, "SIF_SubscribeAccess"),
    (Role.PUBLISH_ADD, "SIF_PublishAddAccess"),
    (Role.PUBLISH_CHANGE, "SIF_PublishChangeAccess"),
    (Role.PUBLISH_DELETE, "SIF_PublishDeleteAccess"),
    (Role.REQUEST, "SIF_RequestAccess"),
    (Role.RESPOND, "SIF_RespondAccess"),
)
_LISTS: Final = (
    (Role.PROVIDE, "SIF_Providers", "SIF_Provider"),
    (Role.SUBSCRIBE, "SIF_Subscribers", "SIF_Subscriber"),
    (Role.PUBLISH_ADD, "SIF_AddPublishers", "SIF_Publisher"),
    (Role.PUBLISH_CHANGE, "SIF_ChangePublishers", "SIF_Publisher"),
    (Role.PUBLISH_DELETE, "SIF_DeletePublishers", "SIF_Publisher"),
    (Role.RESPOND, "SIF_Responders", "SIF_Responder"),
    (Role.REQUEST, "SIF_Requesters", "SIF_Requester"),
)
_QUERYABLE: Final = frozenset({Role.PROVIDE, Role.RESPOND, Role.REQUEST})


@dataclass(frozen=True, slots=True)
class ZoneIdentity:
    """What a zone calls itself, and how it is reached.

    Attributes:
        urls: Addresses of the gateway by SIF_Protocol/@Type, HTTP or HTTPS; without secrets. Empty without a gateway.
        certificates: Whether agents may show certificates.
    """

    id: AgentId
    name: str = ""
    urls: Mapping[str, str] | None = None
    certificates: bool = False


def build_acl(agent: AgentRecord) -> bytes:
    """Return the SIF_AgentACL of *agent*: all seven sections, each object with its contexts.

    The sections of version 2.4 for zone services are left out: agents in use refuse the whole answer with them.
    """
    sections = "".join(f"<{tag}>{_objects(agent.rights.get(role, frozenset()))}</{tag}>" for role, tag in _ACCESS)
    return f"<SIF_AgentACL>{sections}</SIF_AgentACL>".encode()


def build_zone_status(zone: ZoneIdentity, registry: Registry) -> bytes:
    """Return the SIF_ZoneStatus: who does what, who is registered, what the zone takes; no list that would be empty.

    Only true providers are listed as such, since agents leave out of their own list what another provides.
    """
    parts = [
        f"<SIF_ZoneStatus ZoneId={quoteattr(zone.id)}><SIF_Name>{escape(zone.name[:64] or zone.id)}</SIF_Name>",
        f"<SIF_Vendor><SIF_Name>sifzone</SIF_Name><SIF_Product>sifzone</SIF_Product>"
        f"<SIF_Version>{installed_version('sifzone')}</SIF_Version></SIF_Vendor>",
    ]
    for role, list_tag, tag in _LISTS:
        entries = "".join(
            f"<{tag} SourceId={quoteattr(agent)}><SIF_ObjectList>"
            f"{_objects(topics, queryable=role in _QUERYABLE, extended=_extended(registry, agent))}"
            f"</SIF_ObjectList></{tag}>"
            for agent, topics in _in_role(registry, role)
        )
        if entries:
            parts.append(f"<{list_tag}>{entries}</{list_tag}>")
    nodes = "".join(
        _node(said) for agent, said in sorted(registry.live.registrations.items()) if agent in registry.agents
    )
    parts.append(f"<SIF_SIFNodes>{_zone_node(zone)}{nodes}</SIF_SIFNodes>")
    if zone.certificates:
        parts.append(
            "<SIF_SupportedAuthentication><SIF_ProtocolName>X.509</SIF_ProtocolName></SIF_SupportedAuthentication>"
        )
    parts.append(f"<SIF_SupportedProtocols>{_protocols(zone)}</SIF_SupportedProtocols>")
    versions = "".join(f"<SIF_Version>{version}</SIF_Version>" for version in SUPPORTED_VERSIONS)
    parts.append(f"<SIF_SupportedVersions>{versions}</SIF_SupportedVersions>")
    parts.append(f"{_contexts(registry.contexts)}</SIF_ZoneStatus>")
    return "".join(parts).encode()


def _in_role(registry: Registry, role: Role) -> Iterable[tuple[AgentId, Topics]]:
    """Yield who has a role in effect, by id: providers as requests find them, publishers and requesters by right."""
    for agent in sorted(registry.agents):
        if not registry.is_registered(agent):
            continue
        if role is Role.PROVIDE:
            topics = frozenset(t for t in registry.topics(agent, role) if registry.provider(t) == agent)
        elif role in (Role.SUBSCRIBE, Role.RESPOND):
            topics = registry.topics(agent, role)
        else:
            topics = registry.agents[agent].rights.get(role, frozenset())
        if topics:
            yield agent, topics


def _extended(registry: Registry, agent: AgentId) -> Topics:
    said = registry.live.provisions.get(agent)
    return said.extended if said is not None else frozenset()


def _objects(topics: Topics, *, queryable: bool = False, extended: Topics = frozenset()) -> str:
    contexts: dict[str, set[Context]] = {}
    for topic in topics:
        contexts.setdefault(topic.object_type, set()).add(topic.context)
    pieces: list[str] = []
    for name in sorted(contexts):
        answers = any(topic.object_type == name for topic in extended)
        support = f"<SIF_ExtendedQuerySupport>{str(answers).lower()}</SIF_ExtendedQuerySupport>" if queryable else ""
        pieces.append(f"<SIF_Object ObjectName={quoteattr(name)}>{support}{_contexts(contexts[name])}</SIF_Object>")
    return "".join(pieces)


def _contexts(contexts: Iterable[Context]) -> str:
    inner = "".join(f"<SIF_Context>{escape(context)}</SIF_Context>" for context in sorted(contexts))
    return f"<SIF_Contexts>{inner}</SIF_Contexts>"


def _node(said: Registration) -> str:
    application = ""
    if said.application is not None:
        vendor, product, version = (escape(text) for text in said.application)
        application = (
            f"<SIF_Application><SIF_Vendor>{vendor}</SIF_Vendor><SIF_Product>{product}</SIF_Product>"
            f"<SIF_Version>{version}</SIF_Version></SIF_Application>"
        )
    # without its SIF_URL, which may hold a secret of the agent's
    protocol = (
        f'<SIF_Protocol Type={quoteattr(said.protocol)} Secure="{"Yes" if said.secure else "No"}"/>'
        if said.protocol
        else ""
    )
    versions = "".join(f"<SIF_Version>{escape(version)}</SIF_Version>" for version in said.versions)
    return (
        f'<SIF_SIFNode Type="Agent"><SIF_Name>{escape(said.name)}</SIF_Name>'
        + (f"<SIF_NodeVendor>{escape(said.vendor)}</SIF_NodeVendor>" if said.vendor else "")
        + (f"<SIF_NodeVersion>{escape(said.node_version)}</SIF_NodeVersion>" if said.node_version else "")
        + f"{application}<SIF_SourceId>{escape(said.agent)}</SIF_SourceId><SIF_Mode>{said.mode}</SIF_Mode>{protocol}"
        f"<SIF_VersionList>{versions}</SIF_VersionList>"
        f"<SIF_AuthenticationLevel>{said.channel.authentication}</SIF_AuthenticationLevel>"
        f"<SIF_EncryptionLevel>{said.channel.encryption}</SIF_EncryptionLevel>"
        f"<SIF_MaxBufferSize>{said.max_buffer}</SIF_MaxBufferSize>"
        f"<SIF_Sleeping>{'Yes' if said.sleeping else 'No'}</SIF_Sleeping></SIF_SIFNode>"
    )


def _zone_node(zone: ZoneIdentity) -> str:
    return (
        f'<SIF_SIFNode Type="ZIS"><SIF_Name>{escape(zone.name[:64] or zone.id)}</SIF_Name>'
        f"<SIF_SourceId>{escape(zone.id)}</SIF_SourceId><SIF_Mode>Push</SIF_Mode>"
        f"<SIF_VersionList><SIF_Version>{VERSION}</SIF_Version></SIF_VersionList>"
        f"<SIF_MaxBufferSize>{MAX_MESSAGE_BYTES}</SIF_MaxBufferSize><SIF_Sleeping>No</SIF_Sleeping></SIF_SIFNode>"
    )


def _protocols(zone: ZoneIdentity) -> str:
    """Return the protocols; one is always there: without any, agents cannot send their large messages."""
    accepted = f"<SIF_Property><SIF_Name>Accept-Encoding</SIF_Name><SIF_Value>{ENCODINGS}</SIF_Value></SIF_Property>"
    urls = zone.urls or {"HTTP": ""}
    return "".join(
        f'<SIF_Protocol Type="{kind}" Secure="{"Yes" if kind == "HTTPS" else "No"}">'
        + (f"<SIF_URL>{escape(url)}</SIF_URL>" if url else "")
        + f"{accepted}</SIF_Protocol>"
        for kind, url in urls.items()
    )


__all__ = ["SUPPORTED_VERSIONS", "ZoneIdentity", "build_acl", "build_zone_status"]
