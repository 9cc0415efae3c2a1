"""A zone of its own for one agent that is tried: in a temporary folder, as a process, gone afterwards.

It is the real zone with its own RabbitMQ, started as people start it (``sifzone up``). Who listens in it is
``listening``'s; what is sent is the agent's.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from agents.writing import PRIVATE, write_text
from agents.zone_files import Agreement, ZoneAgent, toml_text
from broker.protocol.errors import ConfigurationError
from broker.protocol.topology import BROKER_LOGIN

RABBITMQ_VARIABLE: Final = "SIFZONE_TRIAL_RABBITMQ"
MANAGEMENT_VARIABLE: Final = "SIFZONE_TRIAL_MANAGEMENT"
_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0
_LOOK: Final = 0.05
_API_SECONDS: Final = 10.0
_COMMAND_SECONDS: Final = 60.0
_MAX_LOG: Final = 64 << 20
_OURS: Final = "SIFZONE_"
"""How the settings begin that the environment may hold for another zone; none of them reaches this one."""
_PR_SET_PDEATHSIG: Final = 1
_ID: Final = "trial-"
_PLACE: Final = "sifzone-trial-"
_GUARD: Final = """
import os, shutil, sys, time
place, zone = sys.argv[1:]
sys.stdin.buffer.read()
until = time.monotonic() + 60
while os.path.exists("/proc/" + zone) and time.monotonic() < until:
    time.sleep(0.05)
for _ in range(5):
    shutil.rmtree(place, ignore_errors=True)
    time.sleep(0.2)
