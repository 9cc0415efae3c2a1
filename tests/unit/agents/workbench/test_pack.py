"""Packs: those of the library do what their examples and tests say, new ones do from the start, and faults are told."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agents.workbench.pack_cli import app
from agents.workbench.pack_new import make_pack
from agents.workbench.pack_trial import try_pack
from mappings import load
from mappings.shelves import LIBRARY, PACK_FILE, installed

SHIPPED = sorted(file.parent.name for file in LIBRARY.glob(f"*/{PACK_FILE}"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """The folder of a new pack."""
    return make_pack("our-mis", tmp_path).folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


# ---------------------------------------------------------------- the library's


@pytest.mark.parametrize("name", SHIPPED)
def test_a_pack_of_the_library_loses_no_record_makes_valid_objects_and_passes_its_tests(name: str) -> None:
    done = try_pack(LIBRARY / name)

    assert [str(finding) for finding in done.findings] == []
    assert done.examples
    assert done.goldens is not None
    for example in done.examples:
        assert example.records == example.used + example.reported + example.passed > 0
        assert example.used > 0


def test_every_folder_of_the_library_with_mappings_is_a_pack() -> None:
    assert sorted(path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "codes") == SHIPPED


@pytest.mark.parametrize("name", ["sims-like", "arbor-like", "staff"])
def test_a_report_without_the_school_s_number_needs_the_pack_s_constants(name: str, tmp_path: Path) -> None:
    copy = tmp_path / name
    for file in (file for file in (LIBRARY / name).rglob("*") if file.is_file()):
        target = copy / file.relative_to(LIBRARY / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    change(copy / PACK_FILE, '"Estab Number"', '"Estab"')

    told = [problem.message for example in try_pack(copy).examples for problem in example.problems]

    assert any("fill" in message and "Estab Number" in message for message in told)


# ---------------------------------------------------------------- new ones


@pytest.mark.parametrize("package", [False, True], ids=["folder", "package"])
def test_a_new_pack_is_right_from_the_start_and_says_what_to_do_next(tmp_path: Path, package: bool) -> None:
    made = run("new", "our-mis", "--out", tmp_path, *(["--package"] if package else []))
    folder = tmp_path / "our-mis" / ("sifzone_pack_our_mis" if package else "")
    tested = run("test", folder)

    assert made.exit_code == tested.exit_code == 0
    assert f"sifzone pack test {folder}" in made.output
    assert f"our-mis 0.1.0 ({folder}): right" in tested.output
    assert "3 records: 2 used, 1 reported; made: 2 LearnerPersonal" in tested.output
    assert (tmp_path / "our-mis" / "README.md").is_file()


@pytest.mark.parametrize("name", ["../evil", "Our MIS", "a--b", "-a", "9a", "codes", "x" * 41, "a/b", ""])
def test_a_name_that_no_pack_can_have_is_refused_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    result = run("new", "--out", tmp_path / "out", "--", name)

    assert result.exit_code == 2
    assert "choose another name" in result.output or "cannot be a pack's name" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_new_pack_is_never_written_over_what_is_there(ours: Path) -> None:
    (ours / "learner.toml").write_text("ours", "utf-8")

    assert run("new", "our-mis", "--out", ours.parent).exit_code == 2
    assert (ours / "learner.toml").read_text("utf-8") == "ours"


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, in which a new pack is installed by setuptools from its ``pyproject.toml``."""
    project, target = make_pack("their-mis", tmp_path, package=True).place, tmp_path / "site-packages"
    setup = "from setuptools import setup; setup()"
    steps = ["install_lib", f"--install-dir={target}", "install_egg_info", f"--install-dir={target}"]
    subprocess.run([sys.executable, "-c", setup, "-q", *steps], cwd=project, check=True, capture_output=True)
    monkeypatch.setattr(sys, "path", [str(target), *sys.path])
    installed.cache_clear()
    yield target
    installed.cache_clear()


def test_an_installed_package_offers_its_pack_with_all_of_its_files(site_packages: Path) -> None:
    listed = json.loads(run("list", "--json").stdout)["packs"]
    (theirs,) = (pack for pack in listed if pack["from"] == "package")
    tested = json.loads(run("test", "their-mis", "--json").stdout)

    assert (theirs["name"], theirs["version"]) == ("their-mis", "0.1.0")
    assert theirs["package"].replace("_", "-") == "sifzone-pack-their-mis"
    assert Path(theirs["folder"]) == site_packages / "sifzone_pack_their_mis"
    assert [case["outcome"] for case in tested["packs"][0]["goldens"]["cases"]] == ["same"]
    assert (tested["right"], tested["packs"][0]["findings"]) == (True, [])
    assert load("their-mis/learner").lines


# ---------------------------------------------------------------- what is known


