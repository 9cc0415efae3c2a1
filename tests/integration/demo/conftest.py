"""The demo run once, as people run it, with a listener beside the two who receive; tests look at what it left."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo.exports import Personal, read_exports
from tests.integration.demo.listening import Listener

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left behind.

    Attributes:
        bodies: Of the events that merlin and the virtual school were sent, by SIF_MsgId.
        queues: Names of all queues in RabbitMQ.
        next_day: When the next day's exports were written; seconds since 1970.
    """

    folder: Path
    code: int
    output: str
    bodies: Mapping[str, Mapping[str, bytes]]
    queues: frozenset[str]
    expected: Mapping[str, Any]
    personal: Personal
    next_day: float


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The demo, run to its end."""
    return run_demo(tmp_path_factory.mktemp("demo") / "zone")


def run_demo(folder: Path) -> Ran:
    """Run the demo in *folder*."""
    listener = Listener(folder, ("merlin", "virtual-school"))
    listener.start()
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "deploy" / "demo" / "run.py"), "--once", "--folder", str(folder)],
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            env={**os.environ, "SIFZONE_RABBITMQ": "", "SIFZONE_DATABASE": ""},
        )
    finally:
        listener.stop()
    expected = folder / "expected.json"
    return Ran(
        folder,
        done.returncode,
        done.stdout + done.stderr,
        listener.bodies,
        listener.queues,
        json.loads(expected.read_text("utf-8")),
        read_exports(folder / "schools"),
        expected.stat().st_mtime,
    )


def rows(database: Path, *, leave_out: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Yield table and text of every column of every row of a SQLite database."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table in leave_out:
                continue
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  # a name that the database gave
                for value in row:
                    yield table, value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    finally:
        connection.close()


def pieces(text: str) -> set[str]:
    """Return the texts between the marks of XML, CSV and JSON, each once, in small letters."""
    return set(re.split(r'[<>",\r\n]+', text.lower()))
