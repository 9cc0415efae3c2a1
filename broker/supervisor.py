"""Run a whole zone: RabbitMQ (ours or a given one), logins and rights, the workers; what they do is the worker's.

All that a running zone keeps is below its folder's ``state/`` (mode 700): key, database, the node's data, credentials.
"""

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import structlog

from broker.applied import applied_name, applied_zone, apply_folder, claim, in_force_file, is_running, named_in
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, INTAKE, Permissions, agent_permissions, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.settings import ADMIN_LOGIN, Zone, gateway_address
from broker.storage import make_key, open_store

log = structlog.get_logger(__name__)

_EVERYTHING: Final = Permissions(".*", ".*", ".*")
_READY_SECONDS: Final = 30.0
_RESTART_PAUSE: Final = 1.0
_APPLY_PAUSE: Final = 5.0
"""Seconds before a snapshot that could not be put in force is tried again."""
_QUEUE_SETTLES: Final = 1.5
"""Seconds until RabbitMQ itself writes down a new queue; killed before, 3.10 would lose it with what it holds."""
_PR_SET_PDEATHSIG: Final = 1
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that nobody else can reach, or listen to."""


@dataclass(frozen=True, slots=True)
class _Server:
    """A RabbitMQ to use: its management API and the AMQP address without login and virtual host."""

    management_url: str
    user: str
    password: str
    amqp: str


class RunningZone:
    """A zone from start to stop; use it as a context manager.

    Args:
        zone: As loaded from its folder; what the folder says at the start is put in force.
        workers: How many worker processes; each has its share of the intake partitions.
        agents: Whether to run the agents set up in the zone's folder ``agents/`` too, each in a process of its own.
        gateway_port: Port of the gateway, instead of what zone.toml says; 0 for any that is free.
        log_file: File descriptor for what workers and agents log; our own standard error when left out.
    """

    def __init__(
        self,
        zone: Zone,
        workers: int = 1,
        *,
        agents: bool = False,
        gateway_port: int | None = None,
        log_file: int | None = None,
    ) -> None:
        self.zone = zone
        self._log_file = log_file
        self._with_agents = agents
        self._agents: dict[Path, subprocess.Popen[bytes]] = {}
        self._count = min(workers, zone.settings.partitions)
        self.node: PrivateNode | None = None
        """The RabbitMQ of our own; None when another was named."""
        self._management: Management | None = None
        self._used: _Server | None = None
        self._claim: IO[str] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._wanted_port = gateway_port
        self.gateway_port: int | None = None
        """Where the gateway listens; None when there is none."""
        self._gateway: subprocess.Popen[bytes] | None = None
        self._restart_at = self._apply_at = 0.0

    def start(self) -> None:
        """Start all; returns when the workers consume.

        Raises:
            ConfigurationError: The zone's settings cannot be used.
            ZoneError: RabbitMQ or the database cannot be reached.
        """
        self._claim = claim(self.zone)
        prepare_state(self.zone)
        self.zone = apply_folder(self.zone.folder)
        self.gateway_port = self._choose_port()  # what it refuses is said before anything is started
        open_store(self.zone.database_url, self.zone.key_file).close()  # migrates before anybody needs it
        server = self._used = self._server()
        self._management = Management(server.management_url, server.user, server.password)
        self._management.check_server()
        self._management.ensure_vhost(self.zone.id)
        self._check_partitions(self._management)
        self._apply_rights(self.zone, self._management, server)
        for number in range(self._count):
            self._workers.append(self._spawn(number))
        if self.gateway_port is not None:
            self._gateway = self._run_gateway(self.gateway_port)
        self._await_consumers()
        self._settle_queues()
        if self._with_agents:
            for file in sorted((self.zone.folder / "agents").glob("*.toml")):
                self._agents[file] = self._run_agent(file)
        self._tell_in_force()
        log.info("zone_running", zone=self.zone.id, workers=self._count)

    def check(self) -> None:
        """Put in force what was applied, and start again, after a pause, what ended; call it every second or so."""
        self._take_up()
        if time.monotonic() < self._restart_at:
            return
        for number, process in enumerate(self._workers):
            code = process.poll()
            if code is not None:
                log.error("worker_ended", number=number, code=code)
                self._workers[number] = self._spawn(number)
                self._restart_at = time.monotonic() + _RESTART_PAUSE
        if self._gateway is not None and self.gateway_port is not None and self._gateway.poll() is not None:
            log.error("gateway_ended", code=self._gateway.returncode)
            self._gateway = self._run_gateway(self.gateway_port)
            self._restart_at = time.monotonic() + _RESTART_PAUSE
        for file, process in self._agents.items():
            if process.poll() is not None:
                log.error("agent_ended", agent=file.stem, code=process.returncode)
                self._agents[file] = self._run_agent(file)
                self._restart_at = time.monotonic() + _RESTART_PAUSE

    def _take_up(self) -> None:
        """Give logins and rights as a new snapshot says, and tell who waits once the workers go by it, too."""
        if time.monotonic() < self._apply_at or self._management is None or self._used is None:
            return
        if applied_name(self.zone.folder) != self.zone.snapshot:
            try:
                zone = applied_zone(self.zone.folder)
                self._apply_rights(zone, self._management, self._used)
            except ZoneError as error:
                log.error("snapshot_not_in_force", reason=str(error))
                self._apply_at = time.monotonic() + _APPLY_PAUSE
                return
            self.zone = zone
            log.info("snapshot_taken_up", snapshot=zone.snapshot)
        self._tell_in_force()

    def _apply_rights(self, zone: Zone, management: Management, server: _Server) -> None:
        rights = zone_rights(zone)
        wanted = {login: (self._credentials(login, server), rights[login]) for login in rights}
        management.apply_rights(zone.id, wanted)
        for record in zone.registry.agents.values():
            if record.gateway:
                self._gateway_credentials(zone, record.id)

    def _tell_in_force(self) -> None:
        file, name = in_force_file(self.zone), self.zone.snapshot
        if named_in(file) == name:
            return
        followers = [ready_file(self.zone, number) for number in range(self._count)]
        if self._gateway is not None:
            followers.append(gateway_ready_file(self.zone))
        if all(named_in(follower) == name for follower in followers):
            file.write_text(name, encoding="utf-8")

    def queues(self) -> dict[str, tuple[int, int]]:
        """Return each queue's messages and consumers, as RabbitMQ last counted them."""
        return self._management.queues(self.zone.id) if self._management is not None else {}

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers, by number."""
        return tuple(process.pid for process in self._workers)

    @property
    def gateway_pid(self) -> int | None:
        """Process id of the gateway; None when there is none."""
        return None if self._gateway is None else self._gateway.pid

    def stop(self) -> None:
        """Stop the agents, the workers, then the node when it is ours; safe to call twice."""
        _end(list(self._agents.values()))
        self._agents.clear()
        if self._gateway is not None:
            _end([self._gateway])
            self._gateway = None
        _end(self._workers)
        self._workers.clear()
        if self._management is not None:
            self._management.close()
            self._management = None
        if self.node is not None:
            self.zone.credentials(ADMIN_LOGIN).unlink(missing_ok=True)
            self.node.stop()
            self.node = None
        if self._claim is not None:
            in_force_file(self.zone).unlink(missing_ok=True)
            self._claim.close()
            self._claim = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _server(self) -> _Server:
        named = _named_server(self.zone)
        if named is not None:
            return named
        self.node = PrivateNode(self.zone.state / "rabbitmq")
        self.node.start()
        node = self.node
        login = {"management": node.management_url, "user": node.admin_user, "password": node.admin_password}
        write_secret(self.zone.credentials(ADMIN_LOGIN), "".join(f'{key} = "{said}"\n' for key, said in login.items()))
        return _Server(node.management_url, node.admin_user, node.admin_password, f"amqp://127.0.0.1:{node.ports.amqp}")

    def _settle_queues(self) -> None:
        """See that RabbitMQ has written down the queues just declared, before anybody is told to use them."""
        if self.node is not None:
            self.node.sync()
        else:
            time.sleep(_QUEUE_SETTLES)

    def _check_partitions(self, management: Management) -> None:
        """Undo what another number of partitions has bound; with messages in the intake, order would be lost."""
        wanted = {
            (b.queue, b.key) for b in zone_topology(self.zone.settings.partitions).bindings if b.exchange == INTAKE
        }
        stale = management.bindings(self.zone.id, INTAKE) - wanted
        if not stale:
            return
        waiting = {q: n for q, (n, _) in management.queues(self.zone.id).items() if n and q.startswith("zone.intake.")}
        if waiting:
            raise ConfigurationError(
                f"partitions was changed while {sum(waiting.values())} messages wait in the intake: "
                "put the old number back, let the zone work them off, then change it"
            )
        for queue, key in stale:
            management.unbind(self.zone.id, INTAKE, queue, key)

    def _credentials(self, login: str, server: _Server) -> str:
        """Return the password of *login*, kept from the last start, and write the file its owner reads."""
        path = self.zone.credentials(login)
        password = read_password(path) or secrets.token_urlsafe(24)
        scheme, address = server.amqp.split("://", 1)
        url = f"{scheme}://{quote(login, safe='')}:{password}@{address}/{quote(self.zone.id, safe='')}"
        write_secret(path, f'url = "{url}"\n')
        return password

    def _gateway_credentials(self, zone: Zone, agent: AgentId) -> None:
        """Write the file with the address of an agent at the gateway and what it shows, which is kept over starts."""
        fields = zone.settings.agents[agent].gateway
        path = zone.credentials(agent)
        port = self.gateway_port
        if fields is None or port is None:
            return
        if fields.credential == "certificate":
            write_secret(path, f'url = "{gateway_url(zone, port)}"\n')
            return
        secret = read_secret(path) or secrets.token_urlsafe(32)
        in_url = secret if fields.credential == "secret" else ""
        write_secret(path, f'url = "{gateway_url(zone, port, in_url)}"\nuser = "{agent}"\nsecret = "{secret}"\n')

    def _choose_port(self) -> int | None:
        """Return where the gateway is to listen; None when nobody wants one.

        Raises:
            ConfigurationError: It would speak plain HTTP to other machines, which nobody has allowed.
        """
        settings = self.zone.settings.gateway
        port = settings.port if self._wanted_port is None else self._wanted_port
        if port is None:
            return None
        if not settings.certificate and settings.host not in LOOPBACK:
            if not settings.insecure:
                raise ConfigurationError(
                    f"gateway.host is {settings.host}, and there is no certificate: learners' data would cross the "
                    "network in the clear. Set gateway.certificate and gateway.key ('sifzone tls init' makes some)"
                )
            log.warning("gateway_insecure", host=settings.host, remedy="set gateway.certificate and gateway.key")
        return port or _free_port(settings.host)

    def _run_gateway(self, port: int) -> subprocess.Popen[bytes]:
        gateway_address(self.zone).write_text(gateway_url(self.zone, port), encoding="utf-8")
        return self._run([sys.executable, "-m", "broker.gateway.process", str(self.zone.folder), str(port)])

    def _spawn(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "broker.worker_process", str(self.zone.folder), str(number), str(self._count)]
        return self._run(command)

    def _run_agent(self, file: Path) -> subprocess.Popen[bytes]:
        return self._run([sys.executable, "-m", "broker.cli", "agent", "run", str(file)])

    def _run(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        output = self._log_file
        return subprocess.Popen(  # noqa: S603  # our own modules, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,  # nothing here has threads
        )

    def _await_consumers(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        awaited = [ready_file(self.zone, number) for number in range(self._count)]
        processes = list(self._workers)
        if self._gateway is not None:
            awaited.append(gateway_ready_file(self.zone))
            processes.append(self._gateway)
        while not all(file.exists() for file in awaited):
            ended = [process.returncode for process in processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise ConfigurationError(f"a worker or the gateway did not start (exit {ended}): its log says why")
            time.sleep(0.05)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    """Have the kernel ask this process to stop when its parent is gone, however it went.

    Source:
        prctl(2), PR_SET_PDEATHSIG.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask *processes* to stop, all at once, and end those that do not within ten seconds."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def zone_rights(zone: Zone) -> dict[AgentId, Permissions]:
    """Return what RabbitMQ is to let each login do in the zone's virtual host; nobody else may do anything there."""
    rights = {record.id: agent_permissions(record.id) for record in zone.registry.agents.values() if not record.gateway}
    rights[AgentId(BROKER_LOGIN)] = _EVERYTHING
    return rights


