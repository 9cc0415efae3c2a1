"""TLS of the gateway: contexts for both directions, fingerprints, and a CA of the zone's own for trying out.

Who a certificate stands for is the gateway's to decide; here it is only read, made, or trusted.
"""

import hashlib
import ipaddress
import os
import re
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import parse_agent_id

RENEW_BEFORE: Final = timedelta(days=30)
"""What is left of a certificate's time when it should be issued again."""

_AUTHORITY: Final = "ca.pem"
_GATEWAY: Final = "gateway.pem"
_KEY_ENDING: Final = "-key"
_AUTHORITY_LASTS: Final = timedelta(days=3650)
_LASTS: Final = timedelta(days=730)
"""Under the 825 days after which some clients refuse a server's certificate (CA/Browser Forum ballot 193)."""
_SKEW: Final = timedelta(hours=1)
"""How far a clock may be behind ours and still find a new certificate valid."""
_LONGEST_NAME: Final = 64
"""Characters of a common name (RFC 5280, ub-common-name)."""
_DER: Final = b"\x30"
"""What every certificate in DER begins with: a SEQUENCE."""
_PEM: Final = b"-----BEGIN "
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(?!(.*\.)?[0-9]+\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_FINGERPRINT: Final = re.compile(
    r"(?:sha256:)?([0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})", re.IGNORECASE | re.ASCII
)
_NOT_X509: Final = (ValueError, x509.InvalidVersion)


def make_authority(folder: Path, zone_id: str) -> bool:
    """Make a CA for trying out, ``ca.pem`` and ``ca-key.pem`` (mode 600) in *folder* (made with mode 700).

    A certificate that is there is left as it is, with or without its key: the key may be kept elsewhere. A key
    without certificate is what an interrupted run leaves behind; it is used, not replaced. All of this is said of
    servers' and clients' certificates too.

    Returns:
        Whether it was made; False when there is a ``ca.pem``.

    Raises:
        ConfigurationError: The folder cannot be written to, or the key that is there is none of ours.
    """
    certificate = folder / _AUTHORITY
    if _is_there(certificate):
        return False
    _make_folder(folder)
    key = _own_key(_key_of(certificate))
    # An id may be as long as a name may be; what tells two CAs apart is their key.
    name = _name(f"sifzone CA of {zone_id}"[:_LONGEST_NAME])
    builder = _builder(name, name, key.public_key(), key.public_key(), _now() + _AUTHORITY_LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return _put(certificate, _pem(builder.sign(key, hashes.SHA256())), 0o644)


def issue_server(folder: Path, hosts: Sequence[str], *, force: bool = False) -> Path:
    """Issue the gateway's certificate, ``gateway.pem`` and ``gateway-key.pem`` (mode 600), for two years.

    A certificate that is there is never replaced unasked, not even near its end or for other hosts: it may have been
    put there by hand, and a client may know it by its fingerprint. ``expires`` and ``hosts_of`` tell when to ask. The
    key stays the same, so that one file is replaced, at once; for a new key, remove both files first.

    Args:
        folder: Where ``make_authority`` made the CA.
        hosts: DNS names and IP addresses under which agents reach the gateway.
        force: Replace the certificate that is there.

    Returns:
        The file with the certificate; nothing else is in it.

    Raises:
        ConfigurationError: A host is neither a name nor an address, or the CA is missing, over or unusable.
    """
    names = _alternative_names(hosts)
    return _issue(folder, folder / _GATEWAY, "sifzone gateway", ExtendedKeyUsageOID.SERVER_AUTH, names, force=force)


def issue_client(folder: Path, agent_id: str, *, force: bool = False) -> Path:
    """Issue an agent's certificate, ``agents/ID.pem`` and ``agents/ID-key.pem`` (mode 600), with its id as name.

    One that is there is only replaced by *force*, as with ``issue_server``: zone.toml may hold its fingerprint.

    Returns:
        The file with the certificate; nothing else is in it.

    Raises:
        ConfigurationError: The id cannot be used (see ``client_certificate``), or the CA is missing, over or unusable.
    """
    certificate = client_certificate(folder, agent_id)
    return _issue(folder, certificate, agent_id, ExtendedKeyUsageOID.CLIENT_AUTH, None, force=force)


def client_certificate(folder: Path, agent_id: str) -> Path:
    """Return the file that ``issue_client`` keeps an agent's certificate in, there or not.

    Raises:
        ConfigurationError: The id has another form than an agent's, or would clash with another agent's key.
    """
    try:
        agent = parse_agent_id(agent_id)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if agent.endswith(_KEY_ENDING):  # its certificate would be the file with the other agent's key
        raise ConfigurationError(
            f"agent id {agent!r}: ends in {_KEY_ENDING!r}, as the names of key files do: choose another id, "
            "or make its certificate with a CA of your own"
        )
    return folder / "agents" / f"{agent}.pem"


def read_certificate(path: Path) -> bytes:
    """Return what is in a PEM file with a certificate.

    Raises:
        ConfigurationError: Names the file, and what to do when it cannot be read or holds none.
    """
    pem = _read(path)
    _parse(pem, str(path))
    return pem


def fingerprint(pem_or_der: bytes) -> str:
    """Return the SHA-256 of a certificate, of the first when there are several, as 64 lower-case hexadecimal digits.

    What a peer showed (DER) is not parsed: TLS has done that.

    Raises:
        ConfigurationError: It is no certificate.
    """
    if pem_or_der.startswith(_DER) and _PEM not in pem_or_der:
        return hashlib.sha256(pem_or_der).hexdigest()
    return _parse(pem_or_der, "fingerprint").fingerprint(hashes.SHA256()).hex()


def parse_fingerprint(text: str) -> str:
    """Return *text*, with or without ``sha256:`` and colons, in any case, as ``fingerprint`` returns it.

    Raises:
        ConfigurationError: It is not the SHA-256 of anything.
    """
    found = _FINGERPRINT.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"fingerprint {text!r}: write the certificate's SHA-256 as 64 hexadecimal digits, with colons or without; "
            "'openssl x509 -noout -fingerprint -sha256 -in FILE' prints it"
        )
    return found[1].replace(":", "").lower()


def common_name(der: bytes) -> str:
    """Return the common name in a certificate; empty when it has none or several, or is no certificate."""
    try:
        names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except _NOT_X509:
        return ""
    return str(names[0].value) if len(names) == 1 else ""


def expires(pem: bytes) -> datetime:
    """Return the last moment (UTC) at which a certificate is valid.

    Raises:
        ConfigurationError: It is no certificate.
    """
    return _parse(pem, "certificate").not_valid_after_utc


def hosts_of(pem: bytes) -> tuple[str, ...]:
    """Return the DNS names, then the IP addresses, that a server's certificate is for; empty when it names none.

    Raises:
        ConfigurationError: It is no certificate.
    """
    try:
        extensions = _parse(pem, "certificate").extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except (ValueError, x509.DuplicateExtension) as error:
        raise ConfigurationError(f"certificate: its extensions cannot be read: {error}: issue it again") from error
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))


