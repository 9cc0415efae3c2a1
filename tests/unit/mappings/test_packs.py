"""Packs are found in a site's folders and in installed packages; what is wrong with one stops no other."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappings import InwardMapping, MappingError, load, shipped_names
from mappings.packs import pack_problems, packs, read_pack
from mappings.shelves import installed

PACK = """\
name = "our-mis"
title = "A school roll"
version = "1.2"
homepage = "https://www.example.org"

[[source]]
connector = "csv"
example = "examples/roll.csv"
mapping = ["our-mis/learner", "csv/enrolment"]
options = { delimiter = ";" }
"""
LEARNER = """\
base = "csv/learner"
keys = "our-mis/keys"
[fields]
"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = "sex" }
"""
KEYS = 'base = "csv/keys"\n[keys]\nSchoolInfo = [{ const = "8209901" }]\n'


def _make(folder: Path, pack: str = PACK) -> Path:
    for name, text in {
        "pack.toml": pack,
        "learner.toml": LEARNER,
        "keys.toml": KEYS,
        "codes/sex.toml": '[codes]\nBoy = "M"\n',
        "tests/learner/one.toml": "not a mapping",
        "examples/roll.csv": "UPN;Surname\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@pytest.fixture
def installed_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on the path that offers the pack ``our-mis``, and one whose entry point is broken."""
    folder = _make(tmp_path / "site-packages" / "our_mis_pack")
    # Nothing of the package may be run to find its folder.
    (folder / "__init__.py").write_text("raise RuntimeError\n", "utf-8")
    about = folder.parent / "our_mis_pack-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our-mis-pack\nVersion: 1.2\n", "utf-8")
    (about / "entry_points.txt").write_text(
        "[sifzone.packs]\nour-mis = our_mis_pack\ngone = our_mis_pack.gone.x\n", "utf-8"
    )
    monkeypatch.setattr(sys, "path", [str(folder.parent), *sys.path])
    installed.cache_clear()
    yield folder
    installed.cache_clear()


def _assert_found(*library: Path) -> None:
    mapping = load("our-mis/learner", library)

    assert isinstance(mapping, InwardMapping)
    (codes,) = (line.codes for line in mapping.lines if line.codes is not None)
    assert dict(codes.codes) == {"boy": "M"}
    assert "our-mis/learner" in shipped_names(library)
    assert not {"our-mis/pack", "our-mis/keys", "our-mis/codes/sex", "codes/sex", "tests/learner"} & {
        *shipped_names(library)
    }


def test_a_pack_of_a_site_s_folder_is_found_by_name(tmp_path: Path) -> None:
    folder = _make(tmp_path / "our-mis")

    _assert_found(tmp_path)
    pack = packs([tmp_path])["our-mis"]
    (source,) = pack.sources
    assert (pack.title, pack.version, pack.homepage) == ("A school roll", "1.2", "https://www.example.org")
    assert (pack.folder, source.connector, source.example) == (folder, "csv", "examples/roll.csv")
    assert (source.mapping, source.options) == (("our-mis/learner", "csv/enrolment"), {"delimiter": ";"})


def test_a_pack_of_an_installed_package_is_found_by_name_and_nothing_of_it_is_run(installed_pack: Path) -> None:
    _assert_found()

    assert packs()["our-mis"].folder == installed_pack
    assert "our_mis_pack" not in sys.modules


def test_a_pack_s_folder_and_its_files_can_be_named_themselves(tmp_path: Path) -> None:
    folder = _make(tmp_path / "work")  # not yet where packs are found

    _assert_found(folder)
    assert read_pack(folder).name == "our-mis"
    assert load(folder / "learner.toml").name == "learner"


@pytest.mark.usefixtures("installed_pack")
def test_a_site_s_folder_comes_before_an_installed_package(tmp_path: Path) -> None:
    _make(tmp_path / "site" / "our-mis", PACK.replace('"1.2"', '"1.3"'))

    assert packs()["our-mis"].version == "1.2"
    assert packs([tmp_path / "site"])["our-mis"].version == "1.3"


@pytest.mark.parametrize(
    ("old", "new", "line", "says", "nearest"),
    [
        pytest.param('title = "A', 'titel = "A', 2, "no setting 'titel'", "title", id="setting"),
        pytest.param('version = "1.2"\n', "", 1, "'version' is missing", None, id="missing"),
        pytest.param('"1.2"', "1.2", 3, "'version' must be a text", None, id="type"),
        pytest.param('name = "our-mis"', 'name = "a/b"', 1, "a pack's name has", None, id="name"),
        pytest.param('connector = "csv"', 'conector = "csv"', 7, "no setting 'conector'", "connector", id="source"),
        pytest.param(
            "our-mis/learner", "our-mis/lerner", 9, "no mapping 'our-mis/lerner'", "our-mis/learner", id="mapping"
        ),
        pytest.param("examples/roll.csv", "../../etc/passwd", 8, "no file", None, id="outside"),
        pytest.param("examples/roll.csv", "/etc/passwd", 8, "no file", None, id="absolute"),
        pytest.param("examples/roll.csv", "examples/no.csv", 8, "no file", None, id="no example"),
        pytest.param('["our-mis/learner", "csv/enrolment"]', "[]", 9, "names no mapping", None, id="no mapping"),
        pytest.param("[[source]]", "[source]", 6, "must be a list", None, id="table"),
    ],
)
def test_what_is_wrong_with_a_pack_is_told_with_its_place_and_stops_no_other(
    tmp_path: Path, old: str, new: str, line: int, says: str, nearest: str | None
) -> None:
    folder = _make(tmp_path / "our-mis", PACK.replace(old, new))
    _make(tmp_path / "good", PACK.replace('name = "our-mis"', 'name = "good"').replace("our-mis/", "good/", 1))

    with pytest.raises(MappingError) as caught:
        read_pack(folder, [tmp_path])

    found = [p for p in caught.value.problems if says in p.message]
    assert [(p.file, p.line, p.nearest) for p in found] == [(str(folder / "pack.toml"), line, nearest)]
    assert set(caught.value.problems) <= set(pack_problems([tmp_path]))
    assert "our-mis" not in packs([tmp_path])


def test_a_pack_under_another_name_than_its_folder_s_is_told(tmp_path: Path) -> None:
    _make(tmp_path / "rolls")

    (problem,) = pack_problems([tmp_path])

    assert "found by the name 'rolls'" in problem.message
    assert "our-mis" not in packs([tmp_path])
