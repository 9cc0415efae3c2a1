"""TLS of the gateway: who is let in by real handshakes, what files are made, and what is never overwritten."""

import hashlib
import socket
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from broker import tls
from broker.commands.tls import app
from broker.protocol.errors import ConfigurationError
from broker.settings import GatewayAgentSettings, GatewaySettings
from broker.tls import (
    client_context,
    common_name,
    expires,
    fingerprint,
    hosts_of,
    is_for,
    issue_client,
    issue_server,
    make_authority,
    parse_fingerprint,
    server_context,
)

ZONE = "larkrise"
MERLIN = "merlin"
HOSTS = ("localhost", "127.0.0.1", "::1")
PATIENCE = 10.0
HOSTILE_IDS = ("../merlin", "/etc/passwd", "a/b", "", ".hidden", "a\0b", "a\nb", "x" * 65, "merlin-key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CA and the gateway's certificate."""
    made = tmp_path / "state" / "tls"
    make_authority(made, ZONE)
    issue_server(made, HOSTS)
    return made


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another CA, of the same name."""
    made = tmp_path / "other"
    make_authority(made, ZONE)
    return made


def key_of(certificate: Path) -> Path:
    return certificate.with_name(f"{certificate.stem}-key.pem")


def gateway(folder: Path, *trusted: Path, client_certificates: bool = True) -> ssl.SSLContext:
    return server_context(
        folder / "gateway.pem", key_of(folder / "gateway.pem"), trusted, client_certificates=client_certificates
    )


def client(folder: Path, certificate: Path | None = None) -> ssl.SSLContext:
    context = client_context(folder / "ca.pem")
    if certificate is not None:
        context.load_cert_chain(certificate, key_of(certificate))
    return context


def serve(listener: socket.socket, context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that one client shows, and say goodbye to it."""
    plain, _ = listener.accept()
    plain.settimeout(PATIENCE)
    with plain, context.wrap_socket(plain, server_side=True) as secured:
        secured.sendall(b"seen")
        return secured.getpeercert(binary_form=True)


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[tuple[int, "Future[bytes | None]"]]:
    """Serve one client in a thread; yield the port, and what will be the result."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(PATIENCE)
        yield listener.getsockname()[1], pool.submit(serve, listener, context)


def connect(port: int, context: ssl.SSLContext, host: str = "localhost") -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.recv(4)


def shown(server: ssl.SSLContext, asking: ssl.SSLContext) -> bytes | None:
    """Return the certificate that the gateway saw after a handshake that went well on both sides."""
    with listening(server) as (port, served):
        assert connect(port, asking) == b"seen"
        return served.result(PATIENCE)


def refusal(server: ssl.SSLContext, asking: ssl.SSLContext) -> str:
    """Return why the gateway refused the client's certificate."""
    with listening(server) as (port, served):
        with pytest.raises(OSError):  # noqa: PT011  # TLS 1.3 tells the client when it reads
            connect(port, asking)
        with pytest.raises(ssl.SSLCertVerificationError) as raised:
            served.result(PATIENCE)
        return raised.value.verify_message


def self_signed(folder: Path, name: str, *, days: int = 30) -> Path:
    """Make a certificate that no CA signed, as an agent's system might."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=60)).not_valid_after(now + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    certificate = folder / f"{name}.pem"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_of(certificate).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate


def der(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def init(zone: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", "--zone", str(zone), *arguments])


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    made = tmp_path / "zone"
    made.mkdir()
    (made / "zone.toml").write_text(f'id = "{ZONE}"\n')
    return made


# Handshakes


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_certificate_of_the_trusted_ca_is_let_in_and_can_be_read_back(folder: Path, version: ssl.TLSVersion) -> None:
    merlin = issue_client(folder, MERLIN)
    asking = client(folder, merlin)
    asking.maximum_version = version

    seen = shown(gateway(folder, folder / "ca.pem"), asking)

    assert seen == der(merlin)
    assert common_name(seen) == MERLIN
    assert fingerprint(seen) == fingerprint(merlin.read_bytes())


def test_a_pinned_certificate_that_signed_itself_is_let_in(folder: Path, tmp_path: Path) -> None:
    pinned = self_signed(tmp_path / "own", MERLIN)

    assert shown(gateway(folder, pinned), client(folder, pinned)) == der(pinned)


def test_a_pinned_certificate_is_let_in_without_the_ca_that_signed_it(folder: Path, other: Path) -> None:
    pinned = issue_client(other, MERLIN)

    assert shown(gateway(folder, folder / "ca.pem", pinned), client(folder, pinned)) == der(pinned)


def test_pinning_one_certificate_lets_in_no_other_of_its_ca(folder: Path, other: Path) -> None:
    pinned, stranger = issue_client(other, MERLIN), issue_client(other, "stranger")

    assert refusal(gateway(folder, pinned), client(folder, stranger))


def test_a_certificate_of_another_ca_of_the_same_name_is_refused(folder: Path, other: Path) -> None:
    stranger = issue_client(other, MERLIN)

    assert refusal(gateway(folder, folder / "ca.pem"), client(folder, stranger))


def test_a_certificate_that_nobody_trusts_is_refused_although_none_is_demanded(folder: Path, tmp_path: Path) -> None:
    assert "self" in refusal(gateway(folder), client(folder, self_signed(tmp_path / "own", MERLIN)))


def test_a_pinned_certificate_that_is_over_is_refused(folder: Path, tmp_path: Path) -> None:
    over = self_signed(tmp_path / "own", MERLIN, days=-1)

    assert "expired" in refusal(gateway(folder, over), client(folder, over))


def test_the_certificate_of_a_gateway_is_none_for_an_agent(folder: Path) -> None:
    assert "purpose" in refusal(gateway(folder, folder / "ca.pem"), client(folder, folder / "gateway.pem"))


@pytest.mark.parametrize("trusted", ["ca.pem", "agents/merlin.pem"], ids=["its CA", "the agent itself"])
def test_what_an_agent_signed_is_refused_whoever_trusts_the_agent(folder: Path, tmp_path: Path, trusted: str) -> None:
    merlin = issue_client(folder, MERLIN)
    forge = tmp_path / "forge"
    forge.mkdir()
    (forge / "ca.pem").write_bytes(merlin.read_bytes())
    (forge / "ca-key.pem").write_bytes(key_of(merlin).read_bytes())
    forged = issue_client(forge, "stranger")
    forged.write_bytes(forged.read_bytes() + merlin.read_bytes())

    assert "CA" in refusal(gateway(folder, folder / trusted), client(folder, forged))


def test_a_ca_signs_agents_and_servers_but_no_further_ca(folder: Path) -> None:
    extensions = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()).extensions

    limits = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.critical, limits.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_a_client_without_certificate_is_let_in_and_nobody_is_seen(folder: Path) -> None:
    assert shown(gateway(folder, folder / "ca.pem"), client(folder)) is None


def test_no_certificate_is_asked_for_where_no_agent_has_one(folder: Path) -> None:
    merlin = issue_client(folder, MERLIN)

    assert shown(gateway(folder, client_certificates=False), client(folder, merlin)) is None


def test_what_is_older_than_tls_1_2_is_not_spoken(folder: Path) -> None:
    contexts = gateway(folder), client_context(None)

    assert [context.minimum_version for context in contexts] == [ssl.TLSVersion.TLSv1_2] * 2


def test_a_server_of_another_name_is_refused(folder: Path) -> None:
    with listening(gateway(folder)) as (port, served):
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            connect(port, client(folder), "elsewhere.example.org")
        with pytest.raises(OSError):  # noqa: PT011  # an alert or the end of the connection
            served.result(PATIENCE)


@pytest.mark.parametrize("host", HOSTS)
def test_the_gateway_is_known_by_each_of_its_hosts(folder: Path, host: str) -> None:
    with listening(gateway(folder)) as (port, served):
        assert connect(port, client(folder), host) == b"seen"
        assert served.result(PATIENCE) is None


def test_a_server_of_a_ca_that_is_not_given_is_refused(folder: Path) -> None:
    with listening(gateway(folder)) as (port, served):
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(port, client_context(None))
        with pytest.raises(OSError):  # noqa: PT011
            served.result(PATIENCE)


def test_the_systems_cas_are_trusted_beside_the_one_given(
    folder: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))

    for own in (None, other / "ca.pem"):
        assert shown(gateway(folder), client_context(own)) is None


# Files that cannot be used


def test_a_missing_or_unusable_file_is_named_with_a_remedy(folder: Path, tmp_path: Path) -> None:
    certificate, key = folder / "gateway.pem", folder / "gateway-key.pem"
    rubbish, missing = tmp_path / "rubbish.pem", tmp_path / "missing.pem"
    rubbish.write_text("not PEM\n")
    merlin_key = key_of(issue_client(folder, MERLIN))

    for chosen, chosen_key, trusted, culprit in (
        (missing, key, (), missing),
        (rubbish, key, (), rubbish),
        (certificate, missing, (), missing),
        (certificate, rubbish, (), rubbish),
        (certificate, merlin_key, (), merlin_key),
        (certificate, key, (missing,), missing),
        (certificate, key, (folder / "ca.pem", rubbish), rubbish),
        (certificate, key, (key,), key),
        (tmp_path, key, (), tmp_path),
    ):
        with pytest.raises(ConfigurationError, match=f"^{culprit}: .*: |^{culprit}: .* or "):
            server_context(chosen, chosen_key, trusted, client_certificates=True)
    with pytest.raises(ConfigurationError, match=f"^{rubbish}: "):
        client_context(rubbish)


def test_a_key_with_a_passphrase_is_refused_without_asking_anybody(folder: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key((folder / "gateway-key.pem").read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    with pytest.raises(ConfigurationError, match="without passphrase"):
        server_context(folder / "gateway.pem", locked, (), client_certificates=False)


# Files that are made


def test_keys_are_for_their_owner_alone_and_certificates_for_all(folder: Path) -> None:
    merlin = issue_client(folder, MERLIN)

    modes = {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}

    assert modes == {
        "ca.pem": 0o644,
        "ca-key.pem": 0o600,
        "gateway.pem": 0o644,
        "gateway-key.pem": 0o600,
        "agents": 0o700,
        "agents/merlin.pem": 0o644,
        "agents/merlin-key.pem": 0o600,
    }
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert merlin == folder / "agents" / "merlin.pem"


@pytest.mark.parametrize("name", ["ca.pem", "gateway.pem", "agents/merlin.pem"])
def test_openssl_finds_no_fault_in_what_is_made(folder: Path, name: str) -> None:
    issue_client(folder, MERLIN)

    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / "ca.pem"), str(folder / name)],
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_servers_certificate_lasts_no_longer_than_clients_accept(folder: Path) -> None:
    lasts = expires((folder / "gateway.pem").read_bytes()) - datetime.now(UTC)

    assert timedelta(days=729) < lasts <= timedelta(days=825)
    assert timedelta(days=3640) < expires((folder / "ca.pem").read_bytes()) - datetime.now(UTC)


def test_no_certificate_outlasts_its_ca(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = expires((folder / "ca.pem").read_bytes())
    monkeypatch.setattr(tls, "_now", lambda: end - timedelta(days=3))

    assert expires(issue_client(folder, MERLIN).read_bytes()) == end


def test_a_ca_that_is_over_signs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = expires((folder / "ca.pem").read_bytes())
    monkeypatch.setattr(tls, "_now", lambda: end + timedelta(seconds=1))

    with pytest.raises(ConfigurationError, match=r"ca\.pem: over since"):
        issue_client(folder, MERLIN)


def test_the_longest_zone_id_and_the_longest_agent_id_get_certificates(tmp_path: Path) -> None:
    assert make_authority(tmp_path / "tls", "z" * 64)

    assert common_name(der(issue_client(tmp_path / "tls", "a" * 64))) == "a" * 64


def test_what_is_there_is_never_overwritten_unasked(folder: Path) -> None:
    issue_client(folder, MERLIN)
    before = contents(folder)

    assert not make_authority(folder, "another-zone")
    issue_server(folder, ["elsewhere.example.org"])
    issue_client(folder, MERLIN)

    assert contents(folder) == before


def test_a_certificate_put_there_by_hand_is_left_even_without_its_key(folder: Path) -> None:
    (folder / "gateway.pem").write_text("the operator's own")
    (folder / "gateway-key.pem").unlink()

    issue_server(folder, HOSTS)

    assert (folder / "gateway.pem").read_text() == "the operator's own"
    assert not (folder / "gateway-key.pem").exists()


def test_whoever_comes_second_at_the_same_time_overwrites_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merlin = issue_client(folder, MERLIN)
    before = contents(folder)
    monkeypatch.setattr(tls, "_is_there", lambda path: path != merlin)

    issue_client(folder, MERLIN)

    assert contents(folder) == before


def test_force_issues_the_certificate_again_and_keeps_the_key(folder: Path) -> None:
    before = contents(folder)

    gateway_file = issue_server(folder, ["zone.example.org"], force=True)

    changed = [path for path, content in contents(folder).items() if before.get(path) != content]
    assert changed == [gateway_file]
    assert hosts_of(gateway_file.read_bytes()) == ("zone.example.org",)
    gateway(folder)


def test_a_run_that_was_interrupted_after_the_key_is_completed_with_that_key(folder: Path) -> None:
    for certificate in (folder / "ca.pem", folder / "gateway.pem"):
        certificate.unlink()
    keys = contents(folder)

    assert make_authority(folder, ZONE)
    issue_server(folder, HOSTS)

    assert {path: content for path, content in contents(folder).items() if path in keys} == keys
    assert shown(gateway(folder), client(folder)) is None


def test_writing_that_fails_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("broker.tls.os.fsync", full)

    with pytest.raises(ConfigurationError, match="No space left on device"):
        issue_server(folder, HOSTS, force=True)

    assert contents(folder) == before


def test_without_a_ca_nothing_is_issued(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ca\.pem: not there.*sifzone tls init"):
        issue_client(tmp_path, MERLIN)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found", ["missing", "of another CA", "rubbish"])
def test_a_ca_without_its_key_issues_nothing(folder: Path, other: Path, found: str) -> None:
    key = folder / "ca-key.pem"
    key.unlink()
    if found != "missing":
        key.write_bytes((other / "ca-key.pem").read_bytes() if found == "of another CA" else b"rubbish")

    with pytest.raises(ConfigurationError, match=r"ca-key\.pem: "):
        issue_client(folder, MERLIN)

    assert not (folder / "agents").exists()


@pytest.mark.parametrize("agent_id", HOSTILE_IDS, ids=repr)
def test_an_agent_id_that_is_no_file_name_of_its_own_is_refused(folder: Path, agent_id: str) -> None:
    issue_client(folder, MERLIN)
    before = contents(folder.parent.parent)

    with pytest.raises(ConfigurationError, match="agent id"):
        issue_client(folder, agent_id, force=True)

    assert contents(folder.parent.parent) == before


@pytest.mark.parametrize(
    "host",
    ["", "http://a", "a:443", "[::1]", "a b", "ü.example", "fe80::1%eth0", "127.0.0.256", "a..b", "a.", "-a", "a\n"],
    ids=repr,
)
def test_a_host_that_no_client_could_ask_for_is_refused(folder: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="host"):
        issue_server(folder, ["localhost", host], force=True)


def test_a_gateway_without_hosts_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs a host"):
        issue_server(folder, [], force=True)


# What a certificate says


def test_a_certificate_is_for_an_address_however_it_is_written(folder: Path) -> None:
    pem = (folder / "gateway.pem").read_bytes()

    assert hosts_of(pem) == HOSTS
    assert is_for(pem, "0:0:0:0:0:0:0:1")
    assert is_for(pem, "LocalHost")
    assert not is_for(pem, "127.0.0.2")
    assert hosts_of((folder / "ca.pem").read_bytes()) == ()


def test_a_fingerprint_is_the_sha_256_of_the_der(folder: Path) -> None:
    ca = folder / "ca.pem"

    assert fingerprint(ca.read_bytes()) == fingerprint(der(ca)) == hashlib.sha256(der(ca)).hexdigest()
    assert fingerprint(b"0 comes first\n" + ca.read_bytes()) == fingerprint(der(ca))


@pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_fingerprint_and_no_end(content: bytes) -> None:
    for ask in (fingerprint, expires, hosts_of):
        with pytest.raises(ConfigurationError, match="no certificate"):
            ask(content)


@pytest.mark.parametrize(
    "text",
    ["ab" * 32, "AB" * 32, ":".join(["aB"] * 32), "sha256:" + ":".join(["AB"] * 32), "SHA256:" + "ab" * 32 + "\n"],
    ids=["plain", "upper", "colons", "prefix and colons", "prefix"],
)
def test_a_fingerprint_may_be_written_in_many_ways(text: str) -> None:
    assert parse_fingerprint(text) == "ab" * 32


@pytest.mark.parametrize(
    "text",
    ["", "ab" * 31, "ab" * 33, "sha1:" + "ab" * 32, "g" * 64, "٣" * 64, "a:b" * 21 + "a", "\u017fha256:" + "ab" * 32],
    ids=repr,
)
def test_what_is_no_sha_256_is_no_fingerprint(text: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl x509 -noout -fingerprint -sha256"):
        parse_fingerprint(text)


def test_a_certificate_with_two_names_is_nobodys(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in (MERLIN, "stranger")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(names).issuer_name(names).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now)

    assert common_name(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)) == ""
    assert common_name(der(folder / "ca.pem")) == f"sifzone CA of {ZONE}"
    assert common_name(b"\x30\x03abc") == ""


# The command


def test_init_makes_what_a_zone_needs_and_says_what_to_write_into_zone_toml(zone: Path) -> None:
    result = init(zone, "--agent", MERLIN, "--agent", "larkrise.mis")

    assert result.exit_code == 0, result.output
    folder = zone / "state" / "tls"
    prints = {
        agent: fingerprint((folder / "agents" / f"{agent}.pem").read_bytes()) for agent in (MERLIN, "larkrise.mis")
    }
    lines = result.output.split("Put into zone.toml:")[1].split("Hand each agent")[0]
    written = tomllib.loads(lines)
    settings = GatewaySettings.model_validate(written["gateway"])
    assert (settings.certificate, settings.key) == ("state/tls/gateway.pem", "state/tls/gateway-key.pem")
    for agent, shown_print in prints.items():
        entry = GatewayAgentSettings.model_validate(written["agents"][agent]["gateway"])
        assert (entry.credential, entry.ca, entry.subject) == ("certificate", "state/tls/ca.pem", agent)
        assert f"fingerprint sha256:{shown_print}" in result.output
        assert f'fingerprint = "{shown_print}"' in lines
    assert hosts_of((folder / "gateway.pem").read_bytes()) == HOSTS
    assert "for trying out" in result.output


def test_a_second_init_changes_nothing_and_says_so(zone: Path) -> None:
    init(zone, "--agent", MERLIN, "--host", "zone.example.org")
    before = contents(zone)

    result = init(zone, "--agent", MERLIN)

    assert result.exit_code == 0
    assert contents(zone) == before
    assert result.output.count("Was there already") == 3
    assert "Wrote" not in result.output
    assert "--renew" not in result.output


def test_init_for_other_hosts_says_that_the_certificate_is_not_for_them(zone: Path) -> None:
    init(zone)

    result = init(zone, "--host", "zone.example.org", "--host", "0::1")

    assert "It is not for zone.example.org: issue it again with --renew." in result.output


def test_renewing_replaces_certificates_and_keeps_keys_hosts_and_the_ca(zone: Path) -> None:
    init(zone, "--agent", MERLIN, "--host", "zone.example.org")
    before = contents(zone)

    result = init(zone, "--agent", MERLIN, "--renew")

    folder = zone / "state" / "tls"
    after = contents(zone)
    assert result.output.count("Renewed") == 2
    assert {path for path in after if after[path] != before[path]} == {
        folder / "gateway.pem",
        folder / "agents" / "merlin.pem",
    }
    assert hosts_of((folder / "gateway.pem").read_bytes()) == ("zone.example.org",)


def test_init_says_when_a_certificate_is_about_to_end(zone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_now", lambda: datetime.now(UTC) - timedelta(days=701))
    init(zone)
    monkeypatch.undo()

    result = init(zone)

    assert result.output.count("That is soon, or over: issue it again with --renew.") == 1


def test_init_with_a_new_ca_says_that_the_old_one_signed_the_rest(zone: Path) -> None:
    init(zone)
    for name in ("ca.pem", "ca-key.pem"):
        (zone / "state" / "tls" / name).unlink()

    assert "another CA signed" in init(zone).output
    assert "another CA signed" not in init(zone, "--renew").output


@pytest.mark.parametrize("agent_id", HOSTILE_IDS, ids=repr)
def test_init_refuses_a_hostile_agent_id_before_it_writes_anything(zone: Path, agent_id: str) -> None:
    result = init(zone, "--agent", MERLIN, "--agent", agent_id)

    assert isinstance(result.exception, ConfigurationError)
    assert [path.name for path in zone.iterdir()] == ["zone.toml"]


@pytest.mark.parametrize(
    "text",
    [None, "", "id = 5", 'id = "../x"', "id = ", b'id = "\xff"'],
    ids=["no file", "no id", "number", "hostile id", "no TOML", "no UTF-8"],
)
def test_init_needs_the_id_in_zone_toml(tmp_path: Path, text: str | bytes | None) -> None:
    if text is not None:
        (tmp_path / "zone.toml").write_bytes(text if isinstance(text, bytes) else text.encode())

    result = init(tmp_path)

    assert isinstance(result.exception, ConfigurationError)
    assert "zone.toml" in str(result.exception)
    assert not (tmp_path / "state").exists()


def test_init_prints_brackets_in_paths_as_they_are(tmp_path: Path) -> None:
    zone = tmp_path / "[bold]zone[/]"
    zone.mkdir(parents=True)
    (zone / "zone.toml").write_text(f'id = "{ZONE}"\n')

    assert f"Wrote: {zone / 'state' / 'tls' / 'ca.pem'}" in init(zone).output