def is_for(pem: bytes, host: str) -> bool:
    """Tell whether a server's certificate is for *host*, however an address is written.

    Raises:
        ConfigurationError: It is no certificate, or *host* is neither a DNS name nor an IP address.
    """
    return str(_alternative_name(host.lower()).value) in hosts_of(pem)


def server_context(
    certificate: Path, key: Path, trusted: Sequence[Path], *, client_certificates: bool
) -> ssl.SSLContext:
    """Return what the gateway listens with: TLS 1.2 or newer, clients' certificates asked for but not demanded.

    TLS then says that a certificate is one of the trusted, or signed by one, not whose it is: compare its
    fingerprint or its issuer and name with the agent's. A pinned certificate that is a CA's could sign others too.

    Args:
        certificate: The gateway's, PEM, followed by those between it and its CA where there are any.
        key: Its key, PEM, without passphrase.
        trusted: Files with CAs' certificates, or with clients' own, each of which is then trusted by itself.
        client_certificates: Whether to ask clients for a certificate; one that is not trusted ends the handshake.

    Raises:
        ConfigurationError: Names the file that cannot be used, and the remedy.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    read_certificate(certificate)
    _read(key)
    try:
        context.load_cert_chain(certificate, key, password="")  # without one, OpenSSL asks the terminal
    except OSError as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"{key}: not the key of {certificate}: name the two that go together") from error
        raise ConfigurationError(
            f"{key}: with {certificate} it cannot be used ({error}): name a PEM file with its key, without passphrase"
        ) from error
    context.verify_mode = ssl.CERT_OPTIONAL if client_certificates else ssl.CERT_NONE
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a pinned certificate is an anchor, whoever signed it
    for file in trusted:
        _trust(context, file)
    return context


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what agents are pushed to with: the system's CAs and *ca_file* are trusted, the host's name is checked.

    Raises:
        ConfigurationError: Names the file that cannot be used, and the remedy.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if ca_file is not None:
        _trust(context, ca_file)
    return context


def _trust(context: ssl.SSLContext, file: Path) -> None:
    _read(file)
    try:
        context.load_verify_locations(cafile=file)
    except OSError as error:
        raise ConfigurationError(f"{file}: holds no certificate to trust ({error}): name a PEM file") from error


def _issue(
    folder: Path,
    certificate: Path,
    name: str,
    usage: x509.ObjectIdentifier,
    hosts: x509.SubjectAlternativeName | None,
    *,
    force: bool,
) -> Path:
    if _is_there(certificate) and not force:
        return certificate
    authority, signer = _load_authority(folder)
    _make_folder(certificate.parent)
    key = _own_key(_key_of(certificate))
    until = min(_now() + _LASTS, authority.not_valid_after_utc)
    builder = _builder(_name(name), authority.subject, key.public_key(), signer.public_key(), until)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if hosts is not None:
        builder = builder.add_extension(hosts, critical=False)
    _put(certificate, _pem(builder.sign(signer, hashes.SHA256())), 0o644, force=force)
    return certificate


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    until: datetime,
) -> x509.CertificateBuilder:
    """Return what all our certificates have in common."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    if not hosts:
        raise ConfigurationError("the gateway's certificate needs a host: name the one under which agents reach it")
    return x509.SubjectAlternativeName([_alternative_name(host) for host in dict.fromkeys(map(str.lower, hosts))])


