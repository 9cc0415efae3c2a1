"""The integrators' pages do what they say: every command in them is run, and prints what the page shows of it.

The first page goes from an export to a certificate. Trying and certifying take their time, so that they are run once,
and what else they have to be is looked at here.
"""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from agents.certify.signing import verify
from agents.docs.markdown import Fence, fences
from agents.docs.site import PAGES, page_text
from agents.private_zone import MANAGEMENT_VARIABLE, RABBITMQ_VARIABLE
from broker.rabbitmq import PrivateNode
from tests.commands import command_line

PROMPT: Final = "$ "
STARTS: Final = ("index", "certificate")
"""Pages of which the second goes on in the folder where the first ends; they need a RabbitMQ."""
EXIT: Final = re.compile(r"\s+# exit ([0-9]+)$")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page, how it ends, and the lines that it prints, ``...`` standing for anything."""

    text: str
    code: int
    lines: tuple[str, ...]
    place: str


def commands(page: str, fence: Fence) -> Iterator[Command]:
    """Yield the commands of a block in order."""
    lines = fence.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(PROMPT)]
    assert starts[:1] == [0], f"{page}, line {fence.line}: a console block begins with '$ '"
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        shown = lines[start + 1 : end]
        text = lines[start].removeprefix(PROMPT)
        while text.endswith("\\"):
            text = text[:-1] + shown.pop(0).strip()
        code = EXIT.search(text)
        printed = tuple(line for line in shown if line.strip() not in ("", "..."))
        yield Command(text, int(code[1]) if code else 0, printed, f"{page}, line {fence.line + start + 1}")


def run(text: str) -> subprocess.CompletedProcess[str]:
    """Run a command that a page may have: sifzone, or python."""
    program, *words = shlex.split(text, comments=True)
    if program == "sifzone":
        return command_line(*words, COLUMNS="120")
    assert program == "python", f"pages run sifzone and python, not {program!r}"
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that was run as a page says."""

    command: Command
    output: str
    seconds: float


def words_of(line: str) -> str:
    return " ".join(line.split())


def pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\s*\.\.\.\s*", words_of(line))))


def follow(page: str) -> list[Done]:
    """Do what a page says, in the folder where we are: write its files, run its commands; return these."""
    done = []
    for fence in fences(page_text(page)):
        if fence.title:
            file = Path(fence.title)
            assert not file.is_absolute()
            assert ".." not in file.parts
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(fence.text, encoding="utf-8")
        if fence.language == "console":
            done += follow_block(page, fence)
    return done


def follow_block(page: str, fence: Fence) -> list[Done]:
    return [check(command) for command in list(commands(page, fence))]


def check(command: Command) -> Done:
    begun = time.monotonic()
    ended = run(command.text)
    seconds = time.monotonic() - begun
    output = f"{ended.stdout}\n{ended.stderr}"
    printed = [words_of(line) for line in output.splitlines()]
    missing = [line for line in command.lines if not any(pattern(line).fullmatch(other) for other in printed)]

    assert ended.returncode == command.code, f"{command.place}: {command.text}: {ended.returncode}\n{output}"
    assert not missing, f"{command.place}: {command.text}: does not print {missing}, but\n{output}"
    return Done(command, output, seconds)


@dataclass(frozen=True, slots=True)
class Started:
    """What the first pages come to: the folder in which everything was done, what was done, and the certificate."""

    folder: Path
    done: tuple[Done, ...]
    certificate: Mapping[str, Any]

    def of(self, words: str) -> Done:
        """Return the one command that begins with these words."""
        (found,) = [done for done in self.done if done.command.text.startswith(words)]
        return found


@pytest.fixture(scope="module")
def started(rabbit_node: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """The first pages, done on the run's RabbitMQ; trials would start one of their own otherwise."""
    folder = tmp_path_factory.mktemp("started")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv(RABBITMQ_VARIABLE, rabbit_node.amqp_url("/"))
        patch.setenv(MANAGEMENT_VARIABLE, rabbit_node.management_url)
        done = follow(STARTS[0])
        certificate = verify(folder / "certificate" / "certificate.json").values
        done += follow(STARTS[1])  # where somebody changes the certificate
    return Started(folder, tuple(done), certificate)


def test_from_an_export_to_a_certificate_every_command_ends_and_prints_as_the_pages_show(started: Started) -> None:
    assert {done.command.place.partition(",")[0] for done in started.done} == set(STARTS)


def test_an_agent_is_certified_for_all_that_it_does(started: Started) -> None:
    found = started.certificate
    outcomes = {check["name"]: check["outcome"] for stage in found["stages"] for check in stage["checks"]}

    assert (found["passed"], found["quick"], "fail" in outcomes.values()) == (True, True, False)
    assert outcomes["Killed in the midst of its work (kill -9) and started again, it loses nothing"] == "pass"
    assert outcomes["A message that is sent twice is delivered once"] == "pass"
    assert outcomes["No value of a record is in the zone's ledger"] == "pass"
    assert outcomes["Fields that are mapped arrive, so that the search means something"] == "pass"
    assert "Quillfeather" not in json.dumps(found)
    assert started.of("sifzone certify mis").seconds < 60


def test_trying_and_certifying_print_no_value_and_leave_nothing_behind(
    started: Started, rabbit_node: PrivateNode
) -> None:
    tried = started.of("sifzone agent try").output
    folder = started.folder / "mis-8209901"
    login = (rabbit_node.admin_user, rabbit_node.admin_password)
    zones = httpx.get(f"{rabbit_node.management_url}/api/vhosts", auth=login).json()

    assert "Quillfeather" in (folder / "exports" / "pupils.csv").read_text(encoding="utf-8")
    assert "Quillfeather" not in tried + started.of("sifzone certify mis").output
    assert f"sifzone certify {folder / 'agent.toml'}" in tried
    assert 'establishments = ["8209901"]' in tried
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        ".gitignore", "agent.toml", "learner.toml", "pupils.csv", "zone-entry.toml",
    ]  # fmt: skip
    assert not [each["name"] for each in zones if each["name"].startswith("trial-")]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in STARTS])
def test_every_command_of_a_page_ends_and_prints_as_the_page_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert follow(page) or page in ("language", "connectors", "commands")


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("$ sifzone docs sample roll\nWrote something-else.csv\n", "does not print"),
        ("$ sifzone docs sample no-such-pack\n", "there is no pack"),
        ("$ sifzone docs sample roll # exit 1\n", ": 0\n"),
        ("$ rm -rf things\n", "not 'rm'"),
        ("sifzone docs sample roll\n", "begins with"),
    ],
    ids=["other output", "failure", "no failure", "other program", "no prompt"],
)
def test_a_page_that_shows_what_does_not_happen_is_found_out(
    block: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(AssertionError, match=re.escape(fault)):
        follow_block("made-up", Fence("console", "", block, 1))
