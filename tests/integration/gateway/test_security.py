"""Who an agent is, how it shows it, and what protection the zone asks for."""

import base64
import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.protocol.errors import ConfigurationError
from broker.rabbitmq import PrivateNode
from broker.supervisor import RunningZone, read_secret
from broker.tls import fingerprint, issue_client, issue_server, make_authority
from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import Agent, learner, new_id
from tests.integration.gateway.zones import address, run
from tests.shared_node import settings_for

TLS = """
id = "guarded"
name = "Guarded zone"
partitions = 1
[gateway]
port = 0
require_tls = true
certificate = "tls/gateway.pem"
key = "tls/gateway-key.pem"
ca = "tls/ca.pem"
[agents.by-secret.gateway]
[agents.by-secret]
name = "Secret"
[agents.by-secret.rights]
SchoolInfo = ["subscribe"]
[agents.by-password]
name = "Password"
gateway = { credential = "basic" }
[agents.by-certificate]
name = "Its very certificate"
gateway = { credential = "certificate", certificate = "tls/agents/by-certificate.pem" }
[agents.by-subject]
name = "CA and subject"
gateway = { credential = "certificate", ca = "tls/ca.pem", subject = "by-subject" }
[agents.by-fingerprint]
name = "CA and fingerprint"
"""
OPEN = """
id = "open"
partitions = 1
[gateway]
port = 0
host = "127.0.0.2"
require_tls = true
"""
BY_CERTIFICATE = ("by-certificate", "by-subject", "by-fingerprint")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, rabbit_node: PrivateNode) -> Iterator[RunningZone]:
    """A zone that speaks HTTPS only."""
    folder = tmp_path_factory.mktemp("guarded") / "zone"
    tls = folder / "tls"
    make_authority(tls, "guarded")
    issue_server(tls, ["127.0.0.1"])
    for agent in (*BY_CERTIFICATE, "nobody"):
        issue_client(tls, agent)
    printed = fingerprint((tls / "agents" / "by-fingerprint.pem").read_bytes())
    known = f'gateway = {{ credential = "certificate", ca = "tls/ca.pem", fingerprint = "{printed}" }}\n'
    with settings_for(rabbit_node, "guarded") as begin, run(folder, begin + TLS + known) as running:
        yield running


def context(zone: RunningZone, certificate: str = "") -> ssl.SSLContext:
    tls = zone.zone.folder / "tls"
    made = ssl.create_default_context(cafile=tls / "ca.pem")
    if certificate:
        file = tls / "agents" / f"{certificate}.pem"
        made.load_cert_chain(file, file.with_name(f"{certificate}-key.pem"))
    return made


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def caller(zone: RunningZone, agent_id: str, show: str) -> Agent:
    """Return an agent that calls itself *agent_id* and shows what *show* has."""
    certificate = show if show in (*BY_CERTIFICATE, "nobody") else ""
    url = address(zone, show if show == "by-secret" else "")
    agent = Agent(agent_id, url, tls=context(zone, certificate))
    if show == "by-password":
        agent.headers = basic(show, read_secret(zone.zone.credentials(show)))
    return agent


EVERYBODY = ("by-secret", "by-password", *BY_CERTIFICATE)


@pytest.mark.parametrize("show", EVERYBODY)
def test_an_agent_is_who_it_shows_to_be(guarded: RunningZone, show: str) -> None:
    agent = caller(guarded, show, show)

    assert agent.register().code == 0
    assert agent.control("SIF_Ping").code == 0
    agent.leave()


@pytest.mark.parametrize("show", EVERYBODY)
def test_an_agent_cannot_speak_for_another(guarded: RunningZone, show: str) -> None:
    victim = "by-password" if show != "by-password" else "by-secret"
    agent = caller(guarded, victim, show)

    assert agent.register().code == (3, 1)
    assert agent.control("SIF_Ping").code == (3, 1)
    agent.close()


@pytest.mark.parametrize(
    ("show", "code"),
    [("nothing", (3, 3)), ("nobody", (3, 5))],
    ids=["no certificate and nothing else", "a certificate that is no agent's"],
)
def test_who_shows_nothing_that_the_zone_knows_is_refused(
    guarded: RunningZone, show: str, code: tuple[int, int]
) -> None:
    agent = caller(guarded, "by-subject", show)

    answer = agent.register()

    assert (answer.status, answer.code, answer.original) == (200, code, ("", ""))
    agent.close()


