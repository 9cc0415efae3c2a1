"""Files of another machine over SFTP: whole, from the machine that is known, and nothing that could do harm."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import ValidationError

from agents.connectors.contract import Checked, Fetcher, SourceError
from agents.fetchers.sftp import SftpFetcher, SftpOptions
from broker.protocol.errors import ConfigurationError

AT = 1_790_000_000


@dataclass
class Machine:
    """A real SSH server on loopback; what it serves and how it behaves may be changed at any time."""

    folder: Path
    host_key: asyncssh.SSHKey
    user_key: asyncssh.SSHKey
    port: int = 0
    extra_names: list[str] = field(default_factory=list)
    on_open: Callable[[], None] = lambda: None
    reads: list[str] = field(default_factory=list)

    def put(self, name: str, content: bytes = b"UPN\n", at: int = AT) -> None:
        (self.folder / name).write_bytes(content)
        os.utime(self.folder / name, (at, at))


class _Login(asyncssh.SSHServer):
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def password_auth_supported(self) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("mis", "tin whistle")

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "mis" and key == self._machine.user_key.convert_to_public()


class _Files(asyncssh.SFTPServer):
    def __init__(self, machine: Machine, channel: Any) -> None:
        self._machine = machine
        super().__init__(channel, chroot=os.fsencode(machine.folder.parent))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        async for entry in super().scandir(path):
            yield entry
        for name in self._machine.extra_names:
            attributes = asyncssh.SFTPAttrs(permissions=0o100600, size=4, uid=0, gid=0, atime=AT, mtime=AT)
            yield asyncssh.SFTPName(name.encode(), b"", attributes)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        self._machine.reads.append(os.fsdecode(path))
        self._machine.on_open()
        return super().open(path, pflags, attrs)


@contextmanager
def running(machine: Machine) -> Iterator[None]:
    """Serve from a thread until the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncssh.listen(
        "127.0.0.1",
        0,
        config=None,
        server_factory=lambda: _Login(machine),
        server_host_keys=[machine.host_key],
        sftp_factory=lambda channel: _Files(machine, channel),
        allow_scp=False,
    )
    server = asyncio.run_coroutine_threadsafe(_call(listening), loop).result(10)
    machine.port = server.get_port()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _call(awaitable: Any) -> asyncssh.SSHAcceptor:
    made: asyncssh.SSHAcceptor = await awaitable
    return made


async def _stop(server: asyncssh.SSHAcceptor) -> None:
    server.close()
    await server.wait_closed()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture(scope="module")
def keys() -> tuple[asyncssh.SSHKey, asyncssh.SSHKey]:
    return asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def machine(tmp_path: Path, keys: tuple[asyncssh.SSHKey, asyncssh.SSHKey]) -> Iterator[Machine]:
    """A machine with exports/, for the login mis with a password or a key."""
    there = tmp_path / "there"
    (there / "exports").mkdir(parents=True)
    made = Machine(there / "exports", *keys)
    with running(made):
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def fetcher(machine: Machine, folder: Path, url: str = "", **options: Any) -> SftpFetcher:
    values = {
        "fingerprint": machine.host_key.get_fingerprint(),
        "password": "env:MIS_PASSWORD",
        "settle": "0s",
        **options,
    }
    left_out = {name: value for name, value in values.items() if value is not None}
    made = SftpOptions.model_validate(left_out, context={"folder": folder})
    return SftpFetcher(url or f"sftp://mis@127.0.0.1:{machine.port}/exports/*.csv", made)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIS_PASSWORD", "tin whistle")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_and_changed_files_come_with_their_times_and_the_others_are_not_touched(
    machine: Machine, here: Path
) -> None:
    machine.put("a.csv", b"A" * 5_000_000)
    machine.put("b.csv")
    machine.put("notes.txt")
    source = fetcher(machine, here)
    source.fetch(here)
    assert names(here) == ["a.csv", "b.csv"]
    assert (here / "a.csv").read_bytes() == b"A" * 5_000_000
    assert {int(path.stat().st_mtime) for path in here.iterdir()} == {AT}
    assert {path.stat().st_mode & 0o777 for path in here.iterdir()} == {0o600}
    before = (here / "a.csv").stat().st_ino

    machine.reads.clear()
    machine.put("b.csv", b"UPX\n", AT + 1)
    source.fetch(here)

    assert machine.reads == ["/exports/b.csv"]
    assert (here / "b.csv").read_bytes() == b"UPX\n"
    assert (here / "a.csv").stat().st_ino == before


