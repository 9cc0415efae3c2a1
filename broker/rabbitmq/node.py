"""A private RabbitMQ node: own folder, loopback only, ends with this process; logins and rights are management.py's.

The folder holds everything: data, log, configuration, the Erlang cookie, the administrator's password and the ports.
A node started again in the same folder is the same node, with its queues, and at the same ports where they are free.
"""

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import httpx
import structlog

from broker.rabbitmq import keeper
from broker.rabbitmq.errors import NodeError, RabbitMQMissing

MAX_MESSAGE_SIZE: Final = 64 * 1024 * 1024
"""Bytes of the largest message, set outright: RabbitMQ 3.x takes 128 MiB and 4.x 16 MiB unless told."""

STATISTICS_INTERVAL: Final = 1000
"""Milliseconds between two counts of what queues hold; RabbitMQ's five seconds are too long for who looks on."""

PLUGINS: Final = ("rabbitmq_management",)
NODE_NAME: Final = "sifzone@localhost"
"""Part of the data's path, hence the same for ever; nodes do not meet, since each has a port mapper of its own."""

log = structlog.get_logger(__name__)

_ELECT: Final = (
    "length([catch ra:trigger_election(amqqueue:get_pid(Q)) || Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q),"
    " ra_leaderboard:lookup_leader(element(1, amqqueue:get_pid(Q))) =:= undefined])."
)
"""Erlang: call an election for each quorum queue that has no leader, and say how many those were."""
_SYNC: Final = "dets:sync(ra_directory_reverse)."
"""Erlang: write out the table that says which log is which queue's."""
_KEEPER: Final = Path(keeper.__file__)
_SYSTEM_FOLDERS: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOCK_TIMEOUT: Final = keeper.GRACE + 8.0
"""Seconds for the last node of this folder to end, when its owner has just died."""
_PACKAGED: Final = Path("/usr/lib/rabbitmq/bin")
_PORT_RANGE: Final = range(20_000, 32_000)
"""Below what Linux hands out to connections that leave: a client that tries again and again to reach a node that is
down would in the end be given the node's own port and be connected to itself."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The node's four TCP ports, all on 127.0.0.1."""

    amqp: int
    management: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a folder's node the same one each time; kept in ``node.json``, readable by its owner alone."""

    admin_user: str
    admin_password: str
    cookie: str
    ports: Ports