def test_packs_are_listed_with_where_they_are_from_and_what_is_wrong_with_one_is_told(ours: Path) -> None:
    assert run("list").exit_code == 0
    broken = make_pack("broken", ours.parent).folder
    change(broken / PACK_FILE, 'title = "', 'titel = "')

    result = run("list", "--library", ours.parent)

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert [line.split()[0] for line in lines if " library " in line] == SHIPPED
    assert [line.split()[:3] for line in lines if str(ours) in line] == [["our-mis", "0.1.0", str(ours)]]
    assert f"{broken / PACK_FILE}:2:1: " in result.output
    assert "did you mean 'title'?" in result.output


def test_without_a_name_the_pack_in_this_folder_is_tried_or_else_all_of_them(
    ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.rename(ours.parent / "renamed")
    monkeypatch.chdir(ours.parent / "renamed")
    one = json.loads(run("test", "--json").stdout)
    monkeypatch.chdir(ours.parent)
    every = json.loads(run("test", "--library", ours.parent, "--json").stdout)

    assert [(pack["name"], pack["right"]) for pack in one["packs"]] == [("our-mis", True)]
    assert [pack["name"] for pack in every["packs"]] == [*SHIPPED, "renamed"]
    assert not every["right"]
    assert "must be its name" in every["packs"][-1]["findings"][0]["message"]


def test_a_pack_that_is_not_known_is_told_with_the_nearest_name() -> None:
    result = run("test", "sims_like")

    assert result.exit_code == 2
    assert "did you mean 'sims-like'?" in result.output


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("pack.toml", "our-mis/learner", "our-mis/lerner", "pack.toml:10:12: there is no mapping 'our-mis/lerner'"),
        ("pack.toml", '"csv"', '"csvv"', "pack.toml:9:1: there is no connector 'csvv'"),
        ("pack.toml", "mapping = [", "options = { quoted = 7 }\nmapping = [", "pack.toml:9:1: connector 'csv'"),
        ("pack.toml", "our-mis/learner", "oneroster/users", "oneroster/users fills the table users"),
        ("learner.toml", '"LocalId"', '"LocalIt"', "learner.toml:10:1: LearnerPersonal has no 'LocalIt'"),
        ("learner.toml", '"LearnerPersonal"', '"LearnerPersonal"\nwhen = { Sex = "X" }', "makes no LearnerPersonal"),
        ("tests/learner/words-and-a-bad-date.expected.xml", "<Gender>F", "<Gender>M", ".expected.xml:11:1: learner/"),
        ("codes/sex.toml", "B =", "Bo =", ".expected.xml:27:1: learner/"),
    ],
    ids=["mapping", "connector", "option", "outward", "path", "nothing made", "test", "code"],
)
def test_what_is_wrong_is_told_with_its_place(ours: Path, file: str, old: str, new: str, told: str) -> None:
    change(ours / file, old, new)

    result = run("test", ours)

    assert result.exit_code == 1
    assert told in result.output
    assert "Traceback" not in result.output


def test_a_column_that_the_example_has_under_nearly_the_same_name_is_pointed_out(ours: Path) -> None:
    change(ours / "examples" / "pupils.csv", "Admission Number", "Admision Number")

    (finding,) = try_pack(ours).findings

    assert (finding.severity, finding.line) == ("warning", 10)
    assert str(finding).endswith("the example has no column 'Admission Number'; did you mean 'Admision Number'?")


def test_an_example_that_cannot_be_read_is_told_and_not_raised(ours: Path) -> None:
    (ours / "examples" / "pupils.csv").write_bytes(b"")

    (finding,) = try_pack(ours).findings

    assert finding.line == 9
    assert "examples/pupils.csv:1: empty" in finding.message


def test_what_a_pack_should_have_and_has_not_is_only_a_warning(ours: Path) -> None:
    (ours / "README.md").unlink()
    change(ours / PACK_FILE, 'example = "examples/pupils.csv"\n', "")
    (ours / "unread.toml").write_text('base = "our-mis/learner"\n', "utf-8")
    result = run("test", ours)

    assert result.exit_code == 0
    for told in ("has no README.md", "has no example", "names 'our-mis/unread'", "tries unread"):
        assert told in result.output


EACH = """\
object = "LearnerPersonal"
each = "UPN"
split = ";"
key = ["."]
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = "/Surname"
"PersonalInformation/Demographics/BirthDate" = { from = "/Date of Birth", convert = "date:%d/%m/%Y" }
"""


@pytest.mark.parametrize(
    ("mapping", "used"), [('base = "csv/learner"\nwhen = { Sex = ["W"] }', 0), (EACH, 2)], ids=["when", "each"]
)
def test_a_record_that_a_mapping_leaves_out_is_neither_used_nor_lost(ours: Path, mapping: str, used: int) -> None:
    (ours / "learner.toml").write_text(mapping, "utf-8")

    (example,) = try_pack(ours).examples

    assert (example.records, example.used, example.reported) == (3, used, 0)
    assert (example.passed, example.lost) == (3 - used, 0)


def test_a_folder_that_is_no_pack_is_told(tmp_path: Path) -> None:
    result = run("test", tmp_path)

    assert result.exit_code == 1
    assert f"{tmp_path / PACK_FILE}:1:1: cannot be read" in result.output