def test_files_that_are_gone_there_go_here_and_stay_when_there_is_no_listing(machine: Machine, here: Path) -> None:
    machine.put("a.csv")
    machine.put("b.csv")
    source = fetcher(machine, here)
    source.fetch(here)
    (here / ".part-left").write_bytes(b"of a crash")

    (machine.folder / "a.csv").unlink()
    source.fetch(here)
    assert names(here) == ["b.csv"]

    machine.folder.rename(machine.folder.with_name("moved"))
    with pytest.raises(SourceError, match="no such folder"):
        source.fetch(here)
    assert names(here) == ["b.csv"]


@pytest.mark.parametrize(
    "name", ["../a.csv", "/etc/a.csv", "x/a.csv", "..\\a.csv", ".a.csv", "a\n.csv", "a\u202e.csv", "é" * 120 + ".csv"]
)
def test_names_that_could_lead_elsewhere_are_left_alone(machine: Machine, here: Path, name: str) -> None:
    machine.put("good.csv")
    machine.extra_names = [name]

    fetcher(machine, here).fetch(here)

    assert names(here) == ["good.csv"]
    assert machine.reads == ["/exports/good.csv"]
    assert names(here.parent) == ["here", "there"]


def test_links_folders_and_devices_are_left_alone(machine: Machine, here: Path) -> None:
    secret = machine.folder.parent / "secret"
    secret.write_bytes(b"secret")
    (machine.folder / "link.csv").symlink_to(secret)
    (machine.folder / "folder.csv").mkdir()
    os.mkfifo(machine.folder / "pipe.csv")

    fetcher(machine, here).fetch(here)

    assert names(here) == []
    assert machine.reads == []


def test_a_file_that_changes_while_it_is_taken_is_left_for_the_next_time(machine: Machine, here: Path) -> None:
    machine.put("a.csv", b"half")
    machine.on_open = lambda: machine.put("a.csv", b"half and half", AT + 9)
    source = fetcher(machine, here)

    source.fetch(here)
    assert names(here) == []

    machine.on_open = lambda: None
    source.fetch(here)
    assert (here / "a.csv").read_bytes() == b"half and half"


