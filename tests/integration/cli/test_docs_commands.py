"""The integrators' pages do what they say: every command in them is run, and prints what the page shows of it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from agents.docs.markdown import Fence, fences
from agents.docs.site import PAGES, page_text
from agents.private_zone import MANAGEMENT_VARIABLE, RABBITMQ_VARIABLE
from broker.rabbitmq import PrivateNode
from tests.commands import command_line

PROMPT: Final = "$ "
GOES_ON: Final = {"certificate": "index"}
"""Pages whose commands go on in the folder where those of another end."""
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


def words_of(line: str) -> str:
    return " ".join(line.split())


def pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\s*\.\.\.\s*", words_of(line))))


def follow(page: str) -> int:
    """Do what a page says, in the folder where we are: write its files, run its commands; return how many."""
    done = 0
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


def follow_block(page: str, fence: Fence) -> int:
    found = list(commands(page, fence))
    for command in found:
        check(command)
    return len(found)


def check(command: Command) -> None:
    ended = run(command.text)
    output = f"{ended.stdout}\n{ended.stderr}"
    printed = [words_of(line) for line in output.splitlines()]
    missing = [line for line in command.lines if not any(pattern(line).fullmatch(other) for other in printed)]

    assert ended.returncode == command.code, f"{command.place}: {command.text}: {ended.returncode}\n{output}"
    assert not missing, f"{command.place}: {command.text}: does not print {missing}, but\n{output}"


@pytest.fixture
def node(request: pytest.FixtureRequest, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's RabbitMQ for pages that try agents in a zone, which would start one of their own otherwise."""
    if page == "index":
        rabbit: PrivateNode = request.getfixturevalue("rabbit_node")
        monkeypatch.setenv(RABBITMQ_VARIABLE, rabbit.amqp_url("/"))
        monkeypatch.setenv(MANAGEMENT_VARIABLE, rabbit.management_url)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in GOES_ON])
def test_every_command_of_a_page_ends_and_prints_as_the_page_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    done = [follow(name) for name in (page, *(later for later, first in GOES_ON.items() if first == page))]

    assert all(done) or page in ("language", "connectors", "commands")


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
