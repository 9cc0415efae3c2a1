"""What is in force is a copy, whole or not at all, and stays so whatever happens to the files it was made from."""

from pathlib import Path

import pytest

from broker.applied import KEPT, applied_name, applied_zone, apply_folder, claim, draft, is_running
from broker.protocol.errors import ConfigurationError
from broker.settings import load_zone

ZONE = 'id = "quarrington"\n[agents.merlin]\nname = "Merlin"\n'
CODES = '[EthnicityCodes]\ncodes = { ZZZZ = "Made up" }\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zone's folder with a code list and a calendar of its own."""
    monkeypatch.delenv("SIFZONE_DATABASE", raising=False)
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "own.toml").write_text(CODES)
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "820.toml").write_text('title = "Schools of Quarrington"\n')
    (tmp_path / "zone.toml").write_text(ZONE)
    return tmp_path


def snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "state" / "applied").iterdir())


def test_nothing_is_in_force_before_it_is_applied(folder: Path) -> None:
    assert applied_name(folder) == ""
    with pytest.raises(ConfigurationError, match="sifzone zone apply"):
        applied_zone(folder)


def test_what_is_in_force_is_what_the_files_said_when_they_were_applied(folder: Path) -> None:
    apply_folder(folder)
    (folder / "zone.toml").write_text(ZONE.replace("merlin", "library"))
    (folder / "codes" / "own.toml").unlink()
    (folder / "calendars" / "820.toml").unlink()

    zone = applied_zone(folder)
    assert list(zone.calendars.by_name) == ["820"]
    assert list(zone.registry.agents) == ["merlin"]
    assert "ZZZZ" in zone.validator.schema.code_lists["EthnicityCodes"].labels
    assert list(load_zone(folder).registry.agents) == ["library"]


def test_all_but_the_configuration_is_in_the_zones_own_folder(folder: Path) -> None:
    zone = apply_folder(folder)

    assert zone == applied_zone(folder) or zone.snapshot == applied_zone(folder).snapshot
    assert (zone.folder, zone.state) == (folder.resolve(), folder.resolve() / "state")
    assert zone.database_url == f"sqlite:///{folder.resolve()}/state/zone.db"


def test_a_faulty_folder_leaves_in_force_what_was_and_is_named(folder: Path) -> None:
    name = apply_folder(folder).snapshot
    (folder / "agreements").mkdir()
    (folder / "agreements" / "a.toml").write_text('id = "a"')

    with pytest.raises(ConfigurationError) as caught:
        apply_folder(folder)
    assert str(caught.value).startswith(str(folder / "agreements" / "a.toml"))
    assert applied_name(folder) == name
    assert snapshots(folder) == [name, "current"]


def test_a_disk_that_refuses_leaves_in_force_what_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = apply_folder(folder).snapshot

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        apply_folder(folder)
    monkeypatch.undo()
    assert applied_name(folder) == name
    assert apply_folder(folder).snapshot == applied_name(folder) > name


def test_a_draft_that_is_not_put_in_force_leaves_nothing(folder: Path) -> None:
    with draft(folder) as drafted:
        assert list(drafted.zone.registry.agents) == ["merlin"]

    assert applied_name(folder) == ""
    assert snapshots(folder) == []


def test_what_is_put_in_force_is_what_was_looked_at_not_what_was_edited_since(folder: Path) -> None:
    with draft(folder) as drafted:
        (folder / "zone.toml").write_text("half a f")
        drafted.put_in_force()

    assert list(applied_zone(folder).registry.agents) == ["merlin"]


def test_each_snapshot_has_a_name_of_its_own_and_the_last_are_kept(folder: Path) -> None:
    names = [apply_folder(folder).snapshot for _ in range(KEPT + 2)]

    assert sorted(set(names)) == names
    assert snapshots(folder) == [*names[2:], "current"]


def test_snapshots_are_their_owners_alone(folder: Path) -> None:
    name = apply_folder(folder).snapshot

    for path in (folder / "state", folder / "state" / "applied", folder / "state" / "applied" / name):
        assert path.stat().st_mode & 0o077 == 0


def test_a_zone_runs_once(folder: Path) -> None:
    zone = load_zone(folder)
    assert not is_running(zone)

    with claim(zone):
        assert is_running(zone)
        with pytest.raises(ConfigurationError, match="runs already"):
            claim(zone)
    assert not is_running(zone)
