"""Who is calling: secrets, passwords and certificates against what is set up for each agent."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker.gateway.credentials import (
    Caller,
    CertificateNotTrusted,
    Credentials,
    NoCertificate,
    NotAuthenticated,
    Shown,
)
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from broker.registry import Channel
from broker.settings import load_zone
from broker.tls import fingerprint, issue_client, make_authority

SECRETS = {AgentId("url"): "made-up-secret", AgentId("basic"): "made-up-password"}
ZONE = """
id = "made-up"
[agents.url]
name = "Secret"
gateway = {{}}
[agents.basic]
name = "Password"
gateway = {{ credential = "basic" }}
[agents.new]
name = "Not started yet"
gateway = {{}}
[agents.amqp]
name = "Not at the gateway"
[agents.pinned]
name = "Its very certificate"
gateway = {{ credential = "certificate", certificate = "tls/agents/pinned.pem" }}
[agents.named]
name = "CA and subject"
gateway = {{ credential = "certificate", ca = "tls/ca.pem", subject = "named" }}
[agents.printed]
name = "CA and fingerprint"
gateway = {{ credential = "certificate", ca = "tls/ca.pem", fingerprint = "{printed}" }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zone's folder with certificates; and another authority, with certificates for the same names."""
    made = tmp_path_factory.mktemp("credentials")
    for place in ("tls", "elsewhere"):
        make_authority(made / place, "made-up")
        for agent in ("pinned", "named", "printed", "stranger"):
            issue_client(made / place, agent)
    printed = fingerprint((made / "tls" / "agents" / "printed.pem").read_bytes())
    (made / "zone.toml").write_text(ZONE.format(printed=printed))
    return made


@pytest.fixture
def credentials(folder: Path) -> Credentials:
    return Credentials(load_zone(folder), SECRETS)


def der(folder: Path, name: str, place: str = "tls") -> bytes:
    pem = (folder / place / "agents" / f"{name}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_secret_in_the_url_names_its_agent(credentials: Credentials) -> None:
    assert credentials.check(Shown(secret="made-up-secret")) == Caller(AgentId("url"), Channel(), secure=False)


def test_a_password_names_its_agent(credentials: Credentials) -> None:
    shown = Shown(authorization=basic("basic", "made-up-password"))

    assert credentials.check(shown).agent == "basic"


@pytest.mark.parametrize("name", ["pinned", "named", "printed"])
def test_a_certificate_names_its_agent(credentials: Credentials, folder: Path, name: str) -> None:
    caller = credentials.check(Shown(certificate=der(folder, name), secure=True))

    assert caller == Caller(AgentId(name), Channel(2, 4), secure=True)


def test_https_without_a_certificate_is_encrypted_and_not_authenticated(credentials: Credentials) -> None:
    assert credentials.check(Shown(secret="made-up-secret", secure=True)).channel == Channel(0, 4)


@pytest.mark.parametrize("name", ["pinned", "named", "printed", "stranger"])
def test_a_certificate_of_another_authority_is_nobodys(credentials: Credentials, folder: Path, name: str) -> None:
    with pytest.raises(CertificateNotTrusted) as raised:
        credentials.check(Shown(certificate=der(folder, name, "elsewhere"), secure=True))

    assert (raised.value.category, raised.value.code) == (3, 5)


def test_a_certificate_of_the_zones_authority_in_another_name_is_nobodys(
    credentials: Credentials, folder: Path
) -> None:
    with pytest.raises(CertificateNotTrusted):
        credentials.check(Shown(certificate=der(folder, "stranger"), secure=True))


@pytest.mark.parametrize(
    "shown",
    [
        Shown(secret="wrong"),
        Shown(secret="made-up-password"),
        Shown(secret="url"),
        Shown(authorization=basic("basic", "wrong")),
        Shown(authorization=basic("url", "made-up-secret")),
        Shown(authorization=basic("basic", "")),
        Shown(authorization=basic("", "")),
        Shown(authorization="Basic made-up"),
        Shown(authorization="Bearer made-up-secret"),
        Shown(authorization="Basic"),
        Shown(authorization="Basic " + base64.b64encode(b"\xff\xfe").decode()),
    ],
    ids=lambda shown: shown.secret or shown.authorization,
)
def test_what_is_wrong_is_3_1(credentials: Credentials, shown: Shown) -> None:
    with pytest.raises(NotAuthenticated) as raised:
        credentials.check(shown)

    assert (raised.value.category, raised.value.code) == (3, 1)
    for secret in (*SECRETS.values(), shown.secret, shown.authorization):
        assert not secret or secret not in str(raised.value)


def test_nothing_shown_is_3_3(credentials: Credentials) -> None:
    with pytest.raises(NoCertificate) as raised:
        credentials.check(Shown(secure=True))

    assert (raised.value.category, raised.value.code) == (3, 3)


def test_an_agent_without_a_secret_yet_is_nobody(folder: Path) -> None:
    credentials = Credentials(load_zone(folder), {AgentId("new"): ""})

    with pytest.raises(NotAuthenticated):
        credentials.check(Shown(authorization=basic("new", "")))
    with pytest.raises(NotAuthenticated):
        credentials.check(Shown(secret=""))


def test_a_known_certificate_counts_before_a_secret(credentials: Credentials, folder: Path) -> None:
    shown = Shown(secret="made-up-secret", certificate=der(folder, "named"), secure=True)

    assert credentials.check(shown).agent == "named"


def test_what_handshakes_are_to_trust_is_told_once_each(credentials: Credentials, folder: Path) -> None:
    assert credentials.trusted == [folder / "tls" / "agents" / "pinned.pem", folder / "tls" / "ca.pem"]


def test_two_agents_cannot_have_the_same_authority_and_subject(folder: Path, tmp_path: Path) -> None:
    text = (folder / "zone.toml").read_text().replace("tls/", f"{folder}/tls/")
    twin = f'[agents.twin]\nname = "Twin"\ngateway = {{ credential = "certificate", ca = "{folder}/tls/ca.pem", '
    (tmp_path / "zone.toml").write_text(f'{text}\n{twin}subject = "named" }}\n')

    with pytest.raises(ConfigurationError, match="another agent has this ca and subject"):
        Credentials(load_zone(tmp_path), SECRETS)


def test_a_certificate_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "zone.toml").write_text((folder / "zone.toml").read_text())

    with pytest.raises(ConfigurationError, match=r"pinned\.pem"):
        Credentials(load_zone(tmp_path), SECRETS)