class PrivateNode:
    """A RabbitMQ server of this process's own, from the server installed on this machine.

    Args:
        folder: Where the node lives; made, with mode 700, when it is not there.
        scripts: Folder of ``rabbitmq-server`` and ``rabbitmqctl``; found by itself when left out.
        start_timeout: Seconds until a node that is not ready counts as failed.

    Use it as a context manager, or call start() and stop(). It stops by itself when this process ends, even by kill -9.
    """

    def __init__(self, folder: Path, *, scripts: Path | None = None, start_timeout: float = 60.0) -> None:
        self.folder = folder.resolve()
        self.start_timeout = start_timeout
        self._scripts = scripts
        self._keeper: subprocess.Popen[bytes] | None = None
        self._identity = _make_folder(self.folder)

    @property
    def admin_user(self) -> str:
        """The administrator's login; there is no guest."""
        return self._identity.admin_user

    @property
    def admin_password(self) -> str:
        """The administrator's password, made at random with the folder."""
        return self._identity.admin_password

    @property
    def ports(self) -> Ports:
        """The ports; another node's start may move them only while this one is stopped."""
        return self._identity.ports

    @property
    def management_url(self) -> str:
        """The management HTTP API, without credentials."""
        return f"http://127.0.0.1:{self.ports.management}"

    @property
    def log_path(self) -> Path:
        """RabbitMQ's own log; a node that does not start says here why."""
        return self.folder / "log" / "node.log"

    @property
    def running(self) -> bool:
        """Whether the node's processes are there; it may still be starting."""
        return self._keeper is not None and self._keeper.poll() is None

    def amqp_url(self, vhost: str, user: str | None = None, password: str | None = None) -> str:
        """Return the URL of *vhost* with *user*'s credentials in it, the administrator's when left out."""
        login = self.admin_user if user is None else user
        secret = self.admin_password if password is None else password
        who = f"{quote(login, safe='')}:{quote(secret, safe='')}"
        return f"amqp://{who}@127.0.0.1:{self.ports.amqp}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start the node; returns when it accepts AMQP connections and its management API answers. No-op when running.

        Raises:
            RabbitMQMissing: No server is installed.
            NodeError: Another process runs the node of this folder, or it was not ready in time.
        """
        if self.running:
            return
        began = time.monotonic()
        had_data = any((self.folder / "data").iterdir())
        scripts = self._scripts or find_scripts()
        erlang = find_erlang()
        lock = self._lock()
        try:
            if not all(map(_free, astuple(self.ports))):
                self._identity = replace(self._identity, ports=_free_ports())
                _write(self.folder / "node.json", json.dumps(asdict(self._identity)))
            self._configure()
            self._keeper = self._spawn(scripts, erlang, lock)
        finally:
            os.close(lock)
        try:
            self._await_ready(began + self.start_timeout)
            if had_data:
                self._await_leaders(began + self.start_timeout)
        except BaseException:
            self.kill()
            raise
        log.info("node_started", amqp_port=self.ports.amqp, seconds=round(time.monotonic() - began, 1))

    def stop(self) -> None:
        """Stop the node in good order; returns when none of its processes is left. No-op when it is not running."""
        try:
            if self.running:
                self.sync()
        except NodeError:
            self._end(signal.SIGTERM)
        else:
            self._end(signal.SIGUSR1)

    def kill(self) -> None:
        """End the node at once, as a power cut would; returns when none of its processes is left."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the node and start it again at the same ports, with its queues and what they hold."""
        self.stop()
        self.start()

    def sync(self) -> None:
        """Have on disk which queues there are, as after declaring new ones.

        RabbitMQ (3.10 at least) confirms a new queue, and messages to it, up to a second before it has written down
        which log is the queue's. Killed in that second it finds the log no more, and the queue begins anew, empty.

        Raises:
            NodeError: The node does not answer.
        """
        self.ctl("eval", _SYNC)

    def ctl(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` on this node and return what it prints (Management is ten times quicker).

        Raises:
            NodeError: It failed; the text is rabbitmqctl's own.
        """
        scripts = self._scripts or find_scripts()
        done = subprocess.run(  # noqa: S603  # a fixed program, no shell reads the arguments
            [str(scripts / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment(find_erlang()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise NodeError(f"rabbitmqctl {arguments[0] if arguments else ''} failed: {done.stderr.strip()}")
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _lock(self) -> int:
        """Return the folder's lock as an open file; whoever inherits it holds it, so it is free when all have ended."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + min(_LOCK_TIMEOUT, self.start_timeout)
        while True:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise NodeError(
                        f"another process runs the RabbitMQ node in {self.folder}: stop it, or use another folder"
                    ) from None
                time.sleep(0.02)
            else:
                return lock

    def _configure(self) -> None:
        ports = self.ports
        # Erlang terms: a start reads them in no time, and takes half a second to make such of a rabbitmq.conf.
        rabbit: dict[str, str | int] = {
            "tcp_listeners": f'[{{"127.0.0.1", {ports.amqp}}}]',
            "max_message_size": MAX_MESSAGE_SIZE,
            "collect_statistics_interval": STATISTICS_INTERVAL,
            "quorum_tick_interval": STATISTICS_INTERVAL,
            "default_user": f'<<"{self.admin_user}">>',
            "default_pass": f'<<"{self.admin_password}">>',
        }
        management: dict[str, str | int] = {"tcp_config": f'[{{ip, "127.0.0.1"}}, {{port, {ports.management}}}]'}
        (self.folder / "rabbitmq.conf").unlink(missing_ok=True)  # older versions of ours wrote one
        _write(
            self.folder / "advanced.config",
            f"[{{rabbit, {_terms(rabbit)}}},\n {{rabbitmq_management, {_terms(management)}}}].\n",
        )
        _write(self.folder / "enabled_plugins", f"[{','.join(PLUGINS)}].\n")
        _write(self.folder / ".erlang.cookie", self._identity.cookie)

    def _spawn(self, scripts: Path, erlang: Path, lock: int) -> subprocess.Popen[bytes]:
        epmd = [str(erlang / "epmd"), "-address", "127.0.0.1", "-port", str(self.ports.epmd)]
        server = [str(scripts / "rabbitmq-server")]
        output = str(self.folder / "log" / "output.log")
        return subprocess.Popen(  # noqa: S603  # our own script, no shell
            [sys.executable, "-I", "-S", str(_KEEPER), str(os.getpid()), output, str(lock), *epmd, "--", *server],
            env=self._environment(erlang),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C in a terminal is for us: the node ends when we say so
        )

    def _environment(self, erlang: Path) -> dict[str, str]:
        """Return this process's environment without what would lead RabbitMQ or Erlang elsewhere."""
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("RABBITMQ_", "ERL_")) and key != "NOTIFY_SOCKET"
        }
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return inherited | {
            "HOME": str(self.folder),
            "PATH": f"{erlang}:{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}",
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": str(self.log_path),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} -noinput",
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            # The server's shell script becomes the server instead of waiting for it, so that signals reach it.
            "RABBITMQ_ALLOW_INPUT": "1",
        }

    def _await_ready(self, deadline: float) -> None:
        while not self._ready():
            if not self.running:
                raise NodeError(f"RabbitMQ ended while it was starting: see {self.log_path} and output.log beside it")
            if time.monotonic() > deadline:
                raise NodeError(f"RabbitMQ was not ready in {self.start_timeout:.0f} s: see {self.log_path}")
            time.sleep(0.05)

    def _await_leaders(self, deadline: float) -> None:
        """See that each quorum queue has its leader.

        A queue killed within a second of its making (see sync) begins anew with an empty log, and RabbitMQ lets new
        queues wait for ever until somebody calls their election: meanwhile they take and confirm nothing.
        """
        while leaderless := int(self.ctl("eval", _ELECT)):
            log.info("elections_called", queues=leaderless)
            if time.monotonic() > deadline:
                raise NodeError(
                    f"{leaderless} quorum queue(s) found no leader ({self.log_path} says why): a node's folder works "
                    f"only where it was made; put {self.folder} back there, or move it away to begin with empty queues"
                )
            time.sleep(0.1)

    def _ready(self) -> bool:
        """Ask the management API, which starts before it, whether RabbitMQ listens for AMQP."""
        try:
            answer = httpx.get(
                f"{self.management_url}/api/health/checks/port-listener/{self.ports.amqp}",
                auth=(self.admin_user, self.admin_password),
                trust_env=False,
                timeout=5,
            )
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def _end(self, number: signal.Signals) -> None:
        if self._keeper is None:
            return
        self._keeper.send_signal(number)
        self._keeper.wait()
        self._keeper = None
        os.close(self._lock())  # free only when the last of its processes is gone
        log.info("node_ended", signal=number.name)


def find_scripts(path: str | None = None, packaged: Path = _PACKAGED) -> Path:
    """Return the folder of the installed server's own scripts: the first on *path*, else where packages put them.

    Debian's ``rabbitmq-server`` on PATH is a wrapper that serves the system's node alone; the real scripts have
    ``rabbitmq-env`` beside them.

    Args:
        path: Folders to search, as in PATH, which it is when left out.
        packaged: Where the packages of Debian, Fedora and RabbitMQ itself put the scripts.

    Raises:
        RabbitMQMissing: No server is installed.
    """
    found = shutil.which("rabbitmq-server", path=path)
    folders = (Path(found).resolve().parent, packaged) if found else (packaged,)
    for folder in folders:
        if all((folder / name).is_file() for name in ("rabbitmq-env", "rabbitmq-server", "rabbitmqctl")):
            return folder
    raise RabbitMQMissing("RabbitMQ")


def find_erlang() -> Path:
    """Return the folder that holds both ``erl`` and ``epmd``.

    Raises:
        RabbitMQMissing: Erlang is not installed.
    """
    found = shutil.which("erl", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}")
    if found is None:
        raise RabbitMQMissing("Erlang")
    for folder in (Path(found).parent, Path(found).resolve().parent):
        if (folder / "epmd").is_file():
            return folder
    raise RabbitMQMissing("Erlang's epmd")


def _terms(settings: Mapping[str, str | int]) -> str:
    """Return Erlang's list of *settings*, whose values are Erlang already."""
    return "[" + ",\n  ".join(f"{{{key}, {value}}}" for key, value in settings.items()) + "]"


def _make_folder(folder: Path) -> Identity:
    """Make *folder* a node's, or read whose it is already."""
    for part in (folder, folder / "log", folder / "data"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = folder / "node.json"
    if known.exists():
        return _read_identity(known)
    identity = Identity("zone.admin", secrets.token_urlsafe(24), secrets.token_hex(16), _free_ports())
    _write(known, json.dumps(asdict(identity)))
    return identity


def _read_identity(path: Path) -> Identity:
    try:
        values = json.loads(path.read_text())
        return Identity(
            str(values["admin_user"]),
            str(values["admin_password"]),
            str(values["cookie"]),
            Ports(**{str(name): int(port) for name, port in values["ports"].items()}),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NodeError(
            f"{path} is not what was written there: restore it, or remove its folder, and with it the node's queues"
        ) from error


def _write(path: Path, text: str) -> None:
    """Put *text* in place of *path* as a whole, readable by the owner alone."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _free_ports() -> Ports:
    """Return four different ports that nothing listens at now."""
    free: list[int] = []
    for port in random.sample(_PORT_RANGE, k=400):
        if _free(port):
            free.append(port)
        if len(free) == len(Ports.__slots__):
            return Ports(*free)
    raise NodeError(
        f"no free ports on 127.0.0.1 between {_PORT_RANGE.start} and {_PORT_RANGE.stop}: close some programs"
    )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