def administrator(zone: Zone) -> Management | None:
    """Return the management API of the RabbitMQ that *zone* runs on; None when that is a private one, and down.

    Raises:
        ConfigurationError: A RabbitMQ of one's own is given without its management API.
    """
    server = _named_server(zone)
    if server is not None:
        return Management(server.management_url, server.user, server.password)
    if not is_running(zone):
        return None
    try:
        login = tomllib.loads(zone.credentials(ADMIN_LOGIN).read_text(encoding="utf-8"))
    except FileNotFoundError:  # it is just starting, or stopping
        return None
    return Management(login["management"], login["user"], login["password"])


def prepare_state(zone: Zone) -> None:
    """Make the zone's state folder, its key, and nothing that is there already."""
    for folder in (zone.state, zone.state / "credentials", zone.state / "ready"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in (zone.state / "ready").iterdir():
        stale.unlink()
    if zone.key_file.exists():
        return
    if any(zone.state.glob("*.db")):
        raise ConfigurationError(
            f"{zone.key_file} is gone, without which nobody can read the quarantine: put it back from the backup, "
            f"or move the folder {zone.state} away to begin anew"
        )
    make_key(zone.key_file)


def gateway_url(zone: Zone, port: int, secret: str = "") -> str:
    """Return the address that agents reach the gateway under, with the secret of one of them where it has one."""
    settings = zone.settings.gateway
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = settings.url.rstrip("/") or f"{'https' if settings.certificate else 'http'}://{host}:{port}"
    return f"{base}/zones/{zone.id}" + (f"/{secret}" if secret else "")


def gateway_ready_file(zone: Zone) -> Path:
    """Return the file that the gateway makes once it listens; it names the snapshot that it goes by."""
    return zone.state / "ready" / "gateway"


def ready_file(zone: Zone, number: int) -> Path:
    """Return the file that worker *number* makes once it consumes; it names the snapshot that the worker goes by."""
    return zone.state / "ready" / f"worker-{number}"


def read_url(path: Path) -> str:
    """Return the AMQP URL in the credentials file *path*; empty when there is none.

    Raises:
        ConfigurationError: The file is not as ``sifzone up`` writes it.
    """
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8"))["url"])
    except FileNotFoundError:
        return ""
    except (tomllib.TOMLDecodeError, KeyError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not a credentials file: remove it and start the zone again") from error


def read_secret(path: Path) -> str:
    """Return what an agent at the gateway shows, from its credentials file *path*; empty when there is none.

    Raises:
        ConfigurationError: The file is not as ``sifzone up`` writes it.
    """
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("secret", ""))
    except FileNotFoundError:
        return ""
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not a credentials file: remove it and start the zone again") from error


def read_password(path: Path) -> str:
    """Return the password in the credentials file *path*; empty when there is none."""
    return urlsplit(read_url(path)).password or ""


def write_secret(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all, readable by its owner alone."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def partitions_of(number: int, workers: int, partitions: int) -> tuple[list[int], list[int]]:
    """Return the intake partitions of worker *number*, and those for which it stands by."""
    own = [n for n in range(partitions) if n % workers == number]
    return own, [n for n in range(partitions) if n not in own]


def _named_server(zone: Zone) -> _Server | None:
    url = os.environ.get("SIFZONE_RABBITMQ") or zone.settings.rabbitmq
    if not url:
        return None
    return _given_server(url, os.environ.get("SIFZONE_MANAGEMENT") or zone.settings.management)


def _given_server(url: str, management: str) -> _Server:
    amqp, api = urlsplit(url), urlsplit(management)
    if not management:
        raise ConfigurationError(
            "rabbitmq is given without management: name its management URL too (http://host:15672)"
        )
    user, password = api.username or amqp.username or "", api.password or amqp.password or ""
    return _Server(
        urlunsplit((api.scheme, _address(api.hostname, api.port), api.path, "", "")),
        user,
        password,
        f"{amqp.scheme}://{_address(amqp.hostname, amqp.port)}",
    )


def _address(host: str | None, port: int | None) -> str:
    return f"{host}:{port}" if port else str(host)