@pytest.mark.parametrize(
    "headers",
    [
        basic("by-password", "wrong"),
        basic("by-secret", "wrong"),
        basic("by-password", ""),
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
    ],
    ids=["wrong password", "no such user", "no password", "another kind", "not base 64", "empty"],
)
def test_a_wrong_password_is_refused(guarded: RunningZone, headers: dict[str, str]) -> None:
    agent = caller(guarded, "by-password", "nothing")
    agent.headers = headers

    assert agent.register().code == (3, 1)
    agent.close()


def test_a_wrong_secret_in_the_url_is_refused(guarded: RunningZone) -> None:
    agent = caller(guarded, "by-secret", "by-secret")
    agent.url += "x"

    assert agent.register().code == (3, 1)
    agent.close()


def test_a_secret_of_one_kind_is_none_of_another(guarded: RunningZone) -> None:
    password = read_secret(guarded.zone.credentials("by-password"))
    agent = caller(guarded, "by-password", "nothing")
    agent.url += f"/{password}"

    assert agent.register().code == (3, 1)
    agent.close()


def test_a_certificate_of_another_authority_ends_the_handshake(guarded: RunningZone, tmp_path: Path) -> None:
    make_authority(tmp_path, "elsewhere")
    file = issue_client(tmp_path, "by-subject")
    shown = ssl.create_default_context(cafile=guarded.zone.folder / "tls" / "ca.pem")
    shown.load_cert_chain(file, file.with_name("by-subject-key.pem"))
    agent = Agent("by-subject", address(guarded), tls=shown)

    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        agent.register()
    agent.close()


def test_a_guarded_zone_pushes_over_https_only(guarded: RunningZone) -> None:
    agent = caller(guarded, "by-secret", "by-secret")

    assert agent.register(push_to="http://127.0.0.1:9/in/").code == (5, 7)
    assert agent.register(push_to="https://127.0.0.1:9/in/").code == 0
    agent.leave()


def test_a_guarded_zone_says_so_in_its_status(guarded: RunningZone) -> None:
    agent = caller(guarded, "by-secret", "by-secret")
    agent.register()

    answer = agent.control("SIF_GetZoneStatus")

    assert answer.findings == ()
    assert b"<SIF_ProtocolName>X.509</SIF_ProtocolName>" in answer.body
    assert b'<SIF_Protocol Type="HTTPS" Secure="Yes"><SIF_URL>https://127.0.0.1:' in answer.body
    agent.leave()


def test_plain_http_gets_no_answer_of_a_guarded_zone(guarded: RunningZone) -> None:
    agent = Agent("by-secret", address(guarded, "by-secret").replace("https:", "http:"))

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        agent.register()
    agent.close()


def test_no_secret_is_in_the_log_of_a_guarded_zone(guarded: RunningZone) -> None:
    for show in ("by-secret", "by-password"):
        agent = caller(guarded, show, show)
        agent.register()
        agent.post(b"garbage")
        agent.leave()

    check_no_secrets(guarded)


def check_no_secrets(zone: RunningZone) -> None:
    log = (zone.zone.folder / "zone.log").read_text()
    assert "agent_changed" in log
    secrets = [read_secret(file) for file in (zone.zone.state / "credentials").glob("*.toml")]
    assert any(secrets)
    assert [secret for secret in secrets if secret and secret in log] == []


# -- plain HTTP -----------------------------------------------------------------------------------------------------


def test_plain_http_elsewhere_than_on_the_loopback_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="learners' data would cross the network in the clear"):
        run(tmp_path / "zone", OPEN).__enter__()


def test_an_insecure_zone_warns_and_may_still_demand_https(
    tmp_path: Path, rabbit_node: PrivateNode, capfd: pytest.CaptureFixture[str]
) -> None:
    text = OPEN + 'insecure = true\n[agents.alone]\nname = "Alone"\n[agents.alone.gateway]\n'
    with settings_for(rabbit_node, "open") as begin, run(tmp_path / "zone", begin + text) as running:
        agent = Agent("alone", address(running, "alone"))

        assert agent.register().code == (5, 7)
        agent.close()

    assert "gateway_insecure" in capfd.readouterr().out


