"""What the READMEs of mappings say is what the mappings do."""

import re
from pathlib import Path

import pytest

import mappings
from mappings import InwardMapping, MappingError, OutwardMapping, converter_names, load
from mappings.inward_compiler import INWARD_FILE
from mappings.outward import OUTWARD_FILE
from mappings.packs import packs
from mappings.spec import CODE_FILE, VALUE_KEYS

FOLDER = Path(mappings.__file__).parent
README = (FOLDER / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
MAPPINGS = [text for text in EXAMPLES if text.startswith(("object", "base", "row"))]
COLUMNS = (FOLDER / "library/csv/README.md").read_text("utf-8")
REPORTS = dict(re.findall(r"^## ([\w-]+\.csv) \((.*?)\)", COLUMNS, re.MULTILINE))


def _headings(report: str) -> set[str]:
    text = COLUMNS.split(f"## {report} ")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {heading.strip() for cell in cells for heading in cell.split(",")}


@pytest.mark.parametrize("report", REPORTS)
def test_a_mapping_reads_only_columns_that_its_report_is_said_to_have(report: str) -> None:
    for name in re.findall(r"`(csv/[a-z-]+)`", REPORTS[report]):
        mapping = load(name)
        assert isinstance(mapping, InwardMapping)
        fallback = {"Legal Surname", "Legal Forename", "DOB"}  # of the learner's key: only pupils.csv has them
        assert mapping.sources - fallback <= _headings(report)


def test_every_csv_mapping_is_described() -> None:
    described = {name for mappings in REPORTS.values() for name in re.findall(r"`(csv/[a-z-]+)`", mappings)}

    assert described == {name for name in mappings.shipped_names() if name.startswith("csv/")}


@pytest.mark.parametrize("text", MAPPINGS, ids=lambda text: text.splitlines()[0])
def test_every_mapping_of_the_readme_can_be_loaded(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(text, "utf-8")

    mapping = load(file)

    assert isinstance(mapping, OutwardMapping if text.startswith("row") else InwardMapping)
    assert mapping.lines


def test_the_code_table_of_the_readme_can_be_named(tmp_path: Path) -> None:
    (text,) = (text for text in EXAMPLES if "[codes]" in text)
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "gender.toml").write_text(text, "utf-8")
    line = '"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = "gender" }'
    (tmp_path / "ours.toml").write_text(f'base = "csv/learner"\n[fields]\n{line}\n', "utf-8")

    (codes,) = (line.codes for line in load(tmp_path / "ours.toml").lines if line.codes is not None)

    assert [codes.convert(text) for text in ("male", "FEMALE", "x")] == ["M", "F", "U"]


def test_the_key_file_of_the_readme_can_be_named(tmp_path: Path) -> None:
    (text,) = (text for text in EXAMPLES if text.startswith("[keys]"))
    (tmp_path / "keys.toml").write_text(text, "utf-8")
    (tmp_path / "ours.toml").write_text('base = "csv/enrolment"\nkeys = "keys"\n', "utf-8")

    keys = [line for line in load(tmp_path / "ours.toml").lines if line.kind == "key"]

    assert [line.sources for line in keys] == [("UPN", "Surname", "Forename", "DOB"), ("LA", "Estab")]


def test_the_pack_of_the_readme_can_be_read(tmp_path: Path) -> None:
    (text,) = (text for text in EXAMPLES if "version" in text)
    folder = tmp_path / "roll"
    (folder / "examples").mkdir(parents=True)
    (folder / "examples" / "roll.csv").write_text("UPN;Surname\n", "utf-8")
    (folder / "learner.toml").write_text('base = "csv/learner"\n', "utf-8")
    (folder / "pack.toml").write_text(text, "utf-8")

    assert packs([tmp_path])["roll"].sources[0].mapping == ("roll/learner",)


def test_the_readme_names_every_setting_and_converter() -> None:
    settings = {*INWARD_FILE, *OUTWARD_FILE, *VALUE_KEYS, *CODE_FILE} - {"title"}
    names = {name.removesuffix(":") for name in converter_names()}

    assert [name for name in sorted(settings | names) if not re.search(rf"\b{name}\b", README)] == []


def test_a_problem_reads_as_one_line_that_an_editor_can_jump_to(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('object = "TermInfo"\nkey = ["A"]\n[fields]\n"TermCod" = "B"\n', "utf-8")

    with pytest.raises(MappingError) as caught:
        load(file)

    assert f"{file}:4:1: TermInfo has no 'TermCod'; did you mean 'TermCode'?" in str(caught.value).splitlines()