def test_a_file_that_still_grows_between_two_looks_is_left_for_the_next_time(
    machine: Machine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put("a.csv")
    machine.put("b.csv")
    wait = asyncio.sleep

    async def grow(_seconds: float) -> None:
        machine.put("b.csv", b"UPN\nmore\n", AT + 1)
        await wait(0)

    monkeypatch.setattr(asyncio, "sleep", grow)
    fetcher(machine, here, settle="2s").fetch(here)

    assert names(here) == ["a.csv"]


@pytest.mark.parametrize("limit", [{"max_bytes": 10}, {"max_total": 10}, {"max_files": 1}])
def test_what_is_too_much_is_refused_and_the_newest_that_fits_is_taken(
    machine: Machine, here: Path, limit: dict[str, Any]
) -> None:
    machine.put("old.csv", b"x" * 11, AT - 9)
    machine.put("new.csv", b"x" * 9)

    with pytest.raises(SourceError, match="1 of 2 files are too large, or too many"):
        fetcher(machine, here, **limit).fetch(here)
    assert names(here) == ["new.csv"]


def test_another_machine_under_the_same_name_is_refused_and_gets_no_password(machine: Machine, here: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    known = here.parent / "known_hosts"
    known.write_bytes(f"[127.0.0.1]:{machine.port} ".encode() + other.export_public_key())
    machine.put("a.csv")
    empty = here.parent / "empty"
    empty.write_bytes(b"")

    for options in (
        {"fingerprint": other.get_fingerprint()},
        {"fingerprint": None, "known_hosts": str(known)},
        {"fingerprint": None, "known_hosts": str(empty)},
    ):
        with pytest.raises(SourceError, match="is not the machine that is known"):
            fetcher(machine, here, **options).fetch(here)
    assert names(here) == []


@pytest.mark.parametrize("passphrase", ["", "tin whistle"], ids=["bare", "passphrase"])
def test_a_machine_of_known_hosts_lets_in_who_has_the_key(machine: Machine, here: Path, passphrase: str) -> None:
    (here.parent / "known").write_bytes(f"[127.0.0.1]:{machine.port} ".encode() + machine.host_key.export_public_key())
    key = here.parent / "key"
    key.write_bytes(machine.user_key.export_private_key("pkcs8-pem", passphrase or None))
    key.chmod(0o600)
    machine.put("a.csv")
    options = {"passphrase": "env:MIS_PASSWORD"} if passphrase else {}
    source = fetcher(
        machine, here, fingerprint=None, known_hosts="../known", password=None, key_file="../key", **options
    )

    source.fetch(here)

    assert names(here) == ["a.csv"]
    if passphrase:
        with pytest.raises(SourceError, match="and passphrase"):
            fetcher(machine, here, password=None, key_file="../key").fetch(here)
    key.chmod(0o640)
    with pytest.raises(SourceError, match="chmod 600"):
        source.fetch(here)
    key.write_bytes(b"no key")
    key.chmod(0o600)
    with pytest.raises(SourceError, match="check that it is a private key"):
        source.fetch(here)


def test_a_login_that_is_refused_is_told_without_the_password(
    machine: Machine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIS_PASSWORD", "penny whistle")
    with pytest.raises(SourceError, match="refuses the login") as caught:
        fetcher(machine, here).check()
    assert "whistle" not in str(caught.value)
    monkeypatch.delenv("MIS_PASSWORD")
    with pytest.raises(SourceError, match="MIS_PASSWORD is not set"):
        fetcher(machine, here).check()


def test_a_machine_that_is_away_is_told(machine: Machine, here: Path) -> None:
    with pytest.raises(SourceError, match=r"sftp://127.0.0.1 cannot be reached \(ConnectionRefusedError\)"):
        fetcher(machine, here, "sftp://mis@127.0.0.1:1/exports/*.csv").fetch(here)


def test_check_says_how_many_files_there_are_and_takes_none(machine: Machine, here: Path) -> None:
    machine.put("a.csv")
    machine.put("b.csv")
    source = fetcher(machine, here)

    assert isinstance(source, Fetcher)
    assert isinstance(source, Checked)
    assert source.check() == f"sftp://127.0.0.1:{machine.port}: 2 files to fetch"
    assert names(here) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sftp://127.0.0.1/exports/*.csv", "login, host"),
        ("sftp://mis@/exports/*.csv", "login, host"),
        ("sftp://mis@127.0.0.1/exports/", "login, host"),
        ("sftp://mis@127.0.0.1", "login, host"),
        ("ftp://mis@127.0.0.1/exports/*.csv", "login, host"),
        ("sftp://mis@127.0.0.1:port/exports/*.csv", "host and port"),
        ("sftp://mis:tin-whistle@127.0.0.1/exports/*.csv", "has a password in it"),
        ("sftp://mis@127.0.0.1/exports/../../etc/*.csv", "leads out"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    options = SftpOptions.model_validate({"fingerprint": "SHA256:" + "x" * 43, "password": "env:A"})

    with pytest.raises(ConfigurationError, match=words) as caught:
        SftpFetcher(url, options)
    assert "whistle" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"password": "env:A"}, "who the other machine is"),
        ({"fingerprint": "SHA256:" + "x" * 43}, "needs a login"),
        ({"fingerprint": "MD5:aa", "password": "env:A"}, "pattern"),
        ({"fingerprint": "SHA256:" + "x" * 43, "password": "tin-whistle"}, "secret does not belong"),
        ({"fingerprint": "SHA256:" + "x" * 43, "password": "env:A", "passphrase": "env:A"}, "belongs to key_file"),
        ({"fingerprint": "SHA256:" + "x" * 43, "password": "env:A", "timeout": "0s"}, "from"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        SftpOptions.model_validate(options)
    assert "tin-whistle" not in str([error["msg"] for error in caught.value.errors()])
