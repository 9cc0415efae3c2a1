"""A RabbitMQ's virtual hosts, logins and rights, through its management HTTP API; messages are broker.transports'."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import structlog

from broker.protocol.topology import Permissions
from broker.rabbitmq.errors import ManagementError

log = structlog.get_logger(__name__)

Login = TypeVar("Login", bound=str)

OLDEST: Final = (3, 10)
"""The first RabbitMQ whose quorum queues dead-letter at least once."""

_HASHING: Final = "rabbit_password_hashing_sha256"
_SALT_BYTES: Final = 4


class Management:
    """The management API of one RabbitMQ, spoken to as an administrator.

    Args:
        url: For example ``http://127.0.0.1:15672``.
        user: A login with the tag ``administrator``.
        password: Its password.
        timeout: Seconds that one request may take.

    Every method raises :class:`ManagementError`, with the remedy, where RabbitMQ cannot be reached or refuses.
    """

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 15.0) -> None:
        self.user = user
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self._url}/api/",
            auth=(user, password),
            timeout=timeout,
            trust_env=not _is_loopback(self._url),  # a proxy does not reach this machine's own loopback
        )

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def version(self) -> str:
        """Return RabbitMQ's version, for example ``3.10.8``."""
        return str(self._get("overview")["rabbitmq_version"])

    def check_server(self) -> None:
        """Refuse a RabbitMQ on which a zone cannot run.

        Raises:
            ManagementError: It is older than 3.10.
        """
        check_overview(self._get("overview"), self._url)

    def ensure_vhost(self, vhost: str) -> None:
        """Make *vhost* unless it is there; RabbitMQ then gives our own login every right in it."""
        self._send("PUT", _path("vhosts", vhost), {})

    def delete_vhost(self, vhost: str) -> None:
        """Delete *vhost* with its queues and all they hold; no-op when it is not there."""
        self._send("DELETE", _path("vhosts", vhost), absent_is_fine=True)

    def ensure_user(self, login: str, password: str) -> bool:
        """Make *login*, without tags, or give it *password*; returns whether anything had to be written.

        RabbitMQ is sent a salted hash, never the password.

        Source:
            RabbitMQ's documentation of credential hashing: base64 of a salt of four bytes followed by the SHA-256 of
            the salt and the password.
        """
        if self.has_user(login, password):
            return False
        self._send(
            "PUT",
            _path("users", login),
            {"password_hash": password_hash(password), "hashing_algorithm": _HASHING, "tags": ""},
        )
        return True

    def has_user(self, login: str, password: str) -> bool:
        """Tell whether there is *login*, without tags and with *password*."""
        known = self._find(_path("users", login))
        return known is not None and _is_same_user(known, password)

    def delete_user(self, login: str) -> None:
        """Delete *login* and its rights everywhere; no-op when it is not there."""
        self._send("DELETE", _path("users", login), absent_is_fine=True)

    def set_permissions(self, vhost: str, login: str, permissions: Permissions) -> None:
        """Give *login* exactly *permissions* in *vhost*, in place of what it had there."""
        self._send(
            "PUT",
            _path("permissions", vhost, login),
            {"configure": permissions.configure, "write": permissions.write, "read": permissions.read},
        )

    def permissions(self, vhost: str) -> dict[str, Permissions]:
        """Return the rights in *vhost* by login; a login that is not there has none."""
        rows = self._get(_path("vhosts", vhost, "permissions"))
        return {row["user"]: Permissions(row["configure"], row["write"], row["read"]) for row in rows}

    def queues(self, vhost: str) -> dict[str, tuple[int, int]]:
        """Return by queue how many messages it holds and how many consumers it has.

        Both lag: messages by up to a second on a private node and five elsewhere, consumers by five. Whoever must know
        asks the queue itself over AMQP (a passive declare).
        """
        queues = _path("queues", vhost)
        totals = self._get(f"{queues}?disable_stats=true&enable_queue_totals=true")
        consumers = {row["name"]: int(row.get("consumers", 0)) for row in self._get(f"{queues}?columns=name,consumers")}
        return {row["name"]: (int(row.get("messages", 0)), consumers.get(row["name"], 0)) for row in totals}

    def bindings(self, vhost: str, exchange: str) -> frozenset[tuple[str, str]]:
        """Return (queue, binding key) for each binding from *exchange*; empty when there is no such exchange."""
        answer = self._find(_path("exchanges", vhost, exchange, "bindings", "source"))
        return frozenset((row["destination"], row["routing_key"]) for row in answer or ())

    def unbind(self, vhost: str, exchange: str, queue: str, key: str) -> None:
        """Delete one binding without arguments; no-op when it is not there."""
        self._send("DELETE", _path("bindings", vhost, "e", exchange, "q", queue, key), absent_is_fine=True)

    def apply_rights(self, vhost: str, wanted: Mapping[Login, tuple[str, Permissions]]) -> tuple[str, ...]:
        """Make the logins of *vhost* and their rights what *wanted* says; write only what differs.

        A login that is not wanted loses its rights in *vhost*; our own login keeps its. Who lost or changed a right
        or a password is disconnected, since a channel goes on with the rights that it found when it began.

        Args:
            vhost: The zone's virtual host; it exists.
            wanted: Password and permissions by login.

        Returns:
            The logins for which something was written, sorted; empty when all was so already.
        """
        actual = self.permissions(vhost)
        changed: set[str] = {login for login, (password, _) in wanted.items() if self.ensure_user(login, password)}
        for login, (_, permissions) in wanted.items():
            if actual.get(login) != permissions:
                self.set_permissions(vhost, login, permissions)
                changed.add(login)
        for unwanted in actual.keys() - wanted.keys() - {self.user}:
            self._send("DELETE", _path("permissions", vhost, unwanted), absent_is_fine=True)
            changed.add(unwanted)
        for known in changed & actual.keys():
            self.disconnect(known)
        if changed:
            log.info("rights_applied", vhost=vhost, logins=sorted(changed))
        return tuple(sorted(changed))

    def disconnect(self, login: str) -> None:
        """Close every connection of *login*; it may connect again with the rights that it then has."""
        self._send("DELETE", _path("connections", "username", login), absent_is_fine=True)

    def _get(self, path: str) -> Any:  # JSON, whose shape RabbitMQ documents
        return self._request("GET", path).json()

    def _find(self, path: str) -> Any | None:
        answer = self._request("GET", path, absent_is_fine=True)
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.json()

    def _send(
        self, method: str, path: str, body: Mapping[str, str] | None = None, *, absent_is_fine: bool = False
    ) -> None:
        self._request(method, path, body, absent_is_fine=absent_is_fine)

    def _request(
        self, method: str, path: str, body: Mapping[str, str] | None = None, *, absent_is_fine: bool = False
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise ManagementError(
                f"no answer from RabbitMQ's management API at {self._url} ({type(error).__name__}): "
                "check the address, and run `rabbitmq-plugins enable rabbitmq_management` on its node"
            ) from error
        if answer.is_success or (absent_is_fine and answer.status_code == httpx.codes.NOT_FOUND):
            return answer
        raise ManagementError(f"{self._url} refuses {method} {path}: {_remedy(answer.status_code, self.user)}")


def check_overview(overview: Mapping[str, Any], url: str) -> None:
    """Refuse the RabbitMQ at *url*, whose ``/api/overview`` is *overview*, when a zone cannot run on it.

    Raises:
        ManagementError: It is older than 3.10.
    """
    version = str(overview["rabbitmq_version"])
    if _release(version) < OLDEST:
        raise ManagementError(f"RabbitMQ {version} at {url} is too old: install 3.10 or later")


def password_hash(password: str, salt: bytes | None = None) -> str:
    """Return what RabbitMQ keeps of *password*, with *salt* (four bytes; random when left out)."""
    seasoning = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.sha256(seasoning + password.encode()).digest()
    return base64.b64encode(seasoning + digest).decode("ascii")


def _is_same_user(known: Mapping[str, Any], password: str) -> bool:
    if known.get("hashing_algorithm") != _HASHING or known.get("tags"):
        return False
    kept = str(known["password_hash"])
    salt = base64.b64decode(kept)[:_SALT_BYTES]
    return hmac.compare_digest(kept, password_hash(password, salt))


def _remedy(status: int, user: str) -> str:
    if status == httpx.codes.UNAUTHORIZED:
        return f"give the right password, and give {user!r} the tag administrator (`rabbitmqctl set_user_tags`)"
    if status == httpx.codes.NOT_FOUND:
        return "there is no such virtual host or login: make it first"
    return f"HTTP status {status}, see RabbitMQ's log"


def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