def test_a_wrong_secret_over_plain_http_is_refused(solo: Agent) -> None:
    solo.url = solo.url.rsplit("/", 1)[0] + "/wrong"

    assert solo.control("SIF_Ping").code == (3, 1)
    solo.connection = None


def test_without_any_credential_an_agent_is_asked_for_one(solo: Agent) -> None:
    solo.url = solo.url.rsplit("/", 1)[0]

    assert solo.control("SIF_Ping").code == (3, 3)
    solo.connection = None


@pytest.mark.parametrize("kind", ["SIF_Register", "SIF_Event", "SIF_Ack", "SIF_SystemControl", "SIF_Unregister"])
def test_no_message_in_anothers_name_is_taken(pair: Pair, kind: str) -> None:
    mis, vle = pair
    body = mis.message(kind, source=vle.id)

    assert mis.post(body).code == (3, 1)

    assert vle.control("SIF_Ping").code == 0


def test_a_source_id_is_case_sensitive(pair: Pair) -> None:
    mis, _ = pair

    body = mis.message("SIF_Ping", source=mis.id.upper())

    assert mis.post(body).code == (3, 1)


@pytest.mark.parametrize("kind", ["SIF_Request", "SIF_Response"])
def test_what_demands_more_protection_than_its_receiver_has_is_refused(asking: Pair, kind: str) -> None:
    mis, vle = asking
    demand = (
        b"<SIF_Security><SIF_SecureChannel><SIF_AuthenticationLevel>1</SIF_AuthenticationLevel>"
        b"<SIF_EncryptionLevel>0</SIF_EncryptionLevel></SIF_SecureChannel></SIF_Security><SIF_SourceId>"
    )
    request = new_id()
    content = (
        "<SIF_Version>2.*</SIF_Version><SIF_MaxBufferSize>65536</SIF_MaxBufferSize>"
        '<SIF_Query><SIF_QueryObject ObjectName="LearnerPersonal"/></SIF_Query>'
    )
    sender, body = vle, vle.message("SIF_Request", content, msg_id=request)
    if kind == "SIF_Response":
        assert vle.post(body).code == 0
        mis.take()
        content = (
            f"<SIF_RequestMsgId>{request}</SIF_RequestMsgId><SIF_PacketNumber>1</SIF_PacketNumber>"
            f"<SIF_MorePackets>No</SIF_MorePackets><SIF_ObjectData>{learner()}</SIF_ObjectData>"
        )
        sender, body = mis, mis.message(kind, content, header=f"<SIF_DestinationId>{vle.id}</SIF_DestinationId>")

    assert sender.post(body.replace(b"<SIF_SourceId>", demand)).code == (10, 3)

    if kind == "SIF_Response":
        assert vle.take().error == (10, 3)


def test_security_is_looked_at_on_nothing_else(solo: Agent) -> None:
    body = solo.message("SIF_SystemControl", "<SIF_SystemControlData><SIF_Ping/></SIF_SystemControlData>")
    demand = (
        b"<SIF_Security><SIF_SecureChannel><SIF_AuthenticationLevel>3</SIF_AuthenticationLevel>"
        b"<SIF_EncryptionLevel>4</SIF_EncryptionLevel></SIF_SecureChannel></SIF_Security><SIF_SourceId>"
    )

    assert solo.post(body.replace(b"<SIF_SourceId>", demand)).code == 0


def test_no_secret_and_no_personal_data_is_in_the_log(pair: Pair, zoned: Zoned) -> None:
    mis, vle = pair
    mis.event(learner(local_id="LOCALID-NOT-LOGGED"))
    vle.take()
    mis.post(b"garbage NOT-LOGGED-EITHER")
    mis.event(learner().replace("<Current>No", "<Current>NOT-LOGGED-EITHER"))

    check_no_secrets(zoned.running)
    log = (zoned.running.zone.folder / "zone.log").read_text()
    assert "NOT-LOGGED" not in log
