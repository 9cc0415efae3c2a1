"""The story of looked-after learners who change school, told from beginning to end as people run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.demo.conftest import ROOT

HEADLINES = 8


@pytest.mark.timeout(300)
def test_the_story_comes_out_as_expected(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "deploy" / "demo" / "run.py"),
            "--story",
            "--once",
            "--folder",
            str(tmp_path / "s"),
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "SIFZONE_RABBITMQ": "", "SIFZONE_DATABASE": ""},
    )

    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "not as expected" not in told
    assert "The story came out as expected." in told
    assert sum("──────" in line and line[0].isupper() for line in told.splitlines()) == HEADLINES
