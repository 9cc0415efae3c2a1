"""Run a whole zone: RabbitMQ (ours or a given one), logins and rights, the workers; what they do is the worker's.

All that a running zone keeps is below its folder's ``state/`` (mode 700): key, database, the node's data, credentials.
"""

import ctypes
import os
import secrets
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import structlog

from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from broker.protocol.topology import BROKER_LOGIN, INTAKE, Permissions, agent_permissions, zone_topology
from broker.rabbitmq import Management, PrivateNode
from broker.settings import Zone
from broker.storage import make_key, open_store

log = structlog.get_logger(__name__)

_EVERYTHING: Final = Permissions(".*", ".*", ".*")
_READY_SECONDS: Final = 30.0
_RESTART_PAUSE: Final = 1.0
_QUEUE_SETTLES: Final = 1.5
"""Seconds until RabbitMQ itself writes down a new queue; killed before, 3.10 would lose it with what it holds."""
_PR_SET_PDEATHSIG: Final = 1


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
        zone: As loaded from its folder.
        workers: How many worker processes; each has its share of the intake partitions.
        agents: Whether to run the agents set up in the zone's folder ``agents/`` too, each in a process of its own.
        log_file: File descriptor for what workers and agents log; our own standard error when left out.
    """

    def __init__(self, zone: Zone, workers: int = 1, *, agents: bool = False, log_file: int | None = None) -> None:
        self.zone = zone
        self._log_file = log_file
        self._with_agents = agents
        self._agents: dict[Path, subprocess.Popen[bytes]] = {}
        self._count = min(workers, zone.settings.partitions)
        self.node: PrivateNode | None = None
        """The RabbitMQ of our own; None when another was named."""
        self._management: Management | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._restart_at = 0.0

    def start(self) -> None:
        """Start all; returns when the workers consume.

        Raises:
            ConfigurationError: The zone's settings cannot be used.
            ZoneError: RabbitMQ or the database cannot be reached.
        """
        prepare_state(self.zone)
        open_store(self.zone.database_url, self.zone.key_file).close()  # migrates before anybody needs it
        server = self._server()
        self._management = Management(server.management_url, server.user, server.password)
        self._management.check_server()
        self._management.ensure_vhost(self.zone.id)
        self._check_partitions(self._management)
        rights = {agent: agent_permissions(agent) for agent in self.zone.registry.agents}
        rights[AgentId(BROKER_LOGIN)] = _EVERYTHING
        passwords = {login: self._credentials(login, server) for login in rights}
        self._management.apply_rights(self.zone.id, {login: (passwords[login], rights[login]) for login in rights})
        for number in range(self._count):
            self._workers.append(self._spawn(number))
        self._await_consumers()
        self._settle_queues()
        if self._with_agents:
            for file in sorted((self.zone.folder / "agents").glob("*.toml")):
                self._agents[file] = self._run_agent(file)
        log.info("zone_running", zone=self.zone.id, workers=self._count)

    def check(self) -> None:
        """Start again, after a pause, workers that ended; call it every second or so."""
        if time.monotonic() < self._restart_at:
            return
        for number, process in enumerate(self._workers):
            code = process.poll()
            if code is not None:
                log.error("worker_ended", number=number, code=code)
                self._workers[number] = self._spawn(number)
                self._restart_at = time.monotonic() + _RESTART_PAUSE
        for file, process in self._agents.items():
            if process.poll() is not None:
                log.error("agent_ended", agent=file.stem, code=process.returncode)
                self._agents[file] = self._run_agent(file)
                self._restart_at = time.monotonic() + _RESTART_PAUSE

    def queues(self) -> dict[str, tuple[int, int]]:
        """Return each queue's messages and consumers, as RabbitMQ last counted them."""
        return self._management.queues(self.zone.id) if self._management is not None else {}

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers, by number."""
        return tuple(process.pid for process in self._workers)

    def stop(self) -> None:
        """Stop the agents, the workers, then the node when it is ours; safe to call twice."""
        _end(list(self._agents.values()))
        self._agents.clear()
        _end(self._workers)
        self._workers.clear()
        if self._management is not None:
            self._management.close()
            self._management = None
        if self.node is not None:
            self.node.stop()
            self.node = None

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
        url = os.environ.get("SIFZONE_RABBITMQ") or self.zone.settings.rabbitmq
        if url:
            management = os.environ.get("SIFZONE_MANAGEMENT") or self.zone.settings.management
            return _given_server(url, management)
        self.node = PrivateNode(self.zone.state / "rabbitmq")
        self.node.start()
        node = self.node
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
        while not all(ready_file(self.zone, number).exists() for number in range(self._count)):
            ended = [process.returncode for process in self._workers if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise ConfigurationError(f"a worker did not start (exit code {ended}): its log says why")
            time.sleep(0.05)


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


def ready_file(zone: Zone, number: int) -> Path:
    """Return the file that worker *number* makes once it consumes."""
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
