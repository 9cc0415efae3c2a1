"""``sifzone agent new``: what it makes runs as it is; what it cannot make it does not begin."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.cli import app
from agents.testing import Agreement, Zone, ZoneAgent
from agents.zone_files import ENTRY, entry_establishments
from broker.settings import load_zone

ROOT = Path(__file__).parents[4]
READER = ZoneAgent("reader", subscribe=["LearnerPersonal"])
ALL = Agreement({"LearnerPersonal": ["*"]}, ["reader"])
MAPPING = """title = "pupils.csv: the pupils"
object = "LearnerPersonal"
key = ["UPN"]
[fields]
"UPN" = "UPN"
"LocalId" = { from = "UPN", convert = "lookup:numbers.csv" }
"PersonalInformation/Name[@Type='C']/FamilyName" = "Surname"
"PersonalInformation/Demographics/Gender" = { from = "House", codes = "house" }
"""


def run(*arguments: str | Path, code: int = 0) -> str:
    """Call ``sifzone agent new`` and return what it printed."""
    done = CliRunner().invoke(app, ["new", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an export, and a mapping with a code table of its own."""
    monkeypatch.chdir(tmp_path)
    Path("pupils.csv").write_text("UPN,Surname,House\nP820990126001,Quill,Oak\n")
    Path("learner.toml").write_text(MAPPING)
    Path("numbers.csv").write_text("UPN,Number\nP820990126001,000412\n")
    Path("codes").mkdir()
    Path("codes/house.toml").write_text('[codes]\n"Oak" = "F"\n')
    Path("codes/other.toml").write_text('[codes]\n"x" = "y"\n')
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_folder_holds_all_that_the_agent_needs_and_the_agent_runs(here: Path) -> None:
    told = run("mis-9", "--from", "pupils.csv", "--mapping", "learner.toml", "--establishment", "820/9901")

    assert names(here / "mis-9") == [
        ".gitignore",
        "agent.toml",
        "exports/pupils.csv",
        "mappings/codes/house.toml",
        "mappings/learner.toml",
        "mappings/numbers.csv",
        "zone-entry.toml",
    ]
    assert entry_establishments(here / "mis-9", "mis-9") == ("8209901",)
    assert "sifzone agent try mis-9/agent.toml" in told
    entry = "".join(
        f"{line.strip()}\n" for line in told.splitlines() if line.startswith(("  [agents", "  name", "  pub"))
    )
    assert tomllib.loads(entry)["agents"]["mis-9"]["publish"] == ["LearnerPersonal"]
    with Zone([ZoneAgent("mis-9", publish=["LearnerPersonal"]), READER], [ALL]) as zone:
        agent = zone.agent(here / "mis-9" / "agent.toml")
        zone.run_until_quiet()
        (learner,) = zone.objects("reader", "LearnerPersonal")

        assert (learner.findtext(".//{*}Gender"), learner.findtext("{*}LocalId")) == ("F", "000412")
        assert agent.refusals() == []


def test_what_two_mappings_share_is_copied_once(here: Path) -> None:
    for name in ("one", "two"):
        (here / f"{name}.toml").write_text('base = "learner"\n')
    run("mis-9", "--from", "pupils.csv", "-m", "one.toml", "-m", "two.toml", "-m", "learner.toml")

    assert {"mappings/one.toml", "mappings/two.toml", "mappings/learner.toml"} < set(names(here / "mis-9"))


def test_what_is_personal_is_for_its_owner_alone(here: Path) -> None:
    (here / "pupils.csv").chmod(0o644)
    run("mis-9", "--from", "pupils.csv", "--mapping", "learner.toml")

    assert (here / "mis-9").stat().st_mode & 0o777 == 0o700
    assert (here / "mis-9/exports/pupils.csv").stat().st_mode & 0o777 == 0o600


def test_the_lines_for_the_administrator_set_the_agent_up(here: Path) -> None:
    told = run("mis-9", "--connector", "ctf", "--object", "LearnerPersonal", "--object", "LearnerSchoolEnrolment")
    lines = [line.removeprefix("  ") for line in told.splitlines() if line.startswith("  ") and "sifzone" not in line]
    (here / "zone").mkdir()
    (here / "zone/zone.toml").write_text('id = "zone"\n' + "\n".join(lines[lines.index("[agents.mis-9]") :]))

    record = load_zone(here / "zone").registry.agents
    assert list(record) == ["mis-9"]
    source = tomllib.loads((here / "mis-9/agent.toml").read_text())["source"][0]
    assert (source["path"], source["mapping"]) == ("exports/*.xml", ["ctf/enrolment", "ctf/learner"])


