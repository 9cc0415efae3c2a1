"""The command line by itself: help with examples that are right, completion, errors in one line, and up."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.core import TyperGroup
from typer.main import get_command

import agents.cli
import agents.workbench.cli
import broker.cli
from broker.protocol.topology import BROKER_LOGIN
from broker.settings import load_zone
from broker.storage import Batch, Held, open_store
from broker.supervisor import prepare_state, write_secret
from tests.faults.zones import make_events
from tests.integration.cli.conftest import SIFZONE, installed, make_small_zone, sentence_of, sifzone

Command = Any
"""A command as Typer makes it; which of Click's or its own classes that is differs between its versions."""
GROUPS: dict[str, Command] = {
    name: get_command(app)
    for name, app in (("", broker.cli.app), ("agent", agents.cli.app), ("mapping", agents.workbench.cli.app))
}


def commands(command: Command, path: tuple[str, ...]) -> Iterator[tuple[str, Command]]:
    """Yield the command and all below it, with the words that call each."""
    yield " ".join(path), command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from commands(below, (*path, name))


ALL = {
    words: command
    for name, group in GROUPS.items()
    for words, command in commands(group, ("sifzone", name) if name else ("sifzone",))
}


def examples(command: Command) -> list[str]:
    """Return the whole commands in the examples of a command's help."""
    parts = re.split("·|Examples?:", command.epilog or "")
    return [part.strip() for part in parts if part.strip().startswith("sifzone ")]


@pytest.mark.parametrize("words", ALL)
def test_every_command_has_an_example_and_every_example_is_right(words: str) -> None:
    assert examples(ALL[words]) or isinstance(ALL[words], TyperGroup)
    assert ALL[words].help
    for example in examples(ALL[words]):
        rest = shlex.split(example)[1:]
        command: Command = GROUPS.get(rest[0], GROUPS[""])
        if command is not GROUPS[""]:
            rest = rest[1:]
        while isinstance(command, TyperGroup):
            if command.invoke_without_command and not [word for word in rest if not word.startswith("-")]:
                break  # the group itself
            context = command.make_context("sifzone", rest[:1], resilient_parsing=True)
            _, found, _ = command.resolve_command(context, rest[:1])
            assert found is not None, example
            command, rest = found, rest[1:]
        command.make_context("sifzone", rest)


def test_help_lists_every_command_and_completion() -> None:
    printed = installed("--help", COLUMNS="120").stdout

    for word in (
        "up",
        "check",
        "explain",
        "ledger",
        "reconcile",
        "quarantine",
        "zone",
        "doctor",
        "agent",
        "mapping",
        "Examples:",
    ):
        assert f" {word} " in printed or f"{word}" in printed.split()
    assert "--install-completion" in printed
    assert "--show-completion" in printed
    assert "sifzone agent run" in installed("agent", "--help", COLUMNS="120").stdout


def test_the_shell_completes_commands() -> None:
    done = installed(_SIFZONE_COMPLETE="complete_bash", COMP_WORDS="sifzone quar", COMP_CWORD="1")

    assert done.stdout.split() == ["quarantine"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("up",),
        ("reconcile",),
        ("ledger",),
        ("explain", "0" * 32),
        ("quarantine", "list"),
        ("quarantine", "replay", "3f"),
        ("zone", "plan"),
        ("zone", "apply", "--yes"),
    ],
    ids=" ".join,
)
def test_a_folder_that_is_no_zone_is_said_in_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert "has no zone.toml: name the folder of a zone" in sentence_of(sifzone(*arguments, "--zone", tmp_path, code=2))


@pytest.mark.parametrize(
    "arguments", [("ledger",), ("quarantine", "list"), ("quarantine", "replay", "3f")], ids=" ".join
)
def test_a_zone_that_was_never_started_is_said_in_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    make_small_zone(tmp_path / "zone")

    assert "sifzone up" in sentence_of(sifzone(*arguments, "--zone", tmp_path / "zone", code=2))


def test_a_mistake_in_an_agreement_is_said_in_one_line_with_its_file(tmp_path: Path) -> None:
    make_small_zone(tmp_path / "zone")
    agreement = tmp_path / "zone" / "agreements" / "a.toml"
    agreement.write_text(agreement.read_text().replace("PersonalInformation/Name", "PersonalInformation/Nam"))

    line = sentence_of(installed("check", "--zone", tmp_path / "zone", code=2))
    assert "a.toml" in line
    assert "PersonalInformation/Name" in line


def test_a_replay_into_a_zone_that_is_down_says_so_and_keeps_the_message(tmp_path: Path) -> None:
    zone = make_small_zone(tmp_path / "zone")
    prepare_state(zone)
    write_secret(zone.credentials(BROKER_LOGIN), 'url = "amqp://zone.broker:secret@127.0.0.1:1/faults"\n')
    (sent,) = make_events(1)
    held = Held("3f" * 16, 1.0, "mis-faults", sent.msg_id, "refused", sent.body, 0, "LearnerPersonal", "Add", 1, 4)
    with open_store(zone.database_url, zone.key_file) as store:
        store.commit(Batch(quarantine=[held]))

    assert "see that the zone is up" in sentence_of(
        sifzone("quarantine", "replay", "3f", "--zone", zone.folder, code=2)
    )
    with open_store(zone.database_url, zone.key_file) as store:
        assert store.quarantine_get("3f").state == "held"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_up_runs_until_it_is_asked_to_stop_and_leaves_no_process(how: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "zone"
    make_small_zone(folder)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [SIFZONE, "up", "--zone", folder],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "SIFZONE_RABBITMQ": "", "SIFZONE_DATABASE": ""},
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "Zone faults is up with 1 worker(s)." in first, (tmp_path / "log").read_text()
        assert str(load_zone(folder).state / "credentials") in first
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) > 1
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does: to all of them
        else:
            process.send_signal(how)
        rest = process.stdout.read()
        assert process.wait(60) == 0
        assert "Stopping." in rest
        deadline = time.monotonic() + 20
        while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in started):
            assert time.monotonic() < deadline, started
            time.sleep(0.1)
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
