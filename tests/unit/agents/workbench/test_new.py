"""``sifzone mapping new``: what it writes, asks, prints and refuses."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.keys import Keys
from agents.workbench.guess import guess
from agents.workbench.new import new, review
from agents.workbench.samples import read_sample
from mappings import InwardMapping, load

PUPILS = (
    "UPN,Legal Surname,Forename,DOB,Sex,NCY,Reg,Date of Admission,Enrol Status,LA,Estab,Sname pref\n"
    "J820990114021,Quillfeather,Zephyrine,30/05/2013,F,9,9A,04/09/2024,C,820,9903,Featherquill\n"
)
PERSONAL = ("J820990114021", "Quillfeather", "Zephyrine", "30/05/2013", "2013", "Featherquill")

app = typer.Typer()
app.command()(new)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pupils.csv").write_text(PUPILS, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["--from", "pupils.csv", *arguments])


def made_by(file: Path, sample: str) -> list[str]:
    mapping = load(file)
    assert isinstance(mapping, InwardMapping)
    keys = Keys(hashlib.sha256(b"test").digest())
    records = read_sample(Path(sample)).records
    return [made.object_type for record in records for made in mapping.translate(record, keys).objects]


def test_every_guess_is_taken_with_yes_and_the_mapping_makes_objects(folder: Path) -> None:
    result = run("--object", "LearnerPersonal", "--yes")

    assert result.exit_code == 0, result.output
    assert made_by(folder / "learner-personal.toml", "pupils.csv") == ["LearnerPersonal"]


@pytest.mark.usefixtures("folder")
def test_the_next_commands_are_printed_in_order() -> None:
    output = run("--object", "LearnerPersonal", "--yes", "--out", "our pupils.toml").output

    after = output.partition("What to do next:")[2].split("\n")
    assert [line.strip() for line in after if line.strip()] == [
        "sifzone mapping check 'our pupils.toml' --from pupils.csv",
        "sifzone mapping preview 'our pupils.toml' pupils.csv",
        "sifzone agent new pupils --mapping 'our pupils.toml' --from pupils.csv --connector csv",
        "sifzone agent try pupils/agent.toml",
    ]


@pytest.mark.usefixtures("folder")
def test_an_agent_of_one_school_is_named_after_it_and_speaks_for_it() -> None:
    output = run("--object", "LearnerPersonal", "--yes", "--set", "LAId=820", "--set", "EstablishmentId=9901").output

    agent = "pupils-8209901"
    assert f"sifzone agent new {agent} --mapping learner-personal.toml" in output
    assert "--connector csv --establishment 8209901\n" in output
    assert f"sifzone agent try {agent}/agent.toml" in output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("LAId=Quarrington", "that is no number of the local authority (3 digits)"),
        ("EstablishmentId=990", "that is no DfE number of the school"),
        ("LAID=820", "nothing is called so"),
    ],
)
def test_what_is_set_is_what_it_is_called(folder: Path, given: str, said: str) -> None:
    result = run("--object", "LearnerPersonal", "--yes", "--set", given)

    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert not list(folder.glob("*.toml"))


def test_columns_that_are_not_read_are_told_of(folder: Path) -> None:
    (folder / "pupils.csv").write_text("UPN,Name,Name\nJ820990114021,Quill,Zeph\n", "utf-8")

    assert "row 1: several columns are headed 'Name'" in run("--object", "LearnerPersonal", "--yes").output


@pytest.mark.parametrize("extra", [pytest.param([], id="table"), pytest.param(["--json"], id="JSON")])
def test_no_value_is_shown_or_written_but_shapes(folder: Path, extra: list[str]) -> None:
    result = run("--object", "LearnerPersonal", "--yes", *extra)

    said = result.output + (folder / "learner-personal.toml").read_text("utf-8")
    assert "A999999999999" in result.output
    assert [value for value in PERSONAL if value in said] == []


def test_values_are_shown_when_asked_for_and_still_not_written(folder: Path) -> None:
    result = run("--object", "LearnerPersonal", "--yes", "--show-values")

    assert "Quillfeather" in result.output
    assert "Quillfeather" not in (folder / "learner-personal.toml").read_text("utf-8")


@pytest.mark.usefixtures("folder")
def test_json_has_each_guess_with_its_reason() -> None:
    result = run("--object", "LearnerPersonal", "--json")

    [mapping] = json.loads(result.output)["mappings"]
    upn = next(each for each in mapping["guesses"] if each["column"] == "UPN")
    assert (upn["paths"], upn["shape"], upn["confidence"] > 90, bool(upn["reason"])) == (
        ["UPN"],
        "A999999999999",
        True,
        True,
    )
    assert (mapping["object"], mapping["file"], mapping["missing"]) == (
        "LearnerPersonal",
        "learner-personal.toml",
        [],
    )


def test_all_makes_a_file_for_each_object_that_the_sample_can_feed(folder: Path) -> None:
    result = run("--object", "all", "--yes", "--out", "made", "--set", "SchoolYear=2026/2027")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (folder / "made").iterdir()) == [
        "learner-group-enrolment.toml",
        "learner-personal.toml",
        "learner-school-enrolment.toml",
    ]
    assert made_by(folder / "made" / "learner-group-enrolment.toml", "pupils.csv") == ["LearnerGroupEnrolment"]


def test_what_it_lacks_is_told_with_how_to_mend_it(folder: Path) -> None:
    (folder / "pupils.csv").write_text("UPN,NCY,Date of Admission\nJ820990114021,9,04/09/2024\n", "utf-8")

    result = run("--object", "LearnerSchoolEnrolment", "--yes")

    assert result.exit_code == 1
    assert "It lacks @SchoolInfoRefId, number of the local authority (3 digits)" in result.output
    assert "run this again with --force --set LAId=..." in result.output
    assert "# NEEDED: number of the local authority" in (folder / "learner-school-enrolment.toml").read_text("utf-8")
    again = run(
        "--object", "LearnerSchoolEnrolment", "--yes", "--force", "--set", "LAId=820", "--set", "EstablishmentId=9903"
    )
    assert again.exit_code == 0
    assert made_by(folder / "learner-school-enrolment.toml", "pupils.csv") == ["LearnerSchoolEnrolment"]


@pytest.mark.parametrize(
    ("headings", "named"),
    [
        pytest.param("LA Number,Estab Number,UPN,Category,Reason,Start Date,Start Session", True, id="its own"),
        pytest.param("LA,Estab,UPN,Type,Why,First Day,First Session", False, id="another system's"),
    ],
)
def test_a_mapping_of_the_library_is_named_where_it_reads_the_file_as_well(
    folder: Path, headings: str, named: bool
) -> None:
    (folder / "pupils.csv").write_text(f"{headings}\n820,9903,J820990114021,SUSP,DB,12/10/2026,1\n", "utf-8")

    result = run("--object", "LearnerExclusion", "--yes")

    assert ("csv/exclusions" in result.output) == named


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--object", "LearnerPersonal"], "add --yes", id="nobody to answer"),
        pytest.param(["--object", "LearnerPersnal", "--yes"], "did you mean LearnerPersonal", id="no such object"),
        pytest.param(["--object", "LearnerPersonal", "--yes", "--set", "LAId"], "key=value", id="setting"),
        pytest.param(["--object", "LearnerPersonal", "--yes", "--out", "x.txt"], "ends in .toml", id="no TOML"),
        pytest.param(["--object", "LearnerPersonal", "--yes", "--from", "none.csv"], "no such file", id="no sample"),
        pytest.param(["--object", "LearnerPersonal", "--yes", "--from", "empty.csv"], "no records", id="no rows"),
        pytest.param(["--object", "all", "--yes", "--out", "x.toml"], "name a folder", id="several objects, one file"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_nothing_is_written(
    folder: Path, arguments: list[str], says: str
) -> None:
    (folder / "empty.csv").write_text("UPN,Surname\n", "utf-8")

    result = run(*arguments)

    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output
    assert list(folder.glob("**/*.toml")) == []


def test_a_file_that_is_there_is_written_over_only_when_forced(folder: Path) -> None:
    file = folder / "learner-personal.toml"
    file.write_text("mine", "utf-8")

    assert run("--object", "LearnerPersonal", "--yes").exit_code == 2
    assert file.read_text("utf-8") == "mine"
    assert run("--object", "LearnerPersonal", "--yes", "--force").exit_code == 0
    assert "LearnerPersonal" in file.read_text("utf-8")


def test_a_file_that_feeds_no_object_is_told_so(folder: Path) -> None:
    (folder / "pupils.csv").write_text("A,B\n1,2\n", "utf-8")

    result = run("--object", "all", "--yes")

    assert result.exit_code == 1
    assert "name one with --object, and its mapping says what it lacks: LearnerPersonal, " in result.output


# ---------------------------------------------------------------- questions


def scripted(*answers: str) -> tuple[Callable[[str], str], list[str]]:
    questions: list[str] = []
    left = list(answers)

    def ask(question: str) -> str:
        questions.append(question)
        return left.pop(0)

    return ask, questions


@pytest.mark.parametrize(
    ("answers", "column"),
    [
        pytest.param([""], "Ringer", id="Enter takes the guess"),
        pytest.param(["s"], None, id="s takes none"),
        pytest.param(["9", "2"], "Buzzer", id="a number that is not offered is asked again"),
    ],
)
def test_only_what_is_not_sure_is_asked(folder: Path, answers: list[str], column: str | None) -> None:
    (folder / "pupils.csv").write_text(
        "UPN,Surname,Forename,Ringer,Buzzer\nJ820990114021,Quill,Zeph,01632 960101,x\n", "utf-8"
    )
    guesses = guess(read_sample(Path("pupils.csv")), "ContactPersonal")
    ask, questions = scripted(*answers)

    found = review(guesses, ask).found

    assert len(questions) == len(answers)
    assert (found["home-phone"].column.source if "home-phone" in found else None) == column


def test_questions_are_put_on_a_terminal_and_answers_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pupils.csv").write_text("UPN,NCY,Date of Admission\nJ820990114021,9,04/09/2024\n", "utf-8")
    here, there = os.openpty()
    os.write(here, b"Quarrington\n820\n9903\n")
    with os.fdopen(there, encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        code = app(["--from", "pupils.csv", "--object", "LearnerSchoolEnrolment"], standalone_mode=False)
    os.close(here)

    assert code == 0
    said = capsys.readouterr().out
    assert "number of the local authority (3 digits): no column has it" in said
    assert "That is no number of the local authority (3 digits)." in said
    assert made_by(folder / "learner-school-enrolment.toml", "pupils.csv") == ["LearnerSchoolEnrolment"]
