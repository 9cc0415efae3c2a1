"""OneRoster packages as files: read and written back without loss, and unpacked only where that is safe."""

import io
import zipfile
from pathlib import Path

import pytest

from agents.connectors.contract import SourceError
from agents.connectors.oneroster_files import FILES, Table, Version, open_package, read_tables, write_tables
from tests.unit.agents.connectors.oneroster_packages import tables, write

ODD: Table = (
    ("sourcedId", "status", "dateLastModified", "title", "metadata.room", "metadata.\u00e9tage"),
    [
        ("k1", "", "", 'say "hi", Zoë', "two\r\nlines", "\xa0n\xa0"),
        ("k2", "", "", "Łukasz 🎈", " blanks ", ""),
        ("k3", "", "", "=1+1", "short"),
    ],
)


@pytest.mark.parametrize("name", ["set", "set.zip"])
@pytest.mark.parametrize(
    ("version", "mode"), [("1.1", "bulk"), ("1.2", "bulk"), ("1.1", "delta"), ("1.2", "delta")], ids=str
)
def test_a_package_is_written_back_as_it_was_read_cell_by_cell(
    tmp_path: Path, version: Version, mode: str, name: str
) -> None:
    made = {**tables(version, mode), "classes": ODD}
    write_tables(tmp_path / name, made)

    read = read_tables(tmp_path / name)
    write_tables(tmp_path / f"again-{name}", read)

    assert read == made
    assert read_tables(tmp_path / f"again-{name}") == made


def test_the_manifest_names_every_file_of_its_version() -> None:
    for version in ("1.1", "1.2"):
        said = [row[0] for row in tables(version)["manifest"][1]]

        assert [name.removeprefix("file.") for name in said if name.startswith("file.")] == list(FILES[version])


def packed(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"set/manifest.csv": b"", "set/users.csv": b""}, "zip the CSV files themselves"),
        ({"../manifest.csv": b""}, "zip the CSV files themselves"),
        ({"/etc/manifest.csv": b""}, "zip the CSV files themselves"),
        ({"users.csv": b"sourcedId\r\n"}, "there is no manifest.csv"),
        ({"manifest.csv": b"", "MANIFEST.CSV": b""}, "manifest.csv is there twice"),
        ({"manifest.csv": b"", "users.csv": b"," * 2_000_000}, "packed to less than 1/200"),
        ({f"file{number}.txt": b"" for number in range(101)}, "more than 100 files"),
    ],
    ids=["folder", "up", "root", "no-manifest", "twice", "bomb", "many"],
)
def test_a_zip_that_is_no_package_or_not_safe_is_refused_before_it_is_unpacked(
    tmp_path: Path, entries: dict[str, bytes], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        open_package(packed(tmp_path / "set.zip", entries))


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set.zip")
    content = bytearray(path.read_bytes())
    for at in range(len(content)):
        if content[at : at + 4] == b"PK\x01\x02":
            content[at + 8] |= 1
    path.write_bytes(bytes(content))

    with pytest.raises(SourceError, match="password"):
        open_package(path)


def test_a_zip_that_is_damaged_is_told_by_its_file(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("manifest.csv", b"propertyName,value\r\n" + b"x,y\r\n" * 20)
    (tmp_path / "set.zip").write_bytes(content.getvalue().replace(b"x,y\r\nx,y", b"x,z\r\nx,z"))

    with pytest.raises(SourceError, match=r"line 1: manifest\.csv: damaged in the zip"):
        read_tables(tmp_path / "set.zip")
    (tmp_path / "set.zip").write_bytes(b"no zip")
    with pytest.raises(SourceError, match="not a zip of OneRoster files"):
        open_package(tmp_path / "set.zip")


def test_a_quotation_mark_that_is_not_closed_refuses_the_file_whose_last_rows_are_lost_in_it(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.zip", {"manifest.csv": b'propertyName,value\r\nx,"y\r\nz,1\r\n'})

    with pytest.raises(SourceError, match=r"line 2: manifest\.csv: .*not closed"):
        read_tables(path)


def test_a_package_larger_than_is_allowed_is_refused(tmp_path: Path) -> None:
    for name in ("set", "set.zip"):
        with pytest.raises(SourceError, match="max_bytes"):
            open_package(write(tmp_path / name), 1000)
