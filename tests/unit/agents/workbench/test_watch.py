"""Watching: again after each change of what counts, and quiet on Ctrl-C."""

import threading
from pathlib import Path

import pytest
from rich.console import Console

from agents.workbench.watch import run_again


@pytest.mark.parametrize("name", ["sample.dat", "folder/side.csv"], ids=["the file itself", "a side file"])
def test_a_change_runs_it_again_and_ctrl_c_ends_it_quietly(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    runs: list[str] = []

    def run() -> None:
        runs.append((tmp_path / name).read_text("utf-8") if runs else "")
        if len(runs) == 1:
            threading.Thread(target=(tmp_path / name).write_text, args=("changed", "utf-8")).start()
        else:
            raise KeyboardInterrupt

    run_again(run, [tmp_path / "sample.dat"], [tmp_path / "folder"], Console(quiet=True))

    assert runs == ["", "changed"]


def test_other_files_do_not_count(tmp_path: Path) -> None:
    ours, runs = tmp_path / "ours.toml", []

    def run() -> None:
        runs.append(ours.exists())
        if len(runs) > 1:
            raise KeyboardInterrupt
        for name in ("other.dat", ".ours.toml", "report.html"):
            (tmp_path / name).write_text("x", "utf-8")
        threading.Timer(0.6, ours.write_text, ("x", "utf-8")).start()  # long after those have been noticed

    run_again(run, [ours], [tmp_path], Console(quiet=True))

    assert runs == [False, True]
