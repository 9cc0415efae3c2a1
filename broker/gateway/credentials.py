"""Who is calling: what an agent shows at the gateway, held against what is set up for it.

An agent shows one thing: a secret in its URL, a password, or a client certificate. What is compared are hashes.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.identifiers import AgentId
from broker.registry import Channel
from broker.settings import GatewayAgentSettings, Zone
from broker.tls import common_name, fingerprint, parse_fingerprint, read_certificate

_TLS_ENCRYPTION: Final = 4
"""SIF_EncryptionLevel of TLS 1.2 and later: keys of 128 bits or more."""
_TRUSTED: Final = 2
"""SIF_AuthenticationLevel of a certificate from a CA that the zone trusts."""


class NotAuthenticated(ZoneError):
    """The caller shows nothing that the zone knows."""

    category: ClassVar[int] = 3
    code: ClassVar[int] = 1


class NoCertificate(NotAuthenticated):
    """The caller shows no certificate, and nothing else that the zone knows."""

    code: ClassVar[int] = 3


class CertificateNotTrusted(NotAuthenticated):
    """The certificate that the caller shows is no agent's."""

    code: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent that has shown who it is.

    Attributes:
        channel: Protection of the connection, as SIF_Security weighs it.
        secure: Whether it came over HTTPS.
    """

    agent: AgentId
    channel: Channel
    secure: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What a caller shows.

    Attributes:
        secret: Last part of the URL's path; empty when there is none.
        authorization: The header of that name; empty when there is none.
        certificate: What it showed in the TLS handshake, DER, already found valid; None for none.
    """

    secret: str = ""
    authorization: str = ""
    certificate: bytes | None = None
    secure: bool = False


class Credentials:
    """What is set up for each agent of a zone that speaks HTTP.

    Args:
        zone: As in force.
        secrets: Secret or password by agent, as written for its people.

    Raises:
        ConfigurationError: A certificate named in zone.toml cannot be read.
    """

    def __init__(self, zone: Zone, secrets: Mapping[AgentId, str]) -> None:
        self._by_secret: dict[bytes, AgentId] = {}
        self._by_password: dict[bytes, AgentId] = {}
        self._by_fingerprint: dict[str, tuple[AgentId, x509.Certificate | None]] = {}
        self._by_subject: dict[str, list[tuple[AgentId, x509.Certificate]]] = {}
        self.missing = False
        """Whether an agent's secret is not written yet: the supervisor does so when it takes up the same settings."""
        self.trusted: list[Path] = []
        """Certificates to trust in TLS handshakes: CAs, and single ones that are trusted for themselves."""
        for name, fields in zone.settings.agents.items():
            agent = AgentId(name)
            if fields.gateway is not None:
                self._add(zone, agent, fields.gateway, secrets.get(agent, ""))
        self._agent_of = lru_cache(maxsize=1_000)(self._find_certificate)

    def check(self, shown: Shown) -> Caller:
        """Return who calls.

        Raises:
            NotAuthenticated: Nobody that is set up; the code says what is missing.
        """
        agent = self._find(shown)
        trusted = _TRUSTED if shown.certificate is not None else 0
        return Caller(agent, Channel(trusted, _TLS_ENCRYPTION) if shown.secure else Channel(), shown.secure)

    def _find(self, shown: Shown) -> AgentId:
        if shown.certificate is not None:
            agent = self._agent_of(shown.certificate)
            if agent is not None:
                return agent
        if shown.secret:
            agent = self._by_secret.get(_digest(shown.secret))
            if agent is not None:
                return agent
            raise NotAuthenticated("the zone does not know the secret in this URL: ask its administrator for yours")
        if shown.authorization:
            agent = self._by_password.get(_digest(_basic(shown.authorization)))
            if agent is not None:
                return agent
            raise NotAuthenticated("the zone does not know this user and password: ask its administrator for yours")
        if shown.certificate is not None:
            raise CertificateNotTrusted("the zone knows no agent with this certificate: ask its administrator")
        raise NoCertificate("show a client certificate, a secret in the URL or a password: ask the zone administrator")

    def _find_certificate(self, der: bytes) -> AgentId | None:
        shown = x509.load_der_x509_certificate(der)
        pinned = self._by_fingerprint.get(fingerprint(der))
        if pinned is not None:
            agent, authority = pinned
            return agent if authority is None or _issued(shown, authority) else None
        name = common_name(der)
        for agent, authority in self._by_subject.get(name, ()) if name else ():
            if _issued(shown, authority):
                return agent
        return None

    def _add(self, zone: Zone, agent: AgentId, fields: GatewayAgentSettings, secret: str) -> None:
        match fields.credential:
            case "secret" if secret:
                self._by_secret[_digest(secret)] = agent
            case "basic" if secret:
                self._by_password[_digest(f"{agent}:{secret}")] = agent
            case "certificate":
                self._add_certificate(zone, agent, fields)
            case _:
                self.missing = True

    def _add_certificate(self, zone: Zone, agent: AgentId, fields: GatewayAgentSettings) -> None:
        file = (zone.folder / (fields.certificate or fields.ca)).resolve()
        pem = read_certificate(file)
        if file not in self.trusted:
            self.trusted.append(file)
        if fields.certificate:
            self._by_fingerprint[fingerprint(pem)] = (agent, None)
            return
        authority = x509.load_pem_x509_certificate(pem)
        if fields.fingerprint:
            self._by_fingerprint[parse_fingerprint(fields.fingerprint)] = (agent, authority)
            return
        others = self._by_subject.setdefault(fields.subject, [])
        if any(known == authority for _, known in others):
            raise ConfigurationError(f"agents.{agent}.gateway: another agent has this ca and subject: name its own")
        others.append((agent, authority))


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _basic(header: str) -> str:
    """Return ``user:password`` of an Authorization header; empty where it is of another kind, or none."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


__all__ = ["Caller", "CertificateNotTrusted", "Credentials", "NoCertificate", "NotAuthenticated", "Shown"]