def _alternative_name(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        if "%" not in host:  # the scope of a link-local address is this machine's alone
            return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if _HOST.fullmatch(host) is not None:
            return x509.DNSName(host)
    raise ConfigurationError(
        f"host {host!r}: write a DNS name (in the form xn--... if it has other letters than a to z) or an IP address, "
        "without scheme, port and brackets"
    )


def _load_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path = folder / _AUTHORITY
    certificate = _parse(_read(path), str(path))
    key_file = _key_of(path)
    if not _is_there(key_file):
        raise ConfigurationError(f"{key_file}: not there: put it back, or remove {path} to make a new CA")
    key = _load_key(key_file)
    if certificate.public_key() != key.public_key():
        raise ConfigurationError(f"{key_file}: not the key of {path}: put back the two that go together")
    if certificate.not_valid_after_utc <= _now():
        raise ConfigurationError(
            f"{path}: over since {certificate.not_valid_after_utc:%Y-%m-%d}: remove it and its key to make a new CA"
        )
    return certificate, key


def _own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in *path*, made when there is none."""
    fresh = ec.generate_private_key(ec.SECP256R1())
    pem = fresh.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return fresh if _put(path, pem, 0o600) else _load_key(path)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a passphrase
        raise ConfigurationError(f"{path}: no key that can be read: put the right one there, or remove it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{path}: not an elliptic-curve key, so not made here: keep it elsewhere")
    return key


def _parse(pem: bytes, what: str) -> x509.Certificate:
    """Return the first certificate in *pem*; *what* it is, or its file, is named when there is none."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except _NOT_X509 as error:
        raise ConfigurationError(f"{what}: no certificate: name a PEM file that begins with one") from error


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # in a folder of somebody else's
        raise ConfigurationError(f"{path}: cannot be looked at ({error.strerror}): run as the zone's user") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}: not there: name another file, or make one with 'sifzone tls init'"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}): run as the zone's user, or see to its rights"
        ) from error


def _make_folder(folder: Path) -> None:
    """Make *folder*, and those above it that are missing, all of them for their owner alone."""
    try:
        for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be made ({error.strerror}): name another folder") from error


def _put(path: Path, content: bytes, mode: int, *, force: bool = False) -> bool:
    """Write *content* to *path*, whole or not at all; without *force*, return False and leave what is there."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # mode 600
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if force:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)  # refuses, where a rename would replace
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror}): make room or see to rights") from error
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_of(certificate: Path) -> Path:
    return certificate.with_name(f"{certificate.stem}{_KEY_ENDING}.pem")


def _now() -> datetime:
    return datetime.now(UTC)
