"""The whole corpus at every entry point, each in a process of its own, and a worker over RabbitMQ for a part of it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hostile.child import Outcome
from tests.hostile.doors import DOORS
from tests.integration.worker.conftest import carrier, desk

__all__ = ["carrier", "desk"]

ROOT = Path(__file__).parents[2]

Outcomes = Mapping[str, Future[dict[str, Outcome]]]


def run(door: str, folder: Path) -> dict[str, Outcome]:
    """Return what came of each case at one entry point, by name."""
    command = [sys.executable, "-m", "tests.hostile.child", door, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    return {fact["case"]: Outcome(**fact) for fact in facts}


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """What came of each case, by entry point; two run at once."""
    with ThreadPoolExecutor(2) as pool:
        yield {door: pool.submit(run, door, tmp_path_factory.mktemp("hostile") / "door") for door in DOORS}