"""
"""Waits for its standard input to end and then for the zone, and takes the folder away, also from who still writes."""
_KEPT: Final = "sifzone-kept-"
_ADMIN: Final = "zone.admin.toml"
_SHIELDED: Final = "shielded = true\n"


class NoPrivateZone(ConfigurationError):
    """A zone to try an agent in could not be started."""


@dataclass(frozen=True, slots=True)
class Server:
    """A RabbitMQ to use instead of starting one: a test server, never one that a zone works on.

    Attributes:
        rabbitmq: ``amqp://ADMIN:PASSWORD@HOST:PORT``.
        management: Its management API, ``http://HOST:15672``.
    """

    rabbitmq: str
    management: str

    def toml(self) -> str:
        """Return its lines in zone.toml."""
        return f"rabbitmq = {toml_text(self.rabbitmq)}\nmanagement = {toml_text(self.management)}\n"


class PrivateZone:
    """A running zone; use it as a context manager. All it keeps is in a folder of its own, mode 700.

    Args:
        agents: Who is set up in it.
        agreements: What is shared in it; learners under a shield are covered, too, for they are made up.
        server: A RabbitMQ to use; a private one is started when left out.
        keep: Leave the folder when it ends.
    """

    def __init__(
        self,
        agents: Sequence[ZoneAgent],
        agreements: Sequence[Agreement],
        *,
        server: Server | None = None,
        keep: bool = False,
    ) -> None:
        self._agents, self._agreements, self._server, self._keep = agents, agreements, server, keep
        self.id = f"{_ID}{uuid4().hex[:8]}"
        self.place = Path()
        """Folder for whatever belongs to the trial; the zone's own is in it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}

    @property
    def folder(self) -> Path:
        """The zone's folder."""
        return self.place / "zone"

    @property
    def log_file(self) -> Path:
        """What the zone's processes have logged."""
        return self.place / "zone.log"

    def __enter__(self) -> Self:
        """Start the zone; returns when it takes messages.

        Raises:
            NoPrivateZone: It does not start, or a zone works on the RabbitMQ that is named; says why and what to do.
        """
        self._check_server()
        sweep(Path(tempfile.gettempdir()))
        self.place = Path(tempfile.mkdtemp(prefix=_KEPT if self._keep else f"{_PLACE}{os.getpid()}-"))
        self._before = _take_signals()
        try:
            self._write()
            self._start()
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def url(self, agent: str) -> str:
        """Return the address, with its login, of an agent."""
        file = self.folder / "state" / "credentials" / f"{agent}.toml"
        return str(tomllib.loads(file.read_text(encoding="utf-8"))["url"])

    def log(self) -> str:
        """Return what the zone's processes have logged, at most the last 64 MB."""
        with self.log_file.open("rb") as file:
            file.seek(max(0, self.log_file.stat().st_size - _MAX_LOG))
            return file.read().decode("utf-8", "replace")

    def ledger(self, limit: int) -> str:
        """Return the latest entries of the zone's ledger as ``sifzone ledger`` prints it."""
        return self._command("ledger", "--limit", str(limit))

    def queues(self) -> tuple[str, ...]:
        """Return the names of all queues."""
        address, login = self._api()
        with httpx.Client(base_url=address, auth=login, timeout=_API_SECONDS, trust_env=False) as api:
            answer = api.get(f"/api/queues/{quote(self.id, safe='')}")
        return tuple(str(queue["name"]) for queue in answer.json()) if answer.is_success else ()

    def _check_server(self) -> None:
        """Return when no zone works on the RabbitMQ that is named: logins are for all of it, and get new passwords.

        Raises:
            NoPrivateZone: One does.
        """
        if self._server is None:
            return
        address, login = self._api()
        try:
            with httpx.Client(base_url=address, auth=login, timeout=_API_SECONDS, trust_env=False) as api:
                rights = api.get("/api/permissions").raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return  # what is wrong with it is said when the zone starts
        ours = {BROKER_LOGIN, *(agent.id for agent in self._agents)}
        theirs = {str(right["vhost"]) for right in rights if right["user"] in ours}
        if zones := sorted(zone for zone in theirs if not zone.startswith(_ID)):
            raise NoPrivateZone(
                f"a zone works on this RabbitMQ ({', '.join(zones)[:200]}), whose logins would get other passwords: "
                "name one for tests, or leave out --rabbitmq and --management: one is started then"
            )

    def _write(self) -> None:
        (self.folder / "agreements").mkdir(mode=0o700, parents=True)
        head = [f"id = {toml_text(self.id)}\npartitions = 1\n", self._server.toml() if self._server else ""]
        text = "\n".join([*head, *(agent.toml() for agent in self._agents)])
        write_text(self.folder / "zone.toml", text, PRIVATE)
        for agreement in self._agreements:
            said, objects, shares = agreement.toml().partition("\n[objects.")
            write_text(
                self.folder / "agreements" / f"{agreement.id}.toml", f"{said}{_SHIELDED}{objects}{shares}", PRIVATE
            )

    def _start(self) -> None:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                [sys.executable, "-m", "broker.cli", "up", "--zone", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,  # so that Ctrl-C reaches us, who then end it in order
                preexec_fn=end_with_parent,  # and it ends when we are killed; nothing here has threads yet
            )
        self._guard = None if self._keep else start_guard(self.place, self._process.pid)

    def _wait(self) -> None:
        process = self._process
        deadline = time.monotonic() + _READY_SECONDS
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            if f"Zone {self.id} is up" in self.log():
                return
            time.sleep(_LOOK)
        raise NoPrivateZone(why_not_started(self.log()))

    def _end(self) -> None:
        """Stop the zone and take its folder away, also when somebody presses Ctrl-C again."""
        process, self._process = self._process, None
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)
        try:
            if process is not None:
                _stop(process)
            self._remove_vhost()
            if not self._keep:
                shutil.rmtree(self.place, ignore_errors=True)
            self._dismiss()
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before = {}

    def _dismiss(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.communicate()

    def _remove_vhost(self) -> None:
        """Take what the zone made on somebody else's RabbitMQ away: its virtual host and logins."""
        if self._server is None:
            return
        address, login = self._api()
        logins = [agent.id for agent in self._agents]
        try:
            with httpx.Client(base_url=address, auth=login, timeout=_API_SECONDS, trust_env=False) as api:
                api.delete(f"/api/vhosts/{quote(self.id, safe='')}")
                for each in logins:
                    if api.get(f"/api/users/{quote(each, safe='')}/permissions").json() == []:
                        api.delete(f"/api/users/{quote(each, safe='')}")
        except (httpx.HTTPError, ValueError):
            return  # it is gone, or refuses: nothing of ours depends on it

    def _api(self) -> tuple[str, tuple[str, str]]:
        """Return address and login of the management API."""
        if self._server is not None:
            api, amqp = urlsplit(self._server.management), urlsplit(self._server.rabbitmq)
            port = f":{api.port}" if api.port else ""
            user, password = api.username or amqp.username or "", api.password or amqp.password or ""
            return f"{api.scheme}://{api.hostname}{port}", (user, password)
        file = self.folder / "state" / "credentials" / _ADMIN
        login = tomllib.loads(file.read_text(encoding="utf-8"))
        return str(login["management"]), (str(login["user"]), str(login["password"]))

    def _command(self, *words: str) -> str:
        done = subprocess.run(  # noqa: S603  # our own command, no shell
            [sys.executable, "-m", "broker.cli", *words, "--zone", str(self.folder)],
            capture_output=True,
            text=True,
            errors="replace",
            env={**environment(), "COLUMNS": "400"},
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        return done.stdout + done.stderr


def environment() -> Mapping[str, str]:
    """Return the environment for a process of the trial: without settings that are for another zone."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def given_server(rabbitmq: str, management: str) -> Server | None:
    """Return the RabbitMQ that somebody has named; None when nobody has.

    Raises:
        ConfigurationError: Only one of the two addresses is given, or one is no address.
    """
    if not rabbitmq and not management:
        return None
    schemes = (urlsplit(rabbitmq).scheme, urlsplit(management).scheme)
    if schemes[0] not in ("amqp", "amqps") or schemes[1] not in ("http", "https"):
        raise ConfigurationError(
            "name both addresses of a RabbitMQ for tests: --rabbitmq amqp://ADMIN:PASSWORD@HOST:PORT "
            "--management http://HOST:15672"
        )
    return Server(rabbitmq, management)


def start_guard(place: Path, zone: int) -> subprocess.Popen[bytes]:
    """Start what takes a trial's folder away when this process is killed, and cannot: there may be personal data in it.

    Its standard input ends with this process, which alone holds the other end.
    """
    return subprocess.Popen(  # noqa: S603  # our own few lines, no shell
        [sys.executable, "-I", "-S", "-c", _GUARD, str(place), str(zone)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end_with_parent() -> None:
    """Have the kernel ask this process to stop when its parent is gone, however it went.

    Source:
        prctl(2), PR_SET_PDEATHSIG.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its own session: the zone, its workers, its RabbitMQ
        process.wait()


def _take_signals() -> dict[int, Any]:
    """Let SIGTERM end things in order, as Ctrl-C does; return what it and Ctrl-C did before, for the end.

    Nothing is changed outside of the main thread, which alone may.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return before


def sweep(folder: Path) -> None:
    """Remove what trials have left in a folder that were killed: there may be personal data in it."""
    for place in folder.glob(f"{_PLACE}*"):
        owner = place.name.removeprefix(_PLACE).partition("-")[0]
        ours = not place.is_symlink() and place.is_dir() and place.stat().st_uid == os.getuid()
        if ours and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(place, ignore_errors=True)


def why_not_started(log: str) -> str:
    """Return why the zone did not start, in one sentence; the log itself goes with the folder."""
    lines = list(_plain_lines(log))
    if any("is not installed" in line for line in lines):
        return (
            "RabbitMQ is not installed here: install it (as root: apt-get install rabbitmq-server), or run one in a "
            "container and name it: --rabbitmq amqp://ADMIN:PASSWORD@HOST:PORT --management http://HOST:15672"
        )
    last = lines[-1] if lines else "it logged nothing"
    return f"the private zone did not start: {last[:500]}"


def _plain_lines(log: str) -> Iterator[str]:
    for line in log.splitlines():
        text = line.strip()
        if text and not text.startswith("{"):
            yield text.removeprefix("sifzone:").strip()


__all__ = [
    "MANAGEMENT_VARIABLE",
    "RABBITMQ_VARIABLE",
    "NoPrivateZone",
    "PrivateZone",
    "Server",
    "end_with_parent",
    "environment",
    "given_server",
    "start_guard",
    "sweep",
    "why_not_started",
]