def test_options_are_written_down_and_those_still_needed_are_named(here: Path) -> None:
    run("one", "--from", "pupils.csv", "-m", "learner.toml", "--option", "delimiter=,", "--option", "encoding=cp1252")
    told = run("two", "--connector", "sql", "-m", "learner.toml")

    source = tomllib.loads((here / "one/agent.toml").read_text())["source"][0]
    assert (source["delimiter"], source["encoding"]) == (",", "cp1252")
    assert "Fill in url in two/agent.toml" in told
    assert "path" not in tomllib.loads((here / "two/agent.toml").read_text())["source"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["../up", "--package"], "agent id"),
        (["learner.toml", "--connector", "csv", "-m", "learner.toml"], "is there already"),
        (["new"], "--from SAMPLE, or --connector"),
        (["new", "--connector", "cvs", "-m", "learner.toml"], "did you mean 'csv'"),
        (["new", "--connector", "csv"], "sifzone mapping new"),
        (["new", "--connector", "csv", "--object", "Lesson"], "for Lesson"),
        (["new", "--connector", "csv", "-m", "lerner.toml"], "no such file"),
        (["new", "--connector", "csv", "-m", "oneroster/users"], "makes rows"),
        (["new", "--connector", "csv", "-m", "wrong.toml"], "wrong.toml:1:1: there is no object"),
        (["new", "--connector", "csv", "-m", "learner.toml", "-m", "copy/learner.toml"], "has this name too"),
        (["new", "--from", "codes", "-m", "learner.toml"], "is a folder"),
        (["new", "--from", "none.csv", "-m", "learner.toml"], "no such file"),
        (["new", "--from", "pupils.csv", "-m", "learner.toml", "--option", "delimiter"], "key=value"),
        (["new", "--from", "pupils.csv", "-m", "learner.toml", "--option", "delimeter=;"], "delimiter"),
        (["new", "--from", "pupils.csv", "-m", "learner.toml", "--establishment", "9901"], "establishment"),
        (["new", "--package", "--object", "LearnerPersonal"], "leave out"),
        (["9901", "--package"], "begin with a letter"),
        (["agents", "--package"], "begin with a letter"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_made_is_not_begun_and_says_what_to_do(here: Path, arguments: list[str], said: str) -> None:
    (here / "copy").mkdir()
    (here / "copy/learner.toml").write_text(MAPPING.replace("house", "sex").replace("lookup:numbers.csv", "upper"))
    (here / "wrong.toml").write_text('object = "LearnerPersonel"\nkey = ["UPN"]\n[fields]\n"UPN" = "UPN"\n')
    before = sorted(here.rglob("*"))

    assert said in run(*arguments, code=2)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        b"\xff",
        b"agents = 7",
        b"[agents]\nmis-9 = 1",
        b'[agents.mis-9]\nestablishments = ["x"]',
        b"x" * 200_000,
    ],
    ids=["no file", "empty", "no text", "no agents", "no agent", "no school", "too large"],
)
def test_an_entry_that_cannot_be_used_names_no_school(tmp_path: Path, said: bytes | None) -> None:
    if said is not None:
        (tmp_path / ENTRY).write_bytes(said)

    assert entry_establishments(tmp_path, "mis-9") == ()


def test_whatever_real_exports_are_put_into_a_package_git_leaves_them_out(here: Path) -> None:
    run("card-index", "--package", "--establishment", "8209901")
    (here / "card-index/exports/real.txt").touch()
    git = ["git", "-C", str(here / "card-index")]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard", "exports"], capture_output=True, text=True, check=True
    )

    assert listed.stdout.split() == ["exports/cards.txt"]
    assert entry_establishments(here / "card-index", "card-index") == ("8209901",)


def test_a_new_package_passes_its_own_tests(here: Path) -> None:
    told = run("card-index", "--package")
    package = here / "card-index"
    as_installed(package)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "sifzone certify card-index/agent.toml" in told
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout


def as_installed(package: Path) -> None:
    """Put beside the package what installing it would tell Python of it."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = package / "card_index-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [line for group, found in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in found.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))
