"""When a file counts as arrived, and in which order files are read."""

import os
from pathlib import Path

import pytest

from agents.files import Arrivals, matching, settings_mark
from agents.settings import read_settings


class Clock:
    """Time that a test moves."""

    time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arrivals(tmp_path: Path, clock: Clock) -> Arrivals:
    file = tmp_path / "mis.toml"
    file.write_text('id = "mis-1"\nsettle = "2s"')
    return Arrivals(read_settings(file), clock)


def test_a_file_has_arrived_when_it_has_stood_still_for_long_enough(
    tmp_path: Path, arrivals: Arrivals, clock: Clock
) -> None:
    path = tmp_path / "1.xml"
    path.write_text("half")
    os.utime(path, (1, 1))  # copied with its old time: its age shows nothing
    assert not arrivals.settled(path)
    clock.time += 1
    path.write_text("half and more")
    assert not arrivals.settled(path)
    clock.time += 1.5
    assert not arrivals.settled(path)
    clock.time += 0.5

    assert arrivals.settled(path)


def test_a_package_has_arrived_when_all_of_its_files_have_stood_still(
    tmp_path: Path, arrivals: Arrivals, clock: Clock
) -> None:
    paths = [tmp_path / "manifest.csv", tmp_path / "users.csv"]
    for path in paths:
        path.write_text("half")
    assert not arrivals.settled(*paths)
    clock.time += 1.5
    paths[1].write_text("half and more")
    assert not arrivals.settled(*paths)
    clock.time += 1.5
    assert not arrivals.settled(*paths)
    clock.time += 0.5
    assert arrivals.settled(*paths)

    paths[1].unlink()
    assert not arrivals.settled(*paths)


def test_a_file_that_is_gone_has_not_arrived(tmp_path: Path, arrivals: Arrivals) -> None:
    assert not arrivals.settled(tmp_path / "gone.xml")


def test_matching_files_come_oldest_first_without_hidden_ones_and_folders(tmp_path: Path) -> None:
    for age, name in enumerate(("c.xml", "a.xml", ".hidden.xml", "~$c.xml", "b.xml", "other.csv")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (age, age))
    (tmp_path / "folder.xml").mkdir()

    assert [path.name for path in matching(tmp_path / "*.xml")] == ["c.xml", "a.xml", "b.xml"]
    assert [path.name for path in matching(tmp_path / "*.xml", newest_only=True)] == ["b.xml"]
    assert matching(tmp_path / "nowhere" / "*.xml") == []


def test_files_are_read_anew_for_what_decides_what_they_become_and_for_nothing_else(tmp_path: Path) -> None:
    def mark(path: str, more: str = "") -> str:
        file = tmp_path / "mis.toml"
        file.write_text(f'id = "m"\n[[source]]\nconnector = "csv"\npath = "{path}"\nmapping = ["csv/staff"]\n{more}')
        return settings_mark(read_settings(file).sources[0], "mappings")

    url = "sftp://mis@office.example.org/*.csv"
    # as the versions before this one had it, so that an upgrade reads no file anew
    assert mark("*.csv") == "0a66fdaabe98006d"
    assert mark(url) == mark(url, 'every = "1d"\n[source.fetch]\npassword = "env:OTHER"\n')
    assert mark(url) != mark(url, "complete = true\n")
    assert mark(url) != mark(url, 'delimiter = ";"\n')
