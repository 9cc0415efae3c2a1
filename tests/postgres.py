"""A private PostgreSQL for tests: own folder, own socket, no TCP port, stopped after; knows nothing of the zone."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString
from urllib.parse import quote
from uuid import uuid4

import psycopg

_SETTINGS: Final = {
    "listen_addresses": "",  # the socket in our own folder is the only way in
    "fsync": "off",  # a test's data need not outlive the machine's power
    "shared_buffers": "32MB",
    "max_connections": "40",
}


class Postgres:
    """A running cluster; each database made in it belongs to one test."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder

    def create(self) -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        name = f"test_{uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={quote(str(self._folder), safe='')}"

    def drop(self, url: str) -> None:
        """Remove the database of *url*, ending whoever is still connected to it."""
        name = url.rpartition("@/")[2].partition("?")[0]
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server at once; connections break as when it crashes."""
        self._run("pg_ctl", "--pgdata", str(self._data), "--mode", "immediate", "--wait", "stop")

    def start(self) -> None:
        """Start the server and wait until it answers; the first time, make its data folder."""
        if not self._data.exists():
            self._run("initdb", "--pgdata", str(self._data), "--username", "postgres", "--auth", "trust", "--no-sync")
            lines = [f"{name} = '{value}'\n" for name, value in _SETTINGS.items()]
            lines.append(f"unix_socket_directories = '{self._folder}'\n")
            with (self._data / "postgresql.auto.conf").open("a") as file:
                file.writelines(lines)
        self._run("pg_ctl", "--pgdata", str(self._data), "--log", str(self._folder / "log"), "--wait", "start")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _execute(self, statement: LiteralString) -> None:
        with psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_postgres(), str(self._binaries / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr or done.stdout}")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a cluster from the installed PostgreSQL, and stop and remove it at the end.

    Raises:
        RuntimeError: PostgreSQL is not installed, or does not start; the text says how to install it.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: a socket's path holds 107 bytes
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        cluster = Postgres(_binaries(), folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """Return the folder of the newest installed server's programs."""
    found: Sequence[Path] = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name)
    )
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise RuntimeError("PostgreSQL is not installed: run `apt-get install postgresql` and start the tests again")
    return (found[-1] if found else Path(str(on_path))).parent


def _as_postgres() -> list[str]:
    """Return what to put before a command: the server refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
